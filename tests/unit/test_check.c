/* SPDX-License-Identifier: Apache-2.0 */
/* test_check.c - expressions, fields, and the checks that are functions of an answer. */
#include "base/mem.h"
#include "check/expression.h"
#include "check/judging.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static enx_span span(const char *text) { return (enx_span){ text, strlen(text) }; }

/* 1 true, 0 false, -1 no value. */
static int value_of(const char *text, const char *answer, const char *input)
{
    enx_expression *e = NULL;
    enx_report      report = { 0 };
    bool            holds = false;
    json_t         *json = json_loads(answer, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    if (enx_expression_open(&e, text, &report) != ENX_OK) fail_msg("%s", report.text);
    const enx_status status = enx_expression_holds(e, json, span(input), &holds, &report);
    json_decref(json);
    enx_expression_close(&e);
    return status == ENX_OK ? holds : -1;
}

static void expressions_have_their_values(void **state)
{
    static const char answer[] =
        "{\"a\":3,\"b\":4.5,\"t\":\"naïve\",\"l\":[1,2,3],\"o\":{\"x\":null,"
        "\"y\":\"2024\"},\"day\":22,\"month\":3,\"year\":2015}";
    static const struct {
        const char *text;
        int         value;
    } cases[] = {
        { "a + b * 2 == 12", 1 },
        { "(a + b) * 2 == 15", 1 },
        { "-a < 0 and not a == 4", 1 },
        { "1 - 2 - 3 == -4", 1 },
        { "7 % 4 == 3 and 1 / 0 == null", 1 },
        { "sum(l) == 6 and len(l) == 3 and l[2] == 3 and l[9] == null", 1 },
        { "len(t) == 5", 1 },
        { "number(o.y) > 2023 and o.x == null and nothing.here == null", 1 },
        { "a == '3'", 0 },
        { "text(a) == '3'", 1 },
        { "'it''s' == 'it' + '''s'", 1 },
        { "2 in l and not 4 in l and 'ïv' in t", 1 },
        { "weekday(year, month, day) == 'Sun'", 1 },
        { "weekday(2023, 2, 29) == null and weekday(2024, 2, 29) == 'Thu'", 1 },
        { "weekday(1900, 2, 29) == null and weekday(2000, 2, 29) == 'Tue'", 1 },
        { "begins(input, 'lib') and ends(before(input, ':'), '-dev')", 1 },
        { "after(input, ': ') == 'files' and before(input, '#') == input", 1 },
        { "lower('ABC') == 'abc' and min(a, b) == 3 and max(a, b) == 4.5 and round(b) == 5", 1 },
        { "number('1,234.5') == 1234.5 and number('12a') == null", 1 },
        { "l[1e300] == null and l[-1] == null and l[2.5] == 3", 1 },
        { "false or null or ''", 0 },
        { "true or 'a' - 1", 1 }, /* what is not needed is not looked at */
        { "'a' - 1", -1 },
        { "sum(o)", 0 },
        { "-t", -1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (value_of(cases[i].text, answer, "libfoo-dev: files") != cases[i].value)
            fail_msg("%s is not %d", cases[i].text, cases[i].value);
}

static void what_is_no_expression_is_refused(void **state)
{
    static const struct {
        const char *text;
        enx_status  status;
        const char *says;
    } cases[] = {
        { "", ENX_FORMAT, "byte 1" },         { "a ==", ENX_FORMAT, "byte 5" },
        { "(a", ENX_FORMAT, "\")\"" },        { "a b", ENX_FORMAT, "operator" },
        { "'a", ENX_FORMAT, "no end" },       { "lenght(a)", ENX_NOTFOUND, "len" },
        { "len(a, b)", ENX_FORMAT, "\")\"" }, { "a.", ENX_FORMAT, "name" },
        { "l[1", ENX_FORMAT, "\"]\"" },       { "system('rm')", ENX_NOTFOUND, "no function" },
    };
    char deep[ENX_EXPRESSION_BYTES_MAX + 1];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_expression *e = NULL;
        enx_report      report = { 0 };
        assert_int_equal(enx_expression_open(&e, cases[i].text, &report), cases[i].status);
        assert_null(e);
        if (!strstr(report.text, cases[i].says)) fail_msg("%s: %s", cases[i].text, report.text);
    }
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 2] = '\0';
    enx_expression *e = NULL;
    assert_int_equal(enx_expression_open(&e, deep, NULL), ENX_LIMIT);
    for (size_t i = 0; i + 3 < sizeof deep; i += 2) memcpy(deep + i, "1+", 2);
    assert_int_equal(enx_expression_open(&e, deep, NULL), ENX_LIMIT);
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    for (long calls = 0; calls < 4; calls++) {
        enx_expression *e = NULL;
        enx_mem_fail_after(calls);
        const enx_status status = enx_expression_open(&e, "a + 1 == 2", NULL);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK || status == ENX_NOMEM);
        enx_expression_close(&e);
    }
}

/* ---- checks --------------------------------------------------------------------------------- */

