/* SPDX-License-Identifier: Apache-2.0 */
/* test_sandbox.c - what a run gives back, what is refused, and that nothing stays.  Hostile
 * programs are in tests/hostile. */
#include "base/mem.h"
#include "plat/clock.h"
#include "sandbox/language.h"
#include "sandbox/sandbox_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static enx_sandbox *sandbox;

static size_t count_fds(void)
{
    DIR   *folder = opendir("/proc/self/fd");
    size_t count = 0;
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

/* Processes with `word` in their arguments, but for this one. */
static size_t count_processes(const char *word)
{
    DIR   *folder = opendir("/proc");
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[300], text[4096];
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        if (strtol(entry->d_name, NULL, 10) == getpid()) continue;
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        const int fd = open(path, O_RDONLY);
        if (fd < 0) continue;
        const ssize_t size = read(fd, text, sizeof text);
        close(fd);
        count += size > 0 && memmem(text, (size_t)size, word, strlen(word)) != NULL;
    }
    closedir(folder);
    return count;
}

static enx_sandbox_task task_of(const char *const *argv)
{
    return (enx_sandbox_task){ .argv = argv, .limits = enx_sandbox_limits_default() };
}

/* Run a shell script, which must be possible. */
static enx_sandbox_result run_sh(const char *script, const enx_sandbox_task *like)
{
    const char *const  argv[] = { "/bin/sh", "-c", script, "sh", "one", "two", NULL };
    enx_sandbox_task   task = like ? *like : task_of(argv);
    enx_sandbox_result result;
    enx_report         report = { 0 };
    task.argv = argv;
    if (enx_sandbox_run(sandbox, &task, &result, &report) != ENX_OK) fail_msg("%s", report.text);
    return result;
}

/* ---- What comes back ------------------------------------------------------------------------ */

static void output_and_exit_code_come_back(void **state)
{
    (void)state;
    enx_sandbox_result r = run_sh("echo out $2; echo err >&2; pwd; exit 7", NULL);
    assert_int_equal(r.exit_code, 7);
    assert_int_equal(r.signal, 0);
    assert_int_equal(r.limit, ENX_SANDBOX_LIMIT_NONE);
    assert_false(r.is_stopped);
    assert_string_equal(enx_buf_text(&r.out), "out two\n/work\n");
    assert_string_equal(enx_buf_text(&r.err), "err\n");
    assert_true(r.wall_us > 0 && r.memory_peak_bytes > 0);
    enx_sandbox_result_deinit(&r);
}

static void exit_codes_and_signals_are_told_apart(void **state)
{
    (void)state;
    for (int code = 120; code < 256; code += 9) {
        char script[32];
        snprintf(script, sizeof script, "exit %d", code);
        enx_sandbox_result r = run_sh(script, NULL);
        assert_int_equal(r.exit_code, code);
        assert_int_equal(r.signal, 0);
        enx_sandbox_result_deinit(&r);
    }
    enx_sandbox_result r = run_sh("kill -SEGV $$", NULL);
    assert_int_equal(r.exit_code, -1);
    assert_int_equal(r.signal, SIGSEGV);
    enx_sandbox_result_deinit(&r);
}

static void input_and_environment_go_in(void **state)
{
    (void)state;
    const char *const  env[] = { "COLOUR=blue", NULL };
    enx_sandbox_task   task = { .env = env,
                                .stdin_bytes = "a\0b",
                                .stdin_size_bytes = 3,
                                .limits = enx_sandbox_limits_default() };
    enx_sandbox_result r = run_sh("cat; echo $COLOUR $HOME $TMPDIR", &task);
    assert_memory_equal(enx_buf_text(&r.out), "a\0bblue /work /tmp\n", 19);
    enx_sandbox_result_deinit(&r);
}

static void large_input_passes_through(void **state)
{
    (void)state;
    enum { SIZE = 900000 };
    char *bytes = enx_mem_new(SIZE, 1);
    for (int i = 0; i < SIZE; i++) bytes[i] = (char)(i * 31 >> 3);
    enx_sandbox_task   task = { .stdin_bytes = bytes,
                                .stdin_size_bytes = SIZE,
                                .limits = enx_sandbox_limits_default() };
    enx_sandbox_result r = run_sh("cat", &task);
    assert_int_equal(r.out.size_bytes, SIZE);
    assert_memory_equal(r.out.data, bytes, SIZE);
    enx_sandbox_result_deinit(&r);
    enx_mem_free(bytes);
}

