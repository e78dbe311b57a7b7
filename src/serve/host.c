/* SPDX-License-Identifier: Apache-2.0 */
/* host.c - turns, sequences and one engine.
 *
 * (1) A turn is in exactly one place: the queue (under the lock), or the thread's list.
 * (2) Everything of a turn but its place in the queue is the thread's.
 * (3) No lock is held where the engine, a voice or a reply is called. */
#include "serve/host.h"

#include "backend/chat.h"
#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "serve/tools.h"
#include "serve/voice.h"
#include "text/schema.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    CONTEXT_DEFAULT = 8192,
    SLOTS_DEFAULT = 4,
    PROMPT_TOKENS_MAX = 1 << 20,
    WATCH_US = 5000, /* clients that wait are looked for no oftener: each is a system call */
    FLUSH_US = 4000, /* tokens that come faster travel together: waking the sender costs as much */
    NAP_MS = 20,     /* while every sequence is paused */
    US_PER_S = 1000000,
    NANO_PER_MS = 1000000,
};
static const double rate_share = 0.2; /* of the newest figure */

typedef struct host_sequence {
    struct host_turn *turn;
    uint32_t          index;
    uint64_t          id; /* of the engine; 0: not running */
    bool              is_paused, is_over;
    enx_mask         *mask;
} host_sequence;

typedef struct host_turn {
    struct host_turn *next;
    enx_turn         *turn; /* owned */
    enx_tokens        prompt;
    bool              has_prompt;
    enx_grammar      *grammar;
    host_sequence     sequences[ENX_QUESTION_ANSWERS_MAX];
    uint32_t          started; /* sequences that were submitted */
    uint32_t          running;
} host_turn;

struct enx_host {
    enx_host_options options;
    enx_loaded       loaded;
    enx_chat        *chat; /* NULL: the model has no template */
    bool             has_tools;
    uint32_t         context_tokens;
    pthread_t        thread;
    bool             is_started;
    pthread_mutex_t  lock;
    pthread_cond_t   news;
    host_turn       *queue, **queue_end;
    uint32_t         queue_count, turn_count; /* turns in the queue, and in the thread's list */
    bool             is_stopping, has_room;   /* room: somebody who was full reads again */
    enx_host_figures figures;
    /* The thread's. */
    enx_pool        *pool;
    enx_engine      *engine;
    host_turn       *turns;         /* in the order in which they came */
    uint64_t         watched_us;    /* when it last looked for clients that have gone */
    uint64_t         flushed_us;    /* ... and had what was written sent */
    uint32_t         turns_running; /* sequences in the engine, as of the last look */
};

/* ---- Asking --------------------------------------------------------------------------------- */

static void free_turn(host_turn *h)
{
    enx_turn_close(&h->turn);
    for (uint32_t i = 0; i < ENX_QUESTION_ANSWERS_MAX; i++) enx_mask_close(&h->sequences[i].mask);
    enx_grammar_close(&h->grammar);
    enx_tokens_deinit(&h->prompt);
    enx_mem_free(h);
}

/* A schema is for the answer: a thought that the template has begun ends before it. */
static enx_status end_thought(const enx_host *host, enx_tokens *prompt, bool *is_thinking,
                              enx_report *report)
{
    static const char close[] = ENX_THOUGHT_CLOSE "\n\n";
    *is_thinking = false;
    return enx_tokenizer_encode(host->loaded.tokenizer, close, sizeof close - 1, true, prompt,
                                report);
}

static enx_status prompt_chat(const enx_host *host, host_turn *h, bool *is_thinking,
                              enx_report *report)
{
    const enx_question *q = h->turn->question;
    const int64_t       now_s = (int64_t)(enx_clock_wall_us() / US_PER_S);
    const bool          has_tools = q->tools && q->tool_choice != ENX_TOOL_NONE;
    json_t             *messages = NULL;
    if (!host->chat)
        return ENX_FAIL(report, UNSUPPORTED, "%s has no chat template: ask it by /v1/completions",
                        h->turn->model);
    if (host->has_tools)
        return enx_chat_prompt_tools(host->chat, q->messages, has_tools ? q->tools : NULL, now_s,
                                     &h->prompt, is_thinking, report);
    ENX_TRY(enx_tools_in_words(q, &messages, report));
    const enx_status status =
        enx_chat_prompt(host->chat, messages, now_s, &h->prompt, is_thinking, report);
    json_decref(messages);
    return status;
}

