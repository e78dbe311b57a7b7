/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.h - what `resume` needs of `run` and `map`.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CMD_RUN_H
#define ENX_CLI_CMD_RUN_H

#include "cli/cli_job.h"

/* Run (id 0: a new job over `inputs`, else go on with that one) and deliver the answer to `out`
 * (NULL: standard output).  The failures of the job's end come after the delivery. */
ENX_MUST_USE enx_status cli_run_job(cli_job_settings *settings, uint64_t id,
                                    const cli_job_input *inputs, size_t input_count,
                                    const char *out, const cli_args *args, enx_report *report);

/* The same for `map`: the records of settings->in, answers to settings->out. */
ENX_MUST_USE enx_status cli_map_job(cli_job_settings *settings, uint64_t id, const cli_args *args,
                                    enx_report *report);

#endif /* ENX_CLI_CMD_RUN_H */
