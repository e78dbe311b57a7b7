/* SPDX-License-Identifier: Apache-2.0 */
/* walk_schema.c - texts by chance that a schema's grammar takes, for other programs to judge.
 *
 *     walk_schema SCHEMA.json COUNT     one text a line, as a JSON text
 *
 * White space and long texts are kept rare: where the text may end it mostly does, and the few
 * ways that lead on are drawn by kind of character, so that letters do not drown the rest.
 */
#include "base/rng.h"
#include "plat/file.h"
#include "text/grammar.h"
#include "text/schema.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 4000, LONG_BYTES = 300 };

static void fail(const enx_report *report)
{
    fprintf(stderr, "walk_schema: %s\n", report->text);
    exit(EXIT_FAILURE);
}

/* The bytes that may come; returns how many. */
static size_t list_next(const enx_automaton *automaton, const void *state, uint8_t out[256])
{
    static _Alignas(16) uint8_t tried[ENX_MASK_STATE_BYTES_MAX];
    size_t                      count = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        memcpy(tried, state, automaton->state_bytes);
        if (automaton->step(automaton, tried, (uint8_t)byte)) out[count++] = (uint8_t)byte;
    }
    return count;
}

/* Long texts prefer what closes. */
static uint8_t draw(enx_rng *rng, const uint8_t *possible, size_t count, size_t length)
{
    for (size_t i = 0; i < count && length > LONG_BYTES; i++)
        if (strchr("\"]}", possible[i]) && possible[i] && enx_rng_below(rng, 2)) return possible[i];
    const uint8_t byte = possible[enx_rng_below(rng, count)];
    return byte >= 0x80 || byte == '\n' || byte == ' ' ? possible[enx_rng_below(rng, count)] : byte;
}

static bool walk(const enx_automaton *automaton, enx_rng *rng, char *text, size_t *count)
{
    static _Alignas(16) uint8_t state[ENX_MASK_STATE_BYTES_MAX];
    automaton->start(automaton, state);
    for (*count = 0; *count < TEXT_BYTES; ++*count) {
        uint8_t      possible[256];
        const bool   is_whole = automaton->may_end(automaton, state);
        const size_t possible_count = list_next(automaton, state, possible);
        if (is_whole && (possible_count == 0 || enx_rng_below(rng, 3) == 0)) return true;
        const uint8_t byte = draw(rng, possible, possible_count, *count);
        automaton->step(automaton, state, byte);
        text[*count] = (char)byte;
    }
    return false;
}

int main(int argc, char **argv)
{
    enx_report   report = { 0 };
    enx_file     file = { 0 };
    enx_grammar *grammar = NULL;
    enx_buf      rules;
    static char  text[TEXT_BYTES];
    enx_buf_init(&rules, ENX_GRAMMAR_BYTES_MAX);
    if (argc != 3) {
        fprintf(stderr, "usage: walk_schema SCHEMA.json COUNT\n");
        return EXIT_FAILURE;
    }
    if (enx_file_map(&file, argv[1], &report) != ENX_OK ||
        enx_schema_to_grammar((const char *)file.bytes, file.size_bytes, &rules, &report) !=
            ENX_OK ||
        enx_grammar_open(&grammar, enx_buf_text(&rules), rules.size_bytes, &report) != ENX_OK)
        fail(&report);
    enx_rng rng = enx_rng_open(1, 1);
    for (long left = strtol(argv[2], NULL, 10); left > 0; left--) {
        size_t count;
        if (!walk(enx_grammar_automaton(grammar), &rng, text, &count)) continue;
        json_t *line = json_stringn(text, count);
        json_dumpf(line, stdout, JSON_ENCODE_ANY);
        putchar('\n');
        json_decref(line);
    }
    enx_grammar_close(&grammar);
    enx_buf_deinit(&rules);
    enx_file_unmap(&file);
    return EXIT_SUCCESS;
}
