/* SPDX-License-Identifier: Apache-2.0 */
/* test_local.c - calls become answers: windows, prompts, threads, and what can go wrong. */
#include "backend/local.h"

#include "plat/clock.h"
#include "text/damage.h"
#include "tiny_swarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CALLS_MAX = 64, ANSWER_BYTES = 20000, LEAD = 0, SCOUT = 1, WORKER = 2 };

static char        folder[] = "/tmp/enxame-local-XXXXXX";
static enx_config *config;

static int make_swarm(void **state)
{
    (void)state;
    char path[100];
    if (!mkdtemp(folder)) return 1;
    tiny_swarm swarm = { .folder = folder };
    snprintf(path, sizeof path, "%s/swarm.yaml", folder);
    if (tiny_swarm_make(&swarm) != ENX_OK) return 1;
    return enx_config_open(&config, path, NULL) == ENX_OK ? 0 : 1;
}

static int remove_swarm(void **state)
{
    (void)state;
    char command[100];
    enx_config_close(&config);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

typedef struct answers {
    enx_call_report reports[CALLS_MAX];
    char            texts[CALLS_MAX][ANSWER_BYTES];
    char            errors[CALLS_MAX][ENX_ASK_ERROR_BYTES];
    uint32_t        count;
} answers;

static void keep(void *user, const enx_call_report *report)
{
    answers       *a = user;
    const uint32_t i = (uint32_t)report->call_id;
    assert_true(i < CALLS_MAX && report->answer_bytes < ANSWER_BYTES);
    a->reports[i] = *report;
    memcpy(a->texts[i], report->answer, report->answer_bytes);
    a->texts[i][report->answer_bytes] = '\0';
    snprintf(a->errors[i], sizeof a->errors[i], "%s", report->error ? report->error : "");
    a->count++;
}

static enx_call call_of(uint32_t id, enx_role role, uint32_t model, const char *text)
{
    return (enx_call){ .call_id = id,
                       .role = role,
                       .model = model,
                       .what = "restore",
                       .goal = "put everything back",
                       .input = text,
                       .input_bytes = strlen(text),
                       .language = "es",
                       .level = 3,
                       .kinds = ENX_KINDS_ALL,
                       .max_tokens_in = UINT32_MAX,
                       .max_tokens_out = UINT32_MAX };
}

static enx_local *open_local(uint32_t threads, uint64_t engine_bytes)
{
    enx_local              *local = NULL;
    enx_report              report = { 0 };
    const enx_local_options options = { .thread_count = threads, .engine_bytes_max = engine_bytes };
    if (enx_local_open(&local, config, &options, &report) != ENX_OK) fail_msg("%s", report.text);
    return local;
}

static void wait_all(enx_local *local, answers *a, uint32_t count)
{
    for (int i = 0; i < 600 && a->count < count; i++) enx_local_poll(local, 100000, keep, a);
    assert_int_equal(a->count, count);
    assert_int_equal(enx_local_flight(local), 0);
}

/* A text of `words` words without marks, the same for the same seed. */
static void make_text(char *out, int words, uint64_t seed)
{
    static const char *const some[] = { "por",   "quanto",   "tempo", "o", "povo",  "hola", "que",
                                        "amigo", "herdeira", "e",     "a", "ñandú", "São" };
    enx_rng                  rng = enx_rng_open(seed, 0);
    size_t                   at = 0;
    for (int i = 0; i < words; i++)
        at += (size_t)snprintf(out + at, 32, "%s%s", i ? " " : "", some[enx_rng_below(&rng, 13)]);
}

/* ---- Windows -------------------------------------------------------------------------------- */

static void cores_follow_each_other_and_windows_stay_small(void **state)
{
    (void)state;
    char text[8000];
    for (uint64_t seed = 0; seed < 200; seed++) {
        make_text(text, 5 + (int)seed * 2, seed);
        if (seed % 3 == 0) /* a very long word */
            for (size_t i = 10; i < strlen(text) && i < 300; i++)
                if (text[i] == ' ') text[i] = 'x';
        const size_t size = strlen(text), window_bytes = 40 + (seed * 37) % 400;
        enx_window   w = { 0 };
        size_t       at = 0;
        do {
            w = enx_window_at(text, size, at, w.first, window_bytes);
            assert_int_equal(w.core, at);
            assert_true(w.first <= w.core && w.core < w.core_end && w.core_end <= w.end);
            assert_true(w.end <= size && w.end - w.first <= window_bytes);
            assert_true(((uint8_t)text[w.core_end] & 0xC0) != 0x80);
            assert_true(((uint8_t)text[w.first] & 0xC0) != 0x80);
            at = w.core_end;
        } while (at < size);
    }
}

static void cuts_are_found_again_in_the_answer(void **state)
{
    (void)state;
    const char *text = "ola mundo e a vida que", *answer = "Olá , mundo! É a vida; que";
    const struct {
        size_t cut, want;
    } cases[] = { { 3, 6 }, { 9, 13 }, { 11, 16 }, { 18, 24 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t got = 0;
        assert_int_equal(enx_window_align(&got, text, strlen(text), cases[i].cut, answer,
                                          strlen(answer), ENX_KINDS_ALL, NULL),
                         ENX_OK);
        assert_int_equal(got, cases[i].want);
    }
    size_t got = 0;
    assert_int_equal(
        enx_window_align(&got, text, strlen(text), 3, "xyzuvw", 6, ENX_KINDS_ALL, NULL),
        ENX_FORMAT);
}

/* ---- Prompts -------------------------------------------------------------------------------- */

static void prompts_have_control_words_and_texts_do_not(void **state)
{
    (void)state;
    enx_local              *local = open_local(1, 0);
    const enx_loaded       *loaded = &enx_local_skill(local, WORKER)->loaded;
    const enx_tokenizer    *t = loaded->tokenizer;
    const enx_prompt_fields fields = {
        .text = "<|L1|>", .text_bytes = 6, .language = "pt_BR", .level = 2, .is_more = true
    };
    const char *const words[] = { "<|restore|>", "<|pt_BR|>", "<|L2|>", "<|more|>" };
    enx_tokens        prompt;
    enx_report        report = { 0 };
    enx_tokens_init(&prompt, 100);
    assert_int_equal(enx_loaded_prompt(loaded, "restore", &fields, &prompt, NULL), ENX_OK);
    assert_int_equal(prompt.count, 4 + 6 + 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(prompt.ids[i], enx_tokenizer_find(t, words[i], strlen(words[i])));
    for (int i = 4; i < 10; i++) assert_false(enx_tokenizer_is_control(t, prompt.ids[i]));
    prompt.count = 0; /* unknown language and level: nothing */
    const enx_prompt_fields plain = { .text = "a", .text_bytes = 1, .language = "xx", .level = -1 };
    assert_int_equal(enx_loaded_prompt(loaded, "restore", &plain, &prompt, NULL), ENX_OK);
    assert_int_equal(prompt.count, 3);
    assert_int_equal(enx_loaded_prompt(loaded, "paint", &plain, &prompt, &report), ENX_UNSUPPORTED);
    assert_non_null(strstr(report.text, "enxame.prompt.paint"));
    assert_true(enx_loaded_error_chance(loaded, "restore", 3, 0, 0, 5) == 0);
    assert_true(enx_loaded_error_chance(loaded, "restore", 3, -1e9, 0, 5) == 1);
    enx_tokens_deinit(&prompt);
    enx_local_close(&local);
}

static void prompt_text(const enx_loaded *loaded, const char *language, unsigned kinds,
                        const char *wanted)
{
    const enx_prompt_fields fields = {
        .text = "isso nao e", .text_bytes = 10, .language = language, .kinds = kinds
    };
    enx_tokens prompt;
    enx_buf    text;
    enx_tokens_init(&prompt, 100);
    enx_buf_init(&text, 1000);
    assert_int_equal(enx_loaded_prompt(loaded, "restore", &fields, &prompt, NULL), ENX_OK);
    assert_int_equal(enx_loaded_decode(loaded, prompt.ids, prompt.count, &text), ENX_OK);
    assert_string_equal(enx_buf_text(&text), wanted);
    enx_tokens_deinit(&prompt);
    enx_buf_deinit(&text);
}

static void drafts_are_spelt_by_the_lexicon_of_the_language(void **state)
{
    (void)state;
    enx_local        *local = open_local(1, 0);
    const enx_loaded *worker = &enx_local_skill(local, WORKER)->loaded;
    const enx_loaded *lead = &enx_local_skill(local, LEAD)->loaded;
    prompt_text(lead, "es", ENX_KINDS_ALL, "isso não é");
    prompt_text(lead, "es", ENX_KIND_PUNCTUATION, "isso nao e");
    prompt_text(lead, "xx", ENX_KINDS_ALL, "isso nao e");
    prompt_text(lead, NULL, ENX_KINDS_ALL, "isso nao e");
    prompt_text(worker, "", ENX_KINDS_ALL, "isso não é"); /* it has one lexicon only */
    enx_local_close(&local);
}

/* ---- Answers -------------------------------------------------------------------------------- */

static uint32_t submit_some(enx_local *local, char texts[][3000], bool is_reversed)
{
    enum { COUNT = 12 };
    for (uint32_t k = 0; k < COUNT; k++) {
        const uint32_t i = is_reversed ? COUNT - 1 - k : k;
        make_text(texts[i], 3 + (int)i * 12, i);
        enx_call call = call_of(i, i % 4 == 3 ? ENX_ROLE_SCOUT : ENX_ROLE_WORK,
                                i % 4 == 3   ? SCOUT
                                : i % 4 == 2 ? LEAD
                                             : WORKER,
                                texts[i]);
        if (i % 5 == 1) call.level = ENX_LEVEL_UNKNOWN;
        if (i % 5 == 2) call.kinds = ENX_KIND_PUNCTUATION;
        enx_local_measure(local, &call);
        enx_local_generate(local, &call);
    }
    return COUNT;
}

static void answers_reduce_to_inputs_and_do_not_depend_on_threads(void **state)
{
    (void)state;
    static char    texts[CALLS_MAX][3000];
    static answers first, other;
    enx_local     *local = open_local(1, 0);
    const uint32_t count = submit_some(local, texts, false);
    wait_all(local, &first, count);
    for (uint32_t i = 0; i < count; i++) {
        char     reason[200] = "";
        enx_call call = call_of(i, ENX_ROLE_WORK, WORKER, texts[i]);
        if (i % 5 == 2) call.kinds = ENX_KIND_PUNCTUATION;
        assert_int_equal(first.reports[i].status, ENX_CALL_OK);
        assert_int_equal(first.reports[i].flags, 0);
        assert_true(first.reports[i].usage.tokens_out > 0);
        if (i % 4 != 3 &&
            !enx_local_round_trip(&call, first.texts[i], strlen(first.texts[i]), reason, 200))
            fail_msg("%u: %s: %s", i, reason, first.texts[i]);
        if (i % 4 == 3) assert_in_range(first.reports[i].level, 0, 3);
    }
    enx_local_close(&local);
    for (uint32_t threads = 2; threads <= 3; threads++) {
        memset(&other, 0, sizeof other);
        local = open_local(threads, threads == 3 ? 1 : 0); /* 1: engines come and go */
        submit_some(local, texts, true);
        wait_all(local, &other, count);
        enx_local_close(&local);
        for (uint32_t i = 0; i < count; i++) {
            assert_string_equal(other.texts[i], first.texts[i]);
            assert_true(other.reports[i].sum_logprob == first.reports[i].sum_logprob);
            assert_int_equal(other.reports[i].usage.tokens_out, first.reports[i].usage.tokens_out);
        }
    }
}

/* The pages that the first windows of some calls need, all at once. */
static uint64_t pages_wanted(const enx_local *local, char texts[][3000], uint32_t count)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < count; i++) {
        enx_ask       *ask = NULL;
        enx_request    request;
        const enx_call call = call_of(i, ENX_ROLE_WORK, WORKER, texts[i]);
        assert_int_equal(enx_ask_open(&ask, enx_local_skill(local, WORKER), &call, NULL), ENX_OK);
        assert_true(enx_ask_next(ask, &request));
        pages += (request.prompt_count + request.max_tokens) / ENX_KV_PAGE;
        enx_ask_close(&ask);
    }
    return pages;
}

/* Room for a few at a time: the others wait, also those that are canceled while they do, and every
 * answer is what it is with memory for all. */
static void calls_wait_for_memory_and_answers_stay(void **state)
{
    (void)state;
    enum { COUNT = 12, SLOTS = 12, CANCELED = COUNT - 1 };
    static char       texts[COUNT][3000];
    static answers    roomy, tight;
    enx_config_model *worker = &config->workers[0];
    for (uint32_t i = 0; i < COUNT; i++) make_text(texts[i], 60, i);
    worker->slots = SLOTS;
    for (uint64_t mb = 0; mb < 2; mb++) {
        answers *to = mb ? &tight : &roomy;
        worker->cache_mb = mb;
        enx_local         *local = open_local(1, 0);
        const enx_hparams *hp = enx_model_hparams(enx_local_skill(local, WORKER)->loaded.model);
        if (mb)
            assert_true(pages_wanted(local, texts, COUNT) * enx_kv_page_size(hp, ENX_KV_F16) >
                        mb << 20);
        enx_local_hold(local);
        for (uint32_t i = 0; i < COUNT; i++) {
            const enx_call call = call_of(i, ENX_ROLE_WORK, WORKER, texts[i]);
            enx_local_generate(local, &call);
        }
        enx_local_release(local, true);
        if (mb) enx_local_cancel(local, CANCELED);
        wait_all(local, to, COUNT);
        enx_local_close(&local);
    }
    worker->slots = 0;
    worker->cache_mb = 0;
    assert_int_equal(tight.reports[CANCELED].status, ENX_CALL_ERROR);
    for (uint32_t i = 0; i < CANCELED; i++) {
        assert_int_equal(tight.reports[i].status, ENX_CALL_OK);
        assert_string_equal(tight.texts[i], roomy.texts[i]);
        assert_true(tight.reports[i].sum_logprob == roomy.reports[i].sum_logprob);
    }
}

/* Whenever it comes: alone in its batch a pass ends within it, beside others behind it; the others
 * answer as if nothing had been. */
static void a_canceled_call_ends_and_the_others_do_not(void **state)
{
    (void)state;
    static char    texts[2][3000];
    static answers alone, got;
    for (uint32_t i = 0; i < 2; i++) make_text(texts[i], 60, i);
    enx_local     *local = open_local(1, 0);
    const enx_call kept = call_of(0, ENX_ROLE_LEAD, LEAD, texts[0]);
    const enx_call gone = call_of(1, ENX_ROLE_WORK, WORKER, texts[1]);
    const enx_call beside = call_of(2, ENX_ROLE_LEAD, LEAD, texts[1]);
    enx_local_generate(local, &kept);
    wait_all(local, &alone, 1);
    uint32_t canceled = 0;
    for (uint32_t round = 0; round < 30; round++) {
        memset(&got, 0, sizeof got);
        enx_local_generate(local, &kept);
        enx_local_generate(local, &gone);
        if (round % 2) enx_local_generate(local, &beside);
        enx_local_poll(local, 500 * round, keep, &got);
        enx_local_cancel(local, 1);
        if (round % 2) enx_local_cancel(local, 2);
        wait_all(local, &got, 2 + round % 2);
        assert_string_equal(got.texts[0], alone.texts[0]);
        assert_true(got.reports[0].sum_logprob == alone.reports[0].sum_logprob);
        canceled += got.reports[1].status == ENX_CALL_ERROR;
    }
    assert_true(canceled > 0);
    enx_local_close(&local);
}

/* Guesses of every kind, over several windows: what a worker answered, and nonsense. */
static void a_guess_changes_no_answer(void **state)
{
    (void)state;
    static char    text[3000];
    static answers plain, guessed;
    make_text(text, 60, 5);
    for (int kind = 0; kind < 3; kind++) {
        enx_local *local = open_local(1, 0); /* one that remembers nothing */
        answers   *to = kind ? &guessed : &plain;
        enx_call   call = call_of(1, ENX_ROLE_LEAD, LEAD, text);
        call.guess = kind == 1 ? plain.texts[1] : kind == 2 ? "abc, abc. Abc" : NULL;
        call.guess_bytes = call.guess ? strlen(call.guess) : 0;
        to->count = 0;
        enx_local_generate(local, &call);
        wait_all(local, to, 1);
        assert_int_equal(to->reports[1].status, ENX_CALL_OK);
        enx_local_close(&local);
        if (kind == 0) continue;
        assert_string_equal(guessed.texts[1], plain.texts[1]);
        assert_true(guessed.reports[1].sum_logprob == plain.reports[1].sum_logprob);
        assert_int_equal(guessed.reports[1].usage.tokens_out, plain.reports[1].usage.tokens_out);
    }
}

static void requests_say_whose_they_are(void **state)
{
    (void)state;
    enx_local  *local = open_local(1, 0);
    enx_ask    *ask = NULL;
    enx_request request;
    enx_call    call = call_of(3, ENX_ROLE_PLAN, LEAD, "");
    call.call_id |= (uint64_t)7 << 32;
    assert_int_equal(enx_ask_open(&ask, enx_local_skill(local, LEAD), &call, NULL), ENX_OK);
    assert_true(enx_ask_next(ask, &request));
    assert_int_equal(request.job, 7);
    assert_int_equal(request.priority, 2); /* its job waits for it */
    enx_ask_close(&ask);
    call = call_of(4, ENX_ROLE_LEAD, LEAD, "por quanto");
    call.guess = "por quanto,";
    call.guess_bytes = 11;
    assert_int_equal(enx_ask_open(&ask, enx_local_skill(local, LEAD), &call, NULL), ENX_OK);
    assert_true(enx_ask_next(ask, &request));
    assert_int_equal(request.priority, 1); /* the rest of its task does */
    assert_true(request.guess_count > 0);
    enx_ask_close(&ask);
    call.role = ENX_ROLE_AUDIT;
    assert_int_equal(enx_ask_open(&ask, enx_local_skill(local, LEAD), &call, NULL), ENX_OK);
    assert_true(enx_ask_next(ask, &request));
    assert_int_equal(request.priority, 0); /* the answer is there, and only judged */
    enx_ask_close(&ask);
    enx_local_close(&local);
}

static void measured_bounds_hold(void **state)
{
    (void)state;
    static char    text[3000];
    static answers got;
    enx_local     *local = open_local(1, 0);
    memset(&got, 0, sizeof got);
    make_text(text, 250, 5);
    enx_call call = call_of(0, ENX_ROLE_WORK, WORKER, text);
    call.kinds = ENX_KIND_PUNCTUATION; /* a token a byte and accents on all would be too many */
    enx_local_measure(local, &call);
    assert_true(call.max_tokens_in < 4 * strlen(text));
    enx_local_generate(local, &call);
    wait_all(local, &got, 1);
    const enx_usage_count *usage = &got.reports[0].usage;
    assert_int_equal(got.reports[0].flags, 0);
    assert_true(usage->tokens_in + usage->tokens_cached <= call.max_tokens_in);
    assert_true(usage->tokens_out <= call.max_tokens_out);
    enx_call capped = call_of(1, ENX_ROLE_WORK, WORKER, text);
    capped.max_tokens_out = 10; /* the backend must stop there */
    enx_local_generate(local, &capped);
    wait_all(local, &got, 2);
    assert_true(got.reports[1].flags & ENX_FLAG_TRUNCATED);
    assert_true(got.reports[1].usage.tokens_out <= 10);
    enx_local_close(&local);
}

static void plans_come_under_their_grammar(void **state)
{
    (void)state;
    static answers got;
    enx_local     *local = open_local(1, 0);
    memset(&got, 0, sizeof got);
    const enx_call call = call_of(0, ENX_ROLE_PLAN, LEAD, "");
    enx_local_generate(local, &call);
    wait_all(local, &got, 1);
    assert_int_equal(got.reports[0].status, ENX_CALL_OK);
    assert_int_equal(strncmp(got.texts[0], "{\"mode\":\"", 9), 0);
    enx_local_close(&local);
}

static void bytes_that_are_no_text_are_abstained_from(void **state)
{
    (void)state;
    static answers got;
    enx_local     *local = open_local(1, 0);
    memset(&got, 0, sizeof got);
    const enx_call work = call_of(0, ENX_ROLE_WORK, WORKER, "abc \xff");
    const enx_call scout = call_of(1, ENX_ROLE_SCOUT, SCOUT, "abc \xff");
    const enx_call wrong = call_of(2, ENX_ROLE_PLAN, WORKER, "");
    enx_local_generate(local, &work);
    enx_local_generate(local, &scout);
    enx_local_generate(local, &wrong);
    wait_all(local, &got, 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(got.reports[i].status, ENX_CALL_ABSTAIN);
        assert_non_null(strstr(got.errors[i], "byte 5"));
        assert_int_equal(got.reports[i].usage.tokens_in, 0);
    }
    assert_int_equal(got.reports[2].status, ENX_CALL_ERROR);
    assert_non_null(strstr(got.errors[2], "enxame.prompt.plan"));
    enx_local_close(&local);
}

static void canceled_and_held_calls_do_not_answer(void **state)
{
    (void)state;
    static char    text[3000];
    static answers got;
    enx_local     *local = open_local(1, 0);
    memset(&got, 0, sizeof got);
    make_text(text, 200, 9);
    const enx_call first = call_of(0, ENX_ROLE_WORK, WORKER, text);
    const enx_call second = call_of(1, ENX_ROLE_WORK, WORKER, text);
    enx_local_hold(local);
    enx_local_generate(local, &first);
    assert_int_equal(enx_local_poll(local, 50000, keep, &got), 0);
    enx_local_release(local, false);
    assert_int_equal(enx_local_flight(local), 0);
    enx_local_generate(local, &second);
    enx_local_cancel(local, 1);
    wait_all(local, &got, 1);
    assert_true(got.reports[1].status == ENX_CALL_ERROR || got.reports[1].status == ENX_CALL_OK);
    enx_local_generate(local, &first); /* closing with work under way loses nothing but it */
    enx_local_close(&local);
    assert_null(local);
}

static void round_trips_are_judged_by_what_may_change(void **state)
{
    (void)state;
    char     reason[200] = "";
    enx_call call = call_of(0, ENX_ROLE_WORK, WORKER, "ola mundo");
    assert_true(enx_local_round_trip(&call, "Olá, mundo!", 12, reason, sizeof reason));
    assert_false(enx_local_round_trip(&call, "Olá, mando!", 12, reason, sizeof reason));
    assert_non_null(strstr(reason, "byte 6"));
    call.level = 1;
    assert_true(enx_local_round_trip(&call, "olá mundo", 10, reason, sizeof reason));
    assert_false(enx_local_round_trip(&call, "Ola mundo", 9, reason, sizeof reason));
    call.level = 3;
    call.kinds = ENX_KIND_PUNCTUATION;
    assert_true(enx_local_round_trip(&call, "ola, mundo.", 11, reason, sizeof reason));
    assert_false(enx_local_round_trip(&call, "olá mundo", 10, reason, sizeof reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cores_follow_each_other_and_windows_stay_small),
        cmocka_unit_test(cuts_are_found_again_in_the_answer),
        cmocka_unit_test(prompts_have_control_words_and_texts_do_not),
        cmocka_unit_test(drafts_are_spelt_by_the_lexicon_of_the_language),
        cmocka_unit_test(answers_reduce_to_inputs_and_do_not_depend_on_threads),
        cmocka_unit_test(calls_wait_for_memory_and_answers_stay),
        cmocka_unit_test(a_canceled_call_ends_and_the_others_do_not),
        cmocka_unit_test(a_guess_changes_no_answer),
        cmocka_unit_test(requests_say_whose_they_are),
        cmocka_unit_test(measured_bounds_hold),
        cmocka_unit_test(plans_come_under_their_grammar),
        cmocka_unit_test(bytes_that_are_no_text_are_abstained_from),
        cmocka_unit_test(canceled_and_held_calls_do_not_answer),
        cmocka_unit_test(round_trips_are_judged_by_what_may_change),
    };
    return cmocka_run_group_tests(tests, make_swarm, remove_swarm);
}
