/* SPDX-License-Identifier: Apache-2.0 */
/* schema.c - one rule of the grammar for each schema that is met.
 *
 * A schema's rule has its number before it is written, so that $ref may lead back to it.  allOf,
 * and what stands beside $ref and anyOf, is merged into one schema first; then a schema is one of
 * a few forms: constants, alternatives, or a type with its bounds.
 */
#include "text/schema.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/grammar.h"
#include "text/schema_impl.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SCHEMAS_MAX = 4096,
    NEST_MAX = 64,
    MULTIPLE_MAX = 1000000000,
    NAME_BYTES_MAX = 256, /* of a property where others may come too */
};

/* Decimal fractions are not exact in a double: what differs by less is the same. */
static const double ROUNDING = 1e-9;

typedef struct known {
    const json_t *schema;
    unsigned      rule;
} known;

typedef struct compiler {
    enx_schema_writer w;
    known            *known; /* [SCHEMAS_MAX] schemas that have a rule */
    unsigned          known_count;
    int               depth;
} compiler;

/* The rules that every grammar begins with. */
static const char prelude[] =
    "space ::= | \" \" | \"\\n\" [ \\t]{0,40}\n"
    "hex ::= [0-9a-fA-F]\n"
    "unicode ::= \"u\" ([0-9abcefABCEF] hex{3} | [dD] [0-7] hex{2}"
    " | [dD] [89abAB] hex{2} \"\\\\u\" [dD] [c-fC-F] hex{2})\n"
    "character ::= [^\\x00-\\x1F\\x22\\x5C] | \"\\\\\" (unicode | [\\x22\\x5C/bfnrt])\n"
    "plain ::= [^\\x00-\\x1F\\x22\\x5C]\n"
    "string ::= \"\\\"\" character* \"\\\"\"\n"
    "integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,14})\n"
    "number ::= integer (\".\" [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?\n"
    "boolean ::= \"true\" | \"false\"\n"
    "object ::= \"{\" space (member (\",\" space member)* space)? \"}\"\n"
    "member ::= string \":\" space value\n"
    "array ::= \"[\" space (value (\",\" space value)* space)? \"]\"\n"
    "value ::= object | array | string | number | boolean | \"null\"\n"
    "d2 ::= [0-9]{2}\n"
    "y4 ::= \"0\" [48] | [2468] [048] | [13579] [26]\n"
    "date ::= d2{2} \"-\" ((\"0\" [13578] | \"1\" [02]) \"-\" (\"0\" [1-9] | [12] [0-9] | \"3\" "
    "[01])"
    " | (\"0\" [469] | \"11\") \"-\" (\"0\" [1-9] | [12] [0-9] | \"30\")"
    " | \"02-\" (\"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8]))"
    " | (d2 y4 | (\"00\" | y4) \"00\") \"-02-29\"\n"
    "hour ::= [01] [0-9] | \"2\" [0-3]\n"
    "minute ::= [0-5] [0-9]\n"
    "time ::= hour \":\" minute \":\" minute (\".\" [0-9]{1,9})? (\"Z\" | [-+] hour \":\" minute)\n"
    "date-time ::= date \"T\" time\n"
    "n ::= [0-9]{1,9}\n"
    "dur-time ::= \"T\" (n \"H\" (n \"M\" (n \"S\")?)? | n \"M\" (n \"S\")? | n \"S\")\n"
    "dur-date ::= n \"Y\" (n \"M\" (n \"D\")?)? | n \"M\" (n \"D\")? | n \"D\"\n"
    "duration ::= \"P\" (dur-date dur-time? | dur-time | n \"W\")\n"
    "label ::= [a-zA-Z0-9] ([a-zA-Z0-9-]{0,40} [a-zA-Z0-9])?\n"
    "hostname ::= label (\".\" label){0,5}\n"
    "atom ::= [a-zA-Z0-9_+-]{1,30}\n"
    "email ::= atom (\".\" atom){0,3} \"@\" label (\".\" label){1,4}\n"
    "octet ::= [0-9] | [1-9] [0-9] | \"1\" [0-9]{2} | \"2\" [0-4] [0-9] | \"25\" [0-5]\n"
    "ipv4 ::= octet (\".\" octet){3}\n"
    "h16 ::= hex{1,4}\n"
    "ipv6 ::= h16 (\":\" h16){7} | \"::\" (h16 (\":\" h16){0,6})?"
    " | h16 \"::\" (h16 (\":\" h16){0,5})? | h16 (\":\" h16) \"::\" (h16 (\":\" h16){0,4})?"
    " | h16 (\":\" h16){2} \"::\" (h16 (\":\" h16){0,3})?"
    " | h16 (\":\" h16){3} \"::\" (h16 (\":\" h16){0,2})?"
    " | h16 (\":\" h16){4} \"::\" (h16 (\":\" h16){0,1})?"
    " | h16 (\":\" h16){5} \"::\" h16? | h16 (\":\" h16){6} \"::\"\n"
    "uuid ::= hex{8} (\"-\" hex{4}){3} \"-\" hex{12}\n";

