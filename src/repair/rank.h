/* SPDX-License-Identifier: Apache-2.0 */
/* rank.h - which of several edits people would have written.
 *
 * A log-linear model: an edit's score is the sum of the weights of what is seen around it
 * (characters, words, the shape of the line, the bracket or string that it closes, how far the
 * compiler's complaint is away), and its chance among others is the softmax of the scores.  Leaving
 * edits out and renormalising is what the model would say of those that are left.
 *
 * Weights are found by hash, without a dictionary: 4 MiB, one byte each.
 *
 * Layer: repair.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_REPAIR_RANK_H
#define ENX_REPAIR_RANK_H

#include "repair/edit.h"

#include <stddef.h>

#define ENX_RANK_ARCHITECTURE "enxame-edits" /* of its model files */

enum {
    ENX_RANK_WEIGHTS_LOG2 = 22,
    ENX_RANK_WEIGHTS = 1 << ENX_RANK_WEIGHTS_LOG2,
    ENX_RANK_FEATURES_MAX = 160,
};

/* What a compiler says of a text. */
typedef struct enx_complaint {
    int32_t  at;   /* byte; -1: it did not say */
    uint32_t what; /* enx_complaint_hash of its words; 0: none */
} enx_complaint;

/* Of the words without numbers and without the names that it quotes. */
uint32_t enx_complaint_hash(const char *words);

/* The complaint about `line` and `column`, both from 1, of text; 0: not told. */
enx_complaint enx_complaint_place(const char *text, uint32_t size_bytes, uint32_t line,
                                  uint32_t column, const char *words);

/* Write the indices of the weights that add up to the edit's score, and return how many.  `scratch`
 * is overwritten. */
uint32_t enx_rank_features(uint32_t out[ENX_RANK_FEATURES_MAX], enx_code code, const char *text,
                           uint32_t size_bytes, const enx_complaint *complaint,
                           const enx_edit *edit, enx_scan *scratch);

typedef struct enx_ranker enx_ranker;

/* From a model file's bytes.  ENX_FORMAT: it is not one of these. */
ENX_MUST_USE enx_status enx_ranker_open(enx_ranker **out, const void *bytes, size_t size_bytes,
                                        enx_report *report);
void                    enx_ranker_close(enx_ranker **ranker);

/* Natural log of a number in proportion to the edit's chance. */
double enx_ranker_score(const enx_ranker *ranker, enx_code code, const char *text,
                        uint32_t size_bytes, const enx_complaint *complaint, const enx_edit *edit,
                        enx_scan *scratch);

#endif /* ENX_REPAIR_RANK_H */
