/* SPDX-License-Identifier: Apache-2.0 */
/* broker.c - one connection to NATS, its streams, and a list of what came.
 *
 * Callbacks of libnats only put a node into a list under `lock` and count up an eventfd; what a
 * message means is worked out by the owner, in enx_broker_take.  So no state but the list is
 * shared, and nothing waits on a thread of libnats. */
#include "backend/broker.h"

#include "backend/api_json.h"
#include "backend/queue_wire.h"
#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    CONNECT_MS = 5000,
    API_MS = 5000,
    STORED_MS = 5000, /* without a word the owner publishes again */
    REPLAY_US = 30000000,
    RETRY_US = 100000,
    RECONNECT_MS = 250,
    CHUNK_BYTES = 128 << 10,
    RECONNECT_BUFFER_BYTES = 64 << 20,
    PENDING_MESSAGES = 1 << 20,
    LIST_BYTES = 200,
    OBJECT_NAME_BYTES = 140,
    OBJECT_TRIES_MAX = 8, /* of a call whose object cannot be had */
    NS_PER_US = 1000,
};

static const int64_t ns_per_s = INT64_C(1000000000);
static const char    object_header[] = "Enx-Object";
static const char    token_header[] = "Enx-Token";

typedef struct node {
    struct node    *next;
    enx_broker_kind kind;
    natsMsg        *message; /* owned; NULL for some */
    uint32_t        want;
    uint64_t        token;
    char            text[LIST_BYTES];
} node;

typedef struct want {
    enx_broker       *broker;
    natsSubscription *subscription; /* of the inbox */
    natsInbox        *inbox;
    char              next[ENX_BROKER_SUBJECT_BYTES]; /* where calls are asked for */
    uint32_t          index;
    uint32_t          pending; /* under lock */
    uint64_t          until_us;
} want;

struct enx_broker {
    natsConnection   *connection;
    jsCtx            *js;
    char              swarm[ENX_WIRE_NAME_BYTES];
    uint64_t          lease_us;
    int               fd;
    bool              has_lock;
    pthread_mutex_t   lock;
    node             *first, **end; /* under lock */
    bool              is_closed;    /* under lock: what comes now is dropped */
    want              wants[ENX_BROKER_WANTS_MAX];
    uint32_t          want_count;
    natsSubscription *cancels, *reports;
    uint64_t          report_count; /* that came; under lock */
};

/* ---- Failures ------------------------------------------------------------------------------- */

/* Why the library's last call on this thread failed, without "(file:line): " of its own. */
static const char *why(natsStatus status)
{
    natsStatus  last = NATS_OK;
    const char *text = nats_GetLastError(&last);
    if (last != status || !text || !text[0]) return natsStatus_GetText(status);
    const char *end = text[0] == '(' ? strstr(text, "): ") : NULL;
    return end ? end + 3 : text;
}

static enx_status fail_api(natsStatus status, const char *what, enx_report *report)
{
    if (status == NATS_NO_MEMORY) return ENX_FAIL(report, NOMEM, "no memory for %s", what);
    return ENX_FAIL(report, IO, "the broker: %s: %s", what, why(status));
}

/* ---- The list of what came ------------------------------------------------------------------ */

static void drop(node *n)
{
    natsMsg_Destroy(n->message);
    enx_mem_free(n);
}

static void push(enx_broker *b, node *n)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&b->lock);
    const bool is_closed = b->is_closed;
    if (!is_closed) {
        *b->end = n;
        b->end = &n->next;
    }
    pthread_mutex_unlock(&b->lock);
    if (is_closed) drop(n);
    else (void)!write(b->fd, &one, sizeof one);
}

/* Before libnats ends, which its messages do not outlive. */
static void drop_all(enx_broker *b)
{
    pthread_mutex_lock(&b->lock);
    node *first = b->first;
    b->first = NULL;
    b->is_closed = true;
    pthread_mutex_unlock(&b->lock);
    for (node *next; first; first = next) {
        next = first->next;
        drop(first);
    }
}

/* Without memory a message is dropped: its lease ends, or nobody confirms it, and it comes again.
 */
static node *note(enx_broker_kind kind, natsMsg *message)
{
    node *n = ENX_MEM_NEW(node, 1);
    if (!n) {
        natsMsg_Destroy(message);
        return NULL;
    }
    n->kind = kind;
    n->message = message;
    return n;
}

static void on_lost(natsConnection *connection, void *user)
{
    (void)connection;
    node *n = note(ENX_BROKER_LOST, NULL);
    if (n) push(user, n);
}

static void on_found(natsConnection *connection, void *user)
{
    (void)connection;
    enx_broker *b = user;
    node       *n = note(ENX_BROKER_FOUND, NULL);
    pthread_mutex_lock(&b->lock);
    for (uint32_t i = 0; i < ENX_BROKER_WANTS_MAX; i++) b->wants[i].pending = 0;
    pthread_mutex_unlock(&b->lock); /* the broker forgot what it was asked */
    if (n) push(b, n);
}

/* The library would print. */
static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status,
                     void *user)
{
    (void)connection, (void)subscription, (void)status, (void)user;
}

static void on_stored(jsCtx *js, natsMsg *message, jsPubAck *ack, jsPubAckErr *error, void *user)
{
    (void)js;
    const char *token = NULL;
    node       *n = note(ack ? ENX_BROKER_STORED : ENX_BROKER_FAILED, NULL);
    natsMsgHeader_Get(message, token_header, &token);
    if (n) {
        n->token = token ? strtoull(token, NULL, 16) : 0;
        if (error) snprintf(n->text, sizeof n->text, "%.190s", error->ErrText);
        push(user, n);
    }
    natsMsg_Destroy(message);
}

