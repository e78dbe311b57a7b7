/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine.c - what the engine promises: the same tokens in any company, and honest counts. */
#include "base/mem.h"
#include "engine/engine.h"
#include "model/kv.h"
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

static void pattern_start(const enx_automaton *self, void *state)
{
    (void)self;
    *(uint32_t *)state = 0;
}

static bool pattern_step(const enx_automaton *self, void *state, uint8_t byte)
{
    uint32_t  *at = state;
    const char want = ((const pattern *)(const void *)self)->text[*at];
    if (want == '\0' || want == '!') return false;
    ++*at;
    if (want == 'X') return byte >= 'a' && byte <= 'e';
    return want == 'Z' || byte == (uint8_t)want;
}

static bool pattern_may_end(const enx_automaton *self, const void *state)
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

static int open_world(void **state)
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

static int close_world(void **state)
{
    (void)state;
    tiny_close(&world);
    enx_trie_close(&trie);
    enx_tokenizer_close(&tokenizer);
    return 0;
}

static enx_mask *open_mask(pattern *p, const char *text)
{
    enx_mask *mask = NULL;
    *p = (pattern){ .base = pattern_base, .text = text };
    assert_int_equal(enx_mask_open(&mask, &p->base, trie, tokenizer, NULL), ENX_OK);
    return mask;
}

static enx_engine *open_engine(enx_engine_options options)
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

static void collect(void *owner, const enx_generation *g)
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

static void stream(void *user, uint32_t token, float logprob)
{
    result *r = user;
    assert_true(logprob <= 0);
    r->streamed[r->streamed_count++] = token;
}

static void submit_or_fail(enx_engine *engine, const enx_request *request)
{
    enx_report report = { 0 };
    if (enx_engine_submit(engine, request, NULL, &report) != ENX_OK) fail_msg("%s", report.text);
}

static uint32_t run_to_end(enx_engine *engine)
{
    uint32_t steps = 1;
    while (enx_engine_step(engine, collect, NULL) > 0) assert_true(steps++ < 1000);
    return steps;
}

/* One request alone in an engine of its own. */
static void run_alone(enx_request request, result *out)
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

/* ---- tokens ------------------------------------------------------------ */

static void greedy_tokens_are_the_slow_passes_likeliest(void **state)
{
    (void)state;
    static double logits[VOCAB];
    tiny_options  o = tiny_default;
    tiny_model    m;
    slow_forward  slow;
    result        r = { 0 };
    enx_report    report = { 0 };
    o.vocab = VOCAB;
    o.type = ENX_TENSOR_F32;
    assert_int_equal(tiny_open(&m, &o, &report), ENX_OK);
    enx_engine *engine = open_engine((enx_engine_options){ .model = m.model });
    enx_request request = plain;
    request.user = &r;
    submit_or_fail(engine, &request);
    run_to_end(engine);
    assert_int_equal(r.count, 12);
    slow_open(&slow, m.gguf, enx_model_hparams(m.model));
    for (uint32_t i = 0; i < PROMPT; i++) slow_step(&slow, prompt[i], logits);
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t best = 0;
        double   sum = 0;
        for (uint32_t t = 0; t < VOCAB; t++) {
            if (logits[t] > logits[best]) best = t;
            sum += exp(logits[t]);
        }
        assert_int_equal(r.tokens[i], best);
        assert_int_equal(r.best[i], best);
        assert_true(fabs((double)r.logprobs[i] - (logits[best] - log(sum))) < 1e-2);
        slow_step(&slow, best, logits);
    }
    slow_close(&slow);
    enx_engine_close(&engine);
    tiny_close(&m);
}

/* Requests of every kind: lengths, samplings, forced beginnings, masks. */
static uint32_t fill_requests(enx_request *requests, pattern *patterns)
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

static void close_masks(enx_request *requests, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (requests[i].mask) enx_mask_close(&requests[i].mask);
}

static void assert_same(const result *a, const result *b)
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
static void run_together(enx_request *requests, uint32_t count, enx_engine_options options,
                         result *results)
{
    enx_engine *engine = open_engine(options);
    uint32_t    next = 0, running = 0;
    memset(results, 0, count * sizeof *results);
    do {
        for (uint32_t i = 0; i < 3 && next < count && enx_engine_free_slots(engine); i++, next++) {
            requests[next].user = &results[next];
            submit_or_fail(engine, &requests[next]);
        }
        running = enx_engine_step(engine, collect, NULL);
    } while (running > 0 || next < count);
    enx_engine_close(&engine);
}

