/* SPDX-License-Identifier: Apache-2.0 */
/* backend.h - the models of a swarm, wherever they are: the ports' generate, cancel and measure.
 *
 * Models with `model:` run here (local.h), models with `remote:` are asked over HTTP (remote.h).
 * Where there is a queue, scout and workers with `model:` run on the machines that joined it
 * (queue.h); their files are needed here all the same, for prices and prompts.  Who calls does not
 * see the difference.
 *
 *     enx_backend_open(&backend, config, &options, report);
 *     enx_backend_generate(backend, &call);                     // never blocks
 *     enx_backend_poll(backend, 100000, on_report, user);       // hands reports over, here
 *
 * Layer: backend.  Thread-safety: one owner thread calls everything here but enx_backend_wake.
 */
#ifndef ENX_BACKEND_BACKEND_H
#define ENX_BACKEND_BACKEND_H

#include "backend/local.h"
#include "backend/queue.h"
#include "backend/remote.h"

typedef struct enx_backend enx_backend;

/* The value of an environment variable, NULL without; borrowed for the call. */
typedef const char *(*enx_secret_fn)(const char *name);

typedef struct enx_backend_options {
    enx_local_options local;
    enx_secret_fn     secret;    /* whence keys come; NULL: there are none */
    uint64_t          seed;      /* of the waits between tries */
    const char       *queue_url; /* instead of the config's; NULL: the config's, if any */
    enx_queue_warn_fn warn;      /* of queue.h */
    void             *user;
} enx_backend_options;

/* Open every model of `config` (borrowed until close).  ENX_NOTFOUND names a key that the
 * environment lacks; else the failures of enx_local_open and enx_remote_open. */
ENX_MUST_USE enx_status enx_backend_open(enx_backend **out, const enx_config *config,
                                         const enx_backend_options *options, enx_report *report);
/* Stops running calls; their reports are dropped. */
void                    enx_backend_close(enx_backend **backend);

/* Lead, scout, workers, verifier, in this order; a remote one is called as its provider calls it.
 * Borrowed until close. */
const enx_roster       *enx_backend_roster(const enx_backend *backend);
/* One job's share of the training cost of a model of the roster; of a remote one 0. */
uint64_t                enx_backend_fixed_usd_nano(const enx_backend *backend, uint32_t model);
/* The job that its calls are for: before the first of them.  With a queue, reports that came while
 * nobody was here are taken in.  ENX_IO of the broker. */
ENX_MUST_USE enx_status enx_backend_set_salt(enx_backend *backend, uint64_t salt,
                                             enx_report *report);

/* ENX_UNSUPPORTED names the first model that would get tasks of the class and can do none: it was
 * not made for the class, and has no chat template, or the class no instruction. */
ENX_MUST_USE enx_status enx_backend_check_class(const enx_backend *backend,
                                                const enx_class *task_class, enx_report *report);

/* Start a call; all but its class is copied.  Without memory for it the call is dropped, and the
 * swarm's deadline finds out. */
void     enx_backend_generate(enx_backend *backend, const enx_call *call);
/* From hold to release, calls wait: nothing starts before what was recorded of them is durable.
 * release(false) drops them.  Calls that were started before go on. */
void     enx_backend_hold(enx_backend *backend);
void     enx_backend_release(enx_backend *backend, bool is_kept);
/* Calls whose report was not handed over yet. */
uint32_t enx_backend_flight(const enx_backend *backend);
/* Its report comes as an error, with what was used; of a remote call that had left, as lost. */
void     enx_backend_cancel(enx_backend *backend, uint64_t call_id);
void     enx_backend_measure(const enx_backend *backend, enx_call *call);

/* A conversation with a model behind an API, outside of any job: the caller's own messages. */
typedef struct enx_backend_talk {
    uint64_t               call_id; /* as of enx_call */
    uint32_t               model;   /* of the roster: one that is remote */
    const enx_api_request *request; /* copied */
    enx_api_bounds         bounds;
    enx_remote_text_fn     on_text; /* called by enx_backend_poll as text comes; may be NULL */
    void                  *user;    /* of on_text */
} enx_backend_talk;

bool                    enx_backend_is_remote(const enx_backend *backend, uint32_t model);
/* Ask for the next message, whatever is held.  The report comes from enx_backend_poll as any
 * other: its answer is the text as it came, its flags are TRUNCATED and EMPTY.  ENX_LIMIT,
 * ENX_NOMEM: nothing was asked. */
ENX_MUST_USE enx_status enx_backend_ask(enx_backend *backend, const enx_backend_talk *talk,
                                        enx_report *report);

/* An audit judged the answer to `item` that came last: who gave it may lose the swarm's trust. */
void enx_backend_judge(enx_backend *backend, uint32_t item, bool is_wrong);

/* Wait until a report is ready or `timeout_us` is over, then hand over all that are ready.
 * Returns how many. */
size_t enx_backend_poll(enx_backend *backend, uint64_t timeout_us, enx_local_report_fn fn,
                        void *user);
/* From any thread: the wait that is under way, or the next one, ends at once. */
void   enx_backend_wake(const enx_backend *backend);

/* A model with `remote:` as remote.h wants it; texts are borrowed from the config and from
 * `secret`. ENX_NOTFOUND: the environment lacks its key, by name. */
ENX_MUST_USE enx_status enx_backend_describe_remote(const enx_config_model *model,
                                                    enx_secret_fn secret, enx_remote_model *out,
                                                    enx_report *report);

#endif /* ENX_BACKEND_BACKEND_H */
