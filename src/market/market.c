/* SPDX-License-Identifier: Apache-2.0 */
/* market.c - what a market may look like. */
#include "market/market.h"

#include "base/check.h"

#include <math.h>

/* Written so that a NaN is out of range. */
static bool is_within(double value, double low, double high)
{
    return value >= low && value <= high;
}

static enx_status check_number(const char *key, const char *unit, double value, double low,
                               double high, enx_report *report)
{
    if (is_within(value, low, high)) return ENX_OK;
    return ENX_FAIL(report, INVALID, "%s: %g is not from %g to %g%s%s", key, value, low, high,
                    unit[0] ? " " : "", unit);
}

static enx_status check_products(const enx_market *m, enx_report *report)
{
    if (m->product_count == 0 || m->product_count > ENX_MARKET_PRODUCTS_MAX)
        return ENX_FAIL(report, INVALID, "firms: %u products, a market has from 1 to %d",
                        m->product_count, ENX_MARKET_PRODUCTS_MAX);
    for (uint32_t i = 0; i < m->product_count; i++) {
        const enx_product *p = &m->products[i];
        enx_status         status;
        status = check_number("quality", "(utility)", p->quality, -ENX_MARKET_UTILITY_MAX,
                              ENX_MARKET_UTILITY_MAX, report);
        if (status == ENX_OK)
            status = check_number("unit_cost", "USD a unit", p->unit_cost, 0, ENX_MARKET_USD_MAX,
                                  report);
        if (status == ENX_OK)
            status = check_number("subsidy_usd", "USD a year", p->subsidy_usd, 0,
                                  ENX_MARKET_USD_MAX, report);
        if (status == ENX_OK && p->owner >= m->product_count)
            status = ENX_FAIL(report, INVALID, "owner: %u is not below the number of products, %u",
                              p->owner, m->product_count);
        if (status != ENX_OK) {
            enx_report_wrap(report, "product %u%s%s", i + 1, p->name ? " " : "",
                            p->name ? p->name : "");
            return status;
        }
    }
    return ENX_OK;
}

static enx_status check_open(const enx_market *m, enx_report *report)
{
    if (!m->has_open) return ENX_OK;
    ENX_TRY(check_number("open.quality", "(utility)", m->open_quality, -ENX_MARKET_UTILITY_MAX,
                         ENX_MARKET_UTILITY_MAX, report));
    return check_number("open.unit_cost", "USD a unit", m->open_cost, 0, ENX_MARKET_USD_MAX,
                        report);
}

static enx_status check_training(const enx_market *m, enx_report *report)
{
    ENX_TRY(check_number("gamma", "(utility an e-fold of training spend)", m->gamma, 0,
                         ENX_MARKET_GAMMA_MAX, report));
    ENX_TRY(check_number("fixed_cost_usd", "USD a year", m->fixed_cost_usd, 0, ENX_MARKET_USD_MAX,
                         report));
    if (!m->is_spend_endogenous) return ENX_OK;
    if (!(m->gamma > 0))
        return ENX_FAIL(report, INVALID, "gamma: endogenous training needs one above 0");
    return check_number("reference_usd", "USD a year", m->training_ref_usd, 1e-9,
                        ENX_MARKET_USD_MAX, report);
}

enx_status enx_market_check(const enx_market *m, enx_report *report)
{
    ENX_CHECK(m && (m->products || m->product_count == 0));
    if (!(m->alpha > 0 && m->alpha <= ENX_MARKET_ALPHA_MAX))
        return ENX_FAIL(report, INVALID,
                        "alpha: %g is not above 0 and at most %g, in utility a USD", m->alpha,
                        ENX_MARKET_ALPHA_MAX);
    if (!is_within(m->rho, 0, ENX_MARKET_RHO_MAX))
        return ENX_FAIL(report, INVALID, "rho: %g is not in [0, 1): from 0 to %g", m->rho,
                        ENX_MARKET_RHO_MAX);
    if (!(m->size > 0 && m->size <= ENX_MARKET_SIZE_MAX))
        return ENX_FAIL(report, INVALID, "size: %g is not above 0 and at most %g, in units a year",
                        m->size, ENX_MARKET_SIZE_MAX);
    if (m->has_outside)
        ENX_TRY(check_number("outside", "(utility)", m->outside, -ENX_MARKET_UTILITY_MAX,
                             ENX_MARKET_UTILITY_MAX, report));
    ENX_TRY(check_products(m, report));
    ENX_TRY(check_open(m, report));
    return check_training(m, report);
}

double enx_market_firms_max(double gamma, double rho)
{
    const double spare = gamma - (1 - rho);
    return spare > 0 ? gamma / spare : INFINITY;
}

double enx_market_two_stage_gamma(uint32_t firm_count)
{
    ENX_CHECK(firm_count >= 2);
    const double n = firm_count;
    return (n * n - n + 1) / ((n - 1) * (n - 1));
}
