/* SPDX-License-Identifier: Apache-2.0 */
/* asking.h - a task of a class in words, for models that follow instructions.
 *
 * Two messages: what is asked, the same for all tasks of the class, so that caches keep it; and the
 * input in a fence:
 *
 *     === 5f1c0a9e ===           the tag is made of the text and not found in it, so that no text
 *     …                          can end its fence
 *     === 5f1c0a9e ===
 *
 * Text of a task stands in the fence and nowhere else, whatever it says.
 *
 * Layer: backend.  Thread-safety: no shared state.
 */
#ifndef ENX_BACKEND_ASKING_H
#define ENX_BACKEND_ASKING_H

#include "base/buf.h"
#include "swarm/ports.h"

enum {
    ENX_FORM_FENCE_BYTES = 20,
    ENX_FORM_MORE_BYTES = 2048, /* of our words around those of a class */
};

/* Of what has to do with it: is the call one of a class that is put in words? */
bool enx_form_is(const enx_call *call);

/* Is a plan for a goal asked for, and not one of restoring text?  Append how to write one. */
bool                    enx_form_is_goal(const enx_call *call);
ENX_MUST_USE enx_status enx_form_goal(enx_buf *out);

/* A tag that stands in neither text. */
void enx_form_fence(char out[ENX_FORM_FENCE_BYTES], enx_span a, enx_span b);

/* Append what is asked.  ENX_LIMIT or ENX_NOMEM of the buffer. */
ENX_MUST_USE enx_status enx_form_system(enx_buf *out, const enx_call *call);
/* Append the input in its fence, and the answer that is to be judged in another. */
ENX_MUST_USE enx_status enx_form_user(enx_buf *out, const enx_call *call, const char *fence);

/* What of an answer is the answer: JSON in the form of the class's schema, out of whatever stands
 * around it; or the text without fence and outer white space.  ENX_FORMAT: no JSON. */
ENX_MUST_USE enx_status enx_form_read(enx_buf *out, const enx_class *task_class, const char *fence,
                                      enx_span text, enx_report *report);

/* "yes" or "no", in any case and with anything but letters around it. */
ENX_MUST_USE enx_status enx_form_read_verdict(enx_span text, bool *is_right);

#endif /* ENX_BACKEND_ASKING_H */
