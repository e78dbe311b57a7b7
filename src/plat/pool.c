/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - sleeping workers, a lane of parts each.
 *
 *   owner (0)                            worker w (1 .. thread_count-1)
 *   write fn, user; pending = parts      wait until ticket[w] moves: spin a little, then sleep
 *   lane[w] = parts w, w + n, w + 2n, …  claim and run the parts of lane w, then those that are
 *   ticket[w]++ (release)                left in other lanes; pending-- for each (release),
 *   claim and run, as a worker does      the last one wakes the owner
 *   wait until pending is 0 (acquire)
 *
 * (1) A part is claimed by moving its lane's word, which says all: the next part and where the lane
 *     ends.  The run cannot end before a claimed part has, so fn and user are read after the claim.
 *     Who comes late finds empty lanes, or those of a later run, and both are fine.
 *     A thread that the system has set aside is not waited for unless it is within a part: others
 *     do its lane.  So a busy machine makes a pool slower than it was, and hardly ever slower than
 *     one thread.
 * (2) The mutex guards sleeping: `asleep`, `owner_waits` and both condition variables.  Tickets
 *     and `pending` change before the mutex is taken or under it, so no wake-up is lost.
 * (3) Spinning ends after POOL_SPIN_US: cores are shared with other programs, and a thread that
 *     burns its slice delays the very part it waits for.
 */
#include "plat/pool.h"

#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    POOL_SPIN_US = 20,
    POOL_PAUSES_PER_LOOK = 32, /* pauses between two looks at the clock */
};

/* Of the owner, at index 0, only the lane is used. */
typedef struct pool_worker {
    enx_pool        *pool;
    uint32_t         index;
    bool             asleep; /* guarded by the mutex */
    pthread_t        thread;
    pthread_cond_t   wake;
    _Atomic uint32_t ticket;
    _Atomic uint64_t lane; /* end << 32 | next: part index + next * thread_count, until the end */
} pool_worker;

