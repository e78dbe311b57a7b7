/* SPDX-License-Identifier: Apache-2.0 */
/* equilibrium.c - the root of one falling function.
 *
 * With D the nest's inclusive value, a firm of type t (the log of the sum of its products'
 * exp(v / (1 - rho)), v = quality - alpha * cost) has the share x in the nest with
 *
 *     ln x + (1 + w) = t - D,       alpha * margin = (1 - rho) (1 + w),
 *     Bertrand: w = k x / (1 - k x), k = rho + (1 - rho) s_g
 *     Cournot:  w = k x,             k = (rho + s_g / s_0) / (1 - rho)
 *
 * where s_g is the share of the nest.  The Cournot line follows from the inverse demand
 * alpha p_j = quality_j - outside + rho ln x_j - ln s_j + ln s_0.  Endogenous training is gamma
 * size s_j / alpha under both, which adds gamma / (1 - rho) (ln x + ln s_g + constant) on the
 * right.  In the unknown w all of it is one equation,
 *
 *     f(w) = b (ln w - sigma ln(1 + w)) + 1 + w - c = 0,  b = 1 - gamma / (1 - rho),
 *
 * with sigma = 1 for Bertrand and 0 for Cournot.  The unknown is w, not x: as x nears 1 all digits
 * of the margin are in 1 - x.
 *
 * 1. b > 0: f rises and is concave; Newton from below never passes the root.
 * 2. b < 0: f falls, then rises and is convex.  Only roots on the rising part are best replies;
 *    Newton from above never passes them.  Where there is none the firm cannot be in the market.
 * 3. Without training every x falls in D, so the sum of the x has one root.  With it the same holds
 *    where gamma s_0 < 1, and only there is it looked for: below, a larger market would shrink.
 * 4. v is formed as a difference to the best product, so that large alpha * cost cancels first.
 */
#include "market/equilibrium.h"

#include "base/check.h"
#include "base/mem.h"

#include <float.h>
#include <math.h>

enum { ROOT_STEPS_MAX = 300, INNER_STEPS_MAX = 100 };

/* Below this ln w, 1 + w is 1 to the last bit. */
static const double log_tiny = -40;

/* Steps below this part of w that no longer shrink are rounding. */
static const double noise_below = 1e-9;

/* A step of this size leaves an error beyond a double's digits: Halley's third power, of w; and
 * Newton's square, of D. */
static const double cubic_below = 1e-5, square_below = 1e-9;

/* A smaller w of a D nearby is no help, and its square may underflow. */
static const double guess_min = 1e-30;

/* Beyond, exp(log_k) may not be a number of full precision. */
static const double log_k_bound = 600;

typedef struct game {
    const enx_market *market;
    double            gap;      /* 1 - rho */
    double            sigma;    /* 1 Bertrand, 0 Cournot */
    double            outside;  /* utility of the alternative, relative to the best product */
    double            open;     /* open weights as a type inside the nest; -INFINITY: none */
    double            spend;    /* gamma / gap, 0 without endogenous training */
    double            constant; /* of the training term */
    double            b;        /* 1 - spend */
    double            tiny;     /* b > 0: c below which ln w is below log_tiny */
    double   lowest, least; /* b < 0: the w where f is lowest, and the c from which it has a root */
    uint32_t best;          /* the product of largest v */
    double  *type;          /* [product_count] of firms; -INFINITY: no such firm */
    double  *nest;          /* [product_count] share x of each firm */
    double  *load;          /* [product_count] w of each firm; 0: public */
    bool    *is_public;
} game;

/* What a D says of the market as a whole. */
typedef struct state {
    double log_inside, share_outside; /* ln s_g, s_0 */
    double log_k, log_k_slope;        /* and its derivative in D */
    double k;                         /* 0: not within a double's range */
    double base, slope;               /* t-independent right side, and its derivative in D */
} state;

typedef struct point {
    double sum, log_sum_slope;
} point;

static double log1p_exp(double z) { return z > 0 ? z + log1p(exp(-z)) : log1p(exp(z)); }

