/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.c - a run from start to end.
 *
 *     1. bubblewrap makes the namespaces and starts process 1 (inside.c), which sends descriptors
 * of the folders and waits.  Nothing untrusted has run.
 *     2. The files are written, and `go` is sent with the limits and the filter.
 *     3. Until the streams and the control socket are closed: read, write, look, and kill process 1
 *        when a limit is passed; the kernel then kills all others of its namespace.
 *     4. bubblewrap is waited for; the file systems still exist because we hold their folders, and
 *        no process is left in them.  The files are read, the folders closed.
 *
 * Whatever happens to us in between, even SIGKILL, closes the control socket and is the death of
 * bubblewrap's parent; each alone ends the run.
 */
#include "sandbox/sandbox.h"

#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "sandbox/confine.h"
#include "sandbox/filter.h"
#include "sandbox/sandbox_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    START_US_MAX = 10 * 1000 * 1000, /* for bubblewrap to be ready */
    END_US_MAX = 10 * 1000 * 1000,   /* for killed processes to be gone */
    LOOK_US_MIN = 1000,
    LOOK_SHARE = 20,              /* looks take at most one part in so many of our time, ... */
    LOOK_REST_US_MAX = 50 * 1000, /* ... but a program that makes them slow is not left alone */
    STACK_BYTES = 8 << 20,
    MESSAGE_BYTES_MAX = 300, /* of bubblewrap's, in a report */
    READ_BYTES = 1 << 16,
    SIGNALS_MAX = 1024, /* that wait to be taken, and timers */
    PROCESSES_MORE = 8, /* and a quarter: so that a look sees that there are too many */
};
/* A process may have more addresses than memory: what it reserves and does not touch.  A run that
 * uses them is over its limit and seen so by a look. */
#define DATA_BYTES_MORE    ((uint64_t)256 << 20)
#define ADDRESS_BYTES_MORE ((uint64_t)4 << 30)

extern const char          enx_sandbox_init_program[];
extern const unsigned long enx_sandbox_init_program_bytes;

struct enx_sandbox {
    char           bwrap[PATH_MAX]; /* "" where it is weak */
    int            landlock;        /* version that confines a weak one; 0: not weak */
    int            init_fd;         /* process 1's program, in memory, for reading only */
    enx_buf        filter;
    enx_group_home groups;
};

/* ---- Words ---------------------------------------------------------------------------------- */

const char *enx_sandbox_limit_text(enx_sandbox_limit limit)
{
    static const char *const texts[] = {
#define X(name, text) [ENX_SANDBOX_LIMIT_##name] = text,
        ENX_SANDBOX_LIMIT_MAP(X)
#undef X
    };
    ENX_CHECK((size_t)limit < sizeof texts / sizeof *texts);
    return texts[limit];
}

enx_sandbox_limits enx_sandbox_limits_default(void)
{
    return (enx_sandbox_limits){ .cpu_us = 10 * 1000000,
                                 .wall_us = 20 * 1000000,
                                 .memory_bytes = 512u << 20,
                                 .file_bytes = 64u << 20,
                                 .disk_bytes = 128u << 20,
                                 .stdout_bytes = 1u << 20,
                                 .stderr_bytes = 1u << 20,
                                 .out_bytes = 8u << 20,
                                 .processes = 64,
                                 .files = 4096,
                                 .open_files = 128 };
}

static enx_status check_limits(const enx_sandbox_limits *l, enx_report *report)
{
    const struct {
        const char *name;
        uint64_t    value, min, max;
    } all[] = {
        { "processor time (us)", l->cpu_us, 1, ENX_SANDBOX_TIME_US_MAX },
        { "time (us)", l->wall_us, 1, ENX_SANDBOX_TIME_US_MAX },
        { "memory (bytes)", l->memory_bytes, 1 << 20, ENX_SANDBOX_BYTES_MAX },
        { "file size (bytes)", l->file_bytes, 1, ENX_SANDBOX_BYTES_MAX },
        { "disk (bytes)", l->disk_bytes, 1 << 16, ENX_SANDBOX_BYTES_MAX },
        { "stdout (bytes)", l->stdout_bytes, 0, ENX_SANDBOX_BYTES_MAX },
        { "stderr (bytes)", l->stderr_bytes, 0, ENX_SANDBOX_BYTES_MAX },
        { "files back (bytes)", l->out_bytes, 0, ENX_SANDBOX_BYTES_MAX },
        { "processes", l->processes, 1, ENX_SANDBOX_PROCESSES_MAX },
        { "files", l->files, 1, UINT32_MAX },
        { "open files", l->open_files, 4, ENX_SANDBOX_OPEN_FILES_MAX },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].value < all[i].min || all[i].value > all[i].max)
            return ENX_FAIL(report, INVALID, "sandbox limit of %s: %llu; from %llu to %llu",
                            all[i].name, (unsigned long long)all[i].value,
                            (unsigned long long)all[i].min, (unsigned long long)all[i].max);
    return ENX_OK;
}

