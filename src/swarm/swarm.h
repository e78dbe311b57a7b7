/* SPDX-License-Identifier: Apache-2.0 */
/* swarm.h - one job: plan, hand out, check, escalate, certify, assemble.
 *
 *     enx_swarm_open(&swarm, &options, report);
 *     enx_swarm_replay(swarm, &record, report);            // of an earlier run, in order, if any
 *     enx_swarm_start(swarm);
 *     while (!enx_swarm_is_done(swarm)) {
 *         enx_swarm_on_report(swarm, &call_report);        // whenever one comes, in any order
 *         enx_swarm_tick(swarm);                           // at least at enx_swarm_wake_us()
 *     }
 *     enx_swarm_result(swarm, i); enx_swarm_summary_get(swarm);
 *
 * The core never blocks and never calls itself back; it starts calls through ports->generate and
 * records everything through ports->save before it has an effect outside.  The answers and the
 * bill are the same for every order in which reports come, as long as none is lost or late and no
 * cap is reached.  docs/swarm.md has the states, records and promises.
 *
 * Layer: swarm.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SWARM_SWARM_H
#define ENX_SWARM_SWARM_H

#include "swarm/allowance.h"
#include "swarm/assemble.h"
#include "swarm/budget.h"
#include "swarm/graph.h"
#include "swarm/plan.h"
#include "swarm/ports.h"
#include "swarm/stream.h"

enum {
    ENX_SWARM_ATTEMPTS_MAX = 16,
    ENX_SWARM_PLAN_TRIES = 3,
    ENX_SWARM_GATE_ITEMS = 4,
    ENX_SWARM_GATE_BYTES = 2048, /* of inputs of a goal, for one such item */
    ENX_SWARM_ROUNDS_MAX = 3,    /* plans for a goal */
    ENX_SWARM_STAGES_MAX = ENX_SWARM_ROUNDS_MAX * ENX_GRAPH_STAGES_MAX + 1,
    ENX_SWARM_ITEM_BYTES = 1 << 20,
    ENX_SWARM_STRIKES = 8,     /* tasks in a row without an answer, and a worker is out */
    ENX_SWARM_STREAM_LAG = 64, /* offers between one and the last label that it knows of */
};

#define ENX_SWARM_HEDGE_SHARE_MAX 0.5

typedef enum enx_swarm_mode {
    ENX_SWARM_MODE_SWARM,
    ENX_SWARM_MODE_WORKERS, /* scout and workers, never the lead (but for the plan) */
    ENX_SWARM_MODE_LEAD,    /* the lead answers every task */
} enx_swarm_mode;

/* Zero means the default everywhere.  Everything is borrowed until close, except `ports` and
 * `plan`, which are copied. */
typedef struct enx_swarm_options {
    uint64_t          job_id; /* below 2^31 */
    enx_swarm_mode    mode;
    const enx_roster *roster; /* exactly one lead, one scout at most; see enx_swarm_open */
    const enx_ports  *ports;
    const char       *goal;    /* the user's words */
    bool              is_goal; /* items are inputs of a goal, whose plan says what the tasks are */
    const char       *graph;   /* of a goal: its plan as JSON; NULL: the lead writes one */
    const enx_class  *given; /* class of all items; NULL: the lead's plan says what is to be done */
    const enx_span   *items; /* [item_count] */
    uint32_t          item_count;
    const enx_plan   *plan;          /* NULL: the lead writes one */
    enx_budget_caps   caps;          /* time counts from enx_swarm_start */
    const enx_allowance *allowances; /* [allowance_count] class_name and caps, over all jobs */
    uint32_t             allowance_count;
    double               escalate_above; /* error chance; 0: 0.2; 1: never for that reason */
    double               escalate_above_level[4]; /* the same by damage level; 0: escalate_above */
    double               scout_confidence_min;    /* 0: 0.5; negative: any */
    double      target_alpha; /* 0: no target; else only the certified part stays with workers */
    double      delta;        /* 0: 0.05 */
    enx_stream *stream;       /* says what stays with workers, instead of a certificate of this job
                                 alone, as all its events in earlier records left it; then
                                 target_alpha and audit_labels_max are 0.  Not with a goal */
    uint64_t    stream_id;    /* of it, for the records; not 0 */
    uint32_t    vote_every;   /* `second` asks about every so manieth task; 0: about all */
    const enx_span *truths;   /* [item_count] right answers that the user knows (text NULL: not
                                 known): those tasks go up, and the lead is measured by them;
                                 NULL: none */
    uint32_t        audit_labels_max; /* 0 without target: no audits, no certificate */
    uint32_t        gate_items_min;   /* 0: ENX_SWARM_GATE_ITEMS; 1: never single for that reason */
    uint32_t        attempts_max;     /* calls for one role of one task; 0: 3 */
    uint64_t        call_timeout_us;  /* 0: 120 s */
    double          hedge_share;    /* of all calls that may be second ones for late tasks of models
                                       that are elsewhere; 0: none */
    size_t          item_bytes_max; /* longer texts are returned; 0: ENX_SWARM_ITEM_BYTES */
    uint64_t        seed;           /* of the audits' permutation; 0: ports->random_u64 */
    bool            refuse_over_budget; /* a plan whose worst case is above caps.usd_nano */
    bool            is_asked;           /* for a swarm: the gate does not say otherwise */
    double up_share; /* of tasks of `given` that the lead answered too in earlier jobs; 0: none
                        were, or nobody knows */
} enx_swarm_options;

