/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_avx512.c - sixteen lanes: F, BW, DQ, VL and VNNI. */
#include "kernels/kernels_impl.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

enum { LANES = 16 };

/* The lanes of the last, partial vector of n values. */
ENX_INLINE __mmask16 tail_mask(size_t n) { return (__mmask16)((1u << (n & (LANES - 1))) - 1); }

ENX_INLINE __mmask16 lanes_of(size_t n) { return n >= LANES ? 0xFFFF : tail_mask(n); }

/* ---- conversions ------------------------------------------------------- */

ENX_INLINE __m512 load_f32(const float *at, __mmask16 lanes)
{
    return _mm512_maskz_loadu_ps(lanes, at);
}

ENX_INLINE __m512 load_f16(const uint16_t *at, __mmask16 lanes)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, at));
}

ENX_INLINE __m512 load_bf16(const uint16_t *at, __mmask16 lanes)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, at));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static void f32_from_f16(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        _mm512_mask_storeu_ps(out + i, lanes, load_f16(in + i, lanes));
    }
}

static void f32_from_bf16(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        _mm512_mask_storeu_ps(out + i, lanes, load_bf16(in + i, lanes));
    }
}

static void f16_from_f32(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        const __m256i   half =
            _mm512_cvtps_ph(load_f32(in + i, lanes), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        _mm256_mask_storeu_epi16(out + i, lanes, half);
    }
}

/* ---- activations ------------------------------------------------------- */

static void act_from_f32(enx_act_q8 *out, const float *x, size_t n)
{
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++, x += ENX_SMALL_BLOCK) {
        const __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + LANES);
        const float  most =
            _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
        if (!(most >= ENX_ACT_TINY)) {
            memset(&out[b], 0, sizeof out[b]);
            continue;
        }
        const __m512  inverse = _mm512_set1_ps(127.0f / most);
        const __m512i i_low = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse));
        const __m512i i_high = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
        _mm_storeu_si128((__m128i *)(void *)out[b].q, _mm512_cvtepi32_epi8(i_low));
        _mm_storeu_si128((__m128i *)(void *)(out[b].q + LANES), _mm512_cvtepi32_epi8(i_high));
        out[b].scale = most / 127.0f;
        out[b].sum = _mm512_reduce_add_epi32(_mm512_add_epi32(i_low, i_high));
    }
}

/* ---- products with float weights --------------------------------------- */

ENX_INLINE __m512 dense_f32(const void *at, size_t n) { return load_f32(at, lanes_of(n)); }

ENX_INLINE __m512 dense_f16(const void *at, size_t n) { return load_f16(at, lanes_of(n)); }

ENX_INLINE __m512 dense_bf16(const void *at, size_t n) { return load_bf16(at, lanes_of(n)); }

/* Halves, quarters and so on are added, the upper to the lower. */
ENX_INLINE void dense_sum_4(float *out, const __m512 *sums)
{
    __m128 part[4];
    ENX_UNROLL
    for (size_t i = 0; i < 4; i++) {
        const __m256 half =
            _mm256_add_ps(_mm512_castps512_ps256(sums[i]), _mm512_extractf32x8_ps(sums[i], 1));
        part[i] = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    }
    const __m128 ab = _mm_add_ps(_mm_movelh_ps(part[0], part[1]), _mm_movehl_ps(part[1], part[0]));
    const __m128 cd = _mm_add_ps(_mm_movelh_ps(part[2], part[3]), _mm_movehl_ps(part[3], part[2]));
    _mm_storeu_ps(out, _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xDD)));
}

ENX_INLINE void dense_fetch(const char *at) { _mm_prefetch(at, _MM_HINT_T1); }

#define dense_vec   __m512
#define DENSE_LANES LANES
#define dense_zero  _mm512_setzero_ps
#define dense_fma   _mm512_fmadd_ps
#define dense_store _mm512_store_ps
#include "kernels/dense_body.h"

/* ---- the rest of a layer ----------------------------------------------- */

/* exp(x) within 2 ulp for x <= 88; below -87.3 it fades through the subnormals to 0.
 * x = n ln 2 + r, |r| <= ln 2 / 2, and a polynomial of degree 6 for exp(r) (Cephes' expf). */
ENX_INLINE __m512 exp_ps(__m512 x)
{
    x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(88.0f)), _mm512_set1_ps(-104.0f));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(0x1.715476p+0f)),
                                          _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512       r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
    return _mm512_scalef_ps(p, n);
}

static void rmsnorm(float *out, const float *x, const float *gain, size_t n, float epsilon)
{
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += LANES) {
        const __m512 v = load_f32(x + i, n - i >= LANES ? 0xFFFF : tail_mask(n));
        sum = _mm512_fmadd_ps(v, v, sum);
    }
    const float  mean = _mm512_reduce_add_ps(sum) / (float)n;
    const __m512 scale = _mm512_set1_ps(1.0f / sqrtf(mean + epsilon));
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        const __m512    v = _mm512_mul_ps(load_f32(x + i, lanes), scale);
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(v, load_f32(gain + i, lanes)));
    }
}

static void rope_halves(float *x, const float *cosines, const float *sines, size_t half)
{
    for (size_t i = 0; i < half; i += LANES) {
        const __mmask16 lanes = half - i >= LANES ? 0xFFFF : tail_mask(half);
        const __m512    a = load_f32(x + i, lanes), b = load_f32(x + half + i, lanes);
        const __m512    c = load_f32(cosines + i, lanes), s = load_f32(sines + i, lanes);
        _mm512_mask_storeu_ps(x + i, lanes, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
        _mm512_mask_storeu_ps(x + half + i, lanes, _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)));
    }
}

