/* SPDX-License-Identifier: Apache-2.0 */
/* cpu_clock.c - preloaded into a program: its steady clock is the processor's time that it took, so
 * that one thread can be timed on a busy machine.
 *
 *     cc -shared -fPIC -o cpu_clock.so cpu_clock.c && LD_PRELOAD=./cpu_clock.so PROGRAM
 */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *at)
{
    return (int)syscall(SYS_clock_gettime,
                        clock == CLOCK_MONOTONIC ? CLOCK_PROCESS_CPUTIME_ID : clock, at);
}
