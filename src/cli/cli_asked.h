/* SPDX-License-Identifier: Apache-2.0 */
/* cli_asked.h - questions to the models of a swarm file, outside of any job, and their bill.
 *
 * For commands that do their work themselves and need another opinion now and then.  A question is
 * a task of a class (swarm/class.h) over one input; the models may be files or behind an API.  A
 * conversation with one behind an API may go on meanwhile, several at a time.
 *
 * Before a call its worst case must fit the budget, beside those of the calls under way; after it
 * what was used is charged.
 *
 * Layer: cli.  Thread-safety: one owner thread, but for cli_asked_wake.
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

enum { CLI_ASKED_CALLS_MAX = 64 }; /* under way at a time */

/* budget_usd 0: no cap.  The failures of enx_config_open and enx_backend_open. */
ENX_MUST_USE enx_status cli_asked_open(cli_asked **out, const char *swarm_path, double budget_usd,
                                       enx_report *report);
void                    cli_asked_close(cli_asked **asked);

/* A model by its number in the swarm, or a file that is perhaps none of its models. */
typedef struct cli_asked_who {
    uint32_t    model; /* CLI_ASKED_NOBODY: the file */
    const char *file;  /* NULL: it is behind an API */
} cli_asked_who;

/* Who writes where nobody is named: the first worker, without workers the lead. */
cli_asked_who cli_asked_first(const cli_asked *asked);
/* The model behind an API with this name, as its provider has it; CLI_ASKED_NOBODY: none. */
uint32_t      cli_asked_find(const cli_asked *asked, const char *name);
/* The lead; CLI_ASKED_NOBODY: none. */
uint32_t      cli_asked_lead(const cli_asked *asked);
/* The first worker that is another model than `but`, else the lead if that is; else
 * CLI_ASKED_NOBODY. */
uint32_t      cli_asked_other(const cli_asked *asked, cli_asked_who but);
/* Borrowed until close. */
const char   *cli_asked_name(const cli_asked *asked, uint32_t model);

/* Ask, and wait for the answer, which is appended.  ENX_BUDGET: it might not fit · ENX_CANCELED:
 * interrupted · ENX_IO: the call failed, as where the model cannot do such tasks, abstained, or
 * came back cut; the report says which. */
ENX_MUST_USE enx_status cli_asked_ask(cli_asked *asked, uint32_t model, const enx_class *task_class,
                                      const char *input, size_t input_bytes, enx_buf *answer,
                                      enx_report *report);

/* The next message of a conversation with a model behind an API. */
typedef struct cli_asked_talk {
    uint32_t               model;
    const enx_api_request *request; /* copied; max_tokens without what the model may think */
    enx_remote_text_fn     on_text;
    enx_local_report_fn    on_report; /* called once, by cli_asked_poll or cli_asked_ask */
    void                  *user;      /* of both */
} cli_asked_talk;

/* ENX_BUDGET: it might not fit · ENX_LIMIT, ENX_NOMEM.  Else its number is written to *id. */
ENX_MUST_USE enx_status cli_asked_begin(cli_asked *asked, const cli_asked_talk *talk, uint64_t *id,
                                        enx_report *report);
/* Its report comes all the same. */
void                    cli_asked_cancel(cli_asked *asked, uint64_t id);
/* Wait until a report is there, somebody wakes us, or the time is over; then hand over what is. */
void                    cli_asked_poll(cli_asked *asked, uint64_t timeout_us);
/* From any thread. */
void                    cli_asked_wake(const cli_asked *asked);

cli_asked_bill cli_asked_total(const cli_asked *asked);
/* {"calls", "tokens_in", "tokens_cached", "tokens_out", "usd", "unknown_usd"} */
json_t        *cli_asked_json(const cli_asked *asked);

#endif /* ENX_CLI_CLI_ASKED_H */
