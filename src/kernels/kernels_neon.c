/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_neon.c - four lanes: what every 64-bit ARM has. */
#include "kernels/floats_body.h"
#include "kernels/kernels_impl.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

enum { LANES = 4 };

/* At most LANES values, zeros behind them. */
ENX_INLINE float32x4_t load_f32(const float *at, size_t n)
{
    if (n >= LANES) return vld1q_f32(at);
    float part[LANES] = { 0 };
    for (size_t i = 0; i < n; i++) part[i] = at[i];
    return vld1q_f32(part);
}

ENX_INLINE void store_f32(float *at, float32x4_t v, size_t n)
{
    if (n >= LANES) {
        vst1q_f32(at, v);
        return;
    }
    float part[LANES];
    vst1q_f32(part, v);
    for (size_t i = 0; i < n; i++) at[i] = part[i];
}

ENX_INLINE uint16x4_t load_u16(const uint16_t *at, size_t n)
{
    if (n >= LANES) return vld1_u16(at);
    uint16_t part[LANES] = { 0 };
    for (size_t i = 0; i < n; i++) part[i] = at[i];
    return vld1_u16(part);
}

ENX_INLINE float32x4_t load_f16(const uint16_t *at, size_t n)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(load_u16(at, n)));
}

ENX_INLINE float32x4_t load_bf16(const uint16_t *at, size_t n)
{
    return vreinterpretq_f32_u32(vshll_n_u16(load_u16(at, n), 16));
}

/* ---- conversions ------------------------------------------------------- */

static void f32_from_f16(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) store_f32(out + i, load_f16(in + i, n - i), n - i);
}

static void f32_from_bf16(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) store_f32(out + i, load_bf16(in + i, n - i), n - i);
}

static void f16_from_f32(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const uint16x4_t half = vreinterpret_u16_f16(vcvt_f16_f32(load_f32(in + i, n - i)));
        uint16_t         part[LANES];
        vst1_u16(part, half);
        memcpy(out + i, part, (n - i < LANES ? n - i : LANES) * sizeof *out);
    }
}

/* ---- activations ------------------------------------------------------- */

/* The largest magnitude of n numbers, n a multiple of LANES. */
ENX_INLINE float largest_of(const float *x, size_t n)
{
    float32x4_t most = vdupq_n_f32(0);
    for (size_t i = 0; i < n; i += LANES) most = vmaxq_f32(most, vabsq_f32(vld1q_f32(x + i)));
    return vmaxvq_f32(most);
}

ENX_INLINE int16x4_t round_lanes(const float *x, float inverse)
{
    return vqmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), inverse)));
}

/* Round 16 numbers to bytes; returns their sum. */
ENX_INLINE int32_t quantize_part(int8_t *out, const float *x, float inverse)
{
    const int16x8_t low = vcombine_s16(round_lanes(x, inverse), round_lanes(x + 4, inverse));
    const int16x8_t high = vcombine_s16(round_lanes(x + 8, inverse), round_lanes(x + 12, inverse));
    vst1q_s8(out, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
    return vaddvq_s16(vaddq_s16(low, high));
}

static void act_from_f32(enx_act_q8 *out, const float *x, size_t n)
{
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++, x += ENX_SMALL_BLOCK) {
        const float most = largest_of(x, ENX_SMALL_BLOCK);
        if (!(most >= ENX_ACT_TINY)) {
            memset(&out[b], 0, sizeof out[b]);
            continue;
        }
        const float   inverse = 127.0f / most;
        const int32_t first = quantize_part(out[b].q, x, inverse);
        out[b].sum = first + quantize_part(out[b].q + 16, x + 16, inverse);
        out[b].scale = most / 127.0f;
    }
}

static void act_k_from_f32(enx_act_k *out, const float *x, size_t n)
{
    for (size_t b = 0; b < n / ENX_K_BLOCK; b++, x += ENX_K_BLOCK) {
        const float most = largest_of(x, ENX_K_BLOCK);
        if (!(most >= ENX_ACT_TINY)) {
            memset(&out[b], 0, sizeof out[b]);
            continue;
        }
        const float inverse = 127.0f / most;
        for (size_t part = 0; part < ENX_K_PARTS; part++) {
            const size_t at = part * 16;
            out[b].sums[part] = (int16_t)quantize_part(out[b].q + at, x + at, inverse);
        }
        vst1q_s16(out[b].pair_sums, vpaddq_s16(vld1q_s16(out[b].sums), vld1q_s16(out[b].sums + 8)));
        out[b].scale = most / 127.0f;
    }
}

/* ---- products with float weights --------------------------------------- */

ENX_INLINE float32x4_t dense_f32(const void *at, size_t n) { return load_f32(at, n); }

