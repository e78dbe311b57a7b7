/* SPDX-License-Identifier: Apache-2.0 */
/* cli_span.c - how long a job takes on a virtual clock. */
#include "cli/cli_span.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "swarm/swarm.h"

#include <math.h>

enum { LEAD, WORKER, SECOND, VERIFIER, MODELS, STAGES = 3, SECOND_US = 1000000 };

static const double sigma = .8;

/* ---- the swarm ----------------------------------------------------------------------------- */

typedef struct flight {
    uint64_t due_us; /* UINT64_MAX: it hangs */
    uint64_t call_id;
} flight;

typedef struct world {
    const cli_span_options *o;
    enx_rng                 rng;
    uint64_t                now_us, calls;
    flight                 *flights; /* [slots of all models] */
    uint32_t                flight_count, flight_max;
} world;

/* UINT64_MAX: never. */
static uint64_t draw_us(enx_rng *rng, double hang)
{
    const bool   hangs = enx_rng_unit(rng) < hang;
    const double seconds = exp(sigma * enx_rng_normal(rng));
    return hangs ? UINT64_MAX : (uint64_t)(seconds * SECOND_US);
}

static void port_generate(void *self, const enx_call *call)
{
    world         *w = self;
    const uint64_t takes_us = draw_us(&w->rng, w->o->hang);
    ENX_CHECK(w->flight_count < w->flight_max);
    w->calls++;
    w->flights[w->flight_count++] =
        (flight){ takes_us == UINT64_MAX ? takes_us : w->now_us + takes_us, call->call_id };
}

static void port_cancel(void *self, uint64_t call_id)
{
    world *w = self;
    for (uint32_t i = 0; i < w->flight_count; i++)
        if (w->flights[i].call_id == call_id) {
            w->flights[i] = w->flights[--w->flight_count];
            return;
        }
}

static enx_status port_save(void *self, const enx_record *records, size_t record_count,
                            enx_report *report)
{
    (void)self, (void)records, (void)record_count, (void)report;
    return ENX_OK;
}

static bool port_check(void *self, const enx_check *check, const enx_call *call, const char *answer,
                       size_t answer_bytes, char *reason, size_t reason_bytes)
{
    (void)self, (void)check, (void)call, (void)answer, (void)answer_bytes;
    (void)reason, (void)reason_bytes;
    return true;
}

static uint64_t port_now(void *self) { return ((world *)self)->now_us; }
static uint64_t port_random(void *self) { return ((world *)self)->o->seed; }

/* The next thing that happens: a report, or the swarm's alarm. */
static void step(world *w, enx_swarm *swarm)
{
    uint64_t wake_us = enx_swarm_wake_us(swarm);
    uint32_t first = w->flight_count;
    for (uint32_t i = 0; i < w->flight_count; i++)
        if (w->flights[i].due_us < wake_us) {
            wake_us = w->flights[i].due_us;
            first = i;
        }
    ENX_CHECK(wake_us != UINT64_MAX);
    if (wake_us > w->now_us) w->now_us = wake_us;
    if (first == w->flight_count) {
        enx_swarm_tick(swarm);
        return;
    }
    const enx_call_report report = { .call_id = w->flights[first].call_id,
                                     .answer = "1",
                                     .answer_bytes = 1,
                                     .level = ENX_LEVEL_UNKNOWN,
                                     .confidence = 1,
                                     .usage = { .tokens_in = 1, .tokens_out = 1 } };
    w->flights[first] = w->flights[--w->flight_count];
    enx_swarm_on_report(swarm, &report);
}

