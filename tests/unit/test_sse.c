/* SPDX-License-Identifier: Apache-2.0 */
/* test_sse.c - events come out whole, however the bytes were cut. */
#include "backend/sse.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { EVENT_BYTES = 64, OUT_BYTES = 4096 };

/* Every event as "name|data;". */
static enx_status write_event(void *user, const char *event, const char *data, size_t data_bytes,
                              enx_report *report)
{
    (void)report;
    assert_int_equal(strlen(data), data_bytes);
    return enx_buf_printf(user, "%s|%s;", event, data);
}

static enx_status refuse_event(void *user, const char *event, const char *data, size_t data_bytes,
                               enx_report *report)
{
    (void)user;
    (void)event;
    (void)data_bytes;
    return ENX_FAIL(report, FORMAT, "no %s", data);
}

/* Push in pieces of `piece` bytes. */
static enx_status push(enx_buf *out, const char *bytes, size_t size, size_t piece,
                       enx_report *report)
{
    enx_sse    sse;
    enx_status status = ENX_OK;
    enx_sse_init(&sse, EVENT_BYTES);
    enx_buf_init(out, OUT_BYTES);
    for (size_t at = 0; status == ENX_OK && at < size; at += piece)
        status = enx_sse_push(&sse, bytes + at, size - at < piece ? size - at : piece, write_event,
                              out, report);
    enx_sse_deinit(&sse);
    return status;
}

static void check(const char *bytes, const char *wanted)
{
    for (size_t piece = 1; piece <= strlen(bytes); piece++) {
        enx_buf out;
        assert_int_equal(push(&out, bytes, strlen(bytes), piece, NULL), ENX_OK);
        assert_string_equal(enx_buf_text(&out), wanted);
        enx_buf_deinit(&out);
    }
}

static void events_do_not_depend_on_where_bytes_are_cut(void **state)
{
    (void)state;
    check("data: a\n\n", "|a;");
    check("data: a\r\n\r\ndata: b\r\rdata: c\n\n", "|a;|b;|c;");
    check("event: x\ndata: a\n\ndata: b\n\n", "x|a;|b;");
    check("data: a\ndata:b\ndata\n\n", "|a\nb\n;");
    check("data:  two spaces\n\n", "| two spaces;");
    check("\xEF\xBB\xBF"
          "data: a\n\n",
          "|a;");
    check("data: \xEF\xBB\xBF\n\n", "|\xEF\xBB\xBF;");
    check("data: a:b\n\n", "|a:b;");
}

static void what_is_no_event_gives_none(void **state)
{
    (void)state;
    check(": comment\n\n", "");
    check("event: x\n\ndata: a\n\n", "|a;"); /* without data: none, and its name is forgotten */
    check("id: 1\nretry: 10\nother: x\n\n", "");
    check("data: a\n", "");
    check("data: a\n\ndata: cut off", "|a;");
    check("\n\n\r\r\r\n", "");
    check("\xEF\xBB\xBF", "");
}

static void bounds_hold(void **state)
{
    (void)state;
    char       line[EVENT_BYTES + 10] = "data: ";
    enx_report report = { 0 };
    enx_buf    out;
    memset(line + 6, 'x', sizeof line - 6);
    for (size_t piece = 1; piece <= sizeof line; piece += 7) {
        assert_int_equal(push(&out, line, sizeof line, piece, &report), ENX_LIMIT);
        assert_non_null(strstr(report.text, "64 bytes"));
        enx_buf_deinit(&out);
    }
    char many[EVENT_BYTES * 8] = ""; /* no line is too long, their sum is */
    for (int i = 0; i < EVENT_BYTES; i++) memcpy(many + i * 8, "data: x\n", 8);
    assert_int_equal(push(&out, many, sizeof many, 5, &report), ENX_LIMIT);
    enx_buf_deinit(&out);

    static char name[7 + ENX_SSE_NAME_BYTES_MAX + 1];
    enx_sse     sse;
    enx_sse_init(&sse, 4096);
    memset(name, 'n', sizeof name);
    memcpy(name, "event: ", 7);
    name[sizeof name - 1] = '\n';
    assert_int_equal(enx_sse_push(&sse, name, sizeof name, write_event, NULL, &report), ENX_LIMIT);
    enx_sse_deinit(&sse);
}

static void the_failure_of_the_reader_is_the_failure_of_the_push(void **state)
{
    (void)state;
    enx_sse    sse;
    enx_report report = { 0 };
    enx_sse_init(&sse, EVENT_BYTES);
    assert_int_equal(enx_sse_push(&sse, "data: a\n\ndata: b\n\n", 18, refuse_event, NULL, &report),
                     ENX_FORMAT);
    assert_string_equal(report.text, "no a");
    enx_sse_deinit(&sse);
}

static void missing_memory_is_told(void **state)
{
    (void)state;
    const char text[] = "data: a\n\n";
    enx_status status = ENX_NOMEM;
    for (long n = 0; status != ENX_OK; n++) {
        enx_buf out;
        assert_true(n < 10);
        enx_mem_fail_after(n);
        status = push(&out, text, sizeof text - 1, 3, NULL);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK || status == ENX_NOMEM);
        enx_buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_do_not_depend_on_where_bytes_are_cut),
        cmocka_unit_test(what_is_no_event_gives_none),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(the_failure_of_the_reader_is_the_failure_of_the_push),
        cmocka_unit_test(missing_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
