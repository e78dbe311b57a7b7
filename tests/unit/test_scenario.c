/* SPDX-License-Identifier: Apache-2.0 */
/* test_scenario.c - market scenarios are read, and what is wrong with them is named. */
#include "cli/cli_scenario.h"

#include "base/mem.h"
#include "plat/file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIRM "firms: [{quality: 1, unit_cost: 0.5}]\n"

static enx_status load(cli_scenario **out, const char *text, enx_report *report)
{
    enx_buf buf;
    *out = NULL;
    *report = (enx_report){ 0 };
    enx_buf_init(&buf, CLI_SCENARIO_BYTES_MAX);
    assert_int_equal(enx_buf_append_text(&buf, text), ENX_OK);
    const enx_status status = cli_scenario_open(out, &buf, "x.yaml", NULL, report);
    enx_buf_deinit(&buf);
    return status;
}

static cli_scenario *open_text(const char *text)
{
    cli_scenario *s;
    enx_report    report;
    if (load(&s, text, &report) != ENX_OK) fail_msg("%s", report.text);
    return s;
}

static void assert_refused(const char *text, enx_status status, const char *word)
{
    cli_scenario    *s;
    enx_report       report;
    const enx_status got = load(&s, text, &report);
    if (got != status || !strstr(report.text, word) || !strstr(report.text, "x.yaml"))
        fail_msg("%s\ngives %d: \"%s\", not %d and %s", text, got, report.text, status, word);
    assert_null(s);
}

static void claims_keys_are_read(void **state)
{
    (void)state;
    cli_scenario *s =
        open_text("alpha: 1\noutside: 0\n" FIRM
                  "claims: {exponent: 0.17, training_counted: 0.1, odds_low: 0.5, odds_high: 0.8,\n"
                  "  horizon_years: 7, value_years: 12, discount: 0.8, public_cost_factor: 1.1}\n");
    const enx_claims_input *c = &s->claims;
    assert_true(c->exponent == 0.17 && c->training_counted == 0.1 && c->odds_low == 0.5);
    assert_true(c->odds_high == 0.8 && c->horizon_years == 7 && c->value_years == 12);
    assert_true(c->discount == 0.8 && c->public_cost_factor == 1.1);
    assert_ptr_equal(c->market, &s->market);
    assert_int_equal(c->layer_count, 0);
    cli_scenario_close(&s);
    assert_refused("claims: {exponnet: 1}\n", ENX_FORMAT, "exponent");
}

static void future_keys_are_read(void **state)
{
    (void)state;
    cli_scenario *s = open_text(
        "alpha: 1\noutside: 0\n" FIRM
        "future: {odds: 0.6, stop_year: 3, horizon_years: 4, demand_growth: 2, demand_sd: 0.1,\n"
        "  cost_factor: 0.5, cost_sd: 0.2, gamma_sd: 0.3, noise_sd: 0.4, quality_sd: 0.35,\n"
        "  learning_rate: 0.25,\n"
        "  units_before: 9, compute_growth: 3, rho_after: 0.7, open_lag_years: 0.5}\n"
        "layers: {curvature: linear, chain: [{name: a, firms: 2}],\n"
        "  hardware: {margin: 0.71, cost_share: 0.72, training_share: 0.73}}\n");
    const enx_future_input *f = &s->future;
    assert_true(f->odds == 0.6 && f->horizon_years == 4 && f->demand_growth == 2);
    assert_true(f->demand_sd == 0.1 && f->cost_factor == 0.5 && f->cost_sd == 0.2);
    assert_true(f->gamma_sd == 0.3 && f->noise_sd == 0.4 && f->learning_rate == 0.25);
    assert_true(f->units_before == 9 && f->compute_growth == 3 && f->rho_after == 0.7);
    assert_true(f->quality_sd == 0.35 && f->stop_year == 3);
    assert_true(f->open_lag_years == 0.5 && f->hardware_margin == 0.71);
    assert_true(f->hardware_cost == 0.72 && f->hardware_training == 0.73);
    assert_ptr_equal(f->market, &s->market);
    cli_scenario_close(&s);
}

