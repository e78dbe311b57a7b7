/* SPDX-License-Identifier: Apache-2.0 */
/* cli_job.h - one job from the command line: swarm core, models and store put together.
 *
 *     cli_job_open(&job, &settings, report);         // a new job, or one that goes on
 *     cli_job_run(job, items, count, report);        // until it ends, or Ctrl-C
 *     ... enx_swarm_result(job->swarm, i) ...
 *     cli_job_close(&job);
 *
 * Order of effects: reports are handed to the core, what it records is committed at once for all
 * reports of a turn, and only then its calls start.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_JOB_H
#define ENX_CLI_CLI_JOB_H

#include "backend/backend.h"
#include "check/judging.h"
#include "cli/cli.h"
#include "cli/cli_recipe.h"
#include "cli/cli_reuse.h"
#include "cli/cli_stream.h"
#include "sandbox/sandbox.h"
#include "store/store.h"
#include "swarm/swarm.h"

/* What a job is; kept as JSON in the store, so that it can go on later. */
typedef struct cli_job_settings {
    const char     *command; /* run, map */
    const char     *goal;
    const char     *mode;     /* swarm, workers, lead */
    bool            is_asked; /* ... for a swarm, by name: the gate does not say otherwise */
    double          up_share; /* enx_swarm_options; not kept */
    char            swarm[CLI_PATH_BYTES_MAX];
    double          accuracy;    /* 0: no target */
    double          confidence;  /* 0: .95 */
    cli_list        label_words; /* as they were given: a number, the name of a file */
    uint64_t        labels;      /* audits at most; 0 without target: none */
    char            labels_file[CLI_PATH_BYTES_MAX]; /* right answers (cli_labels.h); "": none */
    const enx_span *truths;                          /* of that file, one an item; not kept */
    uint64_t        vote_every; /* enx_swarm_options; found out when the job is new */
    char            vote_why[320];
    const char     *certificate; /* batch, stream; NULL: by the kind of job */
    double          budget_usd;  /* 0: no cap */
    uint64_t        threads;     /* 0: the swarm file's */
    uint64_t        seed;        /* of the audits; 0: by chance */
    const char     *plan;        /* JSON, or the path of a file with it; NULL: the lead writes it */
    char            in[CLI_PATH_BYTES_MAX]; /* map */
    char            out[CLI_PATH_BYTES_MAX];
    const char     *input_field, *output_field, *report_field;
    bool            is_dry;   /* say what it would cost, and do nothing */
    bool            asks;     /* before the first call: the plan and what it may cost */
    bool            says_yes; /* ... and the answer is known */
    double          seconds;  /* of caps */
    enx_budget_caps caps;     /* beside budget_usd; 0: none */
    json_t         *recipe;   /* what JOB.yaml says (cli_recipe.h); NULL: no such file */
    const char     *queue;    /* URL of a broker, instead of the swarm file's; NULL: that, if any */
    bool            is_fresh; /* answers of earlier jobs are not used */
    bool            is_weak;  /* commands of checks run in the weaker sandbox */
    bool            plans_only; /* stop, as by Ctrl-C, when there is a plan; not kept */
    json_t         *json;       /* owns the texts of a job that was read back; may be NULL */
} cli_job_settings;

enum { CLI_JOB_JUDGES_MAX = 64 };

/* Of one allowance: valid on that day, until another process writes to the store. */
typedef struct cli_job_use {
    uint32_t day;
    uint64_t changes;
    enx_use  use;
} cli_job_use;

typedef struct cli_job {
    uint64_t     id;
    bool         is_resumed;
    enx_store   *store;
    enx_config  *config;
    enx_backend *backend;
    enx_swarm   *swarm;
    enx_ports    ports;
    cli_recipe  *recipe;                     /* of a class; NULL: text is restored */
    enx_judge   *judges[CLI_JOB_JUDGES_MAX]; /* [judge_count], a class each */
    uint32_t     judge_count;
    enx_buf      graph; /* the plan for a goal that was given */
    cli_reuse   *reuse;
    cli_stream   certificate; /* of a class that goes on, if any */
    enx_sandbox *sandbox;     /* weak: from the start; else opened by the first check that
                              runs a command; or NULL */
    int          lock_fd;     /* -1: none */
    bool         is_grouped;
    bool         asks, says_yes;           /* of the settings */
    uint64_t     clock_offset_us;          /* wall less monotonic */
    uint64_t     replayed_seq;             /* the last record of earlier runs */
    cli_job_use  uses[ENX_ALLOWANCES_MAX]; /* what others use, as it was last read */
    bool         is_quiet, plans_only;
    const char  *votes; /* of the settings: whether they are used and why; "" or NULL: no votes */
    bool         has_votes;
    double       seconds;
} cli_job;

