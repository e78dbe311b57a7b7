/* SPDX-License-Identifier: Apache-2.0 */
/* cpu.c - CPUID, and whether the operating system saves the wide registers; on ARM the operating
 * system's word for both. */
#include "kernels/cpu.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <stdint.h>

static uint64_t saved_registers(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static unsigned detect(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return ENX_CPU_SCALAR;
    const uint32_t osxsave = 1u << 27, fma = 1u << 12, f16c = 1u << 29;
    if (!(c & osxsave) || !(c & fma) || !(c & f16c)) return ENX_CPU_SCALAR;
    const uint64_t saved = saved_registers();
    if ((saved & 0x6) != 0x6) return ENX_CPU_SCALAR; /* xmm, ymm */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return ENX_CPU_SCALAR;
    const uint32_t avx2 = 1u << 5;
    if (!(b & avx2)) return ENX_CPU_SCALAR;
    const uint32_t wide = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    const uint32_t vnni = 1u << 11;
    if ((b & wide) != wide || !(c & vnni) || (saved & 0xE6) != 0xE6) return ENX_CPU_AVX2;
    return ENX_CPU_AVX2 | ENX_CPU_AVX512;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

static unsigned detect(void)
{
    const unsigned long has_dotprod = 1ul << 20; /* HWCAP_ASIMDDP */
    return ENX_CPU_NEON | (getauxval(AT_HWCAP) & has_dotprod ? ENX_CPU_DOTPROD : 0);
}
#else
static unsigned detect(void) { return ENX_CPU_SCALAR; }
#endif

unsigned enx_cpu_detect(const char *wish)
{
    const unsigned found = detect();
    if (wish && strcmp(wish, "scalar") == 0) return ENX_CPU_SCALAR;
    if (wish && strcmp(wish, "avx2") == 0) return found & ENX_CPU_AVX2;
    if (wish && strcmp(wish, "neon") == 0) return found & ENX_CPU_NEON;
    return found;
}
