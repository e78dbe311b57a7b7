/* SPDX-License-Identifier: Apache-2.0 */
/* away.c - turns over HTTP. */
#include "serve/away.h"

#include "base/check.h"
#include "base/mem.h"
#include "serve/tools.h"
#include "serve/voice.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { POLL_US = 50000, TOKENS_DEFAULT = 4096, TOKENS_SLACK = 1024 };

typedef struct away_call {
    struct away_turn *turn;
    uint32_t          index;
    uint64_t          id;
} away_call;

typedef struct away_turn {
    struct away_turn *next;
    enx_turn         *turn; /* owned */
    uint32_t          model;
    away_call         calls[ENX_QUESTION_ANSWERS_MAX];
    uint32_t          open;
    bool              is_canceled;
} away_turn;

struct enx_away {
    enx_away_options options;
    enx_remote      *remote; /* the thread's, from its start on */
    pthread_t        thread;
    bool             is_started;
    pthread_mutex_t  lock;
    int              news_fd; /* -1: none */
    away_turn       *queue;
    uint32_t         call_count; /* in the queue and in flight */
    bool             is_stopping;
    away_turn       *turns; /* the thread's */
    uint64_t         next_id;
};

/* ---- Asking --------------------------------------------------------------------------------- */

static enx_api_role role_of(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    if (strcmp(role, "system") == 0) return ENX_API_SYSTEM;
    return strcmp(role, "assistant") == 0 ? ENX_API_ASSISTANT : ENX_API_USER;
}

static void write_request(const enx_away *away, const enx_turn *t, enx_api_request *out)
{
    const enx_question *q = t->question;
    const uint32_t      most = away->options.tokens_max;
    *out = (enx_api_request){ .max_tokens = q->max_tokens ? q->max_tokens : TOKENS_DEFAULT,
                              .temperature = q->temperature,
                              .top_p = q->top_p,
                              .has_seed = q->has_seed,
                              .seed = (uint32_t)q->seed,
                              .stops = q->stops,
                              .stop_count = q->stop_count < ENX_API_STOPS_MAX ? q->stop_count
                                                                              : ENX_API_STOPS_MAX };
    if (most && out->max_tokens > most) out->max_tokens = most;
}

static void on_text(void *user, const char *text, size_t text_bytes)
{
    const away_call *call = user;
    enx_turn        *t = call->turn->turn;
    if (!enx_turn_is_over(t, call->index)) enx_turn_push(t, call->index, text, text_bytes);
}

/* System messages go first, in one: APIs want no more. */
static enx_status list_messages(const json_t *messages, enx_api_message *out, size_t *count,
                                enx_report *report)
{
    size_t  i;
    json_t *message;
    *count = 0;
    for (int is_rest = 0; is_rest < 2; is_rest++)
        json_array_foreach (messages, i, message) {
            const json_t      *content = json_object_get(message, "content");
            const enx_api_role role = role_of(message);
            if ((role != ENX_API_SYSTEM) != is_rest) continue;
            if (*count == ENX_API_MESSAGES_MAX)
                return ENX_FAIL(report, LIMIT, "messages: at most %d for a model behind an API",
                                ENX_API_MESSAGES_MAX);
            out[(*count)++] =
                (enx_api_message){ role, json_string_value(content), json_string_length(content) };
        }
    return ENX_OK;
}

static enx_status submit_calls(enx_away *away, away_turn *w, const json_t *messages,
                               const char *schema, enx_report *report)
{
    enx_api_message list[ENX_API_MESSAGES_MAX];
    enx_api_request request;
    enx_turn       *t = w->turn;
    write_request(away, t, &request);
    request.messages = list;
    request.schema = schema;
    ENX_TRY(list_messages(messages, list, &request.message_count, report));
    const uint64_t bytes = enx_question_bytes(t->question) + (schema ? strlen(schema) : 0);
    ENX_TRY(enx_turn_start(t, false, report));
    for (uint32_t i = 0; i < t->answer_count; i++) {
        away_call *call = &w->calls[i];
        *call = (away_call){ .turn = w, .index = i, .id = ++away->next_id };
        const enx_remote_call out = { .id = call->id,
                                      .model = w->model,
                                      .request = &request,
                                      .bounds = { .tokens_in_max = (uint32_t)bytes + TOKENS_SLACK,
                                                  .tokens_out_max = request.max_tokens,
                                                  .prompt_bytes = bytes },
                                      .user = call,
                                      .on_text = on_text };
        ENX_TRY(enx_remote_submit(away->remote, &out, report));
        w->open++;
    }
    return ENX_OK;
}

