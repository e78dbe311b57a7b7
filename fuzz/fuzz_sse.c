/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sse.c - a stream of any bytes gives the same events, or the same refusal, however it is cut;
 * and events hold no more bytes than came. */
#include "backend/sse.h"
#include "base/check.h"

#include <stdint.h>
#include <string.h>

enum { EVENT_BYTES = 200, OUT_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enx_status write_event(void *user, const char *event, const char *data, size_t data_bytes,
                              enx_report *report)
{
    (void)report;
    ENX_CHECK(strlen(event) < ENX_SSE_NAME_BYTES_MAX && data[data_bytes] == '\0');
    ENX_TRY(enx_buf_printf(user, "%s\n", event));
    ENX_TRY(enx_buf_append(user, data, data_bytes));
    return enx_buf_append(user, "\n\n", 2);
}

static enx_status run(const uint8_t *data, size_t size, size_t piece, enx_buf *out)
{
    enx_sse    sse;
    enx_status status = ENX_OK;
    enx_sse_init(&sse, EVENT_BYTES);
    for (size_t at = 0; status == ENX_OK && at < size; at += piece)
        status = enx_sse_push(&sse, (const char *)data + at, size - at < piece ? size - at : piece,
                              write_event, out, NULL);
    enx_sse_deinit(&sse);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = { 1, 3, 17 };
    enx_buf             whole, cut;
    enx_buf_init(&whole, OUT_BYTES);
    const enx_status status = run(data, size, size + 1, &whole);
    ENX_CHECK(status == ENX_OK || status == ENX_LIMIT);
    ENX_CHECK(whole.size_bytes <= 2 * size + 8);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        enx_buf_init(&cut, OUT_BYTES);
        ENX_CHECK(run(data, size, pieces[i], &cut) == status);
        ENX_CHECK(cut.size_bytes == whole.size_bytes &&
                  memcmp(enx_buf_text(&cut), enx_buf_text(&whole), cut.size_bytes) == 0);
        enx_buf_deinit(&cut);
    }
    enx_buf_deinit(&whole);
    return 0;
}
