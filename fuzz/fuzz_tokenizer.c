/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tokenizer.c - any bytes are text, and any bytes may come as a vocabulary's file:
 *
 * (1) decode(encode(x)) == x, byte for byte, with and without names parsed, for every pattern;
 * (2) without names parsed no control token appears;
 * (3) cutting the text never makes a token that spans two pieces, so encode(x) is the encodings
 *     of its pieces, one after another;
 * (4) bytes that begin as a GGUF file are read as one: a vocabulary that opens keeps (2), and (1)
 *     where it is byte-level;
 * (5) a SentencePiece vocabulary with all bytes keeps (1) and (2) for text without U+2581.
 */
#include "base/check.h"
#include "gguf/gguf.h"
#include "text/presplit.h"
#include "text/tokenizer.h"
#include "train/bpe_train.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char lesson[] =
    "the cat and the hat, that's what they'll say: é à ção ção größe größe 日本 日本 123 123 2024\n"
    "    indented    twice\n\n\n\t\ttabs ==== ---- .... aaaaaaaa bbbbbbbb "
    "\xF0\x9F\x98\x80\xF0\x9F\x98\x80\n";

static const char *const pres[] = { "qwen2",  "gpt-2",        "llama-bpe", "deepseek-v3",
                                    "gpt-4o", "deepseek-llm", "default" };
enum { PRE_COUNT = sizeof pres / sizeof pres[0] };

static enx_tokenizer *tokenizers[PRE_COUNT];
static enx_presplit  *splits[PRE_COUNT];
static enx_tokenizer *spm;

static void learn(size_t index)
{
    static const char *const names[] = { "<|end|>", "<|im_start|>", "<|im_" };
    const enx_bpe_options    options = {
           .pre = pres[index], .vocab_count = 400, .control_names = names, .control_count = 3
    };
    enx_bpe *bpe = NULL;
    ENX_CHECK(enx_bpe_open(&bpe, &options, NULL) == ENX_OK);
    for (int i = 0; i < 2; i++)
        ENX_CHECK(enx_bpe_feed(bpe, lesson, sizeof lesson - 1, NULL) == ENX_OK);
    ENX_CHECK(enx_bpe_run(bpe, NULL) == ENX_OK);
    ENX_CHECK(enx_tokenizer_open_vocab(&tokenizers[index], enx_bpe_vocab(bpe), NULL) == ENX_OK);
    ENX_CHECK(enx_presplit_open(&splits[index], pres[index], strlen(pres[index]), NULL) == ENX_OK);
    enx_bpe_close(&bpe);
}

/* All bytes, and some tokens that share parts. */
static void make_spm(void)
{
    enum { TOKEN_COUNT = 272 };
    static const char *const texts[] = { "<unk>", "</s>", "▁",  "▁▁",   "a",  "th", "▁th", "the",
                                         "▁the",  "é",    "日", "日本", "é▁", "e",  "aa",  "aaaa" };
    static char              names[256][8];
    enx_gguf_str             tokens[TOKEN_COUNT];
    enx_token_type           types[TOKEN_COUNT];
    float                    scores[TOKEN_COUNT];
    for (size_t id = 0; id < TOKEN_COUNT; id++) {
        const bool is_byte = id < 256;
        if (is_byte) snprintf(names[id], sizeof names[id], "<0x%02X>", (unsigned)id);
        const char *text = is_byte ? names[id] : texts[id - 256];
        tokens[id] = (enx_gguf_str){ .data = text, .size_bytes = strlen(text) };
        types[id] = is_byte     ? ENX_TOKEN_BYTE
                    : id == 256 ? ENX_TOKEN_UNKNOWN
                    : id == 257 ? ENX_TOKEN_CONTROL
                                : ENX_TOKEN_NORMAL;
        scores[id] = (float)(id % 5);
    }
    const enx_vocab vocab = { .tokens = tokens,
                              .types = types,
                              .scores = scores,
                              .token_count = TOKEN_COUNT,
                              .eos = 257,
                              .unknown = 256 };
    ENX_CHECK(enx_tokenizer_open_vocab(&spm, &vocab, NULL) == ENX_OK);
}

