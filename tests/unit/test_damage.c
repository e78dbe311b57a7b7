/* SPDX-License-Identifier: Apache-2.0 */
/* test_damage.c - the promises of text/damage.h. */
#include "text/damage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <utf8proc.h>

static void damage_of(enx_buf *out, const char *text, size_t size_bytes, int level)
{
    enx_buf_clear(out);
    assert_int_equal(enx_damage(out, text, size_bytes, level, NULL), ENX_OK);
}

static void check(const char *text, const char *l1, const char *l2, const char *l3)
{
    const char *want[] = { text, l1, l2, l3 };
    enx_buf     got;
    enx_buf_init(&got, 4096);
    for (int level = 0; level < ENX_DAMAGE_LEVELS; level++) {
        damage_of(&got, text, strlen(text), level);
        assert_string_equal(enx_buf_text(&got), want[level]);
    }
    enx_buf_deinit(&got);
}

static void marks_of_accents_fall_away(void **state)
{
    (void)state;
    check("Ação É à", "Acao E a", "acao e a", "acao e a");
    check("Tiếng Việt ĐƯỢC", "Tieng Viet DUOC", "tieng viet duoc", "tieng viet duoc");
    check("e\u0301 o\u0323\u0302 \u0301", "e o ", "e o ", "e o ");
    check("Příliš žluťoučký", "Prilis zlutoucky", "prilis zlutoucky", "prilis zlutoucky");
}

static void letters_without_decomposition_are_spelt(void **state)
{
    (void)state;
    check("Straße ẞ", "Strasse SS", "strasse ss", "strasse ss");
    check("Æon æ Œuvre œ", "AEon ae OEuvre oe", "aeon ae oeuvre oe", "aeon ae oeuvre oe");
    check("Øø Łł Đđ Ðð Þþ ı", "Oo Ll Dd Dd THth i", "oo ll dd dd thth i", "oo ll dd dd thth i");
    check("ǽ Ǣ ǿ", "ae AE o", "ae ae o", "ae ae o"); /* two steps in one */
}

static void other_scripts_keep_what_is_theirs(void **state)
{
    (void)state;
    check("한국어", "한국어", "한국어", "한국어");
    check("Привет Йод", "Привет Иод", "привет иод", "привет иод");
    check("Ωμέγα", "Ωμεγα", "ωμεγα", "ωμεγα");
    check("が が", "が が", "が が", "が が"); /* U+3099 is not one of ours */
}

static void marks_at_a_words_end_fall_away(void **state)
{
    (void)state;
    check("Oi, tudo bem? Sim!", "Oi, tudo bem? Sim!", "oi, tudo bem? sim!", "oi tudo bem sim");
    check("Quoi ! Non\u202F; si\u00A0:", "Quoi ! Non\u202F; si\u00A0:",
          "quoi ! non\u202F; si\u00A0:", "quoi non si");
    check("3.5 a.b .x a..b", "3.5 a.b .x a..b", "3.5 a.b .x a..b", "3.5 a.b .x a..b");
    check("fim... ?! x", "fim... ?! x", "fim... ?! x", "fim x");
    check("(a.) \"b,\" c", "(a.) \"b,\" c", "(a.) \"b,\" c", "(a.) \"b,\" c");
    check("a .b. c", "a .b. c", "a .b. c", "a .b c");
}

static void marks_before_everything_stay(void **state)
{
    (void)state;
    check("... e a", "... e a", "... e a", "... e a");
    check("  , a", "  , a", "  , a", "  , a");
    check("?", "?", "?", "?");
    check(". . a", ". . a", ". . a", ". a"); /* the first stands before the second */
    check("", "", "", "");
}

static void invalid_bytes_pass_through(void **state)
{
    (void)state;
    check("\xC3 A\xFF\xE2\x82 \xED\xA0\x80", "\xC3 A\xFF\xE2\x82 \xED\xA0\x80",
          "\xC3 a\xFF\xE2\x82 \xED\xA0\x80", "\xC3 a\xFF\xE2\x82 \xED\xA0\x80");
    check("\xFF. \xC0\xAE", "\xFF. \xC0\xAE", "\xFF. \xC0\xAE", "\xFF \xC0\xAE");
    enx_buf got;
    enx_buf_init(&got, 64);
    damage_of(&got, "\0A\0", 3, 3);
    assert_int_equal(got.size_bytes, 3);
    assert_memory_equal(got.data, "\0a\0", 3);
    enx_buf_deinit(&got);
}

