/* SPDX-License-Identifier: Apache-2.0 */
/* outputs.h - what a grammar takes and what it refuses; include it after cmocka.h.
 *
 * Layer: tests.  Thread-safety: one thread.
 */
#ifndef ENX_TESTS_OUTPUTS_H
#define ENX_TESTS_OUTPUTS_H

#include "text/grammar.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Is it a whole output? */
static inline bool follows(const enx_grammar *grammar, const char *output)
{
    static char          state[ENX_MASK_STATE_BYTES_MAX];
    const enx_automaton *automaton = enx_grammar_automaton(grammar);
    automaton->start(automaton, state);
    for (size_t i = 0; output[i]; i++)
        if (!automaton->step(automaton, state, (uint8_t)output[i])) return false;
    return automaton->may_end(automaton, state);
}

/* Lists end with NULL. */
static inline void assert_outputs(const enx_grammar *grammar, const char *name,
                                  const char *const *good, const char *const *bad)
{
    for (; *good; good++)
        if (!follows(grammar, *good)) fail_msg("%s refuses \"%s\"", name, *good);
    for (; *bad; bad++)
        if (follows(grammar, *bad)) fail_msg("%s takes \"%s\"", name, *bad);
}

#endif /* ENX_TESTS_OUTPUTS_H */
