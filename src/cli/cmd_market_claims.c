/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_market_claims.c - enxame market claims: seven verdicts, and where each flips. */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_market.h"

#include <math.h>
#include <stdio.h>

static json_t *json_finite(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *json_claim(const enx_claim *c)
{
    return json_pack(
        "{s:s, s:s, s:o, s:s, s:s, s:o, s:s, s:o, s:[o, o], s:[o, o], s:o, s:o}", "name", c->name,
        "claim", c->statement, "holds", c->is_judged ? json_boolean(c->holds) : json_null(),
        "parameter", c->parameter, "unit", c->unit, "value", json_finite(c->value), "measure",
        c->measure, "measured", json_finite(c->measured), "bound", json_finite(c->bound_low),
        json_finite(c->bound_high), "range", json_finite(c->range_low), json_finite(c->range_high),
        "flip_below", json_finite(c->flip_below), "flip_above", json_finite(c->flip_above));
}

static void print_flip(const char *where, double flip, double value)
{
    if (isnan(flip)) return;
    printf("        flips %s %.6g", where, flip);
    if (value != 0) printf(" (%+.3g %%)", 100 * (flip / value - 1));
    putchar('\n');
}

static void print_claim(int number, const enx_claim *c)
{
    printf("%d  %-5s  %s\n", number, !c->is_judged ? "-" : c->holds ? "holds" : "no", c->statement);
    if (!c->is_judged) {
        printf("        not judged: the scenario has no two layers\n\n");
        return;
    }
    printf("        %s: %.4g; holds ", c->measure, c->measured);
    if (isinf(c->bound_high)) printf("from %g\n", c->bound_low);
    else printf("from %g to %g\n", c->bound_low, c->bound_high);
    printf("        hangs on %s = %.6g (%s)\n", c->parameter, c->value, c->unit);
    print_flip("below", c->flip_below, c->value);
    print_flip("above", c->flip_above, c->value);
    if (isnan(c->flip_below) && isnan(c->flip_above))
        printf("        does not flip from %g to %g\n", c->range_low, c->range_high);
    putchar('\n');
}

static enx_status judge(enx_claim claims[ENX_CLAIMS_COUNT], cli_scenario **scenario,
                        const char *path, const cli_market_links *links, enx_report *report)
{
    ENX_TRY(cli_market_open(scenario, path, links, report));
    const enx_status status = enx_claims_judge(claims, &(*scenario)->claims, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    return status;
}

/* ---- How sure they are ---------------------------------------------------------------------- */

enum { DRAWS_MAX = 1000000 };

typedef struct options {
    cli_market_links links;
    uint64_t         draws, seed;
    double           sd;
} options;

/* Of many draws of the inputs. */
typedef struct doubt {
    double holds;     /* part of the draws */
    double low, high; /* 10 and 90 % of what is measured; NAN: nothing is */
} doubt;

static doubt sum_up(const bool *holds, double *measured, uint32_t draws)
{
    doubt    d = { .low = NAN, .high = NAN };
    uint32_t count = 0;
    for (uint32_t i = 0; i < draws; i++) {
        d.holds += holds[i] / (double)draws;
        if (!isnan(measured[i])) measured[count++] = measured[i];
    }
    if (count == 0) return d;
    const enx_fan fan = enx_future_fan(measured, count);
    d.low = fan.quantiles[ENX_FUTURE_TENTH];
    d.high = fan.quantiles[ENX_FUTURE_NINE_TENTHS];
    return d;
}

static enx_status draw_all(doubt doubts[ENX_CLAIMS_COUNT], const enx_claims_input *input,
                           const options *o, enx_report *report)
{
    const uint32_t draws = (uint32_t)o->draws;
    bool          *holds = ENX_MEM_NEW(bool, (size_t)draws *ENX_CLAIMS_COUNT);
    double        *measured = ENX_MEM_NEW(double, (size_t)draws *ENX_CLAIMS_COUNT);
    enx_status     status = ENX_OK;
    if (!holds || !measured) status = ENX_FAIL(report, NOMEM, "no memory for %u draws", draws);
    for (uint32_t i = 0; i < draws && status == ENX_OK; i++) {
        bool   held[ENX_CLAIMS_COUNT];
        double got[ENX_CLAIMS_COUNT];
        status = enx_claims_draw(held, got, input, o->sd, o->seed, i, report);
        for (int id = 0; id < ENX_CLAIMS_COUNT && status == ENX_OK; id++) {
            holds[(size_t)id * draws + i] = held[id];
            measured[(size_t)id * draws + i] = got[id];
        }
    }
    for (int id = 0; id < ENX_CLAIMS_COUNT && status == ENX_OK; id++)
        doubts[id] = sum_up(holds + (size_t)id * draws, measured + (size_t)id * draws, draws);
    enx_mem_free(holds);
    enx_mem_free(measured);
    return status;
}

static enx_status check_options(const options *o, enx_report *report)
{
    if (o->draws > DRAWS_MAX) return ENX_FAIL(report, INVALID, "--draws: at most %d", DRAWS_MAX);
    if (!(o->sd >= 0 && o->sd <= 2))
        return ENX_FAIL(report, INVALID, "--sd: %g is not from 0 to 2, of the logarithm", o->sd);
    return ENX_OK;
}

static void print_doubts(const enx_claim *claims, const doubt *doubts, const options *o)
{
    printf("with all inputs uncertain by %.3g (of the logarithm), %llu draws, seed %llu\n\n", o->sd,
           (unsigned long long)o->draws, (unsigned long long)o->seed);
    for (int i = 0; i < ENX_CLAIMS_COUNT; i++) {
        if (!claims[i].is_judged) continue;
        printf("%d  %-9s  holds in %5.1f %% of them; measured: 8 in 10 from %.3g to %.3g\n", i + 1,
               claims[i].name, 100 * doubts[i].holds, doubts[i].low, doubts[i].high);
    }
}

static void print_all(const enx_claim claims[ENX_CLAIMS_COUNT], const doubt *doubts,
                      const cli_scenario *scenario, const options *o, bool is_json)
{
    if (!is_json) {
        for (int i = 0; i < ENX_CLAIMS_COUNT; i++) print_claim(i + 1, &claims[i]);
        if (o->draws) print_doubts(claims, doubts, o);
        return;
    }
    json_t *list = json_array();
    for (int i = 0; i < ENX_CLAIMS_COUNT; i++) {
        json_t *claim = json_claim(&claims[i]);
        if (o->draws && claims[i].is_judged) {
            json_object_set_new(claim, "holds_part", json_real(doubts[i].holds));
            json_object_set_new(
                claim, "measured_band",
                json_pack("[o, o]", json_finite(doubts[i].low), json_finite(doubts[i].high)));
        }
        json_array_append_new(list, claim);
    }
    json_t *out = json_pack("{s:o}", "claims", list);
    if (scenario->has_law) json_object_set_new(out, "law", cli_market_law_json(&scenario->law));
    cli_print_json_exact(out);
}

int cmd_market_claims(int argc, char **argv)
{
    options          o = { .seed = 1, .sd = 0.1 };
    const cli_option list[] = {
        { "draws", '\0', CLI_UINT, &o.draws, "N", "how sure: in how many of N draws each holds" },
        { "sd", '\0', CLI_REAL, &o.sd, "SD",
          "of the logarithm of each input in these draws (default 0.1)" },
        { "seed", '\0', CLI_UINT, &o.seed, "N", "one seed is one result (default 1)" },
        CLI_MARKET_OPTIONS(o.links),
    };
    const cli_spec spec = { "market claims SCENARIO.yaml [options]",
                            "Seven claims about the business of models, judged on a market; and "
                            "the value of one parameter at which each verdict flips.",
                            "enxame market claims jobs/market/today.yaml",
                            list,
                            sizeof list / sizeof *list,
                            1,
                            1 };
    cli_args       args;
    enx_report     report = { 0 };
    cli_scenario  *scenario = NULL;
    enx_claim      claims[ENX_CLAIMS_COUNT];
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    doubt doubts[ENX_CLAIMS_COUNT];
    if (status == ENX_OK) status = check_options(&o, &report);
    if (status == ENX_OK)
        status = judge(claims, &scenario, args.operands.items[0], &o.links, &report);
    if (status == ENX_OK && o.draws) status = draw_all(doubts, &scenario->claims, &o, &report);
    if (status == ENX_OK) print_all(claims, doubts, scenario, &o, args.is_json);
    cli_scenario_close(&scenario);
    return status == ENX_OK ? 0 : cli_fail("market claims", &args, status, &report);
}
