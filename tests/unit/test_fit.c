/* SPDX-License-Identifier: Apache-2.0 */
/* test_fit.c - laws that are known are found; published fits come out. */
#include "scale/fit.h"

#include "base/mem.h"
#include "base/rng.h"
#include "golden_runs.h"
#include "scale/minimise.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { POINTS = 60 };

static const double laws[ENX_FORMS_COUNT][ENX_FORM_PARAMS_MAX] = {
    { 6.1, 7.6, 0.6, 0.34, 0.37 },
    { 6.1, 6.3, 0.5, 0.35 },
    { 30, 31, 0.8, 0.1 },
    { 4.0, 0.3, 0.12, 43, 0.1, -0.5 },
};

static void close_to(double got, double want, double relative, const char *what)
{
    if (!(fabs(got - want) <= relative * fabs(want)))
        fail_msg("%s is %.12g, not %.12g", what, got, want);
}

/* ---- Minimum -------------------------------------------------------------------------------- */

static double valley(void *user, const double *x, double *g)
{
    const double a = 1 - x[0], b = x[1] - x[0] * x[0];
    ++*(int *)user;
    g[0] = -2 * a - 400 * x[0] * b;
    g[1] = 200 * b;
    return x[0] > 5 ? NAN : a * a + 100 * b * b;
}

static double kink(void *user, const double *x, double *g)
{
    (void)user;
    for (int i = 0; i < 3; i++) g[i] = (x[i] > i ? 1 : -1) * (i + 1);
    return fabs(x[0]) + 2 * fabs(x[1] - 1) + 3 * fabs(x[2] - 2);
}

static void a_minimum_is_found_along_valleys_and_kinks(void **state)
{
    const enx_minimise_options o = { .variable_count = 2, .steps_max = 500, .gradient_max = 1e-10 };
    double                     x[2] = { -1.2, 1 };
    int                        calls = 0;
    (void)state;
    const enx_minimum m = enx_minimise(x, valley, &calls, &o, NULL);
    assert_true(fabs(x[0] - 1) < 1e-8 && fabs(x[1] - 1) < 1e-8 && m.value < 1e-16);
    assert_int_equal(m.evaluations, calls);
    double                     y[3] = { 3, -4, 7 };
    const enx_minimise_options sharp = { .variable_count = 3, .steps_max = 500 };
    assert_true(enx_minimise(y, kink, NULL, &sharp, NULL).value < 1e-3);
}

static void a_search_never_ends_higher_or_where_nobody_may_go(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        enx_rng rng = enx_rng_open(seed, 1);
        double  x[2] = { 5 * enx_rng_unit(&rng), 10 * enx_rng_normal(&rng) }, g[2];
        int     calls = 0;
        const enx_minimise_options o = { .variable_count = 2,
                                         .steps_max = (uint32_t)enx_rng_below(&rng, 30) };
        const double               before = valley(&calls, x, g);
        const enx_minimum          m = enx_minimise(x, valley, &calls, &o, NULL);
        assert_true(m.value <= before && x[0] <= 5 && m.steps <= o.steps_max);
        assert_true(m.value == valley(&calls, x, g));
    }
}

/* ---- Forms ---------------------------------------------------------------------------------- */

static enx_point draw_point(enx_rng *rng)
{
    enx_point p = { .params = 15 + 8 * enx_rng_unit(rng) };
    p.tokens = p.params + 2 + 3 * enx_rng_unit(rng);
    p.flops = log(6) + p.params + p.tokens;
    return p;
}

static void gradients_are_those_of_the_form(void **state)
{
    enx_rng rng = enx_rng_open(3, 0);
    (void)state;
    for (int f = 0; f < ENX_FORMS_COUNT; f++)
        for (int i = 0; i < 50; i++) {
            const enx_point at = draw_point(&rng);
            double p[ENX_FORM_PARAMS_MAX], g[ENX_FORM_PARAMS_MAX], other[ENX_FORM_PARAMS_MAX];
            memcpy(p, laws[f], sizeof p);
            enx_form_value((enx_form)f, p, &at, g);
            for (uint32_t k = 0; k < enx_form_infos[f].param_count; k++) {
                const double h = 1e-5, middle = p[k];
                p[k] = middle + h;
                const double above = enx_form_value((enx_form)f, p, &at, other);
                p[k] = middle - h;
                const double slope = (above - enx_form_value((enx_form)f, p, &at, other)) / (2 * h);
                p[k] = middle;
                assert_true(fabs(slope - g[k]) < 1e-6 * (1 + fabs(g[k])));
            }
        }
}

