/* SPDX-License-Identifier: Apache-2.0 */
/* cli_chat.c - questions, answers as they come, and the commands.
 *
 * A conversation is copied (the list, not the messages) before anything is done to it, and put back
 * when that fails.  The server's threads only ring (`has_news`) and leave the bill; everything else
 * is the main thread's. */
#include "cli/cli_chat.h"

#include "base/mem.h"
#include "cli/cli_artifact.h"
#include "cli/cli_bill.h"
#include "plat/clock.h"
#include "plat/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    ROOM_SHARE = 4,
    US_PER_S = 1000000,
    NANO_PER_S = 1000000000,
    LOOK_NANO = 20000000, /* how often it looks for Ctrl-C while nothing comes */
    READ_BYTES = 1 << 14,
    EVENT_BYTES_MAX = 1 << 20,
};

enx_status cli_chat_init(cli_chat *c, enx_report *report)
{
    *c = (cli_chat){ .has_color = cli_has_color() };
    enx_buf_init(&c->thought, CLI_TEXT_BYTES_MAX);
    enx_buf_init(&c->text, CLI_TEXT_BYTES_MAX);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->news, NULL);
    return cli_talk_init(&c->talk, report);
}

void cli_chat_deinit(cli_chat *c)
{
    enx_serve_close(&c->serve);
    cli_sampling_deinit(&c->sampling);
    cli_talk_deinit(&c->talk);
    enx_buf_deinit(&c->thought);
    enx_buf_deinit(&c->text);
    pthread_cond_destroy(&c->news);
    pthread_mutex_destroy(&c->lock);
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

/* ---- The server ----------------------------------------------------------------------------- */

/* Called on the server's threads, as cli_chat_told is. */
static void ring(void *user)
{
    cli_chat *c = user;
    pthread_mutex_lock(&c->lock);
    c->has_news = true;
    pthread_cond_signal(&c->news);
    pthread_mutex_unlock(&c->lock);
}

void cli_chat_told(void *user, const enx_turn_bill *bill)
{
    cli_chat *c = user;
    pthread_mutex_lock(&c->lock);
    c->bill = *bill;
    c->is_billed = true;
    pthread_mutex_unlock(&c->lock);
    ring(c);
}

/* Until the server rings, at most LOOK_NANO.  Is the bill there? */
static bool wait_for_news(cli_chat *c)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_NANO;
    until.tv_sec += until.tv_nsec / NANO_PER_S;
    until.tv_nsec %= NANO_PER_S;
    pthread_mutex_lock(&c->lock);
    while (!c->has_news && pthread_cond_timedwait(&c->news, &c->lock, &until) == 0) continue;
    c->has_news = false;
    const bool is_billed = c->is_billed;
    pthread_mutex_unlock(&c->lock);
    return is_billed;
}

/* The sentence of an error in OpenAI's shape. */
static enx_status take_error(const json_t *json, enx_status status, enx_report *report)
{
    const json_t *text = json_object_get(json_object_get(json, "error"), "message");
    if (!report) return status;
    report->status = status;
    snprintf(report->text, sizeof report->text, "%s",
             json_is_string(text) ? json_string_value(text) : "the answer cannot be read");
    return status;
}

static enx_status status_of(int http_status)
{
    switch (http_status) {
    case 200:
        return ENX_OK;
    case 400:
        return ENX_INVALID;
    case 404:
        return ENX_NOTFOUND;
    case 429:
        return ENX_BUDGET;
    case 502:
        return ENX_IO;
    default:
        return ENX_CANCELED;
    }
}

/* An answer that is not streamed. */
static enx_status take_whole(enx_reply *reply, json_t **out, enx_report *report)
{
    size_t           size = 0;
    char            *bytes = enx_reply_take_whole(reply, &size);
    json_t          *json = bytes ? json_loadb(bytes, size, 0, NULL) : NULL;
    const enx_status status = status_of(enx_reply_status(reply));
    enx_mem_free(bytes);
    if (status == ENX_OK && json) {
        *out = json;
        return ENX_OK;
    }
    (void)!take_error(json, status == ENX_OK ? ENX_FORMAT : status, report);
    json_decref(json);
    return report ? report->status : ENX_FORMAT;
}

/* The conversation as a question; NULL: no memory. */
static enx_question *make_question(const cli_chat *c)
{
    enx_question *q = enx_question_open(json_object());
    if (!q) return NULL;
    q->model = c->model;
    q->messages = json_deep_copy(c->talk.messages);
    q->max_tokens = (uint32_t)c->max_tokens;
    if (q->messages) return q;
    enx_question_close(&q);
    return NULL;
}

static enx_reply *open_reply(cli_chat *c)
{
    enx_reply *reply = enx_reply_open();
    if (reply) enx_reply_on_news(reply, ring, NULL, c);
    pthread_mutex_lock(&c->lock);
    c->is_billed = c->has_news = false;
    pthread_mutex_unlock(&c->lock);
    return reply;
}

