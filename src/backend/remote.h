/* SPDX-License-Identifier: Apache-2.0 */
/* remote.h - models behind HTTP APIs: many requests at a time over one libcurl multi handle.
 *
 *     enx_remote_open(&remote, models, count, &options, report);
 *     enx_remote_submit(remote, &call, report);              // never blocks, nothing leaves yet
 *     enx_remote_poll(remote, 100000, -1, on_result, user);  // the work is done in here
 *
 * A request waits until its provider (all models with the same URL and key are one) lets it leave
 * (throttle.h), is tried again where that cannot be paid twice (retry.h), and ends with one result.
 * Every try of a call carries the same Idempotency-Key, also in another process after a crash.
 *
 * Time limits, each with a default: to connect; to the first byte of a response; from byte to byte;
 * for the whole of a try.  Headers, body, events and JSON are bounded; redirects are not followed;
 * proxies and keys are not looked up in the environment.  Keys never show in a result.
 *
 * Layer: backend.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_BACKEND_REMOTE_H
#define ENX_BACKEND_REMOTE_H

#include "backend/api.h"
#include "backend/retry.h"
#include "backend/throttle.h"

enum {
    ENX_REMOTE_MODELS_MAX = ENX_ROSTER_MODELS_MAX,
    ENX_REMOTE_HEADER_BYTES_MAX = 64 << 10,
    ENX_REMOTE_BODY_BYTES_MAX = 32 << 20,
    ENX_REMOTE_EVENT_BYTES_MAX = 4 << 20,
    ENX_REMOTE_ERROR_BODY_BYTES_MAX = 16 << 10, /* the rest of an error is not read */
    ENX_REMOTE_CONNECT_US = 10000000,
    ENX_REMOTE_FIRST_US = 120000000,
    ENX_REMOTE_IDLE_US = 60000000,
    ENX_REMOTE_TOTAL_US = 600000000,
    ENX_REMOTE_ATTEMPTS = 5,
    ENX_REMOTE_ATTEMPTS_MAX = 20,
    ENX_REMOTE_OPEN_MAX = 2048, /* requests on the wire; a socket and 13 KB each.  Others wait */
};

/* Strings are copied at open; 0 means the default. */
typedef struct enx_remote_model {
    const enx_api      *api;
    const char         *url;    /* "https://api.example.com/v1" */
    const char         *model;  /* as the provider calls it */
    const char         *key;    /* NULL: none is sent */
    enx_throttle_limits limits; /* of the provider: the least of all its models' */
    uint64_t            connect_us, first_us, idle_us, total_us;
    uint32_t            attempts;
    unsigned            features; /* of the API's, those that may be used */
} enx_remote_model;

typedef struct enx_remote_options {
    uint64_t salt; /* makes the calls of one job other than those of all jobs elsewhere */
    uint64_t seed; /* of the waits between tries */
} enx_remote_options;

/* More of the answer's text, as it comes; not zero-terminated. */
typedef void (*enx_remote_text_fn)(void *user, const char *text, size_t text_bytes);

typedef struct enx_remote_call {
    uint64_t               id;    /* unique in the job; the same after a crash */
    uint32_t               model; /* index */
    const enx_api_request *request;
    enx_api_bounds         bounds;
    void                  *user;
    enx_remote_text_fn     on_text; /* may be NULL */
} enx_remote_call;

typedef struct enx_remote_result {
    uint64_t             id;
    void                *user;
    enx_verdict          verdict; /* ANSWERED, SPOILT, UNKNOWN or REFUSED (nothing to pay) */
    const enx_api_reply *reply;
    enx_usage_count      usage; /* that settles; nothing when UNKNOWN or REFUSED */
    const char          *doubt; /* why the usage is the worst case; NULL: as told */
    const char          *error; /* sentence; NULL when ANSWERED */
    uint64_t             latency_us;
    uint32_t             attempts;
} enx_remote_result;

typedef struct enx_remote enx_remote;

/* ENX_INVALID: a URL that is not http(s)://, has a user or a question mark, or would send the key
 * over a network unencrypted; a key that no header can carry; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_remote_open(enx_remote **out, const enx_remote_model *models,
                                        uint32_t model_count, const enx_remote_options *options,
                                        enx_report *report);

/* Before the first call. */
void enx_remote_set_salt(enx_remote *remote, uint64_t salt);

/* What will be sent is copied.  ENX_NOMEM, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_remote_submit(enx_remote *remote, const enx_remote_call *call,
                                          enx_report *report);
/* Its result comes from the next poll: REFUSED when nothing has left, else UNKNOWN. */
void                    enx_remote_cancel(enx_remote *remote, uint64_t id);
/* Calls whose result was not handed over. */
uint32_t                enx_remote_flight(const enx_remote *remote);

/* Work until a result is there, `fd` (-1: none) can be read, or `timeout_us` is over; then hand
 * over all results, in the order of their ends.  Returns how many.  `fn` may submit and cancel. */
typedef void (*enx_remote_result_fn)(void *user, const enx_remote_result *result);
size_t enx_remote_poll(enx_remote *remote, uint64_t timeout_us, int fd, enx_remote_result_fn fn,
                       void *user);

/* Ends everything in flight; each of those calls has its result, UNKNOWN or REFUSED, unless `fn` is
 * NULL. */
void enx_remote_close(enx_remote **remote, enx_remote_result_fn fn, void *user);

#endif /* ENX_BACKEND_REMOTE_H */
