/* SPDX-License-Identifier: Apache-2.0 */
/* draft.h - guesses at the next tokens, out of text that is there already.
 *
 * A sequence that repeats its prompt, as repairs and extractions do, or that resembles a text which
 * somebody has written before it, as a lead's answer resembles a worker's, goes on as that text
 * went on.  A drafter finds the place and says what came there; the engine has all of it judged in
 * one pass and keeps what is right, so a bad guess costs time and nothing else.
 *
 * How much is guessed follows what was right: as many tokens as make most of the time of a pass,
 * in which each further row costs a share of the first; and nothing for a while when nothing was.
 * Where a mask says what may come, a guess begins with one of these.
 *
 * Sources: Leviathan et al. 2023 (judging several tokens in one pass), Yang et al. 2023 (text that
 * is there as draft).
 *
 * Layer: engine.  Thread-safety: no shared state.
 */
#ifndef ENX_ENGINE_DRAFT_H
#define ENX_ENGINE_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

enum { ENX_DRAFT_MAX = 16 }; /* tokens at a time */

/* The zero value has no guess. */
typedef struct enx_drafter {
    const uint32_t *guess; /* [guess_count], borrowed: what the output may be like; may be NULL */
    uint32_t        guess_count;
    uint32_t        place;        /* in the guess, where the output was believed to be */
    uint32_t        output_count; /* ... when it had so many tokens */
    bool            is_lost;      /* it may be anywhere */
    float           right, wrong; /* guesses that were judged, the older the less */
    uint32_t        misses;       /* drafts in a row of which nothing was right */
    uint32_t        rest;         /* drafts to be left out */
} enx_drafter;

/* What there is so far. */
typedef struct enx_draft_text {
    const uint32_t *tokens; /* [count], of which the first prompt_count are the prompt */
    uint32_t        prompt_count, count;
    const uint32_t *allowed; /* [allowed_count], rising: one of them comes next; NULL: any may */
    uint32_t        allowed_count;
} enx_draft_text;

/* Write at most `most` <= ENX_DRAFT_MAX tokens to out that may follow the text; returns how many.
 * O(count + guess_count). */
uint32_t enx_drafter_propose(enx_drafter *drafter, const enx_draft_text *text, uint32_t *out,
                             uint32_t most);
/* Of what was proposed last, the first `accepted` were right. */
void     enx_drafter_learn(enx_drafter *drafter, uint32_t proposed, uint32_t accepted);

#endif /* ENX_ENGINE_DRAFT_H */
