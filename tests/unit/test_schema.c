/* SPDX-License-Identifier: Apache-2.0 */
/* test_schema.c - what a schema's grammar takes is valid, and what is valid it mostly takes. */
#include "text/schema.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "outputs.h"

static enx_grammar *open_schema(const char *json)
{
    enx_grammar *grammar = NULL;
    enx_report   report = { 0 };
    if (enx_schema_open(&grammar, json, strlen(json), &report) != ENX_OK)
        fail_msg("%s: %s", json, report.text);
    return grammar;
}

static void check(const char *json, const char *const *good, const char *const *bad)
{
    enx_grammar *grammar = open_schema(json);
    assert_outputs(grammar, json, good, bad);
    enx_grammar_close(&grammar);
}

static void any_value(void **state)
{
    (void)state;
    check("{}",
          LIST("1", "-0.5e+7", "\"a\\u00e9\\n\"", "[]", "[1, [true,null]]",
               "{\"a\": {\"b\":[\"\"]}, \"c\": 1}", "{\n  \"a\": 1\n}", "\"\\ud83d\\ude00\""),
          LIST("", "01", "+1", "1.", "\"\n\"", "[1,]", "{a:1}", "tru", "\"\\ud83d\"", "\"\\q\""));
    check("true", LIST("null"), LIST("nul"));
    check("{\"type\": [\"string\", \"null\"]}", LIST("\"x\"", "null"), LIST("1", "[]"));
    check("{\"title\": \"a note\", \"x-unknown\": 3}", LIST("1", "[]"), LIST(""));
}

static void constants(void **state)
{
    (void)state;
    check("{\"enum\": [\"a\\\"b\", 1, null, {\"k\":[1]}]}",
          LIST("\"a\\\"b\"", "1", "null", "{\"k\":[1]}"), LIST("\"a\"", "2", "{\"k\":[]}"));
    check("{\"const\": \"\\u00fcber\"}",
          LIST("\"\xC3\xBC"
               "ber\""),
          LIST("\"uber\""));
    check("{\"type\": \"integer\", \"enum\": [1, \"1\", 2.5]}", LIST("1"), LIST("\"1\"", "2.5"));
}

static void objects(void **state)
{
    (void)state;
    check("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},"
          "\"b\":{\"type\":\"string\"},\"c\":{\"type\":\"boolean\"}},\"required\":[\"a\",\"c\"]}",
          LIST("{\"a\":1,\"c\":true}", "{\"a\": 1, \"b\": \"x\", \"c\": false}"),
          LIST("{\"a\":1}", "{\"c\":true,\"a\":1}", "{\"a\":1,\"c\":true,\"d\":1}",
               "{\"a\":1,,\"c\":true}", "{,\"a\":1,\"c\":true}", "{\"a\":\"1\",\"c\":true}"));
    check("{\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"}}}",
          LIST("{}", "{\"a\":1}", "{\"b\":1}", "{\"a\":1,\"b\":2}"),
          LIST("{,}", "{\"b\":1,\"a\":2}", "{\"a\":1,}", "1"));
    check("{\"type\":\"object\"}", LIST("{}", "{\"x\":[{}]}"), LIST("[]"));
    check("{\"properties\":{\"\\\"q\\u0001\":{\"const\":1}},\"required\":[\"\\\"q\\u0001\"]}",
          LIST("{\"\\\"q\\u0001\":1}"), LIST("{}", "{\"q\":1}"));
    check("{\"required\":[\"z\"],\"type\":\"object\"}", LIST("{\"z\":[]}"),
          LIST("{}", "{\"y\":1}"));
}

/* Further properties must not take a described name, or one that only looks different. */
static void further_properties(void **state)
{
    (void)state;
    check("{\"properties\":{\"ab\":{\"type\":\"integer\"},\"abc\":{\"type\":\"integer\"},"
          "\"\xC3\xA9-]\":true},\"additionalProperties\":{\"type\":\"string\"}}",
          LIST("{}", "{\"ab\":1}", "{\"x\":\"y\"}", "{\"ab\":1,\"a\":\"\",\"abcd\":\"z\"}",
               "{\"\":\"\"}", "{\"\xC3\xA9-\":\"\"}", "{\"\xC3\xAA\":\"\"}"),
          LIST("{\"ab\":\"s\"}", "{\"x\":1}", "{\"abc\":\"s\"}", "{\"\\u0061b\":\"s\"}",
               "{\"\xC3\xA9-]\":1,\"\xC3\xA9-]\":\"s\"}", "{\"x\":\"y\",\"ab\":1}"));
    check(
        "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"},\"minProperties\":1,"
        "\"maxProperties\":2}",
        LIST("{\"a\":1}", "{\"a\":1, \"b\":2}"), LIST("{}", "{\"a\":1,\"b\":2,\"c\":3}"));
    check("{\"type\":\"object\",\"additionalProperties\":false}", LIST("{}"), LIST("{\"a\":1}"));
}

