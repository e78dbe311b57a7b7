/* SPDX-License-Identifier: Apache-2.0 */
/* bench_remote.c - how many requests a second the driver of remote models makes, and what each
 * costs, against a server in this process that answers at once.
 *
 *     bench_remote [IN_FLIGHT [CALLS]]          (64, 20000)
 *
 * The server is one thread that does nothing but count bytes; its share of the CPU is in the
 * figure. With more in flight than the driver can serve, latency is the time in the queue.
 */
#include "backend/remote.h"
#include "base/mem.h"
#include "bench/echo.h"
#include "plat/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT_BYTES = 900 };

/* ---- The calls ------------------------------------------------------------------------------ */

typedef struct results {
    uint64_t *latency_us;
    uint32_t  count, good;
} results;

static void keep(void *user, const enx_remote_result *result)
{
    results *r = user;
    r->latency_us[r->count++] = result->latency_us;
    r->good += result->verdict == ENX_VERDICT_ANSWERED && !result->doubt;
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void run(enx_remote *remote, uint32_t in_flight, uint32_t calls, results *r)
{
    static char prompt[PROMPT_BYTES];
    memset(prompt, 'x', sizeof prompt);
    const enx_api_message messages[] = { { ENX_API_SYSTEM, prompt, sizeof prompt },
                                         { ENX_API_USER, "ola", 3 } };
    const enx_api_request request = { .messages = messages, .message_count = 2, .max_tokens = 60 };
    uint32_t              sent = 0;
    while (r->count < calls) {
        for (; sent < calls && enx_remote_flight(remote) < in_flight; sent++) {
            const enx_remote_call call = { .id = sent,
                                           .request = &request,
                                           .bounds = { 1000, 60, PROMPT_BYTES + 3 } };
            if (enx_remote_submit(remote, &call, NULL) != ENX_OK) abort();
        }
        enx_remote_poll(remote, 100000, -1, keep, r);
    }
}

int main(int argc, char **argv)
{
    char                     url[64];
    const uint32_t           in_flight = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 64;
    const uint32_t           calls = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 20000;
    const enx_remote_options options = { .salt = 1 };
    enx_remote              *remote = NULL;
    results                  r = { .latency_us = ENX_MEM_NEW(uint64_t, calls + 1) };
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v1", echo_open());
    const enx_remote_model model = {
        .api = &enx_api_openai, .url = url, .model = "m", .features = ENX_API_HAS_ALL
    };
    if (in_flight == 0 || calls == 0 || !r.latency_us ||
        enx_remote_open(&remote, &model, 1, &options, NULL) != ENX_OK)
        return EXIT_FAILURE;
    const uint64_t start_us = enx_clock_monotonic_us(), cpu_us = enx_clock_cpu_us();
    run(remote, in_flight, calls, &r);
    const double seconds = (double)(enx_clock_monotonic_us() - start_us) * 1e-6;
    const double cpu = (double)(enx_clock_cpu_us() - cpu_us) / calls;
    qsort(r.latency_us, calls, sizeof *r.latency_us, compare);
    printf("%u in flight: %u calls, %u good, %.0f/s, %.0f us of CPU each with the server's, "
           "latency %.2f ms p50 %.2f ms p99, %.0f MB\n",
           in_flight, calls, r.good, calls / seconds, cpu, (double)r.latency_us[calls / 2] * 1e-3,
           (double)r.latency_us[calls - calls / 100 - 1] * 1e-3,
           (double)enx_clock_rss_max_bytes() * 1e-6);
    enx_remote_close(&remote, NULL, NULL);
    enx_mem_free(r.latency_us);
    return r.good == calls ? EXIT_SUCCESS : EXIT_FAILURE;
}
