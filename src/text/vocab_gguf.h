/* SPDX-License-Identifier: Apache-2.0 */
/* vocab_gguf.h - vocabularies in GGUF files: the tokenizer.ggml.* keys, in and out.
 *
 * Files hold normal tokens and merges in GPT-2's printable alphabet: each byte is one printable
 * character (those of Latin-1 that can be seen stand for themselves, the other 68 are U+0100 and
 * on, in order).  Control tokens are held by their names.
 *
 * Layer: text.  Thread-safety: no shared state.
 * Source: bytes_to_unicode() of GPT-2's encoder.py; llama.cpp's gguf-py for the keys.
 */
#ifndef ENX_TEXT_VOCAB_GGUF_H
#define ENX_TEXT_VOCAB_GGUF_H

#include "base/status.h"
#include "gguf/gguf_write.h"
#include "text/tokenizer.h"

/* Add the keys that this program and llama.cpp need: tokenizer.ggml.model ("gpt2"), .pre, .tokens,
 * .token_type (3 control, 1 normal), .merges, .add_bos_token (false) and, when the vocabulary has
 * an end-of-text token, its id as .eos_token_id, .bos_token_id and .padding_token_id.
 * Everything is copied into the writer, which keeps errors of its own.
 *
 * ENX_INVALID  a merge names no token, or a token is above ENX_TOKEN_BYTES_MAX.   ENX_NOMEM. */
ENX_MUST_USE enx_status enx_vocab_write(enx_gguf_writer *writer, const enx_vocab *vocab,
                                        enx_report *report);

#endif /* ENX_TEXT_VOCAB_GGUF_H */
