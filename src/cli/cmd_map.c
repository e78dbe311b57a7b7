/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_map.c - enxame map: many records, JSONL in and out.
 *
 * The output is written whole, once, at the end; until then the work is in the store.  So the same
 * command, or `enxame resume`, goes on wherever the process was killed. */
#include "backend/yaml.h"
#include "base/mem.h"
#include "cli/cli_text.h"
#include "cli/cmd_run.h"
#include "plat/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAP_BYTES_MAX = 1 << 28, MAP_RECORDS_MAX = ENX_SWARM_ITEMS_MAX };

/* ---- JOB.yaml ------------------------------------------------------------------------------- */

typedef struct map_recipe {
    char *goal, *input, *output, *report;
} map_recipe;

#define OPTIONAL_TEXT (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
/* clang-format off */
static const cyaml_schema_field_t recipe_fields[] = {
    CYAML_FIELD_STRING_PTR("goal", CYAML_FLAG_POINTER, map_recipe, goal, 1, 65536),
    CYAML_FIELD_STRING_PTR("input", OPTIONAL_TEXT, map_recipe, input, 1, 255),
    CYAML_FIELD_STRING_PTR("output", OPTIONAL_TEXT, map_recipe, output, 1, 255),
    CYAML_FIELD_STRING_PTR("report", OPTIONAL_TEXT, map_recipe, report, 1, 255),
    CYAML_FIELD_END
};
/* clang-format on */
static const cyaml_schema_value_t recipe_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, map_recipe, recipe_fields),
};
static const char *const recipe_keys[] = { "goal", "input", "output", "report" };

static enx_status load_recipe(map_recipe **out, const char *path, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, 1 << 20);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK)
        status = enx_yaml_load((void **)out, &recipe_schema, &text, path, recipe_keys, 4, report);
    enx_buf_deinit(&text);
    return status;
}

/* ---- Records -------------------------------------------------------------------------------- */

typedef struct map_record {
    json_t  *json;         /* the whole line */
    uint32_t first, count; /* items */
} map_record;

typedef struct map_state {
    enx_buf     text; /* of the input file */
    map_record *records;
    size_t      count;
    cli_items   items;
} map_state;

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
    return ENX_OK;
}

static void close_state(map_state *s)
{
    for (size_t i = 0; i < s->count; i++) json_decref(s->records[i].json);
    enx_mem_free(s->records);
    cli_items_deinit(&s->items);
    enx_buf_deinit(&s->text);
}

/* ---- Output --------------------------------------------------------------------------------- */

static enx_status write_record(const map_state *s, const map_record *r, const cli_job *job,
                               const cli_job_settings *settings, enx_buf *field, enx_buf *out,
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
    json_object_set_new(r->json, settings->output_field,
                        cli_json_text(enx_buf_text(field), field->size_bytes));
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
    json_t *json = NULL;
    ENX_TRY(write_records(s, job, settings, report));
    if (args->is_json) {
        ENX_TRY(cli_job_json(job, &json, report));
        json_object_set_new(json, "records", json_integer((json_int_t)s->count));
        json_object_set_new(json, "paragraphs", json_integer(s->items.count));
        json_object_set_new(json, "output", json_string(settings->out));
        cli_print_json(json);
    } else {
        ENX_TRY(cli_job_print(job, report));
        fprintf(stderr, "output      %s, %zu records\n", settings->out, s->count);
    }
    return enx_store_job_set_delivered(job->store, job->id, report);
}

static uint64_t hash_more(uint64_t hash, const void *bytes, size_t size_bytes)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size_bytes; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* The same command over the same records: what may differ are money, threads and time. */
static void make_key(char out[40], const map_state *s, const cli_job_settings *t)
{
    const char *const parts[] = { t->command,
                                  t->goal,
                                  t->mode,
                                  t->swarm,
                                  t->in,
                                  t->out,
                                  t->input_field,
                                  t->output_field,
                                  t->report_field ? t->report_field : "",
                                  t->plan ? t->plan : "" };
    const double      numbers[] = { t->accuracy, t->confidence, (double)t->labels };
    uint64_t          hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hash = hash_more(hash, parts[i], strlen(parts[i]) + 1);
    hash = hash_more(hash, numbers, sizeof numbers);
    hash = hash_more(hash, enx_buf_text(&s->text), s->text.size_bytes);
    snprintf(out, 40, "map %016" PRIx64, hash);
}

static enx_status find_unfinished(const char *key, uint64_t *id, enx_report *report)
{
    enx_store *store = NULL;
    ENX_TRY(cli_store_open(&store, report));
    const enx_status status = enx_store_job_find(store, key, id, report);
    enx_store_close(&store);
    return status;
}

enx_status cli_map_job(const cli_job_settings *settings, uint64_t id, const cli_args *args,
                       enx_report *report)
{
    map_state  s = { 0 };
    cli_job   *job = NULL;
    char       key[40] = "";
    enx_report end_report = { 0 };
    enx_buf_init(&s.text, MAP_BYTES_MAX);
    enx_status end = ENX_OK, status = read_records(&s, settings, report);
    if (status == ENX_OK && s.items.count == 0) {
        fprintf(stderr, "enxame map: no record holds text: nothing to do, nothing to pay\n");
        status = write_records(&s, NULL, settings, report);
        if (status == ENX_OK && args->is_json)
            cli_print_json(json_pack("{s:n, s:s, s:I, s:i, s:s}", "job", "state", "done", "records",
                                     (json_int_t)s.count, "paragraphs", 0, "output",
                                     settings->out));
        goto done;
    }
    if (status == ENX_OK) make_key(key, &s, settings);
    if (status == ENX_OK && id == 0) status = find_unfinished(key, &id, report);
    if (status == ENX_OK)
        status = cli_job_open(&job, settings, id, key, NULL, 0, args->is_json, report);
    if (status == ENX_OK && job->is_resumed && !args->is_json)
        fprintf(stderr, "job         %llu goes on\n", (unsigned long long)job->id);
    if (status == ENX_OK) status = cli_job_run(job, settings, s.items.spans, s.items.count, report);
    if (status != ENX_OK) goto done;
    end = cli_job_end(job, &end_report);
    if (end == ENX_OK) status = deliver(&s, job, settings, args, report);
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
    map_recipe *recipe = NULL;
    ENX_TRY(cli_job_check(settings, swarm, report));
    if (!out) return ENX_FAIL(report, INVALID, "-o OUT.jsonl is missing");
    ENX_TRY(load_recipe(&recipe, args->operands.items[0], report));
    settings->goal = recipe->goal;
    settings->input_field = recipe->input ? recipe->input : "text";
    settings->output_field = recipe->output ? recipe->output : "restored";
    settings->report_field = recipe->report;
    cli_absolute_path(settings->in, args->operands.items[1]);
    cli_absolute_path(settings->out, out);
    const enx_status status = cli_map_job(settings, 0, args, report);
    enx_yaml_free(&recipe_schema, recipe);
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
        "Do one job over many records.  JOB.yaml names the goal and the fields:\n"
        "    goal: put the accents back\n"
        "    input: text          # default\n"
        "    output: restored     # default\n"
        "    report: how          # optional: how each answer came about\n"
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
