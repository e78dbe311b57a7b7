/* SPDX-License-Identifier: Apache-2.0 */
/* dequant_body.h - ggml's blocks as floats; included once by each level's file.
 *
 * One text for all levels: the compiler widens the loops, and no operation is fused or reordered,
 * so the levels agree bit for bit.  A block's values are computed part by part, a part being the
 * values that share a scale; loops over parts have constant lengths.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 * Source: ggml's published layouts (ggml-common.h) and gguf-py's quants.py.
 */
#ifndef ENX_KERNELS_DEQUANT_BODY_H
#define ENX_KERNELS_DEQUANT_BODY_H

#include "kernels/kernels_impl.h"

#include <string.h>

ENX_INLINE float f16_at(const uint8_t at[2])
{
    return enx_f32_of_f16((uint16_t)(at[0] | at[1] << 8));
}

ENX_INLINE uint32_t bits_at(const uint8_t at[4])
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* ---- blocks of 32 ------------------------------------------------------ */

static void f32_from_q4_0(float *out, const void *in, size_t n)
{
    const enx_block_q4_0 *block = in;
    for (size_t at = 0; at < n; at += ENX_SMALL_BLOCK, block++) {
        const float d = f16_at(block->d);
        for (size_t i = 0; i < 16; i++) out[at + i] = d * (float)((block->q[i] & 15) - 8);
        for (size_t i = 0; i < 16; i++) out[at + 16 + i] = d * (float)((block->q[i] >> 4) - 8);
    }
}

static void f32_from_q4_1(float *out, const void *in, size_t n)
{
    const enx_block_q4_1 *block = in;
    for (size_t at = 0; at < n; at += ENX_SMALL_BLOCK, block++) {
        const float d = f16_at(block->d), m = f16_at(block->m);
        for (size_t i = 0; i < 16; i++) out[at + i] = d * (float)(block->q[i] & 15) + m;
        for (size_t i = 0; i < 16; i++) out[at + 16 + i] = d * (float)(block->q[i] >> 4) + m;
    }
}

static void f32_from_q5_0(float *out, const void *in, size_t n)
{
    const enx_block_q5_0 *block = in;
    for (size_t at = 0; at < n; at += ENX_SMALL_BLOCK, block++) {
        const float    d = f16_at(block->d);
        const uint32_t high = bits_at(block->high);
        for (uint32_t i = 0; i < 16; i++) {
            const int q = (int)((block->q[i] & 15u) | (high >> i & 1u) << 4);
            out[at + i] = d * (float)(q - 16);
        }
        for (uint32_t i = 0; i < 16; i++) {
            const int q = (int)((uint32_t)block->q[i] >> 4 | (high >> (16 + i) & 1u) << 4);
            out[at + 16 + i] = d * (float)(q - 16);
        }
    }
}

static void f32_from_q5_1(float *out, const void *in, size_t n)
{
    const enx_block_q5_1 *block = in;
    for (size_t at = 0; at < n; at += ENX_SMALL_BLOCK, block++) {
        const float    d = f16_at(block->d), m = f16_at(block->m);
        const uint32_t high = bits_at(block->high);
        for (uint32_t i = 0; i < 16; i++) {
            const int q = (int)((block->q[i] & 15u) | (high >> i & 1u) << 4);
            out[at + i] = d * (float)q + m;
        }
        for (uint32_t i = 0; i < 16; i++) {
            const int q = (int)((uint32_t)block->q[i] >> 4 | (high >> (16 + i) & 1u) << 4);
            out[at + 16 + i] = d * (float)q + m;
        }
    }
}

/* The levels of the uneven four bits, finer around zero. */
static const int8_t uneven_levels[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113 };

ENX_INLINE void spread_levels(float *out, float scale, const uint8_t *q, const int8_t *levels)
{
    for (size_t i = 0; i < 16; i++) out[i] = scale * (float)levels[q[i] & 15];
    for (size_t i = 0; i < 16; i++) out[16 + i] = scale * (float)levels[q[i] >> 4];
}

