/* SPDX-License-Identifier: Apache-2.0 */
/* test_tokenizer.c - any bytes come back, merges are those of the obvious algorithm, and bad
 * vocabularies and files are refused with the place. */
#include "base/mem.h"
#include "base/rng.h"
#include "gguf/gguf_write.h"
#include "text/presplit.h"
#include "text/tokenizer.h"
#include "text/vocab_gguf.h"
#include "train/bpe_train.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char lesson[] =
    "Por quanto tempo o povo deve aguentar o seu reinado? Dê o trono para a sua filha. Ela é a "
    "herdeira legítima. The people of the kingdom gave the throne to the daughter, and the "
    "daughter's people were the people's daughters: 1234567890 12345 2024-11-23.\n"
    "Die größte Straße; čeština má háčky a čárky; tiếng Việt có dấu thanh; l'été à la forêt.\n"
    "    indented    code    with    spaces\n\n\n\tand\ttabs ======== -------- ........ "
    "aaaaaaaaaaaa\n"
    "日本語の文字 中文的字 한국어 글자 ру́сский язык العربية עברית हिन्दी ไทย 👩\u200D👩\u200D👧\u200D👦 "
    "🇧🇷🇵🇹 "
    "👍🏽\n";

static const char *const names[] = { "<|end|>", "<|im_start|>", "<|im_end|>", "<|im_", "the" };
enum { NAME_COUNT = sizeof names / sizeof names[0] };

static enx_bpe *learn(const char *pre)
{
    enx_report            report = { 0 };
    enx_bpe              *bpe = NULL;
    const enx_bpe_options options = {
        .pre = pre, .vocab_count = 700, .control_names = names, .control_count = NAME_COUNT
    };
    if (enx_bpe_open(&bpe, &options, &report) != ENX_OK) fail_msg("%s", report.text);
    for (int i = 0; i < 2; i++)
        assert_int_equal(enx_bpe_feed(bpe, lesson, strlen(lesson), &report), ENX_OK);
    assert_int_equal(enx_bpe_run(bpe, &report), ENX_OK);
    return bpe;
}

static enx_tokenizer *open_vocab(const enx_vocab *vocab)
{
    enx_report     report = { 0 };
    enx_tokenizer *tokenizer = NULL;
    if (enx_tokenizer_open_vocab(&tokenizer, vocab, &report) != ENX_OK) fail_msg("%s", report.text);
    return tokenizer;
}

static enx_tokenizer *open_learnt(const char *pre)
{
    enx_bpe       *bpe = learn(pre);
    enx_tokenizer *tokenizer = open_vocab(enx_bpe_vocab(bpe));
    enx_bpe_close(&bpe);
    return tokenizer;
}

static void encode(const enx_tokenizer *tokenizer, const char *text, size_t size_bytes,
                   bool parse_special, enx_tokens *out)
{
    enx_report report = { 0 };
    enx_tokens_init(out, SIZE_MAX / 8);
    if (enx_tokenizer_encode(tokenizer, text, size_bytes, parse_special, out, &report) != ENX_OK)
        fail_msg("%s", report.text);
}

static void assert_round_trip(const enx_tokenizer *tokenizer, const char *text, size_t size_bytes)
{
    for (int parse_special = 0; parse_special < 2; parse_special++) {
        enx_tokens tokens;
        size_t     at = 0;
        encode(tokenizer, text, size_bytes, parse_special, &tokens);
        for (size_t i = 0; i < tokens.count; i++) {
            const enx_gguf_str bytes = enx_tokenizer_bytes(tokenizer, tokens.ids[i]);
            assert_true(bytes.size_bytes <= size_bytes - at);
            assert_memory_equal(text + at, bytes.data, bytes.size_bytes);
            assert_true(parse_special || !enx_tokenizer_is_control(tokenizer, tokens.ids[i]));
            at += bytes.size_bytes;
        }
        assert_int_equal(at, size_bytes);
        enx_tokens_deinit(&tokens);
    }
}

static const char *const pres[] = { "qwen2", "gpt-2", "llama-bpe" };

/* ---- any bytes come back ---- */

