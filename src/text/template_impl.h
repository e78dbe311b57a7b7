/* SPDX-License-Identifier: Apache-2.0 */
/* template_impl.h - what the parts of the template engine share.
 *
 *     template_lex    text to tokens           template_value   values, their memory, printing
 *     template_parse  tokens to a tree         template_filter  filters and tests
 *     template_eval   expressions              template_method  methods and functions
 *     template        statements, open, render
 *
 * Everything lives in a pool: the tree in the template's, values in the rendering's.  Nothing is
 * released one by one, so an error may leave from anywhere.
 *
 * Layer: text.  Thread-safety: no shared state.
 */
#ifndef ENX_TEXT_TEMPLATE_IMPL_H
#define ENX_TEXT_TEMPLATE_IMPL_H

#include "base/buf.h"
#include "base/status.h"
#include "text/template.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Memory --------------------------------------------------------------------------------- */

typedef struct enx_tpl_chunk enx_tpl_chunk;

typedef struct enx_tpl_pool {
    enx_tpl_chunk *last; /* owned list */
    size_t         used_bytes, room_bytes, total_bytes, total_max;
    bool           is_full; /* total_max was why the last push gave nothing */
} enx_tpl_pool;

/* Zeroed memory, aligned for anything; NULL: none left, or total_max reached. */
void *enx_tpl_pool_push(enx_tpl_pool *pool, size_t count, size_t size_bytes);
void  enx_tpl_pool_deinit(enx_tpl_pool *pool);

#define ENX_TPL_NEW(pool, type, count) ((type *)enx_tpl_pool_push((pool), (count), sizeof(type)))

/* ---- Values --------------------------------------------------------------------------------- */

typedef struct enx_tpl_text {
    const char *bytes;
    size_t      size;
} enx_tpl_text;

#define ENX_TPL_TEXT(literal) ((enx_tpl_text){ (literal), sizeof(literal) - 1 })

typedef enum enx_tpl_kind {
    ENX_TPL_UNDEFINED, /* text: what is undefined, for messages */
    ENX_TPL_NONE,
    ENX_TPL_BOOL,
    ENX_TPL_INT,
    ENX_TPL_FLOAT,
    ENX_TPL_STRING,
    ENX_TPL_LIST,
    ENX_TPL_TUPLE,
    ENX_TPL_DICT,
    ENX_TPL_NAMESPACE,
    ENX_TPL_LOOP,
    ENX_TPL_MACRO,
    ENX_TPL_NATIVE,
    ENX_TPL_METHOD,
} enx_tpl_kind;

typedef struct enx_tpl_value  enx_tpl_value;
typedef struct enx_tpl_list   enx_tpl_list;
typedef struct enx_tpl_dict   enx_tpl_dict;
typedef struct enx_tpl_loop   enx_tpl_loop;
typedef struct enx_tpl_macro  enx_tpl_macro;
typedef struct enx_tpl_method enx_tpl_method;
typedef struct enx_tpl_native enx_tpl_native;
typedef struct enx_tpl_node   enx_tpl_node;
typedef struct enx_tpl_scope  enx_tpl_scope;
typedef struct enx_tpl_state  enx_tpl_state;

struct enx_tpl_value {
    enx_tpl_kind kind;
    union {
        bool                  flag;
        int64_t               integer;
        double                number;
        enx_tpl_text          text;
        enx_tpl_list         *list;
        enx_tpl_dict         *dict;
        enx_tpl_loop         *loop;
        const enx_tpl_macro  *macro;
        const enx_tpl_native *native;
        const enx_tpl_method *method;
    };
};

struct enx_tpl_list {
    enx_tpl_value *items;
    size_t         count, capacity;
};

typedef struct enx_tpl_pair {
    enx_tpl_value key, value;
} enx_tpl_pair;

struct enx_tpl_dict { /* in the order of insertion */
    enx_tpl_pair *pairs;
    size_t        count, capacity;
};

struct enx_tpl_loop {
    const enx_tpl_list *items;
    size_t              index;
    enx_tpl_value       changed; /* the list last handed to loop.changed; undefined: none yet */
};

struct enx_tpl_macro {
    const enx_tpl_node *node; /* a macro, or a call block */
    enx_tpl_scope      *scope;
};

struct enx_tpl_method {
    enx_tpl_value         self;
    const enx_tpl_native *native;
};

