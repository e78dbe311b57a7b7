/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_bench_certificate.c - enxame bench certificate: many worlds whose truth is known. */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_trials.h"
#include "plat/pool.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TRIALS_MAX = 1000000, TARGETS = 4, DELTAS = 2, PARTS = 64 };

static const double targets[TARGETS] = { .93, .95, .98, .99 };
static const double deltas[DELTAS] = { .05, .1 };
static const double found_in_time = 1000; /* tasks */

typedef struct options {
    uint64_t    trials, seed, threads;
    const char *regime;
} options;

/* A regime under one target and delta. */
typedef struct cell {
    const cli_regime *regime;
    uint32_t          number; /* among all cells: its trials' own chance */
    double            target, delta;
    uint32_t          violated, late, found;
    double            lead, bargain; /* means */
    double            delay;         /* mean, of those found in time */
} cell;

typedef struct bench {
    options    o;
    cell       cells[64 * TARGETS * DELTAS];
    uint32_t   cell_count;
    cell      *at; /* under way */
    cli_trial *trials;
    enx_status status[PARTS];
    enx_report reports[PARTS];
} bench;

static void run_part(void *user, uint32_t part, uint32_t part_count)
{
    bench         *b = user;
    const cell    *at = b->at;
    const uint64_t first = b->o.trials * part / part_count;
    const uint64_t end = b->o.trials * (part + 1) / part_count;
    for (uint64_t i = first; i < end && b->status[part] == ENX_OK; i++)
        b->status[part] = cli_trial_run(&b->trials[i], at->regime, at->target, at->delta,
                                        b->o.seed * 1000003 + ((uint64_t)at->number << 32) + i,
                                        &b->reports[part]);
}

/* In the order of trials: sums do not depend on threads. */
static void sum_trials(const bench *b, cell *at)
{
    for (uint64_t i = 0; i < b->o.trials; i++) {
        const cli_trial *t = &b->trials[i];
        const bool       is_found = t->found >= 0 && t->found <= found_in_time;
        at->violated += t->is_violated;
        at->late += t->is_late;
        at->found += is_found;
        at->delay += is_found ? t->found : 0;
        at->lead += t->lead / (double)b->o.trials;
        at->bargain += t->bargain / (double)b->o.trials;
    }
    at->delay /= at->found ? at->found : 1;
}

static enx_status run_cells(bench *b, enx_pool *pool, enx_report *report)
{
    for (uint32_t i = 0; i < b->cell_count; i++) {
        b->at = &b->cells[i];
        enx_pool_run(pool, run_part, b, PARTS);
        for (int part = 0; part < PARTS; part++)
            if (b->status[part] != ENX_OK) {
                *report = b->reports[part];
                return b->status[part];
            }
        sum_trials(b, b->at);
        if (cli_is_live()) fprintf(stderr, "\r%u of %u cells", i + 1, b->cell_count);
    }
    if (cli_is_live()) fputs("\r\033[K", stderr);
    return ENX_OK;
}

/* A part of a name, as "stream", or "batch" for all the others. */
static bool is_wanted(const bench *b, const cli_regime *regime)
{
    if (!b->o.regime) return true;
    if (strcmp(b->o.regime, "batch") == 0) return !cli_regime_is_stream(regime);
    return strstr(regime->name, b->o.regime) != NULL;
}

static enx_status plan_cells(bench *b, enx_report *report)
{
    uint32_t number = 0;
    for (uint32_t r = 0; r < cli_regime_count; r++)
        for (int t = 0; t < TARGETS; t++)
            for (int d = 0; d < DELTAS; d++, number++)
                if (is_wanted(b, &cli_regimes[r]))
                    b->cells[b->cell_count++] = (cell){ .regime = &cli_regimes[r],
                                                        .number = number,
                                                        .target = targets[t],
                                                        .delta = deltas[d] };
    if (b->cell_count == 0)
        return ENX_FAIL(report, NOTFOUND, "no regime has \"%s\" in its name", b->o.regime);
    if (b->o.trials == 0 || b->o.trials > TRIALS_MAX)
        return ENX_FAIL(report, INVALID, "%llu trials, expected 1 to %d",
                        (unsigned long long)b->o.trials, TRIALS_MAX);
    if (b->o.threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, LIMIT, "%llu threads, at most %d", (unsigned long long)b->o.threads,
                        ENX_POOL_THREADS_MAX);
    return ENX_OK;
}

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    bench    *b = user;
    enx_pool *pool = NULL;
    (void)args;
    ENX_TRY(plan_cells(b, report));
    b->trials = enx_mem_new(b->o.trials, sizeof *b->trials);
    if (!b->trials) return ENX_FAIL(report, NOMEM, "no memory for the trials");
    enx_status status = enx_pool_open(&pool, (uint32_t)b->o.threads, report);
    if (status == ENX_OK) status = run_cells(b, pool, report);
    enx_pool_close(&pool);
    enx_mem_free(b->trials);
    return status;
}