static void damaging_twice_is_damaging_once_for_every_code_point(void **state)
{
    (void)state;
    enx_buf once, twice;
    enx_buf_init(&once, 64);
    enx_buf_init(&twice, 64);
    for (int32_t point = 0; point < 0x110000; point++) {
        if (point >= 0xD800 && point < 0xE000) continue;
        utf8proc_uint8_t bytes[5] = { 'x' };
        const size_t     size_bytes = 1 + (size_t)utf8proc_encode_char(point, bytes + 1);
        for (int level = 1; level < ENX_DAMAGE_LEVELS; level++) {
            damage_of(&once, (const char *)bytes, size_bytes, level);
            damage_of(&twice, enx_buf_text(&once), once.size_bytes, level);
            if (once.size_bytes != twice.size_bytes ||
                memcmp(once.data, twice.data, once.size_bytes) != 0)
                fail_msg("U+%04X at level %d: once \"%s\", twice \"%s\"", (unsigned)point, level,
                         enx_buf_text(&once), enx_buf_text(&twice));
        }
    }
    enx_buf_deinit(&once);
    enx_buf_deinit(&twice);
}

static void kinds_can_be_lost_one_by_one(void **state)
{
    (void)state;
    static const struct {
        unsigned    kinds;
        const char *want;
    } rows[] = {
        { 0, "É, Ça." },
        { ENX_DAMAGE_KIND_ACCENTS, "E, Ca." },
        { ENX_DAMAGE_KIND_CAPITALS, "é, ça." },
        { ENX_DAMAGE_KIND_PUNCTUATION, "É Ça" },
        { ENX_DAMAGE_KIND_PUNCTUATION | ENX_DAMAGE_KIND_CAPITALS, "é ça" },
    };
    enx_buf got;
    enx_buf_init(&got, 64);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enx_buf_clear(&got);
        assert_int_equal(enx_damage_kinds(&got, "É, Ça.", strlen("É, Ça."), rows[i].kinds, NULL),
                         ENX_OK);
        assert_string_equal(enx_buf_text(&got), rows[i].want);
    }
    enx_buf_deinit(&got);
}

static void long_texts_come_out_whole(void **state)
{
    (void)state;
    enx_buf text, got;
    enx_buf_init(&text, 1 << 16);
    enx_buf_init(&got, 1 << 16);
    for (int i = 0; i < 2000; i++) assert_int_equal(enx_buf_append_text(&text, "Ção, "), ENX_OK);
    damage_of(&got, enx_buf_text(&text), text.size_bytes, 3);
    assert_int_equal(got.size_bytes, 2000 * strlen("cao "));
    for (size_t at = 0; at < got.size_bytes; at += 4) assert_memory_equal(got.data + at, "cao ", 4);
    enx_buf_deinit(&text);
    enx_buf_deinit(&got);
}

static void letters_of_one_code_point(void **state)
{
    (void)state;
    int32_t out[ENX_DAMAGE_LETTERS_MAX];
    assert_int_equal(enx_damage_letters(out, 0x1E9E, ENX_DAMAGE_KIND_ACCENTS), 2);
    assert_true(out[0] == 'S' && out[1] == 'S');
    assert_int_equal(enx_damage_letters(out, 0xC9, ENX_DAMAGE_KIND_CAPITALS), 1);
    assert_int_equal(out[0], 0xE9);
    assert_int_equal(enx_damage_letters(out, 0x301, ENX_DAMAGE_KIND_ACCENTS), 0);
    assert_int_equal(enx_damage_letters(out, 0x301, ENX_DAMAGE_KIND_PUNCTUATION), 1);
    assert_true(enx_damage_is_mark('?') && !enx_damage_is_mark('-') && !enx_damage_is_mark(-1));
    assert_true(enx_damage_is_space(0x202F) && enx_damage_is_space('\n'));
    assert_false(enx_damage_is_space('x') || enx_damage_is_space(-1));
}

static void refusals_say_why(void **state)
{
    (void)state;
    enx_report report = { 0 };
    enx_buf    got;
    enx_buf_init(&got, 4);
    assert_int_equal(enx_damage(&got, "abcdefgh", 8, 2, &report), ENX_LIMIT);
    assert_non_null(strstr(report.text, "damage: "));
    assert_int_equal(enx_damage(&got, "a", 1, 4, &report), ENX_INVALID);
    assert_string_equal(report.text, "damage level 4 is not in 0..3");
    assert_int_equal(enx_damage(&got, "a", 1, -1, NULL), ENX_INVALID);
    enx_buf_deinit(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_of_accents_fall_away),
        cmocka_unit_test(letters_without_decomposition_are_spelt),
        cmocka_unit_test(other_scripts_keep_what_is_theirs),
        cmocka_unit_test(marks_at_a_words_end_fall_away),
        cmocka_unit_test(marks_before_everything_stay),
        cmocka_unit_test(invalid_bytes_pass_through),
        cmocka_unit_test(damaging_twice_is_damaging_once_for_every_code_point),
        cmocka_unit_test(kinds_can_be_lost_one_by_one),
        cmocka_unit_test(long_texts_come_out_whole),
        cmocka_unit_test(letters_of_one_code_point),
        cmocka_unit_test(refusals_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
