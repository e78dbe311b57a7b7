/* SPDX-License-Identifier: Apache-2.0 */
/* bench_serve.c - what the server itself costs.
 *
 *     bench_serve MODEL.gguf [TINY_FOLDER]       MODEL for one stream; a tiny chat model for many
 *
 * Prints CSV: what, value, unit.  Server and clients share this process and its cores.  One stream
 * is compared with the engine alone at the same work, in turns, best of ROUNDS each; small requests
 * with a bare libmicrohttpd that answers as many bytes, in turns, best of SMALL_ROUNDS; 1000
 * streams come once from an engine (a model of 78,000 parameters, 256 sequences at a time) and once
 * from a thread that makes them from nothing, which leaves queues, HTTP and sockets. */
#include "base/mem.h"
#include "plat/clock.h"
#include "serve/http.h"
#include "serve/serve.h"
#include "tiny_chat.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUNDS = 20,
    ONE_TOKENS = 256,
    STREAMS = 1000,
    STREAM_TOKENS = 100,
    MADE_EVENTS = 200,
    SMALL_CONNECTIONS = 64,
    SMALL_SECONDS = 2,
    SMALL_ROUNDS = 4,
    READ_BYTES = 1 << 16,
    CONNECTIONS_MAX = 4096,
};

static void say(const char *what, double value, const char *unit)
{
    printf("%s,%.6g,%s\n", what, value, unit);
    fflush(stdout);
}

static _Noreturn void stop(const char *why)
{
    fprintf(stderr, "bench_serve: %s\n", why);
    exit(1);
}

/* Without the clients'. */
static const char cpu_unit[] = "1/s of processor time";

static double now_s(void) { return (double)enx_clock_monotonic_us() * 1e-6; }

static double resident_kb(void)
{
    long  pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) stop("no /proc/self/statm");
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* ---- Clients -------------------------------------------------------------------------------- */

static int dial(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    const int          fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        stop("cannot connect");
    return fd;
}

static size_t write_request(char *out, size_t room, const char *path, const char *body)
{
    return (size_t)snprintf(out, room,
                            "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                            "Content-Length: %zu\r\n\r\n%s",
                            path, strlen(body), body);
}

typedef struct stream {
    int      fd;
    uint64_t events;
    bool     is_over, was_break; /* break: the last byte was a line's end */
} stream;

typedef struct crowd {
    stream   streams[STREAMS];
    int      epoll;
    uint32_t open;
    uint64_t events, failed, wanted; /* wanted: of each at least */
    double   first_s, last_s;        /* of all that ended */
} crowd;

/* Events end with an empty line; the server closes after the last. */
static void read_stream(crowd *c, stream *s)
{
    static char   bytes[READ_BYTES];
    const ssize_t size = read(s->fd, bytes, sizeof bytes);
    for (ssize_t i = 0; i < size; i++) {
        if (bytes[i] == '\n' && s->was_break) s->events++;
        s->was_break = bytes[i] == '\n';
    }
    if (size > 0) return;
    if (size < 0 || s->events < c->wanted) c->failed++;
    epoll_ctl(c->epoll, EPOLL_CTL_DEL, s->fd, NULL);
    close(s->fd);
    s->is_over = true;
    c->open--;
    c->events += s->events;
    c->last_s = now_s();
    if (c->first_s == 0) c->first_s = c->last_s;
}

