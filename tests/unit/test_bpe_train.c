/* SPDX-License-Identifier: Apache-2.0 */
/* test_bpe_train.c - what the vocabulary learner promises, against a slow and obvious one. */
#include "base/mem.h"
#include "base/rng.h"
#include "text/presplit.h"
#include "train/bpe_train.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const corpus[] = {
    "the cat sat on the mat, the other cat sat on the other mat\n",
    "A herdeira legítima é a filha do rei; o povo não aguenta.\n",
    "aaaa aaaaa aaaaaaa aaa aa a bbbb abababab ababab babab\n",
    "Über die größte Straße fährt der größte Überlandbus 12345 12345 2024\n",
    "  indented\n  indented more\n\n\n\ttabs\tand  spaces   \n",
    "<|end|> <|end|> <|end|> the names of control tokens are text here <|end|>\n",
    "日本語の文字と中文的字 日本語の文字 日本語 한국어 한국어\n",
    "\xFF\xFE\xFF\xFE\xFF\xFE broken \xC3\x28\xC3\x28 bytes \xE2\x82\xE2\x82",
};
enum { TEXT_COUNT = sizeof corpus / sizeof corpus[0] };

/* The second would be learnt, were it not a control token. */
static const char *const names[] = { "<|end|>", "abab" };

static enx_bpe_options options_for(uint32_t vocab_count)
{
    return (enx_bpe_options){ .pre = "qwen2",
                              .vocab_count = vocab_count,
                              .control_names = names,
                              .control_count = 2,
                              .eos = 0 };
}

static enx_bpe *learn(const enx_bpe_options *options, bool is_reversed)
{
    enx_report report = { 0 };
    enx_bpe   *bpe = NULL;
    if (enx_bpe_open(&bpe, options, &report) != ENX_OK) fail_msg("%s", report.text);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        const char *text = corpus[is_reversed ? TEXT_COUNT - 1 - i : i];
        assert_int_equal(enx_bpe_feed(bpe, text, strlen(text), &report), ENX_OK);
    }
    assert_int_equal(enx_bpe_run(bpe, &report), ENX_OK);
    return bpe;
}

/* ---- the slow and obvious learner: all pieces as lists of strings, all pairs counted anew ---- */

enum { SLOW_PIECES_MAX = 512, SLOW_MERGES_MAX = 512 };

typedef struct slow_piece {
    uint32_t ids[ENX_BPE_PIECE_BYTES_MAX];
    size_t   count;
} slow_piece;

typedef struct slow_learner {
    slow_piece pieces[SLOW_PIECES_MAX];
    size_t     piece_count;
    char       tokens[1024][64]; /* zero-terminated would not do: sizes are beside */
    size_t     sizes[1024];
    uint32_t   token_count;
    uint32_t   merges[SLOW_MERGES_MAX][2];
    uint32_t   merge_count;
} slow_learner;

static void slow_feed(slow_learner *slow, const char *text)
{
    enx_presplit       *split = NULL;
    enx_presplit_cursor cursor;
    size_t              first = 0, size = 0;
    assert_int_equal(enx_presplit_open(&split, "qwen2", 5, NULL), ENX_OK);
    assert_int_equal(enx_presplit_cursor_init(&cursor, split, text, strlen(text)), ENX_OK);
    while (enx_presplit_next(&cursor, &first, &size)) {
        assert_true(slow->piece_count < SLOW_PIECES_MAX);
        slow_piece *piece = &slow->pieces[slow->piece_count++];
        for (size_t i = 0; i < size; i++) piece->ids[i] = 2 + (uint8_t)text[first + i];
        piece->count = size;
    }
    enx_presplit_cursor_deinit(&cursor);
    enx_presplit_close(&split);
}

static size_t slow_count(const slow_learner *slow, uint32_t left, uint32_t right)
{
    size_t count = 0;
    for (size_t i = 0; i < slow->piece_count; i++)
        for (size_t j = 0; j + 1 < slow->pieces[i].count; j++)
            count += slow->pieces[i].ids[j] == left && slow->pieces[i].ids[j + 1] == right;
    return count;
}

