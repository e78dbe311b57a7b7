/* SPDX-License-Identifier: Apache-2.0 */
/* ladder.c - exact sums over explanations.
 *
 * A cell is one explanation: an exponent, a break (or none), an extra column (or none) with the
 * shift of the last run or the rise after a break.  Given these, runs are linear in E, A and the
 * extra column's coefficient, and linear.h gives the cell's evidence and its forecast.
 *
 * 1. E and A below zero are no law: such a cell keeps exp(-20) of its weight.
 * 2. Cells of less than 1e-9 of the heaviest are forgotten once odds are known; forecasts and
 *    quantiles go over the rest.
 * 3. All cells have the same degrees of freedom, so one table of the t distribution serves them.
 * 4. A reversal is a stop and, from there on, a rise of its own: slopes below zero on a grid would
 *    have to hit the noise of one rung, and a free coefficient need not.
 */
#include "scale/ladder.h"

#include "base/check.h"
#include "base/mem.h"
#include "scale/linear.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    COLUMNS = ENX_LINEAR_COLUMNS, /* E, A, extra */
    EXPONENTS = 24,
    SLOPES = 5,
    WIDTHS = 3,
    BREAK_FIRST = 2, /* three rungs before a break, or E and A could bend to it */
    TABLE = 1024,
    DOUBLINGS_MAX = 20, /* of an interval that a quantile is looked for in */
};

static const double same_time = 1e-6; /* t nearer than this is the same */
static const double negative_nats = 20, forget_below = 1e-9;
static const double exponent_low = 0.02, exponent_high = 0.9;
static const double overfit_epochs = 16; /* beyond the free ones: two texts in three by heart */
static const double overfit_rise = 0.15; /* of the loss, a rung step: its standard deviation */
static const double table_end = 40;      /* of |t|; beyond, a power law */

/* s changes its slope by this factor, with this share of all breaks. */
typedef struct slope_prior {
    double      factor, share;
    enx_outcome outcome;
} slope_prior;

static const slope_prior slopes[SLOPES] = {
    { 0, 0.43, ENX_OUTCOME_STOPPED },  { 0.3, 0.19, ENX_OUTCOME_SLOWED },
    { 0.6, 0.19, ENX_OUTCOME_SLOWED }, { 1.7, 0.14, ENX_OUTCOME_FASTER },
    { 0, 0.05, ENX_OUTCOME_REVERSED },
};

/* Over how many rung steps a break bends. */
static const double widths[WIDTHS] = { 0, 0.5, 1 }, width_shares[WIDTHS] = { 0.5, 0.3, 0.2 };

const char *const enx_outcome_names[ENX_OUTCOMES_COUNT] = {
    "holds", "slowed", "stopped", "reversed", "faster", "bad_run",
};

/* A third column beside E and A. */
typedef enum extra {
    EXTRA_NONE,
    EXTRA_SHIFT, /* of the suspect run */
    EXTRA_RISE,  /* of the loss after the break, a rung step */
} extra;

/* What an explanation says but for the exponent. */
typedef struct shape {
    double      place;  /* of the break, t; INFINITY: none */
    double      factor; /* of the slope after it */
    double      width;
    enx_outcome outcome;
    extra       extra;
    double      extra_deviation; /* of its coefficient, as a share of the loss */
    bool        is_worth;        /* t counts what repeated text is worth */
    bool        is_wall;
} shape;

typedef struct cell {
    double               weight; /* ln, then a share of 1 */
    double               exponent;
    shape                shape;
    enx_linear_posterior linear;
} cell;

struct enx_ladder {
    uint32_t   count, suspect;
    enx_rung   rungs[ENX_LADDER_RUNGS_MAX];
    double     t[ENX_LADDER_RUNGS_MAX];       /* of compute, 0 at the first rung */
    double     t_worth[ENX_LADDER_RUNGS_MAX]; /* of what repeated text is worth */
    double     step;                          /* median of t's steps above 0 */
    bool       has_repeats;
    enx_belief belief;
    double     exponents[EXPONENTS], exponent_shares[EXPONENTS];
    uint32_t   cell_count; /* remembered */
    cell      *cells;
    double     odds[ENX_OUTCOMES_COUNT];
    double     prior[ENX_OUTCOMES_COUNT];
    double     wall;
    double     freedom;
    double     table[TABLE + 1]; /* of the t distribution's function, t from 0 to table_end */
};

