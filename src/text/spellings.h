/* SPDX-License-Identifier: Apache-2.0 */
/* spellings.h - the ways back from a damaged letter, as a byte automaton.
 *
 * For each letter asked for: the letter itself and every precomposed code point that damage
 * turns into it (o: o ó ò ơ ớ …; at capitals also O Ó …), and those that damage spells with this
 * letter and the next one (s before s: ß).  Nodes are shared by all places of a text.
 *
 * Layer: text.  Thread-safety: immutable after init; may be shared.
 */
#ifndef ENX_TEXT_SPELLINGS_H
#define ENX_TEXT_SPELLINGS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* The bytes that may come next, as a set, and where they lead: the edge of a byte is first_edge +
 * the number of smaller bytes in the set. */
typedef struct enx_spelling_node {
    uint64_t bytes[4];
    uint32_t first_edge;
} enx_spelling_node;

/* node 0: a code point is complete and stands for `letters` letters of the text. */
typedef struct enx_spelling_edge {
    uint32_t node;
    uint32_t letters;
} enx_spelling_edge;

typedef struct enx_spelling_letter {
    int32_t  letter;
    int32_t  partner;  /* with which it has spellings of two letters; 0: none */
    uint32_t roots[2]; /* nodes: alone, and before its partner; 0: only itself */
} enx_spelling_letter;

typedef struct enx_spellings {
    enx_spelling_node   *nodes;   /* owned; nodes[0] is no node */
    enx_spelling_edge   *edges;   /* owned */
    enx_spelling_letter *letters; /* owned, rising */
    uint32_t             node_count, node_capacity, edge_count, edge_capacity, letter_count;
} enx_spellings;

/* All letters that `text` holds and damage without `kinds` leaves as they are.  `text` is
 * borrowed for the call.  ENX_NOMEM; the zero value is safe to deinit. */
ENX_MUST_USE enx_status enx_spellings_init(enx_spellings *spellings, const int32_t *text,
                                           size_t point_count, unsigned kinds, enx_report *report);
void                    enx_spellings_deinit(enx_spellings *spellings);

/* The node where `letter` starts when the letter `next` (-1: nothing that could be spelt together
 * with it) follows; 0: the letter has no other spelling than itself. */
uint32_t enx_spellings_root(const enx_spellings *spellings, int32_t letter, int32_t next);

/* The edge of `byte`, or NULL. */
static inline const enx_spelling_edge *enx_spellings_step(const enx_spellings *spellings,
                                                          uint32_t node_index, uint8_t byte)
{
    const enx_spelling_node *node = &spellings->nodes[node_index];
    const unsigned           word = byte >> 6;
    const uint64_t           bit = UINT64_C(1) << (byte & 63);
    if (!(node->bytes[word] & bit)) return NULL;
    unsigned rank = (unsigned)__builtin_popcountll(node->bytes[word] & (bit - 1));
    for (unsigned i = 0; i < word; i++) rank += (unsigned)__builtin_popcountll(node->bytes[i]);
    return &spellings->edges[node->first_edge + rank];
}

#endif /* ENX_TEXT_SPELLINGS_H */
