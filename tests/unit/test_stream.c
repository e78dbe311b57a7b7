/* SPDX-License-Identifier: Apache-2.0 */
/* test_stream.c - the allowance is kept: exactly over all coins of short streams, and over seeded
 * long ones that do their worst. */
#include "swarm/stream.h"

#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { OFFERS = 6000, TRIALS = 40 };

static enx_stream *open_stream(double alpha, double delta, uint64_t seed)
{
    enx_stream              *s = NULL;
    const enx_stream_options options = { .alpha = alpha, .delta = delta, .seed = seed };
    assert_int_equal(enx_stream_open(&s, &options, NULL), ENX_OK);
    return s;
}

/* How errors come: a function of the rank of the score, the offer, and what was decided before. */
typedef struct enemy {
    double (*chance)(double rank, uint64_t offer, uint64_t delivered);
} enemy;

static double strong(double rank, uint64_t offer, uint64_t delivered)
{
    (void)offer, (void)delivered;
    return .25 * pow(rank, 4);
}

static double steps_up(double rank, uint64_t offer, uint64_t delivered)
{
    return (offer > OFFERS / 2 ? 8 : 1) * strong(rank, offer, delivered);
}

/* Lulls the stream, then is always wrong where it is surest. */
static double sure_and_wrong(double rank, uint64_t offer, uint64_t delivered)
{
    (void)delivered;
    return offer > OFFERS / 3 && rank < .5;
}

/* Wrong as soon as much goes out, right while little does. */
static double spiteful(double rank, uint64_t offer, uint64_t delivered)
{
    (void)rank;
    return (double)delivered > .5 * (double)offer ? .3 : .005;
}

typedef struct run {
    bool     is_broken; /* more than alpha of the answers so far, at some moment */
    bool     is_late;   /* ... of the last window, at the end */
    double   lead;      /* share of tasks that the lead saw */
    uint32_t drifts;
} run;

static run run_stream(const enemy *e, double alpha, double delta, uint64_t seed)
{
    static uint8_t went_wrong[OFFERS + 1];
    enx_stream    *s = open_stream(alpha, delta, seed);
    enx_rng        rng = enx_rng_open(seed, 77);
    uint32_t       wrong = 0, recent = 0;
    uint64_t       delivered = 0;
    run            out = { 0 };
    for (uint64_t n = 1; n <= OFFERS; n++) {
        const double      rank = enx_rng_unit(&rng);
        const bool        is_wrong = enx_rng_unit(&rng) < e->chance(rank, n, delivered);
        enx_stream_ticket ticket;
        const bool        went_out = enx_stream_offer(s, 1 - rank, &ticket) == ENX_STREAM_DELIVER;
        if (!went_out) enx_stream_label(s, &ticket, is_wrong);
        delivered += went_out;
        went_wrong[n] = went_out && is_wrong;
        wrong += went_wrong[n];
        out.is_broken |= wrong > alpha * (double)n;
    }
    const enx_stream_claim claim = enx_stream_result(s);
    const uint32_t         window = claim.window < OFFERS ? claim.window : OFFERS;
    for (uint32_t n = OFFERS - window + 1; n <= OFFERS; n++) recent += went_wrong[n];
    out.is_late = recent > alpha * window;
    out.lead = (double)(claim.escalated + claim.audited) / OFFERS;
    out.drifts = (uint32_t)claim.drifts;
    enx_stream_close(&s);
    return out;
}

static void both_promises_hold_against_every_enemy(void **state)
{
    (void)state;
    static const enemy enemies[] = { { strong }, { steps_up }, { sure_and_wrong }, { spiteful } };
    for (size_t i = 0; i < sizeof enemies / sizeof *enemies; i++) {
        uint32_t broken = 0, late = 0;
        for (uint64_t seed = 0; seed < TRIALS; seed++) {
            const run got = run_stream(&enemies[i], .07, .1, seed * 31 + i);
            broken += got.is_broken;
            late += got.is_late;
        }
        /* 4 expected at most; 12 has a chance below 1 in 1000 */
        assert_in_range(broken, 0, 11);
        assert_in_range(late, 0, 11);
    }
}

