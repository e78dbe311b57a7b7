/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_state.c - the state of a job as the sum of its records. */
#include "swarm/swarm_flow.h"

#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- How a task goes ----------------------------------------------------------------------
 *
 *           created      slot and budget free        report           next role, or again
 *    (new) ────────► QUEUED ────────────────► CALLED ────────► REPORTED ────────────┐
 *                      ▲   CALL_INTENT          │  CALL_RESULT    ▲  │              │
 *                      │                        └─ CALL_LOST ─────┘  │              │
 *                      └────────────────────────────────────────────────────────────┘
 *                                                                    │ decided
 *          roles: SCOUT ──► WORK ──► (escalated) LEAD                ▼
 *                                                       ACCEPTED │ ABSTAINED │ FAILED
 *          AUDIT is work on a task that stays ACCEPTED.   RETURNED: the job ended before.
 *
 * The state is changed by swarm_apply() from records, live and in replay alike, and the record of
 * the job's end returns what is still open.  Beside it only three things move a task: a retry puts
 * it back into its queue, an audit is queued, and a budget too small for its next call returns it.
 * All three follow from the state and are found again when a job goes on after a replay.
 * A record is applied when it is made, saved with the batch it belongs to, and only then do its
 * calls leave through the ports: what the world sees was always saved before.
 *
 * (1) tasks[state] counts the tasks in each state.
 * (2) A task is in the queue of exactly one model when its work is QUEUED, else in none.
 * (3) A task has at most one open call, and one more that hedges it; then its work is CALLED.  Call
 *     ids never repeat.
 * (4) in_flight of a model = its open calls <= its slots.
 * (5) reserved and unknown of the ledger are the sums over calls without result, and no cap is
 *     passed while calls keep to what they reserved.
 * (6) A finished task has no work, but for an audit of an accepted one.
 * (7) When the job is over no task is open and nothing queued, and no call is open unless the
 *     machine stopped.
 * (8) The list of open calls holds exactly those, in order of issue.                            */

enum { CALLS_FIRST = 64, TEXTS_FIRST_BYTES = 4096 };

/* ---- texts --------------------------------------------------------------------------------- */

const char *swarm_text_get(const enx_swarm *s, swarm_text text)
{
    return s->texts ? s->texts + text.offset : "";
}

static enx_status grow_texts(enx_swarm *s, size_t extra)
{
    const size_t need = s->texts_bytes + extra;
    if (need <= s->texts_capacity) return ENX_OK;
    size_t capacity = s->texts_capacity ? s->texts_capacity : TEXTS_FIRST_BYTES;
    while (capacity < need) capacity *= 2;
    char *grown = enx_mem_resize(s->texts, s->texts_bytes, capacity);
    if (!grown) return ENX_NOMEM;
    s->texts = grown;
    s->texts_capacity = capacity;
    if (s->texts_bytes == 0) s->texts_bytes = 1; /* offset 0 is "" */
    return ENX_OK;
}

static bool is_same(const enx_swarm *s, swarm_text text, const char *bytes, size_t size_bytes)
{
    return text.size_bytes == size_bytes && memcmp(swarm_text_get(s, text), bytes, size_bytes) == 0;
}

/* Put a text into the pool, unless it is there already. */
static enx_status intern(enx_swarm *s, uint32_t item, const char *bytes, size_t size_bytes,
                         swarm_text *out)
{
    *out = (swarm_text){ 0 };
    if (size_bytes == 0) return ENX_OK;
    if (s->texts && bytes >= s->texts && bytes < s->texts + s->texts_bytes) {
        *out = (swarm_text){ (size_t)(bytes - s->texts), size_bytes };
        return ENX_OK;
    }
    const swarm_item *at = &s->items[item];
    if (at->call != SWARM_NONE && is_same(s, s->calls[at->call].answer, bytes, size_bytes)) {
        *out = s->calls[at->call].answer;
        return ENX_OK;
    }
    if (at->has_kept && is_same(s, at->kept, bytes, size_bytes)) {
        *out = at->kept;
        return ENX_OK;
    }
    ENX_TRY(grow_texts(s, size_bytes + 2));
    *out = (swarm_text){ s->texts_bytes, size_bytes };
    memcpy(s->texts + s->texts_bytes, bytes, size_bytes);
    s->texts_bytes += size_bytes;
    s->texts[s->texts_bytes++] = '\0';
    return ENX_OK;
}

enx_span swarm_input(const enx_swarm *s, const swarm_item *at)
{
    if (!at->is_made) return at->input;
    return (enx_span){ swarm_text_get(s, at->made), at->made.size_bytes };
}

/* ---- queues and lists ---------------------------------------------------------------------- */

void swarm_enqueue(enx_swarm *s, uint32_t item, enx_role role, uint32_t model)
{
    swarm_item *at = &s->items[item];
    ENX_CHECK(at->work != WORK_QUEUED && at->work != WORK_CALLED && model < ENX_ROSTER_MODELS_MAX);
    swarm_queue *queue = &s->models[model].queue;
    if (at->role != role) at->attempt = 0;
    at->work = WORK_QUEUED;
    at->role = role;
    at->model = model;
    at->prev = queue->last;
    at->next = SWARM_NONE;
    if (queue->last == SWARM_NONE) queue->first = item;
    else s->items[queue->last].next = item;
    queue->last = item;
    queue->count++;
}

