/* SPDX-License-Identifier: Apache-2.0 */
/* template_parse.c - tokens to a tree, by recursive descent.
 *
 * Precedence, loosest first: if-else, or, and, not, comparisons, + -, ~, * / // %, **, signs, then
 * filters and tests, then . [] (). */
#include "text/template_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct parser {
    enx_tpl_lexer lexer;
    enx_tpl_token token, ahead;
    enx_tpl_pool *pool;
    enx_report   *report;
    size_t        depth, loop_depth;
} parser;

static enx_status parse_expression(parser *p, enx_tpl_node **out);
static enx_status parse_or(parser *p, enx_tpl_node **out);
static enx_status parse_unary(parser *p, bool has_filters, enx_tpl_node **out);
static enx_status parse_body(parser *p, const char *const *ends, enx_tpl_node **first);

/* ---- Tokens and nodes ----------------------------------------------------------------------- */

#define PARSE_FAIL(p, name, ...) fail_at((p), ENX_##name, __LINE__, __VA_ARGS__)

static enx_status fail_at(const parser *p, enx_status status, int source_line, const char *format,
                          ...) ENX_PRINTF(4, 5);

static enx_status fail_at(const parser *p, enx_status status, int source_line, const char *format,
                          ...)
{
    char    text[ENX_REPORT_TEXT_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return enx_report_set(p->report, status, __FILE__, source_line,
                          "template %" PRIu32 ":%" PRIu32 ": %s", p->token.line, p->token.column,
                          text);
}

/* The width of a text from outside that fits into a message. */
static int shown(enx_tpl_text text) { return (int)(text.size < 60 ? text.size : 60); }

static enx_status fail_expected(const parser *p, const char *wanted)
{
    const enx_tpl_token *t = &p->token;
    char                 found[96];
    switch (t->kind) {
    case ENX_TPL_TOKEN_END:
        snprintf(found, sizeof found, "the end");
        break;
    case ENX_TPL_TOKEN_BLOCK_END:
        snprintf(found, sizeof found, "%%}");
        break;
    case ENX_TPL_TOKEN_OUTPUT_END:
        snprintf(found, sizeof found, "}}");
        break;
    case ENX_TPL_TOKEN_OPERATOR:
        snprintf(found, sizeof found, "'%c%c'", (int)(t->op & 0xff),
                 t->op >> 8 ? (int)(t->op >> 8) : '\'');
        if (t->op >> 8 == 0) found[3] = '\0';
        break;
    case ENX_TPL_TOKEN_NAME:
        snprintf(found, sizeof found, "'%.*s'", shown(t->text), t->text.bytes);
        break;
    case ENX_TPL_TOKEN_STRING:
        snprintf(found, sizeof found, "a string");
        break;
    case ENX_TPL_TOKEN_INTEGER:
    case ENX_TPL_TOKEN_FLOAT:
        snprintf(found, sizeof found, "a number");
        break;
    default:
        snprintf(found, sizeof found, "text");
        break;
    }
    return PARSE_FAIL(p, FORMAT, "expected %s, found %s", wanted, found);
}

static enx_status advance(parser *p)
{
    p->token = p->ahead;
    return p->token.kind == ENX_TPL_TOKEN_END ? ENX_OK : enx_tpl_lexer_next(&p->lexer, &p->ahead);
}

static bool is_op(const enx_tpl_token *token, unsigned op)
{
    return token->kind == ENX_TPL_TOKEN_OPERATOR && token->op == op;
}

static bool is_word(const enx_tpl_token *token, const char *word)
{
    return token->kind == ENX_TPL_TOKEN_NAME && enx_tpl_text_is(token->text, word);
}

static bool at_op(const parser *p, char c) { return is_op(&p->token, ENX_TPL_OP(c, 0)); }
static bool at_word(const parser *p, const char *word) { return is_word(&p->token, word); }

static enx_status expect_op(parser *p, char c)
{
    const char wanted[] = { '\'', c, '\'', '\0' };
    return at_op(p, c) ? advance(p) : fail_expected(p, wanted);
}

static enx_status expect_word(parser *p, const char *word)
{
    return at_word(p, word) ? advance(p) : fail_expected(p, word);
}

static enx_status expect_name(parser *p, enx_tpl_text *name)
{
    if (p->token.kind != ENX_TPL_TOKEN_NAME) return fail_expected(p, "a name");
    *name = p->token.text;
    return advance(p);
}

static enx_status new_node(parser *p, enx_tpl_node_kind kind, enx_tpl_node **out)
{
    enx_tpl_node *node = ENX_TPL_NEW(p->pool, enx_tpl_node, 1);
    if (!node) return PARSE_FAIL(p, NOMEM, "no memory for the template's tree");
    node->kind = kind;
    node->line = p->token.line;
    node->column = p->token.column;
    *out = node;
    return ENX_OK;
}

static enx_status new_pair(parser *p, enx_tpl_node_kind kind, enx_tpl_node *a, enx_tpl_node *b,
                           enx_tpl_node **out)
{
    ENX_TRY(new_node(p, kind, out));
    (*out)->a = a;
    (*out)->b = b;
    return ENX_OK;
}

static enx_status enter(parser *p)
{
    if (++p->depth <= ENX_TEMPLATE_NESTING_MAX) return ENX_OK;
    return PARSE_FAIL(p, LIMIT, "nested deeper than %d; nothing real is", ENX_TEMPLATE_NESTING_MAX);
}

/* ---- Expressions ---------------------------------------------------------------------------- */

/* Items up to the closing bracket, which is passed. */
static enx_status parse_items(parser *p, char close, enx_tpl_node **tail, bool *had_comma)
{
    *had_comma = false;
    while (!at_op(p, close)) {
        ENX_TRY(parse_expression(p, tail));
        tail = &(*tail)->next;
        if (at_op(p, close)) break;
        if (!at_op(p, ',')) {
            const char wanted[] = { '\'', ',', '\'', ' ', 'o', 'r', ' ', '\'', close, '\'', '\0' };
            return fail_expected(p, wanted);
        }
        ENX_TRY(advance(p));
        *had_comma = true;
    }
    return advance(p);
}

static enx_status parse_parentheses(parser *p, enx_tpl_node **out)
{
    enx_tpl_node *tuple = NULL;
    bool          had_comma;
    ENX_TRY(new_node(p, ENX_TPL_NODE_TUPLE, &tuple));
    ENX_TRY(advance(p));
    ENX_TRY(parse_items(p, ')', &tuple->a, &had_comma));
    *out = had_comma || !tuple->a ? tuple : tuple->a;
    return ENX_OK;
}

static enx_status parse_dict(parser *p, enx_tpl_node **out)
{
    ENX_TRY(new_node(p, ENX_TPL_NODE_DICT, out));
    ENX_TRY(advance(p));
    for (enx_tpl_node **tail = &(*out)->a; !at_op(p, '}'); tail = &(*tail)->next) {
        ENX_TRY(new_node(p, ENX_TPL_NODE_PAIR, tail));
        ENX_TRY(parse_expression(p, &(*tail)->a));
        ENX_TRY(expect_op(p, ':'));
        ENX_TRY(parse_expression(p, &(*tail)->b));
        if (at_op(p, '}')) break;
        if (!at_op(p, ',')) return fail_expected(p, "',' or '}'");
        ENX_TRY(advance(p));
    }
    return advance(p);
}

static enx_status parse_strings(parser *p, enx_tpl_node *node)
{
    node->value = enx_tpl_string(p->token.text);
    ENX_TRY(advance(p));
    while (p->token.kind == ENX_TPL_TOKEN_STRING) {
        const enx_tpl_text left = node->value.text, right = p->token.text;
        char              *both = ENX_TPL_NEW(p->pool, char, left.size + right.size + 1);
        if (!both) return PARSE_FAIL(p, NOMEM, "no memory for the template's strings");
        memcpy(both, left.bytes, left.size);
        memcpy(both + left.size, right.bytes, right.size);
        node->value.text = (enx_tpl_text){ both, left.size + right.size };
        ENX_TRY(advance(p));
    }
    return ENX_OK;
}

static bool is_constant(enx_tpl_text name, enx_tpl_value *value)
{
    const bool is_true = enx_tpl_text_is(name, "true") || enx_tpl_text_is(name, "True");
    const bool is_none = enx_tpl_text_is(name, "none") || enx_tpl_text_is(name, "None");
    *value = is_none ? (enx_tpl_value){ .kind = ENX_TPL_NONE } : enx_tpl_bool(is_true);
    return is_true || is_none || enx_tpl_text_is(name, "false") || enx_tpl_text_is(name, "False");
}

static enx_status parse_primary(parser *p, enx_tpl_node **out)
{
    if (at_op(p, '(')) return parse_parentheses(p, out);
    if (at_op(p, '{')) return parse_dict(p, out);
    enx_tpl_node *node = NULL;
    bool          had_comma;
    ENX_TRY(new_node(p, ENX_TPL_NODE_CONST, &node));
    *out = node;
    switch (p->token.kind) {
    case ENX_TPL_TOKEN_NAME:
        if (!is_constant(p->token.text, &node->value)) {
            node->kind = ENX_TPL_NODE_NAME;
            node->text = p->token.text;
        }
        return advance(p);
    case ENX_TPL_TOKEN_STRING:
        return parse_strings(p, node);
    case ENX_TPL_TOKEN_INTEGER:
    case ENX_TPL_TOKEN_FLOAT:
        node->value = p->token.value;
        return advance(p);
    default:
        break;
    }
    if (!at_op(p, '[')) return fail_expected(p, "an expression");
    node->kind = ENX_TPL_NODE_LIST;
    ENX_TRY(advance(p));
    return parse_items(p, ']', &node->a, &had_comma);
}

/* Arguments from "(" to ")". */
static enx_status parse_arguments(parser *p, enx_tpl_node **tail)
{
    bool had_name = false;
    ENX_TRY(expect_op(p, '('));
    while (!at_op(p, ')')) {
        ENX_TRY(new_node(p, ENX_TPL_NODE_ARGUMENT, tail));
        if ((at_op(p, '*') && !had_name) || is_op(&p->token, ENX_TPL_OP('*', '*'))) {
            (*tail)->op = p->token.op;
            had_name = had_name || !at_op(p, '*');
            ENX_TRY(advance(p));
        } else if (p->token.kind == ENX_TPL_TOKEN_NAME && is_op(&p->ahead, ENX_TPL_OP('=', 0))) {
            had_name = true;
            ENX_TRY(expect_name(p, &(*tail)->text));
            ENX_TRY(advance(p));
        } else if (had_name) return fail_expected(p, "name=value after name=value");
        ENX_TRY(parse_expression(p, &(*tail)->a));
        tail = &(*tail)->next;
        if (at_op(p, ')')) break;
        if (!at_op(p, ',')) return fail_expected(p, "',' or ')'");
        ENX_TRY(advance(p));
    }
    return advance(p);
}

static enx_status parse_subscript(parser *p, enx_tpl_node **out)
{
    enx_tpl_node *slice = NULL;
    ENX_TRY(new_node(p, ENX_TPL_NODE_SLICE, &slice));
    if (!at_op(p, ':')) {
        ENX_TRY(parse_expression(p, out));
        if (!at_op(p, ':')) return ENX_OK;
        slice->a = *out;
    }
    ENX_TRY(advance(p));
    if (!at_op(p, ':') && !at_op(p, ']')) ENX_TRY(parse_expression(p, &slice->b));
    if (at_op(p, ':')) {
        ENX_TRY(advance(p));
        if (!at_op(p, ']')) ENX_TRY(parse_expression(p, &slice->c));
    }
    *out = slice;
    return ENX_OK;
}

static enx_status parse_dot(parser *p, enx_tpl_node *value, enx_tpl_node **out)
{
    ENX_TRY(advance(p));
    if (p->token.kind != ENX_TPL_TOKEN_INTEGER) {
        ENX_TRY(new_pair(p, ENX_TPL_NODE_ATTRIBUTE, value, NULL, out));
        return expect_name(p, &(*out)->text);
    }
    enx_tpl_node *index = NULL;
    ENX_TRY(new_node(p, ENX_TPL_NODE_CONST, &index));
    index->value = p->token.value;
    ENX_TRY(new_pair(p, ENX_TPL_NODE_ITEM, value, index, out));
    return advance(p);
}

static enx_status parse_postfix(parser *p, enx_tpl_node **out)
{
    for (;;) {
        enx_tpl_node *node = NULL;
        if (at_op(p, '.')) {
            ENX_TRY(parse_dot(p, *out, &node));
        } else if (at_op(p, '[')) {
            ENX_TRY(new_pair(p, ENX_TPL_NODE_ITEM, *out, NULL, &node));
            ENX_TRY(advance(p));
            ENX_TRY(parse_subscript(p, &node->b));
            ENX_TRY(expect_op(p, ']'));
        } else if (at_op(p, '(')) {
            ENX_TRY(new_pair(p, ENX_TPL_NODE_CALL, *out, NULL, &node));
            ENX_TRY(parse_arguments(p, &node->b));
        } else return ENX_OK;
        *out = node;
    }
}

/* A filter, from its name on. */
static enx_status parse_filter(parser *p, enx_tpl_node **out)
{
    enx_tpl_node *node = NULL;
    ENX_TRY(new_pair(p, ENX_TPL_NODE_FILTER, *out, NULL, &node));
    if (p->token.kind != ENX_TPL_TOKEN_NAME) return fail_expected(p, "the name of a filter");
    node->text = p->token.text;
    node->native = enx_tpl_filter_find(node->text);
    if (!node->native)
        return PARSE_FAIL(p, UNSUPPORTED, "there is no filter '%.*s' here", shown(node->text),
                          node->text.bytes);
    ENX_TRY(advance(p));
    if (at_op(p, '(')) ENX_TRY(parse_arguments(p, &node->b));
    *out = node;
    return ENX_OK;
}

/* Can the token start the only argument of a test without parentheses? */
static bool starts_argument(const parser *p)
{
    switch (p->token.kind) {
    case ENX_TPL_TOKEN_NAME:
        return !at_word(p, "else") && !at_word(p, "or") && !at_word(p, "and");
    case ENX_TPL_TOKEN_STRING:
    case ENX_TPL_TOKEN_INTEGER:
    case ENX_TPL_TOKEN_FLOAT:
        return true;
    default:
        return at_op(p, '[') || at_op(p, '{');
    }
}

/* A test, from "is" on. */
static enx_status parse_test(parser *p, enx_tpl_node **out)
{
    enx_tpl_node *node = NULL;
    ENX_TRY(advance(p));
    const bool is_negated = at_word(p, "not");
    if (is_negated) ENX_TRY(advance(p));
    ENX_TRY(new_pair(p, ENX_TPL_NODE_TEST, *out, NULL, &node));
    if (p->token.kind != ENX_TPL_TOKEN_NAME) return fail_expected(p, "the name of a test");
    node->text = p->token.text;
    node->native = enx_tpl_test_find(node->text);
    if (!node->native)
        return PARSE_FAIL(p, UNSUPPORTED, "there is no test '%.*s' here", shown(node->text),
                          node->text.bytes);
    ENX_TRY(advance(p));
    if (at_op(p, '(')) {
        ENX_TRY(parse_arguments(p, &node->b));
    } else if (at_word(p, "is")) {
        return fail_expected(p, "an operator: tests with 'is' do not chain");
    } else if (starts_argument(p)) {
        ENX_TRY(new_node(p, ENX_TPL_NODE_ARGUMENT, &node->b));
        ENX_TRY(parse_primary(p, &node->b->a));
        ENX_TRY(parse_postfix(p, &node->b->a));
    }
    *out = node;
    return is_negated ? new_pair(p, ENX_TPL_NODE_NOT, node, NULL, out) : ENX_OK;
}

static enx_status parse_filters(parser *p, enx_tpl_node **out)
{
    for (;;) {
        if (at_op(p, '|')) {
            ENX_TRY(advance(p));
            ENX_TRY(parse_filter(p, out));
        } else if (at_word(p, "is")) {
            ENX_TRY(parse_test(p, out));
        } else if (at_op(p, '(')) {
            ENX_TRY(parse_postfix(p, out));
        } else return ENX_OK;
    }
}

static enx_status parse_unary(parser *p, bool has_filters, enx_tpl_node **out)
{
    ENX_TRY(enter(p));
    const bool is_negative = at_op(p, '-');
    if (is_negative || at_op(p, '+')) {
        enx_tpl_node *node = NULL;
        ENX_TRY(new_node(p, is_negative ? ENX_TPL_NODE_NEGATIVE : ENX_TPL_NODE_POSITIVE, &node));
        ENX_TRY(advance(p));
        ENX_TRY(parse_unary(p, false, &node->a));
        *out = node;
    } else ENX_TRY(parse_primary(p, out));
    ENX_TRY(parse_postfix(p, out));
    if (has_filters) ENX_TRY(parse_filters(p, out));
    p->depth--;
    return ENX_OK;
}

/* Operators by how tightly they bind; level 0 is + and -. */
static bool binds_at(const enx_tpl_token *token, int level)
{
    static const unsigned ops[][5] = {
        { ENX_TPL_OP('+', 0), ENX_TPL_OP('-', 0) },
        { 0 }, /* ~ */
        { ENX_TPL_OP('*', 0), ENX_TPL_OP('/', 0), ENX_TPL_OP('/', '/'), ENX_TPL_OP('%', 0) },
        { ENX_TPL_OP('*', '*') },
    };
    if (token->kind != ENX_TPL_TOKEN_OPERATOR) return false;
    for (const unsigned *op = ops[level]; *op; op++)
        if (token->op == *op) return true;
    return false;
}

enum { LEVEL_SUM, LEVEL_CONCAT, LEVEL_PRODUCT, LEVEL_POWER, LEVEL_UNARY };

/* NOLINTNEXTLINE(misc-no-recursion): four levels */
static enx_status parse_binary(parser *p, int level, enx_tpl_node **out)
{
    if (level == LEVEL_UNARY) return parse_unary(p, true, out);
    ENX_TRY(parse_binary(p, level + 1, out));
    if (level == LEVEL_CONCAT && at_op(p, '~')) {
        enx_tpl_node *node = NULL;
        ENX_TRY(new_pair(p, ENX_TPL_NODE_CONCAT, *out, NULL, &node));
        for (enx_tpl_node **tail = &node->a->next; at_op(p, '~'); tail = &(*tail)->next) {
            ENX_TRY(advance(p));
            ENX_TRY(parse_binary(p, level + 1, tail));
        }
        *out = node;
    }
    while (binds_at(&p->token, level)) {
        enx_tpl_node *node = NULL;
        ENX_TRY(new_pair(p, ENX_TPL_NODE_BINARY, *out, NULL, &node));
        node->op = p->token.op;
        ENX_TRY(advance(p));
        ENX_TRY(parse_binary(p, level + 1, &node->b));
        *out = node;
    }
    return ENX_OK;
}

/* The comparison at the token, passed; 0: none. */
static enx_status take_comparison(parser *p, unsigned *op)
{
    static const unsigned ops[] = {
        ENX_TPL_OP('=', '='), ENX_TPL_OP('!', '='), ENX_TPL_OP('<', 0),
        ENX_TPL_OP('>', 0),   ENX_TPL_OP('<', '='), ENX_TPL_OP('>', '=')
    };
    *op = 0;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (is_op(&p->token, ops[i])) *op = ops[i];
    if (at_word(p, "in")) *op = ENX_TPL_OP_IN;
    if (at_word(p, "not") && is_word(&p->ahead, "in")) {
        *op = ENX_TPL_OP_NOT_IN;
        ENX_TRY(advance(p));
    }
    return *op ? advance(p) : ENX_OK;
}

static enx_status parse_comparison(parser *p, enx_tpl_node **out)
{
    unsigned op;
    ENX_TRY(parse_binary(p, LEVEL_SUM, out));
    enx_tpl_node *place = NULL;
    ENX_TRY(new_node(p, ENX_TPL_NODE_COMPARE, &place));
    ENX_TRY(take_comparison(p, &op));
    if (!op) return ENX_OK;
    place->a = *out;
    *out = place;
    for (enx_tpl_node **tail = &place->b; op; tail = &(*tail)->next) {
        ENX_TRY(new_node(p, ENX_TPL_NODE_OPERAND, tail));
        (*tail)->op = op;
        ENX_TRY(parse_binary(p, LEVEL_SUM, &(*tail)->a));
        ENX_TRY(take_comparison(p, &op));
    }
    return ENX_OK;
}

static enx_status parse_not(parser *p, enx_tpl_node **out)
{
    if (!at_word(p, "not")) return parse_comparison(p, out);
    enx_tpl_node *node = NULL;
    ENX_TRY(enter(p));
    ENX_TRY(new_node(p, ENX_TPL_NODE_NOT, &node));
    ENX_TRY(advance(p));
    ENX_TRY(parse_not(p, &node->a));
    *out = node;
    p->depth--;
    return ENX_OK;
}

static enx_status parse_and(parser *p, enx_tpl_node **out)
{
    ENX_TRY(parse_not(p, out));
    while (at_word(p, "and")) {
        enx_tpl_node *node = NULL;
        ENX_TRY(new_pair(p, ENX_TPL_NODE_AND, *out, NULL, &node));
        ENX_TRY(advance(p));
        ENX_TRY(parse_not(p, &node->b));
        *out = node;
    }
    return ENX_OK;
}

static enx_status parse_or(parser *p, enx_tpl_node **out)
{
    ENX_TRY(parse_and(p, out));
    while (at_word(p, "or")) {
        enx_tpl_node *node = NULL;
        ENX_TRY(new_pair(p, ENX_TPL_NODE_OR, *out, NULL, &node));
        ENX_TRY(advance(p));
        ENX_TRY(parse_and(p, &node->b));
        *out = node;
    }
    return ENX_OK;
}

static enx_status parse_expression(parser *p, enx_tpl_node **out)
{
    ENX_TRY(enter(p));
    ENX_TRY(parse_or(p, out));
    while (at_word(p, "if")) {
        enx_tpl_node *node = NULL;
        ENX_TRY(new_pair(p, ENX_TPL_NODE_CONDITION, NULL, *out, &node));
        ENX_TRY(advance(p));
        ENX_TRY(parse_or(p, &node->a));
        if (at_word(p, "else")) {
            ENX_TRY(advance(p));
            ENX_TRY(parse_expression(p, &node->c));
        }
        *out = node;
    }
    p->depth--;
    return ENX_OK;
}

/* An expression, or several with commas as a tuple. */
static enx_status parse_tuple(parser *p, enx_tpl_node **out)
{
    enx_tpl_node *tuple = NULL;
    ENX_TRY(new_node(p, ENX_TPL_NODE_TUPLE, &tuple));
    ENX_TRY(parse_expression(p, out));
    if (!at_op(p, ',')) return ENX_OK;
    tuple->a = *out;
    *out = tuple;
    for (enx_tpl_node **tail = &tuple->a->next; at_op(p, ','); tail = &(*tail)->next) {
        ENX_TRY(advance(p));
        if (p->token.kind == ENX_TPL_TOKEN_BLOCK_END || p->token.kind == ENX_TPL_TOKEN_OUTPUT_END)
            break;
        ENX_TRY(parse_expression(p, tail));
    }
    return ENX_OK;
}

/* ---- Statements ----------------------------------------------------------------------------- */

static enx_status expect_block_end(parser *p)
{
    return p->token.kind == ENX_TPL_TOKEN_BLOCK_END ? advance(p) : fail_expected(p, "%}");
}

/* A body and its closing tag's word; the tag's end is left to the caller. */
static enx_status parse_block(parser *p, const char *end, enx_tpl_node **first)
{
    const char *const ends[] = { end, NULL };
    ENX_TRY(expect_block_end(p));
    ENX_TRY(parse_body(p, ends, first));
    return advance(p);
}

static enx_status parse_name_target(parser *p, bool can_be_attribute, enx_tpl_node **out)
{
    enx_tpl_value constant;
    ENX_TRY(new_node(p, ENX_TPL_NODE_NAME, out));
    if (p->token.kind != ENX_TPL_TOKEN_NAME || is_constant(p->token.text, &constant))
        return fail_expected(p, "a name to set");
    ENX_TRY(expect_name(p, &(*out)->text));
    return can_be_attribute && at_op(p, '.') ? parse_dot(p, *out, out) : ENX_OK;
}

/* a, or a, b, or (a, b) */
static enx_status parse_target(parser *p, bool can_be_attribute, enx_tpl_node **out)
{
    enx_tpl_node *tuple = NULL;
    ENX_TRY(new_node(p, ENX_TPL_NODE_TUPLE, &tuple));
    const bool has_parentheses = at_op(p, '(');
    if (has_parentheses) ENX_TRY(advance(p));
    ENX_TRY(parse_name_target(p, can_be_attribute, &tuple->a));
    *out = at_op(p, ',') ? tuple : tuple->a;
    for (enx_tpl_node **tail = &tuple->a->next; at_op(p, ','); tail = &(*tail)->next) {
        ENX_TRY(advance(p));
        ENX_TRY(parse_name_target(p, can_be_attribute, tail));
    }
    return has_parentheses ? expect_op(p, ')') : ENX_OK;
}

static enx_status parse_if(parser *p, enx_tpl_node *node)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    static const char *const last_ends[] = { "endif", NULL };
    node->kind = ENX_TPL_NODE_IF;
    bool is_else = false;
    for (enx_tpl_node **tail = &node->a;; tail = &(*tail)->next) {
        ENX_TRY(new_node(p, ENX_TPL_NODE_BRANCH, tail));
        if (!is_else) ENX_TRY(parse_tuple(p, &(*tail)->a));
        ENX_TRY(expect_block_end(p));
        ENX_TRY(parse_body(p, is_else ? last_ends : ends, &(*tail)->body));
        const bool is_end = at_word(p, "endif");
        is_else = at_word(p, "else");
        ENX_TRY(advance(p));
        if (is_end) return ENX_OK;
    }
}

