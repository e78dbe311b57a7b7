/* SPDX-License-Identifier: Apache-2.0 */
/* cli_reuse.c - questions by their hash, in the store; who waits for whom, in memory. */
#include "cli/cli_reuse.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "plat/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { QUESTION_BYTES_MAX = 1 << 24, IDENTITY_BYTES = 4400, WAITERS_FIRST = 16 };

/* A call that is not made: it waits for another one, or its answer has come. */
typedef struct waiter {
    uint64_t        call_id;
    uint64_t        asked_by; /* whose answer it will be */
    bool            is_told;
    enx_call_report report; /* told; texts are owned */
    char           *answer;
} waiter;

struct cli_reuse {
    enx_store *store;
    bool       is_fresh;
    enx_buf    question;
    char      *identities[ENX_ROSTER_MODELS_MAX]; /* [model_count] owned */
    uint32_t   model_count;
    waiter    *waiters; /* [waiter_count], of [waiter_capacity] */
    size_t     waiter_count, waiter_capacity;
    size_t     told_count;
};

/* ---- which model -------------------------------------------------------------------------------
 * A file is told by path, size and time of its last change, a model behind an API by its address
 * and name.  Nobody reads gigabytes at every start. */

static void identify(char out[IDENTITY_BYTES], const enx_config *config, const enx_config_model *m)
{
    enx_buf     path;
    struct stat facts = { 0 };
    out[0] = '\0';
    if (m->remote) {
        snprintf(out, IDENTITY_BYTES, "%s %s %s", m->remote->api, m->remote->url, m->remote->model);
        return;
    }
    enx_buf_init(&path, IDENTITY_BYTES);
    if (m->model && enx_config_model_path(config, m, &path) == ENX_OK &&
        stat(enx_buf_text(&path), &facts) == 0) {
        char whole[CLI_PATH_BYTES_MAX];
        cli_absolute_path(whole, enx_buf_text(&path));
        snprintf(out, IDENTITY_BYTES, "%s %jd %jd.%09ld", whole, (intmax_t)facts.st_size,
                 (intmax_t)facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec);
    }
    enx_buf_deinit(&path);
}

/* In the order of the roster. */
static const enx_config_model *config_model(const enx_config *c, uint32_t index)
{
    const enx_config_model *heads[] = { &c->lead, &c->scout };
    for (int i = 0; i < 2; i++) {
        if (!enx_config_has(heads[i])) continue;
        if (index-- == 0) return heads[i];
    }
    return index < c->worker_count ? &c->workers[index] : &c->verifier;
}

static enx_status add_identity(cli_reuse *r, const enx_config *config, enx_report *report)
{
    char text[IDENTITY_BYTES];
    identify(text, config, config_model(config, r->model_count));
    char *copy = ENX_MEM_NEW(char, strlen(text) + 1);
    if (!copy) return ENX_FAIL(report, NOMEM, "no memory for the models' names");
    memcpy(copy, text, strlen(text) + 1);
    r->identities[r->model_count++] = copy;
    return ENX_OK;
}

enx_status cli_reuse_open(cli_reuse **out, enx_store *store, const enx_config *config,
                          const enx_roster *roster, bool is_fresh, enx_report *report)
{
    cli_reuse *r = ENX_MEM_NEW(cli_reuse, 1);
    if (!r) return ENX_FAIL(report, NOMEM, "no memory for known answers");
    r->store = store;
    r->is_fresh = is_fresh;
    enx_buf_init(&r->question, QUESTION_BYTES_MAX);
    enx_status status = ENX_OK;
    while (status == ENX_OK && r->model_count < roster->model_count)
        status = add_identity(r, config, report);
    if (status == ENX_OK) *out = r;
    else cli_reuse_close(&r);
    return status;
}

void cli_reuse_close(cli_reuse **reuse)
{
    cli_reuse *r = *reuse;
    *reuse = NULL;
    if (!r) return;
    for (size_t i = 0; i < r->waiter_count; i++) enx_mem_free(r->waiters[i].answer);
    for (uint32_t i = 0; i < r->model_count; i++) enx_mem_free(r->identities[i]);
    enx_mem_free(r->waiters);
    enx_buf_deinit(&r->question);
    enx_mem_free(r);
}

