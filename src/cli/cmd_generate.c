/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_generate.c - enxame generate: continue a text by one model. */
#include "base/mem.h"
#include "cli/cli_answer.h"
#include "cli/cli_sampling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP_MAX = 20, ANSWERS_MAX = 64 };

typedef struct generate_arguments {
    const char  *model, *prompt, *file, *what, *language;
    uint64_t     max_tokens, context, threads, level, top_count, answer_count;
    const char  *cache;
    bool         is_special;
    cli_sampling sampling;
} generate_arguments;

/* One of the answers to the prompt. */
typedef struct sample {
    uint64_t    id, seed;
    cli_answer  answer;
    enx_mask   *mask;    /* owned; NULL: everything goes */
    enx_likely *top;     /* owned, [max_tokens][top_count] */
    bool        is_live; /* shown as it comes */
    enx_finish  finish;
    json_t     *json; /* the result, made when the generation ends */
} sample;

typedef struct generate_state {
    enx_loaded  loaded;
    enx_pool   *pool;
    enx_engine *engine;
    enx_buf     text;
    enx_tokens  prompt;
    sample     *samples; /* owned, [sample_count] */
    uint32_t    sample_count, done_count;
    uint32_t    top_count;
    bool        is_json;
} generate_state;

static const char *const finish_words[] = { "stop", "length", "stuck", "canceled" };

/* Print what the answer has got. */
static void show(sample *one)
{
    size_t size = 0;
    if (!one->is_live) return;
    const char *news = cli_answer_take_news(&one->answer, &size);
    cli_write_text(stdout, news, size);
    if (size) fflush(stdout);
}

static void on_token(void *user, uint32_t token, float logprob)
{
    (void)logprob;
    cli_answer_push(&((sample *)user)->answer, token);
    show(user);
}

static json_t *json_of_top(const generate_state *s, const sample *one, uint32_t place_count)
{
    json_t *places = json_array();
    for (uint32_t i = 0; i < place_count; i++) {
        const enx_likely *top = one->top + (size_t)i * s->top_count;
        json_t           *place = json_array();
        for (uint32_t k = 0; k < s->top_count && top[k].token != ENX_TOKEN_NONE; k++) {
            const enx_gguf_str bytes = enx_tokenizer_bytes(s->loaded.tokenizer, top[k].token);
            json_array_append_new(place,
                                  json_pack("{s:I, s:o, s:f}", "token", (json_int_t)top[k].token,
                                            "text", cli_json_text(bytes.data, bytes.size_bytes),
                                            "logprob", (double)top[k].logprob));
        }
        json_array_append_new(places, place);
    }
    return places;
}

static void on_done(void *owner, const enx_generation *g)
{
    generate_state *s = owner;
    sample         *one = g->user;
    cli_answer     *a = &one->answer;
    json_t         *tokens = json_array(), *logprobs = json_array();
    const bool      is_stopped = a->stopper.is_stopped;
    const uint32_t  places = a->token_count + (is_stopped ? 0 : g->has_eos);
    s->done_count++;
    one->finish = is_stopped ? ENX_FINISH_STOP : g->finish;
    for (uint32_t i = 0; i < a->token_count; i++)
        json_array_append_new(tokens, json_integer(g->tokens[i]));
    for (uint32_t i = 0; i < places; i++)
        json_array_append_new(logprobs, json_real((double)g->logprobs[i]));
    cli_answer_finish(a);
    show(one);
    one->json = json_pack("{s:o, s:o, s:o, s:s, s:{s:I, s:I, s:I}}", "text",
                          cli_json_text(enx_buf_text(&a->text), a->text.size_bytes), "tokens",
                          tokens, "logprobs", logprobs, "finish", finish_words[one->finish],
                          "usage", "tokens_in", (json_int_t)g->usage.tokens_in, "tokens_cached",
                          (json_int_t)g->usage.tokens_cached, "tokens_out",
                          (json_int_t)g->usage.tokens_out);
    if (one->top) json_object_set_new(one->json, "top_logprobs", json_of_top(s, one, places));
}

