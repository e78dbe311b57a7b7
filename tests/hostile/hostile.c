/* SPDX-License-Identifier: Apache-2.0 */
/* hostile.c - every hostile program in the sandbox: contained, told why, and nothing left.
 *
 *     hostile TRICKS [--nobody] [--weak LANDLOCK] [--rounds N]
 *
 * TRICKS is the program of tricks.c.  --nobody: give root away first.
 * --weak: without namespaces, by this version of Landlock at most (0: the kernel's), what that mode
 * promises to contain.  After each program the host
 * is looked at: canaries, mounts, descriptors, processes, our own memory.
 */
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "sandbox/confine.h"
#include "sandbox/language.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

enum { MIB = 1 << 20, MORE_MEMORY_MAX = 20 * MIB, SECRET_BYTES = 6 };

/* A set of limits, as bits. */
#define BIT(limit) (1u << ENX_SANDBOX_LIMIT_##limit)
#define NONE       BIT(NONE)

typedef struct hostile {
    const char *name;
    unsigned    limits;    /* one of these is to be told */
    int         exit_code; /* -1: by a signal; -2: either */
    int         signal;    /* 0: any, where exit_code is -1 */
} hostile;

/* What a closed door looks like: killed at it, or refused. */
#define DEADLY(name)                   \
    {                                  \
        name, BIT(SYSCALL), -1, SIGSYS \
    }
#define HELD(name)       \
    {                    \
        name, NONE, 0, 0 \
    }
#define STOPPED(name, limit)          \
    {                                 \
        name, BIT(limit), -1, SIGKILL \
    }

