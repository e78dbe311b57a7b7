/* SPDX-License-Identifier: Apache-2.0 */
/* cli_tests.h - tests that a model writes from the request, and what becomes of them when programs
 * fail.
 *
 * A test by a model is an opinion.  It counts when it is a program that an empty answer fails; it
 * is written by a model that writes no program of the job, and where it refuses two programs the
 * lead is shown both sides and says which is wrong.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_TESTS_H
#define ENX_CLI_CLI_TESTS_H

#include "cli/cli_asked.h"
#include "cli/cli_code.h"

enum { CLI_TESTS_TRIES_MAX = 3 };

/* Append a test for what `task` asks for, by number `model` of the swarm.  ENX_FORMAT: none of
 * CLI_TESTS_TRIES_MAX answers was a test; else the failures of cli_asked_ask and cli_code_judge. */
ENX_MUST_USE enx_status cli_tests_write(enx_buf *out, cli_asked *asked, uint32_t model,
                                        const cli_code_task *task, const enx_sandbox *sandbox,
                                        enx_report *report);

/* The program fails the task's test, as `log` says: *is_test_wrong as number `model` judges. */
ENX_MUST_USE enx_status cli_tests_doubt(bool *is_test_wrong, cli_asked *asked, uint32_t model,
                                        const cli_code_task *task, const char *program,
                                        const char *log, enx_report *report);

#endif /* ENX_CLI_CLI_TESTS_H */
