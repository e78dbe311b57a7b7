/* SPDX-License-Identifier: Apache-2.0 */
/* cli_chat.c - prompts, answers as they come, and the commands.
 *
 * A conversation is copied (the list, not the messages) before anything is done to it, and put back
 * when that fails. */
#include "cli/cli_chat.h"

#include "cli/cli_bill.h"
#include "plat/clock.h"
#include "plat/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT_TOKENS_MAX = 1 << 24, ROOM_SHARE = 4, US_PER_S = 1000000 };

enx_status cli_chat_init(cli_chat *c, enx_report *report)
{
    *c = (cli_chat){ .has_color = cli_has_color() };
    enx_buf_init(&c->thought, CLI_TEXT_BYTES_MAX);
    enx_buf_init(&c->text, CLI_TEXT_BYTES_MAX);
    return cli_talk_init(&c->talk, report);
}

void cli_chat_deinit(cli_chat *c)
{
    enx_engine_close(&c->engine);
    enx_pool_close(&c->pool);
    enx_mask_close(&c->mask);
    cli_answer_deinit(&c->answer);
    cli_sampling_deinit(&c->sampling);
    cli_talk_deinit(&c->talk);
    enx_chat_close(&c->chat);
    enx_buf_deinit(&c->thought);
    enx_buf_deinit(&c->text);
    enx_loaded_close(&c->loaded);
}

/* ---- The screen ----------------------------------------------------------------------------- */

static const char *dim(const cli_chat *c) { return c->has_color ? "\033[2m" : ""; }

static const char *bright(const cli_chat *c) { return c->has_color ? "\033[0m" : ""; }

static ENX_PRINTF(2, 3) void note(const cli_chat *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs(dim(c), stderr);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "%s\n", bright(c));
    va_end(arguments);
}

/* Show what the answer has got, the thought dim and on stderr. */
static void show(cli_chat *c)
{
    const size_t thought = c->thought.size_bytes - c->thought_shown;
    const size_t text = c->text.size_bytes - c->text_shown;
    if (c->is_mute) return;
    if (thought) {
        fputs(dim(c), stderr);
        cli_write_text(stderr, c->thought.data + c->thought_shown, thought);
        fputs(bright(c), stderr);
        fflush(stderr);
        c->thought_shown = c->thought.size_bytes;
    }
    if (text) {
        const char *before = enx_buf_text(&c->thought); /* a blank line between the two */
        if (c->text_shown == 0 && *before)
            fputs(before[c->thought.size_bytes - 1] == '\n' ? "\n" : "\n\n", stderr);
        cli_write_text(stdout, c->text.data + c->text_shown, text);
        fflush(stdout);
        c->text_shown = c->text.size_bytes;
    }
}

static void end_line(const cli_chat *c)
{
    const enx_buf *last = c->text.size_bytes ? &c->text : &c->thought;
    if (c->is_mute || last->size_bytes == 0 || last->data[last->size_bytes - 1] == '\n') return;
    fputc('\n', last == &c->text ? stdout : stderr);
    fflush(stdout);
}

static double rate(uint64_t count, uint64_t us)
{
    return us ? (double)count * US_PER_S / (double)us : 0;
}

static void show_cost(const cli_chat *c, const char *what, const cli_chat_cost *cost)
{
    char           money[CLI_MONEY_BYTES];
    /* the first token comes with the prompt's last */
    const uint64_t written = cost->usage.tokens_out ? cost->usage.tokens_out - 1 : 0;
    fprintf(stderr, "%s[%s%llu tokens read at %.1f/s, %llu cached, %llu written at %.1f/s", dim(c),
            what, (unsigned long long)cost->usage.tokens_in,
            rate(cost->usage.tokens_in, cost->read_us),
            (unsigned long long)cost->usage.tokens_cached,
            (unsigned long long)cost->usage.tokens_out, rate(written, cost->write_us));
    if (c->has_price) fprintf(stderr, "; %s", cli_money(money, cost->usd_nano));
    fprintf(stderr, "]%s\n", bright(c));
}

/* ---- Prompts -------------------------------------------------------------------------------- */

