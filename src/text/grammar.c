/* SPDX-License-Identifier: Apache-2.0 */
/* grammar.c - GBNF: parsed into elements, matched by a set of stacks.
 *
 * A rule is alternatives of elements; groups and repetitions become rules without a name:
 *     x*  is  h ::= x h |        x?  is  h ::= x |        x+  is  x x*
 * x{m,n} is an element of its own, a loop over the rule h ::= x, and counts: on a stack its place
 * has a word below it, how many of x have begun.
 *
 * A stack holds the places to go on at, innermost last; the last is always at a character class,
 * or the stack is empty and the output may end.  A character moves every stack whose class has it,
 * then rule references at the new places are opened until classes are on top again.
 *
 * (1) Opening ends: a stack met before is not opened again, and without left recursion, which is
 *     refused when the grammar is opened, stacks do not grow without an end.
 * (2) No stack is a dead end: each place knows the least depth with which what follows it can be
 *     finished (`need`), and it is only put where that much is left.  A rule that nothing can
 *     finish is refused when the grammar is opened.
 * (3) When there are more stacks than fit, the later ones are left out.  The first is always
 *     reached: opening goes depth first, and by (2) never has to come back with nothing.
 */
#include "text/grammar.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    ELEMENTS_MAX = 1 << 15,
    RANGES_MAX = 1 << 15,
    NAME_BYTES_MAX = 64,
    LOOPS_MAX = 4096,
    ENDLESS = UINT16_MAX, /* the most of a loop without one */
    NEST_MAX = 64,
    SEQUENCE_MAX = 4096, /* elements of one rule while it is read */
    CODE_POINT_MAX = 0x10FFFF,
    SURROGATE_FIRST = 0xD800, /* no characters, though inside the range of code points */
    SURROGATE_LAST = 0xDFFF,
    NEED_NONE = UINT16_MAX, /* cannot be finished */
};

typedef enum element_kind { STOP, OR, RULE, CLASS, LOOP } element_kind;

typedef struct element {
    uint16_t kind;
    uint16_t index; /* of the rule, class or loop */
} element;

typedef struct loop {
    uint16_t rule, least, most; /* or ENDLESS */
} loop;

typedef struct range {
    uint32_t first, last;
} range;

/* Its ranges are sorted, apart from each other, and hold only characters. */
typedef struct class
{
    uint32_t first_range, range_count;
    uint64_t leads[4]; /* the first bytes of its characters */
} class;

typedef struct rule {
    char     name[NAME_BYTES_MAX]; /* "" for groups and repetitions */
    uint32_t first;                /* element; UINT32_MAX: not defined yet */
    bool     is_nullable;
    bool     is_loop; /* x*: ends with itself */
    uint16_t need;    /* the least of its alternatives */
} rule;

struct enx_grammar {
    enx_automaton automaton; /* first: the automaton's self is the grammar */
    uint32_t      root;
    uint32_t      rule_count, element_count, class_count, range_count, loop_count;
    rule          rules[ENX_GRAMMAR_RULES_MAX];
    element       elements[ELEMENTS_MAX];
    uint16_t      needs[ELEMENTS_MAX]; /* the least depth to finish from here on, itself included */
    class classes[ELEMENTS_MAX];
    range ranges[RANGES_MAX];
    loop  loops[LOOPS_MAX];
};

/* ---- Reading GBNF ------------------------------------------------------------------------- */

typedef struct reader {
    enx_grammar *grammar;
    const char  *text, *at, *end;
    int          depth;
    enx_report  *report;
} reader;

/* The elements of a rule that is being read. */
typedef struct sequence {
    element *items; /* [SEQUENCE_MAX], from the heap */
    uint32_t count;
} sequence;

static enx_status fail_at(const reader *r, enx_status status, const char *expected)
{
    int line = 1, column = 1;
    for (const char *p = r->text; p < r->at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    return enx_report_set(r->report, status, __FILE__, __LINE__, "grammar, line %d, column %d: %s",
                          line, column, expected);
}

static char peek(const reader *r) { return r->at < r->end ? *r->at : '\0'; }

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static void skip_space(reader *r, bool past_lines)
{
    for (; r->at < r->end; r->at++) {
        if (*r->at == '#')
            while (r->at + 1 < r->end && r->at[1] != '\n') r->at++;
        else if (*r->at != ' ' && *r->at != '\t' &&
                 (!past_lines || (*r->at != '\n' && *r->at != '\r')))
            return;
    }
}

static enx_status push_element(reader *r, sequence *s, element_kind kind, uint32_t index)
{
    if (s->count == SEQUENCE_MAX) return fail_at(r, ENX_LIMIT, "the rule is too long");
    s->items[s->count++] = (element){ (uint16_t)kind, (uint16_t)index };
    return ENX_OK;
}

static enx_status add_range(reader *r, uint32_t first, uint32_t last)
{
    enx_grammar *g = r->grammar;
    if (g->range_count == RANGES_MAX) return fail_at(r, ENX_LIMIT, "too many characters");
    if (first > last) return fail_at(r, ENX_FORMAT, "a range runs backwards");
    g->ranges[g->range_count++] = (range){ first, last };
    g->classes[g->class_count - 1].range_count++;
    return ENX_OK;
}

static enx_status open_class(reader *r, sequence *s)
{
    enx_grammar *g = r->grammar;
    if (g->class_count == ELEMENTS_MAX) return fail_at(r, ENX_LIMIT, "too many characters");
    g->classes[g->class_count++] = (class){ .first_range = g->range_count };
    return push_element(r, s, CLASS, g->class_count - 1);
}

static int compare_ranges(const void *left, const void *right)
{
    const range *a = left, *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

/* Sort, and join what touches; returns how many are left. */
static uint32_t join_ranges(range *ranges, uint32_t count)
{
    uint32_t kept = 0;
    if (count > 1) qsort(ranges, count, sizeof *ranges, compare_ranges);
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || ranges[i].first > ranges[kept - 1].last + 1) ranges[kept++] = ranges[i];
        else if (ranges[i].last > ranges[kept - 1].last) ranges[kept - 1].last = ranges[i].last;
    }
    return kept;
}

