/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_certify.c - certificates of a job, or of each stage of a goal.
 *
 * A job of one class has one certificate, when all its tasks have ended.  A goal has one for each
 * stage that workers do:
 *
 * (1) A stage is certified when its tasks have ended, and before any task that needs one of them
 *     begins.  So what a task is given is what its makers' certificate speaks of: a wrong answer
 *     that an audit found, or one that went up, was replaced before anybody read it.
 * (2) Everything that a stage's certificate depends on but its own permutation was there before its
 *     first label: given that, its claim is false with probability at most the stage's delta.
 * (3) The deltas of all stages that can ever come add up to that of the job at most, and what
 *     each stage gets is fixed by the plan that brings it: with a plan of the user's each of its
 *     stages an equal part; else the lead's first plan a half, the second and the third a quarter
 *     each, in equal parts of its stages.  So with that confidence no claim of any stage is false
 *     (Bonferroni), whatever the stages have to do with each other.                           */
#include "swarm/swarm_flow.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double delta_default = .05;

/* What one certificate is about. */
typedef struct part {
    swarm_proof *proof;
    uint32_t     first, count; /* tasks */
    double       delta;
    uint64_t     seed;
} part;

static bool wants_certificate(const enx_swarm *s)
{
    return s->options.mode == ENX_SWARM_MODE_SWARM && !s->is_single &&
           (s->options.target_alpha > 0 || s->options.audit_labels_max > 0);
}

static double job_delta(const enx_swarm *s)
{
    return s->options.delta > 0 ? s->options.delta : delta_default;
}

static part part_of_job(enx_swarm *s)
{
    return (part){ &s->proof, 0, s->item_count, job_delta(s), s->seed };
}

/* Stages of the plan that brought it which workers do: those that delta is divided among. */
static uint32_t siblings(const enx_swarm *s, const swarm_stage *stage)
{
    uint32_t         count;
    const enx_graph *graph = s->graphs[stage->round - 1];
    enx_graph_stages(graph, &count);
    const enx_stage *assembly = enx_graph_assembly(graph);
    return count + (assembly && !assembly->task_class.is_leads);
}

static part part_of_stage(enx_swarm *s, uint32_t index)
{
    swarm_stage *stage = &s->stages[index];
    enx_rng      rng = enx_rng_open(s->seed, index + 1);
    const double share = s->options.graph ? 1 : stage->round == 1 ? .5 : .25;
    return (part){ &stage->proof, stage->first, stage->count,
                   job_delta(s) * share / siblings(s, stage), enx_rng_u64(&rng) };
}

static swarm_proof *proof_of(enx_swarm *s, uint32_t item)
{
    const uint32_t stage = s->items[item].stage;
    return stage == SWARM_NONE ? &s->proof : &s->stages[stage].proof;
}

/* ---- the population ------------------------------------------------------------------------- */

