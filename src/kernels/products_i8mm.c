/* SPDX-License-Identifier: Apache-2.0 */
/* products_i8mm.c - the same, and tiles by SMMLA: 32 products an instruction, two rows by two. */
#include "kernels/sdot.h"

#define NEON_TILES 2
#include "kernels/products_neon_body.h"

void enx_products_bind_i8mm(enx_kernels *table)
{
    table->name = "i8mm";
    bind_products(table);
}
