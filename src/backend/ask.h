/* SPDX-License-Identifier: Apache-2.0 */
/* ask.h - one call of the swarm as requests to one engine, and their answers as one report.
 *
 * PLAN, SCOUT, restore and forms (asking.h) differ in prompt, mask and reading of the answer; a
 * long restore is a row of requests, one a window (window.h).  No thread and no engine of its own:
 *
 *     enx_ask_open(&ask, &skill, &call, report);
 *     while (enx_ask_next(ask, &request))          // then run the request on an engine
 *         enx_ask_take(ask, &generation);
 *     enx_call_report out = enx_ask_report(ask);
 *
 * Layer: backend.  Thread-safety: an ask has one owner thread at a time; a skill is shared.
 */
#ifndef ENX_BACKEND_ASK_H
#define ENX_BACKEND_ASK_H

#include "backend/asking.h"
#include "backend/chat.h"
#include "backend/loaded.h"
#include "backend/window.h"
#include "engine/engine.h"
#include "swarm/ports.h"
#include "text/grammar.h"

#include <stdint.h>

enum {
    ENX_ASK_SCOUT_BYTES = 200, /* the scout sees this much of a paragraph */
    ENX_ASK_SCOUT_TOKENS = 24,
    ENX_ASK_VERDICT_TOKENS = 16,
    ENX_ASK_ERROR_BYTES = 400,
    ENX_SKILL_CONTEXT_MAX = 2048, /* tokens of one sequence, so that engines stay small */
};

/* A model with all that is worked out once. */
typedef struct enx_skill {
    enx_loaded   loaded;
    enx_grammar *scout_grammar; /* NULL: no scout */
    enx_grammar *plan_grammar;  /* NULL: cannot plan */
    enx_chat    *chat;          /* NULL: the file has no chat template that can be used */
    size_t       window_bytes;
    uint32_t     context_tokens;
} enx_skill;

/* The zero value is safe to close. */
ENX_MUST_USE enx_status enx_skill_open(enx_skill *out, const char *path, enx_report *report);
void                    enx_skill_close(enx_skill *skill);

/* Can the model be asked about tasks of this class: by a prompt that it was made with, or in words
 * through its chat template? */
bool enx_skill_can(const enx_skill *skill, const enx_class *task_class);

/* Upper bounds of the tokens that `call` will use of this model, as enx_ports.measure wants them.
 */
void enx_skill_measure(const enx_skill *skill, enx_call *call);

/* ENX_DAMAGE_KIND_* that the answer to a call may repair: of its level, those that were asked for.
 */
unsigned enx_call_kinds(const enx_call *call);

typedef struct enx_ask enx_ask;

/* Copies the call and its texts; borrows the skill.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_ask_open(enx_ask **out, const enx_skill *skill, const enx_call *call,
                                     enx_report *report);
void                    enx_ask_close(enx_ask **ask);

/* Fill in the next request (valid until the next call with this ask); false: the answer, or why
 * there is none, is complete. */
bool enx_ask_next(enx_ask *ask, enx_request *request);
void enx_ask_take(enx_ask *ask, const enx_generation *generation);
/* End it without an answer; `error` is copied.  What was used stays billed. */
void enx_ask_fail(enx_ask *ask, enx_call_status status, uint32_t flags, const char *error);

/* Borrowed until close; latency_us is the caller's to fill in. */
enx_call_report enx_ask_report(const enx_ask *ask);

#endif /* ENX_BACKEND_ASK_H */
