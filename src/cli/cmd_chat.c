/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_chat.c - enxame chat: talk with a model, in a terminal or through a pipe. */
#include "backend/chat.h"
#include "cli/cli_artifact.h"
#include "cli/cli_chat.h"
#include "cli/cli_editor.h"
#include "cli/cli_serve.h"
#include "plat/file.h"
#include "text/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTIONS_MAX = CLI_OPTIONS_MAX };

static const double temperature_default = 0.7, price_max = 1e6, no_price = -1;

typedef struct chat_arguments {
    const char *prompt, *file, *system, *form, *form_file, *model, *artifact;
    uint64_t    context, threads;
    double      usd_in, usd_out; /* a million tokens; negative: not given */
} chat_arguments;

/* Fill `out`; returns how many. */
static size_t list_options(chat_arguments *a, cli_chat *c, cli_option out[OPTIONS_MAX])
{
    const cli_option first[] = {
        { "prompt", 'p', CLI_TEXT, &a->prompt, "TEXT", "ask this, print the answer, end" },
        { "file", 'f', CLI_TEXT, &a->file, "FILE", "... what a file holds (-: standard input)" },
        { "model", 'm', CLI_TEXT, &a->model, "NAME", "of a swarm: this one, not its lead" },
        { "system", '\0', CLI_TEXT, &a->system, "TEXT", "the system prompt" },
        { "artifact", '\0', CLI_TEXT, &a->artifact, "FILE",
          "at the end, write what the answers made, for a browser" },
        { "tokens", 'n', CLI_UINT, &c->max_tokens, "N",
          "at most so many tokens an answer (0: what fits)" },
        { "context", '\0', CLI_UINT, &a->context, "N",
          "tokens of a conversation (the model's, at most 8192)" },
        { "template", '\0', CLI_TEXT, &a->form, "FORM",
          "not the model's template: chatml, gemma, llama3, plain" },
        { "template-file", '\0', CLI_TEXT, &a->form_file, "FILE", "... or one of your own" },
        { "usd-per-mtok-in", '\0', CLI_REAL, &a->usd_in, "USD",
          "price of a million tokens read (none, or the swarm's)" },
        { "usd-per-mtok-out", '\0', CLI_REAL, &a->usd_out, "USD", "... written" },
        { "quiet", 'q', CLI_FLAG, &c->is_quiet, NULL, "no figures after the answers" },
        { "threads", '\0', CLI_UINT, &a->threads, "N", "default: one per core" },
    };
    enum { FIRST = sizeof first / sizeof *first };
    _Static_assert(FIRST + CLI_SAMPLING_OPTIONS <= OPTIONS_MAX, "room for all");
    memcpy(out, first, sizeof first);
    return FIRST + cli_sampling_options(&c->sampling, out + FIRST);
}

