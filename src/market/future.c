/* SPDX-License-Identifier: Apache-2.0 */
/* future.c - one draw after the other.
 *
 * 1. All chances of a draw are taken before anything else and in one order, whatever the input.
 * 2. Year t is solved on what years before left: units sold (learning), qualities (after a stop).
 */
#include "market/future.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "market/equilibrium.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const double enx_future_quantiles[ENX_FUTURE_QUANTILES] = { 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95 };

const char *const enx_lever_names[ENX_LEVERS_COUNT] = {
    [ENX_LEVER_ODDS] = "odds",
    [ENX_LEVER_DEMAND_GROWTH] = "demand_growth",
    [ENX_LEVER_COST_FACTOR] = "cost_factor",
    [ENX_LEVER_COMPUTE_GROWTH] = "compute_growth",
    [ENX_LEVER_GAMMA] = "gamma",
    [ENX_LEVER_ALPHA] = "alpha",
    [ENX_LEVER_BRANDS] = "1 - rho",
};

/* Draws are below ENX_FUTURE_DRAWS_MAX: this bit makes another stream of each. */
static const uint64_t drift_stream = UINT64_C(1) << 63;

typedef struct chances {
    double stop, demand, cost, gamma; /* stop: uniform in (0, 1]; the others standard normal */
    double noise[ENX_FUTURE_YEARS_MAX];
} chances;

typedef struct world {
    const enx_future_input *in;
    enx_product            *products;    /* of the year, best of today first */
    uint32_t               *order;       /* [product_count] where each is in the input's list */
    uint32_t                count;       /* those in the market */
    double                  gamma;       /* of the draw */
    double                  demand_rate; /* natural logarithm, a year */
    double                  cost_rate;
    double                  units;     /* sold so far, units_before among them */
    double                 *drift;     /* [product_count] of qualities, in the input's order */
    enx_rng                 steps;     /* of the drift */
    double                  noise;     /* of unit costs, natural logarithm, added up */
    double                  best;      /* quality, as trained in the last year of the law */
    double                  open_gain; /* of open weights' quality until then */
    uint32_t                stop_year;
} world;

enx_future_input enx_future_defaults(void)
{
    return (enx_future_input){ .years = 10,
                               .odds = 1,
                               .horizon_years = 5,
                               .demand_growth = 1,
                               .cost_factor = 1,
                               .compute_growth = 1,
                               .units_before = 1,
                               .open_lag_years = 1 };
}

