/* SPDX-License-Identifier: Apache-2.0 */
/* test_future.c - means of many draws against what a pencil gives, within 4 standard errors. */
#include "market/future.h"

#include "base/mem.h"
#include "market/equilibrium.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FIRMS = 4, YEARS = 5, DRAWS = 4000 };

#define COST  1.2
#define ALPHA 1.5
#define SIZE  1000.0
#define GAMMA 0.6

typedef struct bench {
    enx_product      products[FIRMS];
    enx_market       market;
    enx_future_input input;
} bench;

/* Everybody buys and firms are alike: each margin is n / (alpha (n - 1)), and training is
 * gamma size / alpha in all. */
static bench *make_bench(bool is_spend_endogenous)
{
    static bench b;
    memset(&b, 0, sizeof b);
    for (uint32_t i = 0; i < FIRMS; i++)
        b.products[i] = (enx_product){ .quality = 3, .unit_cost = COST, .owner = i };
    b.market = (enx_market){ .products = b.products,
                             .product_count = FIRMS,
                             .alpha = ALPHA,
                             .size = SIZE,
                             .gamma = GAMMA,
                             .is_spend_endogenous = is_spend_endogenous,
                             .training_ref_usd = 100 };
    b.input = enx_future_defaults();
    b.input.market = &b.market;
    b.input.years = YEARS;
    b.input.seed = 7;
    return &b;
}

static double margin(void) { return FIRMS / (ALPHA * (FIRMS - 1)); }

/* values[(year * METRICS + metric) * DRAWS + draw] */
static double *draw_all(const bench *b)
{
    double    *values = malloc(sizeof *values * DRAWS * YEARS * ENX_METRICS_COUNT);
    enx_report report = { 0 };
    assert_int_equal(enx_future_check(&b->input, &report), ENX_OK);
    for (uint32_t i = 0; i < DRAWS; i++) {
        double   rows[YEARS * ENX_METRICS_COUNT];
        uint32_t stop;
        if (enx_future_draw(rows, &stop, &b->input, i, &report) != ENX_OK)
            fail_msg("draw %u: %s", i, report.text);
        for (int k = 0; k < YEARS * ENX_METRICS_COUNT; k++) values[(size_t)k * DRAWS + i] = rows[k];
    }
    return values;
}

static double *cell(double *values, int year, enx_metric metric)
{
    return values + ((size_t)(year - 1) * ENX_METRICS_COUNT + metric) * DRAWS;
}

static void assert_mean(double *values, double want, const char *what)
{
    const enx_fan f = enx_future_fan(values, DRAWS);
    if (!(fabs(f.mean - want) <= 4 * f.standard_error + 1e-9 * fabs(want)))
        fail_msg("%s: %.10g +- %.2g, not %.10g", what, f.mean, f.standard_error, want);
}

static void the_law_holds_as_often_as_its_odds_say(void **state)
{
    (void)state;
    bench *b = make_bench(true);
    b->input.odds = 0.65;
    double *values = draw_all(b);
    for (int year = 1; year <= YEARS; year++)
        assert_mean(cell(values, year, ENX_METRIC_LAW), pow(0.65, year / 5.0), "law");
    free(values);
}

static void a_stop_year_overrules_the_odds(void **state)
{
    (void)state;
    bench   *b = make_bench(true);
    double   rows[YEARS * ENX_METRICS_COUNT];
    uint32_t stop;
    b->input.odds = 0.3;
    for (b->input.stop_year = 1; b->input.stop_year < YEARS + 3; b->input.stop_year++)
        for (uint64_t draw = 0; draw < 20; draw++) {
            assert_int_equal(enx_future_draw(rows, &stop, &b->input, draw, NULL), ENX_OK);
            assert_int_equal(stop, b->input.stop_year > YEARS ? YEARS + 1 : b->input.stop_year);
            for (uint32_t year = 1; year <= YEARS; year++)
                assert_true(rows[(year - 1) * ENX_METRICS_COUNT + ENX_METRIC_LAW] == (year < stop));
        }
}

/* The reference case: 10 a year while the law holds, 2 after, discount 0.9, odds 0.65 for 5 years.
 */
static void a_bet_on_the_law_is_worth_what_the_reference_says(void **state)
{
    (void)state;
    bench *b = make_bench(false);
    b->input.odds = 0.65;
    double *values = draw_all(b), worth[DRAWS];
    for (int i = 0; i < DRAWS; i++) {
        double factor = 1;
        worth[i] = 0;
        for (int year = 1; year <= YEARS; year++) {
            factor *= 0.9;
            worth[i] += factor * (2 + 8 * cell(values, year, ENX_METRIC_LAW)[i]);
        }
    }
    assert_mean(worth, 30.7240443070384, "present value");
    free(values);
}