static void a_shifted_law_says_the_same_of_shifted_sizes(void **state)
{
    enx_rng         rng = enx_rng_open(4, 0);
    const enx_point by = { 3, 5, 7, 0 };
    (void)state;
    for (int f = 0; f < ENX_FORMS_COUNT; f++) {
        const enx_point at = draw_point(&rng);
        const enx_point moved = { at.params - by.params, at.tokens - by.tokens, at.flops - by.flops,
                                  0 };
        double          p[ENX_FORM_PARAMS_MAX], g[ENX_FORM_PARAMS_MAX];
        memcpy(p, laws[f], sizeof p);
        const double before = enx_form_value((enx_form)f, p, &at, g);
        enx_form_shift((enx_form)f, p, &by);
        close_to(enx_form_value((enx_form)f, p, &moved, g), before, 1e-12, enx_form_infos[f].name);
    }
}

/* ---- Fits ----------------------------------------------------------------------------------- */

static void make_points(enx_point *points, enx_form form, double noise)
{
    enx_rng rng = enx_rng_open(5, form);
    double  g[ENX_FORM_PARAMS_MAX];
    for (int i = 0; i < POINTS; i++) {
        points[i] = draw_point(&rng);
        points[i].loss = enx_form_value(form, laws[form], &points[i], g);
        points[i].loss += noise * enx_rng_normal(&rng);
    }
}

static void a_law_without_noise_is_found_again(void **state)
{
    (void)state;
    for (int f = 0; f < ENX_FORMS_COUNT; f++) {
        enx_point  points[POINTS];
        double     natural[ENX_FORM_PARAMS_MAX];
        enx_fit   *fit = NULL;
        enx_report report = { 0 };
        make_points(points, (enx_form)f, 0);
        if (enx_fit_open(&fit, (enx_form)f, ENX_ESTIMATOR_HUBER, points, POINTS, &report) != ENX_OK)
            fail_msg("%s", report.text);
        enx_form_natural((enx_form)f, laws[f], natural);
        const enx_fit_result *r = enx_fit_get(fit);
        assert_true(r->objective < 1e-10 && r->agreed > 0);
        for (uint32_t k = 0; k < enx_form_infos[f].param_count && f != ENX_FORM_BROKEN; k++)
            close_to(r->natural[k], natural[k], 1e-2, enx_form_infos[f].keys[k]);
        assert_true(r->residual_max < 1e-4);
        enx_fit_close(&fit);
    }
}

/* Reference: scipy's L-BFGS-B from 288 starts, then Nelder-Mead. */
static void an_independent_fit_is_reproduced(void **state)
{
    const double           want[5] = { 62.8344, 302.013, 1.458353, 0.2038557, 0.2732391 };
    const enx_runs_options o = { .where = "dataset=rpj" };
    const golden_filter    small = { .params_high = 5e8 };
    enx_point              points[POINTS];
    enx_fit               *fit = NULL;
    enx_report             report = { 0 };
    (void)state;
    enx_runs      *runs = golden_open(getenv("ENX_GOLDEN"), "scale_gadre.csv", &o);
    const uint32_t count = golden_take(points, 0, runs, &small);
    assert_int_equal(count, 32);
    assert_int_equal(
        enx_fit_open(&fit, ENX_FORM_CHINCHILLA, ENX_ESTIMATOR_HUBER, points, count, &report),
        ENX_OK);
    const enx_fit_result *r = enx_fit_get(fit);
    assert_true(fabs(r->objective - 0.00040724171845) < 1e-12);
    for (int k = 0; k < 5; k++) close_to(r->natural[k], want[k], 1e-5, "parameter");
    enx_fit_close(&fit);
    enx_runs_close(&runs);
}

/* arXiv 2403.08540: five small runs forecast one of 1.4e9 parameters and 640 tokens a parameter
 * by 0.7103 %, one of 6.9e9 and 20 by 0.7320 %. */
