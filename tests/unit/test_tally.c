/* SPDX-License-Identifier: Apache-2.0 */
/* test_tally.c - shares of checks and correlations of workers, out of records written by hand. */
#include "swarm/tally.h"

#include "base/binomial.h"
#include "swarm/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

static const char *const names[] = { "big", "one", "two" };
static const enx_check   checks[] = { { .kind = ENX_CHECK_SCHEMA }, { .kind = ENX_CHECK_SECOND } };

static enx_tally *begin(uint32_t items)
{
    enx_tally          *t = NULL;
    const enx_tally_job job = { .item_count = items,
                                .names = names,
                                .name_count = 3,
                                .lead = 0,
                                .checks = checks,
                                .check_count = 2 };
    assert_int_equal(enx_tally_open(&t, NULL), ENX_OK);
    assert_int_equal(enx_tally_begin(t, &job, NULL), ENX_OK);
    return t;
}

static void answered(enx_tally *t, uint32_t task, enx_role role, uint32_t model, const char *text,
                     uint64_t usd_nano)
{
    const enx_record r = { .kind = ENX_RECORD_CALL_RESULT,
                           .task_id = task,
                           .role = role,
                           .model = model,
                           .cost_usd_nano = usd_nano,
                           .report = { .answer = text, .answer_bytes = strlen(text) } };
    enx_tally_add(t, &r);
}

static void refused(enx_tally *t, uint32_t task, enx_reason reason, uint32_t check)
{
    const enx_record r = {
        .kind = ENX_RECORD_TASK_ESCALATED, .task_id = task, .reason = reason, .check = check
    };
    enx_tally_add(t, &r);
}

static void labelled(enx_tally *t, uint32_t task, enx_reason reason, bool is_wrong,
                     const char *reference)
{
    const enx_record r = { .kind = ENX_RECORD_LABEL,
                           .task_id = task,
                           .reason = reason,
                           .is_wrong = is_wrong,
                           .text = reference,
                           .text_bytes = strlen(reference) };
    enx_tally_add(t, &r);
}

static void offered(enx_tally *t, uint32_t task, double chance)
{
    const enx_record r = { .kind = ENX_RECORD_OFFER,
                           .task_id = task,
                           .offer = { .stream = 1, .chance = chance } };
    enx_tally_add(t, &r);
}

static double rate(const enx_tally_share *share)
{
    double low, high, got = enx_tally_share_get(share, &low, &high);
    assert_true(low <= got && got <= high && low >= 0 && high <= 1);
    return got;
}

/* Ten wrong answers of which the schema refuses four; of the six that pass, half are audited. */
static void errors_that_nobody_looked_for_count_too(void **state)
{
    (void)state;
    enx_tally *t = begin(20);
    for (uint32_t i = 1; i <= 20; i++) answered(t, i, ENX_ROLE_WORK, 1, "x", 0);
    for (uint32_t i = 1; i <= 4; i++) {
        refused(t, i, ENX_REASON_SCHEMA, 1);
        labelled(t, i, ENX_REASON_ANSWERED, true, "y");
    }
    for (uint32_t i = 5; i <= 20; i++) {
        offered(t, i, .5);
        if (i % 2) labelled(t, i, ENX_REASON_AUDITED, i <= 10, i <= 10 ? "y" : "x");
    }
    enx_tally_end(t);
    const enx_tally_sums *s = enx_tally_sums_get(t);
    assert_int_equal(s->answers, 20);
    assert_int_equal(s->labelled, 12);
    assert_true(fabs(rate(&s->checks[1].caught) - .4) < 1e-9); /* unweighted it would be 4 of 7 */
    assert_true(rate(&s->checks[1].alarmed) == 0);
    assert_true(fabs(rate(&s->wrong) - .5) < 1e-9);
    /* the second check saw what passed the first */
    assert_true(fabs(s->checks[2].caught.count - 6) < 1e-9);
    enx_tally_close(&t);
}

static void audits_of_one_job_stand_for_what_was_accepted(void **state)
{
    (void)state;
    enx_tally *t = begin(9);
    for (uint32_t i = 1; i <= 8; i++) {
        const enx_record r = { .kind = ENX_RECORD_TASK_ACCEPTED,
                               .task_id = i,
                               .role = ENX_ROLE_WORK };
        answered(t, i, ENX_ROLE_WORK, 1, "x", 0);
        enx_tally_add(t, &r);
    }
    labelled(t, 1, ENX_REASON_AUDITED, true, "y");
    labelled(t, 2, ENX_REASON_AUDITED, false, "x");
    labelled(t, 3, ENX_REASON_AUDIT_FAILED, true, ""); /* says nothing of the answer */
    answered(t, 9, ENX_ROLE_WORK, 1, "", 0);
    refused(t, 9, ENX_REASON_RED_FLAG, 0);
    labelled(t, 9, ENX_REASON_ANSWERED, true, "y");
    enx_tally_end(t);
    const enx_tally_sums *s = enx_tally_sums_get(t);
    assert_int_equal(s->labelled, 3);
    assert_true(fabs(s->checks[0].caught.count - 5) < 1e-9);
    assert_true(fabs(rate(&s->checks[0].caught) - .2) < 1e-9);
    assert_true(fabs(s->checks[0].alarmed.count - 4) < 1e-9);
    enx_tally_close(&t);
}

