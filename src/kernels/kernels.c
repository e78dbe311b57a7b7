/* SPDX-License-Identifier: Apache-2.0 */
/* kernels.c - binding a level, and layouts that are made once.
 *
 * Scalar first, so that the table is complete; then each level overwrites the entries it improves.
 */
#include "kernels/kernels.h"

#include "kernels/kernels_impl.h"

#include <math.h>
#include <string.h>

void enx_kernels_init(enx_kernels *table, unsigned cpu_flags)
{
    enx_kernels_bind_scalar(table);
    enx_products_bind_scalar(table);
#if HAVE_KERNELS_AVX2
    if (!(cpu_flags & ENX_CPU_AVX2)) return;
    enx_kernels_bind_avx2(table);
    enx_products_bind_avx2(table);
#endif
#if HAVE_KERNELS_AVX512
    if (!(cpu_flags & ENX_CPU_AVX512)) return;
    enx_kernels_bind_avx512(table);
    enx_products_bind_avx512(table);
#endif
#if HAVE_KERNELS_NEON
    if (!(cpu_flags & ENX_CPU_NEON)) return;
    enx_kernels_bind_neon(table);
    enx_products_bind_neon(table);
#endif
#if HAVE_KERNELS_DOTPROD
    if (!(cpu_flags & ENX_CPU_DOTPROD)) return;
    enx_products_bind_dotprod(table);
#endif
#if HAVE_KERNELS_I8MM
    if (!(cpu_flags & ENX_CPU_I8MM)) return;
    enx_products_bind_i8mm(table);
#endif
    (void)cpu_flags;
}

void enx_q8_0_from_f32(enx_block_q8_0 *out, const float *x, size_t n)
{
    for (size_t b = 0; b < n / ENX_SMALL_BLOCK; b++, x += ENX_SMALL_BLOCK) {
        float most = 0;
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
        const float    scale = most / 127.0f;
        const float    inverse = most >= ENX_ACT_TINY ? 1.0f / scale : 0.0f;
        const uint16_t bits = enx_f16_of_f32(scale);
        out[b].d[0] = (uint8_t)bits;
        out[b].d[1] = (uint8_t)(bits >> 8);
        for (size_t i = 0; i < ENX_SMALL_BLOCK; i++) out[b].q[i] = (int8_t)roundf(x[i] * inverse);
    }
}

float enx_f32_of_f16(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    const uint32_t exponent = bits >> 10 & 31u, fraction = bits & 0x3FFu;
    uint32_t       word;
    float          value;
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 */
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    if (exponent == 31) word = sign | 0x7F800000u | fraction << 13 | (fraction ? 0x400000u : 0);
    else word = sign | (exponent + 112) << 23 | fraction << 13;
    memcpy(&value, &word, sizeof value);
    return value;
}

uint16_t enx_f16_of_f32(float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    const uint16_t sign = (uint16_t)(word >> 16 & 0x8000u);
    const uint32_t magnitude = word & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7C00u); /* 65536 and up */
    if (magnitude < 0x38800000u) { /* below 2^-14: the sum's last bit is worth 2^-24 */
        float          scaled;
        const uint32_t half = 0x3F000000u; /* 0.5f has an ulp of 2^-24 */
        memcpy(&scaled, &magnitude, sizeof scaled);
        scaled += 0.5f;
        memcpy(&word, &scaled, sizeof word);
        return (uint16_t)(sign | (word - half));
    }
    const uint32_t odd = magnitude >> 13 & 1u; /* ties to even; a carry moves the exponent */
    return (uint16_t)(sign | ((magnitude + 0xFFFu + odd - (112u << 23)) >> 13));
}
