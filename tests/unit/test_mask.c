/* SPDX-License-Identifier: Apache-2.0 */
/* test_mask.c - a mask allows exactly the tokens that its automaton can read. */
#include "text/mask.h"

#include "base/mem.h"
#include "base/rng.h"
#include "text/damage.h"
#include "text/dfa.h"
#include "text/grammar.h"
#include "text/reduce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include <cmocka.h>

/* The end, the bytes, then longer tokens: some twice, some cut inside a character, one control. */
enum { EOS = 0, FIRST_BYTE = 1, FIRST_LONG = 257 };

static const char *const long_tokens[] = {
    "ão", "\xC3", " \xC3", "de", "ße",  " de",   "De", " D", ". ",      ".\n", ", ",
    "!!", "!!!!", "ss",    "ae", "dem", "\xA3o", "de", "  ", "\u00A0!", " a",  "<tool>",
};
enum { LONG_COUNT = sizeof long_tokens / sizeof *long_tokens, TOKENS = FIRST_LONG + LONG_COUNT };
enum { CONTROL = TOKENS - 1 };

static enx_tokenizer *open_tokenizer(bool has_end)
{
    static char    bytes[256];
    enx_gguf_str   tokens[TOKENS] = { { .data = "<eos>", .size_bytes = 5 } };
    bool           is_control[TOKENS] = { [EOS] = true, [CONTROL] = true };
    enx_tokenizer *tokenizer = NULL;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        tokens[FIRST_BYTE + i] = (enx_gguf_str){ .data = &bytes[i], .size_bytes = 1 };
    }
    for (int i = 0; i < LONG_COUNT; i++)
        tokens[FIRST_LONG + i] =
            (enx_gguf_str){ .data = long_tokens[i], .size_bytes = strlen(long_tokens[i]) };
    const enx_vocab vocab = { .tokens = tokens,
                              .is_control = is_control,
                              .token_count = TOKENS,
                              .pre = "gpt-2",
                              .eos = has_end ? EOS : ENX_TOKEN_NONE };
    assert_int_equal(enx_tokenizer_open_vocab(&tokenizer, &vocab, NULL), ENX_OK);
    return tokenizer;
}

typedef struct fixture {
    enx_tokenizer *tokenizer;
    enx_trie      *trie;
    enx_reduce    *reduce;
    enx_mask      *mask;
} fixture;

static fixture open_fixture(const char *text, size_t size_bytes, int level)
{
    fixture f = { .tokenizer = open_tokenizer(true) };
    assert_int_equal(enx_trie_open(&f.trie, f.tokenizer, NULL), ENX_OK);
    assert_int_equal(enx_reduce_open(&f.reduce, text, size_bytes, level, NULL), ENX_OK);
    assert_int_equal(
        enx_mask_open(&f.mask, enx_reduce_automaton(f.reduce), f.trie, f.tokenizer, NULL), ENX_OK);
    return f;
}

static void close_fixture(fixture *f)
{
    enx_mask_close(&f->mask);
    enx_reduce_close(&f->reduce);
    enx_trie_close(&f->trie);
    enx_tokenizer_close(&f->tokenizer);
    assert_null(f->mask);
    assert_null(f->trie);
}

static bool is_in(const uint32_t *ids, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id) return true;
    return false;
}

/* Read `token` from a copy of `state`. */
static bool can_read(const enx_automaton *automaton, const uint8_t state[64], enx_gguf_str token)
{
    _Alignas(16) uint8_t copy[64];
    memcpy(copy, state, sizeof copy);
    for (size_t i = 0; i < token.size_bytes; i++)
        if (!automaton->step(automaton, copy, (uint8_t)token.data[i])) return false;
    return true;
}

static void allowed_tokens_are_those_that_the_automaton_reads(void **state)
{
    (void)state;
    static const char   *texts[] = { "de aesse", "nao de", "a\xC3 de\n dem", "...  de", "" };
    _Alignas(16) uint8_t now[64];
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const char          *text = texts[seed % 5];
        fixture              f = open_fixture(text, strlen(text), (int)(seed % ENX_DAMAGE_LEVELS));
        const enx_automaton *automaton = enx_reduce_automaton(f.reduce);
        enx_rng              rng = enx_rng_open(seed, 1);
        uint32_t             ids[TOKENS], want[TOKENS];
        automaton->start(automaton, now);
        for (;;) {
            size_t want_count = 0;
            for (uint32_t id = 0; id < TOKENS; id++) {
                const bool is_ok =
                    id == EOS ? automaton->may_end(automaton, now)
                              : id != CONTROL &&
                                    can_read(automaton, now, enx_tokenizer_bytes(f.tokenizer, id));
                if (is_ok) want[want_count++] = id;
            }
            const size_t count = enx_mask_allowed(f.mask, ids);
            assert_int_equal(count, want_count);
            assert_memory_equal(ids, want, count * sizeof *ids);
            const uint32_t id = ids[enx_rng_below(&rng, count)];
            assert_true(enx_mask_accept(f.mask, id));
            if (id == EOS) break;
            const enx_gguf_str token = enx_tokenizer_bytes(f.tokenizer, id);
            for (size_t i = 0; i < token.size_bytes; i++)
                assert_true(automaton->step(automaton, now, (uint8_t)token.data[i]));
        }
        close_fixture(&f);
    }
}

