/* SPDX-License-Identifier: Apache-2.0 */
/* test_swarm.c - how single tasks and jobs go, over a backend that does what the text says.
 *
 * A task's text is "<language><level><worker><lead>": "pt3oo" is Portuguese, damaged to level 3,
 * the worker is right and so is the lead.  Letters: o right, l unsure, r not reducible, t
 * truncated, a abstains, f refuses, e fails, x never reports, s (lead) says what the worker said.
 */
#include "swarm/swarm.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { CALLS_MAX = 512, RECORDS_MAX = 2048, POOL_BYTES = 1 << 20, TASKS_MAX = 64 };

typedef struct bench {
    enx_swarm        *swarm;
    enx_swarm_options options;
    enx_ports         ports;
    enx_span          items[TASKS_MAX];
    uint64_t          now_us;
    enx_call          waiting[CALLS_MAX];
    char              inputs[CALLS_MAX][16];
    uint32_t          waiting_count;
    uint32_t          generated[ENX_ROLE_COUNT];
    uint32_t          cancelled;
    uint32_t          saves_left; /* before one fails; UINT32_MAX: never */
    enx_record        records[RECORDS_MAX];
    uint32_t          record_count;
    char              pool[POOL_BYTES];
    size_t            pool_bytes;
    char              plan_goal[400];
    enx_use           elsewhere; /* of other jobs */
    const char       *plans[4];  /* what the lead says, one after the other */
    uint32_t          plan_count;
} bench;

static bench b;

static const char *const languages_pt[] = { "pt" };
static const char *const languages_cs[] = { "cs" };
/* clang-format off */
static const enx_roster_model models[] = {
    { .name = "lead", .duty = ENX_DUTY_LEAD, .slots = 4,
      .price = { 10000000, 1000000, 20000000, 1000 }, .prompt_tokens = 4 },
    { .name = "scout", .duty = ENX_DUTY_SCOUT, .slots = 4,
      .price = { 1000000, 100000, 1000000, 10 } },
    { .name = "pt", .duty = ENX_DUTY_WORKER, .languages = languages_pt, .language_count = 1,
      .slots = 2, .price = { 1000000, 100000, 2000000, 10 } },
    { .name = "cs", .duty = ENX_DUTY_WORKER, .languages = languages_cs, .language_count = 1,
      .slots = 2, .price = { 1000000, 100000, 2000000, 10 } },
};
/* clang-format on */
static const enx_roster  roster = { models, 4 };
static const enx_plan    plan_all = {
       .kinds = ENX_KINDS_ALL, .escalate = true, .check_round_trip = true, .check_confidence = true
};

static const char *keep(const char *bytes, size_t size_bytes)
{
    char *at = b.pool + b.pool_bytes;
    assert_true(b.pool_bytes + size_bytes < POOL_BYTES);
    if (size_bytes) memcpy(at, bytes, size_bytes);
    b.pool_bytes += size_bytes + 1;
    return at;
}

static void port_generate(void *self, const enx_call *call)
{
    (void)self;
    assert_true(b.waiting_count < CALLS_MAX && call->input_bytes < 16);
    enx_call *at = &b.waiting[b.waiting_count];
    *at = *call;
    memcpy(b.inputs[b.waiting_count], call->input, call->input_bytes);
    at->input = b.inputs[b.waiting_count++];
    at->guess = keep(call->guess, call->guess_bytes);
    b.generated[call->role]++;
    if (call->role == ENX_ROLE_PLAN) snprintf(b.plan_goal, sizeof b.plan_goal, "%s", call->goal);
}

static void port_cancel(void *self, uint64_t call_id)
{
    (void)self;
    (void)call_id;
    b.cancelled++;
}

static enx_status port_save(void *self, const enx_record *records, size_t record_count,
                            enx_report *report)
{
    (void)self;
    if (b.saves_left != UINT32_MAX && b.saves_left-- == 0)
        return ENX_FAIL(report, IO, "no space left on device");
    for (size_t i = 0; i < record_count; i++) {
        enx_record *copy = &b.records[b.record_count++];
        *copy = records[i];
        copy->text = keep(records[i].text, records[i].text_bytes);
        if (records[i].kind == ENX_RECORD_CALL_RESULT)
            copy->report.answer = keep(records[i].report.answer, records[i].report.answer_bytes);
    }
    return ENX_OK;
}

static bool port_check(void *self, const enx_check *check, const enx_call *call, const char *answer,
                       size_t answer_bytes, char *reason, size_t reason_bytes)
{
    (void)self;
    assert_int_equal(check->kind, ENX_CHECK_ROUND_TRIP);
    bool is_same = answer_bytes == call->input_bytes;
    for (size_t i = 0; is_same && i < answer_bytes; i++)
        is_same = tolower((unsigned char)answer[i]) == call->input[i];
    if (!is_same) snprintf(reason, reason_bytes, "reduces to something else");
    return is_same;
}

static enx_status port_use_elsewhere(void *self, const char *class_name, uint32_t *day,
                                     enx_use *out, enx_report *report)
{
    (void)self, (void)class_name, (void)report;
    *day = 1;
    *out = b.elsewhere;
    return ENX_OK;
}

static uint64_t port_now(void *self)
{
    (void)self;
    return b.now_us;
}

static uint64_t port_random(void *self)
{
    (void)self;
    return 42;
}

static void set_up(const char *const *texts, uint32_t count)
{
    memset(&b, 0, sizeof b);
    b.saves_left = UINT32_MAX;
    b.ports = (enx_ports){ .self = &b,
                           .generate = port_generate,
                           .cancel = port_cancel,
                           .save = port_save,
                           .use_elsewhere = port_use_elsewhere,
                           .check = port_check,
                           .now_us = port_now,
                           .random_u64 = port_random };
    for (uint32_t i = 0; i < count; i++) b.items[i] = (enx_span){ texts[i], strlen(texts[i]) };
    b.options = (enx_swarm_options){
        .job_id = 3,
        .roster = &roster,
        .ports = &b.ports,
        .goal = "fix everything",
        .items = b.items,
        .item_count = count,
        .plan = &plan_all,
        .gate_items_min = 1,
    };
}

static void open_swarm(void)
{
    assert_int_equal(enx_swarm_open(&b.swarm, &b.options, NULL), ENX_OK);
}

