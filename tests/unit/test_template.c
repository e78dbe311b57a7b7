/* SPDX-License-Identifier: Apache-2.0 */
/* test_template.c - chat templates against Jinja's own results, and against hostile ones. */
#include "text/template.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OUTPUT_BYTES_MAX = 1 << 20, GOLDEN_ROWS_MIN = 150, REPEATS = 50000 };

static const int64_t now_s = 1700000000; /* 2023-11-14 22:13:20 UTC */

/* Open and render; `text` is filled when it succeeds. */
static enx_status render(const char *template, const char *context, enx_buf *text,
                         enx_report *report)
{
    json_t       *json = json_loads(context, 0, NULL);
    enx_template *t = NULL;
    assert_non_null(json);
    enx_status status = enx_template_open(&t, template, strlen(template), report);
    assert_int_equal(status == ENX_OK, t != NULL);
    if (t) status = enx_template_render(t, json, now_s, text, report);
    enx_template_close(&t);
    json_decref(json);
    return status;
}

static void expect_text(const char *template, const char *context, const char *wanted)
{
    enx_report report = { 0 };
    enx_buf    text;
    enx_buf_init(&text, OUTPUT_BYTES_MAX);
    if (render(template, context, &text, &report) != ENX_OK) fail_msg("%s", report.text);
    assert_string_equal(enx_buf_text(&text), wanted);
    enx_buf_deinit(&text);
}

static void expect_failure(const char *template, enx_status wanted, const char *said)
{
    enx_report report = { 0 };
    enx_buf    text;
    enx_buf_init(&text, OUTPUT_BYTES_MAX);
    assert_int_equal(enx_buf_append_text(&text, "kept"), ENX_OK);
    assert_int_equal(render(template, "{\"l\": [1, 2]}", &text, &report), wanted);
    assert_string_equal(enx_buf_text(&text), "kept");
    if (!strstr(report.text, said)) fail_msg("'%s' lacks '%s'", report.text, said);
    enx_buf_deinit(&text);
}

