/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c - one pass with a stack of open brackets. */
#include "repair/scan.h"

#include "base/check.h"

#include <string.h>

typedef struct scanner {
    enx_scan   *out;
    enx_code    code;
    const char *text;
    uint32_t    size;
    int16_t     stack[ENX_SCAN_DEPTH_MAX];
    uint32_t    depth;
    char        last; /* the last byte of code that is not white space */
} scanner;

static int16_t top(const scanner *s) { return s->depth ? s->stack[s->depth - 1] : (int16_t)-1; }

static void mark(scanner *s, uint32_t from, uint32_t to, uint8_t inside)
{
    for (uint32_t i = from; i < to; i++) {
        s->out->inside[i] = inside;
        s->out->partner[i] = -1;
        s->out->opener[i] = top(s);
    }
}

static bool begins(const scanner *s, uint32_t at, const char *what)
{
    const size_t size = strlen(what);
    return at + size <= s->size && memcmp(s->text + at, what, size) == 0;
}

static uint32_t line_end(const scanner *s, uint32_t at)
{
    while (at < s->size && s->text[at] != '\n') at++;
    return at;
}

/* Where the comment at `at` ends; `at`: there is none. */
static uint32_t comment_end(const scanner *s, uint32_t at)
{
    if (s->code == ENX_CODE_PYTHON) return s->text[at] == '#' ? line_end(s, at) : at;
    if (s->code == ENX_CODE_JSON) return at;
    if (begins(s, at, "//")) return line_end(s, at);
    if (!begins(s, at, "/*")) return at;
    for (uint32_t i = at + 2; i + 1 < s->size; i++)
        if (s->text[i] == '*' && s->text[i + 1] == '/') return i + 2;
    return s->size;
}

static bool is_quote(const scanner *s, char c)
{
    return c == '"' || (c == '\'' && s->code != ENX_CODE_JSON) ||
           (c == '`' && s->code == ENX_CODE_JS);
}

/* Whether a slash begins a pattern in JavaScript: nothing that could be divided is before it. */
static bool is_pattern(const scanner *s, uint32_t at)
{
    return s->code == ENX_CODE_JS && s->text[at] == '/' &&
           (s->last == '\0' || strchr("(,=:[!&|?{};+", s->last));
}

/* Past the string that begins at `at`. */
static uint32_t scan_string(scanner *s, uint32_t at)
{
    const char quote = s->text[at];
    const bool is_triple = s->code == ENX_CODE_PYTHON && at + 2 < s->size &&
                           s->text[at + 1] == quote && s->text[at + 2] == quote;
    const uint32_t width = is_triple ? 3 : 1;
    const bool     has_lines = is_triple || quote == '`';
    bool           is_class = false; /* within [] of a pattern */
    uint32_t       i = at + width;
    for (; i < s->size; i++) {
        if (s->text[i] == '\\' && i + 1 < s->size) {
            i++;
            continue;
        }
        if (s->text[i] == '\n' && !has_lines) break;
        if (quote == '/') is_class = s->text[i] == '[' || (is_class && s->text[i] != ']');
        if (s->text[i] != quote || is_class) continue;
        if (is_triple && !(i + 2 < s->size && s->text[i + 1] == quote && s->text[i + 2] == quote))
            continue;
        mark(s, at, i + width, ENX_INSIDE_STRING);
        s->out->partner[at] = (int16_t)(i + width - 1);
        s->out->partner[i + width - 1] = (int16_t)at;
        return i + width;
    }
    if (i > s->size) i = s->size;
    mark(s, at, i, ENX_INSIDE_STRING);
    s->out->faults++;
    s->out->string_faults++;
    return i;
}

static int kind_of(char bracket)
{
    return bracket == '(' || bracket == ')' ? 0 : bracket == '[' || bracket == ']' ? 1 : 2;
}

static char opener_of(char closer) { return closer == ')' ? '(' : closer == ']' ? '[' : '{'; }

/* A closing bracket of another kind than the open one closes nothing. */
static void scan_bracket(scanner *s, uint32_t at)
{
    const char c = s->text[at];
    if (c == '(' || c == '[' || c == '{') {
        s->out->surplus[kind_of(c)]++;
        if (s->depth == ENX_SCAN_DEPTH_MAX) s->out->faults++;
        else s->stack[s->depth++] = (int16_t)at;
        return;
    }
    const int16_t open = top(s);
    s->out->surplus[kind_of(c)]--;
    if (open < 0 || s->text[open] != opener_of(c)) {
        s->out->faults++;
        return;
    }
    s->out->partner[at] = open;
    s->out->partner[open] = (int16_t)at;
    s->depth--;
}

void enx_scan_text(enx_scan *out, enx_code code, const char *text, uint32_t size_bytes)
{
    ENX_CHECK(size_bytes <= ENX_WINDOW_BYTES_MAX);
    scanner s = { .out = out, .code = code, .text = text, .size = size_bytes };
    out->faults = out->string_faults = 0;
    memset(out->surplus, 0, sizeof out->surplus);
    for (uint32_t at = 0; at < size_bytes;) {
        const char     c = text[at];
        const uint32_t after = comment_end(&s, at);
        if (after > at) {
            mark(&s, at, after, ENX_INSIDE_COMMENT);
            at = after;
        } else if (is_quote(&s, c) || is_pattern(&s, at)) {
            at = scan_string(&s, at);
            s.last = c;
        } else {
            mark(&s, at, at + 1, ENX_INSIDE_CODE);
            if (c && strchr("()[]{}", c)) scan_bracket(&s, at);
            if (c != ' ' && c != '\n' && c != '\t') s.last = c;
            at++;
        }
    }
    out->opener[size_bytes] = top(&s);
    out->faults += s.depth;
}