static void files_go_in_and_changed_ones_come_out(void **state)
{
    (void)state;
    const enx_sandbox_file files[] = { { "same", "1", 1, false },
                                       { "changed", "1", 1, false },
                                       { "lib/deep/run", "#!/bin/sh\necho ran\n", 19, true },
                                       { "empty", "", 0, false } };
    enx_sandbox_task       task = { .files = files,
                                    .file_count = 4,
                                    .is_collecting = true,
                                    .limits = enx_sandbox_limits_default() };
    enx_sandbox_result     r = run_sh("lib/deep/run; echo 2 > changed; mkdir n; echo x > n/new;"
                                          "chmod +x n/new; rm empty; echo zz > a",
                                      &task);
    assert_string_equal(enx_buf_text(&r.out), "ran\n");
    assert_int_equal(r.file_count, 3);
    assert_string_equal(r.files[0].name, "a");
    assert_string_equal(r.files[1].name, "changed");
    assert_memory_equal(r.files[1].bytes, "2\n", 2);
    assert_string_equal(r.files[2].name, "n/new");
    assert_true(r.files[2].is_executable && !r.files[1].is_executable);
    assert_int_equal(r.files_left_out, 0);
    enx_sandbox_result_deinit(&r);
    task.is_collecting = false;
    r = run_sh("echo 2 > changed", &task);
    assert_int_equal(r.file_count, 0);
    enx_sandbox_result_deinit(&r);
}

static void runs_do_not_see_each_other(void **state)
{
    (void)state;
    enx_sandbox_result r = run_sh("echo x > /tmp/x; echo x > /work/x; echo x > /dev/shm/x", NULL);
    assert_int_equal(r.exit_code, 0);
    enx_sandbox_result_deinit(&r);
    r = run_sh("ls -A /tmp /work /dev/shm | wc -w", NULL);
    assert_string_equal(enx_buf_text(&r.out), "3\n"); /* the three headings */
    enx_sandbox_result_deinit(&r);
}

static void times_and_memory_are_measured(void **state)
{
    (void)state;
    enx_sandbox_result r =
        run_sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 0.1", NULL);
    assert_true(r.cpu_user_us + r.cpu_system_us > 10000);
    assert_true(r.wall_us >= 100000 + r.cpu_user_us / 2);
    enx_sandbox_result_deinit(&r);
    r = run_sh("x=$(head -c 40000000 /dev/zero | tr '\\0' x); echo ${#x}", NULL);
    assert_string_equal(enx_buf_text(&r.out), "40000000\n");
    assert_true(r.memory_peak_bytes > 40000000);
    enx_sandbox_result_deinit(&r);
}

/* ---- What is refused ------------------------------------------------------------------------ */

static void bad_names_are_refused(void **state)
{
    (void)state;
    char              deep[256] = "", large[700];
    const char *const argv[] = { "/usr/bin/true", NULL };
    for (int i = 0; i < 20; i++) memcpy(deep + 2 * i, "d/f", 4);
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    const char *const names[] = { "",     "/etc/passwd", "..", ".",    "a/../b", "a/./b",
                                  "a//b", "a/",          "/",  "../x", deep,     large };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const enx_sandbox_file file = { names[i], "x", 1, false };
        enx_sandbox_task       task = task_of(argv);
        enx_sandbox_result     result;
        enx_report             report = { 0 };
        task.files = &file;
        task.file_count = 1;
        assert_int_equal(enx_sandbox_run(sandbox, &task, &result, &report), ENX_INVALID);
        assert_non_null(strstr(report.text, "file 1"));
    }
    const enx_sandbox_file        twice[] = { { "x", "x", 1, false }, { "x", "y", 1, false } };
    const enx_sandbox_file        inside[] = { { "x", "x", 1, false }, { "x/y", "y", 1, false } };
    const enx_sandbox_file *const pairs[] = { twice, inside };
    for (int i = 0; i < 2; i++) {
        enx_sandbox_task   task = task_of(argv);
        enx_sandbox_result result;
        task.files = pairs[i];
        task.file_count = 2;
        assert_int_equal(enx_sandbox_run(sandbox, &task, &result, NULL), ENX_INVALID);
    }
}

