/* SPDX-License-Identifier: Apache-2.0 */
/* yaml.h - libcyaml with messages that say file, line, and what was perhaps meant.
 *
 * Layer: backend.  Thread-safety: no shared state.
 */
#ifndef ENX_BACKEND_YAML_H
#define ENX_BACKEND_YAML_H

#include "base/buf.h"
#include "base/status.h"

#include <cyaml/cyaml.h>

/* Load `text` by `schema`; `path` is for messages, `keys` [key_count] for suggestions.  Release by
 * enx_yaml_free.  ENX_FORMAT, also for an empty text. */
ENX_MUST_USE enx_status enx_yaml_load(void **out, const cyaml_schema_value_t *schema,
                                      const enx_buf *text, const char *path,
                                      const char *const *keys, size_t key_count,
                                      enx_report *report);
void                    enx_yaml_free(const cyaml_schema_value_t *schema, void *data);

#endif /* ENX_BACKEND_YAML_H */
