/* SPDX-License-Identifier: Apache-2.0 */
/* template_filter.c - filters and tests, as Jinja has them. */
#include "text/template_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES_MAX = 64, PRECISION_MAX = 300, INDENT_MAX = 256 };

static bool slot_is_true(const enx_tpl_call *call, size_t index)
{
    return call->slot[index] && enx_tpl_is_true(call->slot[index]);
}

static enx_status slot_int(const enx_tpl_call *call, size_t index, int64_t missing, int64_t *out)
{
    *out = missing;
    if (!call->slot[index] || call->slot[index]->kind == ENX_TPL_NONE) return ENX_OK;
    return enx_tpl_want_int(call, call->slot[index], out);
}

static enx_status slot_text(const enx_tpl_call *call, size_t index, enx_tpl_text missing,
                            enx_tpl_text *out)
{
    *out = missing;
    if (!call->slot[index] || call->slot[index]->kind == ENX_TPL_NONE) return ENX_OK;
    return enx_tpl_want_text(call, call->slot[index], out);
}

static enx_tpl_value undefined(const char *what)
{
    return (enx_tpl_value){ .kind = ENX_TPL_UNDEFINED, .text = { what, strlen(what) } };
}

/* ---- Attributes by path --------------------------------------------------------------------- */

/* "a.b.0" of a value; without a path, the value. */
static enx_status follow(enx_tpl_state *state, const enx_tpl_value *value,
                         const enx_tpl_value *path, enx_tpl_value *out)
{
    *out = *value;
    if (!path || path->kind == ENX_TPL_NONE) return ENX_OK;
    if (path->kind != ENX_TPL_STRING) return enx_tpl_item_get(state, value, path, out);
    const char *at = path->text.bytes, *end = at + path->text.size;
    while (at <= end) {
        const char         *dot = at < end ? memchr(at, '.', (size_t)(end - at)) : NULL;
        const enx_tpl_text  part = { at, (size_t)((dot ? dot : end) - at) };
        enx_tpl_value       key = enx_tpl_string(part);
        const enx_tpl_value from = *out;
        if (part.size > 0 && part.size < 10 && strspn(part.bytes, "0123456789") >= part.size)
            key = enx_tpl_int(strtol(part.bytes, NULL, 10));
        ENX_TRY(enx_tpl_item_get(state, &from, &key, out));
        at += part.size + 1;
    }
    return ENX_OK;
}

/* What sort, unique, min and max compare: the attribute, and texts without regard to case. */
static enx_status sort_key(const enx_tpl_call *call, const enx_tpl_value *item,
                           const enx_tpl_value *path, bool is_exact, enx_tpl_value *key)
{
    ENX_TRY(follow(call->state, item, path, key));
    if (is_exact || key->kind != ENX_TPL_STRING) return ENX_OK;
    return enx_tpl_text_recase(call->state, key->text, ENX_TPL_CASE_LOWER, false, key);
}

/* ---- Lists ---------------------------------------------------------------------------------- */

static enx_status filter_length(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_value *self = &call->self;
    size_t               length = 0;
    if (self->kind == ENX_TPL_STRING) {
        ENX_TRY(enx_tpl_charge(call->state, self->text.size / 16));
        length = enx_tpl_text_length(self->text);
    } else if (self->kind == ENX_TPL_DICT) length = self->dict->count;
    else if (enx_tpl_is_list(self)) length = self->list->count;
    else if (self->kind != ENX_TPL_UNDEFINED)
        return ENX_TPL_FAIL(call->state, INVALID, "object of type '%s' has no length",
                            enx_tpl_kind_name(self));
    *out = enx_tpl_int((int64_t)length);
    return ENX_OK;
}

static enx_status filter_end(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    *out = undefined(call->native->variant ? "last item" : "first item");
    if (items->count > 0) *out = items->items[call->native->variant ? items->count - 1 : 0];
    return ENX_OK;
}

static enx_status filter_list(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, out));
    for (size_t i = 0; i < items->count; i++)
        ENX_TRY(enx_tpl_list_push(call->state, out->list, items->items[i]));
    return enx_tpl_charge(call->state, items->count / 4);
}

static enx_status filter_reverse(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    enx_tpl_value       made = { 0 };
    const size_t        mark = enx_tpl_scratch_mark(call->state);
    const bool          is_text = call->self.kind == ENX_TPL_STRING;
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &made));
    for (size_t i = items->count; i-- > 0;) {
        const enx_tpl_value *item = &items->items[i];
        if (is_text) ENX_TRY(enx_tpl_scratch_put(call->state, item->text.bytes, item->text.size));
        else ENX_TRY(enx_tpl_list_push(call->state, made.list, *item));
    }
    *out = made;
    ENX_TRY(enx_tpl_charge(call->state, items->count / 4));
    return is_text ? enx_tpl_scratch_take(call->state, mark, out) : ENX_OK;
}

