/* SPDX-License-Identifier: Apache-2.0 */
/* test_lexicon.c - spelling by the most frequent form. */
#include "text/lexicon.h"

#include "base/mem.h"
#include "text/damage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char czech[] = "Příliš žluťoučký kůň úpěl. Kůň z Brna a kůň z Prahy.\n"
                            "V Brně i v Praze: žluťoučký GNOME, Příliš dlouhý. GNOME je příliš.\n"
                            "In Straße und Straße Nr. 2, in Ærø und Ærø.\n"
                            "Jen jednou řekl jeníček.\n";

static enx_lexicon *open_czech(void)
{
    enx_lexicon *lexicon = NULL;
    assert_int_equal(enx_lexicon_open_text(&lexicon, czech, strlen(czech), NULL), ENX_OK);
    return lexicon;
}

static void expect_draft(const enx_lexicon *lexicon, const char *text, unsigned kinds,
                         const char *wanted)
{
    enx_buf out;
    enx_buf_init(&out, 1 << 16);
    assert_int_equal(enx_lexicon_draft(lexicon, text, strlen(text), kinds, NULL, &out, NULL),
                     ENX_OK);
    assert_string_equal(enx_buf_text(&out), wanted);
    enx_buf_deinit(&out);
}

static void the_most_frequent_form_wins(void **state)
{
    (void)state;
    enx_lexicon *l = open_czech();
    expect_draft(l, "prilis zlutoucky kun, 12 gnome", 7, "příliš žluťoučký kůň, 12 GNOME");
    expect_draft(l, "rekl jenicek nikdo", 7, "řekl jeníček nikdo");
    enx_lexicon_close(&l);
    assert_null(l);
}

static void neighbours_decide_where_they_are_known(void **state)
{
    (void)state;
    static const char text[] = "o pai e a mãe\no pai e a mãe\no pai e o filho\nele é a mãe\n"
                               "ela é a mãe\nele é o pai\nquem e a quem\nela é nova\n";
    enx_lexicon      *l = NULL;
    assert_int_equal(enx_lexicon_open_text(&l, text, strlen(text), NULL), ENX_OK);
    expect_draft(l, "o pai e a mae", 7, "o pai e a mãe");
    expect_draft(l, "ele e um e outro", 7, "ele e um e outro"); /* ele é: twice only */
    enx_lexicon_close(&l);
    static const char beside[] =
        "a trận đấu a trận đấu a trận đấu. b đầu tiên b đầu tiên b đầu tiên "
        "b đầu tiên b đầu tiên b đầu tiên\n";
    assert_int_equal(enx_lexicon_open_text(&l, beside, strlen(beside), NULL), ENX_OK);
    expect_draft(l, "tran dau", 7, "trận đấu");
    expect_draft(l, "tran dau tien", 7, "trận đầu tiên"); /* the right pair is the surer one */
    enx_lexicon_close(&l);
    static const char more[] = "e e e e e ele é, ele é! Ele é ela\n";
    assert_int_equal(enx_lexicon_open_text(&l, more, strlen(more), NULL), ENX_OK);
    expect_draft(l, "ele e outro e e", 7, "ele é outro e e");
    enx_lexicon_close(&l);
}

static void capitals_of_the_text_stay_when_only_accents_are_lost(void **state)
{
    (void)state;
    enx_lexicon *l = open_czech();
    expect_draft(l, "Prilis ZLUTOUCKY Kun gnome", ENX_DAMAGE_KIND_ACCENTS,
                 "Příliš ŽLUŤOUČKÝ Kůň gnome");
    expect_draft(l, "STRASSE Strasse strasse AEro", ENX_DAMAGE_KIND_ACCENTS,
                 "STRAẞE Straße straße Ærø");
    enx_lexicon_close(&l);
}

static void what_a_word_still_has_stays(void **state)
{
    (void)state;
    enx_lexicon *l = open_czech();
    expect_draft(l, "přilis Gnome", 7, "přilis Gnome");
    expect_draft(l, "kun gnome", ENX_DAMAGE_KIND_PUNCTUATION, "kun gnome");
    expect_draft(l, "kun gnome", ENX_DAMAGE_KIND_CAPITALS, "kun GNOME");
    enx_lexicon_close(&l);
}

