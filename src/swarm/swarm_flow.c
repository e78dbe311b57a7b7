/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_flow.c - the decisions: retry, accept, escalate, abstain, end. */
#include "swarm/swarm_flow.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    NOTE_BYTES = SWARM_NOTE_BYTES,
    SCOUT_TOKENS_OUT = 16,
    /* Restoring may triple a letter's bytes and add marks; a token is at least a byte. */
    ANSWER_TOKENS_PER_BYTE = 4,
    ANSWER_TOKENS_MORE = 64,
    VERIFY_TOKENS_OUT = 16,
};

/* ---- records ------------------------------------------------------------------------------- */

enx_record swarm_record_of(const enx_swarm *s, uint32_t item, enx_record_kind kind)
{
    const swarm_item *at = &s->items[item];
    const bool        has_call = at->call != SWARM_NONE;
    return (enx_record){
        .kind = kind,
        .task_id = swarm_task_id(s, item),
        .item = item == s->item_count ? 0 : item,
        .call_id = has_call ? swarm_call_id(s, at->call) : 0,
        .role = has_call ? s->calls[at->call].reserved.role : at->role,
        .model = has_call ? s->calls[at->call].reserved.model : at->model,
        .attempt = at->attempt,
        .level = at->level,
        .kinds = at->kinds,
    };
}

static void put_text(enx_record *record, const char *text, size_t size_bytes)
{
    record->text = text;
    record->text_bytes = size_bytes;
}

void swarm_emit_note(enx_swarm *s, uint32_t item, enx_record_kind kind, enx_reason reason,
                     const char *note)
{
    enx_record record = swarm_record_of(s, item, kind);
    record.reason = reason;
    put_text(&record, note, strlen(note));
    swarm_emit(s, record);
}

static void accept_text(enx_swarm *s, uint32_t item, enx_reason reason, const char *text,
                        size_t size_bytes)
{
    enx_record record = swarm_record_of(s, item, ENX_RECORD_TASK_ACCEPTED);
    record.reason = reason;
    if (s->items[item].call != SWARM_NONE)
        record.error_chance = s->calls[s->items[item].call].error_chance;
    put_text(&record, text, size_bytes);
    swarm_emit(s, record);
}

static void emit_job(enx_swarm *s, enx_record_kind kind, enx_reason reason, const char *note)
{
    enx_record record = { .kind = kind, .reason = reason };
    put_text(&record, note, strlen(note));
    swarm_emit(s, record);
}

static void end_job(enx_swarm *s, enx_record_kind kind, enx_reason reason, const char *note)
{
    if (swarm_is_over(s)) return;
    emit_job(s, kind, reason, note);
    if (s->is_stopped) return;
    s->end_us = s->ports.now_us(s->ports.self);
}

void swarm_fail(enx_swarm *s, enx_reason reason, const char *note)
{
    end_job(s, ENX_RECORD_JOB_FAILED, reason, note);
}

/* A task of a class that must not fail did. */
static void end_aborted(enx_swarm *s, uint32_t item)
{
    char note[NOTE_BYTES];
    snprintf(note, sizeof note, "task %u of class %s: %s", item + 1,
             s->items[item].task_class->name, enx_reason_text(s->items[item].reason));
    if (!swarm_is_over(s)) swarm_end_partial(s, ENX_REASON_ABORTED, note);
}

void swarm_accept_passed(enx_swarm *s, uint32_t item, enx_reason reason, uint32_t call,
                         double error_chance)
{
    const enx_span input = swarm_input(s, &s->items[item]);
    if (call == SWARM_NONE) accept_text(s, item, reason, input.text, input.size_bytes);
    else swarm_accept_call(s, item, reason, call, error_chance);
}

void swarm_escalate(enx_swarm *s, uint32_t item, enx_reason reason, double error_chance)
{
    const swarm_item *at = &s->items[item];
    enx_record        record = swarm_record_of(s, item, ENX_RECORD_TASK_ESCALATED);
    if (at->state == ENX_TASK_ACCEPTED) record.model = at->answer_model;
    else if (at->candidate != SWARM_NONE) record.model = s->calls[at->candidate].reserved.model;
    record.reason = reason;
    record.error_chance = error_chance;
    record.check = at->check;
    swarm_emit(s, record);
}

void swarm_accept_call(enx_swarm *s, uint32_t item, enx_reason reason, uint32_t call,
                       double error_chance)
{
    const swarm_call *entry = &s->calls[call];
    enx_record        record = swarm_record_of(s, item, ENX_RECORD_TASK_ACCEPTED);
    record.call_id = swarm_call_id(s, call);
    record.role = entry->reserved.role;
    record.model = entry->reserved.model;
    record.reason = reason;
    record.error_chance = error_chance;
    put_text(&record, swarm_text_get(s, entry->answer), entry->answer.size_bytes);
    swarm_emit(s, record);
}

bool swarm_may_escalate(const enx_swarm *s, uint32_t item)
{
    return s->options.mode == ENX_SWARM_MODE_SWARM && !s->is_single && s->lead != SWARM_NONE &&
           s->items[item].task_class->on_fail == ENX_ON_FAIL_ESCALATE;
}

