/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_market_buy.c - enxame market buy: an API, an own model, or a swarm, before anything runs; and
 * enxame market prices, the table that it takes prices from. */
#include "cli/cli.h"
#include "cli/cli_bill.h"
#include "cli/cli_buy.h"
#include "cli/cli_market.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct options {
    const char *job, *prices; /* a ledger's number, a table's path; NULL: none, the built-in one */
} options;

/* What a bill was made of. */
typedef struct quote {
    enx_prices *prices;
    cli_ledger  ledger;
    bool        has_ledger;
    cli_buy     asked;
    enx_buy     bill;
} quote;

static const char *const way_names[ENX_BUY_WAYS_COUNT + 1] = {
    [ENX_BUY_API] = "api",
    [ENX_BUY_OWN] = "own",
    [ENX_BUY_SWARM] = "swarm",
    [ENX_BUY_WAYS_COUNT] = "none",
};

static const double turns[] = { 0.8, 1.25 };

enum { TURNS = 2 };

static double way_usd(const enx_buy *b, int way)
{
    return way == ENX_BUY_API ? b->api_usd : way == ENX_BUY_OWN ? b->own_usd : b->swarm_usd;
}

/* A lever that moves nothing in this job is not shown. */
static bool has_lever(const enx_buy_input *in, int lever)
{
    if (lever == ENX_BUY_LEVER_MACHINE || lever == ENX_BUY_LEVER_SPEED) return in->has_own;
    if (lever == ENX_BUY_LEVER_SMALL || lever == ENX_BUY_LEVER_ESCALATED) return in->has_swarm;
    return true;
}

/* A turned job may leave the range of its keys: then there is no bill for it. */
static bool solve_turned(enx_buy *b, const enx_buy_input *in, int lever, double factor)
{
    enx_buy_input turned = *in;
    enx_buy_turn(&turned, (enx_buy_lever)lever, factor);
    return enx_buy_solve(b, &turned, NULL) == ENX_OK;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *json_finite(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *json_way(const quote *q, int way)
{
    const double usd = way_usd(&q->bill, way), tasks = q->asked.input.tasks;
    if (!isfinite(usd)) return json_null();
    return json_pack("{s:f, s:f, s:o}", "usd", usd, "usd_per_1000", 1000 * usd / tasks, "accuracy",
                     json_finite(q->asked.input.accuracies[way]));
}

static json_t *json_row(const enx_price_row *row)
{
    if (!row) return json_null();
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:b}", "provider", row->provider, "model",
                     row->model, "from", row->from, "usd_per_mtok_in", row->in,
                     "usd_per_mtok_cached", row->cached, "usd_per_mtok_out", row->out, "tiered",
                     (int)row->is_tiered);
}

static json_t *json_ledger(const quote *q)
{
    const cli_ledger *l = &q->ledger;
    if (!q->has_ledger) return json_null();
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "job",
                     (json_int_t)l->job_id, "tasks", (json_int_t)l->tasks, "escalated",
                     json_finite(l->escalated), "audited", json_finite(l->audited),
                     "small_task_usd", json_finite(l->small_task_usd), "lead_task_usd",
                     json_finite(l->lead_task_usd), "tokens_in", json_finite(l->tokens_in),
                     "tokens_cached", json_finite(l->tokens_cached), "tokens_out",
                     json_finite(l->tokens_out), "task_seconds", json_finite(l->task_seconds),
                     "certificate", cli_certificate_json(l->has_certificate, &l->certificate));
}

static json_t *json_sensitivity(const enx_buy_input *in)
{
    json_t *out = json_array();
    for (int lever = 0; lever < ENX_BUY_LEVERS_COUNT; lever++)
        for (int i = 0; i < TURNS && has_lever(in, lever); i++) {
            enx_buy b;
            if (!solve_turned(&b, in, lever, turns[i])) continue;
            json_array_append_new(out, json_pack("{s:s, s:f, s:o, s:o, s:o, s:s}", "lever",
                                                 enx_buy_lever_names[lever], "factor", turns[i],
                                                 "api_usd", json_finite(b.api_usd), "own_usd",
                                                 json_finite(b.own_usd), "swarm_usd",
                                                 json_finite(b.swarm_usd), "cheapest",
                                                 way_names[b.cheapest]));
        }
    return out;
}