static enx_status parse_for(parser *p, enx_tpl_node *node)
{
    static const char *const ends[] = { "else", "endfor", NULL };
    node->kind = ENX_TPL_NODE_FOR;
    ENX_TRY(parse_target(p, false, &node->a));
    ENX_TRY(expect_word(p, "in"));
    enx_tpl_node *tuple = NULL;
    ENX_TRY(new_node(p, ENX_TPL_NODE_TUPLE, &tuple));
    ENX_TRY(parse_or(p, &node->b));
    if (at_op(p, ',')) {
        tuple->a = node->b;
        node->b = tuple;
    }
    for (enx_tpl_node **tail = &tuple->a; at_op(p, ',');) {
        tail = &(*tail)->next;
        ENX_TRY(advance(p));
        ENX_TRY(parse_or(p, tail));
    }
    if (at_word(p, "if")) {
        ENX_TRY(advance(p));
        ENX_TRY(parse_expression(p, &node->c));
    }
    if (at_word(p, "recursive"))
        return PARSE_FAIL(p, UNSUPPORTED, "recursive loops are not supported; use a macro");
    ENX_TRY(expect_block_end(p));
    p->loop_depth++;
    ENX_TRY(parse_body(p, ends, &node->body));
    p->loop_depth--;
    if (at_word(p, "endfor")) return advance(p);
    ENX_TRY(advance(p));
    return parse_block(p, "endfor", &node->other);
}