/* Up to the lead where that is allowed; else the input is returned. */
void swarm_escalate_or(enx_swarm *s, uint32_t item, enx_record_kind otherwise, enx_reason reason,
                       const char *note)
{
    enx_record record = swarm_record_of(
        s, item, swarm_may_escalate(s, item) ? ENX_RECORD_TASK_ESCALATED : otherwise);
    if (s->items[item].candidate != SWARM_NONE)
        record.model = s->calls[s->items[item].candidate].reserved.model;
    record.reason = reason;
    record.check = s->items[item].check;
    put_text(&record, note, strlen(note));
    swarm_emit(s, record);
    if (record.kind != ENX_RECORD_TASK_ESCALATED &&
        s->items[item].task_class->on_fail == ENX_ON_FAIL_ABORT)
        end_aborted(s, item);
}

/* ---- decisions by role --------------------------------------------------------------------- */

/* Error and loss: again, as long as attempts last.  True: it is back in its queue. */
bool swarm_retry(enx_swarm *s, uint32_t item)
{
    swarm_item       *at = &s->items[item];
    const swarm_call *entry = &s->calls[at->call];
    const bool        may = entry->status == ENX_CALL_ERROR || entry->status == ENX_CALL_LOST;
    if (!may || at->attempt >= s->options.attempts_max) return false;
    at->work = WORK_NONE;
    swarm_enqueue(s, item, at->role, at->model);
    return true;
}

/* As many calls as may be made for a task in a role have failed, and meanwhile its model answered
 * as many others: it is the task, then, and the lead is spared it.  True: it is set aside. */
static bool set_aside(enx_swarm *s, uint32_t item)
{
    char              note[NOTE_BYTES];
    const swarm_item *at = &s->items[item];
    const swarm_call *entry = &s->calls[at->call];
    const uint64_t    answered = s->models[entry->reserved.model].answered - at->failed_at;
    const bool        is_failed = entry->status == ENX_CALL_ERROR || entry->status == ENX_CALL_LOST;
    if (!is_failed || answered < s->options.attempts_max) return false;
    snprintf(note, sizeof note, "%u calls failed, the last one: %.180s", at->attempt,
             entry->error.size_bytes ? swarm_text_get(s, entry->error) : "late");
    swarm_emit_note(s, item, ENX_RECORD_TASK_FAILED, ENX_REASON_QUARANTINED, note);
    if (at->task_class->on_fail == ENX_ON_FAIL_ABORT) end_aborted(s, item);
    return true;
}

/* A loss with a sentence was told by the backend, one without by the clock. */
static enx_reason reason_of_call(const swarm_call *entry)
{
    if (entry->status == ENX_CALL_ABSTAIN) return ENX_REASON_ABSTAINED;
    if (entry->status == ENX_CALL_REFUSE) return ENX_REASON_REFUSED;
    const bool is_late = entry->status == ENX_CALL_LOST && entry->error.size_bytes == 0;
    return is_late ? ENX_REASON_TIMED_OUT : ENX_REASON_CALL_FAILED;
}

static enx_record_kind kind_of_status(enx_call_status status)
{
    return status == ENX_CALL_ABSTAIN || status == ENX_CALL_REFUSE ? ENX_RECORD_TASK_ABSTAINED
                                                                   : ENX_RECORD_TASK_FAILED;
}

static uint32_t kinds_of_level(int32_t level)
{
    return level <= 0 ? 0u : level == 1 ? 1u : level == 2 ? 3u : 7u;
}

static void route(enx_swarm *s, uint32_t item, const swarm_call *entry)
{
    char          note[NOTE_BYTES];
    const int32_t cap = enx_kinds_level(s->plan.kinds);
    const int32_t level = entry->level < cap ? entry->level : cap;
    enx_record    record = swarm_record_of(s, item, ENX_RECORD_TASK_ROUTED);
    memcpy(record.language, entry->language, sizeof record.language);
    record.level = level;
    record.kinds = s->plan.kinds & kinds_of_level(level);
    record.model = swarm_worker_for(s, entry->language, item);
    if (record.model != SWARM_NONE && swarm_is_leads(s, s->items[item].task_class))
        record.model = s->lead;
    if (!enx_plan_wants_language(&s->plan, entry->language)) {
        snprintf(note, sizeof note, "the plan leaves out %s", entry->language);
        swarm_emit_note(s, item, ENX_RECORD_TASK_ABSTAINED, ENX_REASON_NOT_ASKED, note);
    } else if (record.model == SWARM_NONE) {
        snprintf(note, sizeof note, "no worker knows %s", entry->language);
        swarm_emit_note(s, item, ENX_RECORD_TASK_ABSTAINED, ENX_REASON_NO_WORKER, note);
    } else if (record.kinds == 0) {
        swarm_pass(s, item, ENX_REASON_UNDAMAGED, SWARM_NONE, entry->error_chance);
    } else {
        swarm_emit(s, record);
    }
}

/* Without a clear word from the scout: up to the lead, which has to find out by itself. */
static void skip_scout(enx_swarm *s, uint32_t item, enx_record_kind otherwise, enx_reason reason,
                       const char *note)
{
    if (!swarm_is_leads(s, s->items[item].task_class)) {
        swarm_escalate_or(s, item, otherwise, reason, note);
        return;
    }
    enx_record record = swarm_record_of(s, item, ENX_RECORD_TASK_ROUTED);
    record.model = s->lead;
    record.level = ENX_LEVEL_UNKNOWN;
    record.kinds = s->plan.kinds;
    swarm_emit(s, record);
}

