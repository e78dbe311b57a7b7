/* SPDX-License-Identifier: Apache-2.0 */
/* test_certify.c - certificates of a goal in stages: who waits for which, and what they come to.
 *
 * The worker is wrong about every eighth text; the lead is right. */
#include "swarm/swarm.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

enum { LINES = 40, CALLS_MAX = 2048, RECORDS_MAX = 4096, POOL_BYTES = 1 << 20, SLOTS = 8 };

static struct world {
    enx_swarm        *swarm;
    enx_swarm_options options;
    enx_ports         ports;
    enx_span          text;
    char              lines[LINES * 8 + 1];
    enx_call          waiting[CALLS_MAX];
    char              answers[CALLS_MAX][32];
    uint32_t          first, count;
    const char       *plan; /* that the lead gives */
    enx_record        records[RECORDS_MAX];
    uint32_t          record_count;
    char              pool[POOL_BYTES];
    size_t            pool_bytes;
} w;

static const char *keep(const char *bytes, size_t size_bytes)
{
    char *at = w.pool + w.pool_bytes;
    assert_true(w.pool_bytes + size_bytes < POOL_BYTES);
    if (size_bytes) memcpy(at, bytes, size_bytes);
    at[size_bytes] = '\0';
    w.pool_bytes += size_bytes + 1;
    return at;
}

static uint32_t hash_of(const char *text, size_t size_bytes)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size_bytes; i++) hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    return hash;
}

static void port_generate(void *self, const enx_call *call)
{
    (void)self;
    assert_true(w.count < CALLS_MAX);
    const uint32_t hash = hash_of(call->input, call->input_bytes);
    const bool     is_wrong = call->model == 1 && hash % 8 == 0;
    snprintf(w.answers[w.count], sizeof w.answers[0], "%s%08x", is_wrong ? "no" : "", hash);
    w.waiting[w.count++] = *call;
}

static void port_cancel(void *self, uint64_t call_id) { (void)self, (void)call_id; }

static enx_status port_save(void *self, const enx_record *records, size_t count, enx_report *report)
{
    (void)self, (void)report;
    for (size_t i = 0; i < count; i++) {
        assert_true(w.record_count < RECORDS_MAX);
        enx_record *copy = &w.records[w.record_count++];
        *copy = records[i];
        copy->text = keep(records[i].text, records[i].text_bytes);
        if (records[i].kind == ENX_RECORD_CALL_RESULT)
            copy->report.answer = keep(records[i].report.answer, records[i].report.answer_bytes);
        copy->report.error = NULL;
    }
    return ENX_OK;
}

static uint64_t port_now(void *self) { return (void)self, 1; }
static uint64_t port_random(void *self) { return (void)self, 5; }

#define STAGE(id, each, needs)                                                                   \
    "{\"id\":\"" id "\",\"for_each\":\"" each "\",\"needs\":[" needs "],\"instruction\":\"do\"," \
    "\"output\":[],\"checks\":[],\"on_fail\":\"escalate\"}"
#define PLAN(assembly)                                                                         \
    "{\"mode\":\"swarm\",\"why\":\"\",\"advice\":\"\",\"stages\":[" STAGE(                     \
        "read", "line", "") "," STAGE("judge", "answer",                                       \
                                      "\"read\"") "],\"assembly\":{\"kind\":\"" assembly "\"," \
                                                  "\"instruction\":\"all\"},\"done_when\":\"\"}"

static void set_up(const char *graph)
{
    static const enx_roster_model models[] = {
        { .name = "lead", .duty = ENX_DUTY_LEAD, .slots = SLOTS, .price = { 9000, 9000, 9000, 0 } },
        { .name = "worker",
          .duty = ENX_DUTY_WORKER,
          .slots = SLOTS,
          .price = { 900, 900, 900, 0 } },
    };
    static const enx_roster roster = { models, 2 };
    memset(&w, 0, sizeof w);
    for (int i = 0; i < LINES; i++) snprintf(w.lines + 8 * i, 9, "line%03d\n", i);
    w.text = (enx_span){ w.lines, sizeof w.lines - 1 };
    w.plan = graph;
    w.ports = (enx_ports){ .generate = port_generate,
                           .cancel = port_cancel,
                           .save = port_save,
                           .now_us = port_now,
                           .random_u64 = port_random };
    w.options = (enx_swarm_options){ .job_id = 1,
                                     .roster = &roster,
                                     .ports = &w.ports,
                                     .goal = "judge them",
                                     .is_goal = true,
                                     .graph = graph,
                                     .items = &w.text,
                                     .item_count = 1,
                                     .gate_items_min = 1,
                                     .delta = .1,
                                     .target_alpha = .1 };
}

