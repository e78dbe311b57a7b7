/* SPDX-License-Identifier: Apache-2.0 */
/* test_synthesis.c - what a model writes for a smaller one: whole, new, likely, repeatable. */
#include "backend/synthesis.h"

#include "plat/pool.h"
#include "text/stretches.h"
#include "tiny_chat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char like[] =
    "The old house by the lake has been empty for years, and no one knows why it was left so.\n"
    "short\n"
    "Um dia chegou um barco com dois homens que tinham as chaves e uma caixa cheia de livros.\n";

static char       path[] = "/tmp/enxame-synthesis-XXXXXX";
static enx_loaded loaded;

static int make_model(void **state)
{
    (void)state;
    const int file = mkstemp(path);
    if (file < 0) return 1;
    const tiny_chat model = { .path = path, .context = 96, .seed = 7 };
    return tiny_chat_make(&model, NULL) || enx_loaded_open(&loaded, path, NULL);
}

static int remove_model(void **state)
{
    (void)state;
    enx_loaded_close(&loaded);
    return remove(path);
}

static enx_synthesis_options usual(void)
{
    return (enx_synthesis_options){ .like = like,
                                    .like_bytes = sizeof like - 1,
                                    .bytes = 2500,
                                    .keep = 0.5,
                                    .temperature = 0.3,
                                    .seed = 3 };
}

static enx_status write_text(const enx_synthesis_options *o, enx_synthesis *sums, enx_buf *text,
                             enx_report *report)
{
    enx_buf_init(text, ENX_SYNTHESIS_BYTES_MAX);
    return enx_synthesis_run(sums, text, &loaded, o, report);
}

static void every_paragraph_is_accounted_for(void **state)
{
    const enx_synthesis_options o = usual();
    enx_synthesis               sums;
    enx_buf                     text;
    uint64_t                    lines = 0;
    (void)state;
    assert_int_equal(write_text(&o, &sums, &text, NULL), ENX_OK);
    assert_int_equal(sums.candidates, sums.short_ones + sums.copies + sums.unlikely + sums.kept);
    assert_true(text.size_bytes >= o.bytes && sums.kept * 2 <= sums.candidates);
    assert_true(sums.bits_per_byte_kept < sums.bits_per_byte);
    for (const char *at = enx_buf_text(&text); *at; lines++) {
        const size_t size = strcspn(at, "\n");
        assert_true(size >= ENX_SYNTHESIS_SHORT && at[size] == '\n');
        assert_int_equal(enx_utf8_invalid_at(at, size), size);
        at += size + 1;
    }
    assert_int_equal(lines, sums.kept);
    enx_buf_deinit(&text);
}

static void threads_do_not_change_the_text_and_seeds_do(void **state)
{
    enx_synthesis_options o = usual();
    enx_synthesis         sums;
    enx_buf               one, two, other;
    enx_pool             *pool = NULL;
    (void)state;
    assert_int_equal(write_text(&o, &sums, &one, NULL), ENX_OK);
    assert_int_equal(enx_pool_open(&pool, 2, NULL), ENX_OK);
    o.pool = pool;
    assert_int_equal(write_text(&o, &sums, &two, NULL), ENX_OK);
    assert_string_equal(enx_buf_text(&one), enx_buf_text(&two));
    o.seed = 4;
    assert_int_equal(write_text(&o, &sums, &other, NULL), ENX_OK);
    assert_string_not_equal(enx_buf_text(&one), enx_buf_text(&other));
    enx_pool_close(&pool);
    enx_buf_deinit(&one);
    enx_buf_deinit(&two);
    enx_buf_deinit(&other);
}

static void nothing_kept_is_a_copy(void **state)
{
    const enx_synthesis_options o = usual();
    enx_synthesis               sums;
    enx_buf                     text;
    enx_stretches              *seen = NULL;
    (void)state;
    assert_int_equal(write_text(&o, &sums, &text, NULL), ENX_OK);
    assert_int_equal(enx_stretches_open(&seen, NULL), ENX_OK);
    assert_int_equal(enx_stretches_add(seen, like, sizeof like - 1, NULL), ENX_OK);
    for (const char *at = enx_buf_text(&text); *at;) {
        const size_t size = strcspn(at, "\n");
        assert_true(enx_stretches_share(seen, at, size) <= 0.2);
        assert_int_equal(enx_stretches_add(seen, at, size, NULL), ENX_OK);
        at += size + 1;
    }
    enx_stretches_close(&seen);
    enx_buf_deinit(&text);
}

