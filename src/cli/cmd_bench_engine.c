/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_bench_engine.c - enxame bench engine: a model's speed, beside what the machine can. */
#include "backend/loaded.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/cli.h"
#include "engine/engine.h"
#include "kernels/kernels.h"
#include "plat/clock.h"
#include "plat/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTHS = 4,
    SLOTS = 65, /* the widest, and one that comes to it */
    RUNS_MAX = 101,
    PROMPT_MAX = 1 << 16,
    NEWCOMER_TOKENS = 200,
    START_TOKENS = 64,      /* that the first sequences may write before the last one begins to */
    READ_BYTES = 256 << 20, /* far beyond any cache */
    PEAK_ROUNDS = 1 << 22,
};

static const uint32_t widths[WIDTHS] = { 1, 4, 16, 64 };

typedef struct options {
    const char *model;
    uint64_t    prompt, output, runs, threads, seed;
} options;

typedef struct bench {
    options     o;
    enx_loaded  loaded;
    enx_pool   *pool;
    enx_engine *engine;
    enx_rng     rng;
    uint32_t   *prompt; /* owned, [o.prompt], and a newcomer's */
    enx_kernels table;
    uint64_t   *memory; /* owned, READ_BYTES */
    uint64_t    sums[ENX_POOL_THREADS_MAX];
    bool        is_first; /* the newcomer's first token came */
    double      read_gbps, int8_tops;
    double      prefill_tps, batched_tps[WIDTHS];
    double      idle_ms, busy_ms; /* until a newcomer's first token, at the 95th percentile */
    uint64_t    kv_bytes;         /* of 64 sequences over a shared prompt */
} bench;

