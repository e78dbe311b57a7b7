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

/* The dearest token of an API is about 1e-4 USD, the cheapest million about 1e-2: a price in
 * between was meant for one token.  Small models of one's own can be cheaper by far. */
static const double api_usd_min = 1e-3, small_usd_min = 1e-6;

const char *const enx_buy_lever_names[ENX_BUY_LEVERS_COUNT] = {
    [ENX_BUY_LEVER_TASKS] = "tasks",           [ENX_BUY_LEVER_TOKENS_IN] = "tokens_in",
    [ENX_BUY_LEVER_TOKENS_OUT] = "tokens_out", [ENX_BUY_LEVER_API] = "api prices",
    [ENX_BUY_LEVER_MACHINE] = "machine price", [ENX_BUY_LEVER_SPEED] = "machine speed",
    [ENX_BUY_LEVER_SMALL] = "swarm prices",    [ENX_BUY_LEVER_ESCALATED] = "escalated",
};

static enx_status check_numbers(const number *rows, size_t count, enx_report *report)
{
    for (size_t i = 0; i < count; i++)
        if (!(rows[i].value >= rows[i].low && rows[i].value <= rows[i].high))
            return ENX_FAIL(report, INVALID, "%s: %g is not from %g to %g %s", rows[i].key,
                            rows[i].value, rows[i].low, rows[i].high, rows[i].unit);
    return ENX_OK;
}

static enx_status check_tariff(const char *name, const enx_tariff *t, double least,
                               enx_report *report)
{
    const number rows[] = {
        { "usd_per_mtok_in", "USD a million tokens", t->in, 0, usd_bound },
        { "usd_per_mtok_cached", "USD a million tokens", t->cached, 0, usd_bound },
        { "usd_per_mtok_out", "USD a million tokens", t->out, 0, usd_bound },
    };
    enx_status status = check_numbers(rows, 3, report);
    for (int i = 0; i < 3 && status == ENX_OK; i++)
        if (rows[i].value > 0 && rows[i].value < least)
            status = ENX_FAIL(report, INVALID,
                              "%s: %g USD a million tokens is less than any; if it is for one "
                              "token, write %g",
                              rows[i].key, rows[i].value, rows[i].value * 1e6);
    if (status != ENX_OK) enx_report_wrap(report, "%s", name);
    return status;
}

static const char *const accuracy_keys[ENX_BUY_WAYS_COUNT] = {
    [ENX_BUY_API] = "api.accuracy",
    [ENX_BUY_OWN] = "own.accuracy",
    [ENX_BUY_SWARM] = "swarm.accuracy",
};

static enx_status check_own(const enx_buy_input *in, enx_report *report)
{
    const number own[] = {
        { "own.usd_per_hour", "USD", in->usd_per_hour, 0, usd_bound },
        { "own.hours", "a month", in->hours, 1e-3, 744 },
        { "own.buy_usd", "USD", in->buy_usd, 0, usd_bound },
        { "own.life_years", "years", in->life_years, 0.01, 100 },
        { "own.rate", "a year", in->rate, 0, 10 },
        { "own.overhead", "times the price", in->overhead, 1, 1000 },
        { "own.task_seconds", "seconds of a machine", in->task_seconds, 0, 1e9 },
        { "own.utilisation", "of its hours", in->utilisation, 1e-6, 1 },
        { "own.setup_usd", "USD", in->setup_usd, 0, usd_bound },
        { "own.months", "", in->months, 1, 1200 },
    };
    const number rates[] = {
        { "own.tokens_per_s_in", "tokens a second", in->tokens_per_s_in, 1e-9, 1e12 },
        { "own.tokens_per_s_out", "tokens a second", in->tokens_per_s_out, 1e-9, 1e12 },
    };
    ENX_TRY(check_numbers(own, sizeof own / sizeof *own, report));
    return in->task_seconds > 0 ? ENX_OK : check_numbers(rates, 2, report);
}

static enx_status check_swarm(const enx_buy_input *in, enx_report *report)
{
    const number swarm[] = {
        { "swarm.escalated", "of the tasks", in->escalated, 0, 1 },
        { "swarm.audited", "of the tasks", in->audited, 0, 1 },
        { "swarm.fixed_usd", "USD a month", in->fixed_usd, 0, usd_bound },
    };
    const number task = { "swarm.task_usd", "USD", in->small_task_usd, 0, usd_bound };
    if (isnan(in->small_task_usd))
        ENX_TRY(check_tariff("swarm", &in->small, small_usd_min, report));
    else ENX_TRY(check_numbers(&task, 1, report));
    return check_numbers(swarm, sizeof swarm / sizeof *swarm, report);
}

