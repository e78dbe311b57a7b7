/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_code.c - enxame code: write, run, repair, until a program passes; or a patch of a tree.
 *
 * What must be passed is given, or made of examples, or written by another model of the swarm.
 * cli_writers.h writes; here is what they are told, and what becomes of it.
 */
#include "base/mem.h"
#include "cli/cli_author_api.h"
#include "cli/cli_author_file.h"
#include "cli/cli_bill.h"
#include "cli/cli_sandbox.h"
#include "cli/cli_tests.h"
#include "cli/cli_writers.h"
#include "plat/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS_MAX = 100,
    OPTIONS_MAX = CLI_OPTIONS_MAX,
    AHEAD_MAX = CLI_RACE_WRITERS_MAX,
    DOUBTED_AFTER = 2, /* programs that a test by a model has refused */
};

static const double temperature_default = 0.7;

typedef struct code_arguments {
    const char  *model, *swarm, *language, *test, *examples, *tree, *command, *out, *form;
    uint64_t     rounds, writers, max_tokens, context, threads, memory_mib;
    double       wall_s, ahead, budget_usd;
    bool         is_sanitized, is_weak, asks;
    cli_sampling sampling;
} code_arguments;

typedef struct code_state {
    enx_sandbox  *sandbox;
    cli_asked    *asked; /* NULL: no swarm file */
    cli_asked_who who;   /* writes */
    cli_author   *author;
    cli_examples *examples;
    cli_edit     *edit;
    enx_buf       test;
    const char   *test_by; /* the model that wrote it; NULL: given, or made of examples */
    uint32_t      refused; /* programs, by that test */
    bool          is_settled;
    const char   *settled; /* "program" or "test", as the lead said; NULL: it was not asked */
    cli_code_task task;
    cli_writers  *writers;
    json_t       *attempts; /* [{writer, round, passed, outcome}] */
} code_state;

static enx_status fail_memory(enx_report *report)
{
    return ENX_FAIL(report, NOMEM, "no memory for programs and messages");
}

/* ---- Verdicts ------------------------------------------------------------------------------- */

static bool on_verdict(void *user, const cli_verdict *v)
{
    code_state  *s = user;
    const size_t size = strcspn(v->log, "\n");
    fprintf(stderr, "enxame code: writer %u, round %u: %.*s\n", v->writer, v->round, (int)size,
            v->log);
    json_array_append_new(s->attempts,
                          json_pack("{s:i, s:i, s:b, s:o}", "writer", (int)v->writer, "round",
                                    (int)v->round, "passed", (int)v->has_passed, "outcome",
                                    cli_json_text(v->log, size)));
    s->refused += s->test_by && !v->has_passed && !v->is_lost;
    return !s->is_settled && s->refused >= DOUBTED_AFTER;
}

static void show_test(const code_state *s)
{
    fprintf(stderr, "enxame code: test by %s:\n", s->test_by);
    cli_write_text(stderr, enx_buf_text(&s->test), s->test.size_bytes);
    fputs("\n", stderr);
}

/* The old test, if there is one, stays where no new one comes about. */
static enx_status write_test(code_state *s, uint32_t model, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, CLI_CODE_TEST_BYTES_MAX);
    const enx_status status = cli_tests_write(&text, s->asked, model, &s->task, s->sandbox, report);
    if (status != ENX_OK) {
        enx_buf_deinit(&text);
        return status;
    }
    enx_buf_deinit(&s->test);
    s->test = text;
    s->test_by = cli_asked_name(s->asked, model);
    s->task.test = enx_buf_text(&s->test);
    s->task.test_bytes = s->test.size_bytes;
    show_test(s);
    return ENX_OK;
}

/* The lead says who is wrong; where it is the test, it writes another, which is final. */
static enx_status ask_lead(code_state *s, uint32_t lead, bool *is_new, enx_report *report)
{
    const cli_verdict *last = cli_writers_last(s->writers);
    bool               is_test_wrong = false;
    ENX_TRY(cli_tests_doubt(&is_test_wrong, s->asked, lead, &s->task, last->program, last->log,
                            report));
    s->settled = is_test_wrong ? "test" : "program";
    fprintf(stderr, "enxame code: programs and test disagree; %s says that the %s is wrong\n",
            cli_asked_name(s->asked, lead), s->settled);
    if (is_test_wrong) ENX_TRY(write_test(s, lead, report));
    *is_new = is_test_wrong;
    return ENX_OK;
}