struct enx_pool {
    uint32_t         thread_count;  /* the owner counts as one */
    uint32_t         started_count; /* workers that run, at indices 1 .. started_count */
    bool             may_spin;
    bool             owner_waits; /* guarded by the mutex */
    enx_pool_fn      fn;
    void            *user;
    uint32_t         part_count;
    _Atomic uint32_t pending;
    atomic_bool      running;
    atomic_bool      closing; /* set before the last ticket; who is late sees it early */
    pthread_mutex_t  mutex;
    pthread_cond_t   all_done;
    pool_worker      workers[ENX_POOL_THREADS_MAX];
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Wait at most POOL_SPIN_US for *word to become (or stop being) `value`; true when it has. */
static bool spin_until(const enx_pool *pool, _Atomic uint32_t *word, uint32_t value, bool equal)
{
    if (!pool->may_spin)
        return (atomic_load_explicit(word, memory_order_acquire) == value) == equal;
    const uint64_t deadline_us = enx_clock_monotonic_us() + POOL_SPIN_US;
    do {
        for (int i = 0; i < POOL_PAUSES_PER_LOOK; i++) {
            /* acquire: pairs with the release in wake_workers() or finish_parts() */
            if ((atomic_load_explicit(word, memory_order_acquire) == value) == equal) return true;
            pause_cpu();
        }
    } while (enx_clock_monotonic_us() < deadline_us);
    return false;
}

static void finish_part(enx_pool *pool)
{
    /* release: what the part wrote is seen by the owner, which acquires `pending` */
    if (atomic_fetch_sub_explicit(&pool->pending, 1, memory_order_acq_rel) != 1) return;
    pthread_mutex_lock(&pool->mutex);
    if (pool->owner_waits) pthread_cond_signal(&pool->all_done);
    pthread_mutex_unlock(&pool->mutex);
}

/* Claim parts of a lane, and run them, until it is empty. */
static void run_lane(enx_pool *pool, uint32_t index)
{
    _Atomic uint64_t *lane = &pool->workers[index].lane;
    uint64_t          word = atomic_load_explicit(lane, memory_order_acquire);
    while ((uint32_t)word < word >> 32) {
        /* acquire: the job that this word was written for, which may be newer than the one seen */
        if (!atomic_compare_exchange_weak_explicit(lane, &word, word + 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        pool->fn(pool->user, index + (uint32_t)word * pool->thread_count, pool->part_count);
        finish_part(pool);
        word = atomic_load_explicit(lane, memory_order_acquire);
    }
}

/* The thread's own lane, then the others behind it. */
static void run_lanes(enx_pool *pool, uint32_t first)
{
    for (uint32_t i = 0; i < pool->thread_count; i++)
        run_lane(pool, (first + i) % pool->thread_count);
}

static void await_ticket(pool_worker *self, uint32_t seen)
{
    enx_pool *pool = self->pool;
    if (spin_until(pool, &self->ticket, seen, false)) return;
    pthread_mutex_lock(&pool->mutex);
    self->asleep = true;
    while (atomic_load_explicit(&self->ticket, memory_order_acquire) == seen)
        pthread_cond_wait(&self->wake, &pool->mutex);
    self->asleep = false;
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument)
{
    pool_worker *self = argument;
    for (uint32_t seen = 0;; seen++) {
        await_ticket(self, seen);
        if (atomic_load_explicit(&self->pool->closing, memory_order_acquire)) return NULL;
        run_lanes(self->pool, self->index);
    }
}

/* Cut the run into lanes; nobody is in one now. */
static void fill_lanes(enx_pool *pool)
{
    for (uint32_t w = 0; w < pool->thread_count; w++) {
        const uint64_t end =
            pool->part_count > w ? (pool->part_count - w - 1) / pool->thread_count + 1 : 0;
        /* release: whoever claims a part sees the job */
        atomic_store_explicit(&pool->workers[w].lane, end << 32, memory_order_release);
    }
}

/* Hand a ticket to workers 1 .. count. */
static void wake_workers(enx_pool *pool, uint32_t count)
{
    pthread_mutex_lock(&pool->mutex);
    for (uint32_t w = 1; w <= count; w++) {
        pool_worker *worker = &pool->workers[w];
        atomic_fetch_add_explicit(&worker->ticket, 1, memory_order_release);
        if (worker->asleep) pthread_cond_signal(&worker->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
}

/* Workers take no signals: those belong to the thread that the program chose for them. */
static enx_status start_workers(enx_pool *pool, enx_report *report)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    while (pool->started_count + 1 < pool->thread_count) {
        pool_worker *worker = &pool->workers[pool->started_count + 1];
        *worker = (pool_worker){ .pool = pool, .index = pool->started_count + 1 };
        pthread_cond_init(&worker->wake, NULL);
        error = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (error) {
            pthread_cond_destroy(&worker->wake);
            break;
        }
        pool->started_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error) return ENX_OK;
    return ENX_FAIL(report, LIMIT, "the system refused thread %u of %u (%s); ask for fewer threads",
                    pool->started_count + 2, pool->thread_count, strerror(error));
}

enx_status enx_pool_open(enx_pool **out, uint32_t thread_count, enx_report *report)
{
    ENX_CHECK(out);
    const uint32_t cpu_count = enx_cpu_count();
    if (thread_count == 0)
        thread_count = cpu_count < ENX_POOL_THREADS_MAX ? cpu_count : ENX_POOL_THREADS_MAX;
    if (thread_count > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, LIMIT, "%u threads were asked for, at most %d are possible",
                        thread_count, ENX_POOL_THREADS_MAX);
    enx_pool *pool = ENX_MEM_NEW(enx_pool, 1);
    if (!pool) return ENX_FAIL(report, NOMEM, "no memory for a pool of %u threads", thread_count);
    pool->thread_count = thread_count;
    pool->may_spin = thread_count <= cpu_count;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->all_done, NULL);
    const enx_status status = start_workers(pool, report);
    if (status != ENX_OK) {
        enx_pool_close(&pool);
        return status;
    }
    *out = pool;
    return ENX_OK;
}

void enx_pool_close(enx_pool **handle)
{
    enx_pool *pool = *handle;
    if (!pool) return;
    ENX_CHECK(!atomic_load_explicit(&pool->running, memory_order_relaxed));
    atomic_store_explicit(&pool->closing, true, memory_order_release);
    wake_workers(pool, pool->started_count);
    for (uint32_t w = 1; w <= pool->started_count; w++) {
        pthread_join(pool->workers[w].thread, NULL);
        pthread_cond_destroy(&pool->workers[w].wake);
    }
    pthread_cond_destroy(&pool->all_done);
    pthread_mutex_destroy(&pool->mutex);
    enx_mem_free(pool);
    *handle = NULL;
}

uint32_t enx_pool_thread_count(const enx_pool *pool) { return pool->thread_count; }

void enx_pool_run(enx_pool *pool, enx_pool_fn fn, void *user, uint32_t part_count)
{
    ENX_CHECK(pool && fn);
    /* A part that calls run() on its own pool would wait for itself. */
    ENX_CHECK(!atomic_exchange_explicit(&pool->running, true, memory_order_acquire));
    pool->fn = fn;
    pool->user = user;
    pool->part_count = part_count;
    atomic_store_explicit(&pool->pending, part_count, memory_order_relaxed);
    fill_lanes(pool);
    const uint32_t needed = part_count < pool->thread_count ? part_count : pool->thread_count;
    if (needed > 1) wake_workers(pool, needed - 1);
    run_lanes(pool, 0);
    if (!spin_until(pool, &pool->pending, 0, true)) {
        pthread_mutex_lock(&pool->mutex);
        pool->owner_waits = true;
        while (atomic_load_explicit(&pool->pending, memory_order_acquire) != 0)
            pthread_cond_wait(&pool->all_done, &pool->mutex);
        pool->owner_waits = false;
        pthread_mutex_unlock(&pool->mutex);
    }
    atomic_store_explicit(&pool->running, false, memory_order_release);
}

/* Cores' worth of time that the control group grants, rounded up; 0: no limit is set. */
static uint32_t group_quota(void)
{
    char      text[64];
    const int fd = open("/sys/fs/cgroup/cpu.max", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    const ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0) return 0;
    text[size] = '\0';
    /* "QUOTA PERIOD" in microseconds, or "max PERIOD", where strtoul finds no number. */
    char               *end = text;
    const unsigned long quota_us = strtoul(text, &end, 10);
    const unsigned long period_us = strtoul(end, NULL, 10);
    if (quota_us == 0 || period_us == 0) return 0;
    const unsigned long cores = quota_us / period_us + (quota_us % period_us != 0);
    return cores < UINT32_MAX ? (uint32_t)cores : UINT32_MAX;
}

uint32_t enx_cpu_count(void)
{
    cpu_set_t mine;
    long      count = 0;
    CPU_ZERO(&mine);
    if (sched_getaffinity(0, sizeof mine, &mine) == 0) count = CPU_COUNT(&mine);
    if (count < 1) count = sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1) count = 1;
    const uint32_t quota = group_quota();
    return quota > 0 && quota < (uint32_t)count ? quota : (uint32_t)count;
}
