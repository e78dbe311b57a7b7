/* SPDX-License-Identifier: Apache-2.0 */
/* claims.c - a verdict is a function of one parameter; its flips are found by bisection.
 *
 * "Today" is the market as given, solved with its training.  Claims about a world without training
 * (solar, odds after the stop, state) keep the qualities that today's training bought.
 */
#include "market/claims.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "market/entry.h"

#include <math.h>
#include <string.h>

enum { SCAN_STEPS = 96, BISECTIONS = 60 };

typedef struct claim_fact {
    const char *name, *statement, *parameter, *unit, *measure;
    double      bound_low, bound_high, range_low, range_high;
    bool        is_linear; /* flips are looked for in equal steps, not equal ratios */
} claim_fact;

static const claim_fact facts[ENX_CLAIMS_COUNT] = {
    [ENX_CLAIM_LAW] = { "law", "The scaling law and the business cannot be separated",
                        "claims.exponent", "of the law, in compute",
                        "change of firms' net profit in percent, per percent of the exponent", 0.1,
                        INFINITY, 1e-3, 1, false },
    [ENX_CLAIM_LAYERS] = { "layers", "Gains flow to every layer", "layers.chain.firms",
                           "effective firms in the layer with the second share",
                           "share of the layer that keeps most of the margin", 0, 0.8, 1, 1e3,
                           false },
    [ENX_CLAIM_FEW] = { "few", "There is room for four or five firms", "gamma",
                        "utility an e-fold of training spend", "firms after free entry", 4, 5, 0.01,
                        20, false },
    [ENX_CLAIM_SOLAR] = { "solar", "Models end as solar panels did: useful, and no profit", "rho",
                          "0 strong brands, near 1 a commodity", "gross profit by revenue", 0, 0.2,
                          0, 0.999, true },
    [ENX_CLAIM_INFERENCE] = { "inference", "Inference is most of the cost, so savings there matter",
                              "claims.training_counted",
                              "1 all training, about 0.1 the final runs alone",
                              "serving by serving and training", 0.5, 1, 0.01, 100, false },
    [ENX_CLAIM_ODDS] = { "odds", "Whether the law's odds are low or high matters",
                         "claims.horizon_years", "years that the odds are for",
                         "change of the present value of net profits between the odds", 0.1,
                         INFINITY, 0.1, 200, false },
    [ENX_CLAIM_STATE] = { "state", "Taken over by the state, models do more good",
                          "claims.public_cost_factor", "public unit cost by private unit cost",
                          "welfare gained by welfare", 0, INFINITY, 1, 100, false },
};

enx_claims_input enx_claims_defaults(void)
{
    return (enx_claims_input){ .firms_max = 64,
                               .exponent = 0.155,
                               .training_counted = 1,
                               .odds_low = 0.6,
                               .odds_high = 0.7,
                               .horizon_years = 5,
                               .value_years = 10,
                               .discount = 0.9,
                               .public_cost_factor = 1 };
}

/* ---- Measures ------------------------------------------------------------------------------- */

static double sum(const double *values, uint32_t count)
{
    double total = 0;
    for (uint32_t i = 0; i < count; i++) total += values[i];
    return total;
}

static enx_status net_at(double *net, const enx_market *market, double gamma, enx_report *report)
{
    enx_market       m = *market;
    enx_equilibrium *e = NULL;
    m.gamma = gamma;
    ENX_TRY(enx_equilibrium_open(&e, &m, report));
    *net = sum(e->firm_net_usd, e->product_count);
    enx_equilibrium_close(&e);
    return ENX_OK;
}

/* Net profit is smooth in gamma, so a central difference has about nine digits. */
static enx_status measure_law(double *out, const enx_claims_input *in, double exponent,
                              enx_report *report)
{
    const double gamma = in->market->gamma * exponent / in->exponent, step = 1e-5;
    double       at, up, down;
    ENX_TRY(net_at(&at, in->market, gamma, report));
    ENX_TRY(net_at(&up, in->market, gamma * (1 + step), report));
    ENX_TRY(net_at(&down, in->market, gamma * (1 - step), report));
    *out = fabs((up - down) / (2 * step) / at);
    return isnan(*out) ? ENX_FAIL(report, UNSUPPORTED, "net profit is 0 whatever the exponent")
                       : ENX_OK;
}

