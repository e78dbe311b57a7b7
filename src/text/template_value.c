/* SPDX-License-Identifier: Apache-2.0 */
/* template_value.c - values as Python has them: memory, order, equality, and how they are shown.
 *
 * Whatever walks down a value counts its depth, because a list may have been put into itself. */
#include "text/template_impl.h"

#include "base/mem.h"
#include "text/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    CHUNK_BYTES = 1 << 16,
    LIST_FIRST = 8,
    NUMBER_BYTES_MAX = 40,
    STEP_BYTES = 64, /* of text that are copied for one step */
    STEP_KEYS = 8,
};

/* ---- Memory --------------------------------------------------------------------------------- */

struct enx_tpl_chunk {
    struct enx_tpl_chunk *before;
    alignas(max_align_t) char bytes[];
};

void *enx_tpl_pool_push(enx_tpl_pool *pool, size_t count, size_t size_bytes)
{
    size_t need;
    pool->is_full = __builtin_mul_overflow(count, size_bytes, &need) || need > pool->total_max;
    if (pool->is_full) return NULL;
    need = (need + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if (!pool->last || need > pool->room_bytes - pool->used_bytes) {
        const size_t room = need > CHUNK_BYTES / 4 ? need : CHUNK_BYTES;
        pool->is_full = room > pool->total_max - pool->total_bytes;
        if (pool->is_full) return NULL;
        enx_tpl_chunk *chunk = (enx_tpl_chunk *)enx_mem_new(1, sizeof *chunk + room);
        if (!chunk) return NULL;
        chunk->before = pool->last;
        pool->last = chunk;
        pool->used_bytes = 0;
        pool->room_bytes = room;
        pool->total_bytes += room;
    }
    void *found = pool->last->bytes + pool->used_bytes;
    pool->used_bytes += need;
    return found;
}

void enx_tpl_pool_deinit(enx_tpl_pool *pool)
{
    while (pool->last) {
        enx_tpl_chunk *chunk = pool->last;
        pool->last = chunk->before;
        enx_mem_free(chunk);
    }
    *pool = (enx_tpl_pool){ .total_max = pool->total_max };
}

enx_status enx_tpl_fail_memory(const enx_tpl_state *state)
{
    if (state->pool.is_full)
        return ENX_TPL_FAIL(state, LIMIT, "its values need more than %d MiB",
                            ENX_TEMPLATE_MEMORY_MAX >> 20);
    return ENX_TPL_FAIL(state, NOMEM, "no memory for its values");
}

/* ---- Small values and texts ----------------------------------------------------------------- */

enx_tpl_value enx_tpl_bool(bool flag)
{
    return (enx_tpl_value){ .kind = ENX_TPL_BOOL, .flag = flag };
}

enx_tpl_value enx_tpl_int(int64_t integer)
{
    return (enx_tpl_value){ .kind = ENX_TPL_INT, .integer = integer };
}

enx_tpl_value enx_tpl_float(double number)
{
    return (enx_tpl_value){ .kind = ENX_TPL_FLOAT, .number = number };
}

enx_tpl_value enx_tpl_string(enx_tpl_text text)
{
    return (enx_tpl_value){ .kind = ENX_TPL_STRING, .text = text };
}

bool enx_tpl_text_equals(enx_tpl_text a, enx_tpl_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

bool enx_tpl_text_is(enx_tpl_text text, const char *word)
{
    return enx_tpl_text_equals(text, (enx_tpl_text){ word, strlen(word) });
}

const char *enx_tpl_kind_name(const enx_tpl_value *value)
{
    static const char *const names[] = {
        [ENX_TPL_UNDEFINED] = "Undefined", [ENX_TPL_NONE] = "NoneType",
        [ENX_TPL_BOOL] = "bool",           [ENX_TPL_INT] = "int",
        [ENX_TPL_FLOAT] = "float",         [ENX_TPL_STRING] = "str",
        [ENX_TPL_LIST] = "list",           [ENX_TPL_TUPLE] = "tuple",
        [ENX_TPL_DICT] = "dict",           [ENX_TPL_NAMESPACE] = "Namespace",
        [ENX_TPL_LOOP] = "LoopContext",    [ENX_TPL_MACRO] = "Macro",
        [ENX_TPL_NATIVE] = "function",     [ENX_TPL_METHOD] = "method",
    };
    return names[value->kind];
}

bool enx_tpl_is_integer(const enx_tpl_value *value, int64_t *integer)
{
    if (value->kind == ENX_TPL_BOOL) *integer = value->flag;
    if (value->kind == ENX_TPL_INT) *integer = value->integer;
    return value->kind == ENX_TPL_BOOL || value->kind == ENX_TPL_INT;
}

bool enx_tpl_is_number(const enx_tpl_value *value, int64_t *integer, double *number)
{
    if (value->kind == ENX_TPL_FLOAT) {
        *number = value->number;
        *integer = 0;
        return true;
    }
    if (!enx_tpl_is_integer(value, integer)) return false;
    *number = (double)*integer;
    return true;
}

bool enx_tpl_is_list(const enx_tpl_value *value)
{
    return value->kind == ENX_TPL_LIST || value->kind == ENX_TPL_TUPLE;
}

bool enx_tpl_is_true(const enx_tpl_value *value)
{
    switch (value->kind) {
    case ENX_TPL_UNDEFINED:
    case ENX_TPL_NONE:
        return false;
    case ENX_TPL_BOOL:
        return value->flag;
    case ENX_TPL_INT:
        return value->integer != 0;
    case ENX_TPL_FLOAT:
        return value->number != 0;
    case ENX_TPL_STRING:
        return value->text.size > 0;
    case ENX_TPL_LIST:
    case ENX_TPL_TUPLE:
        return value->list->count > 0;
    case ENX_TPL_DICT:
        return value->dict->count > 0;
    default:
        return true;
    }
}

bool enx_tpl_is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The bytes of a character that Python takes for white space; 0: it is none. */
static size_t space_bytes(const char *at, size_t size)
{
    if (enx_tpl_is_space(*at) || (*at >= 0x1c && *at <= 0x1f)) return 1;
    if ((unsigned char)*at < 0x80) return 0;
    uint32_t                  point;
    const size_t              used = enx_utf8_decode(at, size, &point);
    const utf8proc_category_t kind =
        point == ENX_UTF8_INVALID ? UTF8PROC_CATEGORY_CN : utf8proc_category((int32_t)point);
    const bool is_space =
        point == 0x85 || (kind >= UTF8PROC_CATEGORY_ZS && kind <= UTF8PROC_CATEGORY_ZP);
    return is_space ? used : 0;
}

enx_tpl_text enx_tpl_text_trim(enx_tpl_text text, bool at_start, bool at_end)
{
    size_t used;
    while (at_start && text.size > 0 && (used = space_bytes(text.bytes, text.size)) > 0) {
        text.bytes += used;
        text.size -= used;
    }
    while (at_end && text.size > 0) {
        size_t back = 1;
        while (back < text.size && back < ENX_UTF8_BYTES_MAX &&
               ((unsigned char)text.bytes[text.size - back] & 0xc0) == 0x80)
            back++;
        if (space_bytes(text.bytes + text.size - back, back) != back) break;
        text.size -= back;
    }
    return text;
}

size_t enx_tpl_text_step(enx_tpl_text text, size_t at)
{
    uint32_t point;
    return enx_utf8_decode(text.bytes + at, text.size - at, &point);
}

size_t enx_tpl_text_length(enx_tpl_text text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.size; at += enx_tpl_text_step(text, at)) count++;
    return count;
}

size_t enx_tpl_text_at(enx_tpl_text text, size_t index)
{
    size_t at = 0;
    for (; at < text.size && index > 0; index--) at += enx_tpl_text_step(text, at);
    return at;
}

/* ---- Lists and dicts ------------------------------------------------------------------------ */

enx_status enx_tpl_list_new(enx_tpl_state *state, enx_tpl_kind kind, enx_tpl_value *out)
{
    enx_tpl_list *list = ENX_TPL_NEW(&state->pool, enx_tpl_list, 1);
    if (!list) return enx_tpl_fail_memory(state);
    *out = (enx_tpl_value){ .kind = kind, .list = list };
    return ENX_OK;
}

/* Room for one more; the old block stays where it is, for those that still go through it. */
static enx_status grow(enx_tpl_state *state, void **items, size_t count, size_t *capacity,
                       size_t size)
{
    if (count < *capacity) return ENX_OK;
    if (count >= ENX_TEMPLATE_ITEMS_MAX)
        return ENX_TPL_FAIL(state, LIMIT, "more than %d items in one list", ENX_TEMPLATE_ITEMS_MAX);
    const size_t wanted = count ? 2 * count : LIST_FIRST;
    void        *grown = enx_tpl_pool_push(&state->pool, wanted, size);
    if (!grown) return enx_tpl_fail_memory(state);
    if (count) memcpy(grown, *items, count * size);
    *items = grown;
    *capacity = wanted;
    return enx_tpl_charge(state, 1 + count / STEP_KEYS);
}

enx_status enx_tpl_list_push(enx_tpl_state *state, enx_tpl_list *list, enx_tpl_value item)
{
    void *items = list->items;
    ENX_TRY(grow(state, &items, list->count, &list->capacity, sizeof *list->items));
    list->items = (enx_tpl_value *)items;
    list->items[list->count++] = item;
    return ENX_OK;
}

enx_status enx_tpl_pair_new(enx_tpl_state *state, enx_tpl_value a, enx_tpl_value b,
                            enx_tpl_value *out)
{
    ENX_TRY(enx_tpl_list_new(state, ENX_TPL_TUPLE, out));
    ENX_TRY(enx_tpl_list_push(state, out->list, a));
    return enx_tpl_list_push(state, out->list, b);
}

enx_status enx_tpl_dict_new(enx_tpl_state *state, enx_tpl_kind kind, enx_tpl_value *out)
{
    enx_tpl_dict *dict = ENX_TPL_NEW(&state->pool, enx_tpl_dict, 1);
    if (!dict) return enx_tpl_fail_memory(state);
    *out = (enx_tpl_value){ .kind = kind, .dict = dict };
    return ENX_OK;
}

static enx_status dict_push(enx_tpl_state *state, enx_tpl_dict *dict, enx_tpl_value key,
                            enx_tpl_value value)
{
    void *pairs = dict->pairs;
    ENX_TRY(grow(state, &pairs, dict->count, &dict->capacity, sizeof *dict->pairs));
    dict->pairs = (enx_tpl_pair *)pairs;
    dict->pairs[dict->count++] = (enx_tpl_pair){ key, value };
    return ENX_OK;
}

enx_status enx_tpl_dict_find(enx_tpl_state *state, const enx_tpl_dict *dict,
                             const enx_tpl_value *key, enx_tpl_value **found)
{
    *found = NULL;
    if (key->kind == ENX_TPL_LIST || key->kind == ENX_TPL_DICT)
        return ENX_TPL_FAIL(state, INVALID, "unhashable type: '%s'", enx_tpl_kind_name(key));
    ENX_TRY(enx_tpl_charge(state, dict->count / STEP_KEYS));
    for (size_t i = 0; i < dict->count; i++) {
        bool is_equal = false;
        if (key->kind == ENX_TPL_STRING && dict->pairs[i].key.kind == ENX_TPL_STRING)
            is_equal = enx_tpl_text_equals(key->text, dict->pairs[i].key.text);
        else ENX_TRY(enx_tpl_equals(state, key, &dict->pairs[i].key, &is_equal));
        if (!is_equal) continue;
        *found = &dict->pairs[i].value;
        return ENX_OK;
    }
    return ENX_OK;
}

enx_status enx_tpl_dict_set(enx_tpl_state *state, enx_tpl_dict *dict, enx_tpl_value key,
                            enx_tpl_value value)
{
    enx_tpl_value *found;
    ENX_TRY(enx_tpl_dict_find(state, dict, &key, &found));
    if (!found) return dict_push(state, dict, key, value);
    *found = value;
    return ENX_OK;
}

static enx_status read_json_list(enx_tpl_state *state, const json_t *json, size_t depth,
                                 enx_tpl_value *out)
{
    ENX_TRY(enx_tpl_list_new(state, ENX_TPL_LIST, out));
    for (size_t i = 0; i < json_array_size(json); i++) {
        enx_tpl_value item = { 0 };
        ENX_TRY(enx_tpl_json_read(state, json_array_get(json, i), depth + 1, &item));
        ENX_TRY(enx_tpl_list_push(state, out->list, item));
    }
    return ENX_OK;
}

static enx_status read_json_object(enx_tpl_state *state, const json_t *json, size_t depth,
                                   enx_tpl_value *out)
{
    ENX_TRY(enx_tpl_dict_new(state, ENX_TPL_DICT, out));
    /* Only jansson's writing functions change an object, but its iterators are not const. */
    union {
        const json_t *given;
        json_t       *walked;
    } object = { json };
    for (void *at = json_object_iter(object.walked); at;
         at = json_object_iter_next(object.walked, at)) {
        enx_tpl_value      value = { 0 };
        const enx_tpl_text key = { json_object_iter_key(at), json_object_iter_key_len(at) };
        ENX_TRY(enx_tpl_json_read(state, json_object_iter_value(at), depth + 1, &value));
        ENX_TRY(dict_push(state, out->dict, enx_tpl_string(key), value));
    }
    return ENX_OK;
}

enx_status enx_tpl_json_read(enx_tpl_state *state, const json_t *json, size_t depth,
                             enx_tpl_value *out)
{
    if (depth > ENX_TEMPLATE_JSON_DEPTH_MAX)
        return ENX_TPL_FAIL(state, LIMIT, "the context is nested deeper than %d",
                            ENX_TEMPLATE_JSON_DEPTH_MAX);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return read_json_object(state, json, depth, out);
    case JSON_ARRAY:
        return read_json_list(state, json, depth, out);
    case JSON_STRING:
        *out = enx_tpl_string((enx_tpl_text){ json_string_value(json), json_string_length(json) });
        return ENX_OK;
    case JSON_INTEGER:
        *out = enx_tpl_int(json_integer_value(json));
        return ENX_OK;
    case JSON_REAL:
        *out = enx_tpl_float(json_real_value(json));
        return ENX_OK;
    case JSON_NULL:
        *out = (enx_tpl_value){ .kind = ENX_TPL_NONE };
        return ENX_OK;
    default:
        *out = enx_tpl_bool(json_is_true(json));
        return ENX_OK;
    }
}

