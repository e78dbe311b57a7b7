/* SPDX-License-Identifier: Apache-2.0 */
/* cli_fix_lead.h - repaired files of one run, and the lead of a swarm behind them.
 *
 * Files of one language are a class of tasks (swarm/class.h): a repair's score is its chance, the
 * reference is what the lead writes.  With a target the lead answers for random repairs, too, until
 * a certificate (swarm/certificate.h) says of which part of them at most so many differ from the
 * lead's; a repair that an audit finds to differ becomes the lead's, and those outside of the part
 * go up with what was not repaired at all.  An answer of the lead counts when the parser accepts
 * it; it is shown the block around the complaint, and changes nothing else.
 *
 * Layer: cli.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_CLI_CLI_FIX_LEAD_H
#define ENX_CLI_CLI_FIX_LEAD_H

#include "cli/cli_asked.h"
#include "cli/cli_fix.h"
#include "swarm/certificate.h"

typedef struct cli_fix_file {
    const char *path; /* borrowed */
    enx_code    code;
    enx_buf     before;
    cli_fix     fix;
    uint64_t    took_us;
    bool        is_good;            /* fix.text is to be delivered */
    bool        is_leads;           /* ... and the lead wrote it */
    bool        is_asked, is_heard; /* the lead; it gave a text that the parser accepts */
    enx_buf     leads;              /* that text */
    enx_report  silence;            /* why it gave none */
} cli_fix_file;

void cli_fix_file_deinit(cli_fix_file *file);

typedef struct cli_fix_target {
    double   accuracy, confidence; /* accuracy 0: no certificate */
    uint32_t labels_max;           /* 0: no cap */
    uint64_t seed;
} cli_fix_target;

/* What the lead makes of all files of one language that the ranker has seen: certificate, audits,
 * and what goes up.  *has_claim: there were repairs to certify, and a target.  A lead that fails or
 * whose budget is spent leaves files as they are.  ENX_CANCELED, ENX_NOMEM. */
ENX_MUST_USE enx_status cli_fix_lead(cli_fix_file *files, size_t count, enx_code code,
                                     cli_asked *asked, const enx_sandbox *sandbox,
                                     const cli_fix_target *target, bool *has_claim,
                                     enx_certificate_claim *claim, enx_report *report);

#endif /* ENX_CLI_CLI_FIX_LEAD_H */
