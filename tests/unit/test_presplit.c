/* SPDX-License-Identifier: Apache-2.0 */
/* test_presplit.c - where text is cut, and that cutting it in segments changes nothing. */
#include "base/mem.h"
#include "base/rng.h"
#include "text/presplit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

static enx_presplit *open_split(const char *pre)
{
    enx_report    report = { 0 };
    enx_presplit *split = NULL;
    if (enx_presplit_open(&split, pre, strlen(pre), &report) != ENX_OK) fail_msg("%s", report.text);
    return split;
}

/* `want` has the pieces with a | between them. */
static void assert_pieces(const char *pre, const char *text, const char *want)
{
    enx_presplit       *split = open_split(pre);
    enx_presplit_cursor cursor;
    char                got[512];
    size_t              used = 0, first = 0, size = 0, at = 0;
    assert_int_equal(enx_presplit_cursor_init(&cursor, split, text, strlen(text)), ENX_OK);
    while (enx_presplit_next(&cursor, &first, &size)) {
        assert_true(first == at && size > 0);
        if (at) got[used++] = '|';
        memcpy(got + used, text + first, size);
        used += size;
        at += size;
    }
    got[used] = '\0';
    assert_int_equal(at, strlen(text));
    assert_string_equal(got, want);
    enx_presplit_cursor_deinit(&cursor);
    enx_presplit_close(&split);
}

static void words_take_the_space_before_them(void **state)
{
    (void)state;
    static const char *const all[] = { "qwen2", "gpt-2", "llama-bpe" };
    for (size_t i = 0; i < 3; i++) {
        assert_pieces(all[i], "Hello world, you.", "Hello| world|,| you|.");
        assert_pieces(all[i], "a   b", "a|  | b");
        assert_pieces(all[i], "end   ", "end|   ");
        assert_pieces(all[i], "I'm we'll it's", "I|'m| we|'ll| it|'s");
        assert_pieces(all[i], "é à 日本 語", "é| à| 日本| 語");
        assert_pieces(all[i], "", "");
    }
}

static void patterns_differ_as_published(void **state)
{
    (void)state;
    assert_pieces("qwen2", " 12345", " |1|2|3|4|5");
    assert_pieces("llama-bpe", " 12345", " |123|45");
    assert_pieces("gpt-2", " 12345", " 12345");
    assert_pieces("qwen2", "IT'S", "IT|'S");
    assert_pieces("gpt-2", "IT'S", "IT|'|S");
    assert_pieces("qwen2", "a.b(c", "a|.b|(c");
    assert_pieces("gpt-2", "a.b(c", "a|.|b|(|c");
    assert_pieces("qwen2", "x;\n\ny", "x|;\n\n|y");
    assert_pieces("gpt-2", "x;\n\ny", "x|;|\n|\n|y");
    assert_pieces("qwen2", "x \n \n  y", "x| \n \n| | y");
    assert_pieces("gpt-2", "x \n \n  y", "x| \n \n | y");
    assert_pieces("qwen2", "x\n\n  y", "x|\n\n| | y");
    assert_pieces("qwen2", "\ty", "\ty");
}

