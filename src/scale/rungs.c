/* SPDX-License-Identifier: Apache-2.0 */
/* rungs.c - from runs to a ladder. */
#include "scale/rungs.h"

#include "base/check.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double same_size = 1.001;

static int compare_flops(const void *left, const void *right)
{
    const enx_run *a = left, *b = right;
    if (a->flops != b->flops) return a->flops < b->flops ? -1 : 1;
    return (a->line > b->line) - (a->line < b->line);
}

static bool is_same_size(const enx_run *a, const enx_run *b)
{
    if (isnan(a->params) || isnan(b->params)) return isnan(a->params) == isnan(b->params);
    return a->params < b->params * same_size && b->params < a->params * same_size;
}

/* Means over the runs of the best one's size; *square grows by their squared deviations. */
static enx_rung average(const enx_run *runs, uint32_t count, const enx_run *best, double *square,
                        uint32_t *freedom)
{
    enx_rung rung = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        if (!is_same_size(&runs[i], best)) continue;
        rung.weight++;
        rung.loss += runs[i].loss;
        rung.log_flops += log(runs[i].flops);
        if (!isnan(runs[i].unique)) rung.epochs += runs[i].tokens / runs[i].unique;
    }
    rung.loss /= rung.weight;
    rung.log_flops /= rung.weight;
    rung.epochs /= rung.weight;
    for (uint32_t i = 0; i < count; i++) {
        const double r = runs[i].loss / rung.loss - 1;
        if (is_same_size(&runs[i], best)) *square += r * r;
    }
    *freedom += (uint32_t)rung.weight - 1;
    return rung;
}

/* With sizes known, the size whose runs have the lowest mean; without, all runs are repeats. */
static const enx_run *find_best(const enx_run *runs, uint32_t count)
{
    const enx_run *best = NULL;
    double         lowest = INFINITY, ignored = 0;
    uint32_t       freedom = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double loss = average(runs, count, &runs[i], &ignored, &freedom).loss;
        if (!(loss < lowest)) continue;
        lowest = loss;
        best = &runs[i];
    }
    return best;
}

static void note_rates(enx_rungs *out, const double *rates)
{
    const uint32_t last = out->count - 1;
    double         low = INFINITY, high = 0;
    out->rate_power = NAN;
    for (uint32_t i = 0; i < out->count; i++) {
        if (isnan(rates[i])) return;
        low = fmin(low, rates[i]);
        high = fmax(high, rates[i]);
    }
    out->rate_power =
        log(rates[last] / rates[0]) / (out->rungs[last].log_flops - out->rungs[0].log_flops);
    out->is_rate_fixed =
        out->count > 1 && high < low * same_size && !(out->params[last] < 2 * out->params[0]);
}

/* The line of ln N over ln C; ln(D / N) is ln C less twice ln N, and a constant. */
static void note_sizes(enx_rungs *out)
{
    double x = 0, y = 0, xx = 0, xy = 0, square = 0;
    out->size_power = out->ratio_spread = NAN;
    for (uint32_t i = 0; i < out->count; i++) {
        x += out->rungs[i].log_flops / out->count;
        y += log(out->params[i]) / out->count;
    }
    for (uint32_t i = 0; i < out->count; i++) {
        const double dx = out->rungs[i].log_flops - x;
        xx += dx * dx;
        xy += dx * (log(out->params[i]) - y);
    }
    if (isnan(y) || !(xx > 0)) return;
    out->size_power = xy / xx;
    for (uint32_t i = 0; i < out->count; i++) {
        const double trend = y + out->size_power * (out->rungs[i].log_flops - x);
        square += pow(2 * (log(out->params[i]) - trend), 2);
    }
    out->ratio_spread = sqrt(square / out->count);
}

static enx_status gather(enx_rungs *out, const enx_run *runs, uint32_t count, enx_report *report)
{
    double rates[ENX_LADDER_RUNGS_MAX] = { 0 }, square = 0;
    for (uint32_t first = 0; first < count;) {
        uint32_t end = first + 1;
        while (end < count && runs[end].flops <= ENX_RUNGS_SAME * runs[first].flops) end++;
        if (out->count == ENX_LADDER_RUNGS_MAX)
            return ENX_FAIL(report, LIMIT,
                            "more than %d rungs of different compute; this looks like curves of "
                            "training rather than a ladder: keep the last point of each run",
                            ENX_LADDER_RUNGS_MAX);
        const enx_run *best = find_best(runs + first, end - first);
        const uint32_t at = out->count++;
        out->rungs[at] = average(runs + first, end - first, best, &square, &out->noise_freedom);
        out->params[at] = best->params;
        out->tokens[at] = best->tokens;
        out->line[at] = best->line;
        rates[at] = best->rate;
        first = end;
    }
    out->noise = out->noise_freedom ? sqrt(square / out->noise_freedom) : NAN;
    note_rates(out, rates);
    note_sizes(out);
    return ENX_OK;
}

enx_status enx_rungs_gather(enx_rungs *out, const enx_runs *runs, enx_report *report)
{
    ENX_CHECK(out && runs && runs->count > 0);
    enx_run *sorted = ENX_MEM_NEW(enx_run, runs->count);
    if (!sorted) return ENX_FAIL(report, NOMEM, "no memory for %u runs", runs->count);
    enx_rungs rungs = { 0 };
    memcpy(sorted, runs->runs, runs->count * sizeof *sorted);
    qsort(sorted, runs->count, sizeof *sorted, compare_flops);
    enx_status status = gather(&rungs, sorted, runs->count, report);
    enx_mem_free(sorted);
    if (status == ENX_OK && rungs.count == 1)
        status = ENX_FAIL(report, INVALID,
                          "all runs have about the same compute, %.4g; a ladder needs %d rungs",
                          exp(rungs.rungs[0].log_flops), ENX_LADDER_RUNGS_MIN);
    if (status == ENX_OK) *out = rungs;
    return status;
}

/* An inverse gamma belief of a and b becomes a + f / 2 and b + f noise^2 / 2. */
enx_belief enx_rungs_belief(const enx_rungs *rungs, enx_belief belief)
{
    if (rungs->noise_freedom == 0) return belief;
    const double a = belief.noise_weight, f = 0.5 * rungs->noise_freedom;
    const double square = a * belief.noise * belief.noise + f * rungs->noise * rungs->noise;
    belief.noise_weight = a + f;
    belief.noise = sqrt(square / (a + f));
    return belief;
}

double enx_rungs_factor(const enx_rungs *rungs)
{
    double steps[ENX_LADDER_RUNGS_MAX];
    for (uint32_t i = 1; i < rungs->count; i++) {
        const double step = rungs->rungs[i].log_flops - rungs->rungs[i - 1].log_flops;
        uint32_t     at = i - 1;
        for (; at > 0 && steps[at - 1] > step; at--) steps[at] = steps[at - 1];
        steps[at] = step;
    }
    const uint32_t count = rungs->count - 1;
    return exp(0.5 * (steps[(count - 1) / 2] + steps[count / 2]));
}

enx_rung enx_rungs_next(const enx_rungs *rungs, double factor, double *params, double *tokens)
{
    const uint32_t last = rungs->count - 1;
    enx_rung       next = { .log_flops = rungs->rungs[last].log_flops + log(factor) };
    *params = rungs->params[last] * pow(factor, rungs->size_power);
    *tokens = exp(next.log_flops) / (6 * *params);
    next.epochs = rungs->rungs[last].epochs * *tokens / rungs->tokens[last];
    if (!(next.epochs > 0)) next.epochs = 0;
    return next;
}
