/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_reduce.c - of any bytes, valid UTF-8 or not, at any level:
 *
 * (1) the text itself is accepted;
 * (2) every output that the automaton lets through can be finished, and damage makes of it what
 *     it makes of the text;
 * (3) every output of damage's own making is accepted when it holds no marks.
 *
 * The first byte is the level, the second steers the output, the rest is the text.
 */
#include "base/buf.h"
#include "base/check.h"
#include "base/rng.h"
#include "text/damage.h"
#include "text/reduce.h"

#include <string.h>

enum { TEXT_BYTES_MAX = 4096, OUTPUT_BYTES_MAX = 16 * TEXT_BYTES_MAX, STATE_BYTES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool accepts(const enx_automaton *automaton, const char *text, size_t size_bytes)
{
    _Alignas(16) uint8_t state[STATE_BYTES];
    automaton->start(automaton, state);
    for (size_t i = 0; i < size_bytes; i++)
        if (!automaton->step(automaton, state, (uint8_t)text[i])) return false;
    return automaton->may_end(automaton, state);
}

static void write_output(const enx_automaton *automaton, enx_buf *out, uint64_t seed)
{
    _Alignas(16) uint8_t state[STATE_BYTES];
    enx_rng              rng = enx_rng_open(seed, 1);
    automaton->start(automaton, state);
    for (;;) {
        uint64_t bytes[4] = { 0 }, count = 0;
        uint8_t  choices[256];
        automaton->next_bytes(automaton, state, bytes);
        for (unsigned byte = 0; byte < 256; byte++)
            if (bytes[byte >> 6] >> (byte & 63) & 1) choices[count++] = (uint8_t)byte;
        const bool may_end = automaton->may_end(automaton, state);
        ENX_CHECK(count > 0 || may_end);
        const uint64_t chosen = enx_rng_below(&rng, count + may_end);
        if (chosen == count) return;
        ENX_CHECK(automaton->step(automaton, state, choices[chosen]));
        ENX_CHECK(enx_buf_append(out, &choices[chosen], 1) == ENX_OK);
    }
}

static bool has_marks(const char *text, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++)
        if (enx_damage_is_mark((uint8_t)text[i])) return true;
    return false;
}

/* Does the text hold a combining mark, U+0300..U+036F (CC 80 .. CD AF)? */
static bool has_combining(const char *text, size_t size_bytes)
{
    for (size_t i = 0; i + 1 < size_bytes; i++)
        if ((uint8_t)text[i] == 0xCC || (uint8_t)text[i] == 0xCD) return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size - 2 > TEXT_BYTES_MAX) return 0;
    const int    level = data[0] % ENX_DAMAGE_LEVELS;
    const char  *text = (const char *)data + 2;
    const size_t text_bytes = size - 2;
    enx_reduce  *reduce = NULL;
    enx_buf      output, damaged, again;
    enx_buf_init(&output, OUTPUT_BYTES_MAX);
    enx_buf_init(&damaged, OUTPUT_BYTES_MAX);
    enx_buf_init(&again, OUTPUT_BYTES_MAX);
    ENX_CHECK(enx_reduce_open(&reduce, text, text_bytes, level, NULL) == ENX_OK);
    const enx_automaton *automaton = enx_reduce_automaton(reduce);
    ENX_CHECK(accepts(automaton, text, text_bytes));
    write_output(automaton, &output, data[1]);
    ENX_CHECK(enx_damage(&damaged, text, text_bytes, level, NULL) == ENX_OK);
    ENX_CHECK(enx_damage(&again, output.data, output.size_bytes, level, NULL) == ENX_OK);
    ENX_CHECK(strcmp(enx_buf_text(&damaged), enx_buf_text(&again)) == 0);
    ENX_CHECK(damaged.size_bytes == again.size_bytes);
    enx_reduce_close(&reduce);
    if (!has_marks(text, text_bytes) && !has_combining(text, text_bytes)) {
        ENX_CHECK(enx_reduce_open(&reduce, enx_buf_text(&damaged), damaged.size_bytes, level,
                                  NULL) == ENX_OK);
        ENX_CHECK(accepts(enx_reduce_automaton(reduce), text, text_bytes));
        enx_reduce_close(&reduce);
    }
    enx_buf_deinit(&output);
    enx_buf_deinit(&damaged);
    enx_buf_deinit(&again);
    return 0;
}
