/* SPDX-License-Identifier: Apache-2.0 */
/* api_json.c - JSON that came from outside, and JSON that goes there. */
#include "backend/api_json.h"

#include "backend/loaded.h"

#include <string.h>

static const char schema_words[] =
    "Answer with one JSON value and nothing else: no prose, no fence. It must follow this JSON "
    "Schema:\n";

/* jansson recurses into what it reads: the depth is bounded before. */
static enx_status check_depth(const char *data, size_t data_bytes, enx_report *report)
{
    int  depth = 0;
    bool is_string = false;
    for (size_t i = 0; i < data_bytes; i++) {
        if (is_string) {
            if (data[i] == '\\') i++;
            else if (data[i] == '"') is_string = false;
        } else if (data[i] == '"') is_string = true;
        else if (data[i] == '{' || data[i] == '[') depth++;
        else if (data[i] == '}' || data[i] == ']') depth--;
        if (depth > ENX_API_JSON_DEPTH_MAX)
            return ENX_FAIL(report, LIMIT, "JSON is nested deeper than %d", ENX_API_JSON_DEPTH_MAX);
    }
    return ENX_OK;
}

enx_status enx_api_json_load(json_t **out, const char *data, size_t data_bytes, enx_report *report)
{
    json_error_t error;
    ENX_TRY(check_depth(data, data_bytes, report));
    json_t *json = json_loadb(data, data_bytes, JSON_ALLOW_NUL, &error);
    if (!json) return ENX_FAIL(report, FORMAT, "not JSON at byte %d", error.position);
    if (!json_is_object(json)) {
        json_decref(json);
        return ENX_FAIL(report, FORMAT, "JSON, but no object");
    }
    *out = json;
    return ENX_OK;
}

static int append_dump(const char *bytes, size_t size_bytes, void *user)
{
    return enx_buf_append(user, bytes, size_bytes) == ENX_OK ? 0 : -1;
}

enx_status enx_api_json_append(enx_buf *out, json_t *json, enx_report *report)
{
    if (!json) return ENX_FAIL(report, NOMEM, "no memory for a request");
    const int failed = json_dump_callback(json, append_dump, out, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(json);
    if (!failed) return ENX_OK;
    return ENX_FAIL(report, LIMIT, "a request of more than %zu bytes, or no memory for it",
                    out->max_bytes);
}

enx_status enx_api_json_text(json_t **out, const enx_api_message *message, enx_report *report)
{
    const size_t at = enx_utf8_invalid_at(message->text, message->text_bytes);
    if (at < message->text_bytes)
        return ENX_FAIL(report, FORMAT,
                        "the text is not UTF-8 at byte %zu; chat models can only be sent text",
                        at + 1);
    *out = json_stringn_nocheck(message->text, message->text_bytes);
    return *out ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for a message");
}

enx_status enx_api_json_schema(json_t **out, const enx_api_request *request, enx_report *report)
{
    json_t *schema = NULL;
    ENX_TRY(enx_api_json_load(&schema, request->schema, strlen(request->schema), report));
    *out = schema;
    return ENX_OK;
}

enx_status enx_api_schema_words(enx_buf *out, const enx_api_request *request, enx_report *report)
{
    enx_status status = enx_buf_append_text(out, schema_words);
    if (status == ENX_OK) status = enx_buf_append_text(out, request->schema);
    if (status != ENX_OK) return ENX_FAIL(report, NOMEM, "no memory for a schema");
    return ENX_OK;
}

enx_status enx_api_json_messages(json_t **out, const enx_api_request *request, size_t first,
                                 enx_report *report)
{
    static const char *const roles[] = { "system", "user", "assistant" };
    json_t                  *messages = json_array(), *text = NULL;
    enx_status               status = ENX_OK;
    for (size_t i = first; status == ENX_OK && i < request->message_count; i++) {
        const enx_api_message *message = &request->messages[i];
        status = enx_api_json_text(&text, message, report);
        if (status == ENX_OK &&
            json_array_append_new(messages, json_pack("{s:s, s:o}", "role", roles[message->role],
                                                      "content", text)) != 0)
            status = ENX_FAIL(report, NOMEM, "no memory for a message");
    }
    if (status != ENX_OK) {
        json_decref(messages);
        return status;
    }
    *out = messages;
    return ENX_OK;
}

/* ---- Reading -------------------------------------------------------------------------------- */

enx_status enx_api_take_text(enx_buf *out, const json_t *text, enx_report *report)
{
    if (!json_is_string(text)) return ENX_OK;
    const enx_status status =
        enx_buf_append(out, json_string_value(text), json_string_length(text));
    if (status == ENX_LIMIT)
        return ENX_FAIL(report, LIMIT, "an answer of more than %zu bytes", out->max_bytes);
    if (status != ENX_OK) return ENX_FAIL(report, NOMEM, "no memory for an answer");
    return ENX_OK;
}

bool enx_api_take_count(enx_api_usage *usage, const json_t *object, const char *key, uint64_t *out)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return false;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        *out = (uint64_t)json_integer_value(value);
    else usage->is_broken = true;
    return true;
}

/* Text of a server may end on a terminal: control characters become spaces.  Cut between
 * characters. */
static void take_words(char *out, size_t out_bytes, const json_t *text)
{
    const char *words = json_string_value(text);
    if (!words) return;
    const size_t size = enx_utf8_cut(words, strlen(words), out_bytes - 1);
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)words[i];
        const bool          is_c1 = c == 0xC2 && i + 1 < size && (unsigned char)words[i + 1] < 0xA0;
        out[i] = c < ' ' || c == 0x7F || is_c1 ? ' ' : words[i];
        if (is_c1) out[++i] = ' ';
    }
    out[size] = '\0';
}

void enx_api_take_error(enx_api_error *out, const json_t *error)
{
    if (json_is_string(error)) take_words(out->message, sizeof out->message, error);
    take_words(out->message, sizeof out->message, json_object_get(error, "message"));
    take_words(out->field, sizeof out->field, json_object_get(error, "param"));
    take_words(out->kind, sizeof out->kind, json_object_get(error, "type"));
    take_words(out->kind, sizeof out->kind, json_object_get(error, "code"));
    out->is_set = true;
}
