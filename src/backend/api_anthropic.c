/* SPDX-License-Identifier: Apache-2.0 */
/* api_anthropic.c - Anthropic Messages.
 *
 * A schema becomes the input of a tool that the model is made to use; that input is the answer. */
#include "backend/api_json.h"

#include <string.h>

/* ---- Asking --------------------------------------------------------------------------------- */

/* Append the leading system messages; *count: how many there are. */
static enx_status append_system(enx_buf *out, const enx_api_request *request, size_t *count,
                                enx_report *report)
{
    size_t     i = 0;
    enx_status status = ENX_OK;
    for (; i < request->message_count && request->messages[i].role == ENX_API_SYSTEM; i++) {
        const enx_api_message *message = &request->messages[i];
        if (out->size_bytes) status = enx_buf_append_text(out, "\n\n");
        if (status == ENX_OK) status = enx_buf_append(out, message->text, message->text_bytes);
        if (status != ENX_OK) return ENX_FAIL(report, NOMEM, "no memory for a request");
    }
    *count = i;
    for (; i < request->message_count; i++)
        if (request->messages[i].role == ENX_API_SYSTEM)
            return ENX_FAIL(report, INVALID, "a system message after message %zu; all come first",
                            i);
    return ENX_OK;
}

static enx_status add_system(json_t *body, const enx_api_request *request, unsigned features,
                             size_t *count, enx_report *report)
{
    enx_buf text;
    json_t *system = NULL;
    enx_buf_init(&text, ENX_API_REQUEST_BYTES_MAX);
    enx_status status = ENX_OK;
    if (request->schema && !(features & ENX_API_HAS_SCHEMA))
        status = enx_api_schema_words(&text, request, report);
    if (status == ENX_OK) status = append_system(&text, request, count, report);
    const enx_api_message whole = { ENX_API_SYSTEM, enx_buf_text(&text), text.size_bytes };
    if (status == ENX_OK && text.size_bytes) status = enx_api_json_text(&system, &whole, report);
    if (status == ENX_OK && system && json_object_set_new(body, "system", system) != 0)
        status = ENX_FAIL(report, NOMEM, "no memory for a request");
    enx_buf_deinit(&text);
    return status;
}

