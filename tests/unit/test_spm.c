/* SPDX-License-Identifier: Apache-2.0 */
/* test_spm.c - SentencePiece vocabularies: which pair goes first, bytes, spaces and names, and
 * that bad files are refused. */
#include "base/mem.h"
#include "base/rng.h"
#include "gguf/gguf_write.h"
#include "text/mask.h"
#include "text/tokenizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { FIRST_BYTE = 3, FIRST_TEXT = FIRST_BYTE + 256, HAND_MAX = 400 };

/* <unk> <s> </s>, all bytes, then what a test adds. */
typedef struct hand_vocab {
    char           names[256][8];
    enx_gguf_str   tokens[HAND_MAX];
    float          scores[HAND_MAX];
    enx_token_type types[HAND_MAX];
    enx_vocab      vocab;
} hand_vocab;

static uint32_t hand_add(hand_vocab *hand, const char *text, float score, enx_token_type type)
{
    const uint32_t id = hand->vocab.token_count++;
    hand->tokens[id] = (enx_gguf_str){ .data = text, .size_bytes = strlen(text) };
    hand->scores[id] = score;
    hand->types[id] = type;
    return id;
}

static void hand_init(hand_vocab *hand)
{
    memset(hand, 0, sizeof *hand);
    hand->vocab = (enx_vocab){ .tokens = hand->tokens,
                               .scores = hand->scores,
                               .types = hand->types,
                               .eos = 2,
                               .unknown = 0,
                               .has_bos = true,
                               .bos = 1 };
    hand_add(hand, "<unk>", 0, ENX_TOKEN_UNKNOWN);
    hand_add(hand, "<s>", 0, ENX_TOKEN_CONTROL);
    hand_add(hand, "</s>", 0, ENX_TOKEN_CONTROL);
    for (unsigned byte = 0; byte < 256; byte++) {
        snprintf(hand->names[byte], sizeof hand->names[byte], "<0x%02X>", byte);
        hand_add(hand, hand->names[byte], 0, ENX_TOKEN_BYTE);
    }
}

static enx_tokenizer *open_hand(const hand_vocab *hand)
{
    enx_report     report = { 0 };
    enx_tokenizer *tokenizer = NULL;
    if (enx_tokenizer_open_vocab(&tokenizer, &hand->vocab, &report) != ENX_OK)
        fail_msg("%s", report.text);
    return tokenizer;
}

