/* SPDX-License-Identifier: Apache-2.0 */
/* test_perplexity.c - every token but the first is counted once, whatever the windows. */
#include "engine/perplexity.h"
#include "slow_forward.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 50, VOCAB = 101 };

static tiny_model world;
static uint32_t   tokens[TOKENS];

static int open_world(void **state)
{
    (void)state;
    tiny_options o = tiny_default;
    enx_report   report = { 0 };
    o.type = ENX_TENSOR_F32;
    for (uint32_t i = 0; i < TOKENS; i++) tokens[i] = (i * 29 + 3) % VOCAB;
    return tiny_open(&world, &o, &report) == ENX_OK ? 0 : 1;
}

static int close_world(void **state)
{
    (void)state;
    tiny_close(&world);
    return 0;
}

static enx_engine *open_engine(uint32_t slots)
{
    enx_engine              *engine = NULL;
    const enx_engine_options o = { .model = world.model, .slot_count = slots };
    assert_int_equal(enx_engine_open(&engine, &o, NULL), ENX_OK);
    return engine;
}

static enx_perplexity measure(uint32_t slots, uint32_t window, uint32_t overlap)
{
    enx_engine                  *engine = open_engine(slots);
    enx_perplexity               out = { 0 };
    enx_report                   report = { 0 };
    const enx_perplexity_options o = { window, overlap };
    if (enx_perplexity_measure(&out, engine, NULL, tokens, TOKENS, &o, &report) != ENX_OK)
        fail_msg("%s", report.text);
    enx_engine_close(&engine);
    return out;
}

static void one_window_is_the_slow_passes_sum(void **state)
{
    (void)state;
    static double logits[VOCAB];
    slow_forward  slow;
    double        nats = 0;
    slow_open(&slow, world.gguf, enx_model_hparams(world.model));
    for (uint32_t i = 0; i + 1 < TOKENS; i++) {
        double sum = 0;
        slow_step(&slow, tokens[i], logits);
        for (uint32_t t = 0; t < VOCAB; t++) sum += exp(logits[t]);
        nats += log(sum) - logits[tokens[i + 1]];
    }
    slow_close(&slow);
    const enx_perplexity p = measure(1, 60, 10);
    assert_int_equal(p.token_count, TOKENS - 1);
    assert_true(fabs(p.nats - nats) < 1e-3 * nats);
    assert_true(fabs(p.nats_per_token - nats / (TOKENS - 1)) < 1e-2);
    assert_true(fabs(p.perplexity - exp(p.nats_per_token)) < 1e-9 * p.perplexity);
    assert_true(p.bits_per_byte == 0);
}

static void slots_do_not_change_the_sum(void **state)
{
    (void)state;
    const enx_perplexity one = measure(1, 12, 4), many = measure(8, 12, 4);
    assert_int_equal(one.token_count, TOKENS - 1);
    assert_true(one.nats == many.nats);
    for (uint32_t window = 2; window < 20; window++)
        for (uint32_t overlap = 1; overlap < window; overlap += 3)
            assert_int_equal(measure(3, window, overlap).token_count, TOKENS - 1);
}

static void bad_windows_are_refused(void **state)
{
    (void)state;
    enx_engine                  *engine = open_engine(2);
    enx_perplexity               out;
    enx_report                   report = { 0 };
    const enx_perplexity_options bad[] = { { 1, 0 }, { 64, 3 }, { 10, 10 } };
    const uint32_t               outside[] = { 1, 2, VOCAB };
    assert_int_equal(enx_perplexity_measure(&out, engine, NULL, tokens, 1, NULL, &report),
                     ENX_INVALID);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(
            enx_perplexity_measure(&out, engine, NULL, tokens, TOKENS, &bad[i], &report),
            ENX_INVALID);
    assert_int_equal(enx_perplexity_measure(&out, engine, NULL, outside, 3, NULL, &report),
                     ENX_INVALID);
    assert_int_equal(enx_engine_free_slots(engine), 2);
    enx_engine_close(&engine);
}

static void bytes_come_from_the_tokenizer(void **state)
{
    (void)state;
    static enx_gguf_str names[VOCAB + 256]; /* two or three bytes, then every byte alone */
    static char         bytes[VOCAB + 256][3];
    enx_tokenizer      *tokenizer = NULL;
    enx_perplexity      p;
    uint64_t            want = 0;
    for (uint32_t i = 0; i < VOCAB + 256; i++) {
        memset(bytes[i], (int)(i < VOCAB ? i : i - VOCAB), 3);
        names[i] = (enx_gguf_str){ bytes[i], i < VOCAB ? 2 + i % 2 : 1 };
    }
    const enx_vocab vocab = {
        .tokens = names, .token_count = VOCAB + 256, .pre = "gpt-2", .eos = ENX_TOKEN_NONE
    };
    assert_int_equal(enx_tokenizer_open_vocab(&tokenizer, &vocab, NULL), ENX_OK);
    enx_engine *engine = open_engine(2);
    for (uint32_t i = 1; i < TOKENS; i++) want += 2 + tokens[i] % 2;
    assert_int_equal(enx_perplexity_measure(&p, engine, tokenizer, tokens, TOKENS, NULL, NULL),
                     ENX_OK);
    assert_int_equal(p.byte_count, want);
    assert_true(fabs(p.bits_per_byte - p.nats / log(2) / (double)want) < 1e-12);
    enx_engine_close(&engine);
    enx_tokenizer_close(&tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_window_is_the_slow_passes_sum),
        cmocka_unit_test(slots_do_not_change_the_sum),
        cmocka_unit_test(bad_windows_are_refused),
        cmocka_unit_test(bytes_come_from_the_tokenizer),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
