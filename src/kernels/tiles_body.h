/* SPDX-License-Identifier: Apache-2.0 */
/* tiles_body.h - making tiles of ggml's blocks, and the loops around products with them; included
 * once by each level that has AVX2.
 *
 * The blocks of eight rows become lanes by transposing words of 32 bits: the work is the same for
 * any number of activation rows, and they share it.
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
};

/* ---- eight rows -------------------------------------------------------- */

ENX_INLINE __m256i bytes_of(int value) { return _mm256_set1_epi8((char)value); }

ENX_INLINE void store_lanes(void *at, __m256i v) { _mm256_store_si256(at, v); }

ENX_INLINE __m256i two_rows(const uint8_t *low, const uint8_t *high)
{
    const __m128i first = _mm_loadu_si128((const __m128i *)(const void *)low);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first),
                                   _mm_loadu_si128((const __m128i *)(const void *)high), 1);
}

/* Sixteen bytes at `at` of each row: lane r of out[i] is word i of row r. */
ENX_INLINE void gather_16(__m256i out[4], const uint8_t *const rows[ROW_LANES], size_t at)
{
    const __m256i a = two_rows(rows[0] + at, rows[4] + at),
                  b = two_rows(rows[1] + at, rows[5] + at);
    const __m256i c = two_rows(rows[2] + at, rows[6] + at),
                  d = two_rows(rows[3] + at, rows[7] + at);
    const __m256i ab = _mm256_unpacklo_epi32(a, b), ab_high = _mm256_unpackhi_epi32(a, b);
    const __m256i cd = _mm256_unpacklo_epi32(c, d), cd_high = _mm256_unpackhi_epi32(c, d);
    out[0] = _mm256_unpacklo_epi64(ab, cd);
    out[1] = _mm256_unpackhi_epi64(ab, cd);
    out[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
    out[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}

ENX_INLINE void gather_32(__m256i out[8], const uint8_t *const rows[ROW_LANES], size_t at)
{
    gather_16(out, rows, at);
    gather_16(out + 4, rows, at + 16);
}

/* A float of 16 bits at `at` of each row. */
ENX_INLINE __m256 gather_f16(const uint8_t *const rows[ROW_LANES], size_t at)
{
    uint16_t bits[ROW_LANES];
    for (size_t r = 0; r < ROW_LANES; r++) memcpy(&bits[r], rows[r] + at, sizeof bits[r]);
    return _mm256_cvtph_ps(_mm_setr_epi16((short)bits[0], (short)bits[1], (short)bits[2],
                                          (short)bits[3], (short)bits[4], (short)bits[5],
                                          (short)bits[6], (short)bits[7]));
}

ENX_INLINE __m256i low_nibbles(__m256i v) { return _mm256_and_si256(v, bytes_of(15)); }

ENX_INLINE __m256i high_nibbles(__m256i v) { return low_nibbles(_mm256_srli_epi16(v, 4)); }

/* Bytes that a later tile will read, on their way into the second cache. */
ENX_INLINE void fetch_bytes(const uint8_t *at, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i += LINE_BYTES)
        _mm_prefetch((const char *)at + i, _MM_HINT_T1);
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

ENX_INLINE void open_halves(uint8_t (*q)[TILE_ROWS][4], size_t lane,
                            const uint8_t *const rows[ROW_LANES], size_t at, nibble_more more)
{
    __m256i v[4];
    gather_16(v, rows, at);
    ENX_UNROLL
    for (unsigned k = 0; k < 4; k++) {
        store_lanes(q[k][lane], finish_nibbles(low_nibbles(v[k]), k, more));
        store_lanes(q[k + 4][lane], finish_nibbles(high_nibbles(v[k]), k + 4, more));
    }
}

static void open_q4_0(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_32     *tile = out;
    const size_t at = block * sizeof(enx_block_q4_0);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        _mm256_store_ps(tile->d + lane, gather_f16(rows + lane, at));
        open_halves(tile->q, lane, rows + lane, at + 2, (nibble_more){ 0 });
    }
}

static void open_q4_1(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_32     *tile = out;
    const size_t at = block * sizeof(enx_block_q4_1);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        _mm256_store_ps(tile->d + lane, gather_f16(rows + lane, at));
        _mm256_store_ps(tile->m + lane, gather_f16(rows + lane, at + 2));
        open_halves(tile->q, lane, rows + lane, at + 4, (nibble_more){ 0 });
    }
}

