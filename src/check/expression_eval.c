/* SPDX-License-Identifier: Apache-2.0 */
/* expression_eval.c - the value of each node from those of its children.
 *
 * Every function here returns a new reference, or NULL after a report.  Nodes are a tree, and `or`
 * and `and` look at their second child only when they need it. */
#include "check/expression_impl.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct evaluation {
    const enx_expression *e;
    const json_t         *answer;
    enx_span              input;
    enx_report           *report;
} evaluation;

static json_t *fail(const evaluation *v, const char *what)
{
    (void)!ENX_FAIL(v->report, INVALID, "%s", what);
    return NULL;
}

static bool is_true(const json_t *x)
{
    if (json_is_string(x)) return json_string_length(x) > 0;
    if (json_is_number(x)) return json_number_value(x) != 0;
    return !json_is_null(x) && !json_is_false(x);
}

static bool is_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

/* Less, equal or more; of two numbers or two texts. */
static bool compare(const json_t *a, const json_t *b, int *sign)
{
    if (json_is_number(a) && json_is_number(b)) {
        const double x = json_number_value(a), y = json_number_value(b);
        *sign = (x > y) - (x < y);
    } else if (json_is_string(a) && json_is_string(b)) {
        *sign = strcmp(json_string_value(a), json_string_value(b));
    } else {
        return false;
    }
    return true;
}

static json_t *order(expression_op op, const json_t *a, const json_t *b)
{
    int sign;
    if (!compare(a, b, &sign)) return json_false();
    const bool holds = op == OP_LESS         ? sign < 0
                       : op == OP_LESS_EQUAL ? sign <= 0
                       : op == OP_MORE       ? sign > 0
                                             : sign >= 0;
    return json_boolean(holds);
}

static json_t *is_in(const json_t *a, const json_t *b)
{
    size_t  index;
    json_t *at;
    if (json_is_string(a) && json_is_string(b))
        return json_boolean(strstr(json_string_value(b), json_string_value(a)) != NULL);
    json_array_foreach (b, index, at)
        if (is_equal(a, at)) return json_true();
    return json_false();
}

static json_t *join(const json_t *a, const json_t *b)
{
    return json_pack("s%+%", json_string_value(a), json_string_length(a), json_string_value(b),
                     json_string_length(b));
}

static json_t *calculate(const evaluation *v, expression_op op, const json_t *a, const json_t *b)
{
    if (op == OP_ADD && json_is_string(a) && json_is_string(b)) return join(a, b);
    if (!json_is_number(a) || !json_is_number(b)) return fail(v, "a number is needed to calculate");
    const double x = json_number_value(a), y = json_number_value(b);
    const double result = op == OP_ADD         ? x + y
                          : op == OP_SUBTRACT  ? x - y
                          : op == OP_MULTIPLY  ? x * y
                          : op == OP_DIVIDE    ? x / y
                          : op == OP_REMAINDER ? fmod(x, y)
                          : op == OP_MIN       ? fmin(x, y)
                                               : fmax(x, y);
    return isfinite(result) ? json_real(result) : json_null();
}

static json_t *sum_of(const evaluation *v, const json_t *list)
{
    double  sum = 0;
    size_t  index;
    json_t *at;
    json_array_foreach (list, index, at) {
        if (!json_is_number(at)) return fail(v, "sum adds up numbers only");
        sum += json_number_value(at);
    }
    return json_real(sum);
}

static json_t *length_of(const json_t *x)
{
    if (json_is_array(x)) return json_integer((json_int_t)json_array_size(x));
    if (!json_is_string(x)) return json_integer(0);
    json_int_t characters = 0;
    for (const char *p = json_string_value(x); *p; p++) characters += (*p & 0xC0) != 0x80;
    return json_integer(characters);
}

/* Digits as people write them: "1,234.50" has its commas dropped. */
static json_t *number_of(const json_t *x)
{
    char   digits[64];
    size_t size = 0;
    char  *end;
    if (json_is_number(x)) return json_real(json_number_value(x));
    for (const char *p = json_is_string(x) ? json_string_value(x) : ""; *p; p++) {
        if (size == sizeof digits - 1) return json_null();
        if (*p != ',' && *p != ' ') digits[size++] = *p;
    }
    digits[size] = '\0';
    const double value = strtod(digits, &end);
    return size == 0 || *end || !isfinite(value) ? json_null() : json_real(value);
}

static json_t *text_of(const json_t *x)
{
    char number[32];
    if (json_is_string(x)) return json_string(json_string_value(x));
    if (!json_is_number(x)) return json_string(json_is_true(x) ? "true" : "");
    snprintf(number, sizeof number, "%.15g", json_number_value(x));
    return json_string(number);
}

static json_t *lower_of(const json_t *x)
{
    json_t *out = text_of(x);
    char   *at = out ? (char *)(uintptr_t)json_string_value(out) : NULL;
    for (; at && *at; at++) *at = (char)tolower((unsigned char)*at);
    return out;
}

/* What is before or after the first `mark`; all of it, or nothing, where there is none. */
static json_t *cut(expression_op op, const json_t *text, const json_t *mark)
{
    const char *whole = json_is_string(text) ? json_string_value(text) : "";
    const char *found = json_is_string(mark) ? strstr(whole, json_string_value(mark)) : NULL;
    if (op == OP_BEFORE)
        return json_stringn(whole, found ? (size_t)(found - whole) : strlen(whole));
    return json_string(found ? found + json_string_length(mark) : "");
}

