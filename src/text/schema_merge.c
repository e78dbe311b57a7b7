/* SPDX-License-Identifier: Apache-2.0 */
/* schema_merge.c - schemas that must hold together, as one schema.
 *
 * Most keywords of JSON Schema limit on their own, so two schemas hold together when all keywords
 * of both do.  A few look at their neighbours: additionalProperties at the properties that stand
 * beside it, items at prefixItems.  Where merging would give them other neighbours it is refused.
 */
#include "text/schema_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOPS_MAX = 64 };

enx_schema_keyword enx_schema_keyword_of(const char *name)
{
    static const char *const held[] = {
        "$ref",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "oneOf",
        "pattern",
        "prefixItems",
        "properties",
        "required",
        "type",
    };
    static const char *const refused[] = {
        "$dynamicRef",
        "$recursiveRef",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "minContains",
        "not",
        "patternProperties",
        "propertyNames",
        "then",
        "uniqueItems",
    };
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        if (strcmp(held[i], name) == 0) return ENX_SCHEMA_HELD;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i], name) == 0) return ENX_SCHEMA_REFUSED;
    return ENX_SCHEMA_NOTE;
}

bool enx_schema_has_beside(const json_t *schema, const char *name)
{
    const char *key;
    json_t     *value;
    json_object_foreach (MUTABLE(schema), key, value) {
        if (strcmp(key, name) != 0 && enx_schema_keyword_of(key) != ENX_SCHEMA_NOTE) return true;
    }
    return false;
}

bool enx_schema_is_listed(const json_t *list, const json_t *wanted)
{
    const json_t *item;
    size_t        i;
    if (!json_is_array(list)) return json_equal(list, wanted);
    json_array_foreach (list, i, item) {
        if (json_equal(item, wanted)) return true;
    }
    return false;
}

/* ---- References ----------------------------------------------------------------------------- */

/* One step of a JSON pointer from `at`, in *name with its escapes taken back. */
static bool read_step(const char **at, char *name, size_t name_bytes)
{
    size_t count = 0;
    for (++*at; **at && **at != '/'; ++*at) {
        char         c = **at;
        unsigned int code;
        if (c == '~') c = *++*at == '1' ? '/' : '~';
        else if (c == '%' && sscanf(*at + 1, "%2x", &code) == 1) {
            c = (char)code;
            *at += 2;
        }
        if (count + 1 >= name_bytes || !**at) return false;
        name[count++] = c;
    }
    name[count] = '\0';
    return true;
}

static enx_status find_reference(const enx_schema_writer *w, const char *text, const json_t **out)
{
    const char *at = text + 1;
    char        name[ENX_SCHEMA_PATH_BYTES];
    *out = w->root;
    if (text[0] != '#' || (*at && *at != '/'))
        return SCHEMA_FAIL(w, UNSUPPORTED,
                           "$ref %s: only references within the schema (#/…) are supported", text);
    while (*out && *at == '/') {
        if (!read_step(&at, name, sizeof name)) *out = NULL;
        else if (json_is_array(*out)) *out = json_array_get(*out, (size_t)strtoul(name, NULL, 10));
        else *out = json_object_get(*out, name);
    }
    return *out ? ENX_OK : SCHEMA_FAIL(w, NOTFOUND, "$ref %s: there is no such place", text);
}

/* ---- Merging -------------------------------------------------------------------------------- */

/* What is in both lists. */
static json_t *in_both(const json_t *a, const json_t *b)
{
    json_t       *both = json_array();
    const json_t *item;
    size_t        i;
    json_array_foreach (a, i, item) {
        if (enx_schema_is_listed(b, item)) json_array_append(both, MUTABLE(item));
    }
    return both;
}

/* The types as a list in which a number may be an integer too. */
static json_t *list_types(const json_t *types)
{
    json_t *list = json_is_array(types) ? json_copy(MUTABLE(types)) : json_pack("[O]", types);
    json_t *number = json_string("number");
    if (enx_schema_is_listed(list, number)) json_array_append_new(list, json_string("integer"));
    json_decref(number);
    return list;
}

static json_t *types_in_both(const json_t *a, const json_t *b)
{
    json_t *ours = list_types(a), *theirs = list_types(b), *both = in_both(ours, theirs);
    json_decref(ours);
    json_decref(theirs);
    return both;
}

/* Those of both; a name that both describe must be valid by both. */
static json_t *join_properties(const json_t *a, const json_t *b)
{
    json_t     *all = json_copy(MUTABLE(a)), *item;
    const char *name;
    int         failed = 0;
    json_object_foreach (MUTABLE(b), name, item) {
        json_t *other = json_object_get(all, name);
        json_t *both = other ? json_pack("{s:[O,O]}", "allOf", other, item) : json_incref(item);
        failed |= json_object_set_new(all, name, both);
    }
    if (!failed) return all;
    json_decref(all);
    return NULL;
}

static json_t *join_lists(const json_t *a, const json_t *b)
{
    json_t *all = json_copy(MUTABLE(a));
    if (json_array_extend(all, MUTABLE(b)) == 0) return all;
    json_decref(all);
    return NULL;
}

static bool can_join(const char *key, const json_t *value)
{
    if (strcmp(key, "required") == 0 || strcmp(key, "enum") == 0) return json_is_array(value);
    return strcmp(key, "properties") != 0 || json_is_object(value);
}