/* ---- Prompts -------------------------------------------------------------------------------- */

/* Tokens of the conversation as a prompt. */
static enx_status count_prompt(cli_chat *c, uint64_t *count, enx_report *report)
{
    enx_question *q = make_question(c);
    enx_reply    *reply = q ? open_reply(c) : NULL;
    json_t       *json = NULL;
    if (!reply) {
        enx_question_close(&q);
        return ENX_FAIL(report, NOMEM, "no memory for the question");
    }
    q->is_count = true;
    enx_serve_ask(c->serve, q, reply);
    while (enx_reply_poll(reply, NULL, NULL) == ENX_REPLY_WAITS) wait_for_news(c);
    const enx_status status = take_whole(reply, &json, report);
    if (status == ENX_OK)
        *count = (uint64_t)json_integer_value(json_object_get(json, "input_tokens"));
    json_decref(json);
    enx_reply_drop(&reply);
    return status;
}

/* What a prompt leaves free for the answer. */
static uint32_t room_of(const cli_chat *c)
{
    const uint32_t most = c->context_tokens / ROOM_SHARE;
    return c->max_tokens && c->max_tokens < most ? (uint32_t)c->max_tokens : most;
}

/* Forget the oldest exchanges when the prompt leaves no room; then until it fills half of the
 * context, for after that everything is read again, which should not happen at every turn.  What
 * models elsewhere hold is not known: they say themselves when it is too much. */
