/* SPDX-License-Identifier: Apache-2.0 */
/* local.c - queues, threads and engines. */
#include "backend/local.h"

#include "backend/turns.h"
#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/pool.h"
#include "text/damage.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* ---- How calls travel ------------------------------------------------------------------------
 *
 *   generate()          a thread with room            the ask is over           poll()
 *   ──────────► queue[model] ──────────► engine of thread ──────────► done ──────────► report
 *                                          ▲        │
 *                                          └ next window
 *
 * (1) A call is in exactly one place: a queue, one thread's list, or `done`.
 * (2) Queues, done and is_canceled are touched under `lock` only; an ask and an engine by the one
 *     thread that has them.
 * (3) A thread takes at most its fair share of a queue, so that no other sits idle beside it.
 * (4) A pass is interrupted only where nobody else has a part in it: what others would have to
 *     compute again costs more than the rest of the pass.  `stepping` is touched under `lock` too,
 *     and an engine that steps is not closed. */

enum { ROSTER_PROMPT_TOKENS = 32, BATCH_TOKENS = 256, CANCELS_KEPT = 256 };

typedef struct local_call {
    struct local_call *next;
    enx_ask           *ask;
    uint64_t           call_id;
    uint64_t           queued_us, finished_us;
    uint64_t           request_id; /* of the engine */
    uint32_t           model;
    bool               is_awaited;       /* of turns.h */
    bool        is_canceled, is_waiting; /* waiting: for the engine to take its next request */
    bool        is_refused; /* that request is `request`: there was no memory for its keys yet */
    enx_request request;
} local_call;

typedef struct call_list {
    local_call *first, *last;
    uint32_t    count;
} call_list;

typedef struct local_model {
    enx_skill               skill;
    const enx_config_model *config;
    char                   *name;
    uint32_t                slots;
    enx_kv_type             cache;
    uint64_t                fixed_usd_nano;
    call_list               queue;
} local_model;

typedef struct local_thread {
    enx_local  *local;
    pthread_t   thread;
    bool        is_started;
    enx_engine *engines[ENX_ROSTER_MODELS_MAX];
    uint64_t    used_at[ENX_ROSTER_MODELS_MAX]; /* turn of the last use */
    uint64_t    turn, engine_bytes;
    uint64_t    cancels_seen;
    call_list   mine;
    enx_engine *stepping;  /* NULL: no pass is under way */
    local_call *step_call; /* the only one that has a part in it; NULL: several have */

    enx_turns_load loads[ENX_ROSTER_MODELS_MAX]; /* of the calls in `mine` */
    enx_turns      turns;
} local_thread;

struct enx_local {
    local_model      models[ENX_ROSTER_MODELS_MAX];
    enx_roster_model roster_models[ENX_ROSTER_MODELS_MAX];
    enx_roster       roster;
    local_thread     threads[ENX_POOL_THREADS_MAX];
    uint32_t         thread_count;
    uint64_t         engine_bytes_max; /* of one thread */
    const char      *cpu;
    bool             takes_any_duty;
    pthread_mutex_t  lock;
    pthread_cond_t   work;
    int              ready_fd; /* an eventfd: above 0 while something may be in `done` */
    call_list        done;
    uint64_t         cancels[CANCELS_KEPT]; /* ids, a ring; older ones run to their end */
    uint64_t         cancel_count;
    bool             is_stopping, has_lock;
    call_list        held; /* the owner thread's, like the two below */
    bool             is_holding;
    uint32_t         flight;
};

static void list_push(call_list *list, local_call *call)
{
    call->next = NULL;
    if (list->last) list->last->next = call;
    else list->first = call;
    list->last = call;
    list->count++;
}

static local_call *list_pop(call_list *list)
{
    local_call *call = list->first;
    if (!call) return NULL;
    list->first = call->next;
    if (!list->first) list->last = NULL;
    list->count--;
    call->next = NULL;
    return call;
}

static void call_free(local_call *call)
{
    enx_ask_close(&call->ask);
    enx_mem_free(call);
}

/* ---- Threads -------------------------------------------------------------------------------- */

