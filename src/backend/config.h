/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - swarm.yaml: which models make a swarm, what they cost, when to ask the lead.
 *
 *     name: restore
 *     machine: {usd_per_hour: 0.08, param_tokens_per_s_in: 9e9, param_tokens_per_s_out: 3e9}
 *     lead: {model: lead.gguf}        # or a model behind an API:
 *     # lead:
 *     #   remote: {api: anthropic, url: https://api.anthropic.com/v1, model: NAME}
 *     #   usd_per_mtok_in: 3
 *     #   usd_per_mtok_out: 15
 *     scout: {model: scout.gguf}
 *     workers:
 *       - {model: pt_BR.gguf, specialty: [pt_BR]}
 *     # verifier: {model: judge.gguf}       # says yes or no where a job asks for it
 *     escalate: {above: {"1": 0.1, "2": 0.15, "3": 0.2}}      # or one number for all levels
 *     gate: {min_paragraphs: 4}
 *     amortize: {jobs: 10000}
 *     threads: 0
 *     caps:                           # of all jobs of a day, and of their tasks of one class
 *       day: {usd: 5, tokens: 50000000, calls: 100000, seconds: 7200}
 *       classes: [{class: packages, usd: 0.5}]
 *     queue: {url: nats://host:4222}  # scout and workers run on machines that joined there
 *
 * Everything but the models has a default.  Paths are relative to the folder of the file.
 *
 * Layer: backend.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_BACKEND_CONFIG_H
#define ENX_BACKEND_CONFIG_H

#include "base/buf.h"
#include "base/status.h"
#include "swarm/allowance.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_CONFIG_BYTES_MAX = 1 << 20,
    ENX_CONFIG_LEVELS = 4,
    ENX_CONFIG_SLOTS = 8, /* default: sequences that one engine runs at a time */
    ENX_CONFIG_REMOTE_SLOTS_MAX = 1024,
    ENX_CONFIG_CACHE_MB_MAX = 1 << 24,
    ENX_CONFIG_QUEUE_SLOTS = 256,
    ENX_CONFIG_QUEUE_SLOTS_MAX = 1 << 16,
};

/* A model behind an HTTP API (remote.h).  Times in seconds; 0 means the default everywhere. */
typedef struct enx_config_remote {
    char    *api; /* openai, anthropic */
    char    *url;
    char    *model;
    char    *key; /* name of an environment variable; NULL: the API's own; "none": no key */
    double   connect_s, first_byte_s, idle_s, total_s;
    uint32_t attempts;
    uint32_t requests_per_min;
    uint64_t tokens_per_min;
    uint32_t thinking_tokens; /* what it may think before an answer, in tokens */
    double  *error_chance;    /* taken for each of its answers; NULL: ENX_CONFIG_ERROR_CHANCE */
} enx_config_remote;

/* Log-probabilities of APIs are not calibrated, and many APIs have none. */
#define ENX_CONFIG_ERROR_CHANCE 0.05

/* One of `model` and `remote` in every model that there is. */
typedef struct enx_config_model {
    char              *model; /* path as written; NULL: none */
    enx_config_remote *remote;
    char              *family;    /* models that err together (votes count once); NULL: its own */
    char             **specialty; /* languages and classes of tasks of a worker */
    unsigned           specialty_count;
    double            *usd_per_mtok_in; /* NULL: from the machine's price and the model's size */
    double            *usd_per_mtok_out;
    double            *usd_per_mtok_cached; /* NULL: of a local model 0, of a remote one as _in */
    uint32_t           slots;    /* 0: ENX_CONFIG_SLOTS; of a remote model: requests in flight */
    char              *cache;    /* of keys and values: f16, f32 or q8; NULL: f16 */
    uint64_t           cache_mb; /* ... of one thread at most; 0: a context for each slot */
} enx_config_model;

typedef struct enx_config_machine {
    double   usd_per_hour;
    double   param_tokens_per_s_in;  /* parameters times tokens a second that it reads */
    double   param_tokens_per_s_out; /* ... that it writes */
    uint32_t cores;                  /* 0: as many as the process may use */
} enx_config_machine;

/* Where other machines take calls from (broker.h). */
typedef struct enx_config_queue {
    char    *url;
    char    *swarm;    /* its name there; NULL: ENX_BROKER_SWARM */
    char    *user;     /* NULL: none */
    char    *password; /* name of an environment variable */
    char    *nkey, *credentials, *tls_ca, *tls_cert, *tls_key; /* files */
    double   lease_s;                                          /* 0: the broker's default */
    uint32_t slots; /* calls of one model that may be under way; 0: ENX_CONFIG_QUEUE_SLOTS */
    bool     hedge; /* late calls are made a second time, for another machine */
} enx_config_queue;

typedef struct enx_config {
    char              *path; /* of the file */
    char              *name;
    enx_config_machine machine;
    enx_config_model   lead;
    enx_config_model   scout;
    enx_config_model   verifier;
    enx_config_model  *workers;
    unsigned           worker_count;
    double             escalate_above[ENX_CONFIG_LEVELS]; /* error chance, by level; 0: default */
    uint32_t           gate_min_paragraphs;               /* 0: default */
    uint32_t           amortize_jobs;
    uint32_t           threads;                        /* 0: one per core */
    enx_config_queue  *queue;                          /* NULL: models that are files run here */
    enx_allowance      allowances[ENX_ALLOWANCES_MAX]; /* what all jobs may use in a day */
    uint32_t           allowance_count;
    void              *loaded; /* private */
} enx_config;

/* ENX_NOTFOUND, ENX_FORMAT (file, line, what; an unknown key comes with the nearest known one),
 * ENX_INVALID (a value out of range), ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_config_open(enx_config **out, const char *path, enx_report *report);
void                    enx_config_close(enx_config **config);

/* Does the swarm have this model? */
bool enx_config_has(const enx_config_model *model);

/* The path of a model (with `model`) as this process can open it, appended to `out`. */
ENX_MUST_USE enx_status enx_config_model_path(const enx_config       *config,
                                              const enx_config_model *model, enx_buf *out);

/* Nano-dollars per million tokens of a model with `params` parameters.  The default of a local
 * model is usd_per_hour / 3600 * params / param_tokens_per_s, and cached tokens are free. */
enx_price enx_config_price(const enx_config *config, const enx_config_model *model,
                           uint64_t params);

/* One job's share of a model's training: CPU seconds at the hourly price by the cores that earn
 * it, over amortize.jobs; in nano-dollars, rounded up. */
uint64_t enx_config_fixed_usd_nano(const enx_config *config, double train_cpu_seconds);

#endif /* ENX_BACKEND_CONFIG_H */
