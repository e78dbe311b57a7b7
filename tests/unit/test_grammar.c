/* SPDX-License-Identifier: Apache-2.0 */
/* test_grammar.c - what a grammar accepts, and how a bad one is named. */
#include "text/grammar.h"

#include "base/mem.h"
#include "base/rng.h"
#include "swarm/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "outputs.h"

static enx_grammar *open_grammar(const char *text)
{
    enx_grammar *grammar = NULL;
    enx_report   report = { 0 };
    if (enx_grammar_open(&grammar, text, strlen(text), &report) != ENX_OK)
        fail_msg("%s: %s", text, report.text);
    return grammar;
}

static void check(const char *text, const char *const *good, const char *const *bad)
{
    enx_grammar *grammar = open_grammar(text);
    assert_outputs(grammar, text, good, bad);
    enx_grammar_close(&grammar);
}

static void literals_and_alternatives(void **state)
{
    (void)state;
    check("root ::= \"yes\" | \"no\"", LIST("yes", "no"), LIST("", "ye", "yesno", "yess"));
    check("root ::= \"a\"\n  | \"b\" # comment\n  | c\nc ::= \"c\"", LIST("a", "b", "c"),
          LIST("d", "ab"));
    check("root ::= \"\\x41\\u00e9\\n\\\"\"", LIST("A\xC3\xA9\n\""), LIST("Ae", "A\xC3"));
    check("root ::= \"x\" |", LIST("x", ""), LIST("xx"));
}

static void repetitions(void **state)
{
    (void)state;
    check("root ::= \"a\"*", LIST("", "a", "aaaa"), LIST("b", "ab"));
    check("root ::= \"a\"+ \"b\"?", LIST("a", "aab"), LIST("", "b", "abb"));
    check("root ::= [0-9]{2,4}", LIST("12", "123", "1234"), LIST("1", "12345", "1a"));
    check("root ::= (\"ab\" | \"c\"){2}", LIST("abab", "cc", "abc"), LIST("ab", "ababc"));
    check("root ::= \"a\"{2,}", LIST("aa", "aaaaa"), LIST("a"));
    check("root ::= \"a\"{0,1} \"b\"", LIST("b", "ab"), LIST("aab"));
    check("root ::= (\"x\" (\"y\" \"z\"?)*)?", LIST("", "x", "xyyzy"), LIST("y", "xz"));
    check("root ::= (\"a\" root){0,3} \"b\"", LIST("b", "abb", "aabbb", "ababb"), LIST("", "ab"));
    check("root ::= (\"a\"?){2,3}", LIST("", "a", "aaa"), LIST("aaaa", "b"));
    check("root ::= (\"a\"*){700} \"b\"", LIST("b", "aaab"), LIST("", "a"));
    check("root ::= (\"a\"{2}){1,2}{2}", LIST("aaaa", "aaaaaaaa"), LIST("aa", "aaa", "aaaaa"));
}

/* x{m,n} against m times x and n - m times x? behind it, on all short texts. */
static void counting_is_writing_out(void **state)
{
    (void)state;
    static const char *const bodies[] = { "\"a\"", "(\"ab\" | \"a\")", "(\"a\"? \"b\")",
                                          "(\"a\"{2} | \"b\")" };
    for (size_t body = 0; body < sizeof bodies / sizeof *bodies; body++)
        for (int least = 0; least <= 3; least++)
            for (int most = least ? least : 1; most <= 4; most++) {
                char counted[64], written[256] = "root ::= \"\" ";
                snprintf(counted, sizeof counted, "root ::= %s{%d,%d}", bodies[body], least, most);
                for (int i = 0; i < most; i++) {
                    strncat(written, bodies[body], sizeof written - strlen(written) - 1);
                    strncat(written, i < least ? " " : "? ", sizeof written - strlen(written) - 1);
                }
                enx_grammar *one = open_grammar(counted), *other = open_grammar(written);
                for (unsigned word = 0; word < 1u << 8; word++) {
                    char text[8] = { 0 };
                    for (unsigned bits = word + 2, i = 0; bits > 1; bits >>= 1)
                        text[i++] = bits & 1 ? 'a' : 'b';
                    text[7] = '\0';
                    if (follows(one, text) != follows(other, text))
                        fail_msg("%s and %s disagree on %s", counted, written, text);
                }
                enx_grammar_close(&one);
                enx_grammar_close(&other);
            }
}

