/* SPDX-License-Identifier: Apache-2.0 */
/* test_assemble.c - paragraphs out of a text, and the same bytes back. */
#include "swarm/assemble.h"

#include "base/mem.h"
#include "base/rng.h"
#include "swarm/ports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void expect_same(const char *text, size_t size_bytes, uint32_t count)
{
    enx_paragraphs *p = NULL;
    enx_buf         out;
    enx_buf_init(&out, 1 << 20);
    assert_int_equal(enx_paragraphs_open(&p, text, size_bytes, NULL), ENX_OK);
    if (count != UINT32_MAX) assert_int_equal(enx_paragraphs_count(p), count);
    assert_int_equal(enx_paragraphs_assemble(p, &out, enx_paragraphs_spans(p), NULL), ENX_OK);
    assert_int_equal(out.size_bytes, size_bytes);
    if (size_bytes) assert_memory_equal(out.data, text, size_bytes);
    enx_buf_deinit(&out);
    enx_paragraphs_close(&p);
    assert_null(p);
}

static void unchanged_paragraphs_give_the_text_back(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t    count;
    } cases[] = {
        { "", 0 },
        { "\n", 0 },
        { " \r\n\t\n", 0 },
        { "one", 1 },
        { "one\n", 1 },
        { "one\r\ntwo", 2 },
        { "\n\n one \n\n two\n", 2 },
        { "a\rb\rc", 3 },
        { "\xEF\xBB\xBFx\n", 1 },
        { "\xEF\xBB\xBF", 0 },
        { "\xC3\x28\n\xFF", 2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_same(cases[i].text, strlen(cases[i].text), cases[i].count);
    expect_same("a\0b\n\0", 5, 2);
}

static void any_bytes_give_the_text_back(void **state)
{
    (void)state;
    static const char alphabet[] = "ab \n\r\t\v\f\xC3\xA9\xEF\xBB\xBF";
    for (uint64_t seed = 0; seed < 3000; seed++) {
        enx_rng      rng = enx_rng_open(seed, 0);
        char         text[64];
        const size_t size = enx_rng_below(&rng, sizeof text);
        for (size_t i = 0; i < size; i++)
            text[i] = alphabet[enx_rng_below(&rng, sizeof alphabet)]; /* its zero byte, too */
        expect_same(text, size, UINT32_MAX);
    }
}

static void answers_take_the_place_of_paragraphs_in_order(void **state)
{
    (void)state;
    const char     *text = "  one\n\n two  \r\n";
    const enx_span  answers[] = { { "First", 5 }, { "", 0 } };
    enx_paragraphs *p = NULL;
    enx_buf         out;
    enx_buf_init(&out, 100);
    assert_int_equal(enx_paragraphs_open(&p, text, strlen(text), NULL), ENX_OK);
    assert_int_equal(enx_paragraphs_assemble(p, &out, answers, NULL), ENX_OK);
    assert_string_equal(enx_buf_text(&out), "  First\n\n   \r\n");
    enx_buf_deinit(&out);
    enx_paragraphs_close(&p);
}

static void text_above_the_limits_is_refused_with_numbers(void **state)
{
    (void)state;
    const size_t    count = ENX_SWARM_ITEMS_MAX + 1;
    char           *text = enx_mem_new(count, 2);
    enx_paragraphs *p = NULL;
    enx_report      report;
    for (size_t i = 0; i < count; i++) memcpy(text + 2 * i, "x\n", 2);
    assert_int_equal(enx_paragraphs_open(&p, text, 2 * count, &report), ENX_LIMIT);
    assert_non_null(strstr(report.text, "1048577"));
    assert_null(p);
    assert_int_equal(enx_paragraphs_open(&p, text, 8, &report), ENX_OK);
    enx_buf out;
    enx_buf_init(&out, 5);
    assert_int_equal(enx_paragraphs_assemble(p, &out, enx_paragraphs_spans(p), &report), ENX_LIMIT);
    enx_buf_deinit(&out);
    enx_paragraphs_close(&p);
    enx_mem_fail_after(0);
    assert_int_equal(enx_paragraphs_open(&p, text, 8, &report), ENX_NOMEM);
    enx_mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchanged_paragraphs_give_the_text_back),
        cmocka_unit_test(any_bytes_give_the_text_back),
        cmocka_unit_test(answers_take_the_place_of_paragraphs_in_order),
        cmocka_unit_test(text_above_the_limits_is_refused_with_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
