/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_scale_fit.c - enxame scale fit: a law's parameters, how sure they are, and how they were
 * found. */
#include "base/mem.h"
#include "cli/cli_law.h"
#include "cli/cli_plot.h"
#include "cli/cli_runs.h"
#include "plat/pool.h"
#include "scale/fit.h"
#include "scale/surface.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARTS = 64,                       /* of the resamples, whatever the threads */
    STRIDE = ENX_FORM_PARAMS_MAX + 1, /* parameters, and the exponent of compute */
    BAYES = ENX_FORMS_COUNT,
    HELD_MIN = 3,
    CURVE = 100,     /* points of a drawn line */
    BUDGETS_MAX = 8, /* isoFLOP curves drawn */
    SIZES_MIN = 4,   /* of one compute, to be drawn as an isoFLOP curve */
};

static const char *const form_names[] = { "chinchilla", "tied", "kaplan", "broken", "bayes" };
static const double      held_share = 0.2; /* of runs, those of most compute */
static const double      far_off = 10;     /* medians: residuals beyond are named */

typedef struct options {
    const char *form, *objective, *svg, *law;
    uint64_t    resamples, seed, threads;
} options;

typedef struct fit_state {
    cli_runs              runs;
    options               o;
    int                   form;
    uint32_t              param_count;
    enx_point            *points; /* [point_count], in the file's order: resamples depend on it */
    enx_point            *sorted; /* ... in order of compute */
    uint32_t              point_count;
    enx_fit              *fit;
    const enx_fit_result *result;
    enx_fit_errors        errors;
    double               *rows;    /* [resamples][STRIDE] */
    double               *weights; /* [PARTS][point_count] */
    uint32_t              held_count;
    double                held_error; /* NAN: too few runs */
    enx_surface          *surface;    /* of the form bayes */
} fit_state;

/* ---- What is computed ----------------------------------------------------------------------- */

/* Of compute, when N and D are chosen best: the loss above the floor falls as C^-this. */
static double compute_exponent(int form, const double *p)
{
    switch (form) {
    case ENX_FORM_TIED:
        return p[3] / 2;
    case ENX_FORM_KAPLAN:
        return p[2] * p[3] / (p[2] + p[3]);
    case ENX_FORM_BROKEN:
        return p[2] + p[4];
    default:
        return p[3] * p[4] / (p[3] + p[4]);
    }
}

/* Where the floor E is among a form's parameters; -1: it has none. */
static int floor_index(int form)
{
    return form == ENX_FORM_KAPLAN ? -1 : form == ENX_FORM_BROKEN ? 1 : 2;
}

static void resample_part(void *user, uint32_t part, uint32_t part_count)
{
    fit_state *s = user;
    double    *weights = s->weights + (size_t)part * s->point_count;
    for (uint64_t i = part; i < s->o.resamples; i += part_count) {
        double *row = s->rows + i * STRIDE;
        enx_fit_resample(s->fit, s->o.seed, i, weights, row);
        row[s->param_count] = compute_exponent(s->form, row);
    }
}

static enx_status resample(fit_state *s, enx_report *report)
{
    enx_pool *pool = NULL;
    if (s->o.resamples == 0) return ENX_OK;
    s->rows = ENX_MEM_NEW(double, s->o.resamples *STRIDE);
    s->weights = ENX_MEM_NEW(double, (size_t)PARTS * s->point_count);
    double    *room = ENX_MEM_NEW(double, s->o.resamples);
    enx_status status = s->rows && s->weights && room
                            ? enx_pool_open(&pool, (uint32_t)s->o.threads, report)
                            : ENX_FAIL(report, NOMEM, "no memory for %llu resamples",
                                       (unsigned long long)s->o.resamples);
    if (status == ENX_OK) {
        enx_pool_run(pool, resample_part, s, PARTS);
        enx_fit_summarise(&s->errors, s->rows, (uint32_t)s->o.resamples, STRIDE, s->param_count + 1,
                          room);
    }
    enx_pool_close(&pool);
    enx_mem_free(room);
    return status;
}

