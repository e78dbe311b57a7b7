/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer.h - text to tokens and back: byte-level BPE, and SentencePiece BPE, from a GGUF
 * vocabulary.
 *
 * Any bytes can be encoded, also invalid UTF-8.  decode(encode(x)) == x, byte for byte, for every
 * x, when specials are not parsed: always with byte-level BPE; with SentencePiece BPE (spm.h) where
 * the vocabulary has all 256 byte tokens and x has no U+2581, which becomes a space, and after the
 * one space that has_space_prefix puts first.
 *
 * GGUF keys: tokenizer.ggml.model ("gpt2" or "llama"), .tokens, .token_type (enx_token_type),
 * .eos_token_id, .eot_token_id, .eom_token_id, .bos_token_id, .add_bos_token (by default "llama"
 * and some names of .pre add it); for "gpt2" .pre (presplit.h) and .merges; for "llama" .scores,
 * .add_space_prefix (default true), .unknown_token_id.
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

/* As in tokenizer.ggml.token_type. */
typedef enum enx_token_type {
    ENX_TOKEN_NORMAL = 1,
    ENX_TOKEN_UNKNOWN = 2, /* stands for what has no token; never made from text by its name */
    ENX_TOKEN_CONTROL = 3,
    ENX_TOKEN_ADDED = 4, /* "user defined" */
    ENX_TOKEN_UNUSED = 5,
    ENX_TOKEN_BYTE = 6, /* <0xXX> */
} enx_token_type;

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
    const uint32_t (*merges)[2];
    uint32_t              merge_count;
    const char           *pre;
    uint32_t              eos; /* ENX_TOKEN_NONE: none */
    /* What only files of other makers have; all may be left zero. */
    const bool           *is_added; /* found by name in every text; printed as text */
    bool                  has_bos;  /* bos belongs before the first text of a sequence */
    uint32_t              bos;
    /* SentencePiece BPE where scores is not NULL: tokens are then as in the file (U+2581 for a
     * space, <0xXX> for a byte), types is needed, and merges, pre, is_control and is_added are not
     * looked at. */
    const float          *scores;
    const enx_token_type *types;
    bool                  has_space_prefix;
    uint32_t              unknown; /* ENX_TOKEN_NONE: none */
    const bool           *is_end;  /* besides eos, ends an answer; NULL: none */
} enx_vocab;
ENX_MUST_USE enx_status enx_tokenizer_open_vocab(enx_tokenizer **out, const enx_vocab *vocab,
                                                 enx_report *report);
void                    enx_tokenizer_close(enx_tokenizer **tokenizer);

uint32_t     enx_tokenizer_count(const enx_tokenizer *tokenizer);
uint32_t     enx_tokenizer_eos(const enx_tokenizer *tokenizer); /* ENX_TOKEN_NONE: none */
/* The token to put before the first text of a sequence; ENX_TOKEN_NONE: none.  Encode adds none. */
uint32_t     enx_tokenizer_bos(const enx_tokenizer *tokenizer);
/* Does this token end an answer: end of text, of turn or of message? */
bool         enx_tokenizer_is_end(const enx_tokenizer *tokenizer, uint32_t id);
/* Does encode put a space before the text?  Then who decodes a whole text drops the first one. */
bool         enx_tokenizer_has_space_prefix(const enx_tokenizer *tokenizer);
bool         enx_tokenizer_is_control(const enx_tokenizer *tokenizer, uint32_t id);
/* The raw bytes of a token (its printed name for control tokens); borrowed. */
enx_gguf_str enx_tokenizer_bytes(const enx_tokenizer *tokenizer, uint32_t id);
/* The id whose bytes are exactly these; ENX_TOKEN_NONE: no such token.  Also finds control tokens
 * by name. */
uint32_t enx_tokenizer_find(const enx_tokenizer *tokenizer, const char *bytes, size_t size_bytes);

/* Append the tokens of `text` to `out`.  parse_special: names of control tokens in the text,
 * too, become their ids, the longest first (for trusted prompts only: never for user text).
 * Thread-safe: all scratch is local or in `out`.  ENX_LIMIT when out is full, ENX_NOMEM: then
 * `out` is as before. */
ENX_MUST_USE enx_status enx_tokenizer_encode(const enx_tokenizer *tokenizer, const char *text,
                                             size_t size_bytes, bool parse_special, enx_tokens *out,
                                             enx_report *report);

/* Append the token that belongs before the first text of a sequence, if the vocabulary has one and
 * the text does not name it itself.  ENX_LIMIT when out is full, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_tokenizer_begin(const enx_tokenizer *tokenizer, const char *text,
                                            size_t size_bytes, enx_tokens *out);

/* Places of a text, in bytes, rising. */
typedef struct enx_literals {
    const size_t *at; /* [count] */
    size_t        count;
} enx_literals;

/* As encode with parse_special, but names of control tokens that start at one of the literals stay
 * text: for prompts that are trusted but for some parts. */
ENX_MUST_USE enx_status enx_tokenizer_encode_except(const enx_tokenizer *tokenizer,
                                                    const char *text, size_t size_bytes,
                                                    const enx_literals *literals, enx_tokens *out,
                                                    enx_report *report);

/* The first place from `from` on where parse_special would find a control token; size_bytes: none.
 */
size_t enx_tokenizer_find_control(const enx_tokenizer *tokenizer, const char *text,
                                  size_t size_bytes, size_t from);

#endif /* ENX_TEXT_TOKENIZER_H */
