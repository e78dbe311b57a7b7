/* SPDX-License-Identifier: Apache-2.0 */
/* test_job_account.c - jobs are their owner's, who pays for all of them and for nothing twice. */
#include "plat/file.h"
#include "serve/job_account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CENT = 10000000 };

static const char yaml[] = "keys:\n"
                           "  - {name: ana, key: sk-aaaaaaaaaaaaaaaa, usd: 1}\n"
                           "  - {name: rui, key: sk-bbbbbbbbbbbbbbbb, requests_per_min: 1}\n"
                           "  - {name: eva, key: sk-cccccccccccccccc, all_jobs: true}\n";

typedef struct world {
    char              folder[32];
    enx_keys         *keys;
    const enx_key    *ana, *rui, *eva;
    enx_job_accounts *accounts;
} world;

static void open_accounts(world *w)
{
    assert_int_equal(enx_job_accounts_open(&w->accounts, w->folder, w->keys, NULL), ENX_OK);
}

static int set_up(void **state)
{
    static world w;
    enx_buf      text;
    w = (world){ .folder = "/tmp/enxame-account-XXXXXX" };
    if (!mkdtemp(w.folder)) return -1;
    enx_buf_init(&text, ENX_KEYS_BYTES_MAX);
    assert_int_equal(enx_buf_append_text(&text, yaml), ENX_OK);
    assert_int_equal(enx_keys_open(&w.keys, &text, "keys.yaml", NULL, NULL), ENX_OK);
    enx_buf_deinit(&text);
    w.ana = enx_keys_named(w.keys, "ana");
    w.rui = enx_keys_named(w.keys, "rui");
    w.eva = enx_keys_named(w.keys, "eva");
    open_accounts(&w);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    char   path[64];
    enx_job_accounts_close(&w->accounts);
    enx_keys_close(&w->keys);
    for (int id = 1; id < 10; id++) {
        snprintf(path, sizeof path, "%s/owner-%d.json", w->folder, id);
        unlink(path);
    }
    return rmdir(w->folder);
}

static uint64_t hold(world *w, const enx_key *key, double usd, enx_status expected)
{
    uint64_t         held = 0;
    uint32_t         wait_s = 0;
    const enx_status status =
        enx_job_accounts_hold(w->accounts, key, 0, &usd, &held, &wait_s, NULL);
    assert_int_equal(status, expected);
    return held;
}

static void give(world *w, uint64_t id, const enx_key *key, double usd)
{
    const uint64_t held = hold(w, key, usd, ENX_OK);
    assert_int_equal(enx_job_accounts_set(w->accounts, id, key, held, NULL), ENX_OK);
}

static void jobs_are_shown_to_their_owner_and_to_keys_that_see_all(void **state)
{
    world *w = *state;
    give(w, 7, w->ana, 0.1);
    assert_true(enx_job_accounts_shows(w->accounts, 7, w->ana));
    assert_false(enx_job_accounts_shows(w->accounts, 7, w->rui));
    assert_true(enx_job_accounts_shows(w->accounts, 7, w->eva));
    assert_false(enx_job_accounts_shows(w->accounts, 7, NULL));
    assert_false(enx_job_accounts_shows(w->accounts, 8, w->ana)); /* of the command line */
    assert_true(enx_job_accounts_shows(w->accounts, 8, w->eva));
    assert_ptr_equal(enx_job_accounts_payer(w->accounts, 7, w->eva), w->ana);
    assert_ptr_equal(enx_job_accounts_payer(w->accounts, 8, w->eva), w->eva);
}

static void without_keys_all_is_shown_and_nobody_pays(void **state)
{
    world            *w = *state;
    enx_job_accounts *open = NULL;
    double            usd = 3;
    uint64_t          held = 1;
    uint32_t          wait_s = 1;
    assert_int_equal(enx_job_accounts_open(&open, w->folder, NULL, NULL), ENX_OK);
    assert_int_equal(enx_job_accounts_hold(open, NULL, 0, &usd, &held, &wait_s, NULL), ENX_OK);
    assert_true(usd == 3 && held == 0 && wait_s == 0);
    assert_int_equal(enx_job_accounts_set(open, 1, NULL, 0, NULL), ENX_OK);
    assert_true(enx_job_accounts_shows(open, 1, NULL));
    assert_int_equal(enx_job_accounts_open_from(open, 0), 0);
    enx_job_accounts_close(&open);
}

static void a_job_is_held_back_then_paid_as_it_spends(void **state)
{
    world *w = *state;
    give(w, 3, w->ana, 0.6);
    (void)hold(w, w->ana, 0.6, ENX_BUDGET); /* only .4 is left */
    enx_job_accounts_charge(w->accounts, 3, 10 * CENT, 5, false);
    enx_job_accounts_charge(w->accounts, 3, 25 * CENT, 9, false);
    enx_job_accounts_charge(w->accounts, 3, 25 * CENT, 9, false);
    assert_int_equal(enx_keys_spent_usd_nano(w->keys, w->ana), 25 * CENT);
    assert_int_equal(enx_keys_left_usd_nano(w->keys, w->ana), 40 * CENT);
    assert_int_equal(enx_job_accounts_open_from(w->accounts, 1), 3);
    enx_job_accounts_charge(w->accounts, 3, 30 * CENT, 9, true);
    assert_int_equal(enx_keys_spent_usd_nano(w->keys, w->ana), 30 * CENT);
    assert_int_equal(enx_keys_left_usd_nano(w->keys, w->ana), 70 * CENT);
    assert_int_equal(enx_job_accounts_open_from(w->accounts, 0), 0);
    enx_job_accounts_charge(w->accounts, 3, 90 * CENT, 9, false); /* it is over */
    assert_int_equal(enx_keys_spent_usd_nano(w->keys, w->ana), 30 * CENT);
}