static json_t *touches(expression_op op, const json_t *text, const json_t *edge)
{
    if (!json_is_string(text) || !json_is_string(edge)) return json_false();
    const size_t size = json_string_length(edge), whole = json_string_length(text);
    if (size > whole) return json_false();
    const char *at = json_string_value(text) + (op == OP_BEGINS ? 0 : whole - size);
    return json_boolean(memcmp(at, json_string_value(edge), size) == 0);
}

/* Source: Sakamoto's method. */
static json_t *weekday_of(const json_t *year, const json_t *month, const json_t *day)
{
    static const char *const names[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const int         shifts[] = { 0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4 };
    static const int         days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const double             parts[] = { json_number_value(year), json_number_value(month),
                                         json_number_value(day) };
    if (!(parts[0] >= 1 && parts[0] <= 9999 && parts[1] >= 1 && parts[1] <= 12 && parts[2] >= 1 &&
          parts[2] <= 31))
        return json_null();
    int        y = (int)parts[0];
    const int  m = (int)parts[1], d = (int)parts[2];
    const bool is_leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d > days[m - 1] + (m == 2 && is_leap)) return json_null();
    if (m < 3) y--;
    return json_string(names[(y + y / 4 - y / 100 + y / 400 + shifts[m - 1] + d) % 7]);
}

static json_t *call(const evaluation *v, expression_op op, json_t *const *x)
{
    switch (op) {
    case OP_LEN:
        return length_of(x[0]);
    case OP_NUMBER:
        return number_of(x[0]);
    case OP_TEXT:
        return text_of(x[0]);
    case OP_LOWER:
        return lower_of(x[0]);
    case OP_ABS:
        return json_real(fabs(json_number_value(x[0])));
    case OP_ROUND:
        return json_real(round(json_number_value(x[0])));
    case OP_SUM:
        return sum_of(v, x[0]);
    case OP_BEGINS:
    case OP_ENDS:
        return touches(op, x[0], x[1]);
    case OP_BEFORE:
    case OP_AFTER:
        return cut(op, x[0], x[1]);
    case OP_WEEKDAY:
        return weekday_of(x[0], x[1], x[2]);
    default:
        return calculate(v, op, x[0], x[1]);
    }
}

static json_t *member_of(const json_t *of, const json_t *name)
{
    json_t *found = json_object_get(of, json_string_value(name));
    return found ? json_incref(found) : json_null();
}

static json_t *element_of(const json_t *of, const json_t *at)
{
    const double index = json_is_number(at) ? json_number_value(at) : -1;
    const bool   is_there = index >= 0 && index < (double)json_array_size(of);
    json_t      *found = is_there ? json_array_get(of, (size_t)index) : NULL;
    return found ? json_incref(found) : json_null();
}

static json_t *apply(const evaluation *v, const expression_node *node, json_t *const *x)
{
    switch (node->op) {
    case OP_VALUE:
        return json_incref(node->value);
    case OP_NAME:
        return member_of(v->answer, node->value);
    case OP_MEMBER:
        return member_of(x[0], node->value);
    case OP_AT:
        return element_of(x[0], x[1]);
    case OP_INPUT:
        return json_stringn_nocheck(v->input.text, v->input.size_bytes);
    case OP_ANSWER:
        return json_incref((json_t *)(uintptr_t)v->answer);
    case OP_NOT:
        return json_boolean(!is_true(x[0]));
    case OP_NEGATE:
        return json_is_number(x[0]) ? json_real(-json_number_value(x[0]))
                                    : fail(v, "a number is needed after -");
    case OP_EQUAL:
        return json_boolean(is_equal(x[0], x[1]));
    case OP_UNEQUAL:
        return json_boolean(!is_equal(x[0], x[1]));
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_MORE:
    case OP_MORE_EQUAL:
        return order(node->op, x[0], x[1]);
    case OP_IN:
        return is_in(x[0], x[1]);
    default:
        return call(v, node->op, x);
    }
}

static int child_count(expression_op op)
{
    static const int arguments[] = {
#define X(name, word, count) count,
        FUNCTION_MAP(X)
#undef X
    };
    if (op >= OP_LEN) return arguments[op - OP_LEN];
    if (op == OP_VALUE || op == OP_NAME || op == OP_INPUT || op == OP_ANSWER) return 0;
    return op == OP_MEMBER || op == OP_NOT || op == OP_NEGATE ? 1 : 2;
}

/* Depth is that of the text's brackets and operators, which are bounded when it is parsed. */
static json_t *evaluate(const evaluation *v, uint32_t index)
{
    const expression_node *node = &v->e->nodes[index];
    json_t                *x[ENX_EXPRESSION_ARGUMENTS_MAX] = { 0 }, *out = NULL;
    const bool             is_lazy = node->op == OP_OR || node->op == OP_AND;
    const int              count = child_count(node->op);
    for (int i = 0; i < count; i++) {
        x[i] = evaluate(v, node->children[i]);
        if (!x[i]) goto done;
        if (is_lazy && is_true(x[i]) == (node->op == OP_OR)) {
            out = json_boolean(node->op == OP_OR);
            goto done;
        }
    }
    out = is_lazy ? json_boolean(node->op == OP_AND) : apply(v, node, x);

done:
    for (int i = 0; i < count; i++) json_decref(x[i]);
    return out;
}

enx_status enx_expression_holds(const enx_expression *expression, const json_t *answer,
                                enx_span input, bool *holds, enx_report *report)
{
    enx_report       own = { 0 };
    const evaluation v = { expression, answer, input, report ? report : &own };
    json_t          *value = evaluate(&v, expression->root);
    if (!value) return ENX_INVALID;
    *holds = is_true(value);
    json_decref(value);
    return ENX_OK;
}
