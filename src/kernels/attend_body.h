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
    ATTEND_KEYS = 16,                                  /* positions of a block */
    ATTEND_PARTS = ATTEND_KEYS / ATTEND_LANES,         /* registers of one */
    ATTEND_SUMS = ATTEND_PARTS > 8 ? ATTEND_PARTS : 8, /* chains that keep the units busy */
    ATTEND_QUERIES = 4,
    /* Blocks of one query at a time, registers of an output of one query. */
    ATTEND_BLOCKS = ATTEND_SUMS / ATTEND_PARTS,
    ATTEND_COLUMNS = 8,
};

/* Number `at`, and those behind it. */
ENX_INLINE attend_vec attend_numbers(const void *numbers, size_t at, size_t n, enx_kv_type type)
{
    if (type == ENX_KV_F32) return attend_load((const float *)numbers + at, n);
    if (type == ENX_KV_Q8) return attend_load_i8((const int8_t *)numbers + at, n);
    return attend_load_f16((const uint16_t *)numbers + at, n);
}

/* Numbers of a position: in q8 its scale lies among them. */
ENX_INLINE size_t position_numbers(size_t head_width, enx_kv_type type)
{
    return head_width + (type == ENX_KV_Q8 ? ENX_KV_SCALE_BYTES : 0);
}

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

/* Fetch what will be read next, as many bytes as are read now; a line is asked for once. */
ENX_INLINE void fetch_ahead(const void *ahead, size_t at, enx_kv_type type)
{
    const size_t size = enx_kv_number_bytes(type), bytes = at * size;
    if (bytes % 64 < ATTEND_LANES * size) attend_fetch((const char *)ahead + bytes);
}

ENX_INLINE void score_tile(float *const *out, const float *const *q, size_t q_count, const void *k,
                           size_t head_width, size_t first, size_t block_count, const void *ahead,
                           enx_kv_type type)
{
    attend_vec   sum[ATTEND_QUERIES][ATTEND_BLOCKS][ATTEND_PARTS];
    const size_t block = position_numbers(head_width, type) * ATTEND_KEYS;
    const size_t start = first / ATTEND_KEYS * block;
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t b = 0; b < block_count; b++) ENX_UNROLL
    for (size_t part = 0; part < ATTEND_PARTS; part++) sum[i][b][part] = attend_zero();
    for (size_t d = 0; d < head_width; d++) {
        ENX_UNROLL
        for (size_t b = 0; b < block_count; b++) {
            ENX_UNROLL
            for (size_t part = 0; part < ATTEND_PARTS; part++) {
                const size_t     at = start + b * block + d * ATTEND_KEYS + part * ATTEND_LANES;
                const attend_vec key = attend_numbers(k, at, ATTEND_LANES, type);
                fetch_ahead(ahead, at, type);
                ENX_UNROLL
                for (size_t i = 0; i < q_count; i++)
                    sum[i][b][part] = attend_fma(attend_all(q[i][d]), key, sum[i][b][part]);
            }
        }
    }
    if (type == ENX_KV_Q8) {
        ENX_UNROLL
        for (size_t b = 0; b < block_count; b++) ENX_UNROLL
        for (size_t part = 0; part < ATTEND_PARTS; part++) {
            const void *scales = (const int8_t *)k + start + b * block + head_width * ATTEND_KEYS;
            const attend_vec scale =
                attend_load((const float *)scales + part * ATTEND_LANES, ATTEND_LANES);
            ENX_UNROLL
            for (size_t i = 0; i < q_count; i++)
                sum[i][b][part] = attend_fma(sum[i][b][part], scale, attend_zero());
        }
    }
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t b = 0; b < block_count; b++) ENX_UNROLL
    for (size_t part = 0; part < ATTEND_PARTS; part++)
        attend_store(out[i] + first + b * ATTEND_KEYS + part * ATTEND_LANES, sum[i][b][part],
                     ATTEND_LANES);
}

ENX_INLINE void score_queries(float *const *out, const float *const *q, size_t q_count,
                              const void *k, size_t head_width, size_t count, const void *ahead,
                              enx_kv_type type)
{
    const size_t abreast = ATTEND_BLOCKS / q_count > 1 ? ATTEND_BLOCKS / q_count : 1;
    size_t       first = 0;
    for (; first + abreast * ATTEND_KEYS <= count; first += abreast * ATTEND_KEYS)
        score_tile(out, q, q_count, k, head_width, first, abreast, ahead, type);
    for (; first < count; first += ATTEND_KEYS)
        score_tile(out, q, q_count, k, head_width, first, 1, ahead, type);
}

