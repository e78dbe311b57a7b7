/* SPDX-License-Identifier: Apache-2.0 */
/* template_eval.c - expressions.
 *
 * Every node costs a step and counts its depth, so neither a loop nor a macro that calls itself
 * ends anywhere but in an error.  On an error the depth is left as it is: the rendering is over. */
#include "text/template_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_MAX = 80 };

enx_status enx_tpl_fail(const enx_tpl_state *state, enx_status status, const char *file, int line,
                        const char *format, ...)
{
    char    text[ENX_REPORT_TEXT_MAX - 40];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!state->at) return enx_report_set(state->report, status, file, line, "template: %s", text);
    return enx_report_set(state->report, status, file, line, "template %" PRIu32 ":%" PRIu32 ": %s",
                          state->at->line, state->at->column, text);
}

enx_status enx_tpl_charge(enx_tpl_state *state, size_t step_count)
{
    state->step_count += step_count;
    if (state->step_count <= ENX_TEMPLATE_STEPS_MAX) return ENX_OK;
    return ENX_TPL_FAIL(state, LIMIT, "takes more than %d steps", ENX_TEMPLATE_STEPS_MAX);
}

static int shown(enx_tpl_text text) { return (int)(text.size < SHOWN_MAX ? text.size : SHOWN_MAX); }

/* What an undefined value cannot do. */
static enx_status fail_undefined(const enx_tpl_state *state, const enx_tpl_value *value)
{
    return ENX_TPL_FAIL(state, INVALID, "'%.*s' is undefined", shown(value->text),
                        value->text.bytes);
}

static enx_status fail_types(const enx_tpl_state *state, const char *what, const enx_tpl_value *a,
                             const enx_tpl_value *b)
{
    if (a->kind == ENX_TPL_UNDEFINED) return fail_undefined(state, a);
    if (b->kind == ENX_TPL_UNDEFINED) return fail_undefined(state, b);
    return ENX_TPL_FAIL(state, INVALID, "'%s' is not for '%s' and '%s'", what, enx_tpl_kind_name(a),
                        enx_tpl_kind_name(b));
}

/* ---- Arithmetic ----------------------------------------------------------------------------- */

static int64_t floor_divide(int64_t a, int64_t b)
{
    const int64_t quotient = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

static bool power_overflows(int64_t base, int64_t exponent, int64_t *out)
{
    *out = 1;
    if (base == 0 || base == 1) *out = exponent == 0 ? 1 : base;
    if (base == -1) *out = exponent % 2 ? -1 : 1;
    if (base >= -1 && base <= 1) return false;
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(*out, base, out)) return true;
    return false;
}

static enx_status integer_binary(enx_tpl_state *state, unsigned op, int64_t a, int64_t b,
                                 enx_tpl_value *out)
{
    int64_t result = 0;
    bool    is_over = false;
    if ((op == ENX_TPL_OP('/', '/') || op == ENX_TPL_OP('%', 0)) && b == 0)
        return ENX_TPL_FAIL(state, INVALID, "division by zero");
    if (b == -1 && op == ENX_TPL_OP('%', 0)) b = 1; /* the remainder is 0 either way, but defined */
    switch (op) {
    case ENX_TPL_OP('+', 0):
        is_over = __builtin_add_overflow(a, b, &result);
        break;
    case ENX_TPL_OP('-', 0):
        is_over = __builtin_sub_overflow(a, b, &result);
        break;
    case ENX_TPL_OP('*', 0):
        is_over = __builtin_mul_overflow(a, b, &result);
        break;
    case ENX_TPL_OP('/', '/'):
        is_over = b == -1 ? __builtin_sub_overflow(0, a, &result) : false;
        if (b != -1) result = floor_divide(a, b);
        break;
    case ENX_TPL_OP('%', 0):
        result = a - floor_divide(a, b) * b;
        break;
    default:
        is_over = power_overflows(a, b, &result);
        break;
    }
    if (is_over) return ENX_TPL_FAIL(state, LIMIT, "an integer beyond 64 bits");
    *out = enx_tpl_int(result);
    return ENX_OK;
}

