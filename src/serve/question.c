/* SPDX-License-Identifier: Apache-2.0 */
/* question.c - fields of a request, judged. */
#include "serve/question.h"

#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BIAS_MAX = 100, TOOL_NAME_BYTES_MAX = 64 };

enx_question *enx_question_open(json_t *body)
{
    enx_question *q = ENX_MEM_NEW(enx_question, 1);
    if (!q) {
        json_decref(body);
        return NULL;
    }
    *q = (enx_question){ .body = body, .model = "", .temperature = -1, .answer_count = 1 };
    return q;
}

void enx_question_close(enx_question **question)
{
    enx_question *q = *question;
    *question = NULL;
    if (!q) return;
    json_decref(q->messages);
    json_decref(q->tools);
    json_decref(q->schema);
    json_decref(q->body);
    enx_mem_free(q);
}

/* ---- Fields --------------------------------------------------------------------------------- */

static const json_t *find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

enx_status enx_question_number(const json_t *object, const char *key, double min, double max,
                               double *out, enx_report *report)
{
    const json_t *value = find(object, key);
    if (!value) return ENX_OK;
    const double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= min && number <= max))
        return ENX_FAIL(report, INVALID, "%s: a number from %g to %g is needed", key, min, max);
    *out = number;
    return ENX_OK;
}

enx_status enx_question_count(const json_t *object, const char *key, uint64_t min, uint64_t max,
                              uint64_t *out, enx_report *report)
{
    const json_t *value = find(object, key);
    if (!value) return ENX_OK;
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || (uint64_t)number < min || (uint64_t)number > max)
        return ENX_FAIL(report, INVALID, "%s: a whole number from %llu to %llu is needed", key,
                        (unsigned long long)min, (unsigned long long)max);
    *out = (uint64_t)number;
    return ENX_OK;
}

enx_status enx_question_flag(const json_t *object, const char *key, bool *out, enx_report *report)
{
    const json_t *value = find(object, key);
    if (!value) return ENX_OK;
    if (!json_is_boolean(value))
        return ENX_FAIL(report, INVALID, "%s: true or false is needed", key);
    *out = json_is_true(value);
    return ENX_OK;
}

enx_status enx_question_text(const json_t *object, const char *key, const char **out,
                             enx_report *report)
{
    const json_t *value = find(object, key);
    if (!value) return ENX_OK;
    if (!json_is_string(value)) return ENX_FAIL(report, INVALID, "%s: a text is needed", key);
    *out = json_string_value(value);
    return ENX_OK;
}

static enx_status add_stop(enx_question *q, const char *key, const json_t *value,
                           enx_report *report)
{
    if (!json_is_string(value) || json_string_length(value) == 0)
        return ENX_FAIL(report, INVALID, "%s: texts that are not empty are needed", key);
    if (q->stop_count == ENX_QUESTION_STOPS_MAX)
        return ENX_FAIL(report, INVALID, "%s: at most %d texts", key, ENX_QUESTION_STOPS_MAX);
    q->stops[q->stop_count++] = json_string_value(value);
    return ENX_OK;
}

enx_status enx_question_stops(enx_question *q, const char *key, enx_report *report)
{
    const json_t *value = find(q->body, key);
    if (!value) return ENX_OK;
    if (!json_is_array(value)) return add_stop(q, key, value, report);
    size_t  i;
    json_t *text;
    json_array_foreach (value, i, text) ENX_TRY(add_stop(q, key, text, report));
    return ENX_OK;
}

static enx_status read_biases(enx_question *q, enx_report *report)
{
    const json_t *biases = find(q->body, "logit_bias");
    const char   *key;
    json_t       *value;
    if (!biases) return ENX_OK;
    if (!json_is_object(biases) || json_object_size(biases) > ENX_QUESTION_BIASES_MAX)
        return ENX_FAIL(report, INVALID, "logit_bias: an object of at most %d numbers is needed",
                        ENX_QUESTION_BIASES_MAX);
    json_object_foreach ((json_t *)(uintptr_t)biases, key, value) {
        char *end = NULL;
        errno = 0;
        const unsigned long token = strtoul(key, &end, 10);
        const double        bias = json_number_value(value);
        if (*key < '0' || *key > '9' || *end || errno || token >= UINT32_MAX ||
            !json_is_number(value) || fabs(bias) > BIAS_MAX)
            return ENX_FAIL(report, INVALID,
                            "logit_bias: numbers of tokens, with values from -%d to %d, are needed",
                            BIAS_MAX, BIAS_MAX);
        /* OpenAI's -100 is a ban, not a discouragement. */
        q->biases[q->bias_count++] =
            (enx_bias){ (uint32_t)token, bias <= -BIAS_MAX ? -INFINITY : (float)bias };
    }
    return ENX_OK;
}