static enx_status read_prompt(generate_state *s, const generate_arguments *a, enx_report *report)
{
    if (a->prompt && a->file)
        return ENX_FAIL(report, INVALID, "give the text by -p or by -f, not by both");
    if (a->prompt && enx_buf_append_text(&s->text, a->prompt) != ENX_OK)
        return ENX_FAIL(report, LIMIT, "-p: the text is too long");
    if (!a->prompt) ENX_TRY(cli_read(&s->text, a->file ? a->file : "-", report));
    if (!a->what) {
        const enx_tokenizer *tokenizer = s->loaded.tokenizer;
        const size_t         known_bytes = a->is_special ? s->text.size_bytes : 0;
        if (enx_tokenizer_begin(tokenizer, enx_buf_text(&s->text), known_bytes, &s->prompt) !=
            ENX_OK)
            return ENX_FAIL(report, NOMEM, "no memory for the prompt");
        return enx_tokenizer_encode(tokenizer, enx_buf_text(&s->text), s->text.size_bytes,
                                    a->is_special, &s->prompt, report);
    }
    const enx_prompt_fields fields = { .text = enx_buf_text(&s->text),
                                       .text_bytes = s->text.size_bytes,
                                       .language = a->language,
                                       .level = (int32_t)(a->level > 3 ? 0 : a->level) };
    return enx_loaded_prompt(&s->loaded, a->what, &fields, &s->prompt, report);
}

static enx_status open_sample(const generate_state *s, const generate_arguments *a, sample *one,
                              enx_report *report)
{
    ENX_TRY(cli_answer_init(&one->answer, s->loaded.tokenizer, &a->sampling.stops, report));
    ENX_TRY(cli_sampling_open_mask(&a->sampling, &s->loaded, &one->mask, report));
    if (s->top_count == 0) return ENX_OK;
    one->top = ENX_MEM_NEW(enx_likely, a->max_tokens * s->top_count);
    return one->top ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for --logprobs");
}

/* Every answer in a slot of its own, all in one batch; its seed alone tells it from the others. */
static enx_status submit_all(generate_state *s, generate_arguments *a, enx_report *report)
{
    enx_request request = { .prompt = s->prompt.ids,
                            .prompt_count = (uint32_t)s->prompt.count,
                            .max_tokens = (uint32_t)a->max_tokens,
                            .eos = enx_tokenizer_eos(s->loaded.tokenizer),
                            .tokenizer = s->loaded.tokenizer,
                            .top_count = s->top_count,
                            .skips_forced = true,
                            .on_token = on_token };
    ENX_TRY(cli_sampling_get(&a->sampling, s->loaded.tokenizer, &request.sampling, report));
    for (uint32_t i = 0; i < s->sample_count; i++) {
        sample *one = &s->samples[i];
        ENX_TRY(open_sample(s, a, one, report));
        one->is_live = !s->is_json && s->sample_count == 1;
        one->seed = request.sampling.seed;
        request.mask = one->mask;
        request.top = one->top;
        request.user = one;
        ENX_TRY(enx_engine_submit(s->engine, &request, &one->id, report));
        request.sampling.seed++;
    }
    return ENX_OK;
}

static enx_status run_all(generate_state *s, enx_report *report)
{
    while (s->done_count < s->sample_count && !cli_is_interrupted()) {
        for (uint32_t i = 0; i < s->sample_count; i++)
            if (cli_answer_is_over(&s->samples[i].answer))
                enx_engine_cancel(s->engine, s->samples[i].id);
        enx_engine_step(s->engine, on_done, s);
    }
    if (s->done_count < s->sample_count) return ENX_FAIL(report, CANCELED, "interrupted");
    for (uint32_t i = 0; i < s->sample_count; i++) {
        if (s->samples[i].answer.status != ENX_OK)
            return ENX_FAIL(report, NOMEM, "no memory for the answer");
        if (s->samples[i].finish == ENX_FINISH_STUCK)
            fprintf(stderr, "enxame generate: the grammar allowed no token; the text ends early\n");
    }
    return ENX_OK;
}

