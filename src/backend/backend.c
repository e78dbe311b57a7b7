/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c - which model is where; one wait for all of them.
 *
 * Local threads and the broker's client announce what came on descriptors, which are gathered in
 * one (epoll); the driver of the remote models waits for that beside its sockets.  So there is one
 * wait, on the thread of the owner, and no other thread ever touches a remote call. */
#include "backend/backend.h"

#include "backend/api_ask.h"
#include "base/check.h"
#include "base/mem.h"

#include "plat/clock.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define NOWHERE UINT32_MAX
enum { MICROSECONDS = 1000000 };

/* A remote call from generate to report. */
typedef struct backend_ask {
    struct backend_ask *next;
    enx_api_ask         ask;
    uint32_t            remote; /* index of its model there */
    bool                is_canceled;
    enx_remote_text_fn  on_text; /* of a conversation; may be NULL */
    void               *user;
} backend_ask;

struct enx_backend {
    enx_local       *local;           /* NULL: no local model */
    enx_remote      *remote;          /* NULL: no remote model */
    enx_broker      *broker;          /* NULL: no queue */
    enx_queue       *queue;           /* NULL: no queue */
    uint64_t         clock_offset_us; /* wall less monotonic at open: the core's clock, which no
                                         later step of the wall's touches */
    int              wake_fd;         /* an eventfd: somebody wants the wait to end */
    int              ready_fd;        /* an epoll over it and those of `local` and `queue` */
    enx_roster_model roster_models[ENX_ROSTER_MODELS_MAX];
    enx_roster       roster;
    uint32_t         locals[ENX_ROSTER_MODELS_MAX];  /* index there, or NOWHERE */
    uint32_t         remotes[ENX_ROSTER_MODELS_MAX]; /* index there, or NOWHERE */
    uint32_t         queued[ENX_ROSTER_MODELS_MAX];  /* index in the queue, or NOWHERE */
    const char      *languages[ENX_ROSTER_MODELS_MAX * 4];
    enx_api_skill    skills[ENX_ROSTER_MODELS_MAX];
    uint32_t         remote_count;
    backend_ask     *held, **held_end;
    uint32_t         held_count;
    bool             is_holding;
};

/* ---- Opening -------------------------------------------------------------------------------- */

static uint64_t microseconds(double seconds) { return (uint64_t)(seconds * MICROSECONDS); }

/* The key's value; *key NULL: none is wanted. */
static enx_status find_key(const enx_config_remote *r, const enx_api *api, enx_secret_fn secret,
                           const char **key, enx_report *report)
{
    const char *name = r->key ? r->key : api->key;
    *key = NULL;
    if (strcmp(name, "none") == 0) return ENX_OK;
    if (secret) *key = secret(name);
    if (*key && **key) return ENX_OK;
    return ENX_FAIL(report, NOTFOUND,
                    "%s at %s: the environment has no %s; export it, or write `key: none` for a "
                    "server that wants none",
                    r->model, r->url, name);
}

enx_status enx_backend_describe_remote(const enx_config_model *model, enx_secret_fn secret,
                                       enx_remote_model *out, enx_report *report)
{
    const enx_config_remote *r = model->remote;
    const enx_api           *api = enx_api_find(r->api);
    const char              *key = NULL;
    ENX_CHECK(api); /* the config was judged */
    ENX_TRY(find_key(r, api, secret, &key, report));
    *out = (enx_remote_model){ .api = api,
                               .url = r->url,
                               .model = r->model,
                               .key = key,
                               .limits = { .requests_per_min = r->requests_per_min,
                                           .tokens_per_min = r->tokens_per_min },
                               .connect_us = microseconds(r->connect_s),
                               .first_us = microseconds(r->first_byte_s),
                               .idle_us = microseconds(r->idle_s),
                               .total_us = microseconds(r->total_s),
                               .attempts = r->attempts,
                               .features = ENX_API_HAS_ALL };
    return ENX_OK;
}

static void add_remote_row(enx_backend *b, const enx_config *config, const enx_config_model *model,
                           enx_duty duty)
{
    const enx_config_remote *r = model->remote;
    const uint32_t           m = b->roster.model_count++;
    b->locals[m] = b->queued[m] = NOWHERE;
    b->remotes[m] = b->remote_count;
    b->skills[b->remote_count++] =
        (enx_api_skill){ .languages = b->languages,
                         .thinking_tokens = r->thinking_tokens,
                         .error_chance =
                             r->error_chance ? *r->error_chance : ENX_CONFIG_ERROR_CHANCE };
    b->roster_models[m] =
        (enx_roster_model){ .name = r->model,
                            .duty = duty,
                            .family = model->family,
                            .languages = (const char *const *)model->specialty,
                            .language_count = model->specialty_count,
                            .price = enx_config_price(config, model, 0),
                            .slots = model->slots ? model->slots : ENX_CONFIG_SLOTS,
                            .prompt_tokens = ENX_API_ASK_PROMPT_TOKENS,
                            .is_elsewhere = true,
                            .thinking_tokens = r->thinking_tokens };
}

