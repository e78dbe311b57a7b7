/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_resume.c - enxame resume: go on with a job that was stopped. */
#include "cli/cmd_run.h"

#include <stdio.h>
#include <string.h>

static enx_status resume_run(cli_job_settings *settings, uint64_t id, const char *out,
                             const cli_args *args, enx_report *report)
{
    static enx_buf       paths[CLI_LIST_MAX], texts[CLI_LIST_MAX];
    static cli_job_input inputs[CLI_LIST_MAX];
    enx_store           *store = NULL;
    size_t               count = 0;
    ENX_TRY(cli_store_open(&store, report));
    enx_status status = ENX_OK;
    for (; status == ENX_OK && count < CLI_LIST_MAX; count++) {
        enx_buf_init(&paths[count], CLI_PATH_BYTES_MAX);
        enx_buf_init(&texts[count], ENX_STORE_INPUT_BYTES_MAX);
        status =
            enx_store_input_get(store, id, (uint32_t)count, &paths[count], &texts[count], report);
        if (status == ENX_NOTFOUND) break;
        inputs[count] = (cli_job_input){ enx_buf_text(&paths[count]),
                                         { enx_buf_text(&texts[count]), texts[count].size_bytes } };
    }
    enx_store_close(&store);
    if (status == ENX_OK || (status == ENX_NOTFOUND && count > 0)) {
        *report = (enx_report){ 0 };
        status = cli_run_job(settings, id, inputs, count, out, args, report);
    }
    for (size_t i = 0; i < count; i++) {
        enx_buf_deinit(&paths[i]);
        enx_buf_deinit(&texts[i]);
    }
    return status;
}

/* What resuming may change. */
typedef struct changes {
    double      budget_usd;
    uint64_t    calls, tokens;
    bool        plans_only;
    const char *out;
} changes;

static enx_status resume(const cli_args *args, const changes *c, enx_report *report)
{
    enx_store       *store = NULL;
    cli_job_settings settings = { 0 };
    uint64_t         id = 0;
    ENX_TRY(cli_job_id(args->operands.items[0], &id, report));
    ENX_TRY(cli_store_open(&store, report));
    enx_status status = cli_job_settings_get(store, id, &settings, report);
    enx_store_close(&store);
    if (status == ENX_OK) {
        const char *state = json_string_value(json_object_get(settings.json, "state"));
        if (c->budget_usd > 0) settings.budget_usd = c->budget_usd;
        if (c->calls > 0) settings.caps.calls = c->calls;
        if (c->tokens > 0) settings.caps.tokens = c->tokens;
        settings.plans_only = c->plans_only;
        if (strcmp(state, "canceled") == 0)
            status = ENX_FAIL(report, CANCELED, "job %llu was canceled; start a new one",
                              (unsigned long long)id);
        else if (strcmp(settings.command, "map") == 0)
            status = cli_map_job(&settings, id, args, report);
        else status = resume_run(&settings, id, c->out, args, report);
    }
    cli_job_settings_close(&settings);
    return status;
}

int cmd_resume(int argc, char **argv)
{
    changes          c = { 0 };
    const cli_option options[] = {
        { "output", 'o', CLI_TEXT, (void *)&c.out, "FILE",
          "where the answer of a `run` goes (stdout)" },
        { "budget", '\0', CLI_REAL, &c.budget_usd, "USD", "a new budget for all of the job" },
        { "max-calls", '\0', CLI_UINT, &c.calls, "N",
          "a new limit on the calls of all of the job" },
        { "max-tokens", '\0', CLI_UINT, &c.tokens, "N",
          "a new limit on the tokens of all of the job" },
        { "plan-only", '\0', CLI_FLAG, &c.plans_only, NULL,
          "stop when there is a plan; resume again to carry it out" },
    };
    const cli_spec spec = { "resume JOB",
                            "Go on with a job that was stopped; what is finished is "
                            "neither done nor paid again.\nA job that is done gives its answer "
                            "again, for nothing.",
                            "enxame resume 7",
                            options,
                            sizeof options / sizeof *options,
                            1,
                            1 };
    cli_args       args;
    enx_report     report = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    cli_catch_interrupts();
    if (status == ENX_OK) status = resume(&args, &c, &report);
    return status == ENX_OK ? 0 : cli_fail("resume", &args, status, &report);
}