/* Arguments as they were written. */
typedef struct enx_tpl_args {
    enx_tpl_value *values;
    enx_tpl_text  *names; /* empty: positional; those come first */
    size_t         count, positional_count;
} enx_tpl_args;

enum { ENX_TPL_SLOTS_MAX = 5 };

typedef struct enx_tpl_call {
    enx_tpl_state        *state;
    const enx_tpl_native *native;
    enx_tpl_value         self;                    /* receiver, or the value before the bar */
    const enx_tpl_value  *slot[ENX_TPL_SLOTS_MAX]; /* by parameter; NULL: not given */
    const enx_tpl_args   *args;
} enx_tpl_call;

typedef enx_status enx_tpl_native_run(const enx_tpl_call *call, enx_tpl_value *out);

struct enx_tpl_native {
    const char         *name;
    const char         *parameters; /* "a b c"; "*": anything, not put into slots */
    unsigned            required_count;
    enx_tpl_native_run *run;
    unsigned            kinds; /* methods: bits of the kinds that have it */
    int                 variant;
};

/* ---- The tree ------------------------------------------------------------------------------- */

typedef enum enx_tpl_node_kind {
    ENX_TPL_NODE_CONST,        /* value */
    ENX_TPL_NODE_NAME,         /* text */
    ENX_TPL_NODE_LIST,         /* a: items */
    ENX_TPL_NODE_TUPLE,        /* a: items */
    ENX_TPL_NODE_DICT,         /* a: pairs */
    ENX_TPL_NODE_PAIR,         /* a: key, b: value */
    ENX_TPL_NODE_ATTRIBUTE,    /* a, text; as a target of set, too */
    ENX_TPL_NODE_ITEM,         /* a, b */
    ENX_TPL_NODE_SLICE,        /* a: from, b: to, c: step; each may be missing */
    ENX_TPL_NODE_CALL,         /* a: what, b: arguments */
    ENX_TPL_NODE_ARGUMENT,     /* text: name or empty, a: value; op: '*' or '**' before it */
    ENX_TPL_NODE_FILTER,       /* a, native, b: arguments */
    ENX_TPL_NODE_TEST,         /* a, native, b: arguments */
    ENX_TPL_NODE_INPUT,        /* what a filter block filters */
    ENX_TPL_NODE_NOT,          /* a */
    ENX_TPL_NODE_NEGATIVE,     /* a */
    ENX_TPL_NODE_POSITIVE,     /* a */
    ENX_TPL_NODE_AND,          /* a, b */
    ENX_TPL_NODE_OR,           /* a, b */
    ENX_TPL_NODE_BINARY,       /* op, a, b */
    ENX_TPL_NODE_CONCAT,       /* a: parts */
    ENX_TPL_NODE_COMPARE,      /* a, b: operands */
    ENX_TPL_NODE_OPERAND,      /* op, a */
    ENX_TPL_NODE_CONDITION,    /* a: condition, b: then, c: else, may be missing */
    ENX_TPL_NODE_DATA,         /* text */
    ENX_TPL_NODE_OUTPUT,       /* a */
    ENX_TPL_NODE_IF,           /* a: branches */
    ENX_TPL_NODE_BRANCH,       /* a: condition, missing for else; body */
    ENX_TPL_NODE_FOR,          /* a: target, b: iterable, c: condition; body, other */
    ENX_TPL_NODE_SET,          /* a: target, b: value */
    ENX_TPL_NODE_SET_BLOCK,    /* a: target, b: filters on the input; body */
    ENX_TPL_NODE_MACRO,        /* text, a: parameters; body */
    ENX_TPL_NODE_PARAMETER,    /* text, a: default, may be missing */
    ENX_TPL_NODE_CALL_BLOCK,   /* text: "caller", a: parameters, b: call; body */
    ENX_TPL_NODE_FILTER_BLOCK, /* b: filters on the input; body */
    ENX_TPL_NODE_SCOPE,        /* a: set nodes; body */
    ENX_TPL_NODE_DO,           /* a */
    ENX_TPL_NODE_BREAK,
    ENX_TPL_NODE_CONTINUE,
} enx_tpl_node_kind;

#define ENX_TPL_OP(first, second) ((unsigned)(first) | (unsigned)(second) << 8)

enum { ENX_TPL_OP_IN = ENX_TPL_OP('i', 'n'), ENX_TPL_OP_NOT_IN = ENX_TPL_OP('n', 'i') };