typedef struct enx_swarm enx_swarm;

/* ENX_INVALID: no lead where one is needed (every mode; in WORKERS mode only to write the plan),
 * no scout or no worker in SWARM and WORKERS mode, a model without slots, rates outside [0, 1], a
 * given class that is not sound, or whose checks or specialty nobody here has;
 * ENX_LIMIT: too many models or items; ENX_NOMEM. */
ENX_MUST_USE enx_status enx_swarm_open(enx_swarm **out, const enx_swarm_options *options,
                                       enx_report *report);
void                    enx_swarm_close(enx_swarm **swarm);

/* Rebuild the state from one record of an earlier run of the same job; all of them, in order,
 * before start.  Finished tasks are not run again; an intent without result is generated again
 * under its call id, and its reserve counts as unknown until its report comes.  A job that ended
 * as partial goes on, under today's caps.
 *
 * ENX_FORMAT   not the next record of this job, or one that cannot follow.
 * ENX_INVALID  the job was opened over other items, another goal or mode.
 * ENX_NOMEM. */
ENX_MUST_USE enx_status enx_swarm_replay(enx_swarm *swarm, const enx_record *record,
                                         enx_report *report);

/* What a job of a given class, or of restoring, will cost before anything of it is done. */
typedef struct enx_swarm_forecast {
    uint32_t   tasks;
    uint64_t   calls;         /* one a task */
    uint64_t   usd_nano;      /* of these, at most */
    uint64_t   calls_most;    /* with every check that asks a model, and every task going up */
    uint64_t   usd_nano_most; /* of these; failed calls that are tried again come on top */
    bool       has_lead;
    uint64_t   usd_nano_lead; /* every task by the lead alone, at most */
    bool       is_single;     /* the lead does it alone ... */
    enx_reason gate_reason;   /* ... or a swarm, and why */
} enx_swarm_forecast;

/* Before the start.  The bounds are those that calls would reserve. */
enx_swarm_forecast enx_swarm_forecast_get(const enx_swarm *swarm);

/* Once, after open and replay. */
void enx_swarm_start(enx_swarm *swarm);

/* Reports of unknown calls and second reports are ignored; one that says LOST turns the reserve
 * into `unknown`, as a deadline that passed would.  Reports of calls that were given up, or that
 * come after the end of the job, settle the bill. */
void enx_swarm_on_report(enx_swarm *swarm, const enx_call_report *report);

/* Give up calls whose deadline passed, and the job when its time is up. */
void enx_swarm_tick(enx_swarm *swarm);

/* When tick must be called at the latest, on the ports' clock; UINT64_MAX: not before a report. */
uint64_t enx_swarm_wake_us(const enx_swarm *swarm);

/* End as partial: running calls are cancelled, unfinished tasks returned as they came. */
void enx_swarm_cancel(enx_swarm *swarm);

/* The job ended, or stopped because of a failed save. */
bool enx_swarm_is_done(const enx_swarm *swarm);

/* ENX_OK, or why the machine stopped: the failure of save (its text is put into `report`) or
 * ENX_NOMEM.  Nothing that was saved is lost: open again, replay, go on. */
ENX_MUST_USE enx_status enx_swarm_error(const enx_swarm *swarm, enx_report *report);

typedef enum enx_task_state {
    ENX_TASK_OPEN, /* not finished */
    ENX_TASK_ACCEPTED,
    ENX_TASK_ABSTAINED, /* on purpose untouched: the text is the input */
    ENX_TASK_FAILED,    /* no usable answer: the text is the input */
    ENX_TASK_RETURNED,  /* not done, the job ended before: the text is the input */
    ENX_TASK_STATE_COUNT
} enx_task_state;