static void on_work(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                    void *user)
{
    (void)connection, (void)subscription;
    want       *w = user;
    const char *status = NULL;
    natsMsgHeader_Get(message, "Status", &status);
    pthread_mutex_lock(&w->broker->lock);
    if (status) w->pending = 0; /* the question is over */
    else if (w->pending > 0) w->pending--;
    pthread_mutex_unlock(&w->broker->lock);
    if (status) {
        natsMsg_Destroy(message);
        return;
    }
    if (!natsMsg_GetReply(message)) { /* not from a stream: nobody waits for an answer */
        natsMsg_Destroy(message);
        return;
    }
    node *n = note(ENX_BROKER_WORK, message);
    if (!n) return;
    n->want = w->index;
    push(w->broker, n);
}

static void on_report(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                      void *user)
{
    (void)connection, (void)subscription;
    enx_broker *b = user;
    node       *n = note(ENX_BROKER_REPORT, message);
    if (n) push(b, n);
    pthread_mutex_lock(&b->lock);
    b->report_count++;
    pthread_mutex_unlock(&b->lock);
}

static void on_cancel(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
                      void *user)
{
    (void)connection, (void)subscription;
    node *n = note(ENX_BROKER_CANCEL, message);
    if (n) push(user, n);
}

/* ---- Opening -------------------------------------------------------------------------------- */

static natsStatus set_who(natsOptions *o, const enx_broker_options *options)
{
    natsStatus s = NATS_OK;
    if (options->user && options->nkey)
        s = natsOptions_SetNKeyFromSeed(o, options->user, options->nkey);
    else if (options->user) s = natsOptions_SetUserInfo(o, options->user, options->password);
    if (s == NATS_OK && options->credentials)
        s = natsOptions_SetUserCredentialsFromFiles(o, options->credentials, NULL);
    if (s == NATS_OK && options->tls_ca) s = natsOptions_SetSecure(o, true);
    if (s == NATS_OK && options->tls_ca)
        s = natsOptions_LoadCATrustedCertificates(o, options->tls_ca);
    if (s == NATS_OK && options->tls_cert)
        s = natsOptions_LoadCertificatesChain(o, options->tls_cert, options->tls_key);
    return s;
}

/* "a,b,c" as the client's list of servers. */
static natsStatus set_servers(natsOptions *o, const char *urls)
{
    enum { SERVERS_MAX = 16, URLS_BYTES = 2048 };
    char        copy[URLS_BYTES];
    const char *servers[SERVERS_MAX];
    int         count = 0;
    char       *rest = copy;
    if (snprintf(copy, sizeof copy, "%s", urls) >= (int)sizeof copy) return NATS_INVALID_ARG;
    for (char *one; (one = strsep(&rest, ",")) != NULL && count < SERVERS_MAX;)
        if (*one) servers[count++] = one;
    return count ? natsOptions_SetServers(o, servers, count) : NATS_INVALID_ARG;
}

static natsStatus fill_options(natsOptions *o, enx_broker *b, const enx_broker_options *options)
{
    natsStatus s = set_servers(o, options->url);
    if (s == NATS_OK) s = set_who(o, options);
    if (s == NATS_OK) s = natsOptions_SetTimeout(o, CONNECT_MS);
    if (s == NATS_OK) s = natsOptions_SetMaxReconnect(o, -1);
    if (s == NATS_OK) s = natsOptions_SetReconnectWait(o, RECONNECT_MS);
    if (s == NATS_OK) s = natsOptions_SetReconnectBufSize(o, RECONNECT_BUFFER_BYTES);
    if (s == NATS_OK) s = natsOptions_SetMaxPendingMsgs(o, PENDING_MESSAGES);
    if (s == NATS_OK) s = natsOptions_SetPingInterval(o, 5000);
    /* Else the client gathers for a millisecond: a call alone took 2.1 ms instead of 0.7. */
    if (s == NATS_OK) s = natsOptions_SetSendAsap(o, true);
    if (s == NATS_OK) s = natsOptions_SetErrorHandler(o, on_error, b);
    if (s == NATS_OK) s = natsOptions_SetDisconnectedCB(o, on_lost, b);
    if (s == NATS_OK) s = natsOptions_SetReconnectedCB(o, on_found, b);
    return s;
}

static enx_status connect_broker(enx_broker *b, const enx_broker_options *options,
                                 enx_report *report)
{
    natsOptions *o = NULL;
    natsStatus   s = natsOptions_Create(&o);
    if (s == NATS_OK) s = fill_options(o, b, options);
    if (s != NATS_OK) {
        natsOptions_Destroy(o);
        return ENX_FAIL(report, INVALID, "the broker %s: %s", options->url, why(s));
    }
    s = natsConnection_Connect(&b->connection, o);
    natsOptions_Destroy(o);
    if (s == NATS_NO_SERVER || s == NATS_TIMEOUT || s == NATS_IO_ERROR)
        return ENX_FAIL(report, NOTFOUND, "no broker at %s: %s; start one: nats-server -js",
                        options->url, why(s));
    if (s != NATS_OK)
        return ENX_FAIL(report, INVALID, "the broker %s refuses: %s", options->url, why(s));
    return ENX_OK;
}

typedef struct stream {
    const char       *suffix;
    const char       *subjects[2];
    jsRetentionPolicy retention;
    int64_t           age_s;
    int64_t           duplicates_s;
    bool              keeps_last; /* one message a subject */
} stream;

