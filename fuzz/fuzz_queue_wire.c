/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_queue_wire.c - whatever comes over the queue is refused, or is what it says when written
 * down again. */
#include "backend/queue_wire.h"
#include "base/check.h"

#include <stdint.h>
#include <string.h>

enum { TEXT_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_call(const char *bytes, size_t size)
{
    enx_buf       texts, again, more;
    enx_wire_call call, second;
    enx_buf_init(&texts, TEXT_BYTES);
    enx_buf_init(&more, TEXT_BYTES);
    enx_buf_init(&again, 2 * TEXT_BYTES);
    if (enx_wire_call_read(&call, &texts, bytes, size, NULL) == ENX_OK &&
        strlen(call.call.goal) == texts.size_bytes) { /* a zero byte ends a goal */
        ENX_CHECK(enx_wire_call_write(&again, &call) == ENX_OK);
        ENX_CHECK(enx_wire_call_read(&second, &more, again.data, again.size_bytes, NULL) == ENX_OK);
        ENX_CHECK(second.call.call_id == call.call.call_id &&
                  second.call.input_bytes == call.call.input_bytes);
    }
    enx_buf_deinit(&again);
    enx_buf_deinit(&more);
    enx_buf_deinit(&texts);
}

static void try_report(const char *bytes, size_t size)
{
    enx_buf         texts, again, more;
    enx_wire_report report, second;
    enx_buf_init(&texts, TEXT_BYTES);
    enx_buf_init(&more, TEXT_BYTES);
    enx_buf_init(&again, 2 * TEXT_BYTES);
    if (enx_wire_report_read(&report, &texts, bytes, size, NULL) == ENX_OK) {
        ENX_CHECK(report.report.status < ENX_CALL_STATUS_COUNT);
        ENX_CHECK(enx_wire_report_write(&again, &report) == ENX_OK);
        ENX_CHECK(enx_wire_report_read(&second, &more, again.data, again.size_bytes, NULL) ==
                  ENX_OK);
        ENX_CHECK(second.report.sum_logprob == report.report.sum_logprob &&
                  second.report.answer_bytes == report.report.answer_bytes);
    }
    enx_buf_deinit(&again);
    enx_buf_deinit(&more);
    enx_buf_deinit(&texts);
}

/* Where a bundle is one, its messages fill it to the last byte. */
static void try_bundle(const char *bytes, size_t size)
{
    enx_wire_part parts[ENX_WIRE_BUNDLE_MAX];
    uint32_t      count = 0;
    if (enx_wire_bundle_read(parts, &count, bytes, size, NULL) != ENX_OK) return;
    ENX_CHECK(count >= 1 && count <= ENX_WIRE_BUNDLE_MAX);
    for (uint32_t i = 0; i + 1 < count; i++)
        ENX_CHECK(parts[i].bytes + parts[i].size_bytes == parts[i + 1].bytes);
    ENX_CHECK(parts[count - 1].bytes + parts[count - 1].size_bytes == bytes + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_call((const char *)data, size);
    try_report((const char *)data, size);
    try_bundle((const char *)data, size);
    return 0;
}