/* ---- Equality and order --------------------------------------------------------------------- */

static enx_status go_down(enx_tpl_state *state)
{
    ENX_TRY(enx_tpl_charge(state, 1));
    if (++state->depth <= ENX_TEMPLATE_DEPTH_MAX) return ENX_OK;
    return ENX_TPL_FAIL(state, LIMIT, "a value is nested too deep");
}

static enx_status lists_equal(enx_tpl_state *state, const enx_tpl_list *a, const enx_tpl_list *b,
                              bool *is_equal)
{
    *is_equal = a->count == b->count;
    for (size_t i = 0; i < a->count && *is_equal; i++)
        ENX_TRY(enx_tpl_equals(state, &a->items[i], &b->items[i], is_equal));
    return ENX_OK;
}

static enx_status dicts_equal(enx_tpl_state *state, const enx_tpl_dict *a, const enx_tpl_dict *b,
                              bool *is_equal)
{
    *is_equal = a->count == b->count;
    for (size_t i = 0; i < a->count && *is_equal; i++) {
        enx_tpl_value *other;
        ENX_TRY(enx_tpl_dict_find(state, b, &a->pairs[i].key, &other));
        *is_equal = other != NULL;
        if (other) ENX_TRY(enx_tpl_equals(state, &a->pairs[i].value, other, is_equal));
    }
    return ENX_OK;
}

