/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_outage.c - workers that answer nothing any more, and who takes over.
 *
 * A worker is out when its first calls for STRIKES tasks one after the other brought no answer:
 * errors, losses, or answers with a red flag (cut off because it never ends, malformed, empty,
 * stuck).  Counted is in records, so a replay finds it out as well.  What waits for it goes to
 * other workers of the specialty, or, where there is none, up; but for one task in TRIAL_EVERY,
 * which it gets all the same: an answer, and it is back.  A provider that fails for a while is
 * waited for by its backend before that, and a task that only fails is set aside by itself: it
 * strikes once.  */
#include "swarm/swarm_flow.h"

#include <stdio.h>
#include <string.h>

enum { TRIAL_EVERY = 64 };

bool swarm_is_out(const enx_swarm *s, uint32_t model)
{
    return s->models[model].strikes >= ENX_SWARM_STRIKES;
}

bool swarm_may_work(const enx_swarm *s, uint32_t model, uint32_t item)
{
    return !swarm_is_out(s, model) || item % TRIAL_EVERY == 0;
}

void swarm_strike(enx_swarm *s, const swarm_call *entry)
{
    swarm_model *model = &s->models[entry->reserved.model];
    const bool   is_lost = entry->status == ENX_CALL_LOST || entry->status == ENX_CALL_ERROR;
    if (s->options.roster->models[entry->reserved.model].duty != ENX_DUTY_WORKER) return;
    if (!is_lost && !(entry->flags & ENX_FLAGS_RED)) {
        if (!(entry->flags & ENX_FLAG_REUSED)) model->strikes = 0;
    } else if (entry->attempt == 1 && model->strikes < ENX_SWARM_STRIKES) {
        model->strikes++;
        model->struck = (uint32_t)(entry - s->calls);
    }
}

/* A task that waits for a worker that is out goes to another one, or up. */
static void relieve(enx_swarm *s, uint32_t item)
{
    char              note[SWARM_NOTE_BYTES];
    const swarm_item *at = &s->items[item];
    const char *specialty = at->task_class->is_scouted ? at->language : at->task_class->specialty;
    enx_record  record = swarm_record_of(s, item, ENX_RECORD_TASK_ROUTED);
    record.model = swarm_worker_for(s, specialty, item);
    if (record.model != SWARM_NONE && swarm_may_work(s, record.model, item)) {
        memcpy(record.language, at->language, sizeof record.language);
        record.reason = ENX_REASON_MODEL_OUT;
        swarm_emit(s, record);
        return;
    }
    snprintf(note, sizeof note, "%.64s answers nothing any more, and no other worker can do it",
             s->options.roster->models[at->model].name);
    swarm_escalate_or(s, item, ENX_RECORD_TASK_FAILED, ENX_REASON_MODEL_OUT, note);
    if (!swarm_is_over(s) && s->items[item].state != ENX_TASK_OPEN) swarm_unlock(s, item);
}

/* A model here is spared the calls that it has; one elsewhere would be paid for them all the same.
 */
static void give_up_calls(enx_swarm *s, uint32_t model)
{
    for (uint32_t call = s->open_first, next; call != SWARM_NONE; call = next) {
        const swarm_call *entry = &s->calls[call];
        const uint32_t    item = entry->item;
        next = entry->next;
        if (entry->reserved.model != model || entry->reserved.role != ENX_ROLE_WORK ||
            swarm_may_work(s, model, item))
            continue;
        swarm_give_up_call(s, call, ENX_REASON_MODEL_OUT);
        swarm_decide(s, item);
        if (swarm_is_over(s)) return;
    }
}

void swarm_relieve(enx_swarm *s, uint32_t model)
{
    if (!swarm_is_out(s, model)) return;
    if (!s->options.roster->models[model].is_elsewhere) give_up_calls(s, model);
    for (uint32_t item = s->models[model].queue.first, next; item != SWARM_NONE; item = next) {
        next = s->items[item].next;
        if (swarm_is_over(s)) return;
        if (s->items[item].role == ENX_ROLE_WORK && !swarm_may_work(s, model, item))
            relieve(s, item);
    }
}

bool enx_swarm_is_out(const enx_swarm *s, uint32_t model, char *why, size_t why_bytes)
{
    if (!swarm_is_out(s, model)) return false;
    const swarm_call *entry = &s->calls[s->models[model].struck];
    char              flags[SWARM_NOTE_BYTES] = "";
    if (entry->status == ENX_CALL_OK) swarm_write_flags(entry->flags, flags);
    snprintf(why, why_bytes, "no answer for %d tasks in a row, the last one: %.180s",
             ENX_SWARM_STRIKES,
             flags[0]                  ? flags
             : entry->error.size_bytes ? swarm_text_get(s, entry->error)
                                       : "late");
    return true;
}
