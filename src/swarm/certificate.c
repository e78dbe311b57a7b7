/* SPDX-License-Identifier: Apache-2.0 */
/* certificate.c - nested claims, tested along one random permutation. */
#include "swarm/certificate.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>

/* ---- Why it is valid ---------------------------------------------------------------------
 *
 * Claim j says: among ranks < prefix_j at most limit_j are wrong.  Its null H_j says: at least
 * limit_j + 1.  Draw the ranks of the prefix in the order of the permutation.  Before draw s, with
 * k wrong so far, H_j makes a wrong draw at least as likely as
 *
 *     h = (limit_j + 1 - k) / (prefix_j - s)            s counted from 0
 *
 * For any ratio rho in (0, 1) the factor "rho if wrong, (1 - rho h) / (1 - h) if right" has mean
 * 1 at chance h and less above it, so each product is a non-negative supermartingale under H_j, and
 * so is a mixture of them: E.  Ville: P(E ever reaches 1/delta) <= delta.
 *
 * (1) Nulls are nested: if H_j is true, so is every later one.  So the first true null must be
 *     rejected for any false claim, and each test may use the full delta.
 * (2) Between claims only the prefix or the limit changes; labels are reused, since each test
 *     walks its own restriction of the one permutation from its beginning.
 * (3) h >= 1 and a right draw, or h > 1: the null is impossible, the claim is certain.
 * (4) When to stop is a function of draws already seen; any such rule keeps the promise.
 * (5) A claim is tested in whole blocks of draws: a block is entered when all its labels are
 *     known.  So neither arrival order nor a restart changes what is asked or found.           */

enum { RATIOS = 13, BLOCK_DEFAULT = 16, ALLOWANCE_LABELS = 40 };

static const double give_up_nats = 2.5;

static const double alpha_grid[] = { .5,  .4,  .3,  .25,  .2,  .15,  .12,  .1,    .08,   .07, .06,
                                     .05, .04, .03, .025, .02, .015, .012, .0100, .0075, .005 };

typedef struct hypothesis {
    uint32_t prefix;
    uint32_t limit;
    double   alpha;
} hypothesis;

enum { LABEL_UNKNOWN, LABEL_RIGHT, LABEL_WRONG };

struct enx_certificate {
    enx_certificate_options options;
    hypothesis              hypotheses[ENX_CERTIFICATE_HYPOTHESES_MAX];
    uint32_t                hypothesis_count;
    uint32_t                current; /* = how many are proved */
    uint32_t                cursor;  /* place in the permutation, of the current hypothesis */
    uint32_t                draws;   /* of the current hypothesis */
    uint32_t                wrong;   /* among them */
    uint32_t                bought;  /* labels that the current hypothesis was first to use */
    uint32_t                used;    /* labels used by all hypotheses */
    uint32_t                used_wrong;
    bool                    is_finished;
    double                  ratios[RATIOS];
    double                  wealth[RATIOS]; /* weighted; E is their sum */
    uint32_t               *permutation;    /* [population], inside this block */
    uint8_t                *labels;         /* [population] */
    uint8_t                *is_used;        /* [population] */
};

/* Most of the weight is on the expected ratio, the rest covers (0, 1). */
static void start_hypothesis(enx_certificate *c)
{
    c->cursor = c->draws = c->wrong = c->bought = 0;
    for (uint32_t i = 0; i < RATIOS; i++) c->wealth[i] = i == 0 ? .6 : .4 / (RATIOS - 1);
}

static uint32_t limit_of(double alpha, uint32_t answers)
{
    return (uint32_t)floor(alpha * answers + 1e-9);
}

static void plan_hypotheses(enx_certificate *c)
{
    const enx_certificate_options *o = &c->options;
    if (o->target_alpha > 0) {
        for (uint32_t j = 1; j <= ENX_CERTIFICATE_PREFIXES; j++) {
            const uint64_t prefix = ((uint64_t)o->population * j + ENX_CERTIFICATE_PREFIXES - 1) /
                                    ENX_CERTIFICATE_PREFIXES;
            const uint32_t n = c->hypothesis_count;
            if (prefix == 0 || (n && c->hypotheses[n - 1].prefix == prefix)) continue;
            c->hypotheses[c->hypothesis_count++] =
                (hypothesis){ (uint32_t)prefix, limit_of(o->target_alpha, o->answers),
                              o->target_alpha };
        }
        return;
    }
    for (uint32_t j = 0; j < sizeof alpha_grid / sizeof *alpha_grid && o->population; j++)
        c->hypotheses[c->hypothesis_count++] =
            (hypothesis){ o->population, limit_of(alpha_grid[j], o->answers), alpha_grid[j] };
}