ENX_INLINE float32x4_t dense_f16(const void *at, size_t n) { return load_f16(at, n); }

ENX_INLINE float32x4_t dense_bf16(const void *at, size_t n) { return load_bf16(at, n); }

/* a * b + c */
ENX_INLINE float32x4_t fused(float32x4_t a, float32x4_t b, float32x4_t c)
{
    return vfmaq_f32(c, a, b);
}

ENX_INLINE void dense_sum_4(float *out, const float32x4_t *sums)
{
    vst1q_f32(out, vpaddq_f32(vpaddq_f32(sums[0], sums[1]), vpaddq_f32(sums[2], sums[3])));
}

ENX_INLINE void fetch(const char *at) { __builtin_prefetch(at, 0, 2); }

#define dense_vec    float32x4_t
#define DENSE_LANES  LANES
#define dense_zero() vdupq_n_f32(0)
#define dense_fma    fused
#define dense_store  vst1q_f32
#define dense_fetch  fetch
#include "kernels/dense_body.h"

/* ---- the rest of a layer ----------------------------------------------- */

/* p * 2^n for n in [-151, 127], in two steps so that subnormal results come out right. */
ENX_INLINE float32x4_t scale_by_power(float32x4_t p, int32x4_t n)
{
    const int32x4_t half = vshrq_n_s32(n, 1), rest = vsubq_s32(n, half), bias = vdupq_n_s32(127);
    const int32x4_t first = vshlq_n_s32(vaddq_s32(half, bias), 23);
    const int32x4_t second = vshlq_n_s32(vaddq_s32(rest, bias), 23);
    return vmulq_f32(vmulq_f32(p, vreinterpretq_f32_s32(first)), vreinterpretq_f32_s32(second));
}

/* exp(x) within 2 ulp for x <= 88; below -87.3 it fades through the subnormals to 0.
 * x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial of degree 6 for exp(r) (Cephes' expf). */
ENX_INLINE float32x4_t exp_lanes(float32x4_t x)
{
    x = vmaxnmq_f32(vminnmq_f32(x, vdupq_n_f32(88.0f)), vdupq_n_f32(-104.0f));
    const int32x4_t   n = vcvtnq_s32_f32(vmulq_n_f32(x, 0x1.715476p+0f));
    const float32x4_t whole = vcvtq_f32_s32(n);
    float32x4_t       r = vfmsq_n_f32(x, whole, 0.693359375f);
    r = vfmsq_n_f32(r, whole, -2.12194440e-4f);
    float32x4_t p = vfmaq_n_f32(vdupq_n_f32(1.3981999507e-3f), r, 1.9875691500e-4f);
    p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), p, r);
    p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), p, r);
    p = vfmaq_f32(vaddq_f32(r, vdupq_n_f32(1.0f)), p, vmulq_f32(r, r));
    return scale_by_power(p, n);
}

static void rmsnorm(float *out, const float *x, const float *gain, size_t n, float epsilon)
{
    float32x4_t sum = vdupq_n_f32(0);
    for (size_t i = 0; i < n; i += LANES) {
        const float32x4_t v = load_f32(x + i, n - i);
        sum = vfmaq_f32(sum, v, v);
    }
    const float scale = 1.0f / sqrtf(vaddvq_f32(sum) / (float)n + epsilon);
    for (size_t i = 0; i < n; i += LANES) {
        const float32x4_t v = vmulq_n_f32(load_f32(x + i, n - i), scale);
        store_f32(out + i, vmulq_f32(v, load_f32(gain + i, n - i)), n - i);
    }
}

static void rope_halves(float *x, const float *cosines, const float *sines, size_t half)
{
    for (size_t i = 0; i < half; i += LANES) {
        const float32x4_t a = load_f32(x + i, half - i), b = load_f32(x + half + i, half - i);
        const float32x4_t c = load_f32(cosines + i, half - i), s = load_f32(sines + i, half - i);
        store_f32(x + i, vfmsq_f32(vmulq_f32(a, c), b, s), half - i);
        store_f32(x + half + i, vfmaq_f32(vmulq_f32(b, c), a, s), half - i);
    }
}

static void rope_pairs(float *x, const float *cosines, const float *sines, size_t half)
{
    size_t i = 0;
    for (; i + LANES <= half; i += LANES) {
        const float32x4_t c = vld1q_f32(cosines + i), s = vld1q_f32(sines + i);
        float32x4x2_t     pair = vld2q_f32(x + 2 * i);
        const float32x4_t first = vfmsq_f32(vmulq_f32(pair.val[0], c), pair.val[1], s);
        pair.val[1] = vfmaq_f32(vmulq_f32(pair.val[1], c), pair.val[0], s);
        pair.val[0] = first;
        vst2q_f32(x + 2 * i, pair);
    }
    for (; i < half; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = a * sines[i] + b * cosines[i];
    }
}

