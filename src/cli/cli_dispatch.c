/* SPDX-License-Identifier: Apache-2.0 */
/* cli_dispatch.c - what a task costs the swarm itself. */
#include "cli/cli_dispatch.h"

#include "backend/remote.h"
#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "store/store.h"
#include "swarm/swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { URL_BYTES = 64, PATH_BYTES = 64, TURN_US = 50000, TOKENS_OUT = 60, PROMPT_TOKENS = 64 };

typedef struct world {
    const cli_dispatch_options *o;
    enx_swarm                  *swarm;
    enx_store                  *store;
    enx_remote                 *remote;
    uint64_t                   *calls;   /* [slots] made in this turn, not committed yet */
    uint64_t                   *turned;  /* [slots] reports of this turn: when their calls left */
    uint64_t                   *left_us; /* [tasks + 1] by call: when it left */
    uint64_t                   *latency_us; /* [tasks] */
    uint32_t                    call_count, turned_count, done;
    enx_status                  status;
    enx_report                 *report;
} world;

/* ---- ports --------------------------------------------------------------------------------- */

static uint32_t index_of(uint64_t call_id) { return (uint32_t)(call_id & UINT32_MAX); }

static void port_generate(void *self, const enx_call *call)
{
    world *w = self;
    ENX_CHECK(w->call_count < w->o->slots && index_of(call->call_id) <= w->o->tasks);
    w->calls[w->call_count++] = call->call_id;
}

static void port_cancel(void *self, uint64_t call_id)
{
    enx_remote_cancel(((world *)self)->remote, call_id);
}

static enx_status port_save(void *self, const enx_record *records, size_t record_count,
                            enx_report *report)
{
    return enx_store_save(((world *)self)->store, records, record_count, report);
}

static bool port_check(void *self, const enx_check *check, const enx_call *call, const char *answer,
                       size_t answer_bytes, char *reason, size_t reason_bytes)
{
    (void)self, (void)check, (void)call, (void)answer, (void)reason, (void)reason_bytes;
    return answer_bytes > 0;
}

static uint64_t port_now(void *self) { return (void)self, enx_clock_monotonic_us(); }
static uint64_t port_random(void *self) { return (void)self, 1; }

/* ---- turns --------------------------------------------------------------------------------- */

static void on_result(void *user, const enx_remote_result *result)
{
    world                *w = user;
    const bool            is_ok = result->verdict == ENX_VERDICT_ANSWERED;
    const enx_call_report report = { .call_id = result->id,
                                     .status = is_ok ? ENX_CALL_OK : ENX_CALL_ERROR,
                                     .answer = "ok",
                                     .answer_bytes = is_ok ? 2 : 0,
                                     .level = ENX_LEVEL_UNKNOWN,
                                     .error_chance = .05,
                                     .usage = result->usage,
                                     .error = result->error };
    if (w->turned_count < w->o->slots)
        w->turned[w->turned_count++] = w->left_us[index_of(result->id)];
    enx_swarm_on_report(w->swarm, &report);
}

static enx_status submit(world *w, uint64_t call_id)
{
    static const char            words[] = "Say ok.";
    static const enx_api_message messages[] = { { ENX_API_USER, words, sizeof words - 1 } };
    static const enx_api_request request = { .messages = messages,
                                             .message_count = 1,
                                             .max_tokens = TOKENS_OUT };
    const enx_remote_call        call = { .id = call_id,
                                          .request = &request,
                                          .bounds = { 1000, TOKENS_OUT, sizeof words } };
    w->left_us[index_of(call_id)] = enx_clock_monotonic_us();
    return enx_remote_submit(w->remote, &call, w->report);
}

/* What was recorded is durable; now calls leave, and reports of the turn have had their effect. */
static enx_status end_turn(world *w)
{
    ENX_TRY(enx_swarm_error(w->swarm, w->report));
    ENX_TRY(enx_store_commit(w->store, w->report));
    const uint64_t now_us = enx_clock_monotonic_us();
    for (uint32_t i = 0; i < w->turned_count && w->done < w->o->tasks; i++)
        w->latency_us[w->done++] = now_us - w->turned[i];
    w->turned_count = 0;
    for (uint32_t i = 0; i < w->call_count; i++) ENX_TRY(submit(w, w->calls[i]));
    w->call_count = 0;
    return ENX_OK;
}

static enx_status run_turns(world *w)
{
    ENX_TRY(enx_store_begin(w->store, w->report));
    enx_swarm_start(w->swarm);
    ENX_TRY(end_turn(w));
    while (!enx_swarm_is_done(w->swarm)) {
        ENX_TRY(enx_store_begin(w->store, w->report));
        enx_remote_poll(w->remote, TURN_US, -1, on_result, w);
        enx_swarm_tick(w->swarm);
        ENX_TRY(end_turn(w));
    }
    const uint32_t accepted = enx_swarm_summary_get(w->swarm).tasks[ENX_TASK_ACCEPTED];
    if (accepted != w->o->tasks)
        return ENX_FAIL(w->report, INVALID, "%u of %u tasks were accepted", accepted, w->o->tasks);
    return ENX_OK;
}

/* ---- opening ------------------------------------------------------------------------------- */

