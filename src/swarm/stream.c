/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c - errors are reserved like money, and audits settle them. */
#include "swarm/stream.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

/* ---- Why it is valid ---------------------------------------------------------------------
 *
 * Let offer s be delivered or audited by a coin of chance q_s, and w_s = 1 when the worker's answer
 * is wrong.  Everything is fixed before the coin, by whatever rule or enemy.  N counts the wrong
 * answers that went out (w_s = 1 and no audit); an audit finds the others.  For any lambda > 0 with
 * (1 - q_s) e^lambda < 1 the factor
 *
 *     e^lambda  if wrong and out      rho_s = (1 - (1 - q_s) e^lambda) / q_s  if wrong and audited
 *
 * and 1 for a right answer, has mean exactly 1 over the coin.  So
 *
 *     E = sum over bets g of weight_g e^(lambda_g N) product of rho_s over audits that found wrong
 *
 * is a non-negative martingale from 1, and Ville says P(E ever reaches 1/delta) <= delta.  N cannot
 * be seen, but E grows with it: S(B), which is E with B in the place of N, can be computed.
 *
 * (1) Always.  An unseen wrong answer can only go out at offer n when S(floor(alpha n) + 1) >=
 *     1/delta.  Look at the first moment with N > alpha n: N has just grown, so no audit did at
 *     that step, and E >= S(floor(alpha n) + 1) >= 1/delta.  That has chance delta at most.
 * (2) Lately.  The same martingale begun at offer t - window, for any fixed t, with the audits
 *     since then.  Say the last of its wrong answers went out at s <= t: the rule held at s for
 *     the window that ended there, whose audits include these, so E >= 1/delta at s.
 * (3) An audit under way counts as wrong until its label is there; a label can only raise S.
 * (4) A bet takes part while its lambda is below x, the exponent of the smallest coin so far
 *     (coin >= 1 - e^-x, x never grows), and is left out from then on: that only lowers S.
 * (5) Which bins are delivered, what their coins are above 1 - e^-x, and when something is
 *     forgotten is a function of the past.  Any such rule keeps the promise; this one saves.
 *
 * The numbers below were chosen by simulation of errors that grow with the first and the fourth
 * power of the rank (docs/swarm.md); they steer what is saved, never what is promised.        */

enum {
    BETS = 7,
    BINS = 32,
    CUT_OFFERS = 128,   /* the first ones, whose scores tell where bins begin */
    REVIEW_OFFERS = 64, /* between two looks at what was learnt, and steps of x */
    RELEARN_OFFERS = 150,
    COINS = 16,
    SEARCH_STEPS = 20,
    WINDOW_ERRORS = 400,
};

static const double bet_highest = 1.6, bet_ratio = 1.7; /* lambdas */
static const double weight_power = -1.5;                /* of lambda: a bet's share of the 1 */
static const double coin_start = 5, coin_power = .8;    /* x = start / (alpha n)^power */
static const double pace_base = .1, pace_gain = .35;    /* share of the allowance to spend */
static const double price_low = -5, price_high = 20;    /* logarithms: calls of the lead a nat */
static const double drift_run = 20000; /* labels between two false alarms, on average */
static const double drift_known = 8;   /* labels of a bin before it can say that it changed */

typedef struct audit {
    uint64_t offer;
    bool     is_wrong;   /* else under way */
    double   rho[BETS];  /* logarithms */
    double   sums[BETS]; /* of those from the oldest to this */
} audit;

/* Answers of about the same score; counts fade. */
typedef struct bin {
    double offers;
    double labels;
    double wrong;
    double chance; /* of an error, never falling from bin to bin */
    double coin;   /* 1: escalate */
} bin;

/* A coin that a bin may have. */
typedef struct coin {
    double chance;
    double cost; /* nats that a wrong answer takes away with it, in the mean */
} coin;

enum { LABEL_UNKNOWN, LABEL_RIGHT, LABEL_WRONG };

struct enx_stream {
    enx_stream_options options;
    enx_stream_claim   counts;
    double             lambda[BETS];
    double             weight[BETS]; /* logarithms */
    double             left[BETS];   /* sums of rho of audits that the window left behind */
    audit              audits[ENX_STREAM_AUDITS_MAX]; /* by offer, oldest first */
    uint32_t           audit_count;
    double             exponent;    /* x of invariant 4 */
    double             slack;       /* ln (delta S): what may go out now, in nats */
    double             share[BETS]; /* what of S is each bet's */
    uint64_t           slack_limit;
    bool               is_settled; /* slack is that of slack_limit */
    double             first_scores[CUT_OFFERS];
    uint8_t            first_labels[CUT_OFFERS];
    double             cuts[BINS - 1]; /* falling: bin 0 is the surest */
    bin                bins[BINS];
    uint64_t           relearn_until;
    uint64_t           events;
    double             detectors[2]; /* Shiryaev-Roberts sums: escalated, audited */
};

