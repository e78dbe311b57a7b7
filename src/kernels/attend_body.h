/* SPDX-License-Identifier: Apache-2.0 */
/* attend_body.h - attention of several queries over one stretch of keys and values; included once
 * by each level's file, which defines before:
 *
 *   attend_vec, ATTEND_LANES          as many numbers as a register holds; divides 16
 *   attend_zero(), attend_all(x)      all lanes 0, all lanes x
 *   attend_fma(a, b, c)               a * b + c
 *   attend_load(at, n)                f32, at most ATTEND_LANES of n, zeros behind them
 *   attend_load_f16(at, n)            the same from f16
 *   attend_load_i8(at, n)             the same from signed bytes
 *   attend_store(at, v, n)
 *   attend_fetch(at)                  have the line at an address brought near
 *
 * A number of keys or values is loaded, and turned into f32, once for all queries of a tile.
 *
 * (1) Each score is one sum over the columns in rising order, each output one sum over the
 *     positions in rising order.  Neither crosses lanes, so what else is in a tile changes nothing.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_ATTEND_BODY_H
#define ENX_KERNELS_ATTEND_BODY_H

#include "kernels/kernels_impl.h"

#include <string.h>

enum {
    ATTEND_KEYS = 16,                                     /* positions of a block */
    ATTEND_PARTS = ATTEND_KEYS / ATTEND_LANES,            /* registers of one */
    ATTEND_QUERIES = 6,                                   /* of a tile, at most */
    ATTEND_FEW = 3,                                       /* queries that may stay in registers */
    ATTEND_COLUMNS = ATTEND_PARTS > 8 ? ATTEND_PARTS : 8, /* registers of a tile of one query */
    ATTEND_STRIP = 128, /* positions that stay in a near cache while all queries pass */
    ATTEND_LINE = 64,   /* bytes */
};

/* What a tile multiplies with: rows of registers.  Register c of row r begins at number
 *     first + r * stride + c / group * block + c % group * ATTEND_LANES
 * Keys are a row for each number of a head, values one for each position. */
typedef struct attend_rows {
    const void *numbers;
    const void *ahead; /* of the same form; fetched meanwhile */
    size_t      first, stride, group, block;
    size_t      n; /* numbers of a register */
    enx_kv_type type;
} attend_rows;

/* Numbers of a position: in q8 its scale lies among them. */
ENX_INLINE size_t position_numbers(size_t head_width, enx_kv_type type)
{
    return head_width + (type == ENX_KV_Q8 ? ENX_KV_SCALE_BYTES : 0);
}

ENX_INLINE attend_vec attend_register(const attend_rows *b, size_t row, size_t c)
{
    const size_t size = enx_kv_number_bytes(b->type), inside = c % b->group * ATTEND_LANES;
    const size_t at = b->first + row * b->stride + c / b->group * b->block + inside;
    if (inside * size % ATTEND_LINE == 0) attend_fetch((const char *)b->ahead + at * size);
    if (b->type == ENX_KV_F32) return attend_load((const float *)b->numbers + at, b->n);
    if (b->type == ENX_KV_Q8) return attend_load_i8((const int8_t *)b->numbers + at, b->n);
    return attend_load_f16((const uint16_t *)b->numbers + at, b->n);
}

/* sum[i][c] += left[i][row] * scale * register c of a row.  What there is less of, of queries and
 * of registers, stays while the other passes: both would be too many. */
ENX_INLINE void add_row(attend_vec (*sum)[ATTEND_COLUMNS], const float *const *left, size_t q_count,
                        const attend_rows *b, size_t row, size_t columns, float scale)
{
    if (q_count > ATTEND_FEW) {
        attend_vec right[ATTEND_COLUMNS];
        ENX_UNROLL
        for (size_t c = 0; c < columns; c++) right[c] = attend_register(b, row, c);
        ENX_UNROLL
        for (size_t i = 0; i < q_count; i++) {
            const attend_vec all = attend_all(left[i][row] * scale);
            ENX_UNROLL
            for (size_t c = 0; c < columns; c++) sum[i][c] = attend_fma(all, right[c], sum[i][c]);
        }
    } else {
        attend_vec all[ATTEND_FEW];
        ENX_UNROLL
        for (size_t i = 0; i < q_count; i++) all[i] = attend_all(left[i][row] * scale);
        ENX_UNROLL
        for (size_t c = 0; c < columns; c++) {
            const attend_vec right = attend_register(b, row, c);
            ENX_UNROLL
            for (size_t i = 0; i < q_count; i++) sum[i][c] = attend_fma(all[i], right, sum[i][c]);
        }
    }
}

/* Registers that a tile of `q_count` queries takes abreast: sums enough that the units stay busy.
 */