static void bad_limits_are_refused(void **state)
{
    (void)state;
    const char *const  argv[] = { "/usr/bin/true", NULL };
    enx_sandbox_limits bad[8];
    for (int i = 0; i < 8; i++) bad[i] = enx_sandbox_limits_default();
    bad[0].cpu_us = 0;
    bad[1].wall_us = ENX_SANDBOX_TIME_US_MAX + 1;
    bad[2].memory_bytes = 0;
    bad[3].processes = 0;
    bad[4].processes = ENX_SANDBOX_PROCESSES_MAX + 1;
    bad[5].open_files = 0;
    bad[6].disk_bytes = UINT64_MAX;
    bad[7].file_bytes = 0;
    for (int i = 0; i < 8; i++) {
        enx_sandbox_task   task = task_of(argv);
        enx_sandbox_result result;
        enx_report         report = { 0 };
        task.limits = bad[i];
        assert_int_equal(enx_sandbox_run(sandbox, &task, &result, &report), ENX_INVALID);
        assert_non_null(strstr(report.text, "limit"));
    }
}

static void too_many_words_are_refused(void **state)
{
    (void)state;
    const char        *words[ENX_SANDBOX_ARGUMENTS_MAX + 2] = { NULL };
    enx_sandbox_task   task = task_of(words);
    enx_sandbox_result result;
    for (int i = 0; i <= ENX_SANDBOX_ARGUMENTS_MAX; i++) words[i] = "/usr/bin/true";
    assert_int_equal(enx_sandbox_run(sandbox, &task, &result, NULL), ENX_INVALID);
    words[ENX_SANDBOX_ARGUMENTS_MAX] = NULL;
    assert_int_equal(enx_sandbox_run(sandbox, &task, &result, NULL), ENX_OK);
    enx_sandbox_result_deinit(&result);
    task.env = words;
    assert_int_equal(enx_sandbox_run(sandbox, &task, &result, NULL), ENX_INVALID);
}

static void too_much_input_is_a_limit(void **state)
{
    (void)state;
    const char *const      argv[] = { "/usr/bin/true", NULL };
    static char            bytes[1 << 20];
    const enx_sandbox_file files[] = { { "a/b", bytes, sizeof bytes, false },
                                       { "c", "c", 1, false } };
    enx_sandbox_task       task = task_of(argv);
    enx_sandbox_result     result;
    const size_t           fds = count_fds();
    task.files = files;
    task.file_count = 2;
    task.limits.disk_bytes = 1 << 18;
    assert_int_equal(enx_sandbox_run(sandbox, &task, &result, NULL), ENX_LIMIT);
    task.limits = enx_sandbox_limits_default();
    task.limits.files = 2; /* a, a/b and c are three */
    assert_int_equal(enx_sandbox_run(sandbox, &task, &result, NULL), ENX_LIMIT);
    assert_int_equal(count_fds(), fds);
}

static void missing_programs_are_named(void **state)
{
    (void)state;
    const char *const      none[] = { "/usr/bin/no-such-program", NULL };
    const char *const      text[] = { "./text", NULL };
    const enx_sandbox_file file = { "text", "neither program nor script", 26, true };
    enx_sandbox_task       task = task_of(none);
    enx_sandbox_result     result;
    enx_report             report = { 0 };
    assert_int_equal(enx_sandbox_run(sandbox, &task, &result, &report), ENX_NOTFOUND);
    assert_non_null(strstr(report.text, "/usr/bin/no-such-program"));
    task.argv = text;
    task.files = &file;
    task.file_count = 1;
    assert_int_equal(enx_sandbox_run(sandbox, &task, &result, &report), ENX_INVALID);
}

static void missing_bubblewrap_is_named(void **state)
{
    (void)state;
    enx_sandbox *none = NULL;
    enx_report   report = { 0 };
    assert_int_equal(enx_sandbox_open(&none, "/no/such/bwrap", &report), ENX_UNSUPPORTED);
    assert_non_null(strstr(report.text, "package bubblewrap"));
    assert_null(none);
    /* one that is there and fails tells why */
    if (enx_sandbox_open(&none, "/usr/bin/false", &report) != ENX_OK) fail();
    assert_int_equal(enx_sandbox_probe(none, &report), ENX_UNSUPPORTED);
    assert_non_null(strstr(report.text, "without a word"));
    enx_sandbox_close(&none);
    assert_null(none);
}

