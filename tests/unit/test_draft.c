/* SPDX-License-Identifier: Apache-2.0 */
/* test_draft.c - guesses are what the text went on with, and as long as they were right. */
#include "engine/draft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = ENX_DRAFT_MAX };

static uint32_t       out[MOST];
static const uint32_t nothing[1];

static void assert_tokens(const uint32_t *want, uint32_t count, uint32_t got_count)
{
    assert_int_equal(got_count, count);
    assert_memory_equal(out, want, count * sizeof *want);
}

static void a_prompt_that_repeats_is_gone_on_with(void **state)
{
    (void)state;
    static const uint32_t seen[] = { 1, 2, 3, 4, 5, 6, 9, 2, 3 }, want[] = { 4, 5, 6, 9 };
    enx_drafter           d = { 0 };
    assert_tokens(want, 4, enx_drafter_propose(&d, seen, 9, 9, out, MOST));
    static const uint32_t once[] = { 1, 2, 3, 4, 5, 9, 3 }; /* one token is not enough */
    assert_int_equal(enx_drafter_propose(&d, once, 7, 7, out, MOST), 0);
    assert_int_equal(enx_drafter_propose(&d, seen, 1, 1, out, MOST), 0);
}

static void the_longest_repetition_wins_then_the_latest(void **state)
{
    (void)state;
    static const uint32_t longest[] = { 7, 1, 2, 30, 1, 2, 31, 7, 1, 2 }, first[] = { 30 };
    static const uint32_t latest[] = { 1, 2, 30, 1, 2, 31, 5, 1, 2 }, second[] = { 31 };
    enx_drafter           d = { 0 };
    enx_drafter_propose(&d, longest, 10, 10, out, MOST);
    assert_memory_equal(out, first, sizeof first);
    enx_drafter_propose(&d, latest, 9, 9, out, MOST);
    assert_memory_equal(out, second, sizeof second);
}

static void a_guess_is_followed_from_its_start_and_behind_a_difference(void **state)
{
    (void)state;
    static const uint32_t guess[] = { 10, 11, 12, 13, 14, 15, 16, 17 };
    static const uint32_t tokens[] = { 1, 10, 11, 99, 13 }; /* a prompt of one; 99 replaced 12 */
    enx_drafter           d = { .guess = guess, .guess_count = 8 };
    assert_tokens(guess, 4, enx_drafter_propose(&d, tokens, 1, 1, out, MOST));
    enx_drafter_learn(&d, 4, 2);
    assert_tokens(guess + 3, 3, enx_drafter_propose(&d, tokens, 1, 4, out, MOST));
    enx_drafter_learn(&d, 3, 1);
    assert_tokens(guess + 4, 2, enx_drafter_propose(&d, tokens, 1, 5, out, MOST));
    assert_tokens(guess + 4, 1, enx_drafter_propose(&d, tokens, 1, 5, out, 1));
}

static void a_guess_ends(void **state)
{
    (void)state;
    static const uint32_t guess[] = { 10, 11 }, tokens[] = { 10, 11 };
    enx_drafter           d = { .guess = guess, .guess_count = 2 };
    assert_int_equal(enx_drafter_propose(&d, tokens, 0, 2, out, MOST), 0);
    d.guess_count = 0;
    assert_int_equal(enx_drafter_propose(&d, tokens, 0, 0, out, MOST), 0);
}

static void length_follows_what_was_right(void **state)
{
    (void)state;
    uint32_t    same[64];
    enx_drafter d = { .guess = same, .guess_count = 64 };
    for (uint32_t i = 0; i < 64; i++) same[i] = i;
    static const uint32_t lengths[] = { 4, 8, 16, 16 };
    for (uint32_t i = 0; i < 4; i++) {
        d.place = 0;
        assert_int_equal(enx_drafter_propose(&d, nothing, 0, 0, out, MOST), lengths[i]);
        enx_drafter_learn(&d, lengths[i], lengths[i]);
    }
    enx_drafter_learn(&d, 16, 2);
    assert_int_equal(enx_drafter_propose(&d, nothing, 0, 0, out, MOST), 3);
}

static void who_misses_again_and_again_rests(void **state)
{
    (void)state;
    static const uint32_t guess[] = { 10, 11, 12, 13 };
    enx_drafter           d = { .guess = guess, .guess_count = 4 };
    uint32_t              proposals = 0;
    for (int step = 0; step < 100; step++) {
        const uint32_t count = enx_drafter_propose(&d, nothing, 0, 0, out, MOST);
        if (count) enx_drafter_learn(&d, count, 0);
        proposals += count > 0;
    }
    assert_in_range(proposals, 5, 15);
    enx_drafter_learn(&d, 1, 1);
    assert_int_equal(d.misses, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_that_repeats_is_gone_on_with),
        cmocka_unit_test(the_longest_repetition_wins_then_the_latest),
        cmocka_unit_test(a_guess_is_followed_from_its_start_and_behind_a_difference),
        cmocka_unit_test(a_guess_ends),
        cmocka_unit_test(length_follows_what_was_right),
        cmocka_unit_test(who_misses_again_and_again_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