static void every_key_is_read(void **state)
{
    (void)state;
    cli_scenario *s = open_text(
        "name: n\nabout: a\nconduct: both\nalpha: 2\nrho: 0.25\ngamma: 1.5\nsize: 100\n"
        "outside: -1.5\n"
        "firms:\n"
        "  - {name: A, quality: 3, unit_cost: 0.5, subsidy_usd: 7, public: true, owner: 1}\n"
        "  - {quality: 4, unit_cost: 1, owner: 0}\n"
        "entry: {fixed_cost_usd: 3, firms_max: 9}\n"
        "open: {lag_years: 2, compute_growth: 2.718281828459045, unit_cost: 0.2, place: inside}\n"
        "layers:\n  curvature: linear\n  chain: [{name: u, firms: 1}, {name: d, firms: 1}]\n"
        "  hardware: {margin: 0.7, cost_share: 0.5, training_share: 1}\n");
    const enx_market *m = &s->market;
    assert_string_equal(s->name, "n");
    assert_string_equal(s->about, "a");
    assert_true(s->is_both && s->firms_max == 9);
    assert_true(m->alpha == 2 && m->rho == 0.25 && m->gamma == 1.5 && m->size == 100);
    assert_true(m->has_outside && m->outside == -1.5 && m->fixed_cost_usd == 3);
    assert_int_equal(m->product_count, 2);
    assert_string_equal(m->products[0].name, "A");
    assert_true(m->products[0].is_public && m->products[0].subsidy_usd == 7);
    assert_true(m->products[0].owner == 1 && m->products[1].owner == 0);
    assert_true(m->products[1].quality == 4 && m->products[1].unit_cost == 1);
    assert_true(m->has_open && m->is_open_inside && m->open_cost == 0.2);
    assert_true(fabs(m->open_quality - (4 - 1.5 * 2)) < 1e-12);
    assert_int_equal(s->chain.count, 2);
    assert_string_equal(s->chain.names[1], "d");
    assert_true(fabs(s->chain.share[0] - 2.0 / 3) < 1e-12);
    assert_true(s->chain.has_hardware && s->chain.hardware_margin == 0.7);
    assert_true(s->chain.cost_share == 0.5 && s->chain.training_share == 1);
    cli_scenario_close(&s);
    assert_null(s);
}

static void lists_are_a_short_form(void **state)
{
    (void)state;
    cli_scenario *s = open_text("{\"v\": [1, 0.5], \"owner\": [0, 0], \"alpha\": 2, \"rho\": 0,\n"
                                " \"outside\": 0, \"public\": [1, 0], \"fringe\": 3}");
    assert_true(s->market.products[1].quality == 0.5 && s->market.products[1].owner == 0);
    assert_true(s->market.products[0].is_public && s->market.products[1].is_public);
    assert_true(s->market.has_open && s->market.open_quality == 3);
    assert_true(s->market.size == 1);
    cli_scenario_close(&s);
    s = open_text("{\"c\": [1, 1.3], \"delta\": [0, 2], \"alpha\": 1, \"outside\": null}");
    assert_true(!s->market.has_outside && s->market.products[1].unit_cost == 1.3);
    cli_scenario_close(&s);
    s = open_text("{\"gamma\": \"1.25\", \"rho\": 0}");
    assert_true(s->market.product_count == 0 && s->market.gamma == 1.25);
    cli_scenario_close(&s);
}

