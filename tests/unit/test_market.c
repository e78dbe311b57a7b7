/* SPDX-License-Identifier: Apache-2.0 */
/* test_market.c - equilibria against closed forms, 40-digit references and economics. */
#include "market/chain.h"
#include "market/entry.h"
#include "market/equilibrium.h"

#include "base/mem.h"
#include "base/rng.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FIRMS_MAX = 1024 };

static const char *golden_path = "tests/golden/market_golden.json";

/* ---- Helpers -------------------------------------------------------------------------------- */

typedef struct bench {
    enx_product products[FIRMS_MAX];
    enx_market  market;
} bench;

/* n firms of quality v at no cost, an outside option of utility 0, everything else 1. */
static bench *make_bench(uint32_t n, const double *v)
{
    static bench b;
    memset(&b, 0, sizeof b);
    for (uint32_t i = 0; i < n; i++)
        b.products[i] = (enx_product){ .quality = v ? v[i] : 0, .owner = i };
    b.market = (enx_market){ .products = b.products,
                             .product_count = n,
                             .alpha = 1,
                             .size = 1,
                             .has_outside = true,
                             .training_ref_usd = 1 };
    return &b;
}

static enx_equilibrium *solve(const enx_market *m)
{
    enx_equilibrium *e = NULL;
    enx_report       report = { 0 };
    if (enx_equilibrium_open(&e, m, &report) != ENX_OK) fail_msg("%s", report.text);
    return e;
}

static void assert_near(double got, double want, double rel_tol, const char *what)
{
    if (!(fabs(got - want) <= rel_tol * fabs(want) + 1e-300))
        fail_msg("%s: %.17g, not %.17g (off by %.2g)", what, got, want,
                 fabs(got - want) / fabs(want));
}

static void assert_fails(const enx_market *m, enx_status status, const char *word)
{
    enx_equilibrium *e = NULL;
    enx_report       report = { 0 };
    assert_int_equal(enx_equilibrium_open(&e, m, &report), status);
    assert_null(e);
    if (!strstr(report.text, word)) fail_msg("\"%s\" does not name %s", report.text, word);
}

/* ---- The reference cases -------------------------------------------------------------------- */

static double number(const json_t *value)
{
    return json_is_string(value) ? strtod(json_string_value(value), NULL)
                                 : json_number_value(value);
}

static double number_or(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);
    return value ? number(value) : fallback;
}

static const json_t *find_case(const json_t *cases, const char *id)
{
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        if (strcmp(json_string_value(json_object_get(one, "id")), id) == 0) return one;
    }
    fail_msg("no case %s", id);
    return NULL;
}

static json_t *load_cases(void)
{
    json_error_t error;
    json_t      *cases = json_load_file(golden_path, 0, &error);
    if (!cases) fail_msg("%s: %s", golden_path, error.text);
    return cases;
}

static enx_market *market_of(const json_t *input)
{
    const json_t *v = json_object_get(input, "v"), *quality = json_object_get(input, "delta");
    const json_t *list = v ? v : quality, *fringe = json_object_get(input, "fringe");
    const json_t *outside = json_object_get(input, "outside");
    bench        *b = make_bench((uint32_t)json_array_size(list), NULL);
    for (uint32_t i = 0; i < b->market.product_count; i++) {
        b->products[i].quality = number(json_array_get(list, i));
        if (!v) b->products[i].unit_cost = number(json_array_get(json_object_get(input, "c"), i));
        const json_t *owner = json_array_get(json_object_get(input, "owner"), i);
        if (owner) b->products[i].owner = (uint32_t)json_integer_value(owner);
    }
    const json_t *public = json_object_get(input, "public");
    for (size_t i = 0; i < json_array_size(public); i++)
        b->products[json_integer_value(json_array_get(public, i))].is_public = true;
    b->market.alpha = number_or(input, "alpha", 1);
    b->market.rho = number_or(input, "rho", 0);
    b->market.has_outside = !json_is_null(outside);
    b->market.outside = number_or(input, "outside", 0);
    b->market.has_open = fringe && !json_is_null(fringe);
    b->market.open_quality = b->market.has_open ? number(fringe) : 0;
    if (json_object_get(input, "conduct")) b->market.conduct = ENX_CONDUCT_COURNOT;
    return &b->market;
}

/* One number: of every product, of a firm where a merged firm is listed once, or of product 1. */
static void compare(const char *id, const char *key, const json_t *want, double rel_tol,
                    const enx_market *m, const enx_equilibrium *e, const double *got)
{
    char what[100];
    snprintf(what, sizeof what, "%s: %s", id, key);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < e->product_count; i++) {
        const bool is_repeated = i > 0 && m->products[i].owner == m->products[i - 1].owner;
        if (is_repeated) assert_near(got[i], got[i - 1], rel_tol, what);
        else
            assert_near(got[i], number(json_is_array(want) ? json_array_get(want, seen++) : want),
                        rel_tol, what);
    }
}

static int check_case(const json_t *one)
{
    const char   *id = json_string_value(json_object_get(one, "id"));
    const json_t *input = json_object_get(one, "input"), *expect = json_object_get(one, "expect");
    const double  tol = number_or(one, "rel_tol", 0);
    if (!json_object_get(input, "v") && !json_object_get(input, "delta")) return 0;
    const enx_market *m = market_of(input);
    enx_equilibrium  *e = solve(m);
    const char       *key;
    json_t           *want;
    int               compared = 0;
    json_object_foreach ((json_t *)(uintptr_t)expect, key, want) {
        compared++;
        if (strcmp(key, "m") == 0) compare(id, key, want, tol, m, e, e->margin);
        else if (strcmp(key, "s") == 0) compare(id, key, want, tol, m, e, e->share);
        else if (strcmp(key, "pi") == 0) compare(id, key, want, tol, m, e, e->gross_usd);
        else if (strcmp(key, "s0") == 0) assert_near(e->outside_share, number(want), tol, id);
        else if (strcmp(key, "cs") == 0)
            assert_near(e->consumer_surplus_usd, number(want), tol, id);
        else if (strcmp(key, "p1") == 0) assert_near(e->price[0], number(want), tol, id);
        else if (strcmp(key, "p2") == 0) assert_near(e->price[1], number(want), tol, id);
        else if (strcmp(key, "s1") == 0) assert_near(e->share[0], number(want), tol, id);
        else if (strcmp(key, "s2") == 0) assert_near(e->share[1], number(want), tol, id);
        else if (strcmp(key, "m2") == 0) assert_near(e->margin[1], number(want), tol, id);
        else if (strcmp(key, "pi1") == 0) assert_near(e->gross_usd[0], number(want), tol, id);
        else fail_msg("%s: nothing compares %s", id, key);
    }
    enx_equilibrium_close(&e);
    return compared;
}

static void every_reference_market_is_met(void **state)
{
    (void)state;
    json_t *cases = load_cases();
    int     markets = 0;
    for (size_t i = 0; i < json_array_size(cases); i++)
        markets += check_case(json_array_get(cases, i)) > 0;
    assert_int_equal(markets, 19);
    json_decref(cases);
}

static void a_saving_is_worth_what_the_references_say(void **state)
{
    (void)state;
    json_t     *cases = load_cases();
    const char *ids[] = { "eff_private_a1", "eff_private_a5", "eff_private_a20" };
    for (int i = 0; i < 3; i++) {
        const json_t *one = find_case(cases, ids[i]), *expect = json_object_get(one, "expect");
        bench        *b = make_bench(2, NULL);
        b->market.alpha = number_or(json_object_get(one, "input"), "alpha", 0);
        b->market.has_outside = false;
        b->products[0].unit_cost = b->products[1].unit_cost = 1;
        enx_equilibrium *before = solve(&b->market);
        b->products[0].unit_cost -= 0.3;
        enx_equilibrium *after = solve(&b->market);
        b->products[1].unit_cost -= 0.3;
        enx_equilibrium *shared = solve(&b->market);
        assert_near(after->gross_usd[0] - before->gross_usd[0], number_or(expect, "gain", 0), 1e-12,
                    ids[i]);
        assert_near(before->gross_usd[1] - after->gross_usd[1], number_or(expect, "rival_loss", 0),
                    1e-12, ids[i]);
        assert_near(shared->gross_usd[0], before->gross_usd[0], 1e-12, "shared: profit");
        assert_near(before->price[0] - shared->price[0], 0.3, 1e-12, "shared: price");
        enx_equilibrium_close(&before);
        enx_equilibrium_close(&after);
        enx_equilibrium_close(&shared);
    }
    json_decref(cases);
}

static void bounds_on_the_number_of_firms_are_those_of_the_references(void **state)
{
    (void)state;
    json_t     *cases = load_cases();
    const char *simultaneous[] = { "oligopoly_g1.25", "oligopoly_g1.333", "oligopoly_rho" };
    const char *staged[] = { "oligopoly_2stage_n2", "oligopoly_2stage_n5" };
    for (int i = 0; i < 3; i++) {
        const json_t *one = find_case(cases, simultaneous[i]);
        const json_t *input = json_object_get(one, "input");
        assert_near(enx_market_firms_max(number_or(input, "gamma", 0), number_or(input, "rho", 0)),
                    number_or(json_object_get(one, "expect"), "nmax", 0), 1e-12, simultaneous[i]);
    }
    for (int i = 0; i < 2; i++) {
        const json_t *one = find_case(cases, staged[i]);
        const json_t *n = json_object_get(json_object_get(one, "input"), "n");
        assert_near(enx_market_two_stage_gamma((uint32_t)json_integer_value(n)),
                    number_or(json_object_get(one, "expect"), "gamma", 0), 1e-12, staged[i]);
    }
    assert_true(isinf(enx_market_firms_max(0.5, 0.5)));
    assert_true(isinf(enx_market_firms_max(0, 0)));
    json_decref(cases);
}

