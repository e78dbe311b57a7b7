/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_sim.c - whole jobs in a virtual world: one seed is one history.
 *
 *     swarm_sim --seed=1 --count=200        (first seed, number of seeds; --verbose)
 *     swarm_sim --seed=1 --calls=1000000    as many seeds as it takes
 *     swarm_sim --seed=1 --count=5 --every-save     die at each save of a job in turn, all three
 * ways
 *
 * The world has a virtual clock, models of known skill with prices and slots, and a store that
 * keeps records.  By seed, reports are late, lost, doubled, strays, or say that nobody knows, calls
 * fail, saves fail, the process dies at any record (before, after or in the middle of a batch),
 * caps are tight, of the job or of a day that it shares with others, the user cancels.  Every 16th
 * story is wide: hundreds of tasks, 256 slots a model.  After every event the numbered invariants
 * of swarm_state.c are checked, and these of the world:
 *
 *   [a] a call leaves only after its intent was saved, once a life, and never for a finished task
 *   [b] the ledger equals the world's own meter, to the token, over all calls with a result
 *   [c] what was really spent never passes a cap
 *       nor, with what others used of that day, the day's
 *   [d] no model has more calls than slots
 *   [i] after a cancel no call leaves
 * and at the end:
 *   [e] every task has an answer that passes its check, or its own text
 *   [f] replaying the records gives the same answers and starts nothing
 *   [g] the same seed gives the same history, byte for byte
 *   [h] without faults and caps, answers and bill do not depend on the order of reports, nor do
 *       the answers on crashes and on second calls for late tasks
 *   [i] a certificate that goes on, told again what was recorded of it, decides the same
 */
#include "base/check.h"
#include "base/rng.h"
#include "swarm/swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ITEMS_MAX = 60,
    WIDE_ITEMS_MAX = 600,
    WIDE_SLOTS = 256,
    DAYS_MAX = 64,
    DAY_US = 20000000,
    TEXT_MAX = 48,
    CALLS_MAX = 4096,
    EVENTS_MAX = 8192,
    RECORDS_MAX = 16384,
    POOL_BYTES = 8 << 20,
    WORKERS_MAX = 4,
    STEPS_MAX = 20000,
    JOB_ID = 7,
    SALT_HEDGED = 4,
    SEEDS_MAX = 1 << 24,
};

typedef struct event {
    uint64_t time_us;
    uint64_t order;
    uint64_t call_id; /* of the report that arrives; 0: a stray */
} event;

typedef struct metered {
    bool            was_executed;
    bool            has_intent; /* saved */
    bool            has_result; /* saved */
    bool            is_awaited; /* it holds a slot */
    uint32_t        life;       /* in which it was generated last */
    uint32_t        task_id;
    uint32_t        model;
    enx_role        role;
    uint32_t        day; /* on which it was admitted */
    enx_usage_count usage;
    enx_call_report report; /* answer in the pool */
} metered;

/* How a history goes, drawn from the seed. */
typedef struct story {
    enx_swarm_mode  mode;
    uint32_t        item_count;
    uint32_t        worker_count;
    double          fault; /* chance per call of each kind of fault */
    bool            tells_losses;
    double          hedge_share;
    uint32_t        crashes;
    bool            is_capped;
    uint32_t        bad_plans;  /* of the lead, before a good one */
    bool            is_planned; /* by the caller */
    uint32_t        audit_labels_max;
    double          target_alpha;
    bool            is_streamed;
    enx_budget_caps caps;
    bool            is_wide;
    enx_budget_caps day_caps;  /* 0: none */
    uint32_t        cancel_at; /* step; 0: never */
} story;

typedef struct world {
    uint64_t         seed, salt, now_us, order, step;
    uint32_t         life;
    enx_rng          rng;
    story            told;
    enx_swarm       *swarm;
    enx_stream      *stream;    /* of the swarm, if any */
    bool             is_dead;   /* the process died in this event */
    uint32_t         crash_at;  /* number of saves; 0: never */
    int              crash_how; /* before, after, or torn; -1: by chance */
    uint64_t         hedges;
    uint32_t         saves;
    uint64_t         spent_usd_nano, spent_tokens, spent_calls;
    enx_use          spent[DAYS_MAX];  /* by the day of admission */
    enx_use          before[DAYS_MAX]; /* of earlier lives, as the store tells it */
    bool             is_cancelled;
    uint32_t         flight, flight_max;
    uint64_t         trace;
    event            events[EVENTS_MAX];
    uint32_t         event_count;
    metered          calls[CALLS_MAX];
    uint32_t         call_count;
    enx_record       records[RECORDS_MAX];
    uint32_t         record_count;
    char             pool[POOL_BYTES];
    size_t           pool_bytes;
    bool             is_finished[WIDE_ITEMS_MAX + 1];
    uint32_t         in_flight[ENX_ROSTER_MODELS_MAX];
    enx_span         items[WIDE_ITEMS_MAX];
    char             texts[WIDE_ITEMS_MAX][TEXT_MAX];
    const char      *languages[WORKERS_MAX];
    enx_roster_model models[WORKERS_MAX + 2];
    enx_roster       roster;
    char             failure[ENX_REPORT_TEXT_MAX];
} world;