static enx_status make_room(cli_chat *c, enx_report *report)
{
    const uint32_t context = c->context_tokens;
    uint32_t       most = context - room_of(c), dropped = 0;
    uint64_t       count = 0;
    if (context == 0) return ENX_OK;
    for (;; most = context / 2, dropped++) {
        ENX_TRY(count_prompt(c, &count, report));
        if (count <= most || !cli_talk_drop_oldest(&c->talk)) break;
    }
    if (count >= context)
        return ENX_FAIL(report, LIMIT,
                        "the question needs %llu tokens with its frame, the context holds %u and "
                        "an answer; ask for less, or for more by --context",
                        (unsigned long long)count, context);
    c->forgotten_count += dropped;
    if (dropped)
        note(c,
             "[the context of %u tokens is full: the oldest exchanges are forgotten, %u of them]",
             context, dropped);
    return ENX_OK;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static enx_status append_part(enx_buf *to, const json_t *part, enx_report *report)
{
    if (!json_is_string(part) ||
        enx_buf_append(to, json_string_value(part), json_string_length(part)) == ENX_OK)
        return ENX_OK;
    return ENX_FAIL(report, NOMEM, "no memory for the answer");
}

static enx_status take_event(void *user, const char *event, const char *data, size_t data_bytes,
                             enx_report *report)
{
    cli_chat *c = user;
    (void)event;
    json_t *json = json_loadb(data, data_bytes, 0, NULL);
    if (!json) return ENX_OK; /* [DONE] */
    const json_t *choice = json_array_get(json_object_get(json, "choices"), 0);
    const json_t *delta = json_object_get(choice, "delta");
    enx_status    status = ENX_OK;
    if (json_object_get(json, "error")) status = take_error(json, ENX_CANCELED, report);
    if (status == ENX_OK)
        status = append_part(&c->thought, json_object_get(delta, "reasoning_content"), report);
    if (status == ENX_OK) status = append_part(&c->text, json_object_get(delta, "content"), report);
    json_decref(json);
    show(c);
    return status;
}

/* Take what has come.  *is_over: that was all. */
static enx_status listen(cli_chat *c, enx_reply *reply, enx_sse *sse, bool *is_over,
                         enx_report *report)
{
    char                  bytes[READ_BYTES];
    const enx_reply_state state = enx_reply_poll(reply, NULL, NULL);
    json_t               *json = NULL;
    if (state == ENX_REPLY_WAITS) return ENX_OK;
    if (state == ENX_REPLY_WHOLE) { /* a stream that did not begin */
        const enx_status status = take_whole(reply, &json, report);
        json_decref(json);
        return status == ENX_OK ? ENX_FAIL(report, FORMAT, "the answer is no stream") : status;
    }
    for (;;) {
        const size_t size = enx_reply_take(reply, bytes, sizeof bytes, is_over, NULL, NULL);
        if (size == 0) return ENX_OK;
        ENX_TRY(enx_sse_push(sse, bytes, size, take_event, c, report));
    }
}

static enx_status follow(cli_chat *c, enx_reply *reply, enx_report *report)
{
    enx_sse    sse;
    bool       is_over = false;
    enx_status status = ENX_OK;
    enx_sse_init(&sse, EVENT_BYTES_MAX);
    while (status == ENX_OK && !is_over && !c->was_stopped) {
        if (cli_was_interrupted() || cli_is_ending()) c->was_stopped = true;
        status = listen(c, reply, &sse, &is_over, report);
        if (status == ENX_OK && !is_over && !c->was_stopped) wait_for_news(c);
    }
    enx_sse_deinit(&sse);
    if (!c->was_stopped) return status;
    enx_reply_leave(reply); /* whoever answers finds out, stops, and tells the bill */
    while (!wait_for_news(c)) continue;
    return ENX_OK;
}

static void begin_answer(cli_chat *c)
{
    enx_buf_clear(&c->thought);
    enx_buf_clear(&c->text);
    c->thought_shown = c->text_shown = 0;
    c->was_stopped = false;
    c->last = (cli_chat_cost){ .read_us = 0 };
}

static enx_status ask(cli_chat *c, enx_reply *reply, enx_question *q, enx_report *report)
{
    enx_sampling      sampling;
    const enx_loaded *loaded = enx_serve_loaded(c->serve, c->model);
    if (loaded) {
        const enx_status status =
            cli_sampling_get(&c->sampling, loaded->tokenizer, &sampling, report);
        if (status != ENX_OK) {
            enx_question_close(&q);
            return status;
        }
        q->sampling = &sampling;
        q->grammar = c->sampling.rules;
    }
    q->temperature = c->sampling.temperature;
    q->top_p = c->sampling.top_p;
    q->is_stream = true;
    for (size_t i = 0; i < c->sampling.stops.count && i < ENX_QUESTION_STOPS_MAX; i++)
        q->stops[q->stop_count++] = c->sampling.stops.items[i];
    enx_serve_ask(c->serve, q, reply);
    return follow(c, reply, report);
}

static void settle(cli_chat *c)
{
    const enx_turn_bill  *bill = &c->bill;
    const enx_usage_count count = bill->usage;
    c->last = (cli_chat_cost){ count, bill->read_us, bill->write_us,
                               c->has_own_price ? enx_price_cost(&c->price, &count)
                                                : bill->cost_usd_nano };
    c->end = bill->end;
    c->prompt_count = (uint32_t)(count.tokens_in + count.tokens_cached);
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
    else if (c->end == ENX_END_STUCK) note(c, "[the grammar allowed no token]");
    else if (c->end == ENX_END_REFUSED) note(c, "[the model refuses]");
    else if (c->end == ENX_END_LENGTH && c->context_tokens && used >= c->context_tokens)
        note(c, "[the context is full: the answer is cut; --context makes it larger]");
    else if (c->end == ENX_END_LENGTH && c->max_tokens)
        note(c, "[%llu tokens: the answer is cut]", (unsigned long long)c->max_tokens);
    else if (c->end == ENX_END_LENGTH) note(c, "[the answer is cut]");
    else if (c->text.size_bytes == 0) note(c, "[an answer without words]");
}

static enx_status run(cli_chat *c, enx_report *report)
{
    enx_question *q = make_question(c);
    enx_reply    *reply = q ? open_reply(c) : NULL;
    if (!reply) {
        enx_question_close(&q);
        return ENX_FAIL(report, NOMEM, "no memory for the question");
    }
    begin_answer(c);
    const enx_status status = ask(c, reply, q, report);
    enx_reply_drop(&reply);
    cli_forget_interrupts();
    if (status != ENX_OK) return status;
    settle(c);
    end_line(c);
    explain_end(c);
    if (!c->is_quiet) show_cost(c, "", &c->last);
    return ENX_OK;
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
    ENX_TRY(make_room(c, report));
    ENX_TRY(run(c, report));
    return keep_answer(c, report);
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
    static const char *const finish_words[] = { "stop", "stop", "length", "stuck", "refused" };
    const cli_chat_cost     *all = &c->all;
    return json_pack("{s:O, s:s, s:{s:I, s:I, s:I}, s:{s:f, s:f}, s:o, s:i}", "messages",
                     c->talk.messages, "finish", c->was_stopped ? "canceled" : finish_words[c->end],
                     "usage", "tokens_in", (json_int_t)all->usage.tokens_in, "tokens_cached",
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

/* Without a file's name one is made below the home, and the browser is asked to show it. */
static enx_status show_artifacts(const cli_chat *c, const char *file, enx_report *report)
{
    char home[CLI_PATH_BYTES_MAX], path[CLI_PATH_BYTES_MAX + 48];
    if (file[0]) {
        ENX_TRY(cli_artifact_write(c->talk.messages, file, report));
        note_file(c, file, "written");
        return ENX_OK;
    }
    ENX_TRY(cli_home(home, report));
    snprintf(path, sizeof path, "%s/artifacts", home);
    ENX_TRY(enx_dir_make(path, report));
    snprintf(path, sizeof path, "%s/artifacts/chat-%llu.html", home,
             (unsigned long long)enx_clock_wall_us());
    ENX_TRY(cli_artifact_write(c->talk.messages, path, report));
    note_file(c, path, "written");
    return cli_artifact_show(path, report);
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
         (unsigned long long)(c->prompt_count + c->last.usage.tokens_out), c->context_tokens,
         (unsigned long long)c->sampling.seed);
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
    case CLI_COMMAND_OPEN:
        return show_artifacts(c, argument, report);
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
