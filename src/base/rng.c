/* SPDX-License-Identifier: Apache-2.0 */
/* rng.c - SplitMix64. */
#include "base/rng.h"

#include "base/check.h"

#include <math.h>

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

enx_rng enx_rng_open(uint64_t seed, uint64_t stream)
{
    return (enx_rng){ .state = mix(seed ^ mix(stream + UINT64_C(0x9E3779B97F4A7C15))) };
}

uint64_t enx_rng_u64(enx_rng *rng)
{
    rng->state += UINT64_C(0x9E3779B97F4A7C15);
    return mix(rng->state);
}

uint64_t enx_rng_below(enx_rng *rng, uint64_t bound)
{
    ENX_CHECK(bound > 0);
    const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t       draw = enx_rng_u64(rng);
    while (draw >= limit) draw = enx_rng_u64(rng);
    return draw % bound;
}

double enx_rng_unit(enx_rng *rng) { return (double)(enx_rng_u64(rng) >> 11) * 0x1p-53; }

double enx_rng_normal(enx_rng *rng)
{
    const double radius = sqrt(-2.0 * log(1.0 - enx_rng_unit(rng)));
    return radius * cos(6.283185307179586 * enx_rng_unit(rng));
}
