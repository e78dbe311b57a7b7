/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - many sequences through one pass of the weights.
 *
 * Requests are submitted, each call of enx_engine_step() runs one batch (prompt tokens of new
 * sequences and one token of each running one), and finished generations come out through a
 * callback.  Tokens in, tokens out: text, prices and prompts are other people's business.
 *
 * Sequences that begin with the same tokens, at the same time or one after the other, are evaluated
 * for them once, and hold their keys and values once (prefix.h); usage.tokens_cached says for how
 * many.  What sequences leave behind is forgotten, the longest unused first, when memory is needed.
 *
 * The tokens of a request depend on the model and the request alone, not on what else is in the
 * batch, nor on the number of threads: every row of every product is summed in one fixed order.
 *
 * Memory is taken when the engine opens; a step allocates nothing.
 *
 * Layer: engine.  Thread-safety: one owner thread; several engines may share one model.
 */
#ifndef ENX_ENGINE_ENGINE_H
#define ENX_ENGINE_ENGINE_H

#include "base/status.h"
#include "model/kv.h"
#include "model/model.h"
#include "model/profile.h"
#include "plat/pool.h"
#include "text/mask.h"

#include <stdint.h>

enum {
    ENX_ENGINE_SLOTS_MAX = 256,
    ENX_ENGINE_CONTEXT_MAX = 1 << 17,
    ENX_ENGINE_BATCHES = 11, /* sizes of steps that are told apart: to 512 rows, and more */
};

typedef struct enx_engine enx_engine;

typedef struct enx_engine_options {
    const enx_model *model;          /* borrowed */
    uint32_t         slot_count;     /* sequences at a time; 0: 16 */
    uint32_t         context_tokens; /* prompt + output of one sequence; 0: the model's own */
    uint32_t         batch_tokens;   /* rows of one pass; 0: 128, more where many decode */
    enx_pool        *pool;           /* borrowed, may be NULL: one thread */
    const char      *cpu;            /* cap on the kernels, as of enx_cpu_detect; NULL: none */
    enx_kv_type      cache; /* of keys and values: F32 rounds nothing and takes twice the memory of
                               F16, Q8 half of it */
    uint32_t         cache_tokens; /* positions that keys and values of all sequences together may
                                      fill, running ones and those that are only remembered; 0:
                                      slot_count times context_tokens */
    uint64_t         cache_bytes;  /* the same as a size, but never less than one context; of the
                                      two the smaller counts; 0: none */
    enx_profile     *profile;      /* borrowed, of the model's layers: where time goes; NULL */
} enx_engine_options;

/* A token that could have come, with the natural log of its probability among those the mask
 * allowed, at temperature 1, before the chain of samplers.  ENX_TOKEN_NONE: fewer were allowed. */
typedef struct enx_likely {
    uint32_t token;
    float    logprob;
} enx_likely;

/* Added to the logit of a token; -INFINITY: it never comes. */
typedef struct enx_bias {
    uint32_t token;
    float    value;
} enx_bias;

/* What each does, and in which order: sampler.h.  The zero value is greedy. */
typedef struct enx_sampling {
    float           temperature;    /* 0: the likeliest of what is left, ties to the smaller id */
    uint32_t        top_k;          /* 0: off */
    float           typical_p;      /* 0 or 1: off */
    float           top_p;          /* 0 or 1: off */
    float           min_p;          /* 0: off */
    float           repeat_penalty; /* 0 or 1: off; at least 0 */
    float           frequency_penalty; /* 0: off */
    float           presence_penalty;  /* 0: off */
    uint32_t        repeat_last;       /* tokens, of prompt and output, that penalties look at */
    const enx_bias *biases;            /* borrowed until finished; may be NULL */
    uint32_t        bias_count;
    float           dry_multiplier;    /* 0: off */
    float           dry_base;          /* at least 1 */
    uint32_t        dry_allowed;       /* tokens that may be repeated for nothing; at least 1 */
    uint32_t        dry_last;          /* tokens that it looks at; 0: all */
    const uint32_t *dry_breakers;      /* rising tokens that no repetition goes across; borrowed */
    uint32_t        dry_breaker_count; /* until finished */
    uint64_t        seed;
} enx_sampling;

typedef enum enx_finish {
    ENX_FINISH_STOP,   /* eos, or a mask that allowed nothing but the end */
    ENX_FINISH_LENGTH, /* max_tokens or the context is used up */
    ENX_FINISH_STUCK,  /* the mask allowed no token at all, or refused a forced one */
    ENX_FINISH_CANCELED,
} enx_finish;

typedef struct enx_usage {
    uint64_t tokens_in;     /* prompt and forced tokens that were evaluated; the last forced one is
                               not when nothing is sampled after it */
    uint64_t tokens_cached; /* of the prompt, that another sequence was evaluated for */
    uint64_t tokens_out;    /* sampled, eos included */
} enx_usage;

/* One generation.  Everything is borrowed and valid during the callback only. */
typedef struct enx_generation {
    uint64_t        id;
    void           *user;
    const uint32_t *tokens;   /* forced ones first, then sampled; without eos */
    const float    *logprobs; /* [token_count + has_eos] natural log of the probability of each
                                 token among those the mask allowed, at temperature 1 */
    const uint32_t *best;     /* same length: the most likely allowed token at each place */
    uint32_t        token_count;
    bool            has_eos; /* then logprobs[token_count], best[token_count] are its */
    enx_finish      finish;
    enx_usage       usage;
} enx_generation;

