/* SPDX-License-Identifier: Apache-2.0 */
/* operands.c - two blocked copies of each matrix. */
#include "train/operands.h"

#include "base/check.h"
#include "base/mem.h"

enum { MATRICES_MAX = 4 * ENX_NET_LAYERS_MAX + 1 };

typedef struct matrix {
    size_t      at;
    enx_product forward, backward;
    void       *forward_data, *backward_data;
    enx_gemm   *gemm; /* of its own: threads fill different matrices at once */
} matrix;

struct enx_operands {
    uint32_t count;
    matrix   matrices[MATRICES_MAX]; /* rising by `at` */
};

static enx_status open_copy(void **out, enx_gemm *gemm, const enx_product *product,
                            enx_report *report)
{
    size_t size_bytes;
    ENX_TRY(enx_gemm_block_bytes(gemm, product, &size_bytes, report));
    *out = enx_mem_new(1, size_bytes);
    if (*out) return ENX_OK;
    return ENX_FAIL(report, NOMEM, "no memory for a matrix of %zu bytes", size_bytes);
}

static enx_status add_matrix(enx_operands *w, size_t at, size_t rows, size_t wide, size_t inner,
                             bool is_bf16, const enx_grad_kernels *grad, enx_report *report)
{
    matrix *m = &w->matrices[w->count++];
    m->at = at;
    m->forward = enx_net_forward_product(rows, wide, inner, false);
    m->backward = enx_net_backward_product(rows, wide, inner);
    ENX_TRY(enx_gemm_open(&m->gemm, is_bf16, grad, report));
    ENX_TRY(open_copy(&m->forward_data, m->gemm, &m->forward, report));
    return open_copy(&m->backward_data, m->gemm, &m->backward, report);
}

static enx_status add_all(enx_operands *w, const enx_net_layout *layout, size_t rows, bool is_bf16,
                          const enx_grad_kernels *grad, enx_report *report)
{
    const enx_net_sizes *z = &layout->sizes;
    const size_t         c = z->width, f = z->ffn;
    ENX_TRY(add_matrix(w, layout->embed, ENX_NET_HEAD_ROWS, z->vocab, c, is_bf16, grad, report));
    for (uint32_t i = 0; i < z->layers; i++) {
        const enx_net_layer_at *at = &layout->layers[i];
        ENX_TRY(add_matrix(w, at->qkv, rows, 3 * c, c, is_bf16, grad, report));
        ENX_TRY(add_matrix(w, at->attn_out, rows, c, c, is_bf16, grad, report));
        ENX_TRY(add_matrix(w, at->gate_up, rows, 2 * f, c, is_bf16, grad, report));
        ENX_TRY(add_matrix(w, at->down, rows, c, f, is_bf16, grad, report));
    }
    return ENX_OK;
}

enx_status enx_operands_open(enx_operands **out, const enx_net_layout *layout, uint32_t token_count,
                             bool is_bf16, const enx_grad_kernels *grad, enx_report *report)
{
    enx_operands *w = ENX_MEM_NEW(enx_operands, 1);
    if (!w) return ENX_FAIL(report, NOMEM, "no memory for the operands of products");
    const enx_status status = add_all(w, layout, token_count, is_bf16, grad, report);
    if (status != ENX_OK) {
        enx_operands_close(&w);
        return status;
    }
    *out = w;
    return ENX_OK;
}

void enx_operands_close(enx_operands **operands)
{
    enx_operands *w = *operands;
    if (!w) return;
    for (uint32_t i = 0; i < w->count; i++) {
        enx_mem_free(w->matrices[i].forward_data);
        enx_mem_free(w->matrices[i].backward_data);
        enx_gemm_close(&w->matrices[i].gemm);
    }
    enx_mem_free(w);
    *operands = NULL;
}

uint32_t enx_operands_part_count(const enx_operands *operands) { return operands->count; }

enx_status enx_operands_fill(enx_operands *operands, const float *params, uint32_t part,
                             enx_report *report)
{
    matrix *m = &operands->matrices[part];
    ENX_TRY(enx_gemm_block(m->gemm, &m->forward, m->forward_data, params + m->at, report));
    return enx_gemm_block(m->gemm, &m->backward, m->backward_data, params + m->at, report);
}

static const matrix *matrix_at(const enx_operands *w, size_t at)
{
    uint32_t low = 0, high = w->count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (w->matrices[middle].at <= at) low = middle;
        else high = middle;
    }
    ENX_CHECK(w->matrices[low].at == at);
    return &w->matrices[low];
}

const void *enx_operands_forward(const enx_operands *operands, size_t at)
{
    return matrix_at(operands, at)->forward_data;
}

const void *enx_operands_backward(const enx_operands *operands, size_t at)
{
    return matrix_at(operands, at)->backward_data;
}
