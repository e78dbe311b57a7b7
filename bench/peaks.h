/* SPDX-License-Identifier: Apache-2.0 */
/* peaks.h - loops that do nothing but what the processor, or the memory, is fastest at.
 *
 * Layer: bench.  Thread-safety: no shared state.
 */
#ifndef ENX_BENCH_PEAKS_H
#define ENX_BENCH_PEAKS_H

#include <stddef.h>

/* Each does some two million instructions of its kind and returns the operations they stand for. */
double peak_int8(void);
double peak_float(void);
/* Reads [size_bytes], a multiple of 128, 64-byte aligned. */
void   peak_read(const void *at, size_t size_bytes);

#endif /* ENX_BENCH_PEAKS_H */
