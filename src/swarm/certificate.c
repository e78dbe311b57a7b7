/* SPDX-License-Identifier: Apache-2.0 */
/* certificate.c - claims about a population, tested along one random permutation. */
#include "swarm/certificate.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>

/* ---- Why it is valid: no target ----------------------------------------------------------
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
 *     known.  So neither arrival order nor a restart changes what is asked or found.
 *
 * ---- With a target -----------------------------------------------------------------------
 *
 * Each answer has a level of its own, drawn at random from (0, 1).  A prefix is looked at up to a
 * level q: its answers with lower levels u are labelled.  For any ratio rho in (0, 1) the factor
 *
 *     (1 - q)^(rho - 1)  if wrong and not labelled       rho (1 - u)^(rho - 1)  if labelled as
 * wrong
 *
 * and 1 for a right answer is a martingale in q, from 1: (1-q)^rho + integral of rho (1-u)^(rho-1)
 * over u < q is 1.  So is the product over all answers, however prefix and level grow by what was
 * seen, and so is a mixture over ratios: E.  Ville: P(E ever reaches 1/delta) <= delta.
 *
 * (6) Say more than `limit` wrong answers of the prefix have no label.  Then E is at least S, which
 *     is E with limit + 1 of them.  So a prefix is claimed when S >= 1/delta: a claim is false, at
 *     any moment, with chance delta at most.  What is proved stays so, as labels only find more.
 * (7) An answer whose label cannot be had goes out all the same: it has the factor of one that was
 *     labelled as wrong, and limit + 1 is lowered by it.
 * (8) What is asked next, and when to give up, is a function of the past; any such rule keeps the
 *     promise.  This one estimates how many labels more would do, and compares that with what the
 *     prefix would save.  Its numbers were chosen on seeds that docs/swarm.md does not measure.  */

enum { RATIOS = 13, BLOCK_DEFAULT = 16, BLOCK_LEAST = 2 };

static const double give_up_nats = 2.5;
static const double label_share = .3;    /* of a prefix, that should do to prove it */
static const double patience = .04;      /* labels beyond what a prefix saves, of the population, */
static const double patience_most = 100; /* at most so many */
static const double bought_share = .5;   /* of labels already bought for it that count */
static const double block_share = .3;    /* of the labels that seem to be needed */

static const double alpha_grid[] = { .5,  .4,  .3,  .25,  .2,  .15,  .12,  .1,    .08,   .07, .06,
                                     .05, .04, .03, .025, .02, .015, .012, .0100, .0075, .005 };

typedef struct hypothesis {
    uint32_t prefix;
    uint32_t limit;
    double   alpha;
} hypothesis;

enum { LABEL_UNKNOWN, LABEL_RIGHT, LABEL_WRONG, LABEL_LOST };

/* What labels say of a prefix, up to a level. */
typedef struct evidence {
    uint32_t seen; /* labels */
    uint32_t wrong;
    uint32_t lost;
    double   waited; /* sum of -ln(1 - u) over the wrong ones */
    double   level;
    bool     is_whole; /* holds all of the current prefix below the level */
} evidence;

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
    evidence                evidence;       /* with a target */
    double                 *levels;         /* [population], rising, by place in the permutation */
    uint32_t               *permutation;    /* [population], inside this block */
    uint8_t                *labels;         /* [population] */
    uint8_t                *is_used;        /* [population] */
};

/* Most of the weight is on the expected ratio, the rest covers (0, 1). */
static double weight_of_ratio(uint32_t index) { return index == 0 ? .6 : .4 / (RATIOS - 1); }