/* All streams at once, to their ends.  Returns the seconds. */
static double run_crowd(crowd *c, uint16_t port, const char *request, size_t request_bytes,
                        uint64_t wanted, double *memory_kb)
{
    struct epoll_event events[256];
    const double       before_kb = resident_kb();
    memset(c, 0, sizeof *c);
    c->wanted = wanted;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < STREAMS; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &c->streams[i] };
        c->streams[i].fd = dial(port);
        epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->streams[i].fd, &event);
        c->open++;
    }
    const double start_s = now_s();
    for (int i = 0; i < STREAMS; i++)
        if (write(c->streams[i].fd, request, request_bytes) != (ssize_t)request_bytes)
            stop("cannot write");
    double most_kb = 0;
    while (c->open > 0) {
        const int count = epoll_wait(c->epoll, events, 256, 60000);
        if (count <= 0) stop("streams stand still");
        for (int i = 0; i < count; i++) read_stream(c, events[i].data.ptr);
        if (most_kb == 0 && c->open < STREAMS) most_kb = resident_kb();
    }
    close(c->epoll);
    *memory_kb = most_kb - before_kb;
    return now_s() - start_s;
}

static void say_crowd(const char *name, const crowd *c, double seconds, double memory_kb)
{
    char what[64];
    snprintf(what, sizeof what, "%s_events_per_s", name);
    say(what, (double)c->events / seconds, "1/s");
    snprintf(what, sizeof what, "%s_failed", name);
    say(what, (double)c->failed, "streams");
    snprintf(what, sizeof what, "%s_memory", name);
    say(what, memory_kb / STREAMS, "KB a stream");
    snprintf(what, sizeof what, "%s_first_to_last_end", name);
    say(what, (c->last_s - c->first_s) / seconds, "of the time");
}

/* ---- One stream ----------------------------------------------------------------------------- */

static const char one_body[] = "{\"prompt\":\"Por quanto tempo\",\"max_tokens\":256,"
                               "\"temperature\":0,\"stream\":true,\"logit_bias\":{\"%u\":-100}}";

/* Of one run: by the wall, and by the processor's time of all threads of this process. */
typedef struct rate {
    double wall, cpu; /* tokens a second */
} rate;

/* Of all threads but this one, the client's. */
static double cpu_s(void)
{
    struct timespec own;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own) != 0) stop("no clock");
    return (double)enx_clock_cpu_us() * 1e-6 - (double)own.tv_sec - (double)own.tv_nsec * 1e-9;
}

static void keep_best(rate *best, rate now)
{
    if (now.wall > best->wall) best->wall = now.wall;
    if (now.cpu > best->cpu) best->cpu = now.cpu;
}

/* What the engine writes alone. */
static rate run_engine(enx_engine *engine, const enx_loaded *loaded)
{
    enx_tokens        prompt;
    static const char text[] = "Por quanto tempo";
    const uint32_t    eos = enx_tokenizer_eos(loaded->tokenizer);
    const enx_bias    never = { eos, -1e30F };
    enx_tokens_init(&prompt, 1000);
    if (enx_tokenizer_begin(loaded->tokenizer, text, sizeof text - 1, &prompt) != ENX_OK ||
        enx_tokenizer_encode(loaded->tokenizer, text, sizeof text - 1, false, &prompt, NULL) !=
            ENX_OK)
        stop("no prompt");
    const enx_request request = { .prompt = prompt.ids,
                                  .prompt_count = (uint32_t)prompt.count,
                                  .max_tokens = ONE_TOKENS,
                                  .eos = eos,
                                  .tokenizer = loaded->tokenizer,
                                  .sampling = { .biases = &never, .bias_count = 1 } };
    const double      start_s = now_s(), start_cpu_s = (double)enx_clock_cpu_us() * 1e-6;
    if (enx_engine_submit(engine, &request, NULL, NULL) != ENX_OK) stop("no sequence");
    while (enx_engine_step(engine, NULL, NULL) > 0) continue;
    const double seconds = now_s() - start_s,
                 cpu_seconds = (double)enx_clock_cpu_us() * 1e-6 - start_cpu_s;
    enx_tokens_deinit(&prompt);
    return (rate){ ONE_TOKENS / seconds, ONE_TOKENS / cpu_seconds };
}