/* The layer whose competition gives the first one's share away: that with the second share. */
static enx_status second_layer(uint32_t *out, const enx_claims_input *in, enx_report *report)
{
    double share[ENX_CHAIN_LAYERS_MAX];
    ENX_TRY(enx_chain_split(share, in->layer_firms, in->layer_count, in->curvature, in->elasticity,
                            report));
    uint32_t first = 0, second = 1;
    for (uint32_t i = 1; i < in->layer_count; i++)
        if (share[i] > share[first]) first = i;
    if (second == first) second = 0;
    for (uint32_t i = 0; i < in->layer_count; i++)
        if (i != first && share[i] > share[second]) second = i;
    *out = second;
    return ENX_OK;
}

static enx_status measure_layers(double *out, const enx_claims_input *in, double value,
                                 enx_report *report)
{
    double   firms[ENX_CHAIN_LAYERS_MAX], share[ENX_CHAIN_LAYERS_MAX];
    uint32_t second;
    ENX_TRY(second_layer(&second, in, report));
    memcpy(firms, in->layer_firms, in->layer_count * sizeof *firms);
    firms[second] = value;
    ENX_TRY(enx_chain_split(share, firms, in->layer_count, in->curvature, in->elasticity, report));
    *out = share[0];
    for (uint32_t i = 1; i < in->layer_count; i++) *out = fmax(*out, share[i]);
    return ENX_OK;
}

/* A market that no firm can enter has none: a number, not a failure. */
static enx_status measure_few(double *out, const enx_claims_input *in, double gamma,
                              enx_report *report)
{
    enx_market       m = *in->market;
    enx_equilibrium *e = NULL;
    enx_product     *products = ENX_MEM_NEW(enx_product, in->firms_max);
    if (!products) return ENX_FAIL(report, NOMEM, "no memory for %u firms", in->firms_max);
    memcpy(products, m.products, m.product_count * sizeof *products);
    m.products = products;
    m.gamma = gamma;
    enx_status status = enx_entry_solve(&e, &m, products, in->firms_max, report);
    if (status == ENX_OK) *out = e->firm_count;
    else if (status == ENX_UNSUPPORTED) {
        *out = 0;
        status = ENX_OK;
    }
    enx_equilibrium_close(&e);
    enx_mem_free(products);
    return status;
}

/* The market without training, its products of the quality that training bought before. */
static enx_status keep_quality(enx_market *frozen, enx_product **products, const enx_market *m,
                               enx_report *report)
{
    enx_equilibrium *e = NULL;
    ENX_TRY(enx_equilibrium_open(&e, m, report));
    *products = ENX_MEM_NEW(enx_product, m->product_count);
    for (uint32_t i = 0; *products && i < m->product_count; i++) {
        (*products)[i] = m->products[i];
        if (e->training_usd[i] > 0)
            (*products)[i].quality += m->gamma * log(e->training_usd[i] / m->training_ref_usd);
    }
    enx_equilibrium_close(&e);
    if (!*products) return ENX_FAIL(report, NOMEM, "no memory for %u products", m->product_count);
    *frozen = *m;
    frozen->products = *products;
    frozen->is_spend_endogenous = false;
    return ENX_OK;
}

static enx_status measure_solar(double *out, const enx_claims_input *in, double rho,
                                enx_report *report)
{
    enx_market       m;
    enx_product     *products = NULL;
    enx_equilibrium *e = NULL;
    ENX_TRY(keep_quality(&m, &products, in->market, report));
    m.rho = rho;
    const enx_status status = enx_equilibrium_open(&e, &m, report);
    if (status == ENX_OK) {
        double revenue = 0;
        for (uint32_t i = 0; i < e->product_count; i++)
            revenue += m.size * e->share[i] * e->price[i];
        *out = sum(e->gross_usd, e->product_count) / revenue;
    }
    enx_equilibrium_close(&e);
    enx_mem_free(products);
    return status;
}

