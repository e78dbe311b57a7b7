/* SPDX-License-Identifier: Apache-2.0 */
/* test_runs.c - what a CSV of runs may hold, and what is said of one that may not. */
#include "scale/runs.h"

#include "base/mem.h"
#include "scale/rungs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enx_status open_text(enx_runs **runs, const char *text, const enx_runs_options *o,
                            enx_report *report)
{
    const enx_runs_options none = { 0 };
    *report = (enx_report){ 0 };
    return enx_runs_open(runs, text, strlen(text), o ? o : &none, report);
}

static enx_runs *must_open(const char *text, const enx_runs_options *o)
{
    enx_runs  *runs = NULL;
    enx_report report;
    if (open_text(&runs, text, o, &report) != ENX_OK) fail_msg("%s", report.text);
    return runs;
}

static void columns_go_by_name_or_by_map(void **state)
{
    (void)state;
    enx_runs *runs = must_open("\xEF\xBB\xBF"
                               "Params,x,TOKENS,loss\r\n"
                               "1e6,a,20M,3.5\r\n\r\n\"2K\",\"b,\"\"c\"\"\nd\",1B,\"2.5\"",
                               NULL);
    assert_int_equal(runs->count, 2);
    assert_true(runs->runs[0].params == 1e6 && runs->runs[0].tokens == 20e6);
    assert_true(runs->runs[0].flops == 6 * 1e6 * 20e6);
    assert_true(runs->runs[1].params == 2e3 && runs->runs[1].tokens == 1e9);
    assert_int_equal(runs->runs[1].line, 4);
    assert_string_equal(runs->names[ENX_COLUMN_PARAMS], "Params");
    enx_runs_close(&runs);
    const enx_runs_options o = { .map = "N=Model Size,C=Training FLOP,loss=final" };
    runs = must_open("loss,Model Size,Training FLOP,final\n9,10,600,2\n", &o);
    assert_true(runs->runs[0].tokens == 10 && runs->runs[0].loss == 2);
    assert_true(runs->has_params && runs->has_tokens && !runs->has_unique);
    enx_runs_close(&runs);
    enx_runs_close(&runs);
}

static void rows_are_chosen_and_trimmed(void **state)
{
    (void)state;
    const char            *text = "set,C,loss\na,1,5\nb,x,nonsense\na,2,4\na,3,9\na,4,3\n";
    const enx_runs_options o = { .where = "set=a", .trim_worst = 2 };
    enx_runs              *runs = must_open(text, &o);
    assert_int_equal(runs->count, 2);
    assert_int_equal(runs->filtered_count, 1);
    assert_int_equal(runs->trimmed_count, 2);
    assert_true(runs->runs[0].loss == 4 && runs->runs[1].loss == 3);
    assert_false(runs->has_params);
    enx_runs_close(&runs);
}

static void diverged_runs_are_left_out_and_counted(void **state)
{
    (void)state;
    enx_runs *runs = must_open("C,loss\n1,nan\n2,3\n3,inf\n4,\n5,2\n", NULL);
    assert_int_equal(runs->count, 2);
    assert_int_equal(runs->diverged_count, 3);
    assert_int_equal(runs->diverged_line, 2);
    enx_runs_close(&runs);
}

static void products_past_64_bits_are_numbers(void **state)
{
    (void)state;
    enx_runs *runs = must_open("N,D,loss\n1.4e9,2.9e10,3\n1e18,1e18,2\n", NULL);
    assert_true(runs->runs[0].flops == 6 * 1.4e9 * 2.9e10);
    assert_true(runs->runs[1].flops == 6e36);
    enx_runs_close(&runs);
}

static void bytes_a_token_make_losses_comparable(void **state)
{
    (void)state;
    enx_runs *runs = must_open("C,loss,tokenizer,bytes_per_token\n1,2,x,4\n2,1,y,2\n", NULL);
    assert_true(runs->is_bits);
    assert_true(fabs(runs->runs[0].loss - runs->runs[1].loss) < 1e-15);
    assert_true(fabs(runs->runs[0].loss - 0.5 / log(2)) < 1e-15);
    enx_runs_close(&runs);
    runs = must_open("C,bits_per_byte,loss,tokenizer\n1,2,3,x\n2,1,2,y\n", NULL);
    assert_true(runs->is_bits && runs->runs[0].loss == 2);
    enx_runs_close(&runs);
}

static void repeats_need_seeds(void **state)
{
    (void)state;
    const enx_runs_options o = { .has_duplicates = true };
    enx_runs              *runs = must_open("C,loss\n1,2\n3,1\n1,2\n", &o);
    assert_int_equal(runs->count, 2);
    assert_int_equal(runs->duplicate_count, 1);
    enx_runs_close(&runs);
    runs = must_open("C,loss,seed\n1,2,1\n1,2,2\n3,1,1\n", NULL);
    assert_int_equal(runs->count, 3);
    enx_runs_close(&runs);
}

