/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - jobs that survive: every record of the swarm in SQLite, before it takes effect.
 *
 * The stream of records is the truth, and replaying it rebuilds a job; ledger, tasks, labels and
 * certificates are views of it (schema.sql).  What a call stored is on the disk when it returns,
 * except between begin and commit: then at commit, all or none.
 *
 *     enx_store_begin(store, report);            // optional: one disk write for several saves
 *     enx_store_save(store, records, count, report);
 *     enx_store_commit(store, report);           // start the calls that the records speak of now
 *
 * Failures name the file and a remedy: ENX_IO (no access, full disk), ENX_FORMAT (damaged, or
 * another program's file), ENX_UNSUPPORTED (made by a newer version), ENX_AGAIN (another process
 * has been writing for STORE_BUSY_MS), ENX_NOTFOUND (no such job).
 *
 * Layer: store.  Thread-safety: one owner thread; several processes may share the file.
 */
#ifndef ENX_STORE_STORE_H
#define ENX_STORE_STORE_H

#include "base/buf.h"
#include "base/status.h"
#include "swarm/ports.h"
#include "swarm/stream.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_STORE_VERSION = 4,
    ENX_STORE_INPUT_BYTES_MAX = 1 << 28, /* of one input */
};

typedef struct enx_store enx_store;

typedef struct enx_store_options {
    const char *path;      /* of the database; its folder is made when it is missing */
    uint64_t    bytes_max; /* 0: no limit; reaching it is a full disk */
} enx_store_options;

ENX_MUST_USE enx_status enx_store_open(enx_store **out, const enx_store_options *options,
                                       enx_report *report);
void                    enx_store_close(enx_store **store); /* drops what was not committed */
uint64_t                enx_store_size_bytes(const enx_store *store);

/* Not nested: checked. */
ENX_MUST_USE enx_status enx_store_begin(enx_store *store, enx_report *report);
ENX_MUST_USE enx_status enx_store_commit(enx_store *store, enx_report *report);

/* ---- Jobs ----------------------------------------------------------------------------------- */

typedef struct enx_store_job {
    uint64_t    id;
    uint64_t    created_us;  /* wall clock */
    uint64_t    finished_us; /* 0: not yet */
    const char *state;       /* running, done, partial, failed, canceled */
    const char *command;
    const char *goal;
    const char *settings; /* JSON */
    const char *key;      /* of enx_store_job_find; not read back */
    uint32_t    items;    /* of its opening record, or the tasks made of them if more; 0 before */
    uint32_t    finished; /* tasks that have an end, though it may have changed */
    uint64_t    calls;    /* with a receipt; without those whose answer was known */
    uint64_t    tokens_in;
    uint64_t    tokens_cached;
    uint64_t    tokens_out;
    uint64_t    cost_usd_nano;
    uint64_t    fixed_usd_nano; /* training, amortised */
} enx_store_job;

/* Strings are borrowed for the call. */
typedef enx_status (*enx_store_job_fn)(void *user, const enx_store_job *job, enx_report *report);

/* created_us, command, goal, settings and key are used; *id receives the new job's, from 1. */
ENX_MUST_USE enx_status enx_store_job_add(enx_store *store, const enx_store_job *job, uint64_t *id,
                                          enx_report *report);
ENX_MUST_USE enx_status enx_store_job_get(enx_store *store, uint64_t id, enx_store_job_fn fn,
                                          void *user, enx_report *report);
/* Newest first; stops at the first failure of `fn`. */
ENX_MUST_USE enx_status enx_store_jobs_each(enx_store *store, enx_store_job_fn fn, void *user,
                                            enx_report *report);
/* The job goes on: its state becomes "running", or "canceled" for good. */
ENX_MUST_USE enx_status enx_store_job_set_state(enx_store *store, uint64_t id, const char *state,
                                                uint64_t time_us, enx_report *report);

/* The output was written: the same command starts a new job from now on. */
ENX_MUST_USE enx_status enx_store_job_set_delivered(enx_store *store, uint64_t id,
                                                    enx_report *report);
/* The newest job with this key that can go on or whose output was not delivered; 0: none. */
ENX_MUST_USE enx_status enx_store_job_find(enx_store *store, const char *key, uint64_t *id,
                                           enx_report *report);