static enx_status make_prompt(const enx_host *host, host_turn *h, bool *is_thinking,
                              enx_report *report)
{
    const enx_question *q = h->turn->question;
    *is_thinking = false;
    if (q->messages) return prompt_chat(host, h, is_thinking, report);
    const size_t size = strlen(q->prompt);
    ENX_TRY(enx_tokenizer_begin(host->loaded.tokenizer, q->prompt, size, &h->prompt));
    return enx_tokenizer_encode(host->loaded.tokenizer, q->prompt, size, false, &h->prompt, report);
}

static enx_status open_grammar(host_turn *h, enx_report *report)
{
    json_t *schema = NULL;
    enx_buf text;
    ENX_TRY(enx_tools_schema(h->turn->question, &schema, report));
    if (!schema) return ENX_OK;
    enx_buf_init(&text, ENX_GRAMMAR_BYTES_MAX);
    enx_status status = enx_voice_json(&text, schema);
    if (status != ENX_OK) status = ENX_FAIL(report, LIMIT, "the schema is too large");
    if (status == ENX_OK)
        status = enx_schema_open(&h->grammar, enx_buf_text(&text), text.size_bytes, report);
    enx_buf_deinit(&text);
    return status;
}

static enx_status open_answers(const enx_host *host, host_turn *h, enx_report *report)
{
    const enx_question *q = h->turn->question;
    const uint32_t      most = host->options.tokens_max;
    if (q->max_tokens == 0 || q->max_tokens > most) h->turn->question->max_tokens = most;
    const uint32_t room = host->context_tokens - (uint32_t)h->prompt.count;
    const size_t   places = q->max_tokens < room ? q->max_tokens : room;
    enx_grammar   *grammar = h->grammar ? h->grammar : q->grammar;
    for (uint32_t i = 0; i < q->answer_count; i++) {
        host_sequence *s = &h->sequences[i];
        *s = (host_sequence){ .turn = h, .index = i };
        if (grammar)
            ENX_TRY(enx_mask_open(&s->mask, enx_grammar_automaton(grammar), host->loaded.trie,
                                  host->loaded.tokenizer, report));
        if (!q->wants_logprobs || q->top_count == 0) continue;
        h->turn->answers[i].top = ENX_MEM_NEW(enx_likely, places * q->top_count);
        if (!h->turn->answers[i].top) return ENX_FAIL(report, NOMEM, "no memory for top_logprobs");
    }
    return ENX_OK;
}

static enx_status need_engine(enx_host *host, enx_report *report)
{
    if (host->engine) return ENX_OK;
    if (!host->pool) ENX_TRY(enx_pool_open(&host->pool, host->options.threads, report));
    const enx_engine_options options = { .model = host->loaded.model,
                                         .cpu = host->options.cpu,
                                         .slot_count = host->options.slots,
                                         .context_tokens = host->context_tokens,
                                         .pool = host->pool,
                                         .cache = host->options.cache,
                                         .cache_bytes = host->options.cache_bytes };
    return enx_engine_open(&host->engine, &options, report);
}

static void tell_count(host_turn *h)
{
    enx_turn *t = h->turn;
    enx_reply_begin(t->reply, 200, "application/json", false);
    if (enx_buf_printf(&t->out, "{\"input_tokens\":%zu}", h->prompt.count) == ENX_OK)
        (void)enx_reply_push(t->reply, enx_buf_text(&t->out), t->out.size_bytes);
}

