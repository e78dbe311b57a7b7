/* SPDX-License-Identifier: Apache-2.0 */
/* equilibrium.h - what firms charge when each does its best against the others.
 *
 * Bertrand firms take the others' prices as given, Cournot firms their quantities; a public firm
 * under Cournot offers the quantity at which its price is its cost, and the others take that as
 * given, too.  Open weights are at their cost whatever firms do.
 *
 * There is one unknown, the nest's inclusive value: given it, every firm's share follows, and it
 * is right when the shares add up to one.  The answer is checked before it is given.
 *
 * Layer: market.  Thread-safety: no shared state.
 */
#ifndef ENX_MARKET_EQUILIBRIUM_H
#define ENX_MARKET_EQUILIBRIUM_H

#include "market/market.h"

typedef struct enx_equilibrium {
    uint32_t product_count, firm_count; /* firms: owners with a product */
    double  *margin, *price;            /* [product_count], USD a unit */
    double  *share;                     /* [product_count], of the market */
    double  *gross_usd;                 /* [product_count], margin times units a year */
    double  *training_usd;              /* [product_count], 0 unless endogenous */
    double  *firm_share;                /* [product_count], by owner: of all that is sold */
    double  *firm_net_usd; /* [product_count], by owner: gross - training - fixed + subsidy */
    double   outside_share, open_share; /* with shares, these add up to 1 */
    double   consumer_surplus_usd;      /* a year; without an outside option from an own zero */
    double   welfare_usd; /* surplus and net profits; subsidies are paid by somebody and cancel */
    double   hhi;         /* 10,000 times the sum of squared firm shares; open weights count 0 */
    double   residual;    /* |sum of shares in the nest - 1| */
    uint32_t steps;       /* of the root search */
} enx_equilibrium;

#define ENX_EQUILIBRIUM_RESIDUAL_MAX 1e-10

/* Solve; release by enx_equilibrium_close.  O(product_count) a step, about ten steps.
 * ENX_INVALID: the market is not one (enx_market_check), or has no finite price: a lone firm
 * without alternative, Cournot without one, Cournot with open weights inside, endogenous training
 * of a firm with several products. ENX_UNSUPPORTED: no equilibrium in which all these firms sell
 * was found: training that the market cannot pay for, or numbers too far apart for the residual's
 * bound.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_equilibrium_open(enx_equilibrium **out, const enx_market *market,
                                             enx_report *report);
void                    enx_equilibrium_close(enx_equilibrium **equilibrium);

#endif /* ENX_MARKET_EQUILIBRIUM_H */
