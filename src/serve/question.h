/* SPDX-License-Identifier: Apache-2.0 */
/* question.h - what somebody asks of a model, whichever API they speak.
 *
 * Every voice (voice.h) reads its own JSON into this; engines, remote models and the swarm answer
 * from it.  A field that a client did not send has the value that its API documents, or none.
 *
 * Layer: serve.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SERVE_QUESTION_H
#define ENX_SERVE_QUESTION_H

#include "base/buf.h"
#include "base/status.h"
#include "engine/engine.h"
#include "text/grammar.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_QUESTION_ANSWERS_MAX = 8, /* n */
    ENX_QUESTION_STOPS_MAX = 8,
    ENX_QUESTION_TOOLS_MAX = 128,
    ENX_QUESTION_MESSAGES_MAX = 4096,
    ENX_QUESTION_TOP_MAX = 20, /* likeliest tokens at each place */
    ENX_QUESTION_BIASES_MAX = 1024,
};

typedef enum enx_tool_choice {
    ENX_TOOL_AUTO, /* the zero value */
    ENX_TOOL_NONE,
    ENX_TOOL_REQUIRED,
    ENX_TOOL_NAMED,
} enx_tool_choice;

/* Texts are borrowed from `body`, or from the arrays here; both are owned. */
typedef struct enx_question {
    json_t     *body;  /* as it came */
    const char *model; /* "": the first there is */
    json_t *messages;  /* owned: [{role, content, tool_calls?, tool_call_id?}], contents are texts,
                          arguments objects; NULL: `prompt` is continued */
    const char *prompt;
    json_t     *tools; /* owned: [{type: "function", function: {name, description, parameters}}] */
    enx_tool_choice     tool_choice;
    const char         *tool_name;         /* NAMED */
    bool                has_one_tool_call; /* parallel calls are not wanted */
    json_t             *schema;            /* owned; NULL: none */
    bool                wants_json;        /* any object */
    uint32_t            max_tokens;        /* 0: what fits */
    double              temperature;       /* negative: the model's own */
    double              top_p;             /* 0: none */
    uint32_t            top_k;             /* 0: none */
    double              min_p;
    double              frequency_penalty, presence_penalty, repeat_penalty;
    bool                has_seed;
    uint64_t            seed;
    const char         *stops[ENX_QUESTION_STOPS_MAX];
    uint32_t            stop_count;
    enx_bias            biases[ENX_QUESTION_BIASES_MAX];
    uint32_t            bias_count;
    uint32_t            answer_count; /* n, from 1 */
    bool                is_echo;      /* the prompt comes before the answer */
    bool                wants_logprobs;
    uint32_t            top_count;
    bool                is_stream;
    bool                wants_usage; /* in the stream's last chunk */
    bool                is_patient;  /* goes behind those who wait for their answer */
    bool                is_count;    /* only the prompt's tokens are asked for */
    /* Of askers in this process, in place of the fields above; borrowed until the turn is over. */
    const enx_sampling *sampling;
    enx_grammar        *grammar; /* of the whole answer, its thought included */
} enx_question;

/* Takes the reference to `body`.  NULL: no memory. */
enx_question *enx_question_open(json_t *body);
void          enx_question_close(enx_question **question);

/* Sentences name the field as the client wrote it, "messages[2].content". */

/* A value under `key`, in its range; null and none leave *out.  ENX_INVALID. */
ENX_MUST_USE enx_status enx_question_number(const json_t *object, const char *key, double min,
                                            double max, double *out, enx_report *report);
ENX_MUST_USE enx_status enx_question_count(const json_t *object, const char *key, uint64_t min,
                                           uint64_t max, uint64_t *out, enx_report *report);
ENX_MUST_USE enx_status enx_question_flag(const json_t *object, const char *key, bool *out,
                                          enx_report *report);
ENX_MUST_USE enx_status enx_question_text(const json_t *object, const char *key, const char **out,
                                          enx_report *report);
/* A text, or an array of them. */
ENX_MUST_USE enx_status enx_question_stops(enx_question *q, const char *key, enx_report *report);
/* The sampling fields that all APIs name alike: temperature, top_p, top_k, min_p, seed, the
 * penalties, logit_bias. */
ENX_MUST_USE enx_status enx_question_sampling(enx_question *q, double temperature_max,
                                              enx_report *report);

/* Append {role, content} to the messages; `content` is taken, NULL is ENX_NOMEM. */
ENX_MUST_USE enx_status enx_question_add(enx_question *q, const char *role, json_t *content,
                                         json_t **message, enx_report *report);
/* Append a tool; `parameters` is borrowed, NULL: no arguments.  ENX_INVALID: a name that no API
 * takes, or one twice. */
ENX_MUST_USE enx_status enx_question_add_tool(enx_question *q, const char *name,
                                              const char *description, const json_t *parameters,
                                              enx_report *report);
/* The parameters of a tool; NULL: there is no such tool. */
const json_t           *enx_question_tool(const enx_question *q, const char *name);
/* The sum of all texts in bytes: what a prompt can be long. */
uint64_t                enx_question_bytes(const enx_question *q);

#endif /* ENX_SERVE_QUESTION_H */
