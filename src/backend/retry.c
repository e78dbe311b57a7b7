/* SPDX-License-Identifier: Apache-2.0 */
/* retry.c - the table of retry.h. */
#include "backend/retry.h"

static bool is_busy(int status)
{
    return status == 408 || status == 409 || status == 425 || status == 429 || status == 500 ||
           status == 503 || status == 529;
}

static enx_verdict judge_error(const enx_http_end *end)
{
    const int status = end->status;
    if (is_busy(status)) return ENX_VERDICT_AGAIN;
    if (status >= 500) return ENX_VERDICT_UNKNOWN;
    if (status == 401 || status == 403) return ENX_VERDICT_LOCKED_OUT;
    if ((status == 400 || status == 422) && end->has_refused) return ENX_VERDICT_SIMPLER;
    return ENX_VERDICT_REFUSED;
}

enx_verdict enx_retry_judge(const enx_http_end *end)
{
    if (!end->is_sent) return ENX_VERDICT_AGAIN;
    if (end->status >= 300) return judge_error(end);
    if (end->is_spoilt) return ENX_VERDICT_SPOILT;
    if (end->has_error) return ENX_VERDICT_UNKNOWN;
    if (end->is_ended) return ENX_VERDICT_ANSWERED; /* what is cut off after it is not missed */
    return ENX_VERDICT_UNKNOWN;
}

uint64_t enx_retry_wait_us(uint32_t attempt, uint64_t after_us, enx_rng *rng)
{
    uint64_t wait_us = ENX_RETRY_BASE_US;
    for (uint32_t i = 1; i < attempt && wait_us < ENX_RETRY_US_MAX; i++) wait_us *= 2;
    if (wait_us > ENX_RETRY_US_MAX) wait_us = ENX_RETRY_US_MAX;
    const uint64_t chance_us = enx_rng_below(rng, wait_us / 2 + 1);
    return (after_us > wait_us / 2 ? after_us : wait_us / 2) + chance_us;
}
