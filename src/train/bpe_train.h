/* SPDX-License-Identifier: Apache-2.0 */
/* bpe_train.h - learns a byte-level BPE vocabulary from text.
 *
 *     enx_bpe_open → enx_bpe_feed, once a text → enx_bpe_run → enx_bpe_vocab → … → enx_bpe_close
 *
 * Ids: the control tokens first, in the order given; then the 256 bytes in order; then one token
 * a merge, in the order learnt.  Each step takes the most frequent pair of neighbours (of equal
 * ones that with the smaller left id, then the smaller right id) until the vocabulary is full or
 * no pair is left with pair_count_min occurrences.  A merge that makes the bytes of a token that
 * exists already makes that token: then there are more merges than learnt tokens.
 *
 * Only the set of texts and how often each comes matters: not their order, nor time, nor memory.
 *
 * Memory is some tens of bytes for each byte of the distinct pieces (words) fed.
 *
 * Layer: train.  Thread-safety: one owner thread; not shared.
 * Source: Sennrich, Haddow, Birch, "Neural machine translation of rare words with subword
 * units", 2016; over bytes as in GPT-2.
 */
#ifndef ENX_TRAIN_BPE_TRAIN_H
#define ENX_TRAIN_BPE_TRAIN_H

#include "base/status.h"
#include "text/tokenizer.h"

enum {
    /* Longer pieces are learnt from in parts of this size, cut between characters. */
    ENX_BPE_PIECE_BYTES_MAX = 256,
    ENX_BPE_DISTINCT_BYTES_MAX = 1 << 30, /* of all distinct pieces together */
    ENX_BPE_CONTROL_COUNT_MAX = 1024,
};

typedef struct enx_bpe_options {
    const char        *pre;           /* as in tokenizer.ggml.pre: "qwen2", "gpt-2", "llama-bpe" */
    uint32_t           vocab_count;   /* wanted; at least control_count + 256 */
    const char *const *control_names; /* [control_count], distinct; 2 or more of ASCII 0x21..0x7E */
    uint32_t           control_count;
    uint32_t           eos;             /* an index into control_names; ENX_TOKEN_NONE: none */
    uint64_t           pair_count_min;  /* 0: 2 */
    uint32_t           token_bytes_max; /* 0: ENX_TOKEN_BYTES_MAX */
} enx_bpe_options;

typedef struct enx_bpe enx_bpe;

/* Options are copied.  ENX_INVALID (sizes, names), ENX_UNSUPPORTED (pre), ENX_NOMEM. */
ENX_MUST_USE enx_status enx_bpe_open(enx_bpe **out, const enx_bpe_options *options,
                                     enx_report *report);
void                    enx_bpe_close(enx_bpe **bpe);

/* Count the pieces of a text; texts are borrowed for the call and never joined.  Not after run.
 * ENX_LIMIT, ENX_NOMEM: then only close is allowed. */
ENX_MUST_USE enx_status enx_bpe_feed(enx_bpe *bpe, const char *text, size_t size_bytes,
                                     enx_report *report);

/* Learn the merges; once.  Fewer than vocab_count tokens is ENX_OK: the text has no more pairs.
 * ENX_NOMEM: then only close is allowed. */
ENX_MUST_USE enx_status enx_bpe_run(enx_bpe *bpe, enx_report *report);

/* What was learnt; after run; borrowed until close.  Write it to a file with vocab_gguf.h. */
const enx_vocab *enx_bpe_vocab(const enx_bpe *bpe);

#endif /* ENX_TRAIN_BPE_TRAIN_H */
