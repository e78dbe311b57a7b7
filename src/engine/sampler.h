/* SPDX-License-Identifier: Apache-2.0 */
/* sampler.h - from the logits of some candidates to one of them.
 *
 * Filters first, then temperature: top-k keeps the k most likely; top-p the fewest most likely
 * that hold that share of probability; min-p those at least that share of the most likely one.
 * What remains is drawn at the temperature.  Ties go to the earlier candidate, so the choice is a
 * function of the arguments alone.
 *
 * Layer: engine.  Thread-safety: no shared state; scratch belongs to the caller.
 */
#ifndef ENX_ENGINE_SAMPLER_H
#define ENX_ENGINE_SAMPLER_H

#include "engine/engine.h"
#include "kernels/kernels.h"

typedef struct enx_choice {
    size_t index;      /* of the candidate that was drawn */
    size_t best_index; /* of the most likely one */
    float  logprob;    /* of `index` among all candidates, at temperature 1; at most 0 */
} enx_choice;

/* logits [count], count >= 1.  `draw` in [0, 1) decides; unused when temperature is 0.
 * order and weights [count] are scratch, untouched when temperature is 0. */
enx_choice enx_sampler_pick(const enx_kernels *kernels, const enx_sampling *sampling,
                            const float *logits, size_t count, double draw, uint32_t *order,
                            float *weights);

/* The natural log of the probability of candidate `index`; at most 0. */
float enx_sampler_logprob(const enx_kernels *kernels, const float *logits, size_t count,
                          size_t index);

#endif /* ENX_ENGINE_SAMPLER_H */