/* What a prompt leaves free for the answer. */
static uint32_t room_of(const cli_chat *c)
{
    const uint32_t most = enx_engine_context_tokens(c->engine) / ROOM_SHARE;
    return c->max_tokens && c->max_tokens < most ? (uint32_t)c->max_tokens : most;
}

/* Forget the oldest exchanges when the prompt leaves no room; then until it fills half of the
 * context, for after that everything is read again, which should not happen at every turn. */
static enx_status make_prompt(cli_chat *c, enx_tokens *prompt, bool *is_thinking,
                              enx_report *report)
{
    const uint32_t context = enx_engine_context_tokens(c->engine);
    const int64_t  now_s = (int64_t)(enx_clock_wall_us() / US_PER_S);
    uint32_t       most = context - room_of(c), dropped = 0;
    for (;; most = context / 2, dropped++) {
        prompt->count = 0;
        ENX_TRY(enx_chat_prompt(c->chat, c->talk.messages, now_s, prompt, is_thinking, report));
        if (prompt->count <= most || !cli_talk_drop_oldest(&c->talk)) break;
    }
    if (prompt->count >= context)
        return ENX_FAIL(report, LIMIT,
                        "the question needs %zu tokens with its frame, the context holds %u and "
                        "an answer; ask for less, or for more by --context",
                        prompt->count, context);
    c->forgotten_count += dropped;
    if (dropped)
        note(c,
             "[the context of %u tokens is full: the oldest exchanges are forgotten, %u of them]",
             context, dropped);
    return ENX_OK;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static void on_token(void *user, uint32_t token, float logprob)
{
    cli_chat *c = user;
    size_t    size = 0;
    (void)logprob;
    if (c->first_us == 0) c->first_us = enx_clock_monotonic_us();
    cli_answer_push(&c->answer, token);
    const char *news = cli_answer_take_news(&c->answer, &size);
    if (c->answer.status == ENX_OK) c->answer.status = enx_thought_push(&c->split, news, size);
    show(c);
}

static void on_done(void *owner, const enx_generation *g)
{
    cli_chat *c = owner;
    size_t    size = 0;
    cli_answer_finish(&c->answer);
    const char *news = cli_answer_take_news(&c->answer, &size);
    if (c->answer.status == ENX_OK) c->answer.status = enx_thought_push(&c->split, news, size);
    if (c->answer.status == ENX_OK) c->answer.status = enx_thought_finish(&c->split);
    show(c);
    c->finish = c->answer.stopper.is_stopped ? ENX_FINISH_STOP : g->finish;
    c->last.usage = g->usage;
    c->is_done = true;
}

static enx_status start(cli_chat *c, const enx_tokens *prompt, bool is_thinking, uint64_t *id,
                        enx_report *report)
{
    enx_request request = { .prompt = prompt->ids,
                            .prompt_count = (uint32_t)prompt->count,
                            .max_tokens = c->max_tokens ? (uint32_t)c->max_tokens
                                                        : enx_engine_context_tokens(c->engine),
                            .eos = enx_tokenizer_eos(c->loaded.tokenizer),
                            .tokenizer = c->loaded.tokenizer,
                            .mask = c->mask,
                            .skips_forced = true,
                            .on_token = on_token,
                            .user = c };
    ENX_TRY(cli_sampling_get(&c->sampling, c->loaded.tokenizer, &request.sampling, report));
    cli_answer_deinit(&c->answer);
    ENX_TRY(cli_answer_init(&c->answer, c->loaded.tokenizer, &c->sampling.stops, report));
    enx_buf_clear(&c->thought);
    enx_buf_clear(&c->text);
    enx_thought_init(&c->split, is_thinking, &c->thought, &c->text);
    c->thought_shown = c->text_shown = 0;
    c->is_done = c->was_stopped = false;
    c->first_us = 0;
    c->prompt_count = request.prompt_count;
    c->last = (cli_chat_cost){ .read_us = 0 };
    c->start_us = enx_clock_monotonic_us();
    return enx_engine_submit(c->engine, &request, id, report);
}

static void settle(cli_chat *c)
{
    const uint64_t        now_us = enx_clock_monotonic_us();
    const enx_usage_count count = { c->last.usage.tokens_in, c->last.usage.tokens_cached,
                                    c->last.usage.tokens_out };
    c->last.read_us = (c->first_us ? c->first_us : now_us) - c->start_us;
    c->last.write_us = c->first_us ? now_us - c->first_us : 0;
    c->last.usd_nano = enx_price_cost(&c->price, &count);
    c->all.usage.tokens_in += count.tokens_in;
    c->all.usage.tokens_cached += count.tokens_cached;
    c->all.usage.tokens_out += count.tokens_out;
    c->all.read_us += c->last.read_us;
    c->all.write_us += c->last.write_us;
    c->all.usd_nano += c->last.usd_nano;
}

/* Say why the answer ends where it does, when that is not its own end. */
static void explain_end(const cli_chat *c)
{
    const uint64_t used = c->prompt_count + c->last.usage.tokens_out;
    if (c->was_stopped) note(c, "[stopped]");
    else if (c->finish == ENX_FINISH_STUCK) note(c, "[the grammar allowed no token]");
    else if (c->finish == ENX_FINISH_LENGTH && used >= enx_engine_context_tokens(c->engine))
        note(c, "[the context is full: the answer is cut; --context makes it larger]");
    else if (c->finish == ENX_FINISH_LENGTH)
        note(c, "[%llu tokens: the answer is cut]", (unsigned long long)c->max_tokens);
    else if (c->text.size_bytes == 0) note(c, "[an answer without words]");
}

static enx_status run(cli_chat *c, const enx_tokens *prompt, bool is_thinking, enx_report *report)
{
    uint64_t id = 0;
    ENX_TRY(start(c, prompt, is_thinking, &id, report));
    while (!c->is_done) {
        if (cli_was_interrupted() || cli_is_ending()) c->was_stopped = true;
        if (c->was_stopped || cli_answer_is_over(&c->answer)) enx_engine_cancel(c->engine, id);
        enx_engine_step(c->engine, on_done, c);
    }
    cli_forget_interrupts();
    settle(c);
    end_line(c);
    explain_end(c);
    if (!c->is_quiet) show_cost(c, "", &c->last);
    return c->answer.status == ENX_OK ? ENX_OK
                                      : ENX_FAIL(report, NOMEM, "no memory for the answer");
}

/* Text as messages hold it: UTF-8, without zero bytes and white space at its end. */
static json_t *clean(const enx_buf *text)
{
    size_t size = text->size_bytes;
    for (size_t i = 0; i < size; i++)
        if (text->data[i] == '\0') text->data[i] = ' ';
    while (size > 0 && strchr(" \n\t\r", text->data[size - 1])) size--;
    return cli_json_text(enx_buf_text(text), size);
}

static enx_status keep_answer(cli_chat *c, enx_report *report)
{
    json_t    *text = clean(&c->text), *thought = clean(&c->thought);
    enx_status status =
        text && thought ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for the answer");
    if (status == ENX_OK)
        status =
            cli_talk_answer(&c->talk, json_string_value(text), json_string_value(thought), report);
    json_decref(text);
    json_decref(thought);
    return status;
}

/* The conversation ends in a question: answer it. */
static enx_status answer(cli_chat *c, enx_report *report)
{
    enx_tokens prompt;
    bool       is_thinking = false;
    enx_tokens_init(&prompt, PROMPT_TOKENS_MAX);
    enx_status status = make_prompt(c, &prompt, &is_thinking, report);
    if (status == ENX_OK) status = run(c, &prompt, is_thinking, report);
    if (status == ENX_OK) status = keep_answer(c, report);
    enx_tokens_deinit(&prompt);
    return status;
}

static bool is_wordless(const cli_chat *c)
{
    return c->was_stopped && c->text.size_bytes == 0 && c->thought.size_bytes == 0;
}

/* Answer, or put the conversation back as `before`, which is taken. */
static enx_status answer_or_restore(cli_chat *c, json_t *before, enx_report *report)
{
    if (!before) return ENX_FAIL(report, NOMEM, "no memory for the conversation");
    const uint32_t   forgotten_before = c->forgotten_count;
    const enx_status status = answer(c, report);
    if (status == ENX_OK && !is_wordless(c)) {
        json_decref(before);
        return ENX_OK;
    }
    if (status == ENX_OK) note(c, "[nothing was written: the conversation is as before]");
    json_decref(c->talk.messages);
    c->talk.messages = before;
    c->forgotten_count = forgotten_before;
    return status;
}

enx_status cli_chat_ask(cli_chat *c, const char *question, enx_report *report)
{
    json_t          *before = json_copy(c->talk.messages);
    const enx_status status = cli_talk_ask(&c->talk, question, report);
    if (status == ENX_OK) return answer_or_restore(c, before, report);
    json_decref(before);
    return status;
}

json_t *cli_chat_json(const cli_chat *c)
{
    static const char *const finish_words[] = { "stop", "length", "stuck", "canceled" };
    const cli_chat_cost     *all = &c->all;
    return json_pack("{s:O, s:s, s:{s:I, s:I, s:I}, s:{s:f, s:f}, s:o, s:i}", "messages",
                     c->talk.messages, "finish",
                     finish_words[c->was_stopped ? ENX_FINISH_CANCELED : c->finish], "usage",
                     "tokens_in", (json_int_t)all->usage.tokens_in, "tokens_cached",
                     (json_int_t)all->usage.tokens_cached, "tokens_out",
                     (json_int_t)all->usage.tokens_out, "seconds", "read",
                     (double)all->read_us / US_PER_S, "write", (double)all->write_us / US_PER_S,
                     "cost_usd", c->has_price ? cli_json_usd(all->usd_nano) : json_null(),
                     "forgotten", (int)c->forgotten_count);
}

/* ---- Commands ------------------------------------------------------------------------------- */

static void print_help(void)
{
    for (int i = 0; i < CLI_COMMAND_COUNT; i++) {
        char              left[32];
        const cli_command one = (cli_command)i;
        snprintf(left, sizeof left, "/%s %s", cli_command_word(one), cli_command_argument(one));
        fprintf(stderr, "  %-18s %s\n", left, cli_command_help(one));
    }
    fprintf(stderr, "\n  A line that ends in \\ goes on in the next; \"\"\" begins and ends a "
                    "block of lines.\n  //text is the message /text.  Ctrl-C stops an answer.\n");
}

static enx_status set_system(cli_chat *c, const char *text, enx_report *report)
{
    if (text[0]) return cli_talk_set_system(&c->talk, strcmp(text, "-") == 0 ? "" : text, report);
    const char *now = cli_talk_system(&c->talk);
    if (!now) note(c, "[no system prompt]");
    else {
        cli_write_text(stderr, now, strlen(now));
        fputc('\n', stderr);
    }
    return ENX_OK;
}

static void print_settings(const cli_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const cli_option *o = &options[i];
        if (o->kind == CLI_UINT)
            fprintf(stderr, "  %-18s %llu\n", o->name,
                    (unsigned long long)*(const uint64_t *)o->value);
        if (o->kind == CLI_REAL)
            fprintf(stderr, "  %-18s %g\n", o->name, *(const double *)o->value);
    }
}