/* Turn joined ranges into what lies between them, in place; room for one more is there. */
static uint32_t negate_ranges(range *ranges, uint32_t count)
{
    uint32_t kept = 0, next = 0;
    for (uint32_t i = 0; i < count; i++) {
        const range taken = ranges[i];
        if (taken.first > next) ranges[kept++] = (range){ next, taken.first - 1 };
        next = taken.last + 1;
    }
    if (next <= CODE_POINT_MAX) ranges[kept++] = (range){ next, CODE_POINT_MAX };
    return kept;
}

/* The first bytes of the characters first..last; nothing in between is skipped but surrogates. */
static void add_leads(uint64_t leads[4], range characters)
{
    utf8proc_uint8_t low[4], high[4];
    utf8proc_encode_char((int32_t)characters.first, low);
    utf8proc_encode_char((int32_t)characters.last, high);
    for (unsigned byte = low[0]; byte <= high[0]; byte++)
        if (byte < 0x80 || byte >= 0xC2) /* what lies between only follows */
            leads[byte >> 6] |= UINT64_C(1) << (byte & 63);
}

/* Settle the class that was opened last. */
static enx_status close_class(reader *r, bool is_negated)
{
    enx_grammar *g = r->grammar;
    class       *c = &g->classes[g->class_count - 1];
    range       *ranges = g->ranges + c->first_range;
    if (g->range_count + 2 > RANGES_MAX) return fail_at(r, ENX_LIMIT, "too many characters");
    /* Surrogates are taken out by negating twice, with them among the others once. */
    uint32_t count = join_ranges(ranges, c->range_count);
    if (!is_negated) count = negate_ranges(ranges, count);
    ranges[count++] = (range){ SURROGATE_FIRST, SURROGATE_LAST };
    count = negate_ranges(ranges, join_ranges(ranges, count));
    c->range_count = count;
    g->range_count = c->first_range + count;
    for (uint32_t i = 0; i < count; i++) add_leads(c->leads, ranges[i]);
    return count ? ENX_OK : fail_at(r, ENX_FORMAT, "no character is in this class");
}

static enx_status read_hex(reader *r, int digits, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, r->at++) {
        const char c = peek(r), lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9') *out = *out * 16 + (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f') *out = *out * 16 + (uint32_t)(lower - 'a' + 10);
        else return fail_at(r, ENX_FORMAT, "a hexadecimal digit is expected");
    }
    return *out <= CODE_POINT_MAX ? ENX_OK : fail_at(r, ENX_FORMAT, "no such character");
}

static enx_status read_escape(reader *r, uint32_t *out)
{
    const char c = peek(r);
    r->at++;
    switch (c) {
    case 'n':
        *out = '\n';
        return ENX_OK;
    case 't':
        *out = '\t';
        return ENX_OK;
    case 'r':
        *out = '\r';
        return ENX_OK;
    case 'x':
        return read_hex(r, 2, out);
    case 'u':
        return read_hex(r, 4, out);
    case 'U':
        return read_hex(r, 8, out);
    case '\\':
    case '"':
    case '[':
    case ']':
    case '^':
    case '-':
        *out = (uint8_t)c;
        return ENX_OK;
    default:
        r->at--;
        return fail_at(r, ENX_FORMAT,
                       "unknown escape; use \\n \\t \\r \\\\ \\\" \\[ \\] \\xHH \\uHHHH");
    }
}

static enx_status read_character(reader *r, uint32_t *out)
{
    if (r->at == r->end || *r->at == '\n') return fail_at(r, ENX_FORMAT, "the line ends too early");
    if (*r->at == '\\') {
        r->at++;
        return read_escape(r, out);
    }
    utf8proc_int32_t       point;
    const utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)r->at, r->end - r->at, &point);
    if (used <= 0) return fail_at(r, ENX_FORMAT, "this is not UTF-8");
    r->at += used;
    *out = (uint32_t)point;
    return ENX_OK;
}