static void tokens_are_the_same_in_any_company_batch_and_thread_count(void **state)
{
    (void)state;
    static result  alone[REQUESTS_MAX], together[REQUESTS_MAX];
    enx_request    requests[REQUESTS_MAX];
    pattern        patterns[4];
    const uint32_t count = fill_requests(requests, patterns);
    for (uint32_t i = 0; i < count; i++) run_alone(requests[i], &alone[i]);
    for (uint32_t threads = 0; threads <= 3; threads++) {
        enx_pool *pool = NULL;
        if (threads) assert_int_equal(enx_pool_open(&pool, threads, NULL), ENX_OK);
        static const uint32_t slots[] = { 2, 5, 16 }, batches[] = { 2, 7, 256 };
        for (size_t s = 0; s < 3; s++) {
            const enx_engine_options o = { .slot_count = slots[s],
                                           .batch_tokens = batches[s],
                                           .pool = pool };
            run_together(requests, count, o, together);
            for (uint32_t i = 0; i < count; i++) assert_same(&alone[i], &together[i]);
        }
        enx_pool_close(&pool);
    }
    close_masks(requests, count);
}

static void forced_tokens_are_scored_as_if_sampled(void **state)
{
    (void)state;
    result      sampled, scored, continued;
    enx_request request = plain;
    run_alone(request, &sampled);
    request.forced = sampled.tokens;
    request.forced_count = sampled.count;
    request.max_tokens = 0;
    run_alone(request, &scored);
    assert_int_equal(scored.finish, ENX_FINISH_LENGTH);
    assert_int_equal(scored.count, sampled.count);
    assert_memory_equal(scored.tokens, sampled.tokens, 12 * sizeof(uint32_t));
    assert_memory_equal(scored.logprobs, sampled.logprobs, 12 * sizeof(float));
    assert_memory_equal(scored.best, sampled.best, 12 * sizeof(uint32_t));
    assert_int_equal(scored.usage.tokens_out, 0);
    assert_int_equal(scored.usage.tokens_in, PROMPT + 11);
    request.forced_count = 5;
    request.max_tokens = 7;
    run_alone(request, &continued);
    assert_memory_equal(continued.tokens, sampled.tokens, 12 * sizeof(uint32_t));
    assert_memory_equal(continued.logprobs, sampled.logprobs, 12 * sizeof(float));
    assert_int_equal(continued.usage.tokens_out, 7);
    assert_int_equal(continued.usage.tokens_in, PROMPT + 5);
}

static void seeds_decide_and_nothing_else(void **state)
{
    (void)state;
    result      a, b, other, k1, greedy;
    enx_request request = plain;
    run_alone(request, &greedy);
    request.sampling = (enx_sampling){ .temperature = 2, .seed = 5 };
    run_alone(request, &a);
    run_alone(request, &b);
    assert_same(&a, &b);
    request.sampling.seed = 6;
    run_alone(request, &other);
    assert_memory_not_equal(a.tokens, other.tokens, sizeof(uint32_t) * 12);
    request.sampling.top_k = 1;
    run_alone(request, &k1);
    assert_same(&k1, &greedy);
}

/* ---- masks ------------------------------------------------------------- */

static void text_of(const result *r, char *out)
{
    for (uint32_t i = 0; i < r->count; i++) {
        const enx_gguf_str bytes = enx_tokenizer_bytes(tokenizer, r->tokens[i]);
        memcpy(out, bytes.data, bytes.size_bytes);
        out += bytes.size_bytes;
    }
    *out = '\0';
}

static void masked_output_fits_the_mask_and_ends(void **state)
{
    (void)state;
    char        text[2 * OUT_MAX + 1];
    pattern     p;
    result      r;
    enx_request request = plain;
    request.eos = EOS;
    request.mask = open_mask(&p, "abXXcX");
    run_alone(request, &r);
    text_of(&r, text);
    assert_int_equal(strlen(text), 6);
    assert_memory_equal(text, "ab", 2);
    assert_int_equal(text[4], 'c');
    assert_int_equal(r.finish, ENX_FINISH_STOP);
    assert_true(r.has_eos);
    assert_true(r.logprobs[r.count] == 0); /* nothing but the end was left */
    assert_int_equal(r.best[r.count], EOS);
    assert_int_equal(r.usage.tokens_out, r.count + 1);
    enx_mask_close(&request.mask);
}

static void probabilities_of_the_allowed_sum_to_one(void **state)
{
    (void)state;
    pattern     p;
    enx_request request = plain;
    double      sum = 0;
    request.eos = EOS;
    request.mask = open_mask(&p, "XXXX");
    request.forced_count = 1;
    request.max_tokens = 0;
    for (uint32_t id = 0; id < VOCAB; id++) {
        const enx_gguf_str bytes = enx_tokenizer_bytes(tokenizer, id);
        result             r;
        if (id == EOS || bytes.data[0] < 'a' || bytes.data[0] > 'e') continue;
        if (bytes.size_bytes > 1 && (bytes.data[1] < 'a' || bytes.data[1] > 'e')) continue;
        request.forced = &id;
        run_alone(request, &r);
        assert_int_equal(r.count, 1);
        sum += exp((double)r.logprobs[0]);
    }
    if (fabs(sum - 1) > 1e-5) fail_msg("sum is %g", sum);
    enx_mask_close(&request.mask);
}

