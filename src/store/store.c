/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - the database: opening, jobs, inputs and money. */
#include "store/store.h"

#include "base/check.h"
#include "base/mem.h"
#include "plat/file.h"
#include "store/store_impl.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    STORE_APPLICATION_ID = 0x656e7861, /* "enxa" */
    STORE_BUSY_MS = 10000,
    STORE_PAGE_BYTES = 4096,
};

extern const char enx_store_schema[]; /* schema.sql */

/* clang-format off */
static const char *const statement_sql[] = {
#define X(name, sql) sql,
    STORE_STATEMENT_MAP(X)
#undef X
};
/* clang-format on */

enx_status store_fail(const enx_store *store, int code, enx_report *report)
{
    const char *path = store->path;
    const char *text = store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
    switch (code & 0xff) {
    case SQLITE_FULL:
        return ENX_FAIL(report, IO,
                        "%s: the disk is full; free some space, then `enxame resume` the job (what "
                        "was saved is safe)",
                        path);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return ENX_FAIL(report, IO,
                        "%s: cannot be written (%s); make its folder writable, or name another by "
                        "the variable ENXAME_HOME",
                        path, text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ENX_FAIL(report, FORMAT,
                        "%s: is damaged or no database (%s); move it away, and a new one is made",
                        path, text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ENX_FAIL(report, AGAIN,
                        "%s: another process is writing to it; wait for it or stop it", path);
    case SQLITE_NOMEM:
        return ENX_FAIL(report, NOMEM, "%s: no memory", path);
    case SQLITE_CONSTRAINT:
        return ENX_FAIL(report, INVALID, "%s: refused: %s", path, text);
    default:
        return ENX_FAIL(report, IO, "%s: %s", path, text);
    }
}

sqlite3_stmt *store_prepare(enx_store *store, store_statement which, const char *sql,
                            enx_report *report)
{
    if (!store->statements[which]) {
        if (!sql) sql = statement_sql[which];
        const int code = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                            &store->statements[which], NULL);
        if (code != SQLITE_OK) {
            store_fail(store, code, report);
            return NULL;
        }
    }
    sqlite3_reset(store->statements[which]);
    sqlite3_clear_bindings(store->statements[which]);
    return store->statements[which];
}

enx_status store_step(enx_store *store, sqlite3_stmt *statement, bool *more, enx_report *report)
{
    const int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        const enx_status status = store_fail(store, code, report);
        sqlite3_reset(statement);
        return status;
    }
    *more = code == SQLITE_ROW;
    if (code == SQLITE_DONE) sqlite3_reset(statement);
    return ENX_OK;
}

enx_status store_run(enx_store *store, sqlite3_stmt *statement, enx_report *report)
{
    bool more = false;
    ENX_TRY(store_step(store, statement, &more, report));
    sqlite3_reset(statement);
    return ENX_OK;
}

/* One of the statements without parameters and rows. */
static enx_status run_plain(enx_store *store, store_statement which, enx_report *report)
{
    sqlite3_stmt *statement = store_prepare(store, which, NULL, report);
    return statement ? store_run(store, statement, report) : ENX_IO;
}

static void roll_back(enx_store *store)
{
    if (!sqlite3_get_autocommit(store->db)) (void)run_plain(store, STORE_ROLLBACK, NULL);
}

/* ---- Opening -------------------------------------------------------------------------------- */

static enx_status run_sql(enx_store *store, const char *sql, enx_report *report)
{
    const int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? ENX_OK : store_fail(store, code, report);
}

static enx_status read_pragma(enx_store *store, const char *sql, int64_t *out, enx_report *report)
{
    sqlite3_stmt *statement = NULL;
    int           code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) *out = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW ? ENX_OK : store_fail(store, code, report);
}

/* migrations[v] leads from version v to v + 1; each runs once, in one transaction with its number.
 */