static void on_generation(void *owner, const enx_generation *generation)
{
    (void)owner;
    local_call *call = generation->user;
    enx_ask_take(call->ask, generation);
    call->request_id = 0;
    call->is_waiting = true;
}

/* Close engines without work, the longest unused first, until `need` more bytes fit. */
static void make_room(local_thread *t, uint64_t need)
{
    const uint32_t model_count = t->local->roster.model_count;
    while (t->engine_bytes + need > t->local->engine_bytes_max) {
        uint32_t oldest = model_count;
        for (uint32_t m = 0; m < model_count; m++)
            if (t->engines[m] && t->loads[m].calls == 0 &&
                (oldest == model_count || t->used_at[m] < t->used_at[oldest]))
                oldest = m;
        if (oldest == model_count) return;
        t->engine_bytes -= enx_engine_memory_bytes(t->engines[oldest]);
        enx_engine_close(&t->engines[oldest]);
    }
}

static enx_status need_engine(local_thread *t, uint32_t m, enx_report *report)
{
    const local_model *model = &t->local->models[m];
    t->used_at[m] = ++t->turn;
    if (t->engines[m]) return ENX_OK;
    const enx_engine_options options = { .model = model->skill.loaded.model,
                                         .cpu = t->local->cpu,
                                         .slot_count = model->slots,
                                         .context_tokens = model->skill.context_tokens,
                                         .batch_tokens = BATCH_TOKENS,
                                         .cache = model->cache,
                                         .cache_bytes = model->config->cache_mb << 20 };
    /* The size is known once it is open: count it in, then close others. */
    ENX_TRY(enx_engine_open(&t->engines[m], &options, report));
    const uint64_t bytes = enx_engine_memory_bytes(t->engines[m]);
    t->loads[m].calls++; /* not to be closed itself */
    make_room(t, bytes);
    t->loads[m].calls--;
    t->engine_bytes += bytes;
    return ENX_OK;
}

/* Give the engine the call's next request.  false: the ask is over. */
static bool submit_next(local_thread *t, local_call *call)
{
    enx_report report = { 0 };
    if (call->is_canceled) enx_ask_fail(call->ask, ENX_CALL_ERROR, 0, "canceled");
    if (call->is_canceled || !call->is_refused) {
        if (!enx_ask_next(call->ask, &call->request)) return false;
        call->request.user = call;
    }
    enx_status status = need_engine(t, call->model, &report);
    if (status == ENX_OK)
        status =
            enx_engine_submit(t->engines[call->model], &call->request, &call->request_id, &report);
    call->is_refused = status == ENX_AGAIN; /* others run: with what they leave it goes on */
    call->is_waiting = call->is_refused;
    if (status == ENX_OK || status == ENX_AGAIN) return true;
    enx_ask_fail(call->ask, ENX_CALL_ERROR, 0, report.text);
    return false;
}

static uint32_t room_for(const local_thread *t, uint32_t m)
{
    const uint32_t slots = t->local->models[m].slots;
    return t->loads[m].calls < slots ? slots - t->loads[m].calls : 0;
}

static bool has_work(const local_thread *t)
{
    for (uint32_t m = 0; m < t->local->roster.model_count; m++)
        if (t->local->models[m].queue.first && room_for(t, m)) return true;
    return t->mine.first != NULL;
}

/* Take from each queue this thread's fair share of what waits.  Called under the lock. */
static void take_calls(local_thread *t)
{
    enx_local *local = t->local;
    for (uint32_t m = 0; m < local->roster.model_count; m++) {
        call_list     *queue = &local->models[m].queue;
        const uint32_t fair = (queue->count + local->thread_count - 1) / local->thread_count;
        uint32_t       share = room_for(t, m) < fair ? room_for(t, m) : fair;
        for (; share > 0; share--) {
            local_call *call = list_pop(queue);
            call->is_waiting = true;
            t->loads[m].calls++;
            t->loads[m].awaited += call->is_awaited;
            list_push(&t->mine, call);
        }
    }
}

static void cancel_call(local_thread *t, uint64_t call_id)
{
    for (local_call *call = t->mine.first; call; call = call->next) {
        if (call->call_id != call_id) continue;
        call->is_canceled = true;
        if (!call->is_waiting) enx_engine_cancel(t->engines[call->model], call->request_id);
    }
}