/* ---- the allowance ------------------------------------------------------------------------- */

/* The exponent of the smallest coin falls with the errors that are allowed so far. */
static void lower_coins(enx_stream *s)
{
    const uint64_t n = s->counts.answers, window = s->options.window;
    const double   errors = s->options.alpha * (double)(n < window ? n : window);
    s->exponent = fmax(coin_start / pow(errors, coin_power), -log1p(-s->options.audit_min));
    s->is_settled = false;
}

static double coin_min(const enx_stream *s) { return -expm1(-s->exponent); }

static uint64_t limit_of(const enx_stream *s, uint64_t answers)
{
    return (uint64_t)floor(s->options.alpha * (double)answers + 1e-9);
}

/* ln (delta S(errors)), and the bets' shares of it. */
static double weigh(const enx_stream *s, double errors, bool is_always, double share[BETS])
{
    const audit *last = s->audit_count ? &s->audits[s->audit_count - 1] : NULL;
    double       logs[BETS], highest = -INFINITY, sum = 0;
    for (int g = 0; g < BETS; g++) {
        logs[g] = -INFINITY;
        if (s->lambda[g] < s->exponent)
            logs[g] = s->weight[g] + s->lambda[g] * errors + (last ? last->sums[g] : 0) +
                      (is_always ? s->left[g] : 0);
        highest = fmax(highest, logs[g]);
    }
    for (int g = 0; g < BETS; g++) {
        share[g] = exp(logs[g] - highest);
        sum += share[g];
    }
    for (int g = 0; g < BETS; g++) share[g] /= sum;
    return highest + log(sum) + log(s->options.delta);
}

/* Of both promises, the one that allows less. */
static void settle_slack(enx_stream *s)
{
    const uint64_t n = s->counts.answers, limit = limit_of(s, n);
    if (s->is_settled && limit == s->slack_limit) return;
    s->slack = weigh(s, (double)limit + 1, true, s->share);
    if (n > s->options.window) {
        double       share[BETS];
        const double slack = weigh(s, (double)limit_of(s, s->options.window) + 1, false, share);
        if (slack < s->slack) {
            s->slack = slack;
            memcpy(s->share, share, sizeof share);
        }
    }
    s->slack_limit = limit;
    s->is_settled = true;
}

/* Sums from the index-th audit on. */
static void sum_audits(enx_stream *s, uint32_t index)
{
    for (uint32_t i = index; i < s->audit_count; i++)
        for (int g = 0; g < BETS; g++)
            s->audits[i].sums[g] = s->audits[i].rho[g] + (i > 0 ? s->audits[i - 1].sums[g] : 0);
    s->is_settled = false;
}

static void remove_audit(enx_stream *s, uint32_t index)
{
    memmove(s->audits + index, s->audits + index + 1,
            (--s->audit_count - index) * sizeof *s->audits);
    sum_audits(s, index);
}

/* Audits that the window leaves behind stay in "always"; one still under way, as wrong. */
static void move_window(enx_stream *s)
{
    while (s->audit_count > 0 && s->counts.answers > s->options.window &&
           s->audits[0].offer <= s->counts.answers - s->options.window) {
        for (int g = 0; g < BETS; g++) s->left[g] += s->audits[0].rho[g];
        remove_audit(s, 0);
    }
}

/* 0 for a bet that does not take part. */
static double rho_of(const enx_stream *s, int bet, double chance)
{
    const double lambda = s->lambda[bet];
    return lambda < s->exponent ? (1 - (1 - chance) * exp(lambda)) / chance : 0;
}

static void begin_audit(enx_stream *s, double chance)
{
    audit *made = &s->audits[s->audit_count++];
    *made = (audit){ .offer = s->counts.answers };
    for (int g = 0; g < BETS; g++) made->rho[g] = log(rho_of(s, g, chance));
    sum_audits(s, s->audit_count - 1);
}

/* ---- what is learnt about scores ----------------------------------------------------------- */

static bool is_cut(const enx_stream *s) { return s->counts.answers > CUT_OFFERS; }

