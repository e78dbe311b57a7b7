/* SPDX-License-Identifier: Apache-2.0 */
/* serve.c - paths to whoever answers them. */
#include "serve/serve.h"

#include "backend/api_json.h"
#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "serve/away.h"
#include "serve/batch.h"
#include "serve/host.h"
#include "serve/http.h"
#include "serve/machines.h"
#include "serve/meter.h"
#include "serve/page.h"
#include "serve/voice.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { US_PER_S = 1000000, NAP_MS = 20, LINE_BYTES_MAX = 4096, NANO_PER_MS = 1000000 };
static const char json_media[] = "application/json";
static const char frame_policy[] =
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: "
    "blob:; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; media-src data: blob:; "
    "connect-src 'none'; frame-ancestors 'self'";

typedef struct serve_model {
    const enx_serve_model *given; /* NULL: the swarm */
    const char            *name;
    enx_host              *host; /* owned; NULL: behind an API, or the swarm */
    uint32_t               away;
    enx_price              price;
    bool                   has_price;
    uint64_t               params;
} serve_model;

struct enx_serve {
    enx_serve_options options;
    enx_http         *http;
    enx_away         *away; /* NULL: no model behind an API */
    enx_jobs         *jobs; /* NULL: no swarm */
    enx_batches      *batches;
    enx_machines     *machines; /* NULL: the swarm has no queue */
    enx_meter        *meter;
    serve_model       models[ENX_SERVE_MODELS_MAX + 1];
    uint32_t          model_count;
    enx_remote_model  remotes[ENX_SERVE_MODELS_MAX];
    uint32_t          remote_count;
    enx_buf           list;       /* /v1/models, made once */
    enx_fixed        *list_fixed; /* ... as it is sent without CORS */
    atomic_ullong     turn_number;
    atomic_uint       turns_open;
    atomic_bool       is_draining;
    pthread_mutex_t   gate; /* held while a request is routed */
};

/* ---- Answers and errors --------------------------------------------------------------------- */

