/* SPDX-License-Identifier: Apache-2.0 */
/* quantize.h - floats into ggml's blocks, for files that are made once and read often.
 *
 * Each scale is searched for, not taken from the largest value: among some twenty roundings the one
 * with the least squared error, in which large values weigh more, wins.  `n` is a multiple of the
 * block's values.  Values that are not finite give unspecified numbers, no crash.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_QUANTIZE_H
#define ENX_KERNELS_QUANTIZE_H

#include "kernels/blocks.h"

#include <stddef.h>

/* Q8_0, whose rounding is fixed, is enx_q8_0_from_f32 in kernels.h. */
void enx_q4_0_from_f32(enx_block_q4_0 *out, const float *x, size_t n);
void enx_q5_0_from_f32(enx_block_q5_0 *out, const float *x, size_t n);
void enx_q4_k_from_f32(enx_block_q4_k *out, const float *x, size_t n);
void enx_q5_k_from_f32(enx_block_q5_k *out, const float *x, size_t n);
void enx_q6_k_from_f32(enx_block_q6_k *out, const float *x, size_t n);

#endif /* ENX_KERNELS_QUANTIZE_H */
