/* SPDX-License-Identifier: Apache-2.0 */
/* cli_lines.c - when a message is whole, and what a command says. */
#include "cli/cli_lines.h"

#include "base/nearest.h"
#include "text/utf8.h"

#include <string.h>

static const char quotes[] = "\"\"\"", space[] = " \t\r\n";

enum { QUOTES_BYTES = sizeof quotes - 1, WORD_BYTES_MAX = 32 };

void cli_lines_init(cli_lines *l)
{
    *l = (cli_lines){ .is_open = false };
    enx_buf_init(&l->text, CLI_MESSAGE_BYTES_MAX);
}

void cli_lines_deinit(cli_lines *l) { enx_buf_deinit(&l->text); }

void cli_lines_clear(cli_lines *l)
{
    enx_buf_clear(&l->text);
    l->is_open = l->is_block = false;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

/* The line without white space at its end. */
static size_t trim_end(const char *line, size_t size)
{
    while (size > 0 && strchr(space, line[size - 1])) size--;
    return size;
}

static bool ends_in_quotes(const char *line, size_t size)
{
    return size >= QUOTES_BYTES && memcmp(line + size - QUOTES_BYTES, quotes, QUOTES_BYTES) == 0;
}

/* A line within quotes: those at its end close. */
static enx_status push_quoted(cli_lines *l, const char *line, size_t size, cli_lines_kind *kind)
{
    const size_t trimmed = trim_end(line, size);
    const bool   is_end = ends_in_quotes(line, trimmed);
    const size_t taken = is_end ? trimmed - QUOTES_BYTES : size;
    l->is_block = l->is_open = !is_end;
    *kind = is_end ? CLI_LINES_MESSAGE : CLI_LINES_MORE;
    ENX_TRY(enx_buf_append(&l->text, line, taken));
    if (!is_end) return enx_buf_append(&l->text, "\n", 1);
    if (taken == 0 && l->text.size_bytes > 0) l->text.data[--l->text.size_bytes] = '\0';
    if (trim_end(enx_buf_text(&l->text), l->text.size_bytes) == 0) *kind = CLI_LINES_EMPTY;
    return ENX_OK;
}

static enx_status push_first(cli_lines *l, const char *line, size_t size, cli_lines_kind *kind)
{
    size_t first = 0;
    while (first < size && strchr(space, line[first])) first++;
    const size_t left = size - first;
    *kind = left == 0 ? CLI_LINES_EMPTY : CLI_LINES_COMMAND;
    if (left == 0) return ENX_OK;
    if (left >= QUOTES_BYTES && memcmp(line + first, quotes, QUOTES_BYTES) == 0) {
        first += QUOTES_BYTES;
        l->is_block = l->is_open = true;
        *kind = CLI_LINES_MORE;
        if (trim_end(line + first, size - first) == 0) return ENX_OK;
        return push_quoted(l, line + first, size - first, kind);
    }
    if (line[first] == '/' && !(left > 1 && line[first + 1] == '/'))
        return enx_buf_append(&l->text, line + first, trim_end(line, size) - first);
    if (line[first] == '/') {
        line += first + 1;
        size -= first + 1;
    }
    l->is_open = true;
    *kind = CLI_LINES_MESSAGE;
    return enx_buf_append(&l->text, line, size);
}

/* After a line that is not quoted: does the message go on? */
static enx_status go_on(cli_lines *l, bool is_pasted, cli_lines_kind *kind)
{
    const size_t size = l->text.size_bytes;
    const bool   is_joined = size > 0 && l->text.data[size - 1] == '\\' && !is_pasted;
    if (is_joined) l->text.data[--l->text.size_bytes] = '\0';
    l->is_open = is_joined || is_pasted;
    *kind = l->is_open ? CLI_LINES_MORE : CLI_LINES_MESSAGE;
    return l->is_open ? enx_buf_append(&l->text, "\n", 1) : ENX_OK;
}

static enx_status push_line(cli_lines *l, const char *line, size_t size, bool is_pasted,
                            cli_lines_kind *kind)
{
    if (l->is_block) return push_quoted(l, line, size, kind);
    if (l->is_open || is_pasted) {
        ENX_TRY(enx_buf_append(&l->text, line, size));
        return go_on(l, is_pasted, kind);
    }
    enx_buf_clear(&l->text);
    ENX_TRY(push_first(l, line, size, kind));
    return *kind == CLI_LINES_MESSAGE && l->is_open ? go_on(l, is_pasted, kind) : ENX_OK;
}

enx_status cli_lines_push(cli_lines *l, const char *line, size_t size_bytes, bool is_pasted,
                          cli_lines_kind *kind, enx_report *report)
{
    enx_status status = cli_check_text(line, size_bytes, report);
    if (status == ENX_OK && !l->is_open) enx_buf_clear(&l->text);
    if (status == ENX_OK) {
        status = push_line(l, line, size_bytes, is_pasted, kind);
        if (status != ENX_OK)
            (void)ENX_FAIL(report, LIMIT, "a message of more than %d bytes", CLI_MESSAGE_BYTES_MAX);
    }
    if (status != ENX_OK) cli_lines_clear(l);
    return status;
}

enx_status cli_lines_finish(cli_lines *l, cli_lines_kind *kind, enx_report *report)
{
    const bool is_block = l->is_block, is_open = l->is_open;
    l->is_open = l->is_block = false;
    if (is_block)
        return ENX_FAIL(report, INVALID, "the input ends inside a block; close it by %s", quotes);
    const bool has_text = is_open && trim_end(enx_buf_text(&l->text), l->text.size_bytes) > 0;
    *kind = has_text ? CLI_LINES_MESSAGE : CLI_LINES_EMPTY;
    return ENX_OK;
}

enx_status cli_check_text(const char *text, size_t size_bytes, enx_report *report)
{
    for (size_t at = 0; at < size_bytes;) {
        uint32_t     character = 0;
        const size_t size = enx_utf8_decode(text + at, size_bytes - at, &character);
        if (character == ENX_UTF8_INVALID)
            return ENX_FAIL(report, INVALID, "byte %zu of the text is not UTF-8", at + 1);
        if (character == 0)
            return ENX_FAIL(report, INVALID, "byte %zu of the text is zero; text is needed",
                            at + 1);
        at += size;
    }
    return ENX_OK;
}

/* ---- Commands ------------------------------------------------------------------------------- */

typedef struct command_row {
    const char *word, *argument, *help;
} command_row;

static const command_row commands[CLI_COMMAND_COUNT] = {
#define X(name, word, argument, help) { word, argument, help },
    CLI_COMMAND_MAP(X)
#undef X
};

enx_status cli_command_parse(const char *line, cli_command *command, const char **argument,
                             enx_report *report)
{
    char         word[WORD_BYTES_MAX] = "";
    const char  *words[CLI_COMMAND_COUNT];
    const size_t size = strcspn(line + 1, space);
    memcpy(word, line + 1, size < sizeof word ? size : sizeof word - 1);
    *argument = line + 1 + size;
    *argument += strspn(*argument, space);
    for (int i = 0; i < CLI_COMMAND_COUNT; i++) {
        const command_row *row = &commands[i];
        words[i] = row->word;
        if (strlen(row->word) != size || strcmp(row->word, word) != 0) continue;
        if (!row->argument[0] && **argument)
            return ENX_FAIL(report, INVALID, "/%s takes nothing behind it", row->word);
        if (row->argument[0] && row->argument[0] != '[' && !**argument)
            return ENX_FAIL(report, INVALID, "/%s needs %s", row->word, row->argument);
        *command = (cli_command)i;
        return ENX_OK;
    }
    const char *near = enx_nearest(word, words, CLI_COMMAND_COUNT);
    return ENX_FAIL(report, INVALID, "unknown command /%s%s%s%s; /help lists them, //%s says it",
                    word, near ? "; did you mean /" : "", near ? near : "", near ? "?" : "", word);
}

const char *cli_command_word(cli_command command) { return commands[command].word; }

const char *cli_command_argument(cli_command command) { return commands[command].argument; }

const char *cli_command_help(cli_command command) { return commands[command].help; }
