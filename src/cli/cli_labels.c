/* SPDX-License-Identifier: Apache-2.0 */
/* cli_labels.c - a file of right answers, matched with the records of a job. */
#include "cli/cli_labels.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_text.h"
#include "text/canon.h"

#include <math.h>
#include <string.h>

static const char *const keys[] = { "record", "id", "answer" };

static const size_t not_known = SIZE_MAX;

/* A file on its way: texts go to one buffer, which moves, so places are kept as offsets. */
typedef struct reading {
    const cli_labelled *records;
    uint32_t            record_count;
    json_t             *schema;
    uint32_t            item_count;
    size_t             *begins; /* [item_count + 1] */
    size_t             *sizes;  /* not_known: no answer */
    cli_labels         *out;
} reading;

static enx_status find_by_id(const reading *r, const json_t *id, uint32_t *found,
                             enx_report *report)
{
    *found = r->record_count;
    for (uint32_t i = 0; i < r->record_count; i++) {
        if (!json_equal(json_object_get(r->records[i].record, "id"), id)) continue;
        if (*found < r->record_count)
            return ENX_FAIL(report, FORMAT,
                            "records %u and %u of the input have this id; name one "
                            "by its number, \"record\"",
                            *found + 1, i + 1);
        *found = i;
    }
    if (*found == r->record_count)
        return ENX_FAIL(report, FORMAT, "no record of the input has this id");
    return ENX_OK;
}

static enx_status find_record(const reading *r, const json_t *line, uint32_t *found,
                              enx_report *report)
{
    const json_t *number = json_object_get(line, "record"), *id = json_object_get(line, "id");
    if ((number == NULL) == (id == NULL))
        return ENX_FAIL(report, FORMAT,
                        "one of \"record\" (its number in the input, from 1) and \"id\" is needed");
    if (id) return find_by_id(r, id, found, report);
    const json_int_t value = json_integer_value(number);
    if (!json_is_integer(number) || value < 1 || value > r->record_count)
        return ENX_FAIL(report, FORMAT, "\"record\": a number from 1 to %u is expected",
                        r->record_count);
    *found = (uint32_t)value - 1;
    return ENX_OK;
}

static enx_status put(reading *r, uint32_t item, const char *text, size_t size_bytes,
                      enx_report *report)
{
    if (r->sizes[item] != not_known)
        return ENX_FAIL(report, FORMAT, "this record has an answer already");
    r->begins[item] = r->out->text.size_bytes;
    r->sizes[item] = size_bytes;
    r->out->known++;
    if (enx_buf_append(&r->out->text, text, size_bytes) == ENX_OK) return ENX_OK;
    return ENX_FAIL(report, LIMIT, "the answers have more than %d bytes", CLI_TEXT_BYTES_MAX);
}

/* A value in the one form that models give it in. */
static enx_status put_value(reading *r, uint32_t item, const json_t *answer, enx_report *report)
{
    enx_buf raw, text;
    enx_buf_init(&raw, ENX_CANON_BYTES_MAX);
    enx_buf_init(&text, ENX_CANON_BYTES_MAX);
    enx_status status = cli_json_append(&raw, answer);
    if (status == ENX_OK)
        status = enx_canon_append(&text, r->schema, enx_buf_text(&raw), raw.size_bytes, report);
    if (status == ENX_OK) status = put(r, item, enx_buf_text(&text), text.size_bytes, report);
    enx_buf_deinit(&raw);
    enx_buf_deinit(&text);
    return status;
}

static enx_status put_text(reading *r, const cli_labelled *record, const json_t *answer,
                           enx_report *report)
{
    cli_items   parts = { 0 };
    const char *text = json_string_value(answer);
    if (!text) return ENX_FAIL(report, FORMAT, "\"answer\": a text is expected");
    if (record->count == 1 && record->record && !strchr(text, '\n'))
        return put(r, record->first, text, json_string_length(answer), report);
    enx_status status = cli_items_add(&parts, text, json_string_length(answer), report);
    if (status == ENX_OK && parts.count != record->count)
        status = ENX_FAIL(report, FORMAT, "the answer has %u paragraphs, the record %u",
                          parts.count, record->count);
    for (uint32_t i = 0; status == ENX_OK && i < parts.count; i++)
        status = put(r, record->first + i, parts.spans[i].text, parts.spans[i].size_bytes, report);
    cli_items_deinit(&parts);
    return status;
}

