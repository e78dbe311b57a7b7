/* SPDX-License-Identifier: Apache-2.0 */
/* cli_plot.h - points, lines and bands over a logarithmic or plain axis, as SVG.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_PLOT_H
#define ENX_CLI_CLI_PLOT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { CLI_PLOT_BYTES_MAX = 16 << 20, CLI_PLOT_SERIES_MAX = 24 };

typedef enum cli_mark {
    CLI_MARK_POINTS,
    CLI_MARK_RINGS, /* open circles */
    CLI_MARK_LINE,
    CLI_MARK_DASHES,
    CLI_MARK_BAND,  /* from y to y2 */
    CLI_MARK_STAKE, /* from y to y2 at each x, with feet */
} cli_mark;

typedef struct cli_series {
    cli_mark      mark;
    const double *x, *y, *y2; /* [count]; y2 of bands and stakes; pairs that are not finite are left
                                 out */
    uint32_t      count;
    const char   *colour;
    const char   *label; /* in the legend; NULL: none */
} cli_series;

typedef struct cli_axes {
    const char *title, *x_label, *y_label;
    bool        is_log_x, is_log_y;
    bool        has_range; /* y_low and y_high are given */
    double      y_low, y_high;
    bool        is_legend_left;
    cli_series  series[CLI_PLOT_SERIES_MAX]; /* drawn in this order */
    uint32_t    series_count;
} cli_axes;

void cli_axes_add(cli_axes *axes, cli_series series);

/* Append a whole SVG document, two panels a row.  Texts are escaped.  ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status cli_plot_svg(enx_buf *out, const char *title, const cli_axes *axes,
                                     uint32_t axes_count);

/* Make the document and replace `path` by it. */
ENX_MUST_USE enx_status cli_plot_write(const char *path, const char *title, const cli_axes *axes,
                                       uint32_t axes_count, enx_report *report);

#endif /* ENX_CLI_CLI_PLOT_H */