static const hostile all[] = {
    STOPPED("fork_bomb", PROCESSES),
    STOPPED("fork_doubling", PROCESSES),
    STOPPED("thread_bomb", PROCESSES),
    STOPPED("zombies", PROCESSES),
    { "exec_forever", BIT(CPU) | BIT(WALL), -1, SIGKILL },
    HELD("daemon_stays"),
    HELD("orphan_keeps_stdout"),
    STOPPED("stop_itself", WALL),
    STOPPED("loop", CPU),
    STOPPED("loop_deaf", CPU),
    STOPPED("loop_many", CPU),
    { "loop_uncounted", BIT(CPU) | BIT(WALL), -1, SIGKILL },
    STOPPED("loop_with_odd_name", CPU),
    STOPPED("sleep_forever", WALL),
    HELD("kill_all"),
    HELD("kill_init"),
    HELD("kill_parent_number"),
    { "kill_group", NONE, -1, SIGTERM },
    { "kill_itself", NONE, -1, SIGKILL },
    HELD("read_init"),
    HELD("limit_init"),
    HELD("raise_limits"),
    HELD("hurry"),
    HELD("timer_flood"),
    HELD("inotify_flood"),
    STOPPED("memory_hog", MEMORY),
    STOPPED("shared_memory_hog", MEMORY),
    STOPPED("hidden_memory_hog", MEMORY),
    STOPPED("memory_hogs", MEMORY),
    HELD("shared_by_many"),
    HELD("reserve"),
    { "map_flood", NONE | BIT(CPU), -2, 0 },
    HELD("page_table_hog"),
    HELD("lock_memory"),
    HELD("memory_files"),
    HELD("old_ipc"),
    { "stack_hog", NONE, -1, SIGSEGV },
    { "pipe_hog", BIT(OPEN_FILES), 0, 0 },
    { "socket_hog", BIT(OPEN_FILES), 0, 0 },
    STOPPED("disk_hog", DISK),
    STOPPED("tmp_hog", DISK),
    STOPPED("shm_hog", DISK),
    STOPPED("disk_hog_in_parts", DISK),
    STOPPED("unlinked_hog", DISK),
    { "large_file", BIT(FILE_SIZE), -1, SIGXFSZ },
    { "large_file_deaf", BIT(FILE_SIZE), 0, 0 },
    { "sparse_file", BIT(FILE_SIZE), -1, SIGXFSZ },
    HELD("sparse_files"),
    STOPPED("many_files", FILES),
    STOPPED("many_links", FILES),
    STOPPED("deep_folders", FILES),
    HELD("deep_but_few"),
    HELD("out_pipes"),
    HELD("out_links"),
    HELD("out_devices"),
    HELD("out_hard_links"),
    HELD("out_names"),
    HELD("out_many"),
    HELD("out_closed"),
    HELD("out_setuid"),
    STOPPED("stdout_flood", STDOUT),
    STOPPED("stderr_flood", STDERR),
    STOPPED("close_everything", WALL),
    { "dup_flood", BIT(OPEN_FILES), 0, 0 },
    HELD("deaf_to_stdin"),
    HELD("all_bytes"),
    { "exit_255", NONE, 255, 0 },
    { "exit_139", NONE, 139, 0 },
    { "crash", NONE, -1, SIGSEGV },
    { "dump_core", NONE, -1, SIGABRT },
    DEADLY("door_mount"),
    DEADLY("door_umount"),
    DEADLY("door_pivot"),
    DEADLY("door_chroot"),
    DEADLY("door_fsopen"),
    DEADLY("door_unshare"),
    DEADLY("door_setns"),
    DEADLY("door_bpf"),
    DEADLY("door_perf"),
    DEADLY("door_userfaultfd"),
    DEADLY("door_keyctl"),
    DEADLY("door_add_key"),
    HELD("door_uring"),
    DEADLY("door_kexec"),
    DEADLY("door_module"),
    DEADLY("door_reboot"),
    DEADLY("door_hostname"),
    DEADLY("door_time"),
    DEADLY("door_handle"),
    DEADLY("door_swap"),
    DEADLY("door_acct"),
    DEADLY("door_quota"),
    DEADLY("door_log"),
    DEADLY("door_fanotify"),
    DEADLY("door_ptrace"),
    DEADLY("door_memory_of_others"),
    DEADLY("door_kcmp"),
    HELD("door_clone3"),
    DEADLY("door_clone"),
    DEADLY("door_typing"),
    DEADLY("door_typing_high"),
#ifdef __x86_64__
    DEADLY("door_ports"),
    DEADLY("door_32_bit"),
#endif
    HELD("odd_personality"),
    HELD("drop_filter"),
    HELD("become_root"),
    HELD("take_capabilities"),
    HELD("own_status"),
    HELD("run_setuid"),
    HELD("preload"),
    HELD("read_secrets"),
    HELD("walk_up"),
    HELD("write_system"),
    HELD("write_canary"),
    HELD("look_for_others"),
    HELD("write_proc"),
    HELD("use_devices"),
    HELD("read_environment"),
    HELD("read_descriptors"),
    HELD("list_processes"),
    HELD("read_host_name"),
    HELD("net_inet"),
    HELD("net_raw"),
    HELD("net_packet"),
    HELD("net_netlink"),
    HELD("net_others"),
    HELD("net_high_bits"),
    HELD("net_names"),
    HELD("net_abstract"),
    HELD("net_unix"),
};

/* What the weaker mode does not promise (docs/sandbox.md) or has another answer to; or what it
 * answers so from a version of Landlock on. */
