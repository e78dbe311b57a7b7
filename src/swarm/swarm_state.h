/* SPDX-License-Identifier: Apache-2.0 */
/* swarm_state.h - private: the state of a job, and the only function that changes it by records.
 *
 * Layer: swarm, included by swarm*.c only.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SWARM_SWARM_STATE_H
#define ENX_SWARM_SWARM_STATE_H

#include "swarm/certificate.h"
#include "swarm/stream.h"
#include "swarm/swarm.h"

#define SWARM_NONE UINT32_MAX
enum { SWARM_LATENCIES = 256, SWARM_BATCH = 64 };

/* A zero-terminated text in the pool; offset 0 is the empty text. */
typedef struct swarm_text {
    size_t offset;
    size_t size_bytes;
} swarm_text;

typedef enum swarm_work { WORK_NONE, WORK_QUEUED, WORK_CALLED, WORK_REPORTED } swarm_work;

typedef enum swarm_label { LABEL_NONE, LABEL_RIGHT, LABEL_WRONG } swarm_label;

/* One task; the plan is a pseudo-task at index item_count. */
typedef struct swarm_item {
    const enx_class  *task_class; /* NULL: the plan */
    uint32_t          stage;      /* of a goal, SWARM_NONE without */
    enx_span          input;
    swarm_text        made; /* the input, where it is made of answers */
    bool              is_made;
    enx_task_state    state;
    bool              is_created;
    swarm_work        work;
    enx_role          role; /* of the work */
    uint32_t          model;
    uint32_t          attempt;   /* calls made in this role */
    uint32_t          call;      /* the latest, SWARM_NONE before */
    uint64_t          failed_at; /* answers of the model when the first call in this role failed */
    uint32_t          hedge;     /* a second open call for the same work, or SWARM_NONE */
    uint32_t          candidate; /* the call whose answer is judged now, SWARM_NONE before */
    uint32_t          votes[ENX_VOTES_MAX]; /* [vote_count] calls that answered the task */
    uint32_t          vote_count;
    uint32_t          prev; /* in the model's queue */
    uint32_t          next;
    char              language[ENX_LANGUAGE_BYTES_MAX];
    int32_t           level;
    uint32_t          kinds;
    bool              has_answer; /* else the answer is the input */
    swarm_text        answer;
    uint32_t          answer_model;
    enx_role          answer_role;
    double            error_chance;
    enx_reason        reason;
    swarm_text        note;
    bool              has_kept; /* a worker's answer that passed its deterministic checks */
    swarm_text        kept;
    uint32_t          kept_model;
    double            kept_error_chance;
    bool              is_escalated;
    enx_reason        escalate_reason;
    uint32_t          check;        /* that failed last: its place in the class's list, from 1 */
    bool              is_candidate; /* accepted without the lead: the certificate's population */
    swarm_label       label;
    bool              is_lost;     /* the label: nobody could give it, it counts as wrong */
    bool              is_answered; /* ... without an audit: the lead's answer was compared */
    bool              is_held;     /* passed its checks, and waits for its turn in the stream */
    enx_reason        held_reason;
    uint32_t          held_call; /* whose answer it is; SWARM_NONE: the input */
    double            held_chance;
    enx_stream_ticket ticket;        /* offer 0: not shown to the stream */
    bool              is_told;       /* the stream knows its label, or will not */
    bool              is_unlabelled; /* nobody can pay for its audit */
    bool              is_known[2];   /* compared with options.truths: a worker's, the lead's */
    uint32_t          rank;          /* in the certificate, SWARM_NONE outside */
} swarm_item;

typedef enum swarm_call_state { CALL_OPEN, CALL_SETTLED, CALL_GIVEN_UP } swarm_call_state;

