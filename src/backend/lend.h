/* SPDX-License-Identifier: Apache-2.0 */
/* lend.h - this machine's models for a swarm elsewhere: takes calls from a broker, answers them.
 *
 *     enx_lend_open(&lend, broker, &options, report);
 *     while (!stop) enx_lend_turn(lend, 1000000, report);
 *     enx_lend_drain(lend, 30000000);                   // what it has is finished, or given back
 *     enx_lend_close(&lend);
 *
 *   asked for      has come         a report is there      the broker has it
 *   ────────► PULLED ────► WORKING ──────────────────► TOLD ────────────────► acknowledged
 *                 │           │ every third of a lease: a sign of life
 *                 │           └─ canceled, or nobody waits any more: told as such
 *                 └─ malformed, or came too often: dead letter, dropped
 *
 * A call is acknowledged when its report is stored, not before: a machine that dies loses no call.
 * At most `slots` messages are here at a time, so that a slow machine holds nothing back.  Calls
 * that travelled as one message are settled together; the reports of one turn travel as one.
 *
 * A machine in reserve, a dear one, looks how many calls wait and takes some only while others
 * leave them waiting: who has no machine in reserve idle pays no dear one.
 *
 * Layer: backend.  Thread-safety: one owner thread calls everything here.
 */
#ifndef ENX_BACKEND_LEND_H
#define ENX_BACKEND_LEND_H

#include "backend/broker.h"
#include "backend/local.h"

enum {
    ENX_LEND_SLOTS = 16,
    ENX_LEND_SLOTS_MAX = 4096,
    ENX_LEND_TASKS_MAX = 8192, /* calls here at a time: slots, and what came while asking */
    ENX_LEND_MODELS_MAX = ENX_BROKER_WANTS_MAX / ENX_BROKER_PRIORITIES,
    ENX_LEND_DELIVERIES_MAX = 5, /* after so many machines a call is dead */
    ENX_LEND_HERE_US = 5000000,  /* how often it says that it is there */
};

typedef struct enx_lend enx_lend;

typedef void (*enx_lend_say_fn)(void *user, const char *sentence);

typedef struct enx_lend_options {
    const char        *name;   /* of this worker in the swarm, as of enx_wire_is_name */
    const char *const *models; /* [model_count] files; none: what the swarm wants, fetched */
    uint32_t           model_count;
    const char *const *specialties; /* [specialty_count] fetch only models for these; none: all */
    uint32_t           specialty_count;
    const char        *folder;     /* where fetched models are kept */
    uint32_t           slots;      /* 0: ENX_LEND_SLOTS */
    uint64_t           reserve_us; /* take only calls of models whose calls have waited so long */
    enx_local_options  local;
    bool               is_echo; /* answers at once with nothing: measures the way, not the models */
    enx_lend_say_fn    say;     /* what happens, a sentence at a time; may be NULL */
    void              *user;
} enx_lend_options;

/* `broker` and strings are borrowed until close.  The failures of enx_local_open, of the broker;
 * ENX_AGAIN: no model is given, and the swarm wants none yet. */
ENX_MUST_USE enx_status enx_lend_open(enx_lend **out, enx_broker *broker,
                                      const enx_lend_options *options, enx_report *report);
void                    enx_lend_close(enx_lend **lend);

/* Wait for something to do for at most `timeout_us`, and do it.  ENX_CANCELED: barred; ENX_AGAIN:
 * no model was given, and the swarm wants more than there were at open: drain, close, and open. */
ENX_MUST_USE enx_status enx_lend_turn(enx_lend *lend, uint64_t timeout_us, enx_report *report);

/* Take nothing new, finish what is here; after `timeout_us` the rest goes back to the queue. */
void enx_lend_drain(enx_lend *lend, uint64_t timeout_us);

typedef struct enx_lend_count {
    uint64_t done, canceled, dead, given_back;
    uint32_t working;
} enx_lend_count;

enx_lend_count enx_lend_counts(const enx_lend *lend);

#endif /* ENX_BACKEND_LEND_H */
