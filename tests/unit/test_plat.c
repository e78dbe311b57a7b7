/* SPDX-License-Identifier: Apache-2.0 */
/* test_plat.c - files, the thread pool and clocks. */
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "plat/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64]; /* a fresh one for this run */

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/enxame-test-plat-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void assert_content(const char *path, const char *want)
{
    enx_buf buf;
    enx_buf_init(&buf, 1 << 20);
    assert_int_equal(enx_file_read(&buf, path, NULL), ENX_OK);
    assert_string_equal(enx_buf_text(&buf), want);
    enx_buf_deinit(&buf);
}

/* ---- map and read ------------------------------------------------------ */

static void a_file_written_can_be_mapped_and_read(void **state)
{
    (void)state;
    const char *path = in_folder("written");
    enx_file    file = { 0 };
    assert_false(enx_file_exists(path));
    assert_int_equal(enx_file_write(path, "hello", 5, NULL), ENX_OK);
    assert_true(enx_file_exists(path));
    assert_int_equal(enx_file_map(&file, path, NULL), ENX_OK);
    assert_int_equal(file.size_bytes, 5);
    assert_memory_equal(file.bytes, "hello", 5);
    enx_file_unmap(&file);
    assert_null(file.bytes);
    enx_file_unmap(&file); /* the zero value is safe */
    assert_content(path, "hello");
}

static void an_empty_file_maps_to_nothing(void **state)
{
    (void)state;
    const char *path = in_folder("empty");
    enx_file    file = { .size_bytes = 99 };
    assert_int_equal(enx_file_write(path, NULL, 0, NULL), ENX_OK);
    assert_int_equal(enx_file_map(&file, path, NULL), ENX_OK);
    assert_null(file.bytes);
    assert_int_equal(file.size_bytes, 0);
    enx_file_unmap(&file);
    assert_content(path, "");
}

static void what_is_forgotten_can_be_read_again(void **state)
{
    (void)state;
    enum { PAGES_BYTES = 5 << 12 };
    static uint8_t bytes[PAGES_BYTES], others[PAGES_BYTES];
    const char    *path = in_folder("forgotten");
    enx_file       file;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = others[i] = (uint8_t)(i * 7 + i / 4096);
    assert_int_equal(enx_file_write(path, bytes, sizeof bytes, NULL), ENX_OK);
    assert_int_equal(enx_file_map(&file, path, NULL), ENX_OK);
    for (size_t first = 0; first < sizeof bytes; first += 1000) {
        enx_file_forget(&file, file.bytes + first, sizeof bytes - first);
        assert_memory_equal(file.bytes, bytes, sizeof bytes);
    }
    enx_file_forget(&file, others, sizeof others); /* none of its bytes */
    enx_file_forget(&file, file.bytes + 1, sizeof bytes);
    assert_memory_equal(others, bytes, sizeof bytes);
    enx_file_unmap(&file);
    enx_file_forget(&file, others, sizeof others);
    assert_memory_equal(others, bytes, sizeof bytes);
}

