/* SPDX-License-Identifier: Apache-2.0 */
/* cli_yaml.c - events of libyaml as a JSON value. */
#include "cli/cli_yaml.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t  event;
    const char   *path;
    enx_report   *report;
} reader;

static enx_status fail(reader *r, enx_status status, size_t line, const char *what)
{
    return enx_report_set(r->report, status, __FILE__, __LINE__, "%s:%zu: %s", r->path, line + 1,
                          what);
}

static enx_status next(reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event)) return ENX_OK;
    return fail(r, ENX_FORMAT, r->parser.problem_mark.line,
                r->parser.problem ? r->parser.problem : "not YAML");
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0) words++;
    return *words != NULL;
}

static json_t *plain_word(const char *word)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const trues[] = { "true", "True", "TRUE", NULL };
    static const char *const falses[] = { "false", "False", "FALSE", NULL };
    char                    *end;
    if (is_one_of(word, nulls)) return json_null();
    if (is_one_of(word, trues)) return json_true();
    if (is_one_of(word, falses)) return json_false();
    if (strspn(word, "0123456789+-.eE") != strlen(word)) return json_string(word);
    errno = 0;
    const long long integer = strtoll(word, &end, 10);
    if (!*end && !errno) return json_integer(integer);
    const double real = strtod(word, &end);
    return *end || !isfinite(real) ? json_string(word) : json_real(real);
}

static json_t *scalar_of(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !event->data.scalar.tag)
        return plain_word(text);
    return json_stringn(text, event->data.scalar.length);
}

static enx_status read_value(reader *r, int depth, json_t **out);

static enx_status read_list(reader *r, int depth, json_t *list)
{
    for (;;) {
        json_t *value = NULL;
        ENX_TRY(next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return ENX_OK;
        ENX_TRY(read_value(r, depth, &value));
        json_array_append_new(list, value);
    }
}

static enx_status read_members(reader *r, int depth, json_t *object)
{
    for (;;) {
        char    key[256];
        json_t *value = NULL;
        ENX_TRY(next(r));
        const size_t line = r->event.start_mark.line;
        if (r->event.type == YAML_MAPPING_END_EVENT) return ENX_OK;
        if (r->event.type != YAML_SCALAR_EVENT || r->event.data.scalar.length >= sizeof key)
            return fail(r, ENX_FORMAT, line, "a key is a word of at most 255 bytes");
        memcpy(key, r->event.data.scalar.value, r->event.data.scalar.length + 1);
        if (json_object_get(object, key)) return fail(r, ENX_FORMAT, line, "a key is there twice");
        ENX_TRY(next(r));
        ENX_TRY(read_value(r, depth, &value));
        if (json_object_set_new(object, key, value))
            return fail(r, ENX_FORMAT, line, "a key is not UTF-8");
    }
}

/* The value that begins with the event at hand. */
static enx_status read_value(reader *r, int depth, json_t **out)
{
    const size_t line = r->event.start_mark.line;
    enx_status   status = ENX_OK;
    json_t      *value = NULL;
    if (depth > CLI_YAML_DEPTH_MAX) return fail(r, ENX_LIMIT, line, "more than 32 levels");
    if (r->event.type == YAML_SCALAR_EVENT && !r->event.data.scalar.anchor) {
        value = scalar_of(&r->event);
        if (!value) status = fail(r, ENX_NOMEM, line, "no memory, or a text is not UTF-8");
    } else if (r->event.type == YAML_SEQUENCE_START_EVENT && !r->event.data.sequence_start.anchor) {
        value = json_array();
        status = read_list(r, depth + 1, value);
    } else if (r->event.type == YAML_MAPPING_START_EVENT && !r->event.data.mapping_start.anchor) {
        value = json_object();
        status = read_members(r, depth + 1, value);
    } else {
        status = fail(r, ENX_FORMAT, line, "anchors and aliases are not allowed here");
    }
    if (status == ENX_OK) *out = value;
    else json_decref(value);
    return status;
}

static enx_status read_document(reader *r, json_t **out)
{
    do ENX_TRY(next(r));
    while (r->event.type == YAML_STREAM_START_EVENT || r->event.type == YAML_DOCUMENT_START_EVENT);
    if (r->event.type == YAML_STREAM_END_EVENT) return fail(r, ENX_FORMAT, 0, "the file is empty");
    return read_value(r, 0, out);
}

enx_status cli_yaml_read(json_t **out, const enx_buf *text, const char *path, enx_report *report)
{
    reader r = { .path = path, .report = report };
    if (!yaml_parser_initialize(&r.parser))
        return ENX_FAIL(report, NOMEM, "%s: no memory to read it", path);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)enx_buf_text(text),
                                 text->size_bytes);
    const enx_status status = read_document(&r, out);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return status;
}
