/* SPDX-License-Identifier: Apache-2.0 */
/* sampler.c - filters by a heap that gives candidates in falling order, then one draw.
 *
 * What is left is order[0 .. kept), always at least one, all of finite logits. */
#include "engine/sampler.h"

#include "base/check.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { DRY_LENGTH_MAX = 128 };

/* ---- taking the first of an order ------------------------------------------------------------ */

static bool is_before(const float *keys, uint32_t a, uint32_t b)
{
    return keys[a] > keys[b] || (keys[a] == keys[b] && a < b);
}

static void sift_down(const float *keys, uint32_t *heap, size_t count, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) return;
        if (child + 1 < count && is_before(keys, heap[child + 1], heap[child])) child++;
        if (!is_before(keys, heap[child], heap[at])) return;
        const uint32_t swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
        at = child;
    }
}

/* Keep the candidates of the largest keys, the largest last: k at most, and no more than hold
 * `share` of probability; `all` is the logarithm of what all have. */
static size_t take_first(const float *keys, const float *logits, float all, size_t k, double share,
                         uint32_t *order, size_t count)
{
    double sum = 0;
    size_t taken = 0;
    for (size_t i = count / 2; i-- > 0;) sift_down(keys, order, count, i);
    while (taken < count && taken < k && !(taken > 0 && sum >= share)) {
        const uint32_t top = order[0];
        const size_t   last = count - 1 - taken++;
        order[0] = order[last];
        order[last] = top;
        sift_down(keys, order, last, 0);
        sum += exp((double)logits[top] - (double)all);
    }
    memmove(order, order + (count - taken), taken * sizeof *order);
    return taken;
}

/* ---- the links of the chain ------------------------------------------------------------------ */

static bool is_share(float p) { return p > 0 && p < 1; }

static bool has_penalty(const enx_sampling *s)
{
    return (s->repeat_penalty > 0 && s->repeat_penalty != 1) || s->frequency_penalty != 0 ||
           s->presence_penalty != 0;
}

/* order serves to count. */
static void penalize(const enx_sampling *s, const enx_candidates *c, const uint32_t *recent,
                     size_t recent_count, uint32_t *order, float *adjusted)
{
    const float repeat = s->repeat_penalty > 0 ? s->repeat_penalty : 1;
    memset(order, 0, c->count * sizeof *order);
    for (size_t i = 0; i < recent_count; i++) {
        const size_t index = enx_candidates_find(c, recent[i]);
        if (index < c->count) order[index]++;
    }
    for (size_t i = 0; i < c->count; i++) {
        if (order[i] == 0) continue;
        adjusted[i] = adjusted[i] > 0 ? adjusted[i] / repeat : adjusted[i] * repeat;
        adjusted[i] -= (float)order[i] * s->frequency_penalty + s->presence_penalty;
    }
}

static bool is_breaker(const enx_sampling *s, uint32_t token)
{
    const enx_candidates breakers = { .ids = s->dry_breakers, .count = s->dry_breaker_count };
    return breakers.count && enx_candidates_find(&breakers, token) < breakers.count;
}

/* How many of the last tokens also stand before place `at`; none across a breaker. */
static uint32_t repeated_before(const enx_sampling *s, const uint32_t *past, size_t past_count,
                                size_t at)
{
    uint32_t length = 0;
    while (length < at && length < DRY_LENGTH_MAX &&
           past[at - 1 - length] == past[past_count - 1 - length] &&
           !is_breaker(s, past[at - 1 - length]))
        length++;
    return length;
}