static void places_without_choice_cost_no_step(void **state)
{
    (void)state;
    pattern     p;
    result      r;
    enx_request request = plain;
    request.eos = EOS;
    request.max_tokens = 40;
    request.mask = open_mask(&p, "zyxwvutsrqponmlkjihgfXz");
    run_alone(request, &r);
    assert_int_equal(r.count, 23);
    assert_int_equal(r.step_count, 1); /* the only choice is X */
    for (uint32_t i = 0; i < 23; i++) assert_true(i == 21 ? r.logprobs[i] < 0 : r.logprobs[i] == 0);
    assert_int_equal(r.usage.tokens_in, PROMPT);
    assert_int_equal(r.usage.tokens_out, 24);
    enx_mask_close(&request.mask);
    request.mask = open_mask(&p, "zz");
    run_alone(request, &r); /* known before a token is evaluated */
    assert_int_equal(r.finish, ENX_FINISH_STOP);
    assert_int_equal(r.usage.tokens_in, 0);
    enx_mask_close(&request.mask);
}

static void forced_text_costs_no_step(void **state)
{
    (void)state;
    char        text[2 * OUT_MAX + 1];
    pattern     p;
    result      r;
    enx_request request = plain;
    request.eos = EOS;
    request.max_tokens = 40;
    request.mask = open_mask(&p, "Xabcdeabcdeabcde"); /* pairs of these are tokens, too */
    run_alone(request, &r);
    const uint32_t by_choice = r.step_count;
    assert_true(by_choice > 4);
    request.skips_forced = true;
    run_alone(request, &r);
    text_of(&r, text);
    assert_string_equal(text + 1, "abcdeabcdeabcde");
    assert_true(r.step_count <= 3); /* X, and what may go across the end */
    for (uint32_t i = 1; i + 2 < r.count; i++) assert_true(r.logprobs[i] == 0);
    assert_int_equal(r.finish, ENX_FINISH_STOP);
    const enx_bias bias = { 'x', 1 };
    request.sampling.biases = &bias;
    request.sampling.bias_count = 1;
    run_alone(request, &r);
    assert_int_equal(r.step_count, by_choice);
    enx_mask_close(&request.mask);
}

static void dead_ends_and_refused_tokens_are_stuck(void **state)
{
    (void)state;
    static const uint32_t forced[] = { 'a', 'q' };
    pattern               p;
    result                r;
    enx_request           request = plain;
    request.eos = EOS;
    request.mask = open_mask(&p, "XX!");
    run_alone(request, &r);
    assert_int_equal(r.finish, ENX_FINISH_STUCK);
    enx_mask_close(&request.mask);
    request.mask = open_mask(&p, "!");
    run_alone(request, &r);
    assert_int_equal(r.finish, ENX_FINISH_STUCK);
    assert_int_equal(r.count, 0);
    enx_mask_close(&request.mask);
    request.mask = open_mask(&p, "XXXXX");
    request.forced = forced;
    request.forced_count = 2;
    run_alone(request, &r);
    assert_int_equal(r.finish, ENX_FINISH_STUCK);
    assert_int_equal(r.count, 1);
    enx_mask_close(&request.mask);
}

/* ---- ends -------------------------------------------------------------- */

static void eos_ends_and_is_counted(void **state)
{
    (void)state;
    result      greedy, r;
    enx_request request = plain;
    run_alone(request, &greedy);
    request.eos = greedy.tokens[4];
    uint32_t first = 0;
    while (greedy.tokens[first] != request.eos) first++;
    run_alone(request, &r);
    assert_int_equal(r.finish, ENX_FINISH_STOP);
    assert_int_equal(r.count, first);
    assert_true(r.has_eos);
    assert_int_equal(r.usage.tokens_out, first + 1);
    assert_memory_equal(r.logprobs, greedy.logprobs, (first + 1) * sizeof(float));
    request.forced = greedy.tokens; /* a forced eos is scored and ends too */
    request.forced_count = 12;
    run_alone(request, &r);
    assert_int_equal(r.finish, ENX_FINISH_STOP);
    assert_int_equal(r.count, first);
    assert_int_equal(r.usage.tokens_out, 0);
}

