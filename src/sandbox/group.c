/* SPDX-License-Identifier: Apache-2.0 */
/* group.c - a cgroup for a run, where this process may make some: a bound of the kernel on what
 * looks only see, and a count of what it refused.
 *
 * Version 2: beside our own group, which must not have groups below it while processes are in it.
 * Version 1: below our own groups of memory and pids.  Where anything of it is not allowed, runs go
 * without. */
#include "sandbox/sandbox_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define PREFIX "enxame-"

enum {
    TEXT_MAX = 4096,
    REMOVE_TRIES_MAX = 50, /* a millisecond each, for the last process to be gone */
    BYTES_MORE = 32 << 20, /* what the kernel needs for the processes themselves */
};

/* By version, of memory and of processes. */
typedef struct group_files {
    const char *limit, *swap, *events, *event;
} group_files;

static const group_files files[3][ENX_GROUP_FOLDERS] = {
    [1] = { { "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control",
              "oom_kill " },
            { "pids.max", NULL, "pids.events", "max " } },
    [2] = { { "memory.max", "memory.swap.max", "memory.events", "oom_kill " },
            { "pids.max", NULL, "pids.events", "max " } },
};

static const char *read_text(int folder, const char *name, char text[TEXT_MAX])
{
    const int     fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? -1 : read(fd, text, TEXT_MAX - 1);
    if (fd >= 0) close(fd);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static bool write_number(int folder, const char *name, uint64_t number)
{
    char          text[32];
    const int     size = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    const int     fd = openat(folder, name, O_WRONLY | O_CLOEXEC);
    const ssize_t written = fd < 0 ? -1 : write(fd, text, (size_t)size);
    if (fd >= 0) close(fd);
    return written == size;
}

/* Our own group in a hierarchy, from its line "N:memory:/path" or "0::/path". */
static bool find_own(const char *hierarchy, char path[ENX_GROUP_PATH_MAX])
{
    char        text[TEXT_MAX], key[32];
    const char *line = read_text(AT_FDCWD, "/proc/self/cgroup", text);
    snprintf(key, sizeof key, ":%s:", hierarchy);
    line = strstr(line, key);
    if (!line) return false;
    line += strlen(key);
    const size_t size = strcspn(line, "\n");
    return snprintf(path, ENX_GROUP_PATH_MAX, "%.*s", (int)size, line) < ENX_GROUP_PATH_MAX;
}

static bool is_v2(const char *path)
{
    struct statfs facts;
    return statfs(path, &facts) == 0 && facts.f_type == CGROUP2_SUPER_MAGIC;
}

static bool open_v2(enx_group_home *home, const char *root)
{
    char own[ENX_GROUP_PATH_MAX], path[2 * ENX_GROUP_PATH_MAX], text[TEXT_MAX];
    if (!is_v2(root) || !find_own("", own)) return false;
    *strrchr(own, '/') = '\0';
    snprintf(path, sizeof path, "%s%s", root, own);
    home->fds[0] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (home->fds[0] < 0) return false;
    read_text(home->fds[0], "cgroup.subtree_control", text);
    home->version = 2;
    return strstr(text, "memory") && strstr(text, "pids") &&
           faccessat(home->fds[0], "cgroup.procs", W_OK, 0) == 0;
}

static bool open_v1(enx_group_home *home, const char *root)
{
    static const char *const hierarchies[ENX_GROUP_FOLDERS] = { "memory", "pids" };
    for (int i = 0; i < ENX_GROUP_FOLDERS; i++) {
        char own[ENX_GROUP_PATH_MAX], path[2 * ENX_GROUP_PATH_MAX];
        if (!find_own(hierarchies[i], own)) return false;
        snprintf(path, sizeof path, "%s/%s%s", root, hierarchies[i], own);
        home->fds[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (home->fds[i] < 0 || faccessat(home->fds[i], "cgroup.procs", W_OK, 0) != 0) return false;
    }
    home->version = 1;
    return true;
}

/* What a process that was killed has left: empty groups. */
static void sweep(int home_fd)
{
    const int fd = openat(home_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR      *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        if (fd >= 0) close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0) continue;
        const pid_t pid = (pid_t)strtol(entry->d_name + sizeof PREFIX - 1, NULL, 10);
        if (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH)
            unlinkat(home_fd, entry->d_name, AT_REMOVEDIR);
    }
    closedir(folder);
}

void enx_group_home_open(enx_group_home *home, const char *root)
{
    *home = (enx_group_home){ .fds = { -1, -1 } };
    if (!open_v2(home, root)) {
        enx_group_home_close(home);
        if (!open_v1(home, root)) enx_group_home_close(home);
    }
    for (int i = 0; i < ENX_GROUP_FOLDERS; i++)
        if (home->fds[i] >= 0) sweep(home->fds[i]);
}

void enx_group_home_close(enx_group_home *home)
{
    for (int i = 0; i < ENX_GROUP_FOLDERS; i++) {
        if (home->fds[i] >= 0) close(home->fds[i]);
        home->fds[i] = -1;
    }
    home->version = 0;
}

/* One folder serves both in version 2. */
static bool is_same(const enx_group_home *home, int i) { return home->version == 2 && i > 0; }

static int home_of(const enx_group_home *home, int i)
{
    return home->fds[is_same(home, i) ? 0 : i];
}

bool enx_group_open(enx_group *group, const enx_group_home *home, pid_t pid,
                    const enx_sandbox_limits *limits)
{
    const uint64_t values[ENX_GROUP_FOLDERS] = {
        limits->memory_bytes + limits->disk_bytes + BYTES_MORE, enx_limit_processes(limits)
    };
    bool is_good = home->version != 0;
    *group = (enx_group){ .home = home, .fds = { -1, -1 } };
    snprintf(group->name, sizeof group->name, PREFIX "%d", (int)pid);
    for (int i = 0; i < ENX_GROUP_FOLDERS && is_good; i++) {
        const group_files *names = &files[home->version][i];
        const int          at = home_of(home, i);
        if (!is_same(home, i)) is_good = mkdirat(at, group->name, 0755) == 0;
        group->fds[i] = openat(at, group->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        is_good =
            is_good && group->fds[i] >= 0 && write_number(group->fds[i], names->limit, values[i]);
        /* swap is not on every kernel */
        if (is_good && names->swap)
            (void)write_number(group->fds[i], names->swap, home->version == 2 ? 0 : values[i]);
    }
    for (int i = 0; i < ENX_GROUP_FOLDERS && is_good; i++)
        if (!is_same(home, i)) is_good = write_number(group->fds[i], "cgroup.procs", (uint64_t)pid);
    if (!is_good) enx_group_close(group);
    return is_good;
}

static uint64_t count_events(int folder, const group_files *names)
{
    char        text[TEXT_MAX];
    const char *at = read_text(folder, names->events, text);
    for (; at && *at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, names->event, strlen(names->event)) == 0)
            return strtoull(at + strlen(names->event), NULL, 10);
    }
    return 0;
}

enx_sandbox_limit enx_group_met(const enx_group *group)
{
    if (!group->name[0]) return ENX_SANDBOX_LIMIT_NONE;
    const group_files *names = files[group->home->version];
    if (count_events(group->fds[0], &names[0])) return ENX_SANDBOX_LIMIT_MEMORY;
    if (count_events(group->fds[1], &names[1])) return ENX_SANDBOX_LIMIT_PROCESSES;
    return ENX_SANDBOX_LIMIT_NONE;
}

void enx_group_close(enx_group *group)
{
    for (int i = 0; group->name[0] && i < ENX_GROUP_FOLDERS; i++) {
        if (group->fds[i] >= 0) close(group->fds[i]);
        if (is_same(group->home, i)) continue;
        for (int tries = 0; tries < REMOVE_TRIES_MAX; tries++) {
            if (unlinkat(home_of(group->home, i), group->name, AT_REMOVEDIR) == 0 || errno != EBUSY)
                break;
            usleep(1000);
        }
    }
    *group = (enx_group){ .fds = { -1, -1 } };
}