static void add_row(enx_backend *b, const enx_config *config, const enx_config_model *model,
                    enx_duty duty, uint32_t *local)
{
    if (model->remote) {
        add_remote_row(b, config, model, duty);
    } else if (model->model) {
        const uint32_t m = b->roster.model_count++;
        b->roster_models[m] = enx_local_roster(b->local)->models[*local];
        b->locals[m] = (*local)++;
        b->remotes[m] = b->queued[m] = NOWHERE;
    }
}

/* The roster: what the local backend has, with the remote ones in their places. */
static void fill_roster(enx_backend *b, const enx_config *config)
{
    uint32_t local = 0;
    b->roster.models = b->roster_models;
    add_row(b, config, &config->lead, ENX_DUTY_LEAD, &local);
    add_row(b, config, &config->scout, ENX_DUTY_SCOUT, &local);
    for (unsigned i = 0; i < config->worker_count; i++)
        add_row(b, config, &config->workers[i], ENX_DUTY_WORKER, &local);
    add_row(b, config, &config->verifier, ENX_DUTY_VERIFIER, &local);
}

/* The languages of all workers, each once, for the prompts. */
static void fill_languages(enx_backend *b)
{
    const uint32_t room = sizeof b->languages / sizeof *b->languages;
    uint32_t       count = 0;
    for (uint32_t m = 0; m < b->roster.model_count; m++)
        for (uint32_t i = 0; i < b->roster_models[m].language_count && count < room; i++) {
            const char *tag = b->roster_models[m].languages[i];
            uint32_t    k = 0;
            while (k < count && strcmp(b->languages[k], tag) != 0) k++;
            if (k == count) b->languages[count++] = tag;
        }
    for (uint32_t i = 0; i < b->remote_count; i++) b->skills[i].language_count = count;
}

static enx_status open_remote(enx_backend *b, const enx_config *config,
                              const enx_backend_options *options, enx_report *report)
{
    enx_remote_model              models[ENX_ROSTER_MODELS_MAX];
    const enx_config_model *const heads[] = { &config->lead, &config->scout };
    const enx_remote_options      own = { .seed = options->seed };
    uint32_t                      count = 0;
    for (unsigned i = 0; i < 2; i++)
        if (heads[i]->remote)
            ENX_TRY(
                enx_backend_describe_remote(heads[i], options->secret, &models[count++], report));
    for (unsigned i = 0; i < config->worker_count; i++)
        if (config->workers[i].remote)
            ENX_TRY(enx_backend_describe_remote(&config->workers[i], options->secret,
                                                &models[count++], report));
    if (config->verifier.remote)
        ENX_TRY(enx_backend_describe_remote(&config->verifier, options->secret, &models[count++],
                                            report));
    if (count == 0) return ENX_OK;
    return enx_remote_open(&b->remote, models, count, &own, report);
}

static bool has_local(const enx_config *config)
{
    bool found = config->lead.model || config->scout.model || config->verifier.model;
    for (unsigned i = 0; i < config->worker_count; i++) found |= config->workers[i].model != NULL;
    return found;
}

/* ---- The queue ------------------------------------------------------------------------------ */

static enx_status open_broker(enx_backend *b, const enx_config *config,
                              const enx_backend_options *options, enx_report *report)
{
    static const enx_config_queue nothing = { 0 };
    const enx_config_queue       *q = config->queue ? config->queue : &nothing;
    enx_broker_options broker = { .url = options->queue_url ? options->queue_url : q->url,
                                  .swarm = q->swarm ? q->swarm : ENX_BROKER_SWARM,
                                  .user = q->user,
                                  .nkey = q->nkey,
                                  .credentials = q->credentials,
                                  .tls_ca = q->tls_ca,
                                  .tls_cert = q->tls_cert,
                                  .tls_key = q->tls_key,
                                  .lease_us = microseconds(q->lease_s) };
    if (q->password) {
        broker.password = options->secret ? options->secret(q->password) : NULL;
        if (!broker.password)
            return ENX_FAIL(report, NOTFOUND, "queue: the environment has no %s; export it",
                            q->password);
    }
    return enx_broker_open(&b->broker, &broker, report);
}

