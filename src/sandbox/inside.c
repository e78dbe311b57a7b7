/* SPDX-License-Identifier: Apache-2.0 */
/* inside.c - the first process inside a sandbox: starts the program, reaps, tells how it ended.
 *
 * A static program of its own, embedded in the sandbox and started by bubblewrap as process 1 of
 * the new namespace.  When it ends the kernel kills all that is left there, so it ends
 *     1. when the program has ended, after killing and reaping what the program left behind;
 *     2. when the other end of the control socket closes, whatever the reason.
 * The program cannot touch it: signals from inside do not reach process 1, and it cannot be traced
 * or read, since it is not dumpable.
 *
 * Without namespaces (WIRE_WEAK_NAME) it is no process 1, but the one to which orphans go, so that
 * all processes of the run stay its descendants; it ends when it has killed and reaped them, and it
 * is out of the program's reach by Landlock, or by a filter that refuses signals.
 */
#include "sandbox/confine.h"
#include "sandbox/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FAILED = 125 }; /* exit status; nobody reads it but people who trace */

typedef struct go_message {
    enx_wire_go        go;
    struct sock_filter filter[WIRE_FILTER_MAX];
} go_message;

static int send_ready(bool is_weak)
{
    static const char *const strong[] = WIRE_FOLDERS, *const weak[] = WIRE_WEAK_FOLDERS;
    const char *const *folders = is_weak ? weak : strong;
    enx_wire_ready     ready = { .version = WIRE_VERSION };
    union {
        struct cmsghdr header;
        char           bytes[CMSG_SPACE(sizeof(int) * WIRE_FOLDER_COUNT)];
    } control = { 0 };
    int           fds[WIRE_FOLDER_COUNT];
    struct iovec  part = { &ready, sizeof ready };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    for (int i = 0; i < WIRE_FOLDER_COUNT; i++) {
        fds[i] = open(folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fds[i] < 0) return -1;
    }
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(header), fds, sizeof fds);
    const int is_sent = sendmsg(WIRE_CONTROL_FD, &message, MSG_NOSIGNAL) == sizeof ready;
    for (int i = 0; i < WIRE_FOLDER_COUNT; i++) close(fds[i]);
    return is_sent ? 0 : -1;
}

static int receive_go(go_message *out)
{
    const ssize_t size = recv(WIRE_CONTROL_FD, out, sizeof *out, 0);
    if (size < (ssize_t)sizeof out->go || out->go.filter_count > WIRE_FILTER_MAX) return -1;
    const size_t want = sizeof out->go + out->go.filter_count * sizeof *out->filter;
    return (size_t)size == want ? 0 : -1;
}

static int set_limit(int resource, uint64_t soft, uint64_t hard)
{
    const struct rlimit limit = { .rlim_cur = soft, .rlim_max = hard };
    return setrlimit((__rlimit_resource_t)resource, &limit);
}

static int set_limits(const enx_wire_go *go)
{
    return set_limit(RLIMIT_CPU, go->cpu_s, go->cpu_s + 1) ||
           set_limit(RLIMIT_DATA, go->data_bytes, go->data_bytes) ||
           set_limit(RLIMIT_STACK, go->stack_bytes, go->stack_bytes) ||
           set_limit(RLIMIT_FSIZE, go->file_bytes, go->file_bytes) ||
           set_limit(RLIMIT_NOFILE, go->open_files, go->open_files) ||
           set_limit(RLIMIT_NPROC, go->processes, go->processes) ||
           set_limit(RLIMIT_AS, go->address_bytes, go->address_bytes) ||
           set_limit(RLIMIT_SIGPENDING, go->signals, go->signals) || /* timers, too */
           set_limit(RLIMIT_MEMLOCK, 0, 0) || set_limit(RLIMIT_MSGQUEUE, 0, 0);
}

/* Out of reach of the terminal and of signals to our group; gone when we are. */
static int leave_us(int landlock)
{
    if (!landlock) return 0;
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return -1;
    return enx_confine(landlock, ".", WIRE_WEAK_TMP);
}

