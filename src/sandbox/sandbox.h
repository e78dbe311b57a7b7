/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox.h - run a program that nobody trusts, and get back what it said and made.
 *
 * A run has namespaces of its own (users, processes, files, network, IPC, host name, cgroups), made
 * by bubblewrap, a filter on its system calls, and limits.  It sees /usr read-only, an empty
 * network, a /proc of its own processes, and three small file systems in memory: /work, where it
 * starts and where its files are, /tmp and /dev/shm.  Nothing of it is left when run() returns.
 * docs/sandbox.md says what is promised, and what is not.
 *
 * A weak sandbox has no namespaces: Landlock and a narrower filter keep the program to a folder of
 * its own on the disk, and it shares processes and /proc with the host.  It is for hosts that give
 * no namespaces, and only for who asks for it.
 *
 * As root the program becomes user 65534 (nobody) before anything else happens.  Linux 5.14 or
 * later, with user namespaces.
 *
 * Layer: sandbox.  Thread-safety: a sandbox is immutable after open; may be shared by threads, each
 * with runs of its own.
 */
#ifndef ENX_SANDBOX_SANDBOX_H
#define ENX_SANDBOX_SANDBOX_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_SANDBOX_FILES_MAX = 1024, /* in; and out */
    ENX_SANDBOX_NAME_MAX = 512,   /* bytes of a file's name with its folders */
    ENX_SANDBOX_DEPTH_MAX = 16,   /* folders below each other in a name; deeper files stay */
    ENX_SANDBOX_ARGUMENTS_MAX = 64,
    ENX_SANDBOX_ENV_MAX = 32,
    ENX_SANDBOX_PROCESSES_MAX = 1024,
    ENX_SANDBOX_OPEN_FILES_MAX = 1024,
    ENX_SANDBOX_LOOK_MS_MAX = 20, /* between two looks at a run; what a look costs comes on top */
};
#define ENX_SANDBOX_BYTES_MAX   ((uint64_t)1 << 36) /* of each limit in bytes: 64 GiB */
#define ENX_SANDBOX_TIME_US_MAX ((uint64_t)86400 * 1000000)

/* X(name, text): which limit a run came to. */
/* clang-format off */
#define ENX_SANDBOX_LIMIT_MAP(X) \
    X(NONE,       "none") \
    X(CPU,        "cpu") \
    X(WALL,       "wall") \
    X(MEMORY,     "memory") \
    X(PROCESSES,  "processes") \
    X(FILE_SIZE,  "file size") \
    X(DISK,       "disk") \
    X(FILES,      "files") \
    X(OPEN_FILES, "open files") \
    X(STDOUT,     "stdout") \
    X(STDERR,     "stderr") \
    X(SYSCALL,    "system call")

typedef enum enx_sandbox_limit {
#define X(name, text) ENX_SANDBOX_LIMIT_##name,
    ENX_SANDBOX_LIMIT_MAP(X)
#undef X
    ENX_SANDBOX_LIMIT_COUNT
} enx_sandbox_limit;
/* clang-format on */

const char *enx_sandbox_limit_text(enx_sandbox_limit limit);

/* Every one holds for the whole run, all its processes together, but for file_bytes and open_files,
 * which are of one file and one process.  Nothing is unlimited. */
typedef struct enx_sandbox_limits {
    uint64_t cpu_us, wall_us;
    uint64_t memory_bytes; /* in memory, and swapped out, shared pages once */
    uint64_t file_bytes;   /* of one file */
    uint64_t disk_bytes;   /* of all files, input too */
    uint64_t stdout_bytes, stderr_bytes;
    uint64_t out_bytes; /* of files handed back; those beyond are left out */
    uint32_t processes; /* threads count as well */
    uint32_t files;     /* files, folders and links that there may be, input too */
    uint32_t open_files;
} enx_sandbox_limits;

/* 10 s of CPU, 20 s in all, 512 MiB, 64 processes, files of 64 MiB, 128 MiB and 4096 of them, 128
 * open, 1 MiB of stdout and of stderr, 8 MiB of files back. */
enx_sandbox_limits enx_sandbox_limits_default(void);

