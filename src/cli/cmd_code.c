/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_code.c - enxame code: write, run, repair, until a program passes.
 *
 * Several writers work at the same time, in one batch of the engine, each with chance of its own.
 * An answer that is whole is judged at once; one that fails is asked for again with what the
 * machine said.  The first that passes wins, and the others stop where they are.
 */
#include "backend/chat.h"
#include "base/mem.h"
#include "cli/cli_answer.h"
#include "cli/cli_code.h"
#include "cli/cli_sampling.h"
#include "cli/cli_talk.h"
#include "plat/clock.h"
#include "plat/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WRITERS_MAX = 32,
    ROUNDS_MAX = 100,
    CONTEXT_DEFAULT = 8192,
    MESSAGE_BYTES_MAX = 1 << 20,
    OPTIONS_MAX = CLI_OPTIONS_MAX,
};

static const double temperature_default = 0.7;

typedef struct code_arguments {
    const char  *model, *language, *test, *out, *form;
    uint64_t     rounds, writers, max_tokens, context, threads, memory_mib;
    double       wall_s;
    bool         is_sanitized;
    cli_sampling sampling;
} code_arguments;

typedef struct code_state code_state;

/* One that writes: a conversation of the task, and once something failed that and the complaint. */
typedef struct writer {
    code_state *all;
    cli_talk    talk;
    cli_answer  answer;
    enx_mask   *mask;
    uint64_t    id; /* of the request under way */
    uint32_t    number, round;
    bool        is_writing, is_whole; /* whole: to be judged */
    enx_buf     program, log;
} writer;

struct code_state {
    enx_loaded    loaded;
    enx_chat     *chat;
    enx_pool     *pool;
    enx_engine   *engine;
    enx_sandbox  *sandbox;
    enx_buf       test, first; /* the test; the first message */
    cli_code_task task;
    enx_sampling  sampling;
    writer       *writers; /* owned, [writer_count] */
    uint32_t      writer_count;
    const writer *winner; /* NULL: none yet */
    const writer *last;   /* that was judged */
    enx_usage     usage;
    json_t       *attempts; /* [{writer, round, passed, outcome}] */
    uint64_t      judge_us;
};

/* ---- Writing -------------------------------------------------------------------------------- */

static void on_token(void *user, uint32_t token, float logprob)
{
    writer *w = user;
    (void)logprob;
    cli_answer_push(&w->answer, token);
}

static void on_done(void *owner, const enx_generation *g)
{
    code_state *s = owner;
    writer     *w = g->user;
    s->usage.tokens_in += g->usage.tokens_in;
    s->usage.tokens_cached += g->usage.tokens_cached;
    s->usage.tokens_out += g->usage.tokens_out;
    cli_answer_finish(&w->answer);
    w->is_writing = false;
    w->is_whole = s->winner == NULL;
}

/* Every round of every writer has a seed of its own. */
static enx_status ask(writer *w, const code_arguments *a, enx_report *report)
{
    code_state *s = w->all;
    enx_tokens  prompt;
    bool        is_thinking = false;
    cli_answer_deinit(&w->answer);
    ENX_TRY(cli_answer_init(&w->answer, s->loaded.tokenizer, &a->sampling.stops, report));
    enx_tokens_init(&prompt, ENX_ENGINE_CONTEXT_MAX);
    enx_status status =
        enx_chat_prompt(s->chat, w->talk.messages, (int64_t)(enx_clock_wall_us() / 1000000),
                        &prompt, &is_thinking, report);
    enx_request request = { .prompt = prompt.ids,
                            .prompt_count = (uint32_t)prompt.count,
                            .max_tokens = (uint32_t)a->max_tokens,
                            .eos = enx_tokenizer_eos(s->loaded.tokenizer),
                            .tokenizer = s->loaded.tokenizer,
                            .sampling = s->sampling,
                            .mask = w->mask,
                            .on_token = on_token,
                            .user = w };
    request.sampling.seed += (uint64_t)w->round * s->writer_count + w->number;
    w->round++;
    w->is_writing = true; /* before: a mask may end it within submit */
    if (status == ENX_OK) status = enx_engine_submit(s->engine, &request, &w->id, report);
    enx_tokens_deinit(&prompt);
    return status;
}

static enx_status fail_memory(enx_report *report)
{
    return ENX_FAIL(report, NOMEM, "no memory for programs and messages");
}

