/* SPDX-License-Identifier: Apache-2.0 */
/* test_ladder.c - odds and forecasts of ladders: made ones, simulated ones, published ones.
 *
 * `test_ladder N` holds odds against N simulated ladders of each kind, with the full goals. */
#include "scale/ladder.h"

#include "base/mem.h"
#include "golden_runs.h"
#include "ladder_sim.h"
#include "scale/linear.h"
#include "scale/rungs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RUNGS = 8 };

static uint32_t sim_count_wanted = 400;

static enx_ladder *must_open(const enx_rung *rungs, uint32_t count, const enx_belief *belief)
{
    enx_ladder *ladder = NULL;
    enx_report  report = { 0 };
    if (enx_ladder_open(&ladder, rungs, count, count - 1, belief, &report) != ENX_OK)
        fail_msg("%s", report.text);
    return ladder;
}

static void odds_of(const enx_rung *rungs, uint32_t count, double odds[ENX_OUTCOMES_COUNT])
{
    const enx_belief belief = enx_belief_odds(count);
    enx_ladder      *ladder = must_open(rungs, count, &belief);
    enx_ladder_odds(ladder, odds);
    enx_ladder_close(&ladder);
}

/* A plain ladder x4 a rung; from rung `broken` on its slope is `factor`. */
static void make_ladder(enx_rung *rungs, uint32_t broken, double factor)
{
    static const double noise[RUNGS] = { 1, -2, 1, 0, -1, 2, 0, -1 };
    for (uint32_t i = 0; i < RUNGS; i++) {
        const double t = i * log(4), at = broken * log(4);
        const double s = t > at ? at + factor * (t - at) : t;
        rungs[i] = (enx_rung){ .log_flops = 40 + t, .loss = 1.6 + 1.5 * exp(-0.17 * s) };
        rungs[i].loss *= 1 + 0.001 * noise[i];
    }
}

/* ---- Regression ----------------------------------------------------------------------------- */

/* ln of the density of many runs at once, a multivariate t, by elimination. */
static double slow_evidence(const enx_linear_prior *prior, double x[4][3], const double *y)
{
    double m[4][4], r[4], log_det = 0, square = 0;
    for (int i = 0; i < 4; i++) {
        r[i] = 1;
        for (int j = 0; j < 4; j++) {
            m[i][j] = i == j;
            for (int k = 0; k < 3; k++)
                m[i][j] +=
                    x[i][k] / y[i] * x[j][k] / y[j] * pow(prior->deviation[k] / prior->noise, 2);
        }
        for (int k = 0; k < 3; k++) r[i] -= x[i][k] / y[i] * prior->mean[k];
    }
    for (int i = 0; i < 4; i++) {
        log_det += log(m[i][i]);
        square += r[i] * r[i] / m[i][i];
        for (int j = i + 1; j < 4; j++) {
            const double f = m[j][i] / m[i][i];
            for (int k = i; k < 4; k++) m[j][k] -= f * m[i][k];
            r[j] -= f * r[i];
        }
    }
    const double a = prior->noise_weight + 2, b = prior->noise * prior->noise * prior->noise_weight;
    return -0.5 * log_det - a * log1p(square / (2 * b));
}

static void the_closed_evidence_is_that_of_the_joint_density(void **state)
{
    const double           y[4] = { 3, 2.6, 2.35, 2.1 };
    const enx_linear_prior prior = { { 1.2, 1.5, 0 }, { 0.6, 0.7, 0.1 }, 0.004, 2 };
    double                 gap = 0;
    (void)state;
    for (int trial = 0; trial < 5; trial++) {
        double               x[4][3];
        enx_linear           sum;
        enx_linear_posterior out;
        enx_linear_begin(&sum, &prior);
        for (int i = 0; i < 4; i++) {
            x[i][0] = 1;
            x[i][1] = exp(-0.1 * (trial + 1) * i);
            x[i][2] = i == trial;
            enx_linear_add(&sum, x[i], y[i], 1);
        }
        enx_linear_solve(&sum, &out);
        const double now = out.evidence - slow_evidence(&prior, x, y);
        if (trial > 0) assert_true(fabs(now - gap) < 1e-6);
        gap = now;
    }
}

/* ---- Odds ----------------------------------------------------------------------------------- */