static void decide_scout(enx_swarm *s, uint32_t item)
{
    const swarm_call *entry = &s->calls[s->items[item].call];
    char              note[NOTE_BYTES];
    if (entry->status != ENX_CALL_OK) {
        if (swarm_retry(s, item) || set_aside(s, item)) return;
        skip_scout(s, item, kind_of_status(entry->status), reason_of_call(entry),
                   swarm_text_get(s, entry->error));
    } else if (!entry->language[0] || entry->level < 0 || entry->level > 3 ||
               entry->confidence < s->options.scout_confidence_min) {
        snprintf(note, sizeof note, "scout: language \"%s\", confidence %.2f", entry->language,
                 entry->confidence);
        skip_scout(s, item, ENX_RECORD_TASK_ABSTAINED, ENX_REASON_SCOUT_UNSURE, note);
    } else {
        route(s, item, entry);
    }
}

static void decide_work(enx_swarm *s, uint32_t item)
{
    const swarm_call *entry = &s->calls[s->items[item].call];
    if (entry->status != ENX_CALL_OK) {
        if (swarm_retry(s, item) || set_aside(s, item)) return;
        swarm_escalate_or(s, item, kind_of_status(entry->status), reason_of_call(entry),
                          swarm_text_get(s, entry->error));
        return;
    }
    swarm_judge(s, item);
}

static void accept_kept(enx_swarm *s, uint32_t item, enx_reason reason)
{
    const swarm_item *at = &s->items[item];
    enx_record        record = swarm_record_of(s, item, ENX_RECORD_TASK_ACCEPTED);
    record.reason = reason;
    record.model = at->kept_model;
    record.role = ENX_ROLE_WORK;
    record.error_chance = at->kept_error_chance;
    put_text(&record, swarm_text_get(s, at->kept), at->kept.size_bytes);
    swarm_emit(s, record);
}

/* The lead failed: a worker's answer that passed its checks is better than nothing. */
static void fall_back(enx_swarm *s, uint32_t item, enx_record_kind kind, enx_reason reason,
                      const char *note)
{
    if (s->items[item].has_kept) accept_kept(s, item, ENX_REASON_KEPT_WORKER);
    else swarm_emit_note(s, item, kind, reason, note);
}

/* Of two answers that passed their checks, the one that is less likely wrong.  Where a certificate
 * sent the task up, its claim is about agreement with the lead: then the lead's counts. */
static bool is_worker_surer(const enx_swarm *s, uint32_t item)
{
    const swarm_item *at = &s->items[item];
    const swarm_call *entry = &s->calls[at->call];
    const bool        is_scored =
        enx_class_find_check(at->task_class, ENX_CHECK_CONFIDENCE) < ENX_CLASS_CHECKS_MAX;
    if (!is_scored || !at->has_kept || at->is_candidate || at->ticket.offer) return false;
    if (at->escalate_reason != ENX_REASON_LOW_CONFIDENCE) return false;
    return at->kept_error_chance < entry->error_chance;
}

static void decide_lead(enx_swarm *s, uint32_t item)
{
    const swarm_call *entry = &s->calls[s->items[item].call];
    char              note[NOTE_BYTES];
    if (entry->status != ENX_CALL_OK) {
        if (swarm_retry(s, item) || (!s->items[item].has_kept && set_aside(s, item))) return;
        fall_back(s, item, kind_of_status(entry->status), reason_of_call(entry),
                  swarm_text_get(s, entry->error));
        return;
    }
    const uint32_t   call = s->items[item].call;
    const enx_reason failed = swarm_run_checks(s, item, note);
    if (failed != ENX_REASON_NONE) {
        fall_back(s, item, ENX_RECORD_TASK_FAILED, failed, note);
        return;
    }
    if (s->items[item].candidate != SWARM_NONE)
        swarm_compare_truth(s, item, s->items[item].candidate);
    swarm_compare_truth(s, item, call);
    if (!s->items[item].ticket.offer) swarm_label_answered(s, item);
    if (is_worker_surer(s, item)) accept_kept(s, item, ENX_REASON_WORKER_SURER);
    else swarm_accept_call(s, item, ENX_REASON_LEAD_CHECKED, call, s->calls[call].error_chance);
}

void swarm_compare_truth(enx_swarm *s, uint32_t item, uint32_t call)
{
    if (!s->options.truths || !s->options.truths[item].text) return;
    const enx_span    truth = s->options.truths[item];
    const swarm_call *entry = &s->calls[call];
    const bool        is_leads = entry->reserved.role == ENX_ROLE_LEAD;
    if (s->items[item].is_known[is_leads]) return;
    enx_record record = swarm_record_of(s, item, ENX_RECORD_TRUTH);
    record.call_id = swarm_call_id(s, call);
    record.model = entry->reserved.model;
    record.role = entry->reserved.role;
    record.is_wrong = truth.size_bytes != entry->answer.size_bytes ||
                      memcmp(truth.text, swarm_text_get(s, entry->answer), truth.size_bytes) != 0;
    swarm_emit(s, record);
}

