/* SPDX-License-Identifier: Apache-2.0 */
/* cli_span.h - how long a job takes when calls are slow, and some never end, on a virtual clock.
 *
 * Each task takes three calls, one after the other: a worker, a second one, a verifier.  A call
 * takes a lognormal time (median 1 s, sigma 0.8), or hangs for good.  The swarm itself is run, and
 * beside it the same work in three waves, each of which waits for its last call; there a call that
 * hangs is tried again after the same time limit.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_SPAN_H
#define ENX_CLI_CLI_SPAN_H

#include "base/status.h"

#include <stdint.h>

typedef struct cli_span_options {
    uint32_t tasks;
    uint32_t slots; /* of each of the three models */
    double   hang;  /* chance */
    double   hedge_share;
    double   timeout_s;
    uint64_t seed;
} cli_span_options;

typedef struct cli_span {
    double   swarm_s;
    double   waves_s;
    uint64_t calls; /* of the swarm */
} cli_span;

/* Deterministic.  ENX_NOMEM. */
ENX_MUST_USE enx_status cli_span_run(cli_span *out, const cli_span_options *options,
                                     enx_report *report);

#endif /* ENX_CLI_CLI_SPAN_H */
