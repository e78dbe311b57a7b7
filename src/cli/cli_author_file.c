/* SPDX-License-Identifier: Apache-2.0 */
/* cli_author_file.c - answers as sequences of an engine that all seats share. */
#include "cli/cli_author_file.h"

#include "backend/chat.h"
#include "base/mem.h"
#include "cli/cli_answer.h"
#include "plat/clock.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT_DEFAULT = 8192 };

typedef struct file_author file_author;

typedef struct file_seat {
    file_author *all;
    uint32_t     number;
    cli_answer   answer;
    enx_mask    *mask;
    uint64_t     id; /* of the request under way */
    bool         is_writing;
} file_seat;

struct file_author {
    cli_author              base; /* first: a pointer to it is one to this */
    cli_author_file_options options;
    enx_loaded              loaded;
    enx_chat               *chat;
    enx_pool               *pool;
    enx_engine             *engine;
    enx_sampling            sampling;
    file_seat               seats[CLI_AUTHOR_SEATS_MAX];
    uint32_t                seat_count; /* that were opened */
    bool                    is_stopping;
};

/* ---- Writing -------------------------------------------------------------------------------- */

static void on_token(void *user, uint32_t token, float logprob)
{
    file_seat                 *seat = user;
    const cli_author_listener *to = &seat->all->base.listener;
    (void)logprob;
    cli_answer_push(&seat->answer, token);
    to->on_tokens(to->user, seat->number, 1);
}

static void on_done(void *owner, const enx_generation *g)
{
    file_author               *a = owner;
    file_seat                 *seat = g->user;
    const cli_author_listener *to = &a->base.listener;
    a->base.usage.tokens_in += g->usage.tokens_in;
    a->base.usage.tokens_cached += g->usage.tokens_cached;
    a->base.usage.tokens_out += g->usage.tokens_out;
    seat->is_writing = false;
    if (a->is_stopping) return;
    cli_answer_finish(&seat->answer);
    const cli_author_answer answer = { .text = enx_buf_text(&seat->answer.text),
                                       .is_cut = g->finish == ENX_FINISH_LENGTH,
                                       .lost = seat->answer.status == ENX_OK
                                                   ? NULL
                                                   : "the text is longer than one may be" };
    to->on_answer(to->user, seat->number, &answer);
}

static enx_status begin(cli_author *author, uint32_t number, const json_t *messages, uint64_t seed,
                        enx_report *report)
{
    file_author         *a = (file_author *)author;
    file_seat           *seat = &a->seats[number];
    const enx_tokenizer *tokenizer = a->loaded.tokenizer;
    enx_tokens           prompt;
    bool                 is_thinking = false;
    cli_answer_deinit(&seat->answer);
    ENX_TRY(cli_answer_init(&seat->answer, tokenizer, &a->options.sampling->stops, report));
    enx_tokens_init(&prompt, ENX_ENGINE_CONTEXT_MAX);
    enx_status status = enx_chat_prompt(a->chat, messages, (int64_t)(enx_clock_wall_us() / 1000000),
                                        &prompt, &is_thinking, report);
    enx_request request = { .prompt = prompt.ids,
                            .prompt_count = (uint32_t)prompt.count,
                            .max_tokens = a->options.max_tokens,
                            .eos = enx_tokenizer_eos(tokenizer),
                            .tokenizer = tokenizer,
                            .sampling = a->sampling,
                            .mask = seat->mask,
                            .on_token = on_token,
                            .user = seat };
    request.sampling.seed = seed;
    if (status == ENX_OK) status = enx_engine_submit(a->engine, &request, &seat->id, report);
    seat->is_writing = status == ENX_OK;
    enx_tokens_deinit(&prompt);
    return status;
}

static void pause_seat(cli_author *author, uint32_t number, bool is_paused)
{
    const file_author *a = (const file_author *)author;
    enx_engine_pause(a->engine, a->seats[number].id, is_paused);
}

