/* SPDX-License-Identifier: Apache-2.0 */
/* cli_recipe.c - keys of a job's file, and a class out of them. */
#include "cli/cli_recipe.h"

#include "base/mem.h"
#include "base/nearest.h"
#include "cli/cli.h"
#include "cli/cli_yaml.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const keys[] = {
    "goal",     "class",  "instruction", "advice",     "input",         "output",
    "report",   "schema", "examples",    "checks",     "specialty",     "on_fail",
    "accuracy", "labels", "budget",      "confidence", "answer_tokens", "certificate",
};
static const char *const check_keys[] = { "check", "field", "pattern", "that", "run",
                                          "above", "ahead", "max",     "total" };
static const char *const budget_keys[] = { "usd", "tokens", "calls", "seconds" };
static const char *const example_keys[] = { "input", "answer" };
static const char *const on_fails[] = { "escalate", "skip", "abort" };

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- values --------------------------------------------------------------------------------- */

static enx_status check_keys_of(const json_t *object, const char *what, const char *const *known,
                                size_t count, enx_report *report)
{
    if (!json_is_object(object))
        return ENX_FAIL(report, FORMAT, "%s: keys with values are expected", what);
    void *at = json_object_iter((json_t *)(uintptr_t)object);
    for (; at; at = json_object_iter_next((json_t *)(uintptr_t)object, at)) {
        const char *key = json_object_iter_key(at);
        size_t      i = 0;
        while (i < count && strcmp(known[i], key) != 0) i++;
        if (i < count) continue;
        const char *nearest = enx_nearest(key, known, count);
        return ENX_FAIL(report, FORMAT, "%s: unknown key \"%.64s\"%s%s%s", what, key,
                        nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?" : "");
    }
    return ENX_OK;
}

static enx_status get_text(const json_t *object, const char *key, const char **out,
                           enx_report *report)
{
    const json_t *value = json_object_get(object, key);
    *out = json_string_value(value);
    if (!value || (*out && **out && strlen(*out) == json_string_length(value))) return ENX_OK;
    return ENX_FAIL(report, FORMAT, "%s: a text is expected", key);
}

static enx_status get_number(const json_t *object, const char *key, double min, double max,
                             double *out, enx_report *report)
{
    const json_t *value = json_object_get(object, key);
    *out = json_number_value(value);
    if (!value || (json_is_number(value) && *out >= min && *out <= max)) return ENX_OK;
    return ENX_FAIL(report, FORMAT, "%s: a number from %g to %g is expected", key, min, max);
}

static enx_status get_count(const json_t *object, const char *key, double max, uint64_t *out,
                            enx_report *report)
{
    double number;
    ENX_TRY(get_number(object, key, 0, max, &number, report));
    if (number != floor(number)) return ENX_FAIL(report, FORMAT, "%s: a whole number", key);
    *out = (uint64_t)number;
    return ENX_OK;
}

/* ---- the class ------------------------------------------------------------------------------ */

/* `schema`, or {check: regex, field: version, pattern: '[0-9].*'} */
static enx_status read_check(const json_t *json, enx_check *out, enx_report *report)
{
    uint64_t ahead, max;
    *out = (enx_check){ 0 };
    const char *name = json_string_value(json);
    if (!name) {
        ENX_TRY(check_keys_of(json, "checks", check_keys, COUNT(check_keys), report));
        ENX_TRY(get_text(json, "check", &name, report));
    }
    out->kind = enx_check_kind_find(name ? name : "");
    if (out->kind == ENX_CHECK_COUNT || out->kind == ENX_CHECK_ROUND_TRIP) {
        const char *known[ENX_CHECK_COUNT];
        for (unsigned i = 0; i < ENX_CHECK_COUNT; i++)
            known[i] = enx_check_kind_text((enx_check_kind)i);
        const char *nearest = enx_nearest(name ? name : "", known + 1, ENX_CHECK_COUNT - 1);
        return ENX_FAIL(report, FORMAT, "checks: no check is called \"%.64s\"%s%s",
                        name ? name : "", nearest ? "; nearest: " : "", nearest ? nearest : "");
    }
    if (!json_is_object(json)) return ENX_OK;
    const char *texts[] = { NULL, NULL, NULL };
    ENX_TRY(get_text(json, "field", &out->field, report));
    ENX_TRY(get_text(json, "pattern", &texts[0], report));
    ENX_TRY(get_text(json, "that", &texts[1], report));
    ENX_TRY(get_text(json, "run", &texts[2], report));
    out->text = out->kind == ENX_CHECK_REGEX     ? texts[0]
                : out->kind == ENX_CHECK_COMPUTE ? texts[1]
                                                 : texts[2];
    ENX_TRY(get_number(json, "above", 0, 1, &out->above, report));
    ENX_TRY(get_number(json, "total", -1e300, 1e300, &out->total, report));
    ENX_TRY(get_count(json, "ahead", ENX_VOTES_MAX, &ahead, report));
    ENX_TRY(get_count(json, "max", ENX_VOTES_MAX, &max, report));
    out->ahead = (uint32_t)ahead;
    out->max = (uint32_t)max;
    return ENX_OK;
}

static enx_status read_checks(cli_recipe *r, enx_report *report)
{
    const json_t *list = json_object_get(r->json, "checks");
    if (list && !json_is_array(list)) return ENX_FAIL(report, FORMAT, "checks: a list is expected");
    if (json_array_size(list) > ENX_CLASS_CHECKS_MAX)
        return ENX_FAIL(report, LIMIT, "checks: %zu, at most %d", json_array_size(list),
                        ENX_CLASS_CHECKS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++)
        ENX_TRY(read_check(json_array_get(list, i), &r->checks[i], report));
    r->task_class.checks = r->checks;
    r->task_class.check_count = (uint32_t)json_array_size(list);
    return ENX_OK;
}

/* An answer under a schema may be written as YAML; it is kept as the text that a model would give.
 */
static enx_status read_example(json_t *json, enx_example *out, enx_report *report)
{
    ENX_TRY(check_keys_of(json, "examples", example_keys, COUNT(example_keys), report));
    json_t *answer = json_object_get(json, "answer");
    if (answer && !json_is_string(answer)) {
        enx_buf text;
        enx_buf_init(&text, ENX_CLASS_WORDS_BYTES_MAX);
        const enx_status status = cli_json_append(&text, answer);
        if (status == ENX_OK) json_object_set_new(json, "answer", json_string(enx_buf_text(&text)));
        enx_buf_deinit(&text);
        if (status != ENX_OK) return ENX_FAIL(report, LIMIT, "examples: an answer is too long");
    }
    ENX_TRY(get_text(json, "input", &out->input, report));
    ENX_TRY(get_text(json, "answer", &out->answer, report));
    if (out->input && out->answer) return ENX_OK;
    return ENX_FAIL(report, FORMAT, "examples: each has an input and an answer");
}

static enx_status read_examples(cli_recipe *r, enx_report *report)
{
    const json_t *list = json_object_get(r->json, "examples");
    if (list && !json_is_array(list))
        return ENX_FAIL(report, FORMAT, "examples: a list is expected");
    if (json_array_size(list) > ENX_CLASS_EXAMPLES_MAX)
        return ENX_FAIL(report, LIMIT, "examples: %zu, at most %d", json_array_size(list),
                        ENX_CLASS_EXAMPLES_MAX);
    for (size_t i = 0; i < json_array_size(list); i++)
        ENX_TRY(read_example(json_array_get(list, i), &r->examples[i], report));
    r->task_class.examples = r->examples;
    r->task_class.example_count = (uint32_t)json_array_size(list);
    return ENX_OK;
}

static enx_status read_class(cli_recipe *r, enx_report *report)
{
    enx_class  *c = &r->task_class;
    const char *on_fail = NULL;
    uint64_t    tokens;
    ENX_TRY(get_text(r->json, "class", &c->name, report));
    ENX_TRY(get_text(r->json, "instruction", &c->instruction, report));
    ENX_TRY(get_text(r->json, "advice", &c->advice, report));
    ENX_TRY(get_text(r->json, "specialty", &c->specialty, report));
    ENX_TRY(get_text(r->json, "on_fail", &on_fail, report));
    ENX_TRY(get_count(r->json, "answer_tokens", ENX_CLASS_ANSWER_TOKENS_MAX, &tokens, report));
    c->answer_tokens_max = (uint32_t)tokens;
    unsigned choice = 0;
    while (on_fail && choice < 3 && strcmp(on_fails[choice], on_fail) != 0) choice++;
    if (choice == 3)
        return ENX_FAIL(report, FORMAT, "on_fail: %.64s; escalate, skip or abort", on_fail);
    c->on_fail = (enx_on_fail)choice;
    const json_t *schema = json_object_get(r->json, "schema");
    if (schema) {
        enx_buf text;
        enx_buf_init(&text, CLI_RECIPE_BYTES_MAX);
        const enx_status status = cli_json_append(&text, schema);
        r->schema = enx_buf_take(&text);
        enx_buf_deinit(&text);
        if (status != ENX_OK || !r->schema)
            return ENX_FAIL(report, LIMIT, "schema: more than %d bytes", CLI_RECIPE_BYTES_MAX);
        c->schema = r->schema;
    }
    ENX_TRY(read_checks(r, report));
    ENX_TRY(read_examples(r, report));
    return enx_class_validate(c, report);
}

/* ---- the file ------------------------------------------------------------------------------- */

static enx_status read_budget(cli_recipe *r, enx_report *report)
{
    const json_t *budget = json_object_get(r->json, "budget");
    double        usd, seconds;
    if (!budget) return ENX_OK;
    ENX_TRY(check_keys_of(budget, "budget", budget_keys, COUNT(budget_keys), report));
    ENX_TRY(get_number(budget, "usd", 0, 1e9, &usd, report));
    ENX_TRY(get_number(budget, "seconds", 0, 1e9, &seconds, report));
    ENX_TRY(get_count(budget, "tokens", 1e15, &r->caps.tokens, report));
    ENX_TRY(get_count(budget, "calls", 1e15, &r->caps.calls, report));
    r->caps.usd_nano = (uint64_t)llround(usd * 1e9);
    r->caps.time_us = (uint64_t)llround(seconds * 1e6);
    return ENX_OK;
}

static enx_status read_rest(cli_recipe *r, enx_report *report)
{
    ENX_TRY(check_keys_of(r->json, "the job", keys, COUNT(keys), report));
    ENX_TRY(get_text(r->json, "goal", &r->goal, report));
    ENX_TRY(get_text(r->json, "input", &r->input, report));
    ENX_TRY(get_text(r->json, "output", &r->output, report));
    ENX_TRY(get_text(r->json, "report", &r->report, report));
    ENX_TRY(get_number(r->json, "accuracy", 0, .9999, &r->accuracy, report));
    ENX_TRY(get_number(r->json, "confidence", 0, .9999, &r->confidence, report));
    ENX_TRY(get_count(r->json, "labels", 1 << 20, &r->labels, report));
    ENX_TRY(get_text(r->json, "certificate", &r->certificate, report));
    if (r->certificate && strcmp(r->certificate, "batch") != 0 &&
        strcmp(r->certificate, "stream") != 0)
        return ENX_FAIL(report, FORMAT, "certificate: %.64s; batch or stream", r->certificate);
    ENX_TRY(read_budget(r, report));
    const bool has_class = json_object_get(r->json, "class") != NULL;
    if (has_class == (r->goal != NULL))
        return ENX_FAIL(report, FORMAT,
                        "one of `class` (what is asked of each record) and `goal` (text is to be "
                        "restored) is needed");
    return has_class ? read_class(r, report) : ENX_OK;
}

enx_status cli_recipe_open(cli_recipe **out, json_t *json, enx_report *report)
{
    cli_recipe *r = ENX_MEM_NEW(cli_recipe, 1);
    if (!r) return ENX_FAIL(report, NOMEM, "no memory for a job's file");
    r->json = json_incref(json);
    const enx_status status = read_rest(r, report);
    if (status != ENX_OK) {
        cli_recipe_close(&r);
        return status;
    }
    *out = r;
    return ENX_OK;
}

void cli_recipe_close(cli_recipe **recipe)
{
    cli_recipe *r = *recipe;
    *recipe = NULL;
    if (!r) return;
    enx_mem_free(r->schema);
    json_decref(r->json);
    enx_mem_free(r);
}

/* A name stands for the file, beside the job's. */
static enx_status inline_schema(json_t *json, const char *path, enx_report *report)
{
    char        file[CLI_PATH_BYTES_MAX];
    enx_buf     text;
    const char *name = json_string_value(json_object_get(json, "schema"));
    if (!name) return ENX_OK;
    const char *slash = strrchr(path, '/');
    const int   folder = name[0] == '/' || !slash ? 0 : (int)(slash - path) + 1;
    snprintf(file, sizeof file, "%.*s%s", folder, path, name);
    enx_buf_init(&text, CLI_RECIPE_BYTES_MAX);
    enx_status status = cli_read(&text, file, report);
    if (status == ENX_OK) {
        json_error_t error;
        json_t      *schema = json_loadb(enx_buf_text(&text), text.size_bytes, 0, &error);
        if (schema) json_object_set_new(json, "schema", schema);
        else status = ENX_FAIL(report, FORMAT, "%s:%d: no JSON: %s", file, error.line, error.text);
    }
    enx_buf_deinit(&text);
    return status;
}

enx_status cli_recipe_read(json_t **out, const char *path, enx_report *report)
{
    enx_buf text;
    json_t *json = NULL;
    enx_buf_init(&text, CLI_RECIPE_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK) status = cli_yaml_read(&json, &text, path, report);
    enx_buf_deinit(&text);
    if (status == ENX_OK) status = inline_schema(json, path, report);
    if (status == ENX_OK) *out = json;
    else json_decref(json);
    return status;
}

/* ---- records -------------------------------------------------------------------------------- */

static enx_status append_field(const json_t *record, const char *name, size_t size_bytes,
                               enx_buf *out, enx_report *report)
{
    char          key[256];
    const json_t *value = NULL;
    if (size_bytes < sizeof key) {
        memcpy(key, name, size_bytes);
        key[size_bytes] = '\0';
        value = json_object_get(record, key);
    }
    enx_status status;
    if (json_is_string(value))
        status = enx_buf_append(out, json_string_value(value), json_string_length(value));
    else if (json_is_number(value)) status = cli_json_append(out, value);
    else
        return ENX_FAIL(report, FORMAT,
                        "no text under \"%.*s\"; name the field by `input:` in the job's file",
                        (int)(size_bytes < 64 ? size_bytes : 64), name);
    return status == ENX_OK ? ENX_OK : ENX_FAIL(report, LIMIT, "the input is too long");
}

enx_status cli_recipe_input(const cli_recipe *r, const json_t *record, enx_buf *out,
                            enx_report *report)
{
    if (!r->input) {
        if (cli_json_append(out, record) == ENX_OK) return ENX_OK;
        return ENX_FAIL(report, LIMIT, "the input is too long");
    }
    if (!strchr(r->input, '{'))
        return append_field(record, r->input, strlen(r->input), out, report);
    for (const char *at = r->input; *at;) {
        const size_t size = strcspn(at, "{");
        if (enx_buf_append(out, at, size) != ENX_OK)
            return ENX_FAIL(report, LIMIT, "the input is too long");
        at += size;
        if (!*at) break;
        const char *end = strchr(at, '}');
        if (!end) return ENX_FAIL(report, FORMAT, "input: a { without its }");
        ENX_TRY(append_field(record, at + 1, (size_t)(end - at - 1), out, report));
        at = end + 1;
    }
    return ENX_OK;
}

const char *cli_recipe_difference(const json_t *a, const json_t *b)
{
    for (size_t i = 0; i < COUNT(keys); i++) {
        const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);
        if ((x || y) && !json_equal(x, y)) return keys[i];
    }
    return NULL;
}
