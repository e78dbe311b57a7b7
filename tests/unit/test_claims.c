/* SPDX-License-Identifier: Apache-2.0 */
/* test_claims.c - verdicts flip where they say they do, and where a pencil says so. */
#include "market/claims.h"

#include "base/mem.h"
#include "market/equilibrium.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { FIRMS = 4 };

typedef struct bench {
    enx_product      products[FIRMS];
    enx_market       market;
    enx_claims_input input;
} bench;

static const double layers[] = { 1, 4.3, 8 };

/* Four like firms that train. */
static bench *make_bench(bool has_outside)
{
    static bench b;
    memset(&b, 0, sizeof b);
    for (uint32_t i = 0; i < FIRMS; i++)
        b.products[i] = (enx_product){ .quality = 3.74, .unit_cost = 1.33, .owner = i };
    b.market = (enx_market){ .products = b.products,
                             .product_count = FIRMS,
                             .alpha = 1.87,
                             .size = 3.75e10,
                             .has_outside = has_outside,
                             .gamma = 1.2,
                             .is_spend_endogenous = true,
                             .training_ref_usd = 4.8e9 };
    b.input = enx_claims_defaults();
    b.input.market = &b.market;
    b.input.layer_firms = layers;
    b.input.layer_count = 3;
    return &b;
}

static void judge(enx_claim *claims, const bench *b)
{
    enx_report report = { 0 };
    if (enx_claims_judge(claims, &b->input, &report) != ENX_OK) fail_msg("%s", report.text);
}

static bool verdict(const bench *b, int id, double value)
{
    bool       holds;
    double     measured;
    enx_report report = { 0 };
    if (enx_claims_verdict(&holds, &measured, &b->input, (enx_claim_id)id, value, &report) !=
        ENX_OK)
        fail_msg("claim %d at %.17g: %s", id, value, report.text);
    return holds;
}

static void assert_near(double got, double want, double rel_tol, const char *what)
{
    if (!(fabs(got - want) <= rel_tol * fabs(want)))
        fail_msg("%s: %.17g, not %.17g", what, got, want);
}

static int count_flips(const bench *b)
{
    enx_claim claims[ENX_CLAIMS_COUNT];
    int       flipping = 0;
    judge(claims, b);
    for (int id = 0; id < ENX_CLAIMS_COUNT; id++) {
        const double flips[] = { claims[id].flip_below, claims[id].flip_above };
        bool         has_flip = false;
        assert_int_equal(verdict(b, id, claims[id].value), claims[id].holds);
        for (int i = 0; i < 2; i++) {
            if (isnan(flips[i])) continue;
            has_flip = true;
            const double there = i == 0 ? 0.999 : 1.001, back = i == 0 ? 1.001 : 0.999;
            if (verdict(b, id, flips[i] * there) == claims[id].holds ||
                verdict(b, id, flips[i] * back) != claims[id].holds)
                fail_msg("claim %s does not flip at %.17g", claims[id].name, flips[i]);
        }
        flipping += has_flip;
    }
    return flipping;
}

static void all_seven_flip_within_a_thousandth_of_their_thresholds(void **state)
{
    (void)state;
    bench *b = make_bench(true);
    assert_int_equal(count_flips(b), 7);
    for (uint32_t i = 0; i < FIRMS; i++) {
        b->products[i].quality += 0.05 * i;
        b->products[i].unit_cost += 0.03 * i;
    }
    b->market.rho = 0.1;
    b->market.gamma = 0.95;
    assert_int_equal(count_flips(b), 7);
}

/* Everybody buys and firms are alike: margins are (1 - rho) n / (alpha (n - 1)), training is
 * gamma size / alpha in all. */