static void the_context_ends_an_output(void **state)
{
    (void)state;
    result      r;
    enx_request request = plain;
    request.max_tokens = UINT32_MAX;
    run_alone(request, &r);
    assert_int_equal(r.finish, ENX_FINISH_LENGTH);
    assert_int_equal(r.count, CONTEXT - PROMPT);
    request.max_tokens = 0;
    run_alone(request, &r);
    assert_int_equal(r.finish, ENX_FINISH_LENGTH);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.usage.tokens_in, 0);
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    static const uint32_t long_prompt[CONTEXT] = { 0 };
    static const uint32_t outside[] = { 1, VOCAB };
    enx_engine           *engine = open_engine((enx_engine_options){ .slot_count = 1 });
    enx_report            report = { 0 };
    enx_request           request = plain;
    request.prompt_count = 0;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, &report), ENX_INVALID);
    request = plain;
    request.prompt = outside;
    request.prompt_count = 2;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, &report), ENX_INVALID);
    assert_non_null(
        strstr(report.text, "token 1 of the prompt is 300; the vocabulary ends at 299"));
    request = plain;
    request.forced = outside;
    request.forced_count = 2;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, &report), ENX_INVALID);
    request = plain;
    request.prompt = long_prompt;
    request.prompt_count = CONTEXT;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, &report), ENX_LIMIT);
    assert_non_null(strstr(report.text, "65"));
    assert_non_null(strstr(report.text, "64"));
    assert_int_equal(enx_engine_free_slots(engine), 1);
    result r = { 0 };
    request = plain;
    request.user = &r;
    submit_or_fail(engine, &request);
    assert_int_equal(enx_engine_free_slots(engine), 0);
    assert_int_equal(enx_engine_submit(engine, &request, NULL, &report), ENX_AGAIN);
    run_to_end(engine);
    assert_int_equal(enx_engine_free_slots(engine), 1);
    enx_engine_close(&engine);
}

static void cancel_ends_at_the_next_step(void **state)
{
    (void)state;
    enx_engine *engine = open_engine((enx_engine_options){ .slot_count = 2 });
    result      a = { 0 }, b = { 0 };
    uint64_t    id = 0;
    enx_request request = plain;
    request.user = &a;
    assert_int_equal(enx_engine_submit(engine, &request, &id, NULL), ENX_OK);
    request.user = &b;
    submit_or_fail(engine, &request);
    for (int i = 0; i < 4; i++) enx_engine_step(engine, collect, NULL);
    enx_engine_cancel(engine, 12345);
    enx_engine_cancel(engine, id);
    assert_false(a.is_there);
    assert_int_equal(enx_engine_step(engine, collect, NULL), 1);
    assert_true(a.is_there);
    assert_int_equal(a.finish, ENX_FINISH_CANCELED);
    assert_int_equal(a.count, 4);
    assert_int_equal(a.usage.tokens_out, 4);
    run_to_end(engine);
    assert_int_equal(b.finish, ENX_FINISH_LENGTH);
    assert_memory_equal(a.tokens, b.tokens, 4 * sizeof(uint32_t));
    enx_engine_close(&engine);
}

static void a_paused_sequence_waits_and_says_the_same(void **state)
{
    (void)state;
    enx_engine *engine = open_engine((enx_engine_options){ .slot_count = 2 });
    result      a = { 0 }, b = { 0 }, alone;
    uint64_t    id = 0;
    enx_request request = plain;
    run_alone(request, &alone);
    request.user = &a;
    assert_int_equal(enx_engine_submit(engine, &request, &id, NULL), ENX_OK);
    request.user = &b;
    submit_or_fail(engine, &request);
    enx_engine_step(engine, collect, NULL);
    enx_engine_pause(engine, id, true);
    for (int i = 0; i < 100 && !b.is_there; i++) enx_engine_step(engine, collect, NULL);
    assert_true(b.is_there);
    for (int i = 0; i < 3; i++) assert_int_equal(enx_engine_step(engine, collect, NULL), 1);
    assert_false(a.is_there);
    enx_engine_pause(engine, id, false);
    run_to_end(engine);
    assert_int_equal(a.count, alone.count);
    assert_memory_equal(a.tokens, alone.tokens, a.count * sizeof *a.tokens);
    request.user = &a;
    a.is_there = false;
    assert_int_equal(enx_engine_submit(engine, &request, &id, NULL), ENX_OK);
    enx_engine_pause(engine, id, true);
    enx_engine_cancel(engine, id);
    assert_int_equal(enx_engine_step(engine, collect, NULL), 0);
    assert_true(a.is_there && a.finish == ENX_FINISH_CANCELED);
    enx_engine_close(&engine);
}

static void streaming_shows_each_sampled_token(void **state)
{
    (void)state;
    static const uint32_t forced[] = { 1, 2 };
    result                r;
    enx_request           request = plain;
    request.on_token = stream;
    request.forced = forced;
    request.forced_count = 2;
    run_alone(request, &r);
    assert_int_equal(r.streamed_count, 12);
    assert_int_equal(r.count, 14);
    assert_memory_equal(r.streamed, r.tokens + 2, 12 * sizeof(uint32_t));
}

/* ---- going on ---------------------------------------------------------- */

/* The same as alone, but for `cached` tokens that were not evaluated again. */
static void assert_goes_on(enx_engine *engine, enx_request request, uint32_t cached)
{
    result alone, r = { 0 };
    run_alone(request, &alone);
    request.user = &r;
    submit_or_fail(engine, &request);
    run_to_end(engine);
    assert_int_equal(r.usage.tokens_cached, cached);
    assert_int_equal(r.usage.tokens_cached + r.usage.tokens_in, alone.usage.tokens_in);
    assert_int_equal(r.usage.tokens_out, alone.usage.tokens_out);
    assert_same(&r, &alone);
}

