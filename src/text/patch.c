/* SPDX-License-Identifier: Apache-2.0 */
/* patch.c - files, hunks and lines as places in one copy of the text. */
#include "text/patch.h"

#include "base/mem.h"
#include "base/span.h"

#include <stdlib.h>
#include <string.h>

/* Lines of the patch from `first` on, with their marks. */
typedef struct hunk {
    const char *first, *end;
    size_t      stated; /* line where it should begin, from 1; 0: not stated */
} hunk;

typedef struct patched {
    char   name[ENX_PATCH_NAME_MAX];
    bool   is_new, is_removed;
    size_t first_hunk, hunk_count;
} patched;

struct enx_patch {
    char   *text; /* owned */
    patched files[ENX_PATCH_FILES_MAX];
    size_t  file_count;
    hunk    hunks[ENX_PATCH_HUNKS_MAX];
    size_t  hunk_count;
};

/* Bytes of the line at `at` without its end. */
static size_t line_bytes(const char *at, const char *end)
{
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    return (size_t)((stop ? stop : end) - at);
}

static const char *next_line(const char *at, const char *end)
{
    at += line_bytes(at, end);
    return at < end ? at + 1 : at;
}

static bool begins(const char *at, const char *end, const char *with)
{
    const size_t size = strlen(with);
    return (size_t)(end - at) >= size && memcmp(at, with, size) == 0;
}

/* ---- Reading -------------------------------------------------------------------------------- */

static bool is_safe_name(const char *name)
{
    for (const char *part = name;; part++) {
        const size_t size = strcspn(part, "/");
        if (size == 0 || (size == 1 && part[0] == '.') || (size == 2 && memcmp(part, "..", 2) == 0))
            return false;
        if (size == 4 && memcmp(part, ".git", 4) == 0) return false;
        part += size;
        if (!*part) return true;
    }
}

/* The name behind "--- " or "+++ "; a tab and what follows is a date. */
static enx_status read_name(char out[ENX_PATCH_NAME_MAX], const char *line, const char *end,
                            char side, enx_report *report)
{
    const char  *name = line + 4;
    const size_t all = line_bytes(name, end);
    const char  *tab = memchr(name, '\t', all);
    size_t       size = tab ? (size_t)(tab - name) : all;
    while (size > 0 && (name[size - 1] == ' ' || name[size - 1] == '\r')) size--;
    if (size > 2 && name[0] == side && name[1] == '/') {
        name += 2;
        size -= 2;
    }
    if (size >= ENX_PATCH_NAME_MAX)
        return ENX_FAIL(report, LIMIT, "a name in the patch is longer than %d bytes",
                        ENX_PATCH_NAME_MAX - 1);
    memcpy(out, name, size);
    out[size] = '\0';
    return ENX_OK;
}

static enx_status add_file(enx_patch *p, const char *minus, const char *end, enx_report *report)
{
    char        old_name[ENX_PATCH_NAME_MAX];
    const char *plus = next_line(minus, end);
    if (!begins(plus, end, "+++ "))
        return ENX_FAIL(report, FORMAT, "the patch has a line \"--- \" without \"+++ \" after it");
    if (p->file_count == ENX_PATCH_FILES_MAX)
        return ENX_FAIL(report, LIMIT, "the patch changes more than %d files", ENX_PATCH_FILES_MAX);
    patched *f = &p->files[p->file_count];
    *f = (patched){ .first_hunk = p->hunk_count };
    ENX_TRY(read_name(old_name, minus, end, 'a', report));
    ENX_TRY(read_name(f->name, plus, end, 'b', report));
    f->is_new = strcmp(old_name, "/dev/null") == 0;
    f->is_removed = strcmp(f->name, "/dev/null") == 0;
    if (f->is_removed) memcpy(f->name, old_name, sizeof old_name);
    if (!is_safe_name(f->name))
        return ENX_FAIL(report, INVALID, "the patch names \"%s\", which may lie outside the tree",
                        f->name);
    if (!f->is_new && !f->is_removed && strcmp(f->name, old_name) != 0)
        return ENX_FAIL(report, INVALID, "the patch renames %s; files keep their names", old_name);
    for (size_t i = 0; i < p->file_count; i++)
        if (strcmp(p->files[i].name, f->name) == 0)
            return ENX_FAIL(report, INVALID, "the patch has %s twice", f->name);
    p->file_count++;
    return ENX_OK;
}