void swarm_dequeue(enx_swarm *s, uint32_t item)
{
    swarm_item *at = &s->items[item];
    if (at->work != WORK_QUEUED) return;
    swarm_queue *queue = &s->models[at->model].queue;
    if (at->prev == SWARM_NONE) queue->first = at->next;
    else s->items[at->prev].next = at->next;
    if (at->next == SWARM_NONE) queue->last = at->prev;
    else s->items[at->next].prev = at->prev;
    queue->count--;
    at->prev = at->next = SWARM_NONE;
    at->work = WORK_NONE;
}

static void link_open(enx_swarm *s, uint32_t call)
{
    swarm_call *entry = &s->calls[call];
    entry->prev = s->open_last;
    entry->next = SWARM_NONE;
    if (s->open_last == SWARM_NONE) s->open_first = call;
    else s->calls[s->open_last].next = call;
    s->open_last = call;
    s->open_count++;
    s->models[entry->reserved.model].in_flight++;
}

static void unlink_open(enx_swarm *s, uint32_t call)
{
    swarm_call *entry = &s->calls[call];
    if (entry->prev == SWARM_NONE) s->open_first = entry->next;
    else s->calls[entry->prev].next = entry->next;
    if (entry->next == SWARM_NONE) s->open_last = entry->prev;
    else s->calls[entry->next].prev = entry->prev;
    s->open_count--;
    s->models[entry->reserved.model].in_flight--;
}

void swarm_set_state(enx_swarm *s, uint32_t item, enx_task_state state)
{
    const bool was_open = s->items[item].state == ENX_TASK_OPEN;
    if (s->items[item].stage != SWARM_NONE)
        s->stages[s->items[item].stage].open += (state == ENX_TASK_OPEN) - was_open;
    if (item != s->item_count) {
        s->tasks[s->items[item].state]--;
        s->tasks[state]++;
    }
    s->items[item].state = state;
}

bool swarm_is_leads(const enx_swarm *s, const enx_class *task_class)
{
    return s->is_single || s->options.mode == ENX_SWARM_MODE_LEAD || task_class->is_leads;
}

/* FNV-1a, folded: the low bits of the product alone would be those of the last bytes. */
uint32_t swarm_spread(const enx_swarm *s, uint32_t item)
{
    const enx_span input = swarm_input(s, &s->items[item]);
    uint64_t       hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < input.size_bytes; i++)
        hash = (hash ^ (uint8_t)input.text[i]) * UINT64_C(0x100000001B3);
    return (uint32_t)(hash ^ hash >> 32);
}

uint32_t swarm_worker_for(const enx_swarm *s, const char *specialty, uint32_t item)
{
    uint32_t       found[ENX_ROSTER_MODELS_MAX];
    const uint32_t count = swarm_workers_for(s, specialty, found);
    const uint32_t first = count > 1 ? swarm_spread(s, item) % count : 0;
    for (uint32_t k = 0; k < count; k++)
        if (swarm_may_work(s, found[(first + k) % count], item)) return found[(first + k) % count];
    return count ? found[first] : SWARM_NONE;
}

uint32_t swarm_workers_for(const enx_swarm *s, const char *specialty,
                           uint32_t found[ENX_ROSTER_MODELS_MAX])
{
    uint32_t count = 0;
    for (uint32_t m = 0; m < s->options.roster->model_count; m++) {
        const enx_roster_model *model = &s->options.roster->models[m];
        bool                    does = model->duty == ENX_DUTY_WORKER && !specialty;
        for (uint32_t i = 0; model->duty == ENX_DUTY_WORKER && i < model->language_count && !does;
             i++)
            does = strcmp(model->languages[i], specialty) == 0;
        if (does) found[count++] = m;
    }
    return count;
}

uint64_t swarm_call_id(const enx_swarm *s, uint32_t call)
{
    return s->options.job_id << 32 | ((uint64_t)call + 1);
}

uint32_t swarm_task_id(const enx_swarm *s, uint32_t item)
{
    return item == s->item_count ? 0 : item + 1;
}

bool swarm_is_over(const enx_swarm *s) { return s->is_stopped || s->end != ENX_SWARM_RUNNING; }

/* ---- records of calls ---------------------------------------------------------------------- */

const char *swarm_class_name(const enx_swarm *s, uint32_t item)
{
    return s->items[item].task_class ? s->items[item].task_class->name : NULL;
}

/* All allowances are told of the same day. */
static void reserve_allowances(enx_swarm *s, swarm_call *entry)
{
    for (uint32_t i = 0; i < s->options.allowance_count; i++) {
        entry->day = s->allowances[i].day;
        if (enx_allowance_covers(&s->allowances[i], swarm_class_name(s, entry->item)))
            enx_allowance_reserve(&s->allowances[i], &entry->reserved);
    }
}

