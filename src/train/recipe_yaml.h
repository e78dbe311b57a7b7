/* SPDX-License-Identifier: Apache-2.0 */
/* recipe_yaml.h - what recipes and ladders share of reading YAML.
 *
 * Layer: train.  Thread-safety: no shared state.
 */
#ifndef ENX_TRAIN_RECIPE_YAML_H
#define ENX_TRAIN_RECIPE_YAML_H

#include "base/status.h"

#include <cyaml/cyaml.h>

/* Of enx_recipe_tokenizer. */
extern const cyaml_schema_field_t enx_recipe_tokenizer_fields[];

typedef struct enx_recipe_yaml {
    const char                 *what; /* "ladder" */
    const cyaml_schema_value_t *schema;
    enx_status (*check)(const void *data, enx_report *report); /* what no schema says */
} enx_recipe_yaml;

/* Load and check `path`; release by enx_recipe_yaml_close.  ENX_NOTFOUND, ENX_FORMAT (names file,
 * line and key), and what `check` returns. */
ENX_MUST_USE enx_status enx_recipe_yaml_open(void **out, const enx_recipe_yaml *kind,
                                             const char *path, enx_report *report);
void                    enx_recipe_yaml_close(const enx_recipe_yaml *kind, void *data);

#endif /* ENX_TRAIN_RECIPE_YAML_H */