static void write_answer(const enx_call *call, char letter, enx_call_report *report, char *text)
{
    memcpy(text, call->input, call->input_bytes);
    for (size_t i = 0; i < call->input_bytes; i++)
        if (i == 0 || (call->role != ENX_ROLE_WORK && letter != 's'))
            text[i] = (char)toupper((unsigned char)text[i]);
    if (letter == 'r') text[1] = '#';
    if (letter == 't') report->flags = ENX_FLAG_TRUNCATED;
    if (letter == 'a') report->status = ENX_CALL_ABSTAIN;
    if (letter == 'f') report->status = ENX_CALL_REFUSE;
    if (letter == 'e') report->status = ENX_CALL_ERROR;
    if (letter == 'n') report->status = ENX_CALL_LOST;
    if (letter == 'b') report->flags = ENX_FLAG_USAGE;
    report->error = letter == 'e' ? "backend fell over" : letter == 'n' ? "who knows" : NULL;
    report->error_chance = letter == 'm' ? .95 : letter == 'l' ? .9 : .05;
    report->answer = text;
    report->answer_bytes = call->input_bytes;
}

/* Report on a waiting call; false: it never reports. */
static bool answer_call(const enx_call *call)
{
    char            text[16] = { 0 };
    enx_call_report report = { .call_id = call->call_id, .answer = "", .level = -1 };
    report.usage = (enx_usage_count){ .tokens_in = 3, .tokens_cached = 1, .tokens_out = 2 };
    if (call->role == ENX_ROLE_PLAN) {
        report.answer = b.plans[b.plan_count++];
        report.answer_bytes = strlen(report.answer);
    } else if (call->role == ENX_ROLE_SCOUT) {
        memcpy(report.language, call->input, 2);
        if (report.language[0] == '?') report.language[0] = '\0';
        report.level = call->input[2] - '0';
        report.confidence = call->input[0] == 'u' ? .1 : .9;
    } else {
        const char letter = call->role == ENX_ROLE_WORK ? call->input[3] : call->input[4];
        if (letter == 'x') return false;
        write_answer(call, letter, &report, text);
    }
    enx_swarm_on_report(b.swarm, &report);
    return true;
}

static void run_to_end(void)
{
    uint32_t done = 0;
    for (uint32_t step = 0; step < 5000 && !enx_swarm_is_done(b.swarm); step++) {
        enx_report report = { 0 };
        if (enx_swarm_verify(b.swarm, &report) != ENX_OK) fail_msg("%s", report.text);
        if (done < b.waiting_count) {
            const enx_call call = b.waiting[done++];
            answer_call(&call);
        } else {
            assert_true(enx_swarm_wake_us(b.swarm) != UINT64_MAX);
            b.now_us = enx_swarm_wake_us(b.swarm);
            enx_swarm_tick(b.swarm);
        }
    }
    assert_true(enx_swarm_is_done(b.swarm));
}

static enx_swarm_answer result_of(const char *text)
{
    set_up(&text, 1);
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    return enx_swarm_result(b.swarm, 0);
}

static void expect_task(const char *text, enx_task_state state, enx_reason reason,
                        const char *answer, bool is_escalated)
{
    const enx_swarm_answer got = result_of(text);
    if (got.state != state || got.reason != reason || got.is_escalated != is_escalated ||
        got.answer.size_bytes != strlen(answer) ||
        memcmp(got.answer.text, answer, got.answer.size_bytes) != 0)
        fail_msg("%s: state %d, reason \"%s\", answer %.*s", text, got.state,
                 enx_reason_text(got.reason), (int)got.answer.size_bytes, got.answer.text);
    enx_swarm_close(&b.swarm);
}

static void every_fate_of_a_task_is_as_promised(void **state)
{
    (void)state;
    expect_task("pt3oo", ENX_TASK_ACCEPTED, ENX_REASON_CHECKED, "Pt3oo", false);
    expect_task("pt0oo", ENX_TASK_ACCEPTED, ENX_REASON_UNDAMAGED, "pt0oo", false);
    expect_task("xx3oo", ENX_TASK_ABSTAINED, ENX_REASON_NO_WORKER, "xx3oo", false);
    expect_task("??3oo", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "??3OO", true);
    expect_task("up3oo", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "UP3OO", true);
    expect_task("pt3lo", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "PT3LO", true);
    expect_task("pt3ro", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "PT3RO", true);
    expect_task("pt3to", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "PT3TO", true);
    expect_task("pt3ao", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "PT3AO", true);
    expect_task("pt3eo", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "PT3EO", true);
    expect_task("pt3xo", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "PT3XO", true);
    expect_task("pt3lr", ENX_TASK_ACCEPTED, ENX_REASON_KEPT_WORKER, "Pt3lr", true);
    expect_task("pt3le", ENX_TASK_ACCEPTED, ENX_REASON_KEPT_WORKER, "Pt3le", true);
    expect_task("pt3lm", ENX_TASK_ACCEPTED, ENX_REASON_WORKER_SURER, "Pt3lm", true);
    expect_task("pt3ll", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "PT3LL", true);
    expect_task("pt3rm", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "PT3RM", true);
    expect_task("pt3rr", ENX_TASK_FAILED, ENX_REASON_ROUND_TRIP, "pt3rr", true);
    expect_task("pt3te", ENX_TASK_FAILED, ENX_REASON_CALL_FAILED, "pt3te", true);
    expect_task("pt3tx", ENX_TASK_FAILED, ENX_REASON_TIMED_OUT, "pt3tx", true);
    expect_task("pt3no", ENX_TASK_ACCEPTED, ENX_REASON_LEAD_CHECKED, "PT3NO", true);
    expect_task("pt3tn", ENX_TASK_FAILED, ENX_REASON_CALL_FAILED, "pt3tn", true);
    expect_task("pt3bo", ENX_TASK_ACCEPTED, ENX_REASON_CHECKED, "Pt3bo", false);
    expect_task("pt3tf", ENX_TASK_ABSTAINED, ENX_REASON_REFUSED, "pt3tf", true);
    expect_task(" \t", ENX_TASK_ACCEPTED, ENX_REASON_BLANK, " \t", false);
}

/* Of the calls of a job, the one of a role. */
static const enx_call *call_of_role(enx_role role)
{
    for (uint32_t i = 0; i < b.waiting_count; i++)
        if (b.waiting[i].role == role) return &b.waiting[i];
    fail_msg("no call as %s", enx_role_text(role));
    return NULL;
}

static void expect_guess(const char *text, enx_role role, const char *guess)
{
    result_of(text);
    const enx_call *call = call_of_role(role);
    assert_int_equal(call->guess_bytes, strlen(guess));
    assert_memory_equal(call->guess, guess, strlen(guess));
    enx_swarm_close(&b.swarm);
}