static const char *const migrations[ENX_STORE_VERSION] = {
    enx_store_schema,
    "ALTER TABLE records ADD COLUMN tokens_reasoning INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX records_intent ON records (time_us) WHERE kind = 'call intent';"
    /* Which call asks what: key is a hash of all that its answer depends on. */
    "CREATE TABLE questions (key BLOB PRIMARY KEY, job_id INTEGER NOT NULL REFERENCES jobs (id) "
    "ON DELETE CASCADE, call_id INTEGER NOT NULL, task_id INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX questions_call ON questions (job_id, call_id)",
    /* certificates that go on: an offer and a label are part of a stream, at a place of it */
    "CREATE TABLE streams (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, "
    "class TEXT NOT NULL, epoch INTEGER NOT NULL, parts TEXT NOT NULL, seed INTEGER NOT NULL, "
    "opened_us INTEGER NOT NULL) STRICT; "
    "ALTER TABLE records ADD COLUMN check_place INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE records ADD COLUMN stream INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE records ADD COLUMN place INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE records ADD COLUMN offer INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE records ADD COLUMN verdict INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE records ADD COLUMN chance REAL; "
    "ALTER TABLE records ADD COLUMN form INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE records ADD COLUMN always REAL; "
    "ALTER TABLE records ADD COLUMN lately REAL; "
    "ALTER TABLE records ADD COLUMN window INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE records ADD COLUMN escalated INTEGER NOT NULL DEFAULT 0; "
    "ALTER TABLE records ADD COLUMN drifts INTEGER NOT NULL DEFAULT 0; "
    "CREATE UNIQUE INDEX records_stream ON records (stream, place) WHERE stream <> 0; "
    "DROP VIEW certificates; "
    "CREATE VIEW certificates AS SELECT job_id, form, is_certified, alpha, delta, answers, "
    "population, accepted, labels, wrong, always, lately, window, escalated, drifts, seq, time_us "
    "FROM records WHERE kind = 'certificate'",
};

static enx_status migrate(enx_store *store, enx_report *report)
{
    int64_t version = 0, application = 0, tables = 0;
    char    sql[96];
    ENX_TRY(run_sql(store, "BEGIN IMMEDIATE", report));
    ENX_TRY(read_pragma(store, "PRAGMA user_version", &version, report));
    ENX_TRY(read_pragma(store, "PRAGMA application_id", &application, report));
    ENX_TRY(read_pragma(store, "SELECT count(*) FROM sqlite_schema", &tables, report));
    if (version == 0 && tables > 0)
        return ENX_FAIL(report, FORMAT,
                        "%s: is a database of another program; name another folder "
                        "by the variable ENXAME_HOME",
                        store->path);
    if (version > 0 && application != STORE_APPLICATION_ID)
        return ENX_FAIL(report, FORMAT,
                        "%s: is a database of another program; name another folder "
                        "by the variable ENXAME_HOME",
                        store->path);
    if (version > ENX_STORE_VERSION)
        return ENX_FAIL(report, UNSUPPORTED,
                        "%s: made by a newer enxame (store version %lld, this one reads up to %d); "
                        "update enxame, or name another folder by the variable ENXAME_HOME",
                        store->path, (long long)version, ENX_STORE_VERSION);
    for (; version < ENX_STORE_VERSION; version++) {
        ENX_TRY(run_sql(store, migrations[version], report));
        snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %lld",
                 STORE_APPLICATION_ID, (long long)version + 1);
        ENX_TRY(run_sql(store, sql, report));
    }
    return run_sql(store, "COMMIT", report);
}

static enx_status make_folder(const char *path, enx_report *report)
{
    char        folder[4096];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return ENX_OK;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    const enx_status status = enx_dir_make(folder, report);
    if (status != ENX_OK)
        enx_report_wrap(report, "the store (name a writable folder by the variable ENXAME_HOME)");
    return status;
}

static enx_status open_database(enx_store *store, const enx_store_options *options,
                                enx_report *report)
{
    char      sql[64];
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const int code = sqlite3_open_v2(store->path, &store->db, flags, NULL);
    if (code != SQLITE_OK) return store_fail(store, code, report);
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, STORE_BUSY_MS);
    /* FULL: a commit returns when the disk has it.  WAL: readers never wait for the writer. */
    ENX_TRY(run_sql(store,
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                    "PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY",
                    report));
    if (options->bytes_max) {
        snprintf(sql, sizeof sql, "PRAGMA max_page_count = %llu",
                 (unsigned long long)(options->bytes_max / STORE_PAGE_BYTES));
        ENX_TRY(run_sql(store, sql, report));
    }
    const enx_status status = migrate(store, report);
    if (status != ENX_OK) roll_back(store);
    return status;
}

