/* SPDX-License-Identifier: Apache-2.0 */
/* plain_body.h - ggml's blocks as plain ones and as floats; included once by a source.
 *
 * One text for all levels: the compiler widens the loops, and no operation is fused or reordered,
 * so the levels agree bit for bit.  Everything about a layout is in the one function that makes it
 * plain; floats follow from that.  Loops over parts have constant lengths.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 * Source: ggml's published layouts (ggml-common.h) and gguf-py's quants.py.
 */
#ifndef ENX_KERNELS_PLAIN_BODY_H
#define ENX_KERNELS_PLAIN_BODY_H

#include "kernels/kernels_impl.h"

#include <string.h>
#if defined(__F16C__)
#include <immintrin.h>
#endif

ENX_INLINE float f16_at(const uint8_t at[2])
{
    const uint16_t bits = (uint16_t)(at[0] | at[1] << 8);
#if defined(__F16C__)
    return _cvtsh_ss(bits);
#elif defined(__aarch64__)
    __fp16 half;
    memcpy(&half, &bits, sizeof half);
    return (float)half;
#else
    return enx_f32_of_f16(bits);
#endif
}

ENX_INLINE uint32_t bits_at(const uint8_t at[4])
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* ---- blocks of 32 ------------------------------------------------------ */

/* Added to any number, a zero among them, it leaves every bit. */
#define NO_MINIMUM -0.0f

/* Nibbles less `middle`: the low ones first. */
ENX_INLINE void open_nibbles(int8_t out[32], const uint8_t q[16], int middle)
{
    for (size_t i = 0; i < 16; i++) out[i] = (int8_t)((q[i] & 15) - middle);
    for (size_t i = 0; i < 16; i++) out[16 + i] = (int8_t)((q[i] >> 4) - middle);
}

/* A fifth bit for each of 32 nibbles. */
ENX_INLINE void add_fifth_bits(int8_t out[32], uint32_t high)
{
    for (uint32_t i = 0; i < 32; i++) out[i] = (int8_t)(out[i] + (int)((high >> i & 1u) << 4));
}

ENX_INLINE void open_levels(int8_t out[32], const uint8_t q[16], const int8_t levels[16])
{
    for (size_t i = 0; i < 16; i++) out[i] = levels[q[i] & 15];
    for (size_t i = 0; i < 16; i++) out[16 + i] = levels[q[i] >> 4];
}

static void plain_from_q4_0(void *out, const void *in, size_t n)
{
    const enx_block_q4_0 *block = in;
    enx_plain_32         *plain = out;
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++) {
        plain[b].d = f16_at(block[b].d);
        plain[b].m = NO_MINIMUM;
        open_nibbles(plain[b].q, block[b].q, 8);
    }
}

static void plain_from_q4_1(void *out, const void *in, size_t n)
{
    const enx_block_q4_1 *block = in;
    enx_plain_32         *plain = out;
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++) {
        plain[b].d = f16_at(block[b].d);
        plain[b].m = f16_at(block[b].m);
        open_nibbles(plain[b].q, block[b].q, 0);
    }
}

static void plain_from_q5_0(void *out, const void *in, size_t n)
{
    const enx_block_q5_0 *block = in;
    enx_plain_32         *plain = out;
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++) {
        plain[b].d = f16_at(block[b].d);
        plain[b].m = NO_MINIMUM;
        open_nibbles(plain[b].q, block[b].q, 16);
        add_fifth_bits(plain[b].q, bits_at(block[b].high));
    }
}

static void plain_from_q5_1(void *out, const void *in, size_t n)
{
    const enx_block_q5_1 *block = in;
    enx_plain_32         *plain = out;
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++) {
        plain[b].d = f16_at(block[b].d);
        plain[b].m = f16_at(block[b].m);
        open_nibbles(plain[b].q, block[b].q, 0);
        add_fifth_bits(plain[b].q, bits_at(block[b].high));
    }
}

static void plain_from_q8_0(void *out, const void *in, size_t n)
{
    const enx_block_q8_0 *block = in;
    enx_plain_32         *plain = out;
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++) {
        plain[b].d = f16_at(block[b].d);
        plain[b].m = NO_MINIMUM;
        memcpy(plain[b].q, block[b].q, sizeof block[b].q);
    }
}

/* The levels of the uneven four bits, finer around zero. */
static const int8_t uneven_levels[16] = { -127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113 };

static void plain_from_iq4_nl(void *out, const void *in, size_t n)
{
    const enx_block_iq4_nl *block = in;
    enx_plain_32           *plain = out;
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++) {
        plain[b].d = f16_at(block[b].d);
        plain[b].m = NO_MINIMUM;
        open_levels(plain[b].q, block[b].q, uneven_levels);
    }
}