/* order serves to keep the longest repetition that each candidate would go on with. */
static void discourage_repetition(const enx_sampling *s, const enx_candidates *c,
                                  const uint32_t *past, size_t past_count, uint32_t *order,
                                  float *adjusted)
{
    const uint32_t allowed = s->dry_allowed ? s->dry_allowed : 1;
    memset(order, 0, c->count * sizeof *order);
    for (size_t at = allowed; at < past_count; at++) {
        const uint32_t length = repeated_before(s, past, past_count, at);
        if (length < allowed || is_breaker(s, past[at])) continue;
        const size_t index = enx_candidates_find(c, past[at]);
        if (index < c->count && length > order[index]) order[index] = length;
    }
    for (size_t i = 0; i < c->count; i++)
        if (order[i] > 0)
            adjusted[i] -= (float)fmin((double)s->dry_multiplier *
                                           pow((double)s->dry_base, order[i] - allowed),
                                       (double)FLT_MAX / 2);
}

/* The logits after biases and penalties. */
static const float *adjust(const enx_sampling *s, const enx_candidates *c, const uint32_t *past,
                           size_t past_count, const enx_sampler_scratch *scratch)
{
    const size_t recent_count = s->repeat_last < past_count ? s->repeat_last : past_count;
    const size_t dry_count = s->dry_last && s->dry_last < past_count ? s->dry_last : past_count;
    const bool   penalizes = recent_count > 0 && has_penalty(s), is_dry = s->dry_multiplier > 0;
    if (s->bias_count == 0 && !penalizes && !is_dry) return c->logits;
    memcpy(scratch->adjusted, c->logits, c->count * sizeof *c->logits);
    for (uint32_t i = 0; i < s->bias_count; i++) {
        const size_t index = enx_candidates_find(c, s->biases[i].token);
        if (index < c->count) scratch->adjusted[index] += s->biases[i].value;
    }
    if (penalizes)
        penalize(s, c, past + past_count - recent_count, recent_count, scratch->order,
                 scratch->adjusted);
    if (is_dry)
        discourage_repetition(s, c, past + past_count - dry_count, dry_count, scratch->order,
                              scratch->adjusted);
    for (size_t i = 0; i < c->count; i++)
        if (scratch->adjusted[i] > -INFINITY) return scratch->adjusted;
    return c->logits;
}

/* The logarithm of the sum of what is left; weights is scratch. */
static float sum_left(const enx_kernels *kernels, const float *logits, const uint32_t *order,
                      size_t kept, float *weights)
{
    for (size_t i = 0; i < kept; i++) weights[i] = logits[order[i]];
    return kernels->log_sum_exp(weights, kept);
}

static size_t keep_typical(const enx_kernels *kernels, float p, const float *logits,
                           uint32_t *order, size_t kept, float *weights)
{
    const float all = sum_left(kernels, logits, order, kept, weights);
    double      entropy = 0;
    for (size_t i = 0; i < kept; i++) {
        const double logprob = (double)logits[order[i]] - (double)all;
        entropy -= exp(logprob) * logprob;
    }
    for (size_t i = 0; i < kept; i++)
        weights[order[i]] = -(float)fabs((double)all - (double)logits[order[i]] - entropy);
    return take_first(weights, logits, all, kept, nextafter((double)p, 2), order, kept);
}

static size_t keep_min_p(float p, const float *logits, uint32_t *order, size_t kept)
{
    float  best = -INFINITY;
    size_t left = 0;
    for (size_t i = 0; i < kept; i++) best = fmaxf(best, logits[order[i]]);
    const double floor = (double)best + log((double)p);
    for (size_t i = 0; i < kept; i++)
        if ((double)logits[order[i]] >= floor || logits[order[i]] == best) order[left++] = order[i];
    return left;
}

static size_t filter(const enx_kernels *kernels, const enx_sampling *s, const float *logits,
                     size_t count, uint32_t *order, float *weights)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (logits[i] > -INFINITY) order[kept++] = (uint32_t)i;
    if (s->top_k && s->top_k < kept)
        kept = take_first(logits, logits, 0, s->top_k, INFINITY, order, kept);
    if (is_share(s->typical_p))
        kept = keep_typical(kernels, s->typical_p, logits, order, kept, weights);
    if (is_share(s->top_p)) {
        const float all = sum_left(kernels, logits, order, kept, weights);
        kept = take_first(logits, logits, all, kept, (double)s->top_p, order, kept);
    }
    if (s->min_p > 0) kept = keep_min_p(s->min_p, logits, order, kept);
    return kept;
}

