/* SPDX-License-Identifier: Apache-2.0 */
/* voice_messages.c - Anthropic's messages: blocks of thought, text and tool use, one after the
 * other. */
#include "serve/voice.h"

#include <stdio.h>
#include <string.h>

/* ---- Reading -------------------------------------------------------------------------------- */

static enx_status append_text(enx_buf *text, const json_t *words, const char *place,
                              enx_report *report)
{
    if (!json_is_string(words)) return ENX_FAIL(report, INVALID, "%s: a text is needed", place);
    if (enx_buf_append(text, json_string_value(words), json_string_length(words)) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for the messages");
    return ENX_OK;
}

/* A result of a tool is a message of its own, before the rest of the user's. */
static enx_status read_tool_result(enx_question *q, const json_t *block, const char *place,
                                   enx_report *report)
{
    json_t       *content = json_object_get(block, "content"), *text = NULL, *added = NULL;
    const json_t *id = json_object_get(block, "tool_use_id");
    if (!json_is_string(id)) return ENX_FAIL(report, INVALID, "%s.tool_use_id is needed", place);
    if (!content) text = json_string("");
    else ENX_TRY(enx_voice_content(content, place, &text, report));
    ENX_TRY(enx_question_add(q, "tool", text, &added, report));
    if (json_object_set(added, "tool_call_id", (json_t *)(uintptr_t)id) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the messages");
    return ENX_OK;
}

static enx_status read_tool_use(json_t *calls, const json_t *block, const char *place,
                                enx_report *report)
{
    const char *name = json_string_value(json_object_get(block, "name"));
    json_t     *input = json_object_get(block, "input");
    if (!name || !json_is_object(input))
        return ENX_FAIL(report, INVALID, "%s: tool_use needs a name and an input", place);
    json_t *call = json_pack("{s:O?, s:s, s:{s:s, s:O}}", "id", json_object_get(block, "id"),
                             "type", "function", "function", "name", name, "arguments", input);
    if (json_array_append_new(calls, call) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the messages");
    return ENX_OK;
}

static enx_status read_block(enx_question *q, const json_t *block, const char *place, enx_buf *text,
                             json_t *calls, enx_report *report)
{
    const char *type = json_string_value(json_object_get(block, "type"));
    if (!type) return ENX_FAIL(report, INVALID, "%s: a block without type", place);
    if (strcmp(type, "text") == 0)
        return append_text(text, json_object_get(block, "text"), place, report);
    if (strcmp(type, "tool_result") == 0) return read_tool_result(q, block, place, report);
    if (strcmp(type, "tool_use") == 0) return read_tool_use(calls, block, place, report);
    if (strcmp(type, "thinking") == 0 || strcmp(type, "redacted_thinking") == 0) return ENX_OK;
    return ENX_FAIL(report, UNSUPPORTED, "%s: blocks of type %.40s are not supported", place, type);
}

static enx_status add_message(enx_question *q, const char *role, const enx_buf *text, json_t *calls,
                              enx_report *report)
{
    json_t *added = NULL;
    if (text->size_bytes == 0 && json_array_size(calls) == 0) return ENX_OK;
    ENX_TRY(enx_question_add(q, role, json_stringn(enx_buf_text(text), text->size_bytes), &added,
                             report));
    if (json_array_size(calls) > 0 && json_object_set(added, "tool_calls", calls) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the messages");
    return ENX_OK;
}

static enx_status read_blocks(enx_question *q, const char *role, const json_t *content,
                              const char *place, enx_report *report)
{
    enx_buf    text;
    size_t     i;
    json_t    *block, *calls = json_array();
    enx_status status = ENX_OK;
    enx_buf_init(&text, ENX_ANSWER_BYTES_MAX);
    if (json_is_string(content)) status = append_text(&text, content, place, report);
    else if (!json_is_array(content) || json_array_size(content) == 0)
        status = ENX_FAIL(report, INVALID, "%s.content: a text or blocks are needed", place);
    else
        json_array_foreach (content, i, block)
            if (status == ENX_OK) status = read_block(q, block, place, &text, calls, report);
    if (status == ENX_OK) status = add_message(q, role, &text, calls, report);
    json_decref(calls);
    enx_buf_deinit(&text);
    return status;
}

static enx_status read_messages(enx_question *q, enx_report *report)
{
    const json_t *messages = json_object_get(q->body, "messages");
    const json_t *system = json_object_get(q->body, "system");
    size_t        i;
    json_t       *message;
    if (system && !json_is_null(system))
        ENX_TRY(read_blocks(q, "system", system, "system", report));
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return ENX_FAIL(report, INVALID, "messages: an array with a message is needed");
    json_array_foreach (messages, i, message) {
        char        place[48];
        const char *role = json_string_value(json_object_get(message, "role"));
        snprintf(place, sizeof place, "messages[%zu]", i);
        if (!role || (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0))
            return ENX_FAIL(report, INVALID, "%s.role: user or assistant is needed", place);
        ENX_TRY(read_blocks(q, role, json_object_get(message, "content"), place, report));
    }
    return q->messages ? ENX_OK : ENX_FAIL(report, INVALID, "messages: none of them says anything");
}

static enx_status read_tool_choice(enx_question *q, enx_report *report)
{
    const json_t *choice = json_object_get(q->body, "tool_choice");
    const char   *type = json_string_value(json_object_get(choice, "type"));
    const char   *name = json_string_value(json_object_get(choice, "name"));
    if (!choice || json_is_null(choice)) return ENX_OK;
    ENX_TRY(enx_question_flag(choice, "disable_parallel_tool_use", &q->has_one_tool_call, report));
    if (type && strcmp(type, "auto") == 0) return ENX_OK;
    if (type && strcmp(type, "none") == 0) q->tool_choice = ENX_TOOL_NONE;
    else if (type && strcmp(type, "any") == 0 && q->tools) q->tool_choice = ENX_TOOL_REQUIRED;
    else if (type && strcmp(type, "tool") == 0 && name && enx_question_tool(q, name)) {
        q->tool_choice = ENX_TOOL_NAMED;
        q->tool_name = name;
    } else
        return ENX_FAIL(report, INVALID,
                        "tool_choice: auto, any, none, or tool with the name of one is needed");
    return ENX_OK;
}

static enx_status read_format(enx_question *q, enx_report *report)
{
    const json_t *config = json_object_get(q->body, "output_config");
    const json_t *format = json_object_get(config, "format");
    if (!format) format = json_object_get(q->body, "output_format");
    if (!format || json_is_null(format)) return ENX_OK;
    const char *type = json_string_value(json_object_get(format, "type"));
    if (!type || strcmp(type, "json_schema") != 0)
        return ENX_FAIL(report, INVALID, "output_config.format: type json_schema is needed");
    return enx_voice_set_schema(q, json_object_get(format, "schema"), "output_config.format",
                                report);
}

static enx_status read_anthropic(enx_question *q, enx_report *report)
{
    uint64_t tokens = 0;
    size_t   i;
    json_t  *tool;
    ENX_TRY(enx_question_text(q->body, "model", &q->model, report));
    ENX_TRY(enx_question_sampling(q, 1, report));
    ENX_TRY(enx_question_stops(q, "stop_sequences", report));
    ENX_TRY(enx_question_count(q->body, "max_tokens", 1, UINT32_MAX, &tokens, report));
    ENX_TRY(enx_question_flag(q->body, "stream", &q->is_stream, report));
    ENX_TRY(read_messages(q, report));
    json_array_foreach (json_object_get(q->body, "tools"), i, tool)
        ENX_TRY(enx_question_add_tool(q, json_string_value(json_object_get(tool, "name")),
                                      json_string_value(json_object_get(tool, "description")),
                                      json_object_get(tool, "input_schema"), report));
    q->max_tokens = (uint32_t)tokens;
    ENX_TRY(read_tool_choice(q, report));
    return read_format(q, report);
}

/* ---- Figures -------------------------------------------------------------------------------- */

static json_t *usage_json(const enx_turn *t)
{
    const enx_turn_bill bill = enx_turn_bill_get(t);
    const uint64_t      cached = bill.usage.tokens_cached;
    return json_pack("{s:I, s:i, s:I, s:I}", "input_tokens",
                     (json_int_t)(t->prompt_tokens > cached ? t->prompt_tokens - cached : 0),
                     "cache_creation_input_tokens", 0, "cache_read_input_tokens",
                     (json_int_t)cached, "output_tokens", (json_int_t)bill.usage.tokens_out);
}

static const char *stop_reason(const enx_turn_answer *a)
{
    if (a->answer.stopper.is_stopped) return "stop_sequence";
    if (a->end == ENX_END_LENGTH) return "max_tokens";
    if (a->end == ENX_END_REFUSED) return "refusal";
    return a->answer.call_count ? "tool_use" : "end_turn";
}

static json_t *stop_sequence(const enx_turn_answer *a)
{
    const enx_stopper *s = &a->answer.stopper;
    for (size_t i = 0; s->is_stopped && i < s->stop_count; i++)
        if (s->stops[i].matched == s->stops[i].size_bytes)
            return json_stringn(s->stops[i].text, s->stops[i].size_bytes);
    return json_null();
}

static json_t *message_json(const enx_turn *t, json_t *content, json_t *reason, json_t *sequence)
{
    char id[2 * ENX_ANSWER_ID_BYTES];
    snprintf(id, sizeof id, "%s%s", t->voice->id_prefix, t->id);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "id", id, "type", "message",
                     "role", "assistant", "model", enx_voice_text(t->model, strlen(t->model)),
                     "content", content, "stop_reason", reason, "stop_sequence", sequence, "usage",
                     usage_json(t));
}

/* ---- A stream ------------------------------------------------------------------------------- */

static enx_status begin_messages(enx_turn *t)
{
    json_t *message = message_json(t, json_array(), json_null(), json_null());
    if (t->early_extra[0])
        json_object_set_new(message, "enxame", json_loads(t->early_extra, 0, NULL));
    return enx_voice_event(&t->out, "message_start",
                           json_pack("{s:s, s:o}", "type", "message_start", "message", message));
}

static enx_status close_block(enx_turn *t)
{
    if (t->block < 0) return ENX_OK;
    const int index = t->block;
    t->block = -1;
    return enx_voice_event(&t->out, "content_block_stop",
                           json_pack("{s:s, s:i}", "type", "content_block_stop", "index", index));
}

/* Open a block of that kind, unless the one that is open is. */
static enx_status open_block(enx_turn *t, enx_delta_kind kind, json_t *block)
{
    if (t->block >= 0 && t->block_kind == (int)kind && kind != ENX_DELTA_CALL) {
        json_decref(block);
        return ENX_OK;
    }
    const enx_status status = close_block(t);
    t->block = t->block_count++;
    t->block_kind = (int)kind;
    json_t *event = json_pack("{s:s, s:i, s:o}", "type", "content_block_start", "index", t->block,
                              "content_block", block);
    if (status == ENX_OK) return enx_voice_event(&t->out, "content_block_start", event);
    json_decref(event);
    return status;
}

static enx_status write_delta(enx_turn *t, const char *type, const char *key, const char *text,
                              size_t text_bytes)
{
    ENX_TRY(enx_buf_printf(&t->out,
                           "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                           "\"index\":%d,\"delta\":{\"type\":\"%s\",\"%s\":",
                           t->block, type, key));
    ENX_TRY(enx_voice_string(&t->out, text, text_bytes));
    return enx_buf_append_text(&t->out, "}}\n\n");
}

static enx_status delta_messages(enx_turn *t, uint32_t index, const enx_delta *d)
{
    (void)index;
    if (d->kind == ENX_DELTA_THOUGHT) {
        ENX_TRY(open_block(
            t, d->kind,
            json_pack("{s:s, s:s, s:s}", "type", "thinking", "thinking", "", "signature", "")));
        return write_delta(t, "thinking_delta", "thinking", d->text, d->text_bytes);
    }
    if (d->kind == ENX_DELTA_TEXT) {
        ENX_TRY(open_block(t, d->kind, json_pack("{s:s, s:s}", "type", "text", "text", "")));
        return write_delta(t, "text_delta", "text", d->text, d->text_bytes);
    }
    ENX_TRY(open_block(t, d->kind,
                       json_pack("{s:s, s:s, s:s, s:{}}", "type", "tool_use", "id", d->call->id,
                                 "name", d->call->name, "input")));
    return write_delta(t, "input_json_delta", "partial_json", d->call->arguments,
                       strlen(d->call->arguments));
}

static enx_status finish_messages(enx_turn *t, uint32_t index)
{
    const enx_turn_answer *a = &t->answers[index];
    ENX_TRY(close_block(t));
    json_t *event = json_pack("{s:s, s:{s:s, s:o}, s:o, s:o}", "type", "message_delta", "delta",
                              "stop_reason", stop_reason(a), "stop_sequence", stop_sequence(a),
                              "usage", usage_json(t), "enxame", enx_turn_extra(t));
    return enx_voice_event(&t->out, "message_delta", event);
}

static enx_status end_messages(enx_turn *t)
{
    return enx_voice_event(&t->out, "message_stop", json_pack("{s:s}", "type", "message_stop"));
}

/* ---- The whole ------------------------------------------------------------------------------ */

static enx_status whole_messages(enx_turn *t)
{
    const enx_turn_answer *own = &t->answers[0];
    const enx_answer      *a = &own->answer;
    json_t                *content = json_array();
    if (a->thought.size_bytes)
        json_array_append_new(
            content, json_pack("{s:s, s:o, s:s}", "type", "thinking", "thinking",
                               enx_voice_text(enx_buf_text(&a->thought), a->thought.size_bytes),
                               "signature", ""));
    if (a->text.size_bytes || a->call_count == 0)
        json_array_append_new(
            content, json_pack("{s:s, s:o}", "type", "text", "text",
                               enx_voice_text(enx_buf_text(&a->text), a->text.size_bytes)));
    for (uint32_t i = 0; i < a->call_count; i++)
        json_array_append_new(content, json_pack("{s:s, s:s, s:s, s:o}", "type", "tool_use", "id",
                                                 a->calls[i].id, "name", a->calls[i].name, "input",
                                                 json_loads(a->calls[i].arguments, 0, NULL)));
    json_t *message = message_json(t, content, json_string(stop_reason(own)), stop_sequence(own));
    json_object_set_new(message, "enxame", enx_turn_extra(t));
    return enx_voice_json(&t->out, message);
}

static const char *error_type(int http_status)
{
    switch (http_status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    case 503:
        return "overloaded_error";
    default:
        return http_status >= 500 ? "api_error" : "invalid_request_error";
    }
}

static enx_status error_messages(int http_status, const char *message, bool is_in_stream,
                                 enx_buf *out)
{
    json_t *error =
        json_pack("{s:s, s:{s:s, s:o}}", "type", "error", "error", "type", error_type(http_status),
                  "message", enx_voice_text(message, strlen(message)));
    return is_in_stream ? enx_voice_event(out, "error", error) : enx_voice_json(out, error);
}

const enx_voice enx_voice_messages = { .name = "messages",
                                       .id_prefix = "msg_",
                                       .read = read_anthropic,
                                       .begin = begin_messages,
                                       .delta = delta_messages,
                                       .finish = finish_messages,
                                       .end = end_messages,
                                       .whole = whole_messages,
                                       .error = error_messages };
