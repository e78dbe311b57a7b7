/* SPDX-License-Identifier: Apache-2.0 */
/* test_queue_wire.c - what goes over the queue comes out as it went in, or not at all. */
#include "backend/queue_wire.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const char input[] = "um\0dois\xff três\n{\"}";

static enx_wire_call sample_call(void)
{
    enx_wire_call w = { .salt = UINT64_MAX - 5, .within_us = 120000000 };
    memcpy(w.model, digest, sizeof digest);
    w.call = (enx_call){ .call_id = UINT64_C(7) << 32 | 9,
                         .task_id = 12,
                         .item = 11,
                         .attempt = 2,
                         .role = ENX_ROLE_WORK,
                         .what = "restore",
                         .goal = "put \"back\"\nthe accents",
                         .input = input,
                         .input_bytes = sizeof input - 1,
                         .answer = "to be judged",
                         .answer_bytes = 12,
                         .language = "pt_BR",
                         .level = 3,
                         .kinds = 5,
                         .max_tokens_in = UINT32_MAX,
                         .max_tokens_out = 77 };
    return w;
}

static enx_wire_report sample_report(void)
{
    enx_wire_report w = { .salt = 1, .worker = "host-7_b" };
    memcpy(w.model, digest, sizeof digest);
    w.report = (enx_call_report){ .call_id = 3,
                                  .status = ENX_CALL_OK,
                                  .answer = input,
                                  .answer_bytes = sizeof input - 1,
                                  .language = "es",
                                  .level = ENX_LEVEL_UNKNOWN,
                                  .confidence = 0.1 + 0.2,
                                  .sum_logprob = -1.0 / 3,
                                  .min_logprob = -DBL_MIN,
                                  .token_count = 9,
                                  .error_chance = 1.0 / 7,
                                  .flags = ENX_FLAG_TRUNCATED | ENX_FLAG_USAGE,
                                  .usage = { 100, 20, 30 },
                                  .tokens_reasoning = 4,
                                  .latency_us = 5,
                                  .error = "for people" };
    return w;
}

static void a_call_comes_out_as_it_went_in(void **state)
{
    (void)state;
    enx_buf             bytes, texts;
    enx_wire_call       out;
    const enx_wire_call w = sample_call();
    enx_buf_init(&bytes, 1 << 20);
    enx_buf_init(&texts, 1 << 20);
    assert_int_equal(enx_wire_call_write(&bytes, &w), ENX_OK);
    assert_int_equal(enx_wire_call_read(&out, &texts, bytes.data, bytes.size_bytes, NULL), ENX_OK);
    assert_true(out.salt == w.salt && out.within_us == w.within_us);
    assert_string_equal(out.model, w.model);
    assert_true(out.call.call_id == w.call.call_id && out.call.task_id == 12 &&
                out.call.item == 11 && out.call.attempt == 2);
    assert_true(out.call.role == ENX_ROLE_WORK && out.call.level == 3 && out.call.kinds == 5);
    assert_true(out.call.max_tokens_in == UINT32_MAX && out.call.max_tokens_out == 77);
    assert_string_equal(out.call.what, "restore");
    assert_string_equal(out.call.goal, w.call.goal);
    assert_string_equal(out.call.language, "pt_BR");
    assert_int_equal(out.call.input_bytes, sizeof input - 1);
    assert_memory_equal(out.call.input, input, sizeof input - 1);
    assert_int_equal(out.call.answer_bytes, 12);
    assert_memory_equal(out.call.answer, "to be judged", 12);
    enx_buf_deinit(&bytes);
    enx_buf_deinit(&texts);
}

