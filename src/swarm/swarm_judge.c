/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_judge.c - the checks of an answer, from the free ones to those that ask another model.
 *
 * A class lists its checks in the order in which they are made.  Those that are a function of the
 * answer decide at once.  One that asks another model puts the task into that model's queue, in the
 * role SECOND or VERIFY, and its report goes on where the list was left: a kind that calls is in a
 * list at most once, so role and model of a call say which check it was, in replay too.  */
#include "swarm/swarm_flow.h"

#include <stdio.h>
#include <string.h>

enum { NOTE_BYTES = SWARM_NOTE_BYTES };

/* What a verifier may doubt, where the check does not say. */
static const double verify_above = .5;

/* ---- checks of text -------------------------------------------------------------------------- */

void swarm_write_flags(uint32_t flags, char note[SWARM_NOTE_BYTES])
{
    snprintf(note, NOTE_BYTES, "red flags:%s%s%s%s", flags & ENX_FLAG_TRUNCATED ? " truncated" : "",
             flags & ENX_FLAG_STUCK ? " stuck" : "", flags & ENX_FLAG_EMPTY ? " empty" : "",
             flags & ENX_FLAG_MALFORMED ? " malformed" : "");
}

static enx_reason reason_of_check(enx_check_kind kind)
{
    static const enx_reason reasons[ENX_CHECK_COUNT] = {
        [ENX_CHECK_ROUND_TRIP] = ENX_REASON_ROUND_TRIP, [ENX_CHECK_SCHEMA] = ENX_REASON_SCHEMA,
        [ENX_CHECK_CITATION] = ENX_REASON_CITATION,     [ENX_CHECK_COMPUTE] = ENX_REASON_COMPUTE,
        [ENX_CHECK_REGEX] = ENX_REASON_REGEX,           [ENX_CHECK_COMMAND] = ENX_REASON_COMMAND,
    };
    return reasons[kind];
}

/* Before all checks: an answer that is not whole, or none. */
static enx_reason judge_flags(const enx_swarm *s, uint32_t item, uint32_t call,
                              char note[NOTE_BYTES])
{
    const swarm_call *entry = &s->calls[call];
    uint32_t          flags = entry->flags & ENX_FLAGS_RED;
    if (entry->answer.size_bytes == 0 && swarm_input(s, &s->items[item]).size_bytes > 0)
        flags |= ENX_FLAG_EMPTY;
    note[0] = '\0';
    if (flags) swarm_write_flags(flags, note);
    return flags ? ENX_REASON_RED_FLAG : ENX_REASON_NONE;
}

static enx_reason run_check(const enx_swarm *s, uint32_t call, const enx_check *check,
                            char note[NOTE_BYTES])
{
    const swarm_call *entry = &s->calls[call];
    const enx_call    asked = swarm_call_of(s, entry, swarm_call_id(s, call));
    const char       *answer = swarm_text_get(s, entry->answer);
    if (!s->ports.check || s->ports.check(s->ports.self, check, &asked, answer,
                                          entry->answer.size_bytes, note, NOTE_BYTES))
        return ENX_REASON_NONE;
    return reason_of_check(check->kind);
}

/* Red flags and all checks of kin TEXT before number `end`; the first that fails decides. */
static enx_reason run_checks(const enx_swarm *s, uint32_t item, uint32_t call, uint32_t end,
                             char note[NOTE_BYTES])
{
    const enx_class *c = s->items[item].task_class;
    enx_reason       failed = judge_flags(s, item, call, note);
    for (uint32_t i = 0; failed == ENX_REASON_NONE && i < end && i < c->check_count; i++)
        if (enx_check_kind_kin(c->checks[i].kind) == ENX_CHECK_KIN_TEXT)
            failed = run_check(s, call, &c->checks[i], note);
    return failed;
}

enx_reason swarm_run_checks(const enx_swarm *s, uint32_t item, char note[SWARM_NOTE_BYTES])
{
    return run_checks(s, item, s->items[item].call, ENX_CLASS_CHECKS_MAX, note);
}

/* ---- checks that ask another model ---------------------------------------------------------- */

/* Two opinions of the same answer as one, as if they erred independently: a score, and no proof. */
static double join_chances(double a, double b)
{
    const double wrong = a * b, right = (1 - a) * (1 - b);
    return wrong + right > 0 ? wrong / (wrong + right) : 1;
}