/* Add one keyword of another schema that must hold too. */
static enx_status merge_keyword(enx_schema_writer *w, json_t *into, const char *key, json_t *value)
{
    const json_t *own = json_object_get(into, key);
    json_t       *both;
    if (!own) both = json_incref(value);
    else if (json_equal(own, value)) return ENX_OK;
    else if (!can_join(key, own) || !can_join(key, value))
        return SCHEMA_FAIL(w, FORMAT, "%s: %s is needed", key,
                           strcmp(key, "properties") == 0 ? "an object" : "a list");
    else if (strcmp(key, "required") == 0) both = join_lists(own, value);
    else if (strcmp(key, "type") == 0) both = types_in_both(own, value);
    else if (strcmp(key, "enum") == 0) both = in_both(own, value);
    else if (strcmp(key, "properties") == 0) both = join_properties(own, value);
    else
        return SCHEMA_FAIL(w, UNSUPPORTED,
                           "%s is said twice, differently, by schemas that hold together; say it "
                           "once",
                           key);
    return json_object_set_new(into, key, both) == 0
               ? ENX_OK
               : SCHEMA_FAIL(w, NOMEM, "no memory to merge schemas");
}

/* Does the schema describe every property that the other describes or requires? */
static bool describes_all(const json_t *schema, const json_t *other)
{
    const json_t *own = json_object_get(schema, "properties"), *item;
    const char   *name;
    json_t       *value;
    size_t        i;
    json_object_foreach (json_object_get(other, "properties"), name, value) {
        if (!json_object_get(own, name)) return false;
    }
    json_array_foreach (json_object_get(other, "required"), i, item) {
        if (!json_object_get(own, json_string_value(item))) return false;
    }
    return true;
}

/* Would a keyword of one schema mean something else beside those of the other? */
static enx_status check_neighbours(const enx_schema_writer *w, const json_t *one,
                                   const json_t *other)
{
    const json_t *others = json_object_get(one, "additionalProperties");
    if (others && !json_is_true(others) && !describes_all(one, other))
        return SCHEMA_FAIL(w, UNSUPPORTED,
                           "additionalProperties does not know the properties of a schema that "
                           "holds together with it; describe all of them beside it");
    if (json_object_get(one, "items") && json_object_get(other, "prefixItems") &&
        !json_equal(json_object_get(one, "prefixItems"), json_object_get(other, "prefixItems")))
        return SCHEMA_FAIL(w, UNSUPPORTED,
                           "items does not know the prefixItems of a schema that holds together "
                           "with it; put both into one");
    return ENX_OK;
}

static enx_status resolve(enx_schema_writer *w, const json_t *schema, int hops, const json_t **out);

static enx_status merge(enx_schema_writer *w, json_t *into, const json_t *schema, int hops)
{
    const char *key;
    json_t     *value;
    ENX_TRY(resolve(w, schema, hops + 1, &schema));
    if (json_is_true(schema)) return ENX_OK;
    if (!json_is_object(schema)) return SCHEMA_FAIL(w, INVALID, "nothing is valid here");
    ENX_TRY(check_neighbours(w, into, schema));
    ENX_TRY(check_neighbours(w, schema, into));
    json_object_foreach (MUTABLE(schema), key, value) {
        if (enx_schema_keyword_of(key) == ENX_SCHEMA_NOTE) continue;
        ENX_TRY(merge_keyword(w, into, key, value));
    }
    return ENX_OK;
}

/* A copy of the schema without one keyword, kept until the end. */
static enx_status copy_without(enx_schema_writer *w, const json_t *schema, const char *key,
                               json_t **out)
{
    *out = json_copy(MUTABLE(schema));
    json_object_del(*out, key);
    return json_array_append_new(w->merged, *out) == 0
               ? ENX_OK
               : SCHEMA_FAIL(w, NOMEM, "no memory to merge schemas");
}

static enx_status resolve(enx_schema_writer *w, const json_t *schema, int hops, const json_t **out)
{
    const json_t *target = NULL, *part;
    json_t       *into;
    size_t        i;
    *out = schema;
    if (hops > HOPS_MAX) return SCHEMA_FAIL(w, LIMIT, "$ref and allOf lead to themselves");
    const json_t *reference = json_object_get(schema, "$ref");
    const json_t *all = json_object_get(schema, "allOf");
    if (!reference && !all) return ENX_OK;
    if (reference && !json_is_string(reference))
        return SCHEMA_FAIL(w, FORMAT, "$ref: a text is needed");
    if (reference) ENX_TRY(find_reference(w, json_string_value(reference), &target));
    if (target && !enx_schema_has_beside(schema, "$ref")) return resolve(w, target, hops + 1, out);
    if (json_array_size(all) == 1 && !enx_schema_has_beside(schema, "allOf"))
        return resolve(w, json_array_get(all, 0), hops + 1, out);
    ENX_TRY(copy_without(w, schema, target ? "$ref" : "allOf", &into));
    if (target) ENX_TRY(merge(w, into, target, hops));
    else
        json_array_foreach (all, i, part) {
            ENX_TRY(merge(w, into, part, hops));
        }
    return resolve(w, into, hops + 1, out);
}

enx_status enx_schema_resolve(enx_schema_writer *w, const json_t *schema, const json_t **out)
{
    return resolve(w, schema, 0, out);
}

enx_status enx_schema_choose(enx_schema_writer *w, const json_t *schema, const char *key,
                             const json_t *choice, const json_t **out)
{
    json_t *both;
    *out = choice;
    if (!enx_schema_has_beside(schema, key)) return ENX_OK;
    ENX_TRY(copy_without(w, schema, key, &both));
    *out = both;
    return merge(w, both, choice, 0);
}
