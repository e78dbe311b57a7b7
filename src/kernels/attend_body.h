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

/* sum[i][c] += left[i][row] * register c of a row.  What there is less of, of queries and
 * of registers, stays while the other passes: both would be too many. */
ENX_INLINE void add_row(attend_vec (*sum)[ATTEND_COLUMNS], const float *const *left, size_t q_count,
                        const attend_rows *b, size_t row, size_t columns)
{
    if (q_count > ATTEND_FEW) {
        attend_vec right[ATTEND_COLUMNS];
        ENX_UNROLL
        for (size_t c = 0; c < columns; c++) right[c] = attend_register(b, row, c);
        ENX_UNROLL
        for (size_t i = 0; i < q_count; i++) {
            const attend_vec all = attend_all(left[i][row]);
            ENX_UNROLL
            for (size_t c = 0; c < columns; c++) sum[i][c] = attend_fma(all, right[c], sum[i][c]);
        }
    } else {
        attend_vec all[ATTEND_FEW];
        ENX_UNROLL
        for (size_t i = 0; i < q_count; i++) all[i] = attend_all(left[i][row]);
        ENX_UNROLL
        for (size_t c = 0; c < columns; c++) {
            const attend_vec right = attend_register(b, row, c);
            ENX_UNROLL
            for (size_t i = 0; i < q_count; i++) sum[i][c] = attend_fma(all[i], right, sum[i][c]);
        }
    }
}

ENX_INLINE void store_sums(float *const *out, attend_vec (*sum)[ATTEND_COLUMNS], size_t q_count,
                           size_t first, size_t n, size_t columns)
{
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) {
        float *at = out[i] + first;
        ENX_UNROLL
        for (size_t c = 0; c < columns; c++) attend_store(at + c * ATTEND_LANES, sum[i][c], n);
    }
}

/* Registers that a tile of `q_count` queries takes abreast: sums enough that the units stay busy.
 */
ENX_INLINE size_t columns_of(size_t q_count)
{
    return q_count > ATTEND_FEW ? 2 : q_count > 1 ? 4 : 8;
}

/* Queries of a strip.  Scores of positions first to end, a multiple of 16 first, are written to
 * out; or these positions' values, times their weights in `left`, are added to it. */
typedef struct attend_strip {
    float *const       *out;
    const float *const *left; /* queries or weights */
    const void         *numbers;
    const void         *ahead;
    size_t              head_width, first, end;
} attend_strip;

typedef void (*attend_tiles_fn)(const attend_strip *s);

/* All queries, by turns as equal as can be: tiles[n - 1] takes n.  What is ahead is fetched beside
 * the first; the others, who find all near, ask for that again, which costs nothing. */
static void take_turns(const attend_tiles_fn *tiles, attend_strip s, size_t q_count)
{
    for (size_t turns = (q_count + ATTEND_QUERIES - 1) / ATTEND_QUERIES; turns > 0; turns--) {
        const size_t count = (q_count + turns - 1) / turns;
        tiles[count - 1](&s);
        q_count -= count;
        s.out += count;
        s.left += count;
        s.ahead = s.numbers;
    }
}

static void cut_strips(const attend_tiles_fn *tiles, attend_strip all, size_t q_count)
{
    attend_strip s = all;
    for (; s.first < all.end; s.first += ATTEND_STRIP) {
        s.end = s.first + ATTEND_STRIP < all.end ? s.first + ATTEND_STRIP : all.end;
        take_turns(tiles, s, q_count);
    }
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

ENX_INLINE void score_tile(const attend_strip *s, size_t q_count, size_t first, size_t columns,
                           enx_kv_type type)
{
    attend_vec        sum[ATTEND_QUERIES][ATTEND_COLUMNS];
    const size_t      block = position_numbers(s->head_width, type) * ATTEND_KEYS;
    const attend_rows keys = { .numbers = s->numbers,
                               .ahead = s->ahead,
                               .first = first / ATTEND_KEYS * block,
                               .stride = ATTEND_KEYS,
                               .group = ATTEND_PARTS,
                               .block = block,
                               .n = ATTEND_LANES,
                               .type = type };
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t c = 0; c < columns; c++) sum[i][c] = attend_zero();
    for (size_t d = 0; d < s->head_width; d++) add_row(sum, s->left, q_count, &keys, d, columns);
    if (type == ENX_KV_Q8) scale_scores(sum, q_count, &keys, s->head_width, columns);
    store_sums(s->out, sum, q_count, first, ATTEND_LANES, columns);
}

ENX_INLINE void score_queries(const attend_strip *s, size_t q_count, enx_kv_type type)
{
    const size_t fitting = columns_of(q_count) / ATTEND_PARTS, abreast = fitting ? fitting : 1;
    size_t       first = s->first;
    for (; first + (abreast - 1) * ATTEND_KEYS < s->end; first += abreast * ATTEND_KEYS)
        score_tile(s, q_count, first, abreast * ATTEND_PARTS, type);
    for (; first < s->end; first += ATTEND_KEYS) score_tile(s, q_count, first, ATTEND_PARTS, type);
}

