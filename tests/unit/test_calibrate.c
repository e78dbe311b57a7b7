/* SPDX-License-Identifier: Apache-2.0 */
/* test_calibrate.c - what is seen comes back from the market made of it; mergers that others
 * computed. */
#include "market/calibrate.h"

#include "base/rng.h"
#include "market/equilibrium.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PRODUCTS_MAX = 64, NEVO_MARKETS = 94 };

typedef struct bench {
    enx_product  products[PRODUCTS_MAX];
    enx_sighting seen[PRODUCTS_MAX];
    enx_market   market;
} bench;

static bench *make_bench(uint32_t count)
{
    static bench b;
    memset(&b, 0, sizeof b);
    for (uint32_t i = 0; i < count; i++) {
        b.products[i].owner = i;
        b.seen[i].margin = NAN;
    }
    b.market = (enx_market){ .products = b.products,
                             .product_count = count,
                             .size = 1,
                             .has_outside = true,
                             .training_ref_usd = 1 };
    return &b;
}

static void calibrate(bench *b)
{
    enx_report report = { 0 };
    if (enx_calibrate_market(&b->market, b->products, b->seen, &report) != ENX_OK)
        fail_msg("%s", report.text);
}

static enx_equilibrium *solve(const bench *b)
{
    enx_equilibrium *e = NULL;
    enx_report       report = { 0 };
    if (enx_equilibrium_open(&e, &b->market, &report) != ENX_OK) fail_msg("%s", report.text);
    return e;
}

/* The largest error of a price or a share, by what was seen less `shift` USD. */
static double round_trip(const bench *b, double shift)
{
    enx_equilibrium *e = solve(b);
    double           worst = 0;
    for (uint32_t i = 0; i < b->market.product_count; i++) {
        worst = fmax(worst, fabs(e->price[i] - b->seen[i].price) / (b->seen[i].price - shift));
        worst = fmax(worst, fabs(e->share[i] / b->seen[i].share - 1));
    }
    enx_equilibrium_close(&e);
    return worst;
}

/* ---- What others computed ------------------------------------------------------------------- */

static void assert_near(double got, double want, double rel_tol, const char *what)
{
    if (!(fabs(got - want) <= rel_tol * fabs(want)))
        fail_msg("%s: %.10g, not %.10g", what, got, want);
}

/* Epstein and Rubinfeld's beers, with everybody buying; "antitrust" 0.99.31 of R printed these. Its
 * prices leave 4e-9 USD in the first-order conditions, a ten-millionth of the price; of the small
 * difference of surplus that is 3e-6. */
static void beers_are_merged_as_another_program_does(void **state)
{
    (void)state;
    const double   price[] = { 0.0441, 0.0328, 0.0409, 0.0396, 0.0387, 0.0497 };
    const double   share[] = { 0.066, 0.172, 0.253, 0.187, 0.099, 0.223 };
    const double   margin[] = { 0.383, 0.5515, 0.5421, 0.5557, 0.4453, 0.3769 };
    const double   post[] = { 0.0470149007, 0.0338410959, 0.0412117533,
                              0.0399117533, 0.0387586355, 0.0498451360 };
    const uint32_t before[] = { 0, 1, 2, 2, 3, 4 }, after[] = { 0, 0, 1, 1, 2, 3 };
    bench         *b = make_bench(6);
    b->market.has_outside = false;
    for (int i = 0; i < 6; i++) {
        b->seen[i] = (enx_sighting){ price[i], share[i], margin[i] };
        b->products[i].owner = before[i];
    }
    calibrate(b);
    assert_near(b->market.alpha, 73.1483103204, 1e-6, "alpha");
    assert_true(round_trip(b, 0) <= 1e-10);
    b->market.alpha = 73.1483103204; /* that program's fit stopped at 7 digits */
    calibrate(b);
    enx_equilibrium *e = solve(b);
    for (int i = 0; i < 6; i++) b->products[i].owner = after[i];
    enx_equilibrium *merged = solve(b);
    for (int i = 0; i < 6; i++) assert_near(merged->price[i], post[i], 1e-6, "price after");
    assert_near(e->consumer_surplus_usd - merged->consumer_surplus_usd, 0.000529401853, 5e-6,
                "what buyers lose");
    enx_equilibrium_close(&e);
    enx_equilibrium_close(&merged);
}

static const char *nevo_path;