static void a_lead_is_told_what_the_worker_said(void **state)
{
    (void)state;
    expect_guess("pt3lo", ENX_ROLE_LEAD, "Pt3lo");
    expect_guess("pt3lo", ENX_ROLE_WORK, "");
    expect_guess("up3oo", ENX_ROLE_LEAD, ""); /* no worker was asked */
}

static void errors_are_tried_again_before_they_go_up(void **state)
{
    (void)state;
    result_of("pt3eo");
    assert_int_equal(b.generated[ENX_ROLE_WORK], 3);
    assert_int_equal(b.generated[ENX_ROLE_LEAD], 1);
    assert_int_equal(b.waiting[3].attempt, 3);
    assert_string_equal(enx_swarm_result(b.swarm, 0).note, "backend fell over");
    enx_swarm_close(&b.swarm);
}

static void scout_decides_the_tags_and_the_plan_caps_them(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3oo", "cs1oo", "pt2oo" };
    enx_plan                 plan = plan_all;
    plan.kinds = ENX_KIND_ACCENTS | ENX_KIND_CAPITALS;
    set_up(texts, 3);
    b.options.plan = &plan;
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    uint32_t seen = 0;
    for (uint32_t i = 0; i < b.waiting_count; i++) {
        const enx_call *call = &b.waiting[i];
        if (call->role != ENX_ROLE_WORK) continue;
        static const int32_t  levels[] = { 2, 1, 2 };
        static const uint32_t kinds[] = { 3, 1, 3 };
        assert_int_equal(call->level, levels[call->item]);
        assert_int_equal(call->kinds, kinds[call->item]);
        assert_memory_equal(call->language, texts[call->item], 2);
        assert_int_equal(call->model, call->item == 1 ? 3 : 2);
        seen++;
    }
    assert_int_equal(seen, 3);
    enx_swarm_close(&b.swarm);
}

static void plan_without_the_damaged_kind_leaves_the_text(void **state)
{
    (void)state;
    static const char *const text = "pt1oo";
    enx_plan                 plan = plan_all;
    plan.kinds = ENX_KIND_PUNCTUATION;
    set_up(&text, 1);
    b.options.plan = &plan;
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    assert_int_equal(enx_swarm_result(b.swarm, 0).reason, ENX_REASON_UNDAMAGED);
    enx_swarm_close(&b.swarm);
}

static void languages_that_the_plan_leaves_out_are_not_touched(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3oo", "cs3oo" };
    enx_plan                 plan = plan_all;
    memcpy(plan.languages[plan.language_count++], "cs", 3);
    set_up(texts, 2);
    b.options.plan = &plan;
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    assert_int_equal(enx_swarm_result(b.swarm, 0).reason, ENX_REASON_NOT_ASKED);
    assert_int_equal(enx_swarm_result(b.swarm, 1).reason, ENX_REASON_CHECKED);
    enx_swarm_close(&b.swarm);
}

static void workers_mode_never_asks_the_lead(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3lo", "pt3ro", "??3oo", "pt3oo" };
    set_up(texts, 4);
    b.options.mode = ENX_SWARM_MODE_WORKERS;
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    assert_int_equal(b.generated[ENX_ROLE_LEAD], 0);
    assert_int_equal(enx_swarm_result(b.swarm, 0).reason, ENX_REASON_LOW_CONFIDENCE);
    assert_int_equal(enx_swarm_result(b.swarm, 0).state, ENX_TASK_ACCEPTED);
    assert_int_equal(enx_swarm_result(b.swarm, 1).state, ENX_TASK_FAILED);
    assert_int_equal(enx_swarm_result(b.swarm, 2).state, ENX_TASK_ABSTAINED);
    enx_swarm_close(&b.swarm);
}

static void lead_mode_and_single_ask_the_scout_and_the_lead(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3oo", "cs3or", "??3oo", "xx3oo", "pt0oo" };
    for (uint32_t n = 0; n < 3; n++) {
        set_up(texts, 5);
        if (n == 0) b.options.mode = ENX_SWARM_MODE_LEAD;
        if (n == 1) b.options.gate_items_min = 6;
        enx_plan plan = plan_all;
        plan.is_single = n == 2;
        b.options.plan = &plan;
        open_swarm();
        enx_swarm_start(b.swarm);
        run_to_end();
        assert_int_equal(b.generated[ENX_ROLE_LEAD], 3);
        assert_int_equal(b.generated[ENX_ROLE_SCOUT], 5);
        assert_int_equal(b.generated[ENX_ROLE_WORK], 0);
        assert_int_equal(enx_swarm_result(b.swarm, 0).reason, ENX_REASON_LEAD_CHECKED);
        assert_string_equal(enx_swarm_result(b.swarm, 0).language, "pt");
        assert_int_equal(enx_swarm_result(b.swarm, 1).state, ENX_TASK_FAILED);
        assert_int_equal(enx_swarm_result(b.swarm, 2).reason, ENX_REASON_LEAD_CHECKED);
        assert_int_equal(enx_swarm_result(b.swarm, 2).level, ENX_LEVEL_UNKNOWN);
        assert_int_equal(enx_swarm_result(b.swarm, 3).reason, ENX_REASON_NO_WORKER);
        assert_int_equal(enx_swarm_result(b.swarm, 4).reason, ENX_REASON_UNDAMAGED);
        static const enx_reason reasons[] = { ENX_REASON_ASKED, ENX_REASON_FEW_ITEMS,
                                              ENX_REASON_PLAN_SAYS };
        assert_int_equal(enx_swarm_summary_get(b.swarm).gate_reason, reasons[n]);
        enx_swarm_close(&b.swarm);
    }
}

#define PLAN_OF(check)                                                         \
    "{\"mode\":\"swarm\",\"for_each\":\"paragraph\",\"repair\":[\"accents\"]," \
    "\"languages\":[\"any\"],\"escalate\":true,\"check\":[\"" check "\"]}"

static void a_refused_plan_is_asked_again_with_the_reason(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt1oo", "cs1oo" };
    set_up(texts, 2);
    b.options.plan = NULL;
    b.plans[0] = PLAN_OF("confidence");
    b.plans[1] = PLAN_OF("round_trip");
    open_swarm();
    enx_swarm_start(b.swarm);
    assert_string_equal(b.plan_goal, "fix everything");
    run_to_end();
    assert_non_null(strstr(b.plan_goal, "fix everything\nThe last plan was refused: plan: no det"));
    const enx_swarm_summary summary = enx_swarm_summary_get(b.swarm);
    assert_int_equal(summary.end, ENX_SWARM_DONE);
    assert_int_equal(summary.plan.kinds, ENX_KIND_ACCENTS);
    assert_int_equal(summary.tasks[ENX_TASK_ACCEPTED], 2);
    enx_swarm_close(&b.swarm);
}

