/* SPDX-License-Identifier: Apache-2.0 */
/* cli_chat.h - a conversation with one model: questions in, answers on the screen.
 *
 * The conversation goes through the same layer as the API of `enxame serve` (serve/serve.h),
 * without a socket: questions are answered as those of clients are, by a model of this machine or
 * behind an API.  What a model of this machine has read and written stays in its memory of keys and
 * values; of the next prompt only what is new is read.  When a prompt leaves less of the context
 * than the room for an answer (max_tokens, but at most a quarter), the oldest exchanges are
 * forgotten until the rest fills half of it.  The system prompt and the last question are never
 * forgotten.
 *
 * Answers go to stdout, the rest (thoughts, notes, figures) to stderr.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_CHAT_H
#define ENX_CLI_CLI_CHAT_H

#include "backend/sse.h"
#include "cli/cli_lines.h"
#include "cli/cli_sampling.h"
#include "cli/cli_talk.h"
#include "serve/serve.h"

#include <pthread.h>

/* What one answer took, and all of them. */
typedef struct cli_chat_cost {
    enx_usage_count usage;
    uint64_t        read_us, write_us; /* up to the first token; from there on */
    uint64_t        usd_nano;
} cli_chat_cost;

typedef struct cli_chat {
    enx_serve   *serve;
    const char  *model;          /* its name there; borrowed */
    uint32_t     context_tokens; /* 0: not known, since the model is elsewhere */
    cli_sampling sampling;
    cli_talk     talk;
    uint64_t     max_tokens; /* of an answer; 0: what the context holds */
    enx_price    price;      /* in place of the server's */
    bool         has_own_price, has_price;
    bool         is_quiet; /* no figures */
    bool         is_mute;  /* no answers and thoughts on the screen */
    bool         has_color;

    /* the answer under way, and the last one */
    enx_buf       thought, text;             /* the two parts of the answer */
    size_t        thought_shown, text_shown; /* bytes */
    bool          was_stopped;               /* by the user */
    enx_end       end;
    uint32_t      prompt_count;
    cli_chat_cost last, all;
    uint32_t      forgotten_count; /* exchanges that the context had no room for */

    /* what the server's threads tell */
    pthread_mutex_t lock;
    pthread_cond_t  news;
    bool            has_news, is_billed;
    enx_turn_bill   bill;
} cli_chat;

/* Nothing is open yet: what comes before `thought` is the caller's to fill. */
ENX_MUST_USE enx_status cli_chat_init(cli_chat *chat, enx_report *report);
void                    cli_chat_deinit(cli_chat *chat);

/* Of enx_serve_options, with the chat as `user`. */
void cli_chat_told(void *user, const enx_turn_bill *bill);

/* Ask, and show the answer.  Ctrl-C stops it: what was written stays in the conversation, and
 * where nothing was, the question is dropped.  ENX_INVALID: the template refuses; ENX_LIMIT: the
 * question alone does not fit; ENX_NOMEM.  Then the conversation is as it was. */
ENX_MUST_USE enx_status cli_chat_ask(cli_chat *chat, const char *question, enx_report *report);

/* What follows the slash of a line; QUIT does nothing.  ENX_INVALID, or what files say. */
ENX_MUST_USE enx_status cli_chat_command(cli_chat *chat, const char *line, bool *is_end,
                                         enx_report *report);

/* {"messages", "finish", "usage", "seconds", "cost_usd", "forgotten"} */
json_t *cli_chat_json(const cli_chat *chat);

#endif /* ENX_CLI_CLI_CHAT_H */
