/* SPDX-License-Identifier: Apache-2.0 */
/* test_store.c - what was saved is there, in order, whatever happened. */
#include "store/store.h"

#include "plat/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct world {
    char       folder[64], path[128];
    enx_store *store;
    enx_report report;
} world;

static int setup(void **state)
{
    world *w = calloc(1, sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/enxame-store-XXXXXX");
    if (!mkdtemp(w->folder)) return 1;
    snprintf(w->path, sizeof w->path, "%s/a/b/enxame.db", w->folder);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    char   command[200];
    enx_store_close(&w->store);
    snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", w->folder, w->folder);
    const int result = system(command);
    free(w);
    return result;
}

static enx_status open_store(world *w, uint64_t bytes_max)
{
    const enx_store_options options = { .path = w->path, .bytes_max = bytes_max };
    enx_store_close(&w->store);
    w->report = (enx_report){ 0 };
    return enx_store_open(&w->store, &options, &w->report);
}

static uint64_t add_job(world *w)
{
    const enx_store_job job = {
        .created_us = 1, .command = "run", .goal = "repair", .settings = "{}", .key = "k"
    };
    uint64_t id = 0;
    assert_int_equal(enx_store_job_add(w->store, &job, &id, &w->report), ENX_OK);
    return id;
}

static enx_record record_of(uint64_t job_id, uint64_t seq, enx_record_kind kind)
{
    return (enx_record){ .kind = kind,
                         .job_id = job_id,
                         .seq = seq,
                         .time_us = seq * 10,
                         .text = "",
                         .level = ENX_LEVEL_UNKNOWN,
                         .report = { .answer = "", .level = ENX_LEVEL_UNKNOWN } };
}

/* A record with something in every field. */
static enx_record full_record(uint64_t job_id, uint64_t seq)
{
    enx_record r = record_of(job_id, seq, ENX_RECORD_CALL_RESULT);
    r.task_id = 7, r.item = 6, r.call_id = job_id << 32 | 9, r.role = ENX_ROLE_LEAD, r.model = 1;
    r.attempt = 2, r.reason = ENX_REASON_LOW_CONFIDENCE;
    r.text = "a\0b", r.text_bytes = 3;
    r.reserved_usd_nano = 11, r.reserved_tokens = 12, r.cost_usd_nano = 13, r.fixed_usd_nano = 14;
    r.report = (enx_call_report){ .call_id = r.call_id,
                                  .status = ENX_CALL_ABSTAIN,
                                  .answer = "É\xff",
                                  .answer_bytes = 3,
                                  .language = "pt_BR",
                                  .level = 2,
                                  .confidence = .5,
                                  .sum_logprob = -1.25,
                                  .min_logprob = -.75,
                                  .token_count = 5,
                                  .error_chance = .125,
                                  .flags = 9,
                                  .usage = { 21, 22, 23 },
                                  .tokens_reasoning = 19,
                                  .latency_us = 24,
                                  .error = "no" };
    snprintf(r.language, sizeof r.language, "vi");
    r.level = 3, r.kinds = 5, r.error_chance = .25, r.score = .75, r.is_wrong = true;
    r.is_single = true, r.items = 400, r.seed = UINT64_MAX, r.fingerprint = UINT64_C(1) << 63;
    r.check = 4;
    r.offer = (enx_record_offer){ 3, job_id << 20 | seq, 5, ENX_STREAM_AUDIT, .375 };
    r.certificate = (enx_certificate_claim){ .form = ENX_CERTIFICATE_STREAM,
                                             .is_certified = true,
                                             .alpha = .02,
                                             .delta = .05,
                                             .answers = 400,
                                             .population = 390,
                                             .accepted = 380,
                                             .labels = 40,
                                             .wrong = 1,
                                             .always = .015,
                                             .lately = .018,
                                             .window = 20000,
                                             .escalated = 7,
                                             .drifts = 2 };
    return r;
}

typedef struct reader {
    const enx_record *want;
    size_t            count;
} reader;

static enx_status compare_record(void *user, const enx_record *r, enx_report *report)
{
    (void)report;
    reader           *at = user;
    const enx_record *w = &at->want[at->count++];
    assert_int_equal(r->kind, w->kind);
    assert_int_equal(r->seq, w->seq);
    assert_int_equal(r->role, w->role);
    assert_int_equal(r->reason, w->reason);
    assert_int_equal(r->call_id, w->call_id);
    assert_int_equal(r->text_bytes, w->text_bytes);
    assert_memory_equal(r->text, w->text, w->text_bytes);
    assert_int_equal(r->report.answer_bytes, w->report.answer_bytes);
    assert_memory_equal(r->report.answer, w->report.answer, w->report.answer_bytes);
    assert_string_equal(r->report.error ? r->report.error : "",
                        w->report.error ? w->report.error : "");
    assert_string_equal(r->language, w->language);
    assert_string_equal(r->report.language, w->report.language);
    assert_int_equal(r->level, w->level);
    assert_int_equal(r->report.level, w->report.level);
    assert_int_equal(r->report.status, w->report.status);
    assert_true(r->report.sum_logprob == w->report.sum_logprob);
    assert_true(r->error_chance == w->error_chance && r->score == w->score);
    assert_memory_equal(&r->report.usage, &w->report.usage, sizeof w->report.usage);
    assert_int_equal(r->report.tokens_reasoning, w->report.tokens_reasoning);
    assert_int_equal(r->seed, w->seed);
    assert_int_equal(r->fingerprint, w->fingerprint);
    assert_true(r->certificate.alpha == w->certificate.alpha);
    assert_int_equal(r->certificate.wrong, w->certificate.wrong);
    assert_int_equal(r->certificate.form, w->certificate.form);
    assert_true(r->certificate.lately == w->certificate.lately);
    assert_int_equal(r->certificate.drifts, w->certificate.drifts);
    assert_int_equal(r->offer.place, w->offer.place);
    assert_int_equal(r->offer.verdict, w->offer.verdict);
    assert_true(r->offer.chance == w->offer.chance);
    assert_int_equal(r->check, w->check);
    assert_int_equal(r->is_wrong, w->is_wrong);
    assert_int_equal(r->items, w->items);
    assert_int_equal(r->cost_usd_nano, w->cost_usd_nano);
    return ENX_OK;
}

static void records_come_back_as_they_were_and_in_order(void **state)
{
    world *w = *state;
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t   id = add_job(w), other = add_job(w);
    const enx_record records[] = { record_of(id, 1, ENX_RECORD_JOB_OPENED), full_record(id, 2),
                                   record_of(id, 3, ENX_RECORD_TASK_ACCEPTED) };
    const enx_record stranger = record_of(other, 1, ENX_RECORD_JOB_OPENED);
    assert_int_equal(enx_store_save(w->store, records, 2, &w->report), ENX_OK);
    assert_int_equal(enx_store_save(w->store, &stranger, 1, &w->report), ENX_OK);
    assert_int_equal(enx_store_save(w->store, records + 2, 1, &w->report), ENX_OK);
    assert_int_equal(open_store(w, 0), ENX_OK);
    reader at = { records, 0 };
    assert_int_equal(enx_store_replay(w->store, id, compare_record, &at, &w->report), ENX_OK);
    assert_int_equal(at.count, 3);
}

static enx_status compare_event(void *user, const enx_store_stream_event *event, enx_report *report)
{
    uint64_t *count = user;
    (void)report;
    assert_int_equal(event->ticket.offer, *count < 2 ? *count + 1 : 1);
    assert_int_equal(event->is_offer, *count < 2);
    assert_int_equal(event->is_wrong, *count == 2);
    assert_int_equal(event->ticket.verdict, ENX_STREAM_AUDIT);
    assert_true(event->ticket.score == .75 && event->ticket.chance == .5);
    ++*count;
    return ENX_OK;
}

static enx_record event_of(uint64_t job_id, uint64_t seq, uint64_t place, uint64_t offer)
{
    enx_record r = record_of(job_id, seq, place < 3 ? ENX_RECORD_OFFER : ENX_RECORD_LABEL);
    r.offer = (enx_record_offer){ 1, place, offer, ENX_STREAM_AUDIT, .5 };
    r.score = .75;
    r.is_wrong = place == 3;
    return r;
}

static uint64_t add_map(world *w, const char *settings, const char *state)
{
    const enx_store_job job = {
        .created_us = 1, .command = "map", .goal = "echo", .settings = settings, .key = "k"
    };
    uint64_t id = 0;
    assert_int_equal(enx_store_job_add(w->store, &job, &id, &w->report), ENX_OK);
    assert_int_equal(enx_store_job_set_state(w->store, id, state, 1, &w->report), ENX_OK);
    return id;
}

static void add_results(world *w, uint64_t job_id, uint64_t seq, enx_role role, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        enx_record r = record_of(job_id, seq + i, ENX_RECORD_CALL_RESULT);
        r.task_id = i + 1;
        r.role = role;
        assert_int_equal(enx_store_save(w->store, &r, 1, &w->report), ENX_OK);
    }
}

