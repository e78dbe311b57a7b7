/* SPDX-License-Identifier: Apache-2.0 */
/* cli_advise.h - would a bigger worker pay for jobs like this one?
 *
 * A worker `size` times as large, trained on as many times more text, has size^2 times the compute
 * behind it and costs `size` times as much a task.  If the law goes on, what it gets wrong and
 * could learn falls by size^(2 exponent), and with it the share of tasks that go up; if not, not at
 * all.  The chance of either is in law.json.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_ADVISE_H
#define ENX_CLI_CLI_ADVISE_H

#include "cli/cli_ledger.h"
#include "cli/cli_market_law.h"

#include <stdbool.h>

typedef struct cli_advice {
    double size;      /* of the worker, times what it is */
    double escalated; /* share of the tasks, if the law goes on */
    double expected;  /* the same, over both */
    double task_usd;  /* expected cost of a task; of the training nothing */
    double saved_usd; /* a task, against today's; may be below 0 */
} cli_advice;

/* Today's cost of a task, as the ledger has it. */
double     cli_advice_today(const cli_ledger *ledger);
/* Pure. */
cli_advice cli_advice_of(const cli_ledger *ledger, const cli_market_law *law, double size);

/* Read both, and print.  ENX_INVALID: a job in which nothing went up, or whose lead's price is not
 * known; those of cli_market_ledger and cli_market_law_read. */
ENX_MUST_USE enx_status cli_advise_print(const char *job, const char *law_path, bool is_json,
                                         enx_report *report);

#endif /* ENX_CLI_CLI_ADVISE_H */