/* May submit new requests: its own slot becomes free when it returns. */
typedef void (*enx_generation_fn)(void *owner, const enx_generation *generation);
/* Called after each sampled token but eos of a request that asked for it (streaming), within
 * submit() too where a mask leaves no choice.  It must not call the engine. */
typedef void (*enx_token_fn)(void *user, uint32_t token, float logprob);

typedef struct enx_request {
    const uint32_t      *prompt; /* borrowed for the call of submit; at least one token */
    uint32_t             prompt_count;
    uint32_t             priority; /* of those that wait for their prompt, larger ones go first */
    uint64_t             job;      /* at one priority, jobs get as many rows as each other */
    const uint32_t      *forced;   /* the output's given beginning, scored too; may be NULL */
    uint32_t             forced_count;
    uint32_t             max_tokens; /* sampled ones at most; 0 only scores the forced */
    uint32_t             eos;        /* ENX_TOKEN_NONE: none; with a mask, the tokenizer's.  Ends a
                                        forced output too */
    const enx_tokenizer *tokenizer;  /* borrowed until finished; its end tokens count as eos too;
                                        NULL: eos alone does */
    enx_sampling         sampling;
    enx_mask            *mask; /* borrowed until finished; NULL: everything goes.  Reset by the
                                  engine; forced tokens are stepped through it too */
    bool skips_forced;         /* text that the mask leaves no choice about comes without a step, as
                                  the longest tokens of it: its probability is 1, though several
                                  tokens could have begun it; not with biases */
    bool drafts;           /* where rows are to spare, guess at what comes next and judge several
                              tokens in one pass (draft.h): the same tokens and probabilities */
    const uint32_t *guess; /* [guess_count], borrowed until finished: what the output may be like,
                              instead of the prompt, to guess from; may be NULL */
    uint32_t        guess_count;
    enx_likely     *top; /* [max_tokens][top_count], borrowed until finished: the likeliest at each
                            sampled place, eos included, in falling order; NULL: not wanted */
    uint32_t        top_count;
    enx_token_fn    on_token; /* may be NULL */
    void           *user;
} enx_request;

/* ENX_NOMEM with the size that was needed; ENX_LIMIT. */
ENX_MUST_USE enx_status enx_engine_open(enx_engine **out, const enx_engine_options *options,
                                        enx_report *report);
void                    enx_engine_close(enx_engine **engine);

/* ENX_AGAIN: every slot is taken, or the memory for keys and values; step first.  ENX_LIMIT: prompt
 * + forced + 1 > context, or prompt + forced + max_tokens > cache_tokens (numbers in the text).
 * ENX_INVALID: empty prompt or a token outside the vocabulary. The id is written to *id (may be
 * NULL). */
ENX_MUST_USE enx_status enx_engine_submit(enx_engine *engine, const enx_request *request,
                                          uint64_t *id, enx_report *report);
/* The sequence finishes as CANCELED at the next step; unknown ids are ignored. */
void                    enx_engine_cancel(enx_engine *engine, uint64_t id);
void                    enx_engine_cancel_all(enx_engine *engine);
/* From any thread: a step that is under way ends after the layer that it is in, without result, and
 * what it was to evaluate comes again in the next one. */
void                    enx_engine_interrupt(enx_engine *engine);

/* A paused sequence keeps its slot and takes no part in steps, until it goes on or is canceled; it
 * gives the same tokens as one that was never paused.  Unknown ids are ignored. */
void enx_engine_pause(enx_engine *engine, uint64_t id, bool is_paused);

/* Run one batch; calls `on_done` for each generation that finished.  Returns the number of
 * sequences still running or waiting (0: idle). */
uint32_t enx_engine_step(enx_engine *engine, enx_generation_fn on_done, void *owner);

/* What happened since open. */
typedef struct enx_engine_counts {
    uint64_t steps;
    uint64_t rows;      /* that went through the model */
    uint64_t tokens_in; /* of all requests: as enx_usage has them */
    uint64_t tokens_cached;
    uint64_t tokens_out;
    uint64_t forced;      /* of tokens_out, without logits: the mask left no choice */
    uint64_t drafted;     /* tokens that were guessed */
    uint64_t accepted;    /* of these, right */
    uint64_t requests;    /* finished */
    uint64_t canceled;    /* of these */
    uint64_t refused;     /* submissions that were told to come again */
    uint64_t keys_read;   /* positions, a layer, each once for all rows that share it */
    uint64_t keys_seen;   /* the same, once a row */
    uint64_t prefix_hits; /* requests of whose prompt a part was evaluated for another */
    uint64_t evicted;     /* pages that were remembered, and gave way */
    uint64_t
        batches[ENX_ENGINE_BATCHES]; /* steps of at most 1, 2, 4, 8 … rows; the last: of more */
    uint32_t sequences;              /* now: running */
    uint32_t pages;                  /* all, of 16 positions */
    uint32_t pages_free;             /* now: neither held nor remembered */
    uint32_t pages_remembered;
} enx_engine_counts;

enx_engine_counts enx_engine_count(const enx_engine *engine);

uint32_t enx_engine_free_slots(const enx_engine *engine);
uint32_t enx_engine_context_tokens(const enx_engine *engine);
/* Of the keys and values of 16 positions. */
uint64_t enx_engine_page_bytes(const enx_engine *engine);
/* Bytes taken at open: KV pages, activations, lists. */
uint64_t enx_engine_memory_bytes(const enx_engine *engine);

#endif /* ENX_ENGINE_ENGINE_H */
