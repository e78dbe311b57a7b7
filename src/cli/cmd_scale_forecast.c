/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_scale_forecast.c - enxame scale forecast: the next rungs, and the best size for a budget. */
#include "base/mem.h"
#include "cli/cli_plot.h"
#include "cli/cli_runs.h"
#include "scale/surface.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { AHEAD_MAX = 8, CURVE = 80 };

static const uint64_t ahead_default = 2;
static const double   factor_default = 2; /* of compute, without a ladder */

typedef struct options {
    uint64_t    ahead;
    double      factor, at, level, budget, speed, usd_per_hour;
    const char *svg;
} options;

typedef struct step {
    enx_rung            rung;
    double              params, tokens;
    enx_outlook         outlook;
    enx_surface_outlook surface;
} step;

typedef struct past {
    uint32_t    count; /* of rungs that those before them forecast */
    uint32_t    inside;
    double      error;                          /* mean |ln(forecast / loss)| */
    enx_outlook outlooks[ENX_LADDER_RUNGS_MAX]; /* by rung; of the first ones: zero */
} past;

typedef struct forecast_state {
    cli_runs            runs;
    options             o;
    bool                has_rungs;
    enx_rungs           rungs;
    enx_belief          belief;
    enx_ladder         *ladder;  /* NULL: too few rungs */
    enx_surface        *surface; /* NULL: N and D are not known, do not vary, or are too few */
    step                steps[AHEAD_MAX];
    past                past;
    double              best_params; /* at the budget */
    enx_surface_outlook best;
} forecast_state;

/* ---- What is computed ----------------------------------------------------------------------- */

/* Each rung as those before it forecast it. */
static void look_back(forecast_state *s)
{
    for (uint32_t k = ENX_LADDER_RUNGS_MIN; k < s->rungs.count; k++) {
        const enx_rung *rung = &s->rungs.rungs[k];
        enx_ladder     *ladder = NULL;
        if (enx_ladder_open(&ladder, s->rungs.rungs, k, k - 1, &s->belief, NULL) != ENX_OK)
            continue; /* the first rungs are too near to one another */
        const enx_outlook o = enx_ladder_forecast(ladder, rung, s->o.level);
        enx_ladder_close(&ladder);
        s->past.outlooks[k] = o;
        s->past.error += fabs(log(o.median / rung->loss));
        s->past.inside += rung->loss >= o.low && rung->loss <= o.high;
        s->past.count++;
    }
    if (s->past.count) s->past.error /= s->past.count;
}

/* Without a ladder: the best sizes for ever more compute. */
static void look_ahead_by_size(forecast_state *s)
{
    double largest = 0;
    for (uint32_t i = 0; i < s->runs.runs->count; i++)
        largest = fmax(largest, s->runs.runs->runs[i].flops);
    for (uint64_t i = 0; i < s->o.ahead; i++) {
        step        *t = &s->steps[i];
        const double flops = largest * pow(s->o.factor, (double)i + 1);
        t->rung.log_flops = log(flops);
        t->params = enx_surface_optimal_params(s->surface, flops);
        t->tokens = flops / 6 / t->params;
        t->surface = enx_surface_forecast(s->surface, t->params, t->tokens, s->o.level);
    }
}

static void look_ahead(forecast_state *s)
{
    for (uint64_t i = 0; i < s->o.ahead; i++) {
        step *t = &s->steps[i];
        t->rung =
            enx_rungs_next(&s->rungs, pow(s->o.factor, (double)i + 1), &t->params, &t->tokens);
        if (s->ladder) t->outlook = enx_ladder_forecast(s->ladder, &t->rung, s->o.level);
        if (s->surface && t->params > 0)
            t->surface = enx_surface_forecast(s->surface, t->params, t->tokens, s->o.level);
    }
}

static enx_status open_surface(forecast_state *s, enx_report *report)
{
    enx_point *points = NULL;
    enx_status status = cli_runs_points(&s->runs, true, &points, report);
    if (status == ENX_OK)
        status = enx_surface_open(&s->surface, points, s->runs.runs->count, report);
    enx_mem_free(points);
    return status;
}

