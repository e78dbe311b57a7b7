/* SPDX-License-Identifier: Apache-2.0 */
/* job_view.c - from records and views of the store to JSON. */
#include "serve/job_view.h"

#include "base/mem.h"
#include "serve/jobs.h"
#include "serve/voice.h"

#include <stdio.h>
#include <string.h>

static json_t *usd_json(uint64_t usd_nano) { return json_real((double)usd_nano * 1e-9); }

/* ---- Rows ----------------------------------------------------------------------------------- */

typedef struct list_view {
    json_t          *jobs;
    uint64_t         before, limit;
    enx_job_state_fn state;
    void            *user;
    json_t          *settings; /* of the last one */
} list_view;

static json_t *job_json(const enx_store_job *j, const char *state)
{
    return json_pack(
        "{s:I, s:s, s:s, s:o, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "id",
        (json_int_t)j->id, "state", state, "command", j->command, "goal",
        enx_voice_text(j->goal, strlen(j->goal)), "created_us", (json_int_t)j->created_us,
        "finished_us", j->finished_us ? json_integer((json_int_t)j->finished_us) : json_null(),
        "items", (json_int_t)j->items, "finished", (json_int_t)j->finished, "calls",
        (json_int_t)j->calls, "tokens_in", (json_int_t)j->tokens_in, "tokens_cached",
        (json_int_t)j->tokens_cached, "tokens_out", (json_int_t)j->tokens_out, "cost_usd",
        usd_json(j->cost_usd_nano), "fixed_usd", usd_json(j->fixed_usd_nano));
}

static enx_status take_job(void *user, const enx_store_job *j, enx_report *report)
{
    list_view *v = user;
    if ((v->before && j->id >= v->before) || json_array_size(v->jobs) >= v->limit) return ENX_OK;
    const char *state = v->state(v->user, j->id, j->state);
    if (!state) return ENX_OK;
    json_t *json = job_json(j, state);
    if (json_array_append_new(v->jobs, json) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the jobs");
    if (!v->settings) v->settings = json_loads(j->settings, 0, NULL);
    return ENX_OK;
}

enx_status enx_job_view_list(enx_store *store, uint64_t before, uint64_t limit,
                             enx_job_state_fn state, void *user, json_t **out, enx_report *report)
{
    list_view        v = { json_array(), before, limit, state, user, NULL };
    const enx_status status = enx_store_jobs_each(store, take_job, &v, report);
    json_decref(v.settings);
    if (status == ENX_OK) *out = json_pack("{s:o}", "jobs", v.jobs);
    else json_decref(v.jobs);
    return status;
}

/* ---- Models --------------------------------------------------------------------------------- */

static enx_status take_name(void *user, const enx_store_model *m, enx_report *report)
{
    enx_event_names *names = user;
    if (m->model >= ENX_ROSTER_MODELS_MAX) return ENX_OK;
    const size_t size = strlen(m->name) + 1;
    char        *name = ENX_MEM_NEW(char, size);
    if (!name) return ENX_FAIL(report, NOMEM, "no memory for the models");
    memcpy(name, m->name, size);
    names->names[m->model] = name;
    if (m->model >= names->count) names->count = m->model + 1;
    return ENX_OK;
}

enx_status enx_job_view_names(enx_store *store, uint64_t id, enx_event_names *out,
                              enx_report *report)
{
    enx_event_names  names = { .count = 0 };
    const enx_status status = enx_store_bill_each(store, id, take_name, &names, report);
    if (status != ENX_OK) {
        enx_job_view_names_close(&names);
        return status;
    }
    *out = names;
    return ENX_OK;
}

void enx_job_view_names_close(enx_event_names *names)
{
    for (uint32_t i = 0; i < names->count; i++) enx_mem_free(names->names[i]);
    *names = (enx_event_names){ .count = 0 };
}

typedef struct bill_view {
    json_t  *models, *lines;
    uint64_t cost_usd_nano, fixed_usd_nano;
} bill_view;

static enx_status take_line(void *user, const enx_store_model *m, enx_report *report)
{
    bill_view *b = user;
    (void)report;
    json_array_append_new(b->models, json_pack("{s:s, s:s, s:I, s:o, s:o}", "name", m->name, "duty",
                                               m->duty, "params", (json_int_t)m->params,
                                               "usd_per_mtok_in", usd_json(m->price.in),
                                               "usd_per_mtok_out", usd_json(m->price.out)));
    json_array_append_new(
        b->lines,
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "name", m->name, "duty", m->duty,
                  "calls", (json_int_t)m->calls, "tokens_in", (json_int_t)m->usage.tokens_in,
                  "tokens_cached", (json_int_t)m->usage.tokens_cached, "tokens_out",
                  (json_int_t)m->usage.tokens_out, "tokens_reasoning",
                  (json_int_t)m->tokens_reasoning, "cost_usd", usd_json(m->cost_usd_nano)));
    b->cost_usd_nano += m->cost_usd_nano;
    if (m->calls) b->fixed_usd_nano += m->fixed_usd_nano;
    return ENX_OK;
}

