/* SPDX-License-Identifier: Apache-2.0 */
/* products_neon_body.h - products of panels of quantized weights in registers of four rows;
 * included once by each level of ARM, which defines before:
 *
 *   dot_quad(sum, w, x, quad)   to each of four lanes of sum, four products of signed bytes: those
 *                               of w's lane and quad number `quad`, 0 to 3, of x
 *   dot_quads(sum, w, x, first, count, is_small)
 *                               the same with registers first to first + count of w, of which
 *                               each four meet the next of x; is_small: |w| is at most 32
 *   NEON_TILES                  0: there are none; 1: by dot_quad; 2: by SMMLA, two rows by two
 *
 * Sixteen bytes of a panel are four columns of four rows (panels.h), so that a row is a lane and
 * sums never cross lanes.  A register of activations has four quads, each an operand by itself.
 *
 * Few activation rows meet weights in the registers into which they are opened.  For many, what
 * was opened is kept in a tile (tiles.h), and eight rows at a time meet four activation rows: the
 * eight sums, and what they are added to, live in registers.  Q8_0 has nothing to open for SDOT,
 * and without SDOT products take so long that opening again does not matter.
 *
 * Integers are added in any order; what is rounded is rounded in the order of kernels.h.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_PRODUCTS_NEON_BODY_H
#define ENX_KERNELS_PRODUCTS_NEON_BODY_H

#include "kernels/plain_body.h"
#include "kernels/tiles.h"

#include <arm_neon.h>

enum {
    LANES = 4,      /* rows of one register */
    STEP_PARTS = 2, /* registers of rows that meet activations together, out of a tile */
    STEP_ROWS = STEP_PARTS * LANES,
    SUMS_MAX = 128,                          /* activation rows that meet a tile */
    K_STEPS = ENX_K_BLOCK / ENX_SMALL_BLOCK, /* of 32 columns in a block of 256 */
};

/* ---- four rows ---------------------------------------------------------- */

/* Four bytes at `at` of a block of each of four rows, from row `lane` on. */
ENX_INLINE uint8x16_t words_at(const uint8_t *block, size_t at, size_t lane)
{
    return vld1q_u8(block + at * TILE_ROWS + lane * 4);
}

/* Sixteen bits of each. */
ENX_INLINE uint16x4_t halves_at(const uint8_t *block, size_t at, size_t lane)
{
    return vreinterpret_u16_u8(vld1_u8(block + at * TILE_ROWS + lane * 2));
}

ENX_INLINE float32x4_t floats_at(const uint8_t *block, size_t at, size_t lane)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(halves_at(block, at, lane)));
}

ENX_INLINE uint8x16_t low_nibbles(uint8x16_t v) { return vandq_u8(v, vdupq_n_u8(15)); }

ENX_INLINE uint8x16_t high_nibbles(uint8x16_t v) { return vshrq_n_u8(v, 4); }

ENX_INLINE int8x16_t less(uint8x16_t v, int8_t zero)
{
    return vsubq_s8(vreinterpretq_s8_u8(v), vdupq_n_s8(zero));
}

/* Each byte without its lowest bits. */
ENX_INLINE uint8x16_t shifted(uint8x16_t v, size_t bits)
{
    return vshlq_u8(v, vdupq_n_s8((int8_t)(0 - (int)bits)));
}

/* The bits of `mask` of a nibble with what is above it. */
ENX_INLINE uint8x16_t joined(uint8x16_t nibble, uint8x16_t above, uint8_t mask)
{
    return vandq_u8(vsliq_n_u8(nibble, above, 4), vdupq_n_u8(mask));
}

/* Bits `from` on of each lane. */
ENX_INLINE int32x4_t lane_bits(uint32x4_t v, int from, uint32_t mask)
{
    return vreinterpretq_s32_u32(vandq_u32(vshlq_u32(v, vdupq_n_s32(-from)), vdupq_n_u32(mask)));
}

ENX_INLINE int32x4_t word_bits(const uint8_t *block, size_t at, size_t lane, int from,
                               uint32_t mask)
{
    return lane_bits(vreinterpretq_u32_u8(words_at(block, at, lane)), from, mask);
}

/* ---- blocks of 32 ------------------------------------------------------- */

/* Eight quads of four rows, as signed bytes plus the zero of their type. */
typedef void (*open_32_fn)(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane);

typedef struct kind_32 {
    open_32_fn open;
    size_t     block_bytes;
    int        zero;
    bool       is_small;
    bool       has_exponent, has_minimum; /* d is a byte; m is there, behind d */
} kind_32;

ENX_INLINE void open_halves(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t at, size_t lane)
{
    ENX_UNROLL
    for (size_t k = 0; k < 4; k++) {
        const uint8x16_t v = words_at(block, at + 4 * k, lane);
        q[k] = vreinterpretq_s8_u8(low_nibbles(v));
        q[k + 4] = vreinterpretq_s8_u8(high_nibbles(v));
    }
}

/* ... which stand for others. */
ENX_INLINE void open_levels_at(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t at,
                               size_t lane, const int8_t levels[16])
{
    const int8x16_t table = vld1q_s8(levels);
    open_halves(q, block, at, lane);
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++) q[k] = vqtbl1q_s8(table, vreinterpretq_u8_s8(q[k]));
}