/* A lead that cannot be asked leaves things as they are. */
static enx_status settle(void *user, bool *is_new, enx_report *report)
{
    code_state    *s = user;
    const uint32_t lead = cli_asked_lead(s->asked);
    s->is_settled = true;
    if (lead == CLI_ASKED_NOBODY) return ENX_OK;
    const enx_status status = ask_lead(s, lead, is_new, report);
    if (status == ENX_OK || status == ENX_CANCELED || status == ENX_NOMEM) return status;
    fprintf(stderr, "enxame code: programs and test disagree, and the lead was no help: %s\n",
            report->text);
    return ENX_OK;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static enx_status open_examples(code_state *s, const code_arguments *a, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, CLI_EXAMPLES_BYTES_MAX);
    enx_status status = cli_read(&text, a->examples, report);
    if (status == ENX_OK)
        status = cli_examples_open(&s->examples, a->examples, enx_buf_text(&text), report);
    enx_buf_deinit(&text);
    ENX_TRY(status);
    if (!cli_examples_are_calls(s->examples)) {
        s->task.examples = s->examples;
        return ENX_OK;
    }
    return cli_examples_test(&s->test, s->examples, s->task.language->name, report);
}

static enx_status open_language(code_state *s, const code_arguments *a, enx_report *report)
{
    cli_code_task *task = &s->task;
    task->language = enx_language_find(a->language);
    if (!task->language)
        return ENX_FAIL(report, INVALID, "--lang %s: c, python, js, sh, sql or html", a->language);
    ENX_TRY(enx_language_check(task->language, report));
    if (a->test) ENX_TRY(cli_read(&s->test, a->test, report));
    if (a->examples) ENX_TRY(open_examples(s, a, report));
    if (s->test.size_bytes) {
        task->test = enx_buf_text(&s->test);
        task->test_bytes = s->test.size_bytes;
    }
    return ENX_OK;
}

static enx_status open_task(code_state *s, const code_arguments *a, const char *what,
                            enx_report *report)
{
    cli_code_task *task = &s->task;
    task->what = what;
    task->limits = enx_sandbox_limits_default();
    task->limits.wall_us = (uint64_t)(a->wall_s * 1e6);
    task->limits.cpu_us = task->limits.wall_us;
    task->limits.memory_bytes = a->memory_mib << 20;
    task->is_sanitized = a->is_sanitized;
    if (a->tree) ENX_TRY(cli_edit_open(&s->edit, a->tree, a->command, report));
    else ENX_TRY(open_language(s, a, report));
    task->edit = s->edit;
    ENX_TRY(cli_sandbox_open(&s->sandbox, a->is_weak, "code", report));
    return enx_sandbox_probe(s->sandbox, report); /* before anything is written */
}

/* Yes, typed on the terminal. */
static enx_status ask_approval(enx_report *report)
{
    char line[16] = "";
    fputs("enxame code: may this test decide? [y/N] ", stderr);
    if (!fgets(line, sizeof line, stdin) || (line[0] != 'y' && line[0] != 'Y'))
        return ENX_FAIL(report, CANCELED, "the test was not approved; nothing was written");
    return ENX_OK;
}

/* A test by somebody who writes no program here: another worker, else the lead. */
static enx_status find_test(code_state *s, const code_arguments *a, enx_report *report)
{
    if (!s->asked || s->edit || s->task.test || s->task.examples) return ENX_OK;
    const uint32_t tester = cli_asked_other(s->asked, s->who);
    if (tester == CLI_ASKED_NOBODY) {
        fputs("enxame code: nobody but the writer could write a test; running must do\n", stderr);
        return ENX_OK;
    }
    ENX_TRY(write_test(s, tester, report));
    return a->asks ? ask_approval(report) : ENX_OK;
}

/* Who writes: -m, a model behind an API of -s or a file; else the first that -s has. */
static void find_writer(code_state *s, const code_arguments *a)
{
    s->who = (cli_asked_who){ CLI_ASKED_NOBODY, a->model };
    if (!s->asked) return;
    const uint32_t known = a->model ? cli_asked_find(s->asked, a->model) : CLI_ASKED_NOBODY;
    if (known != CLI_ASKED_NOBODY) s->who = (cli_asked_who){ known, NULL };
    else if (!a->model) s->who = cli_asked_first(s->asked);
}