/* A ladder, or a surface, or both: whatever the runs are enough for. */
static enx_status forecast(forecast_state *s, enx_report *report)
{
    enx_report about_ladder = { 0 }, about_surface = { 0 };
    enx_status status = cli_runs_ladder(&s->runs, &s->rungs, &about_ladder);
    if (status == ENX_OK) {
        s->belief = enx_rungs_belief(&s->rungs, enx_belief_forecast());
        status = enx_ladder_open(&s->ladder, s->rungs.rungs, s->rungs.count, s->rungs.count - 1,
                                 &s->belief, &about_ladder);
    }
    if (status == ENX_NOMEM) return ENX_FAIL(report, NOMEM, "%s", about_ladder.text);
    const enx_status other = open_surface(s, &about_surface);
    if (other == ENX_NOMEM) return ENX_FAIL(report, NOMEM, "%s", about_surface.text);
    if (!s->ladder && !s->surface)
        return ENX_FAIL(report, INVALID, "%s: %s; and as a law in N and D: %s", s->runs.path,
                        about_ladder.text, about_surface.text);
    if (s->o.budget > 0 && !s->surface)
        return ENX_FAIL(report, INVALID, "--budget needs a law in N and D: %s", about_surface.text);
    if (!s->ladder) cli_runs_note(&s->runs, "no ladder: %s", about_ladder.text);
    if (s->o.at > 0) {
        const double last = exp(s->rungs.rungs[s->rungs.count - 1].log_flops);
        if (!s->ladder || s->o.at <= last)
            return ENX_FAIL(report, INVALID, "--at: a ladder is needed, and more compute than %.4g",
                            last);
        s->o.factor = s->o.at / last;
    }
    if (s->o.factor == 0) s->o.factor = s->ladder ? enx_rungs_factor(&s->rungs) : factor_default;
    if (!s->ladder) look_ahead_by_size(s);
    else {
        look_ahead(s);
        look_back(s);
    }
    return ENX_OK;
}

static void find_best(forecast_state *s)
{
    s->best_params = enx_surface_optimal_params(s->surface, s->o.budget);
    s->best = enx_surface_forecast(s->surface, s->best_params, s->o.budget / 6 / s->best_params,
                                   s->o.level);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static double seconds_of(const forecast_state *s, double flops)
{
    return s->o.speed > 0 ? flops / s->o.speed : NAN;
}

static json_t *json_step(const forecast_state *s, const step *t)
{
    const double flops = exp(t->rung.log_flops), seconds = seconds_of(s, flops);
    json_t      *out = json_pack(
             "{s:f, s:o, s:o, s:o, s:o}", "compute", flops, "N", cli_json_number(t->params), "D",
             cli_json_number(t->tokens), "seconds", cli_json_number(seconds), "usd",
             cli_json_number(s->o.usd_per_hour > 0 ? seconds / 3600 * s->o.usd_per_hour : NAN));
    if (s->ladder) {
        json_object_set_new(out, "loss", json_real(t->outlook.median));
        json_object_set_new(out, "low", json_real(t->outlook.low));
        json_object_set_new(out, "high", json_real(t->outlook.high));
    }
    if (t->surface.loss > 0)
        json_object_set_new(out, "surface",
                            json_pack("{s:f, s:f, s:f}", "loss", t->surface.loss, "low",
                                      t->surface.low, "high", t->surface.high));
    return out;
}

static void print_json(const void *user)
{
    const forecast_state *s = user;
    json_t               *out = json_object(), *next = json_array();
    for (uint64_t i = 0; i < s->o.ahead; i++)
        json_array_append_new(next, json_step(s, &s->steps[i]));
    json_object_set_new(out, "next", next);
    json_object_set_new(out, "level", json_real(s->o.level));
    json_object_set_new(out, "factor", cli_json_number(s->o.factor));
    json_object_set_new(out, "rungs", json_integer(s->ladder ? s->rungs.count : 0));
    if (s->ladder) {
        json_object_set_new(out, "exponent", json_real(enx_ladder_exponent(s->ladder)));
        json_object_set_new(out, "floor", json_real(enx_ladder_floor(s->ladder)));
        json_object_set_new(out, "past",
                            json_pack("{s:i, s:f, s:i}", "forecasts", (int)s->past.count, "error",
                                      s->past.error, "inside", (int)s->past.inside));
    }
    if (s->o.budget > 0)
        json_object_set_new(out, "optimum",
                            json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "compute", s->o.budget, "N",
                                      s->best_params, "D", s->o.budget / 6 / s->best_params, "loss",
                                      s->best.loss, "low", s->best.low, "high", s->best.high));
    json_object_set_new(out, "data", cli_runs_json_data(&s->runs));
    json_object_set_new(out, "notes", cli_runs_json_notes(&s->runs));
    cli_print_json_exact(out);
}

