/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.c - enxame run: a goal and texts; the answer on stdout. */
#include "cli/cmd_run.h"

#include "base/mem.h"
#include "cli/cli_labels.h"
#include "cli/cli_text.h"
#include "plat/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_BYTES_MAX = 1 << 28 };

/* ---- Delivering ----------------------------------------------------------------------------- */

static enx_status write_answer(const enx_buf *answer, const char *out, enx_report *report)
{
    if (out) return enx_file_write(out, enx_buf_text(answer), answer->size_bytes, report);
    if (fwrite(enx_buf_text(answer), 1, answer->size_bytes, stdout) == answer->size_bytes &&
        fflush(stdout) == 0)
        return ENX_OK;
    return ENX_FAIL(report, IO, "standard output cannot be written");
}

static enx_status deliver(cli_job *job, const cli_items *items, const enx_buf *answer,
                          const char *out, const cli_args *args, enx_report *report)
{
    json_t    *json = NULL;
    const bool is_failed = enx_swarm_summary_get(job->swarm).end == ENX_SWARM_FAILED;
    if ((!args->is_json || out) && !is_failed) ENX_TRY(write_answer(answer, out, report));
    if (args->is_json) {
        ENX_TRY(cli_job_json(job, &json, report));
        json_t        *answers = json_array();
        const uint32_t count = enx_swarm_summary_get(job->swarm).task_count;
        for (uint32_t i = 0; i < count; i++)
            json_array_append_new(answers, cli_answer_json(job, i));
        json_object_set_new(json, "paragraphs", json_integer(items->count));
        json_object_set_new(json, "answers", answers);
        json_object_set_new(json, "answer",
                            cli_json_text(enx_buf_text(answer), answer->size_bytes));
        cli_print_json(json);
    } else ENX_TRY(cli_job_print(job, report));
    return enx_store_job_set_delivered(job->store, job->id, report);
}

/* Inputs of the items, in order: how many items each has. */
static enx_status assemble(const cli_job *job, const cli_items *items, const uint32_t *counts,
                           const cli_job_input *inputs, size_t input_count, enx_buf *answer,
                           enx_report *report)
{
    uint32_t first = 0;
    for (size_t i = 0; i < input_count; i++) {
        ENX_TRY(cli_items_assemble(items, first, counts[i], job->swarm, inputs[i].content.text,
                                   inputs[i].content.size_bytes, answer, report));
        first += counts[i];
    }
    return ENX_OK;
}

/* What a goal came to: the assembly's answer, or those of the last stages, each on its lines. */
static enx_status assemble_goal(const cli_job *job, enx_buf *answer, enx_report *report)
{
    const uint32_t assembly = enx_swarm_assembly(job->swarm);
    const uint32_t count = enx_swarm_summary_get(job->swarm).task_count;
    enx_status     status = ENX_OK;
    for (uint32_t i = 0; status == ENX_OK && i < count; i++) {
        bool                   is_last;
        const enx_swarm_answer a = enx_swarm_result(job->swarm, i);
        enx_swarm_class_of(job->swarm, i, &is_last);
        const bool is_wanted = assembly == ENX_SWARM_ITEMS_MAX ? is_last : i == assembly;
        if (!is_wanted || a.state != ENX_TASK_ACCEPTED) continue;
        status = enx_buf_append(answer, a.answer.text, a.answer.size_bytes);
        if (status == ENX_OK) status = enx_buf_append_text(answer, "\n");
    }
    return status == ENX_OK ? ENX_OK : ENX_FAIL(report, LIMIT, "the answer is too long");
}

/* A text without paragraphs is its own answer; no model is opened and no job made. */
static enx_status answer_nothing(const cli_job_input *inputs, size_t input_count, const char *out,
                                 const cli_args *args, enx_report *report)
{
    enx_buf    answer;
    enx_status status = ENX_OK;
    enx_buf_init(&answer, ANSWER_BYTES_MAX);
    for (size_t i = 0; status == ENX_OK && i < input_count; i++)
        status = enx_buf_append(&answer, inputs[i].content.text, inputs[i].content.size_bytes);
    fprintf(stderr, "enxame run: the input holds no text: nothing to do, nothing to pay\n");
    if (status == ENX_OK && (!args->is_json || out)) status = write_answer(&answer, out, report);
    if (status == ENX_OK && args->is_json)
        cli_print_json(json_pack("{s:n, s:s, s:i, s:[], s:o}", "job", "state", "done", "paragraphs",
                                 0, "answers", "answer",
                                 cli_json_text(enx_buf_text(&answer), answer.size_bytes)));
    enx_buf_deinit(&answer);
    return status;
}

/* A goal is about whole inputs; there is at least one paragraph in all of them, and room for them.
 */
static void take_whole(cli_items *items, const cli_job_input *inputs, size_t input_count)
{
    items->count = 0;
    for (size_t i = 0; i < input_count && items->count < items->capacity; i++)
        if (inputs[i].content.size_bytes) items->spans[items->count++] = inputs[i].content;
}

