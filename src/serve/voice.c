/* SPDX-License-Identifier: Apache-2.0 */
/* voice.c - JSON that several voices read or write. */
#include "serve/voice.h"

#include "backend/api_json.h"
#include "text/schema.h"
#include "text/utf8.h"

#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD";

/* Bytes that a JSON string holds as they are. */
static bool is_plain(unsigned char byte)
{
    return byte >= ' ' && byte < 0x80 && byte != '"' && byte != '\\';
}

static enx_status write_escaped(enx_buf *out, unsigned char byte)
{
    switch (byte) {
    case '"':
        return enx_buf_append(out, "\\\"", 2);
    case '\\':
        return enx_buf_append(out, "\\\\", 2);
    case '\n':
        return enx_buf_append(out, "\\n", 2);
    case '\r':
        return enx_buf_append(out, "\\r", 2);
    case '\t':
        return enx_buf_append(out, "\\t", 2);
    default:
        return enx_buf_printf(out, "\\u%04x", byte);
    }
}

enx_status enx_voice_string(enx_buf *out, const char *text, size_t size_bytes)
{
    ENX_TRY(enx_buf_append(out, "\"", 1));
    for (size_t at = 0; at < size_bytes;) {
        size_t end = at;
        while (end < size_bytes && is_plain((unsigned char)text[end])) end++;
        ENX_TRY(enx_buf_append(out, text + at, end - at));
        if (end == size_bytes) break;
        uint32_t     character = 0;
        const size_t size = enx_utf8_decode(text + end, size_bytes - end, &character);
        if (character == ENX_UTF8_INVALID)
            ENX_TRY(enx_buf_append(out, replacement, sizeof replacement - 1));
        else if (size > 1) ENX_TRY(enx_buf_append(out, text + end, size));
        else ENX_TRY(write_escaped(out, (unsigned char)text[end]));
        at = end + size;
    }
    return enx_buf_append(out, "\"", 1);
}

enx_status enx_voice_json(enx_buf *out, json_t *json)
{
    return enx_api_json_append(out, json, NULL);
}

json_t *enx_voice_text(const char *text, size_t size_bytes)
{
    json_t *json = json_stringn(text, size_bytes);
    enx_buf clean;
    if (json) return json;
    enx_buf_init(&clean, 4 * size_bytes + 8);
    for (size_t at = 0; at < size_bytes;) {
        uint32_t     character = 0;
        const size_t size = enx_utf8_decode(text + at, size_bytes - at, &character);
        const bool   is_valid = character != ENX_UTF8_INVALID;
        if (enx_buf_append(&clean, is_valid ? text + at : replacement,
                           is_valid ? size : sizeof replacement - 1) != ENX_OK)
            break;
        at += size;
    }
    json = json_stringn(enx_buf_text(&clean), clean.size_bytes);
    enx_buf_deinit(&clean);
    return json;
}

enx_status enx_voice_event(enx_buf *out, const char *name, json_t *json)
{
    enx_status status = enx_buf_printf(out, "event: %s\ndata: ", name);
    if (status != ENX_OK) {
        json_decref(json);
        return status;
    }
    ENX_TRY(enx_voice_json(out, json));
    return enx_buf_append(out, "\n\n", 2);
}

static void answer_bytes(enx_reply *reply, int http_status, const enx_buf *body)
{
    enx_reply_begin(reply, http_status, "application/json", false);
    (void)enx_reply_push(reply, enx_buf_text(body), body->size_bytes);
    enx_reply_end(reply);
}

void enx_voice_refuse(const enx_voice *voice, enx_reply *reply, int http_status,
                      const char *message)
{
    enx_buf body;
    enx_buf_init(&body, ENX_REPLY_BYTES_MAX);
    (void)!voice->error(http_status, message, false, &body); /* without memory: an empty body */
    answer_bytes(reply, http_status, &body);
    enx_buf_deinit(&body);
}

