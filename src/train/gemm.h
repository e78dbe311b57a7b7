/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.h - the trainer's matrix products, by oneDNN, one thread a call.
 *
 * Operands are "packed": bf16 where the processor multiplies bf16 (AVX512_BF16 or AMX), f32
 * elsewhere.  Sums are f32 always.  A context belongs to one thread; primitives are made once
 * for each shape and kept.
 *
 * Layer: train.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_TRAIN_GEMM_H
#define ENX_TRAIN_GEMM_H

#include "base/status.h"
#include "kernels/grad.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct enx_gemm enx_gemm;

/* Does this processor multiply bf16 faster than f32? */
bool enx_gemm_has_bf16(void);

ENX_MUST_USE enx_status enx_gemm_open(enx_gemm **out, bool is_bf16, const enx_grad_kernels *grad,
                                      enx_report *report);
void                    enx_gemm_close(enx_gemm **gemm);

/* Bytes that n packed numbers take at most (f32's, so that buffers fit either way). */
size_t      enx_gemm_packed_bytes(size_t n);
/* Convert n floats into operand form. */
void        enx_gemm_pack(const enx_gemm *gemm, void *packed, const float *values, size_t n);
/* The operand that starts `n` numbers further on. */
const void *enx_gemm_offset(const enx_gemm *gemm, const void *packed, size_t n);

/* One product: c [m][n] = or += op(a) op(b), inner length k.
 * a is [m][k], or [k][m] when a_turned; b is [k][n], or [n][k] when b_turned; both dense. */
typedef struct enx_product {
    size_t m, n, k;
    bool   a_turned, b_turned, is_added;
} enx_product;

/* ENX_UNSUPPORTED when oneDNN refuses the shape. */
ENX_MUST_USE enx_status enx_gemm_run(enx_gemm *gemm, const enx_product *product, float *c,
                                     const void *a, const void *b, enx_report *report);

#endif /* ENX_TRAIN_GEMM_H */
