/* SPDX-License-Identifier: Apache-2.0 */
/* bench_scale.c - every figure of docs/law.md: fits, forecasts and odds, held against goals.
 *
 *     bench_scale [FOLDER]
 *
 * FOLDER holds the published runs as docs/law.md names them; without it, only simulated ladders and
 * speed are measured.  Exit status 1: a goal is missed.
 */
#include "golden_runs.h"
#include "ladder_sim.h"
#include "plat/clock.h"
#include "scale/fit.h"
#include "scale/rungs.h"
#include "scale/surface.h"

#include <stdbool.h>
#include <string.h>

enum { SIMULATED = 2000, RESAMPLES = 4000, POINTS_MAX = 512, LADDERS = 21, HOLDOUTS = 19 };

static int missed;

/* Of the processor: the machine may be busy. */
static double now_s(void) { return 1e-6 * (double)enx_clock_cpu_us(); }

static void goal(const char *what, double value, double low, double high)
{
    const bool is_met = value >= low && value <= high;
    missed += !is_met;
    printf("  %-44s %-12.6g goal %g to %g: %s\n", what, value, low, high,
           is_met ? "met" : "MISSED");
}

static void must(bool is_fine, const enx_report *report)
{
    if (is_fine) return;
    fprintf(stderr, "bench_scale: %s\n", report->text[0] ? report->text : "a file is missing");
    exit(1);
}

/* ---- Chinchilla ----------------------------------------------------------------------------- */

static enx_fit *fit_points(const enx_point *points, uint32_t count, enx_form form,
                           enx_estimator estimator)
{
    enx_fit   *fit = NULL;
    enx_report report = { 0 };
    must(enx_fit_open(&fit, form, estimator, points, count, &report) == ENX_OK, &report);
    return fit;
}

static const enx_runs_options epoch_options = { .map = "N=Model Size,C=Training FLOP,loss=loss",
                                                .trim_worst = 5 };
static const char *const      epoch_file = "chinchilla_epoch_svg_extracted.csv";

static void measure_epoch(const char *folder)
{
    static const char *const keys[] = { "A", "B", "E", "alpha", "beta" };
    const double             want[5] = { 477.83, 2143.4, 1.81722, 0.34731, 0.36717 };
    const double             bound[5] = { 0.4778, 2.143, 1e-4, 1e-4, 1e-4 };
    const double             errors[5] = { 122, 1276, 0.025, 0.015, 0.021 };
    static enx_point         points[POINTS_MAX];
    static double            rows[RESAMPLES * 5], room[RESAMPLES];
    enx_runs                *runs = golden_open(folder, epoch_file, &epoch_options);
    enx_fit_errors           e;
    char                     name[64];
    must(runs, &(enx_report){ 0 });
    const uint32_t count = golden_take(points, 0, runs, &(golden_filter){ 0 });
    printf("Epoch's Chinchilla points: %u\n", count);
    double                start = now_s();
    enx_fit              *fit = fit_points(points, count, ENX_FORM_CHINCHILLA, ENX_ESTIMATOR_HUBER);
    const double          fit_s = now_s() - start;
    const enx_fit_result *r = enx_fit_get(fit);
    goal("objective", r->objective, 0.0010182730, 0.0010182750);
    for (int k = 0; k < 5; k++)
        goal(keys[k], r->natural[k], want[k] - bound[k], want[k] + bound[k]);
    start = now_s();
    for (uint32_t i = 0; i < RESAMPLES; i++) enx_fit_resample(fit, 1, i, room, rows + 5 * i);
    const double resample_s = now_s() - start;
    enx_fit_summarise(&e, rows, RESAMPLES, 5, 5, room);
    for (int k = 0; k < 5; k++) {
        snprintf(name, sizeof name, "standard error of %s", keys[k]);
        goal(name, e.deviation[k], 0.9 * errors[k], 1.1 * errors[k]);
    }
    goal("seconds, 4,500 starts", fit_s, 0, 0.5);
    goal("seconds, 4,000 resamples", resample_s, 0, 0.5);
    enx_fit_close(&fit);
    enx_runs_close(&runs);
}

