/* SPDX-License-Identifier: Apache-2.0 */
/* matrix.h - products of large f32 matrices, for levels where a library leaves something to gain.
 *
 * c [m][n] = or += a b, inner length k.  The right operand is packed: cut along k into blocks of
 * ENX_MATRIX_DEPTH, each of these into panels of ENX_MATRIX_PANEL columns, so that a panel stays in
 * the first cache while rows of a pass by (Goto and van de Geijn, 2008).  Each number of c is one
 * sum over rising k in each block, and of the blocks in their order: the same whatever m is.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_MATRIX_H
#define ENX_KERNELS_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

enum {
    ENX_MATRIX_PANEL = 16,                                   /* n is a multiple of it */
    ENX_MATRIX_DEPTH = 256,                                  /* of k at a time */
    ENX_MATRIX_ROWS = 96,                                    /* of a at a time */
    ENX_MATRIX_SCRATCH = ENX_MATRIX_ROWS * (ENX_MATRIX_DEPTH + 16), /* floats */
};

/* a is [m][k] with rows a_stride apart, or [k][m] likewise when a_turned.  m is even. */
typedef struct enx_matrix_product {
    size_t m, n, k, a_stride;
    bool   a_turned, is_added;
} enx_matrix_product;

typedef struct enx_matrix_kernels {
    const char *name;
    /* packed [k n] of b, which is dense: [k][n], or [n][k] when b_turned. */
    void (*pack)(float *packed, const float *b, size_t k, size_t n, bool b_turned);
    /* c is dense; scratch [ENX_MATRIX_SCRATCH]. */
    void (*multiply)(float *c, const float *a, const float *packed, const enx_matrix_product *p,
                     float *scratch);
} enx_matrix_kernels;

/* NULL: none for this processor. */
const enx_matrix_kernels *enx_matrix_kernels_find(unsigned cpu_flags);

#endif /* ENX_KERNELS_MATRIX_H */