static void hard_strings_come_back(void **state)
{
    (void)state;
    static const char *const hard[] = {
        "",
        "a",
        " ",
        "\n",
        "\r\n\r\n",
        "\t \t \t",
        "                                        x",
        "ÀÉÎÕÜ àéîõü çñ ß ø å æ œ þ ð",
        "Tiếng Việt: Ấ Ầ Ẩ Ẫ Ậ ắ ằ ẳ ẵ ặ",
        "ěščřžýáíéúůďťň",
        "Ελληνικά, русский, українська, български",
        "עברית עִם נִקּוּד",
        "العَرَبِيَّة فارسی اردو",
        "हिन्दी বাংলা ਪੰਜਾਬੀ ગુજરાતી தமிழ் తెలుగు ಕನ್ನಡ മലയാളം සිංහල",
        "ไทย ລາວ မြန်မာ ខ្មែរ བོད་ཡིག",
        "日本語、中文。한국어！ 𠜎𠜱𠝹 ㍿ ｶﾀｶﾅ",
        "ქართული հայերեն አማርኛ ᏣᎳᎩ ᠮᠣᠩᠭᠣᠯ",
        "𝕳𝖊𝖑𝖑𝖔 Ⅷ ½ ٣٤٥ ৪৫ 一二三 ①②",
        "👩\u200D👩\u200D👧\u200D👦 👨🏿\u200D🚀 🏳\uFE0F\u200D🌈 "
        "🇧🇷🇵🇹 "
        "1\uFE0F⃣ "
        "☕\uFE0F "
        "🫠",
        "Z\u0351\u036B\u0343A\u0334\u0335\u031C L\u0320\u0368 G\u0334\u033B O\u0328!",
        "\uFEFFmark\uFFFD",
        "3.14159265358979323846264338327950288419716939937510",
        "0xDEADBEEF 1e-10 1,000,000 ½ 2²",
        "\xFF",
        "\xC3",
        "\xE2\x82",
        "\xF0\x9F\x98",
        "\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80",
        "\x80\x81 \xFE\xFF",
        "I'LL'S 'tis don't rock'n'roll '''",
        "<|end|><|im_start|>user<|im_end|> the",
        "\u2028\u2029\xC2\x85\u00A0\u3000",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t p = 0; p < 3; p++) {
        enx_tokenizer *tokenizer = open_learnt(pres[p]);
        for (size_t i = 0; i < sizeof hard / sizeof hard[0]; i++)
            assert_round_trip(tokenizer, hard[i], strlen(hard[i]));
        assert_round_trip(tokenizer, "a\0b\0\0 \0c", 9);
        assert_round_trip(tokenizer, lesson, strlen(lesson));
        enx_tokenizer_close(&tokenizer);
    }
}

static size_t draw_bytes(enx_rng *rng, char *out, size_t size_max)
{
    const size_t   size = enx_rng_below(rng, size_max + 1);
    const uint64_t kind = enx_rng_below(rng, 3);
    for (size_t i = 0; i < size;) {
        if (kind == 0) {
            out[i++] = (char)enx_rng_u64(rng);
        } else if (kind == 1) {
            out[i++] = " \n\r\tae1.'\xC3\xA9\xE2"[enx_rng_below(rng, 12)];
        } else { /* a part of the lesson, from anywhere to anywhere */
            const size_t from = enx_rng_below(rng, sizeof lesson - 1);
            for (size_t j = from; j < from + 9 && j < sizeof lesson - 1 && i < size; j++)
                out[i++] = lesson[j];
        }
    }
    return size;
}

static void random_bytes_come_back(void **state)
{
    (void)state;
    enx_tokenizer *tokenizer = open_learnt("qwen2");
    for (uint64_t seed = 0; seed < 2000; seed++) {
        char         text[400];
        enx_rng      rng = enx_rng_open(seed, 1);
        const size_t size = draw_bytes(&rng, text, sizeof text);
        assert_round_trip(tokenizer, text, size);
    }
    enx_tokenizer_close(&tokenizer);
}

static void endless_line_comes_back(void **state)
{
    (void)state;
    enum { LINE_BYTES = 3 << 20 };
    enx_tokenizer *tokenizer = open_learnt("qwen2");
    char          *line = ENX_MEM_NEW(char, LINE_BYTES);
    enx_rng        rng = enx_rng_open(5, 0);
    for (size_t i = 0; i < LINE_BYTES; i++) line[i] = (char)('a' + enx_rng_below(&rng, 26));
    assert_round_trip(tokenizer, line, LINE_BYTES);
    enx_mem_free(line);
    enx_tokenizer_close(&tokenizer);
}

/* ---- the obvious algorithm: look at all merges for all neighbours, each time ---- */

static size_t merge_slowly(const enx_tokenizer *tokenizer, const enx_vocab *vocab, uint32_t *ids,
                           size_t count)
{
    for (;;) {
        uint32_t best = vocab->merge_count;
        size_t   place = 0;
        for (size_t i = 0; i + 1 < count; i++)
            for (uint32_t rank = 0; rank < best; rank++)
                if (vocab->merges[rank][0] == ids[i] && vocab->merges[rank][1] == ids[i + 1]) {
                    best = rank;
                    place = i;
                }
        if (best == vocab->merge_count) return count;
        char               joined[2 * ENX_TOKEN_BYTES_MAX];
        const enx_gguf_str left = vocab->tokens[ids[place]], right = vocab->tokens[ids[place + 1]];
        memcpy(joined, left.data, left.size_bytes);
        memcpy(joined + left.size_bytes, right.data, right.size_bytes);
        ids[place] = enx_tokenizer_find(tokenizer, joined, left.size_bytes + right.size_bytes);
        memmove(ids + place + 1, ids + place + 2, (count - place - 2) * sizeof *ids);
        count--;
    }
}

