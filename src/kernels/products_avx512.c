/* SPDX-License-Identifier: Apache-2.0 */
/* products_avx512.c - products with quantized weights, sixteen rows a register.
 *
 * vpdpbusd multiplies four unsigned by four signed bytes and adds them in 32 bits.  Weights of 8
 * bits are made unsigned by flipping their sign, which adds 128: a zero like those of smaller ones.
 */
#include "kernels/tiles_body.h"

enum { WIDE_SHIFT = 7 }; /* the zero of weights of 8 bits */

ENX_INLINE __m512i broadcast_word(const void *at)
{
    int32_t word;
    memcpy(&word, at, sizeof word);
    return _mm512_set1_epi32(word);
}

ENX_INLINE __m512i load_quad(const void *at, const bool is_wide)
{
    const __m512i v = _mm512_loadu_si512(at);
    return is_wide ? _mm512_xor_si512(v, _mm512_set1_epi8((char)0x80)) : v;
}

/* The sums of `quads` quads of sixteen rows. */
ENX_INLINE __m512i dot_quads(const __m512i *w, const int8_t *x, const size_t quads)
{
    __m512i dot = _mm512_setzero_si512();
    ENX_UNROLL
    for (size_t k = 0; k < quads; k++)
        dot = _mm512_dpbusd_epi32(dot, w[k], broadcast_word(x + 4 * k));
    return dot;
}

/* ---- blocks of 32 ------------------------------------------------------ */

ENX_INLINE void multiply_32(float (*out)[TILE_ROWS], const tile_32 *tile, size_t tile_count,
                            const enx_act_q8 *x, size_t row_blocks, const int zero_shift,
                            const minima_of minima, const size_t batch)
{
    __m512 sum[TILE_BATCH];
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) sum[j] = _mm512_load_ps(out[j]);
    for (size_t b = 0; b < tile_count; b++, tile++, x++) {
        __m512i      w[TILE_QUADS];
        const __m512 d = _mm512_load_ps(tile->d);
        ENX_UNROLL
        for (size_t k = 0; k < TILE_QUADS; k++)
            w[k] = load_quad(tile->q[k], zero_shift == WIDE_SHIFT);
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) {
            const enx_act_q8 *act = &x[j * row_blocks];
            __m512i           dot = dot_quads(w, act->q, TILE_QUADS);
            if (zero_shift)
                dot = _mm512_sub_epi32(dot,
                                       _mm512_slli_epi32(_mm512_set1_epi32(act->sum), zero_shift));
            const __m512 both = _mm512_mul_ps(d, _mm512_set1_ps(act->scale));
            sum[j] = _mm512_add_ps(sum[j], _mm512_mul_ps(_mm512_cvtepi32_ps(dot), both));
            if (minima == MINIMA_NONE) continue;
            const __m512 x_sum = _mm512_set1_ps(act->scale * (float)act->sum);
            sum[j] = _mm512_add_ps(sum[j], _mm512_mul_ps(_mm512_load_ps(tile->m), x_sum));
        }
    }
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) _mm512_store_ps(out[j], sum[j]);
}

/* Q8_0: the panel's blocks as they are. */
ENX_INLINE void multiply_q8_0(float (*out)[TILE_ROWS], const uint8_t *block, size_t block_count,
                              const enx_act_q8 *x, size_t row_blocks, const size_t batch)
{
    __m512 sum[TILE_BATCH];
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) sum[j] = _mm512_load_ps(out[j]);
    for (size_t b = 0; b < block_count; b++, block += TILE_ROWS * sizeof(enx_block_q8_0), x++) {
        __m512i      w[TILE_QUADS];
        const __m512 d = _mm512_cvtph_ps(_mm256_loadu_si256((const void *)block));
        fetch_ahead(block, TILE_ROWS * sizeof(enx_block_q8_0));
        ENX_UNROLL
        for (size_t k = 0; k < TILE_QUADS; k++)
            w[k] = load_quad(block + 2 * TILE_ROWS + k * QUAD_BYTES, true);
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) {
            const enx_act_q8 *act = &x[j * row_blocks];
            const __m512i     zeros = _mm512_slli_epi32(_mm512_set1_epi32(act->sum), WIDE_SHIFT);
            const __m512i     dot = _mm512_sub_epi32(dot_quads(w, act->q, TILE_QUADS), zeros);
            const __m512      both = _mm512_mul_ps(d, _mm512_set1_ps(act->scale));
            sum[j] = _mm512_add_ps(sum[j], _mm512_mul_ps(_mm512_cvtepi32_ps(dot), both));
        }
    }
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) _mm512_store_ps(out[j], sum[j]);
}

