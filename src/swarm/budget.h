/* SPDX-License-Identifier: Apache-2.0 */
/* budget.h - the ledger in memory: reserve the worst case, settle what was used.
 *
 *     fits? ──reserve──► reserved ──settle──► spent
 *                           │                   ▲
 *                           └──lose──► unknown ─┘   the report was lost or the process died
 *
 * (1) spent + reserved + unknown never passes a cap, as long as no call uses more than it reserved.
 * (2) A call that used more than it reserved is billed as it was and counted in overrun_calls.
 * (3) Every line adds up: total = sum over models and roles.
 *
 * All money is in nano-dollars, all numbers are unsigned integers; sums that would overflow are
 * refused by enx_budget_fits.
 *
 * Layer: swarm.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SWARM_BUDGET_H
#define ENX_SWARM_BUDGET_H

#include "swarm/ports.h"

/* 0: no cap. */
typedef struct enx_budget_caps {
    uint64_t usd_nano;
    uint64_t tokens;
    uint64_t calls;
    uint64_t time_us; /* of the whole job; kept by the swarm, which has the clock */
} enx_budget_caps;

/* Which cap is in the way: of the job, or of an allowance that it shares with others. */
typedef enum enx_cap {
    ENX_CAP_NONE,
    ENX_CAP_USD,
    ENX_CAP_TOKENS,
    ENX_CAP_CALLS,
    ENX_CAP_SHARED
} enx_cap;

/* What one call may cost at most, and who it is for. */
typedef struct enx_reservation {
    uint64_t usd_nano;
    uint64_t tokens;
    uint32_t model;
    enx_role role;
} enx_reservation;

typedef struct enx_budget_line {
    uint64_t        calls; /* settled */
    enx_usage_count usage;
    uint64_t        cost_usd_nano;
    uint64_t        fixed_usd_nano; /* amortised training; outside the caps */
} enx_budget_line;

/* Money, tokens and calls that are spoken for, but not settled. */
typedef struct enx_budget_hold {
    uint64_t usd_nano;
    uint64_t tokens;
    uint64_t calls;
} enx_budget_hold;

typedef struct enx_budget {
    enx_budget_caps caps;
    enx_budget_hold reserved;
    enx_budget_hold unknown;
    enx_budget_line total;
    enx_budget_line lines[ENX_ROSTER_MODELS_MAX][ENX_ROLE_COUNT];
    uint64_t        overrun_calls;
} enx_budget;

/* Owns nothing. */
void enx_budget_init(enx_budget *budget, const enx_budget_caps *caps);

/* The cap that the call does not fit under; NONE: it fits. */
enx_cap enx_budget_refuses(const enx_budget *budget, const enx_reservation *reservation);
/* ENX_BUDGET names that cap, what is left and what the call may need. */
ENX_MUST_USE enx_status enx_budget_fits(const enx_budget      *budget,
                                        const enx_reservation *reservation, enx_report *report);

/* Is a cap used to 80 % or more, what is reserved and unknown included?  Then the swarm goes on
 * without what it could do without: second calls for late tasks and opinions of other models. */
bool enx_budget_is_tight(const enx_budget *budget);

/* Hold the reservation.  The caller asked enx_budget_fits, or replays what it once allowed. */
void enx_budget_reserve(enx_budget *budget, const enx_reservation *reservation);

/* Reserved becomes unknown. */
void enx_budget_lose(enx_budget *budget, const enx_reservation *reservation);

/* The call was not made after all: release the reservation (from unknown when it was lost). */
void enx_budget_release(enx_budget *budget, const enx_reservation *reservation, bool was_lost);

/* Release the reservation (from unknown when it was lost) and book the use. */
void enx_budget_settle(enx_budget *budget, const enx_reservation *reservation, bool was_lost,
                       const enx_usage_count *usage, const enx_price *price);

enx_budget_line enx_budget_by_model(const enx_budget *budget, uint32_t model);
enx_budget_line enx_budget_by_role(const enx_budget *budget, enx_role role);

/* Tokens of a use, saturating. */
uint64_t enx_usage_tokens(const enx_usage_count *usage);

#endif /* ENX_SWARM_BUDGET_H */
