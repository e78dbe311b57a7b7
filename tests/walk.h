/* SPDX-License-Identifier: Apache-2.0 */
/* walk.h - texts by chance that an automaton takes.
 *
 * Characters beyond ASCII and white space are kept rare, and long texts prefer what closes a
 * string, a list or an object, so that many of them come to an end.
 *
 * Layer: tests.  Thread-safety: one thread.
 */
#ifndef ENX_TESTS_WALK_H
#define ENX_TESTS_WALK_H

#include "base/rng.h"
#include "text/mask.h"

#include <string.h>

enum { WALK_LONG_BYTES = 300 };

/* The bytes that may come; returns how many. */
static inline size_t walk_list_next(const enx_automaton *automaton, const void *state,
                                    uint8_t out[256])
{
    static _Alignas(16) uint8_t tried[ENX_MASK_STATE_BYTES_MAX];
    uint64_t                    bytes[4] = { 0 };
    size_t                      count = 0;
    automaton->next_bytes(automaton, state, bytes);
    for (unsigned byte = 0; byte < 256; byte++) {
        if (!(bytes[byte >> 6] >> (byte & 63) & 1)) continue;
        memcpy(tried, state, automaton->used_bytes(automaton, state));
        if (automaton->step(automaton, tried, (uint8_t)byte)) out[count++] = (uint8_t)byte;
    }
    return count;
}

static inline uint8_t walk_draw(enx_rng *rng, const uint8_t *possible, size_t count, size_t length)
{
    for (size_t i = 0; i < count && length > WALK_LONG_BYTES; i++)
        if (possible[i] && strchr("\"]}", possible[i]) && enx_rng_below(rng, 2)) return possible[i];
    const uint8_t byte = possible[enx_rng_below(rng, count)];
    return byte >= 0x80 || byte == '\n' || byte == ' ' ? possible[enx_rng_below(rng, count)] : byte;
}

/* Write at most text_max bytes; true: they are a whole output.  Where the way neither goes on nor
 * may end, *count is text_max + 1: the automaton has a dead end. */
static inline bool walk_automaton(const enx_automaton *automaton, enx_rng *rng, char *text,
                                  size_t text_max, size_t *count)
{
    static _Alignas(16) uint8_t state[ENX_MASK_STATE_BYTES_MAX];
    automaton->start(automaton, state);
    for (*count = 0;; ++*count) {
        uint8_t      possible[256];
        const bool   is_whole = automaton->may_end(automaton, state);
        const size_t possible_count = walk_list_next(automaton, state, possible);
        if (is_whole && (possible_count == 0 || enx_rng_below(rng, 3) == 0)) return true;
        if (possible_count == 0) *count = text_max + 1;
        if (*count >= text_max) return false;
        text[*count] = (char)walk_draw(rng, possible, possible_count, *count);
        automaton->step(automaton, state, (uint8_t)text[*count]);
    }
}

#endif /* ENX_TESTS_WALK_H */
