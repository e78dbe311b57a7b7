/* SPDX-License-Identifier: Apache-2.0 */
/* voice_responses.c - OpenAI's responses: items of reasoning, messages and calls, each with events
 * of its own.  Nothing is kept between requests: previous_response_id is refused. */
#include "serve/voice.h"
#include "serve/voice_openai.h"

#include <stdio.h>
#include <string.h>

/* ---- Reading -------------------------------------------------------------------------------- */

static enx_status read_call(enx_question *q, const json_t *item, const char *place,
                            enx_report *report)
{
    const char   *name = json_string_value(json_object_get(item, "name"));
    const json_t *text = json_object_get(item, "arguments");
    json_t       *added = NULL;
    if (!name || !json_is_string(text))
        return ENX_FAIL(report, INVALID, "%s: a call needs name and arguments", place);
    json_t *arguments = json_loadb(json_string_value(text), json_string_length(text), 0, NULL);
    if (!arguments) arguments = json_incref((json_t *)(uintptr_t)text);
    ENX_TRY(enx_question_add(q, "assistant", json_string(""), &added, report));
    json_t *calls = json_pack("[{s:O?, s:s, s:{s:s, s:o}}]", "id", json_object_get(item, "call_id"),
                              "type", "function", "function", "name", name, "arguments", arguments);
    if (json_object_set_new(added, "tool_calls", calls) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the input");
    return ENX_OK;
}

static enx_status read_output(enx_question *q, const json_t *item, const char *place,
                              enx_report *report)
{
    json_t       *text = NULL, *added = NULL;
    const json_t *id = json_object_get(item, "call_id");
    if (!json_is_string(id)) return ENX_FAIL(report, INVALID, "%s.call_id is needed", place);
    ENX_TRY(enx_voice_content(json_object_get(item, "output"), place, &text, report));
    ENX_TRY(enx_question_add(q, "tool", text, &added, report));
    if (json_object_set(added, "tool_call_id", (json_t *)(uintptr_t)id) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the input");
    return ENX_OK;
}

static enx_status read_item(enx_question *q, const json_t *item, size_t index, enx_report *report)
{
    char        place[48];
    const char *type = json_string_value(json_object_get(item, "type"));
    const char *role = json_string_value(json_object_get(item, "role"));
    json_t     *text = NULL;
    snprintf(place, sizeof place, "input[%zu]", index);
    if (type && strcmp(type, "function_call") == 0) return read_call(q, item, place, report);
    if (type && strcmp(type, "function_call_output") == 0)
        return read_output(q, item, place, report);
    if (type && strcmp(type, "reasoning") == 0) return ENX_OK;
    if (type && strcmp(type, "message") != 0)
        return ENX_FAIL(report, UNSUPPORTED, "%s: items of type %.40s are not supported", place,
                        type);
    if (role && strcmp(role, "developer") == 0) role = "system";
    if (!role || (strcmp(role, "system") != 0 && strcmp(role, "user") != 0 &&
                  strcmp(role, "assistant") != 0))
        return ENX_FAIL(report, INVALID, "%s.role: system, developer, user or assistant is needed",
                        place);
    ENX_TRY(enx_voice_content(json_object_get(item, "content"), place, &text, report));
    return enx_question_add(q, role, text, NULL, report);
}

static enx_status read_input(enx_question *q, enx_report *report)
{
    const json_t *input = json_object_get(q->body, "input");
    const char   *instructions = NULL;
    size_t        i;
    json_t       *item;
    ENX_TRY(enx_question_text(q->body, "instructions", &instructions, report));
    if (instructions && *instructions)
        ENX_TRY(enx_question_add(q, "system", json_string(instructions), NULL, report));
    if (json_is_string(input))
        return enx_question_add(q, "user", json_incref((json_t *)(uintptr_t)input), NULL, report);
    if (!json_is_array(input) || json_array_size(input) == 0)
        return ENX_FAIL(report, INVALID, "input: a text, or an array of items, is needed");
    json_array_foreach (input, i, item) ENX_TRY(read_item(q, item, i, report));
    return q->messages ? ENX_OK
                       : ENX_FAIL(report, INVALID, "input: none of the items is a message");
}

static enx_status read_tools(enx_question *q, enx_report *report)
{
    size_t        i;
    json_t       *tool;
    const json_t *choice = json_object_get(q->body, "tool_choice");
    json_array_foreach (json_object_get(q->body, "tools"), i, tool) {
        const char *type = json_string_value(json_object_get(tool, "type"));
        if (!type || strcmp(type, "function") != 0)
            return ENX_FAIL(report, UNSUPPORTED, "tools[%zu]: only functions are supported", i);
        ENX_TRY(enx_question_add_tool(q, json_string_value(json_object_get(tool, "name")),
                                      json_string_value(json_object_get(tool, "description")),
                                      json_object_get(tool, "parameters"), report));
    }
    if (!choice || json_is_null(choice)) return ENX_OK;
    if (json_is_object(choice))
        return enx_openai_tool_choice(q, json_string_value(json_object_get(choice, "name")), true,
                                      report);
    return enx_openai_tool_choice(q, json_string_value(choice), false, report);
}

static enx_status read_responses(enx_question *q, enx_report *report)
{
    const char   *previous = NULL;
    uint64_t      tokens = 0;
    const json_t *format = json_object_get(json_object_get(q->body, "text"), "format");
    ENX_TRY(enx_openai_common(q, report));
    ENX_TRY(enx_question_text(q->body, "previous_response_id", &previous, report));
    if (previous)
        return ENX_FAIL(report, UNSUPPORTED,
                        "previous_response_id: responses are not kept; send the whole input");
    ENX_TRY(enx_question_count(q->body, "max_output_tokens", 1, UINT32_MAX, &tokens, report));
    q->max_tokens = (uint32_t)tokens;
    q->answer_count = 1;
    ENX_TRY(read_input(q, report));
    ENX_TRY(read_tools(q, report));
    if (!format || json_is_null(format)) return ENX_OK;
    return enx_openai_format(q, json_string_value(json_object_get(format, "type")),
                             json_object_get(format, "schema"), "text.format", report);
}

/* ---- Items ---------------------------------------------------------------------------------- */

static void item_id(const enx_turn *t, int index, char out[2 * ENX_ANSWER_ID_BYTES])
{
    snprintf(out, 2 * ENX_ANSWER_ID_BYTES, "item_%s_%d", t->id, index);
}

static json_t *text_part(const char *type, const enx_buf *text)
{
    json_t *part = json_pack("{s:s, s:o}", "type", type, "text",
                             enx_voice_text(enx_buf_text(text), text->size_bytes));
    if (strcmp(type, "output_text") == 0) {
        json_object_set_new(part, "annotations", json_array());
        json_object_set_new(part, "logprobs", json_array());
    }
    return part;
}

static json_t *item_json(const enx_turn *t, enx_delta_kind kind, const enx_tool_call *call,
                         int index, bool is_whole)
{
    char              id[2 * ENX_ANSWER_ID_BYTES];
    const char       *state = is_whole ? "completed" : "in_progress";
    const enx_answer *a = &t->answers[0].answer;
    json_t           *content = json_array();
    item_id(t, index, id);
    if (kind == ENX_DELTA_CALL) {
        json_decref(content);
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", "function_call", "id", id,
                         "call_id", call->id, "name", call->name, "arguments",
                         is_whole ? call->arguments : "", "status", state);
    }
    if (kind == ENX_DELTA_THOUGHT) {
        if (is_whole) json_array_append_new(content, text_part("reasoning_text", &a->thought));
        return json_pack("{s:s, s:s, s:[], s:o}", "type", "reasoning", "id", id, "summary",
                         "content", content);
    }
    if (is_whole) json_array_append_new(content, text_part("output_text", &a->text));
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "message", "id", id, "status", state,
                     "role", "assistant", "content", content);
}

