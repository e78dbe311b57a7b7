/* SPDX-License-Identifier: Apache-2.0 */
/* exam.c - many asks of one model through one engine. */
#include "backend/exam.h"

#include "base/check.h"
#include "base/mem.h"
#include "gguf/gguf_write.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "text/damage.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* One row at one level. */
typedef struct question {
    const char *truth; /* in the rows' JSON, alive until the exam ends */
    size_t      truth_bytes;
    char       *damaged; /* owned */
    size_t      damaged_bytes;
    const char *language;
    uint32_t    domain;
    int32_t     level;
} question;

typedef struct examiner {
    enx_exam               *exam;
    const enx_exam_options *options;
    json_t                **rows; /* owned references */
    size_t                  row_count, row_capacity;
    question               *questions;
    size_t                  question_count;
    size_t                  next; /* question to be asked */
    enx_engine             *engine;
    double (*features)[ENX_CALIBRATION_FEATURES];
    bool      *is_wrong;
    enx_status status;
    enx_report report;
} examiner;

typedef struct running {
    examiner *e;
    size_t    question;
    enx_ask  *ask;        /* NULL: free */
    bool      is_waiting; /* for the engine */
} running;

/* ---- Rows ------------------------------------------------------------------------------------ */

static enx_status domain_of(enx_exam *exam, const char *name, uint32_t *index, enx_report *report)
{
    for (*index = 0; *index < exam->domain_count; ++*index)
        if (strcmp(exam->domains[*index], name) == 0) return ENX_OK;
    if (exam->domain_count == ENX_EXAM_DOMAINS_MAX || strlen(name) >= ENX_EXAM_DOMAIN_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "domain \"%s\": at most %d domains of %d bytes", name,
                        ENX_EXAM_DOMAINS_MAX, ENX_EXAM_DOMAIN_BYTES_MAX - 1);
    memcpy(exam->domains[exam->domain_count++], name, strlen(name) + 1);
    return ENX_OK;
}

static enx_status add_row(examiner *e, const char *line, size_t size_bytes, size_t number,
                          enx_report *report)
{
    json_error_t error;
    json_t      *row = json_loadb(line, size_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!row || !json_is_string(json_object_get(row, "text")) ||
        !json_is_string(json_object_get(row, "domain")) ||
        !json_is_string(json_object_get(row, "language"))) {
        json_decref(row);
        return ENX_FAIL(report, FORMAT,
                        "%s:%zu: want a JSON object with text, language and domain%s%s",
                        e->options->rows_path, number, row ? "" : ": ", row ? "" : error.text);
    }
    if (e->row_count == e->row_capacity) {
        const size_t capacity = e->row_capacity ? 2 * e->row_capacity : 256;
        json_t     **grown =
            enx_mem_resize(e->rows, e->row_count * sizeof *grown, capacity * sizeof *grown);
        if (!grown || capacity > ENX_EXAM_ROWS_MAX) {
            json_decref(row);
            return ENX_FAIL(report, LIMIT, "%s: more rows than fit", e->options->rows_path);
        }
        e->rows = grown;
        e->row_capacity = capacity;
    }
    e->rows[e->row_count++] = row;
    return ENX_OK;
}

static enx_status read_rows(examiner *e, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, ENX_EXAM_BYTES_MAX);
    enx_status  status = enx_file_read(&text, e->options->rows_path, report);
    const char *at = enx_buf_text(&text), *end = at + text.size_bytes;
    for (size_t number = 1; status == ENX_OK && at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        if (stop > at) status = add_row(e, at, (size_t)(stop - at), number, report);
        at = stop + 1;
    }
    enx_buf_deinit(&text);
    return status;
}

/* The row at one level, unless its domain has had rows_max of them. */
static enx_status add_question(examiner *e, const json_t *row, int32_t level,
                               uint32_t counts[ENX_EXAM_DOMAINS_MAX], enx_report *report)
{
    const json_t *text = json_object_get(row, "text");
    question     *q = &e->questions[e->question_count];
    enx_buf       damaged;
    *q = (question){ .truth = json_string_value(text),
                     .truth_bytes = json_string_length(text),
                     .language = json_string_value(json_object_get(row, "language")),
                     .level = level };
    ENX_TRY(
        domain_of(e->exam, json_string_value(json_object_get(row, "domain")), &q->domain, report));
    if (e->options->rows_max && counts[q->domain] >= e->options->rows_max) return ENX_OK;
    counts[q->domain]++;
    enx_buf_init(&damaged, ENX_EXAM_BYTES_MAX);
    ENX_TRY(enx_damage(&damaged, q->truth, q->truth_bytes, level, report));
    q->damaged_bytes = damaged.size_bytes;
    q->damaged = enx_buf_take(&damaged);
    e->question_count += q->damaged != NULL;
    return ENX_OK;
}

