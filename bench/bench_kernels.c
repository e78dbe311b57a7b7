/* SPDX-License-Identifier: Apache-2.0 */
/* bench_kernels.c - how near products come to what the machine can do.
 *
 *     bench_kernels [--rounds N] [TYPE]
 *
 * One CSV line a type and batch: operations (a multiplication and an addition are two) and bytes of
 * weights a nanosecond, beside the processor's peak and the memory's in the same round; medians of
 * the rounds, the fractions too.  The integer peak is that of vpmaddubsw, vpmaddwd and vpaddd on
 * registers, the float one that of vfmadd; the read bandwidth that of adding up an array.
 *
 * One thread, and the time that the system charges to it: other programs on the machine count
 * little, but for what they take of the caches and of the memory.  Weights come from an array far
 * larger than the caches.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/panels.h"
#include "peaks.h"
#include "plat/clock.h"
#include "quant_blocks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLS = 2048, BATCH_MAX = 128, ROUNDS_MAX = 99, ROWS_MIN = 256 };

#define ARRAY_BYTES    ((size_t)96 << 20)
#define ROUND_PRODUCTS ((size_t)1 << 25) /* multiplications of a measurement, about */

static const size_t batches[] = { 1, 4, 16, 64, BATCH_MAX };
enum { BATCH_COUNT = sizeof batches / sizeof *batches };

static const enx_tensor_type types[] = {
    ENX_TENSOR_Q4_0, ENX_TENSOR_Q8_0,   ENX_TENSOR_Q4_K,   ENX_TENSOR_Q5_K,
    ENX_TENSOR_Q6_K, ENX_TENSOR_IQ4_NL, ENX_TENSOR_IQ4_XS, ENX_TENSOR_MXFP4,
    ENX_TENSOR_Q4_1, ENX_TENSOR_Q5_0,   ENX_TENSOR_Q5_1,   ENX_TENSOR_Q2_K,
    ENX_TENSOR_Q3_K, ENX_TENSOR_F16,    ENX_TENSOR_BF16,   ENX_TENSOR_F32,
};
enum { TYPE_COUNT = sizeof types / sizeof *types };

typedef struct bench {
    enx_kernels kernels;
    uint8_t    *array; /* [ARRAY_BYTES] */
    float      *x;     /* [BATCH_MAX][COLS] */
    enx_act_q8 *acts;
    enx_act_k  *acts_k;
    float      *out;
    size_t      rounds;
} bench;

typedef struct figures {
    double gops, gbps, peak_gops, read_gbps;
} figures;

static double seconds_of(uint64_t since_us)
{
    const uint64_t spent_us = enx_clock_cpu_us() - since_us;
    return (double)(spent_us ? spent_us : 1) * 1e-6;
}

static void multiply(const bench *b, enx_tensor_type type, const void *w, size_t rows, size_t batch)
{
    const enx_matmul_shape shape = { rows, COLS, batch, rows, NULL };
    const quant_layout    *l = quant_layout_of(type);
    if (l && enx_quant_is_large(l->quant))
        b->kernels.matmul_quant(b->out, l->quant, w, b->acts_k, &shape);
    else if (l) b->kernels.matmul_quant(b->out, l->quant, w, b->acts, &shape);
    else if (type == ENX_TENSOR_F16) b->kernels.matmul_f16(b->out, w, b->x, &shape);
    else if (type == ENX_TENSOR_BF16) b->kernels.matmul_bf16(b->out, w, b->x, &shape);
    else b->kernels.matmul_f32(b->out, w, b->x, &shape);
}

