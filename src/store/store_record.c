/* SPDX-License-Identifier: Apache-2.0 */
/* store_record.c - the swarm's records as rows, and back. */
#include "base/check.h"
#include "store/store_impl.h"

#include <string.h>

/* Every column but the texts with a size and the names of enums, in the order of the parameters:
 * INT(column, field) and REAL(column, field). */
/* clang-format off */
#define RECORD_NUMBER_MAP(INT, REAL) \
    INT(job_id, job_id) INT(seq, seq) INT(time_us, time_us) INT(task_id, task_id) INT(item, item) \
    INT(call_id, call_id) INT(model, model) INT(attempt, attempt) \
    INT(reserved_usd_nano, reserved_usd_nano) INT(reserved_tokens, reserved_tokens) \
    INT(cost_usd_nano, cost_usd_nano) INT(fixed_usd_nano, fixed_usd_nano) INT(level, level) \
    INT(kinds, kinds) REAL(error_chance, error_chance) REAL(score, score) INT(is_wrong, is_wrong) \
    INT(is_single, is_single) INT(items, items) INT(seed, seed) INT(fingerprint, fingerprint) \
    INT(answer_level, report.level) REAL(confidence, report.confidence) \
    REAL(sum_logprob, report.sum_logprob) REAL(min_logprob, report.min_logprob) \
    INT(token_count, report.token_count) REAL(answer_error_chance, report.error_chance) \
    INT(flags, report.flags) INT(tokens_in, report.usage.tokens_in) \
    INT(tokens_cached, report.usage.tokens_cached) INT(tokens_out, report.usage.tokens_out) \
    INT(tokens_reasoning, report.tokens_reasoning) \
    INT(latency_us, report.latency_us) INT(is_certified, certificate.is_certified) \
    REAL(alpha, certificate.alpha) REAL(delta, certificate.delta) \
    INT(answers, certificate.answers) INT(population, certificate.population) \
    INT(accepted, certificate.accepted) INT(labels, certificate.labels) \
    INT(wrong, certificate.wrong) INT(check_place, check) INT(stream, offer.stream) \
    INT(place, offer.place) INT(offer, offer.number) INT(verdict, offer.verdict) \
    REAL(chance, offer.chance) INT(form, certificate.form) REAL(always, certificate.always) \
    REAL(lately, certificate.lately) INT(window, certificate.window) \
    INT(escalated, certificate.escalated) INT(drifts, certificate.drifts)

#define NAME(column, field) #column ", "
#define MARK(column, field) "?, "
static const char record_add_sql[] =
    "INSERT INTO records (" RECORD_NUMBER_MAP(NAME, NAME)
    "kind, role, reason, status, text, answer, error, language, answer_language) "
    "VALUES (" RECORD_NUMBER_MAP(MARK, MARK) "?, ?, ?, ?, ?, ?, ?, ?, ?)";
static const char records_each_sql[] =
    "SELECT " RECORD_NUMBER_MAP(NAME, NAME)
    "kind, role, reason, status, text, answer, error, language, answer_language "
    "FROM records WHERE job_id = ?1 AND seq > ?2 ORDER BY seq";
static const char result_get_sql[] =
    "SELECT " RECORD_NUMBER_MAP(NAME, NAME)
    "kind, role, reason, status, text, answer, error, language, answer_language "
    "FROM records WHERE job_id = ?1 AND call_id = ?2 AND kind = 'call result'";
#undef NAME
#undef MARK
/* clang-format on */

static void bind_text(sqlite3_stmt *statement, int parameter, const char *text, size_t size_bytes)
{
    sqlite3_bind_text64(statement, parameter, text ? text : "", text ? size_bytes : 0,
                        SQLITE_STATIC, SQLITE_UTF8);
}

static void bind_word(sqlite3_stmt *statement, int parameter, const char *word)
{
    bind_text(statement, parameter, word, word ? strlen(word) : 0);
}

static void bind_record(sqlite3_stmt *statement, const enx_record *r)
{
    int at = 0;
#define INT(column, field)  sqlite3_bind_int64(statement, ++at, (sqlite3_int64)r->field);
#define REAL(column, field) sqlite3_bind_double(statement, ++at, r->field);
    RECORD_NUMBER_MAP(INT, REAL)
#undef INT
#undef REAL
    bind_word(statement, ++at, enx_record_kind_text(r->kind));
    bind_word(statement, ++at, enx_role_text(r->role));
    bind_word(statement, ++at, enx_reason_text(r->reason));
    bind_word(statement, ++at, enx_call_status_text(r->report.status));
    bind_text(statement, ++at, r->text, r->text_bytes);
    bind_text(statement, ++at, r->report.answer, r->report.answer_bytes);
    bind_word(statement, ++at, r->report.error);
    bind_word(statement, ++at, r->language);
    bind_word(statement, ++at, r->report.language);
}

