/* SPDX-License-Identifier: Apache-2.0 */
/* cli_artifact.h - what answers made (pages, drawings, code), as one file for a browser.
 *
 * The file needs no server and reaches none: its policy allows no network, and each artifact runs
 * in a frame of an opaque origin, as on the page of `enxame serve` (docs/page.md).
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_ARTIFACT_H
#define ENX_CLI_CLI_ARTIFACT_H

#include "base/status.h"

#include <jansson.h>

/* Write the artifacts of a conversation, [{role, content}], to a file.  ENX_IO, ENX_LIMIT. */
ENX_MUST_USE enx_status cli_artifact_write(const json_t *messages, const char *path,
                                           enx_report *report);
/* Have the person's browser show it: $BROWSER, else xdg-open.  ENX_NOTFOUND: there is none. */
ENX_MUST_USE enx_status cli_artifact_show(const char *path, enx_report *report);

#endif /* ENX_CLI_CLI_ARTIFACT_H */
