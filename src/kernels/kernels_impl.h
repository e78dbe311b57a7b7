/* SPDX-License-Identifier: Apache-2.0 */
/* kernels_impl.h - private to the kernels: what each level's file exports.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_KERNELS_IMPL_H
#define ENX_KERNELS_KERNELS_IMPL_H

#include "kernels/kernels.h"

/* Each fills the entries that it has and leaves the others alone. */
void enx_kernels_bind_scalar(enx_kernels *table);
void enx_kernels_bind_avx2(enx_kernels *table);
void enx_kernels_bind_avx512(enx_kernels *table);
void enx_kernels_bind_neon(enx_kernels *table);
void enx_products_bind_scalar(enx_kernels *table);
void enx_products_bind_avx2(enx_kernels *table);
void enx_products_bind_avx512(enx_kernels *table);
void enx_products_bind_neon(enx_kernels *table);
void enx_products_bind_dotprod(enx_kernels *table);
void enx_products_bind_i8mm(enx_kernels *table);

/* Ask the compiler to unroll the next loop, whose trip count is a constant. */
#if defined(__clang__)
#define ENX_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ENX_UNROLL _Pragma("GCC unroll 16")
#endif

#define ENX_INLINE static inline __attribute__((always_inline))

#endif /* ENX_KERNELS_KERNELS_IMPL_H */