static void fill_defaults(enx_certificate_options *o)
{
    if (o->answers == 0) o->answers = o->population;
    if (o->delta == 0) o->delta = .05;
    /* A remainder of a few labels would cost a round of calls of its own. */
    if (o->block == 0)
        o->block =
            o->labels_max > 0 && o->labels_max < 2 * BLOCK_DEFAULT ? o->labels_max : BLOCK_DEFAULT;
    if (o->history == 0) o->history = .45;
    if (o->price == 0) o->price = 1;
}

static enx_status judge_options(const enx_certificate_options *o, enx_report *report)
{
    if (!(o->delta > 0 && o->delta < 1))
        return ENX_FAIL(report, INVALID, "delta is %g, expected above 0 and below 1", o->delta);
    if (!(o->target_alpha >= 0 && o->target_alpha < 1))
        return ENX_FAIL(report, INVALID, "target error is %g, expected from 0 to below 1",
                        o->target_alpha);
    if (!(o->price > 0) || !(o->history > 0))
        return ENX_FAIL(report, INVALID, "price and history of a certificate must be positive");
    if (o->answers < o->population)
        return ENX_FAIL(report, INVALID, "%u answers, but a population of %u", o->answers,
                        o->population);
    if (o->block > ENX_CERTIFICATE_BLOCK_MAX)
        return ENX_FAIL(report, LIMIT, "blocks of %u labels, at most %d", o->block,
                        ENX_CERTIFICATE_BLOCK_MAX);
    return ENX_OK;
}

enx_status enx_certificate_open(enx_certificate **out, const enx_certificate_options *options,
                                enx_report *report)
{
    ENX_CHECK(out && options);
    enx_certificate_options o = *options;
    fill_defaults(&o);
    ENX_TRY(judge_options(&o, report));

    const size_t     n = o.population;
    enx_certificate *c = enx_mem_new(1, sizeof *c + n * (sizeof(uint32_t) + 2));
    if (!c)
        return ENX_FAIL(report, NOMEM, "no memory for a certificate of %u answers", o.population);
    c->options = o;
    c->permutation = (uint32_t *)(c + 1);
    c->labels = (uint8_t *)(c->permutation + n);
    c->is_used = c->labels + n;

    enx_rng rng = enx_rng_open(o.seed, 0x63657274); /* the stream's name is "cert" */
    for (uint32_t i = 0; i < o.population; i++) {
        const uint32_t j = (uint32_t)enx_rng_below(&rng, (uint64_t)i + 1);
        c->permutation[i] = c->permutation[j];
        c->permutation[j] = i;
    }
    c->ratios[0] = fmin(fmax(o.history, .1), .8);
    for (uint32_t i = 1; i < RATIOS; i++) c->ratios[i] = .96 * (i - .5) / (RATIOS - 1);
    plan_hypotheses(c);
    start_hypothesis(c);
    *out = c;
    return ENX_OK;
}

void enx_certificate_close(enx_certificate **certificate)
{
    enx_mem_free(*certificate);
    *certificate = NULL;
}

void enx_certificate_label(enx_certificate *c, uint32_t rank, bool is_wrong)
{
    ENX_CHECK(rank < c->options.population && c->labels[rank] == LABEL_UNKNOWN);
    c->labels[rank] = is_wrong ? LABEL_WRONG : LABEL_RIGHT;
}

void enx_certificate_stop(enx_certificate *c) { c->is_finished = true; }

typedef enum verdict { GOING_ON, PROVED, GIVEN_UP } verdict;

/* Can the null still be true after what was drawn?  Invariant 3. */
static bool is_certain(const enx_certificate *c, const hypothesis *h)
{
    return c->wrong <= h->limit && h->limit + 1 - c->wrong > h->prefix - c->draws;
}