/* ---- Ladders -------------------------------------------------------------------------------- */

typedef struct source {
    const char *file, *map, *where;
} source;

#define PORIAN(where)                                          \
    {                                                          \
        "porian_optimal_pairs.csv", "C=flops,loss=loss", where \
    }
#define ISO(name)                                                                                  \
    {                                                                                              \
        "openathena_isoflops.csv", "N=params,C=budget,loss=loss", "outlier=False,experiment=" name \
    }
#define GADRE(set)                                                                        \
    {                                                                                     \
        "gadre_models.csv", "N=params,D=tokens,loss=loss_c4_val", "mult=1.0,dataset=" set \
    }

static const source ladders[LADDERS] = {
    PORIAN("dataset=rw,warmup=long,decay=kaplan,param_count=kaplan"),
    PORIAN("dataset=rw,warmup=long,decay=kaplan,param_count=standard"),
    PORIAN("dataset=rw,hparams=base,warmup=short,decay=chinchilla"),
    PORIAN("dataset=rw,hparams=base,warmup=short,decay=kaplan"),
    PORIAN("dataset=rw,hparams=tuned"),
    PORIAN("dataset=owt2,warmup=long,decay=kaplan,param_count=kaplan"),
    PORIAN("dataset=owt2,warmup=long,decay=kaplan,param_count=standard"),
    PORIAN("dataset=owt2,hparams=base,warmup=short,decay=chinchilla"),
    PORIAN("dataset=owt2,hparams=base,warmup=short,decay=kaplan"),
    PORIAN("dataset=owt2,hparams=tuned"),
    ISO("epochai_chinchilla__massivetext__chinchilla"),
    ISO("llama_3__exp_loss"),
    ISO("llama_3__raw_loss"),
    ISO("marin_202603__comma__llama_2"),
    ISO("marin_202603__dclm__llama_2"),
    ISO("marin_202603__nemotron__llama_2"),
    ISO("misfitting__fineweb_c4__transformer"),
    ISO("ml_scalefit__massivetext__chinchilla"),
    GADRE("c4_original"),
    GADRE("rpj"),
    GADRE("rw_original"),
};

static enx_runs *open_source(const char *folder, const source *s)
{
    const enx_runs_options o = { .map = s->map, .where = s->where, .has_duplicates = true };
    enx_runs              *runs = golden_open(folder, s->file, &o);
    must(runs, &(enx_report){ 0 });
    return runs;
}

/* E + A C^-g by least squares over a grid of g: what anybody would try first. */
static double least_squares(const enx_rung *rungs, uint32_t count, double log_flops)
{
    double best = INFINITY, said = 0;
    for (double g = 0.01; g < 1.5; g *= 1.01) {
        double p = 0, pp = 0, y = 0, py = 0, square = 0;
        for (uint32_t i = 0; i < count; i++) {
            const double phi = exp(-g * (rungs[i].log_flops - rungs[0].log_flops));
            p += phi, pp += phi * phi, y += rungs[i].loss, py += phi * rungs[i].loss;
        }
        double a = (count * py - p * y) / (count * pp - p * p), e = (y - a * p) / count;
        if (e < 0) e = 0, a = py / pp;
        for (uint32_t i = 0; i < count; i++) {
            const double phi = exp(-g * (rungs[i].log_flops - rungs[0].log_flops));
            square += pow(e + a * phi - rungs[i].loss, 2);
        }
        if (square >= best) continue;
        best = square;
        said = e + a * exp(-g * (log_flops - rungs[0].log_flops));
    }
    return said;
}

typedef struct rolling {
    double   error, plain, same; /* sums, %: ours, least squares, no change */
    double   inside;
    uint32_t count;
} rolling;

