/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h - OpenAI's files and batches: many requests in a file, their answers in another.
 *
 * Each line of a batch is a request like any other, to any model of the server; a few of them are
 * in flight at a time, behind those of people who wait.  A batch whose endpoint is /enxame/v1/jobs
 * is one job of the swarm over its lines (jobs.h); certificate and bill come with it.  Some batches
 * run at a time, the others wait without their lines in memory.  Files and batches are kept in a
 * folder.  A batch that was under way when the server ended goes on when it is there again: lines
 * that have an answer are not asked again.
 *
 * Layer: serve.  Thread-safety: internally locked.
 */
#ifndef ENX_SERVE_BATCH_H
#define ENX_SERVE_BATCH_H

#include "serve/http.h"
#include "serve/jobs.h"

#include <jansson.h>

enum {
    ENX_BATCH_FLIGHT = 4, /* lines of one batch that are asked at a time */
    ENX_BATCH_LINES_MAX = 50000,
    ENX_BATCH_RUNNING = 4,      /* batches at a time */
    ENX_BATCH_OPEN_MAX = 1000,  /* that have not ended; of all keys */
    ENX_BATCH_OPEN_EACH = 100,  /* ... of one */
    ENX_BATCH_KEPT_MAX = 10000, /* beyond it the oldest that has ended is forgotten */
    ENX_BATCH_FILES_MAX = 10000,
    ENX_BATCH_BYTES_MAX = 256 << 20, /* of a file */
};

typedef struct enx_batches enx_batches;

typedef struct enx_batches_options {
    const char *folder;
    /* Ask what a POST of `body` to `path` would; takes the reference to `body`.  False: there is no
     * such path for batches. */
    bool (*ask)(void *user, const char *path, json_t *body, const void *key, enx_reply *reply);
    void           *user;
    enx_jobs       *jobs; /* borrowed; NULL: no swarm */
    const enx_keys *keys; /* borrowed; NULL: none */
} enx_batches_options;

/* ENX_IO, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_batches_open(enx_batches **out, const enx_batches_options *options,
                                         enx_report *report);
/* Ask nothing any more; files can still be read. */
void                    enx_batches_stop(enx_batches *batches);
void                    enx_batches_close(enx_batches **batches);

/* Everything below /v1/files and /v1/batches; answers the exchange. */
void enx_batches_serve(enx_batches *batches, enx_exchange *exchange);

/* Append a file of this key's.  ENX_NOTFOUND, ENX_IO, ENX_LIMIT.  As jobs.h wants it. */
enx_status enx_batches_read(void *batches, const char *id, const void *key, enx_buf *out,
                            enx_report *report);

/* A field of multipart/form-data: its content, borrowed from `body`.  *file_name [64] gets the name
 * that came with it, "" without; NULL: not wanted.  False: there is none. */
bool enx_multipart_find(const char *body, size_t body_bytes, const char *type, const char *field,
                        const char **content, size_t *content_bytes, char *file_name);

#endif /* ENX_SERVE_BATCH_H */