/* Bits 4k to 4k + 3 of each lane as bytes of 16. */
ENX_INLINE uint8x16_t spread_bits(uint8x16_t v, size_t k)
{
    const uint32x4_t lanes = { 0, 0x04040404, 0x08080808, 0x0C0C0C0C };
    const uint8x16_t byte = vaddq_u8(vreinterpretq_u8_u32(lanes), vdupq_n_u8((uint8_t)(k / 2)));
    const uint8x16_t bits = vreinterpretq_u8_u32(vdupq_n_u32(k % 2 ? 0x80402010u : 0x08040201u));
    return vandq_u8(vtstq_u8(vqtbl1q_u8(v, byte), bits), vdupq_n_u8(16));
}

/* ... with a fifth bit for each, in four bytes before them. */
ENX_INLINE void open_five(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t at, size_t lane)
{
    const uint8x16_t fifth = words_at(block, at, lane);
    open_halves(q, block, at + 4, lane);
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++)
        q[k] = vorrq_s8(q[k], vreinterpretq_s8_u8(spread_bits(fifth, k)));
}

ENX_INLINE void open_q4_0(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane)
{
    open_halves(q, block, 2, lane);
}

ENX_INLINE void open_q4_1(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane)
{
    open_halves(q, block, 4, lane);
}

ENX_INLINE void open_q5_0(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane)
{
    open_five(q, block, 2, lane);
}

ENX_INLINE void open_q5_1(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane)
{
    open_five(q, block, 4, lane);
}

ENX_INLINE void open_q8_0(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane)
{
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++)
        q[k] = vreinterpretq_s8_u8(words_at(block, 2 + 4 * k, lane));
}

ENX_INLINE void open_iq4_nl(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane)
{
    open_levels_at(q, block, 2, lane, uneven_levels);
}

ENX_INLINE void open_mxfp4(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane)
{
    open_levels_at(q, block, 1, lane, doubled_levels);
}

ENX_INLINE float32x4_t scales_at(const uint8_t *block, size_t lane, const kind_32 kind)
{
    if (!kind.has_exponent) return floats_at(block, 0, lane);
    const float scales[LANES] = { mxfp4_scale(block[lane]), mxfp4_scale(block[lane + 1]),
                                  mxfp4_scale(block[lane + 2]), mxfp4_scale(block[lane + 3]) };
    return vld1q_f32(scales);
}

/* ---- blocks of 256 ------------------------------------------------------ */

/* The same of columns 32 * step and on, as signed bytes. */
typedef void (*open_k_fn)(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane, size_t step);

/* The scale, or the minimum, of part number `part`. */
typedef int32x4_t (*factor_fn)(const uint8_t *block, size_t lane, size_t part);

typedef struct kind_k {
    open_k_fn open;
    factor_fn scale, minimum;
    size_t    block_bytes, d_at, dmin_at;
    size_t    part_count; /* 8 or 16, of scales */
    bool      is_small;
    minima_of minima;
} kind_k;

ENX_INLINE void open_q2_k(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane, size_t step)
{
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++) {
        const uint8x16_t v = words_at(block, 16 + step / 4 * 32 + 4 * k, lane);
        q[k] = vreinterpretq_s8_u8(vandq_u8(shifted(v, step % 4 * 2), vdupq_n_u8(3)));
    }
}

ENX_INLINE int32x4_t scale_q2_k(const uint8_t *block, size_t lane, size_t part)
{
    return word_bits(block, part / 4 * 4, lane, (int)(part % 4) * 8, 15);
}

ENX_INLINE int32x4_t minimum_q2_k(const uint8_t *block, size_t lane, size_t part)
{
    return word_bits(block, part / 4 * 4, lane, (int)(part % 4) * 8 + 4, 15);
}

ENX_INLINE void open_q3_k(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane, size_t step)
{
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++) {
        const uint8x16_t v = words_at(block, 32 + step / 4 * 32 + 4 * k, lane);
        const uint8x16_t high = shifted(words_at(block, 4 * k, lane), step);
        const uint8x16_t both = vsliq_n_u8(shifted(v, step % 4 * 2), high, 2);
        q[k] = less(vandq_u8(both, vdupq_n_u8(7)), 4);
    }
}

ENX_INLINE int32x4_t scale_q3_k(const uint8_t *block, size_t lane, size_t part)
{
    const int       byte = (int)(part % 4) * 8;
    const int32x4_t low =
        word_bits(block, 96 + part % 8 / 4 * 4, lane, byte + (int)(part / 8) * 4, 15);
    const int32x4_t high = word_bits(block, 104, lane, byte + (int)(part / 4) * 2, 3);
    return vsubq_s32(vsliq_n_s32(low, high, 4), vdupq_n_s32(32));
}

/* Q4_K and Q5_K: plain_body.h says where the twelve bytes have what. */
ENX_INLINE int32x4_t six_bits(const uint8_t *block, size_t lane, size_t part, size_t at, int half)
{
    const int byte = (int)(part % 4) * 8;
    if (part < 4) return word_bits(block, at, lane, byte, 63);
    const int32x4_t low = word_bits(block, 12, lane, byte + half, 15);
    return vsliq_n_s32(low, word_bits(block, at, lane, byte + 6, 3), 4);
}

ENX_INLINE int32x4_t scale_q4_k(const uint8_t *block, size_t lane, size_t part)
{
    return six_bits(block, lane, part, 4, 0);
}

ENX_INLINE int32x4_t minimum_q4_k(const uint8_t *block, size_t lane, size_t part)
{
    return six_bits(block, lane, part, 8, 4);
}

/* Nibbles of 64 columns, what is above them left there: the low ones are the first 32. */
ENX_INLINE uint8x16_t k_nibbles(const uint8_t *block, size_t at, size_t lane, size_t step)
{
    const uint8x16_t v = words_at(block, at + step / 2 * 32, lane);
    return step % 2 ? high_nibbles(v) : v;
}

