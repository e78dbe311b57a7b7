/* SPDX-License-Identifier: Apache-2.0 */
/* test_panels.c - rows of blocks laid out side by side: nothing is lost. */
#include "kernels/panels.h"

#include "base/rng.h"
#include "quant_blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { COLS = 512, ROWS_MAX = 40, BLOCK_BYTES_MAX = 256, ROW_BYTES_MAX = COLS * 2 };

static uint8_t rows[ROWS_MAX * ROW_BYTES_MAX];
static uint8_t panels[(ROWS_MAX + ENX_PANEL_ROWS) * ROW_BYTES_MAX];

static void fill(size_t size_bytes, uint64_t seed)
{
    enx_rng rng = enx_rng_open(seed, 0);
    for (size_t i = 0; i < size_bytes; i++) rows[i] = (uint8_t)enx_rng_u64(&rng);
}

static void every_block_comes_back(void **state)
{
    (void)state;
    static const size_t row_counts[] = { 1, 15, 16, 17, ROWS_MAX };
    for (size_t q = 0; q < ENX_QUANT_COUNT; q++)
        for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
            const quant_layout *l = &quant_layouts[q];
            const size_t        blocks = COLS / l->values, row_bytes = blocks * l->size_bytes;
            uint8_t             block[BLOCK_BYTES_MAX];
            fill(row_counts[i] * row_bytes, q);
            enx_panels_from_rows(panels, l->quant, rows, row_counts[i], COLS);
            for (size_t r = 0; r < row_counts[i]; r++)
                for (size_t b = 0; b < blocks; b++) {
                    enx_panels_block(block, l->quant, panels, COLS, r, b);
                    assert_memory_equal(block, rows + r * row_bytes + b * l->size_bytes,
                                        l->size_bytes);
                }
        }
}

static void panels_take_the_bytes_of_whole_sixteens(void **state)
{
    (void)state;
    for (size_t q = 0; q < ENX_QUANT_COUNT; q++) {
        const quant_layout *l = &quant_layouts[q];
        const size_t        row_bytes = COLS / l->values * l->size_bytes;
        assert_int_equal(enx_panels_bytes(l->quant, 16, COLS), 16 * row_bytes);
        assert_int_equal(enx_panels_bytes(l->quant, 17, COLS), 32 * row_bytes);
        assert_int_equal(enx_panels_bytes(l->quant, 0, COLS), 0);
    }
}

/* (1) of panels.h, by the scale at the start of Q8_0 and by numbers of its second block. */
static void units_lie_side_by_side(void **state)
{
    (void)state;
    const size_t row_bytes = COLS / ENX_SMALL_BLOCK * sizeof(enx_block_q8_0);
    fill(ENX_PANEL_ROWS * row_bytes, 1);
    enx_panels_from_rows(panels, ENX_QUANT_Q8_0, rows, ENX_PANEL_ROWS, COLS);
    const uint8_t *second = panels + ENX_PANEL_ROWS * sizeof(enx_block_q8_0);
    for (size_t r = 0; r < ENX_PANEL_ROWS; r++) {
        assert_memory_equal(panels + r * 2, rows + r * row_bytes, 2);
        for (size_t word = 0; word < 8; word++) {
            const size_t at = 2 + word * 4;
            assert_memory_equal(second + at * ENX_PANEL_ROWS + r * 4,
                                rows + r * row_bytes + sizeof(enx_block_q8_0) + at, 4);
        }
    }
}

static void rows_that_are_missing_are_zeros(void **state)
{
    (void)state;
    const size_t  row_bytes = COLS / ENX_SMALL_BLOCK * sizeof(enx_block_q4_0);
    uint8_t       block[sizeof(enx_block_q4_0)];
    const uint8_t zeros[sizeof block] = { 0 };
    memset(panels, 0xA5, sizeof panels);
    fill(3 * row_bytes, 2);
    enx_panels_from_rows(panels, ENX_QUANT_Q4_0, rows, 3, COLS);
    for (size_t r = 3; r < ENX_PANEL_ROWS; r++) {
        enx_panels_block(block, ENX_QUANT_Q4_0, panels, COLS, r, 7);
        assert_memory_equal(block, zeros, sizeof zeros);
    }
    assert_int_equal(panels[ENX_PANEL_ROWS * row_bytes], 0xA5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_comes_back),
        cmocka_unit_test(panels_take_the_bytes_of_whole_sixteens),
        cmocka_unit_test(units_lie_side_by_side),
        cmocka_unit_test(rows_that_are_missing_are_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