/* The token with these bytes; the next id when it is new; UINT32_MAX for a control token's. */
static uint32_t slow_make(slow_learner *slow, uint32_t left, uint32_t right)
{
    char         joined[128];
    const size_t size = slow->sizes[left] + slow->sizes[right];
    memcpy(joined, slow->tokens[left], slow->sizes[left]);
    memcpy(joined + slow->sizes[left], slow->tokens[right], slow->sizes[right]);
    for (uint32_t id = 0; id < slow->token_count; id++)
        if (slow->sizes[id] == size && !memcmp(slow->tokens[id], joined, size))
            return id < 2 ? UINT32_MAX : id;
    assert_true(size <= sizeof slow->tokens[0]);
    memcpy(slow->tokens[slow->token_count], joined, size);
    slow->sizes[slow->token_count] = size;
    return slow->token_count++;
}

static void slow_merge(slow_learner *slow, uint32_t left, uint32_t right, uint32_t made)
{
    for (size_t i = 0; i < slow->piece_count; i++) {
        slow_piece *piece = &slow->pieces[i];
        size_t      kept = 0;
        for (size_t j = 0; j < piece->count; kept++) {
            const bool is_pair =
                j + 1 < piece->count && piece->ids[j] == left && piece->ids[j + 1] == right;
            piece->ids[kept] = is_pair ? made : piece->ids[j];
            j += is_pair ? 2 : 1;
        }
        piece->count = kept;
    }
}

static bool slow_step(slow_learner *slow)
{
    size_t   best = 0;
    uint32_t left = 0, right = 0;
    for (size_t i = 0; i < slow->piece_count; i++) {
        for (size_t j = 0; j + 1 < slow->pieces[i].count; j++) {
            const uint32_t a = slow->pieces[i].ids[j], b = slow->pieces[i].ids[j + 1];
            const size_t   count = slow_count(slow, a, b);
            if (count < best || (count == best && (a > left || (a == left && b >= right))))
                continue;
            const uint32_t known = slow->token_count;
            const uint32_t made = slow_make(slow, a, b);
            slow->token_count = known; /* only asked: is it barred? */
            if (made == UINT32_MAX) continue;
            best = count;
            left = a;
            right = b;
        }
    }
    if (best < 2) return false;
    slow->merges[slow->merge_count][0] = left;
    slow->merges[slow->merge_count++][1] = right;
    slow_merge(slow, left, right, slow_make(slow, left, right));
    return true;
}

static slow_learner *slow_learn(uint32_t vocab_count)
{
    slow_learner *slow = ENX_MEM_NEW(slow_learner, 1);
    for (; slow->token_count < 2; slow->token_count++) {
        slow->sizes[slow->token_count] = strlen(names[slow->token_count]);
        memcpy(slow->tokens[slow->token_count], names[slow->token_count],
               slow->sizes[slow->token_count]);
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        slow->tokens[slow->token_count][0] = (char)byte;
        slow->sizes[slow->token_count++] = 1;
    }
    for (size_t i = 0; i < TEXT_COUNT; i++) slow_feed(slow, corpus[i]);
    while (slow->token_count < vocab_count && slow_step(slow)) continue;
    return slow;
}

/* ---- tests ---- */

static void learner_gives_the_merges_of_the_slow_one(void **state)
{
    (void)state;
    const enx_bpe_options options = options_for(1000);
    slow_learner         *slow = slow_learn(1000);
    enx_bpe              *bpe = learn(&options, false);
    const enx_vocab      *vocab = enx_bpe_vocab(bpe);
    assert_true(vocab->merge_count > 60);
    assert_int_equal(vocab->merge_count, slow->merge_count);
    for (uint32_t i = 0; i < vocab->merge_count; i++) {
        assert_int_equal(vocab->merges[i][0], slow->merges[i][0]);
        assert_int_equal(vocab->merges[i][1], slow->merges[i][1]);
    }
    assert_int_equal(vocab->token_count, slow->token_count);
    for (uint32_t id = 0; id < vocab->token_count; id++) {
        assert_int_equal(vocab->tokens[id].size_bytes, slow->sizes[id]);
        assert_memory_equal(vocab->tokens[id].data, slow->tokens[id], slow->sizes[id]);
    }
    enx_bpe_close(&bpe);
    enx_mem_free(slow);
}

static void ids_are_control_tokens_then_bytes_then_merges(void **state)
{
    (void)state;
    const enx_bpe_options options = options_for(300);
    enx_bpe              *bpe = learn(&options, false);
    const enx_vocab      *vocab = enx_bpe_vocab(bpe);
    assert_int_equal(vocab->token_count, 300);
    assert_int_equal(vocab->eos, 0);
    assert_string_equal(vocab->pre, "qwen2");
    for (uint32_t id = 0; id < 300; id++) assert_int_equal(vocab->is_control[id], id < 2);
    for (uint32_t byte = 0; byte < 256; byte++) {
        assert_int_equal(vocab->tokens[2 + byte].size_bytes, 1);
        assert_int_equal((uint8_t)vocab->tokens[2 + byte].data[0], byte);
    }
    enx_bpe_close(&bpe);
}

