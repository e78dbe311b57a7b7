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
    const unsigned long dotprod = 1ul << 20, i8mm = 1ul << 13; /* HWCAP_ASIMDDP, HWCAP2_I8MM */
    if (!(getauxval(AT_HWCAP) & dotprod)) return ENX_CPU_NEON;
    if (!(getauxval(AT_HWCAP2) & i8mm)) return ENX_CPU_NEON | ENX_CPU_DOTPROD;
    return ENX_CPU_NEON | ENX_CPU_DOTPROD | ENX_CPU_I8MM;
}
#else
static unsigned detect(void) { return ENX_CPU_SCALAR; }
#endif

unsigned enx_cpu_detect(const char *wish)
{
    static const struct {
        const char *name;
        unsigned    most;
    } caps[] = {
        { "scalar", ENX_CPU_SCALAR },
        { "avx2", ENX_CPU_AVX2 },
        { "neon", ENX_CPU_NEON },
        { "dotprod", ENX_CPU_NEON | ENX_CPU_DOTPROD },
    };
    const unsigned found = detect();
    for (size_t i = 0; wish && i < sizeof caps / sizeof *caps; i++)
        if (strcmp(wish, caps[i].name) == 0) return found & caps[i].most;
    return found;
}