static enx_status open_author(code_state *s, code_arguments *a, enx_report *report)
{
    const cli_author_file_options here = { .model = s->who.file,
                                           .form = a->form,
                                           .sampling = &a->sampling,
                                           .seats = (uint32_t)a->writers,
                                           .max_tokens = (uint32_t)a->max_tokens,
                                           .context = (uint32_t)a->context,
                                           .threads = (uint32_t)a->threads };
    const cli_author_api_options  away = { .asked = s->asked,
                                           .model = s->who.model,
                                           .sampling = &a->sampling,
                                           .max_tokens = (uint32_t)a->max_tokens };
    if (s->who.file) return cli_author_file_open(&s->author, &here, report);
    if (a->form)
        return ENX_FAIL(report, INVALID, "--template is for models that are files, and %s is not",
                        cli_asked_name(s->asked, s->who.model));
    return cli_author_api_open(&s->author, &away, report);
}

static enx_status open_models(code_state *s, code_arguments *a, enx_report *report)
{
    if (a->swarm) ENX_TRY(cli_asked_open(&s->asked, a->swarm, a->budget_usd, report));
    find_writer(s, a);
    ENX_TRY(cli_sampling_check(&a->sampling, report));
    ENX_TRY(cli_sampling_read_rules(&a->sampling, report));
    ENX_TRY(open_author(s, a, report)); /* before a test is paid for */
    ENX_TRY(find_test(s, a, report));
    const cli_writers_options options = { .author = s->author,
                                          .writers = (uint32_t)a->writers,
                                          .rounds = (uint32_t)a->rounds,
                                          .seed = a->sampling.seed,
                                          .ahead = a->ahead,
                                          .task = &s->task,
                                          .sandbox = s->sandbox,
                                          .on_verdict = on_verdict,
                                          .settle = settle,
                                          .user = s };
    return cli_writers_open(&s->writers, &options, report);
}

