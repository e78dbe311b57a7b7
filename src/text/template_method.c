/* SPDX-License-Identifier: Apache-2.0 */
/* template_method.c - the methods of values, and the functions that are always there. */
#include "text/template_impl.h"

#include "text/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

enum { SPEC_BYTES_MAX = 16, SPEC_DIGITS_MAX = 3, TIME_BYTES_MAX = 64, SECONDS_A_DAY = 86400 };

/* ---- Arguments ------------------------------------------------------------------------------ */

enx_status enx_tpl_want_text(const enx_tpl_call *call, const enx_tpl_value *value,
                             enx_tpl_text *out)
{
    if (value->kind != ENX_TPL_STRING)
        return ENX_TPL_FAIL(call->state, INVALID, "%s needs a text where it got '%s'",
                            call->native->name, enx_tpl_kind_name(value));
    *out = value->text;
    return ENX_OK;
}

enx_status enx_tpl_want_int(const enx_tpl_call *call, const enx_tpl_value *value, int64_t *out)
{
    if (!enx_tpl_is_integer(value, out))
        return ENX_TPL_FAIL(call->state, INVALID, "%s needs an integer where it got '%s'",
                            call->native->name, enx_tpl_kind_name(value));
    return ENX_OK;
}

static bool is_given(const enx_tpl_call *call, size_t index)
{
    return call->slot[index] && call->slot[index]->kind != ENX_TPL_NONE;
}

static enx_status want_count(const enx_tpl_call *call, size_t index, int64_t *out)
{
    *out = -1;
    return is_given(call, index) ? enx_tpl_want_int(call, call->slot[index], out) : ENX_OK;
}

/* ---- Texts: case, replacing, formats -------------------------------------------------------- */

static bool starts_word(uint32_t before)
{
    return before == 0 || before == '-' || before == '(' || before == '{' || before == '[' ||
           before == '<' || (before < 0x80 && enx_tpl_is_space((char)before));
}

static bool is_cased(uint32_t point)
{
    return utf8proc_toupper((int32_t)point) != (int32_t)point ||
           utf8proc_tolower((int32_t)point) != (int32_t)point;
}

static enx_status put_recased(enx_tpl_state *state, uint32_t point, bool is_upper)
{
    char bytes[ENX_UTF8_BYTES_MAX];
    if (is_upper && point == 0xdf) return enx_tpl_scratch_put(state, "SS", 2);
    const int32_t wanted =
        is_upper ? utf8proc_toupper((int32_t)point) : utf8proc_tolower((int32_t)point);
    const utf8proc_ssize_t size = utf8proc_encode_char(wanted, (utf8proc_uint8_t *)bytes);
    return enx_tpl_scratch_put(state, bytes, (size_t)size);
}

enx_status enx_tpl_text_recase(enx_tpl_state *state, enx_tpl_text text, enx_tpl_case wanted,
                               bool is_words, enx_tpl_value *out)
{
    const size_t mark = enx_tpl_scratch_mark(state);
    uint32_t     before = 0, point;
    for (size_t at = 0, used; at < text.size; at += used, before = point) {
        used = enx_utf8_decode(text.bytes + at, text.size - at, &point);
        bool is_upper = wanted == ENX_TPL_CASE_UPPER || (wanted == ENX_TPL_CASE_FIRST && at == 0);
        if (wanted == ENX_TPL_CASE_TITLE)
            is_upper = is_words ? starts_word(before)
                                : before == 0 || before == ENX_UTF8_INVALID || !is_cased(before);
        if (point == ENX_UTF8_INVALID) ENX_TRY(enx_tpl_scratch_put(state, text.bytes + at, used));
        else ENX_TRY(put_recased(state, point, is_upper));
    }
    ENX_TRY(enx_tpl_charge(state, text.size / 16));
    return enx_tpl_scratch_take(state, mark, out);
}

enx_status enx_tpl_text_replace(enx_tpl_state *state, enx_tpl_text text, enx_tpl_text old,
                                enx_tpl_text new_text, int64_t count_max, enx_tpl_value *out)
{
    const size_t mark = enx_tpl_scratch_mark(state);
    size_t       at = 0;
    for (; at <= text.size && count_max != 0; count_max--) {
        const char *found = text.bytes + at;
        if (old.size > 0)
            found = at < text.size ? memmem(found, text.size - at, old.bytes, old.size) : NULL;
        if (!found) break;
        const size_t gap = (size_t)(found - text.bytes) - at;
        ENX_TRY(enx_tpl_charge(state, 1));
        ENX_TRY(enx_tpl_scratch_put(state, text.bytes + at, gap));
        ENX_TRY(enx_tpl_scratch_put(state, new_text.bytes, new_text.size));
        at += gap + old.size;
        if (old.size > 0) continue;
        if (at == text.size) break; /* between all characters, and at both ends */
        const size_t used = enx_tpl_text_step(text, at);
        ENX_TRY(enx_tpl_scratch_put(state, text.bytes + at, used));
        at += used;
    }
    ENX_TRY(enx_tpl_scratch_put(state, text.bytes + at, text.size - at));
    return enx_tpl_scratch_take(state, mark, out);
}

/* One % specification at text[at], after the sign: into `spec` as C writes it, without the letter;
 * returns where the letter is. */
static size_t read_spec(enx_tpl_text text, size_t at, char *spec)
{
    size_t used = 0, digits = 0;
    spec[used++] = '%';
    for (; at < text.size && strchr("-+ 0#.123456789", text.bytes[at]) && text.bytes[at]; at++) {
        const bool is_digit = text.bytes[at] >= '0' && text.bytes[at] <= '9';
        digits = is_digit ? digits + 1 : 0;
        if (digits > SPEC_DIGITS_MAX || used + 1 >= SPEC_BYTES_MAX) break;
        spec[used++] = text.bytes[at];
    }
    spec[used] = '\0';
    return at;
}

