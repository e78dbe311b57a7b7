/* SPDX-License-Identifier: Apache-2.0 */
/* api_ask.h - one call of the swarm as a request to a chat model, and its result as a report.
 *
 * The prompts of plans and of restoring are here, those of other classes in asking.h: instructions,
 * and what the task brings (the goal, a text) fenced in a message of its own.
 *
 * A plan is asked with the goal alone: no text of a task is there that could speak to the planner.
 * A repaired text is checked by the swarm as any other answer is, whatever talked the model into
 * it.
 *
 *     enx_api_ask_open(&ask, &skill, &call, report);
 *     ... submit ask.request with ask.bounds ...
 *     enx_call_report out = enx_api_ask_report(&ask, &result);
 *     enx_api_ask_close(&ask);
 *
 * Layer: backend.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_BACKEND_API_ASK_H
#define ENX_BACKEND_API_ASK_H

#include "backend/api.h"
#include "backend/asking.h"
#include "backend/remote.h"
#include "base/buf.h"

enum {
    /* Of instructions and fence. */
    ENX_API_ASK_PROMPT_BYTES_MAX = ENX_CLASS_WORDS_BYTES_MAX + ENX_FORM_MORE_BYTES + 8192,
    ENX_API_ASK_SCHEMA_TOKENS_MORE = 600, /* what APIs put around a schema or a tool */
    /* All that a call reads beside its goal and input, at most. */
    ENX_API_ASK_PROMPT_TOKENS = 8192,
};

/* What a remote model must be told, and what its answers are worth. */
typedef struct enx_api_skill {
    const char *const *languages; /* [language_count] tags that the swarm's workers know */
    uint32_t           language_count;
    uint32_t           thinking_tokens;
    double             error_chance; /* of every answer */
} enx_api_skill;

typedef struct enx_api_ask {
    uint64_t         call_id;
    enx_role         role;
    bool             is_goal; /* a plan for a goal is asked */
    bool             is_talk; /* messages of the caller's: the answer is taken as it came */
    double           error_chance;
    bool             has_input;  /* the text is not empty */
    const enx_class *task_class; /* of a form (asking.h); else NULL */
    char             fence[ENX_FORM_FENCE_BYTES];
    enx_buf          system, user;
    enx_buf          answer; /* of a form, read */
    enx_api_message  messages[2];
    enx_api_request  request; /* points into this ask: not to be moved */
    enx_api_bounds   bounds;
} enx_api_ask;

/* Nothing of the call is borrowed after.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_api_ask_open(enx_api_ask *ask, const enx_api_skill *skill,
                                         const enx_call *call, enx_report *report);
/* For a conversation, whose request is the caller's: what enx_api_ask_report needs to know. */
void                    enx_api_ask_talk(enx_api_ask *ask, uint64_t call_id);
void                    enx_api_ask_close(enx_api_ask *ask);

/* Upper bounds of the tokens that the call will use, as enx_ports.measure wants them: a token of
 * text is at least a byte. */
void enx_api_ask_measure(const enx_api_skill *skill, enx_call *call);

/* Borrows from `ask` and `result`. */
enx_call_report enx_api_ask_report(enx_api_ask *ask, const enx_remote_result *result);

#endif /* ENX_BACKEND_API_ASK_H */
