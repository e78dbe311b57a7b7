/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_verify.c - the numbered invariants of swarm_state.c, checked the slow way. */
#include "swarm/swarm.h"
#include "swarm/swarm_state.h"

#include <string.h>

#define HOLDS(number, condition)                                                      \
    do {                                                                              \
        if (!(condition))                                                             \
            return ENX_FAIL(report, INVALID, "invariant %d: %s", number, #condition); \
    } while (0)

static enx_status verify_tasks(const enx_swarm *s, enx_report *report)
{
    uint32_t tasks[ENX_TASK_STATE_COUNT] = { 0 };
    for (uint32_t i = 0; i <= s->item_count; i++) {
        const swarm_item *at = &s->items[i];
        if (i < s->item_count) tasks[at->state]++;
        if (at->work == WORK_CALLED) {
            HOLDS(3, at->call < s->call_count && s->calls[at->call].item == i);
            HOLDS(3, s->is_stopped || s->calls[at->call].state == CALL_OPEN);
        }
        if (at->state == ENX_TASK_ACCEPTED && i < s->item_count)
            HOLDS(6, at->work == WORK_NONE || at->role == ENX_ROLE_AUDIT);
        else if (at->state != ENX_TASK_OPEN) HOLDS(6, at->work == WORK_NONE);
    }
    HOLDS(1, memcmp(tasks, s->tasks, sizeof tasks) == 0);
    HOLDS(7, s->end == ENX_SWARM_RUNNING || tasks[ENX_TASK_OPEN] == 0);
    return ENX_OK;
}

static enx_status verify_queues(const enx_swarm *s, enx_report *report)
{
    uint32_t queued = 0, linked = 0;
    for (uint32_t i = 0; i <= s->item_count; i++) queued += s->items[i].work == WORK_QUEUED;
    for (uint32_t m = 0; m < ENX_ROSTER_MODELS_MAX; m++) {
        const swarm_queue *queue = &s->models[m].queue;
        uint32_t           count = 0, last = SWARM_NONE;
        for (uint32_t i = queue->first; i != SWARM_NONE; i = s->items[i].next) {
            HOLDS(2, s->items[i].work == WORK_QUEUED && s->items[i].model == m);
            HOLDS(2, s->items[i].prev == last && ++count <= s->item_count + 1);
            last = i;
        }
        HOLDS(2, queue->last == last && queue->count == count);
        linked += count;
    }
    HOLDS(2, queued == linked);
    HOLDS(7, s->end == ENX_SWARM_RUNNING || queued == 0);
    return ENX_OK;
}

static enx_status verify_calls(const enx_swarm *s, enx_report *report)
{
    uint32_t        in_flight[ENX_ROSTER_MODELS_MAX] = { 0 }, open = 0, walked = 0;
    enx_budget_hold reserved = { 0 }, unknown = { 0 };
    for (uint32_t c = 0; c < s->call_count; c++) {
        const swarm_call *entry = &s->calls[c];
        if (entry->state == CALL_OPEN) {
            open++;
            in_flight[entry->reserved.model]++;
            const swarm_item *at = &s->items[entry->item];
            HOLDS(3, at->call == c || at->hedge == c);
            HOLDS(3, s->is_stopped || at->work == WORK_CALLED);
        }
        if (entry->state == CALL_SETTLED) continue;
        enx_budget_hold *hold = entry->is_unknown ? &unknown : &reserved;
        hold->usd_nano += entry->reserved.usd_nano;
        hold->tokens += entry->reserved.tokens;
        hold->calls++;
    }
    HOLDS(5, memcmp(&reserved, &s->budget.reserved, sizeof reserved) == 0);
    HOLDS(5, memcmp(&unknown, &s->budget.unknown, sizeof unknown) == 0);
    HOLDS(8, open == s->open_count);
    for (uint32_t c = s->open_first, before = SWARM_NONE; c != SWARM_NONE; c = s->calls[c].next) {
        HOLDS(8, s->calls[c].state == CALL_OPEN && s->calls[c].prev == before);
        HOLDS(8, ++walked <= open && (before == SWARM_NONE || c > before));
        before = c;
    }
    HOLDS(8, walked == open);
    HOLDS(7, s->end == ENX_SWARM_RUNNING || open == 0);
    for (uint32_t m = 0; m < s->options.roster->model_count; m++)
        HOLDS(4, in_flight[m] == s->models[m].in_flight &&
                     in_flight[m] <= s->options.roster->models[m].slots);
    return ENX_OK;
}

static bool is_under(uint64_t cap, uint64_t spent, uint64_t reserved, uint64_t unknown)
{
    return cap == 0 || spent + reserved + unknown <= cap;
}

static enx_status verify_budget(const enx_swarm *s, enx_report *report)
{
    const enx_budget *b = &s->budget;
    if (b->overrun_calls) return ENX_OK;
    HOLDS(5, is_under(b->caps.usd_nano, b->total.cost_usd_nano, b->reserved.usd_nano,
                      b->unknown.usd_nano));
    HOLDS(5, is_under(b->caps.tokens, enx_usage_tokens(&b->total.usage), b->reserved.tokens,
                      b->unknown.tokens));
    HOLDS(5, is_under(b->caps.calls, b->total.calls, b->reserved.calls, b->unknown.calls));
    return ENX_OK;
}

enx_status enx_swarm_verify(const enx_swarm *s, enx_report *report)
{
    ENX_TRY(verify_tasks(s, report));
    ENX_TRY(verify_queues(s, report));
    ENX_TRY(verify_calls(s, report));
    return verify_budget(s, report);
}
