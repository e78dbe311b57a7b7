/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_scalar.c - the specification: the shortest correct C of each kernel. */
#include "kernels/kernels_impl.h"
#include "kernels/plain_body.h"

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

static float scale_of(const enx_block_q8_0 *block)
{
    return enx_f32_of_f16((uint16_t)(block->scale[0] | block->scale[1] << 8));
}

static void f32_from_q8_0(float *out, const enx_block_q8_0 *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = scale_of(&in[i / ENX_Q8_BLOCK]) * (float)in[i / ENX_Q8_BLOCK].q[i % ENX_Q8_BLOCK];
}

static void act_from_f32(enx_act_q8 *out, const float *x, size_t n)
{
    for (size_t b = 0; b < n / ENX_Q8_BLOCK; b++, x += ENX_Q8_BLOCK) {
        float   most = 0;
        int32_t sum = 0;
        for (size_t i = 0; i < ENX_Q8_BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
        const bool  is_zero = !(most >= ENX_ACT_TINY);
        const float inverse = is_zero ? 0.0f : 127.0f / most;
        for (size_t i = 0; i < ENX_Q8_BLOCK; i++) {
            out[b].q[i] = (int8_t)lrintf(x[i] * inverse);
            sum += out[b].q[i];
        }
        out[b].scale = is_zero ? 0.0f : most / 127.0f;
        out[b].offset = -128 * sum;
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
        }
    }
}

static void matmul_pack_q8(float *out, const enx_pack_q8 *w, const enx_act_q8 *x,
                           const enx_matmul_shape *shape)
{
    const size_t block_count = shape->col_count / ENX_Q8_BLOCK;
    for (size_t r = 0; r < shape->row_count; r++)
        for (size_t j = 0; j < shape->batch_count; j++) {
            const enx_pack_q8 *row = w + r / ENX_PACK_ROWS * block_count;
            const enx_act_q8  *act = x + j * block_count;
            const size_t       lane = r % ENX_PACK_ROWS;
            float              sum = 0;
            for (size_t b = 0; b < block_count; b++) {
                int32_t dot = act[b].offset;
                for (size_t i = 0; i < ENX_Q8_BLOCK; i++)
                    dot += row[b].q[i / 4][lane][i % 4] * act[b].q[i];
                sum += (float)dot * (row[b].scale[lane] * act[b].scale);
            }
            out[j * shape->out_stride + r] = sum;
        }
}

static void dot_rows_q8_0(float *out, const enx_block_q8_0 *w, const uint32_t *ids, size_t count,
                          const enx_act_q8 *x, size_t col_count)
{
    const size_t block_count = col_count / ENX_Q8_BLOCK;
    for (size_t r = 0; r < count; r++) {
        const enx_block_q8_0 *row = w + (ids ? ids[r] : r) * block_count;
        float                 sum = 0;
        for (size_t b = 0; b < block_count; b++) {
            int32_t dot = 0;
            for (size_t i = 0; i < ENX_Q8_BLOCK; i++) dot += row[b].q[i] * x[b].q[i];
            sum += (float)dot * (scale_of(&row[b]) * x[b].scale);
        }
        out[r] = sum;
    }
}

/* Lanes i and i + 4, then i and i + 2, then the last two. */
static float add_lanes(const float lane[PLAIN_LANES])
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static float dot_plain_32(const enx_plain_32 *w, const enx_act_q8 *x, size_t block_count)
{
    float lane[PLAIN_LANES] = { 0 }, more = 0;
    for (size_t b = 0; b < block_count; b++) {
        const float both = w[b].d * x[b].scale;
        int32_t     sum = 0;
        for (size_t l = 0; l < PLAIN_LANES; l++) {
            int32_t dot = 0;
            for (size_t i = 4 * l; i < 4 * l + 4; i++) dot += w[b].q[i] * x[b].q[i];
            for (size_t i = 4 * l; i < 4 * l + 4; i++) sum += x[b].q[i];
            lane[l] += (float)dot * both;
        }
        more += w[b].m * (x[b].scale * (float)sum);
    }
    return add_lanes(lane) + more;
}

static float dot_plain_k(const enx_plain_k *w, const enx_act_k *x, size_t block_count)
{
    float lane[PLAIN_LANES] = { 0 };
    for (size_t b = 0; b < block_count; b++) {
        const float both = w[b].d * x[b].scale, least = w[b].dmin * x[b].scale;
        int32_t     dot[PLAIN_LANES] = { 0 };
        for (size_t i = 0; i < ENX_K_BLOCK; i++)
            dot[i % 32 / 4] += w[b].scales[i / 16] * (w[b].q[i] * x[b].q[i]);
        for (size_t l = 0; l < PLAIN_LANES; l++) {
            const int32_t mins =
                w[b].mins[2 * l] * x[b].sums[2 * l] + w[b].mins[2 * l + 1] * x[b].sums[2 * l + 1];
            lane[l] += (float)dot[l] * both;
            lane[l] -= (float)mins * least;
        }
    }
    return add_lanes(lane);
}

static void matmul_plain_32(float *out, const enx_plain_32 *w, const enx_act_q8 *x,
                            const enx_matmul_shape *s)
{
    const size_t blocks = s->col_count / ENX_SMALL_BLOCK;
    for (size_t j = 0; j < s->batch_count; j++)
        for (size_t r = 0; r < s->row_count; r++)
            out[j * s->out_stride + r] = dot_plain_32(w + r * blocks, x + j * blocks, blocks);
}

static void matmul_plain_k(float *out, const enx_plain_k *w, const enx_act_k *x,
                           const enx_matmul_shape *s)
{
    const size_t blocks = s->col_count / ENX_K_BLOCK;
    for (size_t j = 0; j < s->batch_count; j++)
        for (size_t r = 0; r < s->row_count; r++)
            out[j * s->out_stride + r] = dot_plain_k(w + r * blocks, x + j * blocks, blocks);
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
        .f32_from_q8_0 = f32_from_q8_0,
        .act_from_f32 = act_from_f32,
        .act_k_from_f32 = act_k_from_f32,
        .matmul_plain_32 = matmul_plain_32,
        .matmul_plain_k = matmul_plain_k,
        .matmul_pack_q8 = matmul_pack_q8,
        .dot_rows_q8_0 = dot_rows_q8_0,
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
        .argmax = argmax,
        .log_sum_exp = log_sum_exp,
    };
    bind_plain(table);
}
