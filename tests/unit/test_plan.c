/* SPDX-License-Identifier: Apache-2.0 */
/* test_plan.c - plans are parsed, judged and written back. */
#include "swarm/plan.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define PLAN(mode, repair, languages, escalate, check)                      \
    "{\"mode\":\"" mode "\",\"for_each\":\"paragraph\",\"repair\":[" repair \
    "],\"languages\":[" languages "],\"escalate\":" escalate ",\"check\":[" check "]}"
#define GOOD PLAN("swarm", "\"accents\",\"capitals\"", "\"any\"", "true", "\"round_trip\"")

static const char *const      languages_pt[] = { "pt_BR", "pt_PT" };
static const char *const      languages_cs[] = { "cs" };
static const enx_roster_model models[] = {
    { .name = "lead", .duty = ENX_DUTY_LEAD, .slots = 1 },
    { .name = "pt", .duty = ENX_DUTY_WORKER, .languages = languages_pt, .language_count = 2 },
    { .name = "cs", .duty = ENX_DUTY_WORKER, .languages = languages_cs, .language_count = 1 },
};
static const enx_roster roster = { models, 3 };

static enx_status parse(enx_plan *plan, const char *text, enx_report *report)
{
    return enx_plan_parse(plan, text, strlen(text), report);
}

static void set_language(char at[ENX_LANGUAGE_BYTES_MAX], const char *tag)
{
    snprintf(at, ENX_LANGUAGE_BYTES_MAX, "%s", tag);
}

/* Every plan that the grammar has: parse, then write, gives the same bytes. */
static void every_plan_comes_back_byte_for_byte(void **state)
{
    (void)state;
    static const char *const tags[] = { "de", "pt_BR", "vi" };
    for (uint32_t n = 0; n < 2 * 7 * 4 * 2 * 3; n++) {
        enx_plan plan = { .is_single = n % 2, .kinds = 1 + n / 2 % 7, .escalate = n / 56 % 2 };
        for (uint32_t i = 0; i < n / 14 % 4; i++)
            set_language(plan.languages[plan.language_count++], tags[i]);
        plan.check_round_trip = (n / 112 % 3) != 1;
        plan.check_confidence = (n / 112 % 3) != 0;
        enx_buf first, second;
        enx_buf_init(&first, ENX_PLAN_BYTES_MAX);
        enx_buf_init(&second, ENX_PLAN_BYTES_MAX);
        assert_int_equal(enx_plan_to_json(&plan, &first), ENX_OK);
        enx_plan again;
        assert_int_equal(parse(&again, enx_buf_text(&first), NULL), ENX_OK);
        assert_int_equal(enx_plan_to_json(&again, &second), ENX_OK);
        assert_string_equal(enx_buf_text(&first), enx_buf_text(&second));
        assert_int_equal(again.kinds, plan.kinds);
        assert_int_equal(again.is_single, plan.is_single);
        enx_buf_deinit(&first);
        enx_buf_deinit(&second);
    }
}

static void bad_plans_are_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        { "", "not JSON" },
        { "[1]", "not a JSON object" },
        { "{\"mode\":\"swarm\"}", "\"for_each\" is missing" },
        { "{\"mod\":\"swarm\"}", "nearest: \"mode\"" },
        { PLAN("swarm", "", "\"any\"", "true", "\"round_trip\""), "at least one" },
        { PLAN("swarm", "\"accents\",\"accents\"", "\"any\"", "true", "\"round_trip\""), "twice" },
        { PLAN("swarm", "\"accent\"", "\"any\"", "true", "\"round_trip\""),
          "nearest: \"accents\"" },
        { PLAN("swarm", "7", "\"any\"", "true", "\"round_trip\""), "must hold strings" },
        { PLAN("swarms", "\"accents\"", "\"any\"", "true", "\"round_trip\""), "\"mode\" must be" },
        { PLAN("swarm", "\"accents\"", "", "true", "\"round_trip\""), "languages" },
        { PLAN("swarm", "\"accents\"", "\"any\",\"de\"", "true", "\"round_trip\""), "only" },
        { PLAN("swarm", "\"accents\"", "\"de\",\"de\"", "true", "\"round_trip\""), "twice" },
        { PLAN("swarm", "\"accents\"", "\"a-tag-that-is-too-long\"", "true", "\"round_trip\""),
          "must be a tag" },
        { PLAN("swarm", "\"accents\"", "\"any\"", "1", "\"round_trip\""), "true or false" },
        { PLAN("swarm", "\"accents\"", "\"any\"", "true", ""), "at least one" },
        { "{\"mode\":\"swarm\",\"mode\":\"swarm\"}", "not JSON" }, /* duplicate key */
        { GOOD "x", "not JSON" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_plan   plan = { .kinds = 99 };
        enx_report report = { 0 };
        assert_int_equal(parse(&plan, cases[i].text, &report), ENX_FORMAT);
        if (!strstr(report.text, cases[i].reason))
            fail_msg("%s: got \"%s\", want \"%s\"", cases[i].text, report.text, cases[i].reason);
        assert_int_equal(plan.kinds, 99); /* untouched */
    }
    static char long_text[ENX_PLAN_BYTES_MAX + 2];
    memset(long_text, ' ', sizeof long_text - 1);
    enx_plan plan;
    assert_int_equal(parse(&plan, long_text, NULL), ENX_LIMIT);
}

