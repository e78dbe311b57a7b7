/* SPDX-License-Identifier: Apache-2.0 */
/* cli_fan.c - fan charts as SVG, without a script and without a style sheet. */
#include "cli/cli_fan.h"

#include "cli/cli_plot.h"

#include <math.h>

enum {
    PANEL_WIDTH = 380,
    PANEL_HEIGHT = 230,
    TOP = 50, /* of the document: the title */
    PLOT_LEFT = 62,
    PLOT_TOP = 34,
    PLOT_WIDTH = 296,
    PLOT_HEIGHT = 158,
    TICKS_MAX = 12,
};

typedef struct frame {
    enx_buf         *out;
    const cli_panel *panel;
    uint32_t         year_count;
    double           low, high; /* of the vertical axis */
    double           left, top; /* of the plot */
} frame;

static void set_range(frame *f)
{
    f->low = 0;
    f->high = 0;
    for (uint32_t year = 0; year < f->year_count; year++) {
        f->low = fmin(f->low, f->panel->scale * f->panel->fans[year].quantiles[0]);
        f->high = fmax(f->high, f->panel->scale * f->panel->fans[year].quantiles[4]);
    }
    if (!(f->high > f->low)) f->high = f->low + 1;
}

static double x_of(const frame *f, uint32_t year)
{
    const uint32_t steps = f->year_count > 1 ? f->year_count - 1 : 1;
    return f->left + PLOT_WIDTH * (double)year / steps;
}

static double y_of(const frame *f, double value)
{
    return f->top + PLOT_HEIGHT * (f->high - value) / (f->high - f->low);
}

static enx_status draw_axes(const frame *f)
{
    const double step = cli_svg_step(f->high - f->low);
    for (int i = 0; i < TICKS_MAX; i++) {
        const double value = (ceil(f->low / step) + i) * step, y = y_of(f, value);
        if (value > f->high) break;
        ENX_TRY(enx_buf_printf(f->out,
                               "<path d=\"M%.1f %.1fh%d\" stroke=\"#ddd\"/>\n"
                               "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                               f->left, y, PLOT_WIDTH, f->left - 6, y + 4,
                               fabs(value) < step / 2 ? 0 : value));
    }
    const uint32_t every = f->year_count / 6 + 1;
    for (uint32_t year = 0; year < f->year_count; year += every)
        ENX_TRY(enx_buf_printf(f->out,
                               "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%u</text>\n",
                               x_of(f, year), f->top + PLOT_HEIGHT + 16, year + 1));
    return ENX_OK;
}

static enx_status draw_points(const frame *f, int quantile, bool is_backwards)
{
    for (uint32_t i = 0; i < f->year_count; i++) {
        const uint32_t year = is_backwards ? f->year_count - 1 - i : i;
        const double   value = f->panel->scale * f->panel->fans[year].quantiles[quantile];
        ENX_TRY(enx_buf_printf(f->out, "%.1f,%.1f ", x_of(f, year), y_of(f, value)));
    }
    return ENX_OK;
}

static enx_status draw_band(const frame *f, int low, int high, const char *colour)
{
    ENX_TRY(enx_buf_printf(f->out, "<polygon fill=\"%s\" points=\"", colour));
    ENX_TRY(draw_points(f, high, false));
    ENX_TRY(draw_points(f, low, true));
    return enx_buf_append_text(f->out, "\"/>\n");
}

static enx_status draw_panel(frame *f)
{
    set_range(f);
    ENX_TRY(enx_buf_printf(f->out, "<text x=\"%.1f\" y=\"%.1f\" font-weight=\"bold\">", f->left,
                           f->top - 12));
    ENX_TRY(cli_svg_append(f->out, f->panel->title));
    ENX_TRY(enx_buf_append_text(f->out, "</text>\n"));
    ENX_TRY(draw_axes(f));
    ENX_TRY(draw_band(f, 0, 4, "#c6dbef"));
    ENX_TRY(draw_band(f, 1, 3, "#6baed6"));
    ENX_TRY(enx_buf_append_text(f->out, "<polyline fill=\"none\" stroke=\"#08306b\" "
                                        "stroke-width=\"2\" points=\""));
    ENX_TRY(draw_points(f, 2, false));
    return enx_buf_append_text(f->out, "\"/>\n");
}

enx_status cli_fan_svg(enx_buf *out, const char *title, const cli_panel *panels,
                       uint32_t panel_count, uint32_t year_count)
{
    const uint32_t rows = (panel_count + 1) / 2;
    ENX_TRY(enx_buf_printf(out,
                           "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
                           "font-family=\"sans-serif\" font-size=\"11\">\n"
                           "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
                           "<text x=\"16\" y=\"26\" font-size=\"16\">",
                           2 * PANEL_WIDTH, TOP + rows * PANEL_HEIGHT + 24));
    ENX_TRY(cli_svg_append(out, title));
    ENX_TRY(enx_buf_append_text(out, "</text>\n"));
    for (uint32_t i = 0; i < panel_count; i++) {
        frame f = { .out = out, .panel = &panels[i], .year_count = year_count };
        f.left = (i % 2) * PANEL_WIDTH + PLOT_LEFT;
        f.top = TOP + (i / 2) * PANEL_HEIGHT + PLOT_TOP;
        ENX_TRY(draw_panel(&f));
    }
    return enx_buf_printf(out,
                          "<text x=\"16\" y=\"%u\" fill=\"#555\">years from now; line: median; "
                          "dark: half of the draws; light: nine in ten</text>\n</svg>\n",
                          TOP + rows * PANEL_HEIGHT + 10);
}
