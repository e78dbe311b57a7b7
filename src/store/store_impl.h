/* SPDX-License-Identifier: Apache-2.0 */
/* store_impl.h - private: the handle and its statements.
 *
 * Layer: store, included by store*.c only.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_STORE_STORE_IMPL_H
#define ENX_STORE_STORE_IMPL_H

#include "store/store.h"

#include <sqlite3.h>

/* X(NAME, SQL): prepared at their first use, kept until close. */
/* clang-format off */
#define STORE_SAME_SETTING(key) \
    "AND json_extract(settings, '$." key "') IS json_extract(?2, '$." key "') "

#define STORE_STATEMENT_MAP(X) \
    X(BEGIN, "BEGIN IMMEDIATE") \
    X(COMMIT, "COMMIT") \
    X(ROLLBACK, "ROLLBACK") \
    X(JOB_ADD, \
      "INSERT INTO jobs (created_us, command, goal, settings, key) VALUES (?1, ?2, ?3, ?4, ?5)") \
    X(JOB_GET, STORE_JOB_SELECT "WHERE j.id = ?1 GROUP BY j.id") \
    X(JOBS_EACH, STORE_JOB_SELECT "GROUP BY j.id ORDER BY j.id DESC") \
    X(JOB_STATE, "UPDATE jobs SET state = ?2, finished_us = ?3 WHERE id = ?1") \
    X(JOB_DELIVERED, "UPDATE jobs SET delivered = 1 WHERE id = ?1") \
    X(JOB_FIND, \
      "SELECT id FROM jobs WHERE key = ?1 AND delivered = 0 " \
      "AND state IN ('running', 'partial', 'done') ORDER BY id DESC LIMIT 1") \
    X(JOB_FIND_ANY, "SELECT id FROM jobs WHERE key = ?1 ORDER BY id DESC LIMIT 1") \
    X(INPUT_ADD, \
      "INSERT INTO inputs (job_id, position, path, content) VALUES (?1, ?2, ?3, ?4)") \
    X(INPUT_GET, "SELECT path, content FROM inputs WHERE job_id = ?1 AND position = ?2") \
    X(MODEL_SET, \
      "INSERT OR REPLACE INTO models (job_id, model, name, duty, params, price_in, price_cached, " \
      "price_out, fixed_usd_nano) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)") \
    X(BILL, \
      "SELECT m.model, m.name, m.duty, m.params, m.price_in, m.price_cached, m.price_out, " \
      "iif(count(r.seq) > 0, m.fixed_usd_nano, 0), " \
      "coalesce(sum(r.flags & 32 = 0), 0), " \
      "coalesce(sum(r.tokens_in), 0), " \
      "coalesce(sum(r.tokens_cached), 0), coalesce(sum(r.tokens_out), 0), " \
      "coalesce(sum(r.cost_usd_nano), 0), coalesce(sum(r.tokens_reasoning), 0), " \
      "coalesce(sum(r.flags & 32 <> 0 AND r.status = 'ok'), 0) " \
      "FROM models m LEFT JOIN records r " \
      "ON r.job_id = m.job_id AND r.model = m.model AND r.kind = 'call result' " \
      "WHERE m.job_id = ?1 GROUP BY m.model ORDER BY m.model") \
    X(RECEIPTS, \
      "SELECT call_id, task_id, role, coalesce(model, ''), status, started_us, " \
      "coalesce(finished_us, 0), coalesce(latency_us, 0), coalesce(price_in, 0), " \
      "coalesce(price_cached, 0), coalesce(price_out, 0), tokens_in, tokens_cached, tokens_out, " \
      "reserved_usd_nano, cost_usd_nano, coalesce((SELECT flags FROM records r WHERE " \
      "r.job_id = c.job_id AND r.call_id = c.call_id AND r.kind = 'call result'), 0), " \
      "EXISTS (SELECT 1 FROM records r WHERE r.job_id = c.job_id AND r.call_id = c.call_id " \
      "AND r.kind = 'call lost'), coalesce((SELECT iif(r.kind = 'call lost', r.text, r.error) " \
      "FROM records r WHERE r.job_id = c.job_id AND r.call_id = c.call_id " \
      "AND r.kind IN ('call result', 'call lost') ORDER BY r.kind DESC LIMIT 1), ''), " \
      "coalesce((SELECT tokens_reasoning FROM records r WHERE r.job_id = c.job_id " \
      "AND r.call_id = c.call_id AND r.kind = 'call result'), 0) " \
      "FROM calls c WHERE job_id = ?1 ORDER BY call_id") \
    X(DOUBTS, \
      "SELECT coalesce(sum(side), 0), coalesce(sum(side * reserved_tokens), 0), " \
      "coalesce(sum(side * reserved_usd_nano), 0), " \
      "coalesce(sum(side = -1 AND (flags & ?2) <> 0), 0) FROM (SELECT reserved_tokens, " \
      "reserved_usd_nano, flags, iif(kind = 'call intent', 1, -1) AS side FROM records " \
      "WHERE job_id = ?1 AND kind IN ('call intent', 'call result'))") \
    X(USE, \
      "SELECT coalesce(sum(coalesce(r.flags, 0) & 32 = 0), 0), " \
      "coalesce(sum(iif(r.seq IS NULL, i.reserved_tokens, " \
      "r.tokens_in + r.tokens_cached + r.tokens_out)), 0), " \
      "coalesce(sum(iif(r.seq IS NULL, i.reserved_usd_nano, r.cost_usd_nano)), 0), " \
      "coalesce(sum(r.latency_us), 0) FROM records i LEFT JOIN records r ON r.job_id = i.job_id " \
      "AND r.call_id = i.call_id AND r.call_id <> 0 AND r.kind = 'call result' " \
      "WHERE i.kind = 'call intent' AND i.time_us >= ?1 AND (?2 IS NULL OR i.text = ?2) " \
      "AND (i.job_id <> ?3 OR i.seq <= ?4)") \
    X(UPS, \
      "SELECT count(*), coalesce(sum(is_up), 0) FROM (SELECT max(role IN ('lead', 'audit')) AS " \
      "is_up FROM records WHERE kind = 'call result' AND task_id <> 0 AND job_id IN (SELECT id " \
      "FROM jobs WHERE goal = ?1 AND command = 'map' AND state = 'done' " \
      STORE_SAME_SETTING("swarm") STORE_SAME_SETTING("mode") STORE_SAME_SETTING("accuracy") \
      STORE_SAME_SETTING("recipe.checks") "ORDER BY id DESC LIMIT 4) " \
      "GROUP BY job_id, task_id HAVING max(role = 'work'))") \
    X(CHANGES, "PRAGMA data_version") \
    X(CERTIFICATE, \
      "SELECT is_certified, alpha, delta, answers, population, accepted, labels, wrong, form, " \
      "coalesce(always, 0), coalesce(lately, 0), window, escalated, drifts " \
      "FROM records WHERE job_id = ?1 AND kind = 'certificate' AND task_id = 0 " \
      "ORDER BY seq DESC LIMIT 1") \
    X(STREAM_FIND, "SELECT id, epoch, seed FROM streams WHERE key = ?1") \
    X(STREAM_LAST, \
      "SELECT epoch, parts FROM streams WHERE class = ?1 ORDER BY epoch DESC LIMIT 1") \
    X(STREAM_ADD, \
      "INSERT INTO streams (key, class, epoch, parts, seed, opened_us) " \
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6)") \
    X(STREAM_EVENTS, \
      "SELECT kind = 'offer', offer, verdict, score, chance, is_wrong FROM records " \
      "WHERE stream = ?1 AND stream <> 0 ORDER BY place") \
    X(QUESTION_FIND, "SELECT job_id, call_id, task_id FROM questions WHERE key = ?1") \
    X(QUESTION_PUT, \
      "INSERT OR REPLACE INTO questions (key, job_id, call_id, task_id) VALUES (?1, ?2, ?3, ?4)") \
    X(QUESTION_DROP, "DELETE FROM questions WHERE job_id = ?1 AND call_id = ?2") \
    X(RESULT_GET, NULL) \
    X(RECORD_ADD, NULL) \
    X(RECORDS_EACH, NULL)

