/* SPDX-License-Identifier: Apache-2.0 */
/* swarm.c - the door to one job: open, replay, start, reports, time, results. */
#include "swarm/swarm.h"

#include "base/check.h"
#include "base/mem.h"
#include "swarm/swarm_flow.h"
#include "swarm/swarm_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CALL_TIMEOUT_US = 120000000, ATTEMPTS = 3, DIGEST_BYTES = 1 << 15 };

/* ---- open ---------------------------------------------------------------------------------- */

static bool has_specialist(const enx_roster *roster, const char *specialty)
{
    for (uint32_t m = 0; m < roster->model_count; m++)
        for (uint32_t i = 0; i < roster->models[m].language_count; i++)
            if (roster->models[m].duty == ENX_DUTY_WORKER &&
                strcmp(roster->models[m].languages[i], specialty) == 0)
                return true;
    return false;
}

/* Without a lead a job goes as far as its workers get. */
static enx_status judge_given(const enx_swarm_options *o, const uint32_t counts[ENX_DUTY_COUNT],
                              enx_report *report)
{
    const enx_class *c = o->given;
    if (counts[ENX_DUTY_WORKER] == 0)
        return ENX_FAIL(report, INVALID, "the swarm has no workers, expected at least one");
    if (c->specialty && !has_specialist(o->roster, c->specialty))
        return ENX_FAIL(report, INVALID, "class %s: no worker has the specialty %s", c->name,
                        c->specialty);
    if (enx_class_find_check(c, ENX_CHECK_VERIFIER) < ENX_CLASS_CHECKS_MAX &&
        counts[ENX_DUTY_VERIFIER] != 1)
        return ENX_FAIL(report, INVALID, "class %s: check verifier, but the swarm has %u of them",
                        c->name, counts[ENX_DUTY_VERIFIER]);
    const bool needs_lead = enx_class_find_check(c, ENX_CHECK_LEAD) < ENX_CLASS_CHECKS_MAX ||
                            (o->mode == ENX_SWARM_MODE_SWARM &&
                             (o->target_alpha > 0 || o->audit_labels_max > 0 || o->stream));
    if (needs_lead && counts[ENX_DUTY_LEAD] == 0)
        return ENX_FAIL(report, INVALID,
                        "class %s: a check or the certificate asks a lead, and the swarm has none",
                        c->name);
    return ENX_OK;
}

static enx_status judge_goal(const enx_swarm_options *o, const uint32_t counts[ENX_DUTY_COUNT],
                             enx_report *report)
{
    if (counts[ENX_DUTY_WORKER] == 0)
        return ENX_FAIL(report, INVALID, "the swarm has no workers, expected at least one");
    if (o->stream)
        return ENX_FAIL(report, INVALID,
                        "a certificate that goes on is about tasks of one kind, and those of a "
                        "goal are of several; give the work as a job of `enxame map`");
    if ((o->target_alpha > 0 || o->audit_labels_max > 0) && counts[ENX_DUTY_LEAD] == 0)
        return ENX_FAIL(report, INVALID, "a certificate asks a lead, and the swarm has none");
    return ENX_OK;
}

static enx_status judge_roster(const enx_swarm_options *o, enx_report *report)
{
    const enx_roster *roster = o->roster;
    uint32_t          counts[ENX_DUTY_COUNT] = { 0 };
    if (roster->model_count > ENX_ROSTER_MODELS_MAX)
        return ENX_FAIL(report, LIMIT, "%u models, at most %d", roster->model_count,
                        ENX_ROSTER_MODELS_MAX);
    for (uint32_t m = 0; m < roster->model_count; m++) {
        ENX_CHECK((unsigned)roster->models[m].duty < ENX_DUTY_COUNT);
        counts[roster->models[m].duty]++;
        if (roster->models[m].slots == 0)
            return ENX_FAIL(report, INVALID, "model %s has no slots, expected at least one",
                            roster->models[m].name);
    }
    const bool needs_lead = o->mode == ENX_SWARM_MODE_LEAD ||
                            (!o->given && !o->plan && !o->graph) ||
                            (!o->given && o->mode == ENX_SWARM_MODE_SWARM);
    if (counts[ENX_DUTY_LEAD] > 1 || (needs_lead && counts[ENX_DUTY_LEAD] == 0))
        return ENX_FAIL(report, INVALID, "the swarm has %u leads, expected one",
                        counts[ENX_DUTY_LEAD]);
    if (o->mode == ENX_SWARM_MODE_LEAD) return ENX_OK;
    if (o->is_goal) return judge_goal(o, counts, report);
    if (o->given) return judge_given(o, counts, report);
    if (counts[ENX_DUTY_SCOUT] != 1)
        return ENX_FAIL(report, INVALID, "the swarm has %u scouts, expected one",
                        counts[ENX_DUTY_SCOUT]);
    if (counts[ENX_DUTY_WORKER] == 0)
        return ENX_FAIL(report, INVALID, "the swarm has no workers, expected at least one");
    return ENX_OK;
}

