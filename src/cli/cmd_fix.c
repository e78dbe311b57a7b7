/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_fix.c - enxame fix: source that no longer parses, repaired and proved by its parser.
 *
 * The ranker sees all files first; then, with a swarm file, the lead gets what it is to audit and
 * what was not repaired, class by class; then everything is told and delivered, in the order given.
 */
#include "base/mem.h"
#include "cli/cli_bill.h"
#include "cli/cli_fix_lead.h"
#include "cli/cli_sandbox.h"
#include "plat/clock.h"
#include "plat/file.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

typedef struct fix_arguments {
    const char    *language, *model, *out, *swarm;
    bool           is_writing, is_weak;
    uint64_t       rounds, labels;
    double         sure, budget_usd;
    cli_fix_target target;
} fix_arguments;

typedef struct fix_state {
    enx_file              file; /* the model's */
    enx_ranker           *ranker;
    enx_sandbox          *sandbox;
    cli_asked            *asked; /* NULL: no swarm file */
    cli_fix_tools         tools;
    cli_fix_file         *files; /* owned, [file_count] */
    size_t                file_count;
    bool                  has_claim[ENX_CODE_COUNT];
    enx_certificate_claim claims[ENX_CODE_COUNT];
    size_t                failed; /* files that were left as they are */
} fix_state;

/* ---- Opening and closing -------------------------------------------------------------------- */

static enx_status open_all(fix_state *s, const fix_arguments *a, size_t file_count,
                           enx_report *report)
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
    if (a->swarm) ENX_TRY(cli_asked_open(&s->asked, a->swarm, a->budget_usd, report));
    ENX_TRY(cli_sandbox_open(&s->sandbox, a->is_weak, "fix", report));
    s->tools = (cli_fix_tools){ .sandbox = s->sandbox,
                                .ranker = s->ranker,
                                .rounds_max = (uint32_t)a->rounds };
    s->files = ENX_MEM_NEW(cli_fix_file, file_count);
    return s->files ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for %zu files", file_count);
}

static void close_all(fix_state *s)
{
    for (size_t i = 0; i < s->file_count; i++) cli_fix_file_deinit(&s->files[i]);
    enx_mem_free(s->files);
    cli_asked_close(&s->asked);
    enx_ranker_close(&s->ranker);
    enx_sandbox_close(&s->sandbox);
    enx_file_unmap(&s->file);
}

/* ---- Repairing ------------------------------------------------------------------------------ */