enx_status enx_store_open(enx_store **out, const enx_store_options *options, enx_report *report)
{
    ENX_CHECK(out && options && options->path);
    enx_store *store = ENX_MEM_NEW(enx_store, 1);
    if (!store) return ENX_FAIL(report, NOMEM, "no memory for the store");
    enx_status status = ENX_OK;
    if (strlen(options->path) >= sizeof store->path)
        status = ENX_FAIL(report, LIMIT, "the store's path is longer than %zu bytes",
                          sizeof store->path - 1);
    else memcpy(store->path, options->path, strlen(options->path) + 1);
    if (status == ENX_OK) status = make_folder(store->path, report);
    if (status == ENX_OK) status = open_database(store, options, report);
    if (status != ENX_OK) {
        enx_store_close(&store);
        return status;
    }
    *out = store;
    return ENX_OK;
}

void enx_store_close(enx_store **store)
{
    if (!*store) return;
    if ((*store)->db) roll_back(*store);
    for (int i = 0; i < STORE_STATEMENT_COUNT; i++) sqlite3_finalize((*store)->statements[i]);
    sqlite3_close((*store)->db);
    enx_mem_free(*store);
    *store = NULL;
}

uint64_t enx_store_size_bytes(const enx_store *store)
{
    struct stat facts;
    return stat(store->path, &facts) == 0 ? (uint64_t)facts.st_size : 0;
}

enx_status enx_store_begin(enx_store *store, enx_report *report)
{
    ENX_CHECK(!store->is_grouped);
    ENX_TRY(run_plain(store, STORE_BEGIN, report));
    store->is_grouped = true;
    return ENX_OK;
}

enx_status enx_store_commit(enx_store *store, enx_report *report)
{
    ENX_CHECK(store->is_grouped);
    store->is_grouped = false;
    const enx_status status = run_plain(store, STORE_COMMIT, report);
    if (status != ENX_OK) roll_back(store);
    return status;
}

/* ---- Jobs ----------------------------------------------------------------------------------- */

static uint64_t column_u64(sqlite3_stmt *row, int column)
{
    return (uint64_t)sqlite3_column_int64(row, column);
}

static const char *column_text(sqlite3_stmt *row, int column)
{
    const unsigned char *text = sqlite3_column_text(row, column);
    return text ? (const char *)text : "";
}

static void bind_text(sqlite3_stmt *statement, int parameter, const char *text)
{
    sqlite3_bind_text(statement, parameter, text ? text : "", -1, SQLITE_STATIC);
}

enx_status enx_store_job_add(enx_store *store, const enx_store_job *job, uint64_t *id,
                             enx_report *report)
{
    sqlite3_stmt *statement = store_prepare(store, STORE_JOB_ADD, NULL, report);
    if (!statement) return ENX_IO;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)job->created_us);
    bind_text(statement, 2, job->command);
    bind_text(statement, 3, job->goal);
    bind_text(statement, 4, job->settings);
    bind_text(statement, 5, job->key);
    ENX_TRY(store_run(store, statement, report));
    *id = (uint64_t)sqlite3_last_insert_rowid(store->db);
    return ENX_OK;
}

static enx_store_job job_of_row(sqlite3_stmt *row)
{
    return (enx_store_job){ .id = column_u64(row, 0),
                            .created_us = column_u64(row, 1),
                            .finished_us = column_u64(row, 2),
                            .state = column_text(row, 3),
                            .command = column_text(row, 4),
                            .goal = column_text(row, 5),
                            .settings = column_text(row, 6),
                            .items = (uint32_t)column_u64(row, 7),
                            .finished = (uint32_t)column_u64(row, 8),
                            .calls = column_u64(row, 9),
                            .tokens_in = column_u64(row, 10),
                            .tokens_cached = column_u64(row, 11),
                            .tokens_out = column_u64(row, 12),
                            .cost_usd_nano = column_u64(row, 13),
                            .fixed_usd_nano = column_u64(row, 14) };
}

/* Hand each row of a job statement to `fn`; *count receives how many there were. */
static enx_status each_job(enx_store *store, sqlite3_stmt *statement, enx_store_job_fn fn,
                           void *user, unsigned *count, enx_report *report)
{
    bool       more = true;
    enx_status status = ENX_OK;
    while (status == ENX_OK) {
        status = store_step(store, statement, &more, report);
        if (status != ENX_OK || !more) break;
        const enx_store_job job = job_of_row(statement);
        ++*count;
        status = fn(user, &job, report);
    }
    sqlite3_reset(statement);
    return status;
}

