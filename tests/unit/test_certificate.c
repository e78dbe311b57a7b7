/* SPDX-License-Identifier: Apache-2.0 */
/* test_certificate.c - the certificate keeps its promise: exactly on tiny populations, and over
 * thousands of seeded ones; with argument N, N populations a regime instead of the short run. */
#include "swarm/certificate.h"

#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t trials = 400;

/* Labels that the last certificate asked for: what they show to be wrong does not go out. */
static uint8_t is_labelled[20000];

static enx_certificate_claim certify(const enx_certificate_options *options, const uint8_t *wrong)
{
    enx_certificate *c = NULL;
    assert_int_equal(enx_certificate_open(&c, options, NULL), ENX_OK);
    uint32_t ranks[64], n;
    memset(is_labelled, 0, sizeof is_labelled);
    while ((n = enx_certificate_next(c, ranks, 64)) > 0)
        for (uint32_t i = 0; i < n; i++) {
            enx_certificate_label(c, ranks[i], wrong[ranks[i]]);
            is_labelled[ranks[i]] = options->target_alpha > 0;
        }
    const enx_certificate_claim claim = enx_certificate_result(c);
    enx_certificate_close(&c);
    return claim;
}

static uint32_t wrong_in(const uint8_t *wrong, uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += wrong[i];
    return sum;
}

static uint32_t unseen_wrong_in(const uint8_t *wrong, uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += wrong[i] && !is_labelled[i];
    return sum;
}

static bool is_false(const enx_certificate_claim *claim, const uint8_t *wrong)
{
    return claim->is_certified &&
           unseen_wrong_in(wrong, claim->accepted) > claim->alpha * claim->answers + 1e-6;
}

/* All ways to place K wrong answers, which is what a random permutation makes of any one of them:
 * the share of false claims is the exact probability. */
static void no_target_is_valid_exactly_on_tiny_populations(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 11; n++) {
        uint32_t ways[16] = { 0 }, violations[16] = { 0 };
        for (uint32_t pattern = 0; pattern < 1u << n; pattern++) {
            uint8_t wrong[16] = { 0 };
            for (uint32_t i = 0; i < n; i++) wrong[i] = (uint8_t)(pattern >> i & 1);
            const enx_certificate_options options = { .population = n, .delta = .3, .block = 2 };
            const enx_certificate_claim   claim = certify(&options, wrong);
            const uint32_t                k = wrong_in(wrong, n);
            ways[k]++;
            violations[k] += is_false(&claim, wrong);
        }
        for (uint32_t k = 0; k <= n; k++)
            assert_true((double)violations[k] <= .3 * (double)ways[k] + 1e-9);
    }
}

/* With a target the place of the wrong answers matters, so permutations are drawn instead. */
static void target_is_valid_on_every_tiny_population(void **state)
{
    (void)state;
    enum { N = 6, SEEDS = 4000 };
    for (uint32_t pattern = 0; pattern < 1u << N; pattern += 3) {
        uint8_t  wrong[N];
        uint32_t violations = 0;
        for (uint32_t i = 0; i < N; i++) wrong[i] = (uint8_t)(pattern >> i & 1);
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            const enx_certificate_options options = {
                .population = N, .target_alpha = .2, .delta = .4, .block = 1, .seed = seed
            };
            const enx_certificate_claim claim = certify(&options, wrong);
            violations += is_false(&claim, wrong);
        }
        /* Five standard deviations above the promise would mean a broken proof. */
        assert_true(violations <= .4 * SEEDS + 5 * sqrt(.24 * SEEDS));
    }
}

typedef struct regime {
    const char *name;
    uint32_t    n;
    double      base, power, cluster; /* error chance = base (power + 1) u^power, u = rank / n */
    double      target, delta;
} regime;