ENX_INLINE void score_all(float *const *out, const float *const *q, size_t q_count, const void *k,
                          size_t head_width, size_t count, const void *ahead, enx_kv_type type)
{
    for (; q_count >= ATTEND_QUERIES;
         q_count -= ATTEND_QUERIES, q += ATTEND_QUERIES, out += ATTEND_QUERIES)
        score_queries(out, q, ATTEND_QUERIES, k, head_width, count, ahead, type);
    if (q_count == 3) score_queries(out, q, 3, k, head_width, count, ahead, type);
    if (q_count == 2) score_queries(out, q, 2, k, head_width, count, ahead, type);
    if (q_count == 1) score_queries(out, q, 1, k, head_width, count, ahead, type);
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

/* `n` numbers from column `first` on, at most `columns` registers of them. */
ENX_INLINE void mix_tile(float *const *out, const float *const *weights, size_t q_count,
                         const void *v, size_t head_width, size_t count, size_t first, size_t n,
                         size_t columns, const void *ahead, enx_kv_type type)
{
    attend_vec sum[ATTEND_QUERIES][ATTEND_COLUMNS];
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t c = 0; c < columns; c++)
        sum[i][c] = attend_load(out[i] + first + c * ATTEND_LANES, n);
    const size_t stride = position_numbers(head_width, type);
    for (size_t p = 0; p < count; p++) {
        const float scale = value_scale(v, p, head_width, type);
        ENX_UNROLL
        for (size_t c = 0; c < columns; c++) {
            const size_t     at = p * stride + first + c * ATTEND_LANES;
            const attend_vec value = attend_numbers(v, at, n, type);
            fetch_ahead(ahead, at, type);
            ENX_UNROLL
            for (size_t i = 0; i < q_count; i++)
                sum[i][c] = attend_fma(attend_all(weights[i][p] * scale), value, sum[i][c]);
        }
    }
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t c = 0; c < columns; c++)
        attend_store(out[i] + first + c * ATTEND_LANES, sum[i][c], n);
}

/* As many columns as there are, `columns` registers at a time; returns where the rest begins. */
ENX_INLINE size_t mix_columns(float *const *out, const float *const *weights, size_t q_count,
                              const void *v, size_t head_width, size_t count, size_t first,
                              size_t columns, const void *ahead, enx_kv_type type)
{
    for (; first + columns * ATTEND_LANES <= head_width; first += columns * ATTEND_LANES)
        mix_tile(out, weights, q_count, v, head_width, count, first, ATTEND_LANES, columns, ahead,
                 type);
    return first;
}

ENX_INLINE void mix_queries(float *const *out, const float *const *weights, size_t q_count,
                            const void *v, size_t head_width, size_t count, const void *ahead,
                            enx_kv_type type)
{
    size_t first = 0;
    if (q_count == 1)
        first = mix_columns(out, weights, q_count, v, head_width, count, first, 8, ahead, type);
    if (q_count <= 2)
        first = mix_columns(out, weights, q_count, v, head_width, count, first, 4, ahead, type);
    first = mix_columns(out, weights, q_count, v, head_width, count, first, 2, ahead, type);
    for (; first < head_width; first += ATTEND_LANES)
        mix_tile(out, weights, q_count, v, head_width, count, first, head_width - first, 1, ahead,
                 type);
}

ENX_INLINE void mix_all(float *const *out, const float *const *weights, size_t q_count,
                        const void *v, size_t head_width, size_t count, const void *ahead,
                        enx_kv_type type)
{
    for (; q_count >= ATTEND_QUERIES;
         q_count -= ATTEND_QUERIES, weights += ATTEND_QUERIES, out += ATTEND_QUERIES)
        mix_queries(out, weights, ATTEND_QUERIES, v, head_width, count, ahead, type);
    if (q_count == 3) mix_queries(out, weights, 3, v, head_width, count, ahead, type);
    if (q_count == 2) mix_queries(out, weights, 2, v, head_width, count, ahead, type);
    if (q_count == 1) mix_queries(out, weights, 1, v, head_width, count, ahead, type);
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