/* ---- mixes ------------------------------------------------------------- */

/* Row 0 is the strip's first position, register 0 begins at column `first`. */
ENX_INLINE void mix_tile(const attend_strip *s, const float *const *weights, size_t q_count,
                         size_t first, size_t n, size_t columns, enx_kv_type type)
{
    attend_vec        sum[ATTEND_QUERIES][ATTEND_COLUMNS];
    const size_t      stride = position_numbers(s->head_width, type);
    const attend_rows values = { .numbers = s->numbers,
                                 .ahead = s->ahead,
                                 .first = s->first * stride + first,
                                 .stride = stride,
                                 .group = columns,
                                 .n = n,
                                 .type = type };
    ENX_UNROLL
    for (size_t i = 0; i < q_count; i++) ENX_UNROLL
    for (size_t c = 0; c < columns; c++)
        sum[i][c] = attend_load(s->out[i] + first + c * ATTEND_LANES, n);
    for (size_t row = 0; row < s->end - s->first; row++)
        add_row(sum, weights, q_count, &values, row, columns);
    store_sums(s->out, sum, q_count, first, n, columns);
}

/* The weights of a strip, times the scales of its values. */
ENX_INLINE void scale_weights(float (*out)[ATTEND_STRIP], const attend_strip *s, size_t q_count)
{
    const size_t  stride = position_numbers(s->head_width, ENX_KV_Q8);
    const size_t  count = s->end - s->first;
    const int8_t *v = s->numbers;
    float         scales[ATTEND_STRIP];
    for (size_t p = 0; p < count; p++)
        memcpy(&scales[p], v + (s->first + p) * stride + s->head_width, sizeof *scales);
    for (size_t i = 0; i < q_count; i++)
        for (size_t p = 0; p < count; p++) out[i][p] = s->left[i][s->first + p] * scales[p];
}

ENX_INLINE void mix_queries(const attend_strip *s, size_t q_count, enx_kv_type type)
{
    const size_t abreast = columns_of(q_count), width = s->head_width;
    float        scaled[ATTEND_QUERIES][ATTEND_STRIP];
    const float *weights[ATTEND_QUERIES];
    size_t       first = 0;
    if (type == ENX_KV_Q8) scale_weights(scaled, s, q_count);
    for (size_t i = 0; i < q_count; i++)
        weights[i] = type == ENX_KV_Q8 ? scaled[i] : s->left[i] + s->first;
    for (; first + abreast * ATTEND_LANES <= width; first += abreast * ATTEND_LANES)
        mix_tile(s, weights, q_count, first, ATTEND_LANES, abreast, type);
    for (; first < width; first += ATTEND_LANES)
        mix_tile(s, weights, q_count, first, width - first, 1, type);
}

/* ---- kinds of caches --------------------------------------------------- */

/* A function each, or they would get in the way of each other's registers. */
#define DEFINE_ATTEND_TILES(kind, type, count)                                                   \
    static void score_##kind##_##count(const attend_strip *s) { score_queries(s, count, type); } \
    static void mix_##kind##_##count(const attend_strip *s) { mix_queries(s, count, type); }

#define ATTEND_TILES_OF(name)                                      \
    {                                                              \
        name##_1, name##_2, name##_3, name##_4, name##_5, name##_6 \
    }

#define DEFINE_ATTEND(suffix, kind, number, type)                                                  \
    DEFINE_ATTEND_TILES(kind, type, 1)                                                             \
    DEFINE_ATTEND_TILES(kind, type, 2)                                                             \
    DEFINE_ATTEND_TILES(kind, type, 3)                                                             \
    DEFINE_ATTEND_TILES(kind, type, 4)                                                             \
    DEFINE_ATTEND_TILES(kind, type, 5)                                                             \
    DEFINE_ATTEND_TILES(kind, type, 6)                                                             \
    static void attend_scores##suffix(float *const *out, const float *const *q, size_t q_count,    \
                                      const number *k, size_t head_width, size_t count,            \
                                      const void *ahead)                                           \
    {                                                                                              \
        static const attend_tiles_fn tiles[ATTEND_QUERIES] = ATTEND_TILES_OF(score_##kind);        \
        cut_strips(tiles, (attend_strip){ out, q, k, ahead, head_width, 0, count }, q_count);      \
    }                                                                                              \
    static void attend_mix##suffix(float *const *out, const float *const *weights, size_t q_count, \
                                   const number *v, size_t head_width, size_t count,               \
                                   const void *ahead)                                              \
    {                                                                                              \
        static const attend_tiles_fn tiles[ATTEND_QUERIES] = ATTEND_TILES_OF(mix_##kind);          \
        cut_strips(tiles, (attend_strip){ out, weights, v, ahead, head_width, 0, count },          \
                   q_count);                                                                       \
    }
DEFINE_ATTEND(, f16, uint16_t, ENX_KV_F16)
DEFINE_ATTEND(_f32, f32, float, ENX_KV_F32)
DEFINE_ATTEND(_q8, q8, int8_t, ENX_KV_Q8)

#endif /* ENX_KERNELS_ATTEND_BODY_H */
