/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_map.c - enxame map: many records, JSONL in and out.
 *
 * The output is written whole, once, at the end; until then the work is in the store.  So the same
 * command, or `enxame resume`, goes on wherever the process was killed. */
#include "base/mem.h"
#include "cli/cli_labels.h"
#include "cli/cli_text.h"
#include "cli/cmd_run.h"
#include "plat/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAP_BYTES_MAX = 1 << 28, MAP_RECORDS_MAX = ENX_SWARM_ITEMS_MAX };

/* ---- Records -------------------------------------------------------------------------------- */

typedef struct map_record {
    json_t  *json;         /* the whole line */
    uint32_t first, count; /* items */
    size_t   input_bytes;  /* of a record that is one task */
} map_record;

typedef struct map_state {
    enx_buf     text;   /* of the input file */
    cli_recipe *recipe; /* of a class; NULL: texts are restored */
    enx_buf     inputs; /* of the items, where they are made of records */
    map_record *records;
    size_t      count;
    cli_items   items;
    cli_labels  labels;
} map_state;

/* What the record gives to its one task goes to `inputs`; spans are made when that is complete. */
static enx_status read_input(map_state *s, const json_t *json, size_t number,
                             const cli_job_settings *settings, enx_report *report)
{
    const size_t     before = s->inputs.size_bytes;
    const enx_status status = cli_recipe_input(s->recipe, json, &s->inputs, report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s:%zu", settings->in, number);
        return status;
    }
    map_record *r = &s->records[s->count - 1];
    r->first = (uint32_t)(s->count - 1);
    r->count = 1;
    r->input_bytes = s->inputs.size_bytes - before;
    return ENX_OK;
}

static enx_status span_inputs(map_state *s, enx_report *report)
{
    const char *at = enx_buf_text(&s->inputs);
    s->items.spans = ENX_MEM_NEW(enx_span, s->count ? s->count : 1);
    if (!s->items.spans) return ENX_FAIL(report, NOMEM, "no memory for %zu tasks", s->count);
    s->items.count = s->items.capacity = (uint32_t)s->count;
    for (size_t i = 0; i < s->count; i++) {
        s->items.spans[i] = (enx_span){ at, s->records[i].input_bytes };
        at += s->records[i].input_bytes;
    }
    return ENX_OK;
}

static enx_status read_record(map_state *s, const char *line, size_t size_bytes, size_t number,
                              const cli_job_settings *settings, enx_report *report)
{
    json_error_t error;
    json_t      *json = json_loadb(line, size_bytes, 0, &error);
    if (!json)
        return ENX_FAIL(report, FORMAT, "%s:%zu: no JSON: %s (column %d)", settings->in, number,
                        error.text, error.column);
    s->records[s->count] = (map_record){ .json = json, .first = s->items.count };
    s->count++; /* released with the rest from here on */
    if (s->recipe) return read_input(s, json, number, settings, report);
    const json_t *field = json_object_get(json, settings->input_field);
    if (!json_is_string(field))
        return ENX_FAIL(report, FORMAT,
                        "%s:%zu: no text under \"%s\"; name the field by `input:` "
                        "in the job's file",
                        settings->in, number, settings->input_field);
    ENX_TRY(cli_items_add(&s->items, json_string_value(field), json_string_length(field), report));
    s->records[s->count - 1].count = s->items.count - s->records[s->count - 1].first;
    return ENX_OK;
}

static enx_status read_records(map_state *s, const cli_job_settings *settings, enx_report *report)
{
    size_t lines = 1, number = 0;
    ENX_TRY(cli_read(&s->text, settings->in, report));
    const char *at = enx_buf_text(&s->text), *const end = at + s->text.size_bytes;
    for (const char *p = at; p < end; p++) lines += *p == '\n';
    if (lines > MAP_RECORDS_MAX)
        return ENX_FAIL(report, LIMIT, "%s: %zu records; a job may have %d", settings->in, lines,
                        MAP_RECORDS_MAX);
    s->records = ENX_MEM_NEW(map_record, lines);
    if (!s->records) return ENX_FAIL(report, NOMEM, "no memory for %zu records", lines);
    while (at < end) {
        const char  *stop = memchr(at, '\n', (size_t)(end - at));
        const size_t size_bytes = (size_t)((stop ? stop : end) - at);
        number++;
        if (strspn(at, " \t\r") < size_bytes)
            ENX_TRY(read_record(s, at, size_bytes, number, settings, report));
        at += size_bytes + 1;
    }
    return s->recipe ? span_inputs(s, report) : ENX_OK;
}

