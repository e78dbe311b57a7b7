/* SPDX-License-Identifier: Apache-2.0 */
/* test_answer.c - thought, text and calls, wherever the pieces are cut. */
#include "base/mem.h"
#include "serve/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static enx_buf told;

/* "t:" thought, "" text, "c:NAME(ARGUMENTS)" call; parts of one kind run together. */
static void tell(void *user, const enx_delta *d)
{
    static enx_delta_kind last = ENX_DELTA_TEXT;
    (void)user;
    if (told.size_bytes == 0) last = ENX_DELTA_CALL;
    enx_status status = ENX_OK;
    if (d->kind == ENX_DELTA_CALL)
        status =
            enx_buf_printf(&told, "[%u %s %s]", d->call_index, d->call->name, d->call->arguments);
    else {
        if (d->kind != last && d->kind == ENX_DELTA_THOUGHT)
            status = enx_buf_append_text(&told, "t:");
        if (d->kind != last && d->kind == ENX_DELTA_TEXT) status = enx_buf_append_text(&told, "|");
        if (status == ENX_OK) status = enx_buf_append(&told, d->text, d->text_bytes);
    }
    last = d->kind;
    assert_int_equal(status, ENX_OK);
}

static enx_question *open_question(bool has_tools)
{
    enx_question *q = enx_question_open(json_object());
    assert_non_null(q);
    assert_int_equal(enx_question_add(q, "user", json_string("x"), NULL, NULL), ENX_OK);
    if (has_tools) assert_int_equal(enx_question_add_tool(q, "f", NULL, NULL, NULL), ENX_OK);
    return q;
}

/* What is told of a text that comes in pieces of `piece` bytes. */
static void check(enx_question *q, const char *text, size_t piece, const char *expected)
{
    enx_answer   a;
    const size_t size = strlen(text);
    enx_buf_init(&told, 1 << 16);
    assert_int_equal(enx_answer_init(&a, q, "id", false, tell, NULL, NULL), ENX_OK);
    for (size_t at = 0; at < size; at += piece)
        enx_answer_push(&a, text + at, size - at < piece ? size - at : piece);
    enx_answer_finish(&a);
    assert_int_equal(a.status, ENX_OK);
    assert_string_equal(enx_buf_text(&told), expected);
    enx_answer_deinit(&a);
    enx_buf_deinit(&told);
}

static void parts_are_the_same_wherever_the_text_is_cut(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        { "hello there", "|hello there" },
        { "<think>why</think>\nyes", "t:why|yes" },
        { "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
          "[0 f {\"a\":1}]" },
        { "so: \n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n"
          "<tool_call>{\"name\":\"f\",\"arguments\":{\"b\":[]}}</tool_call>  ",
          "|so:[0 f {}][1 f {\"b\":[]}]" },
        { "{\"name\": \"f\", \"parameters\": {\"x\": \"y\"}}", "[0 f {\"x\":\"y\"}]" },
        { "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"f\", \"arguments\": "
          "{}}]",
          "[0 f {}][1 f {}]" },
        { "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"arguments\": "
          "{}}]",
          "|[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"arguments\": "
          "{}}]" },
        { "<tool_call>[{\"name\":\"f\",\"arguments\":{}},7]</tool_call>",
          "|<tool_call>[{\"name\":\"f\",\"arguments\":{}},7]</tool_call>" },
        { "<tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>",
          "|<tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>" },
        { "<tool_call>{\"name\":\"f\",\"arguments\":{}}", "[0 f {}]" },
        { "<tool_call>{\"name\":\"f\",", "|<tool_call>{\"name\":\"f\"," },
        { "a <tool_ b", "|a <tool_ b" },
        { "{\"name\": \"somebody\"}", "|{\"name\": \"somebody\"}" },
        { "1 < 2", "|1 < 2" },
    };
    enx_question *q = open_question(true);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 40; piece++)
            check(q, cases[i].text, piece, cases[i].expected);
    enx_question_close(&q);
}

static void without_tools_calls_are_text(void **state)
{
    enx_question *q = open_question(false);
    (void)state;
    check(q, "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>", 3,
          "|<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>");
    enx_question_close(&q);
}

static void a_stop_text_ends_it(void **state)
{
    enx_question *q = open_question(false);
    enx_answer    a;
    (void)state;
    q->stops[q->stop_count++] = "END";
    enx_buf_init(&told, 1 << 16);
    assert_int_equal(enx_answer_init(&a, q, "id", false, tell, NULL, NULL), ENX_OK);
    enx_answer_push(&a, "one E", 5);
    assert_string_equal(enx_buf_text(&told), "|one ");
    enx_answer_push(&a, "ND two", 6);
    assert_true(enx_answer_is_over(&a));
    enx_answer_finish(&a);
    assert_string_equal(enx_buf_text(&told), "|one ");
    enx_answer_deinit(&a);
    enx_buf_deinit(&told);
    enx_question_close(&q);
}

static void running_out_of_memory_is_an_end(void **state)
{
    static const char text[] = "<think>t</think>x <tool_call>{\"name\":\"f\",\"arguments\":{}}";
    enx_question     *q = open_question(true);
    (void)state;
    for (long before = 0; before < 12; before++) {
        enx_answer a;
        assert_int_equal(enx_answer_init(&a, q, "id", false, NULL, NULL, NULL), ENX_OK);
        enx_mem_fail_after(before);
        enx_answer_push(&a, text, sizeof text - 1);
        enx_answer_finish(&a);
        enx_mem_fail_after(-1);
        assert_true(a.status == ENX_OK || a.status == ENX_NOMEM);
        enx_answer_deinit(&a);
    }
    enx_question_close(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_the_same_wherever_the_text_is_cut),
        cmocka_unit_test(without_tools_calls_are_text),
        cmocka_unit_test(a_stop_text_ends_it),
        cmocka_unit_test(running_out_of_memory_is_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
