/* SPDX-License-Identifier: Apache-2.0 */
/* kill_sim.c - a job over a real store, killed by SIGKILL wherever it happens to be.
 *
 *     kill_sim --tasks=500 --random=1000       at random moments
 *     kill_sim --tasks=500 --writes=1          within every write to the store; =7: every 7th
 *     kill_sim --tasks=500 --writes=1 --first=900      ... from the 900th on
 *
 * A child process runs the job: state machine and SQLite, over models that answer by seed.  It dies
 * by the parent's hand, or by its own in the middle of a write, when half of the bytes are written;
 * a new one goes on, and may die, too.  Then these must hold:
 *
 *   [1] the answers are those of a job that was left alone
 *   [2] so is the bill, to the token
 *   [3] no call left for a task that was finished when the process began
 *   [4] a call left again only under its own number, and only if it was in flight
 *   [5] from the start of a process to its first call it takes no more than 100 ms of CPU
 *
 * What processes tell each other, and what calls "cost", is in memory that they share, which
 * survives them.  The store is in memory, too: a killed process loses nothing that it has written.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "idle_ports.h"
#include "plat/clock.h"
#include "store/store.h"
#include "swarm/swarm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TASKS_MAX = 1000,
    CALLS_MAX = 8 * TASKS_MAX,
    TEXT_MAX = 32,
    SLOTS = 16,
    LIVES_MAX = 16, /* of one job; the last ones are not killed */
    KILLS_MAX = 3,
    RECOVERIES_MAX = 1 << 16,
    RECOVERY_US_MAX = 100000,
    TURN_ANSWERS = 5,
    TURN_US = 1000,
    FOLDER_BYTES = 64,
};

/* Outlives the processes. */
typedef struct ledger {
    uint32_t        generated[CALLS_MAX]; /* times that a call left */
    bool            has_result[CALLS_MAX];
    uint64_t        writes;
    uint64_t        die_at_write;                  /* 0: never */
    uint64_t        recovery_us, recovery_wall_us; /* of CPU, and by the clock */
    bool            is_done;
    char            failure[ENX_REPORT_TEXT_MAX];
    uint64_t        answers; /* hash */
    enx_budget_line bill;
} ledger;

static ledger *shared;

static uint32_t task_count = 500;
static uint64_t story_seed = 1;

/* ---- dying within a write ---------------------------------------------------------------------
 * This definition takes the place of libc's for SQLite, too. */

__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *bytes, size_t size,
                                                        off64_t offset);

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    const bool is_last = shared && ++shared->writes == shared->die_at_write;
    const long done = syscall(SYS_pwrite64, fd, bytes, is_last ? size / 2 : size, offset);
    if (is_last) kill(getpid(), SIGKILL);
    return done;
}

/* ---- the world of one process -----------------------------------------------------------------
 */

typedef struct life {
    enx_swarm *swarm;
    enx_store *store;
    enx_call   waiting[CALLS_MAX];
    uint32_t   waiting_count;
    bool       is_finished[TASKS_MAX + 1]; /* when the process began */
    enx_span   items[TASKS_MAX];
    char       texts[TASKS_MAX][TEXT_MAX];
    uint64_t   now_us;
    enx_rng    rng;
    enx_report report;
} life;

static void fail(const char *what)
{
    if (!shared->failure[0]) snprintf(shared->failure, sizeof shared->failure, "%s", what);
}

static uint32_t index_of(uint64_t call_id) { return (uint32_t)(call_id & UINT32_MAX); }

static void port_generate(void *self, const enx_call *call)
{
    life          *l = self;
    const uint32_t index = index_of(call->call_id);
    ENX_CHECK(index < CALLS_MAX && l->waiting_count < CALLS_MAX);
    if (call->task_id && l->is_finished[call->task_id] && call->role != ENX_ROLE_AUDIT)
        fail("[3] a call left for a finished task");
    if (shared->has_result[index]) fail("[4] a call with a result left again");
    shared->generated[index]++;
    l->waiting[l->waiting_count++] = *call;
}

static enx_status port_save(void *self, const enx_record *records, size_t record_count,
                            enx_report *report)
{
    return enx_store_save(((life *)self)->store, records, record_count, report);
}

/* Answers are the text with a capital; the worker's are wrong for every fifth task. */
static bool port_check(void *self, const enx_check *check, const enx_call *call, const char *answer,
                       size_t answer_bytes, char *reason, size_t reason_bytes)
{
    (void)self, (void)check;
    const bool is_good = answer_bytes == call->input_bytes && answer[0] == call->input[0] - 32;
    if (!is_good) snprintf(reason, reason_bytes, "no capital");
    return is_good;
}