/* From a turn that waited to one whose sequences can be submitted. */
static enx_status prepare(enx_host *host, host_turn *h, enx_report *report)
{
    bool is_thinking = false;
    enx_tokens_init(&h->prompt, PROMPT_TOKENS_MAX);
    h->has_prompt = true;
    ENX_TRY(make_prompt(host, h, &is_thinking, report));
    if (h->turn->question->is_count) return ENX_OK;
    if (h->prompt.count + 1 > host->context_tokens)
        return ENX_FAIL(report, LIMIT, "the prompt has %zu tokens, the context of %s holds %u",
                        h->prompt.count, h->turn->model, host->context_tokens);
    ENX_TRY(open_grammar(h, report));
    if (h->grammar && is_thinking) ENX_TRY(end_thought(host, &h->prompt, &is_thinking, report));
    ENX_TRY(need_engine(host, report));
    ENX_TRY(open_answers(host, h, report));
    h->turn->prompt_tokens = h->prompt.count;
    h->turn->tokenizer = host->loaded.tokenizer;
    return enx_turn_start(h->turn, is_thinking, report);
}

/* ---- Tokens --------------------------------------------------------------------------------- */

static bool is_named(enx_gguf_str token, const char *name)
{
    return token.size_bytes == strlen(name) && memcmp(token.data, name, token.size_bytes) == 0;
}

/* Control tokens are no text, but for those that answer.h looks for. */
static bool is_text(const enx_tokenizer *tokenizer, uint32_t token)
{
    static const char *const tags[] = { ENX_THOUGHT_OPEN, ENX_THOUGHT_CLOSE, ENX_ANSWER_CALL_OPEN,
                                        ENX_ANSWER_CALL_CLOSE, ENX_ANSWER_CALLS };
    if (!enx_tokenizer_is_control(tokenizer, token)) return true;
    const enx_gguf_str bytes = enx_tokenizer_bytes(tokenizer, token);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (is_named(bytes, tags[i])) return true;
    return false;
}

static void on_token(void *user, uint32_t token, float logprob)
{
    host_sequence   *s = user;
    enx_turn        *t = s->turn->turn;
    enx_turn_answer *a = &t->answers[s->index];
    if (s->is_over || enx_turn_is_over(t, s->index)) return;
    if (t->question->wants_logprobs) enx_turn_note(t, s->index, token, logprob);
    if (!is_text(t->tokenizer, token)) return;
    const enx_gguf_str bytes = enx_tokenizer_bytes(t->tokenizer, token);
    enx_turn_push(t, s->index, bytes.data, bytes.size_bytes);
    if (a->answer.split.place == ENX_THOUGHT_INSIDE) a->tokens_thought++;
}

static enx_end end_of(const enx_generation *g)
{
    switch (g->finish) {
    case ENX_FINISH_LENGTH:
        return ENX_END_LENGTH;
    case ENX_FINISH_STUCK:
        return ENX_END_STUCK;
    case ENX_FINISH_STOP:
    case ENX_FINISH_CANCELED:
        break;
    }
    return ENX_END_STOP;
}

static void on_done(void *owner, const enx_generation *g)
{
    host_sequence *s = g->user;
    enx_turn      *t = s->turn->turn;
    (void)owner;
    t->answers[s->index].usage =
        (enx_usage_count){ g->usage.tokens_in, g->usage.tokens_cached, g->usage.tokens_out };
    s->id = 0;
    s->turn->running--;
    enx_turn_finish(t, s->index, end_of(g));
}

/* The default of both APIs. */
static float temperature_of(const enx_question *q)
{
    return q->temperature < 0 ? 1 : (float)q->temperature;
}

static enx_sampling sampling_of(const host_sequence *s)
{
    const enx_question *q = s->turn->turn->question;
    if (q->sampling) return *q->sampling;
    const uint64_t chance = q->has_seed ? q->seed : s->turn->turn->asked_us;
    return (enx_sampling){ .temperature = temperature_of(q),
                           .top_k = q->top_k,
                           .top_p = (float)q->top_p,
                           .min_p = (float)q->min_p,
                           .frequency_penalty = (float)q->frequency_penalty,
                           .presence_penalty = (float)q->presence_penalty,
                           .repeat_penalty = (float)q->repeat_penalty,
                           .repeat_last = UINT32_MAX,
                           .biases = q->biases,
                           .bias_count = q->bias_count,
                           .seed = chance + s->index };
}