static const regime regimes[] = {
    { "strong score", 1000, .05, 4, 0, .02, .10 },
    { "moderate score", 1000, .05, 1, 0, .02, .10 },
    { "useless score", 1000, .05, 0, 0, .02, .05 },
    { "sure and wrong", 1000, .05, 4, .35, .02, .1 },
    { "many errors", 800, .15, 4, 0, .05, .10 },
    { "on the border", 1000, .05, 4, 0, .05, .05 },
    { "no target", 600, .03, 1, 0, 0, .10 },
    { "no target, bad", 400, .30, 0, 0, 0, .05 },
    { "no target, few", 120, .02, 0, 0, 0, .10 },
};

static void fill_population(uint8_t *wrong, const regime *r, uint64_t seed)
{
    enx_rng rng = enx_rng_open(seed, 1);
    for (uint32_t i = 0; i < r->n; i++) {
        const double u = (i + .5) / r->n;
        double       chance = r->base * (r->power + 1) * pow(u, r->power);
        if (u < .03) chance += r->cluster;
        wrong[i] = enx_rng_unit(&rng) < chance;
    }
}

/* Chance of at least k of n at rate p, for p*n of a few and more: the normal tail is enough to
 * tell luck from a broken proof. */
static bool is_above(uint32_t k, uint32_t n, double p)
{
    return k > n * p + 3.1 * sqrt(n * p * (1 - p)) + 1;
}

static void violations_stay_within_delta_in_every_regime(void **state)
{
    (void)state;
    for (uint32_t r = 0; r < sizeof regimes / sizeof *regimes; r++) {
        uint8_t  wrong[1000];
        uint32_t violations = 0;
        double   labels = 0, accepted = 0, alpha = 0;
        for (uint64_t seed = 1; seed <= trials; seed++) {
            fill_population(wrong, &regimes[r], seed * 977 + r);
            const enx_certificate_options options = { .population = regimes[r].n,
                                                      .target_alpha = regimes[r].target,
                                                      .delta = regimes[r].delta,
                                                      .seed = seed };
            const enx_certificate_claim   claim = certify(&options, wrong);
            violations += is_false(&claim, wrong);
            labels += claim.labels;
            accepted += claim.accepted;
            alpha += claim.alpha;
        }
        print_message("%-16s violations %5.3f of %.2f   labels %5.1f  accepted %.3f  alpha %.4f\n",
                      regimes[r].name, (double)violations / trials, regimes[r].delta,
                      labels / trials, accepted / trials / regimes[r].n, alpha / trials);
        assert_false(is_above(violations, trials, regimes[r].delta));
    }
}

/* A run that stops whenever it likes is a claim at a random time. */
static void stopping_at_any_label_keeps_the_promise(void **state)
{
    (void)state;
    uint32_t violations = 0;
    uint8_t  wrong[300];
    for (uint64_t seed = 0; seed < trials; seed++) {
        enx_rng rng = enx_rng_open(seed, 2);
        memset(wrong, 0, sizeof wrong);
        for (uint32_t i = 0; i < 31; i++) wrong[i * 9] = 1; /* 31 of 300: just above .10 */
        enx_certificate_options options = { .population = 300, .delta = .1, .seed = seed };
        options.labels_max = 1 + (uint32_t)enx_rng_below(&rng, 300);
        const enx_certificate_claim claim = certify(&options, wrong);
        assert_true(claim.labels <= options.labels_max);
        violations += is_false(&claim, wrong);
    }
    assert_false(is_above(violations, trials, .1));
}

static void all_right_is_certified_with_the_labels_theory_says(void **state)
{
    (void)state;
    static uint8_t                wrong[20000];
    const enx_certificate_options options = { .population = 20000, .delta = .05 };
    const enx_certificate_claim   claim = certify(&options, wrong);
    assert_true(claim.is_certified);
    assert_true(claim.alpha <= .005);
    assert_in_range(claim.labels, 598, 1300); /* 598 = ln .05 / ln .995 is the least possible */
    assert_int_equal(claim.wrong, 0);
    assert_int_equal(claim.accepted, 20000);
}