/* Breaks may be at all rungs but the first BREAK_FIRST and the last. */
double enx_belief_hazard(double broken, uint32_t rung_count)
{
    const uint32_t places = rung_count > BREAK_FIRST + 2 ? rung_count - BREAK_FIRST - 1 : 1;
    return -expm1(log1p(-broken) / places);
}

enx_belief enx_belief_odds(uint32_t rung_count)
{
    return (enx_belief){ .hazard = enx_belief_hazard(ENX_BELIEF_BROKEN, rung_count),
                         .bad_run = 0.05,
                         .wall = 0.25,
                         .noise = 0.003,
                         .noise_weight = 3,
                         .exponent = 0.16,
                         .exponent_spread = 0.4,
                         .floor = 0.7,
                         .floor_spread = 0.25,
                         .shift = 0.05 };
}

enx_belief enx_belief_forecast(void)
{
    enx_belief b = enx_belief_odds(0);
    b.hazard = 0.15;
    b.noise = 0.002;
    b.noise_weight = 2;
    b.exponent_spread = 0.6;
    b.floor = 0.5;
    b.floor_spread = 0.2;
    return b;
}

double enx_epochs_worth(double epochs)
{
    const double half_life = 15.387756; /* R_D* of the source's table 2 */
    return epochs > 1 ? 1 + half_life * -expm1(-(epochs - 1) / half_life) : 1;
}

/* ---- One cell ------------------------------------------------------------------------------- */

/* The time s that a shape makes of t. */
static double bend(const shape *h, double t)
{
    if (h->width > 0) {
        const double z = (t - h->place) / h->width;
        return t + (h->factor - 1) * h->width * (z > 0 ? z + log1p(exp(-z)) : log1p(exp(z)));
    }
    return t > h->place ? h->place + h->factor * (t - h->place) : t;
}

static double extra_at(const enx_ladder *l, const shape *h, double t, bool is_suspect)
{
    if (h->extra == EXTRA_RISE) return fmax(0, t - h->place) / l->step;
    return h->extra == EXTRA_SHIFT && is_suspect ? 1 : 0;
}

/* A shape's columns at each rung. */
typedef struct columns {
    double           s[ENX_LADDER_RUNGS_MAX], extra[ENX_LADDER_RUNGS_MAX];
    enx_linear_prior prior;
} columns;

/* Fill in what the rungs say about the cell, and add its ln evidence to its weight. */
static void weigh(const enx_ladder *l, cell *c, const columns *x)
{
    enx_linear sum;
    enx_linear_begin(&sum, &x->prior);
    for (uint32_t i = 0; i < l->count; i++) {
        const double row[COLUMNS] = { 1, exp(-c->exponent * x->s[i]), x->extra[i] };
        enx_linear_add(&sum, row, l->rungs[i].loss, l->rungs[i].weight);
    }
    enx_linear_solve(&sum, &c->linear);
    const double *mean = c->linear.mean;
    const bool    is_falling = c->shape.extra == EXTRA_RISE && mean[2] < 0;
    c->weight += c->linear.evidence;
    if (mean[0] < 0 || mean[1] < 0 || is_falling) c->weight -= negative_nats;
}

/* ---- All cells ------------------------------------------------------------------------------ */

/* A shape with every exponent. */
static void add(enx_ladder *l, double share, const shape *h)
{
    const enx_belief *b = &l->belief;
    const double      last = l->rungs[l->count - 1].loss;
    columns           x;
    if (!(share > 0)) return;
    for (uint32_t i = 0; i < l->count; i++) {
        const double t = h->is_worth ? l->t_worth[i] : l->t[i];
        x.s[i] = bend(h, t);
        x.extra[i] = extra_at(l, h, t, i == l->suspect);
    }
    const double third = h->extra == EXTRA_NONE ? 1 : h->extra_deviation;
    x.prior = (enx_linear_prior){ .mean = { b->floor * last, l->rungs[0].loss - b->floor * last },
                                  .deviation = { b->floor_spread * last, b->floor_spread * last,
                                                 third * last },
                                  .noise = b->noise,
                                  .noise_weight = b->noise_weight };
    for (int i = 0; i < EXPONENTS; i++) {
        cell *c = &l->cells[l->cell_count++];
        c->exponent = l->exponents[i];
        c->shape = *h;
        c->weight = log(share * l->exponent_shares[i]);
        weigh(l, c, &x);
    }
    l->prior[h->outcome] += share;
}