static void what_is_missing_or_unknown_is_named(void **state)
{
    (void)state;
    assert_refused("", ENX_FORMAT, "empty");
    assert_refused("alpah: 1\n", ENX_FORMAT, "did you mean \"alpha\"");
    assert_refused("alpha: 1\noutside: 0\nfirms: [{quality: 1}]\n", ENX_INVALID,
                   "firm 1: unit_cost: is missing; USD a unit, from 0");
    assert_refused("alpha: 1\noutside: 0\nfirms: [{name: A, unit_cost: 1}]\n", ENX_INVALID,
                   "firm 1 A: quality: is missing; utility, from -1e+06 to 1e+06");
    assert_refused("alpha: 1\noutside: 0\nfirms: [{qualty: 1}]\n", ENX_FORMAT, "\"quality\"");
    assert_refused("outside: 0\n" FIRM, ENX_INVALID, "alpha: is missing");
    assert_refused("alpha: 1\n" FIRM, ENX_INVALID, "outside: is missing");
    assert_refused("alpha: x\noutside: 0\n" FIRM, ENX_FORMAT,
                   "alpha: utility a USD, above 0 to 1e9");
    assert_refused("alpha: 1\noutside: 3x\n" FIRM, ENX_INVALID, "outside");
    assert_refused("conduct: stackelberg\n", ENX_FORMAT, "conduct");
    assert_refused("alpha: 1\noutside: 0\n", ENX_INVALID, "firms");
    assert_refused("gamma: 1\nalpha: 1\nfirms: []\n", ENX_INVALID, "firms");
    assert_refused("gamma: 101\n", ENX_INVALID, "gamma");
    assert_refused("gamma: 1\nrho: 1\n", ENX_INVALID, "rho");
    assert_refused("- 1\n- 2\n", ENX_FORMAT, "x.yaml");
    assert_refused("{{{", ENX_FORMAT, "x.yaml");
}

static void numbers_that_make_no_sense_are_named(void **state)
{
    (void)state;
    assert_refused("alpha: nan\noutside: 0\n" FIRM, ENX_INVALID, "alpha");
    assert_refused("alpha: 1\noutside: nan\n" FIRM, ENX_INVALID, "outside");
    assert_refused("alpha: 1\noutside: 0\nrho: 1\n" FIRM, ENX_INVALID, "rho");
    assert_refused("alpha: 1\noutside: 0\nsize: -5\n" FIRM, ENX_INVALID, "size");
    assert_refused("alpha: 1\noutside: 0\nfirms: [{quality: 1, unit_cost: -1}]\n", ENX_INVALID,
                   "unit_cost");
    assert_refused("alpha: 1\noutside: 0\nfirms: [{quality: inf, unit_cost: 1}]\n", ENX_INVALID,
                   "quality");
    assert_refused("alpha: 1\noutside: 0\nentry: {fixed_cost_usd: 1, firms_max: 0}\n" FIRM,
                   ENX_INVALID, "firms_max");
    assert_refused("alpha: 1\noutside: 0\nentry: {fixed_cost_usd: 1, firms_max: 99999}\n" FIRM,
                   ENX_INVALID, "firms_max");
    assert_refused("alpha: 1\noutside: 0\nopen: {unit_cost: 1}\n" FIRM, ENX_INVALID, "open");
    assert_refused(
        "alpha: 1\noutside: 0\nopen: {unit_cost: 1, lag_years: -1, compute_growth: 2}\n" FIRM,
        ENX_INVALID, "lag_years");
    assert_refused(
        "alpha: 1\noutside: 0\nopen: {unit_cost: 1, lag_years: 1, compute_growth: nan}\n" FIRM,
        ENX_INVALID, "compute_growth");
    assert_refused("alpha: 1\noutside: 0\ngamma: 1\ntraining: {spend: endogenous}\n"
                   "open: {unit_cost: 1, lag_years: 1, compute_growth: 2}\n" FIRM,
                   ENX_INVALID, "open.quality");
    assert_refused("alpha: 1\noutside: 0\nlayers: {curvature: linear, chain: [{name: a, firms: 0}]}"
                   "\n" FIRM,
                   ENX_INVALID, "layers");
    assert_refused("alpha: 1\noutside: 0\nlayers: {curvature: linear, chain: [{name: a, firms: 1}],"
                   " hardware: {margin: 2, cost_share: 1, training_share: 1}}\n" FIRM,
                   ENX_INVALID, "hardware");
}