static enx_status read_literal(reader *r, sequence *s)
{
    for (r->at++; peek(r) != '"';) {
        uint32_t point;
        ENX_TRY(read_character(r, &point));
        ENX_TRY(open_class(r, s));
        ENX_TRY(add_range(r, point, point));
        ENX_TRY(close_class(r, false));
    }
    r->at++;
    return ENX_OK;
}

static enx_status read_class(reader *r, sequence *s)
{
    r->at++;
    const bool is_negated = peek(r) == '^';
    r->at += is_negated;
    ENX_TRY(open_class(r, s));
    while (peek(r) != ']') {
        uint32_t first, last;
        ENX_TRY(read_character(r, &first));
        last = first;
        if (peek(r) == '-' && r->at + 1 < r->end && r->at[1] != ']') {
            r->at++;
            ENX_TRY(read_character(r, &last));
        }
        ENX_TRY(add_range(r, first, last));
    }
    ENX_TRY(close_class(r, is_negated));
    r->at++;
    return ENX_OK;
}

/* ---- Rules -------------------------------------------------------------------------------- */

static enx_status new_rule(reader *r, const char *name, size_t name_bytes, uint32_t *index)
{
    enx_grammar *g = r->grammar;
    if (name_bytes >= NAME_BYTES_MAX) return fail_at(r, ENX_LIMIT, "the name is too long");
    if (g->rule_count == ENX_GRAMMAR_RULES_MAX) return fail_at(r, ENX_LIMIT, "too many rules");
    *index = g->rule_count++;
    g->rules[*index] = (rule){ .first = UINT32_MAX };
    memcpy(g->rules[*index].name, name, name_bytes);
    return ENX_OK;
}

static enx_status find_rule(reader *r, const char *name, size_t name_bytes, uint32_t *index)
{
    for (*index = 0; *index < r->grammar->rule_count; ++*index) {
        const char *other = r->grammar->rules[*index].name;
        if (strlen(other) == name_bytes && name_bytes && memcmp(other, name, name_bytes) == 0)
            return ENX_OK;
    }
    return new_rule(r, name, name_bytes, index);
}

/* Give the rule its elements, closed by a STOP. */
static enx_status define_rule(reader *r, uint32_t index, const element *items, uint32_t count)
{
    enx_grammar *g = r->grammar;
    if (g->element_count + count + 1 > ELEMENTS_MAX)
        return fail_at(r, ENX_LIMIT, "the grammar is too long");
    g->rules[index].first = g->element_count;
    if (count) memcpy(g->elements + g->element_count, items, count * sizeof *items);
    g->element_count += count;
    g->elements[g->element_count++] = (element){ STOP, 0 };
    return ENX_OK;
}

/* h ::= x tail, where x is the sequence's end from `from` on; the sequence loses it. */
static enx_status new_group(reader *r, sequence *s, uint32_t from, const element *tail,
                            uint32_t tail_count, uint32_t *index)
{
    ENX_TRY(new_rule(r, "", 0, index));
    for (uint32_t i = 0; i < tail_count; i++)
        ENX_TRY(push_element(r, s, tail[i].kind, tail[i].kind == RULE ? *index : 0));
    ENX_TRY(define_rule(r, *index, s->items + from, s->count - from));
    s->count = from;
    return ENX_OK;
}

static enx_status count_loop(reader *r, sequence *s, uint32_t from, uint32_t least, uint32_t most)
{
    enx_grammar *g = r->grammar;
    uint32_t     body;
    if (g->loop_count == LOOPS_MAX) return fail_at(r, ENX_LIMIT, "too many repetitions");
    ENX_TRY(new_group(r, s, from, NULL, 0, &body));
    g->loops[g->loop_count] = (loop){ (uint16_t)body, (uint16_t)least, (uint16_t)most };
    return push_element(r, s, LOOP, g->loop_count++);
}

static enx_status repeat(reader *r, sequence *s, uint32_t from, uint32_t least, uint32_t most)
{
    static const element again[] = { { RULE, 0 }, { OR, 0 } };
    const uint32_t       count = s->count - from;
    uint32_t             body;
    if (count == 0) return fail_at(r, ENX_FORMAT, "nothing stands before the repetition");
    if (least == 0 && most == 1) {
        ENX_TRY(new_group(r, s, from, again + 1, 1, &body));
        return push_element(r, s, RULE, body);
    }
    if (least > 1 || most != ENDLESS) return count_loop(r, s, from, least, most);
    for (uint32_t i = 0; i < least * count; i++) {
        const element e = s->items[from + i];
        ENX_TRY(push_element(r, s, e.kind, e.index));
    }
    ENX_TRY(new_group(r, s, s->count - count, again, 2, &body));
    r->grammar->rules[body].is_loop = true;
    return push_element(r, s, RULE, body);
}

