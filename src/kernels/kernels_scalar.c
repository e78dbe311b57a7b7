/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_scalar.c - the specification: the shortest correct C of each kernel. */
#include "kernels/floats_body.h"
#include "kernels/kernels_impl.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static void f32_from_f16(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = enx_f32_of_f16(in[i]);
}

static void f16_from_f32(uint16_t *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = enx_f16_of_f32(in[i]);
}

static float f32_of_bf16(uint16_t bits)
{
    const uint32_t word = (uint32_t)bits << 16;
    float          value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static void f32_from_bf16(float *out, const uint16_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = f32_of_bf16(in[i]);
}

static void act_from_f32(enx_act_q8 *out, const float *x, size_t n)
{
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++, x += ENX_SMALL_BLOCK) {
        float   most = 0;
        int32_t sum = 0;
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
        const bool  is_zero = !(most >= ENX_ACT_TINY);
        const float inverse = is_zero ? 0.0f : 127.0f / most;
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) {
            out[b].q[i] = (int8_t)lrintf(x[i] * inverse);
            sum += out[b].q[i];
        }
        out[b].scale = is_zero ? 0.0f : most / 127.0f;
        out[b].sum = sum;
    }
}

static void act_k_from_f32(enx_act_k *out, const float *x, size_t n)
{
    for (size_t b = 0; b < n / ENX_K_BLOCK; b++, x += ENX_K_BLOCK) {
        float most = 0;
        for (size_t i = 0; i < ENX_K_BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
        const bool  is_zero = !(most >= ENX_ACT_TINY);
        const float inverse = is_zero ? 0.0f : 127.0f / most;
        out[b].scale = is_zero ? 0.0f : most / 127.0f;
        for (size_t part = 0; part < ENX_K_PARTS; part++) {
            int32_t sum = 0;
            for (size_t i = part * 16; i < part * 16 + 16; i++)
                sum += out[b].q[i] = (int8_t)lrintf(x[i] * inverse);
            out[b].sums[part] = (int16_t)sum;
            if (part % 2) out[b].pair_sums[part / 2] = (int16_t)(out[b].sums[part - 1] + sum);
        }
    }
}

/* One body for three weight types; `value` turns a stored weight into a float. */
#define DEFINE_MATMUL(name, type, value)                                                   \
    static void name(float *out, const type *w, const float *x, const enx_matmul_shape *s) \
    {                                                                                      \
        for (size_t r = 0; r < s->row_count; r++)                                          \
            for (size_t j = 0; j < s->batch_count; j++) {                                  \
                float sum = 0;                                                             \
                for (size_t c = 0; c < s->col_count; c++)                                  \
                    sum += value(w[r * s->col_count + c]) * x[j * s->col_count + c];       \
                out[j * s->out_stride + r] = sum;                                          \
            }                                                                              \
    }
DEFINE_MATMUL(matmul_f32, float, )
DEFINE_MATMUL(matmul_f16, uint16_t, enx_f32_of_f16)
DEFINE_MATMUL(matmul_bf16, uint16_t, f32_of_bf16)

static void rmsnorm(float *out, const float *x, const float *gain, size_t n, float epsilon)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    const float scale = 1.0f / sqrtf(sum / (float)n + epsilon);
    for (size_t i = 0; i < n; i++) out[i] = x[i] * scale * gain[i];
}

static void rope_halves(float *x, const float *cosines, const float *sines, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        const float a = x[i], b = x[half + i];
        x[i] = a * cosines[i] - b * sines[i];
        x[half + i] = a * sines[i] + b * cosines[i];
    }
}

static void rope_pairs(float *x, const float *cosines, const float *sines, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * cosines[i] - b * sines[i];
        x[2 * i + 1] = a * sines[i] + b * cosines[i];
    }
}

static void silu_mul(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] += y[i];
}

static float largest(const float *x, size_t n)
{
    float most = x[0];
    for (size_t i = 1; i < n; i++) most = fmaxf(most, x[i]);
    return most;
}

static void softmax(float *x, size_t n)
{
    const float most = largest(x, n);
    float       sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - most);
    for (size_t i = 0; i < n; i++) x[i] /= sum;
}

ENX_INLINE float attend_fma(float a, float b, float c) { return a * b + c; }

ENX_INLINE float attend_load(const float *at, size_t n)
{
    (void)n;
    return *at;
}

ENX_INLINE float attend_load_f16(const uint16_t *at, size_t n)
{
    (void)n;
    return enx_f32_of_f16(*at);
}

ENX_INLINE float attend_load_i8(const int8_t *at, size_t n)
{
    (void)n;
    return *at;
}

ENX_INLINE void attend_store(float *at, float v, size_t n)
{
    (void)n;
    *at = v;
}

ENX_INLINE void attend_fetch(const char *at) { (void)at; }

#define attend_vec    float
#define ATTEND_LANES  1
#define attend_zero() 0.0f
#define attend_all(x) (x)
#include "kernels/attend_body.h"

static uint64_t peak_int8(uint64_t rounds, int32_t *sink)
{
    volatile int8_t one = 1; /* read each time, or there would be nothing to multiply */
    for (uint64_t i = 0; i < rounds; i++) *sink = (*sink + one * one) & 0xFFFF;
    return 2 * rounds;
}

static size_t argmax(const float *x, size_t n)
{
    size_t best = 0;
    float  most = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (x[i] > most) {
            most = x[i];
            best = i;
        }
    return best;
}

static float log_sum_exp(const float *x, size_t n)
{
    const float most = largest(x, n);
    float       sum = 0;
    for (size_t i = 0; i < n; i++) sum += expf(x[i] - most);
    return most + logf(sum);
}

void enx_kernels_bind_scalar(enx_kernels *table)
{
    *table = (enx_kernels){
        .name = "scalar",
        .f32_from_f16 = f32_from_f16,
        .f16_from_f32 = f16_from_f32,
        .f32_from_bf16 = f32_from_bf16,
        .act_from_f32 = act_from_f32,
        .act_k_from_f32 = act_k_from_f32,
        .matmul_f32 = matmul_f32,
        .matmul_f16 = matmul_f16,
        .matmul_bf16 = matmul_bf16,
        .rmsnorm = rmsnorm,
        .rope_halves = rope_halves,
        .rope_pairs = rope_pairs,
        .silu_mul = silu_mul,
        .add = add,
        .softmax = softmax,
        .attend_scores = attend_scores,
        .attend_mix = attend_mix,
        .attend_scores_f32 = attend_scores_f32,
        .attend_mix_f32 = attend_mix_f32,
        .attend_scores_q8 = attend_scores_q8,
        .attend_mix_q8 = attend_mix_q8,
        .peak_int8 = peak_int8,
        .argmax = argmax,
        .log_sum_exp = log_sum_exp,
    };
    bind_floats(table);
}
