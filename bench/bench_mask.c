/* SPDX-License-Identifier: Apache-2.0 */
/* bench_mask.c - what a grammar's mask costs at each token of a text.
 *
 *     bench_mask FILE.gguf GRAMMAR TEXT     a grammar named .json is a JSON Schema
 *
 * One CSV line: tokens of the vocabulary, tokens of the text, then microseconds of processor time
 * a token (medians of five runs are in results/mask.csv): the mean of a first pass, its worst, the
 * mean of the tenth pass (what a server's next answer of the same form pays).
 */
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "text/grammar.h"
#include "text/schema.h"
#include "text/vocab_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PASSES = 10 };

typedef struct cost {
    uint64_t total_us, worst_us;
} cost;

static void fail(const enx_report *report)
{
    fprintf(stderr, "bench_mask: %s\n", report->text);
    exit(EXIT_FAILURE);
}

static enx_status open_rules(enx_grammar **out, const char *path, enx_report *report)
{
    enx_file     file = { 0 };
    const size_t name_bytes = strlen(path);
    const bool   is_schema = name_bytes > 5 && strcmp(path + name_bytes - 5, ".json") == 0;
    enx_status   status = enx_file_map(&file, path, report);
    if (status == ENX_OK)
        status = (is_schema ? enx_schema_open : enx_grammar_open)(out, (const char *)file.bytes,
                                                                  file.size_bytes, report);
    enx_file_unmap(&file);
    return status;
}

static cost walk_text(enx_mask *mask, const enx_tokens *text, uint32_t *ids)
{
    cost sum = { 0 };
    enx_mask_reset(mask);
    for (size_t i = 0; i < text->count; i++) {
        const uint64_t before_us = enx_clock_cpu_us();
        const size_t   count = enx_mask_allowed(mask, ids);
        const bool     is_taken = enx_mask_accept(mask, text->ids[i]);
        const uint64_t took_us = enx_clock_cpu_us() - before_us;
        sum.total_us += took_us;
        if (took_us > sum.worst_us) sum.worst_us = took_us;
        if (count > 0 && is_taken) continue;
        fprintf(stderr, "bench_mask: the grammar refuses the text at its token %zu\n", i + 1);
        exit(EXIT_FAILURE);
    }
    return sum;
}

static void measure(const enx_tokenizer *tokenizer, enx_mask *mask, const enx_tokens *text)
{
    const uint32_t vocab_count = (uint32_t)enx_tokenizer_count(tokenizer);
    uint32_t      *ids = ENX_MEM_NEW(uint32_t, vocab_count);
    if (!ids) exit(EXIT_FAILURE);
    const double n = (double)text->count;
    const cost   first = walk_text(mask, text, ids);
    cost         later = first;
    for (int pass = 1; pass < PASSES; pass++) later = walk_text(mask, text, ids);
    printf("%u,%zu,%.0f,%llu,%.0f\n", vocab_count, text->count, (double)first.total_us / n,
           (unsigned long long)first.worst_us, (double)later.total_us / n);
    enx_mem_free(ids);
}

int main(int argc, char **argv)
{
    enx_report     report = { 0 };
    enx_file       file = { 0 }, words = { 0 };
    enx_gguf      *gguf = NULL;
    enx_tokenizer *tokenizer = NULL;
    enx_trie      *trie = NULL;
    enx_grammar   *grammar = NULL;
    enx_mask      *mask = NULL;
    enx_tokens     text;
    enx_tokens_init(&text, 1 << 20);
    if (argc != 4) {
        fprintf(stderr, "usage: bench_mask FILE.gguf GRAMMAR TEXT\n");
        return EXIT_FAILURE;
    }
    if (enx_file_map(&file, argv[1], &report) != ENX_OK ||
        enx_gguf_open(&gguf, file.bytes, file.size_bytes, &report) != ENX_OK ||
        enx_tokenizer_open(&tokenizer, gguf, &report) != ENX_OK ||
        enx_trie_open(&trie, tokenizer, &report) != ENX_OK ||
        enx_file_map(&words, argv[3], &report) != ENX_OK ||
        open_rules(&grammar, argv[2], &report) != ENX_OK ||
        enx_tokenizer_encode(tokenizer, (const char *)words.bytes, words.size_bytes, false, &text,
                             &report) != ENX_OK ||
        enx_mask_open(&mask, enx_grammar_automaton(grammar), trie, tokenizer, &report) != ENX_OK)
        fail(&report);
    measure(tokenizer, mask, &text);
    enx_mask_close(&mask);
    enx_grammar_close(&grammar);
    enx_tokens_deinit(&text);
    enx_file_unmap(&words);
    enx_trie_close(&trie);
    enx_tokenizer_close(&tokenizer);
    enx_gguf_close(&gguf);
    enx_file_unmap(&file);
    return EXIT_SUCCESS;
}
