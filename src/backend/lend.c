/* SPDX-License-Identifier: Apache-2.0 */
/* lend.c - calls taken, answered, told, acknowledged. */
#include "backend/lend.h"

#include "backend/api_json.h"
#include "backend/queue_wire.h"
#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/file.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PULL_US = 20000000,      /* a question to the broker stays open so long */
    RESERVE_PULL_US = 50000, /* ... of a machine in reserve: it is for what waits now */
    LOOKS_A_RESERVE = 2,
    RETELL_US = 10000000,
    SIGNS_A_LEASE = 3,
    SENTENCE_BYTES = ENX_REPORT_TEXT_MAX + 200,
    ID_BYTES = 200,
    PATH_BYTES = 4096,
    SPEED_TOKENS_IN = 64,
    SPEED_TOKENS_OUT = 16,
    CLASSES_MAX = 64,
    PLACES_MIN = ENX_LEND_TASKS_MAX - ENX_WIRE_BUNDLE_MAX, /* with more calls here, none is taken */
};

/* Words of classes that came, the longest unused makes room. */
typedef struct lend_class {
    char           digest[ENX_DIGEST_TEXT]; /* "": free */
    enx_wire_class words;
    uint64_t       used_at; /* turn */
    uint32_t       users;   /* calls here that borrow it */
} lend_class;

/* What came as one from the broker, and is settled as one: when its last call has ended. */
typedef struct lend_message {
    uint32_t left; /* calls, and one while they are taken in */
    bool     is_back;
    uint64_t sign_us;  /* of its last sign of life */
    char     handle[]; /* zero-terminated */
} lend_message;

/* A place for one call.  Its number here is turn * ENX_LEND_TASKS_MAX + place: those of several
 * jobs may be alike, and a place is used again. */
typedef struct task {
    uint64_t        own_id; /* 0: free */
    enx_wire_report told;   /* whose, which; the report itself is in `bytes` */
    lend_message   *message;
    uint64_t        deadline_us, told_us;
    uint64_t        next_told; /* own_id of the next one whose report travels with this one's */
    bool            is_canceled;
    lend_class     *task_class; /* borrowed; NULL: none */
    char           *bytes;      /* the report on its way, owned; NULL: still working */
    size_t          size_bytes;
} task;

typedef struct lend_model {
    char     digest[ENX_DIGEST_TEXT];
    char    *path;                         /* owned */
    uint32_t wants[ENX_BROKER_PRIORITIES]; /* of the broker */
    double   tokens_in_per_s, tokens_out_per_s;
    uint64_t done;
    uint64_t waiting_since_us; /* in reserve: its calls wait since then; 0: none do */
} lend_model;

struct enx_lend {
    enx_broker      *broker;
    enx_lend_options options;
    uint32_t         slots;
    lend_model       models[ENX_LEND_MODELS_MAX];
    uint32_t         model_count;
    uint32_t         wanted_count; /* models that the swarm wanted when they were fetched */
    uint32_t         want_models[ENX_BROKER_WANTS_MAX]; /* model of each want */
    enx_config       config;
    enx_config_model config_models[ENX_LEND_MODELS_MAX];
    enx_local       *local; /* NULL: an echo */
    task             tasks[ENX_LEND_TASKS_MAX];
    uint16_t       free_places[ENX_LEND_TASKS_MAX]; /* a stack, [ENX_LEND_TASKS_MAX - task_count] */
    uint32_t       task_count, place_end;           /* every place from there on was never used */
    uint32_t       message_count;
    task          *outbox[ENX_WIRE_BUNDLE_MAX]; /* [outbox_count] of one job, written, not sent */
    uint32_t       outbox_count;
    size_t         outbox_bytes;
    uint64_t       turn, started_us, sign_us, here_us, look_us;
    bool           is_draining, is_barred, is_on_trial, is_behind;
    lend_class     classes[CLASSES_MAX];
    enx_buf        texts, scratch;
    enx_lend_count counts;
};

static void say(const enx_lend *l, const char *format, ...) ENX_PRINTF(2, 3);

static void say(const enx_lend *l, const char *format, ...)
{
    char    sentence[SENTENCE_BYTES];
    va_list args;
    if (!l->options.say) return;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    l->options.say(l->options.user, sentence);
}

/* ---- Models --------------------------------------------------------------------------------- */