static void settle_allowances(enx_swarm *s, const swarm_call *entry, const enx_record *record)
{
    const enx_use use = { .usd_nano = record->cost_usd_nano,
                          .tokens = enx_usage_tokens(&record->report.usage),
                          .calls = !(record->report.flags & ENX_FLAG_REUSED),
                          .time_us = record->report.latency_us };
    for (uint32_t i = 0; entry->day && i < s->options.allowance_count; i++)
        if (enx_allowance_covers(&s->allowances[i], swarm_class_name(s, entry->item)))
            enx_allowance_settle(&s->allowances[i], entry->day, &entry->reserved, &use);
}

static enx_status apply_intent(enx_swarm *s, uint32_t item, const enx_record *record,
                               enx_report *report)
{
    swarm_item *at = &s->items[item];
    uint32_t    lead;
    double      chance;
    const bool  is_hedge = at->work == WORK_CALLED;
    if (record->call_id != swarm_call_id(s, s->call_count) ||
        (is_hedge && (at->hedge != SWARM_NONE || at->role != record->role)))
        return ENX_FAIL(report, FORMAT,
                        "record %" PRIu64 ": intent of call %" PRIu64 " cannot follow", record->seq,
                        record->call_id);
    if (s->call_count == s->call_capacity) {
        const uint32_t capacity = s->call_capacity ? s->call_capacity * 2 : CALLS_FIRST;
        swarm_call    *grown =
            enx_mem_resize(s->calls, s->call_capacity * sizeof *grown, capacity * sizeof *grown);
        if (!grown) return ENX_FAIL(report, NOMEM, "no memory for %u calls", capacity);
        s->calls = grown;
        s->call_capacity = capacity;
    }
    swarm_dequeue(s, item);
    s->calls[s->call_count] = (swarm_call){
        .item = item,
        .attempt = record->attempt,
        .reserved = { record->reserved_usd_nano, record->reserved_tokens, record->model,
                      record->role },
    };
    if (is_hedge) {
        at->hedge = s->call_count;
    } else {
        at->work = WORK_CALLED;
        at->role = record->role;
        at->model = record->model;
        at->attempt = record->attempt;
        at->call = s->call_count;
    }
    if (s->is_started) reserve_allowances(s, &s->calls[s->call_count]);
    if (item == s->item_count) at->state = ENX_TASK_OPEN;
    if (record->role == ENX_ROLE_VERIFY && at->vote_count > 0)
        at->candidate = swarm_count_votes(s, at, &lead, &chance);
    enx_budget_reserve(&s->budget, &s->calls[s->call_count].reserved);
    link_open(s, s->call_count++);
    return ENX_OK;
}

/* The entry of a call that may still get a result, or NULL. */
static swarm_call *unsettled(enx_swarm *s, const enx_record *record)
{
    const uint64_t index = (record->call_id & UINT32_MAX) - 1;
    if (record->call_id >> 32 != s->options.job_id || index >= s->call_count) return NULL;
    swarm_call *entry = &s->calls[index];
    return entry->state == CALL_SETTLED ? NULL : entry;
}

static double sane_chance(double chance) { return chance >= 0 && chance <= 1 ? chance : 1; }

static void take_report(swarm_call *entry, const enx_call_report *report, const swarm_texts *texts)
{
    entry->status = report->status;
    entry->answer = texts->answer;
    entry->error = texts->error;
    memcpy(entry->language, report->language, sizeof entry->language);
    entry->language[sizeof entry->language - 1] = '\0';
    entry->level = report->level;
    entry->confidence = isfinite(report->confidence) ? report->confidence : 0;
    entry->error_chance = sane_chance(report->error_chance);
    entry->flags = report->flags;
}

/* A worker's answer to a task is its candidate, or a vote beside it. */
static void take_vote(const enx_swarm *s, swarm_item *at, uint32_t call)
{
    const swarm_call *entry = &s->calls[call];
    const bool        is_work = entry->reserved.role == ENX_ROLE_WORK;
    if (entry->status != ENX_CALL_OK || (!is_work && entry->reserved.role != ENX_ROLE_SECOND))
        return;
    if (is_work) {
        at->candidate = call;
        at->vote_count = 0;
    }
    if (at->vote_count < ENX_VOTES_MAX) at->votes[at->vote_count++] = call;
}

/* How well a model does, and since when a task does not: set_aside() of swarm_flow.c
 * weighs the two. */
static void note_end(enx_swarm *s, const swarm_call *entry)
{
    swarm_model *model = &s->models[entry->reserved.model];
    const bool   is_failed = entry->status == ENX_CALL_ERROR || entry->status == ENX_CALL_LOST;
    if (!is_failed) model->answered++;
    else if (entry->attempt == 1) s->items[entry->item].failed_at = model->answered;
}

/* An open call of a task has ended.  The first answer counts, an end without one only when no other
 * call is left. */