/* join(d, attribute) */
static enx_status filter_join(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    enx_tpl_text        between = { 0 };
    const size_t        mark = enx_tpl_scratch_mark(call->state);
    ENX_TRY(slot_text(call, 0, ENX_TPL_TEXT(""), &between));
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    for (size_t i = 0; i < items->count; i++) {
        enx_tpl_value item = { 0 };
        ENX_TRY(enx_tpl_charge(call->state, 1));
        ENX_TRY(follow(call->state, &items->items[i], call->slot[1], &item));
        if (i) ENX_TRY(enx_tpl_scratch_put(call->state, between.bytes, between.size));
        ENX_TRY(enx_tpl_scratch_print(call->state, &item));
    }
    return enx_tpl_scratch_take(call->state, mark, out);
}

static enx_status filter_items(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_value *self = &call->self;
    if (self->kind != ENX_TPL_DICT && self->kind != ENX_TPL_UNDEFINED)
        return ENX_TPL_FAIL(call->state, INVALID, "items needs a dict, not '%s'",
                            enx_tpl_kind_name(self));
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, out));
    for (size_t i = 0; self->kind == ENX_TPL_DICT && i < self->dict->count; i++) {
        enx_tpl_value pair = { 0 };
        ENX_TRY(enx_tpl_pair_new(call->state, self->dict->pairs[i].key, self->dict->pairs[i].value,
                                 &pair));
        ENX_TRY(enx_tpl_list_push(call->state, out->list, pair));
    }
    return ENX_OK;
}

/* The items of `list`, sorted by the attribute at `path`, into a new list. */
static enx_status sort_list(const enx_tpl_call *call, const enx_tpl_list *list,
                            const enx_tpl_value *path, bool is_exact, bool is_falling,
                            enx_tpl_value *out)
{
    enx_tpl_value *keys = ENX_TPL_NEW(&call->state->pool, enx_tpl_value, list->count + 1);
    if (!keys) return enx_tpl_fail_memory(call->state);
    enx_tpl_value made = { 0 };
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &made));
    for (size_t i = 0; i < list->count; i++) {
        ENX_TRY(sort_key(call, &list->items[i], path, is_exact, &keys[i]));
        ENX_TRY(enx_tpl_list_push(call->state, made.list, list->items[i]));
    }
    *out = made;
    return enx_tpl_sort(call->state, keys, made.list->items, list->count, is_falling);
}

/* dictsort(case_sensitive, by, reverse) */
static enx_status filter_dictsort(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text  by = { 0 };
    enx_tpl_value pairs = { 0 };
    ENX_TRY(slot_text(call, 1, ENX_TPL_TEXT("key"), &by));
    if (!enx_tpl_text_is(by, "key") && !enx_tpl_text_is(by, "value"))
        return ENX_TPL_FAIL(call->state, INVALID, "dictsort sorts by 'key' or 'value'");
    const enx_tpl_value index = enx_tpl_int(enx_tpl_text_is(by, "value"));
    ENX_TRY(filter_items(call, &pairs));
    return sort_list(call, pairs.list, &index, slot_is_true(call, 0), slot_is_true(call, 2), out);
}

/* sort(reverse, case_sensitive, attribute) */
static enx_status filter_sort(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    return sort_list(call, items, call->slot[2], slot_is_true(call, 1), slot_is_true(call, 0), out);
}

/* unique(case_sensitive, attribute); quadratic, and charged for it. */
static enx_status filter_unique(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    enx_tpl_value       keys = { 0 }, kept = { 0 }, key = { 0 };
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &keys));
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &kept));
    for (size_t i = 0; i < items->count; i++) {
        bool is_known;
        ENX_TRY(sort_key(call, &items->items[i], call->slot[1], slot_is_true(call, 0), &key));
        ENX_TRY(enx_tpl_contains(call->state, &keys, &key, &is_known));
        if (is_known) continue;
        ENX_TRY(enx_tpl_list_push(call->state, keys.list, key));
        ENX_TRY(enx_tpl_list_push(call->state, kept.list, items->items[i]));
    }
    *out = kept;
    return ENX_OK;
}

/* min and max(case_sensitive, attribute) */
static enx_status filter_extreme(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    enx_tpl_value       best = { 0 }, key;
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    *out = undefined("item of an empty sequence");
    for (size_t i = 0; i < items->count; i++) {
        int order = call->native->variant;
        ENX_TRY(sort_key(call, &items->items[i], call->slot[1], slot_is_true(call, 0), &key));
        if (i) ENX_TRY(enx_tpl_compare(call->state, &key, &best, &order));
        if (order != call->native->variant) continue;
        best = key;
        *out = items->items[i];
    }
    return ENX_OK;
}

