/* SPDX-License-Identifier: Apache-2.0 */
/* throttle.c - limits by seconds, pauses, the breaker. */
#include "backend/throttle.h"

#include "base/check.h"

enum { SECOND_US = 1000000 };

void enx_throttle_init(enx_throttle *t, const enx_throttle_limits *limits)
{
    *t = (enx_throttle){ .limits = *limits };
}

static bool is_over(uint64_t limit, uint64_t held, uint64_t more)
{
    return limit && held && (held > limit || more > limit - held);
}

/* Slots of the ring hold whatever second they were last used for: those that are too old, or were
 * never used, count nothing. */
static bool counts(const enx_throttle_second *at, uint64_t second)
{
    return at->requests > 0 && at->second + ENX_THROTTLE_SECONDS > second;
}

/* The first second in which the limits let it through: the oldest seconds leave one by one. */
static uint64_t fit_second(const enx_throttle *t, uint64_t now, uint64_t tokens)
{
    uint64_t requests_held = 0, tokens_held = 0;
    for (int i = 0; i < ENX_THROTTLE_SECONDS; i++) {
        if (!counts(&t->seconds[i], now)) continue;
        requests_held += t->seconds[i].requests;
        tokens_held += t->seconds[i].tokens;
    }
    for (uint64_t second = now;; second++) {
        if (!is_over(t->limits.requests_per_min, requests_held, 1) &&
            !is_over(t->limits.tokens_per_min, tokens_held, tokens))
            return second;
        const uint64_t             leaves = second + 1 - ENX_THROTTLE_SECONDS;
        const enx_throttle_second *at = &t->seconds[leaves % ENX_THROTTLE_SECONDS];
        if (second + 1 < ENX_THROTTLE_SECONDS || at->second != leaves || !counts(at, now)) continue;
        requests_held -= at->requests;
        tokens_held -= at->tokens;
    }
}

uint64_t enx_throttle_when(const enx_throttle *t, uint64_t now_us, uint64_t tokens)
{
    if (t->limits.concurrency && t->in_flight >= t->limits.concurrency) return UINT64_MAX;
    if (t->open_us && t->in_flight > 0) return UINT64_MAX; /* one on trial at a time */
    uint64_t when_us = now_us;
    if (t->paused_until_us > when_us) when_us = t->paused_until_us;
    if (t->open_us && t->open_until_us > when_us) when_us = t->open_until_us;
    const uint64_t now = when_us / SECOND_US, fits = fit_second(t, now, tokens);
    return fits == now ? when_us : fits * SECOND_US;
}

void enx_throttle_start(enx_throttle *t, uint64_t now_us, uint64_t tokens)
{
    const uint64_t       second = now_us / SECOND_US;
    enx_throttle_second *at = &t->seconds[second % ENX_THROTTLE_SECONDS];
    if (at->second != second) *at = (enx_throttle_second){ .second = second };
    at->requests++;
    at->tokens += tokens;
    t->in_flight++;
}

static void count_failure(enx_throttle *t, uint64_t now_us)
{
    if (t->failures < UINT32_MAX) t->failures++;
    if (t->failures < ENX_THROTTLE_FAILURES) return;
    t->open_us = t->open_us == 0 ? ENX_THROTTLE_OPEN_US : t->open_us * 2;
    if (t->open_us > ENX_THROTTLE_OPEN_US_MAX) t->open_us = ENX_THROTTLE_OPEN_US_MAX;
    t->open_until_us = now_us + t->open_us;
}

void enx_throttle_stop(enx_throttle *t, uint64_t now_us, enx_throttle_end end, uint64_t start_us,
                       uint64_t tokens, uint64_t used)
{
    ENX_CHECK(t->in_flight > 0);
    const uint64_t       second = start_us / SECOND_US;
    enx_throttle_second *at = &t->seconds[second % ENX_THROTTLE_SECONDS];
    t->in_flight--;
    if (at->second == second && at->tokens >= tokens) at->tokens += used - tokens;
    if (end == ENX_THROTTLE_FAILED) count_failure(t, now_us);
    if (end != ENX_THROTTLE_ANSWERED) return;
    t->failures = 0;
    t->open_us = 0;
}

void enx_throttle_pause(enx_throttle *t, uint64_t until_us)
{
    if (until_us > t->paused_until_us) t->paused_until_us = until_us;
}
