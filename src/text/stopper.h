/* SPDX-License-Identifier: Apache-2.0 */
/* stopper.h - text that arrives in parts and ends before the first of some given texts.
 *
 * What may yet become a stop text is held back, so no byte of one comes out, wherever the parts
 * are cut; nor does a part of a UTF-8 character.  The first stop text to be complete ends the text;
 * of several that end at the same byte, the longest.
 *
 * Layer: text.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_TEXT_STOPPER_H
#define ENX_TEXT_STOPPER_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_STOPS_MAX = 16,
    ENX_STOP_BYTES_MAX = 256, /* of each */
};

typedef struct enx_stop {
    const char *text; /* borrowed */
    size_t      size_bytes;
    size_t      matched; /* bytes of it that the text ends with now, fewer than all */
    /* [n]: the longest beginning of `text` that its first n + 1 bytes end with, but themselves */
    uint16_t    fallback[ENX_STOP_BYTES_MAX];
} enx_stop;

typedef struct enx_stopper {
    enx_stop stops[ENX_STOPS_MAX];
    size_t   stop_count;
    bool     is_stopped;
    char     held[ENX_STOP_BYTES_MAX + 4]; /* came, and has not come out */
    size_t   held_bytes;
} enx_stopper;

/* `texts` are borrowed as long as the stopper is used.  ENX_LIMIT: too many, or one too long;
 * ENX_INVALID: one is empty. */
ENX_MUST_USE enx_status enx_stopper_init(enx_stopper *stopper, const char *const *texts,
                                         size_t count, enx_report *report);

/* Append to `out` what is certain now.  Does nothing once is_stopped.  ENX_LIMIT, ENX_NOMEM of
 * `out`: the stopper is not to be used any more. */
ENX_MUST_USE enx_status enx_stopper_push(enx_stopper *stopper, const char *bytes, size_t size_bytes,
                                         enx_buf *out);

/* No more comes: append what was held back, but for the beginning of a character. */
ENX_MUST_USE enx_status enx_stopper_finish(enx_stopper *stopper, enx_buf *out);

#endif /* ENX_TEXT_STOPPER_H */
