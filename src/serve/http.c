/* SPDX-License-Identifier: Apache-2.0 */
/* http.c - libmicrohttpd and replies.
 *
 * (1) A connection is suspended only from its own handlers, under its reply's lock, and resumed
 *     once by the reply's wake; so it is suspended if and only if the reply says asleep.
 * (2) A socket is in the list from its first byte to its close, so that shutting it down from
 *     another thread, under the list's lock, never meets a number that is used again.
 * (3) libmicrohttpd wakes no loop but its own.  Whoever resumes a connection rings, if nobody has
 *     since the loop last listened; the loop listens before it looks for what was resumed. */
#include "serve/http.h"

#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WAIT_MS_MAX = 1000,
    BLOCK_BYTES = 16 << 10,
    BACKLOG = 1024,
    US_PER_S = 1000000,
    SPARE_BODIES = 8,
    CLIENT_BYTES = 48
};

typedef struct http_socket {
    struct http_socket *previous, *next;
    int                 fd;
    uint64_t            since_us; /* when it last had nothing to do */
    bool                is_busy;  /* a whole request is here */
    char                client[CLIENT_BYTES];
} http_socket;

struct enx_fixed {
    struct MHD_Response *response;
    size_t               size_bytes;
};

struct enx_http {
    enx_http_options   options;
    struct MHD_Daemon *daemon;
    uint16_t           port;
    pthread_mutex_t    lock;
    http_socket       *sockets;
    uint32_t           socket_count;
    MHD_socket         listener;
    pthread_t          thread;
    bool               is_started;
    atomic_bool        is_stopping, is_rung;
    int                bell_fd; /* an eventfd; -1: none */
};

/* ---- Sockets -------------------------------------------------------------------------------- */

static void write_client(struct MHD_Connection *connection, char *out, size_t out_bytes)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr) return;
    struct sockaddr_storage address = { 0 };
    const bool              is_v6 = info->client_addr->sa_family == AF_INET6;
    memcpy(&address, info->client_addr,
           is_v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    const void *bytes = is_v6 ? (const void *)&((struct sockaddr_in6 *)&address)->sin6_addr
                              : (const void *)&((struct sockaddr_in *)&address)->sin_addr;
    (void)!inet_ntop(is_v6 ? AF_INET6 : AF_INET, bytes, out, (socklen_t)out_bytes);
}

static void add_socket(enx_http *http, struct MHD_Connection *connection, void **context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    http_socket *s = ENX_MEM_NEW(http_socket, 1);
    if (!s || !info) {
        enx_mem_free(s);
        return;
    }
    s->fd = info->connect_fd;
    s->since_us = enx_clock_monotonic_us();
    write_client(connection, s->client, sizeof s->client);
    pthread_mutex_lock(&http->lock);
    s->next = http->sockets;
    if (s->next) s->next->previous = s;
    http->sockets = s;
    http->socket_count++;
    pthread_mutex_unlock(&http->lock);
    *context = s;
}

static void drop_socket(enx_http *http, http_socket *s)
{
    if (!s) return;
    pthread_mutex_lock(&http->lock);
    if (s->previous) s->previous->next = s->next;
    else http->sockets = s->next;
    if (s->next) s->next->previous = s->previous;
    http->socket_count--;
    pthread_mutex_unlock(&http->lock);
    enx_mem_free(s);
}

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) add_socket(user, connection, context);
    else drop_socket(user, *context);
}

static void set_busy(enx_http *http, http_socket *s, bool is_busy)
{
    if (!s) return;
    pthread_mutex_lock(&http->lock);
    s->is_busy = is_busy;
    s->since_us = enx_clock_monotonic_us();
    pthread_mutex_unlock(&http->lock);
}

void enx_http_sweep(enx_http *http)
{
    const uint64_t now_us = enx_clock_monotonic_us();
    const uint64_t most_us = ((uint64_t)http->options.arrive_s + http->options.idle_s) * US_PER_S;
    pthread_mutex_lock(&http->lock);
    for (const http_socket *s = http->sockets; s; s = s->next) /* (2) */
        if (!s->is_busy && now_us - s->since_us > most_us) shutdown(s->fd, SHUT_RDWR);
    pthread_mutex_unlock(&http->lock);
}

uint32_t enx_http_connection_count(enx_http *http)
{
    pthread_mutex_lock(&http->lock);
    const uint32_t count = http->socket_count;
    pthread_mutex_unlock(&http->lock);
    return count;
}

/* ---- The bell ------------------------------------------------------------------------------- */

