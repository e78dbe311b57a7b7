/* SPDX-License-Identifier: Apache-2.0 */
/* test_buy.c - three bills, against worked examples and against one another. */
#include "market/buy.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static enx_buy_input make_input(void)
{
    return (enx_buy_input){ .accuracies = { NAN, NAN, NAN },
                            .small_task_usd = NAN,
                            .life_years = 1,
                            .tasks = 1e5,
                            .tokens_in = 1200,
                            .tokens_cached = 800,
                            .tokens_out = 400,
                            .api = { 3, 0.3, 15 },
                            .has_own = true,
                            .usd_per_hour = 2.5,
                            .hours = 730,
                            .overhead = 1.15,
                            .tokens_per_s_in = 20000,
                            .tokens_per_s_out = 1500,
                            .utilisation = 0.4,
                            .setup_usd = 3000,
                            .months = 12,
                            .has_swarm = true,
                            .small = { 0.1, 0.01, 0.4 },
                            .escalated = 0.15,
                            .audited = 0.02,
                            .fixed_usd = 50 };
}

static enx_buy solve(const enx_buy_input *in)
{
    enx_buy    b;
    enx_report report = { 0 };
    if (enx_buy_solve(&b, in, &report) != ENX_OK) fail_msg("%s", report.text);
    return b;
}

static bool is_near(double a, double b) { return fabs(a - b) <= 1e-9 * fabs(b); }

/* 120 million tokens in at 0.25 and 40 million out at 2 USD a million; a machine at 1.19 USD an
 * hour for 729.6 hours, and 15 %: a published example, induwara.lk. */
static void a_published_break_even_comes_out_to_the_cent(void **state)
{
    (void)state;
    enx_buy_input in = make_input();
    in.tasks = 1;
    in.tokens_in = 120e6;
    in.tokens_cached = 0;
    in.tokens_out = 40e6;
    in.api = (enx_tariff){ 0.25, 0.25, 2 };
    in.usd_per_hour = 1.19;
    in.hours = 729.6;
    in.tokens_per_s_in = in.tokens_per_s_out = 1e6;
    in.utilisation = 1;
    in.setup_usd = 0;
    const enx_buy b = solve(&in);
    assert_true(fabs(b.api_usd - 110.00) < 0.005);
    assert_true(fabs(b.own_usd - 998.46) < 0.005);
    assert_true(fabs(b.own_break_even * 160e6 / 1e9 - 1.4523) < 5e-5);
}

/* A call with cached tokens as a proxy should have billed it: BerriAI/litellm issue 27191. */
static void a_call_with_cached_tokens_costs_what_it_should(void **state)
{
    (void)state;
    const enx_buy_input in = { .tasks = 1,
                               .tokens_in = 6074,
                               .tokens_cached = 3456,
                               .tokens_out = 285,
                               .api = { 2.5, 0.25, 15 } };
    assert_true(fabs(solve(&in).api_usd - 0.011684) < 5e-7);
    assert_true(isinf(solve(&in).own_usd) && isinf(solve(&in).swarm_usd));
}

