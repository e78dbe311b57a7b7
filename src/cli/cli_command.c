/* SPDX-License-Identifier: Apache-2.0 */
/* cli_command.c - one run of a check's program. */
#include "cli/cli_command.h"

#include <stdio.h>
#include <string.h>

static const uint64_t command_us = (uint64_t)CLI_COMMAND_SECONDS * 1000000;

static void describe(const enx_sandbox_result *result, char *reason, size_t reason_bytes)
{
    const char *said =
        result->err.size_bytes ? enx_buf_text(&result->err) : enx_buf_text(&result->out);
    if (result->is_stopped)
        snprintf(reason, reason_bytes, "the command was stopped: %s",
                 enx_sandbox_limit_text(result->limit));
    else
        snprintf(reason, reason_bytes, "exit status %d%s%.*s", result->exit_code, *said ? ": " : "",
                 (int)(strcspn(said, "\n") < 160 ? strcspn(said, "\n") : 160), said);
}

bool cli_check_command(enx_sandbox **sandbox, const char *command, enx_span answer, char *reason,
                       size_t reason_bytes)
{
    const char *const  argv[] = { "/bin/sh", "-c", command, NULL };
    enx_sandbox_task   task = { .argv = argv,
                                .stdin_bytes = answer.text,
                                .stdin_size_bytes = answer.size_bytes,
                                .limits = enx_sandbox_limits_default() };
    enx_report         report = { 0 };
    enx_sandbox_result result = { 0 };
    task.limits.cpu_us = task.limits.wall_us = command_us;
    enx_status status = *sandbox ? ENX_OK : enx_sandbox_open(sandbox, NULL, &report);
    if (status == ENX_OK) status = enx_sandbox_run(*sandbox, &task, &result, &report);
    if (status != ENX_OK) {
        snprintf(reason, reason_bytes, "the command could not be run: %.200s", report.text);
        return false;
    }
    const bool is_good = result.exit_code == 0 && !result.is_stopped;
    if (!is_good) describe(&result, reason, reason_bytes);
    enx_sandbox_result_deinit(&result);
    return is_good;
}
