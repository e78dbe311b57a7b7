/* SPDX-License-Identifier: Apache-2.0 */
/* mask.h - constrained decoding: which tokens may come next.
 *
 * A mask is a small automaton over bytes plus a walk over the vocabulary.  The engine asks it
 * before each token and tells it after each; it knows nothing of what the mask means.  Two
 * automata implement it: reduce.h (only outputs that reduce to the input) and grammar.h (GBNF).
 *
 *     enx_mask_allowed(mask, ids)  →  sample among the ids  →  enx_mask_accept(mask, token)
 *
 * Layer: text.  Thread-safety: a mask has one owner thread; the trie is immutable, shared.
 */
#ifndef ENX_TEXT_MASK_H
#define ENX_TEXT_MASK_H

#include "base/status.h"
#include "text/tokenizer.h"

#include <stdbool.h>
#include <stdint.h>

enum { ENX_MASK_STATE_BYTES_MAX = 4096 };

/* An automaton over bytes.  States are plain values of state_bytes (<= ENX_MASK_STATE_BYTES_MAX),
 * copied freely; `self` is read-only while masks use it. */
typedef struct enx_automaton enx_automaton;
struct enx_automaton {
    size_t state_bytes;
    void (*start)(const enx_automaton *self, void *state);
    /* Advance by one byte; false: no output may continue so, state is then undefined. */
    bool (*step)(const enx_automaton *self, void *state, uint8_t byte);
    /* May the output end here? */
    bool (*may_end)(const enx_automaton *self, const void *state);
    /* Add to the empty set `bytes` (bit b & 63 of word b >> 6) every byte that step would take,
     * and perhaps others; only a help for speed.  NULL: every byte must be tried. */
    void (*next_bytes)(const enx_automaton *self, const void *state, uint64_t bytes[4]);
    /* How many bytes of the state are in use, for states that are mostly empty: the rest need not
     * be copied.  States that agree in them are the same.  NULL: all of state_bytes. */
    size_t (*used_bytes)(const enx_automaton *self, const void *state);
    /* Do the same states come back often?  Then masks remember steps (dfa.h) and more answers. */
    bool has_returns;
};

/* All tokens' bytes as a prefix tree (children in byte order), built once per tokenizer. */
typedef struct enx_trie enx_trie;
ENX_MUST_USE enx_status enx_trie_open(enx_trie **out, const enx_tokenizer *tokenizer,
                                      enx_report *report);
void                    enx_trie_close(enx_trie **trie);

typedef struct enx_mask enx_mask;
/* All borrowed; they must outlive the mask.  Control tokens are never allowed, except eos where
 * the automaton may end.  A path of the trie is cut as soon as the automaton refuses a byte. */
ENX_MUST_USE enx_status enx_mask_open(enx_mask **out, const enx_automaton *automaton,
                                      const enx_trie *trie, const enx_tokenizer *tokenizer,
                                      enx_report *report);
void                    enx_mask_close(enx_mask **mask);
void                    enx_mask_reset(enx_mask *mask);

/* Fill `ids` (capacity enx_tokenizer_count) with the allowed tokens in rising order of id;
 * returns how many.  0 means the output is stuck: the automaton has a dead end. */
size_t   enx_mask_allowed(const enx_mask *mask, uint32_t *ids);
/* The longest token inside the text that must come next, up to 256 bytes of it; ENX_TOKEN_NONE:
 * there is none.  It ends before that text does: what comes after may belong to the next token. */
uint32_t enx_mask_forced(const enx_mask *mask);
/* Advance over a token.  false (state unchanged): it was not allowed. */
bool     enx_mask_accept(enx_mask *mask, uint32_t id);

#endif /* ENX_TEXT_MASK_H */
