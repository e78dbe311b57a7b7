/* SPDX-License-Identifier: Apache-2.0 */
/* jobs.h - jobs of the swarm for clients of the server: started, watched, steered.
 *
 * The server runs no swarm itself.  A job is put into the store and handed to `enxame resume` as a
 * process of its own, as a person would; what happens to it is read from its records.  So a job
 * outlives the server, jobs of the command line are shown too, and neither can take the other down.
 *
 * With keys a job is its owner's: charged to them (job_account.h), and shown to them and to keys
 * that see all.
 *
 * One thread owns the store's handle, the children, and all who watch.
 *
 * Layer: serve.  Thread-safety: internally locked.
 */
#ifndef ENX_SERVE_JOBS_H
#define ENX_SERVE_JOBS_H

#include "serve/keys.h"
#include "serve/turn.h"
#include "store/store.h"

enum {
    ENX_JOBS_LIST_MAX = 1000,
    ENX_JOBS_TASKS_MAX = 10000,
    ENX_JOBS_RECORDS_MAX = 100000,
    ENX_JOBS_RUNNING = 2, /* default */
    ENX_JOBS_TEXT_BYTES_MAX = 64 << 20,
    ENX_JOBS_RECIPE_BYTES_MAX = 1 << 20,
    ENX_JOBS_ONCE_BYTES_MAX = 64,
};

/* What a client wants done; texts are borrowed for the call. */
typedef struct enx_job_order {
    const char   *command; /* run, map */
    const char   *goal;
    const char   *mode; /* NULL: swarm */
    const char   *once; /* the job's key in the store; "": none */
    double        accuracy, confidence, budget_usd;
    double        share_usd; /* no more than this, whatever else says; 0: no such cap */
    uint64_t      labels;
    enx_span      text;     /* run */
    const char   *in, *out; /* map: paths */
    /* map: what JOB.yaml says, in place of a goal; as JSON, or as the file's text */
    const json_t *recipe;
    enx_span      recipe_text;
} enx_job_order;

typedef struct enx_jobs_options {
    const char *store_path, *folder; /* folder: for what jobs read and write */
    const char *program;             /* this binary */
    uint32_t    running_max;         /* 0: ENX_JOBS_RUNNING */
    /* Put a job into the store as the command line would. */
    enx_status (*add)(void *user, enx_store *store, const enx_job_order *order, uint64_t *id,
                      enx_report *report);
    /* Append the texts of a job's tasks to a JSON array, in order; NULL: nobody knows. */
    enx_status (*items)(void *user, enx_store *store, uint64_t id, json_t *out, enx_report *report);
    /* Does a process, any, work on the job? */
    bool (*is_busy)(void *user, uint64_t id);
    void *user;
    /* Append a file that this key has left here; ENX_NOTFOUND.  `files` comes first. */
    enx_status (*file)(void *files, const char *id, const void *key, enx_buf *out,
                       enx_report *report);
    void     *files;
    enx_keys *keys; /* borrowed; NULL: jobs are everybody's */
} enx_jobs_options;

typedef struct enx_jobs enx_jobs;

typedef enum enx_jobs_ask {
    ENX_JOBS_LIST,
    ENX_JOBS_ADD,
    ENX_JOBS_GET,
    ENX_JOBS_CANCEL,
    ENX_JOBS_APPROVE,
    ENX_JOBS_EVENTS,
} enx_jobs_ask;

/* Borrowed for the call. */
typedef struct enx_jobs_request {
    enx_jobs_ask   ask;
    uint64_t       id;
    uint64_t       from;    /* EVENTS: records after this one; LIST: jobs before this one */
    uint64_t       limit;   /* LIST */
    bool           waits;   /* GET: until it has ended, or waits for approval */
    bool           revives; /* APPROVE: also a job that runs, if no process has it any more */
    json_t        *body;    /* ADD, APPROVE; a reference is held */
    const enx_key *key;     /* whose jobs; NULL: there are no keys */
    enx_reply     *reply;   /* answered from the thread */
    /* ADD: the job's key in the store.  Where a job has it already, that one is answered, by 200 in
     * place of 201, and no second one is made.  "": none. */
    char           once[ENX_JOBS_ONCE_BYTES_MAX];
} enx_jobs_request;

/* ENX_NOMEM, and the failures of the store. */
ENX_MUST_USE enx_status enx_jobs_open(enx_jobs **out, const enx_jobs_options *options,
                                      enx_report *report);
/* Children go on; streams end. */
void                    enx_jobs_close(enx_jobs **jobs);

/* ENX_NOMEM. */
ENX_MUST_USE enx_status enx_jobs_submit(enx_jobs *jobs, const enx_jobs_request *request,
                                        enx_report *report);
/* The swarm answers a turn.  Takes it, when it is ENX_OK. */
ENX_MUST_USE enx_status enx_jobs_submit_turn(enx_jobs *jobs, enx_turn *turn, enx_report *report);
uint32_t                enx_jobs_running(enx_jobs *jobs);

#endif /* ENX_SERVE_JOBS_H */
