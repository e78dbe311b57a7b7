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
      .has_gelu = true,
      .has_scaled_embedding = true,
      .has_soft_caps = true },
    { .name = "gemma3",
      .has_split_rope = true,
      .has_head_norms = true,
      .has_window = true,
      .window_period = 6,
      .window_base = 10000,
      .has_post_norms = true,
      .has_gelu = true,
      .has_scaled_embedding = true },
    { .name = "llama" },
    { .name = "phi3",
      .has_split_rope = true,
      .has_fused = true,
      .has_two_ranges = true,
      .has_window = true },
    { .name = "qwen2", .has_split_rope = true, .has_qkv_bias = true },
    { .name = "qwen3", .has_split_rope = true, .has_head_norms = true },
};

const enx_architecture *enx_architecture_find(const char *name, size_t size_bytes)
{
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strlen(architectures[i].name) == size_bytes &&
            memcmp(architectures[i].name, name, size_bytes) == 0)
            return &architectures[i];
    return NULL;
}
