/* SPDX-License-Identifier: Apache-2.0 */
/* test_reduce.c - the automaton accepts the restorations of its input, all of them, no others. */
#include "text/reduce.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/damage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <utf8proc.h>

typedef struct any_state {
    _Alignas(16) uint8_t bytes[64];
} any_state;

static enx_reduce *open_reduce(const char *text, size_t size_bytes, int level)
{
    enx_reduce *reduce = NULL;
    assert_int_equal(enx_reduce_open(&reduce, text, size_bytes, level, NULL), ENX_OK);
    assert_true(enx_reduce_automaton(reduce)->state_bytes <= sizeof(any_state));
    return reduce;
}

/* Also: step agrees with next_bytes. */
static bool read_bytes(const enx_automaton *automaton, any_state *state, const char *text,
                       size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) {
        const uint8_t byte = (uint8_t)text[i];
        uint64_t      bytes[4] = { 0 };
        automaton->next_bytes(automaton, state, bytes);
        const bool steps = automaton->step(automaton, state, byte);
        assert_int_equal(steps, bytes[byte >> 6] >> (byte & 63) & 1);
        if (!steps) return false;
    }
    return true;
}

static bool accepts_bytes(const enx_reduce *reduce, const char *text, size_t size_bytes)
{
    const enx_automaton *automaton = enx_reduce_automaton(reduce);
    any_state            state;
    automaton->start(automaton, &state);
    return read_bytes(automaton, &state, text, size_bytes) && automaton->may_end(automaton, &state);
}

static bool accepts(const char *input, int level, const char *output)
{
    enx_reduce *reduce = open_reduce(input, strlen(input), level);
    const bool  result = accepts_bytes(reduce, output, strlen(output));
    enx_reduce_close(&reduce);
    assert_null(reduce);
    return result;
}

static void accents_come_back_at_level_1(void **state)
{
    (void)state;
    assert_true(accepts("Acao e a", 1, "Ação é à"));
    assert_true(accepts("Tieng Viet DUOC", 1, "Tiếng Việt ĐƯỢC"));
    assert_true(accepts("Strasse SS Oeuvre OEuvre", 1, "Straße ẞ Oeuvre Œuvre"));
    assert_true(accepts("thorn THORN aeon", 1, "þorn ÞORN ǽon"));
    assert_true(accepts("1 = 2", 1, "1 ≠ 2"));
    assert_false(accepts("Acao", 1, "ação"));
    assert_false(accepts("Aeon", 1, "Æon"));
    assert_false(accepts("sS", 1, "ß"));
    assert_false(accepts("e", 1, "e\u0301"));
    assert_false(accepts("e", 1, "a"));
    assert_false(accepts("e a", 1, "e"));
    assert_false(accepts("e", 1, "e a"));
    assert_false(accepts("e a", 1, "e  a"));
    assert_false(accepts("e a", 1, "e, a"));
}

static void capitals_come_back_at_level_2(void **state)
{
    (void)state;
    assert_true(accepts("e o fim", 2, "É o FIM"));
    assert_true(accepts("strasse", 2, "STRASSE"));
    assert_true(accepts("strasse", 2, "STRAẞE"));
    assert_true(accepts("aeon aeon aeon", 2, "Æon ÆON AeOn"));
    assert_true(accepts("привет иод", 2, "Привет Йод"));
    assert_true(accepts("ὀδυσσευς", 2, "ὀδυσσεύς"));
    assert_true(accepts("\U00010428\U00010429", 2, "\U00010400\U00010401")); /* outside the scan */
    assert_false(accepts("e o fim", 2, "É o FIM."));
}

