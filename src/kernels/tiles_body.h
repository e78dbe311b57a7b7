/* SPDX-License-Identifier: Apache-2.0 */
/* tiles_body.h - making tiles of panels, and the loops around products with them; included once by
 * each level that has AVX2.
 *
 * A tile is opened once for all activation rows, and they share the work.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_TILES_BODY_H
#define ENX_KERNELS_TILES_BODY_H

#include "kernels/plain_body.h"
#include "kernels/tiles.h"

#include <immintrin.h>
#include <stdalign.h>
#include <string.h>

enum {
    ROW_LANES = 8,  /* rows of one register */
    SUMS_MAX = 128, /* activation rows that meet a tile */
    LINE_BYTES = 64,
    FETCH_BYTES = 4096, /* 1 KiB and 16 are up to a tenth slower */
};

/* ---- eight rows -------------------------------------------------------- */

ENX_INLINE __m256i bytes_of(int value) { return _mm256_set1_epi8((char)value); }

ENX_INLINE void store_lanes(void *at, __m256i v) { _mm256_store_si256(at, v); }

/* Four bytes at `at` of a block of each of eight rows, from row `lane` on. */
ENX_INLINE __m256i words_at(const uint8_t *block, size_t at, size_t lane)
{
    return _mm256_loadu_si256((const void *)(block + at * TILE_ROWS + lane * 4));
}

/* A float of 16 bits of each. */
ENX_INLINE __m256 halves_at(const uint8_t *block, size_t at, size_t lane)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)(block + at * TILE_ROWS + lane * 2)));
}

ENX_INLINE __m256i low_nibbles(__m256i v) { return _mm256_and_si256(v, bytes_of(15)); }

ENX_INLINE __m256i high_nibbles(__m256i v) { return low_nibbles(_mm256_srli_epi16(v, 4)); }

/* What a product that has come to `at` will read some blocks later, on its way into the nearest
 * cache; behind the last panel it asks in vain. */
ENX_INLINE void fetch_ahead(const uint8_t *at, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i += LINE_BYTES)
        _mm_prefetch((const char *)at + FETCH_BYTES + i, _MM_HINT_T0);
}

/* ---- tiles of 32 columns ----------------------------------------------- */

/* What may be done to nibbles: NULL, or a table of what they stand for, or a fifth bit for each. */
typedef struct nibble_more {
    const __m256i *table, *fifth;
} nibble_more;

/* Bits 4k to 4k + 3 of each lane as bytes of 16. */
ENX_INLINE __m256i spread_bits(__m256i v, unsigned k)
{
    const __m256i lanes = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C, 0, 0x04040404,
                                            0x08080808, 0x0C0C0C0C);
    const __m256i byte = _mm256_add_epi8(lanes, bytes_of((int)k / 2));
    const __m256i bits = _mm256_set1_epi32(k % 2 ? (int)0x80402010u : 0x08040201);
    const __m256i is_set =
        _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(v, byte), bits), bits);
    return _mm256_and_si256(is_set, bytes_of(16));
}

ENX_INLINE __m256i finish_nibbles(__m256i v, unsigned k, nibble_more more)
{
    if (more.table) return _mm256_shuffle_epi8(*more.table, v);
    return more.fifth ? _mm256_or_si256(v, spread_bits(*more.fifth, k)) : v;
}

/* Sixteen bytes at `at`: the low halves first. */
ENX_INLINE void open_halves(uint8_t (*q)[TILE_ROWS][4], size_t lane, const uint8_t *block,
                            size_t at, nibble_more more)
{
    ENX_UNROLL
    for (unsigned k = 0; k < 4; k++) {
        const __m256i v = words_at(block, at + 4 * k, lane);
        store_lanes(q[k][lane], finish_nibbles(low_nibbles(v), k, more));
        store_lanes(q[k + 4][lane], finish_nibbles(high_nibbles(v), k + 4, more));
    }
}