static json_t *output_json(const enx_turn *t)
{
    const enx_answer *a = &t->answers[0].answer;
    json_t           *output = json_array();
    int               index = 0;
    if (a->thought.size_bytes)
        json_array_append_new(output, item_json(t, ENX_DELTA_THOUGHT, NULL, index++, true));
    if (a->text.size_bytes || a->call_count == 0)
        json_array_append_new(output, item_json(t, ENX_DELTA_TEXT, NULL, index++, true));
    for (uint32_t i = 0; i < a->call_count; i++)
        json_array_append_new(output, item_json(t, ENX_DELTA_CALL, &a->calls[i], index++, true));
    return output;
}

static json_t *usage_json(const enx_turn *t)
{
    const enx_turn_bill bill = enx_turn_bill_get(t);
    return json_pack("{s:I, s:{s:I}, s:I, s:{s:I}, s:I}", "input_tokens",
                     (json_int_t)t->prompt_tokens, "input_tokens_details", "cached_tokens",
                     (json_int_t)bill.usage.tokens_cached, "output_tokens",
                     (json_int_t)bill.usage.tokens_out, "output_tokens_details", "reasoning_tokens",
                     (json_int_t)t->answers[0].tokens_thought, "total_tokens",
                     (json_int_t)(t->prompt_tokens + bill.usage.tokens_out));
}