static void each_story_is_told_from_the_others(void **state)
{
    static const struct {
        uint32_t    broken;
        double      factor;
        enx_outcome truth;
    } cases[] = { { RUNGS, 1, ENX_OUTCOME_HOLDS },
                  { 3, 0, ENX_OUTCOME_STOPPED },
                  { 3, 0.4, ENX_OUTCOME_SLOWED },
                  { 3, 2, ENX_OUTCOME_FASTER } };
    enx_rung rungs[RUNGS];
    double   odds[ENX_OUTCOMES_COUNT];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double sum = 0;
        make_ladder(rungs, cases[i].broken, cases[i].factor);
        odds_of(rungs, RUNGS, odds);
        for (int k = 0; k < ENX_OUTCOMES_COUNT; k++) sum += odds[k];
        assert_true(fabs(sum - 1) < 1e-12);
        if (!(odds[cases[i].truth] > 0.8)) fail_msg("case %zu: %.3f", i, odds[cases[i].truth]);
    }
    make_ladder(rungs, RUNGS, 1);
    rungs[RUNGS - 1].loss *= 1.12;
    odds_of(rungs, RUNGS, odds);
    assert_true(odds[ENX_OUTCOME_BAD_RUN] > 0.8);
    for (int i = 5; i < RUNGS; i++) rungs[i].loss = rungs[4].loss * (1 + 0.03 * (i - 4));
    odds_of(rungs, RUNGS, odds);
    assert_true(odds[ENX_OUTCOME_REVERSED] > 0.8);
}

/* Five sizes on text that is read 22 times in the end, and the same sizes on enough text. */
static void a_data_wall_is_named(void **state)
{
    const double flops[5] = { 1.1e11, 3.5e11, 1.6e12, 5.2e12, 2.5e13 };
    const double starved[5] = { 2.1505, 1.7873, 1.5182, 1.4129, 1.5943 };
    const double epochs[5] = { 1.4, 2.5, 5.5, 10, 22 };
    const double fed[5] = { 2.1197, 1.7481, 1.3851, 1.1865, 1.0054 };
    enx_belief   belief = enx_belief_odds(5);
    enx_rung     rungs[5];
    double       odds[ENX_OUTCOMES_COUNT];
    (void)state;
    for (int i = 0; i < 5; i++) rungs[i] = (enx_rung){ log(flops[i]), starved[i], 1, epochs[i] };
    enx_ladder *ladder = must_open(rungs, 5, &belief);
    enx_ladder_odds(ladder, odds);
    assert_true(odds[ENX_OUTCOME_HOLDS] < 0.05 && odds[ENX_OUTCOME_REVERSED] > 0.9);
    assert_true(enx_ladder_wall(ladder) > 0.9);
    enx_ladder_close(&ladder);
    /* without the epochs a bad run and a reversal cannot be told, but the law does not hold */
    for (int i = 0; i < 5; i++) rungs[i].epochs = 0;
    odds_of(rungs, 5, odds);
    assert_true(odds[ENX_OUTCOME_HOLDS] < 0.05);
    assert_true(odds[ENX_OUTCOME_REVERSED] > 0.1 && odds[ENX_OUTCOME_BAD_RUN] > 0.1);
    /* repeats differed by 0.8 % there */
    for (int i = 0; i < 5; i++) rungs[i].loss = fed[i];
    belief.noise = 0.0075, belief.noise_weight = 5;
    ladder = must_open(rungs, 5, &belief);
    enx_ladder_odds(ladder, odds);
    assert_true(odds[ENX_OUTCOME_HOLDS] > 0.9);
    enx_ladder_close(&ladder);
}

static void repeated_text_is_worth_less_and_less(void **state)
{
    (void)state;
    assert_true(enx_epochs_worth(0.5) == 1 && enx_epochs_worth(1) == 1);
    assert_true(enx_epochs_worth(4) > 3.6 && enx_epochs_worth(4) < 4);
    assert_true(enx_epochs_worth(1e6) < 16.4);
}

