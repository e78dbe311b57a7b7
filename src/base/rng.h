/* SPDX-License-Identifier: Apache-2.0 */
/* rng.h - seeded chance; the only source of randomness in the tree.
 *
 * SplitMix64.  A stream can be opened anywhere from (seed, stream): the n-th
 * draw of a stream depends on nothing else, so work can be resumed or cut
 * among threads without changing what it draws.
 *
 * Layer: base.  Thread-safety: one owner thread; not shared.
 * Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
 */
#ifndef ENX_BASE_RNG_H
#define ENX_BASE_RNG_H

#include <stdint.h>

typedef struct enx_rng {
    uint64_t state;
} enx_rng;

enx_rng  enx_rng_open(uint64_t seed, uint64_t stream);
uint64_t enx_rng_u64(enx_rng *rng);
/* Uniform in [0, bound); bound > 0. */
uint64_t enx_rng_below(enx_rng *rng, uint64_t bound);
/* Uniform in [0, 1), 53 bits. */
double enx_rng_unit(enx_rng *rng);
/* Standard normal (Box-Muller; two draws a call). */
double enx_rng_normal(enx_rng *rng);

#endif /* ENX_BASE_RNG_H */
