/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_checks.c - enxame checks: what each check catches, refuses for nothing, and costs. */
#include "cli/cli_bill.h"
#include "cli/cli_checks.h"
#include "cli/cli_job.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct view {
    cli_checks checks;
} view;

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    view       *v = user;
    enx_store  *store = NULL;
    const char *name = args->operands.count ? args->operands.items[0] : NULL;
    ENX_TRY(cli_store_open(&store, report));
    enx_status status = cli_checks_read(&v->checks, store, name, NULL, report);
    enx_store_close(&store);
    if (status == ENX_OK && name && v->checks.count == 0)
        status = ENX_FAIL(report, NOTFOUND, "no job of class %.64s in the store", name);
    return status;
}

static void close_view(void *user) { cli_checks_close(&((view *)user)->checks); }

static const char *name_of(const cli_checks_group *group, uint32_t place)
{
    return place ? enx_check_kind_text(group->checks[place - 1].kind) : "red flags";
}

/* What tells two checks of one kind apart, or "". */
static const char *detail_of(const cli_checks_group *group, uint32_t place)
{
    if (place == 0) return "";
    const enx_check *check = &group->checks[place - 1];
    return check->text ? check->text : check->field ? check->field : "";
}

static uint64_t price_of(const enx_tally_check *check)
{
    return check->tasks ? (check->usd_nano + check->tasks / 2) / check->tasks : 0;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *share_json(const enx_tally_share *share)
{
    double       low, high;
    const double rate = enx_tally_share_get(share, &low, &high);
    return json_pack("{s:o, s:f, s:f, s:f}", "rate",
                     share->count > 0 ? json_real(rate) : json_null(), "low", low, "high", high,
                     "size", enx_tally_share_size(share));
}

static json_t *checks_json(const cli_checks_group *group, const enx_tally_sums *sums)
{
    json_t *list = json_array();
    for (uint32_t place = 0; place <= group->check_count; place++) {
        const enx_tally_check *check = &sums->checks[place];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:I}", "check", name_of(group, place),
                            "detail", detail_of(group, place), "caught", share_json(&check->caught),
                            "alarmed", share_json(&check->alarmed), "usd_per_task",
                            cli_json_usd(price_of(check)), "calls", (json_int_t)check->calls));
    }
    return list;
}

static json_t *pairs_json(const enx_tally_sums *sums)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < sums->pair_count; i++) {
        const enx_tally_pair *pair = &sums->pairs[i];
        const double          phi = enx_tally_pair_phi(pair);
        const bool            is_known = isfinite(phi);
        json_array_append_new(list,
                              json_pack("{s:[s, s], s:i, s:o, s:o}", "workers", pair->names[0],
                                        pair->names[1], "tasks", (int)pair->tasks, "phi",
                                        is_known ? json_real(phi) : json_null(), "votes",
                                        is_known ? json_real(2 / (1 + phi)) : json_null()));
    }
    return list;
}

static void print_json(const void *user)
{
    const view *v = user;
    json_t     *classes = json_array();
    for (uint32_t i = 0; i < v->checks.count; i++) {
        char                    why[320] = "";
        const cli_checks_group *group = &v->checks.groups[i];
        const enx_tally_sums   *sums = enx_tally_sums_get(group->tally);
        const uint32_t          place = cli_checks_vote(group);
        json_t                 *vote = json_null();
        if (place) {
            const enx_tally_vote told = enx_tally_vote_get(sums, place);
            cli_checks_explain(group, &told, why, sizeof why);
            vote =
                json_pack("{s:b, s:b, s:s}", "known", told.is_known, "pays", told.pays, "why", why);
        }
        json_array_append_new(
            classes, json_pack("{s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o}", "class",
                               group->name, "jobs", (int)sums->jobs, "answers", (int)sums->answers,
                               "labelled", (int)sums->labelled, "known", (int)sums->known, "wrong",
                               share_json(&sums->wrong), "checks", checks_json(group, sums),
                               "workers", pairs_json(sums), "vote", vote));
    }
    cli_print_json(json_pack("{s:o}", "classes", classes));
}

/* ---- a table -------------------------------------------------------------------------------- */

static void print_share(const enx_tally_share *share)
{
    double       low, high;
    const double rate = enx_tally_share_get(share, &low, &high);
    if (share->count > 0)
        printf("  %5.1f %% (%.1f to %.1f)%*s", 100 * rate, 100 * low, 100 * high,
               (low < .1) + (high < .1) + (high < 1), "");
    else printf("  %-22s", "-");
}

static void print_group(const cli_checks_group *group)
{
    char                  text[CLI_MONEY_BYTES], why[320];
    double                low, high;
    const enx_tally_sums *sums = enx_tally_sums_get(group->tally);
    const double          wrong = enx_tally_share_get(&sums->wrong, &low, &high);
    printf(
        "class       %s: %u jobs, %u answers of workers, %u of them with a label (%u from you)\n",
        group->name, sums->jobs, sums->answers, sums->labelled, sums->known);
    if (sums->labelled)
        printf("            %.1f %% are wrong (%.1f to %.1f)\n", 100 * wrong, 100 * low,
               100 * high);
    printf("  %-12s  %-22s  %-22s  %14s\n", "check", "wrong ones refused", "right ones refused",
           "a task");
    for (uint32_t place = 0; place <= group->check_count; place++) {
        const enx_tally_check *check = &sums->checks[place];
        printf("  %-12s", name_of(group, place));
        print_share(&check->caught);
        print_share(&check->alarmed);
        const char *detail = detail_of(group, place);
        printf("  %14s%s", check->tasks ? cli_money(text, price_of(check)) : "free",
               detail[0] ? "  " : "");
        cli_write_text(stdout, detail, strlen(detail));
        putchar('\n');
    }
    for (uint32_t i = 0; i < sums->pair_count; i++) {
        const double phi = enx_tally_pair_phi(&sums->pairs[i]);
        printf("  %s and %s, %u tasks: ", sums->pairs[i].names[0], sums->pairs[i].names[1],
               sums->pairs[i].tasks);
        if (isfinite(phi))
            printf("errors correlate by %.2f, two votes count as %.2f\n", phi, 2 / (1 + phi));
        else puts("no error of theirs was seen beside the other");
    }
    if (!cli_checks_vote(group)) return;
    const enx_tally_vote vote = enx_tally_vote_get(sums, cli_checks_vote(group));
    cli_checks_explain(group, &vote, why, sizeof why);
    printf("  votes       %s\n", why);
}

static void print_table(const void *user)
{
    const view *v = user;
    if (v->checks.count == 0) puts("no job of one class in the store yet");
    for (uint32_t i = 0; i < v->checks.count; i++) {
        if (i) putchar('\n');
        print_group(&v->checks.groups[i]);
    }
}

static const cli_steps steps = { "checks", run, print_json, print_table, close_view };

int cmd_checks(int argc, char **argv)
{
    static view    v;
    const cli_spec spec = {
        "checks [CLASS]",
        "How many wrong answers each check of a class refuses, how many right ones, and what it\n"
        "costs a task, by all labels in the store: audits, tasks that went up, and right answers\n"
        "of yours (--labels FILE); with 95 % intervals.  Also whether workers err together.",
        "enxame checks packages",
        NULL,
        0,
        0,
        1
    };
    return cli_run(&spec, &steps, &v, argc, argv);
}
