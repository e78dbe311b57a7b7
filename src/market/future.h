/* SPDX-License-Identifier: Apache-2.0 */
/* future.h - years of a market, drawn many times: demand grows, costs fall, the law may stop.
 *
 * A year is an equilibrium of its own: firms that would lose by training stay out of it, and
 * nobody plans ahead.  While the law holds, firms train, and compute_growth makes what a dollar
 * trains better.  After it stopped nobody trains: qualities stay as they were, open weights catch
 * up, and rho becomes rho_after.
 *
 * One draw is a function of (input, seed, draw): draws may be made in any order and by any number
 * of threads.  Draw i takes the same chances whatever the input (common random numbers), so the
 * difference of two scenarios is not that of their luck.
 *
 * Layer: market.  Thread-safety: no shared state.
 */
#ifndef ENX_MARKET_FUTURE_H
#define ENX_MARKET_FUTURE_H

#include "market/market.h"

enum { ENX_FUTURE_YEARS_MAX = 100, ENX_FUTURE_DRAWS_MAX = 1000000 };

/* Of the draws, in enx_future_quantiles. */
enum {
    ENX_FUTURE_LOWEST, /* 5 % */
    ENX_FUTURE_TENTH,
    ENX_FUTURE_QUARTER,
    ENX_FUTURE_MEDIAN,
    ENX_FUTURE_THREE_QUARTERS,
    ENX_FUTURE_NINE_TENTHS,
    ENX_FUTURE_HIGHEST, /* 95 % */
    ENX_FUTURE_QUANTILES
};

typedef enum enx_metric {
    ENX_METRIC_LAW,      /* 1 while the law holds, else 0 */
    ENX_METRIC_COST,     /* USD a unit, by units sold */
    ENX_METRIC_PRICE,    /* USD a unit, by units sold */
    ENX_METRIC_UNITS,    /* sold in the year, open weights not counted */
    ENX_METRIC_REVENUE,  /* of all firms, USD a year */
    ENX_METRIC_LARGEST,  /* revenue of the product that has most of it */
    ENX_METRIC_SECOND,   /* of the next one; 0: there is none */
    ENX_METRIC_MARGIN,   /* gross profit by revenue */
    ENX_METRIC_GROSS,    /* gross profit of all firms, USD a year */
    ENX_METRIC_TRAINING, /* USD a year */
    ENX_METRIC_NET,      /* gross less training and fixed costs, subsidies added */
    ENX_METRIC_HARDWARE, /* gross profit of hardware on serving and training */
    ENX_METRIC_SURPLUS,  /* consumer surplus, USD a year */
    ENX_METRIC_FIRMS,    /* in the market */
    ENX_METRICS_COUNT
} enx_metric;

typedef struct enx_future_input {
    const enx_market *market; /* year 0; with endogenous training, what it is while the law holds */
    uint32_t          years;
    uint64_t          seed;
    /* Chances, in the order in which a draw takes them.  `sd` are of the natural logarithm. */
    double            odds, horizon_years; /* chance that the law holds for that long */
    uint32_t          stop_year; /* not 0: the first year without the law, whatever the odds */
    double            demand_growth, demand_sd; /* factor a year on `size`; one rate a draw */
    double            cost_factor, cost_sd;     /* on unit costs, a year; one rate a draw */
    double            gamma_sd; /* of gamma, once a draw; its median is the market's */
    double            noise_sd; /* of a step in unit costs each year, added up */
    double quality_sd;          /* of a step in each product's quality a year, utility, added up */
    double learning_rate, units_before; /* cost falls by this part with each doubling of units */
    double compute_growth;              /* effective compute a dollar, factor a year */
    double rho_after;                   /* once the law has stopped */
    double open_lag_years;              /* until open weights have caught up after the stop */
    double hardware_margin;             /* hardware's gross profit by revenue */
    double hardware_cost, hardware_training; /* part of unit cost, and of training, spent on it */
} enx_future_input;

/* Nothing moves, and the law holds for certain. */
enx_future_input enx_future_defaults(void);

/* ENX_INVALID: names the key, its unit and its range. */
ENX_MUST_USE enx_status enx_future_check(const enx_future_input *input, enx_report *report);

/* `out`: [years][ENX_METRICS_COUNT]; of a checked input.  *stop_year: the first without the law;
 * `years` + 1 when there is none.  ENX_UNSUPPORTED: some year has no equilibrium; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_future_draw(double *out, uint32_t *stop_year,
                                        const enx_future_input *input, uint64_t draw,
                                        enx_report *report);

/* What an outcome may hang on, to be turned by the same factor each. */
typedef enum enx_lever {
    ENX_LEVER_ODDS, /* kept at or below 1 */
    ENX_LEVER_DEMAND_GROWTH,
    ENX_LEVER_COST_FACTOR,
    ENX_LEVER_COMPUTE_GROWTH,
    ENX_LEVER_GAMMA,
    ENX_LEVER_ALPHA,
    ENX_LEVER_BRANDS, /* 1 - rho, kept from 1e-6 to 1 */
    ENX_LEVERS_COUNT
} enx_lever;

extern const char *const enx_lever_names[ENX_LEVERS_COUNT];

/* Multiply one lever of `input`, whose market becomes `market`: a changed copy, caller's storage.
 */
void enx_future_turn(enx_future_input *input, enx_market *market, enx_lever lever, double factor);

/* The middle of many draws in one year. */
typedef struct enx_fan {
    double mean, standard_error;
    double quantiles[ENX_FUTURE_QUANTILES]; /* at enx_future_quantiles */
} enx_fan;

extern const double enx_future_quantiles[ENX_FUTURE_QUANTILES];

/* Of `values` [count], count > 0, which are sorted on the way. */
enx_fan enx_future_fan(double *values, uint32_t count);

#endif /* ENX_MARKET_FUTURE_H */