/* (3) */
static void ring(enx_http *http)
{
    if (!atomic_exchange(&http->is_rung, true)) (void)!eventfd_write(http->bell_fd, 1);
}

static void listen_to_bell(enx_http *http)
{
    eventfd_t rung = 0;
    (void)!eventfd_read(http->bell_fd, &rung);
    atomic_store(&http->is_rung, false);
}

/* ---- Replies -------------------------------------------------------------------------------- */

/* (1) */
static void suspend(void *user)
{
    const enx_exchange *x = user;
    MHD_suspend_connection(x->connection);
}

static void resume(void *user)
{
    const enx_exchange *x = user;
    MHD_resume_connection(x->connection);
    ring(x->http);
}

static bool is_gone(void *user)
{
    const enx_exchange *x = user;
    const http_socket  *s = x->socket;
    if (!s) return false;
    struct pollfd end = { .fd = s->fd, .events = POLLRDHUP };
    return poll(&end, 1, 0) > 0 && (end.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static ssize_t read_reply(void *user, uint64_t at, char *out, size_t room_bytes)
{
    enx_exchange *x = user;
    bool          is_end = false;
    (void)at;
    const size_t size = enx_reply_take(x->reply, out, room_bytes, &is_end, suspend, x);
    return is_end ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)size;
}

static struct MHD_Response *make_response(enx_exchange *x, enx_reply_state state)
{
    size_t size = 0;
    if (state == ENX_REPLY_STREAM)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_reply, x,
                                                 NULL);
    char *bytes = enx_reply_take_whole(x->reply, &size);
    if (!bytes) return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(size, bytes, enx_mem_free);
    if (!response) enx_mem_free(bytes);
    return response;
}

static enum MHD_Result respond_fixed(enx_exchange *x)
{
    x->http_status = MHD_HTTP_OK;
    x->is_queued = true;
    return MHD_queue_response(x->connection, MHD_HTTP_OK, x->fixed->response);
}

