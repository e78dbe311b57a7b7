/* SPDX-License-Identifier: Apache-2.0 */
/* few_body.h - products of few activation rows with blocks of 256, straight from the file's blocks;
 * included by tiles_body.h.
 *
 * A tile is worth its making when many rows meet it.  Few rows are bound by how fast blocks come
 * out of memory: here a row of weights is opened into registers, 32 numbers each, and meets the
 * activations there.  Sums of eight rows are turned into lanes at the end of a block, so that what
 * is rounded is rounded in the order of tiles.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_FEW_BODY_H
#define ENX_KERNELS_FEW_BODY_H

/* A block of 256 of one row; numbers are stored plus the zero of their kind. */
typedef struct few_row {
    __m256i q[TILE_PAIRS];
    __m256i scales;  /* of parts of 16, those of even ones in the low half */
    __m256i ordered; /* the same in their order; kinds with a zero */
    __m256i mins;    /* in their order, of parts of 16, or of 32 in the low half */
} few_row;

typedef void (*open_row_fn)(few_row *row, const uint8_t *block);

ENX_INLINE __m256i load_32(const void *at) { return _mm256_loadu_si256(at); }

ENX_INLINE __m128i load_16(const void *at) { return _mm_loadu_si128(at); }

/* Sixteen scales of one byte. */
ENX_INLINE void set_scales(few_row *row, __m128i bytes)
{
    const __m128i halves = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    row->scales = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(bytes, halves));
    row->ordered = _mm256_cvtepi8_epi16(bytes);
}

/* Pair number `pair` of the bits of each byte. */
ENX_INLINE __m256i pair_bits(__m256i v, int pair)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 2 * pair), bytes_of(3));
}

/* Bit number `bit` of each byte, moved to bit `to`. */
ENX_INLINE __m256i moved_bit(__m256i v, int bit, int to)
{
    const __m256i moved =
        bit < to ? _mm256_slli_epi16(v, to - bit) : _mm256_srli_epi16(v, bit - to);
    return _mm256_and_si256(moved, bytes_of(1 << to));
}

ENX_INLINE void open_row_q2_k(few_row *row, const uint8_t *at)
{
    const enx_block_q2_k *block = (const void *)at;
    const __m128i         both = load_16(block->scales), nibble = _mm_set1_epi8(15);
    set_scales(row, _mm_and_si128(both, nibble));
    row->mins = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(both, 4), nibble));
    ENX_UNROLL
    for (int i = 0; i < TILE_PAIRS; i++)
        row->q[i] = pair_bits(load_32(block->q + i / 4 * 32), i % 4);
}

ENX_INLINE void open_row_q3_k(few_row *row, const uint8_t *at)
{
    const enx_block_q3_k *block = (const void *)at;
    const __m256i         high = load_32(block->high);
    const __m128i         low = _mm_loadl_epi64((const void *)block->scales);
    const uint32_t        pairs = bits_at(block->scales + 8), two = 0x03030303;
    const __m128i         nibbles =
        _mm_and_si128(_mm_unpacklo_epi64(low, _mm_srli_epi16(low, 4)), _mm_set1_epi8(15));
    const __m128i top =
        _mm_slli_epi16(_mm_setr_epi32((int)(pairs & two), (int)(pairs >> 2 & two),
                                      (int)(pairs >> 4 & two), (int)(pairs >> 6 & two)),
                       4);
    set_scales(row, _mm_sub_epi8(_mm_or_si128(nibbles, top), _mm_set1_epi8(32)));
    ENX_UNROLL
    for (int i = 0; i < TILE_PAIRS; i++)
        row->q[i] = _mm256_or_si256(pair_bits(load_32(block->q + i / 4 * 32), i % 4),
                                    moved_bit(high, i, 2));
}

