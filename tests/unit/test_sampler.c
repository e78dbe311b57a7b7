/* SPDX-License-Identifier: Apache-2.0 */
/* test_sampler.c - filters keep what they say, and draws follow the probabilities. */
#include "base/rng.h"
#include "engine/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 6, DRAWS = 20000 };

static enx_kernels kernels;

/* Probabilities 0.4, 0.3, 0.1, 0.1, 0.06, 0.04 in a mixed order. */
static const double chances[COUNT] = { 0.1, 0.4, 0.04, 0.3, 0.1, 0.06 };

static enx_choice pick(const enx_sampling *sampling, const float *logits, size_t count, double draw)
{
    static uint32_t           order[64];
    static float              weights[64], adjusted[64];
    const enx_candidates      candidates = { logits, NULL, count };
    const enx_sampler_scratch scratch = { order, weights, adjusted };
    return enx_sampler_pick(&kernels, sampling, &candidates, NULL, 0, draw, &scratch);
}

static void shares_of(enx_sampling sampling, double shares[COUNT])
{
    float   logits[COUNT];
    enx_rng rng = enx_rng_open(3, 1);
    memset(shares, 0, COUNT * sizeof *shares);
    for (int i = 0; i < COUNT; i++) logits[i] = (float)log(chances[i]) + 5;
    for (int n = 0; n < DRAWS; n++) {
        const enx_choice c = pick(&sampling, logits, COUNT, enx_rng_unit(&rng));
        assert_true(c.index < COUNT);
        assert_int_equal(c.best_index, 1);
        assert_true(fabs(exp((double)c.logprob) - chances[c.index]) <
                    1e-5); /* whatever the filters */
        shares[c.index] += 1.0 / DRAWS;
    }
}

static void assert_shares(enx_sampling sampling, const double want[COUNT])
{
    double shares[COUNT];
    shares_of(sampling, shares);
    for (int i = 0; i < COUNT; i++) /* four standard deviations */
        if (fabs(shares[i] - want[i]) > 4 * sqrt(want[i] * (1 - want[i]) / DRAWS) + 1e-9)
            fail_msg("candidate %d: %g, want %g", i, shares[i], want[i]);
}

static void temperature_0_takes_the_first_of_the_likeliest(void **state)
{
    (void)state;
    const enx_sampling greedy = { 0 };
    const float        logits[] = { 1, 3, -2, 3, 3 };
    const enx_choice   c = pick(&greedy, logits, 5, 0.9);
    assert_int_equal(c.index, 1);
    assert_int_equal(c.best_index, 1);
}

static void draws_follow_the_probabilities(void **state)
{
    (void)state;
    assert_shares((enx_sampling){ .temperature = 1 }, chances);
    double hot[COUNT], sum = 0;
    for (int i = 0; i < COUNT; i++) sum += hot[i] = sqrt(chances[i]);
    for (int i = 0; i < COUNT; i++) hot[i] /= sum;
    assert_shares((enx_sampling){ .temperature = 2 }, hot);
}

static void filters_keep_what_they_say(void **state)
{
    (void)state;
    const double two[COUNT] = { 0, 0.4 / 0.7, 0, 0.3 / 0.7, 0, 0 };
    assert_shares((enx_sampling){ .temperature = 1, .top_k = 2 }, two);
    assert_shares((enx_sampling){ .temperature = 1, .top_p = 0.6f }, two);
    assert_shares((enx_sampling){ .temperature = 1, .min_p = 0.5f }, two);
    /* of two equal candidates the earlier one */
    const double three[COUNT] = { 0.1 / 0.8, 0.4 / 0.8, 0, 0.3 / 0.8, 0, 0 };
    assert_shares((enx_sampling){ .temperature = 1, .top_k = 3 }, three);
    assert_shares((enx_sampling){ .temperature = 1, .top_k = 5, .top_p = 0.75f, .min_p = 0.2f },
                  three);
    assert_shares((enx_sampling){ .temperature = 1, .top_k = 100, .top_p = 1 }, chances);
    const double one[COUNT] = { 0, 1, 0, 0, 0, 0 };
    assert_shares((enx_sampling){ .temperature = 5, .min_p = 1 }, one);
    assert_shares((enx_sampling){ .temperature = 5, .top_p = 0.01f }, one);
}

static void a_single_candidate_is_certain(void **state)
{
    (void)state;
    const float        logit = -3;
    const enx_sampling warm = { .temperature = 1, .top_p = 0.5f };
    const enx_choice   c = pick(&warm, &logit, 1, 0.99);
    assert_int_equal(c.index, 0);
    assert_true(c.logprob == 0);
}