/* ---- blocks of 256 ----------------------------------------------------- */

/* The sum of factors [pairs][row] times an activation row's sums. */
ENX_INLINE __m512i add_sums(const int16_t *factors, const int16_t *sums, size_t pair_count)
{
    __m512i total = _mm512_setzero_si512();
    for (size_t i = 0; i < pair_count; i++)
        total = _mm512_add_epi32(total,
                                 _mm512_madd_epi16(_mm512_load_si512(factors + i * 2 * TILE_ROWS),
                                                   broadcast_word(sums + 2 * i)));
    return total;
}

ENX_INLINE void finish_k(float *out, const tile_k *tile, __m512i dot, const enx_act_k *act,
                         const int zero_shift, const minima_of minima)
{
    const __m512 scale = _mm512_set1_ps(act->scale);
    if (zero_shift)
        dot = _mm512_sub_epi32(
            dot,
            _mm512_slli_epi32(add_sums(tile->scales[0][0], act->sums, TILE_PAIRS), zero_shift));
    __m512 sum = _mm512_load_ps(out);
    sum = _mm512_add_ps(
        sum, _mm512_mul_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(_mm512_load_ps(tile->d), scale)));
    if (minima != MINIMA_NONE) {
        const bool    is_16 = minima == MINIMA_16;
        const __m512i mins = add_sums(tile->mins[0][0], is_16 ? act->sums : act->pair_sums,
                                      is_16 ? TILE_PAIRS : TILE_PAIRS / 2);
        const __m512  least = _mm512_mul_ps(_mm512_load_ps(tile->dmin), scale);
        sum = _mm512_sub_ps(sum, _mm512_mul_ps(_mm512_cvtepi32_ps(mins), least));
    }
    _mm512_store_ps(out, sum);
}

ENX_INLINE void multiply_k(float (*out)[TILE_ROWS], const tile_k *tile, const enx_act_k *x,
                           size_t row_blocks, const size_t part, const int zero_shift,
                           const minima_of minima, const size_t batch)
{
    __m512i dot[TILE_BATCH];
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) dot[j] = _mm512_setzero_si512();
    for (size_t i = 0; i < TILE_PAIRS; i++) {
        __m512i       w[TILE_QUADS];
        const __m512i scales = _mm512_load_si512(tile->scales[i]);
        const __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(scales, 16), 16);
        const __m512i high = _mm512_srai_epi32(scales, 16);
        ENX_UNROLL
        for (size_t k = 0; k < TILE_QUADS; k++)
            w[k] = load_quad(tile->q[i * 8 + k], zero_shift == WIDE_SHIFT);
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) {
            const int8_t *q = x[j * row_blocks].q + i * 32;
            const __m512i first = dot_quads(w, q, part / 4);
            dot[j] = _mm512_add_epi32(dot[j], _mm512_mullo_epi32(first, low));
            if (part == 32) continue;
            const __m512i second = dot_quads(w + 4, q + 16, 4);
            dot[j] = _mm512_add_epi32(dot[j], _mm512_mullo_epi32(second, high));
        }
    }
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++)
        finish_k(out[j], tile, dot[j], &x[j * row_blocks], zero_shift, minima);
}

