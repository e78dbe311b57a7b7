/* SPDX-License-Identifier: Apache-2.0 */
/* test_matrix.c - products of large matrices against three loops. */
#include "kernels/matrix.h"

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/cpu.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { GUARD = 64 };

static const enx_matrix_kernels *kernels;

static float *draw(size_t n, enx_rng *rng)
{
    float *out = ENX_MEM_NEW(float, n + GUARD);
    for (size_t i = 0; i < n + GUARD; i++) out[i] = (float)(enx_rng_unit(rng) * 2 - 1);
    return out;
}

/* Every number of c within the bound of a sum of k products in f32, and nothing behind it. */
static void check_product(const enx_matrix_product *p, bool b_turned, enx_rng *rng)
{
    const size_t left = p->a_turned ? p->k * p->a_stride : p->m * p->a_stride;
    float       *a = draw(left, rng), *b = draw(p->k * p->n, rng), *c = draw(p->m * p->n, rng);
    float       *packed = draw(p->k * p->n, rng), *scratch = draw(ENX_MATRIX_SCRATCH, rng);
    float       *before = draw(p->m * p->n, rng);
    memcpy(before, c, (p->m * p->n + GUARD) * sizeof *c);
    const float behind_scratch = scratch[ENX_MATRIX_SCRATCH], behind_b = packed[p->k * p->n];
    kernels->pack(packed, b, p->k, p->n, b_turned);
    kernels->multiply(c, a, packed, p, scratch);
    for (size_t m = 0; m < p->m; m++)
        for (size_t n = 0; n < p->n; n++) {
            double sum = p->is_added ? (double)before[m * p->n + n] : 0, size = fabs(sum);
            for (size_t k = 0; k < p->k; k++) {
                const float  left_k = p->a_turned ? a[k * p->a_stride + m] : a[m * p->a_stride + k];
                const double term =
                    (double)left_k * (double)b[b_turned ? n * p->k + k : k * p->n + n];
                sum += term, size += fabs(term);
            }
            assert_true(fabs((double)c[m * p->n + n] - sum) <= size * (double)(p->k + 2) * 0x1p-24);
        }
    assert_memory_equal(c + p->m * p->n, before + p->m * p->n, GUARD * sizeof *c);
    assert_true(scratch[ENX_MATRIX_SCRATCH] == behind_scratch);
    assert_true(packed[p->k * p->n] == behind_b);
    enx_mem_free(a), enx_mem_free(b), enx_mem_free(c);
    enx_mem_free(packed), enx_mem_free(scratch), enx_mem_free(before);
}

static void every_number_is_the_sum_of_its_products(void **state)
{
    static const size_t rows[] = { 2, 4, 6, 16, 64, 96, 98, 208 },
                        inner[] = { 1, 16, 256, 257, 528 };
    enx_rng rng = enx_rng_open(3, 0);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof inner / sizeof *inner; j++)
            for (int kind = 0; kind < 8; kind++) {
                const enx_matrix_product p = { .m = rows[i],
                                               .n = (size_t)(kind + 1) * ENX_MATRIX_PANEL,
                                               .k = inner[j],
                                               .a_stride = kind & 1 ? rows[i] + 2 : inner[j],
                                               .a_turned = kind & 1,
                                               .is_added = kind & 2 };
                check_product(&p, kind & 4, &rng);
            }
}

/* Rows of c do not depend on what else is in the product: shards may be cut anywhere. */
static void a_row_is_the_same_in_every_product(void **state)
{
    enum { ROWS = 130, INNER = 300, COLUMNS = 32 };
    static float       a[ROWS * INNER], b[INNER * COLUMNS], packed[INNER * COLUMNS];
    static float       all[ROWS * COLUMNS], part[2 * COLUMNS], scratch[ENX_MATRIX_SCRATCH];
    enx_rng            rng = enx_rng_open(4, 0);
    enx_matrix_product p = { .m = ROWS, .n = COLUMNS, .k = INNER, .a_stride = INNER };
    (void)state;
    for (size_t i = 0; i < ROWS * INNER; i++) a[i] = (float)enx_rng_normal(&rng);
    for (size_t i = 0; i < INNER * COLUMNS; i++) b[i] = (float)enx_rng_normal(&rng);
    kernels->pack(packed, b, INNER, COLUMNS, false);
    kernels->multiply(all, a, packed, &p, scratch);
    p.m = 2;
    for (size_t row = 0; row < ROWS; row += 2) {
        kernels->multiply(part, a + row * INNER, packed, &p, scratch);
        assert_memory_equal(part, all + row * COLUMNS, sizeof part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_the_sum_of_its_products),
        cmocka_unit_test(a_row_is_the_same_in_every_product),
    };
    kernels = enx_matrix_kernels_find(enx_cpu_detect("avx2"));
    if (!kernels) return 77; /* this processor has none */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