static void arrays(void **state)
{
    (void)state;
    check("{\"items\":{\"type\":\"integer\"}}", LIST("[]", "[1]", "[1, 2,3]"),
          LIST("[\"\"]", "[,]"));
    check("{\"type\":\"array\",\"minItems\":2,\"maxItems\":3}", LIST("[1,\"\"]", "[[],{},null]"),
          LIST("[]", "[1]", "[1,2,3,4]"));
    check("{\"type\":\"array\",\"maxItems\":0}", LIST("[]", "[ ]"), LIST("[1]"));
    check("{\"prefixItems\":[{\"type\":\"integer\"},{\"const\":\"x\"}]}", LIST("[1,\"x\"]"),
          LIST("[1]", "[1,\"x\",2]", "[\"x\",1]"));
    check("{\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"},\"minItems\":2}",
          LIST("[1,null]", "[1, null, null]"), LIST("[1]", "[1,2]"));
    check("{\"prefixItems\":[{},{},{}],\"maxItems\":1}", LIST("[1]"), LIST("[1,2]"));
}

static void strings(void **state)
{
    (void)state;
    check("{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
          LIST("\"ab\"", "\"\xC3\xA9\xF0\x9F\x99\x82x\"", "\"\\n\\u00e9\"", "\"\\ud83d\\ude00x\""),
          LIST("\"\"", "\"a\"", "\"abcd\"", "\"\\n\""));
    check("{\"type\":\"string\",\"format\":\"date\"}",
          LIST("\"2024-02-29\"", "\"2000-02-29\"", "\"1999-12-31\"", "\"2026-04-30\""),
          LIST("\"2023-02-29\"", "\"1900-02-29\"", "\"2026-04-31\"", "\"2026-13-01\""));
    check("{\"type\":\"string\",\"format\":\"date-time\"}",
          LIST("\"2026-11-24T09:30:00Z\"", "\"2026-11-24T23:59:59.125-03:00\""),
          LIST("\"2026-11-24 09:30:00Z\"", "\"2026-11-24T24:00:00Z\"", "\"2026-11-24T09:30:00\""));
    check("{\"type\":\"string\",\"format\":\"ipv4\"}", LIST("\"0.10.199.255\""),
          LIST("\"256.1.1.1\"", "\"01.1.1.1\"", "\"1.1.1\""));
    check("{\"type\":\"string\",\"format\":\"ipv6\"}",
          LIST("\"::1\"", "\"2001:db8::ff00:42:8329\"", "\"1:2:3:4:5:6:7:8\"", "\"::\""),
          LIST("\"1::2::3\"", "\"1:2:3:4:5:6:7\"", "\"12345::\"", "\"1:2:3:4:5:6:7::8\""));
    check("{\"type\":\"string\",\"format\":\"uuid\"}",
          LIST("\"123e4567-e89b-12d3-a456-426614174000\""), LIST("\"123e4567\""));
    check("{\"type\":\"string\",\"format\":\"email\"}", LIST("\"a.b@example.org\""),
          LIST("\"a@b\"", "\"@example.org\"", "\"a..b@example.org\""));
    check("{\"type\":\"string\",\"format\":\"duration\"}", LIST("\"P3Y6M4DT12H30M5S\"", "\"PT5M\""),
          LIST("\"P\"", "\"PT\"", "\"P1S\""));
    check("{\"type\":\"string\",\"format\":\"unheard-of\"}", LIST("\"x\""), LIST("1"));
}