static enx_status set_bill(enx_store *store, uint64_t id, json_t *job, enx_report *report)
{
    bill_view        b = { json_array(), json_array(), 0, 0 };
    enx_store_doubts doubts = { 0 };
    enx_status       status = enx_store_bill_each(store, id, take_line, &b, report);
    if (status == ENX_OK) status = enx_store_doubts_get(store, id, &doubts, report);
    json_object_set_new(job, "models", b.models);
    json_object_set_new(
        job, "bill",
        json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:I}", "models", b.lines, "cost_usd",
                  usd_json(b.cost_usd_nano), "fixed_usd", usd_json(b.fixed_usd_nano), "total_usd",
                  usd_json(b.cost_usd_nano + b.fixed_usd_nano), "open_calls",
                  (json_int_t)doubts.open_calls, "open_usd", usd_json(doubts.open_usd_nano),
                  "assumed_calls", (json_int_t)doubts.assumed_calls));
    return status;
}

/* ---- Tasks ---------------------------------------------------------------------------------- */

typedef struct fold {
    json_t                *tasks;
    uint64_t               total, last_seq;
    const json_t          *items;
    const enx_event_names *names;
    json_t                *plan, *gate, *certificate;
    bool                   is_single;
    uint64_t              *cost_usd_nano; /* owned, [ENX_JOBS_TASKS_MAX + 1], by task */
} fold;

static json_t *task_of(const fold *f, const enx_record *r)
{
    return r->task_id > 0 ? json_array_get(f->tasks, r->task_id - 1) : NULL;
}

static void set(json_t *out, const char *key, json_t *value)
{
    json_object_set_new(out, key, value);
}

static void create_task(fold *f, const enx_record *r)
{
    f->total++;
    if (json_array_size(f->tasks) >= ENX_JOBS_TASKS_MAX ||
        r->task_id != json_array_size(f->tasks) + 1)
        return;
    json_t *input = json_array_get(f->items, r->item);
    json_array_append_new(
        f->tasks,
        json_pack("{s:I, s:I, s:s, s:s, s:i, s:s, s:s, s:b, s:s, s:s, s:n, s:f, s:O, s:n}", "task",
                  (json_int_t)r->task_id, "item", (json_int_t)r->item, "state", "open", "language",
                  "", "level", -1, "model", "", "role", "", "escalated", 0, "reason", "", "note",
                  "", "error_chance", "cost_usd", 0.0, "input", input ? input : json_null(),
                  "answer"));
}

static void end_task(const fold *f, const enx_record *r, const char *state)
{
    json_t    *task = task_of(f, r);
    const bool is_accepted = r->kind == ENX_RECORD_TASK_ACCEPTED;
    if (!task) return;
    set(task, "state", json_string(state));
    set(task, "reason", json_string(enx_reason_text(r->reason)));
    set(task, is_accepted ? "answer" : "note", enx_voice_text(r->text, r->text_bytes));
    if (!is_accepted) return;
    set(task, "model", json_string(enx_event_name(f->names, r->model)));
    set(task, "role", json_string(enx_role_text(r->role)));
    set(task, "error_chance", json_real(r->error_chance));
}

static void route_task(const fold *f, const enx_record *r)
{
    json_t *task = task_of(f, r);
    if (!task) return;
    set(task, "state", json_string("routed"));
    set(task, "language", json_string(r->language));
    set(task, "level", json_integer(r->level));
    set(task, "model", json_string(enx_event_name(f->names, r->model)));
}

static void escalate_task(const fold *f, const enx_record *r)
{
    json_t *task = task_of(f, r);
    if (!task) return;
    set(task, "escalated", json_true());
    set(task, "note", enx_voice_text(r->text, r->text_bytes));
    set(task, "reason", json_string(enx_reason_text(r->reason)));
}

/* An audit that says wrong puts the lead's answer in place of the worker's. */
static void label_task(const fold *f, const enx_record *r)
{
    json_t *task = task_of(f, r);
    if (!task) return;
    set(task, "audited", json_true());
    set(task, "was_wrong", json_boolean(r->is_wrong));
    if (r->is_wrong && r->text_bytes) set(task, "answer", enx_voice_text(r->text, r->text_bytes));
}

/* The end of a goal is a decision about it, and not another plan. */
static void take_plan(fold *f, const enx_record *r)
{
    json_t     *plan = r->text_bytes ? json_loadb(r->text, r->text_bytes, 0, NULL) : NULL;
    const char *mode = json_string_value(json_object_get(plan, "mode"));
    if (mode && strcmp(mode, "deliver") == 0) {
        json_decref(plan);
        return;
    }
    json_decref(f->plan);
    f->plan = plan;
}

/* Of the job; or one of each stage of a goal, in an array. */
static void take_certificate(fold *f, const enx_record *r)
{
    json_t *certificate = enx_event_certificate(&r->certificate);
    if (r->task_id == 0) {
        json_decref(f->certificate);
        f->certificate = certificate;
        return;
    }
    if (!f->certificate) f->certificate = json_array();
    set(certificate, "class", enx_voice_text(r->text, r->text_bytes));
    json_array_append_new(f->certificate, certificate);
}

