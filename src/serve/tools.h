/* SPDX-License-Identifier: Apache-2.0 */
/* tools.h - tools that a model may call: in words for models that were not taught a form, and as
 * a schema where a call is a must.
 *
 * Layer: serve.  Thread-safety: no shared state.
 */
#ifndef ENX_SERVE_TOOLS_H
#define ENX_SERVE_TOOLS_H

#include "serve/question.h"

/* The messages, with tools explained in a system message, calls written as answer.h reads them, and
 * results as messages of the user; owned by the caller.  ENX_NOMEM, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_tools_in_words(const enx_question *question, json_t **messages,
                                           enx_report *report);

/* The schema that an answer must follow: the client's own, any object, or the call of a tool; owned
 * by the caller.  *out NULL: anything goes. */
ENX_MUST_USE enx_status enx_tools_schema(const enx_question *question, json_t **out,
                                         enx_report *report);

#endif /* ENX_SERVE_TOOLS_H */
