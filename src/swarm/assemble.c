/* SPDX-License-Identifier: Apache-2.0 */
/* assemble.c - paragraphs out of a text, and back. */
#include "swarm/assemble.h"

#include "base/check.h"
#include "base/mem.h"
#include "swarm/ports.h"

#include <stdbool.h>
#include <string.h>

struct enx_paragraphs {
    const char *text;
    size_t      size_bytes;
    uint32_t    count;
    enx_span   *spans; /* [count], inside this block */
};

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next paragraph at or after *at, which moves past its line; false: there is none. */
static bool next_span(const char *text, size_t size_bytes, size_t *at, enx_span *span)
{
    while (*at < size_bytes && is_space(text[*at])) (*at)++;
    if (*at == size_bytes) return false;
    const size_t first = *at;
    while (*at < size_bytes && text[*at] != '\n' && text[*at] != '\r') (*at)++;
    size_t end = *at;
    while (end > first && is_space(text[end - 1])) end--;
    *span = (enx_span){ .text = text + first, .size_bytes = end - first };
    return true;
}

static size_t first_byte(const char *text, size_t size_bytes)
{
    return size_bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

enx_status enx_paragraphs_open(enx_paragraphs **out, const char *text, size_t size_bytes,
                               enx_report *report)
{
    ENX_CHECK(out && (text || size_bytes == 0));
    enx_span span;
    size_t   count = 0;
    for (size_t at = first_byte(text, size_bytes); next_span(text, size_bytes, &at, &span);)
        count++;
    if (count > ENX_SWARM_ITEMS_MAX)
        return ENX_FAIL(report, LIMIT, "the text has %zu paragraphs, at most %d fit in one job",
                        count, ENX_SWARM_ITEMS_MAX);

    enx_paragraphs *paragraphs = enx_mem_new(1, sizeof(enx_paragraphs) + count * sizeof(enx_span));
    if (!paragraphs) return ENX_FAIL(report, NOMEM, "no memory for %zu paragraphs", count);
    *paragraphs = (enx_paragraphs){
        .text = text,
        .size_bytes = size_bytes,
        .spans = (enx_span *)(paragraphs + 1),
    };
    for (size_t at = first_byte(text, size_bytes); next_span(text, size_bytes, &at, &span);)
        paragraphs->spans[paragraphs->count++] = span;
    *out = paragraphs;
    return ENX_OK;
}

void enx_paragraphs_close(enx_paragraphs **paragraphs)
{
    enx_mem_free(*paragraphs);
    *paragraphs = NULL;
}

const enx_span *enx_paragraphs_spans(const enx_paragraphs *paragraphs) { return paragraphs->spans; }

uint32_t enx_paragraphs_count(const enx_paragraphs *paragraphs) { return paragraphs->count; }

enx_status enx_paragraphs_assemble(const enx_paragraphs *paragraphs, enx_buf *out,
                                   const enx_span *answers, enx_report *report)
{
    enx_status  status = ENX_OK;
    const char *at = paragraphs->text;
    for (uint32_t i = 0; i < paragraphs->count && status == ENX_OK; i++) {
        const enx_span *span = &paragraphs->spans[i];
        status = enx_buf_append(out, at, (size_t)(span->text - at));
        if (status == ENX_OK) status = enx_buf_append(out, answers[i].text, answers[i].size_bytes);
        at = span->text + span->size_bytes;
    }
    const char *end = paragraphs->text + paragraphs->size_bytes;
    if (status == ENX_OK && end > at) status = enx_buf_append(out, at, (size_t)(end - at));
    if (status == ENX_OK) return ENX_OK;
    return enx_report_set(report, status, __FILE__, __LINE__,
                          "the assembled text is larger than the %zu bytes allowed",
                          out->max_bytes);
}