static void what_went_up_is_known_of_jobs_that_were_the_same(void **state)
{
    world      *w = *state;
    uint64_t    tasks = 0, ups = 0;
    static char same[] =
        "{\"swarm\":\"a\",\"mode\":\"swarm\",\"recipe\":{\"checks\":[\"schema\"]}}";
    static char other[] = "{\"swarm\":\"a\",\"mode\":\"swarm\",\"recipe\":{\"checks\":[]}}";
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t one = add_map(w, same, "done"), two = add_map(w, other, "done");
    add_results(w, one, 1, ENX_ROLE_WORK, 8);
    add_results(w, one, 9, ENX_ROLE_LEAD, 2);
    add_results(w, two, 1, ENX_ROLE_WORK, 9);
    add_results(w, add_map(w, same, "partial"), 1, ENX_ROLE_WORK, 9);
    assert_int_equal(enx_store_ups_get(w->store, "echo", same, &tasks, &ups, &w->report), ENX_OK);
    assert_true(tasks == 8 && ups == 2);
    assert_int_equal(enx_store_ups_get(w->store, "other", same, &tasks, &ups, &w->report), ENX_OK);
    assert_true(tasks == 0 && ups == 0);
    for (int i = 0; i < 4; i++) /* by the lead alone: what was known is old by then */
        add_results(w, add_map(w, same, "done"), 1, ENX_ROLE_LEAD, 9);
    assert_int_equal(enx_store_ups_get(w->store, "echo", same, &tasks, &ups, &w->report), ENX_OK);
    assert_true(tasks == 0 && ups == 0);
}