static bool begins(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* The voice of a path, for errors before one is chosen. */
static const enx_voice *voice_of(const char *path)
{
    return begins(path, "/v1/messages") ? &enx_voice_messages : &enx_voice_chat;
}

static void answer_error(enx_exchange *x, int http_status, const char *message)
{
    enx_voice_refuse(voice_of(x->path), x->reply, http_status, message);
}

static void answer_report(enx_exchange *x, const enx_report *report)
{
    answer_error(x, enx_status_http(report->status), report->text);
}

/* Takes the reference. */
static void answer_json(enx_exchange *x, json_t *json) { enx_voice_answer(x->reply, 200, json); }

/* ---- Turns ---------------------------------------------------------------------------------- */

static void write_turn_line(const enx_serve *s, const enx_turn *t, const enx_turn_bill *bill)
{
    enx_buf     line;
    const char *key = t->asker ? enx_key_name(t->asker) : "";
    enx_buf_init(&line, LINE_BYTES_MAX);
    if (enx_buf_printf(&line,
                       "{\"time_us\":%llu,\"log\":\"turn\",\"id\":\"%s\",\"api\":\"%s\",\"key\":",
                       (unsigned long long)enx_clock_wall_us(), t->id, t->voice->name) == ENX_OK &&
        enx_voice_string(&line, key, strlen(key)) == ENX_OK &&
        enx_buf_append_text(&line, ",\"model\":") == ENX_OK &&
        enx_voice_string(&line, t->model, strlen(t->model)) == ENX_OK &&
        enx_buf_printf(
            &line,
            ",\"failed\":%s,\"tokens_in\":%llu,\"tokens_cached\":%llu,\"tokens_out\":"
            "%llu,\"cost_usd\":%.9f,\"seconds\":{\"wait\":%.6f,\"read\":%.6f,\"write\":"
            "%.6f}}",
            bill->is_failed ? "true" : "false", (unsigned long long)bill->usage.tokens_in,
            (unsigned long long)bill->usage.tokens_cached,
            (unsigned long long)bill->usage.tokens_out, (double)bill->cost_usd_nano * 1e-9,
            (double)bill->wait_us / US_PER_S, (double)bill->read_us / US_PER_S,
            (double)bill->write_us / US_PER_S) == ENX_OK)
        s->options.log(s->options.user, enx_buf_text(&line));
    enx_buf_deinit(&line);
}

/* Whose jobs have accounts of their own. */
static bool is_swarm(const enx_serve *s, const enx_turn *t)
{
    return s->jobs && t->model == s->models[s->model_count - 1].name;
}

/* On the thread of whoever answered. */
static void on_bill(void *user, const enx_turn *t, const enx_turn_bill *bill)
{
    enx_serve *s = user;
    for (uint32_t i = 0; i < s->model_count; i++)
        if (s->models[i].name == t->model) enx_meter_turn(s->meter, i, bill);
    if (t->asker && !is_swarm(s, t))
        enx_keys_settle(s->options.keys, t->asker, t->held_usd_nano, t->held_tokens,
                        bill->cost_usd_nano, bill->usage.tokens_in + bill->usage.tokens_out);
    if (s->options.log) write_turn_line(s, t, bill);
    if (s->options.told) s->options.told(s->options.user, bill);
    atomic_fetch_sub(&s->turns_open, 1);
}

static const serve_model *find_model(const enx_serve *s, const char *name)
{
    if (!name[0]) return &s->models[0];
    for (uint32_t i = 0; i < s->model_count; i++)
        if (strcmp(s->models[i].name, name) == 0) return &s->models[i];
    return NULL;
}

/* Hold back what the question may cost at most: every byte a token, every answer as long as may be.
 */
static enx_status reserve(const enx_serve *s, const enx_key *key, const serve_model *m, enx_turn *t,
                          enx_report *report)
{
    uint32_t              wait_s = 0;
    const enx_question   *q = t->question;
    const uint32_t        limit = s->options.limits.tokens;
    const uint32_t        out = q->max_tokens && q->max_tokens < limit ? q->max_tokens : limit;
    const enx_usage_count most = { .tokens_in = enx_question_bytes(q),
                                   .tokens_out = (uint64_t)out * q->answer_count };
    const uint64_t        usd_nano = m->has_price ? enx_price_cost(&m->price, &most) : 0;
    t->asker = m->given ? NULL : key;
    if (!key || !m->given) return ENX_OK;
    const enx_status status =
        enx_keys_reserve(s->options.keys, key, enx_clock_monotonic_us(), usd_nano,
                         most.tokens_in + most.tokens_out, &wait_s, report);
    if (wait_s > 0) {
        char text[16];
        snprintf(text, sizeof text, "%u", wait_s);
        enx_reply_set_header(t->reply, "Retry-After", text);
    }
    if (status == ENX_AGAIN) return report->status = ENX_BUDGET; /* the client's doing: 429 */
    if (status != ENX_OK) return status;
    t->asker = key;
    t->held_usd_nano = usd_nano;
    t->held_tokens = most.tokens_in + most.tokens_out;
    return ENX_OK;
}

static enx_status submit(enx_serve *s, const serve_model *m, enx_turn *t, enx_report *report)
{
    if (m->host) return enx_host_submit(m->host, t, report);
    if (m->given) return enx_away_submit(s->away, m->away, t, report);
    return enx_jobs_submit_turn(s->jobs, t, report);
}

/* A question on its way: who asks, in which voice, and where the answer goes. */
typedef struct ask {
    const enx_voice *voice;
    const enx_key   *key;
    enx_reply       *reply;
    bool             is_count, is_patient;
} ask;

static void refuse(const ask *a, const enx_report *report)
{
    enx_voice_refuse(a->voice, a->reply, enx_status_http(report->status), report->text);
}

/* Takes the question. */
static void start_turn(enx_serve *s, const ask *a, const serve_model *m, enx_question *q)
{
    enx_report             report = { 0 };
    const enx_turn_options options = { .voice = a->voice,
                                       .model = m->name,
                                       .number = atomic_fetch_add(&s->turn_number, 1),
                                       .on_bill = on_bill,
                                       .user = s };
    enx_turn              *t = enx_turn_open(q, a->reply, &options);
    if (!t) {
        (void)ENX_FAIL(&report, NOMEM, "no memory for a request");
        refuse(a, &report);
        enx_question_close(&q);
        return;
    }
    atomic_fetch_add(&s->turns_open, 1);
    t->price = m->price;
    t->has_price = m->has_price;
    enx_status status = reserve(s, a->key, m, t, &report);
    if (status == ENX_OK) status = submit(s, m, t, &report);
    if (status == ENX_OK) return;
    enx_turn_fail(t, &report);
    enx_turn_close(&t);
}

static enx_status read_question(const enx_serve *s, const ask *a, enx_question *q,
                                const serve_model **model, enx_report *report)
{
    ENX_TRY(a->voice->read(q, report));
    *model = find_model(s, q->model);
    if (!*model)
        return ENX_FAIL(report, NOTFOUND,
                        "model: there is none called %.200s; /v1/models lists them", q->model);
    q->is_count = a->is_count;
    q->is_patient = a->is_patient;
    if (a->is_count) q->is_stream = false;
    return ENX_OK;
}

/* Takes the body. */
static void answer_ask(enx_serve *s, const ask *a, json_t *body)
{
    enx_report         report = { 0 };
    const serve_model *m = NULL;
    enx_question      *q = enx_question_open(body);
    const enx_status   status = q ? read_question(s, a, q, &m, &report)
                                  : ENX_FAIL(&report, NOMEM, "no memory for a request");
    if (status == ENX_OK) {
        start_turn(s, a, m, q);
        return;
    }
    refuse(a, &report);
    enx_question_close(&q);
}

static void ask_exchange(enx_serve *s, enx_exchange *x, const enx_voice *voice, bool is_count)
{
    const ask  a = { voice, x->key, x->reply, is_count, false };
    enx_report report = { 0 };
    json_t    *body = NULL;
    if (enx_api_json_load(&body, enx_buf_text(&x->body), x->body.size_bytes, &report) == ENX_OK)
        answer_ask(s, &a, body);
    else refuse(&a, &report);
}

void enx_serve_ask(enx_serve *s, enx_question *q, enx_reply *reply)
{
    const ask          a = { .voice = &enx_voice_chat, .reply = reply };
    const serve_model *m = find_model(s, q->model);
    if (m) {
        start_turn(s, &a, m, q);
        return;
    }
    enx_report report = { 0 };
    (void)ENX_FAIL(&report, NOTFOUND, "there is no model %.200s", q->model);
    refuse(&a, &report);
    enx_question_close(&q);
}

/* A line of a batch, on the batches' thread. */
static bool ask_line(void *user, const char *path, json_t *body, const void *key, enx_reply *reply)
{
    static const struct {
        const char      *path;
        const enx_voice *voice;
    } endpoints[] = { { "/v1/chat/completions", &enx_voice_chat },
                      { "/v1/completions", &enx_voice_completions },
                      { "/v1/responses", &enx_voice_responses } };
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        if (strcmp(path, endpoints[i].path) != 0) continue;
        const ask a = { endpoints[i].voice, key, reply, false, true };
        answer_ask(user, &a, body);
        return true;
    }
    json_decref(body);
    return false;
}

