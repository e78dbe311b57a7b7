/* SPDX-License-Identifier: Apache-2.0 */
/* cli_plot.c - plots as SVG, without a script and without a style sheet. */
#include "cli/cli_plot.h"

#include "base/check.h"
#include "cli/cli_svg.h"
#include "plat/file.h"

#include <math.h>

enum {
    PANEL_WIDTH = 500,
    PANEL_HEIGHT = 370,
    TOP = 48, /* of the document: the title */
    PLOT_LEFT = 66,
    PLOT_TOP = 34,
    PLOT_WIDTH = 412,
    PLOT_HEIGHT = 270,
    TICKS_MAX = 12,
    LEGEND_ROW = 15,
};

typedef struct frame {
    enx_buf        *out;
    const cli_axes *axes;
    double          x_low, x_high, y_low, y_high; /* logarithms where axes are logarithmic */
    double          left, top;                    /* of the plot */
} frame;

void cli_axes_add(cli_axes *axes, cli_series series)
{
    ENX_CHECK(axes->series_count < CLI_PLOT_SERIES_MAX);
    axes->series[axes->series_count++] = series;
}

/* ---- Places --------------------------------------------------------------------------------- */

static double place(bool is_log, double value)
{
    if (!is_log) return value;
    return value > 0 ? log10(value) : NAN;
}

static double x_of(const frame *f, double x)
{
    return f->left + PLOT_WIDTH * (place(f->axes->is_log_x, x) - f->x_low) / (f->x_high - f->x_low);
}

static double y_of(const frame *f, double y)
{
    const double part = (place(f->axes->is_log_y, y) - f->y_low) / (f->y_high - f->y_low);
    return f->top + PLOT_HEIGHT * (1 - fmin(fmax(part, -0.5), 1.5));
}

static void widen(double *low, double *high, double value)
{
    if (!isfinite(value)) return;
    *low = fmin(*low, value);
    *high = fmax(*high, value);
}

static void set_range(frame *f)
{
    const cli_axes *a = f->axes;
    f->x_low = f->y_low = INFINITY;
    f->x_high = f->y_high = -INFINITY;
    for (uint32_t i = 0; i < a->series_count; i++)
        for (uint32_t k = 0; k < a->series[i].count; k++) {
            const cli_series *s = &a->series[i];
            widen(&f->x_low, &f->x_high, place(a->is_log_x, s->x[k]));
            widen(&f->y_low, &f->y_high, place(a->is_log_y, s->y[k]));
            if (s->y2) widen(&f->y_low, &f->y_high, place(a->is_log_y, s->y2[k]));
        }
    if (!(f->x_low <= f->x_high)) f->x_low = 0, f->x_high = 1;
    if (!(f->y_low <= f->y_high)) f->y_low = 0, f->y_high = 1;
    const double wide = f->x_high - f->x_low, tall = f->y_high - f->y_low;
    f->x_low -= wide > 0 ? 0.04 * wide : 0.5;
    f->x_high += wide > 0 ? 0.04 * wide : 0.5;
    f->y_low -= tall > 0 ? 0.05 * tall : 0.5;
    f->y_high += tall > 0 ? 0.08 * tall : 0.5;
    if (!a->has_range) return;
    f->y_low = place(a->is_log_y, a->y_low);
    f->y_high = place(a->is_log_y, a->y_high);
}

/* ---- Axes ----------------------------------------------------------------------------------- */

static enx_status append_number(const frame *f, bool is_log, double at)
{
    if (!is_log) return enx_buf_printf(f->out, "%g", at);
    if (fabs(at) <= 3 || at != floor(at)) return enx_buf_printf(f->out, "%.3g", pow(10, at));
    return enx_buf_printf(f->out, "10<tspan dy=\"-5\" font-size=\"8\">%g</tspan>", at);
}

/* Decades, or 1, 2, 5 steps; a logarithmic axis of less than a decade and a half gets the latter,
 * too. */
static double tick_step(bool is_log, double span)
{
    if (!is_log) return cli_svg_step(span);
    return span < 1.5 ? cli_svg_step(span) : fmax(1, floor(span / 5));
}