static enx_status check_arguments(const chat_arguments *a, cli_chat *c, enx_report *report)
{
    if (a->prompt && a->file)
        return ENX_FAIL(report, INVALID, "give the question by -p or by -f, not by both");
    if (a->form && a->form_file)
        return ENX_FAIL(report, INVALID, "give --template or --template-file, not both");
    if (c->max_tokens > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "-n: at most %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->context > ENX_ENGINE_CONTEXT_MAX)
        return ENX_FAIL(report, INVALID, "--context: at most %d", ENX_ENGINE_CONTEXT_MAX);
    if (a->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    if ((a->usd_in < 0 && a->usd_in != no_price) || (a->usd_out < 0 && a->usd_out != no_price) ||
        a->usd_in > price_max || a->usd_out > price_max)
        return ENX_FAIL(report, INVALID, "a price is from 0 to %.0f dollars", price_max);
    return cli_sampling_check(&c->sampling, report);
}

/* ---- Opening -------------------------------------------------------------------------------- */

static void set_price(const chat_arguments *a, cli_chat *c)
{
    double usd_in = a->usd_in > 0 ? a->usd_in : 0, usd_out = a->usd_out > 0 ? a->usd_out : 0;
    const enx_config       machine = { .path = NULL };
    const enx_config_model model = { .usd_per_mtok_in = &usd_in, .usd_per_mtok_out = &usd_out };
    if (a->usd_in == no_price && a->usd_out == no_price) return;
    c->price = enx_config_price(&machine, &model, 0);
    c->has_own_price = c->has_price = true;
}

/* Of a swarm its lead, or the one that was named. */
static enx_status choose_model(const chat_arguments *a, const char *swarm, const cli_served *served,
                               const enx_serve_model **out, enx_report *report)
{
    for (uint32_t i = 0; i < served->count && !*out; i++)
        if (strcmp(a->model ? a->model : "lead",
                   a->model ? served->models[i].name : served->models[i].duty) == 0)
            *out = &served->models[i];
    if (*out) return ENX_OK;
    if (!a->model)
        return ENX_FAIL(report, INVALID, "%s: the swarm has no lead to talk with", swarm);
    return ENX_FAIL(report, NOTFOUND,
                    "%s: the swarm has no model %.200s; `enxame models` lists them", swarm,
                    a->model);
}

static enx_status add_model(const chat_arguments *a, const char *path, cli_served *served,
                            const enx_serve_model **out, enx_report *report)
{
    if (!cli_is_yaml(path)) {
        if (a->model) return ENX_FAIL(report, INVALID, "--model: %s is one model", path);
        ENX_TRY(cli_served_add_file(served, path, report));
        *out = &served->models[0];
        return ENX_OK;
    }
    ENX_TRY(cli_served_add_swarm(served, path, report));
    return choose_model(a, path, served, out, report);
}

/* --template and --template-file; a known form ends its answers by a text of its own. */
static enx_status set_template(const chat_arguments *a, cli_chat *c, enx_buf *text,
                               enx_serve_model *model, enx_report *report)
{
    if (a->form_file) {
        ENX_TRY(cli_read(text, a->form_file, report));
        model->form = enx_buf_text(text);
        model->form_bytes = text->size_bytes;
        model->form_name = a->form_file;
    }
    if (!a->form) return ENX_OK;
    const enx_chat_form *form = NULL;
    ENX_TRY(enx_chat_form_find(&form, a->form, report));
    cli_list *stops = &c->sampling.stops;
    if (stops->count < CLI_LIST_MAX) stops->items[stops->count++] = form->stop;
    model->form = form->text;
    model->form_bytes = strlen(form->text);
    return ENX_OK;
}

static enx_status open_server(const chat_arguments *a, cli_chat *c, const enx_serve_model *model,
                              const cli_served *served, enx_report *report)
{
    const uint64_t          own_threads = served->config ? served->config->threads : 0;
    const enx_serve_options options = {
        .models = model,
        .model_count = 1,
        .slots = 1,
        .context_tokens = (uint32_t)a->context,
        .is_context_exact = a->context > 0,
        .threads = (uint32_t)(a->threads ? a->threads : own_threads),
        .cpu = getenv("ENX_CPU"),
        .limits = { .tokens = ENX_ENGINE_CONTEXT_MAX, .seconds = INT32_MAX },
        .is_private = true,
        .told = cli_chat_told,
        .user = c
    };
    ENX_TRY(enx_serve_open(&c->serve, &options, report));
    c->model = model->name;
    c->context_tokens = enx_serve_context_tokens(c->serve, c->model);
    c->has_price = c->has_price || model->has_price;
    return ENX_OK;
}

static enx_status open_all(const chat_arguments *a, cli_chat *c, const char *path,
                           cli_served *served, enx_report *report)
{
    const enx_serve_model *chosen = NULL;
    enx_buf                form;
    ENX_TRY(add_model(a, path, served, &chosen, report));
    enx_serve_model model = *chosen;
    enx_buf_init(&form, ENX_TEMPLATE_BYTES_MAX);
    enx_status status = set_template(a, c, &form, &model, report);
    if (status == ENX_OK) status = open_server(a, c, &model, served, report);
    enx_buf_deinit(&form);
    if (status != ENX_OK) return status;
    if (!enx_serve_can_chat(c->serve, c->model))
        return ENX_FAIL(report, UNSUPPORTED,
                        "%s is no chat model: it has no chat template; `enxame generate -m` "
                        "continues a text by it, --template chatml asks it in that form anyway",
                        path);
    set_price(a, c);
    ENX_TRY(cli_sampling_read_rules(&c->sampling, report));
    if (!a->system) return ENX_OK;
    status = cli_check_text(a->system, strlen(a->system), report);
    if (status == ENX_OK) status = cli_talk_set_system(&c->talk, a->system, report);
    if (status != ENX_OK) enx_report_wrap(report, "--system");
    return status;
}

/* ---- Talking -------------------------------------------------------------------------------- */

static enx_status ask_once(const chat_arguments *a, cli_chat *c, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, CLI_MESSAGE_BYTES_MAX);
    enx_status status = ENX_OK;
    if (a->file) status = cli_read(&text, a->file, report);
    else if (enx_buf_append_text(&text, a->prompt) != ENX_OK)
        status = ENX_FAIL(report, LIMIT, "-p: the text is too long");
    if (status == ENX_OK) {
        status = cli_check_text(enx_buf_text(&text), text.size_bytes, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", a->file ? a->file : "-p");
    }
    if (status == ENX_OK) status = cli_chat_ask(c, enx_buf_text(&text), report);
    enx_buf_deinit(&text);
    return status;
}

typedef struct dialog {
    cli_chat   *chat;
    cli_editor *editor;
    cli_lines   lines;
    enx_buf     line;
    bool        is_terminal;
    bool        is_end;
    bool        was_interrupted; /* at the prompt, just now */
} dialog;

static enx_status take(dialog *d, cli_lines_kind kind, enx_report *report)
{
    const char *text = enx_buf_text(&d->lines.text);
    if (kind == CLI_LINES_MESSAGE) return cli_chat_ask(d->chat, text, report);
    if (kind == CLI_LINES_COMMAND) return cli_chat_command(d->chat, text, &d->is_end, report);
    return ENX_OK;
}

static enx_status take_line(dialog *d, cli_editor_kind how, enx_report *report)
{
    cli_lines_kind kind = CLI_LINES_EMPTY;
    cli_editor_remember(d->editor, enx_buf_text(&d->line));
    ENX_TRY(cli_lines_push(&d->lines, enx_buf_text(&d->line), d->line.size_bytes,
                           how == CLI_EDITOR_PASTED, &kind, report));
    return take(d, kind, report);
}

/* Ctrl-C at the prompt: forget what was typed; the second in a row ends. */
static void interrupt(dialog *d)
{
    const bool had_text = d->lines.is_open;
    cli_lines_clear(&d->lines);
    if (d->was_interrupted && !had_text) d->is_end = true;
    else fprintf(stderr, "(Ctrl-C again ends; so does Ctrl-D)\n");
    d->was_interrupted = true;
}

static enx_status step(dialog *d, enx_report *report)
{
    cli_editor_kind how = CLI_EDITOR_END;
    cli_lines_kind  kind = CLI_LINES_EMPTY;
    ENX_TRY(cli_editor_read(d->editor, d->lines.is_open ? "... " : "> ", &d->line, &how, report));
    if (how == CLI_EDITOR_INTERRUPT) {
        interrupt(d);
        return d->is_terminal ? ENX_OK : ENX_FAIL(report, CANCELED, "interrupted");
    }
    d->was_interrupted = false;
    if (how != CLI_EDITOR_END) return take_line(d, how, report);
    d->is_end = true;
    if (d->is_terminal) return ENX_OK;
    if (cli_is_ending()) return ENX_FAIL(report, CANCELED, "interrupted");
    ENX_TRY(cli_lines_finish(&d->lines, &kind, report));
    return take(d, kind, report);
}

/* A person is told what went wrong and goes on; a pipe ends there. */
static enx_status talk(dialog *d, enx_report *report)
{
    while (!d->is_end && !cli_is_ending()) {
        enx_report       own = { 0 };
        const enx_status status = step(d, &own);
        const bool       is_stopped = status == ENX_OK && d->chat->was_stopped;
        if (status == ENX_OK && !(is_stopped && !d->is_terminal)) continue;
        if (status == ENX_OK) return ENX_FAIL(report, CANCELED, "interrupted");
        if (!d->is_terminal || status == ENX_IO) {
            *report = own;
            return status;
        }
        fprintf(stderr, "enxame chat: ");
        cli_write_text(stderr, own.text, strlen(own.text));
        fputc('\n', stderr);
    }
    return ENX_OK;
}

static void greet(const cli_chat *c, const char *model)
{
    const enx_loaded *loaded = enx_serve_loaded(c->serve, c->model);
    enx_gguf_str      name = { model, strlen(model) };
    if (loaded) (void)!enx_gguf_read_str(loaded->gguf, "general.name", &name, NULL);
    cli_write_text(stderr, name.data, name.size_bytes);
    if (c->context_tokens) fprintf(stderr, ", %u tokens of context", c->context_tokens);
    fprintf(stderr, "\n/help lists commands, Ctrl-C stops an answer, Ctrl-D ends\n");
}

static enx_status converse(cli_chat *c, const char *model, enx_report *report)
{
    dialog d = { .chat = c, .is_terminal = isatty(STDIN_FILENO) };
    char   home[CLI_PATH_BYTES_MAX], path[CLI_PATH_BYTES_MAX + 32];
    bool   has_home =
        d.is_terminal && cli_home(home, NULL) == ENX_OK && enx_dir_make(home, NULL) == ENX_OK;
    if (has_home) snprintf(path, sizeof path, "%s/chat_history", home);
    ENX_TRY(cli_editor_open(&d.editor, has_home ? path : NULL, report));
    cli_lines_init(&d.lines);
    enx_buf_init(&d.line, CLI_EDITOR_LINE_BYTES_MAX);
    if (d.is_terminal) greet(c, model);
    const enx_status status = talk(&d, report);
    enx_buf_deinit(&d.line);
    cli_lines_deinit(&d.lines);
    cli_editor_close(&d.editor);
    return status;
}

static enx_status chat(const chat_arguments *a, cli_chat *c, const char *path, cli_served *served,
                       enx_report *report)
{
    ENX_TRY(check_arguments(a, c, report));
    ENX_TRY(open_all(a, c, path, served, report));
    if (!a->prompt && !a->file) return converse(c, c->model, report);
    ENX_TRY(ask_once(a, c, report));
    return c->was_stopped ? ENX_FAIL(report, CANCELED, "interrupted") : ENX_OK;
}

int cmd_chat(int argc, char **argv)
{
    static cli_served served;
    chat_arguments    a = { .usd_in = no_price, .usd_out = no_price };
    cli_chat          c;
    cli_option        options[OPTIONS_MAX];
    cli_args          args = { .is_json = false };
    enx_report        report = { 0 };
    enx_status        status = cli_chat_init(&c, &report);
    cli_sampling_init(&c.sampling, temperature_default);
    const size_t   option_count = list_options(&a, &c, options);
    const cli_spec spec = { "chat MODEL.gguf | swarm.yaml [options]",
                            "Talk with a model, or with the lead of a swarm.  Questions come from "
                            "the terminal, or line by line\nfrom standard input; --help of a "
                            "conversation is /help.",
                            "enxame chat model.gguf --system 'Answer in one sentence.'",
                            options,
                            option_count,
                            1,
                            1 };
    if (status == ENX_OK) status = cli_parse(&spec, &args, argc, argv, &report);
    const bool has_work = status == ENX_OK && !args.is_help;
    c.is_mute = args.is_json;
    cli_count_interrupts();
    if (has_work) status = chat(&a, &c, args.operands.items[0], &served, &report);
    if (has_work && status == ENX_OK && a.artifact)
        status = cli_artifact_write(c.talk.messages, a.artifact, &report);
    if (has_work && status == ENX_OK && args.is_json) cli_print_json(cli_chat_json(&c));
    cli_chat_deinit(&c);
    cli_served_deinit(&served);
    return status == ENX_OK ? 0 : cli_fail("chat", &args, status, &report);
}