/* ---- which question ---------------------------------------------------------------------------
 */

/* Each part after its length, so that no two lists of parts are the same bytes. */
static void add_part(cli_reuse *r, enx_status *status, const char *text, size_t size_bytes)
{
    if (*status == ENX_OK) *status = enx_buf_printf(&r->question, "%zu:", size_bytes);
    if (*status == ENX_OK) *status = enx_buf_append(&r->question, text, size_bytes);
}

static void add_text(cli_reuse *r, enx_status *status, const char *text)
{
    add_part(r, status, text ? text : "", text ? strlen(text) : 0);
}

static enx_status write_question(cli_reuse *r, const enx_call *call)
{
    const enx_class *c = call->task_class;
    enx_status       status = ENX_OK;
    enx_buf_clear(&r->question);
    add_text(r, &status, ENX_VERSION);
    add_text(r, &status, r->identities[call->model]);
    /* another opinion is the same question, to another model */
    add_text(r, &status, enx_role_text(call->role == ENX_ROLE_SECOND ? ENX_ROLE_WORK : call->role));
    add_text(r, &status, c->name);
    add_text(r, &status, c->instruction);
    add_text(r, &status, c->advice);
    add_text(r, &status, c->schema);
    for (uint32_t i = 0; i < c->example_count; i++) {
        add_text(r, &status, c->examples[i].input);
        add_text(r, &status, c->examples[i].answer);
    }
    add_text(r, &status, call->language);
    add_part(r, &status, call->input, call->input_bytes);
    add_part(r, &status, call->answer, call->answer_bytes);
    if (status == ENX_OK)
        status = enx_buf_printf(&r->question, "%d %u %u", (int)call->level, call->kinds,
                                call->max_tokens_out);
    return status;
}

