/* SPDX-License-Identifier: Apache-2.0 */
/* bench_train.c - tokens a second of a step on one thread: forward, backward, update.
 *
 *     bench_train VOCAB WIDTH LAYERS FFN TOKENS [f32] [STEPS]
 *
 * Prints a CSV line: sizes, parameters, level, products, tokens a second of processor time (best of
 * STEPS, after one that does not count), GFLOP/s, GFLOP/s of a large product alone, in the same
 * type, and of multiply-adds in registers that do nothing else, f32 at AVX2: what the processor has
 * to give.
 */
#include "base/mem.h"
#include "kernels/cpu.h"
#include "peaks.h"
#include "plat/clock.h"
#include "train/operands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT = 256, STEPS = 5, LARGE = 1024 };

static uint32_t number(const char *text) { return (uint32_t)strtoul(text, NULL, 10); }

static void fill(enx_batch *b, uint32_t vocab)
{
    b->segment_count = 0;
    for (uint32_t i = 0; i < b->token_count; i++) {
        b->tokens[i] = (i * 2654435761u >> 7) % vocab;
        b->positions[i] = i % SEGMENT;
        b->targets[i] = (i * 40503u) % vocab;
        if ((i + 1) % SEGMENT == 0 || i + 1 == b->token_count)
            b->segment_ends[b->segment_count++] = i + 1;
    }
}

typedef struct bench {
    enx_net_layout   layout;
    enx_grad_kernels grad;
    enx_shard       *shard;
    enx_operands    *operands;
    float           *params, *moment1, *moment2;
} bench;

static enx_status open_all(bench *b, const enx_net_sizes *sizes, uint32_t tokens, bool is_bf16,
                           enx_report *report)
{
    enx_grad_kernels_init(&b->grad, enx_cpu_detect(getenv("ENX_CPU")));
    ENX_TRY(enx_net_layout_init(&b->layout, sizes, report));
    ENX_TRY(enx_shard_open(&b->shard, &b->layout, tokens, is_bf16, &b->grad, report));
    ENX_TRY(enx_operands_open(&b->operands, &b->layout, tokens, is_bf16, &b->grad, report));
    b->params = ENX_MEM_NEW(float, b->layout.count);
    b->moment1 = ENX_MEM_NEW(float, b->layout.count);
    b->moment2 = ENX_MEM_NEW(float, b->layout.count);
    if (!b->params || !b->moment1 || !b->moment2) return ENX_FAIL(report, NOMEM, "no memory");
    enx_net_start(&b->layout, b->params, 1);
    return ENX_OK;
}

static enx_status step(bench *b, enx_report *report)
{
    const size_t n = b->layout.count;
    double       loss;
    float       *gradients = enx_shard_gradients(b->shard);
    memset(gradients, 0, n * sizeof *gradients);
    for (uint32_t i = 0; i < enx_operands_part_count(b->operands); i++)
        ENX_TRY(enx_operands_fill(b->operands, b->params, i, report));
    ENX_TRY(enx_shard_run(b->shard, b->params, b->operands, true, 1.0f, &loss, report));
    b->grad.adamw(b->params, b->moment1, b->moment2, gradients, n, 1e-4f, 1e-4f, 0.1f, 0.9f, 0.95f,
                  0.1f, 0.05f);
    return ENX_OK;
}

static double seconds_since(uint64_t start_us)
{
    return (double)(enx_clock_cpu_us() - start_us) * 1e-6;
}

/* GFLOP/s of LARGE x LARGE x LARGE. */
static double large_product(const enx_grad_kernels *grad, bool is_bf16, enx_report *report)
{
    const enx_product product = { .m = LARGE, .n = LARGE, .k = LARGE };
    const size_t      count = (size_t)LARGE * LARGE;
    enx_gemm         *gemm = NULL;
    float            *floats = ENX_MEM_NEW(float, 3 * count);
    double            best = 1e30;
    if (!floats || enx_gemm_open(&gemm, is_bf16, grad, report) != ENX_OK) return 0;
    for (int i = 0; i <= STEPS; i++) {
        const uint64_t start_us = enx_clock_cpu_us();
        if (enx_gemm_run(gemm, &product, floats, floats + count, floats + 2 * count, report) !=
            ENX_OK)
            break;
        if (i > 0 && seconds_since(start_us) < best) best = seconds_since(start_us);
    }
    enx_gemm_close(&gemm);
    enx_mem_free(floats);
    return 2e-9 * LARGE * LARGE * LARGE / best;
}

/* GFLOP/s of registers alone. */
static double peak(void)
{
    double best = 1e30, operations = 0;
    for (int i = 0; i <= 20 * STEPS; i++) {
        const uint64_t start_us = enx_clock_cpu_us();
        operations = peak_float();
        if (i > 0 && seconds_since(start_us) < best) best = seconds_since(start_us);
    }
    return 1e-9 * operations / best;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: bench_train VOCAB WIDTH LAYERS FFN TOKENS [f32] [STEPS]\n");
        return 64;
    }
    const enx_net_sizes sizes = { .vocab = number(argv[1]),
                                  .width = number(argv[2]),
                                  .layers = number(argv[3]),
                                  .head_width = 32,
                                  .ffn = number(argv[4]) };
    const bool          is_bf16 = argc < 7 && enx_gemm_has_bf16();
    const uint32_t      steps = argc > 7 ? number(argv[7]) : STEPS;
    enx_report          report = { 0 };
    bench               b = { 0 };
    double              best = 1e30;
    enx_status          status = open_all(&b, &sizes, number(argv[5]), is_bf16, &report);
    if (status == ENX_OK) fill(enx_shard_batch(b.shard), sizes.vocab);
    for (uint32_t i = 0; status == ENX_OK && i <= steps; i++) {
        const uint64_t start_us = enx_clock_cpu_us();
        status = step(&b, &report);
        if (i > 0 && seconds_since(start_us) < best) best = seconds_since(start_us);
    }
    if (status != ENX_OK) {
        fprintf(stderr, "bench_train: %s\n", report.text);
        return 1;
    }
    const double tokens_per_s = enx_shard_batch(b.shard)->token_count / best;
    printf("%u,%u,%u,%u,%zu,%s,%s,%.0f,%.1f,%.1f,%.1f\n", sizes.vocab, sizes.width, sizes.layers,
           sizes.ffn, b.layout.count, b.grad.name, is_bf16 ? "bf16" : "f32", tokens_per_s,
           tokens_per_s * enx_net_flops_per_token(&b.layout, SEGMENT / 2) * 1e-9,
           large_product(&b.grad, is_bf16, &report), peak());
    return 0;
}
