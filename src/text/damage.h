/* SPDX-License-Identifier: Apache-2.0 */
/* damage.h - how text loses accents, capitals and punctuation; the checker of `restore`.
 *
 * damage(text, level) is a pure function of bytes.  Levels are cumulative:
 *   1  accents:      NFD, combining marks U+0300..U+036F dropped; ß→ss æ→ae œ→oe ø→o ł→l đ,ð→d
 *                    þ→th ı→i and their capitals (Æ→AE Œ→OE Ø→O Ł→L Đ,Ð→D Þ→TH ẞ→SS)
 *   2  capitals:     level 1, then each letter lower-cased (simple one-to-one Unicode mapping)
 *   3  punctuation:  first, each maximal run of . , ; : ! ? that ends at a word end (white space
 *                    or the end of the text follows), with the white space directly before it, is
 *                    dropped, unless nothing but white space stands before it; then level 2
 * Level 0 leaves the text as it is.  Bytes that are not valid UTF-8 pass through unchanged.
 * White space here is ASCII white space, U+00A0, U+2007, U+202F and the other Zs characters.
 *
 * Layer: text.  Thread-safety: no shared state.
 */
#ifndef ENX_TEXT_DAMAGE_H
#define ENX_TEXT_DAMAGE_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_DAMAGE_NONE,
    ENX_DAMAGE_ACCENTS,
    ENX_DAMAGE_CAPITALS,
    ENX_DAMAGE_PUNCTUATION,
    ENX_DAMAGE_LEVELS
};

/* The three kinds of loss, apart from each other; applied in the order punctuation, accents,
 * capitals. */
enum { ENX_DAMAGE_KIND_ACCENTS = 1, ENX_DAMAGE_KIND_CAPITALS = 2, ENX_DAMAGE_KIND_PUNCTUATION = 4 };

/* Append `text` without the `kinds` (a sum of ENX_DAMAGE_KIND_*) to `out`. */
ENX_MUST_USE enx_status enx_damage_kinds(enx_buf *out, const char *text, size_t size_bytes,
                                         unsigned kinds, enx_report *report);

/* Append damage(text, level) to `out`.  ENX_LIMIT or ENX_NOMEM of the buffer; ENX_INVALID for an
 * unknown level. */
ENX_MUST_USE enx_status enx_damage(enx_buf *out, const char *text, size_t size_bytes, int level,
                                   enx_report *report);

/* The letters that one code point becomes without `kinds`, in order; returns how many, 0 for a
 * combining mark.  (Punctuation is a matter of places, not of code points.) */
enum { ENX_DAMAGE_LETTERS_MAX = 4 };
size_t enx_damage_letters(int32_t out[ENX_DAMAGE_LETTERS_MAX], int32_t point, unsigned kinds);

/* What level 3 takes for a mark and for white space; false for point < 0. */
bool enx_damage_is_mark(int32_t point);
bool enx_damage_is_space(int32_t point);

#endif /* ENX_TEXT_DAMAGE_H */
