/* SPDX-License-Identifier: Apache-2.0 */
/* loopback.h - a server on 127.0.0.1 that plays a script: byte for byte, with pauses and cuts.
 *
 *     loopback server;
 *     loopback_open(&server);                       // on server.port
 *     loopback_play(&server, parts);                // for the next connections' requests, in order
 *     ... loopback_request(&server, n) ...          // the n-th request, headers and body
 *     loopback_wait(&server);                       // until nobody reads the scripts any more
 *     loopback_close(&server);
 *
 * A part's text is sent as it is; LOOPBACK_… parts do something else.  Each request plays one
 * script up to LOOPBACK_NEXT (keep the connection) or LOOPBACK_CUT (close it) or LOOPBACK_HANG
 * (until the other side closes).
 *
 * Layer: tests.  Thread-safety: one owner thread; the server has threads of its own.
 */
#ifndef ENX_TESTS_LOOPBACK_H
#define ENX_TESTS_LOOPBACK_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPBACK_REQUESTS = 64, LOOPBACK_BYTES = 1 << 20 };

#define LOOPBACK_NEXT  "\1next"
#define LOOPBACK_CUT   "\1cut"
#define LOOPBACK_HANG  "\1hang"
#define LOOPBACK_PAUSE "\1pause" /* 50 ms */
#define LOOPBACK_FLOOD "\1flood" /* 64 MiB of x */
#define LOOPBACK_DRIP  "\1drip"  /* ": \n" every 50 ms, 200 times */

typedef struct loopback {
    int                listener;
    uint16_t           port;
    pthread_t          thread;
    pthread_mutex_t    lock;
    const char *const *scripts[LOOPBACK_REQUESTS]; /* [script_count]; ended by NULL */
    uint32_t           script_count, played;
    char              *requests[LOOPBACK_REQUESTS];
    uint32_t           request_count;
    uint32_t           connection_count; /* still there */
} loopback;

typedef struct loopback_connection {
    loopback *server;
    int       socket;
} loopback_connection;

static inline bool loopback_send(int socket, const char *bytes, size_t size)
{
    while (size > 0) {
        const ssize_t n = send(socket, bytes, size, MSG_NOSIGNAL);
        if (n <= 0) return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* Headers and body of one request; NULL: the other side closed. */
static inline char *loopback_read(int socket)
{
    char  *all = calloc(1, LOOPBACK_BYTES);
    size_t size = 0, wanted = SIZE_MAX;
    while (size < wanted && size + 1 < LOOPBACK_BYTES) {
        const ssize_t n = recv(socket, all + size, LOOPBACK_BYTES - 1 - size, 0);
        if (n <= 0) break;
        size += (size_t)n;
        const char *end = strstr(all, "\r\n\r\n"), *length = strcasestr(all, "\r\nContent-Length:");
        if (end && wanted == SIZE_MAX)
            wanted = (size_t)(end + 4 - all) + (length ? strtoul(length + 17, NULL, 10) : 0);
    }
    if (size >= wanted) return all;
    free(all);
    return NULL;
}

static inline void loopback_flood(int socket)
{
    static char block[1 << 16];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 1024; i++)
        if (!loopback_send(socket, block, sizeof block)) return;
}

/* False: close. */
static inline bool loopback_part(int socket, const char *part)
{
    char byte;
    if (part[0] != '\1') return loopback_send(socket, part, strlen(part));
    if (strcmp(part, LOOPBACK_PAUSE) == 0) usleep(50000);
    if (strcmp(part, LOOPBACK_FLOOD) == 0) loopback_flood(socket);
    if (strcmp(part, LOOPBACK_HANG) == 0) return recv(socket, &byte, 1, 0) > 0;
    for (int i = 0; i < 200 && strcmp(part, LOOPBACK_DRIP) == 0; i++) {
        if (!loopback_send(socket, ": \n", 3)) return false;
        usleep(50000);
    }
    return strcmp(part, LOOPBACK_CUT) != 0;
}

static inline const char *const *loopback_next(loopback *s, char *request)
{
    const char *const *script = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->request_count < LOOPBACK_REQUESTS) s->requests[s->request_count++] = request;
    else free(request);
    if (s->played < s->script_count) script = s->scripts[s->played++];
    pthread_mutex_unlock(&s->lock);
    return script;
}

static inline void *loopback_connected(void *user)
{
    loopback_connection *c = user;
    char                *request;
    bool                 is_open = true;
    while (is_open && (request = loopback_read(c->socket)) != NULL) {
        const char *const *script = loopback_next(c->server, request);
        if (!script) break;
        for (; is_open && *script && strcmp(*script, LOOPBACK_NEXT) != 0; script++)
            is_open = loopback_part(c->socket, *script);
        if (!*script) is_open = false;
    }
    close(c->socket);
    pthread_mutex_lock(&c->server->lock);
    c->server->connection_count--;
    pthread_mutex_unlock(&c->server->lock);
    free(c);
    return NULL;
}

static inline void *loopback_run(void *user)
{
    loopback *s = user;
    for (;;) {
        const int socket = accept(s->listener, NULL, NULL);
        if (socket < 0) return NULL;
        loopback_connection *c = calloc(1, sizeof *c);
        pthread_t            thread;
        *c = (loopback_connection){ s, socket };
        pthread_mutex_lock(&s->lock);
        s->connection_count++;
        pthread_mutex_unlock(&s->lock);
        if (pthread_create(&thread, NULL, loopback_connected, c) != 0) abort();
        pthread_detach(thread);
    }
}

static inline void loopback_open(loopback *s)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t          size = sizeof address;
    *s = (loopback){ .listener = socket(AF_INET, SOCK_STREAM, 0) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(s->listener, (struct sockaddr *)&address, size) != 0 || listen(s->listener, 64) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &size) != 0)
        abort();
    s->port = ntohs(address.sin_port);
    pthread_mutex_init(&s->lock, NULL);
    if (pthread_create(&s->thread, NULL, loopback_run, s) != 0) abort();
}

/* Forget what was asked before; play these next. */
static inline void loopback_reset(loopback *s)
{
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->request_count; i++) free(s->requests[i]);
    s->request_count = s->script_count = s->played = 0;
    pthread_mutex_unlock(&s->lock);
}

static inline void loopback_play(loopback *s, const char *const *parts)
{
    pthread_mutex_lock(&s->lock);
    if (s->script_count < LOOPBACK_REQUESTS) s->scripts[s->script_count++] = parts;
    pthread_mutex_unlock(&s->lock);
}

static inline const char *loopback_request(loopback *s, uint32_t n)
{
    pthread_mutex_lock(&s->lock);
    const char *request = n < s->request_count ? s->requests[n] : "";
    pthread_mutex_unlock(&s->lock);
    return request;
}

static inline uint32_t loopback_count(loopback *s)
{
    pthread_mutex_lock(&s->lock);
    const uint32_t count = s->request_count;
    pthread_mutex_unlock(&s->lock);
    return count;
}

/* The other side has closed its connections. */
static inline void loopback_wait(loopback *s)
{
    for (uint32_t count = 1; count > 0; usleep(1000)) {
        pthread_mutex_lock(&s->lock);
        count = s->connection_count;
        pthread_mutex_unlock(&s->lock);
    }
}

/* Connections must be over by now. */
static inline void loopback_close(loopback *s)
{
    shutdown(s->listener, SHUT_RDWR);
    close(s->listener);
    pthread_join(s->thread, NULL);
    loopback_reset(s);
    pthread_mutex_destroy(&s->lock);
}

#endif /* ENX_TESTS_LOOPBACK_H */
