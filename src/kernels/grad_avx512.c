/* SPDX-License-Identifier: Apache-2.0 */
/* grad_avx512.c - the trainer's loops at level avx512. */
#define GRAD_LEVEL      "avx512"
#define GRAD_STRIP      16
#define GRAD_BLOCK_ROWS 8
#define GRAD_BIND       enx_grad_bind_avx512
#include "kernels/grad_body.h"
