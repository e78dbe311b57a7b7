/* SPDX-License-Identifier: Apache-2.0 */
/* test_turns.c - whom others wait for goes first, and nobody starves. */
#include "backend/turns.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { LEAD, FIRST, SECOND, MODELS, W = ENX_TURNS_AWAITED };

static const enx_turns_load busy = { .calls = 3 }, awaited = { .calls = 2, .awaited = 1 };

/* Take `steps` steps; out [MODELS]: the time of each.  A step of a model lasts length_us[model]. */
static void run(enx_turns *t, const enx_turns_load *loads, const uint64_t *length_us, int steps,
                uint64_t *out)
{
    for (int m = 0; m < MODELS; m++) out[m] = 0;
    for (int i = 0; i < steps; i++) {
        const uint32_t m = enx_turns_next(t, loads, MODELS);
        assert_true(m < MODELS && loads[m].calls > 0);
        enx_turns_spend(t, loads, MODELS, m, length_us[m]);
        out[m] += length_us[m];
    }
}

static void the_lead_is_awaited_and_workers_are_not(void **state)
{
    (void)state;
    const bool want[ENX_ROLE_COUNT] = {
        [ENX_ROLE_PLAN] = true, [ENX_ROLE_LEAD] = true, [ENX_ROLE_AUDIT] = true
    };
    for (int role = 0; role < ENX_ROLE_COUNT; role++)
        assert_int_equal(enx_turns_is_awaited((enx_role)role), want[role]);
}

static void without_calls_there_is_no_turn(void **state)
{
    (void)state;
    const enx_turns      t = { 0 };
    const enx_turns_load none[MODELS] = { 0 };
    assert_int_equal(enx_turns_next(&t, none, MODELS), MODELS);
}

static void models_that_nobody_waits_for_share_time_and_not_steps(void **state)
{
    (void)state;
    enx_turns            t = { 0 };
    const enx_turns_load loads[MODELS] = { busy, busy, busy };
    const uint64_t       length_us[MODELS] = { 700, 100, 10 };
    uint64_t             spent_us[MODELS];
    run(&t, loads, length_us, 20000, spent_us);
    for (int m = 1; m < MODELS; m++)
        assert_true(spent_us[m] + 700 >= spent_us[0] && spent_us[m] <= spent_us[0] + 700);
}

static void whom_others_wait_for_goes_first(void **state)
{
    (void)state;
    enx_turns            t = { 0 };
    const enx_turns_load before[MODELS] = { { 0 }, busy, busy };
    const enx_turns_load loads[MODELS] = { awaited, busy, busy };
    const uint64_t       length_us[MODELS] = { 100, 100, 100 };
    uint64_t             spent_us[MODELS];
    for (int steps = 0; steps < 40; steps++) { /* whenever it comes, its step is the next */
        run(&t, before, length_us, steps, spent_us);
        assert_int_equal(enx_turns_next(&t, loads, MODELS), LEAD);
    }
    run(&t, loads, length_us, 10000, spent_us);
    for (int m = FIRST; m < MODELS; m++) /* but for a step at the beginning and one at the end */
        assert_true(spent_us[LEAD] + 2 * W * 100 >= W * spent_us[m] &&
                    spent_us[LEAD] <= W * (spent_us[m] + 2 * 100));
}

/* Models come and go by seed; a worker that has calls is never passed over for longer than its
 * share explains: W times what it got, and one step of each. */
static void nobody_starves(void **state)
{
    (void)state;
    const uint64_t length_us[MODELS] = { 5000, 300, 20 };
    for (uint64_t seed = 0; seed < 50; seed++) {
        enx_rng        rng = enx_rng_open(seed, 0);
        enx_turns      t = { 0 };
        enx_turns_load loads[MODELS] = { awaited, busy, busy };
        uint64_t       waited_us = 0;
        for (int i = 0; i < 5000; i++) {
            if (enx_rng_below(&rng, 8) == 0)
                loads[LEAD] = loads[LEAD].calls ? (enx_turns_load){ 0 } : awaited;
            if (enx_rng_below(&rng, 8) == 0) loads[FIRST].calls = (uint32_t)enx_rng_below(&rng, 3);
            const uint32_t m = enx_turns_next(&t, loads, MODELS);
            enx_turns_spend(&t, loads, MODELS, m, length_us[m]);
            waited_us = m == SECOND ? 0 : waited_us + length_us[m];
            assert_true(waited_us <= W * length_us[SECOND] + (W + 1) * length_us[FIRST] +
                                         (W + 1) * length_us[LEAD]);
        }
    }
}

static void idleness_earns_no_credit(void **state)
{
    (void)state;
    enx_turns            t = { 0 };
    const enx_turns_load alone[MODELS] = { [FIRST] = busy }, both[MODELS] = { { 0 }, busy, busy };
    const uint64_t       length_us[MODELS] = { 100, 100, 100 };
    uint64_t             spent_us[MODELS];
    run(&t, alone, length_us, 1000, spent_us);
    run(&t, both, length_us, 10, spent_us);
    assert_true(spent_us[SECOND] >= 500 && spent_us[SECOND] <= 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lead_is_awaited_and_workers_are_not),
        cmocka_unit_test(without_calls_there_is_no_turn),
        cmocka_unit_test(models_that_nobody_waits_for_share_time_and_not_steps),
        cmocka_unit_test(whom_others_wait_for_goes_first),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(idleness_earns_no_credit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
