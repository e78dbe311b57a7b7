/* SPDX-License-Identifier: Apache-2.0 */
/* allowance.c - caps that jobs share. */
#include "swarm/allowance.h"

#include "base/check.h"

#include <inttypes.h>
#include <string.h>

enum { TIGHT_SHARE = 5 }; /* a fifth of the cap is left */

/* What is left under a cap; nothing, where the sum is too large for a number. */
static uint64_t left_of(uint64_t cap, uint64_t elsewhere, uint64_t here)
{
    uint64_t       taken;
    const uint64_t limit = cap ? cap : UINT64_MAX;
    if (__builtin_add_overflow(elsewhere, here, &taken)) return 0;
    return taken >= limit ? 0 : limit - taken;
}

bool enx_allowance_covers(const enx_allowance *a, const char *class_name)
{
    return !a->class_name || (class_name && strcmp(a->class_name, class_name) == 0);
}

void enx_allowance_tell(enx_allowance *a, uint32_t day, const enx_use *elsewhere)
{
    if (day != a->day) a->here = (enx_use){ 0 };
    a->day = day;
    a->elsewhere = *elsewhere;
}

static const char *scope(const enx_allowance *a) { return a->class_name ? " of the class " : ""; }
static const char *name(const enx_allowance *a) { return a->class_name ? a->class_name : ""; }

enx_status enx_allowance_fits(const enx_allowance *a, const enx_reservation *reservation,
                              enx_report *report)
{
    const uint64_t usd = left_of(a->caps.usd_nano, a->elsewhere.usd_nano, a->here.usd_nano);
    const uint64_t tokens = left_of(a->caps.tokens, a->elsewhere.tokens, a->here.tokens);
    if (reservation->usd_nano > usd)
        return ENX_FAIL(report, BUDGET,
                        "today's money%s%s: %.9f USD left of %.9f, the next call may need %.9f",
                        scope(a), name(a), (double)usd * 1e-9, (double)a->caps.usd_nano * 1e-9,
                        (double)reservation->usd_nano * 1e-9);
    if (reservation->tokens > tokens)
        return ENX_FAIL(report, BUDGET,
                        "today's tokens%s%s: %" PRIu64 " left of %" PRIu64
                        ", the next call may need %" PRIu64,
                        scope(a), name(a), tokens, a->caps.tokens, reservation->tokens);
    if (left_of(a->caps.calls, a->elsewhere.calls, a->here.calls) < 1)
        return ENX_FAIL(report, BUDGET, "today's calls%s%s: all %" PRIu64 " are used", scope(a),
                        name(a), a->caps.calls);
    if (left_of(a->caps.time_us, a->elsewhere.time_us, a->here.time_us) < 1)
        return ENX_FAIL(report, BUDGET, "today's time of calls%s%s: all %.3f s are used", scope(a),
                        name(a), (double)a->caps.time_us * 1e-6);
    return ENX_OK;
}

static bool is_nearly(uint64_t cap, uint64_t elsewhere, uint64_t here)
{
    return cap && left_of(cap, elsewhere, here) <= cap / TIGHT_SHARE;
}

bool enx_allowance_is_tight(const enx_allowance *a)
{
    return is_nearly(a->caps.usd_nano, a->elsewhere.usd_nano, a->here.usd_nano) ||
           is_nearly(a->caps.tokens, a->elsewhere.tokens, a->here.tokens) ||
           is_nearly(a->caps.calls, a->elsewhere.calls, a->here.calls) ||
           is_nearly(a->caps.time_us, a->elsewhere.time_us, a->here.time_us);
}

static void add(uint64_t *to, uint64_t value)
{
    if (__builtin_add_overflow(*to, value, to)) *to = UINT64_MAX;
}

void enx_allowance_reserve(enx_allowance *a, const enx_reservation *reservation)
{
    add(&a->here.usd_nano, reservation->usd_nano);
    add(&a->here.tokens, reservation->tokens);
    add(&a->here.calls, 1);
}

void enx_allowance_settle(enx_allowance *a, uint32_t day, const enx_reservation *reservation,
                          const enx_use *use)
{
    if (day != a->day) return;
    ENX_CHECK(a->here.usd_nano >= reservation->usd_nano && a->here.tokens >= reservation->tokens &&
              a->here.calls > 0);
    a->here.usd_nano -= reservation->usd_nano;
    a->here.tokens -= reservation->tokens;
    a->here.calls--;
    add(&a->here.usd_nano, use->usd_nano);
    add(&a->here.tokens, use->tokens);
    add(&a->here.calls, use->calls);
    add(&a->here.time_us, use->time_us);
}
