/* SPDX-License-Identifier: Apache-2.0 */
/* five_sim.c - the 5 %: what a swarm delivers when its workers are wrong in one case of twenty, and
 * mostly together.
 *
 *     five_sim TASKS SEEDS        the whole state machine over simulated models of known error
 *
 * A worker errs in 5 % of tasks.  In 60 % of these the task is a trap: every worker falls for it,
 * with the same answer.  A check of the answer catches 80 % of wrong ones, the same for the same
 * answer, and calls 3 % of right ones wrong.  The chance of an error is that on average, and grows
 * with the fourth power of a task's difficulty (the strong score of `enxame bench certificate`);
 * workers report it.  The lead is right.  The class makes three checks: the given one, no doubt
 * among the hardest tasks, and workers of different families until an answer is ahead by two.
 *
 * Fails when more than 0.5 % of the answers are wrong, the lead does more than 12 % of the tasks,
 * or a task takes more than 2.2 calls of workers.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "idle_ports.h"
#include "swarm/swarm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 4, CALLS_MAX = 256, ITEM_BYTES = 12, TRUTH = 0, TRAP = 1, OWN = 2 };

static const double error = .05, common = .6, caught = .8, false_alarm = .03, power = 4;
static const double hardest = .06; /* share of tasks that go up unseen */

/* Tasks are numbers; an answer is its kind of error. */
typedef struct world {
    uint64_t        seed;
    uint64_t        calls[ENX_ROLE_COUNT];
    enx_call_report waiting[CALLS_MAX];
    char            answers[CALLS_MAX][ITEM_BYTES];
    uint32_t        waiting_count;
} world;

typedef struct task {
    double difficulty;
    double chance; /* that a worker errs */
    bool   is_trap;
} task;

static task task_of(const world *w, uint32_t item)
{
    enx_rng      rng = enx_rng_open(w->seed, item);
    const double u = enx_rng_unit(&rng), chance = error * (power + 1) * pow(u, power);
    return (task){ u, chance, enx_rng_unit(&rng) < chance * common };
}

/* How a model answers: right, trapped, or wrong in a way of its own. */
static int answer_of(const world *w, uint32_t item, uint32_t model)
{
    const task t = task_of(w, item);
    enx_rng    rng = enx_rng_open(w->seed + 1, (uint64_t)item * 64 + model);
    if (model == 0) return TRUTH;
    if (t.is_trap) return TRAP;
    const double own = t.chance * (1 - common) / (1 - t.chance * common);
    return enx_rng_unit(&rng) < own ? OWN + (int)model : TRUTH;
}

static void port_generate(void *self, const enx_call *call)
{
    world         *w = self;
    const uint32_t i = w->waiting_count++;
    ENX_CHECK(i < CALLS_MAX);
    w->calls[call->role]++;
    snprintf(w->answers[i], ITEM_BYTES, "%d", answer_of(w, call->item, call->model));
    w->waiting[i] = (enx_call_report){ .call_id = call->call_id,
                                       .answer_bytes = strlen(w->answers[i]),
                                       .level = ENX_LEVEL_UNKNOWN,
                                       .error_chance = task_of(w, call->item).chance,
                                       .usage = { .tokens_in = 1, .tokens_out = 1 } };
}

static bool port_check(void *self, const enx_check *check, const enx_call *call, const char *answer,
                       size_t answer_bytes, char *reason, size_t reason_bytes)
{
    const world *w = self;
    (void)check, (void)answer_bytes;
    if (call->model == 0) return true;
    const uint64_t kind = strtoul(answer, NULL, 10);
    enx_rng        rng = enx_rng_open(w->seed + 2, (uint64_t)call->item * 64 + kind);
    const bool     is_refused = enx_rng_unit(&rng) < (kind == TRUTH ? false_alarm : caught);
    if (is_refused) snprintf(reason, reason_bytes, "refused");
    return !is_refused;
}

static uint64_t port_random(void *self) { return ((world *)self)->seed; }