/* Scout and workers that are files; the lead stays here. */
static enx_status open_queue(enx_backend *b, const enx_config *config,
                             const enx_backend_options *options, enx_report *report)
{
    enx_queue_model         models[ENX_ROSTER_MODELS_MAX];
    uint32_t                count = 0;
    const enx_queue_options own = { .shares_models = true,
                                    .warn = options->warn,
                                    .user = options->user };
    for (uint32_t m = 0; m < b->roster.model_count; m++) {
        enx_roster_model *row = &b->roster_models[m];
        if (row->duty == ENX_DUTY_LEAD || b->locals[m] == NOWHERE) continue;
        const enx_model_file *file = &enx_local_skill(b->local, b->locals[m])->loaded.file;
        if (file->part_count != 1)
            return ENX_FAIL(report, UNSUPPORTED,
                            "%s is in %u parts; over a queue a model is one "
                            "file",
                            row->name, file->part_count);
        models[count] = (enx_queue_model){ file->parts[0].bytes, file->parts[0].size_bytes,
                                           row->name, row->languages, row->language_count };
        b->queued[m] = count++;
        row->is_elsewhere = config->queue && config->queue->hedge;
        row->slots =
            config->queue && config->queue->slots ? config->queue->slots : ENX_CONFIG_QUEUE_SLOTS;
    }
    ENX_TRY(open_broker(b, config, options, report));
    return enx_queue_open(&b->queue, b->broker, models, count, &own, report);
}

static enx_status gather(enx_backend *b, enx_report *report)
{
    b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    b->ready_fd = epoll_create1(EPOLL_CLOEXEC);
    const int fds[] = { b->local ? enx_local_fd(b->local) : -1,
                        b->queue ? enx_queue_fd(b->queue) : -1, b->wake_fd };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        struct epoll_event event = { .events = EPOLLIN };
        if (b->ready_fd >= 0 && fds[i] >= 0 &&
            epoll_ctl(b->ready_fd, EPOLL_CTL_ADD, fds[i], &event) != 0)
            return ENX_FAIL(report, NOMEM, "no epoll for the backend");
    }
    return b->ready_fd >= 0 && b->wake_fd >= 0
               ? ENX_OK
               : ENX_FAIL(report, NOMEM, "no epoll for the backend");
}

enx_status enx_backend_open(enx_backend **out, const enx_config *config,
                            const enx_backend_options *options, enx_report *report)
{
    ENX_CHECK(out && config && options);
    enx_backend *b = ENX_MEM_NEW(enx_backend, 1);
    if (!b) return ENX_FAIL(report, NOMEM, "no memory for the backend");
    b->held_end = &b->held;
    b->ready_fd = b->wake_fd = -1;
    b->clock_offset_us = enx_clock_wall_us() - enx_clock_monotonic_us();
    enx_status status = open_remote(b, config, options, report); /* first: it is quick to fail */
    if (status == ENX_OK && has_local(config))
        status = enx_local_open(&b->local, config, &options->local, report);
    if (status == ENX_OK) {
        fill_roster(b, config);
        fill_languages(b);
    }
    if (status == ENX_OK && (options->queue_url || config->queue))
        status = open_queue(b, config, options, report);
    if (status == ENX_OK) status = gather(b, report);
    if (status != ENX_OK) {
        enx_backend_close(&b);
        return status;
    }
    *out = b;
    return ENX_OK;
}

static void free_ask(backend_ask *ask)
{
    enx_api_ask_close(&ask->ask);
    enx_mem_free(ask);
}

static backend_ask *pop_held(enx_backend *b)
{
    backend_ask *ask = b->held;
    if (!ask) return NULL;
    b->held = ask->next;
    if (!b->held) b->held_end = &b->held;
    b->held_count--;
    return ask;
}

static void drop_result(void *user, const enx_remote_result *result)
{
    (void)user;
    free_ask(result->user);
}

void enx_backend_close(enx_backend **backend)
{
    enx_backend *b = *backend;
    backend_ask *ask;
    if (!b) return;
    while ((ask = pop_held(b)) != NULL) free_ask(ask);
    enx_remote_close(&b->remote, drop_result, NULL);
    enx_queue_close(&b->queue);
    enx_broker_close(&b->broker);
    enx_local_close(&b->local);
    if (b->ready_fd >= 0) close(b->ready_fd);
    if (b->wake_fd >= 0) close(b->wake_fd);
    enx_mem_free(b);
    *backend = NULL;
}

