/* SPDX-License-Identifier: Apache-2.0 */
/* features.c - what is seen around an edit.
 *
 * Every feature is a hash of its template's number, of what the edit does (with the language), and
 * of what is seen.  All contexts are read in the edited text: `left` is where the edit begins,
 * `right` where what was inserted ends.
 */
#include "repair/rank.h"

#include <string.h>

enum {
    TOKENS = 6, /* that are seen on each side */
    CLASS_WORD = 'a',
    CLASS_NUMBER = '0',
    CLASS_END = 1,
};

typedef struct token {
    uint32_t name; /* hash of its text */
    uint32_t kind; /* a mark, a keyword's hash, or CLASS_... */
} token;

typedef struct viewer {
    uint32_t       *out;
    uint32_t        count;
    uint64_t        op; /* what the edit does, in which language */
    const char     *text;
    uint32_t        size, left, right;
    const enx_scan *scan;
    token           before[TOKENS], after[TOKENS]; /* nearest first */
} viewer;

static uint64_t mix(uint64_t h, uint64_t value)
{
    h = (h ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

static uint64_t mix_bytes(uint64_t h, const char *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) h = mix(h, (uint8_t)bytes[i]);
    return h;
}

/* Without the edit: only what it makes and where. */
static void see_bare(viewer *v, uint32_t number, uint64_t what)
{
    if (v->count == ENX_RANK_FEATURES_MAX) return;
    v->out[v->count++] = (uint32_t)(mix(mix(what, number), 77) >> (64 - ENX_RANK_WEIGHTS_LOG2));
}

static void see(viewer *v, uint32_t number, uint64_t what)
{
    see_bare(v, number, mix(v->op, what));
}

/* ---- Characters ----------------------------------------------------------------------------- */

static uint64_t before_bytes(const viewer *v, uint32_t at, uint32_t count)
{
    const uint32_t have = at < count ? at : count;
    return mix_bytes(have, v->text + at - have, have);
}

static uint64_t after_bytes(const viewer *v, uint32_t at, uint32_t count)
{
    const uint32_t left = v->size - at, have = left < count ? left : count;
    return mix_bytes(have, v->text + at, have);
}

static void see_characters(viewer *v)
{
    static const uint8_t spans[][2] = { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 }, { 5, 0 }, { 7, 0 },
                                        { 0, 1 }, { 0, 2 }, { 0, 3 }, { 0, 4 }, { 0, 5 }, { 0, 7 },
                                        { 1, 1 }, { 2, 1 }, { 1, 2 }, { 2, 2 }, { 3, 2 }, { 2, 3 },
                                        { 3, 3 }, { 4, 4 }, { 5, 1 }, { 1, 5 }, { 4, 2 }, { 2, 4 },
                                        { 6, 3 }, { 3, 6 } };
    for (uint32_t i = 0; i < sizeof spans / sizeof *spans; i++)
        see(v, 100 + i,
            mix(before_bytes(v, v->left, spans[i][0]), after_bytes(v, v->right, spans[i][1])));
}

/* ---- Tokens --------------------------------------------------------------------------------- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80) || c == '$';
}

static bool is_keyword(const char *word, uint32_t size)
{
    static const char words[] =
        " and as assert async await break case catch class const continue def del do elif else "
        "except extern finally for from function global goto if import in int is lambda let new "
        "None nonlocal not null or pass raise return self sizeof static struct switch this throw "
        "True False true false try typeof var void while with yield char ";
    if (size > 12) return false;
    char key[16] = " ";
    memcpy(key + 1, word, size);
    memcpy(key + 1 + size, " ", 2);
    return strstr(words, key) != NULL;
}

static token token_of(const viewer *v, uint32_t from, uint32_t to)
{
    const char    *text = v->text + from;
    const uint32_t size = to - from, name = (uint32_t)(mix_bytes(size, text, size) >> 32);
    uint32_t       kind = (uint8_t)text[0];
    if (text[0] >= '0' && text[0] <= '9') kind = CLASS_NUMBER;
    else if (is_word(text[0])) kind = is_keyword(text, size) ? name | 256 : CLASS_WORD;
    return (token){ .name = name, .kind = kind };
}

/* Spaces within a line are no tokens, but a line's end is, with its indentation left out. */
static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static void read_before(viewer *v, uint32_t at, token out[TOKENS])
{
    for (int n = 0; n < TOKENS; n++) {
        while (at > 0 && is_blank(v->text[at - 1])) at--;
        if (at == 0) {
            out[n] = (token){ .name = CLASS_END, .kind = CLASS_END };
            continue;
        }
        uint32_t from = at - 1;
        while (from > 0 && is_word(v->text[at - 1]) && is_word(v->text[from - 1])) from--;
        out[n] = token_of(v, from, at);
        at = from;
    }
}