/* sum(attribute, start) */
static enx_status filter_sum(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    enx_tpl_value       sum = call->slot[1] ? *call->slot[1] : enx_tpl_int(0);
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    for (size_t i = 0; i < items->count; i++) {
        enx_tpl_value item = { 0 }, next = { 0 };
        ENX_TRY(enx_tpl_charge(call->state, 1));
        ENX_TRY(follow(call->state, &items->items[i], call->slot[0], &item));
        ENX_TRY(enx_tpl_binary(call->state, ENX_TPL_OP('+', 0), &sum, &item, &next));
        sum = next;
    }
    *out = sum;
    return ENX_OK;
}

/* batch(linecount, fill_with) */
static enx_status filter_batch(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_list *items;
    int64_t             size;
    enx_tpl_value       rows, row = { 0 };
    ENX_TRY(enx_tpl_want_int(call, call->slot[0], &size));
    if (size < 1) return ENX_TPL_FAIL(call->state, INVALID, "batch needs a size above 0");
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &rows));
    for (size_t i = 0; i < items->count; i++) {
        if (i % (size_t)size == 0) {
            ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &row));
            ENX_TRY(enx_tpl_list_push(call->state, rows.list, row));
        }
        ENX_TRY(enx_tpl_list_push(call->state, row.list, items->items[i]));
    }
    const bool fills = call->slot[1] && call->slot[1]->kind != ENX_TPL_NONE && row.list;
    while (fills && row.list->count < (size_t)size)
        ENX_TRY(enx_tpl_list_push(call->state, row.list, *call->slot[1]));
    *out = rows;
    return ENX_OK;
}

/* ---- map, select, reject -------------------------------------------------------------------- */

/* The arguments after the first `count`. */
static enx_tpl_args rest_of(const enx_tpl_args *args, size_t count)
{
    enx_tpl_args rest = *args;
    rest.values += count;
    rest.names += count;
    rest.count -= count;
    rest.positional_count -= count;
    return rest;
}

static const enx_tpl_value *named(const enx_tpl_args *args, const char *name)
{
    for (size_t i = args->positional_count; i < args->count; i++)
        if (enx_tpl_text_is(args->names[i], name)) return &args->values[i];
    return NULL;
}

static enx_status find_by_value(const enx_tpl_call *call, const enx_tpl_value *name, bool is_test,
                                const enx_tpl_native **found)
{
    enx_tpl_text text = { 0 };
    ENX_TRY(enx_tpl_want_text(call, name, &text));
    *found = is_test ? enx_tpl_test_find(text) : enx_tpl_filter_find(text);
    if (*found) return ENX_OK;
    return ENX_TPL_FAIL(call->state, UNSUPPORTED, "there is no %s '%.*s' here",
                        is_test ? "test" : "filter", (int)(text.size < 60 ? text.size : 60),
                        text.bytes);
}

/* map(attribute=path, default=value), or map(filter, ...) */
static enx_status filter_map(const enx_tpl_call *call, enx_tpl_value *out)
{
    const enx_tpl_value  *path = named(call->args, "attribute");
    const enx_tpl_value  *fallback = named(call->args, "default");
    const enx_tpl_native *native = NULL;
    enx_tpl_args          rest = *call->args;
    enx_tpl_value         made = { 0 }, value = { 0 };
    const enx_tpl_list   *items;
    if (rest.positional_count > 0) {
        ENX_TRY(find_by_value(call, &rest.values[0], false, &native));
        rest = rest_of(&rest, 1);
    } else if (!path) return ENX_TPL_FAIL(call->state, INVALID, "map needs a filter or attribute=");
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &made));
    for (size_t i = 0; i < items->count; i++) {
        ENX_TRY(enx_tpl_charge(call->state, 1));
        if (native)
            ENX_TRY(enx_tpl_call_native(call->state, native, &items->items[i], &rest, &value));
        else ENX_TRY(follow(call->state, &items->items[i], path, &value));
        if (!native && fallback && value.kind == ENX_TPL_UNDEFINED) value = *fallback;
        ENX_TRY(enx_tpl_list_push(call->state, made.list, value));
    }
    *out = made;
    return ENX_OK;
}

enum { PICK_REJECTS = 1, PICK_BY_ATTRIBUTE = 2 };

