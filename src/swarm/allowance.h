/* SPDX-License-Identifier: Apache-2.0 */
/* allowance.h - what all jobs together may use in a day, of everything or of one class of tasks.
 *
 * A job has a ledger of its own (budget.h); allowances hold beside it, over all jobs of one store.
 * What others use is told from outside, as is the number of the day; what calls of this run use is
 * kept here.
 *
 * (1) elsewhere + here never passes a cap on money, tokens or calls, as long as no call uses more
 *     than it reserved, and others take nothing between telling and the saving of the call.
 * (2) Time is that of calls, added up.  Nobody can reserve it: calls in flight when it is used up
 *     go on, and no call begins any more.
 * (3) A call counts on the day on which it was admitted, whenever it ends.
 *
 * Layer: swarm.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SWARM_ALLOWANCE_H
#define ENX_SWARM_ALLOWANCE_H

#include "swarm/budget.h"

enum { ENX_ALLOWANCES_MAX = 32 };

typedef struct enx_allowance {
    const char     *class_name; /* borrowed; NULL: calls of every kind */
    enx_budget_caps caps;       /* 0: no cap */
    uint32_t        day;        /* any number that changes with it, from 1; 0: not told yet */
    enx_use         elsewhere;
    enx_use         here;
} enx_allowance;

/* Does it speak of calls for this class?  NULL: a call for no task, as a plan. */
bool enx_allowance_covers(const enx_allowance *allowance, const char *class_name);

/* What others use today.  With a new day everything begins anew. */
void enx_allowance_tell(enx_allowance *allowance, uint32_t day, const enx_use *elsewhere);

/* ENX_BUDGET names the cap, and says when it will be another day's. */
ENX_MUST_USE enx_status enx_allowance_fits(const enx_allowance   *allowance,
                                           const enx_reservation *reservation, enx_report *report);
/* Is a cap used to 80 % or more? */
bool                    enx_allowance_is_tight(const enx_allowance *allowance);

/* A call is admitted today. */
void enx_allowance_reserve(enx_allowance *allowance, const enx_reservation *reservation);
/* ... and this is what it came to, with `calls` 0 if it was not made; nothing where its day is
 * over. */
void enx_allowance_settle(enx_allowance *allowance, uint32_t day,
                          const enx_reservation *reservation, const enx_use *use);

#endif /* ENX_SWARM_ALLOWANCE_H */
