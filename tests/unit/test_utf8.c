/* SPDX-License-Identifier: Apache-2.0 */
/* test_utf8.c - strict decoding, and what may be shown of a text that is still arriving. */
#include "text/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The obvious encoder, also for what must be refused. */
static size_t encode(uint32_t character, size_t size, char *out)
{
    static const uint8_t leads[] = { 0, 0x00, 0xC0, 0xE0, 0xF0 };
    for (size_t i = size - 1; i > 0; i--, character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3F));
    out[0] = (char)(leads[size] | character);
    return size;
}

static size_t natural_size(uint32_t character)
{
    return character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
}

static bool is_scalar(uint32_t character)
{
    return character <= 0x10FFFF && (character < 0xD800 || character > 0xDFFF);
}

static void every_code_point_decodes_to_itself_unless_a_surrogate(void **state)
{
    (void)state;
    for (uint32_t want = 0; want < 0x1FFFFF; want += want < 0x11000 ? 1 : 61) {
        char         bytes[4];
        uint32_t     got = 0;
        const size_t size = encode(want, natural_size(want), bytes);
        const size_t read = enx_utf8_decode(bytes, size, &got);
        assert_int_equal(got, is_scalar(want) ? want : ENX_UTF8_INVALID);
        assert_int_equal(read, is_scalar(want) ? size : 1);
    }
}

static void overlong_forms_are_invalid(void **state)
{
    (void)state;
    for (uint32_t character = 0; character < 0x10000; character += 13) {
        for (size_t size = natural_size(character) + 1; size <= 4; size++) {
            char     bytes[4];
            uint32_t got = 0;
            encode(character, size, bytes);
            assert_int_equal(enx_utf8_decode(bytes, size, &got), 1);
            assert_int_equal(got, ENX_UTF8_INVALID);
        }
    }
}

static void cut_and_stray_bytes_are_invalid_and_one_byte_long(void **state)
{
    (void)state;
    static const char *const bad[] = { "\x80",     "\xBF",      "\xC3",         "\xC3(",
                                       "\xE2\x82", "\xE2(\xA1", "\xF0\x9F\x98", "\xF5\x80\x80\x80",
                                       "\xFF",     "\xC0\xAF" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint32_t got = 0;
        assert_int_equal(enx_utf8_decode(bad[i], strlen(bad[i]), &got), 1);
        assert_int_equal(got, ENX_UTF8_INVALID);
    }
}

static void whole_characters_are_shown_as_soon_as_they_are_whole(void **state)
{
    (void)state;
    static const char   text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
    static const size_t shown[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 };
    for (size_t size = 0; size < sizeof text; size++)
        assert_int_equal(enx_utf8_complete_prefix(text, size), shown[size]);
}

static void invalid_bytes_are_never_held_back(void **state)
{
    (void)state;
    assert_int_equal(enx_utf8_complete_prefix("\x80", 1), 1);
    assert_int_equal(enx_utf8_complete_prefix("a\xFF", 2), 2);
    assert_int_equal(enx_utf8_complete_prefix("\xC0", 1), 1);
    assert_int_equal(enx_utf8_complete_prefix("\xE0\x80", 2), 2);     /* overlong already */
    assert_int_equal(enx_utf8_complete_prefix("\xED\xA0", 2), 2);     /* a surrogate already */
    assert_int_equal(enx_utf8_complete_prefix("\xF4\x90\x80", 3), 3); /* too large already */
    assert_int_equal(enx_utf8_complete_prefix("\xE2\x82\x82\x82", 4), 4);
    assert_int_equal(enx_utf8_complete_prefix("\xE2\xE2\x82", 3), 1);
}

/* Shown piece by piece, any bytes come out whole, in order, with at most 3 held back. */
static void held_back_bytes_are_at_most_three_for_any_bytes(void **state)
{
    (void)state;
    uint32_t seed = 1;
    char     bytes[64];
    for (int round = 0; round < 20000; round++) {
        const size_t size = round % 64;
        for (size_t i = 0; i < size; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[i] = (char)(seed >> 24 | (seed >> 16 & 0x80));
        }
        const size_t shown = enx_utf8_complete_prefix(bytes, size);
        assert_true(shown <= size && size - shown <= 3);
        if (shown == size) continue;
        uint32_t character = 0; /* what is held back is no character yet */
        assert_int_equal(enx_utf8_decode(bytes + shown, size - shown, &character), 1);
        assert_int_equal(character, ENX_UTF8_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_decodes_to_itself_unless_a_surrogate),
        cmocka_unit_test(overlong_forms_are_invalid),
        cmocka_unit_test(cut_and_stray_bytes_are_invalid_and_one_byte_long),
        cmocka_unit_test(whole_characters_are_shown_as_soon_as_they_are_whole),
        cmocka_unit_test(invalid_bytes_are_never_held_back),
        cmocka_unit_test(held_back_bytes_are_at_most_three_for_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