static void three_refused_plans_end_the_job_but_not_a_single_one(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt1oo", "cs1oo" };
    for (uint32_t n = 0; n < 2; n++) {
        set_up(texts, 2);
        b.options.plan = NULL;
        b.options.gate_items_min = n ? 3 : 1;
        b.plans[0] = b.plans[1] = "{}";
        b.plans[2] = PLAN_OF("confidence");
        open_swarm();
        enx_swarm_start(b.swarm);
        run_to_end();
        assert_int_equal(b.generated[ENX_ROLE_PLAN], 3);
        const enx_swarm_summary summary = enx_swarm_summary_get(b.swarm);
        assert_int_equal(summary.end, n ? ENX_SWARM_DONE : ENX_SWARM_FAILED);
        if (n == 0) assert_non_null(strstr(summary.end_note, "no deterministic check"));
        if (n == 0) assert_int_equal(summary.tasks[ENX_TASK_RETURNED], 2);
        if (n == 1) assert_int_equal(summary.tasks[ENX_TASK_ACCEPTED], 2);
        enx_swarm_close(&b.swarm);
    }
}

static void a_job_without_text_is_done_at_once(void **state)
{
    (void)state;
    set_up(NULL, 0);
    b.options.plan = NULL;
    open_swarm();
    enx_swarm_start(b.swarm);
    assert_true(enx_swarm_is_done(b.swarm));
    assert_int_equal(enx_swarm_summary_get(b.swarm).end, ENX_SWARM_DONE);
    assert_int_equal(b.waiting_count, 0);
    enx_swarm_close(&b.swarm);
}

static void a_long_task_is_returned(void **state)
{
    (void)state;
    static const char *const text = "pt3oo";
    set_up(&text, 1);
    b.options.item_bytes_max = 4;
    open_swarm();
    enx_swarm_start(b.swarm);
    assert_true(enx_swarm_is_done(b.swarm));
    assert_int_equal(enx_swarm_result(b.swarm, 0).reason, ENX_REASON_TOO_LONG);
    assert_string_equal(enx_swarm_result(b.swarm, 0).note, "5 bytes, at most 4");
    enx_swarm_close(&b.swarm);
}

/* Replay what was saved into a new swarm, under the options as they are now. */
static void reopen(void)
{
    enx_report report = { 0 };
    enx_swarm_close(&b.swarm);
    open_swarm();
    const uint32_t count = b.record_count;
    for (uint32_t i = 0; i < count; i++)
        if (enx_swarm_replay(b.swarm, &b.records[i], &report) != ENX_OK)
            fail_msg("%s", report.text);
    b.waiting_count = 0;
    memset(b.generated, 0, sizeof b.generated);
}

static void a_failed_job_is_the_same_after_a_replay(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt1oo", "cs1oo" };
    enx_report               report = { 0 };
    set_up(texts, 2);
    b.options.plan = NULL;
    b.options.gate_items_min = 1;
    b.plans[0] = b.plans[1] = "{}";
    b.plans[2] = PLAN_OF("confidence");
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    const uint32_t count = b.record_count;
    reopen();
    for (uint32_t is_started = 0; is_started < 2; is_started++) {
        if (is_started) enx_swarm_start(b.swarm);
        assert_true(enx_swarm_is_done(b.swarm));
        assert_int_equal(enx_swarm_summary_get(b.swarm).end, ENX_SWARM_FAILED);
        assert_int_equal(enx_swarm_summary_get(b.swarm).tasks[ENX_TASK_RETURNED], 2);
        for (uint32_t i = 0; i < 2; i++)
            assert_int_equal(enx_swarm_result(b.swarm, i).state, ENX_TASK_RETURNED);
        assert_int_equal(enx_swarm_verify(b.swarm, &report), ENX_OK);
    }
    assert_int_equal(b.record_count, count);
    assert_int_equal(b.waiting_count, 0);
    enx_swarm_close(&b.swarm);
}

/* The end of a job while a call is open is no end. */
static void an_end_with_open_calls_cannot_follow(void **state)
{
    (void)state;
    static const char *const text = "pt3oo";
    set_up(&text, 1);
    b.options.plan = NULL;
    open_swarm();
    enx_swarm_start(b.swarm);
    reopen();
    for (uint32_t kind = ENX_RECORD_JOB_DONE; kind <= ENX_RECORD_JOB_FAILED; kind++) {
        enx_report       report = { 0 };
        const enx_record last = b.records[b.record_count - 1];
        const enx_record end = {
            .kind = (enx_record_kind)kind, .job_id = last.job_id, .seq = last.seq + 1, .text = ""
        };
        assert_int_equal(last.kind, ENX_RECORD_CALL_INTENT);
        assert_int_equal(enx_swarm_replay(b.swarm, &end, &report), ENX_FORMAT);
        assert_int_equal(enx_swarm_verify(b.swarm, &report), ENX_OK);
    }
    enx_swarm_close(&b.swarm);
}

static void a_spent_budget_returns_the_rest_and_can_go_on(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3oo", "cs3oo", "pt3ro", "pt3oo", "cs3oo" };
    set_up(texts, 5);
    b.options.caps.calls = 8;
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    enx_swarm_summary summary = enx_swarm_summary_get(b.swarm);
    assert_int_equal(summary.end, ENX_SWARM_PARTIAL);
    assert_int_equal(summary.end_reason, ENX_REASON_BUDGET);
    assert_true(summary.tasks[ENX_TASK_RETURNED] > 0);
    assert_true(summary.tasks[ENX_TASK_ACCEPTED] > 0);
    assert_int_equal(enx_swarm_budget(b.swarm)->total.calls, 8);
    const uint32_t accepted = summary.tasks[ENX_TASK_ACCEPTED];
    b.options.caps.calls = 0;
    reopen();
    enx_swarm_start(b.swarm);
    run_to_end();
    summary = enx_swarm_summary_get(b.swarm);
    assert_int_equal(summary.end, ENX_SWARM_DONE);
    assert_int_equal(summary.tasks[ENX_TASK_ACCEPTED], 5);
    assert_int_equal(b.generated[ENX_ROLE_SCOUT], 0);
    assert_true(b.generated[ENX_ROLE_WORK] <= 5 - accepted);
    enx_swarm_close(&b.swarm);
}