#define SEEN   "processes, host name and names of files are the host's to be seen"
#define SLOW   "the host's disk may take longer than the program has"
#define SIGNAL "before Landlock 6 whatever sends a signal is refused"
static const struct {
    const char *name, *why;
    int         landlock; /* 0: none */
} strong_only[] = {
    { "own_status", "the bounding set of capabilities is left; none can be raised", 0 },
    { "node_child", "it has no user number of its own", 0 },
    { "list_processes", SEEN, 0 },
    { "read_host_name", SEEN, 0 },
    { "read_secrets", SEEN, 0 },
    { "shm_hog", "there is no /dev/shm to fill", 0 },
    { "disk_hog_in_parts", "there is no /dev/shm to fill", 0 },
    { "unlinked_hog", "a file without a name is not seen by a look at the disk", 0 },
    { "deep_but_few", "folders more than 64 deep stop a run", 0 },
    { "out_many", SLOW, 0 },
    { "inotify_flood", SLOW, 0 },
    { "out_pipes", "sockets with names are refused", 0 },
    { "out_closed", "chmod is refused", 0 },
    { "stop_itself", SIGNAL, 6 },
    { "kill_group", SIGNAL, 6 },
    { "kill_itself", SIGNAL, 6 },
    { "dump_core", SIGNAL, 6 },
};

/* The same in the languages that models write, and what only they can do. */
typedef struct script {
    const char *name, *language, *text;
    unsigned    limits;
    int         exit_code; /* -2: any but 0; -3: any */
} script;

static const script scripts[] = {
    { "python_bomb", "python",
      "import os, time\nfor i in range(300):\n  if os.fork() == 0: time.sleep(20)\n",
      BIT(PROCESSES), -3 },
    { "python_hog", "python",
      "x = [bytearray(1 << 20) for i in range(256)]\nimport time\n"
      "time.sleep(20)\n",
      BIT(MEMORY), -3 },
    { "python_big_number", "python", "print(len(str(9 ** (9 ** 9))))",
      BIT(CPU) | BIT(WALL) | BIT(MEMORY), -3 },
    { "python_network", "python",
      "import urllib.request\nurllib.request.urlopen('http://example.org')", NONE, 1 },
    { "python_ctypes", "python",
      "import ctypes\nctypes.CDLL(None).syscall(165, b'none', b'/nowhere', b'tmpfs', 0, None)\n"
      "ctypes.CDLL(None).mount(b'none', b'/nowhere', b'tmpfs', 0, None)\n",
      BIT(SYSCALL), -1 },
    { "python_zip_bomb", "python",
      "import zlib\nz = zlib.compress(bytes(64 << 20))\nf = open('bomb', 'wb')\n"
      "while True: f.write(zlib.decompress(z))\n",
      BIT(FILE_SIZE) | BIT(MEMORY) | BIT(DISK), -3 },
    { "python_secret", "python", "print(open('/etc/shadow').read())", NONE, 1 },
    { "node_loop", "js", "for (;;);", BIT(CPU), -3 },
    { "node_hog", "js",
      "const a = []; for (let i = 0; i < 256; i++) a.push(Buffer.alloc(1 << 20, 1));"
      "setTimeout(() => {}, 20000)",
      BIT(MEMORY), -3 },
    { "node_child", "js",
      "const r = require('child_process').spawnSync('/bin/sh', ['-c', 'id -u']);"
      "process.exit(r.stdout + '' == '1000\\n' ? 0 : 1)",
      NONE, 0 },
    { "node_network", "js", "require('net').connect(80, '127.0.0.1')", NONE, -2 },
    { "sh_bomb", "sh",
      "f() { [ $1 = 0 ] || { f $(($1 - 1)) & f $(($1 - 1)) & }; sleep 20; }\nf 8\n",
      NONE | BIT(PROCESSES) | BIT(WALL), -3 }, /* dash gives up when it cannot fork */
    { "sh_trap", "sh", "trap '' TERM INT HUP\nwhile :; do :; done\n", BIT(CPU), -3 },
    { "sh_fill", "sh", "while :; do cat /usr/bin/sh >> $TMPDIR/x$((n = n + 1)); done\n",
      BIT(DISK) | BIT(FILES), -3 },
    { "sh_link", "sh", "mkdir in; ln -s /etc in/etc; cat in/etc/shadow /proc/1/environ; ls /root\n",
      NONE, 2 },
    { "sh_background", "sh", "(sleep 20; echo late) & nohup sleep 20 & echo now\n", NONE, 0 },
    { "sql_endless", "sql",
      "with recursive n(i) as (select 1 union all select i + 1 from n) "
      "select count(*) from n;",
      BIT(CPU), -3 },
    { "sql_shell", "sql",
      ".shell id -u > /tmp/x; ls /root /home\n.open /etc/shadow\n"
      "create table x(y);\n",
      NONE, -3 },
    { "sql_hog", "sql", "select length(zeroblob(1000000000) || 'x');", NONE | BIT(MEMORY), -3 },
    { "c_include_device", "c", "#include \"/dev/zero\"\nint main(void) { return 0; }\n",
      NONE | BIT(MEMORY) | BIT(CPU), -3 },
    { "c_include_secret", "c", "#include \"/etc/shadow\"\nint main(void) { return 0; }\n", NONE,
      1 },
    { "c_large_object", "c", "char x[4000000000] = { 1 };\nint main(void) { return x[0]; }\n",
      BIT(FILE_SIZE) | BIT(MEMORY) | BIT(CPU) | NONE, -3 },
    { "c_overflow", "c",
      "#include <stdlib.h>\nint main(int n, char **v) { (void)v; char *x = "
      "malloc(n); x[n * 8] = 1; return x[0]; }\n",
      NONE, 99 },
};