/* The plain prompt, what came after it, and `more` behind that. */
static uint32_t lengthen(uint32_t *out, const result *r, uint32_t more)
{
    memcpy(out, prompt, sizeof prompt);
    memcpy(out + PROMPT, r->tokens, r->count * sizeof *out);
    for (uint32_t i = 0; i < more; i++) out[PROMPT + r->count + i] = 40 + i;
    return PROMPT + r->count + more;
}

static void a_longer_prompt_goes_on_where_the_last_one_ended(void **state)
{
    (void)state;
    enum { MORE = 5, BATCH = 4 };
    static const uint32_t forced[] = { 1, 2 };
    uint32_t              longer[CONTEXT];
    result                first;
    pattern               p;
    enx_engine           *engine =
        open_engine((enx_engine_options){ .slot_count = 1, .batch_tokens = BATCH });
    run_alone(plain, &first);
    assert_goes_on(engine, plain, 0);
    enx_request request = plain;
    request.prompt = longer;
    request.prompt_count = lengthen(longer, &first, MORE);
    const uint32_t seen = PROMPT + first.count - 1; /* the last output was never an input */
    assert_goes_on(engine, request, seen);
    assert_goes_on(engine, request, request.prompt_count - 1);
    request.sampling = (enx_sampling){ .temperature = 1, .seed = 4 };
    request.forced = forced;
    request.forced_count = 2;
    assert_goes_on(engine, request, request.prompt_count - 1);
    request.mask = open_mask(&p, "aXXcdX");
    request.eos = EOS;
    request.forced_count = 0;
    assert_goes_on(engine, request, request.prompt_count - 1);
    enx_mask_close(&request.mask);
    enx_engine_close(&engine);
}

static void what_is_shared_is_kept_and_no_more(void **state)
{
    (void)state;
    uint32_t    other[CONTEXT];
    result      first;
    enx_engine *engine = open_engine((enx_engine_options){ .slot_count = 2 });
    run_alone(plain, &first);
    assert_goes_on(engine, plain, 0);
    enx_request request = plain;
    request.prompt = other;
    request.prompt_count = lengthen(other, &first, 3);
    other[PROMPT + 2] = 7; /* the third output is not what was sampled */
    assert_goes_on(engine, request, PROMPT + 2);
    other[0] = 9;
    assert_goes_on(engine, request, 0);
    assert_goes_on(engine, plain, PROMPT - 1); /* both beginnings are remembered */
    assert_goes_on(engine, request, request.prompt_count - 1);
    enx_engine_close(&engine);
}

/* Many at once: the prompt is evaluated once, but for the piece behind its whole pages. */
static void those_that_come_together_share_the_work(void **state)
{
    (void)state;
    enum { MANY = 6, LONG = 3 * ENX_KV_PAGE + 2 };
    static uint32_t long_prompt[LONG];
    static result   alone, together[MANY];
    for (uint32_t i = 0; i < LONG; i++) long_prompt[i] = (i * 31 + 3) % VOCAB;
    enx_request request = plain;
    request.prompt = long_prompt;
    for (uint32_t length = LONG - 2; length <= LONG; length += 2) { /* whole pages; and a piece */
        request.prompt_count = length;
        run_alone(request, &alone);
        for (uint32_t threads = 1; threads <= 8; threads *= 2)
            for (uint32_t batch = MANY; batch <= 96; batch *= 2) {
                enx_pool *pool = NULL;
                assert_int_equal(enx_pool_open(&pool, threads, NULL), ENX_OK);
                enx_engine *engine = open_engine((enx_engine_options){
                    .slot_count = MANY, .batch_tokens = batch, .pool = pool });
                uint64_t    in = 0;
                for (uint32_t i = 0; i < MANY; i++) {
                    request.user = &together[i];
                    submit_or_fail(engine, &request);
                }
                run_to_end(engine);
                for (uint32_t i = 0; i < MANY; i++) {
                    assert_same(&alone, &together[i]);
                    in += together[i].usage.tokens_in;
                }
                assert_int_equal(in, length == LONG ? 3 * ENX_KV_PAGE + 2 * MANY
                                                    : 3 * ENX_KV_PAGE - 1 + MANY);
                enx_engine_close(&engine);
                enx_pool_close(&pool);
            }
    }
}