static bool is_same_answer(const enx_swarm *s, uint32_t a, uint32_t b)
{
    const swarm_text x = s->calls[a].answer, y = s->calls[b].answer;
    return x.size_bytes == y.size_bytes &&
           memcmp(swarm_text_get(s, x), swarm_text_get(s, y), x.size_bytes) == 0;
}

uint32_t swarm_count_votes(const enx_swarm *s, const swarm_item *at, uint32_t *lead, double *chance)
{
    uint32_t best = 0, best_count = 0, next_count = 0;
    double   joined[ENX_VOTES_MAX] = { 0 };
    for (uint32_t i = 0; i < at->vote_count; i++) {
        uint32_t count = 0, first = i;
        for (uint32_t j = at->vote_count; j-- > 0;)
            if (is_same_answer(s, at->votes[i], at->votes[j])) {
                joined[i] = count++ ? join_chances(joined[i], s->calls[at->votes[j]].error_chance)
                                    : s->calls[at->votes[j]].error_chance;
                first = j;
            }
        if (first != i) continue;
        if (count > best_count) {
            next_count = best_count;
            best_count = count;
            best = i;
        } else if (count > next_count) {
            next_count = count;
        }
    }
    *lead = best_count - next_count;
    *chance = joined[best];
    return at->votes[best];
}

static bool is_family_used(const enx_swarm *s, const swarm_item *at, uint32_t model)
{
    const enx_roster_model *m = &s->options.roster->models[model];
    for (uint32_t i = 0; i < at->vote_count; i++) {
        const uint32_t          used = s->calls[at->votes[i]].reserved.model;
        const enx_roster_model *u = &s->options.roster->models[used];
        if (used == model || (m->family && u->family && strcmp(m->family, u->family) == 0))
            return true;
    }
    return false;
}

/* The next worker of a family that has not voted, or SWARM_NONE. */
static uint32_t next_voter(const enx_swarm *s, uint32_t item)
{
    const swarm_item *at = &s->items[item];
    uint32_t          found[ENX_ROSTER_MODELS_MAX];
    const uint32_t    count = swarm_workers_for(s, at->task_class->specialty, found);
    const uint32_t    first = count ? swarm_spread(s, item) % count : 0;
    for (uint32_t k = 1; k < count; k++) {
        const uint32_t model = found[(first + k) % count];
        if (!is_family_used(s, at, model) && swarm_may_work(s, model, item)) return model;
    }
    return SWARM_NONE;
}

/* ---- one after the other --------------------------------------------------------------------- */

/* What a chance of an error may be before it is a doubt. */
static double doubt_above(const enx_swarm *s, const swarm_item *at, const enx_check *check)
{
    if (check->above > 0) return check->above;
    const bool is_known = at->level >= 0 && at->level <= 3;
    return is_known ? s->options.escalate_above_level[at->level] : s->options.escalate_above;
}

/* Queue the call that a check is; false: nobody here can make it. */
static bool ask_opinion(enx_swarm *s, uint32_t item, enx_check_kind kind)
{
    swarm_item    *at = &s->items[item];
    const uint32_t model = kind == ENX_CHECK_SECOND ? next_voter(s, item)
                           : kind == ENX_CHECK_LEAD ? s->lead
                                                    : s->verifier;
    if (model == SWARM_NONE) return false;
    at->work = WORK_NONE;
    at->attempt = 0;
    swarm_enqueue(s, item, kind == ENX_CHECK_SECOND ? ENX_ROLE_SECOND : ENX_ROLE_VERIFY, model);
    return true;
}

/* Votes that do not pay are cast for some tasks only, to go on measuring. */
static bool is_voteless(const enx_swarm *s, uint32_t item, enx_check_kind kind)
{
    const uint32_t every = s->options.vote_every;
    return kind == ENX_CHECK_SECOND && every > 1 && item % every != 0;
}

/* Make the candidate's checks from number `first` on, until one fails, asks another model, or all
 * have passed. */
