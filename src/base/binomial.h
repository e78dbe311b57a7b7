/* SPDX-License-Identifier: Apache-2.0 */
/* binomial.h - what a count of hits says about their chance: Clopper and Pearson's bounds.
 *
 * Layer: base.  Thread-safety: no shared state.
 * Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of
 * the binomial", Biometrika 1934.
 */
#ifndef ENX_BASE_BINOMIAL_H
#define ENX_BASE_BINOMIAL_H

#include <stdint.h>

/* The least chance under which `hits` or more of `count` are seen with probability `tail`; 0
 * without hits.  O(count). */
double enx_binomial_low(uint32_t hits, uint32_t count, double tail);
/* The greatest chance under which `hits` or fewer are; 1 when all are hits. */
double enx_binomial_high(uint32_t hits, uint32_t count, double tail);

#endif /* ENX_BASE_BINOMIAL_H */
