/* SPDX-License-Identifier: Apache-2.0 */
/* expression.c - from text to nodes, by descent through the levels of binding. */
#include "base/check.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "check/expression_impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES_MAX = 64 };

typedef struct parser {
    enx_expression *out;
    const char     *text;
    size_t          at;
    int             depth;
    enx_report     *report;
} parser;

typedef struct operator_row {
    const char   *word;
    expression_op op;
} operator_row;

static const char *const function_names[] = {
#define X(name, word, arguments) word,
    FUNCTION_MAP(X)
#undef X
};
static const expression_op function_ops[] = {
#define X(name, word, arguments) OP_##name,
    FUNCTION_MAP(X)
#undef X
};
static const int function_arguments[] = {
#define X(name, word, arguments) arguments,
    FUNCTION_MAP(X)
#undef X
};
enum { FUNCTION_COUNT = sizeof function_ops / sizeof *function_ops };

/* Longer words before their beginnings.  A level binds more loosely than the next. */
static const operator_row level_or[] = { { "or", OP_OR }, { NULL, OP_OR } };
static const operator_row level_and[] = { { "and", OP_AND }, { NULL, OP_AND } };
static const operator_row level_compare[] = {
    { "==", OP_EQUAL }, { "!=", OP_UNEQUAL }, { "<=", OP_LESS_EQUAL }, { ">=", OP_MORE_EQUAL },
    { "<", OP_LESS },   { ">", OP_MORE },     { "in", OP_IN },         { NULL, OP_EQUAL },
};
static const operator_row level_add[] = { { "+", OP_ADD }, { "-", OP_SUBTRACT }, { NULL, OP_ADD } };
static const operator_row level_multiply[] = {
    { "*", OP_MULTIPLY }, { "/", OP_DIVIDE }, { "%", OP_REMAINDER }, { NULL, OP_MULTIPLY }
};
static const operator_row *const levels[] = { level_or, level_and, level_compare, level_add,
                                              level_multiply };
enum { LEVEL_COUNT = sizeof levels / sizeof *levels, LEVEL_NOT = 2 };

static enx_status parse_level(parser *p, int level, uint16_t *node);

static void skip_spaces(parser *p)
{
    while (isspace((unsigned char)p->text[p->at])) p->at++;
}

