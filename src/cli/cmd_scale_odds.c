/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_scale_odds.c - enxame scale odds: does the law hold, and what would change the answer. */
#include "cli/cli_law.h"
#include "cli/cli_plot.h"
#include "cli/cli_runs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    PLANS = 3, /* runs that could be made next */
    DRAWS = 9, /* losses that each might have, equally likely ones */
    CURVE = 80,
    MIND_STEPS = 24,
    MIND_PLACES = 41,
};

static const double mind_widths = 6;    /* deviations of the law's forecast that are searched */
static const double mind_highest = 1.5; /* times the loss: there the law never holds */

typedef struct options {
    double      broken, bad_run, level;
    const char *svg, *law;
} options;

/* After each rung from the fifth on. */
typedef struct history {
    double odds[ENX_LADDER_RUNGS_MAX][ENX_OUTCOMES_COUNT];
    double factor[ENX_LADDER_RUNGS_MAX]; /* ln of the Bayes factor; NAN: too few rungs */
} history;

typedef struct plan {
    const char *name;
    double      flops, bits;
} plan;

typedef struct odds_state {
    cli_runs    runs;
    options     o;
    enx_rungs   rungs;
    enx_ladder *ladder, *forecaster;
    double      odds[ENX_OUTCOMES_COUNT];
    double      step; /* factor of compute */
    enx_rung    next;
    double      next_params, next_tokens;
    enx_outlook outlook, law_outlook; /* of the next rung: whatever happens; if the law holds */
    double      mind_low, mind;       /* losses there between which odds are above 50-50; NAN */
    history     history;
    plan        plans[PLANS];
    const char *cause; /* NULL: none can be named */
} odds_state;

/* ---- What is computed ----------------------------------------------------------------------- */

/* What is believed of a ladder of so many rungs. */
static enx_belief belief_of(const odds_state *s, uint32_t count)
{
    enx_belief belief = enx_belief_odds(count);
    belief.hazard = enx_belief_hazard(s->o.broken, count);
    belief.bad_run = s->o.bad_run;
    return enx_rungs_belief(&s->rungs, belief);
}

static enx_status judge(const odds_state *s, const enx_rung *rungs, uint32_t count,
                        uint32_t suspect, double odds[ENX_OUTCOMES_COUNT], enx_report *report)
{
    const enx_belief belief = belief_of(s, count);
    enx_ladder      *ladder = NULL;
    ENX_TRY(enx_ladder_open(&ladder, rungs, count, suspect, &belief, report));
    enx_ladder_odds(ladder, odds);
    enx_ladder_close(&ladder);
    return ENX_OK;
}

static enx_status remember(odds_state *s, enx_report *report)
{
    for (uint32_t k = 1; k <= s->rungs.count; k++) {
        const enx_belief belief = belief_of(s, k);
        enx_ladder      *ladder = NULL;
        s->history.factor[k - 1] = NAN;
        for (int i = 0; i < ENX_OUTCOMES_COUNT; i++) s->history.odds[k - 1][i] = NAN;
        if (k < ENX_LADDER_ODDS_MIN) continue;
        ENX_TRY(enx_ladder_open(&ladder, s->rungs.rungs, k, k - 1, &belief, report));
        enx_ladder_odds(ladder, s->history.odds[k - 1]);
        s->history.factor[k - 1] = enx_ladder_factor(ladder);
        enx_ladder_close(&ladder);
    }
    return ENX_OK;
}

/* P(holds) when the next rung's loss is y. */
static enx_status hold_after(const odds_state *s, double y, double *holds, enx_report *report)
{
    enx_rung rungs[ENX_LADDER_RUNGS_MAX];
    double   odds[ENX_OUTCOMES_COUNT];
    memcpy(rungs, s->rungs.rungs, s->rungs.count * sizeof *rungs);
    rungs[s->rungs.count] = s->next;
    rungs[s->rungs.count].loss = y;
    ENX_TRY(judge(s, rungs, s->rungs.count + 1, s->rungs.count, odds, report));
    *holds = odds[ENX_OUTCOME_HOLDS];
    return ENX_OK;
}