static json_t *copy_or(const enx_turn *t, const char *key, json_t *other)
{
    json_t *value = json_object_get(t->question->body, key);
    if (!value || json_is_null(value)) return other;
    json_decref(other);
    return json_incref(value);
}

static json_t *response_json(const enx_turn *t, const char *status, bool is_whole)
{
    char       id[2 * ENX_ANSWER_ID_BYTES];
    const bool is_cut = is_whole && t->answers[0].end == ENX_END_LENGTH;
    snprintf(id, sizeof id, "%s%s", t->voice->id_prefix, t->id);
    json_t *json = json_pack(
        "{s:s, s:s, s:I, s:s, s:n, s:o, s:o, s:o, s:b, s:n, s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
        "id", id, "object", "response", "created_at", (json_int_t)t->created_s, "status",
        is_cut ? "incomplete" : status, "error", "incomplete_details",
        is_cut ? json_pack("{s:s}", "reason", "max_output_tokens") : json_null(), "model",
        enx_voice_text(t->model, strlen(t->model)), "output",
        is_whole ? output_json(t) : json_array(), "parallel_tool_calls",
        !t->question->has_one_tool_call, "previous_response_id", "instructions",
        copy_or(t, "instructions", json_null()), "max_output_tokens",
        copy_or(t, "max_output_tokens", json_null()), "tools", copy_or(t, "tools", json_array()),
        "tool_choice", copy_or(t, "tool_choice", json_string("auto")), "text",
        copy_or(t, "text", json_pack("{s:{s:s}}", "format", "type", "text")), "usage",
        is_whole ? usage_json(t) : json_null(), "truncation", "disabled");
    json_object_set_new(json, "temperature", copy_or(t, "temperature", json_null()));
    json_object_set_new(json, "top_p", copy_or(t, "top_p", json_null()));
    json_object_set_new(json, "metadata", copy_or(t, "metadata", json_object()));
    if (is_whole) json_object_set_new(json, "enxame", enx_turn_extra(t));
    else if (t->early_extra[0])
        json_object_set_new(json, "enxame", json_loads(t->early_extra, 0, NULL));
    return json;
}

/* ---- A stream ------------------------------------------------------------------------------- */

/* Takes `event`, and gives it its type and number. */
static enx_status write_event(enx_turn *t, const char *type, json_t *event)
{
    json_object_set_new(event, "type", json_string(type));
    json_object_set_new(event, "sequence_number", json_integer((json_int_t)t->sequence++));
    return enx_voice_event(&t->out, type, event);
}

static enx_status write_state(enx_turn *t, const char *type, const char *status, bool is_whole)
{
    return write_event(t, type, json_pack("{s:o}", "response", response_json(t, status, is_whole)));
}

static enx_status begin_responses(enx_turn *t)
{
    ENX_TRY(write_state(t, "response.created", "in_progress", false));
    return write_state(t, "response.in_progress", "in_progress", false);
}

static json_t *place_json(const enx_turn *t, bool has_part)
{
    char id[2 * ENX_ANSWER_ID_BYTES];
    item_id(t, t->block, id);
    json_t *event = json_pack("{s:s, s:i}", "item_id", id, "output_index", t->block);
    if (has_part) json_object_set_new(event, "content_index", json_integer(0));
    return event;
}

static enx_status write_text_end(enx_turn *t)
{
    const enx_answer *a = &t->answers[0].answer;
    const bool        is_thought = t->block_kind == ENX_DELTA_THOUGHT;
    const enx_buf    *text = is_thought ? &a->thought : &a->text;
    json_t           *event = place_json(t, true);
    json_object_set_new(event, "text", enx_voice_text(enx_buf_text(text), text->size_bytes));
    if (is_thought) return write_event(t, "response.reasoning_text.done", event);
    json_object_set_new(event, "logprobs", json_array());
    ENX_TRY(write_event(t, "response.output_text.done", event));
    event = place_json(t, true);
    json_object_set_new(event, "part", text_part("output_text", text));
    return write_event(t, "response.content_part.done", event);
}