static void runs_that_contradict_one_another_are_counted(void **state)
{
    (void)state;
    enx_runs *runs = must_open("N,D,loss\n10,20,3\n10,20,3.01\n10,20,4\n10,30,3\n", NULL);
    assert_int_equal(runs->clash_count, 1);
    assert_int_equal(runs->clash_lines[0], 3);
    assert_int_equal(runs->clash_lines[1], 4);
    enx_runs_close(&runs);
}

static void what_cannot_be_read_says_why(void **state)
{
    static const struct {
        const char *text, *map, *where;
        enx_status  status;
        const char *said;
    } cases[] = {
        { "", NULL, NULL, ENX_FORMAT, "no header" },
        { "N,D,x\n1,2,3\n", NULL, NULL, ENX_INVALID, "loss=COLUMN" },
        { "N,loss\n1,2\n", NULL, NULL, ENX_INVALID, "neither compute" },
        { "C,loss\n", NULL, NULL, ENX_INVALID, "no run is left" },
        { "C,loss\n1,2\n", "Q=C", NULL, ENX_INVALID, "\"Q\" is not one of" },
        { "C,losss\n1,2\n", "loss=loss", NULL, ENX_INVALID, "did you mean \"losss\"?" },
        { "C,loss\n1,2\n", NULL, "set=a", ENX_INVALID, "no column \"set\"" },
        { "C,loss\n1,2\n", NULL, "C", ENX_INVALID, "is not COLUMN=VALUE" },
        { "C,loss\n1,2\n", NULL, "C=7", ENX_INVALID, "1 excluded" },
        { "C,loss\n1,2,3\n", NULL, NULL, ENX_FORMAT, "line 2: 3 fields; the header has 2" },
        { "C,loss\n1\n", NULL, NULL, ENX_FORMAT, "line 2: 1 fields" },
        { "C,loss\n1,2\n\"3,4\n", NULL, NULL, ENX_FORMAT, "line 3: a quote that is not closed" },
        { "C,loss\nbig,2\n", NULL, NULL, ENX_FORMAT, "C is \"big\", which is not a number" },
        { "C,loss\n1,low\n", NULL, NULL, ENX_FORMAT, "the loss is \"low\"" },
        { "C,loss\n1,-2\n", NULL, NULL, ENX_INVALID, "a loss is above 0" },
        { "C,loss\n0,2\n", NULL, NULL, ENX_INVALID, "must be above 0" },
        { "N,D,loss\n1e19,1,2\n", NULL, NULL, ENX_INVALID, "at most 1e+18" },
        { "C,loss\n1,2\n1,2\n", NULL, NULL, ENX_INVALID, "lines 2 and 3 are the same run" },
        { "C,loss,tokenizer\n1,2,a\n2,1,b\n", NULL, NULL, ENX_INVALID, "do not compare" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const enx_runs_options o = { .map = cases[i].map, .where = cases[i].where };
        enx_runs              *runs = NULL;
        enx_report             report;
        if (open_text(&runs, cases[i].text, &o, &report) != cases[i].status ||
            !strstr(report.text, cases[i].said))
            fail_msg("case %zu says \"%s\"", i, report.text);
        assert_null(runs);
    }
}

static void limits_are_kept(void **state)
{
    enum { BYTES = 1 << 16 };
    enx_runs  *runs = NULL;
    enx_report report;
    char      *text = malloc(BYTES);
    (void)state;
    memset(text, ',', BYTES - 1);
    text[BYTES - 1] = '\0';
    assert_int_equal(open_text(&runs, text, NULL, &report), ENX_LIMIT);
    assert_non_null(strstr(report.text, "columns"));
    memset(text, 'x', BYTES - 1);
    assert_int_equal(open_text(&runs, text, NULL, &report), ENX_LIMIT);
    assert_non_null(strstr(report.text, "bytes"));
    assert_int_equal(
        enx_runs_open(&runs, "C,loss\n1,2\0003\n", 13, &(enx_runs_options){ 0 }, &report),
        ENX_FORMAT);
    free(text);
}

static void a_cut_at_every_byte_is_read_or_refused(void **state)
{
    static const char text[] = "set,\"N\",D,loss,seed\na,1e6,\"2e7\",3.25,1\nb,2e6,4e7,nan,2\n";
    (void)state;
    for (size_t size = 0; size < sizeof text; size++) {
        enx_runs  *runs = NULL;
        enx_report report = { 0 };
        if (enx_runs_open(&runs, text, size, &(enx_runs_options){ 0 }, &report) == ENX_OK)
            assert_int_equal(runs->count, 1);
        else assert_true(runs == NULL && report.text[0]);
        enx_runs_close(&runs);
    }
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    for (long i = 0; i < 10; i++) {
        enx_runs  *runs = NULL;
        enx_report report;
        enx_mem_fail_after(i);
        const enx_status status = open_text(&runs, "C,loss\n1,3\n2,2\n", NULL, &report);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK || (status == ENX_NOMEM && !runs));
        enx_runs_close(&runs);
        if (status == ENX_OK) return;
    }
    fail();
}

