/* SPDX-License-Identifier: Apache-2.0 */
/* net.h - the transformer as the trainer sees it: one flat array of parameters, and shards that
 * turn a batch of tokens into a loss and gradients.
 *
 * The architecture is GGUF's "qwen3": pre-RMSNorm, per-head norm of q and k, RoPE on half-split
 * pairs, SwiGLU, tied head, no biases; as many key heads as heads.
 *
 * A batch is a row of `token_count` tokens cut into segments (examples); attention stays inside a
 * segment and positions start at 0 in each, so no token is spent on padding between examples.
 *
 * Layer: train.  Thread-safety: a net is read-only during shard passes; a shard has one owner
 * thread.
 */
#ifndef ENX_TRAIN_NET_H
#define ENX_TRAIN_NET_H

#include "base/status.h"
#include "kernels/grad.h"
#include "train/gemm.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_NET_LAYERS_MAX = 64,
    ENX_NET_WIDTH_MAX = 4096,
    ENX_NET_VOCAB_MAX = 1 << 17,
};
#define ENX_TARGET_NONE UINT32_MAX
enum { ENX_NET_HEAD_ROWS = 512 }; /* rows of logits at a time */

/* width, vocab: multiples of 16; ffn: of 32; head_width 16, 32, 64 or 128, a divisor of width. */
typedef struct enx_net_sizes {
    uint32_t vocab, width, layers, head_width, ffn;
} enx_net_sizes;

/* Where each tensor starts in the flat array, in floats.  Matrices are [out][in]. */
typedef struct enx_net_layer_at {
    size_t attn_norm, qkv, q_norm, k_norm, attn_out, ffn_norm, gate_up, down;
} enx_net_layer_at;

typedef struct enx_net_layout {
    enx_net_sizes    sizes;
    size_t           embed; /* [vocab][width], also the head */
    size_t           out_norm;
    enx_net_layer_at layers[ENX_NET_LAYERS_MAX];
    size_t           count;
} enx_net_layout;

/* ENX_INVALID names the size that does not fit and what would. */
ENX_MUST_USE enx_status enx_net_layout_init(enx_net_layout *out, const enx_net_sizes *sizes,
                                            enx_report *report);

/* Seeded start: hidden matrices N(0, 1/fan_in), those that write to the residual stream divided
 * by sqrt(2 layers), embedding N(0, 0.02^2) x sqrt(320 / width), gains 1. */
void enx_net_start(const enx_net_layout *layout, float *params, uint64_t seed);

/* Floating-point operations of one token, forward and backward (6 N + attention). */
double enx_net_flops_per_token(const enx_net_layout *layout, double mean_segment_tokens);

typedef struct enx_batch {
    uint32_t  token_count;  /* the shard's capacity, always */
    uint32_t *tokens;       /* [token_count] */
    uint32_t *targets;      /* [token_count], ENX_TARGET_NONE: no loss here */
    uint32_t *positions;    /* [token_count], from 0 in each segment */
    uint32_t *segment_ends; /* [segment_count], rising; the last is token_count */
    uint32_t  segment_count;
    uint32_t  target_count;
    uint64_t  text_bytes; /* of the text behind the targets */
} enx_batch;

typedef struct enx_shard enx_shard;

/* Memory for batches of `token_count` tokens (a multiple of 64).  `epsilon` of the norms, rope base
 * as in the model. */
ENX_MUST_USE enx_status enx_shard_open(enx_shard **out, const enx_net_layout *layout,
                                       uint32_t token_count, bool is_bf16,
                                       const enx_grad_kernels *grad, enx_report *report);
void                    enx_shard_close(enx_shard **shard);

/* The shard's batch, to be filled by the caller, and its gradients [layout->count]. */
enx_batch *enx_shard_batch(enx_shard *shard);
float     *enx_shard_gradients(enx_shard *shard);

/* y [rows][wide] = or += x [rows][inner] W^T and dx [rows][inner] = dy [rows][wide] W, where W
 * [wide][inner] is blocked: the products of a pass, and what its operands are made for. */
enx_product enx_net_forward_product(size_t rows, size_t wide, size_t inner, bool is_added);
enx_product enx_net_backward_product(size_t rows, size_t wide, size_t inner);

typedef struct enx_operands enx_operands;

/* One pass over the batch.  operands: of these parameters, filled (operands.h).
 * loss_sum receives the sum of -log p over the targets; with is_backward the gradients of
 * loss_sum * scale (plus z-loss) are added to the shard's. */
ENX_MUST_USE enx_status enx_shard_run(enx_shard *shard, const float *params,
                                      const enx_operands *operands, bool is_backward, float scale,
                                      double *loss_sum, enx_report *report);

extern const float enx_net_rms_epsilon;
extern const float enx_net_rope_base;

#endif /* ENX_TRAIN_NET_H */
