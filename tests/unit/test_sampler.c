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
static const double p[COUNT] = { 0.1, 0.4, 0.04, 0.3, 0.1, 0.06 };

static void shares_of(enx_sampling sampling, double shares[COUNT])
{
    float    logits[COUNT], weights[COUNT];
    uint32_t order[COUNT];
    enx_rng  rng = enx_rng_open(3, 1);
    memset(shares, 0, COUNT * sizeof *shares);
    for (int i = 0; i < COUNT; i++) logits[i] = (float)log(p[i]) + 5;
    for (int n = 0; n < DRAWS; n++) {
        const enx_choice c = enx_sampler_pick(&kernels, &sampling, logits, COUNT,
                                              enx_rng_unit(&rng), order, weights);
        assert_true(c.index < COUNT);
        assert_int_equal(c.best_index, 1);
        assert_true(fabs(exp((double)c.logprob) - p[c.index]) < 1e-5); /* whatever the filters */
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
    const enx_choice   c = enx_sampler_pick(&kernels, &greedy, logits, 5, 0.9, NULL, NULL);
    assert_int_equal(c.index, 1);
    assert_int_equal(c.best_index, 1);
}

static void draws_follow_the_probabilities(void **state)
{
    (void)state;
    assert_shares((enx_sampling){ .temperature = 1 }, p);
    double hot[COUNT], sum = 0;
    for (int i = 0; i < COUNT; i++) sum += hot[i] = sqrt(p[i]);
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
    assert_shares((enx_sampling){ .temperature = 1, .top_k = 100, .top_p = 1 }, p);
    const double one[COUNT] = { 0, 1, 0, 0, 0, 0 };
    assert_shares((enx_sampling){ .temperature = 5, .min_p = 1 }, one);
    assert_shares((enx_sampling){ .temperature = 5, .top_p = 0.01f }, one);
}

static void a_single_candidate_is_certain(void **state)
{
    (void)state;
    const float        logit = -3;
    uint32_t           order[1];
    float              weights[1];
    const enx_sampling warm = { .temperature = 1, .top_p = 0.5f };
    const enx_choice   c = enx_sampler_pick(&kernels, &warm, &logit, 1, 0.99, order, weights);
    assert_int_equal(c.index, 0);
    assert_true(c.logprob == 0);
}

int main(void)
{
    enx_kernels_init(&kernels, enx_cpu_detect(NULL));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temperature_0_takes_the_first_of_the_likeliest),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(filters_keep_what_they_say),
        cmocka_unit_test(a_single_candidate_is_certain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