static enx_status judge_options(const enx_swarm_options *o, enx_report *report)
{
    if (o->job_id >> 31)
        return ENX_FAIL(report, INVALID, "job number %" PRIu64 " is not below 2^31", o->job_id);
    if (o->item_count > ENX_SWARM_ITEMS_MAX)
        return ENX_FAIL(report, LIMIT, "%u tasks, at most %d", o->item_count, ENX_SWARM_ITEMS_MAX);
    if (!(o->escalate_above >= 0 && o->escalate_above <= 1))
        return ENX_FAIL(report, INVALID, "escalation above an error chance of %g, expected 0 to 1",
                        o->escalate_above);
    for (int i = 0; i < 4; i++)
        if (!(o->escalate_above_level[i] >= 0 && o->escalate_above_level[i] <= 1))
            return ENX_FAIL(report, INVALID,
                            "escalation of level %d above an error chance of %g, expected 0 to 1",
                            i, o->escalate_above_level[i]);
    if (!(o->target_alpha >= 0 && o->target_alpha < 1) || !(o->delta >= 0 && o->delta < 1))
        return ENX_FAIL(report, INVALID,
                        "target error %g with delta %g, expected both from 0 to below 1",
                        o->target_alpha, o->delta);
    if (!(o->hedge_share >= 0 && o->hedge_share <= ENX_SWARM_HEDGE_SHARE_MAX))
        return ENX_FAIL(report, INVALID, "a share of %g calls made twice, expected 0 to %g",
                        o->hedge_share, ENX_SWARM_HEDGE_SHARE_MAX);
    if (o->allowance_count > ENX_ALLOWANCES_MAX)
        return ENX_FAIL(report, LIMIT, "%u caps that jobs share, at most %d", o->allowance_count,
                        ENX_ALLOWANCES_MAX);
    if (o->attempts_max > ENX_SWARM_ATTEMPTS_MAX)
        return ENX_FAIL(report, LIMIT, "%u attempts, at most %d", o->attempts_max,
                        ENX_SWARM_ATTEMPTS_MAX);
    if (o->given) ENX_TRY(enx_class_validate(o->given, report));
    ENX_CHECK(!o->stream || (o->stream_id && o->target_alpha == 0 && o->audit_labels_max == 0));
    return judge_roster(o, report);
}

static void fill_defaults(enx_swarm_options *o)
{
    if (o->escalate_above == 0) o->escalate_above = .2;
    for (int i = 0; i < 4; i++)
        if (o->escalate_above_level[i] == 0) o->escalate_above_level[i] = o->escalate_above;
    if (o->scout_confidence_min == 0) o->scout_confidence_min = .5;
    if (o->gate_items_min == 0) o->gate_items_min = ENX_SWARM_GATE_ITEMS;
    if (o->attempts_max == 0) o->attempts_max = ATTEMPTS;
    if (o->call_timeout_us == 0) o->call_timeout_us = CALL_TIMEOUT_US;
    if (o->item_bytes_max == 0) o->item_bytes_max = ENX_SWARM_ITEM_BYTES;
}

