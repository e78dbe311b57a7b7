/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h - what a model writes, as it comes, taken apart: thought, text, calls of tools.
 *
 * Three ways of writing a call are understood, where tools were offered:
 *
 *     <tool_call>{"name": …, "arguments": {…}}</tool_call>     Hermes, Qwen, SmolLM; any number
 *     {"name": …, "parameters": {…}}                           Llama 3: the whole answer
 *     [TOOL_CALLS][{"name": …, "arguments": {…}}, …]           Mistral
 *
 * A call of a tool that was not offered, or that is no JSON, stays text.  A part of a tag, of a
 * character or of a stop text is held back until it is certain.
 *
 * Layer: serve.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SERVE_ANSWER_H
#define ENX_SERVE_ANSWER_H

#include "serve/question.h"
#include "text/stopper.h"
#include "text/thought.h"

enum {
    ENX_ANSWER_BYTES_MAX = 16 << 20,
    ENX_ANSWER_CALLS_MAX = 32,
    ENX_ANSWER_ID_BYTES = 40,
};

#define ENX_ANSWER_CALL_OPEN  "<tool_call>"
#define ENX_ANSWER_CALL_CLOSE "</tool_call>"
#define ENX_ANSWER_CALLS      "[TOOL_CALLS]"

typedef enum enx_delta_kind {
    ENX_DELTA_THOUGHT,
    ENX_DELTA_TEXT,
    ENX_DELTA_CALL, /* a whole one */
} enx_delta_kind;

typedef struct enx_tool_call {
    char        id[ENX_ANSWER_ID_BYTES];
    const char *name;      /* borrowed from `json` */
    char       *arguments; /* owned: JSON */
    json_t     *json;      /* owned */
} enx_tool_call;

/* One more part; texts are borrowed for the call. */
typedef struct enx_delta {
    enx_delta_kind       kind;
    const char          *text;
    size_t               text_bytes;
    const enx_tool_call *call;
    uint32_t             call_index;
} enx_delta;

typedef void (*enx_delta_fn)(void *user, const enx_delta *delta);

typedef struct enx_answer {
    const enx_question *question; /* borrowed */
    enx_delta_fn        on_delta;
    void               *user;
    const char         *id; /* of the response; ids of calls are made of it; borrowed */
    enx_stopper         stopper;
    enx_thought         split;
    enx_buf             plain;                 /* behind the stopper, until the next push */
    enx_buf             thought;               /* whole */
    enx_buf             written;               /* behind the thought, calls included */
    enx_buf             text;                  /* whole, without calls */
    size_t              thought_told, scanned; /* of `thought`, of `written` */
    bool                is_in_call, is_held;   /* held: may be a call as a whole */
    enx_tool_call       calls[ENX_ANSWER_CALLS_MAX];
    uint32_t            call_count;
    enx_status          status;
} enx_answer;

/* `is_thinking`: the prompt ended inside a thought.  ENX_LIMIT, ENX_INVALID of the stops. */
ENX_MUST_USE enx_status enx_answer_init(enx_answer *answer, const enx_question *question,
                                        const char *id, bool is_thinking, enx_delta_fn on_delta,
                                        void *user, enx_report *report);
void                    enx_answer_deinit(enx_answer *answer);

void enx_answer_push(enx_answer *answer, const char *bytes, size_t size_bytes);
void enx_answer_finish(enx_answer *answer);
/* Nothing that comes now is part of it: a stop text came, or memory went. */
bool enx_answer_is_over(const enx_answer *answer);

#endif /* ENX_SERVE_ANSWER_H */
