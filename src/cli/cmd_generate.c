/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_generate.c - enxame generate: continue a text by one model. */
#include "backend/loaded.h"
#include "cli/cli.h"
#include "engine/engine.h"
#include "text/grammar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct generate_arguments {
    const char *model, *prompt, *file, *grammar, *what, *language;
    uint64_t    max_tokens, seed, top_k, threads, level;
    double      temperature, top_p, min_p;
    bool        is_special;
} generate_arguments;

typedef struct generate_state {
    enx_loaded   loaded;
    enx_pool    *pool;
    enx_engine  *engine;
    enx_grammar *grammar;
    enx_mask    *mask;
    enx_buf      text, answer;
    enx_tokens   prompt;
    bool         is_json;
    json_t      *json; /* the result, made when the generation ends */
    enx_finish   finish;
} generate_state;

static const char *const finish_words[] = { "stop", "length", "stuck", "canceled" };

static void on_token(void *user, uint32_t token, float logprob)
{
    generate_state *s = user;
    (void)logprob;
    if (s->is_json || enx_tokenizer_is_control(s->loaded.tokenizer, token)) return;
    const enx_gguf_str bytes = enx_tokenizer_bytes(s->loaded.tokenizer, token);
    fwrite(bytes.data, 1, bytes.size_bytes, stdout);
    fflush(stdout);
}

static void on_done(void *owner, const enx_generation *g)
{
    generate_state *s = owner;
    json_t         *tokens = json_array(), *logprobs = json_array();
    s->finish = g->finish;
    for (uint32_t i = 0; i < g->token_count; i++)
        json_array_append_new(tokens, json_integer(g->tokens[i]));
    for (uint32_t i = 0; i < g->token_count + g->has_eos; i++)
        json_array_append_new(logprobs, json_real((double)g->logprobs[i]));
    (void)!enx_loaded_decode(&s->loaded, g->tokens, g->token_count, &s->answer);
    s->json = json_pack("{s:o, s:o, s:o, s:s, s:{s:I, s:I, s:I}}", "text",
                        cli_json_text(enx_buf_text(&s->answer), s->answer.size_bytes), "tokens",
                        tokens, "logprobs", logprobs, "finish", finish_words[g->finish], "usage",
                        "tokens_in", (json_int_t)g->usage.tokens_in, "tokens_cached",
                        (json_int_t)g->usage.tokens_cached, "tokens_out",
                        (json_int_t)g->usage.tokens_out);
}

static enx_status open_grammar(generate_state *s, const char *path, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, ENX_GRAMMAR_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK)
        status = enx_grammar_open(&s->grammar, enx_buf_text(&text), text.size_bytes, report);
    enx_buf_deinit(&text);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", path);
        return status;
    }
    return enx_mask_open(&s->mask, enx_grammar_automaton(s->grammar), s->loaded.trie,
                         s->loaded.tokenizer, report);
}

static enx_status read_prompt(generate_state *s, const generate_arguments *a, enx_report *report)
{
    if (a->prompt && a->file)
        return ENX_FAIL(report, INVALID, "give the text by -p or by -f, not by both");
    if (a->prompt && enx_buf_append_text(&s->text, a->prompt) != ENX_OK)
        return ENX_FAIL(report, LIMIT, "-p: the text is too long");
    if (!a->prompt) ENX_TRY(cli_read(&s->text, a->file ? a->file : "-", report));
    if (!a->what)
        return enx_tokenizer_encode(s->loaded.tokenizer, enx_buf_text(&s->text), s->text.size_bytes,
                                    a->is_special, &s->prompt, report);
    const enx_prompt_fields fields = { .text = enx_buf_text(&s->text),
                                       .text_bytes = s->text.size_bytes,
                                       .language = a->language,
                                       .level = (int32_t)(a->level > 3 ? 0 : a->level) };
    return enx_loaded_prompt(&s->loaded, a->what, &fields, &s->prompt, report);
}