/* ---- the chain, slow and obvious ------------------------------------------------------------- */

enum { REF_MAX = 40, RECENT_MAX = 24, GRID = 512, ROUNDS = 3000 };

typedef struct reference {
    double share[REF_MAX]; /* of each candidate; 0: out */
    double logit[REF_MAX];
    bool   is_in[REF_MAX];
    bool   is_close; /* a filter cut where rounding may decide */
    size_t count;
} reference;

static void normalize(reference *r)
{
    double sum = 0, best = -INFINITY;
    for (size_t i = 0; i < r->count; i++)
        if (r->is_in[i] && r->logit[i] > best) best = r->logit[i];
    for (size_t i = 0; i < r->count; i++)
        sum += r->share[i] = r->is_in[i] ? exp(r->logit[i] - best) : 0;
    for (size_t i = 0; i < r->count; i++) r->share[i] /= sum;
}

/* Keep candidates by rising key until k are there or their shares pass p. */
static void keep(reference *r, const double *keys, size_t k, double p, bool must_exceed)
{
    bool   is_kept[REF_MAX] = { false };
    double sum = 0, last = -INFINITY;
    for (size_t n = 0; n < r->count; n++) {
        size_t next = r->count;
        for (size_t i = 0; i < r->count; i++)
            if (r->is_in[i] && !is_kept[i] && (next == r->count || keys[i] < keys[next])) next = i;
        if (next == r->count) break;
        if (n > 0 && fabs(sum - p) < 1e-5) r->is_close = true;
        if (n == k || (n > 0 && (must_exceed ? sum > p : sum >= p))) {
            if (keys[next] != last && fabs(keys[next] - last) < 1e-5) r->is_close = true;
            break;
        }
        is_kept[next] = true;
        last = keys[next];
        sum += r->share[next];
    }
    memcpy(r->is_in, is_kept, sizeof is_kept);
    normalize(r);
}

static void keep_likely(reference *r, size_t k, double p)
{
    double keys[REF_MAX];
    for (size_t i = 0; i < r->count; i++) keys[i] = -r->logit[i];
    keep(r, keys, k, p, false);
}

static void keep_typical(reference *r, double p)
{
    double keys[REF_MAX], entropy = 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->is_in[i]) entropy -= r->share[i] * log(r->share[i]);
    for (size_t i = 0; i < r->count; i++) keys[i] = fabs(-log(r->share[i]) - entropy);
    keep(r, keys, SIZE_MAX, p, true);
}

static void keep_min_p(reference *r, double p)
{
    double best = 0;
    for (size_t i = 0; i < r->count; i++) best = fmax(best, r->share[i]);
    for (size_t i = 0; i < r->count; i++) {
        if (r->is_in[i] && r->share[i] < best && fabs(r->share[i] / best - p) < 1e-5)
            r->is_close = true;
        if (r->share[i] < p * best) r->is_in[i] = false;
    }
    normalize(r);
}

/* The longest stretch at the end of `past` that an earlier place has before it, and then `token`:
 * lengths are tried one by one. */
static uint32_t longest_repetition(const enx_sampling *s, const uint32_t *past, size_t past_count,
                                   uint32_t token)
{
    uint32_t longest = 0;
    for (size_t at = 0; at < past_count; at++)
        for (uint32_t length = 1; past[at] == token && length <= at; length++) {
            bool is_same = token != s->dry_breakers[0] && token != s->dry_breakers[1];
            for (uint32_t k = 1; k <= length; k++)
                is_same = is_same && past[at - k] == past[past_count - k] &&
                          past[at - k] != s->dry_breakers[0] && past[at - k] != s->dry_breakers[1];
            if (is_same && length > longest) longest = length;
        }
    return longest;
}

static double dry_penalty(const enx_sampling *s, const uint32_t *past, size_t past_count,
                          uint32_t token)
{
    if (s->dry_multiplier <= 0) return 0;
    const size_t   count = s->dry_last && s->dry_last < past_count ? s->dry_last : past_count;
    const uint32_t length = longest_repetition(s, past + past_count - count, count, token);
    if (length < s->dry_allowed) return 0;
    return (double)s->dry_multiplier * pow((double)s->dry_base, length - s->dry_allowed);
}