static void thresholds_are_those_of_the_covered_market(void **state)
{
    (void)state;
    const double n = FIRMS;
    for (double rho = 0; rho < 0.5; rho += 0.2) {
        bench    *b = make_bench(false);
        enx_claim claims[ENX_CLAIMS_COUNT];
        b->market.rho = rho;
        b->market.gamma = 1.25 * (1 - rho);
        judge(claims, b);
        const double gamma = b->market.gamma, alpha = b->market.alpha, cost = 1.33;
        assert_near(claims[ENX_CLAIM_LAW].flip_below,
                    b->input.exponent / gamma * (1 - rho) * n / (n - 1) / 11, 1e-6, "law");
        assert_near(claims[ENX_CLAIM_LAYERS].flip_above, 5.4, 1e-12, "layers");
        assert_true(claims[ENX_CLAIM_FEW].holds);
        assert_near(claims[ENX_CLAIM_FEW].flip_below, 1.2 * (1 - rho), 1e-7, "six firms");
        assert_near(claims[ENX_CLAIM_FEW].flip_above, 4.0 / 3 * (1 - rho), 1e-7, "three firms");
        assert_near(1 - claims[ENX_CLAIM_SOLAR].flip_above, alpha * cost / 4 * (n - 1) / n, 1e-10,
                    "solar");
        assert_near(claims[ENX_CLAIM_INFERENCE].flip_above, alpha * cost / gamma, 1e-10,
                    "inference");
    }
}

/* Present values by the sum of two geometric series, welfare by the formula of a market at cost. */
static void odds_and_state_flip_where_closed_forms_do(void **state)
{
    (void)state;
    bench    *b = make_bench(true);
    enx_claim claims[ENX_CLAIMS_COUNT];
    judge(claims, b);
    enx_equilibrium *e = NULL;
    assert_int_equal(enx_equilibrium_open(&e, &b->market, NULL), ENX_OK);
    const double quality = 3.74 + 1.2 * log(e->training_usd[0] / 4.8e9);
    const double off = FIRMS * e->gross_usd[0], on = off - FIRMS * e->training_usd[0];
    const double welfare = e->consumer_surplus_usd + off;
    enx_equilibrium_close(&e);
    for (int i = 0; i < 2; i++) {
        const double horizon =
            i ? claims[ENX_CLAIM_ODDS].flip_above : claims[ENX_CLAIM_ODDS].flip_below;
        double value[2];
        for (int k = 0; k < 2; k++) {
            const double a = 0.9 * pow(k ? 0.7 : 0.6, 1 / horizon);
            value[k] =
                off * 0.9 * (1 - pow(0.9, 10)) / 0.1 + (on - off) * a * (1 - pow(a, 10)) / (1 - a);
        }
        assert_near(2 * fabs(value[1] - value[0]) / (value[0] + value[1]), 0.1, 1e-9, "odds");
    }
    const double factor = claims[ENX_CLAIM_STATE].flip_above;
    const double at_cost = 3.75e10 / 1.87 * log(1 + FIRMS * exp(quality - 1.87 * 1.33 * factor));
    assert_near(at_cost, welfare, 1e-10, "state");
}

static void quantities_leave_room_for_any_number(void **state)
{
    (void)state;
    bench    *b = make_bench(true);
    enx_claim claims[ENX_CLAIMS_COUNT];
    b->market.conduct = ENX_CONDUCT_COURNOT;
    b->market.gamma = 1.05;
    judge(claims, b);
    assert_false(claims[ENX_CLAIM_FEW].holds);
    assert_true(claims[ENX_CLAIM_FEW].measured > 5);
}

static void draws_are_as_the_inputs_when_these_are_certain(void **state)
{
    (void)state;
    bench    *b = make_bench(true);
    enx_claim claims[ENX_CLAIMS_COUNT];
    bool      holds[ENX_CLAIMS_COUNT], again[ENX_CLAIMS_COUNT];
    double    measured[ENX_CLAIMS_COUNT], other[ENX_CLAIMS_COUNT];
    judge(claims, b);
    assert_int_equal(enx_claims_draw(holds, measured, &b->input, 0, 1, 7, NULL), ENX_OK);
    for (int id = 0; id < ENX_CLAIMS_COUNT; id++) {
        assert_int_equal(holds[id], claims[id].holds);
        assert_near(measured[id], claims[id].measured, 1e-12, claims[id].name);
    }
    assert_int_equal(enx_claims_draw(holds, measured, &b->input, 0.1, 1, 7, NULL), ENX_OK);
    assert_int_equal(enx_claims_draw(again, other, &b->input, 0.1, 1, 7, NULL), ENX_OK);
    assert_memory_equal(measured, other, sizeof measured);
    assert_int_equal(enx_claims_draw(again, other, &b->input, 0.1, 1, 8, NULL), ENX_OK);
    assert_true(memcmp(measured, other, sizeof measured) != 0);
}

/* Serving is alpha cost / (alpha cost + part gamma) where everybody buys: with each of the three
 * uncertain by sd, the claim hangs on a sum of normals. */