typedef struct swarm_call {
    uint32_t         item;
    uint32_t         attempt;
    swarm_call_state state;
    bool             is_unknown; /* its reserve is booked as unknown */
    enx_reservation  reserved;
    uint32_t         max_tokens_in;
    uint32_t         max_tokens_out;
    uint64_t         deadline_us;
    uint32_t        day; /* of allowances, when it was admitted in this run; 0: in an earlier one */
    uint32_t        prev; /* in the list of open calls, oldest first */
    uint32_t        next;
    enx_call_status status; /* of the report */
    swarm_text      answer;
    swarm_text      error;
    char            language[ENX_LANGUAGE_BYTES_MAX];
    int32_t         level;
    double          confidence;
    double          error_chance;
    uint32_t        flags;
} swarm_call;

typedef struct swarm_queue {
    uint32_t first;
    uint32_t last;
    uint32_t count;
} swarm_queue;

/* How long a model's calls take, to tell which are late. */
typedef struct swarm_pace {
    uint64_t latencies_us[SWARM_LATENCIES];
    uint32_t count;   /* seen so far */
    uint64_t late_us; /* nearly all are faster; 0: not known yet */
    uint32_t next;    /* call that has not been looked at */
} swarm_pace;

typedef struct swarm_model {
    swarm_queue        queue;
    uint32_t           in_flight;
    uint64_t           answered; /* calls that ended with an answer */
    uint32_t           strikes;  /* tasks in a row whose first call to this worker had none */
    uint32_t           struck;   /* the latest of these calls */
    swarm_pace         pace;
    enx_swarm_progress counts; /* queued, running and line are filled on demand */
} swarm_model;

/* A place in a certificate's population. */
typedef struct swarm_rank {
    double   error_chance;
    uint32_t item;
} swarm_rank;

/* The certificate of a job, or of a stage of a goal. */
typedef struct swarm_proof {
    bool                  is_certified; /* CERTIFICATE was recorded */
    enx_certificate_claim claim;
    enx_certificate      *certificate;
    swarm_rank           *ranks; /* [population], surest first */
    uint32_t              population;
    bool                  is_audit_stopped;
} swarm_proof;

/* A stage of a goal and its tasks, which stand together. */
typedef struct swarm_stage {
    const enx_stage *plan;
    uint32_t         first;
    uint32_t         count;
    uint32_t         open;  /* not finished */
    uint32_t         base;  /* of the plan's stages: its needs count from here */
    uint32_t         round; /* of that plan, from 1 */
    swarm_proof      proof;
} swarm_stage;

/* Where the texts of a record are in the pool, which may move until it is saved. */
typedef struct swarm_texts {
    swarm_text text;
    swarm_text answer;
    swarm_text error;
} swarm_texts;

struct enx_swarm {
    enx_swarm_options options; /* with defaults filled in */
    enx_ports         ports;
    uint32_t          lead; /* SWARM_NONE: none */
    uint32_t          scout;
    uint32_t          verifier;
    swarm_item       *items; /* [item_count + 1] */
    uint32_t          item_count;
    swarm_call       *calls; /* [call_capacity]; call id = job_id << 32 | index + 1 */
    uint32_t          call_count;
    uint32_t          call_capacity;
    uint32_t          open_first;
    uint32_t          open_last;
    uint32_t          open_count;
    uint32_t          hedges; /* made in this run */
    char             *texts;  /* the pool */
    size_t            texts_bytes;
    size_t            texts_capacity;
    swarm_model       models[ENX_ROSTER_MODELS_MAX];
    enx_budget        budget;
    enx_allowance     allowances[ENX_ALLOWANCES_MAX]; /* [options.allowance_count] */
    enx_cap           end_cap;
    enx_report        end_cap_report;
    uint64_t          fingerprint;
    uint64_t          seq; /* of the last record */
    uint64_t          seed;
    uint64_t          start_us;
    uint64_t          end_us;
    bool              is_opened; /* JOB_OPENED was recorded */
    bool              is_gated;
    bool              is_started;
    bool              is_single;
    enx_reason        gate_reason;
    bool              has_plan;
    enx_plan          plan;
    enx_graph        *graphs[ENX_SWARM_ROUNDS_MAX]; /* of a goal, [round] */
    uint32_t          round;
    swarm_stage       stages[ENX_SWARM_STAGES_MAX];
    uint32_t          stage_count;
    enx_stage         last_stage;    /* the assembly, or the lead's only task */
    bool              is_delivering; /* no stage comes any more */
    enx_class         restore;       /* of the plan */
    enx_check         restore_checks[2];
    uint32_t          plan_tries; /* refused so far */
    swarm_text        plan_refusal;
    enx_buf           plan_goal; /* goal and the last refusal */
    uint32_t          tasks[ENX_TASK_STATE_COUNT];
    uint32_t          escalated;
    uint32_t          shown;    /* tasks before it have had their turn in the stream */
    uint32_t          told;     /* ... and those before it their label */
    uint32_t          offers;   /* of this job */
    enx_swarm_known   known[2]; /* answers against options.truths: workers', the lead's */
    swarm_proof       proof;    /* not of a goal: its stages have them */
    enx_swarm_end     end;
    enx_reason        end_reason;
    swarm_text        end_note;
    bool              is_stopped;
    enx_status        error;
    enx_report        error_report;
    enx_record        batch[SWARM_BATCH]; /* applied, not saved yet */
    swarm_texts       batch_texts[SWARM_BATCH];
    uint32_t          batch_count;
};

