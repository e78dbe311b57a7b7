/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox_impl.h - the parts of a run, as they know each other.
 *
 *     spawn   bubblewrap with its arguments, as a child of the calling thread
 *     watch   looks at a run: memory, processor time, processes, files
 *     work    files into /work and out of it
 *     group   cgroups, where there may be some
 *     place   the folder of a weak run, on the disk
 *
 * Layer: sandbox.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SANDBOX_SANDBOX_IMPL_H
#define ENX_SANDBOX_SANDBOX_IMPL_H

#include "sandbox/sandbox.h"
#include "sandbox/wire.h"

#include <sys/types.h>

enum { ENX_PLACE_PATH_MAX = 512 };
enum { SANDBOX_USER_ID = 65534 }; /* what root becomes; and its group */

/* ---- place ---- */

#define ENX_PLACE_WORK "work"
#define ENX_PLACE_TMP  "tmp"

/* A folder of our own with the two above in it, which belong to the program's user. */
typedef struct enx_place {
    char path[ENX_PLACE_PATH_MAX]; /* "": none */
    int  fd;                       /* -1 */
} enx_place;

/* On failure, too, enx_place_close removes what there is. */
ENX_MUST_USE enx_status enx_place_open(enx_place *place, enx_report *report);
void                    enx_place_close(enx_place *place);

/* ---- spawn ---- */

/* Our ends of what connects us with a run; -1: closed. */
typedef struct enx_spawned {
    pid_t pid; /* of bubblewrap; 0: reaped */
    int   stdin_fd, stdout_fd, stderr_fd;
    int   control_fd;
} enx_spawned;

/* Start bubblewrap, which starts `init_fd` in the sandbox, which will start argv; or, where `place`
 * is not NULL, `init_fd` itself in that place.  All descriptors are ours to close. ENX_UNSUPPORTED:
 * bubblewrap itself cannot be started. */
ENX_MUST_USE enx_status enx_spawn(enx_spawned *out, const char *bwrap, int init_fd,
                                  const enx_place *place, const enx_sandbox_task *task,
                                  enx_report *report);
/* Close what is open.  The process is not waited for. */
void                    enx_spawned_close(enx_spawned *spawned);

/* Which setting of this host keeps user namespaces away, or what to look at when none is known. */
const char *enx_spawn_hint(void);

/* ---- watch ---- */

/* What a look sees. */
typedef struct enx_look {
    uint64_t memory_bytes; /* of processes with their page tables; a page that several share counts
                              for each */
    uint64_t cpu_us;       /* with that of children that were waited for */
    uint64_t disk_bytes, files;
    uint32_t processes;      /* threads; without process 1 */
    uint32_t open_files_max; /* of one process; 0 before Linux 6.2 */
} enx_look;

/* `folders` as process 1 sent them.  `root`: the process whose descendants are looked at; 0: all of
 * that /proc, and the file systems, which are the run's own then. */
void     enx_watch_look(const int folders[WIRE_FOLDER_COUNT], pid_t root, enx_look *out);
/* Shared pages counted once; slow. */
uint64_t enx_watch_memory(int proc_fd, pid_t root);
/* Threads of all processes of a user. */
uint64_t enx_watch_threads(int proc_fd, uid_t user);
/* Add what lies in the place: blocks of the disk, and files. */
void     enx_place_look(const enx_place *place, enx_look *out);

/* ---- group ---- */

enum { ENX_GROUP_FOLDERS = 2, ENX_GROUP_PATH_MAX = 1024 }; /* of memory, of processes */

/* Where groups can be made. */
typedef struct enx_group_home {
    int version;                /* 1, 2; 0: nowhere */
    int fds[ENX_GROUP_FOLDERS]; /* in version 2 one for both; -1 */
} enx_group_home;

/* `root`: "/sys/fs/cgroup".  Finding nothing is no failure. */
void enx_group_home_open(enx_group_home *home, const char *root);
void enx_group_home_close(enx_group_home *home);

/* One run's; the zero value with fds of -1 is none. */
typedef struct enx_group {
    const enx_group_home *home; /* borrowed */
    char                  name[32];
    int                   fds[ENX_GROUP_FOLDERS];
} enx_group;

/* Put process `pid` and all that it starts into a group with these limits; false: there is none. */
bool              enx_group_open(enx_group *group, const enx_group_home *home, pid_t pid,
                                 const enx_sandbox_limits *limits);
/* Which of them the kernel had to enforce; NONE when none, or no group. */
enx_sandbox_limit enx_group_met(const enx_group *group);
/* When its processes are gone. */
void              enx_group_close(enx_group *group);

/* How many processes the kernel allows, process 1 too: more than the limit, so that a look sees
 * that there are too many. */
uint32_t enx_limit_processes(const enx_sandbox_limits *limits);

/* ---- work ---- */

/* ENX_INVALID: the report says which name cannot be. */
ENX_MUST_USE enx_status enx_work_check(const enx_sandbox_file *files, size_t count,
                                       enx_report *report);
/* Write the files into the folder.  ENX_LIMIT: they do not fit. */
ENX_MUST_USE enx_status enx_work_fill(int folder, const enx_sandbox_file *files, size_t count,
                                      enx_report *report);
/* After the end of the run: the files that it made or changed, and whether one has the greatest
 * size that there may be.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_work_collect(int folder, const enx_sandbox_task *task,
                                         enx_sandbox_result *out, bool *is_at_limit,
                                         enx_report *report);

#endif /* ENX_SANDBOX_SANDBOX_IMPL_H */
