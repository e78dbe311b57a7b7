/* SPDX-License-Identifier: Apache-2.0 */
/* cli_dispatch.h - what a task costs the swarm itself: one job against an endpoint that answers at
 * once, over HTTP, with every record committed to a store of its own before its calls leave.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_DISPATCH_H
#define ENX_CLI_CLI_DISPATCH_H

#include "base/status.h"

#include <stdint.h>

typedef struct cli_dispatch_options {
    uint16_t    port; /* of the endpoint on 127.0.0.1 */
    uint32_t    tasks;
    uint32_t    slots;  /* calls in flight */
    const char *folder; /* an existing one, where the store is made and removed again */
} cli_dispatch_options;

typedef struct cli_dispatch {
    double seconds;
    double cpu_us;         /* a task, the endpoint's share included */
    double p50_ms, p99_ms; /* from the call to what follows from its report being committed */
    double rss_mb;         /* high-water mark of the process */
} cli_dispatch;

/* ENX_INVALID: a task that was not accepted; what store and driver report; ENX_NOMEM. */
ENX_MUST_USE enx_status cli_dispatch_run(cli_dispatch *out, const cli_dispatch_options *options,
                                         enx_report *report);

#endif /* ENX_CLI_CLI_DISPATCH_H */
