/* SPDX-License-Identifier: Apache-2.0 */
/* http.h - requests in, replies out: libmicrohttpd on one thread of its own.
 *
 * Who serves gets an exchange twice: when its headers are there (`admit`, to refuse before a body
 * is read) and when all of it is there (`serve`).  Either answers through the exchange's reply, at
 * once or later and from any thread; the connection sleeps until then.
 *
 * Limits: header, body, connections in all and of one address, time without a byte, time for a
 * request to arrive.  A client that closes its end while it waits counts as gone.
 *
 * Layer: serve; the only includer of microhttpd.h.  Thread-safety: one owner thread; `admit`,
 * `serve` and `log` are called on the server's own thread.
 */
#ifndef ENX_SERVE_HTTP_H
#define ENX_SERVE_HTTP_H

#include "serve/reply.h"

#include <stdint.h>

/* An answer that is always the same: status 200, made once. */
typedef struct enx_fixed enx_fixed;

typedef struct enx_exchange {
    const char      *method, *path; /* borrowed */
    enx_buf          body;
    enx_reply       *reply;
    const char      *client;      /* address of the other side; borrowed */
    const void      *key, *route; /* of whoever admitted it */
    const enx_fixed *fixed;       /* private */
    void            *connection;  /* private */
    void            *http;        /* private */
    void            *socket;      /* private */
    uint64_t         began_us, body_bytes;
    bool             is_whole, is_queued;
    int              http_status;
} enx_exchange;

/* What was done, for the access log: no text of anybody. */
typedef struct enx_http_entry {
    const enx_exchange *exchange;
    uint64_t            bytes, elapsed_us;
    bool                is_cut; /* the client left before the end */
} enx_http_entry;

typedef struct enx_http_options {
    const char *host;
    uint16_t    port;                                  /* 0: any that is free */
    const char *tls_cert, *tls_key;                    /* PEM texts; NULL: no TLS */
    uint32_t    connections_max, connections_each_max; /* each: of one address */
    size_t      header_bytes_max, body_bytes_max;
    uint32_t    idle_s, arrive_s;
    void (*admit)(void *user, enx_exchange *exchange);
    void (*serve)(void *user, enx_exchange *exchange);
    void (*too_large)(void *user, enx_exchange *exchange); /* answers */
    void (*log)(void *user, const enx_http_entry *entry);  /* may be NULL */
    void *user;
} enx_http_options;

typedef struct enx_http enx_http;

/* ENX_IO: the address cannot be listened on, and why; ENX_INVALID: no address; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_http_open(enx_http **out, const enx_http_options *options,
                                      enx_report *report);
uint16_t                enx_http_port(const enx_http *http);
uint32_t                enx_http_connection_count(enx_http *http);
/* Cut connections whose request takes too long to arrive.  Once a second. */
void                    enx_http_sweep(enx_http *http);
/* Take no new connections; those that are there go on. */
void                    enx_http_stop(enx_http *http);
/* Every reply must have ended, or be about to. */
void                    enx_http_close(enx_http **http);

/* ---- An exchange ---------------------------------------------------------------------------- */

/* A header, or a parameter behind the path's "?"; borrowed, NULL: none. */
const char *enx_exchange_header(const enx_exchange *exchange, const char *name);
const char *enx_exchange_query(const enx_exchange *exchange, const char *name);
void        enx_exchange_set_header(enx_exchange *exchange, const char *name, const char *value);
/* Answer with all of it now; `type` is not copied, NULL: none. */
void        enx_exchange_answer(enx_exchange *exchange, int http_status, const char *type,
                                const void *bytes, size_t size_bytes);

/* `bytes` and `type` are not copied.  NULL: no memory.  Close it after the server. */
enx_fixed *enx_fixed_open(const char *type, const void *bytes, size_t size_bytes);
void       enx_fixed_close(enx_fixed **fixed);
/* From `serve`, on its thread, and with no header set. */
void       enx_exchange_answer_fixed(enx_exchange *exchange, const enx_fixed *fixed);

#endif /* ENX_SERVE_HTTP_H */
