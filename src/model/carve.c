/* SPDX-License-Identifier: Apache-2.0 */
/* carve.c - arrays out of one block. */
#include "model/carve.h"

enum { CARVE_ALIGN_BYTES = 64 };

void *enx_carve(enx_carver *c, uint64_t count, uint64_t size_bytes)
{
    uint64_t need, end;
    if (__builtin_mul_overflow(count, size_bytes, &need) ||
        __builtin_add_overflow(need, CARVE_ALIGN_BYTES - 1, &need) ||
        __builtin_add_overflow(c->used_bytes, need & ~(uint64_t)(CARVE_ALIGN_BYTES - 1), &end) ||
        end > SIZE_MAX / 2) {
        c->is_overflown = true;
        return NULL;
    }
    void *out = c->base ? c->base + c->used_bytes : NULL;
    c->used_bytes = end;
    return out;
}
