/* SPDX-License-Identifier: Apache-2.0 */
/* test_ability.c - questions have one right answer and three of the same length that are wrong. */
#include "backend/ability.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char words[] =
    "the old house by the lake has been empty for years and no one knows why it was left that way "
    "some say that a ghost lives there but most just think that the roof is bad and the road long "
    "then one day a boat came over with two men who had the keys and a box full of very odd books";

static const enx_ability_options with_words = { .questions = 5,
                                                .words = words,
                                                .words_bytes = sizeof words - 1 };

static enx_question ask(int task, int level, uint32_t number)
{
    enx_question q;
    enx_report   report = { 0 };
    if (enx_ability_question(&q, (enx_ability_task)task, level, number, &with_words, &report) !=
        ENX_OK)
        fail_msg("%s", report.text);
    return q;
}

static void options_are_four_of_one_length(void **state)
{
    (void)state;
    for (int task = 0; task < ENX_ABILITY_TASKS; task++)
        for (int level = 0; level < ENX_ABILITY_LEVELS; level++)
            for (uint32_t number = 0; number < 200; number++) {
                const enx_question q = ask(task, level, number), again = ask(task, level, number);
                assert_memory_equal(&q, &again, sizeof q);
                assert_true(q.text[0] != '\0');
                for (int i = 0; i < ENX_ABILITY_OPTIONS; i++) {
                    assert_int_equal(strlen(q.options[i]), strlen(q.options[0]));
                    for (int k = 0; k < i; k++) assert_string_not_equal(q.options[i], q.options[k]);
                }
            }
}

static void the_first_option_is_right(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < 200; number++)
        for (int level = 0; level < ENX_ABILITY_LEVELS; level++) {
            enx_question q = ask(ENX_ABILITY_ARITHMETIC, level, number);
            unsigned     a, b;
            assert_int_equal(sscanf(strrchr(q.text, '\n') + 1, "%u+%u=", &a, &b), 2);
            assert_int_equal(strtoul(q.options[0], NULL, 10), a + b);

            q = ask(ENX_ABILITY_COPYING, level, number);
            const size_t size = strlen(q.options[0]);
            assert_memory_equal(q.text, q.options[0], size);
            assert_memory_equal(q.text + size + 1, q.options[0], size);

            q = ask(ENX_ABILITY_BRACKETS, level, number);
            char   open[16];
            size_t depth = 0;
            for (const char *at = q.text; *at; at++)
                if (strchr("([{<", *at)) open[depth++] = *at;
                else if (strchr(")]}>", *at)) depth--;
            const char *kinds = "([{<)]}>";
            assert_int_equal(q.options[0][0], strchr(kinds, open[depth - 1])[4]);

            q = ask(ENX_ABILITY_NEXT_WORD, level, number);
            char all[ENX_ABILITY_TEXT_BYTES_MAX + ENX_ABILITY_OPTION_BYTES_MAX];
            snprintf(all, sizeof all, "%s%s", q.text, q.options[0]);
            assert_non_null(strstr(words, all));
        }
}

static void text_that_is_too_plain_is_refused(void **state)
{
    (void)state;
    const enx_ability_options plain = { .words = "one one one one", .words_bytes = 15 };
    enx_question              q;
    enx_report                report = { 0 };
    assert_int_equal(enx_ability_question(&q, ENX_ABILITY_NEXT_WORD, 0, 0, &plain, &report),
                     ENX_INVALID);
    assert_non_null(strstr(report.text, "too few words"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_four_of_one_length),
        cmocka_unit_test(the_first_option_is_right),
        cmocka_unit_test(text_that_is_too_plain_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