/* select(test, ...), selectattr(path, test, ...) and their opposites; without a test, truth. */
static enx_status filter_pick(const enx_tpl_call *call, enx_tpl_value *out)
{
    const bool            is_rejecting = call->native->variant & PICK_REJECTS;
    const enx_tpl_native *test = NULL;
    const enx_tpl_value  *path = NULL;
    enx_tpl_args          rest = *call->args;
    const enx_tpl_list   *items;
    enx_tpl_value         made = { 0 };
    if (call->native->variant & PICK_BY_ATTRIBUTE) {
        if (rest.positional_count == 0)
            return ENX_TPL_FAIL(call->state, INVALID, "%s needs an attribute", call->native->name);
        path = &rest.values[0];
        rest = rest_of(&rest, 1);
    }
    if (rest.positional_count > 0) {
        ENX_TRY(find_by_value(call, &rest.values[0], true, &test));
        rest = rest_of(&rest, 1);
    }
    ENX_TRY(enx_tpl_iterate(call->state, &call->self, &items));
    ENX_TRY(enx_tpl_list_new(call->state, ENX_TPL_LIST, &made));
    for (size_t i = 0; i < items->count; i++) {
        enx_tpl_value value = { 0 }, holds = { 0 };
        ENX_TRY(enx_tpl_charge(call->state, 1));
        ENX_TRY(follow(call->state, &items->items[i], path, &value));
        holds = value;
        if (test) ENX_TRY(enx_tpl_call_native(call->state, test, &value, &rest, &holds));
        if (enx_tpl_is_true(&holds) == is_rejecting) continue;
        ENX_TRY(enx_tpl_list_push(call->state, made.list, items->items[i]));
    }
    *out = made;
    return ENX_OK;
}

/* ---- Texts ---------------------------------------------------------------------------------- */

static enx_status filter_string(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text text = { 0 };
    ENX_TRY(enx_tpl_to_text(call->state, &call->self, &text));
    *out = enx_tpl_string(text);
    return ENX_OK;
}

static enx_status filter_case(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text text = { 0 };
    ENX_TRY(enx_tpl_to_text(call->state, &call->self, &text));
    return enx_tpl_text_recase(call->state, text, (enx_tpl_case)call->native->variant, true, out);
}

/* trim(chars) and replace(old, new, count): the text's own methods. */
static enx_status filter_by_method(const enx_tpl_call *call, enx_tpl_value *out)
{
    static const enx_tpl_text methods[] = { { "strip", 5 }, { "replace", 7 } };
    enx_tpl_text              text = { 0 };
    ENX_TRY(enx_tpl_to_text(call->state, &call->self, &text));
    const enx_tpl_value self = enx_tpl_string(text);
    return enx_tpl_call_native(call->state,
                               enx_tpl_method_find(ENX_TPL_STRING, methods[call->native->variant]),
                               &self, call->args, out);
}

/* indent(width, first, blank) */
static enx_status filter_indent(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text text = { 0 }, indent = { 0 };
    char         blanks[INDENT_MAX];
    int64_t      width = 4;
    ENX_TRY(enx_tpl_to_text(call->state, &call->self, &text));
    if (call->slot[0] && call->slot[0]->kind == ENX_TPL_STRING) indent = call->slot[0]->text;
    else {
        ENX_TRY(slot_int(call, 0, 4, &width));
        if (width > INDENT_MAX)
            return ENX_TPL_FAIL(call->state, LIMIT, "indent by more than %d", INDENT_MAX);
        memset(blanks, ' ', sizeof blanks);
        indent = (enx_tpl_text){ blanks, width > 0 ? (size_t)width : 0 };
    }
    const size_t mark = enx_tpl_scratch_mark(call->state);
    for (size_t at = 0, line = 0; at <= text.size; line++) {
        const char  *end = at < text.size ? memchr(text.bytes + at, '\n', text.size - at) : NULL;
        const size_t size = end ? (size_t)(end - text.bytes) - at : text.size - at;
        const bool indents = line == 0 ? slot_is_true(call, 1) : size > 0 || slot_is_true(call, 2);
        if (line > 0) ENX_TRY(enx_tpl_scratch_put(call->state, "\n", 1));
        if (indents) ENX_TRY(enx_tpl_scratch_put(call->state, indent.bytes, indent.size));
        ENX_TRY(enx_tpl_scratch_put(call->state, text.bytes + at, size));
        ENX_TRY(enx_tpl_charge(call->state, 1));
        at += size + 1;
    }
    return enx_tpl_scratch_take(call->state, mark, out);
}

static enx_status filter_escape(const enx_tpl_call *call, enx_tpl_value *out)
{
    static const char        marks[] = "&<>'\"";
    static const char *const names[] = { "&amp;", "&lt;", "&gt;", "&#39;", "&#34;" };
    enx_tpl_text             text = { 0 };
    ENX_TRY(enx_tpl_to_text(call->state, &call->self, &text));
    const size_t mark = enx_tpl_scratch_mark(call->state);
    for (size_t i = 0; i < text.size; i++) {
        const char *found = text.bytes[i] ? strchr(marks, text.bytes[i]) : NULL;
        const char *put = found ? names[found - marks] : text.bytes + i;
        ENX_TRY(enx_tpl_scratch_put(call->state, put, found ? strlen(put) : 1));
    }
    ENX_TRY(enx_tpl_charge(call->state, text.size / 16));
    return enx_tpl_scratch_take(call->state, mark, out);
}