/* Thirty-two bits at `at` of each row. */
ENX_INLINE __m256i gather_4(const uint8_t *const rows[ROW_LANES], size_t at)
{
    int bits[ROW_LANES];
    for (size_t r = 0; r < ROW_LANES; r++) memcpy(&bits[r], rows[r] + at, sizeof bits[r]);
    return _mm256_setr_epi32(bits[0], bits[1], bits[2], bits[3], bits[4], bits[5], bits[6],
                             bits[7]);
}

static void open_q5_0(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_32     *tile = out;
    const size_t at = block * sizeof(enx_block_q5_0);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        const __m256i fifth = gather_4(rows + lane, at + 2);
        _mm256_store_ps(tile->d + lane, gather_f16(rows + lane, at));
        open_halves(tile->q, lane, rows + lane, at + 6, (nibble_more){ .fifth = &fifth });
    }
}

static void open_q5_1(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_32     *tile = out;
    const size_t at = block * sizeof(enx_block_q5_1);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        const __m256i fifth = gather_4(rows + lane, at + 4);
        _mm256_store_ps(tile->d + lane, gather_f16(rows + lane, at));
        _mm256_store_ps(tile->m + lane, gather_f16(rows + lane, at + 2));
        open_halves(tile->q, lane, rows + lane, at + 8, (nibble_more){ .fifth = &fifth });
    }
}

static void open_q8_0(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_32     *tile = out;
    const size_t at = block * sizeof(enx_block_q8_0);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        __m256i v[TILE_QUADS];
        _mm256_store_ps(tile->d + lane, gather_f16(rows + lane, at));
        gather_32(v, rows + lane, at + 2);
        ENX_UNROLL
        for (size_t k = 0; k < TILE_QUADS; k++) store_lanes(tile->q[k][lane], v[k]);
    }
}

ENX_INLINE __m256i table_of(const int8_t levels[16], int zero)
{
    const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)levels);
    return _mm256_add_epi8(_mm256_broadcastsi128_si256(v), bytes_of(zero));
}

static void open_iq4_nl(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_32      *tile = out;
    const size_t  at = block * sizeof(enx_block_iq4_nl);
    const __m256i table = table_of(uneven_levels, 0);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        _mm256_store_ps(tile->d + lane, gather_f16(rows + lane, at));
        open_halves(tile->q, lane, rows + lane, at + 2, (nibble_more){ .table = &table });
    }
}

static void open_mxfp4(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_32      *tile = out;
    const size_t  at = block * sizeof(enx_block_mxfp4);
    const __m256i table = table_of(doubled_levels, 16);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        for (size_t r = lane; r < lane + ROW_LANES; r++) tile->d[r] = mxfp4_scale(rows[r][at]);
        open_halves(tile->q, lane, rows + lane, at + 1, (nibble_more){ .table = &table });
    }
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
ENX_INLINE void open_k_header(tile_k *tile, size_t lane, const uint8_t *const rows[ROW_LANES],
                              size_t at)
{
    __m256i       v[4], scales[2], mins[2];
    const __m256i six = bytes_of(63), top = bytes_of(0x30);
    gather_16(v, rows, at);
    _mm256_store_ps(tile->d + lane, gather_f16(rows, at));
    _mm256_store_ps(tile->dmin + lane, gather_f16(rows, at + 2));
    scales[0] = _mm256_and_si256(v[1], six);
    mins[0] = _mm256_and_si256(v[2], six);
    scales[1] =
        _mm256_or_si256(low_nibbles(v[3]), _mm256_and_si256(_mm256_srli_epi16(v[1], 2), top));
    mins[1] =
        _mm256_or_si256(high_nibbles(v[3]), _mm256_and_si256(_mm256_srli_epi16(v[2], 2), top));
    ENX_UNROLL
    for (unsigned i = 0; i < TILE_PAIRS; i++)
        store_lanes(tile->scales[i][lane], spread_bytes(scales[i / 4], i % 4, i % 4));
    ENX_UNROLL
    for (unsigned i = 0; i < TILE_PAIRS / 2; i++)
        store_lanes(tile->mins[i][lane], spread_bytes(mins[i / 2], i % 2 * 2, i % 2 * 2 + 1));
}

