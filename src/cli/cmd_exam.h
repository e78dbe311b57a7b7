/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_exam.h - enxame exam.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CMD_EXAM_H
#define ENX_CLI_CMD_EXAM_H

/* Returns the process's exit code. */
int cmd_exam(int argc, char **argv);

#endif /* ENX_CLI_CMD_EXAM_H */
