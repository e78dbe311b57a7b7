/* SPDX-License-Identifier: Apache-2.0 */
/* requant.h - a model's file again, with smaller matrices.
 *
 * Layer: model.  Thread-safety: no shared state.
 */
#ifndef ENX_MODEL_REQUANT_H
#define ENX_MODEL_REQUANT_H

#include "base/buf.h"
#include "gguf/gguf.h"

/* Which types the matrices get.  The head (the embedding when it is tied) gets Q6_K in all but
 * Q8_0.  Q4_K_M: Q4_K, and Q6_K for attn_v and ffn_down of about half the layers: the first and
 * last eighth and every third between. */
typedef enum enx_mix { ENX_MIX_Q8_0, ENX_MIX_Q4_0, ENX_MIX_Q4_K_M, ENX_MIX_Q6_K } enx_mix;

typedef struct enx_requant_counts {
    uint32_t matrices;
    uint32_t fallbacks; /* whose rows the wanted type's blocks do not divide: see below */
    uint64_t bytes_before, bytes_after; /* of all tensors */
} enx_requant_counts;

/* Append the new file to `out`.  Keys are copied but for general.file_type and
 * general.quantization_version, which are set; gains, biases and routers are copied.  Rows that
 * 256 does not divide get Q5_0 for Q4_K and Q8_0 for Q6_K; those that 32 does not divide get F16.
 * ENX_UNSUPPORTED: a matrix that is not F32, F16, BF16 or Q8_0; ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_model_requant(const enx_gguf *source, enx_mix mix, enx_buf *out,
                                          enx_requant_counts *counts, enx_report *report);

#endif /* ENX_MODEL_REQUANT_H */
