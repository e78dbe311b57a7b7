/* SPDX-License-Identifier: Apache-2.0 */
/* cli_market.h - a scenario with what a law and a ledger say, as all market commands take it.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_MARKET_H
#define ENX_CLI_CLI_MARKET_H

#include "cli/cli.h"
#include "cli/cli_ledger.h"
#include "cli/cli_scenario.h"

typedef struct cli_market_links {
    const char *law; /* path of a law's file, or NULL */
    const char *job; /* number of a job in the store, or NULL */
} cli_market_links;

/* --law and --from-ledger, among a command's options. */
/* clang-format off */
#define CLI_MARKET_OPTIONS(links)                                                                  \
    { "law", '\0', CLI_TEXT, (void *)&(links).law, "FILE",                                         \
      "a law that enxame scale measured: moves gamma, the odds, the spread" },                     \
    { "from-ledger", '\0', CLI_TEXT, (void *)&(links).job, "JOB",                                  \
      "the first firm serves as cheaply as the swarm of a job that ran" }
/* clang-format on */

/* The scenario of a file with its links: of a job, the first firm's unit cost is multiplied by
 * cli_ledger_cost_ratio, as of a firm that serves by such a swarm.  Says on stderr what they did.
 * Those of cli_scenario_read and cli_ledger_read; ENX_INVALID: no firm, no call of the lead. */
ENX_MUST_USE enx_status cli_market_open(cli_scenario **out, const char *path,
                                        const cli_market_links *links, enx_report *report);

/* The ledger of a job in the default store; `job` as the user wrote it. */
ENX_MUST_USE enx_status cli_market_ledger(cli_ledger *out, const char *job, enx_report *report);

#endif /* ENX_CLI_CLI_MARKET_H */
