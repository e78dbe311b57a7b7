/* SPDX-License-Identifier: Apache-2.0 */
/* test_net.c - the gradients are those of the loss, whatever the level and the batch. */
#include "train/net.h"

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/cpu.h"
#include "train/operands.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const enx_net_sizes small = {
    .vocab = 272, .width = 64, .layers = 2, .head_width = 32, .ffn = 96
};
/* Heads of 16 and an odd number of them. */
static const enx_net_sizes narrow = {
    .vocab = 272, .width = 48, .layers = 1, .head_width = 16, .ffn = 128
};
enum { TOKENS = 128 };

/* Segments of 5, 40, 33, 50 tokens; targets in the second half of each. */
static void fill_batch(enx_batch *b, uint64_t seed)
{
    static const uint32_t ends[] = { 5, 45, 78, 128 };
    enx_rng               rng = enx_rng_open(seed, 0);
    b->segment_count = 4;
    b->target_count = 0;
    for (uint32_t s = 0, at = 0; s < 4; s++) {
        const uint32_t first = at;
        for (; at < ends[s]; at++) {
            b->tokens[at] = (uint32_t)enx_rng_below(&rng, small.vocab);
            b->positions[at] = at - first;
            const bool is_target = at >= (first + ends[s]) / 2;
            b->targets[at] =
                is_target ? (uint32_t)enx_rng_below(&rng, small.vocab) : ENX_TARGET_NONE;
            b->target_count += is_target;
        }
        b->segment_ends[s] = ends[s];
    }
}

typedef struct fixture {
    enx_net_layout   layout;
    enx_grad_kernels grad;
    enx_shard       *shard;
    enx_operands    *operands;
    float           *params, *moved, *direction;
} fixture;

static void open_fixture(fixture *f, const enx_net_sizes *sizes, unsigned cpu_flags)
{
    assert_int_equal(enx_net_layout_init(&f->layout, sizes, NULL), ENX_OK);
    enx_grad_kernels_init(&f->grad, cpu_flags);
    assert_int_equal(enx_shard_open(&f->shard, &f->layout, TOKENS, false, &f->grad, NULL), ENX_OK);
    assert_int_equal(enx_operands_open(&f->operands, &f->layout, TOKENS, false, &f->grad, NULL),
                     ENX_OK);
    f->params = ENX_MEM_NEW(float, f->layout.count);
    f->moved = ENX_MEM_NEW(float, f->layout.count);
    f->direction = ENX_MEM_NEW(float, f->layout.count);
    enx_net_start(&f->layout, f->params, 7);
}

static void close_fixture(fixture *f)
{
    enx_shard_close(&f->shard);
    enx_operands_close(&f->operands);
    enx_mem_free(f->params);
    enx_mem_free(f->moved);
    enx_mem_free(f->direction);
}

static double loss_at(fixture *f, const float *params, bool is_backward)
{
    double loss = 0;
    for (uint32_t i = 0; i < enx_operands_part_count(f->operands); i++)
        assert_int_equal(enx_operands_fill(f->operands, params, i, NULL), ENX_OK);
    assert_int_equal(enx_shard_run(f->shard, params, f->operands, is_backward, 1.0f, &loss, NULL),
                     ENX_OK);
    return loss;
}

/* Along a random direction in one tensor: (L(p + h d) - L(p - h d)) / 2h against gradient . d.
 * z-loss is part of the gradient and not of the loss returned: its share is below 1e-3. */
static void check_direction(fixture *f, size_t at, size_t count, double size, const char *name)
{
    enx_rng rng = enx_rng_open(3, at);
    double  along = 0;
    for (size_t i = 0; i < count; i++) f->direction[i] = (float)(enx_rng_normal(&rng) * size);
    for (size_t i = 0; i < count; i++)
        along += (double)f->direction[i] * enx_shard_gradients(f->shard)[at + i];
    double side[2];
    for (int s = 0; s < 2; s++) {
        memcpy(f->moved, f->params, f->layout.count * sizeof *f->moved);
        for (size_t i = 0; i < count; i++) f->moved[at + i] += (s ? 1.0f : -1.0f) * f->direction[i];
        side[s] = loss_at(f, f->moved, false);
    }
    const double measured = (side[1] - side[0]) / 2;
    const double error = fabs(measured - along) / (fabs(measured) + fabs(along) + 1e-3);
    if (error > 0.02) fail_msg("%s: measured %.6f, gradient says %.6f", name, measured, along);
}