/* A process that is stopped for a while must not find that its calls are late. */
static uint64_t port_now(void *self) { return ((life *)self)->now_us; }
static uint64_t port_random(void *self) { return (void)self, story_seed; }

static void answer(life *l, const enx_call *call)
{
    char            text[TEXT_MAX];
    enx_rng         rng = enx_rng_open(story_seed, (uint64_t)call->task_id << 8 | call->role);
    enx_call_report report = { .call_id = call->call_id, .level = ENX_LEVEL_UNKNOWN };
    memcpy(text, call->input, call->input_bytes);
    const bool is_wrong = call->role == ENX_ROLE_WORK && enx_rng_below(&rng, 5) == 0;
    if (!is_wrong) text[0] = (char)(text[0] - 32);
    report.answer = text;
    report.answer_bytes = call->input_bytes;
    report.error_chance = enx_rng_unit(&rng) * .2;
    report.usage = (enx_usage_count){ enx_rng_below(&rng, 20), enx_rng_below(&rng, 5),
                                      1 + enx_rng_below(&rng, 9) };
    enx_swarm_on_report(l->swarm, &report);
}

/* Some calls in flight are answered, in any order; then what follows is committed. */
static enx_status turn(life *l)
{
    uint64_t answered[TURN_ANSWERS];
    uint32_t count = 0;
    l->now_us += TURN_US;
    ENX_TRY(enx_store_begin(l->store, &l->report));
    while (l->waiting_count && count < TURN_ANSWERS) {
        const uint32_t at = (uint32_t)enx_rng_below(&l->rng, l->waiting_count);
        const enx_call call = l->waiting[at];
        l->waiting[at] = l->waiting[--l->waiting_count];
        answered[count++] = call.call_id;
        answer(l, &call);
    }
    enx_swarm_tick(l->swarm);
    ENX_TRY(enx_swarm_error(l->swarm, &l->report));
    ENX_TRY(enx_store_commit(l->store, &l->report));
    for (uint32_t i = 0; i < count; i++) shared->has_result[index_of(answered[i])] = true;
    return ENX_OK;
}

static enx_status replay_record(void *user, const enx_record *record, enx_report *report)
{
    life *l = user;
    if (record->kind == ENX_RECORD_TASK_ACCEPTED || record->kind == ENX_RECORD_TASK_ABSTAINED ||
        record->kind == ENX_RECORD_TASK_FAILED)
        l->is_finished[record->task_id] = true;
    if (record->kind == ENX_RECORD_TASK_ESCALATED) l->is_finished[record->task_id] = false;
    if (record->kind == ENX_RECORD_CALL_RESULT)
        shared->has_result[index_of(record->call_id)] = true;
    return enx_swarm_replay(l->swarm, record, report);
}

static enx_status open_swarm(life *l, uint64_t job_id)
{
    static const enx_check        checks[] = { { .kind = ENX_CHECK_COMMAND, .text = "true" } };
    static const enx_class        task_class = { .name = "capital",
                                                 .instruction = "Begin with a capital.",
                                                 .checks = checks,
                                                 .check_count = 1 };
    static const enx_roster_model models[] = {
        { .name = "lead",
          .duty = ENX_DUTY_LEAD,
          .price = { 20000000, 2000000, 40000000, 0 },
          .slots = SLOTS / 4 },
        { .name = "worker",
          .duty = ENX_DUTY_WORKER,
          .price = { 1000000, 100000, 2000000, 0 },
          .slots = SLOTS },
    };
    static const enx_roster roster = { models, 2 };
    const enx_ports         ports = { .self = l,
                                      .generate = port_generate,
                                      .cancel = idle_cancel,
                                      .save = port_save,
                                      .check = port_check,
                                      .now_us = port_now,
                                      .random_u64 = port_random };
    for (uint32_t i = 0; i < task_count; i++)
        l->items[i] =
            (enx_span){ l->texts[i], (size_t)snprintf(l->texts[i], TEXT_MAX, "text %u", i) };
    const enx_swarm_options options = { .job_id = job_id,
                                        .roster = &roster,
                                        .ports = &ports,
                                        .goal = "capitals",
                                        .given = &task_class,
                                        .items = l->items,
                                        .item_count = task_count,
                                        .audit_labels_max = 30,
                                        .seed = 9 };
    return enx_swarm_open(&l->swarm, &options, &l->report);
}