static enx_status submit(enx_host *host, host_sequence *s, enx_report *report)
{
    const host_turn  *h = s->turn;
    const enx_turn   *t = h->turn;
    const enx_request request = { .prompt = h->prompt.ids,
                                  .prompt_count = (uint32_t)h->prompt.count,
                                  .priority = t->question->is_patient ? 0 : 1,
                                  .job = (uint64_t)(uintptr_t)t->asker,
                                  .max_tokens = t->question->max_tokens,
                                  .eos = enx_tokenizer_eos(host->loaded.tokenizer),
                                  .tokenizer = host->loaded.tokenizer,
                                  .sampling = sampling_of(s),
                                  .mask = s->mask,
                                  .skips_forced = s->mask != NULL,
                                  .top = t->answers[s->index].top,
                                  .top_count = t->question->top_count,
                                  .on_token = on_token,
                                  .user = s };
    return enx_engine_submit(host->engine, &request, &s->id, report);
}

/* ---- The thread ----------------------------------------------------------------------------- */

static void fail(host_turn *h, enx_status status, const char *text)
{
    enx_report why = { .status = status };
    strncpy(why.text, text, sizeof why.text - 1);
    enx_turn_fail(h->turn, &why);
}

/* End the sequences of a turn that nobody waits for, or that takes too long. */
static void cancel(const enx_host *host, host_turn *h)
{
    for (uint32_t i = 0; i < h->turn->answer_count; i++) {
        h->sequences[i].is_over = true;
        if (h->sequences[i].id) enx_engine_cancel(host->engine, h->sequences[i].id);
    }
    h->started = h->turn->answer_count;
}

static void watch(const enx_host *host, host_turn *h, bool is_due)
{
    const enx_turn *t = h->turn;
    if (is_due && enx_reply_is_gone(t->reply)) {
        if (!t->is_failed) fail(h, ENX_CANCELED, "the client is gone");
        cancel(host, h);
    } else if (host->options.time_us_max &&
               enx_clock_monotonic_us() - t->asked_us > host->options.time_us_max) {
        fail(h, ENX_CANCELED, "the request took longer than this server allows");
        cancel(host, h);
    }
    const bool is_full = enx_reply_is_full(t->reply);
    for (uint32_t i = 0; i < h->started && i < t->answer_count; i++) {
        host_sequence *s = &h->sequences[i];
        if (s->id == 0) continue;
        if (!s->is_over && enx_turn_is_over(t, i)) {
            s->is_over = true;
            enx_engine_cancel(host->engine, s->id);
        }
        if (s->is_paused == (is_full && !s->is_over)) continue;
        s->is_paused = !s->is_paused;
        enx_engine_pause(host->engine, s->id, s->is_paused);
    }
}

/* Submit what the engine has room for.  False: the turn is over. */
static bool advance(enx_host *host, host_turn *h)
{
    enx_report report = { 0 };
    if (!h->has_prompt && prepare(host, h, &report) != ENX_OK) {
        enx_turn_fail(h->turn, &report);
        return false;
    }
    if (h->turn->question->is_count) {
        tell_count(h);
        return false;
    }
    while (h->started < h->turn->answer_count && enx_engine_free_slots(host->engine) > 0) {
        h->running++; /* a sequence may end within submit */
        const enx_status status = submit(host, &h->sequences[h->started++], &report);
        if (status == ENX_OK) continue;
        h->running--;
        if (status == ENX_AGAIN && host->turns_running > 0) { /* no memory for its keys yet */
            h->started--;
            break;
        }
        enx_turn_fail(h->turn, &report);
        cancel(host, h);
    }
    return h->running > 0 || h->started < h->turn->answer_count;
}

/* How fast the model writes, from the turns that are over. */
static void take_figures(enx_host *host, const host_turn *h)
{
    const enx_turn_bill bill = enx_turn_bill_get(h->turn);
    pthread_mutex_lock(&host->lock);
    enx_host_figures *f = &host->figures;
    f->requests++;
    if (bill.usage.tokens_out > 1 && bill.write_us > 0) {
        const double rate = (double)(bill.usage.tokens_out - 1) * US_PER_S / (double)bill.write_us;
        f->tokens_per_s =
            f->tokens_per_s > 0 ? f->tokens_per_s + rate_share * (rate - f->tokens_per_s) : rate;
    }
    pthread_mutex_unlock(&host->lock);
}

