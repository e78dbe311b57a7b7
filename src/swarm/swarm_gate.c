/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_gate.c - what a job may cost, and whether a swarm is worth it.
 *
 * A swarm is not always better than its lead alone.  It is for work that can be divided, whose
 * answers can be judged, and that costs less so; the first of these that does not hold is the
 * reason for which the lead does the job alone.  Prices are compared by what calls would reserve:
 * their most, of workers and of the lead alike. */
#include "swarm/swarm_flow.h"

#include <string.h>

enum { COMPARED_MAX = 256 /* tasks that are looked at to compare prices */ };

/* ---- prices --------------------------------------------------------------------------------- */

/* What one call for a task may cost. */
static uint64_t price_of(const enx_swarm *s, const enx_class *c, enx_role role, uint32_t model,
                         size_t input_bytes, const char *input)
{
    enx_call        call = { .role = role,
                             .model = model,
                             .goal = s->options.goal,
                             .what = c->name,
                             .task_class = c,
                             .input = input,
                             .input_bytes = input_bytes };
    enx_reservation bound;
    swarm_bound_call(s, &call, &bound);
    return bound.usd_nano;
}

static uint64_t price_of_call(const enx_swarm *s, uint32_t item, enx_role role, uint32_t model)
{
    static const enx_class restore = { .name = "restore", .is_scouted = true };
    const enx_class       *c = s->options.given ? s->options.given : &restore;
    const enx_span         input = swarm_input(s, &s->items[item]);
    return price_of(s, c, role, model, input.size_bytes, input.text);
}

/* Without the text only its length can be gone by: a token a byte. */
uint64_t swarm_price_of_class(enx_swarm *s, const enx_class *c, size_t input_bytes)
{
    uint64_t dearest = 0;
    void (*const measure)(void *, enx_call *) = s->ports.measure;
    s->ports.measure = NULL;
    for (uint32_t m = 0; m < s->options.roster->model_count; m++) {
        const enx_duty duty = s->options.roster->models[m].duty;
        if (duty != (c->is_leads ? ENX_DUTY_LEAD : ENX_DUTY_WORKER)) continue;
        const uint64_t price = price_of(s, c, ENX_ROLE_WORK, m, input_bytes, "");
        if (price > dearest) dearest = price;
    }
    s->ports.measure = measure;
    return dearest;
}

uint64_t swarm_add(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* Scout and the dearest worker for every task, each once. */
uint64_t swarm_worst_case(const enx_swarm *s)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->item_count; i++) {
        uint64_t dearest = 0;
        for (uint32_t m = 0; m < s->options.roster->model_count; m++) {
            if (s->options.roster->models[m].duty != ENX_DUTY_WORKER) continue;
            const uint64_t price = price_of_call(s, i, ENX_ROLE_WORK, m);
            if (price > dearest) dearest = price;
        }
        if (s->scout != SWARM_NONE && !s->options.given)
            sum = swarm_add(sum, price_of_call(s, i, ENX_ROLE_SCOUT, s->scout));
        sum = swarm_add(sum, dearest);
    }
    return sum;
}

/* Paid checks of a task, each once. */
static void add_checks(const enx_swarm *s, uint32_t item, const enx_class *c, uint32_t worker,
                       enx_swarm_forecast *f)
{
    for (uint32_t i = 0; i < c->check_count; i++) {
        const enx_check_kind kind = c->checks[i].kind;
        if (enx_check_kind_kin(kind) != ENX_CHECK_KIN_CALL) continue;
        const uint32_t model = kind == ENX_CHECK_SECOND     ? worker
                               : kind == ENX_CHECK_VERIFIER ? s->verifier
                                                            : s->lead;
        const uint32_t votes = c->checks[i].max ? c->checks[i].max : ENX_VOTES_MAX;
        const uint32_t calls = kind == ENX_CHECK_SECOND ? votes - 1 : 1;
        const enx_role role = kind == ENX_CHECK_SECOND ? ENX_ROLE_SECOND : ENX_ROLE_VERIFY;
        f->calls_most += calls;
        f->usd_nano_most += calls * price_of_call(s, item, role, model);
    }
}

enx_swarm_forecast swarm_forecast(const enx_swarm *s)
{
    enx_swarm_forecast f = { .tasks = s->item_count, .has_lead = s->lead != SWARM_NONE };
    f.gate_reason = swarm_gate(s, &f.is_single);
    const enx_class *c = s->options.given;
    for (uint32_t i = 0; i < s->item_count; i++) {
        const uint32_t worker = swarm_worker_for(s, c ? c->specialty : NULL, i);
        const bool     is_leads = s->options.mode == ENX_SWARM_MODE_LEAD || worker == SWARM_NONE;
        const uint64_t first = price_of_call(s, i, is_leads ? ENX_ROLE_LEAD : ENX_ROLE_WORK,
                                             is_leads ? s->lead : worker);
        if (f.has_lead)
            f.usd_nano_lead =
                swarm_add(f.usd_nano_lead, price_of_call(s, i, ENX_ROLE_LEAD, s->lead));
        f.calls++;
        f.usd_nano += first;
        f.calls_most++;
        f.usd_nano_most += first;
        if (is_leads) continue;
        if (c) add_checks(s, i, c, worker, &f);
        if (s->lead == SWARM_NONE || s->options.mode != ENX_SWARM_MODE_SWARM) continue;
        f.calls_most++;
        f.usd_nano_most += price_of_call(s, i, ENX_ROLE_LEAD, s->lead);
    }
    return f;
}

