/* SPDX-License-Identifier: Apache-2.0 */
/* model.h - what a transformer is: sizes and weights, read from GGUF.
 *
 * Architectures: "llama" (RoPE on interleaved pairs) and "qwen3" (RoPE on half-split pairs,
 * per-head RMS norm of q and k).  Pre-RMSNorm, GQA, SwiGLU, tied or untied head.  Tensor types:
 * all that enx_tensor_type names, in any mixture.  Weights are borrowed from the mapping.
 *
 * Layer: model.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_MODEL_MODEL_H
#define ENX_MODEL_MODEL_H

#include "base/status.h"
#include "gguf/gguf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_MODEL_LAYERS_MAX = 512,
    ENX_MODEL_WIDTH_MAX = 1 << 16,
    ENX_MODEL_HEADS_MAX = 512,
    ENX_MODEL_HEAD_WIDTH_MAX = 512,
    ENX_MODEL_VOCAB_MAX = 1 << 20,
    ENX_MODEL_CONTEXT_MAX = 1 << 20,
};

typedef enum enx_arch { ENX_ARCH_LLAMA, ENX_ARCH_QWEN3 } enx_arch;

typedef struct enx_hparams {
    enx_arch arch;
    uint32_t vocab_count;
    uint32_t context_tokens;
    uint32_t width;
    uint32_t layer_count;
    uint32_t head_count;
    uint32_t kv_head_count;
    uint32_t head_width; /* of one head */
    uint32_t ffn_width;
    float    rms_epsilon;
    float    rope_base;
    bool     is_head_tied;
} enx_hparams;

typedef struct enx_model enx_model;

/* Borrows `gguf`.  ENX_UNSUPPORTED (architecture or type, naming those that work), ENX_NOTFOUND (a
 * tensor or key), ENX_FORMAT (a shape that contradicts the sizes), ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_model_open(enx_model **out, const enx_gguf *gguf, enx_report *report);
void                    enx_model_close(enx_model **model);

const enx_hparams *enx_model_hparams(const enx_model *model);
uint64_t           enx_model_param_count(const enx_model *model);
uint64_t           enx_model_weight_bytes(const enx_model *model);

#endif /* ENX_MODEL_MODEL_H */
