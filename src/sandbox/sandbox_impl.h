/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox_impl.h - the parts of a run, as they know each other.
 *
 *     spawn   bubblewrap with its arguments, as a child of the calling thread
 *     watch   looks at a run: memory, processor time, processes, files
 *     work    files into /work and out of it
 *
 * Layer: sandbox.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SANDBOX_SANDBOX_IMPL_H
#define ENX_SANDBOX_SANDBOX_IMPL_H

#include "sandbox/sandbox.h"
#include "sandbox/wire.h"

#include <sys/types.h>

enum { SANDBOX_USER_ID = 65534 }; /* what root becomes; and its group */

/* ---- spawn ---- */

/* Our ends of what connects us with a run; -1: closed. */
typedef struct enx_spawned {
    pid_t pid; /* of bubblewrap; 0: reaped */
    int   stdin_fd, stdout_fd, stderr_fd;
    int   control_fd;
} enx_spawned;

/* Start bubblewrap, which starts `init_fd` in the sandbox, which will start argv.  All descriptors
 * are ours to close.  ENX_UNSUPPORTED: bubblewrap itself cannot be started. */
ENX_MUST_USE enx_status enx_spawn(enx_spawned *out, const char *bwrap, int init_fd,
                                  const enx_sandbox_task *task, enx_report *report);
/* Close what is open.  The process is not waited for. */
void                    enx_spawned_close(enx_spawned *spawned);

/* Which setting of this host keeps user namespaces away; "" when none that is known. */
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

/* `folders` as process 1 sent them. */
void     enx_watch_look(const int folders[WIRE_FOLDER_COUNT], enx_look *out);
/* Shared pages counted once; slow. */
uint64_t enx_watch_memory(int proc_fd);

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
