/* SPDX-License-Identifier: Apache-2.0 */
/* spawn.c - bubblewrap as a child of the calling thread.
 *
 * The process may be large and have many threads, so the child is made by vfork: it shares our
 * memory until it is another program.  Until then it makes plain system calls only.  In particular
 * it must not use libc's setresuid and its like, which change all threads, and these are ours.
 */
#include "sandbox/sandbox_impl.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ARGUMENTS_MAX = 128 + ENX_SANDBOX_ARGUMENTS_MAX,
    ENV_MAX = 8 + ENX_SANDBOX_ENV_MAX,
    HIGH_FD = 16, /* above those that the child gets */
    CHILD_FDS = WIRE_INIT_FD + 1,
};

/* clang-format off */
static const char *const fixed[] = {
    "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
    "--unshare-cgroup", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox",
    "--die-with-parent", "--new-session", "--as-pid-1", "--ro-bind", "/usr", "/usr",
    "--ro-bind-try", "/etc/alternatives", "/etc/alternatives", "--proc", "/proc",
    "--symlink", "urandom", "/dev/random", "--symlink", "/proc/self/fd", "/dev/fd",
    "--symlink", "/proc/self/fd/0", "/dev/stdin", "--symlink", "/proc/self/fd/1", "/dev/stdout",
    "--symlink", "/proc/self/fd/2", "/dev/stderr", NULL
};
static const char *const last[] = {
    "--remount-ro", "/", "--chdir", "/work", "--", "/proc/self/fd/4", NULL
};
/* clang-format on */

typedef struct arguments {
    const char *items[ARGUMENTS_MAX];
    size_t      count;
    char        disk[24]; /* the size of a file system, as text */
} arguments;

static void push(arguments *a, const char *word)
{
    ENX_CHECK(a->count + 1 < ARGUMENTS_MAX);
    a->items[a->count++] = word;
}

static void push_all(arguments *a, const char *const *words)
{
    for (; *words; words++) push(a, *words);
}

/* /bin and its like are links into /usr on today's systems, folders on older ones. */
static void push_system_folders(arguments *a)
{
    static const char *const folders[][2] = {
        { "usr/bin", "/bin" },     { "usr/sbin", "/sbin" },   { "usr/lib", "/lib" },
        { "usr/lib32", "/lib32" }, { "usr/lib64", "/lib64" }, { "usr/libx32", "/libx32" },
    };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct stat facts;
        if (lstat(folders[i][1], &facts) != 0) continue;
        const bool is_link = S_ISLNK(facts.st_mode);
        push(a, is_link ? "--symlink" : "--ro-bind");
        push(a, folders[i][is_link ? 0 : 1]);
        push(a, folders[i][1]);
    }
}

/* Later mounts lie on earlier ones; / becomes read-only when all is in place.  Bubblewrap's own
 * --dev has terminals, too, which nobody needs here and which take a second user namespace.  Every
 * mount costs a fifth of a millisecond. */
static void build_arguments(arguments *a, const char *bwrap, const enx_sandbox_task *task)
{
    static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/urandom" };
    static const char *const writable[] = WIRE_FOLDERS;
    _Static_assert(WIRE_INIT_FD == 4, "the path above");
    a->count = 0;
    push(a, bwrap);
    push_all(a, fixed);
    push_system_folders(a);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        push(a, "--dev-bind");
        push(a, devices[i]);
        push(a, devices[i]);
    }
    snprintf(a->disk, sizeof a->disk, "%llu", (unsigned long long)task->limits.disk_bytes);
    for (int i = 0; i < WIRE_WRITABLE_COUNT; i++) {
        push(a, "--size");
        push(a, a->disk);
        push(a, "--tmpfs");
        push(a, writable[i]);
    }
    push_all(a, last);
    push_all(a, task->argv);
    a->items[a->count] = NULL;
}

/* The same names where there are no namespaces to give /work and /tmp. */
typedef struct place_words {
    char work[ENX_PLACE_PATH_MAX + 8], home[ENX_PLACE_PATH_MAX + 16], tmp[ENX_PLACE_PATH_MAX + 16];
} place_words;