static void silu_mul(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const float32x4_t g = load_f32(gate + i, n - i);
        const float32x4_t e = exp_lanes(vnegq_f32(g));
        const float32x4_t v = vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), e));
        store_f32(out + i, vmulq_f32(v, load_f32(up + i, n - i)), n - i);
    }
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        store_f32(x + i, vaddq_f32(load_f32(x + i, n - i), load_f32(y + i, n - i)), n - i);
}

/* The values behind the end count as -infinity. */
ENX_INLINE float32x4_t load_or_least(const float *x, size_t n)
{
    if (n >= LANES) return vld1q_f32(x);
    float part[LANES] = { -INFINITY, -INFINITY, -INFINITY, -INFINITY };
    for (size_t i = 0; i < n; i++) part[i] = x[i];
    return vld1q_f32(part);
}

/* A NaN is passed over. */
ENX_INLINE float largest(const float *x, size_t n)
{
    float32x4_t most = vdupq_n_f32(-INFINITY);
    for (size_t i = 0; i < n; i += LANES) most = vmaxnmq_f32(load_or_least(x + i, n - i), most);
    return vmaxnmvq_f32(most);
}

static void softmax(float *x, size_t n)
{
    const float32x4_t most = vdupq_n_f32(largest(x, n));
    float32x4_t       sum = vdupq_n_f32(0);
    for (size_t i = 0; i < n; i += LANES) {
        const float32x4_t e = exp_lanes(vsubq_f32(load_or_least(x + i, n - i), most));
        sum = vaddq_f32(sum, e); /* exp(-infinity) is 0 */
        store_f32(x + i, e, n - i);
    }
    const float scale = 1.0f / vaddvq_f32(sum);
    for (size_t i = 0; i < n; i += LANES)
        store_f32(x + i, vmulq_n_f32(load_f32(x + i, n - i), scale), n - i);
}

/* ---- attention --------------------------------------------------------- */

ENX_INLINE float32x4_t attend_load_i8(const int8_t *at, size_t n)
{
    int32_t bytes = 0;
    memcpy(&bytes, at, n >= LANES ? LANES : n);
    const int8x8_t v = vreinterpret_s8_s32(vdup_n_s32(bytes));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(v))));
}

#define attend_vec      float32x4_t
#define ATTEND_LANES    LANES
#define attend_zero()   vdupq_n_f32(0)
#define attend_all      vdupq_n_f32
#define attend_fma      fused
#define attend_load     load_f32
#define attend_load_f16 load_f16
#define attend_store    store_f32
#define attend_fetch    fetch
#include "kernels/attend_body.h"

/* ---- logits ------------------------------------------------------------ */

static size_t argmax(const float *x, size_t n)
{
    const float most = largest(x, n);
    for (size_t i = 0; i < n; i++)
        if (x[i] == most) return i;
    return 0;
}

static float log_sum_exp(const float *x, size_t n)
{
    const float       most = largest(x, n);
    const float32x4_t shift = vdupq_n_f32(most);
    float32x4_t       sum = vdupq_n_f32(0);
    for (size_t i = 0; i < n; i += LANES)
        sum = vaddq_f32(sum, exp_lanes(vsubq_f32(load_or_least(x + i, n - i), shift)));
    return most + logf(vaddvq_f32(sum));
}

void enx_kernels_bind_neon(enx_kernels *table)
{
    table->name = "neon";
    table->f32_from_f16 = f32_from_f16;
    table->f16_from_f32 = f16_from_f32;
    table->f32_from_bf16 = f32_from_bf16;
    table->act_k_from_f32 = act_k_from_f32;
    table->act_from_f32 = act_from_f32;
    table->matmul_f32 = matmul_f32;
    table->matmul_f16 = matmul_f16;
    table->matmul_bf16 = matmul_bf16;
    table->rmsnorm = rmsnorm;
    table->rope_halves = rope_halves;
    table->rope_pairs = rope_pairs;
    table->silu_mul = silu_mul;
    table->add = add;
    table->softmax = softmax;
    table->attend_scores = attend_scores;
    table->attend_mix = attend_mix;
    table->attend_scores_f32 = attend_scores_f32;
    table->attend_mix_f32 = attend_mix_f32;
    table->attend_scores_q8 = attend_scores_q8;
    table->attend_mix_q8 = attend_mix_q8;
    table->argmax = argmax;
    table->log_sum_exp = log_sum_exp;
    bind_floats(table);
}
