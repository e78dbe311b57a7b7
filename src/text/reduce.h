/* SPDX-License-Identifier: Apache-2.0 */
/* reduce.h - an automaton that accepts exactly the restorations of an input.
 *
 * For an input x and a level, it accepts the outputs y with damage(y) == damage(x) that keep what
 * x still has: a letter of x that damage would change (é, capital letters at level >= 2) stays as
 * it is, marks of x that damage would remove stay and get no others beside them.  For a fully
 * damaged x (damage(x) == x) these are all y with damage(y) == x.  So no word can be invented,
 * dropped or respelt.
 *
 * Bounds: at level 3 at most ENX_REDUCE_MARKS_MAX marks are inserted after a word, with at most
 * one space (U+0020, U+00A0 or U+202F) before them.  Letters come back precomposed: an output
 * holds no combining marks (U+0300..U+036F) but those of the input.
 *
 * Layer: text.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_TEXT_REDUCE_H
#define ENX_TEXT_REDUCE_H

#include "base/status.h"
#include "text/mask.h"

enum { ENX_REDUCE_MARKS_MAX = 3, ENX_REDUCE_INPUT_BYTES_MAX = 1 << 20 };

typedef struct enx_reduce enx_reduce;

/* `text` is copied.  ENX_LIMIT for a longer input, ENX_INVALID for an unknown level, ENX_NOMEM.
 * Every state that can be reached can reach an end: there are no dead ends for a byte-complete
 * vocabulary. */
ENX_MUST_USE enx_status enx_reduce_open(enx_reduce **out, const char *text, size_t size_bytes,
                                        int level, enx_report *report);
/* The same for a sum of ENX_DAMAGE_KIND_* (damage.h) in place of a level. */
ENX_MUST_USE enx_status enx_reduce_open_kinds(enx_reduce **out, const char *text, size_t size_bytes,
                                              unsigned kinds, enx_report *report);
void                    enx_reduce_close(enx_reduce **reduce);
const enx_automaton    *enx_reduce_automaton(const enx_reduce *reduce); /* borrowed */

#endif /* ENX_TEXT_REDUCE_H */
