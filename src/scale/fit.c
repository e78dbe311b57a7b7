/* SPDX-License-Identifier: Apache-2.0 */
/* fit.c - many starts, few of which are followed to the end.
 *
 * 1. Sizes are centred, so that a and alpha (b and beta) are nearly independent; the paper's grid
 *    of starts is laid out in uncentred parameters and shifted.
 * 2. Every start is evaluated.  Those of lowest objective go down a few steps, and the best of
 *    these to the end: the objective of a start says little, that of the same start ten steps
 *    later says where it will end.
 * 3. The minimum is convex in most directions but has kinks in its second derivative, so it counts
 *    as found when a search begun anew from it gains nothing.
 */
#include "scale/fit.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "scale/minimise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIED_MAX = 320, FOLLOWED_MAX = 48, TRIAL_STEPS = 12, STEPS_MAX = 1000, RESTARTS = 3 };

/* Two searches agree when their objectives differ by less than this part. */
static const double agreement = 1e-4;

struct enx_fit {
    enx_form       form;
    enx_estimator  estimator;
    uint32_t       count;
    enx_point      centre;
    enx_point     *points;                  /* [count], centred */
    double         at[ENX_FORM_PARAMS_MAX]; /* the minimum, centred */
    double         inverse[ENX_FORM_PARAMS_MAX * ENX_FORM_PARAMS_MAX];
    enx_fit_result result;
};

typedef struct problem {
    const enx_fit *fit;
    const double  *weights; /* NULL: all 1 */
} problem;

typedef struct trial {
    double value;
    double params[ENX_FORM_PARAMS_MAX];
} trial;

/* What a run adds to the objective, and the derivative by its predicted ln L. */
static double penalty(enx_estimator estimator, double predicted, double measured, double *slope)
{
    const double delta = ENX_FIT_HUBER_DELTA, r = predicted - measured;
    if (estimator == ENX_ESTIMATOR_SQUARES) {
        const double loss = exp(predicted), error = loss - exp(measured);
        *slope = error * loss;
        return 0.5 * error * error;
    }
    *slope = r > delta ? delta : r < -delta ? -delta : r;
    return fabs(r) <= delta ? 0.5 * r * r : delta * (fabs(r) - 0.5 * delta);
}

/* Scaled, so that gradients are near 1 where searches end. */
static const double objective_scale = 1e4;

static double objective(void *user, const double *params, double *gradient)
{
    const problem *p = user;
    const uint32_t n = enx_form_infos[p->fit->form].param_count;
    double         sum = 0, g[ENX_FORM_PARAMS_MAX], total[ENX_FORM_PARAMS_MAX] = { 0 };
    for (uint32_t i = 0; i < p->fit->count; i++) {
        const double weight = p->weights ? p->weights[i] : 1;
        if (weight == 0) continue;
        const enx_point *at = &p->fit->points[i];
        const double     predicted = enx_form_value(p->fit->form, params, at, g);
        double           slope;
        sum += weight * penalty(p->fit->estimator, predicted, at->loss, &slope);
        for (uint32_t k = 0; k < n; k++) total[k] += weight * slope * g[k];
    }
    for (uint32_t k = 0; k < n; k++) gradient[k] = objective_scale * total[k];
    return objective_scale * sum;
}

static enx_minimum descend(const enx_fit *fit, double *params, uint32_t steps_max)
{
    problem                    p = { .fit = fit };
    const enx_minimise_options o = { .variable_count = enx_form_infos[fit->form].param_count,
                                     .steps_max = steps_max,
                                     .gradient_max = 1e-9,
                                     .value_change = 1e-13 };
    return enx_minimise(params, objective, &p, &o, NULL);
}

