/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.h - what somebody may have meant: the known word closest to an unknown one.
 *
 * Layer: base.  Thread-safety: no shared state.
 */
#ifndef ENX_BASE_NEAREST_H
#define ENX_BASE_NEAREST_H

#include <stddef.h>

enum { ENX_NEAREST_BYTES_MAX = 63 };

/* How many bytes to insert, drop, change, or swap with their neighbour lead from a to b (optimal
 * string alignment), over the first ENX_NEAREST_BYTES_MAX bytes of each. */
size_t enx_nearest_distance(const char *a, const char *b);

/* The first of words[0..count) at the smallest distance, or NULL when none is closer than half of
 * the longer word.  Borrowed from `words`. */
const char *enx_nearest(const char *word, const char *const *words, size_t count);

#endif /* ENX_BASE_NEAREST_H */