static uint32_t bin_of(const enx_stream *s, double score)
{
    uint32_t low = 0, high = BINS - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (score >= s->cuts[middle]) high = middle;
        else low = middle + 1;
    }
    return low;
}

static void sort_falling(double *values, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const double value = values[i];
        uint32_t     at = i;
        for (; at > 0 && values[at - 1] < value; at--) values[at] = values[at - 1];
        values[at] = value;
    }
}

static void cut_bins(enx_stream *s)
{
    double sorted[CUT_OFFERS];
    memcpy(sorted, s->first_scores, sizeof sorted);
    sort_falling(sorted, CUT_OFFERS);
    for (uint32_t i = 0; i < BINS - 1; i++) s->cuts[i] = sorted[(i + 1) * CUT_OFFERS / BINS - 1];
    for (uint32_t i = 0; i < CUT_OFFERS; i++) {
        bin *at = &s->bins[bin_of(s, s->first_scores[i])];
        at->offers++;
        at->labels += s->first_labels[i] != LABEL_UNKNOWN;
        at->wrong += s->first_labels[i] == LABEL_WRONG;
    }
}

/* Chances of bins from their counts, a prior of one label at half the base rate, and the rule
 * that a surer bin errs no more (pool adjacent violators). */
static void estimate(enx_stream *s)
{
    double   labels = 0, wrong = 0, weight[BINS], chance[BINS];
    uint32_t length[BINS], pools = 0;
    for (uint32_t i = 0; i < BINS; i++) {
        labels += s->bins[i].labels;
        wrong += s->bins[i].wrong;
    }
    const double prior = .5 * fmin(.5, (wrong + .5) / (labels + 1));
    for (uint32_t i = 0; i < BINS; i++) {
        weight[pools] = s->bins[i].labels + 1;
        chance[pools] = (s->bins[i].wrong + prior) / weight[pools];
        length[pools++] = 1;
        for (; pools > 1 && chance[pools - 2] >= chance[pools - 1]; pools--) {
            const double both = weight[pools - 2] + weight[pools - 1];
            chance[pools - 2] =
                (chance[pools - 2] * weight[pools - 2] + chance[pools - 1] * weight[pools - 1]) /
                both;
            weight[pools - 2] = both;
            length[pools - 2] += length[pools - 1];
        }
    }
    for (uint32_t k = 0, i = 0; k < pools; k++)
        for (uint32_t j = 0; j < length[k]; j++) s->bins[i++].chance = chance[k];
}

/* A wrong answer under a coin of chance q is found with chance q, and S is then what is left of
 * each bet's share of it: - q ln (sum of share_g rho_g) nats in the mean. */
static void price_coins(const enx_stream *s, coin coins[COINS + 1])
{
    const double least = coin_min(s);
    for (int i = 0; i < COINS; i++) {
        const double q = pow(least, 1 - (double)i / COINS);
        double       left = 0;
        for (int g = 0; g < BETS; g++) left += s->share[g] * rho_of(s, g, q);
        coins[i] = (coin){ q, -q * log(left) };
    }
    coins[COINS] = (coin){ 1, 0 };
}

/* The cheapest for answers with that chance of an error: a call of the lead costs 1. */
static const coin *choose_coin(const coin coins[COINS + 1], double chance, double price)
{
    const coin *best = &coins[COINS];
    double      least = 1;
    for (int i = 0; i < COINS; i++) {
        const double all = coins[i].chance + price * chance * coins[i].cost;
        if (all < least) {
            least = all;
            best = &coins[i];
        }
    }
    return best;
}

/* Nats that an offer spends in the mean. */
static double spend(const enx_stream *s, const coin coins[COINS + 1], double price)
{
    double offers = 0, spent = 0;
    for (uint32_t i = 0; i < BINS; i++) {
        const bin *at = &s->bins[i];
        offers += at->offers;
        spent += at->offers * at->chance * choose_coin(coins, at->chance, price)->cost;
    }
    return spent / offers;
}

/* Set the coins such that slack is spent at the pace that it is earned, a little faster when there
 * is much of it: with the fewest calls of the lead at that pace, which one price of a nat gives. */
static void review(enx_stream *s)
{
    const double pace = fmin(fmax(pace_base + pace_gain * s->slack, .05), 3);
    double       earned = 0, low = price_low, high = price_high;
    coin         coins[COINS + 1];
    for (int g = 0; g < BETS; g++) earned += s->options.alpha * s->share[g] * s->lambda[g];
    estimate(s);
    price_coins(s, coins);
    for (int step = 0; step < SEARCH_STEPS; step++) {
        const double middle = .5 * (low + high);
        if (spend(s, coins, exp(middle)) > pace * earned) low = middle;
        else high = middle;
    }
    for (uint32_t i = 0; i < BINS; i++)
        s->bins[i].coin = choose_coin(coins, s->bins[i].chance, exp(high))->chance;
}

