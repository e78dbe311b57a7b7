/* SPDX-License-Identifier: Apache-2.0 */
/* test_gate.c - when a swarm is worth it: each reason against it, and how it is got over. */
#include "swarm/swarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

enum { TASKS = 8 };

static enx_roster_model  models[4];
static enx_roster        roster;
static enx_span          items[TASKS];
static enx_check         checks[2];
static enx_class         task_class;
static enx_ports         ports;
static enx_swarm_options options;

static enx_roster_model model(const char *name, enx_duty duty, uint64_t usd_nano)
{
    return (enx_roster_model){
        .name = name, .duty = duty, .slots = 1, .price = { usd_nano, usd_nano, usd_nano, 0 }
    };
}

/* A lead at ten times the price of its two workers, and a check that costs nothing. */
static void set_up(void)
{
    models[0] = model("lead", ENX_DUTY_LEAD, 10000000);
    models[1] = model("one", ENX_DUTY_WORKER, 1000000);
    models[2] = model("two", ENX_DUTY_WORKER, 1000000);
    models[3] = model("judge", ENX_DUTY_VERIFIER, 1000000);
    roster = (enx_roster){ models, 4 };
    for (int i = 0; i < TASKS; i++) items[i] = (enx_span){ "some text", 9 };
    checks[0] = (enx_check){ .kind = ENX_CHECK_COMPUTE, .text = "true" };
    task_class = (enx_class){ .name = "reading", .checks = checks, .check_count = 1 };
    ports = (enx_ports){ 0 };
    options = (enx_swarm_options){ .roster = &roster,
                                   .ports = &ports,
                                   .goal = "reading",
                                   .given = &task_class,
                                   .items = items,
                                   .item_count = TASKS };
}

static enx_swarm_forecast forecast(void)
{
    enx_swarm *swarm = NULL;
    enx_report report = { 0 };
    if (enx_swarm_open(&swarm, &options, &report) != ENX_OK) fail_msg("%s", report.text);
    const enx_swarm_forecast f = enx_swarm_forecast_get(swarm);
    enx_swarm_close(&swarm);
    return f;
}

static void expect_gate(enx_reason reason, bool is_single)
{
    const enx_swarm_forecast f = forecast();
    if (f.gate_reason != reason || f.is_single != is_single)
        fail_msg("%s: %s", f.is_single ? "single" : "swarm", enx_reason_text(f.gate_reason));
}

static void many_tasks_that_can_be_checked_are_for_a_swarm(void **state)
{
    (void)state;
    set_up();
    expect_gate(ENX_REASON_WIDE, false);
    const enx_swarm_forecast f = forecast();
    assert_true(f.has_lead);
    assert_int_equal(f.usd_nano_lead, 10 * f.usd_nano);
}

static void few_tasks_are_not(void **state)
{
    (void)state;
    set_up();
    options.item_count = ENX_SWARM_GATE_ITEMS - 1;
    expect_gate(ENX_REASON_FEW_ITEMS, true);
    options.item_count = ENX_SWARM_GATE_ITEMS;
    expect_gate(ENX_REASON_WIDE, false);
}

static void answers_that_nothing_judges_are_not(void **state)
{
    (void)state;
    set_up();
    task_class.check_count = 0;
    expect_gate(ENX_REASON_UNCHECKABLE, true);
    options.target_alpha = .1; /* a certificate judges them */
    expect_gate(ENX_REASON_WIDE, false);
}

static void workers_must_cost_less_than_the_lead(void **state)
{
    (void)state;
    set_up();
    models[1].price = models[2].price = models[0].price;
    expect_gate(ENX_REASON_WORKERS_DEAR, true);
    models[0].price = models[1].price = models[2].price = (enx_price){ 0 };
    expect_gate(ENX_REASON_WIDE, false); /* nothing costs anything */
}

static void to_do_and_to_check_must_cost_less_than_the_lead(void **state)
{
    (void)state;
    set_up();
    task_class.check_count = 2;
    checks[1] = (enx_check){ .kind = ENX_CHECK_SECOND };
    expect_gate(ENX_REASON_WIDE, false);
    models[1].price = models[2].price = (enx_price){ 5000000, 5000000, 5000000, 0 };
    expect_gate(ENX_REASON_CHECKS_DEAR, true);
    options.vote_every = 16; /* most tasks are not voted on */
    expect_gate(ENX_REASON_WIDE, false);
    checks[1] = (enx_check){ .kind = ENX_CHECK_VERIFIER };
    expect_gate(ENX_REASON_WIDE, false);
    models[3].price = (enx_price){ 500000000, 500000000, 500000000, 0 };
    expect_gate(ENX_REASON_CHECKS_DEAR, true);
}

