/* SPDX-License-Identifier: Apache-2.0 */
/* recipe.h - what `enxame train` is asked to do, read from YAML.
 *
 * Layer: train.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_TRAIN_RECIPE_H
#define ENX_TRAIN_RECIPE_H

#include "base/status.h"

#include <stdint.h>

enum { ENX_RECIPE_SOURCES_MAX = 256, ENX_RECIPE_BYTES_MAX = 1 << 20 };

typedef enum enx_source_kind {
    ENX_SOURCE_TEXT,    /* a paragraph a line; every token is a target */
    ENX_SOURCE_RESTORE, /* a paragraph a line; damaged by chance, the repair is the target */
    ENX_SOURCE_SCOUT,   /* a paragraph a line; damaged by chance, "language level" is the target */
    ENX_SOURCE_PAIRS,   /* prompt TAB answer a line; the answer is the target */
    ENX_SOURCE_PLAIN,   /* running text in windows of the context; every token is a target */
} enx_source_kind;

typedef struct enx_recipe_source {
    enx_source_kind kind;
    char           *file;     /* relative to the data folder */
    char           *language; /* tag, may be NULL */
    char           *task;     /* of PAIRS: the class of tasks that the prompts are of; NULL: plan */
    double          weight;   /* share of examples, relative to the other sources; 0: its bytes */
} enx_recipe_source;

typedef struct enx_recipe_tokenizer {
    uint32_t vocab;
    char    *pre;
    double   feed_mb; /* text to learn from, spread over the sources by weight */
} enx_recipe_tokenizer;

typedef struct enx_recipe_model {
    uint32_t width, layers, head_width, ffn, context;
} enx_recipe_model;

typedef struct enx_recipe_schedule {
    uint32_t steps;
    uint32_t shards;        /* parts of a step that threads may take; part of the result */
    uint32_t shard_tokens;  /* tokens of one pass of a shard */
    uint32_t passes;        /* passes of each shard in a step */
    double   learning_rate; /* of the plateau; 0: 0.4 / width */
    uint32_t warmup;        /* steps */
    double   decay;         /* share of the steps, at the end, that falls to 0 */
    double   weight_decay;
    double   clip; /* norm of the gradient at most */
    double   checkpoint_minutes;
} enx_recipe_schedule;

typedef struct enx_recipe_restore {
    double   level_1, level_2, level_3; /* shares of the damage levels */
    double   partial;                   /* share that is asked to repair less than was damaged */
    double   tag_dropout;               /* share without language tag, and without level tag */
    double   draft;        /* share that reads a lexicon's draft (text/lexicon.h); 0: no lexicon */
    uint32_t window_bytes; /* longer paragraphs are cut to a window */
} enx_recipe_restore;

typedef struct enx_recipe {
    char                *name;
    char                *about; /* one sentence for the model's metadata */
    uint64_t             seed;
    enx_recipe_tokenizer tokenizer;
    enx_recipe_model     model;
    enx_recipe_schedule  train;
    enx_recipe_restore   restore;
    char               **languages; /* tags that get a control word */
    unsigned             languages_count;
    enx_recipe_source   *sources;
    unsigned             sources_count;
    double unique_bytes; /* of plain text that are read at all, over and over; 0: all */
} enx_recipe;

/* ENX_NOTFOUND, ENX_FORMAT (names file, line and the unknown or missing key), ENX_INVALID (a value
 * out of range). */
ENX_MUST_USE enx_status enx_recipe_open(enx_recipe **out, const char *path, enx_report *report);
void                    enx_recipe_close(enx_recipe **recipe);

#endif /* ENX_TRAIN_RECIPE_H */
