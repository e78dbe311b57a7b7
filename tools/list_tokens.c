/* SPDX-License-Identifier: Apache-2.0 */
/* list_tokens.c - the tokens of many texts.
 *
 *     list_tokens MODEL.gguf < TEXTS      each text ends with a zero byte
 *
 * Prints a line of ids for each text, without a token for the beginning.
 */
#include "base/buf.h"
#include "model/model_file.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <string.h>

enum { TEXTS_BYTES_MAX = 64 << 20, TOKENS_MAX = 1 << 20, READ_BYTES = 1 << 16 };

static enx_status read_all(enx_buf *out, enx_report *report)
{
    static char part[READ_BYTES];
    for (size_t n; (n = fread(part, 1, sizeof part, stdin)) > 0;)
        if (enx_buf_append(out, part, n) != ENX_OK)
            return ENX_FAIL(report, LIMIT, "the texts are too long");
    return ENX_OK;
}

static enx_status list(const enx_tokenizer *tokenizer, const enx_buf *texts, enx_report *report)
{
    enx_tokens ids;
    enx_tokens_init(&ids, TOKENS_MAX);
    enx_status  status = ENX_OK;
    const char *end = enx_buf_text(texts) + texts->size_bytes;
    for (const char *text = enx_buf_text(texts); status == ENX_OK && text < end;) {
        const size_t size = strnlen(text, (size_t)(end - text));
        ids.count = 0;
        status = enx_tokenizer_encode(tokenizer, text, size, false, &ids, report);
        for (size_t i = 0; i < ids.count; i++) printf(i ? " %u" : "%u", ids.ids[i]);
        putchar('\n');
        text += size + 1;
    }
    enx_tokens_deinit(&ids);
    return status;
}

static enx_status run(const char *path, enx_report *report)
{
    enx_model_file file = { 0 };
    enx_tokenizer *tokenizer = NULL;
    enx_buf        texts;
    enx_buf_init(&texts, TEXTS_BYTES_MAX);
    enx_status status = enx_model_file_open(&file, path, report);
    if (status == ENX_OK) status = enx_tokenizer_open(&tokenizer, file.gguf, report);
    if (status == ENX_OK) status = read_all(&texts, report);
    if (status == ENX_OK) status = list(tokenizer, &texts, report);
    enx_buf_deinit(&texts);
    enx_tokenizer_close(&tokenizer);
    enx_model_file_close(&file);
    return status;
}

int main(int argc, char **argv)
{
    enx_report report = { 0 };
    if (argc != 2) {
        fprintf(stderr, "usage: list_tokens MODEL.gguf < TEXTS\n");
        return 64;
    }
    if (run(argv[1], &report) == ENX_OK) return 0;
    fprintf(stderr, "list_tokens: %s\n", report.text);
    return 1;
}
