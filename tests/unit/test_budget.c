/* SPDX-License-Identifier: Apache-2.0 */
/* test_budget.c - the ledger adds up and caps hold. */
#include "swarm/budget.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void cost_is_rounded_up_and_saturates(void **state)
{
    (void)state;
    const enx_price       price = { .in = 1400, .cached = 140, .out = 2800, .fixed = 7 };
    const enx_usage_count one = { .tokens_in = 1 };
    const enx_usage_count mixed = { 1000, 500, 2000 };
    assert_int_equal(enx_price_cost(&price, &one), 1);
    assert_int_equal(enx_price_fixed(&price, &one), 1);
    assert_int_equal(enx_price_cost(&price, &mixed), 8); /* 1.4 + 0.07 + 5.6, up */
    assert_int_equal(enx_price_cost(&price, &(enx_usage_count){ 0 }), 0);
    const enx_usage_count huge = { .tokens_in = UINT64_MAX };
    assert_true(enx_price_cost(&price, &huge) == UINT64_MAX);
    assert_true(enx_price_fixed(&price, &huge) == UINT64_MAX);
}

static void each_cap_refuses_with_its_name_and_numbers(void **state)
{
    (void)state;
    enx_budget            budget;
    enx_report            report;
    const enx_reservation want = { .usd_nano = 100, .tokens = 10, .model = 1 };
    enx_budget_init(&budget, &(enx_budget_caps){ .usd_nano = 199 });
    assert_int_equal(enx_budget_fits(&budget, &want, NULL), ENX_OK);
    enx_budget_reserve(&budget, &want);
    assert_int_equal(enx_budget_fits(&budget, &want, &report), ENX_BUDGET);
    assert_non_null(strstr(report.text, "USD"));

    enx_budget_init(&budget, &(enx_budget_caps){ .tokens = 19 });
    enx_budget_reserve(&budget, &want);
    assert_int_equal(enx_budget_fits(&budget, &want, &report), ENX_BUDGET);
    assert_non_null(strstr(report.text, "9 tokens left of 19"));

    enx_budget_init(&budget, &(enx_budget_caps){ .calls = 1 });
    enx_budget_reserve(&budget, &want);
    assert_int_equal(enx_budget_fits(&budget, &want, &report), ENX_BUDGET);
    assert_non_null(strstr(report.text, "calls"));
}

static void a_budget_is_tight_when_a_fifth_of_any_cap_is_left(void **state)
{
    (void)state;
    static const enx_budget_caps caps[] = { { .usd_nano = 500 }, { .tokens = 50 }, { .calls = 5 } };
    const enx_reservation        want = { .usd_nano = 100, .tokens = 10, .role = ENX_ROLE_WORK };
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
        enx_budget budget;
        enx_budget_init(&budget, &caps[i]);
        for (int k = 0; k < 5; k++) {
            assert_int_equal(enx_budget_is_tight(&budget), k >= 4);
            enx_budget_reserve(&budget, &want);
            if (k == 1) enx_budget_lose(&budget, &want);
        }
    }
    enx_budget free_of_caps;
    enx_budget_init(&free_of_caps, &(enx_budget_caps){ 0 });
    enx_budget_reserve(&free_of_caps, &want);
    assert_false(enx_budget_is_tight(&free_of_caps));
}

static void no_caps_take_everything_but_an_overflow(void **state)
{
    (void)state;
    enx_budget budget;
    enx_budget_init(&budget, &(enx_budget_caps){ 0 });
    const enx_reservation large = { .usd_nano = UINT64_MAX - 5, .tokens = 1 };
    const enx_reservation more = { .usd_nano = 6 };
    assert_int_equal(enx_budget_fits(&budget, &large, NULL), ENX_OK);
    enx_budget_reserve(&budget, &large);
    assert_int_equal(enx_budget_fits(&budget, &more, NULL), ENX_BUDGET);
}

static void a_lost_call_stays_spoken_for_until_it_is_settled(void **state)
{
    (void)state;
    enx_budget            budget;
    const enx_reservation want = { .usd_nano = 100, .tokens = 10, .role = ENX_ROLE_WORK };
    enx_budget_init(&budget, &(enx_budget_caps){ .usd_nano = 150 });
    enx_budget_reserve(&budget, &want);
    enx_budget_lose(&budget, &want);
    assert_int_equal(budget.reserved.calls, 0);
    assert_int_equal(budget.unknown.usd_nano, 100);
    assert_int_equal(enx_budget_fits(&budget, &want, NULL), ENX_BUDGET);
    const enx_price       price = { .in = 1000000 };
    const enx_usage_count usage = { .tokens_in = 7 };
    enx_budget_settle(&budget, &want, true, &usage, &price);
    assert_int_equal(budget.unknown.calls, 0);
    assert_int_equal(budget.total.cost_usd_nano, 7);
    assert_int_equal(enx_budget_fits(&budget, &want, NULL), ENX_OK);
}

