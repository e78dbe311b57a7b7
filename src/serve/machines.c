/* SPDX-License-Identifier: Apache-2.0 */
/* machines.c - a thread that looks at the broker for those who ask. */
#include "serve/machines.h"

#include "backend/crew.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "serve/voice.h"

#include <pthread.h>
#include <string.h>

struct enx_machines {
    const enx_broker_options *options;
    pthread_t                 thread;
    pthread_mutex_t           lock;
    pthread_cond_t            news;
    bool                      is_started, is_stopping, is_wanted;
    enx_reply                *asking[ENX_MACHINES_ASKING_MAX]; /* references */
    uint32_t                  asking_count;
    json_t                   *crew; /* NULL: it was never seen, or the last look failed */
    enx_report                why;  /* of that */
    uint64_t                  looked_us;
    /* The thread's. */
    enx_broker               *broker;
};

static void pass_over(void *user, const enx_broker_event *event)
{
    (void)user;
    (void)event;
}

static json_t *look(enx_machines *m, enx_report *report)
{
    json_t *crew = NULL;
    if (!m->broker && enx_broker_open(&m->broker, m->options, report) != ENX_OK) return NULL;
    enx_broker_take(m->broker, pass_over, NULL);
    if (enx_crew_look(m->broker, &crew, report) == ENX_OK) return crew;
    enx_broker_close(&m->broker);
    return NULL;
}

/* Called with the lock, which it lets go meanwhile. */
static void answer_all(enx_machines *m)
{
    enx_reply       *asking[ENX_MACHINES_ASKING_MAX];
    const uint32_t   count = m->asking_count;
    json_t          *crew = json_incref(m->crew);
    const enx_report why = m->why;
    memcpy(asking, m->asking, count * sizeof *asking);
    m->asking_count = 0;
    pthread_mutex_unlock(&m->lock);
    for (uint32_t i = 0; i < count; i++) {
        if (crew) enx_voice_answer(asking[i], 200, json_incref(crew));
        else enx_voice_refuse(&enx_voice_chat, asking[i], 502, why.text);
        enx_reply_drop(&asking[i]);
    }
    pthread_mutex_lock(&m->lock);
    json_decref(crew);
}

/* The same. */
static void look_again(enx_machines *m)
{
    enx_report why = { 0 };
    pthread_mutex_unlock(&m->lock);
    json_t *crew = look(m, &why);
    pthread_mutex_lock(&m->lock);
    json_decref(m->crew);
    m->crew = crew;
    m->why = why;
    m->looked_us = enx_clock_monotonic_us();
}

static void *run_machines(void *user)
{
    enx_machines *m = user;
    pthread_mutex_lock(&m->lock);
    while (!m->is_stopping) {
        while (!m->is_stopping && !m->is_wanted) pthread_cond_wait(&m->news, &m->lock);
        if (m->is_stopping) break;
        m->is_wanted = false;
        if (m->looked_us == 0 || enx_clock_monotonic_us() - m->looked_us > ENX_MACHINES_FRESH_US)
            look_again(m);
        answer_all(m);
    }
    json_decref(m->crew);
    m->crew = NULL;
    (void)ENX_FAIL(&m->why, CANCELED, "the server is stopping");
    answer_all(m);
    pthread_mutex_unlock(&m->lock);
    enx_broker_close(&m->broker);
    return NULL;
}

enx_status enx_machines_open(enx_machines **out, const enx_broker_options *options,
                             enx_report *report)
{
    enx_machines *m = ENX_MEM_NEW(enx_machines, 1);
    if (!m) return ENX_FAIL(report, NOMEM, "no memory for the list of machines");
    m->options = options;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->news, NULL);
    const int error = pthread_create(&m->thread, NULL, run_machines, m);
    m->is_started = error == 0;
    if (error) {
        enx_machines_close(&m);
        return ENX_FAIL(report, NOMEM, "no thread: %s", strerror(error));
    }
    *out = m;
    return ENX_OK;
}

void enx_machines_close(enx_machines **machines)
{
    enx_machines *m = *machines;
    *machines = NULL;
    if (!m) return;
    pthread_mutex_lock(&m->lock);
    m->is_stopping = true;
    pthread_cond_signal(&m->news);
    pthread_mutex_unlock(&m->lock);
    if (m->is_started) pthread_join(m->thread, NULL);
    pthread_cond_destroy(&m->news);
    pthread_mutex_destroy(&m->lock);
    enx_mem_free(m);
}

