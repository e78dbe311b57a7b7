/* SPDX-License-Identifier: Apache-2.0 */
/* turn.c - answers as they come, to a reply. */
#include "serve/turn.h"

#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "serve/voice.h"

#include <stdio.h>
#include <string.h>

enum { OUT_BYTES_MAX = 32 << 20, US_PER_S = 1000000, NANO_PER_USD = 1000000000 };

enx_turn *enx_turn_open(enx_question *question, enx_reply *reply, const enx_turn_options *options)
{
    enx_turn *t = ENX_MEM_NEW(enx_turn, 1);
    if (!t) return NULL;
    t->question = question;
    t->reply = enx_reply_hold(reply);
    t->voice = options->voice;
    t->model = options->model;
    t->on_bill = options->on_bill;
    t->user = options->user;
    t->asker = options->asker;
    t->early_extra = "";
    t->answer_count = question->answer_count;
    t->asked_us = enx_clock_monotonic_us();
    t->created_s = enx_clock_wall_us() / US_PER_S;
    t->block = -1;
    snprintf(t->id, sizeof t->id, "%08llx%08llx", (unsigned long long)t->created_s,
             (unsigned long long)options->number);
    enx_buf_init(&t->out, OUT_BYTES_MAX);
    enx_buf_init(&t->head, OUT_BYTES_MAX);
    return t;
}

void enx_turn_close(enx_turn **turn)
{
    enx_turn *t = *turn;
    *turn = NULL;
    if (!t) return;
    t->ended_us = enx_clock_monotonic_us();
    if (t->on_bill) {
        const enx_turn_bill bill = enx_turn_bill_get(t);
        t->on_bill(t->user, t, &bill);
    }
    enx_reply_end(t->reply);
    enx_reply_drop(&t->reply);
    for (uint32_t i = 0; i < t->answer_count; i++) {
        enx_answer_deinit(&t->answers[i].answer);
        enx_buf_deinit(&t->answers[i].notes);
        enx_mem_free(t->answers[i].top);
    }
    enx_buf_deinit(&t->out);
    enx_buf_deinit(&t->head);
    json_decref(t->extra);
    enx_question_close(&t->question);
    enx_mem_free(t);
}

/* ---- To the reply --------------------------------------------------------------------------- */

static void send(enx_turn *t, enx_status status)
{
    if (status == ENX_OK && t->out.size_bytes > 0)
        (void)(t->gathers ? enx_reply_gather : enx_reply_push)(t->reply, enx_buf_text(&t->out),
                                                               t->out.size_bytes);
    enx_buf_clear(&t->out);
    if (status == ENX_OK || t->is_failed) return;
    const enx_report why = { .status = ENX_NOMEM, .text = "no memory for the answer" };
    enx_turn_fail(t, &why);
}

static void on_delta(void *user, const enx_delta *delta)
{
    enx_turn_answer *a = user;
    enx_turn        *t = a->turn;
    if (t->first_us == 0) t->first_us = enx_clock_monotonic_us();
    if (!t->question->is_stream || t->is_failed) return;
    send(t, t->voice->delta(t, (uint32_t)(a - t->answers), delta));
}

enx_status enx_turn_start(enx_turn *t, bool is_thinking, enx_report *report)
{
    ENX_CHECK(!t->has_started);
    enx_status status = ENX_OK;
    for (uint32_t i = 0; i < t->answer_count; i++) {
        enx_turn_answer *a = &t->answers[i];
        a->turn = t;
        a->is_open = true;
        enx_buf_init(&a->notes, OUT_BYTES_MAX);
        const enx_status own =
            enx_answer_init(&a->answer, t->question, t->id, is_thinking, on_delta, a, report);
        if (own != ENX_OK) status = own;
    }
    t->has_started = true;
    t->open_count = t->answer_count;
    if (t->started_us == 0) t->started_us = enx_clock_monotonic_us();
    if (status != ENX_OK || !t->question->is_stream) return status;
    enx_reply_begin(t->reply, 200, "text/event-stream", true);
    send(t, t->voice->begin(t));
    return ENX_OK;
}

void enx_turn_push(enx_turn *t, uint32_t index, const char *bytes, size_t size_bytes)
{
    enx_answer_push(&t->answers[index].answer, bytes, size_bytes);
}

void enx_turn_note(enx_turn *t, uint32_t index, uint32_t token, float logprob)
{
    const enx_token_note note = { token, logprob };
    enx_turn_answer     *a = &t->answers[index];
    if (a->answer.status == ENX_OK)
        a->answer.status = enx_buf_append(&a->notes, &note, sizeof note);
}