static void open_q4_0(void *out, const uint8_t *block)
{
    tile_32 *tile = out;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        _mm256_store_ps(tile->d + lane, halves_at(block, 0, lane));
        open_halves(tile->q, lane, block, 2, (nibble_more){ 0 });
    }
}

static void open_q4_1(void *out, const uint8_t *block)
{
    tile_32 *tile = out;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        _mm256_store_ps(tile->d + lane, halves_at(block, 0, lane));
        _mm256_store_ps(tile->m + lane, halves_at(block, 2, lane));
        open_halves(tile->q, lane, block, 4, (nibble_more){ 0 });
    }
}

static void open_q5_0(void *out, const uint8_t *block)
{
    tile_32 *tile = out;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        const __m256i fifth = words_at(block, 2, lane);
        _mm256_store_ps(tile->d + lane, halves_at(block, 0, lane));
        open_halves(tile->q, lane, block, 6, (nibble_more){ .fifth = &fifth });
    }
}

static void open_q5_1(void *out, const uint8_t *block)
{
    tile_32 *tile = out;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        const __m256i fifth = words_at(block, 4, lane);
        _mm256_store_ps(tile->d + lane, halves_at(block, 0, lane));
        _mm256_store_ps(tile->m + lane, halves_at(block, 2, lane));
        open_halves(tile->q, lane, block, 8, (nibble_more){ .fifth = &fifth });
    }
}

ENX_INLINE __m256i table_of(const int8_t levels[16], int zero)
{
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)levels);
    return _mm256_add_epi8(_mm256_broadcastsi128_si256(v), bytes_of(zero));
}

static void open_iq4_nl(void *out, const uint8_t *block)
{
    tile_32      *tile = out;
    const __m256i table = table_of(uneven_levels, 0);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        _mm256_store_ps(tile->d + lane, halves_at(block, 0, lane));
        open_halves(tile->q, lane, block, 2, (nibble_more){ .table = &table });
    }
}

static void open_mxfp4(void *out, const uint8_t *block)
{
    tile_32      *tile = out;
    const __m256i table = table_of(doubled_levels, 16);
    for (size_t r = 0; r < TILE_ROWS; r++) tile->d[r] = mxfp4_scale(block[r]);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES)
        open_halves(tile->q, lane, block, 1, (nibble_more){ .table = &table });
}

/* ---- tiles of 256 columns ---------------------------------------------- */

/* Bytes i and j of each lane as two words, with their sign. */
ENX_INLINE __m256i spread_bytes(__m256i v, unsigned i, unsigned j)
{
    const __m256i lanes = _mm256_setr_epi32(0, 0x04000400, 0x08000800, 0x0C000C00, 0, 0x04000400,
                                            0x08000800, 0x0C000C00);
    const __m256i first = _mm256_set1_epi32((int)(0x00800080u | i << 8 | j << 24));
    return _mm256_srai_epi16(_mm256_shuffle_epi8(v, _mm256_add_epi32(first, lanes)), 8);
}

/* The first sixteen bytes of Q4_K and Q5_K: d, dmin and eight scales and minima of 6 bits. */
ENX_INLINE void open_k_header(tile_k *tile, size_t lane, const uint8_t *block)
{
    const __m256i six = bytes_of(63), top = bytes_of(0x30);
    const __m256i first = words_at(block, 4, lane), second = words_at(block, 8, lane);
    const __m256i third = words_at(block, 12, lane);
    const __m256i scales[2] = {
        _mm256_and_si256(first, six),
        _mm256_or_si256(low_nibbles(third), _mm256_and_si256(_mm256_srli_epi16(first, 2), top))
    };
    const __m256i mins[2] = {
        _mm256_and_si256(second, six),
        _mm256_or_si256(high_nibbles(third), _mm256_and_si256(_mm256_srli_epi16(second, 2), top))
    };
    _mm256_store_ps(tile->d + lane, halves_at(block, 0, lane));
    _mm256_store_ps(tile->dmin + lane, halves_at(block, 2, lane));
    ENX_UNROLL
    for (unsigned i = 0; i < TILE_PAIRS; i++)
        store_lanes(tile->scales[i][lane], spread_bytes(scales[i / 4], i % 4, i % 4));
    ENX_UNROLL
    for (unsigned i = 0; i < TILE_PAIRS / 2; i++)
        store_lanes(tile->mins[i][lane], spread_bytes(mins[i / 2], i % 2 * 2, i % 2 * 2 + 1));
}

