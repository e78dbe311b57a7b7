/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_market.c - enxame market: who earns from models, and at what price. */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_market.h"
#include "cli/cli_verbs.h"
#include "market/entry.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SOLUTIONS_MAX = 2 };

static const char *const conduct_names[] = { "bertrand", "cournot" };

/* One conduct's market, which entry may have changed, and its equilibrium. */
typedef struct solution {
    enx_market       market;
    enx_equilibrium *equilibrium;
} solution;

typedef struct market_state {
    cli_scenario *scenario;
    solution      solutions[SOLUTIONS_MAX];
    uint32_t      solution_count;
    enx_product  *products; /* of the second solution */
} market_state;

/* ---- JSON ----------------------------------------------------------------------------------- */

/* What all products of one owner have together. */
typedef struct firm_sum {
    double   margin, share, gross, training;
    uint32_t product_count;
} firm_sum;

static firm_sum sum_firm(const solution *s, uint32_t owner)
{
    const enx_equilibrium *e = s->equilibrium;
    firm_sum               sum = { 0 };
    for (uint32_t i = 0; i < e->product_count; i++) {
        if (s->market.products[i].owner != owner) continue;
        sum.margin = e->margin[i]; /* one for all products of a firm */
        sum.share += e->share[i];
        sum.gross += e->gross_usd[i];
        sum.training += e->training_usd[i];
        sum.product_count++;
    }
    return sum;
}

static json_t *json_bound(const enx_market *m)
{
    const double bound = enx_market_firms_max(m->gamma, m->rho);
    return isinf(bound) || m->conduct == ENX_CONDUCT_COURNOT ? json_null() : json_real(bound);
}

static json_t *json_products(const solution *s)
{
    const enx_equilibrium *e = s->equilibrium;
    json_t                *out = json_array();
    for (uint32_t i = 0; i < e->product_count; i++) {
        const enx_product *p = &s->market.products[i];
        json_t            *name = p->name ? cli_json_text(p->name, strlen(p->name)) : json_null();
        json_array_append_new(out, json_pack("{s:o, s:i, s:f, s:f, s:f, s:f, s:f, s:b}", "name",
                                             name, "owner", (int)p->owner, "price", e->price[i],
                                             "margin", e->margin[i], "share", e->share[i],
                                             "gross_usd", e->gross_usd[i], "training_usd",
                                             e->training_usd[i], "public", (int)p->is_public));
    }
    return out;
}

static json_t *json_solution(const solution *s)
{
    const enx_equilibrium *e = s->equilibrium;
    json_t *m = json_array(), *share = json_array(), *gross = json_array(), *net = json_array();
    json_t *training = json_array();
    for (uint32_t f = 0; f < e->product_count; f++) {
        const firm_sum sum = sum_firm(s, f);
        if (sum.product_count == 0) continue;
        json_array_append_new(m, json_real(sum.margin));
        json_array_append_new(share, json_real(sum.share));
        json_array_append_new(gross, json_real(sum.gross));
        json_array_append_new(training, json_real(sum.training));
        json_array_append_new(net, json_real(e->firm_net_usd[f]));
    }
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:i, s:o, s:f, s:i, "
                     "s:o}",
                     "conduct", conduct_names[s->market.conduct], "m", m, "s", share, "pi", gross,
                     "training", training, "net", net, "s0", e->outside_share, "s_open",
                     e->open_share, "cs", e->consumer_surplus_usd, "welfare", e->welfare_usd, "hhi",
                     e->hhi, "n", (int)e->firm_count, "n_max", json_bound(&s->market), "residual",
                     e->residual, "steps", (int)e->steps, "products", json_products(s));
}

/* Gross profit of hardware on what models spend: to serve, and to train. */
static double hardware_usd(const cli_chain *c, const solution *s)
{
    const enx_equilibrium *e = s->equilibrium;
    double                 serving = 0, training = 0;
    for (uint32_t i = 0; i < e->product_count; i++) {
        serving += s->market.size * e->share[i] * s->market.products[i].unit_cost;
        training += e->training_usd[i];
    }
    return c->hardware_margin * (c->cost_share * serving + c->training_share * training);
}

static json_t *json_layers(const cli_chain *c)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < c->count; i++)
        json_array_append_new(out, json_pack("{s:o, s:f, s:f}", "name",
                                             cli_json_text(c->names[i], strlen(c->names[i])),
                                             "firms", c->firms[i], "share", c->share[i]));
    return out;
}