static void patterns(void **state)
{
    (void)state;
    check("{\"pattern\":\"^[A-Z]{2}\\\\d{3,4}$\"}", LIST("\"AB123\"", "\"XY9999\""),
          LIST("\"AB12\"", "\"ab123\"", "\"AB123x\"", "\"xAB123\""));
    check("{\"pattern\":\"cat|^dog$\"}", LIST("\"a cat!\"", "\"dog\"", "\"cat\""),
          LIST("\"dogs\"", "\"ca\""));
    check("{\"pattern\":\"^a.c\\\\.[^x\\\"]+?(?:yes|no)*$\"}",
          LIST("\"abc.z\"", "\"a\\\"c.zyesno\"", "\"abc.\\\\\""), LIST("\"ac.z\"", "\"abc.\\\"\""));
    check("{\"pattern\":\"^[\\\\s\\\\w-]*\\\\u{1F600}?\\\\/$\"}",
          LIST("\"a b\\t_-/\"", "\"\xF0\x9F\x98\x80/\""), LIST("\"a.b/\"", "\"a\tb/\""));
    check("{\"pattern\":\"^\\\\\\\\[!-~]$\"}", LIST("\"\\\\a\"", "\"\\\\\\\"\"", "\"\\\\\\\\\""),
          LIST("\"\\\\ \"", "\"a\""));
    check("{\"pattern\":\"^$\"}", LIST("\"\""), LIST("\"a\""));
}

/* Every number of a few digits, against the bounds themselves. */
static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        double      least, most, step;
    } cases[] = {
        { "{\"type\":\"integer\",\"minimum\":0,\"maximum\":255}", 0, 255, 1 },
        { "{\"type\":\"integer\",\"minimum\":-105,\"maximum\":7}", -105, 7, 1 },
        { "{\"type\":\"integer\",\"exclusiveMinimum\":9,\"exclusiveMaximum\":101}", 10, 100, 1 },
        { "{\"type\":\"integer\",\"minimum\":-300.5,\"maximum\":-12.5}", -300, -13, 1 },
        { "{\"type\":\"integer\",\"minimum\":1,\"maximum\":999,\"multipleOf\":7}", 7, 994, 7 },
        { "{\"type\":\"integer\",\"minimum\":-70,\"maximum\":800,\"multipleOf\":25}", -50, 800,
          25 },
        { "{\"type\":\"integer\",\"multipleOf\":2.5,\"minimum\":-20,\"maximum\":44}", -20, 40, 5 },
        { "{\"type\":\"integer\",\"minimum\":990}", 990, 1e9, 1 },
        { "{\"type\":\"integer\",\"maximum\":-990,\"multipleOf\":3}", -1e9, -990, 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_grammar *grammar = open_schema(cases[i].json);
        for (int value = -1200; value <= 1200; value++) {
            char       text[16];
            const bool is_valid = value >= cases[i].least && value <= cases[i].most &&
                                  value % (int)cases[i].step == 0;
            snprintf(text, sizeof text, "%d", value);
            if (follows(grammar, text) != is_valid) fail_msg("%s: %s", cases[i].json, text);
        }
        assert_false(follows(grammar, "-0"));
        assert_false(follows(grammar, "007"));
        enx_grammar_close(&grammar);
    }
}

static void decimals(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        double      least, most, step;
        int         decimals;
    } cases[] = {
        { "{\"type\":\"number\",\"minimum\":-0.25,\"maximum\":1.5}", -0.25, 1.5, 0, 2 },
        { "{\"type\":\"number\",\"exclusiveMinimum\":0,\"maximum\":10}", 1e-6, 10, 0, 2 },
        { "{\"type\":\"number\",\"minimum\":0.1,\"maximum\":9.95,\"multipleOf\":0.05}", 0.1, 9.95,
          0.05, 2 },
        { "{\"type\":\"number\",\"minimum\":-3,\"exclusiveMaximum\":3,\"multipleOf\":1.5}", -3, 1.5,
          1.5, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_grammar *grammar = open_schema(cases[i].json);
        for (int hundredths = -350; hundredths <= 1050; hundredths++) {
            char         text[16];
            const double value = hundredths / 100.0, step = cases[i].step;
            /* With the decimals that the grammar writes; 0 has no sign. */
            if (cases[i].decimals == 1 && hundredths % 10 != 0) continue;
            snprintf(text, sizeof text, "%.*f", cases[i].decimals, value);
            const bool is_step = step <= 0 || fabs(remainder(value, step)) < 1e-9;
            const bool is_valid =
                value > cases[i].least - 1e-9 && value < cases[i].most + 1e-9 && is_step;
            if (follows(grammar, text) != is_valid) fail_msg("%s: %s", cases[i].json, text);
        }
        enx_grammar_close(&grammar);
    }
    check("{\"type\":\"number\",\"minimum\":-1,\"maximum\":10}",
          LIST("-1", "0.5", "10", "10.000", "9.999999"), LIST("10.1", "1e1", "-1.01", "00", "1."));
}