/* Two jobs took turns: what counts is the place in the stream, and no place is taken twice. */
static void a_stream_is_told_again_over_all_jobs(void **state)
{
    world   *w = *state;
    uint64_t count = 0;
    enx_buf  before;
    assert_int_equal(open_store(w, 0), ENX_OK);
    enx_buf_init(&before, 100);
    enx_store_stream s = { .key = "a", .class_name = "echo", .parts = "{}", .seed = 9 };
    assert_int_equal(enx_store_stream_open(w->store, &s, &w->report), ENX_OK);
    assert_true(s.is_new && s.id == 1 && s.epoch == 1);
    const uint64_t   one = add_job(w), two = add_job(w);
    const enx_record first = event_of(one, 1, 1, 1), second = event_of(two, 1, 2, 2);
    const enx_record third = event_of(one, 2, 3, 1), again = event_of(two, 2, 3, 1);
    assert_int_equal(enx_store_save(w->store, &first, 1, &w->report), ENX_OK);
    assert_int_equal(enx_store_save(w->store, &second, 1, &w->report), ENX_OK);
    assert_int_equal(enx_store_save(w->store, &third, 1, &w->report), ENX_OK);
    assert_int_equal(enx_store_save(w->store, &again, 1, &w->report), ENX_INVALID);
    assert_int_equal(open_store(w, 0), ENX_OK);
    s = (enx_store_stream){ .key = "a", .class_name = "echo", .parts = "{}", .seed = 10 };
    assert_int_equal(enx_store_stream_open(w->store, &s, &w->report), ENX_OK);
    assert_true(!s.is_new && s.id == 1 && s.seed == 9);
    assert_int_equal(enx_store_stream_each(w->store, 1, compare_event, &count, &w->report), ENX_OK);
    assert_int_equal(count, 3);
    s = (enx_store_stream){ .key = "b", .class_name = "echo", .parts = "[]", .before = &before };
    assert_int_equal(enx_store_stream_open(w->store, &s, &w->report), ENX_OK);
    assert_true(s.is_new && s.id == 2 && s.epoch == 2);
    assert_string_equal(enx_buf_text(&before), "{}");
    enx_buf_deinit(&before);
}