static const stream streams[] = {
    { "work", { "work" }, js_WorkQueuePolicy, 0, 600, false },
    { "done", { "done" }, js_LimitsPolicy, 86400, 600, false },
    { "dead", { "dead" }, js_LimitsPolicy, 604800, 600, false },
    { "here", { "here" }, js_LimitsPolicy, 30, 0, true },
    { "model", { "model", "barred" }, js_LimitsPolicy, 0, 0, true },
};

static enx_status add_stream(enx_broker *b, jsStreamConfig *config, enx_report *report)
{
    jsErrCode     code = 0;
    jsStreamInfo *info = NULL;
    /* Who may not make streams can still use them. */
    natsStatus    s = js_GetStreamInfo(&info, b->js, config->Name, NULL, &code);
    jsStreamInfo_Destroy(info);
    if (s == NATS_NOT_FOUND) s = js_AddStream(NULL, b->js, config, NULL, &code);
    if (s == NATS_OK || code == JSStreamNameExistErr) return ENX_OK;
    if (code == JSNotEnabledErr || code == JSNotEnabledForAccountErr || s == NATS_NO_RESPONDERS)
        return ENX_FAIL(report, UNSUPPORTED,
                        "the broker has no JetStream; start it so: nats-server -js");
    return fail_api(s, config->Name, report);
}

static enx_status make_streams(enx_broker *b, enx_report *report)
{
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        const stream  *row = &streams[i];
        char           name[ENX_BROKER_SUBJECT_BYTES], subjects[2][ENX_BROKER_SUBJECT_BYTES];
        const char    *list[2] = { subjects[0], subjects[1] };
        jsStreamConfig config;
        jsStreamConfig_Init(&config);
        snprintf(name, sizeof name, "ENX-%s-%s", b->swarm, row->suffix);
        for (int k = 0; k < 2 && row->subjects[k]; k++) {
            snprintf(subjects[k], sizeof subjects[k], "enx.%s.%s.>", b->swarm, row->subjects[k]);
            config.SubjectsLen++;
        }
        config.Name = name;
        config.Subjects = list;
        config.Retention = row->retention;
        config.MaxAge = row->age_s * ns_per_s;
        config.Duplicates = row->duplicates_s * ns_per_s;
        if (row->keeps_last) config.MaxMsgsPerSubject = 1;
        ENX_TRY(add_stream(b, &config, report));
    }
    char           name[ENX_BROKER_SUBJECT_BYTES], subject[2][ENX_BROKER_SUBJECT_BYTES];
    const char    *list[2] = { subject[0], subject[1] };
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    snprintf(name, sizeof name, "OBJ_ENX-%s", b->swarm);
    snprintf(subject[0], sizeof subject[0], "$O.ENX-%s.C.>", b->swarm);
    snprintf(subject[1], sizeof subject[1], "$O.ENX-%s.M.>", b->swarm);
    config.Name = name;
    config.Subjects = list;
    config.SubjectsLen = 2;
    config.AllowRollup = true;
    config.Discard = js_DiscardNew;
    return add_stream(b, &config, report);
}

static enx_status open_js(enx_broker *b, enx_report *report)
{
    jsOptions o;
    jsOptions_Init(&o);
    o.Wait = API_MS;
    o.PublishAsync.AckHandler = on_stored;
    o.PublishAsync.AckHandlerClosure = b;
    const natsStatus s = natsConnection_JetStream(&b->js, b->connection, &o);
    return s == NATS_OK ? ENX_OK : fail_api(s, "JetStream", report);
}

enx_status enx_broker_open(enx_broker **out, const enx_broker_options *options, enx_report *report)
{
    ENX_CHECK(out && options && options->url && options->swarm);
    if (!enx_wire_is_name(options->swarm))
        return ENX_FAIL(report, INVALID,
                        "\"%s\" cannot name a swarm: letters, digits, - and _ can, fewer than %d",
                        options->swarm, ENX_WIRE_NAME_BYTES);
    enx_broker *b = ENX_MEM_NEW(enx_broker, 1);
    if (!b) return ENX_FAIL(report, NOMEM, "no memory for a broker");
    snprintf(b->swarm, sizeof b->swarm, "%s", options->swarm);
    b->lease_us = options->lease_us ? options->lease_us : ENX_BROKER_LEASE_US;
    b->end = &b->first;
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    b->has_lock = b->fd >= 0 && pthread_mutex_init(&b->lock, NULL) == 0;
    enx_status status =
        b->has_lock ? ENX_OK : ENX_FAIL(report, NOMEM, "no eventfd or mutex for a broker");
    if (status == ENX_OK) status = connect_broker(b, options, report);
    if (status == ENX_OK) status = open_js(b, report);
    if (status == ENX_OK) status = make_streams(b, report);
    if (status != ENX_OK) {
        enx_broker_close(&b);
        return status;
    }
    *out = b;
    return ENX_OK;
}

static void end_subscription(natsSubscription *subscription)
{
    if (!subscription) return;
    natsSubscription_Unsubscribe(subscription);
    natsSubscription_Destroy(subscription);
}

void enx_broker_close(enx_broker **broker)
{
    enx_broker *b = *broker;
    if (!b) return;
    end_subscription(b->cancels);
    end_subscription(b->reports);
    enx_broker_want_none(b);
    if (b->connection) natsConnection_FlushTimeout(b->connection, API_MS);
    jsCtx_Destroy(b->js);
    natsConnection_Destroy(b->connection);
    if (b->has_lock) drop_all(b);
    nats_CloseAndWait(0); /* no callback may come any more */
    if (b->has_lock) pthread_mutex_destroy(&b->lock);
    if (b->fd >= 0) close(b->fd);
    enx_mem_free(b);
    *broker = NULL;
}

