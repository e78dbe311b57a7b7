/* SPDX-License-Identifier: Apache-2.0 */
/* blocks.h - bit layout of quantized blocks.
 *
 * Three layouts of the same kind of number, int8 times a scale for 32 neighbours in a row:
 *
 *   enx_block_q8_0   on disk   34 bytes: f16 scale, 32 int8             (ggml's Q8_0)
 *   enx_pack_q8      weights   16 rows side by side, as the fast product wants them
 *   enx_act_q8       x         one block of an activation row
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_BLOCKS_H
#define ENX_KERNELS_BLOCKS_H

#include <assert.h>
#include <stdint.h>

enum {
    ENX_Q8_BLOCK = 32, /* values that share a scale */
    ENX_PACK_ROWS = 16,
    ENX_PACK_QUADS = ENX_Q8_BLOCK / 4,
};

/* Bytes only, so that a block may lie at any address. */
typedef struct enx_block_q8_0 {
    uint8_t scale[2]; /* f16, little endian */
    int8_t  q[ENX_Q8_BLOCK];
} enx_block_q8_0;
static_assert(sizeof(enx_block_q8_0) == 34, "ggml's layout");

/* One block of columns of sixteen rows.  Weights are stored plus 128, because the dot-product
 * instruction takes one unsigned side; enx_act_q8.offset takes the 128s away again. */
typedef struct enx_pack_q8 {
    float   scale[ENX_PACK_ROWS];
    uint8_t q[ENX_PACK_QUADS][ENX_PACK_ROWS][4]; /* column = quad * 4 + last index */
} enx_pack_q8;
static_assert(sizeof(enx_pack_q8) == 576, "nine cache lines");

typedef struct enx_act_q8 {
    float   scale;
    int32_t offset; /* -128 times the sum of q */
    int8_t  q[ENX_Q8_BLOCK];
} enx_act_q8;
static_assert(sizeof(enx_act_q8) == 40, "no padding");

#endif /* ENX_KERNELS_BLOCKS_H */