static enx_status measure_inference(double *out, const enx_claims_input *in, double counted,
                                    enx_report *report)
{
    const enx_market *m = in->market;
    enx_equilibrium  *e = NULL;
    ENX_TRY(enx_equilibrium_open(&e, m, report));
    double serving = 0;
    for (uint32_t i = 0; i < e->product_count; i++)
        serving += m->size * e->share[i] * m->products[i].unit_cost;
    *out = serving / (serving + counted * sum(e->training_usd, e->product_count));
    enx_equilibrium_close(&e);
    return ENX_OK;
}

/* Present value of `on` a year while the law holds and `off` after. */
static double present_value(const enx_claims_input *in, double horizon, double odds, double on,
                            double off)
{
    double value = 0, factor = 1;
    for (uint32_t year = 1; year <= in->value_years; year++) {
        const double holds = pow(odds, year / horizon);
        factor *= in->discount;
        value += factor * (holds * on + (1 - holds) * off);
    }
    return value;
}

static enx_status measure_odds(double *out, const enx_claims_input *in, double horizon,
                               enx_report *report)
{
    enx_market   m;
    enx_product *products = NULL;
    double       on, off = 0;
    ENX_TRY(net_at(&on, in->market, in->market->gamma, report));
    ENX_TRY(keep_quality(&m, &products, in->market, report));
    const enx_status status = net_at(&off, &m, m.gamma, report);
    enx_mem_free(products);
    ENX_TRY(status);
    const double low = present_value(in, horizon, in->odds_low, on, off);
    const double high = present_value(in, horizon, in->odds_high, on, off);
    *out = fabs(high - low) / (fabs(high + low) / 2);
    return ENX_OK;
}

/* All firms at cost, which the state pays `factor` times; training and what else is fixed would
 * cost the same either way. */
static enx_status measure_state(double *out, const enx_claims_input *in, double factor,
                                enx_report *report)
{
    enx_market       m;
    enx_product     *products = NULL;
    enx_equilibrium *e = NULL;
    ENX_TRY(keep_quality(&m, &products, in->market, report));
    m.fixed_cost_usd = 0;
    enx_status status = enx_equilibrium_open(&e, &m, report);
    if (status == ENX_OK) {
        const double private_usd = e->welfare_usd;
        for (uint32_t i = 0; i < m.product_count; i++) {
            products[i].is_public = true;
            products[i].unit_cost *= factor;
        }
        enx_equilibrium_close(&e);
        status = enx_equilibrium_open(&e, &m, report);
        if (status == ENX_OK) *out = (e->welfare_usd - private_usd) / fabs(private_usd);
    }
    enx_equilibrium_close(&e);
    enx_mem_free(products);
    return status;
}

/* ---- Verdicts ------------------------------------------------------------------------------- */

typedef enx_status (*measure_fn)(double *out, const enx_claims_input *in, double value,
                                 enx_report *report);

static const measure_fn measures[ENX_CLAIMS_COUNT] = {
    [ENX_CLAIM_LAW] = measure_law,
    [ENX_CLAIM_LAYERS] = measure_layers,
    [ENX_CLAIM_FEW] = measure_few,
    [ENX_CLAIM_SOLAR] = measure_solar,
    [ENX_CLAIM_INFERENCE] = measure_inference,
    [ENX_CLAIM_ODDS] = measure_odds,
    [ENX_CLAIM_STATE] = measure_state,
};

enx_status enx_claims_verdict(bool *holds, double *measured, const enx_claims_input *input,
                              enx_claim_id id, double value, enx_report *report)
{
    ENX_CHECK(holds && measured && input && id < ENX_CLAIMS_COUNT);
    double got;
    ENX_TRY(measures[id](&got, input, value, report));
    *measured = got;
    *holds = got >= facts[id].bound_low && got <= facts[id].bound_high;
    return ENX_OK;
}

static double parameter_value(const enx_claims_input *in, enx_claim_id id, uint32_t second)
{
    switch (id) {
    case ENX_CLAIM_LAW:
        return in->exponent;
    case ENX_CLAIM_LAYERS:
        return in->layer_firms[second];
    case ENX_CLAIM_FEW:
        return in->market->gamma;
    case ENX_CLAIM_SOLAR:
        return in->market->rho;
    case ENX_CLAIM_INFERENCE:
        return in->training_counted;
    case ENX_CLAIM_ODDS:
        return in->horizon_years;
    default:
        return in->public_cost_factor;
    }
}