/* ---- What there is -------------------------------------------------------------------------- */

static json_t *model_json(const serve_model *m)
{
    const char *kind = m->host ? "local" : m->given ? "remote" : "swarm";
    return json_pack("{s:s, s:s, s:i, s:s, s:s}", "id", m->name, "object", "model", "created", 0,
                     "owned_by", "enxame", "kind", kind);
}

static enx_status write_list(enx_serve *s, enx_report *report)
{
    json_t *data = json_array();
    enx_buf_init(&s->list, 1 << 20);
    for (uint32_t i = 0; i < s->model_count; i++)
        json_array_append_new(data, model_json(&s->models[i]));
    if (enx_voice_json(&s->list, json_pack("{s:s, s:o}", "object", "list", "data", data)) == ENX_OK)
        s->list_fixed = enx_fixed_open(json_media, enx_buf_text(&s->list), s->list.size_bytes);
    if (s->list_fixed) return ENX_OK;
    return ENX_FAIL(report, NOMEM, "no memory for the list of models");
}

static void show_model(const enx_serve *s, enx_exchange *x)
{
    const serve_model *m = find_model(s, x->path + strlen("/v1/models/"));
    if (m && x->path[strlen("/v1/models/")]) answer_json(x, model_json(m));
    else answer_error(x, 404, "there is no such model; /v1/models lists them");
}

static json_t *price_json(const serve_model *m, uint64_t usd_nano)
{
    return m->has_price ? json_real((double)usd_nano * 1e-9) : json_null();
}

static json_t *abilities(const serve_model *m)
{
    if (!m->given) return json_pack("[s, s]", "chat", "jobs");
    if (!m->host) return json_pack("[s, s]", "chat", "tools");
    if (enx_host_can_chat(m->host)) return json_pack("[s, s, s]", "chat", "complete", "tools");
    return json_pack("[s]", "complete");
}

static json_t *languages_json(const serve_model *m)
{
    json_t                 *languages = json_array();
    const enx_config_model *c = m->given ? m->given->config_model : NULL;
    for (unsigned i = 0; c && i < c->specialty_count; i++)
        json_array_append_new(languages, json_string(c->specialty[i]));
    return languages;
}

static json_t *info_model_json(const serve_model *m)
{
    const enx_host_figures f =
        m->host ? enx_host_figures_get(m->host) : (enx_host_figures){ .running = 0 };
    json_t *json = model_json(m);
    json_object_del(json, "object");
    json_object_del(json, "created");
    json_object_del(json, "owned_by");
    json_object_del(json, "id");
    json_t *more = json_pack(
        "{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "name", m->name,
        "duty", m->given ? m->given->duty : "", "params", (json_int_t)m->params, "context_tokens",
        (json_int_t)(m->host ? enx_host_context_tokens(m->host) : 0), "usd_per_mtok_in",
        price_json(m, m->price.in), "usd_per_mtok_out", price_json(m, m->price.out),
        "usd_per_mtok_cached", price_json(m, m->price.cached), "can", abilities(m), "languages",
        languages_json(m), "tokens_per_s",
        f.tokens_per_s > 0 ? json_real(f.tokens_per_s) : json_null(), "requests",
        (json_int_t)f.requests, "running", (json_int_t)f.running, "waiting", (json_int_t)f.waiting);
    json_object_update(json, more);
    json_decref(more);
    return json;
}

static void show_info(const enx_serve *s, enx_exchange *x)
{
    const enx_serve_limits *l = &s->options.limits;
    json_t                 *models = json_array();
    for (uint32_t i = 0; i < s->model_count; i++)
        json_array_append_new(models, info_model_json(&s->models[i]));
    answer_json(x,
                json_pack("{s:s, s:b, s:b, s:b, s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I}}",
                          "version", ENX_VERSION, "needs_key", s->options.keys != NULL, "machines",
                          s->machines != NULL, "law", s->options.law != NULL, "swarm",
                          s->jobs ? json_pack("{s:s, s:s}", "name", s->options.swarm_name, "path",
                                              s->options.swarm_path)
                                  : json_null(),
                          "models", models, "limits", "body_bytes", (json_int_t)l->body_bytes,
                          "header_bytes", (json_int_t)l->header_bytes, "streams",
                          (json_int_t)l->connections, "waiting", (json_int_t)l->waiting, "tokens",
                          (json_int_t)l->tokens, "seconds", (json_int_t)l->seconds));
}

