/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_market_run.c - enxame market run: years of a market, drawn many times. */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_fan.h"
#include "cli/cli_law.h"
#include "cli/cli_scenario.h"
#include "plat/file.h"
#include "plat/pool.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PARTS = 64,          /* of the draws, whatever the number of threads */
    CELLS_MAX = 4000000, /* draws times years: 320 MB */
    CONDUCTS = 2,
};

typedef struct metric_name {
    const char *key, *title;
    double      scale; /* of the title's unit */
} metric_name;

static const metric_name metric_names[ENX_METRICS_COUNT] = {
    [ENX_METRIC_LAW] = { "law", "the law holds (1 yes, 0 no)", 1 },
    [ENX_METRIC_COST] = { "unit_cost", "unit cost, USD", 1 },
    [ENX_METRIC_PRICE] = { "price", "price, USD a unit", 1 },
    [ENX_METRIC_UNITS] = { "units", "units sold, billion a year", 1e-9 },
    [ENX_METRIC_GROSS] = { "gross_usd", "models: gross profit, bn USD/y", 1e-9 },
    [ENX_METRIC_TRAINING] = { "training_usd", "models: training, bn USD/y", 1e-9 },
    [ENX_METRIC_NET] = { "net_usd", "models: net profit, bn USD/y", 1e-9 },
    [ENX_METRIC_HARDWARE] = { "hardware_usd", "hardware: gross profit, bn USD/y", 1e-9 },
    [ENX_METRIC_SURPLUS] = { "cs", "users: consumer surplus, bn USD/y", 1e-9 },
    [ENX_METRIC_FIRMS] = { "n", "firms", 1 },
};

typedef struct options {
    uint64_t    draws, years, seed, threads, stop_year;
    const char *svg, *law;
    bool        has_tornado;
} options;

static const double tornado_factors[] = { 0.9, 1.1 };

enum { FACTORS = 2 };

/* Medians of the last year with one lever turned; NAN: no draw has an equilibrium. */
typedef struct gust {
    double net[FACTORS], hardware[FACTORS], surplus[FACTORS];
} gust;

/* All draws under one conduct. */
typedef struct run {
    enx_future_input input;
    enx_market       market;
    uint32_t         draws, failed;
    double          *rows;   /* [draws][years][ENX_METRICS_COUNT] */
    bool            *is_bad; /* [draws] without equilibrium in some year */
    enx_status       statuses[PARTS];
    enx_report       reports[PARTS];
    enx_fan         *fans; /* [ENX_METRICS_COUNT][years] */
} run;

static void close_run(run *r)
{
    enx_mem_free(r->rows);
    enx_mem_free(r->is_bad);
    enx_mem_free(r->fans);
}

static void draw_part(void *user, uint32_t part, uint32_t part_count)
{
    run           *r = user;
    const uint64_t first = (uint64_t)r->draws * part / part_count;
    const uint64_t end = (uint64_t)r->draws * (part + 1) / part_count;
    const size_t   size = (size_t)r->input.years * ENX_METRICS_COUNT;
    for (uint64_t i = first; i < end && r->statuses[part] != ENX_NOMEM; i++) {
        uint32_t         stop_year;
        enx_report       report = { 0 };
        const enx_status status =
            enx_future_draw(r->rows + i * size, &stop_year, &r->input, i, &report);
        if (status == ENX_OK) continue;
        r->is_bad[i] = true;
        if (r->statuses[part] != ENX_OK && status != ENX_NOMEM) continue;
        r->statuses[part] = status;
        r->reports[part] = report;
    }
}