/* A break at rung `at`, of any slope and width. */
static void add_break(enx_ladder *l, double share, uint32_t at)
{
    for (int k = 0; k < SLOPES; k++) {
        const bool is_rise = slopes[k].outcome == ENX_OUTCOME_REVERSED;
        shape      h = { .place = l->t[at],
                         .factor = slopes[k].factor,
                         .outcome = slopes[k].outcome,
                         .extra = is_rise ? EXTRA_RISE : EXTRA_NONE,
                         .extra_deviation = l->belief.shift };
        for (int w = 0; w < WIDTHS; w++) {
            h.width = widths[w] * l->step;
            add(l, share * slopes[k].share * width_shares[w], &h);
        }
    }
}

/* The chance that text read that often is learnt by heart, so that the loss rises. */
static double overfit_chance(double epochs)
{
    return epochs > ENX_EPOCHS_FREE ? -expm1(-(epochs - ENX_EPOCHS_FREE) / overfit_epochs) : 0;
}

static void add_all(enx_ladder *l)
{
    const enx_belief *b = &l->belief;
    const shape       law = { .place = INFINITY, .factor = 1, .outcome = ENX_OUTCOME_HOLDS };
    shape             h = law;
    double            left = 1 - b->bad_run;
    h.extra = EXTRA_SHIFT;
    h.extra_deviation = b->shift;
    h.outcome = ENX_OUTCOME_BAD_RUN;
    if (l->suspect < l->count) add(l, b->bad_run, &h);
    if (l->has_repeats) {
        h = law;
        h.is_worth = h.is_wall = true;
        h.outcome = ENX_OUTCOME_SLOWED;
        add(l, left * b->wall, &h);
        left *= 1 - b->wall;
    }
    for (uint32_t i = BREAK_FIRST; i + 1 < l->count; i++) {
        const double overfit = overfit_chance(l->rungs[i + 1].epochs);
        if (!(l->t[i + 1] > l->t[i] + same_time))
            continue; /* nothing would tell it from the next */
        h = (shape){ .place = l->t[i],
                     .outcome = ENX_OUTCOME_REVERSED,
                     .extra = EXTRA_RISE,
                     .extra_deviation = overfit_rise,
                     .is_wall = true };
        add(l, left * overfit, &h);
        left *= 1 - overfit;
        add_break(l, left * b->hazard, i);
        left *= 1 - b->hazard;
    }
    add(l, left, &law);
}

static void set_exponents(enx_ladder *l)
{
    const double low = log(exponent_low), step = (log(exponent_high) - low) / (EXPONENTS - 1);
    double       sum = 0;
    for (int i = 0; i < EXPONENTS; i++) {
        const double z = (low + i * step - log(l->belief.exponent)) / l->belief.exponent_spread;
        l->exponents[i] = exp(low + i * step);
        sum += l->exponent_shares[i] = exp(-0.5 * z * z);
    }
    for (int i = 0; i < EXPONENTS; i++) l->exponent_shares[i] /= sum;
}

/* Weights to shares of 1, odds, and what is not worth remembering away. */
static void settle(enx_ladder *l)
{
    double   top = -INFINITY, sum = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->cell_count; i++) top = fmax(top, l->cells[i].weight);
    for (uint32_t i = 0; i < l->cell_count; i++) {
        cell *c = &l->cells[i];
        c->weight = exp(c->weight - top);
        sum += c->weight;
        l->odds[c->shape.outcome] += c->weight;
        if (c->shape.is_wall) l->wall += c->weight;
        if (c->weight > forget_below) l->cells[kept++] = *c;
    }
    l->cell_count = kept;
    for (uint32_t i = 0; i < kept; i++) l->cells[i].weight /= sum;
    for (int k = 0; k < ENX_OUTCOMES_COUNT; k++) l->odds[k] /= sum;
    l->wall /= sum;
}

/* The distribution function of Student's t by the midpoint rule, in z = atan(t / sqrt(freedom)),
 * where its density is cos^(freedom - 1). */