static state state_at(const game *g, double inclusive)
{
    const double rho = g->market->rho, y = g->gap * inclusive - g->outside;
    state        s = { .log_inside = -log1p_exp(-y), .share_outside = exp(-log1p_exp(y)) };
    const double inside = exp(s.log_inside);
    if (g->sigma > 0) {
        const double k = rho + g->gap * inside;
        if (rho == 0) s.log_k = s.log_inside;
        else if (s.share_outside < 0.5) s.log_k = log1p(-g->gap * s.share_outside);
        else s.log_k = log(k);
        s.log_k_slope = rho == 0 ? s.share_outside : g->gap * g->gap * inside * s.share_outside / k;
    } else {
        const double ratio = rho == 0 ? 0 : rho * exp(-y); /* of rho to s_g / s_0 */
        s.log_k = (ratio < 1 ? y + log1p(ratio) : log(rho + exp(y))) - log(g->gap);
        s.log_k_slope = g->gap / (1 + ratio);
    }
    if (fabs(s.log_k) < log_k_bound) s.k = exp(s.log_k);
    s.base = -inclusive;
    s.slope = -1;
    if (g->spend > 0) {
        s.base += g->spend * (g->constant + s.log_inside);
        s.slope += g->spend * g->gap * s.share_outside;
    }
    return s;
}

static double inner_value(const game *g, double c, double w)
{
    return g->b * log(g->sigma > 0 ? w / (1 + w) : w) + 1 + w - c;
}

/* Case 1: a w with f(w) <= 0. */
static double start_below(const game *g, double c)
{
    double w = fmin(exp((fmin(c, 1) - 1) / g->b - 1), g->b);
    if (g->sigma > 0) w = fmax(w, c - 1);
    else if (c > 2) w = fmax(w, c - 1 - g->b * log(c - 1));
    return w;
}

/* Case 2: a w on the rising part with f(w) >= 0. */
static double start_above(const game *g, double c)
{
    double w = fmax(2 * g->lowest, 1);
    while (inner_value(g, c, w) < 0) w *= 2;
    return w;
}

/* The w of a firm, 0 when it cannot be in the market; `guess`: of a D nearby, 0 for none.  Halley's
 * steps, where they bend Newton's by less than half. */
static double solve_inner(const game *g, double c, double guess)
{
    if (g->b == 0) return fmax(c - 1, 0);
    if (g->b < 0 && c < g->least) return 0;
    double w = guess > fmax(g->lowest, guess_min) ? guess
               : g->b > 0                         ? start_below(g, c)
                                                  : start_above(g, c);
    double last = INFINITY;
    for (int i = 0; i < INNER_STEPS_MAX && w > 0; i++) {
        const double scale = g->sigma > 0 ? 1 / (w * (1 + w)) : 1 / w;
        const double slope = 1 + g->b * scale;
        const double curve = -g->b * scale * scale * (g->sigma > 0 ? 1 + 2 * w : 1);
        double       step = inner_value(g, c, w) / slope;
        const double bend = step * curve / (2 * slope);
        if (bend < 0.5) step /= 1 - bend;
        const double next = w - step;
        if (!isfinite(next)) break;
        w = next > g->lowest ? next : g->lowest + (w - g->lowest) / 8;
        if (fabs(step) <= 2 * DBL_EPSILON * w) break;
        if (fabs(step) <= cubic_below * w && fabs(bend) <= cubic_below) break;
        if (fabs(step) <= noise_below * w && fabs(step) >= 0.9 * last) break;
        last = fabs(step);
    }
    return w;
}