/* Keep the lowest `max`, in order. */
static void keep(trial *kept, uint32_t *count, uint32_t max, const trial *t)
{
    uint32_t at = *count;
    if (at == max && !(t->value < kept[max - 1].value)) return;
    if (at == max) at--;
    else ++*count;
    for (; at > 0 && t->value < kept[at - 1].value; at--) kept[at] = kept[at - 1];
    kept[at] = *t;
}

static void search(enx_fit *fit, const enx_form_frame *frame, trial tried[TRIED_MAX],
                   trial followed[FOLLOWED_MAX])
{
    const enx_form_info *info = &enx_form_infos[fit->form];
    enx_fit_result      *r = &fit->result;
    problem              p = { .fit = fit };
    double               g[ENX_FORM_PARAMS_MAX];
    uint32_t             tried_count = 0, followed_count = 0;
    for (uint32_t i = 0; i < info->start_count; i++) {
        trial t = { 0 };
        enx_form_start(fit->form, i, frame, t.params);
        enx_form_shift(fit->form, t.params, &fit->centre);
        t.value = objective(&p, t.params, g);
        if (isfinite(t.value)) keep(tried, &tried_count, TRIED_MAX, &t);
    }
    for (uint32_t i = 0; i < tried_count; i++) {
        tried[i].value = descend(fit, tried[i].params, TRIAL_STEPS).value;
        keep(followed, &followed_count, FOLLOWED_MAX, &tried[i]);
    }
    trial best = { .value = INFINITY };
    for (uint32_t i = 0; i < followed_count; i++) {
        followed[i].value = descend(fit, followed[i].params, STEPS_MAX).value;
        if (followed[i].value < best.value) best = followed[i];
    }
    for (int i = 0; i < RESTARTS; i++) best.value = descend(fit, best.params, STEPS_MAX).value;
    for (uint32_t i = 0; i < followed_count; i++)
        r->agreed += followed[i].value <= best.value * (1 + agreement);
    r->starts = info->start_count;
    r->followed = followed_count;
    memcpy(fit->at, best.params, sizeof fit->at);
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double quantile(const double *sorted, uint32_t count, double q)
{
    const double   at = q * (count - 1);
    const uint32_t low = (uint32_t)at, high = low + 1 < count ? low + 1 : low;
    return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

static void measure_residuals(enx_fit *fit, double *room)
{
    enx_fit_result *r = &fit->result;
    double          g[ENX_FORM_PARAMS_MAX], sum = 0;
    for (uint32_t i = 0; i < fit->count; i++) {
        const enx_point *at = &fit->points[i];
        room[i] = fabs(enx_form_value(fit->form, fit->at, at, g) - at->loss);
        sum += room[i] * room[i];
    }
    qsort(room, fit->count, sizeof *room, compare_doubles);
    r->residual_rms = sqrt(sum / fit->count);
    r->residual_median = quantile(room, fit->count, 0.5);
    r->residual_max = room[fit->count - 1];
}

static void describe(enx_fit *fit, double *room)
{
    enx_fit_result  *r = &fit->result;
    problem          p = { .fit = fit };
    double           g[ENX_FORM_PARAMS_MAX];
    const uint32_t   n = enx_form_infos[fit->form].param_count;
    const enx_point *c = &fit->centre;
    const enx_point  back = { -c->params, -c->tokens, -c->flops, 0 };
    r->objective = objective(&p, fit->at, g) / objective_scale;
    for (uint32_t k = 0; k < n; k++) r->gradient = fmax(r->gradient, fabs(g[k]) / objective_scale);
    memcpy(r->params, fit->at, sizeof r->params);
    enx_form_shift(fit->form, r->params, &back);
    enx_form_natural(fit->form, r->params, r->natural);
    measure_residuals(fit, room);
}

static enx_form_frame frame_of(const enx_point *points, uint32_t count)
{
    enx_form_frame f = { points[0], points[0] };
    for (uint32_t i = 1; i < count; i++) {
        const enx_point *p = &points[i];
        f.low.params = fmin(f.low.params, p->params),
        f.high.params = fmax(f.high.params, p->params);
        f.low.tokens = fmin(f.low.tokens, p->tokens),
        f.high.tokens = fmax(f.high.tokens, p->tokens);
        f.low.flops = fmin(f.low.flops, p->flops), f.high.flops = fmax(f.high.flops, p->flops);
        f.low.loss = fmin(f.low.loss, p->loss), f.high.loss = fmax(f.high.loss, p->loss);
    }
    return f;
}

static enx_status check_points(const enx_form_info *info, const enx_form_frame *f, uint32_t count,
                               enx_report *report)
{
    const double span = 0.2; /* of a natural logarithm: a fifth more */
    if (count <= info->param_count)
        return ENX_FAIL(report, INVALID,
                        "%u runs; the %s form has %u parameters and needs at least %u runs", count,
                        info->name, info->param_count, info->param_count + 1);
    if (info->needs_sizes &&
        !(f->high.params - f->low.params > span && f->high.tokens - f->low.tokens > span))
        return ENX_FAIL(report, INVALID,
                        "N goes from %.4g to %.4g and D from %.4g to %.4g; both must vary for the "
                        "%s form to tell their exponents",
                        exp(f->low.params), exp(f->high.params), exp(f->low.tokens),
                        exp(f->high.tokens), info->name);
    if (!(f->high.flops - f->low.flops > span))
        return ENX_FAIL(report, INVALID,
                        "compute goes from %.4g to %.4g; runs of one size show no law",
                        exp(f->low.flops), exp(f->high.flops));
    return ENX_OK;
}

static void centre(enx_fit *fit)
{
    enx_point sum = { 0 };
    for (uint32_t i = 0; i < fit->count; i++) {
        sum.params += fit->points[i].params;
        sum.tokens += fit->points[i].tokens;
        sum.flops += fit->points[i].flops;
    }
    fit->centre =
        (enx_point){ sum.params / fit->count, sum.tokens / fit->count, sum.flops / fit->count, 0 };
    if (!enx_form_infos[fit->form].needs_sizes) fit->centre.params = fit->centre.tokens = 0;
    for (uint32_t i = 0; i < fit->count; i++) {
        fit->points[i].params -= fit->centre.params;
        fit->points[i].tokens -= fit->centre.tokens;
        fit->points[i].flops -= fit->centre.flops;
    }
}

/* The curvature where the search ended, for resamples to start from. */
static void learn_curvature(enx_fit *fit)
{
    problem  p = { .fit = fit };
    double   nearby[ENX_FORM_PARAMS_MAX];
    uint32_t n = enx_form_infos[fit->form].param_count;
    for (uint32_t k = 0; k < n; k++) nearby[k] = fit->at[k] + 0.01;
    const enx_minimise_options o = {
        .variable_count = n, .steps_max = STEPS_MAX, .gradient_max = 1e-9, .value_change = 1e-13
    };
    enx_minimise(nearby, objective, &p, &o, fit->inverse);
}

enx_status enx_fit_open(enx_fit **out, enx_form form, enx_estimator estimator,
                        const enx_point *points, uint32_t point_count, enx_report *report)
{
    ENX_CHECK(out && form < ENX_FORMS_COUNT && (points || point_count == 0));
    const enx_form_info *info = &enx_form_infos[form];
    if (point_count == 0) return ENX_FAIL(report, INVALID, "no runs");
    const enx_form_frame frame = frame_of(points, point_count);
    ENX_TRY(check_points(info, &frame, point_count, report));
    enx_fit *fit = ENX_MEM_NEW(enx_fit, 1);
    trial   *trials = ENX_MEM_NEW(trial, TRIED_MAX + FOLLOWED_MAX);
    double  *room = ENX_MEM_NEW(double, point_count);
    if (fit) fit->points = ENX_MEM_NEW(enx_point, point_count);
    const bool has_memory = fit && fit->points && trials && room;
    if (has_memory) {
        fit->form = form;
        fit->estimator = estimator;
        fit->count = point_count;
        memcpy(fit->points, points, point_count * sizeof *points);
        centre(fit);
        search(fit, &frame, trials, trials + TRIED_MAX);
        describe(fit, room);
        learn_curvature(fit);
    }
    enx_mem_free(trials);
    enx_mem_free(room);
    if (has_memory) *out = fit;
    else enx_fit_close(&fit);
    return has_memory ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for %u runs", point_count);
}

void enx_fit_close(enx_fit **fit)
{
    if (!*fit) return;
    enx_mem_free((*fit)->points);
    enx_mem_free(*fit);
    *fit = NULL;
}

const enx_fit_result *enx_fit_get(const enx_fit *fit) { return &fit->result; }

/* ---- Standard errors ------------------------------------------------------------------------ */

void enx_fit_resample(const enx_fit *fit, uint64_t seed, uint64_t index, double *weights,
                      double *natural)
{
    enx_rng         rng = enx_rng_open(seed, index);
    problem         p = { fit, weights };
    double          at[ENX_FORM_PARAMS_MAX];
    const enx_point back = { -fit->centre.params, -fit->centre.tokens, -fit->centre.flops, 0 };
    const enx_minimise_options o = { .variable_count = enx_form_infos[fit->form].param_count,
                                     .steps_max = STEPS_MAX,
                                     .gradient_max = 1e-6,
                                     .value_change = 1e-8,
                                     .inverse_hessian = fit->inverse };
    memset(weights, 0, fit->count * sizeof *weights);
    for (uint32_t i = 0; i < fit->count; i++) weights[enx_rng_below(&rng, fit->count)]++;
    memcpy(at, fit->at, sizeof at);
    enx_minimise(at, objective, &p, &o, NULL);
    enx_form_shift(fit->form, at, &back);
    enx_form_natural(fit->form, at, natural);
}

void enx_fit_summarise(enx_fit_errors *out, const double *rows, uint32_t resample_count,
                       uint32_t stride, uint32_t column_count, double *room)
{
    ENX_CHECK(column_count <= ENX_FIT_COLUMNS_MAX);
    *out = (enx_fit_errors){ 0 };
    for (uint32_t k = 0; k < column_count && resample_count > 1; k++) {
        double mean = 0, square = 0;
        for (uint32_t i = 0; i < resample_count; i++) mean += room[i] = rows[i * stride + k];
        mean /= resample_count;
        for (uint32_t i = 0; i < resample_count; i++) square += (room[i] - mean) * (room[i] - mean);
        qsort(room, resample_count, sizeof *room, compare_doubles);
        out->deviation[k] = sqrt(square / (resample_count - 1));
        out->low[k] = quantile(room, resample_count, 0.025);
        out->high[k] = quantile(room, resample_count, 0.975);
    }
}

/* ---- What a law says ------------------------------------------------------------------------ */

double enx_fit_loss(enx_form form, const double *params, double n, double d)
{
    double          g[ENX_FORM_PARAMS_MAX];
    const enx_point at = { log(n), log(d), log(6) + log(n) + log(d), 0 };
    return exp(enx_form_value(form, params, &at, g));
}

/* ln L is one valley in ln N; golden section ends within 1e-10 of its floor. */
double enx_fit_optimal_params(enx_form form, const double *params, double flops)
{
    const double golden = 0.6180339887498949, budget = flops / 6;
    double       low = 0, high = log(budget);
    while (high - low > 1e-10) {
        const double step = golden * (high - low), left = high - step, right = low + step;
        const double l = enx_fit_loss(form, params, exp(left), exp(log(budget) - left));
        const double r = enx_fit_loss(form, params, exp(right), exp(log(budget) - right));
        if (l < r) high = right;
        else low = left;
    }
    return exp((low + high) / 2);
}