static enx_status write_engines(const enx_serve *s, enx_buf *out)
{
    enx_meter_engine engines[ENX_METER_MODELS_MAX];
    uint32_t         count = 0;
    for (uint32_t i = 0; i < s->model_count && count < ENX_METER_MODELS_MAX; i++) {
        if (!s->models[i].host) continue;
        const enx_host_figures f = enx_host_figures_get(s->models[i].host);
        engines[count++] = (enx_meter_engine){ s->models[i].name, f.waiting, f.engine };
    }
    return enx_meter_write_engines(engines, count, out);
}

static void show_metrics(enx_serve *s, enx_exchange *x)
{
    enx_buf out;
    enx_buf_init(&out, ENX_MACHINES_METRICS_BYTES_MAX);
    enx_status status = enx_meter_write(s->meter, &out);
    if (status == ENX_OK) status = write_engines(s, &out);
    if (status == ENX_OK && s->machines) status = enx_machines_write(s->machines, &out);
    if (status == ENX_OK)
        status = enx_buf_printf(&out,
                                "# TYPE enxame_connections gauge\nenxame_connections %u\n"
                                "# TYPE enxame_turns_open gauge\nenxame_turns_open %u\n"
                                "# TYPE enxame_jobs_running gauge\nenxame_jobs_running %u\n"
                                "# HELP enxame_heap_bytes Memory that is allocated now.\n"
                                "# TYPE enxame_heap_bytes gauge\nenxame_heap_bytes %llu\n",
                                enx_http_connection_count(s->http), atomic_load(&s->turns_open),
                                s->jobs ? enx_jobs_running(s->jobs) : 0,
                                (unsigned long long)enx_clock_heap_bytes());
    if (status == ENX_OK)
        enx_exchange_answer(x, 200, "text/plain; version=0.0.4", enx_buf_text(&out),
                            out.size_bytes);
    else answer_error(x, 503, "no memory for the answer");
    enx_buf_deinit(&out);
}

static void show_health(const enx_serve *s, enx_exchange *x)
{
    static const char ok[] = "{\"status\":\"ok\"}", draining[] = "{\"status\":\"draining\"}";
    const bool        is_draining = atomic_load(&s->is_draining);
    enx_exchange_answer(x, is_draining ? 503 : 200, json_media, is_draining ? draining : ok,
                        is_draining ? sizeof draining - 1 : sizeof ok - 1);
}

/* ---- The page ------------------------------------------------------------------------------- */

static void show_page(enx_exchange *x)
{
    const char *encodings = enx_exchange_header(x, "Accept-Encoding");
    const char *known = enx_exchange_header(x, "If-None-Match");
    const bool  has_gzip = encodings && strstr(encodings, "gzip");
    enx_exchange_set_header(x, "ETag", enx_page_tag);
    enx_exchange_set_header(x, "Cache-Control", "no-cache");
    enx_exchange_set_header(x, "Vary", "Accept-Encoding");
    if (known && strstr(known, enx_page_tag)) {
        enx_exchange_answer(x, 304, NULL, "", 0);
        return;
    }
    enx_exchange_set_header(x, "Content-Security-Policy", enx_page_policy);
    enx_exchange_set_header(x, "X-Content-Type-Options", "nosniff");
    enx_exchange_set_header(x, "Referrer-Policy", "no-referrer");
    enx_exchange_set_header(x, "X-Frame-Options", "DENY");
    enx_exchange_set_header(x, "Cross-Origin-Opener-Policy", "same-origin");
    if (has_gzip) enx_exchange_set_header(x, "Content-Encoding", "gzip");
    enx_exchange_answer(x, 200, "text/html; charset=utf-8", has_gzip ? enx_page_gzip : enx_page,
                        has_gzip ? enx_page_gzip_bytes : enx_page_bytes);
}

static void show_frame(enx_exchange *x)
{
    enx_exchange_set_header(x, "Content-Security-Policy", frame_policy);
    enx_exchange_set_header(x, "X-Content-Type-Options", "nosniff");
    enx_exchange_set_header(x, "Referrer-Policy", "no-referrer");
    enx_exchange_set_header(x, "Cache-Control", "no-cache");
    enx_exchange_answer(x, 200, "text/html; charset=utf-8", enx_page_frame, enx_page_frame_bytes);
}

/* ---- Jobs ----------------------------------------------------------------------------------- */

static uint64_t number(const char *text) { return text ? strtoull(text, NULL, 10) : 0; }

static void submit_job_request(enx_serve *s, enx_exchange *x, enx_jobs_request *r)
{
    enx_report report = { 0 };
    r->reply = x->reply;
    if (x->body.size_bytes > 0 && (r->ask == ENX_JOBS_ADD || r->ask == ENX_JOBS_APPROVE) &&
        enx_api_json_load(&r->body, enx_buf_text(&x->body), x->body.size_bytes, &report) !=
            ENX_OK) {
        answer_report(x, &report);
        return;
    }
    if (enx_jobs_submit(s->jobs, r, &report) != ENX_OK) answer_report(x, &report);
    json_decref(r->body);
}

