/* SPDX-License-Identifier: Apache-2.0 */
/* ports.h - what the swarm core needs from outside, and what it tells.
 *
 * The core is a pure state machine: it has no clock, socket, thread or file.  It starts paid calls
 * and writes durable records through the table `enx_ports`; reports come back later through
 * enx_swarm_on_report().  The same core runs over real models, or inside a simulator where one
 * seed is one history.
 *
 * Money is integer: nano-dollars (1e-9 USD) in uint64_t, prices per million tokens.  Cost of one
 * call = ceil(sum(tokens * price) / 1e6), see enx_price_cost().  No float ever touches money.
 *
 * Ownership: every pointer in a struct that is passed through a port, or into the core, is borrowed
 * for that one call.  Whoever needs it longer copies it.
 *
 * Layer: swarm.  Thread-safety: ports are called by the thread that owns the swarm.
 */
#ifndef ENX_SWARM_PORTS_H
#define ENX_SWARM_PORTS_H

#include "base/span.h"
#include "base/status.h"
#include "swarm/class.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_ROSTER_MODELS_MAX = 64,
    ENX_SWARM_ITEMS_MAX = 1 << 20,
    ENX_LANGUAGE_BYTES_MAX = 16, /* "pt_BR" and its zero byte */
    ENX_LEVEL_UNKNOWN = -1,      /* damage levels are 0..3, text/damage.h */
};

/* Kinds of repair, a bit mask.  level = highest kind: 1 accents, 2 capitals, 3 punctuation. */
enum { ENX_KIND_ACCENTS = 1, ENX_KIND_CAPITALS = 2, ENX_KIND_PUNCTUATION = 4, ENX_KINDS_ALL = 7 };

/* ---- Roster ------------------------------------------------------------------------------- */

/* X(NAME, text) */
/* clang-format off */
#define ENX_DUTY_MAP(X) \
    X(LEAD, "lead") X(SCOUT, "scout") X(WORKER, "worker") X(VERIFIER, "verifier")
#define ENX_ROLE_MAP(X) \
    X(PLAN, "plan") X(SCOUT, "scout") X(WORK, "work") X(LEAD, "lead") X(AUDIT, "audit") \
    X(SECOND, "second") X(VERIFY, "verify")

/* What a model of the roster is for. */
typedef enum enx_duty {
#define X(name, text) ENX_DUTY_##name,
    ENX_DUTY_MAP(X)
#undef X
    ENX_DUTY_COUNT
} enx_duty;

/* Why a call is made.  PLAN, LEAD and AUDIT go to the lead; SECOND is the task once more, for
 * another worker; VERIFY asks a verifier, or the lead, whether an answer is right. */
typedef enum enx_role {
#define X(name, text) ENX_ROLE_##name,
    ENX_ROLE_MAP(X)
#undef X
    ENX_ROLE_COUNT
} enx_role;
/* clang-format on */

/* Nano-dollars per million tokens.  `fixed` is the amortised training cost, on a line of its own:
 * billed beside the cost, never part of it nor of the caps; per million tokens in + out. */
typedef struct enx_price {
    uint64_t in;
    uint64_t cached;
    uint64_t out;
    uint64_t fixed;
} enx_price;

typedef struct enx_roster_model {
    const char        *name;
    enx_duty           duty;
    const char        *family;    /* models that err together; NULL: its own */
    const char *const *languages; /* [language_count] what a worker is for: languages, classes */
    uint32_t           language_count;
    enx_price          price;
    uint64_t           params;
    uint32_t           slots;         /* calls in flight at most, >= 1 */
    uint32_t           prompt_tokens; /* what the prompt template adds to goal and input, at most */
    uint32_t           thinking_tokens; /* what it may write before an answer, at most */
    bool               is_elsewhere; /* a second call takes nothing from the first: late ones may be
                                        hedged */
} enx_roster_model;

typedef struct enx_roster {
    const enx_roster_model *models; /* [model_count]; index = "model" everywhere below */
    uint32_t                model_count;
} enx_roster;

/* ---- One paid call ------------------------------------------------------------------------ */

