/* SPDX-License-Identifier: Apache-2.0 */
/* test_base.c - statuses, reports, memory, arenas, buffers and chance. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- status ------------------------------------------------------------ */

static void every_status_has_a_text_and_an_exit_code(void **state)
{
    (void)state;
    for (int s = 0; s < ENX_STATUS_COUNT; s++) {
        assert_true(strlen(enx_status_text((enx_status)s)) > 0);
        const int code = enx_status_exit_code((enx_status)s);
        assert_true(s == ENX_OK ? code == 0 : code > 0 && code < 256);
    }
}

static void report_keeps_status_place_and_text(void **state)
{
    (void)state;
    enx_report report;
    assert_int_equal(ENX_FAIL(&report, FORMAT, "found %d, expected %d", 7, 3), ENX_FORMAT);
    assert_int_equal(report.status, ENX_FORMAT);
    assert_string_equal(report.text, "found 7, expected 3");
    assert_non_null(strstr(report.file, "test_base.c"));
    assert_true(report.line > 0);
}

static void a_null_report_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(ENX_FAIL(NULL, LIMIT, "x"), ENX_LIMIT);
    enx_report_wrap(NULL, "outer");
}

static void wrap_prefixes_context(void **state)
{
    (void)state;
    enx_report report;
    (void)ENX_FAIL(&report, IO, "inner");
    enx_report_wrap(&report, "open %s", "m.gguf");
    assert_string_equal(report.text, "open m.gguf: inner");
    assert_int_equal(report.status, ENX_IO);
}

static void long_report_is_cut_between_characters(void **state)
{
    (void)state;
    for (int shift = 0; shift < 4; shift++) {
        char text[2 * ENX_REPORT_TEXT_MAX] = "abc";
        for (size_t at = (size_t)shift; at + 5 < sizeof text; at += 5)
            memcpy(text + at, "\xE2\x82\xAC\xC3\xA9", 5);
        enx_report report;
        (void)ENX_FAIL(&report, IO, "%s", text);
        const size_t size = strlen(report.text);
        assert_true(size < ENX_REPORT_TEXT_MAX && size > ENX_REPORT_TEXT_MAX - 5);
        assert_true(((unsigned char)text[size] & 0xC0) != 0x80);
        enx_report_wrap(&report, "%s", text);
        assert_true(strlen(report.text) < ENX_REPORT_TEXT_MAX);
    }
}

/* ---- mem --------------------------------------------------------------- */

static void memory_is_zero_and_aligned(void **state)
{
    (void)state;
    uint8_t *block = ENX_MEM_NEW(uint8_t, 1000);
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % 64, 0);
    for (int i = 0; i < 1000; i++) assert_int_equal(block[i], 0);
    enx_mem_free(block);
    enx_mem_free(NULL);
}

static void overflowing_product_is_refused(void **state)
{
    (void)state;
    assert_null(enx_mem_new(SIZE_MAX / 2, 3));
    assert_null(enx_mem_new(SIZE_MAX, 1));
}

static void resize_keeps_old_bytes_and_zeroes_new_ones(void **state)
{
    (void)state;
    uint8_t *block = enx_mem_resize(NULL, 0, 4);
    assert_non_null(block);
    memcpy(block, "abcd", 4);
    block = enx_mem_resize(block, 4, 4000);
    assert_non_null(block);
    assert_memory_equal(block, "abcd", 4);
    for (int i = 4; i < 4000; i++) assert_int_equal(block[i], 0);
    enx_mem_free(block);
}

static void failed_resize_leaves_the_block(void **state)
{
    (void)state;
    uint8_t *block = ENX_MEM_NEW(uint8_t, 4);
    block[0] = 9;
    enx_mem_fail_after(0);
    assert_null(enx_mem_resize(block, 4, 400));
    assert_int_equal(block[0], 9);
    enx_mem_free(block);
}

