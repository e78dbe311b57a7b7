/* SPDX-License-Identifier: Apache-2.0 */
/* weights.h - typed views of a model's tensors, for the forward pass.
 *
 * Matrices that products meet are in panels where they are quantized (layout.h); others stay where
 * the file is mapped.  Gains are copied to f32.
 *
 * Layer: model.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_MODEL_WEIGHTS_H
#define ENX_MODEL_WEIGHTS_H

#include "kernels/blocks.h"
#include "model/model.h"

typedef struct enx_matrix {
    enx_tensor_type type;
    uint32_t        row_count; /* outputs */
    uint32_t        col_count; /* inputs */
    uint64_t        row_bytes;
    const uint8_t  *data; /* [row_count][col_count], or panels of it */
    bool            is_panels;
    uint64_t        size_bytes; /* of one */
    uint32_t        count;      /* as many of this shape, one after the other; 1 but for experts */
} enx_matrix;

typedef struct enx_layer {
    const float *attn_norm; /* [width] */
    enx_matrix   q, k, v;   /* heads * head_width rows */
    /* Those that the architecture has not are NULL. */
    const float *q_bias, *k_bias, *v_bias; /* [rows of q, k, v] */
    const float *q_norm, *k_norm;          /* [head_width] */
    const float *attn_post_norm;           /* [width] */
    const float *ffn_post_norm;
    enx_matrix   o;
    const float *o_bias;   /* [width] */
    const float *sinks;    /* [head_count] */
    const float *ffn_norm; /* [width] */
    enx_matrix   gate, up, down;
    /* Experts only: */
    enx_matrix   router;                          /* a row an expert */
    const float *router_bias;                     /* [expert_count] */
    const float *gate_bias, *up_bias, *down_bias; /* [expert_count][rows of one] */
} enx_layer;

typedef struct enx_weights {
    enx_matrix       embed; /* a row a token */
    const enx_layer *layers;
    const float     *out_norm;
    enx_matrix       head;         /* the embedding again when the head is tied */
    const float     *rope_factors; /* [rope_width / 2] that divide the frequencies; NULL: all 1 */
    const float     *long_factors; /* the same for contexts above original_tokens, or NULL */
    /* What products want: */
    bool has_acts;   /* some matrix is in blocks of 32: activations have to be quantized so */
    bool has_acts_k; /* some matrix is in blocks of 256 */
} enx_weights;

const enx_weights *enx_model_weights(const enx_model *model);
/* The matrix of one expert. */
enx_matrix         enx_matrix_of_expert(const enx_matrix *matrices, uint32_t expert);
/* What open() allocated: gains and views. */
uint64_t           enx_model_memory_bytes(const enx_model *model);

#endif /* ENX_MODEL_WEIGHTS_H */