typedef struct enx_call {
    uint64_t         call_id; /* unique over all jobs: job_id << 32 | counter; the idempotency key:
                                 a call id that is generated again must not be paid twice */
    uint32_t         task_id; /* item + 1; 0: the job itself (PLAN) */
    uint32_t         item;    /* index; undefined for PLAN */
    uint32_t         attempt; /* from 1, counted per role */
    enx_role         role;
    uint32_t         model;      /* index into the roster */
    const char      *what;       /* name of the class; PLAN: "plan" of restoring, or "goal" */
    const enx_class *task_class; /* of the task; outlives the call.  NULL: PLAN */
    const char      *goal;  /* the user's words; for PLAN with the last refusal's reason appended */
    const char      *input; /* [input_bytes], not zero-terminated; "" for PLAN */
    size_t           input_bytes;
    const char      *answer; /* VERIFY: [answer_bytes], what is to be judged */
    size_t           answer_bytes;
    const char      *guess; /* LEAD, AUDIT: [guess_bytes], what a worker answered.  A help for speed
                               alone: the answer must be what it would be without */
    size_t           guess_bytes;
    char             language[ENX_LANGUAGE_BYTES_MAX]; /* "" unknown */
    int32_t          level; /* damage the input has, capped by the plan; ENX_LEVEL_UNKNOWN */
    uint32_t         kinds; /* the only kinds of change that the answer may make */
    uint32_t         max_tokens_in;  /* upper bound that was reserved */
    uint32_t         max_tokens_out; /* the backend must stop there (flag TRUNCATED) */
    uint64_t         deadline_us; /* on the clock of now_us; after it the core gives the call up */
    uint64_t         reserved_usd_nano;
} enx_call;

typedef struct enx_usage_count {
    uint64_t tokens_in;     /* evaluated */
    uint64_t tokens_cached; /* of the prompt, not evaluated again; not in tokens_in */
    uint64_t tokens_out;
} enx_usage_count;

/* clang-format off */
/* LOST: nobody knows whether the call was made and paid for.  The core says so when the deadline
 * passes, and a backend may: the reserve becomes `unknown` and its usage is not looked at. */
#define ENX_CALL_STATUS_MAP(X) \
    X(OK, "ok") X(ABSTAIN, "abstain") X(REFUSE, "refuse") X(ERROR, "error") X(LOST, "lost")
typedef enum enx_call_status {
#define X(name, text) ENX_CALL_##name,
    ENX_CALL_STATUS_MAP(X)
#undef X
    ENX_CALL_STATUS_COUNT
} enx_call_status;
/* clang-format on */

/* Flags, a bit mask: any of the red ones sends the answer up. */
enum {
    ENX_FLAG_TRUNCATED = 1, /* max_tokens_out or the context was used up */
    ENX_FLAG_STUCK = 2,     /* no token was allowed */
    ENX_FLAG_EMPTY = 4,     /* no answer for an input that is not empty */
    ENX_FLAG_MALFORMED = 8, /* outside the grammar, or not UTF-8 */
    ENX_FLAGS_RED = 15,
    /* Says nothing about the answer: what the model told of its usage cannot be true, and the worst
     * case was billed. */
    ENX_FLAG_USAGE = 16,
    /* The answer was known, and no call was made: nothing is billed, not even a call. */
    ENX_FLAG_REUSED = 32,
};

typedef struct enx_call_report {
    uint64_t        call_id;
    enx_call_status status;
    const char     *answer; /* [answer_bytes]; PLAN: JSON; SCOUT: not used */
    size_t          answer_bytes;
    char            language[ENX_LANGUAGE_BYTES_MAX]; /* SCOUT: "" not known */
    int32_t         level;                            /* SCOUT: 0..3 or ENX_LEVEL_UNKNOWN */
    double          confidence;  /* SCOUT: of language and level; VERIFY: that it is right */
    double          sum_logprob; /* natural logs, over the answer's tokens */
    double          min_logprob;
    uint32_t        token_count;
    double          error_chance; /* 0..1, calibrated for the model: that the answer is wrong */
    uint32_t        flags;
    enx_usage_count usage; /* of this call id, whatever the status; what was really spent */
    uint64_t        tokens_reasoning; /* of usage.tokens_out: thought, and not in the answer */
    uint64_t        latency_us;
    const char     *error; /* sentence for people, when status is not OK; may be NULL */
} enx_call_report;

/* ---- Records ------------------------------------------------------------------------------ */

