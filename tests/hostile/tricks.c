/* SPDX-License-Identifier: Apache-2.0 */
/* tricks.c - hostile programs, each a function: `tricks NAME CANARY_FOLDER PID SOCKET`.
 *
 * Every one is harmless if it does get out: counts are bounded, what it would damage is a canary of
 * the test, and nothing is tried where user and process numbers are not those of a sandbox.  One
 * that gets something it must not have says ESCAPED; one that meets a closed door ends with 0.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    MIB = 1 << 20,
    BOMB_MAX = 300, /* processes of a bomb */
    HOG_MIB = 256,  /* memory or disk of a hog */
    LIFE_S = 20,    /* of whatever is left behind */
};

static const char *canaries, *driver_text, *socket_name;
static char      **arguments;

static int escaped(const char *what)
{
    printf("ESCAPED: %s\n", what);
    fflush(stdout);
    return 1;
}

static void burn(double seconds)
{
    const clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    while (clock() < end) continue;
}

/* No trick is tried anywhere else. */
/* ENXAME_WEAK: without namespaces, which the test says by a variable; the filter is there. */
static int is_inside(void)
{
    if (getenv("ENXAME_WEAK"))
        return getuid() != 0 && prctl(PR_GET_SECCOMP) == 2 &&
               prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    return getpid() < 100 && access("/proc/1/root/etc/hostname", F_OK) != 0 && getuid() == 1000;
}

static const char *canary(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", canaries, name);
    return path;
}

/* ---- Processes ------------------------------------------------------------------------------ */

static int fork_bomb(void)
{
    for (int i = 0; i < BOMB_MAX; i++)
        if (fork() == 0) {
            sleep(LIFE_S);
            _exit(0);
        }
    sleep(LIFE_S);
    return 0;
}

static int fork_doubling(void)
{
    for (int i = 0; i < 8; i++) fork();
    sleep(LIFE_S);
    return 0;
}

static void *sleep_long(void *unused)
{
    sleep(LIFE_S);
    return unused;
}

static int thread_bomb(void)
{
    pthread_t thread;
    for (int i = 0; i < BOMB_MAX; i++) pthread_create(&thread, NULL, sleep_long, NULL);
    sleep(LIFE_S);
    return 0;
}

static int exec_forever(void)
{
    execv("/proc/self/exe", arguments);
    return 0;
}

static int daemon_stays(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            signal(SIGHUP, SIG_IGN);
            signal(SIGTERM, SIG_IGN);
            for (int i = 0; i < LIFE_S; i++) sleep(1);
        }
        _exit(0);
    }
    wait(NULL);
    return 0;
}

static int orphan_keeps_stdout(void)
{
    if (fork() == 0)
        for (int i = 0; i < LIFE_S * 100; i++) {
            if (write(STDOUT_FILENO, "x", 1) < 0) _exit(0);
            usleep(10000);
        }
    return 0;
}

static int zombies(void)
{
    for (int i = 0; i < BOMB_MAX; i++)
        if (fork() == 0) _exit(0);
    sleep(LIFE_S);
    return 0;
}

static int stop_itself(void)
{
    raise(SIGSTOP);
    return 0;
}

static int loop(void)
{
    burn(LIFE_S);
    return 0;
}

static int loop_deaf(void)
{
    for (int number = 1; number < NSIG; number++) signal(number, SIG_IGN);
    burn(LIFE_S);
    return 0;
}

static int loop_many(void)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0) break;
    burn(LIFE_S);
    return 0;
}

/* Children that nobody waits for are not in their parent's sum. */
static int loop_uncounted(void)
{
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 200; i++) {
        if (fork() == 0) {
            burn(0.02);
            _exit(0);
        }
        usleep(20000);
    }
    return 0;
}

static int loop_with_odd_name(void)
{
    prctl(PR_SET_NAME, "x) R 1 1 (");
    burn(LIFE_S);
    return 0;
}

static int sleep_forever(void)
{
    sleep(LIFE_S);
    return 0;
}

