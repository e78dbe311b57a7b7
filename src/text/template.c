/* SPDX-License-Identifier: Apache-2.0 */
/* template.c - statements, and a template's life.
 *
 * All output goes to the scratch buffer first; it reaches the caller's when nothing can fail any
 * more.  What a macro or a block puts out is the end of that buffer, taken off again.
 *
 * Names are set in the innermost scope: loops (each round anew), macros, and blocks that capture
 * have one; if and else have none. */
#include "text/template.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/template_impl.h"

#include <string.h>

struct enx_template {
    enx_tpl_pool  pool;
    enx_tpl_node *first;
};

/* ---- Names ---------------------------------------------------------------------------------- */

enx_status enx_tpl_variable_set(enx_tpl_state *state, enx_tpl_text name, enx_tpl_value value)
{
    enx_tpl_variable *v = state->scope->variables;
    while (v && !enx_tpl_text_equals(v->name, name)) v = v->next;
    if (!v) {
        v = ENX_TPL_NEW(&state->pool, enx_tpl_variable, 1);
        if (!v) return enx_tpl_fail_memory(state);
        v->next = state->scope->variables;
        v->name = name;
        state->scope->variables = v;
    }
    v->value = value;
    return ENX_OK;
}

static enx_status open_scope(enx_tpl_state *state, enx_tpl_scope *parent)
{
    enx_tpl_scope *scope = ENX_TPL_NEW(&state->pool, enx_tpl_scope, 1);
    if (!scope) return enx_tpl_fail_memory(state);
    scope->parent = parent;
    state->scope = scope;
    return ENX_OK;
}

static enx_status set_target(enx_tpl_state *state, const enx_tpl_node *target,
                             const enx_tpl_value *value)
{
    if (target->kind == ENX_TPL_NODE_NAME) return enx_tpl_variable_set(state, target->text, *value);
    if (target->kind == ENX_TPL_NODE_ATTRIBUTE) {
        enx_tpl_value space = { 0 };
        ENX_TRY(enx_tpl_eval(state, target->a, &space));
        if (space.kind != ENX_TPL_NAMESPACE)
            return ENX_TPL_FAIL(state, INVALID,
                                "an attribute of '%s' cannot be set; use namespace()",
                                enx_tpl_kind_name(&space));
        return enx_tpl_dict_set(state, space.dict, enx_tpl_string(target->text), *value);
    }
    const enx_tpl_list *items;
    size_t              count = 0;
    ENX_TRY(enx_tpl_iterate(state, value, &items));
    for (const enx_tpl_node *part = target->a; part; part = part->next, count++)
        if (count < items->count) ENX_TRY(set_target(state, part, &items->items[count]));
    if (count == items->count) return ENX_OK;
    return ENX_TPL_FAIL(state, INVALID, "%zu values to unpack, expected %zu", items->count, count);
}

/* ---- Macros --------------------------------------------------------------------------------- */

/* The output of a body, in a scope of its own below `parent`. */
static enx_status capture(enx_tpl_state *state, const enx_tpl_node *body, enx_tpl_scope *parent,
                          enx_tpl_value *out)
{
    enx_tpl_scope *scope = state->scope;
    const size_t   mark = enx_tpl_scratch_mark(state);
    ENX_TRY(open_scope(state, parent));
    ENX_TRY(enx_tpl_run(state, body));
    state->scope = scope;
    return enx_tpl_scratch_take(state, mark, out);
}

/* The argument for the parameter at `index`, or NULL. */
static const enx_tpl_value *find_argument(const enx_tpl_args *args, enx_tpl_text name, size_t index)
{
    if (index < args->positional_count) return &args->values[index];
    for (size_t i = args->positional_count; i < args->count; i++)
        if (enx_tpl_text_equals(args->names[i], name)) return &args->values[i];
    return NULL;
}

