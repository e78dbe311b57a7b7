/* SPDX-License-Identifier: Apache-2.0 */
/* retry.h - what to do when a request to a provider has ended: one table.
 *
 *     how it ended                                     verdict     who pays
 *     the API's own end came, in a stream or a body    ANSWERED    by its usage, where believed
 *     2xx, whole, but not what the API says            SPOILT      the worst case
 *     2xx, an error within the stream, or no end       UNKNOWN     nobody knows
 *     sent, then cut off, or timed out                 UNKNOWN     nobody knows
 *     502, 504, 520 to 599 but 529 (of a gateway)      UNKNOWN     nobody knows
 *     never sent: no connection                        AGAIN       nothing to pay
 *     408, 409, 425, 429, 500, 503, 529                AGAIN       nothing to pay
 *     400, 422 about a field that can be left out      SIMPLER     nothing to pay
 *     401, 403                                         LOCKED OUT  nothing to pay
 *     any other                                        REFUSED     nothing to pay
 *
 * Providers do not charge for a request that they answer by an error status.  A gateway's 502 or
 * 504 says nothing about what happened behind it.  UNKNOWN is never asked again under the same
 * reserve: the answer may have been paid for, and a second one would be paid again.
 *
 * Layer: backend.  Thread-safety: no shared state.
 */
#ifndef ENX_BACKEND_RETRY_H
#define ENX_BACKEND_RETRY_H

#include "base/rng.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_RETRY_BASE_US = 500000,
    ENX_RETRY_US_MAX = 30000000,
    ENX_RETRY_AFTER_US_MAX = 120000000, /* who asks for more is not waited for */
};

typedef struct enx_http_end {
    bool is_sent;     /* a byte of the request has left */
    int  status;      /* 0: no response */
    bool is_spoilt;   /* what came of the body is not what the API says */
    bool has_error;   /* the body told an error */
    bool is_ended;    /* the API's own end came */
    bool has_refused; /* the error is about a field that can be left out */
} enx_http_end;

typedef enum enx_verdict {
    ENX_VERDICT_ANSWERED,
    ENX_VERDICT_SPOILT,
    ENX_VERDICT_UNKNOWN,
    ENX_VERDICT_AGAIN,
    ENX_VERDICT_SIMPLER,
    ENX_VERDICT_LOCKED_OUT,
    ENX_VERDICT_REFUSED,
} enx_verdict;

enx_verdict enx_retry_judge(const enx_http_end *end);

/* How long to wait after the `attempt`-th try, from 1: doubles from ENX_RETRY_BASE_US to
 * ENX_RETRY_US_MAX, the later half of it by chance.  Where the provider asked for `after_us`, that
 * takes the place of the first half, so that not all come back at once. */
uint64_t enx_retry_wait_us(uint32_t attempt, uint64_t after_us, enx_rng *rng);

#endif /* ENX_BACKEND_RETRY_H */
