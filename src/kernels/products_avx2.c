/* SPDX-License-Identifier: Apache-2.0 */
/* products_avx2.c - products with quantized weights, eight rows a register.
 *
 * A load of activations meets both registers of a tile, a load of weights up to four activation
 * rows: eight sums wait for no other, and six loads feed eight products.
 *
 * vpmaddubsw multiplies unsigned by signed bytes and adds two neighbours in 16 bits.  Where weights
 * are small enough, several such sums are added before they are widened (`depth`); the widening
 * product also multiplies by the scale of a part.  Wide weights, of all 8 bits, lend their sign to
 * the activations first, and each sum is widened at once: |w| may be 128 and |x| is at most 127, so
 * two products stay below 32767.
 */
#include "kernels/tiles_body.h"

enum {
    TILE_REGISTERS = TILE_ROWS / ROW_LANES,
    WIDE = 0, /* depth of weights of 8 bits */
};

/* Finish v in a register, and in this order: gcc would rather begin all products and spill. */
#define HOLD(v) __asm__ volatile("" : "+x"(v))

ENX_INLINE __m256i broadcast_quad(const int8_t *q)
{
    int32_t quad;
    memcpy(&quad, q, sizeof quad);
    return _mm256_set1_epi32(quad);
}

ENX_INLINE __m256i broadcast_pair(const int16_t *sums)
{
    int32_t pair;
    memcpy(&pair, sums, sizeof pair);
    return _mm256_set1_epi32(pair);
}

ENX_INLINE __m256i load_lanes(const void *at) { return _mm256_loadu_si256(at); }

/* dot[g][j] += factors times the sums of `quads` quads of the eight rows of each register g, for
 * each of `batch` rows of x, which are x_bytes apart; all counts are constants once inlined. */
ENX_INLINE void add_quads(__m256i dot[TILE_REGISTERS][TILE_BATCH], const uint8_t *q,
                          const int8_t *x, size_t x_bytes, const __m256i factors[TILE_REGISTERS],
                          const size_t quads, const size_t depth, const size_t batch)
{
    ENX_UNROLL
    for (size_t first = 0; first < quads; first += depth) {
        __m256i sum[TILE_REGISTERS][TILE_BATCH];
        ENX_UNROLL
        for (size_t k = first; k < first + depth; k++) {
            const __m256i w[] = { load_lanes(q + k * QUAD_BYTES),
                                  load_lanes(q + k * QUAD_BYTES + sizeof *w) };
            ENX_UNROLL
            for (size_t j = 0; j < batch; j++) {
                const __m256i quad = broadcast_quad(x + j * x_bytes + 4 * k);
                ENX_UNROLL
                for (size_t g = 0; g < TILE_REGISTERS; g++) {
                    const __m256i pairs = _mm256_maddubs_epi16(w[g], quad);
                    sum[g][j] = k == first ? pairs : _mm256_add_epi16(sum[g][j], pairs);
                    HOLD(sum[g][j]);
                }
            }
        }
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) ENX_UNROLL
        for (size_t g = 0; g < TILE_REGISTERS; g++) {
            dot[g][j] = _mm256_add_epi32(dot[g][j], _mm256_madd_epi16(sum[g][j], factors[g]));
            HOLD(dot[g][j]);
        }
    }
}

/* The same of eight quads of weights of 8 bits. */
ENX_INLINE void add_wide_quads(__m256i dot[TILE_REGISTERS][TILE_BATCH], const uint8_t *q,
                               const int8_t *x, size_t x_bytes,
                               const __m256i factors[TILE_REGISTERS], const size_t batch)
{
    ENX_UNROLL
    for (size_t k = 0; k < TILE_QUADS; k++) {
        const __m256i w[] = { load_lanes(q + k * QUAD_BYTES),
                              load_lanes(q + k * QUAD_BYTES + sizeof *w) };
        const __m256i size[] = { _mm256_abs_epi8(w[0]), _mm256_abs_epi8(w[1]) };
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) {
            const __m256i quad = broadcast_quad(x + j * x_bytes + 4 * k);
            ENX_UNROLL
            for (size_t g = 0; g < TILE_REGISTERS; g++) {
                const __m256i pairs = _mm256_maddubs_epi16(size[g], _mm256_sign_epi8(quad, w[g]));
                dot[g][j] = _mm256_add_epi32(dot[g][j], _mm256_madd_epi16(pairs, factors[g]));
                HOLD(dot[g][j]);
            }
        }
    }
}

