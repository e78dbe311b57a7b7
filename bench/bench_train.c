/* SPDX-License-Identifier: Apache-2.0 */
/* bench_train.c - tokens a second of one shard: forward, backward and nothing else.
 *
 *     bench_train VOCAB WIDTH LAYERS FFN TOKENS [f32]
 *
 * Prints a CSV line: sizes, parameters, products, tokens/s of one thread (best of 5), GFLOP/s.
 */
#include "base/mem.h"
#include "kernels/cpu.h"
#include "plat/clock.h"
#include "train/operands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT = 128, RUNS = 20 };

static uint32_t number(const char *text) { return (uint32_t)strtoul(text, NULL, 10); }

static void fill(enx_batch *b, uint32_t vocab)
{
    b->segment_count = 0;
    for (uint32_t i = 0; i < b->token_count; i++) {
        b->tokens[i] = (i * 2654435761u >> 7) % vocab;
        b->positions[i] = i % SEGMENT;
        b->targets[i] = i % SEGMENT >= SEGMENT / 2 ? (i * 40503u) % vocab : ENX_TARGET_NONE;
        if ((i + 1) % SEGMENT == 0 || i + 1 == b->token_count)
            b->segment_ends[b->segment_count++] = i + 1;
    }
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: bench_train VOCAB WIDTH LAYERS FFN TOKENS [f32]\n");
        return 64;
    }
    const enx_net_sizes sizes = { .vocab = number(argv[1]),
                                  .width = number(argv[2]),
                                  .layers = number(argv[3]),
                                  .head_width = 32,
                                  .ffn = number(argv[4]) };
    const bool          is_bf16 = argc < 7 && enx_gemm_has_bf16();
    enx_report          report = { 0 };
    enx_net_layout      layout;
    enx_grad_kernels    grad;
    enx_shard          *shard = NULL;
    enx_operands       *operands = NULL;
    enx_grad_kernels_init(&grad, enx_cpu_detect(getenv("ENX_CPU")));
    if (enx_net_layout_init(&layout, &sizes, &report) != ENX_OK ||
        enx_shard_open(&shard, &layout, number(argv[5]), is_bf16, &grad, &report) != ENX_OK ||
        enx_operands_open(&operands, &layout, number(argv[5]), is_bf16, &grad, &report) != ENX_OK) {
        fprintf(stderr, "bench_train: %s\n", report.text);
        return 1;
    }
    float *params = ENX_MEM_NEW(float, layout.count);
    enx_net_start(&layout, params, 1);
    for (uint32_t i = 0; i < enx_operands_part_count(operands); i++)
        if (enx_operands_fill(operands, params, i, &report) != ENX_OK) return 1;
    enx_batch *batch = enx_shard_batch(shard);
    fill(batch, sizes.vocab);
    double best = 1e30, loss;
    for (int run = 0; run < RUNS; run++) {
        const uint64_t start_us = enx_clock_cpu_us();
        if (enx_shard_run(shard, params, operands, true, 1.0f, &loss, &report) != ENX_OK) return 1;
        const double seconds = (double)(enx_clock_cpu_us() - start_us) * 1e-6;
        best = seconds < best ? seconds : best;
    }
    const double tokens_per_s = batch->token_count / best;
    printf("%u,%u,%u,%u,%zu,%s,%s,%.0f,%.1f\n", sizes.vocab, sizes.width, sizes.layers, sizes.ffn,
           layout.count, grad.name, is_bf16 ? "bf16" : "f32", tokens_per_s,
           tokens_per_s * enx_net_flops_per_token(&layout, SEGMENT / 2) * 1e-9);
    return 0;
}