/* ---- The table ------------------------------------------------------------------------------ */

static void print_time(const forecast_state *s, double flops)
{
    const double hours = seconds_of(s, flops) / 3600;
    if (isnan(hours)) return;
    printf("   %.3g h", hours);
    if (s->o.usd_per_hour > 0) printf(", %.3g USD", hours * s->o.usd_per_hour);
}

static void print_steps(const forecast_state *s)
{
    const int percent = (int)lround(100 * s->o.level);
    printf("  %-10s %-10s %-10s %-9s %d %% interval", "compute", "N", "D", "loss", percent);
    if (s->surface) printf("       by N and D");
    putchar('\n');
    for (uint64_t i = 0; i < s->o.ahead; i++) {
        const step  *t = &s->steps[i];
        const double flops = exp(t->rung.log_flops);
        printf("  %-10.3g ", flops);
        if (t->params > 0) printf("%-10.3g %-10.3g ", t->params, t->tokens);
        else printf("%-10s %-10s ", "-", "-");
        if (s->ladder)
            printf("%-9.4f %.4f to %.4f", t->outlook.median, t->outlook.low, t->outlook.high);
        else printf("%-9s %-16s", "-", "-");
        if (t->surface.loss > 0)
            printf("   %.4f (%.4f to %.4f)", t->surface.loss, t->surface.low, t->surface.high);
        print_time(s, flops);
        putchar('\n');
    }
}

static void print_text(const void *user)
{
    const forecast_state *s = user;
    if (s->ladder) {
        const uint32_t last = s->rungs.count - 1;
        printf("%s: %u rungs, compute %.3g to %.3g, loss %.4f to %.4f; next ones ×%.3g\n\n",
               s->runs.path, s->rungs.count, exp(s->rungs.rungs[0].log_flops),
               exp(s->rungs.rungs[last].log_flops), s->rungs.rungs[0].loss,
               s->rungs.rungs[last].loss, s->o.factor);
    } else
        printf("%s: %u runs; the best sizes for more compute, ×%.3g each\n\n", s->runs.path,
               s->runs.runs->count, s->o.factor);
    print_steps(s);
    if (s->past.count)
        printf(
            "\n  the %u rungs from number %d on, each forecast from those before it: %.2f %% off "
            "in the mean, %u inside the interval\n",
            s->past.count, ENX_LADDER_RUNGS_MIN + 1, 100 * s->past.error, s->past.inside);
    if (s->surface) {
        const enx_surface_info *info = enx_surface_get(s->surface);
        printf("\n  by N and D: ");
        for (int k = 0; k < ENX_VOICES_COUNT; k++)
            printf("%s%s %.0f %%", k ? ", " : "", enx_voice_names[k], 100 * info->weight[k]);
        if (info->held_count)
            printf("; together %.2f %% off on %u forecasts of larger runs held out",
                   100 * info->held_error, info->held_count);
        putchar('\n');
    }
    if (s->o.budget > 0) {
        printf("\n  %.3g FLOP are best spent on N %.3g and D %.3g (%.3g tokens a parameter): loss "
               "%.4f, %.4f to %.4f",
               s->o.budget, s->best_params, s->o.budget / 6 / s->best_params,
               s->o.budget / 6 / s->best_params / s->best_params, s->best.loss, s->best.low,
               s->best.high);
        print_time(s, s->o.budget);
        putchar('\n');
    }
    if (s->runs.note_count) putchar('\n');
    cli_runs_print_notes(&s->runs);
}

/* ---- The picture ---------------------------------------------------------------------------- */

typedef struct band {
    double x[CURVE], median[CURVE], low[CURVE], high[CURVE], low_half[CURVE], high_half[CURVE];
} band;