static const char *const formats[] = { "date",     "time", "date-time", "duration", "email",
                                       "hostname", "ipv4", "ipv6",      "uuid" };

enx_status enx_schema_fail(const enx_schema_writer *w, enx_status status, const char *file,
                           int line, const char *format, ...)
{
    char    text[ENX_REPORT_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return enx_report_set(w->report, status, file, line, "schema, at %s: %s",
                          w->path_bytes ? w->path : "its root", text);
}

enx_status enx_schema_add_literal(enx_buf *body, const char *text, size_t size_bytes)
{
    ENX_TRY(enx_buf_append_text(body, "\""));
    for (size_t i = 0; i < size_bytes; i++) {
        const uint8_t byte = (uint8_t)text[i];
        if (byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7F)
            ENX_TRY(enx_buf_printf(body, "\\x%02X", byte));
        else ENX_TRY(enx_buf_append(body, text + i, 1));
    }
    return enx_buf_append_text(body, "\"");
}

/* ---- Places --------------------------------------------------------------------------------- */

/* Go down by one name; what is returned brings the path back.  Long paths lose their end. */
static size_t enter(compiler *c, const char *name)
{
    const size_t before = c->w.path_bytes;
    const int    more = snprintf(c->w.path + before, sizeof c->w.path - before, "/%s", name);
    const size_t after = before + (size_t)more;
    c->w.path_bytes = after < sizeof c->w.path ? after : sizeof c->w.path - 1;
    return before;
}

static size_t enter_index(compiler *c, size_t index)
{
    char name[24];
    snprintf(name, sizeof name, "%zu", index);
    return enter(c, name);
}

static void leave(compiler *c, size_t before)
{
    c->w.path_bytes = before;
    c->w.path[before] = '\0';
}

/* ---- Keywords ------------------------------------------------------------------------------- */

static enx_status check_keywords(const compiler *c, const json_t *schema)
{
    const bool  has_values = json_object_get(schema, "const") || json_object_get(schema, "enum");
    const char *key;
    json_t     *value;
    json_object_foreach (MUTABLE(schema), key, value) {
        const bool is_off = strcmp(key, "uniqueItems") == 0 && json_is_false(value);
        const bool is_value =
            strcmp(key, "const") == 0 || strcmp(key, "enum") == 0 || strcmp(key, "type") == 0;
        switch (enx_schema_keyword_of(key)) {
        case ENX_SCHEMA_REFUSED:
            if (is_off) break;
            return SCHEMA_FAIL(&c->w, UNSUPPORTED, "%s is not supported", key);
        case ENX_SCHEMA_HELD:
            if (!has_values || is_value) break;
            return SCHEMA_FAIL(&c->w, UNSUPPORTED,
                               "%s beside enum or const is not supported; leave the values out "
                               "that it forbids",
                               key);
        case ENX_SCHEMA_NOTE:
            break;
        }
    }
    return ENX_OK;
}

/* A count such as minItems; `otherwise` when it is absent. */
static enx_status read_count(const compiler *c, const json_t *schema, const char *name,
                             json_int_t otherwise, json_int_t *out)
{
    const json_t *value = json_object_get(schema, name);
    *out = otherwise;
    if (!value) return ENX_OK;
    if (!json_is_number(value) || json_number_value(value) < 0 ||
        json_number_value(value) != floor(json_number_value(value)))
        return SCHEMA_FAIL(&c->w, FORMAT, "%s: a whole number is needed, at least 0", name);
    if (json_number_value(value) > ENX_GRAMMAR_REPEAT_MAX)
        return SCHEMA_FAIL(&c->w, LIMIT, "%s: at most %d is counted", name, ENX_GRAMMAR_REPEAT_MAX);
    *out = (json_int_t)json_number_value(value);
    return ENX_OK;
}

/* {least,most} behind what is repeated; most < 0: none. */
static enx_status add_repetition(const compiler *c, json_int_t least, json_int_t most,
                                 enx_buf *body)
{
    if (most < 0) return enx_buf_printf(body, "{%lld,}", (long long)least);
    if (most < least) return SCHEMA_FAIL(&c->w, INVALID, "the least is more than the most");
    if (most == 0) return enx_buf_append_text(body, "{0,0}");
    return enx_buf_printf(body, "{%lld,%lld}", (long long)least, (long long)most);
}

static enx_status rule_of(compiler *c, const json_t *schema, unsigned *rule);

/* The rule of what a keyword leads to. */
static enx_status rule_below(compiler *c, const char *name, const json_t *schema, unsigned *rule)
{
    const size_t     before = enter(c, name);
    const enx_status status = rule_of(c, schema, rule);
    leave(c, before);
    return status;
}

/* ---- Strings and numbers -------------------------------------------------------------------- */

static enx_status add_string(compiler *c, const json_t *schema, enx_buf *body)
{
    const json_t *pattern = json_object_get(schema, "pattern");
    const char   *format = json_string_value(json_object_get(schema, "format"));
    const bool    has_length =
        json_object_get(schema, "minLength") || json_object_get(schema, "maxLength");
    json_int_t  least, most;
    const char *known_format = NULL;
    for (size_t i = 0; format && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i], format) == 0) known_format = formats[i];
    if ((pattern != NULL) + (known_format != NULL) + has_length > 1)
        return SCHEMA_FAIL(&c->w, UNSUPPORTED,
                           "pattern, format and a length cannot be combined; say all of it in the "
                           "pattern");
    if (pattern && !json_is_string(pattern))
        return SCHEMA_FAIL(&c->w, FORMAT, "pattern: a text is needed");
    if (!pattern && !known_format && !has_length) return enx_buf_append_text(body, "string");
    ENX_TRY(enx_buf_append_text(body, "\"\\\"\" "));
    if (pattern) ENX_TRY(enx_schema_add_pattern(&c->w, json_string_value(pattern), body));
    else if (known_format) ENX_TRY(enx_buf_append_text(body, known_format));
    else {
        ENX_TRY(read_count(c, schema, "minLength", 0, &least));
        ENX_TRY(read_count(c, schema, "maxLength", -1, &most));
        ENX_TRY(enx_buf_append_text(body, "character"));
        ENX_TRY(add_repetition(c, least, most, body));
    }
    return enx_buf_append_text(body, " \"\\\"\"");
}