/* Not worth another label; invariant 4. */
static bool is_hopeless(const enx_certificate *c, const hypothesis *h)
{
    if (c->draws == 0) return false;
    const double m = c->draws, p = c->wrong / m, q = (h->limit + 1.0) / h->prefix;
    if (p > q && q < 1) {
        const double nats = p * log(p / q) + (p < 1 ? (1 - p) * log((1 - p) / (1 - q)) : 0);
        if (m * nats > give_up_nats) return true;
    }
    if (c->options.target_alpha == 0) return false;
    const uint32_t best = c->current ? c->hypotheses[c->current - 1].prefix : 0;
    return c->bought * c->options.price > (double)(h->prefix - best) + ALLOWANCE_LABELS;
}

static verdict draw(enx_certificate *c, const hypothesis *h, uint32_t rank)
{
    const bool   is_wrong = c->labels[rank] == LABEL_WRONG;
    const double chance = (h->limit + 1.0 - c->wrong) / (h->prefix - c->draws);
    if (!c->is_used[rank]) {
        c->is_used[rank] = 1;
        c->bought++;
        c->used++;
        c->used_wrong += is_wrong;
    }
    c->draws++;
    c->wrong += is_wrong;
    if (c->wrong > h->limit) return GIVEN_UP;
    if (is_certain(c, h)) return PROVED;

    double sum = 0;
    for (uint32_t i = 0; i < RATIOS; i++) {
        c->wealth[i] *= is_wrong ? c->ratios[i] : (1 - c->ratios[i] * chance) / (1 - chance);
        sum += c->wealth[i];
    }
    return sum >= 1 / c->options.delta ? PROVED : GOING_ON;
}

/* Collect the next block of draws; returns its size, 0 when no more labels may or should be
 * bought.  Draws whose labels earlier claims paid for are free, and so never given up. */
static uint32_t gather(const enx_certificate *c, const hypothesis *h, uint32_t *block,
                       uint32_t *end)
{
    const uint32_t labels_max = c->options.labels_max;
    uint32_t       left = labels_max ? labels_max - c->used : UINT32_MAX;
    uint32_t       count = 0, at = c->cursor;
    bool           is_buying = false;
    for (; at < c->options.population && count < c->options.block; at++) {
        const uint32_t rank = c->permutation[at];
        if (rank >= h->prefix) continue;
        if (!c->is_used[rank]) {
            if (left-- == 0) break;
            is_buying = true;
        }
        block[count++] = rank;
    }
    *end = at;
    return is_buying && is_hopeless(c, h) ? 0 : count;
}

static verdict run_block(enx_certificate *c, const hypothesis *h, const uint32_t *block,
                         uint32_t count, uint32_t end)
{
    c->cursor = end;
    verdict found = GOING_ON;
    for (uint32_t i = 0; i < count && found == GOING_ON; i++) found = draw(c, h, block[i]);
    return found;
}

uint32_t enx_certificate_next(enx_certificate *c, uint32_t *ranks, uint32_t max)
{
    ENX_CHECK(max > 0);
    while (!c->is_finished && c->current < c->hypothesis_count) {
        const hypothesis *h = &c->hypotheses[c->current];
        uint32_t          block[ENX_CERTIFICATE_BLOCK_MAX], end, wanted = 0;
        verdict           found = h->prefix <= h->limit ? PROVED : GOING_ON;
        if (found == GOING_ON) {
            const uint32_t count = gather(c, h, block, &end);
            for (uint32_t i = 0; i < count && wanted < max; i++)
                if (c->labels[block[i]] == LABEL_UNKNOWN) ranks[wanted++] = block[i];
            if (wanted) return wanted;
            found = count ? run_block(c, h, block, count, end) : GIVEN_UP;
        }
        if (found == PROVED) {
            c->current++;
            start_hypothesis(c);
        }
        if (found == GIVEN_UP) c->is_finished = true;
    }
    return 0;
}

enx_certificate_claim enx_certificate_result(const enx_certificate *c)
{
    const enx_certificate_options *o = &c->options;
    const hypothesis              *best = c->current ? &c->hypotheses[c->current - 1] : NULL;
    return (enx_certificate_claim){
        .is_certified = best != NULL,
        .alpha = best ? best->alpha : 1,
        .delta = o->delta,
        .answers = o->answers,
        .population = o->population,
        .accepted = best ? best->prefix : 0,
        .labels = c->used,
        .wrong = c->used_wrong,
    };
}
