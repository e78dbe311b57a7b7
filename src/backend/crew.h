/* SPDX-License-Identifier: Apache-2.0 */
/* crew.h - who works for a swarm on a broker, and what waits there, as JSON.
 *
 *     {"workers": [{"worker", "host", "slots", "working", "done", "models": [...], ...}],
 *      "models":  [{"digest", "name", "waiting", "running", ...}],
 *      "barred":  [{"worker", "state"}]}
 *
 * What a worker says of itself (lend.h) is shown, never believed.
 *
 * Layer: backend.  Thread-safety: the broker's owner calls.
 */
#ifndef ENX_BACKEND_CREW_H
#define ENX_BACKEND_CREW_H

#include "backend/broker.h"

#include <jansson.h>

/* Owned by the caller.  The failures of the broker; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_crew_look(enx_broker *broker, json_t **out, enx_report *report);

#endif /* ENX_BACKEND_CREW_H */