static enx_status float_binary(enx_tpl_state *state, unsigned op, double a, double b,
                               enx_tpl_value *out)
{
    const bool divides =
        op == ENX_TPL_OP('/', 0) || op == ENX_TPL_OP('/', '/') || op == ENX_TPL_OP('%', 0);
    if (divides && b == 0) return ENX_TPL_FAIL(state, INVALID, "division by zero");
    double remainder = divides ? fmod(a, b) : 0;
    if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
    switch (op) {
    case ENX_TPL_OP('+', 0):
        *out = enx_tpl_float(a + b);
        break;
    case ENX_TPL_OP('-', 0):
        *out = enx_tpl_float(a - b);
        break;
    case ENX_TPL_OP('*', 0):
        *out = enx_tpl_float(a * b);
        break;
    case ENX_TPL_OP('/', 0):
        *out = enx_tpl_float(a / b);
        break;
    case ENX_TPL_OP('/', '/'):
        *out = enx_tpl_float(floor(a / b));
        break;
    case ENX_TPL_OP('%', 0):
        *out = enx_tpl_float(remainder);
        break;
    default:
        *out = enx_tpl_float(pow(a, b));
        break;
    }
    return ENX_OK;
}

static enx_status join_texts(enx_tpl_state *state, enx_tpl_text a, enx_tpl_text b,
                             enx_tpl_value *out)
{
    const size_t mark = enx_tpl_scratch_mark(state);
    ENX_TRY(enx_tpl_scratch_put(state, a.bytes, a.size));
    ENX_TRY(enx_tpl_scratch_put(state, b.bytes, b.size));
    return enx_tpl_scratch_take(state, mark, out);
}

static enx_status push_all(enx_tpl_state *state, enx_tpl_list *list, const enx_tpl_list *items)
{
    const size_t count = items->count;
    for (size_t i = 0; i < count; i++) ENX_TRY(enx_tpl_list_push(state, list, items->items[i]));
    return enx_tpl_charge(state, count / 4);
}

static enx_status repeat(enx_tpl_state *state, const enx_tpl_value *value, int64_t count,
                         enx_tpl_value *out)
{
    if (value->kind != ENX_TPL_STRING) {
        ENX_TRY(enx_tpl_list_new(state, value->kind, out));
        for (; count > 0 && value->list->count > 0; count--)
            ENX_TRY(push_all(state, out->list, value->list));
        return ENX_OK;
    }
    const size_t mark = enx_tpl_scratch_mark(state);
    for (; count > 0 && value->text.size > 0; count--) {
        ENX_TRY(enx_tpl_charge(state, 1));
        ENX_TRY(enx_tpl_scratch_put(state, value->text.bytes, value->text.size));
    }
    return enx_tpl_scratch_take(state, mark, out);
}

/* What + * and % do with texts and lists; *is_done is false when it is not about those. */
static enx_status sequence_binary(enx_tpl_state *state, unsigned op, const enx_tpl_value *a,
                                  const enx_tpl_value *b, enx_tpl_value *out, bool *is_done)
{
    int64_t    count;
    const bool is_a = a->kind == ENX_TPL_STRING || enx_tpl_is_list(a);
    *is_done = true;
    if (op == ENX_TPL_OP('+', 0) && a->kind == b->kind && is_a) {
        if (a->kind == ENX_TPL_STRING) return join_texts(state, a->text, b->text, out);
        ENX_TRY(enx_tpl_list_new(state, a->kind, out));
        ENX_TRY(push_all(state, out->list, a->list));
        return push_all(state, out->list, b->list);
    }
    if (op == ENX_TPL_OP('*', 0) && is_a && enx_tpl_is_integer(b, &count))
        return repeat(state, a, count, out);
    if (op == ENX_TPL_OP('*', 0) && (b->kind == ENX_TPL_STRING || enx_tpl_is_list(b)) &&
        enx_tpl_is_integer(a, &count))
        return repeat(state, b, count, out);
    if (op == ENX_TPL_OP('%', 0) && a->kind == ENX_TPL_STRING) {
        enx_tpl_value      one = *b;
        const enx_tpl_list single = { &one, 1, 1 };
        return enx_tpl_text_percent(state, a->text, b->kind == ENX_TPL_TUPLE ? b->list : &single,
                                    out);
    }
    *is_done = false;
    return ENX_OK;
}