/* What happened, in order.  Fields beside those of every record, by kind:
 *
 *   JOB_OPENED      text = goal, items, seed, fingerprint (of goal, items and mode)
 *   GATED           reason = why single or swarm, single
 *   PLAN_ACCEPTED   text = plan JSON ("" when a single job goes on without one), call_id; of a
 *                   goal also that it is delivered
 *   PLAN_REFUSED    text = validator's reason, call_id
 *   TASK_CREATED    task_id, item, text = its input where that is made of answers
 *   CALL_INTENT     call fields, reserved_usd_nano, reserved_tokens, text = its class, "" for a
 *                   plan; saved before generate()
 *   CALL_RESULT     call fields, report (all of it), cost_usd_nano, fixed_usd_nano
 *   CALL_LOST       call fields, text = why, "" when the deadline passed; its reserve is now
 *                   `unknown`; a later CALL_RESULT reconciles it
 *   TASK_ROUTED     task_id, item, language, level, kinds, model that will work on it
 *   OFFER           task_id, item, offer: an answer that passed its checks was shown to the stream
 *   TASK_ESCALATED  task_id, item, reason, text = sentence, check that failed
 *   TASK_ACCEPTED   task_id, item, text = answer, model, role (of the call that gave it; SCOUT: as
 *                   it came), error_chance, reason = why
 *   TASK_ABSTAINED  task_id, item, reason, text = sentence; the answer is the input
 *   TASK_FAILED     as TASK_ABSTAINED; check that failed
 *   LABEL           task_id, item, score, is_wrong: is the worker's answer another one than the
 *                   lead's?  offer, where the stream was told.  reason AUDITED, or AUDIT_FAILED
 *                   (counts as wrong), text = the lead's answer, which replaces a wrong one; or
 *                   ANSWERED: the task had gone up
 *   TRUTH           task_id, item, model, role, is_wrong: an answer against what the user knows
 *   CERTIFICATE     certificate; of a stage of a goal: its first task_id and item, text = its class
 *   JOB_DONE        -
 *   JOB_PARTIAL     reason, text = sentence; unfinished tasks are returned as they came; may resume
 *   JOB_FAILED      reason, text = sentence
 */
/* clang-format off */
#define ENX_RECORD_MAP(X) \
    X(JOB_OPENED, "job opened") X(GATED, "gated") \
    X(PLAN_ACCEPTED, "plan accepted") X(PLAN_REFUSED, "plan refused") \
    X(TASK_CREATED, "task created") X(CALL_INTENT, "call intent") X(CALL_RESULT, "call result") \
    X(CALL_LOST, "call lost") X(TASK_ROUTED, "task routed") X(TASK_ESCALATED, "task escalated") \
    X(TASK_ACCEPTED, "task accepted") X(TASK_ABSTAINED, "task abstained") \
    X(TASK_FAILED, "task failed") X(OFFER, "offer") X(LABEL, "label") X(TRUTH, "truth") \
    X(CERTIFICATE, "certificate") \
    X(JOB_DONE, "job done") X(JOB_PARTIAL, "job partial") X(JOB_FAILED, "job failed")
typedef enum enx_record_kind {
#define X(name, text) ENX_RECORD_##name,
    ENX_RECORD_MAP(X)
#undef X
    ENX_RECORD_COUNT
} enx_record_kind;

