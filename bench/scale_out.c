/* SPDX-License-Identifier: Apache-2.0 */
/* scale_out.c - a job over many machines on a virtual clock: what limits it, and where.
 *
 *     scale_out [LEAD_US BROKER_US]
 *
 * The lead and the broker are servers that take LEAD_US and BROKER_US of one core's time for a task
 * (bench_queue and `bench swarm` measure them); a worker pulls one task after the other over a
 * link. Tasks take 1 s on average, lognormal with sigma 0.8.  Machines die, links are cut, and what
 * was leased comes back when the lease ends.  No clock of any machine is compared with another's,
 * so skew has no place in the model, as it has none in the protocol.
 *
 * Prints CSV: efficiency is the work done, divided by what the machines could have done; medians of
 * nine seeds, with the worst and the best, as the longest of the last tasks decides. */
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASKS_A_WORKER = 100, TASKS_MIN = 20000, FLIGHT_A_WORKER = 2, NOBODY = -1, SEEDS = 9 };

static const double sigma = 0.8, mean_s = 1, link_s = 0.001, lease_s = 30, back_s = 10;

typedef enum event_kind {
    EVENT_SENT,     /* a call has come to the broker */
    EVENT_STORED,   /* the broker has it for whoever asks */
    EVENT_FINISHED, /* a worker has a report */
    EVENT_REPORTED, /* ... which has come to the broker */
    EVENT_TOLD,     /* ... and to the lead */
    EVENT_TAKEN,    /* ... who has read it */
    EVENT_LEASE,    /* of a call whose worker fell silent is over */
    EVENT_BACK,     /* a machine, or its link */
} event_kind;

typedef struct event {
    double     at_s;
    event_kind kind;
    int32_t    worker;
    double     work_s;
} event;