/* The levels are doubled to be whole numbers, so the scale is halved: 2^(exponent - 128), whose
 * two smallest values are subnormal. */
static const int8_t doubled_levels[16] = {
    0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12
};

ENX_INLINE float mxfp4_scale(uint32_t exponent)
{
    const uint32_t word = exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23;
    float          scale;
    memcpy(&scale, &word, sizeof scale);
    return scale;
}

static void plain_from_mxfp4(void *out, const void *in, size_t n)
{
    const enx_block_mxfp4 *block = in;
    enx_plain_32          *plain = out;
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++) {
        plain[b].d = mxfp4_scale(block[b].exponent);
        plain[b].m = NO_MINIMUM;
        open_levels(plain[b].q, block[b].q, doubled_levels);
    }
}

/* ---- blocks of 256 ----------------------------------------------------- */

static void plain_from_q2_k(void *out, const void *in, size_t n)
{
    const enx_block_q2_k *block = in;
    enx_plain_k          *plain = out;
    for (size_t b = 0; b < n / ENX_K_BLOCK; b++, block++, plain++) {
        plain->d = f16_at(block->d);
        plain->dmin = f16_at(block->dmin);
        for (size_t part = 0; part < 16; part++) plain->scales[part] = block->scales[part] & 15;
        for (size_t part = 0; part < 16; part++) plain->mins[part] = block->scales[part] >> 4;
        for (size_t part = 0; part < 8; part++) {
            const uint8_t *q = block->q + part / 4 * 32;
            const unsigned shift = part % 4 * 2;
            for (size_t i = 0; i < 32; i++) plain->q[part * 32 + i] = (int8_t)(q[i] >> shift & 3);
        }
    }
}

static void plain_from_q3_k(void *out, const void *in, size_t n)
{
    const enx_block_q3_k *block = in;
    enx_plain_k          *plain = out;
    for (size_t b = 0; b < n / ENX_K_BLOCK; b++, block++, plain++) {
        plain->d = f16_at(block->d);
        plain->dmin = 0;
        memset(plain->mins, 0, sizeof plain->mins);
        for (size_t part = 0; part < 16; part++) {
            const int low = block->scales[part % 8] >> part / 8 * 4 & 15;
            const int pair = block->scales[8 + part % 4] >> part / 4 * 2 & 3;
            plain->scales[part] = (int16_t)((low | pair << 4) - 32);
        }
        for (size_t part = 0; part < 8; part++) {
            const uint8_t *q = block->q + part / 4 * 32;
            const unsigned shift = part % 4 * 2;
            for (size_t i = 0; i < 32; i++)
                plain->q[part * 32 + i] =
                    (int8_t)((q[i] >> shift & 3) + (block->high[i] >> part & 1) * 4 - 4);
        }
    }
}

/* The first four scales and minima are the low six bits of bytes 0 to 3 and 4 to 7; the others
 * have their low nibbles in bytes 8 to 11 and their upper two bits above those of the first.  Four
 * bytes are treated as one word. */
ENX_INLINE void open_k_scales(enx_plain_k *out, const uint8_t s[ENX_K_SCALES])
{
    const uint32_t first = bits_at(s), second = bits_at(s + 4), third = bits_at(s + 8);
    const uint32_t scales[2] = { first & 0x3F3F3F3F,
                                 (third & 0x0F0F0F0F) | (first >> 6 & 0x03030303) << 4 };
    const uint32_t mins[2] = { second & 0x3F3F3F3F,
                               (third >> 4 & 0x0F0F0F0F) | (second >> 6 & 0x03030303) << 4 };
    uint8_t        bytes[2][8];
    memcpy(bytes[0], scales, sizeof bytes[0]);
    memcpy(bytes[1], mins, sizeof bytes[1]);
    for (size_t i = 0; i < 8; i++) { /* one store for the two parts of 16 */
        const uint32_t twice = bytes[0][i] * 0x10001u;
        memcpy(&out->scales[2 * i], &twice, sizeof twice);
    }
    for (size_t i = 0; i < 8; i++) {
        const uint32_t twice = bytes[1][i] * 0x10001u;
        memcpy(&out->mins[2 * i], &twice, sizeof twice);
    }
}

