/* SPDX-License-Identifier: Apache-2.0 */
/* engine_world.h - a small model, requests of every kind, and what came of them, for the engine's
 * tests.
 *
 * Layer: tests.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_TESTS_ENGINE_WORLD_H
#define ENX_TESTS_ENGINE_WORLD_H

#include "base/mem.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "slow_forward.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- a world ----------------------------------------------------------- */

enum { VOCAB = 300, EOS = 299, OUT_MAX = 64, REQUESTS_MAX = 16, CONTEXT = 64 };

/* An automaton that reads a pattern: a small letter is itself, X any of a..e, Z any byte at all,
 * ! nothing.  It may end after the last. */
typedef struct pattern {
    enx_automaton base;
    const char   *text;
} pattern;

static inline void pattern_start(const enx_automaton *self, void *state)
{
    (void)self;
    *(uint32_t *)state = 0;
}

static inline bool pattern_step(const enx_automaton *self, void *state, uint8_t byte)
{
    uint32_t  *at = state;
    const char want = ((const pattern *)(const void *)self)->text[*at];
    if (want == '\0' || want == '!') return false;
    ++*at;
    if (want == 'X') return byte >= 'a' && byte <= 'e';
    return want == 'Z' || byte == (uint8_t)want;
}

static inline bool pattern_may_end(const enx_automaton *self, const void *state)
{
    return ((const pattern *)(const void *)self)->text[*(const uint32_t *)state] == '\0';
}

static const enx_automaton pattern_base = { .state_bytes = sizeof(uint32_t),
                                            .start = pattern_start,
                                            .step = pattern_step,
                                            .may_end = pattern_may_end };

/* 256 bytes, some pairs of letters, eos last. */
static enx_tokenizer *tokenizer;
static enx_trie      *trie;
static tiny_model     world;

static inline int open_world(void **state)
{
    (void)state;
    static char         bytes[VOCAB][2];
    static enx_gguf_str tokens[VOCAB];
    static bool         is_control[VOCAB];
    for (uint32_t i = 0; i < VOCAB; i++) {
        bytes[i][0] = (char)(i < 256 ? i : 'a' + (i - 256) % 5);
        bytes[i][1] = (char)('a' + (i - 256) / 5);
        tokens[i] = (enx_gguf_str){ bytes[i], i < 256 ? 1 : 2 };
    }
    tokens[EOS] = (enx_gguf_str){ "<|end|>", 7 };
    is_control[EOS] = true;
    const enx_vocab vocab = {
        .tokens = tokens, .is_control = is_control, .token_count = VOCAB, .pre = "gpt-2", .eos = EOS
    };
    tiny_options o = tiny_default;
    enx_report   report = { 0 };
    o.vocab = VOCAB;
    o.seed = 7;
    if (enx_tokenizer_open_vocab(&tokenizer, &vocab, &report) != ENX_OK ||
        enx_trie_open(&trie, tokenizer, &report) != ENX_OK ||
        tiny_open(&world, &o, &report) != ENX_OK) {
        print_error("%s\n", report.text);
        return 1;
    }
    return 0;
}

static inline int close_world(void **state)
{
    (void)state;
    tiny_close(&world);
    enx_trie_close(&trie);
    enx_tokenizer_close(&tokenizer);
    return 0;
}

static inline enx_mask *open_mask(pattern *p, const char *text)
{
    enx_mask *mask = NULL;
    *p = (pattern){ .base = pattern_base, .text = text };
    assert_int_equal(enx_mask_open(&mask, &p->base, trie, tokenizer, NULL), ENX_OK);
    return mask;
}

static inline enx_engine *open_engine(enx_engine_options options)
{
    enx_engine *engine = NULL;
    enx_report  report = { 0 };
    if (!options.model) options.model = world.model;
    if (!options.context_tokens) options.context_tokens = CONTEXT;
    if (enx_engine_open(&engine, &options, &report) != ENX_OK) fail_msg("%s", report.text);
    return engine;
}

/* ---- collected generations --------------------------------------------- */

typedef struct result {
    bool       is_there;
    uint32_t   tokens[OUT_MAX];
    float      logprobs[OUT_MAX];
    uint32_t   best[OUT_MAX];
    uint32_t   count;
    uint32_t   step_count;
    bool       has_eos;
    enx_finish finish;
    enx_usage  usage;
    uint32_t   streamed[OUT_MAX];
    uint32_t   streamed_count;
} result;