static enx_status check_task(const enx_sandbox_task *task, enx_report *report)
{
    size_t count = 0, env_count = 0;
    ENX_CHECK(task->argv && task->argv[0]);
    while (task->argv[count]) count++;
    while (task->env && task->env[env_count]) env_count++;
    if (env_count > ENX_SANDBOX_ENV_MAX)
        return ENX_FAIL(report, INVALID, "%zu variables for a program in the sandbox; at most %d",
                        env_count, ENX_SANDBOX_ENV_MAX);
    if (count > ENX_SANDBOX_ARGUMENTS_MAX)
        return ENX_FAIL(report, INVALID, "%zu arguments for a program in the sandbox; at most %d",
                        count, ENX_SANDBOX_ARGUMENTS_MAX);
    ENX_TRY(check_limits(&task->limits, report));
    return enx_work_check(task->files, task->file_count, report);
}

/* ---- Open and close ------------------------------------------------------------------------- */

static enx_status find_bwrap(char out[PATH_MAX], const char *own, enx_report *report)
{
    const char *const places[] = { own ? own : "/usr/bin/bwrap", own ? own : "/usr/local/bin/bwrap",
                                   own ? own : "/bin/bwrap" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], X_OK) == 0) {
            snprintf(out, PATH_MAX, "%s", places[i]);
            return ENX_OK;
        }
    return ENX_FAIL(
        report, UNSUPPORTED,
        "%s is missing, which makes sandboxes; install the package bubblewrap, or ask for "
        "the weaker sandbox by --weak",
        places[0]);
}

/* A program that is open for writing cannot be started, so it is opened again. */
static enx_status write_init(int *out, enx_report *report)
{
    char      path[64];
    const int fd = memfd_create("sandbox-init", MFD_CLOEXEC);
    *out = -1;
    if (fd >= 0 && fchmod(fd, 0755) == 0 &&
        write(fd, enx_sandbox_init_program, enx_sandbox_init_program_bytes) ==
            (ssize_t)enx_sandbox_init_program_bytes) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        *out = open(path, O_RDONLY | O_CLOEXEC);
    }
    const int error = errno;
    if (fd >= 0) close(fd);
    if (*out < 0)
        return ENX_FAIL(report, UNSUPPORTED, "no file in memory for the sandbox: %s",
                        strerror(error));
    return ENX_OK;
}

static enx_status open_parts(enx_sandbox **out, const char *bwrap, int landlock, enx_report *report)
{
    enx_sandbox *s = ENX_MEM_NEW(enx_sandbox, 1);
    if (!s) return ENX_FAIL(report, NOMEM, "no memory for a sandbox");
    s->init_fd = -1;
    s->landlock = landlock;
    enx_buf_init(&s->filter, WIRE_FILTER_MAX * sizeof(struct sock_filter));
    enx_status status = landlock ? ENX_OK : find_bwrap(s->bwrap, bwrap, report);
    if (status == ENX_OK) status = enx_filter_build(&s->filter, landlock, report);
    if (status == ENX_OK) status = write_init(&s->init_fd, report);
    enx_group_home_open(&s->groups, "/sys/fs/cgroup");
    if (status == ENX_OK) *out = s;
    else enx_sandbox_close(&s);
    return status;
}

enx_status enx_sandbox_open(enx_sandbox **out, const char *bwrap, enx_report *report)
{
    ENX_CHECK(out);
    return open_parts(out, bwrap, 0, report);
}

