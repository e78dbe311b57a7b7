/* SPDX-License-Identifier: Apache-2.0 */
/* remote.c - queues, tries and ends of requests.
 *
 *   submit()              throttle lets it             ended                    poll()
 *   ────────► provider's queue ────────► in flight ────────► judged ──► done ────────► result
 *                   ▲                                          │
 *                   └──────────── AGAIN, SIMPLER ──────────────┘
 *
 * (1) A call is in exactly one list: its provider's queue, `active`, or `done`.
 * (2) Only an active call has an easy handle, and that is in the multi handle.
 * (3) A call goes back to the queue only when its try cannot have been paid for. */
#include "backend/remote.h"

#include "backend/transfer.h"
#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_BYTES_MAX = 512,
    KEY_BYTES_HIDDEN = 6,
    ERROR_BYTES = ENX_REPORT_TEXT_MAX + 200,
    ID_BYTES = 96
};

typedef struct remote_call {
    struct remote_call *next;
    uint64_t            id, submitted_us, not_before_us, finished_us;
    uint32_t            model, attempts;
    bool                is_canceled;
    enx_api_request     request;  /* points into */
    char               *copies;   /* and */
    enx_api_message    *messages; /* and */
    const char        **stops;
    enx_api_bounds      bounds;
    void               *user;
    enx_remote_text_fn  on_text;
    unsigned            features; /* of the try under way */
    enx_transfer        transfer;
    bool                has_transfer;
    enx_verdict         verdict;
    char                error[ERROR_BYTES];
} remote_call;

typedef struct call_list {
    remote_call *first, *last;
    uint32_t     count;
} call_list;

typedef struct remote_model {
    enx_remote_model settings; /* strings are ours */
    char            *url;      /* with path */
    uint32_t         provider;
    unsigned         features; /* not refused so far */
} remote_model;

typedef struct remote_provider {
    const remote_model *model; /* its first */
    enx_throttle        throttle;
    call_list           queue;
    char                locked_out[ERROR_BYTES]; /* why nothing is asked any more, or "" */
} remote_provider;

struct enx_remote {
    remote_model       models[ENX_REMOTE_MODELS_MAX];
    remote_provider    providers[ENX_REMOTE_MODELS_MAX];
    uint32_t           model_count, provider_count;
    enx_remote_options options;
    enx_rng            rng;
    CURLM             *multi;
    bool               has_curl;
    call_list          active, done;
    uint32_t           flight;
};

/* ---- Lists ---------------------------------------------------------------------------------- */

static void list_push(call_list *list, remote_call *call)
{
    call->next = NULL;
    if (list->last) list->last->next = call;
    else list->first = call;
    list->last = call;
    list->count++;
}

static remote_call *list_pop(call_list *list)
{
    remote_call *call = list->first;
    if (!call) return NULL;
    list->first = call->next;
    if (!list->first) list->last = NULL;
    list->count--;
    return call;
}

static void list_remove(call_list *list, remote_call *call)
{
    remote_call *before = NULL;
    for (remote_call *at = list->first; at != call; at = at->next) before = at;
    if (before) before->next = call->next;
    else list->first = call->next;
    if (list->last == call) list->last = before;
    list->count--;
}

static void drop_transfer(enx_remote *r, remote_call *call)
{
    if (call->has_transfer && call->transfer.easy)
        curl_multi_remove_handle(r->multi, call->transfer.easy);
    if (call->has_transfer) enx_transfer_close(&call->transfer);
    call->has_transfer = false;
}

static void free_call(enx_remote *r, remote_call *call)
{
    drop_transfer(r, call);
    enx_mem_free(call->stops);
    enx_mem_free(call->messages);
    enx_mem_free(call->copies);
    enx_mem_free(call);
}

/* ---- Secrets -------------------------------------------------------------------------------- */