static void a_stop_ends_training_and_leaves_gross_profit(void **state)
{
    (void)state;
    bench *b = make_bench(true);
    b->input.odds = 0.5;
    double      *values = draw_all(b);
    const double gross = SIZE * margin(), spend = GAMMA * SIZE / ALPHA;
    for (int year = 1; year <= YEARS; year++) {
        const double holds = pow(0.5, year / 5.0);
        assert_mean(cell(values, year, ENX_METRIC_TRAINING), holds * spend, "training");
        assert_mean(cell(values, year, ENX_METRIC_NET), gross - holds * spend, "net");
    }
    free(values);
}

static void demand_grows_by_the_mean_of_a_lognormal(void **state)
{
    (void)state;
    bench *b = make_bench(false);
    b->input.demand_growth = 1.5;
    b->input.demand_sd = 0.1;
    double *values = draw_all(b);
    for (int year = 1; year <= YEARS; year++) {
        const double growth = pow(1.5, year) * exp(year * year * 0.01 / 2);
        assert_mean(cell(values, year, ENX_METRIC_GROSS), growth * SIZE * margin(), "gross");
        assert_mean(cell(values, year, ENX_METRIC_UNITS), growth * SIZE, "units");
    }
    free(values);
}

static void costs_fall_by_trend_and_wander_by_noise(void **state)
{
    (void)state;
    bench *b = make_bench(false);
    b->input.cost_factor = 0.7;
    b->input.cost_sd = 0.1;
    b->input.noise_sd = 0.2;
    b->input.hardware_margin = 0.5;
    b->input.hardware_cost = 0.8;
    double *values = draw_all(b);
    for (int year = 1; year <= YEARS; year++) {
        const double spread = year * year * 0.01 + year * 0.04;
        const double cost = COST * pow(0.7, year) * exp(spread / 2);
        double      *costs = cell(values, year, ENX_METRIC_COST);
        assert_mean(cell(values, year, ENX_METRIC_PRICE), cost + margin(), "price");
        assert_mean(cell(values, year, ENX_METRIC_HARDWARE), 0.4 * SIZE * cost, "hardware");
        assert_mean(costs, cost, "cost");
        /* the 5 % quantile is exp of -1.645 deviations; its own error is about 2 % of it here */
        const double low = COST * pow(0.7, year) * exp(-1.6448536 * sqrt(spread));
        const double error = sqrt(0.05 * 0.95 / DRAWS) / 0.10313564 * sqrt(spread);
        assert_true(fabs(log(enx_future_fan(costs, DRAWS).quantiles[ENX_FUTURE_LOWEST] / low)) <
                    4 * error);
    }
    free(values);
}

static void training_moves_with_gamma(void **state)
{
    (void)state;
    bench *b = make_bench(true);
    b->input.gamma_sd = 0.15;
    double *values = draw_all(b);
    for (int year = 1; year <= YEARS; year++)
        assert_mean(cell(values, year, ENX_METRIC_TRAINING),
                    GAMMA * exp(0.15 * 0.15 / 2) * SIZE / ALPHA, "training");
    free(values);
}

static void experience_lowers_costs_with_each_doubling(void **state)
{
    (void)state;
    bench   *b = make_bench(false);
    double   rows[YEARS * ENX_METRICS_COUNT];
    uint32_t stop;
    b->input.learning_rate = 0.2;
    b->input.units_before = SIZE;
    assert_int_equal(enx_future_draw(rows, &stop, &b->input, 0, NULL), ENX_OK);
    for (int year = 1; year <= YEARS; year++) {
        const double cost = rows[(year - 1) * ENX_METRICS_COUNT + ENX_METRIC_COST];
        assert_true(fabs(cost / (COST * pow(year, log2(0.8))) - 1) < 1e-9);
    }
    assert_int_equal(stop, YEARS + 1);
}

/* Everything that moves, moves; then one input changes and the chances must not. */
/* Near like firms, with k = n / (n - 1)^2: a unit of quality moves the logarithm of sales by
 * 1 / (1 + k), and that of the price by k / (alpha price) of it.  Of four standard normals the
 * largest is 1.02938 on average, and 0.73237 above the next. */
static void qualities_wander_each_on_its_own(void **state)
{
    (void)state;
    bench *b = make_bench(false);
    b->input.quality_sd = 0.02;
    double      *values = draw_all(b), gaps[DRAWS], leads[DRAWS];
    const double k = FIRMS / ((FIRMS - 1.0) * (FIRMS - 1.0)), price = COST + margin();
    const double passed = (1 + k / (ALPHA * price)) / (1 + k);
    for (int year = 1; year <= YEARS; year++) {
        const double *first = cell(values, year, ENX_METRIC_LARGEST);
        const double *second = cell(values, year, ENX_METRIC_SECOND);
        const double *all = cell(values, year, ENX_METRIC_REVENUE);
        for (int i = 0; i < DRAWS; i++) {
            gaps[i] = log(first[i] / second[i]);
            leads[i] = log(FIRMS * first[i] / all[i]);
        }
        assert_mean(gaps, 0.73237 * 0.02 * sqrt(year) * passed, "first above second");
        assert_mean(leads, 1.02938 * 0.02 * sqrt(year) * passed, "first above the mean");
    }
    free(values);
}

