/* SPDX-License-Identifier: Apache-2.0 */
/* broker.h - NATS JetStream as the queue backend needs it.
 *
 * A swarm on the broker has a name S and these streams, made when they are missing:
 *
 *     ENX-S-work    enx.S.work.MODEL.PRIORITY.SALT  calls; each is gone once it is done
 *     ENX-S-done    enx.S.done.WORKER.SALT.CALL     reports, kept for a day
 *     ENX-S-dead    enx.S.dead.MODEL.SALT           calls that nobody could answer, for a week
 *     ENX-S-here    enx.S.here.WORKER               who is there, the last word of each, 30 s
 *     ENX-S-model   enx.S.model.MODEL, enx.S.barred.WORKER     the last word of each
 *     OBJ_ENX-S     objects: model files, and calls too long for a message
 *
 * and enx.S.cancel.SALT beside them, which nobody stores.  MODEL is a file's digest, SALT a job's.
 *
 * Messages come on threads of libnats, wait in a list, and are handed over by enx_broker_take on
 * the owner's thread.  When the broker is away, publishing waits in the client's buffer, and what
 * it did not confirm is for the owner to publish again: the same id is stored once.
 *
 * Layer: backend; the only includer of nats.h.  Thread-safety: one owner thread calls everything,
 * and a process has one broker at a time: closing it ends libnats.
 */
#ifndef ENX_BACKEND_BROKER_H
#define ENX_BACKEND_BROKER_H

#include "base/buf.h"
#include "base/status.h"
#include "plat/digest.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_BROKER_SUBJECT_BYTES = 256,
    ENX_BROKER_MESSAGE_BYTES = 512 << 10,   /* above, the content travels as an object */
    ENX_BROKER_OBJECT_BYTES_MAX = 32 << 20, /* of one that is read into memory */
    ENX_BROKER_WORD_BYTES_MAX = 64 << 10,   /* of JSON that says what or who is there */
    ENX_BROKER_LEASE_US = 30000000, /* a call without a sign of life goes to somebody else */
    ENX_BROKER_PRIORITIES = 2,      /* 0 is first */
    ENX_BROKER_WANTS_MAX = 128,     /* models whose calls one worker takes */
};

/* The name of a swarm that was given none. */
#define ENX_BROKER_SWARM "enxame"

typedef struct enx_broker enx_broker;

/* Strings are borrowed for the call. */
typedef struct enx_broker_options {
    const char *url;   /* "nats://host:4222", several with commas */
    const char *swarm; /* name, as of enx_wire_is_name */
    const char *user;  /* with password or nkey; NULL: none, or in the URL */
    const char *password;
    const char *nkey;                        /* file with the seed of `user`, a public nkey */
    const char *credentials;                 /* file with JWT and nkey seed; may be NULL */
    const char *tls_ca, *tls_cert, *tls_key; /* files; may be NULL */
    uint64_t    lease_us;                    /* 0: ENX_BROKER_LEASE_US; of consumers made now */
} enx_broker_options;

typedef enum enx_broker_kind {
    ENX_BROKER_WORK,   /* a call; `handle` settles it */
    ENX_BROKER_REPORT, /* of the job listened to */
    ENX_BROKER_STORED, /* what was put under `token` is safe */
    ENX_BROKER_FAILED, /* it is not: `text` says why */
    ENX_BROKER_CANCEL, /* of some job; `bytes` as sent */
    ENX_BROKER_LOST,   /* the connection; it is tried again */
    ENX_BROKER_FOUND,  /* the connection again */
} enx_broker_kind;

/* Borrowed; valid during the callback. */
typedef struct enx_broker_event {
    enx_broker_kind kind;
    const char     *subject;
    const char     *bytes; /* [size_bytes], an object's where there was one */
    size_t          size_bytes;
    const char     *handle;     /* WORK */
    uint32_t        deliveries; /* WORK: from 1 */
    uint32_t        want;       /* WORK: index of the want */
    uint64_t        token;      /* STORED, FAILED */
} enx_broker_event;

typedef void (*enx_broker_event_fn)(void *user, const enx_broker_event *event);

/* ENX_NOTFOUND: no broker there; ENX_INVALID: it refuses who asks, a name, or a file of
 * credentials; ENX_UNSUPPORTED: JetStream is not on.  Texts say what to do. */
ENX_MUST_USE enx_status enx_broker_open(enx_broker **out, const enx_broker_options *options,
                                        enx_report *report);
void                    enx_broker_close(enx_broker **broker);

const char *enx_broker_swarm(const enx_broker *broker);
uint64_t    enx_broker_lease_us(const enx_broker *broker);
/* Can be read while something waits for take. */
int         enx_broker_fd(const enx_broker *broker);
/* Hand over what came, in its order.  Returns how much. */
size_t      enx_broker_take(enx_broker *broker, enx_broker_event_fn fn, void *user);

