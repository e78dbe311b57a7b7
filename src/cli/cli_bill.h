/* SPDX-License-Identifier: Apache-2.0 */
/* cli_bill.h - bill, certificate and money, for people and machines.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_BILL_H
#define ENX_CLI_CLI_BILL_H

#include "cli/cli.h"
#include "store/store.h"
#include "swarm/swarm.h"

#include <stdio.h>

/* "$0.000012": as many digits as show three that count. */
enum { CLI_MONEY_BYTES = 32 };
const char *cli_money(char out[CLI_MONEY_BYTES], uint64_t usd_nano);

/* {"models": [...], "calls": ..., "tokens_in": ..., "tokens_cached": ..., "tokens_out": ...,
 * "cost_usd": ..., "fixed_usd": ..., "total_usd": ...}, from the ledger. */
ENX_MUST_USE enx_status cli_bill_json(enx_store *store, uint64_t job_id, json_t **out,
                                      enx_report *report);
void                    cli_bill_print(FILE *out, const json_t *bill);

/* null: no certificate was asked for. */
json_t *cli_certificate_json(bool has, const enx_certificate_claim *claim);
void    cli_certificate_print(FILE *out, bool has, const enx_certificate_claim *claim);

/* Models against the right answers that the user gave: {count, wrong, low, high}, an interval that
 * holds in 95 of 100 cases; in words, with what follows for the certificate. */
json_t *cli_known_json(const enx_swarm_known *known);
void    cli_known_print(FILE *out, const enx_swarm_summary *summary);

#endif /* ENX_CLI_CLI_BILL_H */
