/* SPDX-License-Identifier: Apache-2.0 */
/* store_stream.c - certificates that go on from job to job. */
#include "store/store_impl.h"

static void bind_word(sqlite3_stmt *statement, int parameter, const char *word)
{
    sqlite3_bind_text(statement, parameter, word, -1, SQLITE_STATIC);
}

/* *found tells whether there is one; epoch, id and seed are then its own. */
static enx_status find(enx_store *store, enx_store_stream *stream, bool *found, enx_report *report)
{
    sqlite3_stmt *row = store_prepare(store, STORE_STREAM_FIND, NULL, report);
    if (!row) return ENX_IO;
    bind_word(row, 1, stream->key);
    ENX_TRY(store_step(store, row, found, report));
    if (*found) {
        stream->id = (uint64_t)sqlite3_column_int64(row, 0);
        stream->epoch = (uint32_t)sqlite3_column_int64(row, 1);
        stream->seed = (uint64_t)sqlite3_column_int64(row, 2);
    }
    sqlite3_reset(row);
    return ENX_OK;
}

static enx_status read_last(enx_store *store, enx_store_stream *stream, enx_report *report)
{
    bool          more = false;
    enx_status    status = ENX_OK;
    sqlite3_stmt *row = store_prepare(store, STORE_STREAM_LAST, NULL, report);
    if (!row) return ENX_IO;
    bind_word(row, 1, stream->class_name);
    ENX_TRY(store_step(store, row, &more, report));
    stream->epoch = more ? (uint32_t)sqlite3_column_int64(row, 0) + 1 : 1;
    if (more && stream->before)
        status = enx_buf_append_text(stream->before, (const char *)sqlite3_column_text(row, 1));
    sqlite3_reset(row);
    return status == ENX_OK ? ENX_OK : ENX_FAIL(report, LIMIT, "the last epoch is too long");
}

static enx_status add(enx_store *store, enx_store_stream *stream, enx_report *report)
{
    ENX_TRY(read_last(store, stream, report));
    sqlite3_stmt *statement = store_prepare(store, STORE_STREAM_ADD, NULL, report);
    if (!statement) return ENX_IO;
    bind_word(statement, 1, stream->key);
    bind_word(statement, 2, stream->class_name);
    sqlite3_bind_int64(statement, 3, stream->epoch);
    bind_word(statement, 4, stream->parts);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)stream->seed);
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)stream->opened_us);
    ENX_TRY(store_run(store, statement, report));
    stream->id = (uint64_t)sqlite3_last_insert_rowid(store->db);
    return ENX_OK;
}

enx_status enx_store_stream_open(enx_store *store, enx_store_stream *stream, enx_report *report)
{
    bool found = false;
    ENX_TRY(enx_store_begin(store, report));
    enx_status status = find(store, stream, &found, report);
    stream->is_new = !found;
    if (status == ENX_OK && !found) status = add(store, stream, report);
    const enx_status committed = enx_store_commit(store, status == ENX_OK ? report : NULL);
    return status == ENX_OK ? committed : status;
}

enx_status enx_store_stream_each(enx_store *store, uint64_t id, enx_store_stream_fn fn, void *user,
                                 enx_report *report)
{
    bool          more = true;
    enx_status    status = ENX_OK;
    sqlite3_stmt *row = store_prepare(store, STORE_STREAM_EVENTS, NULL, report);
    if (!row) return ENX_IO;
    sqlite3_bind_int64(row, 1, (sqlite3_int64)id);
    while (status == ENX_OK) {
        status = store_step(store, row, &more, report);
        if (status != ENX_OK || !more) break;
        const enx_store_stream_event event = {
            .is_offer = sqlite3_column_int64(row, 0) != 0,
            .is_wrong = sqlite3_column_int64(row, 5) != 0,
            .ticket = { .offer = (uint64_t)sqlite3_column_int64(row, 1),
                        .verdict = (enx_stream_verdict)sqlite3_column_int64(row, 2),
                        .score = sqlite3_column_double(row, 3),
                        .chance = sqlite3_column_double(row, 4) },
        };
        status = fn(user, &event, report);
    }
    sqlite3_reset(row);
    return status;
}