/* Change the state by one record, live or replayed.  The texts of the record are put into the pool
 * and written to `texts`, if that is not NULL. */
ENX_MUST_USE enx_status swarm_apply(enx_swarm *s, const enx_record *record, swarm_texts *texts,
                                    enx_report *report);

/* Number, apply and batch a record. */
void swarm_emit(enx_swarm *s, enx_record record);
/* Save the batch, then do what it says: generate and cancel. */
void swarm_flush(enx_swarm *s);
/* Stop for good; nothing is recorded or started any more. */
void swarm_stop(enx_swarm *s, enx_status status, const enx_report *report);
/* No work is to be done any more. */
bool swarm_is_over(const enx_swarm *s);

/* Put a task into the queue of a model, or take it out. */
void swarm_enqueue(enx_swarm *s, uint32_t item, enx_role role, uint32_t model);
void swarm_dequeue(enx_swarm *s, uint32_t item);
void swarm_set_state(enx_swarm *s, uint32_t item, enx_task_state state);

/* Hand a call to the backend, from its entry. */
void     swarm_generate(enx_swarm *s, uint32_t call);
/* The call of an entry, as ports see it; pointers live until the next change of the state. */
enx_call swarm_call_of(const enx_swarm *s, const swarm_call *entry, uint64_t call_id);

/* What a task works on; valid until the next change of the state. */
enx_span                swarm_input(const enx_swarm *s, const swarm_item *at);
/* A plan for a goal becomes stages and tasks.  ENX_FORMAT, ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status swarm_apply_graph(enx_swarm *s, const enx_record *record,
                                          enx_report *report);

/* The lead answers every task of the class itself. */
bool     swarm_is_leads(const enx_swarm *s, const enx_class *task_class);
/* A number that depends on a task's input alone: the same text goes to the same worker, in every
 * job and at every place, so that its answer may be known already. */
uint32_t swarm_spread(const enx_swarm *s, uint32_t item);
/* Workers of a specialty (NULL: all of them): the one for a task, or SWARM_NONE; and how many.  One
 * that is out gets a task only where all are, or on trial. */
uint32_t swarm_worker_for(const enx_swarm *s, const char *specialty, uint32_t item);
uint32_t swarm_workers_for(const enx_swarm *s, const char *specialty,
                           uint32_t found[ENX_ROSTER_MODELS_MAX]);

/* Of the class of a task; NULL: the plan. */
const char *swarm_class_name(const enx_swarm *s, uint32_t item);
uint64_t    swarm_call_id(const enx_swarm *s, uint32_t call);
uint32_t    swarm_task_id(const enx_swarm *s, uint32_t item);
const char *swarm_text_get(const enx_swarm *s, swarm_text text);

#endif /* ENX_SWARM_SWARM_STATE_H */