static void fade(enx_stream *s, double factor)
{
    for (uint32_t i = 0; i < BINS; i++) {
        s->bins[i].offers *= factor;
        s->bins[i].labels *= factor;
        s->bins[i].wrong *= factor;
    }
}

/* Shiryaev-Roberts sum for "errors are 2, 4 or 8 times what was learnt", against a chance that is
 * a deviation above it: where that bounds the chance, the mean number of labels to a false alarm is
 * at least the threshold. */
static bool has_drifted(enx_stream *s, const bin *at, double *detector, bool is_wrong)
{
    const double weight = at->labels + 1;
    const double base = at->chance + sqrt((at->chance + .3 / weight) / weight);
    if (at->labels < drift_known || base > .9) return false;
    double ratio = 0;
    for (double times = 2; times <= 8; times *= 2) {
        const double raised = fmin(base * times, .5 * (1 + base));
        ratio += (is_wrong ? raised / base : (1 - raised) / (1 - base)) / 3;
    }
    *detector = (*detector + 1) * ratio;
    return s->counts.answers > s->relearn_until && *detector > drift_run;
}

static void learn(enx_stream *s, const enx_stream_ticket *ticket, bool is_wrong)
{
    if (!is_cut(s)) {
        s->first_labels[ticket->offer - 1] = is_wrong ? LABEL_WRONG : LABEL_RIGHT;
        return;
    }
    bin       *at = &s->bins[bin_of(s, ticket->score)];
    const bool is_audit = ticket->verdict == ENX_STREAM_AUDIT;
    if (has_drifted(s, at, &s->detectors[is_audit], is_wrong)) enx_stream_forget(s);
    at->labels++;
    at->wrong += is_wrong;
}

/* ---- the door ------------------------------------------------------------------------------ */

static enx_status judge_options(const enx_stream_options *o, enx_report *report)
{
    if (!(o->alpha > 0 && o->alpha < 1) || !(o->delta > 0 && o->delta < 1))
        return ENX_FAIL(report, INVALID, "alpha %g, delta %g: expected both above 0 and below 1",
                        o->alpha, o->delta);
    if (!(o->audit_min >= ENX_STREAM_AUDIT_LEAST && o->audit_min < 1))
        return ENX_FAIL(report, INVALID, "audits with chance %g, expected from %g to below 1",
                        o->audit_min, ENX_STREAM_AUDIT_LEAST);
    if (o->window > ENX_STREAM_WINDOW_MAX)
        return ENX_FAIL(report, LIMIT, "a window of %u answers, at most %d", o->window,
                        ENX_STREAM_WINDOW_MAX);
    return ENX_OK;
}

enx_status enx_stream_open(enx_stream **out, const enx_stream_options *options, enx_report *report)
{
    ENX_CHECK(out && options);
    enx_stream_options o = *options;
    if (o.delta == 0) o.delta = .05;
    if (o.audit_min == 0) o.audit_min = .08;
    if (o.window == 0 && o.alpha > 0)
        o.window = (uint32_t)fmin(ceil(WINDOW_ERRORS / o.alpha), ENX_STREAM_WINDOW_MAX);
    ENX_TRY(judge_options(&o, report));
    enx_stream *s = enx_mem_new(1, sizeof *s);
    if (!s) return ENX_FAIL(report, NOMEM, "no memory for a certificate of a stream");
    s->options = o;
    s->counts = (enx_stream_claim){ .alpha = o.alpha, .delta = o.delta, .window = o.window };
    double sum = 0;
    for (int g = 0; g < BETS; g++) {
        s->lambda[g] = g ? s->lambda[g - 1] / bet_ratio : bet_highest;
        sum += pow(s->lambda[g], weight_power);
    }
    for (int g = 0; g < BETS; g++) s->weight[g] = weight_power * log(s->lambda[g]) - log(sum);
    for (uint32_t i = 0; i < BINS; i++) s->bins[i].coin = 1;
    *out = s;
    return ENX_OK;
}

void enx_stream_close(enx_stream **stream)
{
    enx_mem_free(*stream);
    *stream = NULL;
}