void enx_machines_answer(enx_machines *m, enx_reply *reply)
{
    pthread_mutex_lock(&m->lock);
    const bool has_room = m->asking_count < ENX_MACHINES_ASKING_MAX && !m->is_stopping;
    if (has_room) {
        m->asking[m->asking_count++] = enx_reply_hold(reply);
        m->is_wanted = true;
        pthread_cond_signal(&m->news);
    }
    pthread_mutex_unlock(&m->lock);
    if (!has_room)
        enx_voice_refuse(&enx_voice_chat, reply, 503, "too many ask for the machines at a time");
}

/* ---- Prometheus ----------------------------------------------------------------------------- */

typedef struct family {
    const char *name, *kind, *help;
    const char *key; /* of a worker, or of one of its models */
    bool        is_of_model;
} family;

static const family families[] = {
    { "machine_slots", "gauge", "Calls that a worker answers at a time.", "slots", false },
    { "machine_working", "gauge", "Calls that are with a worker.", "working", false },
    { "machine_done_total", "counter", "Calls that a worker has answered.", "done", false },
    { "machine_canceled_total", "counter", "... that nobody waited for any more.", "canceled",
      false },
    { "machine_draining", "gauge", "1: it takes nothing new.", "draining", false },
    { "machine_on_trial", "gauge", "1: audits speak against it.", "trial", false },
    { "machine_tokens_in_per_s", "gauge", "Speed of reading, as the worker measured it.",
      "tokens_in_per_s", true },
    { "machine_tokens_out_per_s", "gauge", "Speed of writing.", "tokens_out_per_s", true },
    { "machine_calls_total", "counter", "Calls by model.", "calls", true },
};

static double number_of(const json_t *value)
{
    return json_is_boolean(value) ? json_is_true(value) : json_number_value(value);
}

static enx_status write_label(enx_buf *out, const char *name, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    ENX_TRY(enx_buf_append_text(out, name));
    return enx_voice_string(out, text ? text : "", text ? strlen(text) : 0);
}

static enx_status write_value(enx_buf *out, const family *f, const json_t *worker,
                              const json_t *model)
{
    const json_t *value = json_object_get(model ? model : worker, f->key);
    if (!json_is_number(value) && !json_is_boolean(value)) return ENX_OK;
    ENX_TRY(enx_buf_printf(out, "enxame_%s{", f->name));
    ENX_TRY(write_label(out, "machine=", worker, "host"));
    ENX_TRY(write_label(out, ",worker=", worker, "worker"));
    if (model) ENX_TRY(write_label(out, ",model=", model, "name"));
    return enx_buf_printf(out, "} %.17g\n", number_of(value));
}

static enx_status write_family(enx_buf *out, const family *f, const json_t *workers)
{
    size_t  i, k;
    json_t *worker, *model;
    ENX_TRY(enx_buf_printf(out, "# HELP enxame_%s %s\n# TYPE enxame_%s %s\n", f->name, f->help,
                           f->name, f->kind));
    json_array_foreach (workers, i, worker) {
        if (!f->is_of_model) ENX_TRY(write_value(out, f, worker, NULL));
        else
            json_array_foreach (json_object_get(worker, "models"), k, model)
                ENX_TRY(write_value(out, f, worker, model));
    }
    return ENX_OK;
}

static enx_status write_queue(enx_buf *out, const char *key, const json_t *models)
{
    size_t  i;
    json_t *model;
    ENX_TRY(enx_buf_printf(out,
                           "# HELP enxame_queue_%s Calls of a model in the queue.\n"
                           "# TYPE enxame_queue_%s gauge\n",
                           key, key));
    json_array_foreach (models, i, model) {
        ENX_TRY(enx_buf_printf(out, "enxame_queue_%s{", key));
        ENX_TRY(write_label(out, "model=", model, "name"));
        ENX_TRY(write_label(out, ",digest=", model, "digest"));
        ENX_TRY(enx_buf_printf(out, "} %.17g\n", number_of(json_object_get(model, key))));
    }
    return ENX_OK;
}

enx_status enx_machines_write(enx_machines *m, enx_buf *out)
{
    pthread_mutex_lock(&m->lock);
    json_t *crew = m->crew ? json_deep_copy(m->crew) : NULL;
    m->is_wanted = true;
    pthread_cond_signal(&m->news);
    pthread_mutex_unlock(&m->lock);
    enx_status status = ENX_OK;
    for (size_t i = 0; crew && i < sizeof families / sizeof *families && status == ENX_OK; i++)
        status = write_family(out, &families[i], json_object_get(crew, "workers"));
    if (crew && status == ENX_OK)
        status = write_queue(out, "waiting", json_object_get(crew, "models"));
    if (crew && status == ENX_OK)
        status = write_queue(out, "running", json_object_get(crew, "models"));
    json_decref(crew);
    return status;
}