static double between(const claim_fact *fact, double from, double to, double part)
{
    return fact->is_linear ? from + part * (to - from) : from * pow(to / from, part);
}

/* The flip nearest to `from` on the way to `to`; NAN: there is none, or no equilibrium before it
 * comes.  Two flips within one step are not seen. */
static enx_status find_flip(double *flip, const enx_claims_input *in, enx_claim_id id, bool holds,
                            double from, double to, enx_report *report)
{
    const claim_fact *fact = &facts[id];
    double            same = from, other = NAN, measured;
    bool              verdict;
    *flip = NAN;
    for (int i = 1; i <= SCAN_STEPS && isnan(other); i++) {
        const double     at = between(fact, from, to, (double)i / SCAN_STEPS);
        const enx_status status = enx_claims_verdict(&verdict, &measured, in, id, at, report);
        if (status == ENX_UNSUPPORTED) return ENX_OK;
        ENX_TRY(status);
        if (verdict == holds) same = at;
        else other = at;
    }
    if (isnan(other)) return ENX_OK;
    for (int i = 0; i < BISECTIONS; i++) {
        const double middle = same + (other - same) / 2;
        ENX_TRY(enx_claims_verdict(&verdict, &measured, in, id, middle, report));
        if (verdict == holds) same = middle;
        else other = middle;
    }
    *flip = same + (other - same) / 2;
    return ENX_OK;
}

static enx_status judge(enx_claim *c, const enx_claims_input *in, enx_claim_id id,
                        enx_report *report)
{
    const claim_fact *f = &facts[id];
    uint32_t          second = 0;
    *c = (enx_claim){ .name = f->name,
                      .statement = f->statement,
                      .parameter = f->parameter,
                      .unit = f->unit,
                      .measure = f->measure,
                      .bound_low = f->bound_low,
                      .bound_high = f->bound_high,
                      .range_low = f->range_low,
                      .range_high = f->range_high,
                      .value = NAN,
                      .measured = NAN,
                      .flip_below = NAN,
                      .flip_above = NAN };
    if (id == ENX_CLAIM_LAYERS) {
        if (in->layer_count < 2) return ENX_OK;
        ENX_TRY(second_layer(&second, in, report));
    }
    c->value = parameter_value(in, id, second);
    c->range_low = fmin(c->range_low, c->value);
    c->range_high = fmax(c->range_high, c->value);
    ENX_TRY(enx_claims_verdict(&c->holds, &c->measured, in, id, c->value, report));
    c->is_judged = true;
    ENX_TRY(find_flip(&c->flip_below, in, id, c->holds, c->value, c->range_low, report));
    return find_flip(&c->flip_above, in, id, c->holds, c->value, c->range_high, report);
}

