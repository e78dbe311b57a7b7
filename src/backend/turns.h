/* SPDX-License-Identifier: Apache-2.0 */
/* turns.h - whose step comes next, where the engines of several models share a thread.
 *
 * Engines share time, not steps: a few short steps of a worker must not each wait for a long one of
 * the lead.  The model that has had least time goes next.  Time of a model that others wait for, as
 * a job does for its plan and for what went up to the lead, counts ENX_TURNS_AWAITED times less: it
 * goes first, and whoever else has work still gets one part of so many and one.
 *
 * A model that was without work has no time to make up for.
 *
 * Layer: backend.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_BACKEND_TURNS_H
#define ENX_BACKEND_TURNS_H

#include "swarm/ports.h"

#include <stdint.h>

enum { ENX_TURNS_AWAITED = 8 };

/* What a model has to do. */
typedef struct enx_turns_load {
    uint32_t calls;
    uint32_t awaited; /* of these */
} enx_turns_load;

/* The zero value is fresh. */
typedef struct enx_turns {
    uint64_t spent[ENX_ROSTER_MODELS_MAX]; /* microseconds, ENX_TURNS_AWAITED times where nobody
                                              waited */
} enx_turns;

/* Does its whole job, or the rest of its task, wait for a call of this role? */
bool     enx_turns_is_awaited(enx_role role);
/* Of loads [count], the model that steps next; count: none has calls. */
uint32_t enx_turns_next(const enx_turns *turns, const enx_turns_load *loads, uint32_t count);
/* It did, for so long; `loads` as they were for next(). */
void enx_turns_spend(enx_turns *turns, const enx_turns_load *loads, uint32_t count, uint32_t model,
                     uint64_t elapsed_us);

#endif /* ENX_BACKEND_TURNS_H */