static enx_status draw_axis(const frame *f, bool is_x)
{
    const bool   is_log = is_x ? f->axes->is_log_x : f->axes->is_log_y;
    const double low = is_x ? f->x_low : f->y_low, high = is_x ? f->x_high : f->y_high;
    const double step = tick_step(is_log, high - low);
    for (int i = 0; i < TICKS_MAX; i++) {
        double       at = (ceil(low / step) + i) * step;
        const double part = (at - low) / (high - low);
        const double x = f->left + PLOT_WIDTH * part, y = f->top + PLOT_HEIGHT * (1 - part);
        if (at > high) break;
        if (fabs(at) < step / 2) at = 0;
        if (is_x)
            ENX_TRY(enx_buf_printf(f->out,
                                   "<path d=\"M%.1f %.1fv%d\" stroke=\"#e4e4e4\"/>\n"
                                   "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                                   x, f->top, PLOT_HEIGHT, x, f->top + PLOT_HEIGHT + 16));
        else
            ENX_TRY(enx_buf_printf(f->out,
                                   "<path d=\"M%.1f %.1fh%d\" stroke=\"#e4e4e4\"/>\n"
                                   "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
                                   f->left, y, PLOT_WIDTH, f->left - 6, y + 4));
        ENX_TRY(append_number(f, is_log, at));
        ENX_TRY(enx_buf_append_text(f->out, "</text>\n"));
    }
    return ENX_OK;
}

static enx_status draw_labels(const frame *f)
{
    const cli_axes *a = f->axes;
    ENX_TRY(enx_buf_printf(f->out, "<text x=\"%.1f\" y=\"%.1f\" font-weight=\"bold\">", f->left,
                           f->top - 12));
    ENX_TRY(cli_svg_escape(f->out, a->title));
    ENX_TRY(enx_buf_printf(f->out, "</text>\n<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                           f->left + PLOT_WIDTH / 2, f->top + PLOT_HEIGHT + 34));
    ENX_TRY(cli_svg_escape(f->out, a->x_label));
    ENX_TRY(enx_buf_printf(f->out,
                           "</text>\n<text text-anchor=\"middle\" transform=\"translate(%.1f %.1f) "
                           "rotate(-90)\">",
                           f->left - 50, f->top + PLOT_HEIGHT / 2));
    ENX_TRY(cli_svg_escape(f->out, a->y_label));
    return enx_buf_append_text(f->out, "</text>\n");
}

/* ---- Series --------------------------------------------------------------------------------- */

static bool is_drawn(const frame *f, const cli_series *s, uint32_t i)
{
    return isfinite(place(f->axes->is_log_x, s->x[i])) &&
           isfinite(place(f->axes->is_log_y, s->y[i])) &&
           (!s->y2 || isfinite(place(f->axes->is_log_y, s->y2[i])));
}

static enx_status append_place(const frame *f, double x, double y)
{
    return enx_buf_printf(f->out, "%.1f,%.1f ", x_of(f, x), y_of(f, y));
}

static enx_status draw_points(const frame *f, const cli_series *s)
{
    const bool is_ring = s->mark == CLI_MARK_RINGS;
    for (uint32_t i = 0; i < s->count; i++)
        if (is_drawn(f, s, i))
            ENX_TRY(enx_buf_printf(f->out,
                                   "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\" "
                                   "stroke=\"%s\" stroke-width=\"%s\" fill-opacity=\"0.75\"/>\n",
                                   x_of(f, s->x[i]), y_of(f, s->y[i]), is_ring ? "4" : "2.6",
                                   is_ring ? "#fff" : s->colour, s->colour,
                                   is_ring ? "1.6" : "0.4"));
    return ENX_OK;
}

static enx_status draw_line(const frame *f, const cli_series *s)
{
    ENX_TRY(enx_buf_printf(
        f->out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\"%s points=\"", s->colour,
        s->mark == CLI_MARK_DASHES ? " stroke-dasharray=\"5 4\"" : ""));
    for (uint32_t i = 0; i < s->count; i++)
        if (is_drawn(f, s, i)) ENX_TRY(append_place(f, s->x[i], s->y[i]));
    return enx_buf_append_text(f->out, "\"/>\n");
}

static enx_status draw_band(const frame *f, const cli_series *s)
{
    ENX_TRY(enx_buf_printf(f->out, "<polygon fill=\"%s\" points=\"", s->colour));
    for (uint32_t i = 0; i < s->count; i++)
        if (is_drawn(f, s, i)) ENX_TRY(append_place(f, s->x[i], s->y[i]));
    for (uint32_t i = s->count; i-- > 0;)
        if (is_drawn(f, s, i)) ENX_TRY(append_place(f, s->x[i], s->y2[i]));
    return enx_buf_append_text(f->out, "\"/>\n");
}

static enx_status draw_stakes(const frame *f, const cli_series *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (!is_drawn(f, s, i)) continue;
        const double x = x_of(f, s->x[i]), low = y_of(f, s->y[i]), high = y_of(f, s->y2[i]);
        ENX_TRY(enx_buf_printf(f->out,
                               "<path d=\"M%.1f %.1fV%.1fm-4 0h8M%.1f %.1fh8\" stroke=\"%s\" "
                               "fill=\"none\" stroke-width=\"1.4\"/>\n",
                               x, low, high, x - 4, low, s->colour));
    }
    return ENX_OK;
}

static enx_status draw_series(const frame *f, const cli_series *s)
{
    switch (s->mark) {
    case CLI_MARK_BAND:
        return draw_band(f, s);
    case CLI_MARK_STAKE:
        return draw_stakes(f, s);
    case CLI_MARK_LINE:
    case CLI_MARK_DASHES:
        return draw_line(f, s);
    default:
        return draw_points(f, s);
    }
}

static enx_status draw_legend(const frame *f)
{
    const bool is_left = f->axes->is_legend_left;
    uint32_t   row = 0;
    for (uint32_t i = 0; i < f->axes->series_count; i++) {
        const cli_series *s = &f->axes->series[i];
        const bool        is_band = s->mark == CLI_MARK_BAND;
        const double      x = f->left + (is_left ? 8 : PLOT_WIDTH - 20);
        const double      y = f->top + 14 + LEGEND_ROW * row;
        if (!s->label) continue;
        row++;
        ENX_TRY(enx_buf_printf(f->out,
                               "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"%d\" rx=\"2\" "
                               "fill=\"%s\"/>\n<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
                               x, y - (is_band ? 8 : 5), is_band ? 9 : 4, s->colour,
                               x + (is_left ? 18 : -6), y, is_left ? "start" : "end"));
        ENX_TRY(cli_svg_escape(f->out, s->label));
        ENX_TRY(enx_buf_append_text(f->out, "</text>\n"));
    }
    return ENX_OK;
}

static enx_status draw_panel(frame *f, uint32_t index)
{
    set_range(f);
    ENX_TRY(draw_labels(f));
    ENX_TRY(draw_axis(f, true));
    ENX_TRY(draw_axis(f, false));
    ENX_TRY(enx_buf_printf(f->out,
                           "<clipPath id=\"p%u\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" "
                           "height=\"%d\"/></clipPath>\n<g clip-path=\"url(#p%u)\">\n",
                           index, f->left, f->top, PLOT_WIDTH, PLOT_HEIGHT, index));
    for (uint32_t i = 0; i < f->axes->series_count; i++)
        ENX_TRY(draw_series(f, &f->axes->series[i]));
    ENX_TRY(enx_buf_printf(f->out,
                           "</g>\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" "
                           "fill=\"none\" stroke=\"#999\"/>\n",
                           f->left, f->top, PLOT_WIDTH, PLOT_HEIGHT));
    return draw_legend(f);
}

enx_status cli_plot_svg(enx_buf *out, const char *title, const cli_axes *axes, uint32_t axes_count)
{
    const uint32_t columns = axes_count > 1 ? 2 : 1, rows = (axes_count + columns - 1) / columns;
    ENX_TRY(enx_buf_printf(out,
                           "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
                           "viewBox=\"0 0 %u %u\" font-family=\"sans-serif\" font-size=\"11\">\n"
                           "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
                           "<text x=\"16\" y=\"26\" font-size=\"15\">",
                           columns * PANEL_WIDTH, TOP + rows * PANEL_HEIGHT, columns * PANEL_WIDTH,
                           TOP + rows * PANEL_HEIGHT));
    ENX_TRY(cli_svg_escape(out, title));
    ENX_TRY(enx_buf_append_text(out, "</text>\n"));
    for (uint32_t i = 0; i < axes_count; i++) {
        frame f = { .out = out, .axes = &axes[i] };
        f.left = (i % columns) * PANEL_WIDTH + PLOT_LEFT;
        f.top = TOP + (i / columns) * PANEL_HEIGHT + PLOT_TOP;
        ENX_TRY(draw_panel(&f, i));
    }
    return enx_buf_append_text(out, "</svg>\n");
}

enx_status cli_plot_write(const char *path, const char *title, const cli_axes *axes,
                          uint32_t axes_count, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, CLI_PLOT_BYTES_MAX);
    enx_status status = cli_plot_svg(&text, title, axes, axes_count);
    if (status != ENX_OK)
        status = enx_report_set(report, status, __FILE__, __LINE__, "%s: no memory for it", path);
    if (status == ENX_OK) status = enx_file_write(path, text.data, text.size_bytes, report);
    enx_buf_deinit(&text);
    return status;
}