static void fill_table(enx_ladder *l)
{
    enum { PARTS = 8 };
    const double n = l->freedom, root = sqrt(n);
    double       sum = 0, last = 0;
    for (int i = 0; i <= TABLE; i++) {
        const double z = atan(table_end * i / TABLE / root), step = (z - last) / PARTS;
        for (int k = 0; k < PARTS && i > 0; k++)
            sum += step * pow(cos(last + (k + 0.5) * step), n - 1);
        last = z;
        l->table[i] = sum;
    }
    const double whole = 0.5 * exp(lgamma(0.5 * n) - lgamma(0.5 * (n + 1))) * sqrt(acos(-1));
    for (int i = 0; i <= TABLE; i++) l->table[i] = fmin(0.5 * l->table[i] / whole, 0.5);
}

static double below(const enx_ladder *l, double t)
{
    const double at = fabs(t) * TABLE / table_end;
    double       half = l->table[TABLE];
    if (at < TABLE) {
        const int i = (int)at;
        half = l->table[i] + (at - i) * (l->table[i + 1] - l->table[i]);
    }
    return t < 0 ? 0.5 - half : 0.5 + half;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static enx_status check_belief(const enx_belief *b, enx_report *report)
{
    const struct {
        const char *key;
        double      value, low, high;
    } rows[] = {
        { "hazard", b->hazard, 0, 0.9 },
        { "bad_run", b->bad_run, 0, 0.9 },
        { "wall", b->wall, 0, 0.9 },
        { "noise", b->noise, 1e-6, 1 },
        { "noise_weight", b->noise_weight, 0.5, 1e6 },
        { "exponent", b->exponent, 1e-3, 10 },
        { "exponent_spread", b->exponent_spread, 1e-3, 10 },
        { "floor", b->floor, 0, 1 },
        { "floor_spread", b->floor_spread, 1e-3, 10 },
        { "shift", b->shift, 1e-4, 10 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!(rows[i].value >= rows[i].low && rows[i].value <= rows[i].high))
            return ENX_FAIL(report, INVALID, "%s: %g is not from %g to %g", rows[i].key,
                            rows[i].value, rows[i].low, rows[i].high);
    return ENX_OK;
}

static enx_status check_rungs(const enx_rung *rungs, uint32_t count, enx_report *report)
{
    if (count < ENX_LADDER_RUNGS_MIN)
        return ENX_FAIL(report, INVALID,
                        "%u rungs of different compute; a forecast needs at least %d, odds %d",
                        count, ENX_LADDER_RUNGS_MIN, ENX_LADDER_ODDS_MIN);
    if (count > ENX_LADDER_RUNGS_MAX)
        return ENX_FAIL(report, LIMIT, "%u rungs; at most %d", count, ENX_LADDER_RUNGS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (!(rungs[i].loss > 0 && isfinite(rungs[i].loss) && isfinite(rungs[i].log_flops)))
            return ENX_FAIL(report, INVALID, "rung %u: loss %g at compute %g", i + 1, rungs[i].loss,
                            exp(rungs[i].log_flops));
        if (i > 0 && rungs[i].log_flops < rungs[i - 1].log_flops)
            return ENX_FAIL(report, INVALID, "rung %u has less compute than the one before", i + 1);
    }
    if (!(rungs[count - 1].log_flops - rungs[0].log_flops > 0.5))
        return ENX_FAIL(report, INVALID,
                        "compute grows by a factor of %.3g only from the first rung to the last; "
                        "a law needs at least 1.7, and 10 to be told from noise",
                        exp(rungs[count - 1].log_flops - rungs[0].log_flops));
    return ENX_OK;
}

static double worth_of(const enx_rung *r)
{
    return r->epochs > 1 ? log(enx_epochs_worth(r->epochs) / r->epochs) : 0;
}

static double median_step(const enx_ladder *l)
{
    double   steps[ENX_LADDER_RUNGS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 1; i < l->count; i++) {
        const double step = l->t[i] - l->t[i - 1];
        uint32_t     at = count;
        if (!(step > 1e-6)) continue;
        for (count++; at > 0 && steps[at - 1] > step; at--) steps[at] = steps[at - 1];
        steps[at] = step;
    }
    return 0.5 * (steps[(count - 1) / 2] + steps[count / 2]);
}

static void prepare(enx_ladder *l, const enx_rung *rungs, uint32_t count, uint32_t suspect,
                    const enx_belief *belief)
{
    l->count = count;
    l->suspect = suspect;
    l->belief = *belief;
    memcpy(l->rungs, rungs, count * sizeof *rungs);
    for (uint32_t i = 0; i < count; i++) {
        if (l->rungs[i].weight == 0) l->rungs[i].weight = 1;
        l->t[i] = rungs[i].log_flops - rungs[0].log_flops;
        l->t_worth[i] = l->t[i] + worth_of(&rungs[i]);
        l->has_repeats = l->has_repeats || worth_of(&rungs[i]) < -0.01;
    }
    l->step = median_step(l);
    l->freedom = 2 * belief->noise_weight + count;
}

enx_status enx_ladder_open(enx_ladder **out, const enx_rung *rungs, uint32_t count,
                           uint32_t suspect, const enx_belief *belief, enx_report *report)
{
    ENX_CHECK(out && belief && (rungs || count == 0));
    ENX_TRY(check_belief(belief, report));
    ENX_TRY(check_rungs(rungs, count, report));
    const size_t cells = EXPONENTS * (3 + (size_t)count * (1 + SLOPES * WIDTHS));
    enx_ladder  *l = ENX_MEM_NEW(enx_ladder, 1);
    if (l) l->cells = ENX_MEM_NEW(cell, cells);
    if (!l || !l->cells) {
        enx_ladder_close(&l);
        return ENX_FAIL(report, NOMEM, "no memory for %u rungs", count);
    }
    prepare(l, rungs, count, suspect, belief);
    set_exponents(l);
    add_all(l);
    settle(l);
    fill_table(l);
    *out = l;
    return ENX_OK;
}

void enx_ladder_close(enx_ladder **ladder)
{
    if (!*ladder) return;
    enx_mem_free((*ladder)->cells);
    enx_mem_free(*ladder);
    *ladder = NULL;
}

/* ---- What they say -------------------------------------------------------------------------- */

void enx_ladder_odds(const enx_ladder *l, double odds[ENX_OUTCOMES_COUNT])
{
    memcpy(odds, l->odds, sizeof l->odds);
}

double enx_ladder_wall(const enx_ladder *l) { return l->wall; }

double enx_ladder_factor(const enx_ladder *l)
{
    const double holds = l->odds[ENX_OUTCOME_HOLDS], prior = l->prior[ENX_OUTCOME_HOLDS];
    double       fails = 0, prior_fails = 0;
    for (int k = ENX_OUTCOME_HOLDS + 1; k < ENX_OUTCOMES_COUNT; k++) {
        fails += l->odds[k];
        prior_fails += l->prior[k];
    }
    return log(fmax(holds, DBL_MIN) / fmax(fails, DBL_MIN)) - log(prior / prior_fails);
}

double enx_ladder_exponent(const enx_ladder *l)
{
    double sum = 0;
    for (uint32_t i = 0; i < l->cell_count; i++) sum += l->cells[i].weight * l->cells[i].exponent;
    return sum;
}

double enx_ladder_exponent_deviation(const enx_ladder *l)
{
    const double mean = enx_ladder_exponent(l);
    double       sum = 0;
    for (uint32_t i = 0; i < l->cell_count; i++)
        sum += l->cells[i].weight * pow(l->cells[i].exponent - mean, 2);
    return sqrt(sum);
}

double enx_ladder_floor(const enx_ladder *l)
{
    double sum = 0;
    for (uint32_t i = 0; i < l->cell_count; i++)
        sum += l->cells[i].weight * l->cells[i].linear.mean[0];
    return sum;
}

/* Within cells a Student t of variance spread scale n / (n - 2), and between them. */
double enx_ladder_floor_deviation(const enx_ladder *l)
{
    const double mean = enx_ladder_floor(l), wide = l->freedom / (l->freedom - 2);
    double       sum = 0;
    for (uint32_t i = 0; i < l->cell_count; i++) {
        const enx_linear_posterior *p = &l->cells[i].linear;
        sum += l->cells[i].weight * (pow(p->mean[0] - mean, 2) + p->spread[0] * p->scale * wide);
    }
    return sqrt(sum);
}

/* A cell's forecast: a Student t around `centre`. */
static void predict(const enx_ladder *l, const cell *c, const enx_rung *at, double *centre,
                    double *scale)
{
    const shape *h = &c->shape;
    const double t = at->log_flops - l->rungs[0].log_flops + (h->is_worth ? worth_of(at) : 0);
    const double x[COLUMNS] = { 1, exp(-c->exponent * bend(h, t)), extra_at(l, h, t, false) };
    *centre = enx_linear_predict(&c->linear, x, at->weight > 0 ? at->weight : 1, scale);
}

typedef struct mixture {
    const enx_ladder *ladder;
    const enx_rung   *at;
    bool              is_law; /* cells of the law alone */
    double            weight; /* of these */
} mixture;

static bool has(const mixture *m, const cell *c)
{
    return !m->is_law || c->shape.outcome == ENX_OUTCOME_HOLDS;
}

static double mixture_below(const mixture *m, double y)
{
    double sum = 0;
    for (uint32_t i = 0; i < m->ladder->cell_count; i++) {
        const cell *c = &m->ladder->cells[i];
        double      centre, scale;
        if (!has(m, c)) continue;
        predict(m->ladder, c, m->at, &centre, &scale);
        sum += c->weight * below(m->ladder, (y - centre) / scale);
    }
    return sum / m->weight;
}

static double mixture_quantile(const mixture *m, double q, double low, double high)
{
    for (int i = 0; i < DOUBLINGS_MAX && mixture_below(m, low) > q; i++) low -= high - low;
    for (int i = 0; i < DOUBLINGS_MAX && mixture_below(m, high) < q; i++) high += high - low;
    for (int i = 0; i < 40 && high - low > 1e-7 * fabs(high); i++) {
        const double middle = (low + high) / 2;
        if (mixture_below(m, middle) < q) low = middle;
        else high = middle;
    }
    return (low + high) / 2;
}

static enx_outlook look(mixture *m, double level)
{
    const enx_ladder *l = m->ladder;
    enx_outlook       out = { 0 };
    double            square = 0;
    m->weight = 0;
    for (uint32_t i = 0; i < l->cell_count; i++) {
        const cell *c = &l->cells[i];
        double      centre, scale;
        if (!has(m, c)) continue;
        predict(l, c, m->at, &centre, &scale);
        m->weight += c->weight;
        out.mean += c->weight * centre;
        square += c->weight * (centre * centre + scale * scale * l->freedom / (l->freedom - 2));
    }
    if (!(m->weight > 0)) return (enx_outlook){ NAN, NAN, NAN, NAN, NAN };
    out.mean /= m->weight;
    out.deviation = sqrt(fmax(square / m->weight - out.mean * out.mean, 0));
    const double wide = 3 * out.deviation + 1e-12 * fabs(out.mean);
    out.median = mixture_quantile(m, 0.5, out.mean - wide, out.mean + wide);
    out.low = mixture_quantile(m, (1 - level) / 2, out.mean - wide, out.median);
    out.high = mixture_quantile(m, (1 + level) / 2, out.median, out.mean + wide);
    return out;
}

enx_outlook enx_ladder_forecast(const enx_ladder *l, const enx_rung *at, double level)
{
    mixture m = { l, at, false, 0 };
    return look(&m, level);
}

enx_outlook enx_ladder_forecast_law(const enx_ladder *l, const enx_rung *at, double level)
{
    mixture m = { l, at, true, 0 };
    return look(&m, level);
}

double enx_ladder_quantile(const enx_ladder *l, const enx_rung *at, double q)
{
    const enx_outlook o = enx_ladder_forecast(l, at, 0.5);
    mixture           m = { l, at, false, 0 };
    for (uint32_t i = 0; i < l->cell_count; i++) m.weight += l->cells[i].weight;
    return mixture_quantile(&m, q, o.median - o.deviation, o.median + o.deviation);
}

double enx_ladder_density(const enx_ladder *l, const enx_rung *at)
{
    const double n = l->freedom;
    const double top = lgamma(0.5 * (n + 1)) - lgamma(0.5 * n) - 0.5 * log(n * acos(-1));
    double       sum = 0;
    for (uint32_t i = 0; i < l->cell_count; i++) {
        double centre, scale;
        predict(l, &l->cells[i], at, &centre, &scale);
        const double z = (at->loss - centre) / scale;
        sum += l->cells[i].weight / scale * exp(-0.5 * (n + 1) * log1p(z * z / n));
    }
    return top + log(sum);
}
