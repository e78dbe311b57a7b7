/* SPDX-License-Identifier: Apache-2.0 */
/* test_fix.c - what the judge says, and what is repaired by the model that is shipped: argv[1]. */
#include "cli/cli_fix.h"
#include "plat/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static enx_sandbox *sandbox; /* NULL: not on this machine */
static enx_ranker  *ranker;

/* ---- The judge ------------------------------------------------------------------------------ */

static bool judge(enx_parser_verdict *out, const char *language, const char *text,
                  enx_parser_change change)
{
    enx_report       report = { 0 };
    const enx_status status =
        enx_parser_ask(out, sandbox, language, text, strlen(text), &change, 1, &report);
    if (status == ENX_NOTFOUND) return false; /* no such toolchain here */
    if (status != ENX_OK) fail_msg("%s", report.text);
    return true;
}

static void each_parser_accepts_and_refuses(void **state)
{
    (void)state;
    static const struct {
        const char       *language, *text;
        enx_parser_change change; /* mends it */
        uint32_t          line;
    } rows[] = {
        { "python", "x = 1\ny = (2\n", { 12, 0, ")" }, 2 },
        { "json", "{\"a\" 1}", { 4, 0, ":" }, 1 },
        { "js", "let a = [1, 2;\n", { 13, 0, "]" }, 1 },
        { "js", "import a from 'a';\nexport default [1, 2;\n", { 39, 0, "]" }, 0 },
        { "c", "int f(int a)\n{\n    return a\n}\n", { 27, 0, ";" }, 3 },
    };
    if (!sandbox) skip();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enx_parser_verdict v;
        if (!judge(&v, rows[i].language, rows[i].text, (enx_parser_change){ .insert = "" }))
            continue;
        assert_true(v.is_judged && !v.is_accepted && v.words[0]);
        assert_int_equal(v.line, rows[i].line);
        assert_true(judge(&v, rows[i].language, rows[i].text, rows[i].change));
        assert_true(v.is_judged && v.is_accepted);
    }
}

static void nothing_of_a_text_is_executed(void **state)
{
    (void)state;
    enx_parser_verdict v;
    if (!sandbox) skip();
    assert_true(judge(&v, "python", "while True: pass\n", (enx_parser_change){ .insert = "" }));
    assert_true(v.is_accepted);
    if (judge(&v, "js", "for (;;);\n", (enx_parser_change){ .insert = "" }))
        assert_true(v.is_accepted);
}

static void what_cannot_be_judged_is_refused(void **state)
{
    (void)state;
    enx_parser_verdict      v[2];
    enx_report              report = { 0 };
    const enx_parser_change none = { .insert = "" };
    if (!sandbox) skip();
    assert_int_equal(enx_parser_ask(v, sandbox, "cobol", "", 0, &none, 1, &report), ENX_INVALID);
    assert_int_equal(
        enx_parser_ask(v, sandbox, "python", "", ENX_PARSER_TEXT_BYTES_MAX + 1, &none, 1, &report),
        ENX_LIMIT);
    assert_int_equal(
        enx_parser_ask(v, sandbox, "python", "", 0, &none, ENX_PARSER_CHANGES_MAX + 1, &report),
        ENX_LIMIT);
}

/* ---- Repair --------------------------------------------------------------------------------- */

static void repairs(enx_code code, const char *damaged, const char *text, uint32_t rounds)
{
    enx_report          report = { 0 };
    cli_fix             fix;
    const cli_fix_tools tools = { .sandbox = sandbox, .ranker = ranker, .rounds_max = 4 };
    const enx_status status = cli_fix_text(&fix, &tools, code, damaged, strlen(damaged), &report);
    if (status != ENX_NOTFOUND) {
        if (status != ENX_OK) fail_msg("%s", report.text);
        assert_true(fix.is_accepted);
        assert_string_equal(enx_buf_text(&fix.text), text);
        assert_int_equal(fix.rounds, rounds);
        assert_int_equal(fix.edit_count, rounds);
        assert_true(fix.chance > 0.3 && fix.chance <= 1);
    }
    cli_fix_deinit(&fix);
}

static void plain_damage_is_repaired(void **state)
{
    (void)state;
    if (!sandbox) skip();
    repairs(ENX_CODE_PYTHON, "def f(a):\n    return len(a\n", "def f(a):\n    return len(a)\n", 1);
    repairs(ENX_CODE_PYTHON, "if a\n    b = 1\n", "if a:\n    b = 1\n", 1);
    repairs(ENX_CODE_JSON, "{\"a\": [1, 2}", "{\"a\": [1, 2]}", 1);
    repairs(ENX_CODE_JS, "function f(a) {\n  return g(a;\n}\n",
            "function f(a) {\n  return g(a);\n}\n", 1);
    repairs(ENX_CODE_C, "int f(int a)\n{\n    return a\n}\n", "int f(int a)\n{\n    return a;\n}\n",
            1);
}