/* How many decimals a bound has, at most ENX_SCHEMA_DECIMALS_MAX. */
static unsigned decimals_of(double value)
{
    unsigned decimals = 0;
    for (double scale = 1; decimals < ENX_SCHEMA_DECIMALS_MAX; decimals++, scale *= 10)
        if (fabs(value * scale - nearbyint(value * scale)) <= ROUNDING * fabs(value * scale)) break;
    return decimals;
}

/* A bound in units: the nearest whole one inside of it, `is_least` from below. */
static int64_t units_of(double value, unsigned decimals, bool is_least, bool is_exclusive)
{
    const double scaled = value * pow(10, decimals), near = nearbyint(scaled);
    if (fabs(scaled) > 1e18) return scaled > 0 ? INT64_MAX : INT64_MIN;
    if (fabs(scaled - near) <= ROUNDING * fabs(scaled))
        return (int64_t)near + (is_exclusive ? (is_least ? 1 : -1) : 0);
    return (int64_t)(is_least ? ceil(scaled) : floor(scaled));
}

/* Tighten the range by a keyword. */
static enx_status bound(const compiler *c, const json_t *schema, const char *name,
                        enx_schema_range *range)
{
    const json_t *value = json_object_get(schema, name);
    const bool    is_least = strstr(name, "inimum"), is_exclusive = strstr(name, "exclusive");
    if (!value) return ENX_OK;
    if (!json_is_number(value)) return SCHEMA_FAIL(&c->w, FORMAT, "%s: a number is needed", name);
    const int64_t units =
        units_of(json_number_value(value), range->decimals, is_least, is_exclusive);
    if (is_least && units > range->least) range->least = units;
    if (!is_least && units < range->most) range->most = units;
    return ENX_OK;
}

/* Numbers that are multiples have the multiple's decimals; among whole ones only some are. */
static enx_status read_multiple(const compiler *c, const json_t *schema, bool is_whole,
                                enx_schema_range *range)
{
    const json_t *value = json_object_get(schema, "multipleOf");
    if (!value) return ENX_OK;
    const double multiple = json_number_value(value);
    if (!json_is_number(value) || !(multiple > 0))
        return SCHEMA_FAIL(&c->w, FORMAT, "multipleOf: a number above 0 is needed");
    const unsigned decimals = decimals_of(multiple);
    const double   scale = pow(10, decimals), units = nearbyint(multiple * scale);
    if (units > MULTIPLE_MAX || fabs(multiple * scale - units) > ROUNDING * units)
        return SCHEMA_FAIL(&c->w, UNSUPPORTED, "multipleOf: at most %d and %d decimals",
                           MULTIPLE_MAX, ENX_SCHEMA_DECIMALS_MAX);
    range->multiple = (uint64_t)units;
    range->decimals = decimals;
    if (!is_whole) return ENX_OK;
    /* The least multiple that is whole: without the factors of the scale, which are 2 and 5. */
    for (; range->decimals > 0; range->decimals--)
        if (range->multiple % 5 == 0) range->multiple /= 5;
        else if (range->multiple % 2 == 0) range->multiple /= 2;
    return ENX_OK;
}

