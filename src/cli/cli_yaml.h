/* SPDX-License-Identifier: Apache-2.0 */
/* cli_yaml.h - YAML of any shape as JSON, for files whose parts have no fixed schema.
 *
 * Plain words are numbers, true, false and null where they look so (the YAML 1.2 core schema); what
 * is quoted is text.  Anchors and aliases are refused: a few bytes must not stand for many.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_YAML_H
#define ENX_CLI_CLI_YAML_H

#include "base/buf.h"
#include "base/status.h"

#include <jansson.h>

enum { CLI_YAML_DEPTH_MAX = 32 };

/* One document.  ENX_FORMAT names path, line and what is wrong; ENX_LIMIT; ENX_NOMEM. */
ENX_MUST_USE enx_status cli_yaml_read(json_t **out, const enx_buf *text, const char *path,
                                      enx_report *report);

#endif /* ENX_CLI_CLI_YAML_H */