static void counts_are_large(void **state)
{
    (void)state;
    enx_grammar *grammar = open_grammar("root ::= \"<\" [a-z]{3,60000} \">\"");
    char        *text = enx_mem_new(1, 60004);
    for (size_t count = 59999; count <= 60001; count++) {
        memset(text, 'x', 60003);
        text[0] = '<';
        text[count + 1] = '>';
        text[count + 2] = '\0';
        assert_int_equal(follows(grammar, text), count <= 60000);
    }
    enx_mem_free(text);
    enx_grammar_close(&grammar);
}

static void classes_are_of_characters(void **state)
{
    (void)state;
    check("root ::= [a-c\xC3\xA9-\xC3\xAF]+", LIST("abc", "\xC3\xA9", "a\xC3\xAF"),
          LIST("d", "\xC3\xA8", "\xC3"));
    check("root ::= [^\"\\\\]*", LIST("", "a b", "\xE2\x82\xAC\xF0\x9F\x99\x82"),
          LIST("\"", "a\\"));
    check("root ::= . .", LIST("ab", "\xC3\xA9x"), LIST("a", "\xC3\xA9", "\xFFx"));
    check("root ::= [-a]", LIST("-", "a"), LIST("b"));
}

static const char json_grammar[] =
    "root ::= object\n"
    "value ::= object | array | string | number | (\"true\" | \"false\" | \"null\")\n"
    "object ::= \"{\" ws ( string \":\" ws value (\",\" ws string \":\" ws value)* )? \"}\" ws\n"
    "array ::= \"[\" ws ( value (\",\" ws value)* )? \"]\" ws\n"
    "string ::= \"\\\"\" ([^\"\\\\] | \"\\\\\" [\"\\\\bfnrt])* \"\\\"\" ws\n"
    "number ::= \"-\"? [0-9]+ (\".\" [0-9]+)? ws\n"
    "ws ::= [ \\t\\n]*\n";

static void json_is_recursive(void **state)
{
    (void)state;
    check(json_grammar,
          LIST("{}", "{\"a\":1}", "{\"a\": [1, 2.5, {\"b\":\"\\n\xC3\xA9\"}], \"c\":null}"),
          LIST("{", "{\"a\"}", "[1]", "{\"a\":01,}", "{\"a\":tru}"));
}

static void plans_are_in_their_grammar(void **state)
{
    (void)state;
    enx_grammar *grammar = open_grammar(enx_plan_grammar());
    enx_plan     plan = {
            .kinds = 1, .escalate = true, .check_round_trip = true, .check_confidence = true
    };
    enx_buf json;
    enx_buf_init(&json, ENX_PLAN_BYTES_MAX);
    for (uint32_t kinds = 1; kinds <= 7; kinds++) {
        plan.kinds = kinds;
        plan.is_single = kinds % 2;
        enx_buf_clear(&json);
        assert_int_equal(enx_plan_to_json(&plan, &json), ENX_OK);
        if (!follows(grammar, enx_buf_text(&json))) fail_msg("refused: %s", enx_buf_text(&json));
    }
    assert_true(follows(grammar,
                        "{\"mode\":\"swarm\",\"for_each\":\"paragraph\",\"repair\":[\"accents\"],"
                        "\"languages\":[\"any\"],\"escalate\":true,\"check\":[\"round_trip\","
                        "\"confidence\"]}"));
    assert_false(follows(grammar, "{\"mode\":\"swarm\"}"));
    enx_buf_deinit(&json);
    enx_grammar_close(&grammar);
}

static void lists_and_dates(void **state)
{
    (void)state;
    check("root ::= item+\nitem ::= \"- \" [^\\n]+ \"\\n\"", LIST("- um\n", "- \xC3\xA9\n- b c\n"),
          LIST("", "- \n", "- a", "a\n"));
    check("root ::= year \"-\" month \"-\" day\n"
          "year ::= [0-9]{4}\n"
          "month ::= \"0\" [1-9] | \"1\" [0-2]\n"
          "day ::= \"0\" [1-9] | [12] [0-9] | \"3\" [01]\n",
          LIST("1999-12-31", "2026-01-09"), LIST("1999-13-01", "2026-1-9", "2026-01-32"));
}

/* Everything that next_bytes leaves out is refused; returns how many bytes are taken. */
static unsigned try_bytes(const enx_automaton *automaton, const char *state, uint8_t taken[256])
{
    static char copy[ENX_MASK_STATE_BYTES_MAX];
    uint64_t    bytes[4] = { 0 };
    unsigned    count = 0;
    automaton->next_bytes(automaton, state, bytes);
    for (unsigned byte = 0; byte < 256; byte++) {
        memcpy(copy, state, automaton->state_bytes);
        const bool is_taken = automaton->step(automaton, copy, (uint8_t)byte);
        assert_true(!is_taken || (bytes[byte >> 6] >> (byte & 63) & 1));
        if (is_taken) taken[count++] = (uint8_t)byte;
    }
    return count;
}

