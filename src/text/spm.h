/* SPDX-License-Identifier: Apache-2.0 */
/* spm.h - SentencePiece byte-pair encoding: merging by the scores of tokens.
 *
 * Text is not cut into pieces.  A space counts as U+2581; then the text starts as characters, and
 * while two neighbours together are a token, the pair whose token has the highest score is merged,
 * the leftmost of equals.  A character that is no token becomes the tokens of its bytes, and so
 * does a byte that is in no character.
 *
 * Control, unknown and byte tokens are never made from text.
 *
 * Layer: text.  Thread-safety: immutable after open; may be shared.
 * Source: SentencePiece's bpe model; llama.cpp's SPM tokenizer for ties.
 */
#ifndef ENX_TEXT_SPM_H
#define ENX_TEXT_SPM_H

#include "base/status.h"
#include "text/tokenizer.h"

typedef struct enx_spm enx_spm;

/* The fields of `vocab` that are for SentencePiece; everything is copied.
 * ENX_FORMAT: a score is not a number, or some byte has no token and there is no unknown token;
 * ENX_NOMEM. */
ENX_MUST_USE enx_status enx_spm_open(enx_spm **out, const enx_vocab *vocab, enx_report *report);
void                    enx_spm_close(enx_spm **spm);

/* Append the tokens of `text`, with a space before it where is_prefixed.  ENX_LIMIT when out is
 * full or the text has 1 GiB, ENX_NOMEM; out may then have some of the tokens. */
ENX_MUST_USE enx_status enx_spm_encode(const enx_spm *spm, const char *text, size_t size_bytes,
                                       bool is_prefixed, enx_tokens *out);

/* The bytes that a token of a file stands for: `out` has room for token->size_bytes.  Returns how
 * many they are. */
size_t enx_spm_print(const enx_gguf_str *token, enx_token_type type, char *out);

#endif /* ENX_TEXT_SPM_H */
