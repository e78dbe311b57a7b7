/* SPDX-License-Identifier: Apache-2.0 */
/* products_scalar.c - the specification of products with quantized weights. */
#include "kernels/kernels_impl.h"
#include "kernels/panels.h"
#include "kernels/plain_body.h"

#include <stdbool.h>

static bool has_minima(enx_quant quant)
{
    return quant == ENX_QUANT_Q4_1 || quant == ENX_QUANT_Q5_1 || quant == ENX_QUANT_Q2_K ||
           quant == ENX_QUANT_Q4_K || quant == ENX_QUANT_Q5_K;
}

static float add_small(float sum, const enx_plain_32 *w, const enx_act_q8 *x, bool has_minimum)
{
    int32_t dot = 0;
    for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) dot += w->q[i] * x->q[i];
    sum += (float)dot * (w->d * x->scale);
    if (has_minimum) sum += w->m * (x->scale * (float)x->sum);
    return sum;
}

static float add_large(float sum, const enx_plain_k *w, const enx_act_k *x, bool has_minimum)
{
    int32_t dot = 0, mins = 0;
    for (size_t i = 0; i < ENX_K_BLOCK; i++) dot += w->scales[i / 16] * (w->q[i] * x->q[i]);
    for (size_t part = 0; part < ENX_K_PARTS; part++) mins += w->mins[part] * x->sums[part];
    sum += (float)dot * (w->d * x->scale);
    if (has_minimum) sum -= (float)mins * (w->dmin * x->scale);
    return sum;
}

static void matmul_quant(float *out, enx_quant quant, const void *w, const void *x,
                         const enx_matmul_shape *s)
{
    const bool   is_large = enx_quant_is_large(quant), has_minimum = has_minima(quant);
    const size_t values = is_large ? ENX_K_BLOCK : ENX_SMALL_BLOCK, blocks = s->col_count / values;
    for (size_t r = 0; r < s->row_count; r++) {
        for (size_t j = 0; j < s->batch_count; j++) out[j * s->out_stride + r] = 0;
        for (size_t b = 0; b < blocks; b++) {
            uint8_t           block[ENX_QUANT_BYTES_MAX];
            enx_plain_32      small;
            enx_plain_k       large;
            const enx_act_q8 *act = (const enx_act_q8 *)x + b;
            const enx_act_k  *act_k = (const enx_act_k *)x + b;
            enx_panels_block(block, quant, w, s->col_count, s->ids ? s->ids[r] : r, b);
            plain_kinds[quant].open(is_large ? (void *)&large : &small, block, values);
            for (size_t j = 0; j < s->batch_count; j++) {
                float *sum = &out[j * s->out_stride + r];
                if (is_large) *sum = add_large(*sum, &large, act_k + j * blocks, has_minimum);
                else *sum = add_small(*sum, &small, act + j * blocks, has_minimum);
            }
        }
    }
}

void enx_products_bind_scalar(enx_kernels *table) { table->matmul_quant = matmul_quant; }