/* Servers like to quote the key that they refuse. */
static void hide_key(char *text, const char *key)
{
    const size_t key_bytes = key ? strlen(key) : 0;
    if (key_bytes < KEY_BYTES_HIDDEN) return;
    for (char *at = strstr(text, key); at; at = strstr(at, key)) memset(at, '*', key_bytes);
}

/* ---- Opening -------------------------------------------------------------------------------- */

static char *copy_text(const char *text, const char *more)
{
    const size_t size = strlen(text), more_bytes = strlen(more);
    char        *copy = ENX_MEM_NEW(char, size + more_bytes + 1);
    if (!copy) return NULL;
    memcpy(copy, text, size);
    memcpy(copy + size, more, more_bytes + 1);
    return copy;
}

static bool is_loopback(const char *host)
{
    static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t size = strlen(names[i]);
        if (strncmp(host, names[i], size) == 0 && (!host[size] || strchr(":/", host[size])))
            return true;
    }
    return false;
}

static enx_status check_model(const enx_remote_model *m, enx_report *report)
{
    const bool is_plain = strncmp(m->url, "http://", 7) == 0;
    if (!is_plain && strncmp(m->url, "https://", 8) != 0)
        return ENX_FAIL(report, INVALID, "url %s: http:// or https:// is expected", m->url);
    if (strpbrk(m->url, "@?# \t\r\n"))
        return ENX_FAIL(report, INVALID,
                        "url: user, query, fragment and white space have no place in it");
    if (is_plain && m->key && !is_loopback(m->url + 7))
        return ENX_FAIL(report, INVALID,
                        "url %s: the key would go over the network in the clear; use https://, or "
                        "key: none",
                        m->url);
    if (!m->key) return ENX_OK;
    if (!m->key[0] || strlen(m->key) > KEY_BYTES_MAX)
        return ENX_FAIL(report, INVALID, "the key for %s has %zu bytes, expected 1 to %d", m->url,
                        strlen(m->key), KEY_BYTES_MAX);
    for (const char *at = m->key; *at; at++)
        if (*at <= ' ' || *at > '~')
            return ENX_FAIL(report, INVALID, "the key for %s has a character that no key has",
                            m->url);
    return ENX_OK;
}

static void fill_defaults(enx_remote_model *m)
{
    if (!m->connect_us) m->connect_us = ENX_REMOTE_CONNECT_US;
    if (!m->first_us) m->first_us = ENX_REMOTE_FIRST_US;
    if (!m->idle_us) m->idle_us = ENX_REMOTE_IDLE_US;
    if (!m->total_us) m->total_us = ENX_REMOTE_TOTAL_US;
    if (!m->attempts) m->attempts = ENX_REMOTE_ATTEMPTS;
    m->features &= m->api->features;
}

static bool is_same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

static uint64_t least(uint64_t a, uint64_t b) { return a && (!b || a < b) ? a : b; }

/* The provider with this URL and key, or a new one. */
static uint32_t find_provider(enx_remote *r, const remote_model *model)
{
    const enx_throttle_limits *more = &model->settings.limits;
    uint32_t                   p = 0;
    while (p < r->provider_count &&
           !(is_same_text(r->providers[p].model->settings.url, model->settings.url) &&
             is_same_text(r->providers[p].model->settings.key, model->settings.key)))
        p++;
    if (p == r->provider_count) {
        r->providers[r->provider_count++].model = model;
        enx_throttle_init(&r->providers[p].throttle, more);
        return p;
    }
    enx_throttle_limits *limits = &r->providers[p].throttle.limits;
    limits->concurrency = (uint32_t)least(limits->concurrency, more->concurrency);
    limits->requests_per_min = (uint32_t)least(limits->requests_per_min, more->requests_per_min);
    limits->tokens_per_min = least(limits->tokens_per_min, more->tokens_per_min);
    return p;
}

