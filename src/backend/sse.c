/* SPDX-License-Identifier: Apache-2.0 */
/* sse.c - lines, fields, events.
 *
 * What has come of a line waits in `line`, so it does not matter where the pieces are cut. */
#include "backend/sse.h"

#include "base/check.h"

#include <string.h>

void enx_sse_init(enx_sse *sse, size_t event_bytes_max)
{
    *sse = (enx_sse){ 0 };
    enx_buf_init(&sse->line, event_bytes_max);
    enx_buf_init(&sse->data, event_bytes_max);
}

void enx_sse_deinit(enx_sse *sse)
{
    enx_buf_deinit(&sse->line);
    enx_buf_deinit(&sse->data);
}

static enx_status fail_append(const enx_buf *buf, enx_status status, enx_report *report)
{
    if (status == ENX_LIMIT)
        return ENX_FAIL(report, LIMIT, "an event of more than %zu bytes", buf->max_bytes);
    return ENX_FAIL(report, NOMEM, "no memory for an event");
}

static enx_status append(enx_buf *buf, const char *bytes, size_t size_bytes, enx_report *report)
{
    const enx_status status = enx_buf_append(buf, bytes, size_bytes);
    return status == ENX_OK ? ENX_OK : fail_append(buf, status, report);
}

/* A blank line: hand over what was gathered.  Without data there is no event. */
static enx_status dispatch(enx_sse *sse, enx_sse_fn fn, void *user, enx_report *report)
{
    enx_status status = ENX_OK;
    if (sse->has_data)
        status = fn(user, sse->event, enx_buf_text(&sse->data), sse->data.size_bytes, report);
    enx_buf_clear(&sse->data);
    sse->has_data = false;
    sse->event[0] = '\0';
    return status;
}

static enx_status take_field(enx_sse *sse, const char *name, size_t name_bytes, const char *value,
                             size_t value_bytes, enx_report *report)
{
    if (name_bytes == 4 && memcmp(name, "data", 4) == 0) {
        if (sse->has_data) ENX_TRY(append(&sse->data, "\n", 1, report));
        sse->has_data = true;
        return append(&sse->data, value, value_bytes, report);
    }
    if (name_bytes != 5 || memcmp(name, "event", 5) != 0) return ENX_OK;
    if (value_bytes >= ENX_SSE_NAME_BYTES_MAX || memchr(value, '\0', value_bytes))
        return ENX_FAIL(report, LIMIT, "an event's name of %zu bytes; %d are allowed", value_bytes,
                        ENX_SSE_NAME_BYTES_MAX - 1);
    memcpy(sse->event, value, value_bytes);
    sse->event[value_bytes] = '\0';
    return ENX_OK;
}

static enx_status take_line(enx_sse *sse, enx_sse_fn fn, void *user, enx_report *report)
{
    static const char mark[] = "\xEF\xBB\xBF"; /* byte order mark */
    const char       *line = enx_buf_text(&sse->line);
    size_t            size = sse->line.size_bytes;
    if (!sse->is_begun && size >= 3 && memcmp(line, mark, 3) == 0) {
        line += 3;
        size -= 3;
    }
    sse->is_begun = true;
    if (size == 0) return dispatch(sse, fn, user, report);
    const char  *colon = memchr(line, ':', size);
    const size_t name_bytes = colon ? (size_t)(colon - line) : size;
    const char  *value = colon ? colon + 1 : line + size;
    if (value < line + size && *value == ' ') value++;
    return take_field(sse, line, name_bytes, value, (size_t)(line + size - value), report);
}

/* Bytes before the next end of a line. */
static size_t line_bytes(const char *bytes, size_t size_bytes)
{
    size_t n = 0;
    while (n < size_bytes && bytes[n] != '\n' && bytes[n] != '\r') n++;
    return n;
}

enx_status enx_sse_push(enx_sse *sse, const char *bytes, size_t size_bytes, enx_sse_fn fn,
                        void *user, enx_report *report)
{
    ENX_CHECK(fn && (bytes || size_bytes == 0));
    const char *const end = bytes + size_bytes;
    while (bytes < end) {
        if (sse->was_cr && *bytes == '\n') bytes++;
        sse->was_cr = false;
        const size_t n = line_bytes(bytes, (size_t)(end - bytes));
        if (n > 0) ENX_TRY(append(&sse->line, bytes, n, report));
        bytes += n;
        if (bytes == end) break;
        sse->was_cr = *bytes++ == '\r';
        ENX_TRY(take_line(sse, fn, user, report));
        enx_buf_clear(&sse->line);
    }
    return ENX_OK;
}
