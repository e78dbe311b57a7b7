/* SPDX-License-Identifier: Apache-2.0 */
/* race_sim.c - writers of known skill race (cli_race.h): do they pass as often as they should, and
 * what does it cost beside a loop of one?
 *
 *     race_sim JOBS
 *
 * A try passes with chance p, whoever makes it.  Its tokens are as many as a geometric draw gives,
 * at least 20; its verdict takes a share of the time of an average answer.  A step of the engine
 * writes one token of each writer that may write, and takes 1 + .25 * (rows - 1).  With w writers
 * of r rounds a job must pass with chance 1 - (1 - p)^(w r), to four standard errors; it may
 * cost 1.3 times the tokens of one writer with w r rounds, who has the same chance, and not more of
 * its time (both over all jobs of a world, to 1 %).  The same for writers that cannot pause, as
 * those behind an API: each writes at a speed of its own, and a step takes 1.
 */
#include "base/rng.h"
#include "cli/cli_race.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEAST_TOKENS = 20, MEAN_TOKENS = 120 };

static const double row_cost = .25, ahead = .3, tokens_goal = 1.3, time_goal = 1.0, slack = .01;

typedef struct world {
    double skill, judge_share; /* of the steps of an average answer */
    bool   is_unbroken;
} world;

typedef struct sums {
    double passed, tokens, time;
} sums;

typedef struct racing {
    uint64_t length; /* of the try under way */
    bool     passes;
    double   judged_at; /* when its verdict comes */
} racing;

static uint64_t draw_length(enx_rng *rng)
{
    const double u = enx_rng_unit(rng);
    return LEAST_TOKENS + (uint64_t)(-log(1 - u) * (MEAN_TOKENS - LEAST_TOKENS));
}

/* Verdicts that are due; returns when the next one comes, INFINITY: none is on its way. */
static double judge_due(cli_race *race, const racing *all, double now)
{
    double next = INFINITY;
    for (uint32_t i = 0; i < race->writer_count; i++) {
        if (race->racers[i].state != CLI_RACER_WHOLE) continue;
        if (all[i].judged_at > now) next = fmin(next, all[i].judged_at);
        else cli_race_judge(race, i, all[i].passes);
    }
    return next;
}

/* One token of each that may write; returns how many did. */
static uint32_t step(cli_race *race, racing *all, double *now, uint64_t *tokens, double judge_time)
{
    bool     writes[CLI_RACE_WRITERS_MAX] = { false };
    uint32_t rows = 0;
    for (uint32_t i = 0; i < race->writer_count; i++) {
        writes[i] = race->racers[i].state == CLI_RACER_WRITING && cli_race_may_write(race, i);
        rows += writes[i];
    }
    if (rows > 0) *now += race->is_unbroken ? 1 : 1 + row_cost * (rows - 1);
    for (uint32_t i = 0; i < race->writer_count; i++) {
        if (!writes[i]) continue;
        cli_race_write(race, i, 1);
        if (race->racers[i].tokens < all[i].length) continue;
        cli_race_end(race, i);
        all[i].judged_at = *now + judge_time;
    }
    *tokens += rows;
    return rows;
}

/* The n-th try that begins is the same one in every shape. */
static void run_job(const world *w, uint32_t writers, uint32_t rounds, uint64_t job, sums *out)
{
    enx_rng  rng = enx_rng_open(1, job);
    cli_race race;
    racing   all[CLI_RACE_WRITERS_MAX] = { { 0 } };
    double   now = 0;
    uint64_t tokens = 0;
    cli_race_init(&race, writers, rounds, ahead);
    race.is_unbroken = w->is_unbroken;
    for (;;) {
        const double next = judge_due(&race, all, now);
        if (cli_race_is_over(&race)) break;
        for (uint32_t i; (i = cli_race_begin(&race)) != CLI_RACE_NOBODY;) {
            all[i].length = draw_length(&rng);
            all[i].passes = enx_rng_unit(&rng) < w->skill;
        }
        if (step(&race, all, &now, &tokens, w->judge_share * MEAN_TOKENS) == 0) now = next;
    }
    out->passed += race.winner != CLI_RACE_NOBODY;
    out->tokens += (double)tokens;
    out->time += now;
}

/* How many of the promises do not hold. */
static int try_world(const world *w, uint32_t writers, uint32_t rounds, uint32_t jobs)
{
    sums         race = { 0 }, loop = { 0 };
    const double expected = 1 - pow(1 - w->skill, writers * rounds);
    const double error = sqrt(expected * (1 - expected) / jobs) + 1.0 / jobs;
    for (uint32_t i = 0; i < jobs; i++) {
        run_job(w, writers, rounds, i, &race);
        run_job(w, 1, writers * rounds, i, &loop);
    }
    const double passed = race.passed / jobs, tokens = race.tokens / loop.tokens;
    const double time = race.time / loop.time;
    const bool   is_bad = fabs(passed - expected) > 4 * error || tokens > tokens_goal + slack ||
                        time > time_goal + slack;
    printf("%s,%.2f,%.2f,%u,%u,%.4f,%.4f,%.3f,%.3f%s\n", w->is_unbroken ? "no" : "yes", w->skill,
           w->judge_share, writers, rounds, passed, expected, tokens, time,
           is_bad ? ",broken" : "");
    return is_bad;
}

int main(int argc, char **argv)
{
    static const double   skills[] = { .05, .2, .4, .6, .9 }, shares[] = { .02, .2, 1, 4 };
    static const uint32_t shapes[][2] = { { 1, 4 }, { 2, 2 }, { 4, 1 }, { 4, 3 }, { 8, 2 } };
    enum { SKILLS = 5, SHARES = 4, SHAPES = 5, WORLDS = 2 * SKILLS * SHARES };
    const uint32_t jobs = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 2000;
    int            broken = 0;
    puts("pauses,skill,judge_share,writers,rounds,passed,expected,tokens_ratio,time_ratio");
    for (int i = 0; i < WORLDS; i++) {
        const world w = { skills[i / SHARES % SKILLS], shares[i % SHARES], i >= WORLDS / 2 };
        for (int k = 0; k < SHAPES; k++) broken += try_world(&w, shapes[k][0], shapes[k][1], jobs);
    }
    return broken > 0;
}
