/* SPDX-License-Identifier: Apache-2.0 */
/* mem.h - the only door to the heap below the application.
 *
 * Long-lived objects take one block when they open and release it when they
 * close; everything inside comes from arenas.  Tests can make the N-th call
 * fail, which is how out-of-memory paths are proved.
 *
 * Layer: base.  Thread-safety: as malloc; the failure countdown is for tests
 * with one thread.
 */
#ifndef ENX_BASE_MEM_H
#define ENX_BASE_MEM_H

#include <stddef.h>

/* Zeroed, 64-byte aligned memory for `count` objects; NULL when the product
 * overflows or nothing is left.  Release with enx_mem_free. */
void *enx_mem_new(size_t count, size_t size_bytes);

/* Grow or shrink a block from enx_mem_new or enx_mem_resize (or NULL) to
 * `new_bytes`, keeping the first `old_bytes`; new bytes are zero.  NULL on
 * failure: the old block stays valid. */
void *enx_mem_resize(void *block, size_t old_bytes, size_t new_bytes);

/* Accepts NULL. */
void enx_mem_free(void *block);

/* Let the call after the next `calls_before` fail, once; negative: never. */
void enx_mem_fail_after(long calls_before);

#define ENX_MEM_NEW(type, count) ((type *)enx_mem_new((count), sizeof(type)))

#endif /* ENX_BASE_MEM_H */
