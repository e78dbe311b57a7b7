/* SPDX-License-Identifier: Apache-2.0 */
/* stopper.c - each stop text is followed by the automaton of Knuth, Morris and Pratt, so a byte
 * costs a constant on average, whatever the texts.
 *
 * Held back are the longest match of all stop texts and, before it, at most 3 bytes of a character:
 * fewer than ENX_STOP_BYTES_MAX + 3. */
#include "text/stopper.h"

#include "base/check.h"
#include "text/utf8.h"

#include <string.h>

/* How much of the stop text is matched when `byte` comes after `matched` bytes of it. */
static size_t step(const enx_stop *stop, size_t matched, char byte)
{
    while (matched > 0 && stop->text[matched] != byte) matched = stop->fallback[matched - 1];
    return matched + (stop->text[matched] == byte);
}

enx_status enx_stopper_init(enx_stopper *s, const char *const *texts, size_t count,
                            enx_report *report)
{
    if (count > ENX_STOPS_MAX)
        return ENX_FAIL(report, LIMIT, "%zu stop texts, at most %d are possible", count,
                        ENX_STOPS_MAX);
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(texts[i]);
        if (size == 0) return ENX_FAIL(report, INVALID, "a stop text is empty");
        if (size > ENX_STOP_BYTES_MAX)
            return ENX_FAIL(report, LIMIT, "a stop text has %zu bytes, at most %d are possible",
                            size, ENX_STOP_BYTES_MAX);
    }
    *s = (enx_stopper){ .stop_count = count };
    for (size_t i = 0; i < count; i++) {
        enx_stop *stop = &s->stops[i];
        stop->text = texts[i];
        stop->size_bytes = strlen(texts[i]);
        for (size_t n = 1; n < stop->size_bytes; n++)
            stop->fallback[n] = (uint16_t)step(stop, stop->fallback[n - 1], stop->text[n]);
    }
    return ENX_OK;
}

/* Let the first of `size_bytes` held bytes out that are whole characters. */
static enx_status release(enx_stopper *s, size_t size_bytes, enx_buf *out)
{
    const size_t certain = size_bytes ? enx_utf8_complete_prefix(s->held, size_bytes) : 0;
    if (certain == 0) return ENX_OK;
    const enx_status status = enx_buf_append(out, s->held, certain);
    if (status != ENX_OK) return status;
    s->held_bytes -= certain;
    memmove(s->held, s->held + certain, s->held_bytes);
    return ENX_OK;
}

static enx_status push_byte(enx_stopper *s, char byte, enx_buf *out)
{
    size_t open = 0, ended = 0;
    ENX_CHECK(s->held_bytes < sizeof s->held);
    s->held[s->held_bytes++] = byte;
    for (size_t i = 0; i < s->stop_count; i++) {
        enx_stop *stop = &s->stops[i];
        stop->matched = step(stop, stop->matched, byte);
        if (stop->matched > open) open = stop->matched;
        if (stop->matched == stop->size_bytes && stop->matched > ended) ended = stop->matched;
    }
    if (ended == 0) return release(s, s->held_bytes - open, out);
    s->is_stopped = true;
    s->held_bytes -= ended;
    return release(s, s->held_bytes, out);
}

enx_status enx_stopper_push(enx_stopper *s, const char *bytes, size_t size_bytes, enx_buf *out)
{
    enx_status status = ENX_OK;
    for (size_t i = 0; i < size_bytes && !s->is_stopped && status == ENX_OK; i++)
        status = push_byte(s, bytes[i], out);
    return status;
}

enx_status enx_stopper_finish(enx_stopper *s, enx_buf *out)
{
    const enx_status status = s->is_stopped ? ENX_OK : release(s, s->held_bytes, out);
    s->held_bytes = 0;
    return status;
}