static void end_call(enx_swarm *s, uint32_t call, bool is_answer)
{
    swarm_item    *at = &s->items[s->calls[call].item];
    const uint32_t other = call == at->hedge ? at->call : at->hedge;
    if (at->work != WORK_CALLED) {
        if (call == at->hedge) at->hedge = SWARM_NONE;
    } else if (other == SWARM_NONE || is_answer) {
        at->call = call;
        at->hedge = other;
        at->work = WORK_REPORTED;
    } else {
        at->call = other;
        at->hedge = SWARM_NONE;
    }
}

static enx_status apply_result(enx_swarm *s, const enx_record *record, swarm_texts *texts,
                               enx_report *report)
{
    swarm_call *entry = unsettled(s, record);
    if (!entry || (unsigned)record->report.status >= ENX_CALL_LOST)
        return ENX_FAIL(report, FORMAT,
                        "record %" PRIu64 ": result of call %" PRIu64 " cannot follow", record->seq,
                        record->call_id);
    const enx_call_report *got = &record->report;
    const char            *error = got->error ? got->error : "";
    const uint32_t         item = entry->item;
    ENX_TRY(intern(s, item, got->answer, got->answer_bytes, &texts->answer));
    ENX_TRY(intern(s, item, error, strlen(error), &texts->error));

    const uint32_t   call = (uint32_t)(entry - s->calls);
    const enx_price *price = &s->options.roster->models[entry->reserved.model].price;
    if (got->flags & ENX_FLAG_REUSED)
        enx_budget_release(&s->budget, &entry->reserved, entry->is_unknown);
    else enx_budget_settle(&s->budget, &entry->reserved, entry->is_unknown, &got->usage, price);
    settle_allowances(s, entry, record);
    entry->is_unknown = false;
    const bool was_open = entry->state == CALL_OPEN;
    if (was_open) unlink_open(s, call);
    entry->state = CALL_SETTLED;
    if (!was_open) return ENX_OK; /* late: it settles the bill and nothing else */
    take_report(entry, got, texts);
    note_end(s, entry);
    swarm_strike(s, entry);
    take_vote(s, &s->items[item], call);
    end_call(s, call, got->status != ENX_CALL_ERROR);
    return ENX_OK;
}

static enx_status apply_lost(enx_swarm *s, const enx_record *record, swarm_text why,
                             enx_report *report)
{
    swarm_call *entry = unsettled(s, record);
    if (!entry || entry->state != CALL_OPEN)
        return ENX_FAIL(report, FORMAT,
                        "record %" PRIu64 ": loss of call %" PRIu64 " cannot follow", record->seq,
                        record->call_id);
    const uint32_t call = (uint32_t)(entry - s->calls);
    unlink_open(s, call);
    if (!entry->is_unknown) enx_budget_lose(&s->budget, &entry->reserved);
    entry->is_unknown = true;
    entry->state = CALL_GIVEN_UP;
    entry->status = ENX_CALL_LOST;
    entry->error = why;
    note_end(s, entry);
    if (record->reason == ENX_REASON_TIMED_OUT || record->reason == ENX_REASON_CALL_FAILED)
        swarm_strike(s, entry);
    end_call(s, call, false);
    return ENX_OK;
}

/* ---- records of tasks ---------------------------------------------------------------------- */

/* The first call of a task: of the scout, a worker of its specialty, or else the lead. */
static void apply_created(enx_swarm *s, uint32_t item, swarm_text text)
{
    swarm_item *at = &s->items[item];
    at->is_created = true;
    at->kinds = s->plan.kinds;
    if (text.size_bytes) {
        at->made = text;
        at->is_made = true;
    }
    if (!at->task_class) at->task_class = s->options.given ? s->options.given : &s->restore;
    const uint32_t worker = swarm_worker_for(s, at->task_class->specialty, item);
    if (at->task_class->is_scouted && s->scout != SWARM_NONE)
        swarm_enqueue(s, item, ENX_ROLE_SCOUT, s->scout);
    else if (swarm_is_leads(s, at->task_class) || at->task_class->is_scouted ||
             worker == SWARM_NONE)
        swarm_enqueue(s, item, ENX_ROLE_LEAD, s->lead);
    else swarm_enqueue(s, item, ENX_ROLE_WORK, worker);
}

static void apply_routed(enx_swarm *s, uint32_t item, const enx_record *record)
{
    swarm_item *at = &s->items[item];
    memcpy(at->language, record->language, sizeof at->language);
    at->language[sizeof at->language - 1] = '\0';
    at->level = record->level;
    at->kinds = record->kinds;
    swarm_dequeue(s, item);
    const bool is_leads = record->model == s->lead;
    swarm_enqueue(s, item, is_leads ? ENX_ROLE_LEAD : ENX_ROLE_WORK, record->model);
}