static enx_status parse_set(parser *p, enx_tpl_node *node)
{
    ENX_TRY(parse_target(p, true, &node->a));
    if (at_op(p, '=')) {
        node->kind = ENX_TPL_NODE_SET;
        ENX_TRY(advance(p));
        return parse_tuple(p, &node->b);
    }
    node->kind = ENX_TPL_NODE_SET_BLOCK;
    ENX_TRY(new_node(p, ENX_TPL_NODE_INPUT, &node->b));
    ENX_TRY(parse_filters(p, &node->b));
    return parse_block(p, "endset", &node->body);
}

static enx_status parse_parameters(parser *p, enx_tpl_node **tail)
{
    bool had_default = false;
    ENX_TRY(expect_op(p, '('));
    while (!at_op(p, ')')) {
        ENX_TRY(parse_name_target(p, false, tail));
        (*tail)->kind = ENX_TPL_NODE_PARAMETER;
        if (at_op(p, '=')) {
            had_default = true;
            ENX_TRY(advance(p));
            ENX_TRY(parse_expression(p, &(*tail)->a));
        } else if (had_default) return fail_expected(p, "a default, as the parameter before has");
        tail = &(*tail)->next;
        if (at_op(p, ')')) break;
        if (!at_op(p, ',')) return fail_expected(p, "',' or ')'");
        ENX_TRY(advance(p));
    }
    return advance(p);
}