static void layers_split_the_margin_as_in_the_references(void **state)
{
    (void)state;
    const double one[] = { 1, 1, 1 }, unlike[] = { 1, 4, 50 };
    double       share[3];
    assert_int_equal(enx_chain_split(share, one, 3, ENX_CURVATURE_LINEAR, 0, NULL), ENX_OK);
    assert_near(share[0], 4.0 / 7, 1e-14, "111");
    assert_near(share[2], 1.0 / 7, 1e-14, "111");
    assert_int_equal(enx_chain_split(share, unlike, 3, ENX_CURVATURE_LINEAR, 0, NULL), ENX_OK);
    assert_near(share[0], 51.0 / 62, 1e-13, "1 4 50");
    assert_near(share[1], 51.0 / 310, 1e-13, "1 4 50");
    assert_near(share[2], 2.0 / 155, 1e-13, "1 4 50");
    assert_int_equal(enx_chain_split(share, unlike, 3, ENX_CURVATURE_EXPONENTIAL, 0, NULL), ENX_OK);
    assert_near(share[0], 1 / 1.27, 1e-14, "exponential");
    assert_int_equal(enx_chain_split(share, one, 3, ENX_CURVATURE_CES, 3, NULL), ENX_OK);
    assert_near(share[0], 0.5 / 2.375, 1e-14, "CES");
    assert_near(share[2], 1.125 / 2.375, 1e-14, "CES");
}

static void layers_that_are_none_are_refused(void **state)
{
    (void)state;
    enx_report   report = { 0 };
    double       share[ENX_CHAIN_LAYERS_MAX];
    const double bad[] = { 0.5, NAN, -1, INFINITY }, one = 1;
    for (int i = 0; i < 4; i++)
        assert_int_equal(enx_chain_split(share, &bad[i], 1, ENX_CURVATURE_LINEAR, 0, &report),
                         ENX_INVALID);
    assert_int_equal(enx_chain_split(share, &one, 1, ENX_CURVATURE_CES, 1, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "elasticity"));
    assert_int_equal(enx_chain_split(share, &one, 1, ENX_CURVATURE_CES, NAN, NULL), ENX_INVALID);
    assert_int_equal(enx_chain_split(share, &one, 0, ENX_CURVATURE_LINEAR, 0, NULL), ENX_INVALID);
    assert_int_equal(
        enx_chain_split(share, &one, ENX_CHAIN_LAYERS_MAX + 1, ENX_CURVATURE_LINEAR, 0, NULL),
        ENX_INVALID);
}

/* ---- Economics ------------------------------------------------------------------------------ */

/* No firm gains by another price: checked on demand alone, without the solver's equations. */
static double profit_at(const enx_market *m, const double *price, uint32_t owner)
{
    double shares[16], sum = 0, profit = 0;
    for (uint32_t i = 0; i < m->product_count; i++)
        sum += shares[i] = exp((m->products[i].quality - m->alpha * price[i]) / (1 - m->rho));
    const double inside = 1 / (1 + exp(m->outside) / pow(sum, 1 - m->rho));
    for (uint32_t i = 0; i < m->product_count; i++)
        if (m->products[i].owner == owner)
            profit += (price[i] - m->products[i].unit_cost) * shares[i] / sum * inside;
    return profit;
}

static void no_firm_gains_by_another_price(void **state)
{
    (void)state;
    const double v[] = { 1, 0.5, 0, 1.5, 2 };
    const double rhos[] = { 0, 0.3, 0.8 };
    const double moves[] = { 0.5, 0.9, 0.99, 1.01, 1.1, 2 };
    for (int r = 0; r < 3; r++) {
        bench *b = make_bench(5, v);
        b->market.alpha = 2;
        b->market.rho = rhos[r];
        b->products[1].owner = 0;
        for (int i = 0; i < 5; i++) b->products[i].unit_cost = 0.1 * i;
        enx_equilibrium *e = solve(&b->market);
        for (uint32_t i = 0; i < 5; i++) {
            const uint32_t owner = b->products[i].owner;
            const double   best = profit_at(&b->market, e->price, owner), kept = e->price[i];
            for (int k = 0; k < 6; k++) {
                e->price[i] = kept * moves[k];
                assert_true(profit_at(&b->market, e->price, owner) < best);
            }
            e->price[i] = kept;
        }
        enx_equilibrium_close(&e);
    }
}

/* In quantities: rivals' units are fixed, and prices follow from the inverse demand. */
static double cournot_profit_at(const enx_market *m, const double *share, uint32_t i)
{
    double inside = 0;
    for (uint32_t k = 0; k < m->product_count; k++) inside += share[k];
    const double price = (m->products[i].quality - m->outside + m->rho * log(share[i] / inside) -
                          log(share[i]) + log(1 - inside)) /
                         m->alpha;
    return share[i] * (price - m->products[i].unit_cost);
}

static void no_firm_gains_by_another_quantity(void **state)
{
    (void)state;
    const double v[] = { 1, 0.5, 0, 1.5 };
    for (double rho = 0; rho < 0.95; rho += 0.3) {
        bench *b = make_bench(4, v);
        b->market.conduct = ENX_CONDUCT_COURNOT;
        b->market.alpha = 2;
        b->market.rho = rho;
        enx_equilibrium *e = solve(&b->market);
        for (uint32_t i = 0; i < 4; i++) {
            const double kept = e->share[i];
            const double best = cournot_profit_at(&b->market, e->share, i);
            assert_near(best, e->gross_usd[i], 1e-11, "profit from inverse demand");
            for (double move = 0.9; move < 1.15; move += 0.0999) {
                if (fabs(move - 1) < 1e-3) continue;
                e->share[i] = kept * move;
                assert_true(cournot_profit_at(&b->market, e->share, i) < best);
            }
            e->share[i] = kept;
        }
        enx_equilibrium_close(&e);
    }
}

