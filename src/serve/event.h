/* SPDX-License-Identifier: Apache-2.0 */
/* event.h - records of a job as JSON, for who watches it (docs/api.md has the table).
 *
 * Layer: serve.  Thread-safety: no shared state.
 */
#ifndef ENX_SERVE_EVENT_H
#define ENX_SERVE_EVENT_H

#include "swarm/ports.h"

#include <jansson.h>

/* The models of a job by their number. */
typedef struct enx_event_names {
    char    *names[ENX_ROSTER_MODELS_MAX]; /* owned by whoever fills it; NULL: unknown */
    uint32_t count;
} enx_event_names;

/* "" for a number that nobody knows. */
const char *enx_event_name(const enx_event_names *names, uint32_t model);

/* One record; owned by the caller, NULL: no memory. */
json_t *enx_event_json(const enx_record *record, const enx_event_names *names);

json_t *enx_event_certificate(const enx_certificate_claim *claim);

/* "task_accepted" */
void enx_event_kind(enx_record_kind kind, char *out, size_t out_bytes);

#endif /* ENX_SERVE_EVENT_H */
