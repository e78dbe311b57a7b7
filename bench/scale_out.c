/* SPDX-License-Identifier: Apache-2.0 */
/* scale_out.c - a job over many machines on a virtual clock: what limits it, and where.
 *
 *     scale_out [LEAD_US BROKER_US]
 *
 * The lead and the broker are servers that take LEAD_US and BROKER_US of one core's time for a task
 * (bench_queue and `bench swarm` measure them); a worker pulls one task after the other over its
 * link.  Tasks take 1 s on average, lognormal with sigma 0.8.  What can be wrong with the world:
 *
 *   - deaths: a machine dies; what it held waits for the lease, and the machine comes back
 *   - far: half of the machines are 100 ms away
 *   - cuts: a tenth of the machines cannot reach the broker for 60 s; they finish what they hold
 *     and report late, and meanwhile the lease may have given it to somebody else
 *   - clocks: a machine's clock runs at a rate of its own (lognormal with sigma 0.5), and by it
 *     signs of life are given, a third of a lease apart; how far it is off does nothing, as no
 *     clock is compared with another
 *
 * Prints CSV: efficiency is the work done, divided by what the machines could have done; medians of
 * nine seeds, with the worst and the best, as the longest of the last tasks decides. */
#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TASKS_A_WORKER = 100,
    TASKS_MIN = 20000,
    FLIGHT_A_WORKER = 2,
    REGIONS = 10, /* a cut takes one of them */
    SEEDS = 9,
    NONE = -1,
};

static const double sigma = 0.8, mean_s = 1, near_s = 0.001, far_s = 0.1, lease_s = 30, back_s = 10,
                    cut_s = 60, clock_sigma = 0.5;

/* What is wrong with a world; rates are for each machine, or region, and hour. */
typedef struct trouble {
    const char *name;
    double      deaths, cuts;
    bool        is_far, has_clocks;
} trouble;

typedef enum event_kind {
    EVENT_SENT,     /* a call has come to the broker */
    EVENT_STORED,   /* the broker has it for whoever asks */
    EVENT_ASKED,    /* a worker's wish for one has come to the broker */
    EVENT_FINISHED, /* a worker has a report */
    EVENT_REPORTED, /* ... which has come to the broker */
    EVENT_TOLD,     /* ... and to the lead */
    EVENT_TAKEN,    /* ... who has read it */
    EVENT_LEASE,    /* of a call whose worker fell silent is over */
    EVENT_CUT,      /* a region from the broker */
} event_kind;

typedef struct event {
    double     at_s;
    event_kind kind;
    int32_t    worker; /* or region */
    int32_t    task;
} event;

typedef struct task {
    double work_s;
    bool   is_done;
} task;

typedef struct worker {
    double  link_s, clock_rate, cut_until_s;
    int32_t task; /* that it works on */
} worker;

typedef struct world {
    const trouble *trouble;
    event         *heap; /* [capacity], the earliest first */
    size_t         count, capacity;
    enx_rng        rng;
    double         now_s, lead_free_s, broker_free_s, lead_busy_s, broker_busy_s, work_s;
    double         lead_s, broker_s; /* of one task, half on each way */
    task          *tasks;            /* [task_count] */
    worker        *workers;          /* [worker_count] */
    uint32_t       worker_count, task_count, sent, flight, flight_max, left;
    int32_t       *waiting; /* [waiting_count] calls in the queue, the newest first out */
    uint32_t       waiting_count;
    int32_t       *idle; /* [idle_count] workers that asked */
    uint32_t       idle_count;
} world;

