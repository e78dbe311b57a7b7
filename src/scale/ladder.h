/* SPDX-License-Identifier: Apache-2.0 */
/* ladder.h - what a ladder of runs, each with more compute than the last, says about the next.
 *
 * With t the logarithm of compute and y the loss,
 *
 *     y = E + A exp(-g s(t)) + noise,     noise ~ N(0, (sigma y)^2),
 *
 * where s is t up to a break and changes slope there, sharply or over about a rung: the law holds
 * (no break), slowed, stopped, got faster, or reversed (stopped, and rises); or it holds and one
 * run alone went wrong, by a shift of its own.  Given g and the break the model is linear in E, A
 * and the shift or rise, so its evidence and forecast are closed formulas; these are summed over a
 * grid of all breaks and exponents.  No sampling, no starts: the same rungs give the same answer.
 *
 * Where the text was read more than once there is one more explanation, a data wall: the law holds
 * in the tokens that the repeated ones are worth.
 *
 * Layer: scale.  Thread-safety: immutable after open; may be shared.
 * Source: arXiv 2305.16264 (worth of repeated tokens).
 */
#ifndef ENX_SCALE_LADDER_H
#define ENX_SCALE_LADDER_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_LADDER_RUNGS_MIN = 4, /* to forecast at all */
    ENX_LADDER_ODDS_MIN = 5,  /* fewer cannot tell a plateau from a high floor E */
    ENX_LADDER_RUNGS_MAX = 64,
};

/* So often the same text is nearly as good as new; beyond, a rising loss is no surprise. */
#define ENX_EPOCHS_FREE 4

typedef struct enx_rung {
    double log_flops;
    double loss;   /* mean of its runs; not read of a rung that is only asked about */
    double weight; /* runs averaged; 0 counts as 1 */
    double epochs; /* tokens by unique tokens; 0: not known, as 1 */
} enx_rung;

typedef enum enx_outcome {
    ENX_OUTCOME_HOLDS,
    ENX_OUTCOME_SLOWED,
    ENX_OUTCOME_STOPPED,
    ENX_OUTCOME_REVERSED, /* more compute, more loss */
    ENX_OUTCOME_FASTER,
    ENX_OUTCOME_BAD_RUN, /* the suspect one; the law holds */
    ENX_OUTCOMES_COUNT
} enx_outcome;

extern const char *const enx_outcome_names[ENX_OUTCOMES_COUNT];

/* What is believed before any run is seen. */
typedef struct enx_belief {
    double hazard;          /* chance of a break at a rung */
    double bad_run;         /* chance that the last run is bad */
    double wall;            /* share of a data wall among explanations, once text is repeated */
    double noise;           /* sigma: its median */
    double noise_weight;    /* in how many runs' worth of evidence, half */
    double exponent;        /* g: its median */
    double exponent_spread; /* standard deviation of its logarithm */
    double floor;           /* E, as a share of the last loss */
    double floor_spread;
    double shift; /* of a bad run, as a share of the loss: standard deviation */
} enx_belief;

typedef struct enx_ladder enx_ladder;

typedef struct enx_outlook {
    double mean, median, deviation;
    double low, high; /* of the interval asked for */
} enx_outlook;

/* For odds, of a ladder of so many rungs: a break somewhere has the chance ENX_BELIEF_BROKEN, at
 * each rung alike.  Calibrated on simulated ladders (docs/law.md). */
#define ENX_BELIEF_BROKEN 0.2
enx_belief enx_belief_odds(uint32_t rung_count);
/* The chance of a break at each rung, if that of one somewhere is `broken`. */
double     enx_belief_hazard(double broken, uint32_t rung_count);
/* For numbers: real ladders bend a little all the time, so breaks are expected more. */
enx_belief enx_belief_forecast(void);

/* Weigh all explanations; release by enx_ladder_close.  Rungs in rising compute, equal ones
 * allowed; number `suspect` is the one that may be a bad run (count - 1 as a rule; count: none).
 * ENX_INVALID: too few rungs, not rising, a belief out of range, a loss that is none; ENX_LIMIT:
 * too many; ENX_NOMEM.  O(count^2): 0.7 ms for 7 rungs. */
ENX_MUST_USE enx_status enx_ladder_open(enx_ladder **out, const enx_rung *rungs, uint32_t count,
                                        uint32_t suspect, const enx_belief *belief,
                                        enx_report *report);
void                    enx_ladder_close(enx_ladder **ladder);

/* Chances of each outcome; they add up to 1. */
void   enx_ladder_odds(const enx_ladder *ladder, double odds[ENX_OUTCOMES_COUNT]);
/* Chance of a data wall; it is part of the outcomes `slowed` and `stopped`. */
double enx_ladder_wall(const enx_ladder *ladder);
/* ln of the Bayes factor of `holds` against all else: how the rungs moved the odds from what was
 * believed before them. */
double enx_ladder_factor(const enx_ladder *ladder);
/* Means and standard deviations of g and E over all explanations. */
double enx_ladder_exponent(const enx_ladder *ladder);
double enx_ladder_exponent_deviation(const enx_ladder *ladder);
double enx_ladder_floor(const enx_ladder *ladder);
double enx_ladder_floor_deviation(const enx_ladder *ladder);

/* The loss of one more run at `at`, under all explanations by their weight; `level` 0.9: low and
 * high leave 5 % on either side. */
enx_outlook enx_ladder_forecast(const enx_ladder *ladder, const enx_rung *at, double level);
/* The same if the law holds. */
enx_outlook enx_ladder_forecast_law(const enx_ladder *ladder, const enx_rung *at, double level);
/* The loss that a run at `at` stays below with chance q, 0 < q < 1. */
double      enx_ladder_quantile(const enx_ladder *ladder, const enx_rung *at, double q);
/* ln of the density of at->loss under all explanations. */
double      enx_ladder_density(const enx_ladder *ladder, const enx_rung *at);

/* How many epochs' worth of new text there is in `epochs` of the same: 1 at 1, 16.4 at most. */
double enx_epochs_worth(double epochs);

#endif /* ENX_SCALE_LADDER_H */