/* A row is JSON, tab, JSON of the text or "-". */
static void check_row(char *row, const json_t *context, int line)
{
    char *tab = strchr(row, '\t');
    assert_non_null(tab);
    *tab++ = '\0';
    const bool is_refused = tab[0] == '-';
    json_t *template = json_loads(row, JSON_DECODE_ANY, NULL);
    json_t *wanted = is_refused ? NULL : json_loads(tab, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    enx_template *t = NULL;
    enx_report    report = { 0 };
    enx_buf       text;
    assert_non_null(template);
    enx_buf_init(&text, OUTPUT_BYTES_MAX);
    enx_status status =
        enx_template_open(&t, json_string_value(template), json_string_length(template), &report);
    if (t) status = enx_template_render(t, context, now_s, &text, &report);
    if ((status == ENX_OK) == is_refused)
        fail_msg("row %d: %s: status %d: %s", line, row, (int)status, report.text);
    if (!is_refused && strcmp(json_string_value(wanted), enx_buf_text(&text)) != 0)
        fail_msg("row %d: %s\n%s\n%s", line, row, json_string_value(wanted), enx_buf_text(&text));
    if (is_refused) assert_true(report.text[0] != '\0');
    enx_template_close(&t);
    enx_buf_deinit(&text);
    json_decref(template);
    json_decref(wanted);
}

static void jinja_and_we_agree(void **state)
{
    (void)state;
    static char row[1 << 16];
    char        path[4096];
    const char *folder = getenv("ENX_GOLDEN");
    snprintf(path, sizeof path, "%s/templates.tsv", folder ? folder : "tests/golden");
    FILE   *file = fopen(path, "r");
    json_t *context = NULL;
    int     line = 0, row_count = 0;
    assert_non_null(file);
    while (fgets(row, sizeof row, file)) {
        line++;
        if (row[0] == '#') continue;
        if (!context) {
            context = json_loads(row, JSON_DISABLE_EOF_CHECK, NULL);
            assert_non_null(context);
            continue;
        }
        check_row(row, context, line);
        row_count++;
    }
    assert_true(row_count >= GOLDEN_ROWS_MIN);
    json_decref(context);
    fclose(file);
}

static void lists_and_dicts_change_but_not_the_context(void **state)
{
    (void)state;
    const char *context = "{\"l\": [1, 2], \"d\": {\"a\": 1}}";
    expect_text("{% set x = [] %}{% do x.append(1) %}{% set _ = x.insert(0, 'a') %}"
                "{% do x.extend([2, 3]) %}{{ x.pop() }}{{ x.pop(0) }}{{ x }}",
                context, "3a[1, 2]");
    expect_text("{% do d.update({'b': 2}, c=3) %}{{ d.pop('a') }}{{ d.pop('z', 0) }}{{ d }}",
                context, "10{'b': 2, 'c': 3}");
    expect_text("{% for i in l %}{% do l.append(i) %}{% endfor %}{{ l }}", context, "[1, 2, 1, 2]");
}

static void failures_name_place_and_thing(void **state)
{
    (void)state;
    expect_failure("a\n {{ 'x' | sparkle }}", ENX_UNSUPPORTED,
                   "template 2:11: there is no filter 'sparkle'");
    expect_failure("{% if false %}{{ 1 is shiny }}{% endif %}", ENX_UNSUPPORTED,
                   "1:23: there is no test 'shiny'");
    expect_failure("{% include 'x' %}", ENX_UNSUPPORTED, "1:4: there is no statement 'include'");
    expect_failure("{{ launch() }}", ENX_UNSUPPORTED, "1:4: there is no function 'launch'");
    expect_failure("{{ 'a'.encode() }}", ENX_UNSUPPORTED, "method 'encode'");
    expect_failure("{{ l.nothing.more }}", ENX_INVALID, "'nothing' is undefined");
    expect_failure("{% if l %}", ENX_FORMAT, "expected endif, found the end");
    expect_failure("{{ (1, }}", ENX_FORMAT, "template 1:");
    expect_failure("{{ 1 +\n }}", ENX_FORMAT, "template 2:2: expected an expression, found }}");
    expect_failure("{{ 99999999999999999999 }}", ENX_FORMAT, "64 bits");
    expect_failure("{{ 9223372036854775807 + 1 }}", ENX_LIMIT, "64 bits");
    enx_report report = { 0 };
    enx_buf    text;
    enx_buf_init(&text, 10);
    assert_int_equal(render("{{ raise_exception('only ' ~ 2) }}", "{}", &text, &report),
                     ENX_INVALID);
    assert_string_equal(report.text, "only 2");
    assert_int_equal(render("{{ 'x' * 11 }}", "{}", &text, &report), ENX_LIMIT);
    assert_int_equal(render("x", "[]", &text, &report), ENX_INVALID);
    enx_buf_deinit(&text);
}

/* `head`, `count` times `part`, `tail`. */
static void expect_repeated(const char *head, const char *part, int count, const char *tail,
                            enx_status wanted)
{
    enx_buf template, text;
    enx_buf_init(&template, OUTPUT_BYTES_MAX);
    enx_buf_init(&text, OUTPUT_BYTES_MAX);
    assert_int_equal(enx_buf_append_text(&template, head), ENX_OK);
    for (int i = 0; i < count; i++) assert_int_equal(enx_buf_append_text(&template, part), ENX_OK);
    assert_int_equal(enx_buf_append_text(&template, tail), ENX_OK);
    const enx_status status = render(enx_buf_text(&template), "{}", &text, NULL);
    if (status != wanted) fail_msg("'%s%s': %d, not %d", head, part, (int)status, (int)wanted);
    enx_buf_deinit(&template);
    enx_buf_deinit(&text);
}

static void nesting_ends_in_an_error(void **state)
{
    (void)state;
    static const char *const parts[] = { "(", "[", "{1:", "not ", "-", "1 if 1 else ", "a(", "a[" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        expect_repeated("{{ ", parts[i], REPEATS, "", ENX_LIMIT);
    expect_repeated("", "{% if 1 %}", REPEATS / 2, "", ENX_LIMIT);
    expect_repeated("", "{% for a in b %}", REPEATS / 2, "", ENX_LIMIT);
    expect_repeated("{{ 1", " + 1", REPEATS, " }}", ENX_LIMIT);
    expect_repeated("{{ 1", " | abs", REPEATS, " }}", ENX_LIMIT);
    expect_repeated("{{ 1", " ~ 1", REPEATS, " }}", ENX_OK);
    expect_repeated("{{ ", "(", 40, "1", ENX_FORMAT);
    expect_failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", ENX_LIMIT, "wait");
    expect_failure("{% set x = [] %}{% do x.append(x) %}{{ x }}", ENX_LIMIT, "nested");
    expect_failure("{% set x = [] %}{% do x.append(x) %}{{ x | tojson }}", ENX_LIMIT, "nested");
    expect_failure("{% set x = [] %}{% do x.append(x) %}{% set y = [] %}{% do y.append(y) %}"
                   "{{ x == y }}",
                   ENX_LIMIT, "nested");
}

static void work_and_memory_are_bounded(void **state)
{
    (void)state;
    expect_failure("{% for a in range(1000000) %}{% for b in range(1000000) %}{% endfor %}"
                   "{% endfor %}",
                   ENX_LIMIT, "");
    expect_failure("{% set r = range(100000) %}{% for a in r %}{% if r | sum %}{% endif %}"
                   "{% endfor %}",
                   ENX_LIMIT, "steps");
    expect_failure("{{ range(100000000) }}", ENX_LIMIT, "items");
    expect_failure("{{ 'x' * 1000000000 }}", ENX_LIMIT, "");
    expect_failure("{{ [1] * 1000000000 }}", ENX_LIMIT, "items");
    expect_failure("{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}"
                   "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                   ENX_LIMIT, "");
    expect_failure("{{ '%999d' % 1 }}{{ '%9999d' % 1 }}", ENX_UNSUPPORTED, "format");
    enx_template *t = NULL;
    char         *large = ENX_MEM_NEW(char, ENX_TEMPLATE_BYTES_MAX + 1);
    assert_non_null(large);
    memset(large, 'x', ENX_TEMPLATE_BYTES_MAX + 1);
    assert_int_equal(enx_template_open(&t, large, ENX_TEMPLATE_BYTES_MAX + 1, NULL), ENX_LIMIT);
    assert_int_equal(enx_template_open(&t, large, ENX_TEMPLATE_BYTES_MAX, NULL), ENX_OK);
    enx_template_close(&t);
    enx_mem_free(large);
    json_t *deep = json_object(), *inner = deep;
    for (int i = 0; i < 2 * ENX_TEMPLATE_JSON_DEPTH_MAX; i++) {
        json_object_set_new(inner, "x", json_object());
        inner = json_object_get(inner, "x");
    }
    enx_buf text;
    enx_buf_init(&text, 10);
    assert_int_equal(enx_template_open(&t, "x", 1, NULL), ENX_OK);
    assert_int_equal(enx_template_render(t, deep, 0, &text, NULL), ENX_LIMIT);
    enx_template_close(&t);
    enx_buf_deinit(&text);
    json_decref(deep);
}

static const char busy[] =
    "{% set ns = namespace(a='') %}{% macro m(x, y='z') %}{{ x ~ y }}{% endmacro %}"
    "{% for o in l if o is mapping %}{% set ns.a = ns.a + (o | tojson(indent=2)) %}"
    "{{ loop.index }}{{ m(o.n, y=[o]) | upper }}{% endfor %}{% set t %}{{ ns.a }}{% endset %}"
    "{{ l | map(attribute='n') | sort | join(',') }}{{ t.split('\\n')[1:] }}{{ 'a\\u00e9' }}";
static const char busy_context[] = "{\"l\": [{\"n\": \"b\"}, {\"n\": \"a\", \"k\": [1, null]}]}";

static void every_cut_is_survived(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof busy; size++) {
        enx_template    *t = NULL;
        const enx_status status = enx_template_open(&t, busy, size, NULL);
        assert_true(status == ENX_OK || status == ENX_FORMAT || status == ENX_UNSUPPORTED);
        assert_int_equal(status == ENX_OK, t != NULL);
        enx_template_close(&t);
    }
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    bool had_failure = false;
    for (long calls = 0;; calls++) {
        enx_buf text;
        enx_buf_init(&text, OUTPUT_BYTES_MAX);
        enx_mem_fail_after(calls);
        const enx_status status = render(busy, busy_context, &text, NULL);
        enx_mem_fail_after(-1);
        if (status != ENX_OK) assert_int_equal(text.size_bytes, 0);
        enx_buf_deinit(&text);
        if (status == ENX_OK) break;
        assert_int_equal(status, ENX_NOMEM);
        had_failure = true;
    }
    assert_true(had_failure);
}

static void dates_are_those_of_the_calendar(void **state)
{
    (void)state;
    static const struct {
        int64_t     now_s;
        const char *wanted;
    } cases[] = {
        { 0, "1970-01-01 00:00:00 Thu 001" },
        { -1, "1969-12-31 23:59:59 Wed 365" },
        { 951782400, "2000-02-29 00:00:00 Tue 060" },
        { 4107542400, "2100-03-01 00:00:00 Mon 060" },
        { 1735689599, "2024-12-31 23:59:59 Tue 366" },
    };
    static const char format[] = "{{ strftime_now('%Y-%m-%d %H:%M:%S %a %j') }}";
    enx_template     *t = NULL;
    json_t           *context = json_object();
    assert_int_equal(enx_template_open(&t, format, strlen(format), NULL), ENX_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_buf text;
        enx_buf_init(&text, 100);
        assert_int_equal(enx_template_render(t, context, cases[i].now_s, &text, NULL), ENX_OK);
        assert_string_equal(enx_buf_text(&text), cases[i].wanted);
        enx_buf_deinit(&text);
    }
    enx_template_close(&t);
    json_decref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jinja_and_we_agree),
        cmocka_unit_test(lists_and_dicts_change_but_not_the_context),
        cmocka_unit_test(failures_name_place_and_thing),
        cmocka_unit_test(nesting_ends_in_an_error),
        cmocka_unit_test(work_and_memory_are_bounded),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(every_failing_allocation_is_survived),
        cmocka_unit_test(dates_are_those_of_the_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