static enx_status fix_file(fix_state *s, const fix_arguments *a, const char *path,
                           enx_report *report)
{
    enx_code code;
    if (!cli_fix_language(&code, a->language, path))
        return ENX_FAIL(report, INVALID, "which language is %s? --lang c, js, json or python",
                        path);
    cli_fix_file *f = &s->files[s->file_count++];
    *f = (cli_fix_file){ .path = path, .code = code };
    enx_buf_init(&f->before, CLI_TEXT_BYTES_MAX);
    ENX_TRY(cli_read(&f->before, path, report));
    const uint64_t   start_us = enx_clock_monotonic_us();
    const enx_status status = cli_fix_text(&f->fix, &s->tools, code, enx_buf_text(&f->before),
                                           f->before.size_bytes, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    f->took_us = enx_clock_monotonic_us() - start_us;
    f->is_good = status == ENX_OK && f->fix.is_accepted && f->fix.chance >= a->sure;
    return status;
}

static enx_status ask_lead(fix_state *s, const fix_arguments *a, enx_report *report)
{
    for (int code = 0; s->asked && code < ENX_CODE_COUNT; code++)
        ENX_TRY(cli_fix_lead(s->files, s->file_count, (enx_code)code, s->asked, s->sandbox,
                             &a->target, &s->has_claim[code], &s->claims[code], report));
    return ENX_OK;
}

/* ---- Telling -------------------------------------------------------------------------------- */

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

static json_t *file_json(const cli_fix_file *file)
{
    const cli_fix *f = &file->fix;
    return json_pack("{s:o, s:b, s:s, s:i, s:o, s:o, s:o, s:f, s:b, s:{s:I, s:I, s:f}}", "file",
                     cli_json_text(file->path, strlen(file->path)), "ok", (int)file->is_good, "by",
                     file->is_leads ? "lead" : "ranker", "rounds", (int)f->rounds, "program",
                     cli_json_text(enx_buf_text(&f->text), f->text.size_bytes), "log",
                     cli_json_text(f->log, strlen(f->log)), "edits", edits_json(f), "chance",
                     f->chance, "asked", (int)file->is_asked, "usage", "ranked",
                     (json_int_t)f->ranked, "judged", (json_int_t)f->judged, "seconds",
                     (double)file->took_us * 1e-6);
}

/* One line a file on stderr. */
static void tell(const cli_fix_file *file)
{
    const cli_fix *f = &file->fix;
    cli_write_text(stderr, file->path, strlen(file->path));
    if (f->rounds == 0) fputs(": parses, nothing to do\n", stderr);
    else if (file->is_leads) fprintf(stderr, ": repaired by the lead; %s\n", f->log);
    else if (file->is_good)
        fprintf(stderr, ": repaired by %u edit%s, chance %.1f %%; %s\n", f->edit_count,
                f->edit_count == 1 ? "" : "s", 100 * f->chance, f->log);
    else if (!f->is_accepted) fprintf(stderr, ": not repaired, left as it is; %s\n", f->log);
    else
        fprintf(stderr,
                ": undecided, left as it is; the likeliest repair has a chance of %.0f %% "
                "(--sure)\n",
                100 * f->chance);
    if (!file->is_good && file->is_asked) fprintf(stderr, "    %s\n", file->silence.text);
}

/* One of each language that has one. */
static json_t *certificates_json(const fix_state *s)
{
    json_t *all = json_array();
    for (int code = 0; code < ENX_CODE_COUNT; code++) {
        if (!s->has_claim[code]) continue;
        json_t *one = cli_certificate_json(true, &s->claims[code]);
        json_object_set_new(one, "class", json_string(cli_fix_language_name((enx_code)code)));
        json_array_append_new(all, one);
    }
    return all;
}

/* Of one file its own object; of several {"ok", "files"}; certificates and bill in both. */
static void print_json(const fix_state *s)
{
    json_t *all = s->file_count == 1 ? file_json(&s->files[0]) : json_object();
    if (s->file_count != 1) {
        json_t *files = json_array();
        for (size_t i = 0; i < s->file_count; i++)
            json_array_append_new(files, file_json(&s->files[i]));
        json_object_set_new(all, "ok", json_boolean(s->failed == 0));
        json_object_set_new(all, "files", files);
    }
    json_object_set_new(all, "certificates", certificates_json(s));
    json_object_set_new(all, "bill", s->asked ? cli_asked_json(s->asked) : json_null());
    json_object_set_new(all, "weak", json_boolean(enx_sandbox_is_weak(s->sandbox)));
    cli_print_json(all);
}

static void print_claims(const fix_state *s)
{
    char text[CLI_MONEY_BYTES];
    for (int code = 0; code < ENX_CODE_COUNT; code++) {
        if (!s->has_claim[code]) continue;
        fprintf(stderr, "class       %s\n", cli_fix_language_name((enx_code)code));
        cli_certificate_print(stderr, true, &s->claims[code]);
    }
    if (!s->asked) return;
    const cli_asked_bill b = cli_asked_total(s->asked);
    fprintf(stderr, "bill        %llu calls of the lead, %s\n", (unsigned long long)b.calls,
            cli_money(text, b.usd_nano));
}

/* ---- Delivering ----------------------------------------------------------------------------- */

static enx_status deliver(const fix_arguments *a, bool is_json, const cli_fix_file *file,
                          enx_report *report)
{
    const cli_fix *f = &file->fix;
    const char    *to = a->out ? a->out : a->is_writing && f->rounds > 0 ? file->path : NULL;
    if (to) return enx_file_write(to, enx_buf_text(&f->text), f->text.size_bytes, report);
    if (is_json || f->rounds == 0 || a->is_writing) return ENX_OK;
    enx_buf diff;
    enx_buf_init(&diff, CLI_TEXT_BYTES_MAX);
    enx_status status =
        cli_fix_diff(&diff, file->path, enx_buf_text(&file->before), enx_buf_text(&f->text));
    if (status == ENX_OK) cli_write_text(stdout, enx_buf_text(&diff), diff.size_bytes);
    else status = ENX_FAIL(report, NOMEM, "no memory for the difference");
    enx_buf_deinit(&diff);
    return status;
}

static enx_status deliver_all(fix_state *s, const fix_arguments *a, bool is_json,
                              enx_report *report)
{
    for (size_t i = 0; i < s->file_count; i++) {
        const cli_fix_file *f = &s->files[i];
        s->failed += !f->is_good;
        tell(f);
        if (f->is_good) ENX_TRY(deliver(a, is_json, f, report));
    }
    print_claims(s);
    if (is_json) print_json(s);
    if (s->failed == 0) return ENX_OK;
    return ENX_FAIL(report, LIMIT, "%zu of %zu files were left as they are", s->failed,
                    s->file_count);
}

/* ---- The command ---------------------------------------------------------------------------- */

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
    if (!(a->target.accuracy >= 0 && a->target.accuracy < 1))
        return ENX_FAIL(report, INVALID, "--accuracy: between 0 and 1");
    if (!(a->target.confidence > 0 && a->target.confidence < 1))
        return ENX_FAIL(report, INVALID, "--confidence: between 0 and 1");
    if ((a->target.accuracy > 0 || a->budget_usd > 0 || a->labels) && !a->swarm)
        return ENX_FAIL(report, INVALID,
                        "--accuracy, --labels and --budget are for the lead of a "
                        "swarm file; give it by -s");
    if (a->labels > UINT32_MAX || !(a->budget_usd >= 0 && a->budget_usd <= 1e6))
        return ENX_FAIL(report, INVALID, "--labels, --budget: out of range");
    return ENX_OK;
}