static void white_space_and_order_of_keys_do_not_matter(void **state)
{
    (void)state;
    enx_plan plan;
    assert_int_equal(parse(&plan,
                           "{ \"check\": [\"round_trip\"], \"escalate\": false,\n"
                           "\"languages\": [\"cs\"], \"repair\": [\"punctuation\"],"
                           "\"for_each\": \"paragraph\", \"mode\": \"single\" }",
                           NULL),
                     ENX_OK);
    assert_true(plan.is_single && !plan.escalate);
    assert_int_equal(plan.kinds, ENX_KIND_PUNCTUATION);
    assert_int_equal(enx_kinds_level(plan.kinds), 3);
    assert_true(enx_plan_wants_language(&plan, "cs"));
    assert_false(enx_plan_wants_language(&plan, "de"));
}

static void kinds_map_to_the_highest_level(void **state)
{
    (void)state;
    static const int32_t levels[] = { 0, 1, 2, 2, 3, 3, 3, 3 };
    for (uint32_t kinds = 0; kinds < 8; kinds++)
        assert_int_equal(enx_kinds_level(kinds), levels[kinds]);
}

static void validator_names_what_a_grammar_cannot_know(void **state)
{
    (void)state;
    enx_plan        plan;
    enx_report      report;
    enx_plan_limits limits = {
        .roster = &roster, .item_count = 10, .item_count_max = 100, .has_round_trip = true
    };
    assert_int_equal(parse(&plan, GOOD, NULL), ENX_OK);
    assert_int_equal(enx_plan_validate(&plan, &limits, &report), ENX_OK);

    plan.language_count = 1;
    set_language(plan.languages[0], "pt");
    assert_int_equal(enx_plan_validate(&plan, &limits, &report), ENX_NOTFOUND);
    assert_non_null(strstr(report.text, "no worker knows \"pt\"; nearest:"));
    set_language(plan.languages[0], "pt_BE");
    assert_int_equal(enx_plan_validate(&plan, &limits, &report), ENX_NOTFOUND);
    assert_non_null(strstr(report.text, "pt_BR"));
    plan.language_count = 0;

    limits.worst_case_usd_nano = 11;
    limits.budget_usd_nano = 10;
    assert_int_equal(enx_plan_validate(&plan, &limits, &report), ENX_BUDGET);
    limits.budget_usd_nano = 0;
    assert_int_equal(enx_plan_validate(&plan, &limits, &report), ENX_OK);

    limits.item_count = 101;
    assert_int_equal(enx_plan_validate(&plan, &limits, &report), ENX_LIMIT);
    limits.item_count = 1;

    plan.check_round_trip = false;
    plan.check_confidence = true;
    assert_int_equal(enx_plan_validate(&plan, &limits, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "no deterministic check"));
    limits.has_round_trip = false;
    assert_int_equal(enx_plan_validate(&plan, &limits, &report), ENX_INVALID);
    plan.is_single = true;
    assert_int_equal(enx_plan_validate(&plan, &limits, &report), ENX_OK);
}

static void damaged_json_never_crashes(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        enx_rng rng = enx_rng_open(seed, 4);
        char    text[] = GOOD;
        for (uint32_t n = 0; n <= enx_rng_below(&rng, 4); n++)
            text[enx_rng_below(&rng, sizeof text - 1)] = (char)enx_rng_below(&rng, 256);
        enx_plan     plan;
        const size_t size =
            enx_rng_below(&rng, 2) ? sizeof text - 1 : enx_rng_below(&rng, sizeof text);
        if (enx_plan_parse(&plan, text, size, NULL) != ENX_OK) continue;
        assert_true(plan.kinds >= 1 && plan.kinds <= 7);
    }
}

static void grammar_has_a_root_and_all_names(void **state)
{
    (void)state;
    static const char *const names[] = { "root ::=", "accents", "capitals",   "punctuation",
                                         "swarm",    "single",  "round_trip", "confidence" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(strstr(enx_plan_grammar(), names[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_plan_comes_back_byte_for_byte),
        cmocka_unit_test(bad_plans_are_refused_with_the_reason),
        cmocka_unit_test(white_space_and_order_of_keys_do_not_matter),
        cmocka_unit_test(kinds_map_to_the_highest_level),
        cmocka_unit_test(validator_names_what_a_grammar_cannot_know),
        cmocka_unit_test(damaged_json_never_crashes),
        cmocka_unit_test(grammar_has_a_root_and_all_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
