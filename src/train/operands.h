/* SPDX-License-Identifier: Apache-2.0 */
/* operands.h - the net's matrices as the right operands of its products.
 *
 * oneDNN multiplies fastest by an operand in a layout of its own choosing, and a matrix serves
 * many passes between two updates.  So each W [wide][inner] is kept twice, for x W^T on the way
 * down and for dy W on the way up, and rewritten after each update.
 *
 * Layer: train.  Thread-safety: different parts may be filled at once; read-only in between.
 */
#ifndef ENX_TRAIN_OPERANDS_H
#define ENX_TRAIN_OPERANDS_H

#include "base/status.h"
#include "train/net.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct enx_operands enx_operands;

/* For shards of `token_count` tokens.  `layout` is borrowed. */
ENX_MUST_USE enx_status enx_operands_open(enx_operands **out, const enx_net_layout *layout,
                                          uint32_t token_count, bool is_bf16,
                                          const enx_grad_kernels *grad, enx_report *report);
void                    enx_operands_close(enx_operands **operands);

/* One part a matrix. */
uint32_t                enx_operands_part_count(const enx_operands *operands);
/* Rewrite one matrix from `params` [layout->count]. */
ENX_MUST_USE enx_status enx_operands_fill(enx_operands *operands, const float *params,
                                          uint32_t part, enx_report *report);

/* The matrix that starts at `at` in the parameters. */
const void *enx_operands_forward(const enx_operands *operands, size_t at);
const void *enx_operands_backward(const enx_operands *operands, size_t at);

#endif /* ENX_TRAIN_OPERANDS_H */