static enx_status put_format(enx_tpl_state *state, char letter, const char *spec,
                             const enx_tpl_value *value)
{
    char       format[SPEC_BYTES_MAX + 8];
    int64_t    integer;
    double     number;
    enx_status status;
    if (letter == 's' || letter == 'r') {
        enx_tpl_text text = { 0 };
        if (letter == 's' && spec[1] == '\0') return enx_tpl_scratch_print(state, value);
        if (letter == 'r') return enx_tpl_scratch_repr(state, value, 0);
        ENX_TRY(enx_tpl_to_text(state, value, &text));
        if (text.size > INT32_MAX / 2 || memchr(text.bytes, '\0', text.size))
            return ENX_TPL_FAIL(state, LIMIT, "a text that %%s cannot pad");
        snprintf(format, sizeof format, "%ss", spec);
        status = enx_buf_printf(&state->scratch, format, text.bytes);
    } else if (strchr("dixX", letter) && enx_tpl_is_number(value, &integer, &number)) {
        if (value->kind == ENX_TPL_FLOAT)
            integer = number > -9e18 && number < 9e18 ? (int64_t)number : 0;
        snprintf(format, sizeof format, "%sll%c", spec, letter == 'i' ? 'd' : letter);
        status = enx_buf_printf(&state->scratch, format, (long long)integer);
    } else if (strchr("feEgG", letter) && enx_tpl_is_number(value, &integer, &number)) {
        snprintf(format, sizeof format, "%s%c", spec, letter);
        status = enx_buf_printf(&state->scratch, format, number);
    } else {
        return ENX_TPL_FAIL(state, INVALID, "no format %%%c for a value of type '%s'", letter,
                            enx_tpl_kind_name(value));
    }
    if (status == ENX_OK) return enx_tpl_charge(state, 1);
    return ENX_TPL_FAIL(state, LIMIT, "no room for a formatted text");
}

enx_status enx_tpl_text_percent(enx_tpl_state *state, enx_tpl_text format,
                                const enx_tpl_list *values, enx_tpl_value *out)
{
    const size_t mark = enx_tpl_scratch_mark(state);
    size_t       next = 0;
    for (size_t at = 0; at < format.size; at++) {
        char spec[SPEC_BYTES_MAX];
        if (format.bytes[at] != '%') {
            ENX_TRY(enx_tpl_scratch_put(state, format.bytes + at, 1));
            continue;
        }
        at = read_spec(format, at + 1, spec);
        const char letter = at < format.size ? format.bytes[at] : '\0';
        if (letter == '%') {
            ENX_TRY(enx_tpl_scratch_put(state, "%", 1));
            continue;
        }
        if (!letter || !strchr("srdixXfeEgG", letter))
            return ENX_TPL_FAIL(state, UNSUPPORTED, "there is no format '%s%c' here", spec,
                                letter > ' ' && letter < 0x7f ? letter : '?');
        if (next == values->count)
            return ENX_TPL_FAIL(state, INVALID, "not enough values for the format");
        ENX_TRY(put_format(state, letter, spec, &values->items[next++]));
    }
    if (next < values->count && values->items[next].kind != ENX_TPL_DICT)
        return ENX_TPL_FAIL(state, INVALID, "more values than the format takes");
    ENX_TRY(enx_tpl_charge(state, format.size / 16));
    return enx_tpl_scratch_take(state, mark, out);
}

/* ---- Methods of texts ----------------------------------------------------------------------- */

static enx_status text_case(const enx_tpl_call *call, enx_tpl_value *out)
{
    return enx_tpl_text_recase(call->state, call->self.text, (enx_tpl_case)call->native->variant,
                               false, out);
}

enum { AT_START = 1, AT_END = 2 };

static bool has_char(enx_tpl_text chars, const char *at, size_t size)
{
    return chars.size >= size && memmem(chars.bytes, chars.size, at, size) != NULL;
}

static enx_status text_strip(const enx_tpl_call *call, enx_tpl_value *out)
{
    const bool at_start = call->native->variant & AT_START, at_end = call->native->variant & AT_END;
    enx_tpl_text text = call->self.text, chars = { 0 };
    if (!is_given(call, 0)) {
        *out = enx_tpl_string(enx_tpl_text_trim(text, at_start, at_end));
        return ENX_OK;
    }
    ENX_TRY(enx_tpl_want_text(call, call->slot[0], &chars));
    ENX_TRY(enx_tpl_charge(call->state, text.size / 16));
    while (at_start && text.size > 0) {
        const size_t used = enx_tpl_text_step(text, 0);
        if (!has_char(chars, text.bytes, used)) break;
        text.bytes += used;
        text.size -= used;
        ENX_TRY(enx_tpl_charge(call->state, chars.size / 64));
    }
    while (at_end && text.size > 0) {
        size_t back = 1;
        while (back < text.size && back < ENX_UTF8_BYTES_MAX &&
               ((unsigned char)text.bytes[text.size - back] & 0xc0) == 0x80)
            back++;
        if (!has_char(chars, text.bytes + text.size - back, back)) break;
        text.size -= back;
        ENX_TRY(enx_tpl_charge(call->state, chars.size / 64));
    }
    *out = enx_tpl_string(text);
    return ENX_OK;
}

static enx_status text_replace(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text old = { 0 }, new_text = { 0 };
    int64_t      count;
    ENX_TRY(enx_tpl_want_text(call, call->slot[0], &old));
    ENX_TRY(enx_tpl_want_text(call, call->slot[1], &new_text));
    ENX_TRY(want_count(call, 2, &count));
    return enx_tpl_text_replace(call->state, call->self.text, old, new_text, count, out);
}

