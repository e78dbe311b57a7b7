/* SPDX-License-Identifier: Apache-2.0 */
/* filter.c - the lists, and libseccomp to make one program of them.
 *
 * Arguments are compared in the 32 bits that the kernel looks at: a request of TIOCSTI | 1 << 32 is
 * TIOCSTI to it.  clone3 keeps its flags in memory, where a filter cannot read them; without it
 * libc uses clone. */
#include "sandbox/filter.h"

#include "sandbox/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum { LOW_32_BITS = -1 }; /* as uint32_t */

/* clang-format off */
static const char *const allowed[] = {
    /* files */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2",
    "pwritev2", "open", "openat", "openat2", "creat", "close", "close_range", "lseek", "stat",
    "fstat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "getdents",
    "getdents64", "readlink", "readlinkat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod",
    "fchmodat", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat",
    "futimesat", "truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "fadvise64",
    "readahead", "copy_file_range", "sendfile", "splice", "tee", "dup", "dup2", "dup3", "fcntl",
    "flock", "umask", "getcwd", "chdir", "fchdir", "mknod", "mknodat", "statfs", "fstatfs",
    "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    "inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    /* waiting */
    "select", "pselect6", "poll", "ppoll", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "pipe", "pipe2",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd", "signalfd4", "futex",
    "futex_waitv", "get_robust_list", "set_robust_list", "nanosleep", "clock_nanosleep", "pause",
    "alarm", "setitimer", "getitimer", "timer_create", "timer_settime", "timer_gettime",
    "timer_getoverrun", "timer_delete", "restart_syscall",
    /* memory */
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "msync", "mincore", "membarrier",
    /* processes and signals */
    "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "kill", "tkill",
    "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigpending",
    "rt_sigtimedwait", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "sigaltstack", "getpid", "gettid",
    "getppid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid", "getuid", "geteuid", "getgid",
    "getegid", "getresuid", "getresgid", "getgroups", "setuid", "setgid", "setreuid", "setregid",
    "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "capget", "capset",
    "set_tid_address", "rseq", "arch_prctl", "prctl", "getrlimit", "getrusage", "getpriority",
    "setpriority", "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min",
    "sched_rr_get_interval", "pidfd_open", "pidfd_send_signal",
    /* facts */
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "uname", "sysinfo", "getcpu",
    "getrandom",
    /* sockets, once there are any: see allow_some */
    "bind", "listen", "accept", "accept4", "connect", "getsockname", "getpeername", "sendto",
    "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown", "getsockopt",
    "setsockopt",
};
/* clang-format on */

/* clang-format off */
static const char *const deadly[] = {
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
    "fsmount", "fspick", "fsconfig", "mount_setattr", "setns", "unshare", "init_module",
    "finit_module", "delete_module", "kexec_load", "kexec_file_load", "bpf", "perf_event_open",
    "userfaultfd", "keyctl", "add_key", "request_key", "reboot", "swapon", "swapoff", "acct",
    "quotactl", "quotactl_fd", "syslog", "settimeofday", "clock_settime", "clock_adjtime",
    "adjtimex", "sethostname", "setdomainname", "ioperm", "iopl", "open_by_handle_at",
    "name_to_handle_at", "fanotify_init", "lookup_dcookie", "vhangup", "nfsservctl",
};
/* clang-format on */

/* Allowed with namespaces only: where files, sockets and processes are the host's. */
static const char *const strong_only[] = {
    "chmod",    "fchmod",      "fchmodat",          "chown", "fchown", "lchown",
    "fchownat", "setpriority", "sched_setaffinity", "bind",  "listen", "accept",
    "accept4",  "connect",
};
static const char *const signalling[] = {
    "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "fcntl",
};
static const char *const shortening[] = { "truncate", "open", "openat", "openat2" };
/* Of fcntl, where signals are refused: all but the owner, to whom the kernel sends some. */
static const uint32_t    plain_fcntls[] = {
       F_DUPFD,         F_GETFD,      F_SETFD,      F_GETFL,     F_SETFL,     F_GETLK,
       F_SETLK,         F_SETLKW,     F_GETOWN,     F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
       F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS,
};