static enx_status add_model(enx_remote *r, const enx_remote_model *m, enx_report *report)
{
    remote_model *model = &r->models[r->model_count++];
    ENX_TRY(check_model(m, report));
    model->settings = *m;
    fill_defaults(&model->settings);
    model->features = model->settings.features;
    size_t size = strlen(m->url);
    char  *url = copy_text(m->url, "");
    while (url && size > 0 && url[size - 1] == '/') url[--size] = '\0';
    model->settings.url = url;
    model->settings.model = copy_text(m->model, "");
    model->settings.key = m->key ? copy_text(m->key, "") : NULL;
    model->url = url ? copy_text(url, m->api->path) : NULL;
    if (!model->url || !model->settings.model || (m->key && !model->settings.key))
        return ENX_FAIL(report, NOMEM, "no memory for a model");
    model->provider = find_provider(r, model);
    return ENX_OK;
}

enx_status enx_remote_open(enx_remote **out, const enx_remote_model *models, uint32_t model_count,
                           const enx_remote_options *options, enx_report *report)
{
    ENX_CHECK(out && models && options && model_count <= ENX_REMOTE_MODELS_MAX);
    enx_remote *r = ENX_MEM_NEW(enx_remote, 1);
    if (!r) return ENX_FAIL(report, NOMEM, "no memory for the remote models");
    r->options = *options;
    r->rng = enx_rng_open(options->seed, 0);
    enx_status status = ENX_OK;
    for (uint32_t m = 0; status == ENX_OK && m < model_count; m++)
        status = add_model(r, &models[m], report);
    r->has_curl = status == ENX_OK && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (r->has_curl) r->multi = curl_multi_init();
    if (status == ENX_OK && !r->multi)
        status = ENX_FAIL(report, NOMEM, "libcurl cannot be started");
    if (status != ENX_OK) {
        enx_remote_close(&r, NULL, NULL);
        return status;
    }
    *out = r;
    return ENX_OK;
}

void enx_remote_set_salt(enx_remote *r, uint64_t salt) { r->options.salt = salt; }

/* ---- Submitting ----------------------------------------------------------------------------- */

static size_t bytes_of(const enx_api_request *q)
{
    size_t size =
        2 + (q->schema ? strlen(q->schema) : 0) + (q->schema_name ? strlen(q->schema_name) : 0);
    for (size_t i = 0; i < q->message_count; i++) size += q->messages[i].text_bytes + 1;
    for (size_t i = 0; i < q->stop_count; i++) size += strlen(q->stops[i]) + 1;
    return size;
}

static const char *put(char **at, const char *text, size_t size)
{
    const char *start = *at;
    if (size) memcpy(*at, text, size);
    *at += size + 1; /* the zero byte is there */
    return start;
}

static bool copy_request(remote_call *c, const enx_api_request *q)
{
    c->copies = ENX_MEM_NEW(char, bytes_of(q));
    c->messages = ENX_MEM_NEW(enx_api_message, q->message_count);
    c->stops = enx_mem_new(q->stop_count + 1, sizeof *c->stops);
    if (!c->copies || !c->messages || !c->stops) return false;
    char *at = c->copies;
    c->request = *q;
    for (size_t i = 0; i < q->message_count; i++) {
        c->messages[i] = q->messages[i];
        c->messages[i].text = put(&at, q->messages[i].text, q->messages[i].text_bytes);
    }
    for (size_t i = 0; i < q->stop_count; i++)
        c->stops[i] = put(&at, q->stops[i], strlen(q->stops[i]));
    if (q->schema) c->request.schema = put(&at, q->schema, strlen(q->schema));
    if (q->schema_name) c->request.schema_name = put(&at, q->schema_name, strlen(q->schema_name));
    c->request.messages = c->messages;
    c->request.stops = c->stops;
    return true;
}