enx_status enx_question_sampling(enx_question *q, double temperature_max, enx_report *report)
{
    uint64_t top_k = 0;
    ENX_TRY(
        enx_question_number(q->body, "temperature", 0, temperature_max, &q->temperature, report));
    ENX_TRY(enx_question_number(q->body, "top_p", 0, 1, &q->top_p, report));
    ENX_TRY(enx_question_count(q->body, "top_k", 0, UINT32_MAX, &top_k, report));
    ENX_TRY(enx_question_number(q->body, "min_p", 0, 1, &q->min_p, report));
    ENX_TRY(
        enx_question_number(q->body, "frequency_penalty", -2, 2, &q->frequency_penalty, report));
    ENX_TRY(enx_question_number(q->body, "presence_penalty", -2, 2, &q->presence_penalty, report));
    ENX_TRY(enx_question_number(q->body, "repeat_penalty", 0, 10, &q->repeat_penalty, report));
    const json_t *seed = find(q->body, "seed");
    if (seed && !json_is_integer(seed))
        return ENX_FAIL(report, INVALID, "seed: a whole number is needed");
    q->has_seed = seed != NULL;
    q->seed = (uint64_t)json_integer_value(seed);
    q->top_k = (uint32_t)top_k;
    return read_biases(q, report);
}

/* ---- Messages and tools --------------------------------------------------------------------- */

enx_status enx_question_add(enx_question *q, const char *role, json_t *content, json_t **message,
                            enx_report *report)
{
    if (!q->messages) q->messages = json_array();
    if (json_array_size(q->messages) == ENX_QUESTION_MESSAGES_MAX) {
        json_decref(content);
        return ENX_FAIL(report, LIMIT, "messages: at most %d", ENX_QUESTION_MESSAGES_MAX);
    }
    json_t *added = json_pack("{s:s, s:o}", "role", role, "content", content);
    if (json_array_append_new(q->messages, added) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the messages");
    if (message) *message = added;
    return ENX_OK;
}

static bool is_name(const char *name)
{
    const size_t size = strlen(name);
    return size > 0 && size <= TOOL_NAME_BYTES_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
               size;
}

enx_status enx_question_add_tool(enx_question *q, const char *name, const char *description,
                                 const json_t *parameters, enx_report *report)
{
    if (!name || !is_name(name))
        return ENX_FAIL(report, INVALID,
                        "tools: a tool needs a name of 1 to %d letters, digits, _, - and .",
                        TOOL_NAME_BYTES_MAX);
    if (parameters && !json_is_object(parameters))
        return ENX_FAIL(report, INVALID, "tools: the parameters of %s must be a JSON Schema", name);
    if (enx_question_tool(q, name))
        return ENX_FAIL(report, INVALID, "tools: there are two called %s", name);
    if (!q->tools) q->tools = json_array();
    if (json_array_size(q->tools) == ENX_QUESTION_TOOLS_MAX)
        return ENX_FAIL(report, LIMIT, "tools: at most %d", ENX_QUESTION_TOOLS_MAX);
    json_t *schema = parameters ? json_deep_copy(parameters)
                                : json_pack("{s:s, s:{}}", "type", "object", "properties");
    json_t *tool =
        json_pack("{s:s, s:{s:s, s:s, s:o}}", "type", "function", "function", "name", name,
                  "description", description ? description : "", "parameters", schema);
    if (json_array_append_new(q->tools, tool) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for the tools");
    return ENX_OK;
}

const json_t *enx_question_tool(const enx_question *q, const char *name)
{
    size_t  i;
    json_t *tool;
    json_array_foreach (q->tools, i, tool) {
        const json_t *function = json_object_get(tool, "function");
        if (strcmp(json_string_value(json_object_get(function, "name")), name) == 0)
            return json_object_get(function, "parameters");
    }
    return NULL;
}

static uint64_t count_bytes(const json_t *value)
{
    uint64_t    total = 0;
    size_t      i;
    json_t     *part;
    const char *key;
    if (json_is_string(value)) return json_string_length(value);
    if (json_is_array(value))
        json_array_foreach (value, i, part) total += count_bytes(part);
    if (json_is_object(value))
        json_object_foreach ((json_t *)(uintptr_t)value, key, part)
            total += strlen(key) + count_bytes(part);
    return total;
}

uint64_t enx_question_bytes(const enx_question *q)
{
    return (q->prompt ? strlen(q->prompt) : 0) + count_bytes(q->messages) + count_bytes(q->tools);
}
