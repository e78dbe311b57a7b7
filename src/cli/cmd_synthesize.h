/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_synthesize.h - enxame synthesize.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CMD_SYNTHESIZE_H
#define ENX_CLI_CMD_SYNTHESIZE_H

/* Returns the process's exit code. */
int cmd_synthesize(int argc, char **argv);

#endif /* ENX_CLI_CMD_SYNTHESIZE_H */
