/* SPDX-License-Identifier: Apache-2.0 */
/* cli_editor.c - lines as they come, and the file of history.
 *
 * The file has a line of text for each line.  Sessions append to it, so that two at a time lose
 * nothing; when it has grown to twice what is kept the next session cuts it. */
#include "cli/cli_editor.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_terminal.h"
#include "plat/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_MODE = 0600, OTHERS = 0077 };

struct cli_editor {
    const char   *history;  /* borrowed; NULL: none is kept */
    cli_terminal *terminal; /* owned; NULL: lines are read as they come */
};

/* ---- History -------------------------------------------------------------------------------- */

/* Where the last `count` lines of the text begin. */
static const char *last_lines(const char *text, size_t size_bytes, size_t count)
{
    const char *at = text + size_bytes;
    while (at > text && !(at[-1] == '\n' && at < text + size_bytes && count-- == 1)) at--;
    return at;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

static void load_history(cli_editor *e)
{
    enx_buf text;
    enx_buf_init(&text, CLI_EDITOR_HISTORY_BYTES_MAX);
    if (enx_file_exists(e->history) && enx_file_read(&text, e->history, NULL) == ENX_OK) {
        const char *all = enx_buf_text(&text);
        const char *kept = last_lines(all, text.size_bytes, CLI_EDITOR_LINES_MAX);
        if (count_lines(all) > 2 * CLI_EDITOR_LINES_MAX) {
            const mode_t mask = umask(OTHERS);
            (void)!enx_file_write(e->history, kept, strlen(kept), NULL);
            umask(mask);
        }
        for (char *at = text.data + (kept - all), *end; (end = strchr(at, '\n')); at = end + 1) {
            *end = '\0';
            cli_terminal_remember(e->terminal, at);
        }
    }
    enx_buf_deinit(&text);
}

static bool append(const char *path, const char *line)
{
    enx_buf   text;
    const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, HISTORY_MODE);
    bool      is_written = false;
    enx_buf_init(&text, CLI_EDITOR_LINE_BYTES_MAX + 1);
    if (file >= 0 && enx_buf_printf(&text, "%s\n", line) == ENX_OK)
        is_written = fchmod(file, HISTORY_MODE) == 0 &&
                     write(file, text.data, text.size_bytes) == (ssize_t)text.size_bytes;
    enx_buf_deinit(&text);
    if (file >= 0) close(file);
    return is_written;
}

void cli_editor_remember(cli_editor *e, const char *line)
{
    if (!e->terminal) return;
    cli_terminal_remember(e->terminal, line);
    if (!e->history || append(e->history, line)) return;
    fprintf(stderr, "enxame: %s: %s; lines are not kept\n", e->history, strerror(errno));
    e->history = NULL;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

enx_status cli_editor_open(cli_editor **out, const char *history, enx_report *report)
{
    cli_editor *e = ENX_MEM_NEW(cli_editor, 1);
    if (!e) return ENX_FAIL(report, NOMEM, "no memory for an editor of lines");
    e->history = history;
    if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) e->terminal = cli_terminal_open();
    if (e->terminal && history) load_history(e);
    *out = e;
    return ENX_OK;
}

void cli_editor_close(cli_editor **editor)
{
    if (!*editor) return;
    cli_terminal_close(&(*editor)->terminal);
    enx_mem_free(*editor);
    *editor = NULL;
}

/* Standard input is read byte by byte through stdio's buffer; a signal ends the waiting. */
static enx_status read_plain(enx_buf *line, cli_editor_kind *kind)
{
    int byte = 0;
    *kind = CLI_EDITOR_LINE;
    while ((byte = getc(stdin)) != EOF && byte != '\n') {
        const char c = (char)byte;
        ENX_TRY(enx_buf_append(line, &c, 1));
    }
    if (cli_was_interrupted() || cli_is_ending()) {
        *kind = cli_is_ending() ? CLI_EDITOR_END : CLI_EDITOR_INTERRUPT;
        cli_forget_interrupts();
        clearerr(stdin);
        return ENX_OK;
    }
    if (ferror(stdin)) return ENX_IO;
    if (byte == EOF && line->size_bytes == 0) *kind = CLI_EDITOR_END;
    return ENX_OK;
}

enx_status cli_editor_read(cli_editor *e, const char *prompt, enx_buf *line, cli_editor_kind *kind,
                           enx_report *report)
{
    enx_buf_clear(line);
    if (!e->terminal && isatty(STDIN_FILENO)) {
        fputs(prompt, stderr);
        fflush(stderr);
    }
    const enx_status status =
        e->terminal ? cli_terminal_read(e->terminal, prompt, line, kind) : read_plain(line, kind);
    if (status == ENX_IO) return ENX_FAIL(report, IO, "standard input: %s", strerror(errno));
    if (status != ENX_OK)
        return ENX_FAIL(report, LIMIT, "a line of more than %zu bytes", line->max_bytes);
    return ENX_OK;
}