static enx_status add_number(compiler *c, const json_t *schema, bool is_whole, enx_buf *body)
{
    static const char *const bounds[] = { "minimum", "maximum", "exclusiveMinimum",
                                          "exclusiveMaximum" };
    enum { BOUNDS = sizeof bounds / sizeof *bounds };
    enx_schema_range range = { .least = INT64_MIN + 1, .most = INT64_MAX, .multiple = 1 };
    bool             is_bounded = json_object_get(schema, "multipleOf") != NULL;
    double           greatest = 0;
    for (size_t i = 0; i < BOUNDS; i++)
        greatest = fmax(greatest, fabs(json_number_value(json_object_get(schema, bounds[i]))));
    range.decimals = is_whole ? 0 : ENX_SCHEMA_DECIMALS_MAX;
    while (range.decimals > 0 &&
           greatest * pow(10, range.decimals + 1) > pow(10, ENX_SCHEMA_DIGITS_MAX))
        range.decimals--;
    ENX_TRY(read_multiple(c, schema, is_whole, &range));
    for (size_t i = 0; i < BOUNDS; i++) {
        is_bounded = is_bounded || json_object_get(schema, bounds[i]);
        ENX_TRY(bound(c, schema, bounds[i], &range));
    }
    if (!is_bounded) return enx_buf_append_text(body, is_whole ? "integer" : "number");
    return enx_schema_add_range(&c->w, &range, body);
}

/* ---- Arrays --------------------------------------------------------------------------------- */

/* What comes after the first `first_count` items, or all of them. */
static enx_status add_items(compiler *c, const json_t *items, json_int_t first_count,
                            json_int_t least, json_int_t most, enx_buf *body)
{
    unsigned rule;
    least = least > first_count ? least - first_count : 0;
    most = most < 0 ? -1 : most > first_count ? most - first_count : 0;
    if (json_is_false(items)) most = 0;
    if (most == 0 && least == 0) return ENX_OK;
    ENX_TRY(rule_below(c, "items", items, &rule));
    if (first_count > 0) {
        ENX_TRY(enx_buf_printf(body, "(\",\" space r%u)", rule));
        return add_repetition(c, least, most, body);
    }
    ENX_TRY(enx_buf_printf(body, "(r%u (\",\" space r%u)", rule, rule));
    ENX_TRY(add_repetition(c, least ? least - 1 : 0, most < 0 ? -1 : most - 1, body));
    return enx_buf_append_text(body, least ? " space)" : " space)?");
}

static enx_status add_array(compiler *c, const json_t *schema, enx_buf *body)
{
    const json_t *first = json_object_get(schema, "prefixItems");
    const json_t *items = json_object_get(schema, "items");
    json_int_t    least, most, count = (json_int_t)json_array_size(first);
    ENX_TRY(read_count(c, schema, "minItems", 0, &least));
    ENX_TRY(read_count(c, schema, "maxItems", -1, &most));
    if (most >= 0 && most < least)
        return SCHEMA_FAIL(&c->w, INVALID, "minItems is more than maxItems");
    if (most >= 0 && count > most) count = most;
    if (json_is_false(items) && least > count)
        return SCHEMA_FAIL(&c->w, INVALID, "minItems is more than there may be");
    ENX_TRY(enx_buf_append_text(body, "\"[\" space "));
    for (json_int_t i = 0; i < count; i++) {
        unsigned     rule;
        const size_t before = enter(c, "prefixItems");
        enter_index(c, (size_t)i);
        const enx_status status = rule_of(c, json_array_get(first, (size_t)i), &rule);
        leave(c, before);
        ENX_TRY(status);
        ENX_TRY(enx_buf_printf(body, "%sr%u ", i ? "\",\" space " : "", rule));
    }
    /* Behind a given beginning further items come only when they are described or needed. */
    if (!items) items = count > 0 && least <= count ? json_false() : json_true();
    ENX_TRY(add_items(c, items, count, least, most, body));
    return enx_buf_append_text(body, count ? " space \"]\"" : " \"]\"");
}

static int append_bytes(const char *bytes, size_t size_bytes, void *buf)
{
    return enx_buf_append(buf, bytes, size_bytes) == ENX_OK ? 0 : -1;
}

static enx_status add_constant(const compiler *c, const json_t *value, enx_buf *body)
{
    enx_buf text;
    enx_buf_init(&text, body->max_bytes);
    const int failed =
        json_dump_callback(value, append_bytes, &text, JSON_ENCODE_ANY | JSON_COMPACT);
    enx_status status = failed ? SCHEMA_FAIL(&c->w, NOMEM, "no memory for a constant") : ENX_OK;
    if (!failed) status = enx_schema_add_literal(body, enx_buf_text(&text), text.size_bytes);
    enx_buf_deinit(&text);
    return status;
}

