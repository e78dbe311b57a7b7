/* SPDX-License-Identifier: Apache-2.0 */
/* cli_writers.h - a model writes programs until one passes.
 *
 * Writers are seats of one author (cli_author.h), each with chance of its own; which of them write
 * and which wait says cli_race.h.  A whole answer is judged by a thread, beside the writing.  One
 * that fails is asked for again with what the machine said; one that was lost on its way, as the
 * first was.  When one passes, what is being written is broken off, and runs of other programs are
 * stopped.
 *
 *     cli_writers_open(&writers, &options, report);
 *     cli_writers_run(writers, report);
 *     ... cli_writers_winner(writers) ...
 *     cli_writers_close(&writers);
 *
 * Layer: cli.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_CLI_CLI_WRITERS_H
#define ENX_CLI_CLI_WRITERS_H

#include "cli/cli_author.h"
#include "cli/cli_code.h"

typedef struct cli_writers cli_writers;

typedef struct cli_verdict {
    uint32_t    writer, round; /* from 1 */
    bool        has_passed;
    bool        is_lost; /* no answer came, and none was judged */
    const char *program; /* borrowed for the call */
    const char *log;
} cli_verdict;

typedef struct cli_writers_options {
    cli_author        *author; /* with a seat for each writer; borrowed, its listener is set here */
    uint32_t           writers, rounds;
    uint64_t           seed;
    double             ahead; /* of cli_race.h */
    cli_code_task     *task;  /* borrowed; its `should_stop` and `user` are set here */
    const enx_sandbox *sandbox;
    /* Told of every verdict; true: the test is in doubt, and settle is called once no program runs.
     * Both on the owner's thread. */
    bool (*on_verdict)(void *user, const cli_verdict *verdict);
    /* May change the task's test; *is_new: it did, and the programs that failed are judged again.
     */
    enx_status (*settle)(void *user, bool *is_new, enx_report *report);
    void *user;
} cli_writers_options;

/* ENX_NOMEM. */
ENX_MUST_USE enx_status cli_writers_open(cli_writers **out, const cli_writers_options *options,
                                         enx_report *report);
void                    cli_writers_close(cli_writers **writers);

/* Until one passes or all have had their rounds.  ENX_CANCELED: interrupted · ENX_BUDGET: none
 * passed, and another try might cost too much; else what judging and the author fail with. */
ENX_MUST_USE enx_status cli_writers_run(cli_writers *writers, enx_report *report);

/* Who passed; NULL: nobody.  Who was judged last; NULL: nobody yet.  Borrowed until close. */
const cli_verdict *cli_writers_winner(const cli_writers *writers);
const cli_verdict *cli_writers_last(const cli_writers *writers);

/* Time that programs ran, all together. */
uint64_t cli_writers_judge_us(const cli_writers *writers);

#endif /* ENX_CLI_CLI_WRITERS_H */
