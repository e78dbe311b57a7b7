/* SPDX-License-Identifier: Apache-2.0 */
/* presplit.c - pre-tokenizer patterns on PCRE2.
 *
 * Why cutting the text into segments does not change the pieces.  No alternative of any pattern
 * here has a space after something that is not white space, and none looks behind; so (1) before
 * a space that follows a visible character there is always a piece boundary, and the pieces on
 * its two sides do not depend on each other.  (2) After a line break that has visible characters
 * on both sides there is one too: `\s*[\r\n]+`, `[\r\n]*` and `\s+` all end there, whether the
 * text goes on or not.  Segments end at such a place, or at the end of the text.
 *
 * Segments are short because without the JIT (some systems forbid making code) PCRE2 checks the
 * rest of its subject again at each match: that must stay a constant.
 */
#include "text/presplit.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdint.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { SEGMENT_BYTES = 4 << 10 };

struct enx_presplit {
    const char            *name;
    pcre2_code            *code;    /* owned */
    pcre2_general_context *general; /* owned */
};

typedef struct named_pattern {
    const char *name;
    const char *pattern;
} named_pattern;

static const named_pattern patterns[] = {
    { "qwen2", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
               " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+" },
    { "gpt-2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
               "\\s+(?!\\S)|\\s+" },
    { "llama-bpe", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                   " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+" },
};
enum { PATTERN_COUNT = sizeof patterns / sizeof patterns[0] };

static void *allocate(size_t size_bytes, void *unused)
{
    (void)unused;
    return enx_mem_new(1, size_bytes);
}

static void release(void *block, void *unused)
{
    (void)unused;
    enx_mem_free(block);
}

static const named_pattern *find_pattern(const char *pre, size_t size_bytes)
{
    for (size_t i = 0; i < PATTERN_COUNT; i++)
        if (strlen(patterns[i].name) == size_bytes && !memcmp(patterns[i].name, pre, size_bytes))
            return &patterns[i];
    return NULL;
}

enx_status enx_presplit_open(enx_presplit **out, const char *pre, size_t size_bytes,
                             enx_report *report)
{
    ENX_CHECK(out && (pre || size_bytes == 0));
    const named_pattern *named = find_pattern(pre, size_bytes);
    if (!named)
        return ENX_FAIL(report, UNSUPPORTED,
                        "pre-tokenizer \"%.*s\" is not known; those that work: qwen2, gpt-2, "
                        "llama-bpe",
                        (int)(size_bytes < 64 ? size_bytes : 64), pre ? pre : "");
    enx_presplit *split = ENX_MEM_NEW(enx_presplit, 1);
    if (!split) return ENX_FAIL(report, NOMEM, "no memory for a pre-tokenizer");
    split->name = named->name;
    split->general = pcre2_general_context_create(allocate, release, NULL);
    pcre2_compile_context *compile =
        split->general ? pcre2_compile_context_create(split->general) : NULL;
    if (compile) {
        int        code = 0;
        PCRE2_SIZE where = 0;
        split->code =
            pcre2_compile((PCRE2_SPTR)named->pattern, PCRE2_ZERO_TERMINATED,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &code, &where, compile);
        ENX_CHECK(split->code || code == PCRE2_ERROR_HEAP_FAILED);
        pcre2_compile_context_free(compile);
    }
    if (!split->code) {
        enx_presplit_close(&split);
        return ENX_FAIL(report, NOMEM, "no memory for a pre-tokenizer");
    }
    /* Without the JIT matching is slower, and the same. */
    (void)pcre2_jit_compile(split->code, PCRE2_JIT_COMPLETE);
    *out = split;
    return ENX_OK;
}

void enx_presplit_close(enx_presplit **split)
{
    if (!*split) return;
    pcre2_code_free((*split)->code);
    pcre2_general_context_free((*split)->general);
    enx_mem_free(*split);
    *split = NULL;
}

const char *enx_presplit_name(const enx_presplit *split) { return split->name; }

static bool is_ascii_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

/* White space outside ASCII: U+0085 and U+00A0; U+1680, U+180E, U+2000-200A, 2028, 2029, 202F,
 * 205F, 3000.  These are all that \s has in PCRE2. */
static bool is_space_2(const uint8_t *c) { return c[0] == 0xC2 && (c[1] == 0x85 || c[1] == 0xA0); }