static void each_name_cuts_as_published(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *text, *want;
    } rows[] = {
        { "falcon", "a $12345.", "a| |$|123|45|." },
        { "default", "a $12345.", "a| |$|123|45|." },
        { "starcoder", "x 12 y", "x| |1|2| y" },
        { "smollm", "it's 12", "it|'s| |1|2" },
        { "qwen35", "हिन्दी 12", "हिन्दी| |1|2" },
        { "qwen2", "हि", "ह|ि" },
        { "deepseek-v3", "f(x) 12345日本 café", "f|(x|)| |123|45|日本| café" },
        { "deepseek-coder", "a\n\n  b=1日本", "a|\n|\n| | b|=|1|日本" },
        { "deepseek-llm", "ab  cd\n\n12345 日本!  ", "ab| | cd|\n|\n|12345| |日本|!|  " },
        { "deepseek-llm", "   日本 ώ", "   |日本| ώ" },
        { "gpt-4o", "HelloWorld's 1234 x/\n/y", "Hello|World's| |123|4| x|/\n/|y" },
        { "tekken", "HelloWorld 1234", "Hello|World| |1|2|3|4" },
        { "kimi-k2", "Hello日本语World 1234", "Hello|日本语|World| |123|4" },
        { "bloom", "one, two. (x)", "one|,| two|. (|x|)" },
        { "viking", "on1 2", "on|1| |2" },
        { "chatglm-bpe", "IT'S 1234", "IT|'S| |123|4" },
        { "jais-2", "a        b", "a|    |  | | b" },
        { "bailingmoe", "a.\n\nb", "a|.\n\n|b" },
        { "seed-coder", "a.\n\nb", "a|.|\n\n|b" },
        { "ufakzeka", "Ali'den", "Ali|'den" },
        { "laguna", "a.\nb", "a|.|\n|b" },
        { "minicpm5", "a1234", "a|123|4" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_pieces(rows[i].pre, rows[i].text, rows[i].want);
}

static void invalid_bytes_are_pieces_between_the_others(void **state)
{
    (void)state;
    assert_pieces("qwen2",
                  "ab\xFF\xFE"
                  "cd",
                  "ab|\xFF\xFE|cd");
    assert_pieces("qwen2", "\xE2\x82", "\xE2\x82");
    assert_pieces("gpt-2", "a \xC3 b", "a| |\xC3| b");
}

static void unknown_name_is_refused_with_those_that_work(void **state)
{
    (void)state;
    enx_report    report = { 0 };
    enx_presplit *split = NULL;
    assert_int_equal(enx_presplit_open(&split, "tokken", 6, &report), ENX_UNSUPPORTED);
    assert_null(split);
    assert_non_null(strstr(report.text, "\"tokken\""));
    assert_non_null(strstr(report.text, " qwen2 "));
    assert_non_null(strstr(report.text, " deepseek-v3 "));
    assert_int_equal(enx_presplit_open(&split, "qwen2 deepseek-r1-qwen", 22, NULL),
                     ENX_UNSUPPORTED);
    assert_int_equal(enx_presplit_open(&split, "qwen2x", 6, NULL), ENX_UNSUPPORTED);
    assert_int_equal(enx_presplit_open(&split, "", 0, NULL), ENX_UNSUPPORTED);
}

static const char *const patterns[][2] = {
    { "qwen2", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
               " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+" },
    { "gpt-2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
               "\\s+(?!\\S)|\\s+" },
    { "llama-bpe", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                   " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+" },
};

/* Walk the text with the expression over all of it, and with the cursor: same pieces? */
static void assert_like_whole_text(const char *pre, const char *pattern, const char *text,
                                   size_t size_bytes)
{
    int                 code = 0;
    PCRE2_SIZE          where = 0;
    pcre2_code         *whole = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                              PCRE2_UTF | PCRE2_UCP, &code, &where, NULL);
    pcre2_match_data   *match = pcre2_match_data_create(1, NULL);
    enx_presplit       *split = open_split(pre);
    enx_presplit_cursor cursor;
    size_t              first = 0, size = 0, at = 0;
    assert_non_null(whole);
    assert_int_equal(pcre2_jit_compile(whole, PCRE2_JIT_COMPLETE), 0);
    assert_int_equal(enx_presplit_cursor_init(&cursor, split, text, size_bytes), ENX_OK);
    while (enx_presplit_next(&cursor, &first, &size)) {
        assert_true(pcre2_jit_match(whole, (PCRE2_SPTR)text, size_bytes, at, 0, match, NULL) > 0);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(match);
        assert_int_equal(first, span[0]);
        assert_int_equal(first + size, span[1]);
        at = span[1];
    }
    assert_int_equal(at, size_bytes);
    enx_presplit_cursor_deinit(&cursor);
    enx_presplit_close(&split);
    pcre2_match_data_free(match);
    pcre2_code_free(whole);
}

