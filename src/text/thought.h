/* SPDX-License-Identifier: Apache-2.0 */
/* thought.h - answers that begin with a thought: <think>…</think> apart from what follows.
 *
 * A thought opens at the very beginning of an answer only, or is open before it, where the prompt
 * ended with the tag; elsewhere the tags are text.  White space around thought and answer belongs
 * to neither.  The parts may be cut anywhere.
 *
 * Layer: text.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_TEXT_THOUGHT_H
#define ENX_TEXT_THOUGHT_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>

#define ENX_THOUGHT_OPEN  "<think>"
#define ENX_THOUGHT_CLOSE "</think>"

typedef enum enx_thought_place {
    ENX_THOUGHT_BEFORE, /* nothing but white space yet; the zero value */
    ENX_THOUGHT_INSIDE,
    ENX_THOUGHT_AFTER, /* nothing but white space since the thought's end */
    ENX_THOUGHT_ANSWER,
} enx_thought_place;

typedef struct enx_thought {
    enx_thought_place place;
    size_t            matched;          /* bytes of a tag that came last, and have not come out */
    enx_buf          *thought, *answer; /* borrowed */
} enx_thought;

void enx_thought_init(enx_thought *t, bool is_open, enx_buf *thought, enx_buf *answer);

/* Append to thought and answer what is certain now.  ENX_LIMIT, ENX_NOMEM of the buffers. */
ENX_MUST_USE enx_status enx_thought_push(enx_thought *t, const char *bytes, size_t size_bytes);
/* No more comes: a tag that is not whole is text. */
ENX_MUST_USE enx_status enx_thought_finish(enx_thought *t);

#endif /* ENX_TEXT_THOUGHT_H */