/* /enxame/v1/jobs, /ID, /ID/approve, /ID/events */
static void route_jobs(enx_serve *s, enx_exchange *x)
{
    const char      *rest = x->path + strlen("/enxame/v1/jobs"), *last;
    char            *end = NULL;
    const bool       is_get = strcmp(x->method, "GET") == 0;
    const bool       is_post = strcmp(x->method, "POST") == 0;
    enx_jobs_request r = { .limit = ENX_JOBS_LIST_MAX, .key = x->key };
    if (!s->jobs) {
        answer_error(x, 404, "this server has no swarm: start it with -s swarm.yaml");
        return;
    }
    if (*rest == '\0' && (is_get || is_post)) {
        r.ask = is_get ? ENX_JOBS_LIST : ENX_JOBS_ADD;
        r.from = number(enx_exchange_query(x, "before"));
        const char *limit = enx_exchange_query(x, "limit");
        if (limit) r.limit = number(limit);
        submit_job_request(s, x, &r);
        return;
    }
    r.id = *rest == '/' && rest[1] >= '0' && rest[1] <= '9' ? strtoull(rest + 1, &end, 10) : 0;
    const char *tail = end ? end : "?";
    last = enx_exchange_header(x, "Last-Event-ID");
    r.from = number(last ? last : enx_exchange_query(x, "from"));
    r.waits = enx_exchange_query(x, "wait") != NULL;
    if (*tail == '\0' && is_get) r.ask = ENX_JOBS_GET;
    else if (*tail == '\0' && strcmp(x->method, "DELETE") == 0) r.ask = ENX_JOBS_CANCEL;
    else if (strcmp(tail, "/approve") == 0 && is_post) r.ask = ENX_JOBS_APPROVE;
    else if (strcmp(tail, "/events") == 0 && is_get) r.ask = ENX_JOBS_EVENTS;
    else {
        answer_error(x, 404, "there is no such path");
        return;
    }
    submit_job_request(s, x, &r);
}

static void show_workers(enx_serve *s, enx_exchange *x)
{
    if (s->machines) enx_machines_answer(s->machines, x->reply);
    else
        answer_error(x, 404,
                     "the swarm of this server has no queue: no other machine works for it");
}

/* A drawing that runs nothing, wherever it is opened. */
static void show_law(enx_serve *s, enx_exchange *x)
{
    if (!s->options.law) {
        answer_error(x, 404, "this server shows no law: enxame serve --law FILE.svg");
        return;
    }
    enx_exchange_set_header(x, "Content-Security-Policy",
                            "sandbox; default-src 'none'; style-src 'unsafe-inline'");
    enx_exchange_set_header(x, "X-Content-Type-Options", "nosniff");
    enx_exchange_answer(x, 200, "image/svg+xml", s->options.law, s->options.law_bytes);
}

/* ---- Routes --------------------------------------------------------------------------------- */

static void refuse_embeddings(enx_serve *s, enx_exchange *x)
{
    (void)s;
    answer_error(x, 400,
                 "no model of this server gives embeddings: their architectures are for "
                 "writing text");
}

static void ask_chat(enx_serve *s, enx_exchange *x) { ask_exchange(s, x, &enx_voice_chat, false); }
static void ask_completions(enx_serve *s, enx_exchange *x)
{
    ask_exchange(s, x, &enx_voice_completions, false);
}
static void ask_responses(enx_serve *s, enx_exchange *x)
{
    ask_exchange(s, x, &enx_voice_responses, false);
}
static void ask_messages(enx_serve *s, enx_exchange *x)
{
    ask_exchange(s, x, &enx_voice_messages, false);
}
static void count_tokens(enx_serve *s, enx_exchange *x)
{
    ask_exchange(s, x, &enx_voice_messages, true);
}
static void route_batches(enx_serve *s, enx_exchange *x) { enx_batches_serve(s->batches, x); }
static void list_models(enx_serve *s, enx_exchange *x)
{
    if (!s->options.cors) enx_exchange_answer_fixed(x, s->list_fixed);
    else enx_exchange_answer(x, 200, json_media, enx_buf_text(&s->list), s->list.size_bytes);
}
static void get_model(enx_serve *s, enx_exchange *x) { show_model(s, x); }
static void get_info(enx_serve *s, enx_exchange *x) { show_info(s, x); }
static void get_health(enx_serve *s, enx_exchange *x) { show_health(s, x); }
static void get_page(enx_serve *s, enx_exchange *x)
{
    (void)s;
    show_page(x);
}
static void get_frame(enx_serve *s, enx_exchange *x)
{
    (void)s;
    show_frame(x);
}

typedef struct route {
    const char *method; /* NULL: any */
    const char *path;   /* one that ends in "*" is a beginning */
    void (*serve)(enx_serve *s, enx_exchange *x);
    bool is_open; /* without a key */
} route;

static const route routes[] = {
    { "POST", "/v1/chat/completions", ask_chat, false },
    { "GET", "/v1/models", list_models, false },
    { "GET", "/v1/models/*", get_model, false },
    { "POST", "/v1/completions", ask_completions, false },
    { "POST", "/v1/responses", ask_responses, false },
    { "POST", "/v1/messages", ask_messages, false },
    { "POST", "/v1/messages/count_tokens", count_tokens, false },
    { "POST", "/v1/embeddings", refuse_embeddings, false },
    { NULL, "/v1/files*", route_batches, false },
    { NULL, "/v1/batches*", route_batches, false },
    { "GET", "/enxame/v1/info", get_info, false },
    { NULL, "/enxame/v1/jobs*", route_jobs, false },
    { "GET", "/enxame/v1/workers", show_workers, false },
    { "GET", "/enxame/v1/law", show_law, false },
    { "GET", "/metrics", show_metrics, false },
    { "GET", "/healthz", get_health, true },
    { "GET", "/", get_page, true },
    { "GET", "/artifact", get_frame, true },
};