static void open_swarm(void)
{
    enx_report report = { 0 };
    if (enx_swarm_open(&w.swarm, &w.options, &report) != ENX_OK) fail_msg("%s", report.text);
}

static void answer_next(void)
{
    const uint32_t  i = w.first++;
    const bool      is_plan = w.waiting[i].role == ENX_ROLE_PLAN;
    const char     *text = is_plan ? w.plan : w.answers[i];
    enx_call_report r = { .call_id = w.waiting[i].call_id,
                          .answer = text,
                          .answer_bytes = strlen(text),
                          .error_chance = .1,
                          .usage = { .tokens_in = 1, .tokens_out = 1 } };
    enx_swarm_on_report(w.swarm, &r);
}

static void run(void)
{
    enx_report report = { 0 };
    while (!enx_swarm_is_done(w.swarm)) {
        assert_true(w.first < w.count);
        answer_next();
        if (enx_swarm_verify(w.swarm, &report) != ENX_OK) fail_msg("%s", report.text);
    }
}

static void run_goal(const char *graph)
{
    set_up(graph);
    open_swarm();
    enx_swarm_start(w.swarm);
    run();
    assert_int_equal(enx_swarm_summary_get(w.swarm).end, ENX_SWARM_DONE);
}

/* Where the certificate of the stage that begins with a task is among the records. */
static uint32_t find_certificate(uint32_t task_id)
{
    uint32_t i = 0;
    while (i < w.record_count &&
           (w.records[i].kind != ENX_RECORD_CERTIFICATE || w.records[i].task_id != task_id))
        i++;
    assert_true(i < w.record_count);
    return i;
}

static void a_stage_begins_when_those_that_it_needs_are_certified(void **state)
{
    (void)state;
    run_goal(PLAN("join"));
    const uint32_t certified = find_certificate(1);
    assert_string_equal(w.records[certified].text, "read");
    for (uint32_t i = 0; i < w.record_count; i++)
        if (w.records[i].task_id > LINES) assert_true(i > certified);
    enx_swarm_close(&w.swarm);
}

/* What the next stage read is what was delivered, and its own errors are counted with it. */
static void claims_are_of_what_the_next_stage_was_given(void **state)
{
    (void)state;
    enx_swarm_stage_claim claims[ENX_SWARM_STAGES_MAX];
    run_goal(PLAN("lead"));
    assert_int_equal(enx_swarm_stages(w.swarm, claims), 3);
    for (uint32_t i = 0; i < LINES; i++) {
        char                   given[32];
        const enx_swarm_answer read = enx_swarm_result(w.swarm, i);
        const enx_swarm_answer judged = enx_swarm_result(w.swarm, LINES + i);
        snprintf(given, sizeof given, "%08x", hash_of(read.answer.text, read.answer.size_bytes));
        const char *got = keep(judged.answer.text, judged.answer.size_bytes);
        assert_non_null(strstr(got, given));
    }
    for (int k = 0; k < 2; k++) {
        assert_true(claims[k].has_claim && claims[k].claim.is_certified && !claims[k].is_leads);
        assert_true(claims[k].answers == LINES && claims[k].claim.alpha == .1);
    }
    assert_int_equal(claims[0].wrong_most, LINES / 10);
    assert_true(claims[1].is_of_one && claims[1].read == LINES);
    assert_int_equal(claims[1].wrong_most, 2 * LINES / 10);
    assert_true(claims[2].is_leads && !claims[2].has_claim && claims[2].wrong_most == 0);
    assert_true(claims[2].read == LINES && claims[2].read_wrong_most == 2 * LINES / 10);
    enx_swarm_close(&w.swarm);
}

static double sum_of_deltas(void)
{
    enx_swarm_stage_claim claims[ENX_SWARM_STAGES_MAX];
    const uint32_t        count = enx_swarm_stages(w.swarm, claims);
    double                sum = 0;
    for (uint32_t k = 0; k < count; k++) sum += claims[k].has_claim ? claims[k].claim.delta : 0;
    return sum;
}

/* A plan of the user's has all of delta; of the lead's the first has a half, as more may come.  An
 * assembly by a worker is one stage more. */
