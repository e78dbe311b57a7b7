/* SPDX-License-Identifier: Apache-2.0 */
/* bargain.c - BARGAIN's accuracy mode. */
#include "bench/bargain.h"

#include <math.h>
#include <stdbool.h>

enum { PREFIXES = 20, STEP = 10, PATIENCE = 50 };

static const double bet_share = .75; /* of what may be lost in one bet */

typedef enum verdict { GOING_ON, PROVED, GIVEN_UP } verdict;

/* Bets for and against "at least `target` of the prefix is right", in the order of the labels. */
typedef struct test {
    double   target;
    uint32_t count; /* answers of the prefix */
    uint32_t seen;
    uint32_t right;
    double   above; /* wealth of who bets that more is right */
    double   below;
    bool     was_above, was_below;
    double   level; /* wealth that decides */
    double   delta;
} test;

/* The plug-in bet: from the variance of the labels before this one. */
static double bet_of(const test *t)
{
    const double i = t->seen + 1, right = t->right, wrong = t->seen - right;
    const double mean = (.5 + right) / i;
    const double squares = right * (1 - mean) * (1 - mean) + wrong * mean * mean;
    const double variance = (.25 + squares) / i;
    return sqrt(2 * log(2 / t->delta) / (i * log(i + 1) * variance));
}

static void see(test *t, bool is_right)
{
    const double left = t->count - t->seen;
    const double chance = (t->count * t->target - t->right) / left;
    const double bet = bet_of(t);
    if (chance > 0) t->above *= 1 + fmin(bet, bet_share / chance) * (is_right - chance);
    if (chance < 1) t->below *= 1 - fmin(bet, bet_share / (1 - chance)) * (is_right - chance);
    t->was_above |= t->above >= t->level || chance <= 0;
    t->was_below |= t->below >= t->level || chance > 1;
    t->seen++;
    t->right += is_right;
}

static verdict judge(const test *t)
{
    const double mean = (double)t->right / t->seen;
    if (t->seen == t->count) return mean >= t->target ? PROVED : GIVEN_UP;
    if (mean >= t->target && t->was_above) return PROVED;
    if (mean < t->target && t->was_below) return GIVEN_UP;
    if (t->seen >= PATIENCE && mean - sqrt(mean * (1 - mean)) < t->target) return GIVEN_UP;
    return GOING_ON;
}

static bool prove(test *t, const uint8_t *wrong, const uint32_t *order, uint8_t *is_labelled,
                  uint32_t count)
{
    verdict found = GOING_ON;
    for (uint32_t i = 0; i < count && found == GOING_ON; i++) {
        const uint32_t rank = order[i];
        if (rank >= t->count) continue;
        is_labelled[rank] = 1;
        see(t, !wrong[rank]);
        if (t->seen % STEP == 0 || t->seen == t->count) found = judge(t);
    }
    return found == PROVED;
}

bargain_result bargain_run(const uint8_t *wrong, const uint32_t *order, uint8_t *is_labelled,
                           uint32_t count, double target, double delta)
{
    bargain_result out = { 0 };
    for (uint32_t j = 1; j <= PREFIXES; j++) {
        const uint32_t prefix = (uint32_t)((uint64_t)count * j / PREFIXES);
        const double   need = 1 - (1 - target) * count / prefix;
        if (need > 0) {
            test t = { .target = need,
                       .count = prefix,
                       .above = 1,
                       .below = 1,
                       .level = 1 / delta,
                       .delta = delta };
            if (!prove(&t, wrong, order, is_labelled, count)) break;
        }
        out.accepted = prefix;
    }
    out.lead = count - out.accepted;
    for (uint32_t rank = 0; rank < out.accepted; rank++) out.lead += is_labelled[rank];
    return out;
}
