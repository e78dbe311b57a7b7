/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - looks at a run through its own /proc, which lists its processes and no others.
 *
 * A process that ends while it is looked at counts as nothing; no look is exact, and none needs to
 * be: what must never be passed is a limit of the kernel (inside.c), what is added up here is
 * stopped soon after. */
#include "sandbox/sandbox_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

enum {
    STAT_FIELD_UTIME = 11, /* fields after the name, from 0: utime, stime, cutime, cstime */
    STAT_FIELD_THREADS = 17,
    DEPTH_MAX = 128, /* of processes below each other; two descriptors each */
};

/* The start of a file of process `pid`, as text; "" when the process is gone. */
static const char *read_of(int proc_fd, const char *pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", pid, name);
    const int     fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0) close(fd);
    text[got > 0 ? got : 0] = '\0';
    return text;
}

/* "Name:   123 kB" in bytes; 0 when there is no such line. */
static uint64_t find_kib(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line ? strtoull(line + strlen(name), NULL, 10) * 1024u : 0;
}

static void look_at_times(int proc_fd, const char *pid, enx_look *out)
{
    char        text[1024];
    const char *at = strrchr(read_of(proc_fd, pid, "stat", text, sizeof text), ')');
    if (!at || !at[1]) return;
    at += 2; /* a name may hold anything, even ")" */
    const uint64_t tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    for (int field = 0; field <= STAT_FIELD_THREADS && at; field++) {
        const uint64_t value = strtoull(at, NULL, 10);
        if (field >= STAT_FIELD_UTIME && field < STAT_FIELD_UTIME + 4)
            out->cpu_us += value * tick_us;
        if (field == STAT_FIELD_THREADS && strcmp(pid, "1") != 0) out->processes += (uint32_t)value;
        at = strchr(at, ' ');
        if (at) at++;
    }
}

static void look_at_process(int proc_fd, const char *pid, enx_look *out)
{
    char        text[4096], path[64];
    struct stat facts;
    look_at_times(proc_fd, pid, out);
    read_of(proc_fd, pid, "status", text, sizeof text);
    out->memory_bytes += find_kib(text, "\nRssAnon:") + find_kib(text, "\nRssShmem:") +
                         find_kib(text, "\nVmSwap:") + find_kib(text, "\nVmPTE:");
    snprintf(path, sizeof path, "%s/fd", pid);
    if (fstatat(proc_fd, path, &facts, 0) == 0 && facts.st_size > out->open_files_max)
        out->open_files_max = (uint32_t)facts.st_size;
}

static void look_at_pss(int proc_fd, const char *pid, uint64_t *bytes)
{
    char text[4096];
    read_of(proc_fd, pid, "smaps_rollup", text, sizeof text);
    const bool is_readable = text[0] != '\0'; /* a process can close it to its own user */
    *bytes += find_kib(text, "\nPss_Anon:") + find_kib(text, "\nPss_Shmem:") +
              find_kib(text, "\nSwapPss:");
    read_of(proc_fd, pid, "status", text, sizeof text);
    if (!is_readable)
        *bytes += find_kib(text, "\nRssAnon:") + find_kib(text, "\nRssShmem:") +
                  find_kib(text, "\nVmSwap:");
    *bytes += find_kib(text, "\nVmPTE:");
}

/* What is done with each process of a run: a look, or an addition to the bytes. */
typedef struct visit {
    enx_look *look;
    uint64_t *pss_bytes;
} visit;

static void visit_process(int proc_fd, const char *pid, const visit *v)
{
    if (v->look) look_at_process(proc_fd, pid, v->look);
    else look_at_pss(proc_fd, pid, v->pss_bytes);
}

/* The children of one thread; the list ends where the text does, or the number would be cut. */
static void visit_children(int proc_fd, const char *task, int depth, const visit *v);

/* Not through a queue: a run has at most some hundred processes, and the kernel bounds them. */
static void visit_descendants(int proc_fd, const char *pid, int depth, const visit *v)
{
    char path[64];
    snprintf(path, sizeof path, "%s/task", pid);
    const int fd =
        depth < DEPTH_MAX ? openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "%.20s/task/%.20s", pid, entry->d_name);
        visit_children(proc_fd, path, depth + 1, v);
    }
    if (folder) closedir(folder);
    else if (fd >= 0) close(fd);
}

static void visit_children(int proc_fd, const char *task, int depth, const visit *v)
{
    char text[8192], pid[24], *at = text;
    read_of(proc_fd, task, "children", text, sizeof text);
    char *last = strrchr(text, ' ');
    if (last) *last = '\0';
    for (long number; (number = strtol(at, &at, 10)) > 0;) {
        snprintf(pid, sizeof pid, "%ld", number);
        visit_process(proc_fd, pid, v);
        visit_descendants(proc_fd, pid, depth, v);
    }
}

static void visit_all(int proc_fd, const visit *v)
{
    const int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR      *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        if (fd >= 0) close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        visit_process(proc_fd, entry->d_name, v);
    }
    closedir(folder);
}

/* The processes that are the run's: of `root` and below, or all. */
static void visit_run(int proc_fd, pid_t root, const visit *v)
{
    char pid[24];
    if (root == 0) {
        visit_all(proc_fd, v);
        return;
    }
    snprintf(pid, sizeof pid, "%d", (int)root);
    visit_process(proc_fd, pid, v);
    visit_descendants(proc_fd, pid, 0, v);
}

void enx_watch_look(const int folders[WIRE_FOLDER_COUNT], pid_t root, enx_look *out)
{
    *out = (enx_look){ 0 };
    for (int i = 0; i < WIRE_WRITABLE_COUNT && root == 0; i++) {
        struct statfs facts;
        if (fstatfs(folders[i], &facts) != 0) continue;
        out->disk_bytes += (uint64_t)(facts.f_blocks - facts.f_bfree) * (uint64_t)facts.f_bsize;
        out->files += (uint64_t)(facts.f_files - facts.f_ffree) - 1; /* without the folder itself */
    }
    visit_run(folders[WIRE_PROC], root, &(visit){ .look = out });
    if (root && out->processes) out->processes--; /* `root` itself, as process 1 */
}

uint64_t enx_watch_memory(int proc_fd, pid_t root)
{
    uint64_t bytes = 0;
    visit_run(proc_fd, root, &(visit){ .pss_bytes = &bytes });
    return bytes;
}

uint64_t enx_watch_threads(int proc_fd, uid_t user)
{
    const int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR      *folder = fd < 0 ? NULL : fdopendir(fd);
    uint64_t  count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        char text[4096];
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        read_of(proc_fd, entry->d_name, "status", text, sizeof text);
        const char *owner = strstr(text, "\nUid:"), *threads = strstr(text, "\nThreads:");
        if (owner && threads && strtoul(owner + 5, NULL, 10) == user)
            count += strtoul(threads + 9, NULL, 10);
    }
    if (folder) closedir(folder);
    else if (fd >= 0) close(fd);
    return count;
}
