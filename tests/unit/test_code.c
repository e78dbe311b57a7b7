/* SPDX-License-Identifier: Apache-2.0 */
/* test_code.c - programs out of answers, and their judgement. */
#include "cli/cli_code.h"
#include "cli/cli_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static enx_sandbox *sandbox; /* NULL: this host has none */

static void expect_program(const char *answer, const char *want)
{
    enx_buf out;
    enx_buf_init(&out, 1 << 16);
    assert_int_equal(cli_code_extract(&out, answer), ENX_OK);
    assert_string_equal(enx_buf_text(&out), want);
    enx_buf_deinit(&out);
}

static void programs_are_found_in_answers(void **state)
{
    (void)state;
    expect_program("```python\nx = 1\n```\n", "x = 1\n");
    expect_program("Here you are:\n```\nx = 1\n```\nThat is all.", "x = 1\n");
    expect_program("x = 1\n", "x = 1\n");
    expect_program("\n\n  x = 1", "x = 1");
    expect_program("```sh\na\n```\nor\n```sh\nlonger\n```", "longer\n");
    expect_program("```c\nint x;\nint y;", "int x;\nint y;");
    expect_program("<think>\n```c\nwrong wrong wrong\n```\n</think>\n```c\nright\n```", "right\n");
    expect_program("a `b` ``` c", "a `b` ``` c");
}

static void answers_without_a_program_give_none(void **state)
{
    (void)state;
    expect_program("", "");
    expect_program("  \n\t\n", "");
    expect_program("```python\n```", "");
    expect_program("```", "");
    expect_program("<think>I wonder</think>", "");
}

static void the_message_has_task_language_and_test(void **state)
{
    (void)state;
    cli_code_task task = { .what = "add two numbers",
                           .language = enx_language_find("js"),
                           .test = "check()",
                           .test_bytes = 7 };
    enx_buf       out;
    enx_buf_init(&out, 1 << 16);
    assert_int_equal(cli_code_ask(&out, &task), ENX_OK);
    assert_non_null(strstr(enx_buf_text(&out), "JavaScript for Node: add two numbers"));
    assert_non_null(strstr(enx_buf_text(&out), "program.js"));
    assert_non_null(strstr(enx_buf_text(&out), "check()"));
    enx_buf_deinit(&out);
    enx_buf_init(&out, 10);
    assert_int_equal(cli_code_ask(&out, &task), ENX_LIMIT);
    enx_buf_deinit(&out);
}

typedef struct judged {
    const char *language, *test, *program;
    bool        has_passed;
    const char *says; /* in the log */
} judged;

/* Each language: right, wrong, broken, and one that ends the test before its end. */
static const judged cases[] = {
    { "c", "#include \"program.c\"\n#include <assert.h>\nint main() { assert(f(2) == 4); }",
      "int f(int x) { return 2 * x; }", true, "passed" },
    { "c", "#include \"program.c\"\n#include <assert.h>\nint main(void) { assert(f(2) == 4); }",
      "int f(int x) { return x; }", false, "Assertion" },
    { "c", "#include \"program.c\"\nint main() { return f(); }", "int f() { return x; }", false,
      "does not compile\n" },
    { "c", "#include \"program.c\"\nint main() { return f(); }",
      "#include <stdlib.h>\nint f() { exit(0); }", false, "did not run to its end" },
    { "python", "from program import f\nassert f(2) == 4", "f = lambda x: 2 * x", true, "passed" },
    { "python", "from program import f\nassert f(2) == 4", "f = lambda x: x", false,
      "AssertionError" },
    { "python", "from program import f\nassert f(2) == 4", "import sys\nsys.exit(0)", false,
      "did not run to its end" },
    { "python", "from program import f\nassert f(2) == 4", "import os\nos._exit(0)", false,
      "did not run to its end" },
    { "python",
      "import unittest, program\nclass T(unittest.TestCase):\n"
      "  def test(self): self.assertEqual(program.x, 1)\nunittest.main()",
      "x = 1", true, "OK" },
    { "python",
      "import unittest, program\nclass T(unittest.TestCase):\n"
      "  def test(self): self.assertEqual(program.x, 1)\nunittest.main()",
      "x = 2", false, "FAILED" },
    { "python", "import program", "while True: pass", false, "limit of" },
    { "js", "require('assert')(require('./program.js')(2) === 4)", "module.exports = x => 2 * x",
      true, "passed" },
    { "js", "require('assert')(require('./program.js')(2) === 4)", "module.exports = x => x", false,
      "AssertionError" },
    { "js", "require('assert')(require('./program.js')(2) === 4)", "process.exit(0)", false,
      "did not run to its end" },
    { "sh", ". ./program.sh\n[ \"$(f 2)\" = 4 ]", "f() { echo $(($1 * 2)); }", true, "passed" },
    { "sh", ". ./program.sh\n[ \"$(f 2)\" = 4 ]", "f() { echo $1; }", false, "exit code 1" },
    { "sh", ". ./program.sh\n[ \"$(f 2)\" = 4 ]", "exit 0", false, "did not run to its end" },
    { "sql", ".read program.sql\ncreate table c(x check (x = 4));\ninsert into c select y from v;",
      "create view v as select 2 * 2 as y;", true, "passed" },
    { "sql", ".read program.sql\ncreate table c(x check (x = 4));\ninsert into c select y from v;",
      "create view v as select 2 as y;", false, "CHECK constraint failed" },
    { "python", NULL, "print('fine')", true, "fine" },
    { "python", NULL, "print(1 / 0)", false, "ZeroDivisionError" },
    { "python", NULL, "", false, "holds no code" },
    { "c", NULL, "int main(void) { return 3; }", false, "exit code 3" },
    { "sh", NULL, "kill -9 $$", false, "signal 9" },
};

