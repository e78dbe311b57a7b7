/* SPDX-License-Identifier: Apache-2.0 */
/* dense_body.h - products with float weights; included once by each level's file that has vectors,
 * which defines before:
 *
 *   dense_vec, DENSE_LANES            as many numbers as a register holds
 *   dense_zero(), dense_fma(a, b, c)  all lanes 0; a * b + c
 *   dense_f32(at, n)                  at most DENSE_LANES of n numbers, zeros behind them
 *   dense_f16(at, n), dense_bf16(at, n)  the same, made f32
 *   dense_store(at, v)
 *   dense_sum_4(out, sums)            four sums across lanes, each in the same order
 *   dense_fetch(at)                   have the line at an address brought near
 *
 * Rows of x are packed first, as the tiles read them.  Few of them meet the weights where these
 * lie. For many, DENSE_NEAR rows of weights at a time are made f32 in the nearest cache.
 *
 * (1) Columns are cut into stretches whose width depends on their number alone.  In a stretch an
 *     output has a sum in each lane, of columns DENSE_LANES apart in rising order; these are added
 *     across lanes, and stretches in rising order.  What else is in a tile changes nothing.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_DENSE_BODY_H
#define ENX_KERNELS_DENSE_BODY_H

#include "kernels/kernels_impl.h"

#include <stdalign.h>
#include <stdbool.h>
#include <string.h>

enum {
    DENSE_ROWS = 4, /* a tile's: with DENSE_GROUP rows of x, twelve sums live in registers */
    DENSE_GROUP = 3,
    DENSE_STRETCH_MAX = 640,
    DENSE_NEAR = 8,
    DENSE_CHUNK = 48, /* rows of x at a time: a stretch of them stays in the second cache */
    DENSE_FEW = 16,   /* rows of x that do not make up for opening weights */
    DENSE_X_MAX = DENSE_CHUNK * DENSE_STRETCH_MAX,
    DENSE_LINE = 64,
};

typedef dense_vec (*dense_load_fn)(const void *at, size_t n);

/* How weights of a type are read. */
typedef struct dense_kind {
    dense_load_fn load;
    size_t        size; /* bytes of a number */
} dense_kind;

/* A number stands at `at` + row * row_step + column * column_step. */
typedef struct dense_weights {
    const char *at;
    size_t      row_step, column_step;
} dense_weights;

typedef struct dense_outputs {
    float *at;
    size_t stride;
    bool   is_added; /* to what is there */
} dense_outputs;

ENX_INLINE size_t dense_smaller(size_t a, size_t b) { return a < b ? a : b; }

ENX_INLINE size_t dense_whole(size_t columns)
{
    return (columns + DENSE_LANES - 1) / DENSE_LANES * DENSE_LANES;
}

ENX_INLINE size_t dense_stretch(size_t column_count)
{
    const size_t parts = (column_count + DENSE_STRETCH_MAX - 1) / DENSE_STRETCH_MAX;
    return dense_whole((column_count + parts - 1) / parts);
}

/* The rows of x that meet at once where `left` are left: two and two rather than three and a single
 * one, whose sums would wait for each other. */
ENX_INLINE size_t dense_group(size_t left)
{
    return left == DENSE_GROUP + 1 ? DENSE_GROUP - 1 : dense_smaller(left, DENSE_GROUP);
}

/* ---- tiles ------------------------------------------------------------- */

typedef dense_vec dense_sums[DENSE_GROUP][DENSE_ROWS];

/* The next DENSE_LANES columns; the rows of x lie side by side. */
ENX_INLINE void dense_step(dense_sums sum, dense_load_fn load, dense_weights w, size_t column,
                           size_t left, const float *x, const size_t group)
{
    dense_vec act[DENSE_GROUP];
    ENX_UNROLL
    for (size_t j = 0; j < group; j++) act[j] = dense_f32(x + j * DENSE_LANES, DENSE_LANES);
    ENX_UNROLL
    for (size_t r = 0; r < DENSE_ROWS; r++) {
        const dense_vec row = load(w.at + r * w.row_step + column * w.column_step, left);
        ENX_UNROLL
        for (size_t j = 0; j < group; j++) sum[j][r] = dense_fma(row, act[j], sum[j][r]);
    }
}

/* The first `rows` of DENSE_ROWS outputs for each row of x. */
ENX_INLINE void dense_put(dense_outputs out, dense_sums sum, size_t rows, const size_t group)
{
    ENX_UNROLL
    for (size_t j = 0; j < group; j++, out.at += out.stride) {
        float part[DENSE_ROWS];
        dense_sum_4(part, sum[j]);
        for (size_t r = 0; r < rows && out.is_added; r++) part[r] += out.at[r];
        if (rows == DENSE_ROWS) memcpy(out.at, part, sizeof part);
        else memcpy(out.at, part, rows * sizeof *part);
    }
}