/* At this alpha some of the (made-up) prices are below the margin.  A dollar on all prices and
 * costs changes nothing else, and no cost is below 0. */
static const double nevo_shift = 1;

/* The next market of the file, or NULL; `line` holds the row that was read ahead. */
static bench *read_market(FILE *file, char line[200], char name[16])
{
    bench   *b = make_bench(0);
    uint32_t count = 0;
    for (;;) {
        char     market[16] = "";
        unsigned firm;
        double   share, price;
        if (line[0]) {
            if (sscanf(line, "%15[^,],%u,%lf,%lf", market, &firm, &share, &price) != 4)
                fail_msg("%s: %s", nevo_path, line);
            if (count > 0 && strcmp(market, name) != 0) break;
            memcpy(name, market, sizeof market);
            b->products[count].owner = firm - 1;
            b->seen[count++] = (enx_sighting){ price + nevo_shift, share, NAN };
        }
        if (!fgets(line, 200, file)) {
            line[0] = '\0';
            break;
        }
    }
    b->market.product_count = count;
    return count > 0 ? b : NULL;
}

/* Firms 1 and 2 of Nevo's cereals merge, at the alpha of PyBLP's plain logit on the same data. */
static void cereals_come_back_and_are_merged_as_another_program_does(void **state)
{
    (void)state;
    FILE  *file = fopen(nevo_path, "r");
    char   line[200], name[16] = "";
    int    markets = 0, products = 0;
    double worst = 0, rise = 0, part = 0, surplus = 0;
    if (!file) fail_msg("no file %s", nevo_path);
    do
        if (!fgets(line, sizeof line, file)) fail_msg("%s ends early", nevo_path);
    while (strncmp(line, "market,", 7) != 0);
    line[0] = '\0';
    for (bench *b; (b = read_market(file, line, name)) != NULL; markets++) {
        b->market.alpha = 30.0471029;
        calibrate(b);
        worst = fmax(worst, round_trip(b, nevo_shift));
        enx_equilibrium *before = solve(b);
        bool             is_merging[PRODUCTS_MAX];
        for (uint32_t i = 0; i < b->market.product_count; i++) {
            is_merging[i] = b->products[i].owner < 2;
            if (is_merging[i]) b->products[i].owner = 0;
        }
        enx_equilibrium *after = solve(b);
        for (uint32_t i = 0; i < b->market.product_count; i++) {
            if (!is_merging[i]) continue;
            rise += after->price[i] - before->price[i];
            part += (after->price[i] - before->price[i]) / (before->price[i] - nevo_shift);
            products++;
        }
        surplus += after->consumer_surplus_usd - before->consumer_surplus_usd;
        enx_equilibrium_close(&before);
        enx_equilibrium_close(&after);
    }
    (void)fclose(file);
    print_message("94 markets: worst round trip %.2g\n", worst);
    assert_int_equal(markets, NEVO_MARKETS);
    assert_true(worst <= 1e-10);
    assert_true(fabs(rise / products - 0.008029) < 5e-7);
    assert_true(fabs(part / products - 0.067723) < 5e-7);
    assert_true(fabs(surplus / markets + 0.002572) < 5e-7);
}

/* ---- Round trips ---------------------------------------------------------------------------- */