static double seconds_since(uint64_t start_us)
{
    return (double)(enx_clock_monotonic_us() - start_us + 1) * 1e-6;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of `count` figures, the one below which a share of them lies. */
static double quantile(double *figures, uint64_t count, double share)
{
    qsort(figures, count, sizeof *figures, by_size);
    const uint64_t at = (uint64_t)(share * (double)count);
    return figures[at < count ? at : count - 1];
}

/* ---- the machine --------------------------------------------------------------------------- */

static void read_part(void *user, uint32_t part, uint32_t part_count)
{
    bench         *b = user;
    const size_t   words = READ_BYTES / sizeof *b->memory;
    const uint64_t end = words * (part + 1) / part_count;
    uint64_t       sum = 0;
    for (size_t i = words * part / part_count; i < end; i++) sum += b->memory[i];
    b->sums[part] += sum;
}

static void multiply_part(void *user, uint32_t part, uint32_t part_count)
{
    bench  *b = user;
    int32_t sink = (int32_t)part;
    (void)part_count;
    b->sums[part] = b->table.peak_int8(PEAK_ROUNDS, &sink);
}

static enx_status measure_machine(bench *b, enx_report *report)
{
    double         read[RUNS_MAX], tops[RUNS_MAX];
    const uint32_t threads = enx_pool_thread_count(b->pool);
    b->memory = enx_mem_new(READ_BYTES, 1);
    if (!b->memory) return ENX_FAIL(report, NOMEM, "no memory to read");
    memset(b->memory, 1, READ_BYTES);
    enx_kernels_init(&b->table, enx_cpu_detect(getenv("ENX_CPU")));
    for (uint64_t run = 0; run < b->o.runs; run++) {
        uint64_t start = enx_clock_monotonic_us();
        enx_pool_run(b->pool, read_part, b, threads);
        read[run] = READ_BYTES * 1e-9 / seconds_since(start);
        start = enx_clock_monotonic_us();
        enx_pool_run(b->pool, multiply_part, b, threads);
        tops[run] = 0;
        for (uint32_t i = 0; i < threads; i++) tops[run] += (double)b->sums[i];
        tops[run] *= 1e-12 / seconds_since(start);
    }
    b->read_gbps = quantile(read, b->o.runs, .5);
    b->int8_tops = quantile(tops, b->o.runs, .5);
    return ENX_OK;
}

/* ---- the engine ---------------------------------------------------------------------------- */

/* Tokens that no sequence before began with. */
static void draw_prompt(bench *b, uint32_t *out, uint64_t count)
{
    const uint32_t vocab = enx_model_hparams(b->loaded.model)->vocab_count;
    for (uint64_t i = 0; i < count; i++) out[i] = (uint32_t)enx_rng_below(&b->rng, vocab);
}

static void on_first(void *user, uint32_t token, float logprob)
{
    (void)token;
    (void)logprob;
    *(bool *)user = true;
}

static enx_status submit(bench *b, const uint32_t *prompt, uint64_t count, uint64_t output,
                         bool *is_first, enx_report *report)
{
    const enx_request request = { .prompt = prompt,
                                  .prompt_count = (uint32_t)count,
                                  .max_tokens = (uint32_t)output,
                                  .eos = ENX_TOKEN_NONE,
                                  .priority = is_first != NULL,
                                  .on_token = is_first ? on_first : NULL,
                                  .user = is_first };
    return enx_engine_submit(b->engine, &request, NULL, report);
}

static void finish_all(bench *b)
{
    while (enx_engine_step(b->engine, NULL, NULL) > 0) continue;
}

static enx_status measure_prefill(bench *b, enx_report *report)
{
    double figures[RUNS_MAX];
    for (uint64_t run = 0; run < b->o.runs; run++) {
        draw_prompt(b, b->prompt, b->o.prompt);
        ENX_TRY(submit(b, b->prompt, b->o.prompt, 1, NULL, report));
        const uint64_t start = enx_clock_monotonic_us();
        finish_all(b);
        figures[run] = (double)b->o.prompt / seconds_since(start);
    }
    b->prefill_tps = quantile(figures, b->o.runs, .5);
    return ENX_OK;
}

/* Start sequences that share all of their prompt but the last token, and step until all decode. */
static enx_status start_decoding(bench *b, uint32_t width, uint64_t output, enx_report *report)
{
    draw_prompt(b, b->prompt, b->o.prompt);
    for (uint32_t i = 0; i < width; i++) {
        draw_prompt(b, b->prompt + b->o.prompt - 1, 1);
        ENX_TRY(submit(b, b->prompt, b->o.prompt, output, NULL, report));
    }
    for (uint64_t rows = 0, before = 0; rows != width;) {
        before = enx_engine_count(b->engine).rows;
        if (enx_engine_step(b->engine, NULL, NULL) < width) break;
        rows = enx_engine_count(b->engine).rows - before;
    }
    return ENX_OK;
}

static enx_status measure_decode(bench *b, int which, enx_report *report)
{
    double         figures[RUNS_MAX];
    const uint32_t width = widths[which];
    for (uint64_t run = 0; run < b->o.runs; run++) {
        ENX_TRY(start_decoding(b, width, b->o.output + START_TOKENS, report));
        const enx_engine_counts counts = enx_engine_count(b->engine);
        const uint64_t          start = enx_clock_monotonic_us();
        for (uint64_t i = 0; i < b->o.output; i++) enx_engine_step(b->engine, NULL, NULL);
        figures[run] = (double)(width * b->o.output) / seconds_since(start);
        b->kv_bytes = (uint64_t)(counts.pages - counts.pages_free - counts.pages_remembered) *
                      enx_engine_page_bytes(b->engine);
        enx_engine_cancel_all(b->engine);
        finish_all(b);
    }
    b->batched_tps[which] = quantile(figures, b->o.runs, .5);
    return ENX_OK;
}

/* Milliseconds until a newcomer's first token, with `width` sequences decoding. */
static enx_status measure_first(bench *b, uint32_t width, double *out, enx_report *report)
{
    double    figures[RUNS_MAX];
    uint32_t *newcomer = b->prompt + b->o.prompt;
    for (uint64_t run = 0; run < b->o.runs; run++) {
        bool is_first = false;
        if (width) ENX_TRY(start_decoding(b, width, b->o.output + START_TOKENS, report));
        draw_prompt(b, newcomer, NEWCOMER_TOKENS);
        ENX_TRY(submit(b, newcomer, NEWCOMER_TOKENS, 2, &is_first, report));
        const uint64_t start = enx_clock_monotonic_us();
        while (!is_first) enx_engine_step(b->engine, NULL, NULL);
        figures[run] = seconds_since(start) * 1e3;
        enx_engine_cancel_all(b->engine);
        finish_all(b);
    }
    *out = quantile(figures, b->o.runs, .95);
    return ENX_OK;
}

static enx_status open_all(bench *b, enx_report *report)
{
    ENX_TRY(enx_loaded_open(&b->loaded, b->o.model, report));
    const uint64_t most = enx_model_hparams(b->loaded.model)->context_tokens;
    const uint64_t context = b->o.prompt + b->o.output + START_TOKENS + NEWCOMER_TOKENS;
    if (b->o.prompt < 2 || b->o.prompt > PROMPT_MAX || b->o.output < 1 || b->o.output > PROMPT_MAX)
        return ENX_FAIL(report, INVALID, "--prompt is 2 to %d, --output 1 to %d", PROMPT_MAX,
                        PROMPT_MAX);
    if (b->o.runs < 1 || b->o.runs > RUNS_MAX)
        return ENX_FAIL(report, INVALID, "%llu runs, expected 1 to %d",
                        (unsigned long long)b->o.runs, RUNS_MAX);
    ENX_TRY(enx_pool_open(&b->pool, (uint32_t)b->o.threads, report));
    b->prompt = enx_mem_new(b->o.prompt + NEWCOMER_TOKENS, sizeof *b->prompt);
    if (!b->prompt) return ENX_FAIL(report, NOMEM, "no memory for prompts");
    const enx_engine_options engine = { .model = b->loaded.model,
                                        .cpu = getenv("ENX_CPU"),
                                        .slot_count = SLOTS,
                                        .context_tokens =
                                            (uint32_t)(context < most ? context : most),
                                        .pool = b->pool };
    return enx_engine_open(&b->engine, &engine, report);
}

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    bench *b = user;
    (void)args;
    if (!b->o.model) return ENX_FAIL(report, INVALID, "-m MODEL is missing");
    b->rng = enx_rng_open(b->o.seed, 0);
    ENX_TRY(open_all(b, report));
    ENX_TRY(measure_machine(b, report));
    ENX_TRY(measure_prefill(b, report));
    for (int i = 0; i < WIDTHS; i++) ENX_TRY(measure_decode(b, i, report));
    ENX_TRY(measure_first(b, 0, &b->idle_ms, report));
    return measure_first(b, SLOTS - 1, &b->busy_ms, report);
}

