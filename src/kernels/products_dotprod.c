/* SPDX-License-Identifier: Apache-2.0 */
/* products_dotprod.c - products with quantized weights by SDOT. */
#include "kernels/sdot.h"

#define NEON_TILES 1
#include "kernels/products_neon_body.h"

void enx_products_bind_dotprod(enx_kernels *table)
{
    table->name = "dotprod";
    bind_products(table);
}