enx_status enx_tpl_binary(enx_tpl_state *state, unsigned op, const enx_tpl_value *a,
                          const enx_tpl_value *b, enx_tpl_value *out)
{
    int64_t ia, ib;
    double  na, nb;
    bool    is_done;
    if (enx_tpl_is_number(a, &ia, &na) && enx_tpl_is_number(b, &ib, &nb)) {
        const bool is_float = a->kind == ENX_TPL_FLOAT || b->kind == ENX_TPL_FLOAT ||
                              op == ENX_TPL_OP('/', 0) || (op == ENX_TPL_OP('*', '*') && ib < 0);
        return is_float ? float_binary(state, op, na, nb, out)
                        : integer_binary(state, op, ia, ib, out);
    }
    ENX_TRY(sequence_binary(state, op, a, b, out, &is_done));
    if (is_done) return ENX_OK;
    const char name[] = { (char)(op & 0xff), (char)(op >> 8), '\0' };
    return fail_types(state, name, a, b);
}

static enx_status eval_sign(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_value       value = { 0 };
    const enx_tpl_value zero = enx_tpl_int(0), minus = enx_tpl_int(-1);
    ENX_TRY(enx_tpl_eval(state, node->a, &value));
    if (node->kind == ENX_TPL_NODE_POSITIVE)
        return enx_tpl_binary(state, ENX_TPL_OP('+', 0), &zero, &value, out);
    int64_t integer;
    double  number;
    if (!enx_tpl_is_number(&value, &integer, &number))
        return fail_types(state, "-", &value, &value);
    return enx_tpl_binary(state, ENX_TPL_OP('*', 0), &value, &minus, out);
}

/* ---- Comparisons ---------------------------------------------------------------------------- */

static enx_status compare(enx_tpl_state *state, unsigned op, const enx_tpl_value *a,
                          const enx_tpl_value *b, bool *holds)
{
    int order;
    switch (op) {
    case ENX_TPL_OP('=', '='):
        return enx_tpl_equals(state, a, b, holds);
    case ENX_TPL_OP('!', '='):
    case ENX_TPL_OP_NOT_IN:
        if (op == ENX_TPL_OP_NOT_IN) ENX_TRY(enx_tpl_contains(state, b, a, holds));
        else ENX_TRY(enx_tpl_equals(state, a, b, holds));
        *holds = !*holds;
        return ENX_OK;
    case ENX_TPL_OP_IN:
        return enx_tpl_contains(state, b, a, holds);
    default:
        break;
    }
    if (a->kind == ENX_TPL_UNDEFINED || b->kind == ENX_TPL_UNDEFINED)
        return fail_types(state, "<", a, b);
    ENX_TRY(enx_tpl_compare(state, a, b, &order));
    if (op == ENX_TPL_OP('<', 0)) *holds = order < 0;
    else if (op == ENX_TPL_OP('>', 0)) *holds = order > 0;
    else if (op == ENX_TPL_OP('<', '=')) *holds = order <= 0;
    else *holds = order >= 0;
    return ENX_OK;
}

static enx_status eval_compare(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_value left = { 0 };
    bool          holds = true;
    ENX_TRY(enx_tpl_eval(state, node->a, &left));
    for (const enx_tpl_node *operand = node->b; operand && holds; operand = operand->next) {
        enx_tpl_value right = { 0 };
        ENX_TRY(enx_tpl_eval(state, operand->a, &right));
        state->at = node;
        ENX_TRY(compare(state, operand->op, &left, &right, &holds));
        left = right;
    }
    *out = enx_tpl_bool(holds);
    return ENX_OK;
}

/* ---- Attributes and items ------------------------------------------------------------------- */