const char *enx_broker_swarm(const enx_broker *b) { return b->swarm; }

uint64_t enx_broker_lease_us(const enx_broker *b) { return b->lease_us; }

int enx_broker_fd(const enx_broker *b) { return b->fd; }

/* ---- Handing over --------------------------------------------------------------------------- */

/* "$JS.ACK.<stream>.<consumer>.<deliveries>.<...4>", or with domain and account before the stream
 * and one more word at the end. */
static uint32_t deliveries_of(const char *handle)
{
    const char *words[16];
    uint32_t    count = 0;
    for (const char *at = handle; at && count < 16; at = strchr(at, '.'), at = at ? at + 1 : NULL)
        words[count++] = at;
    if (count < 9) return 1;
    return (uint32_t)strtoul(words[count >= 12 ? 6 : 4], NULL, 10);
}

/* False: the message's object cannot be had now. */
static bool fetch_content(enx_broker *b, const node *n, enx_buf *object, enx_broker_event *event)
{
    const char *name = NULL;
    event->bytes = natsMsg_GetData(n->message);
    event->size_bytes = (size_t)natsMsg_GetDataLength(n->message);
    event->subject = natsMsg_GetSubject(n->message);
    event->handle = natsMsg_GetReply(n->message);
    if (natsMsgHeader_Get(n->message, object_header, &name) != NATS_OK || !name) return true;
    enx_buf_clear(object);
    if (strlen(name) >= OBJECT_NAME_BYTES) return false; /* the sender's word */
    if (enx_broker_get_object(b, name, object, NULL) != ENX_OK) return false;
    event->bytes = enx_buf_text(object);
    event->size_bytes = object->size_bytes;
    return true;
}

static void hand_over(enx_broker *b, const node *n, enx_buf *object, enx_broker_event_fn fn,
                      void *user)
{
    enx_broker_event event = { .kind = n->kind,
                               .token = n->token,
                               .want = n->want,
                               .bytes = n->text,
                               .size_bytes = strlen(n->text) };
    const bool       is_whole = !n->message || fetch_content(b, n, object, &event);
    if (n->kind == ENX_BROKER_WORK) event.deliveries = deliveries_of(event.handle);
    if (!is_whole) {
        const bool is_hopeless = event.deliveries > OBJECT_TRIES_MAX;
        if (n->kind == ENX_BROKER_WORK)
            enx_broker_settle(b, event.handle, is_hopeless ? ENX_BROKER_DROP : ENX_BROKER_BACK);
        return;
    }
    fn(user, &event);
}

size_t enx_broker_take(enx_broker *b, enx_broker_event_fn fn, void *user)
{
    uint64_t told;
    size_t   count = 0;
    enx_buf  object;
    pthread_mutex_lock(&b->lock);
    node *first = b->first;
    b->first = NULL;
    b->end = &b->first;
    (void)!read(b->fd, &told, sizeof told); /* nothing there is no failure */
    pthread_mutex_unlock(&b->lock);
    enx_buf_init(&object, ENX_BROKER_OBJECT_BYTES_MAX);
    for (node *next; first; first = next, count++) {
        next = first->next;
        hand_over(b, first, &object, fn, user);
        drop(first);
    }
    enx_buf_deinit(&object);
    return count;
}

/* ---- Publishing ----------------------------------------------------------------------------- */

static natsStatus put_message(enx_broker *b, const char *subject, const char *id, uint64_t token,
                              const char *object, const char *bytes, size_t size_bytes)
{
    natsMsg     *message = NULL;
    char         text[17];
    jsPubOptions o;
    jsPubOptions_Init(&o);
    o.MsgId = id;
    o.MaxWait = STORED_MS;
    snprintf(text, sizeof text, "%" PRIx64, token);
    natsStatus s = natsMsg_Create(&message, subject, NULL, bytes, (int)size_bytes);
    if (s == NATS_OK) s = natsMsgHeader_Set(message, token_header, text);
    if (s == NATS_OK && object) s = natsMsgHeader_Set(message, object_header, object);
    if (s == NATS_OK) s = js_PublishMsgAsync(b->js, &message, &o);
    natsMsg_Destroy(message); /* NULL once it is on its way */
    return s;
}

enx_status enx_broker_put(enx_broker *b, const char *subject, const char *id, uint64_t token,
                          const char *bytes, size_t size_bytes, enx_report *report)
{
    const bool is_long = size_bytes > ENX_BROKER_MESSAGE_BYTES;
    if (is_long) ENX_TRY(enx_broker_put_object(b, id, bytes, size_bytes, report));
    const natsStatus s = is_long ? put_message(b, subject, id, token, id, "", 0)
                                 : put_message(b, subject, id, token, NULL, bytes, size_bytes);
    return s == NATS_OK ? ENX_OK : fail_api(s, "publishing", report);
}

enx_status enx_broker_say(enx_broker *b, const char *subject, const char *bytes, size_t size_bytes,
                          enx_report *report)
{
    const natsStatus s = natsConnection_Publish(b->connection, subject, bytes, (int)size_bytes);
    return s == NATS_OK ? ENX_OK : fail_api(s, "publishing", report);
}

/* ---- Working -------------------------------------------------------------------------------- */