/* DENSE_ROWS rows of weights by a group of x, and the outputs of the first `rows`.  `ahead` is what
 * will be read next, `ahead_step` bytes of it for each step of this tile. */
ENX_INLINE void dense_tile(dense_outputs out, dense_load_fn load, dense_weights w, size_t rows,
                           const float *x, size_t columns, const size_t group, const char *ahead,
                           size_t ahead_step)
{
    dense_sums sum;
    size_t     c = 0;
    for (size_t j = 0; j < group; j++) {
        __builtin_prefetch(out.at + j * out.stride, 1);
        for (size_t r = 0; r < DENSE_ROWS; r++) sum[j][r] = dense_zero();
    }
    for (; c + DENSE_LANES <= columns; c += DENSE_LANES, x += group * DENSE_LANES) {
        for (size_t i = 0; i < ahead_step; i += DENSE_LINE) dense_fetch(ahead + i);
        ahead += ahead_step;
        dense_step(sum, load, w, c, DENSE_LANES, x, group);
    }
    if (c < columns) dense_step(sum, load, w, c, columns - c, x, group);
    dense_put(out, sum, rows, group);
}

/* The same for a group of any size. */
ENX_INLINE void dense_meet(dense_outputs out, dense_load_fn load, dense_weights w, size_t rows,
                           const float *x, size_t columns, size_t group, const char *ahead,
                           size_t ahead_step)
{
    if (group == 3) dense_tile(out, load, w, rows, x, columns, 3, ahead, ahead_step);
    else if (group == 2) dense_tile(out, load, w, rows, x, columns, 2, ahead, ahead_step);
    else dense_tile(out, load, w, rows, x, columns, 1, ahead, ahead_step);
}

/* ---- copies ------------------------------------------------------------ */

/* Several rows side by side, DENSE_LANES numbers of each, with zeros behind the last column. */
ENX_INLINE void dense_weave(float *out, dense_load_fn load, size_t size, const char *const *rows,
                            size_t columns, size_t count)
{
    for (size_t r = 0; r < count; r++)
        for (size_t c = 0; c < columns; c += DENSE_LANES)
            dense_store(out + c * count + r * DENSE_LANES, load(rows[r] + c * size, columns - c));
}

/* A stretch of columns of rows of x, a group behind the other. */
ENX_INLINE void dense_pack(float *out, const float *x, size_t x_stride, size_t columns,
                           size_t batch_count)
{
    for (size_t j = 0, group; j < batch_count; j += group) {
        const char *rows[DENSE_GROUP];
        group = dense_group(batch_count - j);
        for (size_t i = 0; i < group; i++) rows[i] = (const char *)(x + (j + i) * x_stride);
        dense_weave(out + j * dense_whole(columns), dense_f32, sizeof *x, rows, columns, group);
    }
}

/* ---- few rows of x ----------------------------------------------------- */

/* DENSE_ROWS rows of weights where they lie, and all rows of x; meanwhile `ahead` is fetched. */
ENX_INLINE void dense_few_rows(dense_outputs out, dense_kind kind, dense_weights w, size_t rows,
                               const float *x, size_t columns, size_t batch_count,
                               const char *ahead)
{
    const size_t step = DENSE_ROWS * DENSE_LANES * kind.size;
    for (size_t j = 0, group; j < batch_count; j += group) {
        const dense_outputs to = { out.at + j * out.stride, out.stride, out.is_added };
        const float        *act = x + j * dense_whole(columns);
        group = dense_group(batch_count - j);
        if (j == 0) dense_meet(to, kind.load, w, rows, act, columns, group, ahead, step);
        else dense_meet(to, kind.load, w, rows, act, columns, group, NULL, 0);
    }
}

/* Rows that are no DENSE_ROWS go one by one, each in the place of all of a tile. */
ENX_INLINE void dense_few(float *out, dense_kind kind, const char *w, const float *x,
                          const enx_matmul_shape *s)
{
    const size_t n = s->col_count, stretch = dense_stretch(n), row_bytes = n * kind.size;
    alignas(DENSE_LINE) float packed[DENSE_X_MAX];
    for (size_t c = 0; c < n; c += stretch)
        dense_pack(packed + c * s->batch_count, x + c, n, dense_smaller(stretch, n - c),
                   s->batch_count);
    for (size_t r = 0, rows; r < s->row_count; r += rows, w += rows * row_bytes) {
        const size_t left = s->row_count - r;
        rows = left < DENSE_ROWS ? 1 : DENSE_ROWS;
        const char *ahead = left >= 2 * DENSE_ROWS ? w + DENSE_ROWS * row_bytes : w;
        for (size_t c = 0; c < n; c += stretch) {
            const dense_outputs to = { out + r, s->out_stride, c > 0 };
            const dense_weights at = { w + c * kind.size, rows == 1 ? 0 : row_bytes, kind.size };
            dense_few_rows(to, kind, at, rows, packed + c * s->batch_count,
                           dense_smaller(stretch, n - c), s->batch_count,
                           ahead + c * kind.size * rows);
        }
    }
}