static enx_status start_turn(enx_away *away, away_turn *w, enx_report *report)
{
    json_t *messages = NULL, *schema = NULL;
    enx_buf text;
    enx_buf_init(&text, ENX_API_REQUEST_BYTES_MAX);
    enx_status status = enx_tools_in_words(w->turn->question, &messages, report);
    if (status == ENX_OK) status = enx_tools_schema(w->turn->question, &schema, report);
    if (status == ENX_OK && schema) {
        status = enx_voice_json(&text, schema);
        if (status != ENX_OK) status = ENX_FAIL(report, LIMIT, "the schema is too large");
    }
    if (status == ENX_OK)
        status = submit_calls(away, w, messages, schema ? enx_buf_text(&text) : NULL, report);
    json_decref(messages);
    enx_buf_deinit(&text);
    return status;
}

/* ---- Results -------------------------------------------------------------------------------- */

static enx_end end_of(enx_api_stop stop)
{
    switch (stop) {
    case ENX_API_STOP_LENGTH:
        return ENX_END_LENGTH;
    case ENX_API_STOP_FILTER:
    case ENX_API_STOP_REFUSAL:
        return ENX_END_REFUSED;
    case ENX_API_STOP_NONE:
    case ENX_API_STOP_END:
        break;
    }
    return ENX_END_STOP;
}

static void on_result(void *user, const enx_remote_result *result)
{
    away_call       *call = result->user;
    away_turn       *w = call->turn;
    enx_turn_answer *a = &w->turn->answers[call->index];
    (void)user;
    call->id = 0;
    w->open--;
    a->usage = result->usage;
    if (call->index == 0)
        w->turn->prompt_tokens = result->usage.tokens_in + result->usage.tokens_cached;
    if (result->verdict == ENX_VERDICT_ANSWERED) {
        a->tokens_thought = result->reply->usage.reasoning;
        enx_turn_finish(w->turn, call->index, end_of(result->reply->stop));
        return;
    }
    enx_report why = { .status = ENX_IO };
    strncpy(why.text, result->error ? result->error : "the provider did not answer",
            sizeof why.text - 1);
    enx_turn_fail(w->turn, &why);
}

static void cancel(const enx_away *away, away_turn *w)
{
    w->is_canceled = true;
    for (uint32_t i = 0; i < w->turn->answer_count; i++)
        if (w->calls[i].id) enx_remote_cancel(away->remote, w->calls[i].id);
}

static void watch(const enx_away *away, away_turn *w)
{
    const enx_report gone = { .status = ENX_CANCELED, .text = "the client is gone" };
    if (!w->is_canceled && enx_reply_is_gone(w->turn->reply)) {
        enx_turn_fail(w->turn, &gone);
        cancel(away, w);
    }
    if (!w->is_canceled && w->turn->is_failed) cancel(away, w);
}

/* ---- The thread ----------------------------------------------------------------------------- */

static void free_turn(enx_away *away, away_turn *w)
{
    pthread_mutex_lock(&away->lock);
    away->call_count -= w->turn->answer_count;
    pthread_mutex_unlock(&away->lock);
    enx_turn_close(&w->turn);
    enx_mem_free(w);
}

static void drop_finished(enx_away *away)
{
    for (away_turn **at = &away->turns; *at;) {
        away_turn *w = *at;
        watch(away, w);
        if (w->open > 0) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        free_turn(away, w);
    }
}

static void start_turns(enx_away *away, away_turn *queue)
{
    while (queue) {
        away_turn *w = queue;
        enx_report report = { 0 };
        queue = w->next;
        w->next = away->turns;
        away->turns = w;
        if (start_turn(away, w, &report) != ENX_OK) enx_turn_fail(w->turn, &report);
    }
}