static void programs_are_judged_by_running(void **state)
{
    (void)state;
    if (!sandbox) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const judged *c = &cases[i];
        cli_code_task task = { .what = "",
                               .language = enx_language_find(c->language),
                               .test = c->test,
                               .test_bytes = c->test ? strlen(c->test) : 0,
                               .limits = enx_sandbox_limits_default() };
        enx_report    report = { 0 };
        enx_buf       log;
        bool          has_passed = !c->has_passed;
        if (enx_language_check(task.language, &report) != ENX_OK) {
            print_message("left out: %s\n", report.text);
            continue;
        }
        task.limits.cpu_us = 1000000;
        enx_buf_init(&log, 1 << 16);
        if (cli_code_judge(sandbox, &task, c->program, &has_passed, &log, &report) != ENX_OK)
            fail_msg("case %zu: %s", i, report.text);
        if (has_passed != c->has_passed || !strstr(enx_buf_text(&log), c->says) ||
            strstr(enx_buf_text(&log), "run to its end\n\n"))
            fail_msg("case %zu, %s: %s", i, c->program, enx_buf_text(&log));
        enx_buf_deinit(&log);
    }
}

static void long_output_keeps_both_ends(void **state)
{
    (void)state;
    if (!sandbox) skip();
    cli_code_task task = { .what = "",
                           .language = enx_language_find("sh"),
                           .limits = enx_sandbox_limits_default() };
    enx_buf       log;
    bool          has_passed;
    enx_buf_init(&log, 1 << 16);
    assert_int_equal(cli_code_judge(sandbox, &task, "echo first; seq 10000; echo last; exit 1",
                                    &has_passed, &log, NULL),
                     ENX_OK);
    assert_true(log.size_bytes < CLI_CODE_LOG_BYTES_MAX + 100);
    assert_non_null(strstr(enx_buf_text(&log), "exit code 1\nfirst\n1\n"));
    assert_non_null(strstr(enx_buf_text(&log), "10000\nlast\n"));
    enx_buf_deinit(&log);
}

static void examples_are_read_or_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{\"input\": \"a\"}",
        "{\"output\": 3}",
        "{\"call\": \"f()\"}",
        "[]",
        "{\"output\": \"a\"}\n{\"call\": \"f()\", \"output\": 1}",
        "{\"output\": \"a\"",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cli_examples *e = NULL;
        enx_report    report = { 0 };
        assert_int_equal(cli_examples_open(&e, "x", bad[i], &report), ENX_FORMAT);
        assert_null(e);
        assert_true(report.text[0] == 'x');
    }
    cli_examples *e = NULL;
    assert_int_equal(cli_examples_open(&e, "x",
                                       "\n{\"input\": \"1\", \"output\": \"2\"}\n\n"
                                       "{\"output\": \"3\"}",
                                       NULL),
                     ENX_OK);
    assert_int_equal(cli_examples_count(e), 2);
    assert_string_equal(cli_examples_get(e, 0).input, "1");
    assert_string_equal(cli_examples_get(e, 1).input, "");
    assert_string_equal(cli_examples_get(e, 1).output, "3");
    cli_examples_close(&e);
}

static void outputs_agree_but_for_white_space_at_ends(void **state)
{
    (void)state;
    assert_true(cli_examples_agree("a\nb", "a \nb\n\n"));
    assert_true(cli_examples_agree("", "\n \n"));
    assert_true(cli_examples_agree("a\r\n", "a"));
    assert_false(cli_examples_agree(" a", "a"));
    assert_false(cli_examples_agree("a\nb", "a"));
    assert_false(cli_examples_agree("a", "a\n\nb"));
    assert_false(cli_examples_agree("a\n\nb", "a\nb"));
}

/* Values that two languages write in different ways, and characters outside of every plane but one.
 */
