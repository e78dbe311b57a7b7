/* SPDX-License-Identifier: Apache-2.0 */
/* grad.h - the trainer's loops that are not matrix products: forward and backward.
 *
 * Rows are tokens.  `c` is the model width, `d` the width of one head, `f` the feed-forward
 * width; all matrices are row-major f32.  A function named _back adds into its d* outputs where
 * the comment says +=, and writes them where it says =.
 *
 * One source, compiled once a level: results are equal for any number of threads, and differ
 * between levels only by rounding (bounded; kernel_check ties every level to the scalar one and
 * the scalar one to finite differences).
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_GRAD_H
#define ENX_KERNELS_GRAD_H

#include "kernels/matrix.h"

#include <stddef.h>
#include <stdint.h>

enum {
    ENX_GRAD_HEAD_MAX = 128,     /* d at most, a multiple of 16 */
    ENX_GRAD_SEGMENT_MAX = 1024, /* tokens of one example at most */
};

typedef struct enx_grad_kernels {
    const char               *name;
    const enx_matrix_kernels *matrix; /* products in f32; NULL: leave them to a library */

    /* out[i] = round-to-nearest-even bf16 of in[i], [n]. */
    void (*to_bf16)(uint16_t *out, const float *in, size_t n);

    /* y = x * rstd * gain by row; rstd [rows] out.  x, y [rows][c]; gain [c]. */
    void (*rmsnorm)(float *y, float *rstd, const float *x, const float *gain, size_t rows, size_t c,
                    float epsilon);
    /* dx += , dgain +=. */
    void (*rmsnorm_back)(float *dx, float *dgain, const float *dy, const float *x,
                         const float *gain, const float *rstd, size_t rows, size_t c);

    /* Per-head RMS norm, gain [d], then rotation of the half-split pairs (i, i + d/2) by the angle
     * of the row's position.  x [rows][stride] holds head_count heads from its start; y [rows][c];
     * rstd [rows][head_count] out; cosines and sines [position][d/2]. */
    void (*head_rope)(float *y, float *rstd, const float *x, size_t stride, const float *gain,
                      const uint32_t *positions, const float *cosines, const float *sines,
                      size_t rows, size_t head_count, size_t d, float epsilon);
    /* dx = (same stride as x), dgain +=.  dy [rows][c] is used as scratch. */
    void (*head_rope_back)(float *dx, float *dgain, float *dy, const float *x, size_t stride,
                           const float *gain, const float *rstd, const uint32_t *positions,
                           const float *cosines, const float *sines, size_t rows, size_t head_count,
                           size_t d);

    /* s = silu(g) * u; gate_up rows are [g | u], [rows][2f]; s [rows][f]. */
    void (*silu_mul)(float *s, const float *gate_up, size_t rows, size_t f);
    /* dgate_up = . */
    void (*silu_mul_back)(float *dgate_up, const float *ds, const float *gate_up, size_t rows,
                          size_t f);

    /* Causal attention of one segment of n tokens and one head.  q, k, out have row stride c, v has
     * v_stride; scratch holds enx_attention_scratch_floats(n, d). */
    void (*attention)(float *out, const float *q, const float *k, const float *v, size_t c,
                      size_t v_stride, size_t n, size_t d, float *scratch);
    /* dq =, dk = (stride c), dv = (v_stride). */
    void (*attention_back)(float *dq, float *dk, float *dv, const float *dout, const float *q,
                           const float *k, const float *v, size_t c, size_t v_stride, size_t n,
                           size_t d, float *scratch);

    /* Cross entropy with z-loss of one row of logits [n]: logits become d loss / d logits times
     * `scale`; returns -log p(target).  The gradient holds z_weight * logsumexp^2 as well. */
    float (*cross_entropy)(float *logits, size_t n, uint32_t target, float scale, float z_weight);

    /* AdamW with decoupled decay on [n]; `correct1`, `correct2` are 1 - beta^t. */
    void (*adamw)(float *p, float *m, float *v, const float *g, size_t n, float g_scale, float lr,
                  float decay, float beta1, float beta2, float correct1, float correct2);

    /* sum of squares in double, fixed order. */
    double (*sum_squares)(const float *x, size_t n);
} enx_grad_kernels;

/* Floats of scratch that attention and its backward pass need for n tokens. */
size_t enx_attention_scratch_floats(size_t n, size_t d);

/* Bind the best level that `cpu_flags` (cpu.h) allows. */
void enx_grad_kernels_init(enx_grad_kernels *table, unsigned cpu_flags);

#endif /* ENX_KERNELS_GRAD_H */