/* Nearly without chance a beginning has one continuation: all is a copy of the first. */
static void a_model_that_repeats_itself_is_told_of(void **state)
{
    enx_synthesis_options o = usual();
    enx_synthesis         sums;
    enx_buf               text;
    enx_report            report = { 0 };
    (void)state;
    o.temperature = 1e-6;
    o.bytes = 1 << 20;
    assert_int_equal(write_text(&o, &sums, &text, &report), ENX_LIMIT);
    assert_non_null(strstr(report.text, "temperature"));
    enx_buf_deinit(&text);
}

static bool stop(void *user, const enx_synthesis *so_far, size_t bytes)
{
    (void)so_far;
    *(size_t *)user = bytes;
    return false;
}

static void what_cannot_be_is_refused_and_a_stop_is_heeded(void **state)
{
    enx_synthesis_options o[] = { usual(), usual(), usual(), usual(), usual() };
    enx_synthesis         sums;
    enx_buf               text;
    size_t                bytes = 0;
    (void)state;
    o[0].keep = 0;
    o[1].temperature = 0;
    o[2].like_bytes = 0;
    o[3].bytes = (size_t)ENX_SYNTHESIS_BYTES_MAX + 1;
    o[4].like = "no line that is long enough\n", o[4].like_bytes = 28;
    for (size_t i = 0; i < sizeof o / sizeof *o; i++) {
        assert_int_equal(write_text(&o[i], &sums, &text, NULL), ENX_INVALID);
        enx_buf_deinit(&text);
    }
    o[0] = usual();
    o[0].on_round = stop, o[0].user = &bytes, o[0].bytes = 1 << 20;
    assert_int_equal(write_text(&o[0], &sums, &text, NULL), ENX_CANCELED);
    assert_int_equal(text.size_bytes, bytes);
    assert_int_equal(sums.candidates, ENX_SYNTHESIS_ROUND);
    enx_buf_deinit(&text);
}

static void a_share_of_stretches_tells_copies(void **state)
{
    static const char whole[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ";
    char              twice[2 * sizeof whole];
    enx_stretches    *seen = NULL;
    (void)state;
    assert_int_equal(enx_stretches_open(&seen, NULL), ENX_OK);
    assert_true(enx_stretches_share(seen, whole, ENX_STRETCH_BYTES - 1) == 1);
    assert_true(enx_stretches_share(seen, whole, sizeof whole - 1) == 0);
    snprintf(twice, sizeof twice, "%s%s", whole, whole);
    assert_true(enx_stretches_share(seen, twice, strlen(twice)) > 0.3);
    assert_int_equal(enx_stretches_add(seen, whole, sizeof whole - 1, NULL), ENX_OK);
    assert_true(enx_stretches_share(seen, whole, sizeof whole - 1) == 1);
    assert_true(enx_stretches_share(seen, "entirely other words, not seen before", 37) == 0);
    char text[ENX_STRETCH_BYTES];
    for (uint32_t i = 0; i < 20000; i++) { /* the table grows */
        memset(text, 0, sizeof text);
        snprintf(text, sizeof text, "%u", i);
        assert_int_equal(enx_stretches_add(seen, text, sizeof text, NULL), ENX_OK);
        assert_true(enx_stretches_share(seen, text, sizeof text) == 1);
    }
    assert_true(enx_stretches_share(seen, whole, sizeof whole - 1) == 1);
    enx_stretches_close(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_paragraph_is_accounted_for),
        cmocka_unit_test(threads_do_not_change_the_text_and_seeds_do),
        cmocka_unit_test(nothing_kept_is_a_copy),
        cmocka_unit_test(a_model_that_repeats_itself_is_told_of),
        cmocka_unit_test(what_cannot_be_is_refused_and_a_stop_is_heeded),
        cmocka_unit_test(a_share_of_stretches_tells_copies),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