static enx_status open_swarm(world *w, uint64_t job_id, const enx_span *items)
{
    static const enx_check checks[] = { { .kind = ENX_CHECK_COMMAND, .text = "true" } };
    static const enx_class task_class = {
        .name = "say", .instruction = "Say ok.", .checks = checks, .check_count = 1
    };
    const enx_roster_model  models[] = { { .name = "lead",
                                           .duty = ENX_DUTY_LEAD,
                                           .price = { 1000000, 1000000, 1000000, 0 },
                                           .slots = 1,
                                           .prompt_tokens = PROMPT_TOKENS },
                                         { .name = "worker",
                                           .duty = ENX_DUTY_WORKER,
                                           .price = { 1000, 1000, 1000, 0 },
                                           .slots = w->o->slots,
                                           .prompt_tokens = PROMPT_TOKENS } };
    static enx_roster_model kept[2];
    memcpy(kept, models, sizeof kept);
    static const enx_roster roster = { kept, 2 };
    const enx_ports         ports = { .self = w,
                                      .generate = port_generate,
                                      .cancel = port_cancel,
                                      .save = port_save,
                                      .check = port_check,
                                      .now_us = port_now,
                                      .random_u64 = port_random };
    const enx_swarm_options options = { .job_id = job_id,
                                        .roster = &roster,
                                        .ports = &ports,
                                        .goal = "say",
                                        .given = &task_class,
                                        .items = items,
                                        .item_count = w->o->tasks };
    return enx_swarm_open(&w->swarm, &options, w->report);
}

static enx_status open_world(world *w, const char *folder, const enx_span *items)
{
    char path[PATH_BYTES], url[URL_BYTES];
    snprintf(path, sizeof path, "%s/enxame.db", folder);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v1", w->o->port);
    const enx_store_options  store = { .path = path };
    const enx_store_job      job = { .command = "map",
                                     .goal = "say",
                                     .settings = "{}",
                                     .key = "bench",
                                     .created_us = enx_clock_wall_us() };
    const enx_remote_options remote = { .salt = 1 };
    const enx_remote_model   model = {
          .api = &enx_api_openai, .url = url, .model = "m", .features = ENX_API_HAS_ALL
    };
    uint64_t id = 0;
    ENX_TRY(enx_store_open(&w->store, &store, w->report));
    ENX_TRY(enx_store_job_add(w->store, &job, &id, w->report));
    ENX_TRY(enx_remote_open(&w->remote, &model, 1, &remote, w->report));
    return open_swarm(w, id, items);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void measure(world *w, uint64_t start_us, uint64_t cpu_us, cli_dispatch *out)
{
    const uint32_t n = w->o->tasks;
    qsort(w->latency_us, n, sizeof *w->latency_us, compare);
    out->seconds = (double)(enx_clock_monotonic_us() - start_us) * 1e-6;
    out->cpu_us = (double)(enx_clock_cpu_us() - cpu_us) / n;
    out->p50_ms = (double)w->latency_us[n / 2] * 1e-3;
    out->p99_ms = (double)w->latency_us[n - n / 100 - 1] * 1e-3;
    out->rss_mb = (double)enx_clock_rss_max_bytes() * 1e-6;
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = { "enxame.db", "enxame.db-wal", "enxame.db-shm" };
    char                     path[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static enx_status run_in(const char *folder, world *w, cli_dispatch *out)
{
    const uint32_t n = w->o->tasks;
    enx_span      *items = enx_mem_new(n, sizeof *items);
    enx_status     status = ENX_OK;
    w->calls = enx_mem_new(w->o->slots, sizeof *w->calls);
    w->turned = enx_mem_new(w->o->slots, sizeof *w->turned);
    w->left_us = enx_mem_new((size_t)n + 1, sizeof *w->left_us);
    w->latency_us = enx_mem_new(n, sizeof *w->latency_us);
    if (!items || !w->calls || !w->turned || !w->left_us || !w->latency_us)
        status = ENX_FAIL(w->report, NOMEM, "no memory for %u tasks", n);
    for (uint32_t i = 0; status == ENX_OK && i < n; i++) items[i] = (enx_span){ "task", 4 };
    if (status == ENX_OK) status = open_world(w, folder, items);
    const uint64_t start_us = enx_clock_monotonic_us(), cpu_us = enx_clock_cpu_us();
    if (status == ENX_OK) status = run_turns(w);
    if (status == ENX_OK) measure(w, start_us, cpu_us, out);
    enx_swarm_close(&w->swarm);
    enx_remote_close(&w->remote, NULL, NULL);
    enx_store_close(&w->store);
    enx_mem_free(items);
    enx_mem_free(w->calls);
    enx_mem_free(w->turned);
    enx_mem_free(w->left_us);
    enx_mem_free(w->latency_us);
    return status;
}

enx_status cli_dispatch_run(cli_dispatch *out, const cli_dispatch_options *options,
                            enx_report *report)
{
    char  folder[PATH_BYTES / 2];
    world w = { .o = options, .report = report };
    ENX_CHECK(options->tasks > 0 && options->slots > 0);
    snprintf(folder, sizeof folder, "%s/enxame-bench-XXXXXX", options->folder);
    if (!mkdtemp(folder)) return ENX_FAIL(report, IO, "no folder %s for a store", folder);
    const enx_status status = run_in(folder, &w, out);
    remove_folder(folder);
    return status;
}
