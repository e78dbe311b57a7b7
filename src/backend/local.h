/* SPDX-License-Identifier: Apache-2.0 */
/* local.h - the models of a swarm on this machine: the ports' `generate` over our own engine.
 *
 * The models of a config are mapped once and shared; each worker thread runs its own engines, one
 * sequence batch a model, opened when first needed.  Calls wait in one queue a model, and threads
 * take what they have room for, so a long answer delays nobody.  The answer to a call depends on
 * the model and the call alone, not on threads, batches or order.
 *
 *     enx_local_open(&local, config, &options, report);
 *     enx_local_generate(local, &call);                     // never blocks
 *     enx_local_poll(local, 100000, on_report, user);       // hands reports over, on this thread
 *
 * Layer: backend.  Thread-safety: one owner thread calls everything here.
 */
#ifndef ENX_BACKEND_LOCAL_H
#define ENX_BACKEND_LOCAL_H

#include "backend/ask.h"
#include "backend/config.h"

#include <stdint.h>

enum {
    ENX_LOCAL_ENGINE_BYTES = 192 << 20, /* default for all engines of all threads */
    ENX_LOCAL_FLIGHT_MAX = 64,          /* calls of one model that the swarm may have waiting */
};

typedef struct enx_local enx_local;

typedef struct enx_local_options {
    uint32_t    thread_count;     /* 0: the config's, or one per core */
    uint64_t    engine_bytes_max; /* 0: ENX_LOCAL_ENGINE_BYTES; idle engines are closed above it */
    const char *cpu;              /* cap on the kernels (engine.h); borrowed until close */
    bool        takes_any_duty;   /* whoever calls knows what each model can be asked */
} enx_local_options;

/* Open every model of `config` (borrowed until close) that is a file.  A model that cannot do its
 * duty is ENX_UNSUPPORTED; otherwise the failures of enx_skill_open and ENX_NOMEM. */
ENX_MUST_USE enx_status enx_local_open(enx_local **out, const enx_config *config,
                                       const enx_local_options *options, enx_report *report);
/* Stops running calls; their reports are dropped. */
void                    enx_local_close(enx_local **local);

/* Lead, scout, workers, verifier, in this order; names are the files' without folder and ".gguf".
 * Borrowed until close. */
const enx_roster *enx_local_roster(const enx_local *local);
/* One job's share of the training cost of a model of the roster. */
uint64_t          enx_local_fixed_usd_nano(const enx_local *local, uint32_t model);
const enx_skill  *enx_local_skill(const enx_local *local, uint32_t model);

/* Start a call; everything is copied.  Without memory for it the call is dropped, and the swarm's
 * deadline finds out. */
void     enx_local_generate(enx_local *local, const enx_call *call);
/* From hold to release, calls wait: nothing starts before what was recorded of them is durable.
 * release(false) drops them.  Calls that were started before go on. */
void     enx_local_hold(enx_local *local);
void     enx_local_release(enx_local *local, bool is_kept);
/* Calls whose report was not handed over yet. */
uint32_t enx_local_flight(const enx_local *local);
/* Its report comes as an error, with what was used. */
void     enx_local_cancel(enx_local *local, uint64_t call_id);
void     enx_local_measure(const enx_local *local, enx_call *call);

/* Wait until a report is ready or `timeout_us` is over, then hand over all that are ready, in the
 * order of their ends.  Returns how many. */
typedef void (*enx_local_report_fn)(void *user, const enx_call_report *report);
size_t enx_local_poll(enx_local *local, uint64_t timeout_us, enx_local_report_fn fn, void *user);

/* Can be read while a report waits for poll; owned by `local`, only to be waited for. */
int enx_local_fd(const enx_local *local);

/* Does damage(answer) equal damage(input), over the kinds that the call may change?  On false a
 * sentence is written to reason [reason_bytes]. */
bool enx_local_round_trip(const enx_call *call, const char *answer, size_t answer_bytes,
                          char *reason, size_t reason_bytes);

#endif /* ENX_BACKEND_LOCAL_H */
