/* SPDX-License-Identifier: Apache-2.0 */
/* cli_ledger.h - what a job's receipts say of jobs like it.
 *
 * Layer: cli.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_CLI_CLI_LEDGER_H
#define ENX_CLI_CLI_LEDGER_H

#include "store/store.h"

#include <stdbool.h>

/* Of the tasks of one job.  NAN: no receipt tells. */
typedef struct cli_ledger {
    uint64_t job_id;
    uint32_t tasks;
    double   escalated, audited; /* parts of the tasks that the lead answered, or checked, too */
    double   small_task_usd;     /* scout and workers, a task */
    double   lead_task_usd;      /* the lead, a task that it answers */
    double   tokens_in;          /* the same, tokens read; the cached ones are among them */
    double   tokens_cached, tokens_out;
    double   task_seconds; /* from the first call to the last receipt, a task */
    bool     has_certificate;
    enx_certificate_claim certificate; /* of the answers against the lead's */
} cli_ledger;

/* ENX_NOTFOUND: no such job; ENX_INVALID: a job without a paid call of a worker or the lead; those
 * of the store. */
ENX_MUST_USE enx_status cli_ledger_read(cli_ledger *out, enx_store *store, uint64_t job_id,
                                        enx_report *report);

/* What a task cost the job by what its lead alone would have: (small + (escalated + audited) lead)
 * / lead.  NAN: the lead answered nothing. */
double cli_ledger_cost_ratio(const cli_ledger *ledger);

#endif /* ENX_CLI_CLI_LEDGER_H */