static enx_status bind_parameters(enx_tpl_state *state, const enx_tpl_node *first,
                                  const enx_tpl_args *args)
{
    size_t used = 0, index = 0;
    for (const enx_tpl_node *p = first; p; p = p->next, index++) {
        const enx_tpl_value *given = find_argument(args, p->text, index);
        enx_tpl_value        value = { .kind = ENX_TPL_UNDEFINED, .text = p->text };
        if (given) {
            value = *given;
            used++;
        } else if (p->a) ENX_TRY(enx_tpl_eval(state, p->a, &value));
        ENX_TRY(enx_tpl_variable_set(state, p->text, value));
    }
    const enx_tpl_value *caller = find_argument(args, ENX_TPL_TEXT("caller"), SIZE_MAX);
    if (caller) ENX_TRY(enx_tpl_variable_set(state, ENX_TPL_TEXT("caller"), *caller));
    if (used + (caller ? 1 : 0) == args->count) return ENX_OK;
    return ENX_TPL_FAIL(state, INVALID, "%zu arguments, of which the macro knows %zu", args->count,
                        used);
}

enx_status enx_tpl_call_macro(enx_tpl_state *state, const enx_tpl_macro *macro,
                              const enx_tpl_args *args, enx_tpl_value *out)
{
    enx_tpl_scope *scope = state->scope;
    ENX_TRY(open_scope(state, macro->scope));
    ENX_TRY(bind_parameters(state, macro->node->a, args));
    ENX_TRY(capture(state, macro->node->body, state->scope, out));
    state->scope = scope;
    return ENX_OK;
}

static enx_status new_macro(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    enx_tpl_macro *macro = ENX_TPL_NEW(&state->pool, enx_tpl_macro, 1);
    if (!macro) return enx_tpl_fail_memory(state);
    *macro = (enx_tpl_macro){ node, state->scope };
    *out = (enx_tpl_value){ .kind = ENX_TPL_MACRO, .macro = macro };
    return ENX_OK;
}

static enx_status run_macro(enx_tpl_state *state, const enx_tpl_node *node)
{
    enx_tpl_value macro = { 0 };
    ENX_TRY(new_macro(state, node, &macro));
    return enx_tpl_variable_set(state, node->text, macro);
}

static enx_status run_call_block(enx_tpl_state *state, const enx_tpl_node *node)
{
    enx_tpl_value callee = { 0 }, result = { 0 }, caller = { 0 };
    enx_tpl_args  args;
    ENX_TRY(enx_tpl_eval(state, node->b->a, &callee));
    ENX_TRY(enx_tpl_eval_args(state, node->b->b, &args));
    state->at = node;
    if (callee.kind != ENX_TPL_MACRO)
        return ENX_TPL_FAIL(state, INVALID, "a call block needs a macro, not '%s'",
                            enx_tpl_kind_name(&callee));
    ENX_TRY(new_macro(state, node, &caller));
    const size_t count = args.count + 1;
    enx_tpl_args all = { ENX_TPL_NEW(&state->pool, enx_tpl_value, count),
                         ENX_TPL_NEW(&state->pool, enx_tpl_text, count), count,
                         args.positional_count };
    if (!all.values || !all.names) return enx_tpl_fail_memory(state);
    for (size_t i = 0; i < args.count; i++) {
        all.values[i] = args.values[i];
        all.names[i] = args.names[i];
    }
    all.values[args.count] = caller;
    all.names[args.count] = ENX_TPL_TEXT("caller");
    ENX_TRY(enx_tpl_call_macro(state, callee.macro, &all, &result));
    return enx_tpl_scratch_print(state, &result);
}

/* ---- Other statements ----------------------------------------------------------------------- */

static enx_status run_if(enx_tpl_state *state, const enx_tpl_node *node)
{
    for (const enx_tpl_node *branch = node->a; branch; branch = branch->next) {
        enx_tpl_value condition = enx_tpl_bool(true);
        if (branch->a) ENX_TRY(enx_tpl_eval(state, branch->a, &condition));
        if (enx_tpl_is_true(&condition)) return enx_tpl_run(state, branch->body);
    }
    return ENX_OK;
}

/* The items that the loop's condition lets through. */
static enx_status filter_items(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_list *items)
{
    enx_tpl_value kept = { 0 };
    ENX_TRY(enx_tpl_list_new(state, ENX_TPL_LIST, &kept));
    enx_tpl_scope *scope = state->scope;
    for (size_t i = 0; i < items->count; i++) {
        enx_tpl_value holds = { 0 };
        ENX_TRY(open_scope(state, scope));
        ENX_TRY(set_target(state, node->a, &items->items[i]));
        ENX_TRY(enx_tpl_eval(state, node->c, &holds));
        if (enx_tpl_is_true(&holds)) ENX_TRY(enx_tpl_list_push(state, kept.list, items->items[i]));
    }
    state->scope = scope;
    *items = *kept.list;
    return ENX_OK;
}