/* What other jobs use counts; the job goes on when that is another day's. */
static void a_cap_that_is_shared_ends_the_job_and_says_which(void **state)
{
    (void)state;
    static const char *const   texts[] = { "pt3oo", "cs3oo", "pt3oo", "cs3oo" };
    static const enx_allowance allowances[] = { { .caps = { .calls = 100 } },
                                                { .class_name = "other", .caps = { .calls = 1 } },
                                                { .class_name = "restore",
                                                  .caps = { .calls = 20 } } };
    set_up(texts, 4);
    b.options.allowances = allowances;
    b.options.allowance_count = 3;
    b.elsewhere.calls = 15;
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    enx_swarm_summary summary = enx_swarm_summary_get(b.swarm);
    assert_int_equal(summary.end, ENX_SWARM_PARTIAL);
    assert_int_equal(summary.end_cap, ENX_CAP_SHARED);
    assert_non_null(strstr(summary.end_note, "today's calls of the class restore: all 20"));
    assert_int_equal(enx_swarm_budget(b.swarm)->total.calls, 5);
    b.elsewhere.calls = 0;
    reopen();
    enx_swarm_start(b.swarm);
    run_to_end();
    assert_int_equal(enx_swarm_summary_get(b.swarm).end, ENX_SWARM_DONE);
    enx_swarm_close(&b.swarm);
}

/* Its calls fail while others are answered: the lead is not asked, and the job goes on. */
static void a_task_that_only_fails_is_set_aside(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3eo", "pt3oo", "pt3oo", "pt3oo", "pt3no",
                                         "pt3oo", "pt3oo", "pt3oo", "pt3oo", "cs3eo" };
    set_up(texts, 10);
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    assert_int_equal(enx_swarm_summary_get(b.swarm).end, ENX_SWARM_DONE);
    const enx_swarm_answer failing = enx_swarm_result(b.swarm, 0);
    assert_int_equal(failing.state, ENX_TASK_FAILED);
    assert_int_equal(failing.reason, ENX_REASON_QUARANTINED);
    assert_string_equal(failing.note, "3 calls failed, the last one: backend fell over");
    assert_int_equal(enx_swarm_result(b.swarm, 4).reason, ENX_REASON_QUARANTINED);
    /* the only one of its model: it may be the model */
    assert_int_equal(enx_swarm_result(b.swarm, 9).reason, ENX_REASON_LEAD_CHECKED);
    assert_int_equal(enx_swarm_summary_get(b.swarm).tasks[ENX_TASK_ACCEPTED], 8);
    enx_swarm_close(&b.swarm);
}

static void an_answer_that_was_known_is_no_call_of_the_bill(void **state)
{
    (void)state;
    static const char *const text = "pt3oo";
    set_up(&text, 1);
    b.options.caps.calls = 2;
    open_swarm();
    enx_swarm_start(b.swarm);
    const enx_call_report known = { .call_id = b.waiting[0].call_id,
                                    .language = "pt",
                                    .level = 3,
                                    .confidence = 1,
                                    .answer = "",
                                    .flags = ENX_FLAG_REUSED };
    enx_swarm_on_report(b.swarm, &known);
    const enx_budget *budget = enx_swarm_budget(b.swarm);
    assert_int_equal(budget->total.calls, 0);
    assert_int_equal(budget->reserved.calls, 1); /* the worker's */
    answer_call(&b.waiting[1]);
    assert_int_equal(enx_swarm_summary_get(b.swarm).end, ENX_SWARM_DONE);
    assert_int_equal(budget->total.calls, 1);
    assert_int_equal(budget->reserved.calls + budget->reserved.tokens, 0);
    enx_swarm_close(&b.swarm);
}

static void a_budget_below_one_call_says_so(void **state)
{
    (void)state;
    static const char *const text = "pt3oo";
    set_up(&text, 1);
    b.options.plan = NULL;
    b.options.caps.usd_nano = 1;
    open_swarm();
    enx_swarm_start(b.swarm);
    assert_true(enx_swarm_is_done(b.swarm));
    const enx_swarm_summary summary = enx_swarm_summary_get(b.swarm);
    assert_int_equal(summary.end, ENX_SWARM_PARTIAL);
    assert_non_null(strstr(summary.end_note, "raise the budget"));
    assert_int_equal(b.waiting_count, 0);
    enx_swarm_close(&b.swarm);
}

static void time_and_cancel_end_the_job_and_late_reports_settle_the_bill(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3oo", "cs3oo" };
    for (uint32_t n = 0; n < 2; n++) {
        set_up(texts, 2);
        if (n) b.options.caps.time_us = 1000;
        open_swarm();
        enx_swarm_start(b.swarm);
        assert_int_equal(b.waiting_count, 2);
        if (n) {
            assert_int_equal(enx_swarm_wake_us(b.swarm), 1000);
            b.now_us = 1000;
            enx_swarm_tick(b.swarm);
        } else {
            enx_swarm_cancel(b.swarm);
        }
        assert_true(enx_swarm_is_done(b.swarm));
        assert_int_equal(b.cancelled, 2);
        assert_int_equal(enx_swarm_summary_get(b.swarm).end_reason,
                         n ? ENX_REASON_TIME : ENX_REASON_CANCELED);
        assert_int_equal(enx_swarm_budget(b.swarm)->unknown.calls, 2);
        const enx_call late = b.waiting[0];
        answer_call(&late);
        answer_call(&late); /* twice: the second is ignored */
        assert_int_equal(enx_swarm_budget(b.swarm)->unknown.calls, 1);
        assert_int_equal(enx_swarm_budget(b.swarm)->total.calls, 1);
        assert_int_equal(enx_swarm_result(b.swarm, 0).state, ENX_TASK_RETURNED);
        assert_int_equal(enx_swarm_verify(b.swarm, NULL), ENX_OK);
        enx_swarm_close(&b.swarm);
    }
}

/* Each of the three calls of the lead may have been paid: all three count, none is settled; and
 * they count again after a replay. */
