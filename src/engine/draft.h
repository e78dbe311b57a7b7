/* SPDX-License-Identifier: Apache-2.0 */
/* draft.h - guesses at the next tokens, out of text that is there already.
 *
 * A sequence that repeats its prompt, as repairs and extractions do, or that resembles a text which
 * somebody has written before it, as a lead's answer resembles a worker's, goes on as that text
 * went on.  A drafter finds the place and says what came there; the engine has all of it judged in
 * one pass and keeps what is right, so a bad guess costs time and nothing else.
 *
 * How much is guessed follows what was right: it doubles when all was, falls to what was, and
 * rests when nothing was.
 *
 * Sources: Leviathan et al. 2023 (judging several tokens in one pass), Yang et al. 2023 (text that
 * is there as draft).
 *
 * Layer: engine.  Thread-safety: no shared state.
 */
#ifndef ENX_ENGINE_DRAFT_H
#define ENX_ENGINE_DRAFT_H

#include <stdint.h>

enum { ENX_DRAFT_MAX = 16 }; /* tokens at a time */

/* The zero value has no guess. */
typedef struct enx_drafter {
    const uint32_t *guess; /* [guess_count], borrowed: what the output may be like; may be NULL */
    uint32_t        guess_count;
    uint32_t        place; /* in the guess, where the output is believed to be */
    uint32_t        length;
    uint32_t        misses; /* drafts in a row of which nothing was right */
    uint32_t        rest;   /* drafts to be left out */
} enx_drafter;

/* Write at most `most` <= ENX_DRAFT_MAX tokens to out that may follow tokens [count], of which the
 * first prompt_count are the prompt; returns how many.  O(count + guess_count). */
uint32_t enx_drafter_propose(enx_drafter *drafter, const uint32_t *tokens, uint32_t prompt_count,
                             uint32_t count, uint32_t *out, uint32_t most);
/* Of what was proposed last, the first `accepted` were right. */
void     enx_drafter_learn(enx_drafter *drafter, uint32_t proposed, uint32_t accepted);

#endif /* ENX_ENGINE_DRAFT_H */