enx_status enx_tpl_equals(enx_tpl_state *state, const enx_tpl_value *a, const enx_tpl_value *b,
                          bool *is_equal)
{
    int64_t ia, ib;
    double  na, nb;
    *is_equal = false;
    if (enx_tpl_is_number(a, &ia, &na) && enx_tpl_is_number(b, &ib, &nb)) {
        *is_equal = a->kind == ENX_TPL_FLOAT || b->kind == ENX_TPL_FLOAT ? na == nb : ia == ib;
        return ENX_OK;
    }
    if (a->kind != b->kind) return ENX_OK;
    ENX_TRY(go_down(state));
    switch (a->kind) {
    case ENX_TPL_UNDEFINED:
    case ENX_TPL_NONE:
        *is_equal = true;
        break;
    case ENX_TPL_STRING:
        ENX_TRY(enx_tpl_charge(state, a->text.size / STEP_BYTES));
        *is_equal = enx_tpl_text_equals(a->text, b->text);
        break;
    case ENX_TPL_LIST:
    case ENX_TPL_TUPLE:
        ENX_TRY(lists_equal(state, a->list, b->list, is_equal));
        break;
    case ENX_TPL_DICT:
        ENX_TRY(dicts_equal(state, a->dict, b->dict, is_equal));
        break;
    default:
        *is_equal = a->list == b->list;
        break;
    }
    state->depth--;
    return ENX_OK;
}