static enx_status push_text(const enx_tpl_call *call, const enx_tpl_value *list, const char *bytes,
                            size_t size)
{
    return enx_tpl_list_push(call->state, list->list,
                             enx_tpl_string((enx_tpl_text){ bytes, size }));
}

/* Words between white space. */
static enx_status split_words(const enx_tpl_call *call, int64_t count_max, enx_tpl_value *out)
{
    enx_tpl_text rest = enx_tpl_text_trim(call->self.text, true, false);
    for (; rest.size > 0 && count_max != 0; count_max--) {
        size_t size = 0;
        while (size < rest.size &&
               enx_tpl_text_trim((enx_tpl_text){ rest.bytes + size, rest.size - size }, true, false)
                       .bytes == rest.bytes + size)
            size += enx_tpl_text_step(rest, size);
        ENX_TRY(push_text(call, out, rest.bytes, size));
        rest =
            enx_tpl_text_trim((enx_tpl_text){ rest.bytes + size, rest.size - size }, true, false);
    }
    if (rest.size == 0) return ENX_OK;
    return push_text(call, out, rest.bytes, rest.size);
}

/* The same, counted from the end: the first item keeps what is left. */
static enx_status split_words_back(const enx_tpl_call *call, int64_t count_max, enx_tpl_value *out)
{
    enx_tpl_value all = { 0 };
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &all));
    ENX_TRY(split_words(call, -1, &all));
    const size_t count = all.list->count;
    if (count_max < 0 || (size_t)count_max >= count) {
        *out = all;
        return ENX_OK;
    }
    const enx_tpl_text *last = &all.list->items[count - (size_t)count_max - 1].text;
    const char         *start = call->self.text.bytes;
    ENX_TRY(push_text(call, out, start, (size_t)(last->bytes + last->size - start)));
    for (size_t i = count - (size_t)count_max; i < count; i++)
        ENX_TRY(enx_tpl_list_push(call->state, out->list, all.list->items[i]));
    return ENX_OK;
}

static enx_status split_at(const enx_tpl_call *call, enx_tpl_text mark, int64_t count_max,
                           enx_tpl_value *out)
{
    const char *at = call->self.text.bytes, *end = at + call->self.text.size;
    for (; count_max != 0; count_max--) {
        const char *found = at < end ? memmem(at, (size_t)(end - at), mark.bytes, mark.size) : NULL;
        if (!found) break;
        ENX_TRY(push_text(call, out, at, (size_t)(found - at)));
        at = found + mark.size;
    }
    return push_text(call, out, at, (size_t)(end - at));
}

/* The last place of `part` that ends by `end`; NULL: none. */
static const char *find_last(const char *text, const char *end, enx_tpl_text part)
{
    if ((size_t)(end - text) < part.size) return NULL;
    for (const char *at = end - part.size;; at--) {
        if (part.size == 0 || memcmp(at, part.bytes, part.size) == 0) return at;
        if (at == text) return NULL;
    }
}

static enx_status split_at_back(const enx_tpl_call *call, enx_tpl_text mark, int64_t count_max,
                                enx_tpl_value *out)
{
    enx_tpl_value reversed = { 0 };
    const char   *text = call->self.text.bytes, *end = text + call->self.text.size;
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &reversed));
    for (; count_max != 0; count_max--) {
        const char *found = find_last(text, end, mark);
        if (!found) break;
        ENX_TRY(push_text(call, &reversed, found + mark.size, (size_t)(end - found) - mark.size));
        end = found;
    }
    ENX_TRY(push_text(call, out, text, (size_t)(end - text)));
    for (size_t i = reversed.list->count; i-- > 0;)
        ENX_TRY(enx_tpl_list_push(call->state, out->list, reversed.list->items[i]));
    return ENX_OK;
}

static enx_status text_split(const enx_tpl_call *call, enx_tpl_value *out)
{
    const bool   is_back = call->native->variant;
    enx_tpl_text mark = { 0 };
    int64_t      count;
    ENX_TRY(want_count(call, 1, &count));
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, out));
    ENX_TRY(enx_tpl_charge(call->state, call->self.text.size / 16));
    if (!is_given(call, 0))
        return is_back ? split_words_back(call, count, out) : split_words(call, count, out);
    ENX_TRY(enx_tpl_want_text(call, call->slot[0], &mark));
    if (mark.size == 0) return ENX_TPL_FAIL(call->state, INVALID, "split: empty separator");
    return is_back ? split_at_back(call, mark, count, out) : split_at(call, mark, count, out);
}

static enx_status text_splitlines(const enx_tpl_call *call, enx_tpl_value *out)
{
    const bool         keeps = call->slot[0] && enx_tpl_is_true(call->slot[0]);
    const enx_tpl_text text = call->self.text;
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, out));
    ENX_TRY(enx_tpl_charge(call->state, text.size / 16));
    for (size_t at = 0; at < text.size;) {
        size_t end = at;
        while (end < text.size && text.bytes[end] != '\n' && text.bytes[end] != '\r') end++;
        size_t next = end < text.size ? end + 1 : end;
        if (next < text.size && text.bytes[end] == '\r' && text.bytes[next] == '\n') next++;
        ENX_TRY(push_text(call, out, text.bytes + at, (keeps ? next : end) - at));
        at = next;
    }
    return ENX_OK;
}

