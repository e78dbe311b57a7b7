/* SPDX-License-Identifier: Apache-2.0 */
/* learn.h - how far costs fall with each doubling of what was made, out of a history of both.
 *
 * Layer: market.  Thread-safety: no shared state.
 * Source: Wright, "Factors affecting the cost of airplanes", 1936; Lafond et al., "How well do
 * experience curves predict technological progress?", 2017.
 */
#ifndef ENX_MARKET_LEARN_H
#define ENX_MARKET_LEARN_H

#include "base/status.h"

#include <stdint.h>

enum { ENX_LEARN_POINTS_MIN = 3, ENX_LEARN_POINTS_MAX = 10000 };

typedef struct enx_learning {
    double exponent, exponent_se; /* of the straight line of ln cost over ln units */
    double fit;                   /* R squared of it */
    double rate;                  /* 1 - 2^exponent: the part that a doubling takes off */
    double step_exponent;         /* the same of steps from row to row, through the origin */
    double noise_sd;              /* of a step around it, natural logarithm */
} enx_learning;

/* `units`: made so far, rising; `cost`: of one; both [count].  ENX_INVALID names the row, from 1.
 */
ENX_MUST_USE enx_status enx_learn_fit(enx_learning *out, const double *units, const double *cost,
                                      uint32_t count, enx_report *report);

#endif /* ENX_MARKET_LEARN_H */