static void lists_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    assert_refused("{alpha: 1, outside: 0, v: [1, 2], owner: [0]}", ENX_INVALID, "owner");
    assert_refused("{alpha: 1, outside: 0, v: [1, 2], owner: [0, 2]}", ENX_INVALID, "owner");
    assert_refused("{alpha: 1, outside: 0, delta: [1, 2], c: [0]}", ENX_INVALID, "c:");
    assert_refused("{alpha: 1, outside: 0, v: [1, 2], c: [0, 0]}", ENX_INVALID, "v:");
    assert_refused("{alpha: 1, outside: 0, v: [1], public: [1]}", ENX_INVALID, "public");
    assert_refused("{alpha: 1, outside: 0, v: [1], firms: [{quality: 1, unit_cost: 1}]}",
                   ENX_INVALID, "firms");
    assert_refused("{alpha: 1, outside: 0, v: [1], fringe: 1, open: {quality: 1, unit_cost: 1}}",
                   ENX_INVALID, "fringe");
}

#define SEEN "outside: 0\nsize: 10\nfirms:\n  - {price: 2, share: 0.4, margin: 0.5}\n"

static void what_is_seen_becomes_qualities_and_costs(void **state)
{
    (void)state;
    cli_scenario *s = open_text(SEEN "  - {price: 3, share: 0.2}\n");
    /* alpha margin = 1 / (1 - share) at rho 0 */
    assert_true(fabs(s->market.alpha - 1 / 0.6) < 1e-12);
    assert_true(fabs(s->market.products[0].unit_cost - 1) < 1e-12);
    assert_true(fabs(s->market.products[1].unit_cost - (3 - 0.6 / 0.8)) < 1e-12);
    assert_true(fabs(s->market.products[1].quality - (log(0.2 / 0.4) + 3 / 0.6)) < 1e-12);
    cli_scenario_close(&s);
    /* public firms and open weights come on top of what was seen */
    cli_scenario *changed = open_text(SEEN "  - {price: 3, share: 0.2, public: true}\n"
                                           "open: {quality: 1, unit_cost: 1}\n");
    assert_true(changed->market.products[1].is_public && changed->market.has_open);
    assert_true(fabs(changed->market.products[1].unit_cost - (3 - 0.6 / 0.8)) < 1e-12);
    assert_true(fabs(changed->market.products[1].quality - (log(0.2 / 0.4) + 3 / 0.6)) < 1e-12);
    cli_scenario_close(&changed);
    assert_refused(SEEN "  - {price: 3}\n", ENX_INVALID, "firm 2: share: is missing");
    assert_refused(SEEN "  - {share: 0.1}\n", ENX_INVALID, "firm 2: price: is missing");
    assert_refused(SEEN "  - {quality: 3, unit_cost: 1}\n", ENX_INVALID, "firm 2: quality");
    assert_refused(SEEN "  - {price: 3, share: 0.7}\n", ENX_INVALID, "share");
    assert_refused("alpha: 0\n" SEEN, ENX_INVALID, "alpha");
    assert_refused("alpha: 1\noutside: 0\nfirms: [{quality: 1, unit_cost: 1, margin: 0.3}]\n",
                   ENX_INVALID, "margin");
}

static void units_that_were_mixed_up_are_told(void **state)
{
    (void)state;
    assert_refused("alpha: 1\noutside: 0\nfirms: [{quality: 1, unit_cost: 1.3},\n"
                   "  {quality: 1, unit_cost: 1.3e-6}]\n",
                   ENX_INVALID, "is one of them for a token, and the other for a million?");
    assert_refused("alpha: 1\noutside: 0\nopen: {quality: 1, unit_cost: 9e-7}\n" FIRM, ENX_INVALID,
                   "for a token");
    cli_scenario *s = open_text("alpha: 1\noutside: 0\nopen: {quality: 1, unit_cost: 0}\n" FIRM);
    cli_scenario_close(&s);
}

/* The table is what `market keys` prints and what messages take units from. */
static void every_key_has_unit_range_default_and_source(void **state)
{
    (void)state;
    const char  *names[CLI_SCENARIO_KEYS_MAX];
    const size_t count = cli_scenario_key_names(names);
    assert_true(count > cli_scenario_key_count);
    for (size_t i = 0; i < cli_scenario_key_count; i++) {
        const cli_scenario_key *k = &cli_scenario_keys[i];
        assert_true(k->unit[0] && k->range[0] && k->fallback[0] && k->source[0]);
        assert_non_null(cli_scenario_key_find(names[i]));
    }
    assert_null(cli_scenario_key_find("alpah"));
}

