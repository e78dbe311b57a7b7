/* SPDX-License-Identifier: Apache-2.0 */
/* cli_talk.h - a conversation: a list of messages, in whole exchanges.
 *
 * An exchange is a message of the user and all up to the next one.  Before the first there may be
 * a system message.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_TALK_H
#define ENX_CLI_CLI_TALK_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>

enum {
    CLI_TALK_MESSAGES_MAX = 10000,
    CLI_TALK_BYTES_MAX = 64 << 20, /* of a conversation as JSON */
};

typedef struct cli_talk {
    json_t *messages; /* owned: [{"role", "content", ...}] */
} cli_talk;

/* ENX_NOMEM. */
ENX_MUST_USE enx_status cli_talk_init(cli_talk *talk, enx_report *report);
void                    cli_talk_deinit(cli_talk *talk);

/* The words before everything else; "": none. */
ENX_MUST_USE enx_status cli_talk_set_system(cli_talk *talk, const char *text, enx_report *report);
/* Borrowed; NULL: there is none. */
const char             *cli_talk_system(const cli_talk *talk);

/* Texts are UTF-8 without zero bytes.  ENX_LIMIT: CLI_TALK_MESSAGES_MAX; ENX_NOMEM. */
ENX_MUST_USE enx_status cli_talk_ask(cli_talk *talk, const char *text, enx_report *report);
/* `thought` may be empty: then the message has none. */
ENX_MUST_USE enx_status cli_talk_answer(cli_talk *talk, const char *text, const char *thought,
                                        enx_report *report);

size_t cli_talk_exchange_count(const cli_talk *talk);
/* Forget all but the system message. */
void   cli_talk_clear(cli_talk *talk);
/* Each false: there is nothing to drop. */
bool   cli_talk_drop_last(cli_talk *talk);   /* the last exchange */
bool   cli_talk_drop_answer(cli_talk *talk); /* what follows the last question */
bool   cli_talk_drop_oldest(cli_talk *talk); /* the first exchange, while there are two */

/* Become the conversation in JSON: a list of messages, or an object with one at "messages".
 * ENX_FORMAT: the line of what is no JSON, or the number of the message that is none, from 1;
 * ENX_LIMIT.  Then the conversation is as it was. */
ENX_MUST_USE enx_status cli_talk_load(cli_talk *talk, const char *json, size_t size_bytes,
                                      enx_report *report);

#endif /* ENX_CLI_CLI_TALK_H */
