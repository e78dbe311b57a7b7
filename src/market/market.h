/* SPDX-License-Identifier: Apache-2.0 */
/* market.h - a market for models as numbers: who sells what, and what buyers would do.
 *
 * Demand is a nested logit: all products share one nest, and buying nothing is outside of it.
 * Utility is quality - alpha * price; what of it depends on the buyer's taste shrinks, among the
 * products, to 1 - rho.  One unit is what the scenario's prices are for, as a million tokens.
 *
 * Layer: market.  Thread-safety: no shared state.
 * Source: Nocke and Schutz, "Multiproduct-firm oligopoly: an aggregative games approach",
 * Econometrica 86, 2018; Berry, RAND Journal of Economics 25, 1994.
 */
#ifndef ENX_MARKET_MARKET_H
#define ENX_MARKET_MARKET_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { ENX_MARKET_PRODUCTS_MAX = 4096 };

/* Bounds of what enx_market_check lets pass. */
#define ENX_MARKET_UTILITY_MAX 1e6
#define ENX_MARKET_USD_MAX     1e15
#define ENX_MARKET_ALPHA_MAX   1e9
#define ENX_MARKET_SIZE_MAX    1e18
#define ENX_MARKET_RHO_MAX     0.999999
#define ENX_MARKET_GAMMA_MAX   100.0

typedef enum enx_conduct {
    ENX_CONDUCT_BERTRAND, /* firms name prices */
    ENX_CONDUCT_COURNOT,  /* firms commit to quantities; prices clear the market */
} enx_conduct;

typedef struct enx_product {
    const char *name;        /* borrowed; may be NULL */
    double      quality;     /* utility; with endogenous training, that at `training_ref_usd` */
    double      unit_cost;   /* USD a unit */
    double      subsidy_usd; /* a year, to its firm */
    uint32_t    owner;       /* the firm: any number below the product count */
    bool        is_public;   /* sold at cost; a firm is public with all its products or with none */
} enx_product;

typedef struct enx_market {
    const enx_product *products; /* [product_count], borrowed */
    uint32_t           product_count;
    enx_conduct        conduct;
    double             alpha; /* utility a dollar */
    double             rho;   /* 0: every product has its own buyers; near 1: a commodity */
    double             size;  /* units a year if everybody bought */
    bool               has_outside;
    double             outside; /* utility of buying nothing */
    /* open weights: sold by anybody at cost */
    bool               has_open, is_open_inside; /* inside the nest, or an alternative to it */
    double             open_quality, open_cost;
    /* training */
    double             gamma; /* utility an e-fold of training spend */
    bool               is_spend_endogenous;
    double             training_ref_usd; /* spend at which a product has its listed quality */
    double             fixed_cost_usd;   /* a year, of each private firm, besides training */
} enx_market;

/* ENX_INVALID: names the key, what was found, its unit and its range. */
ENX_MUST_USE enx_status enx_market_check(const enx_market *market, enx_report *report);

/* The largest number of firms that break even however large the market, gamma / (gamma - (1 -
 * rho)), when prices and training are chosen together; INFINITY when gamma <= 1 - rho: no bound.
 * A Bertrand result: quantities set no such bound.  Source: Sutton, "Sunk costs and market
 * structure", 1991, carried over to the logit. */
double enx_market_firms_max(double gamma, double rho);

/* The gamma at which n >= 2 firms just break even when rivals see the training before they name
 * prices; rho = 0, nobody stays out. */
double enx_market_two_stage_gamma(uint32_t firm_count);

#endif /* ENX_MARKET_MARKET_H */
