/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_avx2.c - eight lanes: AVX2, FMA and F16C. */
#include "kernels/floats_body.h"
#include "kernels/kernels_impl.h"

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    LANES = 8,
};

/* The lanes of the last, partial vector of n values. */
ENX_INLINE __m256i tail_mask(size_t n)
{
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n & (LANES - 1))), index);
}

/* At most LANES values, zeros behind them. */
ENX_INLINE __m256 load_f32(const float *at, size_t n)
{
    return n >= LANES ? _mm256_loadu_ps(at) : _mm256_maskload_ps(at, tail_mask(n));
}

ENX_INLINE void store_f32(float *at, __m256 v, size_t n)
{
    if (n >= LANES) _mm256_storeu_ps(at, v);
    else _mm256_maskstore_ps(at, tail_mask(n), v);
}

ENX_INLINE __m128i load_u16(const uint16_t *at, size_t n)
{
    if (n >= LANES) return _mm_loadu_si128((const __m128i *)(const void *)at);
    uint16_t part[LANES] = { 0 };
    for (size_t i = 0; i < n; i++) part[i] = at[i];
    return _mm_loadu_si128((const __m128i *)(const void *)part);
}

ENX_INLINE __m256 load_f16(const uint16_t *at, size_t n)
{
    return _mm256_cvtph_ps(load_u16(at, n));
}

ENX_INLINE __m256 load_bf16(const uint16_t *at, size_t n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_u16(at, n)), 16));
}

ENX_INLINE float reduce_add(__m256 v)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

ENX_INLINE float reduce_max(__m256 v)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_shuffle_ps(half, half, 1)));
}

ENX_INLINE int32_t reduce_add_i32(__m256i v)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1)));
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
        const __m128i half = _mm256_cvtps_ph(load_f32(in + i, n - i), _MM_FROUND_TO_NEAREST_INT);
        uint16_t      part[LANES];
        _mm_storeu_si128((__m128i *)(void *)part, half);
        memcpy(out + i, part, (n - i < LANES ? n - i : LANES) * sizeof *out);
    }
}

/* ---- activations ------------------------------------------------------- */

/* The largest magnitude of n numbers, n a multiple of LANES. */
ENX_INLINE float largest_of(const float *x, size_t n)
{
    const __m256 clear_sign = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    __m256       most = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += LANES)
        most = _mm256_max_ps(most, _mm256_and_ps(_mm256_loadu_ps(x + i), clear_sign));
    return reduce_max(most);
}

/* Round LANES numbers to bytes; returns them as integers. */
ENX_INLINE __m256i quantize_lanes(int8_t *out, const float *x, __m256 inverse)
{
    const __m256i q = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    _mm_storel_epi64((__m128i *)(void *)out, _mm_packs_epi16(words, words));
    return q;
}

static void act_from_f32(enx_act_q8 *out, const float *x, size_t n)
{
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++, x += ENX_SMALL_BLOCK) {
        const float most = largest_of(x, ENX_SMALL_BLOCK);
        if (!(most >= ENX_ACT_TINY)) {
            memset(&out[b], 0, sizeof out[b]);
            continue;
        }
        const __m256 inverse = _mm256_set1_ps(127.0f / most);
        __m256i      sum = _mm256_setzero_si256();
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i += LANES)
            sum = _mm256_add_epi32(sum, quantize_lanes(out[b].q + i, x + i, inverse));
        out[b].scale = most / 127.0f;
        out[b].sum = reduce_add_i32(sum);
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
        const __m256 inverse = _mm256_set1_ps(127.0f / most);
        for (size_t part = 0; part < ENX_K_PARTS; part++) {
            const size_t at = part * 16;
            out[b].sums[part] = (int16_t)reduce_add_i32(
                _mm256_add_epi32(quantize_lanes(out[b].q + at, x + at, inverse),
                                 quantize_lanes(out[b].q + at + 8, x + at + 8, inverse)));
        }
        for (size_t i = 0; i < ENX_K_PARTS / 2; i++)
            out[b].pair_sums[i] = (int16_t)(out[b].sums[2 * i] + out[b].sums[2 * i + 1]);
        out[b].scale = most / 127.0f;
    }
}

/* ---- products with float weights --------------------------------------- */

ENX_INLINE __m256 dense_f32(const void *at, size_t n) { return load_f32(at, n); }

ENX_INLINE __m256 dense_f16(const void *at, size_t n) { return load_f16(at, n); }

ENX_INLINE __m256 dense_bf16(const void *at, size_t n) { return load_bf16(at, n); }

