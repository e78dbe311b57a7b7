/* SPDX-License-Identifier: Apache-2.0 */
/* answer_check.c - one run, and a sentence from what it printed. */
#include "sandbox/answer_check.h"

#include <stdio.h>
#include <string.h>

enx_sandbox_limits enx_answer_check_limits(void)
{
    enx_sandbox_limits limits = enx_sandbox_limits_default();
    limits.cpu_us = limits.wall_us = 5 * 1000000;
    limits.memory_bytes = 256 << 20;
    limits.processes = 16;
    limits.stdout_bytes = limits.stderr_bytes = 64 << 10;
    return limits;
}

/* The last line that is not empty; *size is 0 without one. */
static const char *last_line(const enx_buf *text, size_t *size)
{
    const char *from = enx_buf_text(text), *end = from + text->size_bytes;
    while (end > from && (end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\r')) end--;
    const char *start = end;
    while (start > from && start[-1] != '\n') start--;
    *size = (size_t)(end - start);
    return start;
}

static void write_reason(char *reason, size_t reason_bytes, const enx_sandbox_result *r,
                         enx_program_step step)
{
    size_t      size;
    const char *line = last_line(&r->err, &size);
    if (size == 0) line = last_line(&r->out, &size);
    if (r->limit != ENX_SANDBOX_LIMIT_NONE && (r->is_stopped || r->signal))
        snprintf(reason, reason_bytes, "the check came to its limit of %s",
                 enx_sandbox_limit_text(r->limit));
    else if (step == ENX_PROGRAM_COMPILE)
        snprintf(reason, reason_bytes, "the check does not compile: %.*s", (int)size, line);
    else if (size > 0) snprintf(reason, reason_bytes, "%.*s", (int)size, line);
    else if (r->signal) snprintf(reason, reason_bytes, "the check ended by signal %d", r->signal);
    else snprintf(reason, reason_bytes, "the check ended with exit code %d", r->exit_code);
}

enx_status enx_answer_check(const enx_sandbox *sandbox, const enx_program *program,
                            const enx_sandbox_limits *limits, const char *answer,
                            size_t answer_bytes, bool *passes, char *reason, size_t reason_bytes,
                            enx_report *report)
{
    enx_sandbox_result     result;
    enx_program_step       step;
    const enx_sandbox_task task = { .stdin_bytes = answer,
                                    .stdin_size_bytes = answer_bytes,
                                    .limits = *limits };
    ENX_TRY(enx_program_run(sandbox, program, &task, &result, &step, report));
    *passes = step == ENX_PROGRAM_RUN && !result.is_stopped && result.exit_code == 0;
    if (*passes) snprintf(reason, reason_bytes, "%s", "");
    else write_reason(reason, reason_bytes, &result, step);
    enx_sandbox_result_deinit(&result);
    return ENX_OK;
}