static bool write_text(pid_t pid, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    const int  fd = open(path, O_WRONLY);
    const bool is_written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return is_written;
}

/* 0: the probe named the setting. */
static int probe_without_namespaces(int ready_fd, int go_fd)
{
    enx_report report = { 0 };
    char       byte = 0;
    if (unshare(CLONE_NEWUSER) != 0 || write(ready_fd, &byte, 1) != 1 || read(go_fd, &byte, 1) != 1)
        return 77;
    if (!write_text(1, "../sys/user/max_user_namespaces", "0")) return 77;
    const enx_status got = enx_sandbox_probe(sandbox, &report);
    printf("%s\n", report.text);
    fflush(stdout);
    return got == ENX_UNSUPPORTED && strstr(report.text, "user.max_user_namespaces") ? 0 : 1;
}

/* In a user namespace of its own that may not have any below it. */
static void forbidden_namespaces_are_named(void **state)
{
    (void)state;
    if (geteuid() != 0) skip();
    int  status, ready[2], go[2];
    char byte = 0;
    assert_int_equal(pipe(ready) || pipe(go), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        close(ready[0]);
        close(go[1]);
        _exit(probe_without_namespaces(ready[1], go[0]));
    }
    close(ready[1]);
    close(go[0]);
    const bool is_mapped = read(ready[0], &byte, 1) == 1 &&
                           write_text(pid, "uid_map", "0 0 100000") &&
                           write_text(pid, "gid_map", "0 0 100000") && write(go[1], &byte, 1) == 1;
    close(ready[0]);
    close(go[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!is_mapped) skip();
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- Stopping ------------------------------------------------------------------------------- */

static bool is_set(void *user) { return atomic_load((atomic_bool *)user); }

static void *set_soon(void *user)
{
    usleep(100000);
    atomic_store((atomic_bool *)user, true);
    return NULL;
}

static void another_thread_stops_a_run(void **state)
{
    (void)state;
    const char *const  argv[] = { "/bin/sh", "-c", "sleep 61.25 & sleep 61.25", NULL };
    atomic_bool        flag = false;
    enx_sandbox_task   task = task_of(argv);
    enx_sandbox_result result;
    pthread_t          thread;
    const uint64_t     start_us = enx_clock_monotonic_us();
    const size_t       fds = count_fds();
    task.should_stop = is_set;
    task.user = &flag;
    assert_int_equal(pthread_create(&thread, NULL, set_soon, &flag), 0);
    assert_int_equal(enx_sandbox_run(sandbox, &task, &result, NULL), ENX_CANCELED);
    pthread_join(thread, NULL);
    assert_true(enx_clock_monotonic_us() - start_us < 3000000);
    assert_int_equal(count_processes("61.25"), 0);
    assert_int_equal(count_fds(), fds);
    /* before it has started, too */
    assert_int_equal(enx_sandbox_run(sandbox, &task, &result, NULL), ENX_CANCELED);
    assert_int_equal(count_processes("61.25"), 0);
}

static void our_death_ends_a_run(void **state)
{
    (void)state;
    const pid_t pid = fork();
    if (pid == 0) {
        const char *const  argv[] = { "/bin/sh", "-c", "sleep 62.25 & sleep 62.25", NULL };
        enx_sandbox_task   task = task_of(argv);
        enx_sandbox_result result;
        _exit(enx_sandbox_run(sandbox, &task, &result, NULL) == ENX_OK);
    }
    size_t count = 0;
    for (int i = 0; i < 1000 && count < 3; i++) {
        count = count_processes("62.25");
        usleep(10000);
    }
    assert_true(count >= 3);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 500 && count_processes("62.25") > 0; i++) usleep(10000);
    assert_int_equal(count_processes("62.25"), 0);
}

/* What our death leaves is an empty group; the next to open a sandbox removes it. */
static void groups_of_the_dead_are_swept(void **state)
{
    (void)state;
    enx_group_home     home;
    enx_group          group;
    enx_sandbox_limits limits = enx_sandbox_limits_default();
    enx_group_home_open(&home, "/sys/fs/cgroup");
    if (home.version == 0) {
        enx_group_home_close(&home);
        skip();
    }
    const pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_true(enx_group_open(&group, &home, pid, &limits));
    assert_int_equal(enx_group_met(&group), ENX_SANDBOX_LIMIT_NONE);
    char name[sizeof group.name];
    memcpy(name, group.name, sizeof name);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < ENX_GROUP_FOLDERS; i++) close(group.fds[i]); /* as death does */
    assert_int_equal(faccessat(home.fds[0], name, F_OK, 0), 0);
    enx_group_home_close(&home);
    enx_group_home_open(&home, "/sys/fs/cgroup");
    assert_int_equal(faccessat(home.fds[0], name, F_OK, 0), -1);
    enx_group_home_close(&home);
    enx_group_home_open(&home, "/nowhere");
    assert_int_equal(home.version, 0);
    assert_false(enx_group_open(&group, &home, getpid(), &limits));
    enx_group_home_close(&home);
}