/* Draws without equilibrium are counted and left out; anything else ends the run. */
static enx_status judge_draws(run *r, enx_report *report)
{
    for (int i = 0; i < PARTS; i++)
        if (r->statuses[i] != ENX_OK && r->statuses[i] != ENX_UNSUPPORTED) {
            if (report) *report = r->reports[i];
            return r->statuses[i];
        }
    for (uint32_t i = 0; i < r->draws; i++) r->failed += r->is_bad[i];
    for (int i = 0; i < PARTS && r->failed == r->draws; i++)
        if (r->statuses[i] != ENX_OK) {
            if (report) *report = r->reports[i];
            return r->statuses[i];
        }
    return ENX_OK;
}

static enx_status fan_out(run *r, enx_report *report)
{
    const size_t size = (size_t)r->input.years * ENX_METRICS_COUNT;
    double      *values = ENX_MEM_NEW(double, r->draws);
    r->fans = ENX_MEM_NEW(enx_fan, size);
    if (!values || !r->fans) {
        enx_mem_free(values);
        return ENX_FAIL(report, NOMEM, "no memory for %u draws", r->draws);
    }
    for (uint32_t metric = 0; metric < ENX_METRICS_COUNT; metric++)
        for (uint32_t year = 0; year < r->input.years; year++) {
            uint32_t count = 0;
            for (uint32_t i = 0; i < r->draws; i++)
                if (!r->is_bad[i])
                    values[count++] = r->rows[i * size + year * ENX_METRICS_COUNT + metric];
            r->fans[metric * r->input.years + year] = enx_future_fan(values, count);
        }
    enx_mem_free(values);
    return ENX_OK;
}

static enx_status run_draws(run *r, enx_pool *pool, enx_report *report)
{
    ENX_TRY(enx_future_check(&r->input, report));
    r->rows = ENX_MEM_NEW(double, (size_t)r->draws * r->input.years * ENX_METRICS_COUNT);
    r->is_bad = ENX_MEM_NEW(bool, r->draws);
    if (!r->rows || !r->is_bad) return ENX_FAIL(report, NOMEM, "no memory for %u draws", r->draws);
    enx_pool_run(pool, draw_part, r, PARTS);
    ENX_TRY(judge_draws(r, report));
    return fan_out(r, report);
}

static double last_median(const run *r, enx_metric metric)
{
    return r->fans[metric * r->input.years + r->input.years - 1].quantiles[2];
}

/* The same draws again, each lever turned down and up. */
static enx_status blow(gust gusts[ENX_LEVERS_COUNT], const run *base, enx_pool *pool,
                       enx_report *report)
{
    static run turned;
    for (int lever = 0; lever < ENX_LEVERS_COUNT; lever++)
        for (int i = 0; i < FACTORS; i++) {
            gust *g = &gusts[lever];
            turned = (run){ .input = base->input, .draws = base->draws };
            enx_future_turn(&turned.input, &turned.market, (enx_lever)lever, tornado_factors[i]);
            const enx_status status = run_draws(&turned, pool, report);
            if (status == ENX_OK) {
                g->net[i] = last_median(&turned, ENX_METRIC_NET);
                g->hardware[i] = last_median(&turned, ENX_METRIC_HARDWARE);
                g->surplus[i] = last_median(&turned, ENX_METRIC_SURPLUS);
            } else g->net[i] = g->hardware[i] = g->surplus[i] = NAN;
            close_run(&turned);
            if (status == ENX_OK || status == ENX_UNSUPPORTED) continue;
            enx_report_wrap(report, "%s times %g", enx_lever_names[lever], tornado_factors[i]);
            return status;
        }
    return ENX_OK;
}

/* ---- What is printed ------------------------------------------------------------------------ */