static void check_text(const enx_tokenizer *tokenizer, const char *text, size_t size,
                       bool parse_special)
{
    enx_tokens tokens;
    size_t     at = 0;
    enx_tokens_init(&tokens, size);
    ENX_CHECK(enx_tokenizer_encode(tokenizer, text, size, parse_special, &tokens, NULL) == ENX_OK);
    for (size_t i = 0; i < tokens.count; i++) {
        ENX_CHECK(tokens.ids[i] < enx_tokenizer_count(tokenizer));
        ENX_CHECK(parse_special || !enx_tokenizer_is_control(tokenizer, tokens.ids[i]));
        const enx_gguf_str bytes = enx_tokenizer_bytes(tokenizer, tokens.ids[i]);
        ENX_CHECK(bytes.size_bytes <= size - at &&
                  !memcmp(bytes.data, text + at, bytes.size_bytes));
        at += bytes.size_bytes;
    }
    ENX_CHECK(at == size);
    enx_tokens_deinit(&tokens);
}

static void check_pieces(size_t index, const char *text, size_t size)
{
    enx_presplit_cursor cursor;
    enx_tokens          whole, parts;
    size_t              first = 0, piece_size = 0, at = 0;
    enx_tokens_init(&whole, size);
    enx_tokens_init(&parts, size);
    ENX_CHECK(enx_tokenizer_encode(tokenizers[index], text, size, false, &whole, NULL) == ENX_OK);
    ENX_CHECK(enx_presplit_cursor_init(&cursor, splits[index], text, size) == ENX_OK);
    for (; enx_presplit_next(&cursor, &first, &piece_size); at += piece_size) {
        size_t covered = 0;
        ENX_CHECK(first == at && piece_size > 0 && piece_size <= ENX_PRESPLIT_PIECE_BYTES_MAX);
        while (covered < piece_size) {
            ENX_CHECK(parts.count < whole.count);
            const uint32_t id = whole.ids[parts.count];
            covered += enx_tokenizer_bytes(tokenizers[index], id).size_bytes;
            ENX_CHECK(enx_tokens_push(&parts, id) == ENX_OK);
        }
        ENX_CHECK(covered == piece_size);
    }
    ENX_CHECK(at == size && parts.count == whole.count);
    enx_presplit_cursor_deinit(&cursor);
    enx_tokens_deinit(&whole);
    enx_tokens_deinit(&parts);
}

static bool has_mark(const char *text, size_t size)
{
    for (size_t at = 0; at + 3 <= size; at++)
        if (!memcmp(text + at, "▁", 3)) return true;
    return false;
}

static void check_ids(const enx_tokenizer *tokenizer, const char *text, size_t size)
{
    enx_tokens tokens;
    enx_tokens_init(&tokens, 3 * size + 3);
    ENX_CHECK(enx_tokenizer_encode(tokenizer, text, size, false, &tokens, NULL) == ENX_OK);
    for (size_t i = 0; i < tokens.count; i++)
        ENX_CHECK(tokens.ids[i] < enx_tokenizer_count(tokenizer));
    enx_tokens_deinit(&tokens);
}

static void check_file(const uint8_t *data, size_t size)
{
    enx_gguf      *gguf = NULL;
    enx_tokenizer *tokenizer = NULL;
    if (enx_gguf_open(&gguf, data, size, NULL) != ENX_OK) return;
    enx_gguf_value scores;
    const bool     is_spm = enx_gguf_find(gguf, "tokenizer.ggml.scores", &scores);
    if (enx_tokenizer_open(&tokenizer, gguf, NULL) != ENX_OK) {
        enx_gguf_close(&gguf);
        return;
    }
    if (is_spm) {
        check_ids(tokenizer, lesson, sizeof lesson - 1);
        check_ids(tokenizer, (const char *)data, size);
    } else {
        check_text(tokenizer, lesson, sizeof lesson - 1, false);
        check_text(tokenizer, lesson, sizeof lesson - 1, true);
        check_text(tokenizer, (const char *)data, size, false);
    }
    enx_gguf_close(&gguf);
    enx_tokenizer_close(&tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    for (size_t i = 0; i < PRE_COUNT; i++) {
        if (!tokenizers[i]) learn(i);
        check_text(tokenizers[i], text, size, false);
        check_text(tokenizers[i], text, size, true);
        check_pieces(i, text, size);
    }
    if (!spm) make_spm();
    if (!has_mark(text, size)) {
        check_text(spm, text, size, false);
        check_text(spm, text, size, true);
    }
    if (size >= 4 && !memcmp(data, "GGUF", 4)) check_file(data, size);
    return 0;
}
