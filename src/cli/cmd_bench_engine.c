/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_bench_engine.c - enxame bench engine: a model's speed, beside what the machine can. */
#include "backend/loaded.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/cli.h"
#include "cli/cli_profile.h"
#include "cli/cli_records.h"
#include "engine/engine.h"
#include "kernels/kernels.h"
#include "plat/clock.h"
#include "plat/pool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTHS = 4,
    SLOTS = 65, /* the widest, and one that comes to it */
    RUNS_MAX = 101,
    PROMPT_MAX = 1 << 16,
    PROMPT_DEFAULT = 512, /* or a quarter of a short context */
    NEWCOMER_TOKENS = 200,
    START_TOKENS = 64,      /* that the first sequences may write before the last one begins to */
    READ_BYTES = 256 << 20, /* far beyond any cache */
    PEAK_ROUNDS = 1 << 22,
    PROFILES = WIDTHS + 2, /* prefill, each width, records */
};

static const uint32_t widths[WIDTHS] = { 1, 4, 16, 64 };

typedef struct options {
    const char *model;
    const char *part;    /* NULL: all, records where there is a grammar */
    const char *grammar; /* of the records' answers */
    const char *cache;   /* of keys and values; NULL: f16 */
    uint64_t    prompt, output, runs, threads, seed, sequences, records;
    bool        asks, has_profile;
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
    uint64_t    kv_bytes;         /* of the widest over a shared prompt */

    cli_records_result records;

    enx_profile *live; /* owned, the engine's; NULL: no profile is wanted */
    cli_profile  profiles[PROFILES];
    uint32_t     profile_count;
} bench;

static const char *const parts[] = { "prefill", "decode", "first", "records" };

static bool has_part(const bench *b, const char *name)
{
    if (strcmp(name, "records") == 0 && !b->o.grammar) return false;
    return !b->o.part || strcmp(b->o.part, name) == 0;
}

static bool has_width(const bench *b, uint32_t width)
{
    return has_part(b, "decode") && (b->o.sequences == 0 || b->o.sequences == width);
}

/* One thread's time is the processor's: other programs on the machine count little then. */
static uint64_t now_us(const bench *b)
{
    return b->o.threads == 1 ? enx_clock_cpu_us() : enx_clock_monotonic_us();
}

static double seconds_since(const bench *b, uint64_t start_us)
{
    return (double)(now_us(b) - start_us + 1) * 1e-6;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of `count` figures, the one below which a share of them lies; between two, in proportion. */
static double quantile(double *figures, uint64_t count, double share)
{
    qsort(figures, count, sizeof *figures, by_size);
    const double   at = share * (double)(count - 1);
    const uint64_t below = (uint64_t)at, above = below + 1 < count ? below + 1 : below;
    return figures[below] + (at - (double)below) * (figures[above] - figures[below]);
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
        uint64_t start = now_us(b);
        enx_pool_run(b->pool, read_part, b, threads);
        read[run] = READ_BYTES * 1e-9 / seconds_since(b, start);
        start = now_us(b);
        enx_pool_run(b->pool, multiply_part, b, threads);
        tops[run] = 0;
        for (uint32_t i = 0; i < threads; i++) tops[run] += (double)b->sums[i];
        tops[run] *= 1e-12 / seconds_since(b, start);
    }
    b->read_gbps = quantile(read, b->o.runs, .5);
    b->int8_tops = quantile(tops, b->o.runs, .5);
    return ENX_OK;
}

/* ---- the engine ---------------------------------------------------------------------------- */

/* What comes is to be seen in the profile that is under way. */
static void start_profile(bench *b)
{
    if (b->live) cli_profile_start(&b->profiles[b->profile_count], b->engine, b->live);
}

static void stop_profile(bench *b)
{
    if (b->live) cli_profile_stop(&b->profiles[b->profile_count], b->engine, b->live);
}

