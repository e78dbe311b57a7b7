/* SPDX-License-Identifier: Apache-2.0 */
/* perplexity.h - how surprised a model is by a text.
 *
 * The tokens are cut into windows that overlap: the first `overlap_tokens` of a window are
 * context and are not counted (in the very first window, only its first token is not), so each
 * token but the first is counted once.
 *
 * Layer: engine.  Thread-safety: no shared state beyond the engine's.
 */
#ifndef ENX_ENGINE_PERPLEXITY_H
#define ENX_ENGINE_PERPLEXITY_H

#include "engine/engine.h"
#include "text/tokenizer.h"

typedef struct enx_perplexity_options {
    uint32_t window_tokens;  /* 0: the engine's context less one, 512 at most; at least 2 */
    uint32_t overlap_tokens; /* 0: a quarter of the window; below window_tokens */
} enx_perplexity_options;

typedef struct enx_perplexity {
    uint64_t token_count; /* counted: all but the first */
    uint64_t byte_count;  /* of those tokens; 0 without a tokenizer */
    double   nats;        /* sum of -ln p */
    double   nats_per_token;
    double   bits_per_byte; /* 0 without a tokenizer */
    double   perplexity;    /* exp(nats_per_token) */
} enx_perplexity;

/* The engine must be idle.  `tokenizer` may be NULL.
 * ENX_INVALID: fewer than two tokens, a token outside the vocabulary, windows that do not fit. */
ENX_MUST_USE enx_status enx_perplexity_measure(enx_perplexity *out, enx_engine *engine,
                                               const enx_tokenizer *tokenizer,
                                               const uint32_t *tokens, size_t token_count,
                                               const enx_perplexity_options *options,
                                               enx_report                   *report);

#endif /* ENX_ENGINE_PERPLEXITY_H */
