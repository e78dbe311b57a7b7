/* SPDX-License-Identifier: Apache-2.0 */
/* schema_pattern.c - regular expressions (ECMA-262) as expressions over strings of JSON.
 *
 * A character of the expression becomes what JSON writes for it: itself, or one of the short
 * escapes \" \\ \b \f \n \r \t.  Other control characters are left out of every set.
 */
#include "text/schema_impl.h"

#include <string.h>
#include <utf8proc.h>

enum { RANGES_MAX = 128, NEST_MAX = 32, CODE_POINT_MAX = 0x10FFFF };

#define ANY_CHARACTER "character"

typedef struct range {
    uint32_t first, last;
} range;

typedef struct set {
    range    ranges[RANGES_MAX];
    unsigned count;
    bool     is_negated;
} set;

typedef struct reader {
    enx_schema_writer *w;
    const char        *pattern, *at;
    enx_buf           *body;
    int                depth;
} reader;

static const range digits[] = { { '0', '9' } };
static const range no_digits[] = { { 0, '/' }, { ':', CODE_POINT_MAX } };
static const range words[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
static const range no_words[] = {
    { 0, '/' }, { ':', '@' }, { '[', '^' }, { '`', '`' }, { '{', CODE_POINT_MAX }
};
static const range spaces[] = { { 9, 13 },          { ' ', ' ' },       { 0xA0, 0xA0 },
                                { 0x1680, 0x1680 }, { 0x2000, 0x200A }, { 0x2028, 0x2029 },
                                { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 },
                                { 0xFEFF, 0xFEFF } };
static const range no_spaces[] = { { 0, 8 },
                                   { 14, 31 },
                                   { '!', 0x9F },
                                   { 0xA1, 0x167F },
                                   { 0x1681, 0x1FFF },
                                   { 0x200B, 0x2027 },
                                   { 0x202A, 0x202E },
                                   { 0x2030, 0x205E },
                                   { 0x2060, 0x2FFF },
                                   { 0x3001, 0xFEFE },
                                   { 0xFF00, CODE_POINT_MAX } };
static const range line_ends[] = { { '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 } };

#define COUNT(ranges) (sizeof(ranges) / sizeof *(ranges))

static enx_status fail(const reader *r, enx_status status, const char *what)
{
    return enx_schema_fail(r->w, status, __FILE__, __LINE__, "pattern, at character %zu: %s",
                           (size_t)(r->at - r->pattern) + 1, what);
}

static enx_status add_ranges(const reader *r, set *s, const range *ranges, size_t count)
{
    if (s->count + count > RANGES_MAX) return fail(r, ENX_LIMIT, "too many ranges in one class");
    memcpy(s->ranges + s->count, ranges, count * sizeof *ranges);
    s->count += (unsigned)count;
    return ENX_OK;
}

static bool has(const set *s, uint32_t point)
{
    for (unsigned i = 0; i < s->count; i++)
        if (point >= s->ranges[i].first && point <= s->ranges[i].last) return !s->is_negated;
    return s->is_negated;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static const range never_plain[] = { { 0, 0x1F }, { '"', '"' }, { '\\', '\\' } };

/* What is left of the range without those that JSON escapes, for inside of a class. */
static enx_status write_plain(enx_buf *body, range whole)
{
    uint32_t from = whole.first;
    for (size_t i = 0; i <= COUNT(never_plain) && from <= whole.last; i++) {
        const bool     is_end = i == COUNT(never_plain);
        const uint32_t stop = is_end ? CODE_POINT_MAX + 1u : never_plain[i].first;
        const uint32_t last = stop == 0 || whole.last < stop ? whole.last : stop - 1;
        if (stop > from) ENX_TRY(enx_buf_printf(body, "\\U%08X-\\U%08X", from, last));
        if (!is_end && from <= never_plain[i].last) from = never_plain[i].last + 1;
    }
    return ENX_OK;
}

/* Write one character of the set, with the escapes for those of it that need them. */
static enx_status write_set(const reader *r, const set *s)
{
    static const struct {
        uint32_t    point;
        const char *escape;
    } escapes[] = { { '"', "\\\\\\\"" }, { '\\', "\\\\\\\\" }, { '\b', "\\\\b" }, { '\f', "\\\\f" },
                    { '\n', "\\\\n" },   { '\r', "\\\\r" },    { '\t', "\\\\t" } };
    enx_buf plain;
    enx_buf_init(&plain, r->body->max_bytes);
    enx_status status = ENX_OK;
    for (unsigned i = 0; i < s->count && status == ENX_OK; i++)
        status = write_plain(&plain, s->ranges[i]);
    bool is_first = true;
    if (status == ENX_OK) status = enx_buf_append_text(r->body, "(");
    if (status == ENX_OK && (s->is_negated || plain.size_bytes > 0)) {
        status = enx_buf_printf(r->body, "[%s%s]", s->is_negated ? "^\\x00-\\x1F\\x22\\x5C" : "",
                                enx_buf_text(&plain));
        is_first = false;
    }
    enx_buf_deinit(&plain);
    for (size_t i = 0; i < COUNT(escapes) && status == ENX_OK; i++) {
        if (!has(s, escapes[i].point)) continue;
        status = enx_buf_printf(r->body, "%s\"%s\"", is_first ? "" : " | ", escapes[i].escape);
        is_first = false;
    }
    ENX_TRY(status);
    if (is_first) return fail(r, ENX_INVALID, "no character of JSON is in this class");
    return enx_buf_append_text(r->body, ")");
}

static enx_status write_point(const reader *r, uint32_t point)
{
    const set one = { .ranges = { { point, point } }, .count = 1 };
    return write_set(r, &one);
}

/* ---- Reading -------------------------------------------------------------------------------- */

static enx_status read_hex(reader *r, int count, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < count; i++, r->at++) {
        const char c = *r->at, lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9') *out = *out * 16 + (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f') *out = *out * 16 + (uint32_t)(lower - 'a' + 10);
        else return fail(r, ENX_FORMAT, "a hexadecimal digit is expected");
    }
    return ENX_OK;
}

/* \u with four digits, two of them for what lies beyond, or \u{…}. */
static enx_status read_unicode(reader *r, uint32_t *out)
{
    if (*r->at == '{') {
        const size_t count = strspn(r->at + 1, "0123456789abcdefABCDEF");
        if (count == 0 || count > 6 || r->at[count + 1] != '}')
            return fail(r, ENX_FORMAT, "\\u{1 to 6 hexadecimal digits} is expected");
        r->at++;
        ENX_TRY(read_hex(r, (int)count, out));
        r->at++;
    } else {
        ENX_TRY(read_hex(r, 4, out));
        if (*out >= 0xD800 && *out <= 0xDBFF && r->at[0] == '\\' && r->at[1] == 'u') {
            uint32_t low;
            r->at += 2;
            ENX_TRY(read_hex(r, 4, &low));
            if (low < 0xDC00 || low > 0xDFFF) return fail(r, ENX_FORMAT, "half a character");
            *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
        }
    }
    if (*out > CODE_POINT_MAX || (*out >= 0xD800 && *out <= 0xDFFF))
        return fail(r, ENX_FORMAT, "no such character");
    return ENX_OK;
}

/* After a backslash: one character into *point, or a whole set, when *is_set. */
static enx_status read_escape(reader *r, set *s, uint32_t *point, bool *is_set)
{
    static const char letters[] = "fnrtv0", meanings[] = "\f\n\r\t\v";
    const char        c = *r->at;
    *is_set = c != '\0' && strchr("dDwWsS", c);
    if (c == 'd') ENX_TRY(add_ranges(r, s, digits, COUNT(digits)));
    if (c == 'D') ENX_TRY(add_ranges(r, s, no_digits, COUNT(no_digits)));
    if (c == 'w') ENX_TRY(add_ranges(r, s, words, COUNT(words)));
    if (c == 'W') ENX_TRY(add_ranges(r, s, no_words, COUNT(no_words)));
    if (c == 's') ENX_TRY(add_ranges(r, s, spaces, COUNT(spaces)));
    if (c == 'S') ENX_TRY(add_ranges(r, s, no_spaces, COUNT(no_spaces)));
    if (c == '\0') return fail(r, ENX_FORMAT, "a backslash at the end");
    r->at++;
    if (*is_set) return ENX_OK;
    const char *letter = strchr(letters, c);
    if (letter) *point = (uint8_t)meanings[letter - letters];
    else if (c == 'x') return read_hex(r, 2, point);
    else if (c == 'u') return read_unicode(r, point);
    else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '1' && c <= '9')) {
        r->at--;
        return fail(r, ENX_UNSUPPORTED,
                    "this escape is not supported; those of characters are, and \\d \\w \\s \\D "
                    "\\W \\S");
    } else *point = (uint8_t)c;
    return ENX_OK;
}