enx_status enx_remote_submit(enx_remote *r, const enx_remote_call *call, enx_report *report)
{
    ENX_CHECK(call->model < r->model_count && call->request->max_tokens > 0);
    const enx_api_request *q = call->request;
    if (q->message_count == 0 || q->message_count > ENX_API_MESSAGES_MAX ||
        q->stop_count > ENX_API_STOPS_MAX || bytes_of(q) > ENX_API_REQUEST_BYTES_MAX)
        return ENX_FAIL(report, LIMIT,
                        "a request of %zu messages and %zu bytes, expected 1 to %d and at most %d",
                        q->message_count, bytes_of(q), ENX_API_MESSAGES_MAX,
                        ENX_API_REQUEST_BYTES_MAX);
    remote_call *c = ENX_MEM_NEW(remote_call, 1);
    if (!c || !copy_request(c, q)) {
        if (c) free_call(r, c);
        return ENX_FAIL(report, NOMEM, "no memory for a request");
    }
    c->id = call->id;
    c->model = call->model;
    c->bounds = call->bounds;
    c->user = call->user;
    c->on_text = call->on_text;
    c->submitted_us = enx_clock_monotonic_us();
    r->flight++;
    list_push(&r->providers[r->models[c->model].provider].queue, c);
    return ENX_OK;
}

void enx_remote_cancel(enx_remote *r, uint64_t id)
{
    for (remote_call *call = r->active.first; call; call = call->next)
        if (call->id == id) call->is_canceled = true;
    for (uint32_t p = 0; p < r->provider_count; p++)
        for (remote_call *call = r->providers[p].queue.first; call; call = call->next)
            if (call->id == id) call->is_canceled = true;
}

uint32_t enx_remote_flight(const enx_remote *r) { return r->flight; }

/* ---- Tries ---------------------------------------------------------------------------------- */

static remote_provider *provider_of(enx_remote *r, const remote_call *call)
{
    return &r->providers[r->models[call->model].provider];
}

static uint64_t tokens_of(const remote_call *call)
{
    return (uint64_t)call->bounds.tokens_in_max + call->bounds.tokens_out_max;
}

static void finish(enx_remote *r, remote_call *call, enx_verdict verdict, const char *error)
{
    const remote_model *model = &r->models[call->model];
    call->verdict = verdict;
    call->finished_us = enx_clock_monotonic_us();
    if (error)
        snprintf(call->error, sizeof call->error, "%.100s: %s", model->settings.model, error);
    hide_key(call->error, model->settings.key);
    list_push(&r->done, call);
}

/* The body depends on what the server turned out not to know, and so does the key: a provider
 * refuses one that comes with another body. */
static enx_status open_transfer(enx_remote *r, remote_call *call, uint64_t now_us,
                                enx_report *report)
{
    const remote_model *model = &r->models[call->model];
    char                id[ID_BYTES];
    call->features = model->features;
    call->has_transfer = true;
    enx_transfer_init(&call->transfer, model->settings.api);
    call->transfer.text_bytes_max = (size_t)call->bounds.tokens_out_max * ENX_API_TOKEN_BYTES_MAX;
    call->transfer.on_text = call->on_text;
    call->transfer.user = call->user;
    snprintf(id, sizeof id, "enxame-%016" PRIx64 "-%016" PRIx64 "-%02x", r->options.salt, call->id,
             call->features);
    const enx_transfer_target target = { .api = model->settings.api,
                                         .url = model->url,
                                         .key = model->settings.key,
                                         .id = id,
                                         .connect_us = model->settings.connect_us };
    ENX_TRY(model->settings.api->write(&call->request, model->settings.model, call->features,
                                       &call->transfer.request, report));
    ENX_TRY(enx_transfer_open(&call->transfer, &target, call, now_us, report));
    if (curl_multi_add_handle(r->multi, call->transfer.easy) != CURLM_OK)
        return ENX_FAIL(report, NOMEM, "no memory for a request");
    return ENX_OK;
}

/* `call` has left its queue. */
static void start(enx_remote *r, remote_call *call, uint64_t now_us)
{
    enx_report report = { 0 };
    call->attempts++;
    if (open_transfer(r, call, now_us, &report) != ENX_OK) {
        finish(r, call, ENX_VERDICT_REFUSED, report.text);
        return;
    }
    enx_throttle_start(&provider_of(r, call)->throttle, now_us, tokens_of(call));
    list_push(&r->active, call);
}

