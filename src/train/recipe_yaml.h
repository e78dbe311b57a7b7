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

/* Load `path`, a `what`, by `schema`; release by enx_recipe_yaml_free.  ENX_NOTFOUND, ENX_FORMAT
 * (names file, line and key). */
ENX_MUST_USE enx_status enx_recipe_yaml_load(void **out, const cyaml_schema_value_t *schema,
                                             const char *path, const char *what,
                                             enx_report *report);
void                    enx_recipe_yaml_free(const cyaml_schema_value_t *schema, void *data);

#endif /* ENX_TRAIN_RECIPE_YAML_H */
