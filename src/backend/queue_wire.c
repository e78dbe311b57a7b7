/* SPDX-License-Identifier: Apache-2.0 */
/* queue_wire.c - calls and reports as bytes. */
#include "backend/queue_wire.h"

#include "backend/api_json.h"
#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEX_BYTES = 17 };

/* ---- Writing -------------------------------------------------------------------------------- */

/* JSON has no infinity, and neither has this. */
static double finite_of(double x) { return isfinite(x) ? x : x > 0 ? DBL_MAX : -DBL_MAX; }

/* Nothing in it could end a word or the line. */
static bool is_word(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f) return false;
    return true;
}

/* The head's line.  17 digits name every double. */
static enx_status write_head(enx_buf *out, const char *format, ...) ENX_PRINTF(2, 3);

static enx_status write_head(enx_buf *out, const char *format, ...)
{
    char    line[ENX_WIRE_HEAD_BYTES_MAX];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    ENX_CHECK(size > 0 && size < (int)sizeof line);
    return enx_buf_append(out, line, (size_t)size);
}

enx_status enx_wire_call_write(enx_buf *out, const enx_wire_call *w)
{
    const enx_call *c = &w->call;
    const size_t    goal_bytes = strlen(c->goal);
    if (!is_word(c->what) || !is_word(c->language)) return ENX_INVALID;
    ENX_TRY(write_head(out,
                       "version=%d salt=%016" PRIx64 " call=%" PRIu64
                       " model=%.64s what=%.63s class=%.64s within_us=%" PRIu64
                       " task=%u item=%u attempt=%u role=%d language=%s level=%d kinds=%u"
                       " tokens_in_max=%u tokens_out_max=%u goal_bytes=%zu input_bytes=%zu"
                       " answer_bytes=%zu\n",
                       ENX_WIRE_VERSION, w->salt, c->call_id, w->model, c->what, w->task_class,
                       w->within_us, c->task_id, c->item, c->attempt, (int)c->role, c->language,
                       (int)c->level, c->kinds, c->max_tokens_in, c->max_tokens_out, goal_bytes,
                       c->input_bytes, c->answer_bytes));
    ENX_TRY(enx_buf_append(out, c->goal, goal_bytes));
    ENX_TRY(enx_buf_append(out, c->input, c->input_bytes));
    return c->answer_bytes ? enx_buf_append(out, c->answer, c->answer_bytes) : ENX_OK;
}