/* All answers are there: the end of the stream, or all of it. */
static void conclude(enx_turn *t)
{
    t->ended_us = enx_clock_monotonic_us();
    if (t->is_failed) return;
    if (t->question->is_stream) {
        send(t, t->voice->end(t));
        return;
    }
    const enx_status status = t->voice->whole(t);
    if (status == ENX_OK) enx_reply_begin(t->reply, 200, "application/json", false);
    send(t, status);
}

void enx_turn_finish(enx_turn *t, uint32_t index, enx_end end)
{
    enx_turn_answer *a = &t->answers[index];
    if (!a->is_open) return;
    enx_answer_finish(&a->answer);
    a->end = a->answer.stopper.is_stopped ? ENX_END_STOP : end;
    a->is_open = false;
    if (a->answer.status != ENX_OK) send(t, a->answer.status);
    else if (t->question->is_stream && !t->is_failed) send(t, t->voice->finish(t, index));
    if (--t->open_count == 0) conclude(t);
}

void enx_turn_fail(enx_turn *t, const enx_report *why)
{
    if (t->is_failed) return;
    t->is_failed = true;
    enx_buf_clear(&t->out);
    const int  http_status = enx_status_http(why->status);
    const bool is_in_stream = enx_reply_has_begun(t->reply);
    if (!is_in_stream) {
        if (http_status == 429 || http_status == 503)
            enx_reply_set_header(t->reply, "Retry-After", "1");
        enx_reply_begin(t->reply, http_status, "application/json", false);
    }
    if (t->voice->error(http_status, why->text, is_in_stream, &t->out) == ENX_OK)
        (void)enx_reply_push(t->reply, enx_buf_text(&t->out), t->out.size_bytes);
    enx_buf_clear(&t->out);
}

bool enx_turn_is_over(const enx_turn *t, uint32_t index)
{
    return t->is_failed || enx_answer_is_over(&t->answers[index].answer);
}

/* ---- Figures -------------------------------------------------------------------------------- */

enx_turn_bill enx_turn_bill_get(const enx_turn *t)
{
    enx_turn_bill  bill = { .is_failed = t->is_failed, .end = t->answers[0].end };
    const uint64_t now_us = t->ended_us ? t->ended_us : enx_clock_monotonic_us();
    for (uint32_t i = 0; i < t->answer_count; i++) {
        bill.usage.tokens_in += t->answers[i].usage.tokens_in;
        bill.usage.tokens_cached += t->answers[i].usage.tokens_cached;
        bill.usage.tokens_out += t->answers[i].usage.tokens_out;
    }
    bill.cost_usd_nano = t->has_price ? enx_price_cost(&t->price, &bill.usage) : 0;
    bill.cost_usd_nano += t->more_usd_nano;
    if (t->started_us) bill.wait_us = t->started_us - t->asked_us;
    if (t->first_us) {
        bill.read_us = t->first_us - t->started_us;
        bill.write_us = now_us - t->first_us;
    }
    return bill;
}

json_t *enx_turn_extra(const enx_turn *t)
{
    const enx_turn_bill bill = enx_turn_bill_get(t);
    if (t->extra) return json_incref(t->extra);
    const double write_s = (double)bill.write_us / US_PER_S;
    return json_pack(
        "{s:o, s:{s:f, s:f, s:f}, s:o}", "cost_usd",
        t->has_price ? json_real((double)bill.cost_usd_nano / NANO_PER_USD) : json_null(),
        "seconds", "wait", (double)bill.wait_us / US_PER_S, "read", (double)bill.read_us / US_PER_S,
        "write", write_s, "tokens_per_s",
        write_s > 0 ? json_real((double)bill.usage.tokens_out / write_s) : json_null());
}

int enx_status_http(enx_status status)
{
    switch (status) {
    case ENX_OK:
        return 200;
    case ENX_INVALID:
    case ENX_FORMAT:
    case ENX_UNSUPPORTED:
    case ENX_LIMIT:
        return 400;
    case ENX_NOTFOUND:
        return 404;
    case ENX_BUDGET:
        return 429;
    case ENX_AGAIN:
    case ENX_NOMEM:
    case ENX_CANCELED:
        return 503;
    case ENX_IO:
        return 502;
    case ENX_STATUS_COUNT:
        break;
    }
    return 500;
}