/* The coin of an offer is a function of the seed and its number alone. */
static bool is_heads(const enx_stream *s, double chance)
{
    enx_rng rng = enx_rng_open(s->options.seed, s->counts.answers);
    return enx_rng_unit(&rng) < chance;
}

static enx_stream_verdict decide(enx_stream *s, double score, double *chance)
{
    const uint64_t n = s->counts.answers;
    if (!is_cut(s)) {
        s->first_scores[n - 1] = score;
        if (n == CUT_OFFERS) cut_bins(s);
        return ENX_STREAM_ESCALATE;
    }
    if (n == CUT_OFFERS + 1 || n % REVIEW_OFFERS == 0) lower_coins(s);
    move_window(s);
    settle_slack(s);
    bin *at = &s->bins[bin_of(s, score)];
    at->offers++;
    if (n % REVIEW_OFFERS == 0) {
        fade(s, exp2(-(double)REVIEW_OFFERS / s->options.window));
        review(s);
    }
    if (s->slack < 0 || n <= s->relearn_until || at->coin >= 1 ||
        s->audit_count == ENX_STREAM_AUDITS_MAX)
        return ENX_STREAM_ESCALATE;
    *chance = fmax(at->coin, coin_min(s));
    if (!is_heads(s, *chance)) return ENX_STREAM_DELIVER;
    begin_audit(s, *chance);
    return ENX_STREAM_AUDIT;
}

enx_stream_verdict enx_stream_offer(enx_stream *s, double score, enx_stream_ticket *ticket)
{
    const double known = isnan(score) ? -INFINITY : score;
    s->counts.answers++;
    s->events++;
    *ticket = (enx_stream_ticket){ .offer = s->counts.answers, .score = known, .chance = 1 };
    ticket->verdict = decide(s, known, &ticket->chance);
    s->counts.delivered += ticket->verdict == ENX_STREAM_DELIVER;
    s->counts.audited += ticket->verdict == ENX_STREAM_AUDIT;
    s->counts.escalated += ticket->verdict == ENX_STREAM_ESCALATE;
    return ticket->verdict;
}

static void end_audit(enx_stream *s, uint64_t offer, bool is_wrong)
{
    uint32_t i = 0;
    while (i < s->audit_count && s->audits[i].offer != offer) i++;
    if (i == s->audit_count) return; /* the window left it behind */
    ENX_CHECK(!s->audits[i].is_wrong);
    s->audits[i].is_wrong = is_wrong;
    if (!is_wrong) remove_audit(s, i);
}

void enx_stream_label(enx_stream *s, const enx_stream_ticket *ticket, bool is_wrong)
{
    ENX_CHECK(ticket->offer > 0 && ticket->offer <= s->counts.answers &&
              ticket->verdict != ENX_STREAM_DELIVER);
    s->events++;
    if (ticket->verdict == ENX_STREAM_AUDIT) {
        end_audit(s, ticket->offer, is_wrong);
        s->counts.audits_wrong += is_wrong;
    }
    learn(s, ticket, is_wrong);
}

void enx_stream_forget(enx_stream *s)
{
    fade(s, .02);
    for (uint32_t i = 0; i < BINS; i++) s->bins[i].coin = 1;
    s->detectors[0] = s->detectors[1] = 0;
    s->relearn_until = s->counts.answers + RELEARN_OFFERS;
    s->counts.drifts++;
}

/* The most errors that are not refuted, as a share of the answers. */
static double bound(const enx_stream *s, bool is_always)
{
    const uint64_t n = s->counts.answers, window = s->options.window;
    const uint64_t answers = is_always || n < window ? n : window;
    uint64_t       low = 0, high = limit_of(s, answers); /* this much is promised in any case */
    double         share[BETS];
    while (low < high) {
        const uint64_t middle = (low + high) / 2;
        if (weigh(s, (double)middle + 1, is_always, share) >= 0) high = middle;
        else low = middle + 1;
    }
    const uint64_t most = s->counts.delivered < low ? s->counts.delivered : low;
    return answers ? (double)most / (double)answers : 0;
}

enx_stream_claim enx_stream_result(const enx_stream *s)
{
    enx_stream_claim claim = s->counts;
    claim.always = bound(s, true);
    claim.lately = bound(s, false);
    return claim;
}

uint64_t enx_stream_drifts(const enx_stream *s) { return s->counts.drifts; }

uint64_t enx_stream_answers(const enx_stream *s) { return s->counts.answers; }

uint64_t enx_stream_events(const enx_stream *s) { return s->events; }