const enx_roster *enx_backend_roster(const enx_backend *b) { return &b->roster; }

uint64_t enx_backend_fixed_usd_nano(const enx_backend *b, uint32_t model)
{
    ENX_CHECK(model < b->roster.model_count);
    const uint32_t local = b->locals[model];
    return local == NOWHERE ? 0 : enx_local_fixed_usd_nano(b->local, local);
}

enx_status enx_backend_set_salt(enx_backend *b, uint64_t salt, enx_report *report)
{
    if (b->remote) enx_remote_set_salt(b->remote, salt);
    return b->queue ? enx_queue_hear(b->queue, salt, report) : ENX_OK;
}

void enx_backend_judge(enx_backend *b, uint32_t item, bool is_wrong)
{
    if (b->queue) enx_queue_judge(b->queue, item, is_wrong);
}

static bool is_for(const enx_roster_model *m, const char *specialty)
{
    if (m->duty == ENX_DUTY_LEAD) return true;
    if (m->duty != ENX_DUTY_WORKER) return false;
    for (uint32_t i = 0; specialty && i < m->language_count; i++)
        if (strcmp(m->languages[i], specialty) == 0) return true;
    return !specialty;
}

enx_status enx_backend_check_class(const enx_backend *b, const enx_class *task_class,
                                   enx_report *report)
{
    for (uint32_t m = 0; m < b->roster.model_count; m++) {
        if (!is_for(&b->roster.models[m], task_class->specialty)) continue;
        const bool can = b->locals[m] == NOWHERE
                             ? task_class->instruction != NULL
                             : enx_skill_can(enx_local_skill(b->local, b->locals[m]), task_class);
        if (!can)
            return ENX_FAIL(report, UNSUPPORTED,
                            "%s cannot do tasks of class %s: it was not made for them%s",
                            b->roster.models[m].name, task_class->name,
                            task_class->instruction ? ", and has no chat template"
                                                    : ", and the job has no instruction");
    }
    return ENX_OK;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

static void submit(enx_backend *b, backend_ask *ask)
{
    const enx_remote_call call = { .id = ask->ask.call_id,
                                   .model = ask->remote,
                                   .request = &ask->ask.request,
                                   .bounds = ask->ask.bounds,
                                   .user = ask };
    if (enx_remote_submit(b->remote, &call, NULL) != ENX_OK) {
        free_ask(ask);
        return;
    }
    if (ask->is_canceled) enx_remote_cancel(b->remote, call.id);
}

static void generate_remote(enx_backend *b, const enx_call *call, uint32_t remote)
{
    backend_ask *ask = ENX_MEM_NEW(backend_ask, 1);
    if (!ask || enx_api_ask_open(&ask->ask, &b->skills[remote], call, NULL) != ENX_OK) {
        enx_mem_free(ask);
        return;
    }
    ask->remote = remote;
    *b->held_end = ask;
    b->held_end = &ask->next;
    b->held_count++;
}

void enx_backend_generate(enx_backend *b, const enx_call *call)
{
    ENX_CHECK(call->model < b->roster.model_count);
    enx_call out = *call;
    if (b->queued[call->model] != NOWHERE) {
        const uint64_t now_us = b->clock_offset_us + enx_clock_monotonic_us();
        const uint64_t within_us = call->deadline_us > now_us ? call->deadline_us - now_us : 0;
        (void)!enx_queue_generate(b->queue, b->queued[call->model], call, within_us, NULL);
        return;
    }
    if (b->remotes[call->model] != NOWHERE) {
        generate_remote(b, call, b->remotes[call->model]);
        if (!b->is_holding) enx_backend_release(b, true);
        return;
    }
    out.model = b->locals[call->model];
    enx_local_generate(b->local, &out);
}

bool enx_backend_is_remote(const enx_backend *b, uint32_t model)
{
    ENX_CHECK(model < b->roster.model_count);
    return b->remotes[model] != NOWHERE;
}

static void pass_text(void *user, const char *text, size_t text_bytes)
{
    const backend_ask *ask = user;
    if (ask->on_text) ask->on_text(ask->user, text, text_bytes);
}

enx_status enx_backend_ask(enx_backend *b, const enx_backend_talk *talk, enx_report *report)
{
    ENX_CHECK(enx_backend_is_remote(b, talk->model));
    backend_ask *ask = ENX_MEM_NEW(backend_ask, 1);
    if (!ask) return ENX_FAIL(report, NOMEM, "no memory for a call");
    enx_api_ask_talk(&ask->ask, talk->call_id);
    ask->on_text = talk->on_text;
    ask->user = talk->user;
    const enx_remote_call call = { .id = talk->call_id,
                                   .model = b->remotes[talk->model],
                                   .request = talk->request,
                                   .bounds = talk->bounds,
                                   .user = ask,
                                   .on_text = pass_text };
    const enx_status      status = enx_remote_submit(b->remote, &call, report);
    if (status != ENX_OK) free_ask(ask);
    return status;
}

void enx_backend_hold(enx_backend *b)
{
    b->is_holding = true;
    if (b->queue) enx_queue_hold(b->queue);
    if (b->local) enx_local_hold(b->local);
}

void enx_backend_release(enx_backend *b, bool is_kept)
{
    backend_ask *ask;
    b->is_holding = false;
    while ((ask = pop_held(b)) != NULL) {
        if (is_kept) submit(b, ask);
        else free_ask(ask);
    }
    if (b->queue) enx_queue_release(b->queue, is_kept);
    if (b->local) enx_local_release(b->local, is_kept);
}

uint32_t enx_backend_flight(const enx_backend *b)
{
    return (b->local ? enx_local_flight(b->local) : 0) +
           (b->remote ? enx_remote_flight(b->remote) : 0) +
           (b->queue ? enx_queue_flight(b->queue) : 0) + b->held_count;
}

void enx_backend_cancel(enx_backend *b, uint64_t call_id)
{
    for (backend_ask *ask = b->held; ask; ask = ask->next)
        if (ask->ask.call_id == call_id) ask->is_canceled = true;
    if (b->remote) enx_remote_cancel(b->remote, call_id);
    if (b->queue) enx_queue_cancel(b->queue, call_id);
    if (b->local) enx_local_cancel(b->local, call_id);
}

void enx_backend_measure(const enx_backend *b, enx_call *call)
{
    ENX_CHECK(call->model < b->roster.model_count);
    const uint32_t model = call->model;
    if (b->remotes[model] != NOWHERE) {
        enx_api_ask_measure(&b->skills[b->remotes[model]], call);
        return;
    }
    call->model = b->locals[model];
    enx_local_measure(b->local, call);
    call->model = model;
}

/* ---- Reports -------------------------------------------------------------------------------- */

typedef struct listener {
    enx_local_report_fn fn;
    void               *user;
} listener;

static void on_result(void *user, const enx_remote_result *result)
{
    const listener       *to = user;
    backend_ask          *ask = result->user;
    const enx_call_report report = enx_api_ask_report(&ask->ask, result);
    to->fn(to->user, &report);
    free_ask(ask);
}

void enx_backend_wake(const enx_backend *b)
{
    const uint64_t one = 1;
    (void)!write(b->wake_fd, &one, sizeof one);
}

static bool was_woken(const enx_backend *b)
{
    uint64_t calls;
    return read(b->wake_fd, &calls, sizeof calls) == (ssize_t)sizeof calls;
}

/* What needs no waiting. */
static size_t take_ready(enx_backend *b, const listener *to)
{
    size_t count = b->queue ? enx_queue_poll(b->queue, to->fn, to->user) : 0;
    if (b->local) count += enx_local_poll(b->local, 0, to->fn, to->user);
    return count;
}

static void wait_for(int fd, uint64_t timeout_us)
{
    struct pollfd         ready = { .fd = fd, .events = POLLIN };
    const struct timespec wait = { .tv_sec = (time_t)(timeout_us / 1000000),
                                   .tv_nsec = (long)(timeout_us % 1000000 * 1000) };
    ppoll(&ready, 1, &wait, NULL);
}

size_t enx_backend_poll(enx_backend *b, uint64_t timeout_us, enx_local_report_fn fn, void *user)
{
    listener       to = { fn, user };
    const uint64_t now_us = enx_clock_monotonic_us();
    const uint64_t wake_us = b->queue ? enx_queue_wake_us(b->queue) : UINT64_MAX;
    size_t         count = take_ready(b, &to);
    if (was_woken(b) || wake_us <= now_us || count > 0) timeout_us = 0;
    else if (wake_us - now_us < timeout_us) timeout_us = wake_us - now_us;
    if (b->remote) count += enx_remote_poll(b->remote, timeout_us, b->ready_fd, on_result, &to);
    else if (timeout_us > 0) wait_for(b->ready_fd, timeout_us);
    return count + take_ready(b, &to);
}
