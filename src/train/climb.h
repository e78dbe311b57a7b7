/* SPDX-License-Identifier: Apache-2.0 */
/* climb.h - a ladder of models: which runs, how long, at what rate; read from YAML.
 *
 * A *rung* is a width; all rungs share depth, head width and context, feed-forward width in
 * proportion, and a learning rate that falls as 1 / width.  A *trunk* is one model trained at a
 * constant rate: rung, seed and factor of the rate.  Its *branches* leave it one after the other,
 * each cooled down so as to end at its own number of tokens a parameter.  So one trunk gives a
 * point of the law for each branch, at little more than the cost of the longest.
 *
 * Trunks come in the order in which they are trained.  The first ones are the sweep: the two
 * smallest rungs at every factor of the rate.  If the best rate is not the one of the rule, or
 * moves from one width to the next, the larger rungs would be trained ever further off their best
 * rate, and the ladder would bend for that reason alone (arXiv 2406.19146).
 *
 * Layer: train.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_TRAIN_CLIMB_H
#define ENX_TRAIN_CLIMB_H

#include "base/status.h"
#include "train/net.h"
#include "train/recipe.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_CLIMB_RUNGS_MAX = 24,
    ENX_CLIMB_RUNGS_MIN = 2,
    ENX_CLIMB_SWEEP_RUNGS = 2, /* rungs on which the rate is varied */
    ENX_CLIMB_BRANCHES_MAX = 8,
    ENX_CLIMB_FACTORS_MAX = 9,
    ENX_CLIMB_SEEDS_MAX = 16,
    ENX_CLIMB_FILES_MAX = ENX_RECIPE_SOURCES_MAX,
    ENX_CLIMB_TRUNKS_MAX = 512,
};

/* So often text may be read unless the ladder says that it is meant to be short of text. */
#define ENX_CLIMB_EPOCHS_MAX 4.0

/* Sweep: what a rate may cost in loss, relative, before the ladder is no evidence. */
#define ENX_CLIMB_RATE_COST_MAX 0.01

typedef struct enx_climb_rung {
    uint32_t width;
    uint32_t seeds;
    uint32_t step_tokens; /* of all shards */
} enx_climb_rung;

typedef struct enx_climb_shape {
    uint32_t layers, head_width, context;
    double   ffn; /* feed-forward width by width; rounded to a multiple of 32 */
} enx_climb_shape;

typedef struct enx_climb_schedule {
    double   rate;  /* of the plateau, times the width */
    double  *sweep; /* factors of it; 1 is among them */
    unsigned sweep_count;
    double   warmup; /* share of the steps of the shortest branch */
    double   decay;  /* share of a branch's steps, at its end, that falls to 0 */
    double   weight_decay, clip;
    uint32_t shards;
    double   checkpoint_minutes;
} enx_climb_schedule;

typedef struct enx_climb_held {
    char   **files;
    unsigned files_count;
    uint32_t kb; /* of text, 1000 bytes each */
} enx_climb_held;

typedef struct enx_climb {
    char                *name;
    char                *about;
    uint64_t             seed;
    enx_recipe_tokenizer tokenizer;
    enx_climb_shape      shape;
    enx_climb_rung      *rungs;
    unsigned             rungs_count;
    double              *tokens_per_param; /* of the branches, rising */
    unsigned             tokens_per_param_count;
    enx_climb_schedule   train;
    char               **text;
    unsigned             text_count;
    double               unique_kb; /* of text, if it shall be so little; 0: all */
    enx_climb_held       held;
} enx_climb;

typedef struct enx_climb_branch {
    double   tokens_per_param;
    uint32_t steps;     /* all of them, those of the trunk included */
    uint32_t fall_step; /* where it leaves the trunk */
} enx_climb_branch;

typedef struct enx_climb_trunk {
    uint32_t         rung;
    uint64_t         seed;
    double           factor;   /* of the rate */
    bool             is_sweep; /* counts for the sweep */
    bool             is_law;   /* its branches are points of the ladder */
    uint64_t         params;   /* N, all of them: the tied embedding is the head, too */
    uint64_t         embed_params;
    double           flops_per_token; /* forward and backward */
    enx_climb_branch branches[ENX_CLIMB_BRANCHES_MAX];
    uint32_t         branch_count;
} enx_climb_trunk;

/* ENX_NOTFOUND, ENX_FORMAT (names file, line and the unknown or missing key), ENX_INVALID (a value
 * out of range). */
ENX_MUST_USE enx_status enx_climb_open(enx_climb **out, const char *path, enx_report *report);
void                    enx_climb_close(enx_climb **climb);

/* All trunks of the first `rung_count` rungs; *count receives how many.  A pure function of the
 * ladder.  ENX_INVALID: a shape that the net refuses; ENX_LIMIT. */
ENX_MUST_USE enx_status enx_climb_plan(const enx_climb *climb, uint32_t rung_count,
                                       enx_climb_trunk trunks[ENX_CLIMB_TRUNKS_MAX],
                                       uint32_t *count, enx_report *report);

/* Compute of a branch, in FLOP. */
double enx_climb_flops(const enx_climb *climb, const enx_climb_trunk *trunk,
                       const enx_climb_branch *branch);

/* As in runs.csv: "w064-s1-x1-t8" for width, seed, factor of the rate, tokens a parameter. */
enum { ENX_CLIMB_NAME_BYTES_MAX = 64 };
void enx_climb_name(char out[ENX_CLIMB_NAME_BYTES_MAX], const enx_climb *climb,
                    const enx_climb_trunk *trunk, const enx_climb_branch *branch);

/* The recipe of a trunk, for `steps` steps of which the last `decay` share falls.  Its lists are
 * borrowed from the ladder and `sources` [text_count]; never closed. */
enx_recipe enx_climb_recipe(const enx_climb *climb, const enx_climb_trunk *trunk,
                            enx_recipe_source *sources);

/* Is the sweep's loss [rung][factor] evidence that the rule of the rate holds?  `loss` are means
 * over seeds.  ENX_INVALID says what is wrong with the rates and what to change. */
ENX_MUST_USE enx_status enx_climb_judge(const enx_climb *climb,
                                        double loss[ENX_CLIMB_SWEEP_RUNGS][ENX_CLIMB_FACTORS_MAX],
                                        enx_report *report);

#endif /* ENX_TRAIN_CLIMB_H */