/* The twelve bytes of Q4_K and Q5_K. */
ENX_INLINE void open_row_scales(few_row *row, const uint8_t s[ENX_K_SCALES])
{
    const uint32_t first = bits_at(s), second = bits_at(s + 4), third = bits_at(s + 8);
    const uint32_t six = 0x3F3F3F3F, four = 0x0F0F0F0F, top = 0x30303030;
    const __m128i  bytes =
        _mm_setr_epi32((int)(first & six), (int)((third & four) | (first >> 2 & top)),
                       (int)(second & six), (int)((third >> 4 & four) | (second >> 2 & top)));
    row->scales = _mm256_broadcastsi128_si256(_mm_cvtepu8_epi16(bytes));
    row->mins = _mm256_cvtepu8_epi16(_mm_srli_si128(bytes, 8));
}

ENX_INLINE void open_row_q4_k(few_row *row, const uint8_t *at)
{
    const enx_block_q4_k *block = (const void *)at;
    open_row_scales(row, block->scales);
    ENX_UNROLL
    for (int pair = 0; pair < TILE_PAIRS / 2; pair++) {
        const __m256i v = load_32(block->q + pair * 32);
        row->q[2 * pair] = low_nibbles(v);
        row->q[2 * pair + 1] = high_nibbles(v);
    }
}

ENX_INLINE void open_row_q5_k(few_row *row, const uint8_t *at)
{
    const enx_block_q5_k *block = (const void *)at;
    const __m256i         high = load_32(block->high);
    open_row_scales(row, block->scales);
    ENX_UNROLL
    for (int pair = 0; pair < TILE_PAIRS / 2; pair++) {
        const __m256i v = load_32(block->q + pair * 32);
        row->q[2 * pair] = _mm256_or_si256(low_nibbles(v), moved_bit(high, 2 * pair, 4));
        row->q[2 * pair + 1] = _mm256_or_si256(high_nibbles(v), moved_bit(high, 2 * pair + 1, 4));
    }
}

ENX_INLINE void open_row_q6_k(few_row *row, const uint8_t *at)
{
    const enx_block_q6_k *block = (const void *)at;
    set_scales(row, load_16(block->scales));
    ENX_UNROLL
    for (int half = 0; half < 2; half++) {
        const __m256i high = load_32(block->high + half * 32);
        ENX_UNROLL
        for (int part = 0; part < 2; part++) {
            const __m256i v = load_32(block->low + half * 64 + part * 32);
            __m256i      *q = row->q + half * 4 + part;
            q[0] = _mm256_or_si256(low_nibbles(v), top_pairs(high, part));
            q[2] = _mm256_or_si256(high_nibbles(v), top_pairs(high, part + 2));
        }
    }
}

/* Sums of eight words that are a row's. */
ENX_INLINE __m256i dot_row(const few_row *row, const enx_act_k *act, const int zero_shift)
{
    __m256i dot = _mm256_setzero_si256();
    ENX_UNROLL
    for (int i = 0; i < TILE_PAIRS; i++) {
        const __m256i word = _mm256_set1_epi16((short)(2 * i | (2 * i + 1) << 8));
        const __m256i pairs = _mm256_maddubs_epi16(row->q[i], load_32(act->q + i * 32));
        dot =
            _mm256_add_epi32(dot, _mm256_madd_epi16(pairs, _mm256_shuffle_epi8(row->scales, word)));
    }
    if (zero_shift == NO_ZERO) return dot;
    const __m256i zeros = _mm256_madd_epi16(row->ordered, load_32(act->sums));
    return _mm256_sub_epi32(dot, _mm256_slli_epi32(zeros, zero_shift));
}

ENX_INLINE __m256i least_row(const few_row *row, const enx_act_k *act, const minima_of minima)
{
    if (minima == MINIMA_16) return _mm256_madd_epi16(row->mins, load_32(act->sums));
    return _mm256_zextsi128_si256(
        _mm_madd_epi16(_mm256_castsi256_si128(row->mins), load_16(act->pair_sums)));
}

/* What is in a kind of blocks of 256, besides how a row of it is opened. */
typedef struct few_kind {
    open_row_fn open;
    size_t      block_bytes, d_at, dmin_at;
    int         zero_shift;
    minima_of   minima;
} few_kind;

