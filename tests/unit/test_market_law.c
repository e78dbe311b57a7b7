/* SPDX-License-Identifier: Apache-2.0 */
/* test_market_law.c - a law's file is read strictly in its types, and its doubts are kept. */
#include "cli/cli_market_law.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "{\"kind\": \"enxame.law\", \"version\": 1"
#define FULL                                                                                     \
    HEAD ", \"form\": \"chinchilla\", \"E\": 1.69, \"A\": 406.4, \"B\": 410.7, \"alpha\": 0.34," \
         "\"beta\": 0.28, \"se\": {\"alpha\": 0.02, \"beta\": 0.03, \"E\": 0.1},"                \
         "\"compute_exponent\": 0.1535, \"new\": [1, {}], \"odds\": {\"holds\": 0.6,"            \
         "\"slowed\": 0.2, \"stopped\": 0.15, \"reversed\": 0.05},"                              \
         "\"source\": {\"file\": \"runs.csv\", \"runs\": 240}}"

static enx_status parse(cli_market_law *law, const char *text, enx_report *report)
{
    *report = (enx_report){ 0 };
    return cli_market_law_parse(law, text, strlen(text), "law.json", report);
}

static void a_whole_file_is_read(void **state)
{
    (void)state;
    cli_market_law law;
    enx_report     report;
    if (parse(&law, FULL, &report) != ENX_OK) fail_msg("%s", report.text);
    assert_true(law.exponent == 0.1535 && law.runs == 240 && law.has_odds);
    assert_true(law.odds[0] == 0.6 && law.odds[3] == 0.05);
    /* errors of alpha and beta, through alpha beta / (alpha + beta) */
    const double by_alpha = 0.28 * 0.28 * 0.02, by_beta = 0.34 * 0.34 * 0.03;
    assert_true(fabs(law.exponent_se - hypot(by_alpha, by_beta) / (0.62 * 0.62)) < 1e-15);
    assert_null(cli_market_law_doubt(&law));
}

static void a_ladder_is_read_as_well(void **state)
{
    (void)state;
    cli_market_law law;
    enx_report     report;
    const char     text[] = "{\"format\": 1, \"form\": \"ladder\", \"exponent\": 0.2,"
                            "\"exponent_se\": 0.01, \"floor\": null, \"odds\": {\"holds\": 0.3,"
                            "\"slowed\": 0.2, \"stopped\": 0.15, \"reversed\": 0.05,"
                            "\"faster\": 0.1, \"bad_run\": 0.2, \"data_wall\": 0.7,"
                            "\"cause\": \"x\"}, \"data\": {\"runs\": 12}, \"version\": \"0.1.0\"}";
    if (parse(&law, text, &report) != ENX_OK) fail_msg("%s", report.text);
    assert_true(law.exponent == 0.2 && law.exponent_se == 0.01 && law.runs == 12);
    assert_true(fabs(cli_market_law_goes_on(&law) - 0.6) < 1e-12);
    assert_null(cli_market_law_doubt(&law));
    assert_int_equal(parse(&law, "{\"format\": 2, \"exponent\": 0.2}", &report), ENX_UNSUPPORTED);
    assert_int_equal(parse(&law, "{\"format\": 1}", &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "exponent: is missing"));
}

static void what_is_not_told_is_not_made_up(void **state)
{
    (void)state;
    cli_market_law law;
    enx_report     report;
    assert_int_equal(parse(&law, HEAD ", \"compute_exponent\": 0.2, \"odds\": null}", &report),
                     ENX_OK);
    assert_true(!law.has_odds && law.exponent_se == 0 && law.runs == 0);
    assert_null(cli_market_law_doubt(&law));
}