static void like_firms_charge_the_closed_form(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= FIRMS_MAX; n *= 2)
        for (double rho = 0; rho < 1; rho += 0.225) {
            bench *b = make_bench(n, NULL);
            b->market.alpha = 3;
            b->market.rho = rho;
            b->market.has_outside = false;
            enx_equilibrium *e = solve(&b->market);
            assert_near(e->margin[n - 1], (1 - rho) * n / (3 * (n - 1.0)), 1e-12, "margin");
            assert_near(e->hhi, 1e4 / n, 1e-12, "HHI");
            assert_int_equal(e->firm_count, n);
            enx_equilibrium_close(&e);
        }
}

static void a_merger_raises_every_price_and_harms_buyers(void **state)
{
    (void)state;
    const double v[] = { 1, 0.5, 0, 1.5 };
    for (int conduct = 0; conduct < 2; conduct++) {
        bench *b = make_bench(4, v);
        b->market.rho = 0.4;
        b->market.conduct = conduct ? ENX_CONDUCT_COURNOT : ENX_CONDUCT_BERTRAND;
        enx_equilibrium *before = solve(&b->market);
        b->products[1].owner = 0;
        enx_equilibrium *after = solve(&b->market);
        for (int i = 0; i < 2; i++) assert_true(after->price[i] > before->price[i]);
        if (!conduct)
            for (int i = 2; i < 4; i++) assert_true(after->price[i] > before->price[i]);
        assert_true(after->consumer_surplus_usd < before->consumer_surplus_usd);
        assert_true(after->hhi > before->hhi);
        assert_int_equal(after->firm_count, 3);
        enx_equilibrium_close(&before);
        enx_equilibrium_close(&after);
    }
}

static void quantities_are_dearer_than_prices(void **state)
{
    (void)state;
    const double v[] = { 1, 0.5, 0, 1.5 };
    bench       *b = make_bench(4, v);
    for (double rho = 0; rho < 0.9; rho += 0.2) {
        b->market.rho = rho;
        b->market.conduct = ENX_CONDUCT_BERTRAND;
        enx_equilibrium *prices = solve(&b->market);
        b->market.conduct = ENX_CONDUCT_COURNOT;
        enx_equilibrium *quantities = solve(&b->market);
        for (int i = 0; i < 4; i++) assert_true(quantities->margin[i] > prices->margin[i]);
        assert_true(quantities->consumer_surplus_usd < prices->consumer_surplus_usd);
        enx_equilibrium_close(&prices);
        enx_equilibrium_close(&quantities);
    }
}

static void a_monopolist_charges_the_same_either_way(void **state)
{
    (void)state;
    const double v = 2.5;
    bench       *b = make_bench(1, &v);
    b->market.rho = 0.6;
    enx_equilibrium *prices = solve(&b->market);
    b->market.conduct = ENX_CONDUCT_COURNOT;
    enx_equilibrium *quantities = solve(&b->market);
    assert_near(quantities->margin[0], prices->margin[0], 1e-12, "margin");
    assert_near(log(prices->margin[0] - 1) + prices->margin[0], v, 1e-12, "1 + W(e^(v - 1))");
    enx_equilibrium_close(&prices);
    enx_equilibrium_close(&quantities);
}

static void money_may_be_counted_in_cents(void **state)
{
    (void)state;
    const double v[] = { 1, 0.5, 0, 1.5 };
    for (double unit = 1e-6; unit < 1e7; unit *= 1e3) {
        bench *b = make_bench(4, v);
        for (int i = 0; i < 4; i++) b->products[i].unit_cost = 0.3 + 0.1 * i;
        b->market.rho = 0.3;
        b->market.alpha = 2;
        b->market.size = 50;
        enx_equilibrium *usd = solve(&b->market);
        for (int i = 0; i < 4; i++) b->products[i].unit_cost *= unit;
        b->market.alpha /= unit;
        enx_equilibrium *other = solve(&b->market);
        for (int i = 0; i < 4; i++) {
            assert_near(other->price[i], usd->price[i] * unit, 1e-12, "price");
            assert_near(other->share[i], usd->share[i], 1e-12, "share");
        }
        assert_near(other->consumer_surplus_usd, usd->consumer_surplus_usd * unit, 1e-12, "CS");
        enx_equilibrium_close(&usd);
        enx_equilibrium_close(&other);
    }
}

static void open_weights_inside_the_nest_bite_harder(void **state)
{
    (void)state;
    const double v[] = { 2, 2, 2, 2 };
    bench       *b = make_bench(4, v);
    b->market.has_open = true;
    b->market.open_quality = 2;
    b->market.open_cost = 0.5;
    enx_equilibrium *beside = solve(&b->market);
    b->market.is_open_inside = true;
    enx_equilibrium *within = solve(&b->market);
    assert_near(within->margin[0], beside->margin[0], 1e-12, "rho 0: no nest, no difference");
    assert_near(within->open_share, beside->open_share, 1e-12, "open share");
    enx_equilibrium_close(&within);
    b->market.rho = 0.8;
    within = solve(&b->market);
    b->market.is_open_inside = false;
    enx_equilibrium_close(&beside);
    beside = solve(&b->market);
    assert_true(within->margin[0] < beside->margin[0]);
    double sum = beside->outside_share + beside->open_share;
    for (int i = 0; i < 4; i++) sum += beside->share[i];
    assert_near(sum, 1, 1e-10, "shares");
    enx_equilibrium_close(&within);
    enx_equilibrium_close(&beside);
}

