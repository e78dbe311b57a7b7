/* SPDX-License-Identifier: Apache-2.0 */
/* climb.c - the ladder's YAML, its runs, and the verdict on its rates. */
#include "train/climb.h"

#include "train/dataset.h"
#include "train/held.h"
#include "train/recipe_yaml.h"

#include <math.h>
#include <stdio.h>

enum { FFN_MULTIPLE = 32 };

/* clang-format off */
static const cyaml_schema_value_t text_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 4096),
};
static const cyaml_schema_value_t number_schema = {
    CYAML_VALUE_FLOAT(CYAML_FLAG_DEFAULT, double),
};
static const cyaml_schema_field_t shape_fields[] = {
    CYAML_FIELD_UINT("layers", CYAML_FLAG_DEFAULT, enx_climb_shape, layers),
    CYAML_FIELD_UINT("head_width", CYAML_FLAG_DEFAULT, enx_climb_shape, head_width),
    CYAML_FIELD_UINT("context", CYAML_FLAG_DEFAULT, enx_climb_shape, context),
    CYAML_FIELD_FLOAT("ffn", CYAML_FLAG_DEFAULT, enx_climb_shape, ffn),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t rung_fields[] = {
    CYAML_FIELD_UINT("width", CYAML_FLAG_DEFAULT, enx_climb_rung, width),
    CYAML_FIELD_UINT("seeds", CYAML_FLAG_DEFAULT, enx_climb_rung, seeds),
    CYAML_FIELD_UINT("step_tokens", CYAML_FLAG_DEFAULT, enx_climb_rung, step_tokens),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t rung_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, enx_climb_rung, rung_fields),
};
static const cyaml_schema_field_t train_fields[] = {
    CYAML_FIELD_FLOAT("rate", CYAML_FLAG_DEFAULT, enx_climb_schedule, rate),
    CYAML_FIELD_SEQUENCE("sweep", CYAML_FLAG_POINTER, enx_climb_schedule, sweep, &number_schema, 1,
                         ENX_CLIMB_FACTORS_MAX),
    CYAML_FIELD_FLOAT("warmup", CYAML_FLAG_DEFAULT, enx_climb_schedule, warmup),
    CYAML_FIELD_FLOAT("decay", CYAML_FLAG_DEFAULT, enx_climb_schedule, decay),
    CYAML_FIELD_FLOAT("weight_decay", CYAML_FLAG_DEFAULT, enx_climb_schedule, weight_decay),
    CYAML_FIELD_FLOAT("clip", CYAML_FLAG_DEFAULT, enx_climb_schedule, clip),
    CYAML_FIELD_UINT("shards", CYAML_FLAG_DEFAULT, enx_climb_schedule, shards),
    CYAML_FIELD_FLOAT("checkpoint_minutes", CYAML_FLAG_DEFAULT, enx_climb_schedule,
                      checkpoint_minutes),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t held_fields[] = {
    CYAML_FIELD_SEQUENCE("files", CYAML_FLAG_POINTER, enx_climb_held, files, &text_schema, 1,
                         ENX_CLIMB_FILES_MAX),
    CYAML_FIELD_UINT("kb", CYAML_FLAG_DEFAULT, enx_climb_held, kb),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t climb_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, enx_climb, name, 1, 64),
    CYAML_FIELD_STRING_PTR("about", CYAML_FLAG_POINTER, enx_climb, about, 1, 1024),
    CYAML_FIELD_UINT("seed", CYAML_FLAG_DEFAULT, enx_climb, seed),
    CYAML_FIELD_MAPPING("tokenizer", CYAML_FLAG_DEFAULT, enx_climb, tokenizer,
                        enx_recipe_tokenizer_fields),
    CYAML_FIELD_MAPPING("shape", CYAML_FLAG_DEFAULT, enx_climb, shape, shape_fields),
    CYAML_FIELD_SEQUENCE("rungs", CYAML_FLAG_POINTER, enx_climb, rungs, &rung_schema,
                         ENX_CLIMB_RUNGS_MIN, ENX_CLIMB_RUNGS_MAX),
    CYAML_FIELD_SEQUENCE("tokens_per_param", CYAML_FLAG_POINTER, enx_climb, tokens_per_param,
                         &number_schema, 1, ENX_CLIMB_BRANCHES_MAX),
    CYAML_FIELD_MAPPING("train", CYAML_FLAG_DEFAULT, enx_climb, train, train_fields),
    CYAML_FIELD_SEQUENCE("text", CYAML_FLAG_POINTER, enx_climb, text, &text_schema, 1,
                         ENX_CLIMB_FILES_MAX),
    CYAML_FIELD_FLOAT("unique_kb", CYAML_FLAG_OPTIONAL, enx_climb, unique_kb),
    CYAML_FIELD_MAPPING("held", CYAML_FLAG_DEFAULT, enx_climb, held, held_fields),
    CYAML_FIELD_END
};
/* clang-format on */

