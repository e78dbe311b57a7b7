/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_bench_swarm.c - enxame bench swarm: what the swarm adds to its models, and what it saves. */
#include "backend/remote.h"
#include "bench/echo.h"
#include "cli/cli.h"
#include "cli/cli_dispatch.h"
#include "cli/cli_span.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    TASKS_MAX = 1000000,
    SLOTS_MAX = 256,
    LATENCY_SLOTS = 4, /* few enough that a call does not wait for others */
    LATENCY_TASKS = 4000,
    FLOOD_FILES = 100, /* open beside their sockets, at most */
    SPAN_TRIALS = 20,
    SPAN_TASKS = 500,
    SPAN_SLOTS = 64,
    SPAN_STAGES = 3,
};

/* The disk is waited for before a call leaves and after its report; a folder in memory shows the
 * rest. */
static const char on_disk[] = "/tmp", in_memory[] = "/dev/shm";

static const double span_hang = .02, span_hedge = .065, span_timeout_s = 60;

typedef struct options {
    uint64_t tasks, slots, seed, flood;
} options;

typedef struct bench {
    options      o;
    cli_dispatch rush, calm; /* many calls in flight; few */
    cli_dispatch quick;      /* few, and the store in memory */
    cli_dispatch flood;      /* all tasks in flight */
    uint32_t     flood_tasks;
    double       swarm_s, waves_s, extra;
} bench;

static enx_status measure_span(bench *b, enx_report *report)
{
    for (uint64_t i = 0; i < SPAN_TRIALS; i++) {
        const cli_span_options o = { .tasks = SPAN_TASKS,
                                     .slots = SPAN_SLOTS,
                                     .hang = span_hang,
                                     .hedge_share = span_hedge,
                                     .timeout_s = span_timeout_s,
                                     .seed = b->o.seed + i };
        cli_span               span;
        ENX_TRY(cli_span_run(&span, &o, report));
        b->swarm_s += span.swarm_s / SPAN_TRIALS;
        b->waves_s += span.waves_s / SPAN_TRIALS;
        b->extra += ((double)span.calls / (SPAN_STAGES * SPAN_TASKS) - 1) / SPAN_TRIALS;
    }
    return ENX_OK;
}

/* So many calls may be in flight: fewer where the system allows too few sockets. */
static uint32_t allow_flight(uint32_t count)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return 1;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur <= FLOOD_FILES) return 1;
    const uint64_t sockets = files.rlim_cur - FLOOD_FILES;
    return sockets < ENX_REMOTE_OPEN_MAX ? (uint32_t)sockets : count;
}

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    bench *b = user;
    (void)args;
    if (b->o.tasks == 0 || b->o.tasks > TASKS_MAX || b->o.slots == 0 || b->o.slots > SLOTS_MAX)
        return ENX_FAIL(report, INVALID, "%llu tasks by %llu slots, expected 1 to %d and 1 to %d",
                        (unsigned long long)b->o.tasks, (unsigned long long)b->o.slots, TASKS_MAX,
                        SLOTS_MAX);
    if (b->o.flood == 0 || b->o.flood > TASKS_MAX)
        return ENX_FAIL(report, INVALID, "--flood %llu: expected 1 to %d",
                        (unsigned long long)b->o.flood, TASKS_MAX);
    ENX_TRY(measure_span(b, report));
    b->flood_tasks = allow_flight((uint32_t)b->o.flood);
    const uint32_t held =
        b->flood_tasks < ENX_REMOTE_OPEN_MAX ? b->flood_tasks : ENX_REMOTE_OPEN_MAX;
    cli_dispatch_options flood = { echo_open_apart(held), b->flood_tasks, b->flood_tasks, on_disk };
    cli_dispatch_options o = { echo_open(), (uint32_t)b->o.tasks, (uint32_t)b->o.slots, on_disk };
    ENX_TRY(cli_dispatch_run(&b->rush, &o, report));
    o.slots = LATENCY_SLOTS;
    o.tasks = LATENCY_TASKS;
    ENX_TRY(cli_dispatch_run(&b->calm, &o, report));
    o.folder = in_memory;
    if (access(in_memory, W_OK) == 0) ENX_TRY(cli_dispatch_run(&b->quick, &o, report));
    return cli_dispatch_run(&b->flood, &flood, report); /* last: the most memory */
}

static double rate_of(const bench *b) { return (double)b->o.tasks / b->rush.seconds; }

static void print_json(const void *user)
{
    const bench *b = user;
    cli_print_json(json_pack(
        "{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:f}",
        "dispatch_per_s", rate_of(b), "p99_ms", b->calm.p99_ms, "rss_mb", b->rush.rss_mb,
        "makespan_ratio", b->swarm_s / b->waves_s, "extra_calls", b->extra, "p50_ms",
        b->calm.p50_ms, "rush_p50_ms", b->rush.p50_ms, "rush_p99_ms", b->rush.p99_ms, "cpu_us",
        b->rush.cpu_us, "makespan_s", b->swarm_s, "memory_p50_ms", b->quick.p50_ms, "memory_p99_ms",
        b->quick.p99_ms, "flood_tasks", (json_int_t)b->flood_tasks, "flood_per_s",
        b->flood_tasks / b->flood.seconds, "flood_rss_mb", b->flood.rss_mb));
}

static void print_text(const void *user)
{
    const bench *b = user;
    printf("dispatch  %.0f tasks/s: %llu tasks, %llu calls in flight, each over HTTP and in the "
           "store\n          %.0f us of CPU a task with the endpoint's share, %.0f MB at most\n",
           rate_of(b), (unsigned long long)b->o.tasks, (unsigned long long)b->o.slots,
           b->rush.cpu_us, b->rush.rss_mb);
    printf("latency   %.2f ms p50, %.2f ms p99, with %d calls in flight\n", b->calm.p50_ms,
           b->calm.p99_ms, LATENCY_SLOTS);
    printf("          %.2f ms p50, %.2f ms p99 with the store in memory: what is not the disk's\n",
           b->quick.p50_ms, b->quick.p99_ms);
    printf("in flight %u tasks at once: %.0f MB at most, %.0f tasks/s\n", b->flood_tasks,
           b->flood.rss_mb, b->flood_tasks / b->flood.seconds);
    printf("makespan  %.1f s instead of %.1f in waves (%.3f), with %.1f %% extra calls; virtual "
           "clock, %g %% of calls hang\n",
           b->swarm_s, b->waves_s, b->swarm_s / b->waves_s, 100 * b->extra, 100 * span_hang);
}

static const cli_steps steps = { "bench swarm", run, print_json, print_text, NULL };

int cmd_bench_swarm(int argc, char **argv)
{
    static bench b;
    b.o = (options){ .tasks = 10000, .slots = 64, .seed = 1, .flood = 10000 };
    const cli_option list[] = {
        { "tasks", '\0', CLI_UINT, &b.o.tasks, "N", "of one job (default 10000)" },
        { "slots", '\0', CLI_UINT, &b.o.slots, "N", "calls in flight (default 64)" },
        { "flood", '\0', CLI_UINT, &b.o.flood, "N",
          "tasks of another job, all of them in flight at once (default 10000)" },
        { "seed", '\0', CLI_UINT, &b.o.seed, "S", "of the virtual clock's chance (default 1)" },
    };
    const cli_spec spec = { "bench swarm [options]",
                            "Tasks a second and added latency against an endpoint of this process "
                            "that answers at once; and the time of a job with calls that hang.",
                            "enxame bench swarm --json",
                            list,
                            sizeof list / sizeof *list,
                            0,
                            0 };
    return cli_run(&spec, &steps, &b, argc, argv);
}