/* A body that break and continue do not leave. */
static enx_status parse_closed_block(parser *p, const char *end, enx_tpl_node **first)
{
    const size_t loop_depth = p->loop_depth;
    p->loop_depth = 0;
    ENX_TRY(parse_block(p, end, first));
    p->loop_depth = loop_depth;
    return ENX_OK;
}

static enx_status parse_macro(parser *p, enx_tpl_node *node)
{
    node->kind = ENX_TPL_NODE_MACRO;
    ENX_TRY(expect_name(p, &node->text));
    ENX_TRY(parse_parameters(p, &node->a));
    ENX_TRY(parse_closed_block(p, "endmacro", &node->body));
    return p->token.kind == ENX_TPL_TOKEN_NAME ? advance(p) : ENX_OK;
}

static enx_status parse_call_block(parser *p, enx_tpl_node *node)
{
    node->kind = ENX_TPL_NODE_CALL_BLOCK;
    node->text = ENX_TPL_TEXT("caller");
    if (at_op(p, '(')) ENX_TRY(parse_parameters(p, &node->a));
    ENX_TRY(parse_expression(p, &node->b));
    if (node->b->kind != ENX_TPL_NODE_CALL) return fail_expected(p, "a call before");
    return parse_closed_block(p, "endcall", &node->body);
}