/* [from, to) of the text as Python counts; false: `from` is behind the end. */
static enx_status text_window(const enx_tpl_call *call, size_t from_slot, enx_tpl_text *text,
                              bool *is_in)
{
    const int64_t count = (int64_t)enx_tpl_text_length(*text);
    int64_t       bound[2] = { 0, count };
    for (size_t i = 0; i < 2; i++) {
        if (!is_given(call, from_slot + i)) continue;
        ENX_TRY(enx_tpl_want_int(call, call->slot[from_slot + i], &bound[i]));
        if (bound[i] < 0) bound[i] += count;
        if (bound[i] < 0) bound[i] = 0;
    }
    if (bound[1] > count) bound[1] = count;
    *is_in = bound[0] <= bound[1];
    if (!*is_in) return ENX_OK;
    const size_t from = enx_tpl_text_at(*text, (size_t)bound[0]);
    const size_t to = enx_tpl_text_at(*text, (size_t)bound[1]);
    *text = (enx_tpl_text){ text->bytes + from, to - from };
    return enx_tpl_charge(call->state, (size_t)count / 16);
}

static bool has_end(enx_tpl_text text, enx_tpl_text part, bool is_start)
{
    if (part.size > text.size) return false;
    const char *at = is_start ? text.bytes : text.bytes + text.size - part.size;
    return part.size == 0 || memcmp(at, part.bytes, part.size) == 0;
}

/* startswith, endswith(prefix or tuple, start, end) */
static enx_status text_ends(const enx_tpl_call *call, enx_tpl_value *out)
{
    const bool   is_start = call->native->variant == AT_START;
    enx_tpl_text text = call->self.text, part = { 0 };
    bool         is_in, holds = false;
    ENX_TRY(text_window(call, 1, &text, &is_in));
    const enx_tpl_value *wanted = call->slot[0];
    const size_t         count = wanted->kind == ENX_TPL_TUPLE ? wanted->list->count : 1;
    for (size_t i = 0; i < count; i++) {
        const enx_tpl_value *one = wanted->kind == ENX_TPL_TUPLE ? &wanted->list->items[i] : wanted;
        ENX_TRY(enx_tpl_want_text(call, one, &part));
        holds = holds || (is_in && has_end(text, part, is_start));
    }
    *out = enx_tpl_bool(holds);
    return enx_tpl_charge(call->state, count);
}

static enx_status text_remove_end(const enx_tpl_call *call, enx_tpl_value *out)
{
    const bool   is_start = call->native->variant == AT_START;
    enx_tpl_text text = call->self.text, part = { 0 };
    ENX_TRY(enx_tpl_want_text(call, call->slot[0], &part));
    if (has_end(text, part, is_start)) {
        if (is_start) text.bytes += part.size;
        text.size -= part.size;
    }
    *out = enx_tpl_string(text);
    return ENX_OK;
}

enum { FIND, FIND_LAST, INDEX, FIND_COUNT };

/* find, rfind, index, count(part, start, end) */
static enx_status text_find(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text text = call->self.text, part = { 0 };
    bool         is_in;
    const char  *found = NULL;
    ENX_TRY(enx_tpl_want_text(call, call->slot[0], &part));
    ENX_TRY(text_window(call, 1, &text, &is_in));
    if (call->native->variant == FIND_COUNT) {
        int64_t count = part.size == 0 && is_in ? (int64_t)enx_tpl_text_length(text) + 1 : 0;
        while (is_in && part.size > 0 && text.size > 0 &&
               (found = memmem(text.bytes, text.size, part.bytes, part.size)) != NULL) {
            text.size -= (size_t)(found - text.bytes) + part.size;
            text.bytes = found + part.size;
            count++;
        }
        *out = enx_tpl_int(count);
        return ENX_OK;
    }
    if (is_in && part.size == 0) found = text.bytes;
    else if (is_in && text.size > 0)
        found = call->native->variant == FIND_LAST
                    ? find_last(text.bytes, text.bytes + text.size, part)
                    : memmem(text.bytes, text.size, part.bytes, part.size);
    if (!found && call->native->variant == INDEX)
        return ENX_TPL_FAIL(call->state, INVALID, "index: substring not found");
    const enx_tpl_text before = { call->self.text.bytes,
                                  found ? (size_t)(found - call->self.text.bytes) : 0 };
    *out = enx_tpl_int(found ? (int64_t)enx_tpl_text_length(before) : -1);
    return ENX_OK;
}

static enx_status text_join(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    const size_t        mark = enx_tpl_scratch_mark(call->state);
    ENX_TRY(enx_tpl_iterate(call->state, call->slot[0], &items));
    for (size_t i = 0; i < items->count; i++) {
        enx_tpl_text text = { 0 };
        ENX_TRY(enx_tpl_charge(call->state, 1));
        ENX_TRY(enx_tpl_want_text(call, &items->items[i], &text));
        if (i)
            ENX_TRY(enx_tpl_scratch_put(call->state, call->self.text.bytes, call->self.text.size));
        ENX_TRY(enx_tpl_scratch_put(call->state, text.bytes, text.size));
    }
    return enx_tpl_scratch_take(call->state, mark, out);
}

enum { IS_DIGIT, IS_ALPHA, IS_ALNUM, IS_SPACE };

static bool is_of_class(enx_tpl_text one, int class)
{
    uint32_t point;
    (void)enx_utf8_decode(one.bytes, one.size, &point);
    if (point == ENX_UTF8_INVALID) return false;
    const utf8proc_category_t kind = utf8proc_category((int32_t)point);
    const bool is_alpha = kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
    const bool is_digit = kind == UTF8PROC_CATEGORY_ND;
    if (class == IS_SPACE) return enx_tpl_text_trim(one, true, false).size == 0;
    return (is_alpha && class != IS_DIGIT) || (is_digit && class != IS_ALPHA);
}

static enx_status text_class(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_text text = call->self.text;
    bool               holds = text.size > 0;
    for (size_t at = 0, used; at < text.size && holds; at += used) {
        used = enx_tpl_text_step(text, at);
        holds = is_of_class((enx_tpl_text){ text.bytes + at, used }, call->native->variant);
    }
    *out = enx_tpl_bool(holds);
    return enx_tpl_charge(call->state, text.size / 16);
}