/* Across lanes as reduce_add() does. */
ENX_INLINE void dense_sum_4(float *out, const __m256 *sums)
{
    __m128 half[4];
    ENX_UNROLL
    for (size_t i = 0; i < 4; i++)
        half[i] = _mm_add_ps(_mm256_castps256_ps128(sums[i]), _mm256_extractf128_ps(sums[i], 1));
    const __m128 ab = _mm_add_ps(_mm_movelh_ps(half[0], half[1]), _mm_movehl_ps(half[1], half[0]));
    const __m128 cd = _mm_add_ps(_mm_movelh_ps(half[2], half[3]), _mm_movehl_ps(half[3], half[2]));
    _mm_storeu_ps(out, _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xDD)));
}

ENX_INLINE void dense_fetch(const char *at) { _mm_prefetch(at, _MM_HINT_T1); }

#define dense_vec   __m256
#define DENSE_LANES LANES
#define dense_zero  _mm256_setzero_ps
#define dense_fma   _mm256_fmadd_ps
#define dense_store _mm256_store_ps
#include "kernels/dense_body.h"

/* ---- the rest of a layer ----------------------------------------------- */

/* exp(x) within 2 ulp for x <= 88; 0 where it would be subnormal.  x = n ln 2 + r, |r| <= ln 2 / 2;
 * the polynomial for exp(r) - 1 is that of Arm's Optimized Routines (expf).  Beside 1.5 * 2^23
 * there is room for integers only: adding it rounds, and leaves n in the lowest bits. */
ENX_INLINE __m256 exp_ps(__m256 x)
{
    const __m256 least = _mm256_set1_ps(-0x1.5d589ep+6f), whole = _mm256_set1_ps(0x1.8p+23f);
    const __m256 is_normal = _mm256_cmp_ps(x, least, _CMP_GE_OQ);
    x = _mm256_min_ps(x, _mm256_set1_ps(88.0f));
    const __m256  shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(0x1.715476p+0f), whole);
    const __m256  n = _mm256_sub_ps(shifted, whole);
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    const __m256  power =
        _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_castps_si256(_mm256_set1_ps(1.0f))));
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
    const __m256 square = _mm256_mul_ps(r, r);
    const __m256 high =
        _mm256_fmadd_ps(_mm256_set1_ps(0x1.0e4020p-7f), r, _mm256_set1_ps(0x1.573e2ep-5f));
    const __m256 middle =
        _mm256_fmadd_ps(_mm256_set1_ps(0x1.555e66p-3f), r, _mm256_set1_ps(0x1.fffdb6p-2f));
    const __m256 low = _mm256_mul_ps(_mm256_set1_ps(0x1.ffffecp-1f), r);
    const __m256 p = _mm256_fmadd_ps(_mm256_fmadd_ps(high, square, middle), square, low);
    return _mm256_and_ps(_mm256_fmadd_ps(p, power, power), is_normal);
}

static void rmsnorm(float *out, const float *x, const float *gain, size_t n, float epsilon)
{
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += LANES) {
        const __m256 v = load_f32(x + i, n - i);
        sum = _mm256_fmadd_ps(v, v, sum);
    }
    const __m256 scale = _mm256_set1_ps(1.0f / sqrtf(reduce_add(sum) / (float)n + epsilon));
    for (size_t i = 0; i < n; i += LANES) {
        const __m256 v = _mm256_mul_ps(load_f32(x + i, n - i), scale);
        store_f32(out + i, _mm256_mul_ps(v, load_f32(gain + i, n - i)), n - i);
    }
}

static void rope_halves(float *x, const float *cosines, const float *sines, size_t half)
{
    for (size_t i = 0; i < half; i += LANES) {
        const __m256 a = load_f32(x + i, half - i), b = load_f32(x + half + i, half - i);
        const __m256 c = load_f32(cosines + i, half - i), s = load_f32(sines + i, half - i);
        store_f32(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)), half - i);
        store_f32(x + half + i, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)), half - i);
    }
}

/* Each of four numbers twice, side by side. */
ENX_INLINE __m256 load_twice(const float *at)
{
    const __m256i order = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(at)), order);
}

/* (a c - b s, b c + a s): the pairs times their cosines, less and plus the swapped times the sines.
 */
static void rope_pairs(float *x, const float *cosines, const float *sines, size_t half)
{
    size_t i = 0;
    for (; i + LANES / 2 <= half; i += LANES / 2) {
        const __m256 pairs = _mm256_loadu_ps(x + 2 * i), swapped = _mm256_permute_ps(pairs, 0xB1);
        const __m256 turned = _mm256_mul_ps(swapped, load_twice(sines + i));
        _mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(pairs, load_twice(cosines + i), turned));
    }
    for (; i < half; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = a * sines[i] + b * cosines[i];
    }
}

