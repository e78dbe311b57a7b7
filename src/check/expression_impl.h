/* SPDX-License-Identifier: Apache-2.0 */
/* expression_impl.h - private: an expression as nodes, children before parents.
 *
 * Layer: check, included by expression*.c only.  Thread-safety: immutable after open; may be
 * shared.
 */
#ifndef ENX_CHECK_EXPRESSION_IMPL_H
#define ENX_CHECK_EXPRESSION_IMPL_H

#include "check/expression.h"

#include <stdint.h>

/* X(NAME, word, arguments) */
/* clang-format off */
#define FUNCTION_MAP(X) \
    X(LEN, "len", 1) X(NUMBER, "number", 1) X(TEXT, "text", 1) X(LOWER, "lower", 1) \
    X(ABS, "abs", 1) X(ROUND, "round", 1) X(MIN, "min", 2) X(MAX, "max", 2) X(SUM, "sum", 1) \
    X(BEGINS, "begins", 2) X(ENDS, "ends", 2) X(BEFORE, "before", 2) X(AFTER, "after", 2) \
    X(WEEKDAY, "weekday", 3)
/* clang-format on */

typedef enum expression_op {
    OP_VALUE, /* value */
    OP_NAME,  /* value: the name, of the answer */
    OP_INPUT,
    OP_ANSWER,
    OP_MEMBER, /* of child 0, value: its name */
    OP_AT,     /* of child 0, at child 1 */
    OP_OR,
    OP_AND,
    OP_NOT,
    OP_NEGATE,
    OP_EQUAL,
    OP_UNEQUAL,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_MORE,
    OP_MORE_EQUAL,
    OP_IN,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_REMAINDER,
#define X(name, word, arguments) OP_##name,
    FUNCTION_MAP(X)
#undef X
} expression_op;

typedef struct expression_node {
    expression_op op;
    json_t       *value; /* owned; NULL for most */
    uint16_t      children[ENX_EXPRESSION_ARGUMENTS_MAX];
} expression_node;

struct enx_expression {
    expression_node nodes[ENX_EXPRESSION_NODES_MAX];
    uint32_t        count;
    uint32_t        root;
};

#endif /* ENX_CHECK_EXPRESSION_IMPL_H */