ENX_INLINE void open_q4_k(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane, size_t step)
{
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++) {
        const uint8x16_t v = k_nibbles(block, 16 + 4 * k, lane, step);
        q[k] = vreinterpretq_s8_u8(step % 2 ? v : low_nibbles(v));
    }
}

ENX_INLINE void open_q5_k(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane, size_t step)
{
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++) {
        const uint8x16_t fifth = shifted(words_at(block, 16 + 4 * k, lane), step);
        q[k] = vreinterpretq_s8_u8(joined(k_nibbles(block, 48 + 4 * k, lane, step), fifth, 31));
    }
}

ENX_INLINE void open_q6_k(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane, size_t step)
{
    const size_t half = step / 4, quarter = step % 4;
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++) {
        const uint8x16_t v = words_at(block, half * 64 + quarter % 2 * 32 + 4 * k, lane);
        const uint8x16_t high = words_at(block, 128 + half * 32 + 4 * k, lane);
        q[k] = less(joined(quarter / 2 ? high_nibbles(v) : v, shifted(high, quarter * 2), 63), 32);
    }
}

ENX_INLINE int32x4_t scale_q6_k(const uint8_t *block, size_t lane, size_t part)
{
    const int32x4_t v = vreinterpretq_s32_u8(words_at(block, 192 + part / 4 * 4, lane));
    return vshrq_n_s32(vshlq_s32(v, vdupq_n_s32(24 - (int)(part % 4) * 8)), 24);
}

ENX_INLINE void open_iq4_xs(int8x16_t q[TILE_QUADS], const uint8_t *block, size_t lane, size_t step)
{
    open_levels_at(q, block, 8 + step * 16, lane, uneven_levels);
}

ENX_INLINE int32x4_t scale_iq4_xs(const uint8_t *block, size_t lane, size_t part)
{
    const int32x4_t low = word_bits(block, 4, lane, (int)part * 4, 15);
    const int32x4_t high = lane_bits(vmovl_u16(halves_at(block, 2, lane)), (int)part * 2, 3);
    return vsubq_s32(vsliq_n_s32(low, high, 4), vdupq_n_s32(32));
}

/* What is loaded behind this line is not loaded before it: gcc would rather open all and spill. */
#define IN_TURN() __asm__ volatile("" ::: "memory")

/* ---- sums --------------------------------------------------------------- */

/* sum + dot * (d * scale), each rounded. */
ENX_INLINE float32x4_t add_scaled(float32x4_t sum, int32x4_t dot, float32x4_t d, float scale)
{
    return vaddq_f32(sum, vmulq_f32(vcvtq_f32_s32(dot), vmulq_n_f32(d, scale)));
}

ENX_INLINE float32x4_t subtract_scaled(float32x4_t sum, int32x4_t dot, float32x4_t d, float scale)
{
    return vsubq_f32(sum, vmulq_f32(vcvtq_f32_s32(dot), vmulq_n_f32(d, scale)));
}

/* The part of minima m of blocks of 32. */
ENX_INLINE float32x4_t add_minimum(float32x4_t sum, float32x4_t m, const enx_act_q8 *act)
{
    return vaddq_f32(sum, vmulq_n_f32(m, act->scale * (float)act->sum));
}

/* sum + a * lane number `lane` of b. */
ENX_INLINE int32x4_t add_times_lane(int32x4_t sum, int32x4_t a, int32x4_t b, size_t lane)
{
    switch (lane) {
    case 0:
        return vmlaq_laneq_s32(sum, a, b, 0);
    case 1:
        return vmlaq_laneq_s32(sum, a, b, 1);
    case 2:
        return vmlaq_laneq_s32(sum, a, b, 2);
    default:
        return vmlaq_laneq_s32(sum, a, b, 3);
    }
}

/* The sums of four parts from `part` on, of the length that has minima. */
ENX_INLINE int32x4_t sums_at(const enx_act_k *act, size_t part, const minima_of minima)
{
    return vmovl_s16(vld1_s16((minima == MINIMA_16 ? act->sums : act->pair_sums) + part));
}

ENX_INLINE size_t minima_count(const minima_of minima)
{
    return minima == MINIMA_NONE ? 0 : minima == MINIMA_16 ? ENX_K_PARTS : ENX_K_PARTS / 2;
}

/* ---- few activation rows ------------------------------------------------ */

/* Blocks of a panel times `batch` rows of x. */
ENX_INLINE void meet_32(float (*out)[TILE_ROWS], const uint8_t *block, size_t block_count,
                        const enx_act_q8 *x, size_t row_blocks, const size_t batch,
                        const kind_32 kind)
{
    for (size_t b = 0; b < block_count; b++, x++, block += TILE_ROWS * kind.block_bytes)
        for (size_t lane = 0; lane < TILE_ROWS; lane += LANES) {
            int8x16_t         q[TILE_QUADS];
            const float32x4_t d = scales_at(block, lane, kind);
            kind.open(q, block, lane);
            ENX_UNROLL
            for (size_t j = 0; j < batch; j++) {
                const enx_act_q8 *act = &x[j * row_blocks];
                const int8x16_t   x_q[] = { vld1q_s8(act->q), vld1q_s8(act->q + 16) };
                const int32x4_t   start = vdupq_n_s32(-kind.zero * act->sum);
                const int32x4_t   dot = dot_quads(start, q, x_q, 0, TILE_QUADS, kind.is_small);
                float32x4_t       sum = add_scaled(vld1q_f32(&out[j][lane]), dot, d, act->scale);
                if (kind.has_minimum) sum = add_minimum(sum, floats_at(block, 2, lane), act);
                vst1q_f32(&out[j][lane], sum);
            }
        }
}

