/* SPDX-License-Identifier: Apache-2.0 */
/* surface.c - four voices and how much each counts.
 *
 * 1. The Bayesian voice is that of ladder.c in two dimensions: given both exponents the form is
 *    linear, and its evidence closed.  Runs far off the robust fit count less, as they do there.
 * 2. Held out are the fifth and the two fifths of runs with most compute.  A voice counts by
 *    (error + floor)^-2, so that a lucky one does not silence the others.
 * 3. The interval adds three variances of ln L: of the Bayesian voice, among voices, and a part of
 *    the squared error that all together made on what was held out.
 */
#include "scale/surface.h"

#include "base/check.h"
#include "base/mem.h"
#include "scale/fit.h"
#include "scale/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXPONENTS = 17, CELLS = EXPONENTS * EXPONENTS, SPLITS = 2, HELD_MIN = 2, KEPT_MIN = 6 };

static const double exponent_low = 0.05, exponent_high = 1.2;
/* Of the logarithms of both exponents; they tend to be alike. */
static const double exponent_median = 0.3, exponent_spread = 0.5, exponent_correlation = 0.8;
static const double noise = 0.005, noise_weight = 2;       /* sigma, relative */
static const double floor_share = 0.6, floor_spread = 0.3; /* of the lowest loss */
static const double term_share = 0.3;                      /* of A N^-alpha in the middle */
static const double outlying = 0.01; /* of ln L: residuals beyond it count less */
static const double negative_nats = 20;
static const double kept_shares[SPLITS] = { 0.8, 0.6 };
static const double error_floor = 0.003, held_part = 0.4;
static const double tokens_per_param_min = 2; /* of held-out runs: nobody forecasts others */

const char *const enx_voice_names[ENX_VOICES_COUNT] = { "chinchilla", "tied", "kaplan", "bayes" };

typedef struct cell {
    double               weight;
    double               alpha, beta;
    enx_linear_posterior linear;
} cell;

typedef struct voices {
    bool      has[ENX_VOICES_COUNT];
    double    params[ENX_FORMS_COUNT][ENX_FORM_PARAMS_MAX];
    enx_point middle;
    cell      cells[CELLS];
} voices;

struct enx_surface {
    voices           all;
    enx_surface_info info;
    double           low, high; /* ln N of the runs */
};

/* ---- The Bayesian voice --------------------------------------------------------------------- */

static void fill_columns(const cell *c, const enx_point *middle, const enx_point *at, double x[3])
{
    x[0] = 1;
    x[1] = exp(-c->alpha * (at->params - middle->params));
    x[2] = exp(-c->beta * (at->tokens - middle->tokens));
}

static void weigh(cell *c, const enx_point *middle, const enx_point *points, const double *weights,
                  uint32_t count, double lowest)
{
    const enx_linear_prior prior = {
        .mean = { floor_share * lowest, term_share * lowest, term_share * lowest },
        .deviation = { floor_spread * lowest, floor_spread * lowest, floor_spread * lowest },
        .noise = noise,
        .noise_weight = noise_weight
    };
    enx_linear sum;
    enx_linear_begin(&sum, &prior);
    for (uint32_t i = 0; i < count; i++) {
        double x[3];
        fill_columns(c, middle, &points[i], x);
        enx_linear_add(&sum, x, exp(points[i].loss), weights[i]);
    }
    enx_linear_solve(&sum, &c->linear);
    const double za = log(c->alpha / exponent_median) / exponent_spread;
    const double zb = log(c->beta / exponent_median) / exponent_spread;
    c->weight = -0.5 * (za * za - 2 * exponent_correlation * za * zb + zb * zb) /
                    (1 - exponent_correlation * exponent_correlation) +
                c->linear.evidence;
    for (int k = 0; k < 3; k++)
        if (c->linear.mean[k] < 0) c->weight -= negative_nats;
}

