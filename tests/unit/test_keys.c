/* SPDX-License-Identifier: Apache-2.0 */
/* test_keys.c - keys let in whom they should, as fast and as far as they may. */
#include "plat/file.h"
#include "serve/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECOND = 1000000 };

static const char yaml[] =
    "keys:\n"
    "  - {name: ana, key: sk-aaaaaaaaaaaaaaaa, usd: 1, requests_per_min: 2}\n"
    "  - {name: rui, key: sk-bbbbbbbbbbbbbbbb, tokens_per_min: 100}\n"
    "  - {name: eva, key: sk-cccccccccccccccc}\n";

static enx_status open_text(enx_keys **keys, const char *text, const char *spent,
                            enx_report *report)
{
    enx_buf buf;
    enx_buf_init(&buf, ENX_KEYS_BYTES_MAX);
    assert_int_equal(enx_buf_append_text(&buf, text), ENX_OK);
    const enx_status status = enx_keys_open(keys, &buf, "keys.yaml", spent, report);
    enx_buf_deinit(&buf);
    return status;
}

static void keys_are_found_by_all_of_their_text(void **state)
{
    enx_keys *keys = NULL;
    (void)state;
    assert_int_equal(open_text(&keys, yaml, NULL, NULL), ENX_OK);
    assert_string_equal(enx_key_name(enx_keys_find(keys, "sk-bbbbbbbbbbbbbbbb")), "rui");
    assert_null(enx_keys_find(keys, "sk-bbbbbbbbbbbbbbb"));
    assert_null(enx_keys_find(keys, "sk-bbbbbbbbbbbbbbbbb"));
    assert_null(enx_keys_find(keys, "sk-bbbbbbbbbbbbbbbc"));
    assert_null(enx_keys_find(keys, ""));
    assert_null(enx_keys_find(keys, NULL));
    enx_keys_close(&keys);
}

static void bad_files_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "keys: [{name: a, key: short}]", "shorter than" },
        { "keys: [{name: a, key: sk-aaaaaaaaaaaaaaaa}, {name: b, key: sk-aaaaaaaaaaaaaaaa}]",
          "twice" },
        { "keys: [{name: a, key: sk-aaaaaaaaaaaaaaaa, usd: -1}]", "dollars" },
        { "keys: [{name: a, key: sk-aaaaaaaaaaaaaaaa, budget: 1}]", "unknown key" },
        { "keys: []", "keys.yaml" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_keys  *keys = NULL;
        enx_report report = { 0 };
        assert_int_not_equal(open_text(&keys, cases[i].text, NULL, &report), ENX_OK);
        assert_null(keys);
        if (!strstr(report.text, cases[i].says)) fail_msg("%s", report.text);
    }
}

static void a_budget_is_never_overrun(void **state)
{
    enx_keys *keys = NULL;
    uint32_t  wait_s = 0;
    (void)state;
    assert_int_equal(open_text(&keys, yaml, NULL, NULL), ENX_OK);
    const enx_key *ana = enx_keys_find(keys, "sk-aaaaaaaaaaaaaaaa");
    assert_int_equal(enx_keys_reserve(keys, ana, SECOND, 700000000, 1, &wait_s, NULL), ENX_OK);
    assert_int_equal(enx_keys_reserve(keys, ana, SECOND, 400000000, 1, &wait_s, NULL), ENX_BUDGET);
    enx_keys_settle(keys, ana, 700000000, 1, 100000000, 1);
    assert_int_equal(enx_keys_spent_usd_nano(keys, ana), 100000000);
    assert_int_equal(enx_keys_reserve(keys, ana, SECOND, 900000000, 1, &wait_s, NULL), ENX_OK);
    assert_int_equal(enx_keys_reserve(keys, ana, SECOND, 1, 1, &wait_s, NULL), ENX_BUDGET);
    enx_keys_close(&keys);
}