/* ---- The host ------------------------------------------------------------------------------- */

static struct {
    enx_sandbox *sandbox;
    enx_buf      tricks; /* the program */
    char         folder[64], pid[16], socket[64];
    int          listener, leaked_fd;
    size_t       mounts, descriptors;
    int          weak; /* Landlock's version at most; -1: not weak */
    uint64_t     rss_bytes;
} host;

static volatile sig_atomic_t signal_count;

static void count_signal(int number)
{
    (void)number;
    signal_count++;
}

static size_t count_entries(const char *path)
{
    DIR   *folder = opendir(path);
    size_t count = 0;
    while (folder && readdir(folder)) count++;
    if (folder) closedir(folder);
    return count;
}

static size_t count_lines(const char *path)
{
    FILE  *file = fopen(path, "r");
    size_t count = 0;
    for (int c; file && (c = getc(file)) != EOF;) count += c == '\n';
    if (file) fclose(file);
    return count;
}

/* Processes of ours or of the sandbox's, by the name of the canaries in their arguments. */
static size_t count_left_behind(void)
{
    DIR   *folder = opendir("/proc");
    size_t count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        char path[300], text[4096];
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        if ((pid_t)strtol(entry->d_name, NULL, 10) == getpid()) continue;
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        const size_t size = fread(text, 1, sizeof text, file);
        count += memmem(text, size, host.folder, strlen(host.folder)) != NULL;
        fclose(file);
    }
    if (folder) closedir(folder);
    return count;
}

static void assert_host_unharmed(void)
{
    char  path[100], text[16] = "";
    FILE *file;
    snprintf(path, sizeof path, "%s/secret", host.folder);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text, file), SECRET_BYTES);
    assert_memory_equal(text, "secret", SECRET_BYTES);
    fclose(file);
    assert_int_equal(signal_count, 0);
    assert_int_equal(accept(host.listener, NULL, NULL), -1); /* nobody came */
    assert_false(enx_file_exists("/tmp/enxame-hostile-left-behind"));
    assert_int_equal(count_lines("/proc/self/mountinfo"), host.mounts);
    assert_int_equal(count_entries("/proc/self/fd"), host.descriptors);
    assert_int_equal(count_left_behind(), 0);
}

/* ---- One program ---------------------------------------------------------------------------- */

static enx_sandbox_limits small_limits(unsigned expected)
{
    enx_sandbox_limits limits = enx_sandbox_limits_default();
    limits.cpu_us = 250000;
    limits.wall_us = 4000000; /* this machine may be busy */
    if (expected & BIT(WALL)) limits.wall_us = 500000;
    limits.memory_bytes = 64 * MIB;
    limits.disk_bytes = 24 * MIB;
    limits.file_bytes = 8 * MIB;
    limits.files = 2000;
    limits.processes = 32;
    limits.open_files = 64;
    limits.stdout_bytes = limits.stderr_bytes = MIB;
    limits.out_bytes = MIB;
    return limits;
}