static void push(world *w, event e)
{
    size_t at = w->count++;
    for (; at > 0 && w->heap[(at - 1) / 2].at_s > e.at_s; at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = e;
}

static event pop(world *w)
{
    const event first = w->heap[0], last = w->heap[--w->count];
    size_t      at = 0;
    for (size_t child; (child = 2 * at + 1) < w->count; at = child) {
        if (child + 1 < w->count && w->heap[child + 1].at_s < w->heap[child].at_s) child++;
        if (w->heap[child].at_s >= last.at_s) break;
        w->heap[at] = w->heap[child];
    }
    w->heap[at] = last;
    return first;
}

/* When a server that is free at *free_s has done `cost_s` more. */
static double serve(double *free_s, double *busy_s, double now_s, double cost_s)
{
    *free_s = (*free_s > now_s ? *free_s : now_s) + cost_s;
    *busy_s += cost_s;
    return *free_s;
}

static double draw_wait(world *w, double per_hour)
{
    return -log(1 - enx_rng_unit(&w->rng)) * 3600 / per_hour;
}

/* The lead keeps so many calls under way. */
static void send_calls(world *w)
{
    for (; w->sent < w->task_count && w->flight < w->flight_max; w->sent++, w->flight++) {
        const double at = serve(&w->lead_free_s, &w->lead_busy_s, w->now_s, w->lead_s / 2);
        push(w, (event){ at + near_s, EVENT_SENT, NONE, (int32_t)w->sent });
    }
}

static double at_broker(world *w)
{
    return serve(&w->broker_free_s, &w->broker_busy_s, w->now_s, w->broker_s / 2);
}

/* The lease of a worker that lives ends where its signs of life come too seldom. */
static void start_work(world *w, int32_t id, int32_t number)
{
    worker      *x = &w->workers[id];
    const double work_s = w->tasks[number].work_s, start = w->now_s + x->link_s;
    const double until_death = w->trouble->deaths > 0 ? draw_wait(w, w->trouble->deaths) : INFINITY;
    if (until_death < work_s) {
        push(w, (event){ start + until_death + lease_s, EVENT_LEASE, NONE, number });
        push(w, (event){ start + until_death + back_s, EVENT_ASKED, id, NONE });
        return;
    }
    x->task = number;
    if (lease_s / 3 / x->clock_rate > lease_s && work_s > lease_s)
        push(w, (event){ start + lease_s, EVENT_LEASE, NONE, number });
    push(w, (event){ start + work_s, EVENT_FINISHED, id, number });
}

/* A call whose report came meanwhile is canceled. */
static void match(world *w)
{
    while (w->idle_count > 0 && w->waiting_count > 0) {
        const int32_t number = w->waiting[--w->waiting_count];
        if (!w->tasks[number].is_done) start_work(w, w->idle[--w->idle_count], number);
    }
}

static void finish_work(world *w, int32_t id, int32_t number)
{
    worker      *x = &w->workers[id];
    const double from_s = w->now_s > x->cut_until_s ? w->now_s : x->cut_until_s;
    x->task = NONE;
    push(w, (event){ from_s + x->link_s, EVENT_REPORTED, NONE, number });
    push(w, (event){ from_s + x->link_s, EVENT_ASKED, id, NONE });
}

/* Who is idle there asks again afterwards; who works gives no sign of life. */
static void cut_region(world *w, int32_t region)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->idle_count; i++)
        if (w->idle[i] % REGIONS != region) w->idle[kept++] = w->idle[i];
        else push(w, (event){ w->now_s + cut_s, EVENT_ASKED, w->idle[i], NONE });
    w->idle_count = kept;
    for (uint32_t i = (uint32_t)region; i < w->worker_count; i += REGIONS) {
        worker *x = &w->workers[i];
        x->cut_until_s = w->now_s + cut_s;
        if (x->task != NONE) push(w, (event){ w->now_s + lease_s, EVENT_LEASE, NONE, x->task });
    }
    push(w, (event){ w->now_s + cut_s + draw_wait(w, w->trouble->cuts), EVENT_CUT, region, NONE });
}

/* The first report counts. */
static void take_report(world *w, task *t)
{
    if (t->is_done) return;
    t->is_done = true;
    w->work_s += t->work_s;
    w->left--;
    w->flight--;
}

/* Each server sees what comes in the order in which it comes. */
static void handle(world *w, const event *e)
{
    switch (e->kind) {
    case EVENT_SENT:
        push(w, (event){ at_broker(w), EVENT_STORED, NONE, e->task });
        break;
    case EVENT_STORED:
    case EVENT_LEASE:
        if (!w->tasks[e->task].is_done) w->waiting[w->waiting_count++] = e->task;
        break;
    case EVENT_ASKED:
        w->idle[w->idle_count++] = e->worker;
        break;
    case EVENT_FINISHED:
        finish_work(w, e->worker, e->task);
        break;
    case EVENT_REPORTED:
        push(w, (event){ at_broker(w) + near_s, EVENT_TOLD, NONE, e->task });
        break;
    case EVENT_TOLD:
        push(w, (event){ serve(&w->lead_free_s, &w->lead_busy_s, w->now_s, w->lead_s / 2),
                         EVENT_TAKEN, NONE, e->task });
        break;
    case EVENT_TAKEN:
        take_report(w, &w->tasks[e->task]);
        break;
    case EVENT_CUT:
        cut_region(w, e->worker);
        break;
    }
    match(w);
    send_calls(w);
}

