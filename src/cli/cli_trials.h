/* SPDX-License-Identifier: Apache-2.0 */
/* cli_trials.h - worlds in which a certificate is put on trial: the truth is known in each.
 *
 * A trial is a function of its regime, target, delta and number alone: trials may run in any order
 * and on any thread.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_TRIALS_H
#define ENX_CLI_CLI_TRIALS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { CLI_TRIALS_TASKS_MAX = 20000 };

/* How a regime goes.  u in [0, 1] is the rank of an answer's score, 0 the surest; an error has the
 * chance base (power + 1) u^power, and `sure_wrong` more among the surest 3 %. */
typedef enum cli_regime_kind {
    CLI_REGIME_BATCH,
    CLI_REGIME_BORDER,      /* batch; the base is just the share that the target allows */
    CLI_REGIME_ADVERSARIAL, /* batch; two thirds of it hold one wrong answer more than allowed */
    CLI_REGIME_STOPPED,     /* adversarial, and somebody stops after any number of labels */
    CLI_REGIME_STREAM,      /* errors are `drift` times as likely from the middle on */
    CLI_REGIME_BETRAYAL,    /* stream; from the middle on wrong where it is surest */
} cli_regime_kind;

typedef struct cli_regime {
    const char     *name;
    cli_regime_kind kind;
    uint32_t        tasks;
    double          base, power, sure_wrong, drift;
} cli_regime;

extern const cli_regime cli_regimes[];
extern const uint32_t   cli_regime_count;

bool cli_regime_is_stream(const cli_regime *regime);

typedef struct cli_trial {
    bool   is_violated; /* the claim was false; of a stream: at any moment */
    bool   is_late;     /* of a stream: false for the last window, at the end */
    double lead;        /* share of tasks that the lead answered, labels included */
    double bargain;     /* the same of BARGAIN over all tasks at once */
    double found; /* of a stream that drifts: tasks until it says so; negative: it never did */
} cli_trial;

/* ENX_NOMEM. */
ENX_MUST_USE enx_status cli_trial_run(cli_trial *out, const cli_regime *regime, double target,
                                      double delta, uint64_t seed, enx_report *report);

/* Clopper-Pearson: the least chance under which `hits` of `count` or more are seen in 1 % of
 * cases. */
double cli_trials_low99(uint32_t hits, uint32_t count);

#endif /* ENX_CLI_CLI_TRIALS_H */