static void read_after(viewer *v, uint32_t at, token out[TOKENS])
{
    for (int n = 0; n < TOKENS; n++) {
        while (at < v->size && is_blank(v->text[at])) at++;
        if (at >= v->size) {
            out[n] = (token){ .name = CLASS_END, .kind = CLASS_END };
            continue;
        }
        uint32_t to = at + 1;
        while (to < v->size && is_word(v->text[at]) && is_word(v->text[to])) to++;
        out[n] = token_of(v, at, to);
        at = to;
    }
}

static uint64_t kinds(const token *tokens, uint32_t count)
{
    uint64_t h = count;
    for (uint32_t i = 0; i < count; i++) h = mix(h, tokens[i].kind);
    return h;
}

static uint64_t names(const token *tokens, uint32_t count)
{
    uint64_t h = count;
    for (uint32_t i = 0; i < count; i++) h = mix(h, tokens[i].name);
    return h;
}

static void see_tokens(viewer *v)
{
    static const uint8_t spans[][2] = {
        { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 }, { 6, 0 }, { 0, 1 }, { 0, 2 }, { 0, 3 }, { 0, 4 },
        { 0, 6 }, { 1, 1 }, { 2, 1 }, { 1, 2 }, { 2, 2 }, { 3, 3 }, { 4, 2 }, { 2, 4 }, { 4, 4 }
    };
    for (uint32_t i = 0; i < sizeof spans / sizeof *spans; i++)
        see(v, 200 + i, mix(kinds(v->before, spans[i][0]), kinds(v->after, spans[i][1])));
    static const uint8_t words[][2] = { { 1, 0 }, { 2, 0 }, { 0, 1 }, { 0, 2 }, { 1, 1 },
                                        { 2, 1 }, { 1, 2 }, { 3, 0 }, { 0, 3 } };
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++)
        see(v, 230 + i, mix(names(v->before, words[i][0]), names(v->after, words[i][1])));
    const bool is_joined = v->left > 0 && is_word(v->text[v->left - 1]);
    const bool is_followed = v->right < v->size && is_word(v->text[v->right]);
    see(v, 240, (uint64_t)is_joined << 1 | is_followed);
    const bool has_space = v->left > 0 && is_blank(v->text[v->left - 1]);
    const bool has_space_after = v->right < v->size && is_blank(v->text[v->right]);
    see(v, 241,
        mix(mix(v->before[0].kind, v->after[0].kind), (uint64_t)has_space << 1 | has_space_after));
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static uint32_t line_start(const viewer *v, uint32_t at)
{
    while (at > 0 && v->text[at - 1] != '\n') at--;
    return at;
}

static uint32_t next_line(const viewer *v, uint32_t at)
{
    while (at < v->size && v->text[at] != '\n') at++;
    return at < v->size ? at + 1 : at;
}

static uint32_t indent_at(const viewer *v, uint32_t start)
{
    uint32_t n = 0;
    while (start + n < v->size && v->text[start + n] == ' ') n++;
    return n;
}

static uint32_t compare(uint32_t a, uint32_t b)
{
    return a < b ? 0 : a == b ? 1 : a == b + 4 || a == b + 2 ? 2 : 3;
}

static void see_line(viewer *v, bool is_indent)
{
    const uint32_t start = line_start(v, v->left), next = next_line(v, v->right);
    const uint32_t indent = indent_at(v, start);
    token          first[TOKENS], below[TOKENS];
    read_after(v, start, first);
    read_after(v, next, below);
    const uint32_t last = start > 0 ? line_start(v, start - 1) : 0;
    const uint32_t step = next < v->size ? compare(indent_at(v, next), indent) : 4;
    const uint32_t rise = start > 0 ? compare(indent, indent_at(v, last)) : 4;
    const bool     is_end = v->after[0].kind == '\n' || v->after[0].kind == CLASS_END;
    see(v, 300, mix(first[0].kind, is_end));
    see(v, 301, mix(step, is_end));
    see(v, 302, mix(mix(first[0].kind, step), is_end));
    see(v, 303, mix(mix(first[0].kind, first[1].kind), is_end));
    see(v, 304, mix(below[0].kind, is_end));
    see(v, 305, mix(mix(v->before[0].kind, below[0].kind), is_end));
    see(v, 306, mix(mix(first[0].kind, v->after[0].kind), v->before[0].kind));
    if (!is_indent) return;
    token above[TOKENS];
    read_before(v, start > 0 ? start - 1 : 0, above);
    see(v, 310, mix(mix(above[0].kind, rise), step));
    see(v, 311, mix(mix(above[0].kind, rise), first[0].kind));
    see(v, 312, mix(rise, indent % 4));
    see(v, 313, mix(mix(rise, step), first[0].kind));
}