static void same_texts_in_another_order_give_the_same_vocabulary(void **state)
{
    (void)state;
    const enx_bpe_options options = options_for(340);
    enx_bpe              *one = learn(&options, false), *two = learn(&options, true);
    const enx_vocab      *a = enx_bpe_vocab(one), *b = enx_bpe_vocab(two);
    assert_int_equal(a->merge_count, b->merge_count);
    assert_memory_equal(a->merges, b->merges, a->merge_count * sizeof *a->merges);
    enx_bpe_close(&one);
    enx_bpe_close(&two);
}

static bool has_learnt(const enx_vocab *vocab, const char *text)
{
    for (uint32_t id = 258; id < vocab->token_count; id++)
        if (vocab->tokens[id].size_bytes == strlen(text) &&
            !memcmp(vocab->tokens[id].data, text, strlen(text)))
            return true;
    return false;
}

static void token_that_is_a_control_name_is_never_learnt(void **state)
{
    (void)state;
    enx_bpe_options options = options_for(1000);
    enx_bpe        *bpe = learn(&options, false);
    assert_false(has_learnt(enx_bpe_vocab(bpe), "abab"));
    enx_bpe_close(&bpe);
    options.control_names = (const char *const[]){ "<|end|>", "<|pad|>" };
    bpe = learn(&options, false);
    assert_true(has_learnt(enx_bpe_vocab(bpe), "abab"));
    enx_bpe_close(&bpe);
}

static void tokens_stay_within_the_size_asked_for(void **state)
{
    (void)state;
    enx_bpe_options options = options_for(1000);
    options.token_bytes_max = 3;
    enx_bpe         *bpe = learn(&options, false);
    const enx_vocab *vocab = enx_bpe_vocab(bpe);
    assert_true(vocab->merge_count > 40);
    for (uint32_t id = 2; id < vocab->token_count; id++)
        assert_true(vocab->tokens[id].size_bytes <= 3);
    enx_bpe_close(&bpe);
}

static void learnt_vocabulary_opens_and_gives_texts_back(void **state)
{
    (void)state;
    const enx_bpe_options options = options_for(400);
    enx_bpe              *bpe = learn(&options, false);
    enx_tokenizer        *tokenizer = NULL;
    assert_int_equal(enx_tokenizer_open_vocab(&tokenizer, enx_bpe_vocab(bpe), NULL), ENX_OK);
    enx_bpe_close(&bpe); /* everything was copied */
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        enx_tokens tokens;
        size_t     at = 0;
        enx_tokens_init(&tokens, 1000);
        assert_int_equal(
            enx_tokenizer_encode(tokenizer, corpus[i], strlen(corpus[i]), false, &tokens, NULL),
            ENX_OK);
        assert_true(tokens.count < strlen(corpus[i]));
        for (size_t j = 0; j < tokens.count; j++) {
            const enx_gguf_str bytes = enx_tokenizer_bytes(tokenizer, tokens.ids[j]);
            assert_memory_equal(bytes.data, corpus[i] + at, bytes.size_bytes);
            at += bytes.size_bytes;
        }
        assert_int_equal(at, strlen(corpus[i]));
        enx_tokens_deinit(&tokens);
    }
    enx_tokenizer_close(&tokenizer);
}

static void text_without_pairs_gives_a_vocabulary_of_bytes(void **state)
{
    (void)state;
    const enx_bpe_options options = options_for(1000);
    enx_bpe              *bpe = NULL;
    assert_int_equal(enx_bpe_open(&bpe, &options, NULL), ENX_OK);
    assert_int_equal(enx_bpe_feed(bpe, "", 0, NULL), ENX_OK);
    assert_int_equal(enx_bpe_feed(bpe, "once", 4, NULL), ENX_OK);
    assert_int_equal(enx_bpe_run(bpe, NULL), ENX_OK);
    assert_int_equal(enx_bpe_vocab(bpe)->token_count, 258);
    assert_int_equal(enx_bpe_vocab(bpe)->merge_count, 0);
    enx_bpe_close(&bpe);
}