static void one_that_leaves_takes_nothing_from_the_others(void **state)
{
    (void)state;
    enum { LONG = 3 * ENX_KV_PAGE };
    static uint32_t long_prompt[LONG];
    result          alone, gone = { 0 }, stays = { 0 };
    uint64_t        id = 0;
    for (uint32_t i = 0; i < LONG; i++) long_prompt[i] = (i * 31 + 3) % VOCAB;
    enx_request request = plain;
    request.prompt = long_prompt;
    request.prompt_count = LONG;
    run_alone(request, &alone);
    enx_engine *engine = open_engine((enx_engine_options){ .slot_count = 2, .batch_tokens = 4 });
    request.user = &gone;
    assert_int_equal(enx_engine_submit(engine, &request, &id, NULL), ENX_OK);
    request.user = &stays;
    submit_or_fail(engine, &request);
    for (int i = 0; i < 3; i++) enx_engine_step(engine, collect, NULL);
    enx_engine_cancel(engine, id);
    run_to_end(engine);
    assert_int_equal(gone.finish, ENX_FINISH_CANCELED);
    assert_same(&alone, &stays);
    enx_engine_close(&engine);
}

static void memory_that_is_short_makes_requests_wait(void **state)
{
    (void)state;
    enx_report  report = { 0 };
    result      first = { 0 }, second = { 0 };
    enx_engine *engine =
        open_engine((enx_engine_options){ .slot_count = 4, .cache_tokens = 3 * ENX_KV_PAGE });
    enx_request request = plain; /* 18 positions: two pages */
    uint32_t    other[PROMPT];
    request.user = &first;
    submit_or_fail(engine, &request);
    memcpy(other, prompt, sizeof prompt);
    other[0] = 6;
    request.prompt = other;
    request.user = &second;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, &report), ENX_AGAIN);
    assert_non_null(strstr(report.text, "1 of 3 pages"));
    assert_int_equal(enx_engine_count(engine).refused, 1);
    run_to_end(engine);
    submit_or_fail(engine, &request); /* what the first left behind gives way */
    run_to_end(engine);
    assert_true(second.is_there);
    request.max_tokens = 3 * ENX_KV_PAGE;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, &report), ENX_LIMIT);
    enx_engine_close(&engine);
}

/* Requests of two jobs and a priority, with prompts that take many steps; who is first done? */
static void priority_goes_first_and_jobs_take_turns(void **state)
{
    (void)state;
    enum { LONG = 48, REQUESTS = 4 };
    static uint32_t prompts[REQUESTS][LONG];
    result          r[REQUESTS] = { { 0 } };
    uint32_t        ends[REQUESTS] = { 0 };
    enx_engine *engine = open_engine((enx_engine_options){ .slot_count = 4, .batch_tokens = 8 });
    for (uint32_t i = 0; i < REQUESTS; i++) {
        for (uint32_t t = 0; t < LONG; t++) prompts[i][t] = (t * 31 + 7 * i) % VOCAB;
        enx_request request = plain;
        request.prompt = prompts[i];
        request.prompt_count = LONG;
        request.max_tokens = 1;
        request.job = i == 2; /* the first two are of one job, the third of another */
        request.priority = i == 3;
        request.user = &r[i];
        submit_or_fail(engine, &request);
    }
    for (uint32_t step = 1; enx_engine_step(engine, collect, NULL) > 0; step++)
        for (uint32_t i = 0; i < REQUESTS; i++)
            if (r[i].is_there && !ends[i]) ends[i] = step;
    assert_true(ends[3] && ends[3] < ends[0] && ends[3] < ends[2]); /* the last that came */
    assert_true(ends[0] < ends[1] || ends[1] == 0);                 /* the older one of a job */
    assert_true(ends[2] &&
                (ends[1] == 0 || ends[2] < ends[1])); /* its turn, though it came later */
    enx_engine_close(&engine);
}

static void an_interrupted_step_comes_again(void **state)
{
    (void)state;
    static result  alone[REQUESTS_MAX], again[REQUESTS_MAX];
    enx_request    requests[REQUESTS_MAX];
    pattern        patterns[4];
    const uint32_t count = fill_requests(requests, patterns);
    for (uint32_t i = 0; i < count; i++) run_alone(requests[i], &alone[i]);
    enx_engine *engine = open_engine((enx_engine_options){ .batch_tokens = 16 });
    memset(again, 0, sizeof again);
    for (uint32_t i = 0; i < count; i++) {
        requests[i].user = &again[i];
        submit_or_fail(engine, &requests[i]);
    }
    for (uint32_t step = 0;; step++) {
        if (step % 3) enx_engine_interrupt(engine);
        if (enx_engine_step(engine, collect, NULL) == 0) break;
        assert_true(step < 1000);
    }
    for (uint32_t i = 0; i < count; i++) assert_same(&alone[i], &again[i]);
    enx_engine_close(&engine);
    close_masks(requests, count);
}

static void a_canceled_prompt_is_gone_on_with(void **state)
{
    (void)state;
    enum { BATCH = 3 };
    result      r = { 0 };
    uint64_t    id = 0;
    enx_request request = plain;
    enx_engine *engine =
        open_engine((enx_engine_options){ .slot_count = 1, .batch_tokens = BATCH });
    request.user = &r;
    assert_int_equal(enx_engine_submit(engine, &request, &id, NULL), ENX_OK);
    enx_engine_step(engine, collect, NULL);
    enx_engine_cancel(engine, id);
    run_to_end(engine);
    assert_int_equal(r.finish, ENX_FINISH_CANCELED);
    assert_goes_on(engine, plain, BATCH);
    enx_engine_close(&engine);
}