ENX_INLINE size_t columns_of(size_t q_count)
{
    return q_count > ATTEND_FEW ? 2 : q_count > 1 ? 4 : 8;
}

/* ---- scores ------------------------------------------------------------ */

/* Bytes as they are were multiplied: now the scales, which lie behind each block. */
ENX_INLINE void scale_scores(attend_vec (*sum)[ATTEND_COLUMNS], size_t q_count,
                             const attend_rows *b, size_t head_width, size_t columns)
{
    ENX_UNROLL
    for (size_t c = 0; c < columns; c++) {
        const void *scales = (const int8_t *)b->numbers + b->first + c / b->group * b->block +
                             head_width * ATTEND_KEYS;
        const attend_vec scale =
            attend_load((const float *)scales + c % b->group * ATTEND_LANES, ATTEND_LANES);
        ENX_UNROLL
        for (size_t i = 0; i < q_count; i++)
            sum[i][c] = attend_fma(sum[i][c], scale, attend_zero());
    }
}

ENX_INLINE void score_tile(float *const *out, const float *const *q, size_t q_count, const void *k,
                           size_t head_width, size_t first, size_t block_count, const void *ahead,
                           enx_kv_type type)
{
    attend_vec        sum[ATTEND_QUERIES][ATTEND_COLUMNS];
    const size_t      block = position_numbers(head_width, type) * ATTEND_KEYS;
    const size_t      columns = block_count * ATTEND_PARTS;
    const attend_rows keys = {
        k, ahead, first / ATTEND_KEYS * block, ATTEND_KEYS, ATTEND_PARTS, block, ATTEND_LANES, type
    };
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t c = 0; c < columns; c++) sum[i][c] = attend_zero();
    for (size_t d = 0; d < head_width; d++) add_row(sum, q, q_count, &keys, d, columns, 1);
    if (type == ENX_KV_Q8) scale_scores(sum, q_count, &keys, head_width, columns);
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t c = 0; c < columns; c++)
        attend_store(out[i] + first + c * ATTEND_LANES, sum[i][c], ATTEND_LANES);
}

ENX_INLINE void score_queries(float *const *out, const float *const *q, size_t q_count,
                              const void *k, size_t head_width, size_t first, size_t end,
                              const void *ahead, enx_kv_type type)
{
    const size_t fitting = columns_of(q_count) / ATTEND_PARTS, abreast = fitting ? fitting : 1;
    for (; first + (abreast - 1) * ATTEND_KEYS < end; first += abreast * ATTEND_KEYS)
        score_tile(out, q, q_count, k, head_width, first, abreast, ahead, type);
    for (; first < end; first += ATTEND_KEYS)
        score_tile(out, q, q_count, k, head_width, first, 1, ahead, type);
}

/* Positions [first, end).  What is ahead is fetched beside the first queries; the others, which
 * find keys near, ask for these again, which costs nothing. */
ENX_INLINE void score_strip(float *const *out, const float *const *q, size_t q_count, const void *k,
                            size_t head_width, size_t first, size_t end, const void *ahead,
                            enx_kv_type type)
{
    for (; q_count >= ATTEND_QUERIES;
         q_count -= ATTEND_QUERIES, q += ATTEND_QUERIES, out += ATTEND_QUERIES, ahead = k)
        score_queries(out, q, ATTEND_QUERIES, k, head_width, first, end, ahead, type);
    if (q_count == 5) score_queries(out, q, 5, k, head_width, first, end, ahead, type);
    if (q_count == 4) score_queries(out, q, 4, k, head_width, first, end, ahead, type);
    if (q_count == 3) score_queries(out, q, 3, k, head_width, first, end, ahead, type);
    if (q_count == 2) score_queries(out, q, 2, k, head_width, first, end, ahead, type);
    if (q_count == 1) score_queries(out, q, 1, k, head_width, first, end, ahead, type);
}

ENX_INLINE void score_all(float *const *out, const float *const *q, size_t q_count, const void *k,
                          size_t head_width, size_t count, const void *ahead, enx_kv_type type)
{
    for (size_t first = 0; first < count; first += ATTEND_STRIP)
        score_strip(out, q, q_count, k, head_width, first,
                    first + ATTEND_STRIP < count ? first + ATTEND_STRIP : count, ahead, type);
}

static void attend_scores(float *const *out, const float *const *q, size_t q_count,
                          const uint16_t *k, size_t head_width, size_t count, const void *ahead)
{
    score_all(out, q, q_count, k, head_width, count, ahead, ENX_KV_F16);
}

static void attend_scores_f32(float *const *out, const float *const *q, size_t q_count,
                              const float *k, size_t head_width, size_t count, const void *ahead)
{
    score_all(out, q, q_count, k, head_width, count, ahead, ENX_KV_F32);
}