/* FNV-1a over what makes a job the same job. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001B3);
    return (hash ^ size_bytes) * UINT64_C(0x100000001B3);
}

static uint64_t fingerprint(const enx_swarm_options *o)
{
    const uint8_t mode = (uint8_t)o->mode;
    uint64_t      hash = hash_bytes(UINT64_C(0xCBF29CE484222325), &mode, 1);
    hash = hash_bytes(hash, o->goal, strlen(o->goal));
    for (uint32_t i = 0; i < o->item_count; i++)
        hash = hash_bytes(hash, o->items[i].text, o->items[i].size_bytes);
    return hash;
}

static void init_items(enx_swarm *s)
{
    s->item_count = s->options.is_goal ? 0 : s->options.item_count;
    for (uint32_t i = 0; i <= s->item_count; i++) {
        swarm_item *at = &s->items[i];
        at->stage = SWARM_NONE;
        at->input = i < s->item_count ? s->options.items[i] : (enx_span){ "", 0 };
        at->hedge = at->prev = at->next = at->call = at->candidate = at->rank = SWARM_NONE;
        at->level = ENX_LEVEL_UNKNOWN;
        at->kinds = ENX_KINDS_ALL;
    }
    s->tasks[ENX_TASK_OPEN] = s->item_count;
}

static void init_models(enx_swarm *s)
{
    s->lead = s->scout = s->verifier = s->open_first = s->open_last = SWARM_NONE;
    for (uint32_t m = 0; m < ENX_ROSTER_MODELS_MAX; m++)
        s->models[m].queue = (swarm_queue){ SWARM_NONE, SWARM_NONE, 0 };
    for (uint32_t m = 0; m < s->options.roster->model_count; m++) {
        if (s->options.roster->models[m].duty == ENX_DUTY_LEAD) s->lead = m;
        if (s->options.roster->models[m].duty == ENX_DUTY_SCOUT) s->scout = m;
        if (s->options.roster->models[m].duty == ENX_DUTY_VERIFIER) s->verifier = m;
    }
}

enx_status enx_swarm_open(enx_swarm **out, const enx_swarm_options *options, enx_report *report)
{
    ENX_CHECK(out && options && options->roster && options->ports && options->goal);
    ENX_CHECK(options->items || options->item_count == 0);
    ENX_TRY(judge_options(options, report));
    enx_swarm *s = enx_mem_new(1, sizeof *s);
    if (!s) return ENX_FAIL(report, NOMEM, "no memory for a swarm");
    s->items = enx_mem_new((size_t)options->item_count + 1, sizeof *s->items);
    if (!s->items) {
        enx_mem_free(s);
        return ENX_FAIL(report, NOMEM, "no memory for %u tasks", options->item_count);
    }
    s->options = *options;
    s->ports = *options->ports;
    fill_defaults(&s->options);
    enx_buf_init(&s->plan_goal, strlen(options->goal) + 2 * ENX_REPORT_TEXT_MAX + DIGEST_BYTES);
    enx_budget_init(&s->budget, &options->caps);
    for (uint32_t i = 0; i < options->allowance_count; i++)
        s->allowances[i] = (enx_allowance){ .class_name = options->allowances[i].class_name,
                                            .caps = options->allowances[i].caps };
    init_items(s);
    init_models(s);
    s->fingerprint = fingerprint(options);
    *out = s;
    return ENX_OK;
}

static void close_proof(swarm_proof *proof)
{
    enx_certificate_close(&proof->certificate);
    enx_mem_free(proof->ranks);
}

void enx_swarm_close(enx_swarm **swarm)
{
    enx_swarm *s = *swarm;
    *swarm = NULL;
    if (!s) return;
    close_proof(&s->proof);
    for (uint32_t k = 0; k < s->stage_count; k++) close_proof(&s->stages[k].proof);
    enx_buf_deinit(&s->plan_goal);
    for (uint32_t i = 0; i < ENX_SWARM_ROUNDS_MAX; i++) enx_graph_close(&s->graphs[i]);
    enx_mem_free(s->texts);
    enx_mem_free(s->calls);
    enx_mem_free(s->items);
    enx_mem_free(s);
}

/* ---- start and replay ---------------------------------------------------------------------- */