static enx_status read_labels(map_state *s, const cli_job_settings *settings, enx_report *report)
{
    if (!settings->labels_file[0]) return ENX_OK;
    cli_labelled *records = ENX_MEM_NEW(cli_labelled, s->count ? s->count : 1);
    if (!records) return ENX_FAIL(report, NOMEM, "no memory for %zu records", s->count);
    for (size_t i = 0; i < s->count; i++)
        records[i] = (cli_labelled){ s->records[i].json, s->records[i].first, s->records[i].count };
    const enx_status status =
        cli_labels_read(&s->labels, settings->labels_file, records, (uint32_t)s->count,
                        s->recipe ? s->recipe->task_class.schema : NULL, report);
    enx_mem_free(records);
    return status;
}

static void close_state(map_state *s)
{
    cli_labels_deinit(&s->labels);
    for (size_t i = 0; i < s->count; i++) json_decref(s->records[i].json);
    enx_mem_free(s->records);
    cli_items_deinit(&s->items);
    enx_buf_deinit(&s->text);
    enx_buf_deinit(&s->inputs);
    cli_recipe_close(&s->recipe);
}

/* ---- Output --------------------------------------------------------------------------------- */

/* What a task of a class gave: a value where it has a schema, else text; null without an answer. */
static json_t *answer_of(const cli_recipe *recipe, const cli_job *job, uint32_t item)
{
    const enx_swarm_answer a = enx_swarm_result(job->swarm, item);
    if (a.state != ENX_TASK_ACCEPTED) return json_null();
    json_t *value = recipe->task_class.schema
                        ? json_loadb(a.answer.text, a.answer.size_bytes, JSON_DECODE_ANY, NULL)
                        : NULL;
    return value ? value : cli_json_text(a.answer.text, a.answer.size_bytes);
}

/* A text with its paragraphs restored. */
static enx_status append_restored(const map_state *s, const map_record *r, const cli_job *job,
                                  const cli_job_settings *settings, enx_buf *field,
                                  enx_report *report)
{
    const json_t *input = json_object_get(r->json, settings->input_field);
    enx_buf_clear(field);
    if (job)
        ENX_TRY(cli_items_assemble(&s->items, r->first, r->count, job->swarm,
                                   json_string_value(input), json_string_length(input), field,
                                   report));
    else if (enx_buf_append(field, json_string_value(input), json_string_length(input)) != ENX_OK)
        return ENX_FAIL(report, LIMIT, "the output is too long");
    return ENX_OK;
}

static enx_status write_record(const map_state *s, const map_record *r, const cli_job *job,
                               const cli_job_settings *settings, enx_buf *field, enx_buf *out,
                               enx_report *report)
{
    json_t *answer;
    if (s->recipe) {
        answer = answer_of(s->recipe, job, r->first);
    } else {
        ENX_TRY(append_restored(s, r, job, settings, field, report));
        answer = cli_json_text(enx_buf_text(field), field->size_bytes);
    }
    json_object_set_new(r->json, settings->output_field, answer);
    if (settings->report_field && job) {
        json_t *reports = json_array();
        for (uint32_t i = 0; i < r->count; i++)
            json_array_append_new(reports, cli_answer_json(job, r->first + i));
        json_object_set_new(r->json, settings->report_field, reports);
    }
    if (cli_json_append(out, r->json) != ENX_OK || enx_buf_append_text(out, "\n") != ENX_OK)
        return ENX_FAIL(report, LIMIT, "the output is longer than %d bytes", MAP_BYTES_MAX);
    return ENX_OK;
}

/* Without a job: nothing was to do, every record is its own answer. */
static enx_status write_records(const map_state *s, const cli_job *job,
                                const cli_job_settings *settings, enx_report *report)
{
    enx_buf out, field;
    enx_buf_init(&out, MAP_BYTES_MAX);
    enx_buf_init(&field, MAP_BYTES_MAX);
    enx_status status = ENX_OK;
    for (size_t i = 0; status == ENX_OK && i < s->count; i++)
        status = write_record(s, &s->records[i], job, settings, &field, &out, report);
    if (status == ENX_OK)
        status = enx_file_write(settings->out, enx_buf_text(&out), out.size_bytes, report);
    enx_buf_deinit(&field);
    enx_buf_deinit(&out);
    return status;
}