static enum MHD_Result respond(enx_exchange *x)
{
    if (x->fixed) return respond_fixed(x);
    const enx_reply_state state = enx_reply_poll(x->reply, suspend, x);
    if (state == ENX_REPLY_WAITS) return MHD_YES;
    struct MHD_Response *response = make_response(x, state);
    if (!response) return MHD_NO;
    if (enx_reply_type(x->reply))
        MHD_add_response_header(response, "Content-Type", enx_reply_type(x->reply));
    if (state == ENX_REPLY_STREAM) {
        MHD_add_response_header(response, "Cache-Control", "no-store");
        MHD_add_response_header(response, "X-Accel-Buffering", "no");
    }
    for (size_t i = 0; i < enx_reply_header_count(x->reply); i++) {
        const char *value = NULL, *name = enx_reply_header(x->reply, i, &value);
        MHD_add_response_header(response, name, value);
    }
    x->http_status = enx_reply_status(x->reply);
    x->is_queued = true;
    const enum MHD_Result result =
        MHD_queue_response(x->connection, (unsigned)x->http_status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- Requests ------------------------------------------------------------------------------- */

static enx_exchange *open_exchange(enx_http *http, struct MHD_Connection *connection,
                                   const char *path, const char *method)
{
    enx_exchange *x = ENX_MEM_NEW(enx_exchange, 1);
    if (!x) return NULL;
    x->reply = enx_reply_open();
    if (!x->reply) {
        enx_mem_free(x);
        return NULL;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    enx_buf_init(&x->body, http->options.body_bytes_max);
    x->method = method;
    x->path = path;
    x->connection = connection;
    x->http = http;
    x->socket = info ? info->socket_context : NULL;
    x->client = x->socket ? ((const http_socket *)x->socket)->client : "";
    x->began_us = enx_clock_monotonic_us();
    enx_reply_on_news(x->reply, resume, is_gone, x);
    return x;
}

static unsigned long long body_bytes(const enx_exchange *x)
{
    const char *text = enx_exchange_header(x, "Content-Length");
    return text ? strtoull(text, NULL, 10) : 0;
}

/* Headers are here.  Who is refused now is told when the body is over, unread, so that clients that
 * first write and then listen are told too; only a body that is far too large is cut off. */
static enum MHD_Result begin_exchange(enx_http *http, struct MHD_Connection *connection,
                                      const char *path, const char *method, void **context)
{
    const size_t  most = http->options.body_bytes_max;
    enx_exchange *x = open_exchange(http, connection, path, method);
    if (!x) return MHD_NO;
    *context = x;
    const unsigned long long size = body_bytes(x);
    if (size > most) http->options.too_large(http->options.user, x);
    else http->options.admit(http->options.user, x);
    return size / SPARE_BODIES > most ? respond(x) : MHD_YES;
}

/* As long as bytes come; those of a refused request are dropped, up to a limit. */
static enum MHD_Result take_body(enx_http *http, enx_exchange *x, const char *bytes, size_t *size)
{
    x->body_bytes += *size;
    if (!enx_reply_has_begun(x->reply) && enx_buf_append(&x->body, bytes, *size) != ENX_OK)
        http->options.too_large(http->options.user, x);
    *size = 0;
    return x->body_bytes / SPARE_BODIES > http->options.body_bytes_max ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **context)
{
    enx_http     *http = user;
    enx_exchange *x = *context;
    (void)version;
    if (!x) return begin_exchange(http, connection, path, method, context);
    if (*upload_bytes > 0) return take_body(http, x, upload, upload_bytes);
    if (x->is_queued) return MHD_YES;
    if (!x->is_whole) {
        x->is_whole = true;
        set_busy(http, x->socket, true);
        if (!enx_reply_has_begun(x->reply)) http->options.serve(http->options.user, x);
    }
    return respond(x);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    enx_http     *http = user;
    enx_exchange *x = *context;
    (void)connection;
    if (!x) return;
    *context = NULL;
    enx_reply_leave(x->reply);
    const enx_http_entry entry = { .exchange = x,
                                   .bytes = x->fixed ? x->fixed->size_bytes
                                                     : enx_reply_total_bytes(x->reply),
                                   .elapsed_us = enx_clock_monotonic_us() - x->began_us,
                                   .is_cut = code != MHD_REQUEST_TERMINATED_COMPLETED_OK };
    if (http->options.log) http->options.log(http->options.user, &entry);
    set_busy(http, x->socket, false);
    enx_reply_drop(&x->reply);
    enx_buf_deinit(&x->body);
    enx_mem_free(x);
}

/* ---- An exchange ---------------------------------------------------------------------------- */

const char *enx_exchange_header(const enx_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const char *enx_exchange_query(const enx_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

void enx_exchange_set_header(enx_exchange *x, const char *name, const char *value)
{
    enx_reply_set_header(x->reply, name, value);
}

void enx_exchange_answer(enx_exchange *x, int http_status, const char *type, const void *bytes,
                         size_t size_bytes)
{
    enx_reply_begin(x->reply, http_status, type, false);
    (void)enx_reply_push(x->reply, bytes, size_bytes);
    enx_reply_end(x->reply);
}

enx_fixed *enx_fixed_open(const char *type, const void *bytes, size_t size_bytes)
{
    enx_fixed *f = ENX_MEM_NEW(enx_fixed, 1);
    if (!f) return NULL;
    f->size_bytes = size_bytes;
    f->response = MHD_create_response_from_buffer(size_bytes, (void *)(uintptr_t)bytes,
                                                  MHD_RESPMEM_PERSISTENT);
    if (f->response && MHD_add_response_header(f->response, "Content-Type", type) == MHD_YES)
        return f;
    enx_fixed_close(&f);
    return NULL;
}

void enx_fixed_close(enx_fixed **fixed)
{
    if (!*fixed) return;
    if ((*fixed)->response) MHD_destroy_response((*fixed)->response);
    enx_mem_free(*fixed);
    *fixed = NULL;
}

void enx_exchange_answer_fixed(enx_exchange *x, const enx_fixed *fixed)
{
    enx_reply_begin(x->reply, MHD_HTTP_OK, NULL, false);
    enx_reply_end(x->reply);
    x->fixed = fixed;
}

/* ---- Opening -------------------------------------------------------------------------------- */

typedef union http_address {
    struct sockaddr     any;
    struct sockaddr_in  v4;
    struct sockaddr_in6 v6;
} http_address;

static enx_status read_address(const enx_http_options *o, http_address *out, enx_report *report)
{
    const char *host = strcmp(o->host, "localhost") == 0 ? "127.0.0.1" : o->host;
    *out = (http_address){ .v4 = { .sin_family = AF_INET, .sin_port = htons(o->port) } };
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) return ENX_OK;
    *out = (http_address){ .v6 = { .sin6_family = AF_INET6, .sin6_port = htons(o->port) } };
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) return ENX_OK;
    return ENX_FAIL(report, INVALID,
                    "%s is no address; give one in numbers, as 127.0.0.1, 0.0.0.0 "
                    "or ::1",
                    o->host);
}

static enx_status listen_on(const enx_http_options *o, MHD_socket *out, uint16_t *port,
                            enx_report *report)
{
    http_address address;
    const int    one = 1;
    ENX_TRY(read_address(o, &address, report));
    const socklen_t size = address.any.sa_family == AF_INET ? sizeof address.v4 : sizeof address.v6;
    socklen_t       bound = sizeof address;
    const int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, &address.any, size) == 0 && listen(fd, BACKLOG) == 0 &&
        getsockname(fd, &address.any, &bound) == 0) {
        *out = fd;
        *port =
            ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
        return ENX_OK;
    }
    const enx_status status =
        ENX_FAIL(report, IO, "cannot listen on %s port %u: %s", o->host, o->port, strerror(errno));
    if (fd >= 0) close(fd);
    return status;
}

static void ignore(void *user, const char *format, va_list arguments)
{
    (void)user;
    (void)format;
    (void)arguments;
}

static struct MHD_Daemon *start(enx_http *http)
{
    const enx_http_options *o = &http->options;
    const unsigned          flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
                           MHD_USE_ERROR_LOG | (o->tls_cert ? MHD_USE_TLS : 0U);
    struct MHD_OptionItem items[4] = { { MHD_OPTION_END, 0, NULL } };
    if (o->tls_cert) {
        items[0] =
            (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert };
        items[1] =
            (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key };
        items[2] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
    }
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, ignore, NULL,
        MHD_OPTION_LISTEN_SOCKET, http->listener, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)o->connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)o->connections_each_max, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)o->idle_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, o->header_bytes_max, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_ARRAY,
        items, MHD_OPTION_END);
}