/* *is_known: the path is, for another method. */
static const route *find_route(const enx_exchange *x, bool *is_known)
{
    *is_known = false;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const route *r = &routes[i];
        const size_t size = strlen(r->path);
        const bool   is_here = r->path[size - 1] == '*' ? strncmp(x->path, r->path, size - 1) == 0
                                                        : strcmp(x->path, r->path) == 0;
        if (!is_here) continue;
        *is_known = true;
        if (!r->method || strcmp(x->method, r->method) == 0) return r;
    }
    return NULL;
}

/* ---- Admission ------------------------------------------------------------------------------ */

static const char *key_text(const enx_exchange *x)
{
    const char *authorization = enx_exchange_header(x, "Authorization");
    if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0) return authorization + 7;
    return enx_exchange_header(x, "x-api-key");
}

/* The name in a Host header, without its port, is `name`. */
static bool is_host(const char *host, const char *name)
{
    const size_t size = strlen(name);
    return strncasecmp(host, name, size) == 0 && (host[size] == '\0' || host[size] == ':');
}

/* Pages of other sites must not use the browser of somebody who may use this server: neither by a
 * request of their own origin, nor under a name that they made point here. */
static bool is_own_page(const enx_serve *s, const enx_exchange *x)
{
    const char *origin = enx_exchange_header(x, "Origin");
    const char *host = enx_exchange_header(x, "Host");
    const char *site = origin ? strstr(origin, "://") : NULL;
    if (origin && s->options.cors &&
        (strcmp(s->options.cors, "*") == 0 || strcmp(s->options.cors, origin) == 0))
        return true;
    if (origin && (!site || !host || strcmp(site + 3, host) != 0)) return false;
    return s->options.keys || !host || is_host(host, "localhost") || is_host(host, "127.0.0.1") ||
           is_host(host, "[::1]") || is_host(host, s->options.host);
}

static void add_cors(const enx_serve *s, enx_exchange *x)
{
    if (!s->options.cors || !enx_exchange_header(x, "Origin")) return;
    enx_exchange_set_header(x, "Access-Control-Allow-Origin", s->options.cors);
    enx_exchange_set_header(x, "Vary", "Origin");
}

static void answer_preflight(enx_exchange *x)
{
    const char *headers = enx_exchange_header(x, "Access-Control-Request-Headers");
    enx_exchange_set_header(x, "Access-Control-Allow-Methods", "GET, POST, DELETE");
    enx_exchange_set_header(x, "Access-Control-Allow-Headers", headers ? headers : "*");
    enx_exchange_answer(x, 204, NULL, "", 0);
}

static void admit(void *user, enx_exchange *x)
{
    enx_serve   *s = user;
    bool         is_known = false;
    const route *r = find_route(x, &is_known);
    x->route = r;
    if (!is_own_page(s, x)) {
        answer_error(x, 403, "requests of pages of other sites are not answered (see --cors)");
        return;
    }
    add_cors(s, x);
    if (s->options.cors && is_known && strcmp(x->method, "OPTIONS") == 0) {
        answer_preflight(x);
        return;
    }
    if (!r) {
        answer_error(x, is_known ? 405 : 404,
                     is_known ? "this path takes another method" : "there is no such path");
        return;
    }
    if (s->options.keys && !r->is_open) {
        x->key = enx_keys_find(s->options.keys, key_text(x));
        if (!x->key) {
            enx_exchange_set_header(x, "WWW-Authenticate", "Bearer");
            answer_error(x, 401, "a key is needed: Authorization: Bearer KEY, or x-api-key: KEY");
        }
    }
}

static void serve(void *user, enx_exchange *x)
{
    enx_serve   *s = user;
    const route *r = x->route;
    ENX_CHECK(r); /* admitted */
    pthread_mutex_lock(&s->gate);
    if (atomic_load(&s->is_draining) && !r->is_open) {
        enx_exchange_set_header(x, "Retry-After", "10");
        answer_error(x, 503, "the server is stopping");
    } else r->serve(s, x);
    pthread_mutex_unlock(&s->gate);
}

static void refuse_large(void *user, enx_exchange *x)
{
    const enx_serve *s = user;
    char             text[96];
    snprintf(text, sizeof text, "the request is larger than %u bytes",
             s->options.limits.body_bytes);
    answer_error(x, 413, text);
}

/* ---- The access log ------------------------------------------------------------------------- */