static void fail_after_fails_one_call(void **state)
{
    (void)state;
    enx_mem_fail_after(1);
    void *first = enx_mem_new(1, 1), *second = enx_mem_new(1, 1), *third = enx_mem_new(1, 1);
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    enx_mem_free(first);
    enx_mem_free(third);
}

/* ---- arena ------------------------------------------------------------- */

static void arena_gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    uint8_t  *span = ENX_MEM_NEW(uint8_t, 1024);
    enx_arena arena;
    memset(span, 0xAA, 1024);
    enx_arena_init(&arena, span, 1024);
    assert_non_null(ENX_ARENA_NEW(&arena, uint8_t, 3));
    uint64_t *numbers = ENX_ARENA_NEW(&arena, uint64_t, 10);
    assert_int_equal((uintptr_t)numbers % 8, 0);
    for (int i = 0; i < 10; i++) assert_true(numbers[i] == 0);
    enx_arena_deinit(&arena);
    enx_mem_free(span);
}

static void arena_rewind_frees_everything_after_mark(void **state)
{
    (void)state;
    uint8_t  *span = ENX_MEM_NEW(uint8_t, 1024);
    enx_arena arena;
    enx_arena_init(&arena, span, 1024);
    assert_non_null(ENX_ARENA_NEW(&arena, uint8_t, 100));
    const enx_arena_mark mark = enx_arena_save(&arena);
    uint8_t             *first = ENX_ARENA_NEW(&arena, uint8_t, 500);
    const size_t         peak = arena.peak_bytes;
    enx_arena_rewind(&arena, mark);
    assert_true(arena.used_bytes == mark && arena.peak_bytes == peak);
    assert_ptr_equal(first, ENX_ARENA_NEW(&arena, uint8_t, 10));
    enx_arena_deinit(&arena);
    enx_mem_free(span);
}

static void full_arena_gives_null(void **state)
{
    (void)state;
    uint8_t  *span = ENX_MEM_NEW(uint8_t, 128);
    enx_arena arena;
    enx_arena_init(&arena, span, 128);
    assert_null(ENX_ARENA_NEW(&arena, uint8_t, 129));
    assert_null(enx_arena_push(&arena, SIZE_MAX / 2, 3, 1));
    assert_non_null(ENX_ARENA_NEW(&arena, uint8_t, 128));
    assert_null(ENX_ARENA_NEW(&arena, uint8_t, 1));
    enx_arena_deinit(&arena);
    enx_arena_init(&arena, NULL, 0);
    assert_null(ENX_ARENA_NEW(&arena, uint8_t, 1));
    enx_arena_deinit(&arena);
    enx_mem_free(span);
}

/* ---- buf --------------------------------------------------------------- */

static void buffer_grows_and_stays_a_string(void **state)
{
    (void)state;
    enx_buf buf;
    enx_buf_init(&buf, 1 << 20);
    assert_string_equal(enx_buf_text(&buf), "");
    for (int i = 0; i < 1000; i++) assert_int_equal(enx_buf_append_text(&buf, "abc"), ENX_OK);
    assert_int_equal(enx_buf_printf(&buf, "%d-%s", 42, "x"), ENX_OK);
    assert_int_equal(buf.size_bytes, 3004);
    assert_string_equal(enx_buf_text(&buf) + 3000, "42-x");
    enx_buf_clear(&buf);
    assert_string_equal(enx_buf_text(&buf), "");
    enx_buf_deinit(&buf);
}

static void buffer_stops_at_its_cap_unchanged(void **state)
{
    (void)state;
    enx_buf buf;
    enx_buf_init(&buf, 5);
    assert_int_equal(enx_buf_append(&buf, "12345", 5), ENX_OK);
    assert_int_equal(enx_buf_append(&buf, "6", 1), ENX_LIMIT);
    assert_int_equal(enx_buf_printf(&buf, "%s", "6"), ENX_LIMIT);
    assert_int_equal(enx_buf_append(&buf, "", 0), ENX_OK);
    assert_string_equal(enx_buf_text(&buf), "12345");
    enx_buf_deinit(&buf);
}

