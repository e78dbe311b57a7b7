/* SPDX-License-Identifier: Apache-2.0 */
/* test_score.c - what counts as right. */
#include "text/score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static enx_score score_of(const char *answer, const char *truth)
{
    enx_score score = { 0 };
    enx_score_add(&score, answer, strlen(answer), truth, strlen(truth));
    return score;
}

static void the_truth_scores_in_full(void **state)
{
    (void)state;
    const char     *truth = "Dê o trono para a sua filha. Ela é a herdeira, sim !";
    const enx_score s = score_of(truth, truth);
    assert_int_equal(s.words, 12);
    assert_int_equal(s.words_right, 12);
    assert_int_equal(s.marks_right, 3);
    assert_int_equal(s.exact, 1);
    assert_true(enx_score_punctuation_f1(&s) == 1.0);
}

static void words_and_marks_are_counted_apart(void **state)
{
    (void)state;
    const enx_score s =
        score_of("Ela e a herdeira legítima, sim", "Ela é a herdeira legítima. Sim.");
    assert_int_equal(s.words, 6);
    assert_int_equal(s.words_right, 4); /* e, sim */
    assert_int_equal(s.marks_right, 0);
    assert_int_equal(s.marks_extra, 1);
    assert_int_equal(s.marks_missed, 2);
    assert_int_equal(s.exact, 0);
}

static void a_mark_after_a_space_belongs_to_the_word_before(void **state)
{
    (void)state;
    const enx_score close = score_of("Quoi? Oui", "Quoi ? Oui");
    assert_int_equal(close.words_right, 2);
    assert_int_equal(close.marks_right, 0);
    const enx_score same = score_of("Quoi\xC2\xA0? Oui", "Quoi\xC2\xA0? Oui");
    assert_int_equal(same.marks_right, 1);
}

static void numbers_are_not_words_and_missing_words_are_wrong(void **state)
{
    (void)state;
    const enx_score s = score_of("a 3.14", "a 3.14 b");
    assert_int_equal(s.words, 2);
    assert_int_equal(s.words_right, 1);
}

static void nothing_to_count_is_perfect(void **state)
{
    (void)state;
    const enx_score s = score_of("", "");
    assert_true(enx_score_word_accuracy(&s) == 1.0);
    assert_true(enx_score_punctuation_f1(&s) == 1.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_truth_scores_in_full),
        cmocka_unit_test(words_and_marks_are_counted_apart),
        cmocka_unit_test(a_mark_after_a_space_belongs_to_the_word_before),
        cmocka_unit_test(numbers_are_not_words_and_missing_words_are_wrong),
        cmocka_unit_test(nothing_to_count_is_perfect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
