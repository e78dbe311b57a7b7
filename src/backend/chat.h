/* SPDX-License-Identifier: Apache-2.0 */
/* chat.h - conversations as prompts: messages through a chat template to tokens.
 *
 * The template is the model's own (tokenizer.chat_template), or another: a text, or one of a few
 * known forms by name.  It sees what Hugging Face's libraries show it: messages,
 * add_generation_prompt (true), bos_token, eos_token, tools, and documents (none).
 *
 * The template's own text may name control tokens; that of the messages never does: who writes
 * "<|im_end|>" into a question has asked about nine characters, and has ended nothing.  (U+FDD0,
 * which is no character, marks such places on the way; messages lose it.)
 *
 * Layer: backend.  Thread-safety: immutable after open; may be shared.
 * Source: Hugging Face transformers, apply_chat_template; the forms from their makers' model cards.
 */
#ifndef ENX_BACKEND_CHAT_H
#define ENX_BACKEND_CHAT_H

#include "backend/loaded.h"

#include <jansson.h>

typedef struct enx_chat enx_chat;

/* A template that a model without one may be asked by. */
typedef struct enx_chat_form {
    const char *name;
    const char *text;
    const char *stop; /* ends an answer where the vocabulary has no such token */
} enx_chat_form;

/* ENX_INVALID: no such form; the nearest name, and all of them. */
ENX_MUST_USE enx_status enx_chat_form_find(const enx_chat_form **out, const char *name,
                                           enx_report *report);

/* `text` [size_bytes] is the template, NULL: the model's own.  `loaded` is borrowed, `text` is not.
 * ENX_UNSUPPORTED: the model has none; or those of enx_template_open, with "chat template". */
ENX_MUST_USE enx_status enx_chat_open(enx_chat **out, const enx_loaded *loaded, const char *text,
                                      size_t size_bytes, enx_report *report);
void                    enx_chat_close(enx_chat **chat);

/* Append the prompt for an answer to `messages`, an array of {role, content, ...}; `now_s` is what
 * the template may show as today, in seconds since 1970 UTC.  The beginning-of-text token comes
 * first where the vocabulary wants it.  *is_thinking: the prompt ends inside a thought (thought.h).
 *
 * ENX_INVALID: the template refuses these messages, in its own words; ENX_LIMIT: `out` is full, or
 * a limit of template.h; ENX_UNSUPPORTED, ENX_NOMEM.  Then `out` is as it was. */
ENX_MUST_USE enx_status enx_chat_prompt(const enx_chat *chat, const json_t *messages, int64_t now_s,
                                        enx_tokens *out, bool *is_thinking, enx_report *report);

/* The same with `tools`, an array of {type: "function", function: {name, description, parameters}};
 * NULL: none.  Names of control tokens in them are text, too. */
ENX_MUST_USE enx_status enx_chat_prompt_tools(const enx_chat *chat, const json_t *messages,
                                              const json_t *tools, int64_t now_s, enx_tokens *out,
                                              bool *is_thinking, enx_report *report);

/* Does the template speak of tools?  Others leave them out in silence. */
bool enx_chat_has_tools(const enx_chat *chat);
/* ... of this text at all? */
bool enx_chat_names(const enx_chat *chat, const char *text);

#endif /* ENX_BACKEND_CHAT_H */