static inline void collect(void *owner, const enx_generation *g)
{
    result        *r = g->user;
    const uint32_t places = g->token_count + g->has_eos;
    (void)owner;
    assert_true(places <= OUT_MAX);
    r->is_there = true;
    r->count = g->token_count;
    r->has_eos = g->has_eos;
    r->finish = g->finish;
    r->usage = g->usage;
    memcpy(r->tokens, g->tokens, g->token_count * sizeof *g->tokens);
    memcpy(r->logprobs, g->logprobs, places * sizeof *g->logprobs);
    memcpy(r->best, g->best, places * sizeof *g->best);
}

static inline void stream(void *user, uint32_t token, float logprob)
{
    result *r = user;
    assert_true(logprob <= 0);
    r->streamed[r->streamed_count++] = token;
}

static inline void submit_or_fail(enx_engine *engine, const enx_request *request)
{
    enx_report report = { 0 };
    if (enx_engine_submit(engine, request, NULL, &report) != ENX_OK) fail_msg("%s", report.text);
}

static inline uint32_t run_to_end(enx_engine *engine)
{
    uint32_t steps = 1;
    while (enx_engine_step(engine, collect, NULL) > 0) assert_true(steps++ < 1000);
    return steps;
}

/* One request alone in an engine of its own. */
static inline void run_alone(enx_request request, result *out)
{
    enx_engine *engine = open_engine((enx_engine_options){ .slot_count = 1 });
    memset(out, 0, sizeof *out);
    request.user = out;
    submit_or_fail(engine, &request);
    out->step_count = run_to_end(engine);
    assert_true(out->is_there);
    enx_engine_close(&engine);
}

static const uint32_t prompt[] = { 5, 250, 17, 99, 3, 3, 120 };
enum { PROMPT = sizeof prompt / sizeof *prompt };

static const enx_request plain = {
    .prompt = prompt, .prompt_count = PROMPT, .max_tokens = 12, .eos = ENX_TOKEN_NONE
};

/* Requests of every kind: lengths, samplings, forced beginnings, masks. */
static inline uint32_t fill_requests(enx_request *requests, pattern *patterns)
{
    static const uint32_t    forced[] = { 'a', 'b', 256, 7, 9, 11 };
    static const char *const texts[] = { "XXXXXXXXXX", "abcXabcX", "ZZZZZZ", "abXXXXXXXX" };
    uint32_t                 n = 0;
    for (uint32_t i = 0; i < 4; i++) {
        requests[n] = plain;
        requests[n].prompt_count = 1 + 2 * i;
        requests[n].max_tokens = 20 - 3 * i;
        requests[n].sampling = (enx_sampling){ .temperature = i * 0.7f,
                                               .top_k = i == 2 ? 9 : 0,
                                               .top_p = i == 3 ? 0.8f : 0,
                                               .seed = 40 + i };
        n++;
    }
    for (uint32_t i = 0; i < 2; i++) {
        requests[n] = plain;
        requests[n].forced = forced;
        requests[n].forced_count = 6;
        requests[n].max_tokens = i * 5;
        n++;
    }
    for (uint32_t i = 0; i < 4; i++) {
        requests[n] = plain;
        requests[n].mask = open_mask(&patterns[i], texts[i]);
        requests[n].eos = EOS;
        requests[n].sampling.temperature = i == 1 ? 1.0f : 0;
        if (i == 3) requests[n].forced = forced, requests[n].forced_count = 2;
        n++;
    }
    return n;
}

static inline void close_masks(enx_request *requests, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (requests[i].mask) enx_mask_close(&requests[i].mask);
}

static inline void assert_same(const result *a, const result *b)
{
    const uint32_t places = a->count + a->has_eos;
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->has_eos, b->has_eos);
    assert_int_equal(a->finish, b->finish);
    assert_int_equal(a->usage.tokens_in + a->usage.tokens_cached,
                     b->usage.tokens_in + b->usage.tokens_cached);
    assert_int_equal(a->usage.tokens_out, b->usage.tokens_out);
    assert_memory_equal(a->tokens, b->tokens, a->count * sizeof *a->tokens);
    assert_memory_equal(a->logprobs, b->logprobs, places * sizeof *a->logprobs);
    assert_memory_equal(a->best, b->best, places * sizeof *a->best);
}

/* All requests, some a step later, in an engine with these options. */

#endif /* ENX_TESTS_ENGINE_WORLD_H */