static void open_q4_k(void *out, const uint8_t *block)
{
    tile_k *tile = out;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        open_k_header(tile, lane, block);
        for (size_t pair = 0; pair < 4; pair++) ENX_UNROLL
        for (size_t k = 0; k < TILE_QUADS; k++) {
            const __m256i v = words_at(block, 16 + pair * 32 + 4 * k, lane);
            store_lanes(tile->q[pair * 16 + k][lane], low_nibbles(v));
            store_lanes(tile->q[pair * 16 + 8 + k][lane], high_nibbles(v));
        }
    }
}

/* Bit `bit` of each byte, moved to bit `to`. */
ENX_INLINE __m256i moved_bit(__m256i v, int bit, int to)
{
    const __m256i moved =
        bit < to ? _mm256_slli_epi16(v, to - bit) : _mm256_srli_epi16(v, bit - to);
    return _mm256_and_si256(moved, bytes_of(1 << to));
}

/* Pair number `pair` of the bits of each byte, moved to bits 4 and 5. */
ENX_INLINE __m256i top_pairs(__m256i v, int pair)
{
    const __m256i moved =
        pair < 2 ? _mm256_slli_epi16(v, 4 - 2 * pair) : _mm256_srli_epi16(v, 2 * pair - 4);
    return _mm256_and_si256(moved, bytes_of(0x30));
}

/* The same, moved to bits 0 and 1. */
ENX_INLINE __m256i low_pairs(__m256i v, int pair)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 2 * pair), bytes_of(3));
}

static void open_q5_k(void *out, const uint8_t *block)
{
    tile_k *tile = out;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        open_k_header(tile, lane, block);
        for (size_t k = 0; k < TILE_QUADS; k++) {
            const __m256i fifth = words_at(block, 16 + 4 * k, lane);
            ENX_UNROLL
            for (int pair = 0; pair < 4; pair++) {
                uint8_t(*q)[TILE_ROWS][4] = tile->q + pair * 16 + k;
                const __m256i v = words_at(block, 48 + (size_t)pair * 32 + 4 * k, lane);
                store_lanes(q[0][lane],
                            _mm256_or_si256(low_nibbles(v), moved_bit(fifth, 2 * pair, 4)));
                store_lanes(q[8][lane],
                            _mm256_or_si256(high_nibbles(v), moved_bit(fifth, 2 * pair + 1, 4)));
            }
        }
    }
}

/* Sixteen scales of one byte, in four words. */
ENX_INLINE void open_byte_scales(int16_t (*scales)[TILE_ROWS][2], size_t lane, const __m256i v[4])
{
    ENX_UNROLL
    for (unsigned i = 0; i < TILE_PAIRS; i++)
        store_lanes(scales[i][lane], spread_bytes(v[i / 2], i % 2 * 2, i % 2 * 2 + 1));
}

/* Half of a block of Q6_K: 128 columns. */
ENX_INLINE void open_q6_half(uint8_t (*q)[TILE_ROWS][4], size_t lane, const uint8_t *block,
                             size_t low_at, size_t high_at)
{
    for (size_t k = 0; k < TILE_QUADS; k++) {
        const __m256i pairs = words_at(block, high_at + 4 * k, lane);
        ENX_UNROLL
        for (int part = 0; part < 2; part++) {
            const __m256i v = words_at(block, low_at + (size_t)part * 32 + 4 * k, lane);
            uint8_t(*at)[TILE_ROWS][4] = q + part * 8 + k;
            store_lanes(at[0][lane], _mm256_or_si256(low_nibbles(v), top_pairs(pairs, part)));
            store_lanes(at[16][lane], _mm256_or_si256(high_nibbles(v), top_pairs(pairs, part + 2)));
        }
    }
}