static enx_status read_line(reading *r, const char *text, size_t size_bytes, enx_report *report)
{
    json_error_t error;
    uint32_t     found = 0;
    enx_status   status = ENX_OK;
    json_t      *line = json_loadb(text, size_bytes, 0, &error);
    if (!line) return ENX_FAIL(report, FORMAT, "no JSON: %s (column %d)", error.text, error.column);
    const json_t *answer = json_object_get(line, "answer");
    if (!json_is_object(line) || !answer)
        status = ENX_FAIL(report, FORMAT, "an object with an \"answer\" is expected");
    const char *key;
    json_t     *value;
    json_object_foreach (line, key, value) {
        size_t k = 0;
        while (k < sizeof keys / sizeof *keys && strcmp(keys[k], key) != 0) k++;
        if (status == ENX_OK && k == sizeof keys / sizeof *keys)
            status = ENX_FAIL(report, FORMAT,
                              "unknown key \"%.64s\"; record, id and answer are known", key);
    }
    if (status == ENX_OK) status = find_record(r, line, &found, report);
    if (status == ENX_OK)
        status = r->schema ? put_value(r, r->records[found].first, answer, report)
                           : put_text(r, &r->records[found], answer, report);
    json_decref(line);
    return status;
}

static enx_status read_lines(reading *r, const enx_buf *file, const char *path, enx_report *report)
{
    const char *at = enx_buf_text(file), *const end = at + file->size_bytes;
    for (size_t number = 1; at < end; number++) {
        const char  *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t size_bytes = (size_t)((stop ? stop : end) - at);
        if (strspn(at, " \t\r") < size_bytes) {
            const enx_status status = read_line(r, at, size_bytes, report);
            if (status != ENX_OK) {
                enx_report_wrap(report, "%s:%zu", path, number);
                return status;
            }
        }
        at += size_bytes + 1;
    }
    if (r->out->known == 0) return ENX_FAIL(report, FORMAT, "%s: no right answers in it", path);
    return ENX_OK;
}

static enx_status make_spans(reading *r, enx_report *report)
{
    r->out->truths = ENX_MEM_NEW(enx_span, r->item_count);
    if (!r->out->truths) return ENX_FAIL(report, NOMEM, "no memory for %u labels", r->item_count);
    for (uint32_t i = 0; i < r->item_count; i++)
        if (r->sizes[i] != not_known)
            r->out->truths[i] =
                (enx_span){ enx_buf_text(&r->out->text) + r->begins[i], r->sizes[i] };
    return ENX_OK;
}

enx_status cli_labels_read(cli_labels *out, const char *path, const cli_labelled *records,
                           uint32_t record_count, const char *schema, enx_report *report)
{
    enx_buf file;
    reading r = { .records = records, .record_count = record_count, .out = out };
    *out = (cli_labels){ 0 };
    for (uint32_t i = 0; i < record_count; i++) r.item_count += records[i].count;
    if (r.item_count == 0) return ENX_OK;
    enx_buf_init(&file, CLI_TEXT_BYTES_MAX);
    enx_buf_init(&out->text, CLI_TEXT_BYTES_MAX);
    r.schema = schema ? json_loads(schema, JSON_DECODE_ANY, NULL) : NULL;
    r.begins = ENX_MEM_NEW(size_t, r.item_count);
    r.sizes = ENX_MEM_NEW(size_t, r.item_count);
    for (uint32_t i = 0; r.sizes && i < r.item_count; i++) r.sizes[i] = not_known;
    enx_status status = r.begins && r.sizes ? cli_read(&file, path, report)
                                            : ENX_FAIL(report, NOMEM, "no memory for labels");
    if (status == ENX_OK) status = read_lines(&r, &file, path, report);
    if (status == ENX_OK) status = make_spans(&r, report);
    json_decref(r.schema);
    enx_mem_free(r.begins);
    enx_mem_free(r.sizes);
    enx_buf_deinit(&file);
    if (status != ENX_OK) cli_labels_deinit(out);
    return status;
}

void cli_labels_deinit(cli_labels *labels)
{
    enx_mem_free(labels->truths);
    enx_buf_deinit(&labels->text);
    *labels = (cli_labels){ 0 };
}
