/* SPDX-License-Identifier: Apache-2.0 */
/* bench_engine.c - tokens per second of prefill and of decoding at 1, 4, 16 and 64 sequences.
 *
 *     bench_engine [lead|worker|FILE.gguf] [--threads N] [--prompt N] [--output N]
 *
 * One CSV line: what, parameters, threads, prefill, then decoding at each width.  A random model
 * has the arithmetic of a real one.  Each figure is the median of five runs; decoding scores the
 * whole vocabulary (a mask makes it cheaper).
 *
 * With one thread, time is the processor's time of this process, so that other programs on the
 * machine count little; with more it is the clock on the wall.
 */
#include "engine/engine.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "tiny_model.h"

#include <stdlib.h>

enum { RUNS = 5, WIDTHS = 4, SLOTS = 64, PROMPT_MAX = 4096 };

static const uint32_t widths[WIDTHS] = { 1, 4, 16, SLOTS };

static const tiny_options lead = { .type = ENX_TENSOR_Q8_0,
                                   .vocab = 8192,
                                   .width = 320,
                                   .layers = 8,
                                   .heads = 10,
                                   .kv_heads = 10,
                                   .head_width = 32,
                                   .ffn = 864,
                                   .context = 512,
                                   .seed = 1 };
static const tiny_options worker = { .type = ENX_TENSOR_Q8_0,
                                     .vocab = 2048,
                                     .width = 128,
                                     .layers = 4,
                                     .heads = 4,
                                     .kv_heads = 4,
                                     .head_width = 32,
                                     .ffn = 352,
                                     .context = 512,
                                     .seed = 1 };

typedef struct setup {
    enx_engine *engine;
    uint32_t    prompt_count, output_count, vocab_count, thread_count;
} setup;

static uint64_t now_us(const setup *s)
{
    return s->thread_count == 1 ? enx_clock_cpu_us() : enx_clock_monotonic_us();
}

static void submit(const setup *s, uint32_t output_count, uint32_t salt)
{
    static uint32_t prompt[PROMPT_MAX];
    for (uint32_t i = 0; i < s->prompt_count; i++) prompt[i] = (i * 7919 + salt) % s->vocab_count;
    const enx_request request = { .prompt = prompt,
                                  .prompt_count = s->prompt_count,
                                  .max_tokens = output_count,
                                  .eos = ENX_TOKEN_NONE };
    if (enx_engine_submit(s->engine, &request, NULL, NULL) != ENX_OK) exit(EXIT_FAILURE);
}

/* Tokens per second of the steps after `skip` of them. */
static double run(const setup *s, uint32_t width, uint32_t output_count, uint32_t skip, double work)
{
    for (uint32_t i = 0; i < width; i++) submit(s, output_count, i);
    for (uint32_t i = 0; i < skip; i++) enx_engine_step(s->engine, NULL, NULL);
    const uint64_t start = now_us(s);
    while (enx_engine_step(s->engine, NULL, NULL) > 0) continue;
    return work * 1e6 / (double)(now_us(s) - start);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double prefill(const setup *s)
{
    double speeds[RUNS];
    for (int i = 0; i < RUNS; i++) speeds[i] = run(s, 16, 1, 0, 16.0 * s->prompt_count);
    qsort(speeds, RUNS, sizeof *speeds, by_size);
    return speeds[RUNS / 2];
}

/* Steps that fill the prompts come first and are not counted. */
static double decode(const setup *s, uint32_t width)
{
    double         speeds[RUNS];
    const uint32_t skip = (width * s->prompt_count + 255) / 256;
    for (int i = 0; i < RUNS; i++)
        speeds[i] = run(s, width, s->output_count + skip, skip, (double)width * s->output_count);
    qsort(speeds, RUNS, sizeof *speeds, by_size);
    return speeds[RUNS / 2];
}

static enx_status open_file(tiny_model *m, const char *path, enx_report *report)
{
    enx_buf_init(&m->bytes, (size_t)1 << 36);
    ENX_TRY(enx_file_read(&m->bytes, path, report));
    ENX_TRY(enx_gguf_open(&m->gguf, m->bytes.data, m->bytes.size_bytes, report));
    return enx_model_open(&m->model, m->gguf, report);
}

static uint32_t option(int argc, char **argv, const char *name, uint32_t missing)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return (uint32_t)strtoul(argv[i + 1], NULL, 10);
    return missing;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 && argv[1][0] != '-' ? argv[1] : "lead";
    tiny_model  m = { 0 };
    enx_report  report = { 0 };
    enx_pool   *pool = NULL;
    setup       s = { .prompt_count = option(argc, argv, "--prompt", 100),
                      .output_count = option(argc, argv, "--output", 60),
                      .thread_count = option(argc, argv, "--threads", 1) };
    enx_status  status;
    if (strcmp(what, "lead") == 0) status = tiny_open(&m, &lead, &report);
    else if (strcmp(what, "worker") == 0) status = tiny_open(&m, &worker, &report);
    else status = open_file(&m, what, &report);
    if (status == ENX_OK && s.thread_count > 1)
        status = enx_pool_open(&pool, s.thread_count, &report);
    const enx_engine_options o = { .model = m.model,
                                   .slot_count = SLOTS,
                                   .batch_tokens = 256,
                                   .context_tokens = s.prompt_count + s.output_count + 40,
                                   .pool = pool,
                                   .cpu = getenv("ENX_CPU") };
    if (status == ENX_OK) status = enx_engine_open(&s.engine, &o, &report);
    if (status != ENX_OK || s.prompt_count > PROMPT_MAX) {
        fprintf(stderr, "bench_engine: %s\n", report.text);
        return EXIT_FAILURE;
    }
    s.vocab_count = enx_model_hparams(m.model)->vocab_count;
    printf("model,params,threads,prompt,prefill_tps,decode1_tps,decode4_tps,decode16_tps,"
           "decode64_tps\n%s,%llu,%u,%u,%.0f",
           what, (unsigned long long)enx_model_param_count(m.model), s.thread_count, s.prompt_count,
           prefill(&s));
    for (int i = 0; i < WIDTHS; i++) printf(",%.0f", decode(&s, widths[i]));
    printf("\n");
    enx_engine_close(&s.engine);
    enx_pool_close(&pool);
    tiny_close(&m);
    return EXIT_SUCCESS;
}