/* What the worker said stays at hand where its deterministic checks had passed. */
static void keep_answer(enx_swarm *s, swarm_item *at, enx_reason reason)
{
    const bool is_doubt = reason == ENX_REASON_LOW_CONFIDENCE || reason == ENX_REASON_DISAGREE ||
                          reason == ENX_REASON_DOUBTED || reason == ENX_REASON_KNOWN;
    if (is_doubt && at->candidate != SWARM_NONE) {
        const swarm_call *entry = &s->calls[at->candidate];
        at->has_kept = true;
        at->kept = entry->answer;
        at->kept_model = entry->reserved.model;
        at->kept_error_chance = entry->error_chance;
    }
    const bool is_taken_back = reason == ENX_REASON_UNCERTIFIED || reason == ENX_REASON_CROSS;
    if (is_taken_back && at->has_answer) {
        at->has_kept = true;
        at->kept = at->answer;
        at->kept_model = at->answer_model;
        at->kept_error_chance = at->error_chance;
    }
}

static enx_status apply_escalated(enx_swarm *s, uint32_t item, const enx_record *record,
                                  swarm_text note, enx_report *report)
{
    swarm_item *at = &s->items[item];
    if (s->lead == SWARM_NONE || at->work == WORK_CALLED)
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": task %u cannot be escalated",
                        record->seq, record->task_id);
    keep_answer(s, at, record->reason);
    at->is_escalated = true;
    at->escalate_reason = record->reason;
    at->note = note;
    at->has_answer = false;
    s->escalated++;
    s->models[record->model].counts.escalated++;
    if (at->state == ENX_TASK_ACCEPTED) s->models[at->answer_model].counts.accepted--;
    swarm_set_state(s, item, ENX_TASK_OPEN);
    swarm_dequeue(s, item);
    at->work = WORK_NONE;
    swarm_enqueue(s, item, ENX_ROLE_LEAD, s->lead);
    return ENX_OK;
}

static enx_status apply_finished(enx_swarm *s, uint32_t item, const enx_record *record,
                                 swarm_text text, enx_report *report)
{
    swarm_item *at = &s->items[item];
    if (at->state != ENX_TASK_OPEN || at->work == WORK_CALLED)
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": task %u cannot end here", record->seq,
                        record->task_id);
    enx_swarm_progress *counts = &s->models[record->model].counts;
    swarm_dequeue(s, item);
    at->work = WORK_NONE;
    at->reason = record->reason;
    at->error_chance = sane_chance(record->error_chance);
    if (record->role == ENX_ROLE_SCOUT && at->call != SWARM_NONE)
        memcpy(at->language, s->calls[at->call].language, sizeof at->language);
    if (record->kind == ENX_RECORD_TASK_ACCEPTED) {
        at->has_answer = true;
        at->answer = text;
        at->answer_model = record->model;
        at->answer_role = record->role;
        at->is_candidate |=
            record->reason == ENX_REASON_CHECKED || record->reason == ENX_REASON_UNDAMAGED;
        counts->accepted++;
        swarm_set_state(s, item, ENX_TASK_ACCEPTED);
        return ENX_OK;
    }
    const bool is_abstained = record->kind == ENX_RECORD_TASK_ABSTAINED;
    at->note = text;
    if (is_abstained) counts->abstained++;
    else counts->failed++;
    swarm_set_state(s, item, is_abstained ? ENX_TASK_ABSTAINED : ENX_TASK_FAILED);
    return ENX_OK;
}

/* What a stream said of an answer. */
static enx_status apply_offer(enx_swarm *s, uint32_t item, const enx_record *record,
                              enx_report *report)
{
    swarm_item    *at = &s->items[item];
    const uint64_t call = record->call_id & UINT32_MAX;
    if (!s->options.stream || record->offer.stream != s->options.stream_id)
        return ENX_FAIL(report, INVALID,
                        "the job's answers are part of another certificate: class, checks, models "
                        "or accuracy changed since it began; put them back, or cancel it");
    if (at->state != ENX_TASK_OPEN || at->ticket.offer || record->offer.number == 0 ||
        record->offer.verdict > ENX_STREAM_DELIVER || call > s->call_count)
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": task %u cannot be offered",
                        record->seq, record->task_id);
    at->ticket = (enx_stream_ticket){ .offer = record->offer.number,
                                      .score = record->score,
                                      .chance = record->offer.chance,
                                      .verdict = (enx_stream_verdict)record->offer.verdict };
    at->held_call = call ? (uint32_t)call - 1 : SWARM_NONE;
    at->held_chance = record->error_chance;
    s->offers++;
    return ENX_OK;
}

static enx_status apply_truth(enx_swarm *s, uint32_t item, const enx_record *record)
{
    const bool is_leads = record->role == ENX_ROLE_LEAD;
    s->items[item].is_known[is_leads] = true;
    s->known[is_leads].count++;
    s->known[is_leads].wrong += record->is_wrong;
    return ENX_OK;
}

static enx_status apply_label(enx_swarm *s, uint32_t item, const enx_record *record,
                              swarm_text text, enx_report *report)
{
    swarm_item *at = &s->items[item];
    if (record->offer.stream) at->is_told = true;
    if (record->reason == ENX_REASON_ANSWERED) {
        at->is_answered = true;
        return ENX_OK;
    }
    if (at->state != ENX_TASK_ACCEPTED || at->label != LABEL_NONE)
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": task %u cannot be labelled",
                        record->seq, record->task_id);
    swarm_dequeue(s, item);
    at->work = WORK_NONE;
    at->label = record->is_wrong ? LABEL_WRONG : LABEL_RIGHT;
    if (record->is_wrong && record->reason == ENX_REASON_AUDITED) {
        s->models[at->answer_model].counts.accepted--;
        s->models[record->model].counts.accepted++;
        at->answer = text;
        at->answer_model = record->model;
        at->answer_role = ENX_ROLE_AUDIT;
    }
    at->is_lost = record->reason == ENX_REASON_AUDIT_FAILED;
    swarm_certify_label(s, item);
    return ENX_OK;
}