enx_status enx_store_job_get(enx_store *store, uint64_t id, enx_store_job_fn fn, void *user,
                             enx_report *report)
{
    unsigned      count = 0;
    sqlite3_stmt *statement = store_prepare(store, STORE_JOB_GET, NULL, report);
    if (!statement) return ENX_IO;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)id);
    ENX_TRY(each_job(store, statement, fn, user, &count, report));
    if (count == 0)
        return ENX_FAIL(report, NOTFOUND, "no job %llu in %s; `enxame jobs` lists those there are",
                        (unsigned long long)id, store->path);
    return ENX_OK;
}

enx_status enx_store_jobs_each(enx_store *store, enx_store_job_fn fn, void *user,
                               enx_report *report)
{
    unsigned      count = 0;
    sqlite3_stmt *statement = store_prepare(store, STORE_JOBS_EACH, NULL, report);
    return statement ? each_job(store, statement, fn, user, &count, report) : ENX_IO;
}

enx_status enx_store_job_set_state(enx_store *store, uint64_t id, const char *state,
                                   uint64_t time_us, enx_report *report)
{
    sqlite3_stmt *statement = store_prepare(store, STORE_JOB_STATE, NULL, report);
    if (!statement) return ENX_IO;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)id);
    bind_text(statement, 2, state);
    sqlite3_bind_int64(statement, 3, strcmp(state, "running") ? (sqlite3_int64)time_us : 0);
    return store_run(store, statement, report);
}

enx_status enx_store_job_set_delivered(enx_store *store, uint64_t id, enx_report *report)
{
    sqlite3_stmt *statement = store_prepare(store, STORE_JOB_DELIVERED, NULL, report);
    if (!statement) return ENX_IO;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)id);
    return store_run(store, statement, report);
}

static enx_status find_job(enx_store *store, sqlite3_stmt *row, const char *key, uint64_t *id,
                           enx_report *report)
{
    bool more = false;
    if (!row) return ENX_IO;
    bind_text(row, 1, key);
    ENX_TRY(store_step(store, row, &more, report));
    *id = more ? column_u64(row, 0) : 0;
    sqlite3_reset(row);
    return ENX_OK;
}

enx_status enx_store_job_find(enx_store *store, const char *key, uint64_t *id, enx_report *report)
{
    return find_job(store, store_prepare(store, STORE_JOB_FIND, NULL, report), key, id, report);
}

enx_status enx_store_job_find_any(enx_store *store, const char *key, uint64_t *id,
                                  enx_report *report)
{
    return find_job(store, store_prepare(store, STORE_JOB_FIND_ANY, NULL, report), key, id, report);
}

enx_status enx_store_input_add(enx_store *store, uint64_t job_id, uint32_t position,
                               const char *path, const void *content, size_t size_bytes,
                               enx_report *report)
{
    if (size_bytes > ENX_STORE_INPUT_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "%s: %zu bytes; an input may have %d", path, size_bytes,
                        ENX_STORE_INPUT_BYTES_MAX);
    sqlite3_stmt *statement = store_prepare(store, STORE_INPUT_ADD, NULL, report);
    if (!statement) return ENX_IO;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)job_id);
    sqlite3_bind_int64(statement, 2, position);
    bind_text(statement, 3, path);
    sqlite3_bind_blob(statement, 4, size_bytes ? content : "", (int)size_bytes, SQLITE_STATIC);
    return store_run(store, statement, report);
}

enx_status enx_store_input_get(enx_store *store, uint64_t job_id, uint32_t position, enx_buf *path,
                               enx_buf *out, enx_report *report)
{
    bool          more = false;
    sqlite3_stmt *row = store_prepare(store, STORE_INPUT_GET, NULL, report);
    if (!row) return ENX_IO;
    sqlite3_bind_int64(row, 1, (sqlite3_int64)job_id);
    sqlite3_bind_int64(row, 2, position);
    ENX_TRY(store_step(store, row, &more, report));
    if (!more)
        return ENX_FAIL(report, NOTFOUND, "job %llu has no input %u", (unsigned long long)job_id,
                        position);
    enx_status  status = enx_buf_append_text(path, column_text(row, 0));
    const void *content = sqlite3_column_blob(row, 1);
    if (status == ENX_OK && content)
        status = enx_buf_append(out, content, (size_t)sqlite3_column_bytes(row, 1));
    sqlite3_reset(row);
    if (status == ENX_OK) return ENX_OK;
    return enx_report_set(report, status, __FILE__, __LINE__, "input %u of job %llu is too large",
                          position, (unsigned long long)job_id);
}

