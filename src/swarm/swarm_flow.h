/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_flow.h - private: what happens next.
 *
 * Layer: swarm, included by swarm*.c only.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SWARM_SWARM_FLOW_H
#define ENX_SWARM_SWARM_FLOW_H

#include "swarm/swarm_state.h"

enum { SWARM_NOTE_BYTES = 256, SWARM_VOTES_AHEAD = 2 };

/* Saturates. */
uint64_t swarm_add(uint64_t a, uint64_t b);

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
/* A worker's answer passed every check, or the input needs no repair (`call` SWARM_NONE): it is
 * accepted, or waits for what the stream says, or goes up because the right one is known. */
void swarm_pass(enx_swarm *s, uint32_t item, enx_reason reason, uint32_t call, double error_chance);
/* Up to the lead, whatever its class says of failures. */
void swarm_escalate(enx_swarm *s, uint32_t item, enx_reason reason, double error_chance);
/* Accept the answer of a call, or the input as it came (SWARM_NONE). */
void swarm_accept_passed(enx_swarm *s, uint32_t item, enx_reason reason, uint32_t call,
                         double error_chance);
/* Compare an answer with the right one, where that is known. */
void swarm_compare_truth(enx_swarm *s, uint32_t item, uint32_t call);
/* An audit that has its answer, or never will. */
void swarm_decide_audit(enx_swarm *s, uint32_t item);
/* The lead's answer to a task that went up says whether the worker's was right. */
void swarm_label_answered(enx_swarm *s, uint32_t item);

/* Tell the certificate that a task is part of its label, if there is one. */
void swarm_certify_label(enx_swarm *s, uint32_t item);
/* All tasks of the job are finished: audit, escalate, certify.  True: there is more work to do. */
bool swarm_certify(enx_swarm *s);
/* ... of stages of a goal whose tasks are finished; what waits for a certificate begins. */
void swarm_certify_stages(enx_swarm *s);
/* Nobody can pay for the audit of a task, nor for others of its certificate. */
void swarm_stop_audits(enx_swarm *s, uint32_t item);
/* Must tasks that need the stage wait for its certificate? */
bool swarm_awaits_proof(const enx_swarm *s, const swarm_stage *stage);

/* Does a stream say what stays with workers? */
bool swarm_is_streamed(const enx_swarm *s);
/* Show the stream what is there, in the order of tasks, and do what it says. */
void swarm_stream_show(enx_swarm *s);
/* The job ends: tell the stream what it does not know yet, and record what it promises. */
void swarm_stream_finish(enx_swarm *s);
/* Queue the audits of a replayed job that are wanted and not under way. */
void swarm_stream_resume(enx_swarm *s);
/* Tell the stream the label of a task, and its record where it came. */
void swarm_stream_label(enx_swarm *s, uint32_t item, enx_record *record);

/* Does a worker answer nothing any more?  May it have a task all the same? */
bool swarm_is_out(const enx_swarm *s, uint32_t model);
bool swarm_may_work(const enx_swarm *s, uint32_t model, uint32_t item);
/* A call of a model has ended, with an answer or without. */
void swarm_strike(enx_swarm *s, const swarm_call *entry);
/* What waits for a model that is out goes to others. */
void swarm_relieve(enx_swarm *s, uint32_t model);
/* "red flags: truncated" */
void swarm_write_flags(uint32_t flags, char note[SWARM_NOTE_BYTES]);

uint32_t   swarm_clamp_u32(uint64_t value);
/* A record about a task, with its latest call. */
enx_record swarm_record_of(const enx_swarm *s, uint32_t item, enx_record_kind kind);
/* Accept the answer of a call. */
void       swarm_accept_call(enx_swarm *s, uint32_t item, enx_reason reason, uint32_t call,
                             double error_chance);

/* A record about a task, with a sentence. */
void swarm_emit_note(enx_swarm *s, uint32_t item, enx_record_kind kind, enx_reason reason,
                     const char *note);
/* Created, with an input that is made of answers, or "". */
void swarm_emit_created(enx_swarm *s, uint32_t item, const char *text, size_t size_bytes);
/* ... and over at once where there is nothing to do, or too much. */
void swarm_judge_input(enx_swarm *s, uint32_t item);
/* Record a plan, leave single-mode decisions to it, create its tasks. */
void swarm_take_plan(enx_swarm *s, const char *json, bool is_single);
/* The lead alone, without a plan, once that is approved. */
void swarm_take_alone(enx_swarm *s);