static void open_q4_k(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_k      *tile = out;
    const size_t at = block * sizeof(enx_block_q4_k);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        open_k_header(tile, lane, rows + lane, at);
        for (size_t pair = 0; pair < 4; pair++) {
            __m256i v[TILE_QUADS];
            gather_32(v, rows + lane, at + 16 + pair * 32);
            ENX_UNROLL
            for (size_t k = 0; k < TILE_QUADS; k++) {
                store_lanes(tile->q[pair * 16 + k][lane], low_nibbles(v[k]));
                store_lanes(tile->q[pair * 16 + 8 + k][lane], high_nibbles(v[k]));
            }
        }
    }
}

/* Bit `bit` of each byte as 16. */
ENX_INLINE __m256i fifth_bits(__m256i v, int bit)
{
    const __m256i moved = bit < 4 ? _mm256_slli_epi16(v, 4 - bit) : _mm256_srli_epi16(v, bit - 4);
    return _mm256_and_si256(moved, bytes_of(16));
}

static void open_q5_k(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_k      *tile = out;
    const size_t at = block * sizeof(enx_block_q5_k);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        __m256i bits[TILE_QUADS], v[TILE_QUADS];
        open_k_header(tile, lane, rows + lane, at);
        gather_32(bits, rows + lane, at + 16);
        ENX_UNROLL
        for (int pair = 0; pair < 4; pair++) {
            uint8_t(*q)[TILE_ROWS][4] = tile->q + pair * 16;
            gather_32(v, rows + lane, at + 48 + (size_t)pair * 32);
            ENX_UNROLL
            for (size_t k = 0; k < TILE_QUADS; k++) {
                const __m256i low = fifth_bits(bits[k], 2 * pair);
                const __m256i high = fifth_bits(bits[k], 2 * pair + 1);
                store_lanes(q[k][lane], _mm256_or_si256(low_nibbles(v[k]), low));
                store_lanes(q[k + 8][lane], _mm256_or_si256(high_nibbles(v[k]), high));
            }
        }
    }
}

/* Pair number `pair` of each byte times 16. */
ENX_INLINE __m256i top_pairs(__m256i v, int pair)
{
    const __m256i moved =
        pair < 2 ? _mm256_slli_epi16(v, 4 - 2 * pair) : _mm256_srli_epi16(v, 2 * pair - 4);
    return _mm256_and_si256(moved, bytes_of(0x30));
}

/* Half of a block of Q6_K: 128 columns. */
ENX_INLINE void open_q6_half(uint8_t (*q)[TILE_ROWS][4], size_t lane,
                             const uint8_t *const rows[ROW_LANES], size_t low_at, size_t high_at)
{
    __m256i pairs[TILE_QUADS], v[TILE_QUADS];
    gather_32(pairs, rows, high_at);
    ENX_UNROLL
    for (int part = 0; part < 2; part++) {
        gather_32(v, rows, low_at + (size_t)part * 32);
        ENX_UNROLL
        for (size_t k = 0; k < TILE_QUADS; k++) {
            uint8_t(*at)[TILE_ROWS][4] = q + part * 8 + k;
            const __m256i low = top_pairs(pairs[k], part), high = top_pairs(pairs[k], part + 2);
            store_lanes(at[0][lane], _mm256_or_si256(low_nibbles(v[k]), low));
            store_lanes(at[16][lane], _mm256_or_si256(high_nibbles(v[k]), high));
        }
    }
}

static void open_q6_k(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_k      *tile = out;
    const size_t at = block * sizeof(enx_block_q6_k);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        __m256i scales[4];
        _mm256_store_ps(tile->d + lane, gather_f16(rows + lane, at + 208));
        gather_16(scales, rows + lane, at + 192);
        ENX_UNROLL
        for (unsigned i = 0; i < TILE_PAIRS; i++)
            store_lanes(tile->scales[i][lane],
                        spread_bytes(scales[i / 2], i % 2 * 2, i % 2 * 2 + 1));
        open_q6_half(tile->q, lane, rows + lane, at, at + 128);
        open_q6_half(tile->q + 32, lane, rows + lane, at + 64, at + 160);
    }
}

/* A scale of 6 bits for each 32 values, less 32. */
static void open_iq4_xs_scales(tile_k *tile, size_t row, const enx_block_iq4_xs *block)
{
    tile->d[row] = f16_at(block->d);
    for (size_t part = 0; part < TILE_PAIRS; part++) {
        const int low = block->scales_low[part / 2] >> part % 2 * 4 & 15;
        const int high = block->scales_high[part / 4] >> part % 4 * 2 & 3;
        tile->scales[part][row][0] = tile->scales[part][row][1] = (int16_t)((low | high << 4) - 32);
    }
}