static bool is_hunk_line(const char *at, const char *end)
{
    if (begins(at, end, "--- ") && begins(next_line(at, end), end, "+++ ")) return false;
    return *at == ' ' || *at == '-' || *at == '+' || *at == '\n' || *at == '\r' || *at == '\\';
}

/* From its line "@@ -N,M +N,M @@" on; *at moves behind it. */
static enx_status add_hunk(enx_patch *p, const char **at, const char *end, enx_report *report)
{
    if (p->file_count == 0)
        return ENX_FAIL(report, FORMAT, "the patch has a hunk before the name of any file");
    if (p->hunk_count == ENX_PATCH_HUNKS_MAX)
        return ENX_FAIL(report, LIMIT, "the patch has more than %d hunks", ENX_PATCH_HUNKS_MAX);
    const char *minus = memchr(*at, '-', line_bytes(*at, end));
    hunk        h = { .stated = minus ? strtoul(minus + 1, NULL, 10) : 0 };
    h.first = h.end = next_line(*at, end);
    while (h.end < end && is_hunk_line(h.end, end)) h.end = next_line(h.end, end);
    *at = h.end;
    while (h.end > h.first && h.end[-1] == '\n' && (h.end - 1 == h.first || h.end[-2] == '\n'))
        h.end--; /* empty lines at its end belong to nothing */
    p->hunks[p->hunk_count++] = h;
    p->files[p->file_count - 1].hunk_count++;
    return ENX_OK;
}

static enx_status read_patch(enx_patch *p, size_t size_bytes, enx_report *report)
{
    const char *const end = p->text + size_bytes;
    for (const char *at = p->text; at < end;) {
        if (begins(at, end, "@@")) {
            ENX_TRY(add_hunk(p, &at, end, report));
            continue;
        }
        if (begins(at, end, "--- ")) {
            ENX_TRY(add_file(p, at, end, report));
            at = next_line(at, end);
        }
        at = next_line(at, end); /* "+++ ", "diff --git", "index" and words around the patch */
    }
    for (size_t i = 0; i < p->file_count; i++)
        if (p->files[i].hunk_count == 0 && !p->files[i].is_removed)
            return ENX_FAIL(report, FORMAT, "the patch says nothing about %s", p->files[i].name);
    if (p->file_count == 0)
        return ENX_FAIL(report, FORMAT,
                        "no patch: expected lines \"--- a/FILE\", \"+++ b/FILE\" and \"@@\"");
    return ENX_OK;
}

enx_status enx_patch_open(enx_patch **out, const char *text, size_t size_bytes, enx_report *report)
{
    if (size_bytes > ENX_PATCH_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "a patch of %zu bytes; at most %d", size_bytes,
                        ENX_PATCH_BYTES_MAX);
    if (memchr(text, '\0', size_bytes))
        return ENX_FAIL(report, FORMAT, "the patch holds zero bytes");
    enx_patch *p = ENX_MEM_NEW(enx_patch, 1);
    if (p) p->text = enx_mem_new(size_bytes + 1, 1);
    enx_status status = p && p->text ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for a patch");
    if (status == ENX_OK) {
        memcpy(p->text, text, size_bytes);
        status = read_patch(p, size_bytes, report);
    }
    if (status == ENX_OK) *out = p;
    else enx_patch_close(&p);
    return status;
}

void enx_patch_close(enx_patch **patch)
{
    if (*patch) enx_mem_free((*patch)->text);
    enx_mem_free(*patch);
    *patch = NULL;
}

size_t enx_patch_file_count(const enx_patch *p) { return p->file_count; }