static void build_place_words(place_words *words, const enx_place *place)
{
    snprintf(words->work, sizeof words->work, "%s/" ENX_PLACE_WORK, place->path);
    snprintf(words->home, sizeof words->home, "HOME=%s", words->work);
    snprintf(words->tmp, sizeof words->tmp, "TMPDIR=%s/" ENX_PLACE_TMP, place->path);
}

static void build_weak_arguments(arguments *a, const enx_sandbox_task *task)
{
    a->count = 0;
    push(a, WIRE_WEAK_NAME);
    push_all(a, task->argv);
    a->items[a->count] = NULL;
}

static void build_env(const char *out[ENV_MAX], const char *home, const char *tmp,
                      const enx_sandbox_task *task)
{
    const char *const always[] = { "PATH=/usr/local/bin:/usr/bin:/bin", home, tmp, "LANG=C.UTF-8",
                                   "USER=user" };
    size_t            count = 0;
    for (; count < sizeof always / sizeof *always; count++) out[count] = always[count];
    for (const char *const *own = task->env; own && *own; own++) {
        ENX_CHECK(count + 1 < ENV_MAX);
        out[count++] = *own;
    }
    out[count] = NULL;
}

/* What the child needs, ready before there is a child. */
typedef struct child {
    arguments   arguments;
    const char *folder; /* to start in, without bubblewrap; NULL */
    const char *env[ENV_MAX];
    int         fds[CHILD_FDS]; /* that become 0, 1, 2, ... */
    bool        is_root;
    sigset_t    mask;  /* to go back to */
    int         error; /* errno; written by the child into our memory */
} child;

static void become_nobody(child *c)
{
    if (syscall(SYS_setgroups, 0, NULL) != 0 ||
        syscall(SYS_setresgid, SANDBOX_USER_ID, SANDBOX_USER_ID, SANDBOX_USER_ID) != 0 ||
        syscall(SYS_setresuid, SANDBOX_USER_ID, SANDBOX_USER_ID, SANDBOX_USER_ID) != 0)
        c->error = errno;
}

/* A limit of 1 says to the kernel: no dump, and not to a program of the host either. */
static void become_bwrap(child *c)
{
    const struct rlimit core = { .rlim_cur = 1, .rlim_max = 1 };
    int                 high[CHILD_FDS];
    setpgid(0, 0); /* a Ctrl-C at the terminal is ours to handle */
    for (int i = 0; i < CHILD_FDS; i++) high[i] = fcntl(c->fds[i], F_DUPFD, HIGH_FD);
    for (int i = 0; i < CHILD_FDS; i++)
        if (high[i] < 0 || dup2(high[i], i) < 0) c->error = errno;
    if (!c->error && (setrlimit(RLIMIT_CORE, &core) != 0 || close_range(CHILD_FDS, ~0u, 0) != 0))
        c->error = errno;
    if (!c->error && c->is_root) become_nobody(c);
    if (c->error) return;
    union {
        const char *const *ours;
        char *const       *execs;
    } argv = { .ours = c->arguments.items }, env = { .ours = c->env };
    sigprocmask(SIG_SETMASK, &c->mask, NULL);
    if (!c->folder) execve(c->arguments.items[0], argv.execs, env.execs);
    else if (chdir(c->folder) == 0)
        execveat(WIRE_INIT_FD, "", argv.execs, env.execs, AT_EMPTY_PATH);
    c->error = errno;
}

static pid_t start_child(child *c)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &c->mask); /* no handler of ours may run in the child */
    const pid_t pid = vfork();
    if (pid == 0) {
        become_bwrap(c);
        _exit(127);
    }
    const int error = errno;
    pthread_sigmask(SIG_SETMASK, &c->mask, NULL);
    if (pid < 0) c->error = error;
    return pid;
}

enum { PIPE_IN, PIPE_OUT, PIPE_ERR, CONTROL, PAIRS };

static void close_all(int pairs[PAIRS][2])
{
    for (int i = 0; i < PAIRS; i++)
        for (int side = 0; side < 2; side++)
            if (pairs[i][side] >= 0) close(pairs[i][side]);
}