/* What prompt and answer can fill of the context that is allowed.  Some models turn their positions
 * another way in contexts above those that they began with: the answer must not depend on how much
 * memory is taken, so a context stays on its side of that. */
static uint32_t context_needed(const generate_state *s, const generate_arguments *a)
{
    const enx_hparams *hp = enx_model_hparams(s->loaded.model);
    const uint64_t     allowed = a->context ? a->context : hp->context_tokens;
    const uint64_t     long_from = (uint64_t)hp->rope_scaling.original_tokens + 1;
    uint64_t           needed = s->prompt.count + a->max_tokens;
    if (allowed >= long_from && needed < long_from) needed = long_from;
    return (uint32_t)(needed < allowed ? needed : allowed);
}

static enx_status generate(generate_state *s, generate_arguments *a, enx_report *report)
{
    enx_kv_type cache;
    ENX_TRY(enx_kv_type_parse(&cache, a->cache, report));
    ENX_TRY(enx_loaded_open(&s->loaded, a->model, report));
    ENX_TRY(read_prompt(s, a, report));
    ENX_TRY(cli_sampling_read_rules(&a->sampling, report));
    s->top_count = (uint32_t)a->top_count;
    s->samples = ENX_MEM_NEW(sample, a->answer_count);
    if (!s->samples) return ENX_FAIL(report, NOMEM, "no memory for the answers");
    s->sample_count = (uint32_t)a->answer_count;
    ENX_TRY(enx_pool_open(&s->pool, (uint32_t)a->threads, report));
    const enx_engine_options options = { .model = s->loaded.model,
                                         .cpu = getenv("ENX_CPU"),
                                         .slot_count = s->sample_count,
                                         .context_tokens = context_needed(s, a),
                                         .pool = s->pool,
                                         .cache = cache };
    ENX_TRY(enx_engine_open(&s->engine, &options, report));
    ENX_TRY(submit_all(s, a, report));
    return run_all(s, report);
}