/* ---- Money ---------------------------------------------------------------------------------- */

enx_status enx_store_model_set(enx_store *store, uint64_t job_id, const enx_store_model *model,
                               enx_report *report)
{
    sqlite3_stmt *statement = store_prepare(store, STORE_MODEL_SET, NULL, report);
    if (!statement) return ENX_IO;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)job_id);
    sqlite3_bind_int64(statement, 2, model->model);
    bind_text(statement, 3, model->name);
    bind_text(statement, 4, model->duty);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)model->params);
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)model->price.in);
    sqlite3_bind_int64(statement, 7, (sqlite3_int64)model->price.cached);
    sqlite3_bind_int64(statement, 8, (sqlite3_int64)model->price.out);
    sqlite3_bind_int64(statement, 9, (sqlite3_int64)model->fixed_usd_nano);
    return store_run(store, statement, report);
}

enx_status enx_store_bill_each(enx_store *store, uint64_t job_id, enx_store_model_fn fn, void *user,
                               enx_report *report)
{
    bool          more = true;
    enx_status    status = ENX_OK;
    sqlite3_stmt *row = store_prepare(store, STORE_BILL, NULL, report);
    if (!row) return ENX_IO;
    sqlite3_bind_int64(row, 1, (sqlite3_int64)job_id);
    while (status == ENX_OK) {
        status = store_step(store, row, &more, report);
        if (status != ENX_OK || !more) break;
        const enx_store_model line = {
            .model = (uint32_t)column_u64(row, 0),
            .name = column_text(row, 1),
            .duty = column_text(row, 2),
            .params = column_u64(row, 3),
            .price = { .in = column_u64(row, 4),
                       .cached = column_u64(row, 5),
                       .out = column_u64(row, 6) },
            .fixed_usd_nano = column_u64(row, 7),
            .calls = column_u64(row, 8),
            .usage = { .tokens_in = column_u64(row, 9),
                       .tokens_cached = column_u64(row, 10),
                       .tokens_out = column_u64(row, 11) },
            .cost_usd_nano = column_u64(row, 12),
            .tokens_reasoning = column_u64(row, 13),
            .reused = column_u64(row, 14),
        };
        status = fn(user, &line, report);
    }
    sqlite3_reset(row);
    return status;
}

enx_status enx_store_receipts_each(enx_store *store, uint64_t job_id, enx_store_receipt_fn fn,
                                   void *user, enx_report *report)
{
    bool          more = true;
    enx_status    status = ENX_OK;
    sqlite3_stmt *row = store_prepare(store, STORE_RECEIPTS, NULL, report);
    if (!row) return ENX_IO;
    sqlite3_bind_int64(row, 1, (sqlite3_int64)job_id);
    while (status == ENX_OK) {
        status = store_step(store, row, &more, report);
        if (status != ENX_OK || !more) break;
        const enx_store_receipt receipt = {
            .call_id = column_u64(row, 0),
            .task_id = (uint32_t)column_u64(row, 1),
            .role = column_text(row, 2),
            .model = column_text(row, 3),
            .status = column_text(row, 4),
            .started_us = column_u64(row, 5),
            .finished_us = column_u64(row, 6),
            .latency_us = column_u64(row, 7),
            .price = { .in = column_u64(row, 8),
                       .cached = column_u64(row, 9),
                       .out = column_u64(row, 10) },
            .usage = { .tokens_in = column_u64(row, 11),
                       .tokens_cached = column_u64(row, 12),
                       .tokens_out = column_u64(row, 13) },
            .reserved_usd_nano = column_u64(row, 14),
            .cost_usd_nano = column_u64(row, 15),
            .flags = (uint32_t)column_u64(row, 16),
            .was_lost = column_u64(row, 17) != 0,
            .note = column_text(row, 18),
            .tokens_reasoning = column_u64(row, 19),
        };
        status = fn(user, &receipt, report);
    }
    sqlite3_reset(row);
    return status;
}