static enx_status check_input(const enx_claims_input *in, enx_report *report)
{
    const struct {
        const char *key, *unit;
        double      value, low, high;
    } rows[] = {
        { "exponent", "", in->exponent, 1e-3, 1 },
        { "training_counted", "", in->training_counted, 1e-2, 100 },
        { "odds_low", "", in->odds_low, 1e-6, 1 },
        { "odds_high", "", in->odds_high, 1e-6, 1 },
        { "horizon_years", " years", in->horizon_years, 0.1, 200 },
        { "value_years", " years", in->value_years, 1, 1000 },
        { "discount", ", a factor a year", in->discount, 1e-6, 1 },
        { "public_cost_factor", ", times the private cost", in->public_cost_factor, 0.01, 100 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!(rows[i].value >= rows[i].low && rows[i].value <= rows[i].high))
            return ENX_FAIL(report, INVALID, "claims.%s: %g is not from %g to %g%s", rows[i].key,
                            rows[i].value, rows[i].low, rows[i].high, rows[i].unit);
    if (!in->market->is_spend_endogenous)
        return ENX_FAIL(report, INVALID,
                        "claims: need gamma above 0 and training: {spend: endogenous, "
                        "reference_usd: USD a year}");
    if (in->firms_max < in->market->product_count || in->firms_max > ENX_MARKET_PRODUCTS_MAX)
        return ENX_FAIL(report, INVALID,
                        "entry.firms_max: %u is not from the number of firms, %u, to %d",
                        in->firms_max, in->market->product_count, ENX_MARKET_PRODUCTS_MAX);
    return ENX_OK;
}

enx_status enx_claims_judge(enx_claim claims[ENX_CLAIMS_COUNT], const enx_claims_input *input,
                            enx_report *report)
{
    ENX_CHECK(claims && input && input->market);
    enx_claim judged[ENX_CLAIMS_COUNT];
    ENX_TRY(enx_market_check(input->market, report));
    ENX_TRY(check_input(input, report));
    for (int id = 0; id < ENX_CLAIMS_COUNT; id++) {
        const enx_status status = judge(&judged[id], input, (enx_claim_id)id, report);
        if (status == ENX_OK) continue;
        enx_report_wrap(report, "claim %s", facts[id].name);
        return status;
    }
    memcpy(claims, judged, sizeof judged);
    return ENX_OK;
}

/* As many firms as have an equilibrium, from the first on, and at least as many as have a price;
 * `products` [product_count] is theirs. */
static enx_status keep_viable(enx_market *m, enx_product *products, enx_report *report)
{
    memcpy(products, m->products, m->product_count * sizeof *products);
    for (uint32_t i = 0; i < m->product_count; i++) products[i].owner = i;
    m->products = products;
    const uint32_t least = m->has_outside || m->has_open ? 1 : 2;
    for (; m->product_count > least; m->product_count--) {
        double           net;
        const enx_status status = net_at(&net, m, m->gamma, report);
        if (status != ENX_UNSUPPORTED) return status;
    }
    return ENX_OK;
}

static enx_status draw_verdicts(bool *holds, double *measured, const enx_claims_input *in,
                                enx_report *report)
{
    for (int id = 0; id < ENX_CLAIMS_COUNT; id++) {
        uint32_t second = 0;
        holds[id] = false;
        measured[id] = NAN;
        if (id == ENX_CLAIM_LAYERS && in->layer_count < 2) continue;
        if (id == ENX_CLAIM_LAYERS) ENX_TRY(second_layer(&second, in, report));
        const enx_status status =
            enx_claims_verdict(&holds[id], &measured[id], in, (enx_claim_id)id,
                               parameter_value(in, (enx_claim_id)id, second), report);
        if (status != ENX_OK && status != ENX_UNSUPPORTED) return status;
    }
    return ENX_OK;
}

enx_status enx_claims_draw(bool holds[ENX_CLAIMS_COUNT], double measured[ENX_CLAIMS_COUNT],
                           const enx_claims_input *input, double sd, uint64_t seed, uint64_t draw,
                           enx_report *report)
{
    ENX_CHECK(holds && measured && input && input->market && sd >= 0);
    enx_claims_input in = *input;
    enx_market       m = *input->market;
    enx_rng          rng = enx_rng_open(seed, draw);
    double           firms[ENX_CHAIN_LAYERS_MAX];
    ENX_TRY(enx_market_check(input->market, report));
    ENX_TRY(check_input(input, report));
    m.alpha *= exp(sd * enx_rng_normal(&rng));
    m.gamma *= exp(sd * enx_rng_normal(&rng));
    m.rho = fmax(0, 1 - (1 - m.rho) * exp(sd * enx_rng_normal(&rng)));
    m.size *= exp(sd * enx_rng_normal(&rng));
    in.training_counted *= exp(sd * enx_rng_normal(&rng));
    in.horizon_years *= exp(sd * enx_rng_normal(&rng));
    in.public_cost_factor *= exp(sd * enx_rng_normal(&rng));
    for (uint32_t i = 0; i < in.layer_count; i++)
        firms[i] = fmax(1, in.layer_firms[i] * exp(sd * enx_rng_normal(&rng)));
    in.market = &m;
    in.layer_firms = firms;
    enx_product *products = ENX_MEM_NEW(enx_product, m.product_count);
    if (!products) return ENX_FAIL(report, NOMEM, "no memory for %u products", m.product_count);
    enx_status status = keep_viable(&m, products, report);
    if (status == ENX_OK) status = draw_verdicts(holds, measured, &in, report);
    enx_mem_free(products);
    return status;
}