static enx_status run_swarm(world *w, const enx_span *items, enx_report *report)
{
    static const enx_check checks[] = { { .kind = ENX_CHECK_COMMAND, .text = "true" },
                                        { .kind = ENX_CHECK_SECOND, .ahead = 2, .max = 2 },
                                        { .kind = ENX_CHECK_VERIFIER } };
    static const enx_class task_class = {
        .name = "span", .instruction = "answer", .checks = checks, .check_count = STAGES
    };
    static const enx_duty    duties[] = { ENX_DUTY_LEAD, ENX_DUTY_WORKER, ENX_DUTY_WORKER,
                                          ENX_DUTY_VERIFIER };
    static const char *const names[] = { "lead", "worker", "second", "verifier" };
    enx_roster_model         models[MODELS];
    for (int m = 0; m < MODELS; m++)
        models[m] = (enx_roster_model){ .name = names[m],
                                        .family = names[m],
                                        .duty = duties[m],
                                        .slots = w->o->slots,
                                        .is_elsewhere = true };
    const enx_roster        roster = { models, MODELS };
    const enx_ports         ports = { .self = w,
                                      .generate = port_generate,
                                      .cancel = port_cancel,
                                      .save = port_save,
                                      .check = port_check,
                                      .now_us = port_now,
                                      .random_u64 = port_random };
    const enx_swarm_options options = { .job_id = 1,
                                        .roster = &roster,
                                        .ports = &ports,
                                        .goal = "answer",
                                        .given = &task_class,
                                        .items = items,
                                        .item_count = w->o->tasks,
                                        .attempts_max = ENX_SWARM_ATTEMPTS_MAX,
                                        .call_timeout_us = (uint64_t)(w->o->timeout_s * SECOND_US),
                                        .hedge_share = w->o->hedge_share };
    enx_swarm              *swarm = NULL;
    ENX_TRY(enx_swarm_open(&swarm, &options, report));
    enx_swarm_start(swarm);
    while (!enx_swarm_is_done(swarm)) step(w, swarm);
    enx_swarm_close(&swarm);
    return ENX_OK;
}

/* ---- waves --------------------------------------------------------------------------------- */

static double draw_task(enx_rng *rng, const cli_span_options *o)
{
    double seconds = 0;
    for (;;) {
        const uint64_t takes_us = draw_us(rng, o->hang);
        const double   takes_s = (double)takes_us / SECOND_US;
        if (takes_s <= o->timeout_s) return seconds + takes_s;
        seconds += o->timeout_s;
    }
}

/* Each task goes to the slot that is free first; ends [slots] is scratch. */
static double run_wave(const cli_span_options *o, enx_rng *rng, double *ends)
{
    double last = 0;
    for (uint32_t i = 0; i < o->slots; i++) ends[i] = 0;
    for (uint32_t i = 0; i < o->tasks; i++) {
        uint32_t first = 0;
        for (uint32_t k = 1; k < o->slots; k++)
            if (ends[k] < ends[first]) first = k;
        ends[first] += draw_task(rng, o);
        last = fmax(last, ends[first]);
    }
    return last;
}

enx_status cli_span_run(cli_span *out, const cli_span_options *o, enx_report *report)
{
    world      w = { .o = o, .rng = enx_rng_open(o->seed, 1), .flight_max = MODELS * o->slots };
    enx_rng    rng = enx_rng_open(o->seed, 2);
    enx_status status = ENX_OK;
    double    *ends = enx_mem_new(o->slots, sizeof *ends);
    enx_span  *items = enx_mem_new(o->tasks, sizeof *items);
    *out = (cli_span){ 0 };
    w.flights = enx_mem_new(w.flight_max, sizeof *w.flights);
    if (!w.flights || !ends || !items) status = ENX_FAIL(report, NOMEM, "no memory for a job");
    for (uint32_t i = 0; status == ENX_OK && i < o->tasks; i++) items[i] = (enx_span){ "task", 4 };
    if (status == ENX_OK) status = run_swarm(&w, items, report);
    for (int stage = 0; status == ENX_OK && stage < STAGES; stage++)
        out->waves_s += run_wave(o, &rng, ends);
    out->swarm_s = (double)w.now_us / SECOND_US;
    out->calls = w.calls;
    enx_mem_free(w.flights);
    enx_mem_free(items);
    enx_mem_free(ends);
    return status;
}
