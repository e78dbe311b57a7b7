/* SPDX-License-Identifier: Apache-2.0 */
/* edit.c - every edit of a stretch of text that could matter, kept while nothing better is found.
 *
 * What could matter follows from the scan: where a string does not end, an edit of quotes; else,
 * where brackets do not pair up, an edit that brings their numbers nearer to each other; else one
 * that leaves brackets alone, in code and not in strings or comments.
 */
#include "repair/edit.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

typedef struct lister {
    enx_edit   *out;
    uint32_t    max, count, faults;
    enx_code    code;
    const char *text;
    uint32_t    size;
    enx_scan   *scan;
    enx_scan    base; /* of the text as it is */
    char        edited[ENX_WINDOW_BYTES_MAX];
} lister;

const char *enx_edit_marks(enx_code code)
{
    static const char *const marks[ENX_CODE_COUNT] = {
        [ENX_CODE_PYTHON] = "()[]{}:,'\"",
        [ENX_CODE_C] = "()[]{}:,;'\"",
        [ENX_CODE_JS] = "()[]{}:,;'\"`",
        [ENX_CODE_JSON] = "[]{}:,\"",
    };
    return marks[code];
}

uint32_t enx_edit_apply(char *out, const char *text, uint32_t size_bytes, const enx_edit *edit)
{
    const uint32_t after = edit->at + edit->remove;
    memcpy(out, text, edit->at);
    memcpy(out + edit->at, edit->insert, edit->insert_bytes);
    memcpy(out + edit->at + edit->insert_bytes, text + after, size_bytes - after);
    return size_bytes - edit->remove + edit->insert_bytes;
}

static void keep(lister *l, const enx_edit *edit, uint32_t faults)
{
    if (faults > l->faults) return;
    if (faults < l->faults) l->count = 0;
    l->faults = faults;
    if (l->count < l->max) l->out[l->count++] = *edit;
}

static void consider(lister *l, enx_edit edit)
{
    if (l->base.faults == 0) {
        keep(l, &edit, 0);
        return;
    }
    const uint32_t size = enx_edit_apply(l->edited, l->text, l->size, &edit);
    enx_scan_text(l->scan, l->code, l->edited, size);
    keep(l, &edit, l->scan->faults);
}

static enx_edit edit_mark(uint32_t at, uint32_t remove, char insert)
{
    return (enx_edit){
        .at = at, .remove = remove, .insert_bytes = insert != '\0', .insert = { insert }
    };
}

enum weight { LIGHT, BRACKET, QUOTE }; /* what a mark can do to the scan */

static enum weight weight_of(char c)
{
    return c == '\0' ? LIGHT : strchr("'\"`", c) ? QUOTE : strchr("()[]{}", c) ? BRACKET : LIGHT;
}

static void count_bracket(int surplus[3], char c, int by)
{
    static const char brackets[] = "()[]{}";
    const char       *at = c ? strchr(brackets, c) : NULL;
    if (at) surplus[(at - brackets) / 2] += (at - brackets) % 2 ? -by : by;
}

static int amount(const int surplus[3])
{
    return abs(surplus[0]) + abs(surplus[1]) + abs(surplus[2]);
}

/* Whether what stands at `at`, or is inserted there (`is_there` false), is in a string or comment.
 */
static bool is_quiet(const lister *l, uint32_t at, bool is_there)
{
    if (at >= l->size || l->base.inside[at] == ENX_INSIDE_CODE) return false;
    return is_there || (at > 0 && l->base.inside[at - 1] == l->base.inside[at] &&
                        l->base.partner[at] <= (int32_t)at);
}

/* Whether changing `old` (0: nothing) into `new` (0: nothing) at `at` can matter. */
static bool is_worth(const lister *l, uint32_t at, char old, char new)
{
    const enum weight a = weight_of(old), b = weight_of(new);
    if (l->base.string_faults > 0 || a == QUOTE || b == QUOTE)
        return l->base.string_faults > 0 && (a == QUOTE || b == QUOTE);
    if (is_quiet(l, at, old != '\0')) return false;
    int surplus[3];
    memcpy(surplus, l->base.surplus, sizeof surplus);
    const int before = amount(surplus);
    count_bracket(surplus, old, -1);
    count_bracket(surplus, new, 1);
    if (before > 0) return amount(surplus) < before;
    return l->base.faults > 0 ? a == BRACKET || b == BRACKET : amount(surplus) == 0;
}

/* Inserting a mark before itself makes the text that inserting it behind does; so does removing
 * the first or the second of two. */
static void consider_marks(lister *l, uint32_t at, const char *marks)
{
    const char here = at < l->size ? l->text[at] : '\0', last = at > 0 ? l->text[at - 1] : '\0';
    const bool is_mark = here && strchr(marks, here);
    if (is_mark && last != here && is_worth(l, at, here, '\0')) consider(l, edit_mark(at, 1, '\0'));
    for (const char *m = marks; *m; m++) {
        if (is_mark && *m != here && is_worth(l, at, here, *m)) consider(l, edit_mark(at, 1, *m));
        if (last != *m && is_worth(l, at, '\0', *m)) consider(l, edit_mark(at, 0, *m));
    }
}

static uint32_t indent_of(const char *text, uint32_t size, uint32_t at)
{
    uint32_t n = 0;
    while (at + n < size && text[at + n] == ' ') n++;
    return n;
}

/* As the line before or after, one step more or less. */
static void consider_indents(lister *l, uint32_t start, uint32_t before)
{
    enum { STEPS = 5 };
    static const int steps[STEPS] = { 0, 4, -4, 2, -2 };
    const uint32_t   now = indent_of(l->text, l->size, start);
    if (start + now >= l->size || l->text[start + now] == '\n') return;
    for (int i = 0; i < STEPS; i++) {
        const int want = (int)before + steps[i];
        if (want < 0 || want == (int)now || want > ENX_EDIT_INSERT_MAX) continue;
        enx_edit edit = { .at = start, .remove = now, .insert_bytes = (uint8_t)want };
        memset(edit.insert, ' ', (size_t)want);
        consider(l, edit);
    }
}

uint32_t enx_edit_list(enx_edit *out, uint32_t max, uint32_t *faults, enx_code code,
                       const char *text, uint32_t size_bytes, uint32_t from, uint32_t to,
                       enx_scan *scratch)
{
    ENX_CHECK(size_bytes < ENX_WINDOW_BYTES_MAX - ENX_EDIT_INSERT_MAX && to <= size_bytes);
    lister   l = { .out = out,
                   .max = max,
                   .faults = UINT32_MAX,
                   .code = code,
                   .text = text,
                   .size = size_bytes,
                   .scan = scratch };
    uint32_t before = 0;
    enx_scan_text(&l.base, code, text, size_bytes);
    for (uint32_t at = from; at <= to; at++) {
        consider_marks(&l, at, enx_edit_marks(code));
        if (code != ENX_CODE_PYTHON || at == size_bytes || (at > 0 && text[at - 1] != '\n'))
            continue;
        consider_indents(&l, at, before);
        const uint32_t indent = indent_of(text, size_bytes, at);
        if (at + indent < size_bytes && text[at + indent] != '\n') before = indent;
    }
    *faults = l.faults;
    return l.count;
}
