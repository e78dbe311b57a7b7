/* SPDX-License-Identifier: Apache-2.0 */
/* panels.c - rows of blocks into panels and back.  What a unit is depends on the kind of block
 * alone, so one table serves both ways. */
#include "kernels/panels.h"

#include "kernels/kernels_impl.h"

#include <string.h>

enum { RUNS_MAX = 2 };

/* A block: a run of units of one size, then one of another, or nothing. */
static const struct panel_layout {
    size_t block_bytes;
    struct {
        size_t unit_bytes, count;
    } runs[RUNS_MAX];
} layouts[ENX_QUANT_COUNT] = {
    [ENX_QUANT_Q4_0] = { sizeof(enx_block_q4_0), { { 2, 1 }, { 4, 4 } } },
    [ENX_QUANT_Q4_1] = { sizeof(enx_block_q4_1), { { 2, 2 }, { 4, 4 } } },
    [ENX_QUANT_Q5_0] = { sizeof(enx_block_q5_0), { { 2, 1 }, { 4, 5 } } },
    [ENX_QUANT_Q5_1] = { sizeof(enx_block_q5_1), { { 2, 2 }, { 4, 5 } } },
    [ENX_QUANT_Q8_0] = { sizeof(enx_block_q8_0), { { 2, 1 }, { 4, 8 } } },
    [ENX_QUANT_Q2_K] = { sizeof(enx_block_q2_k), { { 4, 20 }, { 2, 2 } } },
    [ENX_QUANT_Q3_K] = { sizeof(enx_block_q3_k), { { 4, 27 }, { 2, 1 } } },
    [ENX_QUANT_Q4_K] = { sizeof(enx_block_q4_k), { { 2, 2 }, { 4, 35 } } },
    [ENX_QUANT_Q5_K] = { sizeof(enx_block_q5_k), { { 2, 2 }, { 4, 43 } } },
    [ENX_QUANT_Q6_K] = { sizeof(enx_block_q6_k), { { 4, 52 }, { 2, 1 } } },
    [ENX_QUANT_IQ4_NL] = { sizeof(enx_block_iq4_nl), { { 2, 1 }, { 4, 4 } } },
    [ENX_QUANT_IQ4_XS] = { sizeof(enx_block_iq4_xs), { { 2, 2 }, { 4, 33 } } },
    [ENX_QUANT_MXFP4] = { sizeof(enx_block_mxfp4), { { 1, 1 }, { 4, 4 } } },
};

static size_t block_count(enx_quant quant, size_t col_count)
{
    return col_count / (enx_quant_is_large(quant) ? ENX_K_BLOCK : ENX_SMALL_BLOCK);
}

size_t enx_panels_bytes(enx_quant quant, size_t row_count, size_t col_count)
{
    const size_t panels = (row_count + ENX_PANEL_ROWS - 1) / ENX_PANEL_ROWS;
    return panels * ENX_PANEL_ROWS * block_count(quant, col_count) * layouts[quant].block_bytes;
}

/* Units of sixteen blocks; unit_bytes is a constant wherever this is called. */
ENX_INLINE uint8_t *put_units(uint8_t *out, const uint8_t *const rows[ENX_PANEL_ROWS], size_t at,
                              size_t count, size_t unit_bytes)
{
    for (size_t i = 0; i < count; i++, at += unit_bytes)
        for (size_t r = 0; r < ENX_PANEL_ROWS; r++, out += unit_bytes)
            memcpy(out, rows[r] + at, unit_bytes);
    return out;
}

static uint8_t *put_block(uint8_t *out, const struct panel_layout *layout,
                          const uint8_t *const rows[ENX_PANEL_ROWS], size_t at)
{
    for (size_t i = 0; i < RUNS_MAX; i++) {
        const size_t unit_bytes = layout->runs[i].unit_bytes, count = layout->runs[i].count;
        if (unit_bytes == 4) out = put_units(out, rows, at, count, 4);
        else if (unit_bytes == 2) out = put_units(out, rows, at, count, 2);
        else out = put_units(out, rows, at, count, 1);
        at += count * unit_bytes;
    }
    return out;
}

void enx_panels_from_rows(void *out, enx_quant quant, const void *rows, size_t row_count,
                          size_t col_count)
{
    static const uint8_t       zeros[ENX_QUANT_BYTES_MAX];
    const struct panel_layout *layout = &layouts[quant];
    const size_t               blocks = block_count(quant, col_count);
    uint8_t                   *at = out;
    for (size_t first = 0; first < row_count; first += ENX_PANEL_ROWS)
        for (size_t b = 0; b < blocks; b++) {
            const uint8_t *sources[ENX_PANEL_ROWS];
            for (size_t r = 0; r < ENX_PANEL_ROWS; r++)
                sources[r] =
                    first + r < row_count
                        ? (const uint8_t *)rows + ((first + r) * blocks + b) * layout->block_bytes
                        : zeros;
            at = put_block(at, layout, sources, 0);
        }
}

void enx_panels_block(void *out, enx_quant quant, const void *panels, size_t col_count, size_t row,
                      size_t block)
{
    const struct panel_layout *layout = &layouts[quant];
    const size_t               panel = row / ENX_PANEL_ROWS * block_count(quant, col_count) + block;
    const uint8_t *from = (const uint8_t *)panels + panel * ENX_PANEL_ROWS * layout->block_bytes;
    uint8_t       *to = out;
    for (size_t i = 0; i < RUNS_MAX; i++) {
        const size_t unit_bytes = layout->runs[i].unit_bytes;
        for (size_t k = 0; k < layout->runs[i].count; k++, to += unit_bytes) {
            memcpy(to, from + row % ENX_PANEL_ROWS * unit_bytes, unit_bytes);
            from += ENX_PANEL_ROWS * unit_bytes;
        }
    }
}