static void print_result(const char *name, const enx_sandbox_result *r)
{
    print_message(
        "%-22s exit %d signal %d limit %s%s, %.1f ms + %.1f, %.1f MiB, %zu files, %u left "
        "out\n",
        name, r->exit_code, r->signal, enx_sandbox_limit_text(r->limit),
        r->is_stopped ? " (stopped)" : "", (double)r->wall_us * 1e-3, (double)r->overhead_us * 1e-3,
        (double)r->memory_peak_bytes / MIB, r->file_count, r->files_left_out);
    if (r->err.size_bytes && r->err.size_bytes < 2000) print_message("%s\n", enx_buf_text(&r->err));
}

static void check_files(const enx_sandbox_result *r)
{
    uint64_t bytes = 0;
    assert_true(r->file_count <= ENX_SANDBOX_FILES_MAX);
    for (size_t i = 0; i < r->file_count; i++) {
        const char *name = r->files[i].name;
        bytes += r->files[i].size_bytes;
        assert_true(name[0] != '/' && strcmp(name, "..") != 0 && !strstr(name, "/../") &&
                    strncmp(name, "../", 3) != 0);
        assert_null(memmem(r->files[i].bytes, r->files[i].size_bytes, "root:", 5));
    }
    assert_true(bytes <= MIB);
}

/* What only some of them leave. */
static void check_special(const char *name, const enx_sandbox_result *r)
{
    if (strcmp(name, "all_bytes") == 0) {
        assert_int_equal(r->out.size_bytes, 256);
        for (int i = 0; i < 256; i++) assert_int_equal((unsigned char)r->out.data[i], i);
    }
    if (strcmp(name, "out_names") == 0) assert_int_equal(r->file_count, 10);
    if (strcmp(name, "out_links") == 0) assert_int_equal(r->files_left_out, 6);
    if (strcmp(name, "out_pipes") == 0) assert_int_equal(r->files_left_out, 2);
    if (strcmp(name, "sparse_files") == 0) assert_int_equal(r->files_left_out, 200);
    if (strcmp(name, "out_many") == 0) assert_true(r->files_left_out > 0);
    if (strcmp(name, "stdout_flood") == 0) assert_int_equal(r->out.size_bytes, MIB);
    if (strcmp(name, "dump_core") == 0) assert_int_equal(r->file_count, 0);
    if (strcmp(name, "orphan_keeps_stdout") == 0) assert_true(r->wall_us < 2000000);
}

static void check_result(const char *name, const enx_sandbox_result *r, unsigned limits)
{
    print_result(name, r);
    assert_null(memmem(enx_buf_text(&r->out), r->out.size_bytes, "ESCAPED", 7));
    /* Files on a disk cost more time than files in memory. */
    if (host.weak >= 0 && (limits & BIT(FILES))) limits |= BIT(CPU) | BIT(WALL);
    assert_true((1u << r->limit) & limits);
    assert_true(r->wall_us < 6000000);
    check_files(r);
    check_special(name, r);
}

/* Why the weaker mode is not asked for this; NULL: it is. */
static const char *why_skipped(const char *name)
{
    if (host.weak < 0) return NULL;
    const int landlock = enx_confine_abi();
    const int version = host.weak > 0 && host.weak < landlock ? host.weak : landlock;
    for (size_t i = 0; i < sizeof strong_only / sizeof *strong_only; i++)
        if (strcmp(strong_only[i].name, name) == 0 &&
            (strong_only[i].landlock == 0 || version < strong_only[i].landlock))
            return strong_only[i].why;
    return NULL;
}

