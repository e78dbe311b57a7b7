/* SPDX-License-Identifier: Apache-2.0 */
/* carve.h - one block of memory cut into arrays: once to add up, once to place them.
 *
 * Layer: model.  Thread-safety: no shared state.
 */
#ifndef ENX_MODEL_CARVE_H
#define ENX_MODEL_CARVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With a NULL base it only adds up. */
typedef struct enx_carver {
    uint8_t *base;
    uint64_t used_bytes;
    bool     is_overflown;
} enx_carver;

/* The next `count` things of a size, at a multiple of 64 bytes; NULL while only adding up. */
void *enx_carve(enx_carver *carver, uint64_t count, uint64_t size_bytes);

#endif /* ENX_MODEL_CARVE_H */