static void marks_come_back_at_level_3(void **state)
{
    (void)state;
    assert_true(accepts("oi tudo bem", 3, "Oi, tudo bem?!."));
    assert_true(accepts("quoi non", 3, "Quoi ! Non\u202F!"));
    assert_true(accepts("quoi non", 3, "Quoi\u00A0; non :"));
    assert_true(accepts("a\n\nb", 3, "A!\n\nB."));
    assert_true(accepts("3.5 x", 3, "3.5. X"));
    assert_true(accepts("a .b", 3, "a . .b"));
    assert_true(accepts("a .b", 3, "a .b"));
    assert_false(accepts("a .b", 3, "a ..b"));
    assert_false(accepts("oi tudo", 3, "oi.... tudo"));
    assert_false(accepts("oi tudo", 3, "oi , , tudo"));
    assert_false(accepts("oi tudo", 3, "oi  , tudo"));
    assert_false(accepts("oi tudo", 3, "oi ,tudo"));
    assert_false(accepts("oi tudo", 3, ", oi tudo"));
    assert_false(accepts("oi tudo", 3, "oi tudo "));
    assert_false(accepts("oi tudo", 3, "o.i tudo"));
    assert_true(accepts("", 3, ""));
    assert_false(accepts("", 3, "."));
    assert_false(accepts(" ", 3, " ."));
}

static void marks_before_everything_are_left_alone(void **state)
{
    (void)state;
    assert_true(accepts("... a", 3, "... A."));
    assert_true(accepts("... a", 3, "... ! A."));
    assert_false(accepts("... a", 3, "...! A"));
    assert_true(accepts("?", 3, "? !"));
    assert_false(accepts("?", 3, "?!"));
    assert_true(accepts("... ...a", 3, "... ... ...a"));
}

static void what_the_input_still_has_stays(void **state)
{
    (void)state;
    assert_true(accepts("é e", 1, "é é"));
    assert_false(accepts("é e", 1, "e e"));
    assert_false(accepts("é", 2, "É"));
    assert_true(accepts("Ab", 2, "AB"));
    assert_false(accepts("Ab", 2, "Áb"));
    assert_false(accepts("Ss", 2, "ẞ"));
    assert_true(accepts("e\u0301", 2, "e\u0301"));
    assert_false(accepts("e\u0301", 2, "é\u0301"));
    assert_false(accepts("e\u0301", 2, "e"));
    assert_true(accepts("a, b c", 3, "A, b, C."));
    assert_false(accepts("a, b", 3, "a b"));
    assert_false(accepts("a, b", 3, "a,! b"));
    assert_false(accepts("a, b", 3, "a! b"));
    assert_true(accepts("a , b", 3, "a , b."));
    assert_false(accepts("a , b", 3, "a! , b"));
    assert_true(accepts("Ganz gut: e", 0, "Ganz gut: e"));
    assert_false(accepts("e", 0, "é"));
}

static void invalid_bytes_stay(void **state)
{
    (void)state;
    assert_true(accepts("\xC3 a\xFF", 3, "\xC3. Á\xFF!"));
    assert_true(accepts("e\xC3", 1, "é\xC3"));
    assert_false(accepts("\xC3 a", 3, "\xC3\xA9 a"));
    assert_true(accepts("\xE2\x82", 3, "\xE2\x82\u202F!"));
    enx_reduce *reduce = open_reduce("a\0b", 3, 2);
    assert_true(accepts_bytes(reduce, "A\0B", 3));
    assert_false(accepts_bytes(reduce, "A", 1));
    enx_reduce_close(&reduce);
}

/* ---- every small output ---- */

enum { POINTS_MAX = 6, INPUTS_MAX = 4096, LENGTH_MAX = 4 * POINTS_MAX };

typedef struct small_text {
    char   bytes[LENGTH_MAX];
    size_t size_bytes;
} small_text;

typedef struct small_input {
    small_text  text;
    enx_reduce *reduce;
    uint64_t    right, accepted;
} small_input;

/* Inputs that some output of the alphabet is damaged to. */
typedef struct small_world {
    const int32_t *alphabet;
    size_t         letter_count, length;
    int            level;
    small_input   *inputs;
    size_t         input_count;
} small_world;

static void append_point(small_text *text, int32_t point)
{
    text->size_bytes +=
        (size_t)utf8proc_encode_char(point, (utf8proc_uint8_t *)text->bytes + text->size_bytes);
}