static bool is_word_byte(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Step over `word`, when it comes next and does not go on. */
static bool take(parser *p, const char *word)
{
    const size_t size = strlen(word);
    skip_spaces(p);
    if (strncmp(p->text + p->at, word, size) != 0) return false;
    if (is_word_byte(word[0]) && is_word_byte(p->text[p->at + size])) return false;
    p->at += size;
    return true;
}

static enx_status expect(parser *p, const char *word)
{
    if (take(p, word)) return ENX_OK;
    return ENX_FAIL(p->report, FORMAT, "\"%s\" expected at byte %zu", word, p->at + 1);
}

static enx_status add(parser *p, expression_op op, json_t *value, const uint16_t *children,
                      int count, uint16_t *node)
{
    enx_expression *e = p->out;
    if (e->count == ENX_EXPRESSION_NODES_MAX) {
        json_decref(value);
        return ENX_FAIL(p->report, LIMIT, "more than %d parts", ENX_EXPRESSION_NODES_MAX);
    }
    *node = (uint16_t)e->count;
    e->nodes[e->count] = (expression_node){ .op = op, .value = value };
    for (int i = 0; i < count; i++) e->nodes[e->count].children[i] = children[i];
    e->count++;
    return ENX_OK;
}

static enx_status add_value(parser *p, expression_op op, json_t *value, uint16_t *node)
{
    if (!value) return ENX_FAIL(p->report, NOMEM, "no memory, or no UTF-8 at byte %zu", p->at + 1);
    return add(p, op, value, NULL, 0, node);
}

static enx_status parse_number(parser *p, uint16_t *node)
{
    char        *end = NULL;
    const double value = strtod(p->text + p->at, &end);
    p->at = (size_t)(end - p->text);
    return add_value(p, OP_VALUE, json_real(value), node);
}

static enx_status parse_text(parser *p, uint16_t *node)
{
    char   text[ENX_EXPRESSION_BYTES_MAX];
    size_t size = 0;
    p->at++;
    for (;; p->at++) {
        if (!p->text[p->at])
            return ENX_FAIL(p->report, FORMAT, "a text has no end; it needs another '");
        if (p->text[p->at] == '\'' && p->text[++p->at] != '\'') break;
        text[size++] = p->text[p->at];
    }
    return add_value(p, OP_VALUE, json_stringn(text, size), node);
}

static enx_status parse_call(parser *p, const char *word, uint16_t *node)
{
    uint16_t children[ENX_EXPRESSION_ARGUMENTS_MAX] = { 0 };
    int      function = 0;
    while (function < FUNCTION_COUNT && strcmp(function_names[function], word) != 0) function++;
    if (function == FUNCTION_COUNT) {
        const char *nearest = enx_nearest(word, function_names, FUNCTION_COUNT);
        return ENX_FAIL(p->report, NOTFOUND, "no function is called %s%s%s", word,
                        nearest ? "; the nearest is " : "", nearest ? nearest : "");
    }
    for (int i = 0; i < function_arguments[function]; i++) {
        if (i > 0) ENX_TRY(expect(p, ","));
        ENX_TRY(parse_level(p, 0, &children[i]));
    }
    ENX_TRY(expect(p, ")"));
    return add(p, function_ops[function], NULL, children, function_arguments[function], node);
}

static enx_status read_word(parser *p, char word[WORD_BYTES_MAX])
{
    size_t size = 0;
    skip_spaces(p);
    while (is_word_byte(p->text[p->at + size]) && size < WORD_BYTES_MAX - 1) size++;
    if (size == 0)
        return ENX_FAIL(p->report, FORMAT, "a name or a value expected at byte %zu", p->at + 1);
    memcpy(word, p->text + p->at, size);
    word[size] = '\0';
    p->at += size;
    return ENX_OK;
}

static enx_status parse_word(parser *p, uint16_t *node)
{
    char word[WORD_BYTES_MAX];
    ENX_TRY(read_word(p, word));
    if (take(p, "(")) return parse_call(p, word, node);
    if (strcmp(word, "true") == 0) return add_value(p, OP_VALUE, json_true(), node);
    if (strcmp(word, "false") == 0) return add_value(p, OP_VALUE, json_false(), node);
    if (strcmp(word, "null") == 0) return add_value(p, OP_VALUE, json_null(), node);
    if (strcmp(word, "input") == 0) return add(p, OP_INPUT, NULL, NULL, 0, node);
    if (strcmp(word, "answer") == 0) return add(p, OP_ANSWER, NULL, NULL, 0, node);
    return add_value(p, OP_NAME, json_string(word), node);
}

static enx_status parse_primary(parser *p, uint16_t *node)
{
    char     word[WORD_BYTES_MAX];
    uint16_t children[2];
    skip_spaces(p);
    const char next = p->text[p->at];
    if (isdigit((unsigned char)next)) return parse_number(p, node);
    if (next == '\'') return parse_text(p, node);
    if (take(p, "(")) {
        ENX_TRY(parse_level(p, 0, node));
        ENX_TRY(expect(p, ")"));
    } else {
        ENX_TRY(parse_word(p, node));
    }
    for (;;) {
        children[0] = *node;
        if (take(p, ".")) {
            ENX_TRY(read_word(p, word));
            json_t *name = json_string(word);
            if (!name) return ENX_FAIL(p->report, NOMEM, "no memory for a name");
            ENX_TRY(add(p, OP_MEMBER, name, children, 1, node));
        } else if (take(p, "[")) {
            ENX_TRY(parse_level(p, 0, &children[1]));
            ENX_TRY(expect(p, "]"));
            ENX_TRY(add(p, OP_AT, NULL, children, 2, node));
        } else {
            return ENX_OK;
        }
    }
}

static enx_status parse_unary(parser *p, int level, uint16_t *node)
{
    uint16_t child;
    if (level == LEVEL_NOT && take(p, "not")) {
        ENX_TRY(parse_level(p, level, &child));
        return add(p, OP_NOT, NULL, &child, 1, node);
    }
    if (level < LEVEL_COUNT) return parse_level(p, level + 1, node);
    if (!take(p, "-")) return parse_primary(p, node);
    ENX_TRY(parse_level(p, LEVEL_COUNT, &child));
    return add(p, OP_NEGATE, NULL, &child, 1, node);
}

static const operator_row *take_operator(parser *p, const operator_row *rows)
{
    for (; rows->word; rows++)
        if (take(p, rows->word)) return rows;
    return NULL;
}

/* Level LEVEL_COUNT is that of unary minus. */
static enx_status parse_level(parser *p, int level, uint16_t *node)
{
    const operator_row *row;
    uint16_t            children[2];
    if (++p->depth > ENX_EXPRESSION_DEPTH_MAX * (LEVEL_COUNT + 1))
        return ENX_FAIL(p->report, LIMIT, "more than %d levels of brackets",
                        ENX_EXPRESSION_DEPTH_MAX);
    ENX_TRY(parse_unary(p, level, node));
    while (level < LEVEL_COUNT && (row = take_operator(p, levels[level])) != NULL) {
        children[0] = *node;
        ENX_TRY(parse_unary(p, level, &children[1]));
        ENX_TRY(add(p, row->op, NULL, children, 2, node));
    }
    p->depth--;
    return ENX_OK;
}

enx_status enx_expression_open(enx_expression **out, const char *text, enx_report *report)
{
    uint16_t root;
    ENX_CHECK(out && text);
    if (strlen(text) >= ENX_EXPRESSION_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "an expression of %zu bytes, at most %d", strlen(text),
                        ENX_EXPRESSION_BYTES_MAX - 1);
    enx_expression *e = ENX_MEM_NEW(enx_expression, 1);
    if (!e) return ENX_FAIL(report, NOMEM, "no memory for an expression");
    parser     p = { .out = e, .text = text, .report = report };
    enx_status status = parse_level(&p, 0, &root);
    skip_spaces(&p);
    if (status == ENX_OK && text[p.at])
        status = ENX_FAIL(report, FORMAT, "an operator or the end expected at byte %zu", p.at + 1);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%.200s", text);
        enx_expression_close(&e);
        return status;
    }
    e->root = root;
    *out = e;
    return ENX_OK;
}

void enx_expression_close(enx_expression **expression)
{
    enx_expression *e = *expression;
    *expression = NULL;
    if (!e) return;
    for (uint32_t i = 0; i < e->count; i++) json_decref(e->nodes[i].value);
    enx_mem_free(e);
}