static uint32_t find_best(const float *logits, const uint32_t *order, size_t kept)
{
    uint32_t best = order[0];
    for (size_t i = 1; i < kept; i++)
        if (is_before(logits, order[i], best)) best = order[i];
    return best;
}

static size_t draw_one(const enx_kernels *kernels, float temperature, const float *logits,
                       const uint32_t *order, size_t kept, double draw, float *weights)
{
    const float best = logits[find_best(logits, order, kept)];
    for (size_t i = 0; i < kept; i++) /* finite, also where the temperature is next to nothing */
        weights[i] = fmaxf((logits[order[i]] - best) / temperature, -FLT_MAX);
    kernels->softmax(weights, kept);
    size_t i = 0;
    while (i + 1 < kept && draw >= (double)weights[i]) draw -= (double)weights[i++];
    return order[i];
}

/* ---- exported -------------------------------------------------------------------------------- */

enx_choice enx_sampler_pick(const enx_kernels *kernels, const enx_sampling *sampling,
                            const enx_candidates *c, const uint32_t *past, size_t past_count,
                            double draw, const enx_sampler_scratch *scratch)
{
    ENX_CHECK(c->count > 0);
    const float *logits = adjust(sampling, c, past, past_count, scratch);
    const size_t best = kernels->argmax(c->logits, c->count);
    size_t       index = best;
    /* Only typical-p can lose the most likely one. */
    if (sampling->temperature > 0 || is_share(sampling->typical_p) || logits != c->logits) {
        const size_t kept =
            filter(kernels, sampling, logits, c->count, scratch->order, scratch->weights);
        index = sampling->temperature > 0 ? draw_one(kernels, sampling->temperature, logits,
                                                     scratch->order, kept, draw, scratch->weights)
                                          : find_best(logits, scratch->order, kept);
    }
    return (enx_choice){ .index = index,
                         .best_index = best,
                         .logprob = enx_sampler_logprob(kernels, c->logits, c->count, index) };
}

size_t enx_candidates_find(const enx_candidates *c, uint32_t token)
{
    if (!c->ids) return token < c->count ? token : c->count;
    size_t low = 0, high = c->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->ids[middle] < token) low = middle + 1;
        else high = middle;
    }
    return low < c->count && c->ids[low] == token ? low : c->count;
}

/* By insertion: top_count is small, and few candidates get past the last. */
void enx_sampler_top(const enx_kernels *kernels, const enx_candidates *c, enx_likely *top,
                     size_t top_count)
{
    const float all = kernels->log_sum_exp(c->logits, c->count);
    size_t      filled = 0;
    for (size_t i = 0; i < c->count && top_count > 0; i++) {
        if (filled == top_count && !(c->logits[i] > top[filled - 1].logprob)) continue;
        size_t at = filled < top_count ? filled++ : filled - 1;
        for (; at > 0 && c->logits[i] > top[at - 1].logprob; at--) top[at] = top[at - 1];
        top[at] = (enx_likely){ c->ids ? c->ids[i] : (uint32_t)i, c->logits[i] };
    }
    for (size_t i = 0; i < filled; i++) top[i].logprob = fminf(top[i].logprob - all, 0);
    for (size_t i = filled; i < top_count; i++) top[i] = (enx_likely){ ENX_TOKEN_NONE, -INFINITY };
}

float enx_sampler_logprob(const enx_kernels *kernels, const float *logits, size_t count,
                          size_t index)
{
    const float logprob = logits[index] - kernels->log_sum_exp(logits, count);
    return logprob < 0 ? logprob : 0;
}
