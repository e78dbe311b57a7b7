/* SPDX-License-Identifier: Apache-2.0 */
/* cli_asked.h - single questions to the models of a swarm file, outside of any job, and their bill.
 *
 * For commands that do their work themselves and need another opinion now and then.  A question is
 * a task of a class (swarm/class.h) over one input; the models may be files or behind an API.
 * Before a call its worst case must fit the budget; after it what was used is charged.
 *
 * Layer: cli.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_CLI_CLI_ASKED_H
#define ENX_CLI_CLI_ASKED_H

#include "backend/backend.h"
#include "cli/cli.h"

typedef struct cli_asked cli_asked;

typedef struct cli_asked_bill {
    uint64_t        calls;
    enx_usage_count usage;
    uint64_t        usd_nano;
    uint64_t        unknown_usd_nano; /* worst case of calls whose fate is not known */
} cli_asked_bill;

#define CLI_ASKED_NOBODY UINT32_MAX

/* budget_usd 0: no cap.  The failures of enx_config_open and enx_backend_open. */
ENX_MUST_USE enx_status cli_asked_open(cli_asked **out, const char *swarm_path, double budget_usd,
                                       enx_report *report);
void                    cli_asked_close(cli_asked **asked);

/* Numbers of models: the lead; the first worker that is not the file `but` (NULL: any).
 * CLI_ASKED_NOBODY: none. */
uint32_t    cli_asked_lead(const cli_asked *asked);
uint32_t    cli_asked_worker(const cli_asked *asked, const char *but);
/* Borrowed until close. */
const char *cli_asked_name(const cli_asked *asked, uint32_t model);
/* The file of the first worker that has one, as this process can open it; "": none. */
const char *cli_asked_worker_file(const cli_asked *asked);

/* Ask, and wait for the answer, which is appended.  ENX_BUDGET: it might not fit · ENX_CANCELED:
 * interrupted · ENX_IO: the call failed, as where the model cannot do such tasks, abstained, or
 * came back cut; the report says which. */
ENX_MUST_USE enx_status cli_asked_ask(cli_asked *asked, uint32_t model, const enx_class *task_class,
                                      const char *input, size_t input_bytes, enx_buf *answer,
                                      enx_report *report);

cli_asked_bill cli_asked_total(const cli_asked *asked);
/* {"calls", "tokens_in", "tokens_cached", "tokens_out", "usd", "unknown_usd"} */
json_t        *cli_asked_json(const cli_asked *asked);

#endif /* ENX_CLI_CLI_ASKED_H */