static void beliefs_move_odds_the_way_they_should(void **state)
{
    enx_rung   rungs[RUNGS];
    double     low[ENX_OUTCOMES_COUNT], high[ENX_OUTCOMES_COUNT];
    enx_belief belief = enx_belief_odds(RUNGS);
    (void)state;
    make_ladder(rungs, 5, 0.6);
    belief.hazard = 0.03;
    enx_ladder  *ladder = must_open(rungs, RUNGS, &belief);
    const double factor = enx_ladder_factor(ladder);
    enx_ladder_odds(ladder, low);
    enx_ladder_close(&ladder);
    belief.hazard = 0.12;
    ladder = must_open(rungs, RUNGS, &belief);
    enx_ladder_odds(ladder, high);
    assert_true(low[ENX_OUTCOME_HOLDS] > high[ENX_OUTCOME_HOLDS]);
    /* what the rungs say does not depend on it much */
    assert_true(fabs(enx_ladder_factor(ladder) - factor) < 1);
    enx_ladder_close(&ladder);
    belief.hazard = 2;
    enx_report report = { 0 };
    assert_int_equal(enx_ladder_open(&ladder, rungs, RUNGS, RUNGS - 1, &belief, &report),
                     ENX_INVALID);
    assert_non_null(strstr(report.text, "hazard: 2 is not from 0 to 0.9"));
}

static void a_repeat_of_the_last_rung_clears_or_convicts_it(void **state)
{
    enx_rung         rungs[RUNGS + 1];
    double           odds[ENX_OUTCOMES_COUNT];
    const enx_belief belief = enx_belief_odds(RUNGS);
    enx_report       report = { 0 };
    (void)state;
    for (int is_bad = 0; is_bad < 2; is_bad++) {
        enx_ladder *ladder = NULL;
        make_ladder(rungs, RUNGS, 1);
        rungs[RUNGS] = rungs[RUNGS - 1];
        rungs[RUNGS - 1].loss *= 1.05;
        if (!is_bad) rungs[RUNGS].loss *= 1.051;
        assert_int_equal(enx_ladder_open(&ladder, rungs, RUNGS + 1, RUNGS - 1, &belief, &report),
                         ENX_OK);
        enx_ladder_odds(ladder, odds);
        if (is_bad) assert_true(odds[ENX_OUTCOME_BAD_RUN] > 0.95);
        else assert_true(odds[ENX_OUTCOME_BAD_RUN] < 0.05);
        enx_ladder_close(&ladder);
    }
}

/* ---- Forecasts ------------------------------------------------------------------------------ */

static void forecasts_are_distributions(void **state)
{
    enum { PARTS = 4000 };
    enx_rung   rungs[RUNGS];
    enx_belief belief = enx_belief_forecast();
    (void)state;
    make_ladder(rungs, RUNGS, 1);
    enx_ladder       *ladder = must_open(rungs, RUNGS - 1, &belief);
    enx_rung          at = rungs[RUNGS - 1];
    const enx_outlook wide = enx_ladder_forecast(ladder, &at, 0.9);
    const enx_outlook half = enx_ladder_forecast(ladder, &at, 0.5);
    assert_true(wide.low < half.low && half.low < wide.median && wide.median < half.high);
    assert_true(half.high < wide.high && fabs(wide.median - at.loss) < 0.01);
    double mass = 0, inside = 0, mean = 0, last = 0;
    for (int i = 0; i < PARTS; i++) {
        const double step = 0.4 / PARTS;
        at.loss = wide.median - 0.2 + (i + 0.5) * step;
        const double part = exp(enx_ladder_density(ladder, &at)) * step;
        mass += part;
        mean += part * at.loss;
        if (at.loss > wide.low && at.loss < wide.high) inside += part;
    }
    assert_true(fabs(mass - 1) < 0.005 && fabs(inside - 0.9) < 0.005);
    assert_true(fabs(mean / mass - wide.mean) < 1e-3);
    for (double q = 0.05; q < 1; q += 0.15) {
        const double now = enx_ladder_quantile(ladder, &at, q);
        assert_true(now > last);
        last = now;
    }
    assert_true(fabs(enx_ladder_quantile(ladder, &at, 0.05) - wide.low) < 1e-5);
    assert_true(enx_ladder_floor(ladder) > 1 && enx_ladder_floor_deviation(ladder) > 0);
    assert_true(fabs(enx_ladder_exponent(ladder) - 0.17) <
                2 * enx_ladder_exponent_deviation(ladder) + 0.02);
    enx_ladder_close(&ladder);
}

typedef struct rolling {
    double   error;
    uint32_t count, inside;
} rolling;

