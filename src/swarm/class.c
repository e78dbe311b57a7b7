/* SPDX-License-Identifier: Apache-2.0 */
/* class.c - what makes a class of tasks sound. */
#include "swarm/class.h"

#include <string.h>

static const char *const kind_texts[] = {
#define X(name, text, kin) text,
    ENX_CHECK_MAP(X)
#undef X
};
static const enx_check_kin kind_kins[] = {
#define X(name, text, kin) ENX_CHECK_KIN_##kin,
    ENX_CHECK_MAP(X)
#undef X
};
static const char name_letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

const char   *enx_check_kind_text(enx_check_kind kind) { return kind_texts[kind]; }
enx_check_kin enx_check_kind_kin(enx_check_kind kind) { return kind_kins[kind]; }

enx_check_kind enx_check_kind_find(const char *text)
{
    unsigned kind = 0;
    while (kind < ENX_CHECK_COUNT && strcmp(kind_texts[kind], text) != 0) kind++;
    return (enx_check_kind)kind;
}

static size_t length(const char *text) { return text ? strlen(text) : 0; }

size_t enx_class_words_bytes(const enx_class *c)
{
    size_t sum = length(c->instruction) + length(c->advice) + length(c->schema);
    for (uint32_t i = 0; i < c->example_count; i++)
        sum += length(c->examples[i].input) + length(c->examples[i].answer);
    return sum;
}

uint32_t enx_class_answer_tokens(const enx_class *c)
{
    return c->answer_tokens_max ? c->answer_tokens_max : ENX_CLASS_ANSWER_TOKENS;
}

uint32_t enx_class_find_check(const enx_class *c, enx_check_kind kind)
{
    for (uint32_t i = 0; i < c->check_count; i++)
        if (c->checks[i].kind == kind) return i;
    return ENX_CLASS_CHECKS_MAX;
}

bool enx_class_has_certain_check(const enx_class *c)
{
    for (uint32_t i = 0; i < c->check_count; i++)
        if (kind_kins[c->checks[i].kind] == ENX_CHECK_KIN_TEXT) return true;
    return false;
}

static bool needs_field(enx_check_kind kind)
{
    return kind == ENX_CHECK_CITATION || kind == ENX_CHECK_REGEX || kind == ENX_CHECK_UNIQUE ||
           kind == ENX_CHECK_SUM || kind == ENX_CHECK_EQUAL;
}

static bool needs_text(enx_check_kind kind)
{
    return kind == ENX_CHECK_REGEX || kind == ENX_CHECK_COMPUTE || kind == ENX_CHECK_COMMAND;
}

static enx_status validate_check(const enx_class *c, uint32_t index, enx_report *report)
{
    const enx_check *check = &c->checks[index];
    if ((unsigned)check->kind >= ENX_CHECK_COUNT)
        return ENX_FAIL(report, INVALID, "check %u is of no kind", index + 1);
    const char *kind = kind_texts[check->kind];
    if (needs_field(check->kind) && !length(check->field))
        return ENX_FAIL(report, INVALID, "check %s needs a field", kind);
    if (needs_text(check->kind) && !length(check->text))
        return ENX_FAIL(report, INVALID, "check %s says nothing to check by", kind);
    if (needs_field(check->kind) && !c->schema && check->kind != ENX_CHECK_CITATION)
        return ENX_FAIL(report, INVALID, "check %s: fields need an answer with a schema", kind);
    if (!(check->above >= 0 && check->above <= 1))
        return ENX_FAIL(report, INVALID, "check %s: above %g, expected 0 to 1", kind, check->above);
    if (check->max > ENX_VOTES_MAX || check->ahead > (check->max ? check->max : ENX_VOTES_MAX))
        return ENX_FAIL(report, INVALID, "check %s: ahead by %u of %u votes, at most %d", kind,
                        check->ahead, check->max, ENX_VOTES_MAX);
    if (check->kind == ENX_CHECK_SCHEMA && !c->schema)
        return ENX_FAIL(report, INVALID, "check schema, but the class has no schema");
    const bool is_call = kind_kins[check->kind] == ENX_CHECK_KIN_CALL;
    if (is_call && enx_class_find_check(c, check->kind) != index)
        return ENX_FAIL(report, INVALID, "check %s is there twice", kind);
    return ENX_OK;
}

enx_status enx_class_validate(const enx_class *c, enx_report *report)
{
    const size_t name_bytes = length(c->name);
    if (name_bytes == 0 || name_bytes >= ENX_CLASS_NAME_BYTES_MAX ||
        strspn(c->name, name_letters) != name_bytes)
        return ENX_FAIL(report, INVALID,
                        "a class is named by 1 to %d small letters, digits and _, not \"%.64s\"",
                        ENX_CLASS_NAME_BYTES_MAX - 1, c->name ? c->name : "");
    if (enx_class_words_bytes(c) > ENX_CLASS_WORDS_BYTES_MAX)
        return ENX_FAIL(report, LIMIT,
                        "class %s: %zu bytes of instruction, examples and schema, at most %d",
                        c->name, enx_class_words_bytes(c), ENX_CLASS_WORDS_BYTES_MAX);
    if (c->example_count > ENX_CLASS_EXAMPLES_MAX || c->check_count > ENX_CLASS_CHECKS_MAX)
        return ENX_FAIL(report, LIMIT, "class %s: %u examples and %u checks, at most %d and %d",
                        c->name, c->example_count, c->check_count, ENX_CLASS_EXAMPLES_MAX,
                        ENX_CLASS_CHECKS_MAX);
    if (c->answer_tokens_max > ENX_CLASS_ANSWER_TOKENS_MAX)
        return ENX_FAIL(report, LIMIT, "class %s: answers of %u tokens, at most %d", c->name,
                        c->answer_tokens_max, ENX_CLASS_ANSWER_TOKENS_MAX);
    for (uint32_t i = 0; i < c->check_count; i++) {
        const enx_status status = validate_check(c, i, report);
        if (status == ENX_OK) continue;
        enx_report_wrap(report, "class %s", c->name);
        return status;
    }
    return ENX_OK;
}
