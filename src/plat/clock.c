/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - the kernel's clocks and accounts. */
#include "plat/clock.h"

#include "base/check.h"

#include <malloc.h>
#include <sys/resource.h>
#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
    struct timespec now;
    ENX_CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t read_us(clockid_t clock) { return read_ns(clock) / 1000u; }

uint64_t enx_clock_monotonic_us(void) { return read_us(CLOCK_MONOTONIC); }

uint64_t enx_clock_wall_us(void) { return read_us(CLOCK_REALTIME); }

uint64_t enx_clock_cpu_us(void) { return read_us(CLOCK_PROCESS_CPUTIME_ID); }

uint64_t enx_clock_monotonic_ns(void) { return read_ns(CLOCK_MONOTONIC); }

uint64_t enx_clock_cpu_ns(void) { return read_ns(CLOCK_PROCESS_CPUTIME_ID); }

uint64_t enx_clock_rss_max_bytes(void)
{
    struct rusage usage;
    ENX_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (uint64_t)usage.ru_maxrss * 1024u; /* Linux counts in KiB */
}

uint64_t enx_clock_heap_bytes(void)
{
#ifdef __GLIBC__
    const struct mallinfo2 all = mallinfo2();
    return (uint64_t)all.uordblks + (uint64_t)all.hblkhd;
#else
    return 0;
#endif
}