/* Pointers are borrowed, valid until the next call that changes the swarm. */
typedef struct enx_swarm_answer {
    enx_task_state state;
    enx_span       answer; /* not zero-terminated */
    enx_reason     reason;
    const char    *note;  /* sentence that goes with the reason, or "" */
    uint32_t       model; /* that answered; ACCEPTED only, not for BLANK */
    enx_role       role;  /* of that call; SCOUT: accepted as it came */
    double         error_chance;
    bool           is_escalated;
    enx_reason     escalate_reason;
    char           language[ENX_LANGUAGE_BYTES_MAX]; /* "" unknown */
    int32_t        level;
    bool           is_labelled; /* audited */
    bool           was_wrong;   /* by that audit; the answer is then the lead's */
} enx_swarm_answer;

/* The task that makes the answer to a goal; ENX_SWARM_ITEMS_MAX: there is none, the answers of the
 * last stages are put one after the other. */
uint32_t    enx_swarm_assembly(const enx_swarm *swarm);
/* The class of a task; is its answer of a last stage? */
const char *enx_swarm_class_of(const enx_swarm *swarm, uint32_t item, bool *is_last);

enx_swarm_answer enx_swarm_result(const enx_swarm *swarm, uint32_t item);

/* Counters of one model, kept up to date: O(1). */
typedef struct enx_swarm_progress {
    uint32_t        queued;
    uint32_t        running;
    uint32_t        accepted; /* tasks whose answer is this model's; scout: accepted as they came */
    uint32_t        escalated; /* tasks that this model passed up */
    uint32_t        abstained;
    uint32_t        failed;
    enx_budget_line line; /* tokens and money */
} enx_swarm_progress;

enx_swarm_progress enx_swarm_progress_get(const enx_swarm *swarm, uint32_t model);

/* Is a worker out, that is, do others have its tasks because it answers nothing any more?  Then a
 * sentence is written to why [why_bytes]. */
bool enx_swarm_is_out(const enx_swarm *swarm, uint32_t model, char *why, size_t why_bytes);

typedef enum enx_swarm_end {
    ENX_SWARM_RUNNING,
    ENX_SWARM_DONE,
    ENX_SWARM_PARTIAL,
    ENX_SWARM_FAILED,
} enx_swarm_end;

typedef struct enx_swarm_known {
    uint32_t count;
    uint32_t wrong;
} enx_swarm_known;

typedef struct enx_swarm_summary {
    enx_swarm_end         end;
    enx_reason            end_reason;
    const char           *end_note; /* sentence, or ""; borrowed as above */
    enx_cap               end_cap;  /* of this run: the first cap that a task was given up for */
    bool                  is_single;
    enx_reason            gate_reason;
    bool                  has_plan;
    enx_plan              plan;  /* of a job without `given` */
    const enx_class      *given; /* of the options */
    bool                  is_goal;
    uint32_t              round; /* of a goal: plans accepted so far */
    uint32_t              task_count;
    uint32_t              tasks[ENX_TASK_STATE_COUNT];
    uint32_t              escalated;
    bool                  has_certificate; /* not of a goal: see enx_swarm_stages */
    enx_certificate_claim certificate;
    enx_swarm_known       known_worker, known_lead; /* answers against options.truths */
    uint64_t              elapsed_us;               /* of this run */
} enx_swarm_summary;

enx_swarm_summary enx_swarm_summary_get(const enx_swarm *swarm);

/* What is promised of a stage of a goal.  With the confidence of the options all claims and numbers
 * of all stages hold together. */
typedef struct enx_swarm_stage_claim {
    const char           *class_name;
    bool                  is_last;   /* its answers are delivered, or the assembly reads them */
    bool                  is_leads;  /* the lead does it: right by definition of the reference */
    bool                  is_of_one; /* each task reads one answer of another stage */
    uint32_t              answers;   /* accepted */
    bool                  has_claim;
    enx_certificate_claim claim; /* against the lead's answers to the same inputs */
    uint32_t wrong_most; /* of `answers` are wrong by that, or are outside the claim, or (is_of_one)
                            were made of an answer that is */
    uint32_t read;       /* answers of other stages that its tasks were given, of which ... */
    uint32_t read_wrong_most; /* ... so many, at most, are */
} enx_swarm_stage_claim;

/* Those of a goal in order, those of its plans before the assembly; returns how many. */
uint32_t enx_swarm_stages(const enx_swarm *swarm, enx_swarm_stage_claim out[ENX_SWARM_STAGES_MAX]);

/* The ledger; borrowed until close. */
const enx_budget *enx_swarm_budget(const enx_swarm *swarm);

/* Check the numbered invariants of swarm_state.c in O(items + calls); ENX_INVALID names the first
 * that is broken.  For tests and the simulator. */
ENX_MUST_USE enx_status enx_swarm_verify(const enx_swarm *swarm, enx_report *report);

#endif /* ENX_SWARM_SWARM_H */