static void check_walks(const char *text, uint64_t walks, int steps)
{
    static char          state[ENX_MASK_STATE_BYTES_MAX];
    enx_grammar         *grammar = open_grammar(text);
    const enx_automaton *automaton = enx_grammar_automaton(grammar);
    for (uint64_t seed = 0; seed < walks; seed++) {
        enx_rng rng = enx_rng_open(seed, 7);
        automaton->start(automaton, state);
        for (int i = 0; i < steps; i++) {
            uint8_t        taken[256];
            const unsigned count = try_bytes(automaton, state, taken);
            if (count == 0 && !automaton->may_end(automaton, state))
                fail_msg("%s: a dead end at step %d of walk %d", text, i, (int)seed);
            if (count == 0) break;
            assert_true(automaton->step(automaton, state, taken[enx_rng_below(&rng, count)]));
        }
    }
    enx_grammar_close(&grammar);
}

static void no_accepted_beginning_is_a_dead_end(void **state)
{
    (void)state;
    check_walks(json_grammar, 10, 100);
    check_walks(
        "root ::= \"(\" root \")\" | \"x\" pair\npair ::= \"<\" root \",\" root \">\" | \".\"", 10,
        200);
    check_walks("root ::= [\\uD7FF-\\uE000]{2} \"\\uFFFF\"", 10, 10);
    check_walks("root ::= \"a\" | (\"b\" never)?\nnever ::= \"c\" | \"d\" never \"e\"", 10, 200);
}

static void what_is_too_deep_is_refused_where_it_begins(void **state)
{
    (void)state;
    static char          at[ENX_MASK_STATE_BYTES_MAX];
    enx_grammar         *grammar = open_grammar(json_grammar);
    const enx_automaton *automaton = enx_grammar_automaton(grammar);
    automaton->start(automaton, at);
    int levels = 0;
    for (const char *rest = "{\"a\":"; *rest; rest++)
        assert_true(automaton->step(automaton, at, (uint8_t)*rest));
    while (automaton->step(automaton, at, '[')) levels++;
    assert_in_range(levels, 15, ENX_GRAMMAR_DEPTH_MAX);
    /* One less, and it can be closed again. */
    automaton->start(automaton, at);
    for (const char *rest = "{\"a\":"; *rest; rest++)
        automaton->step(automaton, at, (uint8_t)*rest);
    for (int i = 0; i < levels; i++) assert_true(automaton->step(automaton, at, '['));
    for (int i = 0; i < levels; i++) assert_true(automaton->step(automaton, at, ']'));
    assert_true(automaton->step(automaton, at, '}'));
    assert_true(automaton->may_end(automaton, at));
    enx_grammar_close(&grammar);
}

static void many_ways_to_the_same_are_one(void **state)
{
    (void)state;
    check("root ::= (\"a\"? | \"b\"?){40} \"c\"", LIST("c", "abc", "bbbac"), LIST("", "cc"));
    check("root ::= ((\"a\"?)*)* \"b\"", LIST("b", "aaab"), LIST("a", "bb"));
    check("root ::= ((\"a\"{0,5}){0,5}){0,5}", LIST("", "aaaa"), LIST("b"));
    check("root ::= a a a a a a a a\na ::= b | b \"x\" | \"x\" b\nb ::= \"y\"? \"y\"? | \"z\"",
          LIST("", "yyyy", "zxzxz"), LIST("w"));
}

static void long_choices_keep_all_their_alternatives(void **state)
{
    (void)state;
    char   text[8192] = "root ::= ";
    size_t used = strlen(text);
    for (int i = 100; i < 400; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s\"n%d\"", i > 100 ? " | " : "", i);
    enx_grammar *grammar = open_grammar(text);
    for (int i = 90; i < 410; i++) {
        char output[16];
        snprintf(output, sizeof output, "n%d", i);
        assert_int_equal(follows(grammar, output), i >= 100 && i < 400);
    }
    enx_grammar_close(&grammar);
}

static void no_memory_is_no_crash(void **state)
{
    (void)state;
    static const char text[] = "root ::= (\"a\" | [bc])* x{2,3}\nx ::= \"x\"";
    for (long calls = 0;; calls++) {
        enx_grammar *grammar = NULL;
        assert_true(calls < 100);
        enx_mem_fail_after(calls);
        const enx_status status = enx_grammar_open(&grammar, text, sizeof text - 1, NULL);
        enx_mem_fail_after(-1);
        enx_grammar_close(&grammar);
        if (status == ENX_OK) return;
        assert_int_equal(status, ENX_NOMEM);
    }
}

