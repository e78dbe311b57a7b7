/* SPDX-License-Identifier: Apache-2.0 */
/* test_answer_check.c - what programs make of answers, and what is said of it. */
#include "sandbox/answer_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *language, *text, *answer;
    bool        passes;
    const char *reason;
} rows[] = {
    { "python",
      "import json, sys\na = json.load(sys.stdin)\n"
      "if a['a'] != 2: sys.exit('a is not 2')\n",
      "{\"a\": 2}", true, "" },
    { "python",
      "import json, sys\na = json.load(sys.stdin)\n"
      "if a['a'] != 2: sys.exit('a is not 2')\n",
      "{\"a\": 3}", false, "a is not 2" },
    { "python", "import json, sys\njson.load(sys.stdin)\n", "no JSON", false, "JSONDecodeError" },
    { "python", "raise SystemExit(3)\n", "", false, "exit code 3" },
    { "python", "while True: pass\n", "", false, "limit of" },
    { "sh", "read x; echo first; echo \"not $x\"; exit 1\n", "this\n", false, "not this" },
    { "sh", "kill -9 $$\n", "", false, "signal 9" },
    { "c", "int main(void) { return 0 }\n", "", false, "does not compile" },
    { "c", "#include <stdio.h>\nint main(void) { return getchar() != '7'; }\n", "7", true, "" },
};

static void answers_are_judged_by_programs(void **state)
{
    (void)state;
    enx_sandbox *sandbox = NULL;
    enx_report   report = { 0 };
    if (enx_sandbox_open(&sandbox, NULL, &report) != ENX_OK ||
        enx_sandbox_probe(sandbox, &report) != ENX_OK) {
        enx_sandbox_close(&sandbox);
        skip();
    }
    enx_sandbox_limits limits = enx_answer_check_limits();
    limits.cpu_us = 1000000;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const enx_program program = { .language = enx_language_find(rows[i].language),
                                      .text = rows[i].text,
                                      .size_bytes = strlen(rows[i].text) };
        char              reason[200] = "untouched";
        bool              passes = !rows[i].passes;
        if (enx_language_check(program.language, &report) != ENX_OK) continue;
        if (enx_answer_check(sandbox, &program, &limits, rows[i].answer, strlen(rows[i].answer),
                             &passes, reason, sizeof reason, &report) != ENX_OK)
            fail_msg("row %zu: %s", i, report.text);
        if (passes != rows[i].passes || !strstr(reason, rows[i].reason))
            fail_msg("row %zu: %d, %s", i, passes, reason);
        if (passes) assert_string_equal(reason, "");
    }
    char              small[5];
    bool              passes = true;
    const enx_program talks = { .language = enx_language_find("sh"),
                                .text = "echo a long line; exit 1",
                                .size_bytes = 24 };
    assert_int_equal(
        enx_answer_check(sandbox, &talks, &limits, "", 0, &passes, small, sizeof small, &report),
        ENX_OK);
    assert_string_equal(small, "a lo");
    enx_sandbox_close(&sandbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(answers_are_judged_by_programs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