static void another_scenario_has_the_same_luck(void **state)
{
    (void)state;
    bench   *b = make_bench(true);
    double   rows[2][YEARS * ENX_METRICS_COUNT];
    uint32_t stops[2];
    b->input.odds = 0.5;
    b->input.demand_sd = b->input.cost_sd = b->input.gamma_sd = b->input.noise_sd = 0.1;
    for (uint64_t draw = 0; draw < 200; draw++) {
        b->input.rho_after = 0;
        b->products[0].unit_cost = COST;
        b->input.years = YEARS;
        assert_int_equal(enx_future_draw(rows[0], &stops[0], &b->input, draw, NULL), ENX_OK);
        b->input.years = YEARS - 1;
        b->input.rho_after = 0.9;
        assert_int_equal(enx_future_draw(rows[1], &stops[1], &b->input, draw, NULL), ENX_OK);
        assert_true(stops[0] == stops[1] || stops[0] > YEARS - 1);
        for (uint32_t year = 1; year < YEARS; year++) {
            const size_t at = (year - 1) * ENX_METRICS_COUNT;
            assert_true(rows[0][at + ENX_METRIC_COST] == rows[1][at + ENX_METRIC_COST]);
            if (year < stops[0])
                assert_memory_equal(rows[0] + at, rows[1] + at, ENX_METRICS_COUNT * sizeof **rows);
            else assert_true(rows[1][at + ENX_METRIC_GROSS] < rows[0][at + ENX_METRIC_GROSS]);
        }
    }
}

static void a_lever_moves_one_thing(void **state)
{
    (void)state;
    for (int lever = 0; lever < ENX_LEVERS_COUNT; lever++) {
        const bench     *b = make_bench(true);
        enx_future_input in = b->input;
        enx_market       m;
        in.odds = 0.5;
        in.demand_growth = in.cost_factor = in.compute_growth = 2;
        const enx_future_input was = in;
        enx_future_turn(&in, &m, (enx_lever)lever, 0.9);
        assert_ptr_equal(in.market, &m);
        assert_non_null(enx_lever_names[lever]);
        const double before[] = {
            was.odds, was.demand_growth, was.cost_factor, was.compute_growth, GAMMA, ALPHA, 1
        };
        const double after[] = { in.odds, in.demand_growth, in.cost_factor, in.compute_growth,
                                 m.gamma, m.alpha,          1 - m.rho };
        for (int i = 0; i < ENX_LEVERS_COUNT; i++)
            assert_true(fabs(after[i] / before[i] - (i == lever ? 0.9 : 1)) < 1e-12);
        enx_future_turn(&in, &m, (enx_lever)lever, 100);
        assert_true(in.odds <= 1 && m.rho >= 0 && m.rho <= ENX_MARKET_RHO_MAX);
    }
}

static void open_weights_catch_up_after_the_stop(void **state)
{
    (void)state;
    bench   *b = make_bench(true);
    double   rows[YEARS * ENX_METRICS_COUNT];
    uint32_t stop;
    b->market.has_open = true;
    b->market.open_quality = 1;
    b->market.open_cost = COST;
    b->input.open_lag_years = 3;
    b->input.stop_year = 1;
    assert_int_equal(enx_future_draw(rows, &stop, &b->input, 0, NULL), ENX_OK);
    assert_int_equal(stop, 1);
    for (int year = 2; year <= YEARS; year++) {
        const double now = rows[(year - 1) * ENX_METRICS_COUNT + ENX_METRIC_GROSS];
        const double before = rows[(year - 2) * ENX_METRICS_COUNT + ENX_METRIC_GROSS];
        if (year <= 3) assert_true(now < 0.99 * before);
        else assert_true(now == before);
    }
}

/* gamma 1.25 lets five like firms live, and the worst of them leaves first. */
static void who_cannot_pay_for_training_stays_out(void **state)
{
    (void)state;
    bench   *b = make_bench(true);
    double   rows[YEARS * ENX_METRICS_COUNT];
    uint32_t stop;
    b->market.gamma = 1.4;
    assert_int_equal(enx_future_draw(rows, &stop, &b->input, 0, NULL), ENX_OK);
    assert_true(rows[ENX_METRIC_FIRMS] == 3);
    assert_true(rows[ENX_METRIC_NET] > 0);
    b->market.gamma = 99;
    enx_report report = { 0 };
    assert_int_equal(enx_future_draw(rows, &stop, &b->input, 0, &report), ENX_UNSUPPORTED);
    assert_non_null(strstr(report.text, "training"));
}

