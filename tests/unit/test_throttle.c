/* SPDX-License-Identifier: Apache-2.0 */
/* test_throttle.c - limits hold in every minute; a failing provider is left alone for a while. */
#include "backend/throttle.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SECOND = 1000000, HISTORY = 4000 };

static enx_throttle open_throttle(uint32_t concurrency, uint32_t requests, uint64_t tokens)
{
    enx_throttle              t;
    const enx_throttle_limits limits = { concurrency, requests, tokens };
    enx_throttle_init(&t, &limits);
    return t;
}

static void without_limits_everything_leaves_at_once(void **state)
{
    (void)state;
    enx_throttle t = open_throttle(0, 0, 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(enx_throttle_when(&t, 7, 1000), 7);
        enx_throttle_start(&t, 7, 1000);
    }
}

static void only_so_many_are_in_flight(void **state)
{
    (void)state;
    enx_throttle t = open_throttle(2, 0, 0);
    enx_throttle_start(&t, 0, 1);
    enx_throttle_start(&t, 0, 1);
    assert_true(enx_throttle_when(&t, 0, 1) == UINT64_MAX);
    enx_throttle_stop(&t, 5, ENX_THROTTLE_ANSWERED, 0, 1, 1);
    assert_int_equal(enx_throttle_when(&t, 5, 1), 5);
}

/* Greedy histories by seed: whatever leaves at the moment that `when` names, no 60 s hold more. */
static void no_minute_holds_more_than_the_limits(void **state)
{
    (void)state;
    static uint64_t times[HISTORY], tokens[HISTORY];
    for (uint64_t seed = 0; seed < 20; seed++) {
        enx_rng        rng = enx_rng_open(seed, 0);
        const uint32_t requests = 1 + (uint32_t)enx_rng_below(&rng, 100);
        const uint64_t tokens_max = 1000 + enx_rng_below(&rng, 10000);
        enx_throttle   t = open_throttle(0, requests, tokens_max);
        uint64_t       now = enx_rng_below(&rng, 1000 * (uint64_t)SECOND);
        for (int i = 0; i < HISTORY; i++) {
            tokens[i] = 1 + enx_rng_below(&rng, 300);
            const uint64_t when = enx_throttle_when(&t, now, tokens[i]);
            assert_true(when >= now && when <= now + 62 * (uint64_t)SECOND);
            now = when;
            enx_throttle_start(&t, now, tokens[i]);
            times[i] = now;
            uint64_t held = 0, count = 0;
            for (int k = i; k >= 0 && times[k] + 60 * (uint64_t)SECOND > now; k--) {
                held += tokens[k];
                count++;
            }
            assert_true(count <= requests && held <= tokens_max);
            now += enx_rng_below(&rng, 3 * SECOND);
        }
        /* and the limits are used: not below nine tenths of what was possible */
        const double minutes = (double)(times[HISTORY - 1] - times[0]) / 60e6 + 1;
        double       sum = 0;
        for (int i = 0; i < HISTORY; i++) sum += (double)tokens[i];
        assert_true(HISTORY / minutes > .85 * requests ||
                    sum / minutes > .85 * (double)tokens_max ||
                    HISTORY / minutes > .85 * 40); /* they come every 1.5 s */
    }
}

static void what_was_not_used_is_free_again(void **state)
{
    (void)state;
    enx_throttle t = open_throttle(0, 0, 1000);
    enx_throttle_start(&t, 0, 900);
    assert_true(enx_throttle_when(&t, 0, 200) > 60 * (uint64_t)SECOND);
    enx_throttle_stop(&t, 10, ENX_THROTTLE_ANSWERED, 0, 900, 100);
    assert_int_equal(enx_throttle_when(&t, 10, 200), 10);
    assert_int_equal(enx_throttle_when(&t, 10, 901), 61 * (uint64_t)SECOND);
}

static void one_above_the_limit_leaves_alone(void **state)
{
    (void)state;
    enx_throttle t = open_throttle(0, 0, 1000);
    assert_int_equal(enx_throttle_when(&t, 3, 5000), 3);
    enx_throttle_start(&t, 3, 5000);
    assert_int_equal(enx_throttle_when(&t, 4, 1), 61 * (uint64_t)SECOND);
}

static void a_pause_is_never_shortened(void **state)
{
    (void)state;
    enx_throttle t = open_throttle(0, 0, 0);
    enx_throttle_pause(&t, 500);
    enx_throttle_pause(&t, 300);
    assert_int_equal(enx_throttle_when(&t, 100, 1), 500);
    assert_int_equal(enx_throttle_when(&t, 600, 1), 600);
}

static void end_one(enx_throttle *t, uint64_t now, enx_throttle_end end)
{
    enx_throttle_start(t, now, 0);
    enx_throttle_stop(t, now, end, now, 0, 0);
}

static void failures_in_a_row_open_the_breaker(void **state)
{
    (void)state;
    enx_throttle t = open_throttle(0, 0, 0);
    for (int i = 0; i < ENX_THROTTLE_FAILURES - 1; i++) end_one(&t, 0, ENX_THROTTLE_FAILED);
    end_one(&t, 0, ENX_THROTTLE_ANSWERED); /* in a row, not in all */
    for (int i = 0; i < ENX_THROTTLE_FAILURES - 1; i++) end_one(&t, 0, ENX_THROTTLE_FAILED);
    end_one(&t, 0, ENX_THROTTLE_UNTRIED);
    assert_int_equal(enx_throttle_when(&t, 0, 1), 0);
    end_one(&t, 0, ENX_THROTTLE_FAILED);
    assert_int_equal(enx_throttle_when(&t, 0, 1), ENX_THROTTLE_OPEN_US);

    uint64_t now = ENX_THROTTLE_OPEN_US; /* one on trial */
    enx_throttle_start(&t, now, 1);
    assert_true(enx_throttle_when(&t, now, 1) == UINT64_MAX);
    enx_throttle_stop(&t, now, ENX_THROTTLE_FAILED, now, 1, 0);
    assert_int_equal(enx_throttle_when(&t, now, 1), now + 2 * ENX_THROTTLE_OPEN_US);

    for (int i = 0; i < 20; i++) { /* longer each time, to a limit */
        now = enx_throttle_when(&t, now, 1);
        end_one(&t, now, ENX_THROTTLE_FAILED);
    }
    assert_int_equal(enx_throttle_when(&t, now, 1), now + ENX_THROTTLE_OPEN_US_MAX);

    now = enx_throttle_when(&t, now, 1);
    end_one(&t, now, ENX_THROTTLE_ANSWERED);
    assert_int_equal(enx_throttle_when(&t, now, 1), now);
    end_one(&t, now, ENX_THROTTLE_FAILED);
    assert_int_equal(enx_throttle_when(&t, now, 1), now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_everything_leaves_at_once),
        cmocka_unit_test(only_so_many_are_in_flight),
        cmocka_unit_test(no_minute_holds_more_than_the_limits),
        cmocka_unit_test(what_was_not_used_is_free_again),
        cmocka_unit_test(one_above_the_limit_leaves_alone),
        cmocka_unit_test(a_pause_is_never_shortened),
        cmocka_unit_test(failures_in_a_row_open_the_breaker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