/* isupper and islower are the tests of that name. */
static enx_status text_by_test(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_native *test =
        enx_tpl_test_find(call->native->variant == ENX_TPL_CASE_UPPER ? ENX_TPL_TEXT("upper")
                                                                      : ENX_TPL_TEXT("lower"));
    return enx_tpl_call_native(call->state, test, &call->self, call->args, out);
}

/* "{} and {name}".format(...), without conversions. */
static enx_status text_format(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_text text = call->self.text;
    const size_t       mark = enx_tpl_scratch_mark(call->state);
    size_t             next = 0;
    for (size_t at = 0; at < text.size; at++) {
        const char c = text.bytes[at];
        const bool is_double = at + 1 < text.size && text.bytes[at + 1] == c;
        if ((c != '{' && c != '}') || is_double) {
            ENX_TRY(enx_tpl_scratch_put(call->state, &c, 1));
            at += (c == '{' || c == '}') ? 1 : 0;
            continue;
        }
        const char *end = c == '{' ? memchr(text.bytes + at, '}', text.size - at) : NULL;
        if (!end) return ENX_TPL_FAIL(call->state, INVALID, "format: a lone '%c'", c);
        const enx_tpl_text name = { text.bytes + at + 1, (size_t)(end - text.bytes) - at - 1 };
        size_t             index = name.size == 0 ? next++ : SIZE_MAX;
        if (name.size == 1 && name.bytes[0] >= '0' && name.bytes[0] <= '9')
            index = (size_t)(name.bytes[0] - '0');
        for (size_t i = call->args->positional_count; i < call->args->count; i++)
            if (enx_tpl_text_equals(call->args->names[i], name)) index = i;
        if (index >= call->args->count)
            return ENX_TPL_FAIL(call->state, INVALID, "format: no value for '{%.*s}'",
                                (int)(name.size < 40 ? name.size : 40), name.bytes);
        ENX_TRY(enx_tpl_scratch_print(call->state, &call->args->values[index]));
        at = (size_t)(end - text.bytes);
    }
    ENX_TRY(enx_tpl_charge(call->state, text.size / 16));
    return enx_tpl_scratch_take(call->state, mark, out);
}

/* ---- Methods of lists and dicts ------------------------------------------------------------- */

static enx_status return_none(enx_tpl_value *out)
{
    *out = (enx_tpl_value){ .kind = ENX_TPL_NONE };
    return ENX_OK;
}

static enx_status list_append(const enx_tpl_call *call, enx_tpl_value *out)
{
    ENX_TRY(enx_tpl_list_push(call->state, call->self.list, *call->slot[0]));
    return return_none(out);
}

static enx_status list_extend(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    ENX_TRY(enx_tpl_iterate(call->state, call->slot[0], &items));
    const size_t count = items->count;
    for (size_t i = 0; i < count; i++)
        ENX_TRY(enx_tpl_list_push(call->state, call->self.list, items->items[i]));
    return return_none(out);
}

static enx_status list_insert(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_list *list = call->self.list;
    const int64_t count = (int64_t)list->count;
    int64_t       at;
    ENX_TRY(enx_tpl_want_int(call, call->slot[0], &at));
    if (at < 0) at = at + count < 0 ? 0 : at + count;
    if (at > count) at = count;
    ENX_TRY(enx_tpl_list_push(call->state, list, *call->slot[1]));
    memmove(list->items + at + 1, list->items + at, (size_t)(count - at) * sizeof *list->items);
    list->items[at] = *call->slot[1];
    ENX_TRY(enx_tpl_charge(call->state, (size_t)count / 8));
    return return_none(out);
}

static enx_status list_pop(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_list *list = call->self.list;
    const int64_t count = (int64_t)list->count;
    int64_t       at = -1;
    if (call->slot[0]) ENX_TRY(enx_tpl_want_int(call, call->slot[0], &at));
    if (at < 0) at += count;
    if (at < 0 || at >= count) return ENX_TPL_FAIL(call->state, INVALID, "pop: index out of range");
    *out = list->items[at];
    memmove(list->items + at, list->items + at + 1, (size_t)(count - at - 1) * sizeof *list->items);
    list->count--;
    return enx_tpl_charge(call->state, (size_t)count / 8);
}

/* index and count(value) */
static enx_status list_find(const enx_tpl_call *call, enx_tpl_value *out)
{
    int64_t count = 0, first = -1;
    for (size_t i = 0; i < call->self.list->count; i++) {
        bool is_equal;
        ENX_TRY(enx_tpl_charge(call->state, 1));
        ENX_TRY(enx_tpl_equals(call->state, &call->self.list->items[i], call->slot[0], &is_equal));
        if (is_equal && count++ == 0) first = (int64_t)i;
    }
    if (call->native->variant == INDEX && count == 0)
        return ENX_TPL_FAIL(call->state, INVALID, "index: the value is not in the list");
    *out = enx_tpl_int(call->native->variant == INDEX ? first : count);
    return ENX_OK;
}

static enx_status value_copy(const enx_tpl_call *call, enx_tpl_value *out)
{
    if (call->self.kind == ENX_TPL_DICT) {
        ENX_TRY(enx_tpl_dict_new(call->state, ENX_TPL_DICT, out));
        for (size_t i = 0; i < call->self.dict->count; i++)
            ENX_TRY(enx_tpl_dict_set(call->state, out->dict, call->self.dict->pairs[i].key,
                                     call->self.dict->pairs[i].value));
        return ENX_OK;
    }
    return enx_tpl_call_native(call->state, enx_tpl_filter_find(ENX_TPL_TEXT("list")), &call->self,
                               call->args, out);
}

