/* SPDX-License-Identifier: Apache-2.0 */
/* cli_display.c - progress of a job, live or line by line. */
#include "cli/cli_display.h"

#include "cli/cli_bill.h"
#include "plat/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LIVE_EVERY_US = 100000, PLAIN_EVERY_US = 2000000, BAR_CELLS = 20 };

void cli_display_init(cli_display *d, const enx_swarm *swarm, const enx_roster *roster,
                      uint32_t item_count, bool is_quiet)
{
    *d = (cli_display){ .swarm = swarm,
                        .roster = roster,
                        .item_count = item_count,
                        .is_quiet = is_quiet,
                        .start_us = enx_clock_monotonic_us() };
    d->is_live = cli_is_live();
    d->has_color = cli_has_color();
    d->shown_us = d->is_live ? 0 : d->start_us;
    d->start_tokens = enx_usage_tokens(&enx_swarm_budget(swarm)->total.usage);
}

static void print_plan(const enx_swarm_summary *s, const char *end)
{
    static const char *const kinds[] = { "accents", "capitals", "punctuation" };
    if (s->given) {
        fprintf(stderr, "class       %s: %s (%s)%s\n", s->given->name,
                s->is_single ? "lead alone" : "swarm", enx_reason_text(s->gate_reason), end);
        return;
    }
    if (s->is_goal) {
        fprintf(stderr, "plan        %s, %u tasks (%s)%s\n", s->round ? "swarm" : "lead alone",
                s->task_count, enx_reason_text(s->gate_reason), end);
        return;
    }
    fprintf(stderr, "plan        %s: repair", s->is_single ? "lead alone" : "swarm");
    for (int i = 0; i < 3; i++)
        if (s->plan.kinds >> i & 1) fprintf(stderr, " %s", kinds[i]);
    fprintf(stderr, "; languages");
    if (s->plan.language_count == 0) fprintf(stderr, " any");
    for (uint32_t i = 0; i < s->plan.language_count; i++)
        fprintf(stderr, " %s", s->plan.languages[i]);
    fprintf(stderr, "; %s (%s)%s\n", s->plan.escalate ? "doubts go to the lead" : "no escalation",
            enx_reason_text(s->gate_reason), end);
}

static void print_totals(const cli_display *d, const enx_swarm_summary *s, const char *end)
{
    char              money[CLI_MONEY_BYTES];
    const enx_budget *budget = enx_swarm_budget(d->swarm);
    const uint64_t    now_us = enx_clock_monotonic_us();
    const double      seconds = (double)(now_us - d->start_us) * 1e-6;
    const uint64_t    tokens = enx_usage_tokens(&budget->total.usage) - d->start_tokens;
    fprintf(stderr,
            "%7.1f s   accepted %u of %u, escalated %u, abstained %u, failed %u, %.0f tokens/s, "
            "%s%s\n",
            seconds, s->tasks[ENX_TASK_ACCEPTED], s->task_count, s->escalated,
            s->tasks[ENX_TASK_ABSTAINED], s->tasks[ENX_TASK_FAILED],
            seconds > 0 ? (double)tokens / seconds : 0,
            cli_money(money, budget->total.cost_usd_nano), end);
}

/* "pt_BR       ████████░░░░  31 accepted, 4 up, 0 abstained, 9 left" */
static void print_model(const cli_display *d, uint32_t m)
{
    const enx_roster_model  *model = &d->roster->models[m];
    const enx_swarm_progress p = enx_swarm_progress_get(d->swarm, m);
    const uint32_t           left = p.queued + p.running;
    const uint32_t           over = p.accepted + p.escalated + p.abstained + p.failed;
    const uint32_t           cells = over + left ? over * BAR_CELLS / (over + left) : 0;
    fprintf(stderr, "%-11.11s %s", model->language_count ? model->languages[0] : model->name,
            d->has_color ? "\033[36m" : "");
    for (uint32_t i = 0; i < BAR_CELLS; i++) fputs(i < cells ? "█" : "░", stderr);
    fprintf(stderr, "%s %6u accepted %5u up %5u abstained %6u left %8llu calls\033[K\n",
            d->has_color ? "\033[0m" : "", p.accepted, p.escalated, p.abstained, left,
            (unsigned long long)p.line.calls);
}

static void draw(cli_display *d)
{
    const enx_swarm_summary s = enx_swarm_summary_get(d->swarm);
    if (d->line_count) fprintf(stderr, "\033[%uA", d->line_count);
    d->line_count = 1;
    if (s.has_plan) {
        print_plan(&s, "\033[K");
        d->line_count++;
    }
    for (uint32_t m = 0; m < d->roster->model_count; m++) {
        const enx_swarm_progress p = enx_swarm_progress_get(d->swarm, m);
        if (p.line.calls + p.queued + p.running + p.accepted == 0) continue;
        print_model(d, m);
        d->line_count++;
    }
    print_totals(d, &s, "\033[K");
    fflush(stderr);
}

static void print_plain(cli_display *d)
{
    const enx_swarm_summary s = enx_swarm_summary_get(d->swarm);
    if (s.has_plan && !d->has_plan) print_plan(&s, "");
    d->has_plan = s.has_plan;
    print_totals(d, &s, "");
}

void cli_display_update(cli_display *d)
{
    const uint64_t now_us = enx_clock_monotonic_us();
    if (d->is_quiet || now_us - d->shown_us < (d->is_live ? LIVE_EVERY_US : PLAIN_EVERY_US)) return;
    d->shown_us = now_us;
    if (d->is_live) draw(d);
    else print_plain(d);
}

void cli_display_finish(cli_display *d)
{
    if (d->is_quiet) return;
    if (d->is_live) draw(d);
    else print_plain(d);
}