enx_status enx_sandbox_open_weak(enx_sandbox **out, int landlock_max, enx_report *report)
{
    ENX_CHECK(out);
    const int abi = enx_confine_abi();
    if (abi == 0)
        return ENX_FAIL(report, UNSUPPORTED,
                        "the weaker sandbox needs Landlock, which this kernel has not or has "
                        "switched off; start it with landlock first in its parameter lsm=");
    if (access("/proc/thread-self/children", R_OK) != 0)
        return ENX_FAIL(report, UNSUPPORTED,
                        "the weaker sandbox needs /proc/PID/task/TID/children; mount /proc, on a "
                        "kernel with CONFIG_PROC_CHILDREN");
    return open_parts(out, NULL, landlock_max > 0 && landlock_max < abi ? landlock_max : abi,
                      report);
}

bool enx_sandbox_is_weak(const enx_sandbox *sandbox) { return sandbox->landlock != 0; }

void enx_sandbox_close(enx_sandbox **sandbox)
{
    enx_sandbox *s = *sandbox;
    if (!s) return;
    if (s->init_fd >= 0) close(s->init_fd);
    enx_group_home_close(&s->groups);
    enx_buf_deinit(&s->filter);
    enx_mem_free(s);
    *sandbox = NULL;
}

/* ---- One run -------------------------------------------------------------------------------- */

typedef struct run {
    const enx_sandbox      *sandbox;
    const enx_sandbox_task *task;
    enx_sandbox_result     *out;
    enx_report             *report;
    enx_spawned             spawned;
    int                     folders[WIRE_FOLDER_COUNT];
    int                     init_pidfd; /* process 1; -1: not known yet */
    pid_t                   init_pid;
    enx_group               group;
    enx_place               place; /* of a weak run */
    size_t                  stdin_at;
    enx_wire_end            end;
    bool                    has_end;
    bool                    is_killed, is_canceled;
    enx_sandbox_limit       met;                          /* by a look, without stopping it */
    uint64_t                start_us, killed_us, look_us; /* look_us: the next one's time */
    uint64_t                look_wait_us;
} run;

/* End all processes of the run. */
static void kill_run(run *r)
{
    if (r->is_killed) return;
    r->is_killed = true;
    r->killed_us = enx_clock_monotonic_us();
    /* A weak run's first process ends the others when the socket closes; it must live for that. */
    if (r->init_pidfd >= 0 && !r->sandbox->landlock)
        pidfd_send_signal(r->init_pidfd, SIGKILL, NULL, 0);
    else if (r->init_pidfd < 0) kill(r->spawned.pid, SIGKILL);
    shutdown(r->spawned.control_fd, SHUT_WR);
}

static void stop(run *r, enx_sandbox_limit limit)
{
    if (r->is_killed) return;
    r->out->limit = limit;
    r->out->is_stopped = true;
    kill_run(r);
}

static bool is_canceled(run *r)
{
    if (!r->is_canceled && r->task->should_stop && r->task->should_stop(r->task->user)) {
        r->is_canceled = true;
        kill_run(r);
    }
    return r->is_canceled;
}

/* What bubblewrap said, what may be the reason, and what there is instead for who asks for it. */
static enx_status fail_setup(run *r)
{
    char    text[MESSAGE_BYTES_MAX + 1] = "";
    ssize_t size = read(r->spawned.stderr_fd, text, MESSAGE_BYTES_MAX);
    text[size > 0 ? size : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127) *at = '?';
    const char *hint = enx_spawn_hint();
    return ENX_FAIL(r->report, UNSUPPORTED,
                    "this host gives no sandbox: %s; %s; or ask for the weaker one by --weak",
                    text[0] ? text : "bubblewrap ended without a word", hint);
}

/* The message with the folders and, from the kernel, the process that sent it. */
static bool receive_ready(run *r)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * WIRE_FOLDER_COUNT) + CMSG_SPACE(sizeof(struct ucred))];
    } control = { 0 };
    enx_wire_ready ready = { 0 };
    struct ucred   sender = { 0 };
    struct iovec   part = { &ready, sizeof ready };
    struct msghdr  message = { .msg_iov = &part, .msg_iovlen = 1 };
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    const ssize_t size = recvmsg(r->spawned.control_fd, &message, MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
        if (h->cmsg_level != SOL_SOCKET) continue;
        if (h->cmsg_type == SCM_RIGHTS && h->cmsg_len == CMSG_LEN(sizeof r->folders))
            memcpy(r->folders, CMSG_DATA(h), sizeof r->folders);
        if (h->cmsg_type == SCM_CREDENTIALS) memcpy(&sender, CMSG_DATA(h), sizeof sender);
    }
    if (size != sizeof ready || ready.version != WIRE_VERSION || r->folders[0] < 0) return false;
    r->init_pidfd = pidfd_open(sender.pid, 0);
    r->init_pid = sender.pid;
    return r->init_pidfd >= 0;
}

