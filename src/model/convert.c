/* SPDX-License-Identifier: Apache-2.0 */
/* convert.c - which kernel reads which tensor type. */
#include "model/convert.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

enx_quant enx_quant_of(enx_tensor_type type)
{
    static const struct {
        enx_tensor_type type;
        enx_quant       quant;
    } pairs[] = {
        { ENX_TENSOR_Q4_0, ENX_QUANT_Q4_0 },     { ENX_TENSOR_Q4_1, ENX_QUANT_Q4_1 },
        { ENX_TENSOR_Q5_0, ENX_QUANT_Q5_0 },     { ENX_TENSOR_Q5_1, ENX_QUANT_Q5_1 },
        { ENX_TENSOR_Q8_0, ENX_QUANT_Q8_0 },     { ENX_TENSOR_Q2_K, ENX_QUANT_Q2_K },
        { ENX_TENSOR_Q3_K, ENX_QUANT_Q3_K },     { ENX_TENSOR_Q4_K, ENX_QUANT_Q4_K },
        { ENX_TENSOR_Q5_K, ENX_QUANT_Q5_K },     { ENX_TENSOR_Q6_K, ENX_QUANT_Q6_K },
        { ENX_TENSOR_IQ4_NL, ENX_QUANT_IQ4_NL }, { ENX_TENSOR_IQ4_XS, ENX_QUANT_IQ4_XS },
        { ENX_TENSOR_MXFP4, ENX_QUANT_MXFP4 },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].type == type) return pairs[i].quant;
    return ENX_QUANT_COUNT;
}

void enx_tensor_to_f32(const enx_kernels *kernels, enx_tensor_type type, float *out, const void *in,
                       size_t n)
{
    const enx_quant quant = enx_quant_of(type);
    if (quant != ENX_QUANT_COUNT) kernels->f32_from_quant[quant](out, in, n);
    else if (type == ENX_TENSOR_F32) memcpy(out, in, n * sizeof *out);
    else if (type == ENX_TENSOR_F16) kernels->f32_from_f16(out, in, n);
    else {
        ENX_CHECK(type == ENX_TENSOR_BF16);
        kernels->f32_from_bf16(out, in, n);
    }
}

void enx_values_cap(float *x, size_t n, float cap)
{
    if (cap > 0)
        for (size_t i = 0; i < n; i++) x[i] = cap * tanhf(x[i] / cap);
}
