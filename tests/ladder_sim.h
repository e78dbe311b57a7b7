/* SPDX-License-Identifier: Apache-2.0 */
/* ladder_sim.h - ladders whose truth is known, to hold odds against.
 *
 * 5 to 8 rungs, compute x2 or x4 from one to the next.  Floor 1 to 2.2, reducible loss at the first
 * rung 0.5 to 1.8, exponent log-normal around 0.16 (deviation of its logarithm 0.35), noise
 * log-normal around 0.3 % (0.4).  A share of the ladders is broken: of these half stop, a quarter
 * slow down (to 0.2 to 0.7 of the slope), a tenth get faster (1.5 to 2), the rest have a bad last
 * run (2 to 8 % more loss).  Breaks come after the third rung at the earliest and before the last.
 *
 * Layer: tests.  Thread-safety: no shared state.
 */
#ifndef ENX_TESTS_LADDER_SIM_H
#define ENX_TESTS_LADDER_SIM_H

#include "base/rng.h"
#include "scale/ladder.h"

#include <math.h>

enum { SIM_RUNGS_MAX = 8, SIM_BINS = 10 };

typedef struct sim_options {
    double broken;      /* share of ladders */
    double width;       /* of a break, in rung steps; 0: sharp */
    bool   is_reversed; /* breaks are all reversals: 1 to 5 % more loss a rung */
} sim_options;

typedef struct sim_ladder {
    enx_rung    rungs[SIM_RUNGS_MAX];
    uint32_t    count;
    uint32_t    place; /* of the break; 0: none */
    enx_outcome truth;
} sim_ladder;

static inline double sim_slope(enx_outcome truth, double v)
{
    switch (truth) {
    case ENX_OUTCOME_SLOWED:
        return 0.2 + 0.5 * v;
    case ENX_OUTCOME_FASTER:
        return 1.5 + 0.5 * v;
    case ENX_OUTCOME_STOPPED:
    case ENX_OUTCOME_REVERSED:
        return 0;
    default:
        return 1;
    }
}

static inline enx_outcome sim_truth(const sim_options *o, double is_broken, double kind)
{
    if (is_broken >= o->broken) return ENX_OUTCOME_HOLDS;
    if (o->is_reversed) return ENX_OUTCOME_REVERSED;
    if (kind < 0.5) return ENX_OUTCOME_STOPPED;
    if (kind < 0.75) return ENX_OUTCOME_SLOWED;
    return kind < 0.85 ? ENX_OUTCOME_FASTER : ENX_OUTCOME_BAD_RUN;
}

/* Ladder number `seed`. */
static inline sim_ladder sim_draw(uint64_t seed, const sim_options *o)
{
    enx_rng        rng = enx_rng_open(seed, 77);
    sim_ladder     s = { .count = 5 + (uint32_t)enx_rng_below(&rng, 4) };
    const double   step = log(enx_rng_below(&rng, 2) ? 2 : 4);
    const double   exponent = 0.16 * exp(0.35 * enx_rng_normal(&rng));
    const double   floor = 1 + 1.2 * enx_rng_unit(&rng), part = 0.5 + 1.3 * enx_rng_unit(&rng);
    const double   noise = 0.003 * exp(0.4 * enx_rng_normal(&rng));
    const double   is_broken = enx_rng_unit(&rng), kind = enx_rng_unit(&rng);
    const double   v = enx_rng_unit(&rng);
    const uint32_t place = 2 + (uint32_t)enx_rng_below(&rng, s.count - 3);
    s.truth = sim_truth(o, is_broken, kind);
    const bool   has_break = s.truth != ENX_OUTCOME_HOLDS && s.truth != ENX_OUTCOME_BAD_RUN;
    const double slope = sim_slope(s.truth, v), at = place * step, width = o->width * step;
    s.place = has_break ? place : 0;
    for (uint32_t i = 0; i < s.count; i++) {
        const double t = i * step, past = fmax(0, t - at);
        const double soft = width > 0 ? width * log1p(exp((t - at) / width)) : past;
        double loss = floor + part * exp(-exponent * (has_break ? t + (slope - 1) * soft : t));
        if (s.truth == ENX_OUTCOME_REVERSED) loss *= 1 + (0.01 + 0.04 * v) * past / step;
        if (s.truth == ENX_OUTCOME_BAD_RUN && i + 1 == s.count) loss *= 1.02 + 0.06 * v;
        s.rungs[i] =
            (enx_rung){ .log_flops = t, .loss = loss * (1 + noise * enx_rng_normal(&rng)) };
    }
    return s;
}

/* How good chances of `holds` were. */
typedef struct sim_score {
    uint32_t count, holds;
    double   brier; /* a sum until sim_finish */
    double   ece;   /* expected calibration error, ten bins */
    double   said[SIM_BINS], true_in[SIM_BINS];
    uint32_t in_bin[SIM_BINS];
} sim_score;

static inline void sim_count(sim_score *score, double chance, bool holds)
{
    const uint32_t bin = chance >= 1 ? SIM_BINS - 1 : (uint32_t)(chance * SIM_BINS);
    score->count++;
    score->holds += holds;
    score->brier += (chance - holds) * (chance - holds);
    score->said[bin] += chance;
    score->true_in[bin] += holds;
    score->in_bin[bin]++;
}

static inline void sim_finish(sim_score *score)
{
    score->brier /= score->count;
    for (int b = 0; b < SIM_BINS; b++)
        score->ece += fabs(score->said[b] - score->true_in[b]) / score->count;
}

#endif /* ENX_TESTS_LADDER_SIM_H */
