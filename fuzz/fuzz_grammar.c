/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_grammar.c - no text may crash the reader of grammars or the automaton, and:
 *
 * (1) a refused grammar says why;
 * (2) an output is taken byte for byte alike with and without next_bytes;
 * (3) in a small grammar no accepted beginning is a dead end.
 *
 * Up to the first zero byte the input is the grammar; what follows steers the output.
 */
#include "base/check.h"
#include "base/rng.h"
#include "text/grammar.h"

#include <string.h>

enum { STEPS_MAX = 48, SMALL_BYTES = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes that can be taken next; returns how many. */
static unsigned try_bytes(const enx_automaton *automaton, const uint8_t *state, uint8_t taken[256])
{
    static _Alignas(16) uint8_t copy[ENX_MASK_STATE_BYTES_MAX];
    uint64_t                    bytes[4] = { 0 };
    unsigned                    count = 0;
    automaton->next_bytes(automaton, state, bytes);
    for (unsigned byte = 0; byte < 256; byte++) {
        const bool is_worth = bytes[byte >> 6] >> (byte & 63) & 1;
        if (!is_worth && byte % 8) continue;
        memcpy(copy, state, automaton->state_bytes);
        const bool is_taken = automaton->step(automaton, copy, (uint8_t)byte);
        ENX_CHECK(is_worth || !is_taken);
        if (is_taken) taken[count++] = (uint8_t)byte;
    }
    return count;
}

static void walk(const enx_automaton *automaton, bool is_small, uint64_t seed)
{
    static _Alignas(16) uint8_t state[ENX_MASK_STATE_BYTES_MAX];
    enx_rng                     rng = enx_rng_open(seed, 1);
    automaton->start(automaton, state);
    for (int step = 0; step < STEPS_MAX; step++) {
        uint8_t        taken[256];
        const unsigned count = try_bytes(automaton, state, taken);
        ENX_CHECK(count > 0 || !is_small || automaton->may_end(automaton, state));
        if (count == 0) return;
        ENX_CHECK(automaton->step(automaton, state, taken[enx_rng_below(&rng, count)]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    const size_t   text_bytes = zero ? (size_t)(zero - data) : size;
    uint64_t       seed = 0;
    for (size_t i = text_bytes; i < size; i++) seed = seed * 31 + data[i];
    enx_grammar     *grammar = NULL;
    enx_report       report = { 0 };
    const enx_status status = enx_grammar_open(&grammar, (const char *)data, text_bytes, &report);
    ENX_CHECK((status == ENX_OK) == (grammar != NULL));
    if (status != ENX_OK) {
        ENX_CHECK(report.status == status && strlen(report.text) > 10);
        return 0;
    }
    /* Braces multiply: enough of them need more stacks than are kept. */
    const bool is_small =
        text_bytes <= SMALL_BYTES && !(text_bytes && memchr(data, '{', text_bytes));
    walk(enx_grammar_automaton(grammar), is_small, seed);
    enx_grammar_close(&grammar);
    return 0;
}