/* ---- the gate ------------------------------------------------------------------------------- */

/* Of a goal the tasks are not known yet, but what they would be about. */
static bool is_small(const enx_swarm *s)
{
    uint64_t bytes = 0;
    if (!s->options.is_goal) return s->item_count < s->options.gate_items_min;
    for (uint32_t i = 0; i < s->options.item_count; i++) bytes += s->options.items[i].size_bytes;
    return s->options.gate_items_min > 1 && !s->options.graph &&
           bytes < (uint64_t)s->options.gate_items_min * ENX_SWARM_GATE_BYTES;
}

/* Nothing would tell a good answer from a bad one. */
static bool is_uncheckable(const enx_swarm *s)
{
    const enx_swarm_options *o = &s->options;
    if (!o->given) return !o->is_goal && !s->ports.check;
    return o->given->check_count == 0 && o->target_alpha == 0 && o->audit_labels_max == 0 &&
           !o->stream;
}

/* The fewest calls that decide a paid check of a task, and their price. */
static uint64_t price_of_checks(const enx_swarm *s, uint32_t item, uint32_t worker)
{
    const enx_class *c = s->options.given;
    uint64_t         sum = 0;
    for (uint32_t i = 0; i < c->check_count; i++) {
        const enx_check *check = &c->checks[i];
        const uint32_t   ahead = check->ahead ? check->ahead : SWARM_VOTES_AHEAD;
        const uint32_t   every = s->options.vote_every ? s->options.vote_every : 1;
        if (check->kind == ENX_CHECK_SECOND)
            sum += (ahead - 1) * price_of_call(s, item, ENX_ROLE_SECOND, worker) / every;
        if (check->kind == ENX_CHECK_VERIFIER)
            sum += price_of_call(s, item, ENX_ROLE_VERIFY, s->verifier);
        if (check->kind == ENX_CHECK_LEAD) sum += price_of_call(s, item, ENX_ROLE_VERIFY, s->lead);
    }
    return sum;
}

/* Is a class done for less by the lead alone?  NONE: it is not.  What goes up is known from earlier
 * jobs, if at all; with a stream it becomes less from job to job, and is no reason. */
static enx_reason dearer_by(const enx_swarm *s)
{
    uint64_t work = 0, checks = 0, lead = 0;
    for (uint32_t i = 0; i < s->item_count && i < COMPARED_MAX; i++) {
        const uint32_t worker = swarm_worker_for(s, s->options.given->specialty, i);
        work = swarm_add(work, price_of_call(s, i, ENX_ROLE_WORK, worker));
        checks = swarm_add(checks, price_of_checks(s, i, worker));
        lead = swarm_add(lead, price_of_call(s, i, ENX_ROLE_LEAD, s->lead));
    }
    const double up = s->options.stream ? 0 : s->options.up_share;
    if (lead == 0) return ENX_REASON_NONE;
    if (work >= lead) return ENX_REASON_WORKERS_DEAR;
    if (swarm_add(work, checks) >= lead) return ENX_REASON_CHECKS_DEAR;
    const double likely = (double)work + (double)checks + up * (double)lead;
    return likely >= (double)lead ? ENX_REASON_NOT_CHEAPER : ENX_REASON_NONE;
}

enx_reason swarm_gate(const enx_swarm *s, bool *is_single)
{
    enx_reason reason = ENX_REASON_NONE;
    *is_single = false;
    if (s->options.mode != ENX_SWARM_MODE_SWARM || s->options.is_asked) return ENX_REASON_ASKED;
    if (s->lead == SWARM_NONE) return ENX_REASON_NO_LEAD;
    if (is_small(s)) reason = ENX_REASON_FEW_ITEMS;
    else if (is_uncheckable(s)) reason = ENX_REASON_UNCHECKABLE;
    else if (s->options.given) reason = dearer_by(s);
    *is_single = reason != ENX_REASON_NONE;
    return *is_single ? reason : ENX_REASON_WIDE;
}

/* Stages stand in an order in which each is after what it needs: where all of them are in one line,
 * each needs the one before it. */
enx_reason swarm_gate_graph(const enx_swarm *s, const enx_graph *graph, uint32_t task_count)
{
    uint32_t         count;
    const enx_stage *stages = enx_graph_stages(graph, &count);
    if (s->lead == SWARM_NONE || s->options.is_asked || s->options.mode != ENX_SWARM_MODE_SWARM)
        return ENX_REASON_NONE;
    const uint32_t assembled = enx_graph_assembly(graph) ? 1 : 0;
    if (count == 0 || task_count - assembled > count) return ENX_REASON_NONE;
    for (uint32_t i = 1; i < count; i++) {
        bool is_after = false;
        for (uint32_t k = 0; k < stages[i].need_count; k++) is_after |= stages[i].needs[k] == i - 1;
        if (!is_after) return ENX_REASON_NONE;
    }
    return count == 1 ? ENX_REASON_FEW_ITEMS : ENX_REASON_CHAIN;
}