static enx_status filter_wordcount(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text text = { 0 };
    int64_t      count = 0;
    ENX_TRY(enx_tpl_to_text(call->state, &call->self, &text));
    for (size_t i = 0; i < text.size; i++)
        if (!enx_tpl_is_space(text.bytes[i]) && (i == 0 || enx_tpl_is_space(text.bytes[i - 1])))
            count++;
    *out = enx_tpl_int(count);
    return enx_tpl_charge(call->state, text.size / 16);
}

static enx_status filter_format(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text       text = { 0 };
    const enx_tpl_list values = { call->args->values, call->args->count, call->args->count };
    ENX_TRY(enx_tpl_to_text(call->state, &call->self, &text));
    return enx_tpl_text_percent(call->state, text, &values, out);
}

/* tojson(ensure_ascii, indent, separators, sort_keys) */
static enx_status filter_tojson(const enx_tpl_call *call, enx_tpl_value *out)
{
    char                 blanks[INDENT_MAX];
    const enx_tpl_value *indent = call->slot[1], *separators = call->slot[2];
    enx_tpl_json_style   style = { .is_ascii = slot_is_true(call, 0),
                                   .is_sorted = slot_is_true(call, 3),
                                   .is_indented = indent && indent->kind != ENX_TPL_NONE,
                                   .item_separator = ENX_TPL_TEXT(", "),
                                   .key_separator = ENX_TPL_TEXT(": ") };
    if (style.is_indented) style.item_separator = ENX_TPL_TEXT(",");
    if (style.is_indented && indent->kind == ENX_TPL_STRING) style.indent = indent->text;
    else if (style.is_indented) {
        int64_t width;
        ENX_TRY(enx_tpl_want_int(call, indent, &width));
        if (width > INDENT_MAX)
            return ENX_TPL_FAIL(call->state, LIMIT, "indent by more than %d", INDENT_MAX);
        memset(blanks, ' ', sizeof blanks);
        style.indent = (enx_tpl_text){ blanks, width > 0 ? (size_t)width : 0 };
    }
    if (separators && separators->kind != ENX_TPL_NONE) {
        if (!enx_tpl_is_list(separators) || separators->list->count != 2)
            return ENX_TPL_FAIL(call->state, INVALID, "tojson: separators must be two texts");
        ENX_TRY(enx_tpl_want_text(call, &separators->list->items[0], &style.item_separator));
        ENX_TRY(enx_tpl_want_text(call, &separators->list->items[1], &style.key_separator));
    }
    const size_t mark = enx_tpl_scratch_mark(call->state);
    ENX_TRY(enx_tpl_scratch_json(call->state, &call->self, &style, 0));
    return enx_tpl_scratch_take(call->state, mark, out);
}

/* ---- Numbers and other values --------------------------------------------------------------- */

static enx_status filter_default(const enx_tpl_call *call, enx_tpl_value *out)
{
    const bool is_missing = call->self.kind == ENX_TPL_UNDEFINED ||
                            (slot_is_true(call, 1) && !enx_tpl_is_true(&call->self));
    *out = call->self;
    if (is_missing) *out = call->slot[0] ? *call->slot[0] : enx_tpl_string(ENX_TPL_TEXT(""));
    return ENX_OK;
}

static enx_status filter_same(const enx_tpl_call *call, enx_tpl_value *out)
{
    *out = call->self;
    return ENX_OK;
}

static enx_status filter_attr(const enx_tpl_call *call, enx_tpl_value *out)
{
    enx_tpl_text name = { 0 };
    ENX_TRY(enx_tpl_want_text(call, call->slot[0], &name));
    return enx_tpl_attribute_get(call->state, &call->self, name, out);
}

/* The text as a number's digits, without outer blanks and single underscores. */
static bool copy_number(enx_tpl_text text, char *digits)
{
    size_t used = 0;
    text = enx_tpl_text_trim(text, true, true);
    for (size_t i = 0; i < text.size; i++) {
        if (text.bytes[i] == '\0' || used + 1 >= NUMBER_BYTES_MAX) return false;
        if (text.bytes[i] != '_') digits[used++] = text.bytes[i];
    }
    digits[used] = '\0';
    return used > 0 && !enx_tpl_is_space(digits[0]);
}

static bool read_float(enx_tpl_text text, double *number)
{
    char  digits[NUMBER_BYTES_MAX];
    char *end;
    if (!copy_number(text, digits) || strpbrk(digits, "xX(")) return false;
    *number = strtod(digits, &end);
    return *end == '\0';
}

static bool read_int(enx_tpl_text text, int64_t base, int64_t *integer)
{
    char  digits[NUMBER_BYTES_MAX];
    char *end;
    if (!copy_number(text, digits) || base < 2 || base > 36) return false;
    const long long value = strtoll(digits, &end, (int)base);
    *integer = value;
    return *end == '\0' && value != INT64_MAX && value != INT64_MIN;
}