/* In the child.  What goes wrong is written to `error_fd`, which closes by itself on success. */
static _Noreturn void start_program(go_message *message, char **argv, int error_fd)
{
    const struct sigaction plain = { .sa_handler = SIG_DFL };
    sigset_t               none;
    struct sock_fprog      program = { .len = (unsigned short)message->go.filter_count,
                                       .filter = message->filter };
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++) sigaction(number, &plain, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (message->go.is_steady) personality(ADDR_NO_RANDOMIZE);
    if (set_limits(&message->go) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        leave_us(message->go.landlock) == 0 &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        execv(argv[0], argv);
    const int error = errno;
    if (write(error_fd, &error, sizeof error) != sizeof error) _exit(FAILED + 1);
    _exit(FAILED);
}

/* Returns the program's process, or -1. */
static pid_t fork_program(go_message *message, char **argv, int *error)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return -1;
    const pid_t pid = fork();
    if (pid == 0) start_program(message, argv, fds[1]);
    close(fds[1]);
    if (read(fds[0], error, sizeof *error) != sizeof *error) *error = 0;
    close(fds[0]);
    return pid;
}

/* Reap until `program` has ended.  -1: the outside is gone. */
static int wait_for(pid_t program, int child_fd, int *wait_status)
{
    struct pollfd polls[] = { { .fd = child_fd, .events = POLLIN },
                              { .fd = WIRE_CONTROL_FD, .events = POLLIN } };
    for (;;) {
        struct signalfd_siginfo ignored;
        int                     status;
        pid_t                   pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == program) {
                *wait_status = status;
                return 0;
            }
        if (poll(polls, 2, -1) < 0 && errno != EINTR) return -1;
        if (polls[1].revents) return -1;
        if (polls[0].revents && read(child_fd, &ignored, sizeof ignored) < 0) return -1;
    }
}

static uint64_t to_us(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

/* Without a PID namespace: those that are ours now; what they leave becomes ours when they die. */
static void kill_children(void)
{
    char          text[4096], *at = text;
    const int     fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[size > 0 ? size : 0] = '\0';
    char *last = strrchr(text, ' '); /* follows every number; behind it one may have been cut */
    if (last) *last = '\0';
    for (long pid; (pid = strtol(at, &at, 10)) > 0;) kill((pid_t)pid, SIGKILL);
}

/* After the program's end nothing may run on: its children are killed, reaped and counted. */
static uint32_t end_all(bool is_weak, pid_t program, int *wait_status)
{
    const struct timespec moment = { .tv_nsec = 200000 };
    uint32_t              count = 0;
    if (!is_weak) kill(-1, SIGKILL);
    for (;;) {
        int status;
        if (is_weak) kill_children();
        const pid_t pid = waitpid(-1, &status, is_weak ? WNOHANG : 0);
        if (pid < 0 && errno != EINTR) return count;
        if (pid == 0) nanosleep(&moment, NULL);
        if (pid == program) *wait_status = status;
        if (pid > 0) count++;
    }
}

static int send_end(int wait_status, int error, uint32_t left_count)
{
    struct rusage used;
    if (getrusage(RUSAGE_CHILDREN, &used) != 0) return -1;
    const enx_wire_end end = { .wait_status = wait_status,
                               .exec_error = error,
                               .left_count = left_count,
                               .cpu_user_us = to_us(used.ru_utime),
                               .cpu_system_us = to_us(used.ru_stime),
                               .rss_max_bytes = (uint64_t)used.ru_maxrss * 1024u };
    return send(WIRE_CONTROL_FD, &end, sizeof end, MSG_NOSIGNAL) == sizeof end ? 0 : -1;
}

/* The end of the outside ends us by a signal, or, where others would live on, by its socket. */
static int bind_to_outside(bool is_weak)
{
    return is_weak ? prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) : prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int main(int argc, char **argv)
{
    static go_message message;
    sigset_t          children;
    int               wait_status = 0, error = 0;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    const bool is_weak = argc > 0 && strcmp(argv[0], WIRE_WEAK_NAME) == 0;
    if (argc < 2 || prctl(PR_SET_DUMPABLE, 0) != 0 || bind_to_outside(is_weak) != 0 ||
        close_range(WIRE_INIT_FD, ~0u, 0) != 0 ||
        fcntl(WIRE_CONTROL_FD, F_SETFD, FD_CLOEXEC) != 0 ||
        sigprocmask(SIG_BLOCK, &children, NULL) != 0)
        return FAILED;
    const int child_fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    if (child_fd < 0 || send_ready(is_weak) != 0 || receive_go(&message) != 0) return FAILED;
    const pid_t program = fork_program(&message, argv + 1, &error);
    /* Of the pipes only the program's own copies may keep them open. */
    close_range(STDIN_FILENO, STDERR_FILENO, 0);
    if (program < 0) return FAILED;
    if (wait_for(program, child_fd, &wait_status) != 0 && !is_weak) return FAILED;
    const uint32_t left_count = end_all(is_weak, program, &wait_status);
    return send_end(wait_status, error, left_count) == 0 ? 0 : FAILED;
}