static enx_status dict_get(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_value *found;
    ENX_TRY(enx_tpl_dict_find(call->state, call->self.dict, call->slot[0], &found));
    if (found) *out = *found;
    else if (call->slot[1]) *out = *call->slot[1];
    else return return_none(out);
    return ENX_OK;
}

enum { PAIR_KEYS, PAIR_VALUES, PAIR_BOTH };

static enx_status dict_list(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_dict *dict = call->self.dict;
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, out));
    for (size_t i = 0; i < dict->count; i++) {
        enx_tpl_value item = dict->pairs[i].key;
        if (call->native->variant == PAIR_VALUES) item = dict->pairs[i].value;
        if (call->native->variant == PAIR_BOTH)
            ENX_TRY(enx_tpl_pair_new(call->state, dict->pairs[i].key, dict->pairs[i].value, &item));
        ENX_TRY(enx_tpl_list_push(call->state, out->list, item));
    }
    return ENX_OK;
}

static enx_status dict_pop(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_dict  *dict = call->self.dict;
    enx_tpl_value *found;
    ENX_TRY(enx_tpl_dict_find(call->state, dict, call->slot[0], &found));
    if (!found && !call->slot[1]) return ENX_TPL_FAIL(call->state, INVALID, "pop: no such key");
    *out = found ? *found : *call->slot[1];
    if (!found) return ENX_OK;
    size_t at = 0;
    while (&dict->pairs[at].value != found) at++;
    memmove(dict->pairs + at, dict->pairs + at + 1, (dict->count - at - 1) * sizeof *dict->pairs);
    dict->count--;
    return ENX_OK;
}

/* The pairs of another dict, or of a list of pairs. */
static enx_status add_pairs(const enx_tpl_call *call, const enx_tpl_value *from, enx_tpl_dict *dict)
{
    if (from->kind == ENX_TPL_DICT) {
        const size_t count = from->dict->count;
        for (size_t i = 0; i < count; i++)
            ENX_TRY(enx_tpl_dict_set(call->state, dict, from->dict->pairs[i].key,
                                     from->dict->pairs[i].value));
        return ENX_OK;
    }
    const enx_tpl_list *items;
    ENX_TRY(enx_tpl_iterate(call->state, from, &items));
    for (size_t i = 0; i < items->count; i++) {
        const enx_tpl_value *pair = &items->items[i];
        if (!enx_tpl_is_list(pair) || pair->list->count != 2)
            return ENX_TPL_FAIL(call->state, INVALID, "%s needs pairs", call->native->name);
        ENX_TRY(enx_tpl_dict_set(call->state, dict, pair->list->items[0], pair->list->items[1]));
    }
    return ENX_OK;
}

/* A dict, pairs, and names, in this order: dict(...), namespace(...), update(...). */
static enx_status fill_dict(const enx_tpl_call *call, enx_tpl_dict *dict)
{
    if (call->args->positional_count > 1)
        return ENX_TPL_FAIL(call->state, INVALID, "%s takes one dict and names",
                            call->native->name);
    for (size_t i = 0; i < call->args->count; i++) {
        if (i < call->args->positional_count)
            ENX_TRY(add_pairs(call, &call->args->values[i], dict));
        else
            ENX_TRY(enx_tpl_dict_set(call->state, dict, enx_tpl_string(call->args->names[i]),
                                     call->args->values[i]));
    }
    return ENX_OK;
}

static enx_status dict_update(const enx_tpl_call *call, enx_tpl_value *out)
{
    ENX_TRY(fill_dict(call, call->self.dict));
    return return_none(out);
}

static enx_status loop_cycle(const enx_tpl_call *call, enx_tpl_value *out)
{
    if (call->args->count == 0) return ENX_TPL_FAIL(call->state, INVALID, "cycle: no items");
    *out = call->args->values[call->self.loop->index % call->args->count];
    return ENX_OK;
}

static enx_status loop_changed(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_value now = { 0 };
    bool          is_equal;
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_TUPLE, &now));
    for (size_t i = 0; i < call->args->count; i++)
        ENX_TRY(enx_tpl_list_push(call->state, now.list, call->args->values[i]));
    ENX_TRY(enx_tpl_equals(call->state, &now, &call->self.loop->changed, &is_equal));
    call->self.loop->changed = now;
    *out = enx_tpl_bool(!is_equal);
    return ENX_OK;
}

/* ---- Functions ------------------------------------------------------------------------------ */

static enx_status make_dict(const enx_tpl_call *call, enx_tpl_value *out)
{
    ENX_TRY(enx_tpl_dict_new(call->state, (enx_tpl_kind)call->native->variant, out));
    return fill_dict(call, out->dict);
}

static enx_status make_range(const enx_tpl_call *call, enx_tpl_value *out)
{
    int64_t from = 0, to, step = 1;
    ENX_TRY(enx_tpl_want_int(call, call->slot[0], &to));
    if (call->slot[1]) {
        from = to;
        ENX_TRY(enx_tpl_want_int(call, call->slot[1], &to));
    }
    if (call->slot[2]) ENX_TRY(enx_tpl_want_int(call, call->slot[2], &step));
    if (step == 0) return ENX_TPL_FAIL(call->state, INVALID, "range: a step of zero");
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, out));
    while (step > 0 ? from < to : from > to) {
        ENX_TRY(enx_tpl_list_push(call->state, out->list, enx_tpl_int(from)));
        if (__builtin_add_overflow(from, step, &from)) break;
    }
    return enx_tpl_charge(call->state, out->list->count / 4);
}