static enx_status parse_filter_block(parser *p, enx_tpl_node *node)
{
    node->kind = ENX_TPL_NODE_FILTER_BLOCK;
    ENX_TRY(new_node(p, ENX_TPL_NODE_INPUT, &node->b));
    ENX_TRY(parse_filter(p, &node->b));
    ENX_TRY(parse_filters(p, &node->b));
    return parse_closed_block(p, "endfilter", &node->body);
}

static enx_status parse_generation(parser *p, enx_tpl_node *node)
{
    node->kind = ENX_TPL_NODE_SCOPE;
    return parse_block(p, "endgeneration", &node->body);
}

static enx_status parse_with(parser *p, enx_tpl_node *node)
{
    node->kind = ENX_TPL_NODE_SCOPE;
    for (enx_tpl_node **tail = &node->a; p->token.kind != ENX_TPL_TOKEN_BLOCK_END;
         tail = &(*tail)->next) {
        if (node->a) ENX_TRY(expect_op(p, ','));
        ENX_TRY(new_node(p, ENX_TPL_NODE_SET, tail));
        ENX_TRY(parse_target(p, false, &(*tail)->a));
        ENX_TRY(expect_op(p, '='));
        ENX_TRY(parse_expression(p, &(*tail)->b));
    }
    return parse_block(p, "endwith", &node->body);
}