static void the_published_protocol_is_reproduced(void **state)
{
    const enx_runs_options o = { .where = "dataset=rpj" };
    const golden_filter    square = { .params_high = 5e8, .ratio_low = 19, .ratio_high = 21 };
    const golden_filter    long_one = { .params_high = 2e7, .ratio_low = 300, .ratio_high = 400 };
    enx_point              points[POINTS];
    enx_fit               *fit = NULL;
    enx_report             report = { 0 };
    (void)state;
    enx_runs *runs = golden_open(getenv("ENX_GOLDEN"), "scale_gadre.csv", &o);
    uint32_t  count = golden_take(points, 0, runs, &square);
    count = golden_take(points, count, runs, &long_one);
    assert_int_equal(count, 5);
    assert_int_equal(
        enx_fit_open(&fit, ENX_FORM_TIED, ENX_ESTIMATOR_SQUARES, points, count, &report), ENX_OK);
    for (uint32_t i = 0; i < runs->count; i++) {
        const enx_run *run = &runs->runs[i];
        const double   said =
            enx_fit_loss(ENX_FORM_TIED, enx_fit_get(fit)->params, run->params, run->tokens);
        const double percent = 100 * (said / run->loss - 1);
        if (run->params > 5e9) assert_true(fabs(percent - 0.7320) < 1e-3);
        else if (run->params > 1e9 && run->tokens > 1e11)
            assert_true(fabs(percent - 0.7103) < 1e-3);
    }
    enx_fit_close(&fit);
    enx_runs_close(&runs);
}

/* arXiv 2404.10102: 240 of the 245 runs of Chinchilla's figure 4. */
static void epochs_chinchilla_fit_is_reproduced(void **state)
{
    const double want[5] = { 477.83, 2143.4, 1.81722, 0.34731, 0.36717 };
    const double bound[5] = { 0.4778, 2.143, 1e-4, 1e-4, 1e-4 };
    const double errors[5] = { 122, 1276, 0.025, 0.015, 0.021 };
    enum { RESAMPLES = 4000, RUNS = 240 };
    const enx_runs_options o = { .map = "N=Model Size,C=Training FLOP,loss=loss", .trim_worst = 5 };
    const char            *folder = getenv("ENX_SCALE_DATA");
    enx_report             report = { 0 };
    enx_fit               *fit = NULL;
    (void)state;
    if (!folder) {
        print_message("skipped: ENX_SCALE_DATA names no folder with Epoch's runs\n");
        skip();
    }
    enx_runs  *runs = golden_open(folder, "chinchilla_epoch_svg_extracted.csv", &o);
    enx_point *points = malloc(RUNS * sizeof *points);
    double *rows = malloc(RESAMPLES * 5 * sizeof *rows), *room = malloc(RESAMPLES * sizeof *room);
    assert_non_null(runs);
    assert_int_equal(golden_take(points, 0, runs, &(golden_filter){ 0 }), RUNS);
    assert_int_equal(
        enx_fit_open(&fit, ENX_FORM_CHINCHILLA, ENX_ESTIMATOR_HUBER, points, RUNS, &report),
        ENX_OK);
    const enx_fit_result *r = enx_fit_get(fit);
    assert_true(fabs(r->objective - 0.0010182740) < 1e-9);
    for (int k = 0; k < 5; k++) assert_true(fabs(r->natural[k] - want[k]) < bound[k]);
    for (uint32_t i = 0; i < RESAMPLES; i++) enx_fit_resample(fit, 1, i, room, rows + 5 * i);
    enx_fit_errors e;
    enx_fit_summarise(&e, rows, RESAMPLES, 5, 5, room);
    for (int k = 0; k < 5; k++) close_to(e.deviation[k], errors[k], 0.1, "standard error");
    enx_fit_close(&fit);
    enx_runs_close(&runs);
    free(points), free(rows), free(room);
}

