/* SPDX-License-Identifier: Apache-2.0 */
/* cli_terminal.h - a line of a person, edited by libedit.
 *
 * Where libedit was not there when this was built cli_terminal_open() gives NULL, always.
 *
 * Layer: cli.  Thread-safety: the main thread; one terminal at a time.
 * Source: editline(3); xterm's control sequences for bracketed paste.
 */
#ifndef ENX_CLI_CLI_TERMINAL_H
#define ENX_CLI_CLI_TERMINAL_H

#include "cli/cli_editor.h"

typedef struct cli_terminal cli_terminal;

/* On standard input and stderr.  NULL: there is no such thing, or no memory. */
cli_terminal *cli_terminal_open(void);
void          cli_terminal_close(cli_terminal **terminal);

/* As cli_editor_read; `line` is empty.  ENX_IO leaves errno. */
ENX_MUST_USE enx_status cli_terminal_read(cli_terminal *terminal, const char *prompt, enx_buf *line,
                                          cli_editor_kind *kind);
/* One more line to come back to. */
void                    cli_terminal_remember(cli_terminal *terminal, const char *line);

#endif /* ENX_CLI_CLI_TERMINAL_H */
