/* SPDX-License-Identifier: Apache-2.0 */
/* ports.c - names and prices of the shapes that cross the swarm's border. */
#include "swarm/ports.h"

#include "base/check.h"

static const char *const duty_texts[] = {
#define X(name, text) text,
    ENX_DUTY_MAP(X)
#undef X
};
static const char *const role_texts[] = {
#define X(name, text) text,
    ENX_ROLE_MAP(X)
#undef X
};
static const char *const call_status_texts[] = {
#define X(name, text) text,
    ENX_CALL_STATUS_MAP(X)
#undef X
};
static const char *const record_kind_texts[] = {
#define X(name, text) text,
    ENX_RECORD_MAP(X)
#undef X
};
static const char *const reason_texts[] = {
#define X(name, text) text,
    ENX_REASON_MAP(X)
#undef X
};
static const char *const certificate_form_texts[] = {
#define X(name, text) text,
    ENX_CERTIFICATE_FORM_MAP(X)
#undef X
};

/* Sum of products, divided by a million and rounded up; saturates. */
static uint64_t weigh(const uint64_t *tokens, const uint64_t *prices, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t product;
        if (__builtin_mul_overflow(tokens[i], prices[i], &product)) return UINT64_MAX;
        if (__builtin_add_overflow(sum, product, &sum)) return UINT64_MAX;
    }
    return sum / 1000000 + (sum % 1000000 != 0);
}

uint64_t enx_price_cost(const enx_price *price, const enx_usage_count *usage)
{
    const uint64_t tokens[] = { usage->tokens_in, usage->tokens_cached, usage->tokens_out };
    const uint64_t prices[] = { price->in, price->cached, price->out };
    return weigh(tokens, prices, 3);
}

uint64_t enx_price_fixed(const enx_price *price, const enx_usage_count *usage)
{
    const uint64_t tokens[] = { usage->tokens_in, usage->tokens_cached, usage->tokens_out };
    const uint64_t prices[] = { price->fixed, price->fixed, price->fixed };
    return weigh(tokens, prices, 3);
}

const char *enx_duty_text(enx_duty duty)
{
    ENX_CHECK((unsigned)duty < ENX_DUTY_COUNT);
    return duty_texts[duty];
}

const char *enx_role_text(enx_role role)
{
    ENX_CHECK((unsigned)role < ENX_ROLE_COUNT);
    return role_texts[role];
}

const char *enx_call_status_text(enx_call_status status)
{
    ENX_CHECK((unsigned)status < ENX_CALL_STATUS_COUNT);
    return call_status_texts[status];
}

const char *enx_record_kind_text(enx_record_kind kind)
{
    ENX_CHECK((unsigned)kind < ENX_RECORD_COUNT);
    return record_kind_texts[kind];
}

const char *enx_reason_text(enx_reason reason)
{
    ENX_CHECK((unsigned)reason < ENX_REASON_COUNT);
    return reason_texts[reason];
}

const char *enx_certificate_form_text(enx_certificate_form form)
{
    ENX_CHECK((unsigned)form < ENX_CERTIFICATE_FORM_COUNT);
    return certificate_form_texts[form];
}

int32_t enx_kinds_level(uint32_t kinds)
{
    if (kinds & ENX_KIND_PUNCTUATION) return 3;
    if (kinds & ENX_KIND_CAPITALS) return 2;
    return kinds & ENX_KIND_ACCENTS ? 1 : 0;
}