static char *copy_text(const char *text)
{
    const size_t size = strlen(text) + 1;
    char        *copy = ENX_MEM_NEW(char, size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

static enx_status add_model(enx_lend *l, const char *path, enx_report *report)
{
    enx_file file = { 0 };
    if (l->model_count == ENX_LEND_MODELS_MAX)
        return ENX_FAIL(report, LIMIT, "a worker has at most %d models", ENX_LEND_MODELS_MAX);
    lend_model *m = &l->models[l->model_count];
    ENX_TRY(enx_file_map(&file, path, report));
    const enx_status status = enx_digest(m->digest, file.bytes, file.size_bytes, report);
    enx_file_unmap(&file);
    ENX_TRY(status);
    m->path = copy_text(path);
    if (!m->path) return ENX_FAIL(report, NOMEM, "no memory for a path");
    l->model_count++;
    return ENX_OK;
}

typedef struct wanted {
    const enx_lend_options *options;
    char                    digests[ENX_LEND_MODELS_MAX][ENX_DIGEST_TEXT];
    uint32_t                count;
} wanted;

/* A model without specialty, as a scout, is for everybody. */
static bool is_ours(const enx_lend_options *options, const json_t *tags)
{
    const size_t count = json_array_size(tags);
    bool         found = count == 0 || options->specialty_count == 0;
    for (size_t i = 0; i < count; i++) {
        const char *tag = json_string_value(json_array_get(tags, i));
        for (uint32_t k = 0; tag && k < options->specialty_count; k++)
            found |= strcmp(tag, options->specialties[k]) == 0;
    }
    return found;
}

static void take_wanted(void *user, const char *subject, const char *bytes, size_t size_bytes)
{
    wanted     *w = user;
    const char *digest = strrchr(subject, '.');
    if (!digest || !enx_wire_is_digest(digest + 1) || w->count == ENX_LEND_MODELS_MAX) return;
    json_t *word = json_loadb(bytes, size_bytes, 0, NULL);
    if (is_ours(w->options, json_object_get(word, "specialty")))
        memcpy(w->digests[w->count++], digest + 1, ENX_DIGEST_TEXT);
    json_decref(word);
}

/* A file is what its name says, or it is not used. */
static enx_status check_file(const char *path, const char *digest, enx_report *report)
{
    char     own[ENX_DIGEST_TEXT];
    enx_file file = { 0 };
    ENX_TRY(enx_file_map(&file, path, report));
    const enx_status status = enx_digest(own, file.bytes, file.size_bytes, report);
    enx_file_unmap(&file);
    ENX_TRY(status);
    if (strcmp(own, digest) == 0) return ENX_OK;
    return ENX_FAIL(report, FORMAT, "%s is not the file that it should be; remove it", path);
}

static enx_status fetch_model(enx_lend *l, const char *digest, const char *path, enx_report *report)
{
    char    name[ENX_DIGEST_TEXT + 8];
    enx_buf bytes;
    snprintf(name, sizeof name, "%s.gguf", digest);
    enx_buf_init(&bytes, SIZE_MAX / 2);
    enx_status status = enx_broker_get_object(l->broker, name, &bytes, report);
    if (status == ENX_OK)
        status = enx_file_write(path, enx_buf_text(&bytes), bytes.size_bytes, report);
    if (status == ENX_OK) say(l, "fetched %.12s… (%zu bytes)", digest, bytes.size_bytes);
    enx_buf_deinit(&bytes);
    return status;
}

/* Every model that the swarm wants and the broker has. */
static enx_status fetch_models(enx_lend *l, enx_report *report)
{
    wanted w = { .options = &l->options };
    ENX_TRY(enx_broker_count_words(l->broker, "model", "model.>", &l->wanted_count, report));
    ENX_TRY(enx_broker_words(l->broker, "model", "model.>", take_wanted, &w, report));
    if (w.count == 0)
        return ENX_FAIL(report, AGAIN, "the swarm \"%s\" wants no models yet",
                        enx_broker_swarm(l->broker));
    ENX_TRY(enx_dir_make(l->options.folder, report));
    for (uint32_t i = 0; i < w.count; i++) {
        char path[PATH_BYTES];
        if (snprintf(path, sizeof path, "%s/%s.gguf", l->options.folder, w.digests[i]) >=
            (int)sizeof path)
            return ENX_FAIL(report, LIMIT, "the path %s is too long", l->options.folder);
        if (!enx_file_exists(path)) ENX_TRY(fetch_model(l, w.digests[i], path, report));
        ENX_TRY(check_file(path, w.digests[i], report));
        ENX_TRY(add_model(l, path, report));
    }
    return ENX_OK;
}

/* ---- Speed ---------------------------------------------------------------------------------- */

static void keep_usage(void *owner, const enx_generation *generation)
{
    *(enx_usage *)owner = generation->usage;
}

/* Seconds for `in` tokens read and `out` written, on one thread. */
static double time_tokens(enx_engine *engine, uint32_t vocab_count, uint32_t in, uint32_t out)
{
    uint32_t  prompt[SPEED_TOKENS_IN];
    enx_usage usage = { 0 };
    for (uint32_t i = 0; i < in; i++) prompt[i] = (i * 7 + 1) % vocab_count;
    const enx_request request = {
        .prompt = prompt, .prompt_count = in, .max_tokens = out, .eos = ENX_TOKEN_NONE
    };
    const uint64_t start_us = enx_clock_monotonic_us();
    if (enx_engine_submit(engine, &request, NULL, NULL) != ENX_OK) return 0;
    while (enx_engine_step(engine, keep_usage, &usage) > 0) continue;
    return (double)(enx_clock_monotonic_us() - start_us) / 1e6;
}

/* What this machine does with a model: for people, and for who plans. */
static enx_status measure_model(const enx_lend *l, uint32_t index, lend_model *m,
                                enx_report *report)
{
    const enx_skill         *skill = enx_local_skill(l->local, index);
    enx_engine              *engine = NULL;
    const uint32_t           vocab_count = enx_tokenizer_count(skill->loaded.tokenizer);
    const enx_engine_options options = { .model = skill->loaded.model,
                                         .slot_count = 1,
                                         .context_tokens = skill->context_tokens,
                                         .cpu = l->options.local.cpu };
    ENX_TRY(enx_engine_open(&engine, &options, report));
    const double in_s = time_tokens(engine, vocab_count, SPEED_TOKENS_IN, 1);
    const double both_s = time_tokens(engine, vocab_count, SPEED_TOKENS_IN, 1 + SPEED_TOKENS_OUT);
    enx_engine_close(&engine);
    if (in_s > 0) m->tokens_in_per_s = SPEED_TOKENS_IN / in_s;
    if (both_s > in_s) m->tokens_out_per_s = SPEED_TOKENS_OUT / (both_s - in_s);
    return ENX_OK;
}

/* ---- Calls that end -------------------------------------------------------------------------- */

/* One call less of a message; the last one settles it. */
static void leave(enx_lend *l, lend_message *message)
{
    if (--message->left > 0) return;
    enx_broker_settle(l->broker, message->handle,
                      message->is_back ? ENX_BROKER_BACK : ENX_BROKER_DONE);
    enx_mem_free(message);
    l->message_count--;
}

/* Its report is stored, or (is_back) the call is for somebody else. */
static void end_task(enx_lend *l, task *t, bool is_back)
{
    t->message->is_back |= is_back;
    leave(l, t->message);
    if (t->task_class) t->task_class->users--;
    enx_mem_free(t->bytes);
    *t = (task){ 0 };
    l->free_places[ENX_LEND_TASKS_MAX - l->task_count--] = (uint16_t)(t - l->tasks);
}

void enx_lend_close(enx_lend **lend)
{
    enx_lend *l = *lend;
    if (!l) return;
    enx_local_close(&l->local);
    enx_broker_want_none(l->broker);
    for (task *t = l->tasks; t < l->tasks + l->place_end; t++)
        if (t->own_id) end_task(l, t, true);
    for (uint32_t i = 0; i < CLASSES_MAX; i++) enx_wire_class_close(&l->classes[i].words);
    for (uint32_t i = 0; i < l->model_count; i++) enx_mem_free(l->models[i].path);
    enx_buf_deinit(&l->texts);
    enx_buf_deinit(&l->scratch);
    enx_mem_free(l);
    *lend = NULL;
}

enx_lend_count enx_lend_counts(const enx_lend *l)
{
    enx_lend_count out = l->counts;
    out.working = l->task_count;
    return out;
}

/* ---- Tasks ---------------------------------------------------------------------------------- */

static task *find_task(enx_lend *l, uint64_t own_id)
{
    task *t = &l->tasks[own_id % ENX_LEND_TASKS_MAX];
    return own_id != 0 && t->own_id == own_id ? t : NULL;
}

/* The reports of `tasks`, of one job, as one message. */
static void put_reports(enx_lend *l, task *const *tasks, uint32_t count)
{
    char           subject[ENX_BROKER_SUBJECT_BYTES], id[ID_BYTES];
    enx_wire_part  parts[ENX_WIRE_BUNDLE_MAX];
    task          *t = tasks[0];
    const uint64_t call_id = t->told.report.call_id, now_us = enx_clock_monotonic_us();
    snprintf(subject, sizeof subject, "enx.%s.done.%s.%016" PRIx64 ".%" PRIu64,
             enx_broker_swarm(l->broker), l->options.name, t->told.salt, call_id);
    snprintf(id, sizeof id, "done-%016" PRIx64 "-%" PRIx64 "-%s-%" PRIu64 "-%" PRIu64, t->told.salt,
             call_id, l->options.name, l->started_us, t->own_id);
    for (uint32_t i = 0; i < count; i++) {
        parts[i] = (enx_wire_part){ .bytes = tasks[i]->bytes, .size_bytes = tasks[i]->size_bytes };
        tasks[i]->told_us = now_us;
        tasks[i]->next_told = i + 1 < count ? tasks[i + 1]->own_id : 0;
    }
    /* What fails here is told again: nothing is acknowledged before it is stored. */
    enx_buf_clear(&l->scratch);
    if (count == 1)
        (void)!enx_broker_put(l->broker, subject, id, t->own_id, t->bytes, t->size_bytes, NULL);
    else if (enx_wire_bundle_write(&l->scratch, parts, count) == ENX_OK)
        (void)!enx_broker_put(l->broker, subject, id, t->own_id, l->scratch.data,
                              l->scratch.size_bytes, NULL);
}

static void send_outbox(enx_lend *l)
{
    if (l->outbox_count) put_reports(l, l->outbox, l->outbox_count);
    l->outbox_count = 0;
    l->outbox_bytes = 0;
}

/* Reports of one turn travel together. */
static void post(enx_lend *l, task *t)
{
    if (l->outbox_count == ENX_WIRE_BUNDLE_MAX ||
        l->outbox_bytes + t->size_bytes > ENX_WIRE_BUNDLE_BYTES ||
        (l->outbox_count && l->outbox[0]->told.salt != t->told.salt))
        send_outbox(l);
    l->outbox[l->outbox_count++] = t;
    l->outbox_bytes += t->size_bytes;
    t->told_us = enx_clock_monotonic_us();
}

/* They are stored, from the first on: one that was told again meanwhile, alone, is on its own. */
static void end_told(enx_lend *l, uint64_t own_id)
{
    for (task *t; (t = find_task(l, own_id)) != NULL;) {
        own_id = t->next_told;
        l->counts.done++;
        end_task(l, t, false);
    }
}

/* Write the report down to be sent.  One that cannot be written gives the call back, or its lease
 * would be renewed for good. */
static void tell(enx_lend *l, task *t, const enx_call_report *report)
{
    enx_wire_report wire = t->told;
    wire.report = *report;
    wire.report.call_id = t->told.report.call_id;
    enx_buf_clear(&l->scratch);
    if (enx_wire_report_write(&l->scratch, &wire) == ENX_OK)
        t->bytes = ENX_MEM_NEW(char, l->scratch.size_bytes);
    if (!t->bytes) {
        end_task(l, t, true);
        return;
    }
    t->size_bytes = l->scratch.size_bytes;
    memcpy(t->bytes, l->scratch.data, t->size_bytes);
    post(l, t);
}

static void tell_failure(enx_lend *l, task *t, const char *error)
{
    const enx_call_report report = { .status = ENX_CALL_ERROR,
                                     .level = ENX_LEVEL_UNKNOWN,
                                     .error = error };
    tell(l, t, &report);
}

/* ---- Classes -------------------------------------------------------------------------------- */

/* A place for new words; NULL: every class has calls here. */
static lend_class *free_class(enx_lend *l)
{
    lend_class *oldest = NULL;
    for (lend_class *c = l->classes; c < l->classes + CLASSES_MAX; c++)
        if (c->users == 0 && (!oldest || c->used_at < oldest->used_at)) oldest = c;
    return oldest;
}

static enx_status fetch_class(enx_lend *l, lend_class *c, const char *digest, enx_report *report)
{
    char    name[ENX_DIGEST_TEXT + 8], own[ENX_DIGEST_TEXT];
    enx_buf words;
    enx_wire_class_close(&c->words);
    *c = (lend_class){ 0 };
    snprintf(name, sizeof name, "class-%s", digest);
    enx_buf_init(&words, ENX_BROKER_OBJECT_BYTES_MAX);
    enx_status status = enx_broker_get_object(l->broker, name, &words, report);
    if (status == ENX_OK) status = enx_digest(own, words.data, words.size_bytes, report);
    if (status == ENX_OK && strcmp(own, digest) != 0)
        status = ENX_FAIL(report, FORMAT, "the words of a class are not those that were meant");
    if (status == ENX_OK)
        status = enx_wire_class_read(&c->words, words.data, words.size_bytes, report);
    enx_buf_deinit(&words);
    if (status == ENX_OK) memcpy(c->digest, digest, sizeof c->digest);
    return status;
}

/* The words of a call's class, fetched when they are new here. */
static enx_status find_class(enx_lend *l, const char *digest, lend_class **out, enx_report *report)
{
    *out = NULL;
    if (!digest[0]) return ENX_OK;
    for (lend_class *c = l->classes; c < l->classes + CLASSES_MAX; c++)
        if (strcmp(c->digest, digest) == 0) *out = c;
    if (!*out) {
        lend_class *c = free_class(l);
        if (!c) return ENX_FAIL(report, LIMIT, "more than %d classes at a time", CLASSES_MAX);
        ENX_TRY(fetch_class(l, c, digest, report));
        *out = c;
    }
    (*out)->used_at = l->turn;
    return ENX_OK;
}

/* A call that nobody could answer: kept for people, and told to the lead. */
static void bury(enx_lend *l, const char *bytes, size_t size_bytes, const char *digest,
                 uint64_t salt, const char *sentence)
{
    char subject[ENX_BROKER_SUBJECT_BYTES];
    snprintf(subject, sizeof subject, "enx.%s.dead.%s.%016" PRIx64, enx_broker_swarm(l->broker),
             digest, salt);
    say(l, "a call is dead: %s", sentence);
    l->counts.dead++;
    (void)!enx_broker_keep(l->broker, subject, bytes, size_bytes, NULL);
}

static task *add_task(enx_lend *l, const enx_wire_call *w, lend_message *message)
{
    const uint32_t place = l->free_places[ENX_LEND_TASKS_MAX - ++l->task_count];
    task          *t = &l->tasks[place];
    if (place >= l->place_end) l->place_end = place + 1;
    t->message = message;
    message->left++;
    t->own_id = ++l->turn * ENX_LEND_TASKS_MAX + place;
    t->deadline_us = enx_clock_monotonic_us() + w->within_us;
    t->told.salt = w->salt;
    t->told.report.call_id = w->call.call_id;
    memcpy(t->told.model, w->model, sizeof t->told.model);
    snprintf(t->told.worker, sizeof t->told.worker, "%s", l->options.name);
    return t;
}

static void start_task(enx_lend *l, const enx_wire_call *w, task *t, uint32_t model)
{
    enx_call call = w->call;
    call.call_id = t->own_id;
    call.model = model;
    call.task_class = t->task_class ? &t->task_class->words.value : NULL;
    l->models[model].done++;
    if (!l->options.is_echo) {
        enx_local_generate(l->local, &call);
        return;
    }
    const enx_call_report report = { .status = ENX_CALL_OK,
                                     .level = ENX_LEVEL_UNKNOWN,
                                     .answer = call.input,
                                     .answer_bytes = call.input_bytes };
    tell(l, t, &report);
}

static void take_call(enx_lend *l, const enx_broker_event *event, const enx_wire_part *part,
                      lend_message *message)
{
    enx_wire_call  w;
    enx_report     why = { 0 };
    const uint32_t model = l->want_models[event->want];
    const char    *digest = l->models[model].digest;
    if (enx_wire_call_read(&w, &l->texts, part->bytes, part->size_bytes, &why) != ENX_OK ||
        strcmp(w.model, digest) != 0) {
        bury(l, part->bytes, part->size_bytes, digest, 0,
             why.text[0] ? why.text : "it is for another model than its subject says");
        return;
    }
    task *t = add_task(l, &w, message);
    if (event->deliveries > ENX_LEND_DELIVERIES_MAX) {
        bury(l, part->bytes, part->size_bytes, digest, w.salt, "it came back too often");
        tell_failure(l, t, "given up: machine after machine took the call and fell silent");
    } else if (find_class(l, w.task_class, &t->task_class, &why) != ENX_OK) {
        tell_failure(l, t, why.text);
    } else {
        if (t->task_class) t->task_class->users++;
        start_task(l, &w, t, model);
    }
}

/* A bundle that came back: each call by itself again, so that one which kills its worker takes no
 * other with it.  False: not all are stored. */
static bool split(enx_lend *l, const enx_broker_event *event, const enx_wire_part *parts,
                  uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (enx_broker_keep(l->broker, event->subject, parts[i].bytes, parts[i].size_bytes, NULL) !=
            ENX_OK)
            return false;
    return true;
}

static lend_message *new_message(const char *handle)
{
    const size_t  size = strlen(handle) + 1;
    lend_message *message = enx_mem_new(1, sizeof *message + size);
    if (!message) return NULL;
    memcpy(message->handle, handle, size);
    message->left = 1;
    return message;
}

static void on_work(enx_lend *l, const enx_broker_event *event)
{
    enx_wire_part parts[ENX_WIRE_BUNDLE_MAX];
    uint32_t      count = 0;
    enx_report    why = { 0 };
    if (enx_wire_bundle_read(parts, &count, event->bytes, event->size_bytes, &why) != ENX_OK) {
        bury(l, event->bytes, event->size_bytes, l->models[l->want_models[event->want]].digest, 0,
             why.text);
        enx_broker_settle(l->broker, event->handle, ENX_BROKER_DROP);
        return;
    }
    const bool has_room = !l->is_draining && l->task_count <= PLACES_MIN;
    const bool is_split = has_room && count > 1 && event->deliveries > 1 &&
                          event->deliveries <= ENX_LEND_DELIVERIES_MAX;
    lend_message *message = has_room && !is_split ? new_message(event->handle) : NULL;
    if (!message) {
        const bool is_done = is_split && split(l, event, parts, count);
        if (!is_done) l->counts.given_back += count;
        enx_broker_settle(l->broker, event->handle, is_done ? ENX_BROKER_DONE : ENX_BROKER_BACK);
        return;
    }
    l->message_count++;
    for (uint32_t i = 0; i < count; i++) take_call(l, event, &parts[i], message);
    leave(l, message);
}

static void on_cancel(enx_lend *l, const enx_broker_event *event)
{
    const char    *salt_text = strrchr(event->subject, '.');
    char           id_text[24] = "";
    const uint64_t salt = salt_text ? strtoull(salt_text + 1, NULL, 16) : 0;
    if (event->size_bytes >= sizeof id_text) return;
    memcpy(id_text, event->bytes, event->size_bytes);
    const uint64_t call_id = strtoull(id_text, NULL, 10);
    for (task *t = l->tasks; t < l->tasks + l->place_end; t++)
        if (t->own_id && t->told.salt == salt && t->told.report.call_id == call_id &&
            !t->is_canceled) {
            t->is_canceled = true;
            l->counts.canceled++;
            if (l->local) enx_local_cancel(l->local, t->own_id);
        }
}

static void on_event(void *user, const enx_broker_event *event)
{
    enx_lend *l = user;
    switch (event->kind) {
    case ENX_BROKER_WORK:
        on_work(l, event);
        break;
    case ENX_BROKER_CANCEL:
        on_cancel(l, event);
        break;
    case ENX_BROKER_STORED:
        end_told(l, event->token);
        break;
    case ENX_BROKER_FAILED:
        say(l, "a report was not stored: %s; it is told again", event->bytes);
        break;
    case ENX_BROKER_LOST:
        say(l, "the connection to the broker is lost; it is tried again");
        break;
    case ENX_BROKER_FOUND:
        say(l, "the broker is there again");
        for (task *t = l->tasks; t < l->tasks + l->place_end; t++)
            t->told_us = 0; /* what it did not confirm before it went may be lost */
        break;
    case ENX_BROKER_REPORT:
        break; /* a lead's */
    }
}

static void on_report(void *user, const enx_call_report *report)
{
    enx_lend *l = user;
    task     *t = find_task(l, report->call_id);
    if (t) tell(l, t, report);
}

/* ---- Time ----------------------------------------------------------------------------------- */

/* Leases are renewed, lost reports told again, and what nobody waits for is canceled. */
static void keep_alive(enx_lend *l, uint64_t now_us)
{
    const uint64_t sign_us = enx_broker_lease_us(l->broker) / SIGNS_A_LEASE;
    const bool     is_sign = now_us >= l->sign_us + sign_us;
    if (is_sign) l->sign_us = now_us;
    for (task *t = l->tasks; t < l->tasks + l->place_end; t++) {
        if (!t->own_id) continue;
        if (is_sign && t->message->sign_us != now_us) {
            t->message->sign_us = now_us;
            enx_broker_settle(l->broker, t->message->handle, ENX_BROKER_WORKING);
        }
        if (t->bytes && now_us >= t->told_us + RETELL_US) put_reports(l, (task *[]){ t }, 1);
        if (!t->bytes && !t->is_canceled && now_us >= t->deadline_us) {
            t->is_canceled = true;
            l->counts.canceled++;
            if (l->local) enx_local_cancel(l->local, t->own_id);
        }
    }
}

static json_t *describe_models(const enx_lend *l)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < l->model_count; i++) {
        const lend_model *m = &l->models[i];
        const char       *slash = strrchr(m->path, '/');
        json_array_append_new(out, json_pack("{s:s, s:s, s:f, s:f, s:I}", "digest", m->digest,
                                             "name", slash ? slash + 1 : m->path, "tokens_in_per_s",
                                             m->tokens_in_per_s, "tokens_out_per_s",
                                             m->tokens_out_per_s, "calls", (json_int_t)m->done));
    }
    return out;
}