/* dot[j] += the sums of 32 columns' parts, times their scales. */
ENX_INLINE void meet_step(int32x4_t dot[TILE_BATCH], const uint8_t *block, size_t lane, size_t step,
                          const enx_act_k *x, size_t row_blocks, const size_t batch,
                          const kind_k kind)
{
    const size_t parts = kind.part_count / K_STEPS, part_quads = TILE_QUADS / parts;
    int8x16_t    q[TILE_QUADS];
    kind.open(q, block, lane, step);
    ENX_UNROLL
    for (size_t part = 0; part < parts; part++) {
        const int32x4_t scale = kind.scale(block, lane, step * parts + part);
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) {
            const int8_t   *from = x[j * row_blocks].q + step * ENX_SMALL_BLOCK;
            const int8x16_t x_q[] = { vld1q_s8(from), vld1q_s8(from + 16) };
            const int32x4_t sum =
                dot_quads(vdupq_n_s32(0), q, x_q, part * part_quads, part_quads, kind.is_small);
            dot[j] = vmlaq_s32(dot[j], sum, scale);
        }
    }
}

/* Four rows of a block. */
ENX_INLINE void meet_rows(float (*out)[TILE_ROWS], const uint8_t *block, size_t lane,
                          const enx_act_k *x, size_t row_blocks, const size_t batch,
                          const kind_k kind)
{
    const size_t least_count = minima_count(kind.minima);
    int32x4_t    dot[TILE_BATCH], least[TILE_BATCH];
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) dot[j] = least[j] = vdupq_n_s32(0);
    ENX_UNROLL
    for (size_t step = 0; step < K_STEPS; step++) {
        meet_step(dot, block, lane, step, x, row_blocks, batch, kind);
        IN_TURN();
    }
    ENX_UNROLL
    for (size_t part = 0; part < least_count; part++) {
        const int32x4_t minimum = kind.minimum(block, lane, part);
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) {
            const int32x4_t sums = sums_at(&x[j * row_blocks], part / LANES * LANES, kind.minima);
            least[j] = add_times_lane(least[j], minimum, sums, part % LANES);
        }
    }
    const float32x4_t d = floats_at(block, kind.d_at, lane);
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) {
        const float scale = x[j * row_blocks].scale;
        float32x4_t sum = add_scaled(vld1q_f32(&out[j][lane]), dot[j], d, scale);
        if (kind.minima != MINIMA_NONE)
            sum = subtract_scaled(sum, least[j], floats_at(block, kind.dmin_at, lane), scale);
        vst1q_f32(&out[j][lane], sum);
    }
}

/* The same of blocks of 256. */
ENX_INLINE void meet_k(float (*out)[TILE_ROWS], const uint8_t *block, size_t block_count,
                       const enx_act_k *x, size_t row_blocks, const size_t batch, const kind_k kind)
{
    for (size_t b = 0; b < block_count; b++, x++, block += TILE_ROWS * kind.block_bytes)
        for (size_t lane = 0; lane < TILE_ROWS; lane += LANES)
            meet_rows(out, block, lane, x, row_blocks, batch, kind);
}

/* ---- many: tiles -------------------------------------------------------- */

typedef int8_t tile_quad[TILE_ROWS][4]; /* four columns of each row */

typedef struct small_tile {
    float     d[TILE_ROWS], m[TILE_ROWS];
    tile_quad q[TILE_QUADS];
} small_tile;

typedef struct large_tile {
    float     d[TILE_ROWS], dmin[TILE_ROWS];
    int32_t   scales[ENX_K_PARTS][TILE_ROWS], mins[ENX_K_PARTS][TILE_ROWS];
    tile_quad q[TILE_K_QUADS];
} large_tile;

/* Sums of eight rows and up to four activation rows. */
typedef int32x4_t tile_dots[STEP_PARTS][TILE_BATCH];

#if NEON_TILES == 2
/* While columns are added, a register has the sums of two rows, 4g + 2h and the next, and two
 * activation rows, 2p and the next: dot[g][2p + h].  Tiles have eight columns of a row together. */

ENX_INLINE void put_quads(tile_quad *to, size_t lane, const int8x16_t q[TILE_QUADS])
{
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k += 2) {
        const int32x4_t a = vreinterpretq_s32_s8(q[k]), b = vreinterpretq_s32_s8(q[k + 1]);
        int8_t         *at = to[k][0] + 8 * lane;
        vst1q_s8(at, vreinterpretq_s8_s32(vzip1q_s32(a, b)));
        vst1q_s8(at + 16, vreinterpretq_s8_s32(vzip2q_s32(a, b)));
    }
}

ENX_INLINE void start_dots(tile_dots dot, const int32_t start[TILE_BATCH], const size_t batch)
{
    ENX_UNROLL
    for (size_t j = 0; j < batch; j += 2) {
        const int32x2_t both = vld1_s32(start + j);
        ENX_UNROLL
        for (size_t g = 0; g < STEP_PARTS; g++)
            dot[g][j] = dot[g][j + 1] = vcombine_s32(both, both);
    }
}

/* Sixteen columns of two activation rows, eight of each together; a missing one is the first
 * again. */
ENX_INLINE void load_pair(int64x2_t act[2], const int8_t *first, const int8_t *second)
{
    const int64x2_t a = vreinterpretq_s64_s8(vld1q_s8(first));
    const int64x2_t b = vreinterpretq_s64_s8(vld1q_s8(second));
    act[0] = vzip1q_s64(a, b);
    act[1] = vzip2q_s64(a, b);
}

