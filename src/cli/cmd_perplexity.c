/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_perplexity.c - enxame perplexity: how well a model predicts a text.
 *
 * The text is cut into chunks of the context's size; in each, every token but the first is
 * predicted from those before it. */
#include "backend/loaded.h"
#include "cli/cli.h"
#include "engine/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PERPLEXITY_SLOTS = 4 };

typedef struct perplexity_state {
    enx_loaded  loaded;
    enx_pool   *pool;
    enx_engine *engine;
    enx_buf     text;
    enx_tokens  tokens;
    double      sum_logprob;
    uint64_t    count, bytes;
} perplexity_state;

static void on_done(void *owner, const enx_generation *g)
{
    perplexity_state *s = owner;
    for (uint32_t i = 0; i < g->token_count; i++) {
        s->sum_logprob += (double)g->logprobs[i];
        s->bytes += enx_tokenizer_bytes(s->loaded.tokenizer, g->tokens[i]).size_bytes;
    }
    s->count += g->token_count;
}

static enx_status score(perplexity_state *s, uint32_t context, enx_report *report)
{
    size_t at = 0;
    if (s->tokens.count < 2)
        return ENX_FAIL(report, INVALID, "the text has %zu tokens; 2 are needed", s->tokens.count);
    while (at + 1 < s->tokens.count && !cli_is_interrupted()) {
        const size_t      left = s->tokens.count - at;
        const size_t      size = left < context ? left : context;
        const enx_request request = { .prompt = s->tokens.ids + at,
                                      .prompt_count = 1,
                                      .forced = s->tokens.ids + at + 1,
                                      .forced_count = (uint32_t)size - 1,
                                      .eos = ENX_TOKEN_NONE };
        const enx_status  status = enx_engine_submit(s->engine, &request, NULL, report);
        if (status == ENX_AGAIN) {
            enx_engine_step(s->engine, on_done, s);
            continue;
        }
        if (status != ENX_OK) return status;
        at += size;
    }
    while (enx_engine_step(s->engine, on_done, s) > 0)
        if (cli_is_interrupted()) break;
    return cli_is_interrupted() ? ENX_FAIL(report, CANCELED, "interrupted") : ENX_OK;
}

static enx_status measure(perplexity_state *s, const char *model, const char *path,
                          const char *cache, uint64_t context, uint64_t threads, enx_report *report)
{
    enx_kv_type type;
    ENX_TRY(enx_kv_type_parse(&type, cache, report));
    ENX_TRY(enx_loaded_open(&s->loaded, model, report));
    ENX_TRY(cli_read(&s->text, path, report));
    ENX_TRY(enx_tokenizer_encode(s->loaded.tokenizer, enx_buf_text(&s->text), s->text.size_bytes,
                                 false, &s->tokens, report));
    const uint32_t own = enx_model_hparams(s->loaded.model)->context_tokens;
    const uint32_t size = context && context < own ? (uint32_t)context : own < 2048 ? own : 2048;
    if (size < 8) return ENX_FAIL(report, INVALID, "--context: 8 is the least");
    ENX_TRY(enx_pool_open(&s->pool, (uint32_t)threads, report));
    const enx_engine_options options = { .model = s->loaded.model,
                                         .cpu = getenv("ENX_CPU"),
                                         .slot_count = PERPLEXITY_SLOTS,
                                         .context_tokens = size,
                                         .pool = s->pool,
                                         .cache = type };
    ENX_TRY(enx_engine_open(&s->engine, &options, report));
    return score(s, size - 1, report); /* one place is the engine's, for a next token */
}

int cmd_perplexity(int argc, char **argv)
{
    const char      *model = NULL, *path = "-", *cache = NULL;
    uint64_t         context = 0, threads = 0;
    const cli_option options[] = {
        { "model", 'm', CLI_TEXT, &model, "MODEL", "a GGUF file" },
        { "file", 'f', CLI_TEXT, &path, "FILE", "the text (default: standard input)" },
        { "context", '\0', CLI_UINT, &context, "N",
          "tokens of a chunk (the model's, at most 2048)" },
        { "cache", '\0', CLI_TEXT, &cache, "TYPE", "of keys and values: f32, f16 (default) or q8" },
        { "threads", '\0', CLI_UINT, &threads, "N", "default: one per core" },
    };
    const cli_spec   spec = { "perplexity -m MODEL -f FILE",
                              "Measure how well a model predicts a "
                                "text: perplexity a token, bits a byte.",
                              "enxame perplexity -m models/lead.gguf -f letter.txt",
                              options,
                              5,
                              0,
                              0 };
    cli_args         args;
    enx_report       report = { 0 };
    perplexity_state s = { 0 };
    enx_buf_init(&s.text, CLI_TEXT_BYTES_MAX);
    enx_tokens_init(&s.tokens, CLI_TEXT_BYTES_MAX);
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK && !model) status = ENX_FAIL(&report, INVALID, "-m MODEL is missing");
    cli_catch_interrupts();
    if (status == ENX_OK) status = measure(&s, model, path, cache, context, threads, &report);
    if (status == ENX_OK) {
        const double nats = -s.sum_logprob / (double)s.count;
        const double bits = s.bytes ? -s.sum_logprob / log(2) / (double)s.bytes : 0;
        if (args.is_json)
            cli_print_json(json_pack("{s:f, s:f, s:f, s:I, s:I}", "perplexity", exp(nats), "nats",
                                     nats, "bits_per_byte", bits, "tokens", (json_int_t)s.count,
                                     "bytes", (json_int_t)s.bytes));
        else
            printf("perplexity %.4f  (%.4f nats a token, %.4f bits a byte, %llu tokens)\n",
                   exp(nats), nats, bits, (unsigned long long)s.count);
    }
    enx_engine_close(&s.engine);
    enx_pool_close(&s.pool);
    enx_tokens_deinit(&s.tokens);
    enx_buf_deinit(&s.text);
    enx_loaded_close(&s.loaded);
    return status == ENX_OK ? 0 : cli_fail("perplexity", &args, status, &report);
}