static void average(voices *v, const enx_point *points, const double *weights, uint32_t count)
{
    const double low = log(exponent_low), step = (log(exponent_high) - low) / (EXPONENTS - 1);
    double       top = -INFINITY, sum = 0, lowest = INFINITY;
    v->middle = (enx_point){ 0 };
    for (uint32_t i = 0; i < count; i++) {
        v->middle.params += points[i].params / count;
        v->middle.tokens += points[i].tokens / count;
        lowest = fmin(lowest, exp(points[i].loss));
    }
    for (int i = 0; i < CELLS; i++) {
        cell *c = &v->cells[i];
        c->alpha = exp(low + i / EXPONENTS * step);
        c->beta = exp(low + i % EXPONENTS * step);
        weigh(c, &v->middle, points, weights, count, lowest);
        top = fmax(top, c->weight);
    }
    for (int i = 0; i < CELLS; i++) sum += v->cells[i].weight = exp(v->cells[i].weight - top);
    for (int i = 0; i < CELLS; i++) v->cells[i].weight /= sum;
}

/* ln L, and how sure: a standard deviation. */
static double say_bayes(const voices *v, const enx_point *at, double *deviation)
{
    double mean = 0, square = 0;
    for (int i = 0; i < CELLS; i++) {
        const cell *c = &v->cells[i];
        double      x[3], scale;
        if (c->weight < 1e-12) continue;
        fill_columns(c, &v->middle, at, x);
        const double y = enx_linear_predict(&c->linear, x, 1, &scale);
        mean += c->weight * y;
        square += c->weight * (y * y + scale * scale);
    }
    *deviation = sqrt(fmax(square - mean * mean, 0)) / mean;
    return log(mean);
}

/* ---- All voices ----------------------------------------------------------------------------- */

static double say(const voices *v, enx_voice voice, const enx_point *at)
{
    double ignored[ENX_FORM_PARAMS_MAX];
    if (voice == ENX_VOICE_BAYES) return say_bayes(v, at, ignored);
    return enx_form_value((enx_form)voice, v->params[voice], at, ignored);
}

/* Fit each form that the runs are enough for. */
static enx_status listen(voices *v, const enx_point *points, uint32_t count, double *weights,
                         enx_report *report)
{
    for (uint32_t i = 0; i < count; i++) weights[i] = 1;
    for (int f = ENX_FORM_CHINCHILLA; f <= ENX_FORM_KAPLAN; f++) {
        enx_fit *fit = NULL;
        v->has[f] = count > enx_form_infos[f].param_count;
        if (!v->has[f]) continue;
        ENX_TRY(enx_fit_open(&fit, (enx_form)f, ENX_ESTIMATOR_HUBER, points, count, report));
        memcpy(v->params[f], enx_fit_get(fit)->params, sizeof v->params[f]);
        enx_fit_close(&fit);
    }
    for (uint32_t i = 0; i < count && v->has[ENX_VOICE_CHINCHILLA]; i++) {
        const double r = fabs(say(v, ENX_VOICE_CHINCHILLA, &points[i]) - points[i].loss);
        if (r > outlying) weights[i] = outlying / r;
    }
    average(v, points, weights, count);
    v->has[ENX_VOICE_BAYES] = true;
    return ENX_OK;
}

/* ---- Held-out runs -------------------------------------------------------------------------- */

static int compare_flops(const void *left, const void *right)
{
    const enx_point *a = left, *b = right;
    return (a->flops > b->flops) - (a->flops < b->flops);
}

/* What was said of runs held out, and what was true. */
typedef struct hearing {
    uint32_t count, splits;
    double (*said)[ENX_VOICES_COUNT]; /* [count] */
    double  *truth;
    uint32_t split_end[SPLITS];
    double  *weights; /* room for listen */
} hearing;

/* points[count] in order of compute; the first `kept` forecast the others. */
static enx_status hear_split(hearing *h, voices *v, const enx_point *points, uint32_t count,
                             uint32_t kept, enx_report *report)
{
    const uint32_t first = h->count;
    ENX_TRY(listen(v, points, kept, h->weights, report));
    for (uint32_t i = kept; i < count; i++) {
        if (points[i].tokens - points[i].params < log(tokens_per_param_min)) continue;
        for (int k = 0; k < ENX_VOICES_COUNT; k++)
            h->said[h->count][k] = v->has[k] ? say(v, (enx_voice)k, &points[i]) : NAN;
        h->truth[h->count++] = points[i].loss;
    }
    if (h->count - first < HELD_MIN) h->count = first;
    else h->split_end[h->splits++] = h->count;
    return ENX_OK;
}