/* ---- kinds ------------------------------------------------------------- */

#define DEFINE_32(name, zero_shift, minima, batch)                                           \
    static void name##_##batch(float(*sum)[TILE_ROWS], const void *tiles, size_t tile_count, \
                               const void *x, size_t row_blocks)                             \
    {                                                                                        \
        multiply_32(sum, tiles, tile_count, x, row_blocks, zero_shift, minima, batch);       \
    }
#define DEFINE_K(name, part, zero_shift, minima, batch)                                      \
    static void name##_##batch(float(*sum)[TILE_ROWS], const void *tiles, size_t tile_count, \
                               const void *x, size_t row_blocks)                             \
    {                                                                                        \
        (void)tile_count;                                                                    \
        multiply_k(sum, tiles, x, row_blocks, part, zero_shift, minima, batch);              \
    }
#define DEFINE_Q8_0(name, batch)                                                               \
    static void name##_##batch(float(*sum)[TILE_ROWS], const void *blocks, size_t block_count, \
                               const void *x, size_t row_blocks)                               \
    {                                                                                          \
        multiply_q8_0(sum, blocks, block_count, x, row_blocks, batch);                         \
    }
EACH_BATCH(DEFINE_Q8_0, q8_0)
EACH_BATCH(DEFINE_32, four_bits, 3, MINIMA_NONE)
EACH_BATCH(DEFINE_32, five_bits, 4, MINIMA_NONE)
EACH_BATCH(DEFINE_32, with_minima, NO_ZERO, MINIMA_32)
EACH_BATCH(DEFINE_32, eight_bits, WIDE_SHIFT, MINIMA_NONE)
EACH_BATCH(DEFINE_K, k_two_bits, 16, NO_ZERO, MINIMA_16)
EACH_BATCH(DEFINE_K, k_three_bits, 16, 2, MINIMA_NONE)
EACH_BATCH(DEFINE_K, k_six_bits, 16, 5, MINIMA_NONE)
EACH_BATCH(DEFINE_K, k_with_minima, 32, NO_ZERO, MINIMA_32)
EACH_BATCH(DEFINE_K, k_eight_bits, 32, WIDE_SHIFT, MINIMA_NONE)

static const product_kind product_kinds[ENX_QUANT_COUNT] = {
    [ENX_QUANT_Q4_0] = KIND(q4_0, open_q4_0, four_bits, NULL),
    [ENX_QUANT_Q4_1] = KIND(q4_1, open_q4_1, with_minima, NULL),
    [ENX_QUANT_Q5_0] = KIND(q5_0, open_q5_0, five_bits, NULL),
    [ENX_QUANT_Q5_1] = KIND(q5_1, open_q5_1, with_minima, NULL),
    [ENX_QUANT_Q8_0] = KIND(q8_0, NULL, q8_0, NULL),
    [ENX_QUANT_Q2_K] = KIND(q2_k, open_q2_k, k_two_bits, NULL),
    [ENX_QUANT_Q3_K] = KIND(q3_k, open_q3_k, k_three_bits, NULL),
    [ENX_QUANT_Q4_K] = KIND(q4_k, open_q4_k, k_with_minima, NULL),
    [ENX_QUANT_Q5_K] = KIND(q5_k, open_q5_k, k_with_minima, NULL),
    [ENX_QUANT_Q6_K] = KIND(q6_k, open_q6_k, k_six_bits, NULL),
    [ENX_QUANT_IQ4_NL] = KIND(iq4_nl, open_iq4_nl, eight_bits, NULL),
    [ENX_QUANT_IQ4_XS] = KIND(iq4_xs, open_iq4_xs, k_eight_bits, NULL),
    [ENX_QUANT_MXFP4] = KIND(mxfp4, open_mxfp4, five_bits, NULL),
};

void enx_products_bind_avx512(enx_kernels *table) { table->matmul_quant = matmul_quant; }