enx_status enx_swarm_replay(enx_swarm *s, const enx_record *record, enx_report *report)
{
    ENX_CHECK(!s->is_started);
    return swarm_apply(s, record, NULL, report);
}

static void open_job(enx_swarm *s)
{
    enx_record record = {
        .kind = ENX_RECORD_JOB_OPENED,
        .text = s->options.goal,
        .text_bytes = strlen(s->options.goal),
        .items = s->options.item_count,
        .seed = s->options.seed ? s->options.seed : s->ports.random_u64(s->ports.self),
        .fingerprint = s->fingerprint,
    };
    swarm_emit(s, record);
}

static void gate(enx_swarm *s)
{
    enx_record record = { .kind = ENX_RECORD_GATED };
    record.reason = swarm_gate(s, &record.is_single);
    swarm_emit(s, record);
}

/* Calls without result go out again under their own ids; what they cost so far is unknown. */
static void reissue(enx_swarm *s)
{
    const uint64_t now_us = s->ports.now_us(s->ports.self);
    for (uint32_t call = s->open_first; call != SWARM_NONE; call = s->calls[call].next) {
        swarm_call *entry = &s->calls[call];
        enx_budget_lose(&s->budget, &entry->reserved);
        entry->is_unknown = true;
        entry->deadline_us = now_us + s->options.call_timeout_us;
        enx_call        out = swarm_call_of(s, entry, swarm_call_id(s, call));
        enx_reservation bound; /* only the token bounds are wanted: the reserve is as recorded */
        swarm_bound_call(s, &out, &bound);
        entry->max_tokens_in = out.max_tokens_in;
        entry->max_tokens_out = out.max_tokens_out;
        swarm_generate(s, call);
    }
}

/* A batch may have been cut by a crash between its records: decide again what follows. */
static void settle_reported(enx_swarm *s)
{
    for (uint32_t i = 0; i <= s->item_count && !swarm_is_over(s); i++) swarm_decide(s, i);
    swarm_stream_resume(s);
}

/* The user's plan is judged as the lead's is. */
static void take_graph(enx_swarm *s)
{
    enx_graph *graph = NULL;
    enx_report report = { 0 };
    enx_status status = enx_graph_open(&graph, s->options.graph, strlen(s->options.graph), &report);
    enx_swarm_outlay sum = { 0 };
    if (status == ENX_OK) status = swarm_judge_graph(s, graph, &sum, &report);
    enx_graph_close(&graph);
    if (status != ENX_OK) swarm_fail(s, ENX_REASON_PLAN_REFUSED, report.text);
    else if (swarm_is_approved(s, s->options.graph, &sum))
        swarm_take_plan(s, s->options.graph, false);
}

/* A plan call that was under way before a replay needs its goal again, another one a new start. */
static void start_plan(enx_swarm *s)
{
    const bool is_alone = s->is_single || s->options.mode == ENX_SWARM_MODE_LEAD;
    if (s->items[s->item_count].work != WORK_NONE) swarm_write_plan_goal(s);
    else if (s->options.is_goal && is_alone) swarm_take_alone(s);
    else if (s->options.graph) take_graph(s);
    else if (s->options.given) swarm_take_given(s);
    else if (s->options.plan) swarm_accept_plan(s, s->options.plan);
    else swarm_ask_plan(s);
}

enx_swarm_forecast enx_swarm_forecast_get(const enx_swarm *s)
{
    ENX_CHECK(!s->is_started && !s->options.is_goal);
    return swarm_forecast(s);
}

void enx_swarm_start(enx_swarm *s)
{
    ENX_CHECK(!s->is_started);
    s->is_started = true;
    s->start_us = s->ports.now_us(s->ports.self);
    if (swarm_is_over(s)) return;
    if (!s->is_opened) open_job(s);
    if (!s->is_gated) gate(s);
    if (s->has_plan) {
        if (s->items[s->item_count].work != WORK_NONE) swarm_write_plan_goal(s);
        swarm_create_tasks(s);
    } else if (s->options.item_count > 0 && !s->is_stopped) start_plan(s);
    swarm_flush(s);
    if (!swarm_is_over(s)) reissue(s);
    settle_reported(s);
    swarm_pump(s);
}

