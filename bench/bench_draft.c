/* SPDX-License-Identifier: Apache-2.0 */
/* bench_draft.c - what a lead gains by a worker's answer as its draft.
 *
 *     bench_draft LEAD.gguf WORKER.gguf LANGUAGE < TEXTS       a text a line
 *
 * Texts are damaged first, in every way.  One CSV line: texts, tokens that the lead wrote; seconds
 * of processor time (one thread, one text at a time) that the worker took, the lead without drafts,
 * with drafts out of its prompt, and with the worker's answer; how many of the lead's answers were
 * the same each way.
 */
#include "backend/ask.h"
#include "plat/clock.h"
#include "text/damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 14, BATCH_TOKENS = 256 };

typedef enum way { PLAIN, FROM_PROMPT, FROM_WORKER, WAYS } way;

typedef struct program {
    enx_skill   skill;
    enx_engine *engine;
} program;

static void fail(const enx_report *report)
{
    fprintf(stderr, "bench_draft: %s\n", report->text);
    exit(EXIT_FAILURE);
}

static program open_program(const char *path)
{
    program    p = { 0 };
    enx_report report = { 0 };
    if (enx_skill_open(&p.skill, path, &report) != ENX_OK) fail(&report);
    const enx_engine_options options = { .model = p.skill.loaded.model,
                                         .slot_count = 1,
                                         .context_tokens = p.skill.context_tokens,
                                         .batch_tokens = BATCH_TOKENS };
    if (enx_engine_open(&p.engine, &options, &report) != ENX_OK) fail(&report);
    return p;
}

static void close_program(program *p)
{
    enx_engine_close(&p->engine);
    enx_skill_close(&p->skill);
}

static void on_generation(void *owner, const enx_generation *generation)
{
    (void)owner;
    enx_ask_take(generation->user, generation);
}

/* Run a call to its end; the caller closes the ask. */
static enx_ask *answer(program *p, const enx_call *call, bool drafts, double *seconds)
{
    enx_ask       *ask = NULL;
    enx_request    request;
    enx_report     report = { 0 };
    const uint64_t start_us = enx_clock_cpu_us();
    if (enx_ask_open(&ask, &p->skill, call, &report) != ENX_OK) fail(&report);
    while (enx_ask_next(ask, &request)) {
        request.drafts = drafts;
        if (enx_engine_submit(p->engine, &request, NULL, &report) != ENX_OK) fail(&report);
        while (enx_engine_step(p->engine, on_generation, NULL) > 0) continue;
    }
    *seconds += (double)(enx_clock_cpu_us() - start_us) * 1e-6;
    return ask;
}

static bool is_same(const enx_call_report *a, const enx_call_report *b)
{
    return a->answer_bytes == b->answer_bytes && memcmp(a->answer, b->answer, a->answer_bytes) == 0;
}

int main(int argc, char **argv)
{
    static char text[TEXT_BYTES_MAX];
    double      worker_s = 0, lead_s[WAYS] = { 0 };
    uint64_t    texts = 0, tokens = 0, same = 0;
    enx_buf     damaged;
    enx_report  report = { 0 };
    if (argc != 4) {
        fprintf(stderr, "usage: bench_draft LEAD.gguf WORKER.gguf LANGUAGE < TEXTS\n");
        return EXIT_FAILURE;
    }
    /* A lead each, so that none remembers what another read. */
    program worker = open_program(argv[2]), leads[WAYS];
    for (way w = PLAIN; w < WAYS; w++) leads[w] = open_program(argv[1]);
    enx_buf_init(&damaged, 4 * TEXT_BYTES_MAX);
    while (fgets(text, sizeof text, stdin)) {
        enx_buf_clear(&damaged);
        if (enx_damage_kinds(&damaged, text, strcspn(text, "\n"), ENX_KINDS_ALL, &report) != ENX_OK)
            fail(&report);
        enx_call call = { .what = "restore",
                          .role = ENX_ROLE_WORK,
                          .goal = "",
                          .input = enx_buf_text(&damaged),
                          .input_bytes = damaged.size_bytes,
                          .level = 3,
                          .kinds = ENX_KINDS_ALL,
                          .max_tokens_in = UINT32_MAX,
                          .max_tokens_out = UINT32_MAX };
        snprintf(call.language, sizeof call.language, "%s", argv[3]);
        enx_ask              *draft = answer(&worker, &call, true, &worker_s), *asks[WAYS];
        const enx_call_report said = enx_ask_report(draft);
        call.role = ENX_ROLE_LEAD;
        for (way w = PLAIN; w < WAYS; w++) {
            call.guess = w == FROM_WORKER ? said.answer : NULL;
            call.guess_bytes = w == FROM_WORKER ? said.answer_bytes : 0;
            asks[w] = answer(&leads[w], &call, w != PLAIN, &lead_s[w]);
        }
        const enx_call_report plain = enx_ask_report(asks[PLAIN]);
        const enx_call_report prompt = enx_ask_report(asks[FROM_PROMPT]);
        const enx_call_report drafted = enx_ask_report(asks[FROM_WORKER]);
        same += is_same(&plain, &prompt) && is_same(&plain, &drafted);
        tokens += plain.usage.tokens_out;
        texts++;
        for (way w = PLAIN; w < WAYS; w++) enx_ask_close(&asks[w]);
        enx_ask_close(&draft);
    }
    printf("texts,tokens_out,worker_s,plain_s,prompt_s,worker_drafts_s,same\n"
           "%llu,%llu,%.2f,%.2f,%.2f,%.2f,%llu\n",
           (unsigned long long)texts, (unsigned long long)tokens, worker_s, lead_s[PLAIN],
           lead_s[FROM_PROMPT], lead_s[FROM_WORKER], (unsigned long long)same);
    enx_buf_deinit(&damaged);
    for (way w = PLAIN; w < WAYS; w++) close_program(&leads[w]);
    close_program(&worker);
    return EXIT_SUCCESS;
}