static enx_status hear(hearing *h, voices *v, const enx_point *points, uint32_t count,
                       enx_report *report)
{
    for (int s = 0; s < SPLITS; s++) {
        uint32_t kept = (uint32_t)(kept_shares[s] * count);
        while (kept > 0 && kept < count && points[kept].flops < points[kept - 1].flops + 0.05)
            kept++;
        if (kept < KEPT_MIN || count - kept < HELD_MIN) continue;
        const enx_status status = hear_split(h, v, points, count, kept, report);
        if (status == ENX_NOMEM) return status;
        if (status != ENX_OK && report) *report = (enx_report){ 0 }; /* kept runs of one size */
    }
    return ENX_OK;
}

static double combine(const double *weight, const double *said)
{
    double sum = 0;
    for (int k = 0; k < ENX_VOICES_COUNT; k++)
        if (weight[k] > 0) sum += weight[k] * said[k];
    return sum;
}

/* Weights from what was heard; with nothing heard the Bayesian voice speaks alone. */
static void settle(enx_surface_info *info, const hearing *h)
{
    double sum = 0, square = 0;
    info->held_count = h->count;
    if (h->count == 0) info->weight[ENX_VOICE_BAYES] = 1;
    for (int k = 0; k < ENX_VOICES_COUNT; k++) {
        for (uint32_t s = 0, i = 0; s < h->splits; s++) {
            const uint32_t first = i;
            double         error = 0;
            for (; i < h->split_end[s]; i++) error += fabs(h->said[i][k] - h->truth[i]);
            info->error[k] += error / (i - first) / h->splits;
        }
        if (h->count == 0) info->error[k] = NAN;
        else if (!isnan(info->error[k])) info->weight[k] = pow(info->error[k] + error_floor, -2);
        sum += info->weight[k];
    }
    for (int k = 0; k < ENX_VOICES_COUNT; k++) info->weight[k] /= sum;
    for (uint32_t s = 0, i = 0; s < h->splits; s++) {
        const uint32_t first = i;
        double         error = 0;
        for (; i < h->split_end[s]; i++)
            error += pow(combine(info->weight, h->said[i]) - h->truth[i], 2);
        square += error / (i - first) / h->splits;
    }
    info->held_error = sqrt(square);
}

/* Means and deviations over cells; of the logarithms for A and B, which vary with the exponents. */
static void describe(enx_surface *s)
{
    double mean[5] = { 0 }, square[5] = { 0 };
    for (int i = 0; i < CELLS; i++) {
        const cell  *c = &s->all.cells[i];
        const double tiny = 1e-300;
        const double values[5] = {
            log(fmax(c->linear.mean[1], tiny)) + c->alpha * s->all.middle.params,
            log(fmax(c->linear.mean[2], tiny)) + c->beta * s->all.middle.tokens, c->linear.mean[0],
            c->alpha, c->beta
        };
        if (c->weight < 1e-9) continue;
        for (int k = 0; k < 5; k++) {
            const double own = k == 2 ? c->linear.scale * c->linear.spread[0] : 0;
            mean[k] += c->weight * values[k];
            square[k] += c->weight * (values[k] * values[k] + own);
        }
    }
    for (int k = 0; k < 5; k++) {
        const double deviation = sqrt(fmax(square[k] - mean[k] * mean[k], 0));
        s->info.params[k] = k < 2 ? exp(mean[k]) : mean[k];
        s->info.deviations[k] = k < 2 ? exp(mean[k]) * deviation : deviation;
    }
}

/* ---- Opening -------------------------------------------------------------------------------- */

static enx_status check(const enx_point *points, uint32_t count, enx_report *report)
{
    double low[2] = { INFINITY, INFINITY }, high[2] = { -INFINITY, -INFINITY };
    for (uint32_t i = 0; i < count; i++) {
        low[0] = fmin(low[0], points[i].params), high[0] = fmax(high[0], points[i].params);
        low[1] = fmin(low[1], points[i].tokens), high[1] = fmax(high[1], points[i].tokens);
    }
    if (count < ENX_SURFACE_RUNS_MIN)
        return ENX_FAIL(report, INVALID, "%u runs; a law in N and D needs at least %d", count,
                        ENX_SURFACE_RUNS_MIN);
    for (int k = 0; k < 2; k++)
        if (!(high[k] - low[k] > 0.2))
            return ENX_FAIL(report, INVALID,
                            "%s goes from %.4g to %.4g; it must vary for a law in "
                            "N and D",
                            k ? "D" : "N", exp(low[k]), exp(high[k]));
    return ENX_OK;
}