/* x and w of one firm; adds x to the sum and its derivative to the slope. */
static void add_firm(game *g, uint32_t f, const state *s, double inclusive, point *p)
{
    if (g->is_public[f]) {
        g->load[f] = 0;
        g->nest[f] = exp(g->type[f] - inclusive);
        p->sum += g->nest[f];
        p->log_sum_slope -= g->nest[f];
        return;
    }
    const double b = g->b, right = g->type[f] + s->base, c = right + b * s->log_k;
    double       log_slope;
    if (b > 0 && c < g->tiny) {
        g->load[f] = exp((c - 1) / b);
        g->nest[f] = exp((right - 1) / b);
        log_slope = s->slope / b;
    } else {
        const double w = solve_inner(g, c, g->load[f]), part = g->sigma > 0 ? w / (1 + w) : w;
        g->load[f] = w;
        g->nest[f] = s->k > 0 ? part / s->k : w > 0 ? exp(log(part) - s->log_k) : 0;
        if (!(w > 0)) return;
        const double a = 1 / (g->sigma > 0 ? w * (1 + w) : w);
        log_slope = a / (b * a + 1) * (s->slope + b * s->log_k_slope) - s->log_k_slope;
    }
    p->sum += g->nest[f];
    p->log_sum_slope += g->nest[f] * log_slope;
}

static point sum_at(game *g, double inclusive)
{
    const state s = state_at(g, inclusive);
    point       p = { 0 };
    for (uint32_t f = 0; f < g->market->product_count; f++)
        if (g->type[f] > -INFINITY) add_firm(g, f, &s, inclusive, &p);
    const double open = exp(g->open - inclusive);
    p.sum += open;
    p.log_sum_slope = (p.log_sum_slope - open) / p.sum;
    return p;
}

/* ---- The outer root ------------------------------------------------------------------------- */

/* Exact for like firms that sell to everybody: each has x = 1 / n and w = 1 / (n - 1). */
static double guess_root(const game *g, uint32_t firm_count)
{
    const double n = firm_count;
    double       sum = exp(g->open);
    for (uint32_t f = 0; f < g->market->product_count; f++) sum += exp(g->type[f]);
    return log(sum) - 1 - 1 / fmax(n - 1, 1) +
           (g->spend > 0 ? g->spend * (g->constant - log(n)) : 0);
}

/* Newton on ln(sum); bisection whenever a step would leave the bracket or not halve the last one,
 * and growing steps while there is no bracket.  A bracket alone is not enough: a step that stays
 * inside it can still creep. */
static bool find_root(game *g, enx_equilibrium *e, double *inclusive)
{
    const double gamma = g->market->gamma;
    const double floor =
        g->spend > 0 && gamma > 1 ? (g->outside + log(gamma - 1)) / g->gap : -INFINITY;
    double low = -INFINITY, high = INFINITY, last = INFINITY, width = 1;
    double at = fmax(guess_root(g, e->firm_count), floor);
    bool   is_last = false;
    for (e->steps = 1;; e->steps++) {
        const point p = sum_at(g, at);
        e->residual = fabs(p.sum - 1);
        if (is_last || e->steps == ROOT_STEPS_MAX) break;
        const double value = log(p.sum);
        if (value < 0 && at <= floor) return false;
        if (value >= 0) low = at;
        if (value <= 0) high = at;
        double     step = -value / p.log_sum_slope;
        const bool is_newton =
            isfinite(step) && at + step >= low && at + step <= high && 2 * fabs(step) <= last;
        if (!is_newton) {
            const bool is_bracket = isfinite(low) && isfinite(high);
            step = is_bracket ? low + (high - low) / 2 - at : value > 0 ? width : -width;
            width *= 2;
        }
        step = fmax(step, floor - at);
        at += step;
        last = fabs(step);
        is_last = last <= fmax(is_newton ? square_below : 0, DBL_EPSILON * fabs(at));
    }
    *inclusive = at;
    return e->residual <= ENX_EQUILIBRIUM_RESIDUAL_MAX;
}

/* ---- In and out ----------------------------------------------------------------------------- */

/* (quality - alpha * cost) against the best product's. */
static double relative(const game *g, double quality, double cost)
{
    const enx_product *best = &g->market->products[g->best];
    return (quality - best->quality) - g->market->alpha * (cost - best->unit_cost);
}

static double product_type(const game *g, uint32_t i)
{
    const enx_product *p = &g->market->products[i];
    return relative(g, p->quality, p->unit_cost) / g->gap;
}

static void sum_types(game *g)
{
    const enx_market *m = g->market;
    for (uint32_t i = 0; i < m->product_count; i++) {
        const uint32_t f = m->products[i].owner;
        const double   t = product_type(g, i), old = g->type[f];
        g->type[f] = old > -INFINITY ? fmax(old, t) + log1p(exp(-fabs(old - t))) : t;
        g->is_public[f] = m->products[i].is_public;
    }
}

