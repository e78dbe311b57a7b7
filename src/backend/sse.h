/* SPDX-License-Identifier: Apache-2.0 */
/* sse.h - server-sent events out of bytes that come in pieces.
 *
 *     event: message_delta          lines end in LF, CR or CR LF; a blank one ends the event;
 *     data: {"type": …              several data lines are one text, with LF between them;
 *     : a comment                   comments, id and retry are passed over.
 *
 * An event that its end cuts off is dropped, as the specification wants: whoever reads a stream
 * needs an end of its own to know that it has all.
 *
 * Source: HTML Living Standard, "Server-sent events".
 *
 * Layer: backend.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_BACKEND_SSE_H
#define ENX_BACKEND_SSE_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>

enum { ENX_SSE_NAME_BYTES_MAX = 64 };

/* `event` is "" without a name, `data` [data_bytes] is zero-terminated; both are borrowed. */
typedef enx_status (*enx_sse_fn)(void *user, const char *event, const char *data, size_t data_bytes,
                                 enx_report *report);

typedef struct enx_sse {
    enx_buf line, data;
    char    event[ENX_SSE_NAME_BYTES_MAX];
    bool    was_cr;   /* the last line ended in CR: an LF now is part of that end */
    bool    has_data; /* since the last event */
    bool    is_begun; /* past the place where a byte order mark may stand */
} enx_sse;

/* `event_bytes_max` bounds a line, and the data of one event. */
void enx_sse_init(enx_sse *sse, size_t event_bytes_max);
void enx_sse_deinit(enx_sse *sse);

/* Take the next bytes; `fn` is called for each event that they complete.  The first failure of
 * `fn` is returned; ENX_LIMIT: a line, a name or an event is too long; ENX_NOMEM.  After a failure
 * the stream is of no use. */
ENX_MUST_USE enx_status enx_sse_push(enx_sse *sse, const char *bytes, size_t size_bytes,
                                     enx_sse_fn fn, void *user, enx_report *report);

#endif /* ENX_BACKEND_SSE_H */