/* The truth lies in nine of ten 95 % intervals at least, of many fits. */
static void resamples_cover_the_truth(void **state)
{
    enum { FITS = 16, RESAMPLES = 100 };
    static double rows[RESAMPLES * 4], room[RESAMPLES + POINTS];
    uint32_t      inside = 0;
    (void)state;
    for (uint32_t seed = 0; seed < FITS; seed++) {
        enx_rng        rng = enx_rng_open(seed, 9);
        enx_point      points[POINTS];
        enx_fit       *fit = NULL;
        enx_report     report = { 0 };
        enx_fit_errors e;
        make_points(points, ENX_FORM_TIED, 0);
        for (int i = 0; i < POINTS; i++) points[i].loss += 0.005 * enx_rng_normal(&rng);
        assert_int_equal(
            enx_fit_open(&fit, ENX_FORM_TIED, ENX_ESTIMATOR_HUBER, points, POINTS, &report),
            ENX_OK);
        for (uint32_t i = 0; i < RESAMPLES; i++) enx_fit_resample(fit, 1, i, room, rows + 4 * i);
        double again[ENX_FORM_PARAMS_MAX];
        enx_fit_resample(fit, 1, 7, room, again);
        assert_memory_equal(again, rows + 4 * 7, 4 * sizeof *rows);
        enx_fit_summarise(&e, rows, RESAMPLES, 4, 4, room);
        inside += laws[ENX_FORM_TIED][3] >= e.low[3] && laws[ENX_FORM_TIED][3] <= e.high[3];
        enx_fit_close(&fit);
    }
    assert_true(inside >= FITS * 8 / 10);
}

static void the_best_size_is_that_of_the_formula(void **state)
{
    const double *p = laws[ENX_FORM_CHINCHILLA], alpha = p[3], beta = p[4];
    (void)state;
    for (double flops = 1e18; flops < 1e25; flops *= 10) {
        const double g = pow(alpha * exp(p[0]) / (beta * exp(p[1])), 1 / (alpha + beta));
        close_to(enx_fit_optimal_params(ENX_FORM_CHINCHILLA, p, flops),
                 g * pow(flops / 6, beta / (alpha + beta)), 1e-6, "N");
    }
}

static void runs_that_cannot_tell_are_refused(void **state)
{
    enx_point  points[POINTS];
    enx_fit   *fit = NULL;
    enx_report report = { 0 };
    (void)state;
    make_points(points, ENX_FORM_CHINCHILLA, 0);
    assert_int_equal(
        enx_fit_open(&fit, ENX_FORM_CHINCHILLA, ENX_ESTIMATOR_HUBER, points, 5, &report),
        ENX_INVALID);
    assert_non_null(strstr(report.text, "needs at least 6 runs"));
    for (int i = 0; i < POINTS; i++) points[i].params = 17;
    assert_int_equal(
        enx_fit_open(&fit, ENX_FORM_CHINCHILLA, ENX_ESTIMATOR_HUBER, points, POINTS, &report),
        ENX_INVALID);
    assert_non_null(strstr(report.text, "both must vary"));
    for (int i = 0; i < POINTS; i++) points[i].flops = 40;
    assert_int_equal(
        enx_fit_open(&fit, ENX_FORM_BROKEN, ENX_ESTIMATOR_HUBER, points, POINTS, &report),
        ENX_INVALID);
    assert_non_null(strstr(report.text, "runs of one size show no law"));
    assert_int_equal(enx_fit_open(&fit, ENX_FORM_TIED, ENX_ESTIMATOR_HUBER, NULL, 0, &report),
                     ENX_INVALID);
    assert_null(fit);
}

static void memory_that_runs_out_is_an_error(void **state)
{
    enx_point  points[POINTS];
    enx_report report = { 0 };
    (void)state;
    make_points(points, ENX_FORM_TIED, 0.01);
    for (long i = 0; i < 10; i++) {
        enx_fit *fit = NULL;
        enx_mem_fail_after(i);
        const enx_status status =
            enx_fit_open(&fit, ENX_FORM_TIED, ENX_ESTIMATOR_HUBER, points, POINTS, &report);
        enx_mem_fail_after(-1);
        assert_true(status == ENX_OK || (status == ENX_NOMEM && !fit));
        enx_fit_close(&fit);
        if (status == ENX_OK) return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minimum_is_found_along_valleys_and_kinks),
        cmocka_unit_test(a_search_never_ends_higher_or_where_nobody_may_go),
        cmocka_unit_test(gradients_are_those_of_the_form),
        cmocka_unit_test(a_shifted_law_says_the_same_of_shifted_sizes),
        cmocka_unit_test(a_law_without_noise_is_found_again),
        cmocka_unit_test(an_independent_fit_is_reproduced),
        cmocka_unit_test(the_published_protocol_is_reproduced),
        cmocka_unit_test(epochs_chinchilla_fit_is_reproduced),
        cmocka_unit_test(resamples_cover_the_truth),
        cmocka_unit_test(the_best_size_is_that_of_the_formula),
        cmocka_unit_test(runs_that_cannot_tell_are_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
