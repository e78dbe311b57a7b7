/* SPDX-License-Identifier: Apache-2.0 */
/* binomial.c - bounds by bisection over the tail, summed from its largest term. */
#include "base/binomial.h"

#include <math.h>

enum { SEARCH_STEPS = 50 };

/* P(at least `hits` of `count`) at chance p. */
static double upper_tail(uint32_t hits, uint32_t count, double p)
{
    double sum = 0;
    for (uint32_t k = hits; k <= count; k++) {
        const double log_ways = lgamma(count + 1.) - lgamma(k + 1.) - lgamma(count - k + 1.);
        const double term = exp(log_ways + k * log(p) + (count - k) * log1p(-p));
        sum += term;
        if (k > count * p && term < 1e-12 * sum) break;
    }
    return sum;
}

double enx_binomial_low(uint32_t hits, uint32_t count, double tail)
{
    double low = 0, high = count ? (double)hits / count : 0;
    if (hits == 0) return 0;
    for (int step = 0; step < SEARCH_STEPS; step++) {
        const double middle = .5 * (low + high);
        if (middle > 0 && middle < 1 && upper_tail(hits, count, middle) > tail) high = middle;
        else low = middle;
    }
    return low;
}

double enx_binomial_high(uint32_t hits, uint32_t count, double tail)
{
    return 1 - enx_binomial_low(count - hits, count, tail);
}