static void name_consumer(char name[ENX_BROKER_SUBJECT_BYTES], const char *model, uint32_t priority)
{
    snprintf(name, ENX_BROKER_SUBJECT_BYTES, "%.16s-%u", model, priority);
}

static enx_status add_consumer(enx_broker *b, const char *model, uint32_t priority,
                               enx_report *report)
{
    char name[ENX_BROKER_SUBJECT_BYTES], filter[ENX_BROKER_SUBJECT_BYTES],
        work[ENX_BROKER_SUBJECT_BYTES];
    jsConsumerConfig config;
    jsErrCode        code = 0;
    jsConsumerConfig_Init(&config);
    name_consumer(name, model, priority);
    snprintf(filter, sizeof filter, "enx.%s.work.%s.%u.*", b->swarm, model, priority);
    snprintf(work, sizeof work, "ENX-%s-work", b->swarm);
    config.Durable = name;
    config.AckPolicy = js_AckExplicit;
    config.AckWait = (int64_t)b->lease_us * NS_PER_US;
    config.FilterSubject = filter;
    config.MaxAckPending = PENDING_MESSAGES;
    config.MaxWaiting = 1 << 14;
    const natsStatus s = js_AddConsumer(NULL, b->js, work, &config, NULL, &code);
    if (s == NATS_OK || code == JSConsumerNameExistErr) return ENX_OK;
    jsConsumerInfo *info = NULL; /* there already, with another lease */
    if (js_GetConsumerInfo(&info, b->js, work, name, NULL, NULL) != NATS_OK)
        return fail_api(s, filter, report);
    jsConsumerInfo_Destroy(info);
    return ENX_OK;
}

enx_status enx_broker_want(enx_broker *b, const char *model, uint32_t priority, uint32_t *index,
                           enx_report *report)
{
    char name[ENX_BROKER_SUBJECT_BYTES];
    if (b->want_count == ENX_BROKER_WANTS_MAX)
        return ENX_FAIL(report, LIMIT, "a worker takes the calls of at most %d models",
                        ENX_BROKER_WANTS_MAX / ENX_BROKER_PRIORITIES);
    ENX_TRY(add_consumer(b, model, priority, report));
    want *w = &b->wants[b->want_count];
    name_consumer(name, model, priority);
    pthread_mutex_lock(&b->lock); /* on_found looks at all of them */
    *w = (want){ .broker = b, .index = b->want_count };
    pthread_mutex_unlock(&b->lock);
    snprintf(w->next, sizeof w->next, "$JS.API.CONSUMER.MSG.NEXT.ENX-%s-work.%.100s", b->swarm,
             name);
    natsStatus s = natsInbox_Create(&w->inbox);
    if (s == NATS_OK)
        s = natsConnection_Subscribe(&w->subscription, b->connection, w->inbox, on_work, w);
    if (s != NATS_OK) {
        natsInbox_Destroy(w->inbox);
        return fail_api(s, "a subscription", report);
    }
    *index = b->want_count++;
    return ENX_OK;
}

void enx_broker_want_none(enx_broker *b)
{
    for (; b->want_count > 0; b->want_count--) {
        want *w = &b->wants[b->want_count - 1];
        end_subscription(w->subscription);
        natsInbox_Destroy(w->inbox);
    }
}

enx_status enx_broker_pull(enx_broker *b, uint32_t index, uint32_t count, uint64_t expires_us,
                           enx_report *report)
{
    ENX_CHECK(index < b->want_count && count > 0);
    want     *w = &b->wants[index];
    char      question[100];
    const int size = snprintf(question, sizeof question, "{\"batch\":%u,\"expires\":%" PRIu64 "}",
                              count, expires_us * NS_PER_US);
    pthread_mutex_lock(&b->lock);
    w->pending = count;
    w->until_us = enx_clock_monotonic_us() + expires_us;
    pthread_mutex_unlock(&b->lock);
    const natsStatus s =
        natsConnection_PublishRequest(b->connection, w->next, w->inbox, question, size);
    return s == NATS_OK ? ENX_OK : fail_api(s, "asking for calls", report);
}

uint32_t enx_broker_pending(const enx_broker *b, uint32_t index, uint64_t now_us)
{
    enum { GRACE_US = 500000 }; /* the broker's word that a question is over may be lost */
    ENX_CHECK(index < b->want_count);
    const want *w = &b->wants[index];
    pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&b->lock);
    const uint32_t pending = now_us < w->until_us + GRACE_US ? w->pending : 0;
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&b->lock);
    return pending;
}

void enx_broker_settle(enx_broker *b, const char *handle, enx_broker_answer answer)
{
    static const char *const words[] = { [ENX_BROKER_DONE] = "+ACK",
                                         [ENX_BROKER_WORKING] = "+WPI",
                                         [ENX_BROKER_BACK] = "-NAK",
                                         [ENX_BROKER_DROP] = "+TERM" };
    /* One that does not arrive lets the lease end, and the call is answered twice: the lead takes
     * one report of a call, whichever comes first. */
    natsConnection_PublishString(b->connection, handle, words[answer]);
}

enx_status enx_broker_hear_cancels(enx_broker *b, enx_report *report)
{
    char subject[ENX_BROKER_SUBJECT_BYTES];
    if (b->cancels) return ENX_OK;
    snprintf(subject, sizeof subject, "enx.%s.cancel.*", b->swarm);
    const natsStatus s =
        natsConnection_Subscribe(&b->cancels, b->connection, subject, on_cancel, b);
    return s == NATS_OK ? ENX_OK : fail_api(s, subject, report);
}

/* ---- Leading -------------------------------------------------------------------------------- */