/* Every rung from the fifth on, `ahead` rungs ahead. */
static void roll(rolling *sum, const enx_rungs *rungs, uint32_t ahead)
{
    const enx_belief belief = enx_belief_forecast();
    for (uint32_t k = ENX_LADDER_RUNGS_MIN; k + ahead <= rungs->count; k++) {
        const enx_rung   *at = &rungs->rungs[k + ahead - 1];
        enx_ladder       *ladder = must_open(rungs->rungs, k, &belief);
        const enx_outlook o = enx_ladder_forecast(ladder, at, 0.9);
        sum->error += 100 * fabs(log(o.median / at->loss));
        sum->inside += at->loss >= o.low && at->loss <= o.high;
        sum->count++;
        enx_ladder_close(&ladder);
    }
}

static void roll_golden(rolling *sum, const char *file, const char *where, uint32_t ahead)
{
    const enx_runs_options o = { .where = where };
    enx_runs              *runs = golden_open(getenv("ENX_GOLDEN"), file, &o);
    enx_rungs              rungs;
    enx_report             report = { 0 };
    assert_non_null(runs);
    assert_int_equal(enx_rungs_gather(&rungs, runs, &report), ENX_OK);
    roll(sum, &rungs, ahead);
    enx_runs_close(&runs);
}

static const char *const porian[] = {
    "dataset=rw,warmup=long,param_count=kaplan",
    "dataset=rw,warmup=long,param_count=standard",
    "dataset=rw,warmup=short,decay=chinchilla",
    "dataset=rw,warmup=short,decay=kaplan",
    "dataset=rw,hparams=tuned",
    "dataset=owt2,warmup=long,param_count=kaplan",
    "dataset=owt2,warmup=long,param_count=standard",
    "dataset=owt2,warmup=short,decay=chinchilla",
    "dataset=owt2,warmup=short,decay=kaplan",
    "dataset=owt2,hparams=tuned",
};

static const char *const gadre[] = { "dataset=c4_original,tokens_per_param=20",
                                     "dataset=rpj,tokens_per_param=20",
                                     "dataset=rw_original,tokens_per_param=20" };

static void published_ladders_are_forecast(void **state)
{
    (void)state;
    for (uint32_t ahead = 1; ahead <= 2; ahead++) {
        rolling sum = { 0 };
        for (int i = 0; i < 10; i++) roll_golden(&sum, "scale_porian.csv", porian[i], ahead);
        for (int i = 0; i < 3; i++) roll_golden(&sum, "scale_gadre.csv", gadre[i], ahead);
        assert_int_equal(sum.count, ahead == 1 ? 82 : 69);
        sum.error /= sum.count;
        print_message("%u ahead: %.3f %% off, %u of %u inside\n", ahead, sum.error, sum.inside,
                      sum.count);
        assert_true(sum.error < (ahead == 1 ? 0.52 : 0.95));
        assert_true(sum.inside > 0.82 * sum.count && sum.inside < 0.96 * sum.count);
    }
}

/* The same models with tuned and with untuned learning rates: the second ladder is bent. */
static void untuned_rates_bend_a_ladder(void **state)
{
    (void)state;
    for (int is_tuned = 0; is_tuned < 2; is_tuned++) {
        const enx_runs_options o = { .where = porian[is_tuned ? 4 : 2] };
        enx_runs              *runs = golden_open(getenv("ENX_GOLDEN"), "scale_porian.csv", &o);
        enx_rungs              rungs;
        double                 odds[ENX_OUTCOMES_COUNT];
        enx_report             report = { 0 };
        assert_int_equal(enx_rungs_gather(&rungs, runs, &report), ENX_OK);
        odds_of(rungs.rungs, rungs.count, odds);
        if (is_tuned) assert_true(odds[ENX_OUTCOME_HOLDS] > 0.95);
        else assert_true(odds[ENX_OUTCOME_HOLDS] < 0.05);
        enx_runs_close(&runs);
    }
}

/* ---- Simulated ladders ---------------------------------------------------------------------- */

static sim_score simulate(const sim_options *o, double *right)
{
    sim_score score = { 0 };
    uint32_t  broken = 0, named = 0;
    for (uint32_t i = 1; i <= sim_count_wanted; i++) {
        const sim_ladder s = sim_draw(i, o);
        double           odds[ENX_OUTCOMES_COUNT];
        uint32_t         first = 0;
        odds_of(s.rungs, s.count, odds);
        sim_count(&score, odds[ENX_OUTCOME_HOLDS], s.truth == ENX_OUTCOME_HOLDS);
        for (uint32_t k = 1; k < ENX_OUTCOMES_COUNT; k++)
            if (odds[k] > odds[first]) first = k;
        if (s.truth != ENX_OUTCOME_REVERSED || s.count - s.place < 3) continue;
        broken++;
        named += first == ENX_OUTCOME_REVERSED;
    }
    sim_finish(&score);
    *right = broken ? (double)named / broken : NAN;
    return score;
}