static void log_request(void *user, const enx_http_entry *e)
{
    enx_serve          *s = user;
    const enx_exchange *x = e->exchange;
    enx_buf             line;
    const char         *key = x->key ? enx_key_name(x->key) : "";
    enx_meter_request(s->meter, x->http_status, e->is_cut, e->bytes, e->elapsed_us);
    if (!s->options.log) return;
    enx_buf_init(&line, LINE_BYTES_MAX);
    if (enx_buf_printf(&line, "{\"time_us\":%llu,\"log\":\"request\",\"client\":\"%s\",\"key\":",
                       (unsigned long long)enx_clock_wall_us(), x->client) == ENX_OK &&
        enx_voice_string(&line, key, strlen(key)) == ENX_OK &&
        enx_buf_append_text(&line, ",\"method\":") == ENX_OK &&
        enx_voice_string(&line, x->method, strnlen(x->method, 16)) == ENX_OK &&
        enx_buf_append_text(&line, ",\"path\":") == ENX_OK &&
        enx_voice_string(&line, x->path, strnlen(x->path, 200)) == ENX_OK &&
        enx_buf_printf(&line, ",\"status\":%d,\"bytes\":%llu,\"seconds\":%.6f,\"cut\":%s}",
                       x->http_status, (unsigned long long)e->bytes,
                       (double)e->elapsed_us / US_PER_S, e->is_cut ? "true" : "false") == ENX_OK)
        s->options.log(s->options.user, enx_buf_text(&line));
    enx_buf_deinit(&line);
}

/* ---- Opening -------------------------------------------------------------------------------- */

static void set_defaults(enx_serve_options *o)
{
    enx_serve_limits *l = &o->limits;
    if (!o->host) o->host = "127.0.0.1";
    if (!l->header_bytes) l->header_bytes = ENX_SERVE_HEADER_BYTES;
    if (!l->body_bytes) l->body_bytes = ENX_SERVE_BODY_BYTES;
    if (!l->connections) l->connections = ENX_SERVE_CONNECTIONS;
    if (!l->connections_each) l->connections_each = l->connections;
    if (!l->waiting) l->waiting = ENX_SERVE_WAITING;
    if (!l->tokens) l->tokens = ENX_SERVE_TOKENS;
    if (!l->seconds) l->seconds = ENX_SERVE_SECONDS;
    if (!l->idle_s) l->idle_s = ENX_SERVE_IDLE_S;
    if (!l->arrive_s) l->arrive_s = ENX_SERVE_ARRIVE_S;
}

static enx_status check_options(const enx_serve_options *o, enx_report *report)
{
    const bool is_loopback = strncmp(o->host, "127.", 4) == 0 || strcmp(o->host, "::1") == 0 ||
                             strcmp(o->host, "localhost") == 0;
    if (!is_loopback && !o->keys)
        return ENX_FAIL(report, INVALID,
                        "%s can be reached by others: that needs keys (--key-file)", o->host);
    if (o->model_count > ENX_SERVE_MODELS_MAX)
        return ENX_FAIL(report, LIMIT, "%u models; at most %d are possible", o->model_count,
                        ENX_SERVE_MODELS_MAX);
    for (uint32_t i = 0; i < o->model_count; i++)
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(o->models[i].name, o->models[k].name) == 0)
                return ENX_FAIL(report, INVALID, "two models are called %s", o->models[i].name);
    return ENX_OK;
}

static enx_status open_model(enx_serve *s, const enx_serve_model *given, enx_report *report)
{
    serve_model *m = &s->models[s->model_count++];
    *m = (serve_model){ .given = given, .name = given->name, .has_price = given->has_price };
    if (given->path) {
        const enx_host_options host = { .path = given->path,
                                        .slots = s->options.slots,
                                        .context_tokens = s->options.context_tokens,
                                        .threads = s->options.threads,
                                        .cache = s->options.cache,
                                        .cache_bytes = s->options.cache_bytes,
                                        .cpu = s->options.cpu,
                                        .waiting_max = s->options.limits.waiting,
                                        .tokens_max = s->options.limits.tokens,
                                        .time_us_max =
                                            (uint64_t)s->options.limits.seconds * US_PER_S,
                                        .form = given->form,
                                        .form_bytes = given->form_bytes,
                                        .form_name = given->form_name,
                                        .is_context_exact = s->options.is_context_exact };
        ENX_TRY(enx_host_open(&m->host, &host, report));
        m->params = enx_model_active_param_count(enx_host_loaded(m->host)->model);
    } else {
        m->away = s->remote_count;
        s->remotes[s->remote_count++] = *given->remote;
    }
    if (given->config && given->config_model)
        m->price = enx_config_price(given->config, given->config_model, m->params);
    return ENX_OK;
}

/* For jobs, whose thread begins before there are files. */
static enx_status read_file(void *user, const char *id, const void *key, enx_buf *out,
                            enx_report *report)
{
    enx_serve *s = user;
    return enx_batches_read(s->batches, id, key, out, report);
}

static enx_status open_models(enx_serve *s, enx_report *report)
{
    for (uint32_t i = 0; i < s->options.model_count; i++)
        ENX_TRY(open_model(s, &s->options.models[i], report));
    const enx_away_options away = { .models = s->remotes,
                                    .model_count = s->remote_count,
                                    .calls_max = s->options.limits.waiting,
                                    .tokens_max = s->options.limits.tokens,
                                    .salt = s->options.salt,
                                    .seed = s->options.salt };
    if (s->remote_count) ENX_TRY(enx_away_open(&s->away, &away, report));
    if (s->options.queue) ENX_TRY(enx_machines_open(&s->machines, s->options.queue, report));
    if (!s->options.swarm_path) return ENX_OK;
    enx_jobs_options jobs = s->options.jobs;
    jobs.keys = s->options.keys;
    jobs.file = read_file;
    jobs.files = s;
    ENX_TRY(enx_jobs_open(&s->jobs, &jobs, report));
    s->models[s->model_count++] = (serve_model){ .name = "swarm" };
    return ENX_OK;
}

