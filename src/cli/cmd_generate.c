/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_generate.c - enxame generate: continue a text by one model. */
#include "backend/loaded.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "engine/engine.h"
#include "text/grammar.h"
#include "text/schema.h"
#include "text/stopper.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BIAS_MAX = 1000000, PENALTY_MAX = 100, TEMPERATURE_MAX = 1000, TOP_MAX = 20 };

typedef struct generate_arguments {
    const char *model, *prompt, *file, *grammar, *schema, *what, *language;
    uint64_t    max_tokens, seed, top_k, threads, level, repeat_last;
    double      temperature, typical_p, top_p, min_p;
    double      repeat_penalty, frequency_penalty, presence_penalty;
    double      dry_multiplier, dry_base;
    uint64_t    dry_allowed, dry_last, top_count;
    cli_list    biases, stops, breakers;
    bool        is_special;
} generate_arguments;

typedef struct generate_state {
    enx_loaded   loaded;
    enx_pool    *pool;
    enx_engine  *engine;
    enx_grammar *grammar;
    enx_mask    *mask;
    enx_buf      text, answer;
    enx_likely  *top; /* owned, [max_tokens][top_count] */
    uint32_t     top_count;
    enx_stopper  stopper;
    enx_status   status;      /* of writing the answer */
    size_t       shown_bytes; /* of the answer */
    uint32_t     token_count; /* of the output, up to the one that completed a stop text */
    enx_tokens   prompt;
    enx_bias     biases[CLI_LIST_MAX];
    uint32_t    *breakers; /* owned, [breaker_count] tokens that DRY does not go across */
    uint32_t     breaker_count;
    bool         is_json;
    json_t      *json; /* the result, made when the generation ends */
    enx_finish   finish;
} generate_state;

static const char *const finish_words[] = { "stop", "length", "stuck", "canceled" };

/* Print what the answer has got. */
static void show(generate_state *s)
{
    if (s->is_json || s->shown_bytes == s->answer.size_bytes) return;
    fwrite(s->answer.data + s->shown_bytes, 1, s->answer.size_bytes - s->shown_bytes, stdout);
    fflush(stdout);
    s->shown_bytes = s->answer.size_bytes;
}

/* The engine may give more tokens in the step in which a stop text is complete. */
static void on_token(void *user, uint32_t token, float logprob)
{
    generate_state *s = user;
    (void)logprob;
    if (s->stopper.is_stopped || s->status != ENX_OK) return;
    s->token_count++;
    if (enx_tokenizer_is_control(s->loaded.tokenizer, token)) return;
    const enx_gguf_str bytes = enx_tokenizer_bytes(s->loaded.tokenizer, token);
    s->status = enx_stopper_push(&s->stopper, bytes.data, bytes.size_bytes, &s->answer);
    show(s);
}

