/* SPDX-License-Identifier: Apache-2.0 */
/* chain.c - successive Cournot, in closed form.
 *
 * Linear: a layer passes on n / (n + 1) of the slope it faces, and keeps 1 / (n + 1) of what the
 * layers above left.  Exponential with scale mu: each adds mu / n.  Elasticity e: each multiplies
 * the price by n e / (n e - 1), a factor that passes through unchanged.
 */
#include "market/chain.h"

#include "base/check.h"

static const double firms_bound = 1e6, elasticity_bound = 1e6;

static enx_status check_chain(const double *firms, uint32_t count, enx_curvature curvature,
                              double elasticity, enx_report *report)
{
    if (count == 0 || count > ENX_CHAIN_LAYERS_MAX)
        return ENX_FAIL(report, INVALID, "layers: there are %u, not from 1 to %d", count,
                        ENX_CHAIN_LAYERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (!(firms[i] >= 1 && firms[i] <= firms_bound))
            return ENX_FAIL(report, INVALID, "layers: firms: %g is not from 1 to %g", firms[i],
                            firms_bound);
        if (curvature == ENX_CURVATURE_CES &&
            !(firms[i] * elasticity > 1 && elasticity <= elasticity_bound))
            return ENX_FAIL(report, INVALID,
                            "layers: elasticity: %g, times %g firms, is not above "
                            "1; demand would bear any price",
                            elasticity, firms[i]);
    }
    return ENX_OK;
}

enx_status enx_chain_split(double *share, const double *firms, uint32_t count,
                           enx_curvature curvature, double elasticity, enx_report *report)
{
    ENX_CHECK(share && firms);
    ENX_TRY(check_chain(firms, count, curvature, elasticity, report));
    double left = 1, price = 1, sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (curvature == ENX_CURVATURE_LINEAR) {
            share[i] = left / (firms[i] + 1);
            left *= firms[i] / (firms[i] + 1);
        } else if (curvature == ENX_CURVATURE_EXPONENTIAL) share[i] = 1 / firms[i];
        else {
            share[i] = price / (firms[i] * elasticity - 1);
            price += share[i];
        }
        sum += share[i];
    }
    for (uint32_t i = 0; i < count; i++) share[i] /= sum;
    return ENX_OK;
}
