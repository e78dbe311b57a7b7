/* SPDX-License-Identifier: Apache-2.0 */
/* budget.c - the ledger in memory. */
#include "swarm/budget.h"

#include "base/check.h"

#include <inttypes.h>

enum { TIGHT_SHARE = 5 }; /* a fifth of the cap is left */

void enx_budget_init(enx_budget *budget, const enx_budget_caps *caps)
{
    *budget = (enx_budget){ .caps = *caps };
}

static uint64_t add_saturating(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

uint64_t enx_usage_tokens(const enx_usage_count *usage)
{
    return add_saturating(add_saturating(usage->tokens_in, usage->tokens_cached),
                          usage->tokens_out);
}

/* What is left under a cap; a sum that saturates leaves nothing. */
static uint64_t left_of(uint64_t cap, uint64_t spent, uint64_t reserved, uint64_t unknown)
{
    const uint64_t taken = add_saturating(add_saturating(spent, reserved), unknown);
    const uint64_t limit = cap ? cap : UINT64_MAX;
    return taken >= limit ? 0 : limit - taken;
}

static uint64_t usd_left(const enx_budget *b)
{
    return left_of(b->caps.usd_nano, b->total.cost_usd_nano, b->reserved.usd_nano,
                   b->unknown.usd_nano);
}

static uint64_t tokens_left(const enx_budget *b)
{
    return left_of(b->caps.tokens, enx_usage_tokens(&b->total.usage), b->reserved.tokens,
                   b->unknown.tokens);
}

enx_cap enx_budget_refuses(const enx_budget *b, const enx_reservation *reservation)
{
    if (reservation->usd_nano > usd_left(b)) return ENX_CAP_USD;
    if (reservation->tokens > tokens_left(b)) return ENX_CAP_TOKENS;
    return left_of(b->caps.calls, b->total.calls, b->reserved.calls, b->unknown.calls) < 1
               ? ENX_CAP_CALLS
               : ENX_CAP_NONE;
}

enx_status enx_budget_fits(const enx_budget *budget, const enx_reservation *reservation,
                           enx_report *report)
{
    const enx_cap cap = enx_budget_refuses(budget, reservation);
    if (cap == ENX_CAP_USD)
        return ENX_FAIL(report, BUDGET,
                        "%.9f USD left of %.9f, the next call may need %.9f; raise the budget",
                        (double)usd_left(budget) * 1e-9, (double)budget->caps.usd_nano * 1e-9,
                        (double)reservation->usd_nano * 1e-9);
    if (cap == ENX_CAP_TOKENS)
        return ENX_FAIL(report, BUDGET,
                        "%" PRIu64 " tokens left of %" PRIu64 ", the next call may need %" PRIu64
                        "; raise the token limit",
                        tokens_left(budget), budget->caps.tokens, reservation->tokens);
    if (cap == ENX_CAP_CALLS)
        return ENX_FAIL(report, BUDGET, "all %" PRIu64 " calls are used; raise the call limit",
                        budget->caps.calls);
    return ENX_OK;
}

static bool is_nearly(uint64_t cap, uint64_t spent, uint64_t reserved, uint64_t unknown)
{
    return cap && left_of(cap, spent, reserved, unknown) <= cap / TIGHT_SHARE;
}

bool enx_budget_is_tight(const enx_budget *b)
{
    return is_nearly(b->caps.usd_nano, b->total.cost_usd_nano, b->reserved.usd_nano,
                     b->unknown.usd_nano) ||
           is_nearly(b->caps.tokens, enx_usage_tokens(&b->total.usage), b->reserved.tokens,
                     b->unknown.tokens) ||
           is_nearly(b->caps.calls, b->total.calls, b->reserved.calls, b->unknown.calls);
}

static void hold(enx_budget_hold *at, const enx_reservation *reservation)
{
    at->usd_nano = add_saturating(at->usd_nano, reservation->usd_nano);
    at->tokens = add_saturating(at->tokens, reservation->tokens);
    at->calls++;
}

static void release(enx_budget_hold *at, const enx_reservation *reservation)
{
    ENX_CHECK(at->calls > 0 && at->usd_nano >= reservation->usd_nano &&
              at->tokens >= reservation->tokens);
    at->usd_nano -= reservation->usd_nano;
    at->tokens -= reservation->tokens;
    at->calls--;
}

void enx_budget_reserve(enx_budget *budget, const enx_reservation *reservation)
{
    ENX_CHECK(reservation->model < ENX_ROSTER_MODELS_MAX &&
              (unsigned)reservation->role < ENX_ROLE_COUNT);
    hold(&budget->reserved, reservation);
}

void enx_budget_lose(enx_budget *budget, const enx_reservation *reservation)
{
    release(&budget->reserved, reservation);
    hold(&budget->unknown, reservation);
}

static void add_line(enx_budget_line *to, const enx_budget_line *line)
{
    to->calls += line->calls;
    to->usage.tokens_in = add_saturating(to->usage.tokens_in, line->usage.tokens_in);
    to->usage.tokens_cached = add_saturating(to->usage.tokens_cached, line->usage.tokens_cached);
    to->usage.tokens_out = add_saturating(to->usage.tokens_out, line->usage.tokens_out);
    to->cost_usd_nano = add_saturating(to->cost_usd_nano, line->cost_usd_nano);
    to->fixed_usd_nano = add_saturating(to->fixed_usd_nano, line->fixed_usd_nano);
}

void enx_budget_release(enx_budget *budget, const enx_reservation *reservation, bool was_lost)
{
    release(was_lost ? &budget->unknown : &budget->reserved, reservation);
}

void enx_budget_settle(enx_budget *budget, const enx_reservation *reservation, bool was_lost,
                       const enx_usage_count *usage, const enx_price *price)
{
    ENX_CHECK(reservation->model < ENX_ROSTER_MODELS_MAX &&
              (unsigned)reservation->role < ENX_ROLE_COUNT);
    release(was_lost ? &budget->unknown : &budget->reserved, reservation);
    const enx_budget_line line = {
        .calls = 1,
        .usage = *usage,
        .cost_usd_nano = enx_price_cost(price, usage),
        .fixed_usd_nano = enx_price_fixed(price, usage),
    };
    if (line.cost_usd_nano > reservation->usd_nano || enx_usage_tokens(usage) > reservation->tokens)
        budget->overrun_calls++;
    add_line(&budget->total, &line);
    add_line(&budget->lines[reservation->model][reservation->role], &line);
}

enx_budget_line enx_budget_by_model(const enx_budget *budget, uint32_t model)
{
    ENX_CHECK(model < ENX_ROSTER_MODELS_MAX);
    enx_budget_line sum = { 0 };
    for (uint32_t role = 0; role < ENX_ROLE_COUNT; role++)
        add_line(&sum, &budget->lines[model][role]);
    return sum;
}

enx_budget_line enx_budget_by_role(const enx_budget *budget, enx_role role)
{
    ENX_CHECK((unsigned)role < ENX_ROLE_COUNT);
    enx_budget_line sum = { 0 };
    for (uint32_t model = 0; model < ENX_ROSTER_MODELS_MAX; model++)
        add_line(&sum, &budget->lines[model][role]);
    return sum;
}
