/* SPDX-License-Identifier: Apache-2.0 */
/* test_textbook.c - a pencil's markets keep their own conditions. */
#include "market/textbook.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void solve(double *out, enx_textbook_id id, const double *given)
{
    enx_report report = { 0 };
    if (enx_textbook_solve(out, id, given, &report) != ENX_OK) fail_msg("%s", report.text);
}

/* One firm more, or another quantity, does not pay. */
static void as_many_enter_as_can_pay(void **state)
{
    (void)state;
    for (double fixed = 0.01; fixed < 15; fixed *= 1.37) {
        double       entry[ENX_TEXTBOOK_VALUES_MAX], now[ENX_TEXTBOOK_VALUES_MAX];
        const double given[] = { 10, 2, 1, fixed };
        solve(entry, ENX_TEXTBOOK_ENTRY, given);
        for (int more = 0; more < 2; more++) {
            const double market[] = { 10, 2, 1, fmax(1, entry[0] + more) };
            solve(now, ENX_TEXTBOOK_COURNOT, market);
            if (entry[0] + more >= 1) assert_int_equal(now[2] >= fixed * (1 - 1e-12), !more);
            const double others = now[0] * (market[3] - 1);
            for (double other = 0.5; other < 2; other += 0.3) {
                const double q = other * now[0], price = 10 - 2 * (others + q);
                assert_true(q * (price - 1) <= now[2] + 1e-12);
            }
        }
    }
}

static void a_tie_enters(void **state)
{
    (void)state;
    for (int n = 1; n < 200; n++) {
        double       values[ENX_TEXTBOOK_VALUES_MAX];
        const double fixed = pow(9.0 / (n + 1), 2) / 3, given[] = { 10, 3, 1, fixed };
        solve(values, ENX_TEXTBOOK_ENTRY, given);
        assert_true(values[0] == n);
        const double circle[] = { 7, 3, 21.0 / n / n };
        solve(values, ENX_TEXTBOOK_SALOP, circle);
        assert_true(values[0] == n);
    }
}

static void quality_is_paid_from_profit(void **state)
{
    (void)state;
    for (double beta = 0.5; beta < 40; beta *= 1.7) {
        double       values[ENX_TEXTBOOK_VALUES_MAX];
        const double given[] = { beta, 100 };
        solve(values, ENX_TEXTBOOK_SUTTON, given);
        assert_true(fabs(values[0] + 1 / values[0] - 2 - beta / 2) < 1e-12 * values[0]);
        assert_true(fabs(values[1] * values[0] * values[0] - 100) < 1e-9);
    }
}

static void every_key_has_a_range(void **state)
{
    (void)state;
    for (int id = 0; id < ENX_TEXTBOOKS_COUNT; id++) {
        const enx_textbook *book = &enx_textbooks[id];
        assert_true(book->name && book->about && book->keys[0].name && book->values[0]);
        for (int i = 0; i < ENX_TEXTBOOK_KEYS_MAX && book->keys[i].name; i++) {
            const double bad[] = { NAN, -1, INFINITY };
            for (int k = 0; k < 3; k++) {
                double     given[] = { 3, 1, 1, 1, 1 }, values[] = { 7, 7, 7, 7 };
                enx_report report = { 0 };
                if (id == ENX_TEXTBOOK_LEARNING || id == ENX_TEXTBOOK_HAZARD) given[0] = 0.5;
                given[i] = bad[k];
                assert_int_equal(enx_textbook_solve(values, (enx_textbook_id)id, given, &report),
                                 ENX_INVALID);
                assert_memory_equal(report.text, book->keys[i].name, strlen(book->keys[i].name));
                assert_non_null(strstr(report.text, book->keys[i].unit));
                assert_true(values[0] == 7);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_enter_as_can_pay),
        cmocka_unit_test(a_tie_enters),
        cmocka_unit_test(quality_is_paid_from_profit),
        cmocka_unit_test(every_key_has_a_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