static enx_status wait_ready(run *r)
{
    const uint64_t deadline = enx_clock_monotonic_us() + START_US_MAX;
    struct pollfd  one = { .fd = r->spawned.control_fd, .events = POLLIN };
    while (enx_clock_monotonic_us() < deadline) {
        if (poll(&one, 1, ENX_SANDBOX_LOOK_MS_MAX) > 0)
            return receive_ready(r) ? ENX_OK : fail_setup(r);
    }
    return ENX_FAIL(r->report, UNSUPPORTED, "bubblewrap was not ready after %d s",
                    START_US_MAX / 1000000);
}

uint32_t enx_limit_processes(const enx_sandbox_limits *limits)
{
    return 1 + limits->processes + PROCESSES_MORE + limits->processes / 4;
}

static enx_wire_go go_of(const run *r)
{
    const enx_sandbox_limits *l = &r->task->limits;
    enx_wire_go               go = { 0 };
    go.cpu_s = (l->cpu_us + 999999) / 1000000;
    go.data_bytes = 2 * l->memory_bytes + DATA_BYTES_MORE;
    go.address_bytes = 2 * l->memory_bytes + ADDRESS_BYTES_MORE;
    if (r->task->is_sparse_address) go.data_bytes = go.address_bytes = RLIM_INFINITY;
    go.stack_bytes = STACK_BYTES;
    go.file_bytes = l->file_bytes;
    go.open_files = l->open_files;
    go.processes = enx_limit_processes(l);
    go.signals = SIGNALS_MAX;
    go.landlock = r->sandbox->landlock;
    if (go.landlock) /* counted by user, with what else the user runs */
        go.processes +=
            enx_watch_threads(r->folders[WIRE_PROC], geteuid() == 0 ? SANDBOX_USER_ID : geteuid());
    go.is_steady = r->task->is_sparse_address;
    go.filter_count = (uint32_t)(r->sandbox->filter.size_bytes / sizeof(struct sock_filter));
    return go;
}

static void look_at_run(const run *r, enx_look *look)
{
    const bool is_weak = r->sandbox->landlock != 0;
    enx_watch_look(r->folders, is_weak ? r->init_pid : 0, look);
    if (is_weak) enx_place_look(&r->place, look);
}