ENX_INLINE void add_columns(tile_dots dot, const tile_quad *q, size_t lane, const int8_t *x,
                            size_t x_bytes, const size_t batch)
{
    int64x2_t act[TILE_BATCH][2];
    ENX_UNROLL
    for (size_t j = 0; j < batch; j += 2)
        load_pair(act[j], x + j * x_bytes, x + (j + 1 < batch ? j + 1 : j) * x_bytes);
    ENX_UNROLL
    for (size_t eight = 0; eight < 2; eight++) ENX_UNROLL
    for (size_t g = 0; g < STEP_PARTS; g++) ENX_UNROLL
    for (size_t h = 0; h < 2; h++) {
        const int8x16_t w = vld1q_s8(q[2 * eight][0] + 8 * (lane + g * LANES + 2 * h));
        ENX_UNROLL
        for (size_t j = 0; j < batch; j += 2)
            dot[g][j + h] = vmmlaq_s32(dot[g][j + h], w, vreinterpretq_s8_s64(act[j][eight]));
    }
}

/* ... and then dot[g][j] those of rows 4g and on, and activation row j. */
ENX_INLINE void settle_dots(tile_dots dot, const size_t batch)
{
    ENX_UNROLL
    for (size_t g = 0; g < STEP_PARTS; g++) ENX_UNROLL
    for (size_t j = 0; j < batch; j += 2) {
        const int32x4_t a = dot[g][j], b = dot[g][j + 1];
        dot[g][j] = vuzp1q_s32(a, b);
        dot[g][j + 1] = vuzp2q_s32(a, b);
    }
}
#else
/* dot[g][j]: rows 4g and on, and activation row j. */

ENX_INLINE void put_quads(tile_quad *to, size_t lane, const int8x16_t q[TILE_QUADS])
{
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++) vst1q_s8(to[k][lane], q[k]);
}

ENX_INLINE void start_dots(tile_dots dot, const int32_t start[TILE_BATCH], const size_t batch)
{
    ENX_UNROLL
    for (size_t g = 0; g < STEP_PARTS; g++) ENX_UNROLL
    for (size_t j = 0; j < batch; j++) dot[g][j] = vdupq_n_s32(start[j]);
}

/* dot += the products of sixteen columns, of eight rows from `lane` on. */
ENX_INLINE void add_columns(tile_dots dot, const tile_quad *q, size_t lane, const int8_t *x,
                            size_t x_bytes, const size_t batch)
{
    int8x16_t act[TILE_BATCH];
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) act[j] = vld1q_s8(x + j * x_bytes);
    ENX_UNROLL
    for (size_t quad = 0; quad < 4; quad++) ENX_UNROLL
    for (size_t g = 0; g < STEP_PARTS; g++) {
        const int8x16_t w = vld1q_s8(q[quad][lane + g * LANES]);
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) dot[g][j] = dot_quad(dot[g][j], w, act[j], quad);
    }
}

ENX_INLINE void settle_dots(tile_dots dot, const size_t batch)
{
    (void)dot;
    (void)batch;
}
#endif

ENX_INLINE void open_small(small_tile *tile, const uint8_t *block, const kind_32 kind)
{
    for (size_t lane = 0; lane < TILE_ROWS; lane += LANES) {
        int8x16_t q[TILE_QUADS];
        kind.open(q, block, lane);
        put_quads(tile->q, lane, q);
        vst1q_f32(tile->d + lane, scales_at(block, lane, kind));
        if (kind.has_minimum) vst1q_f32(tile->m + lane, floats_at(block, 2, lane));
    }
}

ENX_INLINE void open_large(large_tile *tile, const uint8_t *block, const kind_k kind)
{
    const size_t least_count = minima_count(kind.minima);
    for (size_t lane = 0; lane < TILE_ROWS; lane += LANES) {
        ENX_UNROLL
        for (size_t step = 0; step < K_STEPS; step++) {
            int8x16_t q[TILE_QUADS];
            kind.open(q, block, lane, step);
            put_quads(tile->q + step * TILE_QUADS, lane, q);
        }
        ENX_UNROLL
        for (size_t part = 0; part < kind.part_count; part++)
            vst1q_s32(tile->scales[part] + lane, kind.scale(block, lane, part));
        ENX_UNROLL
        for (size_t part = 0; part < least_count; part++)
            vst1q_s32(tile->mins[part] + lane, kind.minimum(block, lane, part));
        vst1q_f32(tile->d + lane, floats_at(block, kind.d_at, lane));
        if (least_count) vst1q_f32(tile->dmin + lane, floats_at(block, kind.dmin_at, lane));
    }
}

/* Eight rows from `lane` on. */
ENX_INLINE void multiply_small(float (*out)[TILE_ROWS], const small_tile *tiles, size_t tile_count,
                               size_t lane, const enx_act_q8 *x, size_t row_blocks, const int zero,
                               const bool has_minimum, const size_t batch)
{
    const size_t x_bytes = row_blocks * sizeof *x;
    float32x4_t  sum[STEP_PARTS][TILE_BATCH];
    ENX_UNROLL
    for (size_t g = 0; g < STEP_PARTS; g++) ENX_UNROLL
    for (size_t j = 0; j < batch; j++) sum[g][j] = vld1q_f32(&out[j][lane + g * LANES]);
    for (size_t b = 0; b < tile_count; b++, x++) {
        tile_dots dot;
        int32_t   start[TILE_BATCH] = { 0 };
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) start[j] = -zero * x[j * row_blocks].sum;
        start_dots(dot, start, batch);
        add_columns(dot, tiles[b].q, lane, x->q, x_bytes, batch);
        add_columns(dot, tiles[b].q + 4, lane, x->q + 16, x_bytes, batch);
        settle_dots(dot, batch);
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) ENX_UNROLL
        for (size_t g = 0; g < STEP_PARTS; g++) {
            const enx_act_q8 *act = &x[j * row_blocks];
            const size_t      at = lane + g * LANES;
            sum[g][j] = add_scaled(sum[g][j], dot[g][j], vld1q_f32(tiles[b].d + at), act->scale);
            if (has_minimum) sum[g][j] = add_minimum(sum[g][j], vld1q_f32(tiles[b].m + at), act);
        }
    }
    ENX_UNROLL
    for (size_t g = 0; g < STEP_PARTS; g++) ENX_UNROLL
    for (size_t j = 0; j < batch; j++) vst1q_f32(&out[j][lane + g * LANES], sum[g][j]);
}