/* The right answers of paragraphs. */
static enx_status read_labels(cli_labels *out, cli_job_settings *settings, uint32_t item_count,
                              bool is_goal, enx_report *report)
{
    if (!settings->labels_file[0]) return ENX_OK;
    if (is_goal)
        return ENX_FAIL(report, INVALID,
                        "--labels FILE: tasks of a goal are of several kinds, and have no right "
                        "answers beforehand; give the work as a job of `enxame map`");
    cli_labelled *records = ENX_MEM_NEW(cli_labelled, item_count);
    if (!records) return ENX_FAIL(report, NOMEM, "no memory for %u paragraphs", item_count);
    for (uint32_t i = 0; i < item_count; i++) records[i] = (cli_labelled){ NULL, i, 1 };
    const enx_status status =
        cli_labels_read(out, settings->labels_file, records, item_count, NULL, report);
    settings->truths = out->truths;
    enx_mem_free(records);
    return status;
}

enx_status cli_run_job(cli_job_settings *settings, uint64_t id, const cli_job_input *inputs,
                       size_t input_count, const char *out, const cli_args *args,
                       enx_report *report)
{
    cli_items  items = { 0 };
    cli_job   *job = NULL;
    cli_labels labels = { 0 };
    uint32_t   counts[CLI_LIST_MAX];
    enx_buf    answer;
    enx_status status = ENX_OK, end = ENX_OK;
    enx_report end_report = { 0 };
    enx_buf_init(&answer, ANSWER_BYTES_MAX);
    for (size_t i = 0; status == ENX_OK && i < input_count; i++) {
        const uint32_t before = items.count;
        status =
            cli_items_add(&items, inputs[i].content.text, inputs[i].content.size_bytes, report);
        counts[i] = items.count - before;
    }
    if (status == ENX_OK && items.count == 0) {
        status = answer_nothing(inputs, input_count, out, args, report);
        goto done;
    }
    if (status == ENX_OK && settings->is_dry) {
        status = cli_job_forecast(settings, items.spans, items.count, args->is_json, report);
        goto done;
    }
    if (status == ENX_OK)
        status = cli_job_open(&job, settings, id, "", inputs, input_count, args->is_json, report);
    const bool is_goal = status == ENX_OK && cli_job_is_goal(settings, job->config);
    if (status == ENX_OK) status = read_labels(&labels, settings, items.count, is_goal, report);
    if (is_goal) take_whole(&items, inputs, input_count);
    if (status == ENX_OK) status = cli_job_run(job, settings, items.spans, items.count, report);
    if (status != ENX_OK) goto done;
    end = cli_job_end(job, &end_report);
    if (end != ENX_CANCELED) {
        status = is_goal ? assemble_goal(job, &answer, report)
                         : assemble(job, &items, counts, inputs, input_count, &answer, report);
        if (status == ENX_OK) status = deliver(job, &items, &answer, out, args, report);
    }
    if (status == ENX_OK && end != ENX_OK) {
        status = end;
        if (report) *report = end_report;
    }

done:
    cli_job_close(&job);
    cli_labels_deinit(&labels);
    cli_items_deinit(&items);
    enx_buf_deinit(&answer);
    return status;
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status read_inputs(const cli_list *paths, enx_buf *texts, cli_job_input *inputs,
                              size_t *count, enx_report *report)
{
    if (paths->count == 0 && isatty(STDIN_FILENO))
        return ENX_FAIL(report, INVALID, "no text: name a file by -i FILE, or pipe one in");
    *count = paths->count ? paths->count : 1;
    for (size_t i = 0; i < *count; i++) {
        const char *path = paths->count ? paths->items[i] : "-";
        enx_buf_init(&texts[i], CLI_TEXT_BYTES_MAX);
        ENX_TRY(cli_read(&texts[i], path, report));
        inputs[i] = (cli_job_input){ path, { enx_buf_text(&texts[i]), texts[i].size_bytes } };
    }
    return ENX_OK;
}

int cmd_run(int argc, char **argv)
{
    static enx_buf       texts[CLI_LIST_MAX];
    static cli_job_input inputs[CLI_LIST_MAX];
    static cli_list      paths;
    cli_job_settings     settings = { .command = "run" };
    const char          *swarm = NULL, *out = NULL;
    size_t               count = 0;
    cli_option           options[CLI_JOB_OPTION_COUNT + 2] = {
                  { "input", 'i', CLI_LIST, &paths, "FILE",
                    "a text; several are put together (default: stdin)" },
                  { "output", 'o', CLI_TEXT, &out, "FILE", "for the answer (default: stdout)" },
    };
    cli_job_options(options + 2, &settings, &swarm);
    const cli_spec spec = {
        "run [options] [-i FILE]… \"GOAL\"",
        "Have the swarm do one job: the lead plans, workers do it, every answer "
        "is checked.\nThe answer goes to stdout; certificate and bill to stderr.  A swarm with a "
        "scout restores\ntext; any other one does any goal, in stages that its lead plans "
        "(docs/jobs.md).",
        "enxame run -i letter.txt \"put the accents back\"",
        options,
        CLI_JOB_OPTION_COUNT + 2,
        1,
        1
    };
    cli_args   args;
    enx_report report = { 0 };
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = cli_job_check(&settings, swarm, &report);
    if (status == ENX_OK) settings.goal = args.operands.items[0];
    if (status == ENX_OK) status = read_inputs(&paths, texts, inputs, &count, &report);
    cli_catch_interrupts();
    if (status == ENX_OK) status = cli_run_job(&settings, 0, inputs, count, out, &args, &report);
    for (size_t i = 0; i < count; i++) enx_buf_deinit(&texts[i]);
    return status == ENX_OK ? 0 : cli_fail("run", &args, status, &report);
}