static void close_all(code_state *s)
{
    cli_writers_close(&s->writers);
    if (s->author) s->author->close(&s->author);
    cli_asked_close(&s->asked);
    cli_edit_close(&s->edit);
    cli_examples_close(&s->examples);
    enx_sandbox_close(&s->sandbox);
    enx_buf_deinit(&s->test);
    json_decref(s->attempts);
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status check_numbers(const code_arguments *a, enx_report *report)
{
    if (a->rounds == 0 || a->rounds > ROUNDS_MAX)
        return ENX_FAIL(report, INVALID, "--rounds: from 1 to %d", ROUNDS_MAX);
    if (a->writers == 0 || a->writers > CLI_RACE_WRITERS_MAX)
        return ENX_FAIL(report, INVALID, "--writers: from 1 to %d", CLI_RACE_WRITERS_MAX);
    if (!(a->ahead >= 0 && a->ahead <= AHEAD_MAX))
        return ENX_FAIL(report, INVALID, "--ahead: from 0 to %d", AHEAD_MAX);
    if (a->max_tokens == 0 || a->max_tokens > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "-n: from 1 to %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->context > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "--context: at most %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    if (!(a->wall_s > 0 && a->wall_s <= 86400) || a->memory_mib > ENX_SANDBOX_BYTES_MAX >> 20)
        return ENX_FAIL(report, INVALID, "--time, --memory: out of range");
    if (!(a->budget_usd >= 0 && a->budget_usd <= 1e6))
        return ENX_FAIL(report, INVALID, "--budget: dollars from 0 to a million");
    return ENX_OK;
}

static enx_status check_arguments(const code_arguments *a, enx_report *report)
{
    if (!a->model && !a->swarm) return ENX_FAIL(report, INVALID, "-m MODEL or -s FILE is missing");
    if (!a->language && !a->tree)
        return ENX_FAIL(report, INVALID, "--lang is missing: c, python, js, sh, sql, html");
    if (a->tree && (a->language || a->test || a->examples || a->out))
        return ENX_FAIL(report, INVALID, "--edit goes without --lang, --test, --examples and -o");
    if (!a->tree != !a->command)
        return ENX_FAIL(report, INVALID,
                        "--edit and --run belong together: a folder, and the "
                        "command that tests it");
    if (a->test && a->examples) return ENX_FAIL(report, INVALID, "--test or --examples, not both");
    if (a->asks && !a->swarm)
        return ENX_FAIL(report, INVALID, "--approve is for tests that a model of -s writes");
    return check_numbers(a, report);
}

/* What a page is to whoever shows it; null of other programs. */
static json_t *artifact_json(const code_state *s, const cli_verdict *v)
{
    if (!v || !s->task.language || strcmp(s->task.language->name, "html") != 0) return json_null();
    return json_pack("{s:s, s:s, s:i}", "name", "program.html", "type", "text/html", "version",
                     (int)json_array_size(s->attempts));
}

static json_t *test_json(const code_state *s)
{
    if (!s->task.test) return json_null();
    return json_pack("{s:o, s:s, s:s?}", "text",
                     cli_json_text(enx_buf_text(&s->test), s->test.size_bytes), "by",
                     s->test_by    ? s->test_by
                     : s->examples ? "examples"
                                   : "you",
                     "wrong", s->settled);
}

static void print_json(const code_state *s)
{
    const cli_verdict *winner = cli_writers_winner(s->writers);
    const cli_verdict *v = winner ? winner : cli_writers_last(s->writers);
    const enx_usage    u = s->author->usage;
    const char        *program = v ? v->program : "", *log = v ? v->log : "";
    cli_print_json(json_pack(
        "{s:b, s:b, s:s, s:i, s:i, s:o, s:o, s:O, s:o, s:o, s:f, s:{s:I, s:I, s:I}, s:o}", "ok",
        (int)(winner != NULL), "weak", (int)enx_sandbox_is_weak(s->sandbox), "model",
        s->who.file ? s->who.file : cli_asked_name(s->asked, s->who.model), "rounds",
        v ? (int)v->round : 0, "writer", v ? (int)v->writer : 0, "program",
        cli_json_text(program, strlen(program)), "log", cli_json_text(log, strlen(log)), "attempts",
        s->attempts, "test", test_json(s), "artifact", artifact_json(s, v), "test_seconds",
        (double)cli_writers_judge_us(s->writers) * 1e-6, "usage", "tokens_in",
        (json_int_t)u.tokens_in, "tokens_cached", (json_int_t)u.tokens_cached, "tokens_out",
        (json_int_t)u.tokens_out, "bill", s->asked ? cli_asked_json(s->asked) : json_null()));
}

/* What models of -s wrote, also where nothing came of it. */
static void print_bill(const code_state *s)
{
    char text[CLI_MONEY_BYTES], unknown[CLI_MONEY_BYTES];
    if (!s->asked) return;
    const cli_asked_bill b = cli_asked_total(s->asked);
    if (b.calls == 0) return;
    fprintf(stderr, "enxame code: %llu calls, %llu tokens in, %llu out, %s",
            (unsigned long long)b.calls,
            (unsigned long long)(b.usage.tokens_in + b.usage.tokens_cached),
            (unsigned long long)b.usage.tokens_out, cli_money(text, b.usd_nano));
    if (b.unknown_usd_nano)
        fprintf(stderr, "; nobody knows what broken off ones cost: up to %s",
                cli_money(unknown, b.unknown_usd_nano));
    fputs("\n", stderr);
}

/* The program where it was asked for, or the patch into the tree; 75 when there is none. */
static enx_status deliver(const code_state *s, const code_arguments *a, bool is_json,
                          enx_report *report)
{
    const cli_verdict *winner = cli_writers_winner(s->writers);
    const cli_verdict *last = cli_writers_last(s->writers);
    if (winner && s->edit) ENX_TRY(cli_edit_write(s->edit, winner->program, report));
    if (is_json) print_json(s);
    if (!winner) {
        const char *log = last ? last->log : "";
        return ENX_FAIL(report, LIMIT, "no program passed in %llu rounds; the last: %.*s",
                        (unsigned long long)a->rounds, (int)strcspn(log, "\n"), log);
    }
    if (a->out) return enx_file_write(a->out, winner->program, strlen(winner->program), report);
    if (!is_json) fwrite(winner->program, 1, strlen(winner->program), stdout);
    return ENX_OK;
}

/* Fill `out`; returns how many. */
static size_t list_options(code_arguments *a, cli_option out[OPTIONS_MAX])
{
    const cli_option first[] = {
        { "model", 'm', CLI_TEXT, &a->model, "MODEL",
          "it writes: a GGUF file that can chat, or one of -s behind an API" },
        { "swarm", 's', CLI_TEXT, &a->swarm, "FILE",
          "more models: the first worker writes, another the test, the lead settles" },
        { "lang", '\0', CLI_TEXT, &a->language, "L", "c, python, js, sh, sql or html" },
        { "test", '\0', CLI_TEXT, &a->test, "FILE", "what it must pass; see docs/code.md" },
        { "examples", '\0', CLI_TEXT, &a->examples, "FILE",
          "... or pairs of input and output, a line of JSON each" },
        { "edit", '\0', CLI_TEXT, &a->tree, "DIR",
          "change this tree by a patch that passes --run" },
        { "run", '\0', CLI_TEXT, &a->command, "CMD", "the tree's own test, a line for sh" },
        { "approve", '\0', CLI_FLAG, &a->asks, NULL, "a test by a model waits for a yes" },
        { "out", 'o', CLI_TEXT, &a->out, "FILE", "write the program there, not to stdout" },
        { "rounds", '\0', CLI_UINT, &a->rounds, "N", "tries of each writer at most (3)" },
        { "writers", '\0', CLI_UINT, &a->writers, "N", "that race each other (2)" },
        { "ahead", '\0', CLI_REAL, &a->ahead, "X",
          "tokens that may be written in vain, as a share (0.3)" },
        { "budget", '\0', CLI_REAL, &a->budget_usd, "USD", "for all that models of -s write" },
        { "tokens", 'n', CLI_UINT, &a->max_tokens, "N", "of one answer at most (1024)" },
        { "time", '\0', CLI_REAL, &a->wall_s, "S", "seconds for a program to run (10)" },
        { "memory", '\0', CLI_UINT, &a->memory_mib, "MIB", "... and its memory (512)" },
        { "sanitize", '\0', CLI_FLAG, &a->is_sanitized, NULL, "C: AddressSanitizer and UBSan" },
        cli_sandbox_option(&a->is_weak),
        { "template", '\0', CLI_TEXT, &a->form, "FORM",
          "not the model's template: chatml, gemma, llama3, plain" },
        { "context", '\0', CLI_UINT, &a->context, "N", "tokens (the model's, at most 8192)" },
        { "threads", '\0', CLI_UINT, &a->threads, "N", "default: one per core" },
    };
    enum { FIRST = sizeof first / sizeof *first };
    _Static_assert(FIRST + CLI_SAMPLING_OPTIONS <= OPTIONS_MAX, "room for all");
    memcpy(out, first, sizeof first);
    return FIRST + cli_sampling_options(&a->sampling, out + FIRST);
}

int cmd_code(int argc, char **argv)
{
    code_arguments a = {
        .rounds = 3, .writers = 2, .ahead = .3, .max_tokens = 1024, .wall_s = 10, .memory_mib = 512
    };
    cli_option options[OPTIONS_MAX];
    cli_sampling_init(&a.sampling, temperature_default);
    const size_t   option_count = list_options(&a, options);
    const cli_spec spec = { "code -m MODEL --lang L [--test FILE | --examples FILE] [options] WHAT",
                            "Write a program, run it in the sandbox, repair it until it passes; or "
                            "a patch of a tree (--edit DIR --run CMD).",
                            "enxame code -m model.gguf --lang python --test test.py \"a function "
                            "primes(n)\"",
                            options,
                            option_count,
                            1,
                            1 };
    cli_args       args;
    enx_report     report = { 0 };
    code_state     s = { 0 };
    enx_buf_init(&s.test, CLI_CODE_TEST_BYTES_MAX);
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    s.attempts = json_array();
    if (status == ENX_OK && !s.attempts) status = fail_memory(&report);
    if (status == ENX_OK) status = check_arguments(&a, &report);
    cli_catch_interrupts();
    if (status == ENX_OK) status = open_task(&s, &a, args.operands.items[0], &report);
    if (status == ENX_OK) status = open_models(&s, &a, &report);
    if (status == ENX_OK) status = cli_writers_run(s.writers, &report);
    if (status == ENX_OK) status = deliver(&s, &a, args.is_json, &report);
    print_bill(&s);
    close_all(&s);
    cli_sampling_deinit(&a.sampling);
    return status == ENX_OK ? 0 : cli_fail("code", &args, status, &report);
}