static reference reference_of(const enx_sampling *s, const enx_candidates *c, const uint32_t *past,
                              size_t past_count)
{
    const size_t    recent_count = s->repeat_last < past_count ? s->repeat_last : past_count;
    const uint32_t *recent = past + past_count - recent_count;
    reference       r = { .count = c->count };
    bool            is_any = false;
    for (size_t i = 0; i < c->count; i++) {
        const uint32_t token = c->ids ? c->ids[i] : (uint32_t)i;
        double         n = 0, repeat = s->repeat_penalty > 0 ? (double)s->repeat_penalty : 1;
        r.logit[i] = (double)c->logits[i];
        for (uint32_t b = 0; b < s->bias_count; b++)
            if (s->biases[b].token == token) r.logit[i] += (double)s->biases[b].value;
        for (size_t t = 0; t < recent_count; t++) n += recent[t] == token;
        if (n > 0) {
            r.logit[i] = r.logit[i] > 0 ? r.logit[i] / repeat : r.logit[i] * repeat;
            r.logit[i] -= n * (double)s->frequency_penalty + (double)s->presence_penalty;
        }
        r.logit[i] -= dry_penalty(s, past, past_count, token);
        r.is_in[i] = r.logit[i] > -INFINITY;
        is_any = is_any || r.is_in[i];
    }
    for (size_t i = 0; i < c->count && !is_any; i++) r.logit[i] = (double)c->logits[i];
    for (size_t i = 0; i < c->count && !is_any; i++) r.is_in[i] = true;
    normalize(&r);
    if (s->top_k) keep_likely(&r, s->top_k, INFINITY);
    if (s->typical_p > 0 && s->typical_p < 1) keep_typical(&r, (double)s->typical_p);
    if (s->top_p > 0 && s->top_p < 1) keep_likely(&r, SIZE_MAX, (double)s->top_p);
    if (s->min_p > 0) keep_min_p(&r, (double)s->min_p);
    for (size_t i = 0; i < c->count; i++)
        r.logit[i] /= s->temperature > 0 ? (double)s->temperature : 1;
    if (s->temperature <= 0) keep_likely(&r, 1, INFINITY);
    normalize(&r);
    return r;
}

/* Draws at even steps meet every candidate as often as its share says, to one step. */
static void assert_as_reference(const reference *r, const enx_sampling *s, const enx_candidates *c,
                                const uint32_t *recent, size_t recent_count)
{
    uint32_t                  order[REF_MAX];
    float                     weights[REF_MAX], adjusted[REF_MAX];
    const enx_sampler_scratch scratch = { order, weights, adjusted };
    double                    met[REF_MAX] = { 0 };
    for (int n = 0; n < GRID; n++) {
        const enx_choice choice =
            enx_sampler_pick(&kernels, s, c, recent, recent_count, (n + 0.5) / GRID, &scratch);
        assert_true(choice.index < c->count);
        met[choice.index] += 1.0 / GRID;
    }
    for (size_t i = 0; i < c->count; i++)
        if (fabs(met[i] - r->share[i]) > 1.01 / GRID || (met[i] > 0 && !r->is_in[i]))
            fail_msg("candidate %zu of %zu: %g, want %g", i, c->count, met[i], r->share[i]);
}

static float one_of(enx_rng *rng, const float *values, uint32_t count)
{
    return values[enx_rng_below(rng, count)];
}

static void the_chain_is_what_its_slow_form_says(void **state)
{
    (void)state;
    static const float shares[] = { 0, 0, 1, 0.05f, 0.3f, 0.6f, 0.9f, 0.999f };
    static const float repeats[] = { 0, 1, 1.1f, 2, 0.5f }, adds[] = { 0, 0, 0.3f, -0.7f, 2 };
    static const float warmth[] = { 0, 1, 0.5f, 2 };
    enx_rng            rng = enx_rng_open(11, 0);
    int                close_count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        float          logits[REF_MAX];
        uint32_t       ids[REF_MAX], recent[RECENT_MAX];
        const size_t   count = 1 + (size_t)enx_rng_below(&rng, REF_MAX);
        const uint32_t kind = (uint32_t)enx_rng_below(&rng, 3); /* all equal, some equal, none */
        for (size_t i = 0; i < count; i++) {
            const double x = enx_rng_unit(&rng) * 12 - 4;
            logits[i] = kind == 0 ? 2.5f : (float)(kind == 1 ? floor(x) : x);
            ids[i] = (uint32_t)(3 * i + 1);
        }
        const bool           is_masked = enx_rng_below(&rng, 2);
        const enx_candidates c = { logits, is_masked ? ids : NULL, count };
        const size_t         recent_count = (size_t)enx_rng_below(&rng, RECENT_MAX);
        for (size_t i = 0; i < recent_count; i++)
            recent[i] = (uint32_t)enx_rng_below(&rng, round % 3 ? 3 : REF_MAX) * 3 + 1;
        const uint32_t breakers[] = { 4, 31 };
        const enx_bias biases[] = {
            { (uint32_t)enx_rng_below(&rng, REF_MAX), 3 },
            { (uint32_t)enx_rng_below(&rng, REF_MAX), -INFINITY },
            { (uint32_t)enx_rng_below(&rng, REF_MAX), -1.5f },
        };
        const enx_sampling s = { .temperature = one_of(&rng, warmth, 4),
                                 .top_k = (uint32_t)enx_rng_below(&rng, REF_MAX + 20),
                                 .typical_p = one_of(&rng, shares, 8),
                                 .top_p = one_of(&rng, shares, 8),
                                 .min_p = one_of(&rng, shares, 8),
                                 .repeat_penalty = one_of(&rng, repeats, 5),
                                 .frequency_penalty = one_of(&rng, adds, 5),
                                 .presence_penalty = one_of(&rng, adds, 5),
                                 .biases = biases,
                                 .bias_count = (uint32_t)enx_rng_below(&rng, 4),
                                 .repeat_last = (uint32_t)enx_rng_below(&rng, RECENT_MAX),
                                 .dry_multiplier = (float)enx_rng_below(&rng, 3) * 0.4f,
                                 .dry_base = 1.2f,
                                 .dry_allowed = 1 + (uint32_t)enx_rng_below(&rng, 4),
                                 .dry_last = (uint32_t)enx_rng_below(&rng, RECENT_MAX),
                                 .dry_breakers = breakers,
                                 .dry_breaker_count = 2 };
        const reference    r = reference_of(&s, &c, recent, recent_count);
        if (r.is_close) close_count++;
        else assert_as_reference(&r, &s, &c, recent, recent_count);
    }
    assert_true(close_count < ROUNDS / 20);
}