static void a_good_score_saves_calls(void **state)
{
    (void)state;
    const enemy e = { strong };
    double      lead = 0;
    for (uint64_t seed = 0; seed < 10; seed++) lead += run_stream(&e, .05, .05, seed).lead / 10;
    assert_true(lead < .40);
}

static void a_step_of_errors_is_found(void **state)
{
    (void)state;
    const enemy e = { steps_up };
    for (uint64_t seed = 0; seed < 10; seed++)
        assert_in_range(run_stream(&e, .02, .05, seed).drifts, 1, 8);
}

/* The factors of one offer have mean 1 over its coin; so what goes out before the first audit that
 * finds an error, when all are wrong, is bounded by delta alone. */
static void when_all_is_wrong_little_goes_out(void **state)
{
    (void)state;
    uint32_t broken = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        enx_stream *s = open_stream(.05, .1, seed);
        uint32_t    wrong = 0;
        bool        is_broken = false;
        for (uint64_t n = 1; n <= 3000; n++) {
            enx_stream_ticket ticket;
            const bool        is_wrong = n > 1500;
            if (enx_stream_offer(s, .5, &ticket) == ENX_STREAM_DELIVER) wrong += is_wrong;
            else enx_stream_label(s, &ticket, is_wrong);
            is_broken |= wrong > .05 * (double)n;
        }
        broken += is_broken;
        enx_stream_close(&s);
    }
    assert_in_range(broken, 0, 20); /* 10 expected at most */
}

/* Without a single label nothing can be delivered for long: audits under way count as wrong. */
static void silence_is_taken_for_errors(void **state)
{
    (void)state;
    enx_stream *s = open_stream(.05, .05, 3);
    for (uint64_t n = 1; n <= 4000; n++) {
        enx_stream_ticket ticket;
        const bool        is_told = n < 1000;
        if (enx_stream_offer(s, .5, &ticket) != ENX_STREAM_DELIVER && is_told)
            enx_stream_label(s, &ticket, false);
    }
    const uint64_t    before = enx_stream_result(s).delivered;
    enx_stream_ticket ticket;
    for (uint64_t n = 0; n < 100; n++) enx_stream_offer(s, .5, &ticket);
    assert_in_range(enx_stream_result(s).delivered - before, 0, 10);
    enx_stream_close(&s);
}

static void the_same_history_gives_the_same_bits(void **state)
{
    (void)state;
    enx_stream *a = open_stream(.02, .05, 9), *b = open_stream(.02, .05, 9);
    enx_rng     rng = enx_rng_open(5, 5);
    for (uint64_t n = 1; n <= 5000; n++) {
        const double      score = enx_rng_unit(&rng);
        const bool        is_wrong = enx_rng_unit(&rng) < .1 * (1 - score);
        enx_stream_ticket x, y;
        assert_int_equal(enx_stream_offer(a, score, &x), enx_stream_offer(b, score, &y));
        if (x.verdict == ENX_STREAM_DELIVER) continue;
        enx_stream_label(a, &x, is_wrong);
        enx_stream_label(b, &y, is_wrong);
    }
    const enx_stream_claim x = enx_stream_result(a), y = enx_stream_result(b);
    assert_true(x.always == y.always && x.lately == y.lately && x.drifts == y.drifts);
    assert_true(x.delivered == y.delivered && x.audited == y.audited);
    enx_stream_close(&a);
    enx_stream_close(&b);
}