/* Version 2 bounds memory and files together, and processes, where this host lets us make groups.
 */
static void groups_of_version_2_bound_a_run(void **state)
{
    (void)state;
    enx_group_home home;
    enx_group_home_open(&home, "/sys/fs/cgroup");
    const int version = home.version;
    enx_group_home_close(&home);
    if (version != 2) {
        print_message("left out: no cgroups of version 2 with memory and pids may be made here "
                      "(found: %s)\n",
                      version ? "version 1" : "none");
        skip();
    }
    const char *const  argv[] = { "/usr/bin/python3", "-c", "x = b'a' * (1 << 30)", NULL };
    enx_sandbox_task   task = task_of(argv);
    enx_sandbox_result r;
    task.limits.memory_bytes = 64 << 20;
    task.is_sparse_address = true; /* no limit but the group's and the looks' */
    assert_int_equal(enx_sandbox_run(sandbox, &task, &r, NULL), ENX_OK);
    assert_int_equal(r.limit, ENX_SANDBOX_LIMIT_MEMORY);
    const uint64_t most = task.limits.memory_bytes + task.limits.disk_bytes + (64 << 20);
    assert_true(r.memory_peak_bytes < most);
    enx_sandbox_result_deinit(&r);
}

enum { THREADS = 6, GROWTH_BYTES_MAX = 4 << 20 };

static int runs_each = 5; /* of a thread; the soak asks for more */

static size_t resident_bytes(void)
{
    unsigned long all = 0, resident = 0;
    FILE         *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%lu %lu", &all, &resident) != 2) resident = 0;
    if (f) fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void *run_many(void *user)
{
    char text[64], want[64];
    snprintf(text, sizeof text, "sleep 0.0%d; echo %p; cat", (int)((uintptr_t)user % 7), user);
    snprintf(want, sizeof want, "%p\nin", user);
    for (int i = 0; i < runs_each; i++) {
        const char *const  argv[] = { "/bin/sh", "-c", text, NULL };
        enx_sandbox_task   task = task_of(argv);
        enx_sandbox_result r;
        task.stdin_bytes = "in";
        task.stdin_size_bytes = 2;
        if (enx_sandbox_run(sandbox, &task, &r, NULL) != ENX_OK) return user;
        const bool is_right = strcmp(enx_buf_text(&r.out), want) == 0;
        enx_sandbox_result_deinit(&r);
        if (!is_right) return user;
    }
    return NULL;
}

static void runs_of_many_threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t    threads[THREADS];
    const size_t fds = count_fds(), bytes = resident_bytes();
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(count_fds(), fds);
    if (runs_each > 50) assert_true(resident_bytes() < bytes + GROWTH_BYTES_MAX);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const char *const      argv[] = { "/bin/sh", "-c", "echo x; echo y >&2; echo z > z", NULL };
    const enx_sandbox_file file = { "f", "f", 1, false };
    const size_t           fds = count_fds();
    enx_status             status = ENX_NOMEM;
    for (long n = 0; n < 20 && status != ENX_OK; n++) {
        enx_sandbox_task   task = task_of(argv);
        enx_sandbox_result result;
        task.files = &file;
        task.file_count = 1;
        task.is_collecting = true;
        enx_mem_fail_after(n);
        status = enx_sandbox_run(sandbox, &task, &result, NULL);
        enx_mem_fail_after(-1);
        if (status == ENX_OK) enx_sandbox_result_deinit(&result);
        else assert_int_equal(status, ENX_NOMEM);
        assert_int_equal(count_fds(), fds);
    }
    assert_int_equal(status, ENX_OK);
    enx_sandbox *none = NULL;
    enx_mem_fail_after(0);
    assert_int_equal(enx_sandbox_open(&none, NULL, NULL), ENX_NOMEM);
    enx_mem_fail_after(-1);
}

