/* SPDX-License-Identifier: Apache-2.0 */
/* matrix_avx2.c - products of large f32 matrices at level avx2.
 *
 * A tile of c, TILE_ROWS x PANEL, lives in twelve of the sixteen registers.  For each k it takes
 * two loads of the panel and six broadcasts of a for twelve multiply-adds, which keeps both of
 * the processor's units busy and leaves the loads slack.
 */
#include "kernels/matrix.h"

#include <string.h>

enum {
    STRIP = 8,
    PANEL = ENX_MATRIX_PANEL,
    TILE_ROWS = 6,
    DEPTH = ENX_MATRIX_DEPTH,
    ROW_STEP = DEPTH + 16,
};
typedef float strip __attribute__((vector_size(4 * STRIP)));

const enx_matrix_kernels *enx_matrix_kernels_avx2(void);

static inline strip load_strip(const float *p)
{
    strip v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store_strip(float *p, strip v) { memcpy(p, &v, sizeof v); }

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- Packing -------------------------------------------------------------------------------- */

/* panel [depth][PANEL] of rows of b. */
static void pack_panel(float *panel, const float *b, size_t b_stride, size_t depth)
{
    for (size_t i = 0; i < depth; i++, b += b_stride, panel += PANEL) {
        store_strip(panel, load_strip(b));
        store_strip(panel + STRIP, load_strip(b + STRIP));
    }
}

/* The same of columns of b: PANEL rows are read side by side. */
static void pack_turned_panel(float *panel, const float *b, size_t b_stride, size_t depth)
{
    for (size_t i = 0; i < depth; i++, panel += PANEL)
        for (size_t half = 0; half < PANEL; half += STRIP) {
            strip row;
            for (size_t j = 0; j < STRIP; j++) row[j] = b[(half + j) * b_stride + i];
            store_strip(panel + half, row);
        }
}

static void pack(float *packed, const float *b, size_t k, size_t n, bool b_turned)
{
    for (size_t first = 0; first < k; first += DEPTH) {
        const size_t depth = smaller(k - first, DEPTH);
        for (size_t column = 0; column < n; column += PANEL, packed += depth * PANEL)
            if (b_turned) pack_turned_panel(packed, b + column * k + first, k, depth);
            else pack_panel(packed, b + first * n + column, n, depth);
    }
}

/* Rows of a, ROW_STEP apart: as they lie, those of a power of two would share lines of the cache.
 */
static void copy_left(float *out, const float *a, size_t a_stride, size_t rows, size_t depth)
{
    for (size_t row = 0; row < rows; row++)
        memcpy(out + row * ROW_STEP, a + row * a_stride, depth * sizeof *out);
}

/* Tiles [depth][TILE_ROWS] of a turned a.  A store of eight writes over the next place, which comes
 * after it; the last rows are written one by one. */
static void pack_left(float *tiles, const float *a, size_t a_stride, size_t rows, size_t depth)
{
    for (size_t i = 0; i < depth; i++, a += a_stride) {
        size_t row = 0;
        for (; row + STRIP <= rows && i + 1 < depth; row += TILE_ROWS)
            store_strip(tiles + row * depth + i * TILE_ROWS, load_strip(a + row));
        for (; row < rows; row++)
            tiles[row / TILE_ROWS * TILE_ROWS * depth + i * TILE_ROWS + row % TILE_ROWS] = a[row];
    }
}

/* ---- Tiles ---------------------------------------------------------------------------------- */

/* Where a tile of a stands: a(row, k) = at[row * row_step + k * k_step]. */
typedef struct left_tile {
    const float *at;
    size_t       row_step, k_step;
} left_tile;

/* `rows` is a constant wherever this is called. */
static inline __attribute__((always_inline)) void multiply_tile(float *c, size_t c_stride,
                                                                left_tile a, const float *panel,
                                                                size_t depth, size_t rows,
                                                                bool is_added)
{
    strip sum[TILE_ROWS][2] = { { { 0 } } };
    for (size_t r = 0; r < rows; r++) __builtin_prefetch(c + r * c_stride, 1);
    for (size_t k = 0; k < depth; k++) {
        const strip b0 = load_strip(panel + k * PANEL), b1 = load_strip(panel + k * PANEL + STRIP);
        for (size_t r = 0; r < rows; r++) {
            const float x = a.at[r * a.row_step + k * a.k_step];
            sum[r][0] += x * b0;
            sum[r][1] += x * b1;
        }
    }
    for (size_t r = 0; r < rows; r++, c += c_stride) {
        if (is_added) {
            sum[r][0] += load_strip(c);
            sum[r][1] += load_strip(c + STRIP);
        }
        store_strip(c, sum[r][0]);
        store_strip(c + STRIP, sum[r][1]);
    }
}

/* One panel and all rows of a block of a; its next tile is tile_step floats on. */
static inline __attribute__((always_inline)) void multiply_panel(float *c, size_t c_stride,
                                                                 left_tile a, size_t tile_step,
                                                                 const float *panel, size_t rows,
                                                                 size_t depth, bool is_added)
{
    size_t row = 0;
    for (; row + TILE_ROWS <= rows; row += TILE_ROWS, a.at += tile_step)
        multiply_tile(c + row * c_stride, c_stride, a, panel, depth, TILE_ROWS, is_added);
    for (; row < rows; row += 2, a.at += 2 * a.row_step)
        multiply_tile(c + row * c_stride, c_stride, a, panel, depth, 2, is_added);
}

static void multiply_block(float *c, const float *a, const float *packed,
                           const enx_matrix_product *p, size_t depth, bool is_added, float *scratch)
{
    const left_tile plain = { scratch, ROW_STEP, 1 }, turned = { scratch, 1, TILE_ROWS };
    for (size_t first = 0; first < p->m; first += ENX_MATRIX_ROWS) {
        const size_t rows = smaller(p->m - first, ENX_MATRIX_ROWS);
        float       *rows_c = c + first * p->n;
        if (p->a_turned) pack_left(scratch, a + first, p->a_stride, rows, depth);
        else copy_left(scratch, a + first * p->a_stride, p->a_stride, rows, depth);
        for (size_t column = 0; column < p->n; column += PANEL) {
            const float *panel = packed + column * depth;
            if (p->a_turned)
                multiply_panel(rows_c + column, p->n, turned, TILE_ROWS * depth, panel, rows, depth,
                               is_added);
            else
                multiply_panel(rows_c + column, p->n, plain, TILE_ROWS * ROW_STEP, panel, rows,
                               depth, is_added);
        }
    }
}

static void multiply(float *c, const float *a, const float *packed, const enx_matrix_product *p,
                     float *scratch)
{
    for (size_t first = 0; first < p->k; first += DEPTH) {
        const size_t depth = smaller(p->k - first, DEPTH);
        multiply_block(c, a + first * (p->a_turned ? p->a_stride : 1), packed + first * p->n, p,
                       depth, p->is_added || first > 0, scratch);
    }
}

const enx_matrix_kernels *enx_matrix_kernels_avx2(void)
{
    static const enx_matrix_kernels kernels = { "avx2", pack, multiply };
    return &kernels;
}