/* What the worker said of a task that went up: the input, where nothing was found to repair. */
static enx_span escalated_answer(const enx_swarm *s, const swarm_item *at, double *chance)
{
    const uint32_t call = at->ticket.offer ? at->held_call : at->candidate;
    *chance = at->ticket.offer ? at->held_chance : s->calls[call].error_chance;
    if (call == SWARM_NONE) return swarm_input(s, at);
    const swarm_text text = s->calls[call].answer;
    return (enx_span){ swarm_text_get(s, text), text.size_bytes };
}

void swarm_label_answered(enx_swarm *s, uint32_t item)
{
    const swarm_item *at = &s->items[item];
    if (!at->is_escalated || at->is_answered) return;
    if (at->candidate == SWARM_NONE && !at->ticket.offer) return;
    const swarm_call *entry = &s->calls[at->call];
    enx_record        record = swarm_record_of(s, item, ENX_RECORD_LABEL);
    const enx_span    answer = escalated_answer(s, at, &record.error_chance);
    const char       *got = swarm_text_get(s, entry->answer);
    record.reason = ENX_REASON_ANSWERED;
    record.score = 1 - record.error_chance;
    record.is_wrong = entry->answer.size_bytes != answer.size_bytes ||
                      memcmp(got, answer.text, answer.size_bytes) != 0;
    put_text(&record, got, entry->answer.size_bytes);
    swarm_stream_label(s, item, &record);
    swarm_emit(s, record);
}

/* A reference that cannot be had counts as wrong: that never claims too much. */
void swarm_decide_audit(enx_swarm *s, uint32_t item)
{
    swarm_item       *at = &s->items[item];
    const swarm_call *entry = &s->calls[at->call];
    char              note[NOTE_BYTES];
    enx_record        record = swarm_record_of(s, item, ENX_RECORD_LABEL);
    record.error_chance = at->error_chance;
    record.score = 1 - at->error_chance;
    record.is_wrong = true;
    record.reason = ENX_REASON_AUDIT_FAILED;
    if (at->work == WORK_REPORTED && entry->status == ENX_CALL_OK &&
        swarm_run_checks(s, item, note) == ENX_REASON_NONE) {
        const char *got = swarm_text_get(s, entry->answer);
        record.reason = ENX_REASON_AUDITED;
        record.is_wrong = entry->answer.size_bytes != at->answer.size_bytes ||
                          memcmp(got, swarm_text_get(s, at->answer), at->answer.size_bytes) != 0;
        put_text(&record, got, entry->answer.size_bytes);
    }
    swarm_stream_label(s, item, &record);
    swarm_emit(s, record);
}

/* ---- the plan ------------------------------------------------------------------------------ */

static bool is_blank(const enx_span *span)
{
    for (size_t i = 0; i < span->size_bytes; i++)
        if (span->text[i] != ' ' && (span->text[i] < '\t' || span->text[i] > '\r')) return false;
    return true;
}

void swarm_emit_created(enx_swarm *s, uint32_t item, const char *text, size_t size_bytes)
{
    enx_record record = swarm_record_of(s, item, ENX_RECORD_TASK_CREATED);
    put_text(&record, text, size_bytes);
    swarm_emit(s, record);
}

void swarm_judge_input(enx_swarm *s, uint32_t item)
{
    char              note[NOTE_BYTES];
    const swarm_item *at = &s->items[item];
    const enx_span    input = swarm_input(s, at);
    if (s->is_stopped || at->state != ENX_TASK_OPEN) return;
    if (is_blank(&input) && (at->task_class->schema || s->options.is_goal)) {
        swarm_emit_note(s, item, ENX_RECORD_TASK_ABSTAINED, ENX_REASON_BLANK, "");
    } else if (is_blank(&input)) {
        accept_text(s, item, ENX_REASON_BLANK, input.text, input.size_bytes);
    } else if (input.size_bytes > s->options.item_bytes_max) {
        snprintf(note, sizeof note, "%zu bytes, at most %zu", input.size_bytes,
                 s->options.item_bytes_max);
        swarm_emit_note(s, item, ENX_RECORD_TASK_ABSTAINED, ENX_REASON_TOO_LONG, note);
    }
}

void swarm_create_tasks(enx_swarm *s)
{
    if (s->options.is_goal) {
        swarm_create_stages(s);
        return;
    }
    for (uint32_t i = 0; i < s->item_count && !s->is_stopped; i++) {
        if (!s->items[i].is_created) swarm_emit_created(s, i, "", 0);
        if (s->items[i].call == SWARM_NONE) swarm_judge_input(s, i);
    }
}

bool swarm_is_approved(enx_swarm *s, const char *plan, const enx_swarm_outlay *sum)
{
    if (!s->ports.approve || s->ports.approve(s->ports.self, plan, sum)) return true;
    swarm_end_partial(s, ENX_REASON_CANCELED, "the plan was not approved");
    return false;
}