/* ---- Objects -------------------------------------------------------------------------------- */

/* A property's name as JSON spells it, quotation marks included. */
static enx_status add_name(const compiler *c, const char *name, enx_buf *body)
{
    json_t          *text = json_string(name);
    const enx_status status = add_constant(c, text, body);
    json_decref(text);
    return status;
}

/* Names that further properties must not have.  Those are spelled without escapes, so that they
 * cannot be a name in disguise; names that need escapes are not among them. */
typedef struct names {
    const char **items; /* borrowed, sorted */
    size_t       count;
} names;

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static bool is_plain(const char *name)
{
    for (; *name; name++)
        if ((uint8_t)*name < 0x20 || *name == '"' || *name == '\\') return false;
    return true;
}

/* The bytes of the character that begins here. */
static size_t character_bytes(const char *at)
{
    size_t count = 1;
    while (((uint8_t)at[count] & 0xC0) == 0x80) count++;
    return count;
}

/* A rule for what may follow `at` bytes that names [first, last) have in common: not the rest of
 * one of them. */
static enx_status other_names(compiler *c, const names *n, size_t first, size_t last, size_t at,
                              unsigned *rule)
{
    if (at > NAME_BYTES_MAX)
        return SCHEMA_FAIL(&c->w, LIMIT,
                           "where other properties may come, names have %d bytes at "
                           "most",
                           NAME_BYTES_MAX);
    enx_buf body, taken;
    enx_buf_init(&body, c->w.out->max_bytes);
    enx_buf_init(&taken, c->w.out->max_bytes);
    const bool is_name = first < last && n->items[first][at] == '\0';
    enx_status status = is_name ? ENX_OK : enx_buf_append_text(&body, "\"\" | ");
    for (size_t i = first + is_name; i < last && status == ENX_OK;) {
        const char  *here = n->items[i] + at;
        const size_t size_bytes = character_bytes(here);
        size_t       end = i + 1;
        unsigned     next = 0;
        while (end < last && strncmp(n->items[end] + at, here, size_bytes) == 0) end++;
        status = other_names(c, n, i, end, at + size_bytes, &next);
        if (status == ENX_OK) status = enx_schema_add_literal(&body, here, size_bytes);
        if (status == ENX_OK) status = enx_buf_printf(&body, " r%u | ", next);
        if (status == ENX_OK)
            status = enx_buf_printf(&taken, "%s%.*s", strchr("[]^-", *here) ? "\\" : "",
                                    (int)size_bytes, here);
        i = end;
    }
    *rule = c->w.rule_count++;
    if (status == ENX_OK)
        status = enx_buf_printf(c->w.out, "r%u ::= %s[^\\x00-\\x1F\\x22\\x5C%s] plain*\n", *rule,
                                enx_buf_text(&body), enx_buf_text(&taken));
    enx_buf_deinit(&body);
    enx_buf_deinit(&taken);
    return status;
}

/* A rule for the names of properties that the schema does not name. */
static enx_status rule_of_others(compiler *c, const json_t *properties, unsigned *rule)
{
    const size_t size = json_object_size(properties);
    names        n = { .items = ENX_MEM_NEW(const char *, size + 1) };
    const char  *name;
    json_t      *value;
    if (!n.items) return SCHEMA_FAIL(&c->w, NOMEM, "no memory for names");
    json_object_foreach (MUTABLE(properties), name, value)
        if (is_plain(name)) n.items[n.count++] = name;
    qsort(n.items, n.count, sizeof *n.items, compare_texts);
    const enx_status status = other_names(c, &n, 0, n.count, 0, rule);
    enx_mem_free(n.items);
    return status;
}

static bool is_required(const json_t *schema, const char *name)
{
    const json_t *required = json_object_get(schema, "required"), *item;
    size_t        i;
    json_array_foreach (required, i, item) {
        const char *text = json_string_value(item);
        if (text && strcmp(text, name) == 0) return true;
    }
    return false;
}

/* Properties in their order, then those that are required without being described. */
static enx_status list_members(compiler *c, const json_t *schema, json_t *members)
{
    const json_t *others = json_object_get(schema, "additionalProperties");
    const json_t *item, *properties = json_object_get(schema, "properties");
    size_t        i;
    if (json_object_update(members, MUTABLE(properties)) != 0 && properties)
        return SCHEMA_FAIL(&c->w, FORMAT, "properties: an object is needed");
    json_array_foreach (json_object_get(schema, "required"), i, item) {
        const char *name = json_string_value(item);
        if (!name) return SCHEMA_FAIL(&c->w, FORMAT, "required: a list of texts is needed");
        if (json_object_get(members, name)) continue;
        if (json_is_false(others))
            return SCHEMA_FAIL(&c->w, INVALID, "%s is required and not among the properties", name);
        if (json_object_set_new(members, name, others ? json_incref(MUTABLE(others)) : json_true()))
            return SCHEMA_FAIL(&c->w, NOMEM, "no memory for properties");
    }
    return ENX_OK;
}

