/* SPDX-License-Identifier: Apache-2.0 */
/* cli_race.c - a sum and a comparison for each token.
 *
 * Why it never stands still: while there are tries without a verdict one of them is in front, and
 * that one is either being judged or may write.  While there are none, the next one begins.
 */
#include "cli/cli_race.h"

#include "base/check.h"

#include <stddef.h>

void cli_race_init(cli_race *race, uint32_t writer_count, uint32_t rounds, double ahead)
{
    ENX_CHECK(writer_count >= 1 && writer_count <= CLI_RACE_WRITERS_MAX && rounds >= 1);
    *race = (cli_race){
        .writer_count = writer_count, .rounds = rounds, .ahead = ahead, .winner = CLI_RACE_NOBODY
    };
}

/* The one that is whole, else the one with the most tokens; the first of equals.  `but`: not this
 * one, and none that is whole. */
static uint32_t find_first(const cli_race *race, uint32_t but)
{
    uint32_t first = CLI_RACE_NOBODY;
    for (uint32_t i = 0; i < race->writer_count; i++) {
        const cli_racer *r = &race->racers[i], *f = first < i ? &race->racers[first] : NULL;
        if (r->state == CLI_RACER_IDLE || i == but) continue;
        if (but != CLI_RACE_NOBODY && r->state == CLI_RACER_WHOLE) continue;
        if (!f || r->state > f->state || (r->state == f->state && r->tokens > f->tokens)) first = i;
    }
    return first;
}

static uint32_t find_front(const cli_race *race) { return find_first(race, CLI_RACE_NOBODY); }

/* What a try that cannot pause will take; 0: nobody knows. */
static uint64_t expect(const cli_race *race, uint32_t front)
{
    return race->judged_count ? race->judged_tokens / race->judged_count
                              : race->racers[front].tokens;
}

/* Is one more token ahead of need allowed, or one more try that cannot pause? */
static bool has_room(const cli_race *race, uint32_t front)
{
    const uint64_t whole = race->is_unbroken ? expect(race, front) : 0;
    uint64_t       others = 0;
    for (uint32_t i = 0; i < race->writer_count; i++) {
        const cli_racer *r = &race->racers[i];
        if (i == front || r->state == CLI_RACER_IDLE) continue;
        others += r->tokens > whole ? r->tokens : whole;
    }
    const cli_racer *f = &race->racers[front];
    const bool       counts = f->state == CLI_RACER_WHOLE || race->ahead >= 1;
    const double     room = race->ahead * (double)(race->judged_tokens + (counts ? f->tokens : 0));
    if (race->is_unbroken) return whole > 0 && (double)(others + whole) <= room;
    return (double)others < room;
}

/* Of those that have tries left, the one with the fewest behind it. */
static uint32_t find_next(const cli_race *race)
{
    uint32_t next = CLI_RACE_NOBODY;
    for (uint32_t i = 0; i < race->writer_count; i++) {
        const cli_racer *r = &race->racers[i];
        if (r->state != CLI_RACER_IDLE || r->round == race->rounds || race->is_closed) continue;
        if (next == CLI_RACE_NOBODY || r->round < race->racers[next].round) next = i;
    }
    return next;
}

uint32_t cli_race_begin(cli_race *race)
{
    const uint32_t next = find_next(race), front = find_front(race);
    if (race->winner != CLI_RACE_NOBODY || next == CLI_RACE_NOBODY) return CLI_RACE_NOBODY;
    if (front != CLI_RACE_NOBODY && !has_room(race, front)) return CLI_RACE_NOBODY;
    if (race->ahead < 1 && front != CLI_RACE_NOBODY && find_first(race, front) != CLI_RACE_NOBODY)
        return CLI_RACE_NOBODY; /* the second is to become whole before a third begins */
    cli_racer *r = &race->racers[next];
    *r = (cli_racer){ .state = CLI_RACER_WRITING, .round = r->round + 1 };
    return next;
}

void cli_race_undo(cli_race *race, uint32_t writer)
{
    cli_racer *r = &race->racers[writer];
    ENX_CHECK(r->state == CLI_RACER_WRITING && r->tokens == 0);
    *r = (cli_racer){ .round = r->round - 1 };
}

bool cli_race_may_write(const cli_race *race, uint32_t writer)
{
    const uint32_t front = find_front(race);
    ENX_CHECK(race->racers[writer].state == CLI_RACER_WRITING);
    if (race->winner != CLI_RACE_NOBODY) return false;
    if (writer == front || race->is_unbroken) return true;
    return has_room(race, front) && (race->ahead >= 1 || writer == find_first(race, front));
}

void cli_race_write(cli_race *race, uint32_t writer, uint64_t tokens)
{
    cli_race_count(race, writer, race->racers[writer].tokens + tokens);
}

void cli_race_count(cli_race *race, uint32_t writer, uint64_t tokens)
{
    ENX_CHECK(race->racers[writer].state == CLI_RACER_WRITING);
    race->racers[writer].tokens = tokens;
}

void cli_race_end(cli_race *race, uint32_t writer)
{
    ENX_CHECK(race->racers[writer].state == CLI_RACER_WRITING);
    race->racers[writer].state = CLI_RACER_WHOLE;
}

void cli_race_judge(cli_race *race, uint32_t writer, bool has_passed)
{
    cli_racer *r = &race->racers[writer];
    ENX_CHECK(r->state == CLI_RACER_WHOLE);
    r->state = CLI_RACER_IDLE;
    race->judged_tokens += r->tokens;
    race->judged_count += r->tokens > 0;
    if (has_passed && race->winner == CLI_RACE_NOBODY) race->winner = writer;
}

void cli_race_recall(cli_race *race, uint32_t writer)
{
    cli_racer *r = &race->racers[writer];
    ENX_CHECK(r->state == CLI_RACER_IDLE && r->round > 0);
    r->state = CLI_RACER_WHOLE;
    r->tokens = 0; /* they were counted with the first verdict */
}

void cli_race_close(cli_race *race) { race->is_closed = true; }

bool cli_race_is_over(const cli_race *race)
{
    if (race->winner != CLI_RACE_NOBODY) return true;
    return find_front(race) == CLI_RACE_NOBODY && find_next(race) == CLI_RACE_NOBODY;
}