/* ---- what is printed ----------------------------------------------------------------------- */

static double rate_of(const bench *b, uint32_t count)
{
    return (double)count / (double)b->o.trials;
}

static double low_of(const bench *b, uint32_t count)
{
    return cli_trials_low99(count, (uint32_t)b->o.trials);
}

/* Lead's share against BARGAIN's over the batch regimes: of the means, and the worst cell's. */
static void compare(const bench *b, double *ratio, double *worst)
{
    double lead = 0, bargain = 0;
    *worst = 0;
    for (uint32_t i = 0; i < b->cell_count; i++) {
        const cell *at = &b->cells[i];
        if (cli_regime_is_stream(at->regime)) continue;
        lead += at->lead;
        bargain += at->bargain;
        *worst = fmax(*worst, at->lead / at->bargain);
    }
    *ratio = bargain > 0 ? lead / bargain : NAN;
}

static json_t *json_of_cell(const bench *b, const cell *at)
{
    json_t *out =
        json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "name", at->regime->name, "T", at->target,
                  "delta", at->delta, "violation_rate", rate_of(b, at->violated), "violation_low99",
                  low_of(b, at->violated), "lead_share", at->lead, "bargain_share", at->bargain);
    if (!cli_regime_is_stream(at->regime)) return out;
    json_object_set_new(out, "window_violation_rate", json_real(rate_of(b, at->late)));
    json_object_set_new(out, "window_violation_low99", json_real(low_of(b, at->late)));
    if (at->regime->drift > 1 || at->regime->kind == CLI_REGIME_BETRAYAL) {
        json_object_set_new(out, "found_within_1000", json_real(rate_of(b, at->found)));
        json_object_set_new(out, "found_after", json_real(at->delay));
    }
    return out;
}

static void print_json(const void *user)
{
    const bench *b = user;
    json_t      *regimes = json_array();
    double       ratio, worst;
    for (uint32_t i = 0; i < b->cell_count; i++)
        json_array_append_new(regimes, json_of_cell(b, &b->cells[i]));
    compare(b, &ratio, &worst);
    json_t *out = json_pack("{s:I, s:I, s:o}", "trials", (json_int_t)b->o.trials, "seed",
                            (json_int_t)b->o.seed, "regimes", regimes);
    if (isfinite(ratio)) {
        json_object_set_new(out, "bargain_ratio", json_real(ratio));
        json_object_set_new(out, "bargain_ratio_worst", json_real(worst));
    }
    cli_print_json(out);
}

static void print_table(const void *user)
{
    const bench *b = user;
    double       ratio, worst;
    printf("%-18s %4s %5s  %-20s %-20s %6s %8s  %s\n", "regime", "T", "delta", "false (99 % low)",
           "last window", "lead", "BARGAIN", "drift found in 1000");
    for (uint32_t i = 0; i < b->cell_count; i++) {
        const cell *at = &b->cells[i];
        printf("%-18s %4.2f %5.2f  %.4f (%.4f)     ", at->regime->name, at->target, at->delta,
               rate_of(b, at->violated), low_of(b, at->violated));
        if (cli_regime_is_stream(at->regime))
            printf("%.4f (%.4f)     ", rate_of(b, at->late), low_of(b, at->late));
        else printf("%-20s ", "");
        printf("%6.3f %8.3f", at->lead, at->bargain);
        if (at->regime->drift > 1 || at->regime->kind == CLI_REGIME_BETRAYAL)
            printf("  %.3f, after %.0f", rate_of(b, at->found), at->delay);
        putchar('\n');
    }
    compare(b, &ratio, &worst);
    if (isfinite(ratio))
        printf(
            "\nbatches: the lead sees %.3f of what it sees with BARGAIN; in the worst cell %.3f\n",
            ratio, worst);
}

static const cli_steps steps = { "bench certificate", run, print_json, print_table, NULL };

int cmd_bench_certificate(int argc, char **argv)
{
    static bench b;
    b.o = (options){ .trials = 200, .seed = 1 };
    const cli_option list[] = {
        { "trials", '\0', CLI_UINT, &b.o.trials, "N", "of each regime and target (default 200)" },
        { "seed", '\0', CLI_UINT, &b.o.seed, "S", "of all chance (default 1)" },
        { "regime", '\0', CLI_TEXT, (void *)&b.o.regime, "NAME",
          "only those with this in the name; batch: all but the streams" },
        { "threads", '\0', CLI_UINT, &b.o.threads, "N", "default: one a core; changes nothing" },
    };
    const cli_spec spec = { "bench certificate [options]",
                            "How often claims about errors are false, in worlds whose truth is "
                            "known, and how many tasks the lead sees for them.",
                            "enxame bench certificate --trials 2000 --json",
                            list,
                            sizeof list / sizeof *list,
                            0,
                            0 };
    return cli_run(&spec, &steps, &b, argc, argv);
}
