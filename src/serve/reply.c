/* SPDX-License-Identifier: Apache-2.0 */
/* reply.c - a queue of bytes with a lock.
 *
 * (1) The sender sleeps only where the lock is held and nothing is there; who changes that wakes it
 *     before the lock is let go.  So no wake is lost, and none comes to a sender that is awake. */
#include "serve/reply.h"

#include "base/check.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum {
    KEPT_BYTES = 4 << 10,     /* of an empty queue; more is given back */
    GATHERED_BYTES = 4 << 10, /* well below full, so that nobody waits for the other */
};

struct enx_reply {
    pthread_mutex_t    lock;
    uint32_t           holders;
    int                http_status;
    const char        *type;
    enx_buf            headers; /* names and values, each with its zero */
    size_t             header_count;
    enx_buf            bytes;
    size_t             taken; /* of `bytes` */
    uint64_t           total_bytes;
    bool               has_begun, is_stream, has_ended, is_gone;
    bool               is_asleep; /* the sender */
    bool               was_full;
    enx_reply_fn       room, wake;
    enx_reply_probe_fn probe;
    void              *maker, *sender;
};

static void lock(const enx_reply *r) { pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&r->lock); }

static void unlock(const enx_reply *r)
{
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&r->lock);
}

enx_reply *enx_reply_open(void)
{
    enx_reply *r = ENX_MEM_NEW(enx_reply, 1);
    if (!r) return NULL;
    pthread_mutex_init(&r->lock, NULL);
    enx_buf_init(&r->bytes, ENX_REPLY_BYTES_MAX);
    enx_buf_init(&r->headers, ENX_REPLY_HEADER_BYTES_MAX);
    r->holders = 1;
    return r;
}

enx_reply *enx_reply_hold(enx_reply *r)
{
    lock(r);
    r->holders++;
    unlock(r);
    return r;
}

void enx_reply_drop(enx_reply **reply)
{
    enx_reply *r = *reply;
    *reply = NULL;
    if (!r) return;
    lock(r);
    const bool is_last = --r->holders == 0;
    unlock(r);
    if (!is_last) return;
    enx_buf_deinit(&r->bytes);
    enx_buf_deinit(&r->headers);
    pthread_mutex_destroy(&r->lock);
    enx_mem_free(r);
}

/* ---- The maker ------------------------------------------------------------------------------ */

void enx_reply_on_room(enx_reply *r, enx_reply_fn room, void *user)
{
    lock(r);
    r->room = room;
    r->maker = user;
    unlock(r);
}

static const char *find_header(const enx_reply *r, size_t index, const char **value)
{
    const char *name = enx_buf_text(&r->headers);
    for (; index > 0; index--) {
        name += strlen(name) + 1;
        name += strlen(name) + 1;
    }
    *value = name + strlen(name) + 1;
    return name;
}

static bool has_header(const enx_reply *r, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < r->header_count; i++)
        if (strcmp(find_header(r, i, &value), name) == 0) return true;
    return false;
}

void enx_reply_set_header(enx_reply *r, const char *name, const char *value)
{
    const size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
    lock(r);
    const size_t kept = r->headers.size_bytes;
    if (!has_header(r, name) && r->header_count < ENX_REPLY_HEADERS_MAX &&
        enx_buf_append(&r->headers, name, name_size) == ENX_OK) {
        if (enx_buf_append(&r->headers, value, value_size) == ENX_OK) r->header_count++;
        else r->headers.size_bytes = kept;
    }
    unlock(r);
}

/* (1) */
static void wake(enx_reply *r)
{
    if (!r->is_asleep) return;
    r->is_asleep = false;
    if (r->wake) r->wake(r->sender);
}

void enx_reply_begin(enx_reply *r, int http_status, const char *type, bool is_stream)
{
    lock(r);
    ENX_CHECK(!r->has_begun);
    r->has_begun = true;
    r->http_status = http_status;
    r->type = type;
    r->is_stream = is_stream;
    if (is_stream) wake(r);
    unlock(r);
}

static bool push(enx_reply *r, const char *bytes, size_t size_bytes, size_t level_bytes)
{
    lock(r);
    if (!r->is_gone && enx_buf_append(&r->bytes, bytes, size_bytes) != ENX_OK) r->is_gone = true;
    const bool is_kept = !r->is_gone;
    if (is_kept) {
        r->total_bytes += size_bytes;
        if (r->is_stream && r->bytes.size_bytes - r->taken > level_bytes) wake(r);
    }
    unlock(r);
    return is_kept;
}