/* The state of the job that a record brings, or NULL. */
static const char *state_after(const enx_record *record)
{
    switch (record->kind) {
    case ENX_RECORD_JOB_DONE:
        return "done";
    case ENX_RECORD_JOB_PARTIAL:
        return "partial";
    case ENX_RECORD_JOB_FAILED:
        return "failed";
    default:
        return NULL; /* no other record ends a job */
    }
}

static enx_status save_all(enx_store *store, const enx_record *records, size_t record_count,
                           enx_report *report)
{
    for (size_t i = 0; i < record_count; i++) {
        sqlite3_stmt *statement = store_prepare(store, STORE_RECORD_ADD, record_add_sql, report);
        if (!statement) return ENX_IO;
        bind_record(statement, &records[i]);
        ENX_TRY(store_run(store, statement, report));
        sqlite3_clear_bindings(statement);
        const char *state = state_after(&records[i]);
        if (state)
            ENX_TRY(enx_store_job_set_state(store, records[i].job_id, state, records[i].time_us,
                                            report));
    }
    return ENX_OK;
}

enx_status enx_store_save(enx_store *store, const enx_record *records, size_t record_count,
                          enx_report *report)
{
    if (store->is_grouped) return save_all(store, records, record_count, report);
    ENX_TRY(enx_store_begin(store, report));
    const enx_status status = save_all(store, records, record_count, report);
    if (status == ENX_OK) return enx_store_commit(store, report);
    store->is_grouped = false;
    sqlite3_stmt *undo = store_prepare(store, STORE_ROLLBACK, NULL, NULL);
    if (undo && !sqlite3_get_autocommit(store->db)) sqlite3_step(undo);
    if (undo) sqlite3_reset(undo);
    return status;
}

/* ---- Reading -------------------------------------------------------------------------------- */

typedef const char *(*word_of)(int value);

static const char *kind_word(int value) { return enx_record_kind_text((enx_record_kind)value); }
static const char *role_word(int value) { return enx_role_text((enx_role)value); }
static const char *reason_word(int value) { return enx_reason_text((enx_reason)value); }
static const char *status_word(int value) { return enx_call_status_text((enx_call_status)value); }

/* Which of `count` values has the column's word; -1: none.  At most 32 words, looked at in turn. */
static int value_of(sqlite3_stmt *row, int column, word_of word, int count)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    for (int i = 0; text && i < count; i++)
        if (strcmp(word(i), text) == 0) return i;
    return -1;
}

static void copy_language(char *out, sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    size_t      size_bytes = text ? strlen(text) : 0;
    if (size_bytes >= ENX_LANGUAGE_BYTES_MAX) size_bytes = ENX_LANGUAGE_BYTES_MAX - 1;
    if (size_bytes) memcpy(out, text, size_bytes);
    out[size_bytes] = '\0';
}

static const char *column_text(sqlite3_stmt *row, int column, size_t *size_bytes)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    *size_bytes = text ? (size_t)sqlite3_column_bytes(row, column) : 0;
    return text ? text : "";
}

static enx_status record_of_row(const enx_store *store, sqlite3_stmt *row, enx_record *r,
                                enx_report *report)
{
    int    at = 0;
    size_t error_bytes;
    *r = (enx_record){ 0 };
#define INT(column, field)  r->field = (__typeof__(r->field))sqlite3_column_int64(row, at++);
#define REAL(column, field) r->field = sqlite3_column_double(row, at++);
    RECORD_NUMBER_MAP(INT, REAL)
#undef INT
#undef REAL
    const int kind = value_of(row, at, kind_word, ENX_RECORD_COUNT);
    const int role = value_of(row, at + 1, role_word, ENX_ROLE_COUNT);
    const int reason = value_of(row, at + 2, reason_word, ENX_REASON_COUNT);
    const int status = value_of(row, at + 3, status_word, ENX_CALL_STATUS_COUNT);
    if (kind < 0 || role < 0 || reason < 0 || status < 0)
        return ENX_FAIL(report, FORMAT,
                        "%s: job %llu, record %llu has a word this enxame does not "
                        "know",
                        store->path, (unsigned long long)r->job_id, (unsigned long long)r->seq);
    r->kind = (enx_record_kind)kind;
    r->role = (enx_role)role;
    r->reason = (enx_reason)reason;
    r->report.status = (enx_call_status)status;
    r->report.call_id = r->kind == ENX_RECORD_CALL_RESULT ? r->call_id : 0;
    r->text = column_text(row, at + 4, &r->text_bytes);
    r->report.answer = column_text(row, at + 5, &r->report.answer_bytes);
    r->report.error = column_text(row, at + 6, &error_bytes);
    if (error_bytes == 0) r->report.error = NULL;
    copy_language(r->language, row, at + 7);
    copy_language(r->report.language, row, at + 8);
    return ENX_OK;
}

