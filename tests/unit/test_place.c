/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a weak run: below TMPDIR, measured through closed folders, never through links,
 * and gone at the end, however deep. */
#include "sandbox/sandbox_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char base[] = "/tmp/enxame-test-place-XXXXXX";

static void make_file(const char *path, size_t size)
{
    static char bytes[1 << 20];
    const int   fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0 && size <= sizeof bytes);
    assert_int_equal(write(fd, bytes, size), size);
    assert_int_equal(fsync(fd), 0); /* blocks are counted once they are taken */
    close(fd);
}

static const char *in_work(const enx_place *place, const char *name)
{
    static char path[ENX_PLACE_PATH_MAX + 128];
    snprintf(path, sizeof path, "%s/" ENX_PLACE_WORK "/%s", place->path, name);
    return path;
}

static bool is_base_empty(void) { return rmdir(base) == 0 && mkdir(base, 0700) == 0; }

static void what_cannot_be_made_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    enx_place  place;
    enx_report report = { 0 };
    char       much[ENX_PLACE_PATH_MAX + 2];
    memset(much, 'a', sizeof much - 1);
    much[0] = '/';
    much[sizeof much - 1] = '\0';
    setenv("TMPDIR", much, 1);
    assert_int_equal(enx_place_open(&place, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "too long"));
    setenv("TMPDIR", "/nowhere", 1);
    assert_int_equal(enx_place_open(&place, &report), ENX_IO);
    assert_non_null(strstr(report.text, "/nowhere"));
    enx_place_close(&place);
    setenv("TMPDIR", base, 1);
    assert_true(is_base_empty());
}

static void a_relative_TMPDIR_is_not_followed(void **state)
{
    (void)state;
    enx_place place;
    setenv("TMPDIR", "here", 1);
    assert_int_equal(enx_place_open(&place, NULL), ENX_OK);
    assert_memory_equal(place.path, "/tmp/", 5);
    enx_place_close(&place);
    setenv("TMPDIR", base, 1);
}

static void files_and_their_blocks_are_counted(void **state)
{
    (void)state;
    enx_place place;
    enx_look  look = { 0 };
    assert_int_equal(enx_place_open(&place, NULL), ENX_OK);
    assert_memory_equal(place.path, base, strlen(base));
    enx_place_look(&place, &look);
    assert_int_equal(look.files, 0);
    assert_int_equal(mkdir(in_work(&place, "d"), 0700), 0);
    make_file(in_work(&place, "d/a"), 1 << 20);
    make_file(in_work(&place, "b"), 0);
    enx_place_look(&place, &look);
    assert_int_equal(look.files, 3);
    assert_in_range(look.disk_bytes, 1 << 20, (1 << 20) + (1 << 16));
    enx_place_close(&place);
    assert_true(is_base_empty());
}

/* Root is kept out of nothing: this says more where another user runs it. */
static void closed_folders_hide_nothing(void **state)
{
    (void)state;
    enx_place place;
    enx_look  look = { 0 };
    assert_int_equal(enx_place_open(&place, NULL), ENX_OK);
    assert_int_equal(mkdir(in_work(&place, "d"), 0700), 0);
    make_file(in_work(&place, "d/a"), 1);
    assert_int_equal(chmod(in_work(&place, "d"), 0), 0);
    enx_place_look(&place, &look);
    assert_int_equal(look.files, 2);
    assert_int_equal(chmod(in_work(&place, "d"), 0), 0);
    enx_place_close(&place);
    assert_true(is_base_empty());
}

static void links_lead_nowhere(void **state)
{
    (void)state;
    enx_place place;
    enx_look  look = { 0 };
    char      outside[64], kept[80];
    snprintf(outside, sizeof outside, "%s.outside", base);
    snprintf(kept, sizeof kept, "%s/kept", outside);
    assert_int_equal(mkdir(outside, 0700), 0);
    make_file(kept, 1);
    assert_int_equal(enx_place_open(&place, NULL), ENX_OK);
    assert_int_equal(symlink(outside, in_work(&place, "link")), 0);
    enx_place_look(&place, &look);
    assert_int_equal(look.files, 1);
    enx_place_close(&place);
    assert_true(is_base_empty());
    assert_int_equal(access(kept, F_OK), 0);
    assert_int_equal(unlink(kept) || rmdir(outside), 0);
}

static void no_depth_is_too_great_to_be_removed(void **state)
{
    (void)state;
    enx_place place;
    enx_look  look = { 0 };
    assert_int_equal(enx_place_open(&place, NULL), ENX_OK);
    const int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(chdir(in_work(&place, "")), 0);
    for (int i = 0; i < 300; i++) assert_int_equal(mkdir("d", 0700) || chdir("d"), 0);
    assert_int_equal(fchdir(back), 0);
    close(back);
    enx_place_look(&place, &look);
    assert_true(look.files > UINT32_MAX); /* above every limit of files */
    enx_place_close(&place);
    assert_true(is_base_empty());
}

static int make_base(void **state)
{
    (void)state;
    if (!mkdtemp(base)) return -1;
    return setenv("TMPDIR", base, 1);
}

static int remove_base(void **state)
{
    (void)state;
    return rmdir(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_made_is_told_and_leaves_nothing),
        cmocka_unit_test(a_relative_TMPDIR_is_not_followed),
        cmocka_unit_test(files_and_their_blocks_are_counted),
        cmocka_unit_test(closed_folders_hide_nothing),
        cmocka_unit_test(links_lead_nowhere),
        cmocka_unit_test(no_depth_is_too_great_to_be_removed),
    };
    return cmocka_run_group_tests(tests, make_base, remove_base);
}
