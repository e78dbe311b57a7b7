/* SPDX-License-Identifier: Apache-2.0 */
/* test_learn.c - an exact power law comes back; noise is that of the steps. */
#include "market/learn.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { POINTS = 2000 };

static void an_exact_power_law_comes_back(void **state)
{
    (void)state;
    for (double rate = -0.2; rate < 0.7; rate += 0.1) {
        double       units[20], cost[20];
        enx_learning l;
        for (int i = 0; i < 20; i++) {
            units[i] = 3 * pow(1.5, i);
            cost[i] = 40 * pow(1 - rate, log2(units[i]));
        }
        assert_int_equal(enx_learn_fit(&l, units, cost, 20, NULL), ENX_OK);
        assert_true(fabs(l.rate - rate) < 1e-12 && fabs(l.exponent - l.step_exponent) < 1e-12);
        assert_true(l.noise_sd < 1e-12 && l.exponent_se < 1e-7 && l.fit > 1 - 1e-9);
    }
}

/* Steps of the logarithm wander by 0.1: seen within four standard errors of a deviation. */
static void noise_is_that_of_the_steps(void **state)
{
    (void)state;
    static double units[POINTS], cost[POINTS];
    enx_rng       rng = enx_rng_open(1, 1);
    enx_learning  l;
    units[0] = cost[0] = 1;
    for (int i = 1; i < POINTS; i++) {
        units[i] = units[i - 1] * 1.2;
        cost[i] = cost[i - 1] * exp(-0.3 * log(1.2) + 0.1 * enx_rng_normal(&rng));
    }
    assert_int_equal(enx_learn_fit(&l, units, cost, POINTS, NULL), ENX_OK);
    assert_true(fabs(l.noise_sd - 0.1) < 4 * 0.1 / sqrt(2.0 * POINTS));
    assert_true(fabs(l.step_exponent + 0.3) < 4 * 0.1 / log(1.2) / sqrt(POINTS));
}

static void what_is_no_history_is_refused(void **state)
{
    (void)state;
    const double bad[] = { 0, -1, NAN, INFINITY };
    enx_learning l;
    for (int i = 0; i < 4; i++)
        for (int which = 0; which < 2; which++) {
            double     columns[2][3] = { { 1, 2, 4 }, { 3, 2, 1 } };
            enx_report report = { 0 };
            columns[which][1] = bad[i];
            assert_int_equal(enx_learn_fit(&l, columns[0], columns[1], 3, &report), ENX_INVALID);
            assert_non_null(strstr(report.text, "row 2"));
        }
    const double units[] = { 1, 2, 2 }, cost[] = { 3, 2, 1 };
    assert_int_equal(enx_learn_fit(&l, units, cost, 3, NULL), ENX_INVALID);
    assert_int_equal(enx_learn_fit(&l, units, cost, 2, NULL), ENX_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_power_law_comes_back),
        cmocka_unit_test(noise_is_that_of_the_steps),
        cmocka_unit_test(what_is_no_history_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