/* Everything that was stored is in the list. */
static enx_status wait_for_stored(enx_broker *b, uint64_t until_us, enx_report *report)
{
    while (enx_clock_monotonic_us() < until_us) {
        jsConsumerInfo  *info = NULL;
        const natsStatus s = natsSubscription_GetConsumerInfo(&info, b->reports, NULL, NULL);
        if (s != NATS_OK) return fail_api(s, "reports of an earlier run", report);
        const bool     is_sent = info->NumPending == 0;
        const uint64_t sent = info->Delivered.Consumer;
        jsConsumerInfo_Destroy(info);
        pthread_mutex_lock(&b->lock);
        const bool is_here = is_sent && b->report_count >= sent;
        pthread_mutex_unlock(&b->lock);
        if (is_here) return ENX_OK;
        usleep(1000);
    }
    return ENX_FAIL(report, IO, "the broker keeps reports of this job, and they do not come");
}

static enx_status hear(enx_broker *b, uint64_t salt, uint64_t until_us, enx_report *report)
{
    char         subject[ENX_BROKER_SUBJECT_BYTES], done[ENX_BROKER_SUBJECT_BYTES];
    jsSubOptions o;
    jsErrCode    code = 0;
    pthread_mutex_lock(&b->lock);
    b->report_count = 0;
    pthread_mutex_unlock(&b->lock);
    jsSubOptions_Init(&o);
    snprintf(subject, sizeof subject, "enx.%s.done.*.%016" PRIx64 ".*", b->swarm, salt);
    snprintf(done, sizeof done, "ENX-%s-done", b->swarm);
    o.Stream = done;
    o.Ordered = true;
    const natsStatus s = js_Subscribe(&b->reports, b->js, subject, on_report, b, NULL, &o, &code);
    if (s != NATS_OK) return fail_api(s, subject, report);
    return wait_for_stored(b, until_us, report);
}

enx_status enx_broker_hear_reports(enx_broker *b, uint64_t salt, enx_report *report)
{
    const uint64_t until_us = enx_clock_monotonic_us() + REPLAY_US;
    ENX_CHECK(!b->reports);
    for (;;) { /* a broker that dies meanwhile comes back */
        const enx_status status = hear(b, salt, until_us, report);
        if (status == ENX_OK || enx_clock_monotonic_us() >= until_us) return status;
        end_subscription(b->reports);
        b->reports = NULL;
        usleep(RETRY_US);
    }
}

void enx_broker_forget_calls(enx_broker *b, uint64_t salt)
{
    char      work[ENX_BROKER_SUBJECT_BYTES], subject[ENX_BROKER_SUBJECT_BYTES];
    jsOptions o;
    jsOptions_Init(&o);
    snprintf(work, sizeof work, "ENX-%s-work", b->swarm);
    snprintf(subject, sizeof subject, "enx.%s.work.*.*.%016" PRIx64, b->swarm, salt);
    o.Stream.Purge.Subject = subject;
    js_PurgeStream(b->js, work, &o, NULL); /* what stays costs somebody some work, and no more */
}

/* Is it asked in vain?  *given counts what it gave out so far. */
static natsStatus look_at(enx_broker *b, const char *consumer, uint64_t *given, bool *is_idle,
                          uint64_t *lease_us)
{
    char            work[ENX_BROKER_SUBJECT_BYTES];
    jsConsumerInfo *info = NULL;
    snprintf(work, sizeof work, "ENX-%s-work", b->swarm);
    const natsStatus s = js_GetConsumerInfo(&info, b->js, work, consumer, NULL, NULL);
    if (s != NATS_OK) return s;
    *given = info->Delivered.Consumer;
    *lease_us = (uint64_t)(info->Config->AckWait / NS_PER_US);
    *is_idle = info->NumWaiting > 0 && (info->NumPending > 0 || info->NumRedelivered > 0);
    jsConsumerInfo_Destroy(info);
    return NATS_OK;
}

enx_status enx_broker_revive(enx_broker *b, const char *model, enx_broker_look *look, bool *is_anew,
                             enx_report *report)
{
    char work[ENX_BROKER_SUBJECT_BYTES];
    snprintf(work, sizeof work, "ENX-%s-work", b->swarm);
    *is_anew = false;
    for (uint32_t priority = 0; priority < ENX_BROKER_PRIORITIES; priority++) {
        char     name[ENX_BROKER_SUBJECT_BYTES];
        uint64_t given = 0;
        bool     is_idle = false;
        name_consumer(name, model, priority);
        const natsStatus s = look_at(b, name, &given, &is_idle, &look->lease_us);
        if (s != NATS_OK && s != NATS_NOT_FOUND) return fail_api(s, name, report);
        const bool was_idle = look->is_idle[priority] && look->given[priority] == given;
        look->given[priority] = given;
        look->is_idle[priority] = is_idle && !was_idle;
        if (!is_idle || !was_idle) continue;
        js_DeleteConsumer(b->js, work, name, NULL, NULL);
        ENX_TRY(add_consumer(b, model, priority, report));
        *is_anew = true;
    }
    return ENX_OK;
}

/* ---- Words that stay ------------------------------------------------------------------------ */

