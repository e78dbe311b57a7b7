/* SPDX-License-Identifier: Apache-2.0 */
/* cli_writers.c - the loop: begin, write, judge, complain.
 *
 * 1. The author, the race and every writer belong to the owner's thread.
 * 2. A judgement's thread sees the task, its own program and its own log, none of which changes
 *    before it was joined: while the test is in doubt nothing new is judged, and what is, is waited
 *    for.
 * 3. A thread that finds a program to pass says so to the others' runs (has_won); each that is done
 *    wakes the owner, who waits for the author or for news.
 * 4. A try that was lost on its way counts as one that failed, and is forgotten: the next one is
 *    asked as the first was.
 */
#include "cli/cli_writers.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_talk.h"
#include "plat/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
    MESSAGE_BYTES_MAX = 1 << 20,
    WAIT_MS = 50, /* between two looks for an interrupt while only programs run */
};

/* A run of a program, on a thread of its own. */
typedef struct judgement {
    pthread_t   thread;
    bool        is_running; /* to be joined */
    atomic_bool is_done;
    bool        has_passed;
    enx_status  status;
    enx_report  report;
    uint64_t    took_us;
} judgement;

/* A conversation of the task, and once something failed that and the complaint. */
typedef struct writer {
    cli_writers *all;
    uint32_t     number;
    cli_talk     talk;
    bool         is_paused;
    bool         is_cut, is_lost; /* the answer that came last */
    enx_buf      answer, program, log;
    judgement    judgement;
    cli_verdict  verdict; /* on `program`; round 0: none yet */
} writer;

struct cli_writers {
    cli_writers_options options;
    enx_buf             first; /* the first message */
    cli_race            race;
    writer              writers[CLI_RACE_WRITERS_MAX];
    uint32_t            writer_count; /* that were opened */
    const writer       *winner, *last;
    bool                is_doubted; /* the test; nothing new is judged before it is settled */
    bool                is_broke;   /* nothing more may be written */
    enx_report          broke;      /* ... for this reason */
    uint64_t            judge_us;
    atomic_bool         has_won;
    pthread_mutex_t     lock; /* of news alone */
    pthread_cond_t      news; /* a judgement is done */
};

static enx_status fail_memory(enx_report *report)
{
    return ENX_FAIL(report, NOMEM, "no memory for programs and messages");
}

/* ---- Writing -------------------------------------------------------------------------------- */

static void on_tokens(void *user, uint32_t seat, uint64_t count)
{
    cli_writers *s = user;
    cli_race_write(&s->race, seat, count);
}

static void on_answer(void *user, uint32_t seat, const cli_author_answer *answer)
{
    cli_writers *s = user;
    writer      *w = &s->writers[seat];
    const char  *lost = answer->lost;
    enx_buf_clear(&w->answer);
    if (!lost && enx_buf_append_text(&w->answer, answer->text) != ENX_OK)
        lost = "no memory for the answer";
    w->is_cut = answer->is_cut;
    w->is_lost = lost != NULL;
    if (lost) {
        enx_buf_clear(&w->log);
        enx_buf_clear(&w->program);
        (void)!enx_buf_printf(&w->log, "no answer: %s\n", lost);
    }
    if (answer->tokens) cli_race_count(&s->race, seat, answer->tokens);
    cli_race_end(&s->race, seat);
}

/* The task; after a try also what was written, and what is wrong with it.  Earlier ones are
 * forgotten. */