static void fill_band(const forecast_state *s, band *b)
{
    const double first = s->rungs.rungs[0].log_flops;
    const double end = s->steps[s->o.ahead - 1].rung.log_flops;
    for (int i = 0; i < CURVE; i++) {
        enx_rung at = { .log_flops = first + (end - first) * i / (CURVE - 1) };
        /* what repeated text is worth, as far as it goes on beyond the last rung */
        if (at.log_flops > s->rungs.rungs[s->rungs.count - 1].log_flops) {
            double params, tokens;
            at = enx_rungs_next(&s->rungs,
                                exp(at.log_flops - s->rungs.rungs[s->rungs.count - 1].log_flops),
                                &params, &tokens);
        }
        const enx_outlook wide = enx_ladder_forecast(s->ladder, &at, s->o.level);
        const enx_outlook half = enx_ladder_forecast(s->ladder, &at, 0.5);
        b->x[i] = exp(at.log_flops);
        b->median[i] = wide.median;
        b->low[i] = wide.low, b->high[i] = wide.high;
        b->low_half[i] = half.low, b->high_half[i] = half.high;
    }
}

static enx_status draw(const forecast_state *s, enx_report *report)
{
    static band     b;
    static double   x[ENX_LADDER_RUNGS_MAX], y[ENX_LADDER_RUNGS_MAX], error[ENX_LADDER_RUNGS_MAX];
    static double   low[ENX_LADDER_RUNGS_MAX], high[ENX_LADDER_RUNGS_MAX], zero[2];
    static double   next_x[AHEAD_MAX], next_y[AHEAD_MAX];
    static cli_axes axes[2];
    if (!s->ladder)
        return ENX_FAIL(report, INVALID, "--svg draws a ladder, and there is none: %s",
                        s->runs.note_count ? s->runs.notes[s->runs.note_count - 1] : "");
    fill_band(s, &b);
    for (uint32_t i = 0; i < s->rungs.count; i++) {
        const enx_outlook *o = &s->past.outlooks[i];
        const bool         has = o->median > 0;
        x[i] = exp(s->rungs.rungs[i].log_flops);
        y[i] = s->rungs.rungs[i].loss;
        error[i] = has ? 100 * log(y[i] / o->median) : NAN;
        low[i] = has ? 100 * log(o->low / o->median) : NAN;
        high[i] = has ? 100 * log(o->high / o->median) : NAN;
    }
    for (uint64_t i = 0; i < s->o.ahead; i++) {
        next_x[i] = exp(s->steps[i].rung.log_flops);
        next_y[i] = s->steps[i].outlook.median;
    }
    const uint32_t n = s->rungs.count;
    axes[0] = (cli_axes){ .title = "Loss and compute",
                          .x_label = "training compute, FLOP",
                          .y_label = "loss",
                          .is_log_x = true };
    cli_axes_add(&axes[0],
                 (cli_series){ CLI_MARK_BAND, b.x, b.low, b.high, CURVE, "#dbe9f6", "interval" });
    cli_axes_add(&axes[0], (cli_series){ CLI_MARK_BAND, b.x, b.low_half, b.high_half, CURVE,
                                         "#9dc6e0", "half of the chance" });
    cli_axes_add(&axes[0],
                 (cli_series){ CLI_MARK_LINE, b.x, b.median, NULL, CURVE, "#08519c", NULL });
    cli_axes_add(&axes[0], (cli_series){ CLI_MARK_POINTS, x, y, NULL, n, "#222222", "rungs" });
    cli_axes_add(&axes[0], (cli_series){ CLI_MARK_RINGS, next_x, next_y, NULL, (uint32_t)s->o.ahead,
                                         "#d62728", "forecast" });
    axes[1] = (cli_axes){ .title = "Each rung as those before it forecast it",
                          .x_label = "training compute, FLOP",
                          .y_label = "measured less forecast, %",
                          .is_log_x = true };
    static double ends[2];
    ends[0] = x[0], ends[1] = x[n - 1];
    cli_axes_add(&axes[1], (cli_series){ CLI_MARK_LINE, ends, zero, NULL, 2, "#bbbbbb", NULL });
    cli_axes_add(&axes[1], (cli_series){ CLI_MARK_STAKE, x, low, high, n, "#9dc6e0", "interval" });
    cli_axes_add(&axes[1],
                 (cli_series){ CLI_MARK_POINTS, x, error, NULL, n, "#222222", "measured" });
    return cli_plot_write(s->o.svg, cli_runs_name(&s->runs), axes, s->past.count ? 2 : 1, report);
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status check_options(const options *o, enx_report *report)
{
    if (o->ahead < 1 || o->ahead > AHEAD_MAX)
        return ENX_FAIL(report, INVALID, "--rungs: from 1 to %d", AHEAD_MAX);
    if (o->at != 0 && (o->factor != 0 || o->ahead != 1))
        return ENX_FAIL(report, INVALID, "--at is one rung: leave --factor out, and --rungs 1");
    if (!(o->at >= 0 && o->at <= 1e40))
        return ENX_FAIL(report, INVALID, "--at: FLOP, at most 1e40");
    if (o->factor != 0 && !(o->factor > 1 && o->factor <= 1e6))
        return ENX_FAIL(report, INVALID, "--factor: above 1 and at most 1e6");
    if (!(o->level >= 0.1 && o->level <= 0.99))
        return ENX_FAIL(report, INVALID, "--level: from 0.1 to 0.99");
    if (!(o->budget >= 0 && o->budget <= 1e40))
        return ENX_FAIL(report, INVALID, "--budget: FLOP, at most 1e40");
    if (o->budget > 0 && o->budget < 6)
        return ENX_FAIL(report, INVALID, "--budget: %g FLOP train nothing", o->budget);
    if (o->speed < 0 || o->usd_per_hour < 0)
        return ENX_FAIL(report, INVALID, "--speed and --usd-per-hour: from 0 on");
    return ENX_OK;
}

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    forecast_state *s = user;
    if (s->o.ahead == 0) s->o.ahead = s->o.at > 0 ? 1 : ahead_default;
    ENX_TRY(check_options(&s->o, report));
    ENX_TRY(cli_runs_open(&s->runs, args->operands.items[0], report));
    ENX_TRY(forecast(s, report));
    if (s->o.budget > 0) find_best(s);
    return s->o.svg ? draw(s, report) : ENX_OK;
}

