/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - the lead's plan: grammar, parser, validator. */
#include "swarm/plan.h"

#include "base/check.h"

#include <jansson.h>
#include <string.h>

enum { PLAN_WORD_BYTES_MAX = 64 };

/* Subsets of `repair` keep their order. */
static const char grammar[] =
    "root ::= \"{\\\"mode\\\":\\\"\" mode \"\\\",\\\"for_each\\\":\\\"paragraph\\\","
    "\\\"repair\\\":[\" repair \"],\\\"languages\\\":[\" languages \"],\\\"escalate\\\":\" truth "
    "\",\\\"check\\\":[\" check \"]}\"\n"
    "mode ::= \"swarm\" | \"single\"\n"
    "truth ::= \"true\" | \"false\"\n"
    "repair ::= accents (\",\" capitals)? (\",\" punctuation)? | "
    "capitals (\",\" punctuation)? | punctuation\n"
    "accents ::= \"\\\"accents\\\"\"\n"
    "capitals ::= \"\\\"capitals\\\"\"\n"
    "punctuation ::= \"\\\"punctuation\\\"\"\n"
    "languages ::= \"\\\"any\\\"\" | tag (\",\" tag)*\n"
    "tag ::= \"\\\"\" [a-z] [a-z] (\"_\" [A-Z] [A-Z])? \"\\\"\"\n"
    "check ::= \"\\\"round_trip\\\"\" (\",\" confidence)? | confidence\n"
    "confidence ::= \"\\\"confidence\\\"\"\n";

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"mode\":{\"type\":\"string\",\"enum\":[\"swarm\",\"single\"]},"
    "\"for_each\":{\"type\":\"string\",\"enum\":[\"paragraph\"]},"
    "\"repair\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
    "\"enum\":[\"accents\",\"capitals\",\"punctuation\"]}},"
    "\"languages\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
    "\"escalate\":{\"type\":\"boolean\"},"
    "\"check\":{\"type\":\"array\",\"items\":{\"type\":\"string\","
    "\"enum\":[\"round_trip\",\"confidence\"]}}},"
    "\"required\":[\"mode\",\"for_each\",\"repair\",\"languages\",\"escalate\",\"check\"],"
    "\"additionalProperties\":false}";

static const char *const plan_keys[] = { "mode",      "for_each", "repair",
                                         "languages", "escalate", "check" };
static const char *const kind_names[] = { "accents", "capitals", "punctuation" };
static const char *const check_names[] = { "round_trip", "confidence" };

const char *enx_plan_grammar(void) { return grammar; }

const char *enx_plan_schema(void) { return schema; }

/* Levenshtein distance of the first PLAN_WORD_BYTES_MAX bytes. */
static size_t distance(const char *a, const char *b)
{
    const size_t a_size = strnlen(a, PLAN_WORD_BYTES_MAX), b_size = strnlen(b, PLAN_WORD_BYTES_MAX);
    size_t       row[PLAN_WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= b_size; j++) row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            const size_t change = diagonal + (a[i - 1] != b[j - 1]);
            const size_t shift = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            diagonal = row[j];
            row[j] = change < shift ? change : shift;
        }
    }
    return row[b_size];
}

static const char *nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = names[0];
    for (size_t i = 1; i < count; i++)
        if (distance(word, names[i]) < distance(word, best)) best = names[i];
    return best;
}

/* Parse an array of distinct names into a bit mask. */
static enx_status parse_names(const json_t *array, const char *key, const char *const *names,
                              size_t name_count, uint32_t *mask, enx_report *report)
{
    if (!json_is_array(array) || json_array_size(array) == 0)
        return ENX_FAIL(report, FORMAT, "plan: \"%s\" must be a list of at least one name", key);
    uint32_t bits = 0;
    size_t   index;
    json_t  *value;
    json_array_foreach (array, index, value) {
        const char *word = json_string_value(value);
        size_t      n = 0;
        if (!word) return ENX_FAIL(report, FORMAT, "plan: \"%s\" must hold strings", key);
        while (n < name_count && strcmp(word, names[n]) != 0) n++;
        if (n == name_count)
            return ENX_FAIL(report, FORMAT, "plan: \"%s\" has \"%.64s\"; nearest: \"%s\"", key,
                            word, nearest(word, names, name_count));
        if (bits & (1u << n))
            return ENX_FAIL(report, FORMAT, "plan: \"%s\" names \"%s\" twice", key, word);
        bits |= 1u << n;
    }
    *mask = bits;
    return ENX_OK;
}

