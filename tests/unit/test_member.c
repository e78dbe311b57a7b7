/* SPDX-License-Identifier: Apache-2.0 */
/* test_member.c - who gives wrong answers loses trust, and nobody else does. */
#include "backend/member.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* The sum in the order of its definition. */
static double slow_tail(uint32_t wrong, uint32_t labels, double rate)
{
    double sum = 0;
    for (uint32_t k = wrong; k <= labels; k++)
        sum += exp(lgamma(labels + 1.0) - lgamma(k + 1.0) - lgamma(labels - k + 1.0)) *
               pow(rate, k) * pow(1 - rate, labels - k);
    return sum;
}

static void the_tail_is_that_of_the_binomial(void **state)
{
    (void)state;
    static const double rates[] = { 0.01, 0.05, 0.3, 0.9 };
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
        for (uint32_t n = 0; n < 40; n += 3)
            for (uint32_t k = 0; k <= n; k++)
                assert_true(fabs(enx_member_tail(k, n, rates[r]) - slow_tail(k, n, rates[r])) <
                            1e-12);
    assert_true(enx_member_tail(5, 4, 0.5) == 0);
    assert_true(enx_member_tail(0, 4, 0.5) == 1);
}

static void a_liar_is_barred_and_before_that_on_trial(void **state)
{
    (void)state;
    enx_members m = { 0 };
    bool        was_on_trial = false;
    for (int i = 0; i < 40; i++) enx_members_label(&m, enx_members_find(&m, "honest"), i % 20 == 0);
    uint32_t told = 0;
    for (; told < 40; told++) {
        enx_member *liar = enx_members_find(&m, "liar");
        enx_members_label(&m, liar, true);
        was_on_trial |= liar->state == ENX_MEMBER_ON_TRIAL;
        if (liar->state == ENX_MEMBER_BARRED) break;
    }
    assert_true(was_on_trial);
    assert_in_range(told, 2, 8); /* 0.05 ^ 5 is below ENX_MEMBER_BAR */
    assert_int_equal(enx_members_find(&m, "honest")->state, ENX_MEMBER_TRUSTED);
    enx_members_deinit(&m);
}

/* All machines answer alike: a job whose answers are often wrong bars nobody. */
static void hard_work_is_nobodys_fault(void **state)
{
    (void)state;
    enx_members m = { 0 };
    enx_rng     rng = enx_rng_open(1, 0);
    char        name[8];
    for (int i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "w%d", i % 8);
        enx_members_label(&m, enx_members_find(&m, name), enx_rng_unit(&rng) < 0.3);
    }
    for (uint32_t i = 0; i < m.count; i++)
        assert_int_not_equal(m.items[i].state, ENX_MEMBER_BARRED);
    enx_members_deinit(&m);
}

static void faulty_reports_bar_too(void **state)
{
    (void)state;
    enx_members m = { 0 };
    for (int i = 1; i <= ENX_MEMBER_FAULTS_MAX; i++)
        assert_int_equal(enx_member_fault(enx_members_find(&m, "w")), i == ENX_MEMBER_FAULTS_MAX);
    assert_int_equal(enx_members_find(&m, "w")->state, ENX_MEMBER_BARRED);
    enx_members_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tail_is_that_of_the_binomial),
        cmocka_unit_test(a_liar_is_barred_and_before_that_on_trial),
        cmocka_unit_test(hard_work_is_nobodys_fault),
        cmocka_unit_test(faulty_reports_bar_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
