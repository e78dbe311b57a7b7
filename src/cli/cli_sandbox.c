/* SPDX-License-Identifier: Apache-2.0 */
/* cli_sandbox.c - which sandbox, and what is said of it. */
#include "cli/cli_sandbox.h"

#include <stdio.h>

cli_option cli_sandbox_option(bool *is_weak)
{
    return (cli_option){ "weak",  '\0', CLI_FLAG,
                         is_weak, NULL, "a sandbox without namespaces, where the host gives none" };
}

enx_status cli_sandbox_open(enx_sandbox **out, bool is_weak, const char *command,
                            enx_report *report)
{
    if (!is_weak) return enx_sandbox_open(out, NULL, report);
    ENX_TRY(enx_sandbox_open_weak(out, 0, report));
    fprintf(stderr, "enxame %s: programs run in the weaker sandbox, without namespaces\n", command);
    return ENX_OK;
}