static enx_status compose(writer *w, enx_report *report)
{
    enx_buf        text;
    cli_talk      *talk = &w->talk;
    const char    *fence = cli_code_fence(w->all->options.task);
    const uint32_t round = w->verdict.round;
    cli_talk_clear(talk);
    ENX_TRY(cli_talk_ask(talk, enx_buf_text(&w->all->first), report));
    if (round == 0 || w->is_lost) return ENX_OK;
    enx_buf_init(&text, MESSAGE_BYTES_MAX);
    enx_status status = ENX_OK;
    if (enx_buf_printf(&text, "```%s\n%s\n```", fence, enx_buf_text(&w->program)) != ENX_OK)
        status = fail_memory(report);
    if (status == ENX_OK) status = cli_talk_answer(talk, enx_buf_text(&text), "", report);
    enx_buf_clear(&text);
    if (status == ENX_OK && cli_code_complain(&text, enx_buf_text(&w->log)) != ENX_OK)
        status = fail_memory(report);
    if (status == ENX_OK) status = cli_talk_ask(talk, enx_buf_text(&text), report);
    enx_buf_deinit(&text);
    return status;
}

/* Every round of every writer has a seed of its own. */
static enx_status begin(writer *w, enx_report *report)
{
    cli_writers   *s = w->all;
    cli_author    *author = s->options.author;
    const uint64_t past = s->race.racers[w->number].round - 1;
    w->is_paused = false;
    ENX_TRY(compose(w, report));
    return author->begin(author, w->number, w->talk.messages,
                         s->options.seed + past * s->options.writers + w->number, report);
}

/* A try may cost more than is left.  While others hold money back there may be more later; else
 * nothing new begins. */
static void wait_for_money(cli_writers *s, uint32_t writer_index, const enx_report *why)
{
    cli_race_undo(&s->race, writer_index);
    for (uint32_t i = 0; i < s->writer_count; i++)
        if (s->race.racers[i].state == CLI_RACER_WRITING) return;
    s->is_broke = true;
    s->broke = *why;
    cli_race_close(&s->race);
}

/* Begin, pause and go on as the race says; *count: how many write. */
static enx_status direct(cli_writers *s, uint32_t *count, enx_report *report)
{
    cli_author *author = s->options.author;
    *count = 0;
    for (uint32_t i; (i = cli_race_begin(&s->race)) != CLI_RACE_NOBODY;) {
        const enx_status status = begin(&s->writers[i], report);
        if (status == ENX_BUDGET) {
            wait_for_money(s, i, report);
            break;
        }
        if (status != ENX_OK) return status;
    }
    for (uint32_t i = 0; i < s->writer_count; i++) {
        writer *w = &s->writers[i];
        if (s->race.racers[i].state != CLI_RACER_WRITING) continue;
        const bool is_paused = !cli_race_may_write(&s->race, i);
        if (is_paused != w->is_paused) author->pause(author, i, is_paused);
        w->is_paused = is_paused;
        *count += !is_paused;
    }
    return ENX_OK;
}

/* ---- Judging -------------------------------------------------------------------------------- */

static bool is_stopped(void *user)
{
    cli_writers *s = user;
    return cli_is_interrupted() || atomic_load(&s->has_won);
}

static void *judge(void *user)
{
    writer        *w = user;
    cli_writers   *s = w->all;
    judgement     *j = &w->judgement;
    const uint64_t start_us = enx_clock_monotonic_us();
    j->status = cli_code_judge(s->options.sandbox, s->options.task, enx_buf_text(&w->program),
                               &j->has_passed, &w->log, &j->report);
    j->took_us = enx_clock_monotonic_us() - start_us;
    if (j->status == ENX_OK && j->has_passed) atomic_store(&s->has_won, true);
    pthread_mutex_lock(&s->lock);
    atomic_store(&j->is_done, true);
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
    s->options.author->wake(s->options.author, j->has_passed);
    return NULL;
}

/* Judge `program` on a thread. */
static enx_status start_judgement(writer *w, enx_report *report)
{
    judgement *j = &w->judgement;
    enx_buf_clear(&w->log);
    j->has_passed = false;
    j->report = (enx_report){ 0 };
    atomic_store(&j->is_done, false);
    if (pthread_create(&j->thread, NULL, judge, w) != 0)
        return ENX_FAIL(report, NOMEM, "cannot start a thread to judge a program");
    j->is_running = true;
    return ENX_OK;
}