static void without_a_cap_a_job_may_spend_a_share_of_what_is_left(void **state)
{
    world   *w = *state;
    double   usd = 0;
    uint64_t held = 0;
    uint32_t wait_s = 0;
    assert_int_equal(enx_job_accounts_hold(w->accounts, w->ana, 0, &usd, &held, &wait_s, NULL),
                     ENX_OK);
    assert_true(usd == 0.5 && held == 50 * CENT);
    assert_int_equal(hold(w, w->ana, 0, ENX_OK), 25 * CENT); /* a second one beside it */
    (void)hold(w, w->ana, 0.3, ENX_BUDGET);
    enx_job_accounts_give_back(w->accounts, w->ana, held);
    assert_int_equal(enx_keys_left_usd_nano(w->keys, w->ana), 75 * CENT);
    usd = 0;
    assert_int_equal(enx_job_accounts_hold(w->accounts, w->eva, 0, &usd, &held, &wait_s, NULL),
                     ENX_OK);
    assert_true(usd == 0 && held == 0); /* no budget, no cap */
}

static void a_job_that_goes_on_is_held_for_what_is_left_of_its_cap(void **state)
{
    world   *w = *state;
    double   usd = 0.6;
    uint64_t held = 0;
    uint32_t wait_s = 0;
    give(w, 8, w->ana, 0.5);
    enx_job_accounts_charge(w->accounts, 8, 20 * CENT, 5, true);
    assert_int_equal(enx_job_accounts_charged(w->accounts, 8), 20 * CENT);
    assert_int_equal(enx_job_accounts_charged(w->accounts, 9), 0);
    assert_int_equal(
        enx_job_accounts_hold(w->accounts, w->ana, 20 * CENT, &usd, &held, &wait_s, NULL), ENX_OK);
    assert_true(usd == 0.6 && held == 40 * CENT);
    enx_job_accounts_give_back(w->accounts, w->ana, held);
    usd = 0;
    assert_int_equal(
        enx_job_accounts_hold(w->accounts, w->ana, 20 * CENT, &usd, &held, &wait_s, NULL), ENX_OK);
    assert_true(usd == 0.6 && held == 40 * CENT); /* 20 spent, and half of 80 */
    enx_job_accounts_give_back(w->accounts, w->ana, held);
    usd = 0.1; /* it has cost more */
    assert_int_equal(
        enx_job_accounts_hold(w->accounts, w->ana, 20 * CENT, &usd, &held, &wait_s, NULL), ENX_OK);
    assert_true(usd == 0.1 && held == 0);
}

static void a_job_counts_as_a_request(void **state)
{
    world   *w = *state;
    double   usd = 0;
    uint64_t held = 0;
    uint32_t wait_s = 0;
    give(w, 4, w->rui, 0);
    assert_int_equal(enx_job_accounts_hold(w->accounts, w->rui, 0, &usd, &held, &wait_s, NULL),
                     ENX_BUDGET);
    assert_in_range(wait_s, 1, 60);
}

static void accounts_outlive_the_server(void **state)
{
    world *w = *state;
    give(w, 5, w->ana, 0.5);
    give(w, 2, w->rui, 0);
    enx_job_accounts_charge(w->accounts, 5, 20 * CENT, 1, false);
    enx_job_accounts_close(&w->accounts);
    assert_int_equal(enx_keys_left_usd_nano(w->keys, w->ana), 80 * CENT); /* no longer held */
    open_accounts(w);
    assert_true(enx_job_accounts_shows(w->accounts, 5, w->ana));
    assert_int_equal(enx_job_accounts_open_from(w->accounts, 0), 2);
    assert_int_equal(enx_job_accounts_open_from(w->accounts, 3), 5);
    enx_job_accounts_charge(w->accounts, 5, 50 * CENT, 1, true); /* it went on meanwhile */
    assert_int_equal(enx_keys_spent_usd_nano(w->keys, w->ana), 50 * CENT);
    enx_job_accounts_close(&w->accounts);
    open_accounts(w);
    assert_int_equal(enx_job_accounts_open_from(w->accounts, 3), 0);
}

static void a_damaged_file_is_nobodys(void **state)
{
    world *w = *state;
    char   path[64];
    give(w, 6, w->ana, 0.1);
    enx_job_accounts_close(&w->accounts);
    snprintf(path, sizeof path, "%s/owner-6.json", w->folder);
    assert_int_equal(enx_file_write(path, "{", 1, NULL), ENX_OK);
    open_accounts(w);
    assert_false(enx_job_accounts_shows(w->accounts, 6, w->ana));
    assert_true(enx_job_accounts_shows(w->accounts, 6, w->eva));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_are_shown_to_their_owner_and_to_keys_that_see_all,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_keys_all_is_shown_and_nobody_pays, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_job_is_held_back_then_paid_as_it_spends, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_a_cap_a_job_may_spend_a_share_of_what_is_left,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_that_goes_on_is_held_for_what_is_left_of_its_cap,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_counts_as_a_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(accounts_outlive_the_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_nobodys, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