static enx_status loop_attribute(const enx_tpl_loop *loop, enx_tpl_text name, enx_tpl_value *out)
{
    const size_t  index = loop->index, count = loop->items->count;
    const int64_t at = (int64_t)index, all = (int64_t)count;
    if (enx_tpl_text_is(name, "index")) *out = enx_tpl_int(at + 1);
    else if (enx_tpl_text_is(name, "index0")) *out = enx_tpl_int(at);
    else if (enx_tpl_text_is(name, "revindex")) *out = enx_tpl_int(all - at);
    else if (enx_tpl_text_is(name, "revindex0")) *out = enx_tpl_int(all - at - 1);
    else if (enx_tpl_text_is(name, "first")) *out = enx_tpl_bool(index == 0);
    else if (enx_tpl_text_is(name, "last")) *out = enx_tpl_bool(index + 1 == count);
    else if (enx_tpl_text_is(name, "length")) *out = enx_tpl_int(all);
    else if (enx_tpl_text_is(name, "depth"))
        *out = enx_tpl_int(1); /* of recursion, which is not here */
    else if (enx_tpl_text_is(name, "depth0")) *out = enx_tpl_int(0);
    else if (enx_tpl_text_is(name, "previtem") && index > 0) *out = loop->items->items[index - 1];
    else if (enx_tpl_text_is(name, "nextitem") && index + 1 < count)
        *out = loop->items->items[index + 1];
    return ENX_OK;
}

static enx_status macro_attribute(const enx_tpl_macro *macro, enx_tpl_text name, enx_tpl_value *out)
{
    if (enx_tpl_text_is(name, "name")) *out = enx_tpl_string(macro->node->text);
    return ENX_OK;
}

static enx_status bind_method(enx_tpl_state *state, const enx_tpl_value *self,
                              const enx_tpl_native *native, enx_tpl_value *out)
{
    enx_tpl_method *method = ENX_TPL_NEW(&state->pool, enx_tpl_method, 1);
    if (!method) return enx_tpl_fail_memory(state);
    *method = (enx_tpl_method){ *self, native };
    *out = (enx_tpl_value){ .kind = ENX_TPL_METHOD, .method = method };
    return ENX_OK;
}

enx_status enx_tpl_attribute_get(enx_tpl_state *state, const enx_tpl_value *value,
                                 enx_tpl_text name, enx_tpl_value *out)
{
    *out = (enx_tpl_value){ .kind = ENX_TPL_UNDEFINED, .text = name };
    if (value->kind == ENX_TPL_UNDEFINED) return fail_undefined(state, value);
    const enx_tpl_native *native = enx_tpl_method_find(value->kind, name);
    if (native) return bind_method(state, value, native, out);
    if (value->kind == ENX_TPL_LOOP) return loop_attribute(value->loop, name, out);
    if (value->kind == ENX_TPL_MACRO) return macro_attribute(value->macro, name, out);
    if (value->kind != ENX_TPL_DICT && value->kind != ENX_TPL_NAMESPACE) return ENX_OK;
    enx_tpl_value      *found;
    const enx_tpl_value key = enx_tpl_string(name);
    ENX_TRY(enx_tpl_dict_find(state, value->dict, &key, &found));
    if (found) *out = *found;
    return ENX_OK;
}

static enx_status item_at(enx_tpl_state *state, const enx_tpl_value *value, int64_t index,
                          enx_tpl_value *out)
{
    const enx_tpl_text text = value->text;
    const bool         is_text = value->kind == ENX_TPL_STRING;
    const int64_t      count = (int64_t)(is_text ? enx_tpl_text_length(text) : value->list->count);
    if (is_text) ENX_TRY(enx_tpl_charge(state, text.size / 16));
    if (index < 0) index += count;
    if (index < 0 || index >= count) return ENX_OK;
    if (!is_text) {
        *out = value->list->items[index];
        return ENX_OK;
    }
    const size_t at = enx_tpl_text_at(text, (size_t)index);
    *out = enx_tpl_string((enx_tpl_text){ text.bytes + at, enx_tpl_text_step(text, at) });
    return ENX_OK;
}

