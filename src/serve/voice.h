/* SPDX-License-Identifier: Apache-2.0 */
/* voice.h - the shapes in which the server listens and speaks, one table each.
 *
 *     chat         POST /v1/chat/completions    OpenAI
 *     completions  POST /v1/completions         OpenAI
 *     responses    POST /v1/responses           OpenAI
 *     messages     POST /v1/messages            Anthropic
 *
 * Voices are pure: a request's JSON gives a question, what a model writes gives bytes.
 *
 * Sources: OpenAI API reference (chat, completions, responses and their streaming events);
 * Anthropic API reference (messages, streaming messages).
 *
 * Layer: serve.  Thread-safety: no shared state.
 */
#ifndef ENX_SERVE_VOICE_H
#define ENX_SERVE_VOICE_H

#include "serve/turn.h"

struct enx_voice {
    const char *name;
    const char *id_prefix;

    /* Fill the question from its body.  ENX_INVALID, ENX_UNSUPPORTED, ENX_LIMIT, ENX_NOMEM. */
    enx_status (*read)(enx_question *question, enx_report *report);

    /* A stream, piece by piece: appended to turn->out. */
    enx_status (*begin)(enx_turn *turn);
    enx_status (*delta)(enx_turn *turn, uint32_t index, const enx_delta *delta);
    enx_status (*finish)(enx_turn *turn, uint32_t index);
    enx_status (*end)(enx_turn *turn);

    /* ... or all of it. */
    enx_status (*whole)(enx_turn *turn);

    /* The body of an error; as an event when it is in a stream. */
    enx_status (*error)(int http_status, const char *message, bool is_in_stream, enx_buf *out);
};

extern const enx_voice enx_voice_chat, enx_voice_completions, enx_voice_responses,
    enx_voice_messages;

/* ---- What they share ------------------------------------------------------------------------ */

/* Append a JSON string; what is not UTF-8 becomes U+FFFD. */
ENX_MUST_USE enx_status enx_voice_string(enx_buf *out, const char *text, size_t size_bytes);
/* Append JSON, compact, and release it; NULL is ENX_NOMEM. */
ENX_MUST_USE enx_status enx_voice_json(enx_buf *out, json_t *json);
/* A text that may hold any bytes. */
json_t                 *enx_voice_text(const char *text, size_t size_bytes);
/* Append "event: NAME\ndata: JSON\n\n"; releases the JSON. */
ENX_MUST_USE enx_status enx_voice_event(enx_buf *out, const char *name, json_t *json);

/* Answer with an error in the voice's shape, all of it; with JSON, which is released. */
void enx_voice_refuse(const enx_voice *voice, enx_reply *reply, int http_status,
                      const char *message);
void enx_voice_answer(enx_reply *reply, int http_status, json_t *json);

/* Texts of OpenAI's content: a text, or an array of {type: "text", text}.  ENX_UNSUPPORTED: images
 * and the like, by name. */
ENX_MUST_USE enx_status enx_voice_content(const json_t *content, const char *place, json_t **out,
                                          enx_report *report);
/* OpenAI's errors. */
ENX_MUST_USE enx_status enx_voice_openai_error(int http_status, const char *message,
                                               bool is_in_stream, enx_buf *out);
/* Do these schemas and sizes make a grammar?  Judged before a token is spent. */
ENX_MUST_USE enx_status enx_voice_set_schema(enx_question *question, const json_t *schema,
                                             const char *place, enx_report *report);

#endif /* ENX_SERVE_VOICE_H */
