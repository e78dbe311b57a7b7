/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c - files in a folder, and a thread that asks line by line.
 *
 * (1) What a client is told of a batch is its object in `all`, under the lock; lines and answers in
 *     flight are the thread's.
 * (2) An answer is in the output file before its line counts as done, so a batch that goes on after
 *     a crash asks no line twice that the file has whole.
 * (3) A batch has its lines in memory only while it runs, and ENX_BATCH_RUNNING of them do.
 * (4) A batch's job has the batch's id as its key in the store, and is asked for under it: a batch
 *     that goes on after a crash at any point finds its job, and never makes a second one. */
#include "serve/batch.h"

#include "backend/api_json.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "serve/keys.h"
#include "serve/voice.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_BYTES_MAX = 4400,
    ID_BYTES_MAX = 48,
    NAME_BYTES_MAX = 64,
    US_PER_S = 1000000,
    DAY_S = 86400
};

static const char job_endpoint[] = "/enxame/v1/jobs";

typedef struct batch_line {
    enx_reply *reply; /* NULL: free */
    json_t    *line;  /* owned */
} batch_line;

typedef struct batch {
    struct batch *next;
    json_t       *object;       /* as clients see it; one reference is `all`'s */
    json_t       *lines, *done; /* owned, while it runs: requests; {custom_id: true} */
    size_t        at;
    batch_line    flight[ENX_BATCH_FLIGHT]; /* of a job the first */
    const void   *key;
    uint64_t      job;                          /* 0: lines, or a job that is still to be given */
    bool          is_job, is_canceled, is_told; /* told: the job was, that nobody wants it */
} batch;

struct enx_batches {
    enx_batches_options options;
    pthread_mutex_t     lock;
    pthread_cond_t      news;
    pthread_t           thread;
    bool                is_started, is_stopping, has_news;
    json_t             *files, *all; /* {id: object} */
    batch              *waiting;     /* in the order in which they came */
    batch              *running;     /* the thread's */
    uint32_t            running_count;
    uint64_t            next_id;
};

/* ---- Answers -------------------------------------------------------------------------------- */

static void answer_json(enx_exchange *x, json_t *json) { enx_voice_answer(x->reply, 200, json); }

static void answer_error(enx_exchange *x, int http_status, const char *text)
{
    enx_voice_refuse(&enx_voice_chat, x->reply, http_status, text);
}

/* ---- On the disk ---------------------------------------------------------------------------- */

static void path_of(const enx_batches *b, const char *id, const char *end, char out[PATH_BYTES_MAX])
{
    snprintf(out, PATH_BYTES_MAX, "%s/%s%s", b->options.folder, id, end);
}

static enx_status save_object(const enx_batches *b, const char *id, const json_t *object,
                              enx_report *report)
{
    char    path[PATH_BYTES_MAX];
    enx_buf text;
    path_of(b, id, ".json", path);
    enx_buf_init(&text, 1 << 20);
    enx_status status = enx_voice_json(&text, json_incref((json_t *)(uintptr_t)object));
    if (status == ENX_OK)
        status = enx_file_write(path, enx_buf_text(&text), text.size_bytes, report);
    enx_buf_deinit(&text);
    return status;
}

static enx_status append_line(const enx_batches *b, const char *id, const char *end, json_t *json)
{
    char    path[PATH_BYTES_MAX];
    enx_buf text;
    path_of(b, id, end, path);
    enx_buf_init(&text, ENX_REPLY_BYTES_MAX);
    enx_status status = enx_voice_json(&text, json);
    if (status == ENX_OK) status = enx_buf_append(&text, "\n", 1);
    const int fd =
        status == ENX_OK ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || write(fd, enx_buf_text(&text), text.size_bytes) != (ssize_t)text.size_bytes)
        status = ENX_IO;
    if (fd >= 0) close(fd);
    enx_buf_deinit(&text);
    return status;
}

static void new_id(enx_batches *b, const char *prefix, char out[ID_BYTES_MAX])
{
    snprintf(out, ID_BYTES_MAX, "%s%llx%llx", prefix, (unsigned long long)enx_clock_wall_us(),
             (unsigned long long)b->next_id++);
}

static json_t *file_json(const char *id, size_t bytes, const char *name, const char *purpose,
                         const char *owner)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s}", "id", id, "object", "file",
                     "bytes", (json_int_t)bytes, "created_at",
                     (json_int_t)(enx_clock_wall_us() / US_PER_S), "filename", name, "purpose",
                     purpose, "status", "processed", "owner", owner);
}

/* ---- Lines ---------------------------------------------------------------------------------- */