static enx_status deliver(const map_state *s, cli_job *job, const cli_job_settings *settings,
                          const cli_args *args, enx_report *report)
{
    json_t    *json = NULL;
    const bool is_done = enx_swarm_summary_get(job->swarm).end == ENX_SWARM_DONE;
    ENX_TRY(write_records(s, job, settings, report));
    if (args->is_json) {
        ENX_TRY(cli_job_json(job, &json, report));
        json_object_set_new(json, "records", json_integer((json_int_t)s->count));
        json_object_set_new(json, "paragraphs", json_integer(s->items.count));
        json_object_set_new(json, "output", json_string(settings->out));
        cli_print_json(json);
    } else {
        ENX_TRY(cli_job_print(job, report));
        fprintf(stderr, "output      %s, %zu records%s\n", settings->out, s->count,
                is_done ? "" : ", in part: what is not done is as it came");
    }
    return is_done ? enx_store_job_set_delivered(job->store, job->id, report) : ENX_OK;
}

static uint64_t hash_more(uint64_t hash, const char *text)
{
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return (hash ^ 1) * UINT64_C(0x100000001b3);
}

/* Whoever writes the same file from the same file goes on with the job that was to do it. */
static void make_key(char out[40], const cli_job_settings *t)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    hash = hash_more(hash, t->in);
    hash = hash_more(hash, t->out);
    snprintf(out, 40, "map %016" PRIx64, hash);
}

static bool is_same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* The first setting that is another one now, or NULL.  Money, time and threads may be others. */
static const char *difference(const cli_job_settings *was, const cli_job_settings *is)
{
    const struct {
        const char *key, *was, *is;
    } texts[] = {
        { "goal", was->goal, is->goal },
        { "mode", was->mode, is->mode },
        { "swarm", was->swarm, is->swarm },
        { "plan", was->plan, is->plan },
        { "input", was->input_field, is->input_field },
        { "output", was->output_field, is->output_field },
        { "report", was->report_field, is->report_field },
        { "certificate", was->certificate, is->certificate },
    };
    const char *key = cli_recipe_difference(was->recipe, is->recipe);
    for (size_t i = 0; !key && i < sizeof texts / sizeof *texts; i++)
        if (!is_same_text(texts[i].was, texts[i].is)) key = texts[i].key;
    if (!key && was->accuracy != is->accuracy) key = "accuracy";
    if (!key && was->confidence != is->confidence) key = "confidence";
    if (!key && was->labels != is->labels) key = "labels";
    if (!key && strcmp(was->labels_file, is->labels_file) != 0) key = "labels";
    return key;
}

static enx_status check_unchanged(enx_store *store, uint64_t id, const cli_job_settings *settings,
                                  enx_report *report)
{
    cli_job_settings was = { 0 };
    ENX_TRY(cli_job_settings_get(store, id, &was, report));
    const char *key = difference(&was, settings);
    enx_status  status = ENX_OK;
    if (key)
        status = ENX_FAIL(report, INVALID,
                          "job %llu writes this output and is not finished, and `%s` was another "
                          "one when it began: put it back, or `enxame cancel %llu` first",
                          (unsigned long long)id, key, (unsigned long long)id);
    cli_job_settings_close(&was);
    return status;
}

static enx_status find_unfinished(const char *key, const cli_job_settings *settings, uint64_t *id,
                                  enx_report *report)
{
    enx_store *store = NULL;
    ENX_TRY(cli_store_open(&store, report));
    enx_status status = enx_store_job_find(store, key, id, report);
    if (status == ENX_OK && *id) status = check_unchanged(store, *id, settings, report);
    enx_store_close(&store);
    return status;
}

/* Of a job of a class the tasks are made of records, by its file. */
static enx_status open_state(map_state *s, const cli_job_settings *settings, enx_report *report)
{
    enx_buf_init(&s->text, MAP_BYTES_MAX);
    enx_buf_init(&s->inputs, MAP_BYTES_MAX);
    if (settings->recipe) ENX_TRY(cli_recipe_open(&s->recipe, settings->recipe, report));
    if (s->recipe && s->recipe->goal) cli_recipe_close(&s->recipe);
    ENX_TRY(read_records(s, settings, report));
    return read_labels(s, settings, report);
}

