/* SPDX-License-Identifier: Apache-2.0 */
/* entry.h - how many firms there are when anybody may come who does not lose by it.
 *
 * Layer: market.  Thread-safety: no shared state.
 */
#ifndef ENX_MARKET_ENTRY_H
#define ENX_MARKET_ENTRY_H

#include "market/equilibrium.h"

/* `market`'s firms come in the order of quality - alpha * cost, best first, each of them if all
 * that are then in the market keep from losing; a firm that just breaks even comes.  (With unlike
 * firms other orders can end elsewhere: this is the one where the better ones were first.)  After
 * the products listed come copies of the last private one, up to `firms_max` products in all.
 * Public firms are always in.  `products` [firms_max] becomes the market's new list, and the
 * equilibrium is of it.
 * ENX_INVALID, ENX_NOMEM as enx_equilibrium_open; also firms with several products.
 * ENX_UNSUPPORTED: not even the smallest market breaks even. */
ENX_MUST_USE enx_status enx_entry_solve(enx_equilibrium **out, enx_market *market,
                                        enx_product *products, uint32_t firms_max,
                                        enx_report *report);

#endif /* ENX_MARKET_ENTRY_H */