/* ---- Brackets and strings ------------------------------------------------------------------- */

static uint32_t bucket(uint32_t n)
{
    return n < 4 ? n : n < 8 ? 4 : n < 16 ? 5 : n < 32 ? 6 : n < 64 ? 7 : n < 128 ? 8 : 9;
}

/* Commas of text[from..to) that are in no bracket but the one around `from`. */
static uint32_t commas(const viewer *v, uint32_t from, uint32_t to)
{
    uint32_t count = 0;
    for (uint32_t i = from; i < to; i++)
        count += v->text[i] == ',' && v->scan->inside[i] == ENX_INSIDE_CODE &&
                 v->scan->opener[i] == v->scan->opener[from];
    return count < 4 ? count : 4;
}

static bool has_line_end(const viewer *v, uint32_t from, uint32_t to)
{
    return memchr(v->text + from, '\n', to - from) != NULL;
}

static void see_around(viewer *v)
{
    const int16_t open = v->scan->opener[v->left];
    const uint8_t inside = v->left < v->size ? v->scan->inside[v->left] : 0;
    if (open < 0) {
        see(v, 400, inside);
        return;
    }
    token          callee[TOKENS];
    const uint32_t at = (uint32_t)open, mark = (uint8_t)v->text[at];
    read_before(v, at, callee);
    const uint32_t count = commas(v, at + 1, v->left);
    const bool     is_line = !has_line_end(v, at, v->left);
    see(v, 401, mix(mark, inside));
    see(v, 402, mix(mark, callee[0].kind));
    see(v, 403, mix(mark, callee[0].name));
    see(v, 404, mix(mix(mark, count), is_line));
    see(v, 405, mix(mix(mark, callee[0].name), count));
    see(v, 406, mix(mix(mark, callee[0].name), v->after[0].kind));
    see(v, 407, mix(mix(mark, v->before[0].kind), v->after[0].kind));
    see(v, 408, mix(mark, bucket(v->left - at)));
}

/* Of a pair with text[open] and text[close], one of them made by the edit. */
static void see_pair(viewer *v, uint32_t open, uint32_t close)
{
    const uint32_t from = open + 1, length = close > from ? close - from : 0;
    token          ahead[TOKENS], behind[TOKENS], first[TOKENS], last[TOKENS];
    read_before(v, open, ahead);
    read_after(v, close + 1, behind);
    read_after(v, from, first);
    read_before(v, close, last);
    const bool     is_line = !has_line_end(v, open, close);
    const uint32_t count = commas(v, from < v->size ? from : open, close);
    see(v, 420, mix(bucket(length), is_line));
    see(v, 421, mix(ahead[0].kind, behind[0].kind));
    see(v, 422, mix(mix(ahead[0].kind, first[0].kind), mix(last[0].kind, behind[0].kind)));
    see(v, 423, mix(mix(ahead[0].name, count), length == 0));
    see(v, 424, mix(ahead[0].name, bucket(length)));
    see(v, 425, mix(ahead[0].name, behind[0].kind));
    see(v, 426, mix(kinds(ahead, 2), kinds(behind, 2)));
    see(v, 427, mix(count, mix(ahead[0].kind, is_line)));
    see(v, 428, mix(before_bytes(v, open, 2), after_bytes(v, close + 1, 2)));
    see(v, 429, mix(before_bytes(v, close, 2), after_bytes(v, from, 2)));
    see(v, 430, mix(last[0].kind, behind[0].kind));
    see(v, 431, mix(kinds(first, 2), kinds(last, 2)));
    see(v, 432, mix(v->text[open] == v->text[close] ? bucket(length) : 99, behind[0].kind));
    see(v, 433, mix(mix(ahead[0].name, first[0].kind), last[0].kind));
}

