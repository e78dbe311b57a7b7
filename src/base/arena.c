/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c - a cursor over a span, with red zones under AddressSanitizer. */
#include "base/arena.h"

#include "base/check.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { ARENA_RED_ZONE_BYTES = 16 };
static void poison(void *at, size_t size_bytes) { __asan_poison_memory_region(at, size_bytes); }
static void unpoison(void *at, size_t size_bytes) { __asan_unpoison_memory_region(at, size_bytes); }
#else
enum { ARENA_RED_ZONE_BYTES = 0 };
static void poison(void *at, size_t size_bytes) { (void)at, (void)size_bytes; }
static void unpoison(void *at, size_t size_bytes) { (void)at, (void)size_bytes; }
#endif

void enx_arena_init(enx_arena *arena, void *base, size_t size_bytes)
{
    ENX_CHECK(arena && (base || size_bytes == 0));
    *arena = (enx_arena){ .base = base, .size_bytes = size_bytes };
    poison(base, size_bytes);
}

void enx_arena_deinit(enx_arena *arena)
{
    unpoison(arena->base, arena->size_bytes);
    *arena = (enx_arena){ 0 };
}

void *enx_arena_push(enx_arena *arena, size_t count, size_t size_bytes, size_t align_bytes)
{
    ENX_CHECK(align_bytes != 0 && (align_bytes & (align_bytes - 1)) == 0);
    size_t need;
    if (__builtin_mul_overflow(count, size_bytes, &need)) return NULL;

    const uintptr_t at = (uintptr_t)arena->base + arena->used_bytes;
    const size_t    pad = (size_t)(-at & (align_bytes - 1));
    const size_t    free_bytes = arena->size_bytes - arena->used_bytes;
    if (pad > free_bytes || need > free_bytes - pad) return NULL;

    uint8_t *out = arena->base + arena->used_bytes + pad;
    size_t   used = arena->used_bytes + pad + need + ARENA_RED_ZONE_BYTES;
    if (used > arena->size_bytes) used = arena->size_bytes;
    arena->used_bytes = used;
    if (used > arena->peak_bytes) arena->peak_bytes = used;

    unpoison(out, need);
    memset(out, 0, need);
    return out;
}

enx_arena_mark enx_arena_save(const enx_arena *arena) { return arena->used_bytes; }

void enx_arena_rewind(enx_arena *arena, enx_arena_mark mark)
{
    ENX_CHECK(mark <= arena->used_bytes);
    poison(arena->base + mark, arena->used_bytes - mark);
    arena->used_bytes = mark;
}
