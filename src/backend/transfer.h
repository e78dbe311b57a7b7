/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.h - one HTTP exchange: a request body out, a reply in.
 *
 * Private to the driver (remote.c), which owns the multi handle that does the work.
 *
 * Layer: backend.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_BACKEND_TRANSFER_H
#define ENX_BACKEND_TRANSFER_H

#include "backend/api.h"
#include "backend/remote.h"
#include "backend/sse.h"

#include <curl/curl.h>

enum { ENX_TRANSFER_WHY_BYTES = ENX_REPORT_TEXT_MAX };

typedef enum enx_transfer_kind {
    ENX_TRANSFER_UNKNOWN, /* no byte of a body has come */
    ENX_TRANSFER_STREAM,
    ENX_TRANSFER_BODY,
    ENX_TRANSFER_ERROR, /* a status that is no success */
} enx_transfer_kind;

typedef struct enx_transfer {
    CURL              *easy;
    struct curl_slist *headers;
    const enx_api     *api;
    enx_buf            request;
    enx_transfer_kind  kind;
    enx_sse            sse;
    enx_buf            body;
    enx_api_reply      reply;
    size_t             header_bytes, body_bytes;
    uint64_t           start_us, last_us; /* last_us: of a byte of the response; 0: none came */
    bool               is_spoilt;
    char               why[ENX_TRANSFER_WHY_BYTES]; /* it is spoilt, or was ended */
    size_t             text_bytes_max;              /* of the answer; 0: its buffer's */
    enx_remote_text_fn on_text;
    void              *user;
} enx_transfer;

/* `headers` are borrowed until close; `id` is the Idempotency-Key. */
typedef struct enx_transfer_target {
    const enx_api *api;
    const char    *url; /* with path */
    const char    *key; /* or NULL */
    const char    *id;
    uint64_t       connect_us;
} enx_transfer_target;

/* The body is in t->request already, by enx_transfer_init; open makes it ready for a multi handle,
 * with `owner` as its private pointer.  ENX_NOMEM. */
void                    enx_transfer_init(enx_transfer *t, const enx_api *api);
ENX_MUST_USE enx_status enx_transfer_open(enx_transfer *t, const enx_transfer_target *target,
                                          void *owner, uint64_t now_us, enx_report *report);
/* Also after init alone. */
void                    enx_transfer_close(enx_transfer *t);

/* The moment at which it must be ended if nothing comes. */
uint64_t enx_transfer_expiry(const enx_transfer *t, const enx_remote_model *limits);
/* Say which limit that was. */
void     enx_transfer_expire(enx_transfer *t, uint64_t now_us, const enx_remote_model *limits);

/* What came of it; `code` is CURLE_OK when the response's own end came.  Fills in `why` where
 * nothing better is known. */
enx_http_end enx_transfer_end(enx_transfer *t, CURLcode code);
/* What the provider asked to wait; 0: nothing. */
uint64_t     enx_transfer_after_us(const enx_transfer *t);

#endif /* ENX_BACKEND_TRANSFER_H */