enx_status enx_wire_report_write(enx_buf *out, const enx_wire_report *w)
{
    const enx_call_report *r = &w->report;
    const char            *error = r->error ? r->error : "";
    size_t                 error_bytes = strlen(error);
    if (error_bytes > ENX_WIRE_ERROR_BYTES_MAX) error_bytes = ENX_WIRE_ERROR_BYTES_MAX;
    if (!is_word(r->language)) return ENX_INVALID;
    ENX_TRY(write_head(
        out,
        "version=%d salt=%016" PRIx64 " call=%" PRIu64
        " model=%.64s worker=%.63s status=%d language=%s level=%d confidence=%.17g"
        " sum_logprob=%.17g min_logprob=%.17g tokens=%u error_chance=%.17g flags=%u"
        " tokens_in=%" PRIu64 " tokens_cached=%" PRIu64 " tokens_out=%" PRIu64
        " tokens_reasoning=%" PRIu64 " latency_us=%" PRIu64 " answer_bytes=%zu error_bytes=%zu\n",
        ENX_WIRE_VERSION, w->salt, r->call_id, w->model, w->worker, (int)r->status, r->language,
        (int)r->level, r->confidence, finite_of(r->sum_logprob), finite_of(r->min_logprob),
        r->token_count, r->error_chance, r->flags, r->usage.tokens_in, r->usage.tokens_cached,
        r->usage.tokens_out, r->tokens_reasoning, r->latency_us, r->answer_bytes, error_bytes));
    if (r->answer_bytes) ENX_TRY(enx_buf_append(out, r->answer, r->answer_bytes));
    return enx_buf_append(out, error, error_bytes);
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* What is left of a head, word by word, each "key=value": the first fault stays. */
typedef struct head {
    const char *at, *end;
    enx_status  status;
    enx_report *report;
} head;

/* The value of the next word, whose key this must be; NULL: it is not. */
static const char *take(head *h, const char *key, size_t *size)
{
    const size_t key_bytes = strlen(key), left = (size_t)(h->end - h->at);
    *size = 0;
    if (h->status != ENX_OK) return NULL;
    if (left <= key_bytes || memcmp(h->at, key, key_bytes) != 0 || h->at[key_bytes] != '=') {
        h->status = ENX_FAIL(h->report, FORMAT, "the message has no \"%s\" in its place", key);
        return NULL;
    }
    const char *value = h->at + key_bytes + 1;
    const char *space = memchr(value, ' ', left - key_bytes - 1);
    *size = (size_t)((space ? space : h->end) - value);
    h->at = space ? space + 1 : h->end;
    return value;
}

static void spoil(head *h, const char *key)
{
    if (h->status == ENX_OK)
        h->status = ENX_FAIL(h->report, FORMAT, "\"%s\" is nothing that it can be", key);
}

static void take_text(head *h, const char *key, char *out, size_t size)
{
    size_t      length;
    const char *value = take(h, key, &length);
    out[0] = '\0';
    if (!value) return;
    if (length >= size || memchr(value, '\0', length)) {
        spoil(h, key);
        return;
    }
    memcpy(out, value, length);
    out[length] = '\0';
}

/* A whole number from `low` to `high`. */
static int64_t take_integer(head *h, const char *key, int64_t low, int64_t high)
{
    char text[24], *end = text;
    take_text(h, key, text, sizeof text);
    errno = 0;
    const int64_t number = strtoll(text, &end, 10);
    const bool    is_number = text[0] == '-' || (text[0] >= '0' && text[0] <= '9');
    if (is_number && *end == '\0' && errno == 0 && number >= low && number <= high) return number;
    spoil(h, key);
    return low;
}

static double take_real(head *h, const char *key)
{
    char text[40], *end = text;
    take_text(h, key, text, sizeof text);
    const double number = strtod(text, &end);
    if (text[0] == '\0' || *end != '\0' || !isfinite(number)) spoil(h, key);
    return number;
}

static double take_chance(head *h, const char *key)
{
    const double chance = take_real(h, key);
    if (!(chance >= 0 && chance <= 1)) spoil(h, key);
    return chance;
}

static void take_digest(head *h, const char *key, char out[ENX_DIGEST_TEXT])
{
    take_text(h, key, out, ENX_DIGEST_TEXT);
    if (!enx_wire_is_digest(out)) spoil(h, key);
}

static uint64_t take_salt(head *h)
{
    char text[HEX_BYTES];
    take_text(h, "salt", text, sizeof text);
    if (strlen(text) != HEX_BYTES - 1 || strspn(text, "0123456789abcdef") != HEX_BYTES - 1)
        spoil(h, "salt");
    return strtoull(text, NULL, 16);
}

/* The first line, without its end; NULL: there is none. */
static const char *find_line(const char *bytes, size_t size_bytes)
{
    const size_t room = size_bytes < ENX_WIRE_HEAD_BYTES_MAX ? size_bytes : ENX_WIRE_HEAD_BYTES_MAX;
    return room ? memchr(bytes, '\n', room) : NULL;
}

/* Cut the line off; *tail is what follows. */
static enx_status open_head(head *h, const char *bytes, size_t size_bytes, const char **tail,
                            enx_report *report)
{
    const char *end = find_line(bytes, size_bytes);
    if (!end)
        return ENX_FAIL(report, FORMAT, "the message has no first line of at most %d bytes",
                        ENX_WIRE_HEAD_BYTES_MAX);
    *h = (head){ .at = bytes, .end = end, .report = report };
    *tail = end + 1;
    if (take_integer(h, "version", 0, INT32_MAX) != ENX_WIRE_VERSION && h->status == ENX_OK)
        h->status = ENX_FAIL(report, UNSUPPORTED,
                             "the message is of another version than %d; all machines need the "
                             "same enxame",
                             ENX_WIRE_VERSION);
    return h->status;
}

static enx_status close_head(const head *h)
{
    if (h->status == ENX_OK && h->at != h->end)
        return ENX_FAIL(h->report, FORMAT, "the message has a key that it cannot have");
    return h->status;
}

static enx_status check_tail(size_t left, size_t first, size_t second, enx_report *report)
{
    if (first + second == left) return ENX_OK;
    return ENX_FAIL(report, FORMAT, "%zu bytes of text are announced, %zu came", first + second,
                    left);
}

enx_status enx_wire_call_read(enx_wire_call *out, enx_buf *texts, const char *bytes,
                              size_t size_bytes, enx_report *report)
{
    head        h;
    const char *tail = NULL;
    enx_call   *c = &out->call;
    *out = (enx_wire_call){ 0 };
    ENX_TRY(open_head(&h, bytes, size_bytes, &tail, report));
    out->salt = take_salt(&h);
    c->call_id = (uint64_t)take_integer(&h, "call", 0, INT64_MAX);
    take_digest(&h, "model", out->model);
    take_text(&h, "what", out->what, sizeof out->what);
    take_text(&h, "class", out->task_class, sizeof out->task_class);
    if (out->task_class[0] && !enx_wire_is_digest(out->task_class)) spoil(&h, "class");
    out->within_us = (uint64_t)take_integer(&h, "within_us", 0, INT64_MAX);
    c->task_id = (uint32_t)take_integer(&h, "task", 0, UINT32_MAX);
    c->item = (uint32_t)take_integer(&h, "item", 0, UINT32_MAX);
    c->attempt = (uint32_t)take_integer(&h, "attempt", 0, UINT32_MAX);
    c->role = (enx_role)take_integer(&h, "role", 0, ENX_ROLE_COUNT - 1);
    take_text(&h, "language", c->language, sizeof c->language);
    c->level = (int32_t)take_integer(&h, "level", ENX_LEVEL_UNKNOWN, 3);
    c->kinds = (uint32_t)take_integer(&h, "kinds", 0, ENX_KINDS_ALL);
    c->max_tokens_in = (uint32_t)take_integer(&h, "tokens_in_max", 0, UINT32_MAX);
    c->max_tokens_out = (uint32_t)take_integer(&h, "tokens_out_max", 0, UINT32_MAX);
    const size_t goal_bytes = (size_t)take_integer(&h, "goal_bytes", 0, ENX_WIRE_TEXT_BYTES_MAX);
    c->input_bytes = (size_t)take_integer(&h, "input_bytes", 0, ENX_WIRE_TEXT_BYTES_MAX);
    c->answer_bytes = (size_t)take_integer(&h, "answer_bytes", 0, ENX_WIRE_TEXT_BYTES_MAX);
    ENX_TRY(close_head(&h));
    ENX_TRY(check_tail(size_bytes - (size_t)(tail - bytes), goal_bytes,
                       c->input_bytes + c->answer_bytes, report));
    enx_buf_clear(texts);
    if (enx_buf_append(texts, tail, goal_bytes) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for a goal of %zu bytes", goal_bytes);
    c->what = out->what;
    c->goal = enx_buf_text(texts);
    c->input = tail + goal_bytes;
    c->answer = c->input + c->input_bytes;
    return ENX_OK;
}

static void take_usage(head *h, enx_call_report *r)
{
    r->usage.tokens_in = (uint64_t)take_integer(h, "tokens_in", 0, INT64_MAX);
    r->usage.tokens_cached = (uint64_t)take_integer(h, "tokens_cached", 0, INT64_MAX);
    r->usage.tokens_out = (uint64_t)take_integer(h, "tokens_out", 0, INT64_MAX);
    r->tokens_reasoning = (uint64_t)take_integer(h, "tokens_reasoning", 0, INT64_MAX);
}

enx_status enx_wire_report_read(enx_wire_report *out, enx_buf *texts, const char *bytes,
                                size_t size_bytes, enx_report *report)
{
    head             h;
    const char      *tail = NULL;
    enx_call_report *r = &out->report;
    *out = (enx_wire_report){ 0 };
    ENX_TRY(open_head(&h, bytes, size_bytes, &tail, report));
    out->salt = take_salt(&h);
    r->call_id = (uint64_t)take_integer(&h, "call", 0, INT64_MAX);
    take_digest(&h, "model", out->model);
    take_text(&h, "worker", out->worker, sizeof out->worker);
    if (!enx_wire_is_name(out->worker)) spoil(&h, "worker");
    r->status = (enx_call_status)take_integer(&h, "status", 0, ENX_CALL_STATUS_COUNT - 1);
    take_text(&h, "language", r->language, sizeof r->language);
    r->level = (int32_t)take_integer(&h, "level", ENX_LEVEL_UNKNOWN, 3);
    r->confidence = take_chance(&h, "confidence");
    r->sum_logprob = take_real(&h, "sum_logprob");
    r->min_logprob = take_real(&h, "min_logprob");
    r->token_count = (uint32_t)take_integer(&h, "tokens", 0, UINT32_MAX);
    r->error_chance = take_chance(&h, "error_chance");
    r->flags = (uint32_t)take_integer(&h, "flags", 0, ENX_FLAGS_RED | ENX_FLAG_USAGE);
    take_usage(&h, r);
    r->latency_us = (uint64_t)take_integer(&h, "latency_us", 0, INT64_MAX);
    r->answer_bytes = (size_t)take_integer(&h, "answer_bytes", 0, ENX_WIRE_TEXT_BYTES_MAX);
    const size_t error_bytes = (size_t)take_integer(&h, "error_bytes", 0, ENX_WIRE_ERROR_BYTES_MAX);
    ENX_TRY(close_head(&h));
    ENX_TRY(check_tail(size_bytes - (size_t)(tail - bytes), r->answer_bytes, error_bytes, report));
    enx_buf_clear(texts);
    if (enx_buf_append(texts, tail + r->answer_bytes, error_bytes) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for a report");
    r->answer = tail;
    r->error = error_bytes ? enx_buf_text(texts) : NULL;
    return ENX_OK;
}

/* ---- Bundles -------------------------------------------------------------------------------- */

static const char bundle_start[] = "sizes="; /* as no message begins */

enx_status enx_wire_bundle_write(enx_buf *out, const enx_wire_part *parts, uint32_t count)
{
    ENX_CHECK(count >= 1 && count <= ENX_WIRE_BUNDLE_MAX);
    char   line[ENX_WIRE_HEAD_BYTES_MAX];
    size_t size = 0;
    for (uint32_t i = 0; count > 1 && i < count; i++)
        size += (size_t)snprintf(line + size, sizeof line - size, "%s%zu", i ? "," : bundle_start,
                                 parts[i].size_bytes);
    if (count > 1) line[size++] = '\n';
    ENX_TRY(enx_buf_append(out, line, size));
    for (uint32_t i = 0; i < count; i++)
        ENX_TRY(enx_buf_append(out, parts[i].bytes, parts[i].size_bytes));
    return ENX_OK;
}

/* The sizes from `at` to `end`, with commas between them. */
static enx_status read_sizes(enx_wire_part *parts, uint32_t *count, const char *at, const char *end,
                             enx_report *report)
{
    for (*count = 0; *count < ENX_WIRE_BUNDLE_MAX; at++) {
        size_t      size = 0;
        const char *first = at;
        for (; at < end && *at >= '0' && *at <= '9' && size < ENX_WIRE_TEXT_BYTES_MAX; at++)
            size = size * 10 + (size_t)(*at - '0');
        if (at == first || size == 0 || (at < end && *at != ',')) break;
        parts[(*count)++].size_bytes = size;
        if (at == end && *count > 1) return ENX_OK;
        if (at == end) break;
    }
    return ENX_FAIL(report, FORMAT, "a bundle's first line has no sizes of 2 to %d messages",
                    ENX_WIRE_BUNDLE_MAX);
}

enx_status enx_wire_bundle_read(enx_wire_part parts[ENX_WIRE_BUNDLE_MAX], uint32_t *count,
                                const char *bytes, size_t size_bytes, enx_report *report)
{
    const size_t start = strlen(bundle_start);
    *count = 1;
    parts[0] = (enx_wire_part){ .bytes = bytes, .size_bytes = size_bytes };
    if (size_bytes < start || memcmp(bytes, bundle_start, start) != 0) return ENX_OK;
    const char *end = find_line(bytes, size_bytes);
    if (!end) return ENX_FAIL(report, FORMAT, "the bundle has no first line");
    ENX_TRY(read_sizes(parts, count, bytes + start, end, report));
    size_t sum = 0;
    for (uint32_t i = 0; i < *count; i++) {
        parts[i].bytes = end + 1 + sum;
        sum += parts[i].size_bytes;
    }
    return check_tail(size_bytes - (size_t)(end + 1 - bytes), sum, 0, report);
}

/* ---- Classes -------------------------------------------------------------------------------- */

typedef struct class_owner {
    json_t     *json;
    enx_example examples[ENX_CLASS_EXAMPLES_MAX];
} class_owner;

/* NULL: one is not UTF-8, or no memory. */
static json_t *examples_json(const enx_class *c)
{
    json_t *out = json_array();
    for (uint32_t i = 0; out && i < c->example_count; i++) {
        json_t *pair = json_pack("[s, s]", c->examples[i].input, c->examples[i].answer);
        if (json_array_append_new(out, pair) == 0) continue;
        json_decref(out);
        return NULL;
    }
    return out;
}

enx_status enx_wire_class_write(enx_buf *out, const enx_class *c)
{
    json_t *json =
        json_pack("{s:s, s:s*, s:s*, s:o, s:s*, s:s*, s:b, s:b, s:I}", "name", c->name,
                  "instruction", c->instruction, "advice", c->advice, "examples", examples_json(c),
                  "schema", c->schema, "specialty", c->specialty, "scouted", (int)c->is_scouted,
                  "leads", (int)c->is_leads, "answer_tokens_max", (json_int_t)c->answer_tokens_max);
    if (!json) return ENX_INVALID;
    return enx_api_json_append(out, json, NULL);
}

static enx_status take_examples(enx_class *c, class_owner *owner, const json_t *examples,
                                enx_report *report)
{
    const size_t count = json_array_size(examples);
    if (count > ENX_CLASS_EXAMPLES_MAX)
        return ENX_FAIL(report, FORMAT, "a class of %zu examples, at most %d can be", count,
                        ENX_CLASS_EXAMPLES_MAX);
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(examples, i);
        owner->examples[i].input = json_string_value(json_array_get(pair, 0));
        owner->examples[i].answer = json_string_value(json_array_get(pair, 1));
        if (!owner->examples[i].input || !owner->examples[i].answer)
            return ENX_FAIL(report, FORMAT, "example %zu of a class is no pair of texts", i);
    }
    c->examples = owner->examples;
    c->example_count = (uint32_t)count;
    return ENX_OK;
}

static enx_status take_class(enx_class *c, class_owner *owner, enx_report *report)
{
    json_error_t error;
    json_t      *examples = NULL;
    int          is_scouted = 0, is_leads = 0;
    json_int_t   tokens = 0;
    if (json_unpack_ex(owner->json, &error, JSON_STRICT,
                       "{s:s, s?s, s?s, s:o, s?s, s?s, s:b, s:b, s:I}", "name", &c->name,
                       "instruction", &c->instruction, "advice", &c->advice, "examples", &examples,
                       "schema", &c->schema, "specialty", &c->specialty, "scouted", &is_scouted,
                       "leads", &is_leads, "answer_tokens_max", &tokens) != 0)
        return ENX_FAIL(report, FORMAT, "a class of tasks: %s", error.text);
    if (tokens < 0 || tokens > ENX_CLASS_ANSWER_TOKENS_MAX)
        return ENX_FAIL(report, FORMAT, "a class with answers of %lld tokens", (long long)tokens);
    c->is_scouted = is_scouted;
    c->is_leads = is_leads;
    c->answer_tokens_max = (uint32_t)tokens;
    ENX_TRY(take_examples(c, owner, examples, report));
    return enx_class_validate(c, report);
}

enx_status enx_wire_class_read(enx_wire_class *out, const char *bytes, size_t size_bytes,
                               enx_report *report)
{
    class_owner *owner = ENX_MEM_NEW(class_owner, 1);
    *out = (enx_wire_class){ .owner = owner };
    if (!owner) return ENX_FAIL(report, NOMEM, "no memory for a class of tasks");
    enx_status status = enx_api_json_load(&owner->json, bytes, size_bytes, report);
    if (status == ENX_OK) status = take_class(&out->value, owner, report);
    if (status != ENX_OK) enx_wire_class_close(out);
    return status;
}

void enx_wire_class_close(enx_wire_class *task_class)
{
    class_owner *owner = task_class->owner;
    if (owner) json_decref(owner->json);
    enx_mem_free(owner);
    *task_class = (enx_wire_class){ 0 };
}

/* ---- Names ---------------------------------------------------------------------------------- */

bool enx_wire_is_digest(const char *text)
{
    return strlen(text) == ENX_DIGEST_TEXT - 1 &&
           strspn(text, "0123456789abcdef") == ENX_DIGEST_TEXT - 1;
}

bool enx_wire_is_name(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const size_t size = strlen(text);
    return size > 0 && size < ENX_WIRE_NAME_BYTES && strspn(text, allowed) == size;
}