static void what_cannot_be_mapped_is_named(void **state)
{
    (void)state;
    enx_report  report;
    enx_file    file = { .size_bytes = 99 };
    const char *missing = in_folder("missing");
    assert_int_equal(enx_file_map(&file, missing, &report), ENX_NOTFOUND);
    assert_non_null(strstr(report.text, missing));
    assert_int_equal(enx_file_map(&file, folder, &report), ENX_IO);
    assert_non_null(strstr(report.text, "is a folder"));
    assert_int_equal(enx_file_map(&file, "/dev/null", &report), ENX_IO);
    assert_non_null(strstr(report.text, "/dev/null is a device"));
    const char *fifo = in_folder("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(enx_file_map(&file, fifo, &report), ENX_IO); /* and does not hang */
    assert_int_equal(enx_file_map(&file, "/etc/passwd/x", &report), ENX_IO);
    assert_int_equal(file.size_bytes, 99); /* out is written only on ENX_OK */
}

static void read_appends_up_to_the_limit_or_not_at_all(void **state)
{
    (void)state;
    enx_report report;
    enx_buf    buf;
    char       path[128];
    snprintf(path, sizeof path, "%s/five", folder);
    assert_int_equal(enx_file_write(path, "12345", 5, NULL), ENX_OK);
    enx_buf_init(&buf, 9);
    assert_int_equal(enx_file_read(&buf, path, NULL), ENX_OK);
    assert_int_equal(enx_file_read(&buf, path, &report), ENX_LIMIT);
    assert_non_null(strstr(report.text, path));
    assert_non_null(strstr(report.text, "9 bytes"));
    assert_string_equal(enx_buf_text(&buf), "12345");
    assert_int_equal(enx_file_read(&buf, folder, &report), ENX_IO);
    assert_int_equal(enx_file_read(&buf, in_folder("none"), &report), ENX_NOTFOUND);
    assert_string_equal(enx_buf_text(&buf), "12345");
    enx_buf_deinit(&buf);
    enx_buf_init(&buf, 9);
    enx_mem_fail_after(0);
    assert_int_equal(enx_file_read(&buf, path, &report), ENX_NOMEM);
    enx_buf_deinit(&buf);
}

static void endless_input_stops_at_the_limit(void **state)
{
    (void)state;
    enx_buf buf;
    enx_buf_init(&buf, 100000);
    assert_int_equal(enx_file_read(&buf, "/dev/zero", NULL), ENX_LIMIT);
    assert_int_equal(buf.size_bytes, 0);
    enx_buf_deinit(&buf);
}

static void dash_is_standard_input(void **state)
{
    (void)state;
    enx_buf   buf;
    const int kept = dup(STDIN_FILENO);
    assert_int_equal(enx_file_write(in_folder("input"), "typed", 5, NULL), ENX_OK);
    const int fd = open(in_folder("input"), O_RDONLY);
    assert_true(fd >= 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    enx_buf_init(&buf, 100);
    assert_int_equal(enx_file_read(&buf, "-", NULL), ENX_OK);
    assert_string_equal(enx_buf_text(&buf), "typed");
    enx_buf_deinit(&buf);
    dup2(kept, STDIN_FILENO);
    close(fd);
    close(kept);
}

/* ---- write ------------------------------------------------------------- */

static void a_write_replaces_the_whole_and_keeps_the_mode(void **state)
{
    (void)state;
    const char *path = in_folder("mode");
    struct stat facts;
    assert_int_equal(enx_file_write(path, "a long first version", 20, NULL), ENX_OK);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(enx_file_write(path, "short", 5, NULL), ENX_OK);
    assert_content(path, "short");
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0640);
    assert_false(enx_file_exists(in_folder("mode.tmp")));
}

static void a_symbolic_link_stays_a_link(void **state)
{
    (void)state;
    char        target[128], name[128];
    struct stat facts;
    snprintf(target, sizeof target, "%s/target", folder);
    snprintf(name, sizeof name, "%s/link", folder);
    assert_int_equal(enx_file_write(target, "old", 3, NULL), ENX_OK);
    assert_int_equal(symlink(target, name), 0);
    assert_int_equal(enx_file_write(name, "new", 3, NULL), ENX_OK);
    assert_int_equal(lstat(name, &facts), 0);
    assert_true(S_ISLNK(facts.st_mode));
    assert_content(target, "new");
}

static void a_stale_temporary_file_is_used_again(void **state)
{
    (void)state;
    assert_int_equal(enx_file_write(in_folder("crash.tmp"), "left by a crash", 15, NULL), ENX_OK);
    assert_int_equal(enx_file_write(in_folder("crash"), "new", 3, NULL), ENX_OK);
    assert_content(in_folder("crash"), "new");
}

/* Run by a process that may not change /dev, so that not even a wrong program harms it. */
static int check_devices(void)
{
    enx_report  report;
    struct stat facts;
    if (geteuid() == 0 && setuid(65534) != 0) return 0;
    if (enx_file_write("/dev/full", "x", 1, &report) != ENX_IO) return 1;
    if (!strstr(report.text, "/dev/full") || !strstr(report.text, strerror(ENOSPC))) return 2;
    if (enx_file_write("/dev/null", "x", 1, &report) != ENX_OK) return 3;
    return stat("/dev/null", &facts) == 0 && S_ISCHR(facts.st_mode) ? 0 : 4;
}

static void a_full_disk_is_named_and_devices_are_written_through(void **state)
{
    (void)state;
    int         result = -1;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(check_devices());
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
}

static void a_pipe_is_written_to_and_never_replaced(void **state)
{
    (void)state;
    char        path[128], got[4] = "";
    struct stat facts;
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    const int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(enx_file_write(path, "abc", 3, NULL), ENX_OK);
    assert_int_equal(read(reader, got, sizeof got), 3);
    assert_string_equal(got, "abc");
    close(reader);
    assert_int_equal(stat(path, &facts), 0);
    assert_true(S_ISFIFO(facts.st_mode));
}

/* A file size limit fails the write half-way, as a disk that fills up does. */
static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    enx_report    report;
    struct rlimit kept, small;
    char          path[128];
    char         *big = ENX_MEM_NEW(char, 1 << 20);
    snprintf(path, sizeof path, "%s/precious", folder);
    assert_int_equal(enx_file_write(path, "precious", 8, NULL), ENX_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &kept), 0);
    small = kept;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const enx_status status = enx_file_write(path, big, 1 << 20, &report);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &kept), 0);
    assert_int_equal(status, ENX_IO);
    assert_non_null(strstr(report.text, path));
    assert_content(path, "precious");
    assert_false(enx_file_exists(in_folder("precious.tmp")));
    enx_mem_free(big);
}

