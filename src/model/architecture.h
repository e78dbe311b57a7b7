/* SPDX-License-Identifier: Apache-2.0 */
/* architecture.h - in what the known transformers differ, as data.
 *
 * All of them: pre-RMSNorm, grouped queries, a gated feed-forward or experts, tied or untied head.
 *
 * Layer: model.  Thread-safety: no shared state.
 */
#ifndef ENX_MODEL_ARCHITECTURE_H
#define ENX_MODEL_ARCHITECTURE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum enx_gate {
    ENX_GATE_SILU,    /* silu(gate) * up */
    ENX_GATE_GELU,    /* gelu(gate) * up, in its tanh form */
    ENX_GATE_CLAMPED, /* gpt-oss: gate * sigmoid(1.702 gate) * (1 + up), both kept within 7 */
} enx_gate;

typedef enum enx_experts {
    ENX_EXPERTS_NONE,
    ENX_EXPERTS_SOME, /* where the file tells their number */
    ENX_EXPERTS_ALWAYS,
} enx_experts;

typedef struct enx_architecture {
    const char *name;           /* general.architecture, and the prefix of the sizes' keys */
    bool        has_split_rope; /* rotates pairs (i, half + i); otherwise (2i, 2i + 1) */
    bool        has_qkv_bias;   /* added to q, k and v before their rotation */
    bool        has_head_norms; /* RMS norm of each head of q and k before their rotation */
    bool        has_fused;      /* q, k, v are the rows of one tensor; so are gate and up */
    bool        has_two_ranges; /* rotation factors for short and for long contexts */
    bool        has_window;    /* a position sees the latest only (with a period: the file tells) */
    unsigned    window_period; /* each period's last layer sees all; 0: every layer has a window */
    float       window_base;   /* rope base of the layers with a window; 0: that of the others */
    unsigned    still_period;  /* each period's last layer does not rotate; 0: all do */
    bool        has_post_norms; /* what attention and feed-forward return is normed */
    enx_gate    gate;
    bool        has_scaled_embedding; /* by the root of the width */
    bool        has_soft_caps;        /* of scores and logits: cap * tanh(x / cap) */
    enx_experts experts;              /* feed-forwards of which each row visits a few */
    bool        has_sinks; /* each head may look at nothing: one more score, without a value */
    bool        has_more_biases;    /* of attention's output, the router and the experts */
    bool        has_late_norm_name; /* the feed-forward's norm is called post_attention_norm */
} enx_architecture;

/* NULL: unknown.  `name` is not zero-terminated. */
const enx_architecture *enx_architecture_find(const char *name, size_t size_bytes);
/* The names, for a sentence that says what works. */
#define ENX_ARCHITECTURE_NAMES \
    "gemma2, gemma3, gpt-oss, llama, phi3, qwen2, qwen3, qwen3moe and smollm3"

#endif /* ENX_MODEL_ARCHITECTURE_H */