/* The loop is ours: that of libmicrohttpd, when as many events come as it takes at a time (128),
 * waits for more of them before it answers the first, without a limit. */
static void *run_http(void *user)
{
    enx_http                   *http = user;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd               fds[] = { { .fd = info->epoll_fd, .events = POLLIN },
                                          { .fd = http->bell_fd, .events = POLLIN } };
    while (!atomic_load(&http->is_stopping)) {
        MHD_UNSIGNED_LONG_LONG wait_ms = WAIT_MS_MAX;
        if (MHD_get_timeout(http->daemon, &wait_ms) != MHD_YES || wait_ms > WAIT_MS_MAX)
            wait_ms = WAIT_MS_MAX;
        (void)!poll(fds, 2, (int)wait_ms);
        if (fds[1].revents) listen_to_bell(http);
        (void)MHD_run(http->daemon);
    }
    return NULL;
}

static enx_status start_thread(enx_http *http, enx_report *report)
{
    const int error = pthread_create(&http->thread, NULL, run_http, http);
    http->is_started = error == 0;
    return error ? ENX_FAIL(report, NOMEM, "no thread: %s", strerror(error)) : ENX_OK;
}

enx_status enx_http_open(enx_http **out, const enx_http_options *options, enx_report *report)
{
    ENX_CHECK(out && options && options->admit && options->serve && options->too_large);
    enx_http *http = ENX_MEM_NEW(enx_http, 1);
    if (!http) return ENX_FAIL(report, NOMEM, "no memory for a server");
    http->options = *options;
    pthread_mutex_init(&http->lock, NULL);
    http->bell_fd = eventfd(0, EFD_CLOEXEC);
    enx_status status =
        http->bell_fd < 0 ? ENX_FAIL(report, IO, "no eventfd: %s", strerror(errno)) : ENX_OK;
    if (status == ENX_OK) status = listen_on(options, &http->listener, &http->port, report);
    if (status == ENX_OK) {
        http->daemon = start(http);
        if (!http->daemon)
            status =
                ENX_FAIL(report, IO, "the server does not start%s",
                         options->tls_cert ? "; are certificate and key PEM, and a pair?" : "");
    }
    if (status == ENX_OK) status = start_thread(http, report);
    if (status != ENX_OK) {
        enx_http_close(&http);
        return status;
    }
    *out = http;
    return ENX_OK;
}

uint16_t enx_http_port(const enx_http *http) { return http->port; }

void enx_http_stop(enx_http *http)
{
    const MHD_socket listener = MHD_quiesce_daemon(http->daemon);
    if (listener != MHD_INVALID_SOCKET) close(listener);
}

void enx_http_close(enx_http **out)
{
    enx_http *http = *out;
    *out = NULL;
    if (!http) return;
    atomic_store(&http->is_stopping, true);
    if (http->bell_fd >= 0) ring(http);
    if (http->is_started) pthread_join(http->thread, NULL);
    if (http->daemon) MHD_stop_daemon(http->daemon);
    if (http->bell_fd >= 0) close(http->bell_fd);
    pthread_mutex_destroy(&http->lock);
    enx_mem_free(http);
}