/* What has no finite price, and firms that are half public. */
static enx_status check_structure(const game *g, uint32_t firm_count, enx_report *report)
{
    const enx_market *m = g->market;
    const bool is_alone = firm_count == 1 && !m->has_open && !g->is_public[m->products[0].owner];
    if (!m->has_outside && is_alone)
        return ENX_FAIL(report, INVALID,
                        "outside: a lone firm without an outside option has no "
                        "finite price; give the utility of not buying");
    if (g->sigma == 0 && isinf(g->outside))
        return ENX_FAIL(report, INVALID,
                        "outside: Cournot without an outside option leaves prices "
                        "open; give the utility of not buying");
    if (g->sigma == 0 && m->has_open && m->is_open_inside)
        return ENX_FAIL(report, INVALID,
                        "open.place: who sells at cost to anybody holds no "
                        "quantity, so Cournot takes open weights beside only");
    for (uint32_t i = 0; i < m->product_count; i++)
        if (m->products[i].is_public != g->is_public[m->products[i].owner])
            return ENX_FAIL(report, INVALID,
                            "public: firm %u sells some products at cost and some "
                            "not; give them two owners",
                            m->products[i].owner);
    if (m->is_spend_endogenous && firm_count < m->product_count)
        return ENX_FAIL(report, INVALID,
                        "owner: with endogenous training each firm has one "
                        "product");
    return ENX_OK;
}

static void set_alternatives(game *g)
{
    const enx_market *m = g->market;
    g->outside = m->has_outside ? relative(g, m->outside, 0) : -INFINITY;
    g->open = -INFINITY;
    if (!m->has_open) return;
    const double open = relative(g, m->open_quality, m->open_cost);
    if (m->is_open_inside) g->open = open / g->gap;
    else if (!m->has_outside) g->outside = open;
    else g->outside = fmax(g->outside, open) + log1p(exp(-fabs(g->outside - open)));
}

static void set_game(game *g)
{
    const enx_market *m = g->market;
    g->gap = 1 - m->rho;
    g->sigma = m->conduct == ENX_CONDUCT_BERTRAND ? 1 : 0;
    for (uint32_t i = 0; i < m->product_count; i++) {
        if (relative(g, m->products[i].quality, m->products[i].unit_cost) > 0) g->best = i;
        g->type[i] = -INFINITY;
    }
    sum_types(g);
    set_alternatives(g);
    if (m->is_spend_endogenous) {
        g->spend = m->gamma / g->gap;
        g->constant = log(m->gamma * m->size / m->alpha / m->training_ref_usd);
    }
    g->b = 1 - g->spend;
    if (g->b > 0) g->tiny = 1 + g->b * (log_tiny + log(g->b));
    if (!(g->b < 0)) return;
    g->lowest = g->sigma > 0 ? (sqrt(1 - 4 * g->b) - 1) / 2 : -g->b;
    g->least = g->lowest > 0 ? inner_value(g, 0, g->lowest) : -INFINITY;
}

static void fill_product(const game *g, enx_equilibrium *e, uint32_t i, double inside)
{
    const enx_market  *m = g->market;
    const enx_product *p = &m->products[i];
    const uint32_t     f = p->owner;
    e->margin[i] = p->is_public ? 0 : g->gap * (1 + g->load[f]) / m->alpha;
    e->price[i] = p->unit_cost + e->margin[i];
    e->share[i] = g->nest[f] * exp(product_type(g, i) - g->type[f]) * inside;
    e->gross_usd[i] = m->size * e->share[i] * e->margin[i];
    if (g->spend > 0 && !p->is_public)
        e->training_usd[i] = m->gamma * m->size * e->share[i] / m->alpha;
    e->firm_net_usd[f] += e->gross_usd[i] - e->training_usd[i] + p->subsidy_usd;
}

