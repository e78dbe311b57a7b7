/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_train.h - enxame train.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CMD_TRAIN_H
#define ENX_CLI_CMD_TRAIN_H

/* Returns the process's exit code. */
int cmd_train(int argc, char **argv);

#endif /* ENX_CLI_CMD_TRAIN_H */