/* ---- blocks of 32 ------------------------------------------------------ */

/* out += dot * (d * scale), and the minima's part. */
ENX_INLINE void finish_32(float *out, const tile_32 *tile, size_t lane, __m256i dot,
                          const enx_act_q8 *act, const int zero_shift, const minima_of minima)
{
    __m256 sum = _mm256_load_ps(out + lane);
    if (zero_shift)
        dot = _mm256_sub_epi32(dot, _mm256_slli_epi32(_mm256_set1_epi32(act->sum), zero_shift));
    const __m256 both = _mm256_mul_ps(_mm256_load_ps(tile->d + lane), _mm256_set1_ps(act->scale));
    sum = _mm256_add_ps(sum, _mm256_mul_ps(_mm256_cvtepi32_ps(dot), both));
    if (minima != MINIMA_NONE) {
        const __m256 x_sum = _mm256_set1_ps(act->scale * (float)act->sum);
        sum = _mm256_add_ps(sum, _mm256_mul_ps(_mm256_load_ps(tile->m + lane), x_sum));
    }
    _mm256_store_ps(out + lane, sum);
}

ENX_INLINE void multiply_32(float (*out)[TILE_ROWS], const tile_32 *tiles, size_t tile_count,
                            const enx_act_q8 *x, size_t row_blocks, const size_t depth,
                            const int zero_shift, const minima_of minima, const size_t batch)
{
    const __m256i one = _mm256_set1_epi16(1), factors[TILE_REGISTERS] = { one, one };
    const size_t  x_bytes = row_blocks * sizeof *x;
    for (size_t b = 0; b < tile_count; b++) {
        __m256i dot[TILE_REGISTERS][TILE_BATCH] = { 0 };
        if (depth == WIDE) add_wide_quads(dot, tiles[b].q[0][0], x[b].q, x_bytes, factors, batch);
        else add_quads(dot, tiles[b].q[0][0], x[b].q, x_bytes, factors, TILE_QUADS, depth, batch);
        ENX_UNROLL
        for (size_t j = 0; j < batch; j++) ENX_UNROLL
        for (size_t g = 0; g < TILE_REGISTERS; g++)
            finish_32(out[j], &tiles[b], g * ROW_LANES, dot[g][j], &x[j * row_blocks + b],
                      zero_shift, minima);
    }
}

/* Q8_0: the panel's blocks as they are. */
ENX_INLINE void multiply_q8_0(float (*out)[TILE_ROWS], const uint8_t *block, size_t block_count,
                              const enx_act_q8 *x, size_t row_blocks, const size_t batch)
{
    const __m256i one = _mm256_set1_epi16(1), factors[TILE_REGISTERS] = { one, one };
    const size_t  x_bytes = row_blocks * sizeof *x;
    for (size_t b = 0; b < block_count; b++, block += TILE_ROWS * sizeof(enx_block_q8_0)) {
        __m256i dot[TILE_REGISTERS][TILE_BATCH] = { 0 };
        fetch_ahead(block, TILE_ROWS * sizeof(enx_block_q8_0));
        add_wide_quads(dot, block + 2 * TILE_ROWS, x[b].q, x_bytes, factors, batch);
        ENX_UNROLL
        for (size_t g = 0; g < TILE_REGISTERS; g++) {
            const __m256 d = halves_at(block, 0, g * ROW_LANES);
            ENX_UNROLL
            for (size_t j = 0; j < batch; j++) {
                const __m256 both = _mm256_mul_ps(d, _mm256_set1_ps(x[j * row_blocks + b].scale));
                float       *to = out[j] + g * ROW_LANES;
                _mm256_store_ps(to,
                                _mm256_add_ps(_mm256_load_ps(to),
                                              _mm256_mul_ps(_mm256_cvtepi32_ps(dot[g][j]), both)));
            }
        }
    }
}

