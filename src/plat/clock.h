/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - what time it is, and what this process has used.
 *
 * Layer: plat.  Thread-safety: no shared state.
 */
#ifndef ENX_PLAT_CLOCK_H
#define ENX_PLAT_CLOCK_H

#include <stdint.h>

uint64_t enx_clock_monotonic_us(void);
uint64_t enx_clock_wall_us(void); /* since 1970-01-01 UTC */
uint64_t enx_clock_cpu_us(void);  /* this process, all threads */
uint64_t enx_clock_monotonic_ns(void);
uint64_t enx_clock_cpu_ns(void);
uint64_t enx_clock_rss_max_bytes(void); /* high-water mark of resident memory */
uint64_t enx_clock_heap_bytes(void);    /* in use, of all libraries; 0: the libc does not tell */

#endif /* ENX_PLAT_CLOCK_H */