/* The sum of a tile's minima of four rows times an activation row's sums. */
ENX_INLINE int32x4_t least_of(const large_tile *tile, size_t lane, const enx_act_k *act,
                              const minima_of minima)
{
    const size_t count = minima_count(minima);
    int32x4_t    least = vdupq_n_s32(0);
    ENX_UNROLL
    for (size_t part = 0; part < count; part++)
        least = add_times_lane(least, vld1q_s32(tile->mins[part] + lane),
                               sums_at(act, part / LANES * LANES, minima), part % LANES);
    return least;
}

ENX_INLINE void multiply_large(float (*out)[TILE_ROWS], const large_tile *tile, size_t lane,
                               const enx_act_k *x, size_t row_blocks, const size_t part_count,
                               const minima_of minima, const size_t batch)
{
    const size_t  part_columns = ENX_K_BLOCK / part_count, x_bytes = row_blocks * sizeof *x;
    const int32_t none[TILE_BATCH] = { 0 };
    tile_dots     dot;
    start_dots(dot, none, batch);
    for (size_t part = 0; part < part_count; part++) {
        tile_dots sum;
        start_dots(sum, none, batch);
        ENX_UNROLL
        for (size_t i = 0; i < part_columns; i += 16) {
            const size_t column = part * part_columns + i;
            add_columns(sum, tile->q + column / 4, lane, x->q + column, x_bytes, batch);
        }
        settle_dots(sum, batch);
        ENX_UNROLL
        for (size_t g = 0; g < STEP_PARTS; g++) {
            const int32x4_t scales = vld1q_s32(&tile->scales[part][lane + g * LANES]);
            ENX_UNROLL
            for (size_t j = 0; j < batch; j++) dot[g][j] = vmlaq_s32(dot[g][j], sum[g][j], scales);
        }
    }
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) ENX_UNROLL
    for (size_t g = 0; g < STEP_PARTS; g++) {
        const enx_act_k *act = &x[j * row_blocks];
        const size_t     at = lane + g * LANES;
        float32x4_t      sum = vld1q_f32(&out[j][at]);
        sum = add_scaled(sum, dot[g][j], vld1q_f32(tile->d + at), act->scale);
        if (minima != MINIMA_NONE)
            sum = subtract_scaled(sum, least_of(tile, at, act, minima), vld1q_f32(tile->dmin + at),
                                  act->scale);
        vst1q_f32(&out[j][at], sum);
    }
}

/* ---- kinds -------------------------------------------------------------- */

#define EACH_BATCH(define, ...) \
    define(__VA_ARGS__, 1) define(__VA_ARGS__, 2) define(__VA_ARGS__, 3) define(__VA_ARGS__, 4)

/* Blocks as they are, or tiles, times 1 to 4 activation rows: each a multiply_fn of tiles.h. */
#define MEET_32(name, batch)                                                                \
    static void meet_##name##_##batch(float(*sum)[TILE_ROWS], const void *blocks,           \
                                      size_t block_count, const void *x, size_t row_blocks) \
    {                                                                                       \
        meet_32(sum, blocks, block_count, x, row_blocks, batch, kind_##name());             \
    }
#define MEET_K(name, batch)                                                                 \
    static void meet_##name##_##batch(float(*sum)[TILE_ROWS], const void *blocks,           \
                                      size_t block_count, const void *x, size_t row_blocks) \
    {                                                                                       \
        meet_k(sum, blocks, block_count, x, row_blocks, batch, kind_##name());              \
    }
#define MULTIPLY_32(name, zero, has_minimum, batch)                                                \
    static void name##_##batch(float(*sum)[TILE_ROWS], const void *tiles, size_t tile_count,       \
                               const void *x, size_t row_blocks)                                   \
    {                                                                                              \
        for (size_t lane = 0; lane < TILE_ROWS; lane += STEP_ROWS)                                 \
            multiply_small(sum, tiles, tile_count, lane, x, row_blocks, zero, has_minimum, batch); \
    }
#define MULTIPLY_K(name, part_count, minima, batch)                                          \
    static void name##_##batch(float(*sum)[TILE_ROWS], const void *tiles, size_t tile_count, \
                               const void *x, size_t row_blocks)                             \
    {                                                                                        \
        (void)tile_count;                                                                    \
        for (size_t lane = 0; lane < TILE_ROWS; lane += STEP_ROWS)                           \
            multiply_large(sum, tiles, lane, x, row_blocks, part_count, minima, batch);      \
    }
