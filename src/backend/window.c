/* SPDX-License-Identifier: Apache-2.0 */
/* window.c - where to cut a long text, and where its answer. */
#include "backend/window.h"

#include "base/buf.h"
#include "base/check.h"
#include "text/damage.h"

#include <stdint.h>
#include <string.h>

static bool is_space(char byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

static bool is_mark(char byte) { return byte != '\0' && strchr(".,;:!?", byte) != NULL; }

static bool is_char_start(char byte) { return ((uint8_t)byte & 0xC0) != 0x80; }

/* A combining mark U+0300..U+036F stays with the letter before it. */
static bool is_combining(const char *text, size_t size_bytes, size_t at)
{
    if (at + 1 >= size_bytes) return false;
    const uint8_t a = (uint8_t)text[at], b = (uint8_t)text[at + 1];
    return a == 0xCC || (a == 0xCD && b < 0xB0);
}

static size_t skip_space(const char *text, size_t size_bytes, size_t at)
{
    while (at < size_bytes && is_space(text[at])) at++;
    return at;
}

/* May the text be cut at `at`, at the end of a word whose marks stay with it? */
static bool is_word_end(const char *text, size_t size_bytes, size_t at)
{
    if (at == 0 || at >= size_bytes || is_space(text[at - 1]) || !is_space(text[at])) return false;
    const size_t next = skip_space(text, size_bytes, at);
    return next < size_bytes && !is_mark(text[next]);
}

static bool is_inner_cut(const char *text, size_t size_bytes, size_t at)
{
    return is_char_start(text[at]) && !is_combining(text, size_bytes, at) && !is_mark(text[at]) &&
           !is_mark(text[at - 1]) && !is_space(text[at]) && !is_space(text[at - 1]);
}

/* The last place to cut in (low, high]; size_bytes when there is none. */
static size_t last_cut(const char *text, size_t size_bytes, size_t low, size_t high)
{
    for (size_t at = high; at > low; at--)
        if (is_word_end(text, size_bytes, at)) return at;
    for (size_t at = high; at > low; at--)
        if (is_inner_cut(text, size_bytes, at)) return at;
    return size_bytes;
}

enx_window enx_window_at(const char *text, size_t size_bytes, size_t core, size_t floor,
                         size_t window_bytes)
{
    ENX_CHECK(core <= size_bytes && floor <= core && window_bytes >= ENX_WINDOW_BYTES_MIN);
    /* Small windows keep the proportions. */
    size_t overlap = ENX_WINDOW_OVERLAP_BYTES, ahead = ENX_WINDOW_AHEAD_BYTES;
    if (overlap > window_bytes / 4) overlap = window_bytes / 4;
    if (ahead > window_bytes / 4) ahead = window_bytes / 4;
    enx_window w = { .first = core, .core = core };
    for (size_t at = core; core > 0 && at > floor && core - at < overlap;) {
        at--;
        if (is_word_end(text, size_bytes, at)) w.first = skip_space(text, size_bytes, at);
    }
    if (size_bytes - w.first <= window_bytes) {
        w.core_end = w.end = size_bytes;
        return w;
    }
    w.core_end = last_cut(text, size_bytes, core, w.first + window_bytes - ahead);
    if (w.core_end == size_bytes) { /* white space or marks without end: take what there is */
        w.core_end = w.first + window_bytes - ahead;
        while (w.core_end > core + 1 && !is_char_start(text[w.core_end])) w.core_end--;
    }
    size_t high = w.core_end + ahead;
    if (high >= size_bytes) high = size_bytes - 1;
    w.end = last_cut(text, size_bytes, w.core_end, high);
    if (w.end == size_bytes) w.end = w.core_end;
    if (size_bytes - w.core_end <= ahead) w.end = size_bytes;
    return w;
}

static enx_status damaged_size(enx_buf *scratch, const char *text, size_t size_bytes,
                               unsigned kinds, size_t *out, enx_report *report)
{
    enx_buf_clear(scratch);
    ENX_TRY(enx_damage_kinds(scratch, text, size_bytes, kinds, report));
    *out = scratch->size_bytes;
    return ENX_OK;
}

enx_status enx_window_align(size_t *out, const char *text, size_t size_bytes, size_t cut,
                            const char *answer, size_t answer_bytes, unsigned kinds,
                            enx_report *report)
{
    if (cut == size_bytes) {
        *out = answer_bytes;
        return ENX_OK;
    }
    enx_buf    scratch;
    size_t     want = 0, got = 0;
    const bool at_word_end = is_space(text[cut]);
    enx_buf_init(&scratch, 4 * (size_bytes + answer_bytes) + 64);
    enx_status status = damaged_size(&scratch, text, cut, kinds, &want, report);
    for (size_t at = answer_bytes; status == ENX_OK && at > 0; at--) {
        if (at_word_end && !(at == answer_bytes || is_space(answer[at]))) continue;
        if (at < answer_bytes && !is_char_start(answer[at])) continue;
        status = damaged_size(&scratch, answer, at, kinds, &got, report);
        if (status != ENX_OK || got > want) continue;
        if (got < want) break;
        enx_buf_deinit(&scratch);
        *out = at;
        return ENX_OK;
    }
    enx_buf_deinit(&scratch);
    if (status != ENX_OK) return status;
    return ENX_FAIL(report, FORMAT, "the answer has no place for the cut at byte %zu", cut);
}
