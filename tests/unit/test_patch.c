/* SPDX-License-Identifier: Apache-2.0 */
/* test_patch.c - patches that are read or refused, and what they make of texts. */
#include "base/mem.h"
#include "text/patch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static enx_status open_text(enx_patch **p, const char *text, enx_report *report)
{
    return enx_patch_open(p, text, strlen(text), report);
}

static void what_is_no_patch_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enx_status  status;
    } cases[] = {
        { "", ENX_FORMAT },
        { "just words\n", ENX_FORMAT },
        { "@@ -1 +1 @@\n-a\n+b\n", ENX_FORMAT },
        { "--- a/x\n", ENX_FORMAT },
        { "--- a/x\n+++ b/x\n", ENX_FORMAT },
        { "--- a/x\n+++ b/y\n@@\n-a\n", ENX_INVALID },
        { "--- a/../x\n+++ b/../x\n@@\n-a\n", ENX_INVALID },
        { "--- a//etc/x\n+++ b//etc/x\n@@\n-a\n", ENX_INVALID },
        { "--- /etc/x\n+++ /etc/x\n@@\n-a\n", ENX_INVALID },
        { "--- a/.git/x\n+++ b/.git/x\n@@\n-a\n", ENX_INVALID },
        { "--- a/x/./y\n+++ b/x/./y\n@@\n-a\n", ENX_INVALID },
        { "--- a/x\n+++ b/x\n@@\n-a\n--- a/x\n+++ b/x\n@@\n-b\n", ENX_INVALID },
        { "--- /dev/null\n+++ /dev/null\n@@\n-a\n", ENX_INVALID },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_patch *p = NULL;
        enx_report report = { 0 };
        if (open_text(&p, cases[i].text, &report) != cases[i].status)
            fail_msg("case %zu: %s", i, report.text);
        assert_null(p);
        assert_true(report.text[0]);
    }
    enx_patch *p = NULL;
    assert_int_equal(enx_patch_open(&p, "--- a/x\0\n", 9, NULL), ENX_FORMAT);
    assert_int_equal(enx_patch_open(&p, "", ENX_PATCH_BYTES_MAX + 1, NULL), ENX_LIMIT);
}

static void expect_made(const char *patch, const char *text, const char *want)
{
    enx_patch *p = NULL;
    enx_report report = { 0 };
    enx_buf    out;
    enx_buf_init(&out, 1 << 16);
    if (open_text(&p, patch, &report) != ENX_OK) fail_msg("%s", report.text);
    const enx_status status = enx_patch_apply(p, 0, text, strlen(text), &out, &report);
    if (want) {
        if (status != ENX_OK) fail_msg("%s", report.text);
        assert_string_equal(enx_buf_text(&out), want);
    } else {
        assert_int_equal(status, ENX_INVALID);
        assert_true(report.text[0]);
    }
    enx_buf_deinit(&out);
    enx_patch_close(&p);
}

#define HEAD "--- a/x\n+++ b/x\n"

static void hunks_go_where_their_lines_are(void **state)
{
    (void)state;
    expect_made(HEAD "@@ -2 +2 @@\n-b\n+B\n", "a\nb\nc\n", "a\nB\nc\n");
    expect_made(HEAD "@@ -99,3 +1 @@\n a\n-b\n+B\n c\n", "x\na\nb\nc\n", "x\na\nB\nc\n");
    expect_made(HEAD "@@\n-b\n", "a\nb\nc\n", "a\nc\n");
    expect_made(HEAD "@@ -1 +1 @@\n-a\n+A\n@@ -3 +3 @@\n-a\n+Z\n", "a\nb\na\n", "A\nb\nZ\n");
    expect_made(HEAD "@@ -3 +3 @@\n-a\n+Z\n", "a\nb\na\n", "a\nb\nZ\n");
    expect_made(HEAD "@@ -1,3 +1,3 @@\n a\n\n-b\n+B\n", "a\n\nb\n", "a\n\nB\n");
    expect_made(HEAD "@@ -2 +2 @@\n-b\n\\ No newline at end of file\n+B\n", "a\nb", "a\nB\n");
    expect_made("words before\ndiff --git a/x b/x\nindex 1..2\n" HEAD
                "@@ -1 +1 @@ f()\n-a\n+b\n\n\n",
                "a\n", "b\n");
}

static void hunks_that_fit_nowhere_or_twice_are_refused(void **state)
{
    (void)state;
    expect_made(HEAD "@@ -1 +1 @@\n-z\n+y\n", "a\nb\n", NULL);
    expect_made(HEAD "@@ -2 +2 @@\n-a\n+y\n", "a\nb\na\n", NULL);
    expect_made(HEAD "@@ -1 +1 @@\n-a\n+A\n@@ -1 +1 @@\n-a\n+Z\n", "a\nb\n", NULL);
    expect_made(HEAD "@@ -2 +2 @@\n-b\n+B\n@@ -1 +1 @@\n-a\n+A\n", "a\nb\n", NULL);
    expect_made(HEAD "@@ -1 +1 @@\n-a b\n+A\n", "a  b\n", NULL);
}

static void new_lines_alone_go_where_they_say(void **state)
{
    (void)state;
    expect_made("--- /dev/null\n+++ b/x\n@@ -0,0 +1,2 @@\n+a\n+b\n", "", "a\nb\n");
    expect_made(HEAD "@@ -2,0 +2 @@\n+new\n", "a\nb\n", "a\nnew\nb\n");
    expect_made(HEAD "@@\n+new\n", "a\nb", "a\nb\nnew\n");
}

static void files_are_told_apart(void **state)
{
    (void)state;
    enx_patch *p = NULL;
    assert_int_equal(open_text(&p,
                               "--- a/one\t2020\n+++ b/one\t2021\n@@ -1 +1 @@\n-a\n+b\n"
                               "--- /dev/null\n+++ b/d/two\n@@ -0,0 +1 @@\n+--- x\n"
                               "--- a/three\n+++ /dev/null\n",
                               NULL),
                     ENX_OK);
    assert_int_equal(enx_patch_file_count(p), 3);
    const enx_patch_file one = enx_patch_file_get(p, 0), two = enx_patch_file_get(p, 1);
    const enx_patch_file three = enx_patch_file_get(p, 2);
    assert_string_equal(one.name, "one");
    assert_false(one.is_new || one.is_removed);
    assert_string_equal(two.name, "d/two");
    assert_true(two.is_new);
    assert_string_equal(three.name, "three");
    assert_true(three.is_removed);
    enx_patch_close(&p);
}

static void a_full_buffer_and_no_memory_are_told(void **state)
{
    (void)state;
    enx_patch *p = NULL;
    enx_buf    out;
    for (unsigned n = 0; n < 2; n++) {
        enx_mem_fail_after(n);
        assert_int_equal(open_text(&p, HEAD "@@\n+a\n", NULL), ENX_NOMEM);
        assert_null(p);
    }
    enx_mem_fail_after(-1);
    assert_int_equal(open_text(&p, HEAD "@@\n+a\n", NULL), ENX_OK);
    enx_buf_init(&out, 1);
    assert_int_equal(enx_patch_apply(p, 0, "x\n", 2, &out, NULL), ENX_LIMIT);
    enx_buf_deinit(&out);
    enx_patch_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_patch_is_refused),
        cmocka_unit_test(hunks_go_where_their_lines_are),
        cmocka_unit_test(hunks_that_fit_nowhere_or_twice_are_refused),
        cmocka_unit_test(new_lines_alone_go_where_they_say),
        cmocka_unit_test(files_are_told_apart),
        cmocka_unit_test(a_full_buffer_and_no_memory_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