/* "KEY VALUE"; "" prints what is set. */
static enx_status set_number(cli_chat *c, const char *text, enx_report *report)
{
    cli_option         options[CLI_SAMPLING_OPTIONS + 1];
    char               name[64] = "";
    const cli_sampling kept = c->sampling;
    const uint64_t     kept_tokens = c->max_tokens;
    const size_t size = strcspn(text, " \t="), count = cli_sampling_options(&c->sampling, options);
    options[count] = (cli_option){ "tokens", 'n', CLI_UINT, &c->max_tokens, "N", NULL };
    if (!text[0]) {
        print_settings(options, count + 1);
        return ENX_OK;
    }
    memcpy(name, text, size < sizeof name ? size : sizeof name - 1);
    const char *value = text + size + strspn(text + size, " \t=");
    enx_status  status = cli_set_number(options, count + 1, name, value, report);
    if (status == ENX_OK) status = cli_sampling_check(&c->sampling, report);
    if (status == ENX_OK && c->max_tokens > ENX_ENGINE_CONTEXT_MAX)
        status = ENX_FAIL(report, INVALID, "tokens: at most %d", ENX_ENGINE_CONTEXT_MAX);
    if (status == ENX_OK) return ENX_OK;
    c->sampling = kept;
    c->max_tokens = kept_tokens;
    return status;
}