static void judge_candidate(enx_swarm *s, uint32_t item, uint32_t first, double error_chance)
{
    const enx_class *c = s->items[item].task_class;
    const uint32_t   call = s->items[item].candidate;
    enx_reason       accepted = ENX_REASON_CHECKED;
    char             note[NOTE_BYTES];
    enx_reason       failed = judge_flags(s, item, call, note);
    s->items[item].check = 0;
    for (uint32_t i = first; failed == ENX_REASON_NONE && i < c->check_count; i++) {
        const enx_check    *check = &c->checks[i];
        const enx_check_kin kin = enx_check_kind_kin(check->kind);
        const bool          is_cheap = kin == ENX_CHECK_KIN_CALL && swarm_is_tight(s, c);
        if (is_voteless(s, item, check->kind)) continue;
        if (is_cheap) accepted = ENX_REASON_CHEAP;
        else if (kin == ENX_CHECK_KIN_CALL && ask_opinion(s, item, check->kind)) return;
        if (kin == ENX_CHECK_KIN_SCORE && error_chance > doubt_above(s, &s->items[item], check)) {
            snprintf(note, sizeof note, "error chance %.3f", error_chance);
            accepted = ENX_REASON_LOW_CONFIDENCE;
            if (swarm_may_escalate(s, item)) failed = accepted;
        }
        if (kin == ENX_CHECK_KIN_TEXT) failed = run_check(s, call, check, note);
        if (failed != ENX_REASON_NONE) s->items[item].check = i + 1;
    }
    if (failed != ENX_REASON_NONE) swarm_escalate_or(s, item, ENX_RECORD_TASK_FAILED, failed, note);
    else swarm_pass(s, item, accepted, call, error_chance);
}

void swarm_judge(enx_swarm *s, uint32_t item)
{
    const uint32_t call = s->items[item].candidate;
    judge_candidate(s, item, 0, s->calls[call].error_chance);
}

void swarm_decide_second(enx_swarm *s, uint32_t item)
{
    swarm_item      *at = &s->items[item];
    const enx_class *c = at->task_class;
    const uint32_t   index = enx_class_find_check(c, ENX_CHECK_SECOND);
    char             note[NOTE_BYTES];
    uint32_t         lead;
    double           chance;
    const bool       is_answered = s->calls[at->call].status == ENX_CALL_OK;
    if (!is_answered && swarm_retry(s, item)) return;
    const uint32_t ahead = c->checks[index].ahead ? c->checks[index].ahead : SWARM_VOTES_AHEAD;
    const uint32_t max = c->checks[index].max ? c->checks[index].max : ENX_VOTES_MAX;
    const uint32_t winner = swarm_count_votes(s, at, &lead, &chance);
    const uint32_t voter = is_answered ? next_voter(s, item) : SWARM_NONE;
    at->check = index + 1;
    if (lead < ahead && at->vote_count < max && voter != SWARM_NONE) {
        at->work = WORK_NONE;
        at->attempt = 0;
        swarm_enqueue(s, item, ENX_ROLE_SECOND, voter);
    } else if (lead < ahead) {
        snprintf(note, sizeof note, "%u answers, the first is ahead by %u", at->vote_count, lead);
        swarm_escalate_or(s, item, ENX_RECORD_TASK_FAILED, ENX_REASON_DISAGREE, note);
    } else if (winner != at->candidate &&
               run_checks(s, item, winner, index, note) != ENX_REASON_NONE) {
        swarm_escalate_or(s, item, ENX_RECORD_TASK_FAILED, ENX_REASON_DISAGREE, note);
    } else {
        at->candidate = winner;
        judge_candidate(s, item, index + 1, chance);
    }
}

void swarm_decide_verify(enx_swarm *s, uint32_t item)
{
    swarm_item       *at = &s->items[item];
    const swarm_call *entry = &s->calls[at->call], *judged = &s->calls[at->candidate];
    const bool        is_leads = entry->reserved.model == s->lead;
    const uint32_t    index =
        enx_class_find_check(at->task_class, is_leads ? ENX_CHECK_LEAD : ENX_CHECK_VERIFIER);
    const double above = at->task_class->checks[index].above;
    const double right_min = 1 - (above > 0 ? above : verify_above);
    char         note[NOTE_BYTES];
    at->check = index + 1;
    if (entry->status != ENX_CALL_OK) {
        if (swarm_retry(s, item)) return;
        swarm_escalate_or(s, item, ENX_RECORD_TASK_FAILED, ENX_REASON_DOUBTED,
                          swarm_text_get(s, entry->error));
    } else if ((entry->flags & ENX_FLAGS_RED) || !(entry->confidence >= right_min)) {
        snprintf(note, sizeof note, "right with %.2f, says %s", entry->confidence,
                 s->options.roster->models[entry->reserved.model].name);
        swarm_escalate_or(s, item, ENX_RECORD_TASK_FAILED, ENX_REASON_DOUBTED, note);
    } else {
        judge_candidate(s, item, index + 1,
                        join_chances(judged->error_chance, 1 - entry->confidence));
    }
}
