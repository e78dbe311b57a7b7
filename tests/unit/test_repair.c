/* SPDX-License-Identifier: Apache-2.0 */
/* test_repair.c - what a scan sees, which edits are listed, where is looked, how edits are ranked.
 */
#include "base/buf.h"
#include "base/rng.h"
#include "gguf/gguf_write.h"
#include "repair/block.h"
#include "repair/rank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EDITS_MAX = 20000 };

static enx_scan scan;
static enx_edit edits[EDITS_MAX];

static uint32_t faults_of(enx_code code, const char *text)
{
    enx_scan_text(&scan, code, text, (uint32_t)strlen(text));
    return scan.faults;
}

static const char *const whole[ENX_CODE_COUNT] = {
    [ENX_CODE_PYTHON] =
        "def f(a, b=None):\n    \"\"\"It's one.\"\"\"\n    x = {'k': [1, 2], \"(\": a}\n"
        "    return g(x['k'], b)  # ) no\n",
    [ENX_CODE_C] =
        "int f(char *s)\n{\n    char c = '\"'; /* ( */\n    return g(s[0], \"}\\\"\");\n}\n",
    [ENX_CODE_JS] = "function f(a) {\n  const r = /[/\"]+/.test(a) ? `(${a}\n)` : 'x'; // {\n"
                    "  return [r, a / 2];\n}\n",
    [ENX_CODE_JSON] = "{\"a\": [1, {\"b\": \"]\"}], \"c\": null}\n",
};

/* ---- Scan ----------------------------------------------------------------------------------- */

static void whole_text_has_no_faults(void **state)
{
    (void)state;
    for (int code = 0; code < ENX_CODE_COUNT; code++)
        assert_int_equal(faults_of((enx_code)code, whole[code]), 0);
    assert_int_equal(faults_of(ENX_CODE_C, ""), 0);
}

static void faults_are_brackets_and_strings_without_partner(void **state)
{
    (void)state;
    assert_int_equal(faults_of(ENX_CODE_PYTHON, "f(1\n"), 1);
    assert_int_equal(faults_of(ENX_CODE_PYTHON, "f)1\n"), 1);
    assert_int_equal(faults_of(ENX_CODE_PYTHON, "f(1]\n"), 2);
    assert_int_equal(faults_of(ENX_CODE_PYTHON, "x = 'a\ny = (1)\n"), 1);
    assert_int_equal(scan.string_faults, 1);
    assert_int_equal(faults_of(ENX_CODE_PYTHON, "\"\"\"a\n'b\n"), 1);
    assert_int_equal(faults_of(ENX_CODE_JSON, "{\"a: 1}\n"), 2);
    assert_int_equal(scan.surplus[2], 1);
    char deep[2 * ENX_SCAN_DEPTH_MAX + 1];
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_int_equal(faults_of(ENX_CODE_C, deep), 2 * ENX_SCAN_DEPTH_MAX);
}

static void a_scan_knows_partners_and_what_is_around(void **state)
{
    (void)state;
    faults_of(ENX_CODE_PYTHON, "f('a(', [b])");
    assert_int_equal(scan.partner[1], 11);
    assert_int_equal(scan.partner[2], 5);
    assert_int_equal(scan.inside[4], ENX_INSIDE_STRING);
    assert_int_equal(scan.opener[9], 8);
    assert_int_equal(scan.opener[0], -1);
    assert_int_equal(scan.opener[12], -1);
}

/* ---- Edits ---------------------------------------------------------------------------------- */

static bool is_listed(enx_code code, const char *damaged, const char *text)
{
    char           edited[ENX_WINDOW_BYTES_MAX];
    uint32_t       faults;
    const uint32_t size = (uint32_t)strlen(damaged), want = (uint32_t)strlen(text);
    const uint32_t count =
        enx_edit_list(edits, EDITS_MAX, &faults, code, damaged, size, 0, size, &scan);
    for (uint32_t i = 0; i < count; i++)
        if (enx_edit_apply(edited, damaged, size, &edits[i]) == want &&
            memcmp(edited, text, want) == 0)
            return true;
    return false;
}

/* Every mark of code lost: the edit that brings it back is there. */
static void a_lost_mark_of_code_is_among_the_edits(void **state)
{
    (void)state;
    for (int code = 0; code < ENX_CODE_COUNT; code++) {
        enx_scan       seen;
        const uint32_t size = (uint32_t)strlen(whole[code]);
        enx_scan_text(&seen, (enx_code)code, whole[code], size);
        for (uint32_t i = 0; i < size; i++) {
            char damaged[ENX_WINDOW_BYTES_MAX];
            if (!strchr(enx_edit_marks((enx_code)code), whole[code][i]) ||
                seen.inside[i] != ENX_INSIDE_CODE)
                continue;
            snprintf(damaged, sizeof damaged, "%.*s%s", (int)i, whole[code], whole[code] + i + 1);
            assert_true(is_listed((enx_code)code, damaged, whole[code]));
            snprintf(damaged, sizeof damaged, "%.*s%c%s", (int)i, whole[code], whole[code][i],
                     whole[code] + i);
            assert_true(is_listed((enx_code)code, damaged, whole[code]));
        }
    }
}

