/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.h - text to tokens and back: byte-level BPE from a GGUF vocabulary.
 *
 * Any bytes can be encoded, also invalid UTF-8: byte-level BPE has a token for each byte.
 * decode(encode(x)) == x, byte for byte, for every x, when specials are not parsed.
 *
 * GGUF keys: tokenizer.ggml.model = "gpt2", .pre ("qwen2", "gpt-2", "llama-bpe"; others are
 * ENX_UNSUPPORTED and named), .tokens, .token_type (3 = control, 4 = added), .merges,
 * .eos_token_id, .bos_token_id, .add_bos_token (by default only "llama-bpe" adds it).
 *
 * Layer: text.  Thread-safety: immutable after open; encode takes a scratch owned by the caller.
 */
#ifndef ENX_TEXT_TOKENIZER_H
#define ENX_TEXT_TOKENIZER_H

#include "base/status.h"
#include "gguf/gguf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_VOCAB_MAX = 1 << 20,
    ENX_TOKEN_BYTES_MAX = 1024,
};
#define ENX_TOKEN_NONE UINT32_MAX

typedef struct enx_tokenizer enx_tokenizer;

/* A growing list of token ids, bounded by max_count. */
typedef struct enx_tokens {
    uint32_t *ids; /* owned */
    size_t    count;
    size_t    capacity;
    size_t    max_count;
} enx_tokens;

void                    enx_tokens_init(enx_tokens *tokens, size_t max_count);
void                    enx_tokens_deinit(enx_tokens *tokens);
ENX_MUST_USE enx_status enx_tokens_push(enx_tokens *tokens, uint32_t id); /* ENX_LIMIT, ENX_NOMEM */

/* Borrows nothing from `gguf` after return.  ENX_FORMAT, ENX_UNSUPPORTED, ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_tokenizer_open(enx_tokenizer **out, const enx_gguf *gguf,
                                           enx_report *report);

/* The same from parts, as the trainer has them.  tokens[0..count) are raw bytes (not in GPT-2's
 * printable alphabet); is_control may be NULL; merges are pairs of ids in rank order, and the id
 * that each makes is found by its bytes.  `pre` as in GGUF.  Everything is copied. */
typedef struct enx_vocab {
    const enx_gguf_str *tokens;
    const bool         *is_control;
    uint32_t            token_count;
    const uint32_t    (*merges)[2];
    uint32_t            merge_count;
    const char         *pre;
    uint32_t            eos; /* ENX_TOKEN_NONE: none */
    /* What only files of other makers have; all may be left zero. */
    const bool *is_added; /* also found by name when specials are parsed, but printed as text */
    bool        has_bos;  /* bos belongs before the first text of a sequence */
    uint32_t    bos;
} enx_vocab;
ENX_MUST_USE enx_status enx_tokenizer_open_vocab(enx_tokenizer **out, const enx_vocab *vocab,
                                                 enx_report *report);
void                    enx_tokenizer_close(enx_tokenizer **tokenizer);

uint32_t enx_tokenizer_count(const enx_tokenizer *tokenizer);
uint32_t enx_tokenizer_eos(const enx_tokenizer *tokenizer); /* ENX_TOKEN_NONE: none */
/* The token to put before the first text of a sequence; ENX_TOKEN_NONE: none.  Encode adds none. */
uint32_t enx_tokenizer_bos(const enx_tokenizer *tokenizer);
bool     enx_tokenizer_is_control(const enx_tokenizer *tokenizer, uint32_t id);
/* The raw bytes of a token (its printed name for control tokens); borrowed. */
enx_gguf_str enx_tokenizer_bytes(const enx_tokenizer *tokenizer, uint32_t id);
/* The id whose bytes are exactly these; ENX_TOKEN_NONE: no such token.  Also finds control tokens
 * by name. */
uint32_t enx_tokenizer_find(const enx_tokenizer *tokenizer, const char *bytes, size_t size_bytes);

/* Append the tokens of `text` to `out`.  parse_special: names of control and added tokens in the
 * text become their ids, the longest first (for trusted prompts only: never for user text).
 * Thread-safe: all scratch is local or in `out`.  ENX_LIMIT when out is full, ENX_NOMEM: then
 * `out` is as before. */
ENX_MUST_USE enx_status enx_tokenizer_encode(const enx_tokenizer *tokenizer, const char *text,
                                             size_t size_bytes, bool parse_special, enx_tokens *out,
                                             enx_report *report);

#endif /* ENX_TEXT_TOKENIZER_H */