static void rates_fill_up_again(void **state)
{
    enx_keys *keys = NULL;
    uint32_t  wait_s = 0;
    (void)state;
    assert_int_equal(open_text(&keys, yaml, NULL, NULL), ENX_OK);
    const enx_key *ana = enx_keys_find(keys, "sk-aaaaaaaaaaaaaaaa"),
                  *rui = enx_keys_find(keys, "sk-bbbbbbbbbbbbbbbb");
    assert_int_equal(enx_keys_reserve(keys, ana, SECOND, 0, 1, &wait_s, NULL), ENX_OK);
    assert_int_equal(enx_keys_reserve(keys, ana, SECOND, 0, 1, &wait_s, NULL), ENX_OK);
    assert_int_equal(enx_keys_reserve(keys, ana, SECOND, 0, 1, &wait_s, NULL), ENX_AGAIN);
    assert_int_equal(wait_s, 30);
    assert_int_equal(enx_keys_reserve(keys, ana, 31 * SECOND, 0, 1, &wait_s, NULL), ENX_OK);
    assert_int_equal(enx_keys_reserve(keys, rui, SECOND, 0, 80, &wait_s, NULL), ENX_OK);
    assert_int_equal(enx_keys_reserve(keys, rui, SECOND, 0, 80, &wait_s, NULL), ENX_AGAIN);
    assert_int_equal(wait_s, 36);
    enx_keys_settle(keys, rui, 0, 80, 0, 10); /* what was not used comes back */
    assert_int_equal(enx_keys_reserve(keys, rui, SECOND, 0, 80, &wait_s, NULL), ENX_OK);
    enx_keys_close(&keys);
}

static void what_was_spent_outlives_the_process(void **state)
{
    char      folder[] = "/tmp/enxame-keys-XXXXXX", path[64];
    enx_keys *keys = NULL;
    uint32_t  wait_s = 0;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/spent.json", folder);
    assert_int_equal(open_text(&keys, yaml, path, NULL), ENX_OK);
    const enx_key *eva = enx_keys_find(keys, "sk-cccccccccccccccc");
    assert_int_equal(enx_keys_reserve(keys, eva, SECOND, 9, 1, &wait_s, NULL), ENX_OK);
    enx_keys_settle(keys, eva, 9, 1, 7, 1);
    assert_int_equal(enx_keys_save(keys, NULL), ENX_OK);
    enx_keys_close(&keys);
    assert_int_equal(open_text(&keys, yaml, path, NULL), ENX_OK);
    assert_int_equal(enx_keys_spent_usd_nano(keys, enx_keys_find(keys, "sk-cccccccccccccccc")), 7);
    enx_keys_close(&keys);
    assert_int_equal(enx_file_write(path, "no", 2, NULL), ENX_OK);
    assert_int_equal(open_text(&keys, yaml, path, NULL), ENX_FORMAT);
    unlink(path);
    rmdir(folder);
}

static void what_is_left_is_neither_spent_nor_held(void **state)
{
    enx_keys *keys = NULL;
    uint32_t  wait_s = 0;
    (void)state;
    assert_int_equal(open_text(&keys, yaml, NULL, NULL), ENX_OK);
    const enx_key *ana = enx_keys_named(keys, "ana"), *eva = enx_keys_named(keys, "eva");
    assert_ptr_equal(ana, enx_keys_find(keys, "sk-aaaaaaaaaaaaaaaa"));
    assert_null(enx_keys_named(keys, "nobody"));
    assert_true(enx_keys_left_usd_nano(keys, eva) == UINT64_MAX);
    assert_int_equal(enx_keys_left_usd_nano(keys, ana), 1000000000);
    assert_int_equal(enx_keys_reserve(keys, ana, SECOND, 700000000, 0, &wait_s, NULL), ENX_OK);
    assert_int_equal(enx_keys_left_usd_nano(keys, ana), 300000000);
    enx_keys_settle(keys, ana, 700000000, 0, 100000000, 0);
    assert_int_equal(enx_keys_left_usd_nano(keys, ana), 900000000);
    enx_keys_settle(keys, ana, 0, 0, 2000000000, 0);
    assert_int_equal(enx_keys_left_usd_nano(keys, ana), 0);
    enx_keys_close(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_by_all_of_their_text),
        cmocka_unit_test(bad_files_are_refused_with_the_reason),
        cmocka_unit_test(a_budget_is_never_overrun),
        cmocka_unit_test(rates_fill_up_again),
        cmocka_unit_test(what_is_left_is_neither_spent_nor_held),
        cmocka_unit_test(what_was_spent_outlives_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