static enx_status open_meter(enx_serve *s, enx_report *report)
{
    const char *names[ENX_SERVE_MODELS_MAX + 1];
    for (uint32_t i = 0; i < s->model_count; i++) names[i] = s->models[i].name;
    ENX_TRY(enx_meter_open(&s->meter, names, s->model_count, report));
    return write_list(s, report);
}

static enx_status open_batches(enx_serve *s, enx_report *report)
{
    const enx_batches_options options = { .folder = s->options.jobs.folder,
                                          .ask = ask_line,
                                          .user = s,
                                          .jobs = s->jobs,
                                          .keys = s->options.keys };
    return enx_batches_open(&s->batches, &options, report);
}

static enx_status open_http(enx_serve *s, enx_report *report)
{
    const enx_serve_limits *l = &s->options.limits;
    const enx_http_options  http = { .host = s->options.host,
                                     .port = s->options.port,
                                     .tls_cert = s->options.tls_cert,
                                     .tls_key = s->options.tls_key,
                                     .connections_max = l->connections,
                                     .connections_each_max = l->connections_each,
                                     .header_bytes_max = l->header_bytes,
                                     .body_bytes_max = l->body_bytes,
                                     .idle_s = l->idle_s,
                                     .arrive_s = l->arrive_s,
                                     .admit = admit,
                                     .serve = serve,
                                     .too_large = refuse_large,
                                     .log = log_request,
                                     .user = s };
    return enx_http_open(&s->http, &http, report);
}

enx_status enx_serve_open(enx_serve **out, const enx_serve_options *options, enx_report *report)
{
    ENX_CHECK(out && options);
    enx_serve *s = ENX_MEM_NEW(enx_serve, 1);
    if (!s) return ENX_FAIL(report, NOMEM, "no memory for a server");
    s->options = *options;
    pthread_mutex_init(&s->gate, NULL);
    set_defaults(&s->options);
    enx_status status = check_options(&s->options, report);
    if (status == ENX_OK) status = open_models(s, report);
    if (status == ENX_OK) status = open_meter(s, report);
    if (status == ENX_OK && !s->options.is_private) status = open_batches(s, report);
    if (status == ENX_OK && !s->options.is_private) status = open_http(s, report);
    if (status != ENX_OK) {
        enx_serve_close(&s);
        return status;
    }
    *out = s;
    return ENX_OK;
}

uint16_t enx_serve_port(const enx_serve *s) { return s->http ? enx_http_port(s->http) : 0; }

static const enx_host *find_host(const enx_serve *s, const char *name)
{
    const serve_model *m = find_model(s, name);
    return m ? m->host : NULL;
}

const enx_loaded *enx_serve_loaded(const enx_serve *s, const char *name)
{
    const enx_host *host = find_host(s, name);
    return host ? enx_host_loaded(host) : NULL;
}

uint32_t enx_serve_context_tokens(const enx_serve *s, const char *name)
{
    const enx_host *host = find_host(s, name);
    return host ? enx_host_context_tokens(host) : 0;
}

bool enx_serve_can_chat(const enx_serve *s, const char *name)
{
    const serve_model *m = find_model(s, name);
    return m && (!m->host || enx_host_can_chat(m->host));
}

void enx_serve_tick(enx_serve *s)
{
    enx_http_sweep(s->http);
    if (s->options.keys) (void)!enx_keys_save(s->options.keys, NULL);
}

bool enx_serve_drain(enx_serve *s, uint32_t seconds_max)
{
    const struct timespec nap = { .tv_nsec = NAP_MS * NANO_PER_MS };
    const uint64_t        until_us = enx_clock_monotonic_us() + (uint64_t)seconds_max * US_PER_S;
    atomic_store(&s->is_draining, true);
    enx_http_stop(s->http);
    enx_batches_stop(s->batches); /* their lines are asked again when the server is back */
    while (atomic_load(&s->turns_open) > 0) {
        if (enx_clock_monotonic_us() > until_us) return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

/* Makers first, once nothing more is routed to them: no connection sleeps when the server's thread
 * ends. */
void enx_serve_close(enx_serve **out)
{
    enx_serve *s = *out;
    *out = NULL;
    if (!s) return;
    pthread_mutex_lock(&s->gate);
    atomic_store(&s->is_draining, true);
    pthread_mutex_unlock(&s->gate);
    if (s->batches) enx_batches_stop(s->batches);
    for (uint32_t i = 0; i < s->model_count; i++) enx_host_close(&s->models[i].host);
    enx_away_close(&s->away);
    enx_machines_close(&s->machines);
    enx_jobs_close(&s->jobs);
    enx_batches_close(&s->batches);
    enx_http_close(&s->http);
    if (s->options.keys) (void)!enx_keys_save(s->options.keys, NULL);
    enx_meter_close(&s->meter);
    enx_fixed_close(&s->list_fixed);
    enx_buf_deinit(&s->list);
    pthread_mutex_destroy(&s->gate);
    enx_mem_free(s);
}