static void public_firms_sell_at_cost_and_subsidies_cancel(void **state)
{
    (void)state;
    const double v[] = { 1, 1 };
    bench       *b = make_bench(2, v);
    enx_equilibrium *private = solve(&b->market);
    b->products[0].is_public = b->products[1].is_public = true;
    enx_equilibrium *all = solve(&b->market);
    assert_true(all->price[0] == 0 && all->gross_usd[1] == 0);
    assert_near(all->consumer_surplus_usd, log(1 + 2 * exp(1)), 1e-12, "CS at cost");
    assert_true(all->welfare_usd > private->welfare_usd);
    b->products[0].subsidy_usd = 7;
    enx_equilibrium *paid = solve(&b->market);
    assert_near(paid->firm_net_usd[0], 7, 1e-12, "subsidy");
    assert_near(paid->welfare_usd, all->welfare_usd, 1e-12, "welfare");
    enx_equilibrium_close(&private);
    enx_equilibrium_close(&all);
    enx_equilibrium_close(&paid);
}

/* ---- Training and entry --------------------------------------------------------------------- */

static bench *make_training(uint32_t n, double gamma, double size)
{
    bench *b = make_bench(n, NULL);
    b->market.size = size;
    b->market.gamma = gamma;
    b->market.has_outside = false;
    b->market.is_spend_endogenous = true;
    return b;
}

static void training_spend_does_not_depend_on_the_number_of_firms(void **state)
{
    (void)state;
    const double spend[] = { 125.0 / 3, 31.25, 25 }, net[] = { 25.0 / 3, 25.0 / 12, 0 };
    for (uint32_t n = 3; n <= 5; n++) {
        enx_equilibrium *e = solve(&make_training(n, 1.25, 100)->market);
        assert_near(e->training_usd[0], spend[n - 3], 1e-12, "K");
        assert_true(fabs(e->firm_net_usd[0] - net[n - 3]) < 1e-10);
        enx_equilibrium_close(&e);
    }
}

static uint32_t count_entrants(bench *b, double *worst_net)
{
    enx_equilibrium *e = NULL;
    enx_report       report = { 0 };
    if (enx_entry_solve(&e, &b->market, b->products, FIRMS_MAX, &report) != ENX_OK)
        fail_msg("%s", report.text);
    const uint32_t n = e->firm_count;
    *worst_net = e->firm_net_usd[n - 1] / e->gross_usd[n - 1];
    assert_int_equal(n, b->market.product_count);
    enx_equilibrium_close(&e);
    return n;
}

static void entry_stops_where_profit_does(void **state)
{
    (void)state;
    double net;
    for (double size = 1; size < 1e13; size *= 1e3) {
        assert_int_equal(count_entrants(make_training(1, 1.25, size), &net), 5);
        assert_true(fabs(net) < 1e-9);
        assert_int_equal(count_entrants(make_training(1, 4.0 / 3, size), &net), 4);
        bench *b = make_training(1, 0.6, size);
        b->market.rho = 0.5;
        assert_int_equal(count_entrants(b, &net), 6);
    }
    bench *b = make_bench(1, NULL);
    b->market.has_outside = false;
    b->market.size = 100;
    b->market.fixed_cost_usd = 1;
    assert_int_equal(count_entrants(b, &net), 101);
    assert_true(fabs(net) < 1e-9);
    b = make_bench(1, NULL);
    b->market.has_outside = false;
    b->market.size = 100;
    b->market.fixed_cost_usd = 1.001;
    assert_int_equal(count_entrants(b, &net), 100);
    assert_true(net > 0);
}

static void the_better_ones_enter_first(void **state)
{
    (void)state;
    const double v[] = { -1, 3, 0, 2 };
    bench       *b = make_bench(4, v);
    b->market.size = 100;
    b->market.fixed_cost_usd = 6;
    enx_equilibrium *e = NULL;
    assert_int_equal(enx_entry_solve(&e, &b->market, b->products, 4, NULL), ENX_OK);
    assert_true(e->firm_count >= 2 && e->firm_count < 4);
    assert_true(b->products[0].quality == 3 && b->products[1].quality == 2);
    enx_equilibrium_close(&e);
    b = make_bench(4, v);
    b->market.fixed_cost_usd = 1e9;
    enx_report report = { 0 };
    assert_int_equal(enx_entry_solve(&e, &b->market, b->products, 4, &report), ENX_UNSUPPORTED);
    assert_non_null(strstr(report.text, "fixed_cost_usd"));
}

/* With training, no other spend and price together are better either; unlike firms, both conducts
 * of b (gamma above and below 1 - rho). */
