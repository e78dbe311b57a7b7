/* SPDX-License-Identifier: Apache-2.0 */
/* cli_scenario.c - the YAML schema of a market scenario, and what its keys mean. */
#include "cli/cli_scenario.h"

#include "backend/yaml.h"
#include "base/check.h"
#include "base/mem.h"
#include "market/calibrate.h"
#include "plat/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double unit_ratio_max = 1e5;

/* What `future` takes for a law that does not hold at all. */
static const double odds_min = 1e-6;

typedef enum conduct_key { CONDUCT_BERTRAND, CONDUCT_COURNOT, CONDUCT_BOTH } conduct_key;
typedef enum spend_key { SPEND_FIXED, SPEND_ENDOGENOUS } spend_key;
typedef enum place_key { PLACE_BESIDE, PLACE_INSIDE } place_key;

typedef struct yaml_firm {
    char     *name;
    double   *quality, *unit_cost, *price, *share, *margin, subsidy_usd;
    uint32_t *owner;
    bool      is_public;
} yaml_firm;

typedef struct yaml_training {
    spend_key spend;
    double   *reference_usd;
} yaml_training;

typedef struct yaml_entry {
    double   fixed_cost_usd;
    uint32_t firms_max;
} yaml_entry;

typedef struct yaml_open {
    double   *quality, *lag_years, *compute_growth, unit_cost;
    place_key place;
} yaml_open;

typedef struct yaml_layer {
    char  *name;
    double firms;
} yaml_layer;

typedef struct yaml_hardware {
    double margin, cost_share, training_share;
} yaml_hardware;

typedef struct yaml_layers {
    enx_curvature  curvature;
    double         elasticity;
    yaml_layer    *chain;
    unsigned       chain_count;
    yaml_hardware *hardware;
} yaml_layers;

typedef struct yaml_claims {
    double *exponent, *training_counted, *odds_low, *odds_high, *horizon_years, *value_years;
    double *discount, *public_cost_factor;
} yaml_claims;

typedef struct yaml_future {
    double  *odds, *horizon_years, *demand_growth, *demand_sd, *cost_factor, *cost_sd, *gamma_sd;
    double  *noise_sd, *quality_sd, *learning_rate, *units_before, *compute_growth, *rho_after;
    double  *open_lag_years;
    uint32_t stop_year;
} yaml_future;

typedef struct yaml_scenario {
    char         *name, *about, *outside, *fringe, *law;
    conduct_key   conduct;
    double       *alpha, *size, rho, gamma;
    double       *v, *delta, *c;
    uint32_t     *owner, *public;
    unsigned      v_count, delta_count, c_count, owner_count, public_count, firms_count;
    yaml_firm    *firms;
    yaml_training training;
    yaml_entry   *entry;
    yaml_open    *open;
    yaml_layers  *layers;
    yaml_claims   claims;
    yaml_future   future;
} yaml_scenario;