static void roll(rolling *sum, const enx_rungs *rungs, uint32_t ahead)
{
    const enx_belief belief = enx_belief_forecast();
    for (uint32_t k = ENX_LADDER_RUNGS_MIN; k + ahead <= rungs->count; k++) {
        const enx_rung *at = &rungs->rungs[k + ahead - 1];
        enx_ladder     *ladder = NULL;
        enx_report      report = { 0 };
        must(enx_ladder_open(&ladder, rungs->rungs, k, k - 1, &belief, &report) == ENX_OK, &report);
        const enx_outlook o = enx_ladder_forecast(ladder, at, 0.9);
        const double      plain = least_squares(rungs->rungs, k, at->log_flops);
        sum->error += 100 * fabs(log(o.median / at->loss));
        sum->plain += 100 * fabs(log(plain / at->loss));
        sum->same += 100 * fabs(log(rungs->rungs[k - 1].loss / at->loss));
        sum->inside += at->loss >= o.low && at->loss <= o.high;
        sum->count++;
        enx_ladder_close(&ladder);
    }
}

static void measure_ladders(const char *folder)
{
    rolling sums[2] = { 0 };
    for (int i = 0; i < LADDERS; i++) {
        enx_runs  *runs = open_source(folder, &ladders[i]);
        enx_rungs  rungs;
        enx_report report = { 0 };
        must(enx_rungs_gather(&rungs, runs, &report) == ENX_OK, &report);
        for (uint32_t ahead = 1; ahead <= 2; ahead++) roll(&sums[ahead - 1], &rungs, ahead);
        enx_runs_close(&runs);
    }
    for (int k = 0; k < 2; k++) {
        const rolling *s = &sums[k];
        printf("%d rung%s ahead, %d ladders, %u forecasts (least squares %.3f %%, no change %.3f "
               "%%)\n",
               k + 1, k ? "s" : "", LADDERS, s->count, s->plain / s->count, s->same / s->count);
        goal("mean error, %", s->error / s->count, 0, k ? 0.85 : 0.52);
        goal("in the 90 % interval", s->inside / s->count, k ? 0.8 : 0.87, 0.95);
    }
}

/* ---- Hold-outs over N and D ----------------------------------------------------------------- */

typedef struct holdout {
    source        source;
    golden_filter train, test;
    uint32_t      trim_worst;
} holdout;

#define HELD_EPOCH(c)                                                                          \
    {                                                                                          \
        { "chinchilla_epoch_svg_extracted.csv", "N=Model Size,C=Training FLOP,loss=loss", 0 }, \
            { .flops_high = c }, { .flops_low = c, .ratio_low = 2 }, 5                         \
    }
#define HELD_GADRE(set, low, high)                                                                \
    {                                                                                             \
        { "gadre_models.csv", "N=params,D=tokens,loss=loss_c4_val", "dataset=" set },             \
            { .params_high = low }, { .params_low = low, .params_high = high, .ratio_low = 2 }, 0 \
    }
#define HELD_ISO(name, c)                                                     \
    {                                                                         \
        ISO(name), { .flops_high = c }, { .flops_low = c, .ratio_low = 2 }, 0 \
    }
#define HELD_PORIAN(set, c)                                                                   \
    {                                                                                         \
        { "porian_isoflop_grid.csv", "N=n,C=flops,loss=loss", "hparams=tuned,dataset=" set }, \
            { .flops_high = c, .ratio_low = 2 }, { .flops_low = c, .ratio_low = 2 }, 0        \
    }

static const holdout holdouts[HOLDOUTS] = {
    HELD_EPOCH(9e20),
    HELD_EPOCH(2e20),
    HELD_GADRE("c4_original", 1.6e8, 4.5e8),
    HELD_GADRE("c4_original", 4.5e8, 1e10),
    HELD_GADRE("rpj", 1.6e8, 4.5e8),
    HELD_GADRE("rpj", 4.5e8, 1e10),
    HELD_GADRE("rw_original", 1.6e8, 4.5e8),
    HELD_GADRE("rw_original", 4.5e8, 1e10),
    HELD_ISO("llama_3__exp_loss", 9e20),
    HELD_ISO("llama_3__raw_loss", 9e20),
    HELD_ISO("marin_202603__comma__llama_2", 2.7e20),
    HELD_ISO("marin_202603__dclm__llama_2", 2.7e20),
    HELD_ISO("marin_202603__nemotron__llama_2", 2.7e20),
    HELD_ISO("misfitting__fineweb_c4__transformer", 1e19),
    HELD_ISO("ml_scalefit__massivetext__chinchilla", 9e20),
    HELD_PORIAN("rw", 2e19),
    HELD_PORIAN("rw", 5e18),
    HELD_PORIAN("owt2", 2e19),
    HELD_PORIAN("owt2", 5e18),
};