static void a_banned_token_never_comes_unless_all_are(void **state)
{
    (void)state;
    const float      logits[] = { 1, 9, 3 };
    const enx_bias   bans[] = { { 1, -INFINITY }, { 2, -INFINITY }, { 0, -INFINITY }, { 77, 5 } };
    enx_sampling     s = { .biases = bans, .bias_count = 1 };
    const enx_choice c = pick(&s, logits, 3, 0);
    assert_int_equal(c.index, 2);
    assert_int_equal(c.best_index, 1); /* what the model meant */
    assert_true(fabs((double)c.logprob + 6.0028) < 1e-3);
    s.temperature = 100;
    for (int n = 0; n < 100; n++) assert_int_not_equal(pick(&s, logits, 3, n / 100.0).index, 1);
    s.bias_count = 2;
    for (int n = 0; n < 100; n++) assert_int_equal(pick(&s, logits, 3, n / 100.0).index, 0);
    s = (enx_sampling){ .biases = bans, .bias_count = 4 };
    assert_int_equal(pick(&s, logits, 3, 0).index, 1);
}

static void the_top_falls_and_ties_go_to_the_earlier(void **state)
{
    (void)state;
    const float          logits[] = { 1, 3, -2, 3, 2 };
    const uint32_t       ids[] = { 10, 20, 30, 40, 50 }, want[] = { 20, 40, 50, 10, 30 };
    const enx_candidates c = { logits, ids, 5 };
    for (size_t k = 0; k <= 7; k++) {
        enx_likely top[8] = { [7] = { 99, 1 } };
        enx_sampler_top(&kernels, &c, top, k);
        for (size_t i = 0; i < k; i++) {
            assert_int_equal(top[i].token, i < 5 ? want[i] : ENX_TOKEN_NONE);
            if (i >= 5) continue;
            const float all = enx_sampler_logprob(&kernels, logits, 5, want[i] / 10 - 1);
            assert_true(fabs((double)(top[i].logprob - all)) < 1e-6);
        }
        assert_int_equal(top[7].token, 99);
    }
}

static void next_to_no_temperature_is_greedy(void **state)
{
    (void)state;
    const float        logits[] = { 1, 9, 3, -50 };
    const enx_sampling s = { .temperature = 1e-40f };
    assert_int_equal(pick(&s, logits, 4, 0).index, 1);
    assert_int_equal(pick(&s, logits, 4, 0.999999).index, 1);
}

int main(void)
{
    enx_kernels_init(&kernels, enx_cpu_detect(NULL));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperature_0_takes_the_first_of_the_likeliest),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(filters_keep_what_they_say),
        cmocka_unit_test(a_single_candidate_is_certain),
        cmocka_unit_test(the_chain_is_what_its_slow_form_says),
        cmocka_unit_test(a_banned_token_never_comes_unless_all_are),
        cmocka_unit_test(the_top_falls_and_ties_go_to_the_earlier),
        cmocka_unit_test(next_to_no_temperature_is_greedy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