typedef struct outcome {
    bool     is_ok;
    uint64_t trace;
    uint64_t answers;
    uint64_t cost_usd_nano;
    uint64_t calls;
    uint64_t hedges; /* calls that another one was faster than */
    uint32_t saves;
    uint32_t flight; /* calls at a time, at most */
} outcome;

static world the_world; /* a few megabytes: not for the stack */

static bool fail(world *w, const char *what)
{
    if (!w->failure[0]) snprintf(w->failure, sizeof w->failure, "%s", what);
    return false;
}

static uint64_t hash(uint64_t hash, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001B3);
    return (hash ^ size_bytes) * UINT64_C(0x100000001B3);
}

static void trace(world *w, uint64_t value) { w->trace = hash(w->trace, &value, sizeof value); }

static const char *keep(world *w, const char *bytes, size_t size_bytes)
{
    ENX_CHECK(w->pool_bytes + size_bytes + 1 <= POOL_BYTES);
    char *at = w->pool + w->pool_bytes;
    if (size_bytes) memcpy(at, bytes, size_bytes);
    at[size_bytes] = '\0';
    w->pool_bytes += size_bytes + 1;
    return at;
}

/* What a model does with a task is a function of the seed, the task and the model: answers are
 * deterministic, only time is not. */
static enx_rng nature(const world *w, uint32_t task_id, uint32_t model)
{
    return enx_rng_open(w->seed, (uint64_t)task_id << 8 | model);
}

/* ---- models -------------------------------------------------------------------------------- */

static const char good_plan[] =
    "{\"mode\":\"swarm\",\"for_each\":\"paragraph\",\"repair\":[\"accents\",\"capitals\"],"
    "\"languages\":[\"any\"],\"escalate\":true,\"check\":[\"round_trip\",\"confidence\"]}";
static const char bad_plan[] =
    "{\"mode\":\"swarm\",\"for_each\":\"paragraph\",\"repair\":[\"capitals\"],"
    "\"languages\":[\"any\"],\"escalate\":true,\"check\":[\"confidence\"]}";

static void answer_scout(const enx_call *call, enx_call_report *report, enx_rng *rng)
{
    const char digit = call->input_bytes > 1 ? call->input[1] : '9';
    report->confidence = enx_rng_unit(rng) < .9 ? .95 : .2;
    report->level = (int32_t)enx_rng_below(rng, 4);
    report->error_chance = .01 + .1 * enx_rng_unit(rng);
    if (enx_rng_unit(rng) < .95) snprintf(report->language, sizeof report->language, "l%c", digit);
    if (enx_rng_unit(rng) < .02) report->status = ENX_CALL_ABSTAIN;
}

/* Right: the first letter is a capital.  Wrong but reducible: the second one.  Else: garbage. */
static void answer_text(world *w, const enx_call *call, enx_call_report *report, enx_rng *rng)
{
    char   text[TEXT_MAX];
    double wrong = call->model == 0 ? .01 : .2;
    memcpy(text, call->input, call->input_bytes);
    const double draw = enx_rng_unit(rng);
    report->error_chance = draw < wrong ? .1 + .8 * enx_rng_unit(rng) : .4 * enx_rng_unit(rng);
    text[draw < wrong ? 2 : 0] = (char)(text[draw < wrong ? 2 : 0] - ('a' - 'A'));
    const double quirk = enx_rng_unit(rng);
    if (quirk < .03) text[3] = '#';
    if (quirk > .98) report->status = ENX_CALL_REFUSE;
    if (quirk > .95 && quirk < .96) report->flags = ENX_FLAG_TRUNCATED;
    report->answer_bytes = quirk > .94 && quirk < .95 ? 0 : call->input_bytes;
    report->answer = keep(w, text, report->answer_bytes);
}

static void execute(world *w, const enx_call *call, metered *at)
{
    enx_rng         rng = nature(w, call->task_id, call->model);
    enx_call_report report = { .call_id = call->call_id, .answer = "", .level = -1 };
    if (call->role == ENX_ROLE_PLAN) {
        report.answer = call->attempt > w->told.bad_plans ? good_plan : bad_plan;
        report.answer_bytes = strlen(report.answer);
    } else if (call->role == ENX_ROLE_SCOUT) {
        answer_scout(call, &report, &rng);
    } else {
        answer_text(w, call, &report, &rng);
    }
    /* Use depends on the task and the attempt, so that the bill is a function of the story. */
    rng = enx_rng_open(w->seed, (uint64_t)call->task_id << 20 | call->role << 8 | call->attempt);
    report.usage.tokens_in = enx_rng_below(&rng, call->max_tokens_in / 2 + 1);
    report.usage.tokens_cached = enx_rng_below(&rng, call->max_tokens_in / 2 + 1);
    report.usage.tokens_out = enx_rng_below(&rng, call->max_tokens_out + 1);
    if (enx_rng_unit(&w->rng) < w->told.fault) {
        report.status = ENX_CALL_ERROR;
        report.error = "simulated failure";
    }
    at->was_executed = true;
    at->usage = report.usage;
    at->report = report;
    w->spent_calls++;
    w->spent_tokens += enx_usage_tokens(&report.usage);
    w->spent_usd_nano += enx_price_cost(&w->models[call->model].price, &report.usage);
    enx_use *day = &w->spent[at->day];
    day->calls++;
    day->tokens += enx_usage_tokens(&report.usage);
    day->usd_nano += enx_price_cost(&w->models[call->model].price, &report.usage);
}