static void no_firm_gains_by_another_spend(void **state)
{
    (void)state;
    const double v[] = { 0, 0.02, -0.02 }, gammas[] = { 0.3, 0.9, 1.1 };
    const double moves[] = { 0.8, 0.97, 1.03, 1.25 };
    for (int k = 0; k < 3; k++) {
        bench *b = make_bench(3, v);
        b->market.size = 100;
        b->market.gamma = gammas[k];
        b->market.is_spend_endogenous = true;
        b->market.outside = -1;
        enx_equilibrium *e = solve(&b->market);
        for (uint32_t i = 0; i < 3; i++)
            b->products[i].quality += gammas[k] * log(e->training_usd[i]);
        for (uint32_t i = 0; i < 3; i++) {
            const double kept = b->products[i].quality, price = e->price[i];
            const double spend = e->training_usd[i];
            const double best = 100 * profit_at(&b->market, e->price, i) - spend;
            assert_near(best, e->firm_net_usd[i], 1e-9, "net");
            for (int p = 0; p < 4; p++)
                for (int q = 0; q < 4; q++) {
                    b->products[i].quality = kept + gammas[k] * log(moves[p]);
                    e->price[i] = price * moves[q];
                    assert_true(100 * profit_at(&b->market, e->price, i) - spend * moves[p] < best);
                }
            b->products[i].quality = kept;
            e->price[i] = price;
        }
        enx_equilibrium_close(&e);
    }
}

static void a_market_too_small_for_training_is_said_to_be(void **state)
{
    (void)state;
    bench *b = make_training(3, 1.25, 1);
    b->market.has_outside = true;
    assert_fails(&b->market, ENX_UNSUPPORTED, "training");
}

/* ---- Bad input ------------------------------------------------------------------------------ */

static void numbers_out_of_range_are_named(void **state)
{
    (void)state;
    const double v[] = { 1, 0 }, bad[] = { NAN, INFINITY, -INFINITY, -1, 1e300 };
    for (int i = 0; i < 5; i++) {
        bench *b = make_bench(2, v);
        b->market.alpha = bad[i];
        assert_fails(&b->market, ENX_INVALID, "alpha");
        b = make_bench(2, v);
        b->market.rho = bad[i];
        assert_fails(&b->market, ENX_INVALID, "rho");
        b = make_bench(2, v);
        b->market.size = bad[i];
        assert_fails(&b->market, ENX_INVALID, "size");
        b = make_bench(2, v);
        b->market.gamma = bad[i];
        assert_fails(&b->market, ENX_INVALID, "gamma");
        b = make_bench(2, v);
        b->market.fixed_cost_usd = bad[i];
        assert_fails(&b->market, ENX_INVALID, "fixed_cost_usd");
        b = make_bench(2, v);
        b->products[1].unit_cost = bad[i];
        assert_fails(&b->market, ENX_INVALID, "product 2: unit_cost");
        b = make_bench(2, v);
        b->market.has_open = true;
        b->market.open_cost = bad[i];
        assert_fails(&b->market, ENX_INVALID, "open.unit_cost");
        if (bad[i] == -1) continue;
        b = make_bench(2, v);
        b->products[0].quality = bad[i];
        assert_fails(&b->market, ENX_INVALID, "product 1: quality");
        b = make_bench(2, v);
        b->market.outside = bad[i];
        assert_fails(&b->market, ENX_INVALID, "outside");
    }
    bench *b = make_bench(2, v);
    b->market.rho = 1;
    assert_fails(&b->market, ENX_INVALID, "rho");
    b->market.rho = 0;
    b->market.alpha = 0;
    assert_fails(&b->market, ENX_INVALID, "alpha");
}

static void markets_without_a_price_are_refused(void **state)
{
    (void)state;
    const double v[] = { 1, 0 };
    bench       *b = make_bench(0, v);
    assert_fails(&b->market, ENX_INVALID, "firms");
    b = make_bench(2, v);
    b->market.product_count = ENX_MARKET_PRODUCTS_MAX + 1;
    assert_fails(&b->market, ENX_INVALID, "firms");
    b = make_bench(1, v);
    b->market.has_outside = false;
    assert_fails(&b->market, ENX_INVALID, "outside");
    b = make_bench(2, v);
    b->market.has_outside = false;
    b->products[1].owner = 0;
    assert_fails(&b->market, ENX_INVALID, "outside");
    b = make_bench(2, v);
    b->market.has_outside = false;
    b->market.conduct = ENX_CONDUCT_COURNOT;
    assert_fails(&b->market, ENX_INVALID, "outside");
    b = make_bench(2, v);
    b->products[1].owner = 2;
    assert_fails(&b->market, ENX_INVALID, "owner");
    b = make_bench(2, v);
    b->products[1].owner = 0;
    b->products[1].is_public = true;
    assert_fails(&b->market, ENX_INVALID, "public");
    b = make_bench(2, v);
    b->market.conduct = ENX_CONDUCT_COURNOT;
    b->market.has_open = b->market.is_open_inside = true;
    assert_fails(&b->market, ENX_INVALID, "open.place");
    b = make_bench(2, v);
    b->market.is_spend_endogenous = true;
    assert_fails(&b->market, ENX_INVALID, "gamma");
    b->market.gamma = 1;
    b->products[1].owner = 0;
    assert_fails(&b->market, ENX_INVALID, "owner");
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const double v[] = { 1, 0 };
    for (long calls = 0; calls < 3; calls++) {
        bench *b = make_bench(2, v);
        enx_mem_fail_after(calls);
        assert_fails(&b->market, ENX_NOMEM, "memory");
        enx_mem_fail_after(-1);
    }
    for (long calls = 0;; calls++) {
        bench           *b = make_bench(2, v);
        enx_equilibrium *e = NULL;
        b->market.fixed_cost_usd = 1e-3;
        enx_mem_fail_after(calls);
        const enx_status status = enx_entry_solve(&e, &b->market, b->products, 64, NULL);
        enx_mem_fail_after(-1);
        if (status == ENX_OK) {
            enx_equilibrium_close(&e);
            assert_true(calls > 6);
            break;
        }
        assert_int_equal(status, ENX_NOMEM);
        assert_null(e);
    }
}