static json_t *json_of_top(const generate_state *s, uint32_t place_count)
{
    json_t *places = json_array();
    for (uint32_t i = 0; i < place_count; i++) {
        const enx_likely *top = s->top + (size_t)i * s->top_count;
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
    json_t         *tokens = json_array(), *logprobs = json_array();
    const uint32_t  end = s->stopper.is_stopped ? 0 : g->has_eos;
    s->finish = s->stopper.is_stopped ? ENX_FINISH_STOP : g->finish;
    for (uint32_t i = 0; i < s->token_count; i++)
        json_array_append_new(tokens, json_integer(g->tokens[i]));
    for (uint32_t i = 0; i < s->token_count + end; i++)
        json_array_append_new(logprobs, json_real((double)g->logprobs[i]));
    if (s->status == ENX_OK) s->status = enx_stopper_finish(&s->stopper, &s->answer);
    show(s);
    s->json = json_pack("{s:o, s:o, s:o, s:s, s:{s:I, s:I, s:I}}", "text",
                        cli_json_text(enx_buf_text(&s->answer), s->answer.size_bytes), "tokens",
                        tokens, "logprobs", logprobs, "finish", finish_words[s->finish], "usage",
                        "tokens_in", (json_int_t)g->usage.tokens_in, "tokens_cached",
                        (json_int_t)g->usage.tokens_cached, "tokens_out",
                        (json_int_t)g->usage.tokens_out);
    if (s->top) json_object_set_new(s->json, "top_logprobs", json_of_top(s, s->token_count + end));
}

static enx_status open_grammar(generate_state *s, const char *path, bool is_schema,
                               enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, ENX_GRAMMAR_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK) {
        status = (is_schema ? enx_schema_open : enx_grammar_open)(&s->grammar, enx_buf_text(&text),
                                                                  text.size_bytes, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    enx_buf_deinit(&text);
    ENX_TRY(status);
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

/* The engine takes a share of 0 for "off"; who writes 0 wants the first one only. */
static float share_of(double p) { return p > 0 ? (float)p : FLT_MIN; }

static bool has_text(enx_gguf_str token, const char *text)
{
    return memmem(token.data, token.size_bytes, text, strlen(text)) != NULL;
}

/* The tokens that have one of the texts in them. */
static enx_status list_breakers(generate_state *s, const cli_list *given, enx_report *report)
{
    static const char *const usual[] = { "\n", ":", "\"", "*" };
    const char *const       *texts = given->count ? given->items : usual;
    const size_t   text_count = given->count ? given->count : sizeof usual / sizeof *usual;
    const uint32_t count = (uint32_t)enx_tokenizer_count(s->loaded.tokenizer);
    s->breakers = ENX_MEM_NEW(uint32_t, count);
    if (!s->breakers) return ENX_FAIL(report, NOMEM, "no memory for --dry-breaker");
    for (uint32_t id = 0; id < count; id++) {
        bool is_breaker = enx_tokenizer_is_control(s->loaded.tokenizer, id);
        for (size_t i = 0; i < text_count && !is_breaker; i++)
            is_breaker = has_text(enx_tokenizer_bytes(s->loaded.tokenizer, id), texts[i]);
        if (is_breaker) s->breakers[s->breaker_count++] = id;
    }
    return ENX_OK;
}

static enx_sampling sampling_of(const generate_state *s, const generate_arguments *a)
{
    const uint64_t last = a->repeat_last;
    return (enx_sampling){ .temperature = (float)a->temperature,
                           .top_k = a->top_k < UINT32_MAX ? (uint32_t)a->top_k : 0,
                           .typical_p = share_of(a->typical_p),
                           .top_p = share_of(a->top_p),
                           .min_p = (float)a->min_p,
                           .repeat_penalty = (float)a->repeat_penalty,
                           .frequency_penalty = (float)a->frequency_penalty,
                           .presence_penalty = (float)a->presence_penalty,
                           .repeat_last = last < UINT32_MAX ? (uint32_t)last : UINT32_MAX,
                           .biases = s->biases,
                           .bias_count = (uint32_t)a->biases.count,
                           .dry_multiplier = (float)a->dry_multiplier,
                           .dry_base = (float)a->dry_base,
                           .dry_allowed = (uint32_t)a->dry_allowed,
                           .dry_last = (uint32_t)a->dry_last,
                           .dry_breakers = s->breakers,
                           .dry_breaker_count = s->breaker_count,
                           .seed = a->seed };
}

static enx_status read_biases(enx_bias *out, const cli_list *list, enx_report *report)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i];
        char       *equal = NULL, *end = NULL;
        errno = 0;
        const unsigned long long token = strtoull(text, &equal, 10);
        const bool has_id = text[0] >= '0' && text[0] <= '9' && *equal == '=' && errno == 0 &&
                            token < ENX_TOKEN_NONE;
        const double value = has_id ? strtod(equal + 1, &end) : 0;
        if (!has_id || end == equal + 1 || *end || !(fabs(value) <= BIAS_MAX || value == -INFINITY))
            return ENX_FAIL(report, INVALID,
                            "--logit-bias %s: ID=VALUE is needed, the number of a token and what "
                            "to add, from -%d to %d, or -inf for never",
                            text, BIAS_MAX, BIAS_MAX);
        out[i] = (enx_bias){ .token = (uint32_t)token, .value = (float)value };
    }
    return ENX_OK;
}

static enx_status generate(generate_state *s, const generate_arguments *a, enx_report *report)
{
    ENX_TRY(enx_loaded_open(&s->loaded, a->model, report));
    ENX_TRY(read_prompt(s, a, report));
    if (a->grammar) ENX_TRY(open_grammar(s, a->grammar, false, report));
    if (a->schema) ENX_TRY(open_grammar(s, a->schema, true, report));
    if (a->dry_multiplier > 0) ENX_TRY(list_breakers(s, &a->breakers, report));
    ENX_TRY(enx_pool_open(&s->pool, (uint32_t)a->threads, report));
    s->top_count = (uint32_t)a->top_count;
    if (s->top_count) s->top = ENX_MEM_NEW(enx_likely, a->max_tokens * s->top_count);
    if (s->top_count && !s->top) return ENX_FAIL(report, NOMEM, "no memory for --logprobs");
    const enx_engine_options options = {
        .model = s->loaded.model, .cpu = getenv("ENX_CPU"), .slot_count = 1, .pool = s->pool
    };
    ENX_TRY(enx_engine_open(&s->engine, &options, report));
    const enx_request request = { .prompt = s->prompt.ids,
                                  .prompt_count = (uint32_t)s->prompt.count,
                                  .max_tokens = (uint32_t)a->max_tokens,
                                  .eos = enx_tokenizer_eos(s->loaded.tokenizer),
                                  .tokenizer = s->loaded.tokenizer,
                                  .sampling = sampling_of(s, a),
                                  .mask = s->mask,
                                  .top = s->top,
                                  .top_count = s->top_count,
                                  .on_token = on_token,
                                  .user = s };
    uint64_t          id = 0;
    ENX_TRY(enx_engine_submit(s->engine, &request, &id, report));
    while (!s->json && !cli_is_interrupted()) {
        if (s->stopper.is_stopped || s->status != ENX_OK) enx_engine_cancel(s->engine, id);
        enx_engine_step(s->engine, on_done, s);
    }
    if (s->status != ENX_OK) return ENX_FAIL(report, NOMEM, "no memory for the answer");
    if (!s->json) return ENX_FAIL(report, CANCELED, "interrupted");
    if (s->finish == ENX_FINISH_STUCK)
        fprintf(stderr, "enxame generate: the grammar allowed no token; the text ends early\n");
    return ENX_OK;
}