static void lost_quotes_and_indents_are_among_the_edits(void **state)
{
    (void)state;
    assert_true(is_listed(ENX_CODE_PYTHON, "x = ['a, 'b']\n", "x = ['a', 'b']\n"));
    assert_true(is_listed(ENX_CODE_PYTHON, "\"\"a\"\"\"\nb = 1\n", "\"\"\"a\"\"\"\nb = 1\n"));
    assert_true(is_listed(ENX_CODE_JSON, "{\"a\": b\"}", "{\"a\": \"b\"}"));
    assert_true(
        is_listed(ENX_CODE_PYTHON, "if a:\n  b = 1\n    c = 2\n", "if a:\n  b = 1\n  c = 2\n"));
}

static void no_text_is_made_twice(void **state)
{
    (void)state;
    char           a[ENX_WINDOW_BYTES_MAX], b[ENX_WINDOW_BYTES_MAX];
    uint32_t       faults;
    const char    *text = "f((a, b]\n";
    const uint32_t size = (uint32_t)strlen(text);
    const uint32_t count =
        enx_edit_list(edits, EDITS_MAX, &faults, ENX_CODE_PYTHON, text, size, 0, size, &scan);
    assert_true(count > 1);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < i; k++) {
            const uint32_t x = enx_edit_apply(a, text, size, &edits[i]);
            const uint32_t y = enx_edit_apply(b, text, size, &edits[k]);
            assert_false(x == y && memcmp(a, b, x) == 0);
        }
}

static void a_list_ends_at_its_maximum(void **state)
{
    (void)state;
    uint32_t       faults;
    const char    *text = "a = b c d e f g h\n";
    const uint32_t size = (uint32_t)strlen(text);
    assert_int_equal(enx_edit_list(edits, 5, &faults, ENX_CODE_PYTHON, text, size, 0, size, &scan),
                     5);
}

/* ---- Blocks --------------------------------------------------------------------------------- */

static void a_block_is_the_largest_that_fits(void **state)
{
    (void)state;
    enx_buf text;
    enx_buf_init(&text, 1 << 20);
    for (int i = 0; i < 400; i++)
        assert_int_equal(enx_buf_printf(&text, "def f%03d(a):\n    x = a\n    return x\n\n\n", i),
                         0);
    const char     *at = strstr(text.data, "def f200");
    const enx_block b = enx_block_around(text.data, text.size_bytes, (size_t)(at - text.data) + 20);
    assert_ptr_equal(text.data + b.from, at);
    assert_ptr_equal(text.data + b.to, strstr(text.data, "def f201"));
    enx_buf_deinit(&text);
}

static void blocks_hold_the_complaint_and_the_faults(void **state)
{
    (void)state;
    enx_buf   text;
    enx_block blocks[ENX_BLOCKS_MAX];
    enx_buf_init(&text, 1 << 20);
    for (int i = 0; i < 400; i++)
        assert_int_equal(enx_buf_printf(&text, "def f%03d(a):\n    x = g(a%s\n    return x\n\n\n",
                                        i, i == 100 ? "" : ")"),
                         0);
    const uint32_t count =
        enx_block_list(blocks, ENX_CODE_PYTHON, text.data, text.size_bytes, 15000, &scan);
    assert_true(count >= 2 && count <= ENX_BLOCKS_MAX);
    assert_true(blocks[0].from <= 15000 && 15000 <= blocks[0].to);
    bool is_found = false;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(blocks[i].from < blocks[i].to && blocks[i].to <= text.size_bytes);
        is_found |=
            memmem(text.data + blocks[i].from, blocks[i].to - blocks[i].from, "f100", 4) != NULL;
    }
    assert_true(is_found);
    enx_buf_deinit(&text);
}

/* ---- Ranks ---------------------------------------------------------------------------------- */

static void complaints_forget_numbers_and_names(void **state)
{
    (void)state;
    assert_int_equal(enx_complaint_hash(""), 0);
    assert_int_equal(enx_complaint_hash("line 3: 'foo' is bad"),
                     enx_complaint_hash("line 45: 'barium' is bad"));
    assert_int_not_equal(enx_complaint_hash("'(' was never closed"),
                         enx_complaint_hash("'[' was never closed"));
}

static void places_stay_in_the_text(void **state)
{
    (void)state;
    assert_int_equal(enx_complaint_place("ab\ncd\n", 6, 2, 2, "").at, 4);
    assert_int_equal(enx_complaint_place("ab\ncd\n", 6, 0, 2, "").at, -1);
    assert_int_equal(enx_complaint_place("ab\ncd\n", 6, 9, 9, "").at, 6);
    assert_int_equal(enx_complaint_place("", 0, 1, 1, "").at, 0);
}

