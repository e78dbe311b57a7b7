/* SPDX-License-Identifier: Apache-2.0 */
/* test_stopper.c - no byte of a stop text and no part of a character comes out, however it is cut.
 */
#include "base/rng.h"
#include "text/stopper.h"
#include "text/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX = 64, ROUNDS = 20000 };

/* Slow and obvious: at each end in turn, does a stop text end there? */
static size_t reference(const char *text, size_t size, const char *const *stops, size_t count,
                        bool *is_stopped)
{
    size_t longest = 0, end = 0;
    for (end = 1; end <= size && longest == 0; end++)
        for (size_t i = 0; i < count; i++) {
            const size_t n = strlen(stops[i]);
            if (n <= end && memcmp(text + end - n, stops[i], n) == 0 && n > longest) longest = n;
        }
    *is_stopped = longest > 0;
    const size_t left = longest ? end - 1 - longest : size;
    return left ? enx_utf8_complete_prefix(text, left) : 0;
}

/* The callers have room. */
static void append(char *text, const char *letter)
{
    memcpy(text + strlen(text), letter, strlen(letter) + 1);
}

static void output_is_what_its_slow_form_says_however_it_is_cut(void **state)
{
    (void)state;
    static const char *const letters[] = { "a", "b", "ã", "€" };
    enx_rng                  rng = enx_rng_open(5, 0);
    enx_buf                  out;
    enx_buf_init(&out, TEXT_MAX);
    for (int round = 0; round < ROUNDS; round++) {
        char         text[TEXT_MAX + 8] = "", stop_text[3][32] = { "" };
        const char  *stops[3] = { stop_text[0], stop_text[1], stop_text[2] };
        const size_t count = (size_t)enx_rng_below(&rng, 4);
        for (size_t i = 0; i < count; i++)
            for (uint64_t n = 1 + enx_rng_below(&rng, 6); n > 0; n--)
                append(stop_text[i], letters[enx_rng_below(&rng, 3)]);
        while (strlen(text) < 40) append(text, letters[enx_rng_below(&rng, 4)]);
        const size_t size = strlen(text) - (size_t)enx_rng_below(&rng, 3);
        bool         is_stopped = false;
        const size_t want = reference(text, size, stops, count, &is_stopped);
        enx_stopper  s;
        assert_int_equal(enx_stopper_init(&s, stops, count, NULL), ENX_OK);
        enx_buf_clear(&out);
        for (size_t at = 0, part = 0; at < size; at += part) {
            part = 1 + (size_t)enx_rng_below(&rng, 7);
            if (part > size - at) part = size - at;
            assert_int_equal(enx_stopper_push(&s, text + at, part, &out), ENX_OK);
            assert_true(out.size_bytes <= want);
            if (out.size_bytes)
                assert_int_equal(enx_utf8_complete_prefix(out.data, out.size_bytes),
                                 out.size_bytes);
        }
        assert_int_equal(enx_stopper_finish(&s, &out), ENX_OK);
        assert_int_equal(s.is_stopped, is_stopped);
        assert_int_equal(out.size_bytes, want);
        assert_memory_equal(enx_buf_text(&out), text, want);
    }
    enx_buf_deinit(&out);
}

static void what_cannot_become_a_stop_text_comes_at_once(void **state)
{
    (void)state;
    const char *const stops[] = { "abac", "\n\n" };
    enx_stopper       s;
    enx_buf           out;
    enx_buf_init(&out, TEXT_MAX);
    assert_int_equal(enx_stopper_init(&s, stops, 2, NULL), ENX_OK);
    assert_int_equal(enx_stopper_push(&s, "xaba", 4, &out), ENX_OK);
    assert_string_equal(enx_buf_text(&out), "x");
    assert_int_equal(enx_stopper_push(&s, "b\n", 2, &out), ENX_OK);
    assert_string_equal(enx_buf_text(&out), "xabab");
    assert_int_equal(enx_stopper_push(&s, "\xFF\xC3", 2, &out), ENX_OK); /* never a character */
    assert_string_equal(enx_buf_text(&out), "xabab\n\xFF");
    assert_int_equal(enx_stopper_finish(&s, &out), ENX_OK);
    assert_string_equal(enx_buf_text(&out), "xabab\n\xFF");
    enx_buf_deinit(&out);
}

static void stop_texts_have_limits(void **state)
{
    (void)state;
    char        most[ENX_STOP_BYTES_MAX + 2], *last = most + ENX_STOP_BYTES_MAX;
    const char *stops[ENX_STOPS_MAX + 1];
    enx_stopper s;
    enx_buf     out;
    enx_buf_init(&out, 4 * ENX_STOP_BYTES_MAX);
    memset(most, 'a', sizeof most);
    last[1] = '\0';
    for (int i = 0; i <= ENX_STOPS_MAX; i++) stops[i] = most;
    assert_int_equal(enx_stopper_init(&s, stops, 1, NULL), ENX_LIMIT);
    last[0] = '\0';
    assert_int_equal(enx_stopper_init(&s, stops, ENX_STOPS_MAX + 1, NULL), ENX_LIMIT);
    assert_int_equal(enx_stopper_init(&s, &(const char *){ "" }, 1, NULL), ENX_INVALID);
    assert_int_equal(enx_stopper_init(&s, stops, ENX_STOPS_MAX, NULL), ENX_OK);
    assert_int_equal(enx_stopper_push(&s, "\xE2\x82", 2, &out), ENX_OK); /* the fullest hold */
    assert_int_equal(enx_stopper_push(&s, most, ENX_STOP_BYTES_MAX - 1, &out), ENX_OK);
    assert_int_equal(enx_stopper_push(&s, "b", 1, &out), ENX_OK);
    assert_int_equal(out.size_bytes, 2 + ENX_STOP_BYTES_MAX);
    enx_buf_deinit(&out);
}

static void a_full_output_is_told(void **state)
{
    (void)state;
    enx_stopper s;
    enx_buf     out;
    enx_buf_init(&out, 2);
    assert_int_equal(enx_stopper_init(&s, NULL, 0, NULL), ENX_OK);
    assert_int_equal(enx_stopper_push(&s, "abc", 3, &out), ENX_LIMIT);
    enx_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_what_its_slow_form_says_however_it_is_cut),
        cmocka_unit_test(what_cannot_become_a_stop_text_comes_at_once),
        cmocka_unit_test(stop_texts_have_limits),
        cmocka_unit_test(a_full_output_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
