/* SPDX-License-Identifier: Apache-2.0 */
/* cli_fan.c - fan charts as SVG, without a script. */
#include "cli/cli_fan.h"

#include <math.h>

enum {
    MARGIN = 18,
    PANEL_WIDTH = 410,
    PANEL_HEIGHT = 236,
    KEYS_HEIGHT = 26, /* between the subtitle and the panels */
    PLOT_LEFT = 52,
    PLOT_TOP = 30,
    PLOT_WIDTH = 276,
    PLOT_HEIGHT = 156,
    LABEL_GAP = 13, /* between the lines of two numbers */
    TICKS_MAX = 12,
    DECADES_MAX = 600, /* of a double, and a few */
    YEARS_LABELLED = 10,
};

/* A fan that spans more than this is drawn by its logarithm. */
static const double log_span = 100;

typedef struct frame {
    enx_buf         *out;
    const cli_panel *panel;
    uint32_t         year_count;
    double           low, high; /* of the vertical axis */
    bool             is_log;
    double           left, top; /* of the plot */
} frame;

static double value_of(const frame *f, uint32_t year, int quantile)
{
    return f->panel->scale * f->panel->fans[year].quantiles[quantile];
}

/* From 0, or below, to the tick above all; or whole decades where a straight axis would show the
 * last years alone. */
static void set_range(frame *f)
{
    double least = INFINITY;
    f->low = 0;
    f->high = 0;
    for (uint32_t year = 0; year < f->year_count; year++) {
        least = fmin(least, value_of(f, year, ENX_FUTURE_LOWEST));
        f->high = fmax(f->high, value_of(f, year, ENX_FUTURE_HIGHEST));
    }
    f->low = fmin(0, least);
    f->is_log = least > 0 && f->high > log_span * least;
    if (f->is_log) {
        f->low = pow(10, floor(log10(least)));
        f->high = pow(10, ceil(log10(f->high)));
        return;
    }
    if (!(f->high > f->low)) f->high = f->low + 1;
    const double step = cli_svg_step(f->high - f->low);
    f->high = ceil(f->high / step - 0.25) * step > f->high ? ceil(f->high / step) * step : f->high;
}

static double x_of(const frame *f, uint32_t year)
{
    const uint32_t steps = f->year_count > 1 ? f->year_count - 1 : 1;
    return f->left + PLOT_WIDTH * (double)year / steps;
}

static double y_of(const frame *f, double value)
{
    const double part = f->is_log ? log(f->high / value) / log(f->high / f->low)
                                  : (f->high - value) / (f->high - f->low);
    return f->top + PLOT_HEIGHT * part;
}

static enx_status draw_tick(const frame *f, double value)
{
    const double y = y_of(f, value);
    ENX_TRY(enx_buf_printf(f->out, "<path class=\"grid\" d=\"M%.1f %.1fh%d\"/>\n", f->left, y,
                           PLOT_WIDTH));
    return cli_svg_number(f->out, "faint", CLI_ANCHOR_END, f->left - 7, y + 4, value);
}

static enx_status draw_grid(const frame *f)
{
    const double step = cli_svg_step(f->high - f->low);
    for (int i = 0; i < TICKS_MAX && !f->is_log; i++) {
        const double value = (ceil(f->low / step) + i) * step;
        if (value > f->high + step / 1000) break;
        ENX_TRY(draw_tick(f, fabs(value) < step / 2 ? 0 : value));
    }
    const int decades = f->is_log ? (int)lround(log10(f->high / f->low)) : 0;
    const int every = decades / (TICKS_MAX / 2) + 1;
    for (int i = 0; f->is_log && i <= decades && i < DECADES_MAX; i += every)
        ENX_TRY(draw_tick(f, f->low * pow(10, i)));
    return ENX_OK;
}

static enx_status draw_years(const frame *f)
{
    const uint32_t every = (f->year_count - 1) / YEARS_LABELLED + 1;
    const double   bottom = f->top + PLOT_HEIGHT;
    ENX_TRY(enx_buf_printf(f->out, "<path class=\"axis\" d=\"M%.1f %.1fh%d\"/>\n", f->left, bottom,
                           PLOT_WIDTH));
    for (uint32_t year = 0; year < f->year_count; year += every) {
        ENX_TRY(enx_buf_printf(f->out, "<path class=\"axis\" d=\"M%.1f %.1fv4\"/>\n", x_of(f, year),
                               bottom));
        ENX_TRY(cli_svg_number(f->out, "faint", CLI_ANCHOR_MIDDLE, x_of(f, year), bottom + 16,
                               year + 1));
    }
    return cli_svg_text(f->out, "faint", CLI_ANCHOR_MIDDLE, f->left + PLOT_WIDTH / 2.0, bottom + 31,
                        f->is_log ? "years from now; logarithmic scale" : "years from now");
}