static void check_gradients(const enx_net_sizes *sizes)
{
    fixture      f = { 0 };
    const size_t c = sizes->width, ffn = sizes->ffn, d = sizes->head_width;
    open_fixture(&f, sizes, enx_cpu_detect(NULL));
    fill_batch(enx_shard_batch(f.shard), 11);
    loss_at(&f, f.params, true);
    check_direction(&f, f.layout.embed, sizes->vocab * c, 3e-4, "embedding");
    check_direction(&f, f.layout.out_norm, c, 3e-3, "out_norm");
    for (uint32_t i = 0; i < sizes->layers; i++) {
        const enx_net_layer_at *at = &f.layout.layers[i];
        check_direction(&f, at->attn_norm, c, 1e-2, "attn_norm");
        check_direction(&f, at->qkv, c * c, 1e-3, "q");
        check_direction(&f, at->qkv + c * c, c * c, 1e-3, "k");
        check_direction(&f, at->qkv + 2 * c * c, c * c, 1e-3, "v");
        check_direction(&f, at->q_norm, d, 1e-2, "q_norm");
        check_direction(&f, at->k_norm, d, 1e-2, "k_norm");
        check_direction(&f, at->attn_out, c * c, 1e-3, "attn_out");
        check_direction(&f, at->ffn_norm, c, 1e-2, "ffn_norm");
        check_direction(&f, at->gate_up, 2 * ffn * c, 1e-3, "gate_up");
        check_direction(&f, at->down, c * ffn, 1e-3, "down");
    }
    close_fixture(&f);
}

static void gradients_are_those_of_the_loss(void **state)
{
    (void)state;
    check_gradients(&small);
    check_gradients(&narrow);
}

static void check_levels(const enx_net_sizes *sizes)
{
    fixture slow = { 0 }, fast = { 0 };
    open_fixture(&slow, sizes, ENX_CPU_SCALAR);
    open_fixture(&fast, sizes, enx_cpu_detect(NULL));
    fill_batch(enx_shard_batch(slow.shard), 5);
    fill_batch(enx_shard_batch(fast.shard), 5);
    const double a = loss_at(&slow, slow.params, true), b = loss_at(&fast, fast.params, true);
    assert_true(fabs(a - b) < 1e-4 * fabs(a));
    double difference = 0, size = 0;
    for (size_t i = 0; i < slow.layout.count; i++) {
        const double x = enx_shard_gradients(slow.shard)[i], y = enx_shard_gradients(fast.shard)[i];
        difference += (x - y) * (x - y);
        size += x * x;
    }
    assert_true(sqrt(difference) < 1e-3 * sqrt(size));
    close_fixture(&slow);
    close_fixture(&fast);
}

static void levels_agree(void **state)
{
    (void)state;
    check_levels(&small);
    check_levels(&narrow);
}

static void a_segment_does_not_see_its_neighbours(void **state)
{
    (void)state;
    fixture f = { 0 };
    open_fixture(&f, &small, enx_cpu_detect(NULL));
    enx_batch *b = enx_shard_batch(f.shard);
    fill_batch(b, 9);
    for (uint32_t i = 5; i < TOKENS; i++) b->targets[i] = ENX_TARGET_NONE;
    const double alone = loss_at(&f, f.params, false);
    for (uint32_t i = 5; i < TOKENS; i++) b->tokens[i] = (b->tokens[i] + 17) % small.vocab;
    assert_true(loss_at(&f, f.params, false) == alone);
    close_fixture(&f);
}

static void the_first_loss_is_that_of_guessing(void **state)
{
    (void)state;
    fixture f = { 0 };
    open_fixture(&f, &small, enx_cpu_detect(NULL));
    fill_batch(enx_shard_batch(f.shard), 1);
    const double loss = loss_at(&f, f.params, false) / enx_shard_batch(f.shard)->target_count;
    assert_true(fabs(loss - log(small.vocab)) < 0.2);
    close_fixture(&f);
}

static void sizes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    enx_net_layout layout;
    enx_report     report = { 0 };
    enx_net_sizes  bad = small;
    bad.width = 60;
    assert_int_equal(enx_net_layout_init(&layout, &bad, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "width"));
    bad = small;
    bad.vocab = 100;
    assert_int_equal(enx_net_layout_init(&layout, &bad, &report), ENX_INVALID);
    bad = small;
    bad.layers = 0;
    assert_int_equal(enx_net_layout_init(&layout, &bad, &report), ENX_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(levels_agree),
        cmocka_unit_test(a_segment_does_not_see_its_neighbours),
        cmocka_unit_test(the_first_loss_is_that_of_guessing),
        cmocka_unit_test(sizes_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