static void assert_like_slow(const enx_tokenizer *tokenizer, const enx_vocab *vocab,
                             const char *text, size_t size_bytes)
{
    enx_tokens          tokens;
    enx_presplit       *split = NULL;
    enx_presplit_cursor cursor;
    size_t              first = 0, size = 0, at = 0;
    encode(tokenizer, text, size_bytes, false, &tokens);
    assert_int_equal(enx_presplit_open(&split, vocab->pre, strlen(vocab->pre), NULL), ENX_OK);
    assert_int_equal(enx_presplit_cursor_init(&cursor, split, text, size_bytes), ENX_OK);
    while (enx_presplit_next(&cursor, &first, &size)) {
        uint32_t ids[2048];
        assert_true(size <= 2048);
        for (size_t i = 0; i < size; i++)
            ids[i] = enx_tokenizer_find(tokenizer, text + first + i, 1);
        const size_t count = merge_slowly(tokenizer, vocab, ids, size);
        assert_true(count <= tokens.count - at);
        assert_memory_equal(ids, tokens.ids + at, count * sizeof *ids);
        at += count;
    }
    assert_int_equal(at, tokens.count);
    enx_presplit_cursor_deinit(&cursor);
    enx_presplit_close(&split);
    enx_tokens_deinit(&tokens);
}

static void encoding_is_that_of_the_slow_algorithm(void **state)
{
    (void)state;
    for (size_t p = 0; p < 2; p++) {
        enx_bpe         *bpe = learn(pres[p]);
        const enx_vocab *vocab = enx_bpe_vocab(bpe);
        enx_tokenizer   *tokenizer = open_vocab(vocab);
        assert_like_slow(tokenizer, vocab, lesson, strlen(lesson));
        for (uint64_t seed = 0; seed < 150; seed++) {
            char         text[500];
            enx_rng      rng = enx_rng_open(seed, 2);
            const size_t size = draw_bytes(&rng, text, sizeof text);
            assert_like_slow(tokenizer, vocab, text, size);
            /* One long piece out of the same bytes: the way with the heap. */
            for (size_t i = 0; i < size; i++) text[i] = (char)('a' + (uint8_t)text[i] % 26);
            assert_like_slow(tokenizer, vocab, text, size);
        }
        enx_tokenizer_close(&tokenizer);
        enx_bpe_close(&bpe);
    }
}

/* ---- vocabularies by hand ---- */

enum { HAND_TOKENS_MAX = 300, HAND_MERGES_MAX = 16 };

typedef struct hand_vocab {
    enx_gguf_str tokens[HAND_TOKENS_MAX];
    bool         is_control[HAND_TOKENS_MAX], is_added[HAND_TOKENS_MAX];
    uint32_t     merges[HAND_MERGES_MAX][2];
    enx_vocab    vocab;
} hand_vocab;

static char all_bytes[256];

/* 256 bytes with their values as ids; more is added to it. */
static void hand_init(hand_vocab *hand)
{
    *hand = (hand_vocab){ .vocab = { .pre = "qwen2", .eos = ENX_TOKEN_NONE, .token_count = 256 } };
    for (unsigned i = 0; i < 256; i++) {
        all_bytes[i] = (char)i;
        hand->tokens[i] = (enx_gguf_str){ .data = &all_bytes[i], .size_bytes = 1 };
    }
    hand->vocab.tokens = hand->tokens;
    hand->vocab.is_control = hand->is_control;
    hand->vocab.is_added = hand->is_added;
    hand->vocab.merges = (const uint32_t(*)[2])hand->merges;
}

static uint32_t hand_token(hand_vocab *hand, const char *text)
{
    hand->tokens[hand->vocab.token_count] =
        (enx_gguf_str){ .data = text, .size_bytes = strlen(text) };
    return hand->vocab.token_count++;
}

static void hand_merge(hand_vocab *hand, uint32_t left, uint32_t right)
{
    hand->merges[hand->vocab.merge_count][0] = left;
    hand->merges[hand->vocab.merge_count++][1] = right;
}

static void assert_ids(const enx_tokenizer *tokenizer, const char *text, bool parse_special,
                       const uint32_t *want, size_t count)
{
    enx_tokens tokens;
    encode(tokenizer, text, strlen(text), parse_special, &tokens);
    assert_int_equal(tokens.count, count);
    assert_memory_equal(tokens.ids, want, count * sizeof *want);
    enx_tokens_deinit(&tokens);
}
#define ASSERT_IDS(tokenizer, text, special, ...)                                 \
    assert_ids((tokenizer), (text), (special), (const uint32_t[]){ __VA_ARGS__ }, \
               sizeof(const uint32_t[]){ __VA_ARGS__ } / sizeof(uint32_t))