static void a_class_comes_out_as_it_went_in(void **state)
{
    (void)state;
    enx_buf           bytes, again;
    enx_wire_class    out;
    const enx_example examples[] = { { "in \"1\"", "out 1" }, { "", "2" } };
    const enx_class   c = { .name = "extract",
                            .instruction = "find\nit",
                            .examples = examples,
                            .example_count = 2,
                            .schema = "{}",
                            .is_leads = true,
                            .answer_tokens_max = 99 };
    enx_buf_init(&bytes, 1 << 16);
    enx_buf_init(&again, 1 << 16);
    assert_int_equal(enx_wire_class_write(&bytes, &c), ENX_OK);
    assert_int_equal(enx_wire_class_read(&out, bytes.data, bytes.size_bytes, NULL), ENX_OK);
    assert_string_equal(out.value.name, "extract");
    assert_string_equal(out.value.instruction, "find\nit");
    assert_null(out.value.advice);
    assert_int_equal(out.value.example_count, 2);
    assert_string_equal(out.value.examples[0].input, "in \"1\"");
    assert_string_equal(out.value.examples[1].answer, "2");
    assert_true(out.value.is_leads && !out.value.is_scouted && out.value.answer_tokens_max == 99);
    assert_int_equal(enx_wire_class_write(&again, &out.value), ENX_OK);
    assert_string_equal(again.data, bytes.data);
    enx_wire_class_close(&out);
    assert_int_equal(enx_wire_class_read(&out, "{}", 2, NULL), ENX_FORMAT);
    assert_int_equal(enx_wire_class_read(&out, "{\"name\":1}", 10, NULL), ENX_FORMAT);
    enx_buf_deinit(&again);
    enx_buf_deinit(&bytes);
}

static void a_report_comes_out_as_it_went_in(void **state)
{
    (void)state;
    enx_buf                bytes, texts;
    enx_wire_report        out;
    const enx_wire_report  w = sample_report();
    const enx_call_report *r = &w.report;
    enx_buf_init(&bytes, 1 << 20);
    enx_buf_init(&texts, 1 << 20);
    assert_int_equal(enx_wire_report_write(&bytes, &w), ENX_OK);
    assert_int_equal(enx_wire_report_read(&out, &texts, bytes.data, bytes.size_bytes, NULL),
                     ENX_OK);
    assert_string_equal(out.worker, w.worker);
    assert_true(out.report.call_id == r->call_id && out.report.status == r->status);
    assert_true(out.report.confidence == r->confidence && out.report.sum_logprob == r->sum_logprob);
    assert_true(out.report.min_logprob == r->min_logprob);
    assert_true(out.report.error_chance == r->error_chance && out.report.flags == r->flags);
    assert_memory_equal(&out.report.usage, &r->usage, sizeof r->usage);
    assert_true(out.report.tokens_reasoning == 4 && out.report.latency_us == 5 &&
                out.report.token_count == 9);
    assert_int_equal(out.report.answer_bytes, r->answer_bytes);
    assert_memory_equal(out.report.answer, input, sizeof input - 1);
    assert_string_equal(out.report.error, "for people");
    enx_buf_deinit(&bytes);
    enx_buf_deinit(&texts);
}

/* JSON cannot say it. */
static void an_infinite_logprob_becomes_a_very_small_one(void **state)
{
    (void)state;
    enx_buf         bytes, texts;
    enx_wire_report out, w = sample_report();
    w.report.min_logprob = -INFINITY;
    enx_buf_init(&bytes, 1 << 20);
    enx_buf_init(&texts, 1 << 20);
    assert_int_equal(enx_wire_report_write(&bytes, &w), ENX_OK);
    assert_int_equal(enx_wire_report_read(&out, &texts, bytes.data, bytes.size_bytes, NULL),
                     ENX_OK);
    assert_true(out.report.min_logprob == -DBL_MAX);
    enx_buf_deinit(&bytes);
    enx_buf_deinit(&texts);
}

static void several_messages_come_apart_again(void **state)
{
    (void)state;
    char          texts[ENX_WIRE_BUNDLE_MAX][40];
    enx_wire_part parts[ENX_WIRE_BUNDLE_MAX], out[ENX_WIRE_BUNDLE_MAX];
    enx_buf       bytes;
    enx_buf_init(&bytes, 1 << 20);
    for (uint32_t i = 0; i < ENX_WIRE_BUNDLE_MAX; i++)
        parts[i] = (enx_wire_part){
            .bytes = texts[i],
            .size_bytes = (size_t)snprintf(texts[i], sizeof texts[i], "{%*u}\n", (int)i, i),
        };
    for (uint32_t count = 1; count <= ENX_WIRE_BUNDLE_MAX; count++) {
        uint32_t came = 0;
        enx_buf_clear(&bytes);
        assert_int_equal(enx_wire_bundle_write(&bytes, parts, count), ENX_OK);
        assert_int_equal(enx_wire_bundle_read(out, &came, bytes.data, bytes.size_bytes, NULL),
                         ENX_OK);
        assert_int_equal(came, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(out[i].size_bytes, parts[i].size_bytes);
            assert_memory_equal(out[i].bytes, parts[i].bytes, parts[i].size_bytes);
        }
    }
    enx_buf_deinit(&bytes);
}

