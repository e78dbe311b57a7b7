/* SPDX-License-Identifier: Apache-2.0 */
/* cli_stages.h - the certificate of a goal in stages, for people and machines.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_STAGES_H
#define ENX_CLI_CLI_STAGES_H

#include "cli/cli.h"
#include "store/store.h"
#include "swarm/swarm.h"

#include <stdio.h>

/* Of a goal that has ended: {"form": "stages", "delta": ..., "stages": [...]}, null where none of
 * its stages has a certificate; and in words, nothing then. */
json_t *cli_stages_json(const enx_swarm *swarm);
bool    cli_stages_print(FILE *out, const enx_swarm *swarm);

/* ... of one in the store: each stage's own claim, and no more; null: there is none.  With `text`
 * also in words. */
ENX_MUST_USE enx_status cli_stages_stored(enx_store *store, uint64_t job_id, FILE *text,
                                          json_t **out, enx_report *report);

#endif /* ENX_CLI_CLI_STAGES_H */