static enx_status read_number(reader *r, uint32_t *out)
{
    if (peek(r) < '0' || peek(r) > '9') return fail_at(r, ENX_FORMAT, "a number is expected");
    for (*out = 0; peek(r) >= '0' && peek(r) <= '9'; r->at++) {
        *out = *out * 10 + (uint32_t)(peek(r) - '0');
        if (*out > ENX_GRAMMAR_REPEAT_MAX)
            return fail_at(r, ENX_LIMIT, "at most 65534 repetitions are counted");
    }
    return ENX_OK;
}

static enx_status read_repetition(reader *r, sequence *s, uint32_t from)
{
    const char c = peek(r);
    uint32_t   least = c == '+', most = c == '?' ? 1 : ENDLESS;
    r->at++;
    if (c == '{') {
        ENX_TRY(read_number(r, &least));
        most = least;
        if (peek(r) == ',') {
            r->at++;
            most = ENDLESS;
            if (peek(r) != '}') ENX_TRY(read_number(r, &most));
        }
        if (peek(r) != '}') return fail_at(r, ENX_FORMAT, "} is expected");
        if (most < least) return fail_at(r, ENX_FORMAT, "the repetition runs backwards");
        r->at++;
    }
    return repeat(r, s, from, least, most);
}

static enx_status read_alternatives(reader *r, uint32_t index, bool is_group);

static enx_status read_symbol(reader *r, sequence *s)
{
    const char c = peek(r), *first = r->at;
    uint32_t   index;
    if (c == '"') return read_literal(r, s);
    if (c == '[') return read_class(r, s);
    if (c == '.') {
        r->at++;
        ENX_TRY(open_class(r, s));
        return close_class(r, true);
    }
    if (c == '(') {
        r->at++;
        ENX_TRY(new_rule(r, "", 0, &index));
        ENX_TRY(read_alternatives(r, index, true));
        if (peek(r) != ')') return fail_at(r, ENX_FORMAT, ") is expected");
        r->at++;
        return push_element(r, s, RULE, index);
    }
    if (!is_name(c)) return fail_at(r, ENX_FORMAT, "a name, \"text\", [class], . or ( is expected");
    while (is_name(peek(r))) r->at++;
    ENX_TRY(find_rule(r, first, (size_t)(r->at - first), &index));
    return push_element(r, s, RULE, index);
}

/* Does the rule go on with | on a later line? */
static bool goes_on(const reader *r)
{
    reader ahead = *r;
    skip_space(&ahead, true);
    return peek(&ahead) == '|';
}

static enx_status read_sequence(reader *r, sequence *s, bool is_group)
{
    for (;;) {
        skip_space(r, is_group);
        const char c = peek(r);
        if (r->at == r->end || c == ')' || ((c == '\n' || c == '\r') && !goes_on(r))) return ENX_OK;
        if (c == '\n' || c == '\r') {
            skip_space(r, true);
            continue;
        }
        if (c == '|') {
            r->at++;
            skip_space(r, true);
            ENX_TRY(push_element(r, s, OR, 0));
            continue;
        }
        const uint32_t from = s->count;
        ENX_TRY(read_symbol(r, s));
        while (peek(r) == '*' || peek(r) == '+' || peek(r) == '?' || peek(r) == '{')
            ENX_TRY(read_repetition(r, s, from));
    }
}

static enx_status read_alternatives(reader *r, uint32_t index, bool is_group)
{
    if (r->depth == NEST_MAX) return fail_at(r, ENX_LIMIT, "too many ( inside each other");
    sequence s = { .items = ENX_MEM_NEW(element, SEQUENCE_MAX) };
    if (!s.items) return ENX_FAIL(r->report, NOMEM, "no memory for a grammar");
    r->depth++;
    enx_status status = read_sequence(r, &s, is_group);
    r->depth--;
    if (status == ENX_OK) status = define_rule(r, index, s.items, s.count);
    enx_mem_free(s.items);
    return status;
}

static enx_status read_rule(reader *r)
{
    const char *first = r->at;
    uint32_t    index;
    while (is_name(peek(r))) r->at++;
    if (r->at == first) return fail_at(r, ENX_FORMAT, "the name of a rule is expected");
    ENX_TRY(find_rule(r, first, (size_t)(r->at - first), &index));
    if (r->grammar->rules[index].first != UINT32_MAX)
        return fail_at(r, ENX_FORMAT, "this rule is defined twice");
    skip_space(r, false);
    if (r->end - r->at < 3 || memcmp(r->at, "::=", 3) != 0)
        return fail_at(r, ENX_FORMAT, "::= is expected");
    r->at += 3;
    skip_space(r, true);
    ENX_TRY(read_alternatives(r, index, false));
    return peek(r) == ')' ? fail_at(r, ENX_FORMAT, ") without (") : ENX_OK;
}

/* The start of the alternative after the one that `at` is in; UINT32_MAX: none. */
static uint32_t next_alternative(const enx_grammar *g, uint32_t at)
{
    while (g->elements[at].kind != STOP && g->elements[at].kind != OR) at++;
    return g->elements[at].kind == OR ? at + 1 : UINT32_MAX;
}

/* ---- Judging the whole --------------------------------------------------------------------- */