static enx_status parse_do(parser *p, enx_tpl_node *node)
{
    node->kind = ENX_TPL_NODE_DO;
    return parse_tuple(p, &node->a);
}

static enx_status parse_jump(parser *p, enx_tpl_node *node)
{
    if (p->loop_depth == 0)
        return PARSE_FAIL(p, FORMAT, "expected a loop around break or continue");
    node->kind = enx_tpl_text_is(node->text, "break") ? ENX_TPL_NODE_BREAK : ENX_TPL_NODE_CONTINUE;
    return ENX_OK;
}

/* A statement from its word to before its last "%}". */
static enx_status parse_statement(parser *p, enx_tpl_node **out)
{
    static const struct {
        const char *word;
        enx_status (*parse)(parser *p, enx_tpl_node *node);
    } statements[] = {
        { "if", parse_if },
        { "for", parse_for },
        { "set", parse_set },
        { "macro", parse_macro },
        { "call", parse_call_block },
        { "filter", parse_filter_block },
        { "generation", parse_generation },
        { "with", parse_with },
        { "do", parse_do },
        { "break", parse_jump },
        { "continue", parse_jump },
    };
    if (p->token.kind != ENX_TPL_TOKEN_NAME) return fail_expected(p, "the word of a statement");
    ENX_TRY(new_node(p, ENX_TPL_NODE_DATA, out));
    enx_tpl_node *node = *out;
    node->text = p->token.text;
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (!at_word(p, statements[i].word)) continue;
        ENX_TRY(advance(p));
        return statements[i].parse(p, node);
    }
    const bool is_end = (node->text.size > 3 && memcmp(node->text.bytes, "end", 3) == 0) ||
                        at_word(p, "else") || at_word(p, "elif");
    if (is_end)
        return PARSE_FAIL(p, FORMAT, "unexpected '%.*s': no block is open that it could close",
                          shown(node->text), node->text.bytes);
    return PARSE_FAIL(p, UNSUPPORTED, "there is no statement '%.*s' here", shown(node->text),
                      node->text.bytes);
}