static int compare_flops(const void *left, const void *right)
{
    const enx_point *a = left, *b = right;
    return (a->flops > b->flops) - (a->flops < b->flops);
}

static enx_estimator estimator_of(const options *o)
{
    return strcmp(o->objective, "squares") == 0 ? ENX_ESTIMATOR_SQUARES : ENX_ESTIMATOR_HUBER;
}

/* How far the same fit, made without the largest fifth of runs, is off on these. */
static enx_status hold_out(fit_state *s, enx_report *report)
{
    const uint32_t held = (uint32_t)(held_share * s->point_count), kept = s->point_count - held;
    enx_fit       *fit = NULL;
    double         g[ENX_FORM_PARAMS_MAX], sum = 0;
    s->held_error = NAN;
    if (held < HELD_MIN) return ENX_OK;
    const enx_status status =
        enx_fit_open(&fit, (enx_form)s->form, estimator_of(&s->o), s->sorted, kept, report);
    if (status == ENX_INVALID) return ENX_OK; /* what is kept is of one size */
    if (status != ENX_OK) return status;
    for (uint32_t i = kept; i < s->point_count; i++) {
        const enx_point *at = &s->sorted[i];
        sum += fabs(enx_form_value((enx_form)s->form, enx_fit_get(fit)->params, at, g) - at->loss);
    }
    s->held_count = held;
    s->held_error = sum / held;
    enx_fit_close(&fit);
    return ENX_OK;
}

static void note_outliers(fit_state *s)
{
    double   g[ENX_FORM_PARAMS_MAX];
    uint32_t count = 0, first = 0;
    for (uint32_t i = 0; i < s->runs.runs->count; i++) {
        const enx_run  *run = &s->runs.runs->runs[i];
        const enx_point at = { log(run->params), log(run->tokens), log(run->flops), 0 };
        const double    r =
            enx_form_value((enx_form)s->form, s->result->params, &at, g) - log(run->loss);
        if (fabs(r) <= far_off * s->result->residual_median || fabs(r) < 0.01) continue;
        if (count++ == 0) first = run->line;
    }
    if (count)
        cli_runs_note(&s->runs,
                      "runs more than %g times the median residual off: %u (first: "
                      "line %u); --trim-worst leaves out the worst",
                      far_off, count, first);
}