static enx_status make_questions(examiner *e, enx_report *report)
{
    const size_t most = e->row_count * (ENX_EXAM_LEVELS - 1) + 1;
    e->questions = ENX_MEM_NEW(question, most);
    e->features = enx_mem_new(most, sizeof *e->features);
    e->is_wrong = ENX_MEM_NEW(bool, most);
    if (!e->questions || !e->features || !e->is_wrong)
        return ENX_FAIL(report, NOMEM, "no memory for %zu questions", most);
    for (int32_t level = 1; level < ENX_EXAM_LEVELS; level++) {
        uint32_t counts[ENX_EXAM_DOMAINS_MAX] = { 0 };
        for (size_t i = 0; i < e->row_count; i++)
            ENX_TRY(add_question(e, e->rows[i], level, counts, report));
    }
    return ENX_OK;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static void grade(examiner *e, size_t index, const enx_call_report *r)
{
    const question *q = &e->questions[index];
    const bool      has_answer = r->status == ENX_CALL_OK && !r->flags;
    const char     *answer = has_answer ? r->answer : q->damaged;
    const size_t    answer_bytes = has_answer ? r->answer_bytes : q->damaged_bytes;
    enx_score_add(&e->exam->scores[q->domain][q->level], answer, answer_bytes, q->truth,
                  q->truth_bytes);
    e->exam->broken += !has_answer;
    e->exam->tokens_in += r->usage.tokens_in;
    e->exam->tokens_out += r->usage.tokens_out;
    e->features[index][0] = 1;
    e->features[index][1] = r->sum_logprob;
    e->features[index][2] = r->min_logprob;
    e->features[index][3] = log(1.0 + r->token_count);
    e->is_wrong[index] =
        answer_bytes != q->truth_bytes || memcmp(answer, q->truth, answer_bytes) != 0;
}

static void submit(examiner *e, running *run, const enx_request *request)
{
    enx_request mine = *request;
    mine.user = run;
    run->is_waiting = true;
    if (e->status == ENX_OK) e->status = enx_engine_submit(e->engine, &mine, NULL, &e->report);
}

/* The next request of this ask, or the end of it. */
static void go_on(running *run)
{
    enx_request request;
    if (enx_ask_next(run->ask, &request)) {
        submit(run->e, run, &request);
        return;
    }
    const enx_call_report r = enx_ask_report(run->ask);
    grade(run->e, run->question, &r);
    enx_ask_close(&run->ask);
}

static void on_done(void *owner, const enx_generation *generation)
{
    (void)owner;
    running *run = generation->user;
    run->is_waiting = false;
    enx_ask_take(run->ask, generation);
}

static void start(examiner *e, running *run)
{
    const question *q = &e->questions[e->next];
    enx_call        call = { .call_id = e->next + 1,
                             .task_id = 1,
                             .role = ENX_ROLE_WORK,
                             .what = "restore",
                             .goal = "",
                             .input = q->damaged,
                             .input_bytes = q->damaged_bytes,
                             .level = e->options->is_blind ? ENX_LEVEL_UNKNOWN : q->level,
                             .kinds = ENX_KINDS_ALL,
                             .max_tokens_in = UINT32_MAX,
                             .max_tokens_out = UINT32_MAX };
    if (!e->options->is_blind) snprintf(call.language, sizeof call.language, "%s", q->language);
    *run = (running){ .e = e, .question = e->next++ };
    enx_skill_measure(e->options->skill, &call);
    e->status = enx_ask_open(&run->ask, e->options->skill, &call, &e->report);
    if (e->status == ENX_OK) go_on(run);
}

static enx_status ask_all(examiner *e, enx_report *report)
{
    running slots[ENX_EXAM_SLOTS] = { 0 };
    bool    is_busy = true;
    while (is_busy && e->status == ENX_OK) {
        for (size_t i = 0; i < ENX_EXAM_SLOTS; i++)
            while (!slots[i].ask && e->next < e->question_count && e->status == ENX_OK)
                start(e, &slots[i]);
        enx_engine_step(e->engine, on_done, e);
        is_busy = e->next < e->question_count;
        for (size_t i = 0; i < ENX_EXAM_SLOTS; i++) {
            if (slots[i].ask && !slots[i].is_waiting && e->status == ENX_OK) go_on(&slots[i]);
            is_busy = is_busy || slots[i].ask;
        }
    }
    for (size_t i = 0; i < ENX_EXAM_SLOTS; i++) enx_ask_close(&slots[i].ask);
    if (e->status != ENX_OK && report) *report = e->report;
    return e->status;
}

/* ---- The whole ------------------------------------------------------------------------------- */

/* The questions of a level stand together: [first, end). */
static void find_level(const examiner *e, int32_t level, size_t *first, size_t *end)
{
    for (*first = 0; *first < e->question_count && e->questions[*first].level != level;) ++*first;
    for (*end = *first; *end < e->question_count && e->questions[*end].level == level;) ++*end;
}

static enx_status resample_level(examiner *e, int32_t level, enx_report *report)
{
    size_t first, end;
    if (e->options->resamplings == 0) return ENX_OK;
    find_level(e, level, &first, &end);
    return enx_exam_resample(&e->exam->resampling[level], e->is_wrong + first, end - first,
                             e->options->resamplings, 0.05, report);
}

static void calibrate(examiner *e)
{
    for (int32_t level = 1; level < ENX_EXAM_LEVELS; level++) {
        size_t first, end;
        find_level(e, level, &first, &end);
        double *c = e->exam->calibration[level];
        enx_calibration_fit(c, (const double(*)[ENX_CALIBRATION_FEATURES])(e->features + first),
                            e->is_wrong + first, end - first);
        double error = 0;
        for (size_t i = first; i < end; i++) {
            double sum = 0;
            for (int k = 0; k < ENX_CALIBRATION_FEATURES; k++) sum += c[k] * e->features[i][k];
            const double p = 1 / (1 + exp(-sum)), miss = p - (e->is_wrong[i] ? 1.0 : 0.0);
            error += miss * miss;
        }
        e->exam->brier[level] = end > first ? error / (double)(end - first) : 0;
    }
}

static void close_examiner(examiner *e)
{
    for (size_t i = 0; i < e->question_count; i++) enx_mem_free(e->questions[i].damaged);
    for (size_t i = 0; i < e->row_count; i++) json_decref(e->rows[i]);
    enx_mem_free(e->rows);
    enx_mem_free(e->questions);
    enx_mem_free(e->features);
    enx_mem_free(e->is_wrong);
    enx_engine_close(&e->engine);
}

enx_status enx_exam_run(enx_exam *out, const enx_exam_options *options, enx_report *report)
{
    const uint64_t           start_us = enx_clock_monotonic_us();
    enx_exam                 exam = { 0 };
    examiner                 e = { .exam = &exam, .options = options };
    const enx_engine_options engine = { .model = options->skill->loaded.model,
                                        .cpu = options->cpu,
                                        .slot_count = ENX_EXAM_SLOTS,
                                        .context_tokens = options->skill->context_tokens,
                                        .pool = options->pool };
    enx_status               status = ENX_OK;
    if (!enx_loaded_can(&options->skill->loaded, "restore"))
        status = ENX_FAIL(report, UNSUPPORTED, "the model has no prompt to restore text with");
    if (status == ENX_OK) status = read_rows(&e, report);
    if (status == ENX_OK) status = make_questions(&e, report);
    if (status == ENX_OK) status = enx_engine_open(&e.engine, &engine, report);
    if (status == ENX_OK) status = ask_all(&e, report);
    for (int32_t level = 1; status == ENX_OK && level < ENX_EXAM_LEVELS; level++)
        status = resample_level(&e, level, report);
    if (status == ENX_OK) {
        calibrate(&e);
        exam.elapsed_us = enx_clock_monotonic_us() - start_us;
        *out = exam;
    }
    close_examiner(&e);
    return status;
}

/* ---- Writing the calibration into the model ---------------------------------------------------
 */

static enx_status copy_model(enx_gguf_writer *writer, const enx_exam *exam, const enx_gguf *source,
                             enx_buf *bytes, enx_report *report)
{
    enx_gguf_add_from(writer, source, "enxame.calibration.");
    for (int level = 1; level < ENX_EXAM_LEVELS; level++) {
        char  key[64];
        float values[ENX_CALIBRATION_FEATURES];
        for (int i = 0; i < ENX_CALIBRATION_FEATURES; i++)
            values[i] = (float)exam->calibration[level][i];
        snprintf(key, sizeof key, "enxame.calibration.restore.%d", level);
        enx_gguf_add_f32s(writer, key, values, ENX_CALIBRATION_FEATURES);
    }
    for (uint64_t i = 0; i < enx_gguf_tensor_count(source); i++) {
        const enx_gguf_tensor *t = enx_gguf_tensor_at(source, i);
        char                   name[ENX_GGUF_NAME_BYTES_MAX + 1] = { 0 };
        memcpy(name, t->name.data, t->name.size_bytes);
        enx_gguf_add_tensor(writer, name, t->type, t->dim_count, t->dims, t->data);
    }
    return enx_gguf_writer_finish(writer, bytes, report);
}

enx_status enx_exam_write_calibration(const enx_exam *exam, const enx_skill *skill,
                                      const char *path, enx_report *report)
{
    enx_gguf_writer *writer = NULL;
    enx_buf          bytes;
    enx_buf_init(&bytes, (size_t)1 << 36);
    enx_status status = enx_gguf_writer_open(&writer, report);
    if (status == ENX_OK) status = copy_model(writer, exam, skill->loaded.gguf, &bytes, report);
    if (status == ENX_OK) status = enx_file_write(path, bytes.data, bytes.size_bytes, report);
    enx_gguf_writer_close(&writer);
    enx_buf_deinit(&bytes);
    return status;
}