static void segments_give_the_pieces_of_the_whole_text(void **state)
{
    (void)state;
    enum { TEXT_BYTES = 300000 };
    static const char *const bits[] = { "a",
                                        "Zé",
                                        " ",
                                        " ",
                                        "  ",
                                        "\n",
                                        "\r\n",
                                        "\n\n",
                                        "\t",
                                        "7",
                                        "1234",
                                        ".",
                                        ",",
                                        "'s",
                                        "'LL",
                                        "…",
                                        "—",
                                        "日本",
                                        "。",
                                        "\xE3\x80\x80",
                                        "\xC2\xA0",
                                        "\xC2\x85",
                                        "\xE2\x80\xA8",
                                        "\xE1\xA0\x8E",
                                        "\xE2\x80\x8B",
                                        "\xE1\x9A\x80",
                                        "👩\u200D👩\u200D👧",
                                        "́",
                                        "word",
                                        "слово",
                                        "()",
                                        "\xE2\x81\x9F",
                                        "_" };
    char                    *text = ENX_MEM_NEW(char, TEXT_BYTES + 64);
    for (uint64_t seed = 0; seed < 12; seed++) {
        enx_rng      rng = enx_rng_open(seed, 3);
        const size_t kinds = seed % 3 == 0 ? 6 : sizeof bits / sizeof bits[0];
        size_t       size = 0;
        while (size < TEXT_BYTES) {
            const char *bit = bits[enx_rng_below(&rng, kinds)];
            memcpy(text + size, bit, strlen(bit));
            size += strlen(bit);
        }
        for (size_t i = 0; i < 3; i++)
            assert_like_whole_text(patterns[i][0], patterns[i][1], text, size);
    }
    enx_mem_free(text);
}

static void endless_pieces_are_cut_between_characters(void **state)
{
    (void)state;
    enum { COUNT = 1500000 };
    enx_presplit       *split = open_split("qwen2");
    enx_presplit_cursor cursor;
    char               *text = ENX_MEM_NEW(char, 2 * COUNT);
    size_t              first = 0, size = 0, at = 0;
    for (size_t i = 0; i < COUNT; i++) memcpy(text + 2 * i, "é", 2);
    assert_int_equal(enx_presplit_cursor_init(&cursor, split, text, 2 * COUNT), ENX_OK);
    for (; enx_presplit_next(&cursor, &first, &size); at += size) {
        assert_int_equal(first, at);
        assert_true(size > 0 && size <= ENX_PRESPLIT_PIECE_BYTES_MAX && size % 2 == 0);
    }
    assert_int_equal(at, 2 * COUNT);
    enx_presplit_cursor_deinit(&cursor);
    enx_presplit_close(&split);
    enx_mem_free(text);
}

static void any_bytes_are_covered_in_order(void **state)
{
    (void)state;
    enx_presplit *split = open_split("qwen2");
    for (uint64_t seed = 0; seed < 300; seed++) {
        enx_rng             rng = enx_rng_open(seed, 4);
        enx_presplit_cursor cursor;
        char                text[9000];
        const size_t        total = enx_rng_below(&rng, sizeof text);
        size_t              first = 0, size = 0, at = 0;
        for (size_t i = 0; i < total; i++)
            text[i] = (char)(seed % 2 ? enx_rng_u64(&rng) : 0x80 | enx_rng_below(&rng, 128));
        assert_int_equal(enx_presplit_cursor_init(&cursor, split, text, total), ENX_OK);
        for (; enx_presplit_next(&cursor, &first, &size); at += size)
            assert_true(first == at && size > 0);
        assert_int_equal(at, total);
        enx_presplit_cursor_deinit(&cursor);
    }
    enx_presplit_close(&split);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_take_the_space_before_them),
        cmocka_unit_test(patterns_differ_as_published),
        cmocka_unit_test(each_name_cuts_as_published),
        cmocka_unit_test(invalid_bytes_are_pieces_between_the_others),
        cmocka_unit_test(unknown_name_is_refused_with_those_that_work),
        cmocka_unit_test(segments_give_the_pieces_of_the_whole_text),
        cmocka_unit_test(endless_pieces_are_cut_between_characters),
        cmocka_unit_test(any_bytes_are_covered_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