/* The rule of a rule's or loop's element. */
static uint32_t rule_of(const enx_grammar *g, element e)
{
    return e.kind == LOOP ? g->loops[e.index].rule : e.index;
}

static bool is_nullable(const enx_grammar *g, element e)
{
    if (e.kind == CLASS) return false;
    return g->rules[rule_of(g, e)].is_nullable || (e.kind == LOOP && g->loops[e.index].least == 0);
}

/* Can the elements from `at` to the end of their alternative be nothing? */
static bool rest_is_nullable(const enx_grammar *g, uint32_t at)
{
    for (; g->elements[at].kind != STOP && g->elements[at].kind != OR; at++)
        if (!is_nullable(g, g->elements[at])) return false;
    return true;
}

static void find_nullable(enx_grammar *g)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < g->rule_count; i++) {
            if (g->rules[i].is_nullable) continue;
            bool can_be_nothing = false;
            for (uint32_t at = g->rules[i].first; !can_be_nothing && at != UINT32_MAX;
                 at = next_alternative(g, at))
                can_be_nothing = rest_is_nullable(g, at);
            g->rules[i].is_nullable = can_be_nothing;
            changed = changed || can_be_nothing;
        }
    }
}

/* Depth first over the rules that may stand first; marks: 0 new, 1 on the path, 2 done. */
static bool leads_to_itself(const enx_grammar *g, uint32_t index, uint8_t *marks, int depth)
{
    if (marks[index] == 1 || depth > ENX_GRAMMAR_RULES_MAX) return true;
    if (marks[index] == 2) return false;
    marks[index] = 1;
    bool may_be_first = true;
    for (uint32_t at = g->rules[index].first; g->elements[at].kind != STOP; at++) {
        const element e = g->elements[at];
        if (e.kind == OR) may_be_first = true;
        else if (may_be_first) {
            /* A loop that comes back to its own end is the same stack again: harmless. */
            const bool is_own_end = g->rules[index].is_loop && e.kind == RULE && e.index == index;
            if (e.kind != CLASS && !is_own_end &&
                leads_to_itself(g, rule_of(g, e), marks, depth + 1))
                return true;
            may_be_first = is_nullable(g, e);
        }
    }
    marks[index] = 2;
    return false;
}

/* The least depth to finish from element `at` on, given those of the rules and of at + 1. */
static uint32_t need_of(const enx_grammar *g, uint32_t at)
{
    const element e = g->elements[at];
    if (e.kind == STOP || e.kind == OR) return 0;
    const uint32_t rest = g->needs[at + 1];
    if (rest == NEED_NONE) return NEED_NONE;
    if (e.kind == CLASS) return rest > 1 ? rest : 1;
    const bool     is_loop = e.kind == LOOP;
    const uint32_t own = is_loop ? 2 : 1;
    uint32_t       inside = g->rules[rule_of(g, e)].need;
    if (is_loop && g->loops[e.index].least == 0) inside = 0; /* it can be left out */
    if (inside == NEED_NONE) return NEED_NONE;
    inside += is_loop ? 2 : rest > 0; /* the place to come back to stays below */
    const uint32_t need = inside > rest ? inside : rest;
    return need > own ? need : own;
}

/* From below: a rule is as cheap as its cheapest alternative, once all it needs is known. */
static void find_needs(enx_grammar *g)
{
    for (uint32_t i = 0; i < g->rule_count; i++) g->rules[i].need = NEED_NONE;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t at = g->element_count; at-- > 0;) {
            const uint32_t need = need_of(g, at);
            g->needs[at] = (uint16_t)(need < NEED_NONE ? need : NEED_NONE);
        }
        for (uint32_t i = 0; i < g->rule_count; i++) {
            uint16_t least = NEED_NONE;
            for (uint32_t at = g->rules[i].first; at != UINT32_MAX; at = next_alternative(g, at))
                if (g->needs[at] < least) least = g->needs[at];
            changed = changed || least < g->rules[i].need;
            if (least < g->rules[i].need) g->rules[i].need = least;
        }
    }
}

static const char *name_of(const rule *r) { return r->name[0] ? r->name : "a group"; }

static enx_status judge_needs(enx_grammar *g, enx_report *report)
{
    find_needs(g);
    /* The later a rule was first named, the nearer it mostly is to the cause. */
    for (uint32_t i = g->rule_count; i-- > 0;)
        if (g->rules[i].need == NEED_NONE && g->rules[i].name[0])
            return ENX_FAIL(report, FORMAT,
                            "grammar: no text can finish the rule %s; give it an alternative that "
                            "does not need itself",
                            g->rules[i].name);
    if (g->rules[g->root].need > ENX_GRAMMAR_DEPTH_MAX)
        return ENX_FAIL(report, LIMIT,
                        "grammar: root nests %u rules at least, at most %d are taken",
                        g->rules[g->root].need, (int)ENX_GRAMMAR_DEPTH_MAX);
    return ENX_OK;
}