/* Why: one list for gates, acceptance, escalation, abstention, failure and ends of jobs. */
#define ENX_REASON_MAP(X) \
    X(NONE, "no reason") \
    X(CHECKED, "every check passed") \
    X(UNDAMAGED, "nothing to repair") \
    X(BLANK, "no text") \
    X(LEAD_CHECKED, "the lead's answer passed every check") \
    X(KEPT_WORKER, "the lead failed; the worker's answer passed its checks, but looks unsure") \
    X(WORKER_SURER, "lead and worker differ; the worker's answer is less likely wrong") \
    X(AUDITED, "compared with the lead's answer") \
    X(AUDIT_FAILED, "the audit failed and counts as wrong") \
    X(ANSWERED, "the lead answered in any case") \
    X(KNOWN, "the right answer is known, and the lead is measured by it") \
    X(NO_WORKER, "no worker knows the language") \
    X(NOT_ASKED, "the plan leaves this language out") \
    X(SCOUT_UNSURE, "language or damage is not clear") \
    X(RED_FLAG, "red flag") \
    X(ROUND_TRIP, "the answer does not reduce to the input") \
    X(SCHEMA, "the answer does not fit the schema") \
    X(CITATION, "what the answer cites is not in the input") \
    X(COMPUTE, "a condition on the answer does not hold") \
    X(REGEX, "a field does not look as it must") \
    X(COMMAND, "a command refuses the answer") \
    X(DISAGREE, "workers do not agree") \
    X(DOUBTED, "a model takes the answer for wrong") \
    X(CROSS, "the answer contradicts others") \
    X(LOW_CONFIDENCE, "the chance of an error is above the limit") \
    X(UNCERTIFIED, "outside the certified part") \
    X(ABSTAINED, "the model abstained") \
    X(REFUSED, "the model refused") \
    X(CALL_FAILED, "the call failed") \
    X(QUARANTINED, "set aside: its calls fail while others are answered") \
    X(TIMED_OUT, "the call timed out") \
    X(MODEL_OUT, "the worker answers nothing any more") \
    X(CHEAP, "the budget is nearly spent; no other model was asked") \
    X(HEDGED, "another call for the task was faster") \
    X(TOO_LONG, "the text is longer than a task may be") \
    X(FEW_ITEMS, "too few tasks for a swarm") \
    X(UNCHECKABLE, "no deterministic check") \
    X(NOT_CHEAPER, "the lead alone would cost no more") \
    X(WORKERS_DEAR, "workers cost as much as the lead") \
    X(CHECKS_DEAR, "to do and to check a task costs as much as the lead") \
    X(CHAIN, "each task would wait for the one before it") \
    X(NO_LEAD, "the swarm has no lead") \
    X(WIDE, "many tasks that can be checked") \
    X(ASKED, "asked for") \
    X(PLAN_SAYS, "the plan says so") \
    X(PLAN_REFUSED, "no acceptable plan") \
    X(NEEDS, "no task that it needs has an answer") \
    X(ABORTED, "a task failed that must not") \
    X(ASKS, "the lead asks the user") \
    X(BUDGET, "budget spent") \
    X(TIME, "time is up") \
    X(CANCELED, "canceled")
typedef enum enx_reason {
#define X(name, text) ENX_REASON_##name,
    ENX_REASON_MAP(X)
#undef X
    ENX_REASON_COUNT
} enx_reason;
/* clang-format on */

/* X(NAME, text) */
/* clang-format off */
#define ENX_CERTIFICATE_FORM_MAP(X) X(BATCH, "batch") X(STREAM, "stream")
typedef enum enx_certificate_form {
#define X(name, text) ENX_CERTIFICATE_##name,
    ENX_CERTIFICATE_FORM_MAP(X)
#undef X
    ENX_CERTIFICATE_FORM_COUNT
} enx_certificate_form;
/* clang-format on */

/* BATCH: "of `answers` answers, at most alpha are wrong against the reference, with confidence
 * 1 - delta", proved by `labels` random labels of which `wrong` were wrong.
 *
 * STREAM: of all `answers` answers of the class so far, and of the last `window`, at most alpha
 * are; what is proved now is `always` and `lately` (swarm/stream.h).  `population` answers are this
 * job's, `accepted` were delivered without a label, `labels` are audits, `wrong` of them found an
 * error. */
typedef struct enx_certificate_claim {
    enx_certificate_form form;
    bool                 is_certified; /* false: nothing was proved, alpha is 1 */
    double               alpha;
    double               delta;
    uint32_t             answers; /* that the claim speaks of */
    uint32_t population; /* that labels were drawn from; the others are the reference's own */
    uint32_t accepted;   /* target given: size of the largest certified part of the population */
    uint32_t labels;
    uint32_t wrong;
    double   always, lately; /* STREAM only, as all below */
    uint32_t window;
    uint32_t escalated;
    uint32_t drifts; /* times that what was learnt was forgotten */
} enx_certificate_claim;

/* What a record says of the stream that a job's answers are part of.  `stream` 0: nothing. */
typedef struct enx_record_offer {
    uint64_t stream;  /* its number in the store */
    uint64_t place;   /* of this event among its offers and labels: 1, 2, 3 ... */
    uint64_t number;  /* of the offer */
    uint32_t verdict; /* enx_stream_verdict */
    double   chance;  /* that it gets a label */
} enx_record_offer;

typedef struct enx_record {
    enx_record_kind       kind;
    uint64_t              seq; /* 1, 2, 3 ... within the job */
    uint64_t              job_id;
    uint64_t              time_us; /* of now_us */
    uint32_t              task_id; /* 0: the job itself */
    uint32_t              item;
    uint64_t              call_id;
    enx_role              role;
    uint32_t              model;
    uint32_t              attempt;
    enx_reason            reason;
    const char           *text; /* [text_bytes], never NULL, zero-terminated, may hold zeros */
    size_t                text_bytes;
    uint64_t              reserved_usd_nano;
    uint64_t              reserved_tokens;
    uint64_t              cost_usd_nano;
    uint64_t              fixed_usd_nano;
    enx_call_report       report;
    char                  language[ENX_LANGUAGE_BYTES_MAX];
    int32_t               level;
    uint32_t              kinds;
    double                error_chance;
    double                score; /* 1 - error_chance */
    uint32_t              check; /* place in the class's list, from 1; 0: none of these */
    enx_record_offer      offer;
    bool                  is_wrong;
    bool                  is_single;
    uint32_t              items;
    uint64_t              seed;
    uint64_t              fingerprint;
    enx_certificate_claim certificate;
} enx_record;

