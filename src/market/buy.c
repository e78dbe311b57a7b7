/* SPDX-License-Identifier: Apache-2.0 */
/* buy.c - three bills.
 *
 * API: a V, for V tasks.  Own: F N + S for N = ceil(V / C) whole machines of capacity C.  Swarm:
 * (small + q a) V + fixed, q the part that goes up.  Own machines first cost no more than the API
 * at V = (F N + S) / a for the smallest N that can do as many: N (a C - F) >= S.
 */
#include "market/buy.h"

#include "base/check.h"

#include <math.h>

typedef struct number {
    const char *key, *unit;
    double      value, low, high;
} number;

static const double usd_bound = 1e12, tasks_bound = 1e15, tokens_bound = 1e9;

static enx_status check_numbers(const number *rows, size_t count, enx_report *report)
{
    for (size_t i = 0; i < count; i++)
        if (!(rows[i].value >= rows[i].low && rows[i].value <= rows[i].high))
            return ENX_FAIL(report, INVALID, "%s: %g is not from %g to %g %s", rows[i].key,
                            rows[i].value, rows[i].low, rows[i].high, rows[i].unit);
    return ENX_OK;
}

static enx_status check_tariff(const char *name, const enx_tariff *t, enx_report *report)
{
    const number rows[] = {
        { "usd_per_mtok_in", "USD a million tokens", t->in, 0, usd_bound },
        { "usd_per_mtok_cached", "USD a million tokens", t->cached, 0, usd_bound },
        { "usd_per_mtok_out", "USD a million tokens", t->out, 0, usd_bound },
    };
    const enx_status status = check_numbers(rows, 3, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", name);
    return status;
}

static enx_status check_input(const enx_buy_input *in, enx_report *report)
{
    const number job[] = {
        { "job.tasks", "a month", in->tasks, 1e-9, tasks_bound },
        { "job.tokens_in", "a task", in->tokens_in, 0, tokens_bound },
        { "job.tokens_cached", "a task: they are part of tokens_in", in->tokens_cached, 0,
          in->tokens_in },
        { "job.tokens_out", "a task", in->tokens_out, 0, tokens_bound },
    };
    const number own[] = {
        { "own.usd_per_hour", "USD", in->usd_per_hour, 0, usd_bound },
        { "own.hours", "a month", in->hours, 1e-3, 744 },
        { "own.overhead", "times the price", in->overhead, 1, 1000 },
        { "own.tokens_per_s_in", "tokens a second", in->tokens_per_s_in, 1e-9, 1e12 },
        { "own.tokens_per_s_out", "tokens a second", in->tokens_per_s_out, 1e-9, 1e12 },
        { "own.utilisation", "of its hours", in->utilisation, 1e-6, 1 },
        { "own.setup_usd", "USD", in->setup_usd, 0, usd_bound },
        { "own.months", "", in->months, 1, 1200 },
    };
    const number swarm[] = {
        { "swarm.escalated", "of the tasks", in->escalated, 0, 1 },
        { "swarm.audited", "of the tasks", in->audited, 0, 1 },
        { "swarm.fixed_usd", "USD a month", in->fixed_usd, 0, usd_bound },
    };
    ENX_TRY(check_numbers(job, sizeof job / sizeof *job, report));
    if (!(in->tokens_in + in->tokens_out > 0))
        return ENX_FAIL(report, INVALID, "job: tokens_in and tokens_out are both 0");
    ENX_TRY(check_tariff("api", &in->api, report));
    if (in->has_own) ENX_TRY(check_numbers(own, sizeof own / sizeof *own, report));
    if (!in->has_swarm) return ENX_OK;
    ENX_TRY(check_tariff("swarm", &in->small, report));
    return check_numbers(swarm, sizeof swarm / sizeof *swarm, report);
}

static double task_usd(const enx_buy_input *in, const enx_tariff *t)
{
    return ((in->tokens_in - in->tokens_cached) * t->in + in->tokens_cached * t->cached +
            in->tokens_out * t->out) /
           1e6;
}

static void price_own(enx_buy *out, const enx_buy_input *in)
{
    const double seconds = (in->tokens_in - in->tokens_cached) / in->tokens_per_s_in +
                           in->tokens_out / in->tokens_per_s_out;
    const double machine = in->usd_per_hour * in->hours * in->overhead;
    const double setup = in->setup_usd / in->months, a = out->api_task_usd;
    out->machine_tasks = in->hours * 3600 * in->utilisation / seconds;
    out->machines = fmax(1, ceil(in->tasks / out->machine_tasks));
    out->own_usd = machine * out->machines + setup;
    const double spare = a * out->machine_tasks - machine; /* what a full machine saves */
    if (!(spare > 0) && !(spare == 0 && setup == 0)) return;
    const double count = spare > 0 ? fmax(1, ceil(setup / spare)) : 1;
    out->own_break_even = (machine * count + setup) / a;
}

static void price_swarm(enx_buy *out, const enx_buy_input *in)
{
    const double a = out->api_task_usd, small = task_usd(in, &in->small);
    const double up = fmin(1, in->escalated + in->audited);
    out->swarm_task_usd = small + up * a;
    out->swarm_usd = out->swarm_task_usd * in->tasks + in->fixed_usd;
    const double spare = a - out->swarm_task_usd;
    if (spare > 0) out->swarm_break_even = in->fixed_usd / spare;
    out->escalated_break_even =
        a > 0 ? fmin(1, 1 - (small + in->fixed_usd / in->tasks) / a) - in->audited : -INFINITY;
}

enx_status enx_buy_solve(enx_buy *out, const enx_buy_input *input, enx_report *report)
{
    ENX_CHECK(out && input);
    ENX_TRY(check_input(input, report));
    const double a = task_usd(input, &input->api);
    *out = (enx_buy){ .api_task_usd = a,
                      .api_usd = a * input->tasks,
                      .own_usd = INFINITY,
                      .swarm_usd = INFINITY,
                      .swarm_task_usd = INFINITY,
                      .own_break_even = INFINITY,
                      .swarm_break_even = INFINITY,
                      .escalated_break_even = -INFINITY };
    if (input->has_own) price_own(out, input);
    if (input->has_swarm) price_swarm(out, input);
    return ENX_OK;
}
