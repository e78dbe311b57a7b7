/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_schema.c - a JSON Schema of any bytes is refused, or every text that its grammar takes is
 * JSON, and none of them is a dead end.  Texts are walks by chance, whose seed is the schema's
 * size.
 */
#include "base/check.h"
#include "text/schema.h"
#include "walk.h"

#include <jansson.h>

enum { WALKS = 4, TEXT_BYTES = 600 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enx_grammar *grammar = NULL;
    char         text[TEXT_BYTES];
    if (enx_schema_open(&grammar, (const char *)data, size, NULL) != ENX_OK) return 0;
    enx_rng rng = enx_rng_open(size, 1);
    for (int i = 0; i < WALKS; i++) {
        size_t     count;
        const bool is_whole =
            walk_automaton(enx_grammar_automaton(grammar), &rng, text, TEXT_BYTES, &count);
        ENX_CHECK(count <= TEXT_BYTES);
        json_t *value =
            is_whole ? json_loadb(text, count, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) : NULL;
        ENX_CHECK(value || !is_whole);
        json_decref(value);
    }
    enx_grammar_close(&grammar);
    return 0;
}