/* The expression name : value of a property without an end, as a rule. */
static enx_status rule_of_member(compiler *c, const char *name, const json_t *schema,
                                 unsigned *rule)
{
    unsigned     value;
    enx_buf      body;
    const size_t before = enter(c, "properties");
    enx_status   status = rule_below(c, name, schema, &value);
    leave(c, before);
    ENX_TRY(status);
    enx_buf_init(&body, c->w.out->max_bytes);
    status = add_name(c, name, &body);
    *rule = c->w.rule_count++;
    if (status == ENX_OK)
        status = enx_buf_printf(c->w.out, "r%u ::= %s \":\" space r%u\n", *rule,
                                enx_buf_text(&body), value);
    enx_buf_deinit(&body);
    return status;
}

/* What may come behind the described members: "" or further ones, each with its comma, in *tail;
 * the same as the first of all in *start, "" when there may be none. */
static enx_status add_others(compiler *c, const json_t *schema, const json_t *members,
                             enx_buf *tail, enx_buf *start)
{
    const json_t *others = json_object_get(schema, "additionalProperties");
    json_int_t    least, most;
    unsigned      name, value;
    const bool    is_map = json_object_size(members) == 0;
    ENX_TRY(read_count(c, schema, "minProperties", 0, &least));
    ENX_TRY(read_count(c, schema, "maxProperties", -1, &most));
    if ((least > 0 || most >= 0) && !is_map)
        return SCHEMA_FAIL(&c->w, UNSUPPORTED,
                           "minProperties and maxProperties are supported where "
                           "no property is named");
    if (json_is_false(others) || most == 0 || (!others && !is_map))
        return least ? SCHEMA_FAIL(&c->w, INVALID, "there can be no properties") : ENX_OK;
    if (is_map && least > 1)
        return SCHEMA_FAIL(&c->w, UNSUPPORTED, "minProperties above 1: names could be the same");
    ENX_TRY(rule_of_others(c, members, &name));
    ENX_TRY(rule_below(c, "additionalProperties", others ? others : json_true(), &value));
    ENX_TRY(enx_buf_printf(tail, "(\",\" space \"\\\"\" r%u \"\\\":\" space r%u)", name, value));
    ENX_TRY(enx_buf_printf(start, "(\"\\\"\" r%u \"\\\":\" space r%u) %s", name, value,
                           enx_buf_text(tail)));
    ENX_TRY(add_repetition(c, 0, most < 0 ? -1 : most - 1, start));
    if (least == 0) ENX_TRY(enx_buf_append_text(start, " | \"\""));
    return enx_buf_append_text(tail, "*");
}

/* Rules from the last member to the first: `after`, what follows once a member has been written,
 * and `start`, what follows when none has. */
static enx_status add_object(compiler *c, const json_t *schema, enx_buf *body)
{
    json_t *members = json_object();
    enx_buf tail, start;
    enx_buf_init(&tail, c->w.out->max_bytes);
    enx_buf_init(&start, c->w.out->max_bytes);
    enx_status status = list_members(c, schema, members);
    if (status == ENX_OK) status = add_others(c, schema, members, &tail, &start);
    const unsigned first = c->w.rule_count;
    unsigned       after = first, begin = first + 1;
    c->w.rule_count += 2;
    if (status == ENX_OK)
        status = enx_buf_printf(c->w.out, "r%u ::= %s\nr%u ::= %s\n", after,
                                tail.size_bytes ? enx_buf_text(&tail) : "\"\"", begin,
                                start.size_bytes ? enx_buf_text(&start) : "\"\"");
    const size_t count = json_object_size(members);
    const char **listed = ENX_MEM_NEW(const char *, count + 1);
    if (!listed && status == ENX_OK) status = SCHEMA_FAIL(&c->w, NOMEM, "no memory for names");
    size_t      i = 0;
    const char *name;
    json_t     *value;
    json_object_foreach (members, name, value)
        if (listed) listed[i++] = name;
    while (i-- > 0 && status == ENX_OK) {
        unsigned   member = 0;
        const bool is_needed = is_required(schema, listed[i]);
        status = rule_of_member(c, listed[i], json_object_get(members, listed[i]), &member);
        const unsigned rule = c->w.rule_count;
        c->w.rule_count += 2;
        if (status == ENX_OK)
            status = enx_buf_printf(c->w.out,
                                    is_needed ? "r%u ::= \",\" space r%u r%u\nr%u ::= r%u r%u\n"
                                              : "r%u ::= (\",\" space r%u)? r%u\n"
                                                "r%u ::= r%u r%u | r%u\n",
                                    rule, member, after, rule + 1, member, after, begin);
        after = rule;
        begin = rule + 1;
    }
    if (status == ENX_OK) status = enx_buf_printf(body, "\"{\" space r%u space \"}\"", begin);
    enx_mem_free(listed);
    json_decref(members);
    enx_buf_deinit(&tail);
    enx_buf_deinit(&start);
    return status;
}

