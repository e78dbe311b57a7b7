/* SPDX-License-Identifier: Apache-2.0 */
/* class.h - a class of tasks: what is asked, of whom, and how an answer is judged.
 *
 * All tasks of a class are asked in the same words over different inputs.  Restoring text is one
 * class, made from the lead's plan; others come from a job's file, or from a plan for a goal.
 * The swarm reads from a class where tasks go and which checks they pass in which order; backends
 * read the words; what a check computes is behind the port `check`.
 *
 * Layer: swarm.  Thread-safety: immutable once a job has it; may be shared.
 */
#ifndef ENX_SWARM_CLASS_H
#define ENX_SWARM_CLASS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENX_CLASS_CHECKS_MAX = 16,
    ENX_CLASS_EXAMPLES_MAX = 32,
    ENX_CLASS_NAME_BYTES_MAX = 32,       /* with its zero byte */
    ENX_CLASS_WORDS_BYTES_MAX = 1 << 16, /* of instruction, advice, examples and schema together */
    ENX_CLASS_ANSWER_TOKENS = 512,       /* default */
    ENX_CLASS_ANSWER_TOKENS_MAX = 1 << 16,
    ENX_VOTES_MAX = 4,
};

/* Where the verdict of a check comes from. */
typedef enum enx_check_kin {
    ENX_CHECK_KIN_TEXT,  /* a function of call and answer: the port `check` */
    ENX_CHECK_KIN_SCORE, /* the chance of an error that came with the answer */
    ENX_CHECK_KIN_CALL,  /* another model is asked, and paid */
    ENX_CHECK_KIN_CROSS, /* a function of all answers of the class: the port `relate` */
} enx_check_kin;

/* X(NAME, text, kin).  At most one of each CALL in a class. */
/* clang-format off */
#define ENX_CHECK_MAP(X) \
    X(ROUND_TRIP, "round_trip", TEXT) X(SCHEMA, "schema", TEXT) X(CITATION, "citation", TEXT) \
    X(COMPUTE, "compute", TEXT) X(REGEX, "regex", TEXT) X(COMMAND, "command", TEXT) \
    X(CONFIDENCE, "confidence", SCORE) \
    X(SECOND, "second", CALL) X(VERIFIER, "verifier", CALL) X(LEAD, "lead", CALL) \
    X(UNIQUE, "unique", CROSS) X(SUM, "sum", CROSS) X(EQUAL, "equal", CROSS)
typedef enum enx_check_kind {
#define X(name, text, kin) ENX_CHECK_##name,
    ENX_CHECK_MAP(X)
#undef X
    ENX_CHECK_COUNT
} enx_check_kind;
/* clang-format on */

/* What a kind needs of these; the others are NULL and 0:
 *
 *   citation, regex          field; regex: also text, a PCRE2 expression
 *   compute                  text, an expression that must be true (check/expression.h)
 *   command                  text, a program with arguments: the answer on stdin, exit status 0
 *   confidence               above: a chance of an error above it is doubtful
 *   second                   ahead, max: votes of other workers until an answer leads by so many
 *   verifier, lead           above: what the model says is right with less than 1 - above fails
 *   unique, equal            field: no two answers, or all answers, have the same value
 *   sum                      field, total: the values add up to it */
typedef struct enx_check {
    enx_check_kind kind;
    const char    *field;
    const char    *text;
    double         above;
    double         total;
    uint32_t       ahead;
    uint32_t       max;
} enx_check;

typedef struct enx_example {
    const char *input;
    const char *answer;
} enx_example;

/* What becomes of a task that no worker could do to the satisfaction of its checks. */
typedef enum enx_on_fail {
    ENX_ON_FAIL_ESCALATE, /* the lead does it */
    ENX_ON_FAIL_SKIP,     /* it is left alone */
    ENX_ON_FAIL_ABORT,    /* the job fails */
} enx_on_fail;

typedef struct enx_class {
    const char        *name;        /* small letters, digits and _ */
    const char        *instruction; /* NULL: models know from their making what to do */
    const char        *advice;      /* NULL: none */
    const enx_example *examples;    /* [example_count] */
    uint32_t           example_count;
    const char        *schema;     /* JSON Schema of the answer; NULL: any text */
    const char        *specialty;  /* of the workers that may do it; NULL: any worker */
    bool               is_scouted; /* the scout finds the specialty out, task by task */
    bool               is_leads;   /* the lead does it, and no worker */
    const enx_check   *checks;     /* [check_count], in the order in which they are made */
    uint32_t           check_count;
    enx_on_fail        on_fail;
    uint32_t           answer_tokens_max; /* 0: ENX_CLASS_ANSWER_TOKENS */
} enx_class;

/* ENX_INVALID names what is missing, unknown or twice; ENX_LIMIT. */
ENX_MUST_USE enx_status enx_class_validate(const enx_class *task_class, enx_report *report);

/* Bytes of instruction, advice, examples and schema. */
size_t   enx_class_words_bytes(const enx_class *task_class);
uint32_t enx_class_answer_tokens(const enx_class *task_class);

/* Position of the check of a kind; ENX_CLASS_CHECKS_MAX: none. */
uint32_t enx_class_find_check(const enx_class *task_class, enx_check_kind kind);
/* Is any check of its answers a function of them, and no model's opinion? */
bool     enx_class_has_certain_check(const enx_class *task_class);

const char    *enx_check_kind_text(enx_check_kind kind);
enx_check_kin  enx_check_kind_kin(enx_check_kind kind);
/* ENX_CHECK_COUNT: there is no such kind. */
enx_check_kind enx_check_kind_find(const char *text);

#endif /* ENX_SWARM_CLASS_H */
