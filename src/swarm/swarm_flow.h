/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_flow.h - private: what happens next.
 *
 * Layer: swarm, included by swarm*.c only.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SWARM_SWARM_FLOW_H
#define ENX_SWARM_SWARM_FLOW_H

#include "swarm/swarm_state.h"

/* Judge the report of a task whose work is REPORTED, and say how it goes on. */
void swarm_decide(enx_swarm *s, uint32_t item);

/* Create the tasks that the accepted plan has and that are not created yet. */
void swarm_create_tasks(enx_swarm *s);

/* Have the lead write a plan, or give up after ENX_SWARM_PLAN_TRIES. */
void swarm_ask_plan(enx_swarm *s);

/* What the lead is asked for a plan with: the goal, and why the last plan was refused. */
void swarm_write_plan_goal(enx_swarm *s);

/* Judge and record a plan that is given. */
void swarm_accept_plan(enx_swarm *s, const enx_plan *plan);

/* Start every call that slots and budget allow; certify and end the job when all is done. */
void swarm_pump(enx_swarm *s);

/* End as partial: give up what runs, return what is not finished. */
void swarm_end_partial(enx_swarm *s, enx_reason reason, const char *note);

/* Most that a call may cost: tokens into call->max_tokens_*, money into call->reserved_usd_nano. */
void swarm_bound_call(const enx_swarm *s, enx_call *call, enx_reservation *reservation);

#endif /* ENX_SWARM_SWARM_FLOW_H */
