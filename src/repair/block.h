/* SPDX-License-Identifier: Apache-2.0 */
/* block.h - where in a long text to look for what is wrong.
 *
 * Layer: repair.  Thread-safety: no shared state.
 */
#ifndef ENX_REPAIR_BLOCK_H
#define ENX_REPAIR_BLOCK_H

#include "repair/scan.h"

#include <stddef.h>

enum { ENX_BLOCKS_MAX = 8, ENX_BLOCK_BYTES_MAX = 2400 };

/* Whole lines, text[from..to). */
typedef struct enx_block {
    size_t from, to;
} enx_block;

/* The largest block around `at` by indentation that is not too long: from a line that is indented
 * less than what follows to the next one that is not indented more.  Where every block is too long,
 * some lines before and after. */
enx_block enx_block_around(const char *text, size_t size_bytes, size_t at);

/* Write where to look, the best first, and return how many: the block around the complaint (and
 * the one before it, when the complaint is in its first lines), then those whose own brackets or
 * strings do not match, nearest first.  at < 0: no complaint. */
uint32_t enx_block_list(enx_block out[ENX_BLOCKS_MAX], enx_code code, const char *text,
                        size_t size_bytes, int64_t at, enx_scan *scratch);

#endif /* ENX_REPAIR_BLOCK_H */