enx_status enx_surface_open(enx_surface **out, const enx_point *points, uint32_t count,
                            enx_report *report)
{
    ENX_CHECK(out && (points || count == 0));
    ENX_TRY(check(points, count, report));
    enx_surface *s = ENX_MEM_NEW(enx_surface, 1);
    voices      *held = ENX_MEM_NEW(voices, 1);
    enx_point   *sorted = ENX_MEM_NEW(enx_point, count);
    hearing      h = { .said = enx_mem_new((size_t)SPLITS * count, sizeof *h.said),
                       .truth = ENX_MEM_NEW(double, (size_t)SPLITS *count),
                       .weights = ENX_MEM_NEW(double, count) };
    enx_status   status = ENX_OK;
    if (!s || !held || !sorted || !h.said || !h.truth || !h.weights)
        status = ENX_FAIL(report, NOMEM, "no memory for %u runs", count);
    if (status == ENX_OK) {
        memcpy(sorted, points, count * sizeof *points);
        qsort(sorted, count, sizeof *sorted, compare_flops);
        status = hear(&h, held, sorted, count, report);
    }
    if (status == ENX_OK) status = listen(&s->all, sorted, count, h.weights, report);
    if (status == ENX_OK) {
        settle(&s->info, &h);
        describe(s);
        s->low = s->high = sorted[0].params;
        for (uint32_t i = 1; i < count; i++) {
            s->low = fmin(s->low, sorted[i].params);
            s->high = fmax(s->high, sorted[i].params);
        }
        *out = s;
    } else enx_surface_close(&s);
    enx_mem_free(held);
    enx_mem_free(sorted);
    enx_mem_free(h.said);
    enx_mem_free(h.truth);
    enx_mem_free(h.weights);
    return status;
}

void enx_surface_close(enx_surface **surface)
{
    enx_mem_free(*surface);
    *surface = NULL;
}

const enx_surface_info *enx_surface_get(const enx_surface *surface) { return &surface->info; }

/* The z that a standard normal passes with chance (1 - level) / 2, by bisection. */
static double normal_width(double level)
{
    double low = 0, high = 10;
    while (high - low > 1e-9) {
        const double middle = (low + high) / 2;
        if (erf(middle / sqrt(2)) < level) low = middle;
        else high = middle;
    }
    return high;
}

enx_surface_outlook enx_surface_forecast(const enx_surface *s, double n, double d, double level)
{
    const enx_point     at = { log(n), log(d), log(6) + log(n) + log(d), 0 };
    enx_surface_outlook out = { 0 };
    double              own = 0, among = 0;
    for (int k = 0; k < ENX_VOICES_COUNT; k++)
        out.voices[k] = s->all.has[k] ? say(&s->all, (enx_voice)k, &at) : NAN;
    const double centre = combine(s->info.weight, out.voices);
    say_bayes(&s->all, &at, &own);
    for (int k = 0; k < ENX_VOICES_COUNT; k++) {
        if (!(s->info.weight[k] > 0)) continue;
        among += s->info.weight[k] * pow(out.voices[k] - centre, 2);
    }
    out.deviation = sqrt(own * own + among + pow(held_part * s->info.held_error, 2));
    for (int k = 0; k < ENX_VOICES_COUNT; k++) out.voices[k] = exp(out.voices[k]);
    const double wide = normal_width(level) * out.deviation;
    out.loss = exp(centre);
    out.low = exp(centre - wide);
    out.high = exp(centre + wide);
    return out;
}

double enx_surface_optimal_params(const enx_surface *s, double flops)
{
    const double golden = 0.6180339887498949, budget = log(flops / 6), level = 0.5;
    double       low = s->low - log(10), high = fmin(s->high + log(10), budget);
    while (high - low > 1e-6) {
        const double step = golden * (high - low), left = high - step, right = low + step;
        const double l = enx_surface_forecast(s, exp(left), exp(budget - left), level).loss;
        const double r = enx_surface_forecast(s, exp(right), exp(budget - right), level).loss;
        if (l < r) high = right;
        else low = left;
    }
    return exp((low + high) / 2);
}