static void skip_what_weak_has_not(const char *name)
{
    const char *why = why_skipped(name);
    if (!why) return;
    print_message("%-22s skipped: %s\n", name, why);
    skip();
}

static void hostile_is_contained(void **state)
{
    const hostile *h = *state;
    skip_what_weak_has_not(h->name);
    const char *const argv[] = { "./tricks", h->name, host.folder, host.pid, host.socket, NULL };
    const enx_sandbox_file   file = { "tricks", enx_buf_text(&host.tricks), host.tricks.size_bytes,
                                      true };
    static char              much[4 * MIB];
    static const char *const weak_env[] = { "ENXAME_WEAK=1", NULL };
    const enx_sandbox_task   task = { .argv = argv,
                                      .env = host.weak < 0 ? NULL : weak_env,
                                      .files = &file,
                                      .file_count = 1,
                                      .stdin_bytes = much,
                                      .stdin_size_bytes = sizeof much,
                                      .limits = small_limits(h->limits),
                                      .is_collecting = true };
    enx_sandbox_result       r;
    enx_report               report = { 0 };
    const enx_status         status = enx_sandbox_run(host.sandbox, &task, &r, &report);
    if (status != ENX_OK) fail_msg("%s", report.text);
    check_result(h->name, &r, h->limits);
    if (h->exit_code != -2) assert_int_equal(r.exit_code, h->exit_code);
    if (h->exit_code == -1) assert_int_equal(r.signal, h->signal);
    enx_sandbox_result_deinit(&r);
    assert_host_unharmed();
}

static void script_is_contained(void **state)
{
    const script *s = *state;
    skip_what_weak_has_not(s->name);
    const enx_language *language = enx_language_find(s->language);
    enx_report          report = { 0 };
    enx_sandbox_result  r;
    enx_program_step    step;
    enx_sandbox_task    task = { .limits = small_limits(0), .is_collecting = true };
    const enx_program   program = {
          .language = language, .text = s->text, .size_bytes = strlen(s->text), .is_sanitized = true
    };
    if (enx_language_check(language, &report) != ENX_OK) {
        print_message("skipped: %s\n", report.text);
        skip();
    }
    task.limits.cpu_us = 1000000; /* node starts slowly */
    if (strcmp(s->language, "js") == 0) task.limits.memory_bytes = 128 * MIB;
    const enx_status status = enx_program_run(host.sandbox, &program, &task, &r, &step, &report);
    if (status != ENX_OK) fail_msg("%s", report.text);
    print_result(s->name, &r);
    const unsigned slow = host.weak >= 0 && s->limits != NONE ? BIT(CPU) | BIT(WALL) : 0;
    assert_true((1u << r.limit) & (s->limits | slow));
    if (s->exit_code == -2) assert_int_not_equal(r.exit_code, 0);
    else if (s->exit_code > -2) assert_int_equal(r.exit_code, s->exit_code);
    assert_null(memmem(enx_buf_text(&r.out), r.out.size_bytes, "root:", 5));
    enx_sandbox_result_deinit(&r);
    assert_host_unharmed();
}

/* Our own memory, after all of them. */
static void parent_stays_small(void **state)
{
    (void)state;
    const uint64_t more = enx_clock_rss_max_bytes() - host.rss_bytes;
    print_message("our memory: %.1f MiB more\n", (double)more / MIB);
    if (!IS_SANITIZED) assert_true(more <= MORE_MEMORY_MAX);
}

/* ---- Before and after ----------------------------------------------------------------------- */