static void open_q6_k(void *out, const uint8_t *block)
{
    tile_k *tile = out;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        const __m256i scales[] = { words_at(block, 192, lane), words_at(block, 196, lane),
                                   words_at(block, 200, lane), words_at(block, 204, lane) };
        _mm256_store_ps(tile->d + lane, halves_at(block, 208, lane));
        open_byte_scales(tile->scales, lane, scales);
        open_q6_half(tile->q, lane, block, 0, 128);
        open_q6_half(tile->q + 32, lane, block, 64, 160);
    }
}

static void open_q2_k(void *out, const uint8_t *block)
{
    tile_k *tile = out;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        __m256i scales[4], mins[4];
        ENX_UNROLL
        for (size_t i = 0; i < 4; i++) {
            const __m256i both = words_at(block, 4 * i, lane);
            scales[i] = low_nibbles(both);
            mins[i] = high_nibbles(both);
        }
        _mm256_store_ps(tile->d + lane, halves_at(block, 80, lane));
        _mm256_store_ps(tile->dmin + lane, halves_at(block, 82, lane));
        open_byte_scales(tile->scales, lane, scales);
        open_byte_scales(tile->mins, lane, mins);
        for (size_t k = 0; k < 2 * TILE_QUADS; k++) {
            const __m256i v = words_at(block, 16 + 4 * k, lane);
            ENX_UNROLL
            for (int pair = 0; pair < 4; pair++)
                store_lanes(tile->q[k / 8 * 32 + (size_t)pair * 8 + k % 8][lane],
                            low_pairs(v, pair));
        }
    }
}

/* Sixteen scales of 6 bits, less 32: eight bytes of nibbles, then four of pairs above them. */
ENX_INLINE void open_q3_scales(tile_k *tile, size_t lane, const uint8_t *block)
{
    const __m256i first = words_at(block, 96, lane), second = words_at(block, 100, lane);
    const __m256i pairs = words_at(block, 104, lane);
    __m256i       scales[] = { low_nibbles(first), low_nibbles(second), high_nibbles(first),
                               high_nibbles(second) };
    ENX_UNROLL
    for (int i = 0; i < 4; i++)
        scales[i] = _mm256_sub_epi8(_mm256_or_si256(scales[i], top_pairs(pairs, i)), bytes_of(32));
    open_byte_scales(tile->scales, lane, scales);
}

static void open_q3_k(void *out, const uint8_t *block)
{
    tile_k *tile = out;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        _mm256_store_ps(tile->d + lane, halves_at(block, 108, lane));
        open_q3_scales(tile, lane, block);
        for (size_t k = 0; k < TILE_QUADS; k++) {
            const __m256i high = words_at(block, 4 * k, lane);
            ENX_UNROLL
            for (int part = 0; part < TILE_PAIRS; part++) {
                const __m256i v = words_at(block, 32 + (size_t)part / 4 * 32 + 4 * k, lane);
                store_lanes(tile->q[(size_t)part * 8 + k][lane],
                            _mm256_or_si256(low_pairs(v, part % 4), moved_bit(high, part, 2)));
            }
        }
    }
}

/* A scale of 6 bits for each 32 values, less 32: nibbles, and pairs above them. */
ENX_INLINE void open_iq4_xs_scales(tile_k *tile, size_t lane, const uint8_t *block)
{
    const __m256i nibbles = words_at(block, 4, lane);
    const __m256i pairs =
        _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)(block + 2 * TILE_ROWS + lane * 2)));
    ENX_UNROLL
    for (int part = 0; part < TILE_PAIRS; part++) {
        const __m256i low =
            _mm256_and_si256(_mm256_srli_epi32(nibbles, 4 * part), _mm256_set1_epi32(15));
        const __m256i high =
            _mm256_and_si256(_mm256_srli_epi32(pairs, 2 * part), _mm256_set1_epi32(3));
        const __m256i scale = _mm256_sub_epi32(_mm256_or_si256(low, _mm256_slli_epi32(high, 4)),
                                               _mm256_set1_epi32(32));
        store_lanes(tile->scales[part][lane],
                    _mm256_blend_epi16(scale, _mm256_slli_epi32(scale, 16), 0xAA));
    }
}

