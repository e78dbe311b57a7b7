/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - what the sandbox and the first process inside it tell each other.
 *
 * Over a pair of SEQPACKET sockets, in this order:
 *     inside -> outside   enx_wire_ready, with WIRE_FOLDER_COUNT descriptors and its credentials
 *     outside -> inside   enx_wire_go, followed by the filter's instructions
 *     inside -> outside   enx_wire_end, when the program and all its children are gone
 * Either side that sees the other's end closed ends the run.
 *
 * Layer: sandbox.  Thread-safety: no shared state.
 */
#ifndef ENX_SANDBOX_WIRE_H
#define ENX_SANDBOX_WIRE_H

#include <stdint.h>

enum {
    /* descriptors of the process inside */
    WIRE_CONTROL_FD = 3,
    WIRE_INIT_FD = 4, /* its own program */
    WIRE_FILTER_MAX = 4096,
};

/* argv[0] of process 1 where there are no namespaces: it starts in /work's place, beside which tmp
 * is, and is the one to which orphans of the program go. */
#define WIRE_WEAK_NAME "enxame-weak-run"

/* Folders whose descriptors `ready` brings; the first three are the file systems it may write. */
enum {
    WIRE_WORK,
    WIRE_TMP,
    WIRE_SHM,
    WIRE_WRITABLE_COUNT,
    WIRE_PROC = WIRE_WRITABLE_COUNT,
    WIRE_FOLDER_COUNT
};
#define WIRE_FOLDERS                         \
    {                                        \
        "/work", "/tmp", "/dev/shm", "/proc" \
    }
#define WIRE_WEAK_TMP "../tmp"
#define WIRE_WEAK_FOLDERS                          \
    {                                              \
        ".", WIRE_WEAK_TMP, WIRE_WEAK_TMP, "/proc" \
    }

typedef struct enx_wire_ready {
    uint32_t version;
} enx_wire_ready;
enum { WIRE_VERSION = 1 };

typedef struct enx_wire_go {
    uint64_t cpu_s, data_bytes, address_bytes, stack_bytes, file_bytes, open_files, processes,
        signals;
    uint32_t is_steady; /* addresses are not to be random */
    uint32_t filter_count;
    int32_t  landlock; /* version to use; 0: none, there are namespaces */
} enx_wire_go;

typedef struct enx_wire_end {
    int32_t  wait_status; /* as wait() gives it; of no meaning when exec failed */
    int32_t  exec_error;  /* errno; 0: the program was started */
    uint32_t left_count;  /* processes that were there when the program had ended */
    uint64_t cpu_user_us, cpu_system_us;
    uint64_t rss_max_bytes; /* of the largest process */
} enx_wire_end;

#endif /* ENX_SANDBOX_WIRE_H */