/* Turns that wait are prepared only when there is room for them: their prompts take memory. */
static uint32_t serve_turns(enx_host *host, uint32_t *running, uint32_t *paused)
{
    host_turn    **at = &host->turns;
    uint32_t       count = 0;
    const uint64_t now_us = enx_clock_monotonic_us();
    const bool     is_watch_due = now_us - host->watched_us >= WATCH_US;
    const bool     is_flush_due = now_us - host->flushed_us >= FLUSH_US;
    if (is_watch_due) host->watched_us = now_us;
    if (is_flush_due) host->flushed_us = now_us;
    *running = *paused = 0;
    while (*at) {
        host_turn *h = *at;
        watch(host, h, is_watch_due);
        const bool has_room = !host->engine || enx_engine_free_slots(host->engine) > 0;
        const bool is_idle = h->running == 0 && h->turn->is_failed;
        const bool is_due = h->has_prompt || has_room || h->turn->question->is_count;
        if (is_idle || (is_due && !advance(host, h))) {
            *at = h->next;
            take_figures(host, h);
            free_turn(h);
            continue;
        }
        count++;
        if (is_flush_due || h->running == 0) enx_reply_flush(h->turn->reply);
        for (uint32_t i = 0; i < h->started; i++) {
            *running += h->sequences[i].id != 0;
            *paused += h->sequences[i].id != 0 && h->sequences[i].is_paused;
        }
        at = &h->next;
    }
    return count;
}

/* Move what waits to the thread's list.  Called under the lock. */
static void take_queue(enx_host *host)
{
    host_turn **end = &host->turns;
    while (*end) end = &(*end)->next;
    *end = host->queue;
    host->turn_count += host->queue_count;
    host->queue_count = 0;
    host->queue = NULL;
    host->queue_end = &host->queue;
}

static void nap(enx_host *host)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += NAP_MS * NANO_PER_MS;
    until.tv_sec += until.tv_nsec / (NANO_PER_MS * 1000L);
    until.tv_nsec %= NANO_PER_MS * 1000L;
    pthread_cond_timedwait(&host->news, &host->lock, &until);
}

static void *run_host(void *user)
{
    enx_host *host = user;
    uint32_t  running = 0, paused = 0, count = 0;
    pthread_mutex_lock(&host->lock);
    while (!host->is_stopping) {
        while (!host->is_stopping && !host->queue && !host->turns)
            pthread_cond_wait(&host->news, &host->lock);
        if (host->is_stopping) break;
        take_queue(host);
        pthread_mutex_unlock(&host->lock);
        count = serve_turns(host, &running, &paused);
        host->turns_running = running;
        if (running > paused) enx_engine_step(host->engine, on_done, host);
        pthread_mutex_lock(&host->lock);
        host->turn_count = count;
        host->figures.running = running;
        if (host->engine) host->figures.engine = enx_engine_count(host->engine);
        if (running == paused && host->turns && !host->has_room && !host->queue) nap(host);
        host->has_room = false;
    }
    take_queue(host);
    pthread_mutex_unlock(&host->lock);
    while (host->turns) {
        host_turn *h = host->turns;
        host->turns = h->next;
        fail(h, ENX_CANCELED, "the server is stopping");
        free_turn(h);
    }
    return NULL;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static enx_status open_chat(enx_host *host, enx_report *report)
{
    enx_gguf_str            own;
    const enx_host_options *o = &host->options;
    if (o->form) {
        const enx_status status =
            enx_chat_open(&host->chat, &host->loaded, o->form, o->form_bytes, report);
        if (status != ENX_OK && o->form_name) enx_report_wrap(report, "%s", o->form_name);
        return status;
    }
    if (enx_gguf_read_str(host->loaded.gguf, "tokenizer.chat_template", &own, NULL) != ENX_OK)
        return ENX_OK;
    ENX_TRY(enx_chat_open(&host->chat, &host->loaded, NULL, 0, report));
    host->has_tools = enx_chat_has_tools(host->chat);
    return ENX_OK;
}

enx_status enx_host_open(enx_host **out, const enx_host_options *options, enx_report *report)
{
    ENX_CHECK(out && options && options->path);
    enx_host *host = ENX_MEM_NEW(enx_host, 1);
    if (!host) return ENX_FAIL(report, NOMEM, "no memory for a model");
    host->options = *options;
    host->queue_end = &host->queue;
    if (host->options.slots == 0) host->options.slots = SLOTS_DEFAULT;
    if (host->options.tokens_max == 0) host->options.tokens_max = ENX_ENGINE_CONTEXT_MAX;
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->news, NULL);
    enx_status status = enx_loaded_open(&host->loaded, options->path, report);
    if (status == ENX_OK) status = open_chat(host, report);
    if (status == ENX_OK) {
        const uint32_t own = enx_model_hparams(host->loaded.model)->context_tokens;
        const uint32_t most = options->context_tokens ? options->context_tokens : CONTEXT_DEFAULT;
        host->context_tokens = own < most && !options->is_context_exact ? own : most;
        const int error = pthread_create(&host->thread, NULL, run_host, host);
        host->is_started = error == 0;
        if (error) status = ENX_FAIL(report, NOMEM, "no thread: %s", strerror(error));
    }
    if (status != ENX_OK) {
        enx_host_close(&host);
        return status;
    }
    *out = host;
    return ENX_OK;
}