static enx_status run_rounds(enx_tpl_state *state, const enx_tpl_node *node,
                             const enx_tpl_list *items)
{
    enx_tpl_loop *loop = ENX_TPL_NEW(&state->pool, enx_tpl_loop, 1);
    if (!loop) return enx_tpl_fail_memory(state);
    const enx_tpl_value value = { .kind = ENX_TPL_LOOP, .loop = loop };
    enx_tpl_scope      *scope = state->scope;
    loop->items = items;
    for (; loop->index < items->count; loop->index++) {
        ENX_TRY(enx_tpl_charge(state, 1));
        ENX_TRY(open_scope(state, scope));
        ENX_TRY(enx_tpl_variable_set(state, ENX_TPL_TEXT("loop"), value));
        ENX_TRY(set_target(state, node->a, &items->items[loop->index]));
        ENX_TRY(enx_tpl_run(state, node->body));
        const bool is_over = state->flow == ENX_TPL_FLOW_BREAK;
        state->flow = ENX_TPL_FLOW_ON;
        if (is_over) break;
    }
    state->scope = scope;
    return ENX_OK;
}

static enx_status run_for(enx_tpl_state *state, const enx_tpl_node *node)
{
    enx_tpl_value       value = { 0 };
    const enx_tpl_list *given;
    ENX_TRY(enx_tpl_eval(state, node->b, &value));
    state->at = node->b;
    ENX_TRY(enx_tpl_iterate(state, &value, &given));
    /* A copy of the head: the body may change the list, but not where this loop ends. */
    enx_tpl_list *items = ENX_TPL_NEW(&state->pool, enx_tpl_list, 1);
    if (!items) return enx_tpl_fail_memory(state);
    *items = *given;
    if (node->c) ENX_TRY(filter_items(state, node, items));
    if (items->count > 0) return run_rounds(state, node, items);
    enx_tpl_scope *scope = state->scope;
    ENX_TRY(open_scope(state, scope));
    ENX_TRY(enx_tpl_run(state, node->other));
    state->scope = scope;
    return ENX_OK;
}

static enx_status run_set(enx_tpl_state *state, const enx_tpl_node *node)
{
    enx_tpl_value value = { 0 };
    ENX_TRY(enx_tpl_eval(state, node->b, &value));
    state->at = node;
    return set_target(state, node->a, &value);
}

/* The body through the filters in *out. */
static enx_status run_captured(enx_tpl_state *state, const enx_tpl_node *node, enx_tpl_value *out)
{
    const enx_tpl_value input = state->input;
    enx_tpl_value       text = { 0 };
    ENX_TRY(capture(state, node->body, state->scope, &text));
    state->input = text;
    ENX_TRY(enx_tpl_eval(state, node->b, out));
    state->input = input;
    return ENX_OK;
}

static enx_status run_scope(enx_tpl_state *state, const enx_tpl_node *node)
{
    enx_tpl_scope *scope = state->scope;
    ENX_TRY(open_scope(state, scope));
    for (const enx_tpl_node *set = node->a; set; set = set->next) ENX_TRY(run_set(state, set));
    ENX_TRY(enx_tpl_run(state, node->body));
    state->scope = scope;
    return ENX_OK;
}

static enx_status run_statement(enx_tpl_state *state, const enx_tpl_node *node)
{
    enx_tpl_value value = { 0 };
    switch (node->kind) {
    case ENX_TPL_NODE_DATA:
        return enx_tpl_scratch_put(state, node->text.bytes, node->text.size);
    case ENX_TPL_NODE_OUTPUT:
        ENX_TRY(enx_tpl_eval(state, node->a, &value));
        return enx_tpl_scratch_print(state, &value);
    case ENX_TPL_NODE_IF:
        return run_if(state, node);
    case ENX_TPL_NODE_FOR:
        return run_for(state, node);
    case ENX_TPL_NODE_SET:
        return run_set(state, node);
    case ENX_TPL_NODE_SET_BLOCK:
        ENX_TRY(run_captured(state, node, &value));
        return set_target(state, node->a, &value);
    case ENX_TPL_NODE_FILTER_BLOCK:
        ENX_TRY(run_captured(state, node, &value));
        return enx_tpl_scratch_print(state, &value);
    case ENX_TPL_NODE_MACRO:
        return run_macro(state, node);
    case ENX_TPL_NODE_CALL_BLOCK:
        return run_call_block(state, node);
    case ENX_TPL_NODE_SCOPE:
        return run_scope(state, node);
    case ENX_TPL_NODE_BREAK:
        state->flow = ENX_TPL_FLOW_BREAK;
        return ENX_OK;
    case ENX_TPL_NODE_CONTINUE:
        state->flow = ENX_TPL_FLOW_CONTINUE;
        return ENX_OK;
    default:
        return enx_tpl_eval(state, node->a, &value); /* ENX_TPL_NODE_DO */
    }
}

