/* SPDX-License-Identifier: Apache-2.0 */
/* cli_editor.h - lines from a person or a pipe.
 *
 * On a terminal, with libedit, a line can be edited and the ones of earlier sessions come back;
 * what is pasted comes as it is, line breaks too, and Ctrl-Z and a new window size are survived.
 * Without libedit, or where standard input is no terminal, lines are read as they come.  The
 * prompt goes to stderr.
 *
 * The terminal is in its own state again whenever a call returns.
 *
 * Layer: cli.  Thread-safety: the main thread; one editor at a time.
 */
#ifndef ENX_CLI_CLI_EDITOR_H
#define ENX_CLI_CLI_EDITOR_H

#include "base/buf.h"
#include "base/status.h"

enum {
    CLI_EDITOR_LINES_MAX = 1000, /* of history */
    CLI_EDITOR_LINE_BYTES_MAX = 4 << 20,
    CLI_EDITOR_HISTORY_BYTES_MAX = 64 << 20,
};

typedef struct cli_editor cli_editor;

typedef enum cli_editor_kind {
    CLI_EDITOR_LINE,
    CLI_EDITOR_PASTED,    /* a line whose end was pasted */
    CLI_EDITOR_END,       /* no more lines */
    CLI_EDITOR_INTERRUPT, /* SIGINT, as cli_count_interrupts() sees it; what was typed is gone */
} cli_editor_kind;

/* `history` is the path of a file for lines, mode 0600; NULL: none is kept.  ENX_NOMEM. */
ENX_MUST_USE enx_status cli_editor_open(cli_editor **out, const char *history, enx_report *report);
void                    cli_editor_close(cli_editor **editor);

/* Replace `line` by the next one, without its end.  ENX_IO; ENX_LIMIT, ENX_NOMEM of `line`. */
ENX_MUST_USE enx_status cli_editor_read(cli_editor *editor, const char *prompt, enx_buf *line,
                                        cli_editor_kind *kind, enx_report *report);
/* Put a line into the history.  A file that cannot be written is told once, on stderr. */
void                    cli_editor_remember(cli_editor *editor, const char *line);

#endif /* ENX_CLI_CLI_EDITOR_H */