static void start_machines(world *w)
{
    for (uint32_t i = 0; i < w->task_count; i++)
        w->tasks[i].work_s = mean_s * exp(sigma * enx_rng_normal(&w->rng) - sigma * sigma / 2);
    for (uint32_t i = 0; i < w->worker_count; i++) {
        const bool is_far = w->trouble->is_far && i % 2 == 1;
        w->workers[i] =
            (worker){ .link_s = is_far ? far_s : near_s, .clock_rate = 1, .task = NONE };
        if (w->trouble->has_clocks)
            w->workers[i].clock_rate = exp(clock_sigma * enx_rng_normal(&w->rng));
        w->idle[w->idle_count++] = (int32_t)i;
    }
    for (int32_t region = 0; w->trouble->cuts > 0 && region < REGIONS; region++)
        push(w, (event){ draw_wait(w, w->trouble->cuts), EVENT_CUT, region, NONE });
}

/* A call is in the queue twice at most for each lease that ends, and a worker has one lease. */
static bool open_world(world *w, uint64_t seed)
{
    const size_t calls = (size_t)w->worker_count * (FLIGHT_A_WORKER + 1);
    w->capacity = 8 * calls + REGIONS + 16;
    w->heap = ENX_MEM_NEW(event, w->capacity);
    w->tasks = ENX_MEM_NEW(task, w->task_count);
    w->workers = ENX_MEM_NEW(worker, w->worker_count);
    w->waiting = ENX_MEM_NEW(int32_t, 2 * calls);
    w->idle = ENX_MEM_NEW(int32_t, w->worker_count);
    if (!w->heap || !w->tasks || !w->workers || !w->waiting || !w->idle) return false;
    w->left = w->task_count;
    w->flight_max = w->worker_count * FLIGHT_A_WORKER;
    w->rng = enx_rng_open(w->worker_count, seed);
    start_machines(w);
    return true;
}

typedef struct outcome {
    double efficiency, seconds, lead_load, broker_load;
} outcome;

static outcome run(const world *start, uint64_t seed)
{
    world w = *start;
    if (!open_world(&w, seed)) exit(1);
    send_calls(&w);
    while (w.left > 0) {
        const event e = pop(&w);
        w.now_s = e.at_s;
        handle(&w, &e);
        ENX_CHECK(w.count + REGIONS < w.capacity && w.idle_count <= w.worker_count);
    }
    enx_mem_free(w.heap);
    enx_mem_free(w.tasks);
    enx_mem_free(w.workers);
    enx_mem_free(w.waiting);
    enx_mem_free(w.idle);
    return (outcome){ .efficiency = w.work_s / (w.now_s * w.worker_count),
                      .seconds = w.now_s,
                      .lead_load = w.lead_busy_s / w.now_s,
                      .broker_load = w.broker_busy_s / w.now_s };
}

static int by_efficiency(const void *a, const void *b)
{
    const double x = ((const outcome *)a)->efficiency, y = ((const outcome *)b)->efficiency;
    return (x > y) - (x < y);
}

static void print_row(const world *start)
{
    outcome outcomes[SEEDS];
    for (uint32_t i = 0; i < SEEDS; i++) outcomes[i] = run(start, i + 1);
    qsort(outcomes, SEEDS, sizeof *outcomes, by_efficiency);
    const outcome *o = &outcomes[SEEDS / 2];
    printf("%u,%u,%s,%.1f,%.0f,%.3f,%.3f,%.3f,%.3f,%.3f\n", start->worker_count, start->task_count,
           start->trouble->name, o->seconds, start->task_count / o->seconds, o->efficiency,
           outcomes[0].efficiency, outcomes[SEEDS - 1].efficiency, o->lead_load, o->broker_load);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const uint32_t workers[] = { 10, 100, 1000, 10000 };
    static const trouble  troubles[] = {
         { .name = "none" },
         { .name = "deaths", .deaths = 1 },
         { .name = "far", .is_far = true },
         { .name = "cuts", .cuts = 6 },
         { .name = "clocks", .has_clocks = true },
    };
    const double lead_s = (argc > 2 ? strtod(argv[1], NULL) : 149) / 1e6;
    const double broker_s = (argc > 2 ? strtod(argv[2], NULL) : 75) / 1e6;
    printf("workers,tasks,trouble,seconds,tasks_per_s,efficiency,efficiency_worst,"
           "efficiency_best,lead_load,broker_load\n");
    for (size_t t = 0; t < sizeof troubles / sizeof *troubles; t++)
        for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
            const uint32_t tasks = workers[i] * TASKS_A_WORKER;
            const world    start = { .trouble = &troubles[t],
                                     .worker_count = workers[i],
                                     .task_count = tasks > TASKS_MIN ? tasks : TASKS_MIN,
                                     .lead_s = lead_s,
                                     .broker_s = broker_s };
            print_row(&start);
        }
    return 0;
}