enx_status enx_tpl_run(enx_tpl_state *state, const enx_tpl_node *first)
{
    if (++state->depth > ENX_TEMPLATE_DEPTH_MAX)
        return ENX_TPL_FAIL(state, LIMIT, "more than %d expressions and blocks wait for each other",
                            ENX_TEMPLATE_DEPTH_MAX);
    for (const enx_tpl_node *node = first; node && state->flow == ENX_TPL_FLOW_ON;
         node = node->next) {
        state->at = node;
        ENX_TRY(enx_tpl_charge(state, 1));
        ENX_TRY(run_statement(state, node));
    }
    state->depth--;
    return ENX_OK;
}

/* ---- Open and render ------------------------------------------------------------------------ */

enx_status enx_template_open(enx_template **out, const char *text, size_t size_bytes,
                             enx_report *report)
{
    ENX_CHECK(out && (text || size_bytes == 0));
    if (size_bytes > ENX_TEMPLATE_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "the template has %zu bytes; %d is the limit", size_bytes,
                        ENX_TEMPLATE_BYTES_MAX);
    enx_template *t = ENX_MEM_NEW(enx_template, 1);
    if (!t) return ENX_FAIL(report, NOMEM, "no memory for a template");
    t->pool.total_max = ENX_TEMPLATE_MEMORY_MAX;
    const enx_status status = enx_tpl_parse(&t->pool, text, size_bytes, &t->first, report);
    if (status == ENX_OK) *out = t;
    else enx_template_close(&t);
    return status;
}

void enx_template_close(enx_template **t)
{
    if (*t) enx_tpl_pool_deinit(&(*t)->pool);
    enx_mem_free(*t);
    *t = NULL;
}

static enx_status run_all(enx_tpl_state *state, const enx_tpl_node *first, const json_t *context)
{
    enx_tpl_value names = { 0 };
    ENX_TRY(enx_tpl_json_read(state, context, 0, &names));
    if (names.kind != ENX_TPL_DICT)
        return ENX_TPL_FAIL(state, INVALID, "the context must be an object of names");
    enx_tpl_scope global = { 0 };
    state->scope = &global;
    for (size_t i = 0; i < names.dict->count; i++) {
        enx_tpl_variable *v = ENX_TPL_NEW(&state->pool, enx_tpl_variable, 1);
        if (!v) return enx_tpl_fail_memory(state);
        *v = (enx_tpl_variable){ global.variables, names.dict->pairs[i].key.text,
                                 names.dict->pairs[i].value };
        global.variables = v;
    }
    return enx_tpl_run(state, first);
}

enx_status enx_template_render(const enx_template *t, const json_t *context, int64_t now_s,
                               enx_buf *out, enx_report *report)
{
    ENX_CHECK(t && context && out);
    enx_tpl_state state = { .report = report, .now_s = now_s };
    state.pool.total_max = ENX_TEMPLATE_MEMORY_MAX;
    enx_buf_init(&state.scratch, ENX_TEMPLATE_OUTPUT_MAX);
    enx_status status = run_all(&state, t->first, context);
    if (status == ENX_OK) {
        status = enx_buf_append(out, enx_buf_text(&state.scratch), state.scratch.size_bytes);
        if (status == ENX_LIMIT)
            status = ENX_FAIL(report, LIMIT,
                              "the template's text has %zu bytes, more than the %zu "
                              "that are left for it",
                              state.scratch.size_bytes, out->max_bytes - out->size_bytes);
        else if (status != ENX_OK) status = ENX_FAIL(report, NOMEM, "no memory for the text");
    }
    enx_buf_deinit(&state.scratch);
    enx_tpl_pool_deinit(&state.pool);
    return status;
}
