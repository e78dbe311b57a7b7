/* SPDX-License-Identifier: Apache-2.0 */
/* cli_race.h - several writers, one task: who writes, who waits, and who has won.
 *
 * A try is one answer of one writer, from its first token to its verdict.  The try that is nearest
 * to a verdict is in front, and never waits.  Tokens of the other tries without a verdict are ahead
 * of need: the first that passes makes them worthless.  They grow only while they are fewer than
 *
 *     ahead * (tokens of the tries that were judged + tokens of the one in front)
 *
 * where the one in front counts once it is whole: before anything has failed, nobody writes beside
 * the first try, but while it is judged; and one of the others writes at a time, so that it is soon
 * whole.  With ahead >= 1, time is worth more than tokens: the one in front always counts, and all
 * write.  A loop that writes and judges one try after the other spends what is judged and what is
 * in front too; so where tries are as good as each other, a race costs at most 1 + ahead of its
 * tokens, and less time: something is written while something is judged.
 *
 * A try that cannot pause (is_unbroken) is begun only where the whole of it would be allowed; until
 * it has more tokens it counts with those of an average try, before the first verdict with those of
 * the one in front.
 *
 * Layer: cli.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_CLI_CLI_RACE_H
#define ENX_CLI_CLI_RACE_H

#include <stdbool.h>
#include <stdint.h>

enum { CLI_RACE_WRITERS_MAX = 32 };
#define CLI_RACE_NOBODY UINT32_MAX

typedef enum cli_racer_state {
    CLI_RACER_IDLE, /* before its next try, or out of rounds */
    CLI_RACER_WRITING,
    CLI_RACER_WHOLE, /* waits for its verdict */
} cli_racer_state;

typedef struct cli_racer {
    cli_racer_state state;
    uint32_t        round;  /* of the try, from 1; 0: none yet */
    uint64_t        tokens; /* of the try */
} cli_racer;

typedef struct cli_race {
    cli_racer racers[CLI_RACE_WRITERS_MAX];
    uint32_t  writer_count, rounds;
    double    ahead;
    bool      is_unbroken;   /* tries cannot pause */
    bool      is_closed;     /* nobody begins any more */
    uint64_t  judged_tokens; /* of tries with a verdict */
    uint32_t  judged_count;  /* of these tries */
    uint32_t  winner;        /* CLI_RACE_NOBODY: none yet */
} cli_race;

/* 1 .. CLI_RACE_WRITERS_MAX writers, each with at most `rounds` tries; ahead >= 0.  Tries can pause
 * unless is_unbroken is set before the first begins. */
void cli_race_init(cli_race *race, uint32_t writer_count, uint32_t rounds, double ahead);

/* The writer whose next try begins now, which has begun when this returns; CLI_RACE_NOBODY: none
 * may.  Ask until it says so. */
uint32_t cli_race_begin(cli_race *race);
/* That one could not begin: it is as it was before, and may be asked for again. */
void     cli_race_undo(cli_race *race, uint32_t writer);
/* May this one, which is writing, write its next token? */
bool     cli_race_may_write(const cli_race *race, uint32_t writer);
void     cli_race_write(cli_race *race, uint32_t writer, uint64_t tokens);
/* What it has written turns out to be so many tokens. */
void     cli_race_count(cli_race *race, uint32_t writer, uint64_t tokens);
/* Its answer is whole. */
void     cli_race_end(cli_race *race, uint32_t writer);
/* The verdict on what is whole.  The first that passes wins. */
void     cli_race_judge(cli_race *race, uint32_t writer, bool has_passed);
/* The last try of one that is idle is to be judged again: it is whole, at no tokens. */
void     cli_race_recall(cli_race *race, uint32_t writer);

/* Nobody begins any more. */
void cli_race_close(cli_race *race);

/* Somebody has won, or nobody is left. */
bool cli_race_is_over(const cli_race *race);

#endif /* ENX_CLI_CLI_RACE_H */