static void use_above_the_reserve_is_billed_and_counted(void **state)
{
    (void)state;
    enx_budget            budget;
    const enx_reservation want = { .usd_nano = 5, .tokens = 5 };
    const enx_price       price = { .out = 1000000 };
    enx_budget_init(&budget, &(enx_budget_caps){ .usd_nano = 5 });
    enx_budget_reserve(&budget, &want);
    enx_budget_settle(&budget, &want, false, &(enx_usage_count){ .tokens_out = 9 }, &price);
    assert_int_equal(budget.total.cost_usd_nano, 9);
    assert_int_equal(budget.overrun_calls, 1);
    assert_int_equal(enx_budget_fits(&budget, &(enx_reservation){ 0 }, NULL), ENX_OK);
    assert_int_equal(enx_budget_fits(&budget, &(enx_reservation){ .usd_nano = 1 }, NULL),
                     ENX_BUDGET);
}

/* Any interleaving of reserve, lose and settle: caps hold, and all lines add up. */
static void random_histories_never_overrun_and_add_up(void **state)
{
    (void)state;
    enum { OPEN_MAX = 64 };
    for (uint64_t seed = 0; seed < 200; seed++) {
        enx_rng               rng = enx_rng_open(seed, 3);
        const enx_budget_caps caps = { 1 + enx_rng_below(&rng, 100000),
                                       1 + enx_rng_below(&rng, 5000), 1 + enx_rng_below(&rng, 300),
                                       0 };
        const enx_price       price = { 1000000, 100000, 3000000, 5000 };
        enx_budget            b;
        enx_reservation       open[OPEN_MAX];
        bool                  is_lost[OPEN_MAX];
        uint32_t              count = 0;
        uint64_t              cost = 0;
        enx_budget_init(&b, &caps);
        for (uint32_t step = 0; step < 500; step++) {
            const uint32_t  in = (uint32_t)enx_rng_below(&rng, 50);
            const uint32_t  out = (uint32_t)enx_rng_below(&rng, 50);
            enx_reservation want = { in + 3u * out, in + out, (uint32_t)enx_rng_below(&rng, 4),
                                     (enx_role)enx_rng_below(&rng, ENX_ROLE_COUNT) };
            if (enx_rng_below(&rng, 2) && count < OPEN_MAX &&
                enx_budget_fits(&b, &want, NULL) == ENX_OK) {
                enx_budget_reserve(&b, &want);
                is_lost[count] = false;
                open[count++] = want;
            } else if (count) {
                const uint32_t i = (uint32_t)enx_rng_below(&rng, count);
                if (!is_lost[i] && enx_rng_below(&rng, 4) == 0) {
                    enx_budget_lose(&b, &open[i]);
                    is_lost[i] = true;
                    continue;
                }
                const enx_usage_count used = { .tokens_in =
                                                   enx_rng_below(&rng, open[i].tokens + 1) };
                const enx_usage_count fits = {
                    .tokens_in =
                        used.tokens_in < open[i].usd_nano ? used.tokens_in : open[i].usd_nano,
                };
                enx_budget_settle(&b, &open[i], is_lost[i], &fits, &price);
                cost += fits.tokens_in;
                open[i] = open[count - 1];
                is_lost[i] = is_lost[--count];
            }
            assert_true(b.total.cost_usd_nano + b.reserved.usd_nano + b.unknown.usd_nano <=
                        caps.usd_nano);
            assert_true(enx_usage_tokens(&b.total.usage) + b.reserved.tokens + b.unknown.tokens <=
                        caps.tokens);
            assert_true(b.total.calls + b.reserved.calls + b.unknown.calls <= caps.calls);
        }
        assert_int_equal(b.total.cost_usd_nano, cost);
        assert_int_equal(b.overrun_calls, 0);
        uint64_t by_model = 0, by_role = 0;
        for (uint32_t m = 0; m < 4; m++) by_model += enx_budget_by_model(&b, m).cost_usd_nano;
        for (uint32_t r = 0; r < ENX_ROLE_COUNT; r++)
            by_role += enx_budget_by_role(&b, (enx_role)r).cost_usd_nano;
        assert_int_equal(by_model, cost);
        assert_int_equal(by_role, cost);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cost_is_rounded_up_and_saturates),
        cmocka_unit_test(each_cap_refuses_with_its_name_and_numbers),
        cmocka_unit_test(a_budget_is_tight_when_a_fifth_of_any_cap_is_left),
        cmocka_unit_test(no_caps_take_everything_but_an_overflow),
        cmocka_unit_test(a_lost_call_stays_spoken_for_until_it_is_settled),
        cmocka_unit_test(use_above_the_reserve_is_billed_and_counted),
        cmocka_unit_test(random_histories_never_overrun_and_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
