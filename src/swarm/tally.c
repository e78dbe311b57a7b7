/* SPDX-License-Identifier: Apache-2.0 */
/* tally.c - one entry a task while a job is read, then sums. */
#include "swarm/tally.h"

#include "base/check.h"
#include "base/mem.h"
#include "swarm/stream.h"

#include <math.h>
#include <string.h>

enum { OUTCOME_UNKNOWN, OUTCOME_RIGHT, OUTCOME_WRONG };

static const double interval_z = 1.96;
static const double errors_min = 20; /* seen before a vote is judged */

/* What was said of a task's first answer. */
typedef struct entry {
    bool     has_answer; /* of a worker */
    bool     is_passed;  /* every check */
    bool     is_flagged;
    uint32_t check; /* that refused it, from 1; 0: none */
    bool     is_offered, is_escalated, is_audited;
    double   chance; /* of a label, where it was offered */
    int      label, truth;
    uint64_t answers[ENX_VOTES_MAX]; /* hashes */
    uint32_t models[ENX_VOTES_MAX];
    uint32_t vote_count;
    bool     has_reference;
    uint64_t reference;
    bool     was_asked[2]; /* a second worker; a verifier or the lead */
    bool     is_leads;
} entry;

struct enx_tally {
    enx_tally_sums sums;
    enx_tally_job  job;
    char           names[ENX_ROSTER_MODELS_MAX][ENX_TALLY_NAME_BYTES];
    entry         *entries;               /* [job.item_count] */
    uint64_t       calls[3], usd_nano[3]; /* of votes, verifiers, leads that verify; of the job */
    uint64_t       tasks[3];
};

static uint64_t hash_of(const char *bytes, size_t size_bytes)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < size_bytes; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

/* ---- shares -------------------------------------------------------------------------------- */

double enx_tally_share_size(const enx_tally_share *s)
{
    return s->squares > 0 ? s->count * s->count / s->squares : 0;
}

double enx_tally_share_get(const enx_tally_share *s, double *low, double *high)
{
    const double n = enx_tally_share_size(s), p = s->count > 0 ? s->hits / s->count : 0;
    *low = 0;
    *high = 1;
    if (n <= 0) return 0;
    const double z2 = interval_z * interval_z, middle = (p + z2 / (2 * n)) / (1 + z2 / n);
    const double half = interval_z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
    *low = fmax(0, middle - half);
    *high = fmin(1, middle + half);
    return p;
}

static void count(enx_tally_share *s, double weight, bool is_hit)
{
    s->hits += is_hit ? weight : 0;
    s->count += weight;
    s->squares += weight * weight;
}

double enx_tally_pair_phi(const enx_tally_pair *p)
{
    const double a = p->both + p->first, b = p->both + p->second;
    const double not_a = p->second + p->none, not_b = p->first + p->none;
    const double scale = sqrt(a * b * not_a * not_b);
    return scale > 0 ? (p->both * p->none - p->first * p->second) / scale : NAN;
}

/* ---- a job --------------------------------------------------------------------------------- */

enx_status enx_tally_open(enx_tally **out, enx_report *report)
{
    *out = enx_mem_new(1, sizeof **out);
    return *out ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for a tally");
}

void enx_tally_close(enx_tally **tally)
{
    if (*tally) enx_mem_free((*tally)->entries);
    enx_mem_free(*tally);
    *tally = NULL;
}

enx_status enx_tally_begin(enx_tally *t, const enx_tally_job *job, enx_report *report)
{
    ENX_CHECK(job->name_count <= ENX_ROSTER_MODELS_MAX);
    if (job->item_count > ENX_SWARM_ITEMS_MAX)
        return ENX_FAIL(report, LIMIT, "%u tasks, at most %d", job->item_count,
                        ENX_SWARM_ITEMS_MAX);
    enx_mem_free(t->entries);
    t->entries = enx_mem_new(job->item_count ? job->item_count : 1, sizeof *t->entries);
    if (!t->entries) return ENX_FAIL(report, NOMEM, "no memory for %u tasks", job->item_count);
    t->job = *job;
    for (uint32_t m = 0; m < job->name_count; m++) {
        const size_t size = strlen(job->names[m]);
        const size_t kept = size < ENX_TALLY_NAME_BYTES ? size : ENX_TALLY_NAME_BYTES - 1;
        memcpy(t->names[m], job->names[m], kept);
        t->names[m][kept] = '\0';
    }
    for (int k = 0; k < 3; k++) t->calls[k] = t->usd_nano[k] = t->tasks[k] = 0;
    return ENX_OK;
}