static void silu_mul(float *out, const float *gate, const float *up, size_t n)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    for (size_t i = 0; i < n; i += LANES) {
        const __m256 g = load_f32(gate + i, n - i);
        const __m256 e = exp_ps(_mm256_sub_ps(_mm256_setzero_ps(), g));
        const __m256 v = _mm256_div_ps(g, _mm256_add_ps(one, e));
        store_f32(out + i, _mm256_mul_ps(v, load_f32(up + i, n - i)), n - i);
    }
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        store_f32(x + i, _mm256_add_ps(load_f32(x + i, n - i), load_f32(y + i, n - i)), n - i);
}

/* The values behind the end count as -infinity; a NaN is passed over. */
ENX_INLINE __m256 load_or_least(const float *x, size_t n)
{
    const __m256 least = _mm256_set1_ps(-INFINITY);
    if (n >= LANES) return _mm256_loadu_ps(x);
    const __m256i lanes = tail_mask(n);
    return _mm256_blendv_ps(least, _mm256_maskload_ps(x, lanes), _mm256_castsi256_ps(lanes));
}

ENX_INLINE float largest(const float *x, size_t n)
{
    const size_t whole = n / LANES * LANES;
    __m256       most = load_or_least(x + whole, n - whole);
    for (size_t i = 0; i < whole; i += LANES) most = _mm256_max_ps(_mm256_loadu_ps(x + i), most);
    return reduce_max(most);
}

static void softmax(float *x, size_t n)
{
    const size_t whole = n / LANES * LANES;
    const __m256 most = _mm256_set1_ps(largest(x, n));
    const __m256 rest = exp_ps(_mm256_sub_ps(load_or_least(x + whole, n - whole), most));
    __m256       sum = rest; /* exp(-infinity) is 0 */
    for (size_t i = 0; i < whole; i += LANES) {
        const __m256 e = exp_ps(_mm256_sub_ps(_mm256_loadu_ps(x + i), most));
        sum = _mm256_add_ps(sum, e);
        _mm256_storeu_ps(x + i, e);
    }
    const __m256 scale = _mm256_set1_ps(1.0f / reduce_add(sum));
    for (size_t i = 0; i < whole; i += LANES)
        _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), scale));
    if (whole < n) store_f32(x + whole, _mm256_mul_ps(rest, scale), n - whole);
}

/* ---- attention --------------------------------------------------------- */

ENX_INLINE __m256 attend_load_i8(const int8_t *at, size_t n)
{
    int64_t bytes = 0;
    memcpy(&bytes, at, n >= LANES ? LANES : n);
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(bytes)));
}

/* Keys and values are seldom in a near cache. */
ENX_INLINE void attend_fetch(const char *at) { _mm_prefetch(at, _MM_HINT_T1); }

#define attend_vec      __m256
#define ATTEND_LANES    LANES
#define attend_zero     _mm256_setzero_ps
#define attend_all      _mm256_set1_ps
#define attend_fma      _mm256_fmadd_ps
#define attend_load     load_f32
#define attend_load_f16 load_f16
#define attend_store    store_f32
#include "kernels/attend_body.h"

/* ---- what the processor can -------------------------------------------- */

enum { PEAK_CHAINS = 8 }; /* sums that do not wait for each other */

static uint64_t peak_int8(uint64_t rounds, int32_t *sink)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i       sum[PEAK_CHAINS], w[PEAK_CHAINS], total = _mm256_setzero_si256();
    for (int i = 0; i < PEAK_CHAINS; i++) {
        sum[i] = _mm256_setzero_si256();
        w[i] = _mm256_set1_epi8((char)(*sink + i));
    }
    for (uint64_t round = 0; round < rounds; round++) {
        ENX_UNROLL
        for (int i = 0; i < PEAK_CHAINS; i++) {
            const __m256i pairs = _mm256_maddubs_epi16(w[i], sum[i]);
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, ones));
        }
    }
    for (int i = 0; i < PEAK_CHAINS; i++) total = _mm256_add_epi32(total, sum[i]);
    *sink += reduce_add_i32(total);
    return rounds * PEAK_CHAINS * sizeof total * 2;
}

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
    const float  most = largest(x, n);
    const __m256 shift = _mm256_set1_ps(most);
    __m256       sum = _mm256_setzero_ps();
    for (size_t i = 0; i < n; i += LANES)
        sum = _mm256_add_ps(sum, exp_ps(_mm256_sub_ps(load_or_least(x + i, n - i), shift)));
    return most + logf(reduce_add(sum));
}

void enx_kernels_bind_avx2(enx_kernels *table)
{
    table->name = "avx2";
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
    table->peak_int8 = peak_int8;
    table->argmax = argmax;
    table->log_sum_exp = log_sum_exp;
    bind_floats(table);
}
