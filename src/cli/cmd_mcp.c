/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_mcp.c - enxame mcp: the swarm as tools. */
#include "cli/cli.h"

int cmd_mcp(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
