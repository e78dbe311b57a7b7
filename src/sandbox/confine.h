/* SPDX-License-Identifier: Apache-2.0 */
/* confine.h - Landlock: which files a program of the weaker mode reaches.
 *
 * Sources: the kernel's userspace-api/landlock.  The numbers of newer versions are written here,
 * since the headers of the system that builds may be older than the kernel that runs.
 *
 * Layer: sandbox.  Thread-safety: no shared state.
 */
#ifndef ENX_SANDBOX_CONFINE_H
#define ENX_SANDBOX_CONFINE_H

/* Versions of Landlock that know more. */
enum { CONFINE_ABI_MOVES = 2, CONFINE_ABI_TRUNCATION = 3, CONFINE_ABI_SIGNALS = 6 };

/* The kernel's version; 0: it has none, or it is switched off. */
int enx_confine_abi(void);

/* Confine the calling thread, and all that it starts, as version `abi` can: it reads the system's
 * programs and /proc, and writes below the folders `work` and `tmp` only.  From version
 * CONFINE_ABI_SIGNALS on its signals reach what it started, too, and nothing else.  It must have
 * given up new privileges before.  -1: errno says why. */
int enx_confine(int abi, const char *work, const char *tmp);

#endif /* ENX_SANDBOX_CONFINE_H */