/* Any market that was solved is seen, and made again. */
static void solved_markets_are_made_again(void **state)
{
    (void)state;
    int done = 0;
    for (uint64_t round = 0; round < 3000; round++) {
        enx_rng     rng = enx_rng_open(round, 5);
        bench      *b = make_bench(2 + (uint32_t)enx_rng_below(&rng, 20));
        enx_market *m = &b->market;
        m->alpha = 0.2 + 3 * enx_rng_unit(&rng);
        m->rho = 0.9 * enx_rng_unit(&rng);
        m->conduct = enx_rng_below(&rng, 2) ? ENX_CONDUCT_BERTRAND : ENX_CONDUCT_COURNOT;
        m->has_outside = m->conduct == ENX_CONDUCT_COURNOT || enx_rng_below(&rng, 2);
        m->has_open = m->has_outside && enx_rng_below(&rng, 2);
        m->open_quality = 2 * enx_rng_unit(&rng);
        m->is_spend_endogenous = enx_rng_below(&rng, 2);
        m->gamma = m->is_spend_endogenous ? 0.7 * (1 - m->rho) : 0;
        m->size = 1e6;
        m->training_ref_usd = 1e5;
        for (uint32_t i = 0; i < m->product_count; i++) {
            b->products[i].quality = (1 - m->rho) * enx_rng_unit(&rng);
            b->products[i].unit_cost = (1 - m->rho) * enx_rng_unit(&rng) / m->alpha;
            b->products[i].is_public = i > 0 && enx_rng_below(&rng, 8) == 0;
            if (!m->is_spend_endogenous && i > 2 && !b->products[i - 1].is_public &&
                !b->products[i].is_public && enx_rng_below(&rng, 3) == 0)
                b->products[i].owner = b->products[i - 1].owner;
        }
        enx_equilibrium *e = NULL;
        if (enx_equilibrium_open(&e, m, NULL) != ENX_OK) continue;
        bool is_seen = true;
        for (uint32_t i = 0; i < m->product_count; i++) {
            b->seen[i] = (enx_sighting){ e->price[i], e->share[i], NAN };
            is_seen = is_seen && e->price[i] > 0 && e->share[i] > 0;
        }
        const uint32_t which = (uint32_t)enx_rng_below(&rng, m->product_count);
        const double   alpha = m->alpha;
        if (!b->products[which].is_public) {
            b->seen[which].margin = e->margin[which] / e->price[which];
            m->alpha = 0;
        }
        for (uint32_t i = 0; i < m->product_count; i++)
            b->products[i].quality = b->products[i].unit_cost = 0;
        enx_equilibrium_close(&e);
        if (!is_seen) continue;
        calibrate(b);
        assert_near(m->alpha, alpha, 1e-9, "alpha");
        if (!(round_trip(b, 0) <= 1e-9)) fail_msg("round %llu", (unsigned long long)round);
        done++;
    }
    assert_true(done > 2000);
}

/* ---- Bad input ------------------------------------------------------------------------------ */

static void assert_refused(bench *b, const char *word)
{
    enx_report   report = { 0 };
    const double alpha = b->market.alpha;
    assert_int_equal(enx_calibrate_market(&b->market, b->products, b->seen, &report), ENX_INVALID);
    if (!strstr(report.text, word)) fail_msg("\"%s\" does not name %s", report.text, word);
    assert_true(b->market.alpha == alpha);
}

static bench *make_two(void)
{
    bench *b = make_bench(2);
    b->market.alpha = 2;
    b->seen[0] = (enx_sighting){ 2, 0.4, NAN };
    b->seen[1] = (enx_sighting){ 1.8, 0.3, NAN };
    return b;
}

static void what_cannot_have_been_seen_is_named(void **state)
{
    (void)state;
    const double bad[] = { 0, -1, NAN, INFINITY };
    for (int i = 0; i < 4; i++) {
        bench *b = make_two();
        b->seen[1].price = bad[i];
        assert_refused(b, "firm 2: price");
        b = make_two();
        b->seen[1].share = bad[i];
        assert_refused(b, "firm 2: share");
        b = make_two();
        b->seen[0].margin = bad[i];
        if (!isnan(bad[i])) assert_refused(b, "firm 1: margin");
    }
    bench *b = make_two();
    b->seen[1].share = 0.6;
    assert_refused(b, "share: those of firms add up to 1");
    b = make_two();
    b->market.has_outside = false;
    assert_refused(b, "share: those of firms add up to 0.7");
    b = make_two();
    b->market.alpha = 0;
    assert_refused(b, "alpha: is missing");
    b = make_two();
    b->market.alpha = 0.1;
    assert_refused(b, "firm 1: price");
    b = make_two();
    b->market.rho = 1;
    assert_refused(b, "rho");
    b = make_two();
    b->market.has_open = b->market.is_open_inside = true;
    assert_refused(b, "open.place");
    b = make_two();
    b->seen[1].share = 0.6;
    b->market.has_outside = false;
    b->market.conduct = ENX_CONDUCT_COURNOT;
    assert_refused(b, "outside");
}

/* test_calibrate NEVO.csv */
int main(int argc, char **argv)
{
    nevo_path = argc > 1 ? argv[1] : "tests/golden/nevo_markets.csv";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beers_are_merged_as_another_program_does),
        cmocka_unit_test(cereals_come_back_and_are_merged_as_another_program_does),
        cmocka_unit_test(solved_markets_are_made_again),
        cmocka_unit_test(what_cannot_have_been_seen_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