/* The first in the queue that is not waiting for its time; NULL: none, *wake_us is the next time.
 */
static remote_call *find_due(const remote_provider *p, uint64_t now_us, uint64_t *wake_us)
{
    for (remote_call *call = p->queue.first; call; call = call->next) {
        if (call->not_before_us <= now_us || call->is_canceled || p->locked_out[0]) return call;
        if (call->not_before_us < *wake_us) *wake_us = call->not_before_us;
    }
    return NULL;
}

/* Start what may leave; tells when the next may, if no request ends before. */
static uint64_t start_due(enx_remote *r, uint64_t now_us)
{
    uint64_t     wake_us = UINT64_MAX;
    remote_call *call;
    for (uint32_t i = 0; i < r->provider_count; i++) {
        remote_provider *p = &r->providers[i];
        while ((call = find_due(p, now_us, &wake_us)) != NULL) {
            const bool     is_over = call->is_canceled || p->locked_out[0];
            const uint64_t when_us =
                is_over ? now_us : enx_throttle_when(&p->throttle, now_us, tokens_of(call));
            if (when_us < wake_us && when_us > now_us) wake_us = when_us;
            if (when_us > now_us || (!is_over && r->active.count >= ENX_REMOTE_OPEN_MAX)) break;
            list_remove(&p->queue, call);
            if (call->is_canceled) finish(r, call, ENX_VERDICT_REFUSED, "canceled");
            else if (is_over) finish(r, call, ENX_VERDICT_REFUSED, p->locked_out);
            else start(r, call, now_us);
        }
    }
    return wake_us;
}

/* ---- Ends ----------------------------------------------------------------------------------- */

static enx_throttle_end throttle_end(const remote_call *call, const enx_http_end *end,
                                     enx_verdict verdict)
{
    if (call->is_canceled) return ENX_THROTTLE_UNTRIED;
    if (end->status == 429) return ENX_THROTTLE_ANSWERED;
    return verdict == ENX_VERDICT_AGAIN || verdict == ENX_VERDICT_UNKNOWN ? ENX_THROTTLE_FAILED
                                                                          : ENX_THROTTLE_ANSWERED;
}

static void stop_throttle(enx_remote *r, const remote_call *call, const enx_http_end *end,
                          enx_verdict verdict, uint64_t now_us)
{
    enx_usage_count usage = { 0 };
    uint64_t        used = tokens_of(call);
    if (verdict == ENX_VERDICT_ANSWERED &&
        !enx_api_settle(&call->transfer.reply, &call->bounds, &usage))
        used = usage.tokens_in + usage.tokens_cached + usage.tokens_out;
    enx_throttle_stop(&provider_of(r, call)->throttle, now_us, throttle_end(call, end, verdict),
                      call->transfer.start_us, tokens_of(call), used);
}

static void try_again(enx_remote *r, remote_call *call, const enx_http_end *end, uint64_t now_us)
{
    const remote_model *model = &r->models[call->model];
    const uint64_t      after_us = enx_transfer_after_us(&call->transfer);
    char                why[ERROR_BYTES];
    if (after_us > ENX_RETRY_AFTER_US_MAX || call->attempts >= model->settings.attempts) {
        snprintf(why, sizeof why, "%s (%u %s)", call->transfer.why, call->attempts,
                 call->attempts == 1 ? "try" : "tries");
        finish(r, call, ENX_VERDICT_REFUSED, why);
        return;
    }
    const uint64_t wait_us = enx_retry_wait_us(call->attempts, after_us, &r->rng);
    call->not_before_us = now_us + wait_us;
    if (end->status == 429 || after_us) /* the others wait as well, but not for the same moment */
        enx_throttle_pause(&provider_of(r, call)->throttle,
                           now_us + (after_us ? after_us : wait_us / 2));
    drop_transfer(r, call);
    list_push(&provider_of(r, call)->queue, call);
}

