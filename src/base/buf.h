/* SPDX-License-Identifier: Apache-2.0 */
/* buf.h - a growing byte buffer with a hard cap given at init.
 *
 * The bytes are always followed by a zero byte, so `data` is a C string when
 * the content holds none.  Once an append fails, the buffer stays as it was.
 *
 * Layer: base.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_BASE_BUF_H
#define ENX_BASE_BUF_H

#include "base/status.h"

#include <stdint.h>

typedef struct enx_buf {
    char  *data; /* owned; NULL until the first append; use enx_buf_text for a never-NULL string */
    size_t size_bytes;
    size_t capacity_bytes;
    size_t max_bytes;
} enx_buf;

/* Owns nothing until the first append. */
void enx_buf_init(enx_buf *buf, size_t max_bytes);
void enx_buf_deinit(enx_buf *buf);

/* ENX_LIMIT beyond max_bytes, ENX_NOMEM.  `bytes` is borrowed. */
ENX_MUST_USE enx_status enx_buf_append(enx_buf *buf, const void *bytes, size_t size_bytes);
ENX_MUST_USE enx_status enx_buf_append_text(enx_buf *buf, const char *text);
ENX_MUST_USE enx_status enx_buf_printf(enx_buf *buf, const char *format, ...) ENX_PRINTF(2, 3);

/* Keep the memory, forget the content. */
void enx_buf_clear(enx_buf *buf);

/* The content as a borrowed C string, "" when empty; valid until the next append. */
const char *enx_buf_text(const enx_buf *buf);

/* The content as an owned string (release with enx_mem_free); the buffer is empty after.
 * NULL: nothing was appended. */
char *enx_buf_take(enx_buf *buf);

#endif /* ENX_BASE_BUF_H */