static enx_status compare_lists(enx_tpl_state *state, const enx_tpl_list *a, const enx_tpl_list *b,
                                int *order)
{
    *order = (a->count > b->count) - (a->count < b->count);
    const size_t count = a->count < b->count ? a->count : b->count;
    for (size_t i = 0; i < count; i++) {
        bool is_equal;
        ENX_TRY(enx_tpl_equals(state, &a->items[i], &b->items[i], &is_equal));
        if (!is_equal) return enx_tpl_compare(state, &a->items[i], &b->items[i], order);
    }
    return ENX_OK;
}

enx_status enx_tpl_compare(enx_tpl_state *state, const enx_tpl_value *a, const enx_tpl_value *b,
                           int *order)
{
    int64_t ia, ib;
    double  na, nb;
    ENX_TRY(go_down(state));
    if (enx_tpl_is_number(a, &ia, &na) && enx_tpl_is_number(b, &ib, &nb)) {
        const bool is_float = a->kind == ENX_TPL_FLOAT || b->kind == ENX_TPL_FLOAT;
        *order = is_float ? (na > nb) - (na < nb) : (ia > ib) - (ia < ib);
    } else if (a->kind == ENX_TPL_STRING && b->kind == ENX_TPL_STRING) {
        const size_t size = a->text.size < b->text.size ? a->text.size : b->text.size;
        ENX_TRY(enx_tpl_charge(state, size / STEP_BYTES));
        *order = size ? memcmp(a->text.bytes, b->text.bytes, size) : 0;
        if (*order == 0) *order = (a->text.size > b->text.size) - (a->text.size < b->text.size);
        *order = (*order > 0) - (*order < 0);
    } else if (enx_tpl_is_list(a) && a->kind == b->kind) {
        ENX_TRY(compare_lists(state, a->list, b->list, order));
    } else {
        return ENX_TPL_FAIL(state, INVALID, "'%s' and '%s' have no order", enx_tpl_kind_name(a),
                            enx_tpl_kind_name(b));
    }
    state->depth--;
    return ENX_OK;
}

