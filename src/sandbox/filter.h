/* SPDX-License-Identifier: Apache-2.0 */
/* filter.h - which system calls a program in the sandbox may make.
 *
 * Three classes.  Allowed: what a program that computes, reads and writes files and starts
 * processes asks for.  Deadly: doors into the kernel that no such program needs (mount, ptrace,
 * bpf, ...): the process ends with SIGSYS.  All others, and those that do not exist yet, fail with
 * ENOSYS, as on an older kernel; programs that probe for news go on without them.
 *
 * Layer: sandbox.  Thread-safety: no shared state.
 */
#ifndef ENX_SANDBOX_FILTER_H
#define ENX_SANDBOX_FILTER_H

#include "base/buf.h"

/* For runs without namespaces: `landlock` is the version of Landlock that confines them (0: there
 * are namespaces), and what it leaves open is closed: sockets but for pairs, modes and owners of
 * files, priorities; below CONFINE_ABI_SIGNALS signals, below CONFINE_ABI_TRUNCATION shortening a
 * file that is not open for writing.
 *
 * Append the filter's instructions (struct sock_filter).  ENX_NOMEM, ENX_LIMIT of the buffer,
 * ENX_UNSUPPORTED: libseccomp does not know this machine. */
ENX_MUST_USE enx_status enx_filter_build(enx_buf *out, int landlock, enx_report *report);

#endif /* ENX_SANDBOX_FILTER_H */