/* ---- Rungs ---------------------------------------------------------------------------------- */

static void rungs_are_the_best_sizes_and_repeats_their_mean(void **state)
{
    (void)state;
    enx_rungs  rungs;
    enx_report report;
    enx_runs  *runs = must_open("N,D,loss,seed,U,lr\n"
                                 "100,4000,2.0,1,1000,.1\n100,4000,2.2,2,1000,.1\n"
                                 "10,1000,3.0,1,1000,.1\n"
                                 "200,2000,2.5,1,1000,.1\n",
                                NULL);
    assert_int_equal(enx_rungs_gather(&rungs, runs, &report), ENX_OK);
    assert_int_equal(rungs.count, 2);
    assert_true(rungs.rungs[0].loss == 3 && rungs.rungs[0].epochs == 1);
    assert_true(fabs(rungs.rungs[1].loss - 2.1) < 1e-12 && rungs.rungs[1].weight == 2);
    assert_true(rungs.rungs[1].epochs == 4);
    assert_true(fabs(rungs.noise - sqrt(2) * 0.1 / 2.1) < 1e-12);
    assert_int_equal(rungs.noise_freedom, 1);
    assert_true(rungs.is_rate_fixed && fabs(rungs.rate_power) < 1e-12);
    assert_true(fabs(enx_rungs_factor(&rungs) - 40) < 1e-9);
    double         params, tokens;
    const enx_rung next = enx_rungs_next(&rungs, 40, &params, &tokens);
    assert_true(fabs(params - 1000) < 1e-6 && fabs(tokens - 16000) < 1e-6);
    assert_true(fabs(next.epochs - 16) < 1e-9);
    enx_belief belief = enx_belief_odds(5);
    belief = enx_rungs_belief(&rungs, belief);
    assert_true(belief.noise > 0.01 && belief.noise_weight == 3.5);
    enx_runs_close(&runs);
}

static void sizes_that_jump_are_seen(void **state)
{
    (void)state;
    enx_rungs  rungs;
    enx_report report;
    enx_runs  *runs = must_open("N,D,loss\n1e6,2e7,4\n4e6,8e7,3.5\n1.6e7,3.2e8,3\n", NULL);
    assert_int_equal(enx_rungs_gather(&rungs, runs, &report), ENX_OK);
    assert_true(fabs(rungs.size_power - 0.5) < 1e-9 && rungs.ratio_spread < 1e-6);
    enx_runs_close(&runs);
    runs = must_open("N,D,loss\n1e6,2e7,4\n1e6,8e9,3.5\n1.6e8,3.2e8,3\n", NULL);
    assert_int_equal(enx_rungs_gather(&rungs, runs, &report), ENX_OK);
    assert_true(rungs.ratio_spread > ENX_RUNGS_RATIO_MAX);
    enx_runs_close(&runs);
}

static void runs_of_one_compute_are_no_ladder(void **state)
{
    (void)state;
    enx_rungs  rungs;
    enx_report report = { 0 };
    enx_runs  *runs = must_open("C,loss\n1e9,3\n1.05e9,2\n", NULL);
    assert_int_equal(enx_rungs_gather(&rungs, runs, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "a ladder needs 4 rungs"));
    enx_runs_close(&runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_go_by_name_or_by_map),
        cmocka_unit_test(rows_are_chosen_and_trimmed),
        cmocka_unit_test(diverged_runs_are_left_out_and_counted),
        cmocka_unit_test(products_past_64_bits_are_numbers),
        cmocka_unit_test(bytes_a_token_make_losses_comparable),
        cmocka_unit_test(repeats_need_seeds),
        cmocka_unit_test(runs_that_contradict_one_another_are_counted),
        cmocka_unit_test(what_cannot_be_read_says_why),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(a_cut_at_every_byte_is_read_or_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
        cmocka_unit_test(rungs_are_the_best_sizes_and_repeats_their_mean),
        cmocka_unit_test(sizes_that_jump_are_seen),
        cmocka_unit_test(runs_of_one_compute_are_no_ladder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