/* Catch up with what was canceled.  Called under the lock. */
static void cancel_calls(local_thread *t)
{
    const uint64_t count = t->local->cancel_count;
    if (count > t->cancels_seen + CANCELS_KEPT) t->cancels_seen = count - CANCELS_KEPT;
    while (t->cancels_seen < count)
        cancel_call(t, t->local->cancels[t->cancels_seen++ % CANCELS_KEPT]);
}

/* Submit what waits; put what is over aside. */
static void submit_waiting(local_thread *t, call_list *over)
{
    call_list   kept = { 0 };
    local_call *call;
    while ((call = list_pop(&t->mine)) != NULL) {
        if (!call->is_waiting || submit_next(t, call)) {
            list_push(&kept, call);
            continue;
        }
        t->loads[call->model].calls--;
        t->loads[call->model].awaited -= call->is_awaited;
        call->finished_us = enx_clock_monotonic_us();
        list_push(over, call);
    }
    t->mine = kept;
}

/* Say whose pass comes.  Called under the lock; false: there is none. */
static bool begin_step(local_thread *t, uint32_t model)
{
    if (model == t->local->roster.model_count || !t->engines[model]) return false;
    t->stepping = t->engines[model];
    t->step_call = t->loads[model].calls == 1 ? t->mine.first : NULL;
    while (t->step_call && t->step_call->model != model) t->step_call = t->step_call->next;
    return true;
}

/* Called under the lock, which is left for the pass. */
static void step_one(local_thread *t)
{
    enx_local     *local = t->local;
    const uint32_t count = local->roster.model_count;
    const uint32_t model = enx_turns_next(&t->turns, t->loads, count);
    if (!begin_step(t, model)) return;
    pthread_mutex_unlock(&local->lock);
    const uint64_t started_us = enx_clock_monotonic_us();
    enx_engine_step(t->stepping, on_generation, t);
    enx_turns_spend(&t->turns, t->loads, count, model, enx_clock_monotonic_us() - started_us);
    pthread_mutex_lock(&local->lock);
    t->stepping = NULL;
}