static int kill_all(void)
{
    kill(-1, SIGKILL);
    return 0;
}

static int kill_init(void)
{
    kill(1, SIGKILL);
    kill(1, SIGTERM);
    kill(1, SIGSTOP);
    return 0;
}

static int kill_parent_number(void)
{
    const pid_t driver = (pid_t)strtol(driver_text, NULL, 10);
    return driver > 100 && kill(driver, SIGUSR1) == 0 ? escaped("a signal") : 0;
}

static int kill_group(void)
{
    kill(0, SIGTERM);
    sleep(LIFE_S);
    return 0;
}

static int kill_itself(void) { return raise(SIGKILL); }

static int read_init(void)
{
    static const char *const names[] = { "/proc/1/mem",  "/proc/1/environ",  "/proc/1/maps",
                                         "/proc/1/fd/3", "/proc/1/root/etc", "/proc/1/cwd/x" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (open(names[i], O_RDWR) >= 0 || open(names[i], O_RDONLY) >= 0) return escaped(names[i]);
    return 0;
}

static int limit_init(void)
{
    const struct rlimit limit = { 0, 0 };
    return syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, &limit, NULL) == 0 ? escaped("prlimit") : 0;
}

static int raise_limits(void)
{
    static const int    resources[] = { RLIMIT_CPU,   RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE,
                                        RLIMIT_NPROC, RLIMIT_CORE, RLIMIT_STACK, RLIMIT_MEMLOCK };
    const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY }, none = { 0, 0 };
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++)
        if (setrlimit((__rlimit_resource_t)resources[i], &all) == 0) return escaped("setrlimit");
    return setrlimit(RLIMIT_CORE, &none) == 0 ? escaped("core") : 0;
}

static int hurry(void)
{
    const struct sched_param first = { .sched_priority = 1 };
    if (setpriority(PRIO_PROCESS, 0, -20) == 0) return escaped("nice");
    return sched_setscheduler(0, SCHED_FIFO, &first) == 0 ? escaped("real time") : 0;
}

static int timer_flood(void)
{
    timer_t timer;
    for (int i = 0; i < 1000000; i++)
        if (timer_create(CLOCK_MONOTONIC, NULL, &timer) != 0) return 0;
    return escaped("a million timers");
}

static int inotify_flood(void)
{
    const int fd = inotify_init();
    char      name[64];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "folder%d", i);
        mkdir(name, 0700);
        if (inotify_add_watch(fd, name, IN_ALL_EVENTS) < 0) return 0;
    }
    return 0;
}

/* ---- Memory --------------------------------------------------------------------------------- */

static void touch(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 4096) bytes[i] = 1;
}