static void open_iq4_xs(void *out, const uint8_t *block)
{
    tile_k       *tile = out;
    const __m256i table = table_of(uneven_levels, 0);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        _mm256_store_ps(tile->d + lane, halves_at(block, 0, lane));
        open_iq4_xs_scales(tile, lane, block);
        for (size_t part = 0; part < TILE_PAIRS; part++)
            open_halves(tile->q + part * 8, lane, block, 8 + part * 16,
                        (nibble_more){ .table = &table });
    }
}

/* ---- products ---------------------------------------------------------- */

typedef struct tile_buffer {
    alignas(LINE_BYTES) float sums[SUMS_MAX][TILE_ROWS];
    union {
        alignas(LINE_BYTES) tile_32 small[TILE_COLS / ENX_SMALL_BLOCK];
        tile_k large;
    } tiles;
} tile_buffer;

/* A panel times `batch` rows of x, the sums left in the buffer. */
ENX_INLINE void multiply_panel(tile_buffer *buffer, const product_kind *kind, bool is_large,
                               const uint8_t *panel, const uint8_t *x, size_t blocks, size_t batch)
{
    const size_t act_bytes = is_large ? sizeof(enx_act_k) : sizeof(enx_act_q8);
    const size_t block_bytes = kind->block_bytes * TILE_ROWS;
    const size_t step = is_large ? 1 : TILE_COLS / ENX_SMALL_BLOCK;
    memset(buffer->sums, 0, batch * sizeof *buffer->sums);
    if (batch == 1 && kind->one) {
        kind->one(buffer->sums, panel, blocks, x, blocks);
        return;
    }
    for (size_t b = 0; b < blocks; b += step) {
        const size_t   count = blocks - b < step ? blocks - b : step;
        const uint8_t *from = panel + b * block_bytes;
        if (kind->open) fetch_ahead(from, count * block_bytes);
        const void *tiles = kind->open ? (const void *)&buffer->tiles : from;
        if (kind->open && is_large) kind->open(&buffer->tiles, from);
        for (size_t i = 0; i < count && kind->open && !is_large; i++)
            kind->open(&buffer->tiles.small[i], from + i * block_bytes);
        for (size_t j = 0; j < batch; j += TILE_BATCH) {
            const size_t left = batch - j < TILE_BATCH ? batch - j : TILE_BATCH;
            kind->multiply[left - 1](buffer->sums + j, tiles, count,
                                     x + (j * blocks + b) * act_bytes, blocks);
        }
    }
}

/* The lines that sums will go to, on their way while these are computed: rows of `out` lie far
 * apart. */
ENX_INLINE void fetch_out(const float *out, size_t row_count, size_t batch, size_t out_stride)
{
    for (size_t j = 0; j < batch; j++) {
        __builtin_prefetch(out + j * out_stride, 1);
        __builtin_prefetch(out + j * out_stride + row_count - 1, 1);
    }
}

/* A copy of a constant size is a few moves; of any other, a call that takes longer than they. */
ENX_INLINE void put_sums(float *out, float (*sums)[TILE_ROWS], size_t row_count, size_t batch,
                         size_t out_stride)
{
    if (row_count == TILE_ROWS)
        for (size_t j = 0; j < batch; j++) memcpy(out + j * out_stride, sums[j], sizeof *sums);
    else
        for (size_t j = 0; j < batch; j++)
            memcpy(out + j * out_stride, sums[j], row_count * sizeof *out);
}

