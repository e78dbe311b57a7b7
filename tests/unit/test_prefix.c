/* SPDX-License-Identifier: Apache-2.0 */
/* test_prefix.c - pages hold what they are said to hold, and none is lost. */
#include "base/mem.h"
#include "base/rng.h"
#include "engine/prefix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { PAGES = 24, POSITIONS = 96, CHAIN = POSITIONS / ENX_KV_PAGE, SEQUENCES = 5 };

/* What was computed for each position of each page: a hash of all tokens up to it. */
static uint64_t content[PAGES][ENX_KV_PAGE];

typedef struct sequence {
    bool      is_there;
    uint32_t  pages[CHAIN];
    enx_chain chain;
    uint32_t  tokens[POSITIONS];
    uint64_t  hashes[POSITIONS];
    uint32_t  prompt_count, most, evaluated, count;
} sequence;

static enx_prefix *open_or_fail(uint32_t pages)
{
    enx_prefix *p = NULL;
    assert_int_equal(enx_prefix_open(&p, pages, NULL), ENX_OK);
    return p;
}

static void hash_tokens(sequence *s)
{
    uint64_t hash = 1;
    for (uint32_t i = 0; i < s->most; i++)
        s->hashes[i] = hash = (hash ^ s->tokens[i]) * UINT64_C(0x9E3779B97F4A7C15) + 7;
}

/* Tokens of few kinds, so that many sequences begin alike. */
static void draw_sequence(enx_rng *rng, sequence *s)
{
    s->prompt_count = 1 + (uint32_t)enx_rng_below(rng, POSITIONS - 1);
    s->most = s->prompt_count + (uint32_t)enx_rng_below(rng, POSITIONS - s->prompt_count + 1);
    for (uint32_t i = 0; i < s->most; i++)
        s->tokens[i] = i % 11 == 0 ? (uint32_t)enx_rng_below(rng, 2) : 3;
    hash_tokens(s);
    s->evaluated = 0;
    s->chain.pages = s->pages;
}

static bool take(enx_prefix *p, sequence *s)
{
    if (!enx_prefix_take(p, s->tokens, s->prompt_count, s->most, &s->chain)) return false;
    const enx_chain *c = &s->chain;
    if (c->copy_from != ENX_PREFIX_NO_PAGE) {
        memcpy(content[c->pages[c->copy_index]], content[c->copy_from], sizeof *content);
        s->evaluated = c->known_count;
    }
    assert_true(s->evaluated < s->prompt_count);
    assert_int_equal(c->page_count, (s->most + ENX_KV_PAGE - 1) / ENX_KV_PAGE);
    return s->is_there = true;
}

/* The next position: somebody else's work if it is there already. */
static void evaluate(enx_prefix *p, sequence *s)
{
    const uint32_t index = s->evaluated / ENX_KV_PAGE, inside = s->evaluated % ENX_KV_PAGE;
    const uint32_t page = s->chain.pages[index];
    if (index >= s->chain.tree_count || enx_prefix_filled(p, page) <= inside) {
        content[page][inside] = s->hashes[s->evaluated];
        if (index < s->chain.tree_count) enx_prefix_set_filled(p, page, inside + 1);
    }
    s->evaluated++;
}

static void check_sequence(const sequence *s)
{
    for (uint32_t i = 0; i < s->evaluated; i++)
        assert_true(content[s->chain.pages[i / ENX_KV_PAGE]][i % ENX_KV_PAGE] == s->hashes[i]);
}

/* Pages that sequences hold, each once. */
static uint32_t count_held(const sequence *sequences)
{
    bool     is_held[PAGES] = { false };
    uint32_t count = 0;
    for (uint32_t i = 0; i < SEQUENCES; i++)
        for (uint32_t j = 0; sequences[i].is_there && j < sequences[i].chain.page_count; j++) {
            const uint32_t page = sequences[i].chain.pages[j];
            count += !is_held[page];
            is_held[page] = true;
        }
    return count;
}

static void pages_hold_what_they_are_said_to_hold(void **state)
{
    (void)state;
    uint32_t shared = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        enx_rng         rng = enx_rng_open(seed, 1);
        static sequence sequences[SEQUENCES];
        enx_prefix     *p = open_or_fail(PAGES);
        memset(sequences, 0, sizeof sequences);
        for (int step = 0; step < 1500; step++) {
            sequence *s = &sequences[enx_rng_below(&rng, SEQUENCES)];
            if (!s->is_there) {
                draw_sequence(&rng, s);
                if (take(p, s)) shared += s->evaluated;
            } else if (enx_rng_below(&rng, 20) == 0) {
                enx_prefix_release(p, &s->chain, s->tokens, s->evaluated);
                s->is_there = false;
            } else {
                for (int n = 0; n < 9 && s->evaluated < s->most; n++) evaluate(p, s);
                check_sequence(s);
            }
            assert_int_equal(enx_prefix_available(p), PAGES - count_held(sequences));
        }
        enx_prefix_close(&p);
    }
    assert_true(shared > 1000);
}

