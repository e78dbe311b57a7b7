/* SPDX-License-Identifier: Apache-2.0 */
/* cli_records.c - as many records in the engine as may be, one mask for each place. */
#include "cli/cli_records.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "text/grammar.h"

#include <math.h>
#include <string.h>

enum { TOP = 2 }; /* a margin is between two */

/* A place in the engine: the record that has it, and its mask. */
typedef struct place {
    enx_mask  *mask;
    uint32_t   record;
    bool       is_taken;
    enx_likely top[CLI_RECORD_ANSWER_TOKENS * TOP];
} place;

typedef struct run {
    const cli_records_options *o;
    cli_records_result        *result;
    enx_grammar               *grammar;
    place                     *places; /* owned, [width] */
    uint32_t                  *prompt; /* owned: the instruction, a record behind it */
    uint32_t                   next;
    enx_status                 status;
    enx_report                *report;
} run;

uint32_t cli_record_token(uint64_t record, uint64_t i, uint32_t vocab_count)
{
    return (uint32_t)((7919 * i + 104729 * record + 17) % vocab_count);
}

static void take_margins(cli_record_answer *answer, const enx_likely *top, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, top += TOP)
        answer->margins[i] =
            top[1].token == ENX_TOKEN_NONE ? INFINITY : top[0].logprob - top[1].logprob;
    answer->margin_count = count;
}

static void on_answer(void *owner, const enx_generation *generation)
{
    run               *r = owner;
    place             *p = generation->user;
    const uint32_t     count = generation->token_count;
    cli_record_answer *answer = &r->result->answers[p->record];
    if (enx_loaded_decode(r->o->loaded, generation->tokens, count, &answer->text) != ENX_OK &&
        r->status == ENX_OK)
        r->status = ENX_FAIL(r->report, NOMEM, "no memory for an answer");
    answer->token_count = count;
    memcpy(answer->tokens, generation->tokens, count * sizeof *answer->tokens);
    if (r->o->asks) take_margins(answer, p->top, count + generation->has_eos);
    r->result->tokens_out += generation->usage.tokens_out;
    p->is_taken = false;
}

static enx_status submit(run *r, place *p)
{
    const cli_records_options *o = r->o;
    const uint32_t             vocab = enx_model_hparams(o->loaded->model)->vocab_count;
    p->record = r->next++;
    p->is_taken = true;
    for (uint32_t i = 0; i < CLI_RECORD_TOKENS; i++)
        r->prompt[o->instruction_count + i] = cli_record_token(p->record + 1, i, vocab);
    const enx_request request = { .prompt = r->prompt,
                                  .prompt_count = o->instruction_count + CLI_RECORD_TOKENS,
                                  .max_tokens = CLI_RECORD_ANSWER_TOKENS,
                                  .eos = enx_tokenizer_eos(o->loaded->tokenizer),
                                  .tokenizer = o->loaded->tokenizer,
                                  .mask = p->mask,
                                  .skips_forced = !o->asks,
                                  .top = o->asks ? p->top : NULL,
                                  .top_count = TOP,
                                  .user = p };
    return enx_engine_submit(o->engine, &request, NULL, r->report);
}

/* So that the first records do not pay for all. */
static enx_status learn_instruction(run *r)
{
    const enx_request request = { .prompt = r->prompt,
                                  .prompt_count = r->o->instruction_count,
                                  .max_tokens = 1,
                                  .eos = ENX_TOKEN_NONE };
    ENX_TRY(enx_engine_submit(r->o->engine, &request, NULL, r->report));
    while (enx_engine_step(r->o->engine, NULL, NULL) > 0) continue;
    return ENX_OK;
}

/* The engine takes no request from within a step here: a place that became free is filled after. */
static enx_status answer_all(run *r)
{
    uint32_t running = 0;
    do {
        for (uint32_t i = 0; i < r->o->width && r->next < r->o->count; i++)
            if (!r->places[i].is_taken) ENX_TRY(submit(r, &r->places[i]));
        running = enx_engine_step(r->o->engine, on_answer, r);
    } while (running > 0 || r->next < r->o->count);
    return r->status;
}

static enx_status open_grammar(run *r)
{
    enx_buf text;
    enx_buf_init(&text, ENX_GRAMMAR_BYTES_MAX);
    enx_status status = cli_read(&text, r->o->grammar, r->report);
    if (status == ENX_OK) {
        status = enx_grammar_open(&r->grammar, enx_buf_text(&text), text.size_bytes, r->report);
        if (status != ENX_OK) enx_report_wrap(r->report, "%s", r->o->grammar);
    }
    enx_buf_deinit(&text);
    return status;
}

static enx_status open_run(run *r)
{
    const cli_records_options *o = r->o;
    ENX_TRY(open_grammar(r));
    r->places = ENX_MEM_NEW(place, o->width);
    r->prompt = ENX_MEM_NEW(uint32_t, o->instruction_count + CLI_RECORD_TOKENS);
    r->result->answers = ENX_MEM_NEW(cli_record_answer, o->count);
    if (!r->places || !r->prompt || !r->result->answers)
        return ENX_FAIL(r->report, NOMEM, "no memory for %u records", o->count);
    r->result->count = o->count;
    for (uint32_t i = 0; i < o->count; i++)
        enx_buf_init(&r->result->answers[i].text, CLI_TEXT_BYTES_MAX);
    memcpy(r->prompt, o->instruction, o->instruction_count * sizeof *r->prompt);
    for (uint32_t i = 0; i < o->width; i++) {
        ENX_TRY(enx_mask_open(&r->places[i].mask, enx_grammar_automaton(r->grammar),
                              o->loaded->trie, o->loaded->tokenizer, r->report));
    }
    return ENX_OK;
}

enx_status cli_records_run(cli_records_result *out, const cli_records_options *options,
                           enx_report *report)
{
    run        r = { .o = options, .result = out, .report = report };
    enx_status status = open_run(&r);
    if (status == ENX_OK) status = learn_instruction(&r);
    const uint64_t start_us = options->now_us();
    if (status == ENX_OK) status = answer_all(&r);
    out->seconds = (double)(options->now_us() - start_us + 1) * 1e-6;
    if (status != ENX_OK) { /* masks are borrowed until their sequences are over */
        enx_engine_cancel_all(options->engine);
        while (enx_engine_step(options->engine, NULL, NULL) > 0) continue;
    }
    for (uint32_t i = 0; r.places && i < options->width; i++) enx_mask_close(&r.places[i].mask);
    enx_mem_free(r.places);
    enx_mem_free(r.prompt);
    enx_grammar_close(&r.grammar);
    return status;
}

void cli_records_free(cli_records_result *result)
{
    for (uint32_t i = 0; i < result->count; i++) enx_buf_deinit(&result->answers[i].text);
    enx_mem_free(result->answers);
    *result = (cli_records_result){ 0 };
}