static void a_call_that_nobody_knows_of_stays_in_the_ledger_as_unknown(void **state)
{
    (void)state;
    const enx_swarm_answer got = result_of("pt3tn");
    assert_string_equal(got.note, "who knows");
    const enx_call   call = b.waiting[b.waiting_count - 1];
    const enx_budget before = *enx_swarm_budget(b.swarm);
    assert_int_equal(before.unknown.calls, 3);
    assert_int_equal(before.total.calls, 2); /* scout and worker */
    assert_true(before.unknown.usd_nano > 0 && before.reserved.calls == 0);
    reopen();
    enx_swarm_start(b.swarm);
    assert_true(enx_swarm_is_done(b.swarm));
    assert_memory_equal(&before.unknown, &enx_swarm_budget(b.swarm)->unknown,
                        sizeof before.unknown);
    assert_string_equal(enx_swarm_result(b.swarm, 0).note, "who knows");
    const enx_usage_count usage = { .tokens_in = 3, .tokens_out = 2 };
    const enx_call_report lost = { .call_id = call.call_id, .status = ENX_CALL_LOST };
    const enx_call_report late = { .call_id = call.call_id, .answer = "", .usage = usage };
    enx_swarm_on_report(b.swarm, &lost);
    assert_int_equal(enx_swarm_budget(b.swarm)->unknown.calls, 3);
    enx_swarm_on_report(b.swarm, &late);
    assert_int_equal(enx_swarm_budget(b.swarm)->unknown.calls, 2);
    assert_int_equal(enx_swarm_budget(b.swarm)->total.calls, 3);
    assert_int_equal(enx_swarm_verify(b.swarm, NULL), ENX_OK);
    enx_swarm_close(&b.swarm);
}

/* Whichever save fails, going on from the records gives the same answers and pays nothing twice. */
static void any_save_may_fail_and_nothing_is_lost(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3oo", "cs3lo", "pt3ro", "??3oo", "pt0oo" };
    uint32_t                 failed = 0;
    for (uint32_t n = 0; n < 60; n++) { /* more than the job saves */
        set_up(texts, 5);
        b.options.plan = NULL;
        b.options.audit_labels_max = 2;
        b.plans[0] = b.plans[1] = PLAN_OF("round_trip");
        b.saves_left = n;
        open_swarm();
        enx_swarm_start(b.swarm);
        run_to_end();
        enx_report report = { 0 };
        if (enx_swarm_error(b.swarm, &report) != ENX_OK) {
            assert_int_equal(enx_swarm_error(b.swarm, NULL), ENX_IO);
            assert_non_null(strstr(report.text, "no space left on device"));
            b.saves_left = UINT32_MAX;
            b.plan_count = 0;
            reopen();
            enx_swarm_start(b.swarm);
            run_to_end();
            assert_int_equal(enx_swarm_error(b.swarm, NULL), ENX_OK);
            failed++;
        }
        const enx_swarm_summary summary = enx_swarm_summary_get(b.swarm);
        assert_int_equal(summary.end, ENX_SWARM_DONE);
        assert_int_equal(summary.tasks[ENX_TASK_ACCEPTED], 5);
        assert_true(summary.has_certificate);
        /* plan, 5 scouts, 4 tasks by workers or lead, 1 escalation, 2 audits at most */
        assert_in_range(enx_swarm_budget(b.swarm)->total.calls, 11, 13);
        assert_int_equal(enx_swarm_budget(b.swarm)->unknown.calls, 0);
        enx_swarm_close(&b.swarm);
    }
    assert_in_range(failed, 12, 40); /* the last ones ran to the end */
}

static void any_allocation_may_fail_without_harm(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3oo", "cs3lo", "pt3ro", "??3oo" };
    for (long n = 0; n < 40; n++) {
        enx_report report = { 0 };
        set_up(texts, 4);
        b.options.audit_labels_max = 2;
        enx_mem_fail_after(n);
        const enx_status status = enx_swarm_open(&b.swarm, &b.options, &report);
        if (status != ENX_OK) {
            assert_int_equal(status, ENX_NOMEM);
            assert_null(b.swarm);
            continue;
        }
        enx_swarm_start(b.swarm);
        run_to_end();
        enx_mem_fail_after(-1);
        const enx_status error = enx_swarm_error(b.swarm, &report);
        assert_true(error == ENX_OK || error == ENX_NOMEM);
        enx_swarm_close(&b.swarm);
    }
    enx_mem_fail_after(-1);
}

static void records_that_cannot_follow_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3oo", "cs3lo" };
    set_up(texts, 2);
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    enx_swarm_close(&b.swarm);
    enx_report report;
    open_swarm();
    assert_int_equal(enx_swarm_replay(b.swarm, &b.records[1], &report), ENX_FORMAT); /* a gap */
    enx_record record = b.records[0];
    record.fingerprint++;
    assert_int_equal(enx_swarm_replay(b.swarm, &record, &report), ENX_INVALID);
    record = b.records[0];
    record.job_id++;
    assert_int_equal(enx_swarm_replay(b.swarm, &record, &report), ENX_FORMAT);
    /* Each record with a field out of place is refused or harmless; none crashes. */
    for (uint32_t i = 0; i < b.record_count; i++) {
        for (uint32_t field = 0; field < 8; field++) {
            record = b.records[i];
            if (field == 0) record.task_id = 99;
            if (field == 1) record.model = 99;
            if (field == 2) record.role = (enx_role)99;
            if (field == 3) record.kind = (enx_record_kind)99;
            if (field == 4) record.reason = (enx_reason)99;
            if (field == 5) record.text = NULL;
            if (field == 6) record.seq++;
            if (field == 7 && record.kind != ENX_RECORD_CALL_INTENT &&
                record.kind != ENX_RECORD_CALL_RESULT && record.kind != ENX_RECORD_CALL_LOST)
                continue;
            if (field == 7) record.call_id += 50;
            assert_int_equal(enx_swarm_replay(b.swarm, &record, &report), ENX_FORMAT);
        }
        assert_int_equal(enx_swarm_replay(b.swarm, &b.records[i], &report), ENX_OK);
    }
    assert_true(enx_swarm_is_done(b.swarm));
    enx_swarm_close(&b.swarm);
}

static void audits_give_a_certificate_and_correct_what_they_find(void **state)
{
    (void)state;
    static const char *texts[TASKS_MAX];
    for (uint32_t i = 0; i < TASKS_MAX; i++) texts[i] = i == 9 ? "pt3oo" : "pt3os";
    set_up(texts, TASKS_MAX);
    b.options.audit_labels_max = TASKS_MAX;
    b.options.delta = .1;
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    const enx_swarm_summary      summary = enx_swarm_summary_get(b.swarm);
    const enx_certificate_claim *claim = &summary.certificate;
    assert_true(summary.has_certificate && claim->is_certified);
    assert_int_equal(claim->answers, TASKS_MAX);
    assert_true(claim->alpha >= 1. / TASKS_MAX && claim->alpha < .2);
    assert_int_equal(b.generated[ENX_ROLE_AUDIT], claim->labels);
    const enx_swarm_answer odd = enx_swarm_result(b.swarm, 9);
    assert_int_equal(odd.was_wrong, odd.is_labelled);
    if (odd.was_wrong) assert_memory_equal(odd.answer.text, "PT3OO", 5);
    assert_int_equal(claim->wrong, odd.was_wrong);
    enx_swarm_close(&b.swarm);
}