static void f32_from_iq4_nl(float *out, const void *in, size_t n)
{
    const enx_block_iq4_nl *block = in;
    for (size_t at = 0; at < n; at += ENX_SMALL_BLOCK, block++)
        spread_levels(out + at, f16_at(block->d), block->q, uneven_levels);
}

/* The levels are doubled to be whole numbers, so the scale is halved: 2^(exponent - 128), whose
 * two smallest values are subnormal. */
static void f32_from_mxfp4(float *out, const void *in, size_t n)
{
    static const int8_t doubled[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    const enx_block_mxfp4 *block = in;
    for (size_t at = 0; at < n; at += ENX_SMALL_BLOCK, block++) {
        const uint32_t e = block->exponent, word = e < 2 ? 0x00200000u << e : (e - 1) << 23;
        float          scale;
        memcpy(&scale, &word, sizeof scale);
        spread_levels(out + at, scale, block->q, doubled);
    }
}

/* ---- blocks of 256 ----------------------------------------------------- */

static void f32_from_q2_k(float *out, const void *in, size_t n)
{
    const enx_block_q2_k *block = in;
    for (size_t at = 0; at < n; at += ENX_K_BLOCK, block++) {
        const float d = f16_at(block->d), dmin = f16_at(block->dmin);
        for (size_t part = 0; part < 16; part++) {
            const float    scale = d * (float)(block->scales[part] & 15);
            const float    least = dmin * (float)(block->scales[part] >> 4);
            const uint8_t *q = block->q + part / 8 * 32 + part % 2 * 16;
            const unsigned shift = part % 8 / 2 * 2;
            for (size_t i = 0; i < 16; i++)
                out[at + part * 16 + i] = scale * (float)(q[i] >> shift & 3) - least;
        }
    }
}

static void f32_from_q3_k(float *out, const void *in, size_t n)
{
    const enx_block_q3_k *block = in;
    for (size_t at = 0; at < n; at += ENX_K_BLOCK, block++) {
        const float d = f16_at(block->d);
        for (size_t part = 0; part < 16; part++) {
            const int      low = block->scales[part % 8] >> part / 8 * 4 & 15;
            const int      pair = block->scales[8 + part % 4] >> part / 4 * 2 & 3;
            const float    scale = d * (float)((low | pair << 4) - 32);
            const uint8_t *q = block->q + part / 8 * 32 + part % 2 * 16;
            const uint8_t *high = block->high + part % 2 * 16;
            const unsigned shift = part % 8 / 2 * 2, bit = (unsigned)part / 2;
            for (size_t i = 0; i < 16; i++) {
                const int value = (q[i] >> shift & 3) + (high[i] >> bit & 1) * 4 - 4;
                out[at + part * 16 + i] = scale * (float)value;
            }
        }
    }
}

/* The first four scales and minima are the low six bits of bytes 0 to 3 and 4 to 7; the others
 * have their low nibbles in bytes 8 to 11 and their upper two bits above those of the first. */
ENX_INLINE int k_scale(const uint8_t s[ENX_K_SCALES], size_t part)
{
    return part < 4 ? s[part] & 63 : (s[part + 4] & 15) | s[part - 4] >> 6 << 4;
}

ENX_INLINE int k_minimum(const uint8_t s[ENX_K_SCALES], size_t part)
{
    return part < 4 ? s[part + 4] & 63 : s[part + 4] >> 4 | s[part] >> 6 << 4;
}

static void f32_from_q4_k(float *out, const void *in, size_t n)
{
    const enx_block_q4_k *block = in;
    for (size_t at = 0; at < n; at += ENX_K_BLOCK, block++) {
        const float d = f16_at(block->d), dmin = f16_at(block->dmin);
        for (size_t part = 0; part < 8; part++) {
            const float    scale = d * (float)k_scale(block->scales, part);
            const float    least = dmin * (float)k_minimum(block->scales, part);
            const uint8_t *q = block->q + part / 2 * 32;
            const unsigned shift = part % 2 * 4;
            for (size_t i = 0; i < 32; i++)
                out[at + part * 32 + i] = scale * (float)(q[i] >> shift & 15) - least;
        }
    }
}

static void f32_from_q5_k(float *out, const void *in, size_t n)
{
    const enx_block_q5_k *block = in;
    for (size_t at = 0; at < n; at += ENX_K_BLOCK, block++) {
        const float d = f16_at(block->d), dmin = f16_at(block->dmin);
        for (size_t part = 0; part < 8; part++) {
            const float    scale = d * (float)k_scale(block->scales, part);
            const float    least = dmin * (float)k_minimum(block->scales, part);
            const uint8_t *q = block->q + part / 2 * 32;
            const unsigned shift = part % 2 * 4, bit = (unsigned)part;
            for (size_t i = 0; i < 32; i++) {
                const int value = (q[i] >> shift & 15) | (block->high[i] >> bit & 1) << 4;
                out[at + part * 32 + i] = scale * (float)value - least;
            }
        }
    }
}

static void f32_from_q6_k(float *out, const void *in, size_t n)
{
    const enx_block_q6_k *block = in;
    for (size_t at = 0; at < n; at += ENX_K_BLOCK, block++) {
        const float d = f16_at(block->d);
        for (size_t part = 0; part < 16; part++) {
            const float    scale = d * (float)block->scales[part];
            const uint8_t *low = block->low + part / 8 * 64 + part % 4 * 16;
            const uint8_t *high = block->high + part / 8 * 32 + part % 2 * 16;
            const unsigned half = part % 8 / 4 * 4, pair = part % 8 / 2 * 2;
            for (size_t i = 0; i < 16; i++) {
                const int value = (low[i] >> half & 15) | (high[i] >> pair & 3) << 4;
                out[at + part * 16 + i] = scale * (float)(value - 32);
            }
        }
    }
}

static void f32_from_iq4_xs(float *out, const void *in, size_t n)
{
    const enx_block_iq4_xs *block = in;
    for (size_t at = 0; at < n; at += ENX_K_BLOCK, block++) {
        const float d = f16_at(block->d);
        for (size_t part = 0; part < 8; part++) {
            const int low = block->scales_low[part / 2] >> part % 2 * 4 & 15;
            const int pair = block->scales_high[part / 4] >> part % 4 * 2 & 3;
            spread_levels(out + at + part * 32, d * (float)((low | pair << 4) - 32),
                          block->q + part * 16, uneven_levels);
        }
    }
}

static void bind_dequant(enx_kernels *table)
{
    table->f32_from_quant[ENX_QUANT_Q4_0] = f32_from_q4_0;
    table->f32_from_quant[ENX_QUANT_Q4_1] = f32_from_q4_1;
    table->f32_from_quant[ENX_QUANT_Q5_0] = f32_from_q5_0;
    table->f32_from_quant[ENX_QUANT_Q5_1] = f32_from_q5_1;
    table->f32_from_quant[ENX_QUANT_Q2_K] = f32_from_q2_k;
    table->f32_from_quant[ENX_QUANT_Q3_K] = f32_from_q3_k;
    table->f32_from_quant[ENX_QUANT_Q4_K] = f32_from_q4_k;
    table->f32_from_quant[ENX_QUANT_Q5_K] = f32_from_q5_k;
    table->f32_from_quant[ENX_QUANT_Q6_K] = f32_from_q6_k;
    table->f32_from_quant[ENX_QUANT_IQ4_NL] = f32_from_iq4_nl;
    table->f32_from_quant[ENX_QUANT_IQ4_XS] = f32_from_iq4_xs;
    table->f32_from_quant[ENX_QUANT_MXFP4] = f32_from_mxfp4;
}

#endif /* ENX_KERNELS_DEQUANT_BODY_H */