typedef struct world {
    event   *heap; /* [capacity], the earliest first */
    size_t   count, capacity;
    enx_rng  rng;
    double   now_s, lead_free_s, broker_free_s, lead_busy_s, broker_busy_s, work_s;
    double   lead_s, broker_s; /* of one task, half on each way */
    double   death_rate;       /* a second and worker */
    uint32_t to_send, flight, flight_max, left;
    double  *waiting; /* [waiting_count] seconds of each call in the queue */
    uint32_t waiting_count;
    int32_t *idle; /* [idle_count] workers that asked */
    uint32_t idle_count;
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

static double draw_work(world *w)
{
    return mean_s * exp(sigma * enx_rng_normal(&w->rng) - sigma * sigma / 2);
}

/* The lead keeps so many calls under way. */
static void send_calls(world *w)
{
    for (; w->to_send > 0 && w->flight < w->flight_max; w->to_send--, w->flight++) {
        const double sent = serve(&w->lead_free_s, &w->lead_busy_s, w->now_s, w->lead_s / 2);
        push(w, (event){ sent + link_s, EVENT_SENT, NOBODY, draw_work(w) });
    }
}

static double at_broker(world *w)
{
    return serve(&w->broker_free_s, &w->broker_busy_s, w->now_s, w->broker_s / 2);
}

static void start_work(world *w, int32_t worker, double work_s)
{
    const double start = w->now_s + link_s;
    const double until_death = -log(1 - enx_rng_unit(&w->rng)) / w->death_rate;
    if (w->death_rate > 0 && until_death < work_s) {
        push(w, (event){ start + until_death + lease_s, EVENT_LEASE, NOBODY, work_s });
        push(w, (event){ start + until_death + back_s, EVENT_BACK, worker, 0 });
        return;
    }
    push(w, (event){ start + work_s, EVENT_FINISHED, worker, work_s });
}

static void match(world *w)
{
    while (w->idle_count > 0 && w->waiting_count > 0)
        start_work(w, w->idle[--w->idle_count], w->waiting[--w->waiting_count]);
}

/* Each server sees what comes in the order in which it comes. */
static void handle(world *w, const event *e)
{
    switch (e->kind) {
    case EVENT_SENT:
        push(w, (event){ at_broker(w), EVENT_STORED, NOBODY, e->work_s });
        break;
    case EVENT_STORED:
    case EVENT_LEASE:
        w->waiting[w->waiting_count++] = e->work_s;
        break;
    case EVENT_FINISHED:
        w->work_s += e->work_s;
        w->idle[w->idle_count++] = e->worker;
        push(w, (event){ w->now_s + link_s, EVENT_REPORTED, NOBODY, 0 });
        break;
    case EVENT_REPORTED:
        push(w, (event){ at_broker(w) + link_s, EVENT_TOLD, NOBODY, 0 });
        break;
    case EVENT_TOLD:
        push(w, (event){ serve(&w->lead_free_s, &w->lead_busy_s, w->now_s, w->lead_s / 2),
                         EVENT_TAKEN, NOBODY, 0 });
        break;
    case EVENT_TAKEN:
        w->left--;
        w->flight--;
        break;
    case EVENT_BACK:
        w->idle[w->idle_count++] = e->worker;
        break;
    }
    match(w);
    send_calls(w);
}

static bool open_world(world *w, uint32_t workers, uint32_t tasks, uint64_t seed)
{
    w->capacity = 4 * (size_t)workers * (FLIGHT_A_WORKER + 1) + 16;
    w->heap = ENX_MEM_NEW(event, w->capacity);
    w->waiting = ENX_MEM_NEW(double, (size_t)workers *FLIGHT_A_WORKER + 1);
    w->idle = ENX_MEM_NEW(int32_t, workers);
    w->to_send = w->left = tasks;
    w->flight_max = workers * FLIGHT_A_WORKER;
    w->rng = enx_rng_open(workers, seed);
    for (uint32_t i = 0; w->idle && i < workers; i++) w->idle[w->idle_count++] = (int32_t)i;
    return w->heap && w->waiting && w->idle;
}

typedef struct outcome {
    double efficiency, seconds, lead_load, broker_load;
} outcome;

static outcome run(const world *start, uint32_t workers, uint32_t tasks, uint64_t seed)
{
    world w = *start;
    if (!open_world(&w, workers, tasks, seed)) exit(1);
    send_calls(&w);
    while (w.left > 0) {
        const event e = pop(&w);
        w.now_s = e.at_s;
        handle(&w, &e);
    }
    enx_mem_free(w.heap);
    enx_mem_free(w.waiting);
    enx_mem_free(w.idle);
    return (outcome){ .efficiency = w.work_s / (w.now_s * workers),
                      .seconds = w.now_s,
                      .lead_load = w.lead_busy_s / w.now_s,
                      .broker_load = w.broker_busy_s / w.now_s };
}

static int by_efficiency(const void *a, const void *b)
{
    const double x = ((const outcome *)a)->efficiency, y = ((const outcome *)b)->efficiency;
    return (x > y) - (x < y);
}

static void print_row(const world *start, uint32_t workers)
{
    outcome        outcomes[SEEDS];
    const uint32_t tasks =
        workers * TASKS_A_WORKER > TASKS_MIN ? workers * TASKS_A_WORKER : TASKS_MIN;
    for (uint32_t i = 0; i < SEEDS; i++) outcomes[i] = run(start, workers, tasks, i + 1);
    qsort(outcomes, SEEDS, sizeof *outcomes, by_efficiency);
    const outcome *o = &outcomes[SEEDS / 2];
    printf("%u,%u,%g,%.1f,%.0f,%.3f,%.3f,%.3f,%.3f,%.3f\n", workers, tasks,
           start->death_rate * 3600, o->seconds, tasks / o->seconds, o->efficiency,
           outcomes[0].efficiency, outcomes[SEEDS - 1].efficiency, o->lead_load, o->broker_load);
}

int main(int argc, char **argv)
{
    static const uint32_t workers[] = { 10, 100, 1000, 10000 };
    static const double   deaths_an_hour[] = { 0, 1 };
    const double          lead_s = (argc > 2 ? strtod(argv[1], NULL) : 149) / 1e6;
    const double          broker_s = (argc > 2 ? strtod(argv[2], NULL) : 75) / 1e6;
    printf("workers,tasks,deaths_per_hour,seconds,tasks_per_s,efficiency,efficiency_worst,"
           "efficiency_best,lead_load,broker_load\n");
    for (size_t d = 0; d < sizeof deaths_an_hour / sizeof *deaths_an_hour; d++)
        for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
            const world start = { .death_rate = deaths_an_hour[d] / 3600,
                                  .lead_s = lead_s,
                                  .broker_s = broker_s };
            print_row(&start, workers[i]);
        }
    return 0;
}