/* Tell and count it. */
static void pronounce(writer *w, bool has_passed)
{
    cli_writers *s = w->all;
    w->verdict = (cli_verdict){ .writer = w->number + 1,
                                .round = s->race.racers[w->number].round,
                                .has_passed = has_passed,
                                .is_lost = w->is_lost,
                                .program = enx_buf_text(&w->program),
                                .log = enx_buf_text(&w->log) };
    s->last = w;
    cli_race_judge(&s->race, w->number, has_passed);
    if (s->race.winner == w->number) s->winner = w;
    if (s->options.on_verdict(s->options.user, &w->verdict)) s->is_doubted = true;
}

/* The verdict that a thread has come to. */
static enx_status take_verdict(writer *w, enx_report *report)
{
    static const char cut[] = "\nThe answer was cut off at its end: it was too long.\n";
    cli_writers      *s = w->all;
    judgement        *j = &w->judgement;
    pthread_join(j->thread, NULL);
    j->is_running = false;
    s->judge_us += j->took_us;
    if (s->winner) return ENX_OK; /* another one was first */
    if (j->status == ENX_CANCELED && atomic_load(&s->has_won)) return ENX_OK; /* stopped by us */
    if (j->status != ENX_OK) {
        *report = j->report;
        return j->status;
    }
    if (!j->has_passed && w->is_cut && enx_buf_append_text(&w->log, cut) != ENX_OK)
        return fail_memory(report);
    pronounce(w, j->has_passed);
    return ENX_OK;
}

/* An answer is whole: its program is to run. */
static enx_status take_answer(writer *w, enx_report *report)
{
    if (w->is_lost) {
        pronounce(w, false);
        return ENX_OK;
    }
    enx_buf_clear(&w->program);
    if (cli_code_extract(&w->program, enx_buf_text(&w->answer)) != ENX_OK)
        return fail_memory(report);
    return start_judgement(w, report);
}

/* Take what is done and start what is whole; *running: programs that still run. */
static enx_status serve_judgements(cli_writers *s, uint32_t *running, enx_report *report)
{
    *running = 0;
    for (uint32_t i = 0; i < s->writer_count; i++) {
        writer *w = &s->writers[i];
        if (w->judgement.is_running && atomic_load(&w->judgement.is_done))
            ENX_TRY(take_verdict(w, report));
        const bool is_new = s->race.racers[i].state == CLI_RACER_WHOLE && !w->judgement.is_running;
        if (is_new && !s->is_doubted && s->race.winner == CLI_RACE_NOBODY)
            ENX_TRY(take_answer(w, report));
        *running += w->judgement.is_running;
    }
    return ENX_OK;
}

static void wait_for_news(cli_writers *s)
{
    struct timespec until;
    bool            is_done = false;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAIT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->writer_count; i++)
        is_done |=
            s->writers[i].judgement.is_running && atomic_load(&s->writers[i].judgement.is_done);
    if (!is_done) pthread_cond_timedwait(&s->news, &s->lock, &until);
    pthread_mutex_unlock(&s->lock);
}

/* The test is in doubt and no program runs: settle it, and where it is a new one judge again what
 * failed by the old one and whose writer has not begun anew. */
static enx_status settle(cli_writers *s, enx_report *report)
{
    bool is_new = false;
    s->is_doubted = false;
    ENX_TRY(s->options.settle(s->options.user, &is_new, report));
    if (!is_new) return ENX_OK;
    enx_buf_clear(&s->first);
    if (cli_code_ask(&s->first, s->options.task) != ENX_OK) return fail_memory(report);
    for (uint32_t i = 0; i < s->writer_count; i++) {
        const writer *w = &s->writers[i];
        if (s->race.racers[i].state != CLI_RACER_IDLE || w->verdict.round == 0 || w->is_lost)
            continue;
        cli_race_recall(&s->race, i);
        ENX_TRY(start_judgement(&s->writers[i], report));
    }
    return ENX_OK;
}