static enx_status apply_task(enx_swarm *s, uint32_t item, const enx_record *record, swarm_text text,
                             enx_report *report)
{
    if (item == s->item_count)
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 " names no task", record->seq);
    if (s->items[item].is_created == (record->kind == ENX_RECORD_TASK_CREATED))
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": task %u is created %s", record->seq,
                        record->task_id, s->items[item].is_created ? "twice" : "too late");
    if (record->kind == ENX_RECORD_TASK_CREATED) apply_created(s, item, text);
    else if (record->kind == ENX_RECORD_TASK_ROUTED) {
        if (s->items[item].work == WORK_CALLED || s->items[item].state != ENX_TASK_OPEN)
            return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": task %u cannot be routed",
                            record->seq, record->task_id);
        apply_routed(s, item, record);
    } else if (record->kind == ENX_RECORD_TASK_ESCALATED)
        return apply_escalated(s, item, record, text, report);
    else if (record->kind == ENX_RECORD_LABEL) return apply_label(s, item, record, text, report);
    else if (record->kind == ENX_RECORD_OFFER) return apply_offer(s, item, record, report);
    else if (record->kind == ENX_RECORD_TRUTH) return apply_truth(s, item, record);
    else return apply_finished(s, item, record, text, report);
    return ENX_OK;
}

/* ---- records of the job -------------------------------------------------------------------- */

static enx_status apply_opened(enx_swarm *s, const enx_record *record, enx_report *report)
{
    if (record->fingerprint != s->fingerprint || record->items != s->options.item_count)
        return ENX_FAIL(report, INVALID,
                        "job %" PRIu64 " was opened with other input (%u tasks, "
                        "now %u), another goal or mode",
                        record->job_id, record->items, s->options.item_count);
    s->is_opened = true;
    s->seed = record->seed;
    return ENX_OK;
}

/* The lead's plan as a class of tasks.  Damage has no words here: models that restore know it from
 * their making, and others are told by their backend. */
static void make_restore(enx_swarm *s)
{
    uint32_t count = 0;
    if (s->plan.check_round_trip)
        s->restore_checks[count++] = (enx_check){ .kind = ENX_CHECK_ROUND_TRIP };
    if (s->plan.check_confidence)
        s->restore_checks[count++] = (enx_check){ .kind = ENX_CHECK_CONFIDENCE };
    s->restore =
        (enx_class){ .name = "restore",
                     .is_scouted = true,
                     .checks = s->restore_checks,
                     .check_count = count,
                     .on_fail = s->plan.escalate ? ENX_ON_FAIL_ESCALATE : ENX_ON_FAIL_SKIP };
}

static enx_status apply_plan(enx_swarm *s, const enx_record *record, enx_report *report)
{
    if (s->options.is_goal) return swarm_apply_graph(s, record, report);
    if (s->options.given) {
        s->plan = (enx_plan){ .kinds = ENX_KINDS_ALL, .escalate = true };
    } else if (record->text_bytes) {
        ENX_TRY(enx_plan_parse(&s->plan, record->text, record->text_bytes, report));
    } else {
        s->plan = (enx_plan){ .is_single = true, .kinds = ENX_KINDS_ALL, .check_round_trip = true };
    }
    make_restore(s);
    s->has_plan = true;
    s->items[s->item_count].work = WORK_NONE;
    s->items[s->item_count].state = ENX_TASK_ACCEPTED;
    return ENX_OK;
}

/* Unfinished tasks keep their input and no work. */
static void return_tasks(enx_swarm *s)
{
    for (uint32_t i = 0; i <= s->item_count; i++) {
        swarm_dequeue(s, i);
        s->items[i].work = WORK_NONE;
        if (s->items[i].state == ENX_TASK_OPEN) swarm_set_state(s, i, ENX_TASK_RETURNED);
    }
}

/* Tasks are returned here, by the record, so that a job that is over after a replay looks as it did
 * when it ended.  A partial job that is replayed goes on, and earns a new certificate. */
static enx_status apply_end(enx_swarm *s, const enx_record *record, swarm_text text,
                            enx_report *report)
{
    if (s->open_count > 0)
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": the job ends with %u open calls",
                        record->seq, s->open_count);
    s->end_reason = record->reason;
    s->end_note = text;
    if (record->kind == ENX_RECORD_JOB_DONE) s->end = ENX_SWARM_DONE;
    if (record->kind == ENX_RECORD_JOB_FAILED) s->end = ENX_SWARM_FAILED;
    if (record->kind == ENX_RECORD_JOB_PARTIAL) {
        s->end = s->is_started ? ENX_SWARM_PARTIAL : ENX_SWARM_RUNNING;
        if (!s->is_started) s->proof.is_certified = false;
    }
    if (s->end != ENX_SWARM_RUNNING) return_tasks(s);
    return ENX_OK;
}