static enx_status step(cli_author *author, enx_report *report)
{
    file_author *a = (file_author *)author;
    (void)report;
    for (uint32_t i = 0; i < a->seat_count; i++)
        if (a->seats[i].is_writing && cli_answer_is_over(&a->seats[i].answer))
            enx_engine_cancel(a->engine, a->seats[i].id);
    enx_engine_step(a->engine, on_done, a);
    return ENX_OK;
}

/* A step is short; it is broken off only when what it gives is of no use. */
static void wake(cli_author *author, bool is_over)
{
    if (is_over) enx_engine_interrupt(((file_author *)author)->engine);
}

static void stop(cli_author *author)
{
    file_author *a = (file_author *)author;
    a->is_stopping = true;
    enx_engine_cancel_all(a->engine);
    while (enx_engine_step(a->engine, on_done, a) > 0) {
    }
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static void close_author(cli_author **author)
{
    file_author *a = (file_author *)*author;
    enx_engine_close(&a->engine);
    enx_pool_close(&a->pool);
    for (uint32_t i = 0; i < a->seat_count; i++) {
        cli_answer_deinit(&a->seats[i].answer);
        enx_mask_close(&a->seats[i].mask);
    }
    enx_chat_close(&a->chat);
    enx_loaded_close(&a->loaded);
    enx_mem_free(a);
    *author = NULL;
}

static enx_status open_chat(file_author *a, enx_report *report)
{
    const cli_author_file_options *o = &a->options;
    if (!o->form) {
        const enx_status status = enx_chat_open(&a->chat, &a->loaded, NULL, 0, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", o->model);
        return status;
    }
    const enx_chat_form *form = NULL;
    ENX_TRY(enx_chat_form_find(&form, o->form, report));
    cli_list *stops = &o->sampling->stops;
    if (stops->count < CLI_LIST_MAX) stops->items[stops->count++] = form->stop;
    return enx_chat_open(&a->chat, &a->loaded, form->text, strlen(form->text), report);
}

static enx_status open_seats(file_author *a, enx_report *report)
{
    while (a->seat_count < a->options.seats) {
        file_seat *seat = &a->seats[a->seat_count];
        seat->all = a;
        seat->number = a->seat_count++;
        ENX_TRY(cli_sampling_open_mask(a->options.sampling, &a->loaded, &seat->mask, report));
    }
    return ENX_OK;
}

static enx_status open_all(file_author *a, enx_report *report)
{
    const cli_author_file_options *o = &a->options;
    ENX_TRY(enx_loaded_open(&a->loaded, o->model, report));
    ENX_TRY(open_chat(a, report));
    ENX_TRY(cli_sampling_get(o->sampling, a->loaded.tokenizer, &a->sampling, report));
    ENX_TRY(open_seats(a, report));
    ENX_TRY(enx_pool_open(&a->pool, o->threads, report));
    const uint32_t           own = enx_model_hparams(a->loaded.model)->context_tokens;
    const uint32_t           usual = own < CONTEXT_DEFAULT ? own : CONTEXT_DEFAULT;
    const enx_engine_options engine = { .model = a->loaded.model,
                                        .cpu = getenv("ENX_CPU"),
                                        .slot_count = a->seat_count,
                                        .context_tokens = o->context ? o->context : usual,
                                        .pool = a->pool };
    return enx_engine_open(&a->engine, &engine, report);
}

enx_status cli_author_file_open(cli_author **out, const cli_author_file_options *options,
                                enx_report *report)
{
    file_author *a = ENX_MEM_NEW(file_author, 1);
    if (!a) return ENX_FAIL(report, NOMEM, "no memory for a model that writes");
    a->options = *options;
    a->base = (cli_author){ .can_pause = true,
                            .begin = begin,
                            .pause = pause_seat,
                            .step = step,
                            .wake = wake,
                            .stop = stop,
                            .close = close_author };
    cli_author      *base = &a->base;
    const enx_status status = open_all(a, report);
    if (status == ENX_OK) *out = base;
    else close_author(&base);
    return status;
}