static int open_all(int pairs[PAIRS][2])
{
    const int yes = 1;
    for (int i = PIPE_IN; i <= PIPE_ERR; i++)
        if (pipe2(pairs[i], O_CLOEXEC) != 0) return -1;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pairs[CONTROL]) != 0 ||
                   setsockopt(pairs[CONTROL][0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0 ||
                   fcntl(pairs[PIPE_IN][1], F_SETFL, O_NONBLOCK) != 0 ||
                   fcntl(pairs[PIPE_OUT][0], F_SETFL, O_NONBLOCK) != 0 ||
                   fcntl(pairs[PIPE_ERR][0], F_SETFL, O_NONBLOCK) != 0
               ? -1
               : 0;
}

static enx_status fail_start(const child *c, enx_report *report)
{
    if (c->error == EINVAL && c->is_root)
        return ENX_FAIL(report, UNSUPPORTED,
                        "root here cannot become user %d, which has no place in this user "
                        "namespace; run as another user",
                        SANDBOX_USER_ID);
    return ENX_FAIL(report, UNSUPPORTED, "cannot start %s: %s", c->arguments.items[0],
                    strerror(c->error));
}

enx_status enx_spawn(enx_spawned *out, const char *bwrap, int init_fd, const enx_place *place,
                     const enx_sandbox_task *task, enx_report *report)
{
    place_words words = { .home = "HOME=/work", .tmp = "TMPDIR=/tmp" };
    int         pairs[PAIRS][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
    child       c = { .is_root = geteuid() == 0 };
    if (open_all(pairs) != 0) {
        const int error = errno;
        close_all(pairs);
        return ENX_FAIL(report, IO, "cannot make pipes for the sandbox: %s", strerror(error));
    }
    if (place) {
        build_place_words(&words, place);
        build_weak_arguments(&c.arguments, task);
        c.folder = words.work;
    } else build_arguments(&c.arguments, bwrap, task);
    build_env(c.env, words.home, words.tmp, task);
    c.fds[STDIN_FILENO] = pairs[PIPE_IN][0];
    c.fds[STDOUT_FILENO] = pairs[PIPE_OUT][1];
    c.fds[STDERR_FILENO] = pairs[PIPE_ERR][1];
    c.fds[WIRE_CONTROL_FD] = pairs[CONTROL][1];
    c.fds[WIRE_INIT_FD] = init_fd;
    const pid_t pid = start_child(&c);
    if (pid < 0 || c.error) {
        if (pid > 0) waitpid(pid, NULL, 0);
        close_all(pairs);
        return fail_start(&c, report);
    }
    close(pairs[PIPE_IN][0]);
    close(pairs[PIPE_OUT][1]);
    close(pairs[PIPE_ERR][1]);
    close(pairs[CONTROL][1]);
    *out = (enx_spawned){ .pid = pid,
                          .stdin_fd = pairs[PIPE_IN][1],
                          .stdout_fd = pairs[PIPE_OUT][0],
                          .stderr_fd = pairs[PIPE_ERR][0],
                          .control_fd = pairs[CONTROL][0] };
    return ENX_OK;
}

void enx_spawned_close(enx_spawned *spawned)
{
    int *const fds[] = { &spawned->stdin_fd, &spawned->stdout_fd, &spawned->stderr_fd,
                         &spawned->control_fd };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (*fds[i] >= 0) close(*fds[i]);
        *fds[i] = -1;
    }
}

static bool says(const char *path, const char *value)
{
    char      text[16] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    return size > 0 && text[strcspn(text, "\n")] == '\n' &&
           strncmp(text, value, strcspn(text, "\n")) == 0 && strlen(value) == strcspn(text, "\n");
}

const char *enx_spawn_hint(void)
{
    if (says("/proc/sys/kernel/unprivileged_userns_clone", "0"))
        return "user namespaces are off: sysctl kernel.unprivileged_userns_clone=1";
    if (says("/proc/sys/user/max_user_namespaces", "0"))
        return "user namespaces are off: sysctl user.max_user_namespaces=10000";
    if (says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"))
        return "AppArmor keeps user namespaces away: give bwrap a profile that allows them, or "
               "sysctl kernel.apparmor_restrict_unprivileged_userns=0";
    return "in a container: let it make namespaces and mount /proc";
}