static enx_status find_job(life *l, uint64_t *id)
{
    const enx_store_job job = { .command = "map",
                                .goal = "capitals",
                                .settings = "{}",
                                .key = "kill",
                                .created_us = enx_clock_wall_us() };
    ENX_TRY(enx_store_job_find(l->store, "kill", id, &l->report));
    return *id ? ENX_OK : enx_store_job_add(l->store, &job, id, &l->report);
}

static void tell_end(const life *l)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (uint32_t i = 0; i < task_count; i++) {
        const enx_swarm_answer a = enx_swarm_result(l->swarm, i);
        for (size_t k = 0; k < a.answer.size_bytes; k++)
            hash = (hash ^ (uint8_t)a.answer.text[k]) * UINT64_C(0x100000001B3);
        hash = (hash ^ a.reason) * UINT64_C(0x100000001B3);
    }
    shared->answers = hash;
    shared->bill = enx_swarm_budget(l->swarm)->total;
    shared->is_done = enx_swarm_summary_get(l->swarm).end == ENX_SWARM_DONE;
}

static enx_status run_life(life *l, const char *folder)
{
    char           path[FOLDER_BYTES + 16];
    uint64_t       id = 0;
    const uint64_t start_us = enx_clock_cpu_us(), wall_us = enx_clock_monotonic_us();
    snprintf(path, sizeof path, "%s/enxame.db", folder);
    const enx_store_options store = { .path = path };
    ENX_TRY(enx_store_open(&l->store, &store, &l->report));
    ENX_TRY(find_job(l, &id));
    ENX_TRY(open_swarm(l, id));
    ENX_TRY(enx_store_replay(l->store, id, replay_record, l, &l->report));
    ENX_TRY(enx_store_begin(l->store, &l->report));
    enx_swarm_start(l->swarm);
    ENX_TRY(enx_store_commit(l->store, &l->report));
    shared->recovery_us = enx_clock_cpu_us() - start_us;
    shared->recovery_wall_us = enx_clock_monotonic_us() - wall_us;
    while (!enx_swarm_is_done(l->swarm)) ENX_TRY(turn(l));
    tell_end(l);
    return ENX_OK;
}

/* ---- the parent --------------------------------------------------------------------------------
 */

typedef struct totals {
    uint32_t jobs, kills, lives;
    uint64_t recoveries_us[RECOVERIES_MAX], walls_us[RECOVERIES_MAX];
    uint32_t recovery_count;
} totals;

/* A process; `after_us`: killed then, 0: left to itself.  True: it was killed. */
static bool live(const char *folder, uint64_t seed, uint64_t after_us, totals *sum)
{
    shared->recovery_us = 0;
    const pid_t pid = fork();
    ENX_CHECK(pid >= 0);
    if (pid == 0) {
        life *l = enx_mem_new(1, sizeof *l);
        ENX_CHECK(l);
        l->rng = enx_rng_open(seed, 3);
        if (run_life(l, folder) != ENX_OK) fail(l->report.text);
        _exit(0);
    }
    if (after_us) {
        const struct timespec wait = { .tv_nsec = (long)after_us * 1000 };
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    sum->lives++;
    if (shared->recovery_us && sum->recovery_count < RECOVERIES_MAX) {
        sum->walls_us[sum->recovery_count] = shared->recovery_wall_us;
        sum->recoveries_us[sum->recovery_count++] = shared->recovery_us;
    }
    return WIFSIGNALED(status);
}

static void remove_store(const char *folder)
{
    static const char *const names[] = { "", "-wal", "-shm", "-journal" };
    char                     path[FOLDER_BYTES + 32];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/enxame.db%s", folder, names[i]);
        unlink(path);
    }
}

/* One job to its end: its first process dies at write `die_at`, or it and some that follow die at
 * random moments, within `span_us`.  False: it did not end as `whole` did. */
