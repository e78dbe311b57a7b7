/* SPDX-License-Identifier: Apache-2.0 */
/* cli_fan.h - the pictures of `market run`: how draws spread over years, and what decides the last.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_FAN_H
#define ENX_CLI_CLI_FAN_H

#include "cli/cli_svg.h"
#include "market/future.h"

typedef struct cli_panel {
    const char    *title;
    const enx_fan *fans;  /* [year_count], years 1, 2, ... */
    double         scale; /* what is drawn is the value times this */
} cli_panel;

/* Append a whole SVG document, two panels a row: median, half and nine in ten of the draws.
 * ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status cli_fan_svg(enx_buf *out, const char *title, const char *subtitle,
                                    const cli_panel *panels, uint32_t panel_count,
                                    uint32_t year_count);

enum { CLI_TORNADO_COLUMNS_MAX = 4, CLI_TORNADO_ROWS_MAX = 16 };

typedef struct cli_tornado {
    uint32_t    row_count, column_count;
    const char *rows[CLI_TORNADO_ROWS_MAX]; /* what was turned, the most important first */
    const char *columns[CLI_TORNADO_COLUMNS_MAX];
    double      base[CLI_TORNADO_COLUMNS_MAX];                  /* with nothing turned */
    double less[CLI_TORNADO_ROWS_MAX][CLI_TORNADO_COLUMNS_MAX]; /* turned down; NAN: no result */
    double more[CLI_TORNADO_ROWS_MAX][CLI_TORNADO_COLUMNS_MAX]; /* turned up */
    const char *less_name, *more_name;
} cli_tornado;

/* Append a whole SVG document: bars from what nothing turned gives to what each turn does. */
ENX_MUST_USE enx_status cli_tornado_svg(enx_buf *out, const char *title, const char *subtitle,
                                        const cli_tornado *tornado);

#endif /* ENX_CLI_CLI_FAN_H */