/* The newest job with this key, whatever became of it; 0: none. */
ENX_MUST_USE enx_status enx_store_job_find_any(enx_store *store, const char *key, uint64_t *id,
                                               enx_report *report);

ENX_MUST_USE enx_status enx_store_input_add(enx_store *store, uint64_t job_id, uint32_t position,
                                            const char *path, const void *content,
                                            size_t size_bytes, enx_report *report);
/* Append the content to `out` and the path to `path`.  ENX_NOTFOUND: no such input. */
ENX_MUST_USE enx_status enx_store_input_get(enx_store *store, uint64_t job_id, uint32_t position,
                                            enx_buf *path, enx_buf *out, enx_report *report);

/* ---- Records -------------------------------------------------------------------------------- */

/* All or none.  A record that ends the job sets its state. */
ENX_MUST_USE enx_status enx_store_save(enx_store *store, const enx_record *records,
                                       size_t record_count, enx_report *report);

/* `record` and its texts are borrowed for the call. */
typedef enx_status (*enx_store_record_fn)(void *user, const enx_record *record, enx_report *report);
/* All records of a job, in order; stops at the first failure of `fn`. */
ENX_MUST_USE enx_status enx_store_replay(enx_store *store, uint64_t job_id, enx_store_record_fn fn,
                                         void *user, enx_report *report);
/* ... those with a number above `seq`. */
ENX_MUST_USE enx_status enx_store_replay_after(enx_store *store, uint64_t job_id, uint64_t seq,
                                               enx_store_record_fn fn, void *user,
                                               enx_report *report);

/* ---- Questions ------------------------------------------------------------------------------ */

enum { ENX_STORE_KEY_BYTES = 32 };

/* Who asked the same before.  `answer` is the record of its result, borrowed until the next call;
 * NULL: it has none. */
typedef struct enx_store_question {
    uint64_t          job_id;
    uint64_t          call_id;
    uint32_t          task_id;
    const enx_record *answer;
} enx_store_question;

/* ENX_NOTFOUND: nobody, without a report. */
ENX_MUST_USE enx_status enx_store_question_find(enx_store          *store,
                                                const uint8_t       key[ENX_STORE_KEY_BYTES],
                                                enx_store_question *out, enx_report *report);
/* This call asks it now; it takes the place of who asked before. */
ENX_MUST_USE enx_status enx_store_question_put(enx_store                *store,
                                               const uint8_t             key[ENX_STORE_KEY_BYTES],
                                               const enx_store_question *question,
                                               enx_report               *report);
/* The call has no answer that others could have. */
ENX_MUST_USE enx_status enx_store_question_drop(enx_store *store, uint64_t job_id, uint64_t call_id,
                                                enx_report *report);

/* ---- Money ---------------------------------------------------------------------------------- */

typedef struct enx_store_model {
    uint32_t    model; /* index in the roster */
    const char *name;
    const char *duty;
    uint64_t    params;
    enx_price   price;
    uint64_t    fixed_usd_nano; /* this job's share of the training cost; read back: 0 if unused */
    /* out only */
    uint64_t    calls;
    enx_usage_count usage;
    uint64_t        cost_usd_nano;
    uint64_t        tokens_reasoning; /* of usage.tokens_out */
    uint64_t        reused;           /* answers that were known, beside `calls` */
} enx_store_model;

/* Replaces what was known of that model of the job: the prices of today's run. */
ENX_MUST_USE enx_status enx_store_model_set(enx_store *store, uint64_t job_id,
                                            const enx_store_model *model, enx_report *report);
typedef enx_status (*enx_store_model_fn)(void *user, const enx_store_model *model,
                                         enx_report *report);
/* The bill: a line a model of the roster, in its order. */
ENX_MUST_USE enx_status enx_store_bill_each(enx_store *store, uint64_t job_id,
                                            enx_store_model_fn fn, void *user, enx_report *report);