enx_status enx_tpl_item_get(enx_tpl_state *state, const enx_tpl_value *value,
                            const enx_tpl_value *key, enx_tpl_value *out)
{
    int64_t             index;
    const enx_tpl_value subject = *value; /* *out may be the value itself */
    const enx_tpl_text  name = key->kind == ENX_TPL_STRING ? key->text : ENX_TPL_TEXT("item");
    *out = (enx_tpl_value){ .kind = ENX_TPL_UNDEFINED, .text = name };
    if (subject.kind == ENX_TPL_UNDEFINED) return fail_undefined(state, &subject);
    if ((subject.kind == ENX_TPL_STRING || enx_tpl_is_list(&subject)) &&
        enx_tpl_is_integer(key, &index))
        return item_at(state, &subject, index, out);
    if (subject.kind == ENX_TPL_DICT && key->kind != ENX_TPL_LIST && key->kind != ENX_TPL_DICT) {
        enx_tpl_value *found;
        ENX_TRY(enx_tpl_dict_find(state, subject.dict, key, &found));
        if (found) *out = *found;
        if (found) return ENX_OK;
    }
    if (key->kind != ENX_TPL_STRING) return ENX_OK;
    return enx_tpl_attribute_get(state, &subject, key->text, out);
}

/* A bound of a slice, clipped to [low, high]; `missing` when there is none. */
static enx_status slice_bound(enx_tpl_state *state, const enx_tpl_node *node, int64_t count,
                              int64_t low, int64_t high, int64_t missing, int64_t *out)
{
    enx_tpl_value value = { .kind = ENX_TPL_NONE };
    if (node) ENX_TRY(enx_tpl_eval(state, node, &value));
    *out = missing;
    if (value.kind == ENX_TPL_NONE) return ENX_OK;
    if (!enx_tpl_is_integer(&value, out))
        return ENX_TPL_FAIL(state, INVALID, "a slice needs integers, not '%s'",
                            enx_tpl_kind_name(&value));
    if (*out < 0) *out += count;
    if (*out < low) *out = low;
    if (*out > high) *out = high;
    return ENX_OK;
}

static enx_status slice_text(enx_tpl_state *state, enx_tpl_text text, int64_t from, int64_t to,
                             enx_tpl_value *out)
{
    const size_t first = enx_tpl_text_at(text, (size_t)from);
    const size_t last = from < to ? enx_tpl_text_at(text, (size_t)to) : first;
    *out = enx_tpl_string((enx_tpl_text){ text.bytes + first, last - first });
    return enx_tpl_charge(state, text.size / 16);
}

static enx_status eval_slice(enx_tpl_state *state, const enx_tpl_value *value,
                             const enx_tpl_node *slice, enx_tpl_value *out)
{
    int64_t    from, to, step;
    const bool is_text = value->kind == ENX_TPL_STRING;
    if (value->kind == ENX_TPL_UNDEFINED) return fail_undefined(state, value);
    *out = (enx_tpl_value){ .kind = ENX_TPL_UNDEFINED, .text = ENX_TPL_TEXT("slice") };
    if (!is_text && !enx_tpl_is_list(value)) return ENX_OK;
    const int64_t count =
        (int64_t)(is_text ? enx_tpl_text_length(value->text) : value->list->count);
    ENX_TRY(slice_bound(state, slice->c, 0, -INT32_MAX, INT32_MAX, 1, &step));
    if (step == 0) return ENX_TPL_FAIL(state, INVALID, "slice step cannot be zero");
    const bool    is_back = step < 0;
    const int64_t low = is_back ? -1 : 0, high = is_back ? count - 1 : count;
    ENX_TRY(slice_bound(state, slice->a, count, low, high, is_back ? high : 0, &from));
    ENX_TRY(slice_bound(state, slice->b, count, low, high, is_back ? -1 : count, &to));
    if (is_text && step == 1) return slice_text(state, value->text, from, to, out);
    const enx_tpl_list *items;
    ENX_TRY(enx_tpl_iterate(state, value, &items));
    ENX_TRY(enx_tpl_list_new(state, is_text ? ENX_TPL_LIST : value->kind, out));
    enx_tpl_list *picked = out->list;
    const size_t  mark = enx_tpl_scratch_mark(state);
    for (int64_t i = from; is_back ? i > to : i < to; i += step) {
        ENX_TRY(enx_tpl_charge(state, 1));
        if (is_text)
            ENX_TRY(
                enx_tpl_scratch_put(state, items->items[i].text.bytes, items->items[i].text.size));
        else ENX_TRY(enx_tpl_list_push(state, picked, items->items[i]));
    }
    return is_text ? enx_tpl_scratch_take(state, mark, out) : ENX_OK;
}

