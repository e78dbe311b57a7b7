/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.h - bit layout of quantized blocks.
 *
 * Weights lie in blocks as files hold them.  Those of 32 values have one scale (and a minimum).
 * Those of 256 ("K") have small scales of parts of 16 or 32, which share a scale in f16.  Each has
 * a plain form, one byte a number (enx_plain_32, enx_plain_k), which says what the bits mean.
 *
 * Activations are quantized to meet them: enx_act_q8 for blocks of 32, enx_act_k for those of 256.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_BLOCKS_H
#define ENX_KERNELS_BLOCKS_H

#include <assert.h>
#include <stdint.h>

enum {
    ENX_SMALL_BLOCK = 32,      /* values of a block of Q4_0 to Q8_0, IQ4_NL and MXFP4 */
    ENX_K_BLOCK = 256,         /* of Q2_K to Q6_K and IQ4_XS */
    ENX_K_SCALES = 12,         /* bytes of eight scales and eight minima of 6 bits */
    ENX_K_PARTS = 16,          /* of a block of 256, 16 values each, when it is plain */
    ENX_QUANT_BYTES_MAX = 210, /* of any block */
};

/* ---- ggml's layouts; d is an f16 scale, m or dmin an f16 minimum, little endian --------
 * Bytes only, so that a block may lie at any address. */

typedef struct enx_block_q8_0 {
    uint8_t d[2];
    int8_t  q[32]; /* d * q */
} enx_block_q8_0;
static_assert(sizeof(enx_block_q8_0) == 34, "ggml's layout");

/* Nibbles: value i of 32 is the low half of byte i, or the high half of byte i - 16. */
typedef struct enx_block_q4_0 {
    uint8_t d[2];
    uint8_t q[16]; /* d * (q - 8) */
} enx_block_q4_0;
static_assert(sizeof(enx_block_q4_0) == 18, "ggml's layout");

typedef struct enx_block_q4_1 {
    uint8_t d[2], m[2];
    uint8_t q[16]; /* d * q + m */
} enx_block_q4_1;
static_assert(sizeof(enx_block_q4_1) == 20, "ggml's layout");

typedef struct enx_block_q5_0 {
    uint8_t d[2];
    uint8_t high[4]; /* bit i: the fifth bit of value i */
    uint8_t q[16];   /* d * (q - 16) */
} enx_block_q5_0;
static_assert(sizeof(enx_block_q5_0) == 22, "ggml's layout");

typedef struct enx_block_q5_1 {
    uint8_t d[2], m[2];
    uint8_t high[4];
    uint8_t q[16]; /* d * q + m */
} enx_block_q5_1;
static_assert(sizeof(enx_block_q5_1) == 24, "ggml's layout");

/* Pairs of bits: value i of each 128 is in byte i % 32, pair i / 32. */
typedef struct enx_block_q2_k {
    uint8_t scales[16]; /* of 16 values each: low half the scale, high half the minimum */
    uint8_t q[64];
    uint8_t d[2], dmin[2]; /* d * scale * q - dmin * minimum */
} enx_block_q2_k;
static_assert(sizeof(enx_block_q2_k) == 84, "ggml's layout");

typedef struct enx_block_q3_k {
    uint8_t high[32]; /* value i: bit i / 32 of byte i % 32; unset means minus 4 */
    uint8_t q[64];
    uint8_t scales[ENX_K_SCALES]; /* sixteen of 6 bits: 8 bytes of nibbles, 4 of pairs above */
    uint8_t d[2];                 /* d * (scale - 32) * (q - 4) */
} enx_block_q3_k;
static_assert(sizeof(enx_block_q3_k) == 110, "ggml's layout");

/* Nibbles: value i of each 64 is the low half of byte i, or the high half of byte i - 32. */
typedef struct enx_block_q4_k {
    uint8_t d[2], dmin[2];
    uint8_t scales[ENX_K_SCALES]; /* of 32 values each */
    uint8_t q[128];               /* d * scale * q - dmin * minimum */
} enx_block_q4_k;
static_assert(sizeof(enx_block_q4_k) == 144, "ggml's layout");