/* Both are wrong in 6 of 40 tasks, one alone in 2 each: phi = (6 * 30 - 2 * 2) / (8 * 32). */
static void workers_that_err_together_are_one_vote(void **state)
{
    (void)state;
    enx_tally *t = begin(40);
    for (uint32_t i = 1; i <= 40; i++) {
        answered(t, i, ENX_ROLE_WORK, 1, i <= 8 ? "wrong" : "right", 100);
        answered(t, i, ENX_ROLE_SECOND, 2, i <= 6 || i > 38 ? "wrong" : "right", 100);
        answered(t, i, ENX_ROLE_LEAD, 0, "right", 1000);
        refused(t, i, ENX_REASON_KNOWN, 0);
        labelled(t, i, ENX_REASON_ANSWERED, i <= 8, "right");
    }
    enx_tally_end(t);
    const enx_tally_sums *s = enx_tally_sums_get(t);
    assert_int_equal(s->pair_count, 1);
    assert_string_equal(s->pairs[0].names[1], "two");
    assert_int_equal(s->pairs[0].tasks, 40);
    assert_true(fabs(enx_tally_pair_phi(&s->pairs[0]) - 176. / 256) < 1e-9);
    const enx_tally_vote vote = enx_tally_vote_get(s, 2);
    assert_true(fabs(vote.price - .1) < 1e-9);
    assert_false(vote.is_known); /* eight errors are few */
    enx_tally_close(&t);
}

/* 30 of 60 answers are wrong; a vote that refuses `caught` of these pays above its price. */
static enx_tally_vote vote_of(uint32_t caught, uint64_t usd_nano)
{
    enx_tally *t = begin(60);
    for (uint32_t i = 1; i <= 60; i++) {
        answered(t, i, ENX_ROLE_WORK, 1, "x", 0);
        answered(t, i, ENX_ROLE_SECOND, 2, "x", usd_nano);
        answered(t, i, ENX_ROLE_LEAD, 0, i <= 30 ? "y" : "x", 1000);
        if (i <= caught) refused(t, i, ENX_REASON_DISAGREE, 2);
        else refused(t, i, ENX_REASON_KNOWN, 0);
        labelled(t, i, ENX_REASON_ANSWERED, i <= 30, i <= 30 ? "y" : "x");
    }
    enx_tally_end(t);
    const enx_tally_vote vote = enx_tally_vote_get(enx_tally_sums_get(t), 2);
    enx_tally_close(&t);
    return vote;
}

static void a_vote_pays_where_it_finds_errors_for_less_than_the_lead(void **state)
{
    (void)state;
    assert_true(vote_of(15, 200).is_known);
    assert_true(vote_of(15, 200).pays);  /* .5 - .25 against .2 */
    assert_false(vote_of(15, 300).pays); /* ... against .3 */
    assert_false(vote_of(0, 1).pays);
}

static void what_does_not_fit_is_left_out(void **state)
{
    (void)state;
    enx_tally *t = begin(1);
    answered(t, 2, ENX_ROLE_WORK, 1, "x", 0);
    answered(t, 0, ENX_ROLE_PLAN, 0, "x", 0);
    answered(t, 1, ENX_ROLE_WORK, 17, "x", 0);
    for (int i = 0; i < 9; i++) answered(t, 1, ENX_ROLE_SECOND, 2, "x", 0);
    labelled(t, 1, ENX_REASON_ANSWERED, true, "y");
    enx_tally_end(t);
    assert_int_equal(enx_tally_sums_get(t)->answers,
                     0); /* nothing says that its checks were made */
    const enx_tally_job job = { .item_count = ENX_SWARM_ITEMS_MAX + 1 };
    assert_int_equal(enx_tally_begin(t, &job, NULL), ENX_LIMIT);
    enx_tally_close(&t);
}

/* Clopper and Pearson, by their tables: 1 of 30 at 95 %, and none of 59. */
static void bounds_of_a_count_are_exact(void **state)
{
    (void)state;
    assert_true(fabs(enx_binomial_low(1, 30, .025) - .000844) < 1e-6);
    assert_true(fabs(enx_binomial_high(1, 30, .025) - .172169) < 1e-6);
    assert_true(enx_binomial_low(0, 59, .05) == 0);
    assert_true(fabs(enx_binomial_high(0, 59, .05) - (1 - pow(.05, 1. / 59))) < 1e-9);
    assert_true(enx_binomial_high(7, 7, .05) == 1);
    assert_true(enx_binomial_high(0, 0, .05) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_that_nobody_looked_for_count_too),
        cmocka_unit_test(audits_of_one_job_stand_for_what_was_accepted),
        cmocka_unit_test(workers_that_err_together_are_one_vote),
        cmocka_unit_test(a_vote_pays_where_it_finds_errors_for_less_than_the_lead),
        cmocka_unit_test(what_does_not_fit_is_left_out),
        cmocka_unit_test(bounds_of_a_count_are_exact),
    };
    return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
