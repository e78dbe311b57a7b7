/* SPDX-License-Identifier: Apache-2.0 */
/* grad_avx2.c - the trainer's loops at level avx2. */
#define GRAD_LEVEL      "avx2"
#define GRAD_STRIP      8
#define GRAD_BLOCK_ROWS 4
#define GRAD_BIND       enx_grad_bind_avx2
#include "kernels/grad_body.h"