static void refused_tokens_change_nothing(void **state)
{
    (void)state;
    fixture  f = open_fixture("de", 2, 2);
    uint32_t before[TOKENS], after[TOKENS];
    for (int step = 0; step < 2; step++) {
        const size_t count = enx_mask_allowed(f.mask, before);
        for (uint32_t id = 0; id < TOKENS + 3; id++)
            if (!is_in(before, count, id)) assert_false(enx_mask_accept(f.mask, id));
        assert_int_equal(enx_mask_allowed(f.mask, after), count);
        assert_memory_equal(before, after, count * sizeof *before);
        assert_true(enx_mask_accept(f.mask, FIRST_BYTE + "dE"[step]));
    }
    close_fixture(&f);
}

static void nothing_follows_the_end_until_reset(void **state)
{
    (void)state;
    fixture  f = open_fixture("de", 2, 1);
    uint32_t ids[TOKENS];
    for (int round = 0; round < 2; round++) {
        assert_false(enx_mask_accept(f.mask, EOS));
        assert_true(enx_mask_accept(f.mask, FIRST_LONG + 3)); /* de */
        assert_int_equal(enx_mask_allowed(f.mask, ids), 1);
        assert_int_equal(ids[0], EOS);
        assert_true(enx_mask_accept(f.mask, EOS));
        assert_int_equal(enx_mask_allowed(f.mask, ids), 0);
        assert_false(enx_mask_accept(f.mask, EOS));
        assert_false(enx_mask_accept(f.mask, FIRST_BYTE + 'd'));
        enx_mask_reset(f.mask);
    }
    close_fixture(&f);
}

static void without_an_end_token_a_complete_output_is_stuck(void **state)
{
    (void)state;
    enx_tokenizer *tokenizer = open_tokenizer(false);
    enx_trie      *trie = NULL;
    enx_reduce    *reduce = NULL;
    enx_mask      *mask = NULL;
    uint32_t       ids[TOKENS];
    assert_int_equal(enx_trie_open(&trie, tokenizer, NULL), ENX_OK);
    assert_int_equal(enx_reduce_open(&reduce, "x", 1, 0, NULL), ENX_OK);
    assert_int_equal(enx_mask_open(&mask, enx_reduce_automaton(reduce), trie, tokenizer, NULL),
                     ENX_OK);
    assert_int_equal(enx_mask_allowed(mask, ids), 1);
    assert_true(enx_mask_accept(mask, ids[0]));
    assert_int_equal(enx_mask_allowed(mask, ids), 0);
    enx_mask_close(&mask);
    enx_reduce_close(&reduce);
    enx_trie_close(&trie);
    enx_tokenizer_close(&tokenizer);
}

static void next_bytes_is_only_for_speed(void **state)
{
    (void)state;
    fixture       f = open_fixture("de aesse dem", 12, 3);
    enx_automaton slow = *enx_reduce_automaton(f.reduce);
    enx_mask     *mask = NULL;
    /* The automaton is the reduce's first member: stand in for it to lose next_bytes. */
    slow.next_bytes = NULL;
    enx_automaton *own = (enx_automaton *)(uintptr_t)enx_reduce_automaton(f.reduce);
    assert_int_equal(enx_mask_open(&mask, own, f.trie, f.tokenizer, NULL), ENX_OK);
    const enx_automaton fast = *own;
    enx_rng             rng = enx_rng_open(3, 3);
    for (;;) {
        uint32_t     with[TOKENS], without[TOKENS];
        const size_t count = enx_mask_allowed(f.mask, with);
        *own = slow;
        assert_int_equal(enx_mask_allowed(mask, without), count);
        *own = fast;
        assert_memory_equal(with, without, count * sizeof *with);
        const uint32_t id = with[enx_rng_below(&rng, count)];
        assert_true(enx_mask_accept(mask, id) && enx_mask_accept(f.mask, id));
        if (id == EOS) break;
    }
    enx_mask_close(&mask);
    close_fixture(&f);
}