/* ---- Languages ------------------------------------------------------------------------------ */

static enx_sandbox_result run_program(const char *language, const char *text, bool is_sanitized,
                                      enx_program_step want)
{
    const char *const  arguments[] = { "one", NULL };
    const bool         takes_words = strcmp(language, "sql") && strcmp(language, "html");
    const enx_program  program = { .language = enx_language_find(language),
                                   .text = text,
                                   .size_bytes = strlen(text),
                                   .is_sanitized = is_sanitized,
                                   .arguments = takes_words ? arguments : NULL };
    enx_sandbox_task   task = { .stdin_bytes = "41\n",
                                .stdin_size_bytes = 3,
                                .limits = enx_sandbox_limits_default() };
    enx_sandbox_result result;
    enx_program_step   step;
    enx_report         report = { 0 };
    if (enx_language_check(program.language, &report) != ENX_OK) {
        print_message("skipped: %s\n", report.text);
        skip();
    }
    if (enx_program_run(sandbox, &program, &task, &result, &step, &report) != ENX_OK)
        fail_msg("%s", report.text);
    assert_int_equal(step, want);
    return result;
}

static void expect_42(const char *language, const char *text)
{
    enx_sandbox_result r = run_program(language, text, false, ENX_PROGRAM_RUN);
    print_message("%s", enx_buf_text(&r.err));
    assert_string_equal(enx_buf_text(&r.out), "42\n");
    assert_int_equal(r.exit_code, 0);
    enx_sandbox_result_deinit(&r);
}

static void c_runs(void **state)
{
    (void)state;
    expect_42("c", "#include <math.h>\n#include <stdio.h>\nint main(int n, char **v)\n{\n  int i;\n"
                   "  if (n != 2 || v[1][0] != 'o' || scanf(\"%d\", &i) != 1) return 1;\n"
                   "  printf(\"%.0f\\n\", floor(i + 1.5));\n}\n");
}

static void python_runs(void **state)
{
    (void)state;
    expect_42("python", "import sys\nassert sys.argv[1:] == ['one']\nprint(int(input()) + 1)\n");
}

static void js_runs(void **state)
{
    (void)state;
    expect_42("js", "if (process.argv[2] !== 'one') process.exit(1);\n"
                    "console.log(+require('fs').readFileSync(0, 'utf8') + 1)\n");
}

static void sh_runs(void **state)
{
    (void)state;
    expect_42("sh", "[ \"$1\" = one ] && read x && echo $((x + 1))\n");
}

/* Where there is a browser. */
static void pages_run(void **state)
{
    (void)state;
    if (enx_language_check(enx_language_find("html"), NULL) != ENX_OK) {
        print_message("left out: no Chromium\n");
        skip();
    }
    enx_sandbox_result r =
        run_program("html",
                    "<p id=p></p><script>p.textContent = 6 * 7; console.log('told');"
                    "fetch('http://127.0.0.1/').catch(() => console.log('no network'))"
                    "</script>",
                    false, ENX_PROGRAM_RUN);
    assert_int_equal(r.exit_code, 0);
    assert_non_null(strstr(enx_buf_text(&r.out), ">42<"));
    assert_non_null(strstr(enx_buf_text(&r.err), "\"told\""));
    assert_non_null(strstr(enx_buf_text(&r.err), "\"no network\""));
    enx_sandbox_result_deinit(&r);
}

static void sql_runs(void **state)
{
    (void)state;
    expect_42("sql", "create table t(x);\ninsert into t values (41);\nselect x + 1 from t;\n");
}

static void programs_that_do_not_compile_say_so(void **state)
{
    (void)state;
    enx_sandbox_result r =
        run_program("c", "int main(void) { return x; }", false, ENX_PROGRAM_COMPILE);
    assert_int_equal(r.exit_code, 1);
    assert_non_null(strstr(enx_buf_text(&r.err), "main.c:1:25: error:"));
    enx_sandbox_result_deinit(&r);
}