/* ---- what is printed ----------------------------------------------------------------------- */

/* Share of the int8 peak that reading a prompt takes: a product and an addition a parameter. */
static double int8_share(const bench *b)
{
    const double params = (double)enx_model_active_param_count(b->loaded.model);
    return 2 * params * b->prefill_tps * 1e-12 / b->int8_tops;
}

/* Share of the read bandwidth that one sequence takes: all weights for each token. */
static double read_share(const bench *b)
{
    return (double)enx_model_weight_bytes(b->loaded.model) * b->batched_tps[0] * 1e-9 /
           b->read_gbps;
}

static void print_json(const void *user)
{
    const bench  *b = user;
    const double *t = b->batched_tps;
    cli_print_json(json_pack(
        "{s:s, s:I, s:I, s:f, s:f, s:{s:f, s:f, s:f, s:f}, s:f, s:f, s:f, s:f, s:{s:f, s:f}, s:I}",
        "kernels", b->table.name, "threads", (json_int_t)enx_pool_thread_count(b->pool), "prompt",
        (json_int_t)b->o.prompt, "prefill_tps", b->prefill_tps, "decode_tps", t[0], "batched", "1",
        t[0], "4", t[1], "16", t[2], "64", t[3], "read_gbps", b->read_gbps, "int8_tops",
        b->int8_tops, "int8_share", int8_share(b), "read_share", read_share(b), "first_token_ms",
        "idle", b->idle_ms, "busy", b->busy_ms, "kv_bytes", (json_int_t)b->kv_bytes));
}

static void print_table(const void *user)
{
    const bench *b = user;
    printf("machine       %.1f GB/s read, %.2f int8 tera-operations/s (%s, %u threads)\n",
           b->read_gbps, b->int8_tops, b->table.name, enx_pool_thread_count(b->pool));
    printf("prefill       %.0f tokens/s, %.0f %% of int8\n", b->prefill_tps, 100 * int8_share(b));
    printf("decode        %.1f tokens/s, %.0f %% of reading\n", b->batched_tps[0],
           100 * read_share(b));
    for (int i = 1; i < WIDTHS; i++)
        printf("%-2u sequences  %.1f tokens/s over a shared prompt of %llu\n", widths[i],
               b->batched_tps[i], (unsigned long long)b->o.prompt);
    printf("first token   %.0f ms, with 64 sequences decoding %.0f ms\n", b->idle_ms, b->busy_ms);
    printf("keys, values  %.1f MiB for 64 sequences\n", (double)b->kv_bytes / (1 << 20));
}

static void close_all(void *user)
{
    bench *b = user;
    enx_engine_close(&b->engine);
    enx_pool_close(&b->pool);
    enx_mem_free(b->prompt);
    enx_mem_free(b->memory);
    enx_loaded_close(&b->loaded);
}

static const cli_steps steps = { "bench engine", run, print_json, print_table, close_all };

int cmd_bench_engine(int argc, char **argv)
{
    static bench b;
    b.o = (options){ .prompt = 512, .output = 32, .runs = 5, .seed = 1 };
    const cli_option list[] = {
        { "model", 'm', CLI_TEXT, &b.o.model, "MODEL", "a GGUF file" },
        { "prompt", '\0', CLI_UINT, &b.o.prompt, "N", "tokens of a prompt (default 512)" },
        { "output", '\0', CLI_UINT, &b.o.output, "N", "tokens of an answer (default 32)" },
        { "runs", '\0', CLI_UINT, &b.o.runs, "N", "of which the median is taken (default 5)" },
        { "threads", '\0', CLI_UINT, &b.o.threads, "N", "default: one a core" },
        { "seed", '\0', CLI_UINT, &b.o.seed, "S", "of the prompts (default 1)" },
    };
    const cli_spec spec = { "bench engine -m MODEL [options]",
                            "Tokens a second of reading and writing, one sequence and many, beside "
                            "what the machine can, measured in the same run.",
                            "enxame bench engine -m models/lead.gguf --json",
                            list,
                            sizeof list / sizeof *list,
                            0,
                            0 };
    return cli_run(&spec, &steps, &b, argc, argv);
}
