/* SPDX-License-Identifier: Apache-2.0 */
/* test_lines.c - lines become messages and commands. */
#include "cli/cli_lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Lines in a row, "" the last; one that begins with ^ was pasted with its end.  All but the last
 * are MORE, the last is `kind` and gives `text`. */
static void assert_lines(const char *const *given, cli_lines_kind kind, const char *text)
{
    cli_lines  lines;
    enx_report report = { 0 };
    cli_lines_init(&lines);
    for (int round = 0; round < 2; round++) /* and again: nothing is left of the first time */
        for (size_t i = 0; given[i]; i++) {
            const bool     is_pasted = given[i][0] == '^';
            const char    *line = given[i] + is_pasted;
            cli_lines_kind got = CLI_LINES_EMPTY;
            if (cli_lines_push(&lines, line, strlen(line), is_pasted, &got, &report) != ENX_OK)
                fail_msg("%s", report.text);
            assert_int_equal(got, given[i + 1] ? CLI_LINES_MORE : kind);
            if (given[i + 1] || kind == CLI_LINES_EMPTY) continue;
            assert_string_equal(enx_buf_text(&lines.text), text);
            assert_int_equal(lines.text.size_bytes, strlen(text));
        }
    cli_lines_deinit(&lines);
}
#define ASSERT_MESSAGE(text, ...) \
    assert_lines((const char *const[]){ __VA_ARGS__, NULL }, CLI_LINES_MESSAGE, text)
#define ASSERT_COMMAND(text, ...) \
    assert_lines((const char *const[]){ __VA_ARGS__, NULL }, CLI_LINES_COMMAND, text)
#define ASSERT_EMPTY(...) \
    assert_lines((const char *const[]){ __VA_ARGS__, NULL }, CLI_LINES_EMPTY, "")

static void a_line_is_a_message(void **state)
{
    (void)state;
    ASSERT_MESSAGE("hello", "hello");
    ASSERT_MESSAGE("  hello ", "  hello ");
    ASSERT_MESSAGE("a / b \"\"\"", "a / b \"\"\"");
    ASSERT_MESSAGE("/etc/passwd", "//etc/passwd");
    ASSERT_EMPTY("");
    ASSERT_EMPTY(" \t\r");
}

static void a_backslash_at_the_end_goes_on(void **state)
{
    (void)state;
    ASSERT_MESSAGE("a\nb", "a\\", "b");
    ASSERT_MESSAGE("a \n\n/b\n\"\"\"c", "a \\", "\\", "/b\\", "\"\"\"c");
    ASSERT_MESSAGE("a\n", "a\\", "");
    ASSERT_MESSAGE("a\\ ", "a\\ ");
}

static void quotes_hold_lines_as_they_are(void **state)
{
    (void)state;
    ASSERT_MESSAGE("a", "\"\"\"a\"\"\"");
    ASSERT_MESSAGE("a", "\"\"\"", "a", "\"\"\"");
    ASSERT_MESSAGE("a\n\n /b\\\n c", " \"\"\"a", "", " /b\\", " c\"\"\"  ");
    ASSERT_MESSAGE("a\n\n", "\"\"\"", "a", "", "", "\"\"\"");
    ASSERT_MESSAGE("\"", "\"\"\"", "\"\"\"\"");
    ASSERT_EMPTY("\"\"\"\"\"\"");
    ASSERT_EMPTY("\"\"\"", "\"\"\"");
    ASSERT_EMPTY("\"\"\"", "", " ", "\"\"\"");
}

static void pasted_lines_are_one_message(void **state)
{
    (void)state;
    ASSERT_MESSAGE("a\nb", "^a", "b");
    ASSERT_MESSAGE("/quit\n\"\"\"\nb\\\nc", "^/quit", "^\"\"\"", "^b\\", "c");
    ASSERT_MESSAGE("\na\n", "^", "^a", "");
    ASSERT_MESSAGE("x\n^y", "\"\"\"", "x", "^^y", "\"\"\"");
}

static void slashes_are_commands(void **state)
{
    (void)state;
    ASSERT_COMMAND("/quit", "/quit");
    ASSERT_COMMAND("/set temp 1", "  /set temp 1  ");
    ASSERT_COMMAND("/", "/");
}