static enx_status check_input(const enx_buy_input *in, enx_report *report)
{
    const number job[] = {
        { "job.tasks", "a month", in->tasks, 1e-9, tasks_bound },
        { "job.tokens_in", "a task", in->tokens_in, 0, tokens_bound },
        { "job.tokens_cached", "a task: they are part of tokens_in", in->tokens_cached, 0,
          in->tokens_in },
        { "job.tokens_out", "a task", in->tokens_out, 0, tokens_bound },
        { "job.accuracy", "of the tasks", in->accuracy, 0, 1 },
    };
    ENX_TRY(check_numbers(job, sizeof job / sizeof *job, report));
    if (!(in->tokens_in + in->tokens_out > 0))
        return ENX_FAIL(report, INVALID, "job: tokens_in and tokens_out are both 0");
    for (int i = 0; i < ENX_BUY_WAYS_COUNT; i++) {
        const number known = { accuracy_keys[i], "of the tasks", in->accuracies[i], 0, 1 };
        if (!isnan(in->accuracies[i])) ENX_TRY(check_numbers(&known, 1, report));
    }
    ENX_TRY(check_tariff("api", &in->api, api_usd_min, report));
    if (in->has_own) ENX_TRY(check_own(in, report));
    return in->has_swarm ? check_swarm(in, report) : ENX_OK;
}

static double task_usd(const enx_buy_input *in, const enx_tariff *t)
{
    return ((in->tokens_in - in->tokens_cached) * t->in + in->tokens_cached * t->cached +
            in->tokens_out * t->out) /
           1e6;
}

static void price_own(enx_buy *out, const enx_buy_input *in)
{
    double seconds = in->task_seconds;
    if (!(seconds > 0))
        seconds = (in->tokens_in - in->tokens_cached) / in->tokens_per_s_in +
                  in->tokens_out / in->tokens_per_s_out;
    const double bought = in->buy_usd * enx_buy_annuity(in->rate, in->life_years) / 12;
    const double machine = (in->usd_per_hour * in->hours + bought) * in->overhead;
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
    const double a = out->api_task_usd;
    const double small = isnan(in->small_task_usd) ? task_usd(in, &in->small) : in->small_task_usd;
    const double up = fmin(1, in->escalated + in->audited);
    out->swarm_task_usd = small + up * a;
    out->swarm_usd = out->swarm_task_usd * in->tasks + in->fixed_usd;
    const double spare = a - out->swarm_task_usd;
    if (spare > 0) out->swarm_break_even = in->fixed_usd / spare;
    out->escalated_break_even =
        a > 0 ? fmin(1, 1 - (small + in->fixed_usd / in->tasks) / a) - in->audited : -INFINITY;
}

enx_buy_input enx_buy_defaults(void)
{
    return (enx_buy_input){ .accuracies = { NAN, NAN, NAN },
                            .hours = 730,
                            .life_years = 3,
                            .rate = 0.1,
                            .overhead = 1,
                            .utilisation = 1,
                            .months = 12,
                            .small_task_usd = NAN };
}

double enx_buy_annuity(double rate, double years)
{
    return rate > 0 ? rate / -expm1(-years * log1p(rate)) : 1 / years;
}

/* Of equals the first: nothing to set up beats a machine. */
static enx_buy_way find_cheapest(const enx_buy_input *in, const enx_buy *b)
{
    const double usd[] = { b->api_usd, b->own_usd, b->swarm_usd };
    enx_buy_way  best = ENX_BUY_WAYS_COUNT;
    for (int i = 0; i < ENX_BUY_WAYS_COUNT; i++) {
        const bool is_enough = in->accuracy == 0 || in->accuracies[i] >= in->accuracy;
        if (!is_enough || isinf(usd[i])) continue;
        if (best == ENX_BUY_WAYS_COUNT || usd[i] < usd[best]) best = (enx_buy_way)i;
    }
    return best;
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
    out->cheapest = find_cheapest(input, out);
    return ENX_OK;
}

static void scale_tariff(enx_tariff *t, double factor)
{
    t->in *= factor;
    t->cached *= factor;
    t->out *= factor;
}

void enx_buy_turn(enx_buy_input *input, enx_buy_lever lever, double factor)
{
    ENX_CHECK(input && lever < ENX_BUY_LEVERS_COUNT && factor > 0);
    switch (lever) {
    case ENX_BUY_LEVER_TASKS:
        input->tasks *= factor;
        break;
    case ENX_BUY_LEVER_TOKENS_IN:
        input->tokens_in *= factor;
        input->tokens_cached *= factor;
        break;
    case ENX_BUY_LEVER_TOKENS_OUT:
        input->tokens_out *= factor;
        break;
    case ENX_BUY_LEVER_API:
        scale_tariff(&input->api, factor);
        break;
    case ENX_BUY_LEVER_MACHINE:
        input->usd_per_hour *= factor;
        input->buy_usd *= factor;
        break;
    case ENX_BUY_LEVER_SPEED:
        input->task_seconds /= factor;
        input->tokens_per_s_in *= factor;
        input->tokens_per_s_out *= factor;
        break;
    case ENX_BUY_LEVER_SMALL:
        scale_tariff(&input->small, factor);
        input->small_task_usd *= factor;
        break;
    default:
        input->escalated = fmin(1, input->escalated * factor);
    }
}