static void a_claim_holds_as_often_as_its_inputs_allow(void **state)
{
    (void)state;
    enum { DRAWS = 2000 };
    bench       *b = make_bench(false);
    const double sd = 0.3;
    int          held = 0;
    b->market.gamma = 0.9;
    b->input.training_counted = 2.5;
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        bool   holds[ENX_CLAIMS_COUNT];
        double measured[ENX_CLAIMS_COUNT];
        assert_int_equal(enx_claims_draw(holds, measured, &b->input, sd, 3, draw, NULL), ENX_OK);
        held += holds[ENX_CLAIM_INFERENCE];
    }
    /* holds where alpha cost > part gamma; but where gamma passes what four firms can live on there
     * is still an equilibrium, so all draws count */
    const double z = log(1.87 * 1.33 / (2.5 * 0.9)) / (sd * sqrt(3));
    const double want = 0.5 * erfc(-z / sqrt(2)), error = sqrt(want * (1 - want) / DRAWS);
    if (fabs(held / (double)DRAWS - want) > 4 * error)
        fail_msg("holds in %g, not %g +- %g", held / (double)DRAWS, want, error);
}

static void one_layer_is_not_judged(void **state)
{
    (void)state;
    bench    *b = make_bench(true);
    enx_claim claims[ENX_CLAIMS_COUNT];
    b->input.layer_count = 1;
    judge(claims, b);
    assert_false(claims[ENX_CLAIM_LAYERS].is_judged);
    assert_true(isnan(claims[ENX_CLAIM_LAYERS].flip_above));
    assert_true(claims[ENX_CLAIM_STATE].is_judged);
}

static void assert_refused(const bench *b, enx_status status, const char *word)
{
    enx_claim  claims[ENX_CLAIMS_COUNT] = { { .name = "untouched" } };
    enx_report report = { 0 };
    assert_int_equal(enx_claims_judge(claims, &b->input, &report), status);
    if (!strstr(report.text, word)) fail_msg("\"%s\" does not name %s", report.text, word);
    assert_string_equal(claims[0].name, "untouched");
}

static void inputs_out_of_range_are_named(void **state)
{
    (void)state;
    static const size_t fields[] = {
        offsetof(enx_claims_input, exponent),      offsetof(enx_claims_input, training_counted),
        offsetof(enx_claims_input, odds_low),      offsetof(enx_claims_input, odds_high),
        offsetof(enx_claims_input, horizon_years), offsetof(enx_claims_input, value_years),
        offsetof(enx_claims_input, discount),      offsetof(enx_claims_input, public_cost_factor),
    };
    const double bad[] = { -1, 0, NAN, INFINITY, 1e9 };
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
        for (int i = 0; i < 5; i++) {
            bench *b = make_bench(true);
            memcpy((char *)&b->input + fields[f], &bad[i], sizeof bad[i]);
            assert_refused(b, ENX_INVALID, "claims.");
        }
    bench *b = make_bench(true);
    b->market.is_spend_endogenous = false;
    assert_refused(b, ENX_INVALID, "endogenous");
    b = make_bench(true);
    b->input.firms_max = 3;
    assert_refused(b, ENX_INVALID, "firms_max");
    b = make_bench(true);
    b->market.size = 1;
    assert_refused(b, ENX_UNSUPPORTED, "claim law");
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const bench *b = make_bench(true);
    for (long calls = 0; calls < 400; calls += 1 + calls / 20) {
        enx_claim claims[ENX_CLAIMS_COUNT];
        enx_mem_fail_after(calls);
        const enx_status status = enx_claims_judge(claims, &b->input, NULL);
        enx_mem_fail_after(-1);
        assert_int_equal(status, ENX_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_seven_flip_within_a_thousandth_of_their_thresholds),
        cmocka_unit_test(thresholds_are_those_of_the_covered_market),
        cmocka_unit_test(odds_and_state_flip_where_closed_forms_do),
        cmocka_unit_test(quantities_leave_room_for_any_number),
        cmocka_unit_test(draws_are_as_the_inputs_when_these_are_certain),
        cmocka_unit_test(a_claim_holds_as_often_as_its_inputs_allow),
        cmocka_unit_test(one_layer_is_not_judged),
        cmocka_unit_test(inputs_out_of_range_are_named),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
