/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - what the lead wants done: JSON under a grammar, parsed, judged.
 *
 *     {"mode":"swarm","for_each":"paragraph","repair":["accents","capitals"],"languages":["any"],
 *      "escalate":true,"check":["round_trip","confidence"]}                    (on one line)
 *
 * mode      "swarm", or "single": the lead answers every paragraph itself
 * repair    which kinds of damage to repair, a non-empty part of accents, capitals, punctuation
 * languages ["any"], or the only languages whose paragraphs are to be touched
 * escalate  may a doubtful answer go up to the lead
 * check     what an answer must pass; "round_trip" is the deterministic one
 *
 * The grammar makes the shape certain; the validator judges what a grammar cannot: languages that
 * nobody knows, size, money, and whether anything is checked at all.
 *
 * Layer: swarm.  Thread-safety: no shared state.
 */
#ifndef ENX_SWARM_PLAN_H
#define ENX_SWARM_PLAN_H

#include "base/buf.h"
#include "swarm/ports.h"

enum {
    ENX_PLAN_BYTES_MAX = 4096,
    ENX_PLAN_LANGUAGES_MAX = 32,
    ENX_PLAN_TOKENS_MAX = 256, /* asked of the lead for one plan */
};

typedef struct enx_plan {
    bool     is_single;
    uint32_t kinds;          /* ENX_KIND_*, never 0 after parsing */
    uint32_t language_count; /* 0: any */
    char     languages[ENX_PLAN_LANGUAGES_MAX][ENX_LANGUAGE_BYTES_MAX];
    bool     escalate;
    bool     check_round_trip;
    bool     check_confidence;
} enx_plan;

/* What a plan is judged against. */
typedef struct enx_plan_limits {
    const enx_roster *roster;
    uint32_t          item_count;
    uint32_t          item_count_max;
    bool              has_round_trip;      /* the job has that check */
    uint64_t          worst_case_usd_nano; /* of the whole plan; 0: do not judge money */
    uint64_t          budget_usd_nano;     /* 0: no cap */
} enx_plan_limits;

/* GBNF text of exactly the JSON that enx_plan_to_json writes: no white space, keys in order. */
const char *enx_plan_grammar(void);

/* The same as a JSON Schema, for models that are asked over an API; within what such APIs allow, so
 * it says nothing about empty or repeated elements. */
const char *enx_plan_schema(void);

/* Parse [size_bytes] of JSON; white space and any order of keys are allowed here.
 *
 * ENX_FORMAT   not JSON; a key is missing, unknown (names the nearest) or has a wrong value;
 *              `repair` is empty or names a kind twice.
 * ENX_LIMIT    above ENX_PLAN_BYTES_MAX or ENX_PLAN_LANGUAGES_MAX. */
ENX_MUST_USE enx_status enx_plan_parse(enx_plan *plan, const char *text, size_t size_bytes,
                                       enx_report *report);

/* ENX_NOTFOUND a language without worker (names the nearest); ENX_INVALID the job has a
 * deterministic check that the plan leaves out, or has none and the plan is not single;
 * ENX_LIMIT too many tasks; ENX_BUDGET the worst case is above the budget. */
ENX_MUST_USE enx_status enx_plan_validate(const enx_plan *plan, const enx_plan_limits *limits,
                                          enx_report *report);

/* Append the compact form.  ENX_LIMIT or ENX_NOMEM of the buffer. */
ENX_MUST_USE enx_status enx_plan_to_json(const enx_plan *plan, enx_buf *out);

/* Does the plan touch paragraphs of this language? */
bool enx_plan_wants_language(const enx_plan *plan, const char *language);

#endif /* ENX_SWARM_PLAN_H */
