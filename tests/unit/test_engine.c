/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine.c - what the engine promises: the same tokens in any company, and honest counts. */
#include "engine_world.h"

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
        cmocka_unit_test(a_callback_may_submit),
        cmocka_unit_test(a_step_takes_no_memory),
        cmocka_unit_test(running_out_of_memory_at_open_leaves_nothing),
        cmocka_unit_test(options_have_limits_and_defaults),
        cmocka_unit_test(every_level_of_the_processor_generates),
        cmocka_unit_test(biases_and_penalties_move_the_output_and_any_end_token_ends_it),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