static void open_iq4_xs(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    tile_k       *tile = out;
    const size_t  at = block * sizeof(enx_block_iq4_xs);
    const __m256i table = table_of(uneven_levels, 0);
    for (size_t r = 0; r < TILE_ROWS; r++)
        open_iq4_xs_scales(tile, r, (const void *)(rows[r] + at));
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES)
        for (size_t part = 0; part < TILE_PAIRS; part++)
            open_halves(tile->q + part * 8, lane, rows + lane, at + 8 + part * 16,
                        (nibble_more){ .table = &table });
}

/* What no function above makes: plain blocks of sixteen rows, transposed. */
ENX_INLINE void open_plain_k(void *out, const uint8_t *const rows[TILE_ROWS], size_t block,
                             const struct plain_kind *kind, int zero)
{
    tile_k        *tile = out;
    enx_plain_k    plain[TILE_ROWS];
    const uint8_t *numbers[TILE_ROWS];
    for (size_t r = 0; r < TILE_ROWS; r++) {
        kind->open(&plain[r], rows[r] + block * kind->block_bytes, ENX_K_BLOCK);
        tile->d[r] = plain[r].d;
        tile->dmin[r] = plain[r].dmin;
        numbers[r] = (const uint8_t *)&plain[r];
    }
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
        __m256i scales[TILE_PAIRS], mins[TILE_PAIRS], v[TILE_QUADS];
        gather_32(scales, numbers + lane, offsetof(enx_plain_k, scales));
        gather_32(mins, numbers + lane, offsetof(enx_plain_k, mins));
        for (size_t i = 0; i < TILE_PAIRS; i++) {
            store_lanes(tile->scales[i][lane], scales[i]);
            store_lanes(tile->mins[i][lane], mins[i]);
            gather_32(v, numbers + lane, offsetof(enx_plain_k, q) + i * 32);
            for (size_t k = 0; k < TILE_QUADS; k++)
                store_lanes(tile->q[i * 8 + k][lane], _mm256_add_epi8(v[k], bytes_of(zero)));
        }
    }
}

static void open_q2_k(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    open_plain_k(out, rows, block, &plain_kinds[ENX_QUANT_Q2_K], 0);
}

static void open_q3_k(void *out, const uint8_t *const rows[TILE_ROWS], size_t block)
{
    open_plain_k(out, rows, block, &plain_kinds[ENX_QUANT_Q3_K], 4);
}

/* ---- without tiles ----------------------------------------------------- */

/* The sum of each of eight registers, in lanes. */
ENX_INLINE __m256i sums_of(const __m256i v[ROW_LANES])
{
    const __m256i low =
        _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    const __m256i high =
        _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                            _mm256_permute2x128_si256(low, high, 0x31));
}

/* The sums of products of 32 columns at `at` of eight rows, a lane each.  |w| may be 128 and |x| is
 * at most 127, so two products stay below 32767. */
ENX_INLINE __m256i dot_eight(const uint8_t *const rows[ROW_LANES], size_t at, const int8_t *x)
{
    const __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)x);
    __m256i       v[ROW_LANES];
    ENX_UNROLL
    for (size_t r = 0; r < ROW_LANES; r++) {
        const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(rows[r] + at));
        v[r] = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
        v[r] = _mm256_madd_epi16(v[r], _mm256_set1_epi16(1));
    }
    return sums_of(v);
}

static void few_q8_0(float (*sum)[TILE_ROWS], const uint8_t *const rows[TILE_ROWS],
                     const uint8_t *next, size_t blocks, const void *x, size_t batch)
{
    const enx_act_q8 *act = x;
    const size_t      eight_bytes = ROW_LANES * sizeof(enx_block_q8_0);
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES)
        for (size_t b = 0; b < blocks; b++) {
            const size_t at = b * sizeof(enx_block_q8_0);
            const __m256 d = gather_f16(rows + lane, at);
            if (next)
                fetch_bytes(next + lane * blocks * sizeof(enx_block_q8_0) + b * eight_bytes,
                            eight_bytes);
            for (size_t j = 0; j < batch; j++) {
                const enx_act_q8 *a = &act[j * blocks + b];
                const __m256      dot = _mm256_cvtepi32_ps(dot_eight(rows + lane, at + 2, a->q));
                const __m256      both = _mm256_mul_ps(d, _mm256_set1_ps(a->scale));
                float            *to = &sum[j][lane];
                _mm256_store_ps(to, _mm256_add_ps(_mm256_load_ps(to), _mm256_mul_ps(dot, both)));
            }
        }
}

