/* SPDX-License-Identifier: Apache-2.0 */
/* products_neon.c - products with quantized weights on processors without SDOT.
 *
 * |w| may be 128 and |x| is at most 127, so two products stay below 32767 and are added in 16 bits
 * before they are widened; so are eight where |w| is at most 32.
 */
#include "kernels/kernels_impl.h"

#include <arm_neon.h>
#include <stdbool.h>

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

ENX_INLINE int32x4_t dot_quads(int32x4_t sum, const int8x16_t *w, const int8x16_t *x,
                               const size_t first, const size_t count, const bool is_small)
{
    int16x8_t low = vdupq_n_s16(0), high = low; /* of the first and the last two lanes */
    ENX_UNROLL
    for (size_t k = first; k < first + count; k++) {
        const int8x16_t all = all_quads(x[k / 4], k % 4);
        if (is_small) {
            low = vmlal_s8(low, vget_low_s8(w[k]), vget_low_s8(all));
            high = vmlal_high_s8(high, w[k], all);
        } else sum = dot_quad(sum, w[k], x[k / 4], k % 4);
    }
    return is_small ? vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high))) : sum;
}

#define NEON_TILES 0
#include "kernels/products_neon_body.h"

void enx_products_bind_neon(enx_kernels *table) { bind_products(table); }