static void windows_of_attention_go_on_too(void **state)
{
    (void)state;
    tiny_options o = tiny_default;
    tiny_model   windowed, kept = world;
    uint32_t     longer[CONTEXT];
    result       first;
    o.arch = "gemma3";
    o.vocab = VOCAB;
    o.window = 8;
    o.layers = 7;
    assert_int_equal(tiny_open(&windowed, &o, NULL), ENX_OK);
    world = windowed;
    enx_engine *engine = open_engine((enx_engine_options){ .slot_count = 1 });
    enx_request request = plain;
    run_alone(plain, &first);
    assert_goes_on(engine, plain, 0);
    request.prompt = longer;
    request.prompt_count = lengthen(longer, &first, 9);
    assert_goes_on(engine, request, PROMPT + first.count - 1);
    request.prompt_count = PROMPT + 3;
    assert_goes_on(engine, request, PROMPT + 2);
    enx_engine_close(&engine);
    tiny_close(&windowed);
    world = kept;
}

/* ---- resources --------------------------------------------------------- */

typedef struct chain {
    enx_engine *engine;
    uint32_t    left;
    uint32_t    done;
} chain;

static void submit_next(void *owner, const enx_generation *g)
{
    chain *c = owner;
    (void)g;
    c->done++;
    if (c->left == 0) return;
    c->left--;
    submit_or_fail(c->engine, &plain);
}

static void a_callback_may_submit(void **state)
{
    (void)state;
    chain c = { .engine = open_engine((enx_engine_options){ .slot_count = 3 }), .left = 5 };
    submit_or_fail(c.engine, &plain);
    submit_or_fail(c.engine, &plain);
    while (enx_engine_step(c.engine, submit_next, &c) > 0) continue;
    assert_int_equal(c.done, 7);
    enx_engine_close(&c.engine);
}

static void a_step_takes_no_memory(void **state)
{
    (void)state;
    static result  results[REQUESTS_MAX];
    enx_request    requests[REQUESTS_MAX];
    pattern        patterns[4];
    enx_engine    *engine = open_engine((enx_engine_options){ .slot_count = REQUESTS_MAX });
    const uint32_t count = fill_requests(requests, patterns);
    enx_mem_fail_after(0); /* whoever asks first gets nothing */
    for (uint32_t i = 0; i < count; i++) {
        requests[i].user = &results[i];
        submit_or_fail(engine, &requests[i]);
    }
    run_to_end(engine);
    assert_null(enx_mem_new(1, 1)); /* and that was this line */
    for (uint32_t i = 0; i < count; i++) assert_true(results[i].is_there);
    close_masks(requests, count);
    enx_engine_close(&engine);
}

static void running_out_of_memory_at_open_leaves_nothing(void **state)
{
    (void)state;
    const enx_engine_options o = { .model = world.model, .context_tokens = CONTEXT };
    for (long n = 0;; n++) {
        enx_engine *engine = NULL;
        enx_report  report = { 0 };
        enx_mem_fail_after(n);
        const enx_status status = enx_engine_open(&engine, &o, &report);
        enx_mem_fail_after(-1);
        if (status == ENX_OK) {
            assert_true(n >= 8);
            enx_engine_close(&engine);
            return;
        }
        assert_int_equal(status, ENX_NOMEM);
        assert_null(engine);
    }
}

static void options_have_limits_and_defaults(void **state)
{
    (void)state;
    enx_report         report = { 0 };
    enx_engine        *engine = NULL;
    enx_engine_options o = { .model = world.model, .slot_count = ENX_ENGINE_SLOTS_MAX + 1 };
    assert_int_equal(enx_engine_open(&engine, &o, &report), ENX_LIMIT);
    o = (enx_engine_options){ .model = world.model, .context_tokens = ENX_ENGINE_CONTEXT_MAX + 1 };
    assert_int_equal(enx_engine_open(&engine, &o, &report), ENX_LIMIT);
    o = (enx_engine_options){ .model = world.model, .slot_count = 3, .batch_tokens = 1 };
    engine = open_engine(o); /* a batch has room for every sequence */
    result r[3] = { 0 };
    for (int i = 0; i < 3; i++) {
        enx_request request = plain;
        request.user = &r[i];
        submit_or_fail(engine, &request);
    }
    run_to_end(engine);
    assert_same(&r[0], &r[2]);
    enx_engine_close(&engine);
    engine = open_engine((enx_engine_options){ 0 });
    assert_int_equal(enx_engine_free_slots(engine), 16);
    assert_int_equal(enx_engine_context_tokens(engine), 64);
    assert_true(enx_engine_memory_bytes(engine) > 16 * 64 * 2 * 32 * 2 * 2);
    enx_engine_close(&engine);
}

