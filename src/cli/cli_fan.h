/* SPDX-License-Identifier: Apache-2.0 */
/* cli_fan.h - fan charts as SVG: the median of many draws over years, and how far they spread.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_FAN_H
#define ENX_CLI_CLI_FAN_H

#include "base/buf.h"
#include "market/future.h"

enum { CLI_FAN_BYTES_MAX = 4 << 20 };

typedef struct cli_panel {
    const char    *title;
    const enx_fan *fans;  /* [year_count], years 1, 2, ... */
    double         scale; /* what is drawn is the value times this */
} cli_panel;

/* Append a whole SVG document, two panels a row; `title` is escaped.  ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status cli_fan_svg(enx_buf *out, const char *title, const cli_panel *panels,
                                    uint32_t panel_count, uint32_t year_count);

#endif /* ENX_CLI_CLI_FAN_H */
