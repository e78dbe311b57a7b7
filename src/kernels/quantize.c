/* SPDX-License-Identifier: Apache-2.0 */
/* quantize.c - the search for scales, and the packing of what was found.
 *
 * Given the rounded numbers q, the best scale is a quotient of sums (least squares); given a scale,
 * the best q are the nearest ones.  So a handful of first guesses is rounded, each gets its best
 * scale, and the guess with the least error is kept.  The q are rounded once more at the end, to
 * the scale as it is stored.
 */
#include "kernels/quantize.h"

#include "kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { GUESSES = 10, K_PARTS = 8, Q6_PARTS = 16, Q6_PART = 16, K_SCALE_TOP = 63 };

/* Clamped in floats first: a NaN becomes the least. */
static int nearest(float value, int least, int most)
{
    const float rounded = nearbyintf(value);
    if (!(rounded > (float)least)) return least;
    return rounded >= (float)most ? most : (int)rounded;
}

/* Stores the f16 nearest to `value` and returns it. */
static float store_f16(uint8_t at[2], float value)
{
    const uint16_t bits = enx_f16_of_f32(value);
    at[0] = (uint8_t)bits;
    at[1] = (uint8_t)(bits >> 8);
    return enx_f32_of_f16(bits);
}

/* ---- x = scale * q, q from -half to half - 1 --------------------------- */

static float find_scale(const float *x, size_t n, int half)
{
    float extreme = 0, best = 0, best_gain = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
    if (!(fabsf(extreme) >= ENX_ACT_TINY)) return 0;
    for (int guess = -GUESSES; guess <= GUESSES; guess++) {
        /* The side with one step more takes the extreme. */
        const float inverse = -((float)half + 0.1f * (float)guess) / extreme;
        float       with_x = 0, with_q = 0;
        for (size_t i = 0; i < n; i++) {
            const float q = (float)nearest(x[i] * inverse, -half, half - 1);
            const float weight = x[i] * x[i];
            with_x += weight * x[i] * q;
            with_q += weight * q * q;
        }
        /* The error is a constant minus this. */
        const float gain = with_q > 0 ? with_x * with_x / with_q : 0;
        if (gain > best_gain) {
            best_gain = gain;
            best = with_x / with_q;
        }
    }
    return best_gain > 0 ? best : -extreme / (float)half;
}

/* q + half of each value. */
static void round_to(uint8_t *q, const float *x, size_t n, float scale, int half)
{
    const float inverse = scale != 0 ? 1 / scale : 0;
    for (size_t i = 0; i < n; i++)
        q[i] = (uint8_t)(nearest(x[i] * inverse, -half, half - 1) + half);
}

void enx_q4_0_from_f32(enx_block_q4_0 *out, const float *x, size_t n)
{
    uint8_t q[ENX_SMALL_BLOCK];
    for (; n > 0; n -= ENX_SMALL_BLOCK, x += ENX_SMALL_BLOCK, out++) {
        round_to(q, x, ENX_SMALL_BLOCK, store_f16(out->d, find_scale(x, ENX_SMALL_BLOCK, 8)), 8);
        for (size_t i = 0; i < 16; i++) out->q[i] = (uint8_t)(q[i] | q[16 + i] << 4);
    }
}

void enx_q5_0_from_f32(enx_block_q5_0 *out, const float *x, size_t n)
{
    uint8_t q[ENX_SMALL_BLOCK];
    for (; n > 0; n -= ENX_SMALL_BLOCK, x += ENX_SMALL_BLOCK, out++) {
        round_to(q, x, ENX_SMALL_BLOCK, store_f16(out->d, find_scale(x, ENX_SMALL_BLOCK, 16)), 16);
        memset(out->high, 0, sizeof out->high);
        for (size_t i = 0; i < 16; i++) out->q[i] = (uint8_t)((q[i] & 15) | (q[16 + i] & 15) << 4);
        for (size_t i = 0; i < 32; i++)
            out->high[i / 8] = (uint8_t)(out->high[i / 8] | q[i] >> 4 << i % 8);
    }
}

void enx_q6_k_from_f32(enx_block_q6_k *out, const float *x, size_t n)
{
    float   scales[Q6_PARTS];
    uint8_t q[ENX_K_BLOCK];
    for (; n > 0; n -= ENX_K_BLOCK, x += ENX_K_BLOCK, out++) {
        float extreme = 0;
        memset(out, 0, sizeof *out);
        for (size_t part = 0; part < Q6_PARTS; part++) {
            scales[part] = find_scale(x + part * Q6_PART, Q6_PART, 32);
            if (fabsf(scales[part]) > fabsf(extreme)) extreme = scales[part];
        }
        const float d = store_f16(out->d, extreme / -128), inverse = d != 0 ? 1 / d : 0;
        for (size_t part = 0; part < Q6_PARTS; part++) {
            out->scales[part] = (int8_t)nearest(scales[part] * inverse, -128, 127);
            round_to(q + part * Q6_PART, x + part * Q6_PART, Q6_PART, d * (float)out->scales[part],
                     32);
        }
        for (size_t i = 0; i < ENX_K_BLOCK; i++) {
            uint8_t *low = &out->low[i / 128 * 64 + i % 64];
            uint8_t *high = &out->high[i / 128 * 32 + i % 32];
            *low = (uint8_t)(*low | (q[i] & 15) << i % 128 / 64 * 4);
            *high = (uint8_t)(*high | q[i] >> 4 << i % 128 / 32 * 2);
        }
    }
}

/* ---- x = scale * q - minimum, q from 0 to top, minimum >= 0 ------------- */

typedef struct line {
    float scale, minimum;
} line;

/* Weighted sums over one part: of 1, q, q * q, x and q * x. */
typedef struct sums {
    float one, q, qq, x, qx;
} sums;

