/* SPDX-License-Identifier: Apache-2.0 */
/* cli_trials.c - worlds in which a certificate is put on trial. */
#include "cli/cli_trials.h"

#include "base/binomial.h"
#include "base/mem.h"
#include "base/rng.h"
#include "bench/bargain.h"
#include "swarm/certificate.h"
#include "swarm/stream.h"

#include <math.h>

enum { RANKS_MAX = 256 };

static const double sure_share = .03;

const cli_regime cli_regimes[] = {
    { "strong", CLI_REGIME_BATCH, 5000, .05, 4, 0, 1 },
    { "moderate", CLI_REGIME_BATCH, 5000, .05, 1, 0, 1 },
    { "useless", CLI_REGIME_BATCH, 5000, .05, 0, 0, 1 },
    { "confident wrong", CLI_REGIME_BATCH, 5000, .05, 4, .35, 1 },
    { "easy", CLI_REGIME_BATCH, 5000, .01, 2, 0, 1 },
    { "borderline", CLI_REGIME_BORDER, 5000, 0, 4, 0, 1 },
    { "many errors", CLI_REGIME_BATCH, 5000, .15, 4, 0, 1 },
    { "few tasks", CLI_REGIME_BATCH, 600, .05, 2, 0, 1 },
    { "adversarial order", CLI_REGIME_ADVERSARIAL, 3000, 0, 0, 0, 1 },
    { "optional stopping", CLI_REGIME_STOPPED, 3000, 0, 0, 0, 1 },
    { "stream strong", CLI_REGIME_STREAM, 20000, .05, 4, 0, 1 },
    { "stream moderate", CLI_REGIME_STREAM, 20000, .05, 1, 0, 1 },
    { "stream useless", CLI_REGIME_STREAM, 20000, .05, 0, 0, 1 },
    { "stream drift x2", CLI_REGIME_STREAM, 20000, .05, 1, 0, 2 },
    { "stream drift x3", CLI_REGIME_STREAM, 20000, .05, 4, 0, 3 },
    { "stream drift x8", CLI_REGIME_STREAM, 20000, .05, 4, 0, 8 },
    { "stream betrayal", CLI_REGIME_BETRAYAL, 20000, .05, 4, 0, 1 },
};
const uint32_t cli_regime_count = sizeof cli_regimes / sizeof *cli_regimes;

bool cli_regime_is_stream(const cli_regime *regime) { return regime->kind >= CLI_REGIME_STREAM; }

/* One world: who is wrong, by rank of the score. */
typedef struct world {
    uint32_t count;
    uint8_t  wrong[CLI_TRIALS_TASKS_MAX];
    uint8_t  is_labelled[CLI_TRIALS_TASKS_MAX];
    uint32_t order[CLI_TRIALS_TASKS_MAX]; /* a random permutation of the ranks */
} world;

static double chance_of(const cli_regime *r, double rank)
{
    const double chance = r->base * (r->power + 1) * pow(rank, r->power);
    return fmin(1, rank < sure_share ? chance + r->sure_wrong : chance);
}

