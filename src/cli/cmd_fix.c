/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_fix.c - enxame fix: source that no longer parses, repaired and proved by its parser. */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_fix.h"
#include "plat/clock.h"
#include "plat/file.h"

#include <stdio.h>
#include <string.h>

typedef struct fix_arguments {
    const char *language, *model, *out;
    bool        is_writing;
    uint64_t    rounds;
    double      sure;
} fix_arguments;

typedef struct fix_state {
    enx_file      file; /* the model's */
    enx_ranker   *ranker;
    enx_sandbox  *sandbox;
    cli_fix_tools tools;
    json_t       *files;  /* what happened to each */
    size_t        failed; /* files that were left as they are */
} fix_state;

static enx_status open_all(fix_state *s, const fix_arguments *a, enx_report *report)
{
    char path[CLI_PATH_BYTES_MAX];
    if (a->model) snprintf(path, sizeof path, "%s", a->model);
    else ENX_TRY(cli_model_path(path, "fix.gguf", report));
    ENX_TRY(enx_file_map(&s->file, path, report));
    const enx_status status =
        enx_ranker_open(&s->ranker, s->file.bytes, s->file.size_bytes, report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", path);
        return status;
    }
    ENX_TRY(enx_sandbox_open(&s->sandbox, NULL, report));
    s->tools = (cli_fix_tools){ .sandbox = s->sandbox,
                                .ranker = s->ranker,
                                .rounds_max = (uint32_t)a->rounds };
    s->files = json_array();
    return s->files ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for the report");
}

static json_t *edits_json(const cli_fix *f)
{
    json_t *edits = json_array();
    for (uint32_t i = 0; i < f->edit_count; i++) {
        const cli_fix_edit *e = &f->edits[i];
        json_array_append_new(edits, json_pack("{s:i, s:i, s:i, s:s}", "line", (int)e->line,
                                               "column", (int)e->column, "remove", (int)e->remove,
                                               "insert", e->insert));
    }
    return edits;
}

static enx_status note(fix_state *s, const char *path, const cli_fix *f, bool is_good,
                       uint64_t took_us)
{
    json_t *one =
        json_pack("{s:o, s:b, s:i, s:o, s:o, s:o, s:f, s:{s:I, s:I, s:f}}", "file",
                  cli_json_text(path, strlen(path)), "ok", (int)is_good, "rounds", (int)f->rounds,
                  "program", cli_json_text(enx_buf_text(&f->text), f->text.size_bytes), "log",
                  cli_json_text(f->log, strlen(f->log)), "edits", edits_json(f), "chance",
                  f->chance, "usage", "ranked", (json_int_t)f->ranked, "judged",
                  (json_int_t)f->judged, "seconds", (double)took_us * 1e-6);
    return json_array_append_new(s->files, one) == 0 ? ENX_OK : ENX_NOMEM;
}

/* One line a file on stderr. */
static void tell(const char *path, const cli_fix *f, bool is_good)
{
    cli_write_text(stderr, path, strlen(path));
    if (f->rounds == 0) fputs(": parses, nothing to do\n", stderr);
    else if (!f->is_accepted) fprintf(stderr, ": not repaired, left as it is; %s\n", f->log);
    else if (!is_good)
        fprintf(stderr,
                ": undecided, left as it is; the likeliest repair has a chance of %.0f %% "
                "(--sure)\n",
                100 * f->chance);
    else
        fprintf(stderr, ": repaired by %u edit%s, chance %.1f %%; %s\n", f->edit_count,
                f->edit_count == 1 ? "" : "s", 100 * f->chance, f->log);
}

static enx_status deliver(const fix_arguments *a, bool is_json, const char *path, const cli_fix *f,
                          const char *before, enx_report *report)
{
    const char *to = a->out ? a->out : a->is_writing && f->rounds > 0 ? path : NULL;
    if (to) return enx_file_write(to, enx_buf_text(&f->text), f->text.size_bytes, report);
    if (is_json || f->rounds == 0 || a->is_writing) return ENX_OK;
    enx_buf diff;
    enx_buf_init(&diff, CLI_TEXT_BYTES_MAX);
    enx_status status = cli_fix_diff(&diff, path, before, enx_buf_text(&f->text));
    if (status == ENX_OK) cli_write_text(stdout, enx_buf_text(&diff), diff.size_bytes);
    else status = ENX_FAIL(report, NOMEM, "no memory for the difference");
    enx_buf_deinit(&diff);
    return status;
}