/* A file below /work. */
typedef struct enx_sandbox_file {
    const char *name; /* "a.c", "src/a.c": parts neither empty nor "." nor ".." */
    const void *bytes;
    size_t      size_bytes;
    bool        is_executable;
} enx_sandbox_file;

/* All is borrowed for the time of the call. */
typedef struct enx_sandbox_task {
    const char *const      *argv; /* NULL at the end; argv[0] is a path in the sandbox */
    const char *const      *env;  /* "NAME=VALUE", NULL at the end; or NULL.  Added to PATH, HOME,
                                     TMPDIR and LANG; nothing of our own environment goes in */
    const enx_sandbox_file *files;
    size_t                  file_count;
    const void             *stdin_bytes;
    size_t                  stdin_size_bytes;
    enx_sandbox_limits      limits;
    bool                    is_collecting; /* hand back the files that it made or changed */
    bool is_sparse_address; /* it reserves far more addresses than it uses, as AddressSanitizer
                               does: no limit on them, and the same ones every time */
    /* Asked at least every ENX_SANDBOX_LOOK_MS_MAX by the calling thread; true ends the run.
     * NULL: never. */
    bool (*should_stop)(void *user);
    void *user;
} enx_sandbox_task;

typedef struct enx_sandbox_result {
    int               landlock;   /* its version that confined a weak run; 0: a full sandbox */
    int               exit_code;  /* 0 .. 255; -1: ended by a signal */
    int               signal;     /* that ended it; 0: none */
    bool              is_stopped; /* by us, because of `limit` */
    enx_sandbox_limit limit;      /* stopped it, or (is_stopped false) was met and answered by the
                                     kernel with a signal or an error; NONE: none that we know of */
    enx_buf           out, err;   /* what it wrote, up to the limits */
    enx_sandbox_file *files;      /* owned, names and bytes too; by name */
    size_t            file_count;
    uint32_t          files_left_out; /* too large, too many, too deep, unreadable, or neither file
                                         nor folder */
    uint64_t          wall_us;        /* from start to end of the program */
    uint64_t          cpu_user_us, cpu_system_us;
    uint64_t          memory_peak_bytes; /* the most that a look saw, or the largest process had */
    uint64_t          overhead_us;       /* what the sandbox took besides wall_us */
} enx_sandbox_result;

typedef struct enx_sandbox enx_sandbox;

/* ENX_UNSUPPORTED: this host cannot do it; the report says which package or setting is missing.
 * `bwrap` NULL: found in PATH's usual places.  Nothing is run yet: enx_sandbox_probe does. */
ENX_MUST_USE enx_status enx_sandbox_open(enx_sandbox **out, const char *bwrap, enx_report *report);
/* A weak one.  It uses Landlock's version `landlock_max` at most; 0: the newest there is.
 * ENX_UNSUPPORTED: the kernel has none, or does not tell the children of processes. */
ENX_MUST_USE enx_status enx_sandbox_open_weak(enx_sandbox **out, int landlock_max,
                                              enx_report *report);
bool                    enx_sandbox_is_weak(const enx_sandbox *sandbox);
void                    enx_sandbox_close(enx_sandbox **sandbox);

/* Run /usr/bin/true.  ENX_UNSUPPORTED names what stands in the way. */
ENX_MUST_USE enx_status enx_sandbox_probe(const enx_sandbox *sandbox, enx_report *report);

/* Run a task to its end.  ENX_OK whenever the program was started, however it ended: see *out,
 * which then is to be released by enx_sandbox_result_deinit. ENX_INVALID: a name, limit or argument
 * that cannot be (the report says which) · ENX_LIMIT: the files do not fit limits.disk_bytes or
 * limits.files · ENX_NOTFOUND: no such program in the sandbox · ENX_UNSUPPORTED: the host does not
 * allow it · ENX_CANCELED: should_stop said so · ENX_IO, ENX_NOMEM.  In every case all processes
 * and files of the run are gone on return. */
ENX_MUST_USE enx_status enx_sandbox_run(const enx_sandbox *sandbox, const enx_sandbox_task *task,
                                        enx_sandbox_result *out, enx_report *report);
void                    enx_sandbox_result_deinit(enx_sandbox_result *result);

#endif /* ENX_SANDBOX_SANDBOX_H */