/* What calls took, or hold back. */
typedef struct enx_use {
    uint64_t usd_nano;
    uint64_t tokens;
    uint64_t calls;
    uint64_t time_us; /* of those that have ended, added up */
} enx_use;

/* What a plan may cost while no call has to be made again. */
typedef struct enx_swarm_outlay {
    uint32_t tasks;
    uint64_t usd_nano;    /* each task once, and the assembly */
    uint64_t up_usd_nano; /* on top, if every check asks and every task goes up */
} enx_swarm_outlay;

/* ---- The table ---------------------------------------------------------------------------- */

typedef struct enx_ports {
    void *self;

    /* Start a call.  It must not call back into the core; its report comes later.  A failure is
     * told by a report with ENX_CALL_ERROR, too. */
    void (*generate)(void *self, const enx_call *call);

    /* The core no longer waits for it.  A report that still comes settles the bill. */
    void (*cancel)(void *self, uint64_t call_id);

    /* Make records durable, all or none, before anything they say takes effect.  Anything but
     * ENX_OK stops the job where it is: start no call, tell the error, resume later by replay. */
    enx_status (*save)(void *self, const enx_record *records, size_t record_count,
                       enx_report *report);

    /* A check of kin TEXT of an answer to `call`.  On false a sentence is written to reason
     * [reason_bytes].  NULL: this job has no such checks. */
    bool (*check)(void *self, const enx_check *check, const enx_call *call, const char *answer,
                  size_t answer_bytes, char *reason, size_t reason_bytes);

    /* Can tasks of a class that a plan brings be done and checked here?  NULL: all can. */
    enx_status (*admit)(void *self, const enx_class *task_class, enx_report *report);

    /* May the job begin with this plan (JSON; "" where the class is given) and what it may cost?
     * NULL: yes. */
    bool (*approve)(void *self, const char *plan, const enx_swarm_outlay *sum);

    /* A check of kin CROSS over all accepted answers of a class: set is_bad [count] for those that
     * break it.  NULL: this job has no such checks. */
    void (*relate)(void *self, const enx_check *check, const enx_span *answers, uint32_t count,
                   bool *is_bad);

    /* What all calls of a class (NULL: all calls) that were admitted today have used or hold back,
     * but for those of this job since enx_swarm_start; and a number for today, from 1.  Until the
     * records that follow are saved, nobody else may take anything.  NULL: nothing is shared. */
    enx_status (*use_elsewhere)(void *self, const char *class_name, uint32_t *day, enx_use *out,
                                enx_report *report);

    /* Upper bounds for a call in tokens, so that the reserve is not wasteful: overwrite
     * call->max_tokens_in and max_tokens_out with smaller values that still bound the call from
     * above.  NULL: one token a byte is assumed. */
    void (*measure)(void *self, enx_call *call);

    uint64_t (*now_us)(void *self); /* monotonic */
    uint64_t (*random_u64)(void *self);
} enx_ports;

/* ---- Helpers on these types ---------------------------------------------------------------- */

/* ceil((in * price.in + cached * price.cached + out * price.out) / 1e6), UINT64_MAX on overflow. */
uint64_t enx_price_cost(const enx_price *price, const enx_usage_count *usage);
/* ceil((in + cached + out) * price.fixed / 1e6). */
uint64_t enx_price_fixed(const enx_price *price, const enx_usage_count *usage);

const char *enx_duty_text(enx_duty duty);
const char *enx_role_text(enx_role role);
const char *enx_call_status_text(enx_call_status status);
const char *enx_record_kind_text(enx_record_kind kind);
const char *enx_reason_text(enx_reason reason);
const char *enx_certificate_form_text(enx_certificate_form form);

/* The highest level that `kinds` holds: 0 (none) .. 3. */
int32_t enx_kinds_level(uint32_t kinds);

#endif /* ENX_SWARM_PORTS_H */
