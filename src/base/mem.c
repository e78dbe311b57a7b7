/* SPDX-License-Identifier: Apache-2.0 */
/* mem.c - aligned heap blocks, with a countdown fault for tests. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    MEM_ALIGN_BYTES = 64,
    MEM_HUGE_BYTES = 1 << 21, /* a huge page; larger blocks ask for them: fewer address misses */
};

static long fail_countdown = -1;

static int failing(void)
{
    if (fail_countdown < 0) return 0;
    return fail_countdown-- == 0;
}

void enx_mem_fail_after(long calls_before) { fail_countdown = calls_before; }

void *enx_mem_new(size_t count, size_t size_bytes)
{
    size_t need, padded;
    if (failing() || __builtin_mul_overflow(count, size_bytes, &need)) return NULL;
    const size_t align = need >= 4 * (size_t)MEM_HUGE_BYTES ? MEM_HUGE_BYTES : MEM_ALIGN_BYTES;
    if (__builtin_add_overflow(need, align, &padded)) return NULL;
    padded &= ~(align - 1);
    void *block = aligned_alloc(align, padded);
    if (!block) return NULL;
    /* Large blocks, as those for keys and values, are given back to the system and come again as
     * zeros where they are first touched: what is never used takes no memory. */
    if (align == MEM_HUGE_BYTES) {
        madvise(block, padded, MADV_HUGEPAGE);
        if (madvise(block, padded, MADV_DONTNEED) == 0) return block;
    }
    memset(block, 0, padded);
    return block;
}

void *enx_mem_resize(void *block, size_t old_bytes, size_t new_bytes)
{
    void *grown = enx_mem_new(1, new_bytes);
    if (!grown) return NULL;
    if (block) memcpy(grown, block, old_bytes < new_bytes ? old_bytes : new_bytes);
    enx_mem_free(block);
    return grown;
}

void enx_mem_free(void *block) { free(block); }