/* The first time it must arrive: the broker may let a worker speak under another name only. */
static enx_status say_here(enx_lend *l, bool is_first, enx_report *report)
{
    char subject[ENX_BROKER_SUBJECT_BYTES], host[ENX_WIRE_NAME_BYTES] = "";
    gethostname(host, sizeof host - 1);
    json_t *json = json_pack(
        "{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o}", "host", host, "pid",
        (int)getpid(), "since_us", (json_int_t)l->started_us, "slots", (json_int_t)l->slots,
        "working", (json_int_t)l->task_count, "done", (json_int_t)l->counts.done, "canceled",
        (json_int_t)l->counts.canceled, "dead", (json_int_t)l->counts.dead, "draining",
        (int)l->is_draining, "trial", (int)l->is_on_trial, "models", describe_models(l));
    enx_buf text;
    enx_buf_init(&text, ENX_BROKER_WORD_BYTES_MAX);
    snprintf(subject, sizeof subject, "enx.%s.here.%s", enx_broker_swarm(l->broker),
             l->options.name);
    enx_status status = enx_api_json_append(&text, json, report);
    if (status == ENX_OK)
        status = is_first ? enx_broker_keep(l->broker, subject, text.data, text.size_bytes, report)
                          : enx_broker_say(l->broker, subject, text.data, text.size_bytes, report);
    enx_buf_deinit(&text);
    return status;
}