/* ---- The loop ------------------------------------------------------------------------------- */

/* Nothing is written and no thread runs. */
static void stop_all(cli_writers *s)
{
    s->options.author->stop(s->options.author);
    for (uint32_t i = 0; i < s->writer_count; i++) {
        judgement *j = &s->writers[i].judgement;
        if (j->is_running) pthread_join(j->thread, NULL);
        j->is_running = false;
    }
}

static enx_status run_race(cli_writers *s, enx_report *report)
{
    while (!cli_race_is_over(&s->race) || s->is_doubted) {
        uint32_t running = 0, writing = 0;
        if (cli_is_interrupted()) return ENX_FAIL(report, CANCELED, "interrupted");
        ENX_TRY(serve_judgements(s, &running, report));
        if (s->is_doubted && running == 0) ENX_TRY(settle(s, report));
        if (s->winner) break;
        if (!s->is_doubted) ENX_TRY(direct(s, &writing, report));
        if (writing > 0) ENX_TRY(s->options.author->step(s->options.author, report));
        else wait_for_news(s);
    }
    if (s->winner || !s->is_broke) return ENX_OK;
    *report = s->broke;
    return ENX_BUDGET;
}

enx_status cli_writers_run(cli_writers *s, enx_report *report)
{
    const enx_status status = run_race(s, report);
    atomic_store(&s->has_won, true); /* programs that still run are of no use */
    stop_all(s);
    return status;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

static enx_status open_writers(cli_writers *s, enx_report *report)
{
    while (s->writer_count < s->options.writers) {
        writer *w = &s->writers[s->writer_count];
        w->all = s;
        w->number = s->writer_count++;
        enx_buf_init(&w->answer, CLI_TEXT_BYTES_MAX);
        enx_buf_init(&w->program, CLI_TEXT_BYTES_MAX);
        enx_buf_init(&w->log, CLI_TEXT_BYTES_MAX);
        ENX_TRY(cli_talk_init(&w->talk, report));
    }
    return ENX_OK;
}

enx_status cli_writers_open(cli_writers **out, const cli_writers_options *options,
                            enx_report *report)
{
    cli_writers *s = ENX_MEM_NEW(cli_writers, 1);
    if (!s) return fail_memory(report);
    s->options = *options;
    options->task->should_stop = is_stopped;
    options->task->user = s;
    options->author->listener = (cli_author_listener){ s, on_tokens, on_answer };
    enx_buf_init(&s->first, MESSAGE_BYTES_MAX);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->news, NULL);
    cli_race_init(&s->race, options->writers, options->rounds, options->ahead);
    s->race.is_unbroken = !options->author->can_pause;
    enx_status status = open_writers(s, report);
    if (status == ENX_OK && cli_code_ask(&s->first, options->task) != ENX_OK)
        status = fail_memory(report);
    if (status == ENX_OK) *out = s;
    else cli_writers_close(&s);
    return status;
}

void cli_writers_close(cli_writers **writers)
{
    cli_writers *s = *writers;
    if (!s) return;
    for (uint32_t i = 0; i < s->writer_count; i++) {
        writer *w = &s->writers[i];
        cli_talk_deinit(&w->talk);
        enx_buf_deinit(&w->answer);
        enx_buf_deinit(&w->program);
        enx_buf_deinit(&w->log);
    }
    enx_buf_deinit(&s->first);
    pthread_cond_destroy(&s->news);
    pthread_mutex_destroy(&s->lock);
    enx_mem_free(s);
    *writers = NULL;
}

const cli_verdict *cli_writers_winner(const cli_writers *s)
{
    return s->winner ? &s->winner->verdict : NULL;
}

const cli_verdict *cli_writers_last(const cli_writers *s)
{
    return s->last ? &s->last->verdict : NULL;
}

uint64_t cli_writers_judge_us(const cli_writers *s) { return s->judge_us; }