bool enx_reply_push(enx_reply *r, const char *bytes, size_t size_bytes)
{
    return push(r, bytes, size_bytes, 0);
}

bool enx_reply_gather(enx_reply *r, const char *bytes, size_t size_bytes)
{
    return push(r, bytes, size_bytes, GATHERED_BYTES);
}

void enx_reply_flush(enx_reply *r)
{
    lock(r);
    if (r->is_stream && r->bytes.size_bytes > r->taken) wake(r);
    unlock(r);
}

void enx_reply_end(enx_reply *r)
{
    lock(r);
    r->has_ended = true;
    r->room = NULL;
    wake(r);
    unlock(r);
}

bool enx_reply_has_begun(const enx_reply *r)
{
    lock(r);
    const bool has_begun = r->has_begun;
    unlock(r);
    return has_begun;
}

bool enx_reply_is_full(const enx_reply *r)
{
    lock(r);
    const bool is_full =
        r->is_stream && !r->is_gone && r->bytes.size_bytes - r->taken > ENX_REPLY_FULL_BYTES;
    if (is_full) ((enx_reply *)(uintptr_t)r)->was_full = true;
    unlock(r);
    return is_full;
}

bool enx_reply_is_gone(const enx_reply *r)
{
    lock(r);
    const bool is_gone = r->is_gone || (r->is_asleep && r->probe && r->probe(r->sender));
    unlock(r);
    return is_gone;
}

/* ---- The sender ----------------------------------------------------------------------------- */

void enx_reply_on_news(enx_reply *r, enx_reply_fn wake_fn, enx_reply_probe_fn probe, void *user)
{
    r->wake = wake_fn;
    r->probe = probe;
    r->sender = user;
}

/* (1) */
static void fall_asleep(enx_reply *r, enx_reply_fn sleep, void *user)
{
    r->is_asleep = true;
    if (sleep) sleep(user);
}

enx_reply_state enx_reply_poll(enx_reply *r, enx_reply_fn sleep, void *user)
{
    enx_reply_state state = ENX_REPLY_WAITS;
    lock(r);
    if (r->has_begun && r->is_stream) state = ENX_REPLY_STREAM;
    else if (r->has_begun && r->has_ended) state = ENX_REPLY_WHOLE;
    else fall_asleep(r, sleep, user);
    unlock(r);
    return state;
}

size_t enx_reply_take(enx_reply *r, char *out, size_t room_bytes, bool *is_end, enx_reply_fn sleep,
                      void *user)
{
    lock(r);
    const size_t left = r->bytes.size_bytes - r->taken;
    const size_t size = left < room_bytes ? left : room_bytes;
    memcpy(out, enx_buf_text(&r->bytes) + r->taken, size);
    r->taken += size;
    if (size == left) {
        r->taken = 0;
        if (r->bytes.capacity_bytes > KEPT_BYTES) enx_buf_deinit(&r->bytes);
        else enx_buf_clear(&r->bytes);
    }
    if (r->was_full && left - size < ENX_REPLY_FULL_BYTES / 2) {
        r->was_full = false;
        if (r->room) r->room(r->maker);
    }
    *is_end = size == 0 && r->has_ended;
    if (size == 0 && !*is_end) fall_asleep(r, sleep, user);
    unlock(r);
    return size;
}

char *enx_reply_take_whole(enx_reply *r, size_t *size_bytes)
{
    lock(r);
    *size_bytes = r->bytes.size_bytes;
    char *bytes = enx_buf_take(&r->bytes);
    unlock(r);
    return bytes;
}

int enx_reply_status(const enx_reply *r) { return r->http_status; }

const char *enx_reply_type(const enx_reply *r) { return r->type; }

size_t enx_reply_header_count(const enx_reply *r) { return r->header_count; }

const char *enx_reply_header(const enx_reply *r, size_t index, const char **value)
{
    ENX_CHECK(index < r->header_count);
    return find_header(r, index, value);
}

uint64_t enx_reply_total_bytes(const enx_reply *r)
{
    lock(r);
    const uint64_t total_bytes = r->total_bytes;
    unlock(r);
    return total_bytes;
}

void enx_reply_leave(enx_reply *r)
{
    lock(r);
    r->is_gone = true;
    r->is_asleep = false;
    r->probe = NULL;
    r->wake = NULL;
    if (r->room) r->room(r->maker);
    unlock(r);
}