/* The outputs that reduce.h leaves out, told from the code points alone. */
static bool is_bounded(const int32_t *points, size_t count, int level)
{
    for (size_t i = 0; i < count; i++)
        if (points[i] >= 0x300 && points[i] <= 0x36F) return level == 0;
    bool   has_word = false;
    size_t dropped_end = SIZE_MAX;
    for (size_t i = 0; i < count && level == ENX_DAMAGE_PUNCTUATION; i++) {
        size_t end = i;
        while (end < count && enx_damage_is_mark(points[end])) end++;
        const bool drops =
            end > i && has_word && (end == count || enx_damage_is_space(points[end]));
        if (drops) {
            size_t space = i;
            while (enx_damage_is_space(points[space - 1])) space--;
            const bool is_one = i - space == 1 && (points[space] == ' ' || points[space] == 0xA0 ||
                                                   points[space] == 0x202F);
            if (space != i && !is_one) return false;
            if (end - i > ENX_REDUCE_MARKS_MAX || dropped_end == space) return false;
            dropped_end = end;
        }
        has_word = has_word || !enx_damage_is_space(points[i]);
        if (end > i) i = end - 1;
    }
    return true;
}

static small_input *find_input(small_world *world, const char *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < world->input_count; i++) {
        const small_text *text = &world->inputs[i].text;
        if (text->size_bytes == size_bytes && memcmp(text->bytes, bytes, size_bytes) == 0)
            return &world->inputs[i];
    }
    assert_true(world->input_count < INPUTS_MAX && size_bytes <= LENGTH_MAX);
    small_input *new = &world->inputs[world->input_count++];
    *new = (small_input){ .text.size_bytes = size_bytes };
    memcpy(new->text.bytes, bytes, size_bytes);
    new->reduce = open_reduce(bytes, size_bytes, world->level);
    return new;
}

static void try_output(small_world *world, const int32_t *points, size_t count)
{
    small_text text = { .size_bytes = 0 };
    for (size_t i = 0; i < count; i++) append_point(&text, points[i]);
    enx_buf damaged;
    enx_buf_init(&damaged, 256);
    assert_int_equal(enx_damage(&damaged, text.bytes, text.size_bytes, world->level, NULL), ENX_OK);
    enx_buf again;
    enx_buf_init(&again, 256);
    assert_int_equal(
        enx_damage(&again, enx_buf_text(&damaged), damaged.size_bytes, world->level, NULL), ENX_OK);
    /* What damage would damage further is not a fully damaged input. */
    if (again.size_bytes == damaged.size_bytes &&
        memcmp(enx_buf_text(&again), enx_buf_text(&damaged), again.size_bytes) == 0) {
        small_input *input = find_input(world, enx_buf_text(&damaged), damaged.size_bytes);
        const bool   want = is_bounded(points, count, world->level);
        const bool   got = accepts_bytes(input->reduce, text.bytes, text.size_bytes);
        if (want != got)
            fail_msg("level %d: \"%.*s\" from \"%s\": %s", world->level, (int)text.size_bytes,
                     text.bytes, enx_buf_text(&damaged), got ? "accepted" : "refused");
        input->right += want;
    }
    enx_buf_deinit(&damaged);
    enx_buf_deinit(&again);
}

static void try_all_outputs(small_world *world, int32_t *points, size_t count)
{
    try_output(world, points, count);
    if (count == world->length) return;
    for (size_t i = 0; i < world->letter_count; i++) {
        points[count] = world->alphabet[i];
        try_all_outputs(world, points, count + 1);
    }
}

/* How many texts over the alphabet the automaton accepts from here. */
static uint64_t count_accepted(const small_world *world, const enx_automaton *automaton,
                               const any_state *from, size_t left)
{
    uint64_t count = automaton->may_end(automaton, from);
    for (size_t i = 0; left > 0 && i < world->letter_count; i++) {
        any_state  state = *from;
        small_text letter = { .size_bytes = 0 };
        append_point(&letter, world->alphabet[i]);
        if (read_bytes(automaton, &state, letter.bytes, letter.size_bytes))
            count += count_accepted(world, automaton, &state, left - 1);
    }
    return count;
}

/* All outputs up to `length` code points: accepted by the input that they reduce to, unless out
 * of bounds; and no input accepts anything else. */