static enx_status read_point(reader *r, uint32_t *point)
{
    utf8proc_int32_t       value;
    const utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)r->at, (utf8proc_ssize_t)strlen(r->at), &value);
    if (used <= 0) return fail(r, ENX_FORMAT, "this is not UTF-8");
    r->at += used;
    *point = (uint32_t)value;
    return ENX_OK;
}

static enx_status read_member(reader *r, set *s, uint32_t *point, bool *is_set)
{
    *is_set = false;
    if (*r->at != '\\') return read_point(r, point);
    r->at++;
    if (*r->at != 'b') return read_escape(r, s, point, is_set);
    r->at++;
    *point = '\b'; /* in a class only */
    return ENX_OK;
}

static enx_status read_class(reader *r)
{
    set s = { .is_negated = r->at[1] == '^' };
    r->at += s.is_negated ? 2 : 1;
    while (*r->at != ']') {
        uint32_t first, last;
        bool     is_set, is_last_set = false;
        if (*r->at == '\0') return fail(r, ENX_FORMAT, "] is expected");
        ENX_TRY(read_member(r, &s, &first, &is_set));
        if (is_set) continue;
        last = first;
        if (r->at[0] == '-' && r->at[1] != ']' && r->at[1] != '\0') {
            r->at++;
            ENX_TRY(read_member(r, &s, &last, &is_last_set));
        }
        if (is_last_set) return fail(r, ENX_FORMAT, "a range ends with one character");
        if (last < first) return fail(r, ENX_FORMAT, "a range runs backwards");
        ENX_TRY(add_ranges(r, &s, &(range){ first, last }, 1));
    }
    r->at++;
    return write_set(r, &s);
}