static bool is_space_3(const uint8_t *c)
{
    if (c[0] == 0xE1) return (c[1] == 0x9A && c[2] == 0x80) || (c[1] == 0xA0 && c[2] == 0x8E);
    if (c[0] == 0xE3) return c[1] == 0x80 && c[2] == 0x80;
    if (c[0] != 0xE2) return false;
    if (c[1] == 0x81) return c[2] == 0x9F;
    return c[1] == 0x80 && (c[2] <= 0x8A || c[2] == 0xA8 || c[2] == 0xA9 || c[2] == 0xAF);
}

/* Is the character that ends before text[at] visible?  At least 3 bytes come before. */
static bool is_visible_before(const uint8_t *text, size_t at)
{
    if (text[at - 1] < 0x80) return !is_ascii_space(text[at - 1]);
    return !is_space_2(text + at - 2) && !is_space_3(text + at - 3);
}

static bool is_visible_after(const uint8_t *text, size_t size_bytes, size_t at)
{
    if (at >= size_bytes) return false;
    if (text[at] < 0x80) return !is_ascii_space(text[at]);
    return size_bytes - at >= 3 && !is_space_2(text + at) && !is_space_3(text + at);
}

static bool is_safe_cut(const uint8_t *text, size_t size_bytes, size_t at)
{
    if (text[at] == ' ') return is_visible_before(text, at);
    return text[at - 1] == '\n' && is_visible_before(text, at - 1) &&
           is_visible_after(text, size_bytes, at);
}

/* The last start of a character at or before `at`, or `at` where there is none near. */
static size_t round_to_character(const uint8_t *text, size_t at)
{
    for (size_t back = 0; back < 4 && back < at; back++)
        if ((text[at - back] & 0xC0) != 0x80) return at - back;
    return at;
}

static size_t find_segment_end(const uint8_t *text, size_t size_bytes, size_t first)
{
    if (size_bytes - first <= SEGMENT_BYTES) return size_bytes;
    const bool   is_last = size_bytes - first <= ENX_PRESPLIT_SEGMENT_BYTES_MAX;
    const size_t limit = is_last ? size_bytes : first + ENX_PRESPLIT_SEGMENT_BYTES_MAX;
    for (size_t at = first + SEGMENT_BYTES; at < limit; at++)
        if (is_safe_cut(text, size_bytes, at)) return at;
    return is_last ? limit : round_to_character(text, limit);
}

enx_status enx_presplit_cursor_init(enx_presplit_cursor *cursor, const enx_presplit *split,
                                    const char *text, size_t size_bytes)
{
    ENX_CHECK(cursor && split && (text || size_bytes == 0));
    pcre2_match_data *match = pcre2_match_data_create(1, split->general);
    if (!match) return ENX_NOMEM;
    *cursor = (enx_presplit_cursor){
        .split = split, .text = text ? text : "", .size_bytes = size_bytes, .match_data = match
    };
    return ENX_OK;
}

void enx_presplit_cursor_deinit(enx_presplit_cursor *cursor)
{
    pcre2_match_data_free(cursor->match_data);
    cursor->match_data = NULL;
}

/* Find the next match in the segment.  Where there is none (invalid UTF-8 up to its end, or
 * PCRE2 gave up), an empty one at its end: the bytes before it then become a piece. */
static void find_match(enx_presplit_cursor *cursor)
{
    const uint8_t *text = (const uint8_t *)cursor->text;
    if (cursor->at == cursor->segment_end)
        cursor->segment_end = find_segment_end(text, cursor->size_bytes, cursor->at);
    const int found = pcre2_match(cursor->split->code, text + cursor->at,
                                  cursor->segment_end - cursor->at, 0, 0, cursor->match_data, NULL);
    if (found > 0) {
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(cursor->match_data);
        cursor->match_first = cursor->at + span[0];
        cursor->match_end = cursor->at + span[1];
    } else {
        cursor->match_first = cursor->match_end = cursor->segment_end;
    }
}

bool enx_presplit_next(enx_presplit_cursor *cursor, size_t *first, size_t *size_bytes)
{
    if (cursor->at == cursor->size_bytes) return false;
    if (cursor->at == cursor->match_end) find_match(cursor);
    size_t end = cursor->at < cursor->match_first ? cursor->match_first : cursor->match_end;
    if (end - cursor->at > ENX_PRESPLIT_PIECE_BYTES_MAX)
        end = round_to_character((const uint8_t *)cursor->text,
                                 cursor->at + ENX_PRESPLIT_PIECE_BYTES_MAX);
    *first = cursor->at;
    *size_bytes = end - cursor->at;
    cursor->at = end;
    return true;
}
