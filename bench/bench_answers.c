/* SPDX-License-Identifier: Apache-2.0 */
/* bench_answers.c - paragraphs restored by a model at its own liking, for comparison with peers.
 *
 *     bench_answers MODEL.gguf WIDTH < LINES       LANGUAGE, a tab, a text
 *
 * Texts are damaged in every way and asked for by the model's own prompt; what comes is the
 * likeliest token at each place, without a mask, WIDTH texts at a time on one thread.  Prints a
 * JSON object: `seconds` of the processor's time, and `answers` of `prompt` (its tokens), `most`
 * (tokens that the answer could have), `tokens` and `margins` (by how much each token, and the end,
 * was ahead of the next likeliest, in natural logs).
 */
#include "backend/loaded.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "plat/clock.h"
#include "swarm/ports.h"
#include "text/damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_BYTES_MAX = 1 << 14,
    TEXTS_MAX = 4096,
    CONTEXT_MAX = 2048,
    ANSWER_TOKENS_MORE = 16, /* an answer may have twice the prompt's tokens and so many more */
    TOP = 2,                 /* a margin is between two */
};

typedef struct answer {
    enx_tokens  prompt;
    uint32_t    most;
    enx_likely *top; /* owned, [most][TOP] */
    uint32_t   *tokens, token_count, margin_count;
} answer;

typedef struct bench {
    enx_loaded  loaded;
    enx_engine *engine;
    uint32_t    context_tokens;
    answer     *answers; /* owned, [TEXTS_MAX] */
    uint32_t    count;
} bench;

static void fail(const char *why)
{
    fprintf(stderr, "bench_answers: %s\n", why);
    exit(EXIT_FAILURE);
}

static void check(enx_status status, const enx_report *report)
{
    if (status != ENX_OK) fail(report->text);
}

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* The prompt of a damaged text, if it leaves room for an answer in the context. */
static void read_text(bench *b, const char *language, const char *text, size_t size_bytes)
{
    enx_buf    damaged;
    enx_report report = { 0 };
    answer    *a = &b->answers[b->count];
    enx_buf_init(&damaged, 4 * TEXT_BYTES_MAX);
    enx_tokens_init(&a->prompt, CONTEXT_MAX);
    check(enx_damage_kinds(&damaged, text, size_bytes, ENX_KINDS_ALL, &report), &report);
    const enx_prompt_fields fields = { .text = enx_buf_text(&damaged),
                                       .text_bytes = damaged.size_bytes,
                                       .language = language,
                                       .level = ENX_DAMAGE_PUNCTUATION,
                                       .kinds = ENX_KINDS_ALL };
    check(enx_loaded_prompt(&b->loaded, "restore", &fields, &a->prompt, &report), &report);
    enx_buf_deinit(&damaged);
    if (a->prompt.count + ANSWER_TOKENS_MORE >= b->context_tokens)
        fail("a text is too long for the model's context");
    const uint32_t room = b->context_tokens - (uint32_t)a->prompt.count - 1;
    a->most = min_u32(2 * (uint32_t)a->prompt.count + ANSWER_TOKENS_MORE, room);
    a->top = ENX_MEM_NEW(enx_likely, (size_t)a->most * TOP);
    a->tokens = ENX_MEM_NEW(uint32_t, a->most);
    if (!a->top || !a->tokens) fail("no memory for an answer");
    b->count++;
}

static void read_texts(bench *b)
{
    static char line[TEXT_BYTES_MAX];
    while (b->count < TEXTS_MAX && fgets(line, sizeof line, stdin)) {
        char *tab = strchr(line, '\t');
        if (!tab) fail("a line has no tab after its language");
        *tab = '\0';
        read_text(b, line, tab + 1, strcspn(tab + 1, "\n"));
    }
}

static void on_done(void *owner, const enx_generation *generation)
{
    (void)owner;
    answer *a = generation->user;
    a->token_count = generation->token_count;
    a->margin_count = generation->token_count + generation->has_eos;
    memcpy(a->tokens, generation->tokens, a->token_count * sizeof *a->tokens);
}

static void submit(const bench *b, answer *a)
{
    enx_report        report = { 0 };
    const enx_request request = { .prompt = a->prompt.ids,
                                  .prompt_count = (uint32_t)a->prompt.count,
                                  .max_tokens = a->most,
                                  .eos = enx_tokenizer_eos(b->loaded.tokenizer),
                                  .tokenizer = b->loaded.tokenizer,
                                  .drafts = true,
                                  .top = a->top,
                                  .top_count = TOP,
                                  .user = a };
    check(enx_engine_submit(b->engine, &request, NULL, &report), &report);
}

/* Returns seconds. */
static double answer_all(bench *b)
{
    const uint64_t start_us = enx_clock_cpu_us();
    uint32_t       next = 0, running = 0;
    do {
        while (next < b->count && enx_engine_free_slots(b->engine) > 0)
            submit(b, &b->answers[next++]);
        running = enx_engine_step(b->engine, on_done, NULL);
    } while (running > 0 || next < b->count);
    return (double)(enx_clock_cpu_us() - start_us) * 1e-6;
}

static void print_ids(const char *name, const uint32_t *ids, size_t count)
{
    printf("\"%s\": [", name);
    for (size_t i = 0; i < count; i++) printf("%s%u", i ? ", " : "", ids[i]);
    printf("], ");
}

static void print_answer(const answer *a)
{
    printf("{\"most\": %u, ", a->most);
    print_ids("prompt", a->prompt.ids, a->prompt.count);
    print_ids("tokens", a->tokens, a->token_count);
    printf("\"margins\": [");
    for (uint32_t i = 0; i < a->margin_count; i++)
        printf("%s%.6g", i ? ", " : "",
               (double)(a->top[TOP * i].logprob - a->top[TOP * i + 1].logprob));
    printf("]}");
}

static void open_bench(bench *b, const char *path, uint32_t width)
{
    enx_report report = { 0 };
    check(enx_loaded_open(&b->loaded, path, &report), &report);
    b->context_tokens = min_u32(enx_model_hparams(b->loaded.model)->context_tokens, CONTEXT_MAX);
    const enx_engine_options options = { .model = b->loaded.model,
                                         .slot_count = width,
                                         .context_tokens = b->context_tokens };
    check(enx_engine_open(&b->engine, &options, &report), &report);
    b->answers = ENX_MEM_NEW(answer, TEXTS_MAX);
    if (!b->answers) fail("no memory for answers");
}

static void close_bench(bench *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        enx_tokens_deinit(&b->answers[i].prompt);
        enx_mem_free(b->answers[i].top);
        enx_mem_free(b->answers[i].tokens);
    }
    enx_mem_free(b->answers);
    enx_engine_close(&b->engine);
    enx_loaded_close(&b->loaded);
}

int main(int argc, char **argv)
{
    bench      b = { 0 };
    const long width = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    if (width < 1 || width > ENX_ENGINE_SLOTS_MAX)
        fail("usage: bench_answers MODEL.gguf WIDTH < LINES");
    open_bench(&b, argv[1], (uint32_t)width);
    read_texts(&b);
    const double seconds = answer_all(&b);
    printf("{\"seconds\": %.6f, \"answers\": [", seconds);
    for (uint32_t i = 0; i < b.count; i++) {
        if (i) printf(", ");
        print_answer(&b.answers[i]);
    }
    printf("]}\n");
    close_bench(&b);
    return EXIT_SUCCESS;
}