static void lowest_rank_goes_first_and_leftmost_of_equals(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    const uint32_t bc = hand_token(&hand, "bc"), ab = hand_token(&hand, "ab");
    const uint32_t aa = hand_token(&hand, "aa"), aaaa = hand_token(&hand, "aaaa");
    hand_merge(&hand, 'b', 'c');
    hand_merge(&hand, 'a', 'b');
    hand_merge(&hand, 'a', 'a');
    hand_merge(&hand, aa, aa);
    enx_tokenizer *tokenizer = open_vocab(&hand.vocab);
    ASSERT_IDS(tokenizer, "abc", false, 'a', bc);
    ASSERT_IDS(tokenizer, "abd", false, ab, 'd');
    ASSERT_IDS(tokenizer, "aaa", false, aa, 'a');
    ASSERT_IDS(tokenizer, "aaaaaaa", false, aaaa, aa, 'a');
    enx_tokenizer_close(&tokenizer);
}

/* "abc" is a token, but no merges lead to it: the expression's shortcut must not take it. */
static void token_out_of_reach_is_made_only_where_the_pattern_ignores_merges(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    const uint32_t abc = hand_token(&hand, "abc"), bc = hand_token(&hand, "bc");
    hand_merge(&hand, 'b', 'c');
    enx_tokenizer *tokenizer = open_vocab(&hand.vocab);
    ASSERT_IDS(tokenizer, "abc", false, 'a', bc);
    enx_tokenizer_close(&tokenizer);
    hand.vocab.pre = "llama-bpe";
    tokenizer = open_vocab(&hand.vocab);
    ASSERT_IDS(tokenizer, "abc", false, abc);
    enx_tokenizer_close(&tokenizer);
}

static void lowest_id_stands_for_tokens_with_the_same_bytes(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    const uint32_t first = hand_token(&hand, "ab"), second = hand_token(&hand, "ab");
    hand_merge(&hand, 'a', 'b');
    hand_merge(&hand, 'a', 'b');
    enx_tokenizer *tokenizer = open_vocab(&hand.vocab);
    ASSERT_IDS(tokenizer, "ab", false, first);
    assert_int_equal(enx_tokenizer_find(tokenizer, "ab", 2), first);
    assert_memory_equal(enx_tokenizer_bytes(tokenizer, second).data, "ab", 2);
    enx_tokenizer_close(&tokenizer);
}

static void names_become_ids_only_when_asked_longest_first(void **state)
{
    (void)state;
    hand_vocab hand;
    hand_init(&hand);
    const uint32_t part = hand_token(&hand, "<|im"), whole = hand_token(&hand, "<|im_end|>");
    const uint32_t added = hand_token(&hand, "<think>");
    hand.is_control[part] = hand.is_control[whole] = hand.is_added[added] = true;
    hand.vocab.eos = whole;
    hand.vocab.has_bos = true;
    hand.vocab.bos = part;
    enx_tokenizer *tokenizer = open_vocab(&hand.vocab);
    ASSERT_IDS(tokenizer, "<|im_end|>", true, whole);
    ASSERT_IDS(tokenizer, "a<|im_end|><|im_en<think>", true, 'a', whole, part, '_', 'e', 'n',
               added);
    ASSERT_IDS(tokenizer, "<|im", false, '<', '|', 'i', 'm');
    ASSERT_IDS(tokenizer, "<|im<think>", false, '<', '|', 'i', 'm', added); /* in every text */
    ASSERT_IDS(tokenizer, "<|i", true, '<', '|', 'i');
    assert_true(enx_tokenizer_is_control(tokenizer, whole));
    assert_false(enx_tokenizer_is_control(tokenizer, added));
    assert_false(enx_tokenizer_is_control(tokenizer, 'a'));
    assert_int_equal(enx_tokenizer_eos(tokenizer), whole);
    assert_int_equal(enx_tokenizer_bos(tokenizer), part);
    assert_int_equal(enx_tokenizer_count(tokenizer), 259);
    assert_int_equal(enx_tokenizer_find(tokenizer, "<|im_end|>", 10), whole);
    assert_int_equal(enx_tokenizer_find(tokenizer, "<think>", 7), added);
    assert_int_equal(enx_tokenizer_find(tokenizer, "<|im_en", 7), ENX_TOKEN_NONE);
    assert_int_equal(enx_tokenizer_find(tokenizer, "", 0), ENX_TOKEN_NONE);
    assert_int_equal(enx_tokenizer_find(tokenizer, lesson, sizeof lesson), ENX_TOKEN_NONE);
    enx_tokenizer_close(&tokenizer);
    enx_tokenizer_close(&tokenizer); /* accepts what is closed */
}

