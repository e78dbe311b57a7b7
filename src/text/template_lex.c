/* SPDX-License-Identifier: Apache-2.0 */
/* template_lex.c - a template's text to tokens.
 *
 * Text between tags is one token, already without the white space that `-`, trim_blocks (the line
 * break after a block) and lstrip_blocks (blanks from the line's start to a block) take away.
 * Comments are passed over; raw blocks become text. */
#include "text/template_impl.h"

#include "text/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { NUMBER_BYTES_MAX = 64 };

#define LEX_FAIL(lexer, token, ...) \
    fail_at((lexer), (token)->line, (token)->column, __LINE__, __VA_ARGS__)

static enx_status fail_at(const enx_tpl_lexer *l, uint32_t line, uint32_t column, int source_line,
                          const char *format, ...) ENX_PRINTF(5, 6);

static enx_status fail_at(const enx_tpl_lexer *l, uint32_t line, uint32_t column, int source_line,
                          const char *format, ...)
{
    char    text[ENX_REPORT_TEXT_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return enx_report_set(l->report, ENX_FORMAT, __FILE__, source_line,
                          "template %" PRIu32 ":%" PRIu32 ": %s", line, column, text);
}

/* Positions only ever move forward, so lines are counted once. */
static void set_place(enx_tpl_lexer *l, enx_tpl_token *token, size_t at)
{
    for (; l->line_at < at; l->line_at++)
        if (l->text[l->line_at] == '\n') {
            l->line++;
            l->line_start = l->line_at + 1;
        }
    token->line = l->line;
    token->column = (uint32_t)(at - l->line_start) + 1;
}

static char char_at(const enx_tpl_lexer *l, size_t at) { return at < l->size ? l->text[at] : '\0'; }

static bool starts_with(const enx_tpl_lexer *l, size_t at, const char *word)
{
    const size_t size = strlen(word);
    return l->size - at >= size && memcmp(l->text + at, word, size) == 0;
}

static size_t skip_spaces(const enx_tpl_lexer *l, size_t at)
{
    while (at < l->size && enx_tpl_is_space(l->text[at])) at++;
    return at;
}

/* ---- Text between tags ---------------------------------------------------------------------- */

static bool starts_tag(const enx_tpl_lexer *l, size_t at)
{
    return starts_with(l, at, "{{") || starts_with(l, at, "{%") || starts_with(l, at, "{#");
}

/* What is left of the text [from, to) before a tag at `to`. */
static enx_tpl_text before_tag(const enx_tpl_lexer *l, size_t from, size_t to)
{
    enx_tpl_text text = { l->text + from, to - from };
    const char   sign = char_at(l, to + 2);
    if (sign == '-') return enx_tpl_text_trim(text, false, true);
    if (sign == '+' || char_at(l, to + 1) == '{') return text;
    size_t kept = to;
    while (kept > from && l->text[kept - 1] != '\n' && enx_tpl_is_space(l->text[kept - 1])) kept--;
    if (kept == 0 || l->text[kept - 1] == '\n') text.size = kept - from;
    return text;
}

/* Behind the closing characters of a block or comment, which start at `at`. */
static size_t after_block(const enx_tpl_lexer *l, size_t at, char sign)
{
    at += 2;
    if (sign == '-') return skip_spaces(l, at);
    return sign != '+' && char_at(l, at) == '\n' ? at + 1 : at;
}

/* Behind a comment's end; l->size + 1: it has none. */
static size_t after_comment(const enx_tpl_lexer *l, size_t at)
{
    const size_t first = at + 2;
    const char  *end = memmem(l->text + first, l->size - first, "#}", 2);
    if (!end) return l->size + 1;
    const size_t closing = (size_t)(end - l->text);
    return after_block(l, closing, closing > first ? l->text[closing - 1] : '\0');
}

/* A tag `{% word %}` at `at`: *inner is where its signs start, *end where text goes on. */
static bool read_word_tag(const enx_tpl_lexer *l, size_t at, const char *word, size_t *end)
{
    if (!starts_with(l, at, "{%")) return false;
    at += 2;
    if (char_at(l, at) == '-' || char_at(l, at) == '+') at++;
    at = skip_spaces(l, at);
    if (!starts_with(l, at, word)) return false;
    at = skip_spaces(l, at + strlen(word));
    char sign = '\0';
    if (char_at(l, at) == '-' || char_at(l, at) == '+') sign = l->text[at++];
    if (!starts_with(l, at, "%}")) return false;
    *end = after_block(l, at, sign);
    return true;
}

/* The content of a raw block that starts at `from`. */
static enx_status read_raw(enx_tpl_lexer *l, size_t from, enx_tpl_token *token)
{
    size_t end = 0;
    for (size_t at = from; at < l->size; at++) {
        if (l->text[at] != '{' || !read_word_tag(l, at, "endraw", &end)) continue;
        token->text = before_tag(l, from, at);
        l->at = end;
        return ENX_OK;
    }
    return LEX_FAIL(l, token, "expected {%% endraw %%} before the end");
}

/* One piece of text; empty pieces are for the caller to pass over. */
static enx_status read_data(enx_tpl_lexer *l, enx_tpl_token *token)
{
    const size_t from = l->at;
    size_t       to = from, end = 0;
    while (to < l->size && !starts_tag(l, to)) to++;
    token->kind = ENX_TPL_TOKEN_DATA;
    token->text = (enx_tpl_text){ l->text + from, to - from };
    l->at = to;
    if (to == l->size) return ENX_OK;
    token->text = before_tag(l, from, to);
    if (read_word_tag(l, to, "raw", &end)) {
        if (token->text.size == 0) return read_raw(l, end, token);
        l->raw_at = end;
        return ENX_OK;
    }
    if (l->text[to + 1] == '#') {
        l->at = after_comment(l, to);
        if (l->at <= l->size) return ENX_OK;
        set_place(l, token, to);
        return LEX_FAIL(l, token, "the comment has no end; expected #}");
    }
    l->pending = l->text[to + 1] == '{' ? ENX_TPL_TOKEN_OUTPUT_BEGIN : ENX_TPL_TOKEN_BLOCK_BEGIN;
    return ENX_OK;
}

/* ---- Inside tags ---------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c) ||
           (unsigned char)c >= 0x80;
}

static int digit_value(char c)
{
    if (is_digit(c)) return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* Undo one escape at in[0] == '\\'; returns the bytes read; writes at most 4, not more than read.
 * What is no escape stays as it is. */
static size_t undo_escape(const char *in, size_t size, char *out, size_t *out_size)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char        c = in[1];
    const char       *found = strchr(from, c);
    *out_size = 0;
    if (c == '\n') return 2;
    if (c && found) {
        out[(*out_size)++] = to[found - from];
        return 2;
    }
    const int    base = c >= '0' && c <= '7' ? 8 : 16;
    const size_t digits_max = base == 8 ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    size_t       at = base == 8 ? 1 : 2, digits = 0;
    uint32_t     point = 0;
    for (; digits < digits_max && at < size && digit_value(in[at]) < base; at++, digits++)
        point = point * (uint32_t)base + (uint32_t)digit_value(in[at]);
    const bool is_whole = digits > 0 && (base == 8 || digits == digits_max);
    if (is_whole && utf8proc_codepoint_valid((utf8proc_int32_t)point)) {
        *out_size = (size_t)utf8proc_encode_char((utf8proc_int32_t)point, (utf8proc_uint8_t *)out);
        return at;
    }
    out[(*out_size)++] = '\\';
    return 1;
}

