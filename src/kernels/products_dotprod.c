/* SPDX-License-Identifier: Apache-2.0 */
/* products_dotprod.c - products with quantized weights by SDOT: sixteen products an instruction. */
#include "kernels/kernels_impl.h"

#include <arm_neon.h>

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

#include "kernels/products_neon_body.h"

void enx_products_bind_dotprod(enx_kernels *table)
{
    table->name = "dotprod";
    bind_products(table);
}