static void names_at_literals_stay_text(void **state)
{
    (void)state;
    static const char text[] = "<|im_end|>a<|im_end|><think><|im_end|>";
    hand_vocab        hand;
    enx_tokens        tokens;
    hand_init(&hand);
    const uint32_t end = hand_token(&hand, "<|im_end|>"), part = hand_token(&hand, "im_");
    const uint32_t added = hand_token(&hand, "<think>"), ab = hand_token(&hand, "|>");
    hand.is_control[end] = hand.is_control[part] = hand.is_added[added] = true;
    hand_merge(&hand, '|', '>');
    enx_tokenizer     *tokenizer = open_vocab(&hand.vocab);
    /* both names of the middle: the whole, and the one inside */
    const size_t       at[] = { 3, 11, 13, 21 };
    const enx_literals literals = { at, 4 };
    const uint32_t want[] = { end, 'a', '<', '|', 'i', 'm', '_', 'e', 'n', 'd', ab, added, end };
    enx_tokens_init(&tokens, 64);
    assert_int_equal(
        enx_tokenizer_encode_except(tokenizer, text, sizeof text - 1, &literals, &tokens, NULL),
        ENX_OK);
    assert_int_equal(tokens.count, sizeof want / sizeof *want);
    assert_memory_equal(tokens.ids, want, sizeof want);
    enx_tokens_deinit(&tokens);

    const size_t found[] = { 0, 2, 11, 13, 28, 30 };
    size_t       from = 0;
    for (size_t i = 0; i < sizeof found / sizeof *found; i++, from++) {
        from = enx_tokenizer_find_control(tokenizer, text, sizeof text - 1, from);
        assert_int_equal(from, found[i]);
    }
    assert_int_equal(enx_tokenizer_find_control(tokenizer, text, sizeof text - 1, from),
                     sizeof text - 1);
    enx_tokenizer_close(&tokenizer);
}

static void full_list_is_a_limit_and_leaves_the_list_as_it_was(void **state)
{
    (void)state;
    enx_tokenizer *tokenizer = open_learnt("qwen2");
    enx_tokens     tokens;
    enx_report     report = { 0 };
    enx_tokens_init(&tokens, 5);
    assert_int_equal(enx_tokens_push(&tokens, 77), ENX_OK);
    assert_int_equal(enx_tokenizer_encode(tokenizer, lesson, 200, false, &tokens, &report),
                     ENX_LIMIT);
    assert_non_null(strstr(report.text, "more than the 4 tokens"));
    assert_int_equal(tokens.count, 1);
    assert_int_equal(tokens.ids[0], 77);
    assert_int_equal(enx_tokenizer_encode(tokenizer, "a b", 3, false, &tokens, NULL), ENX_OK);
    while (tokens.count < 5) assert_int_equal(enx_tokens_push(&tokens, 1), ENX_OK);
    assert_int_equal(enx_tokens_push(&tokens, 1), ENX_LIMIT);
    enx_tokens_deinit(&tokens);
    enx_tokenizer_close(&tokenizer);
}

/* ---- refusals ---- */

static void assert_refused(const hand_vocab *hand, enx_status status, const char *part)
{
    enx_report     report = { 0 };
    enx_tokenizer *tokenizer = NULL;
    assert_int_equal(enx_tokenizer_open_vocab(&tokenizer, &hand->vocab, &report), status);
    assert_null(tokenizer);
    if (!strstr(report.text, part)) fail_msg("\"%s\" lacks \"%s\"", report.text, part);
}

static void bad_vocabularies_are_refused_with_the_place(void **state)
{
    (void)state;
    static char long_token[ENX_TOKEN_BYTES_MAX + 2];
    hand_vocab  hand;
    memset(long_token, 'x', sizeof long_token - 1);
    hand_init(&hand);
    hand.vocab.token_count = 0;
    assert_refused(&hand, ENX_FORMAT, "no tokens");
    hand_init(&hand);
    hand.tokens['q'] = hand.tokens['p'];
    assert_refused(&hand, ENX_FORMAT, "byte 0x71");
    hand_init(&hand);
    hand.is_control[0] = true; /* a name is not a byte */
    assert_refused(&hand, ENX_FORMAT, "byte 0x00");
    hand_init(&hand);
    hand_token(&hand, "");
    assert_refused(&hand, ENX_FORMAT, "token 256 is empty");
    hand_init(&hand);
    hand_token(&hand, long_token);
    assert_refused(&hand, ENX_LIMIT, "token 256 has 1025 bytes");
    hand_init(&hand);
    hand.vocab.eos = 256;
    assert_refused(&hand, ENX_FORMAT, "end-of-text id is 256");
    hand_init(&hand);
    hand.vocab.has_bos = true;
    hand.vocab.bos = 900;
    assert_refused(&hand, ENX_FORMAT, "start-of-text id is 900");
    hand_init(&hand);
    hand_merge(&hand, 'a', 256);
    assert_refused(&hand, ENX_FORMAT, "merge 0 joins tokens 97 and 256");
    hand_init(&hand);
    hand_merge(&hand, 'a', 'b');
    assert_refused(&hand, ENX_FORMAT, "no token has their bytes");
    hand_init(&hand);
    hand.is_control[hand_token(&hand, "ab")] = true;
    hand_merge(&hand, 'a', 'b');
    assert_refused(&hand, ENX_FORMAT, "no token has their bytes");
    hand_init(&hand);
    hand.is_control[hand_token(&hand, "<s>")] = true;
    hand_merge(&hand, 'a', 256);
    assert_refused(&hand, ENX_FORMAT, "one is a control token");
    hand_init(&hand);
    hand.vocab.pre = "gpt-4";
    assert_refused(&hand, ENX_UNSUPPORTED, "\"gpt-4\" is not known; those that work: qwen2");
    hand_init(&hand);
    hand.vocab.token_count = ENX_VOCAB_MAX + 1;
    assert_refused(&hand, ENX_LIMIT, "at most 1048576");
}

