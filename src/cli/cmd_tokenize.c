/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_tokenize.c - enxame tokenize: text to token ids. */
#include "cli/cli.h"
#include "model/model_file.h"
#include "text/tokenizer.h"

#include <stdio.h>

typedef struct tokenize_state {
    enx_model_file file;
    enx_tokenizer *tokenizer;
    enx_buf        text;
    enx_tokens     tokens;
} tokenize_state;

static enx_status tokenize(tokenize_state *s, const char *model, const char *path, bool is_special,
                           enx_report *report)
{
    ENX_TRY(enx_model_file_open(&s->file, model, report));
    const enx_status status = enx_tokenizer_open(&s->tokenizer, s->file.gguf, report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", model);
        return status;
    }
    ENX_TRY(cli_read(&s->text, path, report));
    return enx_tokenizer_encode(s->tokenizer, enx_buf_text(&s->text), s->text.size_bytes,
                                is_special, &s->tokens, report);
}

static void print_tokens(const tokenize_state *s, bool is_json, bool has_pieces)
{
    json_t *ids = json_array(), *pieces = json_array();
    for (size_t i = 0; i < s->tokens.count; i++) {
        const enx_gguf_str piece = enx_tokenizer_bytes(s->tokenizer, s->tokens.ids[i]);
        if (is_json) {
            json_array_append_new(ids, json_integer(s->tokens.ids[i]));
            if (has_pieces)
                json_array_append_new(pieces, cli_json_text(piece.data, piece.size_bytes));
        } else if (has_pieces)
            printf("%u\t%.*s\n", s->tokens.ids[i], (int)piece.size_bytes, piece.data);
        else printf("%s%u", i ? " " : "", s->tokens.ids[i]);
    }
    if (is_json) {
        json_t *out = json_pack("{s:O}", "ids", ids);
        if (has_pieces) json_object_set(out, "pieces", pieces);
        cli_print_json(out);
    } else if (!has_pieces) putchar('\n');
    json_decref(ids);
    json_decref(pieces);
}

int cmd_tokenize(int argc, char **argv)
{
    const char      *path = "-";
    bool             is_special = false, has_pieces = false;
    const cli_option options[] = {
        { "file", 'f', CLI_TEXT, &path, "FILE", "the text (default: standard input)" },
        { "special", '\0', CLI_FLAG, &is_special, NULL, "names of control tokens become tokens" },
        { "pieces", '\0', CLI_FLAG, &has_pieces, NULL, "each token's text, too" },
    };
    const cli_spec spec = { "tokenize MODEL [options] < TEXT",
                            "Print the ids of a text's tokens.",
                            "echo olá | enxame tokenize models/lead.gguf --json",
                            options,
                            3,
                            1,
                            1 };
    cli_args       args;
    enx_report     report = { 0 };
    tokenize_state s = { 0 };
    enx_buf_init(&s.text, CLI_TEXT_BYTES_MAX);
    enx_tokens_init(&s.tokens, CLI_TEXT_BYTES_MAX);
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = tokenize(&s, args.operands.items[0], path, is_special, &report);
    if (status == ENX_OK) print_tokens(&s, args.is_json, has_pieces);
    enx_tokens_deinit(&s.tokens);
    enx_buf_deinit(&s.text);
    enx_tokenizer_close(&s.tokenizer);
    enx_model_file_close(&s.file);
    return status == ENX_OK ? 0 : cli_fail("tokenize", &args, status, &report);
}
