/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h - a certificate for a class of tasks that never ends: an allowance of errors.
 *
 * Answers of workers come one after the other, each with a score that was fixed before anybody
 * knew whether it is right.  For each the stream says whether to deliver it, to deliver it after
 * the lead has answered too (an audit, by a coin), or to let the lead answer instead.
 *
 * Two promises, each at confidence 1 - delta:
 *
 *   always   P(at any moment, of all answers so far more than the share alpha is wrong) <= delta;
 *   lately   for every moment: P(of the last `window` answers more than alpha are wrong) <= delta.
 *
 * "Wrong" is: delivered, and not what the reference (the lead) would have answered.  Both count
 * every answer, the lead's own as right.  They are about what was delivered, not about a rate: the
 * tasks may come in any order and drift in any way, scores may mean nothing, models may change,
 * somebody who sees all that was decided may choose the next task, and the caller may stop or look
 * when it likes.  What is needed: coins that nobody could foresee (the seed), an answer that is
 * fixed before its coin, and a label for every audit - one that cannot be had is told as wrong.
 *
 * Not promised: anything about the truth where the reference is wrong (if it errs in the share eta,
 * alpha + eta), about answers that the stream was not asked for, or that much is delivered.
 *
 *     switch (enx_stream_offer(stream, score, &ticket)) {
 *     case ENX_STREAM_DELIVER:  break;
 *     case ENX_STREAM_AUDIT:    // ask the lead too; if it differs, deliver the lead's answer
 *     case ENX_STREAM_ESCALATE: // ask the lead
 *         enx_stream_label(stream, &ticket, is_wrong);       // whenever it is known
 *     }
 *
 * The state is a function of the options and of the sequence of offers and labels: telling them
 * again in their order gives every number bit for bit.
 *
 * Layer: swarm.  Thread-safety: one owner thread; not shared.
 * Source: the proof is in stream.c; supermartingales and Ville's inequality as in Ramdas, Grünwald,
 * Vovk and Shafer, "Game-theoretic statistics and safe anytime-valid inference", 2023.
 */
#ifndef ENX_SWARM_STREAM_H
#define ENX_SWARM_STREAM_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_STREAM_VERSION = 2, /* another one decides otherwise: histories cannot be told to it */
    ENX_STREAM_WINDOW_MAX = 1 << 24,
    ENX_STREAM_AUDITS_MAX = 4096, /* under way or found wrong within the window; more: escalate */
};

#define ENX_STREAM_AUDIT_LEAST 0.065 /* below it no bet of the proof would be left */

typedef struct enx_stream_options {
    double   alpha;     /* share of answers that may be wrong */
    double   delta;     /* 0: 0.05 */
    uint32_t window;    /* answers that "lately" speaks of; 0: 400 / alpha */
    double   audit_min; /* chance of an audit, at least ENX_STREAM_AUDIT_LEAST; 0: 0.08 */
    uint64_t seed;      /* of the coins; secret to whoever gives the answers */
} enx_stream_options;

typedef enum enx_stream_verdict {
    ENX_STREAM_ESCALATE,
    ENX_STREAM_AUDIT,
    ENX_STREAM_DELIVER,
} enx_stream_verdict;

/* What an offer was; kept by the caller until the label is known. */
typedef struct enx_stream_ticket {
    uint64_t           offer; /* 1, 2, 3 ... */
    double             score;
    double             chance; /* that it gets a label, fixed before its coin */
    enx_stream_verdict verdict;
} enx_stream_ticket;

typedef struct enx_stream enx_stream;

/* ENX_INVALID: a rate out of range; ENX_LIMIT: window; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_stream_open(enx_stream **out, const enx_stream_options *options,
                                        enx_report *report);
void                    enx_stream_close(enx_stream **stream);

/* A score that is not a number is the lowest. */
enx_stream_verdict enx_stream_offer(enx_stream *stream, double score, enx_stream_ticket *ticket);

/* Is the worker's answer wrong, now that the lead's is there?  Once a ticket at most, in any order;
 * a ticket that was delivered has no label. */
void enx_stream_label(enx_stream *stream, const enx_stream_ticket *ticket, bool is_wrong);

/* The rate of errors changed within: believe nothing that was learnt about scores.  The stream
 * finds out by itself, too; the promises hold in any case. */
void enx_stream_forget(enx_stream *stream);

typedef struct enx_stream_claim {
    double   alpha; /* the target */
    double   delta;
    double   always;  /* proved now: share of all answers that is wrong, at most */
    double   lately;  /* ... of the last `window`, or of all while there are fewer */
    uint64_t answers; /* offers so far */
    uint32_t window;
    uint64_t delivered; /* of a worker, without audit */
    uint64_t audited;
    uint64_t audits_wrong; /* found by audits, and replaced */
    uint64_t escalated;
    uint64_t drifts; /* times that what was learnt was forgotten */
} enx_stream_claim;

enx_stream_claim enx_stream_result(const enx_stream *stream);
/* The count of that name alone: O(1). */
uint64_t         enx_stream_drifts(const enx_stream *stream);
/* Offers so far, and offers and labels together: O(1). */
uint64_t         enx_stream_answers(const enx_stream *stream);
uint64_t         enx_stream_events(const enx_stream *stream);

#endif /* ENX_SWARM_STREAM_H */