static enx_status close_item(enx_turn *t, const enx_tool_call *call)
{
    if (t->block < 0) return ENX_OK;
    if (t->block_kind != ENX_DELTA_CALL) ENX_TRY(write_text_end(t));
    json_t *item = item_json(t, (enx_delta_kind)t->block_kind, call, t->block, true);
    json_t *event = json_pack("{s:i, s:o}", "output_index", t->block, "item", item);
    t->block = -1;
    return write_event(t, "response.output_item.done", event);
}

static enx_status open_item(enx_turn *t, const enx_delta *d)
{
    if (t->block >= 0 && t->block_kind == (int)d->kind) return ENX_OK;
    ENX_TRY(close_item(t, NULL));
    t->block = t->block_count++;
    t->block_kind = (int)d->kind;
    json_t *item = item_json(t, d->kind, d->call, t->block, false);
    ENX_TRY(write_event(t, "response.output_item.added",
                        json_pack("{s:i, s:o}", "output_index", t->block, "item", item)));
    if (d->kind != ENX_DELTA_TEXT) return ENX_OK;
    json_t *event = place_json(t, true);
    json_object_set_new(event, "part",
                        json_pack("{s:s, s:s, s:[], s:[]}", "type", "output_text", "text", "",
                                  "annotations", "logprobs"));
    return write_event(t, "response.content_part.added", event);
}

static enx_status write_call(enx_turn *t, const enx_tool_call *call)
{
    json_t *event = place_json(t, false);
    json_object_set_new(event, "delta", json_string(call->arguments));
    ENX_TRY(write_event(t, "response.function_call_arguments.delta", event));
    event = place_json(t, false);
    json_object_set_new(event, "name", json_string(call->name));
    json_object_set_new(event, "arguments", json_string(call->arguments));
    ENX_TRY(write_event(t, "response.function_call_arguments.done", event));
    return close_item(t, call);
}

static enx_status delta_responses(enx_turn *t, uint32_t index, const enx_delta *d)
{
    const bool is_thought = d->kind == ENX_DELTA_THOUGHT;
    (void)index;
    ENX_TRY(open_item(t, d));
    if (d->kind == ENX_DELTA_CALL) return write_call(t, d->call);
    const char *type = is_thought ? "response.reasoning_text.delta" : "response.output_text.delta";
    ENX_TRY(enx_buf_printf(&t->out,
                           "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%llu,"
                           "\"item_id\":\"item_%s_%d\",\"output_index\":%d,\"content_index\":0,%s"
                           "\"delta\":",
                           type, type, (unsigned long long)t->sequence++, t->id, t->block, t->block,
                           is_thought ? "" : "\"logprobs\":[],"));
    ENX_TRY(enx_voice_string(&t->out, d->text, d->text_bytes));
    return enx_buf_append_text(&t->out, "}\n\n");
}

static enx_status finish_responses(enx_turn *t, uint32_t index)
{
    static const enx_delta nothing = { .kind = ENX_DELTA_TEXT };
    (void)index;
    if (t->block_count == 0) ENX_TRY(open_item(t, &nothing));
    return close_item(t, NULL);
}

static enx_status end_responses(enx_turn *t)
{
    const bool is_cut = t->answers[0].end == ENX_END_LENGTH;
    return write_state(t, is_cut ? "response.incomplete" : "response.completed", "completed", true);
}

static enx_status whole_responses(enx_turn *t)
{
    return enx_voice_json(&t->out, response_json(t, "completed", true));
}

static enx_status error_responses(int http_status, const char *message, bool is_in_stream,
                                  enx_buf *out)
{
    if (!is_in_stream) return enx_voice_openai_error(http_status, message, false, out);
    return enx_voice_event(
        out, "error",
        json_pack("{s:s, s:s, s:o, s:n, s:i}", "type", "error", "code", "server_error", "message",
                  enx_voice_text(message, strlen(message)), "param", "sequence_number", 0));
}

const enx_voice enx_voice_responses = { .name = "responses",
                                        .id_prefix = "resp_",
                                        .read = read_responses,
                                        .begin = begin_responses,
                                        .delta = delta_responses,
                                        .finish = finish_responses,
                                        .end = end_responses,
                                        .whole = whole_responses,
                                        .error = error_responses };