static void a_batch_is_saved_whole_or_not_at_all(void **state)
{
    world *w = *state;
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t   id = add_job(w);
    const enx_record twice[] = { record_of(id, 1, ENX_RECORD_JOB_OPENED),
                                 record_of(id, 1, ENX_RECORD_GATED) };
    assert_int_equal(enx_store_save(w->store, twice, 2, &w->report), ENX_INVALID);
    reader at = { twice, 0 };
    assert_int_equal(enx_store_replay(w->store, id, compare_record, &at, &w->report), ENX_OK);
    assert_int_equal(at.count, 0);
    assert_int_equal(enx_store_save(w->store, twice, 1, &w->report), ENX_OK);
}

static void what_was_not_committed_is_gone(void **state)
{
    world *w = *state;
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t   id = add_job(w);
    const enx_record first = record_of(id, 1, ENX_RECORD_JOB_OPENED);
    assert_int_equal(enx_store_begin(w->store, &w->report), ENX_OK);
    assert_int_equal(enx_store_save(w->store, &first, 1, &w->report), ENX_OK);
    assert_int_equal(open_store(w, 0), ENX_OK);
    reader at = { &first, 0 };
    assert_int_equal(enx_store_replay(w->store, id, compare_record, &at, &w->report), ENX_OK);
    assert_int_equal(at.count, 0);
}

static enx_status take_job(void *user, const enx_store_job *job, enx_report *report)
{
    (void)report;
    enx_store_job *out = user;
    *out = *job;
    out->state = strcmp(job->state, "done") == 0 ? "done" : "other";
    return ENX_OK;
}

static enx_status take_model(void *user, const enx_store_model *model, enx_report *report)
{
    (void)report;
    if (model->model == 1) *(enx_store_model *)user = *model;
    return ENX_OK;
}

static enx_status take_receipt(void *user, const enx_store_receipt *receipt, enx_report *report)
{
    (void)report;
    *(enx_store_receipt *)user = *receipt;
    return ENX_OK;
}

static void jobs_sum_up_their_ledger(void **state)
{
    world                *w = *state;
    enx_store_job         job;
    enx_store_receipt     receipt = { 0 };
    enx_certificate_claim claim;
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t        id = add_job(w);
    enx_store_model       lead = { .model = 1,
                                   .name = "lead",
                                   .duty = "lead",
                                   .params = 10,
                                   .price = { .in = 5, .out = 6 },
                                   .fixed_usd_nano = 77 };
    const enx_store_model unused = {
        .model = 2, .name = "es", .duty = "worker", .fixed_usd_nano = 1000
    };
    assert_int_equal(enx_store_model_set(w->store, id, &lead, &w->report), ENX_OK);
    assert_int_equal(enx_store_model_set(w->store, id, &unused, &w->report), ENX_OK);
    enx_record intent = full_record(id, 2);
    intent.kind = ENX_RECORD_CALL_INTENT;
    const enx_record records[] = { record_of(id, 1, ENX_RECORD_JOB_OPENED), intent,
                                   full_record(id, 3), record_of(id, 4, ENX_RECORD_JOB_DONE) };
    assert_int_equal(enx_store_save(w->store, records, 4, &w->report), ENX_OK);
    assert_int_equal(enx_store_job_get(w->store, id, take_job, &job, &w->report), ENX_OK);
    assert_string_equal(job.state, "done");
    assert_int_equal(job.calls, 1);
    assert_int_equal(job.tokens_in, 21);
    assert_int_equal(job.cost_usd_nano, 13);
    assert_int_equal(job.fixed_usd_nano, 77);
    assert_int_equal(enx_store_bill_each(w->store, id, take_model, &lead, &w->report), ENX_OK);
    assert_int_equal(lead.calls, 1);
    assert_int_equal(lead.usage.tokens_out, 23);
    assert_int_equal(lead.tokens_reasoning, 19);
    assert_int_equal(lead.fixed_usd_nano, 77);
    assert_int_equal(enx_store_receipts_each(w->store, id, take_receipt, &receipt, &w->report),
                     ENX_OK);
    assert_int_equal(receipt.started_us, 20);
    assert_int_equal(receipt.finished_us, 30);
    assert_int_equal(receipt.cost_usd_nano, 13);
    assert_false(receipt.was_lost);
    assert_int_equal(receipt.tokens_reasoning, 19);
    assert_int_equal(enx_store_certificate_get(w->store, id, &claim, NULL), ENX_NOTFOUND);
    assert_int_equal(enx_store_job_get(w->store, 99, take_job, &job, &w->report), ENX_NOTFOUND);
    assert_non_null(strstr(w->report.text, "99"));
}