static void labels_max_is_kept_and_gives_the_best_alpha_of_that_price(void **state)
{
    (void)state;
    static uint8_t                wrong[5000];
    const enx_certificate_options options = { .population = 5000, .delta = .05, .labels_max = 100 };
    const enx_certificate_claim   claim = certify(&options, wrong);
    assert_int_equal(claim.labels, 100);
    assert_true(claim.alpha >= .03 && claim.alpha <= .06);
}

/* An enemy who keeps back the labels of wrong answers: they go out, and count. */
static void labels_that_cannot_be_had_count_as_wrong(void **state)
{
    (void)state;
    enum { N = 400 };
    uint32_t violations = 0;
    for (uint64_t seed = 0; seed < trials; seed++) {
        enx_certificate              *c = NULL;
        uint8_t                       wrong[N] = { 0 };
        uint32_t                      ranks[64], n, bad = 0;
        const enx_certificate_options options = {
            .population = N, .target_alpha = .1, .delta = .1, .seed = seed
        };
        for (uint32_t i = 0; i < 41; i++) wrong[i * 9] = 1; /* one too many */
        assert_int_equal(enx_certificate_open(&c, &options, NULL), ENX_OK);
        while ((n = enx_certificate_next(c, ranks, 64)) > 0)
            for (uint32_t i = 0; i < n; i++)
                if (wrong[ranks[i]]) enx_certificate_lose(c, ranks[i]);
                else enx_certificate_label(c, ranks[i], false);
        const enx_certificate_claim claim = enx_certificate_result(c);
        for (uint32_t i = 0; i < claim.accepted; i++) bad += wrong[i];
        violations += bad > 40;
        enx_certificate_close(&c);
    }
    assert_false(is_above(violations, trials, .1));
}

static void a_target_keeps_to_its_cap_of_labels(void **state)
{
    (void)state;
    static uint8_t wrong[3000];
    for (uint32_t cap = 1; cap < 400; cap += 7) {
        const enx_certificate_options options = {
            .population = 3000, .target_alpha = .02, .labels_max = cap, .seed = cap
        };
        const enx_certificate_claim claim = certify(&options, wrong);
        assert_true(claim.labels <= cap);
    }
}

static void prefix_below_the_allowance_is_free(void **state)
{
    (void)state;
    uint8_t                       wrong[100];
    const enx_certificate_options options = { .population = 100, .target_alpha = .1, .delta = .05 };
    memset(wrong, 1, sizeof wrong);
    const enx_certificate_claim claim = certify(&options, wrong);
    assert_true(claim.accepted > 0 && unseen_wrong_in(wrong, claim.accepted) <= 10);
}

static void answers_of_the_reference_widen_the_allowance(void **state)
{
    (void)state;
    uint8_t                 wrong[100] = { 0 };
    enx_certificate_options options = { .population = 100, .answers = 1000, .delta = .05 };
    memset(wrong, 1, 40); /* 40 wrong of 1000 answers */
    const enx_certificate_claim claim = certify(&options, wrong);
    assert_true(claim.is_certified && claim.alpha >= .04 && claim.alpha <= .06);
    assert_int_equal(claim.answers, 1000);
}

/* Labels told late, in reverse, or before they are wanted lead to the same claim. */
static void claim_does_not_depend_on_the_order_of_labels(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        uint8_t wrong[400];
        fill_population(wrong, &(regime){ "", 400, .04, 2, 0, 0, 0 }, seed);
        enx_certificate_options options = { .population = 400, .delta = .1, .seed = seed };
        options.target_alpha = seed % 2 ? .03 : 0;
        const enx_certificate_claim want = certify(&options, wrong);

        enx_certificate *c = NULL;
        uint32_t         ranks[64], n;
        uint8_t          told[400] = { 0 };
        assert_int_equal(enx_certificate_open(&c, &options, NULL), ENX_OK);
        enx_rng rng = enx_rng_open(seed, 9);
        for (uint32_t i = 0; i < 400; i++) /* known from the start, as after a restart */
            if (enx_rng_below(&rng, 4) == 0) {
                told[i] = 1;
                enx_certificate_label(c, i, wrong[i]);
            }
        while ((n = enx_certificate_next(c, ranks, 64)) > 0) {
            const uint32_t rank = ranks[enx_rng_below(&rng, n)]; /* one at a time, any of them */
            assert_false(told[rank]);
            told[rank] = 1;
            enx_certificate_label(c, rank, wrong[rank]);
        }
        const enx_certificate_claim got = enx_certificate_result(c);
        enx_certificate_close(&c);
        assert_int_equal(got.labels, want.labels);
        assert_int_equal(got.wrong, want.wrong);
        assert_int_equal(got.accepted, want.accepted);
        assert_true(got.alpha == want.alpha);
    }
}

