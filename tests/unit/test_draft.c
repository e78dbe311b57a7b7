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

static uint32_t propose(enx_drafter *d, const uint32_t *tokens, uint32_t prompt_count,
                        uint32_t count, uint32_t most)
{
    const enx_draft_text text = { .tokens = tokens, .prompt_count = prompt_count, .count = count };
    return enx_drafter_propose(d, &text, out, most);
}

static void assert_tokens(const uint32_t *want, uint32_t count, uint32_t got_count)
{
    assert_int_equal(got_count, count);
    assert_memory_equal(out, want, count * sizeof *want);
}

static void a_prompt_that_repeats_is_gone_on_with(void **state)
{
    (void)state;
    static const uint32_t seen[] = { 1, 2, 3, 4, 5, 6, 9, 2, 3 }, want[] = { 4, 5, 6 };
    enx_drafter           d = { 0 };
    assert_tokens(want, 3, propose(&d, seen, 9, 9, MOST));
    static const uint32_t once[] = { 1, 2, 3, 4, 5, 9, 3 }; /* one token is not enough */
    assert_int_equal(propose(&d, once, 7, 7, MOST), 0);
    assert_int_equal(propose(&d, seen, 1, 1, MOST), 0);
}

static void the_longest_repetition_wins_then_the_latest(void **state)
{
    (void)state;
    static const uint32_t longest[] = { 7, 1, 2, 30, 1, 2, 31, 7, 1, 2 }, first[] = { 30 };
    static const uint32_t latest[] = { 1, 2, 30, 1, 2, 31, 5, 1, 2 }, second[] = { 31 };
    enx_drafter           d = { 0 };
    propose(&d, longest, 10, 10, MOST);
    assert_memory_equal(out, first, sizeof first);
    propose(&d, latest, 9, 9, MOST);
    assert_memory_equal(out, second, sizeof second);
}

static void a_guess_is_followed_from_its_start_and_behind_a_difference(void **state)
{
    (void)state;
    static const uint32_t guess[] = { 10, 11, 12, 13, 14, 15, 16, 17 };
    static const uint32_t tokens[] = { 1, 10, 11, 99, 13 }; /* a prompt of one; 99 replaced 12 */
    enx_drafter           d = { .guess = guess, .guess_count = 8 };
    assert_tokens(guess, 3, propose(&d, tokens, 1, 1, MOST));
    enx_drafter_learn(&d, 3, 2);
    assert_tokens(guess + 3, 2, propose(&d, tokens, 1, 4, 2));
    enx_drafter_learn(&d, 2, 1);
    assert_tokens(guess + 4, 1, propose(&d, tokens, 1, 5, 1));
}

static void a_guess_ends(void **state)
{
    (void)state;
    static const uint32_t guess[] = { 10, 11 }, tokens[] = { 10, 11 };
    enx_drafter           d = { .guess = guess, .guess_count = 2 };
    assert_int_equal(propose(&d, tokens, 0, 2, MOST), 0);
    d.guess_count = 0;
    assert_int_equal(propose(&d, tokens, 0, 0, MOST), 0);
}

static void far_places_need_more_in_common_than_near_ones(void **state)
{
    (void)state;
    /* 8 comes again at the end; the output replaced 12 by it, and goes on after 12. */
    static const uint32_t guess[] = { 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 8, 30 };
    static const uint32_t tokens[] = { 10, 11, 8 }, near[] = { 13, 14 };
    enx_drafter           d = { .guess = guess, .guess_count = 13, .place = 2, .output_count = 2 };
    assert_tokens(near, 2, propose(&d, tokens, 0, 3, 2));
    static const uint32_t moved[] = { 18, 19, 20, 8 },
                          far[] = { 30 }; /* four in common are enough */
    d = (enx_drafter){ .guess = guess, .guess_count = 13, .place = 2, .output_count = 2 };
    assert_tokens(far, 1, propose(&d, moved, 0, 4, 2));
}

static void a_guess_begins_with_what_is_allowed(void **state)
{
    (void)state;
    static const uint32_t guess[] = { 10, 11, 12, 13, 14 }, tokens[] = { 10, 99 };
    static const uint32_t allowed[] = { 3, 11, 40 }, want[] = { 11, 12 };
    enx_drafter           d = { .guess = guess, .guess_count = 5, .place = 1, .output_count = 1 };
    enx_draft_text text = { .tokens = tokens, .count = 2, .allowed = allowed, .allowed_count = 3 };
    /* 99 came in between: it did not replace 11, for then 12 could come. */
    assert_tokens(want, 2, enx_drafter_propose(&d, &text, out, 2));
    text.allowed_count = 1;
    assert_int_equal(enx_drafter_propose(&d, &text, out, 2), 0);
    static const uint32_t seen[] = { 1, 2, 3, 4, 5, 1, 2 }, four[] = { 4 }, three[] = { 3 };
    d = (enx_drafter){ 0 };
    text = (enx_draft_text){
        .tokens = seen, .prompt_count = 7, .count = 7, .allowed = four, .allowed_count = 1
    };
    assert_int_equal(enx_drafter_propose(&d, &text, out, 2), 0);
    text.allowed = three;
    assert_int_equal(enx_drafter_propose(&d, &text, out, 2), 2);
}

static void length_follows_what_was_right(void **state)
{
    (void)state;
    uint32_t    same[64], before = 0;
    enx_drafter d = { .guess = same, .guess_count = 64 };
    for (uint32_t i = 0; i < 64; i++) same[i] = i;
    for (uint32_t i = 0; i < 40; i++) {
        const uint32_t length = propose(&d, nothing, 0, 0, MOST);
        assert_true(length >= 1 && length >= before);
        enx_drafter_learn(&d, length, length);
        before = length;
    }
    assert_int_equal(before, MOST);
    for (uint32_t i = 0; i < 40; i++) {
        const uint32_t length = propose(&d, nothing, 0, 0, MOST);
        assert_true(length >= 1 && length <= before);
        enx_drafter_learn(&d, length + 1, 1); /* one is right, the next is not */
        before = length;
    }
    assert_in_range(before, 1, 2);
}

static void who_misses_again_and_again_rests(void **state)
{
    (void)state;
    static const uint32_t guess[] = { 10, 11, 12, 13 };
    enx_drafter           d = { .guess = guess, .guess_count = 4 };
    uint32_t              proposals = 0;
    for (int step = 0; step < 100; step++) {
        const uint32_t count = propose(&d, nothing, 0, 0, MOST);
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
        cmocka_unit_test(far_places_need_more_in_common_than_near_ones),
        cmocka_unit_test(a_guess_begins_with_what_is_allowed),
        cmocka_unit_test(length_follows_what_was_right),
        cmocka_unit_test(who_misses_again_and_again_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
