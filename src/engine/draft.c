/* SPDX-License-Identifier: Apache-2.0 */
/* draft.c - where the last tokens came before, and what came then. */
#include "engine/draft.h"

#include <string.h>

#define NOWHERE UINT32_MAX
enum {
    SUFFIX_MAX = 8, /* more tokens in common say no more */
    LENGTH_FIRST = 4,
    REST_MAX = 16,
    PROMPT_SUFFIX_MIN = 2, /* one token alone comes again everywhere */
};

/* How many tokens before seen_end and text_end are the same. */
static uint32_t common_suffix(const uint32_t *seen_end, uint32_t seen_count,
                              const uint32_t *text_end, uint32_t text_count)
{
    uint32_t most = seen_count < text_count ? seen_count : text_count, count = 0;
    if (most > SUFFIX_MAX) most = SUFFIX_MAX;
    while (count < most && seen_end[-1 - (int32_t)count] == text_end[-1 - (int32_t)count]) count++;
    return count;
}

static uint32_t distance(uint32_t a, uint32_t b) { return a > b ? a - b : b - a; }

/* The place in `text`, before `end`, that what was seen leads up to best, nearest to `near` of
 * those that do equally; NOWHERE: none with `least` tokens in common. */
static uint32_t find_place(const uint32_t *seen, uint32_t seen_count, const uint32_t *text,
                           uint32_t end, uint32_t near, uint32_t least)
{
    uint32_t best = NOWHERE, best_common = least;
    for (uint32_t at = 1; at < end; at++) {
        if (seen[seen_count - 1] != text[at - 1]) continue;
        const uint32_t common = common_suffix(seen + seen_count, seen_count, text + at, at);
        if (common < best_common) continue;
        if (common == best_common && best != NOWHERE && distance(at, near) >= distance(best, near))
            continue;
        best = at;
        best_common = common;
    }
    return best;
}

static uint32_t copy_tokens(uint32_t *out, const uint32_t *text, uint32_t text_count, uint32_t at,
                            uint32_t most)
{
    const uint32_t left = text_count - at, count = left < most ? left : most;
    memcpy(out, text + at, count * sizeof *out);
    return count;
}

/* Where no token of the output is in the guess, one of them replaced one of its. */
static uint32_t propose_guess(enx_drafter *d, const uint32_t *output, uint32_t output_count,
                              uint32_t *out, uint32_t most)
{
    uint32_t at = 0;
    if (output_count > 0) {
        at = find_place(output, output_count, d->guess, d->guess_count + 1, d->place + 1, 1);
        if (at == NOWHERE) at = d->place + 1;
    }
    if (at >= d->guess_count) return 0;
    d->place = at;
    return copy_tokens(out, d->guess, d->guess_count, at, most);
}

uint32_t enx_drafter_propose(enx_drafter *d, const uint32_t *tokens, uint32_t prompt_count,
                             uint32_t count, uint32_t *out, uint32_t most)
{
    if (d->rest > 0) {
        d->rest--;
        return 0;
    }
    if (d->length == 0) d->length = LENGTH_FIRST;
    if (most > d->length) most = d->length;
    if (d->guess) return propose_guess(d, tokens + prompt_count, count - prompt_count, out, most);
    const uint32_t at = find_place(tokens, count, tokens, count, count, PROMPT_SUFFIX_MIN);
    return at == NOWHERE ? 0 : copy_tokens(out, tokens, count, at, most);
}

void enx_drafter_learn(enx_drafter *d, uint32_t proposed, uint32_t accepted)
{
    d->place += accepted;
    if (accepted == proposed) {
        d->length = 2 * d->length < ENX_DRAFT_MAX ? 2 * d->length : ENX_DRAFT_MAX;
    } else {
        d->length = accepted + 1;
    }
    d->misses = accepted ? 0 : d->misses + 1;
    if (d->misses > 1) d->rest = d->misses < 5 ? 1u << (d->misses - 1) : REST_MAX;
}