struct enx_tpl_node {
    enx_tpl_node_kind     kind;
    unsigned              op; /* ENX_TPL_OP of the operator's characters */
    uint32_t              line, column;
    enx_tpl_node         *next; /* in the list that it is an item of */
    enx_tpl_node         *a, *b, *c, *body, *other;
    enx_tpl_text          text;
    enx_tpl_value         value;
    const enx_tpl_native *native;
};

/* ---- Tokens --------------------------------------------------------------------------------- */

typedef enum enx_tpl_token_kind {
    ENX_TPL_TOKEN_END,
    ENX_TPL_TOKEN_DATA,
    ENX_TPL_TOKEN_OUTPUT_BEGIN,
    ENX_TPL_TOKEN_OUTPUT_END,
    ENX_TPL_TOKEN_BLOCK_BEGIN,
    ENX_TPL_TOKEN_BLOCK_END,
    ENX_TPL_TOKEN_NAME,
    ENX_TPL_TOKEN_STRING, /* text: without quotes, escapes undone */
    ENX_TPL_TOKEN_INTEGER,
    ENX_TPL_TOKEN_FLOAT,
    ENX_TPL_TOKEN_OPERATOR,
} enx_tpl_token_kind;

typedef struct enx_tpl_token {
    enx_tpl_token_kind kind;
    unsigned           op;
    uint32_t           line, column;
    enx_tpl_text       text;
    enx_tpl_value      value;
} enx_tpl_token;

typedef struct enx_tpl_lexer {
    const char        *text; /* line breaks are '\n', a final one is dropped */
    size_t             size, at;
    size_t             line_at; /* how far lines have been counted */
    uint32_t           line;
    size_t             line_start;
    enx_tpl_token_kind pending; /* OUTPUT_BEGIN or BLOCK_BEGIN: comes next; END: neither */
    enx_tpl_token_kind mode;    /* OUTPUT_END or BLOCK_END: what closes this tag; DATA: in text */
    size_t             brackets_count;
    size_t             raw_at; /* where a raw block's content starts that comes next; 0: none */
    enx_tpl_pool      *pool;
    enx_report        *report;
} enx_tpl_lexer;

ENX_MUST_USE enx_status enx_tpl_lexer_open(enx_tpl_lexer *lexer, enx_tpl_pool *pool,
                                           const char *text, size_t size_bytes, enx_report *report);
ENX_MUST_USE enx_status enx_tpl_lexer_next(enx_tpl_lexer *lexer, enx_tpl_token *token);

/* The first statement of the template, NULL when it has none. */
ENX_MUST_USE enx_status enx_tpl_parse(enx_tpl_pool *pool, const char *text, size_t size_bytes,
                                      enx_tpl_node **first, enx_report *report);

/* ---- Rendering ------------------------------------------------------------------------------ */

typedef struct enx_tpl_variable {
    struct enx_tpl_variable *next;
    enx_tpl_text             name;
    enx_tpl_value            value;
} enx_tpl_variable;

struct enx_tpl_scope {
    enx_tpl_scope    *parent;
    enx_tpl_variable *variables;
};

typedef enum enx_tpl_flow {
    ENX_TPL_FLOW_ON,
    ENX_TPL_FLOW_BREAK,
    ENX_TPL_FLOW_CONTINUE
} enx_tpl_flow;

struct enx_tpl_state {
    enx_tpl_pool        pool;
    enx_buf             scratch; /* output, and above it all texts that are being made */
    enx_report         *report;
    const enx_tpl_node *at; /* for messages */
    enx_tpl_scope      *scope;
    enx_tpl_value       input; /* of the filter block that is being left */
    enx_tpl_flow        flow;
    size_t              depth;
    uint64_t            step_count;
    int64_t             now_s;
};