static void every_level_of_the_processor_generates(void **state)
{
    (void)state;
    static const char *const levels[] = { "scalar", "avx2", NULL };
    for (int i = 0; i < 3; i++) {
        result      r = { 0 };
        enx_engine *engine = open_engine((enx_engine_options){ .cpu = levels[i] });
        enx_request request = plain;
        request.user = &r;
        submit_or_fail(engine, &request);
        run_to_end(engine);
        assert_int_equal(r.count, 12);
        enx_engine_close(&engine);
    }
}

static void biases_and_penalties_move_the_output_and_any_end_token_ends_it(void **state)
{
    (void)state;
    enx_engine    *engine = open_engine((enx_engine_options){ .slot_count = 1 });
    result         r = { 0 };
    const uint32_t start[] = { 'a', 'b' };
    enx_bias       bias = { 'q', 1000 };
    enx_request    request = { .prompt = start,
                               .prompt_count = 2,
                               .max_tokens = 4,
                               .eos = ENX_TOKEN_NONE,
                               .sampling = { .biases = &bias, .bias_count = 1 },
                               .user = &r };
    assert_int_equal(enx_engine_submit(engine, &request, NULL, NULL), ENX_OK);
    while (enx_engine_step(engine, collect, NULL)) {
    }
    assert_int_equal(r.count, 4);
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(r.tokens[i], 'q');

    request.sampling.presence_penalty = 5000; /* q once, then what is not recent */
    request.sampling.repeat_last = 2;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, NULL), ENX_OK);
    while (enx_engine_step(engine, collect, NULL)) {
    }
    assert_int_equal(r.tokens[0], 'q');
    assert_int_not_equal(r.tokens[1], 'q');
    assert_int_not_equal(r.tokens[2], 'q');
    assert_int_equal(r.tokens[3], 'q');

    request.sampling = (enx_sampling){ .biases = &bias, .bias_count = 1 };
    enx_likely top[4][2] = { 0 };
    request.top = top[0];
    request.top_count = 2;
    request.tokenizer = tokenizer;
    bias.token = EOS;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, NULL), ENX_OK);
    while (enx_engine_step(engine, collect, NULL)) {
    }
    assert_int_equal(r.count, 0);
    assert_true(r.has_eos);
    assert_int_equal(r.finish, ENX_FINISH_STOP);

    assert_int_equal(top[0][0].token, r.best[0]); /* the end's place too; before the bias */
    assert_true(top[0][0].logprob >= top[0][1].logprob && top[0][1].logprob < 0);
    assert_int_equal(top[1][0].token, 0);

    bias.token = VOCAB;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, NULL), ENX_INVALID);
    enx_engine_close(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_tokens_are_the_slow_passes_likeliest),
        cmocka_unit_test(tokens_are_the_same_in_any_company_batch_and_thread_count),
        cmocka_unit_test(forced_tokens_are_scored_as_if_sampled),
        cmocka_unit_test(seeds_decide_and_nothing_else),
        cmocka_unit_test(masked_output_fits_the_mask_and_ends),
        cmocka_unit_test(forced_text_costs_no_step),
        cmocka_unit_test(probabilities_of_the_allowed_sum_to_one),
        cmocka_unit_test(places_without_choice_cost_no_step),
        cmocka_unit_test(dead_ends_and_refused_tokens_are_stuck),
        cmocka_unit_test(eos_ends_and_is_counted),
        cmocka_unit_test(the_context_ends_an_output),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(cancel_ends_at_the_next_step),
        cmocka_unit_test(a_paused_sequence_waits_and_says_the_same),
        cmocka_unit_test(streaming_shows_each_sampled_token),
        cmocka_unit_test(a_longer_prompt_goes_on_where_the_last_one_ended),
        cmocka_unit_test(what_is_shared_is_kept_and_no_more),
        cmocka_unit_test(those_that_come_together_share_the_work),
        cmocka_unit_test(one_that_leaves_takes_nothing_from_the_others),
        cmocka_unit_test(memory_that_is_short_makes_requests_wait),
        cmocka_unit_test(priority_goes_first_and_jobs_take_turns),
        cmocka_unit_test(an_interrupted_step_comes_again),
        cmocka_unit_test(a_canceled_prompt_is_gone_on_with),
        cmocka_unit_test(windows_of_attention_go_on_too),
        cmocka_unit_test(a_callback_may_submit),
        cmocka_unit_test(a_step_takes_no_memory),
        cmocka_unit_test(running_out_of_memory_at_open_leaves_nothing),
        cmocka_unit_test(options_have_limits_and_defaults),
        cmocka_unit_test(every_level_of_the_processor_generates),
        cmocka_unit_test(biases_and_penalties_move_the_output_and_any_end_token_ends_it),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
