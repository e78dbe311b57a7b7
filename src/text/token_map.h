/* SPDX-License-Identifier: Apache-2.0 */
/* token_map.h - from a token's bytes to its id.
 *
 * Open addressing over ids; the bytes stay in the caller's table, which must outlive the map.
 * Where two tokens have the same bytes the one put first is found.
 *
 * Layer: text.  Thread-safety: immutable after the last put; may be shared.
 */
#ifndef ENX_TEXT_TOKEN_MAP_H
#define ENX_TEXT_TOKEN_MAP_H

#include "base/status.h"

#include "gguf/gguf.h"

#include <stdint.h>

typedef struct enx_token_map {
    const enx_gguf_str *tokens; /* borrowed; ids index it */
    uint32_t           *slots;  /* owned; UINT32_MAX is empty */
    uint32_t            mask;
} enx_token_map;

/* Room for `count_max` tokens out of `tokens`.  ENX_NOMEM: the map needs no deinit, and may have
 * it. */
ENX_MUST_USE enx_status enx_token_map_init(enx_token_map *map, const enx_gguf_str *tokens,
                                           uint32_t count_max);
void                    enx_token_map_deinit(enx_token_map *map);
/* At most count_max times. */
void                    enx_token_map_put(enx_token_map *map, uint32_t id);
/* UINT32_MAX: no such token. */
uint32_t enx_token_map_find(const enx_token_map *map, const char *bytes, size_t size_bytes);

#endif /* ENX_TEXT_TOKEN_MAP_H */