static enx_status end_profile(bench *b, const char *part, uint32_t sequences, enx_report *report)
{
    if (!b->live) return ENX_OK;
    cli_profile *p = &b->profiles[b->profile_count++];
    p->part = part;
    p->sequences = sequences;
    return cli_profile_take(p, b->live, report);
}

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
        const uint64_t start = now_us(b);
        start_profile(b);
        finish_all(b);
        stop_profile(b);
        figures[run] = (double)b->o.prompt / seconds_since(b, start);
    }
    b->prefill_tps = quantile(figures, b->o.runs, .5);
    return end_profile(b, parts[0], 1, report);
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
    if (!has_width(b, width)) return ENX_OK;
    for (uint64_t run = 0; run < b->o.runs; run++) {
        ENX_TRY(start_decoding(b, width, b->o.output + START_TOKENS, report));
        const enx_engine_counts counts = enx_engine_count(b->engine);
        const uint64_t          start = now_us(b);
        start_profile(b);
        for (uint64_t i = 0; i < b->o.output; i++) enx_engine_step(b->engine, NULL, NULL);
        stop_profile(b);
        figures[run] = (double)(width * b->o.output) / seconds_since(b, start);
        b->kv_bytes = (uint64_t)(counts.pages - counts.pages_free - counts.pages_remembered) *
                      enx_engine_page_bytes(b->engine);
        enx_engine_cancel_all(b->engine);
        finish_all(b);
    }
    b->batched_tps[which] = quantile(figures, b->o.runs, .5);
    return end_profile(b, parts[1], width, report);
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
        const uint64_t start = now_us(b);
        while (!is_first) enx_engine_step(b->engine, NULL, NULL);
        figures[run] = seconds_since(b, start) * 1e3;
        enx_engine_cancel_all(b->engine);
        finish_all(b);
    }
    *out = quantile(figures, b->o.runs, .95);
    return ENX_OK;
}

/* Once: what is asked again is remembered. */
static enx_status measure_records(bench *b, enx_report *report)
{
    const uint32_t vocab = enx_model_hparams(b->loaded.model)->vocab_count;
    for (uint32_t i = 0; i < b->o.prompt; i++) b->prompt[i] = cli_record_token(0, i, vocab);
    const cli_records_options o = { .loaded = &b->loaded,
                                    .engine = b->engine,
                                    .grammar = b->o.grammar,
                                    .instruction = b->prompt,
                                    .instruction_count = (uint32_t)b->o.prompt,
                                    .count = (uint32_t)b->o.records,
                                    .width = b->o.sequences ? (uint32_t)b->o.sequences : SLOTS - 1,
                                    .asks = b->o.asks,
                                    .now_us = b->o.threads == 1 ? enx_clock_cpu_us
                                                                : enx_clock_monotonic_us };
    start_profile(b);
    const enx_status status = cli_records_run(&b->records, &o, report);
    stop_profile(b);
    return status == ENX_OK ? end_profile(b, parts[3], o.width, report) : status;
}

/* Records take any number at a time; what decodes, some alone. */
static enx_status check_width(const options *o, enx_report *report)
{
    if (o->sequences == 0 || (o->part && strcmp(o->part, "decode") != 0)) return ENX_OK;
    for (size_t i = 0; i < WIDTHS; i++)
        if (o->sequences == widths[i]) return ENX_OK;
    return ENX_FAIL(report, INVALID,
                    "--sequences is %llu; 1, 4, 16 or 64 can be measured decoding, any number "
                    "with --part records",
                    (unsigned long long)o->sequences);
}

static enx_status check_options(const options *o, enx_report *report)
{
    const struct {
        const char *name;
        uint64_t    value, least, most;
    } limits[] = {
        { "prompt", o->prompt, o->prompt ? 2 : 0, PROMPT_MAX },
        { "output", o->output, 1, PROMPT_MAX },
        { "runs", o->runs, 1, RUNS_MAX },
        { "sequences", o->sequences, 0, SLOTS - 1 },
        { "records", o->records, 1, CLI_RECORDS_MAX },
    };
    if (!o->model) return ENX_FAIL(report, INVALID, "-m MODEL is missing");
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].value < limits[i].least || limits[i].value > limits[i].most)
            return ENX_FAIL(report, INVALID, "--%s is %llu, expected %llu to %llu", limits[i].name,
                            (unsigned long long)limits[i].value,
                            (unsigned long long)limits[i].least,
                            (unsigned long long)limits[i].most);
    if (o->asks && !o->grammar)
        return ENX_FAIL(report, INVALID, "--ask is about records, which need --grammar FILE");
    ENX_TRY(check_width(o, report));
    if (!o->part) return ENX_OK;
    if (strcmp(o->part, "records") == 0 && !o->grammar)
        return ENX_FAIL(report, INVALID, "the part records needs --grammar FILE");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(o->part, parts[i]) == 0) return ENX_OK;
    return ENX_FAIL(report, INVALID,
                    "no part is called %s; they are prefill, decode, first, "
                    "records",
                    o->part);
}