static bool float_to_int(double number, int64_t *integer)
{
    if (!(number > -9.2e18 && number < 9.2e18)) return false;
    *integer = (int64_t)number;
    return true;
}

/* int(default, base) and float(default) */
static enx_status filter_number(const enx_tpl_call *call, enx_tpl_value *out)
{
    const bool           is_int = call->native->variant;
    const enx_tpl_value *self = &call->self;
    int64_t              integer, base = 10;
    double               number;
    if (is_int) ENX_TRY(slot_int(call, 1, 10, &base));
    if (self->kind == ENX_TPL_UNDEFINED)
        return ENX_TPL_FAIL(call->state, INVALID, "an undefined value is no number; use default");
    *out = call->slot[0] ? *call->slot[0] : is_int ? enx_tpl_int(0) : enx_tpl_float(0);
    if (is_int && enx_tpl_is_integer(self, &integer)) *out = enx_tpl_int(integer);
    else if (is_int && self->kind == ENX_TPL_STRING && read_int(self->text, base, &integer))
        *out = enx_tpl_int(integer);
    else if (enx_tpl_is_number(self, &integer, &number) ||
             (self->kind == ENX_TPL_STRING && read_float(self->text, &number))) {
        if (!is_int) *out = enx_tpl_float(number);
        else if (float_to_int(number, &integer)) *out = enx_tpl_int(integer);
    }
    return ENX_OK;
}

/* round(precision, method) */
static enx_status filter_round(const enx_tpl_call *call, enx_tpl_value *out)
{
    int64_t      integer, precision;
    double       number;
    enx_tpl_text method = { 0 };
    char         digits[2 * PRECISION_MAX + 40];
    ENX_TRY(slot_int(call, 0, 0, &precision));
    ENX_TRY(slot_text(call, 1, ENX_TPL_TEXT("common"), &method));
    if (!enx_tpl_is_number(&call->self, &integer, &number))
        return ENX_TPL_FAIL(call->state, INVALID, "round needs a number, not '%s'",
                            enx_tpl_kind_name(&call->self));
    if (precision > PRECISION_MAX || precision < -PRECISION_MAX)
        return ENX_TPL_FAIL(call->state, LIMIT, "round to more than %d places", PRECISION_MAX);
    const double scale = pow(10, (double)precision);
    if (enx_tpl_text_is(method, "ceil")) *out = enx_tpl_float(ceil(number * scale) / scale);
    else if (enx_tpl_text_is(method, "floor")) *out = enx_tpl_float(floor(number * scale) / scale);
    else if (!enx_tpl_text_is(method, "common"))
        return ENX_TPL_FAIL(call->state, INVALID, "round: 'common', 'ceil' or 'floor'");
    else if (call->self.kind != ENX_TPL_FLOAT && precision >= 0) *out = enx_tpl_int(integer);
    else if (precision < 0) *out = enx_tpl_float(rint(number * scale) / scale);
    else {
        snprintf(digits, sizeof digits, "%.*f", (int)precision, number);
        *out = enx_tpl_float(strtod(digits, NULL));
    }
    return ENX_OK;
}

