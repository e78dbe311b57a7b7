/* SPDX-License-Identifier: Apache-2.0 */
/* cli_buy.h - what `market buy` is asked: a job file, with prices from a table and shares from a
 * ledger where the file leaves them out.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_BUY_H
#define ENX_CLI_CLI_BUY_H

#include "backend/prices.h"
#include "base/buf.h"
#include "cli/cli_ledger.h"
#include "market/buy.h"

enum { CLI_BUY_BYTES_MAX = 1 << 20 };

typedef struct cli_buy {
    enx_buy_input        input;
    const enx_price_row *api, *small; /* of the table; NULL: prices are the file's own */
} cli_buy;

/* `ledger` may be NULL.  What the file says comes before table and ledger.  ENX_FORMAT: file, line
 * and key; ENX_INVALID, ENX_NOTFOUND: key, unit and range, or a model that the table does not have;
 * ENX_NOMEM.  Borrows from `prices`. */
ENX_MUST_USE enx_status cli_buy_parse(cli_buy *out, const enx_buf *text, const char *path,
                                      const enx_prices *prices, const cli_ledger *ledger,
                                      enx_report *report);

/* The table of a file, or the built-in one when `path` is NULL. */
ENX_MUST_USE enx_status cli_prices_open(enx_prices **out, const char *path, enx_report *report);

#endif /* ENX_CLI_CLI_BUY_H */