static enx_status send_go(run *r)
{
    const enx_sandbox_limits *l = &r->task->limits;
    enx_wire_go               go = go_of(r);
    enx_look                  look;
    const enx_buf            *filter = &r->sandbox->filter;
    struct iovec  parts[] = { { &go, sizeof go }, { filter->data, filter->size_bytes } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    ENX_TRY(enx_work_fill(r->folders[WIRE_WORK], r->task->files, r->task->file_count, r->report));
    look_at_run(r, &look);
    if (look.files > l->files || look.disk_bytes >= l->disk_bytes)
        return ENX_FAIL(r->report, LIMIT, "the files do not fit the sandbox's limits");
    (void)enx_group_open(&r->group, &r->sandbox->groups, r->init_pid, l);
    if (sendmsg(r->spawned.control_fd, &message, MSG_NOSIGNAL) < 0)
        return ENX_FAIL(r->report, IO, "the sandbox ended before the program: %s", strerror(errno));
    r->start_us = enx_clock_monotonic_us();
    r->look_wait_us = LOOK_US_MIN;
    r->look_us = r->start_us + LOOK_US_MIN;
    return ENX_OK;
}

/* ---- While it runs -------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* A program need not read its input; SIGPIPE is not for the thread that offers it. */
static ssize_t write_quietly(int fd, const void *bytes, size_t size_bytes)
{
    const struct timespec now = { 0 };
    sigset_t              quiet, before;
    sigemptyset(&quiet);
    sigaddset(&quiet, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &quiet, &before);
    const ssize_t size = write(fd, bytes, size_bytes);
    const int     error = errno;
    if (size < 0 && error == EPIPE && !sigismember(&before, SIGPIPE))
        sigtimedwait(&quiet, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return size;
}

static void write_stdin(run *r)
{
    const size_t left = r->task->stdin_size_bytes - r->stdin_at;
    const char  *bytes = r->task->stdin_bytes;
    ssize_t      size = 0;
    if (left) size = write_quietly(r->spawned.stdin_fd, bytes + r->stdin_at, left);
    if (size > 0) r->stdin_at += (size_t)size;
    if (r->stdin_at == r->task->stdin_size_bytes || (size < 0 && errno != EAGAIN && errno != EINTR))
        close_fd(&r->spawned.stdin_fd);
}

/* One part a call, so that a flood does not keep us from looking. */
static enx_status read_stream(run *r, int *fd, enx_buf *to, enx_sandbox_limit limit)
{
    char          bytes[READ_BYTES];
    const ssize_t size = read(*fd, bytes, sizeof bytes);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return ENX_OK;
    if (size <= 0) {
        close_fd(fd);
        return ENX_OK;
    }
    const size_t     room = to->max_bytes - to->size_bytes;
    const size_t     taken = (size_t)size < room ? (size_t)size : room;
    const enx_status status = taken ? enx_buf_append(to, bytes, taken) : ENX_OK;
    if (status != ENX_OK) return ENX_FAIL(r->report, NOMEM, "no memory for the program's output");
    if (taken < (size_t)size) stop(r, limit);
    return ENX_OK;
}

static void read_end(run *r)
{
    const ssize_t size = recv(r->spawned.control_fd, &r->end, sizeof r->end, 0);
    if (size < 0 && errno == EINTR) return;
    if (size == (ssize_t)sizeof r->end) r->has_end = true;
    close_fd(&r->spawned.control_fd);
}

static void judge(run *r, const enx_look *look)
{
    const enx_sandbox_limits *l = &r->task->limits;
    uint64_t                  memory = look->memory_bytes;
    if (memory > l->memory_bytes)
        memory = enx_watch_memory(r->folders[WIRE_PROC], r->sandbox->landlock ? r->init_pid : 0);
    if (memory > r->out->memory_peak_bytes) r->out->memory_peak_bytes = memory;
    if (memory > l->memory_bytes) stop(r, ENX_SANDBOX_LIMIT_MEMORY);
    else if (look->disk_bytes >= l->disk_bytes) stop(r, ENX_SANDBOX_LIMIT_DISK);
    else if (look->files > l->files) stop(r, ENX_SANDBOX_LIMIT_FILES);
    else if (look->processes > l->processes) stop(r, ENX_SANDBOX_LIMIT_PROCESSES);
    else if (look->cpu_us > l->cpu_us) stop(r, ENX_SANDBOX_LIMIT_CPU);
    else if (enx_group_met(&r->group)) stop(r, enx_group_met(&r->group));
    else if (look->open_files_max + 1 >= l->open_files) r->met = ENX_SANDBOX_LIMIT_OPEN_FILES;
}

/* Soon after the start, then less often; the more a look costs the rarer. */
static void look_when_due(run *r, uint64_t now_us)
{
    enx_look look;
    if (r->is_killed || now_us < r->look_us) return;
    look_at_run(r, &look);
    judge(r, &look);
    const uint64_t after_us = enx_clock_monotonic_us();
    uint64_t       rest_us = LOOK_SHARE * (after_us - now_us);
    if (rest_us > LOOK_REST_US_MAX) rest_us = LOOK_REST_US_MAX;
    if (r->look_wait_us < ENX_SANDBOX_LOOK_MS_MAX * 1000 / 2)
        r->look_wait_us += r->look_wait_us / 4;
    r->look_us = after_us + (rest_us > r->look_wait_us ? rest_us : r->look_wait_us);
}

/* How long to wait for something to happen, ms. */
static int next_wait_ms(const run *r, uint64_t now_us)
{
    const uint64_t deadline = r->start_us + r->task->limits.wall_us;
    uint64_t       next = r->look_us < deadline ? r->look_us : deadline;
    if (next < now_us) next = now_us;
    const uint64_t ms = (next - now_us + 999) / 1000;
    return ms < ENX_SANDBOX_LOOK_MS_MAX ? (int)ms : ENX_SANDBOX_LOOK_MS_MAX;
}

static enx_status serve(run *r, int wait_ms)
{
    struct pollfd polls[] = {
        { .fd = r->spawned.control_fd, .events = POLLIN },
        { .fd = r->spawned.stdout_fd, .events = POLLIN },
        { .fd = r->spawned.stderr_fd, .events = POLLIN },
        { .fd = r->spawned.stdin_fd, .events = POLLOUT },
    };
    if (poll(polls, 4, wait_ms) <= 0) return ENX_OK;
    if (polls[0].revents) read_end(r);
    if (polls[3].revents) write_stdin(r);
    if (polls[1].revents)
        ENX_TRY(read_stream(r, &r->spawned.stdout_fd, &r->out->out, ENX_SANDBOX_LIMIT_STDOUT));
    if (polls[2].revents)
        ENX_TRY(read_stream(r, &r->spawned.stderr_fd, &r->out->err, ENX_SANDBOX_LIMIT_STDERR));
    return ENX_OK;
}

static enx_status watch(run *r)
{
    const enx_spawned *s = &r->spawned;
    while (s->control_fd >= 0 || s->stdout_fd >= 0 || s->stderr_fd >= 0) {
        const uint64_t now_us = enx_clock_monotonic_us();
        if (r->is_killed && now_us - r->killed_us > END_US_MAX)
            return ENX_FAIL(r->report, IO, "the sandbox's processes did not end when killed");
        if (now_us - r->start_us >= r->task->limits.wall_us && s->control_fd >= 0)
            stop(r, ENX_SANDBOX_LIMIT_WALL);
        look_when_due(r, now_us);
        (void)is_canceled(r);
        ENX_TRY(serve(r, next_wait_ms(r, now_us)));
    }
    return ENX_OK;
}

/* ---- After the end -------------------------------------------------------------------------- */

static uint64_t to_us(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

/* Wait for bubblewrap, which waits for process 1.  What it counted is more than the program's. */
static void reap(run *r)
{
    struct rusage used;
    pid_t         pid;
    if (r->spawned.pid <= 0) return;
    do pid = wait4(r->spawned.pid, NULL, 0, &used);
    while (pid < 0 && errno == EINTR);
    r->spawned.pid = 0;
    if (r->has_end || pid <= 0) return;
    r->end.cpu_user_us = to_us(used.ru_utime);
    r->end.cpu_system_us = to_us(used.ru_stime);
}

/* A limit that the kernel answered to, with a signal or an error. */
static enx_sandbox_limit find_limit(const run *r, const enx_look *last, bool has_full_file)
{
    const enx_sandbox_limits *l = &r->task->limits;
    const int                 number = r->out->signal;
    const uint64_t            cpu_us = r->end.cpu_user_us + r->end.cpu_system_us;
    if (number == SIGXCPU || (number == SIGKILL && cpu_us >= l->cpu_us))
        return ENX_SANDBOX_LIMIT_CPU;
    if (number == SIGSYS) return ENX_SANDBOX_LIMIT_SYSCALL;
    if (number == SIGXFSZ || has_full_file) return ENX_SANDBOX_LIMIT_FILE_SIZE;
    if (r->out->memory_peak_bytes > l->memory_bytes) return ENX_SANDBOX_LIMIT_MEMORY;
    if (last->disk_bytes >= l->disk_bytes) return ENX_SANDBOX_LIMIT_DISK;
    if (last->files > l->files) return ENX_SANDBOX_LIMIT_FILES;
    if (cpu_us > l->cpu_us) return ENX_SANDBOX_LIMIT_CPU;
    if (r->end.left_count > l->processes) return ENX_SANDBOX_LIMIT_PROCESSES;
    return enx_group_met(&r->group) ? enx_group_met(&r->group) : r->met;
}

static enx_status fill_result(run *r)
{
    enx_sandbox_result *out = r->out;
    enx_look            last;
    bool                has_full_file = false;
    if (r->has_end && r->end.exec_error) {
        const enx_status status = r->end.exec_error == ENOENT ? ENX_NOTFOUND : ENX_INVALID;
        return enx_report_set(r->report, status, __FILE__, __LINE__,
                              "cannot start %s in the sandbox: %s", r->task->argv[0],
                              strerror(r->end.exec_error));
    }
    out->exit_code =
        r->has_end && WIFEXITED(r->end.wait_status) ? WEXITSTATUS(r->end.wait_status) : -1;
    out->signal = !r->has_end                       ? SIGKILL
                  : WIFSIGNALED(r->end.wait_status) ? WTERMSIG(r->end.wait_status)
                                                    : 0;
    out->cpu_user_us = r->end.cpu_user_us;
    out->cpu_system_us = r->end.cpu_system_us;
    if (r->end.rss_max_bytes > out->memory_peak_bytes)
        out->memory_peak_bytes = r->end.rss_max_bytes;
    ENX_TRY(enx_work_collect(r->folders[WIRE_WORK], r->task, out, &has_full_file, r->report));
    look_at_run(r, &last);
    out->landlock = r->sandbox->landlock;
    if (!out->is_stopped) out->limit = find_limit(r, &last, has_full_file);
    return ENX_OK;
}

static enx_status run_task(run *r)
{
    const enx_sandbox *s = r->sandbox;
    if (s->landlock) ENX_TRY(enx_place_open(&r->place, r->report));
    ENX_TRY(enx_spawn(&r->spawned, s->bwrap, s->init_fd, s->landlock ? &r->place : NULL, r->task,
                      r->report));
    ENX_TRY(wait_ready(r));
    ENX_TRY(send_go(r));
    ENX_TRY(watch(r));
    r->out->wall_us = enx_clock_monotonic_us() - r->start_us;
    reap(r);
    if (r->is_canceled) return ENX_FAIL(r->report, CANCELED, "the run was stopped on request");
    return fill_result(r);
}

enx_status enx_sandbox_run(const enx_sandbox *sandbox, const enx_sandbox_task *task,
                           enx_sandbox_result *out, enx_report *report)
{
    ENX_CHECK(sandbox && task && out);
    ENX_TRY(check_task(task, report));
    enx_sandbox_result result = { 0 };
    run                r = { .sandbox = sandbox, .task = task, .out = &result, .report = report };
    const uint64_t     begin_us = enx_clock_monotonic_us();
    r.init_pidfd = -1;
    r.spawned = (enx_spawned){ 0, -1, -1, -1, -1 };
    r.group = (enx_group){ .fds = { -1, -1 } };
    r.place.fd = -1;
    for (int i = 0; i < WIRE_FOLDER_COUNT; i++) r.folders[i] = -1;
    enx_buf_init(&result.out, task->limits.stdout_bytes);
    enx_buf_init(&result.err, task->limits.stderr_bytes);
    const enx_status status = run_task(&r);
    if (status != ENX_OK && r.spawned.pid > 0) kill_run(&r);
    enx_spawned_close(&r.spawned);
    reap(&r);
    enx_group_close(&r.group);
    close_fd(&r.init_pidfd);
    for (int i = 0; i < WIRE_FOLDER_COUNT; i++) close_fd(&r.folders[i]);
    enx_place_close(&r.place);
    result.overhead_us = enx_clock_monotonic_us() - begin_us - result.wall_us;
    if (status == ENX_OK) *out = result;
    else enx_sandbox_result_deinit(&result);
    return status;
}

enx_status enx_sandbox_probe(const enx_sandbox *sandbox, enx_report *report)
{
    static const char *const argv[] = { "/usr/bin/true", NULL };
    enx_sandbox_task         task = { .argv = argv, .limits = enx_sandbox_limits_default() };
    enx_sandbox_result       result;
    ENX_TRY(enx_sandbox_run(sandbox, &task, &result, report));
    const bool is_fine = result.exit_code == 0;
    enx_sandbox_result_deinit(&result);
    if (!is_fine)
        return ENX_FAIL(report, UNSUPPORTED, "/usr/bin/true fails in the sandbox of this host");
    return ENX_OK;
}

void enx_sandbox_result_deinit(enx_sandbox_result *result)
{
    enx_buf_deinit(&result->out);
    enx_buf_deinit(&result->err);
    for (size_t i = 0; i < result->file_count; i++) {
        union {
            const char *name;
            void       *block; /* with the bytes */
        } file = { .name = result->files[i].name };
        enx_mem_free(file.block);
    }
    enx_mem_free(result->files);
    *result = (enx_sandbox_result){ 0 };
}