static void add_result(enx_tally *t, entry *at, const enx_record *r)
{
    const bool is_vote = r->role == ENX_ROLE_SECOND, is_verify = r->role == ENX_ROLE_VERIFY;
    if (r->role == ENX_ROLE_LEAD || r->role == ENX_ROLE_AUDIT) {
        t->sums.lead_tasks += !at->is_leads;
        t->sums.lead_usd_nano += r->cost_usd_nano;
        at->is_leads = true;
    }
    if (is_vote || is_verify) {
        const int kind = is_vote ? 0 : r->model == t->job.lead ? 2 : 1;
        t->calls[kind]++;
        t->usd_nano[kind] += r->cost_usd_nano;
        t->tasks[kind] += !at->was_asked[is_verify];
        at->was_asked[is_verify] = true;
    }
    if (r->report.status != ENX_CALL_OK || (r->role != ENX_ROLE_WORK && !is_vote)) return;
    at->has_answer = true;
    if (at->vote_count == ENX_VOTES_MAX || r->model >= t->job.name_count) return;
    at->models[at->vote_count] = r->model;
    at->answers[at->vote_count++] = hash_of(r->report.answer, r->report.answer_bytes);
}

/* A check refused it, or a certificate or the user wanted the lead's answer as well. */
static void add_refused(entry *at, const enx_record *r)
{
    if (r->kind == ENX_RECORD_TASK_ESCALATED) at->is_escalated = true;
    if (r->reason == ENX_REASON_UNCERTIFIED || r->reason == ENX_REASON_KNOWN) at->is_passed = true;
    else if (r->reason == ENX_REASON_RED_FLAG) at->is_flagged |= at->check == 0;
    else if (at->check == 0) at->check = r->check;
}

static void add_label(entry *at, const enx_record *r)
{
    if (r->reason == ENX_REASON_AUDIT_FAILED) return;
    at->label = r->is_wrong ? OUTCOME_WRONG : OUTCOME_RIGHT;
    at->is_audited = r->reason == ENX_REASON_AUDITED;
    at->has_reference = true;
    at->reference = hash_of(r->text, r->text_bytes);
}

void enx_tally_add(enx_tally *t, const enx_record *r)
{
    if (r->task_id == 0 || r->task_id > t->job.item_count) return;
    entry     *at = &t->entries[r->task_id - 1];
    const bool is_workers = r->role == ENX_ROLE_WORK || r->role == ENX_ROLE_SECOND;
    if (r->kind == ENX_RECORD_CALL_RESULT) add_result(t, at, r);
    if (r->kind == ENX_RECORD_TASK_ESCALATED || r->kind == ENX_RECORD_TASK_FAILED)
        add_refused(at, r);
    if (r->kind == ENX_RECORD_TASK_ACCEPTED && is_workers && !at->is_escalated)
        at->is_passed = true;
    if (r->kind == ENX_RECORD_OFFER) {
        at->is_passed = at->is_offered = true;
        at->chance = r->offer.chance;
    }
    if (r->kind == ENX_RECORD_LABEL) add_label(at, r);
    if (r->kind == ENX_RECORD_TRUTH && is_workers)
        at->truth = r->is_wrong ? OUTCOME_WRONG : OUTCOME_RIGHT;
}

/* ---- sums ---------------------------------------------------------------------------------- */

/* For how many answers a labelled one stands.  Those that a certificate of the job alone had
 * audited were drawn from all that were accepted and stayed so. */
static double weight_of(const entry *at, double audited_weight)
{
    if (at->truth != OUTCOME_UNKNOWN || at->check || at->is_flagged) return 1;
    if (at->is_offered) return at->chance > 0 ? 1 / at->chance : 1;
    return at->is_audited ? audited_weight : 1;
}

static enx_tally_pair *find_pair(enx_tally *t, const char *a, const char *b)
{
    enx_tally_sums *s = &t->sums;
    uint32_t        i = 0;
    while (i < s->pair_count &&
           (strcmp(s->pairs[i].names[0], a) != 0 || strcmp(s->pairs[i].names[1], b) != 0))
        i++;
    if (i == ENX_TALLY_PAIRS_MAX) return NULL;
    if (i == s->pair_count) {
        memcpy(s->pairs[i].names[0], a, ENX_TALLY_NAME_BYTES);
        memcpy(s->pairs[i].names[1], b, ENX_TALLY_NAME_BYTES);
        s->pair_count++;
    }
    return &s->pairs[i];
}

