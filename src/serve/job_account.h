/* SPDX-License-Identifier: Apache-2.0 */
/* job_account.h - whose jobs are, and what of their cost their keys have paid.
 *
 * A job spends in a process of its own, which may outlive the server.  So who pays is written down
 * before the job can start, one small file a job, and its cost is charged as its receipts come,
 * also when the server was away meanwhile.  A crash of the server may forget, or charge again, what
 * came in its last second.
 *
 * Layer: serve.  Thread-safety: one owner thread; the keys are locked by themselves.
 */
#ifndef ENX_SERVE_JOB_ACCOUNT_H
#define ENX_SERVE_JOB_ACCOUNT_H

#include "serve/keys.h"

enum {
    ENX_JOB_ACCOUNTS_MAX = 1 << 20,
    ENX_JOB_SHARE = 2, /* a job without budget may spend 1 / 2 of what its key has left */
};

typedef struct enx_job_accounts enx_job_accounts;

/* Read those in `folder`.  `keys` NULL: everybody sees all jobs, and nobody pays.  Both are
 * borrowed until close.  ENX_NOMEM, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_job_accounts_open(enx_job_accounts **out, const char *folder,
                                              enx_keys *keys, enx_report *report);
/* What is held is given back. */
void                    enx_job_accounts_close(enx_job_accounts **accounts);

/* May whoever has this key see and steer the job? */
bool enx_job_accounts_shows(const enx_job_accounts *accounts, uint64_t id, const enx_key *key);

/* The key that pays for a job: its owner's, or where it has none yet that of whoever asks. */
const enx_key *enx_job_accounts_payer(const enx_job_accounts *accounts, uint64_t id,
                                      const enx_key *asker);

/* Hold back what a job that was charged `charged_usd_nano` up to now may still cost: the rest of
 * *budget_usd, its cap.  Where that is 0 it is a share of what the key has left (ENX_JOB_SHARE), so
 * that other jobs find something, and becomes the cap; 0 stays where the key has no budget.  Counts
 * as a request.  ENX_BUDGET: too little, or too fast: then *wait_s is not 0. */
ENX_MUST_USE enx_status enx_job_accounts_hold(enx_job_accounts *accounts, const enx_key *key,
                                              uint64_t charged_usd_nano, double *budget_usd,
                                              uint64_t *held_usd_nano, uint32_t *wait_s,
                                              enx_report *report);
/* There is no such job after all. */
void                    enx_job_accounts_give_back(enx_job_accounts *accounts, const enx_key *key,
                                                   uint64_t held_usd_nano);
/* The job that it was held for; a job that goes on keeps its owner.  Then the hold is the account's
 * own.  ENX_IO, ENX_NOMEM, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_job_accounts_set(enx_job_accounts *accounts, uint64_t id,
                                             const enx_key *key, uint64_t held_usd_nano,
                                             enx_report *report);

/* The job has cost so much up to now; over: it spends no more, and what is held of it is free. */
void enx_job_accounts_charge(enx_job_accounts *accounts, uint64_t id, uint64_t usd_nano,
                             uint64_t tokens, bool is_over);

/* What a job's owner was charged for it; 0: it has none. */
uint64_t enx_job_accounts_charged(const enx_job_accounts *accounts, uint64_t id);

/* The first job from number `from` on whose last charge is still to come; 0: none. */
uint64_t enx_job_accounts_open_from(const enx_job_accounts *accounts, uint64_t from);

#endif /* ENX_SERVE_JOB_ACCOUNT_H */
