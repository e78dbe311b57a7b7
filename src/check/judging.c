/* SPDX-License-Identifier: Apache-2.0 */
/* judging.c - schema, citation, regex, compute. */
#include "check/judging.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "check/expression.h"
#include "check/field.h"
#include "text/canon.h"
#include "text/schema.h"

#include <stdio.h>
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct enx_judge {
    const enx_class     *task_class;
    enx_grammar         *grammar;                           /* NULL: no schema */
    enx_expression      *expressions[ENX_CLASS_CHECKS_MAX]; /* NULL: of another kind */
    pcre2_code          *patterns[ENX_CLASS_CHECKS_MAX];
    pcre2_match_context *match;
};

/* ---- opening -------------------------------------------------------------------------------- */

static enx_status open_pattern(enx_judge *j, uint32_t index, enx_report *report)
{
    int           error = 0;
    PCRE2_SIZE    at = 0;
    unsigned char message[128];
    const char   *text = j->task_class->checks[index].text;
    j->patterns[index] = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                                       PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED |
                                           PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
                                       &error, &at, NULL);
    if (j->patterns[index]) return ENX_OK;
    pcre2_get_error_message(error, message, sizeof message);
    return ENX_FAIL(report, FORMAT, "%.200s: %s at byte %zu", text, (const char *)message, at + 1);
}

static enx_status open_check(enx_judge *j, uint32_t index, enx_report *report)
{
    const enx_check *check = &j->task_class->checks[index];
    if (check->kind == ENX_CHECK_COMPUTE)
        return enx_expression_open(&j->expressions[index], check->text, report);
    if (check->kind == ENX_CHECK_REGEX) return open_pattern(j, index, report);
    return ENX_OK;
}

enx_status enx_judge_open(enx_judge **out, const enx_class *task_class, enx_report *report)
{
    ENX_CHECK(out && task_class && task_class->check_count <= ENX_CLASS_CHECKS_MAX);
    enx_judge *j = ENX_MEM_NEW(enx_judge, 1);
    if (!j) return ENX_FAIL(report, NOMEM, "no memory for the checks of %s", task_class->name);
    j->task_class = task_class;
    j->match = pcre2_match_context_create(NULL);
    enx_status status = j->match ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for matching");
    if (status == ENX_OK) pcre2_set_match_limit(j->match, ENX_JUDGE_MATCH_STEPS_MAX);
    if (status == ENX_OK && task_class->schema) {
        status =
            enx_schema_open(&j->grammar, task_class->schema, strlen(task_class->schema), report);
        if (status != ENX_OK) enx_report_wrap(report, "class %s: schema", task_class->name);
    }
    for (uint32_t i = 0; status == ENX_OK && i < task_class->check_count; i++) {
        status = open_check(j, i, report);
        if (status != ENX_OK)
            enx_report_wrap(report, "class %s: check %s", task_class->name,
                            enx_check_kind_text(task_class->checks[i].kind));
    }
    if (status != ENX_OK) {
        enx_judge_close(&j);
        return status;
    }
    *out = j;
    return ENX_OK;
}

void enx_judge_close(enx_judge **judge)
{
    enx_judge *j = *judge;
    *judge = NULL;
    if (!j) return;
    for (uint32_t i = 0; i < ENX_CLASS_CHECKS_MAX; i++) {
        enx_expression_close(&j->expressions[i]);
        pcre2_code_free(j->patterns[i]);
    }
    pcre2_match_context_free(j->match);
    enx_grammar_close(&j->grammar);
    enx_mem_free(j);
}

const enx_class *enx_judge_class(const enx_judge *judge) { return judge->task_class; }

/* ---- judging -------------------------------------------------------------------------------- */

static bool fits_schema(const enx_judge *j, enx_span answer, char *reason, size_t reason_bytes)
{
    bool   is_match = false;
    size_t at = 0;
    if (enx_canon_matches(enx_grammar_automaton(j->grammar), answer.text, answer.size_bytes,
                          &is_match, &at) == ENX_OK &&
        is_match)
        return true;
    snprintf(reason, reason_bytes, "byte %zu of the answer is none that the schema allows", at + 1);
    return false;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Does `part` stand in `whole`, any white space being like any other? */
static bool stands_in(enx_span whole, const char *part)
{
    while (is_space(*part)) part++;
    for (size_t i = 0; i < whole.size_bytes; i++) {
        const char *p = part;
        size_t      k = i;
        while (*p && k < whole.size_bytes) {
            if (is_space(*p) && is_space(whole.text[k])) {
                while (is_space(*p)) p++;
                while (k < whole.size_bytes && is_space(whole.text[k])) k++;
            } else if (*p == whole.text[k]) {
                p++;
                k++;
            } else {
                break;
            }
        }
        while (is_space(*p)) p++;
        if (!*p) return true;
    }
    return !*part;
}

typedef struct judging {
    enx_judge *judge;
    uint32_t   index;
    enx_span   input;
    char      *reason;
    size_t     reason_bytes;
} judging;

static bool is_cited(void *user, const char *value)
{
    const judging *g = user;
    if (stands_in(g->input, value)) return true;
    snprintf(g->reason, g->reason_bytes, "\"%.100s\" does not stand in the input", value);
    return false;
}

static bool is_matched(void *user, const char *value)
{
    const judging    *g = user;
    pcre2_code       *pattern = g->judge->patterns[g->index];
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(pattern, NULL);
    const int         got =
        data ? pcre2_match(pattern, (PCRE2_SPTR)value, strlen(value), 0, 0, data, g->judge->match)
                     : PCRE2_ERROR_NOMEMORY;
    pcre2_match_data_free(data);
    if (got >= 0) return true;
    snprintf(g->reason, g->reason_bytes, "\"%.100s\" is not like %.100s", value,
             g->judge->task_class->checks[g->index].text);
    return false;
}

static bool is_computed(const judging *g, const json_t *value)
{
    enx_report report = { 0 };
    bool       holds = false;
    const bool is_done = enx_expression_holds(g->judge->expressions[g->index], value, g->input,
                                              &holds, &report) == ENX_OK;
    if (holds) return true;
    snprintf(g->reason, g->reason_bytes, "%s: %.200s", is_done ? "not so" : report.text,
             g->judge->task_class->checks[g->index].text);
    return false;
}

bool enx_judge_passes(enx_judge *judge, const enx_check *check, enx_span input, enx_span answer,
                      char *reason, size_t reason_bytes)
{
    judging g = { judge, (uint32_t)(check - judge->task_class->checks), input, reason,
                  reason_bytes };
    ENX_CHECK(g.index < judge->task_class->check_count);
    if (check->kind == ENX_CHECK_SCHEMA) return fits_schema(judge, answer, reason, reason_bytes);
    json_t *value = json_loadb(answer.text, answer.size_bytes, JSON_DECODE_ANY, NULL);
    if (!value && !judge->task_class->schema)
        value = json_stringn_nocheck(answer.text, answer.size_bytes);
    bool passes = false;
    if (!value) snprintf(reason, reason_bytes, "the answer is not JSON");
    else if (check->kind == ENX_CHECK_CITATION)
        passes = enx_field_each(value, check->field, is_cited, &g);
    else if (check->kind == ENX_CHECK_REGEX)
        passes = enx_field_each(value, check->field, is_matched, &g);
    else passes = is_computed(&g, value);
    json_decref(value);
    return passes;
}