static void stop_keeps_what_was_proved(void **state)
{
    (void)state;
    enx_certificate              *c = NULL;
    const enx_certificate_options options = { .population = 1000, .delta = .05 };
    assert_int_equal(enx_certificate_open(&c, &options, NULL), ENX_OK);
    assert_false(enx_certificate_result(c).is_certified);
    uint32_t ranks[64];
    for (uint32_t round = 0; round < 4; round++) {
        const uint32_t n = enx_certificate_next(c, ranks, 64);
        for (uint32_t i = 0; i < n; i++) enx_certificate_label(c, ranks[i], false);
    }
    assert_true(enx_certificate_next(c, ranks, 64) > 0);
    enx_certificate_stop(c);
    assert_int_equal(enx_certificate_next(c, ranks, 64), 0);
    const enx_certificate_claim claim = enx_certificate_result(c);
    assert_true(claim.is_certified && claim.alpha < .1 && claim.labels <= 64);
    enx_certificate_close(&c);
    assert_null(c);
    enx_certificate_close(&c);
}

static void empty_population_proves_nothing(void **state)
{
    (void)state;
    const enx_certificate_options options = { .delta = .05 };
    uint8_t                       wrong[1] = { 0 };
    assert_false(certify(&options, wrong).is_certified);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    static const enx_certificate_options bad[] = {
        { .population = 9, .delta = 1.5 },      { .population = 9, .delta = -.1 },
        { .population = 9, .target_alpha = 1 }, { .population = 9, .target_alpha = -1 },
        { .population = 9, .answers = 8 },      { .population = 9, .price = -1 },
        { .population = 9, .history = -1 },
    };
    enx_certificate *c = NULL;
    enx_report       report;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(enx_certificate_open(&c, &bad[i], &report), ENX_INVALID);
        assert_true(report.text[0]);
    }
    const enx_certificate_options large = { .population = 9, .block = 1000 };
    assert_int_equal(enx_certificate_open(&c, &large, &report), ENX_LIMIT);
    const enx_certificate_options good = { .population = 9 };
    enx_mem_fail_after(0);
    assert_int_equal(enx_certificate_open(&c, &good, &report), ENX_NOMEM);
    assert_null(c);
}

int main(int argc, char **argv)
{
    if (argc > 1) trials = (uint32_t)strtoul(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_target_is_valid_exactly_on_tiny_populations),
        cmocka_unit_test(target_is_valid_on_every_tiny_population),
        cmocka_unit_test(violations_stay_within_delta_in_every_regime),
        cmocka_unit_test(stopping_at_any_label_keeps_the_promise),
        cmocka_unit_test(all_right_is_certified_with_the_labels_theory_says),
        cmocka_unit_test(labels_max_is_kept_and_gives_the_best_alpha_of_that_price),
        cmocka_unit_test(labels_that_cannot_be_had_count_as_wrong),
        cmocka_unit_test(a_target_keeps_to_its_cap_of_labels),
        cmocka_unit_test(prefix_below_the_allowance_is_free),
        cmocka_unit_test(answers_of_the_reference_widen_the_allowance),
        cmocka_unit_test(claim_does_not_depend_on_the_order_of_labels),
        cmocka_unit_test(stop_keeps_what_was_proved),
        cmocka_unit_test(empty_population_proves_nothing),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