static void delta_is_divided(void **state)
{
    (void)state;
    enx_swarm_stage_claim claims[ENX_SWARM_STAGES_MAX];
    run_goal(PLAN("join"));
    assert_float_equal(sum_of_deltas(), .1, 1e-9);
    enx_swarm_close(&w.swarm);
    set_up(PLAN("reduce"));
    w.options.graph = NULL;
    open_swarm();
    enx_swarm_start(w.swarm);
    run();
    assert_int_equal(enx_swarm_stages(w.swarm, claims), 3);
    assert_float_equal(claims[0].claim.delta, .1 * .5 / 3, 1e-9);
    assert_float_equal(sum_of_deltas(), .05, 1e-9);
    enx_swarm_close(&w.swarm);
}

static void replay(uint32_t count)
{
    enx_report report = { 0 };
    open_swarm();
    w.record_count = count;
    for (uint32_t i = 0; i < count; i++)
        if (enx_swarm_replay(w.swarm, &w.records[i], &report) != ENX_OK)
            fail_msg("record %u: %s", i, report.text);
    w.first = w.count = 0;
}

/* The process dies after each record in turn: the same answers, the same claims. */
static void a_crash_changes_no_claim(void **state)
{
    (void)state;
    static enx_record     whole[RECORDS_MAX];
    enx_swarm_stage_claim before[ENX_SWARM_STAGES_MAX], after[ENX_SWARM_STAGES_MAX];
    run_goal(PLAN("lead"));
    enx_swarm_stages(w.swarm, before);
    const uint32_t count = w.record_count;
    const size_t   pool_bytes = w.pool_bytes;
    memcpy(whole, w.records, sizeof whole);
    enx_swarm_close(&w.swarm);
    for (uint32_t cut = 1; cut < count; cut += 3) {
        memcpy(w.records, whole, sizeof whole);
        w.pool_bytes = pool_bytes;
        replay(cut);
        enx_swarm_start(w.swarm);
        run();
        enx_swarm_stages(w.swarm, after);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(after[k].claim.labels, before[k].claim.labels);
            assert_int_equal(after[k].claim.wrong, before[k].claim.wrong);
            assert_int_equal(after[k].claim.accepted, before[k].claim.accepted);
            assert_int_equal(after[k].wrong_most, before[k].wrong_most);
        }
        enx_swarm_close(&w.swarm);
    }
}

/* Calls for the first stage and some of its audits: what waits is returned, and goes on later. */
static void money_that_ends_in_an_audit_leaves_the_rest_for_later(void **state)
{
    (void)state;
    enx_swarm_stage_claim claims[ENX_SWARM_STAGES_MAX];
    set_up(PLAN("join"));
    w.options.caps.calls = LINES + 5;
    open_swarm();
    enx_swarm_start(w.swarm);
    run();
    const enx_swarm_summary s = enx_swarm_summary_get(w.swarm);
    assert_int_equal(s.end, ENX_SWARM_PARTIAL);
    assert_true(s.tasks[ENX_TASK_RETURNED] >= LINES);
    enx_swarm_close(&w.swarm);
    w.options.caps.calls = 0;
    replay(w.record_count);
    enx_swarm_start(w.swarm);
    run();
    assert_int_equal(enx_swarm_summary_get(w.swarm).end, ENX_SWARM_DONE);
    assert_int_equal(enx_swarm_stages(w.swarm, claims), 2);
    assert_true(claims[0].has_claim && claims[1].has_claim);
    enx_swarm_close(&w.swarm);
}

static void a_certificate_of_no_stage_is_refused(void **state)
{
    (void)state;
    run_goal(PLAN("join"));
    enx_swarm_close(&w.swarm);
    const uint32_t certified = find_certificate(1);
    open_swarm();
    for (uint32_t i = 0; i < certified; i++)
        assert_int_equal(enx_swarm_replay(w.swarm, &w.records[i], NULL), ENX_OK);
    enx_record bad = w.records[certified];
    bad.task_id = 2;
    assert_int_equal(enx_swarm_replay(w.swarm, &bad, NULL), ENX_FORMAT);
    enx_swarm_close(&w.swarm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stage_begins_when_those_that_it_needs_are_certified),
        cmocka_unit_test(claims_are_of_what_the_next_stage_was_given),
        cmocka_unit_test(delta_is_divided),
        cmocka_unit_test(a_crash_changes_no_claim),
        cmocka_unit_test(money_that_ends_in_an_audit_leaves_the_rest_for_later),
        cmocka_unit_test(a_certificate_of_no_stage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