static enx_status generate(generate_state *s, const generate_arguments *a, enx_report *report)
{
    ENX_TRY(enx_loaded_open(&s->loaded, a->model, report));
    ENX_TRY(read_prompt(s, a, report));
    if (a->grammar) ENX_TRY(open_grammar(s, a->grammar, report));
    ENX_TRY(enx_pool_open(&s->pool, (uint32_t)a->threads, report));
    const enx_engine_options options = {
        .model = s->loaded.model, .cpu = getenv("ENX_CPU"), .slot_count = 1, .pool = s->pool
    };
    ENX_TRY(enx_engine_open(&s->engine, &options, report));
    const enx_request request = { .prompt = s->prompt.ids,
                                  .prompt_count = (uint32_t)s->prompt.count,
                                  .max_tokens = (uint32_t)a->max_tokens,
                                  .eos = enx_tokenizer_eos(s->loaded.tokenizer),
                                  .sampling = { .temperature = (float)a->temperature,
                                                .top_k = (uint32_t)a->top_k,
                                                .top_p = (float)a->top_p,
                                                .min_p = (float)a->min_p,
                                                .seed = a->seed },
                                  .mask = s->mask,
                                  .on_token = on_token,
                                  .user = s };
    ENX_TRY(enx_engine_submit(s->engine, &request, NULL, report));
    while (!s->json && !cli_is_interrupted()) enx_engine_step(s->engine, on_done, s);
    if (!s->json) return ENX_FAIL(report, CANCELED, "interrupted");
    if (s->finish == ENX_FINISH_STUCK)
        fprintf(stderr, "enxame generate: the grammar allowed no token; the text ends early\n");
    return ENX_OK;
}

static enx_status check_numbers(const generate_arguments *a, enx_report *report)
{
    if (!a->model) return ENX_FAIL(report, INVALID, "-m MODEL is missing");
    if (a->max_tokens == 0 || a->max_tokens > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "-n: from 1 to %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    if (a->temperature < 0 || a->top_p < 0 || a->top_p > 1 || a->min_p < 0 || a->min_p > 1)
        return ENX_FAIL(report, INVALID, "--temp is from 0 on, --top-p and --min-p from 0 to 1");
    return ENX_OK;
}

static void close_state(generate_state *s)
{
    json_decref(s->json);
    enx_engine_close(&s->engine);
    enx_pool_close(&s->pool);
    enx_mask_close(&s->mask);
    enx_grammar_close(&s->grammar);
    enx_tokens_deinit(&s->prompt);
    enx_buf_deinit(&s->answer);
    enx_buf_deinit(&s->text);
    enx_loaded_close(&s->loaded);
}

int cmd_generate(int argc, char **argv)
{
    generate_arguments a = { .max_tokens = 128, .seed = 1 };
    const cli_option   options[] = {
          { "model", 'm', CLI_TEXT, &a.model, "MODEL", "a GGUF file" },
          { "prompt", 'p', CLI_TEXT, &a.prompt, "TEXT", "what to continue" },
          { "file", 'f', CLI_TEXT, &a.file, "FILE", "... from a file (default: standard input)" },
          { "tokens", 'n', CLI_UINT, &a.max_tokens, "N", "at most so many tokens (128)" },
          { "temp", '\0', CLI_REAL, &a.temperature, "T", "0: always the likeliest token (0)" },
          { "top-k", '\0', CLI_UINT, &a.top_k, "K", "only the K likeliest" },
          { "top-p", '\0', CLI_REAL, &a.top_p, "P", "only the likeliest with P in all" },
          { "min-p", '\0', CLI_REAL, &a.min_p, "P", "only those with P of the likeliest's chance" },
          { "seed", '\0', CLI_UINT, &a.seed, "S", "of chance (1)" },
          { "grammar", '\0', CLI_TEXT, &a.grammar, "FILE",
            "a GBNF grammar that the text must match" },
          { "what", '\0', CLI_TEXT, &a.what, "CLASS",
            "ask by the model's own prompt: restore, scout…" },
          { "language", '\0', CLI_TEXT, &a.language, "TAG", "... with this language" },
          { "level", '\0', CLI_UINT, &a.level, "L", "... and this level of damage, 1 to 3" },
          { "special", '\0', CLI_FLAG, &a.is_special, NULL, "names of control words are tokens" },
          { "threads", '\0', CLI_UINT, &a.threads, "N", "default: one per core" },
    };
    const cli_spec spec = { "generate -m MODEL -p TEXT [options]",
                            "Continue a text by one model.",
                            "enxame generate -m models/lead.gguf --what restore -p 'ola mundo'",
                            options,
                            sizeof options / sizeof *options,
                            0,
                            0 };
    cli_args       args;
    enx_report     report = { 0 };
    generate_state s = { 0 };
    enx_buf_init(&s.text, CLI_TEXT_BYTES_MAX);
    enx_buf_init(&s.answer, CLI_TEXT_BYTES_MAX);
    enx_tokens_init(&s.prompt, ENX_ENGINE_CONTEXT_MAX);
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    s.is_json = args.is_json;
    if (status == ENX_OK) status = check_numbers(&a, &report);
    cli_catch_interrupts();
    if (status == ENX_OK) status = generate(&s, &a, &report);
    if (status == ENX_OK && args.is_json) cli_print_json(json_incref(s.json));
    if (status == ENX_OK && !args.is_json) putchar('\n');
    close_state(&s);
    return status == ENX_OK ? 0 : cli_fail("generate", &args, status, &report);
}