/* ---- ports --------------------------------------------------------------------------------- */

static void push_event(world *w, uint64_t time_us, uint64_t call_id)
{
    ENX_CHECK(w->event_count < EVENTS_MAX);
    w->events[w->event_count++] = (event){ time_us, w->order++, call_id };
}

static uint32_t index_of(uint64_t call_id) { return (uint32_t)(call_id & UINT32_MAX); }

static void port_generate(void *self, const enx_call *call)
{
    world         *w = self;
    const uint32_t index = index_of(call->call_id);
    ENX_CHECK(index < CALLS_MAX && call->call_id >> 32 == JOB_ID);
    metered *at = &w->calls[index];
    if (!at->has_intent) fail(w, "[a] a call left without a saved intent");
    if (at->life == w->life) fail(w, "[a] a call left twice in one life");
    if (at->has_result) fail(w, "[a] a call with a result left again");
    if (w->is_cancelled) fail(w, "[i] a call left after the cancel");
    if (call->task_id && w->is_finished[call->task_id] && call->role != ENX_ROLE_AUDIT)
        fail(w, "[a] a call left for a finished task");
    at->life = w->life;
    at->is_awaited = true;
    if (++w->in_flight[call->model] > w->models[call->model].slots) fail(w, "[d] too many calls");
    if (++w->flight > w->flight_max) w->flight_max = w->flight;
    trace(w, call->call_id);
    if (!at->was_executed) execute(w, call, at);
    if (enx_rng_unit(&w->rng) < w->told.fault) return; /* the report is lost */
    uint64_t latency_us = 1000 + enx_rng_below(&w->rng, 2000000);
    if (enx_rng_unit(&w->rng) < w->told.fault) latency_us += 30000000; /* after the deadline */
    push_event(w, w->now_us + latency_us, call->call_id);
    if (enx_rng_unit(&w->rng) < w->told.fault)
        push_event(w, w->now_us + latency_us + enx_rng_below(&w->rng, 3000000), call->call_id);
    if (enx_rng_unit(&w->rng) < w->told.fault) push_event(w, w->now_us + 5000, 0);
}

static void release_slot(world *w, uint32_t index)
{
    metered *at = &w->calls[index];
    if (at->is_awaited) {
        w->in_flight[at->model]--;
        w->flight--;
    }
    at->is_awaited = false;
}

static void port_cancel(void *self, uint64_t call_id)
{
    world *w = self;
    trace(w, ~call_id);
    release_slot(w, index_of(call_id));
}

static uint32_t day_of(const world *w)
{
    const uint64_t day = 1 + w->now_us / DAY_US;
    return day < DAYS_MAX ? (uint32_t)day : DAYS_MAX - 1;
}

/* What others used of a day, as they had all of it before this job began. */
static enx_use others(const world *w, uint32_t day)
{
    enx_rng                rng = enx_rng_open(w->seed, 500 + day);
    const enx_budget_caps *caps = &w->told.day_caps;
    return (enx_use){ .usd_nano = enx_rng_below(&rng, caps->usd_nano / 2 + 1),
                      .tokens = enx_rng_below(&rng, caps->tokens / 2 + 1),
                      .calls = enx_rng_below(&rng, caps->calls / 2 + 1) };
}

/* What this job took in earlier lives is told here, too, by what it holds or has spent. */
static enx_status port_use_elsewhere(void *self, const char *class_name, uint32_t *day,
                                     enx_use *out, enx_report *report)
{
    world *w = self;
    (void)class_name, (void)report;
    *day = day_of(w);
    *out = others(w, *day);
    out->usd_nano += w->before[*day].usd_nano;
    out->tokens += w->before[*day].tokens;
    out->calls += w->before[*day].calls;
    return ENX_OK;
}

static void store(world *w, const enx_record *record)
{
    ENX_CHECK(w->record_count < RECORDS_MAX);
    enx_record *copy = &w->records[w->record_count++];
    *copy = *record;
    copy->text = keep(w, record->text, record->text_bytes);
    if (record->kind == ENX_RECORD_CALL_RESULT) {
        copy->report.answer = keep(w, record->report.answer, record->report.answer_bytes);
        if (record->report.error)
            copy->report.error = keep(w, record->report.error, strlen(record->report.error));
        w->calls[index_of(record->call_id)].has_result = true;
    }
    if (record->kind == ENX_RECORD_CALL_INTENT) {
        metered *at = &w->calls[index_of(record->call_id)];
        if (at->has_intent) fail(w, "[a] an intent was saved twice");
        *at = (metered){ .has_intent = true,
                         .task_id = record->task_id,
                         .model = record->model,
                         .role = record->role,
                         .day = day_of(w) };
    }
    if (record->kind == ENX_RECORD_TASK_ACCEPTED || record->kind == ENX_RECORD_TASK_ABSTAINED ||
        record->kind == ENX_RECORD_TASK_FAILED)
        w->is_finished[record->task_id] = true;
    if (record->kind == ENX_RECORD_TASK_ESCALATED) w->is_finished[record->task_id] = false;
    w->hedges += record->reason == ENX_REASON_HEDGED;
    trace(w, (uint64_t)record->kind << 32 | record->task_id);
    w->trace = hash(w->trace, record->text, record->text_bytes);
}