static int compare_ranks(const void *a, const void *b)
{
    const swarm_rank *x = a, *y = b;
    if (x->error_chance < y->error_chance) return -1;
    if (x->error_chance > y->error_chance) return 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

/* The lead's own answers are right by definition of the reference. */
static bool is_reference(const swarm_item *at)
{
    return at->state == ENX_TASK_ACCEPTED && at->answer_role == ENX_ROLE_LEAD && !at->is_candidate;
}

/* The score must be the worker's even after the lead's answer took the place: a job that goes on
 * after a crash has to find the same order. */
static double candidate_chance(const swarm_item *at)
{
    return at->is_escalated ? at->kept_error_chance : at->error_chance;
}

/* Population: every answer that was once accepted without the lead, surest first. */
static enx_status rank_candidates(enx_swarm *s, const part *p, uint32_t *answers,
                                  enx_report *report)
{
    swarm_proof *proof = p->proof;
    uint32_t     count = 0, references = 0;
    for (uint32_t i = p->first; i < p->first + p->count; i++) {
        count += s->items[i].is_candidate;
        references += is_reference(&s->items[i]);
    }
    proof->ranks = enx_mem_new(count ? count : 1, sizeof *proof->ranks);
    if (!proof->ranks) return ENX_FAIL(report, NOMEM, "no memory to rank %u answers", count);
    for (uint32_t i = p->first; i < p->first + p->count; i++)
        if (s->items[i].is_candidate)
            proof->ranks[proof->population++] = (swarm_rank){ candidate_chance(&s->items[i]), i };
    qsort(proof->ranks, proof->population, sizeof *proof->ranks, compare_ranks);
    for (uint32_t rank = 0; rank < proof->population; rank++)
        s->items[proof->ranks[rank].item].rank = rank;
    *answers = count + references;
    return ENX_OK;
}

void swarm_certify_label(enx_swarm *s, uint32_t item)
{
    const swarm_item *at = &s->items[item];
    enx_certificate  *certificate = proof_of(s, item)->certificate;
    if (!certificate || at->rank == SWARM_NONE) return;
    if (at->is_lost) enx_certificate_lose(certificate, at->rank);
    else enx_certificate_label(certificate, at->rank, at->label == LABEL_WRONG);
}

static enx_status open_certificate(enx_swarm *s, const part *p, enx_report *report)
{
    uint32_t answers = 0;
    ENX_TRY(rank_candidates(s, p, &answers, report));
    const enx_certificate_options options = {
        .population = p->proof->population,
        .answers = answers,
        .target_alpha = s->options.target_alpha,
        .delta = p->delta,
        .labels_max = s->options.audit_labels_max,
        .seed = p->seed,
    };
    ENX_TRY(enx_certificate_open(&p->proof->certificate, &options, report));
    for (uint32_t rank = 0; rank < p->proof->population; rank++) {
        const uint32_t item = p->proof->ranks[rank].item;
        if (s->items[item].label != LABEL_NONE) swarm_certify_label(s, item);
    }
    return ENX_OK;
}

/* ---- audits and claims ---------------------------------------------------------------------- */

/* Queue the audits that are wanted and not under way.  False: none is wanted any more. */
static bool queue_audits(enx_swarm *s, const swarm_proof *proof)
{
    uint32_t       ranks[ENX_CERTIFICATE_BLOCK_MAX];
    const uint32_t wanted =
        enx_certificate_next(proof->certificate, ranks, ENX_CERTIFICATE_BLOCK_MAX);
    for (uint32_t i = 0; i < wanted; i++) {
        const uint32_t item = proof->ranks[ranks[i]].item;
        if (s->items[item].work == WORK_NONE) swarm_enqueue(s, item, ENX_ROLE_AUDIT, s->lead);
    }
    return wanted > 0;
}

void swarm_stop_audits(enx_swarm *s, uint32_t item) { proof_of(s, item)->is_audit_stopped = true; }

static void stop_audits(enx_swarm *s, const swarm_proof *proof)
{
    for (uint32_t rank = 0; rank < proof->population; rank++) {
        const uint32_t    item = proof->ranks[rank].item;
        const swarm_item *at = &s->items[item];
        if (at->work == WORK_QUEUED && at->role == ENX_ROLE_AUDIT) swarm_dequeue(s, item);
    }
    enx_certificate_stop(proof->certificate);
}

/* With a target, what lies outside the certified part goes up.  True: something did. */
static bool escalate_uncertified(enx_swarm *s, const swarm_proof *proof)
{
    const enx_certificate_claim claim = enx_certificate_result(proof->certificate);
    bool                        found = false;
    if (s->options.target_alpha == 0) return false;
    for (uint32_t rank = claim.accepted; rank < proof->population; rank++) {
        const uint32_t    item = proof->ranks[rank].item;
        const swarm_item *at = &s->items[item];
        const bool        is_labelled = at->label != LABEL_NONE && !at->is_lost;
        if (at->state != ENX_TASK_ACCEPTED || at->is_escalated || is_labelled) continue;
        swarm_escalate(s, item, ENX_REASON_UNCERTIFIED, at->error_chance);
        found = true;
    }
    return found;
}

/* Escalated answers that the lead could not give are no part of the claim; without them the same
 * number of errors is a larger share. */
static enx_certificate_claim claim_of(const enx_swarm *s, const swarm_proof *proof)
{
    enx_certificate_claim claim = enx_certificate_result(proof->certificate);
    uint32_t              missing = 0;
    for (uint32_t rank = 0; rank < proof->population; rank++) {
        const swarm_item *at = &s->items[proof->ranks[rank].item];
        missing += at->is_escalated &&
                   (at->state != ENX_TASK_ACCEPTED || at->answer_role != ENX_ROLE_LEAD);
    }
    if (missing && claim.is_certified) {
        claim.alpha =
            claim.answers > missing ? claim.alpha * claim.answers / (claim.answers - missing) : 1;
        claim.answers -= missing;
        claim.is_certified = claim.alpha < 1;
    }
    return claim;
}

/* Audit, escalate, until there is a claim to record.  False: there is more work to do. */
static bool prove(enx_swarm *s, const part *p, enx_certificate_claim *claim)
{
    enx_report report = { 0 };
    if (!p->proof->certificate) {
        const enx_status status = open_certificate(s, p, &report);
        if (status != ENX_OK) swarm_stop(s, status, &report);
        if (status != ENX_OK) return false;
    }
    if (p->proof->is_audit_stopped) stop_audits(s, p->proof);
    else if (queue_audits(s, p->proof)) return false;
    if (escalate_uncertified(s, p->proof) || s->is_stopped) return false;
    *claim = claim_of(s, p->proof);
    return true;
}

bool swarm_certify(enx_swarm *s)
{
    enx_record record = { .kind = ENX_RECORD_CERTIFICATE };
    if (s->options.is_goal || s->proof.is_certified || !wants_certificate(s)) return false;
    const part p = part_of_job(s);
    if (!prove(s, &p, &record.certificate)) return !s->is_stopped;
    swarm_emit(s, record);
    return false;
}

/* ---- stages --------------------------------------------------------------------------------- */

static bool is_certifiable(const enx_swarm *s, const swarm_stage *stage)
{
    return wants_certificate(s) && !stage->plan->task_class.is_leads;
}

bool swarm_awaits_proof(const enx_swarm *s, const swarm_stage *stage)
{
    return is_certifiable(s, stage) && !stage->proof.is_certified;
}

/* Tasks that waited for the stage's certificate, or that will never have it. */
static void unlock_all(enx_swarm *s, const swarm_stage *stage)
{
    for (uint32_t i = stage->first; i < stage->first + stage->count && !swarm_is_over(s); i++)
        swarm_unlock(s, i);
}

static void certify_stage(enx_swarm *s, uint32_t index)
{
    const swarm_stage *stage = &s->stages[index];
    const char        *name = stage->plan->task_class.name;
    enx_record         record = { .kind = ENX_RECORD_CERTIFICATE,
                                  .task_id = swarm_task_id(s, stage->first),
                                  .item = stage->first,
                                  .text = name,
                                  .text_bytes = strlen(name) };
    const part         p = part_of_stage(s, index);
    if (!prove(s, &p, &record.certificate)) return;
    swarm_emit(s, record);
    unlock_all(s, stage);
}

void swarm_certify_stages(enx_swarm *s)
{
    for (uint32_t k = 0; k < s->stage_count && !swarm_is_over(s); k++) {
        const swarm_stage *stage = &s->stages[k];
        if (stage->open > 0 || !swarm_awaits_proof(s, stage)) continue;
        if (swarm_is_left(s, stage)) unlock_all(s, stage);
        else certify_stage(s, k);
    }
}

/* ---- what follows for those that read them --------------------------------------------------- */

static bool reads(const enx_swarm *s, uint32_t index, uint32_t other)
{
    return swarm_needs_stage(s, &s->stages[index], other);
}

/* Of a stage's accepted answers, at most so many are not the lead's to the same input.  An answer
 * that the claim does not count may be wrong. */
static uint32_t wrong_most(const swarm_stage *stage, uint32_t answers)
{
    const enx_certificate_claim *claim = &stage->proof.claim;
    if (stage->plan->task_class.is_leads) return 0;
    if (!stage->proof.is_certified || !claim->is_certified) return answers;
    const double   in_claim = floor(claim->alpha * claim->answers + 1e-9);
    const uint32_t uncounted = answers > claim->answers ? answers - claim->answers : 0;
    const uint32_t most = (uint32_t)in_claim + uncounted;
    return most < answers ? most : answers;
}

uint32_t enx_swarm_stages(const enx_swarm *s, enx_swarm_stage_claim out[ENX_SWARM_STAGES_MAX])
{
    for (uint32_t k = 0; k < s->stage_count; k++) {
        const swarm_stage     *stage = &s->stages[k];
        enx_swarm_stage_claim *at = &out[k];
        *at = (enx_swarm_stage_claim){ .class_name = stage->plan->task_class.name,
                                       .is_last = stage->plan->is_last,
                                       .is_leads = stage->plan->task_class.is_leads,
                                       .has_claim = stage->proof.is_certified,
                                       .claim = stage->proof.claim };
        for (uint32_t i = stage->first; i < stage->first + stage->count; i++)
            at->answers += s->items[i].state == ENX_TASK_ACCEPTED;
        at->wrong_most = wrong_most(stage, at->answers);
        for (uint32_t j = 0; j < k; j++) {
            if (!reads(s, k, j)) continue;
            at->read += out[j].answers;
            at->read_wrong_most += out[j].wrong_most;
        }
        at->is_of_one = stage->plan->each == ENX_EACH_ANSWER;
        if (!at->is_of_one) continue;
        at->wrong_most += at->read_wrong_most;
        if (at->wrong_most > at->answers) at->wrong_most = at->answers;
    }
    return s->stage_count;
}