typedef struct enx_store_receipt {
    uint64_t        call_id;
    uint32_t        task_id;
    const char     *role;
    const char     *model;
    const char     *status; /* open: no result yet */
    uint64_t        started_us;
    uint64_t        finished_us; /* 0: open */
    uint64_t        latency_us;
    enx_price       price;
    enx_usage_count usage;
    uint64_t        reserved_usd_nano;
    uint64_t        cost_usd_nano;
    uint32_t        flags;    /* ENX_FLAG_* of the report */
    bool            was_lost; /* nobody knew; with a result, it came later */
    const char     *note;     /* sentence, or "" */
    uint64_t        tokens_reasoning;
} enx_store_receipt;

typedef enx_status (*enx_store_receipt_fn)(void *user, const enx_store_receipt *receipt,
                                           enx_report *report);
/* In the order of the intents. */
ENX_MUST_USE enx_status enx_store_receipts_each(enx_store *store, uint64_t job_id,
                                                enx_store_receipt_fn fn, void *user,
                                                enx_report *report);

/* Calls that were admitted at `since_us` or later, of one class (NULL: of all), and of other jobs
 * or of this one up to its record `seq`: what they used, and what those without a result hold. */
typedef struct enx_store_use {
    uint64_t    since_us;
    const char *class_name;
    uint64_t    job_id;
    uint64_t    seq;
} enx_store_use;

ENX_MUST_USE enx_status enx_store_use_get(enx_store *store, const enx_store_use *which,
                                          enx_use *out, enx_report *report);
/* Of the newest four jobs of a class that were done with the checks, swarm, mode and accuracy of
 * `settings`: how many tasks workers answered, and how many of these the lead answered too. */
ENX_MUST_USE enx_status enx_store_ups_get(enx_store *store, const char *class_name,
                                          const char *settings, uint64_t *tasks, uint64_t *ups,
                                          enx_report *report);
/* A number that is another one after other processes have written. */
ENX_MUST_USE enx_status enx_store_changes(enx_store *store, uint64_t *out, enx_report *report);

/* What of a bill is not certain. */
typedef struct enx_store_doubts {
    uint64_t open_calls; /* without a result: in flight, or nobody knows; not in the bill, */
    uint64_t open_tokens;
    uint64_t open_usd_nano; /* but reserved, at most this much */
    uint64_t assumed_calls; /* in the bill by their worst case: their usage could not be true */
} enx_store_doubts;

ENX_MUST_USE enx_status enx_store_doubts_get(enx_store *store, uint64_t job_id,
                                             enx_store_doubts *out, enx_report *report);

/* The job's last certificate, of all its tasks.  ENX_NOTFOUND: none. */
ENX_MUST_USE enx_status enx_store_certificate_get(enx_store *store, uint64_t job_id,
                                                  enx_certificate_claim *out, enx_report *report);

/* ---- Certificates that go on ----------------------------------------------------------------- */

/* A stream of one class of tasks: what its jobs showed it is in their records, and it is rebuilt
 * from there.  Who works on it must be alone (a lock of the caller's); two that write the same
 * place of it are refused by ENX_INVALID all the same. */
typedef struct enx_store_stream {
    uint64_t    id;
    const char *key; /* equal for what may be one stream */
    const char *class_name;
    const char *parts; /* JSON: what the key was made of */
    uint64_t    seed;  /* of its coins */
    uint64_t    opened_us;
    uint32_t    epoch;  /* out: of the streams of its class, from 1 */
    bool        is_new; /* out: it was not there */
    enx_buf    *before; /* out: parts of the last epoch, where it is new; NULL: not wanted */
} enx_store_stream;

/* The stream with this key; made, with the seed, where there is none. */
ENX_MUST_USE enx_status enx_store_stream_open(enx_store *store, enx_store_stream *stream,
                                              enx_report *report);

typedef struct enx_store_stream_event {
    bool              is_offer; /* else a label */
    bool              is_wrong; /* of a label */
    enx_stream_ticket ticket;
} enx_store_stream_event;

typedef enx_status (*enx_store_stream_fn)(void *user, const enx_store_stream_event *event,
                                          enx_report *report);
/* What the stream was shown and told, in that order, over all jobs. */
ENX_MUST_USE enx_status enx_store_stream_each(enx_store *store, uint64_t id, enx_store_stream_fn fn,
                                              void *user, enx_report *report);

#endif /* ENX_STORE_STORE_H */