static enx_status port_save(void *self, const enx_record *records, size_t record_count,
                            enx_report *report)
{
    world *w = self;
    w->saves++;
    size_t kept = record_count;
    if (w->crash_at && w->saves >= w->crash_at) {
        w->is_dead = true;
        const uint64_t how = w->crash_how >= 0 ? (uint64_t)w->crash_how : enx_rng_below(&w->rng, 3);
        kept = how == 0 ? 0 : how == 1 ? record_count : enx_rng_below(&w->rng, record_count + 1);
    }
    for (size_t i = 0; i < kept; i++) store(w, &records[i]);
    return w->is_dead ? ENX_FAIL(report, IO, "simulated: the disk is full") : ENX_OK;
}

static bool port_check(void *self, const enx_check *check, const enx_call *call, const char *answer,
                       size_t answer_bytes, char *reason, size_t reason_bytes)
{
    (void)self;
    ENX_CHECK(check->kind == ENX_CHECK_ROUND_TRIP);
    bool is_same = answer_bytes == call->input_bytes;
    for (size_t i = 0; is_same && i < answer_bytes; i++)
        is_same = (answer[i] | 0x20) == (call->input[i] | 0x20);
    if (!is_same) snprintf(reason, reason_bytes, "does not reduce");
    return is_same;
}

static void port_measure(void *self, enx_call *call)
{
    (void)self;
    call->max_tokens_in = (uint32_t)call->input_bytes + 8;
    call->max_tokens_out = call->role == ENX_ROLE_SCOUT ? 4 : (uint32_t)call->input_bytes + 4;
}

static uint64_t port_now(void *self) { return ((world *)self)->now_us; }
static uint64_t port_random(void *self) { return ((world *)self)->seed * 31 + 7; }

/* ---- the world ----------------------------------------------------------------------------- */

/* Of their own chance, so that other histories stay as they were. */
static void tell_wide(world *w, bool is_calm)
{
    enx_rng rng = enx_rng_open(w->seed, 5);
    story  *t = &w->told;
    t->is_wide = w->seed % 16 == 9;
    if (t->is_wide)
        t->item_count = WIDE_ITEMS_MAX / 2 + (uint32_t)enx_rng_below(&rng, WIDE_ITEMS_MAX / 2);
    const uint64_t size = 1 + enx_rng_below(&rng, 40) * t->item_count / 10;
    const uint64_t cap = enx_rng_below(&rng, 6);
    if (is_calm) return;
    if (t->is_wide || w->seed % 16 == 3) {
        if (cap == 0) t->day_caps.usd_nano = size * 3000;
        if (cap == 1) t->day_caps.tokens = size * 60;
        if (cap == 2) t->day_caps.calls = size;
    }
    if (w->seed % 8 == 1) t->cancel_at = 1 + (uint32_t)enx_rng_below(&rng, 4 * t->item_count);
}

static void tell_story(world *w, bool is_calm)
{
    enx_rng rng = enx_rng_open(w->seed, 1);
    story  *t = &w->told;
    t->item_count = 1 + (uint32_t)enx_rng_below(&rng, ITEMS_MAX);
    t->worker_count = 1 + (uint32_t)enx_rng_below(&rng, WORKERS_MAX);
    const uint64_t mode = enx_rng_below(&rng, 8);
    t->mode = mode == 0   ? ENX_SWARM_MODE_WORKERS
              : mode == 1 ? ENX_SWARM_MODE_LEAD
                          : ENX_SWARM_MODE_SWARM;
    t->bad_plans = enx_rng_below(&rng, 4) ? 0 : 1 + (uint32_t)enx_rng_below(&rng, 3);
    t->is_planned = enx_rng_below(&rng, 3) == 0;
    if (enx_rng_below(&rng, 2)) t->audit_labels_max = 1 + (uint32_t)enx_rng_below(&rng, 40);
    if (enx_rng_below(&rng, 4) == 0) t->target_alpha = .05 + .3 * enx_rng_unit(&rng);
    t->is_streamed = w->seed % 5 == 3;
    t->fault = enx_rng_below(&rng, 3) ? .15 * enx_rng_unit(&rng) : 0;
    t->tells_losses = w->seed % 4 == 1;
    t->hedge_share = w->seed % 3 == 2 ? .3 : 0;
    t->crashes = enx_rng_below(&rng, 2) ? (uint32_t)enx_rng_below(&rng, 4) : 0;
    t->is_capped = enx_rng_below(&rng, 2) == 0;
    const uint64_t cap = enx_rng_below(&rng, 4);
    const uint64_t size = 1 + enx_rng_below(&rng, 100);
    if (is_calm) {
        t->fault = 0;
        t->crashes = 0;
        t->hedge_share = 0;
        t->is_capped = false;
    }
    tell_wide(w, is_calm);
    if (!t->is_capped) return;
    if (cap == 0) t->caps.usd_nano = size * 3000;
    if (cap == 1) t->caps.tokens = size * 120;
    if (cap == 2) t->caps.calls = size * 2;
    if (cap == 3) t->caps.time_us = size * 200000;
}

