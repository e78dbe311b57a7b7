/* SPDX-License-Identifier: Apache-2.0 */
/* cli_author.h - a model that goes on with conversations, several at a time, wherever it is.
 *
 * Each conversation has a seat, by number.  What is written comes to the listener from begin and
 * step; an answer ends its seat's conversation, and the next one may begin there.
 *
 *     cli_author_file_open(&author, ...);          // or cli_author_api_open
 *     author->listener = (cli_author_listener){ ... };
 *     author->begin(author, seat, messages, seed, report);
 *     while (...) author->step(author, report);
 *     author->stop(author);
 *     author->close(&author);
 *
 * Layer: cli.  Thread-safety: one owner thread, but for wake.
 */
#ifndef ENX_CLI_CLI_AUTHOR_H
#define ENX_CLI_CLI_AUTHOR_H

#include "cli/cli_race.h"
#include "engine/engine.h"

#include <jansson.h>

enum { CLI_AUTHOR_SEATS_MAX = CLI_RACE_WRITERS_MAX };

/* Borrowed for the call. */
typedef struct cli_author_answer {
    const char *text;
    uint64_t    tokens; /* of it, all together; 0: as many as were told one by one */
    bool        is_cut; /* at the longest that an answer may be */
    const char *lost;   /* why there is no answer; NULL: there is one */
} cli_author_answer;

typedef struct cli_author_listener {
    void *user;
    void (*on_tokens)(void *user, uint32_t seat, uint64_t count); /* more of an answer */
    void (*on_answer)(void *user, uint32_t seat, const cli_author_answer *answer);
} cli_author_listener;

typedef struct cli_author cli_author;
struct cli_author {
    cli_author_listener listener;
    bool                can_pause;
    enx_usage           usage; /* of all answers so far, broken off ones too where it is known */

    /* messages: of a template or an API, from first to last.  ENX_BUDGET: it might cost too much;
     * then nothing was begun.  Else what the model's engine or API fails with. */
    enx_status (*begin)(cli_author *author, uint32_t seat, const json_t *messages, uint64_t seed,
                        enx_report *report);
    /* Only where can_pause. */
    void (*pause)(cli_author *author, uint32_t seat, bool is_paused);
    /* Write some more, or wait for it for a tenth of a second.  What fails would fail again. */
    enx_status (*step)(cli_author *author, enx_report *report);
    /* From any thread: there is other work than writing; is_over: and nothing more is wanted. */
    void (*wake)(cli_author *author, bool is_over);
    /* Break all answers off; the listener is not called any more. */
    void (*stop)(cli_author *author);
    void (*close)(cli_author **author);
};

#endif /* ENX_CLI_CLI_AUTHOR_H */
