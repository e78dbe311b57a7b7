/* SPDX-License-Identifier: Apache-2.0 */
/* grad_scalar.c - the trainer's loops at level scalar. */
#define GRAD_LEVEL      "scalar"
#define GRAD_STRIP      4
#define GRAD_BLOCK_ROWS 4
#define GRAD_BIND       enx_grad_bind_scalar
#include "kernels/grad_body.h"