static void every_lack_of_memory_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    enx_bpe *bpe = learn("qwen2");
    char     line[200];
    memset(line, 'e', sizeof line); /* takes the way with the heap */
    for (long calls = 0; calls < 40; calls++) {
        enx_tokenizer *tokenizer = NULL;
        enx_tokens     tokens;
        enx_report     report = { 0 };
        enx_tokens_init(&tokens, 1000);
        enx_mem_fail_after(calls);
        enx_status status = enx_tokenizer_open_vocab(&tokenizer, enx_bpe_vocab(bpe), &report);
        if (status == ENX_OK)
            status = enx_tokenizer_encode(tokenizer, line, sizeof line, false, &tokens, &report);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK || (status == ENX_NOMEM && report.status == ENX_NOMEM));
        if (status != ENX_OK) assert_int_equal(tokens.count, 0);
        enx_tokens_deinit(&tokens);
        enx_tokenizer_close(&tokenizer);
    }
    enx_bpe_close(&bpe);
}

/* ---- files ---- */

typedef struct vocab_file {
    enx_buf   buf;
    enx_gguf *gguf;
} vocab_file;

static void file_from_vocab(vocab_file *file, const enx_vocab *vocab)
{
    enx_gguf_writer *writer = NULL;
    enx_report       report = { 0 };
    enx_buf_init(&file->buf, 64 << 20);
    assert_int_equal(enx_gguf_writer_open(&writer, &report), ENX_OK);
    assert_int_equal(enx_vocab_write(writer, vocab, &report), ENX_OK);
    if (enx_gguf_writer_finish(writer, &file->buf, &report) != ENX_OK) fail_msg("%s", report.text);
    enx_gguf_writer_close(&writer);
    assert_int_equal(enx_gguf_open(&file->gguf, file->buf.data, file->buf.size_bytes, NULL),
                     ENX_OK);
}

static void file_deinit(vocab_file *file)
{
    enx_gguf_close(&file->gguf);
    enx_buf_deinit(&file->buf);
}

static void vocabulary_comes_back_from_a_file(void **state)
{
    (void)state;
    for (size_t p = 0; p < 3; p++) {
        enx_bpe         *bpe = learn(pres[p]);
        const enx_vocab *vocab = enx_bpe_vocab(bpe);
        enx_tokenizer   *direct = open_vocab(vocab), *read = NULL;
        enx_report       report = { 0 };
        enx_tokens       a, b;
        vocab_file       file = { .gguf = NULL };
        file_from_vocab(&file, vocab);
        if (enx_tokenizer_open(&read, file.gguf, &report) != ENX_OK) fail_msg("%s", report.text);
        file_deinit(&file);
        assert_int_equal(enx_tokenizer_count(read), vocab->token_count);
        assert_int_equal(enx_tokenizer_eos(read), 0);
        assert_int_equal(enx_tokenizer_bos(read), ENX_TOKEN_NONE); /* add_bos_token is false */
        for (uint32_t id = 0; id < vocab->token_count; id++) {
            const enx_gguf_str got = enx_tokenizer_bytes(read, id);
            assert_int_equal(got.size_bytes, vocab->tokens[id].size_bytes);
            assert_memory_equal(got.data, vocab->tokens[id].data, got.size_bytes);
            assert_int_equal(enx_tokenizer_is_control(read, id), id < NAME_COUNT);
        }
        encode(direct, lesson, strlen(lesson), true, &a);
        encode(read, lesson, strlen(lesson), true, &b);
        assert_int_equal(a.count, b.count);
        assert_memory_equal(a.ids, b.ids, a.count * sizeof *a.ids);
        enx_tokens_deinit(&a);
        enx_tokens_deinit(&b);
        enx_tokenizer_close(&direct);
        enx_tokenizer_close(&read);
        enx_bpe_close(&bpe);
    }
}

static void added_tokens_and_start_survive_a_file(void **state)
{
    (void)state;
    hand_vocab     hand;
    vocab_file     file = { .gguf = NULL };
    enx_tokenizer *read = NULL;
    hand_init(&hand);
    const uint32_t added = hand_token(&hand, "<think> é"), start = hand_token(&hand, "<s>");
    hand.is_added[added] = hand.is_control[start] = true;
    hand.vocab.has_bos = true;
    hand.vocab.bos = start;
    file_from_vocab(&file, &hand.vocab);
    assert_int_equal(enx_tokenizer_open(&read, file.gguf, NULL), ENX_OK);
    file_deinit(&file);
    ASSERT_IDS(read, "<think> é<s>", true, added, start);
    assert_false(enx_tokenizer_is_control(read, added));
    assert_int_equal(enx_tokenizer_bos(read), start);
    assert_int_equal(enx_tokenizer_eos(read), ENX_TOKEN_NONE);
    enx_tokenizer_close(&read);
}