enx_status enx_store_use_get(enx_store *store, const enx_store_use *which, enx_use *out,
                             enx_report *report)
{
    bool          more = false;
    sqlite3_stmt *row = store_prepare(store, STORE_USE, NULL, report);
    if (!row) return ENX_IO;
    sqlite3_bind_int64(row, 1, (sqlite3_int64)which->since_us);
    if (which->class_name) bind_text(row, 2, which->class_name);
    sqlite3_bind_int64(row, 3, (sqlite3_int64)which->job_id);
    sqlite3_bind_int64(row, 4, (sqlite3_int64)which->seq);
    ENX_TRY(store_step(store, row, &more, report));
    *out = (enx_use){ .calls = column_u64(row, 0),
                      .tokens = column_u64(row, 1),
                      .usd_nano = column_u64(row, 2),
                      .time_us = column_u64(row, 3) };
    sqlite3_reset(row);
    return ENX_OK;
}

enx_status enx_store_ups_get(enx_store *store, const char *class_name, const char *settings,
                             uint64_t *tasks, uint64_t *ups, enx_report *report)
{
    bool          more = false;
    sqlite3_stmt *row = store_prepare(store, STORE_UPS, NULL, report);
    if (!row) return ENX_IO;
    bind_text(row, 1, class_name);
    bind_text(row, 2, settings);
    ENX_TRY(store_step(store, row, &more, report));
    *tasks = column_u64(row, 0);
    *ups = column_u64(row, 1);
    sqlite3_reset(row);
    return ENX_OK;
}

enx_status enx_store_changes(enx_store *store, uint64_t *out, enx_report *report)
{
    bool          more = false;
    sqlite3_stmt *row = store_prepare(store, STORE_CHANGES, NULL, report);
    if (!row) return ENX_IO;
    ENX_TRY(store_step(store, row, &more, report));
    *out = column_u64(row, 0);
    sqlite3_reset(row);
    return ENX_OK;
}

/* A result carries the reserve of its intent: with opposite signs, the open ones are left over. */
enx_status enx_store_doubts_get(enx_store *store, uint64_t job_id, enx_store_doubts *out,
                                enx_report *report)
{
    bool          more = false;
    sqlite3_stmt *row = store_prepare(store, STORE_DOUBTS, NULL, report);
    if (!row) return ENX_IO;
    sqlite3_bind_int64(row, 1, (sqlite3_int64)job_id);
    sqlite3_bind_int64(row, 2, ENX_FLAG_USAGE);
    ENX_TRY(store_step(store, row, &more, report));
    *out = (enx_store_doubts){ .open_calls = column_u64(row, 0),
                               .open_tokens = column_u64(row, 1),
                               .open_usd_nano = column_u64(row, 2),
                               .assumed_calls = column_u64(row, 3) };
    sqlite3_reset(row);
    return ENX_OK;
}

enx_status enx_store_certificate_get(enx_store *store, uint64_t job_id, enx_certificate_claim *out,
                                     enx_report *report)
{
    bool          more = false;
    sqlite3_stmt *row = store_prepare(store, STORE_CERTIFICATE, NULL, report);
    if (!row) return ENX_IO;
    sqlite3_bind_int64(row, 1, (sqlite3_int64)job_id);
    ENX_TRY(store_step(store, row, &more, report));
    if (!more)
        return ENX_FAIL(report, NOTFOUND, "job %llu has no certificate",
                        (unsigned long long)job_id);
    *out = (enx_certificate_claim){ .is_certified = column_u64(row, 0) != 0,
                                    .alpha = sqlite3_column_double(row, 1),
                                    .delta = sqlite3_column_double(row, 2),
                                    .answers = (uint32_t)column_u64(row, 3),
                                    .population = (uint32_t)column_u64(row, 4),
                                    .accepted = (uint32_t)column_u64(row, 5),
                                    .labels = (uint32_t)column_u64(row, 6),
                                    .wrong = (uint32_t)column_u64(row, 7),
                                    .form = (enx_certificate_form)column_u64(row, 8),
                                    .always = sqlite3_column_double(row, 9),
                                    .lately = sqlite3_column_double(row, 10),
                                    .window = (uint32_t)column_u64(row, 11),
                                    .escalated = (uint32_t)column_u64(row, 12),
                                    .drifts = (uint32_t)column_u64(row, 13) };
    if (out->form >= ENX_CERTIFICATE_FORM_COUNT) out->form = ENX_CERTIFICATE_BATCH;
    sqlite3_reset(row);
    return ENX_OK;
}
