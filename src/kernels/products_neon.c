/* SPDX-License-Identifier: Apache-2.0 */
/* products_neon.c - products with quantized weights on processors without SDOT.
 *
 * |w| may be 128 and |x| is at most 127, so two products stay below 32767 and are added in 16 bits
 * before they are widened.
 */
#include "kernels/kernels_impl.h"

#include <arm_neon.h>

ENX_INLINE int8x16_t all_quads(int8x16_t x, size_t quad)
{
    const int32x4_t quads = vreinterpretq_s32_s8(x);
    switch (quad) {
    case 0:
        return vreinterpretq_s8_s32(vdupq_laneq_s32(quads, 0));
    case 1:
        return vreinterpretq_s8_s32(vdupq_laneq_s32(quads, 1));
    case 2:
        return vreinterpretq_s8_s32(vdupq_laneq_s32(quads, 2));
    default:
        return vreinterpretq_s8_s32(vdupq_laneq_s32(quads, 3));
    }
}

ENX_INLINE int32x4_t dot_quad(int32x4_t sum, int8x16_t w, int8x16_t x, size_t quad)
{
    const int8x16_t all = all_quads(x, quad);
    const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(all));
    return vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(w, all)));
}

#define NEON_PAIRS 0
#include "kernels/products_neon_body.h"

void enx_products_bind_neon(enx_kernels *table) { bind_products(table); }