static const cyaml_schema_value_t climb_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, enx_climb, climb_fields),
};

/* ---- Bounds --------------------------------------------------------------------------------- */

static enx_status check_rungs(const enx_climb *c, enx_report *report)
{
    const uint32_t shards = c->train.shards;
    if (shards == 0 || shards > ENX_DATASET_SHARDS_MAX)
        return ENX_FAIL(report, INVALID, "train.shards: %u is not in 1..%d", shards,
                        ENX_DATASET_SHARDS_MAX);
    for (unsigned i = 0; i < c->rungs_count; i++) {
        const enx_climb_rung *r = &c->rungs[i];
        if (i > 0 && r->width <= c->rungs[i - 1].width)
            return ENX_FAIL(report, INVALID, "rungs: widths rise, %u does not", r->width);
        if (r->seeds == 0 || r->seeds > ENX_CLIMB_SEEDS_MAX)
            return ENX_FAIL(report, INVALID, "rungs: seeds is 1..%d", ENX_CLIMB_SEEDS_MAX);
        if (r->step_tokens % (64 * shards) || r->step_tokens / shards < c->shape.context ||
            r->step_tokens / shards > 1 << 16)
            return ENX_FAIL(report, INVALID,
                            "rungs: step_tokens %u is not a multiple of 64 x shards, of %u to "
                            "65536 for each",
                            r->step_tokens, c->shape.context);
    }
    return ENX_OK;
}

static enx_status check_rates(const enx_climb *c, enx_report *report)
{
    const enx_climb_schedule *t = &c->train;
    bool                      has_one = false;
    for (unsigned i = 0; i < t->sweep_count; i++) {
        if (!(t->sweep[i] > (i ? t->sweep[i - 1] : 0)))
            return ENX_FAIL(report, INVALID, "train.sweep: factors are above 0 and rise");
        has_one |= t->sweep[i] == 1;
    }
    if (!has_one)
        return ENX_FAIL(report, INVALID, "train.sweep: 1, the rate of the rule, is not among it");
    if (!(t->rate > 0 && t->rate <= 100))
        return ENX_FAIL(report, INVALID,
                        "train.rate: above 0 and at most 100; it is divided by "
                        "the width");
    if (!(t->warmup >= 0 && t->decay > 0 && t->warmup + t->decay <= 1))
        return ENX_FAIL(report, INVALID,
                        "train: warmup and decay are shares of the steps, at most 1 together");
    return ENX_OK;
}

static enx_status check_climb(const void *data, enx_report *report)
{
    const enx_climb *c = data;
    const double    *ratios = c->tokens_per_param;
    ENX_TRY(check_rungs(c, report));
    ENX_TRY(check_rates(c, report));
    for (unsigned i = 0; i < c->tokens_per_param_count; i++)
        if (!(ratios[i] > (i ? ratios[i - 1] : 0) && ratios[i] <= 1e4))
            return ENX_FAIL(report, INVALID, "tokens_per_param: above 0, rising, at most 10000");
    if (c->shape.context < 16 || c->shape.context > ENX_GRAD_SEGMENT_MAX)
        return ENX_FAIL(report, INVALID, "shape.context: %u is not in 16..%d", c->shape.context,
                        ENX_GRAD_SEGMENT_MAX);
    if (!(c->shape.ffn >= 0.5 && c->shape.ffn <= 8))
        return ENX_FAIL(report, INVALID, "shape.ffn: from 0.5 to 8 times the width");
    if (c->held.kb == 0 || c->held.kb > ENX_HELD_BYTES_MAX / 1000)
        return ENX_FAIL(report, INVALID, "held.kb: from 1 to %d", ENX_HELD_BYTES_MAX / 1000);
    if (c->unique_kb < 0) return ENX_FAIL(report, INVALID, "unique_kb: above 0, or left out");
    return ENX_OK;
}

static const enx_recipe_yaml climb_yaml = { "ladder", &climb_schema, check_climb };

