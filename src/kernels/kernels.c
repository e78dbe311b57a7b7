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
#if HAVE_KERNELS_AVX2
    if (!(cpu_flags & ENX_CPU_AVX2)) return;
    enx_kernels_bind_avx2(table);
#endif
#if HAVE_KERNELS_AVX512
    if (!(cpu_flags & ENX_CPU_AVX512)) return;
    enx_kernels_bind_avx512(table);
#endif
    (void)cpu_flags;
}

static uint16_t load_scale(const enx_block_q8_0 *block)
{
    return (uint16_t)(block->scale[0] | block->scale[1] << 8);
}

static void pack_row(enx_pack_q8 *out, const enx_block_q8_0 *row, size_t lane, size_t block_count)
{
    for (size_t b = 0; b < block_count; b++) {
        out[b].scale[lane] = row ? enx_f32_of_f16(load_scale(&row[b])) : 0;
        for (size_t i = 0; i < ENX_Q8_BLOCK; i++)
            out[b].q[i / 4][lane][i % 4] = (uint8_t)((row ? row[b].q[i] : 0) + 128);
    }
}

void enx_pack_q8_rows(enx_pack_q8 *out, const enx_block_q8_0 *w, size_t row_count, size_t col_count)
{
    const size_t block_count = col_count / ENX_Q8_BLOCK;
    const size_t padded = (row_count + ENX_PACK_ROWS - 1) / ENX_PACK_ROWS * ENX_PACK_ROWS;
    for (size_t r = 0; r < padded; r++)
        pack_row(out + r / ENX_PACK_ROWS * block_count, r < row_count ? w + r * block_count : NULL,
                 r % ENX_PACK_ROWS, block_count);
}

void enx_q8_0_from_f32(enx_block_q8_0 *out, const float *x, size_t n)
{
    for (size_t b = 0; b < n / ENX_Q8_BLOCK; b++, x += ENX_Q8_BLOCK) {
        float most = 0;
        for (size_t i = 0; i < ENX_Q8_BLOCK; i++) most = fmaxf(most, fabsf(x[i]));
        const float    scale = most / 127.0f;
        const float    inverse = most >= ENX_ACT_TINY ? 1.0f / scale : 0.0f;
        const uint16_t bits = enx_f16_of_f32(scale);
        out[b].scale[0] = (uint8_t)bits;
        out[b].scale[1] = (uint8_t)(bits >> 8);
        for (size_t i = 0; i < ENX_Q8_BLOCK; i++) out[b].q[i] = (int8_t)roundf(x[i] * inverse);
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