static void attend_scores_q8(float *const *out, const float *const *q, size_t q_count,
                             const int8_t *k, size_t head_width, size_t count, const void *ahead)
{
    score_all(out, q, q_count, k, head_width, count, ahead, ENX_KV_Q8);
}

/* ---- mixes ------------------------------------------------------------- */

/* What a position's weight is to be multiplied by. */
ENX_INLINE float value_scale(const void *v, size_t position, size_t head_width, enx_kv_type type)
{
    float scale = 1;
    if (type == ENX_KV_Q8)
        memcpy(&scale,
               (const int8_t *)v + position * (head_width + ENX_KV_SCALE_BYTES) + head_width,
               sizeof scale);
    return scale;
}

/* Positions [p, end); `n` numbers from column `first` on, at most `columns` registers of them. */
ENX_INLINE void mix_tile(float *const *out, const float *const *weights, size_t q_count,
                         const void *v, size_t head_width, size_t p, size_t end, size_t first,
                         size_t n, size_t columns, const void *ahead, enx_kv_type type)
{
    attend_vec        sum[ATTEND_QUERIES][ATTEND_COLUMNS];
    const attend_rows values = { v,       ahead, first, position_numbers(head_width, type),
                                 columns, 0,     n,     type };
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t c = 0; c < columns; c++)
        sum[i][c] = attend_load(out[i] + first + c * ATTEND_LANES, n);
    for (; p < end; p++)
        add_row(sum, weights, q_count, &values, p, columns, value_scale(v, p, head_width, type));
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t c = 0; c < columns; c++)
        attend_store(out[i] + first + c * ATTEND_LANES, sum[i][c], n);
}

/* Positions [p, end). */
ENX_INLINE void mix_queries(float *const *out, const float *const *weights, size_t q_count,
                            const void *v, size_t head_width, size_t p, size_t end,
                            const void *ahead, enx_kv_type type)
{
    const size_t abreast = columns_of(q_count);
    size_t       first = 0;
    for (; first + abreast * ATTEND_LANES <= head_width; first += abreast * ATTEND_LANES)
        mix_tile(out, weights, q_count, v, head_width, p, end, first, ATTEND_LANES, abreast, ahead,
                 type);
    for (; first < head_width; first += ATTEND_LANES)
        mix_tile(out, weights, q_count, v, head_width, p, end, first, head_width - first, 1, ahead,
                 type);
}

/* Positions [p, end); fetches as score_strip() does. */
ENX_INLINE void mix_strip(float *const *out, const float *const *weights, size_t q_count,
                          const void *v, size_t head_width, size_t p, size_t end, const void *ahead,
                          enx_kv_type type)
{
    for (; q_count >= ATTEND_QUERIES;
         q_count -= ATTEND_QUERIES, weights += ATTEND_QUERIES, out += ATTEND_QUERIES, ahead = v)
        mix_queries(out, weights, ATTEND_QUERIES, v, head_width, p, end, ahead, type);
    if (q_count == 5) mix_queries(out, weights, 5, v, head_width, p, end, ahead, type);
    if (q_count == 4) mix_queries(out, weights, 4, v, head_width, p, end, ahead, type);
    if (q_count == 3) mix_queries(out, weights, 3, v, head_width, p, end, ahead, type);
    if (q_count == 2) mix_queries(out, weights, 2, v, head_width, p, end, ahead, type);
    if (q_count == 1) mix_queries(out, weights, 1, v, head_width, p, end, ahead, type);
}

ENX_INLINE void mix_all(float *const *out, const float *const *weights, size_t q_count,
                        const void *v, size_t head_width, size_t count, const void *ahead,
                        enx_kv_type type)
{
    for (size_t p = 0; p < count; p += ATTEND_STRIP)
        mix_strip(out, weights, q_count, v, head_width, p,
                  p + ATTEND_STRIP < count ? p + ATTEND_STRIP : count, ahead, type);
}

static void attend_mix(float *const *out, const float *const *weights, size_t q_count,
                       const uint16_t *v, size_t head_width, size_t count, const void *ahead)
{
    mix_all(out, weights, q_count, v, head_width, count, ahead, ENX_KV_F16);
}

static void attend_mix_f32(float *const *out, const float *const *weights, size_t q_count,
                           const float *v, size_t head_width, size_t count, const void *ahead)
{
    mix_all(out, weights, q_count, v, head_width, count, ahead, ENX_KV_F32);
}

static void attend_mix_q8(float *const *out, const float *const *weights, size_t q_count,
                          const int8_t *v, size_t head_width, size_t count, const void *ahead)
{
    mix_all(out, weights, q_count, v, head_width, count, ahead, ENX_KV_Q8);
}

#endif /* ENX_KERNELS_ATTEND_BODY_H */