/* Between a loss where the odds are on one side of 50-50 and one where they are on the other. */
static enx_status find_even(const odds_state *s, double holds_at, double fails_at, double *even,
                            enx_report *report)
{
    for (int i = 0; i < MIND_STEPS; i++) {
        const double middle = (holds_at + fails_at) / 2;
        double       holds;
        ENX_TRY(hold_after(s, middle, &holds, report));
        if (holds > 0.5) holds_at = middle;
        else fails_at = middle;
    }
    *even = (holds_at + fails_at) / 2;
    return ENX_OK;
}

/* The losses of the next rung that leave the odds above 50-50, as far as there are any: around the
 * likeliest loss for the law, found by looking at many. */
static enx_status find_mind(odds_state *s, enx_report *report)
{
    const double middle = s->law_outlook.median, wide = mind_widths * s->law_outlook.deviation;
    double       best = 0, best_at = NAN;
    s->mind_low = s->mind = NAN;
    if (s->rungs.count == ENX_LADDER_RUNGS_MAX || !isfinite(middle)) return ENX_OK;
    for (int i = 0; i < MIND_PLACES; i++) {
        const double y = middle + wide * (2.0 * i / (MIND_PLACES - 1) - 1);
        double       holds;
        if (!(y > 0)) continue;
        ENX_TRY(hold_after(s, y, &holds, report));
        if (!(holds > best)) continue;
        best = holds;
        best_at = y;
    }
    if (!(best > 0.5)) return ENX_OK;
    ENX_TRY(find_even(s, best_at, mind_highest * best_at, &s->mind, report));
    return find_even(s, best_at, best_at / mind_highest, &s->mind_low, report);
}

static double entropy_bits(const double odds[ENX_OUTCOMES_COUNT])
{
    double sum = 0;
    for (int k = 0; k < ENX_OUTCOMES_COUNT; k++)
        if (odds[k] > 0) sum -= odds[k] * log2(odds[k]);
    return sum;
}

/* By how many bits a run at `at` is expected to lessen the doubt about the outcome. */
static enx_status expect_bits(const odds_state *s, enx_rung at, double *bits, enx_report *report)
{
    enx_rung rungs[ENX_LADDER_RUNGS_MAX];
    uint32_t place = s->rungs.count;
    double   after = 0;
    while (place > 0 && s->rungs.rungs[place - 1].log_flops > at.log_flops) place--;
    memcpy(rungs, s->rungs.rungs, place * sizeof *rungs);
    memcpy(rungs + place + 1, s->rungs.rungs + place, (s->rungs.count - place) * sizeof *rungs);
    const uint32_t suspect = place < s->rungs.count ? s->rungs.count : s->rungs.count - 1;
    for (int i = 0; i < DRAWS; i++) {
        double odds[ENX_OUTCOMES_COUNT];
        rungs[place] = at;
        rungs[place].loss = enx_ladder_quantile(s->ladder, &at, (i + 0.5) / DRAWS);
        ENX_TRY(judge(s, rungs, s->rungs.count + 1, suspect, odds, report));
        after += entropy_bits(odds) / DRAWS;
    }
    *bits = fmax(0, entropy_bits(s->odds) - after);
    return ENX_OK;
}

static enx_status weigh_plans(odds_state *s, enx_report *report)
{
    const enx_rung *last = &s->rungs.rungs[s->rungs.count - 1];
    enx_rung        at[PLANS] = { *last, *last, s->next };
    at[1].log_flops = 0.5 * (last->log_flops + last[-1].log_flops);
    at[1].epochs = sqrt(last->epochs * last[-1].epochs);
    at[0].weight = at[1].weight = 1;
    s->plans[0].name = "the last rung again";
    s->plans[1].name = "half-way to the last rung";
    s->plans[2].name = "the next rung";
    for (int i = 0; i < PLANS; i++) {
        s->plans[i].flops = exp(at[i].log_flops);
        s->plans[i].bits = NAN;
        if (s->rungs.count < ENX_LADDER_RUNGS_MAX)
            ENX_TRY(expect_bits(s, at[i], &s->plans[i].bits, report));
    }
    return ENX_OK;
}

static const plan *best_plan(const odds_state *s)
{
    const plan *best = &s->plans[0];
    for (int i = 1; i < PLANS; i++)
        if (s->plans[i].bits / s->plans[i].flops > best->bits / best->flops) best = &s->plans[i];
    return best;
}

