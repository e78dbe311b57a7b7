/* SPDX-License-Identifier: Apache-2.0 */
/* throttle.h - when may the next request to a provider leave?
 *
 * Three things hold it back: limits (in flight, requests and tokens a minute), a pause that the
 * provider asked for, and a breaker that opens when request after request fails:
 *
 *     closed ── ENX_THROTTLE_FAILURES in a row ──► open ── time is up ──► one request on trial
 *        ▲                                          ▲ longer each time         │     │
 *        └───────────────── it succeeds ────────────┼──────────────────────────┘     │
 *                                                   └─────────── it fails ───────────┘
 *
 * No 60 seconds hold more requests or tokens than the limits say: what left is counted by seconds,
 * and counts until the whole second is a minute old.  Tokens are what a request may use at most;
 * when it has ended, what it did use.
 *
 * Layer: backend.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_BACKEND_THROTTLE_H
#define ENX_BACKEND_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_THROTTLE_FAILURES = 5,
    ENX_THROTTLE_SECONDS = 61,      /* the second under way, and 60 before it */
    ENX_THROTTLE_OPEN_US = 1000000, /* for the first time; doubles */
    ENX_THROTTLE_OPEN_US_MAX = 60000000,
};

/* 0: no limit. */
typedef struct enx_throttle_limits {
    uint32_t concurrency;
    uint32_t requests_per_min;
    uint64_t tokens_per_min;
} enx_throttle_limits;

typedef struct enx_throttle_second {
    uint64_t second;
    uint64_t requests;
    uint64_t tokens;
} enx_throttle_second;

typedef struct enx_throttle {
    enx_throttle_limits limits;
    uint32_t            in_flight;
    enx_throttle_second seconds[ENX_THROTTLE_SECONDS]; /* at second % ENX_THROTTLE_SECONDS */
    uint64_t            paused_until_us;
    uint32_t            failures; /* in a row */
    uint64_t            open_until_us;
    uint64_t            open_us; /* length of the last opening; 0: closed */
} enx_throttle;

typedef enum enx_throttle_end {
    ENX_THROTTLE_ANSWERED, /* whatever it said, the provider is there */
    ENX_THROTTLE_FAILED,
    ENX_THROTTLE_UNTRIED, /* given up by us: says nothing about the provider */
} enx_throttle_end;

void enx_throttle_init(enx_throttle *t, const enx_throttle_limits *limits);

/* The first moment at which a request of at most `tokens` may leave, as far as is known now;
 * UINT64_MAX: not before one in flight has ended.  A request that is larger than the limit leaves
 * when the minute is empty.  O(ENX_THROTTLE_SECONDS). */
uint64_t enx_throttle_when(const enx_throttle *t, uint64_t now_us, uint64_t tokens);

void enx_throttle_start(enx_throttle *t, uint64_t now_us, uint64_t tokens);
/* Of a request that started at `start_us` with `tokens`; it used `used`. */
void enx_throttle_stop(enx_throttle *t, uint64_t now_us, enx_throttle_end end, uint64_t start_us,
                       uint64_t tokens, uint64_t used);
/* Nothing leaves before; never shortens a pause. */
void enx_throttle_pause(enx_throttle *t, uint64_t until_us);

#endif /* ENX_BACKEND_THROTTLE_H */