/* ---- events -------------------------------------------------------------------------------- */

/* The job's time is up: end it.  True: it did. */
static bool end_if_late(enx_swarm *s, uint64_t now_us)
{
    char note[96];
    if (!s->options.caps.time_us || now_us - s->start_us < s->options.caps.time_us) return false;
    snprintf(note, sizeof note, "the job had %.3f s", (double)s->options.caps.time_us * 1e-6);
    swarm_end_partial(s, ENX_REASON_TIME, note);
    swarm_flush(s);
    return true;
}

/* Nobody knows what became of an open call; `why` is "" when the deadline passed. */
static void lose(enx_swarm *s, uint32_t call, const char *why)
{
    const swarm_call *entry = &s->calls[call];
    const uint32_t    item = entry->item;
    swarm_emit(s, (enx_record){
                      .kind = ENX_RECORD_CALL_LOST,
                      .call_id = swarm_call_id(s, call),
                      .task_id = swarm_task_id(s, item),
                      .item = item == s->item_count ? 0 : item,
                      .role = entry->reserved.role,
                      .model = entry->reserved.model,
                      .attempt = entry->attempt,
                      .reason = *why ? ENX_REASON_CALL_FAILED : ENX_REASON_TIMED_OUT,
                      .text = why,
                      .text_bytes = strlen(why),
                  });
    swarm_decide(s, item);
}

static void settle(enx_swarm *s, uint32_t call, const enx_call_report *report)
{
    const swarm_call *entry = &s->calls[call];
    const uint32_t    item = entry->item;
    const enx_price  *price = &s->options.roster->models[entry->reserved.model].price;
    enx_record        record = {
               .kind = ENX_RECORD_CALL_RESULT,
               .task_id = swarm_task_id(s, item),
               .item = item == s->item_count ? 0 : item,
               .call_id = report->call_id,
               .role = entry->reserved.role,
               .model = entry->reserved.model,
               .attempt = entry->attempt,
               .reserved_usd_nano = entry->reserved.usd_nano,
               .reserved_tokens = entry->reserved.tokens,
               .cost_usd_nano = enx_price_cost(price, &report->usage),
               .fixed_usd_nano = enx_price_fixed(price, &report->usage),
               .report = *report,
    };
    if ((unsigned)report->status >= ENX_CALL_LOST) record.report.status = ENX_CALL_ERROR;
    const bool is_timed = report->status == ENX_CALL_OK && !(report->flags & ENX_FLAG_REUSED);
    if (entry->state == CALL_OPEN && is_timed) swarm_time_call(s, call);
    if (!report->answer) record.report.answer_bytes = 0;
    swarm_emit(s, record);
    swarm_decide(s, item);
}

void enx_swarm_on_report(enx_swarm *s, const enx_call_report *report)
{
    const uint64_t index = (report->call_id & UINT32_MAX) - 1;
    if (s->is_stopped || report->call_id >> 32 != s->options.job_id || index >= s->call_count)
        return;
    const swarm_call *entry = &s->calls[index];
    const bool        is_lost = report->status == ENX_CALL_LOST;
    if (entry->state == CALL_SETTLED || (is_lost && entry->state != CALL_OPEN)) return;
    if (is_lost) lose(s, (uint32_t)index, report->error ? report->error : "");
    else settle(s, (uint32_t)index, report);
    if (swarm_is_over(s)) swarm_flush(s);
    else if (!end_if_late(s, s->ports.now_us(s->ports.self))) swarm_pump(s);
}

void enx_swarm_tick(enx_swarm *s)
{
    if (swarm_is_over(s) || !s->is_started) return;
    const uint64_t now_us = s->ports.now_us(s->ports.self);
    if (end_if_late(s, now_us)) return;
    while (s->open_first != SWARM_NONE && s->calls[s->open_first].deadline_us <= now_us &&
           !swarm_is_over(s))
        lose(s, s->open_first, "");
    swarm_pump(s);
}