static json_t *json_run(const run *r)
{
    json_t *metrics = json_object();
    for (uint32_t metric = 0; metric < ENX_METRICS_COUNT; metric++) {
        json_t *years = json_array();
        for (uint32_t year = 0; year < r->input.years; year++) {
            const enx_fan *fan = &r->fans[metric * r->input.years + year];
            json_t        *quantiles = json_array();
            for (int q = 0; q < ENX_FUTURE_QUANTILES; q++)
                json_array_append_new(quantiles, json_real(fan->quantiles[q]));
            json_array_append_new(years, json_pack("{s:i, s:f, s:f, s:o}", "year", (int)year + 1,
                                                   "mean", fan->mean, "standard_error",
                                                   fan->standard_error, "quantiles", quantiles));
        }
        json_object_set_new(metrics, metric_names[metric].key, years);
    }
    return json_pack("{s:s, s:i, s:o}", "conduct",
                     r->market.conduct == ENX_CONDUCT_COURNOT ? "cournot" : "bertrand",
                     "without_equilibrium", (int)r->failed, "fans", metrics);
}

static json_t *json_pair(const double values[FACTORS])
{
    json_t *pair = json_array();
    for (int i = 0; i < FACTORS; i++)
        json_array_append_new(pair, isfinite(values[i]) ? json_real(values[i]) : json_null());
    return pair;
}

static json_t *json_tornado(const gust gusts[ENX_LEVERS_COUNT])
{
    json_t *out = json_array();
    for (int lever = 0; lever < ENX_LEVERS_COUNT; lever++)
        json_array_append_new(
            out, json_pack("{s:s, s:o, s:o, s:o, s:o}", "lever", enx_lever_names[lever], "factors",
                           json_pair(tornado_factors), "net_usd", json_pair(gusts[lever].net),
                           "hardware_usd", json_pair(gusts[lever].hardware), "cs",
                           json_pair(gusts[lever].surplus)));
    return out;
}

static void print_json(const run *runs, int count, const cli_scenario *scenario, const gust *gusts)
{
    json_t *out = json_run(&runs[0]), *levels = json_array();
    for (int q = 0; q < ENX_FUTURE_QUANTILES; q++)
        json_array_append_new(levels, json_real(enx_future_quantiles[q]));
    json_object_set_new(out, "quantiles", levels);
    json_object_set_new(out, "draws", json_integer(runs[0].draws));
    json_object_set_new(out, "years", json_integer(runs[0].input.years));
    json_object_set_new(out, "seed", json_integer((json_int_t)runs[0].input.seed));
    if (scenario->name)
        json_object_set_new(out, "name", cli_json_text(scenario->name, strlen(scenario->name)));
    if (gusts) json_object_set_new(out, "tornado", json_tornado(gusts));
    if (count > 1) json_object_set_new(out, "cournot", json_run(&runs[1]));
    cli_print_json_exact(out);
}

static double swing(const gust *g)
{
    return isnan(g->net[0]) || isnan(g->net[1]) ? INFINITY : fabs(g->net[1] - g->net[0]);
}

