/* SPDX-License-Identifier: Apache-2.0 */
/* cli_author_api.c - answers as calls to a provider. */
#include "cli/cli_author_api.h"

#include "base/mem.h"

#include <string.h>

enum {
    POLL_US = 100000,
    TOKEN_BYTES = 4, /* about, while a text is still coming */
};

typedef struct api_author api_author;

typedef struct api_seat {
    api_author *all;
    uint32_t    number;
    uint64_t    id; /* of the call under way */
    bool        is_open;
    uint64_t    bytes, tokens; /* of its text, so far */
    enx_buf     text;
} api_seat;

struct api_author {
    cli_author             base; /* first: a pointer to it is one to this */
    cli_author_api_options options;
    api_seat               seats[CLI_AUTHOR_SEATS_MAX];
    bool                   is_stopping;
    enx_status             status; /* of a call that failed as the next one would */
    enx_report             report;
};

/* ---- What comes ----------------------------------------------------------------------------- */

static void on_text(void *user, const char *text, size_t text_bytes)
{
    api_seat                  *seat = user;
    const cli_author_listener *to = &seat->all->base.listener;
    (void)text;
    seat->bytes += text_bytes;
    const uint64_t more = (seat->bytes + TOKEN_BYTES - 1) / TOKEN_BYTES - seat->tokens;
    seat->tokens += more;
    if (more && !seat->all->is_stopping) to->on_tokens(to->user, seat->number, more);
}

/* Why there is no answer; NULL: there is one. */
static const char *loss_of(const api_seat *seat, const enx_call_report *r)
{
    if (r->status != ENX_CALL_OK) return r->error ? r->error : enx_call_status_text(r->status);
    if (seat->text.size_bytes != r->answer_bytes) return "the text is longer than one may be";
    return NULL;
}

static void on_report(void *user, const enx_call_report *r)
{
    api_seat                  *seat = user;
    api_author                *a = seat->all;
    const cli_author_listener *to = &a->base.listener;
    seat->is_open = false;
    a->base.usage.tokens_in += r->usage.tokens_in;
    a->base.usage.tokens_cached += r->usage.tokens_cached;
    a->base.usage.tokens_out += r->usage.tokens_out;
    if (a->is_stopping) return;
    if (r->status == ENX_CALL_ERROR && !(r->flags & ENX_FLAG_MALFORMED)) {
        a->status = ENX_FAIL(&a->report, IO, "%s", r->error);
        return;
    }
    enx_buf_clear(&seat->text);
    (void)!enx_buf_append(&seat->text, r->answer, r->answer_bytes); /* loss_of looks */
    const cli_author_answer answer = { .text = enx_buf_text(&seat->text),
                                       .tokens = r->usage.tokens_out,
                                       .is_cut = (r->flags & ENX_FLAG_TRUNCATED) != 0,
                                       .lost = loss_of(seat, r) };
    to->on_answer(to->user, seat->number, &answer);
}

/* ---- What is asked -------------------------------------------------------------------------- */

static enx_api_role role_of(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    if (strcmp(role, "system") == 0) return ENX_API_SYSTEM;
    return strcmp(role, "assistant") == 0 ? ENX_API_ASSISTANT : ENX_API_USER;
}

static enx_status begin(cli_author *author, uint32_t number, const json_t *messages, uint64_t seed,
                        enx_report *report)
{
    api_author         *a = (api_author *)author;
    api_seat           *seat = &a->seats[number];
    const cli_sampling *s = a->options.sampling;
    enx_api_message     list[ENX_API_MESSAGES_MAX];
    size_t              i;
    const json_t       *message;
    if (json_array_size(messages) > ENX_API_MESSAGES_MAX)
        return ENX_FAIL(report, LIMIT, "%zu messages; an API takes at most %d",
                        json_array_size(messages), ENX_API_MESSAGES_MAX);
    json_array_foreach (messages, i, message) {
        const json_t *content = json_object_get(message, "content");
        list[i] = (enx_api_message){ role_of(message), json_string_value(content),
                                     json_string_length(content) };
    }
    const enx_api_request request = { .messages = list,
                                      .message_count = json_array_size(messages),
                                      .max_tokens = a->options.max_tokens,
                                      .temperature = s->temperature,
                                      .top_p = s->top_p < 1 ? s->top_p : 0,
                                      .has_seed = true,
                                      .seed = (uint32_t)seed,
                                      .stops = s->stops.items,
                                      .stop_count = s->stops.count };
    const cli_asked_talk  talk = { a->options.model, &request, on_text, on_report, seat };
    seat->bytes = seat->tokens = 0;
    ENX_TRY(cli_asked_begin(a->options.asked, &talk, &seat->id, report));
    seat->is_open = true;
    return ENX_OK;
}

static enx_status step(cli_author *author, enx_report *report)
{
    api_author *a = (api_author *)author;
    cli_asked_poll(a->options.asked, POLL_US);
    if (a->status != ENX_OK) *report = a->report;
    return a->status;
}

static void wake(cli_author *author, bool is_over)
{
    (void)is_over;
    cli_asked_wake(((api_author *)author)->options.asked);
}

static bool is_any_open(const api_author *a)
{
    for (uint32_t i = 0; i < CLI_AUTHOR_SEATS_MAX; i++)
        if (a->seats[i].is_open) return true;
    return false;
}

static void stop(cli_author *author)
{
    api_author *a = (api_author *)author;
    a->is_stopping = true;
    for (uint32_t i = 0; i < CLI_AUTHOR_SEATS_MAX; i++)
        if (a->seats[i].is_open) cli_asked_cancel(a->options.asked, a->seats[i].id);
    while (is_any_open(a)) cli_asked_poll(a->options.asked, POLL_US);
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static void close_author(cli_author **author)
{
    api_author *a = (api_author *)*author;
    for (uint32_t i = 0; i < CLI_AUTHOR_SEATS_MAX; i++) enx_buf_deinit(&a->seats[i].text);
    enx_mem_free(a);
    *author = NULL;
}

enx_status cli_author_api_open(cli_author **out, const cli_author_api_options *options,
                               enx_report *report)
{
    ENX_TRY(cli_sampling_check_api(options->sampling, report));
    api_author *a = ENX_MEM_NEW(api_author, 1);
    if (!a) return ENX_FAIL(report, NOMEM, "no memory for a model that writes");
    a->options = *options;
    a->base = (cli_author){
        .begin = begin, .step = step, .wake = wake, .stop = stop, .close = close_author
    };
    for (uint32_t i = 0; i < CLI_AUTHOR_SEATS_MAX; i++) {
        a->seats[i].all = a;
        a->seats[i].number = i;
        enx_buf_init(&a->seats[i].text, CLI_TEXT_BYTES_MAX);
    }
    *out = &a->base;
    return ENX_OK;
}