/* The subjects under one; destroyed by the caller. */
static enx_status list_words(enx_broker *b, const char *suffix, const char *subject,
                             char name[ENX_BROKER_SUBJECT_BYTES], jsStreamInfo **info,
                             enx_report *report)
{
    char      filter[ENX_BROKER_SUBJECT_BYTES];
    jsOptions o;
    jsOptions_Init(&o);
    snprintf(name, ENX_BROKER_SUBJECT_BYTES, "ENX-%s-%s", b->swarm, suffix);
    snprintf(filter, sizeof filter, "enx.%s.%s", b->swarm, subject);
    o.Stream.Info.SubjectsFilter = filter;
    const natsStatus s = js_GetStreamInfo(info, b->js, name, &o, NULL);
    return s == NATS_OK ? ENX_OK : fail_api(s, name, report);
}

enx_status enx_broker_count_words(enx_broker *b, const char *suffix, const char *subject,
                                  uint32_t *count, enx_report *report)
{
    char          name[ENX_BROKER_SUBJECT_BYTES];
    jsStreamInfo *info = NULL;
    ENX_TRY(list_words(b, suffix, subject, name, &info, report));
    *count = info->State.Subjects ? (uint32_t)info->State.Subjects->Count : 0;
    jsStreamInfo_Destroy(info);
    return ENX_OK;
}

enx_status enx_broker_words(enx_broker *b, const char *suffix, const char *subject,
                            enx_broker_word_fn fn, void *user, enx_report *report)
{
    char          name[ENX_BROKER_SUBJECT_BYTES];
    jsStreamInfo *info = NULL;
    ENX_TRY(list_words(b, suffix, subject, name, &info, report));
    const jsStreamStateSubjects *list = info->State.Subjects;
    for (int i = 0; list && i < list->Count; i++) {
        natsMsg         *message = NULL;
        jsErrCode        code = 0;
        const natsStatus s =
            js_GetLastMsg(&message, b->js, name, list->List[i].Subject, NULL, &code);
        if (s == NATS_OK)
            fn(user, natsMsg_GetSubject(message), natsMsg_GetData(message),
               (size_t)natsMsg_GetDataLength(message));
        natsMsg_Destroy(message); /* one that is gone meanwhile has nothing to say */
    }
    jsStreamInfo_Destroy(info);
    return ENX_OK;
}

enx_status enx_broker_keep(enx_broker *b, const char *subject, const char *bytes, size_t size_bytes,
                           enx_report *report)
{
    const natsStatus s = js_Publish(NULL, b->js, subject, bytes, (int)size_bytes, NULL, NULL);
    return s == NATS_OK ? ENX_OK : fail_api(s, subject, report);
}

enx_status enx_broker_depth(enx_broker *b, const char *model, uint64_t *waiting, uint64_t *running,
                            enx_report *report)
{
    char work[ENX_BROKER_SUBJECT_BYTES];
    snprintf(work, sizeof work, "ENX-%s-work", b->swarm);
    *waiting = *running = 0;
    for (uint32_t priority = 0; priority < ENX_BROKER_PRIORITIES; priority++) {
        char            name[ENX_BROKER_SUBJECT_BYTES];
        jsConsumerInfo *info = NULL;
        jsErrCode       code = 0;
        name_consumer(name, model, priority);
        const natsStatus s = js_GetConsumerInfo(&info, b->js, work, name, NULL, &code);
        if (s == NATS_NOT_FOUND) continue; /* nobody ever took such calls */
        if (s != NATS_OK) return fail_api(s, name, report);
        *waiting += info->NumPending;
        *running += (uint64_t)info->NumAckPending;
        jsConsumerInfo_Destroy(info);
    }
    return ENX_OK;
}

/* ---- Objects -------------------------------------------------------------------------------- */

