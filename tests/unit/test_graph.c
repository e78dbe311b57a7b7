/* SPDX-License-Identifier: Apache-2.0 */
/* test_graph.c - inputs in parts: nothing is lost, whatever the bytes are. */
#include "swarm/graph.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

enum { INPUT_BYTES = 3 * ENX_GRAPH_CHUNK_BYTES };

/* Parts of `text` in the order in which it was written, each beginning where the last one ended or
 * before. */
static uint32_t slice(const char *text, size_t size_bytes)
{
    static enx_span spans[ENX_GRAPH_TASKS_MAX + 1];
    const enx_span  input = { text, size_bytes };
    const uint32_t  count = enx_graph_slice(ENX_EACH_CHUNK, &input, 1, spans);
    const char     *end = text;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(spans[i].text >= text && spans[i].text <= end);
        assert_in_range(spans[i].size_bytes, 1, ENX_GRAPH_CHUNK_BYTES);
        assert_true(spans[i].text + spans[i].size_bytes > end);
        end = spans[i].text + spans[i].size_bytes;
        assert_true(end <= text + size_bytes);
    }
    assert_ptr_equal(end, text + size_bytes);
    return count;
}

static void chunks_hold_every_byte_of_what_is_no_text(void **state)
{
    (void)state;
    char *text = ENX_MEM_NEW(char, INPUT_BYTES); /* without a zero byte behind it */
    memset(text, 0x80, INPUT_BYTES);
    assert_int_equal(slice(text, INPUT_BYTES), 4);
    enx_mem_free(text);
}

static void chunks_do_not_cut_characters(void **state)
{
    static char     text[INPUT_BYTES + 1];
    static enx_span spans[ENX_GRAPH_TASKS_MAX + 1];
    (void)state;
    for (size_t i = 0; i < INPUT_BYTES; i += 3) memcpy(text + i, "\xE2\x82\xAC", 3);
    const enx_span input = { text, INPUT_BYTES };
    assert_int_equal(slice(text, INPUT_BYTES), 4);
    const uint32_t count = enx_graph_slice(ENX_EACH_CHUNK, &input, 1, spans);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(spans[i].text[0], '\xE2');
        assert_int_equal(spans[i].size_bytes % 3, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_hold_every_byte_of_what_is_no_text),
        cmocka_unit_test(chunks_do_not_cut_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
