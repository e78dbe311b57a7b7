/* SPDX-License-Identifier: Apache-2.0 */
/* bench_pool.c - phases of work on all cores, alone and beside programs that burn cores.
 *
 *     bench_pool ROUNDS > rows of results/engine.csv
 *
 * A pass of a model is a row of phases, each cut into a part a thread, behind which all meet.  Such
 * phases are run by one thread, by OpenMP, by threads that spin at a barrier, and by plat/pool;
 * with as many programs that never sleep as the row says.  Figures are phases a second, medians and
 * extremes of the rounds, in which the ways take turns.
 */
#include "plat/clock.h"
#include "plat/pool.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS_MAX = 31, SPINNERS_MAX = 8, SLICE_US = 200000, CALIBRATION = 1 << 22 };

typedef enum way { ALONE, OPENMP, BARRIER, POOL, WAYS } way;

static const char *const way_names[WAYS] = { "one thread", "OpenMP", "spinning barrier", "pool" };

/* ---- work -------------------------------------------------------------- */

typedef struct work {
    uint64_t steps; /* of a whole phase */
    uint32_t part_count;
    float    sums[ENX_POOL_THREADS_MAX];
} work;

static void run_part(void *user, uint32_t part, uint32_t part_count)
{
    work          *w = user;
    const uint64_t count = w->steps / part_count;
    float          x = (float)part;
    for (uint64_t i = 0; i < count; i++) x = x * .999f + 1;
    w->sums[part] += x;
}

static double steps_a_us(work *w)
{
    w->steps = CALIBRATION;
    const uint64_t start_us = enx_clock_cpu_us();
    run_part(w, 0, 1);
    return CALIBRATION / (double)(enx_clock_cpu_us() - start_us + 1);
}

/* ---- a plain pool: everybody spins ------------------------------------- */

typedef struct barrier_pool {
    work            *w;
    uint32_t         thread_count;
    _Atomic uint32_t run, arrived;
    atomic_bool      is_closing;
    pthread_t        threads[ENX_POOL_THREADS_MAX];
    _Atomic uint32_t next_index;
} barrier_pool;

static void *spin(void *user)
{
    barrier_pool  *p = user;
    const uint32_t index = atomic_fetch_add(&p->next_index, 1);
    for (uint32_t seen = 0;; seen++) {
        while (atomic_load(&p->run) == seen && !atomic_load(&p->is_closing)) continue;
        if (atomic_load(&p->is_closing)) return NULL;
        run_part(p->w, index, p->thread_count);
        atomic_fetch_add(&p->arrived, 1);
    }
}

static void open_barrier(barrier_pool *p, work *w)
{
    *p = (barrier_pool){ .w = w, .thread_count = w->part_count, .next_index = 1 };
    for (uint32_t i = 1; i < p->thread_count; i++)
        if (pthread_create(&p->threads[i], NULL, spin, p)) exit(EXIT_FAILURE);
}

static void run_barrier(barrier_pool *p)
{
    atomic_store(&p->arrived, 0);
    atomic_fetch_add(&p->run, 1);
    run_part(p->w, 0, p->thread_count);
    while (atomic_load(&p->arrived) + 1 < p->thread_count) continue;
}

static void close_barrier(barrier_pool *p)
{
    atomic_store(&p->is_closing, true);
    for (uint32_t i = 1; i < p->thread_count; i++) pthread_join(p->threads[i], NULL);
}

/* ---- measuring --------------------------------------------------------- */

static void run_openmp(work *w)
{
#pragma omp parallel for schedule(static, 1) num_threads((int)w->part_count)
    for (uint32_t part = 0; part < w->part_count; part++) run_part(w, part, w->part_count);
}

/* Phases a second. */
static double measure(way how, work *w)
{
    enx_pool    *pool = NULL;
    barrier_pool barrier;
    uint64_t     count = 0, now_us;
    if (how == POOL && enx_pool_open(&pool, w->part_count, NULL) != ENX_OK) exit(EXIT_FAILURE);
    if (how == BARRIER) open_barrier(&barrier, w);
    const uint64_t start_us = enx_clock_monotonic_us();
    do {
        if (how == ALONE) run_part(w, 0, 1);
        else if (how == OPENMP) run_openmp(w);
        else if (how == BARRIER) run_barrier(&barrier);
        else enx_pool_run(pool, run_part, w, w->part_count);
        count++;
        now_us = enx_clock_monotonic_us();
    } while (now_us - start_us < SLICE_US);
    if (how == BARRIER) close_barrier(&barrier);
    enx_pool_close(&pool);
    return (double)count * 1e6 / (double)(now_us - start_us);
}

static void start_spinners(pid_t *pids, int count)
{
    for (int i = 0; i < count; i++) {
        pids[i] = fork();
        if (pids[i] < 0) exit(EXIT_FAILURE);
        if (pids[i] > 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (volatile uint64_t n = 0;; n++) continue;
    }
}

static void stop_spinners(const pid_t *pids, int count)
{
    for (int i = 0; i < count; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A row for each way; the ways take turns. */
static void measure_all(work *w, int spinners, int phase_us, int rounds)
{
    double figures[WAYS][ROUNDS_MAX];
    pid_t  pids[SPINNERS_MAX];
    start_spinners(pids, spinners);
    for (int round = 0; round < rounds; round++)
        for (int how = 0; how < WAYS; how++) figures[how][round] = measure((way)how, w);
    stop_spinners(pids, spinners);
    for (int how = 0; how < WAYS; how++) {
        qsort(figures[how], (size_t)rounds, sizeof **figures, by_size);
        printf("pool,phases of %d µs beside %d spinning,%s,%.0f,%.0f,%.0f,1/s,%d\n", phase_us,
               spinners, way_names[how], figures[how][rounds / 2], figures[how][0],
               figures[how][rounds - 1], rounds);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const int phases_us[] = { 50, 400 };
    const int        rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 5;
    work             w = { .part_count = enx_cpu_count() };
    if (rounds < 1 || rounds > ROUNDS_MAX || w.part_count > SPINNERS_MAX) {
        fprintf(stderr, "bench_pool: 1 to %d rounds, on at most %d cores\n", ROUNDS_MAX,
                SPINNERS_MAX);
        return EXIT_FAILURE;
    }
    const double rate = steps_a_us(&w);
    for (size_t i = 0; i < sizeof phases_us / sizeof *phases_us; i++) {
        w.steps = (uint64_t)(rate * phases_us[i]);
        for (uint32_t spinners = 0; spinners <= w.part_count; spinners++)
            measure_all(&w, (int)spinners, phases_us[i], rounds);
    }
    return isfinite(w.sums[0]) ? EXIT_SUCCESS : EXIT_FAILURE;
}
