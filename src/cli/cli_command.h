/* SPDX-License-Identifier: Apache-2.0 */
/* cli_command.h - a check that is a program of the user's: the answer on stdin, exit status 0.
 *
 * It runs in the sandbox: no network, no files but /usr, CPU and memory limited.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_COMMAND_H
#define ENX_CLI_CLI_COMMAND_H

#include "base/span.h"
#include "sandbox/sandbox.h"

enum { CLI_COMMAND_SECONDS = 10 };

/* `command` goes through /bin/sh.  *sandbox is opened when it is NULL.  false, with a sentence: the
 * command says no, cannot be run, or is at its limits. */
bool cli_check_command(enx_sandbox **sandbox, const char *command, enx_span answer, char *reason,
                       size_t reason_bytes);

#endif /* ENX_CLI_CLI_COMMAND_H */