static void print_json(const quote *q)
{
    const enx_buy_input *in = &q->asked.input;
    const enx_buy       *b = &q->bill;
    json_t              *api = json_way(q, ENX_BUY_API), *own = json_way(q, ENX_BUY_OWN);
    json_t              *swarm = json_way(q, ENX_BUY_SWARM);
    json_object_set_new(api, "price", json_row(q->asked.api));
    if (in->has_own) {
        json_object_set_new(own, "machines", json_real(b->machines));
        json_object_set_new(own, "machine_tasks", json_real(b->machine_tasks));
        json_object_set_new(own, "break_even_tasks", json_finite(b->own_break_even));
    }
    if (in->has_swarm) {
        json_object_set_new(swarm, "price", json_row(q->asked.small));
        json_object_set_new(swarm, "break_even_tasks", json_finite(b->swarm_break_even));
        json_object_set_new(swarm, "break_even_escalated", json_finite(b->escalated_break_even));
    }
    cli_print_json_exact(json_pack(
        "{s:f, s:f, s:s, s:o, s:o, s:o, s:s, s:o, s:o}", "tasks", in->tasks, "accuracy",
        in->accuracy, "prices", q->prices->date, "api", api, "own", own, "swarm", swarm, "cheapest",
        way_names[b->cheapest], "ledger", json_ledger(q), "sensitivity", json_sensitivity(in)));
}

/* ---- The table ------------------------------------------------------------------------------ */

static void print_way(const quote *q, int way)
{
    const double usd = way_usd(&q->bill, way), api = q->bill.api_usd;
    const double known = q->asked.input.accuracies[way], asked = q->asked.input.accuracy;
    if (isinf(usd)) return;
    printf("  %-8s %14.2f %18.4f", way_names[way], usd, 1000 * usd / q->asked.input.tasks);
    if (api > 0 && way != ENX_BUY_API) printf("   %+10.1f %%", 100 * (usd / api - 1));
    else printf("   %12s", "");
    if (asked > 0 && isnan(known)) printf("   not known");
    else if (asked > 0) printf("   %.4g%s", known, known < asked ? ", too low" : "");
    putchar('\n');
}

static void print_price(const quote *q, const char *name, const enx_price_row *row)
{
    if (!row) return;
    printf("  %-8s %s/%s: %g in, %g cached, %g out, USD a million tokens (%s)\n", name,
           row->provider, row->model, row->in, row->cached, row->out, q->prices->date);
    if (row->is_tiered) printf("           more for long contexts\n");
}

