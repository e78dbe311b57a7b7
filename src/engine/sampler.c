/* SPDX-License-Identifier: Apache-2.0 */
/* sampler.c - filters by a heap that gives candidates in falling order, then one draw. */
#include "engine/sampler.h"

#include "base/check.h"

#include <math.h>
#include <stdbool.h>

static bool is_before(const float *logits, uint32_t a, uint32_t b)
{
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

static void sift_down(const float *logits, uint32_t *heap, size_t count, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) return;
        if (child + 1 < count && is_before(logits, heap[child + 1], heap[child])) child++;
        if (!is_before(logits, heap[child], heap[at])) return;
        const uint32_t swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
        at = child;
    }
}

/* Move the most likely candidates to the end of `order`, most likely last, until a filter says
 * enough; returns how many. */
static size_t take_likely(const enx_sampling *s, const float *logits, size_t count, float all,
                          uint32_t *order)
{
    const size_t k_max = s->top_k && s->top_k < count ? s->top_k : count;
    const bool   has_top_p = s->top_p > 0 && s->top_p < 1;
    double       share = 0;
    size_t       taken = 0;
    for (size_t i = count / 2; i-- > 0;) sift_down(logits, order, count, i);
    while (taken < k_max && !(has_top_p && share >= (double)s->top_p)) {
        const uint32_t top = order[0];
        const size_t   last = count - 1 - taken++;
        order[0] = order[last];
        order[last] = top;
        sift_down(logits, order, last, 0);
        share += exp((double)logits[top] - (double)all);
    }
    return taken;
}

/* The candidates that pass the filters, at the front of `order`; at least one. */
static size_t filter(const enx_kernels *kernels, const enx_sampling *s, const float *logits,
                     size_t count, uint32_t *order)
{
    const float best = logits[kernels->argmax(logits, count)];
    size_t      first = 0, kept = 0;
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
    if ((s->top_k && s->top_k < count) || (s->top_p > 0 && s->top_p < 1)) {
        const float all = kernels->log_sum_exp(logits, count);
        first = count - take_likely(s, logits, count, all, order);
    }
    const double floor = s->min_p > 0 ? (double)best + log((double)s->min_p) : -INFINITY;
    for (size_t i = first; i < count; i++)
        if ((double)logits[order[i]] >= floor || logits[order[i]] == best) order[kept++] = order[i];
    return kept;
}

float enx_sampler_logprob(const enx_kernels *kernels, const float *logits, size_t count,
                          size_t index)
{
    const float logprob = logits[index] - kernels->log_sum_exp(logits, count);
    return logprob < 0 ? logprob : 0;
}

enx_choice enx_sampler_pick(const enx_kernels *kernels, const enx_sampling *sampling,
                            const float *logits, size_t count, double draw, uint32_t *order,
                            float *weights)
{
    ENX_CHECK(count > 0);
    const size_t best = kernels->argmax(logits, count);
    size_t       index = best;
    if (sampling->temperature > 0) {
        const size_t kept = filter(kernels, sampling, logits, count, order);
        for (size_t i = 0; i < kept; i++)
            weights[i] = (logits[order[i]] - logits[best]) / sampling->temperature;
        kernels->softmax(weights, kept);
        double left = draw;
        size_t i = 0;
        while (i + 1 < kept && left >= (double)weights[i]) left -= (double)weights[i++];
        index = order[i];
    }
    return (enx_choice){ .index = index,
                         .best_index = best,
                         .logprob = enx_sampler_logprob(kernels, logits, count, index) };
}