static int digit_of(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

/* False: the call is one that is always made. */
static bool hash_question(cli_reuse *r, const enx_call *call, uint8_t key[ENX_STORE_KEY_BYTES])
{
    char       text[ENX_DIGEST_TEXT];
    const bool is_asked = r->is_fresh || call->role == ENX_ROLE_PLAN ||
                          call->role == ENX_ROLE_AUDIT || !r->identities[call->model][0];
    if (is_asked || write_question(r, call) != ENX_OK ||
        enx_digest(text, r->question.data, r->question.size_bytes, NULL) != ENX_OK)
        return false;
    for (int i = 0; i < ENX_STORE_KEY_BYTES; i++)
        key[i] = (uint8_t)(digit_of(text[2 * i]) << 4 | digit_of(text[2 * i + 1]));
    return true;
}

/* ---- who waits --------------------------------------------------------------------------------
 */

static waiter *add_waiter(cli_reuse *r, uint64_t call_id, uint64_t asked_by)
{
    if (r->waiter_count == r->waiter_capacity) {
        const size_t capacity = r->waiter_capacity ? 2 * r->waiter_capacity : WAITERS_FIRST;
        waiter      *grown = enx_mem_resize(r->waiters, r->waiter_capacity * sizeof *grown,
                                            capacity * sizeof *grown);
        if (!grown) return NULL;
        r->waiters = grown;
        r->waiter_capacity = capacity;
    }
    r->waiters[r->waiter_count] = (waiter){ .call_id = call_id, .asked_by = asked_by };
    return &r->waiters[r->waiter_count++];
}

/* What a call is told that was not made; it took no time, and nothing of anybody's. */
static bool tell(cli_reuse *r, waiter *w, const enx_record *result)
{
    const bool is_answer = result && result->kind == ENX_RECORD_CALL_RESULT &&
                           result->report.status == ENX_CALL_OK &&
                           !(result->report.flags & ENX_FLAGS_RED);
    if (is_answer) {
        w->report = result->report;
        w->answer = ENX_MEM_NEW(char, w->report.answer_bytes + 1);
        if (!w->answer) return false;
        memcpy(w->answer, result->report.answer, w->report.answer_bytes);
    } else {
        w->report = (enx_call_report){ .status = ENX_CALL_ERROR,
                                       .level = ENX_LEVEL_UNKNOWN,
                                       .error = "the same call for another task has no answer" };
    }
    w->report.call_id = w->call_id;
    w->report.answer = w->answer;
    w->report.usage = (enx_usage_count){ 0 };
    w->report.tokens_reasoning = 0;
    w->report.latency_us = 0;
    w->report.flags |= ENX_FLAG_REUSED;
    w->is_told = true;
    r->told_count++;
    return true;
}

bool cli_reuse_take(cli_reuse *r, const enx_call *call)
{
    uint8_t                  key[ENX_STORE_KEY_BYTES];
    enx_store_question       asked = { 0 };
    const enx_store_question own = { call->call_id >> 32, call->call_id, call->task_id, NULL };
    if (!hash_question(r, call, key)) return false;
    const enx_status found = enx_store_question_find(r->store, key, &asked, NULL);
    if (found != ENX_OK && found != ENX_NOTFOUND) return false;
    const bool is_waiting = found == ENX_OK && !asked.answer && asked.job_id == own.job_id &&
                            asked.task_id != own.task_id;
    if (found == ENX_OK && (asked.answer || is_waiting)) {
        waiter *w = add_waiter(r, call->call_id, asked.call_id);
        if (!w) return false;
        if (!asked.answer || tell(r, w, asked.answer)) return true;
        r->waiter_count--;
        return false;
    }
    const bool is_late = found == ENX_OK && asked.job_id == own.job_id &&
                         asked.task_id == own.task_id && asked.call_id != own.call_id;
    if (!is_late && enx_store_question_put(r->store, key, &own, NULL) != ENX_OK) r->is_fresh = true;
    return false;
}

static void remove_waiter(cli_reuse *r, size_t i)
{
    r->told_count -= r->waiters[i].is_told;
    enx_mem_free(r->waiters[i].answer);
    r->waiters[i] = r->waiters[--r->waiter_count];
}

bool cli_reuse_cancel(cli_reuse *r, uint64_t call_id)
{
    for (size_t i = 0; i < r->waiter_count; i++)
        if (r->waiters[i].call_id == call_id) {
            remove_waiter(r, i);
            return true;
        }
    return false;
}

enx_status cli_reuse_saved(cli_reuse *r, const enx_record *records, size_t record_count,
                           enx_report *report)
{
    for (size_t k = 0; k < record_count; k++) {
        const enx_record *at = &records[k];
        const bool is_end = at->kind == ENX_RECORD_CALL_RESULT || at->kind == ENX_RECORD_CALL_LOST;
        if (!is_end || r->is_fresh || (at->report.flags & ENX_FLAG_REUSED)) continue;
        const bool is_answer = at->kind == ENX_RECORD_CALL_RESULT &&
                               at->report.status == ENX_CALL_OK &&
                               !(at->report.flags & ENX_FLAGS_RED);
        if (!is_answer) ENX_TRY(enx_store_question_drop(r->store, at->job_id, at->call_id, report));
        for (size_t i = 0; i < r->waiter_count; i++)
            if (!r->waiters[i].is_told && r->waiters[i].asked_by == at->call_id &&
                !tell(r, &r->waiters[i], at))
                return ENX_FAIL(report, NOMEM, "no memory for an answer");
    }
    return ENX_OK;
}

bool cli_reuse_is_ready(const cli_reuse *r) { return r->told_count > 0; }

void cli_reuse_poll(cli_reuse *r, void (*fn)(void *user, const enx_call_report *report), void *user)
{
    /* Handing over may bring new ones; those are for the next time. */
    for (size_t left = r->told_count; left > 0; left--) {
        size_t i = 0;
        while (i < r->waiter_count && !r->waiters[i].is_told) i++;
        if (i == r->waiter_count) return;
        waiter told = r->waiters[i];
        r->waiters[i].answer = NULL;
        remove_waiter(r, i);
        fn(user, &told.report);
        enx_mem_free(told.answer);
    }
}
