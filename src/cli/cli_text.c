/* SPDX-License-Identifier: Apache-2.0 */
/* cli_text.c - cutting texts into items, and back. */
#include "cli/cli_text.h"

#include "backend/window.h"
#include "base/mem.h"

#include <string.h>

void cli_items_deinit(cli_items *items)
{
    enx_mem_free(items->spans);
    *items = (cli_items){ 0 };
}

static enx_status push(cli_items *items, enx_span span, enx_report *report)
{
    if (items->count == ENX_SWARM_ITEMS_MAX)
        return ENX_FAIL(report, LIMIT, "more than %d paragraphs; cut the input into smaller jobs",
                        ENX_SWARM_ITEMS_MAX);
    if (items->count == items->capacity) {
        const uint32_t capacity = items->capacity ? 2 * items->capacity : 256;
        enx_span      *grown =
            enx_mem_resize(items->spans, items->count * sizeof *grown, capacity * sizeof *grown);
        if (!grown) return ENX_FAIL(report, NOMEM, "no memory for %u paragraphs", capacity);
        items->spans = grown;
        items->capacity = capacity;
    }
    items->spans[items->count++] = span;
    return ENX_OK;
}

static bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static enx_status push_pieces(cli_items *items, enx_span span, enx_report *report)
{
    size_t at = 0;
    while (at < span.size_bytes) {
        const enx_window w = enx_window_at(span.text, span.size_bytes, at, at, CLI_PIECE_BYTES);
        ENX_TRY(push(items, (enx_span){ span.text + at, w.core_end - at }, report));
        at = w.core_end;
        while (at < span.size_bytes && is_space(span.text[at])) at++;
    }
    return ENX_OK;
}

enx_status cli_items_add(cli_items *items, const char *text, size_t size_bytes, enx_report *report)
{
    enx_paragraphs *paragraphs = NULL;
    ENX_TRY(enx_paragraphs_open(&paragraphs, text, size_bytes, report));
    const enx_span *spans = enx_paragraphs_spans(paragraphs);
    enx_status      status = ENX_OK;
    for (uint32_t i = 0; status == ENX_OK && i < enx_paragraphs_count(paragraphs); i++)
        status = spans[i].size_bytes > CLI_PIECE_BYTES ? push_pieces(items, spans[i], report)
                                                       : push(items, spans[i], report);
    enx_paragraphs_close(&paragraphs);
    return status;
}

enx_status cli_items_assemble(const cli_items *items, uint32_t first, uint32_t count,
                              const enx_swarm *swarm, const char *text, size_t size_bytes,
                              enx_buf *out, enx_report *report)
{
    const char *at = text, *const end = text + size_bytes;
    enx_status status = ENX_OK;
    for (uint32_t i = first; status == ENX_OK && i < first + count; i++) {
        const enx_span         item = items->spans[i];
        const enx_swarm_answer answer = enx_swarm_result(swarm, i);
        status = enx_buf_append(out, at, (size_t)(item.text - at));
        if (status == ENX_OK)
            status = enx_buf_append(out, answer.answer.text, answer.answer.size_bytes);
        at = item.text + item.size_bytes;
    }
    if (status == ENX_OK && end > at) status = enx_buf_append(out, at, (size_t)(end - at));
    if (status == ENX_OK) return ENX_OK;
    return enx_report_set(report, status, __FILE__, __LINE__, "the answer is longer than %zu bytes",
                          out->max_bytes);
}
