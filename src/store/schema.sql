-- SPDX-License-Identifier: Apache-2.0
-- schema.sql - version 1 of enxame.db; what came later is in `migrations` of store.c.
--
-- `records` is the truth: what happened in a job, in order, written before it takes effect.
-- `tasks`, `calls`, `labels` and `certificates` are views of it and so can never disagree with it.
-- Money is in nano-dollars (1e-9 USD); times are microseconds since 1970 UTC.

CREATE TABLE jobs (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    created_us      INTEGER NOT NULL,
    finished_us     INTEGER NOT NULL DEFAULT 0,  -- 0: not yet
    state           TEXT NOT NULL DEFAULT 'running'
                    CHECK (state IN ('running', 'done', 'partial', 'failed', 'canceled')),
    command         TEXT NOT NULL,               -- run, map
    goal            TEXT NOT NULL,               -- the user's words
    settings        TEXT NOT NULL,               -- JSON: all that `resume` needs to open it again
    key             TEXT NOT NULL,               -- equal for the same command over the same input
    delivered       INTEGER NOT NULL DEFAULT 0   -- 1: its output was written
) STRICT;

CREATE INDEX jobs_key ON jobs (key);

-- What the job was given, when it cannot be read again (standard input, files that may change).
CREATE TABLE inputs (
    job_id          INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position        INTEGER NOT NULL,            -- from 0
    path            TEXT NOT NULL,               -- as the user named it
    content         BLOB NOT NULL,
    PRIMARY KEY (job_id, position)
) STRICT;

-- The roster and its prices as they were.
CREATE TABLE models (
    job_id          INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    model           INTEGER NOT NULL,            -- index in the roster
    name            TEXT NOT NULL,
    duty            TEXT NOT NULL,               -- lead, scout, worker
    params          INTEGER NOT NULL,
    price_in        INTEGER NOT NULL,            -- nano-dollars per million tokens
    price_cached    INTEGER NOT NULL,
    price_out       INTEGER NOT NULL,
    fixed_usd_nano  INTEGER NOT NULL,            -- this job's share of the training cost
    PRIMARY KEY (job_id, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    job_id          INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq             INTEGER NOT NULL,            -- 1, 2, 3 ... within the job
    kind            TEXT NOT NULL,               -- "job opened", "call intent", ...
    time_us         INTEGER NOT NULL,
    task_id         INTEGER NOT NULL,            -- item + 1; 0: the job itself
    item            INTEGER NOT NULL,
    call_id         INTEGER NOT NULL,            -- 0: none
    role            TEXT NOT NULL,               -- plan, scout, work, lead, audit
    model           INTEGER NOT NULL,
    attempt         INTEGER NOT NULL,
    reason          TEXT NOT NULL,
    text            TEXT NOT NULL,
    reserved_usd_nano INTEGER NOT NULL,
    reserved_tokens INTEGER NOT NULL,
    cost_usd_nano   INTEGER NOT NULL,
    fixed_usd_nano  INTEGER NOT NULL,
    language        TEXT NOT NULL,
    level           INTEGER NOT NULL,            -- damage 0..3, -1 unknown
    kinds           INTEGER NOT NULL,            -- bits: 1 accents, 2 capitals, 4 punctuation
    error_chance    REAL,                        -- NULL: not a number
    score           REAL,
    is_wrong        INTEGER NOT NULL,
    is_single       INTEGER NOT NULL,
    items           INTEGER NOT NULL,
    seed            INTEGER NOT NULL,
    fingerprint     INTEGER NOT NULL,
    status          TEXT NOT NULL,               -- of the report: ok, abstain, refuse, error, lost
    answer          TEXT NOT NULL,
    answer_language TEXT NOT NULL,
    answer_level    INTEGER NOT NULL,
    confidence      REAL,
    sum_logprob     REAL,
    min_logprob     REAL,
    token_count     INTEGER NOT NULL,
    answer_error_chance REAL,
    flags           INTEGER NOT NULL,
    tokens_in       INTEGER NOT NULL,
    tokens_cached   INTEGER NOT NULL,
    tokens_out      INTEGER NOT NULL,
    latency_us      INTEGER NOT NULL,
    error           TEXT NOT NULL,
    is_certified    INTEGER NOT NULL,
    alpha           REAL,
    delta           REAL,
    answers         INTEGER NOT NULL,
    population      INTEGER NOT NULL,
    accepted        INTEGER NOT NULL,
    labels          INTEGER NOT NULL,
    wrong           INTEGER NOT NULL,
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX records_call ON records (job_id, call_id, kind) WHERE call_id <> 0;

-- The ledger: a line a paid call, from its intent to its receipt.
CREATE VIEW calls AS
SELECT i.job_id, i.call_id, i.task_id, i.role, i.attempt, m.name AS model, i.model AS model_index,
       m.price_in, m.price_cached, m.price_out,
       i.time_us AS started_us, r.time_us AS finished_us, r.latency_us,
       coalesce(r.status, 'open') AS status,
       i.reserved_usd_nano, i.reserved_tokens,
       coalesce(r.tokens_in, 0) AS tokens_in, coalesce(r.tokens_cached, 0) AS tokens_cached,
       coalesce(r.tokens_out, 0) AS tokens_out,
       coalesce(r.cost_usd_nano, 0) AS cost_usd_nano,
       coalesce(r.fixed_usd_nano, 0) AS fixed_usd_nano
FROM records i
LEFT JOIN records r ON r.job_id = i.job_id AND r.call_id = i.call_id AND r.call_id <> 0
                   AND r.kind = 'call result'
LEFT JOIN models m ON m.job_id = i.job_id AND m.model = i.model
WHERE i.kind = 'call intent';

-- A line a task: how it ended, or that it has not.
CREATE VIEW tasks AS
SELECT c.job_id, c.task_id, c.item, coalesce(e.kind, 'open') AS state, e.reason, e.language,
       e.model AS model_index, e.text AS answer, e.error_chance
FROM records c
LEFT JOIN records e ON e.job_id = c.job_id AND e.task_id = c.task_id
                   AND e.kind IN ('task accepted', 'task abstained', 'task failed')
WHERE c.kind = 'task created';

CREATE VIEW labels AS
SELECT job_id, task_id, item, score, is_wrong, reason, text AS answer, time_us
FROM records
WHERE kind = 'label';

CREATE VIEW certificates AS
SELECT job_id, is_certified, alpha, delta, answers, population, accepted, labels, wrong, time_us
FROM records
WHERE kind = 'certificate';