static void what_went_up_before_is_counted(void **state)
{
    (void)state;
    set_up();
    options.up_share = .89;
    expect_gate(ENX_REASON_WIDE, false);
    options.up_share = .91;
    expect_gate(ENX_REASON_NOT_CHEAPER, true);
}

static void who_asks_for_a_swarm_gets_one(void **state)
{
    (void)state;
    set_up();
    options.item_count = 1;
    options.up_share = 1;
    options.is_asked = true;
    expect_gate(ENX_REASON_ASKED, false);
    options.is_asked = false;
    options.mode = ENX_SWARM_MODE_WORKERS;
    expect_gate(ENX_REASON_ASKED, false);
}

static void without_a_lead_there_is_no_choice(void **state)
{
    (void)state;
    set_up();
    roster = (enx_roster){ models + 1, 3 };
    options.item_count = 1;
    expect_gate(ENX_REASON_NO_LEAD, false);
    assert_false(forecast().has_lead);
}

/* ---- plans of the lead --------------------------------------------------------------------- */

static enx_call asked; /* the latest call */

static void port_generate(void *self, const enx_call *call)
{
    (void)self;
    asked = *call;
}

static void port_cancel(void *self, uint64_t call_id) { (void)self, (void)call_id; }

static enx_status port_save(void *self, const enx_record *records, size_t count, enx_report *report)
{
    (void)self, (void)records, (void)count, (void)report;
    return ENX_OK;
}

static uint64_t port_zero(void *self)
{
    (void)self;
    return 0;
}

#define STAGE(id, each, needs)                                                                   \
    "{\"id\":\"" id "\",\"for_each\":\"" each "\",\"needs\":[" needs "],\"instruction\":\"do\"," \
    "\"output\":[],\"checks\":[],\"on_fail\":\"skip\"}"
#define PLAN(stages)                                                                         \
    "{\"mode\":\"swarm\",\"why\":\"\",\"advice\":\"\",\"stages\":[" stages "],\"assembly\":" \
    "{\"kind\":\"lead\",\"instruction\":\"join\"},\"done_when\":\"\"}"

/* What becomes of a goal over two lines when the lead's first plan is this. */
static void expect_planned(const char *plan, enx_reason reason, bool is_single)
{
    static const enx_span text = { "one\ntwo", 7 };
    enx_swarm            *swarm = NULL;
    options.is_goal = true;
    options.given = NULL;
    options.items = &text;
    options.item_count = 1;
    options.gate_items_min = 1;
    ports = (enx_ports){ .generate = port_generate,
                         .cancel = port_cancel,
                         .save = port_save,
                         .now_us = port_zero,
                         .random_u64 = port_zero };
    assert_int_equal(enx_swarm_open(&swarm, &options, NULL), ENX_OK);
    enx_swarm_start(swarm);
    assert_int_equal(asked.role, ENX_ROLE_PLAN);
    const enx_call_report report = { .call_id = asked.call_id,
                                     .answer = plan,
                                     .answer_bytes = strlen(plan) };
    enx_swarm_on_report(swarm, &report);
    const enx_swarm_summary s = enx_swarm_summary_get(swarm);
    assert_int_equal(s.gate_reason, reason);
    assert_int_equal(s.is_single, is_single);
    assert_int_equal(asked.role, is_single ? ENX_ROLE_LEAD : ENX_ROLE_WORK);
    assert_int_equal(asked.model == 0, is_single);
    enx_swarm_close(&swarm);
}

static void a_plan_that_divides_nothing_is_for_the_lead(void **state)
{
    (void)state;
    set_up();
    expect_planned(PLAN(STAGE("a", "file", "") "," STAGE("b", "once", "\"a\"") "," STAGE(
                       "c", "answer", "\"b\"")),
                   ENX_REASON_CHAIN, true);
    expect_planned(PLAN(STAGE("a", "once", "")), ENX_REASON_FEW_ITEMS, true);
    expect_planned(PLAN(STAGE("a", "line", "") "," STAGE("b", "once", "\"a\"")), ENX_REASON_WIDE,
                   false);
    expect_planned(PLAN(STAGE("a", "once", "") "," STAGE("b", "file", "")), ENX_REASON_WIDE, false);
    options.is_asked = true;
    expect_planned(PLAN(STAGE("a", "once", "")), ENX_REASON_ASKED, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_tasks_that_can_be_checked_are_for_a_swarm),
        cmocka_unit_test(few_tasks_are_not),
        cmocka_unit_test(answers_that_nothing_judges_are_not),
        cmocka_unit_test(workers_must_cost_less_than_the_lead),
        cmocka_unit_test(to_do_and_to_check_must_cost_less_than_the_lead),
        cmocka_unit_test(what_went_up_before_is_counted),
        cmocka_unit_test(who_asks_for_a_swarm_gets_one),
        cmocka_unit_test(without_a_lead_there_is_no_choice),
        cmocka_unit_test(a_plan_that_divides_nothing_is_for_the_lead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
