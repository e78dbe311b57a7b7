/* SPDX-License-Identifier: Apache-2.0 */
/* member.h - which machines of a swarm are to be trusted: what audits say of each.
 *
 * Every worker with the same model file gives the same answers, so a worker whose answers turn out
 * wrong much more often than everybody's together is broken, or lies.  A label is one draw; under
 * "this worker is like the others" wrong ones are binomial, with the rate of all others (at least
 * ENX_MEMBER_RATE_MIN, so that luck is not held against anyone while nothing is known).  When so
 * many are less likely than ENX_MEMBER_DOUBT the worker is on trial, below ENX_MEMBER_BAR it is
 * barred.  Labels come one by one and each is looked at: the bounds are small for that reason, and
 * a union over all looks is not claimed.
 *
 * Reports that are no reports, or belong to nobody's call, count as faults: ENX_MEMBER_FAULTS_MAX
 * of them bar as well.
 *
 * Layer: backend.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_BACKEND_MEMBER_H
#define ENX_BACKEND_MEMBER_H

#include "backend/queue_wire.h"

enum { ENX_MEMBERS_MAX = 1 << 14, ENX_MEMBER_FAULTS_MAX = 20 };

#define ENX_MEMBER_RATE_MIN 0.05
#define ENX_MEMBER_DOUBT    1e-3
#define ENX_MEMBER_BAR      1e-6

typedef enum enx_member_state {
    ENX_MEMBER_TRUSTED,
    ENX_MEMBER_ON_TRIAL, /* gets work, one call at a time */
    ENX_MEMBER_BARRED,   /* what it reports is not looked at */
} enx_member_state;

typedef struct enx_member {
    char             name[ENX_WIRE_NAME_BYTES];
    enx_member_state state;
    uint64_t         reports, faults;
    uint32_t         labels, wrong;
} enx_member;

typedef struct enx_members {
    enx_member *items; /* [count], sorted by nothing; owned */
    uint32_t    count, capacity;
    uint32_t    labels, wrong; /* of all */
} enx_members;

void enx_members_deinit(enx_members *members);

/* The member of this name, made when new; NULL: no memory, or too many. */
enx_member *enx_members_find(enx_members *members, const char *name);

/* Tell a label, or a fault; returns whether the member's state changed by it. */
bool enx_members_label(enx_members *members, enx_member *member, bool is_wrong);
bool enx_member_fault(enx_member *member);

/* P(at least `wrong` of `labels` | rate); for tests. */
double enx_member_tail(uint32_t wrong, uint32_t labels, double rate);

#endif /* ENX_BACKEND_MEMBER_H */