static void buffer_survives_no_memory(void **state)
{
    (void)state;
    enx_buf buf;
    enx_buf_init(&buf, 1 << 20);
    assert_int_equal(enx_buf_append_text(&buf, "kept"), ENX_OK);
    char big[400] = { 0 };
    enx_mem_fail_after(0);
    assert_int_equal(enx_buf_append(&buf, big, sizeof big), ENX_NOMEM);
    assert_string_equal(enx_buf_text(&buf), "kept");
    enx_buf_deinit(&buf);
}

static void take_empties_the_buffer(void **state)
{
    (void)state;
    enx_buf buf;
    enx_buf_init(&buf, 100);
    assert_null(enx_buf_take(&buf));
    assert_int_equal(enx_buf_append_text(&buf, "mine"), ENX_OK);
    char *text = enx_buf_take(&buf);
    assert_string_equal(text, "mine");
    assert_int_equal(buf.size_bytes, 0);
    assert_int_equal(buf.max_bytes, 100);
    enx_mem_free(text);
    enx_buf_deinit(&buf);
}

/* ---- rng --------------------------------------------------------------- */

static void chance_repeats_by_seed_and_stream(void **state)
{
    (void)state;
    enx_rng a = enx_rng_open(7, 1), b = enx_rng_open(7, 1), c = enx_rng_open(7, 2);
    int     equal = 0;
    for (int i = 0; i < 100; i++) {
        const uint64_t draw = enx_rng_u64(&a);
        assert_true(draw == enx_rng_u64(&b));
        equal += draw == enx_rng_u64(&c);
    }
    assert_int_equal(equal, 0);
}

static void draws_stay_in_range_and_fill_it(void **state)
{
    (void)state;
    enx_rng  rng = enx_rng_open(1, 1);
    unsigned seen[7] = { 0 };
    double   sum = 0, normal_sum = 0, normal_squares = 0;
    enum { DRAWS = 70000 };
    for (int i = 0; i < DRAWS; i++) {
        seen[enx_rng_below(&rng, 7)]++;
        const double unit = enx_rng_unit(&rng);
        assert_true(unit >= 0 && unit < 1);
        sum += unit;
        const double normal = enx_rng_normal(&rng);
        normal_sum += normal;
        normal_squares += normal * normal;
    }
    for (int i = 0; i < 7; i++) assert_in_range(seen[i], 9600, 10400);
    assert_true(fabs(sum / DRAWS - 0.5) < 0.005);
    assert_true(fabs(normal_sum / DRAWS) < 0.02);
    assert_true(fabs(normal_squares / DRAWS - 1) < 0.03);
    assert_true(enx_rng_below(&rng, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_text_and_an_exit_code),
        cmocka_unit_test(report_keeps_status_place_and_text),
        cmocka_unit_test(a_null_report_is_allowed),
        cmocka_unit_test(wrap_prefixes_context),
        cmocka_unit_test(long_report_is_cut_between_characters),
        cmocka_unit_test(memory_is_zero_and_aligned),
        cmocka_unit_test(overflowing_product_is_refused),
        cmocka_unit_test(resize_keeps_old_bytes_and_zeroes_new_ones),
        cmocka_unit_test(failed_resize_leaves_the_block),
        cmocka_unit_test(fail_after_fails_one_call),
        cmocka_unit_test(arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(arena_rewind_frees_everything_after_mark),
        cmocka_unit_test(full_arena_gives_null),
        cmocka_unit_test(buffer_grows_and_stays_a_string),
        cmocka_unit_test(buffer_stops_at_its_cap_unchanged),
        cmocka_unit_test(buffer_survives_no_memory),
        cmocka_unit_test(take_empties_the_buffer),
        cmocka_unit_test(chance_repeats_by_seed_and_stream),
        cmocka_unit_test(draws_stay_in_range_and_fill_it),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
