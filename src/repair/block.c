/* SPDX-License-Identifier: Apache-2.0 */
/* block.c - blocks by indentation, which damage to brackets and strings leaves alone. */
#include "repair/block.h"

#include <string.h>

enum { AROUND_BYTES = 900 }; /* before and after, where every block is too long */

static size_t line_start(const char *text, size_t at)
{
    while (at > 0 && text[at - 1] != '\n') at--;
    return at;
}

static size_t next_line(const char *text, size_t size, size_t at)
{
    while (at < size && text[at] != '\n') at++;
    return at < size ? at + 1 : size;
}

static size_t indent_of(const char *text, size_t size, size_t start)
{
    size_t n = 0;
    while (start + n < size && (text[start + n] == ' ' || text[start + n] == '\t')) n++;
    return n;
}

static bool is_empty(const char *text, size_t size, size_t start)
{
    const size_t at = start + indent_of(text, size, start);
    return at >= size || text[at] == '\n' || text[at] == '\r';
}

/* A line that goes on with the block before it, at the same indentation. */
static bool is_sequel(const char *text, size_t size, size_t start)
{
    static const char *const words[] = { ")", "]", "}", "else", "elif", "except", "finally", "{" };
    const char              *at = text + start + indent_of(text, size, start);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(at, words[i], strlen(words[i])) == 0) return true;
    return false;
}

/* Where the block that begins at `start` and reaches beyond `at` ends. */
static size_t block_end(const char *text, size_t size, size_t start, size_t at)
{
    const size_t indent = indent_of(text, size, start);
    size_t       end = next_line(text, size, at);
    while (end < size) {
        if (!is_empty(text, size, end) && indent_of(text, size, end) <= indent &&
            !is_sequel(text, size, end))
            break;
        end = next_line(text, size, end);
    }
    return end;
}

/* The header above `start`: the nearest line before it that is indented less; `start`: none. */
static size_t header_of(const char *text, size_t size, size_t start)
{
    const size_t indent = indent_of(text, size, start);
    for (size_t at = start; at > 0;) {
        at = line_start(text, at - 1);
        if (start - at > ENX_BLOCK_BYTES_MAX) break;
        if (is_empty(text, size, at)) continue;
        const size_t here = indent_of(text, size, at);
        if (here < indent || (here == indent && is_sequel(text, size, start))) return at;
    }
    return start;
}

static bool fits(enx_block w) { return w.to - w.from <= ENX_BLOCK_BYTES_MAX; }

enx_block enx_block_around(const char *text, size_t size_bytes, size_t at)
{
    if (at >= size_bytes && size_bytes > 0) at = size_bytes - 1;
    size_t start = line_start(text, at);
    while (start > 0 && is_empty(text, size_bytes, start)) start = line_start(text, start - 1);
    enx_block best = { start, block_end(text, size_bytes, start, at) };
    for (size_t header; (header = header_of(text, size_bytes, start)) != start; start = header) {
        const enx_block wider = { header, block_end(text, size_bytes, header, at) };
        if (!fits(wider)) break;
        best = wider;
    }
    if (fits(best)) return best;
    best.from = at > AROUND_BYTES ? at - AROUND_BYTES : 0;
    best.to = size_bytes - at > AROUND_BYTES ? at + AROUND_BYTES : size_bytes;
    return best;
}

static bool is_listed(const enx_block *out, uint32_t count, enx_block w)
{
    for (uint32_t i = 0; i < count; i++)
        if (w.from < out[i].to && out[i].from < w.to) return true;
    return false;
}

/* The block before joins that of the complaint when both fit. */
static enx_block widen(const char *text, size_t size, enx_block w, size_t at)
{
    const size_t second = next_line(text, size, w.from);
    if (w.from == 0 || at >= next_line(text, size, second)) return w;
    const enx_block before = enx_block_around(text, size, w.from - 1);
    const enx_block both = { before.from, w.to };
    return before.from < w.from && fits(both) ? both : w;
}

/* Blocks of the whole text with faults of their own: `place[i]` keeps the nearest to `at`. */
static uint32_t list_faulty(enx_block out[ENX_BLOCKS_MAX], uint32_t count, enx_code code,
                            const char *text, size_t size, size_t at, enx_scan *scratch)
{
    enx_block before[ENX_BLOCKS_MAX];
    uint32_t  seen = 0;
    for (size_t pos = 0; pos < size;) {
        const enx_block w = enx_block_around(text, size, pos);
        const size_t    from = w.from > pos ? w.from : pos;
        pos = w.to > pos ? w.to : next_line(text, size, pos);
        if (pos - from > ENX_BLOCK_BYTES_MAX) continue;
        const enx_block block = { from, pos };
        enx_scan_text(scratch, code, text + from, (uint32_t)(pos - from));
        if (scratch->faults == 0 || is_listed(out, count, block)) continue;
        if (from <= at) before[seen++ % ENX_BLOCKS_MAX] = block;
        else if (count < ENX_BLOCKS_MAX) out[count++] = block;
    }
    for (uint32_t i = 0; i < seen && i < ENX_BLOCKS_MAX && count < ENX_BLOCKS_MAX; i++)
        out[count++] = before[(seen - 1 - i) % ENX_BLOCKS_MAX];
    return count;
}

uint32_t enx_block_list(enx_block out[ENX_BLOCKS_MAX], enx_code code, const char *text,
                        size_t size_bytes, int64_t at, enx_scan *scratch)
{
    uint32_t     count = 0;
    const size_t place = at < 0 || (size_t)at > size_bytes ? size_bytes : (size_t)at;
    if (size_bytes <= ENX_BLOCK_BYTES_MAX) {
        out[0] = (enx_block){ 0, size_bytes };
        return 1;
    }
    const enx_block w = enx_block_around(text, size_bytes, place);
    out[count++] = widen(text, size_bytes, w, place);
    return list_faulty(out, count, code, text, size_bytes, place, scratch);
}