static enx_status fix_file(fix_state *s, const fix_arguments *a, bool is_json, const char *path,
                           enx_report *report)
{
    enx_code code;
    enx_buf  text;
    cli_fix  fix;
    if (!cli_fix_language(&code, a->language, path))
        return ENX_FAIL(report, INVALID, "which language is %s? --lang c, js, json or python",
                        path);
    enx_buf_init(&text, CLI_TEXT_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status != ENX_OK) {
        enx_buf_deinit(&text);
        return status;
    }
    const uint64_t start_us = enx_clock_monotonic_us();
    status = cli_fix_text(&fix, &s->tools, code, enx_buf_text(&text), text.size_bytes, report);
    const bool is_good = status == ENX_OK && fix.is_accepted && fix.chance >= a->sure;
    if (status == ENX_OK) {
        s->failed += !is_good;
        tell(path, &fix, is_good);
        if (note(s, path, &fix, is_good, enx_clock_monotonic_us() - start_us) != ENX_OK)
            status = ENX_FAIL(report, NOMEM, "no memory for the report");
    } else enx_report_wrap(report, "%s", path);
    if (status == ENX_OK && is_good)
        status = deliver(a, is_json, path, &fix, enx_buf_text(&text), report);
    cli_fix_deinit(&fix);
    enx_buf_deinit(&text);
    return status;
}

/* Of one file its own object; of several {"ok", "files"}. */
static void print_json(const fix_state *s)
{
    if (json_array_size(s->files) == 1) cli_print_json(json_incref(json_array_get(s->files, 0)));
    else cli_print_json(json_pack("{s:b, s:O}", "ok", (int)(s->failed == 0), "files", s->files));
}

static enx_status check(const fix_arguments *a, const cli_args *args, enx_report *report)
{
    enx_code code;
    if (a->language && !cli_fix_language(&code, a->language, ""))
        return ENX_FAIL(report, INVALID, "--lang %s: c, js, json or python", a->language);
    if (a->rounds == 0 || a->rounds > CLI_FIX_EDITS_MAX)
        return ENX_FAIL(report, INVALID, "--rounds: from 1 to %d", CLI_FIX_EDITS_MAX);
    if (!(a->sure >= 0 && a->sure <= 1))
        return ENX_FAIL(report, INVALID, "--sure: a chance from 0 to 1");
    if (a->out && (args->operands.count > 1 || a->is_writing))
        return ENX_FAIL(report, INVALID, "-o is for one file, without --write");
    return ENX_OK;
}

static enx_status work(fix_state *s, const fix_arguments *a, const cli_args *args,
                       enx_report *report)
{
    ENX_TRY(check(a, args, report));
    ENX_TRY(open_all(s, a, report));
    for (size_t i = 0; i < args->operands.count; i++) {
        if (cli_is_interrupted()) return ENX_FAIL(report, CANCELED, "interrupted");
        ENX_TRY(fix_file(s, a, args->is_json, args->operands.items[i], report));
    }
    if (args->is_json) print_json(s);
    if (s->failed > 0)
        return ENX_FAIL(report, LIMIT, "%zu of %zu files were left as they are", s->failed,
                        args->operands.count);
    return ENX_OK;
}

int cmd_fix(int argc, char **argv)
{
    fix_arguments    a = { .rounds = 4, .sure = 0.5 };
    const cli_option options[] = {
        { "lang", '\0', CLI_TEXT, &a.language, "L", "c, js, json or python (by the file's name)" },
        { "write", 'w', CLI_FLAG, &a.is_writing, NULL, "repair the files in place" },
        { "out", 'o', CLI_TEXT, &a.out, "FILE", "write the repaired text there" },
        { "rounds", '\0', CLI_UINT, &a.rounds, "N", "edits at most, one after the other (4)" },
        { "sure", '\0', CLI_REAL, &a.sure, "P", "leave what is repaired with less chance (0.5)" },
        { "model", 'm', CLI_TEXT, &a.model, "FILE", "that ranks edits (models/fix.gguf)" },
    };
    const cli_spec spec = { "fix FILE… [options]",
                            "Repair source that no longer parses: a lost or doubled bracket, "
                            "quote, comma or colon, bad indentation.",
                            "enxame fix broken.py --write",
                            options,
                            sizeof options / sizeof *options,
                            1,
                            CLI_LIST_MAX };
    cli_args       args;
    enx_report     report = { 0 };
    fix_state      s = { .failed = 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    cli_catch_interrupts();
    if (status == ENX_OK) status = work(&s, &a, &args, &report);
    enx_ranker_close(&s.ranker);
    enx_sandbox_close(&s.sandbox);
    enx_file_unmap(&s.file);
    json_decref(s.files);
    return status == ENX_OK ? 0 : cli_fail("fix", &args, status, &report);
}
