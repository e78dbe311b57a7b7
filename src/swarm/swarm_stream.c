/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_stream.c - answers shown to a certificate that goes on, in an order that luck has no part
 * in.
 *
 * (1) Answers are shown in the order of their tasks.  One that passed its checks is held until all
 *     tasks before it have been shown, or have ended in another way.
 * (2) Labels are told in the order of offers: all up to LAG offers ago before the next offer, the
 *     others when no offer comes any more.  So what the stream knows at an offer is a function of
 *     the answers, and a lead that is slow delays what goes up, never what workers do.
 * (3) An offer and a label are recorded, with their place among the events of the stream, before
 *     anything follows from them outside.  Told again in that order they rebuild the stream, also
 *     when another job of the class went on in between.
 * (4) An answer that went up by the stream's word is never delivered where the lead fails: what the
 *     stream promises is about all that went out.                                             */
#include "swarm/swarm_flow.h"

bool swarm_is_streamed(const enx_swarm *s)
{
    return s->options.stream && s->options.mode == ENX_SWARM_MODE_SWARM && !s->is_single;
}

void swarm_pass(enx_swarm *s, uint32_t item, enx_reason reason, uint32_t call, double error_chance)
{
    swarm_item *at = &s->items[item];
    const bool  is_known = s->options.truths && s->options.truths[item].text;
    const bool  may_rise = s->options.mode == ENX_SWARM_MODE_SWARM && !s->is_single;
    if (is_known && may_rise && s->lead != SWARM_NONE) {
        swarm_escalate(s, item, ENX_REASON_KNOWN, error_chance);
    } else if (swarm_is_streamed(s)) {
        at->is_held = true;
        at->held_reason = reason;
        at->held_call = call;
        at->held_chance = error_chance;
    } else {
        if (is_known && call != SWARM_NONE) swarm_compare_truth(s, item, call);
        swarm_accept_passed(s, item, reason, call, error_chance);
    }
}

/* ---- labels -------------------------------------------------------------------------------- */

void swarm_stream_label(enx_swarm *s, uint32_t item, enx_record *record)
{
    const swarm_item *at = &s->items[item];
    if (!at->ticket.offer) return;
    enx_stream_label(s->options.stream, &at->ticket, record->is_wrong);
    record->offer = (enx_record_offer){ .stream = s->options.stream_id,
                                        .place = enx_stream_events(s->options.stream),
                                        .number = at->ticket.offer,
                                        .verdict = at->ticket.verdict,
                                        .chance = at->ticket.chance };
    record->score = at->ticket.score;
}

/* Is it known what becomes of an offer's label? */
static bool is_settled(const swarm_item *at)
{
    if (at->ticket.verdict != ENX_STREAM_AUDIT) return at->state != ENX_TASK_OPEN;
    return at->work == WORK_REPORTED || at->is_unlabelled || at->label != LABEL_NONE;
}

static void tell(enx_swarm *s, uint32_t item)
{
    swarm_item *at = &s->items[item];
    at->is_told = true;
    if (at->ticket.verdict == ENX_STREAM_AUDIT && at->label == LABEL_NONE)
        swarm_decide_audit(s, item);
    if (at->ticket.verdict == ENX_STREAM_ESCALATE && at->state == ENX_TASK_ACCEPTED)
        swarm_label_answered(s, item);
}

/* Tell the labels of offers before `end`; false: one of them is not there yet. */
static bool tell_before(enx_swarm *s, uint64_t end)
{
    for (; s->told < s->shown && !s->is_stopped; s->told++) {
        const swarm_item *at = &s->items[s->told];
        if (!at->ticket.offer || at->ticket.verdict == ENX_STREAM_DELIVER || at->is_told) continue;
        if (at->ticket.offer >= end) return true;
        if (!is_settled(at)) return false;
        tell(s, s->told);
    }
    return true;
}

/* ---- offers -------------------------------------------------------------------------------- */

