/* SPDX-License-Identifier: Apache-2.0 */
/* canon.c - members into the order of a schema, and a text through an automaton. */
#include "text/canon.h"

#include "base/mem.h"

enum { DIGITS = 15 }; /* of a number with a fraction: what a double holds for certain */

/* A copy of `value` in the order of its schema, or NULL: no memory, or too deep.  The parser's own
 * limit on depth is far above, so recursion is bounded here. */
static json_t *order(json_t *value, const json_t *schema, int depth)
{
    const char *key;
    json_t     *at, *out;
    size_t      index;
    if (depth > ENX_CANON_DEPTH_MAX) return NULL;
    if (json_is_array(value)) {
        out = json_array();
        json_array_foreach (value, index, at)
            if (json_array_append_new(out,
                                      order(at, json_object_get(schema, "items"), depth + 1))) {
                json_decref(out);
                return NULL;
            }
        return out;
    }
    if (!json_is_object(value)) return json_incref(value);
    const json_t *properties = json_object_get(schema, "properties");
    out = json_object();
    bool  is_good = out != NULL;
    void *member = json_object_iter((json_t *)(uintptr_t)properties);
    for (; member && is_good;
         member = json_object_iter_next((json_t *)(uintptr_t)properties, member)) {
        key = json_object_iter_key(member);
        at = json_object_get(value, key);
        if (at)
            is_good = json_object_set_new(
                          out, key, order(at, json_object_iter_value(member), depth + 1)) == 0;
    }
    json_object_foreach (value, key, at)
        if (is_good && !json_object_get(out, key))
            is_good = json_object_set_new(out, key, order(at, NULL, depth + 1)) == 0;
    if (is_good) return out;
    json_decref(out);
    return NULL;
}

static int append(const char *text, size_t size_bytes, void *user)
{
    return enx_buf_append(user, text, size_bytes) == ENX_OK ? 0 : -1;
}

enx_status enx_canon_append(enx_buf *out, const json_t *schema, const char *text, size_t size_bytes,
                            enx_report *report)
{
    json_error_t error;
    json_t *value = json_loadb(text, size_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!value)
        return ENX_FAIL(report, FORMAT, "not JSON at byte %d: %s", error.position, error.text);
    json_t *ordered = order(value, schema, 0);
    json_decref(value);
    if (!ordered)
        return ENX_FAIL(report, LIMIT, "JSON is deeper than %d levels", ENX_CANON_DEPTH_MAX);
    const int failed = json_dump_callback(
        ordered, append, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(DIGITS));
    json_decref(ordered);
    return failed ? ENX_FAIL(report, LIMIT, "JSON of more than %zu bytes", out->max_bytes) : ENX_OK;
}

enx_status enx_canon_matches(const enx_automaton *automaton, const char *text, size_t size_bytes,
                             bool *is_match, size_t *at)
{
    void *state = enx_mem_new(1, automaton->state_bytes);
    if (!state) return ENX_NOMEM;
    automaton->start(automaton, state);
    size_t i = 0;
    while (i < size_bytes && automaton->step(automaton, state, (uint8_t)text[i])) i++;
    *is_match = i == size_bytes && automaton->may_end(automaton, state);
    *at = i;
    enx_mem_free(state);
    return ENX_OK;
}
