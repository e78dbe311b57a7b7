/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_flow.h - private: what happens next.
 *
 * Layer: swarm, included by swarm*.c only.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SWARM_SWARM_FLOW_H
#define ENX_SWARM_SWARM_FLOW_H

#include "swarm/swarm_state.h"

enum { SWARM_NOTE_BYTES = 256 };

/* Judge the report of a task whose work is REPORTED, and say how it goes on. */
void swarm_decide(enx_swarm *s, uint32_t item);

/* Judge the candidate of a task by the checks of its class, and say how it goes on. */
void       swarm_judge(enx_swarm *s, uint32_t item);
/* ... after a report to one of those that ask another model. */
void       swarm_decide_second(enx_swarm *s, uint32_t item);
void       swarm_decide_verify(enx_swarm *s, uint32_t item);
/* The answer with most votes, its first call; *lead receives how many it has more than any other,
 * *chance that it is wrong. */
uint32_t   swarm_count_votes(const enx_swarm *s, const swarm_item *at, uint32_t *lead,
                             double *chance);
/* Red flags and the checks that ask nobody, on the latest answer; NONE: all passed. */
enx_reason swarm_run_checks(const enx_swarm *s, uint32_t item, char note[SWARM_NOTE_BYTES]);

/* Error and loss: again, as long as attempts last.  True: it is back in its queue. */
bool swarm_retry(enx_swarm *s, uint32_t item);
bool swarm_may_escalate(const enx_swarm *s, uint32_t item);
/* Up to the lead where that is allowed; else the task ends as the record says. */
void swarm_escalate_or(enx_swarm *s, uint32_t item, enx_record_kind otherwise, enx_reason reason,
                       const char *note);
/* Accept the answer of a call. */
void swarm_accept_call(enx_swarm *s, uint32_t item, enx_reason reason, uint32_t call,
                       double error_chance);

/* Create the tasks that the accepted plan has and that are not created yet. */
void swarm_create_tasks(enx_swarm *s);

/* Have the lead write a plan, or give up after ENX_SWARM_PLAN_TRIES. */
void swarm_ask_plan(enx_swarm *s);

/* What the lead is asked for a plan with: the goal, and why the last plan was refused. */
void swarm_write_plan_goal(enx_swarm *s);

/* The class is given: nothing is to be planned. */
void swarm_take_given(enx_swarm *s);

/* Would the workers cost as much as the lead alone, one call a task? */
bool swarm_is_dear(const enx_swarm *s);

/* Judge and record a plan that is given. */
void swarm_accept_plan(enx_swarm *s, const enx_plan *plan);

/* Start every call that slots and budget allow; certify and end the job when all is done. */
void swarm_pump(enx_swarm *s);

/* End as partial: give up what runs, return what is not finished. */
void swarm_end_partial(enx_swarm *s, enx_reason reason, const char *note);

/* Most that a call may cost: tokens into call->max_tokens_*, money into call->reserved_usd_nano. */
void swarm_bound_call(const enx_swarm *s, enx_call *call, enx_reservation *reservation);

#endif /* ENX_SWARM_SWARM_FLOW_H */