static void walks_of_tokens_end_and_reduce_to_the_input(void **state)
{
    (void)state;
    static const char text[] = "...  de Aesse\xC3 n\xC3\xA3o dem, de.de strasse\n\n fim";
    enx_buf           want, got, damaged;
    enx_buf_init(&want, 4096);
    enx_buf_init(&got, 4096);
    enx_buf_init(&damaged, 4096);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        const int level = (int)(seed % ENX_DAMAGE_LEVELS);
        fixture   f = open_fixture(text, sizeof text - 1, level);
        enx_rng   rng = enx_rng_open(seed, 4);
        enx_buf_clear(&want), enx_buf_clear(&got), enx_buf_clear(&damaged);
        for (uint32_t id = FIRST_BYTE; id != EOS;) {
            uint32_t     ids[TOKENS];
            const size_t count = enx_mask_allowed(f.mask, ids);
            assert_true(count > 0);
            id = ids[enx_rng_below(&rng, count)];
            assert_true(enx_mask_accept(f.mask, id));
            const enx_gguf_str token = enx_tokenizer_bytes(f.tokenizer, id);
            if (id != EOS)
                assert_int_equal(enx_buf_append(&got, token.data, token.size_bytes), ENX_OK);
        }
        assert_int_equal(enx_damage(&want, text, sizeof text - 1, level, NULL), ENX_OK);
        assert_int_equal(enx_damage(&damaged, got.data, got.size_bytes, level, NULL), ENX_OK);
        assert_string_equal(enx_buf_text(&damaged), enx_buf_text(&want));
        close_fixture(&f);
    }
    enx_buf_deinit(&want);
    enx_buf_deinit(&got);
    enx_buf_deinit(&damaged);
}

static void a_kept_answer_is_the_answer_of_a_fresh_mask(void **state)
{
    (void)state;
    static const char text[] = "root ::= (\"<\" [^>]* \">\" [ -/]?)+";
    fixture           f = open_fixture("", 0, 0);
    enx_grammar      *grammar = NULL;
    enx_mask         *mask = NULL;
    uint32_t          ids[TOKENS], fresh_ids[TOKENS], path[60];
    enx_rng           rng = enx_rng_open(9, 9);
    assert_int_equal(enx_grammar_open(&grammar, text, sizeof text - 1, NULL), ENX_OK);
    const enx_automaton *automaton = enx_grammar_automaton(grammar);
    assert_int_equal(enx_mask_open(&mask, automaton, f.trie, f.tokenizer, NULL), ENX_OK);
    for (size_t length = 0; length < sizeof path / sizeof *path; length++) {
        enx_mask *fresh = NULL;
        assert_int_equal(enx_mask_open(&fresh, automaton, f.trie, f.tokenizer, NULL), ENX_OK);
        for (size_t i = 0; i < length; i++) assert_true(enx_mask_accept(fresh, path[i]));
        const size_t count = enx_mask_allowed(mask, ids);
        assert_int_equal(enx_mask_allowed(fresh, fresh_ids), count);
        assert_memory_equal(ids, fresh_ids, count * sizeof *ids);
        enx_mask_close(&fresh);
        do path[length] = ids[enx_rng_below(&rng, count)];
        while (path[length] == EOS);
        assert_true(enx_mask_accept(mask, path[length]));
    }
    enx_mask_close(&mask);
    enx_grammar_close(&grammar);
    close_fixture(&f);
}

/* The next token of the text that must come, or ENX_TOKEN_NONE. */
static void assert_forced(const char *grammar_text, const char *want)
{
    fixture      f = open_fixture("", 0, 0);
    enx_grammar *grammar = NULL;
    enx_mask    *mask = NULL;
    assert_int_equal(enx_grammar_open(&grammar, grammar_text, strlen(grammar_text), NULL), ENX_OK);
    assert_int_equal(
        enx_mask_open(&mask, enx_grammar_automaton(grammar), f.trie, f.tokenizer, NULL), ENX_OK);
    const uint32_t id = enx_mask_forced(mask);
    if (want) {
        const enx_gguf_str bytes = enx_tokenizer_bytes(f.tokenizer, id);
        assert_int_equal(bytes.size_bytes, strlen(want));
        assert_memory_equal(bytes.data, want, bytes.size_bytes);
        assert_true(enx_mask_accept(mask, id));
    } else {
        assert_int_equal(id, ENX_TOKEN_NONE);
    }
    enx_mask_close(&mask);
    enx_grammar_close(&grammar);
    close_fixture(&f);
}

