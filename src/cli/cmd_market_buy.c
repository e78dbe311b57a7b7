/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_market_buy.c - enxame market buy: an API, an own model, or a swarm, before anything runs. */
#include "backend/yaml.h"
#include "cli/cli.h"
#include "cli/cli_scenario.h"
#include "market/buy.h"

#include <math.h>
#include <stdio.h>

typedef struct yaml_job {
    double tasks, tokens_in, tokens_cached, tokens_out;
} yaml_job;

typedef struct yaml_api {
    double  usd_per_mtok_in, usd_per_mtok_out;
    double *usd_per_mtok_cached;
} yaml_api;

typedef struct yaml_own {
    double  usd_per_hour, tokens_per_s_in, tokens_per_s_out, setup_usd;
    double *hours, *overhead, *utilisation, *months;
} yaml_own;

typedef struct yaml_swarm {
    double  usd_per_mtok_in, usd_per_mtok_out, escalated, audited, fixed_usd;
    double *usd_per_mtok_cached;
} yaml_swarm;

typedef struct yaml_buy {
    yaml_job    job;
    yaml_api    api;
    yaml_own   *own;
    yaml_swarm *swarm;
} yaml_buy;

/* clang-format off */
#define MUST CYAML_FLAG_DEFAULT
#define MAYBE CYAML_FLAG_OPTIONAL
#define MAYBE_PTR (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
static const cyaml_schema_field_t job_fields[] = {
    CYAML_FIELD_FLOAT("tasks", MUST, yaml_job, tasks),
    CYAML_FIELD_FLOAT("tokens_in", MUST, yaml_job, tokens_in),
    CYAML_FIELD_FLOAT("tokens_cached", MAYBE, yaml_job, tokens_cached),
    CYAML_FIELD_FLOAT("tokens_out", MUST, yaml_job, tokens_out),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t api_fields[] = {
    CYAML_FIELD_FLOAT("usd_per_mtok_in", MUST, yaml_api, usd_per_mtok_in),
    CYAML_FIELD_FLOAT_PTR("usd_per_mtok_cached", MAYBE_PTR, yaml_api, usd_per_mtok_cached),
    CYAML_FIELD_FLOAT("usd_per_mtok_out", MUST, yaml_api, usd_per_mtok_out),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t own_fields[] = {
    CYAML_FIELD_FLOAT("usd_per_hour", MUST, yaml_own, usd_per_hour),
    CYAML_FIELD_FLOAT("tokens_per_s_in", MUST, yaml_own, tokens_per_s_in),
    CYAML_FIELD_FLOAT("tokens_per_s_out", MUST, yaml_own, tokens_per_s_out),
    CYAML_FIELD_FLOAT("setup_usd", MAYBE, yaml_own, setup_usd),
    CYAML_FIELD_FLOAT_PTR("hours", MAYBE_PTR, yaml_own, hours),
    CYAML_FIELD_FLOAT_PTR("overhead", MAYBE_PTR, yaml_own, overhead),
    CYAML_FIELD_FLOAT_PTR("utilisation", MAYBE_PTR, yaml_own, utilisation),
    CYAML_FIELD_FLOAT_PTR("months", MAYBE_PTR, yaml_own, months),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t swarm_fields[] = {
    CYAML_FIELD_FLOAT("usd_per_mtok_in", MUST, yaml_swarm, usd_per_mtok_in),
    CYAML_FIELD_FLOAT_PTR("usd_per_mtok_cached", MAYBE_PTR, yaml_swarm, usd_per_mtok_cached),
    CYAML_FIELD_FLOAT("usd_per_mtok_out", MUST, yaml_swarm, usd_per_mtok_out),
    CYAML_FIELD_FLOAT("escalated", MUST, yaml_swarm, escalated),
    CYAML_FIELD_FLOAT("audited", MAYBE, yaml_swarm, audited),
    CYAML_FIELD_FLOAT("fixed_usd", MAYBE, yaml_swarm, fixed_usd),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t buy_fields[] = {
    CYAML_FIELD_MAPPING("job", MUST, yaml_buy, job, job_fields),
    CYAML_FIELD_MAPPING("api", MUST, yaml_buy, api, api_fields),
    CYAML_FIELD_MAPPING_PTR("own", MAYBE_PTR, yaml_buy, own, own_fields),
    CYAML_FIELD_MAPPING_PTR("swarm", MAYBE_PTR, yaml_buy, swarm, swarm_fields),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t buy_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, yaml_buy, buy_fields),
};
static const char *const known_keys[] = {
    "job", "api", "own", "swarm", "tasks", "tokens_in", "tokens_cached", "tokens_out",
    "usd_per_mtok_in", "usd_per_mtok_cached", "usd_per_mtok_out", "usd_per_hour",
    "tokens_per_s_in", "tokens_per_s_out", "setup_usd", "hours", "overhead", "utilisation",
    "months", "escalated", "audited", "fixed_usd",
};
/* clang-format on */

static double or_default(const double *given, double fallback) { return given ? *given : fallback; }

/* Without a price of their own, cached tokens cost what others do. */
static enx_buy_input take_input(const yaml_buy *y)
{
    enx_buy_input in = { .tasks = y->job.tasks,
                         .tokens_in = y->job.tokens_in,
                         .tokens_cached = y->job.tokens_cached,
                         .tokens_out = y->job.tokens_out,
                         .has_own = y->own != NULL,
                         .has_swarm = y->swarm != NULL };
    in.api = (enx_tariff){ .in = y->api.usd_per_mtok_in,
                           .cached = or_default(y->api.usd_per_mtok_cached, y->api.usd_per_mtok_in),
                           .out = y->api.usd_per_mtok_out };
    if (y->own) {
        in.usd_per_hour = y->own->usd_per_hour;
        in.tokens_per_s_in = y->own->tokens_per_s_in;
        in.tokens_per_s_out = y->own->tokens_per_s_out;
        in.setup_usd = y->own->setup_usd;
        in.hours = or_default(y->own->hours, 730);
        in.overhead = or_default(y->own->overhead, 1);
        in.utilisation = or_default(y->own->utilisation, 1);
        in.months = or_default(y->own->months, 12);
    }
    if (y->swarm) {
        in.small = (enx_tariff){ .in = y->swarm->usd_per_mtok_in,
                                 .cached = or_default(y->swarm->usd_per_mtok_cached,
                                                      y->swarm->usd_per_mtok_in),
                                 .out = y->swarm->usd_per_mtok_out };
        in.escalated = y->swarm->escalated;
        in.audited = y->swarm->audited;
        in.fixed_usd = y->swarm->fixed_usd;
    }
    return in;
}

/* ---- What is printed ------------------------------------------------------------------------ */

static const char *cheapest(const enx_buy *b)
{
    const double least = fmin(b->api_usd, fmin(b->own_usd, b->swarm_usd));
    return least == b->api_usd ? "api" : least == b->swarm_usd ? "swarm" : "own";
}

static json_t *json_finite(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *json_way(double usd, double tasks)
{
    return isfinite(usd) ? json_pack("{s:f, s:f}", "usd", usd, "usd_per_1000", 1000 * usd / tasks)
                         : json_null();
}

static void print_json(const enx_buy_input *in, const enx_buy *b)
{
    json_t *own = json_way(b->own_usd, in->tasks), *swarm = json_way(b->swarm_usd, in->tasks);
    if (in->has_own) {
        json_object_set_new(own, "machines", json_real(b->machines));
        json_object_set_new(own, "machine_tasks", json_real(b->machine_tasks));
        json_object_set_new(own, "break_even_tasks", json_finite(b->own_break_even));
    }
    if (in->has_swarm) {
        json_object_set_new(swarm, "break_even_tasks", json_finite(b->swarm_break_even));
        json_object_set_new(swarm, "break_even_escalated", json_finite(b->escalated_break_even));
    }
    cli_print_json_exact(json_pack("{s:f, s:o, s:o, s:o, s:s}", "tasks", in->tasks, "api",
                                   json_way(b->api_usd, in->tasks), "own", own, "swarm", swarm,
                                   "cheapest", cheapest(b)));
}

static void print_way(const char *name, double usd, double tasks, double api)
{
    if (isinf(usd)) return;
    printf("  %-8s %14.2f %18.4f", name, usd, 1000 * usd / tasks);
    if (api > 0 && usd != api) printf("   %+.1f %%", 100 * (usd / api - 1));
    putchar('\n');
}

static void print_break_even(const enx_buy_input *in, const enx_buy *b)
{
    if (in->has_own) {
        printf("  own      %g machine%s, of which one does up to %.6g tasks a month\n", b->machines,
               b->machines == 1 ? "" : "s", b->machine_tasks);
        if (isinf(b->own_break_even))
            printf(
                "           never cheaper than the API: a full machine costs more than it saves\n");
        else
            printf("           no dearer than the API from %.6g tasks a month\n",
                   b->own_break_even);
        if (b->api_usd > 0)
            printf("           worth the same as the API if its prices were %.4g times today's\n",
                   b->own_usd / b->api_usd);
    }
    if (!in->has_swarm) return;
    if (isinf(b->swarm_break_even)) printf("  swarm    never cheaper than the API\n");
    else printf("  swarm    no dearer than the API from %.6g tasks a month\n", b->swarm_break_even);
    if (b->escalated_break_even > 0)
        printf("           ... and as long as no more than %.3g %% go up\n",
               100 * b->escalated_break_even);
}

/* The same job at other volumes, from a hundredth to a hundred times. */
static enx_status print_volumes(const enx_buy_input *in, enx_report *report)
{
    printf("\n  tasks a month        api USD        own USD      swarm USD   cheapest\n");
    for (int power = -2; power <= 2; power++) {
        enx_buy_input other = *in;
        enx_buy       b;
        other.tasks = in->tasks * pow(10, power);
        if (other.tasks < 1) continue;
        ENX_TRY(enx_buy_solve(&b, &other, report));
        printf("  %13.6g %14.2f", other.tasks, b.api_usd);
        const double rest[] = { b.own_usd, b.swarm_usd };
        for (int i = 0; i < 2; i++) {
            if (isinf(rest[i])) printf(" %14s", "-");
            else printf(" %14.2f", rest[i]);
        }
        printf("   %s\n", cheapest(&b));
    }
    return ENX_OK;
}

static enx_status print_all(const enx_buy_input *in, const enx_buy *b, enx_report *report)
{
    printf("%.6g tasks a month\n\n           USD a month   USD a 1000 tasks   to the API\n",
           in->tasks);
    print_way("api", b->api_usd, in->tasks, b->api_usd);
    print_way("own", b->own_usd, in->tasks, b->api_usd);
    print_way("swarm", b->swarm_usd, in->tasks, b->api_usd);
    printf("\n  cheapest: %s\n\n", cheapest(b));
    print_break_even(in, b);
    return print_volumes(in, report);
}

static enx_status buy(const char *path, bool is_json, enx_report *report)
{
    enx_buf       text;
    void         *loaded = NULL;
    enx_buy_input in;
    enx_buy       b;
    enx_buf_init(&text, CLI_SCENARIO_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK)
        status = enx_yaml_load(&loaded, &buy_schema, &text, path, known_keys,
                               sizeof known_keys / sizeof *known_keys, report);
    if (status == ENX_OK) {
        in = take_input(loaded);
        status = enx_buy_solve(&b, &in, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    if (status == ENX_OK && is_json) print_json(&in, &b);
    else if (status == ENX_OK) status = print_all(&in, &b, report);
    if (loaded) enx_yaml_free(&buy_schema, loaded);
    enx_buf_deinit(&text);
    return status;
}

int cmd_market_buy(int argc, char **argv)
{
    const cli_spec spec = { "market buy JOB.yaml [options]",
                            "What a job costs a month by an API, by a model of your own, and by a "
                            "swarm, before anything runs.",
                            "enxame market buy jobs/market/buy_tickets.yaml",
                            NULL,
                            0,
                            1,
                            1 };
    cli_args       args;
    enx_report     report = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = buy(args.operands.items[0], args.is_json, &report);
    return status == ENX_OK ? 0 : cli_fail("market buy", &args, status, &report);
}
