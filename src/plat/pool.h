/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - threads for computing: one call, `part_count` equal parts, one barrier.
 *
 * Part p of a call always does the same work, whichever thread runs it, so results do not
 * depend on the number of threads as long as the caller cuts by output and not by thread.
 *
 * Layer: plat.  Thread-safety: one owner thread calls run(); parts run at the same time.
 */
#ifndef ENX_PLAT_POOL_H
#define ENX_PLAT_POOL_H

#include "base/status.h"

#include <stdint.h>

enum { ENX_POOL_THREADS_MAX = 64 };

typedef struct enx_pool enx_pool;

typedef void (*enx_pool_fn)(void *user, uint32_t part, uint32_t part_count);

/* thread_count 0: one per core the process may use.  The caller's own thread counts as one. */
ENX_MUST_USE enx_status enx_pool_open(enx_pool **out, uint32_t thread_count, enx_report *report);
void                    enx_pool_close(enx_pool **pool);
uint32_t                enx_pool_thread_count(const enx_pool *pool);

/* Run parts 0..part_count-1 and return when all are done. */
void enx_pool_run(enx_pool *pool, enx_pool_fn fn, void *user, uint32_t part_count);

uint32_t enx_cpu_count(void);

#endif /* ENX_PLAT_POOL_H */