/* The counter cannot be full: poll empties it before it adds up to anything. */
static void tell(const enx_local *local)
{
    const uint64_t one = 1;
    ENX_CHECK(write(local->ready_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

static void *run_thread(void *user)
{
    local_thread *t = user;
    enx_local    *local = t->local;
    call_list     over = { 0 };
    local_call   *call;
    pthread_mutex_lock(&local->lock);
    while (!local->is_stopping) {
        while (!local->is_stopping && !has_work(t)) pthread_cond_wait(&local->work, &local->lock);
        if (local->is_stopping) break;
        take_calls(t);
        cancel_calls(t);
        step_one(t);
        pthread_mutex_unlock(&local->lock);
        submit_waiting(t, &over);
        pthread_mutex_lock(&local->lock);
        const bool has_news = over.first != NULL;
        while ((call = list_pop(&over)) != NULL) list_push(&local->done, call);
        if (has_news) tell(local);
    }
    pthread_mutex_unlock(&local->lock);
    for (uint32_t m = 0; m < local->roster.model_count; m++) enx_engine_close(&t->engines[m]);
    while ((call = list_pop(&t->mine)) != NULL) call_free(call);
    return NULL;
}

/* ---- Opening -------------------------------------------------------------------------------- */

/* The file's name without folder and ".gguf", owned. */
static char *name_of_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *first = slash ? slash + 1 : path;
    size_t      size = strlen(first);
    if (size > 5 && strcmp(first + size - 5, ".gguf") == 0) size -= 5;
    char *name = ENX_MEM_NEW(char, size + 1);
    if (name) memcpy(name, first, size);
    return name;
}

/* Was it made for any class of tasks? */
static bool has_prompt(const enx_loaded *loaded)
{
    static const char prefix[] = "enxame.prompt.";
    enx_gguf_value    value;
    for (uint64_t i = 0; i < enx_gguf_key_count(loaded->gguf); i++) {
        const enx_gguf_str key = enx_gguf_key_at(loaded->gguf, i, &value);
        if (key.size_bytes > sizeof prefix - 1 && memcmp(key.data, prefix, sizeof prefix - 1) == 0)
            return true;
    }
    return false;
}

static enx_status check_duty(const local_model *m, enx_duty duty, enx_report *report)
{
    if (m->skill.chat && duty != ENX_DUTY_SCOUT) return ENX_OK;
    if (duty == ENX_DUTY_SCOUT ? enx_loaded_can(&m->skill.loaded, "scout")
                               : duty != ENX_DUTY_VERIFIER && has_prompt(&m->skill.loaded))
        return ENX_OK;
    return ENX_FAIL(report, UNSUPPORTED, "%s: cannot be a %s: the file has no %s", m->name,
                    enx_duty_text(duty),
                    duty == ENX_DUTY_SCOUT      ? "key enxame.prompt.scout"
                    : duty == ENX_DUTY_VERIFIER ? "chat template that can be used"
                                                : "key enxame.prompt.* and no chat template");
}

static enx_status add_model(enx_local *local, const enx_config *config,
                            const enx_config_model *model, enx_duty duty, enx_report *report)
{
    const uint32_t index = local->roster.model_count;
    local_model   *m = &local->models[index];
    enx_buf        path;
    double         train_s = 0;
    enx_buf_init(&path, 1 << 13);
    enx_status status = enx_config_model_path(config, model, &path);
    if (status != ENX_OK)
        status = enx_report_set(report, status, __FILE__, __LINE__, "the path of %s is too long",
                                model->model);
    if (status == ENX_OK) m->name = name_of_path(enx_buf_text(&path));
    if (status == ENX_OK && !m->name) status = ENX_FAIL(report, NOMEM, "no memory");
    if (status == ENX_OK) status = enx_skill_open(&m->skill, enx_buf_text(&path), report);
    enx_buf_deinit(&path);
    local->roster.model_count++; /* closed with the rest from here on */
    if (status == ENX_OK && !local->takes_any_duty) status = check_duty(m, duty, report);
    if (status != ENX_OK) return status;
    const uint64_t params = enx_model_active_param_count(m->skill.loaded.model);
    m->config = model;
    m->slots = model->slots ? model->slots : ENX_CONFIG_SLOTS;
    ENX_TRY(enx_kv_type_parse(&m->cache, model->cache, report));
    if (enx_gguf_read_f64(m->skill.loaded.gguf, "enxame.train.cpu_seconds", &train_s, NULL) !=
        ENX_OK)
        train_s = 0;
    m->fixed_usd_nano = enx_config_fixed_usd_nano(config, train_s);
    local->roster_models[index] =
        (enx_roster_model){ .name = m->name,
                            .duty = duty,
                            .family = model->family,
                            .languages = (const char *const *)model->specialty,
                            .language_count = model->specialty_count,
                            .price = enx_config_price(config, model, params),
                            .params = params,
                            .slots = ENX_LOCAL_FLIGHT_MAX,
                            .prompt_tokens = ROSTER_PROMPT_TOKENS };
    return ENX_OK;
}

static enx_status add_models(enx_local *local, const enx_config *config, enx_report *report)
{
    local->roster.models = local->roster_models;
    if (config->lead.model) ENX_TRY(add_model(local, config, &config->lead, ENX_DUTY_LEAD, report));
    if (config->scout.model)
        ENX_TRY(add_model(local, config, &config->scout, ENX_DUTY_SCOUT, report));
    for (unsigned i = 0; i < config->worker_count; i++)
        if (config->workers[i].model)
            ENX_TRY(add_model(local, config, &config->workers[i], ENX_DUTY_WORKER, report));
    if (config->verifier.model)
        ENX_TRY(add_model(local, config, &config->verifier, ENX_DUTY_VERIFIER, report));
    return ENX_OK;
}

static enx_status start_threads(enx_local *local, enx_report *report)
{
    local->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (local->ready_fd < 0) return ENX_FAIL(report, NOMEM, "no eventfd: %s", strerror(errno));
    pthread_mutex_init(&local->lock, NULL);
    pthread_cond_init(&local->work, NULL);
    local->has_lock = true;
    for (uint32_t i = 0; i < local->thread_count; i++) {
        local_thread *t = &local->threads[i];
        t->local = local;
        const int error = pthread_create(&t->thread, NULL, run_thread, t);
        if (error) return ENX_FAIL(report, NOMEM, "no thread: %s", strerror(error));
        t->is_started = true;
    }
    return ENX_OK;
}

enx_status enx_local_open(enx_local **out, const enx_config *config,
                          const enx_local_options *options, enx_report *report)
{
    ENX_CHECK(out && config && options);
    enx_local *local = ENX_MEM_NEW(enx_local, 1);
    if (!local) return ENX_FAIL(report, NOMEM, "no memory for the backend");
    local->thread_count = options->thread_count ? options->thread_count
                          : config->threads     ? config->threads
                                                : enx_cpu_count();
    if (local->thread_count > ENX_POOL_THREADS_MAX) local->thread_count = ENX_POOL_THREADS_MAX;
    const uint64_t bytes =
        options->engine_bytes_max ? options->engine_bytes_max : ENX_LOCAL_ENGINE_BYTES;
    local->engine_bytes_max = bytes / local->thread_count;
    local->cpu = options->cpu;
    local->takes_any_duty = options->takes_any_duty;
    enx_status status = add_models(local, config, report);
    if (status == ENX_OK) status = start_threads(local, report);
    if (status != ENX_OK) {
        enx_local_close(&local);
        return status;
    }
    *out = local;
    return ENX_OK;
}

void enx_local_close(enx_local **local_out)
{
    enx_local *local = *local_out;
    if (!local) return;
    local_call *call;
    if (local->has_lock) {
        pthread_mutex_lock(&local->lock);
        local->is_stopping = true;
        for (uint32_t i = 0; i < local->thread_count; i++)
            if (local->threads[i].stepping) enx_engine_interrupt(local->threads[i].stepping);
        pthread_cond_broadcast(&local->work);
        pthread_mutex_unlock(&local->lock);
    }
    for (uint32_t i = 0; i < local->thread_count; i++)
        if (local->threads[i].is_started) pthread_join(local->threads[i].thread, NULL);
    if (local->has_lock) {
        pthread_cond_destroy(&local->work);
        pthread_mutex_destroy(&local->lock);
        close(local->ready_fd);
    }
    while ((call = list_pop(&local->done)) != NULL) call_free(call);
    while ((call = list_pop(&local->held)) != NULL) call_free(call);
    for (uint32_t m = 0; m < local->roster.model_count; m++) {
        while ((call = list_pop(&local->models[m].queue)) != NULL) call_free(call);
        enx_skill_close(&local->models[m].skill);
        enx_mem_free(local->models[m].name);
    }
    enx_mem_free(local);
    *local_out = NULL;
}

const enx_roster *enx_local_roster(const enx_local *local) { return &local->roster; }

uint64_t enx_local_fixed_usd_nano(const enx_local *local, uint32_t model)
{
    ENX_CHECK(model < local->roster.model_count);
    return local->models[model].fixed_usd_nano;
}

const enx_skill *enx_local_skill(const enx_local *local, uint32_t model)
{
    ENX_CHECK(model < local->roster.model_count);
    return &local->models[model].skill;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

void enx_local_generate(enx_local *local, const enx_call *call)
{
    ENX_CHECK(call->model < local->roster.model_count);
    local_model *model = &local->models[call->model];
    local_call  *c = ENX_MEM_NEW(local_call, 1);
    if (!c || enx_ask_open(&c->ask, &model->skill, call, NULL) != ENX_OK) {
        enx_mem_free(c);
        return;
    }
    c->call_id = call->call_id;
    c->model = call->model;
    c->is_awaited = enx_turns_is_awaited(call->role);
    c->queued_us = enx_clock_monotonic_us();
    local->flight++;
    list_push(&local->held, c);
    if (!local->is_holding) enx_local_release(local, true);
}

void enx_local_hold(enx_local *local) { local->is_holding = true; }

void enx_local_release(enx_local *local, bool is_kept)
{
    local_call *call;
    local->is_holding = false;
    if (!local->held.first) return;
    pthread_mutex_lock(&local->lock);
    while ((call = list_pop(&local->held)) != NULL) {
        if (is_kept) {
            list_push(&local->models[call->model].queue, call);
        } else {
            local->flight--;
            call_free(call);
        }
    }
    pthread_cond_broadcast(&local->work);
    pthread_mutex_unlock(&local->lock);
}

uint32_t enx_local_flight(const enx_local *local) { return local->flight; }

void enx_local_cancel(enx_local *local, uint64_t call_id)
{
    for (local_call *call = local->held.first; call; call = call->next)
        if (call->call_id == call_id) call->is_canceled = true;
    pthread_mutex_lock(&local->lock);
    for (uint32_t m = 0; m < local->roster.model_count; m++)
        for (local_call *call = local->models[m].queue.first; call; call = call->next)
            if (call->call_id == call_id) call->is_canceled = true;
    local->cancels[local->cancel_count++ % CANCELS_KEPT] = call_id;
    for (uint32_t i = 0; i < local->thread_count; i++) {
        const local_thread *t = &local->threads[i];
        if (t->stepping && t->step_call && t->step_call->call_id == call_id)
            enx_engine_interrupt(t->stepping);
    }
    pthread_mutex_unlock(&local->lock);
}

void enx_local_measure(const enx_local *local, enx_call *call)
{
    ENX_CHECK(call->model < local->roster.model_count);
    enx_skill_measure(&local->models[call->model].skill, call);
}

int enx_local_fd(const enx_local *local) { return local->ready_fd; }

/* A signal cuts the wait short, and no harm is done: who polls has a loop. */
static void wait_ready(const enx_local *local, uint64_t timeout_us)
{
    struct pollfd         ready = { .fd = local->ready_fd, .events = POLLIN };
    const struct timespec wait = { .tv_sec = (time_t)(timeout_us / 1000000),
                                   .tv_nsec = (long)(timeout_us % 1000000 * 1000) };
    ppoll(&ready, 1, &wait, NULL);
}

size_t enx_local_poll(enx_local *local, uint64_t timeout_us, enx_local_report_fn fn, void *user)
{
    local_call *call;
    uint64_t    told;
    size_t      count = 0;
    if (timeout_us > 0) wait_ready(local, timeout_us);
    pthread_mutex_lock(&local->lock);
    call_list done = local->done;
    local->done = (call_list){ 0 };
    (void)!read(local->ready_fd, &told, sizeof told); /* nothing there is no failure */
    pthread_mutex_unlock(&local->lock);
    for (; (call = list_pop(&done)) != NULL; count++) {
        enx_call_report report = enx_ask_report(call->ask);
        report.latency_us = call->finished_us - call->queued_us;
        local->flight--;
        fn(user, &report);
        call_free(call);
    }
    return count;
}

bool enx_local_round_trip(const enx_call *call, const char *answer, size_t answer_bytes,
                          char *reason, size_t reason_bytes)
{
    const unsigned kinds = enx_call_kinds(call);
    enx_buf        want, got;
    enx_report     report = { 0 };
    enx_buf_init(&want, 4 * call->input_bytes + 64);
    enx_buf_init(&got, 4 * answer_bytes + 64);
    enx_status status = enx_damage_kinds(&want, call->input, call->input_bytes, kinds, &report);
    if (status == ENX_OK) status = enx_damage_kinds(&got, answer, answer_bytes, kinds, &report);
    const bool is_equal = status == ENX_OK && want.size_bytes == got.size_bytes &&
                          memcmp(enx_buf_text(&want), enx_buf_text(&got), want.size_bytes) == 0;
    size_t at = 0;
    while (at < want.size_bytes && at < got.size_bytes && want.data[at] == got.data[at]) at++;
    if (status != ENX_OK)
        snprintf(reason, reason_bytes, "the answer cannot be checked: %s", report.text);
    else if (!is_equal)
        snprintf(reason, reason_bytes,
                 "damaged again, the answer differs from the input at byte "
                 "%zu",
                 at + 1);
    enx_buf_deinit(&want);
    enx_buf_deinit(&got);
    return is_equal;
}
