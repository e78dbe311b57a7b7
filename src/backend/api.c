/* SPDX-License-Identifier: Apache-2.0 */
/* api.c - replies, and what of them is believed. */
#include "backend/api.h"

#include "base/check.h"

#include <string.h>

void enx_api_reply_init(enx_api_reply *reply)
{
    *reply = (enx_api_reply){ 0 };
    enx_buf_init(&reply->text, ENX_API_TEXT_BYTES_MAX);
}

void enx_api_reply_deinit(enx_api_reply *reply) { enx_buf_deinit(&reply->text); }

const enx_api *enx_api_find(const char *name)
{
    if (strcmp(name, enx_api_openai.name) == 0) return &enx_api_openai;
    if (strcmp(name, enx_api_anthropic.name) == 0) return &enx_api_anthropic;
    return NULL;
}

/* ---- What a server does not know ------------------------------------------------------------ */

typedef struct feature_field {
    const char *field;
    unsigned    feature;
} feature_field;

static const feature_field feature_fields[] = {
    { "response_format", ENX_API_HAS_SCHEMA },
    { "json_schema", ENX_API_HAS_SCHEMA },
    { "tool_choice", ENX_API_HAS_SCHEMA },
    { "tools", ENX_API_HAS_SCHEMA },
    { "logprobs", ENX_API_HAS_LOGPROBS },
    { "temperature", ENX_API_HAS_TEMPERATURE },
    { "top_p", ENX_API_HAS_TOP_P },
    { "seed", ENX_API_HAS_SEED },
    { "stream_options", ENX_API_HAS_STREAM_USAGE },
    { "max_tokens", ENX_API_HAS_MAX_TOKENS },
    { "stop", ENX_API_HAS_STOPS },
};

/* Who names the field is trusted; else the words are searched for it.  "response_format.type" is
 * about the first.  The limit of the answer is never given up on a guess: only for its newer name.
 */
static bool is_about(const enx_api_error *error, const feature_field *f)
{
    if (f->feature == ENX_API_HAS_MAX_TOKENS && !strstr(error->message, "max_completion_tokens"))
        return false;
    if (error->field[0]) return strncmp(error->field, f->field, strlen(f->field)) == 0;
    return strstr(error->message, f->field) != NULL;
}

unsigned enx_api_refused_feature(const enx_api_error *error, unsigned features)
{
    const size_t count = sizeof feature_fields / sizeof *feature_fields;
    for (size_t i = 0; error->is_set && i < count; i++)
        if (feature_fields[i].feature & features && is_about(error, &feature_fields[i]))
            return feature_fields[i].feature;
    return 0;
}

/* ---- Money ---------------------------------------------------------------------------------- */

/* Why the count cannot be true, or NULL.  The least that texts can take is one token for
 * ENX_API_TOKEN_BYTES_MAX bytes. */
static const char *doubt(const enx_api_reply *reply, const enx_api_bounds *bounds)
{
    const enx_api_usage *u = &reply->usage;
    uint64_t             in, total;
    if (!u->has_in && !u->has_out) return "it told no usage";
    if (u->is_broken) return "its usage is no count of tokens";
    if (!u->has_in || !u->has_out) return "it told half of its usage";
    if (__builtin_add_overflow(u->in, u->cached, &in) || in > bounds->tokens_in_max)
        return "it says that it read more tokens than were sent";
    if (u->out > bounds->tokens_out_max) return "it says that it wrote more tokens than it may";
    if (u->reasoning > u->out) return "its usage does not add up";
    if (__builtin_add_overflow(in, u->out, &total) || (u->has_total && total != u->total))
        return "its usage does not add up";
    if (in < (bounds->prompt_bytes + ENX_API_TOKEN_BYTES_MAX - 1) / ENX_API_TOKEN_BYTES_MAX)
        return "it says that it read fewer tokens than were sent";
    if (u->out < (reply->text.size_bytes + ENX_API_TOKEN_BYTES_MAX - 1) / ENX_API_TOKEN_BYTES_MAX)
        return "it says that it wrote fewer tokens than came";
    return NULL;
}

enx_api_bounds enx_api_request_bounds(const enx_api_request *request)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < request->message_count; i++) bytes += request->messages[i].text_bytes;
    const uint64_t in =
        bytes + request->message_count * ENX_API_MESSAGE_TOKENS_MORE + ENX_API_TOKENS_MORE;
    return (enx_api_bounds){ .tokens_in_max = in > UINT32_MAX ? UINT32_MAX : (uint32_t)in,
                             .tokens_out_max = request->max_tokens,
                             .prompt_bytes = bytes };
}

const char *enx_api_settle(const enx_api_reply *reply, const enx_api_bounds *bounds,
                           enx_usage_count *out)
{
    const char *reason = doubt(reply, bounds);
    *out = (enx_usage_count){ .tokens_in = bounds->tokens_in_max,
                              .tokens_out = bounds->tokens_out_max };
    if (!reason)
        *out = (enx_usage_count){ .tokens_in = reply->usage.in,
                                  .tokens_cached = reply->usage.cached,
                                  .tokens_out = reply->usage.out };
    return reason;
}

/* ---- JSON in prose -------------------------------------------------------------------------- */

/* The end of the value that opens at `begin`, or 0.  Brackets in strings do not count. */
static size_t matching_end(const char *text, size_t size_bytes, size_t begin)
{
    char   open[ENX_API_JSON_DEPTH_MAX];
    size_t depth = 0;
    bool   is_string = false;
    for (size_t i = begin; i < size_bytes; i++) {
        const char c = text[i];
        if (is_string) {
            if (c == '\\') i++;
            else if (c == '"') is_string = false;
        } else if (c == '"') {
            is_string = true;
        } else if (c == '{' || c == '[') {
            if (depth == ENX_API_JSON_DEPTH_MAX) return 0;
            open[depth++] = c == '{' ? '}' : ']';
        } else if (c == '}' || c == ']') {
            if (open[--depth] != c) return 0;
            if (depth == 0) return i + 1;
        }
    }
    return 0;
}

/* A bracket that nothing closes is prose.  It cost a scan of what follows, so only so many are
 * tried. */
bool enx_api_json_find(const char *text, size_t size_bytes, size_t *begin, size_t *end)
{
    enum { TRIES = 16 };
    int tries = 0;
    for (size_t i = 0; i < size_bytes && tries < TRIES; i++) {
        if (text[i] != '{' && text[i] != '[') continue;
        const size_t found = matching_end(text, size_bytes, i);
        tries++;
        if (!found) continue;
        *begin = i;
        *end = found;
        return true;
    }
    return false;
}
