/* SPDX-License-Identifier: Apache-2.0 */
/* cli_sandbox.h - the sandbox that a command runs programs in, full or, when asked for, weaker.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_SANDBOX_H
#define ENX_CLI_CLI_SANDBOX_H

#include "cli/cli.h"
#include "sandbox/sandbox.h"

/* The option --weak, into *is_weak. */
cli_option cli_sandbox_option(bool *is_weak);

/* A weaker one is told on stderr in the name of `command`.  The failures of enx_sandbox_open and
 * enx_sandbox_open_weak. */
ENX_MUST_USE enx_status cli_sandbox_open(enx_sandbox **out, bool is_weak, const char *command,
                                         enx_report *report);

#endif /* ENX_CLI_CLI_SANDBOX_H */