/* Any bytes, any edit: features are within the table, and the same again. */
static void features_of_any_bytes_are_within_the_table(void **state)
{
    (void)state;
    enx_rng rng = enx_rng_open(1, 0);
    for (int round = 0; round < 300; round++) {
        char           text[300];
        const uint32_t size = (uint32_t)enx_rng_below(&rng, sizeof text);
        const enx_code code = (enx_code)enx_rng_below(&rng, ENX_CODE_COUNT);
        uint32_t       faults, first[ENX_RANK_FEATURES_MAX], again[ENX_RANK_FEATURES_MAX];
        for (uint32_t i = 0; i < size; i++)
            text[i] = "()[]{}:,;'\"`/*#\\ \n\tab0_\xC3\x01"[enx_rng_below(&rng, 25)];
        const enx_complaint complaint = { .at = (int32_t)enx_rng_below(&rng, 400) - 50, .what = 7 };
        const uint32_t      count =
            enx_edit_list(edits, EDITS_MAX, &faults, code, text, size, 0, size, &scan);
        for (uint32_t i = 0; i < count; i += 37) {
            const uint32_t n =
                enx_rank_features(first, code, text, size, &complaint, &edits[i], &scan);
            assert_true(n > 0 && n <= ENX_RANK_FEATURES_MAX);
            for (uint32_t k = 0; k < n; k++) assert_true(first[k] < ENX_RANK_WEIGHTS);
            assert_int_equal(
                n, enx_rank_features(again, code, text, size, &complaint, &edits[i], &scan));
            assert_memory_equal(first, again, n * sizeof *first);
        }
    }
}

static void build(enx_buf *out, const char *architecture, uint64_t weights)
{
    enx_gguf_writer *w = NULL;
    uint8_t         *bytes = malloc(weights);
    memset(bytes, 129, weights);
    assert_int_equal(enx_gguf_writer_open(&w, NULL), ENX_OK);
    enx_gguf_add_str(w, "general.architecture", architecture);
    enx_gguf_add_f32(w, "enxame.edits.step", 0.5F);
    enx_gguf_add_u8s(w, "enxame.edits.weights", bytes, weights);
    assert_int_equal(enx_gguf_writer_finish(w, out, NULL), ENX_OK);
    enx_gguf_writer_close(&w);
    free(bytes);
}

static void a_ranker_is_read_or_refused(void **state)
{
    (void)state;
    enx_buf     file;
    enx_ranker *ranker = NULL;
    enx_report  report;
    enx_buf_init(&file, 1 << 24);
    build(&file, "qwen3", ENX_RANK_WEIGHTS);
    assert_int_equal(enx_ranker_open(&ranker, file.data, file.size_bytes, &report), ENX_FORMAT);
    enx_buf_clear(&file);
    build(&file, ENX_RANK_ARCHITECTURE, 100);
    assert_int_equal(enx_ranker_open(&ranker, file.data, file.size_bytes, &report), ENX_FORMAT);
    enx_buf_clear(&file);
    build(&file, ENX_RANK_ARCHITECTURE, ENX_RANK_WEIGHTS);
    for (size_t cut = 0; cut < file.size_bytes; cut += cut < 300 ? 1 : file.size_bytes / 7)
        assert_int_not_equal(enx_ranker_open(&ranker, file.data, cut, &report), ENX_OK);
    assert_null(ranker);
    assert_int_equal(enx_ranker_open(&ranker, file.data, file.size_bytes, &report), ENX_OK);
    const enx_edit      edit = { .at = 3, .insert_bytes = 1, .insert = ")" };
    const enx_complaint none = { .at = -1 };
    uint32_t            features[ENX_RANK_FEATURES_MAX];
    const uint32_t      count =
        enx_rank_features(features, ENX_CODE_PYTHON, "f(1\n", 4, &none, &edit, &scan);
    assert_float_equal(enx_ranker_score(ranker, ENX_CODE_PYTHON, "f(1\n", 4, &none, &edit, &scan),
                       0.5 * count, 1e-9);
    enx_ranker_close(&ranker);
    enx_buf_deinit(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_text_has_no_faults),
        cmocka_unit_test(faults_are_brackets_and_strings_without_partner),
        cmocka_unit_test(a_scan_knows_partners_and_what_is_around),
        cmocka_unit_test(a_lost_mark_of_code_is_among_the_edits),
        cmocka_unit_test(lost_quotes_and_indents_are_among_the_edits),
        cmocka_unit_test(no_text_is_made_twice),
        cmocka_unit_test(a_list_ends_at_its_maximum),
        cmocka_unit_test(a_block_is_the_largest_that_fits),
        cmocka_unit_test(blocks_hold_the_complaint_and_the_faults),
        cmocka_unit_test(complaints_forget_numbers_and_names),
        cmocka_unit_test(places_stay_in_the_text),
        cmocka_unit_test(features_of_any_bytes_are_within_the_table),
        cmocka_unit_test(a_ranker_is_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