static void close_all(void *user)
{
    forecast_state *s = user;
    enx_ladder_close(&s->ladder);
    enx_surface_close(&s->surface);
    cli_runs_close(&s->runs);
}

static const cli_steps steps = { "scale forecast", run, print_json, print_text, close_all };

int cmd_scale_forecast(int argc, char **argv)
{
    static forecast_state s;
    s.o = (options){ .level = 0.9 };
    const cli_option list[] = {
        CLI_RUNS_OPTIONS(s.runs),
        { "rungs", '\0', CLI_UINT, &s.o.ahead, "N", "how many rungs ahead (default 2)" },
        { "factor", '\0', CLI_REAL, &s.o.factor, "X",
          "compute from rung to rung (default: as it was)" },
        { "at", '\0', CLI_REAL, &s.o.at, "FLOP", "one rung, of so much compute" },
        { "level", '\0', CLI_REAL, &s.o.level, "P", "of the intervals (default 0.9)" },
        { "budget", '\0', CLI_REAL, &s.o.budget, "FLOP", "the best N and D for so much compute" },
        { "speed", '\0', CLI_REAL, &s.o.speed, "FLOP/S", "of your machine: say how long it takes" },
        { "usd-per-hour", '\0', CLI_REAL, &s.o.usd_per_hour, "USD", "... and what it costs" },
        { "svg", '\0', CLI_TEXT, (void *)&s.o.svg, "FILE", "draw the ladder and its forecasts" },
    };
    const cli_spec spec = { "scale forecast RUNS.csv [options]",
                            "What the next rungs of a ladder will reach, with intervals, and how "
                            "well such forecasts did on the rungs that are there.",
                            "enxame scale forecast runs.csv --rungs 2 --budget 1e20",
                            list,
                            sizeof list / sizeof *list,
                            1,
                            1 };
    return cli_run(&spec, &steps, &s, argc, argv);
}
