/* SPDX-License-Identifier: Apache-2.0 */
/* calibrate.c - the equations of equilibrium.c, read from right to left.
 *
 * With shares s_j, s_0, and x_j = s_j / s_g in the nest:
 *
 *     alpha margin_f = (1 - rho) / (1 - k x_f), k = rho + (1 - rho) s_g       Bertrand
 *     alpha margin_f = 1 - rho + x_f (rho + s_g / s_0)                        Cournot
 *     quality_j = outside + ln s_j - ln s_0 - rho ln x_j + alpha p_j
 *
 * and where everybody buys, qualities are relative to an inclusive value of 0.  One margin gives
 * alpha; of several, squares of (margin by price - load_f / (alpha price)) are least at
 * 1 / alpha = sum of a m / sum of a a, a = load_f / price.
 */
#include "market/calibrate.h"

#include "base/check.h"

#include <math.h>

static const double share_slack = 1e-6;

typedef struct nest {
    double inside, outside; /* s_g, s_0 */
} nest;

static enx_status name_product(enx_report *report, const enx_product *p, uint32_t i)
{
    enx_report_wrap(report, "firm %u%s%s", i + 1, p->name ? " " : "", p->name ? p->name : "");
    return ENX_INVALID;
}

static enx_status check_sighting(const enx_sighting *s, enx_report *report)
{
    if (!(s->price > 0 && s->price <= ENX_MARKET_USD_MAX))
        return ENX_FAIL(report, INVALID, "price: %g is not above 0 and at most %g USD a unit",
                        s->price, ENX_MARKET_USD_MAX);
    if (!(s->share > 0 && s->share <= 1))
        return ENX_FAIL(report, INVALID, "share: %g is not above 0 and at most 1, of the market",
                        s->share);
    if (isnan(s->margin) || (s->margin > 0 && s->margin <= 1)) return ENX_OK;
    return ENX_FAIL(report, INVALID, "margin: %g is not above 0 and at most 1, of the price",
                    s->margin);
}

static enx_status sum_shares(nest *n, const enx_market *m, const enx_sighting *seen,
                             enx_report *report)
{
    const bool has_rest = m->has_outside || (m->has_open && !m->is_open_inside);
    if (m->has_open && m->is_open_inside)
        return ENX_FAIL(report, INVALID,
                        "open.place: shares of firms do not tell that of open weights inside; "
                        "take beside");
    n->inside = 0;
    for (uint32_t i = 0; i < m->product_count; i++) {
        if (check_sighting(&seen[i], report) != ENX_OK)
            return name_product(report, &m->products[i], i);
        n->inside += seen[i].share;
    }
    n->outside = has_rest ? 1 - n->inside : 0;
    if (has_rest && !(n->outside > 0))
        return ENX_FAIL(report, INVALID,
                        "share: those of firms add up to %.9g; with an outside option they leave "
                        "something of 1 to it",
                        n->inside);
    if (!has_rest && fabs(n->inside - 1) > share_slack)
        return ENX_FAIL(report, INVALID,
                        "share: those of firms add up to %.9g; without an outside option it is 1",
                        n->inside);
    if (m->conduct == ENX_CONDUCT_COURNOT && !has_rest)
        return ENX_FAIL(report, INVALID, "outside: Cournot needs the utility of not buying");
    return ENX_OK;
}

/* alpha times the margin of a firm; 0 for who sells at cost. */
static double load_of(const enx_market *m, const enx_sighting *seen, const nest *n, uint32_t i)
{
    double x = 0;
    if (m->products[i].is_public) return 0;
    for (uint32_t j = 0; j < m->product_count; j++)
        if (m->products[j].owner == m->products[i].owner) x += seen[j].share / n->inside;
    if (m->conduct == ENX_CONDUCT_COURNOT)
        return 1 - m->rho + x * (m->rho + n->inside / n->outside);
    /* 1 - k x, without the loss of digits where a firm has nearly all */
    const double k_rest = n->outside > 0 ? (1 - m->rho) * n->outside : 0;
    return (1 - m->rho) / ((1 - x) + x * k_rest);
}

static enx_status fit_alpha(enx_market *m, const enx_sighting *seen, const nest *n,
                            enx_report *report)
{
    double am = 0, aa = 0;
    for (uint32_t i = 0; i < m->product_count; i++) {
        if (isnan(seen[i].margin) || m->products[i].is_public) continue;
        const double a = load_of(m, seen, n, i) / seen[i].price;
        am += a * seen[i].margin;
        aa += a * a;
    }
    if (!(am > 0))
        return ENX_FAIL(report, INVALID,
                        "alpha: is missing (utility a USD, above 0 to %g), and no private firm "
                        "has a margin that it would follow from",
                        ENX_MARKET_ALPHA_MAX);
    m->alpha = aa / am;
    return ENX_OK;
}

/* Utility of what is not bought, open weights beside among it. */
static double rest_utility(const enx_market *m)
{
    const double open = m->has_open ? m->open_quality - m->alpha * m->open_cost : -INFINITY;
    if (!m->has_outside) return open;
    if (!m->has_open) return m->outside;
    return fmax(open, m->outside) + log1p(exp(-fabs(open - m->outside)));
}

static enx_status invert(enx_market *m, enx_product *products, const enx_sighting *seen,
                         const nest *n, enx_report *report)
{
    const bool   has_rest = n->outside > 0;
    const double base = has_rest ? rest_utility(m) - log(n->outside) : 0;
    for (uint32_t i = 0; i < m->product_count; i++) {
        enx_product *p = &products[i];
        const double margin = load_of(m, seen, n, i) / m->alpha;
        const double x = seen[i].share / n->inside;
        p->unit_cost = seen[i].price - margin;
        p->quality =
            m->alpha * seen[i].price +
            (has_rest ? base + log(seen[i].share) - m->rho * log(x) : (1 - m->rho) * log(x));
        if (m->is_spend_endogenous && !p->is_public)
            p->quality -=
                m->gamma * log(m->gamma * m->size * seen[i].share / m->alpha / m->training_ref_usd);
        if (p->unit_cost >= 0) continue;
        (void)ENX_FAIL(report, INVALID,
                       "price: at %g USD with a share of %g the margin would be %g USD, more than "
                       "the price; take a larger alpha or margins seen, or rho nearer to 1",
                       seen[i].price, seen[i].share, margin);
        return name_product(report, p, i);
    }
    return ENX_OK;
}

enx_status enx_calibrate_market(enx_market *market, enx_product *products, const enx_sighting *seen,
                                enx_report *report)
{
    ENX_CHECK(market && products && seen && market->products == products);
    enx_market m = *market;
    nest       n;
    if (m.alpha == 0) m.alpha = 1; /* whatever it will be, the rest is checked first */
    ENX_TRY(enx_market_check(&m, report));
    m.alpha = market->alpha;
    ENX_TRY(sum_shares(&n, &m, seen, report));
    if (m.alpha == 0) ENX_TRY(fit_alpha(&m, seen, &n, report));
    ENX_TRY(invert(&m, products, seen, &n, report));
    market->alpha = m.alpha;
    return enx_market_check(market, report);
}