static void note_file(const cli_chat *c, const char *path, const char *what)
{
    const size_t count = cli_talk_exchange_count(&c->talk);
    note(c, "[%s is %s: %zu exchange%s]", path, what, count, count == 1 ? "" : "s");
}

static enx_status save(const cli_chat *c, const char *path, enx_report *report)
{
    enx_buf text;
    json_t *json = json_pack("{s:O}", "messages", c->talk.messages);
    enx_buf_init(&text, CLI_TALK_BYTES_MAX);
    enx_status status = cli_json_append(&text, json);
    if (status != ENX_OK) status = ENX_FAIL(report, LIMIT, "the conversation is too large");
    if (status == ENX_OK) status = enx_buf_append(&text, "\n", 1);
    if (status == ENX_OK) status = enx_file_write(path, text.data, text.size_bytes, report);
    if (status == ENX_OK) note_file(c, path, "saved");
    json_decref(json);
    enx_buf_deinit(&text);
    return status;
}

static enx_status load(cli_chat *c, const char *path, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, CLI_TALK_BYTES_MAX);
    enx_status status = cli_read(&text, path, report);
    if (status == ENX_OK) {
        status = cli_talk_load(&c->talk, enx_buf_text(&text), text.size_bytes, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    if (status == ENX_OK) note_file(c, path, "loaded");
    enx_buf_deinit(&text);
    return status;
}

static enx_status retry(cli_chat *c, enx_report *report)
{
    json_t *before = json_copy(c->talk.messages);
    if (cli_talk_exchange_count(&c->talk) == 0) {
        json_decref(before);
        return ENX_FAIL(report, INVALID, "/retry: there is no question yet");
    }
    cli_talk_drop_answer(&c->talk);
    c->sampling.seed++;
    return answer_or_restore(c, before, report);
}

static void print_stats(const cli_chat *c)
{
    const size_t count = cli_talk_exchange_count(&c->talk);
    note(c, "[%zu exchange%s, %u forgotten; the last filled %llu of %u tokens; seed %llu]", count,
         count == 1 ? "" : "s", c->forgotten_count,
         (unsigned long long)(c->prompt_count + c->last.usage.tokens_out),
         enx_engine_context_tokens(c->engine), (unsigned long long)c->sampling.seed);
    show_cost(c, "all: ", &c->all);
}

enx_status cli_chat_command(cli_chat *c, const char *line, bool *is_end, enx_report *report)
{
    cli_command command = CLI_COMMAND_HELP;
    const char *argument = NULL;
    ENX_TRY(cli_command_parse(line, &command, &argument, report));
    *is_end = command == CLI_COMMAND_QUIT;
    switch (command) {
    case CLI_COMMAND_HELP:
        print_help();
        return ENX_OK;
    case CLI_COMMAND_CLEAR:
        cli_talk_clear(&c->talk);
        return ENX_OK;
    case CLI_COMMAND_SYSTEM:
        return set_system(c, argument, report);
    case CLI_COMMAND_UNDO:
        return cli_talk_drop_last(&c->talk)
                   ? ENX_OK
                   : ENX_FAIL(report, INVALID, "/undo: there is no exchange to drop");
    case CLI_COMMAND_RETRY:
        return retry(c, report);
    case CLI_COMMAND_SAVE:
        return save(c, argument, report);
    case CLI_COMMAND_LOAD:
        return load(c, argument, report);
    case CLI_COMMAND_SET:
        return set_number(c, argument, report);
    case CLI_COMMAND_STATS:
        print_stats(c);
        return ENX_OK;
    case CLI_COMMAND_QUIT:
    case CLI_COMMAND_COUNT:
        break;
    }
    return ENX_OK;
}
