/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_hedge.c - a second call for a task whose first is late.
 *
 * Late is slower than nearly all of the model's last calls.  Both calls are reserved; the first
 * answer counts and the other call is given up, so its bill is settled when it reports.  When the
 * second is late, too, a third takes the place of the first: a task never has more than two.  The
 * same model is asked again, so the answer does not depend on which call was faster.
 *
 * What "nearly all" take cannot be read off the answers alone: the first ones are the fastest.
 * Calls that are still open are known to take longer than their age, and the estimate of Kaplan
 * and Meier (1958) takes that into account.
 *
 * Calls are looked at in the order in which they were made, each once, when it is late: that is
 * what `next` of a model's pace is for.  In replay nothing is late, and records tell what was. */
#include "swarm/swarm_flow.h"

#include <stdlib.h>

enum { LATENCIES_MIN = 16, REVIEW_LATENCIES = 8, OPEN_SEEN_MAX = 256 };

static const double late_share = .05; /* of a model's calls that are late */

typedef struct sample {
    uint64_t us;
    bool     is_answered; /* else it takes longer than that */
} sample;

static uint64_t started_us(const enx_swarm *s, const swarm_call *entry)
{
    return entry->deadline_us - s->options.call_timeout_us;
}

static int compare_samples(const void *a, const void *b)
{
    const sample *x = a, *y = b;
    if (x->us != y->us) return x->us < y->us ? -1 : 1;
    return y->is_answered - x->is_answered;
}

/* The last answers, and the oldest open calls. */
static uint32_t gather(const enx_swarm *s, uint32_t model, sample *out)
{
    const swarm_pace *pace = &s->models[model].pace;
    const uint64_t    now_us = s->ports.now_us(s->ports.self);
    uint32_t          count = 0, seen = 0;
    while (count < pace->count && count < SWARM_LATENCIES) {
        out[count] = (sample){ pace->latencies_us[count], true };
        count++;
    }
    for (uint32_t c = s->open_first; c != SWARM_NONE && seen++ < OPEN_SEEN_MAX;
         c = s->calls[c].next)
        if (s->calls[c].reserved.model == model)
            out[count++] = (sample){ now_us - started_us(s, &s->calls[c]), false };
    return count;
}

/* When all but late_share have answered; 0: that cannot be said yet. */
static uint64_t estimate_late(const enx_swarm *s, uint32_t model)
{
    sample         samples[SWARM_LATENCIES + OPEN_SEEN_MAX];
    const uint32_t count = gather(s, model, samples);
    double         slower = 1;
    qsort(samples, count, sizeof *samples, compare_samples);
    for (uint32_t i = 0; i < count; i++) {
        if (samples[i].is_answered) slower *= 1 - 1. / (count - i);
        if (slower <= late_share) return samples[i].us + 1;
    }
    return 0;
}

void swarm_time_call(enx_swarm *s, uint32_t call)
{
    const swarm_call *entry = &s->calls[call];
    const uint32_t    model = entry->reserved.model;
    swarm_pace       *pace = &s->models[model].pace;
    if (s->options.hedge_share == 0 || entry->reserved.role == ENX_ROLE_PLAN) return;
    pace->latencies_us[pace->count++ % SWARM_LATENCIES] =
        s->ports.now_us(s->ports.self) - started_us(s, entry);
    if (pace->count >= LATENCIES_MIN && (pace->late_us == 0 || pace->count % REVIEW_LATENCIES == 0))
        pace->late_us = estimate_late(s, model);
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
    return s->options.roster->models[model].is_elsewhere && at->pace.late_us > 0 &&
           at->in_flight < s->options.roster->models[model].slots &&
           s->hedges + 1 <= s->options.hedge_share * s->call_count && !swarm_is_tight(s, NULL);
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