static void check_world(const int32_t *alphabet, size_t letter_count, size_t length, int level)
{
    small_world world = {
        .alphabet = alphabet, .letter_count = letter_count, .length = length, .level = level
    };
    int32_t points[POINTS_MAX];
    assert_true(length <= POINTS_MAX);
    world.inputs = calloc(INPUTS_MAX, sizeof *world.inputs);
    assert_non_null(world.inputs);
    try_all_outputs(&world, points, 0);
    for (size_t i = 0; i < world.input_count; i++) {
        const enx_automaton *automaton = enx_reduce_automaton(world.inputs[i].reduce);
        any_state            state;
        automaton->start(automaton, &state);
        assert_int_equal(count_accepted(&world, automaton, &state, length), world.inputs[i].right);
        enx_reduce_close(&world.inputs[i].reduce);
    }
    free(world.inputs);
}

static void every_small_text_with_accents_is_decided_right(void **state)
{
    (void)state;
    static const int32_t alphabet[] = { 'a', 'A', 'E', 'e', 0xE6, 0xC6, 0x1FC, 's', 0xDF, 0x301 };
    check_world(alphabet, sizeof alphabet / sizeof *alphabet, 3, ENX_DAMAGE_ACCENTS);
}

static void every_small_text_with_capitals_is_decided_right(void **state)
{
    (void)state;
    static const int32_t alphabet[] = { 's', 'S', 0xDF, 0x1E9E, 0x15A, 't', 'H', 0xFE, 0x301 };
    check_world(alphabet, sizeof alphabet / sizeof *alphabet, 4, ENX_DAMAGE_CAPITALS);
}

static void every_small_text_with_marks_is_decided_right(void **state)
{
    (void)state;
    static const int32_t marks[] = { 'a', ' ', '.', 0xA0 };
    check_world(marks, sizeof marks / sizeof *marks, 6, ENX_DAMAGE_PUNCTUATION);
    static const int32_t all[] = { 's', 0xDF, 'S', ' ', '!', 0x202F };
    check_world(all, sizeof all / sizeof *all, 5, ENX_DAMAGE_PUNCTUATION);
}

/* ---- walks ---- */

static size_t random_text(char *out, size_t points_max, enx_rng *rng)
{
    static const char *const pieces[] = { "a",    "e",    "s",      "s",      "t",      "h", "o",
                                          "e",    " ",    " ",      " ",      ".",      ",", "\n",
                                          "1",    "-",    "A",      "É",      "ß",      "ж", "\xC3",
                                          "\x82", "\xFF", "\u0301", "\u00A0", "\u202F", "ω", "=" };
    const size_t             count = (size_t)enx_rng_below(rng, points_max + 1);
    size_t                   size_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[enx_rng_below(rng, sizeof pieces / sizeof *pieces)];
        memcpy(out + size_bytes, piece, strlen(piece));
        size_bytes += strlen(piece);
    }
    return size_bytes;
}

/* A random output, byte by byte among those allowed; every state must have a way on. */
static size_t walk(const enx_automaton *automaton, char *out, size_t out_bytes_max, enx_rng *rng)
{
    any_state state;
    size_t    size_bytes = 0;
    automaton->start(automaton, &state);
    for (;;) {
        uint64_t bytes[4] = { 0 };
        uint8_t  choices[256];
        uint64_t count = 0;
        automaton->next_bytes(automaton, &state, bytes);
        for (unsigned byte = 0; byte < 256; byte++)
            if (bytes[byte >> 6] >> (byte & 63) & 1) choices[count++] = (uint8_t)byte;
        const bool may_end = automaton->may_end(automaton, &state);
        assert_true(count > 0 || may_end);
        const uint64_t chosen = enx_rng_below(rng, count + may_end);
        if (chosen == count) return size_bytes;
        assert_true(size_bytes < out_bytes_max);
        out[size_bytes++] = (char)choices[chosen];
        assert_true(automaton->step(automaton, &state, choices[chosen]));
    }
}