static void with_a_target_what_is_not_certified_goes_up(void **state)
{
    (void)state;
    static const char *texts[TASKS_MAX];
    for (uint32_t i = 0; i < TASKS_MAX; i++) texts[i] = i % 4 ? "pt3oo" : "pt3os"; /* 3/4 wrong */
    set_up(texts, TASKS_MAX);
    b.options.target_alpha = .05;
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    const enx_swarm_summary summary = enx_swarm_summary_get(b.swarm);
    assert_int_equal(summary.end, ENX_SWARM_DONE);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < TASKS_MAX; i++) {
        const enx_swarm_answer a = enx_swarm_result(b.swarm, i);
        wrong += i % 4 && a.role == ENX_ROLE_WORK;
        if (a.is_escalated) assert_int_equal(a.escalate_reason, ENX_REASON_UNCERTIFIED);
    }
    assert_true(wrong <= .05 * TASKS_MAX);
    assert_true(summary.escalated + summary.certificate.labels > .7 * TASKS_MAX);
    enx_swarm_close(&b.swarm);
}

/* A stream that knows nothing sends everything up; each lead's answer is a label for nothing, in
 * the order of the tasks, and a task whose right answer is known is not shown to it. */
static void a_stream_is_shown_what_passed_and_told_what_the_lead_says(void **state)
{
    (void)state;
    static const char *texts[TASKS_MAX];
    static enx_span    truths[TASKS_MAX];
    for (uint32_t i = 0; i < TASKS_MAX; i++) texts[i] = i % 4 ? "pt3oo" : "pt3os"; /* 3/4 wrong */
    set_up(texts, TASKS_MAX);
    enx_stream              *stream = NULL;
    const enx_stream_options how = { .alpha = .1, .seed = 1 };
    assert_int_equal(enx_stream_open(&stream, &how, NULL), ENX_OK);
    truths[3] = (enx_span){ "PT3OS", 5 }; /* the lead is wrong about it */
    b.options.stream = stream;
    b.options.stream_id = 6;
    b.options.truths = truths;
    open_swarm();
    enx_swarm_start(b.swarm);
    run_to_end();
    const enx_swarm_summary summary = enx_swarm_summary_get(b.swarm);
    uint64_t                place = 0, told = 0, item = 0;
    for (uint32_t i = 0; i < b.record_count; i++) {
        const enx_record *r = &b.records[i];
        if (r->offer.stream == 0) continue;
        assert_int_equal(r->offer.stream, 6);
        assert_int_equal(r->offer.place, ++place);
        if (r->kind == ENX_RECORD_LABEL) {
            assert_int_equal(r->offer.number, ++told);
            assert_int_equal(r->is_wrong, r->item % 4 != 0);
        } else {
            assert_true(r->item + 1 > item && r->item != 3);
            item = r->item + 1;
        }
    }
    assert_int_equal(told, TASKS_MAX - 1);
    assert_int_equal(enx_stream_answers(stream), TASKS_MAX - 1);
    assert_int_equal(summary.certificate.form, ENX_CERTIFICATE_STREAM);
    assert_int_equal(summary.certificate.escalated, TASKS_MAX - 1);
    assert_int_equal(summary.escalated, TASKS_MAX);
    assert_true(summary.known_lead.count == 1 && summary.known_lead.wrong == 1);
    assert_true(summary.known_worker.count == 1);
    enx_swarm_close(&b.swarm);
    enx_stream_close(&stream);
}

static void progress_counts_models_and_slots(void **state)
{
    (void)state;
    static const char *const texts[] = { "pt3oo", "pt3oo", "pt3oo", "pt3oo", "pt3ro", "xx3oo" };
    set_up(texts, 6);
    open_swarm();
    enx_swarm_start(b.swarm);
    assert_int_equal(enx_swarm_progress_get(b.swarm, 1).running, 4);
    assert_int_equal(enx_swarm_progress_get(b.swarm, 1).queued, 2);
    run_to_end();
    const enx_swarm_progress pt = enx_swarm_progress_get(b.swarm, 2);
    assert_int_equal(pt.accepted, 4);
    assert_int_equal(pt.escalated, 1);
    assert_int_equal(pt.queued + pt.running, 0);
    assert_int_equal(pt.line.calls, 5);
    assert_int_equal(pt.line.usage.tokens_out, 10);
    assert_int_equal(enx_swarm_progress_get(b.swarm, 0).accepted, 1);
    assert_int_equal(enx_swarm_progress_get(b.swarm, 1).abstained, 1);
    enx_swarm_close(&b.swarm);
}