static enx_status find_root(enx_grammar *g, enx_report *report)
{
    bool has_root = false;
    for (uint32_t i = 0; i < g->rule_count; i++) {
        if (g->rules[i].first == UINT32_MAX)
            return ENX_FAIL(report, NOTFOUND, "grammar: the rule %s is used but not defined",
                            g->rules[i].name);
        if (strcmp(g->rules[i].name, "root") != 0) continue;
        g->root = i;
        has_root = true;
    }
    if (has_root) return ENX_OK;
    return ENX_FAIL(report, NOTFOUND, "grammar: there is no rule named root");
}

static enx_status judge(enx_grammar *g, enx_report *report)
{
    ENX_TRY(find_root(g, report));
    uint8_t *marks = ENX_MEM_NEW(uint8_t, g->rule_count + 1);
    if (!marks) return ENX_FAIL(report, NOMEM, "no memory for a grammar");
    find_nullable(g);
    enx_status status = ENX_OK;
    for (uint32_t i = 0; status == ENX_OK && i < g->rule_count; i++)
        if (leads_to_itself(g, i, marks, 0))
            status = ENX_FAIL(report, FORMAT,
                              "grammar: a rule begins with itself (from %s); put what repeats last",
                              name_of(&g->rules[i]));
    enx_mem_free(marks);
    return status == ENX_OK ? judge_needs(g, report) : status;
}

/* ---- Matching ----------------------------------------------------------------------------- */

typedef struct stack {
    uint16_t depth;
    uint16_t places[ENX_GRAMMAR_DEPTH_MAX];
} stack;

/* Stacks one behind the other, each its depth and its places; the empty one is `has_end`. */
typedef struct grammar_state {
    uint8_t  partial[4]; /* the first bytes of a character that is not known yet */
    uint8_t  partial_count;
    uint8_t  rest_count; /* last bytes that are still to come of one that the stacks are past */
    bool     has_end;
    uint16_t word_count;
    uint16_t words[ENX_MASK_STATE_BYTES_MAX / 2 - 5];
} grammar_state;

_Static_assert(sizeof(grammar_state) <= ENX_MASK_STATE_BYTES_MAX, "a state must fit");

/* The stacks that were met since the last character, and where their hash leads to. */
enum { SLOTS = 2 * ENX_GRAMMAR_STACKS_MAX, FEW = 12 };
typedef struct opening {
    const enx_grammar *grammar;
    grammar_state     *into;
    uint32_t           stack_count;
    uint16_t           slots[SLOTS]; /* 1 + the stack's index; 0: free */
    stack              stacks[ENX_GRAMMAR_STACKS_MAX];
} opening;

static size_t used_bytes(const stack *s)
{
    return offsetof(stack, places) + s->depth * sizeof s->places[0];
}

