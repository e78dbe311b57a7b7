/* SPDX-License-Identifier: Apache-2.0 */
/* tools.c - tools in words, and as a schema. */
#include "serve/tools.h"

#include "serve/answer.h"
#include "serve/voice.h"

#include <string.h>

static const char introduction[] =
    "You may call these functions (JSON Schemas of their arguments):\n";
static const char convention[] =
    "\nTo call one, write exactly\n" ENX_ANSWER_CALL_OPEN "\n{\"name\": NAME, \"arguments\": "
    "{...}}\n" ENX_ANSWER_CALL_CLOSE "\nand nothing after it; the result comes in the next "
    "message.  Otherwise answer as usual.";

static bool offers_tools(const enx_question *q)
{
    return q->tools && q->tool_choice != ENX_TOOL_NONE;
}

static enx_status explain(const enx_question *q, const json_t *system, enx_buf *out)
{
    size_t  i;
    json_t *tool;
    if (json_is_string(system)) {
        ENX_TRY(enx_buf_append_text(out, json_string_value(system)));
        ENX_TRY(enx_buf_append_text(out, "\n\n"));
    }
    ENX_TRY(enx_buf_append_text(out, introduction));
    json_array_foreach (q->tools, i, tool) {
        ENX_TRY(enx_voice_json(out, json_incref(json_object_get(tool, "function"))));
        ENX_TRY(enx_buf_append_text(out, "\n"));
    }
    return enx_buf_append_text(out, convention);
}

static enx_status write_calls(const json_t *message, enx_buf *out)
{
    size_t  i;
    json_t *call;
    ENX_TRY(enx_buf_append_text(out, json_string_value(json_object_get(message, "content"))));
    json_array_foreach (json_object_get(message, "tool_calls"), i, call) {
        ENX_TRY(enx_buf_append_text(out, out->size_bytes ? "\n" ENX_ANSWER_CALL_OPEN "\n"
                                                         : ENX_ANSWER_CALL_OPEN "\n"));
        ENX_TRY(enx_voice_json(out, json_incref(json_object_get(call, "function"))));
        ENX_TRY(enx_buf_append_text(out, "\n" ENX_ANSWER_CALL_CLOSE));
    }
    return ENX_OK;
}

static enx_status write_result(const json_t *message, enx_buf *out)
{
    ENX_TRY(enx_buf_append_text(out, "<tool_response>\n"));
    ENX_TRY(enx_buf_append_text(out, json_string_value(json_object_get(message, "content"))));
    return enx_buf_append_text(out, "\n</tool_response>");
}

/* One message without what only tools have; a message of its own stays as it is. */
static enx_status put_in_words(const json_t *message, json_t *messages)
{
    const bool is_result = strcmp(json_string_value(json_object_get(message, "role")), "tool") == 0;
    enx_buf    text;
    if (!is_result && !json_object_get(message, "tool_calls"))
        return json_array_append(messages, (json_t *)(uintptr_t)message) == 0 ? ENX_OK : ENX_NOMEM;
    enx_buf_init(&text, ENX_ANSWER_BYTES_MAX);
    enx_status status = is_result ? write_result(message, &text) : write_calls(message, &text);
    if (status == ENX_OK &&
        json_array_append_new(messages,
                              json_pack("{s:s, s:s%}", "role", is_result ? "user" : "assistant",
                                        "content", enx_buf_text(&text), text.size_bytes)) != 0)
        status = ENX_NOMEM;
    enx_buf_deinit(&text);
    return status;
}

static enx_status add_explanation(const enx_question *q, const json_t *system, json_t *messages)
{
    enx_buf text;
    enx_buf_init(&text, ENX_ANSWER_BYTES_MAX);
    enx_status status = explain(q, system, &text);
    if (status == ENX_OK &&
        json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", "system", "content",
                                                  enx_buf_text(&text), text.size_bytes)) != 0)
        status = ENX_NOMEM;
    enx_buf_deinit(&text);
    return status;
}

enx_status enx_tools_in_words(const enx_question *q, json_t **out, enx_report *report)
{
    json_t     *messages = json_array(), *message;
    size_t      i;
    enx_status  status = ENX_OK;
    json_t     *first = json_array_get(q->messages, 0);
    const char *role = json_string_value(json_object_get(first, "role"));
    const bool  has_system = role && strcmp(role, "system") == 0;
    if (offers_tools(q))
        status =
            add_explanation(q, has_system ? json_object_get(first, "content") : NULL, messages);
    json_array_foreach (q->messages, i, message)
        if (status == ENX_OK && !(i == 0 && has_system && offers_tools(q)))
            status = put_in_words(message, messages);
    if (status != ENX_OK) {
        json_decref(messages);
        return enx_report_set(report, status, __FILE__, __LINE__, "no memory for the tools");
    }
    *out = messages;
    return ENX_OK;
}

static json_t *call_schema(const json_t *function)
{
    return json_pack("{s:s, s:{s:{s:O}, s:O}, s:[s, s], s:b}", "type", "object", "properties",
                     "name", "const", json_object_get(function, "name"), "arguments",
                     json_object_get(function, "parameters"), "required", "name", "arguments",
                     "additionalProperties", 0);
}

enx_status enx_tools_schema(const enx_question *q, json_t **out, enx_report *report)
{
    json_t *calls, *tool;
    size_t  i;
    *out = NULL;
    if (q->schema) *out = json_incref(q->schema);
    else if (q->wants_json) *out = json_pack("{s:s}", "type", "object");
    if (*out || !q->tools ||
        (q->tool_choice != ENX_TOOL_REQUIRED && q->tool_choice != ENX_TOOL_NAMED))
        return ENX_OK;
    calls = json_array();
    json_array_foreach (q->tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        const char   *name = json_string_value(json_object_get(function, "name"));
        if (q->tool_choice == ENX_TOOL_NAMED && strcmp(name, q->tool_name) != 0) continue;
        json_array_append_new(calls, call_schema(function));
    }
    *out = json_pack("{s:o}", "anyOf", calls);
    return *out ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for the tools");
}