#include "kernels/few_body.h"

/* ---- products ---------------------------------------------------------- */

typedef struct tile_buffer {
    alignas(LINE_BYTES) float sums[SUMS_MAX][TILE_ROWS];
    union {
        alignas(LINE_BYTES) tile_32 small[TILE_COLS / ENX_SMALL_BLOCK];
        tile_k large;
    } tiles;
} tile_buffer;

/* Sixteen rows times `batch` rows of x, the sums left in the buffer.  While their tiles are used,
 * the `next` rows, which follow them in memory, are fetched; NULL: nobody knows them. */
ENX_INLINE void multiply_rows(tile_buffer *buffer, const product_kind *kind, bool is_large,
                              const uint8_t *const rows[TILE_ROWS], const uint8_t *next,
                              const uint8_t *x, size_t blocks, size_t batch)
{
    const size_t act_bytes = is_large ? sizeof(enx_act_k) : sizeof(enx_act_q8);
    const size_t step = is_large ? 1 : TILE_COLS / ENX_SMALL_BLOCK;
    memset(buffer->sums, 0, batch * sizeof *buffer->sums);
    if (batch <= kind->few_max) {
        kind->few(buffer->sums, rows, next, blocks, x, batch);
        return;
    }
    for (size_t b = 0; b < blocks; b += step) {
        const size_t count = blocks - b < step ? blocks - b : step;
        const size_t fetched = count * kind->block_bytes * TILE_ROWS;
        if (next) fetch_bytes(next + b * kind->block_bytes * TILE_ROWS, fetched);
        if (is_large) kind->open(&buffer->tiles, rows, b);
        for (size_t i = 0; i < count && !is_large; i++)
            kind->open(&buffer->tiles.small[i], rows, b + i);
        for (size_t j = 0; j < batch; j += TILE_BATCH) {
            const size_t left = batch - j < TILE_BATCH ? batch - j : TILE_BATCH;
            kind->multiply[left - 1](buffer->sums + j, &buffer->tiles, count,
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

static void multiply_kind(float *out, const product_kind *kind, bool is_large, const uint8_t *w,
                          const uint8_t *x, const enx_matmul_shape *s)
{
    const size_t blocks = s->col_count / (is_large ? ENX_K_BLOCK : ENX_SMALL_BLOCK);
    const size_t act_bytes = is_large ? sizeof(enx_act_k) : sizeof(enx_act_q8);
    const size_t row_bytes = blocks * kind->block_bytes;
    tile_buffer  buffer;
    for (size_t first = 0; first < s->batch_count; first += SUMS_MAX)
        for (size_t r = 0; r < s->row_count; r += TILE_ROWS) {
            const size_t   left = s->batch_count - first, rest = s->row_count - r;
            const size_t   batch = left < SUMS_MAX ? left : SUMS_MAX;
            const size_t   row_count = rest < TILE_ROWS ? rest : TILE_ROWS;
            const uint8_t *rows[TILE_ROWS];
            for (size_t i = 0; i < TILE_ROWS; i++) { /* missing ones are the last one again */
                const size_t row = r + (i < row_count ? i : row_count - 1);
                rows[i] = w + (s->ids ? s->ids[row] : row) * row_bytes;
            }
            const bool     has_next = !s->ids && rest >= 2 * TILE_ROWS;
            const uint8_t *next = has_next ? rows[0] + TILE_ROWS * row_bytes : NULL;
            float         *to = out + first * s->out_stride + r;
            fetch_out(to, row_count, batch, s->out_stride);
            multiply_rows(&buffer, kind, is_large, rows, next, x + first * blocks * act_bytes,
                          blocks, batch);
            put_sums(to, buffer.sums, row_count, batch, s->out_stride);
        }
}

/* The level's own, each by KIND(). */
#define KIND(name, few, few_max, multiply)                                                     \
    {                                                                                          \
        open_##name, few, few_max, { multiply##_1, multiply##_2, multiply##_3, multiply##_4 }, \
            sizeof(enx_block_##name)                                                           \
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
