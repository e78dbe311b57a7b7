/* SPDX-License-Identifier: Apache-2.0 */
/* window.h - where in a long text to look for what is wrong.
 *
 * Layer: repair.  Thread-safety: no shared state.
 */
#ifndef ENX_REPAIR_WINDOW_H
#define ENX_REPAIR_WINDOW_H

#include "repair/scan.h"

#include <stddef.h>

enum { ENX_WINDOWS_MAX = 8, ENX_BLOCK_BYTES_MAX = 2400 };

/* Whole lines, text[from..to). */
typedef struct enx_window {
    size_t from, to;
} enx_window;

/* The largest block around `at` by indentation that is not too long: from a line that is indented
 * less than what follows to the next one that is not indented more.  Where every block is too long,
 * some lines before and after. */
enx_window enx_window_around(const char *text, size_t size_bytes, size_t at);

/* Write where to look, the best first, and return how many: the block around the complaint (and
 * the one before it, when the complaint is in its first lines), then those whose own brackets or
 * strings do not match, nearest first.  at < 0: no complaint. */
uint32_t enx_window_list(enx_window out[ENX_WINDOWS_MAX], enx_code code, const char *text,
                         size_t size_bytes, int64_t at, enx_scan *scratch);

#endif /* ENX_REPAIR_WINDOW_H */
