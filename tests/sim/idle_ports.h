/* SPDX-License-Identifier: Apache-2.0 */
/* idle_ports.h - ports of a swarm that nobody crashes, cancels or times.
 *
 * Layer: tests.  Thread-safety: any thread.
 */
#ifndef ENX_TESTS_SIM_IDLE_PORTS_H
#define ENX_TESTS_SIM_IDLE_PORTS_H

#include "swarm/ports.h"

/* What was begun ends by itself. */
static inline void idle_cancel(void *self, uint64_t call_id) { (void)self, (void)call_id; }

static inline enx_status idle_save(void *self, const enx_record *records, size_t record_count,
                                   enx_report *report)
{
    (void)self, (void)records, (void)record_count, (void)report;
    return ENX_OK;
}

static inline uint64_t idle_now(void *self) { return (void)self, 1; }

#endif /* ENX_TESTS_SIM_IDLE_PORTS_H */