static void sanitizers_find_what_runs_well(void **state)
{
    (void)state;
    const char        *text = "#include <stdlib.h>\nint main(int n, char **v)\n{ (void)v;\n"
                              "  char *x = malloc(n);\n  x[8 * n] = 1;\n  return x[0];\n}\n";
    enx_sandbox_result r = run_program("c", text, true, ENX_PROGRAM_RUN);
    assert_int_equal(r.exit_code, 99);
    assert_non_null(strstr(enx_buf_text(&r.err), "heap-buffer-overflow"));
    enx_sandbox_result_deinit(&r);
    r = run_program("c", "int main(int n, char **v) { (void)v; return 2147483647 + n == 0; }", true,
                    ENX_PROGRAM_RUN);
    assert_int_equal(r.exit_code, 99);
    assert_non_null(strstr(enx_buf_text(&r.err), "signed integer overflow"));
    enx_sandbox_result_deinit(&r);
}

static void missing_toolchains_are_named(void **state)
{
    (void)state;
    const enx_language gone = { "java", "java",       "Main.java", "/usr/bin/no-javac",
                                NULL,   "default-jdk" };
    enx_report         report = { 0 };
    assert_int_equal(enx_language_check(&gone, &report), ENX_NOTFOUND);
    assert_non_null(strstr(report.text, "/usr/bin/no-javac"));
    assert_non_null(strstr(report.text, "package default-jdk"));
}

static void languages_are_found_by_name_and_file(void **state)
{
    (void)state;
    assert_string_equal(enx_language_find("python")->name, "python");
    assert_string_equal(enx_language_find("py")->name, "python");
    assert_null(enx_language_find("cobol"));
    assert_string_equal(enx_language_of_file("a.b/x.y.js")->name, "js");
    assert_null(enx_language_of_file("a.js/x"));
    assert_null(enx_language_of_file("c"));
}

static void every_limit_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < ENX_SANDBOX_LIMIT_COUNT; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(enx_sandbox_limit_text(i), enx_sandbox_limit_text(k));
}

/* 77 tells meson that the test was skipped. */
/* With a number: only so many runs, side by side. */
int main(int argc, char **argv)
{
    const struct CMUnitTest many[] = { cmocka_unit_test(runs_of_many_threads_do_not_mix) };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_exit_code_come_back),
        cmocka_unit_test(exit_codes_and_signals_are_told_apart),
        cmocka_unit_test(input_and_environment_go_in),
        cmocka_unit_test(large_input_passes_through),
        cmocka_unit_test(files_go_in_and_changed_ones_come_out),
        cmocka_unit_test(runs_do_not_see_each_other),
        cmocka_unit_test(times_and_memory_are_measured),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(bad_limits_are_refused),
        cmocka_unit_test(too_many_words_are_refused),
        cmocka_unit_test(too_much_input_is_a_limit),
        cmocka_unit_test(missing_programs_are_named),
        cmocka_unit_test(missing_bubblewrap_is_named),
        cmocka_unit_test(forbidden_namespaces_are_named),
        cmocka_unit_test(another_thread_stops_a_run),
        cmocka_unit_test(our_death_ends_a_run),
        cmocka_unit_test(groups_of_the_dead_are_swept),
        cmocka_unit_test(groups_of_version_2_bound_a_run),
        cmocka_unit_test(runs_of_many_threads_do_not_mix),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(c_runs),
        cmocka_unit_test(python_runs),
        cmocka_unit_test(js_runs),
        cmocka_unit_test(sh_runs),
        cmocka_unit_test(sql_runs),
        cmocka_unit_test(pages_run),
        cmocka_unit_test(programs_that_do_not_compile_say_so),
        cmocka_unit_test(sanitizers_find_what_runs_well),
        cmocka_unit_test(missing_toolchains_are_named),
        cmocka_unit_test(languages_are_found_by_name_and_file),
        cmocka_unit_test(every_limit_has_a_name),
    };
    enx_report report = { 0 };
    enx_status status = enx_sandbox_open(&sandbox, NULL, &report);
    if (status == ENX_OK) status = enx_sandbox_probe(sandbox, &report);
    if (status != ENX_OK) {
        printf("skipped: %s\n", report.text);
        enx_sandbox_close(&sandbox);
        return status == ENX_UNSUPPORTED ? 77 : 1;
    }
    if (argc > 1) runs_each = (int)(strtol(argv[1], NULL, 10) / THREADS) + 1;
    const int code = argc > 1 ? cmocka_run_group_tests(many, NULL, NULL)
                              : cmocka_run_group_tests(tests, NULL, NULL);
    enx_sandbox_close(&sandbox);
    return code;
}