static void a_draft_is_damaged_to_its_text(void **state)
{
    (void)state;
    enx_lexicon *l = open_czech();
    enx_rng      rng = enx_rng_open(7, 7);
    enx_buf      damaged, draft, again;
    enx_buf_init(&damaged, 1 << 16);
    enx_buf_init(&draft, 1 << 16);
    enx_buf_init(&again, 1 << 16);
    for (unsigned kinds = 0; kinds < 8; kinds++)
        for (int round = 0; round < 20; round++) {
            enx_buf_clear(&damaged);
            enx_buf_clear(&draft);
            enx_buf_clear(&again);
            assert_int_equal(enx_damage_kinds(&damaged, czech, strlen(czech), kinds, NULL), ENX_OK);
            assert_int_equal(enx_lexicon_draft(l, enx_buf_text(&damaged), damaged.size_bytes, kinds,
                                               round ? &rng : NULL, &draft, NULL),
                             ENX_OK);
            assert_int_equal(
                enx_damage_kinds(&again, enx_buf_text(&draft), draft.size_bytes, kinds, NULL),
                ENX_OK);
            assert_string_equal(enx_buf_text(&again), enx_buf_text(&damaged));
        }
    enx_buf_deinit(&damaged);
    enx_buf_deinit(&draft);
    enx_buf_deinit(&again);
    enx_lexicon_close(&l);
}

static void rare_words_are_overlooked_in_training(void **state)
{
    (void)state;
    enx_lexicon *l = open_czech();
    enx_rng      rng = enx_rng_open(1, 1);
    enx_buf      out;
    enx_buf_init(&out, 1 << 16);
    unsigned rare = 0, frequent = 0;
    for (int i = 0; i < 300; i++) { /* řekl occurs once, kůň three times */
        enx_buf_clear(&out);
        assert_int_equal(enx_lexicon_draft(l, "rekl kun", 8, 7, &rng, &out, NULL), ENX_OK);
        rare += strstr(enx_buf_text(&out), "řekl") != NULL;
        frequent += strstr(enx_buf_text(&out), "kůň") != NULL;
    }
    enx_buf_deinit(&out);
    enx_lexicon_close(&l);
    assert_int_equal(rare, 0);
    assert_true(frequent > 110 && frequent < 190); /* half of 300 */
}

static void saved_and_read_again_it_spells_the_same(void **state)
{
    (void)state;
    enx_lexicon *l = open_czech(), *again = NULL;
    enx_buf      bytes;
    enx_buf_init(&bytes, 1 << 16);
    assert_int_equal(enx_lexicon_save(l, &bytes, NULL), ENX_OK);
    assert_int_equal(enx_lexicon_open_bytes(&again, bytes.data, bytes.size_bytes, NULL), ENX_OK);
    assert_int_equal(enx_lexicon_count(again), enx_lexicon_count(l));
    expect_draft(again, "prilis zlutoucky kun gnome", 7, "příliš žluťoučký kůň GNOME");
    enx_lexicon_close(&l);
    enx_lexicon_close(&again);
    enx_buf_deinit(&bytes);
}

static void damaged_files_are_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t      size_bytes;
        const char *text;
    } bad[] = { { "\0\1", 2, "byte 0" },
                { "\0\1\0", 3, "byte 0" },
                { "\0\0\0", 3, "byte 0" },
                { "\0\0\5ab", 5, "byte 0" },
                { "\0\0\2\xC3\xA9\0\3\1x", 9, "byte 5" },
                { "\0\0\2zz\0\0\2aa", 10, "out of order" },
                { "\0\0\xFFzz", 5, "byte 0" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enx_lexicon *l = NULL;
        enx_report   report = { 0 };
        assert_int_equal(enx_lexicon_open_bytes(&l, bad[i].bytes, bad[i].size_bytes, &report),
                         ENX_FORMAT);
        assert_null(l);
        assert_non_null(strstr(report.text, bad[i].text));
    }
    enx_lexicon *none = NULL;
    assert_int_equal(enx_lexicon_open_bytes(&none, "", 0, NULL), ENX_OK);
    expect_draft(none, "as it is", 7, "as it is");
    enx_lexicon_close(&none);
}

static void no_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    for (long calls = 0; calls < 12; calls++) {
        enx_lexicon *l = NULL;
        enx_mem_fail_after(calls);
        const enx_status status = enx_lexicon_open_text(&l, czech, strlen(czech), NULL);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK ? l != NULL : l == NULL);
        enx_lexicon_close(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_frequent_form_wins),
        cmocka_unit_test(neighbours_decide_where_they_are_known),
        cmocka_unit_test(capitals_of_the_text_stay_when_only_accents_are_lost),
        cmocka_unit_test(what_a_word_still_has_stays),
        cmocka_unit_test(a_draft_is_damaged_to_its_text),
        cmocka_unit_test(rare_words_are_overlooked_in_training),
        cmocka_unit_test(saved_and_read_again_it_spells_the_same),
        cmocka_unit_test(damaged_files_are_refused_with_the_place),
        cmocka_unit_test(no_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
