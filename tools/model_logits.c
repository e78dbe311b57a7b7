/* SPDX-License-Identifier: Apache-2.0 */
/* model_logits.c - the log-probabilities of every token at each of COUNT places, and the greedy
 * text, as binary numbers for programs that compare.
 *
 *     model_logits MODEL.gguf COUNT GREEDY > FILE
 *     model_logits MODEL.gguf COUNT exact > FILE      in doubles, without any rounding on the way
 *     model_logits MODEL.gguf COUNT wide > FILE       with keys and values in f32, no greedy text
 *
 * The text is that of model_token() below.  f32 [COUNT][vocabulary], then u32 [GREEDY]: the
 * likeliest token after the text, and so on.
 */
#include "model/forward.h"
#include "model/model_file.h"
#include "slow_forward.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLACES_MAX = 4096 };

static uint32_t model_token(uint32_t i, uint32_t vocab_count)
{
    return (i * 37 + 11) % vocab_count;
}

static void run_row(enx_forward *forward, const enx_row *row, float *logits)
{
    enx_forward_run(forward, row, 1);
    enx_forward_logits(forward, &(uint32_t){ 0 }, 1, logits);
}

/* The text is run as one batch: the numbers are those of one row at a time. */
static void score(enx_forward *forward, uint32_t count, uint32_t vocab, float *logits)
{
    static enx_row rows[PLACES_MAX];
    for (uint32_t i = 0; i < count; i++)
        rows[i] = (enx_row){ model_token(i, vocab), 0, i, true, false };
    enx_forward_run(forward, rows, count);
    for (uint32_t i = 0; i < count; i++) {
        enx_forward_logits(forward, &i, 1, logits);
        const float sum = enx_forward_kernels(forward)->log_sum_exp(logits, vocab);
        for (uint32_t t = 0; t < vocab; t++) {
            const float logprob = logits[t] - sum;
            fwrite(&logprob, sizeof logprob, 1, stdout);
        }
    }
}

static void score_exactly(const enx_gguf *gguf, const enx_hparams *hparams, uint32_t count)
{
    slow_forward slow;
    double      *logits = ENX_MEM_NEW(double, hparams->vocab_count);
    slow_open(&slow, gguf, hparams);
    slow.is_exact = true;
    for (uint32_t i = 0; i < count; i++) {
        double sum = 0;
        slow_step(&slow, model_token(i, hparams->vocab_count), logits);
        for (uint32_t t = 0; t < hparams->vocab_count; t++) sum += exp(logits[t]);
        for (uint32_t t = 0; t < hparams->vocab_count; t++) {
            const float logprob = (float)(logits[t] - log(sum));
            fwrite(&logprob, sizeof logprob, 1, stdout);
        }
    }
    slow_close(&slow);
    enx_mem_free(logits);
}

static enx_status score_fast(const enx_model *model, uint32_t count, uint32_t greedy, bool is_wide,
                             enx_report *report)
{
    enx_forward              *forward = NULL;
    const enx_forward_options options = { .model = model,
                                          .slot_count = 1,
                                          .context_tokens = count + greedy,
                                          .batch_tokens = count,
                                          .cpu_flags = enx_cpu_detect(getenv("ENX_CPU")),
                                          .cache = is_wide ? ENX_KV_F32 : ENX_KV_F16 };
    ENX_TRY(enx_forward_open(&forward, &options, report));
    const uint32_t vocab = enx_model_hparams(model)->vocab_count;
    float         *logits = ENX_MEM_NEW(float, vocab);
    if (!logits) {
        enx_forward_close(&forward);
        return ENX_FAIL(report, NOMEM, "no memory for logits");
    }
    score(forward, count, vocab, logits);
    for (uint32_t i = 0; i < greedy; i++) {
        const uint32_t token = (uint32_t)enx_forward_kernels(forward)->argmax(logits, vocab);
        fwrite(&token, sizeof token, 1, stdout);
        run_row(forward, &(enx_row){ token, 0, count + i, true, false }, logits);
    }
    enx_mem_free(logits);
    enx_forward_close(&forward);
    return ENX_OK;
}

static enx_status run(const char *path, uint32_t count, uint32_t greedy, const char *how,
                      enx_report *report)
{
    enx_model_file file = { 0 };
    enx_model     *model = NULL;
    const bool     is_exact = strcmp(how, "exact") == 0, is_wide = strcmp(how, "wide") == 0;
    enx_status     status = enx_model_file_open(&file, path, report);
    if (status == ENX_OK) status = enx_model_open(&model, file.gguf, report);
    if (status == ENX_OK && is_exact) score_exactly(file.gguf, enx_model_hparams(model), count);
    if (status == ENX_OK && !is_exact) status = score_fast(model, count, greedy, is_wide, report);
    enx_model_close(&model);
    enx_model_file_close(&file);
    return status;
}

int main(int argc, char **argv)
{
    const unsigned long count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    const unsigned long greedy = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    enx_report          report = { 0 };
    if (count < 1 || count > PLACES_MAX || greedy > PLACES_MAX) {
        fprintf(stderr, "usage: model_logits MODEL.gguf COUNT GREEDY > FILE\n");
        return 64;
    }
    if (run(argv[1], (uint32_t)count, (uint32_t)greedy, argv[3], &report) == ENX_OK) return 0;
    fprintf(stderr, "model_logits: %s\n", report.text);
    return 1;
}