static void a_draw_that_grows_beyond_all_bounds_has_no_number(void **state)
{
    (void)state;
    bench     *b = make_bench(false);
    double     rows[YEARS * ENX_METRICS_COUNT];
    uint32_t   stop;
    enx_report report = { 0 };
    b->market.size = 1e17;
    b->input.demand_growth = 2;
    assert_int_equal(enx_future_check(&b->input, &report), ENX_OK);
    assert_int_equal(enx_future_draw(rows, &stop, &b->input, 0, &report), ENX_UNSUPPORTED);
    assert_non_null(strstr(report.text, "year 4: size"));
}

static void numbers_out_of_range_are_named(void **state)
{
    (void)state;
    static const size_t fields[] = {
        offsetof(enx_future_input, odds),           offsetof(enx_future_input, horizon_years),
        offsetof(enx_future_input, demand_growth),  offsetof(enx_future_input, demand_sd),
        offsetof(enx_future_input, cost_factor),    offsetof(enx_future_input, cost_sd),
        offsetof(enx_future_input, gamma_sd),       offsetof(enx_future_input, noise_sd),
        offsetof(enx_future_input, learning_rate),  offsetof(enx_future_input, units_before),
        offsetof(enx_future_input, compute_growth), offsetof(enx_future_input, rho_after),
        offsetof(enx_future_input, open_lag_years), offsetof(enx_future_input, hardware_margin),
        offsetof(enx_future_input, hardware_cost),  offsetof(enx_future_input, hardware_training),
    };
    const double bad[] = { -1, NAN, INFINITY, 1e30 };
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
        for (int i = 0; i < 4; i++) {
            bench     *b = make_bench(true);
            enx_report report = { 0 };
            memcpy((char *)&b->input + fields[f], &bad[i], sizeof bad[i]);
            assert_int_equal(enx_future_check(&b->input, &report), ENX_INVALID);
            assert_non_null(strstr(report.text, "future."));
        }
    bench *b = make_bench(true);
    b->input.years = ENX_FUTURE_YEARS_MAX + 1;
    assert_int_equal(enx_future_check(&b->input, NULL), ENX_INVALID);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const bench *b = make_bench(true);
    for (long calls = 0;; calls++) {
        double   rows[YEARS * ENX_METRICS_COUNT];
        uint32_t stop = 99;
        enx_mem_fail_after(calls);
        const enx_status status = enx_future_draw(rows, &stop, &b->input, 0, NULL);
        enx_mem_fail_after(-1);
        if (status == ENX_OK) {
            assert_true(calls >= 3 + 3 * (YEARS + 1));
            break;
        }
        assert_int_equal(status, ENX_NOMEM);
        assert_int_equal(stop, 99);
    }
}

static void a_fan_is_of_its_values(void **state)
{
    (void)state;
    double        values[] = { 40, 0, 30, 10, 20 };
    const enx_fan fan = enx_future_fan(values, 5);
    assert_true(fan.mean == 20 && fan.quantiles[ENX_FUTURE_MEDIAN] == 20 &&
                fan.quantiles[ENX_FUTURE_QUARTER] == 10);
    assert_true(fabs(fan.quantiles[ENX_FUTURE_LOWEST] - 2) < 1e-12);
    assert_true(fabs(fan.standard_error - sqrt(50)) < 1e-12);
    assert_true(enx_future_fan(values, 1).quantiles[ENX_FUTURE_HIGHEST] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_law_holds_as_often_as_its_odds_say),
        cmocka_unit_test(a_stop_year_overrules_the_odds),
        cmocka_unit_test(a_bet_on_the_law_is_worth_what_the_reference_says),
        cmocka_unit_test(a_stop_ends_training_and_leaves_gross_profit),
        cmocka_unit_test(demand_grows_by_the_mean_of_a_lognormal),
        cmocka_unit_test(costs_fall_by_trend_and_wander_by_noise),
        cmocka_unit_test(training_moves_with_gamma),
        cmocka_unit_test(experience_lowers_costs_with_each_doubling),
        cmocka_unit_test(qualities_wander_each_on_its_own),
        cmocka_unit_test(another_scenario_has_the_same_luck),
        cmocka_unit_test(a_lever_moves_one_thing),
        cmocka_unit_test(open_weights_catch_up_after_the_stop),
        cmocka_unit_test(who_cannot_pay_for_training_stays_out),
        cmocka_unit_test(a_draw_that_grows_beyond_all_bounds_has_no_number),
        cmocka_unit_test(numbers_out_of_range_are_named),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(a_fan_is_of_its_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
