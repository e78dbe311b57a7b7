/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - models on other machines: calls through a broker, whoever has time answers.
 *
 *     enx_queue_open(&queue, broker, models, count, &options, report);
 *     enx_queue_hear(queue, salt, report);                  // once, before the first call
 *     enx_queue_generate(queue, model, &call, within_us, report);      // leaves, not waited for
 *     enx_queue_poll(queue, on_report, user);               // when enx_queue_fd() can be read
 *
 *   generate()        the broker has it        a worker has it, and leases it     its report is
 *   ─────────► SENT ─────────────────► STORED ──────────────────────────────► here: handed over
 * once ▲ nothing heard │        ▲                 │ the lease ends      │ └───────────────┘
 * └─────────────────┘                     ▼ unknown, again, barred, malformed: named, dropped
 *
 * Invariants, beside the broker's own promises, which are not needed for any of them:
 * (1) A call has one name anywhere: the job's salt and its id.  Sent again it is the same message.
 * (2) One report of a call is handed over, the first that is sound; all others change nothing.
 * (3) What a report says it used is at most what its call had reserved, or it is not sound.
 * (4) A report that was stored before this process began is handed over when its call is generated
 *     (again): a lead that crashed and begins anew, here or elsewhere, pays for nothing twice.
 * (5) Nothing of a barred worker is taken, and what it had goes to others.
 *
 * Layer: backend.  Thread-safety: one owner thread calls everything here.
 */
#ifndef ENX_BACKEND_QUEUE_H
#define ENX_BACKEND_QUEUE_H

#include "backend/broker.h"
#include "backend/member.h"
#include "swarm/ports.h"

enum {
    ENX_QUEUE_RESEND_US = 10000000,
    ENX_QUEUE_SENDS_MAX = 16, /* times that a call is sent anew because its report was no good */
};

typedef struct enx_queue enx_queue;

typedef struct enx_queue_model {
    const void        *bytes; /* [size_bytes], borrowed until open returns */
    size_t             size_bytes;
    const char        *name;      /* for people; borrowed until close */
    const char *const *languages; /* [language_count] specialty of a worker; a scout has none */
    uint32_t           language_count;
} enx_queue_model;

typedef void (*enx_queue_warn_fn)(void *user, const char *sentence);

typedef struct enx_queue_options {
    bool              shares_models; /* put files that the broker lacks into its object store */
    enx_queue_warn_fn warn;          /* about workers and their reports; may be NULL */
    void             *user;
} enx_queue_options;

/* `broker` is borrowed until close.  ENX_NOMEM, ENX_IO of the broker, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_queue_open(enx_queue **out, enx_broker *broker,
                                       const enx_queue_model *models, uint32_t model_count,
                                       const enx_queue_options *options, enx_report *report);
void                    enx_queue_close(enx_queue **queue);

/* The job whose calls these are; takes in the reports that it has already. */
ENX_MUST_USE enx_status enx_queue_hear(enx_queue *queue, uint64_t salt, enx_report *report);

/* Start a call of model `model` (index at open); everything is copied.  ENX_NOMEM. */
ENX_MUST_USE enx_status enx_queue_generate(enx_queue *queue, uint32_t model, const enx_call *call,
                                           uint64_t within_us, enx_report *report);
/* From hold to release, calls wait; release(false) forgets them. */
void                    enx_queue_hold(enx_queue *queue);
void                    enx_queue_release(enx_queue *queue, bool is_kept);
/* Tell the workers; a report still comes, soon or never. */
void                    enx_queue_cancel(enx_queue *queue, uint64_t call_id);
uint32_t                enx_queue_flight(const enx_queue *queue);

/* Hand over what has come; sends again what the broker did not confirm.  Returns how many. */
typedef void (*enx_queue_report_fn)(void *user, const enx_call_report *report);
size_t   enx_queue_poll(enx_queue *queue, enx_queue_report_fn fn, void *user);
int      enx_queue_fd(const enx_queue *queue);
/* When poll should be called at the latest though nothing came; UINT64_MAX: not before. */
uint64_t enx_queue_wake_us(const enx_queue *queue);

/* An audit judged the answer to `item` that came last. */
void enx_queue_judge(enx_queue *queue, uint32_t item, bool is_wrong);

const enx_members *enx_queue_members(const enx_queue *queue);

#endif /* ENX_BACKEND_QUEUE_H */