#define STORE_JOB_SELECT \
    "SELECT j.id, j.created_us, j.finished_us, j.state, j.command, j.goal, j.settings, " \
    "max(coalesce((SELECT max(items) FROM records WHERE job_id = j.id AND seq = 1), 0), " \
    "coalesce(sum(r.kind = 'task created'), 0)), " \
    "count(DISTINCT CASE WHEN r.kind IN ('task accepted', 'task abstained', 'task failed') " \
    "THEN r.task_id END), " \
    "coalesce(sum(r.kind = 'call result' AND r.flags & 32 = 0), 0), " \
    "coalesce(sum(r.tokens_in) FILTER (WHERE r.kind = 'call result'), 0), " \
    "coalesce(sum(r.tokens_cached) FILTER (WHERE r.kind = 'call result'), 0), " \
    "coalesce(sum(r.tokens_out) FILTER (WHERE r.kind = 'call result'), 0), " \
    "coalesce(sum(r.cost_usd_nano) FILTER (WHERE r.kind = 'call result'), 0), " \
    "coalesce((SELECT sum(m.fixed_usd_nano) FROM models m WHERE m.job_id = j.id AND EXISTS " \
    "(SELECT 1 FROM records u WHERE u.job_id = m.job_id AND u.model = m.model AND " \
    "u.kind = 'call result')), 0) " \
    "FROM jobs j LEFT JOIN records r ON r.job_id = j.id "

typedef enum store_statement {
#define X(name, sql) STORE_##name,
    STORE_STATEMENT_MAP(X)
#undef X
    STORE_STATEMENT_COUNT
} store_statement;
/* clang-format on */

struct enx_store {
    sqlite3      *db;
    sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
    bool          is_grouped; /* between begin and commit */
    enx_record    answer;     /* of the question that was found last */
    char          path[4096];
};

/* The prepared statement, reset; NULL after a failure, which is reported. */
sqlite3_stmt           *store_prepare(enx_store *store, store_statement which, const char *sql,
                                      enx_report *report);
/* Run to the end, expecting no row. */
ENX_MUST_USE enx_status store_run(enx_store *store, sqlite3_stmt *statement, enx_report *report);
/* What sqlite says, as a status with path and remedy. */
enx_status              store_fail(const enx_store *store, int code, enx_report *report);
/* Read the next row: *more tells whether there is one. */
ENX_MUST_USE enx_status store_step(enx_store *store, sqlite3_stmt *statement, bool *more,
                                   enx_report *report);

#endif /* ENX_STORE_STORE_IMPL_H */