/* The task, what was written, and what is wrong with it: earlier tries are forgotten. */
static enx_status complain(writer *w, const code_arguments *a, enx_report *report)
{
    enx_buf text, answer;
    enx_buf_init(&text, MESSAGE_BYTES_MAX);
    enx_buf_init(&answer, MESSAGE_BYTES_MAX);
    cli_talk_clear(&w->talk);
    enx_status status = cli_talk_ask(&w->talk, enx_buf_text(&w->all->first), report);
    if (status == ENX_OK && enx_buf_printf(&answer, "```%s\n%s\n```", w->all->task.language->name,
                                           enx_buf_text(&w->program)) != ENX_OK)
        status = fail_memory(report);
    if (status == ENX_OK) status = cli_talk_answer(&w->talk, enx_buf_text(&answer), "", report);
    if (status == ENX_OK && cli_code_complain(&text, enx_buf_text(&w->log)) != ENX_OK)
        status = fail_memory(report);
    if (status == ENX_OK) status = cli_talk_ask(&w->talk, enx_buf_text(&text), report);
    enx_buf_deinit(&text);
    enx_buf_deinit(&answer);
    return status == ENX_OK ? ask(w, a, report) : status;
}

/* ---- Judging -------------------------------------------------------------------------------- */

static enx_status note_attempt(code_state *s, const writer *w, bool has_passed)
{
    const char  *log = enx_buf_text(&w->log);
    const size_t size = strcspn(log, "\n");
    fprintf(stderr, "enxame code: writer %u, round %u: %.*s\n", w->number + 1, w->round, (int)size,
            log);
    return json_array_append_new(s->attempts,
                                 json_pack("{s:i, s:i, s:b, s:o}", "writer", (int)w->number + 1,
                                           "round", (int)w->round, "passed", (int)has_passed,
                                           "outcome", cli_json_text(log, size))) == 0
               ? ENX_OK
               : ENX_NOMEM;
}

static enx_status judge(writer *w, const code_arguments *a, enx_report *report)
{
    code_state    *s = w->all;
    bool           has_passed = false;
    const uint64_t start_us = enx_clock_monotonic_us();
    w->is_whole = false;
    enx_buf_clear(&w->program);
    enx_buf_clear(&w->log);
    if (w->answer.status != ENX_OK ||
        cli_code_extract(&w->program, enx_buf_text(&w->answer.text)) != ENX_OK)
        return fail_memory(report);
    ENX_TRY(cli_code_judge(s->sandbox, &s->task, enx_buf_text(&w->program), &has_passed, &w->log,
                           report));
    s->judge_us += enx_clock_monotonic_us() - start_us;
    s->last = w;
    if (note_attempt(s, w, has_passed) != ENX_OK) return fail_memory(report);
    if (has_passed) s->winner = w;
    else if (w->round < a->rounds) return complain(w, a, report);
    return ENX_OK;
}

static bool is_stop(void *user)
{
    (void)user;
    return cli_is_interrupted();
}

static uint32_t count_writing(const code_state *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->writer_count; i++)
        count += s->writers[i].is_writing || s->writers[i].is_whole;
    return count;
}