static void run_job(enx_swarm *swarm, world *w)
{
    enx_swarm_start(swarm);
    while (!enx_swarm_is_done(swarm)) {
        ENX_CHECK(w->waiting_count > 0);
        const uint32_t  last = --w->waiting_count;
        enx_call_report report = w->waiting[last];
        char            answer[ITEM_BYTES];
        memcpy(answer, w->answers[last], ITEM_BYTES);
        report.answer = answer;
        enx_swarm_on_report(swarm, &report);
    }
}

static enx_swarm *open_job(world *w, const enx_span *items, uint32_t item_count)
{
    static const char *const families[WORKERS] = { "a", "b", "c", "d" };
    static enx_roster_model  models[WORKERS + 1];
    static enx_roster        roster = { models, WORKERS + 1 };
    static enx_check         checks[] = { { .kind = ENX_CHECK_COMMAND, .text = "check" },
                                          { .kind = ENX_CHECK_CONFIDENCE },
                                          { .kind = ENX_CHECK_SECOND, .ahead = 2, .max = 4 } };
    static enx_class         task_class = {
                .name = "number", .instruction = "answer", .checks = checks, .check_count = 3
    };
    checks[1].above = error * (power + 1) * pow(1 - hardest, power);
    models[0] = (enx_roster_model){ .name = "lead", .duty = ENX_DUTY_LEAD, .slots = 8 };
    for (int i = 0; i < WORKERS; i++)
        models[i + 1] = (enx_roster_model){
            .name = families[i], .family = families[i], .duty = ENX_DUTY_WORKER, .slots = 8
        };
    const enx_ports         ports = { .self = w,
                                      .generate = port_generate,
                                      .cancel = idle_cancel,
                                      .save = idle_save,
                                      .check = port_check,
                                      .now_us = idle_now,
                                      .random_u64 = port_random };
    const enx_swarm_options options = { .job_id = 1,
                                        .roster = &roster,
                                        .ports = &ports,
                                        .goal = "answer",
                                        .given = &task_class,
                                        .items = items,
                                        .item_count = item_count };
    enx_swarm              *swarm = NULL;
    enx_report              report = { 0 };
    if (enx_swarm_open(&swarm, &options, &report) != ENX_OK) {
        printf("not ok - %s\n", report.text);
        exit(EXIT_FAILURE);
    }
    return swarm;
}

static bool run_seed(uint64_t seed, uint32_t count)
{
    static world w;
    enx_span    *items = enx_mem_new(count, sizeof *items);
    ENX_CHECK(items);
    w = (world){ .seed = seed };
    for (uint32_t i = 0; i < count; i++) items[i] = (enx_span){ "task", 4 };
    enx_swarm *swarm = open_job(&w, items, count);
    run_job(swarm, &w);
    uint32_t wrong = 0, finished = 0;
    for (uint32_t i = 0; i < count; i++) {
        const enx_swarm_answer a = enx_swarm_result(swarm, i);
        finished += a.state == ENX_TASK_ACCEPTED;
        wrong += a.answer.text[0] != '0';
    }
    enx_swarm_close(&swarm);
    enx_mem_free(items);
    const double errors = (double)wrong / count, lead = (double)w.calls[ENX_ROLE_LEAD] / count;
    const double work = (double)(w.calls[ENX_ROLE_WORK] + w.calls[ENX_ROLE_SECOND]) / count;
    const bool   is_ok = finished == count && errors <= .005 && lead <= .12 && work <= 2.2;
    printf("%s - seed %llu: %.2f %% wrong, %.2f %% by the lead, %.2f worker calls a task\n",
           is_ok ? "ok" : "not ok", (unsigned long long)seed, 100 * errors, 100 * lead, work);
    return is_ok;
}

int main(int argc, char **argv)
{
    const uint32_t tasks = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 50000;
    const uint64_t seeds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    bool           is_ok = tasks > 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) is_ok &= run_seed(seed, tasks);
    return is_ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