/* Sums over hold-outs: ln of each one's error for all voices together and for each alone. */
typedef struct held_sum {
    double log_error, log_voice[ENX_VOICES_COUNT], inside;
} held_sum;

static void hold_out(held_sum *sum, const char *folder, const holdout *h)
{
    static enx_point       points[POINTS_MAX], larger[POINTS_MAX];
    const enx_runs_options o = { h->source.map, h->source.where, h->trim_worst, true };
    enx_runs              *runs = golden_open(folder, h->source.file, &o);
    enx_surface           *surface = NULL;
    enx_report             report = { 0 };
    must(runs && runs->count <= POINTS_MAX, &report);
    const uint32_t count = golden_take(points, 0, runs, &h->train);
    const uint32_t held = golden_take(larger, 0, runs, &h->test);
    must(enx_surface_open(&surface, points, count, &report) == ENX_OK, &report);
    double error = 0, voices[ENX_VOICES_COUNT] = { 0 }, inside = 0;
    for (uint32_t i = 0; i < held; i++) {
        const double              loss = exp(larger[i].loss);
        const enx_surface_outlook out =
            enx_surface_forecast(surface, exp(larger[i].params), exp(larger[i].tokens), 0.9);
        error += 100 * fabs(log(out.loss / loss)) / held;
        inside += (loss >= out.low && loss <= out.high) / (double)held;
        for (int k = 0; k < ENX_VOICES_COUNT; k++)
            voices[k] += 100 * fabs(log(out.voices[k] / loss)) / held;
    }
    printf("  %-34.34s %-40.40s %3u/%-2u %.2f %% off, %.2f inside\n", h->source.file,
           h->source.where ? h->source.where : "", count, held, error, inside);
    sum->log_error += log(error);
    sum->inside += inside;
    for (int k = 0; k < ENX_VOICES_COUNT; k++) sum->log_voice[k] += log(voices[k]);
    enx_surface_close(&surface);
    enx_runs_close(&runs);
}

static void measure_holdouts(const char *folder)
{
    held_sum sum = { 0 };
    printf("%d hold-outs over N and D\n", HOLDOUTS);
    for (int i = 0; i < HOLDOUTS; i++) hold_out(&sum, folder, &holdouts[i]);
    for (int k = 0; k < ENX_VOICES_COUNT; k++)
        printf("  %s alone: %.3f %%\n", enx_voice_names[k], exp(sum.log_voice[k] / HOLDOUTS));
    goal("geometric mean error, %", exp(sum.log_error / HOLDOUTS), 0, 1.45);
    goal("in the 90 % interval", sum.inside / HOLDOUTS, 0.85, 1);
}

/* ---- The published protocol ----------------------------------------------------------------- */

static void measure_protocol(const char *folder)
{
    const source s = { "gadre_models.csv", "N=params,D=tokens,loss=loss_c4_val", "dataset=rpj" };
    const golden_filter square = { .params_high = 5e8, .ratio_low = 19, .ratio_high = 21 };
    const golden_filter long_one = { .params_high = 2e7, .ratio_low = 300, .ratio_high = 400 };
    enx_point           points[POINTS_MAX];
    enx_surface        *surface = NULL;
    enx_report          report = { 0 };
    enx_runs           *runs = open_source(folder, &s);
    uint32_t            count = golden_take(points, 0, runs, &square);
    count = golden_take(points, count, runs, &long_one);
    enx_fit *fit = fit_points(points, count, ENX_FORM_TIED, ENX_ESTIMATOR_SQUARES);
    must(enx_surface_open(&surface, points, count, &report) == ENX_OK, &report);
    printf("Gadre's protocol, %u runs\n", count);
    for (uint32_t i = 0; i < runs->count; i++) {
        const enx_run *r = &runs->runs[i];
        const bool     is_long = r->params > 1e9 && r->tokens > 1e11 && r->params < 5e9;
        if (!is_long && r->params < 5e9) continue;
        const double said =
            enx_fit_loss(ENX_FORM_TIED, enx_fit_get(fit)->params, r->params, r->tokens);
        const double ours = enx_surface_forecast(surface, r->params, r->tokens, 0.9).loss;
        const double want = is_long ? 0.7103 : 0.7320;
        goal("as published, %", 100 * fabs(said / r->loss - 1), want - 1e-3, want + 1e-3);
        goal("... forecast by all voices, %", 100 * fabs(ours / r->loss - 1), 0, want);
    }
    enx_surface_close(&surface);
    enx_fit_close(&fit);
    enx_runs_close(&runs);
}