static void forced_text_comes_by_its_longest_tokens(void **state)
{
    (void)state;
    assert_forced("root ::= \" dem\" [a-z]", " de");  /* not " d" */
    assert_forced("root ::= \"de\" [a-z]", "d");      /* \"dem\" may be meant */
    assert_forced("root ::= \"ssx\" | \"ssy\"", "s"); /* what is common to both is \"ss\" */
    assert_forced("root ::= \"d\" [a-z]", NULL);
    assert_forced("root ::= [ab] \"dem\"", NULL);
    assert_forced("root ::= \"dem\"?", NULL);        /* it may end here */
    assert_forced("root ::= \"!!!!\" \"!\"*", "!!"); /* it may end behind four */
}

/* Whether the automaton reads a token, by the automaton alone. */
static bool reads(const enx_automaton *automaton, const void *from, const enx_tokenizer *tokenizer,
                  uint32_t id)
{
    static _Alignas(16) uint8_t state[ENX_MASK_STATE_BYTES_MAX];
    const enx_gguf_str          bytes = enx_tokenizer_bytes(tokenizer, id);
    if (enx_tokenizer_is_control(tokenizer, id)) return false;
    memcpy(state, from, automaton->state_bytes);
    for (size_t i = 0; i < bytes.size_bytes; i++)
        if (!automaton->step(automaton, state, (uint8_t)bytes.data[i])) return false;
    return true;
}

/* More states than a table has room for: it is cleared on the way, and nobody notices. */
static void full_tables_change_nothing(void **state)
{
    (void)state;
    static const char text[] =
        "root ::= [a-zA-Z .,!\\n\\x80-\\U0010FFFF]{2000,9000} (\"de\"{0,9} | \" De\"){30,50}";
    static _Alignas(16) uint8_t now[ENX_MASK_STATE_BYTES_MAX];
    fixture                     f = open_fixture("a", 1, 1);
    enx_grammar                *grammar = NULL;
    enx_mask                   *mask = NULL;
    uint32_t                    ids[TOKENS];
    enx_rng                     rng = enx_rng_open(4, 4);
    assert_int_equal(enx_grammar_open(&grammar, text, sizeof text - 1, NULL), ENX_OK);
    const enx_automaton *automaton = enx_grammar_automaton(grammar);
    assert_int_equal(enx_mask_open(&mask, automaton, f.trie, f.tokenizer, NULL), ENX_OK);
    automaton->start(automaton, now);
    for (int length = 0; length < 3000; length++) {
        const size_t count = enx_mask_allowed(mask, ids);
        for (uint32_t id = 0; id < TOKENS; id++)
            if (id != EOS && is_in(ids, count, id) != reads(automaton, now, f.tokenizer, id))
                fail_msg("token %u after %d", id, length);
        uint32_t id;
        do id = ids[enx_rng_below(&rng, count)];
        while (id == EOS);
        const enx_gguf_str bytes = enx_tokenizer_bytes(f.tokenizer, id);
        for (size_t i = 0; i < bytes.size_bytes; i++)
            automaton->step(automaton, now, (uint8_t)bytes.data[i]);
        assert_true(enx_mask_accept(mask, id));
    }
    enx_mask_close(&mask);
    enx_grammar_close(&grammar);
    close_fixture(&f);
}

/* Bytes of a character that no class tells apart from its neighbours lead to one state. */
static void states_are_few(void **state)
{
    (void)state;
    static const char           text[] = "root ::= [^\"]*";
    static _Alignas(16) uint8_t at[ENX_MASK_STATE_BYTES_MAX];
    enx_grammar                *grammar = NULL;
    enx_dfa                    *dfa = NULL;
    assert_int_equal(enx_grammar_open(&grammar, text, sizeof text - 1, NULL), ENX_OK);
    const enx_automaton *automaton = enx_grammar_automaton(grammar);
    assert_int_equal(enx_dfa_open(&dfa, automaton, NULL), ENX_OK);
    automaton->start(automaton, at);
    bool           met[ENX_DFA_STATES_MAX] = { false };
    const uint16_t first = enx_dfa_number(dfa, at);
    for (uint32_t point = 0x80; point < 0x110000; point += 37) {
        uint8_t bytes[4];
        if (point >= 0xD800 && point <= 0xDFFF) continue;
        const int count = (int)utf8proc_encode_char((int32_t)point, bytes);
        uint16_t  number = first;
        for (int i = 0; i < count; i++) {
            const uint16_t next = enx_dfa_row(dfa, number)[bytes[i]];
            number = next == ENX_DFA_UNKNOWN ? enx_dfa_step(dfa, number, bytes[i]) : next;
            assert_true(number < ENX_DFA_STATES_MAX);
            met[number] = true;
        }
        assert_int_equal(number, first);
    }
    size_t count = 0;
    for (size_t i = 0; i < ENX_DFA_STATES_MAX; i++) count += met[i];
    assert_in_range(count, 2, 12);
    enx_dfa_close(&dfa);
    enx_grammar_close(&grammar);
}

