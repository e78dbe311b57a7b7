/* SPDX-License-Identifier: Apache-2.0 */
/* layout.c - rows into panels, matrix by matrix. */
#include "model/layout.h"

#include "base/mem.h"
#include "kernels/panels.h"
#include "model/carve.h"
#include "model/convert.h"

#include <stddef.h>

static const size_t layer_matrices[] = {
    offsetof(enx_layer, q),    offsetof(enx_layer, k),      offsetof(enx_layer, v),
    offsetof(enx_layer, o),    offsetof(enx_layer, gate),   offsetof(enx_layer, up),
    offsetof(enx_layer, down), offsetof(enx_layer, router),
};
enum {
    LAYER_MATRICES = sizeof layer_matrices / sizeof *layer_matrices,
    SLICE_BYTES = 4 << 20,
};

static void forget_rows(const enx_model_file *file, const uint8_t *rows, uint64_t size_bytes)
{
    for (uint32_t i = 0; file && i < file->part_count; i++)
        enx_file_forget(&file->parts[i], rows, (size_t)size_bytes);
}

/* Some rows at a time, so that they need not all be in memory twice. */
static void lay_out_rows(uint8_t *panels, enx_quant quant, const enx_matrix *one,
                         const enx_model_file *file)
{
    const uint64_t panel_bytes = ENX_PANEL_ROWS * one->row_bytes;
    const uint32_t step = (uint32_t)(SLICE_BYTES / panel_bytes + 1) * ENX_PANEL_ROWS;
    for (uint32_t first = 0; first < one->row_count; first += step) {
        const uint32_t left = one->row_count - first, rows = left < step ? left : step;
        const uint8_t *from = one->data + first * one->row_bytes;
        enx_panels_from_rows(panels + first * one->row_bytes, quant, from, rows, one->col_count);
        forget_rows(file, from, rows * one->row_bytes);
    }
}

/* Where the carver only adds up, the matrix stays as it is. */
static void lay_out_matrix(enx_carver *carver, enx_matrix *matrix, const enx_model_file *file)
{
    const enx_quant quant = enx_quant_of(matrix->type);
    if (quant == ENX_QUANT_COUNT || matrix->count == 0) return;
    const uint64_t one_bytes = enx_panels_bytes(quant, matrix->row_count, matrix->col_count);
    uint8_t       *panels = enx_carve(carver, matrix->count, one_bytes);
    if (!panels) return;
    for (uint32_t i = 0; i < matrix->count; i++) {
        const enx_matrix one = enx_matrix_of_expert(matrix, i);
        lay_out_rows(panels + i * one_bytes, quant, &one, file);
    }
    matrix->data = panels;
    matrix->is_panels = true;
    matrix->size_bytes = one_bytes;
}

static void lay_out_all(enx_carver *carver, enx_matrix *head, enx_layer *layers,
                        uint32_t layer_count, const enx_model_file *file)
{
    for (uint32_t i = 0; i < layer_count; i++)
        for (size_t m = 0; m < LAYER_MATRICES; m++) {
            void *matrix = (uint8_t *)&layers[i] + layer_matrices[m];
            lay_out_matrix(carver, matrix, file);
        }
    lay_out_matrix(carver, head, file);
}

enx_status enx_weights_lay_out(enx_matrix *head, enx_layer *layers, uint32_t layer_count,
                               const enx_model_file *file, void **block, uint64_t *block_bytes,
                               enx_report *report)
{
    enx_carver carver = { 0 };
    lay_out_all(&carver, head, layers, layer_count, NULL);
    *block = carver.is_overflown ? NULL : enx_mem_new(carver.used_bytes, 1);
    if (!*block)
        return ENX_FAIL(report, NOMEM, "no memory for %llu MiB of weights",
                        (unsigned long long)(carver.used_bytes >> 20));
    *block_bytes = carver.used_bytes;
    carver = (enx_carver){ .base = *block };
    lay_out_all(&carver, head, layers, layer_count, file);
    return ENX_OK;
}
