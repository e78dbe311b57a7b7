/* SPDX-License-Identifier: Apache-2.0 */
/* voice_chat.c - OpenAI's chat completions. */
#include "serve/voice.h"
#include "serve/voice_openai.h"

#include <stdio.h>
#include <string.h>

/* ---- Reading -------------------------------------------------------------------------------- */

/* Arguments come as a text that holds JSON; templates want the JSON. */
static enx_status read_call(json_t *calls, const json_t *call, const char *place,
                            enx_report *report)
{
    const json_t *function = json_object_get(call, "function");
    const char   *name = json_string_value(json_object_get(function, "name"));
    const json_t *text = json_object_get(function, "arguments");
    const json_t *id = json_object_get(call, "id");
    if (!name || !json_is_string(text))
        return ENX_FAIL(report, INVALID, "%s: a call needs a function's name and arguments", place);
    json_t *arguments = json_loadb(json_string_value(text), json_string_length(text), 0, NULL);
    if (!arguments) arguments = json_incref((json_t *)(uintptr_t)text);
    json_t *read = json_pack("{s:O?, s:s, s:{s:s, s:o}}", "id", id, "type", "function", "function",
                             "name", name, "arguments", arguments);
    if (json_array_append_new(calls, read) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the messages");
    return ENX_OK;
}

static enx_status read_calls(json_t *message, const json_t *calls, const char *place,
                             enx_report *report)
{
    size_t  i;
    json_t *call;
    if (!json_is_array(calls) || json_array_size(calls) == 0) return ENX_OK;
    json_t *read = json_array();
    if (json_object_set_new(message, "tool_calls", read) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the messages");
    json_array_foreach (calls, i, call) ENX_TRY(read_call(read, call, place, report));
    return ENX_OK;
}

static enx_status read_message(enx_question *q, const json_t *message, size_t index,
                               enx_report *report)
{
    char          place[48];
    const char   *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content");
    const json_t *calls = json_object_get(message, "tool_calls");
    json_t       *text = NULL, *added = NULL;
    snprintf(place, sizeof place, "messages[%zu]", index);
    if (role && strcmp(role, "developer") == 0) role = "system";
    if (role && strcmp(role, "function") == 0) role = "tool";
    if (!role || (strcmp(role, "system") != 0 && strcmp(role, "user") != 0 &&
                  strcmp(role, "assistant") != 0 && strcmp(role, "tool") != 0))
        return ENX_FAIL(report, INVALID,
                        "%s.role: system, developer, user, assistant or tool is needed", place);
    if ((!content || json_is_null(content)) && strcmp(role, "assistant") == 0)
        text = json_string("");
    else ENX_TRY(enx_voice_content(content, place, &text, report));
    ENX_TRY(enx_question_add(q, role, text, &added, report));
    const json_t *id = json_object_get(message, "tool_call_id");
    if (json_is_string(id) && json_object_set(added, "tool_call_id", (json_t *)(uintptr_t)id) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the messages");
    return read_calls(added, calls, place, report);
}

static enx_status read_messages(enx_question *q, enx_report *report)
{
    const json_t *messages = json_object_get(q->body, "messages");
    size_t        i;
    json_t       *message;
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return ENX_FAIL(report, INVALID, "messages: an array with a message is needed");
    json_array_foreach (messages, i, message) ENX_TRY(read_message(q, message, i, report));
    return ENX_OK;
}

static enx_status read_tool_choice(enx_question *q, enx_report *report)
{
    const json_t *choice = json_object_get(q->body, "tool_choice");
    const char   *word = json_string_value(choice);
    if (!choice || json_is_null(choice)) return ENX_OK;
    if (json_is_object(choice))
        word = json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
    return enx_openai_tool_choice(q, word, json_is_object(choice), report);
}

static enx_status read_format(enx_question *q, enx_report *report)
{
    const json_t *format = json_object_get(q->body, "response_format");
    const char   *type = json_string_value(json_object_get(format, "type"));
    if (!format || json_is_null(format)) return ENX_OK;
    const json_t *inner = json_object_get(format, "json_schema");
    return enx_openai_format(q, type, json_object_get(inner, "schema"), "response_format", report);
}

static enx_status read_logprobs(enx_question *q, enx_report *report)
{
    uint64_t top = 0;
    ENX_TRY(enx_question_flag(q->body, "logprobs", &q->wants_logprobs, report));
    ENX_TRY(enx_question_count(q->body, "top_logprobs", 0, ENX_QUESTION_TOP_MAX, &top, report));
    if (top > 0 && !q->wants_logprobs)
        return ENX_FAIL(report, INVALID, "top_logprobs: logprobs must be true for it");
    q->top_count = (uint32_t)top;
    return ENX_OK;
}

static enx_status read_chat(enx_question *q, enx_report *report)
{
    size_t  i;
    json_t *tool;
    ENX_TRY(enx_openai_common(q, report));
    ENX_TRY(read_messages(q, report));
    json_array_foreach (json_object_get(q->body, "tools"), i, tool) {
        const json_t *function = json_object_get(tool, "function");
        ENX_TRY(enx_question_add_tool(q, json_string_value(json_object_get(function, "name")),
                                      json_string_value(json_object_get(function, "description")),
                                      json_object_get(function, "parameters"), report));
    }
    ENX_TRY(read_tool_choice(q, report));
    ENX_TRY(read_format(q, report));
    return read_logprobs(q, report);
}

/* ---- A stream ------------------------------------------------------------------------------- */

static enx_status open_chunk(enx_turn *t, uint32_t index)
{
    ENX_TRY(enx_buf_append(&t->out, enx_buf_text(&t->head), t->head.size_bytes));
    return enx_buf_printf(&t->out, "\"choices\":[{\"index\":%u,\"delta\":", index);
}

static enx_status close_chunk(enx_turn *t, const char *finish, const char *more)
{
    const char *quote = finish ? "\"" : "";
    return enx_buf_printf(&t->out, ",\"finish_reason\":%s%s%s}]%s}\n\n", quote,
                          finish ? finish : "null", quote, more);
}

static enx_status begin_chat(enx_turn *t)
{
    ENX_TRY(enx_openai_head(t, "chat.completion.chunk"));
    for (uint32_t i = 0; i < t->answer_count; i++) {
        ENX_TRY(open_chunk(t, i));
        ENX_TRY(enx_buf_append_text(&t->out, "{\"role\":\"assistant\",\"content\":\"\"}"));
        ENX_TRY(close_chunk(t, NULL, ""));
        if (i > 0 || !t->early_extra[0]) continue;
        t->out.size_bytes -= 3; /* "}\n\n": the field goes in before them */
        ENX_TRY(enx_buf_printf(&t->out, ",\"enxame\":%s}\n\n", t->early_extra));
    }
    return ENX_OK;
}

static enx_status write_call(enx_turn *t, const enx_delta *delta)
{
    const enx_tool_call *call = delta->call;
    ENX_TRY(enx_buf_printf(&t->out,
                           "{\"tool_calls\":[{\"index\":%u,\"id\":\"%s\",\"type\":\"function\","
                           "\"function\":{\"name\":\"%s\",\"arguments\":",
                           delta->call_index, call->id, call->name));
    ENX_TRY(enx_voice_string(&t->out, call->arguments, strlen(call->arguments)));
    return enx_buf_append_text(&t->out, "}}]}");
}

static enx_status delta_chat(enx_turn *t, uint32_t index, const enx_delta *delta)
{
    ENX_TRY(open_chunk(t, index));
    if (delta->kind == ENX_DELTA_CALL) {
        ENX_TRY(write_call(t, delta));
    } else {
        ENX_TRY(enx_buf_append_text(&t->out, delta->kind == ENX_DELTA_THOUGHT
                                                 ? "{\"reasoning_content\":"
                                                 : "{\"content\":"));
        ENX_TRY(enx_voice_string(&t->out, delta->text, delta->text_bytes));
        ENX_TRY(enx_buf_append(&t->out, "}", 1));
    }
    if (t->question->wants_logprobs) {
        ENX_TRY(enx_buf_append_text(&t->out, ",\"logprobs\":"));
        ENX_TRY(enx_voice_json(&t->out, enx_openai_logprobs(&t->answers[index], true)));
    }
    return close_chunk(t, NULL, "");
}

static const char *finish_word(const enx_turn_answer *a)
{
    if (a->answer.call_count && a->end == ENX_END_STOP) return "tool_calls";
    return enx_openai_finish(a->end);
}

static enx_status finish_chat(enx_turn *t, uint32_t index)
{
    ENX_TRY(open_chunk(t, index));
    ENX_TRY(enx_buf_append_text(&t->out, "{}"));
    return close_chunk(t, finish_word(&t->answers[index]), "");
}

/* ---- The whole ------------------------------------------------------------------------------ */

static json_t *calls_json(const enx_answer *a)
{
    json_t *calls = json_array();
    for (uint32_t i = 0; i < a->call_count; i++)
        json_array_append_new(calls,
                              json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", a->calls[i].id, "type",
                                        "function", "function", "name", a->calls[i].name,
                                        "arguments", a->calls[i].arguments));
    return calls;
}

static json_t *choice_json(enx_turn_answer *a, uint32_t index, bool wants_logprobs)
{
    const enx_answer *answer = &a->answer;
    const enx_buf    *text = &answer->text;
    const bool        is_wordless = text->size_bytes == 0 && answer->call_count > 0;
    json_t           *content =
        is_wordless ? json_null() : enx_voice_text(enx_buf_text(text), text->size_bytes);
    json_t *message =
        json_pack("{s:s, s:o, s:n}", "role", "assistant", "content", content, "refusal");
    if (answer->thought.size_bytes)
        json_object_set_new(
            message, "reasoning_content",
            enx_voice_text(enx_buf_text(&answer->thought), answer->thought.size_bytes));
    if (answer->call_count) json_object_set_new(message, "tool_calls", calls_json(answer));
    return json_pack("{s:i, s:o, s:o, s:s}", "index", (int)index, "message", message, "logprobs",
                     wants_logprobs ? enx_openai_logprobs(a, true) : json_null(), "finish_reason",
                     finish_word(a));
}

static enx_status whole_chat(enx_turn *t)
{
    json_t *choices = json_array();
    for (uint32_t i = 0; i < t->answer_count; i++)
        json_array_append_new(choices, choice_json(&t->answers[i], i, t->question->wants_logprobs));
    return enx_openai_whole(t, "chat.completion", choices);
}

const enx_voice enx_voice_chat = { .name = "chat",
                                   .id_prefix = "chatcmpl-",
                                   .read = read_chat,
                                   .begin = begin_chat,
                                   .delta = delta_chat,
                                   .finish = finish_chat,
                                   .end = enx_openai_end,
                                   .whole = whole_chat,
                                   .error = enx_voice_openai_error };
