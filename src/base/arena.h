/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - memory that is freed all at once.
 *
 * An arena is a fixed span handed over by the caller: one per lifetime (model,
 * session, step).  Allocation moves a cursor; rewinding to a mark frees
 * everything after it.  There is no per-object free, and so no leak and no
 * double free.
 *
 * Under AddressSanitizer each allocation is followed by a poisoned red zone,
 * so an overrun inside the arena is caught just as on the heap.
 *
 * Layer: base.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_BASE_ARENA_H
#define ENX_BASE_ARENA_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

typedef struct enx_arena {
    uint8_t *base; /* borrowed: whoever made the span releases it */
    size_t   size_bytes;
    size_t   used_bytes;
    size_t   peak_bytes; /* high-water mark, for sizing and for `enxame doctor` */
} enx_arena;

typedef size_t enx_arena_mark;

/* Take a borrowed span into use.  deinit must come before the span is released. */
void enx_arena_init(enx_arena *arena, void *base, size_t size_bytes);
void enx_arena_deinit(enx_arena *arena);

/* Zeroed memory for `count` objects, or NULL if the arena is full or the
 * product overflows.  The pointer is borrowed: it dies at the rewind. */
void *enx_arena_push(enx_arena *arena, size_t count, size_t size_bytes, size_t align_bytes);

#define ENX_ARENA_NEW(arena, type, count) \
    ((type *)enx_arena_push((arena), (count), sizeof(type), alignof(type)))

/* The position to come back to; a mark is valid until a rewind below it. */
enx_arena_mark enx_arena_save(const enx_arena *arena);
void           enx_arena_rewind(enx_arena *arena, enx_arena_mark mark);

#endif /* ENX_BASE_ARENA_H */