static enx_status check_arguments(generate_arguments *a, enx_report *report)
{
    if (!a->model) return ENX_FAIL(report, INVALID, "-m MODEL is missing");
    if (a->max_tokens == 0 || a->max_tokens > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "-n: from 1 to %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->answer_count == 0 || a->answer_count > ANSWERS_MAX)
        return ENX_FAIL(report, INVALID, "--answers: from 1 to %d", ANSWERS_MAX);
    if (a->context > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "--context: at most %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    if (a->top_count > TOP_MAX) return ENX_FAIL(report, INVALID, "--logprobs: at most %d", TOP_MAX);
    return cli_sampling_check(&a->sampling, report);
}

/* The first answer's keys, and where several were asked for all of them. */
static void print_json(const generate_state *s)
{
    json_t *out = json_deep_copy(s->samples[0].json), *answers = json_array();
    for (uint32_t i = 0; i < s->sample_count; i++) {
        json_t *one = json_incref(s->samples[i].json);
        json_object_set_new(one, "seed", json_integer((json_int_t)s->samples[i].seed));
        json_array_append_new(answers, one);
    }
    if (s->sample_count > 1) json_object_set(out, "answers", answers);
    json_decref(answers);
    cli_print_json(out);
}

static void print_text(const generate_state *s)
{
    for (uint32_t i = 0; i < s->sample_count && s->sample_count > 1; i++) {
        const enx_buf *text = &s->samples[i].answer.text;
        printf("%s--- seed %llu\n", i ? "\n" : "", (unsigned long long)s->samples[i].seed);
        cli_write_text(stdout, enx_buf_text(text), text->size_bytes);
    }
    putchar('\n');
}

static void close_state(generate_state *s)
{
    enx_engine_close(&s->engine);
    enx_pool_close(&s->pool);
    for (uint32_t i = 0; i < s->sample_count; i++) {
        json_decref(s->samples[i].json);
        enx_mem_free(s->samples[i].top);
        enx_mask_close(&s->samples[i].mask);
        cli_answer_deinit(&s->samples[i].answer);
    }
    enx_mem_free(s->samples);
    enx_tokens_deinit(&s->prompt);
    enx_buf_deinit(&s->text);
    enx_loaded_close(&s->loaded);
}

enum { OPTIONS_MAX = CLI_OPTIONS_MAX };

/* Fill `out`; returns how many. */
static size_t list_options(generate_arguments *a, cli_option out[OPTIONS_MAX])
{
    const cli_option first[] = {
        { "model", 'm', CLI_TEXT, &a->model, "MODEL", "a GGUF file" },
        { "prompt", 'p', CLI_TEXT, &a->prompt, "TEXT", "what to continue" },
        { "file", 'f', CLI_TEXT, &a->file, "FILE", "... from a file (default: standard input)" },
        { "tokens", 'n', CLI_UINT, &a->max_tokens, "N", "at most so many tokens (128)" },
        { "answers", '\0', CLI_UINT, &a->answer_count, "N",
          "so many, with seeds S, S + 1, ... (1)" },
    };
    const cli_option last[] = {
        { "logprobs", '\0', CLI_UINT, &a->top_count, "K",
          "with --json: the K likeliest at each place" },
        { "what", '\0', CLI_TEXT, &a->what, "CLASS",
          "ask by the model's own prompt: restore, scout…" },
        { "language", '\0', CLI_TEXT, &a->language, "TAG", "... with this language" },
        { "level", '\0', CLI_UINT, &a->level, "L", "... and this level of damage, 1 to 3" },
        { "special", '\0', CLI_FLAG, &a->is_special, NULL, "names of control words are tokens" },
        { "context", '\0', CLI_UINT, &a->context, "N", "tokens of prompt and text (the model's)" },
        { "cache", '\0', CLI_TEXT, &a->cache, "TYPE",
          "of keys and values: f32, f16 (default) or q8" },
        { "threads", '\0', CLI_UINT, &a->threads, "N", "default: one per core" },
    };
    enum { FIRST = sizeof first / sizeof *first, LAST = sizeof last / sizeof *last };
    _Static_assert(FIRST + CLI_SAMPLING_OPTIONS + LAST <= OPTIONS_MAX, "room for all");
    memcpy(out, first, sizeof first);
    const size_t count = FIRST + cli_sampling_options(&a->sampling, out + FIRST);
    memcpy(out + count, last, sizeof last);
    return count + LAST;
}

int cmd_generate(int argc, char **argv)
{
    generate_arguments a = { .max_tokens = 128, .answer_count = 1 };
    cli_option         options[OPTIONS_MAX];
    cli_sampling_init(&a.sampling, 0);
    const size_t   option_count = list_options(&a, options);
    const cli_spec spec = { "generate -m MODEL -p TEXT [options]",
                            "Continue a text by one model.",
                            "enxame generate -m models/lead.gguf --what restore -p 'ola mundo'",
                            options,
                            option_count,
                            0,
                            0 };
    cli_args       args;
    enx_report     report = { 0 };
    generate_state s = { 0 };
    enx_buf_init(&s.text, CLI_TEXT_BYTES_MAX);
    enx_tokens_init(&s.prompt, ENX_ENGINE_CONTEXT_MAX);
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    s.is_json = args.is_json;
    if (status == ENX_OK) status = check_arguments(&a, &report);
    cli_catch_interrupts();
    if (status == ENX_OK) status = generate(&s, &a, &report);
    if (status == ENX_OK && args.is_json) print_json(&s);
    if (status == ENX_OK && !args.is_json) print_text(&s);
    close_state(&s);
    cli_sampling_deinit(&a.sampling);
    return status == ENX_OK ? 0 : cli_fail("generate", &args, status, &report);
}