static void what_is_not_certain_of_a_bill_is_told(void **state)
{
    world            *w = *state;
    enx_store_receipt receipt = { 0 };
    enx_store_doubts  doubts;
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t id = add_job(w);
    assert_int_equal(enx_store_doubts_get(w->store, id, &doubts, &w->report), ENX_OK);
    assert_true(doubts.open_calls == 0 && doubts.assumed_calls == 0 && doubts.open_usd_nano == 0);
    enx_record intent = full_record(id, 2), result = full_record(id, 3);
    enx_record second = full_record(id, 4), lost = full_record(id, 5);
    intent.kind = second.kind = ENX_RECORD_CALL_INTENT;
    lost.kind = ENX_RECORD_CALL_LOST;
    second.call_id = lost.call_id = intent.call_id + 1;
    second.reserved_usd_nano = 500;
    second.reserved_tokens = 40;
    result.report.flags = ENX_FLAG_USAGE | ENX_FLAG_EMPTY;
    const enx_record records[] = { record_of(id, 1, ENX_RECORD_JOB_OPENED), intent, result, second,
                                   lost };
    assert_int_equal(enx_store_save(w->store, records, 5, &w->report), ENX_OK);
    assert_int_equal(enx_store_doubts_get(w->store, id, &doubts, &w->report), ENX_OK);
    assert_int_equal(doubts.open_calls, 1);
    assert_int_equal(doubts.open_tokens, 40);
    assert_int_equal(doubts.open_usd_nano, 500);
    assert_int_equal(doubts.assumed_calls, 1);
    assert_int_equal(enx_store_receipts_each(w->store, id, take_receipt, &receipt, &w->report),
                     ENX_OK);
    assert_true(receipt.was_lost); /* of the last one */
    assert_int_equal(receipt.flags, 0);
}

static void a_key_finds_a_job_until_it_is_delivered(void **state)
{
    world   *w = *state;
    uint64_t found = 0;
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t id = add_job(w);
    assert_int_equal(enx_store_job_find(w->store, "k", &found, &w->report), ENX_OK);
    assert_int_equal(found, id);
    assert_int_equal(enx_store_job_set_delivered(w->store, id, &w->report), ENX_OK);
    assert_int_equal(enx_store_job_find(w->store, "k", &found, &w->report), ENX_OK);
    assert_int_equal(found, 0);
    const uint64_t second = add_job(w);
    assert_int_equal(enx_store_job_set_state(w->store, second, "canceled", 5, &w->report), ENX_OK);
    assert_int_equal(enx_store_job_find(w->store, "k", &found, &w->report), ENX_OK);
    assert_int_equal(found, 0);
    assert_int_equal(enx_store_job_find_any(w->store, "k", &found, &w->report), ENX_OK);
    assert_int_equal(found, second);
    assert_int_equal(enx_store_job_find_any(w->store, "other", &found, &w->report), ENX_OK);
    assert_int_equal(found, 0);
}

