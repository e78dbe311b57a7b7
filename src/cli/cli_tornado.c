/* SPDX-License-Identifier: Apache-2.0 */
/* cli_tornado.c - what decides an outcome, as bars to both sides of it. */
#include "cli/cli_fan.h"

#include <math.h>

enum {
    MARGIN = 18,
    NAMES_WIDTH = 116,
    COLUMN_WIDTH = 244,
    COLUMN_GAP = 40,
    ROW_HEIGHT = 30,
    BAR_HEIGHT = 16,
    KEYS_HEIGHT = 26,
    HEAD_HEIGHT = 42,
    AXIS_HEIGHT = 34,
    TICKS_MAX = 12,
};

typedef struct column {
    enx_buf           *out;
    const cli_tornado *t;
    uint32_t           index;
    double             left, top, low, high;
} column;

static double x_of(const column *c, double value)
{
    return c->left + COLUMN_WIDTH * (value - c->low) / (c->high - c->low);
}

/* All bars, with room beside the longest. */
static void set_range(column *c)
{
    c->low = c->high = c->t->base[c->index];
    for (uint32_t row = 0; row < c->t->row_count; row++) {
        c->low = fmin(c->low, fmin(c->t->less[row][c->index], c->t->more[row][c->index]));
        c->high = fmax(c->high, fmax(c->t->less[row][c->index], c->t->more[row][c->index]));
    }
    const double room = 0.06 * (c->high - c->low);
    c->low -= room;
    c->high += room;
    if (!(c->high > c->low)) c->high = c->low + 1;
}

static enx_status draw_grid(const column *c)
{
    const double step = cli_svg_step(c->high - c->low), height = c->t->row_count * ROW_HEIGHT;
    for (int i = 0; i < TICKS_MAX; i++) {
        const double value = (ceil(c->low / step) + i) * step;
        if (value > c->high) break;
        ENX_TRY(enx_buf_printf(c->out, "<path class=\"grid\" d=\"M%.1f %.1fv%.1f\"/>\n",
                               x_of(c, value), c->top, height + 4));
        ENX_TRY(cli_svg_number(c->out, "faint", CLI_ANCHOR_MIDDLE, x_of(c, value),
                               c->top + height + 18, fabs(value) < step / 2 ? 0 : value));
    }
    return ENX_OK;
}

static enx_status draw_bar(const column *c, uint32_t row, double value, const char *style)
{
    const double from = x_of(c, c->t->base[c->index]), to = x_of(c, value);
    if (isnan(value)) return ENX_OK;
    return enx_buf_printf(
        c->out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>\n", style,
        fmin(from, to), c->top + row * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2.0,
        fabs(to - from), BAR_HEIGHT);
}

/* Where both turns go one way, the shorter bar lies on the longer. */
static enx_status draw_pair(const column *c, uint32_t row)
{
    const double less = c->t->less[row][c->index], more = c->t->more[row][c->index];
    const double base = c->t->base[c->index];
    const bool   is_less_longer = fabs(less - base) > fabs(more - base);
    ENX_TRY(draw_bar(c, row, is_less_longer ? less : more, is_less_longer ? "less" : "more"));
    return draw_bar(c, row, is_less_longer ? more : less, is_less_longer ? "more" : "less");
}

static enx_status draw_column(column *c)
{
    const double base = c->t->base[c->index];
    set_range(c);
    ENX_TRY(cli_svg_text(c->out, "head", CLI_ANCHOR_START, c->left, c->top - 24,
                         c->t->columns[c->index]));
    ENX_TRY(draw_grid(c));
    for (uint32_t row = 0; row < c->t->row_count; row++) ENX_TRY(draw_pair(c, row));
    ENX_TRY(enx_buf_printf(c->out, "<path class=\"axis\" d=\"M%.1f %.1fv%d\"/>\n", x_of(c, base),
                           c->top - 2, (int)c->t->row_count * ROW_HEIGHT + 4));
    return cli_svg_number(c->out, "faint", CLI_ANCHOR_MIDDLE, x_of(c, base), c->top - 5, base);
}

enx_status cli_tornado_svg(enx_buf *out, const char *title, const char *subtitle,
                           const cli_tornado *t)
{
    const double top = CLI_SVG_TOP + KEYS_HEIGHT + HEAD_HEIGHT;
    const int    width =
        2 * MARGIN + NAMES_WIDTH + (int)t->column_count * (COLUMN_WIDTH + COLUMN_GAP) - COLUMN_GAP;
    ENX_TRY(cli_svg_open(out, width, (int)top + (int)t->row_count * ROW_HEIGHT + AXIS_HEIGHT, title,
                         subtitle));
    ENX_TRY(cli_svg_key(out, "less", MARGIN, CLI_SVG_TOP + 10, t->less_name));
    ENX_TRY(cli_svg_key(out, "more", MARGIN + 130, CLI_SVG_TOP + 10, t->more_name));
    for (uint32_t row = 0; row < t->row_count; row++)
        ENX_TRY(cli_svg_text(out, "plain", CLI_ANCHOR_END, MARGIN + NAMES_WIDTH - 12,
                             top + row * ROW_HEIGHT + ROW_HEIGHT / 2.0 + 4, t->rows[row]));
    for (uint32_t i = 0; i < t->column_count; i++) {
        column c = { .out = out, .t = t, .index = i, .top = top };
        c.left = MARGIN + NAMES_WIDTH + (double)i * (COLUMN_WIDTH + COLUMN_GAP);
        ENX_TRY(draw_column(&c));
    }
    return cli_svg_close(out);
}