/* Every line of a file that is a JSON object; *bad counts those that are not. */
static json_t *read_lines(const enx_batches *b, const char *id, const char *end, size_t *bad)
{
    char    path[PATH_BYTES_MAX];
    enx_buf text;
    json_t *lines = json_array();
    *bad = 0;
    path_of(b, id, end, path);
    enx_buf_init(&text, ENX_BATCH_BYTES_MAX);
    if (enx_file_exists(path) && enx_file_read(&text, path, NULL) == ENX_OK) {
        const char *at = enx_buf_text(&text);
        while (*at && json_array_size(lines) <= ENX_BATCH_LINES_MAX) {
            const size_t size = strcspn(at, "\n");
            json_t      *line = NULL;
            if (enx_api_json_load(&line, at, size, NULL) == ENX_OK)
                json_array_append_new(lines, line);
            else if (strspn(at, " \t\r") < size) ++*bad;
            at += size + (at[size] == '\n');
        }
    }
    enx_buf_deinit(&text);
    return lines;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void count(const enx_batches *b, batch *own, const char *key)
{
    pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&b->lock);
    json_t          *counts = json_object_get(own->object, "request_counts");
    const json_int_t now = json_integer_value(json_object_get(counts, key));
    json_object_set_new(counts, key, json_integer(now + 1));
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&b->lock);
}

/* Called under the reply's lock. */
static void on_news(void *user)
{
    enx_batches *b = user;
    pthread_mutex_lock(&b->lock);
    b->has_news = true;
    pthread_cond_signal(&b->news);
    pthread_mutex_unlock(&b->lock);
}

static void take_answer(enx_batches *b, batch *own, batch_line *slot)
{
    size_t      size = 0;
    const int   code = enx_reply_status(slot->reply);
    char       *bytes = enx_reply_take_whole(slot->reply, &size);
    const char *id = text_of(slot->line, "custom_id");
    json_t     *body = bytes ? json_loadb(bytes, size, 0, NULL) : NULL;
    json_t     *line = json_pack("{s:s+, s:s, s:{s:i, s:s, s:o}, s:n}", "id", "batch_req_", id,
                                 "custom_id", id, "response", "status_code", code, "request_id",
                                 text_of(body, "id"), "body", body ? body : json_null(), "error");
    enx_mem_free(bytes);
    const bool is_kept = append_line(b, text_of(own->object, "id"), code == 200 ? ".out" : ".bad",
                                     line) == ENX_OK; /* (2) */
    count(b, own, code == 200 && is_kept ? "completed" : "failed");
    json_decref(slot->line);
    enx_reply_leave(slot->reply);
    enx_reply_drop(&slot->reply);
}

/* False: the line is answered already, by its error. */
static bool ask_line(enx_batches *b, const batch *own, batch_line *slot, json_t *line)
{
    const char *endpoint = text_of(own->object, "endpoint");
    json_t     *body = json_object_get(line, "body");
    slot->reply = enx_reply_open();
    if (!slot->reply) return false;
    slot->line = json_incref(line);
    enx_reply_on_news(slot->reply, on_news, NULL, b);
    if (json_object_get(body, "stream")) json_object_set_new(body, "stream", json_false());
    if (json_is_object(body) && strcmp(text_of(line, "url"), endpoint) == 0 &&
        b->options.ask(b->options.user, endpoint, json_incref(body), own->key, slot->reply))
        return true;
    static const char error[] = "{\"error\":{\"message\":\"a line needs custom_id, url as the "
                                "batch's endpoint, and body\"}}";
    enx_reply_begin(slot->reply, 400, "application/json", false);
    (void)enx_reply_push(slot->reply, error, sizeof error - 1);
    enx_reply_end(slot->reply);
    return true;
}

/* The next line that has no answer; NULL: none is left. */
static json_t *next_line(batch *own)
{
    while (!own->is_canceled && own->at < json_array_size(own->lines)) {
        json_t *line = json_array_get(own->lines, own->at++);
        if (!json_object_get(own->done, text_of(line, "custom_id"))) return line;
    }
    return NULL;
}

/* Ask, and take what is answered at once, until an answer is waited for (which polling says: it is
 * then that news wake us) or no line is left.  Is one waited for? */
static bool work_slot(enx_batches *b, batch *own, batch_line *slot)
{
    for (;;) {
        if (slot->reply && enx_reply_poll(slot->reply, NULL, NULL) == ENX_REPLY_WHOLE)
            take_answer(b, own, slot);
        if (slot->reply) return true;
        json_t *line = next_line(own);
        if (!line) return false;
        if (ask_line(b, own, slot, line)) continue;
        own->at--;
        return true;
    }
}

static bool work_lines(enx_batches *b, batch *own)
{
    bool is_waiting = false;
    for (int i = 0; i < ENX_BATCH_FLIGHT; i++) is_waiting |= work_slot(b, own, &own->flight[i]);
    return is_waiting;
}

/* ---- A batch that is a job ------------------------------------------------------------------ */

/* What a client says in `metadata`, whose values are texts by OpenAI's rules, as jobs.h has it. */
static json_t *job_order(const json_t *object)
{
    static const char *const numbers[] = { "accuracy", "confidence", "budget", "labels" };
    static const char *const texts[] = { "job_file_id", "goal", "mode" };
    const json_t            *given = json_object_get(object, "metadata");
    json_t *order = json_pack("{s:s}", "input_file_id", text_of(object, "input_file_id"));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (json_object_get(given, texts[i]))
            json_object_set(order, texts[i], json_object_get(given, texts[i]));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        json_t     *value = json_object_get(given, numbers[i]);
        const char *text = json_string_value(value);
        json_t     *number = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
        if (value) json_object_set(order, numbers[i], number ? number : value);
        json_decref(number);
    }
    return order;
}

static void fail_batch(enx_batches *b, batch *own, const char *text)
{
    pthread_mutex_lock(&b->lock);
    json_object_set_new(own->object, "errors",
                        json_pack("{s:s, s:[{s:s, s:s}]}", "object", "list", "data", "code",
                                  "job_failed", "message", text));
    pthread_mutex_unlock(&b->lock);
}

/* Ask the swarm something of the batch's job; false: it cannot be asked. */
static bool ask_job(enx_batches *b, batch *own, enx_jobs_ask ask)
{
    batch_line      *slot = &own->flight[0];
    enx_report       report = { 0 };
    const bool       is_order = ask == ENX_JOBS_ADD || ask == ENX_JOBS_APPROVE;
    enx_jobs_request r = { .ask = ask,
                           .id = own->job,
                           .waits = true,
                           .revives = true,
                           .body = is_order ? job_order(own->object) : NULL,
                           .key = own->key,
                           .reply = slot->reply = enx_reply_open() };
    snprintf(r.once, sizeof r.once, "%s", text_of(own->object, "id")); /* (4) */
    if (slot->reply) enx_reply_on_news(slot->reply, on_news, NULL, b);
    const bool is_asked = slot->reply && enx_jobs_submit(b->options.jobs, &r, &report) == ENX_OK;
    json_decref(r.body);
    if (is_asked) return true;
    enx_reply_drop(&slot->reply);
    fail_batch(b, own, "no memory for the job");
    return false;
}

/* The job is there: keep its number, then wait for its end; one of before may have to go on. */
static bool take_job(enx_batches *b, batch *own, const json_t *answer, bool is_new)
{
    enx_report report = { 0 };
    own->job = (uint64_t)json_integer_value(json_object_get(answer, "id"));
    pthread_mutex_lock(&b->lock);
    json_object_set_new(own->object, "enxame", json_pack("{s:I}", "job", (json_int_t)own->job));
    const enx_status status = save_object(b, text_of(own->object, "id"), own->object, &report);
    pthread_mutex_unlock(&b->lock);
    if (status == ENX_OK) return ask_job(b, own, is_new ? ENX_JOBS_GET : ENX_JOBS_APPROVE);
    fail_batch(b, own, report.text);
    return false;
}

/* All of a job that has ended: answers to a file, the rest into the object. */
static void take_end(enx_batches *b, batch *own, const json_t *job)
{
    size_t        i;
    json_t       *record;
    const char   *state = text_of(job, "state");
    const json_t *records = json_object_get(json_object_get(job, "result"), "records");
    const json_t *error = json_object_get(job, "error");
    char          path[PATH_BYTES_MAX];
    bool          is_kept = true;
    path_of(b, text_of(own->object, "id"), ".out", path);
    unlink(path); /* a part of it, written before a crash */
    json_array_foreach (records, i, record)
        is_kept &=
            append_line(b, text_of(own->object, "id"), ".out", json_incref(record)) == ENX_OK;
    pthread_mutex_lock(&b->lock);
    json_object_set_new(own->object, "enxame",
                        json_pack("{s:I, s:s, s:O?, s:O?, s:O?}", "job", (json_int_t)own->job,
                                  "state", state, "plan", json_object_get(job, "plan"),
                                  "certificate", json_object_get(job, "certificate"), "bill",
                                  json_object_get(job, "bill")));
    json_t *counts = json_object_get(own->object, "request_counts");
    json_object_set_new(counts, "completed", json_integer((json_int_t)json_array_size(records)));
    pthread_mutex_unlock(&b->lock);
    if (!is_kept) fail_batch(b, own, "the answers cannot be written");
    else if (strcmp(state, "done") != 0 && !own->is_canceled)
        fail_batch(b, own, error ? text_of(error, "text") : "the job did not end well");
}

/* Nobody wants the job any more: what waits for it is answered when it has stopped. */
static void cancel_job(enx_batches *b, batch *own)
{
    if (!own->is_canceled || !own->job || own->is_told) return;
    own->is_told = true;
    enx_reply             *reply = enx_reply_open();
    const enx_jobs_request r = {
        .ask = ENX_JOBS_CANCEL, .id = own->job, .key = own->key, .reply = reply
    };
    if (reply) (void)!enx_jobs_submit(b->options.jobs, &r, NULL);
    enx_reply_drop(&reply);
}

/* False: there is nothing more to wait for. */
static bool take_job_answer(enx_batches *b, batch *own)
{
    batch_line *slot = &own->flight[0];
    size_t      size = 0;
    const int   code = enx_reply_status(slot->reply);
    char       *bytes = enx_reply_take_whole(slot->reply, &size);
    json_t     *answer = bytes ? json_loadb(bytes, size, 0, NULL) : NULL;
    bool        is_waiting = false;
    enx_mem_free(bytes);
    enx_reply_leave(slot->reply);
    enx_reply_drop(&slot->reply);
    if (own->job == 0 && (code == 201 || code == 200))
        is_waiting = take_job(b, own, answer, code == 201);
    else if (own->job && (code == 202 || code == 409)) is_waiting = ask_job(b, own, ENX_JOBS_GET);
    else if (own->job && code == 200) take_end(b, own, answer);
    else fail_batch(b, own, text_of(json_object_get(answer, "error"), "message"));
    json_decref(answer);
    return is_waiting;
}

/* As of work_slot: until an answer is waited for. */
static bool work_job(enx_batches *b, batch *own)
{
    batch_line *slot = &own->flight[0];
    if (!slot->reply && !ask_job(b, own, own->job ? ENX_JOBS_APPROVE : ENX_JOBS_ADD)) return false;
    cancel_job(b, own);
    while (enx_reply_poll(slot->reply, NULL, NULL) == ENX_REPLY_WHOLE)
        if (!take_job_answer(b, own)) return false;
    return true;
}

static bool work(enx_batches *b, batch *own)
{
    return own->is_job ? work_job(b, own) : work_lines(b, own);
}

/* ---- The ends of a batch -------------------------------------------------------------------- */

/* What was appended becomes a file of its own; its id goes under `key`. */
static void publish(enx_batches *b, const batch *own, const char *end, const char *key)
{
    char id[ID_BYTES_MAX], from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    path_of(b, text_of(own->object, "id"), end, from);
    if (!enx_file_exists(from)) return;
    new_id(b, "file-", id);
    path_of(b, id, "", to);
    enx_file file;
    size_t   size = 0;
    if (enx_file_map(&file, from, NULL) == ENX_OK) {
        size = file.size_bytes;
        enx_file_unmap(&file);
    }
    if (rename(from, to) != 0) return;
    json_t *object =
        file_json(id, size, "output.jsonl", "batch_output", text_of(own->object, "owner"));
    (void)!save_object(b, id, object, NULL);
    json_object_set_new(b->files, id, object);
    json_object_set_new(own->object, key, json_string(id));
}

static void end_batch(enx_batches *b, batch *own)
{
    const bool is_failed = !json_is_null(json_object_get(own->object, "errors"));
    pthread_mutex_lock(&b->lock); /* whoever was told that it is cancelling finds it cancelled */
    own->is_canceled |= strcmp(text_of(own->object, "status"), "cancelling") == 0;
    const char *state = own->is_canceled ? "cancelled" : is_failed ? "failed" : "completed";
    publish(b, own, ".out", "output_file_id");
    publish(b, own, ".bad", "error_file_id");
    json_object_set_new(own->object, "status", json_string(state));
    char when[ID_BYTES_MAX];
    snprintf(when, sizeof when, "%s_at", state);
    json_object_set_new(own->object, when,
                        json_integer((json_int_t)(enx_clock_wall_us() / US_PER_S)));
    (void)!save_object(b, text_of(own->object, "id"), own->object, NULL);
    pthread_mutex_unlock(&b->lock);
}

static void close_batch(batch *own)
{
    for (int i = 0; i < ENX_BATCH_FLIGHT; i++) {
        if (!own->flight[i].reply) continue;
        enx_reply_leave(own->flight[i].reply);
        enx_reply_drop(&own->flight[i].reply);
        json_decref(own->flight[i].line);
    }
    json_decref(own->object);
    json_decref(own->lines);
    json_decref(own->done);
    enx_mem_free(own);
}

static bool has_word(const enx_batches *b, const batch *own, const char *state)
{
    pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&b->lock);
    const bool has = strcmp(text_of(own->object, "status"), state) == 0;
    pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&b->lock);
    return has;
}

static void work_all(enx_batches *b)
{
    for (batch **at = &b->running; *at;) {
        batch *own = *at;
        own->is_canceled |= has_word(b, own, "cancelling");
        if (work(b, own)) {
            at = &own->next;
            continue;
        }
        *at = own->next;
        b->running_count--;
        b->has_news = true; /* there is room for another */
        end_batch(b, own);
        close_batch(own);
    }
}

/* Of those that wait the next that may run, or that is not wanted any more.  Under the lock. */
static batch *take_waiting(enx_batches *b)
{
    for (batch **at = &b->waiting; *at; at = &(*at)->next) {
        batch *own = *at;
        own->is_canceled |= strcmp(text_of(own->object, "status"), "cancelling") == 0;
        if (!own->is_canceled && b->running_count >= ENX_BATCH_RUNNING) continue;
        *at = own->next;
        return own;
    }
    return NULL;
}

/* (3) */
static void start_batch(enx_batches *b, batch *own)
{
    const char *id = text_of(own->object, "id");
    size_t      bad = 0, i;
    json_t     *line;
    own->done = json_object();
    own->lines =
        own->is_job ? json_array() : read_lines(b, text_of(own->object, "input_file_id"), "", &bad);
    json_t *answers = read_lines(b, id, ".out", &bad), *errors = read_lines(b, id, ".bad", &bad);
    json_array_extend(answers, errors);
    json_array_foreach (answers, i, line)
        json_object_set_new(own->done, text_of(line, "custom_id"), json_true());
    json_decref(answers);
    json_decref(errors);
    pthread_mutex_lock(&b->lock);
    if (strcmp(text_of(own->object, "status"), "cancelling") != 0) /* which came meanwhile */
        json_object_set_new(own->object, "status", json_string("in_progress"));
    json_object_set_new(own->object, "in_progress_at",
                        json_integer((json_int_t)(enx_clock_wall_us() / US_PER_S)));
    (void)!save_object(b, id, own->object, NULL);
    pthread_mutex_unlock(&b->lock);
    own->next = b->running;
    b->running = own;
    b->running_count++;
}

static void *run_batches(void *user)
{
    enx_batches *b = user;
    pthread_mutex_lock(&b->lock);
    while (!b->is_stopping) {
        while (!b->is_stopping && !b->has_news) pthread_cond_wait(&b->news, &b->lock);
        b->has_news = false;
        if (b->is_stopping) break;
        batch *next = take_waiting(b);
        if (next) b->has_news = true; /* look again for one more */
        pthread_mutex_unlock(&b->lock);
        if (next) start_batch(b, next);
        work_all(b);
        pthread_mutex_lock(&b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    while (b->running) {
        batch *own = b->running;
        b->running = own->next;
        close_batch(own);
    }
    return NULL;
}

/* ---- Multipart ------------------------------------------------------------------------------ */

static bool has_name(const char *head, size_t head_bytes, const char *key, const char *value)
{
    char        wanted[NAME_BYTES_MAX + 16];
    const int   size = snprintf(wanted, sizeof wanted, "%s=\"%s\"", key, value);
    const char *at = memmem(head, head_bytes, wanted, (size_t)size);
    return at && (at == head || at[-1] == ' ' || at[-1] == ';');
}

static void take_file_name(const char *head, size_t head_bytes, char *out)
{
    static const char key[] = "filename=\"";
    const char       *at = memmem(head, head_bytes, key, sizeof key - 1);
    size_t            size = 0;
    if (at) {
        at += sizeof key - 1;
        while (at + size < head + head_bytes && at[size] != '"' && size < NAME_BYTES_MAX - 1)
            size++;
        memcpy(out, at, size);
    }
    out[size] = '\0';
}

bool enx_multipart_find(const char *body, size_t body_bytes, const char *type, const char *field,
                        const char **content, size_t *content_bytes, char *file_name)
{
    char        border[128] = "\r\n--";
    const char *given = type ? strstr(type, "boundary=") : NULL;
    if (!given) return false;
    given += strlen("boundary=") + (given[strlen("boundary=")] == '"');
    const size_t name_size = strcspn(given, "\"; \r\n");
    if (name_size == 0 || name_size > 70) return false;
    memcpy(border + 4, given, name_size);
    const size_t border_size = 4 + name_size;
    const char  *end = body + body_bytes;
    const char *at = body_bytes >= border_size - 2 && memcmp(body, border + 2, border_size - 2) == 0
                         ? body + border_size - 2
                         : NULL;
    while (at) {
        const char *head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        if (!head_end) return false;
        const char *start = head_end + 4;
        const char *stop = memmem(start, (size_t)(end - start), border, border_size);
        if (!stop) return false;
        if (has_name(at, (size_t)(head_end - at), "name", field)) {
            *content = start;
            *content_bytes = (size_t)(stop - start);
            if (file_name) take_file_name(at, (size_t)(head_end - at), file_name);
            return true;
        }
        at = stop + border_size;
    }
    return false;
}

/* ---- Files ---------------------------------------------------------------------------------- */

static const char *name_of(const enx_key *key) { return key ? enx_key_name(key) : ""; }

static const char *owner_of(const enx_exchange *x) { return name_of(x->key); }

static json_t *find_owned(const json_t *all, const char *id, const char *owner)
{
    json_t *object = json_object_get(all, id);
    return object && strcmp(text_of(object, "owner"), owner) == 0 ? object : NULL;
}

/* An object of this client's; NULL: there is none. */
static json_t *find_object(const json_t *all, const char *id, const enx_exchange *x)
{
    return find_owned(all, id, owner_of(x));
}

enx_status enx_batches_read(void *batches, const char *id, const void *key, enx_buf *out,
                            enx_report *report)
{
    enx_batches *b = batches;
    char         path[PATH_BYTES_MAX];
    pthread_mutex_lock(&b->lock);
    const bool is_there = find_owned(b->files, id, name_of(key)) != NULL;
    pthread_mutex_unlock(&b->lock);
    if (!is_there) return ENX_FAIL(report, NOTFOUND, "there is no file %.60s", id);
    path_of(b, id, "", path);
    return enx_file_read(out, path, report);
}

static void list_objects(const json_t *all, enx_exchange *x)
{
    json_t     *data = json_array(), *object;
    const char *id;
    json_object_foreach ((json_t *)(uintptr_t)all, id, object)
        if (find_object(all, id, x)) json_array_append(data, object);
    answer_json(x, json_pack("{s:s, s:o, s:b}", "object", "list", "data", data, "has_more", 0));
}

static bool is_purpose(const char *text, size_t size)
{
    return (size == 5 && memcmp(text, "batch", 5) == 0) ||
           (size == 9 && memcmp(text, "user_data", 9) == 0);
}

static void add_file(enx_batches *b, enx_exchange *x)
{
    char        id[ID_BYTES_MAX], path[PATH_BYTES_MAX], name[NAME_BYTES_MAX] = "";
    const char *type = enx_exchange_header(x, "Content-Type"), *content = NULL, *purpose = NULL;
    size_t      size = 0, purpose_size = 0;
    enx_report  report = { 0 };
    const char *body = enx_buf_text(&x->body);
    if (!enx_multipart_find(body, x->body.size_bytes, type, "file", &content, &size, name) ||
        !enx_multipart_find(body, x->body.size_bytes, type, "purpose", &purpose, &purpose_size,
                            NULL) ||
        !is_purpose(purpose, purpose_size)) {
        answer_error(x, 400,
                     "multipart/form-data with file, and purpose batch or user_data, is needed");
        return;
    }
    if (json_object_size(b->files) >= ENX_BATCH_FILES_MAX) {
        answer_error(x, 400, "there are too many files; delete some");
        return;
    }
    new_id(b, "file-", id);
    path_of(b, id, "", path);
    json_t *object =
        file_json(id, size, name, purpose_size == 5 ? "batch" : "user_data", owner_of(x));
    if (enx_file_write(path, content, size, &report) != ENX_OK ||
        save_object(b, id, object, &report) != ENX_OK) {
        answer_error(x, 503, report.text);
        json_decref(object);
        return;
    }
    json_object_set(b->files, id, object);
    answer_json(x, object);
}

static void show_content(const enx_batches *b, const char *id, enx_exchange *x)
{
    char    path[PATH_BYTES_MAX];
    enx_buf text;
    path_of(b, id, "", path);
    enx_buf_init(&text, ENX_REPLY_BYTES_MAX);
    if (enx_file_read(&text, path, NULL) == ENX_OK)
        enx_exchange_answer(x, 200, "application/jsonl", enx_buf_text(&text), text.size_bytes);
    else answer_error(x, 503, "the file cannot be read");
    enx_buf_deinit(&text);
}

static void delete_file(enx_batches *b, const char *id, enx_exchange *x)
{
    char path[PATH_BYTES_MAX];
    path_of(b, id, "", path);
    unlink(path);
    path_of(b, id, ".json", path);
    unlink(path);
    answer_json(x, json_pack("{s:s, s:s, s:b}", "id", id, "object", "file", "deleted", 1));
    json_object_del(b->files, id);
}

/* `rest` is what comes after /v1/files: "", "/ID" or "/ID/content". */
static void serve_files(enx_batches *b, enx_exchange *x, const char *rest)
{
    char         id[ID_BYTES_MAX] = "";
    const bool   is_get = strcmp(x->method, "GET") == 0;
    const size_t size = *rest == '/' ? strcspn(rest + 1, "/") : 0;
    if (size < sizeof id) memcpy(id, rest + (*rest == '/'), size);
    const char *tail = rest + size + (*rest == '/');
    if (!*rest && is_get) list_objects(b->files, x);
    else if (!*rest && strcmp(x->method, "POST") == 0) add_file(b, x);
    else if (!find_object(b->files, id, x)) answer_error(x, 404, "there is no such file");
    else if (!*tail && is_get) answer_json(x, json_incref(json_object_get(b->files, id)));
    else if (!*tail && strcmp(x->method, "DELETE") == 0) delete_file(b, id, x);
    else if (strcmp(tail, "/content") == 0 && is_get) show_content(b, id, x);
    else answer_error(x, 404, "there is no such path");
}

/* ---- Batches -------------------------------------------------------------------------------- */

static bool is_job(const json_t *object)
{
    return strcmp(text_of(object, "endpoint"), job_endpoint) == 0;
}

static batch *open_batch(json_t *object, const void *key)
{
    batch *own = ENX_MEM_NEW(batch, 1);
    if (!own) return NULL;
    const json_t *job = json_object_get(json_object_get(object, "enxame"), "job");
    *own = (batch){ .object = json_incref(object),
                    .key = key,
                    .job = (uint64_t)json_integer_value(job),
                    .is_job = is_job(object) };
    return own;
}

/* Under the lock. */
static void add_waiting(enx_batches *b, batch *own)
{
    batch **at = &b->waiting;
    while (*at) at = &(*at)->next;
    *at = own;
    b->has_news = true;
    pthread_cond_signal(&b->news);
}

static json_t *batch_json(const char *id, const json_t *body, size_t lines, const char *owner)
{
    const json_int_t now = (json_int_t)(enx_clock_wall_us() / US_PER_S);
    json_t          *metadata = json_object_get(body, "metadata");
    const char      *endpoint = text_of(body, "endpoint"), *file = text_of(body, "input_file_id");
    json_t *out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "object", "batch",
                            "endpoint", endpoint, "input_file_id", file, "completion_window", "24h",
                            "status", "validating", "owner", owner);
    json_t *rest = json_pack("{s:n, s:n, s:n, s:n, s:n, s:O?}", "errors", "output_file_id",
                             "error_file_id", "completed_at", "cancelled_at", "metadata", metadata);
    json_t *times = json_pack("{s:I, s:n, s:I, s:{s:I, s:i, s:i}}", "created_at", now,
                              "in_progress_at", "expires_at", now + DAY_S, "request_counts",
                              "total", (json_int_t)lines, "completed", 0, "failed", 0);
    json_object_update(out, rest);
    json_object_update(out, times);
    json_decref(rest);
    json_decref(times);
    return out;
}

static bool has_ended(const json_t *object)
{
    static const char *const states[] = { "completed", "failed", "cancelled" };
    const char              *state = text_of(object, "status");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i], state) == 0) return true;
    return false;
}

/* Batches that have not ended, of all and of one owner; *oldest: an id that has, or NULL. */
static void count_batches(const enx_batches *b, const char *owner, size_t *open, size_t *own,
                          const char **oldest)
{
    const char *id;
    json_t     *object;
    *open = *own = 0;
    *oldest = NULL;
    json_object_foreach (b->all, id, object) {
        const bool is_open = !has_ended(object);
        *open += is_open;
        *own += is_open && strcmp(text_of(object, "owner"), owner) == 0;
        if (!is_open && (!*oldest || strcmp(id, *oldest) < 0)) *oldest = id;
    }
}

static enx_status make_room(enx_batches *b, const char *owner, enx_report *report)
{
    size_t      open = 0, own = 0;
    const char *oldest = NULL;
    char        path[PATH_BYTES_MAX];
    count_batches(b, owner, &open, &own, &oldest);
    if (open >= ENX_BATCH_OPEN_MAX || own >= ENX_BATCH_OPEN_EACH)
        return ENX_FAIL(report, BUDGET,
                        "%zu batches have not ended, %zu of them yours; there may be %d, %d of a "
                        "key: try again when one has",
                        open, own, ENX_BATCH_OPEN_MAX, ENX_BATCH_OPEN_EACH);
    if (json_object_size(b->all) < ENX_BATCH_KEPT_MAX || !oldest) return ENX_OK;
    path_of(b, oldest, ".json", path);
    unlink(path);
    json_object_del(b->all, oldest);
    return ENX_OK;
}

/* How many lines there are to work on, judged before the batch is taken. */
static enx_status count_lines(enx_batches *b, const json_t *body, const enx_exchange *x,
                              size_t *count, enx_report *report)
{
    const char *file = text_of(body, "input_file_id"), *endpoint = text_of(body, "endpoint");
    size_t      bad = 0;
    if (!find_object(b->files, file, x))
        return ENX_FAIL(report, INVALID, "input_file_id: no such file");
    if (is_job(body) && !b->options.jobs)
        return ENX_FAIL(report, INVALID, "endpoint: this server has no swarm to do jobs");
    if (!is_job(body) && strncmp(endpoint, "/v1/", 4) != 0)
        return ENX_FAIL(report, INVALID, "endpoint: /v1/chat/completions, for one, is needed");
    json_t *lines = read_lines(b, file, "", &bad);
    *count = json_array_size(lines);
    json_decref(lines);
    if (bad == 0 && *count > 0 && *count <= ENX_BATCH_LINES_MAX) return ENX_OK;
    return ENX_FAIL(report, INVALID, "the file must hold JSON objects, one a line, at most %d",
                    ENX_BATCH_LINES_MAX);
}

static enx_status start(enx_batches *b, const json_t *body, enx_exchange *x, json_t **object,
                        enx_report *report)
{
    char   id[ID_BYTES_MAX];
    size_t count = 0;
    ENX_TRY(make_room(b, owner_of(x), report));
    ENX_TRY(count_lines(b, body, x, &count, report));
    new_id(b, "batch_", id);
    *object = batch_json(id, body, count, owner_of(x));
    ENX_TRY(save_object(b, id, *object, report));
    batch *own = open_batch(*object, x->key);
    if (!own) return ENX_FAIL(report, NOMEM, "no memory for a batch");
    json_object_set(b->all, id, *object);
    add_waiting(b, own);
    return ENX_OK;
}

static void add_batch(enx_batches *b, enx_exchange *x)
{
    json_t    *body = NULL, *object = NULL;
    enx_report report = { 0 };
    enx_status status =
        enx_api_json_load(&body, enx_buf_text(&x->body), x->body.size_bytes, &report);
    if (status == ENX_OK) status = start(b, body, x, &object, &report);
    if (status == ENX_OK) answer_json(x, json_deep_copy(object));
    else answer_error(x, enx_status_http(report.status), report.text);
    json_decref(object);
    json_decref(body);
}

static void cancel_batch(json_t *object, enx_batches *b, enx_exchange *x)
{
    if (!has_ended(object)) {
        json_object_set_new(object, "status", json_string("cancelling"));
        b->has_news = true;
        pthread_cond_signal(&b->news);
    }
    answer_json(x, json_deep_copy(object));
}

