/* SPDX-License-Identifier: Apache-2.0 */
/* cli_market_law.h - a scaling law that was measured: the file that `scale` writes, as `market`
 * takes it.
 *
 *     {"kind": "enxame.law", "version": 1, "form": "chinchilla", "E": 1.7, "A": 400, "B": 2000,
 *      "alpha": 0.35, "beta": 0.37, "se": {"alpha": 0.01, "beta": 0.02}, "compute_exponent": 0.18,
 *      "odds": {"holds": 0.6, "slowed": 0.2, "stopped": 0.15, "reversed": 0.05},
 *      "source": {"file": "runs.csv", "runs": 120}}
 *
 *     {"format": 1, "form": "ladder", "exponent": 0.18, "exponent_se": 0.01,
 *      "odds": {"holds": 0.5, "slowed": 0.2, "stopped": 0.15, "reversed": 0.05, "faster": 0.06,
 *      "bad_run": 0.04}, "data": {"file": "runs.csv", "runs": 120}}
 *
 * Needed are the first two keys or the first one, and the exponent.  Keys that are not known here
 * are skipped.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_MARKET_LAW_H
#define ENX_CLI_CLI_MARKET_LAW_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CLI_MARKET_LAW_BYTES_MAX = 1 << 20, CLI_MARKET_LAW_ODDS = 6 };

typedef struct cli_market_law {
    double   exponent;                  /* of the reducible loss in compute, 0.001 to 1 */
    double   exponent_se;               /* its standard error; 0: not told */
    bool     has_odds;                  /* of what comes, adding up to 1 */
    double   odds[CLI_MARKET_LAW_ODDS]; /* of cli_market_law_outcomes; the last two may be 0 */
    uint64_t runs;                      /* that it was fitted to; 0: not told */
} cli_market_law;

extern const char *const cli_market_law_outcomes[CLI_MARKET_LAW_ODDS];

/* Chance that it goes on: it holds, gets faster, or only looked broken by a bad run. */
double cli_market_law_goes_on(const cli_market_law *law);

/* ENX_FORMAT: not such a file; names the key, its unit and its range.  ENX_UNSUPPORTED: another
 * version.  ENX_NOTFOUND, ENX_IO, ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status cli_market_law_read(cli_market_law *out, const char *path,
                                            enx_report *report);
/* The same of bytes; `path` is for messages. */
ENX_MUST_USE enx_status cli_market_law_parse(cli_market_law *out, const char *text,
                                             size_t size_bytes, const char *path,
                                             enx_report *report);

/* Why nobody should lean on it, or NULL: odds below one half, few runs, an error as large as a
 * quarter of the exponent.  Static text. */
const char *cli_market_law_doubt(const cli_market_law *law);

json_t *cli_market_law_json(const cli_market_law *law);
/* A line or two: what was taken from it, and the doubt. */
void    cli_market_law_print(FILE *out, const cli_market_law *law);

#endif /* ENX_CLI_CLI_MARKET_LAW_H */