static void make_world(world *w)
{
    enx_rng                  rng = enx_rng_open(w->seed, 2);
    static const char *const languages[] = { "l0", "l1", "l2", "l3" };
    for (uint32_t m = 0; m < w->told.worker_count + 2; m++) {
        const bool is_worker = m >= 2;
        if (is_worker) w->languages[m - 2] = languages[m - 2];
        w->models[m] = (enx_roster_model){
            .name = m == 0   ? "lead"
                    : m == 1 ? "scout"
                             : "worker",
            .duty = m == 0   ? ENX_DUTY_LEAD
                    : m == 1 ? ENX_DUTY_SCOUT
                             : ENX_DUTY_WORKER,
            .languages = is_worker ? &w->languages[m - 2] : NULL,
            .language_count = is_worker,
            .price = { .in = enx_rng_below(&rng, 90000000),
                       .cached = enx_rng_below(&rng, 9000000),
                       .out = enx_rng_below(&rng, 90000000),
                       .fixed = enx_rng_below(&rng, 1000000) },
            .slots = w->told.is_wide ? WIDE_SLOTS + (uint32_t)enx_rng_below(&rng, 6)
                                     : 1 + (uint32_t)enx_rng_below(&rng, 6),
            .prompt_tokens = 8,
            .is_elsewhere = true,
        };
    }
    w->roster = (enx_roster){ w->models, w->told.worker_count + 2 };
    for (uint32_t i = 0; i < w->told.item_count; i++) {
        const uint64_t language = enx_rng_below(&rng, w->told.worker_count + 1);
        const int      size =
            snprintf(w->texts[i], TEXT_MAX, "t%dpt%.*s", (int)language,
                     (int)enx_rng_below(&rng, 30), "abcdefghijklmnopqrstuvwxyzabcdefg");
        w->items[i] = (enx_span){ w->texts[i], (size_t)size };
        if (enx_rng_below(&rng, 30) == 0) w->items[i] = (enx_span){ "  ", 2 };
    }
}

static const enx_ports ports_of_world = {
    .generate = port_generate,
    .cancel = port_cancel,
    .save = port_save,
    .use_elsewhere = port_use_elsewhere,
    .check = port_check,
    .measure = port_measure,
    .now_us = port_now,
    .random_u64 = port_random,
};

/* [i] */
static bool open_stream(world *w, enx_stream **out)
{
    const enx_stream_options options = { .alpha = .6, .delta = .2, .seed = w->seed };
    enx_report               report = { 0 };
    enx_stream_close(out);
    if (!w->told.is_streamed) return true;
    if (enx_stream_open(out, &options, &report) != ENX_OK) return fail(w, report.text);
    /* As if much had gone before: 60 tasks are too few to learn from. */
    for (uint32_t i = 0; i < 160; i++) {
        enx_stream_ticket ticket;
        if (enx_stream_offer(*out, (i * 37 % 160) / 160., &ticket) != ENX_STREAM_DELIVER)
            enx_stream_label(*out, &ticket, i * 37 % 160 < 40);
    }
    for (uint32_t i = 0; i < w->record_count; i++) {
        const enx_record *r = &w->records[i];
        enx_stream_ticket ticket = { .offer = r->offer.number,
                                     .score = r->score,
                                     .chance = r->offer.chance,
                                     .verdict = (enx_stream_verdict)r->offer.verdict };
        if (r->offer.stream == 0) continue;
        if (r->kind == ENX_RECORD_LABEL) enx_stream_label(*out, &ticket, r->is_wrong);
        else if (enx_stream_offer(*out, r->score, &ticket) != r->offer.verdict)
            return fail(w, "[i] another verdict");
        if (enx_stream_events(*out) != r->offer.place) return fail(w, "[i] another place");
    }
    return true;
}

static bool is_shared(const world *w)
{
    const enx_budget_caps *caps = &w->told.day_caps;
    return caps->usd_nano || caps->tokens || caps->calls;
}

static bool open_swarm(world *w, enx_swarm **out, enx_stream **stream)
{
    static const enx_plan plan = {
        .kinds = ENX_KINDS_ALL, .escalate = true, .check_round_trip = true, .check_confidence = true
    };
    enx_ports  ports = ports_of_world;
    enx_report report = { 0 };
    ports.self = w;
    const enx_allowance day = { .caps = w->told.day_caps };
    if (!open_stream(w, stream)) return false;
    const enx_swarm_options options = {
        .job_id = JOB_ID,
        .mode = w->told.mode,
        .roster = &w->roster,
        .ports = &ports,
        .goal = "fix everything",
        .items = w->items,
        .item_count = w->told.item_count,
        .plan = w->told.is_planned ? &plan : NULL,
        .caps = w->told.caps,
        .allowances = &day,
        .allowance_count = is_shared(w),
        .call_timeout_us = 10000000,
        .hedge_share = w->told.hedge_share,
        .escalate_above = w->told.target_alpha > 0 ? 1 : .3,
        .target_alpha = *stream ? 0 : w->told.target_alpha,
        .audit_labels_max = *stream ? 0 : w->told.audit_labels_max,
        .stream = *stream,
        .stream_id = *stream != NULL,
        .delta = .1,
    };
    if (enx_swarm_open(out, &options, &report) != ENX_OK) return fail(w, report.text);
    for (uint32_t i = 0; i < w->record_count; i++)
        if (enx_swarm_replay(*out, &w->records[i], &report) != ENX_OK) return fail(w, report.text);
    return true;
}

