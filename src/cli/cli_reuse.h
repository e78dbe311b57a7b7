/* SPDX-License-Identifier: Apache-2.0 */
/* cli_reuse.h - calls that need not be made: the same was answered before, or is being asked now.
 *
 * Two calls are the same when all is equal that an answer depends on: model, program, role, the
 * words of the class, input, language and damage, what is to be judged, the longest answer.  An
 * answer without a red flag is kept for all later jobs of the store.  Who asks what another open
 * call of this job is asking waits for it; when that one has no answer, those that waited are told
 * of a failed call, and the swarm asks again.
 *
 *     if (cli_reuse_take(reuse, &call)) ...          // no call: its report is among the next ones
 *     cli_reuse_poll(reuse, on_report, user);        // hands over what is known, here
 *     cli_reuse_saved(reuse, records, count, report) // within the transaction of the records
 *
 * Plans and audits are always asked: a label is worth what its own call says.  So is a second call
 * for a task that is late.
 *
 * Layer: cli.  Thread-safety: one owner thread.
 */
#ifndef ENX_CLI_CLI_REUSE_H
#define ENX_CLI_CLI_REUSE_H

#include "backend/config.h"
#include "store/store.h"

typedef struct cli_reuse cli_reuse;

/* `is_fresh`: nothing is looked up or kept.  Borrows store and roster until close. */
ENX_MUST_USE enx_status cli_reuse_open(cli_reuse **out, enx_store *store, const enx_config *config,
                                       const enx_roster *roster, bool is_fresh, enx_report *report);
void                    cli_reuse_close(cli_reuse **reuse);

/* True: nobody has to make it.  A store that fails is no reason not to call. */
bool                    cli_reuse_take(cli_reuse *reuse, const enx_call *call);
/* Was it a call that waits for another one?  Then it waits no longer. */
bool                    cli_reuse_cancel(cli_reuse *reuse, uint64_t call_id);
/* Results and losses among the records decide what those that wait for them are told. */
ENX_MUST_USE enx_status cli_reuse_saved(cli_reuse *reuse, const enx_record *records,
                                        size_t record_count, enx_report *report);

bool cli_reuse_is_ready(const cli_reuse *reuse);
/* Hand over the reports that are ready, flagged ENX_FLAG_REUSED. */
void cli_reuse_poll(cli_reuse *reuse, void (*fn)(void *user, const enx_call_report *report),
                    void      *user);

#endif /* ENX_CLI_CLI_REUSE_H */