static void find_cause(odds_state *s)
{
    const double fails = 1 - s->odds[ENX_OUTCOME_HOLDS], bad = s->odds[ENX_OUTCOME_BAD_RUN];
    if (fails < 0.5) return;
    if (enx_ladder_wall(s->ladder) > 0.5 * fails) s->cause = "data wall";
    else if (bad > 0.5 * fails) s->cause = "one bad run";
    if (bad > 0.1 && s->odds[ENX_OUTCOME_REVERSED] > 0.1)
        cli_runs_note(&s->runs, "a bad run and a reversal look alike as long as one rung alone is "
                                "off: make the last rung again");
    if (!s->cause && isnan(s->rungs.rate_power))
        cli_runs_note(&s->runs, "learning rates that do not suit the size bend a ladder just so, "
                                "and no column tells; try half and twice the rate at the smallest "
                                "and the largest rung");
}

static enx_status weigh(odds_state *s, enx_report *report)
{
    ENX_TRY(cli_runs_ladder(&s->runs, &s->rungs, report));
    const uint32_t count = s->rungs.count;
    if (count < ENX_LADDER_ODDS_MIN)
        return ENX_FAIL(report, INVALID,
                        "%s: %u rungs of different compute; odds need at least %d, because with "
                        "fewer a law that stops looks just like one with a high floor",
                        s->runs.path, count, ENX_LADDER_ODDS_MIN);
    const enx_belief belief = belief_of(s, count);
    const enx_belief forecast = enx_rungs_belief(&s->rungs, enx_belief_forecast());
    const enx_rung  *rungs = s->rungs.rungs;
    ENX_TRY(enx_ladder_open(&s->ladder, rungs, count, count - 1, &belief, report));
    ENX_TRY(enx_ladder_open(&s->forecaster, rungs, count, count - 1, &forecast, report));
    enx_ladder_odds(s->ladder, s->odds);
    s->step = enx_rungs_factor(&s->rungs);
    s->next = enx_rungs_next(&s->rungs, s->step, &s->next_params, &s->next_tokens);
    s->outlook = enx_ladder_forecast(s->forecaster, &s->next, s->o.level);
    s->law_outlook = enx_ladder_forecast_law(s->ladder, &s->next, s->o.level);
    ENX_TRY(remember(s, report));
    ENX_TRY(find_mind(s, report));
    ENX_TRY(weigh_plans(s, report));
    find_cause(s);
    return ENX_OK;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

/* Chance of a break at the next rung. */
static double hazard_of(const odds_state *s) { return belief_of(s, s->rungs.count).hazard; }

static double chance_on_law(const odds_state *s)
{
    return (s->odds[ENX_OUTCOME_HOLDS] + s->odds[ENX_OUTCOME_BAD_RUN]) * (1 - hazard_of(s));
}

static json_t *json_next(const odds_state *s)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:o, s:o, s:f, s:f}", "mean", s->outlook.mean, "low",
                     s->outlook.low, "high", s->outlook.high, "compute", exp(s->next.log_flops),
                     "N", cli_json_number(s->next_params), "D", cli_json_number(s->next_tokens),
                     "level", s->o.level, "on_law", chance_on_law(s));
}

static json_t *json_odds(const odds_state *s)
{
    json_t *out = json_object();
    for (int k = 0; k < ENX_OUTCOMES_COUNT; k++)
        json_object_set_new(out, enx_outcome_names[k], json_real(s->odds[k]));
    json_object_set_new(out, "data_wall", json_real(enx_ladder_wall(s->ladder)));
    return out;
}

static json_t *json_history(const odds_state *s)
{
    json_t *out = json_array();
    for (uint32_t k = ENX_LADDER_ODDS_MIN; k <= s->rungs.count; k++)
        json_array_append_new(out,
                              json_pack("{s:i, s:f, s:f, s:f}", "rung", (int)k, "compute",
                                        exp(s->rungs.rungs[k - 1].log_flops), "holds",
                                        s->history.odds[k - 1][ENX_OUTCOME_HOLDS],
                                        "log10_bayes_factor", s->history.factor[k - 1] / log(10)));
    return out;
}