/* [c] of each day. */
static bool check_days(world *w)
{
    const enx_budget_caps *caps = &w->told.day_caps;
    for (uint32_t day = 1; day < DAYS_MAX && is_shared(w); day++) {
        const enx_use *own = &w->spent[day], use = others(w, day);
        if (caps->usd_nano && own->usd_nano + use.usd_nano > caps->usd_nano && own->calls)
            return fail(w, "[c] a day's money");
        if (caps->tokens && own->tokens + use.tokens > caps->tokens && own->calls)
            return fail(w, "[c] a day's tokens");
        if (caps->calls && own->calls + use.calls > caps->calls && own->calls)
            return fail(w, "[c] a day's calls");
    }
    return true;
}

/* Invariants of the core, and [b], [c]. */
static bool check_all(world *w)
{
    enx_report report = { 0 };
    if (w->failure[0]) return false;
    if (enx_swarm_verify(w->swarm, &report) != ENX_OK) return fail(w, report.text);
    const enx_budget_caps *caps = &w->told.caps;
    if (caps->usd_nano && w->spent_usd_nano > caps->usd_nano) return fail(w, "[c] money");
    if (caps->tokens && w->spent_tokens > caps->tokens) return fail(w, "[c] tokens");
    if (caps->calls && w->spent_calls > caps->calls) return fail(w, "[c] calls");
    if (!check_days(w)) return false;
    if (enx_swarm_error(w->swarm, NULL) != ENX_OK) return true; /* the next life checks [b] */
    enx_budget_line meter = { 0 };
    for (uint32_t c = 0; c < CALLS_MAX; c++) {
        const metered *at = &w->calls[c];
        if (!at->has_result) continue;
        meter.calls++;
        meter.usage.tokens_in += at->usage.tokens_in;
        meter.usage.tokens_cached += at->usage.tokens_cached;
        meter.usage.tokens_out += at->usage.tokens_out;
        meter.cost_usd_nano += enx_price_cost(&w->models[at->model].price, &at->usage);
        meter.fixed_usd_nano += enx_price_fixed(&w->models[at->model].price, &at->usage);
    }
    if (memcmp(&meter, &enx_swarm_budget(w->swarm)->total, sizeof meter) != 0)
        return fail(w, "[b] the ledger differs from the meter");
    return true;
}

/* Of its own chance, so that other histories stay as they were. */
static bool is_told_lost(const world *w, const event *now)
{
    enx_rng rng = enx_rng_open(w->seed ^ now->order, now->call_id);
    return w->told.tells_losses && enx_rng_unit(&rng) < w->told.fault;
}

static bool deliver(world *w)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < w->event_count; i++)
        if (w->events[i].time_us < w->events[first].time_us ||
            (w->events[i].time_us == w->events[first].time_us &&
             w->events[i].order < w->events[first].order))
            first = i;
    const uint64_t wake_us = enx_swarm_wake_us(w->swarm);
    if (w->event_count == 0 || w->events[first].time_us > wake_us) {
        if (wake_us == UINT64_MAX) return false;
        if (wake_us > w->now_us) w->now_us = wake_us;
        trace(w, w->now_us);
        enx_swarm_tick(w->swarm);
        return true;
    }
    const event now = w->events[first];
    w->events[first] = w->events[--w->event_count];
    if (now.time_us > w->now_us) w->now_us = now.time_us;
    trace(w, w->now_us);
    if (now.call_id == 0) {
        const enx_call_report stray = { .call_id = (uint64_t)JOB_ID << 32 | 99999, .answer = "x" };
        enx_swarm_on_report(w->swarm, &stray);
        return true;
    }
    enx_call_report report = w->calls[index_of(now.call_id)].report;
    if (is_told_lost(w, &now)) {
        report.status = ENX_CALL_LOST;
        report.error = "simulated loss";
    }
    release_slot(w, index_of(now.call_id));
    enx_swarm_on_report(w->swarm, &report);
    return true;
}

/* What the store says of all calls so far: what they used, or what they hold. */
static void tell_before(world *w)
{
    memset(w->before, 0, sizeof w->before);
    for (uint32_t i = 0; i < w->record_count; i++) {
        const enx_record *at = &w->records[i];
        if (at->kind != ENX_RECORD_CALL_INTENT) continue;
        const metered *call = &w->calls[index_of(at->call_id)];
        enx_use       *day = &w->before[call->day];
        const uint64_t cost = enx_price_cost(&w->models[call->model].price, &call->usage);
        day->calls++;
        day->usd_nano += call->has_result ? cost : at->reserved_usd_nano;
        day->tokens += call->has_result ? enx_usage_tokens(&call->usage) : at->reserved_tokens;
    }
}