/* The first pass brings the weights into memory. */
static enx_status warm_up(bench *b, enx_report *report)
{
    draw_prompt(b, b->prompt, 1);
    ENX_TRY(submit(b, b->prompt, 1, 1, NULL, report));
    finish_all(b);
    return ENX_OK;
}

/* What the widest part can fill: prompts lie there once, all that a sequence has for itself in
 * pages of its own, of which it may leave two in part.  A tenth is for what is only remembered. */
static uint32_t cache_tokens(const bench *b)
{
    const uint64_t of_records = b->o.grammar ? CLI_RECORD_TOKENS + CLI_RECORD_ANSWER_TOKENS : 0;
    const uint64_t of_decoding = b->o.output + START_TOKENS;
    const uint64_t own = of_records > of_decoding ? of_records : of_decoding;
    const uint64_t all = b->o.prompt + NEWCOMER_TOKENS + SLOTS * (own + 2 * ENX_KV_PAGE);
    return (uint32_t)(all + all / 10);
}

static enx_status open_all(bench *b, enx_report *report)
{
    ENX_TRY(enx_loaded_open(&b->loaded, b->o.model, report));
    const uint64_t most = enx_model_hparams(b->loaded.model)->context_tokens;
    if (b->o.prompt == 0) b->o.prompt = most / 4 < PROMPT_DEFAULT ? most / 4 : PROMPT_DEFAULT;
    const uint64_t context = b->o.prompt + b->o.output + START_TOKENS + NEWCOMER_TOKENS +
                             (b->o.grammar ? CLI_RECORD_ANSWER_TOKENS : 0);
    enx_kv_type cache;
    ENX_TRY(enx_kv_type_parse(&cache, b->o.cache, report));
    ENX_TRY(enx_pool_open(&b->pool, (uint32_t)b->o.threads, report));
    b->prompt = enx_mem_new(b->o.prompt + NEWCOMER_TOKENS, sizeof *b->prompt);
    if (!b->prompt) return ENX_FAIL(report, NOMEM, "no memory for prompts");
    if (b->o.has_profile)
        ENX_TRY(enx_profile_open(&b->live, enx_model_hparams(b->loaded.model)->layer_count,
                                 enx_pool_thread_count(b->pool) == 1 ? enx_clock_cpu_ns
                                                                     : enx_clock_monotonic_ns,
                                 report));
    const enx_engine_options engine = { .model = b->loaded.model,
                                        .profile = b->live,
                                        .cpu = getenv("ENX_CPU"),
                                        .slot_count = SLOTS,
                                        .context_tokens =
                                            (uint32_t)(context < most ? context : most),
                                        .pool = b->pool,
                                        .cache = cache,
                                        .cache_tokens = cache_tokens(b) };
    return enx_engine_open(&b->engine, &engine, report);
}

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    bench *b = user;
    (void)args;
    ENX_TRY(check_options(&b->o, report));
    b->rng = enx_rng_open(b->o.seed, 0);
    ENX_TRY(open_all(b, report));
    ENX_TRY(warm_up(b, report));
    ENX_TRY(measure_machine(b, report));
    if (has_part(b, "prefill")) ENX_TRY(measure_prefill(b, report));
    for (int i = 0; i < WIDTHS; i++) ENX_TRY(measure_decode(b, i, report));
    if (has_part(b, "first")) {
        ENX_TRY(measure_first(b, 0, &b->idle_ms, report));
        ENX_TRY(measure_first(b, SLOTS - 1, &b->busy_ms, report));
    }
    return has_part(b, "records") ? measure_records(b, report) : ENX_OK;
}

