/* SPDX-License-Identifier: Apache-2.0 */
/* cli_lines.h - lines of a terminal or a pipe as messages and commands.
 *
 *   text            a message
 *   text \          goes on in the next line
 *   """             begins a block: lines up to the next that ends in """ are one message, as they
 *                   are; text may follow the first three quotes and precede the last
 *   /word text      a command; //text is the message /text
 *
 * Lines that were pasted together are one message, whatever is in them.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_LINES_H
#define ENX_CLI_CLI_LINES_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>

enum { CLI_MESSAGE_BYTES_MAX = 4 << 20 };

typedef enum cli_lines_kind {
    CLI_LINES_EMPTY,   /* nothing but white space; forgotten */
    CLI_LINES_MORE,    /* the next line belongs to it */
    CLI_LINES_MESSAGE, /* `text` is whole */
    CLI_LINES_COMMAND, /* `text` is the line, from the slash on */
} cli_lines_kind;

typedef struct cli_lines {
    enx_buf text;
    bool    is_open;  /* a message has begun */
    bool    is_block; /* ... by quotes */
} cli_lines;

void cli_lines_init(cli_lines *lines);
void cli_lines_deinit(cli_lines *lines);
/* Forget what has begun. */
void cli_lines_clear(cli_lines *lines);

/* One more line, without its end; is_pasted: its end was pasted.  After MESSAGE and COMMAND the
 * next push begins anew.  ENX_INVALID: a zero byte or no UTF-8; ENX_LIMIT, ENX_NOMEM: what had
 * begun is forgotten. */
ENX_MUST_USE enx_status cli_lines_push(cli_lines *lines, const char *line, size_t size_bytes,
                                       bool is_pasted, cli_lines_kind *kind, enx_report *report);
/* No more lines come: what has begun is whole (MESSAGE), or nothing has (EMPTY).  ENX_INVALID: a
 * block has no end. */
ENX_MUST_USE enx_status cli_lines_finish(cli_lines *lines, cli_lines_kind *kind,
                                         enx_report *report);

/* ENX_INVALID: not UTF-8, or a zero byte; says where. */
ENX_MUST_USE enx_status cli_check_text(const char *text, size_t size_bytes, enx_report *report);

/* X(NAME, word, what its argument is, help).  An argument in brackets may be left out. */
/* clang-format off */
#define CLI_COMMAND_MAP(X) \
    X(HELP, "help", "", "print this") \
    X(CLEAR, "clear", "", "begin a new conversation; the system prompt stays") \
    X(SYSTEM, "system", "[TEXT]", "set the system prompt (- for none), or show it") \
    X(UNDO, "undo", "", "drop the last exchange") \
    X(RETRY, "retry", "", "answer the last question again, with another seed") \
    X(SAVE, "save", "FILE", "write the conversation, as JSON") \
    X(LOAD, "load", "FILE", "go on with a conversation that was saved") \
    X(OPEN, "open", "[FILE]", "show what the answers made in a browser, or write it to a file") \
    X(SET, "set", "[KEY VALUE]", "change how tokens are chosen, or show it") \
    X(STATS, "stats", "", "tokens, time and cost so far") \
    X(QUIT, "quit", "", "end; so does Ctrl-D")

typedef enum cli_command {
#define X(name, word, argument, help) CLI_COMMAND_##name,
    CLI_COMMAND_MAP(X)
#undef X
    CLI_COMMAND_COUNT
} cli_command;
/* clang-format on */

/* *argument points into the line, behind white space; "" when there is none.  ENX_INVALID: an
 * unknown command, with the nearest known one; an argument that is missing or too much. */
ENX_MUST_USE enx_status cli_command_parse(const char *line, cli_command *command,
                                          const char **argument, enx_report *report);
/* "set", "[KEY VALUE]" and what it does. */
const char             *cli_command_word(cli_command command);
const char             *cli_command_argument(cli_command command);
const char             *cli_command_help(cli_command command);

#endif /* ENX_CLI_CLI_LINES_H */