static void inputs_are_kept_byte_for_byte(void **state)
{
    world  *w = *state;
    enx_buf path, content;
    enx_buf_init(&path, 100);
    enx_buf_init(&content, 100);
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t id = add_job(w);
    assert_int_equal(enx_store_input_add(w->store, id, 0, "x.txt", "a\0\xff", 3, &w->report),
                     ENX_OK);
    assert_int_equal(enx_store_input_add(w->store, id, 1, "empty", "", 0, &w->report), ENX_OK);
    assert_int_equal(enx_store_input_get(w->store, id, 0, &path, &content, &w->report), ENX_OK);
    assert_string_equal(path.data, "x.txt");
    assert_int_equal(content.size_bytes, 3);
    assert_memory_equal(content.data, "a\0\xff", 3);
    assert_int_equal(enx_store_input_get(w->store, id, 1, &path, &content, &w->report), ENX_OK);
    assert_int_equal(enx_store_input_get(w->store, id, 2, &path, &content, &w->report),
                     ENX_NOTFOUND);
    enx_buf_deinit(&path);
    enx_buf_deinit(&content);
}

static void a_full_disk_is_told_and_loses_nothing(void **state)
{
    world *w = *state;
    assert_int_equal(open_store(w, 200 << 10), ENX_OK);
    const uint64_t id = add_job(w);
    char           big[4096];
    memset(big, 'x', sizeof big);
    enx_status status = ENX_OK;
    uint64_t   seq = 0;
    while (status == ENX_OK && seq < 1000) {
        enx_record r = record_of(id, ++seq, ENX_RECORD_TASK_ACCEPTED);
        r.text = big;
        r.text_bytes = sizeof big;
        status = enx_store_save(w->store, &r, 1, &w->report);
    }
    assert_int_equal(status, ENX_IO);
    assert_non_null(strstr(w->report.text, "disk is full"));
    assert_non_null(strstr(w->report.text, w->path));
    assert_int_equal(open_store(w, 0), ENX_OK);
    enx_record *none = calloc(seq, sizeof *none);
    for (uint64_t i = 0; i + 1 < seq; i++) {
        none[i] = record_of(id, i + 1, ENX_RECORD_TASK_ACCEPTED);
        none[i].text = big;
        none[i].text_bytes = sizeof big;
    }
    reader at = { none, 0 };
    assert_int_equal(enx_store_replay(w->store, id, compare_record, &at, &w->report), ENX_OK);
    assert_int_equal(at.count, seq - 1);
    free(none);
}

static void a_folder_that_cannot_be_written_is_told_with_the_remedy(void **state)
{
    world *w = *state;
    char   file[100];
    snprintf(file, sizeof file, "%s/a", w->folder);
    FILE *stream = fopen(file, "w"); /* a file where a folder should be: also for root */
    assert_non_null(stream);
    fclose(stream);
    assert_int_equal(open_store(w, 0), ENX_IO);
    assert_non_null(strstr(w->report.text, "ENXAME_HOME"));
    assert_null(w->store);
}

static void write_file(const char *path, const char *bytes, size_t size_bytes)
{
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, size_bytes, stream), size_bytes);
    fclose(stream);
}