/* ---- Wild markets --------------------------------------------------------------------------- */

static enx_market *draw_market(enx_rng *rng)
{
    const double spread = pow(10, enx_rng_unit(rng) * 2.7);
    bench       *b = make_bench(1 + (uint32_t)enx_rng_below(rng, 64), NULL);
    enx_market  *m = &b->market;
    m->rho = enx_rng_below(rng, 4) ? 1 - pow(10, -4 * enx_rng_unit(rng)) : 0;
    m->alpha = pow(10, 4 * enx_rng_unit(rng) - 2);
    m->conduct = enx_rng_below(rng, 3) ? ENX_CONDUCT_BERTRAND : ENX_CONDUCT_COURNOT;
    m->has_outside =
        m->product_count == 1 || m->conduct == ENX_CONDUCT_COURNOT || enx_rng_below(rng, 2);
    m->outside = spread * (2 * enx_rng_unit(rng) - 1);
    for (uint32_t i = 0; i < m->product_count; i++) {
        b->products[i].quality = spread * (2 * enx_rng_unit(rng) - 1);
        b->products[i].unit_cost = enx_rng_unit(rng);
        if (m->has_outside && i > 0 && enx_rng_below(rng, 4) == 0)
            b->products[i].owner = b->products[i - 1].owner;
    }
    return m;
}

/* The equations once more, product by product, from the answer alone. */
static void check_answer(const enx_market *m, const enx_equilibrium *e, uint64_t round)
{
    double sum = e->outside_share;
    assert_true(e->residual <= ENX_EQUILIBRIUM_RESIDUAL_MAX);
    for (uint32_t i = 0; i < m->product_count; i++) {
        sum += e->share[i];
        const double x = e->firm_share[m->products[i].owner];
        assert_true(isfinite(e->price[i]) && isfinite(e->gross_usd[i]));
        assert_true(x >= 0 && x <= 1 + 1e-9);
        const double inside = 1 - e->outside_share;
        const double k = m->conduct == ENX_CONDUCT_BERTRAND ? m->rho + (1 - m->rho) * inside : 0;
        if (k * x > 0.999 || e->outside_share < 1e-3) continue;
        const double want = m->conduct == ENX_CONDUCT_BERTRAND
                                ? (1 - m->rho) / (1 - k * x)
                                : 1 - m->rho + x * (m->rho + inside / e->outside_share);
        if (fabs(e->margin[i] * m->alpha / want - 1) > 1e-7)
            fail_msg("round %llu: product %u", (unsigned long long)round, i);
    }
    if (fabs(sum - 1) > 1e-9)
        fail_msg("round %llu: shares add up to %.12g", (unsigned long long)round, sum);
}

/* Shares follow from prices by the demand: ln s_j = (utility at its price) / (1 - rho) - D, with
 * one D for all.  This sees neither the solver's unknown nor its equations. */
static void check_demand(const enx_market *m, const enx_equilibrium *e, uint64_t round)
{
    double low = INFINITY, high = -INFINITY;
    for (uint32_t i = 0; i < m->product_count; i++) {
        const enx_product *p = &m->products[i];
        double             utility = p->quality - m->alpha * e->price[i];
        if (e->training_usd[i] > 0)
            utility += m->gamma * log(e->training_usd[i] / m->training_ref_usd);
        else if (m->is_spend_endogenous && !p->is_public) continue;
        if (!(e->share[i] > 1e-290)) continue;
        const double inclusive = utility / (1 - m->rho) - log(e->share[i]);
        low = fmin(low, inclusive);
        high = fmax(high, inclusive);
    }
    const double scale = fmax(1, fmax(fabs(low), fabs(high)));
    if (high - low > 1e-9 * scale)
        fail_msg("round %llu: demand does not give these shares: %.17g to %.17g",
                 (unsigned long long)round, low, high);
}

static void wild_markets_are_solved(void **state)
{
    const uint64_t rounds = *(const uint64_t *)*state;
    for (uint64_t round = 0; round < rounds; round++) {
        enx_rng           rng = enx_rng_open(round, 1);
        const enx_market *m = draw_market(&rng);
        enx_equilibrium  *e = NULL;
        enx_report        report = { 0 };
        if (enx_equilibrium_open(&e, m, &report) != ENX_OK)
            fail_msg("round %llu: n %u rho %.17g: %s", (unsigned long long)round, m->product_count,
                     m->rho, report.text);
        check_answer(m, e, round);
        check_demand(m, e, round);
        enx_equilibrium_close(&e);
    }
}

