/* SPDX-License-Identifier: Apache-2.0 */
/* voice_openai.h - what OpenAI's completions and chat completions have in common.
 *
 * Layer: serve, included by voice_*.c only.  Thread-safety: no shared state.
 */
#ifndef ENX_SERVE_VOICE_OPENAI_H
#define ENX_SERVE_VOICE_OPENAI_H

#include "serve/voice.h"

/* model, sampling, max_tokens, stop, n, stream and stream_options. */
ENX_MUST_USE enx_status enx_openai_common(enx_question *question, enx_report *report);
/* none, auto, required, or the name of a tool; NULL is none of these. */
ENX_MUST_USE enx_status enx_openai_tool_choice(enx_question *question, const char *word,
                                               bool is_name, enx_report *report);
/* text, json_object or json_schema with a schema. */
ENX_MUST_USE enx_status enx_openai_format(enx_question *question, const char *type,
                                          const json_t *schema, const char *place,
                                          enx_report *report);

/* {"content": [{token, logprob, bytes, top_logprobs}]} of the notes, in a stream those that were
 * not told yet. */
json_t      *enx_openai_logprobs(enx_turn_answer *answer, bool is_told);
/* The bytes of a noted token; control tokens by their name. */
enx_gguf_str enx_openai_token(const enx_turn *turn, uint32_t token);
/* stop, length, content_filter. */
const char  *enx_openai_finish(enx_end end);
json_t      *enx_openai_usage(const enx_turn *turn);

/* Fill turn->head: `data: {"id", "object", "created", "model",`. */
ENX_MUST_USE enx_status enx_openai_head(enx_turn *turn, const char *object);
/* The chunk with the usage, if it was asked for, and [DONE]. */
ENX_MUST_USE enx_status enx_openai_end(enx_turn *turn);
/* All of it; takes the choices. */
ENX_MUST_USE enx_status enx_openai_whole(enx_turn *turn, const char *object, json_t *choices);

#endif /* ENX_SERVE_VOICE_OPENAI_H */
