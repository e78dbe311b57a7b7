/* SPDX-License-Identifier: Apache-2.0 */
/* test_allowance.c - caps that jobs share hold over what all of them use. */
#include "swarm/allowance.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static const enx_reservation want = { .usd_nano = 100, .tokens = 10, .role = ENX_ROLE_WORK };

static void each_cap_refuses_with_its_name_and_scope(void **state)
{
    (void)state;
    static const struct {
        enx_budget_caps caps;
        enx_use         elsewhere;
        const char     *says;
    } cases[] = {
        { { .usd_nano = 200 }, { .usd_nano = 101 }, "today's money of the class sums" },
        { { .tokens = 20 }, { .tokens = 11 }, "9 left of 20" },
        { { .calls = 3 }, { .calls = 3 }, "all 3 are used" },
        { { .time_us = 5000000 }, { .time_us = 5000000 }, "all 5.000 s are used" },
        { { .usd_nano = 200 }, { .usd_nano = UINT64_MAX }, "0.000000000 USD left" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_report    report = { 0 };
        enx_allowance a = { .class_name = "sums", .caps = cases[i].caps };
        enx_allowance_tell(&a, 1, &(enx_use){ 0 });
        assert_int_equal(enx_allowance_fits(&a, &want, NULL), ENX_OK);
        enx_allowance_tell(&a, 1, &cases[i].elsewhere);
        assert_int_equal(enx_allowance_fits(&a, &want, &report), ENX_BUDGET);
        assert_non_null(strstr(report.text, cases[i].says));
    }
}

static void a_class_covers_its_own_and_a_day_covers_all(void **state)
{
    (void)state;
    const enx_allowance sums = { .class_name = "sums" }, day = { 0 };
    assert_true(enx_allowance_covers(&sums, "sums"));
    assert_false(enx_allowance_covers(&sums, "sum"));
    assert_false(enx_allowance_covers(&sums, NULL));
    assert_true(enx_allowance_covers(&day, "sums") && enx_allowance_covers(&day, NULL));
}

static void it_is_tight_when_a_fifth_of_any_cap_is_left(void **state)
{
    (void)state;
    static const enx_budget_caps caps[] = {
        { .usd_nano = 500 }, { .tokens = 50 }, { .calls = 5 }, { .time_us = 500 }
    };
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++) {
        enx_allowance a = { .caps = caps[i] };
        enx_allowance_tell(&a, 1, &(enx_use){ 299, 29, 2, 399 });
        assert_false(enx_allowance_is_tight(&a));
        enx_allowance_reserve(&a, &want);
        enx_allowance_reserve(&a, &want);
        enx_allowance_settle(&a, 1, &want, &(enx_use){ 100, 10, 1, 1 });
        assert_true(enx_allowance_is_tight(&a));
    }
}

static void a_new_day_begins_anew_and_old_calls_do_not_count_in_it(void **state)
{
    (void)state;
    enx_allowance a = { .caps = { .calls = 1 } };
    enx_allowance_tell(&a, 8, &(enx_use){ 0 });
    enx_allowance_reserve(&a, &want);
    assert_int_equal(enx_allowance_fits(&a, &want, NULL), ENX_BUDGET);
    enx_allowance_tell(&a, 9, &(enx_use){ 0 });
    assert_int_equal(enx_allowance_fits(&a, &want, NULL), ENX_OK);
    enx_allowance_settle(&a, 8, &want, &(enx_use){ 90, 9, 1, 5 });
    assert_int_equal(a.here.calls + a.here.usd_nano + a.here.time_us, 0);
}

/* Against a meter of its own, with calls that others make, and answers that were known. */
static void random_histories_never_pass_a_cap(void **state)
{
    (void)state;
    enx_rng rng = enx_rng_open(5, 0);
    for (int round = 0; round < 300; round++) {
        enx_reservation open[256];
        uint32_t        count = 0;
        enx_use         others = { 0 }, spent = { 0 };
        enx_allowance   a = { .caps = { .usd_nano = 1 + enx_rng_below(&rng, 20000),
                                        .tokens = 1 + enx_rng_below(&rng, 3000),
                                        .calls = 1 + enx_rng_below(&rng, 300) } };
        for (int step = 0; step < 800; step++) {
            enx_reservation r = want;
            r.usd_nano = enx_rng_below(&rng, 200);
            r.tokens = enx_rng_below(&rng, 20);
            enx_allowance_tell(&a, 1, &others);
            if (count < 256 && enx_rng_below(&rng, 3)) {
                if (enx_allowance_fits(&a, &r, NULL) != ENX_OK) continue;
                if (enx_rng_below(&rng, 4) == 0) {
                    others.usd_nano += r.usd_nano;
                    others.tokens += r.tokens;
                    others.calls++;
                    continue;
                }
                enx_allowance_reserve(&a, &r);
                open[count++] = r;
            } else if (count) {
                const uint32_t at = (uint32_t)enx_rng_below(&rng, count);
                const bool     is_made = enx_rng_below(&rng, 8) > 0;
                const enx_use  use = {
                     .usd_nano = is_made ? enx_rng_below(&rng, open[at].usd_nano + 1) : 0,
                     .tokens = is_made ? enx_rng_below(&rng, open[at].tokens + 1) : 0,
                     .calls = is_made,
                };
                enx_allowance_settle(&a, 1, &open[at], &use);
                spent.usd_nano += use.usd_nano;
                spent.tokens += use.tokens;
                spent.calls += use.calls;
                open[at] = open[--count];
            }
            assert_true(others.usd_nano + spent.usd_nano <= a.caps.usd_nano);
            assert_true(others.tokens + spent.tokens <= a.caps.tokens);
            assert_true(others.calls + spent.calls + count <= a.caps.calls);
        }
        while (count) enx_allowance_settle(&a, 1, &open[--count], &(enx_use){ 0 });
        assert_memory_equal(&a.here, &spent, sizeof spent);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cap_refuses_with_its_name_and_scope),
        cmocka_unit_test(a_class_covers_its_own_and_a_day_covers_all),
        cmocka_unit_test(it_is_tight_when_a_fifth_of_any_cap_is_left),
        cmocka_unit_test(a_new_day_begins_anew_and_old_calls_do_not_count_in_it),
        cmocka_unit_test(random_histories_never_pass_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