/* ---- what is printed ----------------------------------------------------------------------- */

/* Share of the int8 peak that reading a prompt takes: a product and an addition a parameter.  The
 * head meets the last token alone; embeddings of their own are looked up, not multiplied. */
static double int8_share(const bench *b)
{
    const enx_hparams *hp = enx_model_hparams(b->loaded.model);
    const double       head = (double)hp->vocab_count * hp->width;
    const double       looked_up = hp->is_head_tied ? 0 : head;
    const double each = (double)enx_model_active_param_count(b->loaded.model) - head - looked_up;
    return 2 * (each + head / (double)b->o.prompt) * b->prefill_tps * 1e-12 / b->int8_tops;
}

/* Share of the read bandwidth that one sequence takes: all weights for each token. */
static double read_share(const bench *b)
{
    return (double)enx_model_weight_bytes(b->loaded.model) * b->batched_tps[0] * 1e-9 /
           b->read_gbps;
}

static json_t *json_decode(const bench *b)
{
    json_t *batched = json_object();
    for (int i = 0; i < WIDTHS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", widths[i]);
        if (has_width(b, widths[i]))
            json_object_set_new(batched, name, json_real(b->batched_tps[i]));
    }
    return batched;
}

static json_t *json_tokens(const cli_record_answer *answer)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < answer->token_count; i++)
        json_array_append_new(out, json_integer(answer->tokens[i]));
    return out;
}

static json_t *json_margins(const cli_record_answer *answer)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < answer->margin_count; i++)
        json_array_append_new(out, isfinite(answer->margins[i])
                                       ? json_real((double)answer->margins[i])
                                       : json_null());
    return out;
}

static json_t *json_records(const bench *b)
{
    const cli_records_result *r = &b->records;
    json_t *answers = json_array(), *tokens = json_array(), *margins = json_array();
    for (uint32_t i = 0; i < r->count; i++) {
        const cli_record_answer *one = &r->answers[i];
        json_array_append_new(answers,
                              cli_json_text(enx_buf_text(&one->text), one->text.size_bytes));
        json_array_append_new(tokens, json_tokens(one));
        json_array_append_new(margins, json_margins(one));
    }
    json_t *out = json_pack("{s:f, s:I, s:o, s:o}", "per_s", r->count / r->seconds, "tokens_out",
                            (json_int_t)r->tokens_out, "answers", answers, "tokens", tokens);
    if (b->o.asks) json_object_set(out, "margins", margins);
    json_decref(margins);
    return out;
}

static cli_profile_peaks peaks_of(const bench *b)
{
    return (cli_profile_peaks){ b->read_gbps, b->int8_tops };
}

static json_t *json_profiles(const bench *b)
{
    const cli_profile_peaks peaks = peaks_of(b);
    json_t                 *out = json_array();
    for (uint32_t i = 0; i < b->profile_count; i++)
        json_array_append_new(out, cli_profile_json(&b->profiles[i], &peaks));
    return out;
}

static void print_json(const void *user)
{
    const bench *b = user;
    json_t      *out =
        json_pack("{s:s, s:I, s:I, s:f, s:f}", "kernels", b->table.name, "threads",
                  (json_int_t)enx_pool_thread_count(b->pool), "prompt", (json_int_t)b->o.prompt,
                  "read_gbps", b->read_gbps, "int8_tops", b->int8_tops);
    if (has_part(b, "prefill")) {
        json_object_set_new(out, "prefill_tps", json_real(b->prefill_tps));
        json_object_set_new(out, "int8_share", json_real(int8_share(b)));
    }
    if (has_part(b, "decode")) {
        json_object_set_new(out, "batched", json_decode(b));
        json_object_set_new(out, "kv_bytes", json_integer((json_int_t)b->kv_bytes));
    }
    if (has_width(b, 1)) {
        json_object_set_new(out, "decode_tps", json_real(b->batched_tps[0]));
        json_object_set_new(out, "read_share", json_real(read_share(b)));
    }
    if (has_part(b, "first"))
        json_object_set_new(out, "first_token_ms",
                            json_pack("{s:f, s:f}", "idle", b->idle_ms, "busy", b->busy_ms));
    if (has_part(b, "records")) json_object_set_new(out, "records", json_records(b));
    if (b->live) json_object_set_new(out, "profile", json_profiles(b));
    cli_print_json(out);
}