/* Show one answer; false: labels that it must wait for are missing. */
static bool offer(enx_swarm *s, uint32_t item)
{
    const uint64_t next = enx_stream_answers(s->options.stream) + 1;
    if (next > ENX_SWARM_STREAM_LAG && !tell_before(s, next - ENX_SWARM_STREAM_LAG + 1))
        return false;
    enx_record        record = swarm_record_of(s, item, ENX_RECORD_OFFER);
    enx_stream_ticket ticket;
    enx_stream_offer(s->options.stream, 1 - s->items[item].held_chance, &ticket);
    const uint32_t call = s->items[item].held_call;
    record.call_id = call == SWARM_NONE ? 0 : swarm_call_id(s, call);
    record.score = ticket.score;
    record.error_chance = s->items[item].held_chance;
    record.offer = (enx_record_offer){ .stream = s->options.stream_id,
                                       .place = enx_stream_events(s->options.stream),
                                       .number = ticket.offer,
                                       .verdict = ticket.verdict,
                                       .chance = ticket.chance };
    swarm_emit(s, record);
    return !s->is_stopped;
}

static void do_as_told(enx_swarm *s, uint32_t item)
{
    swarm_item *at = &s->items[item];
    at->is_held = false;
    if (at->ticket.verdict == ENX_STREAM_ESCALATE) {
        swarm_escalate(s, item, ENX_REASON_UNCERTIFIED, at->held_chance);
        return;
    }
    swarm_accept_passed(s, item, at->held_reason, at->held_call, at->held_chance);
    if (at->ticket.verdict == ENX_STREAM_AUDIT && !s->is_stopped)
        swarm_enqueue(s, item, ENX_ROLE_AUDIT, s->lead);
}

void swarm_stream_show(enx_swarm *s)
{
    if (!swarm_is_streamed(s)) return;
    for (; s->shown < s->item_count && !swarm_is_over(s); s->shown++) {
        const swarm_item *at = &s->items[s->shown];
        if (at->is_held) {
            if (!at->ticket.offer && !offer(s, s->shown)) return;
            do_as_told(s, s->shown);
        } else if (at->state == ENX_TASK_OPEN && !at->is_escalated) {
            return;
        }
    }
}

/* What is proved now, about all answers of the class. */
static enx_certificate_claim claim(const enx_swarm *s)
{
    const enx_stream_claim is = enx_stream_result(s->options.stream);
    return (enx_certificate_claim){
        .form = ENX_CERTIFICATE_STREAM,
        .is_certified = true,
        .alpha = is.alpha,
        .delta = is.delta,
        .answers = swarm_clamp_u32(is.answers),
        .population = s->offers,
        .accepted = swarm_clamp_u32(is.delivered),
        .labels = swarm_clamp_u32(is.audited),
        .wrong = swarm_clamp_u32(is.audits_wrong),
        .always = is.always,
        .lately = is.lately,
        .window = is.window,
        .escalated = swarm_clamp_u32(is.escalated),
        .drifts = swarm_clamp_u32(is.drifts),
    };
}

void swarm_stream_finish(enx_swarm *s)
{
    if (!swarm_is_streamed(s) || swarm_is_over(s)) return;
    for (uint32_t i = s->told; i < s->shown && !s->is_stopped; i++) {
        const swarm_item *at = &s->items[i];
        const bool        has_label = at->ticket.offer && at->ticket.verdict != ENX_STREAM_DELIVER;
        if (has_label && !at->is_told && is_settled(at)) tell(s, i);
    }
    if (s->is_opened)
        swarm_emit(s, (enx_record){ .kind = ENX_RECORD_CERTIFICATE, .certificate = claim(s) });
}

void swarm_stream_resume(enx_swarm *s)
{
    if (!swarm_is_streamed(s)) return;
    for (uint32_t i = 0; i < s->item_count; i++) {
        const swarm_item *at = &s->items[i];
        if (at->ticket.verdict == ENX_STREAM_AUDIT && at->state == ENX_TASK_ACCEPTED &&
            at->label == LABEL_NONE && at->work == WORK_NONE)
            swarm_enqueue(s, i, ENX_ROLE_AUDIT, s->lead);
    }
}