/* ... and what arrives at a client, the prompt's time included in both. */
static rate run_stream(uint16_t port, uint32_t eos)
{
    char      body[512], request[1024], bytes[READ_BYTES];
    uint32_t  events = 0;
    const int fd = dial(port);
    snprintf(body, sizeof body, one_body, eos);
    const size_t size = write_request(request, sizeof request, "/v1/completions", body);
    const double start_s = now_s(), start_cpu_s = cpu_s();
    if (write(fd, request, size) != (ssize_t)size) stop("cannot write");
    bool was_break = false;
    for (ssize_t got; events < ONE_TOKENS && (got = read(fd, bytes, sizeof bytes)) > 0;)
        for (ssize_t i = 0; i < got; i++) {
            if (bytes[i] == '\n' && was_break) events++;
            was_break = bytes[i] == '\n';
        }
    const double seconds = now_s() - start_s, cpu_seconds = cpu_s() - start_cpu_s;
    close(fd);
    if (events < ONE_TOKENS) stop("the stream was cut");
    return (rate){ events / seconds, events / cpu_seconds };
}

static void bench_one(const char *path)
{
    enx_loaded  loaded = { 0 };
    enx_engine *alone = NULL;
    enx_serve  *serve = NULL;
    enx_report  report = { 0 };
    rate        engine = { 0 }, served = { 0 };
    if (enx_loaded_open(&loaded, path, &report) != ENX_OK) stop(report.text);
    const uint32_t           own = enx_model_hparams(loaded.model)->context_tokens;
    const enx_engine_options engine_options = { .model = loaded.model,
                                                .slot_count = 4,
                                                .context_tokens = own < 8192 ? own : 8192 };
    if (enx_engine_open(&alone, &engine_options, &report) != ENX_OK) stop(report.text);
    const enx_serve_model   model = { .name = "one", .duty = "", .path = path };
    const enx_serve_options options = { .models = &model,
                                        .model_count = 1,
                                        .threads = 1,
                                        .jobs = { .folder = "/tmp/enxame-bench-serve" } };
    if (enx_serve_open(&serve, &options, &report) != ENX_OK) stop(report.text);
    for (int i = 0; i < ROUNDS; i++) {
        keep_best(&engine, run_engine(alone, &loaded));
        keep_best(&served, run_stream(enx_serve_port(serve), enx_tokenizer_eos(loaded.tokenizer)));
    }
    say("one_stream_engine", engine.wall, "tokens/s");
    say("one_stream_served", served.wall, "tokens/s");
    say("one_stream_overhead", 100 * (1 - served.wall / engine.wall), "%");
    say("one_stream_overhead_cpu", 100 * (engine.cpu / served.cpu - 1), "%");
    enx_serve_close(&serve);
    enx_engine_close(&alone);
    enx_loaded_close(&loaded);
}

/* ---- Many ----------------------------------------------------------------------------------- */

static void bench_engine_crowd(uint16_t port)
{
    static crowd c;
    char         body[512], request[1024];
    double       memory_kb = 0;
    snprintf(body, sizeof body,
             "{\"model\":\"chat\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],"
             "\"stream\":true,\"temperature\":0,\"max_tokens\":%d,\"logit_bias\":{\"%d\":-100}}",
             STREAM_TOKENS, TINY_CHAT_END);
    const size_t size = write_request(request, sizeof request, "/v1/chat/completions", body);
    const double start_cpu_s = cpu_s();
    const double seconds = run_crowd(&c, port, request, size, STREAM_TOKENS, &memory_kb);
    say_crowd("streams_engine", &c, seconds, memory_kb);
    say("streams_engine_cpu", (double)c.events / (cpu_s() - start_cpu_s), cpu_unit);
}

/* ---- Streams from nothing ------------------------------------------------------------------- */

typedef struct maker {
    pthread_mutex_t lock;
    pthread_cond_t  news;
    enx_reply      *replies[STREAMS];
    uint32_t        count;
} maker;

static void admit(void *user, enx_exchange *x)
{
    (void)user;
    (void)x;
}