static void fill(const game *g, enx_equilibrium *e, double inclusive)
{
    const enx_market *m = g->market;
    const state       s = state_at(g, inclusive);
    const double      inside = exp(s.log_inside);
    const double      buyers =
        fmax(g->outside, g->gap * inclusive) + log1p(exp(-fabs(g->outside - g->gap * inclusive)));
    const enx_product *best = &m->products[g->best];
    e->consumer_surplus_usd = m->size * ((buyers + best->quality) / m->alpha - best->unit_cost);
    e->welfare_usd = e->consumer_surplus_usd;
    for (uint32_t i = 0; i < m->product_count; i++) {
        fill_product(g, e, i, inside);
        e->welfare_usd -= m->products[i].subsidy_usd;
    }
    for (uint32_t f = 0; f < m->product_count; f++) {
        if (!(g->type[f] > -INFINITY)) continue;
        e->firm_share[f] = g->nest[f];
        if (!g->is_public[f]) e->firm_net_usd[f] -= m->fixed_cost_usd;
        e->hhi += 1e4 * g->nest[f] * g->nest[f];
        e->welfare_usd += e->firm_net_usd[f];
    }
    e->outside_share = s.share_outside;
    if (m->has_open && m->is_open_inside) e->open_share = inside * exp(g->open - inclusive);
    else if (m->has_open) {
        const double open = relative(g, m->open_quality, m->open_cost);
        e->open_share = s.share_outside * exp(open - g->outside);
        e->outside_share =
            m->has_outside ? s.share_outside * exp(relative(g, m->outside, 0) - g->outside) : 0;
    }
}

static bool take_memory(game *g, enx_equilibrium *e, uint32_t n)
{
    double **const arrays[] = { &e->margin,       &e->price,      &e->share,        &e->gross_usd,
                                &e->training_usd, &e->firm_share, &e->firm_net_usd, &g->type,
                                &g->nest,         &g->load };
    const size_t   count = sizeof arrays / sizeof *arrays;
    double        *block = ENX_MEM_NEW(double, n *count);
    if (!block) return false;
    for (size_t i = 0; i < count; i++) *arrays[i] = block + i * n;
    g->is_public = ENX_MEM_NEW(bool, n);
    return g->is_public != NULL;
}

static enx_status solve(game *g, enx_equilibrium *e, enx_report *report)
{
    double inclusive;
    set_game(g);
    for (uint32_t f = 0; f < e->product_count; f++) e->firm_count += g->type[f] > -INFINITY;
    ENX_TRY(check_structure(g, e->firm_count, report));
    if (!find_root(g, e, &inclusive))
        return ENX_FAIL(report, UNSUPPORTED,
                        "no equilibrium in which all %u firms sell was found%s", e->firm_count,
                        g->spend > 0 ? ": the market does not pay for their training; try fewer "
                                       "firms, a larger size or a smaller gamma"
                                     : "; qualities, costs and alpha are too far apart");
    fill(g, e, inclusive);
    if (!isfinite(e->consumer_surplus_usd) || !isfinite(e->welfare_usd))
        return ENX_FAIL(report, UNSUPPORTED,
                        "the equilibrium's sums are beyond what a number "
                        "holds; take smaller units");
    return ENX_OK;
}

enx_status enx_equilibrium_open(enx_equilibrium **out, const enx_market *market, enx_report *report)
{
    ENX_CHECK(out && market);
    ENX_TRY(enx_market_check(market, report));
    game             g = { .market = market };
    enx_equilibrium *e = ENX_MEM_NEW(enx_equilibrium, 1);
    enx_status       status = ENX_OK;
    if (e) e->product_count = market->product_count;
    if (!e || !take_memory(&g, e, market->product_count))
        status = ENX_FAIL(report, NOMEM, "no memory for %u products", market->product_count);
    if (status == ENX_OK) status = solve(&g, e, report);
    enx_mem_free(g.is_public);
    if (status != ENX_OK) enx_equilibrium_close(&e);
    else *out = e;
    return status;
}

void enx_equilibrium_close(enx_equilibrium **equilibrium)
{
    if (!*equilibrium) return;
    enx_mem_free((*equilibrium)->margin);
    enx_mem_free(*equilibrium);
    *equilibrium = NULL;
}
