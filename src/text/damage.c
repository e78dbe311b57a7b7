/* SPDX-License-Identifier: Apache-2.0 */
/* damage.c - the three losses, code point by code point. */
#include "text/damage.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

enum { PARTS_MAX = 16, SINK_BYTES = 512 };

/* One code point at `at`; invalid bytes come one by one as -1. */
static size_t next_point(const char *text, size_t size_bytes, size_t at, int32_t *point)
{
    if ((unsigned char)text[at] < 0x80) {
        *point = text[at];
        return 1;
    }
    utf8proc_int32_t       found;
    const utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                   (utf8proc_ssize_t)(size_bytes - at), &found);
    *point = used > 0 ? found : -1;
    return used > 0 ? (size_t)used : 1;
}

bool enx_damage_is_space(int32_t point)
{
    if (point < 0) return false;
    if (point < 0x80) return point == ' ' || (point >= '\t' && point <= '\r');
    return utf8proc_category(point) == UTF8PROC_CATEGORY_ZS;
}

bool enx_damage_is_mark(int32_t point)
{
    return point == '.' || point == ',' || point == ';' || point == ':' || point == '!' ||
           point == '?';
}

static const char *plain_letters(int32_t point)
{
    switch (point) {
    case 0x00DF:
        return "ss";
    case 0x1E9E:
        return "SS";
    case 0x00E6:
        return "ae";
    case 0x00C6:
        return "AE";
    case 0x0153:
        return "oe";
    case 0x0152:
        return "OE";
    case 0x00F8:
        return "o";
    case 0x00D8:
        return "O";
    case 0x0142:
        return "l";
    case 0x0141:
        return "L";
    case 0x0111:
    case 0x00F0:
        return "d";
    case 0x0110:
    case 0x00D0:
        return "D";
    case 0x00FE:
        return "th";
    case 0x00DE:
        return "TH";
    case 0x0131:
        return "i";
    default:
        return NULL;
    }
}

static bool is_combining(int32_t point) { return point >= 0x300 && point <= 0x36F; }

/* The letters left of a code point without its marks; 0 for a mark that stands alone.  A code
 * point whose decomposition holds no mark of ours (Hangul, for one) stays whole; letters that
 * only appear below a mark (ǽ is æ with an acute) are replaced like those that stand alone. */
static size_t strip_point(int32_t point, int32_t out[ENX_DAMAGE_LETTERS_MAX])
{
    utf8proc_int32_t parts[PARTS_MAX] = { point };
    utf8proc_ssize_t count = 1;
    if (is_combining(point)) return 0;
    if (utf8proc_get_property(point)->decomp_seqindex != UINT16_MAX) {
        int boundary = 0;
        count = utf8proc_decompose_char(point, parts, PARTS_MAX, UTF8PROC_DECOMPOSE, &boundary);
    }
    size_t kept = 0;
    bool   has_mark = false;
    for (utf8proc_ssize_t i = 0; i < count && i < PARTS_MAX; i++) {
        const char *plain = plain_letters(parts[i]);
        if (is_combining(parts[i])) has_mark = true;
        else if (plain)
            while (*plain && kept < ENX_DAMAGE_LETTERS_MAX) out[kept++] = *plain++;
        else if (kept < ENX_DAMAGE_LETTERS_MAX) out[kept++] = parts[i];
    }
    if (has_mark || plain_letters(point)) return kept;
    out[0] = point;
    return 1;
}

/* Bytes on their way to the buffer: one append for many. */
typedef struct sink {
    enx_buf   *out;
    enx_status status; /* the first append that failed */
    size_t     size_bytes;
    char       bytes[SINK_BYTES];
} sink;

static void flush(sink *to)
{
    if (to->status == ENX_OK) to->status = enx_buf_append(to->out, to->bytes, to->size_bytes);
    to->size_bytes = 0;
}

static void put_byte(sink *to, char byte)
{
    if (to->size_bytes == SINK_BYTES) flush(to);
    to->bytes[to->size_bytes++] = byte;
}