static enx_status read_string(enx_tpl_lexer *l, enx_tpl_token *token)
{
    const char   quote = l->text[l->at];
    const size_t from = l->at + 1;
    size_t       end = from;
    while (end < l->size && l->text[end] != quote) end += l->text[end] == '\\' ? 2 : 1;
    if (end >= l->size) return LEX_FAIL(l, token, "the string has no end; expected %c", quote);
    char *text = ENX_TPL_NEW(l->pool, char, end - from + 1);
    if (!text) return ENX_FAIL(l->report, NOMEM, "no memory for the template's strings");
    size_t used = 0;
    for (size_t at = from; at < end;) {
        if (l->text[at] != '\\') {
            text[used++] = l->text[at++];
            continue;
        }
        char   bytes[ENX_UTF8_BYTES_MAX];
        size_t count;
        at += undo_escape(l->text + at, end - at, bytes, &count);
        memcpy(text + used, bytes, count);
        used += count;
    }
    token->kind = ENX_TPL_TOKEN_STRING;
    token->text = (enx_tpl_text){ text, used };
    l->at = end + 1;
    return ENX_OK;
}

static size_t skip_digits(const enx_tpl_lexer *l, size_t at)
{
    while (is_digit(char_at(l, at)) || (char_at(l, at) == '_' && is_digit(char_at(l, at + 1))))
        at++;
    return at;
}

