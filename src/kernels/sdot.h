/* SPDX-License-Identifier: Apache-2.0 */
/* sdot.h - sixteen products of bytes by one instruction, for products_neon_body.h.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_SDOT_H
#define ENX_KERNELS_SDOT_H

#include "kernels/kernels_impl.h"

#include <arm_neon.h>
#include <stdbool.h>

ENX_INLINE int32x4_t dot_quad(int32x4_t sum, int8x16_t w, int8x16_t x, size_t quad)
{
    switch (quad) {
    case 0:
        return vdotq_laneq_s32(sum, w, x, 0);
    case 1:
        return vdotq_laneq_s32(sum, w, x, 1);
    case 2:
        return vdotq_laneq_s32(sum, w, x, 2);
    default:
        return vdotq_laneq_s32(sum, w, x, 3);
    }
}

ENX_INLINE int32x4_t dot_quads(int32x4_t sum, const int8x16_t *w, const int8x16_t *x,
                               const size_t first, const size_t count, bool is_small)
{
    (void)is_small;
    ENX_UNROLL
    for (size_t k = first; k < first + count; k++) sum = dot_quad(sum, w[k], x[k / 4], k % 4);
    return sum;
}

#endif /* ENX_KERNELS_SDOT_H */