void enx_voice_answer(enx_reply *reply, int http_status, json_t *json)
{
    enx_buf body;
    enx_buf_init(&body, ENX_REPLY_BYTES_MAX);
    if (enx_voice_json(&body, json) == ENX_OK) answer_bytes(reply, http_status, &body);
    else enx_voice_refuse(&enx_voice_chat, reply, 503, "no memory for the answer");
    enx_buf_deinit(&body);
}

static enx_status append_part(enx_buf *text, const json_t *part, const char *place,
                              enx_report *report)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    if (!type) return ENX_FAIL(report, INVALID, "%s: a part without type", place);
    const json_t *words = json_object_get(part, strcmp(type, "refusal") == 0 ? "refusal" : "text");
    if (!json_is_string(words) ||
        (strcmp(type, "text") != 0 && strcmp(type, "input_text") != 0 &&
         strcmp(type, "output_text") != 0 && strcmp(type, "refusal") != 0))
        return ENX_FAIL(report, UNSUPPORTED, "%s: parts of type %.40s are not supported, only text",
                        place, type);
    if (enx_buf_append(text, json_string_value(words), json_string_length(words)) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for the messages");
    return ENX_OK;
}

enx_status enx_voice_content(const json_t *content, const char *place, json_t **out,
                             enx_report *report)
{
    enx_buf    text;
    size_t     i;
    json_t    *part;
    enx_status status = ENX_OK;
    if (json_is_string(content)) {
        *out = json_incref((json_t *)(uintptr_t)content);
        return ENX_OK;
    }
    if (!json_is_array(content))
        return ENX_FAIL(report, INVALID, "%s: a text, or an array of parts, is needed", place);
    enx_buf_init(&text, ENX_ANSWER_BYTES_MAX);
    json_array_foreach (content, i, part)
        if (status == ENX_OK) status = append_part(&text, part, place, report);
    if (status == ENX_OK) *out = json_stringn(enx_buf_text(&text), text.size_bytes);
    enx_buf_deinit(&text);
    return status;
}

static const char *error_type(int http_status)
{
    switch (http_status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return http_status >= 500 ? "server_error" : "invalid_request_error";
    }
}

static const char *error_code(int http_status)
{
    switch (http_status) {
    case 401:
        return "invalid_api_key";
    case 404:
        return "not_found";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_exceeded";
    case 503:
        return "overloaded";
    default:
        return http_status >= 500 ? "server_error" : "invalid_value";
    }
}

enx_status enx_voice_openai_error(int http_status, const char *message, bool is_in_stream,
                                  enx_buf *out)
{
    if (is_in_stream) ENX_TRY(enx_buf_append_text(out, "data: "));
    ENX_TRY(enx_voice_json(out, json_pack("{s:{s:o, s:s, s:n, s:s}}", "error", "message",
                                          enx_voice_text(message, strlen(message)), "type",
                                          error_type(http_status), "param", "code",
                                          error_code(http_status))));
    return is_in_stream ? enx_buf_append(out, "\n\n", 2) : ENX_OK;
}

enx_status enx_voice_set_schema(enx_question *q, const json_t *schema, const char *place,
                                enx_report *report)
{
    enx_grammar *grammar = NULL;
    enx_buf      text;
    if (!json_is_object(schema))
        return ENX_FAIL(report, INVALID, "%s: a JSON Schema is needed", place);
    enx_buf_init(&text, ENX_GRAMMAR_BYTES_MAX);
    enx_status status = enx_voice_json(&text, json_incref((json_t *)(uintptr_t)schema));
    if (status != ENX_OK) status = ENX_FAIL(report, LIMIT, "the schema is too large");
    if (status == ENX_OK)
        status = enx_schema_open(&grammar, enx_buf_text(&text), text.size_bytes, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", place);
    enx_grammar_close(&grammar);
    enx_buf_deinit(&text);
    if (status == ENX_OK) q->schema = json_incref((json_t *)(uintptr_t)schema);
    return status;
}
