/* SPDX-License-Identifier: Apache-2.0 */
/* cli_runs.c - reading runs for the `scale` commands. */
#include "cli/cli_runs.h"

#include "base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A rung whose loss is above that of a smaller one by this factor looks diverged. */
static const double diverged_factor = 1.3;

static uint64_t hash_bytes(const char *bytes, size_t size_bytes)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return hash;
}

void cli_runs_note(cli_runs *r, const char *format, ...)
{
    va_list arguments;
    if (r->note_count == CLI_NOTES_MAX) return;
    va_start(arguments, format);
    vsnprintf(r->notes[r->note_count++], CLI_NOTE_BYTES_MAX, format, arguments);
    va_end(arguments);
}

enx_status cli_runs_open(cli_runs *r, const char *path, enx_report *report)
{
    enx_buf text;
    r->path = path;
    if (r->trim_worst > ENX_RUNS_MAX)
        return ENX_FAIL(report, INVALID, "--trim-worst: at most %d", ENX_RUNS_MAX);
    const enx_runs_options o = { r->map, r->where, (uint32_t)r->trim_worst, r->has_duplicates };
    enx_buf_init(&text, CLI_TEXT_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK) {
        r->hash = hash_bytes(enx_buf_text(&text), text.size_bytes);
        status = enx_runs_open(&r->runs, enx_buf_text(&text), text.size_bytes, &o, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    enx_buf_deinit(&text);
    if (status != ENX_OK) return status;
    if (r->runs->diverged_count)
        cli_runs_note(r,
                      "runs left out, whose loss is missing, not a number or infinite: %u "
                      "(first: line %u)",
                      r->runs->diverged_count, r->runs->diverged_line);
    if (r->runs->clash_count)
        cli_runs_note(r,
                      "%u runs have the size and compute of another and quite another loss (lines "
                      "%u and %u): are these different data or tokenizers? --where picks one kind",
                      r->runs->clash_count, r->runs->clash_lines[0], r->runs->clash_lines[1]);
    if (r->runs->duplicate_count)
        cli_runs_note(r, "%u runs that are there twice are counted once", r->runs->duplicate_count);
    return ENX_OK;
}

void cli_runs_close(cli_runs *r) { enx_runs_close(&r->runs); }

const char *cli_runs_name(const cli_runs *r)
{
    const char *slash = strrchr(r->path, '/');
    return slash ? slash + 1 : r->path;
}

static void note_rungs(cli_runs *r, const enx_rungs *rungs)
{
    for (uint32_t i = 1; i < rungs->count; i++)
        if (rungs->rungs[i].loss > diverged_factor * rungs->rungs[i - 1].loss)
            cli_runs_note(
                r,
                "line %u: loss %.4g after %.4g with less compute; the run looks diverged, "
                "look at its curve before you believe anything here",
                rungs->line[i], rungs->rungs[i].loss, rungs->rungs[i - 1].loss);
    if (rungs->is_rate_fixed)
        cli_runs_note(r, "one learning rate for models of different size; the best one falls with "
                         "size, and a rate that does not follow bends a ladder as a break would");
    const double epochs = rungs->rungs[rungs->count - 1].epochs;
    if (epochs > ENX_EPOCHS_FREE)
        cli_runs_note(r,
                      "the last rung read its text %.1f times; beyond %d times repeated text is "
                      "worth less and less",
                      epochs, ENX_EPOCHS_FREE);
}

enx_status cli_runs_ladder(cli_runs *r, enx_rungs *rungs, enx_report *report)
{
    const enx_status status = enx_rungs_gather(rungs, r->runs, report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", r->path);
        return status;
    }
    if (rungs->ratio_spread > ENX_RUNGS_RATIO_MAX)
        return ENX_FAIL(report, INVALID,
                        "%s: tokens a parameter jump from rung to rung, by a factor of %.1f either "
                        "way; a ladder keeps them alike or changes them steadily: choose its rungs "
                        "by --where",
                        r->path, exp(rungs->ratio_spread));
    note_rungs(r, rungs);
    return ENX_OK;
}

enx_status cli_runs_points(const cli_runs *r, bool has_sizes, enx_point **points,
                           enx_report *report)
{
    if (has_sizes && (!r->runs->has_params || !r->runs->has_tokens))
        return ENX_FAIL(report, INVALID,
                        "%s: parameters N or tokens D are not known; name their columns by --map",
                        r->path);
    enx_point *out = ENX_MEM_NEW(enx_point, r->runs->count);
    if (!out) return ENX_FAIL(report, NOMEM, "no memory for %u runs", r->runs->count);
    for (uint32_t i = 0; i < r->runs->count; i++) {
        const enx_run *run = &r->runs->runs[i];
        out[i] = (enx_point){ log(run->params), log(run->tokens), log(run->flops), log(run->loss) };
    }
    *points = out;
    return ENX_OK;
}

void cli_runs_print_notes(const cli_runs *r)
{
    for (uint32_t i = 0; i < r->note_count; i++) printf("  note: %s\n", r->notes[i]);
}

json_t *cli_runs_json_notes(const cli_runs *r)
{
    json_t *notes = json_array();
    for (uint32_t i = 0; i < r->note_count; i++)
        json_array_append_new(notes, cli_json_text(r->notes[i], strlen(r->notes[i])));
    return notes;
}

json_t *cli_runs_json_data(const cli_runs *r)
{
    const enx_runs *runs = r->runs;
    json_t         *columns = json_object();
    char            hash[20];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r->hash);
    for (int i = 0; i < ENX_COLUMNS_COUNT; i++)
        if (runs->names[i][0])
            json_object_set_new(columns, enx_column_keys[i],
                                cli_json_text(runs->names[i], strlen(runs->names[i])));
    return json_pack("{s:o, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:o}", "file",
                     cli_json_text(r->path, strlen(r->path)), "hash", hash, "rows",
                     (int)runs->row_count, "runs", (int)runs->count, "filtered",
                     (int)runs->filtered_count, "diverged", (int)runs->diverged_count, "trimmed",
                     (int)runs->trimmed_count, "duplicates", (int)runs->duplicate_count,
                     "loss_unit", runs->is_bits ? "bits_per_byte" : "as_given", "columns", columns);
}

json_t *cli_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }
