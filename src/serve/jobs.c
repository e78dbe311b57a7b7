/* SPDX-License-Identifier: Apache-2.0 */
/* jobs.c - one thread with a store's handle, children and watchers.
 *
 * (1) A message is in the queue, or handled; a reply is answered once, by the thread.
 * (2) What a watcher is told comes from the store alone, in the order of the records' numbers.
 * (3) A job is started by at most one child of ours at a time; another process that works on it is
 *     found out by the child, which then ends at once. */
#include "serve/jobs.h"

#include "base/check.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "serve/job_account.h"
#include "serve/job_view.h"
#include "serve/voice.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static const double nano_per_usd = 1e9;

enum {
    TURN_MS = 50, /* between two looks at the store while somebody watches or works */
    KEEP_US = 15000000,
    CHARGE_US = 1000000, /* between two charges of what jobs have cost */
    ARGUMENTS_MAX = 8,
    WORD_BYTES_MAX = 32,
    PATH_BYTES_MAX = 4200,
    NANO_PER_MS = 1000000,
};

typedef struct jobs_message {
    struct jobs_message *next;
    enx_jobs_request     request; /* its reply is held */
    enx_turn            *turn;    /* owned; NULL: `request` */
} jobs_message;

typedef struct jobs_watcher {
    struct jobs_watcher *next;
    uint64_t             id, seq; /* told up to this record */
    enx_reply           *reply;   /* a reference */
    enx_store           *store;   /* borrowed */
    uint64_t             told_us;
    enx_event_names      names; /* as far as they were needed */
    bool                 is_told_waiting;
    bool                 is_whole; /* no stream: waits for the job, to be told all of it */
} jobs_watcher;

typedef struct jobs_child {
    struct jobs_child *next;
    uint64_t           id;
    pid_t              pid;  /* 0: it waits for its turn */
    enx_turn          *turn; /* owned: who waits for the answer; NULL: nobody */
    double             budget_usd;
    bool               plans_only, is_canceled;
    char               early[WORD_BYTES_MAX];
} jobs_child;

struct enx_jobs {
    enx_jobs_options  options;
    enx_store        *store;
    enx_job_accounts *accounts;
    pthread_t         thread;
    bool              is_started;
    pthread_mutex_t   lock;
    pthread_cond_t    news;
    jobs_message     *queue, **queue_end;
    uint32_t          running;
    bool              is_stopping;
    /* The thread's. */
    jobs_watcher     *watchers;
    jobs_child       *children;
    json_t           *waiting; /* {"12": true}: planned, and wait for approval */
    uint64_t          next_file, charged_us;
};

/* ---- Small things --------------------------------------------------------------------------- */

static void answer_error(enx_reply *reply, int http_status, const char *message)
{
    enx_voice_refuse(&enx_voice_chat, reply, http_status, message);
}

static void answer_report(enx_reply *reply, const enx_report *report)
{
    answer_error(reply, enx_status_http(report->status), report->text);
}

static const char *word(uint64_t id, char out[WORD_BYTES_MAX])
{
    snprintf(out, WORD_BYTES_MAX, "%llu", (unsigned long long)id);
    return out;
}

static bool waits(const enx_jobs *jobs, uint64_t id)
{
    char key[WORD_BYTES_MAX];
    return json_object_get(jobs->waiting, word(id, key)) != NULL;
}

static void set_waiting(enx_jobs *jobs, uint64_t id, bool is_waiting)
{
    char key[WORD_BYTES_MAX];
    if (is_waiting) json_object_set_new(jobs->waiting, word(id, key), json_true());
    else json_object_del(jobs->waiting, word(id, key));
}

static jobs_child *find_child(const enx_jobs *jobs, uint64_t id)
{
    jobs_child *child = jobs->children;
    while (child && child->id != id) child = child->next;
    return child;
}

/* A list, as one key sees it. */
typedef struct jobs_sight {
    enx_jobs      *jobs;
    const enx_key *key;
} jobs_sight;

/* What the store calls partial waits for approval, or for its child; jobs without records run. */
static const char *state_of(void *user, uint64_t id, const char *stored)
{
    const enx_jobs *jobs = user;
    if (find_child(jobs, id)) return "running";
    return waits(jobs, id) ? "waiting" : stored;
}

static const char *shown_state(void *user, uint64_t id, const char *stored)
{
    const jobs_sight *sight = user;
    if (!enx_job_accounts_shows(sight->jobs->accounts, id, sight->key)) return NULL;
    return state_of(sight->jobs, id, stored);
}

static bool is_over(const char *shown)
{
    return strcmp(shown, "waiting") != 0 && strcmp(shown, "running") != 0;
}

static void result_path(const enx_jobs *jobs, uint64_t id, char out[PATH_BYTES_MAX])
{
    snprintf(out, PATH_BYTES_MAX, "%s/job-%llu.json", jobs->options.folder, (unsigned long long)id);
}

/* What the command printed: the first object of it; NULL: nothing that can be read. */
static json_t *read_result(const enx_jobs *jobs, uint64_t id)
{
    char    path[PATH_BYTES_MAX];
    enx_buf text;
    json_t *json = NULL;
    result_path(jobs, id, path);
    enx_buf_init(&text, ENX_JOBS_TEXT_BYTES_MAX);
    if (enx_file_exists(path) && enx_file_read(&text, path, NULL) == ENX_OK)
        json = json_loadb(enx_buf_text(&text), text.size_bytes, JSON_DISABLE_EOF_CHECK, NULL);
    enx_buf_deinit(&text);
    return json;
}

/* ---- Children ------------------------------------------------------------------------------- */

static enx_status spawn(enx_jobs *jobs, const char *const arguments[], const char *out, pid_t *pid,
                        enx_report *report)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t          attributes;
    sigset_t                   none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out, O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    /* A group of its own: Ctrl-C at the server's terminal is not meant for jobs. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    const int error = posix_spawn(pid, jobs->options.program, &actions, &attributes,
                                  (char *const *)(uintptr_t)arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0) return ENX_OK;
    return ENX_FAIL(report, IO, "cannot start %s: %s", jobs->options.program, strerror(error));
}

static enx_status start_child(enx_jobs *jobs, jobs_child *child, enx_report *report)
{
    char        id[WORD_BYTES_MAX], budget[WORD_BYTES_MAX], out[PATH_BYTES_MAX];
    const char *arguments[ARGUMENTS_MAX] = { "enxame", "resume", id, "--json" };
    int         count = 4;
    word(child->id, id);
    if (child->plans_only) arguments[count++] = "--plan-only";
    if (child->budget_usd > 0) {
        snprintf(budget, sizeof budget, "--budget=%.9f", child->budget_usd);
        arguments[count++] = budget;
    }
    result_path(jobs, child->id, out);
    return spawn(jobs, arguments, out, &child->pid, report);
}

/* The swarm's answer to whoever asked by chat. */
static void finish_turn(enx_jobs *jobs, jobs_child *child)
{
    enx_turn     *t = child->turn;
    json_t       *result = read_result(jobs, child->id);
    const json_t *text = json_object_get(result, "answer");
    const json_t *bill = json_object_get(result, "bill");
    enx_report    why = { .status = ENX_CANCELED };
    t->answers[0].usage =
        (enx_usage_count){ (uint64_t)json_integer_value(json_object_get(bill, "tokens_in")),
                           (uint64_t)json_integer_value(json_object_get(bill, "tokens_cached")),
                           (uint64_t)json_integer_value(json_object_get(bill, "tokens_out")) };
    t->prompt_tokens = t->answers[0].usage.tokens_in + t->answers[0].usage.tokens_cached;
    t->has_price = true;
    t->more_usd_nano =
        (uint64_t)llround(json_number_value(json_object_get(bill, "cost_usd")) * nano_per_usd);
    t->extra = json_pack("{s:I, s:O?, s:O?, s:O?, s:O?}", "job", (json_int_t)child->id, "state",
                         json_object_get(result, "state"), "plan", json_object_get(result, "plan"),
                         "certificate", json_object_get(result, "certificate"), "bill", bill);
    if (json_is_string(text)) {
        enx_turn_push(t, 0, json_string_value(text), json_string_length(text));
        enx_turn_finish(t, 0, ENX_END_STOP);
    } else {
        const json_t *error = json_object_get(json_object_get(result, "error"), "message");
        if (!error) error = json_object_get(result, "error");
        snprintf(why.text, sizeof why.text, "job %llu gave no answer: %s",
                 (unsigned long long)child->id,
                 json_is_string(error) ? json_string_value(error) : "it was stopped");
        enx_turn_fail(t, &why);
    }
    json_decref(result);
    enx_turn_close(&child->turn);
}

static enx_status take_cost(void *user, const enx_store_job *row, enx_report *report)
{
    enx_jobs      *jobs = user;
    const uint64_t tokens = row->tokens_in + row->tokens_cached + row->tokens_out;
    const bool     is_ended = !find_child(jobs, row->id) && strcmp(row->state, "running") != 0;
    (void)report;
    enx_job_accounts_charge(jobs->accounts, row->id, row->cost_usd_nano, tokens, is_ended);
    return ENX_OK;
}

static void charge_jobs(enx_jobs *jobs)
{
    const uint64_t now_us = enx_clock_monotonic_us();
    if (now_us - jobs->charged_us < CHARGE_US) return;
    jobs->charged_us = now_us;
    for (uint64_t id = 0; (id = enx_job_accounts_open_from(jobs->accounts, id + 1)) != 0;)
        (void)!enx_store_job_get(jobs->store, id, take_cost, jobs, NULL);
}

static void end_child(enx_jobs *jobs, jobs_child *child)
{
    char state[WORD_BYTES_MAX] = "";
    (void)!enx_job_view_state(jobs->store, child->id, state, sizeof state, NULL);
    if (child->is_canceled && strcmp(state, "done") != 0)
        (void)!enx_store_job_set_state(jobs->store, child->id, "canceled", enx_clock_wall_us(),
                                       NULL);
    else if (child->plans_only && strcmp(state, "partial") == 0) set_waiting(jobs, child->id, true);
    else if (strcmp(state, "running") == 0) /* it died */
        (void)!enx_store_job_set_state(jobs->store, child->id, "partial", 0, NULL);
    (void)!enx_store_job_get(jobs->store, child->id, take_cost, jobs, NULL);
    if (child->turn) finish_turn(jobs, child);
}

static void reap(enx_jobs *jobs)
{
    for (jobs_child **at = &jobs->children; *at;) {
        jobs_child *child = *at;
        const bool  has_ended =
            child->pid ? waitpid(child->pid, NULL, WNOHANG) == child->pid : child->is_canceled;
        if (child->turn && !child->is_canceled && enx_reply_is_gone(child->turn->reply)) {
            child->is_canceled = true;
            if (child->pid) kill(child->pid, SIGINT);
        }
        if (!has_ended) {
            at = &child->next;
            continue;
        }
        *at = child->next;
        end_child(jobs, child);
        enx_mem_free(child);
    }
}

static void start_children(enx_jobs *jobs)
{
    uint32_t   running = 0;
    enx_report report = { 0 };
    for (const jobs_child *child = jobs->children; child; child = child->next)
        running += child->pid != 0;
    for (jobs_child *child = jobs->children; child; child = child->next) {
        if (child->pid || child->is_canceled || running >= jobs->options.running_max) continue;
        if (start_child(jobs, child, &report) == ENX_OK) running++;
        else child->is_canceled = true;
    }
    pthread_mutex_lock(&jobs->lock);
    jobs->running = running;
    pthread_mutex_unlock(&jobs->lock);
}

/* Last in, last to start. */
static jobs_child *add_child(enx_jobs *jobs, uint64_t id)
{
    jobs_child **at = &jobs->children;
    jobs_child  *child = ENX_MEM_NEW(jobs_child, 1);
    if (!child) return NULL;
    child->id = id;
    while (*at) at = &(*at)->next;
    *at = child;
    return child;
}

/* ---- Orders --------------------------------------------------------------------------------- */

/* What an order needs while it is given. */
typedef struct jobs_form {
    enx_job_order  order;
    const enx_key *key;
    const json_t  *body;
    enx_buf        recipe; /* of a file */
    char           in[PATH_BYTES_MAX], out[PATH_BYTES_MAX];
    bool           approve;
} jobs_form;

static enx_status append_records(const json_t *body, bool needs_text, enx_buf *lines,
                                 enx_report *report)
{
    size_t        i;
    json_t       *record;
    const json_t *records = json_object_get(body, "records");
    if (json_array_size(records) > ENX_JOBS_RECORDS_MAX)
        return ENX_FAIL(report, LIMIT, "records: at most %d", ENX_JOBS_RECORDS_MAX);
    json_array_foreach (records, i, record) {
        if (!json_is_object(record) ||
            (needs_text && !json_is_string(json_object_get(record, "text"))))
            return ENX_FAIL(report, INVALID, "records[%zu]: an object%s is needed", i,
                            needs_text ? " with a field text" : "");
        if (enx_voice_json(lines, json_incref(record)) != ENX_OK ||
            enx_buf_append(lines, "\n", 1) != ENX_OK)
            return ENX_FAIL(report, LIMIT, "records: more than %d bytes", ENX_JOBS_TEXT_BYTES_MAX);
    }
    return ENX_OK;
}

static enx_status read_file(enx_jobs *jobs, const jobs_form *f, const char *id, enx_buf *out,
                            enx_report *report)
{
    if (!jobs->options.file) return ENX_FAIL(report, NOTFOUND, "there are no files here");
    return jobs->options.file(jobs->options.files, id, f->key, out, report);
}

static enx_status write_records(enx_jobs *jobs, jobs_form *f, const char *file, enx_report *report)
{
    enx_buf                  lines;
    const unsigned long long stamp = enx_clock_wall_us(), number = jobs->next_file++;
    const char              *folder = jobs->options.folder;
    snprintf(f->in, sizeof f->in, "%s/records-%llu-%llu.jsonl", folder, stamp, number);
    snprintf(f->out, sizeof f->out, "%s/answers-%llu-%llu.jsonl", folder, stamp, number);
    enx_buf_init(&lines, ENX_JOBS_TEXT_BYTES_MAX);
    enx_status status = file ? read_file(jobs, f, file, &lines, report)
                             : append_records(f->body, f->order.goal != NULL, &lines, report);
    if (status == ENX_OK)
        status = enx_file_write(f->in, enx_buf_text(&lines), lines.size_bytes, report);
    enx_buf_deinit(&lines);
    return status;
}

/* One of goal, job and job_file_id says what is done. */
static enx_status read_task(enx_jobs *jobs, jobs_form *f, enx_report *report)
{
    const char   *file = NULL;
    const json_t *job = json_object_get(f->body, "job");
    if (json_is_null(job)) job = NULL;
    ENX_TRY(enx_question_text(f->body, "goal", &f->order.goal, report));
    ENX_TRY(enx_question_text(f->body, "job_file_id", &file, report));
    const bool has_goal = f->order.goal && f->order.goal[0];
    if (has_goal + (job != NULL) + (file != NULL) != 1)
        return ENX_FAIL(report, INVALID,
                        "one of goal, a text, job, what a job's file says, and job_file_id is "
                        "needed");
    if (json_is_object(job)) f->order.recipe = job;
    else if (json_is_string(job))
        f->order.recipe_text = (enx_span){ json_string_value(job), json_string_length(job) };
    else if (job) return ENX_FAIL(report, INVALID, "job: an object, or YAML in a text, is needed");
    if (!file) return ENX_OK;
    ENX_TRY(read_file(jobs, f, file, &f->recipe, report));
    f->order.recipe_text = (enx_span){ enx_buf_text(&f->recipe), f->recipe.size_bytes };
    return ENX_OK;
}

/* One of input, records and input_file_id says of what. */
static enx_status read_input(enx_jobs *jobs, jobs_form *f, enx_report *report)
{
    const char *text = NULL, *file = NULL;
    const bool  has_records = json_array_size(json_object_get(f->body, "records")) > 0;
    ENX_TRY(enx_question_text(f->body, "input", &text, report));
    ENX_TRY(enx_question_text(f->body, "input_file_id", &file, report));
    if ((text != NULL) + has_records + (file != NULL) != 1)
        return ENX_FAIL(report, INVALID,
                        "one of input, a text, records, an array, and input_file_id is needed");
    if (text && !f->order.goal)
        return ENX_FAIL(report, INVALID, "a job of a file wants records, or input_file_id");
    if (text) f->order.text = (enx_span){ text, strlen(text) };
    else f->order.command = "map";
    return text ? ENX_OK : write_records(jobs, f, file, report);
}

static enx_status read_order(enx_jobs *jobs, jobs_form *f, enx_report *report)
{
    enx_job_order *o = &f->order;
    ENX_TRY(enx_question_text(f->body, "mode", &o->mode, report));
    ENX_TRY(enx_question_number(f->body, "accuracy", 0, 0.999999, &o->accuracy, report));
    ENX_TRY(enx_question_number(f->body, "confidence", 0, 0.999999, &o->confidence, report));
    ENX_TRY(enx_question_number(f->body, "budget", 0, 1e9, &o->budget_usd, report));
    ENX_TRY(enx_question_count(f->body, "labels", 0, ENX_SWARM_ITEMS_MAX, &o->labels, report));
    ENX_TRY(enx_question_flag(f->body, "approve", &f->approve, report));
    ENX_TRY(read_task(jobs, f, report));
    return read_input(jobs, f, report);
}

static void tell_wait(enx_reply *reply, uint32_t wait_s)
{
    char text[WORD_BYTES_MAX];
    if (wait_s == 0) return;
    enx_reply_set_header(reply, "Retry-After", word(wait_s, text));
}

/* Put an order into the store, on the account of whoever gives it. */
static enx_status place_order(enx_jobs *jobs, enx_job_order *o, const enx_key *key,
                              enx_reply *reply, uint64_t *id, enx_report *report)
{
    uint64_t   held_usd_nano = 0;
    uint32_t   wait_s = 0;
    double     cap_usd = o->budget_usd;
    enx_status status =
        enx_job_accounts_hold(jobs->accounts, key, 0, &cap_usd, &held_usd_nano, &wait_s, report);
    tell_wait(reply, wait_s);
    o->share_usd = cap_usd;
    if (status != ENX_OK) return status;
    status = jobs->options.add(jobs->options.user, jobs->store, o, id, report);
    if (status == ENX_OK)
        status = enx_job_accounts_set(jobs->accounts, *id, key, held_usd_nano, report);
    if (status != ENX_OK) enx_job_accounts_give_back(jobs->accounts, key, held_usd_nano);
    return status;
}

/* The job that this request made before, if it did; its account may not have been written then. */
static enx_status find_made(enx_jobs *jobs, const enx_jobs_request *r, uint64_t *id,
                            enx_report *report)
{
    *id = 0;
    if (!r->once[0]) return ENX_OK;
    ENX_TRY(enx_store_job_find_any(jobs->store, r->once, id, report));
    return *id ? enx_job_accounts_set(jobs->accounts, *id, r->key, 0, report) : ENX_OK;
}

static enx_status add_job(enx_jobs *jobs, jobs_form *f, enx_reply *reply, uint64_t *id,
                          enx_report *report)
{
    ENX_TRY(read_order(jobs, f, report));
    ENX_TRY(place_order(jobs, &f->order, f->key, reply, id, report));
    jobs_child *child = add_child(jobs, *id);
    if (!child) return ENX_FAIL(report, NOMEM, "no memory for a job");
    child->plans_only = f->approve;
    return ENX_OK;
}

static void handle_add(enx_jobs *jobs, const enx_jobs_request *r)
{
    enx_report report = { 0 };
    uint64_t   id = 0;
    jobs_form *f = ENX_MEM_NEW(jobs_form, 1);
    if (!f) {
        answer_error(r->reply, 503, "no memory for a job");
        return;
    }
    f->order = (enx_job_order){ .command = "run", .in = f->in, .out = f->out, .once = r->once };
    f->key = r->key;
    f->body = r->body;
    enx_buf_init(&f->recipe, ENX_JOBS_RECIPE_BYTES_MAX);
    enx_status status = find_made(jobs, r, &id, &report);
    const bool is_new = id == 0;
    if (status == ENX_OK && is_new) status = add_job(jobs, f, r->reply, &id, &report);
    if (status == ENX_OK)
        enx_voice_answer(r->reply, is_new ? 201 : 200, json_pack("{s:I}", "id", (json_int_t)id));
    else answer_report(r->reply, &report);
    enx_buf_deinit(&f->recipe);
    enx_mem_free(f);
}

static json_t *read_lines(const char *path)
{
    enx_buf text;
    json_t *lines = json_array();
    enx_buf_init(&text, ENX_JOBS_TEXT_BYTES_MAX);
    if (path && enx_file_exists(path) && enx_file_read(&text, path, NULL) == ENX_OK) {
        const char *at = enx_buf_text(&text);
        for (const char *end; (end = strchr(at, '\n')) != NULL; at = end + 1)
            json_array_append_new(lines, json_loadb(at, (size_t)(end - at), 0, NULL));
    }
    enx_buf_deinit(&text);
    return lines;
}

/* {"text"} or {"records"}: what the job's command printed, or wrote. */
static json_t *result_json(const json_t *printed)
{
    json_t     *text = json_object_get(printed, "answer");
    const char *out = json_string_value(json_object_get(printed, "output"));
    if (text) return json_pack("{s:O}", "text", text);
    return out ? json_pack("{s:o}", "records", read_lines(out)) : json_null();
}

static void answer_job(enx_jobs *jobs, uint64_t id, enx_reply *reply)
{
    enx_report report = { 0 };
    json_t    *job = NULL, *items = json_array();
    if (!jobs->options.items ||
        jobs->options.items(jobs->options.user, jobs->store, id, items, NULL) != ENX_OK)
        json_array_clear(items);
    const enx_status status =
        enx_job_view_one(jobs->store, id, items, state_of, jobs, &job, &report);
    json_decref(items);
    if (status != ENX_OK) {
        answer_report(reply, &report);
        return;
    }
    json_t *printed = find_child(jobs, id) ? NULL : read_result(jobs, id);
    json_t *error = json_object_get(printed, "error");
    json_object_set_new(job, "result", result_json(printed));
    json_object_set_new(job, "error", error ? json_incref(error) : json_null());
    json_decref(printed);
    enx_voice_answer(reply, 200, job);
}

static void handle_list(enx_jobs *jobs, const enx_jobs_request *r)
{
    enx_report     report = { 0 };
    json_t        *list = NULL;
    jobs_sight     sight = { jobs, r->key };
    const uint64_t limit = r->limit && r->limit < ENX_JOBS_LIST_MAX ? r->limit : ENX_JOBS_LIST_MAX;
    if (enx_job_view_list(jobs->store, r->from, limit, shown_state, &sight, &list, &report) ==
        ENX_OK)
        enx_voice_answer(r->reply, 200, list);
    else answer_report(r->reply, &report);
}

/* Nobody of ours works on it: `enxame cancel` knows whether somebody else does. */
static bool cancel_elsewhere(enx_jobs *jobs, uint64_t id)
{
    char              text[WORD_BYTES_MAX];
    const char *const arguments[] = { "enxame", "cancel", text, NULL };
    pid_t             pid = 0;
    int               code = -1;
    word(id, text);
    if (spawn(jobs, arguments, "/dev/null", &pid, NULL) != ENX_OK) return false;
    return waitpid(pid, &code, 0) == pid && code == 0;
}

static void handle_cancel(enx_jobs *jobs, const enx_jobs_request *r)
{
    enx_report  report = { 0 };
    char        state[WORD_BYTES_MAX];
    jobs_child *child = find_child(jobs, r->id);
    if (enx_job_view_state(jobs->store, r->id, state, sizeof state, &report) != ENX_OK) {
        answer_report(r->reply, &report);
        return;
    }
    bool is_canceled = child != NULL;
    if (child) {
        child->is_canceled = true;
        if (child->pid) kill(child->pid, SIGINT);
    } else is_canceled = cancel_elsewhere(jobs, r->id);
    set_waiting(jobs, r->id, false);
    if (is_canceled)
        enx_voice_answer(r->reply, 200,
                         json_pack("{s:I, s:s}", "id", (json_int_t)r->id, "state", "canceled"));
    else answer_error(r->reply, 409, "the job has ended, or another process works on it");
}

/* Under a new cap, or the one that it has; on the account of its owner. */
static enx_status go_on(enx_jobs *jobs, const enx_jobs_request *r, double budget_usd,
                        enx_report *report)
{
    uint64_t       held_usd_nano = 0;
    uint32_t       wait_s = 0;
    const enx_key *key = enx_job_accounts_payer(jobs->accounts, r->id, r->key);
    if (budget_usd == 0) budget_usd = enx_job_view_budget_usd(jobs->store, r->id);
    enx_status status =
        enx_job_accounts_hold(jobs->accounts, key, enx_job_accounts_charged(jobs->accounts, r->id),
                              &budget_usd, &held_usd_nano, &wait_s, report);
    tell_wait(r->reply, wait_s);
    if (status != ENX_OK) return status;
    jobs_child *child = add_child(jobs, r->id);
    if (!child) status = ENX_FAIL(report, NOMEM, "no memory for a job");
    if (status == ENX_OK)
        status = enx_job_accounts_set(jobs->accounts, r->id, key, held_usd_nano, report);
    if (status == ENX_OK) child->budget_usd = budget_usd;
    else enx_job_accounts_give_back(jobs->accounts, key, held_usd_nano);
    if (status != ENX_OK && child) child->is_canceled = true;
    return status;
}

static void handle_approve(enx_jobs *jobs, const enx_jobs_request *r)
{
    enx_report report = { 0 };
    char       state[WORD_BYTES_MAX];
    double     budget_usd = 0;
    if (enx_job_view_state(jobs->store, r->id, state, sizeof state, &report) != ENX_OK ||
        enx_question_number(r->body, "budget", 0, 1e9, &budget_usd, &report) != ENX_OK) {
        answer_report(r->reply, &report);
        return;
    }
    const bool is_lost = r->revives && strcmp(state, "running") == 0 &&
                         !jobs->options.is_busy(jobs->options.user, r->id);
    if (find_child(jobs, r->id) || (strcmp(state, "partial") != 0 && !is_lost)) {
        answer_error(r->reply, 409, "the job does not wait for anything");
        return;
    }
    if (go_on(jobs, r, budget_usd, &report) != ENX_OK) {
        answer_report(r->reply, &report);
        return;
    }
    set_waiting(jobs, r->id, false);
    enx_voice_answer(r->reply, 202,
                     json_pack("{s:I, s:s}", "id", (json_int_t)r->id, "state", "running"));
}

/* ---- Watchers ------------------------------------------------------------------------------- */

/* NULL: the request is answered, by its error. */
static jobs_watcher *add_watcher(enx_jobs *jobs, const enx_jobs_request *r)
{
    enx_report    report = { 0 };
    char          state[WORD_BYTES_MAX];
    jobs_watcher *w = ENX_MEM_NEW(jobs_watcher, 1);
    if (!w || enx_job_view_state(jobs->store, r->id, state, sizeof state, &report) != ENX_OK) {
        if (w) answer_report(r->reply, &report);
        else answer_error(r->reply, 503, "no memory for a stream");
        enx_mem_free(w);
        return NULL;
    }
    *w =
        (jobs_watcher){ .id = r->id, .seq = r->from, .store = jobs->store, .next = jobs->watchers };
    w->reply = enx_reply_hold(r->reply);
    w->told_us = enx_clock_monotonic_us();
    return jobs->watchers = w;
}

static void handle_events(enx_jobs *jobs, const enx_jobs_request *r)
{
    const jobs_watcher *w = add_watcher(jobs, r);
    if (w) enx_reply_begin(w->reply, 200, "text/event-stream", true);
}

static void handle_get(enx_jobs *jobs, const enx_jobs_request *r)
{
    if (!r->waits) {
        answer_job(jobs, r->id, r->reply);
        return;
    }
    jobs_watcher *w = add_watcher(jobs, r);
    if (w) w->is_whole = true;
}

/* A job's models are written one by one before its first record, so a stream that began earlier
 * may have seen some of them; with a record all are there. */
static void learn_names(jobs_watcher *w)
{
    enx_job_view_names_close(&w->names);
    (void)!enx_job_view_names(w->store, w->id, &w->names, NULL);
}

static enx_status tell_record(void *user, const enx_record *record, enx_report *report)
{
    jobs_watcher *w = user;
    enx_buf       out;
    if (enx_reply_is_full(w->reply)) return ENX_FAIL(report, AGAIN, "the client reads slowly");
    if (record->model >= w->names.count) learn_names(w);
    enx_buf_init(&out, ENX_REPLY_BYTES_MAX);
    enx_status status = enx_buf_printf(&out, "id: %llu\ndata: ", (unsigned long long)record->seq);
    if (status == ENX_OK) status = enx_voice_json(&out, enx_event_json(record, &w->names));
    if (status == ENX_OK) status = enx_buf_append(&out, "\n\n", 2);
    if (status == ENX_OK && !enx_reply_push(w->reply, enx_buf_text(&out), out.size_bytes))
        status = ENX_FAIL(report, CANCELED, "the client is gone");
    enx_buf_deinit(&out);
    if (status != ENX_OK) return status;
    w->seq = record->seq;
    w->told_us = enx_clock_monotonic_us();
    return ENX_OK;
}

static void tell_state(jobs_watcher *w, const char *event, const char *state)
{
    char      text[128];
    const int size =
        snprintf(text, sizeof text, "event: %s\ndata: {\"state\":\"%s\"}\n\n", event, state);
    (void)enx_reply_push(w->reply, text, (size_t)size);
    w->told_us = enx_clock_monotonic_us();
}

static void keep_alive(jobs_watcher *w)
{
    static const char keep[] = ": keep\n\n";
    if (enx_clock_monotonic_us() - w->told_us < KEEP_US) return;
    (void)enx_reply_push(w->reply, keep, sizeof keep - 1);
    w->told_us = enx_clock_monotonic_us();
}

/* False: the stream is over. */
static bool tell_stream(enx_jobs *jobs, jobs_watcher *w, const char *shown)
{
    const bool       is_waiting = strcmp(shown, "waiting") == 0;
    const enx_status status =
        enx_store_replay_after(jobs->store, w->id, w->seq, tell_record, w, NULL);
    if (status == ENX_CANCELED) return false;
    if (status != ENX_OK) return true;
    if (is_over(shown)) {
        tell_state(w, "end", shown);
        return false;
    }
    if (is_waiting && !w->is_told_waiting) tell_state(w, "state", shown);
    w->is_told_waiting = is_waiting;
    keep_alive(w);
    return true;
}

/* False: there is nothing more to tell. */
static bool tell_watcher(enx_jobs *jobs, jobs_watcher *w)
{
    char state[WORD_BYTES_MAX] = "";
    if (enx_reply_is_gone(w->reply)) return false;
    /* The state first: what it speaks of is among the records that are read after it. */
    (void)!enx_job_view_state(jobs->store, w->id, state, sizeof state, NULL);
    const char *shown = state_of(jobs, w->id, state);
    if (!w->is_whole) return tell_stream(jobs, w, shown);
    if (strcmp(shown, "running") == 0) return true;
    answer_job(jobs, w->id, w->reply);
    return false;
}

static void close_watcher(jobs_watcher *w)
{
    if (w->is_whole && !enx_reply_has_begun(w->reply))
        answer_error(w->reply, 503, "the server is stopping");
    enx_job_view_names_close(&w->names);
    enx_reply_end(w->reply);
    enx_reply_drop(&w->reply);
    enx_mem_free(w);
}

static void tell_watchers(enx_jobs *jobs)
{
    for (jobs_watcher **at = &jobs->watchers; *at;) {
        jobs_watcher *w = *at;
        if (tell_watcher(jobs, w)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        close_watcher(w);
    }
}

/* ---- Turns ---------------------------------------------------------------------------------- */

/* Goal and text of the user's last message: its first paragraph, and the rest. */
static enx_status read_chat(const enx_question *q, enx_buf *goal, enx_span *text,
                            enx_report *report)
{
    const char *content = NULL;
    size_t      i;
    json_t     *message;
    if (q->tools && q->tool_choice != ENX_TOOL_NONE)
        return ENX_FAIL(report, UNSUPPORTED, "the swarm calls no tools of its clients");
    json_array_foreach (q->messages, i, message)
        if (strcmp(json_string_value(json_object_get(message, "role")), "user") == 0)
            content = json_string_value(json_object_get(message, "content"));
    const char *blank = content ? strstr(content, "\n\n") : NULL;
    const char *rest = blank ? blank + strspn(blank, "\n") : NULL;
    if (!rest || !*rest || blank == content)
        return ENX_FAIL(report, INVALID,
                        "the swarm needs a goal, an empty line, and a text, in the last message of "
                        "the user");
    *text = (enx_span){ rest, strlen(rest) };
    return enx_buf_append(goal, content, (size_t)(blank - content));
}

static enx_status start_turn(enx_jobs *jobs, enx_turn *t, enx_report *report)
{
    enx_job_order o = { .command = "run", .in = "", .out = "", .once = "" };
    enx_buf       goal;
    uint64_t      id = 0;
    if (!t->question->messages || t->question->is_count || t->question->answer_count > 1 ||
        t->question->schema || t->question->wants_json || t->question->wants_logprobs)
        return ENX_FAIL(report, UNSUPPORTED,
                        "the swarm answers chats: one answer, without schema "
                        "and logprobs");
    enx_buf_init(&goal, ENX_JOBS_TEXT_BYTES_MAX);
    enx_status status = read_chat(t->question, &goal, &o.text, report);
    o.goal = enx_buf_text(&goal);
    if (status == ENX_OK) status = place_order(jobs, &o, t->asker, t->reply, &id, report);
    jobs_child *child = status == ENX_OK ? add_child(jobs, id) : NULL;
    if (status == ENX_OK && !child) status = ENX_FAIL(report, NOMEM, "no memory for a job");
    enx_buf_deinit(&goal);
    if (status != ENX_OK) return status;
    snprintf(child->early, sizeof child->early, "{\"job\":%llu}", (unsigned long long)id);
    t->early_extra = child->early;
    status = enx_turn_start(t, false, report);
    if (status == ENX_OK) child->turn = t;
    else child->is_canceled = true;
    return status;
}

static void handle_turn(enx_jobs *jobs, enx_turn *turn)
{
    enx_report report = { 0 };
    if (start_turn(jobs, turn, &report) == ENX_OK) return;
    enx_turn_fail(turn, &report);
    enx_turn_close(&turn);
}

/* ---- The thread ----------------------------------------------------------------------------- */

static void drop_request(enx_jobs_request *r)
{
    json_decref(r->body);
    enx_reply_drop(&r->reply);
}

static void handle(enx_jobs *jobs, jobs_message *m)
{
    const enx_jobs_request *r = &m->request;
    if (m->turn) {
        handle_turn(jobs, m->turn);
    } else if (r->id && !enx_job_accounts_shows(jobs->accounts, r->id, r->key)) {
        answer_error(r->reply, 404, "there is no such job");
        drop_request(&m->request);
    } else {
        switch (r->ask) {
        case ENX_JOBS_LIST:
            handle_list(jobs, r);
            break;
        case ENX_JOBS_ADD:
            handle_add(jobs, r);
            break;
        case ENX_JOBS_GET:
            handle_get(jobs, r);
            break;
        case ENX_JOBS_CANCEL:
            handle_cancel(jobs, r);
            break;
        case ENX_JOBS_APPROVE:
            handle_approve(jobs, r);
            break;
        case ENX_JOBS_EVENTS:
            handle_events(jobs, r);
            break;
        }
        drop_request(&m->request);
    }
    enx_mem_free(m);
}

static void wait_for_news(enx_jobs *jobs)
{
    struct timespec until;
    if (jobs->queue || jobs->is_stopping) return;
    if (!jobs->watchers && !jobs->children && !enx_job_accounts_open_from(jobs->accounts, 0)) {
        pthread_cond_wait(&jobs->news, &jobs->lock);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += TURN_MS * NANO_PER_MS;
    until.tv_sec += until.tv_nsec / (NANO_PER_MS * 1000L);
    until.tv_nsec %= NANO_PER_MS * 1000L;
    pthread_cond_timedwait(&jobs->news, &jobs->lock, &until);
}

static void stop(enx_jobs *jobs)
{
    const enx_report why = { .status = ENX_CANCELED, .text = "the server is stopping" };
    while (jobs->watchers) {
        jobs_watcher *w = jobs->watchers;
        jobs->watchers = w->next;
        close_watcher(w);
    }
    while (jobs->children) {
        jobs_child *child = jobs->children;
        jobs->children = child->next;
        if (child->turn) {
            enx_turn_fail(child->turn, &why);
            enx_turn_close(&child->turn);
        }
        enx_mem_free(child);
    }
}

static void *run_jobs(void *user)
{
    enx_jobs *jobs = user;
    bool      is_stopping = false;
    while (!is_stopping) {
        pthread_mutex_lock(&jobs->lock);
        wait_for_news(jobs);
        jobs_message *queue = jobs->queue;
        jobs->queue = NULL;
        jobs->queue_end = &jobs->queue;
        is_stopping = jobs->is_stopping;
        pthread_mutex_unlock(&jobs->lock);
        while (queue) {
            jobs_message *m = queue;
            queue = m->next;
            handle(jobs, m);
        }
        reap(jobs);
        if (!is_stopping) start_children(jobs);
        tell_watchers(jobs);
        charge_jobs(jobs);
    }
    stop(jobs);
    return NULL;
}

/* ---- Opening -------------------------------------------------------------------------------- */

enx_status enx_jobs_open(enx_jobs **out, const enx_jobs_options *options, enx_report *report)
{
    const enx_store_options store = { .path = options->store_path };
    enx_jobs               *jobs = ENX_MEM_NEW(enx_jobs, 1);
    if (!jobs) return ENX_FAIL(report, NOMEM, "no memory for jobs");
    jobs->options = *options;
    if (jobs->options.running_max == 0) jobs->options.running_max = ENX_JOBS_RUNNING;
    jobs->queue_end = &jobs->queue;
    jobs->waiting = json_object();
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->news, NULL);
    enx_status status = enx_dir_make(options->folder, report);
    if (status == ENX_OK) status = enx_store_open(&jobs->store, &store, report);
    if (status == ENX_OK)
        status = enx_job_accounts_open(&jobs->accounts, options->folder, options->keys, report);
    if (status == ENX_OK) {
        const int error = pthread_create(&jobs->thread, NULL, run_jobs, jobs);
        jobs->is_started = error == 0;
        if (error) status = ENX_FAIL(report, NOMEM, "no thread: %s", strerror(error));
    }
    if (status != ENX_OK) {
        enx_jobs_close(&jobs);
        return status;
    }
    *out = jobs;
    return ENX_OK;
}

void enx_jobs_close(enx_jobs **out)
{
    enx_jobs *jobs = *out;
    *out = NULL;
    if (!jobs) return;
    pthread_mutex_lock(&jobs->lock);
    jobs->is_stopping = true;
    pthread_cond_signal(&jobs->news);
    pthread_mutex_unlock(&jobs->lock);
    if (jobs->is_started) pthread_join(jobs->thread, NULL);
    enx_job_accounts_close(&jobs->accounts);
    enx_store_close(&jobs->store);
    json_decref(jobs->waiting);
    pthread_cond_destroy(&jobs->news);
    pthread_mutex_destroy(&jobs->lock);
    enx_mem_free(jobs);
}

static enx_status push(enx_jobs *jobs, const jobs_message *message, enx_report *report)
{
    jobs_message *m = ENX_MEM_NEW(jobs_message, 1);
    if (!m) return ENX_FAIL(report, NOMEM, "no memory for a request");
    *m = *message;
    pthread_mutex_lock(&jobs->lock);
    *jobs->queue_end = m;
    jobs->queue_end = &m->next;
    pthread_cond_signal(&jobs->news);
    pthread_mutex_unlock(&jobs->lock);
    return ENX_OK;
}

enx_status enx_jobs_submit(enx_jobs *jobs, const enx_jobs_request *request, enx_report *report)
{
    jobs_message m = { .request = *request };
    enx_reply_hold(request->reply);
    json_incref(request->body);
    if (push(jobs, &m, report) == ENX_OK) return ENX_OK;
    json_decref(request->body);
    enx_reply_drop(&m.request.reply);
    return ENX_NOMEM;
}

enx_status enx_jobs_submit_turn(enx_jobs *jobs, enx_turn *turn, enx_report *report)
{
    const jobs_message m = { .turn = turn };
    return push(jobs, &m, report);
}

uint32_t enx_jobs_running(enx_jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    const uint32_t running = jobs->running;
    pthread_mutex_unlock(&jobs->lock);
    return running;
}
