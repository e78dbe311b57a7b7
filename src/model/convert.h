/* SPDX-License-Identifier: Apache-2.0 */
/* convert.h - numbers of any tensor type as floats, and how large they may be.
 *
 * The specification of a type is the scalar kernel; `kernels` chooses the level.
 *
 * Layer: model.  Thread-safety: no shared state.
 */
#ifndef ENX_MODEL_CONVERT_H
#define ENX_MODEL_CONVERT_H

#include "gguf/gguf.h"
#include "kernels/kernels.h"

/* F32, F16 and BF16 data are aligned to their numbers; `n` is a whole number of blocks, and `type`
 * one that enx_gguf_open lets through. */
void enx_tensor_to_f32(const enx_kernels *kernels, enx_tensor_type type, float *out, const void *in,
                       size_t n);

/* The kernels' number of a type whose rows become plain blocks while they are multiplied;
 * ENX_QUANT_COUNT: products take the type as it is. */
enx_quant enx_quant_of(enx_tensor_type type);

/* Bend numbers towards at most `cap`; 0: leave them. */
void enx_values_cap(float *x, size_t n, float cap);

#endif /* ENX_MODEL_CONVERT_H */
