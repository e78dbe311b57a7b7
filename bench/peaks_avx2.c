/* SPDX-License-Identifier: Apache-2.0 */
/* peaks_avx2.c - peaks.h for AVX2.  Empty statements of assembly keep what nobody reads. */
#include "peaks.h"

#include <immintrin.h>
#include <stdint.h>

enum { CHAINS = 8, FLOAT_CHAINS = 12, STEPS = 1 << 18, LINE_BYTES = 64 };

#define KEEP(v) __asm__ volatile("" : "+x"(v))

double peak_int8(void)
{
    const __m256i one = _mm256_set1_epi16(1), w = _mm256_set1_epi8(3);
    __m256i       sum[CHAINS], x = w;
    for (int i = 0; i < CHAINS; i++) sum[i] = w;
    for (int step = 0; step < STEPS; step++) {
        _Pragma("GCC unroll 8") for (int i = 0; i < CHAINS; i++)
        {
            KEEP(x);
            __m256i pairs = _mm256_maddubs_epi16(w, x);
            KEEP(pairs);
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, one));
        }
    }
    for (int i = 0; i < CHAINS; i++) KEEP(sum[i]);
    return 64.0 * CHAINS * STEPS;
}

double peak_float(void)
{
    const __m256 w = _mm256_set1_ps(0.5f);
    __m256       sum[FLOAT_CHAINS], x = w;
    for (int i = 0; i < FLOAT_CHAINS; i++) sum[i] = w;
    for (int step = 0; step < STEPS; step++) {
        KEEP(x);
        _Pragma("GCC unroll 12") for (int i = 0; i < FLOAT_CHAINS; i++) sum[i] =
            _mm256_fmadd_ps(w, x, sum[i]);
    }
    for (int i = 0; i < FLOAT_CHAINS; i++) KEEP(sum[i]);
    return 16.0 * FLOAT_CHAINS * STEPS;
}

void peak_read(const void *at, size_t size_bytes)
{
    const uint8_t *byte = at;
    __m256i        sum[4] = { 0 };
    for (size_t i = 0; i < size_bytes; i += 2 * LINE_BYTES)
        for (size_t k = 0; k < 4; k++)
            sum[k] = _mm256_add_epi64(
                sum[k], _mm256_load_si256((const __m256i *)(const void *)(byte + i + 32 * k)));
    for (int k = 0; k < 4; k++) KEEP(sum[k]);
}
