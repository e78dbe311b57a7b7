/* SPDX-License-Identifier: Apache-2.0 */
/* kernels.h - the hot loops of inference, one table a level of the processor.
 *
 * The scalar level is the specification.  Two contracts:
 *
 *   exact     equal to the scalar level bit for bit (copies, quantized products)
 *   bounded   rounding may differ between levels, within the classical bound; tests/kernel_check.c
 *             states it for each kernel
 *
 * In both, the result for one row depends on that row and its arguments alone: not on the size of
 * the batch, the row's place in it, or how the output rows were cut among threads.
 *
 * All numbers are finite.  A NaN or an infinity in gives an unspecified number out, no crash.
 * Arrays of one call do not overlap unless it says "in place".
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_KERNELS_H
#define ENX_KERNELS_KERNELS_H

#include "kernels/blocks.h"
#include "kernels/cpu.h"

#include <stddef.h>
#include <stdint.h>

/* The shape of a product  out[b][r] = sum over c of w[r][c] * x[b][c].
 * out rows are `out_stride` floats apart, so that a caller can have a range of rows computed. */
typedef struct enx_matmul_shape {
    size_t          row_count;
    size_t          col_count;
    size_t          batch_count;
    size_t          out_stride; /* >= row_count */
    /* [row_count] rows of w, quantized only, quickest in rising order; NULL: 0 .. row_count - 1 */
    const uint32_t *ids;
} enx_matmul_shape;

/* What keys and values are kept in.  Q8: a signed byte a number, with one scale in f32 for the head
 * of a position, max|x| / 127. */
typedef enum enx_kv_type { ENX_KV_F16, ENX_KV_F32, ENX_KV_Q8 } enx_kv_type;

enum { ENX_KV_SCALE_BYTES = 4 };

static inline size_t enx_kv_number_bytes(enx_kv_type type)
{
    return type == ENX_KV_F32 ? sizeof(float) : type == ENX_KV_F16 ? sizeof(uint16_t) : 1;
}