static enx_status judge_plan(const enx_swarm *s, const enx_plan *plan, enx_report *report)
{
    const enx_plan_limits limits = {
        .roster = s->options.roster,
        .item_count = s->item_count,
        .item_count_max = ENX_SWARM_ITEMS_MAX,
        .has_round_trip = s->ports.check != NULL,
        .worst_case_usd_nano = s->options.refuse_over_budget ? swarm_worst_case(s) : 0,
        .budget_usd_nano = s->options.caps.usd_nano,
    };
    enx_plan judged = *plan;
    judged.is_single |= s->is_single || s->options.mode == ENX_SWARM_MODE_LEAD;
    return enx_plan_validate(&judged, &limits, report);
}

void swarm_give_up_call(enx_swarm *s, uint32_t call, enx_reason reason)
{
    const swarm_call *entry = &s->calls[call];
    swarm_emit(s, (enx_record){
                      .kind = ENX_RECORD_CALL_LOST,
                      .call_id = swarm_call_id(s, call),
                      .task_id = swarm_task_id(s, entry->item),
                      .role = entry->reserved.role,
                      .model = entry->reserved.model,
                      .attempt = entry->attempt,
                      .reason = reason,
                  });
}

void swarm_end_partial(enx_swarm *s, enx_reason reason, const char *note)
{
    while (s->open_first != SWARM_NONE && !s->is_stopped)
        swarm_give_up_call(s, s->open_first, reason);
    swarm_stream_finish(s);
    end_job(s, ENX_RECORD_JOB_PARTIAL, reason, note);
}

/* The plan is good: record it, leave single-mode decisions to it, create its tasks. */
void swarm_take_plan(enx_swarm *s, const char *json, bool is_single)
{
    if (is_single && !s->is_single && s->options.mode == ENX_SWARM_MODE_SWARM)
        swarm_emit(s, (enx_record){ .kind = ENX_RECORD_GATED,
                                    .reason = ENX_REASON_PLAN_SAYS,
                                    .is_single = true });
    enx_record record = swarm_record_of(s, s->item_count, ENX_RECORD_PLAN_ACCEPTED);
    put_text(&record, json, strlen(json));
    swarm_emit(s, record);
    swarm_create_tasks(s);
}

void swarm_accept_plan(enx_swarm *s, const enx_plan *plan)
{
    enx_report report = { 0 };
    enx_buf    json;
    enx_buf_init(&json, ENX_PLAN_BYTES_MAX);
    enx_status status = judge_plan(s, plan, &report);
    if (status != ENX_OK) end_job(s, ENX_RECORD_JOB_FAILED, ENX_REASON_PLAN_REFUSED, report.text);
    else if ((status = enx_plan_to_json(plan, &json)) != ENX_OK) swarm_stop(s, status, &report);
    else swarm_take_plan(s, enx_buf_text(&json), plan->is_single);
    enx_buf_deinit(&json);
}

void swarm_take_given(enx_swarm *s)
{
    const enx_swarm_forecast f = swarm_forecast(s);
    const enx_swarm_outlay   sum = { f.tasks, f.usd_nano, f.usd_nano_most - f.usd_nano };
    if (swarm_is_approved(s, "", &sum)) swarm_take_plan(s, "", false);
}

void swarm_take_alone(enx_swarm *s)
{
    static const enx_class alone = { .name = "goal", .is_leads = true };
    size_t                 bytes = strlen(s->options.goal);
    for (uint32_t i = 0; i < s->options.item_count; i++) bytes += s->options.items[i].size_bytes;
    const enx_swarm_outlay sum = { 1, swarm_price_of_class(s, &alone, bytes), 0 };
    if (swarm_is_approved(s, "", &sum)) swarm_take_plan(s, "", true);
}

void swarm_write_plan_goal(enx_swarm *s)
{
    const char *refusal = swarm_text_get(s, s->plan_refusal);
    enx_buf_clear(&s->plan_goal);
    enx_status status = enx_buf_append_text(&s->plan_goal, s->options.goal);
    if (status == ENX_OK && s->options.is_goal) status = swarm_append_digest(s, &s->plan_goal);
    if (status == ENX_OK && *refusal)
        status = enx_buf_printf(&s->plan_goal, "\nThe last plan was refused: %s", refusal);
    if (status == ENX_OK) return;
    enx_report report = { 0 };
    enx_report_set(&report, status, __FILE__, __LINE__, "no memory for the goal");
    swarm_stop(s, status, &report);
}

void swarm_ask_plan(enx_swarm *s)
{
    const char *refusal = swarm_text_get(s, s->plan_refusal);
    if (s->plan_tries >= ENX_SWARM_PLAN_TRIES) {
        if (s->options.is_goal && s->round) swarm_take_plan(s, "{\"mode\":\"deliver\"}", false);
        else if (s->options.is_goal) swarm_take_alone(s);
        else if (s->is_single) swarm_take_plan(s, "", true);
        else end_job(s, ENX_RECORD_JOB_FAILED, ENX_REASON_PLAN_REFUSED, refusal);
        return;
    }
    swarm_write_plan_goal(s);
    if (!s->is_stopped) swarm_enqueue(s, s->item_count, ENX_ROLE_PLAN, s->lead);
}

