/* SPDX-License-Identifier: Apache-2.0 */
/* score.h - how well a repaired text agrees with the truth.
 *
 * Words are cut at white space.  The marks . , ; : ! ? at a word's end, and words made of marks
 * alone, belong to the word before them and are counted apart.  An answer that reduces to the same
 * input as the truth has the same words, so they are compared one by one; a word too few or too
 * many counts as wrong.
 *
 *   word accuracy     words with a letter whose form (accents, capitals) is the truth's
 *   punctuation F1    over the marks after each word: right, extra or other, missed or other
 *   exact             the whole text, byte for byte
 *
 * Layer: text.  Thread-safety: no shared state.
 */
#ifndef ENX_TEXT_SCORE_H
#define ENX_TEXT_SCORE_H

#include <stddef.h>
#include <stdint.h>

typedef struct enx_score {
    uint64_t texts, exact;
    uint64_t words, words_right;
    uint64_t marks_right, marks_extra, marks_missed;
} enx_score;

/* Add one text to the score. */
void enx_score_add(enx_score *score, const char *answer, size_t answer_bytes, const char *truth,
                   size_t truth_bytes);

/* 1 when there is nothing to count. */
double enx_score_word_accuracy(const enx_score *score);
double enx_score_exact(const enx_score *score);
double enx_score_punctuation_f1(const enx_score *score);

#endif /* ENX_TEXT_SCORE_H */