static void poor_laws_are_doubted(void **state)
{
    (void)state;
    cli_market_law law = { .exponent = 0.2, .has_odds = true, .odds = { 0.49, 0.51, 0, 0 } };
    assert_non_null(strstr(cli_market_law_doubt(&law), "odds"));
    law.odds[0] = 0.51;
    assert_null(cli_market_law_doubt(&law));
    law.exponent_se = 0.051;
    assert_non_null(strstr(cli_market_law_doubt(&law), "error"));
    law.exponent_se = 0;
    law.runs = 9;
    assert_non_null(strstr(cli_market_law_doubt(&law), "ten runs"));
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enx_status  status;
        const char *word;
    } rows[] = {
        { "", ENX_FORMAT, "not JSON" },
        { "[1]", ENX_FORMAT, "not a JSON object" },
        { "{}", ENX_FORMAT, "kind" },
        { "{\"kind\": 7, \"version\": 1}", ENX_FORMAT, "kind" },
        { "{\"kind\": \"enxame.law\"}", ENX_FORMAT, "version" },
        { "{\"kind\": \"enxame.law\", \"version\": \"1\"}", ENX_FORMAT, "version" },
        { "{\"kind\": \"enxame.law\", \"version\": 2}", ENX_UNSUPPORTED, "version: 2" },
        { HEAD "}", ENX_FORMAT, "compute_exponent: is missing" },
        { HEAD ", \"compute_exponent\": \"0.2\"}", ENX_FORMAT, "compute_exponent: not a number" },
        { HEAD ", \"compute_exponent\": 1.5}", ENX_FORMAT, "not from 0.001 to 1" },
        { HEAD ", \"compute_exponent\": 0.5, \"alpha\": 0.34, \"beta\": 0.28}", ENX_FORMAT,
          "alpha beta / (alpha + beta)" },
        { HEAD ", \"compute_exponent\": 0.2, \"se\": 3}", ENX_FORMAT, "se" },
        { HEAD ", \"compute_exponent\": 0.2, \"se\": {\"compute_exponent\": -1}}", ENX_FORMAT,
          "compute_exponent: -1" },
        { HEAD ", \"compute_exponent\": 0.2, \"odds\": 0.6}", ENX_FORMAT, "odds" },
        { HEAD ", \"compute_exponent\": 0.2, \"odds\": {\"holds\": 1}}", ENX_FORMAT, "slowed" },
        { HEAD ", \"compute_exponent\": 0.2, \"odds\": {\"holds\": 0.6, \"slowed\": 0.6, "
               "\"stopped\": 0, \"reversed\": 0}}",
          ENX_FORMAT, "add up to 1.2" },
        { HEAD ", \"compute_exponent\": 0.2, \"odds\": {\"holds\": true, \"slowed\": 0, "
               "\"stopped\": 0, \"reversed\": 0}}",
          ENX_FORMAT, "holds: not a number" },
        { HEAD ", \"compute_exponent\": 0.2, \"source\": {\"runs\": \"many\"}}", ENX_FORMAT,
          "runs" },
        { HEAD ", \"compute_exponent\": 0.2, \"compute_exponent\": 0.3}", ENX_FORMAT, "not JSON" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cli_market_law law = { .runs = 77 };
        enx_report     report;
        if (parse(&law, rows[i].text, &report) != rows[i].status ||
            !strstr(report.text, rows[i].word) || !strstr(report.text, "law.json"))
            fail_msg("%s\ngives \"%s\", not %s", rows[i].text, report.text, rows[i].word);
        assert_int_equal(law.runs, 77);
    }
}

static void a_cut_at_every_byte_is_refused(void **state)
{
    (void)state;
    for (size_t size = 0; size < strlen(FULL); size++) {
        cli_market_law law;
        assert_int_equal(cli_market_law_parse(&law, FULL, size, "law.json", NULL), ENX_FORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_read),
        cmocka_unit_test(a_ladder_is_read_as_well),
        cmocka_unit_test(what_is_not_told_is_not_made_up),
        cmocka_unit_test(poor_laws_are_doubted),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_cut_at_every_byte_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
