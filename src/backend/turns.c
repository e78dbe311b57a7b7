/* SPDX-License-Identifier: Apache-2.0 */
/* turns.c - time by weight, the least goes next. */
#include "backend/turns.h"

bool enx_turns_is_awaited(enx_role role)
{
    return role == ENX_ROLE_PLAN || role == ENX_ROLE_LEAD || role == ENX_ROLE_AUDIT;
}

/* At equal times whom others wait for, then the first. */
static bool goes_before(const enx_turns *t, const enx_turns_load *loads, uint32_t a, uint32_t b)
{
    if (t->spent[a] != t->spent[b]) return t->spent[a] < t->spent[b];
    return loads[a].awaited > 0 && loads[b].awaited == 0;
}

uint32_t enx_turns_next(const enx_turns *t, const enx_turns_load *loads, uint32_t count)
{
    uint32_t next = count;
    for (uint32_t m = 0; m < count; m++)
        if (loads[m].calls > 0 && (next == count || goes_before(t, loads, m, next))) next = m;
    return next;
}

void enx_turns_spend(enx_turns *t, const enx_turns_load *loads, uint32_t count, uint32_t model,
                     uint64_t elapsed_us)
{
    const uint64_t least_us = t->spent[model];
    t->spent[model] += elapsed_us * (loads[model].awaited > 0 ? 1 : ENX_TURNS_AWAITED);
    for (uint32_t m = 0; m < count; m++)
        if (loads[m].calls == 0 && t->spent[m] < least_us) t->spent[m] = least_us;
}
