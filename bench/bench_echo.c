/* SPDX-License-Identifier: Apache-2.0 */
/* bench_echo.c - the endpoint of `enxame bench swarm` as a process of its own, for others to call:
 * prints its port and answers until it is killed. */
#include "bench/echo.h"

#include <stdio.h>
#include <unistd.h>

int main(void)
{
    printf("%u\n", echo_open());
    fflush(stdout);
    for (;;) pause();
}
