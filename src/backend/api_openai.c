/* SPDX-License-Identifier: Apache-2.0 */
/* api_openai.c - chat completions, as OpenAI and those who copied it speak them. */
#include "backend/api_json.h"

#include <string.h>

/* ---- Asking --------------------------------------------------------------------------------- */

static enx_status add_schema(json_t *body, const enx_api_request *request, enx_report *report)
{
    json_t *schema = NULL;
    ENX_TRY(enx_api_json_schema(&schema, request, report));
    json_t *format = json_pack("{s:s, s:{s:s, s:b, s:o}}", "type", "json_schema", "json_schema",
                               "name", request->schema_name ? request->schema_name : "answer",
                               "strict", 1, "schema", schema);
    if (json_object_set_new(body, "response_format", format) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for a request");
    return ENX_OK;
}

/* A server that takes no schema is told in words, before everything else. */
static enx_status insert_schema_words(json_t *messages, const enx_api_request *request,
                                      enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, ENX_API_REQUEST_BYTES_MAX);
    enx_status status = enx_api_schema_words(&text, request, report);
    if (status == ENX_OK && json_array_insert_new(messages, 0,
                                                  json_pack("{s:s, s:s}", "role", "system",
                                                            "content", enx_buf_text(&text))) != 0)
        status = ENX_FAIL(report, FORMAT, "the schema is not UTF-8");
    enx_buf_deinit(&text);
    return status;
}