/* A new process over the same records; reports that were under way may be gone. */
static bool restart(world *w)
{
    enx_swarm_close(&w->swarm);
    w->is_dead = false;
    w->life++;
    w->crash_at =
        w->life <= w->told.crashes ? w->saves + 1 + (uint32_t)enx_rng_below(&w->rng, 120) : 0;
    tell_before(w);
    for (uint32_t c = 0; c < CALLS_MAX; c++) release_slot(w, c);
    for (uint32_t i = 0; i < w->event_count;)
        if (enx_rng_below(&w->rng, 2)) w->events[i] = w->events[--w->event_count];
        else i++;
    if (!open_swarm(w, &w->swarm, &w->stream)) return false;
    enx_swarm_start(w->swarm);
    return true;
}

/* ---- the end ------------------------------------------------------------------------------- */

static uint64_t hash_answers(const world *w, const enx_swarm *swarm)
{
    uint64_t sum = 1;
    for (uint32_t i = 0; i < w->told.item_count; i++) {
        const enx_swarm_answer a = enx_swarm_result(swarm, i);
        const uint32_t         facts[] = { a.state, a.reason, a.is_labelled, a.was_wrong };
        sum = hash(sum, a.answer.text, a.answer.size_bytes);
        sum = hash(sum, facts, sizeof facts);
    }
    const enx_swarm_summary summary = enx_swarm_summary_get(swarm);
    sum = hash(sum, &summary.certificate.alpha, sizeof summary.certificate.alpha);
    sum = hash(sum, &summary.certificate.always, sizeof summary.certificate.always);
    return hash(sum, &summary.certificate.labels, sizeof summary.certificate.labels);
}

static bool check_answers(world *w)
{
    for (uint32_t i = 0; i < w->told.item_count; i++) {
        const enx_swarm_answer a = enx_swarm_result(w->swarm, i);
        const enx_call  call = { .input = w->items[i].text, .input_bytes = w->items[i].size_bytes };
        const enx_check check = { .kind = ENX_CHECK_ROUND_TRIP };
        char            reason[80];
        if (a.state == ENX_TASK_OPEN) return fail(w, "[e] a task is open after the end");
        const bool is_input = a.answer.size_bytes == w->items[i].size_bytes &&
                              memcmp(a.answer.text, w->items[i].text, a.answer.size_bytes) == 0;
        if (a.state != ENX_TASK_ACCEPTED && !is_input) return fail(w, "[e] not the input");
        if (a.state == ENX_TASK_ACCEPTED &&
            !port_check(w, &check, &call, a.answer.text, a.answer.size_bytes, reason, 80))
            return fail(w, "[e] an answer that fails its check was accepted");
    }
    return true;
}

/* [f]; a partial job would go on, so it is not started again. */
static bool check_replay(world *w, uint64_t answers)
{
    enx_swarm  *again = NULL;
    enx_stream *stream = NULL;
    bool        is_ok = open_swarm(w, &again, &stream);
    if (is_ok && enx_swarm_is_done(again)) {
        const uint64_t calls = w->spent_calls, records = w->record_count;
        enx_swarm_start(again);
        if (calls != w->spent_calls || records != w->record_count)
            is_ok = fail(w, "[f] a finished job went on");
        if (hash_answers(w, again) != answers) is_ok = fail(w, "[f] replayed answers differ");
    }
    enx_swarm_close(&again);
    enx_stream_close(&stream);
    return is_ok;
}

/* The user stops it, once; a job that was cancelled would go on in another life. */
static void cancel(world *w)
{
    w->told.cancel_at = 0;
    w->told.crashes = 0;
    w->crash_at = 0;
    if (enx_swarm_is_done(w->swarm)) return;
    enx_swarm_cancel(w->swarm);
    w->is_cancelled = true;
}

static bool live(world *w)
{
    if (!open_swarm(w, &w->swarm, &w->stream)) return false;
    enx_swarm_start(w->swarm);
    for (w->step = 0; w->step < STEPS_MAX; w->step++) {
        if (w->is_dead && !restart(w)) return false;
        if (w->told.cancel_at && w->step >= w->told.cancel_at && !w->is_dead) cancel(w);
        if (!check_all(w)) return false;
        if (!w->is_dead && enx_swarm_is_done(w->swarm)) break;
        if (!w->is_dead && !deliver(w)) return fail(w, "nothing will ever happen again");
    }
    if (w->step == STEPS_MAX) return fail(w, "the job does not end");
    while (w->event_count && !w->is_dead) { /* late reports settle the bill */
        deliver(w);
        if (!check_all(w)) return false;
    }
    return true;
}