static enx_status check_sampling(const generate_arguments *a, enx_report *report)
{
    const struct {
        const char *name;
        double      value, min, max;
    } ranges[] = {
        { "temp", a->temperature, 0, TEMPERATURE_MAX },
        { "typical-p", a->typical_p, 0, 1 },
        { "top-p", a->top_p, 0, 1 },
        { "min-p", a->min_p, 0, 1 },
        { "repeat-penalty", a->repeat_penalty, 0.01, PENALTY_MAX },
        { "frequency-penalty", a->frequency_penalty, -PENALTY_MAX, PENALTY_MAX },
        { "presence-penalty", a->presence_penalty, -PENALTY_MAX, PENALTY_MAX },
        { "dry-multiplier", a->dry_multiplier, 0, PENALTY_MAX },
        { "dry-base", a->dry_base, 1, PENALTY_MAX },
        { "dry-allowed", (double)a->dry_allowed, 1, ENX_ENGINE_CONTEXT_MAX },
        { "dry-last", (double)a->dry_last, 0, ENX_ENGINE_CONTEXT_MAX },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].value < ranges[i].min || ranges[i].value > ranges[i].max)
            return ENX_FAIL(report, INVALID, "--%s %g: from %g to %g is possible", ranges[i].name,
                            ranges[i].value, ranges[i].min, ranges[i].max);
    return ENX_OK;
}