static int hog(int mib, int flags)
{
    for (int i = 0; i < mib; i++) {
        char *part = mmap(NULL, MIB, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
        if (part == MAP_FAILED) break;
        touch(part, MIB);
    }
    sleep(LIFE_S);
    return 0;
}

static int memory_hog(void) { return hog(HOG_MIB, MAP_PRIVATE); }

static int shared_memory_hog(void) { return hog(HOG_MIB, MAP_SHARED); }

static int hidden_memory_hog(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    return hog(HOG_MIB, MAP_PRIVATE);
}

static int memory_hogs(void)
{
    for (int i = 0; i < 8; i++)
        if (fork() == 0) return hog(HOG_MIB / 8, MAP_PRIVATE);
    sleep(LIFE_S);
    return 0;
}

/* Many see the same pages: no hog. */
static int shared_by_many(void)
{
    char *part = mmap(NULL, 20 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    touch(part, 20 * MIB);
    for (int i = 0; i < 8; i++)
        if (fork() == 0) {
            usleep(200000);
            _exit(part[0] - 1);
        }
    while (wait(NULL) > 0) continue;
    return 0;
}

static int reserve(void)
{
    void *part = mmap(NULL, (size_t)1 << 40, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return part != MAP_FAILED ? escaped("a terabyte") : 0;
}

static int map_flood(void)
{
    for (int i = 0; i < 70000; i++)
        if (mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
            MAP_FAILED)
            return 0;
    return 0;
}

/* Pages of zeros cost nothing, the tables that lead to them do. */
static int page_table_hog(void)
{
    volatile char seen;
    for (int i = 0; i < 128; i++) {
        const char *part = mmap(NULL, (size_t)1 << 30, PROT_READ,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (part == MAP_FAILED) break;
        for (size_t at = 0; at < (size_t)1 << 30; at += 2 * MIB) seen = part[at];
    }
    (void)seen;
    return 0;
}

static int lock_memory(void)
{
    static char page[65536];
    return mlock(page, sizeof page) == 0 || mlockall(MCL_CURRENT) == 0 ? escaped("mlock") : 0;
}

static int memory_files(void)
{
    if (syscall(SYS_memfd_create, "x", 0) >= 0) return escaped("memfd");
#ifdef SYS_memfd_secret
    if (syscall(SYS_memfd_secret, 0) >= 0) return escaped("memfd_secret");
#endif
    return 0;
}

static int old_ipc(void)
{
    if (syscall(SYS_shmget, 0, MIB, 0600 | 01000) >= 0) return escaped("shmget");
    if (syscall(SYS_semget, 0, 10, 0600 | 01000) >= 0) return escaped("semget");
    if (syscall(SYS_msgget, 0, 0600 | 01000) >= 0) return escaped("msgget");
    return syscall(SYS_mq_open, "x", O_CREAT | O_RDWR, 0600, NULL) >= 0 ? escaped("mq_open") : 0;
}

static int recurse(volatile int *depth)
{
    volatile int here[1000];
    here[0] = *depth + 1;
    return recurse(here) + here[999];
}

static int stack_hog(void)
{
    volatile int depth = 0;
    return recurse(&depth);
}

static int pipe_hog(void)
{
    static char bytes[65536];
    for (int fds[2]; pipe2(fds, O_NONBLOCK) == 0;)
        while (write(fds[1], bytes, sizeof bytes) > 0) continue;
    usleep(100000);
    return 0;
}

static int socket_hog(void)
{
    static char bytes[65536];
    for (int fds[2]; socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0;)
        for (int side = 0; side < 2; side++)
            while (write(fds[side], bytes, sizeof bytes) > 0) continue;
    usleep(100000);
    return 0;
}

/* ---- Files in the sandbox ------------------------------------------------------------------- */

static int fill(const char *folder, int file_mib)
{
    static char bytes[MIB];
    char        name[256];
    for (int i = 0; i < HOG_MIB / file_mib; i++) {
        snprintf(name, sizeof name, "%s/hog%d", folder, i);
        const int fd = open(name, O_CREAT | O_WRONLY, 0600);
        for (int part = 0; part < file_mib; part++)
            if (write(fd, bytes, sizeof bytes) < 0) break;
        close(fd);
    }
    sleep(LIFE_S);
    return 0;
}

static int disk_hog(void) { return fill(getenv("HOME"), 4); }
static int tmp_hog(void) { return fill(getenv("TMPDIR"), 4); }
static int shm_hog(void) { return fill("/dev/shm", 4); }

static int disk_hog_in_parts(void)
{
    if (fork() == 0) return fill("/tmp", 4);
    return fill("/dev/shm", 4);
}

static int unlinked_hog(void)
{
    static char bytes[MIB];
    for (int i = 0; i < HOG_MIB / 4; i++) {
        const int fd = open("x", O_CREAT | O_WRONLY, 0600);
        unlink("x");
        for (int part = 0; part < 4; part++)
            if (write(fd, bytes, sizeof bytes) < 0) break;
    }
    sleep(LIFE_S);
    return 0;
}

static int large_file(void)
{
    static char bytes[MIB];
    const int   fd = open("large", O_CREAT | O_WRONLY, 0600);
    for (int i = 0; i < HOG_MIB; i++)
        if (write(fd, bytes, sizeof bytes) < 0) break;
    return 0;
}

static int large_file_deaf(void)
{
    signal(SIGXFSZ, SIG_IGN);
    return large_file();
}

static int sparse_file(void)
{
    const int fd = open("sparse", O_CREAT | O_WRONLY, 0600);
    return ftruncate(fd, (off_t)1 << 40) == 0 ? escaped("a sparse terabyte") : 0;
}

static int sparse_files(void)
{
    char name[64];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "sparse%d", i);
        const int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (ftruncate(fd, 7 * MIB) != 0) return 1;
        close(fd);
    }
    return 0;
}

static int many_files(void)
{
    char name[64];
    for (int i = 0; i < 50000; i++) {
        snprintf(name, sizeof name, "f%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    sleep(LIFE_S);
    return 0;
}

static int many_links(void)
{
    char name[64];
    close(open("one", O_CREAT | O_WRONLY, 0600));
    for (int i = 0; i < 50000; i++) {
        snprintf(name, sizeof name, "l%d", i);
        if (link("one", name) != 0) break;
    }
    sleep(LIFE_S);
    return 0;
}

static int deep_folders(void)
{
    for (int i = 0; i < 50000; i++)
        if (mkdir("d", 0700) != 0 || chdir("d") != 0) break;
    sleep(LIFE_S);
    return 0;
}

static int deep_but_few(void)
{
    for (int i = 0; i < 600; i++)
        if (mkdir("d", 0700) != 0 || chdir("d") != 0) return 1;
    close(open("bottom", O_CREAT | O_WRONLY, 0600));
    return 0;
}

/* ---- Files out ------------------------------------------------------------------------------ */

static int out_pipes(void)
{
    if (mkfifo("fifo", 0666) != 0) return 1;
    const int                fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
    return bind(fd, (const struct sockaddr *)&name, sizeof name) == 0 ? 0 : 1;
}

static int out_links(void)
{
    if (symlink("/etc/passwd", "passwd") || symlink(canary("secret"), "secret") ||
        symlink("../../../../../etc", "etc") || symlink("/proc/self/environ", "environ") ||
        symlink("/usr", "usr") || symlink("a", "a"))
        return 1;
    return 0;
}

static int out_devices(void)
{
    if (mknod("memory", S_IFCHR | 0666, (1 << 8) | 1) == 0) return escaped("a device");
    return mknod("disk", S_IFBLK | 0666, 254 << 8) == 0 ? escaped("a disk") : 0;
}

static int out_hard_links(void)
{
    if (link("/usr/bin/true", "true") == 0) return escaped("a link to /usr");
    return link("/proc/self/exe", "self") == 0 ? escaped("a link to /proc") : 0;
}

static int out_names(void)
{
    static const char *const names[] = { "-rf", "new\nline", "\x1b[2J",  "\xff\xfe", " ",
                                         "...", "..hidden",  "a\\..\\b", "$(id)",    "%s%n" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const int fd = open(names[i], O_CREAT | O_WRONLY, 0600);
        if (fd < 0 || write(fd, "x", 1) != 1) return 1;
        close(fd);
    }
    return 0;
}

static int out_many(void)
{
    char name[64];
    for (int i = 0; i < 1500; i++) {
        snprintf(name, sizeof name, "f%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    return 0;
}

static int out_closed(void)
{
    close(open("closed", O_CREAT | O_WRONLY, 0));
    mkdir("folder", 0700);
    close(open("folder/inside", O_CREAT | O_WRONLY, 0600));
    return chmod("folder", 0);
}

static int out_setuid(void)
{
    close(open("root", O_CREAT | O_WRONLY, 0755));
    chmod("root", 06755);
    return 0;
}

/* ---- Streams -------------------------------------------------------------------------------- */

static int flood(int fd)
{
    static char bytes[65536];
    for (int i = 0; i < HOG_MIB * 16; i++)
        if (write(fd, bytes, sizeof bytes) < 0) break;
    return 0;
}

static int stdout_flood(void) { return flood(STDOUT_FILENO); }
static int stderr_flood(void) { return flood(STDERR_FILENO); }

static int close_everything(void)
{
    for (int fd = 0; fd < 1024; fd++) close(fd);
    sleep(LIFE_S);
    return 0;
}

static int dup_flood(void)
{
    while (dup(STDOUT_FILENO) >= 0) continue;
    usleep(100000);
    return 0;
}

static int deaf_to_stdin(void) { return 0; }

static int all_bytes(void)
{
    for (int i = 0; i < 256; i++) putchar(i);
    return 0;
}

static int exit_255(void) { return 255; }
static int exit_139(void) { return 139; }

static int crash(void)
{
    volatile int *nowhere = NULL;
    return *nowhere;
}

static int dump_core(void) { abort(); }

/* ---- Doors of the kernel; arguments that do nothing where the door is open ------------------- */

#define DOOR(name, number, ...)                                                 \
    static int name(void)                                                       \
    {                                                                           \
        const long got = syscall(number, __VA_ARGS__);                          \
        return got >= 0 || errno != ENOSYS ? escaped(#number " was asked") : 0; \
    }

DOOR(door_mount, SYS_mount, "none", "/nowhere", "tmpfs", 0, NULL)
DOOR(door_umount, SYS_umount2, "/nowhere", 0)
DOOR(door_pivot, SYS_pivot_root, "/nowhere", "/nowhere")
DOOR(door_chroot, SYS_chroot, "/nowhere")
DOOR(door_fsopen, SYS_fsopen, "nothing", 0)
DOOR(door_unshare, SYS_unshare, CLONE_NEWUSER)
DOOR(door_setns, SYS_setns, -1, 0)
DOOR(door_bpf, SYS_bpf, 0, NULL, 0)
DOOR(door_perf, SYS_perf_event_open, NULL, 0, -1, -1, 0)
DOOR(door_userfaultfd, SYS_userfaultfd, 0)
DOOR(door_keyctl, SYS_keyctl, 0, -3, 0)
DOOR(door_add_key, SYS_add_key, "user", "x", "x", 1, -3)
DOOR(door_uring, SYS_io_uring_setup, 1, NULL)
DOOR(door_kexec, SYS_kexec_load, 0, 0, NULL, 0)
DOOR(door_module, SYS_init_module, NULL, 0, "")
DOOR(door_reboot, SYS_reboot, 0, 0, 0, NULL)
DOOR(door_hostname, SYS_sethostname, NULL, 1)
DOOR(door_time, SYS_settimeofday, NULL, NULL)
DOOR(door_handle, SYS_open_by_handle_at, -1, NULL, 0)
DOOR(door_swap, SYS_swapon, "/nowhere", 0)
DOOR(door_acct, SYS_acct, "/nowhere")
DOOR(door_quota, SYS_quotactl, 0, "/nowhere", 0, NULL)
DOOR(door_log, SYS_syslog, 10, NULL, 0)
DOOR(door_fanotify, SYS_fanotify_init, 0, 0)
DOOR(door_ptrace, SYS_ptrace, 16, 1, NULL, NULL) /* PTRACE_ATTACH */
DOOR(door_memory_of_others, SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0)
DOOR(door_kcmp, SYS_kcmp, 1, 1, 0, 0, 0)
DOOR(door_clone3, SYS_clone3, NULL, 0)
#ifdef SYS_ioperm
DOOR(door_ports, SYS_ioperm, 0, 1, 1)
#endif

static int door_clone(void)
{
    const long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    return pid > 0 ? escaped("a user namespace") : 0;
}

static int door_typing(void)
{
    char letter = 'x';
    ioctl(STDIN_FILENO, TIOCSTI, &letter);
    return escaped("TIOCSTI was asked");
}

/* The kernel looks at 32 bits of the request. */
static int door_typing_high(void)
{
    char letter = 'x';
    syscall(SYS_ioctl, STDIN_FILENO, TIOCSTI | (uint64_t)1 << 32, &letter);
    return escaped("TIOCSTI was asked");
}

#ifdef __x86_64__
static int door_32_bit(void)
{
    long got;
    __asm__ volatile("int $0x80" : "=a"(got) : "a"(20) : "memory"); /* getpid */
    return escaped("a 32-bit call");
}
#endif

static int odd_personality(void)
{
    return personality(READ_IMPLIES_EXEC) != -1 ? escaped("personality") : 0;
}

static int drop_filter(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0) return escaped("new privileges");
    return prctl(PR_SET_SECCOMP, 0, NULL) == 0 ? escaped("no filter") : 0;
}

/* ---- Privileges ----------------------------------------------------------------------------- */

static int become_root(void)
{
    if (setuid(0) == 0 || setreuid(0, 0) == 0 || setresuid(0, 0, 0) == 0) return escaped("root");
    if (setgid(0) == 0) return escaped("group root");
    const gid_t group = 0;
    return setgroups(1, &group) == 0 ? escaped("groups") : 0;
}

static int take_capabilities(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct   all[2] = { { ~0u, ~0u, ~0u }, { ~0u, ~0u, ~0u } };
    return syscall(SYS_capset, &header, all) == 0 ? escaped("capabilities") : 0;
}

static int has_line(const char *path, const char *line)
{
    char  text[8192] = "";
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    const size_t size = fread(text, 1, sizeof text - 1, file);
    text[size] = '\0';
    fclose(file);
    return strstr(text, line) != NULL;
}

static int own_status(void)
{
    if (!has_line("/proc/self/status", "NoNewPrivs:\t1")) return escaped("new privileges");
    if (!has_line("/proc/self/status", "CapEff:\t0000000000000000")) return escaped("CapEff");
    if (!has_line("/proc/self/status", "CapBnd:\t0000000000000000")) return escaped("CapBnd");
    return has_line("/proc/self/status", "Seccomp:\t2") ? 0 : escaped("no filter");
}

/* A program that becomes root where that is possible. */
static int run_setuid(void)
{
    if (access("/usr/bin/su", X_OK) != 0) return 0;
    if (fork() == 0) {
        execl("/usr/bin/su", "su", "-c", "id", (char *)NULL);
        _exit(1);
    }
    int status;
    wait(&status);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? escaped("su") : 0;
}

static int preload(void)
{
    const int fd = open("/etc/ld.so.preload", O_CREAT | O_WRONLY, 0644);
    return fd >= 0 ? escaped("ld.so.preload") : 0;
}

/* ---- The host's files ----------------------------------------------------------------------- */

static int read_secrets(void)
{
    static const char *const names[] = {
        "/etc/shadow",  "/etc/passwd", "/root/.ssh", "/home",       "/root",
        "/var/lib",     "/run",        "/boot",      "/sys/kernel", "/sys/fs/cgroup/cgroup.procs",
        "/work/../root"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (access(names[i], F_OK) == 0) return escaped(names[i]);
    return access(canary("secret"), F_OK) == 0 ? escaped("the canary") : 0;
}

static int walk_up(void)
{
    static const char *const starts[] = { "../../../../../../../..", "/proc/self/root",
                                          "/proc/self/cwd/../..",    "/proc/1/root",
                                          "/dev/fd/../../..",        "/proc/thread-self/root/.." };
    char                     path[4200];
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        snprintf(path, sizeof path, "%s%s", starts[i], canary("secret"));
        if (open(path, O_RDONLY) >= 0) return escaped(path);
    }
    return 0;
}

static int write_system(void)
{
    static const char *const names[] = {
        "/x",     "/usr/x",  "/usr/bin/x",          "/etc/x",          "/dev/x",
        "/bin/x", "/proc/x", "/etc/alternatives/x", "/etc/ld.so.cache"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (open(names[i], O_CREAT | O_WRONLY, 0644) >= 0) return escaped(names[i]);
    return rename("/etc/alternatives", "/work/x") == 0 ? escaped("a folder") : 0;
}

static int write_canary(void)
{
    const int fd = open(canary("secret"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0 && write(fd, "gone", 4) == 4) printf("wrote it, inside\n");
    close(open("/tmp/enxame-hostile-left-behind", O_CREAT | O_WRONLY, 0644));
    return 0;
}

static int look_for_others(void)
{
    return access("/tmp/enxame-hostile-left-behind", F_OK) == 0 ? escaped("another run's /tmp") : 0;
}

static int write_proc(void)
{
    static const char *const names[] = { "/proc/sys/kernel/core_pattern",
                                         "/proc/sys/kernel/hostname",
                                         "/proc/sysrq-trigger",
                                         "/proc/sys/vm/overcommit_memory",
                                         "/proc/self/oom_score_adj_x",
                                         "/proc/1/oom_score_adj",
                                         "/proc/kcore",
                                         "/proc/kmsg",
                                         "/proc/sys/user/max_user_namespaces",
                                         "/proc/1/attr/current",
                                         "/proc/self/uid_map",
                                         "/proc/self/setgroups" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const int fd = open(names[i], O_WRONLY);
        if (fd >= 0 && write(fd, "0", 1) == 1) return escaped(names[i]);
        if (fd >= 0) close(fd);
    }
    return open("/proc/kcore", O_RDONLY) >= 0 ? escaped("/proc/kcore") : 0;
}

static int use_devices(void)
{
    static const char *const names[] = { "/dev/mem",  "/dev/kmsg",         "/dev/kvm",
                                         "/dev/fuse", "/dev/sda",          "/dev/vda",
                                         "/dev/port", "/dev/loop-control", "/dev/net/tun",
                                         "/dev/tty",  "/dev/console",      "/dev/input" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (open(names[i], O_RDONLY | O_NOCTTY) >= 0) return escaped(names[i]);
    return 0;
}

extern char **environ;

static int read_environment(void)
{
    for (char **word = environ; *word; word++)
        if (strstr(*word, "CANARY")) return escaped(*word);
    return has_line("/proc/1/environ", "CANARY") ? escaped("init's environment") : 0;
}

static int read_descriptors(void)
{
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) return escaped("a descriptor");
    return 0;
}

static int list_processes(void)
{
    DIR *folder = opendir("/proc");
    int  count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    return count != 2 ? escaped("processes of others") : 0;
}

static int read_host_name(void)
{
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    return strcmp(name, "sandbox") != 0 ? escaped(name) : 0;
}

/* ---- Network -------------------------------------------------------------------------------- */

static int try_socket(int family, int type, int protocol)
{
    return socket(family, type, protocol) >= 0 ? escaped("a socket") : 0;
}

static int net_inet(void)
{
    return try_socket(AF_INET, SOCK_STREAM, 0) || try_socket(AF_INET6, SOCK_DGRAM, 0);
}
static int net_raw(void) { return try_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static int net_packet(void) { return try_socket(17, SOCK_RAW, 0); }
static int net_netlink(void) { return try_socket(16, SOCK_RAW, 0); }
static int net_others(void)
{
    int got = 0;
    for (int family = 2; family < 46; family++) got |= try_socket(family, SOCK_DGRAM, 0);
    return got;
}
static int net_high_bits(void)
{
    return syscall(SYS_socket, (uint64_t)1 << 32 | AF_INET, SOCK_STREAM, 0) >= 0 ? escaped("inet")
                                                                                 : 0;
}

static int net_names(void)
{
    struct addrinfo *found = NULL;
    return getaddrinfo("example.org", "80", NULL, &found) == 0 ? escaped("a name") : 0;
}

static int connect_to(const char *path, int is_abstract)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    const int          fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(name.sun_path + is_abstract, sizeof name.sun_path - 1, "%s", path);
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(path));
    return connect(fd, (struct sockaddr *)&name, size) == 0 ? escaped(path) : 0;
}

static int net_abstract(void) { return connect_to(socket_name, 1); }
static int net_unix(void)
{
    return connect_to(canary("socket"), 0) || connect_to("/run/dbus/system_bus_socket", 0) ||
           connect_to("/var/run/docker.sock", 0) || connect_to("/run/systemd/private", 0);
}

/* ---- Which one ------------------------------------------------------------------------------ */

#define ROW(name)   \
    {               \
#name, name \
    }
/* clang-format off */
static const struct {
    const char *name;
    int (*run)(void);
} tricks[] = {
    ROW(fork_bomb), ROW(fork_doubling), ROW(thread_bomb), ROW(exec_forever), ROW(daemon_stays),
    ROW(orphan_keeps_stdout), ROW(zombies), ROW(stop_itself), ROW(loop), ROW(loop_deaf),
    ROW(loop_many), ROW(loop_uncounted), ROW(loop_with_odd_name), ROW(sleep_forever),
    ROW(kill_all), ROW(kill_init), ROW(kill_parent_number), ROW(kill_group), ROW(kill_itself),
    ROW(read_init), ROW(limit_init), ROW(raise_limits), ROW(hurry), ROW(timer_flood),
    ROW(inotify_flood), ROW(memory_hog), ROW(shared_memory_hog), ROW(hidden_memory_hog),
    ROW(memory_hogs), ROW(shared_by_many), ROW(reserve), ROW(map_flood), ROW(page_table_hog),
    ROW(lock_memory), ROW(memory_files), ROW(old_ipc), ROW(stack_hog), ROW(pipe_hog),
    ROW(socket_hog), ROW(disk_hog), ROW(tmp_hog), ROW(shm_hog), ROW(disk_hog_in_parts),
    ROW(unlinked_hog), ROW(large_file), ROW(large_file_deaf), ROW(sparse_file), ROW(sparse_files),
    ROW(many_files), ROW(many_links), ROW(deep_folders), ROW(deep_but_few), ROW(out_pipes),
    ROW(out_links), ROW(out_devices), ROW(out_hard_links), ROW(out_names), ROW(out_many),
    ROW(out_closed), ROW(out_setuid), ROW(stdout_flood), ROW(stderr_flood), ROW(close_everything),
    ROW(dup_flood), ROW(deaf_to_stdin), ROW(all_bytes), ROW(exit_255), ROW(exit_139), ROW(crash),
    ROW(dump_core), ROW(door_mount), ROW(door_umount), ROW(door_pivot), ROW(door_chroot),
    ROW(door_fsopen), ROW(door_unshare), ROW(door_setns), ROW(door_bpf), ROW(door_perf),
    ROW(door_userfaultfd), ROW(door_keyctl), ROW(door_add_key), ROW(door_uring), ROW(door_kexec),
    ROW(door_module), ROW(door_reboot), ROW(door_hostname), ROW(door_time), ROW(door_handle),
    ROW(door_swap), ROW(door_acct), ROW(door_quota), ROW(door_log), ROW(door_fanotify),
    ROW(door_ptrace), ROW(door_memory_of_others), ROW(door_kcmp), ROW(door_clone3),
    ROW(door_clone), ROW(door_typing), ROW(door_typing_high), ROW(odd_personality),
    ROW(drop_filter),
#ifdef SYS_ioperm
    ROW(door_ports),
#endif
#ifdef __x86_64__
    ROW(door_32_bit),
#endif
    ROW(become_root), ROW(take_capabilities), ROW(own_status), ROW(run_setuid), ROW(preload),
    ROW(read_secrets), ROW(walk_up), ROW(write_system), ROW(write_canary), ROW(look_for_others),
    ROW(write_proc), ROW(use_devices), ROW(read_environment), ROW(read_descriptors),
    ROW(list_processes), ROW(read_host_name), ROW(net_inet), ROW(net_raw), ROW(net_packet),
    ROW(net_netlink), ROW(net_others), ROW(net_high_bits), ROW(net_names), ROW(net_abstract),
    ROW(net_unix),
};
/* clang-format on */

int main(int argc, char **argv)
{
    if (argc != 5) return 64;
    canaries = argv[2];
    driver_text = argv[3];
    socket_name = argv[4];
    arguments = argv;
    if (!is_inside()) return escaped("not inside");
    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++)
        if (strcmp(tricks[i].name, argv[1]) == 0) return tricks[i].run();
    return 64;
}
