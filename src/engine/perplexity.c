/* SPDX-License-Identifier: Apache-2.0 */
/* perplexity.c - windows as forced outputs, as many at a time as the engine has slots. */
#include "engine/perplexity.h"

#include "base/check.h"

#include <math.h>

enum { WINDOW_TOKENS_MAX = 512 };

/* Windows finish in any order, and floating-point sums depend on it: nats are kept as integers of
 * 2^-32, whose sum does not. */
typedef struct tally {
    uint64_t nats_fixed;
    uint64_t token_count;
    uint64_t wanted_count; /* of all windows submitted */
} tally;

#define NATS_UNIT 0x1p32
#define NATS_MAX  1e4 /* of one token: a model of broken weights cannot overflow the sum */

static void add_window(void *owner, const enx_generation *generation)
{
    tally *t = owner;
    t->token_count += generation->token_count;
    for (uint32_t i = 0; i < generation->token_count; i++) {
        const double nats = -(double)generation->logprobs[i];
        t->nats_fixed += (uint64_t)((nats < NATS_MAX ? nats : NATS_MAX) * NATS_UNIT);
    }
}

static enx_status check_windows(enx_perplexity_options *o, const enx_engine *engine,
                                size_t token_count, enx_report *report)
{
    const uint32_t context = enx_engine_context_tokens(engine);
    if (token_count < 2)
        return ENX_FAIL(report, INVALID, "%zu tokens; perplexity needs two at least", token_count);
    if (o->window_tokens == 0)
        o->window_tokens = context - 1 < WINDOW_TOKENS_MAX ? context - 1 : WINDOW_TOKENS_MAX;
    if (o->overlap_tokens == 0) o->overlap_tokens = (o->window_tokens + 3) / 4;
    if (o->window_tokens < 2 || o->window_tokens >= context)
        return ENX_FAIL(report, INVALID, "windows of %u tokens; 2 to %u fit this engine",
                        o->window_tokens, context - 1);
    if (o->overlap_tokens >= o->window_tokens)
        return ENX_FAIL(report, INVALID, "windows of %u tokens cannot overlap by %u",
                        o->window_tokens, o->overlap_tokens);
    return ENX_OK;
}

/* Submit the window that counts tokens from `next` on; returns the first that it leaves. */
static enx_status submit_window(tally *t, enx_engine *engine, const uint32_t *tokens,
                                size_t token_count, const enx_perplexity_options *o, size_t *next,
                                enx_report *report)
{
    const size_t      context = *next < o->overlap_tokens ? *next : o->overlap_tokens;
    const size_t      room = o->window_tokens - context, left = token_count - *next;
    const uint32_t    counted = (uint32_t)(left < room ? left : room);
    const enx_request request = { .prompt = tokens + *next - context,
                                  .prompt_count = (uint32_t)context,
                                  .forced = tokens + *next,
                                  .forced_count = counted,
                                  .eos = ENX_TOKEN_NONE };
    ENX_TRY(enx_engine_submit(engine, &request, NULL, report));
    t->wanted_count += counted;
    *next += counted;
    return ENX_OK;
}

enx_status enx_perplexity_measure(enx_perplexity *out, enx_engine *engine,
                                  const enx_tokenizer *tokenizer, const uint32_t *tokens,
                                  size_t token_count, const enx_perplexity_options *options,
                                  enx_report *report)
{
    ENX_CHECK(out && engine && (tokens || token_count == 0));
    enx_perplexity_options o = options ? *options : (enx_perplexity_options){ 0 };
    ENX_TRY(check_windows(&o, engine, token_count, report));
    tally      t = { 0 };
    enx_status status = ENX_OK;
    size_t     next = 1;
    for (;;) {
        while (status == ENX_OK && next < token_count && enx_engine_free_slots(engine) > 0)
            status = submit_window(&t, engine, tokens, token_count, &o, &next, report);
        if (enx_engine_step(engine, add_window, &t) == 0 &&
            (next == token_count || status != ENX_OK))
            break;
    }
    if (status != ENX_OK) return status;
    ENX_CHECK(t.token_count == t.wanted_count);

    enx_perplexity p = { .token_count = t.token_count, .nats = (double)t.nats_fixed / NATS_UNIT };
    for (size_t i = 1; tokenizer && i < token_count; i++)
        p.byte_count += enx_tokenizer_bytes(tokenizer, tokens[i]).size_bytes;
    p.nats_per_token = p.nats / (double)p.token_count;
    p.perplexity = exp(p.nats_per_token);
    if (p.byte_count) p.bits_per_byte = p.nats / log(2) / (double)p.byte_count;
    *out = p;
    return ENX_OK;
}