/* Bills of an API that others worked out on a page of theirs, to their last digit. */
static void published_bills_come_out_to_the_cent(void **state)
{
    (void)state;
    static const struct {
        double tasks, in, out, usd_in, usd_out, usd, digit;
    } rows[] = {
        /* ai-costcalculator.com, "How to calculate AI API costs": 45.00 and 60.00 USD a month */
        { 200000, 1500, 0, 0.15, 0.60, 45.00, 0.005 },
        { 200000, 0, 500, 0.15, 0.60, 60.00, 0.005 },
        { 200000, 1500, 500, 0.15, 0.60, 105.00, 0.005 },
        /* codelint.dev, "LLM cost calculator guide": a request, a day, a month, a busier day */
        { 1, 1000, 500, 2.50, 10, 0.0075, 5e-5 },
        { 10000, 1000, 500, 2.50, 10, 75, 0.005 },
        { 300000, 1000, 500, 2.50, 10, 2250, 0.005 },
        { 3000000, 1000, 500, 2.50, 10, 22500, 0.005 },
        /* opcmake.com, "How to calculate LLM API costs": chat, code review, writing */
        { 1, 500, 300, 2.50, 15, 0.00575, 5e-6 },
        { 1, 3000, 800, 2.50, 15, 0.01950, 5e-6 },
        { 1, 200, 2000, 2.50, 15, 0.03050, 5e-6 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enx_buy_input in = enx_buy_defaults();
        in.tasks = rows[i].tasks;
        in.tokens_in = rows[i].in;
        in.tokens_out = rows[i].out;
        in.api = (enx_tariff){ rows[i].usd_in, rows[i].usd_in, rows[i].usd_out };
        const double usd = solve(&in).api_usd;
        if (!(fabs(usd - rows[i].usd) < rows[i].digit)) fail_msg("row %zu: %.10g", i, usd);
    }
}

/* dreaming.press, "Self-hosting LLM inference vs. API": 2.50 USD an hour and 700 tokens a second
 * are 0.99 USD a million, and ten times that when a tenth of the time is used. */
static void an_idle_machine_is_dear(void **state)
{
    (void)state;
    const double used[] = { 1, 0.1 }, usd[] = { 0.99, 9.92 };
    for (int i = 0; i < 2; i++) {
        enx_buy_input in = enx_buy_defaults();
        in.has_own = true;
        in.usd_per_hour = 2.5;
        in.tokens_per_s_in = in.tokens_per_s_out = 700;
        in.utilisation = used[i];
        in.tokens_out = 1e6;
        in.tasks = 1;
        in.tasks = solve(&in).machine_tasks; /* a full machine */
        const double got = solve(&in).own_usd / in.tasks;
        if (!(fabs(got - usd[i]) < 0.005)) fail_msg("%.10g, not %g", got, usd[i]);
    }
}

/* The reference case: 100 million USD for two years at 10 %, 5e7 tasks of a million tokens a year
 * at 1 USD each. */
static void a_machine_that_is_bought_costs_an_annuity(void **state)
{
    (void)state;
    assert_true(is_near(enx_buy_annuity(0.1, 2), 0.57619047619047619));
    assert_true(is_near(enx_buy_annuity(0, 4), 0.25));
    assert_true(is_near(enx_buy_annuity(1e-12, 4), 0.25));
    enx_buy_input in = enx_buy_defaults();
    in.has_own = true;
    in.buy_usd = 1e8;
    in.life_years = 2;
    in.tasks = 5e7 / 12;
    in.tokens_out = 1e6;
    in.usd_per_hour = in.tasks / in.hours; /* 1 USD a task */
    in.task_seconds = 1e-3;
    assert_true(is_near(solve(&in).own_usd / in.tasks, 2.1523809523809524));
}

static void a_whole_task_may_be_priced_and_timed(void **state)
{
    (void)state;
    enx_buy_input in = make_input();
    const enx_buy by_tokens = solve(&in);
    in.task_seconds = 400 / 20000.0 + 400 / 1500.0;
    in.small_task_usd = (400 * 0.1 + 800 * 0.01 + 400 * 0.4) / 1e6;
    in.tokens_per_s_in = 0; /* not looked at */
    in.small = (enx_tariff){ NAN, NAN, NAN };
    const enx_buy by_task = solve(&in);
    assert_true(is_near(by_task.own_usd, by_tokens.own_usd));
    assert_true(is_near(by_task.swarm_usd, by_tokens.swarm_usd));
}

static void what_is_not_known_to_be_right_is_not_the_cheapest(void **state)
{
    (void)state;
    enx_buy_input in = make_input();
    assert_int_equal(solve(&in).cheapest, ENX_BUY_SWARM);
    in.accuracy = 0.95;
    assert_int_equal(solve(&in).cheapest, ENX_BUY_WAYS_COUNT);
    in.accuracies[ENX_BUY_API] = 0.97;
    assert_int_equal(solve(&in).cheapest, ENX_BUY_API);
    in.accuracies[ENX_BUY_SWARM] = 0.949;
    assert_int_equal(solve(&in).cheapest, ENX_BUY_API);
    in.accuracies[ENX_BUY_SWARM] = 0.95;
    assert_int_equal(solve(&in).cheapest, ENX_BUY_SWARM);
}

static void a_price_for_one_token_is_told(void **state)
{
    (void)state;
    enx_buy_input in = make_input();
    enx_buy       b;
    enx_report    report = { 0 };
    in.api.in = 2.5e-6;
    assert_int_equal(enx_buy_solve(&b, &in, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "api: usd_per_mtok_in"));
    assert_non_null(strstr(report.text, "if it is for one token, write 2.5"));
    in = make_input();
    in.small.out = 4e-7;
    assert_int_equal(enx_buy_solve(&b, &in, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "swarm: usd_per_mtok_out"));
}

static void a_lever_moves_one_thing(void **state)
{
    (void)state;
    const enx_buy_input base = make_input();
    const enx_buy       before = solve(&base);
    for (int lever = 0; lever < ENX_BUY_LEVERS_COUNT; lever++) {
        enx_buy_input in = base;
        enx_buy_turn(&in, (enx_buy_lever)lever, 1.1);
        const enx_buy b = solve(&in);
        const bool    is_own = lever == ENX_BUY_LEVER_MACHINE || lever == ENX_BUY_LEVER_SPEED;
        const bool    is_swarm = lever == ENX_BUY_LEVER_SMALL || lever == ENX_BUY_LEVER_ESCALATED;
        assert_true((b.api_usd == before.api_usd) == (is_own || is_swarm));
        assert_true((b.swarm_usd == before.swarm_usd) == is_own);
        if (lever == ENX_BUY_LEVER_SPEED)
            assert_true(is_near(b.machine_tasks, before.machine_tasks * 1.1));
        if (lever == ENX_BUY_LEVER_MACHINE) assert_true(b.own_usd > before.own_usd);
        assert_non_null(enx_buy_lever_names[lever]);
    }
    enx_buy_input in = base;
    enx_buy_turn(&in, ENX_BUY_LEVER_ESCALATED, 100);
    assert_true(in.escalated == 1);
}

static void at_break_even_the_bills_are_equal(void **state)
{
    (void)state;
    const double setups[] = { 0, 3000, 3e5 };
    for (int i = 0; i < 3; i++) {
        enx_buy_input in = make_input();
        in.setup_usd = setups[i];
        in.tasks = solve(&in).own_break_even;
        const enx_buy b = solve(&in);
        assert_true(is_near(b.own_usd, b.api_usd));
        in.tasks *= 0.999;
        assert_true(solve(&in).own_usd > solve(&in).api_usd);
    }
    enx_buy_input in = make_input();
    in.tasks = solve(&in).swarm_break_even;
    assert_true(is_near(solve(&in).swarm_usd, solve(&in).api_usd));
    in = make_input();
    in.escalated = solve(&in).escalated_break_even;
    assert_true(in.escalated > 0.15 && in.escalated < 1);
    assert_true(is_near(solve(&in).swarm_usd, solve(&in).api_usd));
}

static void machines_are_whole(void **state)
{
    (void)state;
    enx_buy_input in = make_input();
    in.tasks = 1;
    const double one = solve(&in).own_usd, room = solve(&in).machine_tasks;
    assert_true(is_near(room, 730 * 3600 * 0.4 / (400 / 20000.0 + 400 / 1500.0)));
    in.tasks = room * 0.999;
    assert_true(solve(&in).own_usd == one);
    in.tasks = room * 1.001;
    assert_true(solve(&in).machines == 2);
    assert_true(is_near(solve(&in).own_usd - one, 2.5 * 730 * 1.15));
}

static void what_never_pays_has_no_break_even(void **state)
{
    (void)state;
    enx_buy_input in = make_input();
    in.usd_per_hour = 1000;
    in.small = in.api;
    assert_true(isinf(solve(&in).own_break_even));
    assert_true(isinf(solve(&in).swarm_break_even));
    assert_true(solve(&in).escalated_break_even < 0);
    in.api = (enx_tariff){ 0, 0, 0 };
    assert_true(isinf(solve(&in).own_break_even) && solve(&in).api_usd == 0);
}

static void numbers_out_of_range_are_named(void **state)
{
    (void)state;
    static const struct {
        size_t      field;
        const char *key;
    } rows[] = {
        { offsetof(enx_buy_input, tasks), "job.tasks" },
        { offsetof(enx_buy_input, tokens_in), "job.tokens" },
        { offsetof(enx_buy_input, tokens_cached), "job.tokens_cached" },
        { offsetof(enx_buy_input, tokens_out), "job.tokens_out" },
        { offsetof(enx_buy_input, api.in), "api: usd_per_mtok_in" },
        { offsetof(enx_buy_input, small.out), "swarm: usd_per_mtok_out" },
        { offsetof(enx_buy_input, usd_per_hour), "own.usd_per_hour" },
        { offsetof(enx_buy_input, hours), "own.hours" },
        { offsetof(enx_buy_input, overhead), "own.overhead" },
        { offsetof(enx_buy_input, tokens_per_s_in), "own.tokens_per_s_in" },
        { offsetof(enx_buy_input, tokens_per_s_out), "own.tokens_per_s_out" },
        { offsetof(enx_buy_input, utilisation), "own.utilisation" },
        { offsetof(enx_buy_input, months), "own.months" },
        { offsetof(enx_buy_input, escalated), "swarm.escalated" },
        { offsetof(enx_buy_input, audited), "swarm.audited" },
        { offsetof(enx_buy_input, fixed_usd), "swarm.fixed_usd" },
        { offsetof(enx_buy_input, buy_usd), "own.buy_usd" },
        { offsetof(enx_buy_input, life_years), "own.life_years" },
        { offsetof(enx_buy_input, rate), "own.rate" },
        { offsetof(enx_buy_input, task_seconds), "own.task_seconds" },
        { offsetof(enx_buy_input, accuracy), "job.accuracy" },
    };
    const double bad[] = { -1, NAN, INFINITY, 1e20 };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (int i = 0; i < 4; i++) {
            enx_buy_input in = make_input();
            enx_buy       b = { .api_usd = 7 };
            enx_report    report = { 0 };
            memcpy((char *)&in + rows[r].field, &bad[i], sizeof bad[i]);
            assert_int_equal(enx_buy_solve(&b, &in, &report), ENX_INVALID);
            if (!strstr(report.text, rows[r].key))
                fail_msg("\"%s\" does not name %s", report.text, rows[r].key);
            assert_true(b.api_usd == 7);
        }
    enx_buy_input in = make_input();
    enx_buy       b;
    in.tokens_in = in.tokens_cached = in.tokens_out = 0;
    assert_int_equal(enx_buy_solve(&b, &in, NULL), ENX_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_break_even_comes_out_to_the_cent),
        cmocka_unit_test(a_call_with_cached_tokens_costs_what_it_should),
        cmocka_unit_test(published_bills_come_out_to_the_cent),
        cmocka_unit_test(an_idle_machine_is_dear),
        cmocka_unit_test(a_machine_that_is_bought_costs_an_annuity),
        cmocka_unit_test(a_whole_task_may_be_priced_and_timed),
        cmocka_unit_test(what_is_not_known_to_be_right_is_not_the_cheapest),
        cmocka_unit_test(a_price_for_one_token_is_told),
        cmocka_unit_test(a_lever_moves_one_thing),
        cmocka_unit_test(at_break_even_the_bills_are_equal),
        cmocka_unit_test(machines_are_whole),
        cmocka_unit_test(what_never_pays_has_no_break_even),
        cmocka_unit_test(numbers_out_of_range_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
