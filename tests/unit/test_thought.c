/* SPDX-License-Identifier: Apache-2.0 */
/* test_thought.c - thoughts and answers come apart, however they are cut. */
#include "base/rng.h"
#include "text/thought.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 20000, TEXT_MAX = 256 };

static void split(const char *text, bool is_open, enx_rng *rng, enx_buf *thought, enx_buf *answer)
{
    enx_thought  t;
    const size_t size = strlen(text);
    enx_buf_clear(thought);
    enx_buf_clear(answer);
    enx_thought_init(&t, is_open, thought, answer);
    for (size_t at = 0, part = 0; at < size; at += part) {
        part = 1 + (size_t)enx_rng_below(rng, size - at);
        assert_int_equal(enx_thought_push(&t, text + at, part), ENX_OK);
    }
    assert_int_equal(enx_thought_finish(&t), ENX_OK);
}

static void tags_count_at_the_beginning_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool        is_open;
        const char *thought, *answer;
    } cases[] = {
        { "", false, "", "" },
        { "plain", false, "", "plain" },
        { " \n plain \n", false, "", "plain \n" },
        { "<think>a b</think>\n\nc d", false, "a b", "c d" },
        { "\n<think>\na\n</think>c", false, "a\n", "c" },
        { "<think>a", false, "a", "" },
        { "<think>a</thi", false, "a</thi", "" },
        { "<thin", false, "", "<thin" },
        { "<<think>a</think>", false, "", "<<think>a</think>" },
        { "<thi<think>", false, "", "<thi<think>" },
        { "x<think>a</think>", false, "", "x<think>a</think>" },
        { "<think></think>a</think><think>", false, "", "a</think><think>" },
        { "<think>a<</think>b", false, "a<", "b" },
        { "<think>a</t</think>b", false, "a</t", "b" },
        { "<think><think>a</think>b", false, "<think>a", "b" },
        { " a</think> b", true, "a", "b" },
        { "a", true, "a", "" },
        { "</think>b", true, "", "b" },
    };
    enx_rng rng = enx_rng_open(1, 0);
    enx_buf thought, answer;
    enx_buf_init(&thought, TEXT_MAX);
    enx_buf_init(&answer, TEXT_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int round = 0; round < 50; round++) {
            split(cases[i].text, cases[i].is_open, &rng, &thought, &answer);
            assert_string_equal(enx_buf_text(&thought), cases[i].thought);
            assert_string_equal(enx_buf_text(&answer), cases[i].answer);
        }
    enx_buf_deinit(&thought);
    enx_buf_deinit(&answer);
}

static const char *skip_space(const char *text) { return text + strspn(text, " \n\t\r"); }

/* Slow and obvious, on the whole text. */
static void split_slowly(const char *text, bool is_open, char *thought, char *answer)
{
    *thought = *answer = '\0';
    text = skip_space(text);
    if (!is_open && strncmp(text, ENX_THOUGHT_OPEN, strlen(ENX_THOUGHT_OPEN)) == 0) {
        text = skip_space(text + strlen(ENX_THOUGHT_OPEN));
        is_open = true;
    }
    if (is_open) {
        const char  *end = strstr(text, ENX_THOUGHT_CLOSE);
        const size_t size = end ? (size_t)(end - text) : strlen(text);
        memcpy(thought, text, size);
        thought[size] = '\0';
        text = end ? skip_space(end + strlen(ENX_THOUGHT_CLOSE)) : "";
    }
    memcpy(answer, text, strlen(text) + 1);
}

static void random_texts_are_split_as_by_the_slow_form(void **state)
{
    (void)state;
    static const char *const parts[] = { "<think>", "</think>", "<", "</", "thi", "a", " ", "\n" };
    enx_rng                  rng = enx_rng_open(2, 0);
    enx_buf                  thought, answer;
    enx_buf_init(&thought, TEXT_MAX);
    enx_buf_init(&answer, TEXT_MAX);
    for (int round = 0; round < ROUNDS; round++) {
        char       text[TEXT_MAX] = "", want_thought[TEXT_MAX], want_answer[TEXT_MAX];
        size_t     size = 0;
        const bool is_open = enx_rng_below(&rng, 2);
        for (uint64_t n = enx_rng_below(&rng, 12); n > 0; n--) {
            const char *part = parts[enx_rng_below(&rng, sizeof parts / sizeof *parts)];
            memcpy(text + size, part, strlen(part) + 1);
            size += strlen(part);
        }
        split_slowly(text, is_open, want_thought, want_answer);
        split(text, is_open, &rng, &thought, &answer);
        assert_string_equal(enx_buf_text(&thought), want_thought);
        assert_string_equal(enx_buf_text(&answer), want_answer);
    }
    enx_buf_deinit(&thought);
    enx_buf_deinit(&answer);
}

static void a_full_buffer_is_a_limit(void **state)
{
    (void)state;
    enx_thought t;
    enx_buf     thought, answer;
    enx_buf_init(&thought, 2);
    enx_buf_init(&answer, 2);
    enx_thought_init(&t, true, &thought, &answer);
    assert_int_equal(enx_thought_push(&t, "abc", 3), ENX_LIMIT);
    enx_thought_init(&t, false, &thought, &answer);
    assert_int_equal(enx_thought_push(&t, "abc", 3), ENX_LIMIT);
    enx_buf_clear(&answer);
    enx_thought_init(&t, false, &thought, &answer);
    assert_int_equal(enx_thought_push(&t, "<thi", 4), ENX_OK);
    assert_int_equal(enx_thought_finish(&t), ENX_LIMIT);
    enx_buf_deinit(&thought);
    enx_buf_deinit(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_count_at_the_beginning_alone),
        cmocka_unit_test(random_texts_are_split_as_by_the_slow_form),
        cmocka_unit_test(a_full_buffer_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