/* Requests to descriptors: sizes, modes and terminals of one's own making. */
static const uint32_t allowed_ioctls[] = {
    TCGETS,     TCSETS,      TCSETSW,  TCSETSF, TIOCGWINSZ, TIOCSWINSZ, TIOCGPGRP, TIOCGPTN,
    TIOCSPTLCK, TIOCGPTPEER, FIONREAD, FIONBIO, FIOCLEX,    FIONCLEX,   FIOASYNC,
};
static const uint32_t deadly_ioctls[] = { TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSCTTY };

static const int namespace_flags[] = { CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                       CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET };

/* One rule for `name` when the low 32 bits of argument `index`, of those in `mask`, are `value`. */
static int add_rule(scmp_filter_ctx filter, uint32_t action, int call, unsigned index,
                    uint32_t mask, uint32_t value)
{
    return seccomp_rule_add(filter, action, call, 1,
                            SCMP_CMP(index, SCMP_CMP_MASKED_EQ, mask, value));
}

static int add_all(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int call = seccomp_syscall_resolve_name(names[i]);
        if (call == __NR_SCMP_ERROR) continue; /* newer than the library, so not allowed */
        const int error = seccomp_rule_add(filter, action, call, 0);
        if (error) return error;
    }
    return 0;
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* `landlock` as in the header. */
static bool is_closed(const char *name, int landlock)
{
    if (landlock == 0) return false;
    return is_one_of(name, strong_only, sizeof strong_only / sizeof *strong_only) ||
           (landlock < CONFINE_ABI_SIGNALS &&
            is_one_of(name, signalling, sizeof signalling / sizeof *signalling)) ||
           (landlock < CONFINE_ABI_TRUNCATION &&
            is_one_of(name, shortening, sizeof shortening / sizeof *shortening));
}

static int add_allowed(scmp_filter_ctx filter, int landlock)
{
    int error = 0;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed && !error; i++)
        if (!is_closed(allowed[i], landlock))
            error = add_all(filter, SCMP_ACT_ALLOW, &allowed[i], 1);
    return error;
}

/* Parts of what is_closed takes away.  O_TRUNC needs no right to write on old kernels, so a file
 * must be open for it. */
static int add_parts(scmp_filter_ctx filter, int landlock)
{
    const uint32_t masks[] = { O_TRUNC, O_ACCMODE, O_ACCMODE }, wanted[] = { 0, O_WRONLY, O_RDWR };
    int            error = 0;
    if (landlock == 0) return 0;
    for (size_t i = 0; i < sizeof plain_fcntls / sizeof *plain_fcntls && !error; i++)
        if (landlock < CONFINE_ABI_SIGNALS)
            error = add_rule(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, (uint32_t)LOW_32_BITS,
                             plain_fcntls[i]);
    for (size_t i = 0; i < 3 && !error && landlock < CONFINE_ABI_TRUNCATION; i++) {
        error = add_rule(filter, SCMP_ACT_ALLOW, SCMP_SYS(open), 1, masks[i], wanted[i]);
        if (!error)
            error = add_rule(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 2, masks[i], wanted[i]);
    }
    return error;
}

static int add_ioctls(scmp_filter_ctx filter)
{
    int error = 0;
    for (size_t i = 0; i < sizeof allowed_ioctls / sizeof *allowed_ioctls && !error; i++)
        error = add_rule(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, (uint32_t)LOW_32_BITS,
                         allowed_ioctls[i]);
    for (size_t i = 0; i < sizeof deadly_ioctls / sizeof *deadly_ioctls && !error; i++)
        error = add_rule(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(ioctl), 1, (uint32_t)LOW_32_BITS,
                         deadly_ioctls[i]);
    return error;
}

