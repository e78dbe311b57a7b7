/* SPDX-License-Identifier: Apache-2.0 */
/* cli_ledger.c - sums over receipts. */
#include "cli/cli_ledger.h"

#include "base/check.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { HAS_LEAD = 1, HAS_AUDIT = 2 };

typedef struct sums {
    uint8_t *marks; /* [mark_count] of each task: what was called for it */
    uint32_t mark_count;
    uint64_t small_usd_nano, lead_usd_nano, lead_calls, calls;
    uint64_t tokens_in, tokens_cached, tokens_out; /* of the lead's answers */
    uint64_t first_us, last_us;
} sums;

static enx_status take_items(void *user, const enx_store_job *job, enx_report *report)
{
    (void)report;
    *(uint32_t *)user = job->items;
    return ENX_OK;
}

/* The lead answers a task as `lead`, and checks one as `audit`; both cost what an answer costs. */
static enx_status take_receipt(void *user, const enx_store_receipt *r, enx_report *report)
{
    sums      *s = user;
    const bool is_lead = strcmp(r->role, "lead") == 0, is_audit = strcmp(r->role, "audit") == 0;
    (void)report;
    if (r->finished_us == 0) return ENX_OK;
    s->first_us = s->calls == 0 || r->started_us < s->first_us ? r->started_us : s->first_us;
    s->last_us = r->finished_us > s->last_us ? r->finished_us : s->last_us;
    s->calls++;
    if (r->task_id > 0 && r->task_id <= s->mark_count)
        s->marks[r->task_id - 1] |= is_lead ? HAS_LEAD : is_audit ? HAS_AUDIT : 0;
    if (is_lead || is_audit) {
        s->lead_calls++;
        s->lead_usd_nano += r->cost_usd_nano;
        s->tokens_in += r->usage.tokens_in + r->usage.tokens_cached;
        s->tokens_cached += r->usage.tokens_cached;
        s->tokens_out += r->usage.tokens_out;
    } else if (strcmp(r->role, "plan") != 0) s->small_usd_nano += r->cost_usd_nano;
    return ENX_OK;
}

static double part(uint64_t whole, uint64_t count)
{
    return count > 0 ? (double)whole / (double)count : NAN;
}

static void fill(cli_ledger *out, const sums *s)
{
    uint32_t escalated = 0, audited = 0;
    for (uint32_t i = 0; i < s->mark_count; i++) {
        escalated += (s->marks[i] & HAS_LEAD) != 0;
        audited += (s->marks[i] & HAS_AUDIT) != 0;
    }
    out->tasks = s->mark_count;
    out->escalated = part(escalated, s->mark_count);
    out->audited = part(audited, s->mark_count);
    out->small_task_usd = 1e-9 * part(s->small_usd_nano, s->mark_count);
    out->lead_task_usd = 1e-9 * part(s->lead_usd_nano, s->lead_calls);
    out->tokens_in = part(s->tokens_in, s->lead_calls);
    out->tokens_cached = part(s->tokens_cached, s->lead_calls);
    out->tokens_out = part(s->tokens_out, s->lead_calls);
    out->task_seconds = 1e-6 * part(s->last_us - s->first_us, s->mark_count);
}

enx_status cli_ledger_read(cli_ledger *out, enx_store *store, uint64_t job_id, enx_report *report)
{
    ENX_CHECK(out && store);
    cli_ledger ledger = { .job_id = job_id };
    sums       s = { 0 };
    ENX_TRY(enx_store_job_get(store, job_id, take_items, &s.mark_count, report));
    s.marks = ENX_MEM_NEW(uint8_t, s.mark_count ? s.mark_count : 1);
    if (!s.marks) return ENX_FAIL(report, NOMEM, "no memory for %u tasks", s.mark_count);
    enx_status status = enx_store_receipts_each(store, job_id, take_receipt, &s, report);
    if (status == ENX_OK && (s.calls == 0 || s.mark_count == 0))
        status =
            ENX_FAIL(report, INVALID, "job %llu has no task with a receipt yet; take one that ran",
                     (unsigned long long)job_id);
    if (status == ENX_OK) {
        fill(&ledger, &s);
        status = enx_store_certificate_get(store, job_id, &ledger.certificate, NULL);
        ledger.has_certificate = status == ENX_OK;
        if (status == ENX_NOTFOUND) status = ENX_OK;
    }
    enx_mem_free(s.marks);
    if (status == ENX_OK) *out = ledger;
    return status;
}

double cli_ledger_cost_ratio(const cli_ledger *l)
{
    if (!(l->lead_task_usd > 0)) return NAN;
    return l->small_task_usd / l->lead_task_usd + fmin(1, l->escalated + l->audited);
}
