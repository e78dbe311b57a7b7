/* SPDX-License-Identifier: Apache-2.0 */
/* cli_bill.c - a job's bill and certificate. */
#include "cli/cli_bill.h"

#include "base/binomial.h"

#include <math.h>
#include <string.h>

static const double known_tail = .025; /* on each side of an interval */

const char *cli_money(char out[CLI_MONEY_BYTES], uint64_t usd_nano)
{
    int digits = 2;
    for (uint64_t least = 1000000000; digits < 9 && usd_nano < least; least /= 10) digits++;
    snprintf(out, CLI_MONEY_BYTES, "$%.*f", digits, (double)usd_nano * 1e-9);
    return out;
}

typedef struct bill_sums {
    json_t  *models;
    uint64_t calls, in, cached, out, reasoning, cost, fixed, reused;
} bill_sums;

static enx_status add_line(void *user, const enx_store_model *line, enx_report *report)
{
    (void)report;
    bill_sums *sums = user;
    sums->calls += line->calls;
    sums->reused += line->reused;
    sums->in += line->usage.tokens_in;
    sums->cached += line->usage.tokens_cached;
    sums->out += line->usage.tokens_out;
    sums->reasoning += line->tokens_reasoning;
    sums->cost += line->cost_usd_nano;
    sums->fixed += line->fixed_usd_nano;
    json_array_append_new(
        sums->models,
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "name",
                  line->name, "duty", line->duty, "parameters", (json_int_t)line->params, "calls",
                  (json_int_t)line->calls, "reused", (json_int_t)line->reused, "tokens_in",
                  (json_int_t)line->usage.tokens_in, "tokens_cached",
                  (json_int_t)line->usage.tokens_cached, "tokens_out",
                  (json_int_t)line->usage.tokens_out, "tokens_reasoning",
                  (json_int_t)line->tokens_reasoning, "usd_per_mtok_in",
                  cli_json_usd(line->price.in), "usd_per_mtok_out", cli_json_usd(line->price.out),
                  "cost_usd", cli_json_usd(line->cost_usd_nano), "fixed_usd",
                  cli_json_usd(line->fixed_usd_nano)));
    return ENX_OK;
}

enx_status cli_bill_json(enx_store *store, uint64_t job_id, json_t **out, enx_report *report)
{
    bill_sums        sums = { .models = json_array() };
    enx_store_doubts doubts = { 0 };
    enx_status       status = enx_store_bill_each(store, job_id, add_line, &sums, report);
    if (status == ENX_OK) status = enx_store_doubts_get(store, job_id, &doubts, report);
    if (status != ENX_OK) {
        json_decref(sums.models);
        return status;
    }
    *out = json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:{s:I, s:I, s:o}}", "models",
        sums.models, "calls", (json_int_t)sums.calls, "reused", (json_int_t)sums.reused,
        "tokens_in", (json_int_t)sums.in, "tokens_cached", (json_int_t)sums.cached, "tokens_out",
        (json_int_t)sums.out, "tokens_reasoning", (json_int_t)sums.reasoning, "cost_usd",
        cli_json_usd(sums.cost), "fixed_usd", cli_json_usd(sums.fixed), "total_usd",
        cli_json_usd(sums.cost + sums.fixed), "assumed_calls", (json_int_t)doubts.assumed_calls,
        "unknown", "calls", (json_int_t)doubts.open_calls, "tokens", (json_int_t)doubts.open_tokens,
        "usd", cli_json_usd(doubts.open_usd_nano));
    return ENX_OK;
}

