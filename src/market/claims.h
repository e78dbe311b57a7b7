/* SPDX-License-Identifier: Apache-2.0 */
/* claims.h - seven sentences about the business of models, judged on a solved market.
 *
 * Each hangs on one parameter.  Besides the verdict there is the value of that parameter at which
 * it flips: the assumption that somebody who disagrees has to doubt.
 *
 * Layer: market.  Thread-safety: no shared state.
 */
#ifndef ENX_MARKET_CLAIMS_H
#define ENX_MARKET_CLAIMS_H

#include "market/chain.h"
#include "market/market.h"

typedef enum enx_claim_id {
    ENX_CLAIM_LAW,       /* parameter: exponent; measured: |elasticity| of net profit to it */
    ENX_CLAIM_LAYERS,    /* firms in the layer with the second share; the largest share */
    ENX_CLAIM_FEW,       /* gamma; the number of firms after free entry */
    ENX_CLAIM_SOLAR,     /* rho; gross profit by revenue, qualities as they are today */
    ENX_CLAIM_INFERENCE, /* part of training that counts; serving by serving and training */
    ENX_CLAIM_ODDS,      /* years the odds are for; change of net present value between them */
    ENX_CLAIM_STATE,     /* public cost by private cost; welfare gained by welfare */
    ENX_CLAIMS_COUNT
} enx_claim_id;

typedef struct enx_claims_input {
    const enx_market *market; /* training is endogenous */
    const double     *layer_firms;
    uint32_t          layer_count; /* below 2: the second claim is not judged */
    enx_curvature     curvature;
    double            elasticity;              /* of CES layers */
    uint32_t          firms_max;               /* of free entry */
    double            exponent;                /* of the scaling law; gamma is proportional to it */
    double            training_counted;        /* 1: all of it; the final runs alone are less */
    double odds_low, odds_high, horizon_years; /* chance that the law holds for that long */
    double value_years, discount; /* of the net present value: whole years, factor a year */
    double public_cost_factor;    /* 1: as cheap as private firms */
} enx_claims_input;

typedef struct enx_claim {
    const char *name, *statement;
    const char *parameter, *unit; /* static text, as everything here */
    const char *measure;
    bool        is_judged, holds;
    double      value, measured;
    double      bound_low, bound_high;  /* it holds while `measured` is in [low, high] */
    double      range_low, range_high;  /* of the parameter, where flips were looked for */
    double      flip_below, flip_above; /* nearest to `value` on either side; NAN: none found */
} enx_claim;

/* The defaults of everything but market and layers. */
enx_claims_input enx_claims_defaults(void);

/* About 100 solved markets a claim.  ENX_INVALID: an input out of range, training that is not
 * endogenous; ENX_UNSUPPORTED: the market as given has no equilibrium; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_claims_judge(enx_claim               claims[ENX_CLAIMS_COUNT],
                                         const enx_claims_input *input, enx_report *report);

/* All seven with other inputs, as uncertain as the logarithm of each is `sd`: alpha, gamma, brands
 * (1 - rho, at most 1), size, the firms of each layer (at least 1), the part of training that
 * counts, the horizon and what public firms cost.  Firms whose
 * training the drawn market cannot pay for, from the end of the list, are not in it.  One draw is a
 * function of (input, sd, seed,
 * draw). `measured`: NAN where a claim is not judged or leaves no equilibrium; it does not hold
 * then. ENX_INVALID, ENX_NOMEM as enx_claims_judge. */
ENX_MUST_USE enx_status enx_claims_draw(bool                    holds[ENX_CLAIMS_COUNT],
                                        double                  measured[ENX_CLAIMS_COUNT],
                                        const enx_claims_input *input, double sd, uint64_t seed,
                                        uint64_t draw, enx_report *report);

/* One claim with another value of its parameter, solved anew.  ENX_UNSUPPORTED also where this
 * value leaves no equilibrium. */
ENX_MUST_USE enx_status enx_claims_verdict(bool *holds, double *measured,
                                           const enx_claims_input *input, enx_claim_id id,
                                           double value, enx_report *report);

#endif /* ENX_MARKET_CLAIMS_H */
