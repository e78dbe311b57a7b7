/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_expression.c - an expression, and on the next lines an answer (JSON) and an input: whatever
 * is accepted ends, says the same twice, and its negation says the opposite. */
#include "base/check.h"
#include "check/expression.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BYTES_MAX = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enx_status judge(const char *text, const json_t *answer, enx_span input, bool *holds)
{
    enx_expression *expression = NULL;
    enx_status      status = enx_expression_open(&expression, text, NULL);
    if (status == ENX_OK) status = enx_expression_holds(expression, answer, input, holds, NULL);
    enx_expression_close(&expression);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[BYTES_MAX + 1], negated[BYTES_MAX + 16];
    bool holds = false, again = false, opposite = false;
    if (size > BYTES_MAX) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    char       *answer_text = strchr(text, '\n');
    const char *input = "";
    if (answer_text) {
        *answer_text++ = '\0';
        char *stop = strchr(answer_text, '\n');
        if (stop) {
            *stop = '\0';
            input = stop + 1;
        }
    }
    json_t          *answer = json_loads(answer_text ? answer_text : "{}", JSON_DECODE_ANY, NULL);
    const enx_span   span = { input, strlen(input) };
    const enx_status status = answer ? judge(text, answer, span, &holds) : ENX_FORMAT;
    if (status == ENX_OK) {
        ENX_CHECK(judge(text, answer, span, &again) == ENX_OK && again == holds);
        snprintf(negated, sizeof negated, "not (%s)", text);
        const enx_status not = judge(negated, answer, span, &opposite); /* may be too long now */
        ENX_CHECK(not == ENX_OK ? opposite != holds : not == ENX_LIMIT);
    }
    json_decref(answer);
    return 0;
}