/* The lead's first plan divides nothing: it does the goal alone.  True: it does. */
static bool take_undivided(enx_swarm *s, const enx_graph *graph, const enx_swarm_outlay *sum)
{
    const enx_reason reason = s->round ? ENX_REASON_NONE : swarm_gate_graph(s, graph, sum->tasks);
    if (reason == ENX_REASON_NONE) return false;
    swarm_emit(s, (enx_record){ .kind = ENX_RECORD_GATED, .reason = reason, .is_single = true });
    swarm_take_alone(s);
    return true;
}

/* A plan for a goal; a refusal goes back to the lead. */
static void decide_graph(enx_swarm *s)
{
    const swarm_call *entry = &s->calls[s->items[s->item_count].call];
    const char       *text = swarm_text_get(s, entry->answer);
    enx_report        report = { 0 };
    enx_graph        *graph = NULL;
    enx_status        status = ENX_AGAIN;
    if (entry->status != ENX_CALL_OK)
        enx_report_set(&report, ENX_AGAIN, __FILE__, __LINE__, "plan: the call was %s: %s",
                       enx_call_status_text(entry->status), swarm_text_get(s, entry->error));
    else status = enx_graph_open(&graph, text, entry->answer.size_bytes, &report);
    enx_swarm_outlay sum = { 0 };
    if (status == ENX_OK) status = swarm_judge_graph(s, graph, &sum, &report);
    if (status != ENX_OK) {
        swarm_emit_note(s, s->item_count, ENX_RECORD_PLAN_REFUSED, ENX_REASON_PLAN_REFUSED,
                        report.text);
        if (!swarm_is_over(s)) swarm_ask_plan(s);
    } else if (enx_graph_mode_get(graph) == ENX_GRAPH_ASK_USER) {
        swarm_end_partial(s, ENX_REASON_ASKS, enx_graph_why(graph));
    } else if (!take_undivided(s, graph, &sum) && swarm_is_approved(s, text, &sum)) {
        swarm_take_plan(s, text, enx_graph_mode_get(graph) == ENX_GRAPH_SINGLE);
    }
    enx_graph_close(&graph);
}

static void decide_plan(enx_swarm *s)
{
    const swarm_call *entry = &s->calls[s->items[s->item_count].call];
    const char       *text = swarm_text_get(s, entry->answer);
    enx_report        report = { 0 };
    enx_plan          plan;
    enx_status        status = ENX_AGAIN;
    if (entry->status != ENX_CALL_OK)
        enx_report_set(&report, ENX_AGAIN, __FILE__, __LINE__, "plan: the call was %s: %s",
                       enx_call_status_text(entry->status), swarm_text_get(s, entry->error));
    else status = enx_plan_parse(&plan, text, entry->answer.size_bytes, &report);
    if (status == ENX_OK) status = judge_plan(s, &plan, &report);
    if (status == ENX_OK) {
        swarm_take_plan(s, text, plan.is_single);
        return;
    }
    swarm_emit_note(s, s->item_count, ENX_RECORD_PLAN_REFUSED, ENX_REASON_PLAN_REFUSED,
                    report.text);
    if (!swarm_is_over(s)) swarm_ask_plan(s);
}

void swarm_decide(enx_swarm *s, uint32_t item)
{
    const swarm_item *at = &s->items[item];
    if (at->work != WORK_REPORTED || swarm_is_over(s)) return;
    if (at->hedge != SWARM_NONE) swarm_give_up_call(s, at->hedge, ENX_REASON_HEDGED);
    switch (at->role) {
    case ENX_ROLE_PLAN:
        if (s->options.is_goal) decide_graph(s);
        else decide_plan(s);
        return;
    case ENX_ROLE_SCOUT:
        decide_scout(s, item);
        break;
    case ENX_ROLE_WORK:
        decide_work(s, item);
        break;
    case ENX_ROLE_LEAD:
        decide_lead(s, item);
        break;
    case ENX_ROLE_AUDIT: /* one for a stream waits for its turn */
        if (s->calls[at->call].status != ENX_CALL_OK && swarm_retry(s, item)) break;
        if (!at->ticket.offer) swarm_decide_audit(s, item);
        break;
    case ENX_ROLE_SECOND:
        swarm_decide_second(s, item);
        break;
    case ENX_ROLE_VERIFY:
        swarm_decide_verify(s, item);
        break;
    case ENX_ROLE_COUNT:
        break;
    }
    if (!swarm_is_over(s) && s->items[item].state != ENX_TASK_OPEN) swarm_unlock(s, item);
}

/* ---- dispatch ------------------------------------------------------------------------------ */

uint32_t swarm_clamp_u32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

