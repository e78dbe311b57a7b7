/* SPDX-License-Identifier: Apache-2.0 */
/* host.h - a model of this machine in service: one thread owns its engine and answers turns.
 *
 * Turns wait in a bounded queue until a slot is free; each of their answers is a sequence of the
 * engine, all in one batch.  Whoever reads slowly pauses only their own sequence; whoever leaves is
 * found out before the next step, or the next 5 ms, and their sequence ends with it.
 *
 * Layer: serve.  Thread-safety: internally locked.
 */
#ifndef ENX_SERVE_HOST_H
#define ENX_SERVE_HOST_H

#include "backend/loaded.h"
#include "engine/engine.h"
#include "serve/turn.h"

typedef struct enx_host enx_host;

typedef struct enx_host_options {
    const char *path;
    uint32_t    slots;          /* answers at a time */
    uint32_t    context_tokens; /* of one; 0: the model's, at most 8192 */
    uint32_t    threads;        /* 0: one per core */
    enx_kv_type cache;          /* of keys and values */
    uint64_t    cache_bytes;    /* ... at most; 0: a context for each slot */
    const char *cpu;            /* cap on the kernels; NULL: none; borrowed */
    uint32_t    waiting_max;    /* turns that wait */
    uint32_t    tokens_max;     /* of one answer */
    uint64_t    time_us_max;    /* of one turn, waiting included */
    const char *form;           /* chat template; NULL: the model's own; borrowed for open */
    size_t      form_bytes;
    const char *form_name;        /* for messages; NULL: none */
    bool        is_context_exact; /* context_tokens also beyond what the model was trained for */
} enx_host_options;

typedef struct enx_host_figures {
    uint32_t running, waiting;
    uint64_t requests;
    double   tokens_per_s; /* while writing, of the last requests; 0: none yet */

    enx_engine_counts engine; /* zero before the first turn */
} enx_host_figures;

/* Opens the model and starts the thread; the engine takes its memory at the first turn.  The
 * failures of enx_loaded_open; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_host_open(enx_host **out, const enx_host_options *options,
                                      enx_report *report);
/* Turns that run or wait end as failed. */
void                    enx_host_close(enx_host **host);

/* Takes the turn, when it is ENX_OK.  ENX_AGAIN: too many wait. */
ENX_MUST_USE enx_status enx_host_submit(enx_host *host, enx_turn *turn, enx_report *report);

const enx_loaded *enx_host_loaded(const enx_host *host);
bool              enx_host_can_chat(const enx_host *host);
uint32_t          enx_host_context_tokens(const enx_host *host);
enx_host_figures  enx_host_figures_get(enx_host *host);

#endif /* ENX_SERVE_HOST_H */