/* The certificate of a stage names its first task. */
static enx_status find_proof(enx_swarm *s, const enx_record *record, swarm_proof **out,
                             enx_report *report)
{
    for (uint32_t k = 0; k < s->stage_count; k++) {
        if (record->task_id != s->stages[k].first + 1) continue;
        *out = &s->stages[k].proof;
        return ENX_OK;
    }
    return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": a certificate of no stage", record->seq);
}

static enx_status apply_job(enx_swarm *s, const enx_record *record, swarm_text text,
                            enx_report *report)
{
    if (record->kind == ENX_RECORD_JOB_OPENED) return apply_opened(s, record, report);
    if (record->kind == ENX_RECORD_GATED) {
        if (record->is_single && s->lead == SWARM_NONE)
            return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": single without a lead",
                            record->seq);
        s->is_gated = true;
        s->is_single = record->is_single;
        s->gate_reason = record->reason;
    } else if (record->kind == ENX_RECORD_PLAN_ACCEPTED) {
        return apply_plan(s, record, report);
    } else if (record->kind == ENX_RECORD_PLAN_REFUSED) {
        s->plan_tries++;
        s->plan_refusal = text;
        s->items[s->item_count].work = WORK_NONE;
    } else if (record->kind == ENX_RECORD_CERTIFICATE) {
        swarm_proof *proof = &s->proof;
        if (s->options.is_goal) ENX_TRY(find_proof(s, record, &proof, report));
        proof->is_certified = true;
        proof->claim = record->certificate;
    } else {
        return apply_end(s, record, text, report);
    }
    return ENX_OK;
}

static bool is_of_task(enx_record_kind kind)
{
    return kind == ENX_RECORD_TASK_CREATED || kind == ENX_RECORD_TASK_ROUTED ||
           kind == ENX_RECORD_TASK_ESCALATED || kind == ENX_RECORD_TASK_ACCEPTED ||
           kind == ENX_RECORD_TASK_ABSTAINED || kind == ENX_RECORD_TASK_FAILED ||
           kind == ENX_RECORD_OFFER || kind == ENX_RECORD_LABEL || kind == ENX_RECORD_TRUTH;
}

/* Is the record the next one of this job, with all indices in range? */
static enx_status judge_record(const enx_swarm *s, const enx_record *record, enx_report *report)
{
    if (record->job_id != s->options.job_id || record->seq != s->seq + 1)
        return ENX_FAIL(report, FORMAT,
                        "record %" PRIu64 " of job %" PRIu64 ", expected %" PRIu64 " of %" PRIu64,
                        record->seq, record->job_id, s->seq + 1, s->options.job_id);
    if ((unsigned)record->kind >= ENX_RECORD_COUNT || record->task_id > s->item_count ||
        record->model >= s->options.roster->model_count ||
        (unsigned)record->role >= ENX_ROLE_COUNT || (unsigned)record->reason >= ENX_REASON_COUNT ||
        !record->text)
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 " is out of range", record->seq);
    if (s->is_opened == (record->kind == ENX_RECORD_JOB_OPENED))
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": the job is %s", record->seq,
                        s->is_opened ? "opened twice" : "not open yet");
    if (is_of_task(record->kind) && !s->has_plan)
        return ENX_FAIL(report, FORMAT, "record %" PRIu64 ": a task before the plan", record->seq);
    return ENX_OK;
}

enx_status swarm_apply(enx_swarm *s, const enx_record *record, swarm_texts *out, enx_report *report)
{
    swarm_texts texts = { 0 };
    ENX_TRY(judge_record(s, record, report));
    const uint32_t item = record->task_id ? record->task_id - 1 : s->item_count;
    enx_status     status = intern(s, item, record->text, record->text_bytes, &texts.text);
    if (status != ENX_OK) return ENX_FAIL(report, NOMEM, "no memory for the texts of the job");
    if (record->kind == ENX_RECORD_CALL_INTENT) status = apply_intent(s, item, record, report);
    else if (record->kind == ENX_RECORD_CALL_RESULT)
        status = apply_result(s, record, &texts, report);
    else if (record->kind == ENX_RECORD_CALL_LOST)
        status = apply_lost(s, record, texts.text, report);
    else if (is_of_task(record->kind)) status = apply_task(s, item, record, texts.text, report);
    else status = apply_job(s, record, texts.text, report);
    if (status != ENX_OK) return status;
    s->seq = record->seq;
    if (out) *out = texts;
    return ENX_OK;
}

/* ---- the way out --------------------------------------------------------------------------- */

void swarm_stop(enx_swarm *s, enx_status status, const enx_report *report)
{
    if (s->is_stopped) return;
    s->is_stopped = true;
    s->error = status;
    s->error_report = *report;
    s->batch_count = 0;
    s->end_us = s->ports.now_us(s->ports.self);
    for (uint32_t call = s->open_first; call != SWARM_NONE; call = s->calls[call].next)
        s->ports.cancel(s->ports.self, swarm_call_id(s, call));
}