static void silu_mul(float *out, const float *gate, const float *up, size_t n)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        const __m512    g = load_f32(gate + i, lanes);
        const __m512    e = exp_ps(_mm512_sub_ps(_mm512_setzero_ps(), g));
        const __m512    v = _mm512_div_ps(g, _mm512_add_ps(one, e));
        _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(v, load_f32(up + i, lanes)));
    }
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        const __m512    sum = _mm512_add_ps(load_f32(x + i, lanes), load_f32(y + i, lanes));
        _mm512_mask_storeu_ps(x + i, lanes, sum);
    }
}

ENX_INLINE float largest(const float *x, size_t n)
{
    __m512 most = _mm512_set1_ps(-INFINITY);
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        /* the second operand wins when the first is a NaN */
        most = _mm512_mask_max_ps(most, lanes, load_f32(x + i, lanes), most);
    }
    return _mm512_reduce_max_ps(most);
}

static void softmax(float *x, size_t n)
{
    const __m512 most = _mm512_set1_ps(largest(x, n));
    __m512       sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        const __m512    e = exp_ps(_mm512_sub_ps(load_f32(x + i, lanes), most));
        sum = _mm512_mask_add_ps(sum, lanes, sum, e);
        _mm512_mask_storeu_ps(x + i, lanes, e);
    }
    const __m512 scale = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(sum));
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        _mm512_mask_storeu_ps(x + i, lanes, _mm512_mul_ps(load_f32(x + i, lanes), scale));
    }
}

/* ---- attention --------------------------------------------------------- */

ENX_INLINE __m512 attend_load(const float *at, size_t n) { return load_f32(at, lanes_of(n)); }

ENX_INLINE __m512 attend_load_f16(const uint16_t *at, size_t n)
{
    return load_f16(at, lanes_of(n));
}

ENX_INLINE __m512 attend_load_i8(const int8_t *at, size_t n)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes_of(n), at)));
}

ENX_INLINE void attend_store(float *at, __m512 v, size_t n)
{
    _mm512_mask_storeu_ps(at, lanes_of(n), v);
}

/* Keys and values are seldom in a near cache. */
ENX_INLINE void attend_fetch(const char *at) { _mm_prefetch(at, _MM_HINT_T1); }

#define attend_vec   __m512
#define ATTEND_LANES LANES
#define attend_zero  _mm512_setzero_ps
#define attend_all   _mm512_set1_ps
#define attend_fma   _mm512_fmadd_ps
#include "kernels/attend_body.h"

/* ---- what the processor can -------------------------------------------- */

enum { PEAK_CHAINS = 12 }; /* sums that do not wait for each other */

static uint64_t peak_int8(uint64_t rounds, int32_t *sink)
{
    const __m512i w = _mm512_set1_epi8((char)(*sink + 1));
    __m512i       sum[PEAK_CHAINS], total = _mm512_setzero_si512();
    for (int i = 0; i < PEAK_CHAINS; i++) sum[i] = _mm512_set1_epi32(i);
    for (uint64_t round = 0; round < rounds; round++) {
        ENX_UNROLL
        for (int i = 0; i < PEAK_CHAINS; i++) sum[i] = _mm512_dpbusd_epi32(sum[i], w, w);
    }
    for (int i = 0; i < PEAK_CHAINS; i++) total = _mm512_add_epi32(total, sum[i]);
    *sink += _mm512_reduce_add_epi32(total);
    return rounds * PEAK_CHAINS * sizeof total * 2;
}

/* ---- logits ------------------------------------------------------------ */

static size_t argmax(const float *x, size_t n)
{
    const __m512 most = _mm512_set1_ps(largest(x, n));
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        const __mmask16 found = _mm512_mask_cmpeq_ps_mask(lanes, load_f32(x + i, lanes), most);
        if (found) return i + (size_t)__builtin_ctz(found);
    }
    return 0;
}

static float log_sum_exp(const float *x, size_t n)
{
    const float  most = largest(x, n);
    const __m512 shift = _mm512_set1_ps(most);
    __m512       sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += LANES) {
        const __mmask16 lanes = n - i >= LANES ? 0xFFFF : tail_mask(n);
        sum = _mm512_mask_add_ps(sum, lanes, sum,
                                 exp_ps(_mm512_sub_ps(load_f32(x + i, lanes), shift)));
    }
    return most + logf(_mm512_reduce_add_ps(sum));
}

void enx_kernels_bind_avx512(enx_kernels *table)
{
    table->name = "avx512";
    table->f32_from_f16 = f32_from_f16;
    table->f16_from_f32 = f16_from_f32;
    table->f32_from_bf16 = f32_from_bf16;
    table->act_from_f32 = act_from_f32;
    table->matmul_f32 = matmul_f32;
    table->matmul_f16 = matmul_f16;
    table->matmul_bf16 = matmul_bf16;
    table->rmsnorm = rmsnorm;
    table->rope_halves = rope_halves;
    table->silu_mul = silu_mul;
    table->add = add;
    table->softmax = softmax;
    table->attend_scores = attend_scores;
    table->attend_mix = attend_mix;
    table->attend_scores_f32 = attend_scores_f32;
    table->attend_mix_f32 = attend_mix_f32;
    table->attend_scores_q8 = attend_scores_q8;
    table->attend_mix_q8 = attend_mix_q8;
    table->peak_int8 = peak_int8;
    table->argmax = argmax;
    table->log_sum_exp = log_sum_exp;
}
