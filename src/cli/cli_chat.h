/* SPDX-License-Identifier: Apache-2.0 */
/* cli_chat.h - a conversation with one model: questions in, answers on the screen.
 *
 * What the model has read and written stays in its memory of keys and values; of the next prompt
 * only what is new is read.  When a prompt leaves less of the context than the room for an answer
 * (max_tokens, but at most a quarter), the oldest exchanges are forgotten until the rest fills half
 * of it.  The system prompt and the last question are never forgotten.
 *
 * Answers go to stdout, the rest (thoughts, notes, figures) to stderr.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_CHAT_H
#define ENX_CLI_CLI_CHAT_H

#include "backend/chat.h"
#include "backend/loaded.h"
#include "cli/cli_answer.h"
#include "cli/cli_lines.h"
#include "cli/cli_sampling.h"
#include "cli/cli_talk.h"
#include "swarm/ports.h"
#include "text/thought.h"

/* What one answer took, and all of them. */
typedef struct cli_chat_cost {
    enx_usage usage;
    uint64_t  read_us, write_us; /* up to the first token; from there on */
    uint64_t  usd_nano;
} cli_chat_cost;

typedef struct cli_chat {
    enx_loaded   loaded;
    enx_chat    *chat;
    enx_pool    *pool;
    enx_engine  *engine;
    enx_mask    *mask; /* NULL: everything goes */
    cli_sampling sampling;
    cli_talk     talk;
    uint64_t     max_tokens; /* of an answer; 0: what the context holds */
    enx_price    price;
    bool         has_price;
    bool         is_quiet; /* no figures */
    bool         is_mute;  /* no answers and thoughts on the screen */
    bool         has_color;

    /* the answer under way, and the last one */
    cli_answer    answer;
    enx_thought   split;
    enx_buf       thought, text;             /* the two parts of the answer */
    size_t        thought_shown, text_shown; /* bytes */
    bool          is_done, was_stopped;      /* stopped: by the user */
    enx_finish    finish;
    uint64_t      start_us, first_us; /* 0: no token yet */
    uint32_t      prompt_count;
    cli_chat_cost last, all;
    uint32_t      forgotten_count; /* exchanges that the context had no room for */
} cli_chat;

/* Nothing is open yet: what comes before `answer` is the caller's to fill. */
ENX_MUST_USE enx_status cli_chat_init(cli_chat *chat, enx_report *report);
void                    cli_chat_deinit(cli_chat *chat);

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