static void lock_out(enx_remote *r, remote_call *call)
{
    remote_provider *p = provider_of(r, call);
    snprintf(p->locked_out, sizeof p->locked_out, "%s; is the key right?", call->transfer.why);
    finish(r, call, ENX_VERDICT_REFUSED, p->locked_out);
}

/* `call` is in no list; its transfer has ended. */
static void judge(enx_remote *r, remote_call *call, CURLcode code, uint64_t now_us)
{
    remote_model  *model = &r->models[call->model];
    enx_http_end   end = enx_transfer_end(&call->transfer, code);
    const unsigned refused = enx_api_refused_feature(&call->transfer.reply.error, call->features);
    end.has_refused = refused != 0;
    enx_verdict verdict = enx_retry_judge(&end);
    if (call->is_canceled && !end.is_sent) verdict = ENX_VERDICT_REFUSED;
    if (verdict == ENX_VERDICT_ANSWERED && model->settings.key &&
        strlen(model->settings.key) >= KEY_BYTES_HIDDEN &&
        strstr(enx_buf_text(&call->transfer.reply.text), model->settings.key)) {
        verdict = ENX_VERDICT_SPOILT;
        snprintf(call->transfer.why, sizeof call->transfer.why, "the answer holds the key");
    }
    stop_throttle(r, call, &end, verdict, now_us);
    switch (verdict) {
    case ENX_VERDICT_AGAIN:
        try_again(r, call, &end, now_us);
        break;
    case ENX_VERDICT_SIMPLER: /* each feature is refused once at most */
        model->features &= ~refused;
        drop_transfer(r, call);
        list_push(&provider_of(r, call)->queue, call);
        break;
    case ENX_VERDICT_LOCKED_OUT:
        lock_out(r, call);
        break;
    case ENX_VERDICT_ANSWERED:
        finish(r, call, verdict, NULL);
        break;
    case ENX_VERDICT_SPOILT:
    case ENX_VERDICT_UNKNOWN:
    case ENX_VERDICT_REFUSED:
        finish(r, call, verdict, call->transfer.why);
        break;
    }
}

static void end_active(enx_remote *r, remote_call *call, CURLcode code, uint64_t now_us)
{
    list_remove(&r->active, call);
    curl_multi_remove_handle(r->multi, call->transfer.easy);
    judge(r, call, code, now_us);
}

static void end_whole(enx_remote *r, uint64_t now_us)
{
    CURLMsg *message;
    int      left;
    while ((message = curl_multi_info_read(r->multi, &left)) != NULL) {
        char          *owner = NULL;
        const CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
        end_active(r, (remote_call *)(void *)owner, code, now_us);
    }
}

/* Canceled and late ones; tells when the next is late. */
static uint64_t end_late(enx_remote *r, uint64_t now_us)
{
    uint64_t     wake_us = UINT64_MAX;
    remote_call *next;
    for (remote_call *call = r->active.first; call; call = next) {
        const enx_remote_model *settings = &r->models[call->model].settings;
        const uint64_t          expiry_us = enx_transfer_expiry(&call->transfer, settings);
        next = call->next;
        if (!call->is_canceled && expiry_us > now_us) {
            if (expiry_us < wake_us) wake_us = expiry_us;
            continue;
        }
        if (call->is_canceled) snprintf(call->transfer.why, sizeof call->transfer.why, "canceled");
        else enx_transfer_expire(&call->transfer, now_us, settings);
        end_active(r, call, CURLE_OPERATION_TIMEDOUT, now_us);
    }
    return wake_us;
}

/* ---- Polling -------------------------------------------------------------------------------- */

/* All that can be done without waiting; tells when there is more. */
static uint64_t step(enx_remote *r)
{
    int      running;
    uint64_t wake_us = start_due(r, enx_clock_monotonic_us());
    curl_multi_perform(r->multi, &running);
    const uint64_t now_us = enx_clock_monotonic_us(), queued = r->done.count;
    end_whole(r, now_us);
    const uint64_t late_us = end_late(r, now_us);
    if (r->done.count > queued) return now_us;
    return late_us < wake_us ? late_us : wake_us;
}

