/* SPDX-License-Identifier: Apache-2.0 */
/* member.c - what audits say of each machine. */
#include "backend/member.h"

#include "base/check.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FIRST = 16 };

void enx_members_deinit(enx_members *m)
{
    enx_mem_free(m->items);
    *m = (enx_members){ 0 };
}

enx_member *enx_members_find(enx_members *m, const char *name)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (strcmp(m->items[i].name, name) == 0) return &m->items[i];
    if (m->count == ENX_MEMBERS_MAX) return NULL;
    if (m->count == m->capacity) {
        const uint32_t capacity = m->capacity ? 2 * m->capacity : FIRST;
        enx_member    *items =
            enx_mem_resize(m->items, m->count * sizeof *items, capacity * sizeof *items);
        if (!items) return NULL;
        m->items = items;
        m->capacity = capacity;
    }
    enx_member *one = &m->items[m->count++];
    *one = (enx_member){ 0 };
    snprintf(one->name, sizeof one->name, "%s", name);
    return one;
}

/* One minus what is below: the terms fall by a ratio, so a few dozen of them are the sum. */
double enx_member_tail(uint32_t wrong, uint32_t labels, double rate)
{
    if (wrong == 0) return 1;
    if (wrong > labels || rate <= 0) return 0;
    const double n = labels, k = wrong;
    double       term = exp(lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(rate) +
                            (n - k) * log1p(-rate));
    double       sum = 0;
    for (double i = k; i <= n && term > 0; i++) {
        sum += term;
        term *= (n - i) / (i + 1) * rate / (1 - rate);
    }
    return sum < 1 ? sum : 1;
}

static bool move(enx_member *member, enx_member_state state)
{
    if (state <= member->state) return false; /* trust does not come back by itself */
    member->state = state;
    return true;
}

bool enx_members_label(enx_members *m, enx_member *member, bool is_wrong)
{
    member->labels++;
    member->wrong += is_wrong;
    m->labels++;
    m->wrong += is_wrong;
    const uint32_t others = m->labels - member->labels;
    double         rate = others ? (double)(m->wrong - member->wrong) / others : 0;
    if (rate < ENX_MEMBER_RATE_MIN) rate = ENX_MEMBER_RATE_MIN;
    if (rate >= 1) return false;
    const double chance = enx_member_tail(member->wrong, member->labels, rate);
    return move(member, chance < ENX_MEMBER_BAR     ? ENX_MEMBER_BARRED
                        : chance < ENX_MEMBER_DOUBT ? ENX_MEMBER_ON_TRIAL
                                                    : ENX_MEMBER_TRUSTED);
}

bool enx_member_fault(enx_member *member)
{
    member->faults++;
    return member->faults >= ENX_MEMBER_FAULTS_MAX && move(member, ENX_MEMBER_BARRED);
}