static void print_ledger(const quote *q)
{
    const cli_ledger *l = &q->ledger;
    if (!q->has_ledger) return;
    printf("  ledger   job %llu, %u tasks: %.3g %% go up, %.3g %% audited, %.3g s a task\n",
           (unsigned long long)l->job_id, l->tasks, 100 * l->escalated, 100 * l->audited,
           l->task_seconds);
    cli_certificate_print(stdout, l->has_certificate, &l->certificate);
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

static void print_three(const enx_buy *b)
{
    for (int way = 0; way < ENX_BUY_WAYS_COUNT; way++) {
        if (isinf(way_usd(b, way))) printf(" %14s", "-");
        else printf(" %14.2f", way_usd(b, way));
    }
    printf("   %s\n", way_names[b->cheapest]);
}

/* The same job at other volumes, from a hundredth to a hundred times. */
static void print_volumes(const enx_buy_input *in)
{
    printf("\n  tasks a month        api USD        own USD      swarm USD   cheapest\n");
    for (int power = -2; power <= 2; power++) {
        enx_buy      b;
        const double factor = pow(10, power);
        if (in->tasks * factor < 1) continue;
        if (!solve_turned(&b, in, ENX_BUY_LEVER_TASKS, factor)) continue;
        printf("  %13.6g", in->tasks * factor);
        print_three(&b);
    }
}

static void print_sensitivity(const enx_buy_input *in)
{
    printf("\n  a fifth less, a fourth more\n");
    for (int lever = 0; lever < ENX_BUY_LEVERS_COUNT; lever++)
        for (int i = 0; i < TURNS && has_lever(in, lever); i++) {
            enx_buy b;
            if (!solve_turned(&b, in, lever, turns[i])) continue;
            printf("  %-13s %4.2f", i == 0 ? enx_buy_lever_names[lever] : "", turns[i]);
            print_three(&b);
        }
}

static void print_all(const quote *q)
{
    const enx_buy_input *in = &q->asked.input;
    printf("%.6g tasks a month", in->tasks);
    if (in->accuracy > 0) printf(", %.4g of them right", in->accuracy);
    printf("\n\n           USD a month   USD a 1000 tasks       to the API%s\n",
           in->accuracy > 0 ? "   right" : "");
    for (int way = 0; way < ENX_BUY_WAYS_COUNT; way++) print_way(q, way);
    if (q->bill.cheapest == ENX_BUY_WAYS_COUNT)
        printf("\n  cheapest: none is known to be right often enough; measure by enxame exam\n\n");
    else printf("\n  cheapest: %s\n\n", way_names[q->bill.cheapest]);
    print_price(q, "api", q->asked.api);
    print_price(q, "swarm", q->asked.small);
    print_ledger(q);
    print_break_even(in, &q->bill);
    print_volumes(in);
    print_sensitivity(in);
}

/* ---- The commands --------------------------------------------------------------------------- */

static enx_status read_ledger(quote *q, const char *text, enx_report *report)
{
    if (!text) return ENX_OK;
    ENX_TRY(cli_market_ledger(&q->ledger, text, report));
    q->has_ledger = true;
    return ENX_OK;
}

static enx_status make_quote(quote *q, const char *path, const options *o, enx_report *report)
{
    enx_buf text;
    ENX_TRY(cli_prices_open(&q->prices, o->prices, report));
    ENX_TRY(read_ledger(q, o->job, report));
    enx_buf_init(&text, CLI_BUY_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK)
        status = cli_buy_parse(&q->asked, &text, path, q->prices, q->has_ledger ? &q->ledger : NULL,
                               report);
    enx_buf_deinit(&text);
    ENX_TRY(status);
    status = enx_buy_solve(&q->bill, &q->asked.input, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    return status;
}

int cmd_market_buy(int argc, char **argv)
{
    options          o = { 0 };
    const cli_option list[] = {
        { "from-ledger", '\0', CLI_TEXT, (void *)&o.job, "JOB",
          "tokens, prices of the small models, what goes up and time from a job that ran" },
        { "prices", '\0', CLI_TEXT, (void *)&o.prices, "FILE",
          "another price table than the built-in one" },
    };
    const cli_spec spec = { "market buy JOB.yaml [options]",
                            "What a job costs a month by an API, by a model of your own, and by a "
                            "swarm, before anything runs.",
                            "enxame market buy jobs/market/buy_tickets.yaml",
                            list,
                            sizeof list / sizeof *list,
                            1,
                            1 };
    cli_args       args;
    enx_report     report = { 0 };
    quote          q = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = make_quote(&q, args.operands.items[0], &o, &report);
    if (status == ENX_OK && args.is_json) print_json(&q);
    else if (status == ENX_OK) print_all(&q);
    enx_prices_close(&q.prices);
    return status == ENX_OK ? 0 : cli_fail("market buy", &args, status, &report);
}

static void print_prices(const enx_prices *prices, const char *word, bool is_json)
{
    json_t *rows = json_array();
    if (!is_json)
        printf("prices of %s, USD a million tokens; %s\n\n  %-40s %-10s %9s %9s %9s\n",
               prices->date, prices->source, "provider/model", "from", "in", "cached", "out");
    for (size_t i = 0; i < prices->row_count; i++) {
        const enx_price_row *row = &prices->rows[i];
        char                 name[2 * ENX_PRICES_NAME_MAX + 2];
        snprintf(name, sizeof name, "%s/%s", row->provider, row->model);
        if (word && !strstr(name, word)) continue;
        if (is_json) json_array_append_new(rows, json_row(row));
        else
            printf("  %-40s %-10s %9g %9g %9g%s\n", name, row->from, row->in, row->cached, row->out,
                   row->is_tiered ? " and more" : "");
    }
    if (is_json)
        cli_print_json_exact(json_pack("{s:s, s:s, s:O}", "date", prices->date, "source",
                                       prices->source, "rows", rows));
    json_decref(rows);
}

int cmd_market_prices(int argc, char **argv)
{
    const char      *path = NULL;
    const cli_option list[] = { { "prices", '\0', CLI_TEXT, (void *)&path, "FILE",
                                  "another price table than the built-in one" } };
    const cli_spec   spec = { "market prices [WORD] [options]",
                              "What models cost by API: the price table, or its rows whose name "
                                "has WORD in it.",
                              "enxame market prices openai/",
                              list,
                              sizeof list / sizeof *list,
                              0,
                              1 };
    cli_args         args;
    enx_report       report = { 0 };
    enx_prices      *prices = NULL;
    enx_status       status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = cli_prices_open(&prices, path, &report);
    if (status == ENX_OK)
        print_prices(prices, args.operands.count ? args.operands.items[0] : NULL, args.is_json);
    enx_prices_close(&prices);
    return status == ENX_OK ? 0 : cli_fail("market prices", &args, status, &report);
}