static void assert_ids(const enx_tokenizer *tokenizer, const char *text, bool parse_special,
                       const uint32_t *want, size_t count)
{
    enx_tokens tokens;
    enx_tokens_init(&tokens, 1000);
    assert_int_equal(
        enx_tokenizer_encode(tokenizer, text, strlen(text), parse_special, &tokens, NULL), ENX_OK);
    assert_int_equal(tokens.count, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(tokens.ids[i], want[i]);
    enx_tokens_deinit(&tokens);
}
#define ASSERT_IDS(tokenizer, text, parse_special, ...)                           \
    assert_ids(tokenizer, text, parse_special, (const uint32_t[]){ __VA_ARGS__ }, \
               sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void highest_score_goes_first_and_leftmost_of_equals(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    const uint32_t a = hand_add(&hand, "a", -9, ENX_TOKEN_NORMAL);
    const uint32_t ab = hand_add(&hand, "ab", -2, ENX_TOKEN_NORMAL);
    const uint32_t bc = hand_add(&hand, "bc", -1, ENX_TOKEN_NORMAL);
    const uint32_t aa = hand_add(&hand, "aa", -3, ENX_TOKEN_NORMAL);
    const uint32_t xy = hand_add(&hand, "xy", 2.5f, ENX_TOKEN_NORMAL);
    const uint32_t yz = hand_add(&hand, "yz", 2.5f, ENX_TOKEN_NORMAL);
    enx_tokenizer *tokenizer = open_hand(&hand);
    ASSERT_IDS(tokenizer, "abc", false, a, bc);
    ASSERT_IDS(tokenizer, "ab", false, ab);
    ASSERT_IDS(tokenizer, "aaa", false, aa, a);
    ASSERT_IDS(tokenizer, "aab", false, a, ab);
    ASSERT_IDS(tokenizer, "xyz", false, xy, FIRST_BYTE + 'z');
    ASSERT_IDS(tokenizer, "yzx", false, yz, FIRST_BYTE + 'x');
    enx_tokenizer_close(&tokenizer);
}

static void what_is_no_token_becomes_bytes(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    const uint32_t e = hand_add(&hand, "é", -1, ENX_TOKEN_NORMAL);
    enx_tokenizer *tokenizer = open_hand(&hand);
    ASSERT_IDS(tokenizer, "éq", false, e, FIRST_BYTE + 'q');
    ASSERT_IDS(tokenizer, "è", false, FIRST_BYTE + 0xC3, FIRST_BYTE + 0xA8);
    ASSERT_IDS(tokenizer, "\xC3", false, FIRST_BYTE + 0xC3);
    ASSERT_IDS(tokenizer, "\xA9\xFF", false, FIRST_BYTE + 0xA9, FIRST_BYTE + 0xFF);
    assert_int_equal(enx_tokenizer_bytes(tokenizer, FIRST_BYTE + 0xA9).size_bytes, 1);
    assert_memory_equal(enx_tokenizer_bytes(tokenizer, FIRST_BYTE + 0xA9).data, "\xA9", 1);
    enx_tokenizer_close(&tokenizer);
    for (unsigned byte = 0; byte < 256; byte++) hand.types[FIRST_BYTE + byte] = ENX_TOKEN_NORMAL;
    tokenizer = open_hand(&hand);
    ASSERT_IDS(tokenizer, "éq", false, e, 0);
    enx_tokenizer_close(&tokenizer);
}

static void spaces_are_marks_inside_and_spaces_outside(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    const uint32_t space = hand_add(&hand, "▁", -5, ENX_TOKEN_NORMAL);
    const uint32_t a = hand_add(&hand, "▁a", -1, ENX_TOKEN_NORMAL);
    enx_tokenizer *tokenizer = open_hand(&hand);
    assert_false(enx_tokenizer_has_space_prefix(tokenizer));
    ASSERT_IDS(tokenizer, " a  a", false, a, space, a);
    assert_int_equal(enx_tokenizer_bytes(tokenizer, a).size_bytes, 2);
    assert_memory_equal(enx_tokenizer_bytes(tokenizer, a).data, " a", 2);
    enx_tokenizer_close(&tokenizer);
    hand.vocab.has_space_prefix = true;
    tokenizer = open_hand(&hand);
    assert_true(enx_tokenizer_has_space_prefix(tokenizer));
    ASSERT_IDS(tokenizer, "a a", false, a, a);
    ASSERT_IDS(tokenizer, "a</s>a", true, a, 2, a);
    assert_ids(tokenizer, "", false, NULL, 0);
    enx_tokenizer_close(&tokenizer);
}

/* The beginning of text comes before a text that does not name it. */
static void begins_once(const enx_tokenizer *tokenizer)
{
    enx_tokens         out;
    const enx_gguf_str name = enx_tokenizer_bytes(tokenizer, 1);
    enx_tokens_init(&out, 1);
    assert_int_equal(enx_tokenizer_begin(tokenizer, name.data, name.size_bytes, &out), ENX_OK);
    assert_int_equal(out.count, 0);
    assert_int_equal(enx_tokenizer_begin(tokenizer, "", 0, &out), ENX_OK);
    assert_int_equal(out.count, 1);
    assert_int_equal(out.ids[0], 1);
    assert_int_equal(enx_tokenizer_begin(tokenizer, "a", 1, &out), ENX_LIMIT);
    enx_tokens_deinit(&out);
}

static void control_tokens_are_never_made_from_plain_text(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    const uint32_t open = hand_add(&hand, "<s", 5, ENX_TOKEN_NORMAL);
    const uint32_t run = hand_add(&hand, "  ", 0, ENX_TOKEN_ADDED);
    enx_tokenizer *tokenizer = open_hand(&hand);
    ASSERT_IDS(tokenizer, "<s>", false, open, FIRST_BYTE + '>');
    ASSERT_IDS(tokenizer, "<s>", true, 1);
    ASSERT_IDS(tokenizer, "<0x", false, FIRST_BYTE + '<', FIRST_BYTE + '0', FIRST_BYTE + 'x');
    ASSERT_IDS(tokenizer, "q  q", false, FIRST_BYTE + 'q', run, FIRST_BYTE + 'q');
    assert_true(enx_tokenizer_is_control(tokenizer, 0) && enx_tokenizer_is_control(tokenizer, 2));
    assert_true(enx_tokenizer_is_end(tokenizer, 2) && !enx_tokenizer_is_end(tokenizer, 1));
    assert_int_equal(enx_tokenizer_bos(tokenizer), 1);
    begins_once(tokenizer);
    enx_tokenizer_close(&tokenizer);
}

static void random_bytes_come_back_within_memory(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    hand_add(&hand, "▁", -5, ENX_TOKEN_NORMAL);
    hand_add(&hand, "aa", -1, ENX_TOKEN_NORMAL);
    hand_add(&hand, "aaaa", -2, ENX_TOKEN_NORMAL);
    hand_add(&hand, "▁▁", -1, ENX_TOKEN_NORMAL);
    hand_add(&hand, "é", -1, ENX_TOKEN_NORMAL);
    enx_tokenizer *tokenizer = open_hand(&hand);
    for (uint64_t seed = 0; seed < 400; seed++) {
        enx_rng      rng = enx_rng_open(seed, 9);
        enx_tokens   tokens;
        char         text[700];
        const size_t size = enx_rng_below(&rng, sizeof text);
        for (size_t i = 0; i < size; i++)
            text[i] = (char)(seed % 2 ? enx_rng_u64(&rng)
                                      : (uint8_t) "aa  \xC3\xA9"[enx_rng_below(&rng, 6)]);
        enx_tokens_init(&tokens, 1000);
        assert_int_equal(enx_tokenizer_encode(tokenizer, text, size, false, &tokens, NULL), ENX_OK);
        size_t at = 0;
        for (size_t i = 0; i < tokens.count; i++) {
            const enx_gguf_str bytes = enx_tokenizer_bytes(tokenizer, tokens.ids[i]);
            assert_true(bytes.size_bytes <= size - at);
            assert_memory_equal(text + at, bytes.data, bytes.size_bytes);
            at += bytes.size_bytes;
        }
        assert_int_equal(at, size);
        enx_tokens_deinit(&tokens);
    }
    enx_tokenizer_close(&tokenizer);
}

/* A megabyte of one letter: a quadratic way would not end within a test's time. */
static void endless_runs_are_encoded(void **state)
{
    (void)state;
    enum { COUNT = 1 << 20 };
    hand_vocab hand;
    hand_init(&hand);
    hand_add(&hand, "aa", -1, ENX_TOKEN_NORMAL);
    const uint32_t four = hand_add(&hand, "aaaa", -2, ENX_TOKEN_NORMAL);
    enx_tokenizer *tokenizer = open_hand(&hand);
    char          *text = ENX_MEM_NEW(char, COUNT);
    enx_tokens     tokens;
    memset(text, 'a', COUNT);
    enx_tokens_init(&tokens, COUNT);
    assert_int_equal(enx_tokenizer_encode(tokenizer, text, COUNT, false, &tokens, NULL), ENX_OK);
    assert_int_equal(tokens.count, COUNT / 4);
    for (size_t i = 0; i < tokens.count; i++) assert_int_equal(tokens.ids[i], four);
    tokens.count = 0;
    tokens.max_count = 5;
    assert_int_equal(enx_tokenizer_encode(tokenizer, text, COUNT, false, &tokens, NULL), ENX_LIMIT);
    assert_int_equal(tokens.count, 0);
    enx_tokens_deinit(&tokens);
    enx_mem_free(text);
    enx_tokenizer_close(&tokenizer);
}

static void bad_vocabularies_are_refused(void **state)
{
    (void)state;
    hand_vocab     hand;
    enx_report     report = { 0 };
    enx_tokenizer *tokenizer = NULL;
    hand_init(&hand);
    hand.scores[7] = NAN;
    assert_int_equal(enx_tokenizer_open_vocab(&tokenizer, &hand.vocab, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "the score of token 7"));
    hand_init(&hand);
    hand.types[FIRST_BYTE + 0x41] = ENX_TOKEN_NORMAL;
    hand.vocab.unknown = ENX_TOKEN_NONE;
    report = (enx_report){ 0 };
    assert_int_equal(enx_tokenizer_open_vocab(&tokenizer, &hand.vocab, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "the byte 0x41"));
    assert_null(tokenizer);
}

static void every_lack_of_memory_is_reported(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    hand_add(&hand, "aa", -1, ENX_TOKEN_NORMAL);
    enx_status status = ENX_NOMEM;
    for (int64_t after = 0; after < 100 && status != ENX_OK; after++) {
        enx_tokenizer *tokenizer = NULL;
        enx_tokens     tokens;
        enx_tokens_init(&tokens, 100);
        enx_mem_fail_after(after);
        status = enx_tokenizer_open_vocab(&tokenizer, &hand.vocab, NULL);
        if (status == ENX_OK)
            status = enx_tokenizer_encode(tokenizer, "aaa b", 5, false, &tokens, NULL);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK || (status == ENX_NOMEM && tokens.count == 0));
        enx_tokens_deinit(&tokens);
        enx_tokenizer_close(&tokenizer);
    }
    assert_int_equal(status, ENX_OK);
}

typedef struct file_recipe {
    bool     has_scores, has_types, has_prefix;
    uint32_t score_count;
} file_recipe;

static enx_status open_file(const file_recipe *recipe, enx_tokenizer **out, enx_report *report)
{
    hand_vocab       hand;
    enx_gguf_writer *writer = NULL;
    enx_gguf        *gguf = NULL;
    enx_buf          buf;
    int32_t          types[HAND_MAX];
    hand_init(&hand);
    hand_add(&hand, "▁", -1, ENX_TOKEN_NORMAL);
    hand_add(&hand, "<end_of_turn>", 0, ENX_TOKEN_CONTROL);
    for (uint32_t id = 0; id < hand.vocab.token_count; id++) types[id] = (int32_t)hand.types[id];
    assert_int_equal(enx_gguf_writer_open(&writer, NULL), ENX_OK);
    enx_gguf_add_str(writer, "tokenizer.ggml.model", "llama");
    enx_gguf_add_strs(writer, "tokenizer.ggml.tokens", hand.tokens, hand.vocab.token_count);
    if (recipe->has_types)
        enx_gguf_add_i32s(writer, "tokenizer.ggml.token_type", types, hand.vocab.token_count);
    if (recipe->has_scores)
        enx_gguf_add_f32s(writer, "tokenizer.ggml.scores", hand.scores, recipe->score_count);
    enx_gguf_add_u32(writer, "tokenizer.ggml.bos_token_id", 1);
    enx_gguf_add_u32(writer, "tokenizer.ggml.eos_token_id", 2);
    if (!recipe->has_prefix) enx_gguf_add_bool(writer, "tokenizer.ggml.add_space_prefix", false);
    enx_buf_init(&buf, 1 << 20);
    assert_int_equal(enx_gguf_writer_finish(writer, &buf, NULL), ENX_OK);
    enx_gguf_writer_close(&writer);
    assert_int_equal(enx_gguf_open(&gguf, buf.data, buf.size_bytes, NULL), ENX_OK);
    const enx_status status = enx_tokenizer_open(out, gguf, report);
    enx_gguf_close(&gguf);
    enx_buf_deinit(&buf);
    return status;
}

static void file_opens_with_the_defaults_of_its_kind(void **state)
{
    (void)state;
    file_recipe    recipe = { true, true, true, FIRST_TEXT + 2 };
    enx_tokenizer *tokenizer = NULL;
    enx_trie      *trie = NULL;
    assert_int_equal(open_file(&recipe, &tokenizer, NULL), ENX_OK);
    ASSERT_IDS(tokenizer, "q", false, FIRST_TEXT, FIRST_BYTE + 'q');
    assert_int_equal(enx_tokenizer_bos(tokenizer), 1);
    assert_true(enx_tokenizer_is_end(tokenizer, 2));
    assert_true(enx_tokenizer_is_end(tokenizer, FIRST_TEXT + 1));
    assert_int_equal(enx_trie_open(&trie, tokenizer, NULL), ENX_OK);
    enx_trie_close(&trie);
    enx_tokenizer_close(&tokenizer);
    recipe.has_prefix = false;
    assert_int_equal(open_file(&recipe, &tokenizer, NULL), ENX_OK);
    ASSERT_IDS(tokenizer, "q", false, FIRST_BYTE + 'q');
    enx_tokenizer_close(&tokenizer);
}

static void bad_files_are_refused_with_the_key(void **state)
{
    (void)state;
    file_recipe    recipe = { true, true, true, FIRST_TEXT };
    enx_report     report = { 0 };
    enx_tokenizer *tokenizer = NULL;
    assert_int_equal(open_file(&recipe, &tokenizer, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "tokenizer.ggml.scores is not an array of 261 f32"));
    recipe.has_types = false;
    recipe.score_count = FIRST_TEXT + 2;
    report = (enx_report){ 0 };
    assert_int_equal(open_file(&recipe, &tokenizer, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "nor an unknown token"));
    assert_null(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(highest_score_goes_first_and_leftmost_of_equals),
        cmocka_unit_test(what_is_no_token_becomes_bytes),
        cmocka_unit_test(spaces_are_marks_inside_and_spaces_outside),
        cmocka_unit_test(control_tokens_are_never_made_from_plain_text),
        cmocka_unit_test(random_bytes_come_back_within_memory),
        cmocka_unit_test(endless_runs_are_encoded),
        cmocka_unit_test(bad_vocabularies_are_refused),
        cmocka_unit_test(every_lack_of_memory_is_reported),
        cmocka_unit_test(file_opens_with_the_defaults_of_its_kind),
        cmocka_unit_test(bad_files_are_refused_with_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