static enx_status fit(fit_state *s, enx_report *report)
{
    ENX_TRY(cli_runs_points(&s->runs, s->form != ENX_FORM_BROKEN, &s->points, report));
    ENX_TRY(cli_runs_points(&s->runs, s->form != ENX_FORM_BROKEN, &s->sorted, report));
    s->point_count = s->runs.runs->count;
    qsort(s->sorted, s->point_count, sizeof *s->sorted, compare_flops);
    if (s->form == BAYES) return enx_surface_open(&s->surface, s->points, s->point_count, report);
    s->param_count = enx_form_infos[s->form].param_count;
    ENX_TRY(enx_fit_open(&s->fit, (enx_form)s->form, estimator_of(&s->o), s->points, s->point_count,
                         report));
    s->result = enx_fit_get(s->fit);
    ENX_TRY(resample(s, report));
    ENX_TRY(hold_out(s, report));
    note_outliers(s);
    return ENX_OK;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *json_params(const fit_state *s, const double *values)
{
    const enx_form_info *info = &enx_form_infos[s->form == BAYES ? ENX_FORM_CHINCHILLA : s->form];
    json_t              *out = json_object();
    for (uint32_t k = 0; k < info->param_count; k++)
        json_object_set_new(out, info->keys[k], cli_json_number(values[k]));
    if (s->form == ENX_FORM_TIED) json_object_set_new(out, "beta", cli_json_number(values[3]));
    return out;
}

static const double *natural(const fit_state *s)
{
    return s->surface ? enx_surface_get(s->surface)->params : s->result->natural;
}

/* How the best N grows with compute, and D with what is left. */
static double size_exponent(const fit_state *s)
{
    const double budget = exp(s->sorted[s->point_count - 1].flops);
    if (s->form == ENX_FORM_BROKEN) return NAN;
    if (s->surface) {
        const double *p = enx_surface_get(s->surface)->params;
        return p[4] / (p[3] + p[4]);
    }
    const enx_form form = (enx_form)s->form;
    const double   low = enx_fit_optimal_params(form, s->result->params, budget);
    const double   high = enx_fit_optimal_params(form, s->result->params, 2 * budget);
    return log2(high / low);
}

static json_t *json_voices(const enx_surface *surface)
{
    const enx_surface_info *info = enx_surface_get(surface);
    json_t                 *out = json_object();
    for (int k = 0; k < ENX_VOICES_COUNT; k++)
        json_object_set_new(out, enx_voice_names[k],
                            json_pack("{s:f, s:o}", "weight", info->weight[k], "held_out_error",
                                      cli_json_number(info->error[k])));
    return out;
}

static void print_json(const void *user)
{
    const fit_state *s = user;
    json_t          *out = json_params(s, natural(s));
    json_object_set_new(out, "form", json_string(form_names[s->form]));
    json_object_set_new(out, "exponent", cli_json_number(compute_exponent(s->form, natural(s))));
    json_object_set_new(out, "size_exponent", cli_json_number(size_exponent(s)));
    if (s->surface) {
        json_object_set_new(out, "se", json_params(s, enx_surface_get(s->surface)->deviations));
        json_object_set_new(out, "voices", json_voices(s->surface));
    } else {
        const enx_fit_result *r = s->result;
        json_object_set_new(out, "objective", json_real(r->objective));
        json_object_set_new(out, "estimator", json_string(s->o.objective));
        json_object_set_new(out, "gradient", json_real(r->gradient));
        json_object_set_new(out, "starts", json_integer(r->starts));
        json_object_set_new(out, "followed", json_integer(r->followed));
        json_object_set_new(out, "agreed", json_integer(r->agreed));
        json_object_set_new(out, "resamples", json_integer((json_int_t)s->o.resamples));
        json_object_set_new(out, "seed", json_integer((json_int_t)s->o.seed));
        if (s->o.resamples > 1) {
            json_object_set_new(out, "se", json_params(s, s->errors.deviation));
            json_object_set_new(out, "low", json_params(s, s->errors.low));
            json_object_set_new(out, "high", json_params(s, s->errors.high));
        }
        json_object_set_new(out, "residuals",
                            json_pack("{s:f, s:f, s:f}", "rms", r->residual_rms, "median",
                                      r->residual_median, "max", r->residual_max));
        json_object_set_new(out, "held_out",
                            json_pack("{s:i, s:o}", "runs", (int)s->held_count, "error",
                                      cli_json_number(s->held_error)));
    }
    json_object_set_new(out, "data", cli_runs_json_data(&s->runs));
    json_object_set_new(out, "notes", cli_runs_json_notes(&s->runs));
    cli_print_json_exact(out);
}

/* ---- The report ----------------------------------------------------------------------------- */

static void print_params(const fit_state *s)
{
    const enx_form_info *info = &enx_form_infos[s->form == BAYES ? ENX_FORM_CHINCHILLA : s->form];
    for (uint32_t k = 0; k < info->param_count; k++) {
        printf("  %-10s %-12.7g", info->keys[k], natural(s)[k]);
        if (s->surface) printf(" ± %.3g", enx_surface_get(s->surface)->deviations[k]);
        else if (s->o.resamples > 1)
            printf(" ± %-8.3g 95 %%: %.5g to %.5g", s->errors.deviation[k], s->errors.low[k],
                   s->errors.high[k]);
        putchar('\n');
    }
    printf("\n  loss above the floor falls as C^-%.4g", compute_exponent(s->form, natural(s)));
    if (!s->surface && s->o.resamples > 1) printf(" (± %.2g)", s->errors.deviation[s->param_count]);
    const double share = size_exponent(s);
    if (!isnan(share)) printf("; the best N grows as C^%.3f, D as C^%.3f", share, 1 - share);
    putchar('\n');
}

static void print_range(const char *name, const fit_state *s, size_t offset)
{
    double low = INFINITY, high = -INFINITY;
    for (uint32_t i = 0; i < s->point_count; i++) {
        const double value = *(const double *)((const char *)&s->points[i] + offset);
        low = fmin(low, value);
        high = fmax(high, value);
    }
    if (isfinite(low)) printf(" %s %.3g to %.3g", name, exp(low), exp(high));
}

/* What a reader needs to judge a fit, or to make it again (arXiv 2502.18969). */
static void print_checklist(const fit_state *s)
{
    const enx_runs *runs = s->runs.runs;
    printf("\nHow it was made\n\n  runs       %u of %u rows;", runs->count, runs->row_count);
    print_range("N", s, offsetof(enx_point, params));
    print_range("D", s, offsetof(enx_point, tokens));
    print_range("C", s, offsetof(enx_point, flops));
    printf("\n  left out   %u by --where, %u diverged, %u of worst loss, %u duplicates\n",
           runs->filtered_count, runs->diverged_count, runs->trimmed_count, runs->duplicate_count);
    printf("  loss       column \"%s\", %s\n", runs->names[ENX_COLUMN_LOSS],
           runs->is_bits ? "bits a byte" : "as given");
    printf("  sizes      N \"%s\", D \"%s\", C \"%s\"; what is missing by C = 6 N D\n",
           runs->names[ENX_COLUMN_PARAMS], runs->names[ENX_COLUMN_TOKENS],
           runs->names[ENX_COLUMN_FLOPS]);
    if (s->surface) {
        const enx_surface_info *info = enx_surface_get(s->surface);
        printf("  method     sum over 17 x 17 pairs of exponents, normal-inverse-gamma beliefs\n");
        printf("  held out   ");
        for (int k = 0; k < ENX_VOICES_COUNT; k++)
            printf("%s%s %.2f %% (weight %.2f)", k ? ", " : "", enx_voice_names[k],
                   100 * info->error[k], info->weight[k]);
        putchar('\n');
        return;
    }
    const enx_fit_result *r = s->result;
    printf("  objective  %.10g, the sum of %s\n", r->objective,
           estimator_of(&s->o) == ENX_ESTIMATOR_SQUARES ? "half squares of the loss"
                                                        : "Huber's function (0.001) of ln L");
    printf("  search     BFGS with exact gradient from the best %u of %u starts; %u of them ended "
           "here, gradient %.1g\n",
           r->followed, r->starts, r->agreed, r->gradient);
    printf("  errors     %llu resamples of runs, seed %llu\n", (unsigned long long)s->o.resamples,
           (unsigned long long)s->o.seed);
    printf("  residuals  of ln L: rms %.4f, median %.4f, largest %.4f\n", r->residual_rms,
           r->residual_median, r->residual_max);
    if (isnan(s->held_error)) printf("  held out   nothing: too few runs\n");
    else
        printf("  held out   the same fit without the %u runs of most compute is %.2f %% off on "
               "these\n",
               s->held_count, 100 * s->held_error);
    if (!runs->has_seed) printf("  seeds      no column says; repeats cannot be told\n");
}

static void print_text(const void *user)
{
    const fit_state     *s = user;
    const enx_form_info *info = &enx_form_infos[s->form == BAYES ? ENX_FORM_CHINCHILLA : s->form];
    printf("%s: %s\n\n", form_names[s->form], info->formula);
    print_params(s);
    print_checklist(s);
    if (s->runs.note_count) putchar('\n');
    cli_runs_print_notes(&s->runs);
}

/* ---- Pictures ------------------------------------------------------------------------------- */

typedef struct columns {
    double *x, *y, *z, *w; /* [point_count] each */
} columns;

static const char *const curve_colours[BUDGETS_MAX] = {
    "#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"
};

static double law_loss(const fit_state *s, double n, double d)
{
    double          g[ENX_FORM_PARAMS_MAX];
    const enx_point at = { log(n), log(d), log(6 * n * d), 0 };
    if (s->surface) return enx_surface_forecast(s->surface, n, d, 0.5).loss;
    return exp(enx_form_value((enx_form)s->form, s->result->params, &at, g));
}

static double best_loss(const fit_state *s, double flops)
{
    double n = sqrt(flops / 120); /* 20 tokens a parameter, where a form does not say */
    if (s->surface) n = enx_surface_optimal_params(s->surface, flops);
    else if (s->form != ENX_FORM_BROKEN)
        n = enx_fit_optimal_params((enx_form)s->form, s->result->params, flops);
    return law_loss(s, n, flops / (6 * n));
}

static double run_loss(const fit_state *s, const enx_point *p)
{
    double g[ENX_FORM_PARAMS_MAX];
    if (s->surface) return law_loss(s, exp(p->params), exp(p->tokens));
    return exp(enx_form_value((enx_form)s->form, s->result->params, p, g));
}

static void plot_compute(const fit_state *s, cli_axes *a, columns c, double curve[2][CURVE])
{
    const double low = s->sorted[0].flops, high = s->sorted[s->point_count - 1].flops;
    for (int i = 0; i < CURVE; i++) {
        curve[0][i] = exp(low + (high + log(10) - low) * i / (CURVE - 1));
        curve[1][i] = best_loss(s, curve[0][i]);
    }
    *a = (cli_axes){ .title = "Loss and compute",
                     .x_label = "training compute, FLOP",
                     .y_label = "loss",
                     .is_log_x = true };
    cli_axes_add(
        a, (cli_series){ CLI_MARK_POINTS, c.x, c.y, NULL, s->point_count, "#7f7f7f", "runs" });
    cli_axes_add(a, (cli_series){ CLI_MARK_LINE, curve[0], curve[1], NULL, CURVE, "#d62728",
                                  s->form == ENX_FORM_BROKEN ? "law" : "law at the best size" });
}

static void plot_residuals(const fit_state *s, cli_axes *a, columns c)
{
    static double zero_x[2], zero_y[2];
    zero_x[0] = c.x[0];
    zero_x[1] = c.x[s->point_count - 1];
    *a = (cli_axes){ .title = "Residuals",
                     .x_label = "training compute, FLOP",
                     .y_label = "measured less law, %",
                     .is_log_x = true };
    cli_axes_add(a, (cli_series){ CLI_MARK_LINE, zero_x, zero_y, NULL, 2, "#d62728", NULL });
    cli_axes_add(a,
                 (cli_series){ CLI_MARK_POINTS, c.x, c.z, NULL, s->point_count, "#1f77b4", NULL });
}

/* Runs first .. first + count - 1 have about the same compute. */
typedef struct group {
    uint32_t first, count;
} group;

/* The largest groups, in order of compute. */
static uint32_t find_groups(const fit_state *s, group groups[BUDGETS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0, end; i < s->point_count; i = end) {
        for (end = i; end < s->point_count && s->sorted[end].flops < s->sorted[i].flops + 0.1;)
            end++;
        uint32_t smallest = 0;
        if (end - i < SIZES_MIN) continue;
        for (uint32_t k = 1; k < count; k++)
            if (groups[k].count < groups[smallest].count) smallest = k;
        if (count == BUDGETS_MAX) {
            if (groups[smallest].count >= end - i) continue;
            memmove(groups + smallest, groups + smallest + 1,
                    (--count - smallest) * sizeof *groups);
        }
        groups[count++] = (group){ i, end - i };
    }
    return count;
}

/* The law across sizes, at each group's compute. */
static void plot_budgets(const fit_state *s, cli_axes *a, columns c,
                         double curves[BUDGETS_MAX][2][CURVE])
{
    group          groups[BUDGETS_MAX];
    const uint32_t count = find_groups(s, groups);
    *a = (cli_axes){ .title = "Equal compute, different size",
                     .x_label = "parameters N",
                     .y_label = "loss",
                     .is_log_x = true };
    for (uint32_t b = 0; b < count; b++) {
        const group g = groups[b];
        double      low = INFINITY, high = -INFINITY, flops = 0;
        for (uint32_t i = g.first; i < g.first + g.count; i++) {
            low = fmin(low, s->sorted[i].params);
            high = fmax(high, s->sorted[i].params);
            flops += s->sorted[i].flops / g.count;
        }
        for (int i = 0; i < CURVE; i++) {
            const double n = exp(low + (high - low) * i / (CURVE - 1));
            curves[b][0][i] = n;
            curves[b][1][i] = law_loss(s, n, exp(flops) / (6 * n));
        }
        cli_axes_add(a, (cli_series){ CLI_MARK_LINE, curves[b][0], curves[b][1], NULL, CURVE,
                                      curve_colours[b], NULL });
        cli_axes_add(a, (cli_series){ CLI_MARK_POINTS, c.w + g.first, c.y + g.first, NULL, g.count,
                                      curve_colours[b], NULL });
    }
}

/* alpha and beta of each resample, every other column of `rows`. */
static void plot_exponents(const fit_state *s, cli_axes *a, double *x, double *y, uint32_t count)
{
    const enx_form_info *info = &enx_form_infos[s->form];
    const uint32_t       left = s->form == ENX_FORM_KAPLAN ? 2 : 3;
    for (uint32_t i = 0; i < count; i++) {
        x[i] = s->rows[i * STRIDE + left];
        y[i] = s->form == ENX_FORM_TIED ? s->rows[i * STRIDE + 2] : s->rows[i * STRIDE + left + 1];
    }
    *a = (cli_axes){ .title = "Resamples",
                     .x_label = info->keys[left],
                     .y_label = s->form == ENX_FORM_TIED ? "E" : info->keys[left + 1] };
    cli_axes_add(a, (cli_series){ CLI_MARK_POINTS, x, y, NULL, count, "#2ca02c", NULL });
}

static enx_status draw(const fit_state *s, enx_report *report)
{
    enum { SCATTER_MAX = 1000 };
    static double   curve[2][CURVE], curves[BUDGETS_MAX][2][CURVE];
    static double   scatter[2][SCATTER_MAX];
    static cli_axes axes[4];
    double         *room = ENX_MEM_NEW(double, 4 * (size_t)s->point_count);
    uint32_t        count = 2;
    char            title[300];
    if (!room) return ENX_FAIL(report, NOMEM, "no memory for a picture");
    const columns c = { room, room + s->point_count, room + 2 * s->point_count,
                        room + 3 * s->point_count };
    for (uint32_t i = 0; i < s->point_count; i++) {
        c.x[i] = exp(s->sorted[i].flops);
        c.y[i] = exp(s->sorted[i].loss);
        c.z[i] = 100 * (s->sorted[i].loss - log(run_loss(s, &s->sorted[i])));
        c.w[i] = exp(s->sorted[i].params);
    }
    plot_compute(s, &axes[0], c, curve);
    plot_residuals(s, &axes[1], c);
    if (s->form != ENX_FORM_BROKEN) {
        plot_budgets(s, &axes[count], c, curves);
        if (axes[count].series_count) count++;
    }
    if (s->rows && s->o.resamples > 1 && s->form != ENX_FORM_BROKEN)
        plot_exponents(s, &axes[count++], scatter[0], scatter[1],
                       s->o.resamples < SCATTER_MAX ? (uint32_t)s->o.resamples : SCATTER_MAX);
    snprintf(title, sizeof title, "%s, %s: %u runs", cli_runs_name(&s->runs), form_names[s->form],
             s->point_count);
    const enx_status status = cli_plot_write(s->o.svg, title, axes, count, report);
    enx_mem_free(room);
    return status;
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status write_law(const fit_state *s, enx_report *report)
{
    const int at = floor_index(s->form);
    cli_law   law = { .form = form_names[s->form],
                      .exponent = compute_exponent(s->form, natural(s)),
                      .exponent_se = NAN,
                      .floor = at < 0 ? NAN : natural(s)[at],
                      .floor_se = NAN,
                      .params = json_params(s, natural(s)) };
    if (s->surface) {
        law.se = json_params(s, enx_surface_get(s->surface)->deviations);
        law.floor_se = enx_surface_get(s->surface)->deviations[2];
    } else if (s->o.resamples > 1) {
        law.se = json_params(s, s->errors.deviation);
        law.exponent_se = s->errors.deviation[s->param_count];
        if (at >= 0) law.floor_se = s->errors.deviation[at];
    }
    return cli_law_write(s->o.law, &law, &s->runs, report);
}

static enx_status check_options(fit_state *s, enx_report *report)
{
    s->form = 0;
    while (s->form <= BAYES && strcmp(form_names[s->form], s->o.form) != 0) s->form++;
    if (s->form > BAYES)
        return ENX_FAIL(report, INVALID,
                        "--form %.40s: it is chinchilla, tied, kaplan, broken or bayes", s->o.form);
    if (strcmp(s->o.objective, "huber") != 0 && strcmp(s->o.objective, "squares") != 0)
        return ENX_FAIL(report, INVALID, "--objective %.40s: it is huber or squares",
                        s->o.objective);
    if (s->o.resamples > ENX_FIT_RESAMPLES_MAX)
        return ENX_FAIL(report, INVALID, "--resamples: at most %d", ENX_FIT_RESAMPLES_MAX);
    if (s->o.seed > INT64_MAX) return ENX_FAIL(report, INVALID, "--seed: at most 2^63 - 1");
    if (s->o.threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    return ENX_OK;
}

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    fit_state *s = user;
    ENX_TRY(check_options(s, report));
    ENX_TRY(cli_runs_open(&s->runs, args->operands.items[0], report));
    const enx_status status = fit(s, report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", s->runs.path);
        return status;
    }
    if (s->o.svg) ENX_TRY(draw(s, report));
    if (s->o.law) ENX_TRY(write_law(s, report));
    return ENX_OK;
}

static void close_all(void *user)
{
    fit_state *s = user;
    enx_fit_close(&s->fit);
    enx_surface_close(&s->surface);
    enx_mem_free(s->points);
    enx_mem_free(s->sorted);
    enx_mem_free(s->rows);
    enx_mem_free(s->weights);
    cli_runs_close(&s->runs);
}

static const cli_steps steps = { "scale fit", run, print_json, print_text, close_all };

int cmd_scale_fit(int argc, char **argv)
{
    fit_state s = {
        .o = { .form = "chinchilla", .objective = "huber", .resamples = 4000, .seed = 1 }
    };
    const cli_option list[] = {
        CLI_RUNS_OPTIONS(s.runs),
        { "form", '\0', CLI_TEXT, (void *)&s.o.form, "FORM",
          "chinchilla (default), tied, kaplan, broken, bayes" },
        { "objective", '\0', CLI_TEXT, (void *)&s.o.objective, "WHAT",
          "huber of ln L (default), or squares of L" },
        { "resamples", '\0', CLI_UINT, &s.o.resamples, "N",
          "for standard errors (default 4000; 0: none)" },
        { "seed", '\0', CLI_UINT, &s.o.seed, "N", "of the resamples (default 1)" },
        { "threads", '\0', CLI_UINT, &s.o.threads, "N", "0: one per core; the result is the same" },
        { "svg", '\0', CLI_TEXT, (void *)&s.o.svg, "FILE",
          "draw loss, residuals, sizes at equal compute" },
        { "law", '\0', CLI_TEXT, (void *)&s.o.law, "FILE", "write the law for `market`" },
    };
    const cli_spec spec = { "scale fit RUNS.csv [options]",
                            "Fit a scaling law to trained models: parameters with standard errors, "
                            "and all that is needed to judge them.",
                            "enxame scale fit runs.csv --form chinchilla --svg fit.svg",
                            list,
                            sizeof list / sizeof *list,
                            1,
                            1 };
    return cli_run(&spec, &steps, &s, argc, argv);
}
