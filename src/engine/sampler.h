/* SPDX-License-Identifier: Apache-2.0 */
/* sampler.h - from the logits of some candidates to one of them.
 *
 * A chain, each link at work on what the one before has left, with the names, order and meaning
 * that llama.cpp's samplers have made common:
 *
 *   bias        + value for each token that has one
 *   penalties   for a token that is n > 0 times among the recent ones: logit / repeat_penalty
 *               above 0, else * repeat_penalty; then - n * frequency_penalty - presence_penalty
 *   DRY         for a token that would make the last n tokens, n >= dry_allowed, and itself a
 *               repetition of an earlier stretch: - dry_multiplier * dry_base ^ (n - dry_allowed)
 *   top-k       the k most likely
 *   typical-p   those whose surprise is nearest to the mean surprise (the entropy), the fewest
 *               that hold more than that share of probability
 *   top-p       the most likely, the fewest that hold at least that share
 *   min-p       those at least that share as likely as the most likely one
 *   temperature logits / temperature; then the draw
 *
 * Shares are of the probability of what is left, at temperature 1.  A logit of -INFINITY never
 * comes; when all are, the biases and penalties are not heeded.  Every filter leaves one candidate
 * at least.  Ties go to the earlier candidate, so the choice is a function of the arguments alone.
 *
 * Source: Holtzman et al. 2020 (top-p); Meister et al. 2023 (typical-p); Keskar et al. 2019
 * (repeat_penalty); DRY is by p-e-w, oobabooga/text-generation-webui pull request 5677.
 *
 * Layer: engine.  Thread-safety: no shared state; scratch belongs to the caller.
 */
#ifndef ENX_ENGINE_SAMPLER_H
#define ENX_ENGINE_SAMPLER_H

#include "engine/engine.h"
#include "kernels/kernels.h"

typedef struct enx_candidates {
    const float    *logits; /* [count], finite */
    const uint32_t *ids;    /* [count] their tokens, rising; NULL: token i is candidate i */
    size_t          count;  /* at least 1 */
} enx_candidates;

typedef struct enx_sampler_scratch { /* [count] each; untouched when the choice is plain greedy */
    uint32_t *order;
    float    *weights;
    float    *adjusted;
} enx_sampler_scratch;

typedef struct enx_choice {
    size_t index;      /* of the candidate that was drawn */
    size_t best_index; /* of the most likely one before the chain */
    float  logprob;    /* of `index` among all candidates before the chain; at most 0 */
} enx_choice;

/* `past` [past_count] is prompt and output so far: penalties look at its end.  `draw` in [0, 1)
 * decides; unused when temperature is 0. */
enx_choice enx_sampler_pick(const enx_kernels *kernels, const enx_sampling *sampling,
                            const enx_candidates *candidates, const uint32_t *past,
                            size_t past_count, double draw, const enx_sampler_scratch *scratch);

/* The index of a token among the candidates; count: it is not there. */
size_t enx_candidates_find(const enx_candidates *candidates, uint32_t token);

/* The `top_count` most likely before the chain, in falling order. */
void enx_sampler_top(const enx_kernels *kernels, const enx_candidates *candidates, enx_likely *top,
                     size_t top_count);

/* The natural log of the probability of candidate `index`; at most 0. */
float enx_sampler_logprob(const enx_kernels *kernels, const float *logits, size_t count,
                          size_t index);

#endif /* ENX_ENGINE_SAMPLER_H */
