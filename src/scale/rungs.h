/* SPDX-License-Identifier: Apache-2.0 */
/* rungs.h - runs in order of compute, one rung for all of about the same.
 *
 * Among runs of the same compute that differ in size, the rung is the best size: the law of
 * compute is about the lower edge.  Runs of that size again, as with other seeds, are averaged, and
 * how far they differ says how large chance is.
 *
 * Layer: scale.  Thread-safety: no shared state.
 */
#ifndef ENX_SCALE_RUNGS_H
#define ENX_SCALE_RUNGS_H

#include "scale/ladder.h"
#include "scale/runs.h"

/* Beyond this deviation of ln(D / N) from a steady trend, runs are a grid rather than a ladder. */
#define ENX_RUNGS_RATIO_MAX 1.0

/* Runs within this factor of compute are of one rung. */
#define ENX_RUNGS_SAME 1.1

typedef struct enx_rungs {
    uint32_t count;
    enx_rung rungs[ENX_LADDER_RUNGS_MAX];
    double   params[ENX_LADDER_RUNGS_MAX]; /* NAN: not known */
    double   tokens[ENX_LADDER_RUNGS_MAX];
    uint32_t line[ENX_LADDER_RUNGS_MAX]; /* of a run, in the file */
    double   noise;                      /* relative, of repeats; NAN: there are none */
    uint32_t noise_freedom;              /* degrees of freedom of `noise` */
    double   rate_power;    /* learning rate ~ compute^this along the rungs; NAN: not known */
    double   size_power;    /* N ~ compute^this along the rungs; NAN: N is not known */
    double   ratio_spread;  /* of ln(D / N) around that trend, standard deviation; NAN */
    bool     is_rate_fixed; /* one learning rate for models of different size */
} enx_rungs;

/* ENX_INVALID: all runs have one compute; ENX_LIMIT: more rungs than a ladder may have. ENX_NOMEM.
 * Too few rungs are not refused here. */
ENX_MUST_USE enx_status enx_rungs_gather(enx_rungs *out, const enx_runs *runs, enx_report *report);

/* `belief` with what repeats say of the noise. */
enx_belief enx_rungs_belief(const enx_rungs *rungs, enx_belief belief);

/* A rung beyond the last, by `factor` of compute; N, D and epochs go on as they did along the rungs
 * (unique text stays as it is). */
enx_rung enx_rungs_next(const enx_rungs *rungs, double factor, double *params, double *tokens);

/* The usual factor of compute from rung to rung: the median. */
double enx_rungs_factor(const enx_rungs *rungs);

#endif /* ENX_SCALE_RUNGS_H */
