/* SPDX-License-Identifier: Apache-2.0 */
/* entry.c - best first, by bisection: profits fall with every firm that comes. */
#include "market/entry.h"

#include "base/check.h"

/* A loss below this part of the gross profit is rounding, and counts as breaking even. */
static const double tie = 1e-9;

/* Public ones first, then by quality - alpha * cost; of equals the one listed first. */
static bool is_before(const enx_market *m, const enx_product *a, const enx_product *b)
{
    if (a->is_public != b->is_public) return a->is_public;
    return (a->quality - b->quality) - m->alpha * (a->unit_cost - b->unit_cost) > 0;
}

/* Insertion keeps equals in their order; the list is short and mostly sorted. */
static void line_up(const enx_market *m, enx_product *products)
{
    for (uint32_t i = 0; i < m->product_count; i++) {
        const enx_product p = m->products[i];
        uint32_t          at = i;
        for (; at > 0 && is_before(m, &p, &products[at - 1]); at--) products[at] = products[at - 1];
        products[at] = p;
    }
}

static bool is_viable(const enx_equilibrium *e, const enx_product *products)
{
    for (uint32_t i = 0; i < e->product_count; i++)
        if (!products[i].is_public && e->firm_net_usd[i] < -tie * e->gross_usd[i]) return false;
    return true;
}

/* *out stays NULL when `count` firms cannot all be in the market. */
static enx_status try_count(enx_equilibrium **out, enx_market *m, uint32_t count,
                            enx_report *report)
{
    m->product_count = count;
    const enx_status status = enx_equilibrium_open(out, m, report);
    if (status == ENX_UNSUPPORTED) return ENX_OK;
    ENX_TRY(status);
    if (!is_viable(*out, m->products)) enx_equilibrium_close(out);
    return ENX_OK;
}

static enx_status check_owners(const enx_market *m, enx_report *report)
{
    for (uint32_t i = 0; i < m->product_count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (m->products[i].owner == m->products[j].owner)
                return ENX_FAIL(report, INVALID,
                                "entry: firm %u has several products; give each "
                                "its own owner",
                                m->products[i].owner);
    return ENX_OK;
}

enx_status enx_entry_solve(enx_equilibrium **out, enx_market *market, enx_product *products,
                           uint32_t firms_max, enx_report *report)
{
    ENX_CHECK(out && market && products);
    ENX_TRY(enx_market_check(market, report));
    ENX_TRY(check_owners(market, report));
    if (firms_max < market->product_count || firms_max > ENX_MARKET_PRODUCTS_MAX)
        return ENX_FAIL(report, INVALID,
                        "entry.firms_max: %u is not from the number of firms, %u, "
                        "to %d",
                        firms_max, market->product_count, ENX_MARKET_PRODUCTS_MAX);
    line_up(market, products);
    uint32_t public_count = 0;
    for (uint32_t i = 0; i < firms_max; i++) {
        if (i >= market->product_count) {
            products[i] = products[market->product_count - 1];
            products[i].name = NULL;
        }
        products[i].owner = i;
        public_count += products[i].is_public;
    }
    if (products[firms_max - 1].is_public)
        return ENX_FAIL(report, INVALID, "entry: there is no private firm to enter");
    market->products = products;
    const bool is_covered = !market->has_outside && !market->has_open;
    uint32_t   low = public_count ? public_count : is_covered ? 2 : 1, high = firms_max;
    if (low > high)
        return ENX_FAIL(report, INVALID,
                        "entry.firms_max: without an outside option there are at "
                        "least 2 firms");
    enx_equilibrium *best = NULL;
    ENX_TRY(try_count(&best, market, low, report));
    while (best && low < high) {
        const uint32_t   middle = low + (high - low + 1) / 2;
        enx_equilibrium *e = NULL;
        const enx_status status = try_count(&e, market, middle, report);
        if (status != ENX_OK) {
            enx_equilibrium_close(&best);
            return status;
        }
        if (!e) {
            high = middle - 1;
            continue;
        }
        enx_equilibrium_close(&best);
        best = e;
        low = middle;
    }
    market->product_count = low;
    if (!best)
        return ENX_FAIL(report, UNSUPPORTED,
                        "entry: not even %u firms break even; try a smaller "
                        "fixed_cost_usd or gamma, or a larger size",
                        low);
    *out = best;
    return ENX_OK;
}
