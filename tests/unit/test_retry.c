/* SPDX-License-Identifier: Apache-2.0 */
/* test_retry.c - the table of retry.h, row by row. */
#include "backend/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static enx_verdict judge(int status)
{
    const enx_http_end end = { .is_sent = true, .status = status };
    return enx_retry_judge(&end);
}

static void statuses_are_judged_by_who_pays(void **state)
{
    (void)state;
    static const int busy[] = { 408, 409, 425, 429, 500, 503, 529 };
    static const int gateway[] = { 502, 504, 520, 524, 599, 501 };
    static const int refused[] = { 301, 307, 400, 402, 404, 405, 413, 422, 451 };
    for (size_t i = 0; i < sizeof busy / sizeof *busy; i++)
        assert_int_equal(judge(busy[i]), ENX_VERDICT_AGAIN);
    for (size_t i = 0; i < sizeof gateway / sizeof *gateway; i++)
        assert_int_equal(judge(gateway[i]), ENX_VERDICT_UNKNOWN);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_int_equal(judge(refused[i]), ENX_VERDICT_REFUSED);
    assert_int_equal(judge(401), ENX_VERDICT_LOCKED_OUT);
    assert_int_equal(judge(403), ENX_VERDICT_LOCKED_OUT);
}

static void successes_are_judged_by_what_came(void **state)
{
    (void)state;
    const struct {
        enx_http_end end;
        enx_verdict  wanted;
    } cases[] = {
        { { .is_sent = true, .status = 200, .is_ended = true }, ENX_VERDICT_ANSWERED },
        { { .is_sent = true, .status = 200 }, ENX_VERDICT_UNKNOWN },
        { { .is_sent = true, .status = 200, .has_error = true }, ENX_VERDICT_UNKNOWN },
        { { .is_sent = true, .status = 200, .has_error = true, .is_ended = true },
          ENX_VERDICT_UNKNOWN },
        { { .is_sent = true, .status = 200, .is_spoilt = true, .is_ended = true },
          ENX_VERDICT_SPOILT },
        { { .is_sent = true, .status = 0 }, ENX_VERDICT_UNKNOWN },
        { { .is_sent = false }, ENX_VERDICT_AGAIN },
        { { .is_sent = true, .status = 400, .has_refused = true }, ENX_VERDICT_SIMPLER },
        { { .is_sent = true, .status = 422, .has_refused = true }, ENX_VERDICT_SIMPLER },
        { { .is_sent = true, .status = 404, .has_refused = true }, ENX_VERDICT_REFUSED },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (enx_retry_judge(&cases[i].end) != cases[i].wanted) fail_msg("case %zu", i);
}

static void waits_double_and_respect_what_was_asked(void **state)
{
    (void)state;
    enx_rng rng = enx_rng_open(1, 0);
    for (uint32_t attempt = 1; attempt <= 40; attempt++) {
        uint64_t most = ENX_RETRY_BASE_US;
        for (uint32_t i = 1; i < attempt && most < ENX_RETRY_US_MAX; i++) most *= 2;
        if (most > ENX_RETRY_US_MAX) most = ENX_RETRY_US_MAX;
        for (int i = 0; i < 100; i++) {
            const uint64_t wait = enx_retry_wait_us(attempt, 0, &rng);
            assert_in_range(wait, most / 2, most);
        }
        for (int i = 0; i < 100; i++) {
            const uint64_t wait = enx_retry_wait_us(attempt, 77000000, &rng);
            assert_in_range(wait, 77000000, 77000000 + most / 2);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_are_judged_by_who_pays),
        cmocka_unit_test(successes_are_judged_by_what_came),
        cmocka_unit_test(waits_double_and_respect_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
