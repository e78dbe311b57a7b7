/* SPDX-License-Identifier: Apache-2.0 */
/* bench_queue.c - what the way through the queue costs: calls to a worker that answers at once.
 *
 *     bench_queue URL FILE [CALLS [FLIGHT]]
 *
 * FILE is what the worker offers (`enxame worker --echo -m FILE`).  Prints CSV: calls a second with
 * FLIGHT under way, those of a moment together and each by itself, and how long one alone takes. */
#include "backend/queue.h"
#include "plat/clock.h"
#include "plat/file.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 100000, FLIGHT = 2000, ALONE = 500, INPUT_BYTES = 200 };

typedef struct bench {
    enx_queue *queue;
    uint64_t   next_id;
    uint32_t   back;
    bool       is_single; /* each call leaves by itself */
} bench;

static void on_report(void *user, const enx_call_report *report)
{
    (void)report;
    ((bench *)user)->back++;
}

static void warn(void *user, const char *sentence)
{
    (void)user;
    fprintf(stderr, "bench_queue: %s\n", sentence);
}

static void send_one(bench *b)
{
    static char    input[INPUT_BYTES];
    const enx_call call = { .call_id = b->next_id++,
                            .task_id = 1,
                            .attempt = 1,
                            .role = ENX_ROLE_WORK,
                            .what = "restore",
                            .goal = "nothing",
                            .input = input,
                            .input_bytes = sizeof input,
                            .max_tokens_in = INPUT_BYTES,
                            .max_tokens_out = INPUT_BYTES };
    memset(input, 'x', sizeof input);
    if (enx_queue_generate(b->queue, 0, &call, 60000000, NULL) != ENX_OK) exit(1);
}

static void wait_some(bench *b)
{
    struct pollfd fd = { .fd = enx_queue_fd(b->queue), .events = POLLIN };
    poll(&fd, 1, 1000);
    enx_queue_poll(b->queue, on_report, b);
}

static double run(bench *b, uint32_t calls, uint32_t flight)
{
    const uint64_t start_us = enx_clock_monotonic_us();
    uint32_t       sent = 0;
    b->back = 0;
    while (b->back < calls) {
        if (!b->is_single) enx_queue_hold(b->queue); /* as the swarm does with a step's calls */
        while (sent < calls && sent - b->back < flight) send_one(b), sent++;
        enx_queue_release(b->queue, true);
        wait_some(b);
    }
    return (double)(enx_clock_monotonic_us() - start_us);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_alone(bench *b)
{
    static double us[ALONE];
    for (int i = 0; i < ALONE; i++) us[i] = run(b, 1, 1);
    qsort(us, ALONE, sizeof *us, by_value);
    printf("one_us,%.0f\none_p99_us,%.0f\n", us[ALONE / 2], us[ALONE * 99 / 100]);
}

int main(int argc, char **argv)
{
    enx_report               report = { 0 };
    enx_broker              *broker = NULL;
    enx_file                 file = { 0 };
    bench                    b = { .next_id = 1 };
    const enx_queue_options  options = { .warn = warn };
    const enx_broker_options where = { .url = argc > 1 ? argv[1] : "", .swarm = "bench" };
    const uint32_t           calls = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : CALLS;
    const uint32_t           flight = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : FLIGHT;
    if (argc < 3) return fprintf(stderr, "bench_queue URL FILE [CALLS [FLIGHT]]\n"), 64;
    enx_status            status = enx_file_map(&file, argv[2], &report);
    const enx_queue_model model = { .bytes = file.bytes,
                                    .size_bytes = file.size_bytes,
                                    .name = "bench" };
    if (status == ENX_OK) status = enx_broker_open(&broker, &where, &report);
    if (status == ENX_OK) status = enx_queue_open(&b.queue, broker, &model, 1, &options, &report);
    if (status == ENX_OK) status = enx_queue_hear(b.queue, enx_clock_wall_us(), &report);
    if (status == ENX_OK) {
        run(&b, calls / 10, flight); /* warm */
        printf("measure,value\nper_s,%.0f\n", calls / run(&b, calls, flight) * 1e6);
        b.is_single = true;
        printf("single_per_s,%.0f\n", calls / run(&b, calls, flight) * 1e6);
        print_alone(&b);
    } else {
        fprintf(stderr, "bench_queue: %s\n", report.text);
    }
    enx_queue_close(&b.queue);
    enx_broker_close(&broker);
    enx_file_unmap(&file);
    return enx_status_exit_code(status);
}
