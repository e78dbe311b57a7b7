/* SPDX-License-Identifier: Apache-2.0 */
/* bench_attend.c - attention alone, through the pages of a model's keys and values.
 *
 *     bench_attend [--rounds N] [--heads N] [--kv-heads N] [--width N] [--layers N]
 *
 * One CSV line a kind of cache and case: operations of scores and mixes a nanosecond (a
 * multiplication and an addition are two; the weighing between them takes time and counts none),
 * beside the peak of vfmadd in the same round; medians of the rounds.  Cases: sequences that
 * decode, each with 24 tokens behind 512 shared ones, and the last 128 rows of a prompt of 512.
 *
 * One thread, and the time that the system charges to it.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "model/kv.h"
#include "peaks.h"
#include "plat/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARED = 512, OWN = 24, SEQUENCES_MAX = 64, PROMPT_ROWS = 128, ROUNDS_MAX = 99 };
enum { SLOT_PAGES = (SHARED + OWN + ENX_KV_PAGE - 1) / ENX_KV_PAGE };
enum { OWN_PAGES = SLOT_PAGES - SHARED / ENX_KV_PAGE };

static const uint32_t cases[] = { 1, 4, 16, SEQUENCES_MAX, 0 }; /* sequences; 0: a prompt */

typedef struct bench {
    enx_kernels kernels;
    enx_hparams hparams;
    enx_kv     *kv;
    enx_row     rows[PROMPT_ROWS];
    float      *q, *out; /* [PROMPT_ROWS][heads * width] */
    size_t      rounds;
} bench;

static void fill(float *x, size_t n, enx_rng *rng)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)(enx_rng_unit(rng) - enx_rng_unit(rng));
}

static void fill_slot(bench *b, uint32_t slot, uint32_t from, enx_rng *rng)
{
    const size_t n = (size_t)b->hparams.kv_head_count * b->hparams.head_width;
    for (enx_row row = { .slot = slot, .position = from }; row.position < SHARED + OWN;
         row.position++) {
        fill(b->out, 2 * n, rng);
        for (uint32_t layer = 0; layer < b->hparams.layer_count; layer++)
            enx_kv_store(b->kv, layer, &row, b->out, b->out + n, 0);
    }
}

/* Slots that share their first pages. */
static void open_cache(bench *b, enx_kv_type type)
{
    enx_rng              rng = enx_rng_open(1, 0);
    enx_report           report = { 0 };
    const enx_kv_options options = { .hparams = &b->hparams,
                                     .kernels = &b->kernels,
                                     .slot_count = SEQUENCES_MAX,
                                     .context_tokens = SHARED + OWN,
                                     .page_count = SLOT_PAGES + SEQUENCES_MAX * OWN_PAGES,
                                     .row_count = PROMPT_ROWS,
                                     .thread_count = 1,
                                     .type = type };
    if (enx_kv_open(&b->kv, &options, &report) != ENX_OK) {
        fprintf(stderr, "bench_attend: %s\n", report.text);
        exit(EXIT_FAILURE);
    }
    for (uint32_t slot = 0; slot < SEQUENCES_MAX; slot++) {
        uint32_t *table = enx_kv_table(b->kv, slot);
        for (uint32_t i = 0; i < SLOT_PAGES; i++)
            table[i] = i < SLOT_PAGES - OWN_PAGES ? i : i + slot * OWN_PAGES;
        fill_slot(b, slot, slot ? SHARED : 0, &rng);
    }
    fill(b->q, (size_t)PROMPT_ROWS * b->hparams.head_count * b->hparams.head_width, &rng);
}

/* Operations a nanosecond of one pass. */
static double measure(bench *b, uint32_t sequences)
{
    const uint32_t count = sequences ? sequences : PROMPT_ROWS;
    double         operations = 0;
    for (uint32_t i = 0; i < count; i++) {
        b->rows[i] = sequences ? (enx_row){ .slot = i, .position = SHARED + OWN - 1 }
                               : (enx_row){ .position = SHARED - count + i };
        operations += 4.0 * (b->rows[i].position + 1) * b->hparams.head_count;
    }
    enx_kv_plan(b->kv, b->rows, count);
    const uint64_t start_ns = enx_clock_cpu_ns();
    for (uint32_t layer = 0; layer < b->hparams.layer_count; layer++)
        enx_kv_attend(b->kv, &(enx_kv_layer){ .index = layer }, b->q, b->out, 0, 1);
    return operations * b->hparams.head_width * b->hparams.layer_count /
           (double)(enx_clock_cpu_ns() - start_ns);
}

static double measure_peak(void)
{
    const uint64_t start_ns = enx_clock_cpu_ns();
    const double   operations = peak_float();
    return operations / (double)(enx_clock_cpu_ns() - start_ns);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

static void report_case(bench *b, const char *type, uint32_t sequences)
{
    double gops[ROUNDS_MAX], of_peak[ROUNDS_MAX];
    measure(b, sequences);
    for (size_t i = 0; i < b->rounds; i++) {
        gops[i] = measure(b, sequences);
        of_peak[i] = gops[i] / measure_peak();
    }
    printf("%s,%s,", b->kernels.name, type);
    if (sequences) printf("%u sequences", sequences);
    else printf("prompt");
    printf(",%.1f,%.2f\n", median(gops, b->rounds), median(of_peak, b->rounds));
    fflush(stdout);
}

static void read_options(bench *b, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const uint32_t value = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--rounds") == 0) b->rounds = value;
        else if (strcmp(argv[i], "--heads") == 0) b->hparams.head_count = value;
        else if (strcmp(argv[i], "--kv-heads") == 0) b->hparams.kv_head_count = value;
        else if (strcmp(argv[i], "--width") == 0) b->hparams.head_width = value;
        else if (strcmp(argv[i], "--layers") == 0) b->hparams.layer_count = value;
    }
}

int main(int argc, char **argv)
{
    static const char *const types[] = { "f16", "q8", "f32" };
    const enx_hparams        small = {
               .layer_count = 30, .head_count = 9, .kv_head_count = 3, .head_width = 64
    };
    bench b = { .hparams = small, .rounds = 9 };
    read_options(&b, argc, argv);
    const size_t numbers = (size_t)PROMPT_ROWS * b.hparams.head_count * b.hparams.head_width;
    enx_kernels_init(&b.kernels, enx_cpu_detect(getenv("ENX_CPU")));
    b.q = ENX_MEM_NEW(float, numbers);
    b.out = ENX_MEM_NEW(float, numbers);
    if (!b.q || !b.out || b.rounds < 1 || b.rounds > ROUNDS_MAX || !b.hparams.kv_head_count)
        return EXIT_FAILURE;
    printf("level,cache,case,gops,of_peak\n");
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        enx_report  report;
        enx_kv_type type;
        if (enx_kv_type_parse(&type, types[t], &report) != ENX_OK) return EXIT_FAILURE;
        open_cache(&b, type);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            report_case(&b, types[t], cases[i]);
        enx_kv_close(&b.kv);
    }
    enx_mem_free(b.q);
    enx_mem_free(b.out);
    return EXIT_SUCCESS;
}