static void asking_and_telling_take_no_memory(void **state)
{
    (void)state;
    fixture  f = open_fixture("de aesse", 8, 3);
    uint32_t ids[TOKENS];
    enx_mem_fail_after(0);
    for (;;) {
        assert_true(enx_mask_allowed(f.mask, ids) > 0);
        assert_true(enx_mask_accept(f.mask, ids[0]));
        if (ids[0] == EOS) break;
    }
    enx_mask_reset(f.mask);
    assert_null(enx_mem_new(1, 1)); /* the failure is still there: nobody met it */
    enx_mem_fail_after(-1);
    close_fixture(&f);
}

static void no_memory_is_no_crash(void **state)
{
    (void)state;
    fixture      f = open_fixture("de", 2, 3);
    bool         is_open = false;
    enx_grammar *grammar = NULL; /* its states come back: a table is opened too */
    assert_int_equal(enx_grammar_open(&grammar, "root ::= \"a\"", 12, NULL), ENX_OK);
    for (long calls = 0; !is_open; calls++) {
        enx_trie *trie = NULL;
        enx_mask *mask = NULL;
        assert_true(calls < 100);
        enx_mem_fail_after(calls);
        enx_status status = enx_trie_open(&trie, f.tokenizer, NULL);
        if (status == ENX_OK)
            status = enx_mask_open(&mask, enx_grammar_automaton(grammar), trie, f.tokenizer, NULL);
        enx_mem_fail_after(-1);
        is_open = status == ENX_OK;
        assert_true(is_open || (status == ENX_NOMEM && !mask));
        assert_true(!is_open || calls > 75);
        enx_mask_close(&mask);
        enx_trie_close(&trie);
    }
    enx_grammar_close(&grammar);
    close_fixture(&f);
}

static void a_vocabulary_with_too_many_nodes_is_refused(void **state)
{
    (void)state;
    enum { COUNT = 17000, BYTES = 1000 };
    char         *bytes = calloc(COUNT, BYTES);
    enx_gguf_str *tokens = calloc(COUNT, sizeof *tokens);
    assert_true(bytes && tokens);
    for (int i = 0; i < COUNT; i++) {
        char *token = bytes + i * BYTES;
        memset(token, 'x', BYTES);
        token[0] = (char)(i >> 8), token[1] = (char)i;
        tokens[i] = (enx_gguf_str){ .data = token, .size_bytes = BYTES };
    }
    const enx_vocab vocab = {
        .tokens = tokens, .token_count = COUNT, .pre = "gpt-2", .eos = ENX_TOKEN_NONE
    };
    enx_tokenizer   *tokenizer = NULL;
    enx_trie        *trie = NULL;
    enx_report       report = { 0 };
    const enx_status opened = enx_tokenizer_open_vocab(&tokenizer, &vocab, &report);
    if (opened == ENX_OK) {
        assert_int_equal(enx_trie_open(&trie, tokenizer, &report), ENX_LIMIT);
        assert_non_null(strstr(report.text, "nodes, at most 16777216 are taken"));
    } else {
        assert_int_equal(opened, ENX_FORMAT); /* a vocabulary without all bytes may be refused */
    }
    assert_null(trie);
    enx_trie_close(&trie); /* accepts NULL */
    enx_tokenizer_close(&tokenizer);
    free(tokens);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allowed_tokens_are_those_that_the_automaton_reads),
        cmocka_unit_test(refused_tokens_change_nothing),
        cmocka_unit_test(nothing_follows_the_end_until_reset),
        cmocka_unit_test(without_an_end_token_a_complete_output_is_stuck),
        cmocka_unit_test(next_bytes_is_only_for_speed),
        cmocka_unit_test(walks_of_tokens_end_and_reduce_to_the_input),
        cmocka_unit_test(a_kept_answer_is_the_answer_of_a_fresh_mask),
        cmocka_unit_test(forced_text_comes_by_its_longest_tokens),
        cmocka_unit_test(full_tables_change_nothing),
        cmocka_unit_test(states_are_few),
        cmocka_unit_test(asking_and_telling_take_no_memory),
        cmocka_unit_test(no_memory_is_no_crash),
        cmocka_unit_test(a_vocabulary_with_too_many_nodes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