static void choices_and_references(void **state)
{
    (void)state;
    check("{\"anyOf\":[{\"type\":\"integer\"},{\"const\":\"none\"}]}", LIST("1", "\"none\""),
          LIST("\"x\""));
    check("{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"}},\"required\":[\"k\"],"
          "\"oneOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]},"
          "{\"properties\":{\"b\":{\"type\":\"null\"}},\"required\":[\"b\"]}]}",
          LIST("{\"k\":\"\",\"a\":1}", "{\"k\":\"\",\"b\":null}"),
          LIST("{\"k\":\"\"}", "{\"a\":1}"));
    check("{\"$ref\":\"#/$defs/tree\",\"$defs\":{\"tree\":{\"type\":\"object\",\"properties\":{"
          "\"name\":{\"type\":\"string\"},\"below\":{\"type\":\"array\",\"items\":{\"$ref\":"
          "\"#/$defs/tree\"}}},\"required\":[\"name\"]}}}",
          LIST("{\"name\":\"a\"}", "{\"name\":\"a\",\"below\":[{\"name\":\"b\",\"below\":[]}]}"),
          LIST("{\"below\":[]}", "{\"name\":\"a\",\"below\":[1]}"));
    check("{\"allOf\":[{\"$ref\":\"#/definitions/a~1b\"},{\"properties\":{\"y\":{\"type\":"
          "\"integer\"}},\"required\":[\"y\"]}],\"definitions\":{\"a/b\":{\"type\":\"object\","
          "\"properties\":{\"x\":{\"type\":\"integer\"}},\"required\":[\"x\"]}}}",
          LIST("{\"x\":1,\"y\":2}"), LIST("{\"x\":1}", "{\"y\":1}"));
    check("{\"properties\":{\"me\":{\"$ref\":\"#\"}}}", LIST("{}", "{\"me\":{\"me\":{}}}"),
          LIST("{\"me\":1}"));
    check("{\"title\":\"A\",\"allOf\":[{\"title\":\"B\",\"type\":\"number\"},{\"type\":\"integer\"}"
          "]}",
          LIST("1"), LIST("1.5", "null"));
    check("{\"type\":[\"integer\",\"string\"],\"allOf\":[{\"type\":[\"string\",\"null\"]}]}",
          LIST("\"\""), LIST("1", "null"));
}