static void plain_from_q4_k(void *out, const void *in, size_t n)
{
    const enx_block_q4_k *block = in;
    enx_plain_k          *plain = out;
    for (size_t b = 0; b < n / ENX_K_BLOCK; b++, block++, plain++) {
        plain->d = f16_at(block->d);
        plain->dmin = f16_at(block->dmin);
        open_k_scales(plain, block->scales);
        for (size_t pair = 0; pair < 4; pair++) {
            const uint8_t *q = block->q + pair * 32;
            int8_t        *at = plain->q + pair * 64;
            for (size_t i = 0; i < 32; i++) at[i] = (int8_t)(q[i] & 15);
            for (size_t i = 0; i < 32; i++) at[32 + i] = (int8_t)(q[i] >> 4);
        }
    }
}

static void plain_from_q5_k(void *out, const void *in, size_t n)
{
    const enx_block_q5_k *block = in;
    enx_plain_k          *plain = out;
    for (size_t b = 0; b < n / ENX_K_BLOCK; b++, block++, plain++) {
        plain->d = f16_at(block->d);
        plain->dmin = f16_at(block->dmin);
        open_k_scales(plain, block->scales);
        for (size_t pair = 0; pair < 4; pair++) {
            const uint8_t *q = block->q + pair * 32, *high = block->high;
            int8_t        *at = plain->q + pair * 64;
            for (size_t i = 0; i < 32; i++)
                at[i] = (int8_t)((q[i] & 15) | (high[i] >> 2 * pair & 1) << 4);
            for (size_t i = 0; i < 32; i++)
                at[32 + i] = (int8_t)(q[i] >> 4 | (high[i] >> (2 * pair + 1) & 1) << 4);
        }
    }
}

static void plain_from_q6_k(void *out, const void *in, size_t n)
{
    const enx_block_q6_k *block = in;
    enx_plain_k          *plain = out;
    for (size_t b = 0; b < n / ENX_K_BLOCK; b++, block++, plain++) {
        plain->d = f16_at(block->d);
        plain->dmin = 0;
        memset(plain->mins, 0, sizeof plain->mins);
        for (size_t part = 0; part < 16; part++) plain->scales[part] = block->scales[part];
        for (size_t part = 0; part < 8; part++) {
            const uint8_t *low = block->low + part / 4 * 64 + part % 2 * 32;
            const uint8_t *high = block->high + part / 4 * 32;
            const unsigned half = part % 4 / 2 * 4, pair = part % 4 * 2;
            for (size_t i = 0; i < 32; i++)
                plain->q[part * 32 + i] =
                    (int8_t)(((low[i] >> half & 15) | (high[i] >> pair & 3) << 4) - 32);
        }
    }
}

static void plain_from_iq4_xs(void *out, const void *in, size_t n)
{
    const enx_block_iq4_xs *block = in;
    enx_plain_k            *plain = out;
    for (size_t b = 0; b < n / ENX_K_BLOCK; b++, block++, plain++) {
        plain->d = f16_at(block->d);
        plain->dmin = 0;
        memset(plain->mins, 0, sizeof plain->mins);
        for (size_t part = 0; part < 8; part++) {
            const int low = block->scales_low[part / 2] >> part % 2 * 4 & 15;
            const int pair = block->scales_high[part / 4] >> part % 4 * 2 & 3;
            plain->scales[2 * part] = plain->scales[2 * part + 1] =
                (int16_t)((low | pair << 4) - 32);
            open_levels(plain->q + part * 32, block->q + part * 16, uneven_levels);
        }
    }
}

/* ---- all of them ------------------------------------------------------- */

/* n values of any alignment as enx_plain_32 or, where enx_quant_is_large(), as enx_plain_k. */
typedef void (*plain_fn)(void *out, const void *in, size_t n);

static const struct plain_kind {
    plain_fn open;
    size_t   block_bytes;
} plain_kinds[ENX_QUANT_COUNT] = {
#define PLAIN_KIND(quant, name) \
    [ENX_QUANT_##quant] = { plain_from_##name, sizeof(enx_block_##name) }
    PLAIN_KIND(Q4_0, q4_0),   PLAIN_KIND(Q4_1, q4_1),     PLAIN_KIND(Q5_0, q5_0),
    PLAIN_KIND(Q5_1, q5_1),   PLAIN_KIND(Q8_0, q8_0),     PLAIN_KIND(Q2_K, q2_k),
    PLAIN_KIND(Q3_K, q3_k),   PLAIN_KIND(Q4_K, q4_k),     PLAIN_KIND(Q5_K, q5_k),
    PLAIN_KIND(Q6_K, q6_k),   PLAIN_KIND(IQ4_NL, iq4_nl), PLAIN_KIND(IQ4_XS, iq4_xs),
    PLAIN_KIND(MXFP4, mxfp4),
#undef PLAIN_KIND
};

#endif /* ENX_KERNELS_PLAIN_BODY_H */