/* The line of least squares through (q, x); with a minimum below 0, the one through the origin. */
static line fit_line(const sums *s)
{
    const float determinant = s->one * s->qq - s->q * s->q;
    if (!(determinant > 0)) return (line){ 0, 0 };
    const line free = { (s->one * s->qx - s->x * s->q) / determinant,
                        (s->q * s->qx - s->qq * s->x) / determinant };
    return free.minimum >= 0 ? free : (line){ s->qx / s->qq, 0 };
}

static line find_line(const float *x, const float *weights, int top)
{
    float least = 0, most = x[0], best_error = INFINITY;
    for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) {
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    if (!(most - least >= ENX_ACT_TINY)) return (line){ 0, -least };
    line best = { (most - least) / (float)top, -least };
    for (int guess = -GUESSES; guess <= GUESSES; guess++) {
        const float inverse = ((float)top + 0.1f * (float)guess) / (most - least);
        float       q[ENX_SMALL_BLOCK], error = 0;
        sums        s = { 0 };
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) {
            q[i] = (float)nearest((x[i] - least) * inverse, 0, top);
            s.one += weights[i];
            s.q += weights[i] * q[i];
            s.qq += weights[i] * q[i] * q[i];
            s.x += weights[i] * x[i];
            s.qx += weights[i] * q[i] * x[i];
        }
        const line fit = fit_line(&s);
        if (!(fit.scale > 0)) continue;
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) {
            const float off = fit.scale * q[i] - fit.minimum - x[i];
            error += weights[i] * off * off;
        }
        if (error < best_error) {
            best_error = error;
            best = fit;
        }
    }
    return best;
}

static void pack_scales(uint8_t s[ENX_K_SCALES], size_t part, int scale, int minimum)
{
    if (part < 4) {
        s[part] = (uint8_t)scale;
        s[part + 4] = (uint8_t)minimum;
        return;
    }
    s[part + 4] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
    s[part - 4] = (uint8_t)(s[part - 4] | scale >> 4 << 6);
    s[part] = (uint8_t)(s[part] | minimum >> 4 << 6);
}

/* What Q4_K and Q5_K share: both scales, the packed small ones, and 256 numbers up to `top`. */
static void fit_k_block(uint8_t d_at[2], uint8_t dmin_at[2], uint8_t packed[ENX_K_SCALES],
                        uint8_t q[ENX_K_BLOCK], const float *x, int top)
{
    line  lines[K_PARTS];
    float scale_most = 0, minimum_most = 0;
    for (size_t part = 0; part < K_PARTS; part++) {
        const float *values = x + part * ENX_SMALL_BLOCK;
        float        weights[ENX_SMALL_BLOCK], squares = 0;
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) squares += values[i] * values[i];
        const float usual = sqrtf(squares / ENX_SMALL_BLOCK);
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) weights[i] = usual + fabsf(values[i]);
        lines[part] = find_line(values, weights, top);
        scale_most = fmaxf(scale_most, lines[part].scale);
        minimum_most = fmaxf(minimum_most, lines[part].minimum);
    }
    const float d = store_f16(d_at, scale_most / K_SCALE_TOP);
    const float dmin = store_f16(dmin_at, minimum_most / K_SCALE_TOP);
    for (size_t part = 0; part < K_PARTS; part++) {
        const int   scale = d > 0 ? nearest(lines[part].scale / d, 0, K_SCALE_TOP) : 0;
        const int   minimum = dmin > 0 ? nearest(lines[part].minimum / dmin, 0, K_SCALE_TOP) : 0;
        const float step = d * (float)scale, inverse = step > 0 ? 1 / step : 0;
        pack_scales(packed, part, scale, minimum);
        for (size_t i = part * ENX_SMALL_BLOCK; i < (part + 1) * ENX_SMALL_BLOCK; i++)
            q[i] = (uint8_t)nearest((x[i] + dmin * (float)minimum) * inverse, 0, top);
    }
}

float enx_q8_from_f32(int8_t *out, const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
    const bool  is_zero = !(most >= ENX_ACT_TINY);
    const float inverse = is_zero ? 0.0f : 127.0f / most;
    for (size_t i = 0; i < n; i++) out[i] = (int8_t)lrintf(x[i] * inverse);
    return is_zero ? 0.0f : most / 127.0f;
}

void enx_q4_k_from_f32(enx_block_q4_k *out, const float *x, size_t n)
{
    uint8_t q[ENX_K_BLOCK];
    for (; n > 0; n -= ENX_K_BLOCK, x += ENX_K_BLOCK, out++) {
        fit_k_block(out->d, out->dmin, out->scales, q, x, 15);
        for (size_t i = 0; i < 128; i++)
            out->q[i] = (uint8_t)(q[i / 32 * 64 + i % 32] | q[i / 32 * 64 + 32 + i % 32] << 4);
    }
}

void enx_q5_k_from_f32(enx_block_q5_k *out, const float *x, size_t n)
{
    uint8_t q[ENX_K_BLOCK];
    for (; n > 0; n -= ENX_K_BLOCK, x += ENX_K_BLOCK, out++) {
        fit_k_block(out->d, out->dmin, out->scales, q, x, 31);
        memset(out->high, 0, sizeof out->high);
        for (size_t i = 0; i < ENX_K_BLOCK; i++)
            out->high[i % 32] = (uint8_t)(out->high[i % 32] | q[i] >> 4 << i / 32);
        for (size_t i = 0; i < 128; i++) {
            const uint8_t *pair = &q[i / 32 * 64 + i % 32];
            out->q[i] = (uint8_t)((pair[0] & 15) | (pair[32] & 15) << 4);
        }
    }
}
