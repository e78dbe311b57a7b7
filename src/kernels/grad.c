/* SPDX-License-Identifier: Apache-2.0 */
/* grad.c - choosing a level for the trainer's loops. */
#include "kernels/grad.h"

#include "kernels/cpu.h"

void enx_grad_bind_scalar(enx_grad_kernels *table);
void enx_grad_bind_avx2(enx_grad_kernels *table);
void enx_grad_bind_avx512(enx_grad_kernels *table);

size_t enx_attention_scratch_floats(size_t n, size_t d)
{
    const size_t padded = (n + 31) & ~(size_t)31;
    return 2 * padded * padded + 5 * padded * d;
}

void enx_grad_kernels_init(enx_grad_kernels *table, unsigned cpu_flags)
{
    enx_grad_bind_scalar(table);
#if HAVE_KERNELS_AVX2
    if (cpu_flags & ENX_CPU_AVX2) enx_grad_bind_avx2(table);
#endif
#if HAVE_KERNELS_AVX512
    if (cpu_flags & ENX_CPU_AVX512) enx_grad_bind_avx512(table);
#endif
    table->matrix = enx_matrix_kernels_find(cpu_flags);
}