static uint32_t free_slot(const opening *o, const stack *s)
{
    uint32_t hash = s->depth;
    for (uint32_t i = 0; i < s->depth; i++) hash = (hash ^ s->places[i]) * UINT32_C(0x9E3779B1);
    uint32_t slot = (hash >> 16) % SLOTS;
    while (o->slots[slot]) {
        const stack *other = &o->stacks[o->slots[slot] - 1];
        if (other->depth == s->depth && memcmp(other, s, used_bytes(s)) == 0) return UINT32_MAX;
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

/* Few stacks are compared one by one; the table is only made for more. */
static bool was_met(opening *o, const stack *s, uint32_t *slot)
{
    *slot = 0;
    for (uint32_t i = 0; o->stack_count < FEW && i < o->stack_count; i++)
        if (o->stacks[i].depth == s->depth && memcmp(&o->stacks[i], s, used_bytes(s)) == 0)
            return true;
    if (o->stack_count < FEW) return false;
    if (o->stack_count == FEW) {
        memset(o->slots, 0, sizeof o->slots);
        for (uint32_t i = 0; i < FEW; i++)
            o->slots[free_slot(o, &o->stacks[i])] = (uint16_t)(i + 1);
    }
    *slot = free_slot(o, s);
    return *slot == UINT32_MAX;
}

/* Note the stack; false: it was met before, or there is no room. */
static bool meet_stack(opening *o, const stack *met)
{
    uint32_t slot;
    if (was_met(o, met, &slot) || o->stack_count == ENX_GRAMMAR_STACKS_MAX) return false;
    memcpy(&o->stacks[o->stack_count++], met, used_bytes(met));
    if (o->stack_count > FEW) o->slots[slot] = (uint16_t)o->stack_count;
    return true;
}

/* Put a place on top, unless nothing is left to do there; false: too deep to be finished. */
static bool push_place(const enx_grammar *g, stack *s, uint32_t place)
{
    if (g->elements[place].kind == STOP || g->elements[place].kind == OR) return true;
    if (s->depth + g->needs[place] > ENX_GRAMMAR_DEPTH_MAX) return false;
    if (g->elements[place].kind == LOOP) s->places[s->depth++] = 0;
    s->places[s->depth++] = (uint16_t)place;
    return true;
}

static void open_stack(opening *o, const stack *from);

static void open_alternatives(opening *o, const stack *below, uint32_t index)
{
    const enx_grammar *g = o->grammar;
    for (uint32_t at = g->rules[index].first; at != UINT32_MAX; at = next_alternative(g, at)) {
        stack here;
        memcpy(&here, below, used_bytes(below));
        if (push_place(g, &here, at)) open_stack(o, &here);
    }
}

/* `below`: without the loop's place, its count on top.  Leaving comes first: where what repeats
 * can be nothing, each round is a new stack until there is no room (3). */
static void open_loop(opening *o, stack *below, uint32_t place)
{
    const loop    *l = &o->grammar->loops[o->grammar->elements[place].index];
    const uint32_t count = below->places[--below->depth];
    if (count >= l->least || o->grammar->rules[l->rule].is_nullable) {
        stack after;
        memcpy(&after, below, used_bytes(below));
        if (push_place(o->grammar, &after, place + 1u)) open_stack(o, &after);
    }
    if (count >= l->most) return;
    /* Past the least, rounds without a most need no telling apart. */
    const bool is_told = l->most != ENDLESS || count < l->least;
    below->places[below->depth++] = (uint16_t)(is_told ? count + 1 : count);
    below->places[below->depth++] = (uint16_t)place;
    open_alternatives(o, below, l->rule);
}

/* Open the rule on top until a class is there.  At most ENX_GRAMMAR_STACKS_MAX deep: each call
 * that calls has met a new stack. */
static void open_stack(opening *o, const stack *from)
{
    if (!meet_stack(o, from)) return;
    const enx_grammar *g = o->grammar;
    grammar_state     *s = o->into;
    if (from->depth == 0) {
        s->has_end = true;
        return;
    }
    const uint16_t place = from->places[from->depth - 1];
    const element  e = g->elements[place];
    if (e.kind == CLASS) {
        const size_t words = used_bytes(from) / sizeof s->words[0];
        if (s->word_count + words > sizeof s->words / sizeof s->words[0]) return;
        memcpy(s->words + s->word_count, from, used_bytes(from));
        s->word_count = (uint16_t)(s->word_count + words);
        return;
    }
    stack below;
    memcpy(&below, from, used_bytes(from));
    below.depth--;
    if (e.kind == LOOP) open_loop(o, &below, place);
    else if (push_place(g, &below, place + 1u)) open_alternatives(o, &below, e.index);
}

/* The characters that begin with the partial bytes. */
typedef struct span {
    uint32_t first, last;
    int      left;     /* bytes that are missing */
    bool     is_whole; /* whatever continuation bytes follow, it is UTF-8, or a surrogate */
} span;

/* false: none begins so. */
static bool partial_span(const grammar_state *s, span *out)
{
    const uint8_t lead = s->partial[0];
    const int     more = lead < 0x80   ? 0
                         : lead < 0xC2 ? -1
                         : lead < 0xE0 ? 1
                         : lead < 0xF0 ? 2
                         : lead < 0xF5 ? 3
                                       : -1;
    if (more < 0) return false;
    uint32_t point = more == 0 ? lead : lead & (0x3Fu >> more);
    for (int i = 1; i < s->partial_count; i++) {
        if ((s->partial[i] & 0xC0) != 0x80) return false;
        point = point << 6 | (s->partial[i] & 0x3Fu);
    }
    static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
    out->left = more + 1 - s->partial_count;
    out->first = point << 6 * out->left;
    out->last = out->first + (out->left ? (1u << 6 * out->left) - 1 : 0);
    out->is_whole = out->first >= least[more] && out->last <= CODE_POINT_MAX;
    if (out->first < least[more]) out->first = least[more];
    if (out->last > CODE_POINT_MAX) out->last = CODE_POINT_MAX;
    return out->first <= out->last &&
           !(out->first >= SURROGATE_FIRST && out->last <= SURROGATE_LAST);
}

enum meeting { APART, OVERLAPPING, WITHIN };

/* How [first, last] lies to the characters of a class. */
static enum meeting meet_class(const class *c, const enx_grammar *g, const span *of)
{
    const uint32_t first = of->first, last = of->last;
    const range   *ranges = g->ranges + c->first_range;
    uint32_t low = 0, high = c->range_count; /* the first range that ends at `first` or later */
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (ranges[middle].last < first) low = middle + 1;
        else high = middle;
    }
    if (low == c->range_count || ranges[low].first > last) return APART;
    return ranges[low].first <= first && ranges[low].last >= last ? WITHIN : OVERLAPPING;
}

static const class *class_on_top(const enx_grammar *g, const uint16_t *words)
{
    return &g->classes[g->elements[words[words[0]]].index];
}

/* Does some stack have a character of the span?  And can each say already whether it has the one
 * that will come?  Then they move now: what differs in the bytes to come makes no other state. */
static bool can_begin(const enx_grammar *g, const grammar_state *s, const span *of,
                      bool *is_settled)
{
    bool can = false;
    *is_settled = of->is_whole;
    for (uint32_t at = 0; at < s->word_count; at += 1u + s->words[at]) {
        const enum meeting m = meet_class(class_on_top(g, s->words + at), g, of);
        can = can || m != APART;
        *is_settled = *is_settled && m != OVERLAPPING;
    }
    return can;
}

static void begin_opening(opening *o, const enx_grammar *g, grammar_state *s)
{
    o->grammar = g;
    o->into = s;
    o->stack_count = 0;
    memset(s->partial, 0, sizeof s->partial); /* equal states have equal bytes */
    s->partial_count = 0;
    s->rest_count = 0;
    s->word_count = 0;
    s->has_end = false;
}

/* Every stack that has the characters of the span on top goes past them. */
static void move_stacks(const enx_grammar *g, grammar_state *s, const span *of)
{
    opening        o;
    uint16_t       before[sizeof s->words / sizeof s->words[0]];
    const uint32_t word_count = s->word_count;
    memcpy(before, s->words, word_count * sizeof *before);
    begin_opening(&o, g, s);
    for (uint32_t at = 0; at < word_count; at += 1u + before[at]) {
        if (meet_class(class_on_top(g, before + at), g, of) == APART) continue;
        stack next;
        memcpy(&next, before + at, (1u + before[at]) * sizeof *before);
        const uint16_t place = next.places[--next.depth];
        if (push_place(g, &next, place + 1u)) open_stack(&o, &next);
    }
    s->rest_count = (uint8_t)of->left;
}

static bool grammar_step(const enx_automaton *self, void *state, uint8_t byte)
{
    const enx_grammar *g = (const enx_grammar *)(const void *)self;
    grammar_state     *s = state;
    span               of;
    bool               is_settled;
    if (s->rest_count > 0) {
        s->rest_count--;
        return (byte & 0xC0) == 0x80;
    }
    ENX_CHECK(s->partial_count < sizeof s->partial);
    s->partial[s->partial_count++] = byte;
    if (!partial_span(s, &of) || !can_begin(g, s, &of, &is_settled)) return false;
    if (!is_settled) return true;
    move_stacks(g, s, &of);
    return s->word_count > 0 || s->has_end;
}

static void grammar_start(const enx_automaton *self, void *state)
{
    const enx_grammar *g = (const enx_grammar *)(const void *)self;
    opening            o;
    begin_opening(&o, g, state);
    for (uint32_t at = g->rules[g->root].first; at != UINT32_MAX; at = next_alternative(g, at)) {
        stack here = { .depth = 0 };
        if (push_place(g, &here, at)) open_stack(&o, &here);
    }
}

static bool grammar_may_end(const enx_automaton *self, const void *state)
{
    (void)self;
    const grammar_state *s = state;
    return s->partial_count == 0 && s->rest_count == 0 && s->has_end;
}

static void grammar_next_bytes(const enx_automaton *self, const void *state, uint64_t bytes[4])
{
    const enx_grammar   *g = (const enx_grammar *)(const void *)self;
    const grammar_state *s = state;
    if (s->partial_count > 0 || s->rest_count > 0) {
        bytes[2] = UINT64_MAX; /* 80..BF: inside a character */
        return;
    }
    for (uint32_t at = 0; at < s->word_count; at += 1u + s->words[at])
        for (size_t i = 0; i < 4; i++) bytes[i] |= class_on_top(g, s->words + at)->leads[i];
}

static size_t grammar_used_bytes(const enx_automaton *self, const void *state)
{
    (void)self;
    const grammar_state *s = state;
    return offsetof(grammar_state, words) + s->word_count * sizeof s->words[0];
}

/* ---- Opening ------------------------------------------------------------------------------- */

enx_status enx_grammar_open(enx_grammar **out, const char *text, size_t size_bytes,
                            enx_report *report)
{
    ENX_CHECK(out && (text || size_bytes == 0));
    if (size_bytes > ENX_GRAMMAR_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "a grammar of %zu bytes is above the limit of %d",
                        size_bytes, ENX_GRAMMAR_BYTES_MAX);
    enx_grammar *g = ENX_MEM_NEW(enx_grammar, 1);
    if (!g) return ENX_FAIL(report, NOMEM, "no memory for a grammar");
    g->automaton = (enx_automaton){ .state_bytes = sizeof(grammar_state),
                                    .start = grammar_start,
                                    .step = grammar_step,
                                    .may_end = grammar_may_end,
                                    .next_bytes = grammar_next_bytes,
                                    .used_bytes = grammar_used_bytes,
                                    .has_returns = true };
    reader r = {
        .grammar = g, .text = text, .at = text, .end = text + size_bytes, .report = report
    };
    enx_status status = ENX_OK;
    for (skip_space(&r, true); status == ENX_OK && r.at < r.end; skip_space(&r, true))
        status = read_rule(&r);
    if (status == ENX_OK) status = judge(g, report);
    if (status != ENX_OK) {
        enx_grammar_close(&g);
        return status;
    }
    *out = g;
    return ENX_OK;
}

void enx_grammar_close(enx_grammar **grammar)
{
    enx_mem_free(*grammar);
    *grammar = NULL;
}

const enx_automaton *enx_grammar_automaton(const enx_grammar *grammar)
{
    return &grammar->automaton;
}