static enx_status filter_abs(const enx_tpl_call *call, enx_tpl_value *out)
{
    int64_t integer;
    double  number;
    if (!enx_tpl_is_number(&call->self, &integer, &number))
        return ENX_TPL_FAIL(call->state, INVALID, "abs needs a number, not '%s'",
                            enx_tpl_kind_name(&call->self));
    if (call->self.kind == ENX_TPL_FLOAT) *out = enx_tpl_float(fabs(number));
    else if (integer == INT64_MIN)
        return ENX_TPL_FAIL(call->state, LIMIT, "an integer beyond 64 bits");
    else *out = enx_tpl_int(integer < 0 ? -integer : integer);
    return ENX_OK;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

#define KIND(name) (1 << ENX_TPL_##name)

enum {
    KINDS_ALL = (KIND(METHOD) << 1) - 1,
    KINDS_INTEGER = KIND(INT),                           /* Jinja's test leaves booleans out, */
    KINDS_NUMBER = KIND(INT) | KIND(FLOAT) | KIND(BOOL), /* and this one has them */
    KINDS_SEQUENCE = KIND(STRING) | KIND(LIST) | KIND(TUPLE) | KIND(DICT) | KIND(UNDEFINED),
    KINDS_CALLABLE = KIND(MACRO) | KIND(NATIVE) | KIND(METHOD),
};

/* The kinds are the variant. */
static enx_status test_kind(const enx_tpl_call *call, enx_tpl_value *out)
{
    *out = enx_tpl_bool(call->native->variant >> call->self.kind & 1);
    return ENX_OK;
}

static enx_status test_constant(const enx_tpl_call *call, enx_tpl_value *out)
{
    *out = enx_tpl_bool(call->self.kind == ENX_TPL_BOOL &&
                        call->self.flag == (bool)call->native->variant);
    return ENX_OK;
}

enum { IS_EQ, IS_NE, IS_LT, IS_LE, IS_GT, IS_GE };

static enx_status test_order(const enx_tpl_call *call, enx_tpl_value *out)
{
    bool is_equal;
    int  order, variant = call->native->variant;
    if (variant == IS_EQ || variant == IS_NE) {
        ENX_TRY(enx_tpl_equals(call->state, &call->self, call->slot[0], &is_equal));
        *out = enx_tpl_bool(is_equal == (variant == IS_EQ));
        return ENX_OK;
    }
    ENX_TRY(enx_tpl_compare(call->state, &call->self, call->slot[0], &order));
    *out = enx_tpl_bool(variant == IS_LT   ? order < 0
                        : variant == IS_LE ? order <= 0
                        : variant == IS_GT ? order > 0
                                           : order >= 0);
    return ENX_OK;
}

static enx_status test_in(const enx_tpl_call *call, enx_tpl_value *out)
{
    bool is_in;
    ENX_TRY(enx_tpl_contains(call->state, call->slot[0], &call->self, &is_in));
    *out = enx_tpl_bool(is_in);
    return ENX_OK;
}

static enx_status test_sameas(const enx_tpl_call *call, enx_tpl_value *out)
{
    bool is_equal = call->self.kind == call->slot[0]->kind;
    if (is_equal && call->self.kind < ENX_TPL_STRING)
        ENX_TRY(enx_tpl_equals(call->state, &call->self, call->slot[0], &is_equal));
    else if (is_equal) is_equal = call->self.list == call->slot[0]->list;
    *out = enx_tpl_bool(is_equal);
    return ENX_OK;
}

/* odd, even, divisibleby(num); variant: the remainder by two, or -1. */
static enx_status test_remainder(const enx_tpl_call *call, enx_tpl_value *out)
{
    int64_t value, divisor = 2;
    ENX_TRY(enx_tpl_want_int(call, &call->self, &value));
    if (call->native->variant < 0) ENX_TRY(enx_tpl_want_int(call, call->slot[0], &divisor));
    if (divisor == 0) return ENX_TPL_FAIL(call->state, INVALID, "division by zero");
    if (divisor == -1) divisor = 1;
    const bool has_rest = value % divisor != 0;
    *out = enx_tpl_bool(has_rest == (call->native->variant == 1));
    return ENX_OK;
}

static enx_status test_case(const enx_tpl_call *call, enx_tpl_value *out)
{
    const bool    is_upper = call->native->variant == ENX_TPL_CASE_UPPER;
    enx_tpl_text  text = { 0 };
    enx_tpl_value same = { 0 }, other = { 0 };
    ENX_TRY(enx_tpl_to_text(call->state, &call->self, &text));
    ENX_TRY(enx_tpl_text_recase(call->state, text,
                                is_upper ? ENX_TPL_CASE_UPPER : ENX_TPL_CASE_LOWER, false, &same));
    ENX_TRY(enx_tpl_text_recase(call->state, text,
                                is_upper ? ENX_TPL_CASE_LOWER : ENX_TPL_CASE_UPPER, false, &other));
    *out = enx_tpl_bool(enx_tpl_text_equals(text, same.text) &&
                        !enx_tpl_text_equals(text, other.text));
    return ENX_OK;
}

/* ---- Tables --------------------------------------------------------------------------------- */

static const enx_tpl_native filters[] = {
    { "abs", "", 0, filter_abs, 0, 0 },
    { "attr", "name", 1, filter_attr, 0, 0 },
    { "batch", "linecount fill_with", 1, filter_batch, 0, 0 },
    { "capitalize", "", 0, filter_case, 0, ENX_TPL_CASE_FIRST },
    { "count", "", 0, filter_length, 0, 0 },
    { "d", "default_value boolean", 0, filter_default, 0, 0 },
    { "default", "default_value boolean", 0, filter_default, 0, 0 },
    { "dictsort", "case_sensitive by reverse", 0, filter_dictsort, 0, 0 },
    { "e", "", 0, filter_escape, 0, 0 },
    { "escape", "", 0, filter_escape, 0, 0 },
    { "first", "", 0, filter_end, 0, 0 },
    { "float", "default", 0, filter_number, 0, 0 },
    { "format", "*", 0, filter_format, 0, 0 },
    { "indent", "width first blank", 0, filter_indent, 0, 0 },
    { "int", "default base", 0, filter_number, 0, 1 },
    { "items", "", 0, filter_items, 0, 0 },
    { "join", "d attribute", 0, filter_join, 0, 0 },
    { "last", "", 0, filter_end, 0, 1 },
    { "length", "", 0, filter_length, 0, 0 },
    { "list", "", 0, filter_list, 0, 0 },
    { "lower", "", 0, filter_case, 0, ENX_TPL_CASE_LOWER },
    { "map", "*", 0, filter_map, 0, 0 },
    { "max", "case_sensitive attribute", 0, filter_extreme, 0, 1 },
    { "min", "case_sensitive attribute", 0, filter_extreme, 0, -1 },
    { "reject", "*", 0, filter_pick, 0, PICK_REJECTS },
    { "rejectattr", "*", 0, filter_pick, 0, PICK_REJECTS | PICK_BY_ATTRIBUTE },
    { "replace", "old new count", 2, filter_by_method, 0, 1 },
    { "reverse", "", 0, filter_reverse, 0, 0 },
    { "round", "precision method", 0, filter_round, 0, 0 },
    { "safe", "", 0, filter_same, 0, 0 },
    { "select", "*", 0, filter_pick, 0, 0 },
    { "selectattr", "*", 0, filter_pick, 0, PICK_BY_ATTRIBUTE },
    { "sort", "reverse case_sensitive attribute", 0, filter_sort, 0, 0 },
    { "string", "", 0, filter_string, 0, 0 },
    { "sum", "attribute start", 0, filter_sum, 0, 0 },
    { "title", "", 0, filter_case, 0, ENX_TPL_CASE_TITLE },
    { "tojson", "ensure_ascii indent separators sort_keys", 0, filter_tojson, 0, 0 },
    { "trim", "chars", 0, filter_by_method, 0, 0 },
    { "unique", "case_sensitive attribute", 0, filter_unique, 0, 0 },
    { "upper", "", 0, filter_case, 0, ENX_TPL_CASE_UPPER },
    { "wordcount", "", 0, filter_wordcount, 0, 0 },
};

static const enx_tpl_native tests[] = {
    { "!=", "other", 1, test_order, 0, IS_NE },
    { "<", "other", 1, test_order, 0, IS_LT },
    { "<=", "other", 1, test_order, 0, IS_LE },
    { "==", "other", 1, test_order, 0, IS_EQ },
    { ">", "other", 1, test_order, 0, IS_GT },
    { ">=", "other", 1, test_order, 0, IS_GE },
    { "boolean", "", 0, test_kind, 0, KIND(BOOL) },
    { "callable", "", 0, test_kind, 0, KINDS_CALLABLE },
    { "defined", "", 0, test_kind, 0, KINDS_ALL & ~KIND(UNDEFINED) },
    { "divisibleby", "num", 1, test_remainder, 0, -1 },
    { "eq", "other", 1, test_order, 0, IS_EQ },
    { "equalto", "other", 1, test_order, 0, IS_EQ },
    { "even", "", 0, test_remainder, 0, 0 },
    { "false", "", 0, test_constant, 0, false },
    { "float", "", 0, test_kind, 0, KIND(FLOAT) },
    { "ge", "other", 1, test_order, 0, IS_GE },
    { "greaterthan", "other", 1, test_order, 0, IS_GT },
    { "gt", "other", 1, test_order, 0, IS_GT },
    { "in", "seq", 1, test_in, 0, 0 },
    { "integer", "", 0, test_kind, 0, KINDS_INTEGER },
    { "iterable", "", 0, test_kind, 0, KINDS_SEQUENCE },
    { "le", "other", 1, test_order, 0, IS_LE },
    { "lessthan", "other", 1, test_order, 0, IS_LT },
    { "lower", "", 0, test_case, 0, ENX_TPL_CASE_LOWER },
    { "lt", "other", 1, test_order, 0, IS_LT },
    { "mapping", "", 0, test_kind, 0, KIND(DICT) },
    { "ne", "other", 1, test_order, 0, IS_NE },
    { "none", "", 0, test_kind, 0, KIND(NONE) },
    { "number", "", 0, test_kind, 0, KINDS_NUMBER },
    { "odd", "", 0, test_remainder, 0, 1 },
    { "sameas", "other", 1, test_sameas, 0, 0 },
    { "sequence", "", 0, test_kind, 0, KINDS_SEQUENCE },
    { "string", "", 0, test_kind, 0, KIND(STRING) },
    { "true", "", 0, test_constant, 0, true },
    { "undefined", "", 0, test_kind, 0, KIND(UNDEFINED) },
    { "upper", "", 0, test_case, 0, ENX_TPL_CASE_UPPER },
};

static const enx_tpl_native *find_native(const enx_tpl_native *table, size_t count,
                                         enx_tpl_text name)
{
    for (size_t i = 0; i < count; i++)
        if (enx_tpl_text_is(name, table[i].name)) return &table[i];
    return NULL;
}

const enx_tpl_native *enx_tpl_filter_find(enx_tpl_text name)
{
    return find_native(filters, sizeof filters / sizeof *filters, name);
}

const enx_tpl_native *enx_tpl_test_find(enx_tpl_text name)
{
    return find_native(tests, sizeof tests / sizeof *tests, name);
}
