/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - what a transformer is: sizes and weights, read from GGUF.
 *
 * Architectures: those of architecture.h.  Tensor types: all that enx_tensor_type names, in any
 * mixture.  Quantized ones are laid out anew for products (layout.h), the others borrowed.
 *
 * Layer: model.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_MODEL_MODEL_H
#define ENX_MODEL_MODEL_H

#include "base/status.h"
#include "gguf/gguf.h"
#include "model/architecture.h"
#include "model/model_file.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_MODEL_LAYERS_MAX = 512,
    ENX_MODEL_WIDTH_MAX = 1 << 16,
    ENX_MODEL_HEADS_MAX = 512,
    ENX_MODEL_HEAD_WIDTH_MAX = 512,
    ENX_MODEL_VOCAB_MAX = 1 << 20,
    ENX_MODEL_CONTEXT_MAX = 1 << 20,
    ENX_MODEL_EXPERTS_MAX = 1024,
};

/* How rotation is stretched over contexts longer than those of training. */
typedef struct enx_rope_scaling {
    float    factor;           /* positions are divided by it; 1: not stretched */
    float    attention_factor; /* multiplies rotated queries and keys */
    bool     is_yarn;          /* quick pairs keep their pace (Peng et al. 2023, section 3.2) */
    uint32_t original_tokens;  /* context of training */
} enx_rope_scaling;

typedef struct enx_hparams {
    const enx_architecture *arch;

    uint32_t vocab_count;
    uint32_t context_tokens;
    uint32_t width;
    uint32_t layer_count;
    uint32_t head_count;
    uint32_t kv_head_count;
    uint32_t head_width;        /* of one head */
    uint32_t rope_width;        /* the first of those, which are rotated */
    uint32_t ffn_width;         /* of one expert, where there are some */
    uint32_t expert_count;      /* 0: a feed-forward for all */
    uint32_t expert_used_count; /* of a row */
    uint32_t window_tokens;     /* positions that one sees, itself included */
    uint32_t window_period;     /* see enx_architecture */
    float    rms_epsilon;
    float    rope_base;
    float    window_rope_base; /* of the layers with a window */
    float    query_scale;      /* of rotated queries */
    float    score_cap;        /* 0: none */
    float    logit_cap;
    bool     is_head_tied;

    enx_rope_scaling rope_scaling;
} enx_hparams;

typedef struct enx_model enx_model;

/* Borrows `gguf`.  ENX_UNSUPPORTED (architecture or type, naming those that work), ENX_NOTFOUND (a
 * tensor or key), ENX_FORMAT (a shape that contradicts the sizes), ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_model_open(enx_model **out, const enx_gguf *gguf, enx_report *report);
/* The same of a mapped file, which is borrowed too: pages that are not needed any more leave the
 * memory. */
ENX_MUST_USE enx_status enx_model_open_file(enx_model **out, const enx_model_file *file,
                                            enx_report *report);
void                    enx_model_close(enx_model **model);

const enx_hparams *enx_model_hparams(const enx_model *model);
uint64_t           enx_model_param_count(const enx_model *model);
/* Those that one token meets: of the experts, the ones it visits. */
uint64_t           enx_model_active_param_count(const enx_model *model);
uint64_t           enx_model_weight_bytes(const enx_model *model);

#endif /* ENX_MODEL_MODEL_H */
