/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_api.c - whatever a provider sends, a reply is text in UTF-8, what settles is within the
 * bounds, an error is printable, and found JSON is balanced.  The input is read as a stream of
 * events and as one body, by both APIs. */
#include "backend/api.h"
#include "backend/loaded.h"
#include "backend/sse.h"
#include "base/check.h"

#include <stdint.h>
#include <string.h>

enum { EVENT_BYTES = 1 << 16 };

typedef struct reader {
    const enx_api *api;
    enx_api_reply  reply;
} reader;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enx_status take_event(void *user, const char *event, const char *data, size_t data_bytes,
                             enx_report *report)
{
    (void)event;
    reader *r = user;
    return r->api->event(&r->reply, data, data_bytes, report);
}

static void check_word(const char *word, size_t room)
{
    ENX_CHECK(strlen(word) < room && enx_utf8_invalid_at(word, strlen(word)) == strlen(word));
    for (const char *at = word; *at; at++) ENX_CHECK((unsigned char)*at >= ' ' && *at != 0x7F);
}

static void check_reply(const enx_api_reply *reply)
{
    const enx_api_bounds bounds = { 1000, 500, 100 };
    const enx_api_error *error = &reply->error;
    enx_usage_count      used;
    size_t               begin, end;
    const char          *text = enx_buf_text(&reply->text);
    enx_api_settle(reply, &bounds, &used);
    ENX_CHECK(used.tokens_in <= 1000 && used.tokens_cached <= 1000 - used.tokens_in);
    ENX_CHECK(used.tokens_out <= 500);
    ENX_CHECK(enx_utf8_invalid_at(text, reply->text.size_bytes) == reply->text.size_bytes);
    ENX_CHECK(reply->sum_logprob <= 0 && reply->min_logprob <= 0);
    check_word(error->kind, sizeof error->kind);
    check_word(error->field, sizeof error->field);
    check_word(error->message, sizeof error->message);
    if (enx_api_json_find(text, reply->text.size_bytes, &begin, &end))
        ENX_CHECK(begin + 2 <= end && end <= reply->text.size_bytes &&
                  text[end - 1] == (text[begin] == '{' ? '}' : ']'));
}

static void read_both_ways(const enx_api *api, const uint8_t *data, size_t size)
{
    reader  r = { .api = api };
    enx_sse sse;
    enx_sse_init(&sse, EVENT_BYTES);
    enx_api_reply_init(&r.reply);
    (void)!enx_sse_push(&sse, (const char *)data, size, take_event, &r, NULL);
    check_reply(&r.reply);
    enx_api_reply_deinit(&r.reply);
    enx_sse_deinit(&sse);
    enx_api_reply_init(&r.reply);
    (void)!api->body(&r.reply, (const char *)data, size, NULL);
    check_reply(&r.reply);
    enx_api_reply_deinit(&r.reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_both_ways(&enx_api_openai, data, size);
    read_both_ways(&enx_api_anthropic, data, size);
    return 0;
}
