/* SPDX-License-Identifier: Apache-2.0 */
/* test_prices.c - a table of prices is read strictly, and finds the price of a day. */
#include "backend/prices.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEAD                                                             \
    "# enxame prices, version 1\n# date: 2026-03-31\n# source: a list\n" \
    "provider,model,from,usd_per_mtok_in,usd_per_mtok_cached,usd_per_mtok_out,tiered\n"
#define TABLE                                                                                \
    HEAD "zeta,big,2026-03-01,2,0.2,8,\nzeta,big,,4,0.4,16,yes\nzeta,big,2026-04-01,1,,4,\n" \
         "alpha,small,,0.1,,0.4,\nbeta,small,,0.1,0.1,0.4,\nbeta,big,,3,,9,\nalpha,one/"     \
         "two,,5,,6,\n"

static enx_status load(enx_prices **out, const char *text, enx_report *report)
{
    *report = (enx_report){ 0 };
    *out = NULL;
    return enx_prices_open(out, text, strlen(text), "p.csv", report);
}

static enx_prices *open_table(void)
{
    enx_prices *prices;
    enx_report  report;
    if (load(&prices, TABLE, &report) != ENX_OK) fail_msg("%s", report.text);
    return prices;
}

static const enx_price_row *find(const enx_prices *prices, const char *name, const char *day)
{
    const enx_price_row *row = NULL;
    enx_report           report = { 0 };
    if (enx_prices_find(&row, prices, name, day, &report) != ENX_OK) fail_msg("%s", report.text);
    return row;
}

static void a_price_is_that_of_its_day(void **state)
{
    (void)state;
    enx_prices *prices = open_table();
    assert_string_equal(prices->date, "2026-03-31");
    assert_string_equal(prices->source, "a list");
    assert_int_equal(prices->row_count, 7);
    const enx_price_row *now = find(prices, "zeta/big", NULL);
    assert_true(now->in == 2 && now->cached == 0.2 && now->out == 8 && !now->is_tiered);
    assert_true(find(prices, "zeta/big", "2026-02-28")->in == 4);
    assert_true(find(prices, "zeta/big", "2026-02-28")->is_tiered);
    assert_true(find(prices, "zeta/big", "2026-04-01")->in == 1);
    enx_prices_close(&prices);
    assert_null(prices);
}

static void cached_tokens_without_a_price_cost_what_others_do(void **state)
{
    (void)state;
    enx_prices *prices = open_table();
    assert_true(find(prices, "alpha/small", NULL)->cached == 0.1);
    enx_prices_close(&prices);
}

static void a_model_alone_is_enough_where_providers_agree(void **state)
{
    (void)state;
    enx_prices          *prices = open_table();
    const enx_price_row *row = NULL;
    enx_report           report = { 0 };
    assert_true(find(prices, "small", NULL)->out == 0.4);
    assert_true(find(prices, "one/two", NULL)->in == 5);
    assert_true(find(prices, "alpha/one/two", NULL)->in == 5);
    assert_int_equal(enx_prices_find(&row, prices, "big", NULL, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "beta/big and zeta/big"));
    assert_int_equal(enx_prices_find(&row, prices, "zeta/bog", NULL, &report), ENX_NOTFOUND);
    assert_non_null(strstr(report.text, "/big\""));
    assert_null(row);
    enx_prices_close(&prices);
}

static void the_builtin_table_is_sound(void **state)
{
    (void)state;
    enx_prices *prices = NULL;
    enx_report  report = { 0 };
    if (enx_prices_open(&prices, enx_prices_builtin, strlen(enx_prices_builtin), "built in",
                        &report) != ENX_OK)
        fail_msg("%s", report.text);
    assert_true(prices->row_count > 1000);
    const enx_price_row *o3 = find(prices, "openai/o3", "2025-06-09");
    assert_true(o3->in == 10 && o3->out == 40 && find(prices, "openai/o3", NULL)->out == 8);
    for (size_t i = 0; i < prices->row_count; i++) {
        char                 name[600];
        const enx_price_row *row = &prices->rows[i];
        snprintf(name, sizeof name, "%s/%s", row->provider, row->model);
        assert_string_equal(find(prices, name, NULL)->model, row->model);
    }
    enx_prices_close(&prices);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } rows[] = {
        { "", "not a price table" },
        { "provider,model\n", "not a price table" },
        { "# enxame prices, version 2\n", "not a price table" },
        { "# enxame prices, version 1\nprovider,model,in\n", "line 2: the heading" },
        { "# enxame prices, version 1\n# date: 31.3.2026\n", "line 2: date" },
        { HEAD, "no row" },
        { HEAD "a,b,,1,,2\n", "line 5: 6 fields instead of 7" },
        { HEAD "a,b,,1,,2,,\n", "line 5: more than 7" },
        { HEAD ",b,,1,,2,\n", "provider and model" },
        { HEAD "a,\033[2J,,1,,2,\n", "printable" },
        { HEAD "a,\xc2\x9b,,1,,2,\n", "printable" },
        { HEAD "a,b,2026-1-1,1,,2,\n", "from" },
        { HEAD "a,b,,,,2,\n", "usd_per_mtok_in: not a number from 0 to 1e+06, USD a million" },
        { HEAD "a,b,,-1,,2,\n", "usd_per_mtok_in" },
        { HEAD "a,b,,1,nan,2,\n", "usd_per_mtok_cached" },
        { HEAD "a,b,,1,,1e7,\n", "usd_per_mtok_out" },
        { HEAD "a,b,,1,,2x,\n", "usd_per_mtok_out" },
        { HEAD "a,b,,1,,2,no\n", "tiered" },
        { HEAD "a,b,,1,,2,\na,b,,1,,3,\n", "a/b: two prices" },
        { "# enxame prices, version 1\n# date: 2026-03-31\nprovider,model,from,usd_per_mtok_in,"
          "usd_per_mtok_cached,usd_per_mtok_out,tiered\na,b,,1,,2,\n",
          "source: is missing" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enx_prices *prices;
        enx_report  report;
        assert_int_equal(load(&prices, rows[i].text, &report), ENX_FORMAT);
        assert_null(prices);
        if (!strstr(report.text, rows[i].word) || !strstr(report.text, "p.csv"))
            fail_msg("\"%s\" does not say %s", report.text, rows[i].word);
    }
}

static void limits_are_kept(void **state)
{
    (void)state;
    static char text[ENX_PRICES_BYTES_MAX + 2];
    enx_prices *prices = NULL;
    memset(text, 'x', sizeof text);
    assert_int_equal(enx_prices_open(&prices, text, sizeof text - 1, "p.csv", NULL), ENX_LIMIT);
    memset(text, '\n', ENX_PRICES_ROWS_MAX);
    assert_int_equal(enx_prices_open(&prices, text, ENX_PRICES_ROWS_MAX, "p.csv", NULL), ENX_LIMIT);
    assert_int_equal(enx_prices_open(&prices, "a\0b", 3, "p.csv", NULL), ENX_FORMAT);
    for (long calls = 0; calls < 2; calls++) {
        enx_mem_fail_after(calls);
        assert_int_equal(enx_prices_open(&prices, TABLE, strlen(TABLE), "p.csv", NULL), ENX_NOMEM);
        enx_mem_fail_after(-1);
        assert_null(prices);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_price_is_that_of_its_day),
        cmocka_unit_test(cached_tokens_without_a_price_cost_what_others_do),
        cmocka_unit_test(a_model_alone_is_enough_where_providers_agree),
        cmocka_unit_test(the_builtin_table_is_sound),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(limits_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