static enx_status raise_exception(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text text = { 0 };
    (void)out;
    ENX_TRY(enx_tpl_to_text(call->state, call->slot[0], &text));
    return ENX_FAIL(call->state->report, INVALID, "%.*s",
                    (int)(text.size < ENX_REPORT_TEXT_MAX ? text.size : ENX_REPORT_TEXT_MAX),
                    text.bytes);
}

typedef struct moment {
    int64_t year;
    int     month, day, year_day, week_day; /* from 1, from 1, from 1, from 0 = Sunday */
    int     hour, minute, second;
} moment;

/* Proleptic Gregorian, UTC; years begin in March, so that a leap day ends one.
 * Source: any calendar of 400 years has 146097 days. */
static moment moment_of(int64_t now_s)
{
    static const int days_before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    const int64_t    limit = INT64_C(200000000000); /* the year 8307 */
    now_s = now_s < -limit ? -limit : now_s > limit ? limit : now_s;
    int64_t days = now_s / SECONDS_A_DAY, rest = now_s % SECONDS_A_DAY;
    if (rest < 0) {
        rest += SECONDS_A_DAY;
        days--;
    }
    const int64_t since = days + 719468 + 400 * INT64_C(146097); /* from 1 March of year -160000 */
    const int64_t era = since / 146097, day = since % 146097;
    const int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    const int64_t in_year = day - (365 * year + year / 4 - year / 100);
    const int64_t month = (5 * in_year + 2) / 153;
    moment        m = { .day = (int)(in_year - (153 * month + 2) / 5 + 1),
                        .month = (int)(month < 10 ? month + 3 : month - 9),
                        .week_day = (int)(((days + 4) % 7 + 7) % 7),
                        .hour = (int)(rest / 3600),
                        .minute = (int)(rest / 60 % 60),
                        .second = (int)(rest % 60) };
    m.year = year + (era - 400) * 400 + (m.month <= 2 ? 1 : 0);
    const bool is_leap = m.year % 4 == 0 && (m.year % 100 != 0 || m.year % 400 == 0);
    m.year_day = days_before[m.month - 1] + m.day + (is_leap && m.month > 2 ? 1 : 0);
    return m;
}

static const char *const month_names[] = { "January",   "February", "March",    "April",
                                           "May",       "June",     "July",     "August",
                                           "September", "October",  "November", "December" };
static const char *const day_names[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                         "Thursday", "Friday", "Saturday" };

/* One letter of strftime in the C locale; `pad` is empty after a '-'.  0: not known. */
static int show_moment(const moment *m, char letter, bool pads, char *out, size_t size)
{
    const int  hour = m->hour % 12 ? m->hour % 12 : 12, wide = pads ? 2 : 1;
    const int  week_day = m->week_day ? m->week_day : 7;
    const long year = (long)m->year;
    switch (letter) {
    case 'Y':
        return snprintf(out, size, "%ld", year);
    case 'y':
        return snprintf(out, size, "%0*ld", wide, (year % 100 + 100) % 100);
    case 'm':
        return snprintf(out, size, "%0*d", wide, m->month);
    case 'd':
        return snprintf(out, size, "%0*d", wide, m->day);
    case 'e':
        return snprintf(out, size, "%*d", wide, m->day);
    case 'H':
        return snprintf(out, size, "%0*d", wide, m->hour);
    case 'I':
        return snprintf(out, size, "%0*d", wide, hour);
    case 'M':
        return snprintf(out, size, "%0*d", wide, m->minute);
    case 'S':
        return snprintf(out, size, "%0*d", wide, m->second);
    case 'j':
        return snprintf(out, size, "%0*d", pads ? 3 : 1, m->year_day);
    case 'f':
        return snprintf(out, size, "000000");
    case 'w':
        return snprintf(out, size, "%d", m->week_day);
    case 'u':
        return snprintf(out, size, "%d", week_day);
    case 'p':
        return snprintf(out, size, "%s", m->hour < 12 ? "AM" : "PM");
    case 'b':
    case 'h':
        return snprintf(out, size, "%.3s", month_names[m->month - 1]);
    case 'B':
        return snprintf(out, size, "%s", month_names[m->month - 1]);
    case 'a':
        return snprintf(out, size, "%.3s", day_names[m->week_day]);
    case 'A':
        return snprintf(out, size, "%s", day_names[m->week_day]);
    case 'F':
        return snprintf(out, size, "%ld-%02d-%02d", year, m->month, m->day);
    case 'T':
    case 'X':
        return snprintf(out, size, "%02d:%02d:%02d", m->hour, m->minute, m->second);
    case 'R':
        return snprintf(out, size, "%02d:%02d", m->hour, m->minute);
    case 'D':
    case 'x':
        return snprintf(out, size, "%02d/%02d/%02ld", m->month, m->day, (year % 100 + 100) % 100);
    case 'c':
        return snprintf(out, size, "%.3s %.3s %2d %02d:%02d:%02d %ld", day_names[m->week_day],
                        month_names[m->month - 1], m->day, m->hour, m->minute, m->second, year);
    case 'Z':
        return snprintf(out, size, "UTC");
    case 'z':
        return snprintf(out, size, "+0000");
    case '%':
        return snprintf(out, size, "%%");
    case 'n':
        return snprintf(out, size, "\n");
    case 't':
        return snprintf(out, size, "\t");
    default:
        return 0;
    }
}