static enx_status work(code_state *s, const code_arguments *a, enx_report *report)
{
    for (uint32_t i = 0; i < s->writer_count; i++) {
        writer *w = &s->writers[i];
        ENX_TRY(cli_talk_ask(&w->talk, enx_buf_text(&s->first), report));
        ENX_TRY(ask(w, a, report));
    }
    while (count_writing(s) > 0) {
        if (cli_is_interrupted()) return ENX_FAIL(report, CANCELED, "interrupted");
        for (uint32_t i = 0; i < s->writer_count && !s->winner; i++)
            if (s->writers[i].is_whole) ENX_TRY(judge(&s->writers[i], a, report));
        for (uint32_t i = 0; i < s->writer_count; i++) {
            writer *w = &s->writers[i];
            if (s->winner) w->is_whole = false;
            if (w->is_writing && (s->winner || cli_answer_is_over(&w->answer)))
                enx_engine_cancel(s->engine, w->id);
        }
        enx_engine_step(s->engine, on_done, s);
    }
    return ENX_OK;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static enx_status open_chat(code_state *s, code_arguments *a, enx_report *report)
{
    if (!a->form) {
        const enx_status status = enx_chat_open(&s->chat, &s->loaded, NULL, 0, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", a->model);
        return status;
    }
    const enx_chat_form *form = NULL;
    ENX_TRY(enx_chat_form_find(&form, a->form, report));
    cli_list *stops = &a->sampling.stops;
    if (stops->count < CLI_LIST_MAX) stops->items[stops->count++] = form->stop;
    return enx_chat_open(&s->chat, &s->loaded, form->text, strlen(form->text), report);
}

static enx_status open_writers(code_state *s, const code_arguments *a, enx_report *report)
{
    s->writers = ENX_MEM_NEW(writer, a->writers);
    s->attempts = json_array();
    if (!s->writers || !s->attempts) return fail_memory(report);
    while (s->writer_count < a->writers) {
        writer *w = &s->writers[s->writer_count];
        *w = (writer){ .all = s, .number = s->writer_count++ };
        enx_buf_init(&w->program, CLI_TEXT_BYTES_MAX);
        enx_buf_init(&w->log, CLI_TEXT_BYTES_MAX);
        ENX_TRY(cli_talk_init(&w->talk, report));
        ENX_TRY(cli_sampling_open_mask(&a->sampling, &s->loaded, &w->mask, report));
    }
    return ENX_OK;
}

static enx_status open_task(code_state *s, const code_arguments *a, const char *what,
                            enx_report *report)
{
    cli_code_task *task = &s->task;
    task->what = what;
    task->language = enx_language_find(a->language);
    if (!task->language)
        return ENX_FAIL(report, INVALID, "--lang %s: c, python, js, sh or sql", a->language);
    ENX_TRY(enx_language_check(task->language, report));
    if (a->test) {
        ENX_TRY(cli_read(&s->test, a->test, report));
        task->test = enx_buf_text(&s->test);
        task->test_bytes = s->test.size_bytes;
    }
    task->limits = enx_sandbox_limits_default();
    task->limits.wall_us = (uint64_t)(a->wall_s * 1e6);
    task->limits.cpu_us = task->limits.wall_us;
    task->limits.memory_bytes = a->memory_mib << 20;
    task->is_sanitized = a->is_sanitized;
    task->should_stop = is_stop;
    if (cli_code_ask(&s->first, task) != ENX_OK) return fail_memory(report);
    ENX_TRY(enx_sandbox_open(&s->sandbox, NULL, report));
    return enx_sandbox_probe(s->sandbox, report); /* before anything is written */
}

static enx_status open_all(code_state *s, code_arguments *a, const char *what, enx_report *report)
{
    ENX_TRY(open_task(s, a, what, report));
    ENX_TRY(enx_loaded_open(&s->loaded, a->model, report));
    ENX_TRY(open_chat(s, a, report));
    ENX_TRY(cli_sampling_check(&a->sampling, report));
    ENX_TRY(cli_sampling_read_rules(&a->sampling, report));
    ENX_TRY(cli_sampling_get(&a->sampling, s->loaded.tokenizer, &s->sampling, report));
    ENX_TRY(open_writers(s, a, report));
    ENX_TRY(enx_pool_open(&s->pool, (uint32_t)a->threads, report));
    const uint32_t           own = enx_model_hparams(s->loaded.model)->context_tokens;
    const uint32_t           usual = own < CONTEXT_DEFAULT ? own : CONTEXT_DEFAULT;
    const enx_engine_options options = { .model = s->loaded.model,
                                         .cpu = getenv("ENX_CPU"),
                                         .slot_count = s->writer_count,
                                         .context_tokens =
                                             a->context ? (uint32_t)a->context : usual,
                                         .pool = s->pool };
    return enx_engine_open(&s->engine, &options, report);
}

static void close_all(code_state *s)
{
    enx_engine_close(&s->engine);
    enx_pool_close(&s->pool);
    for (uint32_t i = 0; i < s->writer_count; i++) {
        writer *w = &s->writers[i];
        cli_talk_deinit(&w->talk);
        cli_answer_deinit(&w->answer);
        enx_mask_close(&w->mask);
        enx_buf_deinit(&w->program);
        enx_buf_deinit(&w->log);
    }
    enx_mem_free(s->writers);
    json_decref(s->attempts);
    enx_chat_close(&s->chat);
    enx_sandbox_close(&s->sandbox);
    enx_buf_deinit(&s->test);
    enx_buf_deinit(&s->first);
    enx_loaded_close(&s->loaded);
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status check_arguments(const code_arguments *a, enx_report *report)
{
    if (!a->model) return ENX_FAIL(report, INVALID, "-m MODEL is missing");
    if (!a->language) return ENX_FAIL(report, INVALID, "--lang is missing: c, python, js, sh, sql");
    if (a->rounds == 0 || a->rounds > ROUNDS_MAX)
        return ENX_FAIL(report, INVALID, "--rounds: from 1 to %d", ROUNDS_MAX);
    if (a->writers == 0 || a->writers > WRITERS_MAX)
        return ENX_FAIL(report, INVALID, "--writers: from 1 to %d", WRITERS_MAX);
    if (a->max_tokens == 0 || a->max_tokens > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "-n: from 1 to %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->context > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "--context: at most %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    if (!(a->wall_s > 0 && a->wall_s <= 86400) || a->memory_mib > ENX_SANDBOX_BYTES_MAX >> 20)
        return ENX_FAIL(report, INVALID, "--time, --memory: out of range");
    return ENX_OK;
}

static void print_json(const code_state *s)
{
    const writer  *w = s->winner ? s->winner : s->last;
    const enx_buf  none = { .data = NULL }, *program = w ? &w->program : &none;
    const enx_buf *log = w ? &w->log : &none;
    cli_print_json(json_pack(
        "{s:b, s:i, s:i, s:o, s:o, s:O, s:f, s:{s:I, s:I, s:I}}", "ok", (int)(s->winner != NULL),
        "rounds", w ? (int)w->round : 0, "writer", w ? (int)w->number + 1 : 0, "program",
        cli_json_text(enx_buf_text(program), program->size_bytes), "log",
        cli_json_text(enx_buf_text(log), log->size_bytes), "attempts", s->attempts, "test_seconds",
        (double)s->judge_us * 1e-6, "usage", "tokens_in", (json_int_t)s->usage.tokens_in,
        "tokens_cached", (json_int_t)s->usage.tokens_cached, "tokens_out",
        (json_int_t)s->usage.tokens_out));
}

/* The program where it was asked for; 75 when there is none. */
static enx_status deliver(const code_state *s, const code_arguments *a, bool is_json,
                          enx_report *report)
{
    if (is_json) print_json(s);
    if (!s->winner) {
        const char *log = s->last ? enx_buf_text(&s->last->log) : "";
        return ENX_FAIL(report, LIMIT, "no program passed in %llu rounds; the last: %.*s",
                        (unsigned long long)a->rounds, (int)strcspn(log, "\n"), log);
    }
    const enx_buf *program = &s->winner->program;
    if (a->out) return enx_file_write(a->out, enx_buf_text(program), program->size_bytes, report);
    if (!is_json) fwrite(enx_buf_text(program), 1, program->size_bytes, stdout);
    return ENX_OK;
}

/* Fill `out`; returns how many. */
static size_t list_options(code_arguments *a, cli_option out[OPTIONS_MAX])
{
    const cli_option first[] = {
        { "model", 'm', CLI_TEXT, &a->model, "MODEL", "a GGUF file that can chat" },
        { "lang", '\0', CLI_TEXT, &a->language, "L", "c, python, js, sh or sql" },
        { "test", '\0', CLI_TEXT, &a->test, "FILE", "what it must pass; see docs/code.md" },
        { "out", 'o', CLI_TEXT, &a->out, "FILE", "write the program there, not to stdout" },
        { "rounds", '\0', CLI_UINT, &a->rounds, "N", "tries of each writer at most (3)" },
        { "writers", '\0', CLI_UINT, &a->writers, "N", "that write at the same time (2)" },
        { "tokens", 'n', CLI_UINT, &a->max_tokens, "N", "of one answer at most (1024)" },
        { "time", '\0', CLI_REAL, &a->wall_s, "S", "seconds for a program to run (10)" },
        { "memory", '\0', CLI_UINT, &a->memory_mib, "MIB", "... and its memory (512)" },
        { "sanitize", '\0', CLI_FLAG, &a->is_sanitized, NULL, "C: AddressSanitizer and UBSan" },
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
        .rounds = 3, .writers = 2, .max_tokens = 1024, .wall_s = 10, .memory_mib = 512
    };
    cli_option options[OPTIONS_MAX];
    cli_sampling_init(&a.sampling, temperature_default);
    const size_t   option_count = list_options(&a, options);
    const cli_spec spec = { "code -m MODEL --lang L [--test FILE] [options] WHAT",
                            "Write a program, run it in the sandbox, repair it until it passes.",
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
    enx_buf_init(&s.first, MESSAGE_BYTES_MAX);
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = check_arguments(&a, &report);
    cli_catch_interrupts();
    if (status == ENX_OK) status = open_all(&s, &a, args.operands.items[0], &report);
    if (status == ENX_OK) status = work(&s, &a, &report);
    if (status == ENX_OK) status = deliver(&s, &a, args.is_json, &report);
    close_all(&s);
    cli_sampling_deinit(&a.sampling);
    return status == ENX_OK ? 0 : cli_fail("code", &args, status, &report);
}