static void print_json(const market_state *state)
{
    const cli_scenario *c = state->scenario;
    json_t             *out = NULL;
    if (state->solution_count == 0) out = json_pack("{s:o}", "n_max", json_bound(&c->market));
    for (uint32_t i = 0; i < state->solution_count; i++) {
        const solution *s = &state->solutions[i];
        json_t         *one = json_solution(s);
        if (c->chain.has_hardware)
            json_object_set_new(one, "hardware_usd", json_real(hardware_usd(&c->chain, s)));
        if (i == 0) out = one;
        else json_object_set_new(out, conduct_names[s->market.conduct], one);
    }
    if (c->name) json_object_set_new(out, "name", cli_json_text(c->name, strlen(c->name)));
    if (c->has_law) json_object_set_new(out, "law", cli_market_law_json(&c->law));
    if (c->chain.count) json_object_set_new(out, "layers", json_layers(&c->chain));
    cli_print_json_exact(out);
}

/* ---- The table ------------------------------------------------------------------------------ */

/* Text from a file, without what a terminal would obey. */
static void print_clean(const char *text, int width)
{
    int column = 0;
    for (const char *at = text; *at; at++) {
        putchar((unsigned char)*at < ' ' || *at == 127 ? '?' : *at);
        column += ((unsigned char)*at & 0xC0) != 0x80;
    }
    for (; column < width; column++) putchar(' ');
}

static void print_bound(const enx_market *m)
{
    const double bound = enx_market_firms_max(m->gamma, m->rho);
    if (m->gamma == 0) return;
    if (m->conduct == ENX_CONDUCT_COURNOT)
        printf("  n_max               none: quantities set no bound on firms\n");
    else if (isinf(bound))
        printf("  n_max               none: gamma %g is not above 1 - rho, %g\n", m->gamma,
               1 - m->rho);
    else
        printf("  n_max               %.4g firms can pay for training, however large the market\n",
               bound);
}

static void print_solution(const solution *s, const cli_chain *chain)
{
    enum { ROWS_MAX = 40, NAME_WIDTH = 20 };
    const enx_equilibrium *e = s->equilibrium;
    double                 gross = 0, training = 0, net = 0;
    printf("\n%s, %u firms\n\n",
           s->market.conduct == ENX_CONDUCT_COURNOT ? "Cournot (quantities)" : "Bertrand (prices)",
           e->firm_count);
    printf("  %-*s %12s %12s %9s %12s %12s\n", NAME_WIDTH, "product", "price USD", "margin USD",
           "share", "gross USD/y", "training");
    for (uint32_t i = 0; i < e->product_count; i++) {
        char number[24];
        gross += e->gross_usd[i];
        training += e->training_usd[i];
        net += e->firm_net_usd[i];
        if (i >= ROWS_MAX) continue;
        snprintf(number, sizeof number, "firm %u", s->market.products[i].owner + 1);
        printf("  ");
        print_clean(s->market.products[i].name ? s->market.products[i].name : number, NAME_WIDTH);
        printf(" %12.6g %12.6g %8.3f%% %12.5g %12.5g\n", e->price[i], e->margin[i],
               100 * e->share[i], e->gross_usd[i], e->training_usd[i]);
    }
    if (e->product_count > ROWS_MAX)
        printf("  … and %u more; --json has them all\n", e->product_count - ROWS_MAX);
    printf("\n  all firms           gross %.6g, training %.6g, net %.6g USD/y\n", gross, training,
           net);
    if (chain->has_hardware)
        printf("  hardware            gross %.6g USD/y on serving and training\n",
               hardware_usd(chain, s));
    printf("  not buying          %.3f%%\n", 100 * e->outside_share);
    if (s->market.has_open) printf("  open weights        %.3f%%\n", 100 * e->open_share);
    printf("  consumer surplus    %.6g USD/y\n", e->consumer_surplus_usd);
    printf("  welfare             %.6g USD/y\n", e->welfare_usd);
    printf("  HHI                 %.0f\n", e->hhi);
    print_bound(&s->market);
}