#define TRAINED                                        \
    "alpha: 1.87\noutside: 0\ngamma: 1.2\nsize: 1e9\n" \
    "training: {spend: endogenous}\nfuture: {odds: 0.9, gamma_sd: 0.03}\n" FIRM

static void a_law_moves_gamma_odds_and_their_spread(void **state)
{
    (void)state;
    char          folder[] = "/tmp/enxame-law-XXXXXX", path[64], text[400];
    const char    law[] = "{\"kind\": \"enxame.law\", \"version\": 1, \"compute_exponent\": 0.2,\n"
                          " \"se\": {\"compute_exponent\": 0.008}, \"odds\": {\"holds\": 0.3,\n"
                          " \"slowed\": 0.3, \"stopped\": 0.3, \"reversed\": 0.1}}";
    cli_scenario *s;
    enx_report    report = { 0 };
    enx_buf       buf;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/law.json", folder);
    assert_int_equal(enx_file_write(path, law, strlen(law), NULL), ENX_OK);
    snprintf(text, sizeof text, "law: %s\n" TRAINED, path);
    s = open_text(text);
    assert_true(s->has_law && fabs(s->market.gamma - 1.2 * 0.2 / 0.155) < 1e-12);
    assert_true(s->claims.exponent == 0.2 && s->future.odds == 0.3);
    assert_true(fabs(s->future.gamma_sd - 0.05) < 1e-12); /* 0.03 and 0.008 / 0.2 */
    assert_non_null(strstr(cli_market_law_doubt(&s->law), "odds"));
    cli_scenario_close(&s);
    /* a path in a scenario is relative to it; one of the command line is not, and comes first */
    enx_buf_init(&buf, 1000);
    assert_int_equal(enx_buf_append_text(&buf, "law: law.json\n" TRAINED), ENX_OK);
    char beside[80];
    snprintf(beside, sizeof beside, "%s/x.yaml", folder);
    assert_int_equal(cli_scenario_open(&s, &buf, beside, NULL, &report), ENX_OK);
    cli_scenario_close(&s);
    assert_int_equal(cli_scenario_open(&s, &buf, beside, "/none/law.json", &report), ENX_NOTFOUND);
    enx_buf_deinit(&buf);
    snprintf(text, sizeof text, "law: %s\nalpha: 1\noutside: 0\n" FIRM, path);
    assert_refused(text, ENX_INVALID, "gamma: is missing");
    (void)remove(path);
    (void)remove(folder);
    assert_refused("law: none.json\n" TRAINED, ENX_NOTFOUND, "none.json");
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    for (long calls = 0; calls < 2; calls++) {
        enx_buf       buf;
        cli_scenario *s = NULL;
        enx_buf_init(&buf, 1000);
        assert_int_equal(enx_buf_append_text(&buf, "alpha: 1\noutside: 0\n" FIRM), ENX_OK);
        enx_mem_fail_after(calls);
        assert_int_equal(cli_scenario_open(&s, &buf, "x.yaml", NULL, NULL), ENX_NOMEM);
        enx_mem_fail_after(-1);
        assert_null(s);
        enx_buf_deinit(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(claims_keys_are_read),
        cmocka_unit_test(future_keys_are_read),
        cmocka_unit_test(lists_are_a_short_form),
        cmocka_unit_test(what_is_missing_or_unknown_is_named),
        cmocka_unit_test(numbers_that_make_no_sense_are_named),
        cmocka_unit_test(lists_that_do_not_fit_are_refused),
        cmocka_unit_test(what_is_seen_becomes_qualities_and_costs),
        cmocka_unit_test(units_that_were_mixed_up_are_told),
        cmocka_unit_test(every_key_has_unit_range_default_and_source),
        cmocka_unit_test(a_law_moves_gamma_odds_and_their_spread),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