/* `crash_at`: one death at that save, in the way of `how`; 0: as the story goes. */
static outcome run(uint64_t seed, uint64_t salt, bool is_calm, uint32_t crashes, uint32_t crash_at,
                   int how)
{
    world  *w = &the_world;
    outcome out = { 0 };
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->salt = salt;
    w->life = 1;
    w->trace = 1;
    w->rng = enx_rng_open(seed, 1000 + salt);
    tell_story(w, is_calm);
    if (is_calm) w->told.crashes = crashes;
    if (salt == SALT_HEDGED) w->told.hedge_share = .3;
    make_world(w);
    if (w->told.crashes) w->crash_at = 1 + (uint32_t)enx_rng_below(&w->rng, 100);
    w->crash_how = crash_at ? how : -1;
    if (crash_at) w->crash_at = crash_at;
    out.is_ok = live(w);
    if (out.is_ok && !w->is_dead) {
        out.answers = hash_answers(w, w->swarm);
        out.is_ok = check_answers(w) && check_replay(w, out.answers);
    }
    out.trace = w->trace;
    out.cost_usd_nano = w->spent_usd_nano;
    out.calls = w->spent_calls;
    out.hedges = w->hedges;
    out.saves = w->saves;
    out.flight = w->flight_max;
    if (!out.is_ok)
        printf("not ok - seed %llu salt %llu step %llu: %s\n", (unsigned long long)seed,
               (unsigned long long)salt, (unsigned long long)w->step, w->failure);
    enx_swarm_close(&w->swarm);
    enx_stream_close(&w->stream);
    return out;
}

static bool run_seed(uint64_t seed, outcome *first)
{
    *first = run(seed, 0, false, 0, 0, 0);
    const outcome again = run(seed, 0, false, 0, 0, 0);
    if (!first->is_ok || !again.is_ok) return false;
    if (first->trace != again.trace || first->answers != again.answers) {
        printf("not ok - seed %llu: [g] two histories\n", (unsigned long long)seed);
        return false;
    }
    const outcome calm = run(seed, 1, true, 0, 0, 0), other = run(seed, 2, true, 0, 0, 0);
    const outcome crashed = run(seed, 3, true, 3, 0, 0);
    const outcome hedged = run(seed, SALT_HEDGED, true, 0, 0, 0);
    first->hedges += hedged.hedges;
    if (!calm.is_ok || !other.is_ok || !crashed.is_ok || !hedged.is_ok) return false;
    if (calm.answers != other.answers || calm.cost_usd_nano != other.cost_usd_nano ||
        calm.calls != other.calls || calm.answers != crashed.answers ||
        calm.answers != hedged.answers) {
        printf("not ok - seed %llu: [h] order of reports, crash or hedge changed the result\n",
               (unsigned long long)seed);
        return false;
    }
    return true;
}

/* The process dies at each save of the job in turn: the same answers, no finished task again. */
static bool run_every_save(uint64_t seed, outcome *first)
{
    *first = run(seed, 1, true, 0, 0, 0);
    for (uint32_t save = 1; first->is_ok && save <= first->saves; save++)
        for (int how = 0; how < 3; how++) {
            const outcome crashed = run(seed, 1, true, 1, save, how);
            first->calls += crashed.calls;
            if (crashed.is_ok && crashed.answers == first->answers) continue;
            printf("not ok - seed %llu: death %d at save %u changed the result\n",
                   (unsigned long long)seed, how, save);
            return false;
        }
    return first->is_ok;
}

int main(int argc, char **argv)
{
    unsigned long long first = 1, count = 200, wanted = 0, bad = 0, calls = 0, hedges = 0;
    uint32_t           flight = 0;
    bool               is_verbose = false, is_every_save = false;
    for (int i = 1; i < argc; i++) {
        if (sscanf(argv[i], "--seed=%llu", &first) == 1) continue;
        if (sscanf(argv[i], "--count=%llu", &count) == 1) continue;
        if (sscanf(argv[i], "--calls=%llu", &wanted) == 1) continue;
        is_verbose |= strcmp(argv[i], "--verbose") == 0;
        is_every_save |= strcmp(argv[i], "--every-save") == 0;
    }
    if (wanted) count = SEEDS_MAX;
    for (unsigned long long seed = first; seed < first + count && bad < 5; seed++) {
        if (wanted && calls >= wanted) count = seed - first;
        outcome    outcome_first;
        const bool is_ok =
            is_every_save ? run_every_save(seed, &outcome_first) : run_seed(seed, &outcome_first);
        bad += !is_ok;
        calls += outcome_first.calls;
        hedges += outcome_first.hedges;
        if (outcome_first.flight > flight) flight = outcome_first.flight;
        if (is_verbose)
            printf("seed %llu: trace %016llx, %llu calls\n", seed,
                   (unsigned long long)outcome_first.trace,
                   (unsigned long long)outcome_first.calls);
        if (!is_ok) printf("# again: swarm_sim --seed=%llu --count=1\n", seed);
    }
    if (!is_every_save && count >= 100 && hedges == 0) {
        printf("not ok - no call was ever hedged\n");
        bad++;
    }
    if (!is_every_save && count >= 100 && flight < WIDE_SLOTS) {
        printf("not ok - at most %u calls were in flight\n", flight);
        bad++;
    }
    printf("%s - swarm simulation, seeds %llu..%llu, %llu calls, %u in flight, %llu slower than a "
           "second one\n",
           bad ? "not ok" : "ok", first, first + count - 1, calls, flight, hedges);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
