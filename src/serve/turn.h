/* SPDX-License-Identifier: Apache-2.0 */
/* turn.h - one question while it is answered: from tokens to the bytes of an API.
 *
 * Who answers (host.h, away.h, jobs.h) pushes what it gets, answer by answer, and says how each
 * ended; the turn takes it apart (answer.h), has the voice write it, and pushes that to the reply.
 *
 *     enx_turn_open(&turn, question, reply, voice, ...)
 *     enx_turn_start(turn, is_thinking, report)
 *     enx_turn_push(turn, 0, "Hel", 3) ... enx_turn_finish(turn, 0, ENX_END_STOP)
 *     enx_turn_close(&turn)                    // or enx_turn_fail before it
 *
 * Layer: serve.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_SERVE_TURN_H
#define ENX_SERVE_TURN_H

#include "engine/engine.h"
#include "serve/answer.h"
#include "serve/reply.h"
#include "swarm/ports.h"

typedef struct enx_turn  enx_turn;
typedef struct enx_voice enx_voice;

typedef enum enx_end {
    ENX_END_NONE,
    ENX_END_STOP,   /* of the model's own accord, or a stop text */
    ENX_END_LENGTH, /* tokens or context used up */
    ENX_END_STUCK,  /* a grammar that cannot go on */
    ENX_END_REFUSED,
} enx_end;

/* What is known of one token. */
typedef struct enx_token_note {
    uint32_t token;
    float    logprob;
} enx_token_note;

typedef struct enx_turn_answer {
    enx_answer      answer;
    enx_turn       *turn;
    enx_end         end;
    bool            is_open;
    enx_buf         notes; /* enx_token_note each */
    uint32_t        notes_told;
    enx_likely     *top; /* owned: [max_tokens][question->top_count]; NULL: none */
    enx_usage_count usage;
    uint64_t        tokens_thought;
} enx_turn_answer;

/* Told once, when a turn closes: for bills, limits and figures. */
typedef struct enx_turn_bill {
    enx_usage_count usage; /* of all answers; the prompt counts once */
    uint64_t        cost_usd_nano;
    uint64_t        wait_us, read_us, write_us;
    enx_end         end; /* of the first answer */
    bool            is_failed;
} enx_turn_bill;
typedef void (*enx_turn_bill_fn)(void *user, const enx_turn *turn, const enx_turn_bill *bill);

struct enx_turn {
    enx_question        *question; /* owned */
    enx_reply           *reply;    /* a reference */
    const enx_voice     *voice;
    char                 id[ENX_ANSWER_ID_BYTES]; /* without the API's prefix */
    uint64_t             created_s;
    const char          *model; /* borrowed */
    enx_price            price;
    bool                 has_price;
    uint64_t             more_usd_nano; /* what it cost beside its tokens at that price */
    const enx_tokenizer *tokenizer;     /* of the notes; NULL: there are none */
    enx_turn_answer      answers[ENX_QUESTION_ANSWERS_MAX];
    uint32_t             answer_count, open_count;
    uint64_t             prompt_tokens; /* with the cached ones; shared by all answers */
    uint64_t             asked_us, started_us, first_us, ended_us;
    json_t              *extra;       /* owned: for the field `enxame`; NULL: figures only */
    const char          *early_extra; /* JSON of `enxame` in the first chunk; "" none; borrowed */
    bool                 has_started, is_failed;
    enx_buf              out;   /* what the voice writes next */
    enx_buf              head;  /* the part of its events that never changes */
    int                  block; /* of voices with blocks: the one that is open, from 0; -1 none */
    int                  block_kind, block_count;
    uint64_t             sequence;
    enx_turn_bill_fn     on_bill;
    void                *user;
    bool                 gathers;                    /* whoever answers flushes the reply */
    const void          *asker;                      /* whatever the asker is known by */
    uint64_t             held_usd_nano, held_tokens; /* of the asker's budget, until the bill */
};

typedef struct enx_turn_options {
    const enx_voice *voice;
    const char      *model;
    uint64_t         number; /* of the server: ids are made of it */
    enx_turn_bill_fn on_bill;
    void            *user;
    const void      *asker;
} enx_turn_options;

/* Takes the question, and holds the reply.  NULL: no memory; then both are as before. */
enx_turn *enx_turn_open(enx_question *question, enx_reply *reply, const enx_turn_options *options);
/* Ends the reply if it has not ended, tells the bill, frees. */
void      enx_turn_close(enx_turn **turn);

/* Before the first push. */
ENX_MUST_USE enx_status enx_turn_start(enx_turn *turn, bool is_thinking, enx_report *report);
void enx_turn_push(enx_turn *turn, uint32_t index, const char *bytes, size_t size_bytes);
void enx_turn_note(enx_turn *turn, uint32_t index, uint32_t token, float logprob);
void enx_turn_finish(enx_turn *turn, uint32_t index, enx_end end);
/* An error in the voice's shape: as the whole response, or as the stream's last event. */
void enx_turn_fail(enx_turn *turn, const enx_report *why);

/* Nothing that comes for this answer is wanted: its stop text came, or the client is gone. */
bool enx_turn_is_over(const enx_turn *turn, uint32_t index);

enx_turn_bill enx_turn_bill_get(const enx_turn *turn);
/* The field `enxame`; owned by the caller. */
json_t       *enx_turn_extra(const enx_turn *turn);

/* The HTTP status that tells of a failure. */
int enx_status_http(enx_status status);

#endif /* ENX_SERVE_TURN_H */