enx_patch_file enx_patch_file_get(const enx_patch *p, size_t index)
{
    const patched *f = &p->files[index];
    return (enx_patch_file){ f->name, f->is_new, f->is_removed };
}

/* ---- Applying ------------------------------------------------------------------------------- */

/* A line of the hunk without its mark; an empty one is an empty line that is kept. */
static enx_span content(const char *line, const char *end)
{
    const size_t size = line_bytes(line, end);
    return size ? (enx_span){ line + 1, size - 1 } : (enx_span){ line, 0 };
}

static bool is_old(const char *line) { return *line != '+' && *line != '\\'; }

/* Do the hunk's old lines stand at `at`?  *after: behind them. */
static bool fits(const hunk *h, const char *at, const char *end, const char **after)
{
    for (const char *line = h->first; line < h->end; line = next_line(line, h->end)) {
        if (!is_old(line)) continue;
        const enx_span want = content(line, h->end);
        if (at == end || line_bytes(at, end) != want.size_bytes ||
            memcmp(at, want.text, want.size_bytes) != 0)
            return false;
        at = next_line(at, end);
    }
    *after = at;
    return true;
}

static bool has_old_lines(const hunk *h)
{
    for (const char *line = h->first; line < h->end; line = next_line(line, h->end))
        if (is_old(line)) return true;
    return false;
}

/* Where the hunk goes from `at` on; `line` is the number of the line there. */
static enx_status find_place(const hunk *h, size_t number, const char *at, size_t line,
                             const char *end, const char **place, enx_report *report)
{
    size_t      count = 0;
    const char *after, *stated = NULL;
    *place = NULL;
    for (const char *p = at; p <= end; line++) {
        if (fits(h, p, end, &after)) {
            if (count++ == 0) *place = p;
            if (line == h->stated) stated = p;
        }
        if (p == end) break;
        p = next_line(p, end);
    }
    if (stated || !has_old_lines(h)) { /* new lines alone go where they say, or to the end */
        *place = stated ? stated : end;
        return ENX_OK;
    }
    if (count == 1) return ENX_OK;
    return ENX_FAIL(report, INVALID, "hunk %zu of the patch, from \"%.*s\" on, fits %s", number,
                    (int)line_bytes(h->first, h->end), h->first,
                    count ? "in several places; give it more lines around" : "nowhere");
}

static enx_status append_new_lines(const hunk *h, enx_buf *out)
{
    for (const char *line = h->first; line < h->end; line = next_line(line, h->end)) {
        if (*line == '-' || *line == '\\') continue;
        const enx_span add = content(line, h->end);
        ENX_TRY(enx_buf_append(out, add.text, add.size_bytes));
        ENX_TRY(enx_buf_append(out, "\n", 1));
    }
    return ENX_OK;
}

static size_t count_lines(const char *from, const char *to)
{
    size_t count = 0;
    for (; from < to; from++) count += *from == '\n';
    return count;
}

enx_status enx_patch_apply(const enx_patch *p, size_t index, const char *text, size_t size_bytes,
                           enx_buf *out, enx_report *report)
{
    const patched    *f = &p->files[index];
    const char *const end = text + size_bytes, *at = text, *place, *after;
    for (size_t i = 0; i < f->hunk_count; i++) {
        const hunk  *h = &p->hunks[f->first_hunk + i];
        const size_t line = 1 + count_lines(text, at);
        ENX_TRY(find_place(h, i + 1, at, line, end, &place, report));
        const bool is_open = place == end && place > at && place[-1] != '\n';
        if (enx_buf_append(out, at, (size_t)(place - at)) != ENX_OK ||
            (is_open && enx_buf_append(out, "\n", 1) != ENX_OK) ||
            append_new_lines(h, out) != ENX_OK)
            return ENX_FAIL(report, LIMIT, "the patched file is too large");
        at = fits(h, place, end, &after) ? after : place;
    }
    if (enx_buf_append(out, at, (size_t)(end - at)) != ENX_OK)
        return ENX_FAIL(report, LIMIT, "the patched file is too large");
    return ENX_OK;
}