/* One product with weights from `at` on, then both limits. */
static figures measure(const bench *b, enx_tensor_type type, size_t batch, size_t *at)
{
    const bool   is_float = quant_layout_of(type) == NULL;
    const size_t row_bytes = (size_t)enx_tensor_row_bytes(type, COLS);
    size_t       rows = ROUND_PRODUCTS / COLS / batch;
    figures      f;
    if (rows < ROWS_MIN) rows = ROWS_MIN;
    if (rows > ARRAY_BYTES / 2 / row_bytes) rows = ARRAY_BYTES / 2 / row_bytes;
    if (*at + rows * row_bytes > ARRAY_BYTES) *at = 0;
    uint64_t start = enx_clock_cpu_us();
    multiply(b, type, b->array + *at, rows, batch);
    double spent = seconds_of(start);
    *at += rows * row_bytes;
    f.gops = 2e-9 * (double)rows * COLS * (double)batch / spent;
    f.gbps = 1e-9 * (double)rows * (double)row_bytes / spent;
    start = enx_clock_cpu_us();
    const double operations = is_float ? peak_float() : peak_int8();
    f.peak_gops = 1e-9 * operations / seconds_of(start);
    const size_t panel = ENX_PANEL_ROWS * row_bytes, window = ARRAY_BYTES / 6 / panel * panel;
    const size_t from = *at + window <= ARRAY_BYTES ? *at : 0;
    start = enx_clock_cpu_us();
    peak_read(b->array + from, window);
    f.read_gbps = 1e-9 * (double)window / seconds_of(start);
    *at = from + window;
    return f;
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

static void report(const bench *b, enx_tensor_type type, size_t batch)
{
    double gops[ROUNDS_MAX], gbps[ROUNDS_MAX], of_peak[ROUNDS_MAX], of_read[ROUNDS_MAX];
    size_t at = 0;
    measure(b, type, batch, &at);
    for (size_t i = 0; i < b->rounds; i++) {
        const figures f = measure(b, type, batch, &at);
        gops[i] = f.gops;
        gbps[i] = f.gbps;
        of_peak[i] = f.gops / f.peak_gops;
        of_read[i] = f.gbps / f.read_gbps;
    }
    printf("%s,%s,%zu,%.1f,%.2f,%.2f,%.2f\n", b->kernels.name, enx_tensor_type_name(type), batch,
           median(gops, b->rounds), median(of_peak, b->rounds), median(gbps, b->rounds),
           median(of_read, b->rounds));
    fflush(stdout);
}

static void fill_weights(const bench *b, enx_tensor_type type, enx_rng *rng)
{
    const quant_layout *l = quant_layout_of(type);
    const size_t        rows = 8 * ENX_PANEL_ROWS, unit = rows * COLS;
    const size_t        unit_bytes = (size_t)enx_tensor_row_bytes(type, unit);
    uint16_t           *halves = (uint16_t *)b->array;
    if (l) {
        quant_fill(l, b->array + unit_bytes, unit, 1, rng);
        enx_panels_from_rows(b->array, l->quant, b->array + unit_bytes, rows, COLS);
    }
    for (size_t i = 0; !l && i < unit_bytes / 2; i++)
        halves[i] = (uint16_t)((enx_rng_u64(rng) & 0x83FF) | 0x3800); /* finite in any type */
    for (size_t at = unit_bytes; at + unit_bytes <= ARRAY_BYTES; at += unit_bytes)
        memcpy(b->array + at, b->array, unit_bytes);
}

static void fill_inputs(const bench *b, enx_rng *rng)
{
    for (size_t i = 0; i < (size_t)BATCH_MAX * COLS; i++)
        b->x[i] = (float)(enx_rng_unit(rng) - enx_rng_unit(rng));
    b->kernels.act_from_f32(b->acts, b->x, (size_t)BATCH_MAX * COLS);
    b->kernels.act_k_from_f32(b->acts_k, b->x, (size_t)BATCH_MAX * COLS);
}

int main(int argc, char **argv)
{
    const char *only = NULL;
    enx_rng     rng = enx_rng_open(1, 0);
    bench       b = { .array = enx_mem_new(ARRAY_BYTES, 1),
                      .x = ENX_MEM_NEW(float, (size_t)BATCH_MAX *COLS),
                      .acts = ENX_MEM_NEW(enx_act_q8, BATCH_MAX * COLS / ENX_SMALL_BLOCK),
                      .acts_k = ENX_MEM_NEW(enx_act_k, BATCH_MAX * COLS / ENX_K_BLOCK),
                      .out = ENX_MEM_NEW(float, ROUND_PRODUCTS / COLS + BATCH_MAX * ROWS_MIN),
                      .rounds = 9 };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            b.rounds = strtoul(argv[++i], NULL, 10);
        else only = argv[i];
    }
    if (!b.array || !b.x || !b.acts || !b.acts_k || !b.out || b.rounds < 1 || b.rounds > ROUNDS_MAX)
        return EXIT_FAILURE;
    enx_kernels_init(&b.kernels, enx_cpu_detect(getenv("ENX_CPU")));
    fill_inputs(&b, &rng);
    printf("level,type,batch,gops,of_peak,gbps,of_read\n");
    for (size_t t = 0; t < TYPE_COUNT; t++) {
        if (only && strcmp(only, enx_tensor_type_name(types[t])) != 0) continue;
        fill_weights(&b, types[t], &rng);
        for (size_t i = 0; i < BATCH_COUNT; i++) report(&b, types[t], batches[i]);
    }
    enx_mem_free(b.array);
    enx_mem_free(b.x);
    enx_mem_free(b.acts);
    enx_mem_free(b.acts_k);
    enx_mem_free(b.out);
    return EXIT_SUCCESS;
}
