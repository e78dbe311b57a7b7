/* SPDX-License-Identifier: Apache-2.0 */
/* job_view.h - jobs of the store as JSON: the list, and one of them with tasks and bill.
 *
 * Layer: serve.  Thread-safety: no shared state; the store's owner calls.
 */
#ifndef ENX_SERVE_JOB_VIEW_H
#define ENX_SERVE_JOB_VIEW_H

#include "serve/event.h"
#include "store/store.h"

/* The state to show for a job that the store says is in `stored`; NULL: leave it out of a list. */
typedef const char *(*enx_job_state_fn)(void *user, uint64_t id, const char *stored);

/* {"jobs": [...]}: at most `limit`, those with a number below `before` (0: all); owned. */
ENX_MUST_USE enx_status enx_job_view_list(enx_store *store, uint64_t before, uint64_t limit,
                                          enx_job_state_fn state, void *user, json_t **out,
                                          enx_report *report);

/* All but `result` and `error`; `items` are the tasks' texts, NULL: unknown.  ENX_NOTFOUND. */
ENX_MUST_USE enx_status enx_job_view_one(enx_store *store, uint64_t id, const json_t *items,
                                         enx_job_state_fn state, void *user, json_t **out,
                                         enx_report *report);

/* The names of a job's models; release by enx_job_view_names_close. */
ENX_MUST_USE enx_status enx_job_view_names(enx_store *store, uint64_t id, enx_event_names *out,
                                           enx_report *report);
void                    enx_job_view_names_close(enx_event_names *names);

/* What the store says; ENX_NOTFOUND: no such job. */
ENX_MUST_USE enx_status enx_job_view_state(enx_store *store, uint64_t id, char *out,
                                           size_t out_bytes, enx_report *report);
/* The cap that a job was given when it was made, in dollars; 0: none, or no such job. */
double                  enx_job_view_budget_usd(enx_store *store, uint64_t id);

#endif /* ENX_SERVE_JOB_VIEW_H */