enx_status cli_map_job(cli_job_settings *settings, uint64_t id, const cli_args *args,
                       enx_report *report)
{
    map_state  s = { 0 };
    cli_job   *job = NULL;
    char       key[40] = "";
    enx_report end_report = { 0 };
    enx_status end = ENX_OK, status = open_state(&s, settings, report);
    if (status == ENX_OK && s.items.count == 0) {
        fprintf(stderr, "enxame map: no record holds text: nothing to do, nothing to pay\n");
        status = write_records(&s, NULL, settings, report);
        if (status == ENX_OK && args->is_json)
            cli_print_json(json_pack("{s:n, s:s, s:I, s:i, s:s}", "job", "state", "done", "records",
                                     (json_int_t)s.count, "paragraphs", 0, "output",
                                     settings->out));
        goto done;
    }
    if (status == ENX_OK && settings->is_dry) {
        status = cli_job_forecast(settings, s.items.spans, s.items.count, args->is_json, report);
        goto done;
    }
    settings->truths = s.labels.truths;
    make_key(key, settings);
    if (status == ENX_OK && id == 0) status = find_unfinished(key, settings, &id, report);
    if (status == ENX_OK)
        status = cli_job_open(&job, settings, id, key, NULL, 0, args->is_json, report);
    if (status == ENX_OK && job->is_resumed && !args->is_json)
        fprintf(stderr, "job         %llu goes on\n", (unsigned long long)job->id);
    if (status == ENX_OK) status = cli_job_run(job, settings, s.items.spans, s.items.count, report);
    if (status != ENX_OK) goto done;
    end = cli_job_end(job, &end_report);
    if (end != ENX_CANCELED && enx_swarm_summary_get(job->swarm).end != ENX_SWARM_FAILED)
        status = deliver(&s, job, settings, args, report);
    if (status == ENX_OK && end != ENX_OK) {
        status = end;
        if (report) *report = end_report;
    }

done:
    cli_job_close(&job);
    close_state(&s);
    return status;
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status map(cli_job_settings *settings, const char *swarm, const char *out,
                      const cli_args *args, enx_report *report)
{
    cli_recipe *recipe = NULL;
    ENX_TRY(cli_job_check(settings, swarm, report));
    if (!out) return ENX_FAIL(report, INVALID, "-o OUT.jsonl is missing");
    const char *path = args->operands.items[0];
    enx_status  status = cli_recipe_read(&settings->recipe, path, report);
    if (status != ENX_OK) return status;
    status = cli_recipe_open(&recipe, settings->recipe, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    if (status == ENX_OK) {
        cli_job_take_recipe(settings, recipe);
        cli_absolute_path(settings->in, args->operands.items[1]);
        cli_absolute_path(settings->out, out);
        status = cli_map_job(settings, 0, args, report);
    }
    cli_recipe_close(&recipe);
    json_decref(settings->recipe);
    return status;
}

int cmd_map(int argc, char **argv)
{
    cli_job_settings settings = { .command = "map" };
    const char      *swarm = NULL, *out = NULL;
    cli_option       options[CLI_JOB_OPTION_COUNT + 1] = {
              { "output", 'o', CLI_TEXT, &out, "FILE", "where the records go, with their answers" },
    };
    cli_job_options(options + 1, &settings, &swarm);
    const cli_spec spec = {
        "map [options] JOB.yaml IN.jsonl -o OUT.jsonl",
        "Do one job over many records.  JOB.yaml says what is asked of each, how answers look and\n"
        "how they are checked (docs/jobs.md), or names a goal for texts to be restored:\n"
        "    class: packages                      goal: put the accents back\n"
        "    input: '{package}: {about}'          input: text\n"
        "    schema: schema.json                  output: restored\n"
        "    checks: [schema]                     report: how\n"
        "Stopped at any moment, the same command goes on.",
        "enxame map jobs/restore/job.yaml in.jsonl -o out.jsonl --accuracy 0.98",
        options,
        CLI_JOB_OPTION_COUNT + 1,
        2,
        2
    };
    cli_args   args;
    enx_report report = { 0 };
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    cli_catch_interrupts();
    if (status == ENX_OK) status = map(&settings, swarm, out, &args, &report);
    return status == ENX_OK ? 0 : cli_fail("map", &args, status, &report);
}
