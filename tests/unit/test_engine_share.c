/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine_share.c - what sequences share, and what is guessed, changes no number. */
#include "engine_world.h"
#include "model/kv.h"

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

/* Steps by the number of their rows are all steps, and as many rows as there could be in them. */
static void assert_counts_add_up(const enx_engine *engine)
{
    const enx_engine_counts c = enx_engine_count(engine);
    uint64_t                steps = 0, least = 0, most = 0;
    for (int i = 0; i + 1 < ENX_ENGINE_BATCHES; i++) {
        steps += c.batches[i];
        least += c.batches[i] * (i ? (1u << (i - 1)) + 1 : 1);
        most += c.batches[i] * (1u << i);
    }
    assert_int_equal(steps, c.steps);
    assert_true(least <= c.rows && c.rows <= most);
    assert_true(c.prefix_hits + 1 >= c.requests); /* who comes first may be helped, too */
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
                assert_counts_add_up(engine);
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
    assert_int_equal(enx_engine_count(engine).evicted, 0);
    submit_or_fail(engine, &request); /* what the first left behind gives way */
    assert_int_equal(enx_engine_count(engine).evicted, 1);
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

/* Steps until the first token of a prompt of 200 beside so many sequences that decode. */
static uint32_t steps_to_first(uint32_t beside)
{
    enum { LONG = 200, MANY = 60, WIDE = 512 };
    static uint32_t long_prompt[LONG];
    uint32_t        steps = 0, rows = 0;
    result          r = { 0 };
    enx_request     request = plain;
    for (uint32_t i = 0; i < LONG; i++) long_prompt[i] = (i * 31 + 3) % VOCAB;
    enx_engine *engine =
        open_engine((enx_engine_options){ .slot_count = MANY + 1, .context_tokens = WIDE });
    request.max_tokens = LONG;
    for (uint32_t i = 0; i < beside; i++) submit_or_fail(engine, &request);
    while (rows != beside) {
        const uint64_t before = enx_engine_count(engine).rows;
        enx_engine_step(engine, NULL, NULL);
        rows = (uint32_t)(enx_engine_count(engine).rows - before);
    }
    request.prompt = long_prompt;
    request.prompt_count = LONG;
    request.on_token = stream;
    request.user = &r;
    submit_or_fail(engine, &request);
    for (; r.streamed_count == 0; steps++) enx_engine_step(engine, NULL, NULL);
    enx_engine_close(&engine);
    return steps;
}

static void prompts_are_read_in_larger_passes_where_many_decode(void **state)
{
    (void)state;
    assert_int_equal(steps_to_first(0), 2);
    assert_int_equal(steps_to_first(1), 2);
    assert_int_equal(steps_to_first(60), 1);
}

static uint64_t count_looks(void)
{
    static uint64_t looks;
    return ++looks;
}

static uint64_t time_of_layer(const enx_profile *p, uint32_t layer)
{
    uint64_t sum = 0;
    for (int phase = 0; phase < ENX_PHASE_COUNT; phase++)
        sum += p->cells[layer * ENX_PHASE_COUNT + phase].time_ns;
    return sum;
}

/* Who is canceled within a pass has its pages free in the step that follows, and another one that
 * waited for them can begin. */
static void canceling_ends_a_pass_between_layers_and_frees_pages(void **state)
{
    (void)state;
    enx_profile *p = NULL;
    result       first = { 0 }, second = { 0 };
    uint64_t     id = 0;
    enx_request  request = plain; /* 18 positions: two pages */
    uint32_t     other[PROMPT];
    assert_int_equal(enx_profile_open(&p, 2, count_looks, NULL), ENX_OK);
    enx_engine *engine = open_engine(
        (enx_engine_options){ .slot_count = 4, .cache_tokens = 2 * ENX_KV_PAGE, .profile = p });
    memcpy(other, prompt, sizeof prompt);
    other[0] = 6;
    request.user = &first;
    assert_int_equal(enx_engine_submit(engine, &request, &id, NULL), ENX_OK);
    p->is_running = true;
    enx_engine_interrupt(engine);
    assert_int_equal(enx_engine_step(engine, collect, NULL), 1);
    assert_true(time_of_layer(p, 0) > 0);
    assert_int_equal(time_of_layer(p, 1), 0);
    request.prompt = other;
    request.user = &second;
    assert_int_equal(enx_engine_submit(engine, &request, NULL, NULL), ENX_AGAIN);
    enx_engine_cancel(engine, id);
    assert_int_equal(enx_engine_step(engine, collect, NULL), 0);
    assert_int_equal(first.finish, ENX_FINISH_CANCELED);
    assert_int_equal(time_of_layer(p, 1), 0); /* nothing more was computed for it */
    assert_int_equal(enx_engine_count(engine).pages_free, 2);
    submit_or_fail(engine, &request);
    run_to_end(engine);
    assert_true(second.is_there);
    enx_engine_close(&engine);
    enx_profile_close(&p);
}

/* Pages never exceed what the size allows, but one context is always there. */
static void a_size_bounds_the_cache(void **state)
{
    (void)state;
    enum { PAGES = CONTEXT / ENX_KV_PAGE };
    const uint64_t page = enx_kv_page_size(enx_model_hparams(world.model), ENX_KV_F16);
    const struct {
        uint64_t bytes;
        uint32_t tokens, pages;
    } cases[] = { { 0, 0, 8 * PAGES },
                  { 1, 0, PAGES },
                  { PAGES * page + page - 1, 0, PAGES },
                  { (PAGES + 1) * page, 0, PAGES + 1 },
                  { 100 * PAGES * page, 0, 8 * PAGES },
                  { (PAGES + 3) * page, (PAGES + 2) * ENX_KV_PAGE, PAGES + 2 },
                  { (PAGES + 1) * page, (PAGES + 2) * ENX_KV_PAGE, PAGES + 1 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_engine *engine = open_engine((enx_engine_options){
            .slot_count = 8, .cache_bytes = cases[i].bytes, .cache_tokens = cases[i].tokens });
        assert_int_equal(enx_engine_count(engine).pages, cases[i].pages);
        assert_int_equal(enx_engine_page_bytes(engine), page);
        enx_engine_close(&engine);
    }
}

/* ---- guesses ----------------------------------------------------------- */

/* Requests of every kind with guesses that are right, wrong somewhere, or nonsense. */
static void guesses_change_nothing(void **state)
{
    (void)state;
    static result   alone[REQUESTS_MAX], drafted[REQUESTS_MAX];
    static uint32_t guesses[REQUESTS_MAX][OUT_MAX];
    enx_request     requests[REQUESTS_MAX];
    pattern         patterns[4];
    uint64_t        accepted = 0, wrong = 0;
    const uint32_t  count = fill_requests(requests, patterns);
    for (uint32_t i = 0; i < count; i++) run_alone(requests[i], &alone[i]);
    for (uint32_t seed = 0; seed < 12; seed++) {
        enx_rng rng = enx_rng_open(seed, 3);
        for (uint32_t i = 0; i < count; i++) {
            const result *r = &alone[i];
            requests[i].drafts = true;
            requests[i].guess = seed % 4 == 3 ? NULL : guesses[i]; /* NULL: from the prompt */
            requests[i].guess_count = seed % 4 == 3 ? 0 : r->count;
            for (uint32_t t = 0; t < r->count; t++)
                guesses[i][t] = seed % 4 && enx_rng_below(&rng, seed % 4 == 1 ? 8 : 2) == 0
                                    ? (uint32_t)enx_rng_below(&rng, VOCAB)
                                    : r->tokens[t];
        }
        for (uint32_t slots = 1; slots <= 16; slots *= 4) {
            enx_engine *engine = open_engine((enx_engine_options){ .slot_count = slots });
            uint32_t    next = 0;
            memset(drafted, 0, sizeof drafted);
            do {
                for (; next < count && enx_engine_free_slots(engine); next++) {
                    requests[next].user = &drafted[next];
                    submit_or_fail(engine, &requests[next]);
                }
            } while (enx_engine_step(engine, collect, NULL) > 0 || next < count);
            for (uint32_t i = 0; i < count; i++) assert_same(&alone[i], &drafted[i]);
            accepted += enx_engine_count(engine).accepted;
            wrong += enx_engine_count(engine).drafted - enx_engine_count(engine).accepted;
            enx_engine_close(&engine);
        }
    }
    assert_true(accepted > 500 && wrong > 100);
    close_masks(requests, count);
}

static void a_right_guess_saves_steps(void **state)
{
    (void)state;
    result      alone, r;
    enx_request request = plain;
    request.max_tokens = 40;
    run_alone(request, &alone);
    uint32_t guess[OUT_MAX];
    memcpy(guess, alone.tokens, alone.count * sizeof *guess);
    request.drafts = true;
    request.guess = guess;
    request.guess_count = alone.count;
    run_alone(request, &r);
    assert_same(&alone, &r);
    assert_int_equal(alone.step_count, 40);
    assert_true(r.step_count <= 8);   /* 1, then 3, 4, 5 … guesses, each with one more */
    guess[5] = guess[5] == 1 ? 2 : 1; /* one token differs: it goes on behind that */
    run_alone(request, &r);
    assert_same(&alone, &r);
    assert_true(r.step_count <= 12);
    guess[5] = VOCAB;
    enx_engine *engine = open_engine((enx_engine_options){ .slot_count = 1 });
    assert_int_equal(enx_engine_submit(engine, &request, NULL, NULL), ENX_INVALID);
    enx_engine_close(&engine);
}

/* Draws of the second token, with guesses, against the model's own probabilities: Pearson's
 * statistic of 40 groups of tokens is below 72.1 in 99.9 of 100 runs (39 degrees of freedom). */
static void drafted_samples_follow_the_models_distribution(void **state)
{
    (void)state;
    enum { DRAWS = 4000, GROUPS = 40 };
    double      expected[GROUPS] = { 0 }, statistic = 0;
    uint32_t    seen[GROUPS] = { 0 };
    result      first;
    enx_likely  top[2][VOCAB];
    enx_request request = plain;
    request.max_tokens = 1;
    run_alone(request, &first);
    const uint32_t forced = first.tokens[0];
    request.forced = &forced;
    request.forced_count = 1;
    request.top = &top[0][0];
    request.top_count = VOCAB;
    run_alone(request, &first);
    for (uint32_t i = 0; i < VOCAB; i++)
        expected[top[0][i].token % GROUPS] += exp((double)top[0][i].logprob) * DRAWS;
    const uint32_t guess[] = { forced, top[0][0].token, top[0][1].token };
    request.top = NULL;
    request.max_tokens = 3;
    request.drafts = true;
    request.guess = guess;
    request.guess_count = 3;
    enx_engine *engine = open_engine((enx_engine_options){ .slot_count = 1 });
    for (uint32_t i = 0; i < DRAWS; i++) {
        result r = { 0 };
        request.sampling = (enx_sampling){ .temperature = 1, .seed = 1000 + i };
        request.user = &r;
        submit_or_fail(engine, &request);
        run_to_end(engine);
        seen[r.tokens[1] % GROUPS]++;
    }
    assert_true(enx_engine_count(engine).accepted > 0);
    enx_engine_close(&engine);
    for (uint32_t g = 0; g < GROUPS; g++)
        statistic += (seen[g] - expected[g]) * (seen[g] - expected[g]) / expected[g];
    if (statistic > 72.1) fail_msg("chi-square of %g", statistic);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_longer_prompt_goes_on_where_the_last_one_ended),
        cmocka_unit_test(what_is_shared_is_kept_and_no_more),
        cmocka_unit_test(those_that_come_together_share_the_work),
        cmocka_unit_test(one_that_leaves_takes_nothing_from_the_others),
        cmocka_unit_test(memory_that_is_short_makes_requests_wait),
        cmocka_unit_test(priority_goes_first_and_jobs_take_turns),
        cmocka_unit_test(prompts_are_read_in_larger_passes_where_many_decode),
        cmocka_unit_test(an_interrupted_step_comes_again),
        cmocka_unit_test(canceling_ends_a_pass_between_layers_and_frees_pages),
        cmocka_unit_test(a_size_bounds_the_cache),
        cmocka_unit_test(guesses_change_nothing),
        cmocka_unit_test(a_right_guess_saves_steps),
        cmocka_unit_test(drafted_samples_follow_the_models_distribution),
        cmocka_unit_test(a_canceled_prompt_is_gone_on_with),
        cmocka_unit_test(windows_of_attention_go_on_too),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