static enx_status check_numbers(const generate_arguments *a, enx_report *report)
{
    if (!a->model) return ENX_FAIL(report, INVALID, "-m MODEL is missing");
    if (a->max_tokens == 0 || a->max_tokens > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "-n: from 1 to %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    if (a->grammar && a->schema)
        return ENX_FAIL(report, INVALID, "give --grammar or --json-schema, not both");
    if (a->top_count > TOP_MAX) return ENX_FAIL(report, INVALID, "--logprobs: at most %d", TOP_MAX);
    return check_sampling(a, report);
}

static enx_status check_arguments(generate_state *s, const generate_arguments *a,
                                  enx_report *report)
{
    ENX_TRY(check_numbers(a, report));
    ENX_TRY(read_biases(s->biases, &a->biases, report));
    const enx_status status = enx_stopper_init(&s->stopper, a->stops.items, a->stops.count, report);
    if (status != ENX_OK) enx_report_wrap(report, "--stop");
    return status;
}

static void close_state(generate_state *s)
{
    json_decref(s->json);
    enx_mem_free(s->top);
    enx_mem_free(s->breakers);
    enx_engine_close(&s->engine);
    enx_pool_close(&s->pool);
    enx_mask_close(&s->mask);
    enx_grammar_close(&s->grammar);
    enx_tokens_deinit(&s->prompt);
    enx_buf_deinit(&s->answer);
    enx_buf_deinit(&s->text);
    enx_loaded_close(&s->loaded);
}

enum { OPTIONS_MAX = 40 };

/* Fill `out`; returns how many. */
static size_t list_options(generate_arguments *a, cli_option out[OPTIONS_MAX])
{
    const cli_option options[] = {
        { "model", 'm', CLI_TEXT, &a->model, "MODEL", "a GGUF file" },
        { "prompt", 'p', CLI_TEXT, &a->prompt, "TEXT", "what to continue" },
        { "file", 'f', CLI_TEXT, &a->file, "FILE", "... from a file (default: standard input)" },
        { "tokens", 'n', CLI_UINT, &a->max_tokens, "N", "at most so many tokens (128)" },
        { "temp", '\0', CLI_REAL, &a->temperature, "T", "0: always the likeliest token (0)" },
        { "top-k", '\0', CLI_UINT, &a->top_k, "K", "only the K likeliest" },
        { "top-p", '\0', CLI_REAL, &a->top_p, "P", "only the likeliest with P in all" },
        { "min-p", '\0', CLI_REAL, &a->min_p, "P", "only those with P of the likeliest's chance" },
        { "typical-p", '\0', CLI_REAL, &a->typical_p, "P",
          "only those of nearly mean surprise, P in all" },
        { "repeat-penalty", '\0', CLI_REAL, &a->repeat_penalty, "X",
          "divide the logits of recent tokens (1: off)" },
        { "frequency-penalty", '\0', CLI_REAL, &a->frequency_penalty, "X",
          "... take X off for each time (0: off)" },
        { "presence-penalty", '\0', CLI_REAL, &a->presence_penalty, "X",
          "... take X off once (0: off)" },
        { "repeat-last", '\0', CLI_UINT, &a->repeat_last, "N",
          "recent: the last N of prompt and text (64)" },
        { "dry-multiplier", '\0', CLI_REAL, &a->dry_multiplier, "X",
          "DRY: take X off what goes on with a repetition (0: off)" },
        { "dry-base", '\0', CLI_REAL, &a->dry_base, "B",
          "... times B for each further token of it (1.75)" },
        { "dry-allowed", '\0', CLI_UINT, &a->dry_allowed, "N",
          "... from N repeated tokens on (2)" },
        { "dry-last", '\0', CLI_UINT, &a->dry_last, "N",
          "... looking at the last N tokens (0: all)" },
        { "dry-breaker", '\0', CLI_LIST, &a->breakers, "TEXT",
          "... never across this; may be given often (line break : \" *)" },
        { "logit-bias", '\0', CLI_LIST, &a->biases, "ID=VALUE",
          "add to a token's logit, -inf: never; may be repeated" },
        { "logprobs", '\0', CLI_UINT, &a->top_count, "K",
          "with --json: the K likeliest at each place" },
        { "stop", '\0', CLI_LIST, &a->stops, "TEXT", "end before this text; may be repeated" },
        { "seed", '\0', CLI_UINT, &a->seed, "S", "of chance (1)" },
        { "grammar", '\0', CLI_TEXT, &a->grammar, "FILE",
          "a GBNF grammar that the text must match" },
        { "json-schema", '\0', CLI_TEXT, &a->schema, "FILE",
          "... or a JSON Schema: the text is JSON that is valid by it" },
        { "what", '\0', CLI_TEXT, &a->what, "CLASS",
          "ask by the model's own prompt: restore, scout…" },
        { "language", '\0', CLI_TEXT, &a->language, "TAG", "... with this language" },
        { "level", '\0', CLI_UINT, &a->level, "L", "... and this level of damage, 1 to 3" },
        { "special", '\0', CLI_FLAG, &a->is_special, NULL, "names of control words are tokens" },
        { "threads", '\0', CLI_UINT, &a->threads, "N", "default: one per core" },
    };
    _Static_assert(sizeof options / sizeof *options <= OPTIONS_MAX, "room for all");
    memcpy(out, options, sizeof options);
    return sizeof options / sizeof *options;
}

int cmd_generate(int argc, char **argv)
{
    generate_arguments a = { .max_tokens = 128,
                             .seed = 1,
                             .typical_p = 1,
                             .top_p = 1,
                             .repeat_penalty = 1,
                             .repeat_last = 64,
                             .dry_base = 1.75,
                             .dry_allowed = 2 };
    cli_option         options[OPTIONS_MAX];
    const size_t       option_count = list_options(&a, options);
    const cli_spec     spec = { "generate -m MODEL -p TEXT [options]",
                                "Continue a text by one model.",
                                "enxame generate -m models/lead.gguf --what restore -p 'ola mundo'",
                                options,
                                option_count,
                                0,
                                0 };
    cli_args           args;
    enx_report         report = { 0 };
    generate_state     s = { 0 };
    enx_buf_init(&s.text, CLI_TEXT_BYTES_MAX);
    enx_buf_init(&s.answer, CLI_TEXT_BYTES_MAX);
    enx_tokens_init(&s.prompt, ENX_ENGINE_CONTEXT_MAX);
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    s.is_json = args.is_json;
    if (status == ENX_OK) status = check_arguments(&s, &a, &report);
    cli_catch_interrupts();
    if (status == ENX_OK) status = generate(&s, &a, &report);
    if (status == ENX_OK && args.is_json) cli_print_json(json_incref(s.json));
    if (status == ENX_OK && !args.is_json) putchar('\n');
    close_state(&s);
    return status == ENX_OK ? 0 : cli_fail("generate", &args, status, &report);
}