static void take_exchange(void *user, enx_exchange *x)
{
    maker *m = user;
    enx_reply_begin(x->reply, 200, "text/event-stream", true);
    pthread_mutex_lock(&m->lock);
    m->replies[m->count++] = enx_reply_hold(x->reply);
    pthread_cond_signal(&m->news);
    pthread_mutex_unlock(&m->lock);
}

/* As an engine would: one event for each stream, round after round. */
static void *make_streams(void *user)
{
    static const char event[] =
        "data: {\"id\":\"chatcmpl-0000000000000000\",\"object\":\"chat.completion.chunk\","
        "\"created\":1764364800,\"model\":\"chat\",\"choices\":[{\"index\":0,\"delta\":{"
        "\"content\":"
        "\" word\"},\"finish_reason\":null}]}\n\n";
    maker *m = user;
    pthread_mutex_lock(&m->lock);
    while (m->count < STREAMS) pthread_cond_wait(&m->news, &m->lock);
    pthread_mutex_unlock(&m->lock);
    uint16_t left[STREAMS];
    uint32_t open = STREAMS;
    for (int i = 0; i < STREAMS; i++) left[i] = MADE_EVENTS;
    while (open > 0)
        for (int i = 0; i < STREAMS; i++) {
            if (left[i] == 0 || enx_reply_is_full(m->replies[i])) continue;
            (void)enx_reply_push(m->replies[i], event, sizeof event - 1);
            if (--left[i] > 0) continue;
            enx_reply_end(m->replies[i]);
            enx_reply_drop(&m->replies[i]);
            open--;
        }
    return NULL;
}

static void bench_made_crowd(void)
{
    static crowd c;
    static maker m = { .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER };
    char         request[256];
    double       memory_kb = 0;
    enx_http    *http = NULL;
    pthread_t    thread;
    const enx_http_options options = { .host = "127.0.0.1",
                                       .connections_max = CONNECTIONS_MAX,
                                       .connections_each_max = CONNECTIONS_MAX,
                                       .header_bytes_max = ENX_SERVE_HEADER_BYTES,
                                       .body_bytes_max = 1 << 16,
                                       .idle_s = 60,
                                       .arrive_s = 60,
                                       .admit = admit,
                                       .serve = take_exchange,
                                       .too_large = admit,
                                       .user = &m };
    if (enx_http_open(&http, &options, NULL) != ENX_OK ||
        pthread_create(&thread, NULL, make_streams, &m) != 0)
        stop("no server");
    const size_t size = write_request(request, sizeof request, "/", "{}");
    const double start_cpu_s = cpu_s();
    const double seconds =
        run_crowd(&c, enx_http_port(http), request, size, MADE_EVENTS, &memory_kb);
    pthread_join(thread, NULL);
    enx_http_close(&http);
    say_crowd("streams_made", &c, seconds, memory_kb);
    say("streams_made_cpu", (double)c.events / (cpu_s() - start_cpu_s), cpu_unit);
}

/* ---- Small requests ------------------------------------------------------------------------- */

/* `path` over and over.  *answer_bytes: of one answer, its header too. */
static rate run_small(uint16_t port, const char *path, size_t *answer_bytes)
{
    struct epoll_event events[SMALL_CONNECTIONS];
    int                fds[SMALL_CONNECTIONS];
    static char        bytes[READ_BYTES];
    char               request[128];
    ssize_t            got_bytes = 0;
    uint64_t           count = 0;
    const int          epoll = epoll_create1(EPOLL_CLOEXEC);
    const size_t       size = (size_t)snprintf(request, sizeof request,
                                               "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    for (int i = 0; i < SMALL_CONNECTIONS; i++) {
        fds[i] = dial(port);
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fds[i] };
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
        if (write(fds[i], request, size) < 0) stop("cannot write");
    }
    const double start_s = now_s(), start_cpu_s = cpu_s();
    while (now_s() - start_s < SMALL_SECONDS) {
        const int got = epoll_wait(epoll, events, SMALL_CONNECTIONS, 1000);
        for (int i = 0; i < got; i++) {
            got_bytes = read(events[i].data.fd, bytes, sizeof bytes); /* comes in one piece */
            if (got_bytes <= 0) stop("a connection was closed");
            count++;
            if (write(events[i].data.fd, request, size) < 0) stop("cannot write");
        }
    }
    const rate out = { (double)count / (now_s() - start_s),
                       (double)count / (cpu_s() - start_cpu_s) };
    for (int i = 0; i < SMALL_CONNECTIONS; i++) close(fds[i]);
    close(epoll);
    *answer_bytes = (size_t)got_bytes;
    return out;
}