enx_status enx_store_replay(enx_store *store, uint64_t job_id, enx_store_record_fn fn, void *user,
                            enx_report *report)
{
    return enx_store_replay_after(store, job_id, 0, fn, user, report);
}

enx_status enx_store_replay_after(enx_store *store, uint64_t job_id, uint64_t seq,
                                  enx_store_record_fn fn, void *user, enx_report *report)
{
    bool          more = true;
    enx_status    status = ENX_OK;
    enx_record    record;
    sqlite3_stmt *row = store_prepare(store, STORE_RECORDS_EACH, records_each_sql, report);
    if (!row) return ENX_IO;
    sqlite3_bind_int64(row, 1, (sqlite3_int64)job_id);
    sqlite3_bind_int64(row, 2, (sqlite3_int64)seq);
    while (status == ENX_OK) {
        status = store_step(store, row, &more, report);
        if (status != ENX_OK || !more) break;
        status = record_of_row(store, row, &record, report);
        if (status == ENX_OK) status = fn(user, &record, report);
    }
    sqlite3_reset(row);
    return status;
}

/* ---- Questions ------------------------------------------------------------------------------ */

static enx_status find_result(enx_store *store, enx_store_question *question, enx_report *report)
{
    bool          more = false;
    sqlite3_stmt *row = store_prepare(store, STORE_RESULT_GET, result_get_sql, report);
    if (!row) return ENX_IO;
    sqlite3_bind_int64(row, 1, (sqlite3_int64)question->job_id);
    sqlite3_bind_int64(row, 2, (sqlite3_int64)question->call_id);
    ENX_TRY(store_step(store, row, &more, report));
    question->answer = NULL;
    if (!more) return ENX_OK;
    ENX_TRY(
        record_of_row(store, row, &store->answer, report)); /* the row is reset at its next use */
    question->answer = &store->answer;
    return ENX_OK;
}

enx_status enx_store_question_find(enx_store *store, const uint8_t key[ENX_STORE_KEY_BYTES],
                                   enx_store_question *out, enx_report *report)
{
    bool          more = false;
    sqlite3_stmt *row = store_prepare(store, STORE_QUESTION_FIND, NULL, report);
    if (!row) return ENX_IO;
    sqlite3_bind_blob(row, 1, key, ENX_STORE_KEY_BYTES, SQLITE_STATIC);
    ENX_TRY(store_step(store, row, &more, report));
    if (!more) return ENX_NOTFOUND;
    *out = (enx_store_question){ .job_id = (uint64_t)sqlite3_column_int64(row, 0),
                                 .call_id = (uint64_t)sqlite3_column_int64(row, 1),
                                 .task_id = (uint32_t)sqlite3_column_int64(row, 2) };
    sqlite3_reset(row);
    return find_result(store, out, report);
}

enx_status enx_store_question_put(enx_store *store, const uint8_t key[ENX_STORE_KEY_BYTES],
                                  const enx_store_question *question, enx_report *report)
{
    sqlite3_stmt *statement = store_prepare(store, STORE_QUESTION_PUT, NULL, report);
    if (!statement) return ENX_IO;
    sqlite3_bind_blob(statement, 1, key, ENX_STORE_KEY_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)question->job_id);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)question->call_id);
    sqlite3_bind_int64(statement, 4, question->task_id);
    return store_run(store, statement, report);
}

enx_status enx_store_question_drop(enx_store *store, uint64_t job_id, uint64_t call_id,
                                   enx_report *report)
{
    sqlite3_stmt *statement = store_prepare(store, STORE_QUESTION_DROP, NULL, report);
    if (!statement) return ENX_IO;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)job_id);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)call_id);
    return store_run(store, statement, report);
}