/* "template LINE:COLUMN: " before the message; the place is that of the node being evaluated. */
#define ENX_TPL_FAIL(state, name, ...) \
    enx_tpl_fail((state), ENX_##name, __FILE__, __LINE__, __VA_ARGS__)
enx_status enx_tpl_fail(const enx_tpl_state *state, enx_status status, const char *file, int line,
                        const char *format, ...) ENX_PRINTF(5, 6);

/* For a push that gave nothing: ENX_LIMIT or ENX_NOMEM. */
enx_status enx_tpl_fail_memory(const enx_tpl_state *state);

/* Charge for work; ENX_LIMIT. */
ENX_MUST_USE enx_status enx_tpl_charge(enx_tpl_state *state, size_t step_count);

/* Statements, from `first` on; the flow is in the state afterwards. */
ENX_MUST_USE enx_status enx_tpl_run(enx_tpl_state *state, const enx_tpl_node *first);
ENX_MUST_USE enx_status enx_tpl_eval(enx_tpl_state *state, const enx_tpl_node *node,
                                     enx_tpl_value *out);
ENX_MUST_USE enx_status enx_tpl_eval_args(enx_tpl_state *state, const enx_tpl_node *first,
                                          enx_tpl_args *args);
ENX_MUST_USE enx_status enx_tpl_call_native(enx_tpl_state *state, const enx_tpl_native *native,
                                            const enx_tpl_value *self, const enx_tpl_args *args,
                                            enx_tpl_value *out);
ENX_MUST_USE enx_status enx_tpl_call_macro(enx_tpl_state *state, const enx_tpl_macro *macro,
                                           const enx_tpl_args *args, enx_tpl_value *out);
/* x.name and x[key] */
ENX_MUST_USE enx_status enx_tpl_attribute_get(enx_tpl_state *state, const enx_tpl_value *value,
                                              enx_tpl_text name, enx_tpl_value *out);
ENX_MUST_USE enx_status enx_tpl_item_get(enx_tpl_state *state, const enx_tpl_value *value,
                                         const enx_tpl_value *key, enx_tpl_value *out);
ENX_MUST_USE enx_status enx_tpl_variable_set(enx_tpl_state *state, enx_tpl_text name,
                                             enx_tpl_value value);
ENX_MUST_USE enx_status enx_tpl_binary(enx_tpl_state *state, unsigned op, const enx_tpl_value *a,
                                       const enx_tpl_value *b, enx_tpl_value *out);

const enx_tpl_native *enx_tpl_filter_find(
    enx_tpl_text name); /* NULL: not known, like the three below */
const enx_tpl_native *enx_tpl_test_find(enx_tpl_text name);
const enx_tpl_native *enx_tpl_function_find(enx_tpl_text name);
const enx_tpl_native *enx_tpl_method_find(enx_tpl_kind kind, enx_tpl_text name);

/* ---- Values, in template_value.c ------------------------------------------------------------ */

enx_tpl_value enx_tpl_bool(bool flag);
enx_tpl_value enx_tpl_int(int64_t integer);
enx_tpl_value enx_tpl_float(double number);
enx_tpl_value enx_tpl_string(enx_tpl_text text);
bool          enx_tpl_text_is(enx_tpl_text text, const char *word);
bool          enx_tpl_text_equals(enx_tpl_text a, enx_tpl_text b);
const char   *enx_tpl_kind_name(const enx_tpl_value *value); /* as Python calls the type */
bool          enx_tpl_is_number(const enx_tpl_value *value, int64_t *integer, double *number);
bool          enx_tpl_is_integer(const enx_tpl_value *value, int64_t *integer); /* or a boolean */
bool          enx_tpl_is_list(const enx_tpl_value *value);                      /* or a tuple */
bool          enx_tpl_is_true(const enx_tpl_value *value);
bool          enx_tpl_is_space(char c);

/* The span without white space at its ends. */
enx_tpl_text enx_tpl_text_trim(enx_tpl_text text, bool at_start, bool at_end);
/* Characters; and the byte where character `index` starts. */
size_t       enx_tpl_text_length(enx_tpl_text text);
size_t       enx_tpl_text_at(enx_tpl_text text, size_t index);
/* The size of the character at bytes[at]; at < size. */
size_t       enx_tpl_text_step(enx_tpl_text text, size_t at);

ENX_MUST_USE enx_status enx_tpl_list_new(enx_tpl_state *state, enx_tpl_kind kind,
                                         enx_tpl_value *out);
ENX_MUST_USE enx_status enx_tpl_list_push(enx_tpl_state *state, enx_tpl_list *list,
                                          enx_tpl_value item);
ENX_MUST_USE enx_status enx_tpl_dict_new(enx_tpl_state *state, enx_tpl_kind kind,
                                         enx_tpl_value *out);
ENX_MUST_USE enx_status enx_tpl_dict_set(enx_tpl_state *state, enx_tpl_dict *dict,
                                         enx_tpl_value key, enx_tpl_value value);
/* *found is NULL when the key is not there. */
ENX_MUST_USE enx_status enx_tpl_dict_find(enx_tpl_state *state, const enx_tpl_dict *dict,
                                          const enx_tpl_value *key, enx_tpl_value **found);
/* A pair of two as a tuple. */
ENX_MUST_USE enx_status enx_tpl_pair_new(enx_tpl_state *state, enx_tpl_value a, enx_tpl_value b,
                                         enx_tpl_value *out);

/* A context's value. */
ENX_MUST_USE enx_status enx_tpl_json_read(enx_tpl_state *state, const json_t *json, size_t depth,
                                          enx_tpl_value *out);

ENX_MUST_USE enx_status enx_tpl_equals(enx_tpl_state *state, const enx_tpl_value *a,
                                       const enx_tpl_value *b, bool *is_equal);
/* -1, 0 or 1; ENX_INVALID for what has no order. */
ENX_MUST_USE enx_status enx_tpl_compare(enx_tpl_state *state, const enx_tpl_value *a,
                                        const enx_tpl_value *b, int *order);
ENX_MUST_USE enx_status enx_tpl_contains(enx_tpl_state *state, const enx_tpl_value *all,
                                         const enx_tpl_value *part, bool *is_in);
/* What a loop over the value goes through: items, keys, characters.  The list is not to be changed:
 * it may be the value's own. */
ENX_MUST_USE enx_status enx_tpl_iterate(enx_tpl_state *state, const enx_tpl_value *value,
                                        const enx_tpl_list **items);

/* Texts are made at the end of the scratch buffer: mark, put, take. */
size_t                  enx_tpl_scratch_mark(const enx_tpl_state *state);
ENX_MUST_USE enx_status enx_tpl_scratch_put(enx_tpl_state *state, const char *bytes, size_t size);
ENX_MUST_USE enx_status enx_tpl_scratch_take(enx_tpl_state *state, size_t mark, enx_tpl_value *out);
/* As print does, as repr does. */
ENX_MUST_USE enx_status enx_tpl_scratch_print(enx_tpl_state *state, const enx_tpl_value *value);
ENX_MUST_USE enx_status enx_tpl_scratch_repr(enx_tpl_state *state, const enx_tpl_value *value,
                                             size_t depth);
/* The value as print shows it. */
ENX_MUST_USE enx_status enx_tpl_to_text(enx_tpl_state *state, const enx_tpl_value *value,
                                        enx_tpl_text *text);

typedef struct enx_tpl_json_style {
    enx_tpl_text indent; /* for each level */
    bool         is_indented;
    enx_tpl_text item_separator, key_separator;
    bool         is_ascii, is_sorted;
} enx_tpl_json_style;

ENX_MUST_USE enx_status enx_tpl_scratch_json(enx_tpl_state *state, const enx_tpl_value *value,
                                             const enx_tpl_json_style *style, size_t depth);

/* Stable, rising; `keys` are what is compared and are moved along with `items`. */
ENX_MUST_USE enx_status enx_tpl_sort(enx_tpl_state *state, enx_tpl_value *keys,
                                     enx_tpl_value *items, size_t count, bool is_falling);

/* ---- Shared by filters and methods ---------------------------------------------------------- */

typedef enum enx_tpl_case {
    ENX_TPL_CASE_LOWER,
    ENX_TPL_CASE_UPPER,
    ENX_TPL_CASE_TITLE,
    ENX_TPL_CASE_FIRST
} enx_tpl_case;

/* With is_words, a title's words are parted as Jinja's filter does, not as Python's method. */
ENX_MUST_USE enx_status enx_tpl_text_recase(enx_tpl_state *state, enx_tpl_text text,
                                            enx_tpl_case wanted, bool is_words, enx_tpl_value *out);
ENX_MUST_USE enx_status enx_tpl_text_replace(enx_tpl_state *state, enx_tpl_text text,
                                             enx_tpl_text old, enx_tpl_text new_text,
                                             int64_t count_max, enx_tpl_value *out);
/* text % values */
ENX_MUST_USE enx_status enx_tpl_text_percent(enx_tpl_state *state, enx_tpl_text format,
                                             const enx_tpl_list *values, enx_tpl_value *out);
/* The argument as a text or a number; ENX_INVALID with its place among the parameters. */
ENX_MUST_USE enx_status enx_tpl_want_text(const enx_tpl_call *call, const enx_tpl_value *value,
                                          enx_tpl_text *out);
ENX_MUST_USE enx_status enx_tpl_want_int(const enx_tpl_call *call, const enx_tpl_value *value,
                                         int64_t *out);

#endif /* ENX_TEXT_TEMPLATE_IMPL_H */