static void see_structure(viewer *v, const enx_edit *edit)
{
    see_around(v);
    if (edit->insert_bytes != 1) return;
    const int16_t partner = v->scan->partner[v->left];
    if (partner < 0) {
        see(v, 434, v->scan->inside[v->left]);
        return;
    }
    const uint32_t other = (uint32_t)partner;
    see(v, 435, other < v->left);
    if (other != v->left)
        see_pair(v, other < v->left ? other : v->left, other < v->left ? v->left : other);
}

/* ---- The complaint -------------------------------------------------------------------------- */

static uint32_t distance(uint32_t a, uint32_t b)
{
    return a >= b ? 32 + bucket(a - b) : bucket(b - a);
}

static uint32_t lines_between(const viewer *v, uint32_t a, uint32_t b)
{
    const uint32_t from = a < b ? a : b, to = a < b ? b : a;
    uint32_t       count = 0;
    for (uint32_t i = from; i < to && i < v->size; i++) count += v->text[i] == '\n';
    return (count < 4 ? count : 4) + (a < b ? 0 : 8);
}

static void see_complaint(viewer *v, const enx_complaint *complaint)
{
    see(v, 500, complaint->what);
    if (complaint->at < 0) return;
    const uint32_t at = (uint32_t)complaint->at, far = distance(v->left, at);
    const uint32_t lines = lines_between(v, v->left, at);
    see(v, 501, far);
    see(v, 502, lines);
    see(v, 503, mix(complaint->what, far));
    see(v, 504, mix(complaint->what, lines));
    see(v, 505, mix(mix(complaint->what, far), mix(v->before[0].kind, v->after[0].kind)));
}

uint32_t enx_complaint_hash(const char *words)
{
    uint64_t h = 1;
    for (const char *c = words; *c; c++) {
        const bool is_name = *c == '\'' && is_word(c[1]) && strchr(c + 1, '\'');
        if (is_name) c = strchr(c + 1, '\'');
        else if (!(*c >= '0' && *c <= '9')) h = mix(h, (uint8_t)*c);
    }
    return words[0] ? (uint32_t)(h >> 32) | 1 : 0;
}

enx_complaint enx_complaint_place(const char *text, uint32_t size_bytes, uint32_t line,
                                  uint32_t column, const char *words)
{
    enx_complaint out = { .at = -1, .what = enx_complaint_hash(words) };
    uint32_t      at = 0;
    if (line == 0) return out;
    for (uint32_t i = 1; i < line && at < size_bytes; i++) {
        while (at < size_bytes && text[at] != '\n') at++;
        if (at < size_bytes) at++;
    }
    at += column > 0 ? column - 1 : 0;
    out.at = (int32_t)(at < size_bytes ? at : size_bytes);
    return out;
}

/* What is done: kind, mark made, mark gone, and whether the gone one stands beside its like. */
static uint64_t op_of(enx_code code, const char *text, uint32_t size, const enx_edit *edit)
{
    const bool is_mark = edit->insert_bytes <= 1 && edit->remove <= 1 &&
                         !(edit->insert_bytes == 1 && edit->insert[0] == ' ') &&
                         !(edit->remove == 1 && text[edit->at] == ' ');
    const uint32_t next = edit->at + edit->remove;
    if (!is_mark) return mix(code, 900);
    uint64_t   op = mix(mix(code, edit->insert_bytes ? (uint8_t)edit->insert[0] : 0),
                      edit->remove ? (uint8_t)text[edit->at] : 0);
    const bool is_double = edit->remove && next < size && text[next] == text[edit->at];
    return mix(op, is_double);
}

uint32_t enx_rank_features(uint32_t out[ENX_RANK_FEATURES_MAX], enx_code code, const char *text,
                           uint32_t size_bytes, const enx_complaint *complaint,
                           const enx_edit *edit, enx_scan *scratch)
{
    char       edited[ENX_WINDOW_BYTES_MAX];
    viewer     v = { .out = out,
                     .op = op_of(code, text, size_bytes, edit),
                     .text = edited,
                     .size = enx_edit_apply(edited, text, size_bytes, edit),
                     .left = edit->at,
                     .right = edit->at + edit->insert_bytes,
                     .scan = scratch };
    const bool is_indent = v.op == mix(code, 900);
    enx_scan_text(scratch, code, edited, v.size);
    read_before(&v, v.left, v.before);
    read_after(&v, v.right, v.after);
    see(&v, 1, 0);
    see_bare(&v, 2, mix(code, edit->insert_bytes > 0) * 2 + (edit->remove > 0));
    see_characters(&v);
    see_tokens(&v);
    see_line(&v, is_indent);
    see_structure(&v, edit);
    see_complaint(&v, complaint);
    return v.count;
}