static void run_whole(enx_prefix *p, sequence *s)
{
    assert_true(take(p, s));
    while (s->evaluated < s->most) evaluate(p, s);
    enx_prefix_release(p, &s->chain, s->tokens, s->evaluated);
    s->is_there = false;
}

/* Three pages and a piece, from one token on. */
static sequence sequence_of(uint32_t first)
{
    sequence s = { .prompt_count = 3 * ENX_KV_PAGE + 5, .most = 3 * ENX_KV_PAGE + 5 };
    for (uint32_t i = 0; i < s.most; i++) s.tokens[i] = first + i;
    hash_tokens(&s);
    return s;
}

/* How many positions of it are known before anything is computed. */
static uint32_t known_of(enx_prefix *p, sequence *s)
{
    uint32_t known = 0;
    s->chain.pages = s->pages;
    assert_true(enx_prefix_take(p, s->tokens, s->prompt_count, s->most, &s->chain));
    for (uint32_t i = 0; i < s->chain.tree_count; i++)
        known += enx_prefix_filled(p, s->chain.pages[i]);
    if (s->chain.known_count > known) known = s->chain.known_count;
    enx_prefix_release(p, &s->chain, s->tokens, known);
    return known;
}

static void the_longest_unused_is_forgotten_first(void **state)
{
    (void)state;
    enx_prefix *p = open_or_fail(10); /* two sequences of four pages, and two pages more */
    sequence    a = sequence_of(0), b = sequence_of(1000), c = sequence_of(2000);
    a.chain.pages = a.pages;
    b.chain.pages = b.pages;
    c.chain.pages = c.pages;
    run_whole(p, &a);
    run_whole(p, &b);
    assert_int_equal(known_of(p, &a), a.prompt_count - 1); /* now a is the younger one */
    run_whole(p, &c);
    assert_int_equal(known_of(p, &a), a.prompt_count - 1);
    assert_int_equal(enx_prefix_evicted(p), 3);
    /* Of b only the beginning is left: it went from its end on, two pages for c, one for a. */
    assert_int_equal(known_of(p, &b), ENX_KV_PAGE);
    enx_prefix_close(&p);
}

static void too_few_pages_take_nothing(void **state)
{
    (void)state;
    enx_prefix *p = open_or_fail(7);
    sequence    a = sequence_of(0), b = sequence_of(1000), same = sequence_of(0);
    a.chain.pages = a.pages;
    b.chain.pages = b.pages;
    same.chain.pages = same.pages;
    assert_true(take(p, &a));
    assert_int_equal(enx_prefix_available(p), 3);
    assert_false(take(p, &b));
    assert_int_equal(enx_prefix_available(p), 3);
    assert_true(take(p, &same)); /* one page of its own is enough */
    assert_int_equal(enx_prefix_available(p), 2);
    enx_prefix_release(p, &a.chain, a.tokens, 0);
    enx_prefix_release(p, &same.chain, same.tokens, 0);
    assert_int_equal(enx_prefix_available(p), 7);
    assert_int_equal(enx_prefix_remembered(p), 0); /* nothing was computed */
    enx_prefix_close(&p);
}

static void sizes_have_limits_and_memory_may_be_short(void **state)
{
    (void)state;
    enx_prefix *p = NULL;
    assert_int_equal(enx_prefix_open(&p, 0, NULL), ENX_LIMIT);
    assert_int_equal(enx_prefix_open(&p, ENX_PREFIX_PAGES_MAX + 1, NULL), ENX_LIMIT);
    for (long calls = 0; calls < 2; calls++) {
        enx_mem_fail_after(calls);
        assert_int_equal(enx_prefix_open(&p, 4, NULL), ENX_NOMEM);
    }
    enx_mem_fail_after(-1);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_hold_what_they_are_said_to_hold),
        cmocka_unit_test(the_longest_unused_is_forgotten_first),
        cmocka_unit_test(too_few_pages_take_nothing),
        cmocka_unit_test(sizes_have_limits_and_memory_may_be_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