static void claims_never_exceed_the_target_nor_what_went_out(void **state)
{
    (void)state;
    enx_stream *s = open_stream(.05, .05, 1);
    assert_true(enx_stream_result(s).always == 0);
    for (uint64_t n = 1; n <= 3000; n++) {
        enx_stream_ticket ticket;
        if (enx_stream_offer(s, .9, &ticket) != ENX_STREAM_DELIVER)
            enx_stream_label(s, &ticket, n % 50 == 0);
        if (n % 16 && n > 400) continue;
        const enx_stream_claim claim = enx_stream_result(s);
        assert_true(claim.always <= .05 && claim.lately <= .05);
        assert_true(claim.always <= (double)claim.delivered / (double)n);
        assert_int_equal(claim.delivered + claim.audited + claim.escalated, n);
    }
    assert_true(enx_stream_result(s).delivered > 500);
    enx_stream_close(&s);
}

static void scores_that_are_no_numbers_are_the_lowest(void **state)
{
    (void)state;
    enx_stream       *s = open_stream(.05, .05, 1);
    enx_stream_ticket ticket;
    enx_stream_offer(s, NAN, &ticket);
    assert_true(isinf(ticket.score) && ticket.score < 0);
    for (uint64_t n = 0; n < 1000; n++)
        if (enx_stream_offer(s, NAN, &ticket) != ENX_STREAM_DELIVER)
            enx_stream_label(s, &ticket, false);
    enx_stream_close(&s);
}

/* Always wrong, and labels say so: with the fewest audits that can be asked for, too. */
static void the_fewest_audits_keep_the_promise(void **state)
{
    (void)state;
    enx_stream              *s = NULL;
    const enx_stream_options options = { .alpha = .2, .audit_min = ENX_STREAM_AUDIT_LEAST };
    assert_int_equal(enx_stream_open(&s, &options, NULL), ENX_OK);
    uint32_t wrong = 0;
    for (uint64_t n = 1; n <= 8 * OFFERS; n++) {
        enx_stream_ticket ticket;
        const bool        is_wrong = n > 4 * OFFERS;
        const bool        went_out = enx_stream_offer(s, .9, &ticket) == ENX_STREAM_DELIVER;
        if (!went_out) enx_stream_label(s, &ticket, is_wrong);
        wrong += went_out && is_wrong;
    }
    assert_true(wrong <= .2 * 8 * OFFERS);
    assert_true(enx_stream_result(s).delivered > OFFERS);
    assert_false(isnan(enx_stream_result(s).lately));
    enx_stream_close(&s);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    static const enx_stream_options bad[] = { { .alpha = 0 },
                                              { .alpha = 1 },
                                              { .alpha = NAN },
                                              { .alpha = .02, .delta = 1 },
                                              { .alpha = .02, .delta = -.1 },
                                              { .alpha = .02, .audit_min = .01 },
                                              { .alpha = .02, .audit_min = .06 },
                                              { .alpha = .02, .audit_min = 1 } };
    enx_stream                     *s = NULL;
    enx_report                      report;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(enx_stream_open(&s, &bad[i], &report), ENX_INVALID);
        assert_true(report.text[0]);
    }
    const enx_stream_options wide = { .alpha = .02, .window = ENX_STREAM_WINDOW_MAX + 1 };
    assert_int_equal(enx_stream_open(&s, &wide, &report), ENX_LIMIT);
    const enx_stream_options good = { .alpha = .02 };
    enx_mem_fail_after(0);
    assert_int_equal(enx_stream_open(&s, &good, &report), ENX_NOMEM);
    assert_null(s);
    enx_stream_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_promises_hold_against_every_enemy),
        cmocka_unit_test(a_good_score_saves_calls),
        cmocka_unit_test(a_step_of_errors_is_found),
        cmocka_unit_test(when_all_is_wrong_little_goes_out),
        cmocka_unit_test(silence_is_taken_for_errors),
        cmocka_unit_test(the_same_history_gives_the_same_bits),
        cmocka_unit_test(claims_never_exceed_the_target_nor_what_went_out),
        cmocka_unit_test(scores_that_are_no_numbers_are_the_lowest),
        cmocka_unit_test(the_fewest_audits_keep_the_promise),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