/* Statements up to a tag with one of the words of `ends`, which is left as the token; NULL: up to
 * the end of the template. */
static enx_status parse_body(parser *p, const char *const *ends, enx_tpl_node **tail)
{
    ENX_TRY(enter(p));
    while (p->token.kind != ENX_TPL_TOKEN_END) {
        if (p->token.kind == ENX_TPL_TOKEN_DATA) {
            ENX_TRY(new_node(p, ENX_TPL_NODE_DATA, tail));
            (*tail)->text = p->token.text;
            ENX_TRY(advance(p));
        } else if (p->token.kind == ENX_TPL_TOKEN_OUTPUT_BEGIN) {
            ENX_TRY(new_node(p, ENX_TPL_NODE_OUTPUT, tail));
            ENX_TRY(advance(p));
            ENX_TRY(parse_tuple(p, &(*tail)->a));
            if (p->token.kind != ENX_TPL_TOKEN_OUTPUT_END) return fail_expected(p, "}}");
            ENX_TRY(advance(p));
        } else {
            ENX_TRY(advance(p));
            for (size_t i = 0; ends && ends[i]; i++)
                if (at_word(p, ends[i])) {
                    p->depth--;
                    return ENX_OK;
                }
            ENX_TRY(parse_statement(p, tail));
            ENX_TRY(expect_block_end(p));
        }
        tail = &(*tail)->next;
    }
    p->depth--;
    if (!ends) return ENX_OK;
    size_t last = 0;
    while (ends[last + 1]) last++;
    return fail_expected(p, ends[last]);
}

enx_status enx_tpl_parse(enx_tpl_pool *pool, const char *text, size_t size_bytes,
                         enx_tpl_node **first, enx_report *report)
{
    parser p = { .pool = pool, .report = report };
    ENX_TRY(enx_tpl_lexer_open(&p.lexer, pool, text, size_bytes, report));
    ENX_TRY(enx_tpl_lexer_next(&p.lexer, &p.ahead));
    ENX_TRY(advance(&p));
    *first = NULL;
    return parse_body(&p, NULL, first);
}
