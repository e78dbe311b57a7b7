/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_hedge.c - a second call for a task whose first is late.
 *
 * Late is slower than 19 of 20 of the model's last answers.  Both calls are reserved; the first
 * answer counts and the other call is given up, so its bill is settled when it reports.  When the
 * second is late, too, a third takes the place of the first: a task never has more than two.  The
 * same model is asked again, so the answer does not depend on which call was faster.
 *
 * Calls are looked at in the order in which they were made, each once, when it is late: that is
 * what `next` of a model's pace is for.  In replay nothing is late, and records tell what was. */
#include "swarm/swarm_flow.h"

#include <string.h>

enum { LATENCIES_MIN = 20, REVIEW_LATENCIES = 8 };

static const double late_quantile = .95;

static uint64_t started_us(const enx_swarm *s, const swarm_call *entry)
{
    return entry->deadline_us - s->options.call_timeout_us;
}

static void review(swarm_pace *pace)
{
    uint64_t       sorted[SWARM_LATENCIES];
    const uint32_t count = pace->count < SWARM_LATENCIES ? pace->count : SWARM_LATENCIES;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] > pace->latencies_us[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = pace->latencies_us[i];
    }
    pace->late_us = sorted[(uint32_t)(late_quantile * count)] + 1;
}

void swarm_time_call(enx_swarm *s, uint32_t call)
{
    const swarm_call *entry = &s->calls[call];
    swarm_pace       *pace = &s->models[entry->reserved.model].pace;
    if (s->options.hedge_share == 0 || entry->reserved.role == ENX_ROLE_PLAN) return;
    pace->latencies_us[pace->count++ % SWARM_LATENCIES] =
        s->ports.now_us(s->ports.self) - started_us(s, entry);
    if (pace->count >= LATENCIES_MIN && pace->count % REVIEW_LATENCIES == 0) review(pace);
}

/* Is this a call that a second one could help: open, and the latest of its task? */
static bool is_latest(const enx_swarm *s, uint32_t call)
{
    const swarm_call *entry = &s->calls[call];
    const swarm_item *at = &s->items[entry->item];
    if (entry->state != CALL_OPEN || entry->reserved.role == ENX_ROLE_PLAN) return false;
    return at->hedge == SWARM_NONE ? at->call == call : at->hedge == call;
}

/* The model's oldest call that could be hedged, from pace->next on; call_count: none. */
static uint32_t find_latest(const enx_swarm *s, uint32_t model)
{
    uint32_t call = s->models[model].pace.next;
    while (call < s->call_count && (s->calls[call].reserved.model != model || !is_latest(s, call)))
        call++;
    return call;
}

static bool may_hedge(const enx_swarm *s, uint32_t model)
{
    const swarm_model *at = &s->models[model];
    return at->pace.late_us > 0 && at->in_flight < s->options.roster->models[model].slots &&
           s->hedges + 1 <= s->options.hedge_share * s->call_count;
}

void swarm_hedge(enx_swarm *s, uint32_t model)
{
    swarm_pace    *pace = &s->models[model].pace;
    const uint64_t now_us = s->ports.now_us(s->ports.self);
    while (!s->is_stopped && may_hedge(s, model)) {
        pace->next = find_latest(s, model);
        if (pace->next == s->call_count) return;
        const swarm_call *entry = &s->calls[pace->next];
        const uint32_t    item = entry->item;
        if (now_us < started_us(s, entry) + pace->late_us) return;
        if (s->items[item].hedge != SWARM_NONE)
            swarm_give_up_call(s, s->items[item].call, ENX_REASON_TIMED_OUT);
        pace->next++;
        s->hedges += swarm_issue(s, item);
    }
}

uint64_t swarm_hedge_us(const enx_swarm *s)
{
    uint64_t due_us = UINT64_MAX;
    if (s->options.hedge_share == 0) return due_us;
    for (uint32_t m = 0; m < s->options.roster->model_count; m++) {
        if (!may_hedge(s, m)) continue;
        const uint32_t call = find_latest(s, m);
        if (call == s->call_count) continue;
        const uint64_t late_us = started_us(s, &s->calls[call]) + s->models[m].pace.late_us;
        if (late_us < due_us) due_us = late_us;
    }
    return due_us;
}
