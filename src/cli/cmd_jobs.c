/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_jobs.c - enxame jobs, bill, cancel: what the store knows. */
#include "cli/cli_bill.h"
#include "cli/cli_job.h"
#include "cli/cli_stages.h"
#include "plat/clock.h"

#include <string.h>
#include <time.h>

static void date_of(char out[32], uint64_t time_us)
{
    const time_t seconds = (time_t)(time_us / 1000000);
    struct tm    parts;
    if (!localtime_r(&seconds, &parts) || strftime(out, 32, "%Y-%m-%d %H:%M", &parts) == 0)
        snprintf(out, 32, "-");
}

static json_t *job_json(const enx_store_job *job)
{
    return json_pack(
        "{s:I, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:I, s:o, s:o}", "job",
        (json_int_t)job->id, "command", job->command, "state", job->state, "goal", job->goal,
        "created_us", (json_int_t)job->created_us, "finished_us", (json_int_t)job->finished_us,
        "tasks", (int)job->items, "finished", (int)job->finished, "calls", (json_int_t)job->calls,
        "tokens_in", (json_int_t)job->tokens_in, "tokens_cached", (json_int_t)job->tokens_cached,
        "tokens_out", (json_int_t)job->tokens_out, "cost_usd", cli_json_usd(job->cost_usd_nano),
        "fixed_usd", cli_json_usd(job->fixed_usd_nano));
}

static enx_status list_job(void *user, const enx_store_job *job, enx_report *report)
{
    char    date[32], money[CLI_MONEY_BYTES];
    json_t *list = user;
    (void)report;
    if (list) {
        json_array_append_new(list, job_json(job));
        return ENX_OK;
    }
    date_of(date, job->created_us);
    printf("%6llu  %s  %-5s %-8s %7u of %-7u %14s  %.60s\n", (unsigned long long)job->id, date,
           job->command, job->state, job->finished, job->items,
           cli_money(money, job->cost_usd_nano), job->goal);
    return ENX_OK;
}

int cmd_jobs(int argc, char **argv)
{
    const cli_spec spec = { "jobs",
                            "List every job, newest first: state, tasks finished, cost.",
                            "enxame jobs --json",
                            NULL,
                            0,
                            0,
                            0 };
    cli_args       args;
    enx_store     *store = NULL;
    enx_report     report = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    json_t *list = args.is_json ? json_array() : NULL;
    if (status == ENX_OK) status = cli_store_open(&store, &report);
    if (status == ENX_OK) status = enx_store_jobs_each(store, list_job, list, &report);
    if (status == ENX_OK && list) cli_print_json(json_pack("{s:O}", "jobs", list));
    json_decref(list);
    enx_store_close(&store);
    return status == ENX_OK ? 0 : cli_fail("jobs", &args, status, &report);
}

/* ---- bill ----------------------------------------------------------------------------------- */

typedef struct bill_view {
    json_t  *job;
    json_t  *receipts; /* NULL: not asked for */
    bool     is_json;
    uint64_t newest;
} bill_view;

static enx_status take_job(void *user, const enx_store_job *job, enx_report *report)
{
    (void)report;
    ((bill_view *)user)->job = job_json(job);
    return ENX_OK;
}

static enx_status take_newest(void *user, const enx_store_job *job, enx_report *report)
{
    (void)report;
    bill_view *view = user;
    if (view->newest < job->id) view->newest = job->id;
    return ENX_OK;
}

static enx_status take_receipt(void *user, const enx_store_receipt *r, enx_report *report)
{
    (void)report;
    char        money[CLI_MONEY_BYTES];
    bill_view  *view = user;
    const bool  is_unknown = r->was_lost && r->finished_us == 0;
    const char *status = is_unknown ? enx_call_status_text(ENX_CALL_LOST) : r->status;
    const bool  is_assumed = r->flags & ENX_FLAG_USAGE;
    if (!view->is_json) {
        printf("%6llu  task %-6u %-6s %-18s %-8s %7llu in %7llu cached %7llu out %14s %9.1f ms\n",
               (unsigned long long)(r->call_id & UINT32_MAX), r->task_id, r->role, r->model, status,
               (unsigned long long)r->usage.tokens_in, (unsigned long long)r->usage.tokens_cached,
               (unsigned long long)r->usage.tokens_out, cli_money(money, r->cost_usd_nano),
               (double)r->latency_us * 1e-3);
        if (is_assumed || is_unknown) printf("        %s\n", r->note);
        return ENX_OK;
    }
    json_array_append_new(
        view->receipts,
        json_pack(
            "{s:I, s:i, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:b, s:o}",
            "call", (json_int_t)r->call_id, "task", (int)r->task_id, "role", r->role, "model",
            r->model, "status", status, "started_us", (json_int_t)r->started_us, "finished_us",
            (json_int_t)r->finished_us, "latency_us", (json_int_t)r->latency_us, "tokens_in",
            (json_int_t)r->usage.tokens_in, "tokens_cached", (json_int_t)r->usage.tokens_cached,
            "tokens_out", (json_int_t)r->usage.tokens_out, "tokens_reasoning",
            (json_int_t)r->tokens_reasoning, "reserved_usd", cli_json_usd(r->reserved_usd_nano),
            "cost_usd", cli_json_usd(r->cost_usd_nano), "assumed", (int)is_assumed, "note",
            cli_json_text(r->note, strlen(r->note))));
    return ENX_OK;
}