/* Where a fraction or exponent at `at` ends; `at`: there is none. */
static size_t skip_fraction(const enx_tpl_lexer *l, size_t at)
{
    if (char_at(l, at) == '.' && is_digit(char_at(l, at + 1))) at = skip_digits(l, at + 1);
    if ((char_at(l, at) | 0x20) == 'e') {
        const char   sign = char_at(l, at + 1);
        const size_t digits = at + (sign == '+' || sign == '-' ? 2 : 1);
        if (is_digit(char_at(l, digits))) at = skip_digits(l, digits);
    }
    return at;
}

static enx_status read_number(enx_tpl_lexer *l, enx_tpl_token *token, bool is_after_dot)
{
    const char mark = (char)(char_at(l, l->at + 1) | 0x20);
    int        base = 10;
    if (l->text[l->at] == '0') base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    size_t at = base == 10 ? l->at : l->at + 2;
    size_t end = base == 10 ? skip_digits(l, at) : at;
    while (base != 10 && (digit_value(char_at(l, end)) < base || char_at(l, end) == '_')) end++;
    const size_t whole_end = end;
    if (base == 10 && !is_after_dot) end = skip_fraction(l, end);
    char   digits[NUMBER_BYTES_MAX];
    size_t used = 0;
    for (; at < end && used + 1 < sizeof digits; at++)
        if (l->text[at] != '_') digits[used++] = l->text[at];
    digits[used] = '\0';
    if (at < end || used == 0) return LEX_FAIL(l, token, "expected a number that fits");
    errno = 0;
    token->kind = end > whole_end ? ENX_TPL_TOKEN_FLOAT : ENX_TPL_TOKEN_INTEGER;
    token->value = end > whole_end ? enx_tpl_float(strtod(digits, NULL))
                                   : enx_tpl_int((int64_t)strtoll(digits, NULL, base));
    if (errno && token->kind == ENX_TPL_TOKEN_INTEGER)
        return LEX_FAIL(l, token, "expected an integer of at most 64 bits, found %s", digits);
    l->at = end;
    return ENX_OK;
}

static enx_status read_operator(enx_tpl_lexer *l, enx_tpl_token *token)
{
    static const char pairs[][3] = { "//", "**", "==", "!=", ">=", "<=" };
    const char        c = l->text[l->at];
    token->kind = ENX_TPL_TOKEN_OPERATOR;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (starts_with(l, l->at, pairs[i])) {
            token->op = ENX_TPL_OP(c, pairs[i][1]);
            l->at += 2;
            return ENX_OK;
        }
    if (!c || !strchr("+-*/%~=<>.:|,;()[]{}", c))
        return LEX_FAIL(l, token, "unexpected character 0x%02x in a tag", (unsigned)(uint8_t)c);
    token->op = ENX_TPL_OP(c, 0);
    if (strchr("([{", c)) l->brackets_count++;
    if (strchr(")]}", c)) {
        if (l->brackets_count == 0)
            return LEX_FAIL(l, token, "unexpected '%c': nothing is open", c);
        l->brackets_count--;
    }
    l->at++;
    return ENX_OK;
}