static enx_status strftime_now(const enx_tpl_call *call, enx_tpl_value *out)
{
    const moment now = moment_of(call->state->now_s);
    const size_t mark = enx_tpl_scratch_mark(call->state);
    enx_tpl_text format = { 0 };
    ENX_TRY(enx_tpl_want_text(call, call->slot[0], &format));
    for (size_t at = 0; at < format.size; at++) {
        char shown[TIME_BYTES_MAX] = { format.bytes[at] };
        int  size = 1;
        if (format.bytes[at] == '%') {
            const bool pads = at + 1 >= format.size || format.bytes[at + 1] != '-';
            at += pads ? 1 : 2;
            const char letter = at < format.size ? format.bytes[at] : '\0';
            size = show_moment(&now, letter, pads, shown, sizeof shown);
            if (size == 0)
                return ENX_TPL_FAIL(call->state, UNSUPPORTED, "strftime_now: there is no %%%c here",
                                    letter > ' ' && letter < 0x7f ? letter : '?');
        }
        ENX_TRY(enx_tpl_scratch_put(call->state, shown, (size_t)size));
    }
    ENX_TRY(enx_tpl_charge(call->state, format.size / 16));
    return enx_tpl_scratch_take(call->state, mark, out);
}

/* ---- Tables --------------------------------------------------------------------------------- */

#define KIND(name) (1u << ENX_TPL_##name)

static const enx_tpl_native methods[] = {
    { "strip", "chars", 0, text_strip, KIND(STRING), AT_START | AT_END },
    { "lstrip", "chars", 0, text_strip, KIND(STRING), AT_START },
    { "rstrip", "chars", 0, text_strip, KIND(STRING), AT_END },
    { "split", "sep maxsplit", 0, text_split, KIND(STRING), 0 },
    { "rsplit", "sep maxsplit", 0, text_split, KIND(STRING), 1 },
    { "splitlines", "keepends", 0, text_splitlines, KIND(STRING), 0 },
    { "startswith", "prefix start end", 1, text_ends, KIND(STRING), AT_START },
    { "endswith", "suffix start end", 1, text_ends, KIND(STRING), AT_END },
    { "removeprefix", "prefix", 1, text_remove_end, KIND(STRING), AT_START },
    { "removesuffix", "suffix", 1, text_remove_end, KIND(STRING), AT_END },
    { "upper", "", 0, text_case, KIND(STRING), ENX_TPL_CASE_UPPER },
    { "lower", "", 0, text_case, KIND(STRING), ENX_TPL_CASE_LOWER },
    { "casefold", "", 0, text_case, KIND(STRING), ENX_TPL_CASE_LOWER },
    { "title", "", 0, text_case, KIND(STRING), ENX_TPL_CASE_TITLE },
    { "capitalize", "", 0, text_case, KIND(STRING), ENX_TPL_CASE_FIRST },
    { "replace", "old new count", 2, text_replace, KIND(STRING), 0 },
    { "join", "iterable", 1, text_join, KIND(STRING), 0 },
    { "find", "sub start end", 1, text_find, KIND(STRING), FIND },
    { "rfind", "sub start end", 1, text_find, KIND(STRING), FIND_LAST },
    { "index", "sub start end", 1, text_find, KIND(STRING), INDEX },
    { "count", "sub start end", 1, text_find, KIND(STRING), FIND_COUNT },
    { "format", "*", 0, text_format, KIND(STRING), 0 },
    { "isdigit", "", 0, text_class, KIND(STRING), IS_DIGIT },
    { "isnumeric", "", 0, text_class, KIND(STRING), IS_DIGIT },
    { "isdecimal", "", 0, text_class, KIND(STRING), IS_DIGIT },
    { "isalpha", "", 0, text_class, KIND(STRING), IS_ALPHA },
    { "isalnum", "", 0, text_class, KIND(STRING), IS_ALNUM },
    { "isspace", "", 0, text_class, KIND(STRING), IS_SPACE },
    { "isupper", "", 0, text_by_test, KIND(STRING), ENX_TPL_CASE_UPPER },
    { "islower", "", 0, text_by_test, KIND(STRING), ENX_TPL_CASE_LOWER },
    { "append", "object", 1, list_append, KIND(LIST), 0 },
    { "extend", "iterable", 1, list_extend, KIND(LIST), 0 },
    { "insert", "index object", 2, list_insert, KIND(LIST), 0 },
    { "pop", "index", 0, list_pop, KIND(LIST), 0 },
    { "index", "value", 1, list_find, KIND(LIST) | KIND(TUPLE), INDEX },
    { "count", "value", 1, list_find, KIND(LIST) | KIND(TUPLE), FIND_COUNT },
    { "copy", "", 0, value_copy, KIND(LIST) | KIND(DICT), 0 },
    { "get", "key default", 1, dict_get, KIND(DICT), 0 },
    { "keys", "", 0, dict_list, KIND(DICT), PAIR_KEYS },
    { "values", "", 0, dict_list, KIND(DICT), PAIR_VALUES },
    { "items", "", 0, dict_list, KIND(DICT), PAIR_BOTH },
    { "pop", "key default", 1, dict_pop, KIND(DICT), 0 },
    { "update", "*", 0, dict_update, KIND(DICT), 0 },
    { "cycle", "*", 0, loop_cycle, KIND(LOOP), 0 },
    { "changed", "*", 0, loop_changed, KIND(LOOP), 0 },
};

static const enx_tpl_native functions[] = {
    { "raise_exception", "message", 1, raise_exception, 0, 0 },
    { "strftime_now", "format", 1, strftime_now, 0, 0 },
    { "namespace", "*", 0, make_dict, 0, ENX_TPL_NAMESPACE },
    { "dict", "*", 0, make_dict, 0, ENX_TPL_DICT },
    { "range", "start stop step", 1, make_range, 0, 0 },
};

const enx_tpl_native *enx_tpl_method_find(enx_tpl_kind kind, enx_tpl_text name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if ((methods[i].kinds >> kind & 1) && enx_tpl_text_is(name, methods[i].name))
            return &methods[i];
    return NULL;
}

const enx_tpl_native *enx_tpl_function_find(enx_tpl_text name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (enx_tpl_text_is(name, functions[i].name)) return &functions[i];
    return NULL;
}