static enx_status greet(enx_lend *l, enx_report *report)
{
    const enx_status status = say_here(l, true, report);
    if (status != ENX_OK)
        enx_report_wrap(report,
                        "the broker does not hear the worker %s; may this user publish "
                        "under that name",
                        l->options.name);
    return status;
}

static void take_word(void *user, const char *subject, const char *bytes, size_t size_bytes)
{
    (void)subject;
    enx_lend *l = user;
    l->is_barred = size_bytes == 6 && memcmp(bytes, "barred", 6) == 0;
    l->is_on_trial = size_bytes == 5 && memcmp(bytes, "trial", 5) == 0;
}

/* Every few seconds: I am here; am I still wanted? */
static void report_presence(enx_lend *l, uint64_t now_us)
{
    char subject[ENX_BROKER_SUBJECT_BYTES];
    if (l->here_us && now_us < l->here_us + ENX_LEND_HERE_US) return;
    l->here_us = now_us;
    (void)!say_here(l, false, NULL); /* else it is said the next time */
    snprintf(subject, sizeof subject, "barred.%s", l->options.name);
    (void)!enx_broker_words(l->broker, "model", subject, take_word, l, NULL);
    uint32_t count = 0;
    if (l->options.model_count == 0 &&
        enx_broker_count_words(l->broker, "model", "model.>", &count, NULL) == ENX_OK)
        l->is_behind = count > l->wanted_count;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static enx_status open_local(enx_lend *l, enx_report *report)
{
    enx_local_options options = l->options.local;
    static char       nowhere[] = "worker";
    options.takes_any_duty = true;
    for (uint32_t i = 0; i < l->model_count; i++)
        l->config_models[i] = (enx_config_model){ .model = l->models[i].path };
    l->config =
        (enx_config){ .path = nowhere,
                      .machine = { .param_tokens_per_s_in = 1, .param_tokens_per_s_out = 1 },
                      .workers = l->config_models,
                      .worker_count = l->model_count,
                      .amortize_jobs = 1 };
    ENX_TRY(enx_local_open(&l->local, &l->config, &options, report));
    for (uint32_t i = 0; i < l->model_count; i++)
        ENX_TRY(measure_model(l, i, &l->models[i], report));
    return ENX_OK;
}

static enx_status want_calls(enx_lend *l, enx_report *report)
{
    for (uint32_t i = 0; i < l->model_count; i++)
        for (uint32_t p = 0; p < ENX_BROKER_PRIORITIES; p++) {
            uint32_t *index = &l->models[i].wants[p];
            ENX_TRY(enx_broker_want(l->broker, l->models[i].digest, p, index, report));
            l->want_models[*index] = i;
        }
    return enx_broker_hear_cancels(l->broker, report);
}

enx_status enx_lend_open(enx_lend **out, enx_broker *broker, const enx_lend_options *options,
                         enx_report *report)
{
    ENX_CHECK(out && broker && options && options->name);
    ENX_CHECK(enx_wire_is_name(options->name));
    enx_lend *l = ENX_MEM_NEW(enx_lend, 1);
    if (!l) return ENX_FAIL(report, NOMEM, "no memory for a worker");
    l->broker = broker;
    l->options = *options;
    l->slots = options->slots ? options->slots : ENX_LEND_SLOTS;
    l->started_us = enx_clock_wall_us();
    for (uint32_t i = 0; i < ENX_LEND_TASKS_MAX; i++) /* the lowest first */
        l->free_places[i] = (uint16_t)(ENX_LEND_TASKS_MAX - 1 - i);
    enx_buf_init(&l->texts, 2 * ENX_WIRE_TEXT_BYTES_MAX);
    enx_buf_init(&l->scratch, 2 * ENX_WIRE_TEXT_BYTES_MAX);
    enx_status status = ENX_OK;
    for (uint32_t i = 0; status == ENX_OK && i < options->model_count; i++)
        status = add_model(l, options->models[i], report);
    if (status == ENX_OK && l->model_count == 0) status = fetch_models(l, report);
    if (status == ENX_OK && !options->is_echo) status = open_local(l, report);
    if (status == ENX_OK) status = want_calls(l, report);
    if (status == ENX_OK) status = greet(l, report);
    if (status != ENX_OK) {
        enx_lend_close(&l);
        return status;
    }
    *out = l;
    return ENX_OK;
}

/* ---- Pulling -------------------------------------------------------------------------------- */

/* In reserve: do others leave calls waiting? */
static void look(enx_lend *l, uint64_t now_us)
{
    if (now_us < l->look_us) return;
    l->look_us = now_us + l->options.reserve_us / LOOKS_A_RESERVE;
    for (lend_model *m = l->models; m < l->models + l->model_count; m++) {
        uint64_t waiting = 0, running = 0;
        if (enx_broker_depth(l->broker, m->digest, &waiting, &running, NULL) != ENX_OK) waiting = 0;
        if (waiting == 0) m->waiting_since_us = 0;
        else if (m->waiting_since_us == 0) m->waiting_since_us = now_us;
    }
}

static bool is_needed(const enx_lend *l, const lend_model *m, uint64_t now_us)
{
    if (l->options.reserve_us == 0) return true;
    return m->waiting_since_us && now_us - m->waiting_since_us >= l->options.reserve_us;
}

/* Room is shared out among the questions that are open; each asks for one message at least, so a
 * worker with many models may have a few more than slots.  A message of several calls is for one
 * slot: they are short. */
static void pull(enx_lend *l, uint64_t now_us)
{
    const uint32_t slots = l->is_on_trial ? 1 : l->slots,
                   wants = l->model_count * ENX_BROKER_PRIORITIES;
    if (l->is_draining || l->message_count >= slots || l->task_count > PLACES_MIN) return;
    const uint32_t share = (slots - l->message_count + wants - 1) / wants;
    const uint64_t open_us = l->options.reserve_us ? RESERVE_PULL_US : PULL_US;
    if (l->options.reserve_us) look(l, now_us);
    for (uint32_t i = 0; i < wants; i++)
        if (enx_broker_pending(l->broker, i, now_us) == 0 &&
            is_needed(l, &l->models[l->want_models[i]], now_us))
            (void)!enx_broker_pull(l->broker, i, share, open_us, NULL);
}

static void wait_for_any(const enx_lend *l, uint64_t timeout_us)
{
    const int             local_fd = l->local ? enx_local_fd(l->local) : -1;
    struct pollfd         fds[2] = { { .fd = enx_broker_fd(l->broker), .events = POLLIN },
                                     { .fd = local_fd, .events = POLLIN } };
    const struct timespec wait = { .tv_sec = (time_t)(timeout_us / 1000000),
                                   .tv_nsec = (long)(timeout_us % 1000000 * 1000) };
    ppoll(fds, 2, &wait, NULL);
}

enx_status enx_lend_turn(enx_lend *l, uint64_t timeout_us, enx_report *report)
{
    const uint64_t now_us = enx_clock_monotonic_us();
    report_presence(l, now_us);
    if (l->is_barred)
        return ENX_FAIL(report, CANCELED,
                        "the swarm has barred this worker: its answers were wrong, or its reports "
                        "faulty");
    if (l->is_behind && !l->is_draining)
        return ENX_FAIL(report, AGAIN, "the swarm wants more models than this worker has");
    keep_alive(l, now_us);
    pull(l, now_us);
    const uint64_t look_us = l->options.reserve_us / LOOKS_A_RESERVE;
    wait_for_any(l, look_us && look_us < timeout_us ? look_us : timeout_us);
    enx_broker_take(l->broker, on_event, l);
    if (l->local) enx_local_poll(l->local, 0, on_report, l);
    send_outbox(l);
    return ENX_OK;
}

void enx_lend_drain(enx_lend *l, uint64_t timeout_us)
{
    const uint64_t until_us = enx_clock_monotonic_us() + timeout_us;
    l->is_draining = true;
    l->here_us = 0;
    while (l->task_count > 0 && enx_clock_monotonic_us() < until_us)
        if (enx_lend_turn(l, 100000, NULL) != ENX_OK) break;
    for (task *t = l->tasks; t < l->tasks + l->place_end; t++)
        if (t->own_id) {
            l->counts.given_back++;
            end_task(l, t, true);
        }
    (void)!say_here(l, false, NULL);
}