static void bad_options_are_refused(void **state)
{
    (void)state;
    static const char *const text = "pt3oo";
    enx_report               report;
    const enx_roster         no_lead = { models + 1, 3 }, no_scout = { models, 1 },
                     no_worker = { models, 2 }, too_many = { models, 65 };
    const struct {
        const enx_roster *roster;
        enx_status        status;
        const char       *reason;
    } cases[] = { { &no_lead, ENX_INVALID, "leads" },
                  { &no_scout, ENX_INVALID, "scouts" },
                  { &no_worker, ENX_INVALID, "workers" },
                  { &too_many, ENX_LIMIT, "65 models" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_up(&text, 1);
        b.options.roster = cases[i].roster;
        assert_int_equal(enx_swarm_open(&b.swarm, &b.options, &report), cases[i].status);
        assert_non_null(strstr(report.text, cases[i].reason));
    }
    set_up(&text, 1);
    b.options.job_id = UINT64_C(1) << 31;
    assert_int_equal(enx_swarm_open(&b.swarm, &b.options, &report), ENX_INVALID);
    set_up(&text, 1);
    b.options.escalate_above = 2;
    assert_int_equal(enx_swarm_open(&b.swarm, &b.options, &report), ENX_INVALID);
    set_up(&text, 1);
    b.options.target_alpha = 1;
    assert_int_equal(enx_swarm_open(&b.swarm, &b.options, &report), ENX_INVALID);
    set_up(&text, 1);
    b.options.attempts_max = 99;
    assert_int_equal(enx_swarm_open(&b.swarm, &b.options, &report), ENX_LIMIT);
    set_up(&text, 1);
    b.options.item_count = ENX_SWARM_ITEMS_MAX + 1;
    assert_int_equal(enx_swarm_open(&b.swarm, &b.options, &report), ENX_LIMIT);
    assert_null(b.swarm);
    enx_swarm_close(&b.swarm);
}

#define STAGE(id, each, needs)                                                                   \
    "{\"id\":\"" id "\",\"for_each\":\"" each "\",\"needs\":[" needs "],\"instruction\":\"do\"," \
    "\"output\":[],\"checks\":[],\"on_fail\":\"skip\"}"
#define PLAN(mode, stages, assembly)                                                            \
    "{\"mode\":\"" mode "\",\"why\":\"\",\"advice\":\"\",\"stages\":[" stages "],\"assembly\":" \
    "{\"kind\":\"" assembly "\",\"instruction\":\"join\"},\"done_when\":\"\"}"

static void set_up_goal(const enx_roster *own, const char *graph)
{
    static const char *const text = "pt3ao\npt3oo";
    set_up(&text, 1);
    b.options.roster = own;
    b.options.mode = ENX_SWARM_MODE_WORKERS;
    b.options.is_goal = true;
    b.options.plan = NULL;
    b.options.graph = graph;
    open_swarm();
    enx_swarm_start(b.swarm);
}

static void a_task_whose_needs_have_no_answer_ends_and_the_job_goes_on(void **state)
{
    (void)state;
    set_up_goal(
        &roster,
        PLAN("swarm", STAGE("one", "line", "") "," STAGE("two", "answer", "\"one\""), "join"));
    run_to_end();
    assert_int_equal(enx_swarm_error(b.swarm, NULL), ENX_OK);
    assert_int_equal(enx_swarm_summary_get(b.swarm).end, ENX_SWARM_DONE);
    assert_int_equal(enx_swarm_result(b.swarm, 0).reason, ENX_REASON_ABSTAINED);
    assert_int_equal(enx_swarm_result(b.swarm, 2).state, ENX_TASK_ABSTAINED);
    assert_int_equal(enx_swarm_result(b.swarm, 2).reason, ENX_REASON_NEEDS);
    assert_int_equal(enx_swarm_result(b.swarm, 3).state, ENX_TASK_ACCEPTED);
    enx_swarm_close(&b.swarm);
}

/* The process dies between the records of a task that was created and ended at once. */
static void a_created_task_is_judged_again_after_a_crash(void **state)
{
    (void)state;
    static const char *const graph =
        PLAN("swarm", STAGE("one", "line", "") "," STAGE("two", "answer", "\"one\""), "join");
    set_up_goal(&roster, graph);
    run_to_end();
    uint32_t cut = 0;
    while (b.records[cut].kind != ENX_RECORD_TASK_ABSTAINED ||
           b.records[cut].reason != ENX_REASON_NEEDS)
        cut++;
    b.record_count = cut;
    reopen();
    enx_swarm_start(b.swarm);
    run_to_end();
    assert_int_equal(enx_swarm_result(b.swarm, 2).reason, ENX_REASON_NEEDS);
    assert_int_equal(enx_swarm_summary_get(b.swarm).end, ENX_SWARM_DONE);
    assert_int_equal(b.generated[ENX_ROLE_WORK], 2); /* the other line, and its answer */
    enx_swarm_close(&b.swarm);
}

static void a_plan_that_asks_a_lead_is_refused_without_one(void **state)
{
    (void)state;
    static const char *const plans[] = { PLAN("swarm", STAGE("one", "line", ""), "lead"),
                                         PLAN("single", "", "join") };
    const enx_roster         workers = { models + 2, 2 };
    for (int i = 0; i < 2; i++) {
        set_up_goal(&workers, plans[i]);
        assert_int_equal(enx_swarm_summary_get(b.swarm).end_reason, ENX_REASON_PLAN_REFUSED);
        enx_swarm_close(&b.swarm);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fate_of_a_task_is_as_promised),
        cmocka_unit_test(a_lead_is_told_what_the_worker_said),
        cmocka_unit_test(errors_are_tried_again_before_they_go_up),
        cmocka_unit_test(scout_decides_the_tags_and_the_plan_caps_them),
        cmocka_unit_test(plan_without_the_damaged_kind_leaves_the_text),
        cmocka_unit_test(languages_that_the_plan_leaves_out_are_not_touched),
        cmocka_unit_test(workers_mode_never_asks_the_lead),
        cmocka_unit_test(lead_mode_and_single_ask_the_scout_and_the_lead),
        cmocka_unit_test(a_refused_plan_is_asked_again_with_the_reason),
        cmocka_unit_test(three_refused_plans_end_the_job_but_not_a_single_one),
        cmocka_unit_test(a_job_without_text_is_done_at_once),
        cmocka_unit_test(a_long_task_is_returned),
        cmocka_unit_test(a_failed_job_is_the_same_after_a_replay),
        cmocka_unit_test(an_end_with_open_calls_cannot_follow),
        cmocka_unit_test(a_spent_budget_returns_the_rest_and_can_go_on),
        cmocka_unit_test(a_cap_that_is_shared_ends_the_job_and_says_which),
        cmocka_unit_test(a_task_that_only_fails_is_set_aside),
        cmocka_unit_test(an_answer_that_was_known_is_no_call_of_the_bill),
        cmocka_unit_test(a_budget_below_one_call_says_so),
        cmocka_unit_test(time_and_cancel_end_the_job_and_late_reports_settle_the_bill),
        cmocka_unit_test(a_call_that_nobody_knows_of_stays_in_the_ledger_as_unknown),
        cmocka_unit_test(any_save_may_fail_and_nothing_is_lost),
        cmocka_unit_test(any_allocation_may_fail_without_harm),
        cmocka_unit_test(records_that_cannot_follow_are_refused),
        cmocka_unit_test(audits_give_a_certificate_and_correct_what_they_find),
        cmocka_unit_test(with_a_target_what_is_not_certified_goes_up),
        cmocka_unit_test(a_stream_is_shown_what_passed_and_told_what_the_lead_says),
        cmocka_unit_test(progress_counts_models_and_slots),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(a_task_whose_needs_have_no_answer_ends_and_the_job_goes_on),
        cmocka_unit_test(a_created_task_is_judged_again_after_a_crash),
        cmocka_unit_test(a_plan_that_asks_a_lead_is_refused_without_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
