/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - calls that travel, and the reports that come back. */
#include "backend/queue.h"

#include "backend/api_json.h"
#include "backend/asking.h"
#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS_FIRST = 1024,
    MODELS_MAX = ENX_ROSTER_MODELS_MAX,
    SENTENCE_BYTES = ENX_REPORT_TEXT_MAX + 200,
    ID_BYTES = 80,
    EARLY_BYTES_MAX = 256 << 20,
    ANSWER_BYTES_PER_TOKEN = 256,
    BUNDLE_WORK_US = 5000, /* a worker has this much to do with one message */
    BUNDLE_LEARN = 16,     /* reports of a model before its calls are bundled */
    LOOK_US = 3000000,     /* nothing came for so long: the broker is looked at, and then */
    LEASES_A_LOOK = 3,     /* so often */
};

static const char barred_word[] = "barred";

typedef enum call_state {
    CALL_EARLY,  /* its report was there before it */
    CALL_HELD,   /* not sent yet */
    CALL_FLYING, /* somewhere between here and a worker's report */
    CALL_OVER,   /* its report was handed over */
} call_state;

typedef struct queue_call {
    struct queue_call *next;        /* in its bucket */
    struct queue_call *next_listed; /* in `held` or `ready` */
    struct queue_call *head; /* of the bundle it travels in, until that is stored; then itself */
    struct queue_call *next_bundled;
    uint64_t           id;
    uint64_t           sent_us; /* the last time */
    call_state         state;
    bool               is_stored;
    uint32_t           model, item;
    uint32_t           sends; /* as another message: not what a lost confirmation repeats */
    uint32_t           tokens_in_max, tokens_out_max;
    char              *bytes; /* the message; owned */
    size_t             size_bytes;
    char              *early; /* subject, zero byte, and the report that was there; owned */
    size_t             early_bytes;
} queue_call;

typedef struct call_list {
    queue_call *first, *last;
} call_list;

typedef struct queue_model {
    const char     *name;
    char            digest[ENX_DIGEST_TEXT];
    uint64_t        reports;
    double          work_us;      /* of a call at a worker, a moving average */
    queue_call     *first, *last; /* calls that will travel as one */
    uint32_t        bundle_count;
    size_t          bundle_bytes;
    enx_broker_look look;
    uint64_t        look_us;
} queue_model;

struct enx_queue {
    enx_broker       *broker;
    enx_queue_options options;
    queue_model       models[MODELS_MAX];
    uint32_t          model_count;
    uint64_t          salt;
    queue_call      **buckets; /* [bucket_count], a power of two */
    uint32_t          bucket_count, call_count;
    uint32_t          flight;
    size_t            early_bytes;
    call_list         held;  /* until release */
    call_list         ready; /* their reports were there before them */
    bool              is_holding;
    const enx_class  *offered; /* the last class whose words were offered, and its digest */
    char              offered_digest[ENX_DIGEST_TEXT];
    enx_members       members;
    uint16_t         *answered_by; /* [answered_count] by item: 1 + index of a member; 0: nobody */
    uint32_t          answered_count;
    uint64_t          resend_us; /* when to look for what was not confirmed */
    uint64_t          look_us;   /* when to look whether the broker gives out what it has */
    enx_buf           texts, scratch;
    enx_queue_report_fn fn; /* of the poll under way */
    void               *user;
    size_t              handed;
};

static void warn(const enx_queue *q, const char *format, ...) ENX_PRINTF(2, 3);

static void warn(const enx_queue *q, const char *format, ...)
{
    char    sentence[SENTENCE_BYTES];
    va_list args;
    if (!q->options.warn) return;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    q->options.warn(q->options.user, sentence);
}

/* ---- Opening -------------------------------------------------------------------------------- */

