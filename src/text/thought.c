/* SPDX-License-Identifier: Apache-2.0 */
/* thought.c - two tags whose first byte comes in them once: after a mismatch nothing of what was
 * matched can be the beginning of the tag, but for the byte at hand. */
#include "text/thought.h"

#include <string.h>

static const char open_tag[] = ENX_THOUGHT_OPEN, close_tag[] = ENX_THOUGHT_CLOSE;

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

void enx_thought_init(enx_thought *t, bool is_open, enx_buf *thought, enx_buf *answer)
{
    *t = (enx_thought){ .place = is_open ? ENX_THOUGHT_INSIDE : ENX_THOUGHT_BEFORE,
                        .thought = thought,
                        .answer = answer };
}

/* What was held back is no tag. */
static enx_status release(enx_thought *t)
{
    const size_t size = t->matched;
    t->matched = 0;
    if (size == 0) return ENX_OK;
    if (t->place == ENX_THOUGHT_INSIDE) return enx_buf_append(t->thought, close_tag, size);
    t->place = ENX_THOUGHT_ANSWER;
    return enx_buf_append(t->answer, open_tag, size);
}

static enx_status push_inside(enx_thought *t, char byte)
{
    if (byte != close_tag[t->matched]) ENX_TRY(release(t));
    if (byte != close_tag[t->matched]) {
        if (is_space(byte) && t->thought->size_bytes == 0) return ENX_OK;
        return enx_buf_append(t->thought, &byte, 1);
    }
    if (close_tag[++t->matched]) return ENX_OK;
    t->matched = 0;
    t->place = ENX_THOUGHT_AFTER;
    return ENX_OK;
}

static enx_status push_before(enx_thought *t, char byte)
{
    if (t->matched == 0 && is_space(byte)) return ENX_OK;
    if (byte != open_tag[t->matched]) {
        ENX_TRY(release(t));
        t->place = ENX_THOUGHT_ANSWER;
        return enx_buf_append(t->answer, &byte, 1);
    }
    if (open_tag[++t->matched]) return ENX_OK;
    t->matched = 0;
    t->place = ENX_THOUGHT_INSIDE;
    return ENX_OK;
}

static enx_status push_byte(enx_thought *t, char byte)
{
    if (t->place == ENX_THOUGHT_INSIDE) return push_inside(t, byte);
    if (t->place == ENX_THOUGHT_BEFORE) return push_before(t, byte);
    if (t->place == ENX_THOUGHT_AFTER && is_space(byte)) return ENX_OK;
    t->place = ENX_THOUGHT_ANSWER;
    return enx_buf_append(t->answer, &byte, 1);
}

enx_status enx_thought_push(enx_thought *t, const char *bytes, size_t size_bytes)
{
    for (size_t i = 0; i < size_bytes; i++) ENX_TRY(push_byte(t, bytes[i]));
    return ENX_OK;
}

enx_status enx_thought_finish(enx_thought *t) { return release(t); }