static void print_decode(const bench *b)
{
    if (has_width(b, 1))
        printf("decode        %.1f tokens/s, %.0f %% of reading\n", b->batched_tps[0],
               100 * read_share(b));
    for (int i = 1; i < WIDTHS; i++)
        if (has_width(b, widths[i]))
            printf("%-2u sequences  %.1f tokens/s over a shared prompt of %llu\n", widths[i],
                   b->batched_tps[i], (unsigned long long)b->o.prompt);
    printf("keys, values  %.1f MiB for them\n", (double)b->kv_bytes / (1 << 20));
}

static void print_table(const void *user)
{
    const bench *b = user;
    printf("machine       %.1f GB/s read, %.2f int8 tera-operations/s (%s, %u threads)\n",
           b->read_gbps, b->int8_tops, b->table.name, enx_pool_thread_count(b->pool));
    if (has_part(b, "prefill"))
        printf("prefill       %.0f tokens/s, %.0f %% of int8\n", b->prefill_tps,
               100 * int8_share(b));
    if (has_part(b, "decode")) print_decode(b);
    if (has_part(b, "first"))
        printf("first token   %.0f ms, with 64 sequences decoding %.0f ms\n", b->idle_ms,
               b->busy_ms);
    if (has_part(b, "records"))
        printf("records       %.2f/s, %llu tokens written for %u\n",
               b->records.count / b->records.seconds, (unsigned long long)b->records.tokens_out,
               b->records.count);
    const cli_profile_peaks peaks = peaks_of(b);
    for (uint32_t i = 0; i < b->profile_count; i++) cli_profile_print(&b->profiles[i], &peaks);
}

static void close_all(void *user)
{
    bench *b = user;
    enx_engine_close(&b->engine);
    enx_pool_close(&b->pool);
    enx_mem_free(b->prompt);
    enx_mem_free(b->memory);
    enx_loaded_close(&b->loaded);
    cli_records_free(&b->records);
    for (uint32_t i = 0; i < PROFILES; i++) enx_profile_close(&b->profiles[i].phases);
    enx_profile_close(&b->live);
}

static const cli_steps steps = { "bench engine", run, print_json, print_table, close_all };

int cmd_bench_engine(int argc, char **argv)
{
    static bench b;
    b.o = (options){ .output = 32, .runs = 5, .seed = 1, .records = 64 };
    const cli_option list[] = {
        { "model", 'm', CLI_TEXT, &b.o.model, "MODEL", "a GGUF file" },
        { "prompt", '\0', CLI_UINT, &b.o.prompt, "N",
          "tokens of a prompt (default 512, or a quarter of the context)" },
        { "output", '\0', CLI_UINT, &b.o.output, "N", "tokens of an answer (default 32)" },
        { "runs", '\0', CLI_UINT, &b.o.runs, "N", "of which the median is taken (default 5)" },
        { "threads", '\0', CLI_UINT, &b.o.threads, "N",
          "default: one a core; 1: counts the processor's time" },
        { "seed", '\0', CLI_UINT, &b.o.seed, "S", "of the prompts (default 1)" },
        { "part", '\0', CLI_TEXT, &b.o.part, "NAME",
          "prefill, decode, first or records alone (default all)" },
        { "sequences", '\0', CLI_UINT, &b.o.sequences, "N",
          "1, 4, 16 or 64 alone; of records, at a time (64)" },
        { "grammar", '\0', CLI_TEXT, &b.o.grammar, "FILE", "GBNF of the records' answers" },
        { "cache", '\0', CLI_TEXT, &b.o.cache, "TYPE",
          "of keys and values: f32, f16 (default) or q8" },
        { "records", '\0', CLI_UINT, &b.o.records, "N", "to be answered (default 64)" },
        { "ask", '\0', CLI_FLAG, &b.o.asks, NULL,
          "... asking the model for the tokens of forced text, too" },
        { "profile", '\0', CLI_FLAG, &b.o.has_profile, NULL,
          "where the time goes: by phase, beside the peaks, and by layer" },
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