/* Options that `run` and `map` share. */
enum { CLI_JOB_OPTION_COUNT = 19 };
void cli_job_options(cli_option out[CLI_JOB_OPTION_COUNT], cli_job_settings *settings,
                     const char **swarm_path);
/* Judge what the user gave and find the swarm. */
ENX_MUST_USE enx_status cli_job_check(cli_job_settings *settings, const char *swarm_path,
                                      enx_report *report);

/* What a job's file says holds where the settings say nothing; texts are borrowed from it. */
void cli_job_take_recipe(cli_job_settings *settings, const cli_recipe *recipe);

/* The default store, and no more. */
ENX_MUST_USE enx_status cli_store_open(enx_store **out, enx_report *report);
/* Settings of a job in the store; release by cli_job_settings_close. */
ENX_MUST_USE enx_status cli_job_settings_get(enx_store *store, uint64_t id, cli_job_settings *out,
                                             enx_report *report);
void                    cli_job_settings_close(cli_job_settings *settings);
/* "12" as a number of a job. */
ENX_MUST_USE enx_status cli_job_id(const char *text, uint64_t *id, enx_report *report);

/* One process at a time works on a job: ENX_AGAIN. */
ENX_MUST_USE enx_status cli_job_lock(uint64_t id, int *fd, enx_report *report);

/* Open models and store.  `id` 0: a new job, whose `key` finds it again; `inputs` [input_count] of
 * `paths` are kept with it. */
typedef struct cli_job_input {
    const char *path;
    enx_span    content;
} cli_job_input;
/* Put a `run` or `map` into the store, under `key`, and no more: cli_job_open with its id begins
 * it. */
ENX_MUST_USE enx_status cli_job_add(enx_store *store, const cli_job_settings *settings,
                                    const char *key, const cli_job_input *inputs,
                                    size_t input_count, uint64_t *id, enx_report *report);
ENX_MUST_USE enx_status cli_job_open(cli_job **out, cli_job_settings *settings, uint64_t id,
                                     const char *key, const cli_job_input *inputs,
                                     size_t input_count, bool is_quiet, enx_report *report);
void                    cli_job_close(cli_job **job);

/* Is it any goal, that the lead plans as it likes?  Swarms with a scout restore text. */
bool cli_job_is_goal(const cli_job_settings *settings, const enx_config *config);

/* Run to the end of the job.  ENX_OK also for jobs that ended as partial or failed: see
 * cli_job_end. */
ENX_MUST_USE enx_status cli_job_run(cli_job *job, const cli_job_settings *settings,
                                    const enx_span *items, uint32_t item_count, enx_report *report);
/* ENX_OK, or why the job did not end well, with how to go on. */
enx_status              cli_job_end(const cli_job *job, enx_report *report);

/* What the job would cost, without a record of it: to stdout as JSON, or to stderr. */
ENX_MUST_USE enx_status cli_job_forecast(cli_job_settings *settings, const enx_span *items,
                                         uint32_t item_count, bool is_json, enx_report *report);

/* Everything but the answers: job, state, tasks, plan, certificate, bill, seconds. */
ENX_MUST_USE enx_status cli_job_json(cli_job *job, json_t **out, enx_report *report);
/* One answer: language, level, state, reason, model, escalated, error_chance. */
json_t                 *cli_answer_json(const cli_job *job, uint32_t item);
/* Certificate and bill on stderr. */
ENX_MUST_USE enx_status cli_job_print(cli_job *job, enx_report *report);

#endif /* ENX_CLI_CLI_JOB_H */