enx_status enx_tpl_contains(enx_tpl_state *state, const enx_tpl_value *all,
                            const enx_tpl_value *part, bool *is_in)
{
    *is_in = false;
    if (all->kind == ENX_TPL_STRING) {
        if (part->kind != ENX_TPL_STRING)
            return ENX_TPL_FAIL(state, INVALID,
                                "'in <string>' requires a string on its left, not %s",
                                enx_tpl_kind_name(part));
        ENX_TRY(enx_tpl_charge(state, all->text.size / STEP_BYTES));
        *is_in = part->text.size == 0 ||
                 (all->text.size > 0 && memmem(all->text.bytes, all->text.size, part->text.bytes,
                                               part->text.size) != NULL);
        return ENX_OK;
    }
    if (all->kind == ENX_TPL_DICT) {
        enx_tpl_value *found;
        ENX_TRY(enx_tpl_dict_find(state, all->dict, part, &found));
        *is_in = found != NULL;
        return ENX_OK;
    }
    const enx_tpl_list *items;
    ENX_TRY(enx_tpl_iterate(state, all, &items));
    for (size_t i = 0; i < items->count && !*is_in; i++)
        ENX_TRY(enx_tpl_equals(state, &items->items[i], part, is_in));
    return enx_tpl_charge(state, items->count / STEP_KEYS);
}

enx_status enx_tpl_iterate(enx_tpl_state *state, const enx_tpl_value *value,
                           const enx_tpl_list **items)
{
    enx_tpl_value made = { 0 };
    if (enx_tpl_is_list(value)) {
        *items = value->list;
        return ENX_OK;
    }
    ENX_TRY(enx_tpl_list_new(state, ENX_TPL_LIST, &made));
    *items = made.list;
    if (value->kind == ENX_TPL_UNDEFINED) return ENX_OK;
    if (value->kind == ENX_TPL_DICT) {
        for (size_t i = 0; i < value->dict->count; i++)
            ENX_TRY(enx_tpl_list_push(state, made.list, value->dict->pairs[i].key));
        return ENX_OK;
    }
    if (value->kind != ENX_TPL_STRING)
        return ENX_TPL_FAIL(state, INVALID, "'%s' object is not iterable",
                            enx_tpl_kind_name(value));
    const enx_tpl_text text = value->text;
    for (size_t at = 0, used; at < text.size; at += used) {
        used = enx_tpl_text_step(text, at);
        ENX_TRY(enx_tpl_list_push(state, made.list,
                                  enx_tpl_string((enx_tpl_text){ text.bytes + at, used })));
    }
    return ENX_OK;
}

enx_status enx_tpl_sort(enx_tpl_state *state, enx_tpl_value *keys, enx_tpl_value *items,
                        size_t count, bool is_falling)
{
    if (count < 2) return ENX_OK;
    const size_t half = count / 2;
    ENX_TRY(go_down(state));
    ENX_TRY(enx_tpl_sort(state, keys, items, half, is_falling));
    ENX_TRY(enx_tpl_sort(state, keys + half, items + half, count - half, is_falling));
    state->depth--;
    enx_tpl_value *left = ENX_TPL_NEW(&state->pool, enx_tpl_value, 2 * half);
    if (!left) return enx_tpl_fail_memory(state);
    memcpy(left, keys, half * sizeof *left);
    memcpy(left + half, items, half * sizeof *left);
    for (size_t l = 0, r = half, to = 0; l < half; to++) {
        int order = -1;
        if (r < count) ENX_TRY(enx_tpl_compare(state, &left[l], &keys[r], &order));
        if (is_falling && r < count) order = -order;
        if (order <= 0) {
            keys[to] = left[l];
            items[to] = left[half + l++];
        } else {
            keys[to] = keys[r];
            items[to] = items[r++];
        }
    }
    return ENX_OK;
}

/* ---- Showing -------------------------------------------------------------------------------- */

