/* SPDX-License-Identifier: Apache-2.0 */
/* token_map.c - open addressing with linear probing, at most half full. */
#include "text/token_map.h"

#include "base/mem.h"

#include <string.h>

/* Eight bytes at a time, then the rest: tokens are short, so the loop seldom runs twice. */
static uint32_t hash_bytes(const char *bytes, size_t size_bytes)
{
    uint64_t hash = size_bytes * UINT64_C(0x9E3779B97F4A7C15);
    while (size_bytes) {
        uint64_t     word = 0;
        const size_t take = size_bytes < 8 ? size_bytes : 8;
        if (take == 8) memcpy(&word, bytes, 8);
        else
            for (size_t i = 0; i < take; i++) word |= (uint64_t)(uint8_t)bytes[i] << (8 * i);
        hash = (hash ^ word) * UINT64_C(0xBF58476D1CE4E5B9);
        hash ^= hash >> 32;
        bytes += take;
        size_bytes -= take;
    }
    return (uint32_t)hash;
}

enx_status enx_token_map_init(enx_token_map *map, const enx_gguf_str *tokens, uint32_t count_max)
{
    size_t slot_count = 16;
    while (slot_count < (size_t)count_max * 2) slot_count *= 2;
    *map = (enx_token_map){ .tokens = tokens, .mask = (uint32_t)(slot_count - 1) };
    map->slots = ENX_MEM_NEW(uint32_t, slot_count);
    if (!map->slots) return ENX_NOMEM;
    memset(map->slots, 0xFF, slot_count * sizeof *map->slots);
    return ENX_OK;
}

void enx_token_map_deinit(enx_token_map *map)
{
    enx_mem_free(map->slots);
    *map = (enx_token_map){ .tokens = NULL };
}

/* The slot that holds these bytes, or the empty one where they belong. */
static uint32_t find_slot(const enx_token_map *map, const char *bytes, size_t size_bytes)
{
    uint32_t slot = hash_bytes(bytes, size_bytes) & map->mask;
    while (map->slots[slot] != UINT32_MAX) {
        const enx_gguf_str *token = &map->tokens[map->slots[slot]];
        if (token->size_bytes == size_bytes && !memcmp(token->data, bytes, size_bytes)) break;
        slot = (slot + 1) & map->mask;
    }
    return slot;
}

void enx_token_map_put(enx_token_map *map, uint32_t id)
{
    const enx_gguf_str *token = &map->tokens[id];
    const uint32_t      slot = find_slot(map, token->data, token->size_bytes);
    if (map->slots[slot] == UINT32_MAX) map->slots[slot] = id;
}

uint32_t enx_token_map_find(const enx_token_map *map, const char *bytes, size_t size_bytes)
{
    return map->slots[find_slot(map, bytes, size_bytes)];
}