static void merges_that_name_no_token_are_not_written(void **state)
{
    (void)state;
    hand_vocab       hand;
    enx_gguf_writer *writer = NULL;
    enx_report       report = { 0 };
    hand_init(&hand);
    hand_merge(&hand, 1, 256);
    assert_int_equal(enx_gguf_writer_open(&writer, NULL), ENX_OK);
    assert_int_equal(enx_vocab_write(writer, &hand.vocab, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "merge 0 joins tokens 1 and 256"));
    enx_gguf_writer_close(&writer);
}

/* A file as its maker meant it, but for one thing. */
typedef struct file_recipe {
    const char *model, *pre;             /* NULL: left out */
    const char *merge;                   /* NULL: left out */
    uint32_t    token_count, type_count; /* of 257: 256 bytes in the alphabet, and "ab" */
    int32_t     last_type;
    uint32_t    eos;
    bool        is_merges_number;
} file_recipe;

static const file_recipe good_recipe = { .model = "gpt2",
                                         .pre = "qwen2",
                                         .merge = "a b",
                                         .token_count = 257,
                                         .type_count = 257,
                                         .last_type = 1,
                                         .eos = 256 };

static void file_from_recipe(vocab_file *file, const file_recipe *recipe)
{
    static char      letters[256][2];
    enx_gguf_str     tokens[257];
    int32_t          types[257];
    enx_gguf_writer *writer = NULL;
    unsigned         next = 0x100;
    for (unsigned i = 0; i < 256; i++) { /* GPT-2's alphabet, written once more */
        const bool     seen = (i >= '!' && i <= '~') || (i >= 0xA1 && i <= 0xAC) || i >= 0xAE;
        const unsigned c = seen ? i : next++;
        letters[i][0] = (char)(c < 0x80 ? c : 0xC0 | c >> 6);
        letters[i][1] = (char)(0x80 | (c & 0x3F));
        tokens[i] = (enx_gguf_str){ .data = letters[i], .size_bytes = c < 0x80 ? 1 : 2 };
        types[i] = 1;
    }
    tokens[256] = (enx_gguf_str){ .data = "ab", .size_bytes = 2 };
    types[256] = recipe->last_type;
    assert_int_equal(enx_gguf_writer_open(&writer, NULL), ENX_OK);
    if (recipe->model) enx_gguf_add_str(writer, "tokenizer.ggml.model", recipe->model);
    if (recipe->pre) enx_gguf_add_str(writer, "tokenizer.ggml.pre", recipe->pre);
    enx_gguf_add_strs(writer, "tokenizer.ggml.tokens", tokens, recipe->token_count);
    enx_gguf_add_i32s(writer, "tokenizer.ggml.token_type", types, recipe->type_count);
    const enx_gguf_str merge = { .data = recipe->merge,
                                 .size_bytes = recipe->merge ? strlen(recipe->merge) : 0 };
    if (recipe->is_merges_number) enx_gguf_add_u32(writer, "tokenizer.ggml.merges", 3);
    else if (recipe->merge) enx_gguf_add_strs(writer, "tokenizer.ggml.merges", &merge, 1);
    enx_gguf_add_u32(writer, "tokenizer.ggml.eos_token_id", recipe->eos);
    enx_buf_init(&file->buf, 1 << 20);
    assert_int_equal(enx_gguf_writer_finish(writer, &file->buf, NULL), ENX_OK);
    enx_gguf_writer_close(&writer);
    assert_int_equal(enx_gguf_open(&file->gguf, file->buf.data, file->buf.size_bytes, NULL),
                     ENX_OK);
}

static void assert_file_refused(const file_recipe *recipe, enx_status status, const char *part)
{
    enx_report     report = { 0 };
    enx_tokenizer *tokenizer = NULL;
    vocab_file     file = { .gguf = NULL };
    file_from_recipe(&file, recipe);
    const enx_status got = enx_tokenizer_open(&tokenizer, file.gguf, &report);
    file_deinit(&file);
    assert_null(tokenizer);
    if (got != status || !strstr(report.text, part))
        fail_msg("got %s: \"%s\"; want \"%s\"", enx_status_text(got), report.text, part);
}

static void file_of_another_maker_opens(void **state)
{
    (void)state;
    vocab_file     file = { .gguf = NULL };
    enx_tokenizer *tokenizer = NULL;
    file_from_recipe(&file, &good_recipe);
    assert_int_equal(enx_tokenizer_open(&tokenizer, file.gguf, NULL), ENX_OK);
    file_deinit(&file);
    ASSERT_IDS(tokenizer, " ab\xFF", false, ' ', 256, 0xFF);
    assert_int_equal(enx_tokenizer_eos(tokenizer), 256);
    enx_tokenizer_close(&tokenizer);
}

