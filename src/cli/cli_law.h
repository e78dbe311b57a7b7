/* SPDX-License-Identifier: Apache-2.0 */
/* cli_law.h - law.json: what a ladder or a fit says, for other commands to go on from.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_LAW_H
#define ENX_CLI_CLI_LAW_H

#include "cli/cli_runs.h"

enum { CLI_LAW_FORMAT = 1, CLI_LAW_BYTES_MAX = 1 << 20 };

typedef struct cli_law {
    const char *form;                  /* "chinchilla", ..., "ladder" */
    double      exponent, exponent_se; /* of compute, in the part of the loss that it lowers */
    double      floor, floor_se;       /* irreducible loss; NAN: the form has none */
    json_t     *params, *se;           /* NULL: none; taken */
    json_t     *odds, *next;           /* NULL: none; taken */
} cli_law;

/* Write it with where it comes from: file, its hash, runs, version. */
ENX_MUST_USE enx_status cli_law_write(const char *path, const cli_law *law, const cli_runs *runs,
                                      enx_report *report);

#endif /* ENX_CLI_CLI_LAW_H */