enx_status enx_future_check(const enx_future_input *in, enx_report *report)
{
    ENX_CHECK(in && in->market);
    const struct {
        const char *key, *unit;
        double      value, low, high;
    } rows[] = {
        { "years", "", in->years, 1, ENX_FUTURE_YEARS_MAX },
        { "odds", "", in->odds, 1e-6, 1 },
        { "horizon_years", " years", in->horizon_years, 0.01, 1000 },
        { "demand_growth", ", a factor a year", in->demand_growth, 0.01, 100 },
        { "demand_sd", "", in->demand_sd, 0, 5 },
        { "cost_factor", ", a factor a year", in->cost_factor, 0.01, 100 },
        { "cost_sd", "", in->cost_sd, 0, 5 },
        { "gamma_sd", "", in->gamma_sd, 0, 5 },
        { "noise_sd", "", in->noise_sd, 0, 5 },
        { "quality_sd", ", utility a year", in->quality_sd, 0, 100 },
        { "learning_rate", ", a part of 1", in->learning_rate, 0, 0.9 },
        { "units_before", " units", in->units_before, 1e-9, ENX_MARKET_SIZE_MAX },
        { "compute_growth", ", a factor a year", in->compute_growth, 0.01, 1000 },
        { "rho_after", "", in->rho_after, 0, ENX_MARKET_RHO_MAX },
        { "open_lag_years", " years", in->open_lag_years, 0, 100 },
        { "hardware.margin", "", in->hardware_margin, 0, 1 },
        { "hardware.cost_share", "", in->hardware_cost, 0, 1 },
        { "hardware.training_share", "", in->hardware_training, 0, 1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!(rows[i].value >= rows[i].low && rows[i].value <= rows[i].high))
            return ENX_FAIL(report, INVALID, "future.%s: %g is not from %g to %g%s", rows[i].key,
                            rows[i].value, rows[i].low, rows[i].high, rows[i].unit);
    return enx_market_check(in->market, report);
}

static chances take_chances(const enx_future_input *in, uint64_t draw)
{
    enx_rng rng = enx_rng_open(in->seed, draw);
    chances c = { .stop = 1 - enx_rng_unit(&rng) };
    c.demand = enx_rng_normal(&rng);
    c.cost = enx_rng_normal(&rng);
    c.gamma = enx_rng_normal(&rng);
    for (int year = 0; year < ENX_FUTURE_YEARS_MAX; year++) c.noise[year] = enx_rng_normal(&rng);
    return c;
}

/* The law holds in year t with probability odds^(t / horizon): while `stop` is not above it. */
static uint32_t find_stop(const enx_future_input *in, double stop)
{
    uint32_t year = 1;
    if (in->stop_year) return in->stop_year <= in->years ? in->stop_year : in->years + 1;
    while (year <= in->years && stop <= pow(in->odds, year / in->horizon_years)) year++;
    return year;
}

/* ---- A year --------------------------------------------------------------------------------- */

static void train_products(world *w, uint32_t year)
{
    const enx_market *m = w->in->market;
    w->open_gain = w->gamma * year * log(w->in->compute_growth);
    w->count = m->product_count;
    for (uint32_t i = 0; i < w->count; i++)
        w->products[i].quality =
            m->products[w->order[i]].quality + w->open_gain + w->drift[w->order[i]];
}

/* Tastes move with and without the law.  A stream of its own, so that products and years take
 * nothing from the other chances. */
static void drift_products(world *w, bool has_law)
{
    if (w->in->quality_sd == 0) return;
    for (uint32_t i = 0; i < w->in->market->product_count; i++) {
        const double step = w->in->quality_sd * enx_rng_normal(&w->steps);
        w->drift[i] += step;
        for (uint32_t k = 0; !has_law && k < w->count; k++)
            if (w->order[k] == i) w->products[k].quality += step;
    }
}

/* The market of a year; the world's products are changed to it. */
static enx_market make_year(world *w, uint32_t year)
{
    const enx_future_input *in = w->in;
    enx_market              m = *in->market;
    const double            learnt = -log2(1 - in->learning_rate);
    const double            cost =
        exp(w->cost_rate * year + w->noise) * pow(w->units / in->units_before, -learnt);
    if (year > 0) drift_products(w, year < w->stop_year);
    if (year < w->stop_year) train_products(w, year);
    m.open_quality += w->open_gain;
    m.open_cost *= cost;
    m.size *= exp(w->demand_rate * year);
    m.gamma = w->gamma;
    m.products = w->products;
    m.product_count = w->count;
    for (uint32_t i = 0; i < m.product_count; i++)
        w->products[i].unit_cost = in->market->products[w->order[i]].unit_cost * cost;
    if (year < w->stop_year) return m;
    const double late = year - w->stop_year + 1, lag = in->open_lag_years;
    m.rho = fmax(m.rho, in->rho_after);
    m.is_spend_endogenous = false;
    m.open_quality += (lag > late ? late / lag : 1) * fmax(0, w->best - m.open_quality);
    return m;
}

static bool is_viable(const enx_market *m, const enx_equilibrium *e)
{
    if (!m->is_spend_endogenous) return true;
    for (uint32_t i = 0; i < m->product_count; i++)
        if (!m->products[i].is_public && e->firm_net_usd[m->products[i].owner] < 0) return false;
    return true;
}

/* As many as do not lose by training, best of today first. */
static enx_status solve_year(enx_equilibrium **out, world *w, enx_market *m, enx_report *report)
{
    for (; m->product_count > 0; m->product_count--) {
        for (uint32_t i = 0; m->is_spend_endogenous && i < m->product_count; i++)
            w->products[i].owner = i;
        const enx_status status = enx_equilibrium_open(out, m, report);
        if (status == ENX_OK && is_viable(m, *out)) return ENX_OK;
        if (status == ENX_OK) enx_equilibrium_close(out);
        else if (m->product_count < w->count && status == ENX_INVALID) break; /* no price for one */
        else if (status != ENX_UNSUPPORTED || !m->is_spend_endogenous) return status;
    }
    return ENX_FAIL(report, UNSUPPORTED, "no firm could pay for its training");
}

static void rank_revenue(double *out, double usd)
{
    if (usd > out[ENX_METRIC_LARGEST]) {
        out[ENX_METRIC_SECOND] = out[ENX_METRIC_LARGEST];
        out[ENX_METRIC_LARGEST] = usd;
    } else out[ENX_METRIC_SECOND] = fmax(out[ENX_METRIC_SECOND], usd);
}

static void fill_year(double *out, const enx_future_input *in, const enx_market *m,
                      const enx_equilibrium *e, bool has_law)
{
    double cost = 0, revenue = 0, units = 0;
    memset(out, 0, ENX_METRICS_COUNT * sizeof *out);
    for (uint32_t i = 0; i < e->product_count; i++) {
        const double sold = m->size * e->share[i];
        units += sold;
        cost += sold * m->products[i].unit_cost;
        revenue += sold * e->price[i];
        rank_revenue(out, sold * e->price[i]);
        out[ENX_METRIC_GROSS] += e->gross_usd[i];
        out[ENX_METRIC_TRAINING] += e->training_usd[i];
        out[ENX_METRIC_NET] += e->firm_net_usd[i];
    }
    out[ENX_METRIC_LAW] = has_law;
    out[ENX_METRIC_COST] = cost / units;
    out[ENX_METRIC_PRICE] = revenue / units;
    out[ENX_METRIC_UNITS] = units;
    out[ENX_METRIC_REVENUE] = revenue;
    out[ENX_METRIC_MARGIN] = out[ENX_METRIC_GROSS] / revenue;
    out[ENX_METRIC_HARDWARE] =
        in->hardware_margin *
        (in->hardware_cost * cost + in->hardware_training * out[ENX_METRIC_TRAINING]);
    out[ENX_METRIC_SURPLUS] = e->consumer_surplus_usd;
    out[ENX_METRIC_FIRMS] = e->firm_count;
}

/* What training made of each product stays when the law stops; who is out stays out. */
static void keep_qualities(world *w, const enx_market *m, const enx_equilibrium *e)
{
    w->best = -INFINITY;
    w->count = m->product_count;
    for (uint32_t i = 0; i < w->count; i++) {
        if (e->training_usd[i] > 0)
            w->products[i].quality += m->gamma * log(e->training_usd[i] / m->training_ref_usd);
        w->best = fmax(w->best, w->products[i].quality);
    }
}

static enx_status run_year(double *out, world *w, uint32_t year, enx_report *report)
{
    enx_equilibrium *e = NULL;
    enx_market       m = make_year(w, year);
    const bool       has_law = year < w->stop_year;
    /* a draw may grow out of what a market can be: then it has no number, as others without one */
    if (enx_market_check(&m, report) != ENX_OK) return ENX_UNSUPPORTED;
    ENX_TRY(solve_year(&e, w, &m, report));
    fill_year(out, w->in, &m, e, has_law);
    if (has_law) keep_qualities(w, &m, e);
    enx_equilibrium_close(&e);
    if (!isfinite(out[ENX_METRIC_PRICE]))
        return ENX_FAIL(report, UNSUPPORTED, "next to nothing is sold");
    return ENX_OK;
}

/* ---- A draw --------------------------------------------------------------------------------- */

/* Public ones first, then by quality - alpha * cost; of equals the one listed first. */
static bool is_before(const enx_market *m, uint32_t a, uint32_t b)
{
    const enx_product *p = &m->products[a], *q = &m->products[b];
    if (p->is_public != q->is_public) return p->is_public;
    return (p->quality - q->quality) - m->alpha * (p->unit_cost - q->unit_cost) > 0;
}

static void line_up(world *w)
{
    const enx_market *m = w->in->market;
    for (uint32_t i = 0; i < m->product_count; i++) {
        uint32_t at = i;
        for (; at > 0 && is_before(m, i, w->order[at - 1]); at--) w->order[at] = w->order[at - 1];
        w->order[at] = i;
    }
    for (uint32_t i = 0; i < m->product_count; i++) w->products[i] = m->products[w->order[i]];
}

/* Year 0 is solved, too: it leaves the qualities that a stop in year 1 freezes. */
static enx_status run_years(double *out, world *w, const chances *c, enx_report *report)
{
    const enx_future_input *in = w->in;
    line_up(w);
    w->gamma = in->market->gamma * exp(in->gamma_sd * c->gamma);
    w->demand_rate = log(in->demand_growth) + in->demand_sd * c->demand;
    w->cost_rate = log(in->cost_factor) + in->cost_sd * c->cost;
    w->units = in->units_before;
    double today[ENX_METRICS_COUNT];
    ENX_TRY(run_year(today, w, 0, report));
    for (uint32_t year = 1; year <= in->years; year++) {
        double *row = out + (size_t)(year - 1) * ENX_METRICS_COUNT;
        w->noise += in->noise_sd * c->noise[year - 1];
        const enx_status status = run_year(row, w, year, report);
        if (status != ENX_OK) {
            enx_report_wrap(report, "year %u", year);
            return status;
        }
        w->units += row[ENX_METRIC_UNITS];
    }
    return ENX_OK;
}

enx_status enx_future_draw(double *out, uint32_t *stop_year, const enx_future_input *input,
                           uint64_t draw, enx_report *report)
{
    ENX_CHECK(out && stop_year && input && input->market);
    const chances  c = take_chances(input, draw);
    const uint32_t count = input->market->product_count;
    const size_t   row_count = (size_t)input->years * ENX_METRICS_COUNT;
    world          w = { .in = input, .stop_year = find_stop(input, c.stop) };
    double        *rows = ENX_MEM_NEW(double, row_count);
    w.steps = enx_rng_open(input->seed, draw | drift_stream);
    w.drift = ENX_MEM_NEW(double, count);
    w.products = ENX_MEM_NEW(enx_product, count);
    w.order = ENX_MEM_NEW(uint32_t, count);
    enx_status status = ENX_OK;
    if (!rows || !w.products || !w.order || !w.drift)
        status = ENX_FAIL(report, NOMEM, "no memory for %u years", input->years);
    if (status == ENX_OK) status = run_years(rows, &w, &c, report);
    if (status == ENX_OK) {
        memcpy(out, rows, row_count * sizeof *rows);
        *stop_year = w.stop_year;
    }
    enx_mem_free(rows);
    enx_mem_free(w.products);
    enx_mem_free(w.drift);
    enx_mem_free(w.order);
    return status;
}

void enx_future_turn(enx_future_input *input, enx_market *market, enx_lever lever, double factor)
{
    ENX_CHECK(input && input->market && market && lever < ENX_LEVERS_COUNT);
    *market = *input->market;
    input->market = market;
    switch (lever) {
    case ENX_LEVER_ODDS:
        input->odds = fmin(1, input->odds * factor);
        break;
    case ENX_LEVER_DEMAND_GROWTH:
        input->demand_growth *= factor;
        break;
    case ENX_LEVER_COST_FACTOR:
        input->cost_factor *= factor;
        break;
    case ENX_LEVER_COMPUTE_GROWTH:
        input->compute_growth *= factor;
        break;
    case ENX_LEVER_GAMMA:
        market->gamma *= factor;
        break;
    case ENX_LEVER_ALPHA:
        market->alpha *= factor;
        break;
    default:
        market->rho = 1 - fmin(1, fmax(1 - ENX_MARKET_RHO_MAX, (1 - market->rho) * factor));
    }
}

/* ---- Many draws ----------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enx_fan enx_future_fan(double *values, uint32_t count)
{
    ENX_CHECK(values && count > 0);
    enx_fan fan = { 0 };
    double  squares = 0;
    for (uint32_t i = 0; i < count; i++) fan.mean += values[i];
    fan.mean /= count;
    for (uint32_t i = 0; i < count; i++) squares += (values[i] - fan.mean) * (values[i] - fan.mean);
    if (count > 1) fan.standard_error = sqrt(squares / (count - 1.0) / count);
    qsort(values, count, sizeof *values, compare_doubles);
    for (int q = 0; q < ENX_FUTURE_QUANTILES; q++) {
        const double   at = enx_future_quantiles[q] * (count - 1);
        const uint32_t low = (uint32_t)at, high = low + 1 < count ? low + 1 : low;
        fan.quantiles[q] = values[low] + (at - low) * (values[high] - values[low]);
    }
    return fan;
}