/* Workers that lack the file take it from the broker, and learn that it is wanted. */
static enx_status offer_model(enx_queue *q, const enx_queue_model *m, const char *digest,
                              enx_report *report)
{
    char subject[ENX_BROKER_SUBJECT_BYTES], name[ENX_BROKER_SUBJECT_BYTES];
    snprintf(name, sizeof name, "%s.gguf", digest);
    if (q->options.shares_models && !enx_broker_has_object(q->broker, name))
        ENX_TRY(enx_broker_put_object(q->broker, name, m->bytes, m->size_bytes, report));
    json_t *tags = json_array();
    for (uint32_t i = 0; i < m->language_count; i++)
        json_array_append_new(tags, json_string(m->languages[i]));
    json_t *word = json_pack("{s:s, s:o}", "name", m->name, "specialty", tags);
    enx_buf text;
    enx_buf_init(&text, ENX_BROKER_WORD_BYTES_MAX);
    snprintf(subject, sizeof subject, "enx.%s.model.%s", enx_broker_swarm(q->broker), digest);
    enx_status status = enx_api_json_append(&text, word, report);
    if (status == ENX_OK)
        status = enx_broker_keep(q->broker, subject, enx_buf_text(&text), text.size_bytes, report);
    enx_buf_deinit(&text);
    return status;
}

static enx_status add_models(enx_queue *q, const enx_queue_model *models, uint32_t count,
                             enx_report *report)
{
    if (count > MODELS_MAX)
        return ENX_FAIL(report, LIMIT, "at most %d models go over a queue", MODELS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        queue_model *m = &q->models[q->model_count++];
        m->name = models[i].name;
        ENX_TRY(enx_digest(m->digest, models[i].bytes, models[i].size_bytes, report));
        ENX_TRY(offer_model(q, &models[i], m->digest, report));
    }
    return ENX_OK;
}

/* Who was barred in an earlier job stays so. */
static void take_barred(void *user, const char *subject, const char *bytes, size_t size_bytes)
{
    enx_queue  *q = user;
    const char *name = strrchr(subject, '.') + 1;
    enx_member *m = enx_wire_is_name(name) ? enx_members_find(&q->members, name) : NULL;
    if (!m) return;
    const bool is_barred =
        size_bytes == strlen(barred_word) && !memcmp(bytes, barred_word, size_bytes);
    m->state = is_barred ? ENX_MEMBER_BARRED : ENX_MEMBER_ON_TRIAL;
}

enx_status enx_queue_open(enx_queue **out, enx_broker *broker, const enx_queue_model *models,
                          uint32_t model_count, const enx_queue_options *options,
                          enx_report *report)
{
    ENX_CHECK(out && broker && options);
    enx_queue *q = ENX_MEM_NEW(enx_queue, 1);
    if (!q) return ENX_FAIL(report, NOMEM, "no memory for a queue");
    q->broker = broker;
    q->options = *options;
    q->resend_us = UINT64_MAX;
    enx_buf_init(&q->texts, 2 * ENX_WIRE_TEXT_BYTES_MAX);
    enx_buf_init(&q->scratch, 2 * ENX_WIRE_TEXT_BYTES_MAX);
    q->buckets = enx_mem_new(BUCKETS_FIRST, sizeof *q->buckets);
    q->bucket_count = q->buckets ? BUCKETS_FIRST : 0;
    enx_status status =
        q->buckets ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for a queue's calls");
    if (status == ENX_OK) status = add_models(q, models, model_count, report);
    if (status == ENX_OK)
        status = enx_broker_words(broker, "model", "barred.>", take_barred, q, report);
    if (status != ENX_OK) {
        enx_queue_close(&q);
        return status;
    }
    *out = q;
    return ENX_OK;
}

void enx_queue_close(enx_queue **queue)
{
    enx_queue *q = *queue;
    if (!q) return;
    if (q->flight == 0 && q->salt) enx_broker_forget_calls(q->broker, q->salt);
    for (uint32_t i = 0; i < q->bucket_count; i++)
        for (queue_call *c = q->buckets[i], *next; c; c = next) {
            next = c->next;
            enx_mem_free(c->early);
            enx_mem_free(c->bytes);
            enx_mem_free(c);
        }
    enx_members_deinit(&q->members);
    enx_mem_free(q->answered_by);
    enx_mem_free(q->buckets);
    enx_buf_deinit(&q->texts);
    enx_buf_deinit(&q->scratch);
    enx_mem_free(q);
    *queue = NULL;
}

/* ---- The table of calls --------------------------------------------------------------------- */