enx_status enx_climb_open(enx_climb **out, const char *path, enx_report *report)
{
    void *data = NULL;
    ENX_TRY(enx_recipe_yaml_open(&data, &climb_yaml, path, report));
    *out = data;
    return ENX_OK;
}

void enx_climb_close(enx_climb **climb)
{
    enx_recipe_yaml_close(&climb_yaml, *climb);
    *climb = NULL;
}

/* ---- Runs ----------------------------------------------------------------------------------- */

static uint32_t ffn_width(const enx_climb *c, uint32_t width)
{
    const double parts = round(c->shape.ffn * width / FFN_MULTIPLE);
    return (uint32_t)fmax(1, parts) * FFN_MULTIPLE;
}

static uint32_t steps_for(const enx_climb_rung *rung, double tokens)
{
    return (uint32_t)fmax(2, round(tokens / rung->step_tokens));
}

static void cut_branches(const enx_climb *c, enx_climb_trunk *t)
{
    const enx_climb_rung *rung = &c->rungs[t->rung];
    /* Off the rule's rate only the longest counts: it is what the sweep compares. */
    for (unsigned i = t->is_law ? 0 : c->tokens_per_param_count - 1; i < c->tokens_per_param_count;
         i++) {
        const double   ratio = c->tokens_per_param[i];
        const uint32_t steps = steps_for(rung, ratio * (double)t->params);
        const uint32_t fall = (uint32_t)fmax(1, round(c->train.decay * steps));
        t->branches[t->branch_count++] = (enx_climb_branch){ ratio, steps, steps - fall };
    }
}

static enx_status add_trunk(const enx_climb *c, uint32_t rung, double factor, uint64_t seed,
                            enx_climb_trunk *trunks, uint32_t *count, enx_report *report)
{
    const uint32_t      width = c->rungs[rung].width;
    const enx_net_sizes sizes = { c->tokenizer.vocab, width, c->shape.layers, c->shape.head_width,
                                  ffn_width(c, width) };
    enx_net_layout      layout;
    if (*count == ENX_CLIMB_TRUNKS_MAX)
        return ENX_FAIL(report, LIMIT, "a ladder has at most %d runs", ENX_CLIMB_TRUNKS_MAX);
    ENX_TRY(enx_net_layout_init(&layout, &sizes, report));
    trunks[*count] = (enx_climb_trunk){ .rung = rung,
                                        .seed = c->seed + seed,
                                        .factor = factor,
                                        .is_sweep = rung < ENX_CLIMB_SWEEP_RUNGS,
                                        .is_law = factor == 1,
                                        .params = layout.count,
                                        .embed_params = (uint64_t)sizes.vocab * width,
                                        .flops_per_token = enx_net_flops_per_token(
                                            &layout, 0.5 * c->shape.context) };
    cut_branches(c, &trunks[(*count)++]);
    return ENX_OK;
}

enx_status enx_climb_plan(const enx_climb *climb, uint32_t rung_count,
                          enx_climb_trunk trunks[ENX_CLIMB_TRUNKS_MAX], uint32_t *count,
                          enx_report *report)
{
    *count = 0;
    for (uint32_t rung = 0; rung < rung_count && rung < climb->rungs_count; rung++)
        for (unsigned f = 0; f < climb->train.sweep_count; f++) {
            const double factor = climb->train.sweep[f];
            if (rung >= ENX_CLIMB_SWEEP_RUNGS && factor != 1) continue;
            for (uint32_t seed = 0; seed < climb->rungs[rung].seeds; seed++)
                ENX_TRY(add_trunk(climb, rung, factor, seed, trunks, count, report));
        }
    return ENX_OK;
}

double enx_climb_flops(const enx_climb *climb, const enx_climb_trunk *trunk,
                       const enx_climb_branch *branch)
{
    return trunk->flops_per_token * branch->steps * climb->rungs[trunk->rung].step_tokens;
}

void enx_climb_name(char out[ENX_CLIMB_NAME_BYTES_MAX], const enx_climb *climb,
                    const enx_climb_trunk *trunk, const enx_climb_branch *branch)
{
    snprintf(out, ENX_CLIMB_NAME_BYTES_MAX, "w%03u-s%llu-x%g-t%g", climb->rungs[trunk->rung].width,
             (unsigned long long)trunk->seed, trunk->factor, branch->tokens_per_param);
}