static void make_canaries(void)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    char               path[100];
    snprintf(host.folder, sizeof host.folder, "/tmp/enxame-hostile-XXXXXX");
    assert_non_null(mkdtemp(host.folder));
    chmod(host.folder, 0777);
    snprintf(path, sizeof path, "%s/secret", host.folder);
    host.leaked_fd = open(path, O_RDWR | O_CREAT, 0666); /* not close-on-exec: it must not get in */
    assert_int_equal(write(host.leaked_fd, "secret", SECRET_BYTES), SECRET_BYTES);
    fchmod(host.leaked_fd, 0666);
    snprintf(host.socket, sizeof host.socket, "enxame-hostile-%d", (int)getpid());
    snprintf(host.pid, sizeof host.pid, "%d", (int)getpid());
    memcpy(name.sun_path + 1, host.socket, strlen(host.socket));
    host.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const socklen_t size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(host.socket));
    assert_int_equal(bind(host.listener, (struct sockaddr *)&name, size), 0);
    assert_int_equal(listen(host.listener, 1), 0);
    setenv("ENXAME_CANARY", "secret", 1);
    signal(SIGUSR1, count_signal);
}

static enx_status open_sandbox(enx_sandbox **out, enx_report *report)
{
    return host.weak < 0 ? enx_sandbox_open(out, NULL, report)
                         : enx_sandbox_open_weak(out, host.weak, report);
}

static int open_host(void **state)
{
    (void)state;
    enx_report report = { 0 };
    make_canaries();
    if (open_sandbox(&host.sandbox, &report) != ENX_OK) fail_msg("%s", report.text);
    host.mounts = count_lines("/proc/self/mountinfo");
    host.descriptors = count_entries("/proc/self/fd");
    host.rss_bytes = enx_clock_rss_max_bytes();
    return 0;
}

static int close_host(void **state)
{
    (void)state;
    char path[100];
    enx_sandbox_close(&host.sandbox);
    close(host.listener);
    close(host.leaked_fd);
    snprintf(path, sizeof path, "%s/secret", host.folder);
    unlink(path);
    return rmdir(host.folder);
}

/* 77 tells meson that the test was skipped. */
static int skip_code(void)
{
    enx_sandbox *sandbox = NULL;
    enx_report   report = { 0 };
    enx_status   status = open_sandbox(&sandbox, &report);
    if (status == ENX_OK) status = enx_sandbox_probe(sandbox, &report);
    enx_sandbox_close(&sandbox);
    if (status == ENX_OK) return 0;
    printf("skipped: %s\n", report.text);
    return status == ENX_UNSUPPORTED ? 77 : 1;
}

static int run_all(void)
{
    enum {
        HOSTILE_COUNT = sizeof all / sizeof *all,
        SCRIPT_COUNT = sizeof scripts / sizeof *scripts
    };
    static struct CMUnitTest tests[HOSTILE_COUNT + SCRIPT_COUNT + 1];
    size_t                   count = 0;
    union {
        const void *row;
        void       *state;
    } view;
    for (size_t i = 0; i < HOSTILE_COUNT; i++) {
        view.row = &all[i];
        tests[count++] =
            (struct CMUnitTest){ all[i].name, hostile_is_contained, NULL, NULL, view.state };
    }
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        view.row = &scripts[i];
        tests[count++] =
            (struct CMUnitTest){ scripts[i].name, script_is_contained, NULL, NULL, view.state };
    }
    tests[count++] =
        (struct CMUnitTest){ "parent_stays_small", parent_stays_small, NULL, NULL, NULL };
    return cmocka_run_group_tests(tests, open_host, close_host);
}

int main(int argc, char **argv)
{
    long rounds = 1;
    bool is_nobody = false;
    host.weak = -1;
    if (argc < 2) return 64;
    enx_buf_init(&host.tricks, 16 * MIB);
    if (enx_file_read(&host.tricks, argv[1], NULL) != ENX_OK) return 66;
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--nobody") == 0) is_nobody = true;
        else if (strcmp(argv[i], "--weak") == 0 && i + 1 < argc)
            host.weak = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = strtol(argv[++i], NULL, 10);
    if (is_nobody && geteuid() == 0 &&
        (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
        return 71;
    int code = skip_code();
    for (long round = 0; round < rounds && code == 0; round++) code = run_all();
    enx_buf_deinit(&host.tricks);
    return code;
}
