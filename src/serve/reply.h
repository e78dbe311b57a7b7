/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h - a response on its way from who makes it to who sends it.
 *
 * The maker says status and type once, then pushes bytes, then ends; the sender takes bytes, and is
 * woken when there are some.  The queue between the two is not a limit but a level: above
 * ENX_REPLY_FULL_BYTES the maker is asked to pause, below half of it, it is told to go on.
 *
 * Both hold a reference; the last one to drop it frees.  A sender that lost its client says so, and
 * nothing that is pushed afterwards is kept.
 *
 * Layer: serve.  Thread-safety: internally locked; one maker, one sender.
 */
#ifndef ENX_SERVE_REPLY_H
#define ENX_SERVE_REPLY_H

#include "base/buf.h"

#include <stdbool.h>

enum {
    ENX_REPLY_FULL_BYTES = 16 << 10,
    ENX_REPLY_BYTES_MAX = 64 << 20, /* of what waits to be sent */
    ENX_REPLY_HEADERS_MAX = 12,
    ENX_REPLY_HEADER_BYTES_MAX = 2048, /* of all of them */
};

typedef struct enx_reply enx_reply;

/* Called under the reply's lock; it must call nothing of this module. */
typedef void (*enx_reply_fn)(void *user);
typedef bool (*enx_reply_probe_fn)(void *user);

/* One reference, the caller's.  NULL: no memory. */
enx_reply *enx_reply_open(void);
enx_reply *enx_reply_hold(enx_reply *reply);
void       enx_reply_drop(enx_reply **reply);

/* ---- The maker ------------------------------------------------------------------------------ */

/* `room` is called, on the sender's thread, when a full queue has room again, and when the client
 * went away; NULL: nobody. */
void enx_reply_on_room(enx_reply *reply, enx_reply_fn room, void *user);
/* Before begin.  What does not fit is left out; of two with one name, the second. */
void enx_reply_set_header(enx_reply *reply, const char *name, const char *value);
/* Once.  A stream is sent as it comes; anything else when it has ended, with its length. */
void enx_reply_begin(enx_reply *reply, int http_status, const char *type, bool is_stream);
/* False: the client is gone, or there is no memory for it; then it is gone from now on. */
bool enx_reply_push(enx_reply *reply, const char *bytes, size_t size_bytes);
/* The same, but the sender is not woken for it before flush, or the end, or much has gathered. */
bool enx_reply_gather(enx_reply *reply, const char *bytes, size_t size_bytes);
void enx_reply_flush(enx_reply *reply);
void enx_reply_end(enx_reply *reply);
bool enx_reply_has_begun(const enx_reply *reply);
bool enx_reply_is_full(const enx_reply *reply);
/* Asks the sender's probe too, when it waits. */
bool enx_reply_is_gone(const enx_reply *reply);

/* ---- The sender ----------------------------------------------------------------------------- */

/* `wake` is called, on the maker's thread, once after each time that the sender waits; `probe`
 * tells whether a waiting client has gone.  Before the maker has the reply. */
void enx_reply_on_news(enx_reply *reply, enx_reply_fn wake, enx_reply_probe_fn probe, void *user);

typedef enum enx_reply_state {
    ENX_REPLY_WAITS,  /* nothing to do: `wake` will be called; `user` of sleep was */
    ENX_REPLY_STREAM, /* has begun, and is to be sent as it comes */
    ENX_REPLY_WHOLE,  /* all of it is there */
} enx_reply_state;

/* What is to be sent?  When it WAITS, `sleep` was called under the lock, so that no wake is lost.
 */
enx_reply_state enx_reply_poll(enx_reply *reply, enx_reply_fn sleep, void *user);
/* Up to `room_bytes`; 0 with *is_end false: as of poll, it waits. */
size_t          enx_reply_take(enx_reply *reply, char *out, size_t room_bytes, bool *is_end,
                               enx_reply_fn sleep, void *user);
/* All bytes of a reply that is WHOLE, moved to the caller. */
char           *enx_reply_take_whole(enx_reply *reply, size_t *size_bytes);
int             enx_reply_status(const enx_reply *reply);
const char     *enx_reply_type(const enx_reply *reply); /* borrowed */
size_t          enx_reply_header_count(const enx_reply *reply);
const char     *enx_reply_header(const enx_reply *reply, size_t index, const char **value);
/* Bytes that were pushed up to now. */
uint64_t        enx_reply_total_bytes(const enx_reply *reply);
void            enx_reply_leave(enx_reply *reply); /* the client is gone */

#endif /* ENX_SERVE_REPLY_H */