/* The largest swing of net profit first. */
static void print_tornado(const gust gusts[ENX_LEVERS_COUNT], uint32_t years)
{
    int order[ENX_LEVERS_COUNT];
    for (int i = 0; i < ENX_LEVERS_COUNT; i++) {
        int at = i;
        for (; at > 0 && swing(&gusts[i]) > swing(&gusts[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    printf("What decides year %u: medians, bn USD, each lever a tenth lower and a tenth higher\n\n",
           years);
    printf("  %-16s %-24s %-24s %s\n", "", "models: net profit", "hardware: gross profit",
           "users: surplus");
    for (int i = 0; i < ENX_LEVERS_COUNT; i++) {
        const gust   *g = &gusts[order[i]];
        const double *pairs[] = { g->net, g->hardware, g->surplus };
        printf("  %-16s", enx_lever_names[order[i]]);
        for (int k = 0; k < 3; k++) {
            char text[64];
            snprintf(text, sizeof text, "%.4g to %.4g", 1e-9 * pairs[k][0], 1e-9 * pairs[k][1]);
            printf(k < 2 ? " %-24s" : " %s", text);
        }
        putchar('\n');
    }
    putchar('\n');
}

static void print_table(const run *r)
{
    printf("%s, %u draws, seed %llu: median (5 %% to 95 %%)\n",
           r->market.conduct == ENX_CONDUCT_COURNOT ? "Cournot" : "Bertrand", r->draws,
           (unsigned long long)r->input.seed);
    if (r->failed)
        printf("%u draws have no equilibrium in some year and are left out\n", r->failed);
    const uint32_t years[] = { 1, (r->input.years + 1) / 2, r->input.years };
    printf("\n  %-34s", "");
    for (int i = 0; i < 3; i++) printf("        year %-3u          ", years[i]);
    putchar('\n');
    for (uint32_t metric = 0; metric < ENX_METRICS_COUNT; metric++) {
        const metric_name *name = &metric_names[metric];
        printf("  %-34s", name->title);
        for (int i = 0; i < 3; i++) {
            const enx_fan *fan = &r->fans[metric * r->input.years + years[i] - 1];
            char           text[64];
            if (metric == ENX_METRIC_LAW)
                snprintf(text, sizeof text, "in %.1f %% of draws", 100 * fan->mean);
            else
                snprintf(text, sizeof text, "%.4g (%.4g to %.4g)", name->scale * fan->quantiles[2],
                         name->scale * fan->quantiles[0], name->scale * fan->quantiles[4]);
            printf("  %-26s", text);
        }
        putchar('\n');
    }
    putchar('\n');
}

static enx_status write_svg(const char *path, const run *r, const char *title, enx_report *report)
{
    static const enx_metric shown[] = { ENX_METRIC_PRICE, ENX_METRIC_UNITS,    ENX_METRIC_TRAINING,
                                        ENX_METRIC_NET,   ENX_METRIC_HARDWARE, ENX_METRIC_SURPLUS };
    enum { SHOWN = sizeof shown / sizeof *shown };
    cli_panel panels[SHOWN];
    enx_buf   text;
    for (int i = 0; i < SHOWN; i++)
        panels[i] = (cli_panel){ .title = metric_names[shown[i]].title,
                                 .fans = r->fans + shown[i] * r->input.years,
                                 .scale = metric_names[shown[i]].scale };
    enx_buf_init(&text, CLI_FAN_BYTES_MAX);
    enx_status status = cli_fan_svg(&text, title, panels, SHOWN, r->input.years);
    if (status != ENX_OK)
        status = enx_report_set(report, status, __FILE__, __LINE__, "%s: no memory for it", path);
    if (status == ENX_OK) status = enx_file_write(path, text.data, text.size_bytes, report);
    enx_buf_deinit(&text);
    return status;
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status check_options(const options *o, enx_report *report)
{
    if (o->draws < 1 || o->draws > ENX_FUTURE_DRAWS_MAX)
        return ENX_FAIL(report, INVALID, "--draws: from 1 to %d", ENX_FUTURE_DRAWS_MAX);
    if (o->years < 1 || o->years > ENX_FUTURE_YEARS_MAX)
        return ENX_FAIL(report, INVALID, "--years: from 1 to %d", ENX_FUTURE_YEARS_MAX);
    if (o->draws * o->years > CELLS_MAX)
        return ENX_FAIL(report, INVALID, "--draws times --years: %llu, at most %d",
                        (unsigned long long)(o->draws * o->years), CELLS_MAX);
    if (o->stop_year > UINT32_MAX)
        return ENX_FAIL(report, INVALID, "--stop-year: at most 2^32 - 1");
    if (o->seed > INT64_MAX) return ENX_FAIL(report, INVALID, "--seed: at most 2^63 - 1");
    if (o->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    return ENX_OK;
}

static enx_status run_conducts(run *runs, gust *gusts, int count, const cli_scenario *scenario,
                               const options *o, enx_report *report)
{
    enx_pool *pool = NULL;
    if (scenario->market.product_count == 0)
        return ENX_FAIL(report, INVALID, "firms: there are none; list them under firms");
    ENX_TRY(enx_pool_open(&pool, (uint32_t)o->threads, report));
    enx_status status = ENX_OK;
    for (int i = 0; i < count && status == ENX_OK; i++) {
        run *r = &runs[i];
        r->market = scenario->market;
        if (i == 1) r->market.conduct = ENX_CONDUCT_COURNOT;
        r->input = scenario->future;
        r->input.market = &r->market;
        r->input.years = (uint32_t)o->years;
        r->input.seed = o->seed;
        r->input.stop_year = (uint32_t)o->stop_year;
        r->draws = (uint32_t)o->draws;
        status = run_draws(r, pool, report);
    }
    if (status == ENX_OK && o->has_tornado) status = blow(gusts, &runs[0], pool, report);
    enx_pool_close(&pool);
    return status;
}

static enx_status run_scenario(const char *path, const options *o, bool is_json, enx_report *report)
{
    static run    runs[CONDUCTS];
    gust          gusts[ENX_LEVERS_COUNT];
    enx_buf       text;
    cli_scenario *scenario = NULL;
    enx_buf_init(&text, CLI_SCENARIO_BYTES_MAX);
    enx_status status = check_options(o, report);
    if (status == ENX_OK) status = cli_read(&text, path, report);
    if (status == ENX_OK) status = cli_scenario_open(&scenario, &text, path, report);
    if (status == ENX_OK && o->law) status = cli_law_apply(scenario, o->law, report);
    const int count = scenario && scenario->is_both ? CONDUCTS : 1;
    if (status == ENX_OK) {
        status = run_conducts(runs, gusts, count, scenario, o, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    if (status == ENX_OK && o->svg)
        status = write_svg(o->svg, &runs[0], scenario->name ? scenario->name : path, report);
    if (status == ENX_OK && is_json)
        print_json(runs, count, scenario, o->has_tornado ? gusts : NULL);
    for (int i = 0; i < count && status == ENX_OK && !is_json; i++) print_table(&runs[i]);
    if (status == ENX_OK && !is_json && o->has_tornado) print_tornado(gusts, runs[0].input.years);
    for (int i = 0; i < CONDUCTS; i++) close_run(&runs[i]);
    cli_scenario_close(&scenario);
    enx_buf_deinit(&text);
    return status;
}

int cmd_market_run(int argc, char **argv)
{
    options          o = { .draws = 2000, .years = 10, .seed = 1 };
    const cli_option list[] = {
        { "draws", '\0', CLI_UINT, &o.draws, "N", "how many futures (default 2000)" },
        { "years", '\0', CLI_UINT, &o.years, "N", "how many years of each (default 10)" },
        { "seed", '\0', CLI_UINT, &o.seed, "N", "one seed is one result (default 1)" },
        { "threads", '\0', CLI_UINT, &o.threads, "N", "0: one per core; the result is the same" },
        { "stop-year", '\0', CLI_UINT, &o.stop_year, "N",
          "the law stops in this year, whatever its odds" },
        { "tornado", '\0', CLI_FLAG, &o.has_tornado, NULL,
          "what decides the result: each assumption a tenth lower and higher" },
        { "law", '\0', CLI_TEXT, (void *)&o.law, "FILE",
          "exponent and odds from `enxame scale odds --law`" },
        { "svg", '\0', CLI_TEXT, (void *)&o.svg, "FILE", "write fan charts, too" },
    };
    const cli_spec spec = { "market run SCENARIO.yaml [options]",
                            "Years of a market, drawn many times: demand grows, costs fall, the "
                            "scaling law holds or stops.",
                            "enxame market run jobs/market/today.yaml --svg today.svg",
                            list,
                            sizeof list / sizeof *list,
                            1,
                            1 };
    cli_args       args;
    enx_report     report = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = run_scenario(args.operands.items[0], &o, args.is_json, &report);
    return status == ENX_OK ? 0 : cli_fail("market run", &args, status, &report);
}