static void unwritable_places_are_named(void **state)
{
    (void)state;
    enx_report report;
    char       name[5000];
    assert_int_equal(enx_file_write(in_folder("no/such/file"), "x", 1, &report), ENX_IO);
    assert_non_null(strstr(report.text, "no/such/file"));
    assert_int_equal(enx_file_write(folder, "x", 1, &report), ENX_IO);
    assert_non_null(strstr(report.text, "folder"));
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(enx_file_write(name, "x", 1, &report), ENX_IO);
}

/* Two processes write one path at once: the winner's file is whole. */
static void racing_writers_never_mix(void **state)
{
    (void)state;
    enum { BYTES = 100000, ROUNDS = 20 };
    char  path[128];
    char *mine = ENX_MEM_NEW(char, BYTES);
    snprintf(path, sizeof path, "%s/race", folder);
    const pid_t child = fork();
    assert_true(child >= 0);
    memset(mine, child ? 'p' : 'c', BYTES);
    int failures = 0;
    for (int i = 0; i < ROUNDS; i++) {
        enx_file file = { 0 };
        failures += enx_file_write(path, mine, BYTES, NULL) != ENX_OK;
        failures += enx_file_map(&file, path, NULL) != ENX_OK || file.size_bytes != BYTES ||
                    file.bytes[0] != file.bytes[BYTES - 1];
        enx_file_unmap(&file);
    }
    if (child == 0) _exit(failures != 0);
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    assert_int_equal(failures, 0);
    enx_mem_free(mine);
}

static void folders_are_made_with_parents(void **state)
{
    (void)state;
    enx_report  report;
    struct stat facts;
    assert_int_equal(enx_dir_make(in_folder("a/b//c/"), NULL), ENX_OK);
    assert_int_equal(enx_dir_make(in_folder("a/b/c"), NULL), ENX_OK);
    assert_int_equal(stat(in_folder("a/b/c"), &facts), 0);
    assert_true(S_ISDIR(facts.st_mode));
    assert_int_equal(enx_dir_make("/", NULL), ENX_OK);
    assert_int_equal(enx_file_write(in_folder("a/file"), "x", 1, NULL), ENX_OK);
    assert_int_equal(enx_dir_make(in_folder("a/file/d"), &report), ENX_IO);
    assert_non_null(strstr(report.text, "a/file is a file"));
    assert_int_equal(enx_dir_make("", &report), ENX_IO);
}

/* ---- pool -------------------------------------------------------------- */

enum { PARTS_MAX = 100 };

typedef struct part_counts {
    unsigned runs[PARTS_MAX];
    uint32_t part_count;
} part_counts;

static void count_part(void *user, uint32_t part, uint32_t part_count)
{
    part_counts *counts = user;
    counts->runs[part] += part_count == counts->part_count ? 1 : 1000;
}

static void every_part_runs_once_for_every_thread_count(void **state)
{
    (void)state;
    static const uint32_t threads[] = { 1, 2, 3, 8 };
    static const uint32_t parts[] = { 0, 1, 2, 3, 7, 8, 9, PARTS_MAX };
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        enx_pool *pool = NULL;
        assert_int_equal(enx_pool_open(&pool, threads[t], NULL), ENX_OK);
        assert_int_equal(enx_pool_thread_count(pool), threads[t]);
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
            for (int round = 0; round < 50; round++) {
                part_counts counts[1] = { { .part_count = parts[p] } };
                enx_pool_run(pool, count_part, counts, parts[p]);
                for (uint32_t i = 0; i < PARTS_MAX; i++)
                    assert_int_equal(counts->runs[i], i < parts[p]);
            }
        }
        enx_pool_close(&pool);
        assert_null(pool);
        enx_pool_close(&pool); /* accepts NULL */
    }
}

static void add_squares(void *user, uint32_t part, uint32_t part_count)
{
    uint64_t *sums = user;
    for (uint64_t i = part; i < 1000; i += part_count) sums[part] += i * i;
}

/* Sleeping workers wake; many short runs in a row lose none; results are seen by the owner. */
static void thousands_of_runs_and_pauses_agree(void **state)
{
    (void)state;
    enx_pool *pool = NULL;
    assert_int_equal(enx_pool_open(&pool, 4, NULL), ENX_OK);
    for (int run = 0; run < 3000; run++) {
        uint64_t sums[7] = { 0 }, sum = 0;
        enx_pool_run(pool, add_squares, sums, 1 + (uint32_t)run % 7);
        for (int i = 0; i < 7; i++) sum += sums[i];
        assert_true(sum == 332833500);
        if (run % 500 == 0) usleep(2000); /* long enough to fall asleep */
    }
    enx_pool_close(&pool);
}