static void walks_end_and_reduce_to_the_input(void **state)
{
    (void)state;
    enx_buf want, got;
    enx_buf_init(&want, 4096);
    enx_buf_init(&got, 4096);
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        enx_rng      rng = enx_rng_open(seed, 2);
        char         input[256], output[2048];
        const size_t input_bytes = random_text(input, 40, &rng);
        const int    level = (int)enx_rng_below(&rng, ENX_DAMAGE_LEVELS);
        enx_reduce  *reduce = open_reduce(input, input_bytes, level);
        assert_true(accepts_bytes(reduce, input, input_bytes)); /* nothing need be restored */
        for (int i = 0; i < 4; i++) {
            const size_t output_bytes =
                walk(enx_reduce_automaton(reduce), output, sizeof output, &rng);
            enx_buf_clear(&want);
            enx_buf_clear(&got);
            assert_int_equal(enx_damage(&want, input, input_bytes, level, NULL), ENX_OK);
            assert_int_equal(enx_damage(&got, output, output_bytes, level, NULL), ENX_OK);
            if (strcmp(enx_buf_text(&want), enx_buf_text(&got)) != 0)
                fail_msg("seed %u level %d: \"%.*s\" became \"%.*s\"", (unsigned)seed, level,
                         (int)input_bytes, input, (int)output_bytes, output);
        }
        enx_reduce_close(&reduce);
    }
    enx_buf_deinit(&want);
    enx_buf_deinit(&got);
}

static void every_spelling_of_every_letter_is_accepted(void **state)
{
    (void)state;
    for (int32_t point = 0x80; point < 0x2500; point++) {
        for (int level = 1; level <= 2; level++) {
            if (point >= 0x300 && point <= 0x36F) continue;
            char    text[5] = { 0 };
            enx_buf damaged;
            enx_buf_init(&damaged, 64);
            utf8proc_encode_char(point, (utf8proc_uint8_t *)text);
            assert_int_equal(enx_damage(&damaged, text, strlen(text), level, NULL), ENX_OK);
            if (!accepts(enx_buf_text(&damaged), level, text))
                fail_msg("U+%04X is no spelling of %s", (unsigned)point, enx_buf_text(&damaged));
            enx_buf_deinit(&damaged);
        }
    }
}

/* ---- limits ---- */

static void limits_are_told(void **state)
{
    (void)state;
    enx_report  report = { 0 };
    enx_reduce *reduce = NULL;
    char       *text = malloc(ENX_REDUCE_INPUT_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, 's', ENX_REDUCE_INPUT_BYTES_MAX + 1);
    assert_int_equal(enx_reduce_open(&reduce, text, ENX_REDUCE_INPUT_BYTES_MAX + 1, 3, &report),
                     ENX_LIMIT);
    assert_string_equal(report.text,
                        "reduce: the input has 1048577 bytes, at most 1048576 are taken");
    assert_int_equal(enx_reduce_open(&reduce, text, 1, 4, &report), ENX_INVALID);
    assert_string_equal(report.text, "reduce: level 4 is not in 0..3");
    assert_int_equal(enx_reduce_open(&reduce, text, 1, -1, NULL), ENX_INVALID);
    assert_null(reduce);
    reduce = open_reduce(text, ENX_REDUCE_INPUT_BYTES_MAX, 3);
    assert_true(accepts_bytes(reduce, text, ENX_REDUCE_INPUT_BYTES_MAX));
    enx_reduce_close(&reduce);
    enx_reduce_close(&reduce); /* accepts NULL */
    free(text);
}

static void no_memory_is_no_crash(void **state)
{
    (void)state;
    for (long calls = 0;; calls++) {
        enx_reduce *reduce = NULL;
        assert_true(calls < 100);
        enx_mem_fail_after(calls);
        const enx_status status = enx_reduce_open(&reduce, "strasse oe", 10, 3, NULL);
        enx_mem_fail_after(-1);
        if (status == ENX_OK) {
            assert_true(calls > 3);
            enx_reduce_close(&reduce);
            return;
        }
        assert_int_equal(status, ENX_NOMEM);
        assert_null(reduce);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accents_come_back_at_level_1),
        cmocka_unit_test(capitals_come_back_at_level_2),
        cmocka_unit_test(marks_come_back_at_level_3),
        cmocka_unit_test(marks_before_everything_are_left_alone),
        cmocka_unit_test(what_the_input_still_has_stays),
        cmocka_unit_test(invalid_bytes_stay),
        cmocka_unit_test(every_small_text_with_accents_is_decided_right),
        cmocka_unit_test(every_small_text_with_capitals_is_decided_right),
        cmocka_unit_test(every_small_text_with_marks_is_decided_right),
        cmocka_unit_test(walks_end_and_reduce_to_the_input),
        cmocka_unit_test(every_spelling_of_every_letter_is_accepted),
        cmocka_unit_test(limits_are_told),
        cmocka_unit_test(no_memory_is_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