enx_recipe enx_climb_recipe(const enx_climb *climb, const enx_climb_trunk *trunk,
                            enx_recipe_source *sources)
{
    const enx_climb_rung     *rung = &climb->rungs[trunk->rung];
    const enx_climb_schedule *t = &climb->train;
    enx_recipe                r = { .name = climb->name,
                                    .about = climb->about,
                                    .seed = trunk->seed,
                                    .tokenizer = climb->tokenizer,
                                    .sources = sources,
                                    .sources_count = climb->text_count,
                                    .unique_bytes = 1000 * climb->unique_kb };
    for (unsigned i = 0; i < climb->text_count; i++)
        sources[i] = (enx_recipe_source){ .kind = ENX_SOURCE_PLAIN, .file = climb->text[i] };
    r.model = (enx_recipe_model){ .width = rung->width,
                                  .layers = climb->shape.layers,
                                  .head_width = climb->shape.head_width,
                                  .ffn = ffn_width(climb, rung->width),
                                  .context = climb->shape.context };
    r.train = (enx_recipe_schedule){
        .shards = t->shards,
        .shard_tokens = rung->step_tokens / t->shards,
        .passes = 1,
        .learning_rate = t->rate * trunk->factor / rung->width,
        .warmup = (uint32_t)(t->warmup *
                             steps_for(rung, climb->tokens_per_param[0] * (double)trunk->params)),
        .weight_decay = t->weight_decay,
        .clip = t->clip,
        .checkpoint_minutes = t->checkpoint_minutes,
    };
    return r;
}

/* ---- The sweep's verdict -------------------------------------------------------------------- */

/* The lowest point, in octaves of the rate, of the parabola through the best factor and its
 * neighbours; the end of the grid where that is best. */
static double best_octave(const double *factors, const double *loss, unsigned count)
{
    unsigned best = 0;
    for (unsigned i = 1; i < count; i++)
        if (loss[i] < loss[best]) best = i;
    if (best == 0 || best + 1 == count) return log2(factors[best]);
    const double x0 = log2(factors[best - 1]), x1 = log2(factors[best]);
    const double x2 = log2(factors[best + 1]);
    const double left = (loss[best] - loss[best - 1]) / (x1 - x0);
    const double right = (loss[best + 1] - loss[best]) / (x2 - x1);
    const double bend = (right - left) / (x2 - x0);
    return 0.5 * (x0 + x1) - left / (2 * bend);
}

/* The loss at `octave`, by straight lines between the factors. */
static double loss_at(const double *factors, const double *loss, unsigned count, double octave)
{
    unsigned i = 0;
    while (i + 2 < count && log2(factors[i + 1]) < octave) i++;
    const double x0 = log2(factors[i]), x1 = log2(factors[i + 1]);
    return loss[i] + (loss[i + 1] - loss[i]) * (octave - x0) / (x1 - x0);
}

enx_status enx_climb_judge(const enx_climb *climb,
                           double           loss[ENX_CLIMB_SWEEP_RUNGS][ENX_CLIMB_FACTORS_MAX],
                           enx_report      *report)
{
    const double  *factors = climb->train.sweep;
    const unsigned count = climb->train.sweep_count;
    double         octave[ENX_CLIMB_SWEEP_RUNGS];
    if (count < 2) return ENX_OK; /* nothing was varied */
    for (int r = 0; r < ENX_CLIMB_SWEEP_RUNGS; r++) {
        octave[r] = best_octave(factors, loss[r], count);
        double least = loss[r][0], at_rule = 0;
        for (unsigned i = 0; i < count; i++) {
            least = fmin(least, loss[r][i]);
            if (factors[i] == 1) at_rule = loss[r][i];
        }
        if (at_rule / least - 1 > ENX_CLIMB_RATE_COST_MAX)
            return ENX_FAIL(report, INVALID,
                            "no evidence: at width %u the rate of the rule costs %.1f %% of loss "
                            "against the best of the sweep; set train.rate to about %.3g",
                            climb->rungs[r].width, 100 * (at_rule / least - 1),
                            climb->train.rate * exp2(octave[r]));
    }
    const double here = loss_at(factors, loss[1], count, octave[1]);
    const double there = loss_at(factors, loss[1], count, octave[0]);
    if (there / here - 1 > ENX_CLIMB_RATE_COST_MAX)
        return ENX_FAIL(report, INVALID,
                        "no evidence: the best rate moves by a factor of %.2f from width %u to %u, "
                        "beyond the rule of 1 / width, which costs %.1f %% of loss; change the "
                        "shape family or the warm-up, and sweep again",
                        exp2(octave[1] - octave[0]), climb->rungs[0].width, climb->rungs[1].width,
                        100 * (there / here - 1));
    return ENX_OK;
}
