/* SPDX-License-Identifier: Apache-2.0 */
/* walk_schema.c - texts by chance that a schema's grammar takes, for other programs to judge.
 *
 *     walk_schema SCHEMA.json COUNT     one text a line, as a JSON string
 *
 * Fewer than COUNT come where walks do not find an end.
 */
#include "plat/file.h"
#include "text/schema.h"
#include "walk.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 4000 };

static void print_walks(const enx_automaton *automaton, long count)
{
    static char text[TEXT_BYTES];
    enx_rng     rng = enx_rng_open(1, 1);
    for (; count > 0; count--) {
        size_t size_bytes;
        if (!walk_automaton(automaton, &rng, text, TEXT_BYTES, &size_bytes)) continue;
        json_t *line = json_stringn(text, size_bytes);
        json_dumpf(line, stdout, JSON_ENCODE_ANY);
        putchar('\n');
        json_decref(line);
    }
}

int main(int argc, char **argv)
{
    enx_report   report = { 0 };
    enx_file     file = { 0 };
    enx_grammar *grammar = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: walk_schema SCHEMA.json COUNT\n");
        return 64;
    }
    enx_status status = enx_file_map(&file, argv[1], &report);
    if (status == ENX_OK)
        status = enx_schema_open(&grammar, (const char *)file.bytes, file.size_bytes, &report);
    if (status == ENX_OK) print_walks(enx_grammar_automaton(grammar), strtol(argv[2], NULL, 10));
    else fprintf(stderr, "walk_schema: %s\n", report.text);
    enx_grammar_close(&grammar);
    enx_file_unmap(&file);
    return status == ENX_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
