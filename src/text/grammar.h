/* SPDX-License-Identifier: Apache-2.0 */
/* grammar.h - GBNF grammars as an automaton for masks.
 *
 * The notation of llama.cpp's grammars: rules `name ::= …`, literals "…" with escapes, classes
 * [a-z] and [^…] over Unicode characters, `.`, groups, | alternatives, * + ? {m,n} (which count up
 * to ENX_GRAMMAR_REPEAT_MAX), # comments.
 * The first character of the output is matched by the rule `root`.
 *
 * A state is a set of at most ENX_GRAMMAR_STACKS_MAX stacks of positions, each at most
 * ENX_GRAMMAR_DEPTH_MAX deep (JSON: about 20 levels), all within ENX_MASK_STATE_BYTES_MAX.  What
 * would need more is refused: ways that would go too deep, so that every accepted beginning can
 * be finished; and the later ones of too many alternatives.
 * When the grammar is opened are refused: left recursion, and rules that nothing can finish.
 *
 * Layer: text.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_TEXT_GRAMMAR_H
#define ENX_TEXT_GRAMMAR_H

#include "base/status.h"
#include "text/mask.h"

enum {
    ENX_GRAMMAR_BYTES_MAX = 1 << 20,
    ENX_GRAMMAR_RULES_MAX = 4096,
    ENX_GRAMMAR_REPEAT_MAX = UINT16_MAX - 1,
    ENX_GRAMMAR_STACKS_MAX = 512,
    ENX_GRAMMAR_DEPTH_MAX = 60,
};

typedef struct enx_grammar enx_grammar;

/* `text` is borrowed for the call.  ENX_FORMAT names line and column and what was expected;
 * ENX_NOTFOUND an undefined rule; ENX_LIMIT; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_grammar_open(enx_grammar **out, const char *text, size_t size_bytes,
                                         enx_report *report);
void                    enx_grammar_close(enx_grammar **grammar);
const enx_automaton    *enx_grammar_automaton(const enx_grammar *grammar); /* borrowed */

#endif /* ENX_TEXT_GRAMMAR_H */