static void sum_pairs(enx_tally *t, const entry *at, double weight)
{
    for (uint32_t i = 0; at->has_reference && i < at->vote_count; i++)
        for (uint32_t j = i + 1; j < at->vote_count; j++) {
            const bool is_swapped = strcmp(t->names[at->models[i]], t->names[at->models[j]]) > 0;
            const uint32_t  a = is_swapped ? j : i, b = is_swapped ? i : j;
            enx_tally_pair *pair = find_pair(t, t->names[at->models[a]], t->names[at->models[b]]);
            if (!pair || at->models[a] == at->models[b]) continue;
            const bool is_a = at->answers[a] != at->reference;
            const bool is_b = at->answers[b] != at->reference;
            pair->tasks++;
            *(is_a && is_b ? &pair->both
              : is_a       ? &pair->first
              : is_b       ? &pair->second
                           : &pair->none) += weight;
        }
}

static void sum_entry(enx_tally *t, const entry *at, double audited_weight)
{
    const int outcome = at->truth != OUTCOME_UNKNOWN ? at->truth : at->label;
    if (!at->has_answer || !(at->is_passed || at->check || at->is_flagged)) return;
    t->sums.answers++;
    if (outcome == OUTCOME_UNKNOWN) return;
    const bool   is_wrong = outcome == OUTCOME_WRONG;
    const double weight = weight_of(at, audited_weight);
    t->sums.labelled++;
    t->sums.known += at->truth != OUTCOME_UNKNOWN;
    count(&t->sums.wrong, weight, is_wrong);
    for (uint32_t place = 0; place < ENX_TALLY_PLACES; place++) {
        const bool is_refused = place ? at->check == place : at->is_flagged;
        const bool is_seen = place == 0 || (!at->is_flagged && (!at->check || at->check >= place));
        enx_tally_check *check = &t->sums.checks[place];
        if (is_seen) count(is_wrong ? &check->caught : &check->alarmed, weight, is_refused);
    }
    sum_pairs(t, at, weight);
}

/* What was paid for opinions, to the checks that asked for them. */
static void sum_calls(enx_tally *t)
{
    static const enx_check_kind kinds[] = { ENX_CHECK_SECOND, ENX_CHECK_VERIFIER, ENX_CHECK_LEAD };
    for (uint32_t i = 0; i < t->job.check_count && i < ENX_CLASS_CHECKS_MAX; i++)
        for (int k = 0; k < 3; k++) {
            if (t->job.checks[i].kind != kinds[k]) continue;
            t->sums.checks[i + 1].tasks += t->tasks[k];
            t->sums.checks[i + 1].calls += t->calls[k];
            t->sums.checks[i + 1].usd_nano += t->usd_nano[k];
        }
}

void enx_tally_end(enx_tally *t)
{
    uint32_t accepted = 0, audited = 0;
    for (uint32_t i = 0; i < t->job.item_count; i++) {
        const entry *at = &t->entries[i];
        if (!at->is_passed || at->is_offered || at->is_escalated) continue;
        accepted++;
        audited += at->is_audited;
    }
    t->sums.jobs++;
    for (uint32_t i = 0; i < t->job.item_count; i++)
        sum_entry(t, &t->entries[i], audited ? (double)accepted / audited : 1);
    sum_calls(t);
}

enx_tally_vote enx_tally_vote_get(const enx_tally_sums *sums, uint32_t place)
{
    ENX_CHECK(place > 0 && place < ENX_TALLY_PLACES);
    const enx_tally_check *check = &sums->checks[place];
    double                 low, high;
    enx_tally_vote         vote = {
                .caught = enx_tally_share_get(&check->caught, &low, &high),
                .alarmed = enx_tally_share_get(&check->alarmed, &low, &high),
                .errors = enx_tally_share_size(&check->caught),
                .price = NAN,
    };
    const double seen = check->caught.count + check->alarmed.count;
    vote.refused = seen > 0 ? (check->caught.hits + check->alarmed.hits) / seen : 0;
    if (check->tasks && sums->lead_tasks && sums->lead_usd_nano)
        vote.price = ((double)check->usd_nano / (double)check->tasks) /
                     ((double)sums->lead_usd_nano / (double)sums->lead_tasks);
    vote.is_known = vote.errors >= errors_min && isfinite(vote.price);
    vote.pays = vote.caught - vote.refused > vote.price;
    return vote;
}

const enx_tally_sums *enx_tally_sums_get(const enx_tally *t) { return &t->sums; }