static void put_point(sink *to, int32_t point)
{
    utf8proc_uint8_t       bytes[4];
    const utf8proc_ssize_t count = utf8proc_encode_char(point, bytes);
    for (utf8proc_ssize_t i = 0; i < count; i++) put_byte(to, (char)bytes[i]);
}

/* Maximal runs only: a look ahead starts once for each, so that the whole is linear.
 * The end of the white space and marks that fall away at `at` (a word's end), or `at`. */
static size_t skip_marks(const char *text, size_t size_bytes, size_t at)
{
    size_t  mark = at, used;
    int32_t point;
    while (mark < size_bytes) {
        used = next_point(text, size_bytes, mark, &point);
        if (!enx_damage_is_space(point)) break;
        mark += used;
    }
    size_t end = mark;
    while (end < size_bytes && enx_damage_is_mark(text[end])) end++;
    if (end == mark) return at;
    if (end == size_bytes) return end;
    next_point(text, size_bytes, end, &point);
    return enx_damage_is_space(point) ? end : at;
}

size_t enx_damage_letters(int32_t out[ENX_DAMAGE_LETTERS_MAX], int32_t point, unsigned kinds)
{
    size_t count = 1;
    out[0] = point;
    if (kinds & ENX_DAMAGE_KIND_ACCENTS && point >= 0x80) count = strip_point(point, out);
    if (kinds & ENX_DAMAGE_KIND_CAPITALS)
        for (size_t i = 0; i < count; i++) out[i] = utf8proc_tolower(out[i]);
    return count;
}

static void damage_point(sink *to, char byte, int32_t point, unsigned kinds)
{
    if (point < 0) {
        put_byte(to, byte);
        return;
    }
    if (point < 0x80) {
        const bool lowers = (kinds & ENX_DAMAGE_KIND_CAPITALS) && point >= 'A' && point <= 'Z';
        put_byte(to, (char)(lowers ? point + ('a' - 'A') : point));
        return;
    }
    int32_t      letters[ENX_DAMAGE_LETTERS_MAX];
    const size_t count = enx_damage_letters(letters, point, kinds);
    for (size_t i = 0; i < count; i++) put_point(to, letters[i]);
}

/* Can white space or a mark start here?  Plain letters and digits can't: no need to look. */
static bool may_be_gap(char byte)
{
    return (unsigned char)byte <= ' ' || (unsigned char)byte >= 0x80 || enx_damage_is_mark(byte);
}

enx_status enx_damage_kinds(enx_buf *out, const char *text, size_t size_bytes, unsigned kinds,
                            enx_report *report)
{
    sink   to = { .out = out, .status = ENX_OK };
    bool   may_skip = false; /* at the end of a word, or at the first mark after it */
    size_t at = 0;
    while (at < size_bytes && to.status == ENX_OK) {
        if (may_skip && (kinds & ENX_DAMAGE_KIND_PUNCTUATION) && may_be_gap(text[at])) {
            const size_t after = skip_marks(text, size_bytes, at);
            if (after > at) {
                at = after;
                continue;
            }
        }
        int32_t      point;
        const size_t used = next_point(text, size_bytes, at, &point);
        damage_point(&to, text[at], point, kinds);
        may_skip =
            !enx_damage_is_space(point) && !(enx_damage_is_mark(text[at]) && at + 1 < size_bytes &&
                                             enx_damage_is_mark(text[at + 1]));
        at += used;
    }
    flush(&to);
    if (to.status != ENX_OK)
        return enx_report_set(report, to.status, __FILE__, __LINE__, "damage: %s at %zu bytes",
                              enx_status_text(to.status), out->size_bytes);
    return ENX_OK;
}

enx_status enx_damage(enx_buf *out, const char *text, size_t size_bytes, int level,
                      enx_report *report)
{
    static const unsigned kinds[ENX_DAMAGE_LEVELS] = { 0, 1, 3, 7 };
    if (level < 0 || level >= ENX_DAMAGE_LEVELS)
        return ENX_FAIL(report, INVALID, "damage level %d is not in 0..%d", level,
                        ENX_DAMAGE_LEVELS - 1);
    return enx_damage_kinds(out, text, size_bytes, kinds[level], report);
}