/* Rows out of anywhere: each panel that has one of them is multiplied whole. */
static void multiply_ids(float *out, const product_kind *kind, bool is_large, const uint8_t *w,
                         const uint8_t *x, const enx_matmul_shape *s)
{
    const size_t blocks = s->col_count / (is_large ? ENX_K_BLOCK : ENX_SMALL_BLOCK);
    const size_t act_bytes = is_large ? sizeof(enx_act_k) : sizeof(enx_act_q8);
    const size_t panel_bytes = TILE_ROWS * blocks * kind->block_bytes;
    tile_buffer  buffer;
    for (size_t first = 0; first < s->batch_count; first += SUMS_MAX) {
        const size_t left = s->batch_count - first, batch = left < SUMS_MAX ? left : SUMS_MAX;
        for (size_t r = 0; r < s->row_count; r++) {
            const size_t id = s->ids[r], panel = id / TILE_ROWS;
            if (r == 0 || panel != s->ids[r - 1] / TILE_ROWS)
                multiply_panel(&buffer, kind, is_large, w + panel * panel_bytes,
                               x + first * blocks * act_bytes, blocks, batch);
            for (size_t j = 0; j < batch; j++)
                out[(first + j) * s->out_stride + r] = buffer.sums[j][id % TILE_ROWS];
        }
    }
}

static void multiply_rows(float *out, const product_kind *kind, bool is_large, const uint8_t *w,
                          const uint8_t *x, const enx_matmul_shape *s)
{
    const size_t blocks = s->col_count / (is_large ? ENX_K_BLOCK : ENX_SMALL_BLOCK);
    const size_t act_bytes = is_large ? sizeof(enx_act_k) : sizeof(enx_act_q8);
    const size_t panel_bytes = TILE_ROWS * blocks * kind->block_bytes;
    tile_buffer  buffer;
    for (size_t first = 0; first < s->batch_count; first += SUMS_MAX)
        for (size_t r = 0; r < s->row_count; r += TILE_ROWS) {
            const size_t left = s->batch_count - first, rest = s->row_count - r;
            const size_t batch = left < SUMS_MAX ? left : SUMS_MAX;
            const size_t row_count = rest < TILE_ROWS ? rest : TILE_ROWS;
            float       *to = out + first * s->out_stride + r;
            fetch_out(to, row_count, batch, s->out_stride);
            multiply_panel(&buffer, kind, is_large, w + r / TILE_ROWS * panel_bytes,
                           x + first * blocks * act_bytes, blocks, batch);
            put_sums(to, buffer.sums, row_count, batch, s->out_stride);
        }
}

ENX_INLINE void multiply_kind(float *out, const product_kind *kind, bool is_large, const uint8_t *w,
                              const uint8_t *x, const enx_matmul_shape *s)
{
    if (s->ids) multiply_ids(out, kind, is_large, w, x, s);
    else multiply_rows(out, kind, is_large, w, x, s);
}

/* The level's own, each by KIND(). */
#define KIND(name, open, multiply, one)                                        \
    {                                                                          \
        open, { multiply##_1, multiply##_2, multiply##_3, multiply##_4 }, one, \
            sizeof(enx_block_##name)                                           \
    }
/* Functions of 1 to 4 activation rows, out of a macro whose last argument is their number. */
#define EACH_BATCH(define, ...) \
    define(__VA_ARGS__, 1) define(__VA_ARGS__, 2) define(__VA_ARGS__, 3) define(__VA_ARGS__, 4)

static const product_kind product_kinds[ENX_QUANT_COUNT];

static void matmul_quant(float *out, enx_quant quant, const void *w, const void *x,
                         const enx_matmul_shape *shape)
{
    const product_kind *kind = &product_kinds[quant];
    if (enx_quant_is_large(quant)) multiply_kind(out, kind, true, w, x, shape);
    else multiply_kind(out, kind, false, w, x, shape);
}

#endif /* ENX_KERNELS_TILES_BODY_H */
