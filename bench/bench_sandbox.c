/* SPDX-License-Identifier: Apache-2.0 */
/* bench_sandbox.c - what a sandbox costs, and whether it leaves anything behind.
 *
 *     bench_sandbox [RUNS [THREADS]]     lines of CSV: measure, value, unit
 *
 * /usr/bin/true is started bare, under bubblewrap with the same namespaces, and in a sandbox, in
 * turns, so that all three meet the same machine.  Then RUNS runs in batches on THREADS threads,
 * with what there is of descriptors, processes, temporary files and memory before and after. */
#include "plat/clock.h"
#include "plat/pool.h"
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 200, RUNS = 500, THREADS = 4 };

static char *const no_env[] = { NULL };

static double run_bare(const char *const *argv)
{
    union {
        const char *const *ours;
        char *const       *theirs;
    } words = { .ours = argv };
    const uint64_t start_us = enx_clock_monotonic_us();
    pid_t          pid;
    if (posix_spawn(&pid, argv[0], NULL, NULL, words.theirs, no_env) != 0) return -1;
    waitpid(pid, NULL, 0);
    return (double)(enx_clock_monotonic_us() - start_us) * 1e-3;
}

static double run_in(const enx_sandbox *sandbox)
{
    static const char *const argv[] = { "/usr/bin/true", NULL };
    const enx_sandbox_task   task = { .argv = argv, .limits = enx_sandbox_limits_default() };
    enx_sandbox_result       result;
    const uint64_t           start_us = enx_clock_monotonic_us();
    if (enx_sandbox_run(sandbox, &task, &result, NULL) != ENX_OK) return -1;
    enx_sandbox_result_deinit(&result);
    return (double)(enx_clock_monotonic_us() - start_us) * 1e-3;
}

static int compare(const void *a, const void *b)
{
    const double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double quantile(double *times, double share)
{
    qsort(times, ROUNDS, sizeof *times, compare);
    return times[(size_t)(share * (ROUNDS - 1))];
}

static void measure_cost(const enx_sandbox *sandbox)
{
    static const char *const bare[] = { "/usr/bin/true", NULL };
    static const char *const bwrap[] = { "/usr/bin/bwrap",
                                         "--unshare-all",
                                         "--die-with-parent",
                                         "--new-session",
                                         "--ro-bind",
                                         "/usr",
                                         "/usr",
                                         "--symlink",
                                         "usr/lib",
                                         "/lib",
                                         "--symlink",
                                         "usr/lib64",
                                         "/lib64",
                                         "--proc",
                                         "/proc",
                                         "--dev",
                                         "/dev",
                                         "--",
                                         "/usr/bin/true",
                                         NULL };
    static double            times[3][ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        times[0][i] = run_bare(bare);
        times[1][i] = run_bare(bwrap);
        times[2][i] = run_in(sandbox);
    }
    const char *const names[] = { "bare", "bubblewrap", "sandbox" };
    for (int i = 0; i < 3; i++)
        printf("%s median,%.2f,ms\n%s 95th percentile,%.2f,ms\n", names[i], quantile(times[i], 0.5),
               names[i], quantile(times[i], 0.95));
    printf("sandbox over bare median,%.2f,ms\n", quantile(times[2], 0.5) - quantile(times[0], 0.5));
}

static size_t count_entries(const char *path)
{
    DIR   *folder = opendir(path);
    size_t count = 0;
    while (folder && readdir(folder)) count++;
    if (folder) closedir(folder);
    return count;
}

/* Of the calling thread's children: there must be none. */
static size_t count_children(void) { return waitpid(-1, NULL, WNOHANG) >= 0 ? 1 : 0; }

static size_t rss_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long  size = 0, resident = 0;
    if (file && fscanf(file, "%ld %ld", &size, &resident) != 2) resident = 0;
    if (file) fclose(file);
    return (size_t)(resident * sysconf(_SC_PAGESIZE) / 1024);
}

typedef struct batch {
    const enx_sandbox *sandbox;
    atomic_uint        failed;
} batch;

static void run_part(void *user, uint32_t part, uint32_t part_count)
{
    batch *b = user;
    (void)part, (void)part_count;
    if (run_in(b->sandbox) < 0) atomic_fetch_add(&b->failed, 1);
}

static int measure_leaks(const enx_sandbox *sandbox, uint32_t runs, uint32_t threads)
{
    batch     b = { .sandbox = sandbox };
    enx_pool *pool = NULL;
    if (enx_pool_open(&pool, threads, NULL) != ENX_OK) return 1;
    enx_pool_run(pool, run_part, &b, threads); /* what is taken once */
    const size_t   fds = count_entries("/proc/self/fd"), kib = rss_kib();
    const size_t   files = count_entries("/tmp");
    const uint64_t start_us = enx_clock_monotonic_us();
    for (uint32_t done = 0; done < runs; done += threads) enx_pool_run(pool, run_part, &b, threads);
    const double seconds = (double)(enx_clock_monotonic_us() - start_us) * 1e-6;
    printf("parallel runs,%u,\nthreads,%u,\nfailed,%u,\nruns a second,%.1f,1/s\n", runs, threads,
           b.failed, runs / seconds);
    printf(
        "descriptors more,%zd,\nchildren left,%zu,\nfiles in /tmp more,%zd,\nmemory more,%zd,KiB\n",
        (ssize_t)count_entries("/proc/self/fd") - (ssize_t)fds, count_children(),
        (ssize_t)count_entries("/tmp") - (ssize_t)files, (ssize_t)rss_kib() - (ssize_t)kib);
    enx_pool_close(&pool);
    return b.failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    const long   runs = argc > 1 ? strtol(argv[1], NULL, 10) : RUNS;
    const long   threads = argc > 2 ? strtol(argv[2], NULL, 10) : THREADS;
    enx_sandbox *sandbox = NULL;
    enx_report   report = { 0 };
    enx_status   status = enx_sandbox_open(&sandbox, NULL, &report);
    if (status == ENX_OK) status = enx_sandbox_probe(sandbox, &report);
    if (status != ENX_OK) {
        fprintf(stderr, "bench_sandbox: %s\n", report.text);
        return 77;
    }
    printf("measure,value,unit\n");
    measure_cost(sandbox);
    const int code = measure_leaks(sandbox, (uint32_t)runs, (uint32_t)threads);
    enx_sandbox_close(&sandbox);
    return code;
}
