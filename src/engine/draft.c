/* SPDX-License-Identifier: Apache-2.0 */
/* draft.c - where the last tokens came before, and what came then. */
#include "engine/draft.h"

#include <stdbool.h>
#include <string.h>

#define NOWHERE UINT32_MAX
enum {
    SUFFIX_MAX = 8,   /* more tokens in common say no more */
    COMMON_WORTH = 4, /* tokens of distance */
    PRIOR_RIGHT = 4,  /* of five: before anything is known */
    REST_MAX = 16,
    PROMPT_SUFFIX_MIN = 2, /* one token alone comes again everywhere */
};

static const float row_cost = .34f; /* of a further row, in passes of one: models of 10 and of 135
                                       million parameters, AVX2 */
static const float kept = .9f; /* of what was seen, at each draft: what is long ago says less */

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

static bool is_allowed(const enx_draft_text *t, uint32_t token)
{
    if (!t->allowed) return true;
    uint32_t low = 0, high = t->allowed_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (t->allowed[middle] < token) low = middle + 1;
        else high = middle;
    }
    return low < t->allowed_count && t->allowed[low] == token;
}

/* Its end may always. */
static bool may_follow(const enx_drafter *d, const enx_draft_text *t, uint32_t at)
{
    return at == d->guess_count || is_allowed(t, d->guess[at]);
}

/* Where in the guess the output goes on: by how much of the end of both is the same, and how near
 * it is to where one token for one would lead.  Without anything in common one token replaced one,
 * or came in between.  NOWHERE; guess_count: behind its end. */
static uint32_t align(const enx_drafter *d, const enx_draft_text *t)
{
    const uint32_t *output = t->tokens + t->prompt_count;
    const uint32_t  count = t->count - t->prompt_count;
    const uint32_t  expected = d->place + count - d->output_count;
    uint32_t        best = NOWHERE;
    if (count > 0 && (d->is_lost || d->output_count == 0)) {
        best = find_place(output, count, d->guess, d->guess_count + 1, expected, 1);
        if (best != NOWHERE && may_follow(d, t, best)) return best;
        best = NOWHERE;
    }
    int64_t best_score = INT64_MIN;
    for (uint32_t at = 0; at <= d->guess_count; at++) {
        const uint32_t common = common_suffix(d->guess + at, at, output + count, count);
        const uint32_t away = distance(at, expected);
        const int64_t  score = (int64_t)common * COMMON_WORTH - away;
        if ((common == 0 && away > 1) || score <= best_score) continue;
        if (!may_follow(d, t, at)) continue;
        best = at;
        best_score = score;
    }
    return best;
}

static uint32_t propose_guess(enx_drafter *d, const enx_draft_text *t, uint32_t *out, uint32_t most)
{
    const uint32_t at = align(d, t);
    if (at == NOWHERE) return 0;
    d->place = at;
    d->output_count = t->count - t->prompt_count;
    return copy_tokens(out, d->guess, d->guess_count, at, most);
}

/* The number of guesses that makes most tokens for the time of their pass.  A chain is right as far
 * as its first wrong guess, and the pass gives one token more. */
static uint32_t best_length(const enx_drafter *d)
{
    const float chance = (d->right + PRIOR_RIGHT) / (d->right + d->wrong + PRIOR_RIGHT + 1);
    float       tokens = 1 + chance, chain = chance;
    uint32_t    length = 1;
    for (; length < ENX_DRAFT_MAX; length++) {
        const float cost = 1 + row_cost * (float)length;
        chain *= chance;
        if (chain * cost <= row_cost * tokens) break; /* worth less than what is there */
        tokens += chain;
    }
    return length;
}

uint32_t enx_drafter_propose(enx_drafter *d, const enx_draft_text *t, uint32_t *out, uint32_t most)
{
    if (d->rest > 0) {
        d->rest--;
        return 0;
    }
    const uint32_t length = best_length(d);
    if (most > length) most = length;
    if (d->guess) return propose_guess(d, t, out, most);
    const uint32_t at =
        find_place(t->tokens, t->count, t->tokens, t->count, t->count, PROMPT_SUFFIX_MIN);
    if (at == NOWHERE || !is_allowed(t, t->tokens[at])) return 0;
    return copy_tokens(out, t->tokens, t->count, at, most);
}

void enx_drafter_learn(enx_drafter *d, uint32_t proposed, uint32_t accepted)
{
    d->right = d->right * kept + (float)accepted;
    d->wrong = d->wrong * kept + (accepted < proposed ? 1.f : 0.f);
    d->misses = accepted ? 0 : d->misses + 1;
    d->is_lost = d->misses > 1;
    if (d->misses > 1) d->rest = d->misses < 5 ? 1u << (d->misses - 1) : REST_MAX;
}