static enx_status eval_item(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_value value = { 0 }, key = { 0 };
    ENX_TRY(enx_tpl_eval(state, node->a, &value));
    if (node->b->kind == ENX_TPL_NODE_SLICE) return eval_slice(state, &value, node->b, out);
    ENX_TRY(enx_tpl_eval(state, node->b, &key));
    state->at = node;
    return enx_tpl_item_get(state, &value, &key, out);
}

/* ---- Calls ---------------------------------------------------------------------------------- */

/* One argument as it is written: *list and **dict are several. */
static enx_status push_argument(enx_tpl_state *state, const enx_tpl_node *node,
                                enx_tpl_list *values, enx_tpl_list *names)
{
    enx_tpl_value       value = { 0 };
    const enx_tpl_list *items;
    ENX_TRY(enx_tpl_eval(state, node->a, &value));
    if (!node->op) {
        ENX_TRY(enx_tpl_list_push(state, values, value));
        return enx_tpl_list_push(state, names, enx_tpl_string(node->text));
    }
    const bool is_dict = node->op == ENX_TPL_OP('*', '*');
    if (is_dict && value.kind != ENX_TPL_DICT)
        return ENX_TPL_FAIL(state, INVALID, "** needs a dict, not '%s'", enx_tpl_kind_name(&value));
    ENX_TRY(enx_tpl_iterate(state, &value, &items));
    for (size_t i = 0; i < items->count; i++) {
        const enx_tpl_value name = is_dict ? items->items[i] : enx_tpl_string(ENX_TPL_TEXT(""));
        if (name.kind != ENX_TPL_STRING || (is_dict && name.text.size == 0))
            return ENX_TPL_FAIL(state, INVALID, "** needs names as keys");
        ENX_TRY(enx_tpl_list_push(state, values,
                                  is_dict ? value.dict->pairs[i].value : items->items[i]));
        ENX_TRY(enx_tpl_list_push(state, names, name));
    }
    return ENX_OK;
}

enx_status enx_tpl_eval_args(enx_tpl_state *state, const enx_tpl_node *first, enx_tpl_args *args)
{
    enx_tpl_list values = { 0 }, names = { 0 };
    *args = (enx_tpl_args){ 0 };
    for (const enx_tpl_node *node = first; node; node = node->next)
        ENX_TRY(push_argument(state, node, &values, &names));
    if (values.count == 0) return ENX_OK;
    args->values = values.items;
    args->names = ENX_TPL_NEW(&state->pool, enx_tpl_text, values.count);
    if (!args->names) return enx_tpl_fail_memory(state);
    for (; args->count < values.count; args->count++) {
        args->names[args->count] = names.items[args->count].text;
        if (args->names[args->count].size == 0) args->positional_count++;
    }
    return ENX_OK;
}

/* The place of a name in "a b c"; SIZE_MAX: it is not there. */
static size_t parameter_index(const char *parameters, enx_tpl_text name)
{
    size_t index = 0;
    for (const char *at = parameters; *at; index++) {
        const size_t size = strcspn(at, " ");
        if (enx_tpl_text_equals(name, (enx_tpl_text){ at, size })) return index;
        at += size + strspn(at + size, " ");
    }
    return SIZE_MAX;
}

static size_t parameter_count(const char *parameters)
{
    size_t count = *parameters ? 1 : 0;
    for (; *parameters; parameters++) count += *parameters == ' ';
    return count;
}

enx_status enx_tpl_call_native(enx_tpl_state *state, const enx_tpl_native *native,
                               const enx_tpl_value *self, const enx_tpl_args *args,
                               enx_tpl_value *out)
{
    enx_tpl_call call = { .state = state, .native = native, .self = *self, .args = args };
    if (*native->parameters == '*') return native->run(&call, out);
    const size_t known = parameter_count(native->parameters);
    for (size_t i = 0; i < args->count; i++) {
        const enx_tpl_text name = args->names[i];
        const size_t       at = name.size ? parameter_index(native->parameters, name) : i;
        if (at >= known || call.slot[at])
            return ENX_TPL_FAIL(
                state, INVALID, "%s: argument %.*s%zu is one too many; it takes (%s)", native->name,
                shown(name), name.size ? name.bytes : "", i + 1, native->parameters);
        call.slot[at] = &args->values[i];
    }
    for (size_t i = 0; i < native->required_count; i++)
        if (!call.slot[i])
            return ENX_TPL_FAIL(state, INVALID, "%s: argument %zu is missing; it takes (%s)",
                                native->name, i + 1, native->parameters);
    return native->run(&call, out);
}

