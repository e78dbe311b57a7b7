/* SPDX-License-Identifier: Apache-2.0 */
/* machines.h - the machines that work for the swarm, for who watches them.
 *
 * One thread owns a connection to the broker and looks there when somebody asks, at most once a
 * ENX_MACHINES_FRESH_US; without questions it sleeps.  A broker that is away is tried again at the
 * next question.
 *
 * Layer: serve.  Thread-safety: internally locked.
 */
#ifndef ENX_SERVE_MACHINES_H
#define ENX_SERVE_MACHINES_H

#include "backend/broker.h"
#include "serve/reply.h"

enum {
    ENX_MACHINES_FRESH_US = 1000000,
    ENX_MACHINES_ASKING_MAX = 256, /* replies that wait for a look */
    ENX_MACHINES_METRICS_BYTES_MAX = 16 << 20,
};

typedef struct enx_machines enx_machines;

/* Options are borrowed until close; nothing is connected yet.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_machines_open(enx_machines **out, const enx_broker_options *options,
                                          enx_report *report);
void                    enx_machines_close(enx_machines **machines);

/* Answer with what `enxame workers --json` shows, or why it cannot be known; from the thread. */
void enx_machines_answer(enx_machines *machines, enx_reply *reply);

/* Append gauges and counters with the labels machine and worker, as of the last look; has one made
 * for the next time.  ENX_NOMEM, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_machines_write(enx_machines *machines, enx_buf *out);

#endif /* ENX_SERVE_MACHINES_H */