static queue_call **bucket_of(const enx_queue *q, uint64_t id)
{
    return &q->buckets[(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (q->bucket_count - 1)];
}

static queue_call *find_call(const enx_queue *q, uint64_t id)
{
    queue_call *c = *bucket_of(q, id);
    while (c && c->id != id) c = c->next;
    return c;
}

/* Twice as many buckets; without memory the old ones do. */
static void spread(enx_queue *q)
{
    enx_queue old = *q;
    q->buckets = enx_mem_new(2 * (size_t)old.bucket_count, sizeof *q->buckets);
    if (!q->buckets) {
        q->buckets = old.buckets;
        return;
    }
    q->bucket_count = 2 * old.bucket_count;
    for (uint32_t i = 0; i < old.bucket_count; i++)
        for (queue_call *c = old.buckets[i], *next; c; c = next) {
            queue_call **bucket = bucket_of(q, c->id);
            next = c->next;
            c->next = *bucket;
            *bucket = c;
        }
    enx_mem_free(old.buckets);
}

static queue_call *add_call(enx_queue *q, uint64_t id, call_state state)
{
    queue_call *c = ENX_MEM_NEW(queue_call, 1);
    if (!c) return NULL;
    if (q->call_count >= q->bucket_count) spread(q);
    queue_call **bucket = bucket_of(q, id);
    *c = (queue_call){ .next = *bucket, .head = c, .id = id, .state = state };
    *bucket = c;
    q->call_count++;
    return c;
}

static void list_push(call_list *list, queue_call *c)
{
    c->next_listed = NULL;
    if (list->last) list->last->next_listed = c;
    else list->first = c;
    list->last = c;
}

static queue_call *list_pop(call_list *list)
{
    queue_call *c = list->first;
    if (!c) return NULL;
    list->first = c->next_listed;
    if (!list->first) list->last = NULL;
    return c;
}

static void end_call(enx_queue *q, queue_call *c)
{
    c->state = CALL_OVER;
    enx_mem_free(c->bytes);
    c->bytes = NULL;
    c->size_bytes = 0;
    q->flight--;
}

/* ---- Sending -------------------------------------------------------------------------------- */

/* The calls of a bundle that nobody answered yet, from its head on, as one message. */
static enx_status pack(enx_buf *out, const queue_call *head)
{
    enx_wire_part parts[ENX_WIRE_BUNDLE_MAX];
    uint32_t      count = 0;
    for (const queue_call *c = head; c; c = c->next_bundled)
        if (c->state == CALL_FLYING)
            parts[count++] = (enx_wire_part){ .bytes = c->bytes, .size_bytes = c->size_bytes };
    enx_buf_clear(out);
    return enx_wire_bundle_write(out, parts, count);
}

/* The broker stores the first message of this id.  What it does not confirm is sent again, so a
 * failure here is none. */
static void send_bundle(enx_queue *q, queue_call *head)
{
    char           subject[ENX_BROKER_SUBJECT_BYTES], id[ID_BYTES];
    const uint32_t priority = head->sends > 0 ? 0 : 1; /* who waits already goes first */
    snprintf(subject, sizeof subject, "enx.%s.work.%s.%u.%016" PRIx64, enx_broker_swarm(q->broker),
             q->models[head->model].digest, priority, q->salt);
    snprintf(id, sizeof id, "call-%016" PRIx64 "-%" PRIx64 "-%u", q->salt, head->id, head->sends);
    head->sent_us = enx_clock_monotonic_us();
    if (q->resend_us == UINT64_MAX) q->resend_us = head->sent_us + ENX_QUEUE_RESEND_US;
    if (!head->next_bundled)
        (void)!enx_broker_put(q->broker, subject, id, head->id, head->bytes, head->size_bytes,
                              NULL);
    else if (pack(&q->scratch, head) == ENX_OK)
        (void)!enx_broker_put(q->broker, subject, id, head->id, q->scratch.data,
                              q->scratch.size_bytes, NULL);
}

/* The broker has it: each call is on its own again. */
static void mark_stored(queue_call *head)
{
    for (queue_call *c = head, *next; c; c = next) {
        next = c->next_bundled;
        c->is_stored = true;
        c->head = c;
        c->next_bundled = NULL;
    }
}

/* For somebody else: another message, as the first one counts as done. */
static void send_anew(enx_queue *q, queue_call *c)
{
    mark_stored(c->head);
    if (c->sends == ENX_QUEUE_SENDS_MAX) return; /* the swarm's deadline ends it */
    c->sends++;
    c->is_stored = false;
    send_bundle(q, c);
}

/* As many calls travel as one as keep a worker busy for a few milliseconds.  Where one takes longer
 * it travels alone, so that none waits for another while a machine is idle. */
static uint32_t bundle_max(const queue_model *m)
{
    if (m->reports < BUNDLE_LEARN) return 1;
    const double count = BUNDLE_WORK_US / (m->work_us + 1);
    return count < 1 ? 1 : count > ENX_WIRE_BUNDLE_MAX ? ENX_WIRE_BUNDLE_MAX : (uint32_t)count;
}

static void send_gathered(enx_queue *q, queue_model *m)
{
    if (m->first) send_bundle(q, m->first);
    m->first = m->last = NULL;
    m->bundle_count = 0;
    m->bundle_bytes = 0;
}

static void gather(enx_queue *q, queue_call *c)
{
    queue_model *m = &q->models[c->model];
    if (m->bundle_bytes + c->size_bytes > ENX_WIRE_BUNDLE_BYTES) send_gathered(q, m);
    if (m->last) m->last->next_bundled = c;
    else m->first = c;
    m->last = c;
    c->head = m->first;
    c->state = CALL_FLYING;
    m->bundle_bytes += c->size_bytes;
    if (++m->bundle_count >= bundle_max(m)) send_gathered(q, m);
}

/* The words of a class travel once, as an object that its digest names. */
static enx_status offer_class(enx_queue *q, const enx_class *task_class, enx_report *report)
{
    char    name[ENX_DIGEST_TEXT + 8];
    enx_buf words;
    if (task_class == q->offered) return ENX_OK;
    enx_buf_init(&words, ENX_BROKER_OBJECT_BYTES_MAX);
    enx_status status = enx_wire_class_write(&words, task_class);
    if (status == ENX_INVALID)
        status =
            ENX_FAIL(report, INVALID, "class \"%s\": an example is not UTF-8", task_class->name);
    if (status == ENX_OK)
        status = enx_digest(q->offered_digest, words.data, words.size_bytes, report);
    snprintf(name, sizeof name, "class-%s", q->offered_digest);
    if (status == ENX_OK && !enx_broker_has_object(q->broker, name))
        status = enx_broker_put_object(q->broker, name, words.data, words.size_bytes, report);
    enx_buf_deinit(&words);
    q->offered = status == ENX_OK ? task_class : NULL;
    return status;
}

static enx_status write_message(enx_queue *q, uint32_t model, const enx_call *call,
                                uint64_t within_us, queue_call *c, enx_report *report)
{
    enx_wire_call wire = { .salt = q->salt, .within_us = within_us, .call = *call };
    memcpy(wire.model, q->models[model].digest, sizeof wire.model);
    if (enx_form_is(call)) {
        ENX_TRY(offer_class(q, call->task_class, report));
        memcpy(wire.task_class, q->offered_digest, sizeof wire.task_class);
    }
    enx_buf_clear(&q->scratch);
    const enx_status status = enx_wire_call_write(&q->scratch, &wire);
    if (status == ENX_INVALID)
        return ENX_FAIL(report, INVALID,
                        "\"%s\" and \"%s\" cannot go over a queue: a space is in one", call->what,
                        call->language);
    c->bytes = status == ENX_OK ? ENX_MEM_NEW(char, q->scratch.size_bytes) : NULL;
    if (!c->bytes) return ENX_FAIL(report, NOMEM, "no memory for a call's message");
    c->size_bytes = q->scratch.size_bytes;
    memcpy(c->bytes, q->scratch.data, c->size_bytes);
    return ENX_OK;
}

enx_status enx_queue_generate(enx_queue *q, uint32_t model, const enx_call *call,
                              uint64_t within_us, enx_report *report)
{
    ENX_CHECK(model < q->model_count);
    queue_call *c = find_call(q, call->call_id);
    ENX_CHECK(!c || c->state == CALL_EARLY);
    if (!c) c = add_call(q, call->call_id, CALL_HELD);
    if (!c) return ENX_FAIL(report, NOMEM, "no memory for a call");
    c->model = model;
    c->item = call->item;
    c->tokens_in_max = call->max_tokens_in;
    c->tokens_out_max = call->max_tokens_out;
    q->flight++;
    const enx_status status = write_message(q, model, call, within_us, c, report);
    if (status != ENX_OK) {
        end_call(q, c);
        return status;
    }
    list_push(&q->held, c);
    if (!q->is_holding) enx_queue_release(q, true);
    return ENX_OK;
}

void enx_queue_hold(enx_queue *q) { q->is_holding = true; }

void enx_queue_release(enx_queue *q, bool is_kept)
{
    q->is_holding = false;
    for (queue_call *c; (c = list_pop(&q->held)) != NULL;) {
        if (!is_kept) {
            end_call(q, c);
        } else if (c->state == CALL_EARLY) {
            list_push(&q->ready, c);
        } else {
            gather(q, c);
        }
    }
    for (uint32_t i = 0; i < q->model_count; i++) send_gathered(q, &q->models[i]);
}

void enx_queue_cancel(enx_queue *q, uint64_t call_id)
{
    char              subject[ENX_BROKER_SUBJECT_BYTES], text[40];
    const queue_call *c = find_call(q, call_id);
    if (!c || c->state != CALL_FLYING) return;
    snprintf(subject, sizeof subject, "enx.%s.cancel.%016" PRIx64, enx_broker_swarm(q->broker),
             q->salt);
    const int size = snprintf(text, sizeof text, "%" PRIu64, call_id);
    (void)!enx_broker_say(q->broker, subject, text, (size_t)size, NULL); /* a favour */
}

uint32_t enx_queue_flight(const enx_queue *q) { return q->flight; }

/* ---- Reports -------------------------------------------------------------------------------- */

/* Say in the swarm what a member is now. */
static void announce(enx_queue *q, const enx_member *m)
{
    char        subject[ENX_BROKER_SUBJECT_BYTES];
    const char *word = m->state == ENX_MEMBER_BARRED ? barred_word : "trial";
    snprintf(subject, sizeof subject, "enx.%s.barred.%s", enx_broker_swarm(q->broker), m->name);
    (void)!enx_broker_keep(q->broker, subject, word, strlen(word), NULL);
    warn(q, "worker %s is %s: %u of %u audited answers were wrong, %" PRIu64 " reports were faulty",
         m->name, m->state == ENX_MEMBER_BARRED ? "barred" : "on trial", m->wrong, m->labels,
         m->faults);
}

static void blame(enx_queue *q, const char *worker, const char *sentence)
{
    enx_member *m = enx_members_find(&q->members, worker);
    warn(q, "worker %s: %s; the report is not taken", worker, sentence);
    if (m && enx_member_fault(m)) announce(q, m);
}

/* The name in the subject is the one that the broker vouches for, where users may publish under
 * their own name only: "enx.S.done.WORKER.SALT.CALL". */
static bool worker_of(const enx_queue *q, const char *subject, char out[ENX_WIRE_NAME_BYTES])
{
    char      prefix[ENX_BROKER_SUBJECT_BYTES];
    const int size = snprintf(prefix, sizeof prefix, "enx.%s.done.", enx_broker_swarm(q->broker));
    if (strncmp(subject, prefix, (size_t)size) != 0) return false;
    const char  *first = subject + size;
    const size_t length = strcspn(first, ".");
    if (length >= ENX_WIRE_NAME_BYTES) return false;
    memcpy(out, first, length);
    out[length] = '\0';
    return enx_wire_is_name(out);
}

/* NULL: it is what its call may get back. */
static const char *fault_of(const enx_queue *q, const queue_call *c, const enx_wire_report *w)
{
    const enx_usage_count *u = &w->report.usage;
    if (strcmp(w->model, q->models[c->model].digest) != 0) return "another model file answered";
    if (u->tokens_in > c->tokens_in_max || u->tokens_cached > c->tokens_in_max ||
        u->tokens_in + u->tokens_cached > c->tokens_in_max || u->tokens_out > c->tokens_out_max)
        return "it used more tokens than the call had reserved";
    if (w->report.tokens_reasoning > u->tokens_out) return "it thought more than it wrote";
    if (w->report.answer_bytes / ANSWER_BYTES_PER_TOKEN > c->tokens_out_max &&
        w->report.answer_bytes > ENX_REPORT_TEXT_MAX)
        return "the answer is longer than its tokens can be";
    return NULL;
}

static void remember(enx_queue *q, uint32_t item, const enx_member *m)
{
    if (item >= q->answered_count) {
        uint32_t count = q->answered_count ? q->answered_count : BUCKETS_FIRST;
        while (count <= item) count *= 2;
        uint16_t *grown = enx_mem_resize(q->answered_by, q->answered_count * sizeof *grown,
                                         count * sizeof *grown);
        if (!grown) return; /* one label less */
        memset(grown + q->answered_count, 0, (count - q->answered_count) * sizeof *grown);
        q->answered_by = grown;
        q->answered_count = count;
    }
    q->answered_by[item] = (uint16_t)(1 + (m - q->members.items));
}

static void hand_over(enx_queue *q, queue_call *c, const enx_wire_report *w, enx_member *m)
{
    queue_model *model = &q->models[c->model];
    const double work_us = (double)w->report.latency_us;
    model->work_us += (work_us - model->work_us) / (model->reports++ == 0 ? 1 : BUNDLE_LEARN);
    mark_stored(c->head);
    m->reports++;
    remember(q, c->item, m);
    end_call(q, c);
    q->handed++;
    q->fn(q->user, &w->report);
}

/* A report of a call under way, or of one whose report was early. */
static void judge_report(enx_queue *q, queue_call *c, const char *worker, const enx_wire_report *w)
{
    enx_member *m = enx_members_find(&q->members, worker);
    const char *fault = fault_of(q, c, w);
    if (m && m->state != ENX_MEMBER_BARRED && !fault) {
        hand_over(q, c, w, m);
        return;
    }
    if (fault) blame(q, worker, fault);
    send_anew(q, c);
}

static void keep_early(enx_queue *q, uint64_t id, const char *subject, const enx_wire_part *part)
{
    if (q->early_bytes + part->size_bytes > EARLY_BYTES_MAX) return; /* then it is done again */
    const size_t subject_bytes = strlen(subject) + 1;
    queue_call  *c = add_call(q, id, CALL_EARLY);
    if (!c) return;
    c->early = ENX_MEM_NEW(char, subject_bytes + part->size_bytes + 1);
    if (!c->early) return;
    c->early_bytes = subject_bytes + part->size_bytes;
    memcpy(c->early, subject, subject_bytes);
    memcpy(c->early + subject_bytes, part->bytes, part->size_bytes);
    q->early_bytes += c->early_bytes;
}

static void take_report(enx_queue *q, const char *subject, const char *worker,
                        const enx_wire_part *part)
{
    enx_wire_report w;
    enx_report      why = { 0 };
    if (enx_wire_report_read(&w, &q->texts, part->bytes, part->size_bytes, &why) != ENX_OK) {
        blame(q, worker, why.text);
        return;
    }
    if (w.salt != q->salt || strcmp(w.worker, worker) != 0) {
        blame(q, worker, "it is somebody else's, or of another job");
        return;
    }
    queue_call *c = find_call(q, w.report.call_id);
    if (!c) keep_early(q, w.report.call_id, subject, part);
    else if (c->state == CALL_FLYING) judge_report(q, c, worker, &w);
    else if (c->state == CALL_OVER)
        warn(q, "worker %s: a report of call %" PRIu64 " came again; nothing changes", worker,
             c->id);
}

static void on_reports(enx_queue *q, const enx_broker_event *event)
{
    char          worker[ENX_WIRE_NAME_BYTES];
    enx_wire_part parts[ENX_WIRE_BUNDLE_MAX];
    uint32_t      count = 0;
    enx_report    why = { 0 };
    if (!worker_of(q, event->subject, worker)) {
        warn(q, "a report came under %s, which is no worker's subject; it is not taken",
             event->subject);
        return;
    }
    if (enx_wire_bundle_read(parts, &count, event->bytes, event->size_bytes, &why) != ENX_OK) {
        blame(q, worker, why.text);
        return;
    }
    for (uint32_t i = 0; i < count; i++) take_report(q, event->subject, worker, &parts[i]);
}

static void on_event(void *user, const enx_broker_event *event)
{
    enx_queue  *q = user;
    queue_call *c = NULL;
    switch (event->kind) {
    case ENX_BROKER_REPORT:
        on_reports(q, event);
        break;
    case ENX_BROKER_STORED:
        c = find_call(q, event->token);
        if (c) mark_stored(c->head);
        break;
    case ENX_BROKER_FAILED: /* found by the next look at what is not stored */
        warn(q, "the broker did not store a call: %s; it is sent again", event->bytes);
        break;
    case ENX_BROKER_LOST:
        warn(q, "the connection to the broker is lost; it is tried again");
        break;
    case ENX_BROKER_FOUND:
        warn(q, "the broker is there again");
        q->resend_us = 0; /* what it did not confirm before it went may be lost */
        break;
    case ENX_BROKER_WORK:
    case ENX_BROKER_CANCEL:
        break; /* a worker's */
    }
}

/* A report that was there before its call. */
static void take_early(enx_queue *q, queue_call *c)
{
    char            worker[ENX_WIRE_NAME_BYTES];
    enx_wire_report w;
    char           *early = c->early;
    const size_t    subject_bytes = early ? strlen(early) + 1 : 0;
    c->early = NULL;
    c->state = CALL_FLYING;
    q->early_bytes -= c->early_bytes;
    if (early && worker_of(q, early, worker) &&
        enx_wire_report_read(&w, &q->texts, early + subject_bytes, c->early_bytes - subject_bytes,
                             NULL) == ENX_OK)
        judge_report(q, c, worker, &w);
    else send_anew(q, c);
    enx_mem_free(early);
}

static bool is_unconfirmed(const queue_call *head)
{
    for (const queue_call *c = head; c; c = c->next_bundled)
        if (c->state == CALL_FLYING && !c->is_stored) return true;
    return false;
}

static void resend(enx_queue *q)
{
    const uint64_t now_us = enx_clock_monotonic_us();
    const uint64_t age_us = q->resend_us == 0 ? 0 : ENX_QUEUE_RESEND_US;
    if (now_us < q->resend_us) return;
    q->resend_us = UINT64_MAX;
    for (uint32_t i = 0; i < q->bucket_count; i++)
        for (queue_call *c = q->buckets[i]; c; c = c->next) {
            if (c->head != c || !is_unconfirmed(c)) continue;
            if (now_us >= c->sent_us + age_us) send_bundle(q, c);
            q->resend_us = now_us + ENX_QUEUE_RESEND_US;
        }
}

/* Calls are under way, and nothing comes: is the broker still giving them out? */
static void look(enx_queue *q)
{
    const uint64_t now_us = enx_clock_monotonic_us();
    if (q->handed || q->flight == 0) q->look_us = now_us + LOOK_US;
    if (now_us < q->look_us) return;
    q->look_us = now_us + LOOK_US;
    for (queue_model *m = q->models; m < q->models + q->model_count; m++) {
        bool is_anew = false;
        if (m->look.lease_us && m->look_us + LEASES_A_LOOK * m->look.lease_us > now_us) continue;
        m->look_us = now_us;
        if (enx_broker_revive(q->broker, m->digest, &m->look, &is_anew, NULL) == ENX_OK && is_anew)
            warn(q, "the broker gave out no calls of %s though workers asked; now it begins anew",
                 m->name);
    }
}

size_t enx_queue_poll(enx_queue *q, enx_queue_report_fn fn, void *user)
{
    q->fn = fn;
    q->user = user;
    q->handed = 0;
    for (queue_call *c; (c = list_pop(&q->ready)) != NULL;) take_early(q, c);
    enx_broker_take(q->broker, on_event, q);
    resend(q);
    look(q);
    return q->handed;
}

enx_status enx_queue_hear(enx_queue *q, uint64_t salt, enx_report *report)
{
    q->salt = salt;
    ENX_TRY(enx_broker_hear_reports(q->broker, salt, report));
    enx_broker_take(q->broker, on_event, q); /* no call is under way: all of them are early */
    return ENX_OK;
}

int enx_queue_fd(const enx_queue *q) { return enx_broker_fd(q->broker); }

uint64_t enx_queue_wake_us(const enx_queue *q)
{
    if (q->ready.first) return 0;
    return q->flight && q->look_us < q->resend_us ? q->look_us : q->resend_us;
}

/* ---- Members -------------------------------------------------------------------------------- */

void enx_queue_judge(enx_queue *q, uint32_t item, bool is_wrong)
{
    if (item >= q->answered_count || q->answered_by[item] == 0) return;
    enx_member *m = &q->members.items[q->answered_by[item] - 1];
    if (enx_members_label(&q->members, m, is_wrong)) announce(q, m);
}

const enx_members *enx_queue_members(const enx_queue *q) { return &q->members; }