size_t enx_tpl_scratch_mark(const enx_tpl_state *state) { return state->scratch.size_bytes; }

enx_status enx_tpl_scratch_put(enx_tpl_state *state, const char *bytes, size_t size)
{
    ENX_TRY(enx_tpl_charge(state, size / STEP_BYTES));
    const enx_status status = enx_buf_append(&state->scratch, bytes, size);
    if (status == ENX_LIMIT)
        return ENX_TPL_FAIL(state, LIMIT, "makes more than %d MiB of text",
                            ENX_TEMPLATE_OUTPUT_MAX >> 20);
    return status == ENX_OK ? ENX_OK : ENX_TPL_FAIL(state, NOMEM, "no memory for its text");
}

static enx_status put_text(enx_tpl_state *state, const char *text)
{
    return enx_tpl_scratch_put(state, text, strlen(text));
}

enx_status enx_tpl_scratch_take(enx_tpl_state *state, size_t mark, enx_tpl_value *out)
{
    const size_t size = state->scratch.size_bytes - mark;
    char        *text = ENX_TPL_NEW(&state->pool, char, size + 1);
    if (!text) return enx_tpl_fail_memory(state);
    if (size) {
        memcpy(text, state->scratch.data + mark, size);
        state->scratch.size_bytes = mark;
        state->scratch.data[mark] = '\0';
    }
    *out = enx_tpl_string((enx_tpl_text){ text, size });
    return ENX_OK;
}

/* The shortest digits that give the number back, as Python writes them. */
static enx_status put_float(enx_tpl_state *state, double number)
{
    char shortest[NUMBER_BYTES_MAX];
    if (isnan(number)) return put_text(state, "nan");
    if (isinf(number)) return put_text(state, number < 0 ? "-inf" : "inf");
    int digits = 1;
    do snprintf(shortest, sizeof shortest, "%.*e", digits - 1, number);
    while (strtod(shortest, NULL) != number && digits++ < 17);
    const char *e = strchr(shortest, 'e');
    const long  exponent = e ? strtol(e + 1, NULL, 10) : 0;
    if (exponent < -4 || exponent >= 16) return put_text(state, shortest);
    const int places = digits - 1 > exponent ? digits - 1 - (int)exponent : 1;
    snprintf(shortest, sizeof shortest, "%.*f", places, number);
    return put_text(state, shortest);
}

static enx_status put_integer(enx_tpl_state *state, int64_t integer)
{
    char digits[NUMBER_BYTES_MAX];
    snprintf(digits, sizeof digits, "%" PRId64, integer);
    return put_text(state, digits);
}

static bool is_printable(uint32_t point)
{
    if (point == ENX_UTF8_INVALID) return true; /* there is no better way to show it */
    const utf8proc_category_t kind = utf8proc_category((int32_t)point);
    return point == ' ' || (kind != UTF8PROC_CATEGORY_CN &&
                            (kind < UTF8PROC_CATEGORY_ZS || kind > UTF8PROC_CATEGORY_CO));
}

static enx_status put_repr_text(enx_tpl_state *state, enx_tpl_text text)
{
    const bool has_single = text.size && memchr(text.bytes, '\'', text.size);
    const bool has_double = text.size && memchr(text.bytes, '"', text.size);
    const char quote = has_single && !has_double ? '"' : '\'';
    ENX_TRY(enx_tpl_scratch_put(state, &quote, 1));
    for (size_t at = 0, used; at < text.size; at += used) {
        uint32_t point;
        char     escape[16] = { '\\' };
        used = enx_utf8_decode(text.bytes + at, text.size - at, &point);
        const char c = text.bytes[at];
        if (c == quote || c == '\\') escape[1] = c;
        else if (c == '\n') escape[1] = 'n';
        else if (c == '\r') escape[1] = 'r';
        else if (c == '\t') escape[1] = 't';
        else if (is_printable(point)) escape[0] = '\0';
        else if (point < 0x100) snprintf(escape, sizeof escape, "\\x%02" PRIx32, point);
        else if (point < 0x10000) snprintf(escape, sizeof escape, "\\u%04" PRIx32, point);
        else snprintf(escape, sizeof escape, "\\U%08" PRIx32, point);
        if (escape[0]) ENX_TRY(put_text(state, escape));
        else ENX_TRY(enx_tpl_scratch_put(state, text.bytes + at, used));
    }
    ENX_TRY(enx_tpl_charge(state, text.size / STEP_BYTES));
    return enx_tpl_scratch_put(state, &quote, 1);
}