static void print_table(const market_state *state)
{
    const cli_scenario *c = state->scenario;
    if (c->name) print_clean(c->name, 0), putchar('\n');
    if (c->about) print_clean(c->about, 0), putchar('\n');
    for (uint32_t i = 0; i < state->solution_count; i++)
        print_solution(&state->solutions[i], &c->chain);
    if (state->solution_count == 0) print_bound(&c->market);
    if (c->chain.count == 0) return;
    printf("\nLayers, by the number of firms in each\n\n");
    for (uint32_t i = 0; i < c->chain.count; i++) {
        printf("  ");
        print_clean(c->chain.names[i], 20);
        printf(" %6.4g firms %8.2f%% of the margin\n", c->chain.firms[i], 100 * c->chain.share[i]);
    }
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status solve_one(solution *s, enx_product *products, uint32_t firms_max,
                            enx_report *report)
{
    if (firms_max == 0) return enx_equilibrium_open(&s->equilibrium, &s->market, report);
    return enx_entry_solve(&s->equilibrium, &s->market, products, firms_max, report);
}

static enx_status solve(market_state *state, const char *path, const cli_market_links *links,
                        enx_report *report)
{
    ENX_TRY(cli_market_open(&state->scenario, path, links, report));
    const cli_scenario *c = state->scenario;
    if (c->market.product_count == 0) return ENX_OK;
    const uint32_t count = c->is_both ? SOLUTIONS_MAX : 1;
    const uint32_t room = c->firms_max ? c->firms_max : c->market.product_count;
    state->products = ENX_MEM_NEW(enx_product, room);
    if (!state->products) return ENX_FAIL(report, NOMEM, "no memory for %u firms", room);
    memcpy(state->products, c->products, c->market.product_count * sizeof *c->products);
    for (uint32_t i = 0; i < count; i++) {
        solution *s = &state->solutions[i];
        s->market = c->market;
        if (i == 1) {
            s->market.conduct = ENX_CONDUCT_COURNOT;
            s->market.products = state->products;
        }
        const enx_status status =
            solve_one(s, i == 1 ? state->products : c->products, c->firms_max, report);
        if (status != ENX_OK) {
            enx_report_wrap(report, "%s: %s", path, conduct_names[s->market.conduct]);
            return status;
        }
        state->solution_count++;
    }
    return ENX_OK;
}

static int cmd_market_solve(int argc, char **argv)
{
    cli_market_links links = { 0 };
    const cli_option list[] = { CLI_MARKET_OPTIONS(links) };
    const cli_spec   spec = { "market solve SCENARIO.yaml [options]",
                              "What firms charge, sell and earn when each does its best against "
                                "the others.  Keys of the file: enxame market keys.",
                              "enxame market solve jobs/market/oligopoly.yaml",
                              list,
                              sizeof list / sizeof *list,
                              1,
                              1 };
    cli_args         args;
    enx_report       report = { 0 };
    market_state     state = { 0 };
    enx_status       status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = solve(&state, args.operands.items[0], &links, &report);
    if (status == ENX_OK && args.is_json) print_json(&state);
    else if (status == ENX_OK) print_table(&state);
    for (int i = 0; i < SOLUTIONS_MAX; i++) enx_equilibrium_close(&state.solutions[i].equilibrium);
    enx_mem_free(state.products);
    cli_scenario_close(&state.scenario);
    return status == ENX_OK ? 0 : cli_fail("market solve", &args, status, &report);
}

/* ---- Keys ----------------------------------------------------------------------------------- */

static void print_keys(bool is_json)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < cli_scenario_key_count; i++) {
        const cli_scenario_key *k = &cli_scenario_keys[i];
        if (is_json)
            json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s}", "key", k->path,
                                                  "unit", k->unit, "range", k->range, "default",
                                                  k->fallback, "source", k->source));
        else
            printf("%s\n    %s; %s; default: %s\n    %s\n", k->path, k->unit, k->range, k->fallback,
                   k->source);
    }
    if (is_json) cli_print_json(json_pack("{s:O}", "keys", rows));
    json_decref(rows);
}

static int cmd_market_keys(int argc, char **argv)
{
    const cli_spec spec = { "market keys [options]",
                            "Every key of a scenario: unit, range, default, and where a value "
                            "comes from.",
                            "enxame market keys | grep -A 2 future",
                            NULL,
                            0,
                            0,
                            0 };
    cli_args       args;
    enx_report     report = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) print_keys(args.is_json);
    return status == ENX_OK ? 0 : cli_fail("market keys", &args, status, &report);
}

int cmd_market(int argc, char **argv)
{
    static const cli_verb items[] = {
        { "solve", cmd_market_solve, "SCENARIO.yaml: prices, shares and profits of a market" },
        { "claims", cmd_market_claims, "SCENARIO.yaml: seven claims, and where each flips" },
        { "run", cmd_market_run, "SCENARIO.yaml: years of a market, drawn many times" },
        { "buy", cmd_market_buy, "JOB.yaml: an API, an own model, or a swarm" },
        { "learn", cmd_market_learn, "HISTORY.csv: a learning rate out of costs that were" },
        { "textbook", cmd_market_textbook, "[MARKET KEY=VALUE...]: what a pencil solves" },
        { "prices", cmd_market_prices, "[WORD]: what models cost by API, a dated table" },
        { "keys", cmd_market_keys, "what can stand in a scenario: unit, range, default, source" },
    };
    static const cli_verbs verbs = {
        "market", "WHAT [FILE.yaml] [options]",
        NULL,     "enxame market solve jobs/market/oligopoly.yaml",
        items,    sizeof items / sizeof *items,
    };
    return cli_run_verb(&verbs, argc, argv);
}