static bool run_job(const char *folder, uint64_t die_at, uint64_t span_us, const ledger *whole,
                    totals *sum)
{
    enx_rng rng = enx_rng_open(story_seed, 77 + sum->jobs);
    memset(shared, 0, sizeof *shared);
    remove_store(folder);
    shared->die_at_write = die_at;
    for (uint32_t k = 0; k < LIVES_MAX && !shared->is_done && !shared->failure[0]; k++) {
        const bool is_killed = span_us && k < KILLS_MAX;
        sum->kills += live(folder, (die_at ? die_at : sum->jobs) * LIVES_MAX + k,
                           is_killed ? 1 + enx_rng_below(&rng, span_us) : 0, sum);
        shared->die_at_write = 0;
    }
    sum->jobs++;
    if (!shared->is_done) fail("the job does not end");
    if (whole && shared->answers != whole->answers) fail("[1] the answers differ");
    if (whole && memcmp(&shared->bill, &whole->bill, sizeof whole->bill) != 0)
        fail("[2] the bill differs");
    if (shared->failure[0])
        printf("not ok - job %u, write %llu: %s (%llu calls, %llu tokens)\n", sum->jobs,
               (unsigned long long)die_at, shared->failure, (unsigned long long)shared->bill.calls,
               (unsigned long long)enx_usage_tokens(&shared->bill.usage));
    return !shared->failure[0];
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The median is judged, and the slowest told. */
static bool tell(totals *sum, const ledger *whole)
{
    const uint32_t n = sum->recovery_count;
    uint64_t      *recoveries_us = sum->recoveries_us, *walls_us = sum->walls_us;
    qsort(walls_us, n, sizeof *walls_us, compare);
    qsort(recoveries_us, n, sizeof *recoveries_us, compare);
    const bool is_quick = recoveries_us[n / 2] <= RECOVERY_US_MAX;
    printf(
        "%s - %u tasks, %u jobs, %u processes killed by SIGKILL, %llu calls and %llu tokens each; "
        "recovery %.1f ms of CPU (median), %.1f (99 %%), %.1f (slowest), by the clock %.1f, %.1f, "
        "%.1f\n",
        is_quick ? "ok" : "not ok", task_count, sum->jobs, sum->kills,
        (unsigned long long)whole->bill.calls,
        (unsigned long long)enx_usage_tokens(&whole->bill.usage),
        (double)recoveries_us[n / 2] * 1e-3, (double)recoveries_us[n - 1 - n / 100] * 1e-3,
        (double)recoveries_us[n - 1] * 1e-3, (double)walls_us[n / 2] * 1e-3,
        (double)walls_us[n - 1 - n / 100] * 1e-3, (double)walls_us[n - 1] * 1e-3);
    return is_quick;
}

/* Writes `first`, `first` + `stride`, ... */
static bool run_all(const char *folder, uint64_t kills, uint64_t first, uint64_t stride,
                    totals *sum)
{
    if (!run_job(folder, 0, 0, NULL, sum)) return false;
    const ledger   whole = *shared;
    const uint64_t start_us = enx_clock_monotonic_us();
    if (!run_job(folder, 0, 0, &whole, sum)) return false;
    const uint64_t whole_us = enx_clock_monotonic_us() - start_us;
    for (uint64_t write = first; stride && write <= whole.writes; write += stride)
        if (!run_job(folder, write, 0, &whole, sum)) return false;
    const uint32_t before = sum->kills;
    while (sum->kills - before < kills)
        if (!run_job(folder, 0, whole_us, &whole, sum)) return false;
    return tell(sum, &whole);
}

int main(int argc, char **argv)
{
    static totals      sum;
    unsigned long long tasks = task_count, kills = 0, first = 1, stride = 0, seed = 1;
    char               folder[FOLDER_BYTES] = "/dev/shm/enxame-kill-XXXXXX";
    for (int i = 1; i < argc; i++) {
        if (sscanf(argv[i], "--tasks=%llu", &tasks) == 1) continue;
        if (sscanf(argv[i], "--random=%llu", &kills) == 1) continue;
        if (sscanf(argv[i], "--writes=%llu", &stride) == 1) continue;
        if (sscanf(argv[i], "--first=%llu", &first) == 1) continue;
        if (sscanf(argv[i], "--seed=%llu", &seed) == 1) continue;
    }
    ENX_CHECK(tasks > 0 && tasks <= TASKS_MAX);
    task_count = (uint32_t)tasks;
    story_seed = seed;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ENX_CHECK(shared != MAP_FAILED);
    if (!mkdtemp(folder)) {
        snprintf(folder, sizeof folder, "/tmp/enxame-kill-XXXXXX");
        ENX_CHECK(mkdtemp(folder));
    }
    const bool is_ok = run_all(folder, kills, first, stride, &sum);
    remove_store(folder);
    rmdir(folder);
    return is_ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