void swarm_bound_call(const enx_swarm *s, enx_call *call, enx_reservation *reservation)
{
    const enx_roster_model *model = &s->options.roster->models[call->model];
    const enx_class        *c =
        call->task_class && !call->task_class->is_scouted ? call->task_class : NULL;
    const uint64_t goal_bytes =
        strlen(call->goal) + (c ? enx_class_words_bytes(c) : 0) + call->answer_bytes;
    uint64_t out = ANSWER_TOKENS_PER_BYTE * (uint64_t)call->input_bytes + ANSWER_TOKENS_MORE;
    if (call->role == ENX_ROLE_PLAN)
        out = s->options.is_goal ? ENX_GRAPH_TOKENS_MAX : ENX_PLAN_TOKENS_MAX;
    if (call->role == ENX_ROLE_SCOUT) out = SCOUT_TOKENS_OUT;
    if (c) out = call->role == ENX_ROLE_VERIFY ? VERIFY_TOKENS_OUT : enx_class_answer_tokens(c);
    out += model->thinking_tokens;
    const uint32_t in_max = swarm_clamp_u32(call->input_bytes + goal_bytes + model->prompt_tokens);
    const uint32_t out_max = swarm_clamp_u32(out);
    call->max_tokens_in = in_max;
    call->max_tokens_out = out_max;
    if (s->ports.measure) s->ports.measure(s->ports.self, call);
    if (call->max_tokens_in > in_max) call->max_tokens_in = in_max;
    if (call->max_tokens_out > out_max) call->max_tokens_out = out_max;

    /* A prompt token costs one of two prices; assume the dearer. */
    enx_price price = model->price;
    if (price.cached > price.in) price.in = price.cached;
    const enx_usage_count worst = { .tokens_in = call->max_tokens_in,
                                    .tokens_out = call->max_tokens_out };
    *reservation = (enx_reservation){ .usd_nano = enx_price_cost(&price, &worst),
                                      .tokens = enx_usage_tokens(&worst),
                                      .model = call->model,
                                      .role = call->role };
    call->reserved_usd_nano = reservation->usd_nano;
}

bool swarm_is_tight(const enx_swarm *s, const enx_class *c)
{
    const uint64_t cap_us = s->options.caps.time_us;
    bool           is_tight = enx_budget_is_tight(&s->budget);
    if (cap_us) is_tight |= (s->ports.now_us(s->ports.self) - s->start_us) / 4 >= cap_us / 5;
    for (uint32_t i = 0; i < s->options.allowance_count && !is_tight; i++)
        is_tight = enx_allowance_covers(&s->allowances[i], c ? c->name : NULL) &&
                   enx_allowance_is_tight(&s->allowances[i]);
    return is_tight;
}

/* What others use may have changed since the last call was admitted. */
static void tell_allowances(enx_swarm *s)
{
    enx_report report = { 0 };
    if (!s->ports.use_elsewhere) return;
    for (uint32_t i = 0; i < s->options.allowance_count && !s->is_stopped; i++) {
        enx_allowance   *a = &s->allowances[i];
        uint32_t         day;
        enx_use          use;
        const enx_status status =
            s->ports.use_elsewhere(s->ports.self, a->class_name, &day, &use, &report);
        if (status == ENX_OK) enx_allowance_tell(a, day, &use);
        else swarm_stop(s, status, &report);
    }
}

/* The cap that a call for a task does not fit under. */
static enx_cap refusing_cap(const enx_swarm *s, uint32_t item, const enx_reservation *reservation,
                            enx_report *report)
{
    for (uint32_t i = 0; i < s->options.allowance_count; i++)
        if (enx_allowance_covers(&s->allowances[i], swarm_class_name(s, item)) &&
            enx_allowance_fits(&s->allowances[i], reservation, report) != ENX_OK)
            return ENX_CAP_SHARED;
    if (enx_budget_fits(&s->budget, reservation, report) == ENX_OK) return ENX_CAP_NONE;
    return enx_budget_refuses(&s->budget, reservation);
}

bool swarm_issue(enx_swarm *s, uint32_t item)
{
    const swarm_item *at = &s->items[item];
    const bool        is_hedge = at->work == WORK_CALLED;
    swarm_call        entry = { .item = item,
                                .attempt = at->attempt + !is_hedge,
                                .reserved = { .model = at->model, .role = at->role },
                                .deadline_us =
                                    s->ports.now_us(s->ports.self) + s->options.call_timeout_us };
    enx_call          call = swarm_call_of(s, &entry, swarm_call_id(s, s->call_count));
    swarm_bound_call(s, &call, &entry.reserved);
    if (refusing_cap(s, item, &entry.reserved, NULL) != ENX_CAP_NONE) return false;
    const char *class_name = swarm_class_name(s, item);
    swarm_emit(s, (enx_record){
                      .kind = ENX_RECORD_CALL_INTENT,
                      .call_id = call.call_id,
                      .task_id = call.task_id,
                      .item = call.item,
                      .role = call.role,
                      .model = call.model,
                      .attempt = call.attempt,
                      .level = call.level,
                      .kinds = call.kinds,
                      .reserved_usd_nano = entry.reserved.usd_nano,
                      .reserved_tokens = entry.reserved.tokens,
                      .text = class_name,
                      .text_bytes = class_name ? strlen(class_name) : 0,
                  });
    if (s->is_stopped) return false;
    swarm_call *made = &s->calls[s->call_count - 1];
    made->max_tokens_in = call.max_tokens_in;
    made->max_tokens_out = call.max_tokens_out;
    made->deadline_us = entry.deadline_us;
    return true;
}

static void issue_all(enx_swarm *s)
{
    tell_allowances(s);
    for (uint32_t m = 0; m < s->options.roster->model_count; m++) swarm_relieve(s, m);
    for (uint32_t m = 0; m < s->options.roster->model_count; m++) {
        const swarm_model *model = &s->models[m];
        if (s->options.hedge_share > 0) swarm_hedge(s, m);
        while (model->queue.count && model->in_flight < s->options.roster->models[m].slots &&
               !s->is_stopped)
            if (!swarm_issue(s, model->queue.first)) break;
    }
}