static void odds_are_calibrated(void **state)
{
    const bool is_long = sim_count_wanted >= 2000;
    const struct {
        sim_options options;
        double      brier, ece;
    } cases[] = { { { .broken = 0.35 }, 0.042, 0.03 },
                  { { .broken = 0.35, .width = 0.6 }, 0.082, 0.03 } };
    (void)state;
    for (int i = 0; i < 2; i++) {
        double          right;
        const sim_score s = simulate(&cases[i].options, &right);
        print_message("%s breaks: Brier %.4f, ECE %.4f\n", i ? "smooth" : "sharp", s.brier, s.ece);
        assert_true(s.brier < cases[i].brier + (is_long ? 0 : 0.02));
        assert_true(s.ece < cases[i].ece + (is_long ? 0 : 0.03));
    }
}

/* With two rungs after the break: one alone may be a bad run. */
static void reversals_are_recognised(void **state)
{
    const sim_options o = { .broken = 1, .is_reversed = true };
    double            right;
    (void)state;
    simulate(&o, &right);
    print_message("reversals of two rungs: %.1f %% named\n", 100 * right);
    assert_true(right > 0.9);
}

/* ---- Refusals ------------------------------------------------------------------------------- */

static void what_is_no_ladder_is_refused(void **state)
{
    enx_rung         rungs[ENX_LADDER_RUNGS_MAX + 1];
    const enx_belief belief = enx_belief_odds(RUNGS);
    enx_ladder      *ladder = NULL;
    enx_report       report = { 0 };
    (void)state;
    make_ladder(rungs, RUNGS, 1);
    assert_int_equal(enx_ladder_open(&ladder, rungs, 3, 2, &belief, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "a forecast needs at least 4, odds 5"));
    rungs[3].loss = NAN;
    assert_int_equal(enx_ladder_open(&ladder, rungs, 5, 4, &belief, &report), ENX_INVALID);
    make_ladder(rungs, RUNGS, 1);
    rungs[3].log_flops = 0;
    assert_int_equal(enx_ladder_open(&ladder, rungs, 5, 4, &belief, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "less compute"));
    for (int i = 0; i < RUNGS; i++) rungs[i].log_flops = 0.05 * i;
    assert_int_equal(enx_ladder_open(&ladder, rungs, RUNGS, 7, &belief, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "compute grows by"));
    for (int i = 0; i <= ENX_LADDER_RUNGS_MAX; i++) rungs[i] = (enx_rung){ i, 2, 1, 1 };
    assert_int_equal(enx_ladder_open(&ladder, rungs, ENX_LADDER_RUNGS_MAX + 1, 0, &belief, &report),
                     ENX_LIMIT);
    assert_null(ladder);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    enx_rung         rungs[RUNGS];
    const enx_belief belief = enx_belief_odds(RUNGS);
    enx_report       report = { 0 };
    (void)state;
    make_ladder(rungs, RUNGS, 1);
    for (long i = 0; i < 5; i++) {
        enx_ladder *ladder = NULL;
        enx_mem_fail_after(i);
        const enx_status status =
            enx_ladder_open(&ladder, rungs, RUNGS, RUNGS - 1, &belief, &report);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK || (status == ENX_NOMEM && !ladder));
        enx_ladder_close(&ladder);
        if (status == ENX_OK) return;
    }
    fail();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_closed_evidence_is_that_of_the_joint_density),
        cmocka_unit_test(each_story_is_told_from_the_others),
        cmocka_unit_test(a_data_wall_is_named),
        cmocka_unit_test(repeated_text_is_worth_less_and_less),
        cmocka_unit_test(beliefs_move_odds_the_way_they_should),
        cmocka_unit_test(a_repeat_of_the_last_rung_clears_or_convicts_it),
        cmocka_unit_test(forecasts_are_distributions),
        cmocka_unit_test(published_ladders_are_forecast),
        cmocka_unit_test(untuned_rates_bend_a_ladder),
        cmocka_unit_test(odds_are_calibrated),
        cmocka_unit_test(reversals_are_recognised),
        cmocka_unit_test(what_is_no_ladder_is_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    if (argc > 1) sim_count_wanted = (uint32_t)strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
