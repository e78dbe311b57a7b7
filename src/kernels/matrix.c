/* SPDX-License-Identifier: Apache-2.0 */
/* matrix.c - which processors have products of their own: with AVX-512 oneDNN is at the peak. */
#include "kernels/matrix.h"

#include "kernels/cpu.h"

const enx_matrix_kernels *enx_matrix_kernels_avx2(void);

const enx_matrix_kernels *enx_matrix_kernels_find(unsigned cpu_flags)
{
#if HAVE_KERNELS_AVX2
    if ((cpu_flags & ENX_CPU_AVX2) && !(cpu_flags & ENX_CPU_AVX512))
        return enx_matrix_kernels_avx2();
#endif
    (void)cpu_flags;
    return NULL;
}