static void examples_of_calls_become_a_test(void **state)
{
    (void)state;
    if (!sandbox) skip();
    static const char calls[] =
        "{\"call\": \"f([1, 2])\", \"output\": [[2, 4], \"\\ud83d\\ude00\\n'\\\"\"]}";
    static const char *const programs[][2] = {
        { "python", "def f(x): return [2 * y for y in x], '\U0001f600\\n\\'\"'" },
        { "js", "module.exports = { f: x => [x.map(y => 2 * y), '\\u{1f600}\\n\\'\"'] };" },
    };
    cli_examples *e = NULL;
    assert_int_equal(cli_examples_open(&e, "x", calls, NULL), ENX_OK);
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        enx_buf test, log;
        bool    has_passed = false;
        enx_buf_init(&test, 1 << 16);
        enx_buf_init(&log, 1 << 16);
        assert_int_equal(cli_examples_test(&test, e, programs[i][0], NULL), ENX_OK);
        const cli_code_task task = { .what = "",
                                     .language = enx_language_find(programs[i][0]),
                                     .test = enx_buf_text(&test),
                                     .test_bytes = test.size_bytes,
                                     .limits = enx_sandbox_limits_default() };
        assert_int_equal(cli_code_judge(sandbox, &task, programs[i][1], &has_passed, &log, NULL),
                         ENX_OK);
        if (!has_passed) fail_msg("%s: %s", programs[i][0], enx_buf_text(&log));
        enx_buf_deinit(&test);
        enx_buf_deinit(&log);
    }
    enx_buf none;
    enx_buf_init(&none, 1 << 16);
    assert_int_equal(cli_examples_test(&none, e, "c", NULL), ENX_UNSUPPORTED);
    enx_buf_deinit(&none);
    cli_examples_close(&e);
}

static void expect_wrapped(const char *page, const char *before, const char *after)
{
    enx_buf out;
    enx_buf_init(&out, 1 << 16);
    assert_int_equal(cli_page_wrap(&out, page, false), ENX_OK);
    assert_memory_equal(enx_buf_text(&out), before, strlen(before));
    assert_memory_equal(enx_buf_text(&out) + strlen(before), "<script>", 8);
    assert_string_equal(enx_buf_text(&out) + out.size_bytes - strlen(after), after);
    enx_buf_deinit(&out);
}

static void pages_are_watched_from_their_head_on(void **state)
{
    (void)state;
    expect_wrapped("<!doctype html>\n<HEAD lang=x>\n<p>", "<!doctype html>\n<HEAD lang=x>",
                   "\n<p>");
    expect_wrapped("<!doctype html><header>x", "<!doctype html>", "<header>x");
    expect_wrapped("<p>x", "", "<p>x");
    expect_wrapped("<head", "", "<head");
}

static void what_the_console_said_is_found(void **state)
{
    (void)state;
    static const char log[] =
        "[9:9:1129/004826.5:ERROR:dbus/bus.cc:405] Failed: \"x\", source: y\n"
        "[9:9:1129/004829.1:INFO:CONSOLE:1] \"a \"b\", source: c\", source: file:///m (1)\n"
        "[9:9:1129/004829.1:INFO:CONSOLE(12)] \"enxame: fault: it\", source: file:///m (1)\n"
        "[9:9:1129/004829.1:INFO:CONSOLE(1)] \"" CLI_PAGE_MARK "\", source: file:///m (1)\n"
        ":CONSOLE:1] \"not a line of its own\"\n";
    enx_buf out;
    bool    has_passed = false;
    enx_buf_init(&out, 1 << 16);
    assert_int_equal(cli_page_read(&out, log, &has_passed), ENX_OK);
    assert_true(has_passed);
    assert_string_equal(enx_buf_text(&out), "a \"b\", source: c\nit\n");
    enx_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_found_in_answers),
        cmocka_unit_test(answers_without_a_program_give_none),
        cmocka_unit_test(the_message_has_task_language_and_test),
        cmocka_unit_test(programs_are_judged_by_running),
        cmocka_unit_test(long_output_keeps_both_ends),
        cmocka_unit_test(examples_are_read_or_named),
        cmocka_unit_test(outputs_agree_but_for_white_space_at_ends),
        cmocka_unit_test(examples_of_calls_become_a_test),
        cmocka_unit_test(pages_are_watched_from_their_head_on),
        cmocka_unit_test(what_the_console_said_is_found),
    };
    enx_report report = { 0 };
    enx_status status = enx_sandbox_open(&sandbox, NULL, &report);
    if (status == ENX_OK) status = enx_sandbox_probe(sandbox, &report);
    if (status != ENX_OK) {
        printf("without a sandbox: %s\n", report.text);
        enx_sandbox_close(&sandbox);
    }
    const int code = cmocka_run_group_tests(tests, NULL, NULL);
    enx_sandbox_close(&sandbox);
    return code;
}
