/* SPDX-License-Identifier: Apache-2.0 */
/* cli_recipe.h - JOB.yaml: what `enxame map` does with each record (docs/jobs.md).
 *
 *     class: changelog
 *     instruction: Read version and date out of an entry of a changelog.
 *     input: text                       # a field, "{a}: {b}", or left out: the whole record
 *     output: answer
 *     schema: {type: object, ...}       # or the name of a file with JSON
 *     checks: [schema, {check: citation, field: version}]
 *
 * A file with `goal` instead of `class` is about restoring text, and has the lead plan it.
 *
 * Layer: cli.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_CLI_CLI_RECIPE_H
#define ENX_CLI_CLI_RECIPE_H

#include "base/buf.h"
#include "swarm/budget.h"
#include "swarm/class.h"

#include <jansson.h>

enum { CLI_RECIPE_BYTES_MAX = 1 << 20 };

/* All texts are owned by `json`. */
typedef struct cli_recipe {
    json_t         *json;
    const char     *goal;       /* NULL: a class is described */
    const char     *input;      /* a field, or a template; NULL: the whole record */
    const char     *output;     /* NULL: by the kind of job */
    const char     *report;     /* field for how each answer came about; NULL: none */
    double          accuracy;   /* 0: not said */
    double          confidence; /* 0: not said */
    uint64_t        labels;
    const char     *certificate; /* batch, stream; NULL: by the kind of job */
    enx_budget_caps caps; /* 0: no cap */
    enx_class       task_class;
    enx_check       checks[ENX_CLASS_CHECKS_MAX];
    enx_example     examples[ENX_CLASS_EXAMPLES_MAX];
    char           *schema; /* owned */
} cli_recipe;

/* Read the file; a schema that is a file's name is put in its place. */
ENX_MUST_USE enx_status cli_recipe_read(json_t **out, const char *path, enx_report *report);
/* From what was read, perhaps long ago; borrows `json` until close.  ENX_FORMAT: unknown keys (with
 * the nearest) and wrong values; ENX_INVALID: what enx_class_validate says. */
ENX_MUST_USE enx_status cli_recipe_open(cli_recipe **out, json_t *json, enx_report *report);
void                    cli_recipe_close(cli_recipe **recipe);

/* Append what a task is given of a record.  ENX_FORMAT: a field is missing, or neither text nor
 * number; ENX_LIMIT. */
ENX_MUST_USE enx_status cli_recipe_input(const cli_recipe *recipe, const json_t *record,
                                         enx_buf *out, enx_report *report);

/* The first key whose value is not the same in both, or NULL. */
const char *cli_recipe_difference(const json_t *a, const json_t *b);

#endif /* ENX_CLI_CLI_RECIPE_H */