/* ---- blocks of 256 ----------------------------------------------------- */

/* One of two neighbouring words for both. */
ENX_INLINE __m256i both_words(__m256i v, bool is_second)
{
    const __m256i first = _mm256_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13, 0, 1,
                                           0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13);
    return _mm256_shuffle_epi8(v, is_second ? _mm256_add_epi8(first, bytes_of(2)) : first);
}

/* The sum of factors [pairs][row] times an activation row's sums. */
ENX_INLINE __m256i add_sums(const int16_t *factors, const int16_t *sums, size_t pair_count)
{
    __m256i total = _mm256_setzero_si256();
    for (size_t i = 0; i < pair_count; i++)
        total = _mm256_add_epi32(total, _mm256_madd_epi16(load_lanes(factors + i * 2 * TILE_ROWS),
                                                          broadcast_pair(sums + 2 * i)));
    return total;
}

ENX_INLINE void finish_k(float *out, const tile_k *tile, size_t lane, __m256i dot,
                         const enx_act_k *act, const int zero_shift, const minima_of minima)
{
    const __m256 scale = _mm256_set1_ps(act->scale);
    if (zero_shift) {
        const __m256i sums = add_sums(tile->scales[0][lane], act->sums, TILE_PAIRS);
        dot = _mm256_sub_epi32(dot, _mm256_slli_epi32(sums, zero_shift));
    }
    const __m256 both = _mm256_mul_ps(_mm256_load_ps(tile->d + lane), scale);
    __m256       sum = _mm256_load_ps(out + lane);
    sum = _mm256_add_ps(sum, _mm256_mul_ps(_mm256_cvtepi32_ps(dot), both));
    if (minima != MINIMA_NONE) {
        const bool    is_16 = minima == MINIMA_16;
        const __m256i mins = add_sums(tile->mins[0][lane], is_16 ? act->sums : act->pair_sums,
                                      is_16 ? TILE_PAIRS : TILE_PAIRS / 2);
        const __m256  least = _mm256_mul_ps(_mm256_load_ps(tile->dmin + lane), scale);
        sum = _mm256_sub_ps(sum, _mm256_mul_ps(_mm256_cvtepi32_ps(mins), least));
    }
    _mm256_store_ps(out + lane, sum);
}

ENX_INLINE void multiply_k(float (*out)[TILE_ROWS], const tile_k *tile, const enx_act_k *x,
                           size_t row_blocks, const size_t part, const size_t depth,
                           const int zero_shift, const minima_of minima, const size_t batch)
{
    const size_t x_bytes = row_blocks * sizeof *x;
    __m256i      dot[TILE_REGISTERS][TILE_BATCH] = { 0 };
    for (size_t i = 0; i < TILE_PAIRS; i++) {
        const __m256i  both[TILE_REGISTERS] = { load_lanes(tile->scales[i]),
                                                load_lanes(tile->scales[i][ROW_LANES]) };
        const uint8_t *q = tile->q[i * 8][0];
        const int8_t  *at = x->q + i * 32;
        if (depth == WIDE) add_wide_quads(dot, q, at, x_bytes, both, batch);
        else if (part == 32) add_quads(dot, q, at, x_bytes, both, 8, depth, batch);
        else {
            const __m256i first[] = { both_words(both[0], false), both_words(both[1], false) };
            const __m256i second[] = { both_words(both[0], true), both_words(both[1], true) };
            add_quads(dot, q, at, x_bytes, first, 4, depth, batch);
            add_quads(dot, q + 4 * QUAD_BYTES, at + 16, x_bytes, second, 4, depth, batch);
        }
    }
    ENX_UNROLL
    for (size_t j = 0; j < batch; j++) ENX_UNROLL
    for (size_t g = 0; g < TILE_REGISTERS; g++)
        finish_k(out[j], tile, g * ROW_LANES, dot[g][j], &x[j * row_blocks], zero_shift, minima);
}

