/* SPDX-License-Identifier: Apache-2.0 */
/* bench_market.c - CPU time of one equilibrium, for markets of unlike firms.
 *
 *     build/bench/bench_market [ROUNDS]
 *
 * Prints CSV: conduct, training, firms, microseconds an equilibrium, microseconds a firm, steps of
 * the root.  Every market of a row is another one, drawn from a fixed seed.
 */
#include "base/rng.h"
#include "market/equilibrium.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FIRMS_MAX = 64, MARKETS = 64 };

static enx_product products[MARKETS][FIRMS_MAX];
static enx_market  markets[MARKETS];

/* With training the firms are near enough to one another that all of them stay. */
static void draw_markets(uint32_t firms, enx_conduct conduct, bool has_training)
{
    const double spread = has_training ? 0.1 : 2;
    for (int k = 0; k < MARKETS; k++) {
        enx_rng rng = enx_rng_open(1, (uint64_t)k);
        for (uint32_t i = 0; i < firms; i++)
            products[k][i] = (enx_product){ .quality = 3.7 + spread * (enx_rng_unit(&rng) - 0.5),
                                            .unit_cost = 1.3 + 0.1 * enx_rng_unit(&rng),
                                            .owner = i };
        markets[k] =
            (enx_market){ .products = products[k],
                          .product_count = firms,
                          .conduct = conduct,
                          .alpha = 1.9,
                          .rho = has_training ? 0.1 * enx_rng_unit(&rng) : 0.8 * enx_rng_unit(&rng),
                          .size = 3.75e10,
                          .has_outside = true,
                          .gamma = has_training ? 0.5 + 0.3 * enx_rng_unit(&rng) : 0,
                          .is_spend_endogenous = has_training,
                          .training_ref_usd = 4.8e9 };
    }
}

static void measure(uint32_t firms, enx_conduct conduct, bool has_training, int rounds)
{
    uint64_t   steps = 0;
    int        solved = 0;
    enx_report report = { 0 };
    draw_markets(firms, conduct, has_training);
    const clock_t start = clock();
    for (int i = 0; i < rounds; i++) {
        enx_equilibrium *e = NULL;
        if (enx_equilibrium_open(&e, &markets[i % MARKETS], &report) != ENX_OK) continue;
        steps += e->steps;
        solved++;
        enx_equilibrium_close(&e);
    }
    const double us = 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / rounds;
    printf("%s,%s,%u,%.2f,%.3f,%.1f\n", conduct == ENX_CONDUCT_BERTRAND ? "bertrand" : "cournot",
           has_training ? "endogenous" : "fixed", firms, us, us / firms,
           (double)steps / (solved ? solved : 1));
    if (solved < rounds) printf("# %d had no equilibrium: %s\n", rounds - solved, report.text);
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20000;
    if (rounds < 1) return fprintf(stderr, "bench_market: ROUNDS is at least 1\n"), 2;
    printf("conduct,training,firms,us,us_a_firm,steps\n");
    for (int conduct = 0; conduct < 2; conduct++)
        for (int training = 0; training < 2; training++)
            for (uint32_t firms = 2; firms <= FIRMS_MAX; firms *= 2)
                measure(firms, (enx_conduct)conduct, training == 1, rounds);
    return 0;
}
