/* SPDX-License-Identifier: Apache-2.0 */
/* presplit.h - cuts text into the pieces that byte-level BPE merges inside.
 *
 * A model's vocabulary was learnt on pieces (words with their leading space, numbers, runs of
 * punctuation, runs of white space), and merges never cross from one piece into the next.  The
 * rule is a regular expression named by tokenizer.ggml.pre; those here are the published ones.
 *
 * Some rules are several expressions: each cuts the pieces of the one before.  Pieces are handed
 * out in order, never empty, and together they are the whole text: what an expression does not
 * match becomes pieces of its own.
 *
 * Bounds: a piece has at most ENX_PRESPLIT_PIECE_BYTES_MAX bytes, longer ones are cut between
 * characters; and text is looked at ENX_PRESPLIT_SEGMENT_BYTES_MAX bytes at a time, cut where no
 * piece can span (before a space that follows a word, after a lone line break).  So the result is
 * that of the expression on the whole text, except in text with a piece above 64 KiB or with no
 * such place in 1 MiB, and the time is linear in the text.
 *
 * Layer: text.  Thread-safety: a splitter is immutable, shared; a cursor has one owner thread.
 * Source: the pre_tokenizer patterns in the models' tokenizer.json files; llama.cpp for the names
 * and for which of them ignore merges.  Not here: names whose vocabularies are not byte-level.
 */
#ifndef ENX_TEXT_PRESPLIT_H
#define ENX_TEXT_PRESPLIT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ENX_PRESPLIT_PIECE_BYTES_MAX = 64 << 10,
    ENX_PRESPLIT_SEGMENT_BYTES_MAX = 1 << 20,
    ENX_PRESPLIT_STAGES_MAX = 6,
};

typedef struct enx_presplit enx_presplit;

/* `pre` is as in tokenizer.ggml.pre ("qwen2", "gpt-2", "llama-bpe", "deepseek-v3" …); [size_bytes],
 * borrowed for the call.  ENX_UNSUPPORTED names it and those that work; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_presplit_open(enx_presplit **out, const char *pre, size_t size_bytes,
                                          enx_report *report);
void                    enx_presplit_close(enx_presplit **split);
const char             *enx_presplit_name(const enx_presplit *split); /* borrowed */
/* Does a piece that is a token as a whole stand for itself, whether merges make it or not? */
bool                    enx_presplit_ignores_merges(const enx_presplit *split);
/* Do files of this name want a start-of-text token where they do not say?  false: unknown name. */
bool                    enx_presplit_adds_bos(const char *pre, size_t size_bytes);

/* A walk over one text.  The fields are private to presplit.c. */
typedef struct enx_presplit_stage {
    size_t at;          /* all before it has been handed on */
    size_t match_first; /* the match that `at` walks through or towards */
    size_t match_end;
    size_t end; /* of what this stage cuts now */
} enx_presplit_stage;

typedef struct enx_presplit_cursor {
    const enx_presplit *split; /* borrowed */
    const char         *text;  /* borrowed */
    size_t              size_bytes;
    enx_presplit_stage  stages[ENX_PRESPLIT_STAGES_MAX];
    void               *match_data; /* owned */
} enx_presplit_cursor;

/* `split` and `text` must outlive the cursor.  ENX_NOMEM; deinit is not needed after a failure. */
ENX_MUST_USE enx_status enx_presplit_cursor_init(enx_presplit_cursor *cursor,
                                                 const enx_presplit *split, const char *text,
                                                 size_t size_bytes);
void                    enx_presplit_cursor_deinit(enx_presplit_cursor *cursor);
/* The next piece is text[*first .. *first + *size_bytes); false at the end. */
bool enx_presplit_next(enx_presplit_cursor *cursor, size_t *first, size_t *size_bytes);

#endif /* ENX_TEXT_PRESPLIT_H */
