/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_market_claims.c - enxame market claims: seven verdicts, and where each flips. */
#include "cli/cli.h"
#include "cli/cli_law.h"
#include "cli/cli_scenario.h"

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

static enx_status judge(enx_claim claims[ENX_CLAIMS_COUNT], const char *path, const char *law,
                        enx_report *report)
{
    enx_buf       text;
    cli_scenario *scenario = NULL;
    enx_buf_init(&text, CLI_SCENARIO_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK) status = cli_scenario_open(&scenario, &text, path, report);
    if (status == ENX_OK && law) status = cli_law_apply(scenario, law, report);
    if (status == ENX_OK) {
        status = enx_claims_judge(claims, &scenario->claims, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    cli_scenario_close(&scenario);
    enx_buf_deinit(&text);
    return status;
}

int cmd_market_claims(int argc, char **argv)
{
    const char      *law = NULL;
    const cli_option options[] = {
        { "law", '\0', CLI_TEXT, (void *)&law, "FILE",
          "exponent, and gamma with it, from `enxame scale fit --law`" },
    };
    const cli_spec spec = { "market claims SCENARIO.yaml [options]",
                            "Seven claims about the business of models, judged on a market; and "
                            "the value of one parameter at which each verdict flips.",
                            "enxame market claims jobs/market/today.yaml",
                            options,
                            sizeof options / sizeof *options,
                            1,
                            1 };
    cli_args       args;
    enx_report     report = { 0 };
    enx_claim      claims[ENX_CLAIMS_COUNT];
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = judge(claims, args.operands.items[0], law, &report);
    if (status != ENX_OK) return cli_fail("market claims", &args, status, &report);
    if (args.is_json) {
        json_t *list = json_array();
        for (int i = 0; i < ENX_CLAIMS_COUNT; i++)
            json_array_append_new(list, json_claim(&claims[i]));
        cli_print_json_exact(json_pack("{s:o}", "claims", list));
    } else
        for (int i = 0; i < ENX_CLAIMS_COUNT; i++) print_claim(i + 1, &claims[i]);
    return 0;
}