void enx_host_close(enx_host **out)
{
    enx_host *host = *out;
    *out = NULL;
    if (!host) return;
    pthread_mutex_lock(&host->lock);
    host->is_stopping = true;
    pthread_cond_signal(&host->news);
    pthread_mutex_unlock(&host->lock);
    if (host->is_started) pthread_join(host->thread, NULL);
    enx_engine_close(&host->engine);
    enx_pool_close(&host->pool);
    enx_chat_close(&host->chat);
    enx_loaded_close(&host->loaded);
    pthread_cond_destroy(&host->news);
    pthread_mutex_destroy(&host->lock);
    enx_mem_free(host);
}

/* Called under a reply's lock, by its sender. */
static void on_room(void *user)
{
    enx_host *host = user;
    pthread_mutex_lock(&host->lock);
    host->has_room = true;
    pthread_cond_signal(&host->news);
    pthread_mutex_unlock(&host->lock);
}

enx_status enx_host_submit(enx_host *host, enx_turn *turn, enx_report *report)
{
    host_turn *h = ENX_MEM_NEW(host_turn, 1);
    if (!h) return ENX_FAIL(report, NOMEM, "no memory for a request");
    *h = (host_turn){ .turn = turn };
    turn->gathers = true;
    enx_reply_on_room(turn->reply, on_room, host);
    pthread_mutex_lock(&host->lock);
    const uint32_t open = host->queue_count + host->turn_count;
    const bool     is_full =
        host->is_stopping || open >= host->options.slots + host->options.waiting_max;
    if (!is_full) {
        *host->queue_end = h;
        host->queue_end = &h->next;
        host->queue_count++;
        pthread_cond_signal(&host->news);
    }
    pthread_mutex_unlock(&host->lock);
    if (!is_full) return ENX_OK;
    enx_reply_on_room(turn->reply, NULL, NULL);
    enx_mem_free(h);
    return ENX_FAIL(report, AGAIN, "%u requests for this model are being answered or wait", open);
}

const enx_loaded *enx_host_loaded(const enx_host *host) { return &host->loaded; }

bool enx_host_can_chat(const enx_host *host) { return host->chat != NULL; }

uint32_t enx_host_context_tokens(const enx_host *host) { return host->context_tokens; }

enx_host_figures enx_host_figures_get(enx_host *host)
{
    pthread_mutex_lock(&host->lock);
    enx_host_figures figures = host->figures;
    const uint32_t   open = host->queue_count + host->turn_count;
    pthread_mutex_unlock(&host->lock);
    figures.waiting = open > figures.running ? open - figures.running : 0;
    return figures;
}