static void shuffle(uint32_t *order, uint32_t count, enx_rng *rng)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t j = (uint32_t)enx_rng_below(rng, (uint64_t)i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

/* One wrong answer more than the target allows, somewhere in the surest two thirds: a claim about
 * any longer prefix is false, by the least that it can be. */
static void fill_adversarial(world *w, double target, enx_rng *rng)
{
    const uint32_t prefix = 2 * w->count / 3;
    uint32_t       left = (uint32_t)floor((1 - target) * w->count + 1e-9) + 1;
    for (uint32_t i = 0; i < prefix; i++) {
        w->wrong[i] = enx_rng_below(rng, prefix - i) < left;
        left -= w->wrong[i];
    }
}

static void fill_batch(world *w, const cli_regime *regime, double target, enx_rng *rng)
{
    cli_regime r = *regime;
    if (r.kind == CLI_REGIME_BORDER) r.base = 1 - target;
    w->count = r.tasks;
    if (r.kind == CLI_REGIME_ADVERSARIAL || r.kind == CLI_REGIME_STOPPED) {
        fill_adversarial(w, target, rng);
        return;
    }
    for (uint32_t i = 0; i < r.tasks; i++)
        w->wrong[i] = enx_rng_unit(rng) < chance_of(&r, (i + .5) / r.tasks);
}

static void run_bargain(world *w, double target, double delta, enx_rng *rng, cli_trial *out)
{
    shuffle(w->order, w->count, rng);
    const bargain_result got =
        bargain_run(w->wrong, w->order, w->is_labelled, w->count, target, delta);
    out->bargain = (double)got.lead / w->count;
}

/* ---- batch --------------------------------------------------------------------------------- */

static void judge_batch(const world *w, const enx_certificate_claim *claim, double target,
                        const uint8_t *is_labelled, cli_trial *out)
{
    uint32_t wrong = 0, lead = w->count - claim->accepted;
    for (uint32_t i = 0; i < claim->accepted; i++) {
        wrong += w->wrong[i] && !is_labelled[i];
        lead += is_labelled[i];
    }
    out->is_violated = wrong > (1 - target) * w->count + 1e-6;
    out->lead = (double)lead / w->count;
}

static enx_status run_batch(world *w, const cli_regime *r, double target, double delta,
                            uint64_t seed, cli_trial *out, enx_report *report)
{
    enx_rng rng = enx_rng_open(seed, 1);
    fill_batch(w, r, target, &rng);
    const enx_certificate_options options = {
        .population = w->count,
        .target_alpha = 1 - target,
        .delta = delta,
        .labels_max =
            r->kind == CLI_REGIME_STOPPED ? 1 + (uint32_t)enx_rng_below(&rng, w->count) : 0,
        .seed = enx_rng_u64(&rng),
    };
    enx_certificate *c = NULL;
    ENX_TRY(enx_certificate_open(&c, &options, report));
    uint32_t ranks[RANKS_MAX], n;
    while ((n = enx_certificate_next(c, ranks, RANKS_MAX)) > 0)
        for (uint32_t i = 0; i < n; i++) {
            w->is_labelled[ranks[i]] = 1;
            enx_certificate_label(c, ranks[i], w->wrong[ranks[i]]);
        }
    const enx_certificate_claim claim = enx_certificate_result(c);
    enx_certificate_close(&c);
    judge_batch(w, &claim, target, w->is_labelled, out);
    for (uint32_t i = 0; i < w->count; i++) w->is_labelled[i] = 0;
    run_bargain(w, target, delta, &rng, out);
    return ENX_OK;
}

/* ---- streams ------------------------------------------------------------------------------- */

static bool is_wrong_at(const cli_regime *r, double rank, uint32_t n, enx_rng *rng)
{
    const bool is_second = n > r->tasks / 2;
    double     chance = chance_of(r, rank);
    if (is_second) chance = fmin(1, chance * r->drift);
    if (is_second && r->kind == CLI_REGIME_BETRAYAL && rank < .5) chance = .5;
    return enx_rng_unit(rng) < chance;
}

/* What went out and is wrong is kept in w->is_labelled by time, the truth in w->wrong by rank. */
static void run_offers(world *w, enx_stream *stream, const cli_regime *r, double target,
                       enx_rng *rng, cli_trial *out)
{
    uint32_t wrong = 0;
    out->found = -1;
    shuffle(w->order, r->tasks, rng);
    for (uint32_t n = 1; n <= r->tasks; n++) {
        const uint32_t    place = w->order[n - 1];
        const double      rank = (place + .5) / r->tasks;
        const bool        is_wrong = is_wrong_at(r, rank, n, rng);
        enx_stream_ticket ticket;
        const bool     went_out = enx_stream_offer(stream, 1 - rank, &ticket) == ENX_STREAM_DELIVER;
        const uint64_t before = went_out ? 0 : enx_stream_drifts(stream);
        if (!went_out) enx_stream_label(stream, &ticket, is_wrong);
        if (!went_out && out->found < 0 && n > r->tasks / 2 && enx_stream_drifts(stream) > before)
            out->found = n - r->tasks / 2;
        w->wrong[place] = is_wrong;
        w->is_labelled[n - 1] = went_out && is_wrong;
        wrong += w->is_labelled[n - 1];
        out->is_violated |= wrong > (1 - target) * n + 1e-9;
    }
}

static enx_status run_stream(world *w, const cli_regime *r, double target, double delta,
                             uint64_t seed, cli_trial *out, enx_report *report)
{
    enx_rng                  rng = enx_rng_open(seed, 1);
    const enx_stream_options options = { .alpha = 1 - target,
                                         .delta = delta,
                                         .seed = enx_rng_u64(&rng) };
    enx_stream              *stream = NULL;
    ENX_TRY(enx_stream_open(&stream, &options, report));
    w->count = r->tasks;
    run_offers(w, stream, r, target, &rng, out);
    const enx_stream_claim claim = enx_stream_result(stream);
    enx_stream_close(&stream);
    const uint32_t window = claim.window < w->count ? claim.window : w->count;
    uint32_t       recent = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        recent += i >= w->count - window && w->is_labelled[i];
        w->is_labelled[i] = 0;
    }
    out->is_late = recent > (1 - target) * window + 1e-9;
    out->lead = (double)(claim.escalated + claim.audited) / w->count;
    run_bargain(w, target, delta, &rng, out);
    return ENX_OK;
}

enx_status cli_trial_run(cli_trial *out, const cli_regime *regime, double target, double delta,
                         uint64_t seed, enx_report *report)
{
    world *w = enx_mem_new(1, sizeof *w);
    if (!w) return ENX_FAIL(report, NOMEM, "no memory for a trial");
    cli_trial        got = { 0 };
    const enx_status status = cli_regime_is_stream(regime)
                                  ? run_stream(w, regime, target, delta, seed, &got, report)
                                  : run_batch(w, regime, target, delta, seed, &got, report);
    enx_mem_free(w);
    if (status == ENX_OK) *out = got;
    return status;
}

double cli_trials_low99(uint32_t hits, uint32_t count)
{
    return enx_binomial_low(hits, count, .01);
}