static enx_status draw_points(const frame *f, int quantile, bool is_backwards)
{
    for (uint32_t i = 0; i < f->year_count; i++) {
        const uint32_t year = is_backwards ? f->year_count - 1 - i : i;
        ENX_TRY(enx_buf_printf(f->out, "%.1f,%.1f ", x_of(f, year),
                               y_of(f, value_of(f, year, quantile))));
    }
    return ENX_OK;
}

static enx_status draw_band(const frame *f, int low, int high, const char *style)
{
    ENX_TRY(enx_buf_printf(f->out, "<polygon class=\"%s\" points=\"", style));
    ENX_TRY(draw_points(f, high, false));
    ENX_TRY(draw_points(f, low, true));
    return enx_buf_append_text(f->out, "\"/>\n");
}

/* What the last year has, beside it; the ends of the fan only where there is room. */
static enx_status label_ends(const frame *f)
{
    static const int quantiles[] = { ENX_FUTURE_MEDIAN, ENX_FUTURE_LOWEST, ENX_FUTURE_HIGHEST };
    const double     x = f->left + PLOT_WIDTH + 6;
    const double     middle = y_of(f, value_of(f, f->year_count - 1, ENX_FUTURE_MEDIAN));
    for (int i = 0; i < 3; i++) {
        const double value = value_of(f, f->year_count - 1, quantiles[i]), y = y_of(f, value);
        if (i > 0 && fabs(y - middle) < LABEL_GAP) continue;
        ENX_TRY(
            cli_svg_number(f->out, i == 0 ? "head" : "faint", CLI_ANCHOR_START, x, y + 4, value));
    }
    return ENX_OK;
}

static enx_status draw_panel(frame *f)
{
    set_range(f);
    ENX_TRY(cli_svg_text(f->out, "head", CLI_ANCHOR_START, f->left - PLOT_LEFT + 14, f->top - 14,
                         f->panel->title));
    ENX_TRY(draw_grid(f));
    ENX_TRY(draw_band(f, ENX_FUTURE_LOWEST, ENX_FUTURE_HIGHEST, "wide"));
    ENX_TRY(draw_band(f, ENX_FUTURE_QUARTER, ENX_FUTURE_THREE_QUARTERS, "half"));
    ENX_TRY(enx_buf_append_text(f->out, "<polyline class=\"line\" points=\""));
    ENX_TRY(draw_points(f, ENX_FUTURE_MEDIAN, false));
    ENX_TRY(enx_buf_append_text(f->out, "\"/>\n"));
    ENX_TRY(draw_years(f));
    return label_ends(f);
}

enx_status cli_fan_svg(enx_buf *out, const char *title, const char *subtitle,
                       const cli_panel *panels, uint32_t panel_count, uint32_t year_count)
{
    const uint32_t rows = (panel_count + 1) / 2;
    const int      height = CLI_SVG_TOP + KEYS_HEIGHT + (int)rows * PANEL_HEIGHT;
    ENX_TRY(cli_svg_open(out, 2 * PANEL_WIDTH, height, title, subtitle));
    ENX_TRY(
        enx_buf_printf(out, "<path class=\"line\" d=\"M%d %dh16\"/>\n", MARGIN, CLI_SVG_TOP + 6));
    ENX_TRY(cli_svg_text(out, "faint", CLI_ANCHOR_START, MARGIN + 21, CLI_SVG_TOP + 10,
                         "the middle of the draws"));
    ENX_TRY(cli_svg_key(out, "half", MARGIN + 175, CLI_SVG_TOP + 10, "half of them"));
    ENX_TRY(cli_svg_key(out, "wide", MARGIN + 275, CLI_SVG_TOP + 10, "nine in ten"));
    for (uint32_t i = 0; i < panel_count; i++) {
        frame f = { .out = out, .panel = &panels[i], .year_count = year_count };
        f.left = (i % 2) * PANEL_WIDTH + MARGIN / 2 + PLOT_LEFT;
        f.top = CLI_SVG_TOP + KEYS_HEIGHT + (i / 2) * PANEL_HEIGHT + PLOT_TOP;
        ENX_TRY(draw_panel(&f));
    }
    return cli_svg_close(out);
}