static enum MHD_Result answer_bare(void *user, struct MHD_Connection *connection, const char *path,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_bytes, void **context)
{
    static int seen;
    (void)path;
    (void)method;
    (void)version;
    (void)upload;
    (void)upload_bytes;
    if (!*context) {
        *context = &seen;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, user);
}

/* What libmicrohttpd gives on this machine with this client, and what the server gives. */
static void bench_small(uint16_t port)
{
    static char          body[READ_BYTES];
    rate                 bare = { 0 }, own = { 0 };
    size_t               own_bytes = 0, bare_bytes = 0;
    struct MHD_Response *response = NULL;
    struct MHD_Daemon   *daemon = NULL;
    keep_best(&own, run_small(port, "/v1/models", &own_bytes));
    memset(body, ' ', own_bytes);
    response = MHD_create_response_from_buffer(own_bytes, body, MHD_RESPMEM_PERSISTENT);
    daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer_bare, response,
                              MHD_OPTION_END);
    if (!daemon) stop("no bare server");
    const uint16_t bare_port = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    for (int i = 0; i < SMALL_ROUNDS; i++) {
        keep_best(&bare, run_small(bare_port, "/", &bare_bytes));
        keep_best(&own, run_small(port, "/v1/models", &own_bytes));
    }
    MHD_stop_daemon(daemon);
    MHD_destroy_response(response);
    say("small_requests", own.wall, "1/s");
    say("small_requests_cpu", own.cpu, cpu_unit);
    say("small_bare", bare.wall, "1/s");
    say("small_bare_cpu", bare.cpu, cpu_unit);
}

static void bench_many(const char *folder)
{
    char            path[4096];
    enx_serve      *serve = NULL;
    enx_report      report = { 0 };
    const tiny_chat tiny = {
        .path = path, .template = tiny_chat_template, .context = 256, .seed = 1
    };
    snprintf(path, sizeof path, "%s/chat.gguf", folder);
    if (enx_dir_make(folder, &report) != ENX_OK || tiny_chat_make(&tiny, &report) != ENX_OK)
        stop(report.text);
    const enx_serve_model   model = { .name = "chat", .duty = "", .path = path };
    const enx_serve_options options = { .models = &model,
                                        .model_count = 1,
                                        .slots = 256,
                                        .threads = 1,
                                        .limits = { .connections = CONNECTIONS_MAX,
                                                    .waiting = STREAMS },
                                        .jobs = { .folder = folder } };
    if (enx_serve_open(&serve, &options, &report) != ENX_OK) stop(report.text);
    bench_small(enx_serve_port(serve));
    bench_engine_crowd(enx_serve_port(serve)); /* also takes the engine's memory */
    bench_engine_crowd(enx_serve_port(serve));
    enx_serve_close(&serve);
}

int main(int argc, char **argv)
{
    const struct rlimit files = { .rlim_cur = CONNECTIONS_MAX, .rlim_max = CONNECTIONS_MAX };
    const char         *folder = argc > 2 ? argv[2] : "/tmp/enxame-bench-serve";
    if (argc < 2) stop("bench_serve MODEL.gguf [FOLDER]");
    (void)!setrlimit(RLIMIT_NOFILE, &files);
    printf("what,value,unit\n");
    bench_made_crowd();
    bench_many(folder);
    bench_one(argv[1]);
    return 0;
}