uint64_t enx_swarm_wake_us(const enx_swarm *s)
{
    uint64_t wake_us = UINT64_MAX;
    if (swarm_is_over(s) || !s->is_started) return wake_us;
    if (s->open_first != SWARM_NONE) wake_us = s->calls[s->open_first].deadline_us;
    const uint64_t hedge_us = swarm_hedge_us(s);
    if (hedge_us < wake_us) wake_us = hedge_us;
    const uint64_t end_us =
        s->options.caps.time_us ? s->start_us + s->options.caps.time_us : UINT64_MAX;
    return end_us < wake_us ? end_us : wake_us;
}

void enx_swarm_cancel(enx_swarm *s)
{
    if (swarm_is_over(s)) return;
    swarm_end_partial(s, ENX_REASON_CANCELED, "canceled by the user");
    swarm_flush(s);
}

/* ---- results ------------------------------------------------------------------------------- */

bool enx_swarm_is_done(const enx_swarm *s) { return swarm_is_over(s); }

enx_status enx_swarm_error(const enx_swarm *s, enx_report *report)
{
    if (s->error != ENX_OK && report) *report = s->error_report;
    return s->error;
}

uint32_t enx_swarm_assembly(const enx_swarm *s)
{
    const bool has = s->is_delivering && s->stage_count > 0 &&
                     s->stages[s->stage_count - 1].plan == &s->last_stage;
    return has ? s->stages[s->stage_count - 1].first : ENX_SWARM_ITEMS_MAX;
}

const char *enx_swarm_class_of(const enx_swarm *s, uint32_t item, bool *is_last)
{
    ENX_CHECK(item < s->item_count);
    const swarm_item *at = &s->items[item];
    *is_last = at->stage == SWARM_NONE || s->stages[at->stage].plan->is_last;
    return at->task_class ? at->task_class->name : "";
}

enx_swarm_answer enx_swarm_result(const enx_swarm *s, uint32_t item)
{
    ENX_CHECK(item < s->item_count);
    const swarm_item *at = &s->items[item];
    enx_swarm_answer  answer = {
         .state = at->state,
         .answer = swarm_input(s, at),
         .reason = at->reason,
         .note = swarm_text_get(s, at->note),
         .model = at->answer_model,
         .role = at->answer_role,
         .error_chance = at->error_chance,
         .is_escalated = at->is_escalated,
         .escalate_reason = at->escalate_reason,
         .level = at->level,
         .is_labelled = at->label != LABEL_NONE,
         .was_wrong = at->label == LABEL_WRONG,
    };
    memcpy(answer.language, at->language, sizeof answer.language);
    if (at->has_answer && at->state == ENX_TASK_ACCEPTED)
        answer.answer = (enx_span){ swarm_text_get(s, at->answer), at->answer.size_bytes };
    return answer;
}

enx_swarm_progress enx_swarm_progress_get(const enx_swarm *s, uint32_t model)
{
    ENX_CHECK(model < s->options.roster->model_count);
    enx_swarm_progress progress = s->models[model].counts;
    progress.queued = s->models[model].queue.count;
    progress.running = s->models[model].in_flight;
    progress.line = enx_budget_by_model(&s->budget, model);
    return progress;
}

enx_swarm_summary enx_swarm_summary_get(const enx_swarm *s)
{
    enx_swarm_summary summary = {
        .end = s->end,
        .end_reason = s->end_reason,
        .end_note = swarm_text_get(s, s->end_note),
        .end_cap = s->end_cap,
        .is_single = s->is_single,
        .gate_reason = s->gate_reason,
        .has_plan = s->has_plan,
        .plan = s->plan,
        .given = s->options.given,
        .is_goal = s->options.is_goal,
        .round = s->round,
        .task_count = s->item_count,
        .escalated = s->escalated,
        .has_certificate = s->proof.is_certified,
        .certificate = s->proof.claim,
        .known_worker = s->known[0],
        .known_lead = s->known[1],
    };
    memcpy(summary.tasks, s->tasks, sizeof summary.tasks);
    if (s->is_started)
        summary.elapsed_us = (s->end_us ? s->end_us : s->ports.now_us(s->ports.self)) - s->start_us;
    return summary;
}

const enx_budget *enx_swarm_budget(const enx_swarm *s) { return &s->budget; }