/* The callee's own words, for a message. */
static enx_tpl_text callee_name(const enx_tpl_node *node)
{
    const bool is_named = node->kind == ENX_TPL_NODE_NAME || node->kind == ENX_TPL_NODE_ATTRIBUTE;
    return is_named ? node->text : ENX_TPL_TEXT("value");
}

static enx_status eval_call(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_value callee = { 0 };
    enx_tpl_args  args;
    ENX_TRY(enx_tpl_eval(state, node->a, &callee));
    ENX_TRY(enx_tpl_eval_args(state, node->b, &args));
    state->at = node->a;
    const enx_tpl_text name = callee_name(node->a);
    switch (callee.kind) {
    case ENX_TPL_MACRO:
        return enx_tpl_call_macro(state, callee.macro, &args, out);
    case ENX_TPL_NATIVE:
        return enx_tpl_call_native(state, callee.native, &callee, &args, out);
    case ENX_TPL_METHOD:
        return enx_tpl_call_native(state, callee.method->native, &callee.method->self, &args, out);
    case ENX_TPL_UNDEFINED:
        return ENX_TPL_FAIL(state, UNSUPPORTED, "there is no %s '%.*s' here",
                            node->a->kind == ENX_TPL_NODE_ATTRIBUTE ? "method" : "function",
                            shown(name), name.bytes);
    default:
        return ENX_TPL_FAIL(state, INVALID, "'%.*s' is of type '%s' and cannot be called",
                            shown(name), name.bytes, enx_tpl_kind_name(&callee));
    }
}

static enx_status eval_native(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_value value = { 0 };
    enx_tpl_args  args;
    ENX_TRY(enx_tpl_eval(state, node->a, &value));
    ENX_TRY(enx_tpl_eval_args(state, node->b, &args));
    state->at = node;
    return enx_tpl_call_native(state, node->native, &value, &args, out);
}

/* ---- The rest ------------------------------------------------------------------------------- */

static enx_status eval_name(enx_tpl_state *state, enx_tpl_text name, enx_tpl_value *out)
{
    for (const enx_tpl_scope *scope = state->scope; scope; scope = scope->parent)
        for (const enx_tpl_variable *v = scope->variables; v; v = v->next)
            if (enx_tpl_text_equals(v->name, name)) {
                *out = v->value;
                return ENX_OK;
            }
    const enx_tpl_native *native = enx_tpl_function_find(name);
    *out = native ? (enx_tpl_value){ .kind = ENX_TPL_NATIVE, .native = native }
                  : (enx_tpl_value){ .kind = ENX_TPL_UNDEFINED, .text = name };
    return ENX_OK;
}

static enx_status eval_items(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_value made = { 0 };
    ENX_TRY(enx_tpl_list_new(state, node->kind == ENX_TPL_NODE_LIST ? ENX_TPL_LIST : ENX_TPL_TUPLE,
                             &made));
    for (const enx_tpl_node *item = node->a; item; item = item->next) {
        enx_tpl_value value = { 0 };
        ENX_TRY(enx_tpl_eval(state, item, &value));
        ENX_TRY(enx_tpl_list_push(state, made.list, value));
    }
    *out = made;
    return ENX_OK;
}

static enx_status eval_dict(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_value made = { 0 };
    ENX_TRY(enx_tpl_dict_new(state, ENX_TPL_DICT, &made));
    for (const enx_tpl_node *pair = node->a; pair; pair = pair->next) {
        enx_tpl_value key = { 0 }, value = { 0 };
        ENX_TRY(enx_tpl_eval(state, pair->a, &key));
        ENX_TRY(enx_tpl_eval(state, pair->b, &value));
        ENX_TRY(enx_tpl_dict_set(state, made.dict, key, value));
    }
    *out = made;
    return ENX_OK;
}

