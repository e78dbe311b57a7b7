/* SPDX-License-Identifier: Apache-2.0 */
/* calibrate.h - a market out of what is seen of it: prices, shares, and some margins.
 *
 * Shares are turned into qualities (Berry's inversion), first-order conditions into unit costs.
 * The equilibrium of the market made is the one that was seen.
 *
 * Layer: market.  Thread-safety: no shared state.
 * Source: Berry, "Estimating discrete-choice models of product differentiation", RAND Journal of
 * Economics 25, 1994.
 */
#ifndef ENX_MARKET_CALIBRATE_H
#define ENX_MARKET_CALIBRATE_H

#include "market/market.h"

/* Of one product. */
typedef struct enx_sighting {
    double price;  /* USD a unit */
    double share;  /* of the market; all of them and what is not bought add up to 1 */
    double margin; /* part of the price that is not cost; NAN: not seen */
} enx_sighting;

/* `market` has everything but qualities, costs and perhaps alpha; `products`, its own list, has
 * owners and who is public.  Sets quality and unit_cost of each, and alpha when it is 0: the one
 * that fits the margins seen best, in squares.  With endogenous training the quality is that at
 * training_ref_usd.  Open weights count as what is not bought.
 * ENX_INVALID: names the key; a share or price out of range, shares that do not add up, alpha 0
 * and no margin seen, a cost below 0 (the margin that conduct and alpha imply is above the price).
 */
ENX_MUST_USE enx_status enx_calibrate_market(enx_market *market, enx_product *products,
                                             const enx_sighting *seen, enx_report *report);

#endif /* ENX_MARKET_CALIBRATE_H */