static enx_status read_alternatives(reader *r);

static enx_status read_group(reader *r)
{
    if (r->depth == NEST_MAX) return fail(r, ENX_LIMIT, "too many ( inside each other");
    r->at++;
    if (*r->at == '?') {
        const char *name_end = r->at[1] == '<' ? strchr(r->at, '>') : NULL;
        if (r->at[1] == ':') r->at += 2;
        else if (name_end && r->at[2] != '=' && r->at[2] != '!') r->at = name_end + 1;
        else return fail(r, ENX_UNSUPPORTED, "looking ahead and behind is not supported");
    }
    r->depth++;
    ENX_TRY(enx_buf_append_text(r->body, "("));
    ENX_TRY(read_alternatives(r));
    if (*r->at != ')') return fail(r, ENX_FORMAT, ") is expected");
    r->at++;
    r->depth--;
    return enx_buf_append_text(r->body, ")");
}

static enx_status read_atom(reader *r)
{
    const char c = *r->at;
    uint32_t   point = 0;
    bool       is_set = false;
    set        s = { .count = 0 };
    if (c == '(') return read_group(r);
    if (c == '[') return read_class(r);
    if (strchr("*+?{", c)) return fail(r, ENX_FORMAT, "nothing stands before the repetition");
    if (c == '^' || c == '$')
        return fail(r, ENX_UNSUPPORTED, "^ and $ are supported at the ends of the whole only");
    if (c == '.') {
        r->at++;
        s.is_negated = true;
        ENX_TRY(add_ranges(r, &s, line_ends, COUNT(line_ends)));
        return write_set(r, &s);
    }
    if (c != '\\') {
        ENX_TRY(read_point(r, &point));
        return write_point(r, point);
    }
    r->at++;
    ENX_TRY(read_escape(r, &s, &point, &is_set));
    return is_set ? write_set(r, &s) : write_point(r, point);
}

/* The repetitions of both notations are spelled alike. */
static enx_status read_repetition(reader *r)
{
    size_t size_bytes = strspn(r->at, "*+?") ? 1 : 0;
    if (*r->at == '{') {
        const size_t least = strspn(r->at + 1, "0123456789");
        size_bytes = 1 + least;
        if (r->at[size_bytes] == ',')
            size_bytes += 1 + strspn(r->at + size_bytes + 1, "0123456789");
        if (least == 0 || r->at[size_bytes] != '}')
            return fail(r, ENX_FORMAT, "{N}, {N,} or {N,M} is expected");
        size_bytes++;
    }
    if (size_bytes == 0) return ENX_OK;
    ENX_TRY(enx_buf_append(r->body, r->at, size_bytes));
    r->at += size_bytes;
    if (*r->at == '?') r->at++; /* as few as possible: the same texts */
    if (*r->at != '\0' && strchr("*+?{", *r->at))
        return fail(r, ENX_FORMAT, "a repetition of a repetition");
    return ENX_OK;
}

/* One alternative; at the outermost level what is not tied to an end may be anywhere. */
static enx_status read_sequence(reader *r)
{
    const bool is_whole = r->depth == 0, is_tied = is_whole && *r->at == '^';
    r->at += is_tied;
    ENX_TRY(enx_buf_append_text(r->body, is_whole && !is_tied ? ANY_CHARACTER "* " : "\"\" "));
    while (*r->at != '\0' && *r->at != '|' && *r->at != ')') {
        if (is_whole && *r->at == '$' && (r->at[1] == '\0' || r->at[1] == '|')) {
            r->at++;
            return ENX_OK;
        }
        ENX_TRY(read_atom(r));
        ENX_TRY(read_repetition(r));
        ENX_TRY(enx_buf_append_text(r->body, " "));
    }
    return is_whole ? enx_buf_append_text(r->body, ANY_CHARACTER "*") : ENX_OK;
}

static enx_status read_alternatives(reader *r)
{
    for (;; r->at++) {
        ENX_TRY(read_sequence(r));
        if (*r->at != '|') return ENX_OK;
        ENX_TRY(enx_buf_append_text(r->body, " | "));
    }
}

enx_status enx_schema_add_pattern(enx_schema_writer *w, const char *pattern, enx_buf *body)
{
    reader r = { .w = w, .pattern = pattern, .at = pattern, .body = body };
    ENX_TRY(enx_buf_append_text(body, "("));
    ENX_TRY(read_alternatives(&r));
    if (*r.at == ')') return fail(&r, ENX_FORMAT, ") without (");
    return enx_buf_append_text(body, ")");
}
