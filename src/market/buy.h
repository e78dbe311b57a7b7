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

typedef enum enx_buy_way {
    ENX_BUY_API,
    ENX_BUY_OWN,
    ENX_BUY_SWARM,
    ENX_BUY_WAYS_COUNT, /* also: none of them */
} enx_buy_way;

typedef struct enx_buy_input {
    double     tasks;                                /* a month */
    double     tokens_in, tokens_cached, tokens_out; /* of a task; the cached ones are part of in */
    double     accuracy;                       /* that is asked for, a part of the tasks; 0: any */
    double     accuracies[ENX_BUY_WAYS_COUNT]; /* that each way is known to reach; NAN: not known */
    enx_tariff api;
    bool       has_own;
    double     usd_per_hour, hours; /* of a machine, for so many hours a month: rent, or power */
    double     buy_usd, life_years, rate; /* of a machine that is bought: price, interest a year */
    double     overhead;                  /* factor on both: people, spares */
    double     tokens_per_s_in,
        tokens_per_s_out;         /* of a machine, reading what is not cached; writing */
    double     task_seconds;      /* of a machine for a whole task; 0: from these rates */
    double     utilisation;       /* the part of its hours in which it has work */
    double     setup_usd, months; /* training or moving in, spread over so many months */
    bool       has_swarm;
    enx_tariff small;              /* of the small models together: scout and worker */
    double     small_task_usd;     /* of them for a whole task; NAN: by that tariff */
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
    enx_buy_way cheapest;        /* of those known to reach the accuracy; all, when none is asked */
} enx_buy;

/* A machine all the time and at full speed, bought for three years at 10 %, set up for twelve
 * months; accuracies not known; everything else 0. */
enx_buy_input enx_buy_defaults(void);

/* The yearly payment that a dollar of debt at `rate` a year takes for `years`: rate / (1 - (1 +
 * rate)^-years), and 1 / years without interest. */
double enx_buy_annuity(double rate, double years);

/* ENX_INVALID: names the key, its unit and its range. */
ENX_MUST_USE enx_status enx_buy_solve(enx_buy *out, const enx_buy_input *input, enx_report *report);

/* What a bill may hang on, to be turned by the same factor each. */
typedef enum enx_buy_lever {
    ENX_BUY_LEVER_TASKS,
    ENX_BUY_LEVER_TOKENS_IN, /* cached ones too */
    ENX_BUY_LEVER_TOKENS_OUT,
    ENX_BUY_LEVER_API,       /* its prices */
    ENX_BUY_LEVER_MACHINE,   /* the price of an own one */
    ENX_BUY_LEVER_SPEED,     /* of an own one, or the part of the time it has work */
    ENX_BUY_LEVER_SMALL,     /* prices of the small models */
    ENX_BUY_LEVER_ESCALATED, /* kept at or below 1 */
    ENX_BUY_LEVERS_COUNT
} enx_buy_lever;

extern const char *const enx_buy_lever_names[ENX_BUY_LEVERS_COUNT];

/* `factor` above 0. */
void enx_buy_turn(enx_buy_input *input, enx_buy_lever lever, double factor);

#endif /* ENX_MARKET_BUY_H */
