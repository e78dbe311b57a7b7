/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c - a growing byte buffer. */
#include "base/buf.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUF_FIRST_BYTES = 128 };

void enx_buf_init(enx_buf *buf, size_t max_bytes) { *buf = (enx_buf){ .max_bytes = max_bytes }; }

void enx_buf_deinit(enx_buf *buf)
{
    enx_mem_free(buf->data);
    *buf = (enx_buf){ .max_bytes = buf->max_bytes };
}

/* Room for `extra` more bytes and the closing zero. */
static enx_status reserve(enx_buf *buf, size_t extra)
{
    size_t need;
    if (__builtin_add_overflow(buf->size_bytes, extra, &need) || need > buf->max_bytes)
        return ENX_LIMIT;
    if (need + 1 <= buf->capacity_bytes) return ENX_OK;
    size_t capacity = buf->capacity_bytes ? buf->capacity_bytes : BUF_FIRST_BYTES;
    while (capacity < need + 1) capacity += capacity / 2;
    char *grown = enx_mem_resize(buf->data, buf->size_bytes, capacity);
    if (!grown) return ENX_NOMEM;
    buf->data = grown;
    buf->capacity_bytes = capacity;
    return ENX_OK;
}

enx_status enx_buf_append(enx_buf *buf, const void *bytes, size_t size_bytes)
{
    ENX_CHECK(bytes || size_bytes == 0);
    ENX_TRY(reserve(buf, size_bytes));
    if (size_bytes) memcpy(buf->data + buf->size_bytes, bytes, size_bytes);
    buf->size_bytes += size_bytes;
    buf->data[buf->size_bytes] = '\0';
    return ENX_OK;
}

enx_status enx_buf_append_text(enx_buf *buf, const char *text)
{
    return enx_buf_append(buf, text, strlen(text));
}

enx_status enx_buf_printf(enx_buf *buf, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int  size = vsnprintf(NULL, 0, format, arguments);
    enx_status status = size < 0 ? ENX_INVALID : reserve(buf, (size_t)size);
    if (status == ENX_OK) {
        vsnprintf(buf->data + buf->size_bytes, (size_t)size + 1, format, again);
        buf->size_bytes += (size_t)size;
    }
    va_end(again);
    va_end(arguments);
    return status;
}

void enx_buf_clear(enx_buf *buf)
{
    buf->size_bytes = 0;
    if (buf->data) buf->data[0] = '\0';
}

const char *enx_buf_text(const enx_buf *buf) { return buf->data ? buf->data : ""; }

char *enx_buf_take(enx_buf *buf)
{
    char *taken = buf->data;
    *buf = (enx_buf){ .max_bytes = buf->max_bytes };
    return taken;
}
