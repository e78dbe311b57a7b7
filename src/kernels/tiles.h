/* SPDX-License-Identifier: Apache-2.0 */
/* tiles.h - blocks of panels opened for wide products; private to kernels.
 *
 * A row is a lane: four neighbouring columns of a row are one 32-bit lane, so that sums never cross
 * lanes.  A tile holds 256 columns at most; it is made from a panel's blocks, stays in the nearest
 * cache, and is forgotten when all activation rows have met it.
 *
 * Numbers are stored plus the `zero` of their kind where that makes them unsigned and small enough
 * for sums of 16 bits (see NO_ZERO).
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_TILES_H
#define ENX_KERNELS_TILES_H

#include "kernels/kernels_impl.h"
#include "kernels/panels.h"

#include <stdbool.h>

enum {
    TILE_ROWS = ENX_PANEL_ROWS,
    TILE_COLS = 256,
    TILE_BATCH = 4, /* activation rows that share one load of the weights */
    TILE_QUADS = ENX_SMALL_BLOCK / 4,
    TILE_K_QUADS = ENX_K_BLOCK / 4,
    QUAD_BYTES = TILE_ROWS * 4,
    TILE_PAIRS = ENX_K_PARTS / 2, /* of parts of a block of 256 */
};

typedef struct tile_32 {
    float   d[TILE_ROWS], m[TILE_ROWS];
    uint8_t q[TILE_QUADS][TILE_ROWS][4]; /* column = quad * 4 + last index */
} tile_32;

typedef struct tile_k {
    float   d[TILE_ROWS], dmin[TILE_ROWS];
    int16_t scales[TILE_PAIRS][TILE_ROWS][2]; /* of parts 2i and 2i + 1 */
    int16_t mins[TILE_PAIRS][TILE_ROWS][2];   /* the same, or of 32 values each: MINIMA_32 */
    uint8_t q[TILE_K_QUADS][TILE_ROWS][4];
} tile_k;

/* Make a tile of a panel's block. */
typedef void (*open_tile_fn)(void *tile, const uint8_t *block);

/* sum[j] += tiles times row j of x, for a fixed number of rows; x + j * row_blocks is row j. */
typedef void (*multiply_fn)(float (*sum)[TILE_ROWS], const void *tiles, size_t tile_count,
                            const void *x, size_t row_blocks);

typedef struct product_kind {
    open_tile_fn open;                 /* NULL: the panel's blocks are the tiles */
    multiply_fn  multiply[TILE_BATCH]; /* of 1, 2, ... activation rows */
    multiply_fn  one;                  /* of one row, with blocks as they lie; NULL: by tiles */
    size_t       block_bytes;          /* of one row */
} product_kind;

/* What the numbers of a tile mean: they are stored plus 1 << zero_shift, or as they are. */
enum { NO_ZERO = 0 };
typedef enum minima_of {
    MINIMA_NONE,
    MINIMA_16,
    MINIMA_32
} minima_of; /* of how many values each */

#endif /* ENX_KERNELS_TILES_H */