static enx_status put_repr_list(enx_tpl_state *state, const enx_tpl_value *value, size_t depth)
{
    const bool          is_tuple = value->kind == ENX_TPL_TUPLE;
    const enx_tpl_list *list = value->list;
    ENX_TRY(put_text(state, is_tuple ? "(" : "["));
    for (size_t i = 0; i < list->count; i++) {
        if (i) ENX_TRY(put_text(state, ", "));
        ENX_TRY(enx_tpl_scratch_repr(state, &list->items[i], depth + 1));
    }
    return put_text(state, !is_tuple ? "]" : list->count == 1 ? ",)" : ")");
}

static enx_status put_repr_dict(enx_tpl_state *state, const enx_tpl_dict *dict, size_t depth)
{
    ENX_TRY(put_text(state, "{"));
    for (size_t i = 0; i < dict->count; i++) {
        if (i) ENX_TRY(put_text(state, ", "));
        ENX_TRY(enx_tpl_scratch_repr(state, &dict->pairs[i].key, depth + 1));
        ENX_TRY(put_text(state, ": "));
        ENX_TRY(enx_tpl_scratch_repr(state, &dict->pairs[i].value, depth + 1));
    }
    return put_text(state, "}");
}

static enx_status check_depth(enx_tpl_state *state, size_t depth)
{
    ENX_TRY(enx_tpl_charge(state, 1));
    if (depth <= ENX_TEMPLATE_JSON_DEPTH_MAX) return ENX_OK;
    return ENX_TPL_FAIL(state, LIMIT, "a value to print is nested deeper than %d",
                        ENX_TEMPLATE_JSON_DEPTH_MAX);
}

enx_status enx_tpl_scratch_repr(enx_tpl_state *state, const enx_tpl_value *value, size_t depth)
{
    ENX_TRY(check_depth(state, depth));
    switch (value->kind) {
    case ENX_TPL_UNDEFINED:
        return put_text(state, "Undefined");
    case ENX_TPL_NONE:
        return put_text(state, "None");
    case ENX_TPL_BOOL:
        return put_text(state, value->flag ? "True" : "False");
    case ENX_TPL_INT:
        return put_integer(state, value->integer);
    case ENX_TPL_FLOAT:
        return put_float(state, value->number);
    case ENX_TPL_STRING:
        return put_repr_text(state, value->text);
    case ENX_TPL_LIST:
    case ENX_TPL_TUPLE:
        return put_repr_list(state, value, depth);
    case ENX_TPL_DICT:
        return put_repr_dict(state, value->dict, depth);
    default:
        ENX_TRY(put_text(state, "<"));
        ENX_TRY(put_text(state, enx_tpl_kind_name(value)));
        return put_text(state, ">");
    }
}

enx_status enx_tpl_scratch_print(enx_tpl_state *state, const enx_tpl_value *value)
{
    if (value->kind == ENX_TPL_UNDEFINED) return ENX_OK;
    if (value->kind == ENX_TPL_STRING)
        return enx_tpl_scratch_put(state, value->text.bytes, value->text.size);
    return enx_tpl_scratch_repr(state, value, 0);
}

enx_status enx_tpl_to_text(enx_tpl_state *state, const enx_tpl_value *value, enx_tpl_text *text)
{
    if (value->kind == ENX_TPL_STRING) {
        *text = value->text;
        return ENX_OK;
    }
    enx_tpl_value made = { 0 };
    const size_t  mark = enx_tpl_scratch_mark(state);
    ENX_TRY(enx_tpl_scratch_print(state, value));
    ENX_TRY(enx_tpl_scratch_take(state, mark, &made));
    *text = made.text;
    return ENX_OK;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static enx_status put_json_text(enx_tpl_state *state, enx_tpl_text text, bool is_ascii)
{
    static const char plain[] = "\"\\\n\r\t\b\f", letters[] = "\"\\nrtbf";
    ENX_TRY(put_text(state, "\""));
    for (size_t at = 0, used; at < text.size; at += used) {
        uint32_t    point;
        char        escape[16] = { '\\' };
        const char  c = text.bytes[at];
        const char *found = c ? strchr(plain, c) : NULL;
        used = enx_utf8_decode(text.bytes + at, text.size - at, &point);
        const bool is_plain = (unsigned char)c >= 0x20 && (!is_ascii || (unsigned char)c < 0x80);
        if (found) escape[1] = letters[found - plain];
        else if (is_plain || point == ENX_UTF8_INVALID) escape[0] = '\0';
        else if (point < 0x10000) snprintf(escape, sizeof escape, "\\u%04" PRIx32, point);
        else
            snprintf(escape, sizeof escape, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd7c0 + (point >> 10),
                     0xdc00 + (point & 0x3ff));
        if (escape[0]) ENX_TRY(put_text(state, escape));
        else ENX_TRY(enx_tpl_scratch_put(state, text.bytes + at, used));
    }
    ENX_TRY(enx_tpl_charge(state, text.size / STEP_BYTES));
    return put_text(state, "\"");
}

static enx_status put_json_line(enx_tpl_state *state, const enx_tpl_json_style *style, size_t depth)
{
    if (!style->is_indented) return ENX_OK;
    ENX_TRY(put_text(state, "\n"));
    for (size_t i = 0; i < depth; i++)
        ENX_TRY(enx_tpl_scratch_put(state, style->indent.bytes, style->indent.size));
    return ENX_OK;
}

static enx_status put_json_list(enx_tpl_state *state, const enx_tpl_list *list,
                                const enx_tpl_json_style *style, size_t depth)
{
    if (list->count == 0) return put_text(state, "[]");
    ENX_TRY(put_text(state, "["));
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            ENX_TRY(enx_tpl_scratch_put(state, style->item_separator.bytes,
                                        style->item_separator.size));
        ENX_TRY(put_json_line(state, style, depth + 1));
        ENX_TRY(enx_tpl_scratch_json(state, &list->items[i], style, depth + 1));
    }
    ENX_TRY(put_json_line(state, style, depth));
    return put_text(state, "]");
}