static void text_that_parses_is_left_alone(void **state)
{
    (void)state;
    if (!sandbox) skip();
    repairs(ENX_CODE_PYTHON, "x = 1\n", "x = 1\n", 0);
    repairs(ENX_CODE_PYTHON, "", "", 0);
}

static void two_damages_are_repaired_one_after_the_other(void **state)
{
    (void)state;
    if (!sandbox) skip();
    repairs(ENX_CODE_PYTHON, "def f(a)\n    x = len(a\n    return x\n",
            "def f(a):\n    x = len(a)\n    return x\n", 2);
}

static void what_no_edit_repairs_comes_back_as_it_was(void **state)
{
    (void)state;
    const char          text[] = "this is no program at all, is it? no no no\n";
    enx_report          report = { 0 };
    cli_fix             fix;
    const cli_fix_tools tools = { .sandbox = sandbox, .ranker = ranker, .rounds_max = 2 };
    if (!sandbox) skip();
    assert_int_equal(cli_fix_text(&fix, &tools, ENX_CODE_PYTHON, text, strlen(text), &report),
                     ENX_OK);
    assert_false(fix.is_accepted);
    assert_string_equal(enx_buf_text(&fix.text), text);
    assert_int_equal(fix.edit_count, 0);
    assert_non_null(strstr(fix.log, "line 1"));
    cli_fix_deinit(&fix);
    assert_int_equal(cli_fix_text(&fix, &tools, ENX_CODE_PYTHON, "a\0b", 3, &report), ENX_FORMAT);
    cli_fix_deinit(&fix);
}

/* ---- Names and differences ------------------------------------------------------------------ */

static void languages_go_by_name_or_ending(void **state)
{
    (void)state;
    enx_code code;
    assert_true(cli_fix_language(&code, NULL, "a/b.mjs") && code == ENX_CODE_JS);
    assert_true(cli_fix_language(&code, "json", "a.py") && code == ENX_CODE_JSON);
    assert_false(cli_fix_language(&code, NULL, "Makefile"));
    assert_false(cli_fix_language(&code, "cobol", "a.py"));
}

static void a_diff_shows_what_changed_and_little_else(void **state)
{
    (void)state;
    enx_buf out;
    enx_buf_init(&out, 1 << 16);
    assert_int_equal(
        cli_fix_diff(&out, "n", "1\n2\n3\n4\n5\n6\n7\n8\n9", "1\n2\n3\n4\n5x\n6\n7\n8\n9"), ENX_OK);
    assert_string_equal(enx_buf_text(&out),
                        "--- n\n+++ n\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+5x\n 6\n 7\n 8\n");
    enx_buf_clear(&out);
    assert_int_equal(cli_fix_diff(&out, "n", "1", "2"), ENX_OK);
    assert_non_null(strstr(enx_buf_text(&out), "-1\n\\ No newline"));
    enx_buf_deinit(&out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_parser_accepts_and_refuses),
        cmocka_unit_test(nothing_of_a_text_is_executed),
        cmocka_unit_test(what_cannot_be_judged_is_refused),
        cmocka_unit_test(plain_damage_is_repaired),
        cmocka_unit_test(text_that_parses_is_left_alone),
        cmocka_unit_test(two_damages_are_repaired_one_after_the_other),
        cmocka_unit_test(what_no_edit_repairs_comes_back_as_it_was),
        cmocka_unit_test(languages_go_by_name_or_ending),
        cmocka_unit_test(a_diff_shows_what_changed_and_little_else),
    };
    enx_file   file;
    enx_report report = { 0 };
    if (argc < 2 || enx_file_map(&file, argv[1], &report) != ENX_OK ||
        enx_ranker_open(&ranker, file.bytes, file.size_bytes, &report) != ENX_OK) {
        fprintf(stderr, "test_fix MODEL: %s\n", report.text);
        return 1;
    }
    enx_status status = enx_sandbox_open(&sandbox, NULL, &report);
    if (status == ENX_OK) status = enx_sandbox_probe(sandbox, &report);
    if (status != ENX_OK) enx_sandbox_close(&sandbox);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    enx_sandbox_close(&sandbox);
    enx_ranker_close(&ranker);
    enx_file_unmap(&file);
    return failed;
}