/* One block of eight rows at `at`, and all activations. */
ENX_INLINE void multiply_block(float (*sum)[TILE_ROWS], size_t lane, const uint8_t *const *rows,
                               size_t at, const enx_act_k *act, size_t blocks, const size_t batch,
                               const few_kind kind)
{
    __m256i      dots[FEW_MAX][ROW_LANES], least[FEW_MAX][ROW_LANES];
    const __m256 d = gather_f16(rows, at + kind.d_at);
    ENX_UNROLL
    for (size_t r = 0; r < ROW_LANES; r++) {
        few_row row;
        kind.open(&row, rows[r] + at);
        for (size_t j = 0; j < batch; j++) {
            dots[j][r] = dot_row(&row, &act[j * blocks], kind.zero_shift);
            if (kind.minima != MINIMA_NONE)
                least[j][r] = least_row(&row, &act[j * blocks], kind.minima);
        }
    }
    for (size_t j = 0; j < batch; j++) {
        const __m256 scale = _mm256_set1_ps(act[j * blocks].scale);
        const __m256 dot = _mm256_cvtepi32_ps(sums_of(dots[j]));
        __m256       to = _mm256_load_ps(&sum[j][lane]);
        to = _mm256_add_ps(to, _mm256_mul_ps(dot, _mm256_mul_ps(d, scale)));
        if (kind.minima != MINIMA_NONE) {
            const __m256 dmin = gather_f16(rows, at + kind.dmin_at);
            to = _mm256_sub_ps(to, _mm256_mul_ps(_mm256_cvtepi32_ps(sums_of(least[j])),
                                                 _mm256_mul_ps(dmin, scale)));
        }
        _mm256_store_ps(&sum[j][lane], to);
    }
}

ENX_INLINE void few_k(float (*sum)[TILE_ROWS], const uint8_t *const *rows, const uint8_t *next,
                      size_t blocks, const enx_act_k *act, const size_t batch, const few_kind kind)
{
    const size_t eight_bytes = ROW_LANES * kind.block_bytes;
    for (size_t lane = 0; lane < TILE_ROWS; lane += ROW_LANES)
        for (size_t b = 0; b < blocks; b++) {
            if (next)
                fetch_bytes(next + lane * blocks * kind.block_bytes + b * eight_bytes, eight_bytes);
            multiply_block(sum, lane, rows + lane, b * kind.block_bytes, act + b, blocks, batch,
                           kind);
        }
}

/* One activation row, the most frequent number, without loops over rows. */
#define DEFINE_FEW(name, minimum_at, zero_shift, minima)                                    \
    static void few_##name(float(*sum)[TILE_ROWS], const uint8_t *const rows[TILE_ROWS],    \
                           const uint8_t *next, size_t blocks, const void *x, size_t batch) \
    {                                                                                       \
        const few_kind kind = { open_row_##name,                                            \
                                sizeof(enx_block_##name),                                   \
                                offsetof(enx_block_##name, d),                              \
                                minimum_at,                                                 \
                                zero_shift,                                                 \
                                minima };                                                   \
        if (batch == 1) few_k(sum, rows, next, blocks, x, 1, kind);                         \
        else few_k(sum, rows, next, blocks, x, batch, kind);                                \
    }
DEFINE_FEW(q2_k, offsetof(enx_block_q2_k, dmin), NO_ZERO, MINIMA_16)
DEFINE_FEW(q3_k, 0, 2, MINIMA_NONE)
DEFINE_FEW(q4_k, offsetof(enx_block_q4_k, dmin), NO_ZERO, MINIMA_32)
DEFINE_FEW(q5_k, offsetof(enx_block_q5_k, dmin), NO_ZERO, MINIMA_32)
DEFINE_FEW(q6_k, 0, 5, MINIMA_NONE)

#endif /* ENX_KERNELS_FEW_BODY_H */
