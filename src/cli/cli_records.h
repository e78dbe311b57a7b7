/* SPDX-License-Identifier: Apache-2.0 */
/* cli_records.h - what a swarm's worker does, to be measured: many short answers under a grammar,
 * over one instruction.
 *
 * Prompts are made up, so that other programs can make up the same: token i of record r is
 * (7919 i + 104729 r + 17) modulo the vocabulary, and the instruction is record 0.
 *
 * Layer: cli.  Thread-safety: one owner thread.
 */
#ifndef ENX_CLI_CLI_RECORDS_H
#define ENX_CLI_CLI_RECORDS_H

#include "backend/loaded.h"
#include "engine/engine.h"

enum {
    CLI_RECORDS_MAX = 4096,
    CLI_RECORD_TOKENS = 200,
    CLI_RECORD_ANSWER_TOKENS = 128,
};

typedef struct cli_records_options {
    const enx_loaded *loaded;  /* borrowed, as all below */
    enx_engine       *engine;  /* without requests; a sequence holds what is asked */
    const char       *grammar; /* a file of GBNF */
    const uint32_t   *instruction;
    uint32_t          instruction_count;
    uint32_t          count; /* records, 1 to CLI_RECORDS_MAX */
    uint32_t          width; /* at a time, 1 to ENX_ENGINE_SLOTS_MAX */
    bool              asks;  /* the model is asked at every place where two tokens may come, and
                                says how sure it is: forced text comes in tokens of its choice */
    uint64_t (*now_us)(void);
} cli_records_options;

typedef struct cli_record_answer {
    enx_buf  text;
    uint32_t tokens[CLI_RECORD_ANSWER_TOKENS];  /* [token_count] */
    float    margins[CLI_RECORD_ANSWER_TOKENS]; /* [margin_count], of those that ask: by how much
                                                   the likeliest was ahead of the next, in natural
                                                   logs; INFINITY: one alone was allowed */
    uint32_t token_count, margin_count;         /* without and with the end's */
} cli_record_answer;

typedef struct cli_records_result {
    double   seconds; /* from the first record to the last answer, the instruction being known */
    uint64_t tokens_out;
    cli_record_answer *answers; /* [count], owned: cli_records_free */
    uint32_t           count;
} cli_records_result;

uint32_t cli_record_token(uint64_t record, uint64_t i, uint32_t vocab_count);

/* Answer all records, the likeliest way.  ENX_LIMIT: a record does not fit; the failures of reading
 * the grammar; ENX_NOMEM.  The zero value of a result is safe to free. */
ENX_MUST_USE enx_status cli_records_run(cli_records_result *out, const cli_records_options *options,
                                        enx_report *report);
void                    cli_records_free(cli_records_result *result);

#endif /* ENX_CLI_CLI_RECORDS_H */