/* Keys are texts in JSON: numbers and constants become some. */
static enx_status json_key(enx_tpl_state *state, const enx_tpl_value *key, enx_tpl_value *out)
{
    static const enx_tpl_json_style plain = { .is_ascii = false };
    *out = *key;
    if (key->kind == ENX_TPL_STRING) return ENX_OK;
    if (key->kind < ENX_TPL_NONE || key->kind > ENX_TPL_FLOAT)
        return ENX_TPL_FAIL(state, INVALID, "a key of JSON cannot be of type '%s'",
                            enx_tpl_kind_name(key));
    const size_t mark = enx_tpl_scratch_mark(state);
    ENX_TRY(enx_tpl_scratch_json(state, key, &plain, 0));
    return enx_tpl_scratch_take(state, mark, out);
}

static enx_status put_json_dict(enx_tpl_state *state, const enx_tpl_dict *dict,
                                const enx_tpl_json_style *style, size_t depth)
{
    if (dict->count == 0) return put_text(state, "{}");
    enx_tpl_value *keys = ENX_TPL_NEW(&state->pool, enx_tpl_value, dict->count);
    enx_tpl_value *values = ENX_TPL_NEW(&state->pool, enx_tpl_value, dict->count);
    if (!keys || !values) return enx_tpl_fail_memory(state);
    for (size_t i = 0; i < dict->count; i++) {
        keys[i] = dict->pairs[i].key;
        values[i] = dict->pairs[i].value;
    }
    if (style->is_sorted) ENX_TRY(enx_tpl_sort(state, keys, values, dict->count, false));
    ENX_TRY(put_text(state, "{"));
    for (size_t i = 0; i < dict->count; i++) {
        enx_tpl_value key = { 0 };
        if (i)
            ENX_TRY(enx_tpl_scratch_put(state, style->item_separator.bytes,
                                        style->item_separator.size));
        ENX_TRY(put_json_line(state, style, depth + 1));
        ENX_TRY(json_key(state, &keys[i], &key));
        ENX_TRY(put_json_text(state, key.text, style->is_ascii));
        ENX_TRY(enx_tpl_scratch_put(state, style->key_separator.bytes, style->key_separator.size));
        ENX_TRY(enx_tpl_scratch_json(state, &values[i], style, depth + 1));
    }
    ENX_TRY(put_json_line(state, style, depth));
    return put_text(state, "}");
}

enx_status enx_tpl_scratch_json(enx_tpl_state *state, const enx_tpl_value *value,
                                const enx_tpl_json_style *style, size_t depth)
{
    ENX_TRY(check_depth(state, depth));
    switch (value->kind) {
    case ENX_TPL_NONE:
        return put_text(state, "null");
    case ENX_TPL_BOOL:
        return put_text(state, value->flag ? "true" : "false");
    case ENX_TPL_INT:
        return put_integer(state, value->integer);
    case ENX_TPL_FLOAT:
        if (isnan(value->number)) return put_text(state, "NaN");
        if (isinf(value->number))
            return put_text(state, value->number < 0 ? "-Infinity" : "Infinity");
        return put_float(state, value->number);
    case ENX_TPL_STRING:
        return put_json_text(state, value->text, style->is_ascii);
    case ENX_TPL_LIST:
    case ENX_TPL_TUPLE:
        return put_json_list(state, value->list, style, depth);
    case ENX_TPL_DICT:
        return put_json_dict(state, value->dict, style, depth);
    default:
        return ENX_TPL_FAIL(state, INVALID, "an object of type %s cannot be written as JSON",
                            enx_tpl_kind_name(value));
    }
}