static enx_status add_tool(json_t *body, const enx_api_request *request, enx_report *report)
{
    const char *name = request->schema_name ? request->schema_name : "answer";
    json_t     *schema = NULL;
    ENX_TRY(enx_api_json_schema(&schema, request, report));
    json_t *tools = json_pack("[{s:s, s:s, s:o}]", "name", name, "description", "Takes the answer.",
                              "input_schema", schema);
    json_t *choice =
        json_pack("{s:s, s:s, s:b}", "type", "tool", "name", name, "disable_parallel_tool_use", 1);
    if (json_object_set_new(body, "tools", tools) != 0 ||
        json_object_set_new(body, "tool_choice", choice) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for a request");
    return ENX_OK;
}

static bool add_sampling(json_t *body, const enx_api_request *r, unsigned features)
{
    int failed = json_object_set_new(body, "max_tokens", json_integer((json_int_t)r->max_tokens));
    failed |= json_object_set_new(body, "stream", json_true());
    if (r->temperature >= 0 && features & ENX_API_HAS_TEMPERATURE)
        failed |= json_object_set_new(body, "temperature", json_real(r->temperature));
    if (r->top_p > 0 && features & ENX_API_HAS_TOP_P)
        failed |= json_object_set_new(body, "top_p", json_real(r->top_p));
    json_t *stops = r->stop_count && features & ENX_API_HAS_STOPS ? json_array() : NULL;
    for (size_t i = 0; stops && i < r->stop_count; i++)
        failed |= json_array_append_new(stops, json_string(r->stops[i]));
    if (stops) failed |= json_object_set_new(body, "stop_sequences", stops);
    return failed == 0;
}

static enx_status write_request(const enx_api_request *request, const char *model,
                                unsigned features, enx_buf *out, enx_report *report)
{
    json_t    *body = json_pack("{s:s}", "model", model), *messages = NULL;
    size_t     first = 0;
    enx_status status = ENX_OK;
    if (!body || !add_sampling(body, request, features))
        status = ENX_FAIL(report, FORMAT, "no memory for a request, or a stop is not UTF-8");
    if (status == ENX_OK) status = add_system(body, request, features, &first, report);
    if (status == ENX_OK) status = enx_api_json_messages(&messages, request, first, report);
    if (status == ENX_OK && json_object_set_new(body, "messages", messages) != 0)
        status = ENX_FAIL(report, NOMEM, "no memory for a request");
    if (status == ENX_OK && request->schema && features & ENX_API_HAS_SCHEMA)
        status = add_tool(body, request, report);
    if (status != ENX_OK) {
        json_decref(body);
        return status;
    }
    return enx_api_json_append(out, body, report);
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* Told at the start, and again at the end with what had come by then; what is left out stays.
 * Tokens written to the cache were read. */
static void take_usage(enx_api_usage *u, const json_t *usage)
{
    uint64_t evaluated = 0, stored = 0;
    u->has_out |= enx_api_take_count(u, usage, "output_tokens", &u->out);
    if (enx_api_take_count(u, usage, "input_tokens", &evaluated)) {
        enx_api_take_count(u, usage, "cache_creation_input_tokens", &stored);
        u->has_in = true;
        if (__builtin_add_overflow(evaluated, stored, &u->in)) u->is_broken = true;
    }
    enx_api_take_count(u, usage, "cache_read_input_tokens", &u->cached);
}

static void take_stop(enx_api_reply *reply, const json_t *value)
{
    const char *reason = json_string_value(value);
    if (!reason) return;
    reply->stop = ENX_API_STOP_END; /* end_turn, stop_sequence, tool_use */
    if (strcmp(reason, "refusal") == 0) reply->stop = ENX_API_STOP_REFUSAL;
    if (strcmp(reason, "max_tokens") == 0 || strcmp(reason, "pause_turn") == 0 ||
        strcmp(reason, "model_context_window_exceeded") == 0)
        reply->stop = ENX_API_STOP_LENGTH;
}

static bool is_word(const json_t *object, const char *key, const char *word)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value && strcmp(value, word) == 0;
}

/* What was said before the tool is not the answer. */
static void begin_tool(enx_api_reply *reply)
{
    enx_buf_clear(&reply->text);
    reply->has_tool = true;
}

static enx_status take_delta(enx_api_reply *reply, const json_t *delta, enx_report *report)
{
    if (reply->has_tool)
        return enx_api_take_text(&reply->text, json_object_get(delta, "partial_json"), report);
    return enx_api_take_text(&reply->text, json_object_get(delta, "text"), report);
}

static enx_status take_object(enx_api_reply *reply, const json_t *object, enx_report *report)
{
    const json_t *message = json_object_get(object, "message");
    const json_t *delta = json_object_get(object, "delta");
    if (is_word(object, "type", "message_start")) {
        take_usage(&reply->usage, json_object_get(message, "usage"));
    } else if (is_word(object, "type", "content_block_start")) {
        const json_t *block = json_object_get(object, "content_block");
        if (is_word(block, "type", "tool_use")) begin_tool(reply);
        else return take_delta(reply, block, report);
    } else if (is_word(object, "type", "content_block_delta")) {
        return take_delta(reply, delta, report);
    } else if (is_word(object, "type", "message_delta")) {
        take_stop(reply, json_object_get(delta, "stop_reason"));
        take_usage(&reply->usage, json_object_get(object, "usage"));
    } else if (is_word(object, "type", "message_stop")) {
        reply->is_ended = true;
    } else if (is_word(object, "type", "error")) {
        enx_api_take_error(&reply->error, json_object_get(object, "error"));
    }
    return ENX_OK; /* others are pings, or will come one day */
}

static enx_status take_event(enx_api_reply *reply, const char *data, size_t data_bytes,
                             enx_report *report)
{
    json_t *object = NULL;
    ENX_TRY(enx_api_json_load(&object, data, data_bytes, report));
    const enx_status status = take_object(reply, object, report);
    json_decref(object);
    return status;
}

static enx_status take_content(enx_api_reply *reply, const json_t *content, enx_report *report)
{
    size_t  i;
    json_t *block;
    json_array_foreach (content, i, block) {
        if (is_word(block, "type", "tool_use")) {
            json_t *input = json_object_get(block, "input");
            begin_tool(reply);
            if (input) ENX_TRY(enx_api_json_append(&reply->text, json_incref(input), report));
        } else ENX_TRY(take_delta(reply, block, report));
    }
    return ENX_OK;
}

static enx_status take_body(enx_api_reply *reply, const char *data, size_t data_bytes,
                            enx_report *report)
{
    json_t *object = NULL;
    ENX_TRY(enx_api_json_load(&object, data, data_bytes, report));
    const json_t *error = json_object_get(object, "error");
    if (error && !json_is_null(error)) enx_api_take_error(&reply->error, error);
    take_stop(reply, json_object_get(object, "stop_reason"));
    take_usage(&reply->usage, json_object_get(object, "usage"));
    const enx_status status = take_content(reply, json_object_get(object, "content"), report);
    reply->is_ended = true;
    json_decref(object);
    return status;
}

const enx_api enx_api_anthropic = {
    .name = "anthropic",
    .path = "/messages",
    .key = "ANTHROPIC_API_KEY",
    .key_header = "x-api-key: ",
    .header = "anthropic-version: 2023-06-01",
    .features = ENX_API_HAS_SCHEMA | ENX_API_HAS_TEMPERATURE | ENX_API_HAS_TOP_P |
                ENX_API_HAS_MAX_TOKENS | ENX_API_HAS_STOPS,
    .write = write_request,
    .event = take_event,
    .body = take_body,
};
