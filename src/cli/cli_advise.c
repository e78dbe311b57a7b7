/* SPDX-License-Identifier: Apache-2.0 */
/* cli_advise.c - a job's ledger and a law, put together. */
#include "cli/cli_advise.h"

#include "cli/cli.h"
#include "cli/cli_market.h"

#include <math.h>

static const double sizes[] = { 2, 4, 8 };
enum { SIZES = sizeof sizes / sizeof *sizes };

double cli_advice_today(const cli_ledger *l)
{
    return l->small_task_usd + (l->escalated + l->audited) * l->lead_task_usd;
}

cli_advice cli_advice_of(const cli_ledger *l, const cli_market_law *law, double size)
{
    const double goes_on = law->has_odds ? cli_market_law_goes_on(law) : 1;
    cli_advice   a = { .size = size };
    a.escalated = l->escalated * pow(size, -2 * law->exponent);
    a.expected = goes_on * a.escalated + (1 - goes_on) * l->escalated;
    a.task_usd = size * l->small_task_usd + (a.expected + l->audited) * l->lead_task_usd;
    a.saved_usd = cli_advice_today(l) - a.task_usd;
    return a;
}

static void print_text(const cli_ledger *l, const cli_market_law *law, const cli_advice *all)
{
    int best = -1;
    printf("job %llu: %u tasks, %.1f %% went up; a task costs $%.3g, of which workers and scout "
           "$%.3g\n\n",
           (unsigned long long)l->job_id, l->tasks, 100 * l->escalated, cli_advice_today(l),
           l->small_task_usd);
    printf("  %-8s %-10s %-18s %-12s %s\n", "worker", "training", "go up, expected", "task",
           "worth of its making");
    for (int i = 0; i < SIZES; i++) {
        printf("  x%-7g x%-9g %5.1f %% (%.1f %%)   $%-11.3g ", all[i].size,
               all[i].size * all[i].size, 100 * all[i].escalated, 100 * all[i].expected,
               all[i].task_usd);
        if (all[i].saved_usd > 0) printf("$%.3g for a million tasks\n", 1e6 * all[i].saved_usd);
        else printf("nothing: a task costs more\n");
        if (all[i].saved_usd > (best < 0 ? 0 : all[best].saved_usd)) best = i;
    }
    if (best < 0) printf("\nA bigger worker would not pay for jobs like this one.\n");
    else
        printf("\nA worker %g times as large would pay, if its making costs less than $%.3g for "
               "each million tasks.\n",
               all[best].size, 1e6 * all[best].saved_usd);
    cli_market_law_print(stdout, law);
}

static void print_json(const cli_ledger *l, const cli_market_law *law, const cli_advice *all)
{
    json_t *list = json_array();
    for (int i = 0; i < SIZES; i++)
        json_array_append_new(list, json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "size", all[i].size,
                                              "training_compute", all[i].size * all[i].size,
                                              "escalated", all[i].escalated, "expected_escalated",
                                              all[i].expected, "task_usd", all[i].task_usd,
                                              "saved_usd_per_million", 1e6 * all[i].saved_usd));
    cli_print_json(json_pack("{s:I, s:i, s:f, s:f, s:o, s:o}", "job", (json_int_t)l->job_id,
                             "tasks", (int)l->tasks, "escalated", l->escalated, "task_usd",
                             cli_advice_today(l), "law", cli_market_law_json(law), "workers",
                             list));
}

enx_status cli_advise_print(const char *job, const char *law_path, bool is_json, enx_report *report)
{
    cli_ledger     ledger;
    cli_market_law law;
    cli_advice     all[SIZES];
    ENX_TRY(cli_market_law_read(&law, law_path, report));
    ENX_TRY(cli_market_ledger(&ledger, job, report));
    if (!(ledger.escalated > 0) || isnan(ledger.lead_task_usd) || isnan(ledger.small_task_usd))
        return ENX_FAIL(report, INVALID,
                        "job %llu: nothing went up to the lead, so no worker can save its calls",
                        (unsigned long long)ledger.job_id);
    for (int i = 0; i < SIZES; i++) all[i] = cli_advice_of(&ledger, &law, sizes[i]);
    if (is_json) print_json(&ledger, &law, all);
    else print_text(&ledger, &law, all);
    return ENX_OK;
}