static enx_status parse_languages(enx_plan *plan, const json_t *array, enx_report *report)
{
    if (!json_is_array(array) || json_array_size(array) == 0)
        return ENX_FAIL(report, FORMAT, "plan: \"languages\" must be [\"any\"] or a list of tags");
    if (json_array_size(array) > ENX_PLAN_LANGUAGES_MAX)
        return ENX_FAIL(report, LIMIT, "plan: %zu languages, at most %d", json_array_size(array),
                        ENX_PLAN_LANGUAGES_MAX);
    size_t  index;
    json_t *value;
    json_array_foreach (array, index, value) {
        const char *tag = json_string_value(value);
        if (!tag || !*tag || strlen(tag) >= ENX_LANGUAGE_BYTES_MAX)
            return ENX_FAIL(report, FORMAT, "plan: a language must be a tag such as \"pt_BR\"");
        if (strcmp(tag, "any") == 0) {
            if (json_array_size(array) == 1) return ENX_OK;
            return ENX_FAIL(report, FORMAT, "plan: \"any\" must be the only language");
        }
        for (uint32_t i = 0; i < plan->language_count; i++)
            if (strcmp(plan->languages[i], tag) == 0)
                return ENX_FAIL(report, FORMAT, "plan: \"languages\" names \"%s\" twice", tag);
        memcpy(plan->languages[plan->language_count++], tag, strlen(tag) + 1);
    }
    return ENX_OK;
}

static enx_status parse_keys(const json_t *root, enx_report *report)
{
    if (!json_is_object(root)) return ENX_FAIL(report, FORMAT, "plan: not a JSON object");
    const size_t key_count = sizeof plan_keys / sizeof *plan_keys;
    void        *at = json_object_iter((json_t *)(uintptr_t)root);
    for (; at; at = json_object_iter_next((json_t *)(uintptr_t)root, at)) {
        const char *key = json_object_iter_key(at);
        size_t      n = 0;
        while (n < key_count && strcmp(key, plan_keys[n]) != 0) n++;
        if (n == key_count)
            return ENX_FAIL(report, FORMAT, "plan: unknown key \"%.64s\"; nearest: \"%s\"", key,
                            nearest(key, plan_keys, key_count));
    }
    for (size_t n = 0; n < key_count; n++)
        if (!json_object_get(root, plan_keys[n]))
            return ENX_FAIL(report, FORMAT, "plan: key \"%s\" is missing", plan_keys[n]);
    return ENX_OK;
}

static enx_status parse_values(enx_plan *plan, const json_t *root, enx_report *report)
{
    ENX_TRY(parse_keys(root, report));
    const char *mode = json_string_value(json_object_get(root, "mode"));
    if (!mode || (strcmp(mode, "swarm") != 0 && strcmp(mode, "single") != 0))
        return ENX_FAIL(report, FORMAT, "plan: \"mode\" must be \"swarm\" or \"single\"");
    plan->is_single = strcmp(mode, "single") == 0;

    const char *for_each = json_string_value(json_object_get(root, "for_each"));
    if (!for_each || strcmp(for_each, "paragraph") != 0)
        return ENX_FAIL(report, FORMAT, "plan: \"for_each\" must be \"paragraph\"");
    ENX_TRY(parse_names(json_object_get(root, "repair"), "repair", kind_names, 3, &plan->kinds,
                        report));
    ENX_TRY(parse_languages(plan, json_object_get(root, "languages"), report));

    const json_t *escalate = json_object_get(root, "escalate");
    if (!json_is_boolean(escalate))
        return ENX_FAIL(report, FORMAT, "plan: \"escalate\" must be true or false");
    plan->escalate = json_is_true(escalate);

    uint32_t checks = 0;
    ENX_TRY(parse_names(json_object_get(root, "check"), "check", check_names, 2, &checks, report));
    plan->check_round_trip = checks & 1u;
    plan->check_confidence = checks & 2u;
    return ENX_OK;
}

