/* SPDX-License-Identifier: Apache-2.0 */
/* echo.h - an endpoint of this process on 127.0.0.1 that answers every request at once, as a
 * streaming chat completion of two tokens.
 *
 * Layer: bench.  Thread-safety: open once; it has a thread of its own, to the end of the process.
 */
#ifndef ENX_BENCH_ECHO_H
#define ENX_BENCH_ECHO_H

#include <stdint.h>

/* Returns the port. */
uint16_t echo_open(void);

/* The same in a process of its own, which ends with this one and has no part in its memory and
 * files.  The first `hold` requests are answered when all of them are there. */
uint16_t echo_open_apart(uint32_t hold);

#endif /* ENX_BENCH_ECHO_H */