/* clang-format off */
#define TEXT CYAML_FLAG_POINTER
#define MAYBE CYAML_FLAG_OPTIONAL
#define PRODUCTS_MAX ENX_MARKET_PRODUCTS_MAX
static const cyaml_strval_t conducts[] = {
    { "bertrand", CONDUCT_BERTRAND }, { "cournot", CONDUCT_COURNOT }, { "both", CONDUCT_BOTH },
};
static const cyaml_strval_t spends[] = {
    { "fixed", SPEND_FIXED }, { "endogenous", SPEND_ENDOGENOUS },
};
static const cyaml_strval_t places[] = { { "beside", PLACE_BESIDE }, { "inside", PLACE_INSIDE } };
static const cyaml_strval_t curvatures[] = {
    { "linear", ENX_CURVATURE_LINEAR }, { "exponential", ENX_CURVATURE_EXPONENTIAL },
    { "ces", ENX_CURVATURE_CES },
};
static const cyaml_schema_value_t real_schema = { CYAML_VALUE_FLOAT(CYAML_FLAG_DEFAULT, double) };
static const cyaml_schema_value_t index_schema = { CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint32_t) };
static const cyaml_schema_field_t firm_fields[] = {
    CYAML_FIELD_STRING_PTR("name", TEXT | MAYBE, yaml_firm, name, 1, 255),
    CYAML_FIELD_FLOAT_PTR("quality", TEXT | MAYBE, yaml_firm, quality),
    CYAML_FIELD_FLOAT_PTR("unit_cost", TEXT | MAYBE, yaml_firm, unit_cost),
    CYAML_FIELD_FLOAT_PTR("price", TEXT | MAYBE, yaml_firm, price),
    CYAML_FIELD_FLOAT_PTR("share", TEXT | MAYBE, yaml_firm, share),
    CYAML_FIELD_FLOAT_PTR("margin", TEXT | MAYBE, yaml_firm, margin),
    CYAML_FIELD_FLOAT("subsidy_usd", MAYBE, yaml_firm, subsidy_usd),
    CYAML_FIELD_UINT_PTR("owner", TEXT | MAYBE, yaml_firm, owner),
    CYAML_FIELD_BOOL("public", MAYBE, yaml_firm, is_public),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t firm_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, yaml_firm, firm_fields),
};
static const cyaml_schema_field_t training_fields[] = {
    CYAML_FIELD_ENUM("spend", CYAML_FLAG_STRICT, yaml_training, spend, spends, 2),
    CYAML_FIELD_FLOAT_PTR("reference_usd", TEXT | MAYBE, yaml_training, reference_usd),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t entry_fields[] = {
    CYAML_FIELD_FLOAT("fixed_cost_usd", CYAML_FLAG_DEFAULT, yaml_entry, fixed_cost_usd),
    CYAML_FIELD_UINT("firms_max", CYAML_FLAG_DEFAULT, yaml_entry, firms_max),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t open_fields[] = {
    CYAML_FIELD_FLOAT_PTR("quality", TEXT | MAYBE, yaml_open, quality),
    CYAML_FIELD_FLOAT_PTR("lag_years", TEXT | MAYBE, yaml_open, lag_years),
    CYAML_FIELD_FLOAT_PTR("compute_growth", TEXT | MAYBE, yaml_open, compute_growth),
    CYAML_FIELD_FLOAT("unit_cost", CYAML_FLAG_DEFAULT, yaml_open, unit_cost),
    CYAML_FIELD_ENUM("place", CYAML_FLAG_STRICT | MAYBE, yaml_open, place, places, 2),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t layer_fields[] = {
    CYAML_FIELD_STRING_PTR("name", TEXT, yaml_layer, name, 1, 255),
    CYAML_FIELD_FLOAT("firms", CYAML_FLAG_DEFAULT, yaml_layer, firms),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t layer_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, yaml_layer, layer_fields),
};
static const cyaml_schema_field_t hardware_fields[] = {
    CYAML_FIELD_FLOAT("margin", CYAML_FLAG_DEFAULT, yaml_hardware, margin),
    CYAML_FIELD_FLOAT("cost_share", CYAML_FLAG_DEFAULT, yaml_hardware, cost_share),
    CYAML_FIELD_FLOAT("training_share", CYAML_FLAG_DEFAULT, yaml_hardware, training_share),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t layers_fields[] = {
    CYAML_FIELD_ENUM("curvature", CYAML_FLAG_STRICT, yaml_layers, curvature, curvatures, 3),
    CYAML_FIELD_FLOAT("elasticity", MAYBE, yaml_layers, elasticity),
    CYAML_FIELD_SEQUENCE("chain", TEXT, yaml_layers, chain, &layer_schema, 1,
                         ENX_CHAIN_LAYERS_MAX),
    CYAML_FIELD_MAPPING_PTR("hardware", TEXT | MAYBE, yaml_layers, hardware, hardware_fields),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t claims_fields[] = {
    CYAML_FIELD_FLOAT_PTR("exponent", TEXT | MAYBE, yaml_claims, exponent),
    CYAML_FIELD_FLOAT_PTR("training_counted", TEXT | MAYBE, yaml_claims, training_counted),
    CYAML_FIELD_FLOAT_PTR("odds_low", TEXT | MAYBE, yaml_claims, odds_low),
    CYAML_FIELD_FLOAT_PTR("odds_high", TEXT | MAYBE, yaml_claims, odds_high),
    CYAML_FIELD_FLOAT_PTR("horizon_years", TEXT | MAYBE, yaml_claims, horizon_years),
    CYAML_FIELD_FLOAT_PTR("value_years", TEXT | MAYBE, yaml_claims, value_years),
    CYAML_FIELD_FLOAT_PTR("discount", TEXT | MAYBE, yaml_claims, discount),
    CYAML_FIELD_FLOAT_PTR("public_cost_factor", TEXT | MAYBE, yaml_claims, public_cost_factor),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t future_fields[] = {
    CYAML_FIELD_FLOAT_PTR("odds", TEXT | MAYBE, yaml_future, odds),
    CYAML_FIELD_FLOAT_PTR("horizon_years", TEXT | MAYBE, yaml_future, horizon_years),
    CYAML_FIELD_FLOAT_PTR("demand_growth", TEXT | MAYBE, yaml_future, demand_growth),
    CYAML_FIELD_FLOAT_PTR("demand_sd", TEXT | MAYBE, yaml_future, demand_sd),
    CYAML_FIELD_FLOAT_PTR("cost_factor", TEXT | MAYBE, yaml_future, cost_factor),
    CYAML_FIELD_FLOAT_PTR("cost_sd", TEXT | MAYBE, yaml_future, cost_sd),
    CYAML_FIELD_FLOAT_PTR("gamma_sd", TEXT | MAYBE, yaml_future, gamma_sd),
    CYAML_FIELD_FLOAT_PTR("noise_sd", TEXT | MAYBE, yaml_future, noise_sd),
    CYAML_FIELD_FLOAT_PTR("quality_sd", TEXT | MAYBE, yaml_future, quality_sd),
    CYAML_FIELD_FLOAT_PTR("learning_rate", TEXT | MAYBE, yaml_future, learning_rate),
    CYAML_FIELD_FLOAT_PTR("units_before", TEXT | MAYBE, yaml_future, units_before),
    CYAML_FIELD_FLOAT_PTR("compute_growth", TEXT | MAYBE, yaml_future, compute_growth),
    CYAML_FIELD_FLOAT_PTR("rho_after", TEXT | MAYBE, yaml_future, rho_after),
    CYAML_FIELD_UINT("stop_year", CYAML_FLAG_OPTIONAL, yaml_future, stop_year),
    CYAML_FIELD_FLOAT_PTR("open_lag_years", TEXT | MAYBE, yaml_future, open_lag_years),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t scenario_fields[] = {
    CYAML_FIELD_STRING_PTR("name", TEXT | MAYBE, yaml_scenario, name, 1, 255),
    CYAML_FIELD_STRING_PTR("about", TEXT | MAYBE, yaml_scenario, about, 1, 4096),
    CYAML_FIELD_ENUM("conduct", CYAML_FLAG_STRICT | MAYBE, yaml_scenario, conduct, conducts, 3),
    CYAML_FIELD_FLOAT_PTR("alpha", TEXT | MAYBE, yaml_scenario, alpha),
    CYAML_FIELD_FLOAT("rho", MAYBE, yaml_scenario, rho),
    CYAML_FIELD_FLOAT("gamma", MAYBE, yaml_scenario, gamma),
    CYAML_FIELD_FLOAT_PTR("size", TEXT | MAYBE, yaml_scenario, size),
    CYAML_FIELD_STRING_PTR("outside", TEXT | MAYBE, yaml_scenario, outside, 0, 64),
    CYAML_FIELD_STRING_PTR("fringe", TEXT | MAYBE, yaml_scenario, fringe, 0, 64),
    CYAML_FIELD_STRING_PTR("law", TEXT | MAYBE, yaml_scenario, law, 1, 1023),
    CYAML_FIELD_SEQUENCE("v", TEXT | MAYBE, yaml_scenario, v, &real_schema, 0, PRODUCTS_MAX),
    CYAML_FIELD_SEQUENCE("delta", TEXT | MAYBE, yaml_scenario, delta, &real_schema, 0,
                         PRODUCTS_MAX),
    CYAML_FIELD_SEQUENCE("c", TEXT | MAYBE, yaml_scenario, c, &real_schema, 0, PRODUCTS_MAX),
    CYAML_FIELD_SEQUENCE("owner", TEXT | MAYBE, yaml_scenario, owner, &index_schema, 0,
                         PRODUCTS_MAX),
    CYAML_FIELD_SEQUENCE("public", TEXT | MAYBE, yaml_scenario, public, &index_schema, 0,
                         PRODUCTS_MAX),
    CYAML_FIELD_SEQUENCE("firms", TEXT | MAYBE, yaml_scenario, firms, &firm_schema, 0,
                         PRODUCTS_MAX),
    CYAML_FIELD_MAPPING("training", MAYBE, yaml_scenario, training, training_fields),
    CYAML_FIELD_MAPPING_PTR("entry", TEXT | MAYBE, yaml_scenario, entry, entry_fields),
    CYAML_FIELD_MAPPING_PTR("open", TEXT | MAYBE, yaml_scenario, open, open_fields),
    CYAML_FIELD_MAPPING_PTR("layers", TEXT | MAYBE, yaml_scenario, layers, layers_fields),
    CYAML_FIELD_MAPPING("claims", MAYBE, yaml_scenario, claims, claims_fields),
    CYAML_FIELD_MAPPING("future", MAYBE, yaml_scenario, future, future_fields),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t scenario_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, yaml_scenario, scenario_fields),
};
/* clang-format on */

static bool is_none(const char *text)
{
    return text[0] == '\0' || strcmp(text, "none") == 0 || strcmp(text, "null") == 0 ||
           strcmp(text, "~") == 0;
}

/* A utility, or `none`; a missing key is none as well. */
static enx_status take_utility(double *value, bool *has_value, const char *key, const char *text,
                               enx_report *report)
{
    char *end = NULL;
    *has_value = text && !is_none(text);
    if (!*has_value) return ENX_OK;
    *value = strtod(text, &end);
    if (*end || end == text)
        return ENX_FAIL(report, INVALID, "%s: not a number (a utility) or none", key);
    return ENX_OK;
}

/* ---- Products ------------------------------------------------------------------------------- */

static enx_status check_lists(const yaml_scenario *y, unsigned count, enx_report *report)
{
    if (y->firms && (y->v || y->delta || y->c || y->owner || y->public))
        return ENX_FAIL(report, INVALID,
                        "firms: give these, or the lists v, delta, c, owner and "
                        "public, not both");
    if (y->v && (y->delta || y->c))
        return ENX_FAIL(report, INVALID, "v: is delta - alpha * c; give it, or those two");
    if (y->delta && y->c_count != count)
        return ENX_FAIL(report, INVALID, "c: %u costs for %u products", y->c_count, count);
    if (y->owner && y->owner_count != count)
        return ENX_FAIL(report, INVALID, "owner: %u owners for %u products", y->owner_count, count);
    for (unsigned i = 0; i < y->public_count; i++)
        if (y->public[i] >= count)
            return ENX_FAIL(report, INVALID, "public: there is no product %u; the first is 0",
                            y->public[i]);
    return ENX_OK;
}

/* Quality and cost, or price and share: both of one pair, and the same pair for all firms. */
static enx_status check_firm(const yaml_firm *f, bool is_seen, enx_report *report)
{
    if (is_seen && (f->quality || f->unit_cost))
        return ENX_FAIL(report, INVALID,
                        "%s: give price and share, or quality and unit_cost; the same for all",
                        f->quality ? "quality" : "unit_cost");
    if (is_seen && !f->price)
        return ENX_FAIL(report, INVALID, "price: is missing; USD a unit, above 0");
    if (is_seen && !f->share)
        return ENX_FAIL(report, INVALID, "share: is missing; of the market, above 0 to 1");
    if (is_seen) return ENX_OK;
    if (!f->quality)
        return ENX_FAIL(report, INVALID,
                        "quality: is missing; utility, from %g to %g (or give price and share)",
                        -ENX_MARKET_UTILITY_MAX, ENX_MARKET_UTILITY_MAX);
    if (!f->unit_cost)
        return ENX_FAIL(report, INVALID, "unit_cost: is missing; USD a unit, from 0 to %g",
                        ENX_MARKET_USD_MAX);
    if (f->margin)
        return ENX_FAIL(report, INVALID, "margin: belongs to price and share, as it is seen");
    return ENX_OK;
}

/* `seen` [count] is filled when *is_seen: the firms have prices and shares. */
static enx_status take_firms(enx_product *products, enx_sighting *seen, bool *is_seen,
                             const yaml_scenario *y, enx_report *report)
{
    *is_seen = false;
    for (unsigned i = 0; i < y->firms_count; i++)
        *is_seen = *is_seen || y->firms[i].price || y->firms[i].share;
    for (unsigned i = 0; i < y->firms_count; i++) {
        const yaml_firm *f = &y->firms[i];
        const enx_status status = check_firm(f, *is_seen, report);
        if (status != ENX_OK) {
            enx_report_wrap(report, "firm %u%s%s", i + 1, f->name ? " " : "",
                            f->name ? f->name : "");
            return status;
        }
        products[i] = (enx_product){ .name = f->name,
                                     .quality = f->quality ? *f->quality : 0,
                                     .unit_cost = f->unit_cost ? *f->unit_cost : 0,
                                     .subsidy_usd = f->subsidy_usd,
                                     .owner = f->owner ? *f->owner : i,
                                     .is_public = f->is_public };
        if (*is_seen)
            seen[i] = (enx_sighting){ *f->price, *f->share, f->margin ? *f->margin : NAN };
    }
    return ENX_OK;
}

static void take_lists(enx_product *products, const yaml_scenario *y, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        products[i] = (enx_product){ .quality = y->v ? y->v[i] : y->delta[i],
                                     .unit_cost = y->v ? 0 : y->c[i],
                                     .owner = y->owner ? y->owner[i] : i };
    for (unsigned i = 0; i < y->public_count; i++) products[y->public[i]].is_public = true;
}

/* Costs of one kind of unit are not a hundred thousand times apart: one is for a token, and the
 * other for a million. */
static enx_status check_units(const enx_market *m, enx_report *report)
{
    double low = m->has_open && m->open_cost > 0 ? m->open_cost : INFINITY;
    double high = m->has_open ? m->open_cost : 0;
    for (uint32_t i = 0; i < m->product_count; i++) {
        const double cost = m->products[i].unit_cost;
        if (cost > 0) low = fmin(low, cost);
        high = fmax(high, cost);
    }
    if (high <= unit_ratio_max * low) return ENX_OK;
    return ENX_FAIL(report, INVALID,
                    "unit_cost: %g and %g USD a unit are too far apart to be for the same unit; "
                    "is one of them for a token, and the other for a million?",
                    low, high);
}

/* ---- The parts ------------------------------------------------------------------------------ */

/* Open weights `lag_years` behind the best firm: gamma for each e-fold of compute in between. */
static enx_status take_open(enx_market *m, const yaml_scenario *y, enx_report *report)
{
    const yaml_open *o = y->open;
    ENX_TRY(take_utility(&m->open_quality, &m->has_open, "fringe", y->fringe, report));
    if (!o) return ENX_OK;
    if (m->has_open)
        return ENX_FAIL(report, INVALID,
                        "fringe: is open.quality - alpha * open.unit_cost; give "
                        "one of the two");
    m->has_open = true;
    m->is_open_inside = o->place == PLACE_INSIDE;
    m->open_cost = o->unit_cost;
    if (o->quality) {
        m->open_quality = *o->quality;
        if (!o->lag_years && !o->compute_growth) return ENX_OK;
        return ENX_FAIL(report, INVALID, "open: give quality, or lag_years and compute_growth");
    }
    if (!o->lag_years || !o->compute_growth)
        return ENX_FAIL(report, INVALID,
                        "open: quality is missing, or lag_years and "
                        "compute_growth in its place");
    if (m->is_spend_endogenous)
        return ENX_FAIL(report, INVALID,
                        "open.lag_years: with endogenous training there is no "
                        "listed quality to lag behind; give open.quality");
    if (!(*o->lag_years >= 0 && *o->lag_years <= 100))
        return ENX_FAIL(report, INVALID, "open.lag_years: %g is not from 0 to 100 years",
                        *o->lag_years);
    if (!(*o->compute_growth >= 1 && *o->compute_growth <= 1e6))
        return ENX_FAIL(report, INVALID,
                        "open.compute_growth: %g is not from 1 to 1e6, times a "
                        "year",
                        *o->compute_growth);
    m->open_quality = -INFINITY;
    for (uint32_t i = 0; i < m->product_count; i++)
        m->open_quality = fmax(m->open_quality, m->products[i].quality);
    m->open_quality -= m->gamma * *o->lag_years * log(*o->compute_growth);
    return ENX_OK;
}

static bool is_share(double value) { return value >= 0 && value <= 1; }

static enx_status take_chain(cli_chain *chain, const yaml_layers *layers, enx_report *report)
{
    if (!layers) return ENX_OK;
    for (unsigned i = 0; i < layers->chain_count; i++) {
        chain->names[i] = layers->chain[i].name;
        chain->firms[i] = layers->chain[i].firms;
    }
    ENX_TRY(enx_chain_split(chain->share, chain->firms, layers->chain_count, layers->curvature,
                            layers->elasticity, report));
    chain->count = layers->chain_count;
    chain->curvature = layers->curvature;
    chain->elasticity = layers->elasticity;
    const yaml_hardware *h = layers->hardware;
    if (!h) return ENX_OK;
    if (!is_share(h->margin) || !is_share(h->cost_share) || !is_share(h->training_share))
        return ENX_FAIL(report, INVALID,
                        "hardware: margin, cost_share and training_share are "
                        "each from 0 to 1");
    chain->has_hardware = true;
    chain->hardware_margin = h->margin;
    chain->cost_share = h->cost_share;
    chain->training_share = h->training_share;
    return ENX_OK;
}

static void take(double *value, const double *given)
{
    if (given) *value = *given;
}

static void take_claims(cli_scenario *s, const yaml_claims *y)
{
    enx_claims_input *c = &s->claims;
    *c = enx_claims_defaults();
    c->market = &s->market;
    c->layer_firms = s->chain.firms;
    c->layer_count = s->chain.count;
    c->curvature = s->chain.curvature;
    c->elasticity = s->chain.elasticity;
    if (s->firms_max) c->firms_max = s->firms_max;
    take(&c->exponent, y->exponent);
    if (s->has_law) c->exponent = s->law.exponent;
    take(&c->training_counted, y->training_counted);
    take(&c->odds_low, y->odds_low);
    take(&c->odds_high, y->odds_high);
    take(&c->horizon_years, y->horizon_years);
    take(&c->value_years, y->value_years);
    take(&c->discount, y->discount);
    take(&c->public_cost_factor, y->public_cost_factor);
}

static void take_future(cli_scenario *s, const yaml_future *y)
{
    enx_future_input *f = &s->future;
    *f = enx_future_defaults();
    f->market = &s->market;
    f->hardware_margin = s->chain.hardware_margin;
    f->hardware_cost = s->chain.cost_share;
    f->hardware_training = s->chain.training_share;
    take(&f->odds, y->odds);
    take(&f->horizon_years, y->horizon_years);
    take(&f->demand_growth, y->demand_growth);
    take(&f->demand_sd, y->demand_sd);
    take(&f->cost_factor, y->cost_factor);
    take(&f->cost_sd, y->cost_sd);
    take(&f->gamma_sd, y->gamma_sd);
    take(&f->noise_sd, y->noise_sd);
    take(&f->quality_sd, y->quality_sd);
    take(&f->learning_rate, y->learning_rate);
    take(&f->units_before, y->units_before);
    take(&f->compute_growth, y->compute_growth);
    take(&f->rho_after, y->rho_after);
    f->stop_year = y->stop_year;
    take(&f->open_lag_years, y->open_lag_years);
    if (!s->has_law) return;
    f->gamma_sd = hypot(f->gamma_sd, s->law.exponent_se / s->law.exponent);
    if (s->law.has_odds) f->odds = fmax(cli_market_law_goes_on(&s->law), odds_min);
}

/* gamma is proportional to the law's exponent; the scenario's belongs to claims.exponent. */
static enx_status apply_law(cli_scenario *s, const yaml_scenario *y, enx_report *report)
{
    const double listed = y->claims.exponent ? *y->claims.exponent : enx_claims_defaults().exponent;
    if (!s->has_law) return ENX_OK;
    if (!(s->market.gamma > 0))
        return ENX_FAIL(report, INVALID,
                        "gamma: is missing; a law moves it, so give what it is at "
                        "claims.exponent: utility an e-fold of training spend, above 0 to %g",
                        ENX_MARKET_GAMMA_MAX);
    if (!(listed > 0))
        return ENX_FAIL(report, INVALID, "claims.exponent: %g is not from 0.001 to 1", listed);
    s->market.gamma *= s->law.exponent / listed;
    return ENX_OK;
}

/* What is seen is the market as it is; public firms, as open weights after, are what the scenario
 * makes of it. */
static enx_status calibrate(cli_scenario *s, const yaml_scenario *y, const enx_sighting *seen,
                            enx_report *report)
{
    for (unsigned i = 0; i < y->firms_count; i++) s->products[i].is_public = false;
    ENX_TRY(enx_calibrate_market(&s->market, s->products, seen, report));
    for (unsigned i = 0; i < y->firms_count; i++) s->products[i].is_public = y->firms[i].is_public;
    return ENX_OK;
}

/* `seen`: NULL, or what the firms' qualities and costs follow from. */
static enx_status take_market(cli_scenario *s, const yaml_scenario *y, const enx_sighting *seen,
                              enx_report *report)
{
    enx_market *m = &s->market;
    s->is_both = y->conduct == CONDUCT_BOTH;
    m->conduct = y->conduct == CONDUCT_COURNOT ? ENX_CONDUCT_COURNOT : ENX_CONDUCT_BERTRAND;
    m->rho = y->rho;
    m->gamma = y->gamma;
    m->size = y->size ? *y->size : 1;
    m->is_spend_endogenous = y->training.spend == SPEND_ENDOGENOUS;
    m->training_ref_usd = y->training.reference_usd ? *y->training.reference_usd : 1;
    m->fixed_cost_usd = y->entry ? y->entry->fixed_cost_usd : 0;
    ENX_TRY(take_utility(&m->outside, &m->has_outside, "outside", y->outside, report));
    ENX_TRY(apply_law(s, y, report));
    if (m->product_count == 0) return ENX_OK;
    if (!y->alpha && !seen)
        return ENX_FAIL(report, INVALID, "alpha: is missing; utility a USD, above 0 to %g",
                        ENX_MARKET_ALPHA_MAX);
    if (!y->outside)
        return ENX_FAIL(report, INVALID, "outside: is missing; the utility of not buying, or none");
    m->alpha = y->alpha ? *y->alpha : 0;
    if (y->alpha && m->alpha == 0) return enx_market_check(m, report);
    if (seen) ENX_TRY(calibrate(s, y, seen, report));
    ENX_TRY(take_open(m, y, report));
    ENX_TRY(enx_market_check(m, report));
    return check_units(m, report);
}

/* Only the bound on firms is asked for.  An empty list reads like none, so what else belongs to a
 * market tells them apart. */
static enx_status check_bound(const cli_scenario *s, const yaml_scenario *y, enx_report *report)
{
    if (y->gamma == 0 || y->alpha || y->outside || y->size || y->entry || y->open || y->fringe)
        return ENX_FAIL(report, INVALID,
                        "firms: there are none; list them under firms, or give gamma and rho "
                        "alone for the bound on their number");
    if (!(y->gamma > 0 && y->gamma <= ENX_MARKET_GAMMA_MAX))
        return ENX_FAIL(report, INVALID, "gamma: %g is not above 0 and at most %g", y->gamma,
                        ENX_MARKET_GAMMA_MAX);
    if (!(s->market.rho >= 0 && s->market.rho <= ENX_MARKET_RHO_MAX))
        return ENX_FAIL(report, INVALID, "rho: %g is not in [0, 1): from 0 to %g", s->market.rho,
                        ENX_MARKET_RHO_MAX);
    return ENX_OK;
}

static enx_status take_products(cli_scenario *s, const yaml_scenario *y, unsigned count,
                                enx_report *report)
{
    bool           is_seen = false;
    const unsigned room = s->firms_max > count ? s->firms_max : count;
    enx_sighting  *seen = ENX_MEM_NEW(enx_sighting, count ? count : 1);
    enx_status     status = ENX_OK;
    s->products = ENX_MEM_NEW(enx_product, room ? room : 1);
    if (!seen || !s->products) status = ENX_FAIL(report, NOMEM, "no memory for %u products", room);
    else if (y->firms) status = take_firms(s->products, seen, &is_seen, y, report);
    else take_lists(s->products, y, count);
    s->market.products = s->products;
    s->market.product_count = count;
    if (status == ENX_OK) status = take_market(s, y, is_seen ? seen : NULL, report);
    enx_mem_free(seen);
    return status;
}

static enx_status take_scenario(cli_scenario *s, const yaml_scenario *y, enx_report *report)
{
    const unsigned count = y->firms ? y->firms_count : y->v ? y->v_count : y->delta_count;
    s->name = y->name;
    s->about = y->about;
    ENX_TRY(check_lists(y, count, report));
    s->firms_max = y->entry ? y->entry->firms_max : 0;
    if (y->entry && (s->firms_max < count || s->firms_max > PRODUCTS_MAX))
        return ENX_FAIL(report, INVALID,
                        "entry.firms_max: %u is not from the number of firms, "
                        "%u, to %d",
                        s->firms_max, count, PRODUCTS_MAX);
    ENX_TRY(take_products(s, y, count, report));
    if (count == 0) ENX_TRY(check_bound(s, y, report));
    ENX_TRY(take_chain(&s->chain, y->layers, report));
    take_claims(s, &y->claims);
    take_future(s, &y->future);
    return ENX_OK;
}

/* What is wrong with a value is told with the unit and range of its key. */
static void add_unit(enx_report *report)
{
    char        key[64] = "";
    const char *place = report ? strstr(report->text, "(at \"") : NULL;
    if (!place || sscanf(place, "(at \"%63[a-z_]\")", key) != 1) return;
    const cli_scenario_key *row = cli_scenario_key_find(key);
    if (!row) return;
    const enx_report old = *report;
    (void)enx_report_set(report, ENX_FORMAT, __FILE__, __LINE__, "%s; %s: %s, %s", old.text,
                         row->path, row->unit, row->range);
}

/* The law of the command line, or of the scenario, whose path is relative to its file. */
static enx_status open_law(cli_scenario *s, const yaml_scenario *y, const char *path,
                           const char *law, enx_report *report)
{
    char        near[CLI_SCENARIO_PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!law && !y->law) return ENX_OK;
    if (!law && slash && y->law[0] != '/') {
        const int size = snprintf(near, sizeof near, "%.*s/%s", (int)(slash - path), path, y->law);
        if (size < 0 || (size_t)size >= sizeof near)
            return ENX_FAIL(report, LIMIT, "law: a path of %d bytes", size);
        law = near;
    } else if (!law) law = y->law;
    s->has_law = true;
    return cli_market_law_read(&s->law, law, report);
}

enx_status cli_scenario_open(cli_scenario **out, const enx_buf *text, const char *path,
                             const char *law, enx_report *report)
{
    ENX_CHECK(out && text && path);
    const char   *keys[CLI_SCENARIO_KEYS_MAX];
    const size_t  key_count = cli_scenario_key_names(keys);
    cli_scenario *s = ENX_MEM_NEW(cli_scenario, 1);
    if (!s) return ENX_FAIL(report, NOMEM, "no memory for %s", path);
    enx_status status =
        enx_yaml_load(&s->loaded, &scenario_schema, text, path, keys, key_count, report);
    if (status == ENX_FORMAT) add_unit(report);
    if (status == ENX_OK) {
        status = open_law(s, s->loaded, path, law, report);
        if (status == ENX_OK) status = take_scenario(s, s->loaded, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    if (status != ENX_OK) cli_scenario_close(&s);
    else *out = s;
    return status;
}

enx_status cli_scenario_read(cli_scenario **out, const char *path, const char *law,
                             enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, CLI_SCENARIO_BYTES_MAX);
    enx_status status = enx_file_read(&text, path, report);
    if (status == ENX_OK) status = cli_scenario_open(out, &text, path, law, report);
    enx_buf_deinit(&text);
    return status;
}

void cli_scenario_close(cli_scenario **scenario)
{
    if (!*scenario) return;
    enx_yaml_free(&scenario_schema, (*scenario)->loaded);
    enx_mem_free((*scenario)->products);
    enx_mem_free(*scenario);
    *scenario = NULL;
}