typedef struct enx_block_q5_k {
    uint8_t d[2], dmin[2];
    uint8_t scales[ENX_K_SCALES];
    uint8_t high[32]; /* value i: bit i / 32 of byte i % 32 */
    uint8_t q[128];
} enx_block_q5_k;
static_assert(sizeof(enx_block_q5_k) == 176, "ggml's layout");

typedef struct enx_block_q6_k {
    uint8_t low[128]; /* value i of each 128: half i / 64 of byte i % 64 */
    uint8_t high[64]; /* pair i / 32 of byte i % 32 */
    int8_t  scales[16];
    uint8_t d[2]; /* d * scale * (q - 32) */
} enx_block_q6_k;
static_assert(sizeof(enx_block_q6_k) == 210, "ggml's layout");

typedef struct enx_block_iq4_nl {
    uint8_t d[2];
    uint8_t q[16]; /* d * level[q], sixteen uneven levels */
} enx_block_iq4_nl;
static_assert(sizeof(enx_block_iq4_nl) == 18, "ggml's layout");

typedef struct enx_block_iq4_xs {
    uint8_t d[2];
    uint8_t scales_high[2]; /* pairs */
    uint8_t scales_low[4];  /* nibbles; d * (scale - 32) * level[q] */
    uint8_t q[128];         /* eight times the nibbles of 32 */
} enx_block_iq4_xs;
static_assert(sizeof(enx_block_iq4_xs) == 136, "ggml's layout");

typedef struct enx_block_mxfp4 {
    uint8_t exponent; /* 2^(exponent - 127) */
    uint8_t q[16];    /* a sign and 0, 0.5, 1, 1.5, 2, 3, 4 or 6 */
} enx_block_mxfp4;
static_assert(sizeof(enx_block_mxfp4) == 17, "ggml's layout");

/* ---- the same in one byte a number ------------------------------------- */

typedef struct enx_plain_32 {
    float  d, m; /* d * q + m */
    int8_t q[ENX_SMALL_BLOCK];
} enx_plain_32;
static_assert(sizeof(enx_plain_32) == 40, "no padding");

typedef struct enx_plain_k {
    float   d, dmin; /* d * scale * q - dmin * minimum */
    int16_t scales[ENX_K_PARTS], mins[ENX_K_PARTS];
    int8_t  q[ENX_K_BLOCK];
} enx_plain_k;
static_assert(sizeof(enx_plain_k) == 328, "no padding");

/* ---- activations ------------------------------------------------------- */

typedef struct enx_act_q8 {
    float   scale;
    int32_t sum; /* of q */
    int8_t  q[ENX_SMALL_BLOCK];
} enx_act_q8;
static_assert(sizeof(enx_act_q8) == 40, "no padding");

typedef struct enx_act_k {
    float   scale;
    int16_t sums[ENX_K_PARTS];          /* of q, part by part */
    int16_t pair_sums[ENX_K_PARTS / 2]; /* of two parts, 32 values */
    int8_t  q[ENX_K_BLOCK];
} enx_act_k;
static_assert(sizeof(enx_act_k) == 308, "no padding");

typedef enum enx_quant {
    ENX_QUANT_Q4_0,
    ENX_QUANT_Q4_1,
    ENX_QUANT_Q5_0,
    ENX_QUANT_Q5_1,
    ENX_QUANT_Q8_0,
    ENX_QUANT_Q2_K,
    ENX_QUANT_Q3_K,
    ENX_QUANT_Q4_K,
    ENX_QUANT_Q5_K,
    ENX_QUANT_Q6_K,
    ENX_QUANT_IQ4_NL,
    ENX_QUANT_IQ4_XS,
    ENX_QUANT_MXFP4,
    ENX_QUANT_COUNT,
} enx_quant;

/* Does a block have 256 values? */
static inline int enx_quant_is_large(enx_quant quant)
{
    return (quant >= ENX_QUANT_Q2_K && quant <= ENX_QUANT_Q6_K) || quant == ENX_QUANT_IQ4_XS;
}

#endif /* ENX_KERNELS_BLOCKS_H */