/* Nothing runs and the budget refuses the next call: give up one task, the others may be cheaper.
 */
static void give_up_one(enx_swarm *s, uint32_t item)
{
    enx_report        report = { 0 };
    const swarm_item *at = &s->items[item];
    swarm_call entry = { .item = item, .reserved = { .model = at->model, .role = at->role } };
    enx_call   call = swarm_call_of(s, &entry, 0);
    swarm_bound_call(s, &call, &entry.reserved);
    const enx_cap cap = refusing_cap(s, item, &entry.reserved, &report);
    if (cap == ENX_CAP_NONE) return;
    if (s->end_cap == ENX_CAP_NONE) {
        s->end_cap = cap;
        s->end_cap_report = report;
    }
    if (at->role == ENX_ROLE_PLAN) {
        swarm_end_partial(s, ENX_REASON_BUDGET, report.text);
        return;
    }
    swarm_dequeue(s, item);
    if (at->role == ENX_ROLE_AUDIT) {
        swarm_stop_audits(s, item);
        s->items[item].is_unlabelled = true;
    } else {
        swarm_set_state(s, item, ENX_TASK_RETURNED);
        swarm_unlock(s, item);
    }
}

static bool give_up_heads(enx_swarm *s)
{
    bool found = false;
    for (uint32_t m = 0; m < s->options.roster->model_count && !swarm_is_over(s); m++)
        if (s->models[m].queue.count) {
            give_up_one(s, s->models[m].queue.first);
            found = true;
        }
    return found;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Answers of a class against each other: those of workers that contradict the others go up.  A task
 * goes up once, so that this ends; after a crash it finds what it had not found yet. */
static bool escalate_contradictions(enx_swarm *s, const enx_check *check)
{
    enx_span *answers = enx_mem_new(s->item_count, sizeof *answers);
    uint32_t *items = enx_mem_new(s->item_count, sizeof *items), count = 0;
    bool     *is_bad = enx_mem_new(s->item_count, sizeof *is_bad), found = false;
    for (uint32_t i = 0; answers && items && is_bad && i < s->item_count; i++) {
        const swarm_item *at = &s->items[i];
        if (at->state != ENX_TASK_ACCEPTED || at->reason == ENX_REASON_BLANK) continue;
        answers[count] = (enx_span){ swarm_text_get(s, at->answer), at->answer.size_bytes };
        items[count++] = i;
    }
    if (!answers || !items || !is_bad) {
        enx_report report = { 0 };
        enx_report_set(&report, ENX_NOMEM, __FILE__, __LINE__, "no memory to compare %u answers",
                       s->item_count);
        swarm_stop(s, ENX_NOMEM, &report);
    }
    if (count > 0) s->ports.relate(s->ports.self, check, answers, count, is_bad);
    for (uint32_t k = 0; k < count; k++) {
        const swarm_item *at = &s->items[items[k]];
        if (!is_bad[k] || at->is_escalated || at->answer_role == ENX_ROLE_LEAD ||
            !swarm_may_escalate(s, items[k]))
            continue;
        s->items[items[k]].check = (uint32_t)(check - s->options.given->checks) + 1;
        swarm_escalate(s, items[k], ENX_REASON_CROSS, at->error_chance);
        found = true;
    }
    enx_mem_free(answers);
    enx_mem_free(items);
    enx_mem_free(is_bad);
    return found;
}

/* All tasks are finished: are they of one mind?  True: there is more work to do. */
static bool relate(enx_swarm *s)
{
    const enx_class *c = s->options.given;
    bool             found = false;
    for (uint32_t i = 0; c && s->ports.relate && i < c->check_count; i++)
        if (enx_check_kind_kin(c->checks[i].kind) == ENX_CHECK_KIN_CROSS)
            found |= escalate_contradictions(s, &c->checks[i]);
    return found;
}

static void finish(enx_swarm *s)
{
    char note[NOTE_BYTES];
    swarm_stream_finish(s);
    if (s->tasks[ENX_TASK_RETURNED] == 0) {
        end_job(s, ENX_RECORD_JOB_DONE, ENX_REASON_NONE, "");
        return;
    }
    snprintf(note, sizeof note, "%u of %u tasks are not done: %.180s", s->tasks[ENX_TASK_RETURNED],
             s->item_count, s->end_cap_report.text);
    end_job(s, ENX_RECORD_JOB_PARTIAL, ENX_REASON_BUDGET, note);
}

void swarm_pump(enx_swarm *s)
{
    while (!swarm_is_over(s)) {
        swarm_stream_show(s);
        swarm_certify_stages(s);
        issue_all(s);
        if (s->open_count > 0) break; /* a report, or the clock, goes on from here */
        if (give_up_heads(s)) continue;
        if (s->tasks[ENX_TASK_OPEN] > 0) break;
        if (!relate(s) && !swarm_next_round(s) && !swarm_certify(s)) finish(s);
    }
    swarm_flush(s);
}
