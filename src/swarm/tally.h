/* SPDX-License-Identifier: Apache-2.0 */
/* tally.h - what the records of jobs say of their checks, and of workers beside one another.
 *
 * A worker's answer is wrong when the lead's is another one (it was audited, or went up), or when
 * it is not what the user knows to be right.  Of answers that passed every check only some have
 * such a label: each stands for all that could have had it, by the inverse of its chance, so that a
 * check is not praised for errors that nobody looked for.
 *
 *     enx_tally_begin(tally, &job, report);         // a job of the class
 *     for each of its records: enx_tally_add(tally, record);
 *     enx_tally_end(tally);                         // and so on
 *
 * Layer: swarm.  Thread-safety: one owner thread; not shared.
 * Source: weights of Horvitz and Thompson, 1952; Wilson's interval at Kish's effective count.
 */
#ifndef ENX_SWARM_TALLY_H
#define ENX_SWARM_TALLY_H

#include "swarm/ports.h"

enum {
    ENX_TALLY_PLACES = ENX_CLASS_CHECKS_MAX + 1, /* 0: red flags; then the checks of the list */
    ENX_TALLY_PAIRS_MAX = 64,
    ENX_TALLY_NAME_BYTES = 64,
};

/* A share of answers, by their weights. */
typedef struct enx_tally_share {
    double hits, count, squares; /* sums of weights, of all weights, and of their squares */
} enx_tally_share;

/* The share and an interval that holds in 95 of 100 cases; 0, 0 and 1 of nothing. */
double enx_tally_share_get(const enx_tally_share *share, double *low, double *high);
/* As many equally weighted answers would tell as much. */
double enx_tally_share_size(const enx_tally_share *share);

typedef struct enx_tally_check {
    enx_tally_share caught;  /* of wrong answers that it saw, those that it refused */
    enx_tally_share alarmed; /* of right ones */
    uint64_t        tasks, calls, usd_nano; /* that it asked other models about, what for */
} enx_tally_check;

/* Two workers that answered the same tasks: weights by who of them was wrong. */
typedef struct enx_tally_pair {
    char     names[2][ENX_TALLY_NAME_BYTES];
    uint32_t tasks;
    double   both, first, second, none;
} enx_tally_pair;

/* Correlation of their errors; NAN while one of them was never wrong, or always. */
double enx_tally_pair_phi(const enx_tally_pair *pair);

typedef struct enx_tally_job {
    uint32_t           item_count;
    const char *const *names; /* [name_count] of the models, in the roster's order */
    uint32_t           name_count;
    uint32_t           lead;   /* among them; name_count: none */
    const enx_check   *checks; /* [check_count] of the class */
    uint32_t           check_count;
} enx_tally_job;

typedef struct enx_tally_sums {
    uint32_t        jobs, answers, labelled, known; /* answers of workers, with a label, of yours */
    enx_tally_share wrong;                          /* of all answers */
    uint64_t        lead_tasks, lead_usd_nano;      /* tasks that the lead answered */
    enx_tally_check checks[ENX_TALLY_PLACES];
    enx_tally_pair  pairs[ENX_TALLY_PAIRS_MAX];
    uint32_t        pair_count; /* more pairs than fit are left out */
} enx_tally_sums;

typedef struct enx_tally enx_tally;

ENX_MUST_USE enx_status enx_tally_open(enx_tally **out, enx_report *report);
void                    enx_tally_close(enx_tally **tally);
/* ENX_NOMEM, ENX_LIMIT: items. */
ENX_MUST_USE enx_status enx_tally_begin(enx_tally *tally, const enx_tally_job *job,
                                        enx_report *report);
/* Records of tasks that the job does not have are left out. */
void                    enx_tally_add(enx_tally *tally, const enx_record *record);
void                    enx_tally_end(enx_tally *tally);
const enx_tally_sums   *enx_tally_sums_get(const enx_tally *tally);

/* Does it pay to ask a second worker, rather than the lead about more tasks? */
typedef struct enx_tally_vote {
    bool   is_known; /* enough errors were seen to tell */
    bool   pays;
    double caught, alarmed; /* shares of wrong and of right answers that the vote refuses */
    double refused;         /* of all that it saw */
    double price;           /* of a vote, by the lead's for a task; NAN: the lead costs nothing */
    double errors;          /* wrong answers that it saw, as many equally weighted ones */
} enx_tally_vote;

/* `place` of the check `second` in the class's list, from 1.  A vote finds an error for (price +
 * refused) / (caught errors) calls of the lead, the lead alone for 1 / errors: it pays where
 * caught - refused is above its price. */
enx_tally_vote enx_tally_vote_get(const enx_tally_sums *sums, uint32_t place);

#endif /* ENX_SWARM_TALLY_H */
