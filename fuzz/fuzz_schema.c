/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_schema.c - a JSON Schema of any bytes:
 *
 * (1) it is refused, or its grammar is one: it opens, unless it is too large or nothing finite is
 *     valid by it;
 * (2) every text that the grammar takes is JSON.  Texts are walks by chance, whose seed is the
 *     schema's size.
 */
#include "base/check.h"
#include "base/rng.h"
#include "text/grammar.h"
#include "text/schema.h"

#include <jansson.h>
#include <string.h>

enum { WALKS = 4, TEXT_BYTES = 600 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t walk(const enx_automaton *automaton, enx_rng *rng, char *text, bool *is_whole)
{
    static _Alignas(16) uint8_t state[ENX_MASK_STATE_BYTES_MAX], tried[ENX_MASK_STATE_BYTES_MAX];
    size_t                      count = 0;
    automaton->start(automaton, state);
    for (;;) {
        uint64_t bytes[4] = { 0 };
        uint8_t  possible[256];
        size_t   possible_count = 0;
        *is_whole = automaton->may_end(automaton, state);
        if (count == TEXT_BYTES || (*is_whole && enx_rng_below(rng, 4) == 0)) return count;
        automaton->next_bytes(automaton, state, bytes);
        for (unsigned byte = 0; byte < 256; byte++) {
            if (!(bytes[byte >> 6] >> (byte & 63) & 1)) continue;
            memcpy(tried, state, automaton->state_bytes);
            if (automaton->step(automaton, tried, (uint8_t)byte))
                possible[possible_count++] = (uint8_t)byte;
        }
        ENX_CHECK(possible_count > 0 || *is_whole);
        if (possible_count == 0) return count;
        const uint8_t byte = possible[enx_rng_below(rng, possible_count)];
        automaton->step(automaton, state, byte);
        text[count++] = (char)byte;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enx_grammar *grammar = NULL;
    enx_buf      rules;
    char         text[TEXT_BYTES];
    enx_buf_init(&rules, ENX_GRAMMAR_BYTES_MAX);
    if (enx_schema_to_grammar((const char *)data, size, &rules, NULL) == ENX_OK) {
        enx_report       report = { 0 };
        const enx_status status =
            enx_grammar_open(&grammar, enx_buf_text(&rules), rules.size_bytes, &report);
        ENX_CHECK(status == ENX_OK || status == ENX_LIMIT || strstr(report.text, "itself"));
        enx_rng rng = enx_rng_open(size, 1);
        for (int i = 0; grammar && i < WALKS; i++) {
            bool         is_whole;
            const size_t count = walk(enx_grammar_automaton(grammar), &rng, text, &is_whole);
            json_t      *value = json_loadb(text, count, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            ENX_CHECK(value || !is_whole);
            json_decref(value);
        }
    }
    enx_grammar_close(&grammar);
    enx_buf_deinit(&rules);
    return 0;
}