static void errors_name_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enx_status  status;
        const char *says;
    } cases[] = {
        { "{", ENX_FORMAT, "line 1" },
        { "3", ENX_FORMAT, "its root" },
        { "{\"type\":\"text\"}", ENX_FORMAT, "type text" },
        { "{\"properties\":{\"a\":{\"not\":{}}}}", ENX_UNSUPPORTED, "/properties/a: not" },
        { "{\"items\":{\"type\":\"array\",\"uniqueItems\":true}}", ENX_UNSUPPORTED, "/items" },
        { "false", ENX_INVALID, "nothing is valid" },
        { "{\"$ref\":\"#/$defs/x\"}", ENX_NOTFOUND, "#/$defs/x" },
        { "{\"$ref\":\"http://example.org/a.json\"}", ENX_UNSUPPORTED, "within the schema" },
        { "{\"$ref\":\"#\"}", ENX_LIMIT, "themselves" },
        { "{\"allOf\":[{\"$ref\":\"#\"},{\"minItems\":1}]}", ENX_LIMIT, "themselves" },
        { "{\"pattern\":\"a(?=b)\"}", ENX_UNSUPPORTED, "character 3" },
        { "{\"pattern\":\"(a\"}", ENX_FORMAT, ") is expected" },
        { "{\"pattern\":\"a\\\\1\"}", ENX_UNSUPPORTED, "escape" },
        { "{\"pattern\":\"[\\\\u0001]\"}", ENX_INVALID, "no character" },
        { "{\"pattern\":\"a\",\"minLength\":1}", ENX_UNSUPPORTED, "combined" },
        { "{\"type\":\"string\",\"maxLength\":70000}", ENX_LIMIT, "65534" },
        { "{\"type\":\"string\",\"minLength\":5,\"maxLength\":4}", ENX_INVALID, "the least" },
        { "{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}", ENX_INVALID, "no number" },
        { "{\"type\":\"integer\",\"multipleOf\":0}", ENX_FORMAT, "above 0" },
        { "{\"type\":\"integer\",\"multipleOf\":97}", ENX_UNSUPPORTED, "multipleOf" },
        { "{\"required\":[\"a\"],\"additionalProperties\":false}", ENX_INVALID, "a is required" },
        { "{\"type\":\"string\",\"enum\":[1]}", ENX_INVALID, "enum" },
        { "{\"const\":1,\"enum\":[2]}", ENX_INVALID, "enum" },
        { "{\"type\":\"string\",\"const\":1}", ENX_INVALID, "const" },
        { "{\"enum\":[\"aa\",\"b\"],\"maxLength\":1}", ENX_UNSUPPORTED, "maxLength beside" },
        { "{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", ENX_INVALID,
          "optional" },
        { "{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", ENX_INVALID, "leads back" },
        { "{\"allOf\":[{\"properties\":{\"a\":{}},\"additionalProperties\":false},"
          "{\"required\":[\"b\"]}]}",
          ENX_UNSUPPORTED, "additionalProperties" },
        { "{\"properties\":{\"k\":{}},\"oneOf\":[{\"properties\":{\"a\":{}},"
          "\"additionalProperties\":{\"type\":\"null\"}}]}",
          ENX_UNSUPPORTED, "/oneOf/0" },
        { "{\"allOf\":[{\"prefixItems\":[{}]},{\"items\":{\"type\":\"null\"}}]}", ENX_UNSUPPORTED,
          "prefixItems" },
        { "{\"allOf\":[{\"maximum\":3},{\"maximum\":4}]}", ENX_UNSUPPORTED, "said twice" },
        { "{\"type\":\"integer\",\"minimum\":1e19}", ENX_INVALID, "15 digits" },
        { "{\"anyOf\":[]}", ENX_FORMAT, "anyOf" },
        { "{\"allOf\":[{\"required\":\"a\"},{\"required\":[\"b\"]}]}", ENX_FORMAT, "a list" },
        { "{\"a\":1,\"a\":2}", ENX_FORMAT, "duplicate" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_grammar     *grammar = NULL;
        enx_report       report = { 0 };
        const enx_status status =
            enx_schema_open(&grammar, cases[i].json, strlen(cases[i].json), &report);
        if (status != cases[i].status || !strstr(report.text, cases[i].says))
            fail_msg("%s: status %d, \"%s\"", cases[i].json, (int)status, report.text);
        assert_null(grammar);
    }
}

static void no_memory_is_no_crash(void **state)
{
    (void)state;
    static const char json[] =
        "{\"allOf\":[{\"properties\":{\"a\":{\"minimum\":3}}},{\"required\":[\"a\"]}],"
        "\"properties\":{\"a\":{}},\"additionalProperties\":{\"pattern\":\"^[a-z]$\"}}";
    bool is_done = false;
    for (long calls = 0; !is_done; calls++) {
        enx_grammar *grammar = NULL;
        enx_mem_fail_after(calls);
        const enx_status status = enx_schema_open(&grammar, json, sizeof json - 1, NULL);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK || status == ENX_NOMEM);
        is_done = status == ENX_OK;
        assert_true(!is_done || calls > 30);
        enx_grammar_close(&grammar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_value),
        cmocka_unit_test(constants),
        cmocka_unit_test(objects),
        cmocka_unit_test(further_properties),
        cmocka_unit_test(arrays),
        cmocka_unit_test(strings),
        cmocka_unit_test(patterns),
        cmocka_unit_test(numbers),
        cmocka_unit_test(decimals),
        cmocka_unit_test(choices_and_references),
        cmocka_unit_test(errors_name_the_place),
        cmocka_unit_test(no_memory_is_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
