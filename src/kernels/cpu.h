/* SPDX-License-Identifier: Apache-2.0 */
/* cpu.h - what this processor can do.
 *
 * Layer: kernels.  Thread-safety: no shared state.
 */
#ifndef ENX_KERNELS_CPU_H
#define ENX_KERNELS_CPU_H

/* Levels are cumulative in a family: a CPU with a flag also has every lower one of x86 or ARM. */
typedef enum enx_cpu_flags {
    ENX_CPU_SCALAR = 0,
    ENX_CPU_AVX2 = 1u << 0,    /* AVX2 + FMA + F16C, checked together */
    ENX_CPU_AVX512 = 1u << 1,  /* F, BW, DQ, VL and VNNI, checked together */
    ENX_CPU_NEON = 1u << 2,    /* of every 64-bit ARM, with FMA and conversions of f16 */
    ENX_CPU_DOTPROD = 1u << 3, /* SDOT */
    ENX_CPU_I8MM = 1u << 4,    /* SMMLA */
} enx_cpu_flags;

/* What this machine has, capped at `wish` ("scalar", "avx2", "neon", "dotprod", NULL for no cap).
 * The caller passes getenv("ENX_CPU"): no library function reads the environment. */
unsigned enx_cpu_detect(const char *wish);

#endif /* ENX_KERNELS_CPU_H */