#if NEON_TILES
EACH_BATCH(MULTIPLY_32, small_0, 0, false)
EACH_BATCH(MULTIPLY_32, small_8, 8, false)
EACH_BATCH(MULTIPLY_32, small_16, 16, false)
EACH_BATCH(MULTIPLY_32, small_more, 0, true)
EACH_BATCH(MULTIPLY_K, parts_8, 8, MINIMA_NONE)
EACH_BATCH(MULTIPLY_K, parts_8_more, 8, MINIMA_32)
EACH_BATCH(MULTIPLY_K, parts_16, 16, MINIMA_NONE)
EACH_BATCH(MULTIPLY_K, parts_16_more, 16, MINIMA_16)
#endif

#define DEFINE_32(name, zero, is_small, has_exponent, has_minimum)                             \
    ENX_INLINE kind_32 kind_##name(void)                                                       \
    {                                                                                          \
        return (kind_32){ open_##name, sizeof(enx_block_##name), zero, is_small, has_exponent, \
                          has_minimum };                                                       \
    }                                                                                          \
    EACH_BATCH(MEET_32, name)
#define DEFINE_K(name, scale, minimum, dmin_at, part_count, is_small, minima) \
    ENX_INLINE kind_k kind_##name(void)                                       \
    {                                                                         \
        return (kind_k){ open_##name,                                         \
                         scale,                                               \
                         minimum,                                             \
                         sizeof(enx_block_##name),                            \
                         offsetof(enx_block_##name, d),                       \
                         dmin_at,                                             \
                         part_count,                                          \
                         is_small,                                            \
                         minima };                                            \
    }                                                                         \
    EACH_BATCH(MEET_K, name)
#define DEFINE_TILE(name, size)                               \
    static void tile_##name(void *tile, const uint8_t *block) \
    {                                                         \
        open_##size(tile, block, kind_##name());              \
    }
DEFINE_32(q4_0, 8, true, false, false)
DEFINE_32(q4_1, 0, true, false, true)
DEFINE_32(q5_0, 16, true, false, false)
DEFINE_32(q5_1, 0, true, false, true)
DEFINE_32(q8_0, 0, false, false, false)
DEFINE_32(iq4_nl, 0, false, false, false)
DEFINE_32(mxfp4, 0, true, true, false)
DEFINE_K(q2_k, scale_q2_k, minimum_q2_k, offsetof(enx_block_q2_k, dmin), 16, true, MINIMA_16)
DEFINE_K(q3_k, scale_q3_k, NULL, 0, 16, true, MINIMA_NONE)
DEFINE_K(q4_k, scale_q4_k, minimum_q4_k, offsetof(enx_block_q4_k, dmin), 8, true, MINIMA_32)
DEFINE_K(q5_k, scale_q4_k, minimum_q4_k, offsetof(enx_block_q5_k, dmin), 8, true, MINIMA_32)
DEFINE_K(q6_k, scale_q6_k, NULL, 0, 16, true, MINIMA_NONE)
DEFINE_K(iq4_xs, scale_iq4_xs, NULL, 0, 8, false, MINIMA_NONE)
#if NEON_TILES
DEFINE_TILE(q4_0, small)
DEFINE_TILE(q4_1, small)
DEFINE_TILE(q5_0, small)
DEFINE_TILE(q5_1, small)
DEFINE_TILE(iq4_nl, small)
DEFINE_TILE(mxfp4, small)
DEFINE_TILE(q2_k, large)
DEFINE_TILE(q3_k, large)
DEFINE_TILE(q4_k, large)
DEFINE_TILE(q5_k, large)
DEFINE_TILE(q6_k, large)
DEFINE_TILE(iq4_xs, large)
#endif
#if NEON_TILES == 2
DEFINE_TILE(q8_0, small)
#endif

typedef struct neon_kind {
    open_tile_fn open;                 /* NULL: a panel's blocks are the tiles */
    multiply_fn  meet[TILE_BATCH];     /* blocks of a panel and 1, 2, ... activation rows */
    multiply_fn  multiply[TILE_BATCH]; /* tiles and so many */
    size_t       block_bytes;          /* of one row */
} neon_kind;

#define BATCHES(name)                          \
    {                                          \
        name##_1, name##_2, name##_3, name##_4 \
    }
#define KIND_OF(name, open, multiply)                                           \
    {                                                                           \
        open, BATCHES(meet_##name), BATCHES(multiply), sizeof(enx_block_##name) \
    }
#define KIND_AS_IT_LIES(name, multiply) KIND_OF(name, NULL, meet_##name)
#define KIND_OF_TILES(name, multiply)   KIND_OF(name, tile_##name, multiply)
#if NEON_TILES
#define KIND KIND_OF_TILES
#else
#define KIND KIND_AS_IT_LIES
#endif
#if NEON_TILES == 2
#define KIND_Q8_0 KIND_OF_TILES
#else
#define KIND_Q8_0 KIND_AS_IT_LIES
#endif
static const neon_kind neon_kinds[ENX_QUANT_COUNT] = {
    [ENX_QUANT_Q4_0] = KIND(q4_0, small_8),      [ENX_QUANT_Q4_1] = KIND(q4_1, small_more),
    [ENX_QUANT_Q5_0] = KIND(q5_0, small_16),     [ENX_QUANT_Q5_1] = KIND(q5_1, small_more),
    [ENX_QUANT_Q8_0] = KIND_Q8_0(q8_0, small_0), [ENX_QUANT_Q2_K] = KIND(q2_k, parts_16_more),
    [ENX_QUANT_Q3_K] = KIND(q3_k, parts_16),     [ENX_QUANT_Q4_K] = KIND(q4_k, parts_8_more),
    [ENX_QUANT_Q5_K] = KIND(q5_k, parts_8_more), [ENX_QUANT_Q6_K] = KIND(q6_k, parts_16),
    [ENX_QUANT_IQ4_NL] = KIND(iq4_nl, small_0),  [ENX_QUANT_IQ4_XS] = KIND(iq4_xs, parts_8),
    [ENX_QUANT_MXFP4] = KIND(mxfp4, small_0),
};

/* ---- products ---------------------------------------------------------- */

typedef struct tile_buffer {
    float sums[SUMS_MAX][TILE_ROWS];
    union {
        small_tile small[TILE_COLS / ENX_SMALL_BLOCK];
        large_tile large;
    } tiles;
} tile_buffer;

/* What does not change from panel to panel. */
typedef struct operands {
    const neon_kind *kind;
    const uint8_t   *w, *x;
    size_t           blocks, act_bytes; /* of a row, of a block of activations */
    bool             is_large;
} operands;

/* `count` blocks of a panel, or of their tile, times `batch` rows of x. */
static void multiply_blocks(tile_buffer *buffer, const operands *o, const uint8_t *from,
                            const uint8_t *x, size_t count, size_t batch)
{
    const neon_kind *kind = o->kind;
    for (size_t i = 0; i < count && kind->open; i++)
        kind->open(o->is_large ? (void *)&buffer->tiles.large : &buffer->tiles.small[i],
                   from + i * TILE_ROWS * kind->block_bytes);
    const void *tiles = kind->open ? (const void *)&buffer->tiles : from;
    for (size_t j = 0; j < batch; j += TILE_BATCH) {
        const size_t left = batch - j < TILE_BATCH ? batch - j : TILE_BATCH;
        kind->multiply[left - 1](buffer->sums + j, tiles, count, x + j * o->blocks * o->act_bytes,
                                 o->blocks);
    }
}

/* Panel number `panel` times rows of x from `first` on; the sums are left in the buffer. */
static void multiply_panel(tile_buffer *buffer, const operands *o, size_t panel, size_t first,
                           size_t batch)
{
    const size_t   block_bytes = TILE_ROWS * o->kind->block_bytes;
    const size_t   step = o->is_large ? 1 : TILE_COLS / ENX_SMALL_BLOCK;
    const uint8_t *from = o->w + panel * o->blocks * block_bytes;
    const uint8_t *x = o->x + first * o->blocks * o->act_bytes;
    memset(buffer->sums, 0, batch * sizeof *buffer->sums);
    if (batch <= TILE_BATCH) {
        o->kind->meet[batch - 1](buffer->sums, from, o->blocks, x, o->blocks);
        return;
    }
    for (size_t b = 0; b < o->blocks; b += step) {
        const size_t count = o->blocks - b < step ? o->blocks - b : step;
        multiply_blocks(buffer, o, from + b * block_bytes, x + b * o->act_bytes, count, batch);
    }
}

ENX_INLINE size_t row_at(const enx_matmul_shape *s, size_t r) { return s->ids ? s->ids[r] : r; }

/* `batch` rows of x from `first` on.  Rows out of anywhere want each panel that has one of them. */
static void multiply_batch(float *out, const operands *o, const enx_matmul_shape *s, size_t first,
                           size_t batch)
{
    tile_buffer buffer;
    for (size_t r = 0, end; r < s->row_count; r = end) {
        const size_t panel = row_at(s, r) / TILE_ROWS;
        for (end = r + 1; end < s->row_count && row_at(s, end) / TILE_ROWS == panel;) end++;
        multiply_panel(&buffer, o, panel, first, batch);
        for (size_t j = 0; j < batch; j++)
            for (size_t i = r; i < end; i++)
                out[(first + j) * s->out_stride + i] = buffer.sums[j][row_at(s, i) % TILE_ROWS];
    }
}

static void matmul_quant(float *out, enx_quant quant, const void *w, const void *x,
                         const enx_matmul_shape *s)
{
    const bool     is_large = enx_quant_is_large(quant);
    const operands o = { .kind = &neon_kinds[quant],
                         .w = w,
                         .x = x,
                         .blocks = s->col_count / (is_large ? ENX_K_BLOCK : ENX_SMALL_BLOCK),
                         .act_bytes = is_large ? sizeof(enx_act_k) : sizeof(enx_act_q8),
                         .is_large = is_large };
    for (size_t first = 0; first < s->batch_count; first += SUMS_MAX) {
        const size_t left = s->batch_count - first;
        multiply_batch(out, &o, s, first, left < SUMS_MAX ? left : SUMS_MAX);
    }
}

/* ---- what the processor can -------------------------------------------- */

enum { PEAK_CHAINS = 16 }; /* sums that do not wait for each other */

static uint64_t peak_int8(uint64_t rounds, int32_t *sink)
{
    const int8x16_t w = vdupq_n_s8((int8_t)*sink), x = vdupq_n_s8((int8_t)(*sink + 1));
    int32x4_t       sum[PEAK_CHAINS], total = vdupq_n_s32(0);
    for (int i = 0; i < PEAK_CHAINS; i++) sum[i] = vdupq_n_s32(i);
    for (uint64_t round = 0; round < rounds; round++) {
        ENX_UNROLL
        for (int i = 0; i < PEAK_CHAINS; i++) sum[i] = dot_quad(sum[i], w, x, i % 4);
    }
    for (int i = 0; i < PEAK_CHAINS; i++) total = vaddq_s32(total, sum[i]);
    *sink += vaddvq_s32(total);
    return rounds * PEAK_CHAINS * sizeof w * 2;
}

static void bind_products(enx_kernels *table)
{
    table->matmul_quant = matmul_quant;
    table->peak_int8 = peak_int8;
}

#endif /* ENX_KERNELS_PRODUCTS_NEON_BODY_H */