void swarm_emit(enx_swarm *s, enx_record record)
{
    if (s->is_stopped) return;
    enx_report report = { 0 };
    if (!record.text) record.text = "";
    record.seq = s->seq + 1;
    record.job_id = s->options.job_id;
    record.time_us = s->ports.now_us(s->ports.self);
    if (s->batch_count == SWARM_BATCH) swarm_flush(s);
    if (s->is_stopped) return;
    const uint32_t   n = s->batch_count;
    const enx_status status = swarm_apply(s, &record, &s->batch_texts[n], &report);
    s->batch[n] = record;
    if (status != ENX_OK) swarm_stop(s, status, &report);
    else s->batch_count++;
}

/* What a call of this role is to judge; nothing, for most. */
static swarm_text judged_answer(const enx_swarm *s, const swarm_item *at, enx_role role)
{
    const bool is_verify = role == ENX_ROLE_VERIFY && at->candidate != SWARM_NONE;
    return is_verify ? s->calls[at->candidate].answer : (swarm_text){ 0 };
}

/* What a worker said, right or not, that the lead may say, too. */
static swarm_text guess_of(const enx_swarm *s, const swarm_item *at, enx_role role)
{
    if (role != ENX_ROLE_LEAD && role != ENX_ROLE_AUDIT) return (swarm_text){ 0 };
    if (at->has_kept) return at->kept;
    if (at->candidate != SWARM_NONE) return s->calls[at->candidate].answer;
    return at->has_answer ? at->answer : (swarm_text){ 0 };
}

enx_call swarm_call_of(const enx_swarm *s, const swarm_call *entry, uint64_t call_id)
{
    const swarm_item *at = &s->items[entry->item];
    const bool        is_plan = entry->item == s->item_count;
    const enx_span    input = swarm_input(s, at);
    const swarm_text  answer = judged_answer(s, at, entry->reserved.role);
    const swarm_text  guess = guess_of(s, at, entry->reserved.role);
    enx_call          call = {
                 .call_id = call_id,
                 .task_id = swarm_task_id(s, entry->item),
                 .item = is_plan ? 0 : entry->item,
                 .attempt = entry->attempt,
                 .role = entry->reserved.role,
                 .model = entry->reserved.model,
                 .what = at->task_class       ? at->task_class->name
                         : s->options.is_goal ? "goal"
                                              : "plan",
                 .task_class = at->task_class,
                 .goal = is_plan ? enx_buf_text(&s->plan_goal) : s->options.goal,
                 .input = input.text,
                 .input_bytes = input.size_bytes,
                 .answer = swarm_text_get(s, answer),
                 .answer_bytes = answer.size_bytes,
                 .guess = swarm_text_get(s, guess),
                 .guess_bytes = guess.size_bytes,
                 .level = at->level,
                 .kinds = at->kinds,
                 .max_tokens_in = entry->max_tokens_in,
                 .max_tokens_out = entry->max_tokens_out,
                 .deadline_us = entry->deadline_us,
                 .reserved_usd_nano = entry->reserved.usd_nano,
    };
    memcpy(call.language, at->language, sizeof call.language);
    return call;
}

void swarm_generate(enx_swarm *s, uint32_t call)
{
    const enx_call out = swarm_call_of(s, &s->calls[call], swarm_call_id(s, call));
    s->ports.generate(s->ports.self, &out);
}

void swarm_flush(enx_swarm *s)
{
    if (s->is_stopped || s->batch_count == 0) return;
    for (uint32_t i = 0; i < s->batch_count; i++) {
        const swarm_texts *texts = &s->batch_texts[i];
        s->batch[i].text = swarm_text_get(s, texts->text);
        if (s->batch[i].kind != ENX_RECORD_CALL_RESULT) continue;
        s->batch[i].report.answer = swarm_text_get(s, texts->answer);
        s->batch[i].report.error = texts->error.size_bytes ? swarm_text_get(s, texts->error) : NULL;
    }
    const uint32_t   count = s->batch_count;
    enx_report       report = { 0 };
    const enx_status status = s->ports.save(s->ports.self, s->batch, count, &report);
    s->batch_count = 0;
    if (status != ENX_OK) {
        for (uint32_t i = 0; i < count; i++)
            if (s->batch[i].kind >= ENX_RECORD_JOB_DONE) s->end = ENX_SWARM_RUNNING;
        enx_report_wrap(&report, "job %" PRIu64 " stops, nothing that was saved is lost",
                        s->options.job_id);
        swarm_stop(s, status, &report);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t call = (uint32_t)(s->batch[i].call_id & UINT32_MAX) - 1;
        if (s->batch[i].kind == ENX_RECORD_CALL_INTENT) swarm_generate(s, call);
        if (s->batch[i].kind == ENX_RECORD_CALL_LOST)
            s->ports.cancel(s->ports.self, s->batch[i].call_id);
    }
}