/* ---- Forms ---------------------------------------------------------------------------------- */

static const char *type_of(const json_t *value)
{
    static const char *const names_of[] = { "object", "array",   "string",  "integer",
                                            "number", "boolean", "boolean", "null" };
    return names_of[json_typeof(value)];
}

/* Is the constant of one of the types?  No types: yes. */
static bool has_type(const json_t *types, const json_t *value)
{
    json_t    *own = json_string(type_of(value)), *number = json_string("number");
    const bool has = !types || enx_schema_is_listed(types, own) ||
                     (json_is_integer(value) && enx_schema_is_listed(types, number));
    json_decref(own);
    json_decref(number);
    return has;
}

/* Those of const and enum that are in both and of the type. */
static enx_status add_values(const compiler *c, const json_t *schema, enx_buf *body)
{
    const json_t *types = json_object_get(schema, "type"), *value;
    const json_t *constant = json_object_get(schema, "const");
    const json_t *values = json_object_get(schema, "enum");
    size_t        i;
    bool          is_any = false;
    if (values && !json_is_array(values))
        return SCHEMA_FAIL(&c->w, FORMAT, "enum: a list is needed");
    if (!values && has_type(types, constant)) return add_constant(c, constant, body);
    json_array_foreach (values, i, value) {
        if (!has_type(types, value) || (constant && !json_equal(constant, value))) continue;
        if (is_any) ENX_TRY(enx_buf_append_text(body, " | "));
        ENX_TRY(add_constant(c, value, body));
        is_any = true;
    }
    return is_any ? ENX_OK
                  : SCHEMA_FAIL(&c->w, INVALID, "none of the values of enum or const can be valid");
}

/* anyOf, and oneOf, which is not told apart from it; what stands beside holds for each. */
static enx_status add_choice(compiler *c, const json_t *schema, const char *key, enx_buf *body)
{
    const json_t *choices = json_object_get(schema, key), *choice;
    size_t        i;
    if (json_array_size(choices) == 0)
        return SCHEMA_FAIL(&c->w, FORMAT, "%s: a list of schemas is needed", key);
    json_array_foreach (choices, i, choice) {
        unsigned     rule;
        const size_t before = enter(c, key);
        enter_index(c, i);
        enx_status status = enx_schema_choose(&c->w, schema, key, choice, &choice);
        if (status == ENX_OK) status = rule_of(c, choice, &rule);
        leave(c, before);
        ENX_TRY(status);
        ENX_TRY(enx_buf_printf(body, "%sr%u", i ? " | " : "", rule));
    }
    return ENX_OK;
}

/* A schema without a type has that of its keywords; NULL: any. */
static const char *guess_type(const json_t *schema)
{
    static const char *const hints[][2] = {
        { "properties", "object" },
        { "required", "object" },
        { "additionalProperties", "object" },
        { "minProperties", "object" },
        { "maxProperties", "object" },
        { "items", "array" },
        { "prefixItems", "array" },
        { "minItems", "array" },
        { "maxItems", "array" },
        { "pattern", "string" },
        { "minLength", "string" },
        { "maxLength", "string" },
        { "format", "string" },
        { "minimum", "number" },
        { "maximum", "number" },
        { "exclusiveMinimum", "number" },
        { "exclusiveMaximum", "number" },
        { "multipleOf", "number" },
    };
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (json_object_get(schema, hints[i][0])) return hints[i][1];
    return NULL;
}

static enx_status add_type(compiler *c, const json_t *schema, const char *type, enx_buf *body)
{
    if (!type) return enx_buf_append_text(body, "value");
    if (strcmp(type, "string") == 0) return add_string(c, schema, body);
    if (strcmp(type, "integer") == 0) return add_number(c, schema, true, body);
    if (strcmp(type, "number") == 0) return add_number(c, schema, false, body);
    if (strcmp(type, "array") == 0) return add_array(c, schema, body);
    if (strcmp(type, "object") == 0) return add_object(c, schema, body);
    if (strcmp(type, "boolean") == 0) return enx_buf_append_text(body, "boolean");
    if (strcmp(type, "null") == 0) return enx_buf_append_text(body, "\"null\"");
    return SCHEMA_FAIL(&c->w, FORMAT,
                       "type %s: there are object, array, string, integer, number, "
                       "boolean and null",
                       type);
}