/* A member that cannot be made or set is missing memory. */
static bool add_sampling(json_t *body, const enx_api_request *r, unsigned features)
{
    int         failed = 0;
    const char *max_tokens =
        features & ENX_API_HAS_MAX_TOKENS ? "max_tokens" : "max_completion_tokens";
    failed |= json_object_set_new(body, max_tokens, json_integer((json_int_t)r->max_tokens));
    if (r->temperature >= 0 && features & ENX_API_HAS_TEMPERATURE)
        failed |= json_object_set_new(body, "temperature", json_real(r->temperature));
    if (r->top_p > 0 && features & ENX_API_HAS_TOP_P)
        failed |= json_object_set_new(body, "top_p", json_real(r->top_p));
    if (r->has_seed && features & ENX_API_HAS_SEED)
        failed |= json_object_set_new(body, "seed", json_integer(r->seed));
    if (r->wants_logprobs && features & ENX_API_HAS_LOGPROBS)
        failed |= json_object_set_new(body, "logprobs", json_true());
    failed |= json_object_set_new(body, "stream", json_true());
    if (features & ENX_API_HAS_STREAM_USAGE)
        failed |=
            json_object_set_new(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    json_t *stops = r->stop_count && features & ENX_API_HAS_STOPS ? json_array() : NULL;
    for (size_t i = 0; stops && i < r->stop_count; i++)
        failed |= json_array_append_new(stops, json_string(r->stops[i]));
    if (stops) failed |= json_object_set_new(body, "stop", stops);
    return failed == 0;
}

static enx_status write_request(const enx_api_request *request, const char *model,
                                unsigned features, enx_buf *out, enx_report *report)
{
    json_t *messages = NULL;
    ENX_TRY(enx_api_json_messages(&messages, request, 0, report));
    json_t    *body = json_pack("{s:s, s:O}", "model", model, "messages", messages);
    enx_status status = ENX_OK;
    if (!body || !add_sampling(body, request, features))
        status = ENX_FAIL(report, FORMAT, "no memory for a request, or a stop is not UTF-8");
    if (status == ENX_OK && request->schema)
        status = features & ENX_API_HAS_SCHEMA ? add_schema(body, request, report)
                                               : insert_schema_words(messages, request, report);
    json_decref(messages);
    if (status != ENX_OK) {
        json_decref(body);
        return status;
    }
    return enx_api_json_append(out, body, report);
}

/* ---- Answers -------------------------------------------------------------------------------- */

/* Streams may tell usage more than once, each time the whole: the last one counts. */
static void take_usage(enx_api_usage *u, const json_t *usage)
{
    const json_t *read = json_object_get(usage, "prompt_tokens_details");
    const json_t *written = json_object_get(usage, "completion_tokens_details");
    uint64_t      prompt = 0;
    if (!json_is_object(usage)) return;
    *u = (enx_api_usage){ 0 };
    u->has_in = enx_api_take_count(u, usage, "prompt_tokens", &prompt);
    u->has_out = enx_api_take_count(u, usage, "completion_tokens", &u->out);
    u->has_total = enx_api_take_count(u, usage, "total_tokens", &u->total);
    enx_api_take_count(u, read, "cached_tokens", &u->cached);
    enx_api_take_count(u, written, "reasoning_tokens", &u->reasoning);
    if (u->cached > prompt) u->is_broken = true;
    u->in = u->is_broken ? 0 : prompt - u->cached;
}

static void take_logprobs(enx_api_reply *reply, const json_t *logprobs)
{
    size_t  i;
    json_t *token;
    json_array_foreach (json_object_get(logprobs, "content"), i, token) {
        const double logprob = json_number_value(json_object_get(token, "logprob"));
        if (!(logprob <= 0) || reply->logprob_count == UINT32_MAX) continue;
        reply->sum_logprob += logprob;
        if (reply->logprob_count == 0 || logprob < reply->min_logprob) reply->min_logprob = logprob;
        reply->logprob_count++;
    }
}

static void take_finish(enx_api_reply *reply, const char *reason)
{
    const enx_api_stop stop = strcmp(reason, "length") == 0           ? ENX_API_STOP_LENGTH
                              : strcmp(reason, "content_filter") == 0 ? ENX_API_STOP_FILTER
                                                                      : ENX_API_STOP_END;
    if (reply->stop != ENX_API_STOP_REFUSAL) reply->stop = stop;
}

/* `said` is a delta of a stream or the message of a whole answer. */
static enx_status take_choice(enx_api_reply *reply, const json_t *choice, const json_t *said,
                              enx_report *report)
{
    const json_t *refusal = json_object_get(said, "refusal");
    const char   *reason = json_string_value(json_object_get(choice, "finish_reason"));
    take_logprobs(reply, json_object_get(choice, "logprobs"));
    if (json_string_length(refusal) > 0) reply->stop = ENX_API_STOP_REFUSAL;
    if (reason) take_finish(reply, reason);
    ENX_TRY(enx_api_take_text(&reply->text, refusal, report));
    return enx_api_take_text(&reply->text, json_object_get(said, "content"), report);
}

static enx_status take_object(enx_api_reply *reply, const json_t *object, const char *said,
                              enx_report *report)
{
    const json_t *error = json_object_get(object, "error");
    const json_t *choice = json_array_get(json_object_get(object, "choices"), 0);
    if (error && !json_is_null(error)) enx_api_take_error(&reply->error, error);
    take_usage(&reply->usage, json_object_get(object, "usage"));
    return take_choice(reply, choice, json_object_get(choice, said), report);
}

static enx_status take_event(enx_api_reply *reply, const char *data, size_t data_bytes,
                             enx_report *report)
{
    json_t *object = NULL;
    if (data_bytes == 6 && memcmp(data, "[DONE]", 6) == 0) {
        reply->is_ended = true;
        return ENX_OK;
    }
    ENX_TRY(enx_api_json_load(&object, data, data_bytes, report));
    const enx_status status = take_object(reply, object, "delta", report);
    json_decref(object);
    return status;
}

static enx_status take_body(enx_api_reply *reply, const char *data, size_t data_bytes,
                            enx_report *report)
{
    json_t *object = NULL;
    ENX_TRY(enx_api_json_load(&object, data, data_bytes, report));
    const enx_status status = take_object(reply, object, "message", report);
    reply->is_ended = true;
    json_decref(object);
    return status;
}

const enx_api enx_api_openai = {
    .name = "openai",
    .path = "/chat/completions",
    .key = "OPENAI_API_KEY",
    .key_header = "Authorization: Bearer ",
    .features = ENX_API_HAS_ALL,
    .write = write_request,
    .event = take_event,
    .body = take_body,
};
