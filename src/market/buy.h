/* SPDX-License-Identifier: Apache-2.0 */
/* buy.h - what a job costs a month by an API, by an own model, and by a swarm of small models.
 *
 * Layer: market.  Thread-safety: no shared state.
 */
#ifndef ENX_MARKET_BUY_H
#define ENX_MARKET_BUY_H

#include "base/status.h"

#include <stdbool.h>

/* USD a million tokens. */
typedef struct enx_tariff {
    double in, cached, out;
} enx_tariff;

typedef struct enx_buy_input {
    double     tasks;                                /* a month */
    double     tokens_in, tokens_cached, tokens_out; /* of a task; the cached ones are part of in */
    enx_tariff api;
    bool       has_own;
    double     usd_per_hour, hours; /* of a machine, rented for so many hours a month */
    double     overhead;            /* factor on its price: people, power, spares */
    double     tokens_per_s_in,
        tokens_per_s_out;         /* of a machine, reading what is not cached; writing */
    double     utilisation;       /* the part of its hours in which it has work */
    double     setup_usd, months; /* training or moving in, spread over so many months */
    bool       has_swarm;
    enx_tariff small;              /* of the small models together: scout and worker */
    double     escalated, audited; /* parts of the tasks that the API answers, too */
    double     fixed_usd;          /* a month */
} enx_buy_input;

/* USD a month unless it says otherwise; INFINITY for what the input does not have. */
typedef struct enx_buy {
    double api_usd, own_usd, swarm_usd;
    double api_task_usd, swarm_task_usd; /* of one task more */
    double machines, machine_tasks;      /* whole ones; tasks that one can do a month */
    double own_break_even;       /* tasks a month from which own machines cost no more than the API,
                                  * INFINITY: never; a further machine can make them dearer again */
    double swarm_break_even;     /* the same of the swarm, for good */
    double escalated_break_even; /* part escalated at which the swarm costs what the API does; below
                                  * 0: no part does */
} enx_buy;

/* ENX_INVALID: names the key, its unit and its range. */
ENX_MUST_USE enx_status enx_buy_solve(enx_buy *out, const enx_buy_input *input, enx_report *report);

#endif /* ENX_MARKET_BUY_H */