static const enx_check checks[] = {
    { .kind = ENX_CHECK_SCHEMA },
    { .kind = ENX_CHECK_CITATION, .field = "quotes" },
    { .kind = ENX_CHECK_REGEX, .field = "quotes", .text = "[a-z ]+" },
    { .kind = ENX_CHECK_COMPUTE, .text = "n == len(quotes)" },
    { .kind = ENX_CHECK_CITATION, .field = "n" },
};
static const enx_class reading = {
    .name = "reading",
    .schema =
        "{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"},\"quotes\":{"
        "\"type\":\"array\",\"items\":{\"type\":\"string\"}}},\"required\":[\"n\",\"quotes\"],"
        "\"additionalProperties\":false}",
    .checks = checks,
    .check_count = 5,
};

static void answers_pass_or_fail_each_check(void **state)
{
    static const struct {
        const char *answer;
        bool        passes[5];
    } cases[] = {
        { "{\"n\":2,\"quotes\":[\"the cat\",\"sat on\"]}", { true, true, true, true, false } },
        { "{\"n\":7,\"quotes\":[\"the  cat\\nsat\"]}", { true, true, false, false, true } },
        { "{\"n\":1,\"quotes\":[\"The cat\"]}", { true, false, false, true, false } },
        { "{\"n\":1,\"quotes\":[\"the cats\"]}", { true, false, true, true, false } },
        { "{\"n\":0,\"quotes\":[]}", { true, true, true, true, false } },
        { "{\"quotes\":[],\"n\":0}", { false, true, true, true, false } },
        { "{\"n\":0}", { false, true, true, true, false } },
        { "no JSON", { false, false, false, false, false } },
        { "", { false, false, false, false, false } },
    };
    enx_judge *judge = NULL;
    char       reason[200];
    (void)state;
    assert_int_equal(enx_judge_open(&judge, &reading, NULL), ENX_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 5; k++) {
            reason[0] = '\0';
            const bool passes = enx_judge_passes(judge, &checks[k], span("7: the cat sat on it"),
                                                 span(cases[i].answer), reason, sizeof reason);
            if (passes != cases[i].passes[k]) fail_msg("%s, check %d", cases[i].answer, k);
            assert_true(passes == (reason[0] == '\0'));
        }
    enx_judge_close(&judge);
}

static void checks_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        enx_check   check;
        const char *says;
    } cases[] = {
        { { .kind = ENX_CHECK_REGEX, .field = "n", .text = "(" }, "check regex" },
        { { .kind = ENX_CHECK_COMPUTE, .text = "n ==" }, "check compute" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_class  c = { .name = "bad", .checks = &cases[i].check, .check_count = 1 };
        enx_judge *judge = NULL;
        enx_report report = { 0 };
        assert_int_equal(enx_judge_open(&judge, &c, &report), ENX_FORMAT);
        assert_non_null(strstr(report.text, cases[i].says));
    }
}

/* A pattern that backtracks for ever is an answer that fails. */
static void a_pattern_cannot_run_for_ever(void **state)
{
    const enx_check check = { .kind = ENX_CHECK_REGEX, .text = "(a+)+b", .field = "" };
    const enx_class c = { .name = "slow", .checks = &check, .check_count = 1 };
    enx_judge      *judge = NULL;
    char            reason[200];
    (void)state;
    assert_int_equal(enx_judge_open(&judge, &c, NULL), ENX_OK);
    assert_false(enx_judge_passes(judge, &c.checks[0], span(""),
                                  span("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"), reason,
                                  sizeof reason));
    enx_judge_close(&judge);
}

static void answers_are_judged_against_each_other(void **state)
{
    const enx_span  answers[] = { span("{\"k\":\"a\",\"x\":1}"), span("{\"k\":\"b\",\"x\":2}"),
                                  span("{\"k\":\"a\",\"x\":3}"), span("{\"x\":4}") };
    const enx_check unique = { .kind = ENX_CHECK_UNIQUE, .field = "k" };
    const enx_check equal = { .kind = ENX_CHECK_EQUAL, .field = "k" };
    enx_check       sum = { .kind = ENX_CHECK_SUM, .field = "x", .total = 10 };
    bool            bad[4] = { false };
    (void)state;
    enx_judge_relate(&unique, answers, 4, bad);
    assert_true(!bad[0] && !bad[1] && bad[2] && !bad[3]);
    memset(bad, 0, sizeof bad);
    enx_judge_relate(&equal, answers, 4, bad);
    assert_true(!bad[0] && bad[1] && !bad[2] && !bad[3]);
    memset(bad, 0, sizeof bad);
    enx_judge_relate(&sum, answers, 4, bad);
    assert_true(!bad[0] && !bad[1] && !bad[2] && !bad[3]);
    sum.total = 11;
    enx_judge_relate(&sum, answers, 4, bad);
    assert_true(bad[0] && bad[1] && bad[2] && bad[3]);

    const enx_span no_number = span("{\"x\":\"nan\"}");
    memset(bad, 0, sizeof bad);
    enx_judge_relate(&sum, &no_number, 1, bad);
    assert_true(bad[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_have_their_values),
        cmocka_unit_test(what_is_no_expression_is_refused),
        cmocka_unit_test(memory_that_runs_out_is_told),
        cmocka_unit_test(answers_pass_or_fail_each_check),
        cmocka_unit_test(checks_that_make_no_sense_are_refused),
        cmocka_unit_test(a_pattern_cannot_run_for_ever),
        cmocka_unit_test(answers_are_judged_against_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