/* ---- Odds ----------------------------------------------------------------------------------- */

static sim_score simulate(const sim_options *o, double *named, double *milliseconds)
{
    sim_score score = { 0 };
    uint32_t  reversed = 0, right = 0;
    double    spent = 0;
    for (uint32_t i = 1; i <= SIMULATED; i++) {
        const sim_ladder s = sim_draw(i, o);
        const enx_belief belief = enx_belief_odds(s.count);
        double           odds[ENX_OUTCOMES_COUNT];
        enx_ladder      *ladder = NULL;
        enx_report       report = { 0 };
        uint32_t         first = 0;
        const double     start = now_s();
        must(enx_ladder_open(&ladder, s.rungs, s.count, s.count - 1, &belief, &report) == ENX_OK,
             &report);
        enx_ladder_odds(ladder, odds);
        spent += now_s() - start;
        enx_ladder_close(&ladder);
        sim_count(&score, odds[ENX_OUTCOME_HOLDS], s.truth == ENX_OUTCOME_HOLDS);
        for (uint32_t k = 1; k < ENX_OUTCOMES_COUNT; k++)
            if (odds[k] > odds[first]) first = k;
        if (s.truth != ENX_OUTCOME_REVERSED || s.count - s.place < 3) continue;
        reversed++;
        right += first == ENX_OUTCOME_REVERSED;
    }
    sim_finish(&score);
    *named = reversed ? (double)right / reversed : NAN;
    *milliseconds = 1e3 * spent / SIMULATED;
    return score;
}

static void measure_odds(void)
{
    static const double broken[] = { 0.35, 0.10, 0.175, 0.60, 0.70 };
    double              named, milliseconds;
    printf("%d simulated ladders of each kind\n", SIMULATED);
    for (int is_smooth = 0; is_smooth < 2; is_smooth++)
        for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
            const sim_options o = { .broken = broken[i], .width = is_smooth ? 0.6 : 0 };
            const sim_score   s = simulate(&o, &named, &milliseconds);
            printf("  %s breaks, %.1f %% of ladders broken: Brier %.4f, ECE %.4f\n",
                   is_smooth ? "smooth" : "sharp", 100 * broken[i], s.brier, s.ece);
            if (i > 0) continue;
            for (int b = 0; b < SIM_BINS; b++)
                if (s.in_bin[b])
                    printf("    said %.2f, was %.2f (%u)\n", s.said[b] / s.in_bin[b],
                           s.true_in[b] / s.in_bin[b], s.in_bin[b]);
            goal("Brier score", s.brier, 0, is_smooth ? 0.082 : 0.042);
            goal("calibration error", s.ece, 0, 0.03);
            goal("milliseconds a ladder", milliseconds, 0, 1);
        }
    const sim_options reversals = { .broken = 1, .is_reversed = true };
    simulate(&reversals, &named, &milliseconds);
    goal("reversals of two rungs that are named", named, 0.95, 1);
}

int main(int argc, char **argv)
{
    if (argc > 1 && argv[1][0]) {
        measure_epoch(argv[1]);
        measure_protocol(argv[1]);
        measure_ladders(argv[1]);
        measure_holdouts(argv[1]);
    } else printf("skipped: fits and forecasts, as no folder with published runs is named\n");
    measure_odds();
    printf("%d goals missed\n", missed);
    return missed > 0;
}