static void serve_batches(enx_batches *b, enx_exchange *x, const char *rest)
{
    char         id[ID_BYTES_MAX] = "";
    const bool   is_get = strcmp(x->method, "GET") == 0, is_post = strcmp(x->method, "POST") == 0;
    const size_t size = *rest == '/' ? strcspn(rest + 1, "/") : 0;
    if (size < sizeof id) memcpy(id, rest + (*rest == '/'), size);
    const char *tail = rest + size + (*rest == '/');
    json_t     *object = find_object(b->all, id, x);
    if (!*rest && is_get) list_objects(b->all, x);
    else if (!*rest && is_post) add_batch(b, x);
    else if (!object) answer_error(x, 404, "there is no such batch");
    else if (!*tail && is_get) answer_json(x, json_deep_copy(object));
    else if (strcmp(tail, "/cancel") == 0 && is_post) cancel_batch(object, b, x);
    else answer_error(x, 404, "there is no such path");
}

void enx_batches_serve(enx_batches *b, enx_exchange *x)
{
    static const char files[] = "/v1/files", batches[] = "/v1/batches";
    pthread_mutex_lock(&b->lock);
    if (strncmp(x->path, files, sizeof files - 1) == 0)
        serve_files(b, x, x->path + sizeof files - 1);
    else serve_batches(b, x, x->path + sizeof batches - 1);
    pthread_mutex_unlock(&b->lock);
}

/* ---- Opening -------------------------------------------------------------------------------- */

/* Go on with a batch that was under way; one whose key is gone ends. */
static void resume(enx_batches *b, json_t *object)
{
    const char    *owner = text_of(object, "owner"), *id = text_of(object, "id");
    const enx_key *key = b->options.keys && *owner ? enx_keys_named(b->options.keys, owner) : NULL;
    size_t         bad = 0;
    batch         *own = open_batch(object, key);
    if (!own) return;
    own->is_canceled = *owner && !key;
    json_t *counts = json_object_get(object, "request_counts");
    if (!own->is_job) {
        json_t *answers = read_lines(b, id, ".out", &bad),
               *errors = read_lines(b, id, ".bad", &bad);
        json_object_set_new(counts, "completed",
                            json_integer((json_int_t)json_array_size(answers)));
        json_object_set_new(counts, "failed", json_integer((json_int_t)json_array_size(errors)));
        json_decref(answers);
        json_decref(errors);
    }
    add_waiting(b, own);
}

static void load_object(enx_batches *b, const char *name)
{
    char         path[PATH_BYTES_MAX], id[ID_BYTES_MAX] = "";
    enx_buf      text;
    json_t      *object = NULL;
    const size_t size = strlen(name);
    const bool   is_file = strncmp(name, "file-", 5) == 0;
    if (size <= 5 || size - 5 >= sizeof id || strcmp(name + size - 5, ".json") != 0 ||
        (!is_file && strncmp(name, "batch_", 6) != 0))
        return;
    memcpy(id, name, size - 5);
    path_of(b, id, ".json", path);
    enx_buf_init(&text, 1 << 20);
    if (enx_file_read(&text, path, NULL) == ENX_OK &&
        enx_api_json_load(&object, enx_buf_text(&text), text.size_bytes, NULL) == ENX_OK) {
        json_object_set(is_file ? b->files : b->all, id, object);
        json_decref(object);
    }
    enx_buf_deinit(&text);
}

static void load_all(enx_batches *b)
{
    DIR        *folder = opendir(b->options.folder);
    const char *id;
    json_t     *object;
    if (!folder) return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        load_object(b, entry->d_name);
    closedir(folder);
    json_object_foreach (b->all, id, object)
        if (!has_ended(object)) resume(b, object);
}

enx_status enx_batches_open(enx_batches **out, const enx_batches_options *options,
                            enx_report *report)
{
    enx_batches *b = ENX_MEM_NEW(enx_batches, 1);
    if (!b) return ENX_FAIL(report, NOMEM, "no memory for batches");
    b->options = *options;
    b->files = json_object();
    b->all = json_object();
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->news, NULL);
    enx_status status = enx_dir_make(options->folder, report);
    if (status == ENX_OK) {
        load_all(b);
        const int error = pthread_create(&b->thread, NULL, run_batches, b);
        b->is_started = error == 0;
        if (error) status = ENX_FAIL(report, NOMEM, "no thread: %s", strerror(error));
    }
    if (status != ENX_OK) {
        enx_batches_close(&b);
        return status;
    }
    *out = b;
    return ENX_OK;
}

void enx_batches_stop(enx_batches *b)
{
    pthread_mutex_lock(&b->lock);
    b->is_stopping = true;
    b->has_news = true;
    pthread_cond_signal(&b->news);
    pthread_mutex_unlock(&b->lock);
    if (b->is_started) pthread_join(b->thread, NULL);
    b->is_started = false;
}

void enx_batches_close(enx_batches **out)
{
    enx_batches *b = *out;
    *out = NULL;
    if (!b) return;
    enx_batches_stop(b);
    while (b->waiting) {
        batch *own = b->waiting;
        b->waiting = own->next;
        close_batch(own);
    }
    json_decref(b->files);
    json_decref(b->all);
    pthread_cond_destroy(&b->news);
    pthread_mutex_destroy(&b->lock);
    enx_mem_free(b);
}