static void bad_grammars_are_named_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enx_status  status;
        const char *says;
    } cases[] = {
        { "", ENX_NOTFOUND, "root" },
        { "root ::= x", ENX_NOTFOUND, "x is used" },
        { "root ::= \"a", ENX_FORMAT, "line 1" },
        { "root ::= \"a\"\nroot ::= \"b\"", ENX_FORMAT, "twice" },
        { "root ::= root \"a\"", ENX_FORMAT, "begins with itself" },
        { "root ::= x\nx ::= y? root", ENX_NOTFOUND, "y is used" },
        { "root ::= x\nx ::= \"a\"? root", ENX_FORMAT, "begins with itself" },
        { "root ::= (\"a\"", ENX_FORMAT, ") is expected" },
        { "root ::= \"a\")", ENX_FORMAT, ") without (" },
        { "root = \"a\"", ENX_FORMAT, "::= is expected" },
        { "root ::= *", ENX_FORMAT, "expected" },
        { "root ::= \"a\"{3,2}", ENX_FORMAT, "backwards" },
        { "root ::= \"a\"{65535}", ENX_LIMIT, "repetitions" },
        { "root ::= (\"a\" root){1,4}", ENX_FORMAT, "finish the rule root" },
        { "root ::= (\"a\"? root){0,4}", ENX_FORMAT, "begins with itself" },
        { "root ::= \"\\q\"", ENX_FORMAT, "unknown escape" },
        { "root ::= [z-a]", ENX_FORMAT, "backwards" },
        { "root ::= []", ENX_FORMAT, "no character" },
        { "root ::= [^\\x00-\\U0010FFFF]", ENX_FORMAT, "no character" },
        { "root ::= \"\\uD800\"", ENX_FORMAT, "no character" },
        { "root ::= \"\\U00110000\"", ENX_FORMAT, "no such character" },
        { "root ::= \"\xC3\"", ENX_FORMAT, "UTF-8" },
        { "root ::= \"a\" x | \"b\"\nx ::= \"c\" x", ENX_FORMAT, "finish the rule x" },
        { "root ::= \"a\" root", ENX_FORMAT, "finish the rule root" },
        { "root ::= \"a\"\n\n  $", ENX_FORMAT, "line 3, column 3" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enx_grammar     *grammar = NULL;
        enx_report       report = { 0 };
        const enx_status status =
            enx_grammar_open(&grammar, cases[i].text, strlen(cases[i].text), &report);
        if (status != cases[i].status || !strstr(report.text, cases[i].says))
            fail_msg("%s: status %d, \"%s\"", cases[i].text, (int)status, report.text);
        assert_null(grammar);
    }
}

static void hostile_grammars_end(void **state)
{
    (void)state;
    char       text[512];
    enx_rng    rng = enx_rng_open(5, 5);
    const char pieces[] = "root ::= ()|*+?{}[]^-\"ab.\n,1 ";
    for (int i = 0; i < 3000; i++) {
        const size_t size = enx_rng_below(&rng, sizeof text);
        for (size_t k = 0; k < size; k++) text[k] = pieces[enx_rng_below(&rng, sizeof pieces - 1)];
        if (i % 2) memcpy(text, "root ::= ", 9);
        enx_grammar *grammar = NULL;
        if (enx_grammar_open(&grammar, text, size, NULL) == ENX_OK) follows(grammar, "aab");
        enx_grammar_close(&grammar);
    }
    memset(text, '(', sizeof text);
    memcpy(text, "root ::= ", 9);
    enx_grammar *grammar = NULL;
    assert_int_equal(enx_grammar_open(&grammar, text, sizeof text, NULL), ENX_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_and_alternatives),
        cmocka_unit_test(repetitions),
        cmocka_unit_test(counting_is_writing_out),
        cmocka_unit_test(counts_are_large),
        cmocka_unit_test(classes_are_of_characters),
        cmocka_unit_test(json_is_recursive),
        cmocka_unit_test(plans_are_in_their_grammar),
        cmocka_unit_test(lists_and_dates),
        cmocka_unit_test(no_accepted_beginning_is_a_dead_end),
        cmocka_unit_test(what_is_too_deep_is_refused_where_it_begins),
        cmocka_unit_test(many_ways_to_the_same_are_one),
        cmocka_unit_test(long_choices_keep_all_their_alternatives),
        cmocka_unit_test(no_memory_is_no_crash),
        cmocka_unit_test(bad_grammars_are_named_with_their_place),
        cmocka_unit_test(hostile_grammars_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