static int add_clone(scmp_filter_ctx filter)
{
    uint32_t all = 0;
    int      error = 0;
    for (size_t i = 0; i < sizeof namespace_flags / sizeof *namespace_flags && !error; i++) {
        const uint32_t flag = (uint32_t)namespace_flags[i];
        all |= flag;
        error = add_rule(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 0, flag, flag);
    }
    return error ? error : add_rule(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 0, all, 0);
}

/* Limits of the calling process only: those of process 1 would be in reach, too.  Setting
 * RLIMIT_CORE stays out of reach: 1, as it is, keeps hosts from handing the dump to a program of
 * theirs. */
static int add_rlimits(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp own = SCMP_CMP(0, SCMP_CMP_MASKED_EQ, (uint32_t)LOW_32_BITS, 0);
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, own,
                                 SCMP_A2(SCMP_CMP_EQ, 0, 0));
    for (uint32_t i = 0; i < RLIM_NLIMITS && !error; i++) {
        if (i == RLIMIT_CORE) continue;
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, own,
                                 SCMP_CMP(1, SCMP_CMP_MASKED_EQ, (uint32_t)LOW_32_BITS, i));
        if (!error)
            error =
                add_rule(filter, SCMP_ACT_ALLOW, SCMP_SYS(setrlimit), 0, (uint32_t)LOW_32_BITS, i);
    }
    return error;
}

/* Pairs that stay connected to each other: datagrams could be sent to any name. */
static int add_pairs(scmp_filter_ctx filter)
{
    const uint32_t kinds[] = { SOCK_STREAM, SOCK_SEQPACKET };
    int error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 0);
    for (size_t i = 0; i < 2 && !error; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 2,
                                 SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0),
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, kinds[i]));
    return error;
}

static int add_sockets(scmp_filter_ctx filter)
{
    const int calls[] = { SCMP_SYS(socket), SCMP_SYS(socketpair) };
    int       error = 0;
    for (size_t i = 0; i < 2 && !error; i++) {
        error =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
        if (!error)
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), calls[i], 1,
                                     SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
    }
    return error;
}

static int add_personality(scmp_filter_ctx filter)
{
    const uint32_t wanted[] = { 0, ADDR_NO_RANDOMIZE, 0xffffffff };
    int            error = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && !error; i++)
        error = add_rule(filter, SCMP_ACT_ALLOW, SCMP_SYS(personality), 0, (uint32_t)LOW_32_BITS,
                         wanted[i]);
    return error;
}

static int add_rules(scmp_filter_ctx filter, int landlock)
{
    int error = add_allowed(filter, landlock);
    if (!error) error = add_parts(filter, landlock);
    if (!error)
        error = add_all(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof deadly / sizeof *deadly);
    if (!error) error = add_ioctls(filter);
    if (!error) error = add_clone(filter);
    if (!error) error = add_rlimits(filter);
    if (!error) error = landlock ? add_pairs(filter) : add_sockets(filter);
    return error ? error : add_personality(filter);
}

/* libseccomp writes to descriptors only. */
static enx_status export_filter(scmp_filter_ctx filter, enx_buf *out, enx_report *report)
{
    char       part[4096];
    ssize_t    size = 0;
    enx_status status = ENX_OK;
    const int  fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0 || seccomp_export_bpf(filter, fd) != 0 || lseek(fd, 0, SEEK_SET) != 0)
        status =
            ENX_FAIL(report, IO, "cannot write the filter of system calls: %s", strerror(errno));
    while (status == ENX_OK && (size = read(fd, part, sizeof part)) > 0)
        status = enx_buf_append(out, part, (size_t)size);
    if (fd >= 0) close(fd);
    return status;
}

enx_status enx_filter_build(enx_buf *out, int landlock, enx_report *report)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter) return ENX_FAIL(report, UNSUPPORTED, "libseccomp does not know this machine");
    /* Programs of another architecture (32-bit calls) would have numbers of their own. */
    int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!error) error = add_rules(filter, landlock);
    const enx_status status =
        error ? ENX_FAIL(report, UNSUPPORTED, "libseccomp refuses a rule: %s", strerror(-error))
              : export_filter(filter, out, report);
    seccomp_release(filter);
    return status;
}