static void print_json(const void *user)
{
    const odds_state *s = user;
    json_t           *out = json_odds(s), *plans = json_array();
    for (int i = 0; i < PLANS; i++)
        json_array_append_new(plans, json_pack("{s:s, s:f, s:o}", "run", s->plans[i].name,
                                               "compute", s->plans[i].flops, "bits",
                                               cli_json_number(s->plans[i].bits)));
    json_object_set_new(out, "next", json_next(s));
    json_object_set_new(out, "cause", s->cause ? json_string(s->cause) : json_null());
    json_object_set_new(out, "history", json_history(s));
    json_object_set_new(out, "mind",
                        json_pack("{s:o, s:o, s:f}", "loss_above", cli_json_number(s->mind),
                                  "loss_below", cli_json_number(s->mind_low), "compute",
                                  exp(s->next.log_flops)));
    json_object_set_new(out, "plans", plans);
    json_object_set_new(out, "best_plan", json_string(best_plan(s)->name));
    json_object_set_new(out, "rungs", json_integer(s->rungs.count));
    json_object_set_new(out, "exponent", json_real(enx_ladder_exponent(s->ladder)));
    json_object_set_new(out, "floor", json_real(enx_ladder_floor(s->ladder)));
    json_object_set_new(out, "noise", cli_json_number(s->rungs.noise));
    json_object_set_new(out, "hazard", json_real(hazard_of(s)));
    json_object_set_new(out, "data", cli_runs_json_data(&s->runs));
    json_object_set_new(out, "notes", cli_runs_json_notes(&s->runs));
    cli_print_json_exact(out);
}

/* ---- The report ----------------------------------------------------------------------------- */

static void print_pair(double chance)
{
    const double percent = 100 * chance;
    if (percent > 99.5) printf("more than 99 to 1");
    else if (percent < 0.5) printf("less than 1 to 99");
    else printf("%.0f to %.0f", percent, 100 - percent);
}

static void print_next(const odds_state *s)
{
    printf("\n  next rung, compute %.3g: loss %.4f, %.0f %%: %.4f to %.4f; on the law: ",
           exp(s->next.log_flops), s->outlook.median, 100 * s->o.level, s->outlook.low,
           s->outlook.high);
    print_pair(chance_on_law(s));
    printf("\n\nWhat would change the answer\n\n");
    if (!isnan(s->mind) && s->odds[ENX_OUTCOME_HOLDS] < 0.5)
        printf("  a loss from %.4f to %.4f at compute %.3g: then the odds are above 50 to 50\n",
               s->mind_low, s->mind, exp(s->next.log_flops));
    else if (!isnan(s->mind))
        printf(
            "  a loss above %.4f at compute %.3g: then the odds are below 50 to 50 (the law says "
            "%.4f)\n",
            s->mind, exp(s->next.log_flops), s->law_outlook.median);
    else printf("  no loss of the next rung alone\n");
    for (int i = 0; i < PLANS; i++)
        printf("  %-26s compute %-9.3g %.3f bits expected%s\n", s->plans[i].name, s->plans[i].flops,
               s->plans[i].bits, &s->plans[i] == best_plan(s) ? ", most for its compute" : "");
}

static void print_text(const void *user)
{
    const odds_state *s = user;
    const uint32_t    count = s->rungs.count;
    printf("%s: %u rungs, compute %.3g to %.3g\n\n  the law holds: ", s->runs.path, count,
           exp(s->rungs.rungs[0].log_flops), exp(s->rungs.rungs[count - 1].log_flops));
    print_pair(s->odds[ENX_OUTCOME_HOLDS]);
    if (s->cause) printf(" (cause: %s)", s->cause);
    printf("\n\n ");
    for (int k = 0; k < ENX_OUTCOMES_COUNT; k++)
        printf(" %s %.3f", enx_outcome_names[k], s->odds[k]);
    printf("\n\n  %-8s %-10s %-9s %-9s Bayes factor for the law\n", "rung", "compute", "loss",
           "P(holds)");
    for (uint32_t i = 0; i < count; i++) {
        printf("  %-8u %-10.3g %-9.4f ", i + 1, exp(s->rungs.rungs[i].log_flops),
               s->rungs.rungs[i].loss);
        if (!isnan(s->history.factor[i]))
            printf("%-9.3f 10^%+.2f", s->history.odds[i][ENX_OUTCOME_HOLDS],
                   s->history.factor[i] / log(10));
        putchar('\n');
    }
    print_next(s);
    if (s->runs.note_count) putchar('\n');
    cli_runs_print_notes(&s->runs);
}

