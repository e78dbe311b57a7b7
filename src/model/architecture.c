/* SPDX-License-Identifier: Apache-2.0 */
/* architecture.c - one row an architecture. */
#include "model/architecture.h"

#include <string.h>

static const enx_architecture architectures[] = {
    { .name = "gemma2",
      .has_split_rope = true,
      .has_window = true,
      .window_period = 2,
      .has_post_norms = true,
      .gate = ENX_GATE_GELU,
      .has_scaled_embedding = true,
      .has_soft_caps = true },
    { .name = "gemma3",
      .has_split_rope = true,
      .has_head_norms = true,
      .has_window = true,
      .window_period = 6,
      .window_base = 10000,
      .has_post_norms = true,
      .gate = ENX_GATE_GELU,
      .has_scaled_embedding = true },
    { .name = "gpt-oss",
      .has_split_rope = true,
      .has_qkv_bias = true,
      .has_window = true,
      .window_period = 2,
      .gate = ENX_GATE_CLAMPED,
      .experts = ENX_EXPERTS_ALWAYS,
      .has_sinks = true,
      .has_more_biases = true,
      .has_late_norm_name = true },
    { .name = "llama", .experts = ENX_EXPERTS_SOME },
    { .name = "phi3",
      .has_split_rope = true,
      .has_fused = true,
      .has_two_ranges = true,
      .has_window = true },
    { .name = "qwen2", .has_split_rope = true, .has_qkv_bias = true },
    { .name = "qwen3", .has_split_rope = true, .has_head_norms = true },
    { .name = "qwen3moe",
      .has_split_rope = true,
      .has_head_norms = true,
      .experts = ENX_EXPERTS_ALWAYS },
    { .name = "smollm3", .still_period = 4 },
};

const enx_architecture *enx_architecture_find(const char *name, size_t size_bytes)
{
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strlen(architectures[i].name) == size_bytes &&
            memcmp(architectures[i].name, name, size_bytes) == 0)
            return &architectures[i];
    return NULL;
}