static void the_end_of_input_ends_a_message(void **state)
{
    (void)state;
    cli_lines      lines;
    cli_lines_kind kind = CLI_LINES_MESSAGE;
    enx_report     report = { 0 };
    cli_lines_init(&lines);
    assert_int_equal(cli_lines_finish(&lines, &kind, &report), ENX_OK);
    assert_int_equal(kind, CLI_LINES_EMPTY);
    assert_int_equal(cli_lines_push(&lines, "a\\", 2, false, &kind, &report), ENX_OK);
    assert_int_equal(cli_lines_finish(&lines, &kind, &report), ENX_OK);
    assert_int_equal(kind, CLI_LINES_MESSAGE);
    assert_string_equal(enx_buf_text(&lines.text), "a\n");
    assert_int_equal(cli_lines_push(&lines, "\\", 1, false, &kind, &report), ENX_OK);
    assert_int_equal(cli_lines_finish(&lines, &kind, &report), ENX_OK);
    assert_int_equal(kind, CLI_LINES_EMPTY);
    assert_int_equal(cli_lines_push(&lines, "\"\"\"a", 4, false, &kind, &report), ENX_OK);
    assert_int_equal(cli_lines_finish(&lines, &kind, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "inside a block"));
    cli_lines_deinit(&lines);
}

static void what_is_no_text_is_refused_and_forgotten(void **state)
{
    (void)state;
    static char    big[CLI_MESSAGE_BYTES_MAX];
    cli_lines      lines;
    cli_lines_kind kind = CLI_LINES_EMPTY;
    enx_report     report = { 0 };
    cli_lines_init(&lines);
    assert_int_equal(cli_lines_push(&lines, "a\\", 2, false, &kind, &report), ENX_OK);
    assert_int_equal(cli_lines_push(&lines, "b\0c", 3, false, &kind, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "byte 2 of the text is zero"));
    assert_int_equal(cli_lines_push(&lines, "ol\xE1!", 4, false, &kind, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "byte 3 of the text is not UTF-8"));
    assert_int_equal(cli_lines_push(&lines, "c", 1, false, &kind, &report), ENX_OK);
    assert_int_equal(kind, CLI_LINES_MESSAGE);
    assert_string_equal(enx_buf_text(&lines.text), "c");
    memset(big, 'a', sizeof big);
    assert_int_equal(cli_lines_push(&lines, "\"\"\"a", 4, false, &kind, &report), ENX_OK);
    assert_int_equal(cli_lines_push(&lines, big, sizeof big, false, &kind, &report), ENX_LIMIT);
    assert_int_equal(cli_lines_push(&lines, "d", 1, false, &kind, &report), ENX_OK);
    assert_int_equal(kind, CLI_LINES_MESSAGE);
    cli_lines_deinit(&lines);
}

static void commands_have_words_and_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enx_status  status;
        cli_command command;
        const char *argument; /* of a failure: what is said */
    } cases[] = {
        { "/help", ENX_OK, CLI_COMMAND_HELP, "" },
        { "/quit  ", ENX_OK, CLI_COMMAND_QUIT, "" },
        { "/system Be  kind. ", ENX_OK, CLI_COMMAND_SYSTEM, "Be  kind. " },
        { "/system", ENX_OK, CLI_COMMAND_SYSTEM, "" },
        { "/set temp 0.5", ENX_OK, CLI_COMMAND_SET, "temp 0.5" },
        { "/save\ta b.json", ENX_OK, CLI_COMMAND_SAVE, "a b.json" },
        { "/save", ENX_INVALID, 0, "/save needs FILE" },
        { "/undo 2", ENX_INVALID, 0, "/undo takes nothing" },
        { "/undoo", ENX_INVALID, 0, "unknown command /undoo; did you mean /undo?" },
        { "/", ENX_INVALID, 0, "unknown command /;" },
        { "/Quit", ENX_INVALID, 0, "did you mean /quit?" },
        { "/a-word-that-is-longer-than-every-command-there-is", ENX_INVALID, 0, "unknown command" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cli_command command = CLI_COMMAND_COUNT;
        const char *argument = NULL;
        enx_report  report = { 0 };
        assert_int_equal(cli_command_parse(cases[i].line, &command, &argument, &report),
                         cases[i].status);
        if (cases[i].status != ENX_OK) {
            assert_non_null(strstr(report.text, cases[i].argument));
            continue;
        }
        assert_int_equal(command, cases[i].command);
        assert_string_equal(argument, cases[i].argument);
    }
    assert_string_equal(cli_command_word(CLI_COMMAND_SET), "set");
    for (int i = 0; i < CLI_COMMAND_COUNT; i++)
        assert_true(strlen(cli_command_help((cli_command)i)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_message),
        cmocka_unit_test(a_backslash_at_the_end_goes_on),
        cmocka_unit_test(quotes_hold_lines_as_they_are),
        cmocka_unit_test(pasted_lines_are_one_message),
        cmocka_unit_test(slashes_are_commands),
        cmocka_unit_test(the_end_of_input_ends_a_message),
        cmocka_unit_test(what_is_no_text_is_refused_and_forgotten),
        cmocka_unit_test(commands_have_words_and_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