/* Publish into a stream, once for each `id`; STORED or FAILED tells under `token`, unless the
 * broker is away.  Long content becomes an object.  ENX_IO, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_broker_put(enx_broker *broker, const char *subject, const char *id,
                                       uint64_t token, const char *bytes, size_t size_bytes,
                                       enx_report *report);
/* Publish to whoever listens now.  ENX_IO. */
ENX_MUST_USE enx_status enx_broker_say(enx_broker *broker, const char *subject, const char *bytes,
                                       size_t size_bytes, enx_report *report);

/* ---- Working ---- */

/* Be ready to take calls for a model at a priority; *want is its index. */
ENX_MUST_USE enx_status enx_broker_want(enx_broker *broker, const char *model, uint32_t priority,
                                        uint32_t *want, enx_report *report);
/* Take no more calls of any model; indices begin at 0 again. */
void                    enx_broker_want_none(enx_broker *broker);
/* Ask for at most `count` calls of a want, until expires_us.  One question at a time. */
ENX_MUST_USE enx_status enx_broker_pull(enx_broker *broker, uint32_t want, uint32_t count,
                                        uint64_t expires_us, enx_report *report);
/* Calls that were asked for and may still come. */
uint32_t enx_broker_pending(const enx_broker *broker, uint32_t want, uint64_t now_us);

typedef enum enx_broker_answer {
    ENX_BROKER_DONE,    /* never again */
    ENX_BROKER_WORKING, /* the lease begins anew */
    ENX_BROKER_BACK,    /* for somebody else, at once */
    ENX_BROKER_DROP,    /* never again, and not done */
} enx_broker_answer;

void enx_broker_settle(enx_broker *broker, const char *handle, enx_broker_answer answer);
/* Hear cancels of all jobs, from the first time on. */
ENX_MUST_USE enx_status enx_broker_hear_cancels(enx_broker *broker, enx_report *report);

/* ---- Leading ---- */

/* Hear every report to the job `salt`: first those that are stored, then each new one.  Returns
 * when all that were stored wait for take. */
ENX_MUST_USE enx_status enx_broker_hear_reports(enx_broker *broker, uint64_t salt,
                                                enx_report *report);

/* Take the calls of job `salt` out of the queue: nobody waits for them.  Who generates one of them
 * again within ten minutes is not heard. */
void enx_broker_forget_calls(enx_broker *broker, uint64_t salt);

/* What a model's consumer had given out when it was last looked at; zeroed at first. */
typedef struct enx_broker_look {
    uint64_t lease_us; /* as whoever made the consumer wanted it; 0: not looked at yet */
    uint64_t given[ENX_BROKER_PRIORITIES];
    bool     is_idle[ENX_BROKER_PRIORITIES]; /* calls waited though workers asked */
} enx_broker_look;

/* A broker that was killed may come back with a consumer that gives out nothing more (nats-server
 * 2.9: "error looking up message for consumer").  Where workers asked and calls waited at this look
 * and the last one, and none was given out between, the consumer is made anew, *is_anew; what it
 * had given out is given out again.  Leave a few leases between looks.  ENX_IO. */
ENX_MUST_USE enx_status enx_broker_revive(enx_broker *broker, const char *model,
                                          enx_broker_look *look, bool *is_anew, enx_report *report);

/* ---- Words that stay ---- */

/* Each last word under a subject that may end in ".>", any order; fn may not call the broker. */
typedef void (*enx_broker_word_fn)(void *user, const char *subject, const char *bytes,
                                   size_t size_bytes);
ENX_MUST_USE enx_status enx_broker_words(enx_broker *broker, const char *stream,
                                         const char *subject, enx_broker_word_fn fn, void *user,
                                         enx_report *report);
/* How many subjects have one. */
ENX_MUST_USE enx_status enx_broker_count_words(enx_broker *broker, const char *stream,
                                               const char *subject, uint32_t *count,
                                               enx_report *report);
/* Say a lasting word and wait until it is stored. */
ENX_MUST_USE enx_status enx_broker_keep(enx_broker *broker, const char *subject, const char *bytes,
                                        size_t size_bytes, enx_report *report);
/* How many calls wait for a model, and how many are with workers. */
ENX_MUST_USE enx_status enx_broker_depth(enx_broker *broker, const char *model, uint64_t *waiting,
                                         uint64_t *running, enx_report *report);

/* ---- Objects ---- */

bool                    enx_broker_has_object(enx_broker *broker, const char *name);
ENX_MUST_USE enx_status enx_broker_put_object(enx_broker *broker, const char *name,
                                              const void *bytes, size_t size_bytes,
                                              enx_report *report);
/* Append it to `out`, whose limit holds; its digest is checked.  ENX_NOTFOUND, ENX_LIMIT,
 * ENX_FORMAT: damaged. */
ENX_MUST_USE enx_status enx_broker_get_object(enx_broker *broker, const char *name, enx_buf *out,
                                              enx_report *report);

#endif /* ENX_BACKEND_BROKER_H */