static void damaged_foreign_and_newer_files_are_refused(void **state)
{
    world *w = *state;
    char   command[300];
    snprintf(w->path, sizeof w->path, "%s/x.db", w->folder);
    char junk[8192];
    memset(junk, 'j', sizeof junk);
    write_file(w->path, junk, sizeof junk);
    assert_int_equal(open_store(w, 0), ENX_FORMAT);
    assert_non_null(strstr(w->report.text, w->path));
    unlink(w->path);
    assert_int_equal(open_store(w, 0), ENX_OK);
    enx_store_close(&w->store);
    snprintf(command, sizeof command,
             "python3 -c \"import sqlite3; c = sqlite3.connect('%s'); "
             "c.execute('PRAGMA user_version = 99'); c.commit()\"",
             w->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(open_store(w, 0), ENX_UNSUPPORTED);
    assert_non_null(strstr(w->report.text, "99"));
    unlink(w->path);
    snprintf(command, sizeof command,
             "python3 -c \"import sqlite3; c = sqlite3.connect('%s'); "
             "c.execute('CREATE TABLE t (x)'); c.commit()\"",
             w->path);
    assert_int_equal(system(command), 0);
    assert_int_equal(open_store(w, 0), ENX_FORMAT);
    assert_non_null(strstr(w->report.text, "another program"));
}

/* A file as version 1 made it: what it held is there, and what it did not know is 0. */
static void older_files_are_brought_up_to_date(void **state)
{
    world *w = *state;
    char   command[900];
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t id = add_job(w);
    enx_record     records[] = { record_of(id, 1, ENX_RECORD_JOB_OPENED), full_record(id, 2) };
    assert_int_equal(enx_store_save(w->store, records, 2, &w->report), ENX_OK);
    enx_store_close(&w->store);
    snprintf(command, sizeof command,
             "python3 -c \"import sqlite3; c = sqlite3.connect('%s'); "
             "c.executescript('DROP INDEX records_intent; DROP TABLE questions; "
             "DROP TABLE streams; DROP INDEX records_stream; "
             "DROP VIEW certificates; CREATE VIEW certificates AS SELECT 1'); "
             "[c.execute('ALTER TABLE records DROP COLUMN ' + name) for name in "
             "('tokens_reasoning check_place stream place offer verdict chance form always lately '"
             " 'window escalated drifts').split()]; "
             "c.execute('PRAGMA user_version = 1'); c.commit()\"",
             w->path);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 2; i++) { /* once */
        assert_int_equal(open_store(w, 0), ENX_OK);
        reader at = { records, 0 };
        records[1].report.tokens_reasoning = 0;
        records[1].offer = (enx_record_offer){ 0 };
        records[1].check = records[1].certificate.drifts = 0;
        records[1].certificate.form = ENX_CERTIFICATE_BATCH;
        records[1].certificate.lately = 0;
        assert_int_equal(enx_store_replay(w->store, id, compare_record, &at, &w->report), ENX_OK);
        assert_int_equal(at.count, 2);
    }
}

/* 400 paragraphs of 6 records each, in turns of 8 reports: well under two seconds of disk. */
static void four_hundred_paragraphs_cost_little(void **state)
{
    world *w = *state;
    assert_int_equal(open_store(w, 0), ENX_OK);
    const uint64_t id = add_job(w), start_us = enx_clock_monotonic_us();
    uint64_t       seq = 0;
    for (int turn = 0; turn < 50; turn++) {
        assert_int_equal(enx_store_begin(w->store, &w->report), ENX_OK);
        for (int i = 0; i < 8; i++) {
            enx_record records[6];
            for (int k = 0; k < 6; k++) records[k] = full_record(id, ++seq);
            assert_int_equal(enx_store_save(w->store, records, 6, &w->report), ENX_OK);
        }
        assert_int_equal(enx_store_commit(w->store, &w->report), ENX_OK);
    }
    const double seconds = (double)(enx_clock_monotonic_us() - start_us) * 1e-6;
    print_message("2400 records in %.3f s\n", seconds);
    assert_true(seconds < 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(records_come_back_as_they_were_and_in_order),
        TEST(what_went_up_is_known_of_jobs_that_were_the_same),
        TEST(a_stream_is_told_again_over_all_jobs),
        TEST(a_batch_is_saved_whole_or_not_at_all),
        TEST(what_was_not_committed_is_gone),
        TEST(jobs_sum_up_their_ledger),
        TEST(older_files_are_brought_up_to_date),
        TEST(what_is_not_certain_of_a_bill_is_told),
        TEST(a_key_finds_a_job_until_it_is_delivered),
        TEST(inputs_are_kept_byte_for_byte),
        TEST(a_full_disk_is_told_and_loses_nothing),
        TEST(a_folder_that_cannot_be_written_is_told_with_the_remedy),
        TEST(damaged_foreign_and_newer_files_are_refused),
        TEST(four_hundred_paragraphs_cost_little),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