static void bad_files_are_refused_with_the_key(void **state)
{
    (void)state;
    file_recipe bad = good_recipe;
    bad.model = NULL;
    assert_file_refused(&bad, ENX_FORMAT, "no tokenizer.ggml.model");
    bad.model = "bert";
    assert_file_refused(&bad, ENX_UNSUPPORTED, "\"bert\" is not supported; those that work: gpt2");
    bad.model = "llama";
    assert_file_refused(&bad, ENX_FORMAT, "no tokenizer.ggml.scores");
    bad = good_recipe;
    bad.pre = NULL;
    assert_file_refused(&bad, ENX_FORMAT, "no tokenizer.ggml.pre");
    bad.pre = "nonesuch";
    assert_file_refused(&bad, ENX_UNSUPPORTED, "\"nonesuch\" is not known; those that work");
    bad = good_recipe;
    bad.merge = NULL;
    assert_file_refused(&bad, ENX_FORMAT, "no tokenizer.ggml.merges");
    bad.is_merges_number = true;
    assert_file_refused(&bad, ENX_FORMAT, "tokenizer.ggml.merges is not an array of strings");
    bad = good_recipe;
    bad.merge = "ab";
    assert_file_refused(&bad, ENX_FORMAT, "merge 0 is \"ab\"; it must be two tokens and a space");
    bad.merge = "a zz";
    assert_file_refused(&bad, ENX_FORMAT, "merge 0 is \"a zz\", but the second is no token");
    bad.merge = "日 a";
    assert_file_refused(&bad, ENX_FORMAT, "but the first is no token");
    bad.merge = "a c";
    assert_file_refused(&bad, ENX_FORMAT, "no token has their bytes");
    bad.merge = "";
    assert_file_refused(&bad, ENX_FORMAT, "merge 0 is \"\"");
    bad = good_recipe;
    bad.token_count = 200;
    assert_file_refused(&bad, ENX_FORMAT, "tokenizer.ggml.token_type is not an array of 200");
    bad = good_recipe;
    bad.last_type = 9;
    assert_file_refused(&bad, ENX_FORMAT, "token 256 has type 9");
    bad = good_recipe;
    bad.eos = 257;
    assert_file_refused(&bad, ENX_FORMAT, "tokenizer.ggml.eos_token_id is 257");
    bad = good_recipe;
    bad.token_count = bad.type_count = 255;
    bad.eos = 0;
    assert_file_refused(&bad, ENX_FORMAT, "no token for the byte 0xFF");
}

/* ---- threads ---- */

static void *encode_lesson(void *argument)
{
    enx_tokens *tokens = NULL;
    for (int i = 0; i < 50; i++) {
        tokens = ENX_MEM_NEW(enx_tokens, 1);
        enx_tokens_init(tokens, 10000);
        if (enx_tokenizer_encode(argument, lesson, sizeof lesson - 1, false, tokens, NULL) !=
            ENX_OK)
            return NULL;
        if (i == 49) break;
        enx_tokens_deinit(tokens);
        enx_mem_free(tokens);
    }
    return tokens;
}

static void threads_share_a_tokenizer(void **state)
{
    (void)state;
    enx_tokenizer *tokenizer = open_learnt("qwen2");
    pthread_t      threads[4];
    enx_tokens     want;
    encode(tokenizer, lesson, sizeof lesson - 1, false, &want);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_lesson, tokenizer), 0);
    for (int i = 0; i < 4; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        enx_tokens *got = result;
        assert_non_null(got);
        assert_int_equal(got->count, want.count);
        assert_memory_equal(got->ids, want.ids, want.count * sizeof *want.ids);
        enx_tokens_deinit(got);
        enx_mem_free(got);
    }
    enx_tokens_deinit(&want);
    enx_tokenizer_close(&tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_strings_come_back),
        cmocka_unit_test(random_bytes_come_back),
        cmocka_unit_test(endless_line_comes_back),
        cmocka_unit_test(encoding_is_that_of_the_slow_algorithm),
        cmocka_unit_test(lowest_rank_goes_first_and_leftmost_of_equals),
        cmocka_unit_test(token_out_of_reach_is_made_only_where_the_pattern_ignores_merges),
        cmocka_unit_test(lowest_id_stands_for_tokens_with_the_same_bytes),
        cmocka_unit_test(names_become_ids_only_when_asked_longest_first),
        cmocka_unit_test(names_at_literals_stay_text),
        cmocka_unit_test(full_list_is_a_limit_and_leaves_the_list_as_it_was),
        cmocka_unit_test(bad_vocabularies_are_refused_with_the_place),
        cmocka_unit_test(every_lack_of_memory_is_reported_and_leaks_nothing),
        cmocka_unit_test(vocabulary_comes_back_from_a_file),
        cmocka_unit_test(added_tokens_and_start_survive_a_file),
        cmocka_unit_test(merges_that_name_no_token_are_not_written),
        cmocka_unit_test(file_of_another_maker_opens),
        cmocka_unit_test(bad_files_are_refused_with_the_key),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
