/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_talk.c - what is typed or loaded into a conversation, from any bytes:
 *
 * (1) lines become messages and commands that are UTF-8 without zero bytes, or are refused;
 * (2) a file of messages is refused, and then nothing changes, or it is loaded; what is saved
 *     again is the same conversation;
 * (3) dropping exchanges ends, and each time there is one less.
 *
 * A line that begins with the byte 1 was pasted with its end.
 */
#include "base/check.h"
#include "cli/cli_lines.h"
#include "cli/cli_talk.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(const char *text, size_t size)
{
    cli_lines      lines;
    cli_lines_kind kind = CLI_LINES_EMPTY;
    cli_lines_init(&lines);
    for (size_t at = 0; at < size;) {
        const char  *end = memchr(text + at, '\n', size - at);
        const size_t line_size = end ? (size_t)(end - text) - at : size - at;
        const bool   is_pasted = line_size > 0 && text[at] == 1;
        const char  *line = text + at + is_pasted;
        at += line_size + 1;
        if (cli_lines_push(&lines, line, line_size - is_pasted, is_pasted, &kind, NULL) != ENX_OK)
            continue;
        ENX_CHECK(cli_check_text(enx_buf_text(&lines.text), lines.text.size_bytes, NULL) == ENX_OK);
        ENX_CHECK((kind == CLI_LINES_MORE) == lines.is_open);
        if (kind != CLI_LINES_COMMAND) continue;
        cli_command command = CLI_COMMAND_COUNT;
        const char *argument = NULL;
        if (cli_command_parse(enx_buf_text(&lines.text), &command, &argument, NULL) == ENX_OK)
            ENX_CHECK(command < CLI_COMMAND_COUNT && argument);
    }
    (void)!cli_lines_finish(&lines, &kind, NULL);
    ENX_CHECK(!lines.is_open);
    cli_lines_deinit(&lines);
}

static void check_talk(const char *text, size_t size)
{
    cli_talk talk, again;
    ENX_CHECK(cli_talk_init(&talk, NULL) == ENX_OK && cli_talk_init(&again, NULL) == ENX_OK);
    ENX_CHECK(cli_talk_ask(&talk, "kept", NULL) == ENX_OK);
    if (cli_talk_load(&talk, text, size, NULL) != ENX_OK)
        ENX_CHECK(json_array_size(talk.messages) == 1);
    char *dump = json_dumps(talk.messages, JSON_COMPACT);
    ENX_CHECK(dump && cli_talk_load(&again, dump, strlen(dump), NULL) == ENX_OK);
    ENX_CHECK(json_equal(talk.messages, again.messages));
    const size_t exchanges = cli_talk_exchange_count(&talk);
    for (size_t left = exchanges; cli_talk_drop_oldest(&talk);)
        ENX_CHECK(cli_talk_exchange_count(&talk) == --left);
    ENX_CHECK(cli_talk_exchange_count(&talk) == (exchanges > 0));
    for (size_t left = exchanges; cli_talk_drop_last(&again);)
        ENX_CHECK(cli_talk_exchange_count(&again) == --left);
    ENX_CHECK(cli_talk_exchange_count(&again) == 0);
    free(dump);
    cli_talk_deinit(&talk);
    cli_talk_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_lines((const char *)data, size);
    check_talk((const char *)data, size);
    return 0;
}
