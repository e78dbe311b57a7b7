/* SPDX-License-Identifier: Apache-2.0 */
/* floats_body.h - ggml's blocks as floats; included once by each level's file.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_FLOATS_BODY_H
#define ENX_KERNELS_FLOATS_BODY_H

#include "kernels/plain_body.h"

ENX_INLINE void f32_from_small(float *out, const uint8_t *in, size_t n, size_t block_bytes,
                               plain_fn plain_from)
{
    for (size_t at = 0; at < n; at += ENX_SMALL_BLOCK, in += block_bytes) {
        enx_plain_32 plain;
        plain_from(&plain, in, ENX_SMALL_BLOCK);
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++)
            out[at + i] = plain.d * (float)plain.q[i] + plain.m;
    }
}

ENX_INLINE void f32_from_large(float *out, const uint8_t *in, size_t n, size_t block_bytes,
                               plain_fn plain_from)
{
    for (size_t at = 0; at < n; at += ENX_K_BLOCK, in += block_bytes) {
        enx_plain_k plain;
        plain_from(&plain, in, ENX_K_BLOCK);
        for (size_t part = 0; part < ENX_K_PARTS; part++) {
            const float scale = plain.d * (float)plain.scales[part];
            const float least = plain.dmin * (float)plain.mins[part];
            for (size_t i = part * 16; i < part * 16 + 16; i++)
                out[at + i] = scale * (float)plain.q[i] - least;
        }
    }
}

#define DEFINE_QUANT(name, size)                                                  \
    static void f32_from_##name(float *out, const void *in, size_t n)             \
    {                                                                             \
        f32_from_##size(out, in, n, sizeof(enx_block_##name), plain_from_##name); \
    }
DEFINE_QUANT(q4_0, small)
DEFINE_QUANT(q4_1, small)
DEFINE_QUANT(q5_0, small)
DEFINE_QUANT(q5_1, small)
DEFINE_QUANT(q8_0, small)
DEFINE_QUANT(q2_k, large)
DEFINE_QUANT(q3_k, large)
DEFINE_QUANT(q4_k, large)
DEFINE_QUANT(q5_k, large)
DEFINE_QUANT(q6_k, large)
DEFINE_QUANT(iq4_nl, small)
DEFINE_QUANT(iq4_xs, large)
DEFINE_QUANT(mxfp4, small)

static void bind_floats(enx_kernels *table)
{
#define BIND_QUANT(quant, name) table->f32_from_quant[ENX_QUANT_##quant] = f32_from_##name
    BIND_QUANT(Q4_0, q4_0);
    BIND_QUANT(Q4_1, q4_1);
    BIND_QUANT(Q5_0, q5_0);
    BIND_QUANT(Q5_1, q5_1);
    BIND_QUANT(Q8_0, q8_0);
    BIND_QUANT(Q2_K, q2_k);
    BIND_QUANT(Q3_K, q3_k);
    BIND_QUANT(Q4_K, q4_k);
    BIND_QUANT(Q5_K, q5_k);
    BIND_QUANT(Q6_K, q6_k);
    BIND_QUANT(IQ4_NL, iq4_nl);
    BIND_QUANT(IQ4_XS, iq4_xs);
    BIND_QUANT(MXFP4, mxfp4);
#undef BIND_QUANT
}

#endif /* ENX_KERNELS_FLOATS_BODY_H */