static enx_status eval_concat(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    const size_t mark = enx_tpl_scratch_mark(state);
    for (const enx_tpl_node *part = node->a; part; part = part->next) {
        enx_tpl_value value = { 0 };
        ENX_TRY(enx_tpl_eval(state, part, &value));
        ENX_TRY(enx_tpl_scratch_print(state, &value));
    }
    return enx_tpl_scratch_take(state, mark, out);
}

static enx_status eval_binary(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_value a = { 0 }, b = { 0 };
    ENX_TRY(enx_tpl_eval(state, node->a, &a));
    ENX_TRY(enx_tpl_eval(state, node->b, &b));
    state->at = node;
    return enx_tpl_binary(state, node->op, &a, &b, out);
}

static enx_status eval_condition(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_value condition = { 0 };
    ENX_TRY(enx_tpl_eval(state, node->a, &condition));
    if (enx_tpl_is_true(&condition)) return enx_tpl_eval(state, node->b, out);
    if (node->c) return enx_tpl_eval(state, node->c, out);
    *out = (enx_tpl_value){ .kind = ENX_TPL_UNDEFINED, .text = ENX_TPL_TEXT("if without else") };
    return ENX_OK;
}

/* and, or, not: *out is the operand that decided. */
static enx_status eval_logic(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    ENX_TRY(enx_tpl_eval(state, node->a, out));
    if (node->kind == ENX_TPL_NODE_NOT) *out = enx_tpl_bool(!enx_tpl_is_true(out));
    else if (enx_tpl_is_true(out) == (node->kind == ENX_TPL_NODE_AND))
        return enx_tpl_eval(state, node->b, out);
    return ENX_OK;
}

static enx_status eval_node(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    switch (node->kind) {
    case ENX_TPL_NODE_CONST:
        *out = node->value;
        return ENX_OK;
    case ENX_TPL_NODE_INPUT:
        *out = state->input;
        return ENX_OK;
    case ENX_TPL_NODE_NAME:
        return eval_name(state, node->text, out);
    case ENX_TPL_NODE_LIST:
    case ENX_TPL_NODE_TUPLE:
        return eval_items(state, node, out);
    case ENX_TPL_NODE_DICT:
        return eval_dict(state, node, out);
    case ENX_TPL_NODE_ITEM:
        return eval_item(state, node, out);
    case ENX_TPL_NODE_CALL:
        return eval_call(state, node, out);
    case ENX_TPL_NODE_FILTER:
    case ENX_TPL_NODE_TEST:
        return eval_native(state, node, out);
    case ENX_TPL_NODE_NOT:
    case ENX_TPL_NODE_AND:
    case ENX_TPL_NODE_OR:
        return eval_logic(state, node, out);
    case ENX_TPL_NODE_NEGATIVE:
    case ENX_TPL_NODE_POSITIVE:
        return eval_sign(state, node, out);
    case ENX_TPL_NODE_CONCAT:
        return eval_concat(state, node, out);
    case ENX_TPL_NODE_COMPARE:
        return eval_compare(state, node, out);
    case ENX_TPL_NODE_CONDITION:
        return eval_condition(state, node, out);
    case ENX_TPL_NODE_BINARY:
        return eval_binary(state, node, out);
    default:
        break;
    }
    enx_tpl_value value; /* ENX_TPL_NODE_ATTRIBUTE: the only kind left that the parser makes here */
    ENX_TRY(enx_tpl_eval(state, node->a, &value));
    state->at = node;
    return enx_tpl_attribute_get(state, &value, node->text, out);
}

enx_status enx_tpl_eval(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    state->at = node;
    ENX_TRY(enx_tpl_charge(state, 1));
    if (++state->depth > ENX_TEMPLATE_DEPTH_MAX)
        return ENX_TPL_FAIL(state, LIMIT, "more than %d expressions and blocks wait for each other",
                            ENX_TEMPLATE_DEPTH_MAX);
    ENX_TRY(eval_node(state, node, out));
    state->depth--;
    return ENX_OK;
}