typedef struct enx_kernels {
    const char *name; /* "scalar", "avx2", "avx512", "neon", ...: the highest level bound */

    /* ---- conversions, exact, n >= 0 ---- */

    void (*f32_from_f16)(float *out, const uint16_t *in, size_t n);
    /* Round to nearest, ties to even; beyond 65504: infinity. */
    void (*f16_from_f32)(uint16_t *out, const float *in, size_t n);
    void (*f32_from_bf16)(float *out, const uint16_t *in, size_t n);

    /* ---- quantized blocks, exact; `in` and `w` lie at any alignment; n and col_count are
     * multiples of a block's values ---- */

    /* Each product and sum is rounded, in the order in which blocks.h writes it. */
    void (*f32_from_quant[ENX_QUANT_COUNT])(float *out, const void *in, size_t n);

    /* Activations [n] -> [n / 32] blocks.  scale = max|x| / 127, q = x * (127 / max|x|) rounded to
     * nearest, ties to even.  A block whose max|x| is below ENX_ACT_TINY becomes zero. */
    void (*act_from_f32)(enx_act_q8 *out, const float *x, size_t n);

    /* The same with one scale for 256 values. */
    void (*act_k_from_f32)(enx_act_k *out, const float *x, size_t n);

    /* Products with quantized weights; w: panels of [rows][cols] (panels.h), x [batch] of as many
     * blocks as a row has, enx_act_k where enx_quant_is_large() and enx_act_q8 elsewhere.  One sum:
     * for each block in order, sum = sum + (float)(sum of scale_w * q_w * q_x) * (d_w * scale_x)
     * where scale_w is 1 in blocks of 32.  Those of 32 that add m then do
     *     sum = sum + m * (scale_x * (float)(sum of q_x))
     * and those of 256 with minima
     *     sum = sum - (float)(sum of minimum * sum of q_x) * (dmin * scale_x)
     * Rounded after every operation (no fused multiply-add). */
    void (*matmul_quant)(float *out, enx_quant quant, const void *w, const void *x,
                         const enx_matmul_shape *shape);

    /* ---- products with float weights, bounded; w [rows][cols], x [batch][cols] ---- */

    void (*matmul_f32)(float *out, const float *w, const float *x, const enx_matmul_shape *shape);
    void (*matmul_f16)(float *out, const uint16_t *w, const float *x,
                       const enx_matmul_shape *shape);
    void (*matmul_bf16)(float *out, const uint16_t *w, const float *x,
                        const enx_matmul_shape *shape);

    /* ---- the rest of a layer, bounded ---- */

    /* out = x / sqrt(mean(x * x) + epsilon) * gain, [n], n >= 1; out may be x. */
    void (*rmsnorm)(float *out, const float *x, const float *gain, size_t n, float epsilon);

    /* Rotate in place: pair i is (x[i], x[half + i]) in rope_halves, (x[2i], x[2i + 1]) in
     * rope_pairs; by the angle whose cosine and sine are given, [half] each; x [2 * half]. */
    void (*rope_halves)(float *x, const float *cosines, const float *sines, size_t half);
    void (*rope_pairs)(float *x, const float *cosines, const float *sines, size_t half);

    /* out = gate / (1 + exp(-gate)) * up, [n]; out may be gate. */
    void (*silu_mul)(float *out, const float *gate, const float *up, size_t n);

    void (*add)(float *x, const float *y, size_t n); /* x += y, exact */

    /* x = exp(x - max) / sum, in place, [n], n >= 1. */
    void (*softmax)(float *x, size_t n);

    /* Scores of several queries of one head: out[i][p] = q[i] . key p.  Keys lie in blocks of 16
     * positions, transposed: k [ceil(count / 16)][head_width][16] f16, so that no sum crosses
     * lanes.  out[i] [count rounded up to 16]; what is behind `count` is unspecified.
     * `ahead` is what the next call will read, of k's size: it may be fetched meanwhile. */
    void (*attend_scores)(float *const *out, const float *const *q, size_t q_count,
                          const uint16_t *k, size_t head_width, size_t count, const void *ahead);
    /* out[i][d] += sum over p of weights[i][p] * v[p][d]; v [count][head_width] f16,
     * out[i] [head_width].  Calls for one stretch of positions after the other give the very
     * numbers of one call for all. */
    void (*attend_mix)(float *const *out, const float *const *weights, size_t q_count,
                       const uint16_t *v, size_t head_width, size_t count, const void *ahead);
    /* The same with keys and values in f32, in the same order. */
    void (*attend_scores_f32)(float *const *out, const float *const *q, size_t q_count,
                              const float *k, size_t head_width, size_t count, const void *ahead);
    void (*attend_mix_f32)(float *const *out, const float *const *weights, size_t q_count,
                           const float *v, size_t head_width, size_t count, const void *ahead);
    /* The same with bytes.  Behind each block of 16 keys lie their 16 scales, k [ceil(count / 16)]
     * of { int8 [head_width][16], f32 [16] } at multiples of 4 bytes; behind each value its own,
     * v [count] of { int8 [head_width], f32 }. */
    void (*attend_scores_q8)(float *const *out, const float *const *q, size_t q_count,
                             const int8_t *k, size_t head_width, size_t count, const void *ahead);
    void (*attend_mix_q8)(float *const *out, const float *const *weights, size_t q_count,
                          const int8_t *v, size_t head_width, size_t count, const void *ahead);

    /* ---- what the processor can ---- */

    /* Multiply bytes and add, in registers alone, `rounds` times: returns how many operations that
     * was, a product and its addition counting as two.  *sink: so that it is not left out. */
    uint64_t (*peak_int8)(uint64_t rounds, int32_t *sink);

    /* ---- logits ---- */

    /* The first index of the largest value, n >= 1; exact.  A NaN is never larger. */
    size_t (*argmax)(const float *x, size_t n);
    /* log(sum(exp(x))), n >= 1; bounded. */
    float (*log_sum_exp)(const float *x, size_t n);
} enx_kernels;

/* Below this, 127 / max|x| could overflow. */
#define ENX_ACT_TINY 1e-30f

/* Bind the best implementation of each kernel that `cpu_flags` (of enx_cpu_detect) allows.  Flags
 * are an argument, not a global, so a test can bind every level side by side. */
void enx_kernels_init(enx_kernels *table, unsigned cpu_flags);

/* Quantize [n] values as ggml does: scale = f16(max|x| / 127), q = x / (max|x| / 127) rounded half
 * away from zero.  n is a multiple of 32. */
void enx_q8_0_from_f32(enx_block_q8_0 *out, const float *x, size_t n);

/* Bytes [n] with one scale, which is returned: max|x| / 127; q = x / scale rounded to nearest, ties
 * to even.  Below ENX_ACT_TINY all is zero. */
float enx_q8_from_f32(int8_t *out, const float *x, size_t n);

float    enx_f32_of_f16(uint16_t bits);
uint16_t enx_f16_of_f32(float value);

#endif /* ENX_KERNELS_KERNELS_H */