/* Training, public firms and open weights on top; firms that are near one another often enough. */
static enx_market *draw_training(enx_rng *rng)
{
    enx_market  *m = draw_market(rng);
    enx_product *products = (enx_product *)(uintptr_t)m->products;
    const double closer = pow(10, -4 * enx_rng_unit(rng));
    for (uint32_t i = 0; i < m->product_count; i++) {
        products[i].quality *= closer;
        products[i].owner = i;
        products[i].is_public = enx_rng_below(rng, 16) == 0;
    }
    m->size = pow(10, 12 * enx_rng_unit(rng));
    m->gamma = 2 * enx_rng_unit(rng) * (enx_rng_below(rng, 2) ? 1 - m->rho : 1);
    m->is_spend_endogenous = enx_rng_below(rng, 4) != 0 && m->gamma > 0;
    m->training_ref_usd = pow(10, 9 * enx_rng_unit(rng));
    m->has_open = enx_rng_below(rng, 4) == 0;
    m->is_open_inside = m->conduct == ENX_CONDUCT_BERTRAND && enx_rng_below(rng, 2);
    m->open_quality = 3 * enx_rng_unit(rng);
    m->open_cost = enx_rng_unit(rng);
    return m;
}

/* Converged, or a clear error; never a wrong number. */
static void wild_markets_with_training_are_solved_or_refused(void **state)
{
    const uint64_t rounds = *(const uint64_t *)*state;
    uint64_t       solved = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        enx_rng           rng = enx_rng_open(round, 3);
        const enx_market *m = draw_training(&rng);
        enx_equilibrium  *e = NULL;
        enx_report        report = { 0 };
        const enx_status  status = enx_equilibrium_open(&e, m, &report);
        if (status != ENX_OK) {
            assert_true(status == ENX_UNSUPPORTED || status == ENX_INVALID);
            assert_true(strlen(report.text) > 20);
            continue;
        }
        solved++;
        assert_true(e->residual <= ENX_EQUILIBRIUM_RESIDUAL_MAX);
        double sum = e->outside_share + e->open_share;
        for (uint32_t i = 0; i < m->product_count; i++) sum += e->share[i];
        if (!(fabs(sum - 1) <= 1e-9))
            fail_msg("round %llu: shares add up to %.12g", (unsigned long long)round, sum);
        check_demand(m, e, round);
        enx_equilibrium_close(&e);
    }
    assert_true(solved > rounds / 4);
}

static void the_same_market_has_the_same_bits(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 100; round++) {
        enx_rng          rng = enx_rng_open(round, 2), again = rng;
        enx_equilibrium *a = solve(draw_market(&rng)), *b = solve(draw_market(&again));
        assert_memory_equal(a->price, b->price, a->product_count * sizeof *a->price);
        assert_memory_equal(a->share, b->share, a->product_count * sizeof *a->share);
        enx_equilibrium_close(&a);
        enx_equilibrium_close(&b);
    }
}

/* test_market [GOLDEN [ROUNDS]] */
int main(int argc, char **argv)
{
    static uint64_t rounds = 20000;
    if (argc > 1) golden_path = argv[1];
    if (argc > 2) rounds = strtoull(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reference_market_is_met),
        cmocka_unit_test(a_saving_is_worth_what_the_references_say),
        cmocka_unit_test(bounds_on_the_number_of_firms_are_those_of_the_references),
        cmocka_unit_test(layers_split_the_margin_as_in_the_references),
        cmocka_unit_test(layers_that_are_none_are_refused),
        cmocka_unit_test(no_firm_gains_by_another_price),
        cmocka_unit_test(no_firm_gains_by_another_quantity),
        cmocka_unit_test(like_firms_charge_the_closed_form),
        cmocka_unit_test(a_merger_raises_every_price_and_harms_buyers),
        cmocka_unit_test(quantities_are_dearer_than_prices),
        cmocka_unit_test(a_monopolist_charges_the_same_either_way),
        cmocka_unit_test(money_may_be_counted_in_cents),
        cmocka_unit_test(open_weights_inside_the_nest_bite_harder),
        cmocka_unit_test(public_firms_sell_at_cost_and_subsidies_cancel),
        cmocka_unit_test(training_spend_does_not_depend_on_the_number_of_firms),
        cmocka_unit_test(entry_stops_where_profit_does),
        cmocka_unit_test(the_better_ones_enter_first),
        cmocka_unit_test(no_firm_gains_by_another_spend),
        cmocka_unit_test(a_market_too_small_for_training_is_said_to_be),
        cmocka_unit_test(numbers_out_of_range_are_named),
        cmocka_unit_test(markets_without_a_price_are_refused),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test_prestate(wild_markets_are_solved, &rounds),
        cmocka_unit_test_prestate(wild_markets_with_training_are_solved_or_refused, &rounds),
        cmocka_unit_test(the_same_market_has_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