static enx_status take_record(void *user, const enx_record *r, enx_report *report)
{
    fold *f = user;
    (void)report;
    f->last_seq = r->seq;
    switch (r->kind) {
    case ENX_RECORD_GATED:
        f->is_single = r->is_single;
        set(f->gate, "gate", json_string(enx_reason_text(r->reason)));
        break;
    case ENX_RECORD_PLAN_ACCEPTED:
        take_plan(f, r);
        break;
    case ENX_RECORD_TASK_CREATED:
        create_task(f, r);
        break;
    case ENX_RECORD_TASK_ROUTED:
        route_task(f, r);
        break;
    case ENX_RECORD_TASK_ESCALATED:
        escalate_task(f, r);
        break;
    case ENX_RECORD_TASK_ACCEPTED:
        end_task(f, r, "accepted");
        break;
    case ENX_RECORD_TASK_ABSTAINED:
        end_task(f, r, "abstained");
        break;
    case ENX_RECORD_TASK_FAILED:
        end_task(f, r, "failed");
        break;
    case ENX_RECORD_LABEL: /* a task that had gone up was not audited */
        if (r->reason != ENX_REASON_ANSWERED) label_task(f, r);
        break;
    case ENX_RECORD_CALL_RESULT:
        if (r->task_id <= ENX_JOBS_TASKS_MAX) f->cost_usd_nano[r->task_id] += r->cost_usd_nano;
        break;
    case ENX_RECORD_CERTIFICATE:
        take_certificate(f, r);
        break;
    default:
        break; /* the others say nothing of a task */
    }
    return ENX_OK;
}

static void put_fold(const fold *f, json_t *job)
{
    size_t  i;
    json_t *task;
    json_array_foreach (f->tasks, i, task) set(task, "cost_usd", usd_json(f->cost_usd_nano[i + 1]));
    set(job, "tasks", f->tasks);
    set(job, "tasks_total", json_integer((json_int_t)f->total));
    set(job, "single", json_boolean(f->is_single));
    set(job, "plan", f->plan ? f->plan : json_null());
    set(job, "certificate", f->certificate ? f->certificate : json_null());
    set(job, "last_seq", json_integer((json_int_t)f->last_seq));
}

static enx_status set_tasks(enx_store *store, uint64_t id, const json_t *items, json_t *job,
                            enx_report *report)
{
    enx_event_names names = { .count = 0 };
    fold            f = { .tasks = json_array(), .items = items, .names = &names, .gate = job };
    set(job, "gate", json_null());
    f.cost_usd_nano = ENX_MEM_NEW(uint64_t, ENX_JOBS_TASKS_MAX + 1);
    enx_status status =
        f.cost_usd_nano ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for the tasks");
    if (status == ENX_OK) status = enx_job_view_names(store, id, &names, report);
    if (status == ENX_OK) status = enx_store_replay(store, id, take_record, &f, report);
    if (f.cost_usd_nano) put_fold(&f, job);
    enx_mem_free(f.cost_usd_nano);
    enx_job_view_names_close(&names);
    return status;
}

enx_status enx_job_view_one(enx_store *store, uint64_t id, const json_t *items,
                            enx_job_state_fn state, void *user, json_t **out, enx_report *report)
{
    list_view   v = { json_array(), 0, 1, state, user, NULL };
    enx_status  status = enx_store_job_get(store, id, take_job, &v, report);
    json_t     *job = json_incref(json_array_get(v.jobs, 0));
    const char *mode = json_string_value(json_object_get(v.settings, "mode"));
    if (status == ENX_OK && !job) status = ENX_FAIL(report, NOTFOUND, "there is no such job");
    if (status == ENX_OK) {
        set(job, "mode", json_string(mode ? mode : ""));
        status = set_tasks(store, id, items, job, report);
    }
    if (status == ENX_OK) status = set_bill(store, id, job, report);
    json_decref(v.jobs);
    json_decref(v.settings);
    if (status == ENX_OK) *out = job;
    else json_decref(job);
    return status;
}

/* ---- State ---------------------------------------------------------------------------------- */

typedef struct state_view {
    char  *out;
    size_t out_bytes;
} state_view;

static enx_status take_state(void *user, const enx_store_job *j, enx_report *report)
{
    const state_view *v = user;
    (void)report;
    snprintf(v->out, v->out_bytes, "%s", j->state);
    return ENX_OK;
}

enx_status enx_job_view_state(enx_store *store, uint64_t id, char *out, size_t out_bytes,
                              enx_report *report)
{
    state_view v = { out, out_bytes };
    return enx_store_job_get(store, id, take_state, &v, report);
}

static enx_status take_budget(void *user, const enx_store_job *j, enx_report *report)
{
    json_t *settings = json_loads(j->settings, 0, NULL);
    (void)report;
    *(double *)user = json_number_value(json_object_get(settings, "budget_usd"));
    json_decref(settings);
    return ENX_OK;
}

double enx_job_view_budget_usd(enx_store *store, uint64_t id)
{
    double usd = 0;
    (void)!enx_store_job_get(store, id, take_budget, &usd, NULL);
    return usd;
}