/* ---- What is refused ---------------------------------------------------------------------- */

static void expect_bundle(const char *text, const char *why)
{
    enx_wire_part parts[ENX_WIRE_BUNDLE_MAX];
    uint32_t      count = 0;
    enx_report    report = { 0 };
    assert_int_equal(enx_wire_bundle_read(parts, &count, text, strlen(text), &report), ENX_FORMAT);
    if (!strstr(report.text, why)) print_message("said: %s\n", report.text);
    assert_non_null(strstr(report.text, why));
}

static void bundles_are_as_long_as_they_say(void **state)
{
    (void)state;
    expect_bundle("sizes=1,1", "no first line");
    expect_bundle("sizes=1,1\nabc", "2 bytes of text");
    expect_bundle("sizes=1,2\nab", "3 bytes of text");
    const char *const lines[] = {
        "sizes=\nab",
        "sizes=2\nab",
        "sizes=2,\nab",
        "sizes=,2\nab",
        "sizes=1,1,\nab",
        "sizes=2,0\nab",
        "sizes=3,-1\nab",
        "sizes=1;1\nab",
        "sizes=1, 1\nabc",
        "sizes=99999999999999999999,1\nab",
        "sizes=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        expect_bundle(lines[i], "no sizes of 2 to 32");
}

/* What is not UTF-8 cannot travel; it is refused, not left out. */
static void a_class_with_bytes_that_are_no_text_is_refused(void **state)
{
    (void)state;
    enx_buf           bytes;
    const enx_example examples[] = { { "in", "\xff" } };
    const enx_class   c = { .name = "extract", .examples = examples, .example_count = 1 };
    enx_buf_init(&bytes, 1 << 20);
    assert_int_equal(enx_wire_class_write(&bytes, &c), ENX_INVALID);
    enx_buf_deinit(&bytes);
}
static void expect_report(const char *bytes, size_t size_bytes, enx_status status, const char *why)
{
    enx_buf         texts;
    enx_wire_report out;
    enx_report      report = { 0 };
    enx_buf_init(&texts, 1 << 20);
    assert_int_equal(enx_wire_report_read(&out, &texts, bytes, size_bytes, &report), status);
    if (!strstr(report.text, why)) print_message("said: %s\n", report.text);
    assert_non_null(strstr(report.text, why));
    enx_buf_deinit(&texts);
}

/* The sample with `from` replaced by `to` in its head. */
static void expect_changed(const char *from, const char *to, enx_status status, const char *why)
{
    char                  text[4096];
    enx_buf               bytes;
    const enx_wire_report w = sample_report();
    enx_buf_init(&bytes, 1 << 20);
    assert_int_equal(enx_wire_report_write(&bytes, &w), ENX_OK);
    const char *at = strstr(bytes.data, from);
    assert_non_null(at);
    const size_t before = (size_t)(at - bytes.data), after = before + strlen(from);
    memcpy(text, bytes.data, before);
    memcpy(text + before, to, strlen(to));
    memcpy(text + before + strlen(to), bytes.data + after, bytes.size_bytes - after);
    expect_report(text, bytes.size_bytes + strlen(to) - strlen(from), status, why);
    enx_buf_deinit(&bytes);
}

static void numbers_out_of_bounds_are_refused_by_name(void **state)
{
    (void)state;
    expect_changed(" status=0", " status=5", ENX_FORMAT, "\"status\"");
    expect_changed(" status=0", " status=ok", ENX_FORMAT, "\"status\"");
    expect_changed(" level=-1", " level=4", ENX_FORMAT, "\"level\"");
    expect_changed(" tokens_in=100", " tokens_in=-1", ENX_FORMAT, "\"tokens_in\"");
    expect_changed(" tokens_in=100", " tokens_in=1e300", ENX_FORMAT, "\"tokens_in\"");
    expect_changed(" error_chance=0.1", " error_chance=1.1", ENX_FORMAT, "\"error_chance\"");
    expect_changed(" flags=17", " flags=64", ENX_FORMAT, "\"flags\"");
    expect_changed("host-7_b", "host.7_b", ENX_FORMAT, "\"worker\"");
    expect_changed(" model=0", " model=G", ENX_FORMAT, "\"model\"");
    expect_changed(" salt=0", " salt=x", ENX_FORMAT, "\"salt\"");
    expect_changed(" language=es", " language=a-very-long-language", ENX_FORMAT, "\"language\"");
}

static void keys_are_the_known_ones(void **state)
{
    (void)state;
    expect_changed(" flags=17", "", ENX_FORMAT, "\"flags\"");
    expect_changed(" flags=17", " flags=17 more=1", ENX_FORMAT, "no \"tokens_in\" in its place");
    expect_changed("error_bytes=10", "error_bytes=10 more=1", ENX_FORMAT, "a key that it cannot");
    expect_changed("version=1", "version=2", ENX_UNSUPPORTED, "another version");
}

static void texts_end_where_the_message_does(void **state)
{
    (void)state;
    expect_changed(" error_bytes=10", " error_bytes=11", ENX_FORMAT, "bytes of text");
    expect_changed(" answer_bytes=", " answer_bytes=9", ENX_FORMAT, "bytes of text");
    expect_changed(" answer_bytes=", " answer_bytes=99999999", ENX_FORMAT, "answer_bytes");
}

static void noise_is_refused(void **state)
{
    (void)state;
    static char long_line[2 * ENX_WIRE_HEAD_BYTES_MAX];
    expect_report("", 0, ENX_FORMAT, "no first line");
    expect_report("version=1", 9, ENX_FORMAT, "no first line");
    expect_report("\n", 1, ENX_FORMAT, "no \"version\"");
    expect_report("version\n", 8, ENX_FORMAT, "no \"version\"");
    expect_report("version=\n", 9, ENX_FORMAT, "\"version\" is nothing");
    expect_report("version=1\n", 10, ENX_FORMAT, "no \"salt\"");
    memset(long_line, ' ', sizeof long_line);
    long_line[sizeof long_line - 1] = '\n';
    expect_report(long_line, sizeof long_line, ENX_FORMAT, "no first line");
}

static void names_can_stand_in_a_subject(void **state)
{
    (void)state;
    static const char longest[] = "123456789012345678901234567890123456789012345678901234567890123";
    assert_true(enx_wire_is_name("a") && enx_wire_is_name("Host-1_b") && enx_wire_is_name(longest));
    assert_false(enx_wire_is_name("") || enx_wire_is_name("a.b") || enx_wire_is_name("*") ||
                 enx_wire_is_name("a b") || enx_wire_is_name(">") || enx_wire_is_name("ä"));
    char longer[sizeof longest + 1];
    snprintf(longer, sizeof longer, "%sx", longest);
    assert_false(enx_wire_is_name(longer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_comes_out_as_it_went_in),
        cmocka_unit_test(a_class_comes_out_as_it_went_in),
        cmocka_unit_test(several_messages_come_apart_again),
        cmocka_unit_test(bundles_are_as_long_as_they_say),
        cmocka_unit_test(a_class_with_bytes_that_are_no_text_is_refused),
        cmocka_unit_test(a_report_comes_out_as_it_went_in),
        cmocka_unit_test(an_infinite_logprob_becomes_a_very_small_one),
        cmocka_unit_test(numbers_out_of_bounds_are_refused_by_name),
        cmocka_unit_test(keys_are_the_known_ones),
        cmocka_unit_test(texts_end_where_the_message_does),
        cmocka_unit_test(noise_is_refused),
        cmocka_unit_test(names_can_stand_in_a_subject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