static long long whole(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static const char *money(char out[CLI_MONEY_BYTES], const json_t *object, const char *key)
{
    const double usd = json_real_value(json_object_get(object, key));
    return cli_money(out, (uint64_t)(usd * 1e9 + .5));
}

static void print_doubts(FILE *out, const json_t *bill)
{
    char            text[CLI_MONEY_BYTES];
    const json_t   *unknown = json_object_get(bill, "unknown");
    const long long assumed = whole(bill, "assumed_calls"), calls = whole(unknown, "calls");
    if (assumed > 0)
        fprintf(out,
                "            %lld of the calls by their worst case: what the model told of its "
                "usage cannot be true\n",
                assumed);
    if (calls > 0)
        fprintf(
            out,
            "            %lld more calls have no result; they may have cost up to %s, which the "
            "budget holds back\n",
            calls, money(text, unknown, "usd"));
}

void cli_bill_print(FILE *out, const json_t *bill)
{
    char    text[CLI_MONEY_BYTES];
    size_t  i;
    json_t *line;
    fprintf(out, "bill        %-18s %-7s %7s %9s %9s %9s %14s\n", "model", "duty", "calls", "in",
            "cached", "out", "cost");
    json_array_foreach (json_object_get(bill, "models"), i, line) {
        if (whole(line, "calls") == 0) continue;
        fprintf(out, "            %-18s %-7s %7lld %9lld %9lld %9lld %14s\n",
                json_string_value(json_object_get(line, "name")),
                json_string_value(json_object_get(line, "duty")), whole(line, "calls"),
                whole(line, "tokens_in"), whole(line, "tokens_cached"), whole(line, "tokens_out"),
                money(text, line, "cost_usd"));
    }
    fprintf(out, "            %-26s %7lld %9lld %9lld %9lld %14s\n", "all calls",
            whole(bill, "calls"), whole(bill, "tokens_in"), whole(bill, "tokens_cached"),
            whole(bill, "tokens_out"), money(text, bill, "cost_usd"));
    fprintf(out, "            %-64s %14s\n", "training, this job's share (fixed)",
            money(text, bill, "fixed_usd"));
    fprintf(out, "            %-64s %14s\n", "total", money(text, bill, "total_usd"));
    if (whole(bill, "reused") > 0)
        fprintf(out, "            %lld answers were known, and cost nothing (--fresh asks again)\n",
                whole(bill, "reused"));
    print_doubts(out, bill);
}

json_t *cli_certificate_json(bool has, const enx_certificate_claim *claim)
{
    if (!has) return json_null();
    json_t *out = json_pack("{s:s, s:b, s:f, s:f, s:I, s:I, s:I, s:I, s:I}", "form",
                            enx_certificate_form_text(claim->form), "certified",
                            (int)claim->is_certified, "alpha", claim->alpha, "delta", claim->delta,
                            "answers", (json_int_t)claim->answers, "population",
                            (json_int_t)claim->population, "accepted", (json_int_t)claim->accepted,
                            "labels", (json_int_t)claim->labels, "wrong", (json_int_t)claim->wrong);
    if (claim->form == ENX_CERTIFICATE_STREAM)
        json_object_update_new(
            out, json_pack("{s:f, s:f, s:I, s:I, s:I}", "always", claim->always, "lately",
                           claim->lately, "window", (json_int_t)claim->window, "escalated",
                           (json_int_t)claim->escalated, "drifts", (json_int_t)claim->drifts));
    return out;
}

/* Of a class that goes on: what is promised at any moment, and what is proved at this one. */
static void print_stream(FILE *out, const enx_certificate_claim *c)
{
    fprintf(
        out,
        "certificate stream: of all %u answers of the class so far, %u of them of this job, at "
        "most %.2f %%\n            differ from the lead's, at any moment, and of the last %u at "
        "any given one; confidence %.0f %%\n            proved now: at most %.2f %% of all, "
        "%.2f %% of the last ones (%u delivered as they were,\n            %u audited, %u of "
        "those wrong and replaced, %u answered by the lead)\n",
        c->answers, c->population, 100 * c->alpha, c->window, 100 * (1 - c->delta), 100 * c->always,
        100 * c->lately, c->accepted, c->labels, c->wrong, c->escalated);
    if (c->drifts)
        fprintf(out,
                "            errors became more likely %u times: what was learnt was dropped\n",
                c->drifts);
}

void cli_certificate_print(FILE *out, bool has, const enx_certificate_claim *claim)
{
    if (!has) fprintf(out, "certificate none was asked for (--accuracy A or --labels N)\n");
    else if (claim->form == ENX_CERTIFICATE_STREAM) print_stream(out, claim);
    else if (!claim->is_certified)
        fprintf(out, "certificate nothing proved by %u labels, %u of them wrong\n", claim->labels,
                claim->wrong);
    else
        fprintf(
            out,
            "certificate batch: of %u answers at most %.2f %% differ from the lead's, with "
            "confidence "
            "%.0f %%\n            (%u labels, %u wrong and replaced; %u of %u answers certified)\n",
            claim->answers, 100 * claim->alpha, 100 * (1 - claim->delta), claim->labels,
            claim->wrong, claim->accepted, claim->population);
}

/* A model against what the user knows, with an interval that holds in 95 of 100 cases. */
json_t *cli_known_json(const enx_swarm_known *k)
{
    return json_pack("{s:i, s:i, s:f, s:f}", "count", (int)k->count, "wrong", (int)k->wrong, "low",
                     enx_binomial_low(k->wrong, k->count, known_tail), "high",
                     enx_binomial_high(k->wrong, k->count, known_tail));
}

static void print_known(FILE *out, const char *who, const enx_swarm_known *k)
{
    if (k->count)
        fprintf(out,
                "            %s wrong in %u of %u of the records that you labelled: %.1f to "
                "%.1f %% (95 %%)\n",
                who, k->wrong, k->count, 100 * enx_binomial_low(k->wrong, k->count, known_tail),
                100 * enx_binomial_high(k->wrong, k->count, known_tail));
}

/* What a certificate against the lead does not say: how often the lead is wrong. */
void cli_known_print(FILE *out, const enx_swarm_summary *s)
{
    const enx_swarm_known *lead = &s->known_lead;
    print_known(out, "the lead is", lead);
    print_known(out, "workers are", &s->known_worker);
    if (!lead->count || !s->has_certificate || !s->certificate.is_certified) return;
    const double most =
        s->certificate.alpha + enx_binomial_high(lead->wrong, lead->count, known_tail);
    fprintf(out,
            "            so against the truth at most %.2f %% are wrong, if those records were "
            "drawn at random\n",
            100 * fmin(1, most));
}