/* A task of a goal has ended: create those that waited for it. */
void                    swarm_unlock(enx_swarm *s, uint32_t item);
/* Create all that wait for nothing any more. */
void                    swarm_create_stages(enx_swarm *s);
/* What the lead is told beside the goal: numbers, and words of ours. */
ENX_MUST_USE enx_status swarm_append_digest(const enx_swarm *s, enx_buf *out);
/* Can the plan be done here, and its first calls within the budget?  ENX_INVALID, ENX_LIMIT,
 * ENX_BUDGET, or what the port `admit` says. */
ENX_MUST_USE enx_status swarm_judge_graph(enx_swarm *s, const enx_graph *graph,
                                          enx_swarm_outlay *sum, enx_report *report);
/* What a task of a class may cost at the dearest that may do it. */
uint64_t                swarm_price_of_class(enx_swarm *s, const enx_class *c, size_t input_bytes);
/* Does a task of `stage` wait for that of this number, and is one of its own left undone? */
bool swarm_needs_stage(const enx_swarm *s, const swarm_stage *stage, uint32_t index);
bool swarm_is_left(const enx_swarm *s, const swarm_stage *stage);
/* All tasks of a goal have ended: ask for more, or deliver.  True: there is more work to do. */
bool swarm_next_round(enx_swarm *s);

/* Create the tasks that the accepted plan has and that are not created yet. */
void swarm_create_tasks(enx_swarm *s);

/* Have the lead write a plan, or give up after ENX_SWARM_PLAN_TRIES. */
void swarm_ask_plan(enx_swarm *s);

/* What the lead is asked for a plan with: the goal, and why the last plan was refused. */
void swarm_write_plan_goal(enx_swarm *s);

/* The class is given: nothing is to be planned. */
void swarm_take_given(enx_swarm *s);

/* Does the user want it?  If not, the job ends. */
bool               swarm_is_approved(enx_swarm *s, const char *plan, const enx_swarm_outlay *sum);
enx_swarm_forecast swarm_forecast(const enx_swarm *s);

/* Is so much used of a cap on such tasks that the job should go on cheaply?  NULL: of the job. */
bool swarm_is_tight(const enx_swarm *s, const enx_class *task_class);

/* Why a swarm does the job, or (*is_single) why its lead does it alone. */
enx_reason swarm_gate(const enx_swarm *s, bool *is_single);
/* Why the lead had better do alone what its own plan divides; NONE: it had not. */
enx_reason swarm_gate_graph(const enx_swarm *s, const enx_graph *graph, uint32_t task_count);
/* Scout and the dearest worker for every task, each once. */
uint64_t   swarm_worst_case(const enx_swarm *s);

/* Judge and record a plan that is given. */
void swarm_accept_plan(enx_swarm *s, const enx_plan *plan);

/* Record the intent of a call for a task: queued work, or a second call for work that is late.
 * False: the budget does not allow it now. */
bool     swarm_issue(enx_swarm *s, uint32_t item);
/* Wait for an open call no longer. */
void     swarm_give_up_call(enx_swarm *s, uint32_t call, enx_reason reason);
/* Learn from an open call that is answered now how long a model takes. */
void     swarm_time_call(enx_swarm *s, uint32_t call);
/* Make second calls for the late ones of a model, as far as slots, budget and their share allow. */
void     swarm_hedge(enx_swarm *s, uint32_t model);
/* When the next call will be late; UINT64_MAX: none that could be hedged. */
uint64_t swarm_hedge_us(const enx_swarm *s);

/* Start every call that slots and budget allow; certify and end the job when all is done. */
void swarm_pump(enx_swarm *s);

/* End for good. */
void swarm_fail(enx_swarm *s, enx_reason reason, const char *note);

/* End as partial: give up what runs, return what is not finished. */
void swarm_end_partial(enx_swarm *s, enx_reason reason, const char *note);

/* Most that a call may cost: tokens into call->max_tokens_*, money into call->reserved_usd_nano. */
void swarm_bound_call(const enx_swarm *s, enx_call *call, enx_reservation *reservation);

#endif /* ENX_SWARM_SWARM_FLOW_H */