/* ---- The picture ---------------------------------------------------------------------------- */

typedef struct curves {
    double x[CURVE], low[CURVE], high[CURVE], median[CURVE]; /* if the law holds */
    double rung_x[ENX_LADDER_RUNGS_MAX], rung_y[ENX_LADDER_RUNGS_MAX];
    double gap[ENX_LADDER_RUNGS_MAX]; /* from the law, % */
    double odds[ENX_OUTCOMES_COUNT][ENX_LADDER_RUNGS_MAX];
    double mind_x[CURVE], mind_y[CURVE];
    double zero[CURVE];
} curves;

static enx_status fill(const odds_state *s, curves *c, enx_report *report)
{
    const double first = s->rungs.rungs[0].log_flops, end = s->next.log_flops;
    for (int i = 0; i < CURVE; i++) {
        const enx_rung    at = { .log_flops = first + (end - first) * i / (CURVE - 1) };
        const enx_outlook o = enx_ladder_forecast_law(s->ladder, &at, s->o.level);
        c->x[i] = exp(at.log_flops);
        c->low[i] = o.low, c->high[i] = o.high, c->median[i] = o.median;
    }
    for (uint32_t i = 0; i < s->rungs.count; i++) {
        const enx_rung *r = &s->rungs.rungs[i];
        c->rung_x[i] = exp(r->log_flops);
        c->rung_y[i] = r->loss;
        c->gap[i] = 100 * log(r->loss / enx_ladder_forecast_law(s->ladder, r, 0.5).median);
        for (int k = 0; k < ENX_OUTCOMES_COUNT; k++) c->odds[k][i] = s->history.odds[i][k];
    }
    for (int i = 0; i < CURVE && s->rungs.count < ENX_LADDER_RUNGS_MAX; i++) {
        const double wide = 4 * fmax(s->law_outlook.deviation, 1e-6);
        c->mind_x[i] = s->law_outlook.median + wide * (3.0 * i / (CURVE - 1) - 1);
        ENX_TRY(hold_after(s, fmax(c->mind_x[i], 1e-6), &c->mind_y[i], report));
    }
    return ENX_OK;
}