enx_status enx_plan_parse(enx_plan *plan, const char *text, size_t size_bytes, enx_report *report)
{
    ENX_CHECK(plan && (text || size_bytes == 0));
    if (size_bytes > ENX_PLAN_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "plan: %zu bytes, at most %d", size_bytes,
                        ENX_PLAN_BYTES_MAX);
    json_error_t error;
    json_t      *root = json_loadb(text ? text : "", size_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return ENX_FAIL(report, FORMAT, "plan: not JSON at byte %d: %s", error.position,
                        error.text);
    enx_plan         parsed = { 0 };
    const enx_status status = parse_values(&parsed, root, report);
    json_decref(root);
    if (status == ENX_OK) *plan = parsed;
    return status;
}

/* The worker language nearest to `tag`; "" when the roster has no workers.  *known: exact. */
static const char *nearest_language(const enx_roster *roster, const char *tag, bool *known)
{
    const char *best = "";
    *known = false;
    for (uint32_t m = 0; m < roster->model_count; m++) {
        if (roster->models[m].duty != ENX_DUTY_WORKER) continue;
        for (uint32_t i = 0; i < roster->models[m].language_count; i++) {
            const char *language = roster->models[m].languages[i];
            if (strcmp(language, tag) == 0) *known = true;
            if (!*best || distance(tag, language) < distance(tag, best)) best = language;
        }
    }
    return best;
}

enx_status enx_plan_validate(const enx_plan *plan, const enx_plan_limits *limits,
                             enx_report *report)
{
    ENX_CHECK(plan->kinds != 0 && (plan->kinds & ~(uint32_t)ENX_KINDS_ALL) == 0);
    for (uint32_t i = 0; i < plan->language_count; i++) {
        bool        known;
        const char *best = nearest_language(limits->roster, plan->languages[i], &known);
        if (known || plan->is_single) continue;
        if (!*best)
            return ENX_FAIL(report, NOTFOUND, "plan: language \"%s\", but there are no workers",
                            plan->languages[i]);
        return ENX_FAIL(report, NOTFOUND, "plan: no worker knows \"%s\"; nearest: \"%s\"",
                        plan->languages[i], best);
    }
    if (limits->has_round_trip ? !plan->check_round_trip : !plan->is_single)
        return ENX_FAIL(report, INVALID,
                        "plan: no deterministic check; \"check\" must hold \"round_trip\"");
    if (limits->item_count > limits->item_count_max)
        return ENX_FAIL(report, LIMIT, "plan: %u tasks, at most %u", limits->item_count,
                        limits->item_count_max);
    if (limits->budget_usd_nano && limits->worst_case_usd_nano > limits->budget_usd_nano)
        return ENX_FAIL(report, BUDGET, "plan: worst case %.6f USD, the budget is %.6f USD",
                        (double)limits->worst_case_usd_nano * 1e-9,
                        (double)limits->budget_usd_nano * 1e-9);
    return ENX_OK;
}

static enx_status append_names(enx_buf *out, uint32_t mask, const char *const *names, size_t count)
{
    const char *comma = "";
    for (size_t i = 0; i < count; i++) {
        if (!(mask & (1u << i))) continue;
        ENX_TRY(enx_buf_printf(out, "%s\"%s\"", comma, names[i]));
        comma = ",";
    }
    return ENX_OK;
}

enx_status enx_plan_to_json(const enx_plan *plan, enx_buf *out)
{
    const uint32_t checks = (plan->check_round_trip ? 1u : 0u) | (plan->check_confidence ? 2u : 0u);
    ENX_TRY(enx_buf_printf(out, "{\"mode\":\"%s\",\"for_each\":\"paragraph\",\"repair\":[",
                           plan->is_single ? "single" : "swarm"));
    ENX_TRY(append_names(out, plan->kinds, kind_names, 3));
    ENX_TRY(enx_buf_append_text(out, "],\"languages\":["));
    if (plan->language_count == 0) ENX_TRY(enx_buf_append_text(out, "\"any\""));
    for (uint32_t i = 0; i < plan->language_count; i++)
        ENX_TRY(enx_buf_printf(out, "%s\"%s\"", i ? "," : "", plan->languages[i]));
    ENX_TRY(
        enx_buf_printf(out, "],\"escalate\":%s,\"check\":[", plan->escalate ? "true" : "false"));
    ENX_TRY(append_names(out, checks, check_names, 2));
    return enx_buf_append_text(out, "]}");
}

bool enx_plan_wants_language(const enx_plan *plan, const char *language)
{
    for (uint32_t i = 0; i < plan->language_count; i++)
        if (strcmp(plan->languages[i], language) == 0) return true;
    return plan->language_count == 0;
}
