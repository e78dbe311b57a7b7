/* SPDX-License-Identifier: Apache-2.0 */
/* chain.h - who keeps the margin when layers buy from one another.
 *
 * Layers from upstream (hardware) to downstream (applications); in each, n firms compete in
 * quantities for what the layer below wants, and sell at one price.  n may be a fraction: an
 * effective number.
 *
 * Layer: market.  Thread-safety: no shared state.
 */
#ifndef ENX_MARKET_CHAIN_H
#define ENX_MARKET_CHAIN_H

#include "base/status.h"

#include <stdint.h>

enum { ENX_CHAIN_LAYERS_MAX = 8 };

/* The shape of final demand.  With layers alike it decides who earns most, and no data tells it. */
typedef enum enx_curvature {
    ENX_CURVATURE_LINEAR,      /* margin falls down the chain */
    ENX_CURVATURE_EXPONENTIAL, /* the logit's tail: alike */
    ENX_CURVATURE_CES,         /* constant elasticity: margin grows down the chain */
} enx_curvature;

/* Each layer's part of the whole margin, adding up to 1.  `firms`: [count], each in [1, 1e6].
 * ENX_INVALID: a count out of range; CES with an elasticity that is not above 1 / firms. */
ENX_MUST_USE enx_status enx_chain_split(double *share, const double *firms, uint32_t count,
                                        enx_curvature curvature, double elasticity,
                                        enx_report *report);

#endif /* ENX_MARKET_CHAIN_H */