static void start_hypothesis(enx_certificate *c)
{
    c->cursor = c->draws = c->wrong = c->bought = 0;
    for (uint32_t i = 0; i < RATIOS; i++) c->wealth[i] = weight_of_ratio(i);
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

/* The share of the allowance that may be wrong in a prefix of which `label_share` of labels just
 * proves it: each label bets at the best ratio, which earns r ln r + 1 - r of the chance. */
static double provable_ratio(const enx_certificate_options *o)
{
    const double need =
        log(1 / o->delta) / (label_share * (limit_of(o->target_alpha, o->answers) + 1.));
    double low = .01, high = .8;
    for (int step = 0; step < 40; step++) {
        const double r = .5 * (low + high);
        if (r * log(r) + 1 - r > need) low = r;
        else high = r;
    }
    return low;
}

static void fill_defaults(enx_certificate_options *o)
{
    if (o->answers == 0) o->answers = o->population;
    if (o->delta == 0) o->delta = .05;
    /* A remainder of a few labels would cost a round of calls of its own. */
    if (o->block == 0)
        o->block =
            o->labels_max > 0 && o->labels_max < 2 * BLOCK_DEFAULT ? o->labels_max : BLOCK_DEFAULT;
    if (o->history == 0) o->history = o->target_alpha > 0 ? provable_ratio(o) : .45;
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

/* Independent levels in rising order: sums of exponential gaps, by their sum. */
static void draw_levels(enx_certificate *c, enx_rng *rng)
{
    const uint32_t n = c->options.population;
    double         sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum -= log1p(-enx_rng_unit(rng));
        c->levels[i] = sum;
    }
    sum -= log1p(-enx_rng_unit(rng));
    for (uint32_t i = 0; i < n; i++) c->levels[i] /= sum > 0 ? sum : 1;
}

enx_status enx_certificate_open(enx_certificate **out, const enx_certificate_options *options,
                                enx_report *report)
{
    ENX_CHECK(out && options);
    enx_certificate_options o = *options;
    fill_defaults(&o);
    ENX_TRY(judge_options(&o, report));

    const size_t     n = o.population;
    enx_certificate *c = enx_mem_new(1, sizeof *c + n * (sizeof(double) + sizeof(uint32_t) + 2));
    if (!c)
        return ENX_FAIL(report, NOMEM, "no memory for a certificate of %u answers", o.population);
    c->options = o;
    c->levels = (double *)(c + 1);
    c->permutation = (uint32_t *)(c->levels + n);
    c->labels = (uint8_t *)(c->permutation + n);
    c->is_used = c->labels + n;

    enx_rng rng = enx_rng_open(o.seed, 0x63657274); /* the stream's name is "cert" */
    for (uint32_t i = 0; i < o.population; i++) {
        const uint32_t j = (uint32_t)enx_rng_below(&rng, (uint64_t)i + 1);
        c->permutation[i] = c->permutation[j];
        c->permutation[j] = i;
    }
    draw_levels(c, &rng);
    c->ratios[0] = fmin(fmax(o.history, .01), .8);
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

void enx_certificate_lose(enx_certificate *c, uint32_t rank)
{
    ENX_CHECK(rank < c->options.population && c->labels[rank] == LABEL_UNKNOWN);
    c->labels[rank] = LABEL_LOST;
}

void enx_certificate_stop(enx_certificate *c) { c->is_finished = true; }

/* ---- claims about the whole, alpha by alpha ------------------------------------------------- */

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
    return false;
}

static verdict draw(enx_certificate *c, const hypothesis *h, uint32_t rank)
{
    const bool   is_wrong = c->labels[rank] != LABEL_RIGHT;
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

static uint32_t next_of_whole(enx_certificate *c, uint32_t *ranks, uint32_t max)
{
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

/* ---- claims about prefixes, level by level -------------------------------------------------- */

static uint32_t best_prefix(const enx_certificate *c)
{
    return c->current ? c->hypotheses[c->current - 1].prefix : 0;
}

/* Wrong answers without label that would make the claim false. */
static double least_bad(const evidence *e, const hypothesis *h) { return h->limit + 1. - e->lost; }

/* ln (delta S); *stake becomes the mean ratio. */
static double weigh(const enx_certificate *c, const hypothesis *h, double *stake)
{
    const evidence *e = &c->evidence;
    double          logs[RATIOS], highest = -INFINITY, sum = 0, mean = 0;
    for (uint32_t i = 0; i < RATIOS; i++) {
        const double ratio = c->ratios[i], grown = -log1p(-e->level) * least_bad(e, h);
        logs[i] =
            log(weight_of_ratio(i)) + (1 - ratio) * (grown + e->waited) + e->wrong * log(ratio);
        highest = fmax(highest, logs[i]);
    }
    for (uint32_t i = 0; i < RATIOS; i++) {
        const double share = exp(logs[i] - highest);
        sum += share;
        mean += share * c->ratios[i];
    }
    *stake = mean / sum;
    return highest + log(sum) + log(c->options.delta);
}

/* Labels that would prove the prefix if errors go on as they were; infinite: none would. */
static double labels_needed(const enx_certificate *c, const hypothesis *h, double slack,
                            double stake)
{
    const evidence *e = &c->evidence;
    const double    chance = (e->wrong + .1) / (e->seen + 2.), left = 1 - e->level;
    const double    earned = least_bad(e, h) * (1 - stake) / (left * h->prefix);
    const double    paid = chance * (-log(stake) + (1 - stake) * log(left));
    const double    certain = (double)h->prefix - e->seen - h->limit + e->lost;
    return fmin(earned > paid ? -slack / (earned - paid) : INFINITY, certain);
}

/* Is the claim proved, or worth no label more?  Else *want labels more. */
static verdict judge_prefix(const enx_certificate *c, const hypothesis *h, uint32_t *want)
{
    const evidence *e = &c->evidence;
    if (e->lost <= h->limit && h->prefix - e->seen <= h->limit - e->lost) return PROVED;
    if (e->lost > h->limit) return GIVEN_UP;
    double       stake;
    const double slack = weigh(c, h, &stake);
    if (slack >= 0) return PROVED;
    const double needed = labels_needed(c, h, slack, stake), price = c->options.price;
    const double saved = (double)(h->prefix - best_prefix(c)) +
                         fmin(patience * c->options.population, patience_most);
    if (needed * price > saved || c->bought * bought_share * price > saved) return GIVEN_UP;
    *want = (uint32_t)fmin(fmax(BLOCK_LEAST, block_share * needed), c->options.block);
    if (*want == 0) *want = 1;
    return GOING_ON;
}

static void see(enx_certificate *c, uint32_t place)
{
    const uint32_t rank = c->permutation[place];
    evidence      *e = &c->evidence;
    if (!c->is_used[rank]) {
        c->is_used[rank] = 1;
        c->used++;
        c->used_wrong += c->labels[rank] != LABEL_RIGHT;
    }
    e->seen++;
    e->lost += c->labels[rank] == LABEL_LOST;
    if (c->labels[rank] == LABEL_RIGHT) return;
    e->wrong++;
    e->waited -= log1p(-c->levels[place]);
}

/* A stretch of the permutation, and what is looked for in it. */
typedef struct stretch {
    uint32_t low, high; /* ranks, from low to below high */
    uint32_t first;     /* place; on return the stretch ends before `end` */
    uint32_t end;
    uint32_t want;   /* answers at most */
    uint32_t taken;  /* out: answers */
    bool     is_cut; /* out: by the cap on labels */
} stretch;

/* Ask for the labels that are missing in the stretch, or see all of it when none is.  Returns how
 * many are asked for. */
static uint32_t look(enx_certificate *c, stretch *s, uint32_t *ranks, uint32_t max)
{
    const uint32_t labels_max = c->options.labels_max;
    uint32_t       left = labels_max ? labels_max - c->used : UINT32_MAX, asked = 0, at = s->first;
    for (; at < s->end && s->taken < s->want && !s->is_cut; at++) {
        const uint32_t rank = c->permutation[at];
        if (rank < s->low || rank >= s->high) continue;
        if (!c->is_used[rank] && left == 0) {
            s->is_cut = true;
            break;
        }
        left -= !c->is_used[rank];
        s->taken++;
        if (c->labels[rank] == LABEL_UNKNOWN && asked < max) ranks[asked++] = rank;
    }
    s->end = at;
    for (uint32_t i = s->first; asked == 0 && i < at; i++)
        if (c->permutation[i] >= s->low && c->permutation[i] < s->high) see(c, i);
    return asked;
}

/* The last prefix got longer: its new part, up to the level. */
static uint32_t catch_up(enx_certificate *c, const hypothesis *h, uint32_t *ranks, uint32_t max)
{
    stretch s = { .low = best_prefix(c), .high = h->prefix, .end = c->cursor, .want = UINT32_MAX };
    const uint32_t asked = look(c, &s, ranks, max);
    c->evidence.is_whole = asked == 0;
    c->is_finished = asked == 0 && s.is_cut;
    return asked;
}

/* Raise the level over `want` answers more of the prefix. */
static uint32_t raise_level(enx_certificate *c, const hypothesis *h, uint32_t want, uint32_t *ranks,
                            uint32_t max)
{
    stretch s = {
        .high = h->prefix, .first = c->cursor, .end = c->options.population, .want = want
    };
    const uint32_t asked = look(c, &s, ranks, max);
    if (asked) return asked;
    c->bought += s.taken;
    c->cursor = s.end;
    if (s.end > 0) c->evidence.level = c->levels[s.end - 1];
    c->is_finished = s.taken == 0;
    return 0;
}

static uint32_t next_of_prefix(enx_certificate *c, uint32_t *ranks, uint32_t max)
{
    while (!c->is_finished && c->current < c->hypothesis_count) {
        const hypothesis *h = &c->hypotheses[c->current];
        uint32_t          want = 0, asked = 0;
        verdict           found = h->prefix <= h->limit ? PROVED : GOING_ON;
        if (!c->evidence.is_whole) asked = catch_up(c, h, ranks, max);
        else if (found == GOING_ON && (found = judge_prefix(c, h, &want)) == GOING_ON)
            asked = raise_level(c, h, want, ranks, max);
        if (asked) return asked;
        if (found == GIVEN_UP) c->is_finished = true;
        if (found != PROVED) continue;
        c->current++;
        c->bought = 0;
        c->evidence.is_whole = false;
    }
    return 0;
}

uint32_t enx_certificate_next(enx_certificate *c, uint32_t *ranks, uint32_t max)
{
    ENX_CHECK(max > 0);
    return c->options.target_alpha > 0 ? next_of_prefix(c, ranks, max)
                                       : next_of_whole(c, ranks, max);
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
