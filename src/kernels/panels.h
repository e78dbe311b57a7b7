/* SPDX-License-Identifier: Apache-2.0 */
/* panels.h - quantized weights as products read them: sixteen rows side by side.
 *
 * A file has the blocks of a row one after the other.  Products want the same columns of many rows
 * together, a lane each, so that sums never cross lanes.  A matrix is therefore cut into panels of
 * sixteen rows, and a panel is a row of blocks again: each those of its sixteen rows, unit by unit.
 * A unit is a scale of 16 bits, four bytes of numbers, or the one byte of MXFP4's exponent.
 *
 * (1) What is `at` bytes into a block of a row begins at 16 * at in a block of the panel, row r's
 *     share r units behind; so a panel takes the bytes of its rows, in another order.
 * (2) The last panel is filled up with zeros.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_PANELS_H
#define ENX_KERNELS_PANELS_H

#include "kernels/blocks.h"

#include <stddef.h>

enum { ENX_PANEL_ROWS = 16 };

/* Bytes of the panels of a matrix; col_count is a multiple of a block's values. */
size_t enx_panels_bytes(enx_quant quant, size_t row_count, size_t col_count);

/* Lay rows [row_count][col_count], as a file has them, out in panels; out may lie anywhere. */
void enx_panels_from_rows(void *out, enx_quant quant, const void *rows, size_t row_count,
                          size_t col_count);

/* Block `block` of row `row` as the file had it. */
void enx_panels_block(void *out, enx_quant quant, const void *panels, size_t col_count, size_t row,
                      size_t block);

#endif /* ENX_KERNELS_PANELS_H */