static void wait_for(enx_remote *r, uint64_t wait_us, int fd, bool *is_called)
{
    struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
    const uint64_t     wait_ms = (wait_us + 999) / 1000;
    curl_multi_poll(r->multi, fd >= 0 ? &extra : NULL, fd >= 0 ? 1 : 0,
                    wait_ms > 60000 ? 60000 : (int)wait_ms, NULL);
    *is_called = extra.revents != 0;
}

static void hand_over(const remote_call *call, enx_remote_result_fn fn, void *user)
{
    static const enx_api_reply nothing = { 0 };
    enx_remote_result          result = {
                 .id = call->id,
                 .user = call->user,
                 .verdict = call->verdict,
                 .reply = call->has_transfer ? &call->transfer.reply : &nothing,
                 .error = call->verdict == ENX_VERDICT_ANSWERED ? NULL : call->error,
                 .latency_us = call->finished_us - call->submitted_us,
                 .attempts = call->attempts,
    };
    if (call->verdict == ENX_VERDICT_ANSWERED)
        result.doubt = enx_api_settle(result.reply, &call->bounds, &result.usage);
    if (call->verdict == ENX_VERDICT_SPOILT) /* nothing of it is believed */
        result.doubt = enx_api_settle(&nothing, &call->bounds, &result.usage);
    fn(user, &result);
}

size_t enx_remote_poll(enx_remote *r, uint64_t timeout_us, int fd, enx_remote_result_fn fn,
                       void *user)
{
    const uint64_t until_us = enx_clock_monotonic_us() + timeout_us;
    bool           is_called = false;
    size_t         count = 0;
    for (;;) {
        const uint64_t wake_us = step(r), now_us = enx_clock_monotonic_us();
        if (r->done.first || is_called || now_us >= until_us) break;
        const uint64_t next_us = wake_us < until_us ? wake_us : until_us;
        if (next_us > now_us) wait_for(r, next_us - now_us, fd, &is_called);
    }
    call_list    done = r->done;
    remote_call *call;
    r->done = (call_list){ 0 };
    for (; (call = list_pop(&done)) != NULL; count++) {
        r->flight--;
        hand_over(call, fn, user);
        free_call(r, call);
    }
    return count;
}

/* ---- Closing -------------------------------------------------------------------------------- */

static void close_model(remote_model *model)
{
    char *key = (char *)(uintptr_t)model->settings.key;
    if (key) explicit_bzero(key, strlen(key));
    enx_mem_free(key);
    enx_mem_free((char *)(uintptr_t)model->settings.url);
    enx_mem_free((char *)(uintptr_t)model->settings.model);
    enx_mem_free(model->url);
}

/* Canceled while nobody waits: what is queued never left, what is active may have been paid. */
static void end_all(enx_remote *r, call_list *list, enx_remote_result_fn fn, void *user)
{
    remote_call *call;
    while ((call = list_pop(list)) != NULL) {
        if (list != &r->done) {
            call->verdict = list == &r->active ? ENX_VERDICT_UNKNOWN : ENX_VERDICT_REFUSED;
            call->finished_us = enx_clock_monotonic_us();
            snprintf(call->error, sizeof call->error, "closed");
        }
        if (fn) hand_over(call, fn, user);
        free_call(r, call);
    }
}

void enx_remote_close(enx_remote **remote, enx_remote_result_fn fn, void *user)
{
    enx_remote *r = *remote;
    if (!r) return;
    end_all(r, &r->done, fn, user);
    end_all(r, &r->active, fn, user);
    for (uint32_t p = 0; p < r->provider_count; p++) end_all(r, &r->providers[p].queue, fn, user);
    curl_multi_cleanup(r->multi);
    if (r->has_curl) curl_global_cleanup();
    for (uint32_t m = 0; m < r->model_count; m++) close_model(&r->models[m]);
    enx_mem_free(r);
    *remote = NULL;
}
