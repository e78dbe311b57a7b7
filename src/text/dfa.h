/* SPDX-License-Identifier: Apache-2.0 */
/* dfa.h - an automaton's states by number, and its steps in a table, as far as they were asked for.
 *
 * A walk over a vocabulary steps from the same few states again and again.  Each state that is met
 * gets a number, and each step from it is done once; then it is one read of a table.  All memory,
 * 2 MB, is taken at open.
 *
 * Layer: text.  Thread-safety: one owner thread; the automaton is only read.
 */
#ifndef ENX_TEXT_DFA_H
#define ENX_TEXT_DFA_H

#include "base/status.h"
#include "text/mask.h"

#include <stdint.h>

enum {
    ENX_DFA_STATES_MAX = 2048,   /* the table: 1 MB */
    ENX_DFA_BYTES_MAX = 1 << 20, /* of the states themselves */
    ENX_DFA_UNKNOWN = 0xFFFF,
    ENX_DFA_REFUSED = 0xFFFE, /* the automaton does not take the byte */
    ENX_DFA_FULL = 0xFFFD,    /* no room for a new state: clear, or do without */
};

typedef struct enx_dfa enx_dfa;

/* Borrows the automaton.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_dfa_open(enx_dfa **out, const enx_automaton *automaton,
                                     enx_report *report);
void                    enx_dfa_close(enx_dfa **dfa);
/* Forget all states; numbers given before mean nothing. */
void                    enx_dfa_clear(enx_dfa *dfa);

/* The number of a state, or ENX_DFA_FULL. */
uint16_t        enx_dfa_number(enx_dfa *dfa, const void *state);
/* [256], by byte: numbers, ENX_DFA_UNKNOWN or ENX_DFA_REFUSED.  Valid until the next call. */
const uint16_t *enx_dfa_row(const enx_dfa *dfa, uint16_t number);
/* Find out a step that is unknown: a number, ENX_DFA_REFUSED or ENX_DFA_FULL. */
uint16_t        enx_dfa_step(enx_dfa *dfa, uint16_t number, uint8_t byte);

#endif /* ENX_TEXT_DFA_H */