static away_turn *take_queue(enx_away *away, bool *is_stopping)
{
    uint64_t count = 0;
    pthread_mutex_lock(&away->lock);
    away_turn *queue = away->queue;
    away->queue = NULL;
    *is_stopping = away->is_stopping;
    pthread_mutex_unlock(&away->lock);
    (void)!read(away->news_fd, &count, sizeof count);
    return queue;
}

static void *run_away(void *user)
{
    enx_away        *away = user;
    bool             is_stopping = false;
    const enx_report why = { .status = ENX_CANCELED, .text = "the server is stopping" };
    while (!is_stopping) {
        start_turns(away, take_queue(away, &is_stopping));
        if (is_stopping) break;
        enx_remote_poll(away->remote, POLL_US, away->news_fd, on_result, away);
        drop_finished(away);
    }
    for (away_turn *w = away->turns; w; w = w->next) enx_turn_fail(w->turn, &why);
    enx_remote_close(&away->remote, on_result, away);
    drop_finished(away);
    return NULL;
}

/* ---- Opening -------------------------------------------------------------------------------- */

enx_status enx_away_open(enx_away **out, const enx_away_options *options, enx_report *report)
{
    const enx_remote_options own = { .salt = options->salt, .seed = options->seed };
    enx_away                *away = ENX_MEM_NEW(enx_away, 1);
    if (!away) return ENX_FAIL(report, NOMEM, "no memory for models behind APIs");
    away->options = *options;
    pthread_mutex_init(&away->lock, NULL);
    away->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enx_status status =
        away->news_fd < 0 ? ENX_FAIL(report, NOMEM, "no eventfd: %s", strerror(errno)) : ENX_OK;
    if (status == ENX_OK)
        status =
            enx_remote_open(&away->remote, options->models, options->model_count, &own, report);
    if (status == ENX_OK) {
        const int error = pthread_create(&away->thread, NULL, run_away, away);
        away->is_started = error == 0;
        if (error) status = ENX_FAIL(report, NOMEM, "no thread: %s", strerror(error));
    }
    if (status != ENX_OK) {
        enx_away_close(&away);
        return status;
    }
    *out = away;
    return ENX_OK;
}

static void tell(void *user)
{
    const enx_away *away = user;
    const uint64_t  one = 1;
    (void)!write(away->news_fd, &one, sizeof one);
}

void enx_away_close(enx_away **out)
{
    enx_away *away = *out;
    *out = NULL;
    if (!away) return;
    pthread_mutex_lock(&away->lock);
    away->is_stopping = true;
    pthread_mutex_unlock(&away->lock);
    tell(away);
    if (away->is_started) pthread_join(away->thread, NULL);
    else if (away->remote) enx_remote_close(&away->remote, NULL, NULL);
    if (away->news_fd >= 0) close(away->news_fd);
    pthread_mutex_destroy(&away->lock);
    enx_mem_free(away);
}

static enx_status check_question(const enx_question *q, enx_report *report)
{
    if (!q->messages)
        return ENX_FAIL(report, UNSUPPORTED, "a model behind an API can only be chatted with");
    if (q->wants_logprobs)
        return ENX_FAIL(report, UNSUPPORTED, "logprobs: not of a model behind an API");
    if (q->is_count)
        return ENX_FAIL(report, UNSUPPORTED, "tokens of a model behind an API cannot be counted");
    return ENX_OK;
}

enx_status enx_away_submit(enx_away *away, uint32_t model, enx_turn *turn, enx_report *report)
{
    ENX_TRY(check_question(turn->question, report));
    away_turn *w = ENX_MEM_NEW(away_turn, 1);
    if (!w) return ENX_FAIL(report, NOMEM, "no memory for a request");
    *w = (away_turn){ .turn = turn, .model = model };
    enx_reply_on_room(turn->reply, tell, away);
    pthread_mutex_lock(&away->lock);
    const bool is_full =
        away->is_stopping || away->call_count + turn->answer_count > away->options.calls_max;
    if (!is_full) {
        w->next = away->queue;
        away->queue = w;
        away->call_count += turn->answer_count;
    }
    pthread_mutex_unlock(&away->lock);
    if (!is_full) {
        tell(away);
        return ENX_OK;
    }
    enx_reply_on_room(turn->reply, NULL, NULL);
    enx_mem_free(w);
    return ENX_FAIL(report, AGAIN, "too many requests for models behind APIs are in flight");
}
