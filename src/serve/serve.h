/* SPDX-License-Identifier: Apache-2.0 */
/* serve.h - models in service over HTTP: the APIs of OpenAI and Anthropic, and our own.
 *
 *     enx_serve_open(&serve, &options, report);
 *     while (!stopped) { sleep; enx_serve_tick(serve); }
 *     enx_serve_drain(serve, 30); enx_serve_close(&serve);
 *
 * Threads: one for HTTP, which parses and routes; one for each model of this machine (host.h), one
 * for all models behind APIs (away.h), one for jobs (jobs.h).  They meet in replies only.
 *
 * Layer: serve.  Thread-safety: one owner thread; `log` is called on any.
 */
#ifndef ENX_SERVE_SERVE_H
#define ENX_SERVE_SERVE_H

#include "backend/backend.h"
#include "backend/broker.h"
#include "serve/jobs.h"
#include "serve/keys.h"

enum {
    ENX_SERVE_MODELS_MAX = ENX_ROSTER_MODELS_MAX,
    ENX_SERVE_HEADER_BYTES = 16 << 10,
    ENX_SERVE_BODY_BYTES = 16 << 20,
    ENX_SERVE_CONNECTIONS = 2048,
    ENX_SERVE_WAITING = 1024,
    ENX_SERVE_TOKENS = 32768,
    ENX_SERVE_SECONDS = 600,
    ENX_SERVE_IDLE_S = 75,
    ENX_SERVE_ARRIVE_S = 30,
};

/* 0 means the default everywhere. */
typedef struct enx_serve_limits {
    uint32_t header_bytes, body_bytes;
    uint32_t connections, connections_each; /* each: of one address; default: all of them */
    uint32_t waiting;                       /* requests of one model that wait for a slot */
    uint32_t tokens;                        /* of one answer */
    uint32_t seconds;                       /* of one request, waiting included */
    uint32_t idle_s;                        /* without a byte in either direction */
    uint32_t arrive_s;                      /* for a request to come in */
} enx_serve_limits;

typedef struct enx_serve_model {
    const char             *name;
    const char             *duty; /* lead, scout, worker, or "" */
    const char             *path; /* of a model of this machine; NULL: `remote` */
    const enx_remote_model *remote;
    bool                    has_price;
    const enx_config       *config;       /* whose machine's price counts; NULL: none */
    const enx_config_model *config_model; /* NULL: none */
    const char             *form;         /* chat template; NULL: its own; borrowed for open */
    size_t                  form_bytes;
    const char             *form_name; /* for messages; NULL: none */
} enx_serve_model;

typedef struct enx_serve_options {
    const char               *host; /* NULL: 127.0.0.1 */
    uint16_t                  port;
    const char               *tls_cert, *tls_key; /* PEM texts; NULL: no TLS */
    const char               *cors;   /* the origin that may call from a browser; NULL: none */
    enx_keys                 *keys;   /* borrowed; NULL: everybody may ask */
    const enx_serve_model    *models; /* [model_count], borrowed until close */
    uint32_t                  model_count;
    uint32_t                  slots, context_tokens, threads; /* of each model of this machine */
    enx_kv_type               cache;                          /* ... its keys and values */
    uint64_t                  cache_bytes; /* ... at most; 0: a context for each slot */
    const char               *cpu;
    uint64_t                  salt;                    /* by chance */
    const char               *swarm_name, *swarm_path; /* NULL: no swarm, no jobs */
    enx_jobs_options          jobs;
    const enx_broker_options *queue; /* borrowed until close; NULL: no other machines */
    const char               *law;   /* picture (SVG) of a law, borrowed until close; NULL: none */
    size_t                    law_bytes;
    enx_serve_limits          limits;
    bool is_private;       /* no socket, files and batches: only enx_serve_ask asks */
    bool is_context_exact; /* of host.h */
    /* A line of the access log, JSON without a line break; NULL: none is kept. */
    void (*log)(void *user, const char *line);
    /* What each question came to, before its reply ends; on any thread; may be NULL. */
    void (*told)(void *user, const enx_turn_bill *bill);
    void *user;
} enx_serve_options;

typedef struct enx_serve enx_serve;

/* ENX_INVALID: an address that is not this machine's alone, without keys; two models of one name;
 * else the failures of models, keys, sockets and the store. */
ENX_MUST_USE enx_status enx_serve_open(enx_serve **out, const enx_serve_options *options,
                                       enx_report *report);
/* 0: none. */
uint16_t                enx_serve_port(const enx_serve *serve);
/* Ask as a client would, from this process: the answer is that of a chat completion, whole or
 * streamed.  Takes the question; `messages` are as question.h has them. */
void                    enx_serve_ask(enx_serve *serve, enx_question *question, enx_reply *reply);
/* A model of this machine; NULL: it is behind an API, or there is none of this name. */
const enx_loaded       *enx_serve_loaded(const enx_serve *serve, const char *name);
/* Tokens of a conversation with it; 0: not known. */
uint32_t                enx_serve_context_tokens(const enx_serve *serve, const char *name);
bool                    enx_serve_can_chat(const enx_serve *serve, const char *name);
/* About once a second: slow clients, sums of keys. */
void                    enx_serve_tick(enx_serve *serve);
/* Take no new connections and wait until every request is answered, at most so long.  False: some
 * are not. */
bool                    enx_serve_drain(enx_serve *serve, uint32_t seconds_max);
void                    enx_serve_close(enx_serve **serve);

#endif /* ENX_SERVE_SERVE_H */