/* ---- one row ----------------------------------------------------------- */

/* A tile takes longer to write and read than to meet one row of activations: here nibbles stay in
 * registers.  Eight sums of two products of at most 15 * 127 fit into 16 bits. */

static void one_q4_0(float (*out)[TILE_ROWS], const void *blocks, size_t block_count, const void *x,
                     size_t row_blocks)
{
    const __m256i     one = _mm256_set1_epi16(1);
    const enx_act_q8 *act = x;
    const uint8_t    *block = blocks;
    __m256            sum[] = { _mm256_load_ps(*out), _mm256_load_ps(*out + ROW_LANES) };
    (void)row_blocks;
    for (size_t b = 0; b < block_count; b++, block += TILE_ROWS * sizeof(enx_block_q4_0), act++) {
        const __m256i zeros = _mm256_slli_epi32(_mm256_set1_epi32(act->sum), 3);
        fetch_ahead(block, TILE_ROWS * sizeof(enx_block_q4_0));
        ENX_UNROLL
        for (size_t g = 0; g < TILE_REGISTERS; g++) {
            const size_t lane = g * ROW_LANES;
            __m256i      pairs = _mm256_setzero_si256();
            ENX_UNROLL
            for (size_t k = 0; k < 4; k++) {
                const __m256i v = words_at(block, 2 + 4 * k, lane);
                const __m256i low = broadcast_quad(act->q + 4 * k);
                const __m256i high = broadcast_quad(act->q + 16 + 4 * k);
                pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(low_nibbles(v), low));
                pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(high_nibbles(v), high));
            }
            const __m256i dot = _mm256_sub_epi32(_mm256_madd_epi16(pairs, one), zeros);
            const __m256  both =
                _mm256_mul_ps(halves_at(block, 0, lane), _mm256_set1_ps(act->scale));
            sum[g] = _mm256_add_ps(sum[g], _mm256_mul_ps(_mm256_cvtepi32_ps(dot), both));
        }
    }
    _mm256_store_ps(*out, sum[0]);
    _mm256_store_ps(*out + ROW_LANES, sum[1]);
}

static void one_q4_k(float (*out)[TILE_ROWS], const void *blocks, size_t block_count, const void *x,
                     size_t row_blocks)
{
    const enx_act_k *act = x;
    const uint8_t   *block = blocks;
    alignas(LINE_BYTES) tile_k header; /* its numbers are left alone */
    (void)row_blocks;
    for (size_t b = 0; b < block_count; b++, block += TILE_ROWS * sizeof(enx_block_q4_k), act++) {
        fetch_ahead(block, TILE_ROWS * sizeof(enx_block_q4_k));
        for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES) {
            __m256i dot = _mm256_setzero_si256();
            open_k_header(&header, lane, block);
            for (size_t pair = 0; pair < TILE_PAIRS / 2; pair++) {
                const int8_t *q = act->q + pair * 64;
                __m256i       low = _mm256_setzero_si256(), high = low;
                ENX_UNROLL
                for (size_t k = 0; k < TILE_QUADS; k++) {
                    const __m256i v = words_at(block, 16 + pair * 32 + 4 * k, lane);
                    const __m256i first = broadcast_quad(q + 4 * k);
                    const __m256i second = broadcast_quad(q + 32 + 4 * k);
                    low = _mm256_add_epi16(low, _mm256_maddubs_epi16(low_nibbles(v), first));
                    high = _mm256_add_epi16(high, _mm256_maddubs_epi16(high_nibbles(v), second));
                }
                low = _mm256_madd_epi16(low, load_lanes(header.scales[2 * pair][lane]));
                high = _mm256_madd_epi16(high, load_lanes(header.scales[2 * pair + 1][lane]));
                dot = _mm256_add_epi32(dot, _mm256_add_epi32(low, high));
            }
            finish_k(*out, &header, lane, dot, act, NO_ZERO, MINIMA_32);
        }
    }
}

/* ---- kinds ------------------------------------------------------------- */