static enx_status work(fix_state *s, fix_arguments *a, const cli_args *args, enx_report *report)
{
    ENX_TRY(check(a, args, report));
    a->target.labels_max = (uint32_t)a->labels;
    if (a->target.seed == 0 &&
        getrandom(&a->target.seed, sizeof a->target.seed, 0) != sizeof a->target.seed)
        return ENX_FAIL(report, IO, "no random seed for the audits; give one by --seed");
    ENX_TRY(open_all(s, a, args->operands.count, report));
    for (size_t i = 0; i < args->operands.count; i++) {
        if (cli_is_interrupted()) return ENX_FAIL(report, CANCELED, "interrupted");
        ENX_TRY(fix_file(s, a, args->operands.items[i], report));
    }
    ENX_TRY(ask_lead(s, a, report));
    return deliver_all(s, a, args->is_json, report);
}

int cmd_fix(int argc, char **argv)
{
    fix_arguments    a = { .rounds = 4, .sure = 0.5, .target = { .confidence = .95 } };
    const cli_option options[] = {
        { "lang", '\0', CLI_TEXT, &a.language, "L", "c, js, json or python (by the file's name)" },
        { "write", 'w', CLI_FLAG, &a.is_writing, NULL, "repair the files in place" },
        { "out", 'o', CLI_TEXT, &a.out, "FILE", "write the repaired text there" },
        { "rounds", '\0', CLI_UINT, &a.rounds, "N", "edits at most, one after the other (4)" },
        { "sure", '\0', CLI_REAL, &a.sure, "P", "leave what is repaired with less chance (0.5)" },
        { "model", 'm', CLI_TEXT, &a.model, "FILE", "that ranks edits (models/fix.gguf)" },
        { "swarm", 's', CLI_TEXT, &a.swarm, "FILE", "its lead repairs what was left" },
        { "accuracy", '\0', CLI_REAL, &a.target.accuracy, "A",
          "a certificate for each language: so many as the lead's" },
        { "confidence", '\0', CLI_REAL, &a.target.confidence, "C", "... with this (0.95)" },
        { "labels", '\0', CLI_UINT, &a.labels, "N", "audits at most, of a language" },
        { "budget", '\0', CLI_REAL, &a.budget_usd, "USD", "for the lead" },
        cli_sandbox_option(&a.is_weak),
        { "seed", '\0', CLI_UINT, &a.target.seed, "N", "of the audits (by chance)" },
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
    close_all(&s);
    return status == ENX_OK ? 0 : cli_fail("fix", &args, status, &report);
}