static void too_many_threads_are_refused(void **state)
{
    (void)state;
    enx_report report;
    enx_pool  *pool = NULL;
    assert_int_equal(enx_pool_open(&pool, ENX_POOL_THREADS_MAX + 1, &report), ENX_LIMIT);
    assert_non_null(strstr(report.text, "65"));
    enx_mem_fail_after(0);
    assert_int_equal(enx_pool_open(&pool, 2, &report), ENX_NOMEM);
    assert_null(pool);
    assert_int_equal(enx_pool_open(&pool, ENX_POOL_THREADS_MAX, &report), ENX_OK);
    enx_pool_close(&pool);
}

static void zero_threads_means_one_per_core(void **state)
{
    (void)state;
    enx_pool *pool = NULL;
    assert_true(enx_cpu_count() >= 1);
    assert_int_equal(enx_pool_open(&pool, 0, NULL), ENX_OK);
    const uint32_t want =
        enx_cpu_count() < ENX_POOL_THREADS_MAX ? enx_cpu_count() : ENX_POOL_THREADS_MAX;
    assert_int_equal(enx_pool_thread_count(pool), want);
    enx_pool_close(&pool);
}

/* Parts 1 and 3 are of one lane: part 1 ends when part 3 has, so somebody else has to take it. */
static void wait_for_third(void *user, uint32_t part, uint32_t part_count)
{
    atomic_bool *is_over = user;
    (void)part_count;
    if (part == 3) atomic_store(is_over, true);
    for (int i = 0; part == 1 && !atomic_load(is_over) && i < 20000; i++) usleep(1000);
}

static void who_is_held_up_is_helped(void **state)
{
    (void)state;
    enx_pool *pool = NULL;
    assert_int_equal(enx_pool_open(&pool, 2, NULL), ENX_OK);
    for (int run = 0; run < 20; run++) {
        atomic_bool    is_over = false;
        const uint64_t start_us = enx_clock_monotonic_us();
        enx_pool_run(pool, wait_for_third, &is_over, 4);
        assert_true(enx_clock_monotonic_us() - start_us < 15000000);
    }
    enx_pool_close(&pool);
}

static void run_again(void *user, uint32_t part, uint32_t part_count)
{
    (void)part_count;
    if (part == 0) enx_pool_run(user, run_again, user, 1);
}

static void a_nested_run_is_a_broken_promise(void **state)
{
    (void)state;
    int         result = 0;
    const pid_t child = fork();
    if (child == 0) {
        enx_pool *pool = NULL;
        if (enx_pool_open(&pool, 2, NULL) != ENX_OK) _exit(0);
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) _exit(0);
        enx_pool_run(pool, run_again, pool, 1);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGABRT);
}

/* ---- clocks ------------------------------------------------------------ */

static void clocks_go_forward(void **state)
{
    (void)state;
    const uint64_t monotonic = enx_clock_monotonic_us(), cpu = enx_clock_cpu_us();
    assert_true(enx_clock_wall_us() > UINT64_C(1600000000000000));
    usleep(2000);
    assert_true(enx_clock_monotonic_us() >= monotonic + 2000);
    volatile uint64_t work = 0;
    while (enx_clock_cpu_us() < cpu + 1000) work = work + 1;
    assert_true(enx_clock_rss_max_bytes() > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_written_can_be_mapped_and_read),
        cmocka_unit_test(an_empty_file_maps_to_nothing),
        cmocka_unit_test(what_is_forgotten_can_be_read_again),
        cmocka_unit_test(what_cannot_be_mapped_is_named),
        cmocka_unit_test(read_appends_up_to_the_limit_or_not_at_all),
        cmocka_unit_test(endless_input_stops_at_the_limit),
        cmocka_unit_test(dash_is_standard_input),
        cmocka_unit_test(a_write_replaces_the_whole_and_keeps_the_mode),
        cmocka_unit_test(a_symbolic_link_stays_a_link),
        cmocka_unit_test(a_stale_temporary_file_is_used_again),
        cmocka_unit_test(a_full_disk_is_named_and_devices_are_written_through),
        cmocka_unit_test(a_pipe_is_written_to_and_never_replaced),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
        cmocka_unit_test(unwritable_places_are_named),
        cmocka_unit_test(racing_writers_never_mix),
        cmocka_unit_test(folders_are_made_with_parents),
        cmocka_unit_test(every_part_runs_once_for_every_thread_count),
        cmocka_unit_test(thousands_of_runs_and_pauses_agree),
        cmocka_unit_test(who_is_held_up_is_helped),
        cmocka_unit_test(too_many_threads_are_refused),
        cmocka_unit_test(zero_threads_means_one_per_core),
        cmocka_unit_test(a_nested_run_is_a_broken_promise),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests_name("plat", tests, make_folder, remove_folder);
}