#define DEFINE_32(name, depth, zero_shift, minima, batch)                                     \
    static void name##_##batch(float(*sum)[TILE_ROWS], const void *tiles, size_t tile_count,  \
                               const void *x, size_t row_blocks)                              \
    {                                                                                         \
        multiply_32(sum, tiles, tile_count, x, row_blocks, depth, zero_shift, minima, batch); \
    }
#define DEFINE_K(name, part, depth, zero_shift, minima, batch)                               \
    static void name##_##batch(float(*sum)[TILE_ROWS], const void *tiles, size_t tile_count, \
                               const void *x, size_t row_blocks)                             \
    {                                                                                        \
        (void)tile_count;                                                                    \
        multiply_k(sum, tiles, x, row_blocks, part, depth, zero_shift, minima, batch);       \
    }
#define DEFINE_Q8_0(name, batch)                                                               \
    static void name##_##batch(float(*sum)[TILE_ROWS], const void *blocks, size_t block_count, \
                               const void *x, size_t row_blocks)                               \
    {                                                                                          \
        multiply_q8_0(sum, blocks, block_count, x, row_blocks, batch);                         \
    }
EACH_BATCH(DEFINE_Q8_0, q8_0)
EACH_BATCH(DEFINE_32, four_bits, 8, 3, MINIMA_NONE)
EACH_BATCH(DEFINE_32, four_bits_more, 8, NO_ZERO, MINIMA_32)
EACH_BATCH(DEFINE_32, five_bits, 4, 4, MINIMA_NONE)
EACH_BATCH(DEFINE_32, five_bits_more, 4, NO_ZERO, MINIMA_32)
EACH_BATCH(DEFINE_32, eight_bits, WIDE, NO_ZERO, MINIMA_NONE)
EACH_BATCH(DEFINE_K, k_two_bits, 16, 4, NO_ZERO, MINIMA_16)
EACH_BATCH(DEFINE_K, k_three_bits, 16, 4, 2, MINIMA_NONE)
EACH_BATCH(DEFINE_K, k_four_bits, 32, 8, NO_ZERO, MINIMA_32)
EACH_BATCH(DEFINE_K, k_five_bits, 32, 4, NO_ZERO, MINIMA_32)
EACH_BATCH(DEFINE_K, k_six_bits, 16, 2, 5, MINIMA_NONE)
EACH_BATCH(DEFINE_K, k_eight_bits, 32, WIDE, NO_ZERO, MINIMA_NONE)

static const product_kind product_kinds[ENX_QUANT_COUNT] = {
    [ENX_QUANT_Q4_0] = KIND(q4_0, open_q4_0, four_bits, one_q4_0),
    [ENX_QUANT_Q4_1] = KIND(q4_1, open_q4_1, four_bits_more, NULL),
    [ENX_QUANT_Q5_0] = KIND(q5_0, open_q5_0, five_bits, NULL),
    [ENX_QUANT_Q5_1] = KIND(q5_1, open_q5_1, five_bits_more, NULL),
    [ENX_QUANT_Q8_0] = KIND(q8_0, NULL, q8_0, NULL),
    [ENX_QUANT_Q2_K] = KIND(q2_k, open_q2_k, k_two_bits, NULL),
    [ENX_QUANT_Q3_K] = KIND(q3_k, open_q3_k, k_three_bits, NULL),
    [ENX_QUANT_Q4_K] = KIND(q4_k, open_q4_k, k_four_bits, one_q4_k),
    [ENX_QUANT_Q5_K] = KIND(q5_k, open_q5_k, k_five_bits, NULL),
    [ENX_QUANT_Q6_K] = KIND(q6_k, open_q6_k, k_six_bits, NULL),
    [ENX_QUANT_IQ4_NL] = KIND(iq4_nl, open_iq4_nl, eight_bits, NULL),
    [ENX_QUANT_IQ4_XS] = KIND(iq4_xs, open_iq4_xs, k_eight_bits, NULL),
    [ENX_QUANT_MXFP4] = KIND(mxfp4, open_mxfp4, five_bits, NULL),
};

void enx_products_bind_avx2(enx_kernels *table) { table->matmul_quant = matmul_quant; }
