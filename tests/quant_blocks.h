/* SPDX-License-Identifier: Apache-2.0 */
/* quant_blocks.h - blocks of every quantized type with random bits and sensible scales.
 *
 * Layer: tests.  Thread-safety: no shared state.
 */
#ifndef ENX_TESTS_QUANT_BLOCKS_H
#define ENX_TESTS_QUANT_BLOCKS_H

#include "base/rng.h"
#include "gguf/gguf.h"
#include "kernels/kernels.h"

#include <string.h>

typedef struct quant_layout {
    enx_tensor_type type;
    enx_quant       quant;
    uint16_t        values, size_bytes; /* of a block */
    int16_t         d_at, m_at;         /* of the f16 scale and minimum; -1: none */
    float           spread;             /* of random blocks whose d is 1 */
    float           m_of_d;             /* the minimum that makes their mean 0 */
} quant_layout;

static const quant_layout quant_layouts[ENX_QUANT_COUNT] = {
    { ENX_TENSOR_Q4_0, ENX_QUANT_Q4_0, 32, 18, 0, -1, 4.6f, 0 },
    { ENX_TENSOR_Q4_1, ENX_QUANT_Q4_1, 32, 20, 0, 2, 4.6f, -7.5f },
    { ENX_TENSOR_Q5_0, ENX_QUANT_Q5_0, 32, 22, 0, -1, 9.2f, 0 },
    { ENX_TENSOR_Q5_1, ENX_QUANT_Q5_1, 32, 24, 0, 2, 9.2f, -15.5f },
    { ENX_TENSOR_Q8_0, ENX_QUANT_Q8_0, 32, 34, 0, -1, 74, 0 },
    { ENX_TENSOR_Q2_K, ENX_QUANT_Q2_K, 256, 84, 80, 82, 15, 1.5f },
    { ENX_TENSOR_Q3_K, ENX_QUANT_Q3_K, 256, 110, 108, -1, 42, 0 },
    { ENX_TENSOR_Q4_K, ENX_QUANT_Q4_K, 256, 144, 0, 2, 250, 7.5f },
    { ENX_TENSOR_Q5_K, ENX_QUANT_Q5_K, 256, 176, 0, 2, 500, 15.5f },
    { ENX_TENSOR_Q6_K, ENX_QUANT_Q6_K, 256, 210, 208, -1, 1370, 0 },
    { ENX_TENSOR_IQ4_NL, ENX_QUANT_IQ4_NL, 32, 18, 0, -1, 70, 0 },
    { ENX_TENSOR_IQ4_XS, ENX_QUANT_IQ4_XS, 256, 136, 0, -1, 1300, 0 },
    { ENX_TENSOR_MXFP4, ENX_QUANT_MXFP4, 32, 17, -1, -1, 5.9f, 0 },
};

/* NULL: not one of these. */
static inline const quant_layout *quant_layout_of(enx_tensor_type type)
{
    for (size_t i = 0; i < ENX_QUANT_COUNT; i++)
        if (quant_layouts[i].type == type) return &quant_layouts[i];
    return NULL;
}

static inline void quant_set_f16(uint8_t *at, float value)
{
    const uint16_t bits = enx_f16_of_f32(value);
    at[0] = (uint8_t)bits;
    at[1] = (uint8_t)(bits >> 8);
}

/* [n] values whose standard deviation is about `spread`. */
static inline void quant_fill(const quant_layout *l, uint8_t *out, size_t n, float spread,
                              enx_rng *rng)
{
    const float d = spread / l->spread;
    for (uint8_t *end = out + n / l->values * l->size_bytes; out < end; out += l->size_bytes) {
        for (size_t i = 0; i < l->size_bytes; i++) out[i] = (uint8_t)enx_rng_u64(rng);
        if (l->d_at >= 0) quant_set_f16(out + l->d_at, d);
        if (l->m_at >= 0) quant_set_f16(out + l->m_at, d * l->m_of_d);
        if (l->type == ENX_TENSOR_MXFP4) out[0] = 122; /* 2^-5 */
    }
}

#endif /* ENX_TESTS_QUANT_BLOCKS_H */