static enx_status draw(const odds_state *s, enx_report *report)
{
    static const char *const colours[] = { "#2ca02c", "#ff7f0e", "#d62728",
                                           "#9467bd", "#17becf", "#7f7f7f" };
    static curves            c;
    static cli_axes          axes[4];
    const uint32_t           n = s->rungs.count;
    char                     title[300];
    ENX_TRY(fill(s, &c, report));
    axes[0] = (cli_axes){ .title = "The ladder, and the law if it holds",
                          .x_label = "training compute, FLOP",
                          .y_label = "loss",
                          .is_log_x = true };
    cli_axes_add(&axes[0],
                 (cli_series){ CLI_MARK_BAND, c.x, c.low, c.high, CURVE, "#cfe8cf", "interval" });
    cli_axes_add(&axes[0],
                 (cli_series){ CLI_MARK_LINE, c.x, c.median, NULL, CURVE, "#2ca02c", "law" });
    cli_axes_add(&axes[0],
                 (cli_series){ CLI_MARK_POINTS, c.rung_x, c.rung_y, NULL, n, "#222222", "rungs" });
    axes[1] = (cli_axes){ .title = "Odds after each rung",
                          .x_label = "training compute, FLOP",
                          .y_label = "chance",
                          .is_log_x = true,
                          .has_range = true,
                          .y_low = -0.03,
                          .y_high = 1.03,
                          .is_legend_left = true };
    for (int k = 0; k < ENX_OUTCOMES_COUNT; k++) {
        cli_axes_add(&axes[1], (cli_series){ CLI_MARK_LINE, c.rung_x, c.odds[k], NULL, n,
                                             colours[k], enx_outcome_names[k] });
        cli_axes_add(&axes[1], (cli_series){ CLI_MARK_POINTS, c.rung_x, c.odds[k], NULL, n,
                                             colours[k], NULL });
    }
    axes[2] = (cli_axes){ .title = "Rungs and the law",
                          .x_label = "training compute, FLOP",
                          .y_label = "measured less law, %",
                          .is_log_x = true };
    cli_axes_add(&axes[2],
                 (cli_series){ CLI_MARK_LINE, c.x, c.zero, NULL, CURVE, "#bbbbbb", NULL });
    cli_axes_add(&axes[2],
                 (cli_series){ CLI_MARK_POINTS, c.rung_x, c.gap, NULL, n, "#222222", NULL });
    axes[3] = (cli_axes){ .title = "What the next rung would make of the odds",
                          .x_label = "loss of the next rung",
                          .y_label = "chance that the law holds",
                          .has_range = true,
                          .y_low = -0.03,
                          .y_high = 1.03 };
    cli_axes_add(&axes[3],
                 (cli_series){ CLI_MARK_LINE, c.mind_x, c.mind_y, NULL, CURVE, "#2ca02c", NULL });
    snprintf(title, sizeof title, "%s: the law holds with chance %.2f", cli_runs_name(&s->runs),
             s->odds[ENX_OUTCOME_HOLDS]);
    return cli_plot_write(s->o.svg, title, axes, n < ENX_LADDER_RUNGS_MAX ? 4 : 3, report);
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status write_law(const odds_state *s, enx_report *report)
{
    cli_law law = { .form = "ladder",
                    .exponent = enx_ladder_exponent(s->ladder),
                    .exponent_se = enx_ladder_exponent_deviation(s->ladder),
                    .floor = enx_ladder_floor(s->ladder),
                    .floor_se = enx_ladder_floor_deviation(s->ladder),
                    .odds = json_odds(s),
                    .next = json_next(s) };
    json_object_set_new(law.odds, "hazard", json_real(hazard_of(s)));
    json_object_set_new(law.odds, "factor", json_real(s->step));
    json_object_set_new(law.odds, "cause", s->cause ? json_string(s->cause) : json_null());
    return cli_law_write(s->o.law, &law, &s->runs, report);
}

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    odds_state *s = user;
    if (!(s->o.level >= 0.1 && s->o.level <= 0.99))
        return ENX_FAIL(report, INVALID, "--level: from 0.1 to 0.99");
    if (!(s->o.broken > 0 && s->o.broken <= 0.9) || !(s->o.bad_run >= 0 && s->o.bad_run <= 0.9))
        return ENX_FAIL(report, INVALID,
                        "--broken and --bad-run are chances, above 0 and at most 0.9");
    ENX_TRY(cli_runs_open(&s->runs, args->operands.items[0], report));
    ENX_TRY(weigh(s, report));
    if (s->o.svg) ENX_TRY(draw(s, report));
    return s->o.law ? write_law(s, report) : ENX_OK;
}

static void close_all(void *user)
{
    odds_state *s = user;
    enx_ladder_close(&s->ladder);
    enx_ladder_close(&s->forecaster);
    cli_runs_close(&s->runs);
}

static const cli_steps steps = { "scale odds", run, print_json, print_text, close_all };

int cmd_scale_odds(int argc, char **argv)
{
    static odds_state s;
    s.o = (options){ .broken = ENX_BELIEF_BROKEN, .bad_run = 0.05, .level = 0.9 };
    const cli_option list[] = {
        CLI_RUNS_OPTIONS(s.runs),
        { "broken", '\0', CLI_REAL, &s.o.broken, "P",
          "chance of a break, before any rung is seen (default 0.2)" },
        { "bad-run", '\0', CLI_REAL, &s.o.bad_run, "P",
          "chance that the last run is bad (default 0.05)" },
        { "level", '\0', CLI_REAL, &s.o.level, "P", "of the interval (default 0.9)" },
        { "svg", '\0', CLI_TEXT, (void *)&s.o.svg, "FILE",
          "draw the ladder, the odds over its rungs, and what would change them" },
        { "law", '\0', CLI_TEXT, (void *)&s.o.law, "FILE", "write law and odds for `market`" },
    };
    const cli_spec spec = { "scale odds RUNS.csv [options]",
                            "Does the law hold at the last rung, or has it slowed, stopped or "
                            "reversed, or was one run bad?",
                            "enxame scale odds runs.csv --svg odds.svg",
                            list,
                            sizeof list / sizeof *list,
                            1,
                            1 };
    return cli_run(&spec, &steps, &s, argc, argv);
}
