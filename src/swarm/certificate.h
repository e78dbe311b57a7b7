/* SPDX-License-Identifier: Apache-2.0 */
/* certificate.h - proof of an error rate from a few random labels.
 *
 * A population of answers has an unknown number of wrong ones.  Labels (right or wrong, against
 * the reference) are drawn without replacement along one random permutation, and tests of nested
 * claims are run one after the other, each at the full delta, until one cannot be proved.
 *
 *   target given   the claims are prefixes of the population in order of score, best first: "if
 * only this prefix is accepted, and what a label shows to be wrong is replaced, at most target *
 * answers wrong ones go out".  The result is the largest accepted prefix; the rest should be
 * escalated. no target      all of the population is accepted; the claims are falling alphas on a
 * grid from 0.5 to 0.005.  The result is the smallest alpha that is proved.
 *
 * Promise: over the permutation, P(the result is false) <= delta, however and whenever the caller
 * stops, whatever the answers and scores are, as long as scores were fixed before any label.
 * Not promised: anything about other answers, or about the truth where the reference is wrong.
 *
 *     while ((n = enx_certificate_next(c, ranks, max)) > 0)
 *         for (i < n) enx_certificate_label(c, ranks[i], is_wrong(ranks[i]));
 *     enx_certificate_claim claim = enx_certificate_result(c);
 *
 * Which labels are asked for, and the result, depend on options and labels alone; not on the order
 * or the time in which labels come, nor on labels that were known from the start.
 *
 * Layer: swarm.  Thread-safety: one owner thread; not shared.
 * Source: ratio-mixture e-process with Ville's inequality; fixed-sequence testing (Maurer et al.
 * 1995); sampling without replacement as in Waudby-Smith and Ramdas, 2020.  With a target: a
 * martingale over the levels at which answers are labelled; the proof is in certificate.c.
 */
#ifndef ENX_SWARM_CERTIFICATE_H
#define ENX_SWARM_CERTIFICATE_H

#include "swarm/ports.h"

enum {
    ENX_CERTIFICATE_HYPOTHESES_MAX = 64,
    ENX_CERTIFICATE_PREFIXES = 20,
    ENX_CERTIFICATE_BLOCK_MAX = 256,
};

typedef struct enx_certificate_options {
    uint32_t population;   /* answers that labels are drawn from, ranks 0 .. population - 1 */
    uint32_t answers;      /* that the rate speaks of, >= population; the others are the reference's
                              own and right by definition; 0: population */
    double   target_alpha; /* 0: no target */
    double   delta;        /* 0: 0.05; the chance that the claim may be false */
    uint32_t labels_max;   /* 0: no cap */
    uint32_t block;        /* labels asked for at a time, at most; 0: 16, or all of a cap < 32 */
    double   history;      /* error rate expected, as a share of alpha; 0: 0.45, with a target the
                              one that a fair share of labels can prove; power only */
    double   price;        /* of a label, as a share of the escalation it can save; 0: 1.
                              Steers when to give up, never what may be claimed */
    uint64_t seed;         /* of the permutation; secret to whoever gives the answers */
} enx_certificate_options;

typedef struct enx_certificate enx_certificate;

/* ENX_INVALID: a rate outside (0, 1), answers < population; ENX_LIMIT: block; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_certificate_open(enx_certificate              **out,
                                             const enx_certificate_options *options,
                                             enx_report                    *report);
void                    enx_certificate_close(enx_certificate **certificate);

/* Advance over the labels that are known, then write at most `max` ranks whose labels are wanted
 * now.  0: finished.  Asking again gives those that are still missing. */
uint32_t enx_certificate_next(enx_certificate *certificate, uint32_t *ranks, uint32_t max);

/* Tell a label.  A label that is not wanted (yet) is remembered.  Telling a rank twice is a
 * programmer error. */
void enx_certificate_label(enx_certificate *certificate, uint32_t rank, bool is_wrong);
/* ... one that cannot be had: the answer counts as wrong, and goes out. */
void enx_certificate_lose(enx_certificate *certificate, uint32_t rank);

/* No more labels will come.  What is proved so far stays proved. */
void enx_certificate_stop(enx_certificate *certificate);

/* The claim so far; final once next() returned 0 or after stop().  Without target, `accepted` is
 * the population when certified. */
enx_certificate_claim enx_certificate_result(const enx_certificate *certificate);

#endif /* ENX_SWARM_CERTIFICATE_H */
