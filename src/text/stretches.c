/* SPDX-License-Identifier: Apache-2.0 */
/* stretches.c - an open table of hashes, at most half full. */
#include "text/stretches.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { CAPACITY_FIRST = 1 << 12 };

struct enx_stretches {
    uint64_t *hashes; /* [capacity], 0: free */
    size_t    capacity, count;
};

enx_status enx_stretches_open(enx_stretches **out, enx_report *report)
{
    enx_stretches *s = ENX_MEM_NEW(enx_stretches, 1);
    if (s) s->hashes = ENX_MEM_NEW(uint64_t, CAPACITY_FIRST);
    if (!s || !s->hashes) {
        enx_mem_free(s);
        return ENX_FAIL(report, NOMEM, "no memory for what was seen");
    }
    s->capacity = CAPACITY_FIRST;
    *out = s;
    return ENX_OK;
}

void enx_stretches_close(enx_stretches **stretches)
{
    if (!*stretches) return;
    enx_mem_free((*stretches)->hashes);
    enx_mem_free(*stretches);
    *stretches = NULL;
}

/* FNV-1a; never 0. */
static uint64_t hash_stretch(const char *text)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < ENX_STRETCH_BYTES; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001B3);
    return hash ? hash : 1;
}

/* Where a hash is, or would be. */
static size_t place_of(const enx_stretches *s, uint64_t hash)
{
    size_t at = (size_t)(hash ^ hash >> 32) & (s->capacity - 1);
    while (s->hashes[at] && s->hashes[at] != hash) at = (at + 1) & (s->capacity - 1);
    return at;
}

static enx_status grow(enx_stretches *s, enx_report *report)
{
    enx_stretches larger = { ENX_MEM_NEW(uint64_t, 2 * s->capacity), 2 * s->capacity, s->count };
    if (!larger.hashes) return ENX_FAIL(report, NOMEM, "no memory for what was seen");
    for (size_t i = 0; i < s->capacity; i++)
        if (s->hashes[i]) larger.hashes[place_of(&larger, s->hashes[i])] = s->hashes[i];
    enx_mem_free(s->hashes);
    *s = larger;
    return ENX_OK;
}

enx_status enx_stretches_add(enx_stretches *s, const char *text, size_t size_bytes,
                             enx_report *report)
{
    for (size_t i = 0; i + ENX_STRETCH_BYTES <= size_bytes; i++) {
        const uint64_t hash = hash_stretch(text + i);
        uint64_t      *place = &s->hashes[place_of(s, hash)];
        if (*place) continue;
        *place = hash;
        if (2 * ++s->count > s->capacity) ENX_TRY(grow(s, report));
    }
    return ENX_OK;
}

double enx_stretches_share(const enx_stretches *s, const char *text, size_t size_bytes)
{
    size_t seen = 0, all = 0;
    for (size_t i = 0; i + ENX_STRETCH_BYTES <= size_bytes; i++, all++) {
        bool is_seen = s->hashes[place_of(s, hash_stretch(text + i))] != 0;
        for (size_t k = 0; k < i && !is_seen; k++)
            is_seen = memcmp(text + k, text + i, ENX_STRETCH_BYTES) == 0;
        seen += is_seen;
    }
    return all ? (double)seen / (double)all : 1;
}