/* The layout of NATS object stores: chunks under a name of their own, then a description with size
 * and digest, which replaces an older one. */

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode64(char *out, const unsigned char *bytes, size_t size_bytes)
{
    size_t i = 0;
    for (; i < size_bytes; i += 3) {
        const size_t   left = size_bytes - i;
        const uint32_t word = (uint32_t)bytes[i] << 16 |
                              (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                              (left > 2 ? bytes[i + 2] : 0);
        for (int k = 0; k < 4; k++)
            *out++ = k <= (int)left ? base64url[word >> (18 - 6 * k) & 63] : '=';
    }
    *out = '\0';
}

/* "SHA-256=" and the digest, in base 64. */
static enx_status describe_digest(char out[64], const void *bytes, size_t size_bytes,
                                  enx_report *report)
{
    char          hex[ENX_DIGEST_TEXT];
    unsigned char raw[32];
    ENX_TRY(enx_digest(hex, bytes, size_bytes, report));
    for (int i = 0; i < 32; i++) {
        const char two[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
        raw[i] = (unsigned char)strtoul(two, NULL, 16);
    }
    memcpy(out, "SHA-256=", 9);
    encode64(out + 8, raw, sizeof raw);
    return ENX_OK;
}

static void name_object(const enx_broker *b, char out[ENX_BROKER_SUBJECT_BYTES], const char *name)
{
    char encoded[200];
    ENX_CHECK(strlen(name) < OBJECT_NAME_BYTES);
    encode64(encoded, (const unsigned char *)name, strlen(name));
    snprintf(out, ENX_BROKER_SUBJECT_BYTES, "$O.ENX-%s.M.%.180s", b->swarm, encoded);
}

/* Its description, or NULL. */
static json_t *find_object(enx_broker *b, const char *name)
{
    char      subject[ENX_BROKER_SUBJECT_BYTES], stream_name[ENX_BROKER_SUBJECT_BYTES];
    natsMsg  *message = NULL;
    jsErrCode code = 0;
    name_object(b, subject, name);
    snprintf(stream_name, sizeof stream_name, "OBJ_ENX-%s", b->swarm);
    if (js_GetLastMsg(&message, b->js, stream_name, subject, NULL, &code) != NATS_OK) return NULL;
    json_t *out =
        json_loadb(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message), 0, NULL);
    natsMsg_Destroy(message);
    return out;
}

bool enx_broker_has_object(enx_broker *b, const char *name)
{
    json_t    *found = find_object(b, name);
    const bool is_there = found && !json_is_true(json_object_get(found, "deleted"));
    json_decref(found);
    return is_there;
}

static natsStatus publish_meta(enx_broker *b, const char *subject, const char *text)
{
    natsMsg   *message = NULL;
    natsStatus s = natsMsg_Create(&message, subject, NULL, text, (int)strlen(text));
    if (s == NATS_OK) s = natsMsgHeader_Set(message, "Nats-Rollup", "sub");
    if (s == NATS_OK) s = js_PublishMsg(NULL, b->js, message, NULL, NULL);
    natsMsg_Destroy(message);
    return s;
}

enx_status enx_broker_put_object(enx_broker *b, const char *name, const void *bytes,
                                 size_t size_bytes, enx_report *report)
{
    char     subject[ENX_BROKER_SUBJECT_BYTES], digest[64], bucket[ENX_WIRE_NAME_BYTES + 8];
    char     id[2 * sizeof(uint64_t) + 1];
    uint64_t chance = 0;
    uint32_t chunks = 0;
    ENX_TRY(describe_digest(digest, bytes, size_bytes, report));
    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        return ENX_FAIL(report, IO, "the system has no random numbers");
    snprintf(id, sizeof id, "%016" PRIx64, chance);
    snprintf(subject, sizeof subject, "$O.ENX-%s.C.%s", b->swarm, id);
    for (size_t at = 0; at < size_bytes; at += CHUNK_BYTES, chunks++) {
        const size_t     left = size_bytes - at;
        const natsStatus s = js_Publish(NULL, b->js, subject, (const char *)bytes + at,
                                        (int)(left < CHUNK_BYTES ? left : CHUNK_BYTES), NULL, NULL);
        if (s != NATS_OK) return fail_api(s, "storing an object", report);
    }
    snprintf(bucket, sizeof bucket, "ENX-%s", b->swarm);
    json_t *meta =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:s}", "name", name, "bucket", bucket, "nuid", id,
                  "size", (json_int_t)size_bytes, "chunks", (json_int_t)chunks, "digest", digest);
    enx_buf text;
    enx_buf_init(&text, ENX_BROKER_WORD_BYTES_MAX);
    const enx_status status = enx_api_json_append(&text, meta, report);
    name_object(b, subject, name);
    const natsStatus s = status == ENX_OK ? publish_meta(b, subject, enx_buf_text(&text)) : NATS_OK;
    enx_buf_deinit(&text);
    if (s != NATS_OK) return fail_api(s, "storing an object", report);
    return status;
}

static enx_status read_chunks(enx_broker *b, const char *id, uint64_t size_bytes, enx_buf *out,
                              enx_report *report)
{
    char              subject[ENX_BROKER_SUBJECT_BYTES], name[ENX_BROKER_SUBJECT_BYTES];
    natsSubscription *subscription = NULL;
    jsSubOptions      o;
    const size_t      start = out->size_bytes;
    enx_status        status = ENX_OK;
    jsSubOptions_Init(&o);
    snprintf(subject, sizeof subject, "$O.ENX-%s.C.%.60s", b->swarm, id);
    snprintf(name, sizeof name, "OBJ_ENX-%s", b->swarm);
    o.Stream = name;
    o.Ordered = true;
    natsStatus s = js_SubscribeSync(&subscription, b->js, subject, NULL, &o, NULL);
    while (s == NATS_OK && status == ENX_OK && out->size_bytes - start < size_bytes) {
        natsMsg *message = NULL;
        s = natsSubscription_NextMsg(&message, subscription, API_MS);
        if (s == NATS_OK)
            status = enx_buf_append(out, natsMsg_GetData(message),
                                    (size_t)natsMsg_GetDataLength(message));
        natsMsg_Destroy(message);
    }
    end_subscription(subscription);
    if (s != NATS_OK) return fail_api(s, "reading an object", report);
    return status == ENX_OK ? ENX_OK : ENX_FAIL(report, LIMIT, "an object is too large");
}

enx_status enx_broker_get_object(enx_broker *b, const char *name, enx_buf *out, enx_report *report)
{
    char        digest[64];
    json_t     *meta = find_object(b, name);
    const char *id = NULL, *expected = NULL;
    json_int_t  size = 0;
    if (!meta || json_unpack(meta, "{s:s, s:I, s:s}", "nuid", &id, "size", &size, "digest",
                             &expected) != 0) {
        json_decref(meta);
        return ENX_FAIL(report, NOTFOUND, "the broker has no object %s", name);
    }
    const size_t start = out->size_bytes;
    enx_status   status = ENX_OK;
    if (size < 0 || (uint64_t)size > out->max_bytes - start)
        status = ENX_FAIL(report, LIMIT, "the object %s has %lld bytes, at most %zu are taken",
                          name, (long long)size, out->max_bytes - start);
    if (status == ENX_OK) status = read_chunks(b, id, (uint64_t)size, out, report);
    if (status == ENX_OK)
        status =
            describe_digest(digest, enx_buf_text(out) + start, out->size_bytes - start, report);
    if (status == ENX_OK && strcmp(digest, expected) != 0)
        status = ENX_FAIL(report, FORMAT, "the object %s is damaged: its digest is another", name);
    json_decref(meta);
    return status;
}