/* The end of this tag at l->at? */
static bool read_tag_end(enx_tpl_lexer *l, enx_tpl_token *token)
{
    if (l->brackets_count > 0) return false;
    const bool   is_block = l->mode == ENX_TPL_TOKEN_BLOCK_END;
    const char   sign = l->text[l->at];
    const bool   has_sign = sign == '-' || (is_block && sign == '+');
    const size_t at = l->at + (has_sign ? 1 : 0);
    if (!starts_with(l, at, is_block ? "%}" : "}}")) return false;
    token->kind = l->mode;
    l->at = is_block ? after_block(l, at, sign) : sign == '-' ? skip_spaces(l, at + 2) : at + 2;
    l->mode = ENX_TPL_TOKEN_DATA;
    return true;
}

static enx_status read_inside(enx_tpl_lexer *l, enx_tpl_token *token)
{
    const bool is_after_dot = l->at > 0 && l->text[l->at - 1] == '.';
    l->at = skip_spaces(l, l->at);
    set_place(l, token, l->at);
    if (l->at >= l->size)
        return LEX_FAIL(l, token, "the template ends inside a tag; expected %s",
                        l->mode == ENX_TPL_TOKEN_BLOCK_END ? "%}" : "}}");
    if (read_tag_end(l, token)) return ENX_OK;
    const char c = l->text[l->at];
    if (c == '"' || c == '\'') return read_string(l, token);
    if (is_digit(c)) return read_number(l, token, is_after_dot);
    if (!is_name_char(c)) return read_operator(l, token);
    size_t end = l->at;
    while (end < l->size && is_name_char(l->text[end])) end++;
    token->kind = ENX_TPL_TOKEN_NAME;
    token->text = (enx_tpl_text){ l->text + l->at, end - l->at };
    l->at = end;
    return ENX_OK;
}

enx_status enx_tpl_lexer_next(enx_tpl_lexer *l, enx_tpl_token *token)
{
    *token = (enx_tpl_token){ .kind = ENX_TPL_TOKEN_END };
    if (l->mode != ENX_TPL_TOKEN_DATA) return read_inside(l, token);
    while (l->pending == ENX_TPL_TOKEN_END && (l->at < l->size || l->raw_at)) {
        set_place(l, token, l->at);
        if (l->raw_at) {
            const size_t from = l->raw_at;
            l->raw_at = 0;
            token->kind = ENX_TPL_TOKEN_DATA;
            ENX_TRY(read_raw(l, from, token));
        } else ENX_TRY(read_data(l, token));
        if (token->text.size > 0) return ENX_OK;
    }
    *token = (enx_tpl_token){ .kind = l->pending };
    set_place(l, token, l->at);
    if (l->pending == ENX_TPL_TOKEN_END) return ENX_OK;
    l->mode = l->pending == ENX_TPL_TOKEN_BLOCK_BEGIN ? ENX_TPL_TOKEN_BLOCK_END
                                                      : ENX_TPL_TOKEN_OUTPUT_END;
    l->pending = ENX_TPL_TOKEN_END;
    l->brackets_count = 0;
    l->at += 2;
    const char sign = char_at(l, l->at);
    if (sign == '-' || sign == '+') l->at++;
    return ENX_OK;
}

enx_status enx_tpl_lexer_open(enx_tpl_lexer *l, enx_tpl_pool *pool, const char *text,
                              size_t size_bytes, enx_report *report)
{
    char *copy = ENX_TPL_NEW(pool, char, size_bytes + 1);
    if (!copy) return ENX_FAIL(report, NOMEM, "no memory for a template of %zu bytes", size_bytes);
    size_t used = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        const bool is_pair = text[i] == '\r' && i + 1 < size_bytes && text[i + 1] == '\n';
        if (!is_pair) copy[used++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (used > 0 && copy[used - 1] == '\n') used--;
    *l = (enx_tpl_lexer){ .text = copy, .size = used, .line = 1, .pool = pool, .report = report };
    l->pending = ENX_TPL_TOKEN_END;
    l->mode = ENX_TPL_TOKEN_DATA;
    return ENX_OK;
}