static enx_status show_bill(enx_store *store, const cli_args *args, bool has_calls,
                            enx_report *report)
{
    bill_view             view = { .is_json = args->is_json };
    json_t               *bill = NULL;
    enx_certificate_claim claim = { 0 };
    uint64_t              id = 0;
    if (args->operands.count) ENX_TRY(cli_job_id(args->operands.items[0], &id, report));
    else ENX_TRY(enx_store_jobs_each(store, take_newest, &view, report));
    if (id == 0) id = view.newest;
    if (id == 0) return ENX_FAIL(report, NOTFOUND, "there is no job yet");
    ENX_TRY(enx_store_job_get(store, id, take_job, &view, report));
    if (has_calls && args->is_json) view.receipts = json_array();
    enx_status status = cli_bill_json(store, id, &bill, report);
    if (status == ENX_OK && has_calls)
        status = enx_store_receipts_each(store, id, take_receipt, &view, report);
    const bool has = enx_store_certificate_get(store, id, &claim, NULL) == ENX_OK;
    if (status == ENX_OK && args->is_json) {
        json_t *stages = json_null();
        if (!has) status = cli_stages_stored(store, id, NULL, &stages, report);
        json_object_set(view.job, "bill", bill);
        json_object_set_new(view.job, "certificate",
                            has ? cli_certificate_json(has, &claim) : stages);
        if (view.receipts) json_object_set(view.job, "receipts", view.receipts);
        cli_print_json(json_incref(view.job));
    } else if (status == ENX_OK) {
        printf("job         %llu, %s, %s: %s\n", (unsigned long long)id,
               json_string_value(json_object_get(view.job, "command")),
               json_string_value(json_object_get(view.job, "state")),
               json_string_value(json_object_get(view.job, "goal")));
        json_t *stages = json_null();
        if (!has) status = cli_stages_stored(store, id, stdout, &stages, report);
        if (has || json_is_null(stages)) cli_certificate_print(stdout, has, &claim);
        cli_bill_print(stdout, bill);
        json_decref(stages);
    }
    json_decref(view.receipts);
    json_decref(view.job);
    json_decref(bill);
    return status;
}

int cmd_bill(int argc, char **argv)
{
    bool             has_calls = false;
    const cli_option options[] = {
        { "calls", '\0', CLI_FLAG, &has_calls, NULL, "a receipt for each call, too" },
    };
    const cli_spec spec = { "bill [JOB]",
                            "Say what a job cost (default: the newest).",
                            "enxame bill 7 --calls",
                            options,
                            1,
                            0,
                            1 };
    cli_args       args;
    enx_store     *store = NULL;
    enx_report     report = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = cli_store_open(&store, &report);
    if (status == ENX_OK) status = show_bill(store, &args, has_calls, &report);
    enx_store_close(&store);
    return status == ENX_OK ? 0 : cli_fail("bill", &args, status, &report);
}

/* ---- cancel --------------------------------------------------------------------------------- */

static enx_status cancel(enx_store *store, const cli_args *args, enx_report *report)
{
    uint64_t  id = 0;
    int       fd = -1;
    bill_view view = { 0 };
    ENX_TRY(cli_job_id(args->operands.items[0], &id, report));
    ENX_TRY(enx_store_job_get(store, id, take_job, &view, report));
    const char *state = json_string_value(json_object_get(view.job, "state"));
    enx_status  status = ENX_OK;
    if (strcmp(state, "done") == 0)
        status = ENX_FAIL(report, INVALID, "job %llu is done", (unsigned long long)id);
    if (status == ENX_OK) status = cli_job_lock(id, &fd, report);
    if (status == ENX_OK)
        status = enx_store_job_set_state(store, id, "canceled", enx_clock_wall_us(), report);
    if (status == ENX_AGAIN) enx_report_wrap(report, "stop it by Ctrl-C first");
    if (status == ENX_OK && args->is_json)
        cli_print_json(json_pack("{s:I, s:s}", "job", (json_int_t)id, "state", "canceled"));
    else if (status == ENX_OK) printf("job %llu canceled\n", (unsigned long long)id);
    json_decref(view.job);
    return status;
}

int cmd_cancel(int argc, char **argv)
{
    const cli_spec spec = { "cancel JOB",
                            "Give a job up for good; its records and its bill stay.",
                            "enxame cancel 7",
                            NULL,
                            0,
                            1,
                            1 };
    cli_args       args;
    enx_store     *store = NULL;
    enx_report     report = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = cli_store_open(&store, &report);
    if (status == ENX_OK) status = cancel(store, &args, &report);
    enx_store_close(&store);
    return status == ENX_OK ? 0 : cli_fail("cancel", &args, status, &report);
}
