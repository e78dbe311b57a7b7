/* SPDX-License-Identifier: Apache-2.0 */
/* gemm.h - the trainer's matrix products, one thread a call: by kernels/matrix.h where that has
 * some, by oneDNN elsewhere.
 *
 * Operands are "packed": bf16 where the processor multiplies bf16 (AVX512_BF16 or AMX), f32
 * elsewhere.  Sums are f32 always.  A context belongs to one thread; what a shape needs is made
 * when it first comes, and kept.
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
                                      enx_report *report); /* borrows grad */
void                    enx_gemm_close(enx_gemm **gemm);

/* Bytes that n packed numbers take at most (f32's, so that buffers fit either way). */
size_t      enx_gemm_packed_bytes(size_t n);
/* n floats in operand form: themselves where that is f32, else packed into `room`. */
const void *enx_gemm_operand(const enx_gemm *gemm, void *room, const float *values, size_t n);
/* Where to write floats that are to be kept as the operand `packed`, until enx_gemm_keep: there, or
 * into `room` when they must be converted. */
float      *enx_gemm_floats(const enx_gemm *gemm, void *packed, float *room);
void        enx_gemm_keep(const enx_gemm *gemm, void *packed, const float *floats, size_t n);

/* One product: c [m][n] = or += op(a) op(b), inner length k; m is even, n a multiple of 16.
 * a is [m][k], or [k][m] when a_turned; b is [k][n], both dense.
 * b_is_blocked: b is what enx_gemm_block made of it for this product, from [n][k] when b_turned. */
typedef struct enx_product {
    size_t m, n, k;
    bool   a_turned, b_turned, is_added, b_is_blocked;
} enx_product;

/* ENX_UNSUPPORTED when oneDNN refuses the shape; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_gemm_run(enx_gemm *gemm, const enx_product *product, float *c,
                                     const void *a, const void *b, enx_report *report);

/* A right operand that serves often, in the layout that its product likes best: how many bytes it
 * takes, and its making from floats ([k][n], or [n][k] when b_turned).  The layout is the same for
 * every context, and does not depend on is_added. */
ENX_MUST_USE enx_status enx_gemm_block_bytes(enx_gemm *gemm, const enx_product *product,
                                             size_t *size_bytes, enx_report *report);
ENX_MUST_USE enx_status enx_gemm_block(enx_gemm *gemm, const enx_product *product, void *blocked,
                                       const float *values, enx_report *report);

#endif /* ENX_TRAIN_GEMM_H */