static enx_status add_types(compiler *c, const json_t *schema, enx_buf *body)
{
    const json_t *types = json_object_get(schema, "type"), *type;
    size_t        i;
    if (!types) return add_type(c, schema, guess_type(schema), body);
    if (json_is_string(types)) return add_type(c, schema, json_string_value(types), body);
    if (json_array_size(types) == 0)
        return SCHEMA_FAIL(&c->w, INVALID, "type: no type is left that could be valid");
    json_array_foreach (types, i, type) {
        if (!json_is_string(type)) return SCHEMA_FAIL(&c->w, FORMAT, "type: texts are needed");
        if (i) ENX_TRY(enx_buf_append_text(body, " | "));
        ENX_TRY(add_type(c, schema, json_string_value(type), body));
    }
    return ENX_OK;
}

static enx_status add_schema(compiler *c, const json_t *schema, enx_buf *body)
{
    ENX_TRY(enx_schema_resolve(&c->w, schema, &schema));
    if (json_is_true(schema)) return enx_buf_append_text(body, "value");
    if (json_is_false(schema)) return SCHEMA_FAIL(&c->w, INVALID, "nothing is valid here");
    if (!json_is_object(schema))
        return SCHEMA_FAIL(&c->w, FORMAT, "a schema is an object, true or false");
    ENX_TRY(check_keywords(c, schema));
    if (json_object_get(schema, "const") || json_object_get(schema, "enum"))
        return add_values(c, schema, body);
    if (json_object_get(schema, "anyOf")) return add_choice(c, schema, "anyOf", body);
    if (json_object_get(schema, "oneOf")) return add_choice(c, schema, "oneOf", body);
    return add_types(c, schema, body);
}

static enx_status rule_of(compiler *c, const json_t *schema, unsigned *rule)
{
    for (unsigned i = 0; i < c->known_count; i++)
        if (c->known[i].schema == schema && json_is_object(schema)) {
            *rule = c->known[i].rule;
            return ENX_OK;
        }
    if (c->known_count == SCHEMAS_MAX || c->depth == NEST_MAX)
        return SCHEMA_FAIL(&c->w, LIMIT, "at most %d schemas, %d inside each other, are taken",
                           SCHEMAS_MAX, NEST_MAX);
    *rule = c->w.rule_count++;
    c->known[c->known_count++] = (known){ schema, *rule };
    enx_buf body;
    enx_buf_init(&body, c->w.out->max_bytes);
    c->depth++;
    enx_status status = add_schema(c, schema, &body);
    c->depth--;
    if (status == ENX_OK)
        status = enx_buf_printf(c->w.out, "r%u ::= %s\n", *rule, enx_buf_text(&body));
    enx_buf_deinit(&body);
    return status;
}

/* GBNF whose `root` is the schema's values. */
static enx_status write_grammar(const json_t *root, enx_buf *out, enx_report *report)
{
    compiler c = { .w = { .out = out, .root = root, .merged = json_array(), .report = report },
                   .known = ENX_MEM_NEW(known, SCHEMAS_MAX) };
    unsigned rule = 0;
    /* What a full buffer cannot say; other failures say their own. */
    ENX_FAIL(report, LIMIT, "schema: its grammar is larger than %zu bytes", out->max_bytes);
    enx_status status = c.known && c.w.merged ? enx_buf_append_text(out, prelude) : ENX_NOMEM;
    if (status == ENX_OK) status = rule_of(&c, root, &rule);
    if (status == ENX_OK) status = enx_buf_printf(out, "root ::= r%u\n", rule);
    if (status == ENX_NOMEM) ENX_FAIL(report, NOMEM, "no memory for a schema");
    json_decref(c.w.merged);
    enx_mem_free(c.known);
    return status;
}

/* A rule that only repeats itself is the one fault that a schema's grammar can have. */
static enx_status open_grammar(enx_grammar **out, const enx_buf *rules, enx_report *report)
{
    const enx_status status = enx_grammar_open(out, enx_buf_text(rules), rules->size_bytes, report);
    if (status == ENX_FORMAT)
        return ENX_FAIL(report, INVALID,
                        "schema: a reference leads back to itself and nothing on the way can end "
                        "it; make a property optional, or allow null");
    if (status == ENX_LIMIT) enx_report_wrap(report, "schema: it is too large");
    return status;
}

enx_status enx_schema_open(enx_grammar **out, const char *json, size_t size_bytes,
                           enx_report *report)
{
    ENX_CHECK(out && (json || size_bytes == 0));
    json_error_t error;
    enx_buf      rules;
    json_t *root = json_loadb(json, size_bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root)
        return ENX_FAIL(report, FORMAT, "schema, line %d, column %d: %s", error.line, error.column,
                        error.text);
    enx_buf_init(&rules, ENX_GRAMMAR_BYTES_MAX);
    enx_status status = write_grammar(root, &rules, report);
    if (status == ENX_OK) status = open_grammar(out, &rules, report);
    enx_buf_deinit(&rules);
    json_decref(root);
    return status;
}