/* ---- many -------------------------------------------------------------- */

typedef struct dense_buffer {
    alignas(DENSE_LINE) float x[DENSE_X_MAX];
    alignas(DENSE_LINE) float w[DENSE_NEAR * DENSE_STRETCH_MAX];
} dense_buffer;

/* DENSE_NEAR rows, DENSE_ROWS side by side; in place of missing ones the last one. */
ENX_INLINE void dense_open(float *out, dense_kind kind, const char *w, size_t row_bytes,
                           size_t rows, size_t columns)
{
    for (size_t r = 0; r < rows; r += DENSE_ROWS, out += DENSE_ROWS * dense_whole(columns)) {
        const char *at[DENSE_ROWS];
        for (size_t i = 0; i < DENSE_ROWS; i++)
            at[i] = w + dense_smaller(r + i, rows - 1) * row_bytes;
        dense_weave(out, kind.load, kind.size, at, columns, DENSE_ROWS);
    }
}

/* DENSE_NEAR rows of weights, open, and all rows of x.  Beside each group some of the `ahead` rows
 * that are opened next are fetched. */
ENX_INLINE void dense_meet_all(dense_outputs out, const dense_buffer *buffer, size_t rows,
                               size_t whole, size_t batch_count, dense_weights ahead)
{
    const size_t stretch_bytes = whole * ahead.column_step;
    size_t       fetched = 0;
    for (size_t j = 0, group; j < batch_count; j += group) {
        group = dense_group(batch_count - j);
        for (; fetched < DENSE_NEAR * (j + group) / batch_count; fetched++)
            for (size_t i = 0; i < stretch_bytes; i += DENSE_LINE)
                dense_fetch(ahead.at + fetched * ahead.row_step + i);
        for (size_t r = 0; r < rows; r += DENSE_ROWS) {
            const dense_outputs to = { out.at + j * out.stride + r, out.stride, out.is_added };
            const dense_weights w = { (const char *)(buffer->w + r * whole),
                                      DENSE_LANES * sizeof(float), DENSE_ROWS * sizeof(float) };
            dense_meet(to, dense_f32, w, dense_smaller(rows - r, DENSE_ROWS), buffer->x + j * whole,
                       whole, group, NULL, 0);
        }
    }
}

ENX_INLINE void dense_many(float *out, dense_kind kind, const char *w, const float *x,
                           const enx_matmul_shape *s)
{
    const size_t n = s->col_count, stretch = dense_stretch(n), row_bytes = n * kind.size;
    dense_buffer buffer;
    for (size_t c = 0; c < n; c += stretch) {
        const size_t columns = dense_smaller(stretch, n - c);
        dense_pack(buffer.x, x + c, n, columns, s->batch_count);
        for (size_t r = 0; r < s->row_count; r += DENSE_NEAR) {
            const size_t  left = s->row_count - r, rows = dense_smaller(left, DENSE_NEAR);
            const char   *at = w + r * row_bytes + c * kind.size;
            dense_weights ahead = { at, row_bytes, kind.size };
            if (left >= 2 * DENSE_NEAR) ahead.at += DENSE_NEAR * row_bytes;
            dense_open(buffer.w, kind, at, row_bytes, rows, columns);
            dense_meet_all((dense_outputs){ out + r, s->out_stride, c > 0 }, &buffer, rows,
                           dense_whole(columns), s->batch_count, ahead);
        }
    }
}

ENX_INLINE void dense_multiply(float *out, dense_kind kind, const void *w, const float *x,
                               const enx_matmul_shape *s)
{
    const size_t width = dense_whole(s->col_count);
    for (size_t j = 0; j < s->batch_count; j += DENSE_CHUNK) {
        float           *to = out + j * s->out_stride;
        const float     *from = x + j * s->col_count;
        enx_matmul_shape part = *s;
        part.batch_count = dense_smaller(s->batch_count - j, DENSE_CHUNK);
        if (part.batch_count <= DENSE_FEW && part.batch_count <= DENSE_X_MAX / width)
            dense_few(to, kind, w, from, &part);
        else dense_many(to, kind, w, from, &part);
    }
}

static void matmul_f32(float *out, const float *w, const float *x, const enx_matmul_shape *s)
{
    dense_multiply(out, (dense_kind){ dense_f32, sizeof *w }, w, x, s);
}

static void matmul_f16(float *out, const uint16_t *w, const float *x, const enx_matmul_shape *s)
{
    dense_multiply(out, (dense_kind){ dense_f16, sizeof *w }, w, x, s);
}

static void matmul_bf16(float *out, const uint16_t *w, const float *x, const enx_matmul_shape *s)
{
    dense_multiply(out, (dense_kind){ dense_bf16, sizeof *w }, w, x, s);
}

#endif /* ENX_KERNELS_DENSE_BODY_H */