static void long_run_without_spaces_is_learnt_from_in_parts(void **state)
{
    (void)state;
    enum { RUN_BYTES = 300000 };
    const enx_bpe_options options = options_for(300);
    enx_bpe              *bpe = NULL;
    char                 *run = ENX_MEM_NEW(char, RUN_BYTES);
    enx_rng               rng = enx_rng_open(7, 0);
    for (size_t i = 0; i < RUN_BYTES; i++) run[i] = (char)('a' + enx_rng_below(&rng, 26));
    assert_int_equal(enx_bpe_open(&bpe, &options, NULL), ENX_OK);
    assert_int_equal(enx_bpe_feed(bpe, run, RUN_BYTES, NULL), ENX_OK);
    assert_int_equal(enx_bpe_run(bpe, NULL), ENX_OK);
    assert_int_equal(enx_bpe_vocab(bpe)->token_count, 300);
    enx_bpe_close(&bpe);
    enx_mem_free(run);
}

static void assert_open_refused(const enx_bpe_options *options, enx_status status, const char *part)
{
    enx_report report = { 0 };
    enx_bpe   *bpe = NULL;
    assert_int_equal(enx_bpe_open(&bpe, options, &report), status);
    assert_null(bpe);
    if (!strstr(report.text, part)) fail_msg("\"%s\" lacks \"%s\"", report.text, part);
}

static void bad_options_are_refused_with_what_is_wrong(void **state)
{
    (void)state;
    enx_bpe_options options = options_for(257);
    assert_open_refused(&options, ENX_INVALID, "it must have 258 to");
    options = options_for(ENX_VOCAB_MAX + 1);
    assert_open_refused(&options, ENX_INVALID, "it must have");
    options = options_for(300);
    options.eos = 2;
    assert_open_refused(&options, ENX_INVALID, "the end-of-text id is 2");
    options = options_for(300);
    options.pre = "nonesuch";
    assert_open_refused(&options, ENX_UNSUPPORTED, "\"nonesuch\"");
    options = options_for(300);
    options.token_bytes_max = ENX_TOKEN_BYTES_MAX + 1;
    assert_open_refused(&options, ENX_INVALID, "at most 1024");
    options = options_for(300);
    options.control_names = (const char *const[]){ "<a>", "<a>" };
    assert_open_refused(&options, ENX_INVALID, "two control tokens have the name \"<a>\"");
    options.control_names = (const char *const[]){ "<a>", "a b" };
    assert_open_refused(&options, ENX_INVALID, "\"a b\"");
    options.control_names = (const char *const[]){ "<a>", "x" };
    assert_open_refused(&options, ENX_INVALID, "\"x\"");
}

static void every_lack_of_memory_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    const enx_bpe_options options = options_for(320);
    bool                  is_done = false;
    for (long calls = 0; !is_done; calls++) {
        enx_bpe   *bpe = NULL;
        enx_report report = { 0 };
        enx_mem_fail_after(calls);
        enx_status status = enx_bpe_open(&bpe, &options, &report);
        for (size_t i = 0; i < TEXT_COUNT && status == ENX_OK; i++)
            status = enx_bpe_feed(bpe, corpus[i], strlen(corpus[i]), &report);
        if (status == ENX_OK) status = enx_bpe_run(bpe, &report);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK || status == ENX_NOMEM);
        /* PCRE2 goes on without its machine code, so one success may come early. */
        is_done = status == ENX_OK && calls > 400;
        if (status == ENX_NOMEM) assert_int_equal(report.status, ENX_NOMEM);
        enx_bpe_close(&bpe);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learner_gives_the_merges_of_the_slow_one),
        cmocka_unit_test(ids_are_control_tokens_then_bytes_then_merges),
        cmocka_unit_test(same_texts_in_another_order_give_the_same_vocabulary),
        cmocka_unit_test(token_that_is_a_control_name_is_never_learnt),
        cmocka_unit_test(tokens_stay_within_the_size_asked_for),
        cmocka_unit_test(learnt_vocabulary_opens_and_gives_texts_back),
        cmocka_unit_test(text_without_pairs_gives_a_vocabulary_of_bytes),
        cmocka_unit_test(long_run_without_spaces_is_learnt_from_in_parts),
        cmocka_unit_test(bad_options_are_refused_with_what_is_wrong),
        cmocka_unit_test(every_lack_of_memory_is_reported_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
